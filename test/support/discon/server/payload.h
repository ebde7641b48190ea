/* What is in one binary message: the arguments of a call, or a file. All numbers are little-endian. */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

enum { LENGTH_COUNT = 6, HEADER_BYTES = LENGTH_COUNT * 4 };

struct payload {
  uint32_t swap_count;
  uint32_t in_file_length;
  uint32_t out_name_length;
  uint32_t message_length;
  uint32_t content_length;
  uint32_t name_length;
  /* Into the message that was parsed. */
  unsigned char *swap;
  unsigned char *fail;
  unsigned char *in_file;
  unsigned char *out_name;
  unsigned char *message;
  unsigned char *content;
  unsigned char *name;
  /* What follows is ignored. */
  size_t total;
};

/* 0, or -1 when the connection is to be dropped for it. */
int parse_payload(unsigned char *data, size_t length, struct payload *payload);

int is_transfer(const struct payload *payload);

#endif
