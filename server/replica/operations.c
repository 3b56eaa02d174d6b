/* operations: what waits to be decided, from replica_submit to its outcome. The leader packs it into entries (batches.c),
 * others pass it on (passing.c); an operation that may wait for a lock has a way of its own (waiting.c).
 *
 * What needs newer rules than those in force is refused here, on every node, before it is proposed or passed on, and once
 * more by the leader that it was passed on to. */
#include <stdlib.h>
#include <string.h>

#include "core/rules.h"
#include "replica/inside.h"

/* ---- lists ---- */

void operation_list_append(struct operation_list *list, struct operation *operation)
{
    operation->next = NULL;
    operation->previous = list->last;
    *(list->last == NULL ? &list->first : &list->last->next) = operation;
    list->last = operation;
}

void operation_list_insert(struct operation_list *list, struct operation *operation)
{
    struct operation *after = list->last;
    while (after != NULL && after->deadline_ns > operation->deadline_ns) {
        after = after->previous;
    }
    operation->previous = after;
    operation->next = after == NULL ? list->first : after->next;
    *(operation->next == NULL ? &list->last : &operation->next->previous) = operation;
    *(after == NULL ? &list->first : &after->next) = operation;
}

void operation_list_remove(struct operation_list *list, struct operation *operation)
{
    *(operation->previous == NULL ? &list->first : &operation->previous->next) = operation->next;
    *(operation->next == NULL ? &list->last : &operation->next->previous) = operation->previous;
    operation->next = operation->previous = NULL;
}

/* The operation is on no list any more. */
void operation_answer(struct replica *replica, struct operation *operation, enum operation_status status,
                      const struct outcome *outcome)
{
    CHECK(operation->state != OPERATION_IDLE);
    operation->state = OPERATION_IDLE;
    if (operation->waiter != NULL) {
        waiter_free(&replica->waiters, operation->waiter);
        operation->waiter = NULL;
    } else {
        CHECK(replica->operations.undecided > 0);
        replica->operations.undecided--;
    }
    operation->done(operation, status, outcome);
}

void operation_refuse(struct replica *replica, struct operation *operation, enum operation_status status)
{
    operation->state = OPERATION_REFUSED;
    operation->number = (uint64_t)status;
    operation_list_append(&replica->operations.refused, operation);
    replica_want_turn(replica);
}

/* ---- submitting ---- */

void replica_submit(struct replica *replica, struct operation *operation)
{
    struct operations *operations = &replica->operations;
    if (replica->dead) {
        return;
    }
    bool waits = operation->wait_ms > 0 && operation->command.kind == COMMAND_ACQUIRE;
    bool overloaded = waits ? !waiting_has_room(replica) : operations->undecided >= LIMIT_OPERATIONS_QUEUED;
    bool refused = overloaded || replica->closing != CLOSING_NOT;
    operation->waiter = NULL;
    operation->deadline_ns = replica_now_ns(replica) + replica->options.commit_timeout_ms * NS_PER_MS;
    replica_want_turn(replica);
    if (waits && !refused) {
        waiting_submit(replica, operation);
        return;
    }
    operations->undecided++;
    if (refused) {
        operation_refuse(replica, operation, overloaded ? OPERATION_OVERLOADED : OPERATION_NO_LEADER);
        return;
    }
    operation->state = OPERATION_QUEUED;
    operation_list_append(&operations->queued, operation);
}

/* ---- turns ---- */

static void answer_refused(struct replica *replica)
{
    struct operation_list refused = replica->operations.refused;
    replica->operations.refused = (struct operation_list){0}; /* `done` may submit again */
    while (refused.first != NULL) {
        struct operation *operation = refused.first;
        operation_list_remove(&refused, operation);
        operation_answer(replica, operation, (enum operation_status)operation->number, NULL);
    }
}

/* What was made by a newer build than all members have yet. */
static void refuse_newer(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    if (!replica_running(replica) ||
        (raising_allows_wait(replica) && raising_in_force(replica) == rules_version_newest())) {
        return; /* nobody on this node can make such */
    }
    for (struct operation *operation = operations->queued.first, *next; operation != NULL; operation = next) {
        next = operation->next;
        bool waits = operation->waiter != NULL;
        if (!raising_allows(replica, &operation->command) || (waits && !raising_allows_wait(replica))) {
            operation_list_remove(&operations->queued, operation);
            operation_refuse(replica, operation, OPERATION_NOT_READY);
        }
    }
}

void operations_turn(struct replica *replica)
{
    batches_free_retired(replica);
    answer_refused(replica);
    refuse_newer(replica); /* after the last moment at which something is submitted in this turn */
    waiting_turn(replica);
    batches_turn(replica);
    passing_send(replica);
    outbox_flush_all(replica);
}

void operations_leadership_lost(struct replica *replica)
{
    batches_leadership_lost(replica);
    passing_refuse_foreign(replica, OPERATION_NO_LEADER);
    waiting_leadership_lost(replica);
}

/* ---- time ---- */

static void expire_queued(struct replica *replica, uint64_t now_ns)
{
    struct operations *operations = &replica->operations;
    uint64_t commit_ns = replica->options.commit_timeout_ms * NS_PER_MS;
    uint64_t patience_ns = 2ull * replica->options.election_timeout_ms * NS_PER_MS;
    while (operations->queued.first != NULL) {
        struct operation *operation = operations->queued.first;
        uint64_t since_ns = operation->deadline_ns - commit_ns;
        since_ns = since_ns > operations->leaderless_ns ? since_ns : operations->leaderless_ns;
        bool leaderless = operations->leaderless_ns != 0 && now_ns - since_ns >= patience_ns;
        if (!leaderless && now_ns < operation->deadline_ns) {
            return;
        }
        operation_list_remove(&operations->queued, operation);
        bool started = replica->stage == STAGE_RUNNING;
        enum operation_status none = started ? OPERATION_NO_LEADER : OPERATION_NOT_READY;
        operation_answer(replica, operation, operations->leaderless_ns != 0 ? none : OPERATION_OVERLOADED, NULL);
    }
}

void operations_tick(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    uint64_t now_ns = replica_now_ns(replica);
    struct member *leader = replica_leader(replica);
    bool served = (leader != NULL && member_reachable(leader)) || replica_leads(replica);
    operations->leaderless_ns = served ? 0 : operations->leaderless_ns != 0 ? operations->leaderless_ns : now_ns;
    expire_queued(replica, now_ns);
    batches_tick(replica, now_ns);
    waiting_tick(replica);
    while (operations->passed.first != NULL && now_ns >= operations->passed.first->deadline_ns) {
        struct operation *operation = operations->passed.first;
        operation_list_remove(&operations->passed, operation);
        operation_answer(replica, operation, OPERATION_UNKNOWN, NULL);
    }
}

/* ---- the end ---- */

bool operations_pending(const struct replica *replica)
{
    const struct operations *operations = &replica->operations;
    return operations->queued.first != NULL || operations->passed.first != NULL || operations->refused.first != NULL ||
           operations->foreign_first != NULL || replica->waiters.own.n > 0 || batches_pending(replica);
}

static void answer_list(struct replica *replica, struct operation_list *list, enum operation_status status)
{
    while (list->first != NULL) {
        struct operation *operation = list->first;
        operation_list_remove(list, operation);
        operation_answer(replica, operation, status, NULL);
    }
}

void operations_answer_all(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    answer_refused(replica);
    answer_list(replica, &operations->queued, OPERATION_NO_LEADER);
    answer_list(replica, &operations->passed, OPERATION_UNKNOWN);
    waiting_answer_all(replica);
    batches_answer_all(replica);
    passing_refuse_foreign(replica, OPERATION_NO_LEADER);
    outbox_flush_all(replica);
}

/* Calls nobody; libraft is closed. */
void operations_free(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    while (operations->foreign_first != NULL) {
        struct passed *passed = operations->foreign_first;
        operations->foreign_first = passed->next;
        for (size_t unpacked = passed->n_operations - passed->packed; unpacked > 0; unpacked--) {
            passing_forget(passed); /* the last one frees, unless batches hold the rest */
        }
    }
    batches_free(replica);
    waiting_free(replica);
}
