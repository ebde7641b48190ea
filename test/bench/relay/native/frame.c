#include "frame.h"

#include <string.h>

enum { MASKED = 0x80, MASK_BYTES = 4, SHORT_LENGTH = 126, LONG_LENGTH = 127 };

size_t write_header(unsigned char *to, unsigned char opcode, size_t payload_bytes, int is_masked) {
  size_t at = 2;
  unsigned char mask_bit = is_masked ? MASKED : 0;
  to[0] = opcode;
  if (payload_bytes < SHORT_LENGTH) {
    to[1] = (unsigned char)(mask_bit | payload_bytes);
  } else if (payload_bytes < 65536) {
    to[1] = mask_bit | SHORT_LENGTH;
    to[at++] = (unsigned char)(payload_bytes >> 8);
    to[at++] = (unsigned char)payload_bytes;
  } else {
    to[1] = mask_bit | LONG_LENGTH;
    for (int shift = 56; shift >= 0; shift -= 8) to[at++] = (unsigned char)((uint64_t)payload_bytes >> shift);
  }
  if (is_masked) {
    memset(to + at, 0, MASK_BYTES);
    at += MASK_BYTES;
  }
  return at;
}

int read_header(const unsigned char *from, size_t bytes, struct frame *frame) {
  if (bytes < 2) return 0;
  size_t length = from[1] & 0x7f;
  size_t length_bytes = length == LONG_LENGTH ? 8 : length == SHORT_LENGTH ? 2 : 0;
  frame->opcode = from[0];
  frame->header_bytes = 2 + length_bytes + ((from[1] & MASKED) != 0 ? MASK_BYTES : 0);
  if (bytes < frame->header_bytes) return 0;
  if (length_bytes > 0) length = 0;
  for (size_t i = 0; i < length_bytes; i += 1) length = length << 8 | from[2 + i];
  frame->payload_bytes = length;
  return 1;
}
