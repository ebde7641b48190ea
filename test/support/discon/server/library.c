#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int is_library_file(const char *path) {
  struct stat found;
  return stat(path, &found) == 0 && !S_ISDIR(found.st_mode);
}

static int copy_bytes(int from, int to) {
  char buffer[65536];
  for (;;) {
    long got = read(from, buffer, sizeof buffer);
    if (got <= 0) return (int)got;
    if (write(to, buffer, (size_t)got) != got) return -1;
  }
}

static int duplicate(const char *path, char *copy) {
  int from = open(path, O_RDONLY | O_CLOEXEC);
  if (from < 0) return -1;
  int to = mkstemp(copy);
  int result = to < 0 ? -1 : copy_bytes(from, to);
  int reason = errno;
  close(from);
  if (to >= 0) close(to);
  else copy[0] = '\0';
  errno = reason;
  return result;
}

int open_library(struct library *library, const char *path, const char *proc, int connection_id, char *error,
                 size_t error_length) {
  const char *slash = strrchr(path, '/');
  const char *name = slash != NULL ? slash + 1 : path;
  /* With a folder in its name it is not looked for where the system's libraries are. */
  int length = snprintf(library->copy, sizeof library->copy, "./%.255s-%03d-XXXXXX", name, connection_id);
  if (length >= (int)sizeof library->copy || duplicate(path, library->copy) != 0) {
    snprintf(error, error_length, "Error duplicating controller: %s", strerror(errno));
    return -1;
  }
  library->handle = dlopen(library->copy, RTLD_NOW | RTLD_LOCAL);
  if (library->handle == NULL) {
    snprintf(error, error_length, "Error loading shared library");
    return -1;
  }
  *(void **)&library->call = dlsym(library->handle, proc);
  if (library->call == NULL) {
    snprintf(error, error_length, "Error loading function from shared library");
    return -1;
  }
  return 0;
}

void close_library(struct library *library) {
  if (library->handle != NULL) dlclose(library->handle);
  if (library->copy[0] != '\0') unlink(library->copy);
}
