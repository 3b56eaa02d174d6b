/* batches: log entries that this process proposes, and whose outcomes they carry.
 *
 * On the leader the operations of a loop turn, its own and those passed on by members, become one log entry (a batch).
 * Outcomes are found inside apply by the process's run id, the batch's number and the command's place in it, whoever
 * committed the entry; libraft's own callbacks are not used. What was proposed when leadership ended stays undecided until
 * its entry is applied (a later leader committed it), its place in the log is taken by another entry, or its time is
 * over: in the last two cases the answer is "unknown". */
#include <stdlib.h>
#include <string.h>

#include "core/rules.h"
#include "replica/inside.h"

/* ---- packing ---- */

/* An entry being put together. */
struct packing {
    struct batch *batch;
    struct command *commands;
    size_t n, capacity;
    size_t bytes;
};

static bool packing_add(struct packing *packing, const struct command *command, const struct item *item)
{
    size_t size = entry_command_size(command);
    if (packing->bytes + size > LIMIT_ENTRY_BYTES) {
        return false;
    }
    if (packing->n == packing->capacity) {
        packing->capacity = packing->capacity == 0 ? 16 : packing->capacity * 2;
        packing->commands = realloc(packing->commands, packing->capacity * sizeof packing->commands[0]);
        packing->batch->items = realloc(packing->batch->items, packing->capacity * sizeof packing->batch->items[0]);
        CHECK(packing->commands != NULL && packing->batch->items != NULL);
    }
    packing->commands[packing->n] = *command;
    packing->batch->items[packing->n] = *item;
    packing->batch->n_items = ++packing->n;
    packing->bytes += size;
    return true;
}

static bool pack_own(struct operations *operations, struct packing *packing)
{
    struct operation *operation = operations->queued.first;
    if (operation == NULL || !packing_add(packing, &operation->command, &(struct item){.own = operation})) {
        return false;
    }
    operation_list_remove(&operations->queued, operation);
    operation->state = OPERATION_PROPOSED;
    return true;
}

static bool pack_waiter(struct replica *replica, struct packing *packing, struct chain *called)
{
    if (called->first == NULL) {
        return false;
    }
    struct waiter *waiter = OWNER_OF(called->first, struct waiter, turn);
    const struct command command = {.kind = COMMAND_ACQUIRE, .acquire = waiter->command};
    if (!packing_add(packing, &command, &(struct item){.waiter = waiter})) {
        return false;
    }
    waiting_proposed(replica, waiter);
    return true;
}

/* The member's own table may have been ahead of this one, or its build may not look. */
static bool pack_foreign(struct replica *replica, struct packing *packing)
{
    struct operations *operations = &replica->operations;
    struct passed *passed = operations->foreign_first;
    if (passed == NULL) {
        return false;
    }
    const struct frame_operation *operation = &passed->operations[passed->packed];
    uint64_t number = operation->number;
    bool allowed = raising_allows(replica, &operation->command);
    if (allowed && !packing_add(packing, &operation->command, &(struct item){.from = passed, .number = number})) {
        return false;
    }
    if (++passed->packed == passed->n_operations) {
        operations->foreign_first = passed->next;
        if (operations->foreign_first == NULL) {
            operations->foreign_last = NULL;
        }
        passed->next = NULL;
    }
    if (!allowed) {
        passing_answer(replica, passed, number, OPERATION_NOT_READY, NULL);
    }
    return true;
}

static struct batch *batch_new(struct replica *replica)
{
    struct batch *batch = calloc(1, sizeof *batch);
    CHECK(batch != NULL);
    batch->number = ++replica->operations.next_batch;
    batch->deadline_ns = replica_now_ns(replica) + replica->options.commit_timeout_ms * NS_PER_MS;
    return batch;
}

static void batch_free(struct batch *batch)
{
    free(batch->items);
    free(batch);
}

/* Every item that has no answer yet gets `status`. */
static void batch_answer(struct replica *replica, struct batch *batch, enum operation_status status)
{
    for (size_t i = 0; i < batch->n_items; i++) {
        struct item item = batch->items[i];
        batch->items[i] = (struct item){0};
        if (item.own != NULL) {
            operation_answer(replica, item.own, status, NULL);
        } else if (item.from != NULL) {
            passing_answer(replica, item.from, item.number, status, NULL);
        } else if (item.waiter != NULL) {
            waiting_answer(replica, item.waiter, status, NULL);
        }
    }
}

static struct raft_buffer encode_entry(struct replica *replica, const struct batch *batch,
                                       const struct command *commands, size_t n, uint64_t now_ms)
{
    struct storage_figures figures;
    storage_figures(replica->options.storage, &figures);
    struct entry entry = {
        .batch = batch->number,
        .now_ms = now_ms,
        .wall_ms = loop_wall_ms(replica->options.loop),
        .no_growth = !figures.reserve_ok,
        .rules_version = raising_needed(commands, n),
        .commands = commands,
        .n_commands = n,
    };
    memcpy(entry.run_id, replica->run_id, sizeof entry.run_id);
    struct buffer bytes;
    buffer_init(&bytes);
    entry_encode(&entry, &bytes);
    struct raft_buffer buffer = {.base = raft_malloc(bytes.len), .len = bytes.len};
    CHECK(buffer.base != NULL && bytes.len % 8 == 0 && bytes.len <= LIMIT_ENTRY_BYTES);
    memcpy(buffer.base, bytes.base, bytes.len);
    buffer_close(&bytes);
    return buffer;
}

/* Takes the batch. libraft drops a quiet peer to one message a heartbeat; with none between heartbeats it sends at once. */
static void batch_propose(struct replica *replica, struct batch *batch, const struct command *commands, size_t n)
{
    struct raft *raft = &replica->raft;
    uint64_t now_ms = clock_now_ms(replica);
    struct raft_buffer buffer = encode_entry(replica, batch, commands, n, now_ms);
    batch->index = raft_last_index(raft) + 1;
    raft_set_heartbeat_timeout(raft, 0);
    int rv = raft_apply(raft, &batch->request, &buffer, 1, NULL);
    raft_set_heartbeat_timeout(raft, replica->options.heartbeat_ms);
    if (rv != 0) {
        raft_free(buffer.base);
        /* The state was looked at before: libraft counted an entry that it never stored. */
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "the consensus library refused an entry: %s", raft_strerror(rv));
    }
    batch->in_flight = rv == 0;
    struct batch **link = &replica->operations.batches;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = batch;
    replica->operations.in_flight++;
    clock_proposed(replica, now_ms);
    storage_flush(replica->options.storage); /* the messages to the members are with their streams by now */
}

static void propose_leader(struct replica *replica)
{
    struct batch *batch = batch_new(replica);
    uint64_t floor = 0;
    for (unsigned i = 0; i < replica->raft.configuration.n; i++) {
        uint64_t id = replica->raft.configuration.servers[i].id;
        floor = id > floor ? id : floor;
    }
    struct command command = {.kind = COMMAND_LEADER, .leader = {.member_id_floor = floor + 1}};
    replica->clock.leader_batch = batch->number;
    batch_propose(replica, batch, &command, 1);
}

static void propose_rules(struct replica *replica, uint32_t version)
{
    struct command command = {.kind = COMMAND_RULES, .rules = {.version = version}};
    replica->operations.rules_proposed = version;
    batch_propose(replica, batch_new(replica), &command, 1);
}

/* Everything that waits and fits: first those that have waited longest, then its own and others' in turn, so that none
 * starves the other. */
static void propose(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    struct packing packing = {.batch = batch_new(replica), .bytes = entry_overhead()};
    struct waiters *waiters = &replica->waiters;
    bool more = true;
    while (pack_waiter(replica, &packing, &waiters->called_first)) {
    }
    while (more) {
        bool own = pack_own(operations, &packing);
        bool foreign = pack_foreign(replica, &packing);
        bool called = pack_waiter(replica, &packing, &waiters->called);
        more = own || foreign || called;
    }
    reads_attach(replica, packing.batch);
    struct command noop = {.kind = COMMAND_NOOP};
    if (packing.n == 0) {
        batch_propose(replica, packing.batch, &noop, 1);
    } else {
        batch_propose(replica, packing.batch, packing.commands, packing.n);
    }
    free(packing.commands);
}

static bool has_work(const struct replica *replica)
{
    const struct operations *operations = &replica->operations;
    const struct waiters *waiters = &replica->waiters;
    return waiters->called_first.first != NULL || waiters->called.first != NULL || operations->queued.first != NULL ||
           operations->foreign_first != NULL || reads_want_barrier(replica) || clock_tick_due(replica);
}

static void propose_all(struct replica *replica)
{
    const struct operations *operations = &replica->operations;
    while (replica_leads(replica) && replica->clock.ready && operations->in_flight < LIMIT_ENTRIES_IN_FLIGHT) {
        uint32_t version = raising_due(replica);
        if (version != 0) {
            propose_rules(replica, version);
        } else if (has_work(replica)) {
            propose(replica);
        } else {
            return;
        }
    }
}

void batches_turn(struct replica *replica)
{
    if (replica_leads(replica) && !replica->clock.ready && replica->clock.leader_batch == 0) {
        propose_leader(replica);
    }
    propose_all(replica);
}

void batches_free_retired(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    while (operations->retired != NULL) {
        struct batch *batch = operations->retired;
        operations->retired = batch->next;
        batch_free(batch);
    }
}

/* ---- outcomes ---- */

struct batch *batches_find(struct replica *replica, const struct entry *entry)
{
    if (memcmp(entry->run_id, replica->run_id, sizeof entry->run_id) != 0) {
        return NULL;
    }
    struct batch *batch = replica->operations.batches;
    while (batch != NULL && batch->number != entry->batch) {
        batch = batch->next;
    }
    return batch;
}

void batches_outcome(struct replica *replica, struct batch *batch, size_t i, const struct outcome *outcome)
{
    if (i >= batch->n_items) {
        return; /* a no-op */
    }
    struct item item = batch->items[i];
    batch->items[i] = (struct item){0};
    if (item.own != NULL) {
        operation_answer(replica, item.own, OPERATION_APPLIED, outcome);
    } else if (item.from != NULL) {
        passing_answer(replica, item.from, item.number, OPERATION_APPLIED, outcome);
    } else if (item.waiter != NULL) {
        waiting_outcome(replica, item.waiter, outcome);
    }
}

static void batch_retire(struct replica *replica, struct batch **link)
{
    struct batch *batch = *link;
    *link = batch->next;
    if (batch->in_flight) {
        batch->in_flight = false;
        replica->operations.in_flight--;
    }
    batch->next = replica->operations.retired;
    replica->operations.retired = batch;
}

/* The entry at `index` was applied: `batch`, when it was one of ours. Whatever else of ours was to be at or below it will
 * never be committed, or is in a snapshot that doesn't tell what became of it. */
void batches_applied(struct replica *replica, struct batch *batch, raft_index index)
{
    struct batch **link = &replica->operations.batches;
    while (*link != NULL) {
        struct batch *other = *link;
        if (other == batch) {
            batch_retire(replica, link);
        } else if (other->index <= index) {
            reads_detach(replica, other);
            batch_answer(replica, other, OPERATION_UNKNOWN);
            batch_retire(replica, link);
        } else {
            link = &other->next;
        }
    }
    replica_want_turn(replica);
}

void batches_leadership_lost(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    for (struct batch *batch = operations->batches; batch != NULL; batch = batch->next) {
        batch->in_flight = false;
        reads_detach(replica, batch);
    }
    operations->in_flight = 0;
    operations->rules_proposed = 0;
}

/* ---- time ---- */

/* Own ones have a time-out each; those of members end with the batch. */
static void expire_own(struct replica *replica, struct batch *batch, uint64_t now_ns)
{
    for (size_t i = 0; i < batch->n_items; i++) {
        const struct item *item = &batch->items[i];
        struct operation *own = item->waiter != NULL ? item->waiter->own : item->own;
        if (own != NULL && now_ns >= own->deadline_ns) {
            batch->items[i] = (struct item){0};
            operation_answer(replica, own, OPERATION_UNKNOWN, NULL);
        }
    }
}

void batches_tick(struct replica *replica, uint64_t now_ns)
{
    struct batch **link = &replica->operations.batches;
    while (*link != NULL) {
        struct batch *batch = *link;
        expire_own(replica, batch, now_ns);
        if (!batch->in_flight && now_ns >= batch->deadline_ns) {
            batch_answer(replica, batch, OPERATION_UNKNOWN);
            batch_retire(replica, link);
        } else {
            link = &batch->next;
        }
    }
}

/* ---- the end ---- */

bool batches_pending(const struct replica *replica)
{
    for (const struct batch *batch = replica->operations.batches; batch != NULL; batch = batch->next) {
        for (size_t i = 0; i < batch->n_items; i++) {
            const struct item *item = &batch->items[i];
            if (item->own != NULL || item->from != NULL || item->waiter != NULL) {
                return true;
            }
        }
    }
    return false;
}

void batches_answer_all(struct replica *replica)
{
    for (struct batch *batch = replica->operations.batches; batch != NULL; batch = batch->next) {
        batch_answer(replica, batch, OPERATION_UNKNOWN);
    }
}

/* Waiters are freed by themselves. */
static void free_batches(struct batch *batch)
{
    while (batch != NULL) {
        struct batch *next = batch->next;
        for (size_t i = 0; i < batch->n_items; i++) {
            if (batch->items[i].from != NULL) {
                passing_forget(batch->items[i].from);
            }
        }
        batch_free(batch);
        batch = next;
    }
}

void batches_free(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    free_batches(operations->batches);
    free_batches(operations->retired);
    operations->batches = operations->retired = NULL;
}
