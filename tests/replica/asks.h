/* asks: what clients of a cluster ask for besides what cluster.h has: locks that are waited for, policies with groups,
 * groups, freezes, revocations. All need rules 2. */
#ifndef BATON_TESTS_REPLICA_ASKS_H
#define BATON_TESTS_REPLICA_ASKS_H

#include "cluster.h"

/* `n` members that know rules 2 and have raised them; returns the leader. */
struct node *asks_begin(struct cluster *cluster, unsigned n, uint64_t seed);

struct wanted {
    const char *schedule;
    const char *holder;
    const char *occurrence; /* NULL: none */
    const char *key;        /* NULL: one of its own */
    uint64_t ttl_ms;        /* 0: ten minutes */
    uint64_t wait_ms;
};
void ask_wanted(struct node *node, struct ask *ask, const struct wanted *wanted);
/* … and then waits until so many wait for the schedule. */
void ask_queued(struct node *node, struct ask *ask, const struct wanted *wanted, uint64_t n);

void ask_policy(struct node *node, struct ask *ask, const char *schedule, const struct policy *policy);
void ask_delete_policy(struct node *node, struct ask *ask, const char *schedule);
void ask_group(struct node *node, struct ask *ask, const char *name, uint32_t slots);
void ask_freeze(struct node *node, struct ask *ask, const char *scope);
void ask_thaw(struct node *node, struct ask *ask, const char *scope);
void ask_revoke(struct node *node, struct ask *ask, const char *schedule, bool force);
void ask_released(struct node *node, const char *schedule, uint64_t token, enum run_outcome outcome);

/* Each of these goes on until it is so. */
uint64_t take(struct node *node, const char *schedule, const char *holder); /* the token */
void expect_granted(struct cluster *cluster, struct ask *ask);
void expect_refused(struct cluster *cluster, struct ask *ask, enum outcome_code code);
void expect_status(struct cluster *cluster, struct ask *ask, enum operation_status status);
void expect_done(struct cluster *cluster, struct ask *ask); /* of what isn't an acquire */
void expect_waiting(struct node *leader, const char *schedule, uint64_t n);
/* … and this one runs for a while in which nothing may come. */
void expect_silence(struct cluster *cluster, struct ask *const asks[], size_t n);

struct policy policy_of(uint32_t slots);

#endif
