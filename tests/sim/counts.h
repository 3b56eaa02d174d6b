/* counts: what happened in a run, and how often it must have happened in a hundred seeds for the run to mean anything. */
#ifndef BATON_SIM_COUNTS_H
#define BATON_SIM_COUNTS_H

#include <stdint.h>

/* name, least number in 100 seeds */
#define COUNTS_TABLE(X)                                                                                                \
    X(grants, 14000)                                                                                                   \
    X(grants_short, 10000) /* shorter than without a policy */                                                         \
    X(grants_again, 1000)  /* another attempt at an occurrence */                                                      \
    X(grants_beside, 5000) /* another slot of a schedule that has holders */                                           \
    X(renewals, 4700)                                                                                                  \
    X(renewals_on_old_terms, 30) /* of grants whose schedule has other terms by now */                                 \
    X(releases, 10000)                                                                                                 \
    X(expiries, 3000)                                                                                                  \
    X(late_successes, 400) /* after the end of a run */                                                                \
    X(late_outdated, 10)   /* … when its occurrence had been granted again */                                        \
    X(repeats, 1700)                                                                                                   \
    X(policies_put, 2000)                                                                                              \
    X(policies_changed_held, 1000) /* while somebody held the schedule */                                              \
    X(policies_deleted, 300)                                                                                           \
    X(slots_lowered, 100) /* below what was held */                                                                    \
    X(revoked_soft, 500)                                                                                               \
    X(revoked_forced, 300)                                                                                             \
    X(revoked_by_token, 200)                                                                                           \
    X(revoked_again, 100)    /* nothing was left to revoke */                                                          \
    X(revoking_forced, 70)   /* first softly, then by force */                                                         \
    X(revoking_overdue, 300) /* their deadline freed the slot */                                                       \
    X(releases_of_revoking, 80)                                                                                        \
    X(renewals_of_revoking, 20)                                                                                        \
    X(reads, 10000)                                                                                                    \
    X(lists, 400000)                                                                                                   \
    X(pages, 400000)                                                                                                   \
    X(waits, 1)                                                                                                        \
    X(waits_granted, 1)                                                                                                \
    X(waits_answered, 1) /* by what can't be waited out */                                                             \
    X(waits_ended, 1)                                                                                                  \
    X(waits_given_up, 1) /* the leader went */                                                                         \
    X(waits_unknown, 1)                                                                                                \
    X(cancels, 1)                                                                                                      \
    X(cancels_taken, 1)                                                                                                \
    X(cancels_crossed, 1) /* an outcome was on its way */                                                              \
    X(unknowns, 600)                                                                                                   \
    X(not_proposed, 8000)                                                                                              \
    X(refused_lock_held, 20000)                                                                                        \
    X(refused_cooling_down, 6000)                                                                                      \
    X(refused_lock_lost, 2500)                                                                                         \
    X(refused_grant_ended, 500)                                                                                        \
    X(refused_occurrence_done, 1800)                                                                                   \
    X(refused_attempts_exhausted, 2800)                                                                                \
    X(refused_idempotency_conflict, 400)                                                                               \
    X(refused_ttl_too_short, 2900)                                                                                     \
    X(refused_ttl_too_long, 2600)                                                                                      \
    X(refused_invalid_field, 1000)                                                                                     \
    X(refused_not_found, 200)                                                                                          \
    X(refused_capacity, 150)                                                                                           \
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
    X(snapshots_policies, 8000) /* with policies in them */                                                            \
    X(snapshots_revoking, 6000) /* … with grants that are being revoked */                                           \
    X(installs_policies, 100)                                                                                          \
    X(installs_revoking, 80)                                                                                           \
    X(entries, 90000)                                                                                                  \
    X(comparisons, 40000)

struct counts {
#define X(name, least) uint64_t name;
    COUNTS_TABLE(X)
#undef X
};

#endif
