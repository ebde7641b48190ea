#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handshake.h"
#include "net.h"

/* How much of each piece is compared with what was sent: enough to see a mistake, too little to be what is measured. */
enum { COMPARED_BYTES = 128 };

static const char SWITCHING[] = "HTTP/1.1 101 ";

void prepare_talk(struct talk *talk, int port, const char *target, size_t payload_bytes) {
  talk->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (talk->epoll < 0) fail("epoll_create1");
  talk->port = port;
  talk->target = target;
  talk->payload_bytes = payload_bytes;
  talk->out_bytes = write_header(talk->out, BINARY, payload_bytes, 1);
  talk->back_bytes = write_header(talk->back, BINARY, payload_bytes, 0);
  for (size_t i = 0; i < payload_bytes; i += 1)
    talk->out[talk->out_bytes++] = talk->back[talk->back_bytes++] = (unsigned char)(i * 7 % 251);
}

void open_client(struct talk *talk, struct client *client) {
  char head[MAX_HEAD_BYTES];
  int length = snprintf(head, sizeof head,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: " SAMPLE_KEY "\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket" HEAD_END,
                        talk->target, talk->port);
  *client = (struct client){.socket = dial(talk->port), .state = OPENING};
  if (send(client->socket, head, (size_t)length, MSG_NOSIGNAL) != length) fail("send");
  watch(talk->epoll, client->socket, EPOLLIN, client);
}

static void send_rest(struct talk *talk, struct client *client) {
  while (client->sent < talk->out_bytes) {
    ssize_t sent = send(client->socket, talk->out + client->sent, talk->out_bytes - client->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      rewatch(talk->epoll, client->socket, EPOLLIN | EPOLLOUT, client);
      return;
    }
    if (sent < 0) fail("send");
    client->sent += (size_t)sent;
  }
}

void send_message(struct talk *talk, struct client *client) {
  client->sent = client->received = 0;
  send_rest(talk, client);
}

void send_close(struct client *client) {
  unsigned char frame[MAX_HEADER_BYTES];
  size_t bytes = write_header(frame, CLOSE, 0, 1);
  client->state = CLOSING;
  if (send(client->socket, frame, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) fail("send");
}

/* What comes before the first message is the answer alone: the other side speaks when it is spoken to. */
static void take_answer(struct client *client, const char *piece, size_t bytes) {
  size_t compared = sizeof SWITCHING - 1;
  if (client->received == 0 && (bytes < compared || memcmp(piece, SWITCHING, compared) != 0)) {
    fprintf(stderr, "refused: %.*s\n", (int)bytes, piece);
    exit(1);
  }
  client->received += bytes;
  if (bytes >= 4 && memcmp(piece + bytes - 4, HEAD_END, 4) == 0) client->state = TALKING;
}

static void take_message(struct talk *talk, struct client *client, const unsigned char *piece, size_t bytes) {
  size_t compared = bytes < COMPARED_BYTES ? bytes : COMPARED_BYTES;
  if (client->received + bytes > talk->back_bytes || memcmp(piece, talk->back + client->received, compared) != 0) {
    fprintf(stderr, "something else came back than was sent\n");
    exit(1);
  }
  client->received += bytes;
  if (client->received == talk->back_bytes) client->messages += 1;
}

int go_on(struct talk *talk, struct client *client) {
  static unsigned char piece[MAX_FRAME_BYTES];
  if (client->state == TALKING && client->sent > 0 && client->sent < talk->out_bytes) {
    send_rest(talk, client);
    if (client->sent == talk->out_bytes) rewatch(talk->epoll, client->socket, EPOLLIN, client);
  }
  ssize_t got = recv(client->socket, piece, sizeof piece, 0);
  if (got < 0 && errno == EAGAIN) return 1;
  if (got == 0 || (got < 0 && errno == ECONNRESET && client->state == CLOSING)) return 0;
  if (got < 0) fail("recv");
  if (client->state == OPENING) take_answer(client, (const char *)piece, (size_t)got);
  else if (client->state == TALKING) take_message(talk, client, piece, (size_t)got);
  return 1;
}
