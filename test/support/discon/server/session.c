#include "session.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "handshake.h"
#include "library.h"
#include "payload.h"
#include "request.h"
#include "transfer.h"
#include "web-socket.h"

/* This name of a function asks for every message to be sent back as it came; nothing is loaded for it. */
static const char ECHO_PROC[] = "ECHO";
/* Without debugging, a connection that sends nothing for so long is dropped. */
static const long long IDLE_LIMIT_MS = 5000;

enum {
  MAX_MESSAGE_BYTES = 16 * 1024 * 1024,
  MAX_ECHO_BYTES = 256 * 1024 * 1024,
  FLOOD_FRAME_BYTES = 64 * 1024,
  GARBAGE_BYTES = 256,
  /* A controller may look at more of the swap array than a client sends, and write more than it asks for. */
  SPARE_BYTES = 1024,
};

struct arguments {
  float *swap;
  char *in_file;
  char *out_name;
  char *message;
};

static void *with_room(const unsigned char *from, size_t length) {
  unsigned char *copy = calloc(1, length + SPARE_BYTES);
  if (copy != NULL) memcpy(copy, from, length);
  return copy;
}

static void free_arguments(struct arguments *arguments) {
  free(arguments->swap);
  free(arguments->in_file);
  free(arguments->out_name);
  free(arguments->message);
}

/* Runs the controller, and puts what it made of its arguments where they came from. */
static int call_controller(controller_function *call, const struct payload *payload) {
  int fail;
  struct arguments arguments = {
      .swap = with_room(payload->swap, (size_t)payload->swap_count * 4),
      .in_file = with_room(payload->in_file, payload->in_file_length),
      .out_name = with_room(payload->out_name, payload->out_name_length),
      .message = with_room(payload->message, payload->message_length),
  };
  int has_room = arguments.swap && arguments.in_file && arguments.out_name && arguments.message;
  if (has_room) {
    memcpy(&fail, payload->fail, sizeof fail);
    call(arguments.swap, &fail, arguments.in_file, arguments.out_name, arguments.message);
    memcpy(payload->swap, arguments.swap, (size_t)payload->swap_count * 4);
    memcpy(payload->fail, &fail, sizeof fail);
    memcpy(payload->in_file, arguments.in_file, payload->in_file_length);
    memcpy(payload->out_name, arguments.out_name, payload->out_name_length);
    memcpy(payload->message, arguments.message, payload->message_length);
  }
  free_arguments(&arguments);
  return has_room ? 0 : -1;
}

static void answer_calls(struct connection *connection, controller_function *call, int debug) {
  struct message message = {0};
  struct transferred_file *files = NULL;
  struct payload payload;
  for (;;) {
    connection->read_deadline_ms = debug == 0 ? now_ms() + IDLE_LIMIT_MS : 0;
    if (read_message(connection, &message, MAX_MESSAGE_BYTES) != 0) break;
    if (message.opcode == OPCODE_TEXT) continue;
    if (parse_payload(message.data, message.length, &payload) != 0) break;
    if (is_transfer(&payload)) {
      if (take_transfer(connection, &payload, &files) != 0) break;
    } else {
      if (call_controller(call, &payload) != 0) break;
      if (write_message(connection, OPCODE_BINARY, message.data, payload.total) != 0) break;
    }
  }
  delete_transferred(files);
  free(message.data);
}

static void echo(struct connection *connection) {
  struct message message = {0};
  while (read_message(connection, &message, MAX_ECHO_BYTES) == 0)
    if (write_message(connection, message.opcode, message.data, message.length) != 0) break;
  free(message.data);
}

static void flood(struct connection *connection) {
  static const unsigned char frame[FLOOD_FRAME_BYTES];
  while (write_message(connection, OPCODE_BINARY, frame, sizeof frame) == 0) continue;
}

static int has_token(const char *value, const char *token) {
  size_t length = strlen(token);
  for (; value != NULL && *value != '\0'; value += strcspn(value, ",")) {
    value += strspn(value, ", \t");
    if (strncasecmp(value, token, length) == 0 && strchr(", \t", value[length]) != NULL) return 1;
  }
  return 0;
}

/* A page of another site is not let in; what is no browser says nothing of where it comes from. */
static int is_same_origin(const struct request *request) {
  const char *origin = header_of(request, "Origin");
  const char *host = header_of(request, "Host");
  if (origin == NULL) return 1;
  const char *scheme_end = strstr(origin, "://");
  return scheme_end != NULL && host != NULL && strcasecmp(scheme_end + 3, host) == 0;
}

static int accept_upgrade(struct connection *connection, const struct request *request) {
  const char *key = header_of(request, "Sec-WebSocket-Key");
  const char *version = header_of(request, "Sec-WebSocket-Version");
  char accept[ACCEPT_LENGTH + 1];
  char answer[256];
  if (strcmp(request->method, "GET") != 0) {
    refuse(connection, 405, "Method Not Allowed");
    return -1;
  }
  if (!has_token(header_of(request, "Connection"), "upgrade") || !has_token(header_of(request, "Upgrade"), "websocket") ||
      version == NULL || strcmp(version, "13") != 0 || key == NULL || key[0] == '\0') {
    refuse(connection, 400, "Bad Request");
    return -1;
  }
  if (!is_same_origin(request)) {
    refuse(connection, 403, "Forbidden");
    return -1;
  }
  accept_key(key, accept);
  int length = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\n"
                        "Upgrade: websocket\r\n"
                        "Connection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n",
                        accept);
  return write_all(connection, answer, (size_t)length);
}

static void upgrade_and_serve(struct connection *connection, const struct request *request, controller_function *call,
                              const struct switches *switches) {
  if (accept_upgrade(connection, request) != 0) return;
  if (switches->die_after_101) _exit(1);
  if (switches->drop_after_101) return;
  if (switches->flood) flood(connection);
  else if (call == NULL) echo(connection);
  else answer_calls(connection, call, switches->debug);
}

static void load_and_serve(struct connection *connection, const struct request *request, const struct query *query,
                           int connection_id, const struct switches *switches) {
  char error[READ_AHEAD_BYTES + 64];
  struct library library = {0};
  if (!is_library_file(query->path)) {
    snprintf(error, sizeof error, "Controller not found at '%s'", query->path);
    refuse(connection, 500, error);
  } else if (strcmp(query->proc, ECHO_PROC) == 0) {
    upgrade_and_serve(connection, request, NULL, switches);
  } else {
    if (open_library(&library, query->path, query->proc, connection_id, error, sizeof error) == 0)
      upgrade_and_serve(connection, request, library.call, switches);
    else refuse(connection, 500, error);
    close_library(&library);
  }
}

/* Whether a switch has taken the connection over. */
static int is_switched_off(struct connection *connection, const struct switches *switches) {
  static atomic_long refused;
  static const unsigned char garbage[GARBAGE_BYTES] = {0xde, 0xad, 0xbe, 0xef};
  unsigned char unread;
  if (switches->hang_upgrade) {
    while (read_exactly(connection, &unread, 1) == 0) continue;
    return 1;
  }
  if (switches->garbage) {
    if (write_all(connection, garbage, sizeof garbage) == 0) end_politely(connection);
    return 1;
  }
  if (switches->refuse == NULL) return 0;
  if (switches->refuse_count >= 0 && atomic_fetch_add(&refused, 1) >= switches->refuse_count) return 0;
  refuse(connection, 500, switches->refuse);
  return 1;
}

void serve(struct connection *connection, int connection_id, const struct switches *switches) {
  struct request *request = calloc(1, sizeof *request);
  struct query *query = calloc(1, sizeof *query);
  char reason[128];
  char error[256];
  if (request != NULL && query != NULL && read_request(connection, request) == 0) {
    if (strcmp(request->path, "/ws") != 0) {
      refuse(connection, 404, "404 page not found");
    } else if (!is_switched_off(connection, switches)) {
      if (parse_query(request->query, query, reason, sizeof reason) == 0) {
        load_and_serve(connection, request, query, connection_id, switches);
      } else {
        snprintf(error, sizeof error, "Error parsing url parameters: %s", reason);
        refuse(connection, 500, error);
      }
    }
  }
  free(request);
  free(query);
}
