#include "switches.h"

#include <stdlib.h>

static int is_on(const char *name) {
  const char *value = getenv(name);
  return value != NULL && value[0] != '\0' && value[0] != '0';
}

static long number_of(const char *name, long otherwise) {
  const char *value = getenv(name);
  return value != NULL ? strtol(value, NULL, 10) : otherwise;
}

struct switches read_switches(void) {
  return (struct switches){
      .start_delay_ms = number_of("START_DELAY_MS", 0),
      .refuse = getenv("REFUSE"),
      .refuse_count = number_of("REFUSE_COUNT", -1),
      .hang_upgrade = is_on("HANG_UPGRADE"),
      .garbage = is_on("GARBAGE"),
      .drop_after_101 = is_on("DROP_AFTER_101"),
      .die_after_101 = is_on("DIE_AFTER_101"),
      .flood = is_on("FLOOD"),
      .ignore_term = is_on("IGNORE_TERM"),
  };
}
