/* One connection from its first byte to its last. */
#ifndef SESSION_H
#define SESSION_H

#include "connection.h"
#include "switches.h"

void serve(struct connection *connection, int connection_id, const struct switches *switches);

#endif
