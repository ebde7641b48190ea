/* One client of a proxy: it opens a WebSocket, and sends a message each time the one before has come back. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stddef.h>

#include "frame.h"

enum client_state { OPENING, TALKING, CLOSING };

struct client {
  int socket;
  enum client_state state;
  /* Of the answer to the handshake, or of the message that comes back. */
  size_t received;
  /* Of the message on its way out. */
  size_t sent;
  unsigned long messages;
};

/* What all clients send and expect. */
struct talk {
  int epoll;
  int port;
  const char *target;
  size_t payload_bytes;
  size_t out_bytes, back_bytes;
  unsigned char out[MAX_FRAME_BYTES], back[MAX_FRAME_BYTES];
};

void prepare_talk(struct talk *talk, int port, const char *target, size_t payload_bytes);

/* Connects, and asks for a WebSocket. */
void open_client(struct talk *talk, struct client *client);

/* Goes on with what has come. Gives 0 once the other side has closed; ends the process when something else came than should. */
int go_on(struct talk *talk, struct client *client);

void send_message(struct talk *talk, struct client *client);

/* Sends a close frame; the other side closes then. */
void send_close(struct client *client);

#endif
