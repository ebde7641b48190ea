#include "payload.h"

static uint32_t number_at(const unsigned char *data) {
  return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

int parse_payload(unsigned char *data, size_t length, struct payload *payload) {
  if (length < HEADER_BYTES) return -1;
  uint32_t *lengths[LENGTH_COUNT] = {
      &payload->swap_count,     &payload->in_file_length, &payload->out_name_length,
      &payload->message_length, &payload->content_length, &payload->name_length,
  };
  for (size_t i = 0; i < LENGTH_COUNT; i += 1) *lengths[i] = number_at(data + 4 * i);
  if (payload->swap_count == 0 || payload->in_file_length == 0 || payload->out_name_length == 0 ||
      payload->message_length == 0)
    return -1;

  uint64_t at = HEADER_BYTES;
  uint64_t ends[7];
  const uint64_t sizes[7] = {
      (uint64_t)payload->swap_count * 4, 4, payload->in_file_length, payload->out_name_length,
      payload->message_length, payload->content_length, payload->name_length,
  };
  for (size_t i = 0; i < 7; i += 1) ends[i] = at += sizes[i];
  if (at > length) return -1;

  unsigned char **parts[7] = {
      &payload->swap,    &payload->fail,    &payload->in_file, &payload->out_name,
      &payload->message, &payload->content, &payload->name,
  };
  for (size_t i = 0; i < 7; i += 1) *parts[i] = data + ends[i] - sizes[i];
  payload->total = (size_t)at;
  return 0;
}

int is_transfer(const struct payload *payload) { return payload->content_length > 0 && payload->name_length > 0; }
