/* scenario: one seed's story. Three members with the real storage, peer, replica and core, clients that use them, and a
 * nemesis that breaks what may break, in turns: a stretch of chaos, then calm, in which a leader must be found and every
 * member answer soon. The audit watches all the time. */
#ifndef BATON_SIM_SCENARIO_H
#define BATON_SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "counts.h"

struct scenario_options {
    uint64_t seed;
    uint64_t steps;      /* events, about: the last stretch is finished */
    unsigned guards_off; /* bit N − 1: guard N of LIBRAFT.md, to see that seeds fail without it */
    bool verbose;        /* every member's log on standard error */
};

struct scenario_result {
    bool failed;
    char failure[1024];
    uint64_t trace;
    uint64_t steps;
    uint64_t virtual_ms;
    uint64_t slowest_recovery_ms; /* from the end of faults until every member had answered */
    uint64_t slowest_failover_ms; /* from the kill of a healthy cluster's leader until both others had answered */
    struct counts counts;         /* added to */
};

void scenario_run(const struct scenario_options *options, struct scenario_result *result);

#endif
