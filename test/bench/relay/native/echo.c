/*
 * The echo that all proxies stand in front of: agrees to every WebSocket, sends each message back when all of it is there,
 * and closes after a close frame. Prints its port; ends with whoever holds its standard input.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "handshake.h"
#include "net.h"

enum { MAX_EVENTS = 256 };

static const char AGREED[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: " SAMPLE_ACCEPT HEAD_END;

struct connection {
  int socket;
  int is_open;
  /* What has come, and is not a whole frame yet. */
  size_t bytes;
  /* What is on its way back, inside the buffer. */
  size_t out_at, out_end;
  unsigned char buffer[MAX_FRAME_BYTES];
};

static int epoll;

static void end_connection(struct connection *connection) {
  close(connection->socket);
  free(connection);
}

/* Gives 0 when the connection is over. While something is left nothing more is read. */
static int send_out(struct connection *connection) {
  while (connection->out_at < connection->out_end) {
    const unsigned char *from = connection->buffer + connection->out_at;
    ssize_t sent = send(connection->socket, from, connection->out_end - connection->out_at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
      rewatch(epoll, connection->socket, EPOLLOUT, connection);
      return 1;
    }
    if (sent < 0) return 0;
    connection->out_at += (size_t)sent;
  }
  return 1;
}

/* Only one message is ever on its way, so that the buffer holds nothing behind it. */
static int answer_frame(struct connection *connection) {
  struct frame frame;
  unsigned char header[MAX_HEADER_BYTES];
  if (!read_header(connection->buffer, connection->bytes, &frame)) return 1;
  if (frame.payload_bytes > MAX_PAYLOAD_BYTES) return 0;
  if (connection->bytes < frame.header_bytes + frame.payload_bytes) return 1;
  size_t header_bytes = write_header(header, frame.opcode, frame.payload_bytes, 0);
  connection->out_at = frame.header_bytes - header_bytes;
  connection->out_end = frame.header_bytes + frame.payload_bytes;
  memcpy(connection->buffer + connection->out_at, header, header_bytes);
  connection->bytes = 0;
  return send_out(connection) && frame.opcode != CLOSE;
}

static int answer_handshake(struct connection *connection) {
  if (connection->bytes >= MAX_HEAD_BYTES) return 0;
  connection->buffer[connection->bytes] = '\0';
  const char *end = strstr((const char *)connection->buffer, HEAD_END);
  if (end == NULL) return 1;
  size_t head_bytes = (size_t)(end - (const char *)connection->buffer) + sizeof HEAD_END - 1;
  connection->is_open = 1;
  connection->bytes -= head_bytes;
  memmove(connection->buffer, connection->buffer + head_bytes, connection->bytes);
  if (send(connection->socket, AGREED, sizeof AGREED - 1, MSG_NOSIGNAL) != sizeof AGREED - 1) return 0;
  return answer_frame(connection);
}

static int read_in(struct connection *connection) {
  unsigned char *to = connection->buffer + connection->bytes;
  ssize_t got = recv(connection->socket, to, sizeof connection->buffer - connection->bytes, 0);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return 0;
  connection->bytes += (size_t)got;
  return connection->is_open ? answer_frame(connection) : answer_handshake(connection);
}

static int write_on(struct connection *connection) {
  if (!send_out(connection)) return 0;
  if (connection->out_at == connection->out_end) rewatch(epoll, connection->socket, EPOLLIN, connection);
  return 1;
}

static void take_connections(int server) {
  for (int client; (client = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) fail("malloc");
    connection->socket = client;
    connection->is_open = 0;
    connection->bytes = connection->out_at = connection->out_end = 0;
    set_no_delay(client);
    watch(epoll, client, EPOLLIN, connection);
  }
}

int main(void) {
  int port, server = listen_anywhere(&port);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  watch(epoll, server, EPOLLIN, &server);
  watch(epoll, STDIN_FILENO, EPOLLIN, NULL);
  printf("{\"port\":%d}\n", port);
  fflush(stdout);
  for (struct epoll_event events[MAX_EVENTS];;) {
    int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i += 1) {
      struct connection *connection = events[i].data.ptr;
      if (connection == NULL) return 0;
      if ((void *)connection == (void *)&server) take_connections(server);
      else if (!((events[i].events & EPOLLOUT) != 0 ? write_on(connection) : read_in(connection)))
        end_connection(connection);
    }
  }
}
