/* cluster: what scenario.c (the story), member.c (processes), client.c (the workload), nemesis.c (the faults) and
 * flip.c (damaged disks) share. */
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
#define CLIENTS         16u
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
    uint64_t told_ns;       /* when its disk reported a failure to it, 0: not */
    uint64_t full_until_ns; /* other tenants fill its disk until then, 0: not */
    uint64_t last_snapshot; /* its index; UINT64_MAX: not looked at yet */
    uint64_t last_applied;
    bool leads;
    char complaint[600]; /* why it ended itself */
    struct sim_event *restart;
};

/* What a client has under way on one member. Lives until the member has answered or died, even when the client has long
 * given up. */
enum request_kind { REQUEST_ACQUIRE, REQUEST_RENEW, REQUEST_RELEASE, REQUEST_READ };

struct request {
    struct client *client; /* NULL: it has given up, or it is a probe's */
    struct member *member;
    enum request_kind kind;
    bool submitted;
    bool altered;
    uint64_t key;
    uint64_t token;
    enum run_outcome reported;
    bool *probe;    /* becomes true when it was answered; NULL: a client's */
    uint64_t floor; /* acknowledged when a read began */
    struct audit_times times;
    uint64_t submitted_ns;
    /* The answer travels: it is looked at when the entry that it comes from has been applied as a whole. */
    bool answered;
    enum operation_status status;
    struct outcome outcome;
    struct grant_view first_holder;
    char answer_schedule[LIMIT_NAME_BYTES], answer_occurrence[LIMIT_OCCURRENCE_BYTES];
    struct operation operation;
    struct replica_read read;
    char schedule[64], holder[64], occurrence[64], key_name[64], metadata[64];
    struct request *next, *previous;
};

struct client {
    struct cluster *cluster;
    unsigned index;
    struct request *request; /* NULL: thinking */
    struct sim_event *wake;
    enum { CLIENT_IDLE, CLIENT_ACQUIRING, CLIENT_HOLDING, CLIENT_RENEWING, CLIENT_RELEASING } state;
    struct audit_acquire acquire;
    uint64_t token;
    uint64_t first_ns;
    unsigned attempts;
    enum run_outcome outcome;
    bool late; /* it waits for its lock to expire before it releases it */
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
    uint64_t keys;
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
void requests_drop(struct member *member); /* its process is gone */
void requests_free(struct member *member); /* the world ends */
void requests_check(struct member *member);
/* A read through this member on nobody's behalf; *done becomes true when it was answered. */
void request_probe(struct member *member, bool *done);
void requests_forget_probes(struct cluster *cluster); /* nobody waits for them any more */

/* ---- nemesis.c ---- */
void nemesis_begin(struct cluster *cluster);
void nemesis_end(struct cluster *cluster); /* no new faults; heals what can heal */

/* ---- flip.c ---- */
/* The member is down. Tries starts from damaged copies of its disk, and judges them. */
void flip_try(struct member *member);

#endif
