/* guards_rig: the packaged libraft with the guards around it, and everything else in the test's hands.
 *
 * A rig is one server: a struct raft, a disk in memory that finishes a write when it is told to, a clock that stands still
 * between ticks, and letters that wait until the test passes or drops them. What a rig does between libraft and the
 * guards is what raft_io.c does, in the same order; the guards are those of the server. Each guard can be switched off.
 *
 * Members are named by a text, one letter for each id from 1 on: "vvs" are voters 1 and 2 and the standby 3 ("p": spare,
 * ".": nobody). Commands carry a number. */
#ifndef BATON_TESTS_REPLICA_GUARDS_RIG_H
#define BATON_TESTS_REPLICA_GUARDS_RIG_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "replica/guards.h"

#define RIG_ENTRIES     128u
#define RIG_LETTERS     1024u
#define RIG_REQUESTS    128u
#define RIG_ELECTION_MS 300u
#define RIG_NEVER       (1u << 30)
#define RIG_OFF(guard)  (1u << ((guard)-1))

struct rig_item { /* an entry; with `members` it is a RAFT_CHANGE */
    raft_term term;
    uint64_t value;
    const char *members;
};

struct rig_entry {
    raft_term term;
    int type;
    uint8_t *bytes;
    size_t len;
};

struct rig_state { /* what a snapshot holds of the state machine */
    uint64_t index;
    uint64_t sum;
};

struct rig_snapshot {
    raft_index index; /* 0: none */
    raft_term term;
    raft_index configuration_index;
    struct rig_entry configuration; /* `bytes` only */
    struct rig_state state;
};

struct rig_disk { /* what a crash leaves */
    raft_term term;
    raft_id vote;
    raft_index first; /* index of entries[0] */
    size_t n;
    struct rig_entry entries[RIG_ENTRIES];
    struct rig_snapshot snapshot;
};

struct rig_append {
    struct raft_io_append *request;
    raft_io_append_cb done;
    raft_index first;
    unsigned n;
    struct rig_entry entries[RIG_ENTRIES];
};

struct rig_letter {
    raft_id to;
    struct raft_message message; /* server_id and address are set when it is passed */
};

struct rig {
    struct raft raft;
    struct raft_io io;
    struct raft_fsm fsm;
    struct guards guards;
    bool open;
    raft_id id;
    unsigned off;
    unsigned trailing;
    uint64_t now_ms;
    unsigned random;
    struct rig_disk disk;

    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    raft_io_close_cb close;
    raft_index next_index;
    raft_index skew; /* of the disk's next index: a mistake */
    struct rig_append *appends[RIG_REQUESTS];
    unsigned n_appends;
    struct raft_io_send *sends[RIG_LETTERS];
    raft_io_send_cb send_done[RIG_LETTERS];
    unsigned n_sends;
    struct raft_io_snapshot_get *gets[RIG_REQUESTS];
    raft_io_snapshot_get_cb get_done[RIG_REQUESTS];
    unsigned n_gets;
    unsigned gets_total;
    bool has_put;
    unsigned puts_total;
    unsigned put_trailing;
    struct raft_io_snapshot_put *put_request;
    raft_io_snapshot_put_cb put_done;
    struct rig_snapshot put;
    struct rig_letter letters[RIG_LETTERS];
    unsigned n_letters;

    struct rig_state state; /* of the state machine */
    uint64_t values[RIG_ENTRIES];
    const char *fatal; /* what guards complained about */

    /* What the guards ask about. */
    raft_id transfer_to; /* a snapshot goes there, or went a moment ago; 0: none */
    raft_id unreachable;
    uint64_t log_bytes;

    struct raft_change change;
    struct raft_apply applies[RIG_REQUESTS];
    unsigned n_applies;
};

/* ---- the disk, before rig_start ---- */
void rig_open(struct rig *rig, raft_id id, unsigned off); /* an empty disk */
void rig_found(struct rig *rig, const char *members);     /* term 1, entry 1 */
void rig_disk_entry(struct rig *rig, struct rig_item item);
/* A snapshot; the log on the disk stays as it is (rig_disk_cut drops what is below `first`). */
void rig_disk_snapshot(struct rig *rig, raft_index index, raft_term term, const char *members);
void rig_disk_cut(struct rig *rig, raft_index first);

void rig_start(struct rig *rig);
void rig_crash(struct rig *rig); /* what wasn't written is lost; the disk stays for rig_start */
void rig_close(struct rig *rig);

/* ---- time, disk, network ---- */
void rig_tick(struct rig *rig, unsigned ms); /* in steps of 10 ms */
void rig_persist(struct rig *rig);           /* all appends that are under way */
void rig_put_done(struct rig *rig);
void rig_answer_gets(struct rig *rig);
void rig_pass(struct rig *from, struct rig *to); /* all letters to that one, oldest first */
void rig_drop(struct rig *rig, raft_id to);      /* 0: to anybody */
/* Letters of that type that wait. */
unsigned rig_count(const struct rig *rig, enum raft_message_type type);
/* The newest one. Fails the test when there is none. */
const struct raft_message *rig_newest(const struct rig *rig, enum raft_message_type type);

/* ---- messages made by the test ---- */
struct rig_append_entries {
    raft_id from;
    raft_term term;
    raft_index prev;
    raft_term prev_term;
    raft_index commit;
    const struct rig_item *items;
    unsigned n;
};
void rig_receive_append(struct rig *rig, struct rig_append_entries append);
struct rig_install {
    raft_id from;
    raft_term term;
    raft_index index;
    raft_term index_term;
    const char *members;
};
void rig_receive_install(struct rig *rig, struct rig_install install);
void rig_receive(struct rig *rig, raft_id from, struct raft_message message); /* without a payload */

/* ---- what servers do ---- */
void rig_elect(struct rig *rig); /* by votes of 2 (and 3) that the test makes up; heartbeats wait as letters */
void rig_apply(struct rig *rig, uint64_t value);
void rig_add(struct rig *rig, raft_id id);
void rig_assign(struct rig *rig, raft_id id, int role);
/* A follower's answers that the test makes up. */
void rig_acknowledge(struct rig *leader, raft_id from, raft_index index);
void rig_reject(struct rig *leader, raft_id from, raft_index rejected, raft_index last);
/* Passes everything in both directions, writing what is to be written, until both are quiet. */
void rig_converse(struct rig *a, struct rig *b);

/* "vvs", of a configuration. Valid until the next call. */
const char *rig_members(const struct raft_configuration *configuration);
/* … of the bytes in a snapshot. */
const char *rig_snapshot_members(const struct rig_snapshot *snapshot);

/* What ends a child process that runs this: a signal, or −1 when a sanitizer sees it coming; 0 when it lives. */
int rig_death_of(void (*run)(void));

/* Blocks of libraft's memory that are in use. */
long rig_blocks(void);

#endif
