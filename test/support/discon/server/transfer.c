#include "transfer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "web-socket.h"

/* The answer is of one size: a header, one float, a number, two empty strings and a text of fixed size. */
enum { TEXT_BYTES = 256, REPLY_BYTES = HEADER_BYTES + 4 + 4 + 1 + 1 + TEXT_BYTES };

static const char *const FORBIDDEN[] = {"../", "/..", "~", "$", "|", ";", "&", "\\"};

static const char *forbidden_part(const char *name) {
  for (size_t i = 0; i < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; i += 1)
    if (strstr(name, FORBIDDEN[i]) != NULL) return FORBIDDEN[i];
  return NULL;
}

/* The root by itself counts as a bare name, and fails to open. */
static int is_bare_name(const char *name) {
  return name[0] != '\0' && (strchr(name, '/') == NULL || strcmp(name, "/") == 0);
}

static void describe_failure(char text[TEXT_BYTES], const char *what, const char *verb, const char *name) {
  char reason[128];
  snprintf(reason, sizeof reason, "%s", strerror(errno));
  reason[0] = (char)tolower((unsigned char)reason[0]);
  snprintf(text, TEXT_BYTES, "%s: %s %.80s: %s", what, verb, name, reason);
}

static int write_file(const char *name, const struct payload *payload, char text[TEXT_BYTES]) {
  int file = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) {
    describe_failure(text, "Failed to create file", "open", name);
    return -1;
  }
  size_t written = 0;
  while (written < payload->content_length) {
    long step = write(file, payload->content + written, payload->content_length - written);
    if (step <= 0) break;
    written += (size_t)step;
  }
  if (written < payload->content_length) describe_failure(text, "Failed to write file", "write", name);
  close(file);
  return written < payload->content_length ? -1 : 0;
}

static void remember(struct transferred_file **files, const char *name) {
  struct transferred_file *file = malloc(sizeof *file + strlen(name) + 1);
  if (file == NULL) return;
  strcpy(file->name, name);
  file->next = *files;
  *files = file;
}

static int store(const struct payload *payload, const char *name, struct transferred_file **files,
                 char text[TEXT_BYTES]) {
  const char *forbidden = forbidden_part(name);
  if (forbidden != NULL) {
    snprintf(text, TEXT_BYTES, "Security error: filename contains invalid pattern: %s", forbidden);
    return -1;
  }
  if (!is_bare_name(name)) {
    snprintf(text, TEXT_BYTES, "Security error: filename must not contain path separators");
    return -1;
  }
  if (write_file(name, payload, text) != 0) return -1;
  remember(files, name);
  snprintf(text, TEXT_BYTES, "File transferred successfully: %s", name);
  return 0;
}

int take_transfer(struct connection *connection, const struct payload *payload, struct transferred_file **files) {
  unsigned char reply[REPLY_BYTES] = {[0] = 1, [4] = 1, [8] = 1, [12] = TEXT_BYTES & 255, [13] = TEXT_BYTES >> 8};
  char *name = strndup((const char *)payload->name, payload->name_length);
  if (name == NULL) return -1;
  char *text = (char *)reply + REPLY_BYTES - TEXT_BYTES;
  int has_failed = store(payload, name, files, text) != 0;
  reply[HEADER_BYTES + 4] = (unsigned char)has_failed;
  free(name);
  return write_message(connection, OPCODE_BINARY, reply, sizeof reply);
}

void delete_transferred(struct transferred_file *files) {
  while (files != NULL) {
    struct transferred_file *next = files->next;
    unlink(files->name);
    free(files);
    files = next;
  }
}
