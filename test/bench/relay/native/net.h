/* Sockets of loopback that never block, and how a program of the benchmark gives up. */
#ifndef NET_H
#define NET_H

#include <stdint.h>

/* Says what could not be done, and ends the process. */
void fail(const char *what) __attribute__((noreturn));

/* A connection to a port of this host. */
int dial(int port);

/* Listens on a free port of this host, which is put into `port`. */
int listen_anywhere(int *port);

void set_no_delay(int socket);

/* Adds a socket to an epoll, or changes what is waited for. `data` comes back with its events. */
void watch(int epoll, int socket, uint32_t events, void *data);
void rewatch(int epoll, int socket, uint32_t events, void *data);

/* A clock that only goes forward, s. */
double now(void);

#endif
