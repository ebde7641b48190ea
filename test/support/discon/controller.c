/*
 * Stands for the controller of a wind turbine: the function that a simulator calls at each step, with the state that such
 * functions keep between calls. What it does is simple enough to be foretold by a test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Places in the swap array. Those from 48 on are what simulators use; the others are this controller's own. */
enum {
  SWAP_CALLS = 0,      /* out: how often this function was called */
  SWAP_SUM = 1,        /* out: all that was ever in SWAP_INPUT */
  SWAP_INPUT = 2,      /* in */
  SWAP_SLEEP_MS = 3,   /* in: answers so much later */
  SWAP_CRASH = 4,      /* in: other than zero ends the process */
  SWAP_FAIL = 5,       /* in: what is to be in aviFAIL */
  SWAP_FILE_BYTES = 6, /* out: the size of the input file, zero without one */
  SWAP_FILE_SUM = 7,   /* out: the sum of its bytes */
  SWAP_MSG_BYTES = 48,
  SWAP_OUT_BYTES = 63,
};

struct counter {
  unsigned calls;
  float sum;
};

/* The pointer is volatile too: a compiler that knows where it points may leave the write away. */
static void crash(void) {
  volatile int *volatile nowhere = NULL;
  *nowhere = 1;
}

static void sleep_ms(long ms) {
  struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

static void look_at_file(const char *name, float *swap) {
  float bytes = 0, sum = 0;
  FILE *file = fopen(name, "rb");
  if (file != NULL) {
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
      bytes += 1;
      sum += (float)byte;
    }
    fclose(file);
  }
  swap[SWAP_FILE_BYTES] = bytes;
  swap[SWAP_FILE_SUM] = sum;
}

static void step(const char *function, struct counter *counter, float *swap, int *fail, const char *in_file,
                 char *out_name, char *message) {
  const char *name = getenv("CONTROLLER_NAME");
  counter->calls += 1;
  counter->sum += swap[SWAP_INPUT];
  if (swap[SWAP_CRASH] != 0) crash();
  if (swap[SWAP_SLEEP_MS] > 0) sleep_ms((long)swap[SWAP_SLEEP_MS]);
  swap[SWAP_CALLS] = (float)counter->calls;
  swap[SWAP_SUM] = counter->sum;
  *fail = (int)swap[SWAP_FAIL];
  look_at_file(in_file, swap);
  /* Tells which of several images answered. */
  if (name != NULL) snprintf(out_name, (size_t)swap[SWAP_OUT_BYTES], "%s", name);
  snprintf(message, (size_t)swap[SWAP_MSG_BYTES], "%s called %u times", function, counter->calls);
}

#define EXPORT(function)                                                                                       \
  void function(float *avrSWAP, int *aviFAIL, char *accINFILE, char *avcOUTNAME, char *avcMSG);               \
  void function(float *avrSWAP, int *aviFAIL, char *accINFILE, char *avcOUTNAME, char *avcMSG) {              \
    static struct counter counter;                                                                             \
    step(#function, &counter, avrSWAP, aviFAIL, accINFILE, avcOUTNAME, avcMSG);                                \
  }

#ifndef WITHOUT_DISCON
EXPORT(DISCON)
#endif
/* Another function of the same library, with a state of its own. */
EXPORT(CONTROL)

#ifdef CRASH_AT_LOAD
__attribute__((constructor)) static void crash_at_load(void) { crash(); }
#endif
