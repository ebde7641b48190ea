#include "web-socket.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONTROL_BYTES = 125, SMALL_FRAME_BYTES = 4096 };

struct frame {
  int is_final;
  enum opcode opcode;
  uint64_t length;
  unsigned char mask[4];
};

static int read_frame_head(struct connection *connection, struct frame *frame) {
  unsigned char head[2];
  unsigned char extended[8];
  if (read_exactly(connection, head, sizeof head) != 0) return -1;
  frame->is_final = head[0] >> 7;
  frame->opcode = head[0] & 15;
  frame->length = head[1] & 127;
  int has_reserved_bits = (head[0] & 0x70) != 0;
  int is_masked = head[1] >> 7;
  if (has_reserved_bits || !is_masked) return -1;
  size_t extended_bytes = frame->length == 126 ? 2 : frame->length == 127 ? 8 : 0;
  if (extended_bytes > 0) {
    if (read_exactly(connection, extended, extended_bytes) != 0) return -1;
    frame->length = 0;
    for (size_t i = 0; i < extended_bytes; i += 1) frame->length = frame->length << 8 | extended[i];
  }
  return read_exactly(connection, frame->mask, sizeof frame->mask);
}

static int read_payload(struct connection *connection, const struct frame *frame, unsigned char *into) {
  if (read_exactly(connection, into, frame->length) != 0) return -1;
  for (uint64_t i = 0; i < frame->length; i += 1) into[i] ^= frame->mask[i % 4];
  return 0;
}

static int answer_control(struct connection *connection, const struct frame *frame) {
  unsigned char payload[MAX_CONTROL_BYTES];
  if (!frame->is_final || frame->length > MAX_CONTROL_BYTES) return -1;
  if (read_payload(connection, frame, payload) != 0) return -1;
  if (frame->opcode == OPCODE_PING) return write_message(connection, OPCODE_PONG, payload, frame->length);
  return frame->opcode == OPCODE_PONG ? 0 : -1;
}

static int append_payload(struct connection *connection, const struct frame *frame, struct message *message,
                          size_t limit) {
  if (frame->length > limit - message->length) return -1;
  unsigned char *grown = realloc(message->data, message->length + frame->length + 1);
  if (grown == NULL) return -1;
  message->data = grown;
  if (read_payload(connection, frame, message->data + message->length) != 0) return -1;
  message->length += frame->length;
  return 0;
}

int read_message(struct connection *connection, struct message *message, size_t limit) {
  struct frame frame = {0};
  int has_begun = 0;
  message->length = 0;
  for (;;) {
    if (read_frame_head(connection, &frame) != 0) return -1;
    if (frame.opcode >= OPCODE_CLOSE) {
      if (answer_control(connection, &frame) != 0) return -1;
      continue;
    }
    int is_continuation = frame.opcode == OPCODE_CONTINUATION;
    if (frame.opcode > OPCODE_BINARY || is_continuation != has_begun) return -1;
    if (!has_begun) message->opcode = frame.opcode;
    has_begun = 1;
    if (append_payload(connection, &frame, message, limit) != 0) return -1;
    if (frame.is_final) return 0;
  }
}

int write_message(struct connection *connection, enum opcode opcode, const void *data, size_t length) {
  unsigned char frame[10 + SMALL_FRAME_BYTES];
  size_t head = 2;
  size_t extended_bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
  frame[0] = (unsigned char)(0x80 | opcode);
  frame[1] = (unsigned char)(extended_bytes == 0 ? length : extended_bytes == 2 ? 126 : 127);
  for (size_t i = extended_bytes; i > 0; i -= 1) frame[head++] = (unsigned char)((uint64_t)length >> 8 * (i - 1));
  /* A small message leaves in one piece. */
  size_t joined = length <= SMALL_FRAME_BYTES ? length : 0;
  if (joined > 0) memcpy(frame + head, data, joined);
  if (write_all(connection, frame, head + joined) != 0) return -1;
  return write_all(connection, (const unsigned char *)data + joined, length - joined);
}
