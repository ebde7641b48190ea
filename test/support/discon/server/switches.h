/* What tests can have the server do wrong, by its environment. */
#ifndef SWITCHES_H
#define SWITCHES_H

struct switches {
  int debug;
  /* START_DELAY_MS: begins to listen so much later. */
  long start_delay_ms;
  /* REFUSE: every upgrade is answered with 500 and this text; NULL for none. */
  const char *refuse;
  /* REFUSE_COUNT: only so many upgrades are; below zero for all. */
  long refuse_count;
  /* HANG_UPGRADE: takes the request and never answers. */
  int hang_upgrade;
  /* GARBAGE: answers the request with bytes that are no HTTP. */
  int garbage;
  /* DROP_AFTER_101: accepts the upgrade and drops the connection. */
  int drop_after_101;
  /* DIE_AFTER_101: accepts the upgrade and ends the process. */
  int die_after_101;
  /* FLOOD: accepts the upgrade and sends frames without end. */
  int flood;
  /* IGNORE_TERM: goes on after SIGTERM. */
  int ignore_term;
};

struct switches read_switches(void);

#endif
