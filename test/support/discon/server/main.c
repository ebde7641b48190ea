/*
 * A server of controllers for tests, which speaks as the servers do that are already in use: a WebSocket for each client,
 * a controller of its own behind each. A controller that crashes takes the process with it, there as here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "session.h"
#include "switches.h"

enum { DEFAULT_PORT = 8080, BACKLOG = 128, MAX_CONNECTION_IDS = 8192, STACK_BYTES = 1024 * 1024 };

struct job {
  struct connection connection;
  int connection_id;
  const struct switches *switches;
};

static void end_on_signal(int signal_number) { _exit(128 + signal_number); }

static void *run_job(void *argument) {
  struct job *job = argument;
  serve(&job->connection, job->connection_id, job->switches);
  close(job->connection.socket);
  free(job);
  return NULL;
}

static void start_job(int socket, int connection_id, const struct switches *switches) {
  int yes = 1;
  pthread_t thread;
  pthread_attr_t attributes;
  struct job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    close(socket);
    return;
  }
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  job->connection.socket = socket;
  job->connection_id = connection_id;
  job->switches = switches;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  if (pthread_create(&thread, &attributes, run_job, job) != 0) {
    close(socket);
    free(job);
  }
  pthread_attr_destroy(&attributes);
}

static int listen_on(int port) {
  int yes = 1;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, BACKLOG) != 0) {
    fprintf(stderr, "cannot listen on port %d: %s\n", port, strerror(errno));
    exit(1);
  }
  return listener;
}

static int flag_of(int count, char **words, const char *name, int otherwise) {
  size_t length = strlen(name);
  for (int i = 1; i < count; i += 1)
    if (strncmp(words[i], name, length) == 0 && words[i][length] == '=') return atoi(words[i] + length + 1);
  return otherwise;
}

int main(int count, char **words) {
  struct switches switches = read_switches();
  int port = flag_of(count, words, "--port", DEFAULT_PORT);
  switches.debug = flag_of(count, words, "--debug", 0);
  /* The first process of a container is not ended by a signal that it does not handle. */
  signal(SIGTERM, switches.ignore_term ? SIG_IGN : end_on_signal);
  signal(SIGINT, switches.ignore_term ? SIG_IGN : end_on_signal);

  fprintf(stderr, "Started discon-server v0.2.0\n");
  if (switches.debug >= 1)
    fprintf(stderr, "discon-server: Server initialized with debug level %d\n", switches.debug);
  struct timespec delay = {.tv_sec = switches.start_delay_ms / 1000,
                           .tv_nsec = switches.start_delay_ms % 1000 * 1000000};
  nanosleep(&delay, NULL);
  int listener = listen_on(port);
  if (switches.debug >= 1) fprintf(stderr, "Listening on port %d\n", port);

  for (int next_id = 0;; next_id = (next_id + 1) % MAX_CONNECTION_IDS) {
    int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (socket >= 0) start_job(socket, next_id, &switches);
  }
}
