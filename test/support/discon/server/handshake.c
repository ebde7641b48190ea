#include "handshake.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 64, DIGEST_BYTES = 20, MAX_KEY_BYTES = 256 };

static const char PROTOCOL_GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static uint32_t rotate(uint32_t word, int by) { return word << by | word >> (32 - by); }

/* One block of SHA-1, FIPS 180-4 section 6.1.2. */
static void digest_block(uint32_t state[5], const unsigned char *block) {
  uint32_t w[80];
  for (int i = 0; i < 16; i += 1)
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
           block[4 * i + 3];
  for (int i = 16; i < 80; i += 1) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  for (int i = 0; i < 80; i += 1) {
    uint32_t mixed, constant;
    if (i < 20) {
      mixed = (b & c) | (~b & d);
      constant = 0x5a827999;
    } else if (i < 40) {
      mixed = b ^ c ^ d;
      constant = 0x6ed9eba1;
    } else if (i < 60) {
      mixed = (b & c) | (b & d) | (c & d);
      constant = 0x8f1bbcdc;
    } else {
      mixed = b ^ c ^ d;
      constant = 0xca62c1d6;
    }
    uint32_t next = rotate(a, 5) + mixed + e + constant + w[i];
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

static void sha1(const char *text, size_t length, unsigned char digest[DIGEST_BYTES]) {
  uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  unsigned char padded[MAX_KEY_BYTES + sizeof PROTOCOL_GUID + 2 * BLOCK_BYTES] = {0};
  memcpy(padded, text, length);
  padded[length] = 0x80;
  size_t total = (length + 8) / BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES;
  uint64_t bits = (uint64_t)length * 8;
  for (size_t i = 0; i < 8; i += 1) padded[total - 1 - i] = (unsigned char)(bits >> 8 * i);
  for (size_t at = 0; at < total; at += BLOCK_BYTES) digest_block(state, padded + at);
  for (int i = 0; i < DIGEST_BYTES; i += 1) digest[i] = (unsigned char)(state[i / 4] >> (24 - i % 4 * 8));
}

static void base64(const unsigned char *bytes, size_t length, char *text) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t at = 0; at < length; at += 3) {
    size_t left = length - at;
    uint32_t group = (uint32_t)bytes[at] << 16;
    if (left > 1) group |= (uint32_t)bytes[at + 1] << 8;
    if (left > 2) group |= bytes[at + 2];
    *text++ = digits[group >> 18];
    *text++ = digits[group >> 12 & 63];
    *text++ = left > 1 ? digits[group >> 6 & 63] : '=';
    *text++ = left > 2 ? digits[group & 63] : '=';
  }
  *text = '\0';
}

void accept_key(const char *client_key, char accept[ACCEPT_LENGTH + 1]) {
  char joined[MAX_KEY_BYTES + sizeof PROTOCOL_GUID];
  unsigned char digest[DIGEST_BYTES];
  int length = snprintf(joined, sizeof joined, "%.*s%s", MAX_KEY_BYTES, client_key, PROTOCOL_GUID);
  sha1(joined, (size_t)length, digest);
  base64(digest, sizeof digest, accept);
}
