/* rig: libraft as the guards see it, over a raft_io in memory that does nothing by itself: what libraft sends is kept to
 * be looked at, what it stores is done when a test says so. The messages are made by hand. */
#ifndef BATON_TESTS_REPLICA_RIG_H
#define BATON_TESTS_REPLICA_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replica/guards.h"

#define RIG_SENT_MAX 256u

struct rig_callback;

struct rig {
    struct raft raft;
    struct raft_io io;
    struct raft_fsm fsm;
    struct guards guards;
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    raft_io_close_cb close;
    uint64_t now_ms;

    /* what load gives */
    raft_term term;
    raft_id vote;
    raft_index snapshot_index;
    raft_term snapshot_term;
    raft_index start_index;
    struct raft_entry *entries;
    size_t n_entries;
    struct raft_configuration snapshot_configuration;

    /* what happened */
    struct raft_message sent[RIG_SENT_MAX]; /* without payload */
    size_t n_sent;
    unsigned n_gets, n_puts, n_applied, n_restored;
    raft_index put_index;
    char fatal[256];
    unsigned n_delivered;

    struct rig_callback *callbacks;
    bool hold_appends, hold_puts;

    /* what the guards are told */
    bool transfer_recent;
    bool reachable;
    uint64_t log_bytes;
};

/* A member `id` of the configuration that rig_configuration made; nothing is loaded yet. */
void rig_init(struct rig *rig, unsigned guards_off);
/* `roles`: one letter a server, ids from 1: 'v'oter, 's'tandby, 'p' spare. */
void rig_configuration(const char *roles, struct raft_configuration *configuration);
/* What the disk holds: entry 1 (the configuration), then commands of these terms ("1 1 2"), or a 'c' for another change. */
void rig_load_log(struct rig *rig, const char *roles, const raft_term *terms, size_t n);
void rig_load_snapshot(struct rig *rig, const char *roles, raft_index index, raft_term term);
void rig_start(struct rig *rig, raft_id id, raft_term term);
void rig_close(struct rig *rig);

void rig_tick(struct rig *rig, uint64_t ms); /* time passes, then one tick */
/* Calls what libraft waits for (but what is held), until nothing is left. */
void rig_flush(struct rig *rig);
/* Makes it the leader of `term` + 1 with the votes of all. */
void rig_elect(struct rig *rig);

struct rig_append {
    raft_id from;
    raft_term term;
    raft_index prev;
    raft_term prev_term;
    raft_index commit;
    const raft_term *terms;   /* of the entries */
    const char *types;        /* 'e'ntry or 'c'hange; NULL: entries */
    const char *const *roles; /* of each change */
    size_t n;
};
void rig_receive_append(struct rig *rig, const struct rig_append *append);
void rig_receive_install(struct rig *rig, raft_id from, raft_term term, raft_index index, raft_term index_term,
                         const char *roles);
void rig_receive(struct rig *rig, struct raft_message *message); /* without payload */
/* The newest sent message of this type; NULL: none. */
const struct raft_message *rig_sent(const struct rig *rig, enum raft_message_type type);
void rig_forget_sent(struct rig *rig);

#endif
