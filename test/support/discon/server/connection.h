/* Bytes to and from one TCP connection, with what was read too far, and a deadline for reads. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stddef.h>

enum { READ_AHEAD_BYTES = 16384 };

struct connection {
  int socket;
  /* On the clock of now_ms(); 0 for none. */
  long long read_deadline_ms;
  size_t ahead_start;
  size_t ahead_end;
  unsigned char ahead[READ_AHEAD_BYTES];
};

long long now_ms(void);

/* Both give 0, or -1 when the connection is over or the deadline has passed. */
int read_exactly(struct connection *connection, void *into, size_t length);
int write_all(struct connection *connection, const void *from, size_t length);

/* Reads more into `ahead`. Gives how many bytes came, 0 at the end, -1 on failure or when there is no room. */
long read_ahead(struct connection *connection);

/* Ends the connection, and lets the other side read what was written first. */
void end_politely(struct connection *connection);

#endif
