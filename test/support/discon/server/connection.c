#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Closing with unread bytes resets the connection; so long they are still read, ms. */
static const int LINGER_MS = 1000;

long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static long receive(struct connection *connection, void *into, size_t length) {
  for (;;) {
    if (connection->read_deadline_ms != 0) {
      long long left_ms = connection->read_deadline_ms - now_ms();
      struct pollfd poll_in = {.fd = connection->socket, .events = POLLIN};
      if (left_ms <= 0 || poll(&poll_in, 1, (int)left_ms) == 0) return -1;
    }
    long got = recv(connection->socket, into, length, 0);
    if (got >= 0 || errno != EINTR) return got;
  }
}

long read_ahead(struct connection *connection) {
  size_t room = READ_AHEAD_BYTES - connection->ahead_end;
  if (room == 0) return -1;
  long got = receive(connection, connection->ahead + connection->ahead_end, room);
  if (got > 0) connection->ahead_end += (size_t)got;
  return got;
}

int read_exactly(struct connection *connection, void *into, size_t length) {
  unsigned char *target = into;
  size_t ready = connection->ahead_end - connection->ahead_start;
  size_t taken = ready < length ? ready : length;
  memcpy(target, connection->ahead + connection->ahead_start, taken);
  connection->ahead_start += taken;
  while (taken < length) {
    long got = receive(connection, target + taken, length - taken);
    if (got <= 0) return -1;
    taken += (size_t)got;
  }
  return 0;
}

int write_all(struct connection *connection, const void *from, size_t length) {
  const unsigned char *source = from;
  while (length > 0) {
    long sent = send(connection->socket, source, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return -1;
    source += sent;
    length -= (size_t)sent;
  }
  return 0;
}

void end_politely(struct connection *connection) {
  unsigned char unread[1024];
  shutdown(connection->socket, SHUT_WR);
  connection->read_deadline_ms = now_ms() + LINGER_MS;
  while (receive(connection, unread, sizeof unread) > 0) continue;
}
