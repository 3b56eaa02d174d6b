/* frame: everything that crosses between two members, as plain structs, and its bytes through protobuf-c.
 *
 * On the wire a frame is: u32 length of the body, u8 kind, u24 check of both, 8 bytes XXH3-64 of header and body (or 16
 * bytes of a tag, peer's business), body. This room does the body only. Structs mirror what libraft needs without naming
 * libraft, which only replica knows. Input is hostile: every decoder is bounded by its kind's limit and by its arena's. */
#ifndef BATON_CODEC_FRAME_H
#define BATON_CODEC_FRAME_H

#include "base/checksum.h"
#include "base/error.h"
#include "base/slice.h"
#include "core/command.h"

#define PROTOCOL_VERSION_OLDEST 1u
/* 2: waits, counts of those that wait, cancels. A receiver that speaks 1 only would close the connection at any of them, so
 * none is sent unless rules 2 are in force, which every member can then. */
#define PROTOCOL_VERSION_NEWEST 2u

enum frame_kind {
    FRAME_HELLO = 1,
    FRAME_PROOF,
    FRAME_FOUNDING_QUESTION,
    FRAME_FOUNDING_ANSWER,
    FRAME_REQUEST_VOTE,
    FRAME_REQUEST_VOTE_RESULT,
    FRAME_APPEND_ENTRIES,
    FRAME_APPEND_ENTRIES_RESULT,
    FRAME_INSTALL_SNAPSHOT,
    FRAME_TIMEOUT_NOW,
    FRAME_OPERATIONS,
    FRAME_OUTCOMES,
    FRAME_READ_INDEX,
    FRAME_READ_INDEX_RESULT,
    FRAME_SNAPSHOT_CHUNK,
    FRAME_SNAPSHOT_ACK,
    FRAME_CANCEL,
    FRAME_KINDS, /* one past the last */
};

/* The first frame of each side. */
struct frame_hello {
    uint32_t protocol_oldest;
    uint32_t protocol_newest;
    uint32_t rules_oldest;
    uint32_t rules_newest;
    uint32_t state_oldest; /* formats of the snapshots that the sender can read */
    uint32_t state_newest;
    bool founding;          /* asks or answers who founded the cluster; cluster id and incarnation aren't compared */
    uint8_t cluster_id[16]; /* zero while unknown */
    uint8_t incarnation[16];
    uint8_t run_id[16];
    uint8_t nonce[32];
    uint64_t connection_number; /* grows within one run id; the newest connection of a peer wins */
    struct slice name;          /* of the sender */
    struct slice to;            /* the name that the sender thinks it talks to */
    struct slice http_address;  /* advertised HOST:PORT */
    bool keyed;                 /* the sender has a cluster key */
};

struct frame_proof {
    uint8_t mac[32];
};

struct frame_member { /* a founder */
    struct slice name;
    uint8_t incarnation[16];
};

struct frame_founding_question {
    struct slice spec; /* canonical: entries sorted by name */
    struct slice name; /* of the asker */
    uint8_t incarnation[16];
};

enum founding_state { FOUNDING_EMPTY = 1, FOUNDING_LIST, FOUNDING_NONE };

struct frame_founding_answer {
    struct slice spec;
    struct slice name; /* of the answerer */
    uint8_t incarnation[16];
    enum founding_state state;
    const struct frame_member *founders; /* FOUNDING_LIST */
    size_t n_founders;
};

struct frame_request_vote {
    uint64_t term;
    uint64_t candidate_id;
    uint64_t last_log_index;
    uint64_t last_log_term;
    bool disrupt_leader;
    bool pre_vote;
};

struct frame_request_vote_result {
    uint64_t term;
    bool vote_granted;
    bool pre_vote;
    uint32_t features;
    uint32_t capacity;
};

struct frame_log_entry {
    uint64_t term;
    uint32_t type; /* enum raft_entry_type */
    struct slice data;
};

struct frame_append_entries {
    uint64_t term;
    uint64_t prev_log_index;
    uint64_t prev_log_term;
    uint64_t leader_commit;
    const struct frame_log_entry *entries;
    size_t n_entries; /* at most LIMIT_APPEND_ENTRIES */
};

struct frame_append_entries_result {
    uint64_t term;
    uint64_t rejected;
    uint64_t last_log_index;
    uint32_t features;
    uint32_t capacity;
};

/* Says which snapshot the chunks that follow make up. The receiver hands it to libraft when all of them are there. */
struct frame_install_snapshot {
    uint64_t term;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t configuration_index;
    struct slice configuration; /* libraft's encoding */
    uint64_t size;              /* bytes of all chunks */
    uint64_t chunks;            /* their number */
    uint64_t checksum;          /* XXH3-64 over the chunks' checksums in order */
};

struct frame_timeout_now {
    uint64_t term;
    uint64_t last_log_index;
    uint64_t last_log_term;
};

struct frame_operation {
    uint64_t number; /* the sender's; the outcome comes back by it */
    struct command command;
    uint64_t wait_ms; /* what is left of it, an acquire's; 0: it doesn't wait */
};

struct frame_operations { /* one loop turn of a follower */
    uint8_t run_id[16];
    uint64_t sequence; /* strictly grows within a run id; the leader takes none twice */
    const struct frame_operation *operations;
    size_t n_operations;
};

enum operation_status {
    OPERATION_APPLIED = 1, /* the outcome is filled in */
    OPERATION_NO_LEADER,   /* not proposed: nothing was changed */
    OPERATION_NOT_READY,   /* not proposed */
    OPERATION_OVERLOADED,  /* not proposed */
    OPERATION_UNKNOWN,     /* it may or may not take effect */
    OPERATION_CANCELLED,   /* it waited, and left the queue because its client had gone: nothing was changed */
};

/* Refusals of one full schedule show the same holders, and those of hundreds of slots are most of them. So results of one
 * frame may share the array, which then crosses once; at the other end it is shared again. */
struct frame_operation_result {
    uint64_t number;
    enum operation_status status;
    uint32_t holders_of;    /* the earlier result whose array the outcome has, counted from 1; 0: its own, or none */
    struct outcome outcome; /* OPERATION_APPLIED */
};

struct frame_outcomes {
    uint8_t run_id[16]; /* of the process that asked */
    uint64_t index;     /* that the leader has applied when it sends this */
    const struct frame_operation_result *results;
    size_t n_results;
};

/* Operations that were passed on with a wait, and whose clients have gone since. */
struct frame_cancel {
    uint8_t run_id[16];
    const uint64_t *numbers;
    size_t n_numbers; /* 1 … LIMIT_CANCELS */
};

struct frame_read_index {
    uint8_t run_id[16];
    uint64_t number;
    const struct slice *waiting_of; /* schedules whose waiting requests are to be counted, at most LIMIT_READ_COUNTS */
    size_t n_waiting_of;
};

struct frame_read_index_result {
    uint8_t run_id[16]; /* of the process that asked */
    uint64_t number;
    enum operation_status status;
    uint64_t index;          /* OPERATION_APPLIED: read when this much is applied */
    const uint64_t *waiting; /* … and so many wait, in the order of `waiting_of` */
    size_t n_waiting;
};

struct frame_snapshot_chunk {
    uint64_t last_index; /* which snapshot */
    uint64_t last_term;
    uint64_t number; /* 0 … chunks − 1 */
    struct slice bytes;
};

struct frame_snapshot_ack {
    uint64_t last_index;
    uint64_t last_term;
    uint64_t next; /* chunk wanted next; equals `chunks` when all are there; a resumed transfer goes on from here */
    bool refused;  /* the receiver has no use for it */
};

struct frame {
    enum frame_kind kind;
    union {
        struct frame_hello hello;
        struct frame_proof proof;
        struct frame_founding_question founding_question;
        struct frame_founding_answer founding_answer;
        struct frame_request_vote request_vote;
        struct frame_request_vote_result request_vote_result;
        struct frame_append_entries append_entries;
        struct frame_append_entries_result append_entries_result;
        struct frame_install_snapshot install_snapshot;
        struct frame_timeout_now timeout_now;
        struct frame_operations operations;
        struct frame_outcomes outcomes;
        struct frame_cancel cancel;
        struct frame_read_index read_index;
        struct frame_read_index_result read_index_result;
        struct frame_snapshot_chunk snapshot_chunk;
        struct frame_snapshot_ack snapshot_ack;
    };
};

/* Fills in what this build speaks, applies and reads: the ranges at the top of a hello. */
void frame_hello_set_versions(struct frame_hello *hello);

/* The longest body of `kind`; 0 for a kind that doesn't exist. */
size_t frame_limit(unsigned kind);
const char *frame_kind_name(enum frame_kind kind);

/* Decoding a body of `kind` takes up to so many times its length in memory: what an arena's limit is made of. */
size_t frame_memory_factor(enum frame_kind kind);

/* Upper bounds, for filling a frame up to its limit: a frame of one item or more is never longer than their sum. A batch's
 * outcome counts more than its bytes when these are few, for the sake of the memory that it takes decoded. */
size_t frame_operation_size(const struct frame_operation *operation);
size_t frame_operation_result_size(const struct frame_operation_result *result);

/* Appends the body. The caller keeps to the limits and to the contract's rules for names and values (CHECKed). */
void frame_encode(const struct frame *frame, struct buffer *body);

/* Everything decoded lives in `arena` (set its limit, by frame_memory_factor) or points into `body`.
 * ERROR_INVALID for anything that isn't exactly one well-formed body of this kind: lengths of names, ids, digests, counts
 * and enumerations are checked here, so that nobody behind has to. An unknown field is refused, except in a hello. Log
 * entries' and chunks' bytes aren't copied: they point into `body`, at any alignment. */
enum error frame_decode(enum frame_kind kind, struct slice body, struct arena *arena, struct frame *frame,
                        struct error_text *text) MUST_CHECK;

#endif
