/* guards_watch: stands between libraft and the replica while a cluster runs, and holds both to LIBRAFT.md.
 *
 * raft_start and the other calls of libraft are wrapped by the linker; raft_start puts a watching function in front of
 * each of struct raft_io's and struct raft_fsm's. Every breach of the contract is noted, and the first one fails the test
 * in watch_end. What can't be judged at once (how often, when, how many) is counted. */
#ifndef BATON_TESTS_REPLICA_GUARDS_WATCH_H
#define BATON_TESTS_REPLICA_GUARDS_WATCH_H

#include "cluster.h"

#define WATCH_FRAMES 65536u

struct watch { /* one process's libraft */
    struct raft *raft;
    struct replica *replica;
    struct raft_io io; /* the real functions */
    struct raft_fsm fsm;
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    raft_io_close_cb close;
    unsigned depth;       /* calls of libraft that run */
    bool closing, closed; /* raft_close was called; its callback came */
    bool putting;

    unsigned ticks, received, proposals, transfers, closes;
    unsigned snapshots_asked, taken, installed, restored;
    unsigned installs_heard; /* InstallSnapshots that libraft got */
    unsigned canceled;       /* callbacks with RAFT_CANCELED */
    unsigned gets_closing;   /* snapshot_gets answered with status 0 while closing, … */
    unsigned sends_refused;  /* … and sends refused then */
    unsigned most_entries;   /* in an AppendEntries that libraft sent */
    raft_id transfer_to;
    raft_index next_apply; /* what raft_last_applied + 1 was in the newest apply */
    size_t loaded_entries, loaded_snapshots;
    bool pre_vote_at_start;
    unsigned election_ms_at_start, heartbeat_ms_at_start;
    int next_proposal_fails;               /* raft_apply answers with this error, once; 0: it doesn't */
    void (*at_close)(struct watch *watch); /* the test's; just before raft_close */
    void *data;                            /* the test's */
};

struct watch_frame { /* a Raft message that was given to a stream */
    uint64_t at_ns;
    uint64_t from, to; /* ids */
    enum frame_kind kind;
    size_t n_entries;
    bool pre_vote;
    bool queued;                                  /* the stream took it */
    struct frame_append_entries_result result;    /* of that kind */
    struct frame_request_vote_result vote_result; /* of that kind */
};

void watch_begin(struct cluster *cluster); /* before any member is started */
void watch_end(void);                      /* fails the test with the first breach */
struct watch *watch_of(const struct node *node);
size_t watch_pending(const struct watch *watch); /* callbacks that libraft waits for */

/* From now on storage hands out a log that ends before its snapshot, when there is one. */
void watch_shorten_log(bool on);

size_t watch_frames(void);
const struct watch_frame *watch_frame(size_t i); /* oldest first */
/* The first one from `from` (0: any), not older than at_ns. NULL: none. */
const struct watch_frame *watch_find(enum frame_kind kind, uint64_t from, uint64_t at_ns);

/* `n` locks with different names, one after the other; each is one entry at least. Fails unless all are granted. */
void watch_propose(struct cluster *cluster, struct node *node, unsigned n);
struct node *watch_node(struct cluster *cluster, uint64_t id); /* the member that libraft knows under this id */
uint64_t watch_id(const struct node *node);
struct member *watch_member(struct node *node, const struct node *other);
void watch_isolate(struct cluster *cluster, const struct node *node, bool isolated);

#endif
