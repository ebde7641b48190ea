#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *reason_of(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    default: return "Internal Server Error";
  }
}

static int split_request_line(struct request *request) {
  char *after_method = strchr(request->head, ' ');
  if (after_method == NULL) return -1;
  char *after_target = strchr(after_method + 1, ' ');
  if (after_target == NULL) return -1;
  *after_method = '\0';
  *after_target = '\0';
  request->method = request->head;
  request->path = after_method + 1;
  char *mark = strchr(request->path, '?');
  if (mark != NULL) *mark = '\0';
  /* Without a query, what follows the path is its own end. */
  request->query = mark != NULL ? mark + 1 : after_target;
  return 0;
}

int read_request(struct connection *connection, struct request *request) {
  char *end = NULL;
  while (end == NULL) {
    if (read_ahead(connection) <= 0) return -1;
    end = memmem(connection->ahead, connection->ahead_end, "\r\n\r\n", 4);
  }
  request->length = (size_t)(end - (char *)connection->ahead) + 2;
  memcpy(request->head, connection->ahead, request->length);
  request->head[request->length] = '\0';
  connection->ahead_start = request->length + 2;
  if (memchr(request->head, '\0', request->length) != NULL) return -1;
  for (char *line = strstr(request->head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
    line[0] = line[1] = '\0';
  return split_request_line(request);
}

const char *header_of(const struct request *request, const char *name) {
  const char *end = request->head + request->length;
  size_t name_length = strlen(name);
  /* The first line holds zero bytes of its own; the headers begin after its last word, the version. */
  const char *line = request->query + strlen(request->query) + 1;
  for (line += strlen(line) + 2; line < end; line += strlen(line) + 2) {
    if (strncasecmp(line, name, name_length) != 0 || line[name_length] != ':') continue;
    const char *value = line + name_length + 1;
    return value + strspn(value, " \t");
  }
  return NULL;
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

static int unescape(const char *from, size_t length, char *into, char *error, size_t error_length) {
  for (size_t at = 0; at < length; at += 1) {
    if (from[at] == '%') {
      int high = at + 2 < length ? hex_value(from[at + 1]) : -1;
      int low = high >= 0 ? hex_value(from[at + 2]) : -1;
      if (low < 0) {
        int shown = (int)(length - at < 3 ? length - at : 3);
        snprintf(error, error_length, "invalid URL escape \"%.*s\"", shown, from + at);
        return -1;
      }
      *into++ = (char)(high * 16 + low);
      at += 2;
    } else {
      *into++ = from[at] == '+' ? ' ' : from[at];
    }
  }
  *into = '\0';
  return 0;
}

static int parse_pair(const char *pair, size_t length, struct query *query, char *error, size_t error_length) {
  char name[READ_AHEAD_BYTES];
  char value[READ_AHEAD_BYTES];
  if (memchr(pair, ';', length) != NULL) {
    snprintf(error, error_length, "invalid semicolon separator in query");
    return -1;
  }
  const char *equals = memchr(pair, '=', length);
  size_t name_length = equals != NULL ? (size_t)(equals - pair) : length;
  size_t value_length = equals != NULL ? length - name_length - 1 : 0;
  if (unescape(pair, name_length, name, error, error_length) != 0) return -1;
  if (unescape(pair + length - value_length, value_length, value, error, error_length) != 0) return -1;
  if (strcmp(name, "path") == 0 && !query->has_path++) strcpy(query->path, value);
  if (strcmp(name, "proc") == 0 && !query->has_proc++) strcpy(query->proc, value);
  return 0;
}

int parse_query(const char *text, struct query *query, char *error, size_t error_length) {
  query->has_path = query->has_proc = 0;
  query->path[0] = query->proc[0] = '\0';
  for (const char *pair = text; *pair != '\0';) {
    size_t length = strcspn(pair, "&");
    if (length > 0 && parse_pair(pair, length, query, error, error_length) != 0) return -1;
    pair += length + (pair[length] == '&' ? 1 : 0);
  }
  return 0;
}

void refuse(struct connection *connection, int status, const char *text) {
  char head[512];
  int length = snprintf(head, sizeof head,
                        "HTTP/1.1 %d %s\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "X-Content-Type-Options: nosniff\r\n"
                        "Content-Length: %zu\r\n"
                        "Connection: close\r\n\r\n",
                        status, reason_of(status), strlen(text) + 1);
  if (write_all(connection, head, (size_t)length) != 0) return;
  if (write_all(connection, text, strlen(text)) != 0 || write_all(connection, "\n", 1) != 0) return;
  end_politely(connection);
}
