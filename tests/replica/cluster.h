/* cluster: members of the real replica, storage, peer and core on the simulator's machines, without faults unless a test
 * asks for one. Everything comes from the seed: what passes once passes always. Waiting is for a condition, in virtual
 * time. After every event the states of all members at equal index are compared. */
#ifndef BATON_TESTS_REPLICA_CLUSTER_H
#define BATON_TESTS_REPLICA_CLUSTER_H

#include "../sim/world.h"
#include "base/log.h"
#include "replica/inside.h"
#include "replica/replica.h"
#include "rules_steered.h"
#include "storage/storage.h"

#define CLUSTER_NODES_MAX   5u
#define CLUSTER_RAFT_PORT   7421u
#define CLUSTER_STATES      65536u
#define CLUSTER_ELECTION_MS 300u
#define CLUSTER_COMMIT_MS   5000u

struct cluster;

struct node {
    struct cluster *cluster;
    struct sim_node *sim;
    struct storage *storage;
    struct replica *replica;
    struct log log;
    uint32_t rules_newest; /* of its build */
    unsigned watched;      /* lines that hold cluster.watch, and the newest of them */
    char watched_line[400];
    bool up;
    bool closed; /* an orderly stop is over */
    char complaint[600];
    enum replica_exit exit;
    uint64_t applied; /* index of the newest entry */
    uint64_t applies; /* calls since it was started */
};

struct cluster {
    struct sim_world world;
    struct node nodes[CLUSTER_NODES_MAX];
    struct replica_member spec[CLUSTER_NODES_MAX];
    unsigned n;
    bool verbose;
    const char *watch; /* what to look for in the log; NULL: nothing */
    /* For members that are started from now on. */
    uint64_t snapshot_entry_bytes;
    unsigned snapshot_trailing;
    unsigned guards_off;
    uint64_t state_hash_every;
    uint64_t segment_bytes;
    const uint8_t *cluster_key; /* 32 bytes, or NULL */
    struct digest128 *states;   /* by index, zero: not seen yet */
};

void cluster_open(struct cluster *cluster, unsigned n, uint64_t seed); /* nothing is started */
void cluster_close(struct cluster *cluster);
/* From here on its code is that of a build with these rules, also while it runs. */
void node_set_rules(struct node *node, uint32_t newest);
/* Before calling into its replica other than by a function of this file. */
void node_enter(const struct node *node);
void node_start(struct node *node);
void node_kill(struct node *node, enum sim_death death);
void node_stop(struct node *node); /* asks only; `closed` tells */
void cluster_start_all(struct cluster *cluster);

/* Runs until `condition` holds, fails the test after that much virtual time. */
void cluster_wait(struct cluster *cluster, uint64_t within_ms, bool (*condition)(void *arg), void *arg,
                  const char *what);
void cluster_run(struct cluster *cluster, uint64_t ms);
struct node *cluster_wait_leader(struct cluster *cluster);                        /* ready to take proposals */
struct node *cluster_other(struct cluster *cluster, const struct node *not_this); /* a follower that is up */
void cluster_wait_applied(struct cluster *cluster, const struct node *node, uint64_t index);
struct replica_status node_status(struct node *node);
uint64_t cluster_now_ms(const struct cluster *cluster);

/* ---- what clients do ---- */

struct ask {
    struct operation operation;
    bool answered;
    enum operation_status status;
    enum outcome_code code;
    uint64_t token;
    uint64_t remaining_ms;
    uint64_t answered_ns;
    char schedule[64], holder[64], key[64];
    struct cluster *cluster;
};
void ask_begin(struct node *node, struct ask *ask); /* before its operation is filled in and submitted */
void ask_acquire(struct node *node, struct ask *ask, const char *schedule, const char *holder, uint64_t ttl_ms);
void ask_renew(struct node *node, struct ask *ask, const char *schedule, uint64_t token);
void ask_release(struct node *node, struct ask *ask, const char *schedule, uint64_t token);
/* A policy with so many slots. */
void ask_put(struct node *node, struct ask *ask, const char *schedule, uint32_t slots);
void ask_wait(struct cluster *cluster, struct ask *ask);

struct look {
    struct replica_read read;
    bool answered;
    enum operation_status status;
    bool held;
    uint64_t token;
    char schedule[64];
    struct node *node;
};
void look_at(struct node *node, struct look *look, const char *schedule);
void look_wait(struct cluster *cluster, struct look *look);

#endif
