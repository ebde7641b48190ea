/* Messages of RFC 6455, as a server sends and receives them. */
#ifndef WEB_SOCKET_H
#define WEB_SOCKET_H

#include "connection.h"

enum opcode {
  OPCODE_CONTINUATION = 0,
  OPCODE_TEXT = 1,
  OPCODE_BINARY = 2,
  OPCODE_CLOSE = 8,
  OPCODE_PING = 9,
  OPCODE_PONG = 10,
};

struct message {
  enum opcode opcode;
  unsigned char *data;
  size_t length;
};

/*
 * The next text or binary message, whole; pings before it are answered. Gives -1 when the connection is to be dropped:
 * a close frame, a break of the protocol, more than `limit` bytes. `message` is to be all zero at first, and is reused.
 */
int read_message(struct connection *connection, struct message *message, size_t limit);

int write_message(struct connection *connection, enum opcode opcode, const void *data, size_t length);

#endif
