/* replica: one member of the replicated lock table.
 *
 * Binds libraft to storage and peer, with the guards that libraft needs; keeps cluster time; packs each loop turn's
 * operations into one log entry, or passes them on to the leader; finds their outcomes again by what was applied; serves
 * barriers; takes, sends and installs snapshots; makes elections fast. It must not know HTTP or JSON, nor what a command
 * means. The first start of a cluster (who founded it) happens here, too.
 *
 * Everything is called on the loop's thread; callbacks record facts and may call replica_submit and replica_read, whose
 * effects wait for the end of the turn. */
#ifndef BATON_REPLICA_REPLICA_H
#define BATON_REPLICA_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/slice.h"
#include "codec/frame.h"
#include "core/lock_table.h"
#include "peer/network.h"
#include "storage/storage.h"

struct replica;

struct replica_member { /* one entry of SPEC */
    const char *name;
    const char *host;
    uint16_t http_port;
    uint16_t raft_port;
};

/* Why a process must end: EXIT codes of the contract. */
enum replica_exit { REPLICA_EXIT_FAILURE = 1, REPLICA_EXIT_DATA = 65 };

struct replica_options {
    const struct loop *loop;
    const struct log *log;
    const struct network *network;
    struct storage *storage; /* open; outlives the replica */
    const char *name;
    const struct replica_member *members; /* SPEC, sorted by name, copied; contains `name` */
    size_t n_members;
    const char *listen_host; /* for peers */
    uint16_t listen_port;
    const char *advertise_http; /* HOST:PORT told to others */
    struct slice cluster_key;   /* absent: none */
    unsigned election_timeout_ms;
    unsigned heartbeat_ms;
    unsigned commit_timeout_ms; /* submitted, but undecided after this long: OPERATION_UNKNOWN */
    /* Smaller figures for tests and the simulator; 0 stands for LIBRAFT.md's: 16 MiB, 128 MiB, LIMIT_SNAPSHOT_TRAILING. */
    uint64_t snapshot_entry_bytes; /* a snapshot is due when the entries since the last one exceed this and its size */
    uint64_t snapshot_log_bytes;   /* … or their segments this */
    unsigned snapshot_trailing;    /* entries kept behind a snapshot */
    uint64_t state_hash_every;     /* log the table's digest at each index that this divides; 0: never */
    unsigned test_guards_off;      /* bit N − 1 switches guard N off; only tests of the guards set it */
    /* Reserve gone, data lost, an entry that can't be understood, …: `sentence` says what to do. Production exits; the
     * simulator marks the node as dead and returns, and the replica then does nothing any more. */
    void (*fatal)(void *arg, enum replica_exit code, const char *sentence);
    /* Role, leader or readiness changed. May be NULL. */
    void (*changed)(void *arg);
    /* An entry was applied; for the simulator's checks. May be NULL. Called inside apply: must only look. */
    void (*applied)(void *arg, uint64_t index, const struct lock_table *table);
    /* Something happened in the table, here as on every node; valid until it returns, called inside apply: must only look.
     * What a snapshot that is installed skips is not told: `skipped` is called instead, and the table is another one. Either
     * may be NULL. */
    void (*event)(void *arg, const struct event *event);
    void (*skipped)(void *arg);
    void *arg;
};

/* Opens the peer port, decides or continues the first start, loads the state. Reading a large snapshot happens on the
 * pool; until it is done, and until the founders are known, replica_status says so and operations wait or are refused. */
enum error replica_open(const struct replica_options *options, struct replica **replica, struct error_text *text)
    MUST_CHECK;

/* Takes nothing more, hands leadership over when it leads (bounded by one election time-out), answers what is pending
 * (OPERATION_UNKNOWN for what was proposed and is undecided after `within_ms`), frees, then calls `closed`. The storage is
 * the caller's to close afterwards. */
void replica_close(struct replica *replica, uint64_t within_ms, void (*closed)(void *arg), void *arg);
/* For the simulator: forgets everything at once, as a crash does; frees memory, calls nobody, touches no disk. The
 * node's loop must forget its posts and works in the same moment: work that is on the pool isn't waited for. Call it
 * before storage_crash. */
void replica_crash(struct replica *replica);

/* ---- operations ---- */

struct operation {
    struct command command; /* the slices stay valid until `done` */
    /* An acquire's: so long it waits out lock_held, group_full and cooling_down, in order of arrival, before that is its
     * outcome; 0: not at all. Needs rules 2. */
    uint64_t wait_ms;
    /* Called once, never from inside replica_submit. `outcome` (OPERATION_APPLIED only) is valid until it returns. */
    void (*done)(struct operation *operation, enum operation_status status, const struct outcome *outcome);
    void *data;
    /* private */
    struct operation *next, *previous;
    uint64_t number;
    uint64_t to; /* id of the member that it was passed on to */
    uint64_t deadline_ns;
    int state;
    struct waiter *waiter; /* NULL: it doesn't wait */
};

/* Proposes on the leader, passes on elsewhere, waits up to two election time-outs when no leader is known. A command that
 * needs newer rules than those in force is OPERATION_NOT_READY; replica_rules_wait_for says why. */
void replica_submit(struct replica *replica, struct operation *operation);

/* Its client has gone. While it waits and isn't in an entry that may be applied it leaves the queue and is answered
 * OPERATION_CANCELLED, from inside no other call than the loop's own; else it goes on, and its outcome comes as always.
 * Only between replica_submit and `done`; calling it twice changes nothing. */
void replica_cancel(struct replica *replica, struct operation *operation);

/* How many wait for a lock of this schedule: at the leader all, elsewhere those that this node has passed on. */
uint64_t replica_waiting(struct replica *replica, struct slice schedule_id);

/* What cluster time should be now, by the newest entry and the time since: for showing, never for deciding. */
uint64_t replica_now_estimate_ms(struct replica *replica);

/* ---- linearizable reads ---- */

struct replica_read {
    /* OPERATION_APPLIED: the local table now shows everything that was acknowledged before the read began; look at it
     * inside this function. Else: refuse with the status. */
    void (*done)(struct replica_read *read, enum operation_status status);
    void *data;
    struct slice waiting_of; /* a schedule, valid until `done`: `waiting` is filled in; absent: it isn't asked for */
    uint64_t waiting;        /* how many wait for it, all over the cluster */
    /* private */
    struct replica_read *next, *previous;
    uint64_t number;
    uint64_t index;
    size_t place; /* of `waiting_of` in what was asked */
    uint64_t deadline_ns;
    int state;
};
void replica_read(struct replica *replica, struct replica_read *read);

/* The local copy; looks only. NULL until it is loaded. */
struct lock_table *replica_table(struct replica *replica);

/* ---- looking in ---- */

enum replica_role { REPLICA_STARTING, REPLICA_FOUNDING, REPLICA_FOLLOWER, REPLICA_CANDIDATE, REPLICA_LEADER };

struct replica_member_status {
    const char *name;
    const char *http_address; /* advertised */
    const char *raft_address;
    const char *role;     /* "voter", "standby", "spare" */
    bool reachable;       /* both streams are up, or it is this node */
    uint64_t match_index; /* on the leader; 0 elsewhere */
    bool is_self;
    bool has_contact;         /* a frame of it arrived since this process started; always so for this node */
    uint64_t last_contact_ms; /* since then; 0 for this node */
    uint32_t rules_newest;    /* that its build can apply, as its newest hello said; 0: not known yet */
};

struct replica_status {
    enum replica_role role;
    const char *leader;      /* its name; NULL: unknown */
    const char *leader_http; /* its advertised address; NULL: unknown */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    bool ready;          /* knows a leader and has applied what was committed when it started */
    const char *waiting; /* a sentence for people: what a start waits for ("for n2 and n3 to answer who …"), or NULL */
    bool snapshot_busy;  /* a snapshot was due for a minute and could not be taken */
    bool reserve_ok;     /* the disk reserve is there */
    const struct replica_member_status *members;
    size_t n_members;
    uint64_t leader_changes; /* seen by this process */
    uint64_t last_snapshot_index;
    uint64_t operations_queued;
    uint64_t
        waiters; /* requests that wait for locks: at the leader all, elsewhere those that this node has passed on */
    uint64_t expirations;      /* locks that ended by their deadline in entries that this process proposed */
    uint32_t rules_version;    /* in force */
    uint32_t snapshot_busy_ms; /* how long a snapshot has been due and couldn't be taken; 0: it isn't */
};
/* Valid until the next loop turn. */
void replica_status(struct replica *replica, struct replica_status *status);
/* Which member keeps the rules from being raised to `version`, as a sentence; NULL when none does. Valid until the next
 * call. */
const char *replica_rules_wait_for(struct replica *replica, uint32_t version);
const char *replica_role_name(enum replica_role role); /* "follower", … */

#endif
