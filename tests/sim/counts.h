/* counts: what happened in a run, and how often it must have happened in a hundred seeds for the run to mean anything. */
#ifndef BATON_SIM_COUNTS_H
#define BATON_SIM_COUNTS_H

#include <stdint.h>

/* name, least number in 100 seeds */
#define COUNTS_TABLE(X)                                                                                                \
    X(grants, 7000)                                                                                                    \
    X(renewals, 2000)                                                                                                  \
    X(releases, 6000)                                                                                                  \
    X(expiries, 1000)                                                                                                  \
    X(grants_again, 0)                                                                                                 \
    X(grants_beside, 0)                                                                                                \
    X(grants_short, 0)                                                                                                 \
    X(late_outdated, 0)                                                                                                \
    X(late_successes, 0)                                                                                               \
    X(renewals_on_old_terms, 0)                                                                                        \
    X(renewals_of_revoking, 0)                                                                                         \
    X(releases_of_revoking, 0)                                                                                         \
    X(revoked_soft, 0)                                                                                                 \
    X(revoked_forced, 0)                                                                                               \
    X(revoked_by_token, 0)                                                                                             \
    X(revoked_again, 0)                                                                                                \
    X(revoking_forced, 0)                                                                                              \
    X(revoking_overdue, 0)                                                                                             \
    X(policies_put, 0)                                                                                                 \
    X(policies_deleted, 0)                                                                                             \
    X(policies_changed_held, 0)                                                                                        \
    X(slots_lowered, 0)                                                                                                \
    X(repeats, 1000)                                                                                                   \
    X(reads, 10000)                                                                                                    \
    X(unknowns, 600)                                                                                                   \
    X(not_proposed, 8000)                                                                                              \
    X(refused_lock_held, 60000)                                                                                        \
    X(refused_lock_lost, 90)                                                                                           \
    X(refused_grant_ended, 200)                                                                                        \
    X(refused_occurrence_done, 300)                                                                                    \
    X(refused_attempts_exhausted, 200)                                                                                 \
    X(refused_cooling_down, 0)                                                                                         \
    X(refused_not_found, 0)                                                                                            \
    X(refused_invalid_field, 0)                                                                                        \
    X(refused_idempotency_conflict, 100)                                                                               \
    X(refused_ttl_too_short, 2000)                                                                                     \
    X(refused_ttl_too_long, 700)                                                                                       \
    X(refused_capacity, 30)                                                                                            \
    X(kills, 500)                                                                                                      \
    X(power_losses, 600)                                                                                               \
    X(op_crashes, 100)                                                                                                 \
    X(orderly_stops, 100)                                                                                              \
    X(restarts, 1000)                                                                                                  \
    X(torn_writes, 40)                                                                                                 \
    X(lost_writes, 90)                                                                                                 \
    X(lost_names, 200)                                                                                                 \
    X(failed_writes, 100)                                                                                              \
    X(full_disks, 100)                                                                                                 \
    X(full_writes, 5)                                                                                                  \
    X(flips_refused, 100)                                                                                              \
    X(flips_repaired, 90)                                                                                              \
    X(flips_unused, 100)                                                                                               \
    X(flips_tail, 1)                                                                                                   \
    X(wiped_disks, 10)                                                                                                 \
    X(partitions, 1000)                                                                                                \
    X(cuts, 200)                                                                                                       \
    X(garbled, 100)                                                                                                    \
    X(slow_lines, 200)                                                                                                 \
    X(pauses, 500)                                                                                                     \
    X(clock_jumps, 200)                                                                                                \
    X(fail_overs, 30)                                                                                                  \
    X(fail_overs_quick, 20)                                                                                            \
    X(leader_changes, 500)                                                                                             \
    X(snapshots, 9000)                                                                                                 \
    X(installs, 100)                                                                                                   \
    X(snapshots_policies, 0)                                                                                           \
    X(snapshots_revoking, 0)                                                                                           \
    X(installs_policies, 0)                                                                                            \
    X(installs_revoking, 0)                                                                                            \
    X(lists, 0)                                                                                                        \
    X(pages, 0)                                                                                                        \
    X(entries, 90000)                                                                                                  \
    X(comparisons, 40000)

struct counts {
#define X(name, least) uint64_t name;
    COUNTS_TABLE(X)
#undef X
};

#endif
