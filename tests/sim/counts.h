/* counts: what happened in a run, and how often it must have happened in a hundred seeds for the run to mean anything. */
#ifndef BATON_SIM_COUNTS_H
#define BATON_SIM_COUNTS_H

#include <stdint.h>

/* name, least number in 100 seeds */
#define COUNTS_TABLE(X)                                                                                                \
    X(grants, 3000)                                                                                                    \
    X(renewals, 500)                                                                                                   \
    X(releases, 1500)                                                                                                  \
    X(expiries, 200)                                                                                                   \
    X(repeats, 200)                                                                                                    \
    X(reads, 1000)                                                                                                     \
    X(unknowns, 100)                                                                                                   \
    X(not_proposed, 100)                                                                                               \
    X(refused_lock_held, 500)                                                                                          \
    X(refused_lock_lost, 30)                                                                                           \
    X(refused_grant_ended, 30)                                                                                         \
    X(refused_occurrence_done, 100)                                                                                    \
    X(refused_attempts_exhausted, 50)                                                                                  \
    X(refused_idempotency_conflict, 20)                                                                                \
    X(refused_ttl_too_short, 50)                                                                                       \
    X(refused_ttl_too_long, 20)                                                                                        \
    X(refused_capacity, 0)                                                                                             \
    X(kills, 100)                                                                                                      \
    X(power_losses, 100)                                                                                               \
    X(op_crashes, 50)                                                                                                  \
    X(orderly_stops, 20)                                                                                               \
    X(restarts, 300)                                                                                                   \
    X(torn_writes, 50)                                                                                                 \
    X(lost_writes, 50)                                                                                                 \
    X(lost_names, 5)                                                                                                   \
    X(failed_writes, 30)                                                                                               \
    X(full_disks, 20)                                                                                                  \
    X(full_writes, 0)                                                                                                  \
    X(flips_refused, 50)                                                                                               \
    X(flips_repaired, 20)                                                                                              \
    X(flips_unused, 20)                                                                                                \
    X(flips_tail, 1)                                                                                                   \
    X(wiped_disks, 3)                                                                                                  \
    X(partitions, 100)                                                                                                 \
    X(cuts, 100)                                                                                                       \
    X(garbled, 10)                                                                                                     \
    X(slow_lines, 50)                                                                                                  \
    X(pauses, 50)                                                                                                      \
    X(clock_jumps, 20)                                                                                                 \
    X(fail_overs, 20)                                                                                                  \
    X(leader_changes, 300)                                                                                             \
    X(snapshots, 300)                                                                                                  \
    X(installs, 50)                                                                                                    \
    X(entries, 10000)                                                                                                  \
    X(comparisons, 10000)

struct counts {
#define X(name, least) uint64_t name;
    COUNTS_TABLE(X)
#undef X
};

#endif
