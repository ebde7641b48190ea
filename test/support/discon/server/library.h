/* The shared library of a controller. Each connection loads a copy, so that each has a static state of its own. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <stddef.h>

typedef void controller_function(float *swap, int *fail, char *in_file, char *out_name, char *message);

struct library {
  void *handle;
  controller_function *call;
  /* The name of the copy, in the working directory. */
  char copy[512];
};

int is_library_file(const char *path);

/* 0, or -1 with the text to refuse the connection with. Close it either way. */
int open_library(struct library *library, const char *path, const char *proc, int connection_id, char *error,
                 size_t error_length);

void close_library(struct library *library);

#endif
