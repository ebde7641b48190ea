#include "net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { BACKLOG = 4096 };

void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in address_of(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

void set_no_delay(int socket) {
  int yes = 1;
  if (setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) fail("setsockopt");
}

int dial(int port) {
  struct sockaddr_in address = address_of(port);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (client < 0) fail("socket");
  /* Over loopback this is done at once, so that it may block. */
  if (connect(client, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  if (fcntl(client, F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
  set_no_delay(client);
  return client;
}

int listen_anywhere(int *port) {
  struct sockaddr_in address = address_of(0);
  socklen_t length = sizeof address;
  int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (server < 0) fail("socket");
  if (bind(server, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
  if (listen(server, BACKLOG) != 0) fail("listen");
  if (getsockname(server, (struct sockaddr *)&address, &length) != 0) fail("getsockname");
  *port = ntohs(address.sin_port);
  return server;
}

static void control(int epoll, int operation, int socket, uint32_t events, void *data) {
  struct epoll_event event = {.events = events, .data = {.ptr = data}};
  if (epoll_ctl(epoll, operation, socket, &event) != 0) fail("epoll_ctl");
}

void watch(int epoll, int socket, uint32_t events, void *data) {
  control(epoll, EPOLL_CTL_ADD, socket, events, data);
}

void rewatch(int epoll, int socket, uint32_t events, void *data) {
  control(epoll, EPOLL_CTL_MOD, socket, events, data);
}

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
