/* The frames of RFC 6455 that the load and the echo speak: one frame is one binary message, and the mask is all zero. */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
  MAX_PAYLOAD_BYTES = 65536,
  MAX_HEADER_BYTES = 14,
  MAX_FRAME_BYTES = MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES,
  BINARY = 0x82,
  CLOSE = 0x88,
};

struct frame {
  unsigned char opcode;
  size_t header_bytes;
  size_t payload_bytes;
};

/* Gives the bytes of the header. A mask of zeros leaves the payload as it is, so that nobody has to unmask it. */
size_t write_header(unsigned char *to, unsigned char opcode, size_t payload_bytes, int is_masked);

/* Reads the header of what has come so far. Gives 0 when that is too little. */
int read_header(const unsigned char *from, size_t bytes, struct frame *frame);

#endif
