/* member: one storage on a world, and a model of what it must remember.
 *
 * Each append and install makes a new *state* of the log (a prefix of an append is one, too: it may take several records).
 * What is read back after a crash must be one of the states between the last acknowledged and the last asked for. */
#ifndef BATON_TESTS_STORAGE_MEMBER_H
#define BATON_TESTS_STORAGE_MEMBER_H

#include <inttypes.h>

#include "storage/storage.h"
#include "world.h"

#define MEMBER_STATES   1200
#define MEMBER_INDEXES  600
#define MEMBER_REQUESTS 600
#define MEMBER_SEGMENT  (16u * 4096u)

struct state {
    uint64_t base; /* of the last install; the log holds base + 1 … last */
    uint64_t last;
    uint32_t content[MEMBER_INDEXES]; /* of each index; names term, type and payload */
};

struct request {
    struct storage_append append;
    struct member *member;
    struct storage_entry *entries;
    size_t n_entries;
    size_t state; /* reached when it is acknowledged */
    unsigned number;
    bool done;
    enum error error;
};

struct member {
    struct world *world;
    struct storage *storage; /* NULL: not running */
    uint64_t segment_bytes;
    uint64_t reserve_bytes;
    struct error_text text;
    unsigned notes;
    char note[512]; /* the last */
    unsigned fatals;
    char fatal_path[64];
    uint64_t fatal_offset;
    char fatal_what[64];
    int fatal_os_error;
    unsigned called_after_fatal;
    bool closed;

    struct state *states;
    size_t n_states;
    size_t acked; /* state */
    uint32_t next_content;
    struct request requests[MEMBER_REQUESTS];
    size_t n_requests;
    size_t n_acked;      /* requests, in order */
    uint64_t term, vote; /* acknowledged */
    uint64_t term_asked, vote_asked;
    struct storage_publish publish;
    bool publishing;
    bool publish_install;
    enum error publish_error;
    size_t publish_state;
    uint64_t snapshot_asked, snapshot_acked; /* index */
    uint64_t kept_from;                      /* snapshots allowed what is below to go */
};

struct member *member_new(struct world *world);
void member_free(struct member *member); /* closes in order when it runs */

enum error member_open(struct member *member) MUST_CHECK;
void member_start(struct member *member); /* opens, bootstraps when it is fresh; asserts success */
void member_identity(struct storage_identity *identity);
enum error member_bootstrap(struct member *member) MUST_CHECK;
void member_stop(struct member *member, bool orderly);
void member_close(struct member *member, bool orderly); /* begins; `closed` tells */
void member_crash(struct member *member, enum world_crash how);

/* `bytes`: of each payload. */
void member_append(struct member *member, uint64_t first_index, size_t n_entries, size_t bytes);
uint64_t member_next(const struct member *member);
void member_set_term(struct member *member, uint64_t term);
void member_set_vote(struct member *member, uint64_t vote);
/* A snapshot of one to three chunks, written and published; false when the disk failed before that. */
bool member_snapshot(struct member *member, uint64_t index, unsigned trailing);
void member_configuration(uint64_t index, struct buffer *bytes);
void member_chunk(uint64_t index, uint64_t number, struct buffer *bytes);
uint64_t member_chunks(uint64_t index);
uint64_t member_term(const struct member *member, uint64_t index);

/* What the storage has read is one of the states that it may remember; takes it as the acknowledged one. */
void member_check(struct member *member);

#endif
