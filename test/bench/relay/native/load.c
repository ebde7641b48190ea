/*
 * The clients of a proxy, all in one process:
 *   load messages PORT TARGET CONNECTIONS BYTES SECONDS   messages there and back, one under way on each connection
 *   load handshakes PORT TARGET CONNECTIONS BYTES SECONDS whole lives: connect, upgrade, one message, close
 *   load idle PORT TARGET CONNECTIONS BYTES               opens them, one message each, and keeps them open
 * Prints what was done as JSON. With `idle` that is once all are open; it ends with whoever holds its standard input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client.h"
#include "net.h"

enum { MAX_EVENTS = 256, MAX_CONNECTIONS = 16384 };

static struct talk talk;
static struct client clients[MAX_CONNECTIONS];

/* Before what is counted, s: buffers have grown then. */
static const double WARM_UP_SECONDS = 0.2;
static const int STALL_MS = 10000;

static int wait_for(struct epoll_event events[MAX_EVENTS]) {
  int count = epoll_wait(talk.epoll, events, MAX_EVENTS, STALL_MS);
  if (count < 0) fail("epoll_wait");
  if (count > 0) return count;
  fprintf(stderr, "nothing has come for %d ms\n", STALL_MS);
  exit(1);
}

static void require_open(int is_open) {
  if (is_open) return;
  fprintf(stderr, "the other side has closed\n");
  exit(1);
}

/* One after the other, so that no queue of connections overflows; each has had a message there and back. */
static void open_all(int connections) {
  struct epoll_event events[MAX_EVENTS];
  for (int i = 0; i < connections; i += 1) {
    struct client *client = &clients[i];
    open_client(&talk, client);
    while (client->messages == 0) {
      enum client_state before = client->state;
      wait_for(events);
      require_open(go_on(&talk, client));
      if (before == OPENING && client->state == TALKING) send_message(&talk, client);
    }
  }
}

static unsigned long exchange_until(double deadline, double *ended) {
  struct epoll_event events[MAX_EVENTS];
  unsigned long messages = 0;
  do {
    int count = wait_for(events);
    for (int i = 0; i < count; i += 1) {
      struct client *client = events[i].data.ptr;
      unsigned long before = client->messages;
      require_open(go_on(&talk, client));
      if (client->messages == before) continue;
      messages += 1;
      send_message(&talk, client);
    }
    *ended = now();
  } while (*ended < deadline);
  return messages;
}

static void run_messages(int connections, double seconds) {
  double started, ended;
  open_all(connections);
  for (int i = 0; i < connections; i += 1) send_message(&talk, &clients[i]);
  exchange_until(now() + WARM_UP_SECONDS, &started);
  unsigned long messages = exchange_until(started + seconds, &ended);
  printf("{\"count\":%lu,\"seconds\":%.6f}\n", messages, ended - started);
}

/* Gives 1 when a life has ended, after which the next one begins in its place. */
static int live_on(struct client *client) {
  enum client_state before = client->state;
  if (!go_on(&talk, client)) {
    require_open(client->state == CLOSING);
    close(client->socket);
    open_client(&talk, client);
    return 1;
  }
  if (before == OPENING && client->state == TALKING) send_message(&talk, client);
  else if (client->messages == 1 && client->state == TALKING) send_close(client);
  return 0;
}

static void run_handshakes(int connections, double seconds) {
  struct epoll_event events[MAX_EVENTS];
  unsigned long lives = 0;
  for (int i = 0; i < connections; i += 1) open_client(&talk, &clients[i]);
  double started = now(), ended = started;
  while (ended < started + seconds) {
    int count = wait_for(events);
    for (int i = 0; i < count; i += 1) lives += (unsigned long)live_on(events[i].data.ptr);
    ended = now();
  }
  printf("{\"count\":%lu,\"seconds\":%.6f}\n", lives, ended - started);
}

static void run_idle(int connections) {
  char byte;
  open_all(connections);
  printf("{\"count\":%d}\n", connections);
  fflush(stdout);
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
}

int main(int count, char **arguments) {
  if (count < 6) {
    fprintf(stderr, "usage: load messages|handshakes|idle PORT TARGET CONNECTIONS BYTES [SECONDS]\n");
    return 2;
  }
  const char *what = arguments[1];
  int connections = atoi(arguments[4]);
  size_t payload_bytes = (size_t)atol(arguments[5]);
  double seconds = count > 6 ? atof(arguments[6]) : 0;
  if (connections < 1 || connections > MAX_CONNECTIONS || payload_bytes > MAX_PAYLOAD_BYTES) return 2;
  prepare_talk(&talk, atoi(arguments[2]), arguments[3], payload_bytes);
  if (strcmp(what, "messages") == 0) run_messages(connections, seconds);
  else if (strcmp(what, "handshakes") == 0) run_handshakes(connections, seconds);
  else run_idle(connections);
  return 0;
}
