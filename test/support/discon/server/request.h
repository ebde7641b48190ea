/* The HTTP request that a WebSocket begins with. */
#ifndef REQUEST_H
#define REQUEST_H

#include "connection.h"

struct request {
  /* All of it, up to the empty line, each line ended by a zero byte. */
  char head[READ_AHEAD_BYTES + 1];
  size_t length;
  char *method;
  char *path;
  /* What follows the question mark; empty without one. */
  char *query;
};

/* What the query says; the first of several values of one name counts. */
struct query {
  int has_path;
  int has_proc;
  char path[READ_AHEAD_BYTES];
  char proc[READ_AHEAD_BYTES];
};

/* 0, or -1 when no request came. */
int read_request(struct connection *connection, struct request *request);

/* The value of a header, whose name is compared without regard to case; NULL without one. */
const char *header_of(const struct request *request, const char *name);

/* 0, or -1 with what is wrong in `error`. */
int parse_query(const char *text, struct query *query, char *error, size_t error_length);

/* Answers with plain text and a line feed, as an error of HTTP. */
void refuse(struct connection *connection, int status, const char *text);

#endif
