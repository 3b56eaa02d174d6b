/* machine: the lock table as libraft's state machine. Apply never refuses; an entry that can't be understood ends the
 * process, for a node that skipped it would not hold the same state as the others (law 9). */
#include <string.h>

#include "replica/inside.h"

static void note_changes(struct replica *replica, const struct entry *entry, const struct lock_table_counts *before)
{
    struct lock_table_counts after;
    lock_table_count(replica->table, &after);
    if (memcmp(entry->run_id, replica->run_id, sizeof entry->run_id) == 0) {
        replica->expirations += after.expirations - before->expirations;
    }
    if (after.rules_version != before->rules_version) {
        log_info(replica->options.log, "rules raised", LOG_U64("from", before->rules_version),
                 LOG_U64("to", after.rules_version), LOG_U64("index", after.index));
    }
}

/* Entries that are no commands don't come here, on no node: at their indexes no node logs anything. */
static void log_state_hash(const struct replica *replica, raft_index index)
{
    uint64_t every = replica->options.state_hash_every;
    if (every == 0 || index % every != 0) {
        return;
    }
    char hash[33];
    struct digest128 digest = lock_table_digest(replica->table);
    digest128_print(&digest, hash);
    log_info(replica->options.log, "state hash", LOG_U64("index", index), LOG_U64("rules", raising_in_force(replica)),
             LOG_TEXT("hash", hash));
}

static void on_event(void *arg, const struct event *event)
{
    struct replica *replica = arg;
    looking_note(replica, event);
    if (replica->options.event != NULL) {
        replica->options.event(replica->options.arg, event);
    }
}

void machine_observe(struct replica *replica)
{
    lock_table_observe(replica->table, on_event, replica);
    replica->applied_ns = replica_now_ns(replica);
}

/* What came out of a command, told before the next one moves what the outcome points into. */
static void note_outcome(struct replica *replica, const struct command *command, const struct outcome *outcome)
{
    if (command->kind == COMMAND_ACQUIRE && outcome->code == OUTCOME_DONE) {
        looking_note_granted(replica, &command->acquire);
    }
}

static void apply_commands(struct replica *replica, const struct entry *entry, raft_index index)
{
    struct batch *batch = batches_find(replica, entry);
    struct lock_table_counts before;
    lock_table_count(replica->table, &before);
    struct apply_context context = {
        .index = index,
        .now_ms = entry->now_ms,
        .wall_ms = entry->wall_ms,
        .no_growth = entry->no_growth,
    };
    replica->applied_ns = replica_now_ns(replica);
    lock_table_advance(replica->table, &context);
    for (size_t i = 0; i < entry->n_commands; i++) {
        struct outcome outcome = {0};
        lock_table_apply(replica->table, &context, &entry->commands[i], &outcome);
        note_outcome(replica, &entry->commands[i], &outcome);
        if (batch != NULL) {
            batches_outcome(replica, batch, i, &outcome);
        }
    }
    note_changes(replica, entry, &before);
    if (batch != NULL) {
        clock_applied(replica, batch->number);
        reads_barrier_applied(replica, batch);
    }
    batches_applied(replica, batch, index);
    reads_applied(replica, index);
}

static int machine_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct replica *replica = fsm->data;
    *result = NULL;
    if (replica->dead) {
        return 0; /* as after a fatal one: libraft would free an error's entries twice */
    }
    raft_index index = raft_last_applied(&replica->raft) + 1;
    struct slice bytes = {.base = buf->base, .len = buf->len};
    struct entry entry;
    struct error_text text = {{0}};
    arena_clear(&replica->apply_arena);
    enum error error = entry_decode(bytes, &replica->apply_arena, &entry, &text);
    if (error != ERROR_NONE) {
        replica_fatal(replica, error == ERROR_VERSION ? REPLICA_EXIT_DATA : REPLICA_EXIT_FAILURE,
                      "entry %llu can't be understood: %s", index, text.text);
        return 0;
    }
    apply_commands(replica, &entry, index);
    log_state_hash(replica, index);
    if (replica->options.applied != NULL) {
        replica->options.applied(replica->options.arg, index, replica->table);
    }
    return 0;
}

void machine_init(struct replica *replica)
{
    replica->fsm = (struct raft_fsm){
        .version = 1,
        .data = replica,
        .apply = machine_apply,
        .snapshot = snapshots_fsm_snapshot,
        .restore = snapshots_fsm_restore,
    };
}
