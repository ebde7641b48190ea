/* Files that a client sends ahead of its calls. They go when its connection ends. */
#ifndef TRANSFER_H
#define TRANSFER_H

#include "connection.h"
#include "payload.h"

struct transferred_file {
  struct transferred_file *next;
  char name[];
};

/* Writes the file and answers. 0, or -1 when the connection is over. */
int take_transfer(struct connection *connection, const struct payload *payload, struct transferred_file **files);

void delete_transferred(struct transferred_file *files);

#endif
