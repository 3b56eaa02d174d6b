/* guards: what stands between libraft 0.22.1 and the world, so that its defects can't be reached.
 *
 * Every message that arrives goes through guards_receive, every one that leaves through guards_send, and the state machine
 * asks before it takes a snapshot or loads a log. LIBRAFT.md numbers the guards and says what each one is for; each is one
 * function here, named after its number, and can be switched off by tests alone. They read (and 16 for a moment writes)
 * public fields of struct raft, which is why exactly one version of libraft is accepted.
 *
 * Knows libraft and nothing of our rooms: what it must know of transfers and streams comes through struct guards_world. */
#ifndef BATON_REPLICA_GUARDS_H
#define BATON_REPLICA_GUARDS_H

#include <raft.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guards_world {
    /* Hands a message to libraft (its recv callback), which takes the payload. */
    void (*deliver)(void *arg, struct raft_message *message);
    /* A snapshot goes to this peer, or went until less than GUARD_AFTER_TRANSFER_MS ago; id 0: to any peer. */
    bool (*transfer_recent)(void *arg, raft_id id);
    bool (*reachable)(void *arg, raft_id id); /* both streams are up */
    uint64_t (*log_bytes)(void *arg);         /* since the newest snapshot; UINT64_MAX: it has nowhere to go on */
    uint64_t (*now_ms)(void *arg);
    /* libraft or a peer broke what must hold: the process ends (production), or the node is dead and this returns. */
    void (*fatal)(void *arg, const char *sentence);
};

#define GUARD_AFTER_TRANSFER_MS 1000u
#define GUARD_LOG_BYTES         (256ull * 1024u * 1024u) /* past it guard 12 lets a snapshot be taken all the same */

struct guards {
    struct raft *raft;
    const struct guards_world *world;
    void *arg;
    unsigned off; /* tests only: bit N − 1 switches guard N off */
    unsigned election_timeout_ms;
    unsigned trailing;
    bool dead;
    bool stale_reply;          /* the reply that libraft sends now carries an uninitialised index */
    uint64_t heard_ms;         /* when the last AppendEntries or InstallSnapshot of a current term came */
    bool has_held;             /* guard 6 */
    struct raft_message held;  /* its server_address is not kept */
    raft_index leader_commit;  /* of the last AppendEntries of a current term */
    raft_index snapshot_index; /* guard 9: of the last snapshot that snapshot_get gave */
    raft_term snapshot_term;
};

void guards_init(struct guards *guards, struct raft *raft, const struct guards_world *world, void *arg);
/* Frees what is held. */
void guards_close(struct guards *guards);

/* ---- receiving ---- takes the message's payload (entries and their batch; configuration and data) in every case. */
void guards_receive(struct guards *guards, struct raft_message *message);
/* Delivers the InstallSnapshot that guard 6 holds, if libraft can take it now. From the top of the loop. True when it did
 * (delivered or dropped). */
bool guards_release_held(struct guards *guards);
/* The stream from `id` ended: what guard 6 holds of it is dropped. True when something was. */
bool guards_stream_ended(struct guards *guards, raft_id id);

/* ---- sending ---- may change `message` (a copy of libraft's). False: drop it. */
bool guards_send(struct guards *guards, struct raft_message *message);

/* ---- around the state machine ---- */
/* Guards 11 and 12: NULL when a snapshot may be taken now, else the reason why not. */
const char *guards_snapshot_busy(const struct guards *guards);
/* Guard 13: `next_index` is what storage appends at next. False after `fatal`. */
bool guards_check_append(struct guards *guards, raft_index next_index);

/* What `load` is about to give to libraft. */
struct guards_log {
    raft_index snapshot_index; /* 0: no snapshot */
    raft_term snapshot_term;
    const struct raft_configuration *snapshot_configuration;
    raft_index start_index;
    const struct raft_entry *entries;
    size_t n_entries;
};
/* Guard 15: drops (n_entries = 0, start_index = after the snapshot) a log that contradicts the snapshot. True when it did. */
bool guards_load(const struct guards *guards, struct guards_log *log);
/* Guard 14: we are the only voter of the newest configuration: `load` must store term + 1 without a vote first. */
bool guards_sole_voter(const struct guards *guards, raft_id id, const struct guards_log *log);

/* ---- reading libraft ---- */

/* Between raft_init and raft_start: true when the fields that the guards read are where this build's header has them.
 * (The shared library doesn't export raft_version_number, so that its behaviour has to tell.) Changes nothing. */
bool guards_layout_known(struct raft *raft);
/* The term of the entry at `index`, or of the snapshot that ends there; 0 when neither is known. */
raft_term guards_term_of(const struct raft *raft, raft_index index);
const struct raft_server *guards_server(const struct raft *raft, raft_id id);
/* True when `bytes` are a configuration in libraft's encoding, which it decodes without looking at the bounds. */
bool guards_configuration_valid(const void *bytes, size_t len);

/* Frees a message's payload. */
void guards_free_message(struct raft_message *message);

#endif
