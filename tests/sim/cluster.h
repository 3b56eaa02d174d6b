/* cluster: what scenario.c (the story), member.c (processes), client.c (who uses them), workload.c (what is asked for),
 * request.c (what is under way), tap.c (what is applied), nemesis.c (the faults) and flip.c (damaged disks) share. */
#ifndef BATON_SIM_CLUSTER_H
#define BATON_SIM_CLUSTER_H

#include "audit.h"
#include "base/limits.h"
#include "base/log.h"
#include "replica/replica.h"
#include "scenario.h"
#include "storage/storage.h"
#include "world.h"

#define MEMBERS         3u
#define CLIENTS         AUDIT_CLIENTS
#define RAFT_PORT       7421u
#define COMMIT_LIMIT_MS 5000u

struct cluster;

enum member_state {
    MEMBER_DOWN,
    MEMBER_UP,
    MEMBER_CLOSING, /* an orderly stop */
    MEMBER_LOST,    /* its disk was lost: it must never take part again */
};

struct member {
    struct cluster *cluster;
    struct sim_node *node;
    enum member_state state;
    struct storage *storage;
    struct replica *replica;
    struct log log;
    struct request *requests; /* under way on it */
    bool wiped;               /* its disk was replaced by an empty one */
    bool refused;             /* … and it has said so and ended */
    bool replica_closed;
    bool storage_closed;
    bool wants_space;       /* it ended itself for want of it */
    uint64_t told_ns;       /* when its disk reported a failure to it, 0: not */
    uint64_t full_until_ns; /* other tenants fill its disk until then, 0: not */
    uint64_t last_snapshot; /* its index; UINT64_MAX: not looked at yet */
    uint64_t last_applied;
    bool leads;
    char complaint[600]; /* why it ended itself */
    struct sim_event *restart;
};

/* What is sent, again and again if need be, and never changed. `users` point to it. */
struct sending {
    unsigned users;
    struct command command;
    uint64_t key;     /* of an acquire */
    uint64_t wait_ms; /* … which may wait so long */
    char schedule[AUDIT_TEXT], name[AUDIT_TEXT], occurrence[AUDIT_TEXT], key_name[AUDIT_TEXT], metadata[AUDIT_TEXT];
    char text[256]; /* a description or a reason */
};

/* What a client has under way on one member. Lives until the member has answered or died, even when the client has long
 * given up. */
struct request {
    struct client *client; /* NULL: it has given up, or it is a probe's */
    struct member *member;
    struct sending *sending; /* NULL: a read */
    uint64_t ask;            /* the audit's number for it */
    bool submitted;
    bool *probe;    /* becomes true when it was answered; NULL: a client's */
    uint64_t floor; /* acknowledged when a read began */
    struct audit_times times;
    uint64_t submitted_ns;
    uint64_t answered_ns;
    uint64_t cancelled_ns; /* its client has hung up then; 0: not */
    /* The answer travels: it is looked at when the entry that it comes from has been applied as a whole. */
    bool answered;
    enum operation_status status;
    struct outcome outcome; /* without what it pointed to */
    uint64_t fingerprint;   /* of the whole */
    struct operation operation;
    struct replica_read read;
    struct request *next, *previous;
};

enum client_state {
    CLIENT_IDLE,
    CLIENT_ACQUIRING,
    CLIENT_HOLDING,
    CLIENT_RENEWING,
    CLIENT_RELEASING,
    CLIENT_OPERATING, /* it sets or deletes a policy, or revokes */
};

struct client {
    struct cluster *cluster;
    unsigned index;
    struct request *request; /* NULL: thinking */
    struct sim_event *wake;
    enum client_state state;
    struct sending *current; /* what it is about; NULL: nothing, or a read */
    struct sending *acquire; /* the request for the lock that it has or wants; NULL: none yet */
    uint64_t token;
    uint64_t ttl_ms; /* of the token, as it was told last */
    uint64_t first_ns;
    unsigned attempts;
    bool late;     /* it waits for its lock to expire before it releases it */
    bool hangs_up; /* when it wakes up, and has no answer by then */
};

/* What clients have learnt about a schedule, be it out of date. */
struct terms {
    uint64_t minimum_ms;
    uint64_t maximum_ms;
};

#define SEEN 16u
struct seen { /* a lock that somebody was given lately */
    unsigned schedule;
    uint64_t token;
};
struct failed { /* an occurrence that didn't succeed, as far as its client knows */
    unsigned schedule;
    char occurrence[AUDIT_TEXT]; /* empty: none */
};

struct cluster {
    struct sim_world world;
    struct rng rng; /* the story's */
    const struct scenario_options *options;
    struct counts counts;
    struct audit *audit;
    struct member members[MEMBERS];
    struct replica_member spec[MEMBERS];
    struct client clients[CLIENTS];
    struct terms terms[AUDIT_SCHEDULES];
    struct seen seen[SEEN];
    uint64_t n_seen;
    struct failed failed[SEEN];
    uint64_t n_failed;
    uint64_t n_keys;    /* made so far */
    uint64_t n_orders;  /* policies and revocations made so far */
    unsigned think_ms;  /* a client's pause, about */
    unsigned strike_ms; /* the nemesis's, at most */
    unsigned n_clients;
    bool quiet; /* clients start nothing new */
    bool calm;
    bool lagging; /* the nemesis likes to leave one member behind */
    bool has_cluster_key;
    uint8_t cluster_key[32];
    uint64_t segment_bytes;
    uint64_t snapshot_entry_bytes;
    uint64_t snapshot_log_bytes;
    unsigned snapshot_trailing;
    uint64_t disk_bytes;
    struct sim_event *strike; /* the nemesis's next */
    struct sim_event *mend;   /* the network's faults end */
    struct sim_node *looker;  /* a machine apart, to look at copies of disks */
};

/* ---- member.c ---- */
void member_open(struct member *member, unsigned index);
void member_close(struct member *member);
/* Starts its process, or tries to; a start that fails for a reason that was asked for is tried again later. */
void member_start(struct member *member);
void member_restart_in(struct member *member, uint64_t ns);
void member_kill(struct member *member, enum sim_death death);
void member_stop(struct member *member); /* orderly */
/* After each event: buries who has ended, and notices who should have. */
void member_look_after(struct member *member);
struct member *cluster_leader(struct cluster *cluster); /* NULL when nobody says so */
void member_storage_options(struct member *member, struct storage_options *options);

/* ---- client.c ---- */
void client_open(struct client *client, struct cluster *cluster, unsigned index);
void client_close(struct client *client);
/* `outcome` is there when the status is OPERATION_APPLIED and it was no read. */
void client_answered(struct client *client, enum operation_status status, const struct outcome *outcome);

/* ---- workload.c: each result has one user ---- */
void workload_open(struct cluster *cluster);
struct sending *make_acquire(struct client *client);
/* The same key with another TTL, on purpose. */
struct sending *make_altered(const struct sending *acquire);
struct sending *make_renew(struct client *client);
struct sending *make_release(struct client *client);
/* A policy is set or deleted, or grants are revoked. */
struct sending *make_order(struct client *client);
struct sending *sending_use(struct sending *sending);
void sending_drop(struct sending *sending); /* NULL is allowed */
/* The lock that the client has won't see its occurrence succeed, or not soon: others may try it again. */
void workload_failed(const struct client *client);
/* Everybody hears of what one of them was told. */
void workload_learn(struct cluster *cluster, const struct sending *sending, const struct outcome *outcome);

/* ---- request.c ---- */
/* Sends it to a member that is up; `sending` NULL: a read. */
void request_send(struct member *member, struct client *client, struct sending *sending);
void request_cancel(struct request *request); /* its client hangs up, and hears nothing more */
void requests_drop(struct member *member);    /* its process is gone */
void requests_free(struct member *member);    /* the world ends */
void requests_check(struct member *member);
/* A read through this member on nobody's behalf; *done becomes true when it was answered. */
void request_probe(struct member *member, bool *done);
void requests_forget_probes(struct cluster *cluster); /* nobody waits for them any more */

/* ---- tap.c ---- */
void tap_open(struct cluster *cluster); /* until tap_close all members are this cluster's */
void tap_close(void);

/* ---- nemesis.c ---- */
void nemesis_begin(struct cluster *cluster);
void nemesis_end(struct cluster *cluster); /* no new faults; heals what can heal */

/* ---- flip.c ---- */
/* The member is down. Tries starts from damaged copies of its disk, and judges them. */
void flip_try(struct member *member);

#endif
