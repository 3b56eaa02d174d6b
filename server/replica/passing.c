/* passing: operations that another member's leader decides.
 *
 * A follower sends the operations of a turn to the leader in frames, under numbers of its own, and waits for outcomes by
 * these numbers. It sends none twice: what was handed to a stream that then broke is "unknown". What surely wasn't sent,
 * or was answered with "I don't lead", waits for the next leader. The leader takes each frame of a run once, by its
 * sequence number, and passes nothing on. */
#include <stdlib.h>
#include <string.h>

#include "replica/inside.h"

#define FRAME_HEAD_BYTES 1024u /* what a frame takes besides its operations or results, generously */

/* ---- the side that asks ---- */

static size_t fill_frame(struct operations *operations, struct frame_operation **filled)
{
    size_t capacity = 64;
    struct frame_operation *list = malloc(capacity * sizeof *list);
    CHECK(list != NULL);
    size_t n = 0;
    size_t bytes = FRAME_HEAD_BYTES;
    for (struct operation *operation = operations->queued.first; operation != NULL; operation = operation->next) {
        struct frame_operation next = {.number = operations->next_number + n + 1, .command = operation->command};
        bytes += frame_operation_size(&next);
        if (bytes > LIMIT_FRAME_OPERATIONS_BYTES) {
            break;
        }
        if (n == capacity) {
            capacity *= 2;
            list = realloc(list, capacity * sizeof *list);
            CHECK(list != NULL);
        }
        list[n++] = next;
    }
    *filled = list;
    return n;
}

/* True when a frame went out. */
static bool send_frame(struct replica *replica, struct member *leader)
{
    struct operations *operations = &replica->operations;
    struct frame_operation *list;
    size_t n = fill_frame(operations, &list);
    struct frame frame = {
        .kind = FRAME_OPERATIONS,
        .operations = {.sequence = operations->next_sequence + 1, .operations = list, .n_operations = n},
    };
    memcpy(frame.operations.run_id, replica->run_id, sizeof frame.operations.run_id);
    bool sent = n > 0 && peer_send(leader->peer, &frame);
    if (sent) {
        operations->next_sequence++;
        for (size_t i = 0; i < n; i++) {
            struct operation *operation = operations->queued.first;
            operation_list_remove(&operations->queued, operation);
            operation->number = ++operations->next_number;
            operation->to = leader->id;
            operation->state = OPERATION_PASSED;
            operation_list_insert(&operations->passed, operation);
        }
    }
    free(list);
    return sent;
}

void passing_send(struct replica *replica)
{
    struct member *leader = replica_leader(replica);
    if (leader == NULL || !member_reachable(leader) || replica_now_ns(replica) < replica->operations.hold_ns) {
        return;
    }
    while (replica->operations.queued.first != NULL && send_frame(replica, leader)) {
    }
}

static struct operation *find_passed(struct operations *operations, uint64_t number)
{
    struct operation *operation = operations->passed.first; /* answers come in order: it is near the beginning */
    while (operation != NULL && operation->number != number) {
        operation = operation->next;
    }
    return operation;
}

static void take_result(struct replica *replica, const struct member *member,
                        const struct frame_operation_result *result)
{
    struct operations *operations = &replica->operations;
    struct operation *operation = find_passed(operations, result->number);
    if (operation == NULL || operation->to != member->id) {
        return; /* its time is over, or another one was asked */
    }
    operation_list_remove(&operations->passed, operation);
    bool again = result->status == OPERATION_NO_LEADER && replica->closing == CLOSING_NOT;
    if (again && replica_now_ns(replica) < operation->deadline_ns) {
        operation->state = OPERATION_QUEUED;
        operation_list_insert(&operations->queued, operation);
        operations->hold_ns = replica_now_ns(replica) + REPLICA_TICK_MS * NS_PER_MS;
        return;
    }
    bool applied = result->status == OPERATION_APPLIED;
    if (applied && !outcome_answers(&result->outcome, &operation->command)) {
        log_warning(replica->options.log, "a member sent an outcome that is none of its operation",
                    LOG_U64("operation", result->number));
        operation_answer(replica, operation, OPERATION_UNKNOWN, NULL);
        return;
    }
    operation_answer(replica, operation, result->status, applied ? &result->outcome : NULL);
}

void passing_take_outcomes(struct replica *replica, const struct member *member, const struct frame_outcomes *frame)
{
    if (memcmp(frame->run_id, replica->run_id, sizeof frame->run_id) != 0) {
        return; /* meant for the process before this one */
    }
    for (size_t i = 0; i < frame->n_results && !replica->dead; i++) {
        take_result(replica, member, &frame->results[i]);
    }
    replica_want_turn(replica);
}

/* What the member was sent, or was about to answer, is lost. */
void passing_stream_lost(struct replica *replica, const struct member *member)
{
    struct operation *operation = replica->operations.passed.first;
    while (operation != NULL) {
        struct operation *next = operation->next;
        if (operation->to == member->id) {
            operation_list_remove(&replica->operations.passed, operation);
            operation_answer(replica, operation, OPERATION_UNKNOWN, NULL);
        }
        operation = next;
    }
}

/* ---- the side that leads ---- */

static void outbox_add(struct replica *replica, struct member *member, const uint8_t run_id[16],
                       const struct frame_operation_result *result);

static void refuse_frame(struct replica *replica, struct member *member, const struct frame_operations *frame,
                         enum operation_status status)
{
    for (size_t i = 0; i < frame->n_operations; i++) {
        struct frame_operation_result result = {.number = frame->operations[i].number, .status = status};
        outbox_add(replica, member, frame->run_id, &result);
    }
    replica_want_turn(replica);
}

static bool takes_frame(struct member *member, const struct frame_operations *frame)
{
    if (memcmp(frame->run_id, member->run_id, sizeof frame->run_id) != 0) {
        return false;
    }
    bool known = memcmp(frame->run_id, member->taken_run_id, sizeof frame->run_id) == 0;
    if (known && frame->sequence <= member->taken_sequence) {
        return false; /* taken already */
    }
    memcpy(member->taken_run_id, frame->run_id, sizeof member->taken_run_id);
    member->taken_sequence = frame->sequence;
    return true;
}

static struct passed *passed_new(const struct member *member, const struct frame_operations *frame)
{
    struct passed *passed = calloc(1, sizeof *passed);
    CHECK(passed != NULL);
    passed->member_id = member->id;
    memcpy(passed->run_id, frame->run_id, sizeof passed->run_id);
    arena_init(&passed->arena, 0);
    passed->operations = arena_alloc(&passed->arena, frame->n_operations * sizeof passed->operations[0]);
    CHECK(passed->operations != NULL);
    passed->n_operations = passed->unanswered = frame->n_operations;
    for (size_t i = 0; i < frame->n_operations; i++) {
        passed->operations[i].number = frame->operations[i].number;
        CHECK(copy_command(&passed->arena, &frame->operations[i].command, &passed->operations[i].command));
    }
    return passed;
}

static bool may_be_passed(const struct frame_operations *frame)
{
    for (size_t i = 0; i < frame->n_operations; i++) {
        enum command_kind kind = frame->operations[i].command.kind;
        if (kind == COMMAND_LEADER || kind == COMMAND_RULES) {
            return false; /* only a leader's own entry carries it */
        }
    }
    return frame->n_operations > 0;
}

void passing_take_operations(struct replica *replica, struct member *member, const struct frame_operations *frame)
{
    struct operations *operations = &replica->operations;
    if (!takes_frame(member, frame)) {
        return;
    }
    if (!replica_leads(replica) || replica->closing != CLOSING_NOT) {
        refuse_frame(replica, member, frame, OPERATION_NO_LEADER);
        return;
    }
    if (!may_be_passed(frame)) {
        refuse_frame(replica, member, frame, OPERATION_NOT_READY);
        return;
    }
    if (operations->undecided + frame->n_operations > LIMIT_OPERATIONS_QUEUED) {
        refuse_frame(replica, member, frame, OPERATION_OVERLOADED);
        return;
    }
    operations->undecided += frame->n_operations;
    struct passed *passed = passed_new(member, frame);
    *(operations->foreign_first == NULL ? &operations->foreign_first : &operations->foreign_last->next) = passed;
    operations->foreign_last = passed;
    replica_want_turn(replica);
}

void passing_forget(struct passed *passed)
{
    CHECK(passed->unanswered > 0);
    if (--passed->unanswered == 0) {
        arena_close(&passed->arena);
        free(passed);
    }
}

/* One of the passed operations is decided. */
void passing_answer(struct replica *replica, struct passed *passed, uint64_t number, enum operation_status status,
                    const struct outcome *outcome)
{
    struct member *member = member_by_id(replica, passed->member_id);
    CHECK(replica->operations.undecided > 0);
    replica->operations.undecided--;
    if (member != NULL && member->peer != NULL) {
        struct frame_operation_result result = {.number = number, .status = status};
        if (outcome != NULL) {
            result.outcome = *outcome;
        }
        outbox_add(replica, member, passed->run_id, &result);
    }
    passing_forget(passed);
}

void passing_refuse_foreign(struct replica *replica, enum operation_status status)
{
    struct operations *operations = &replica->operations;
    while (operations->foreign_first != NULL) {
        struct passed *passed = operations->foreign_first;
        operations->foreign_first = passed->next;
        size_t n = passed->n_operations;
        for (size_t i = passed->packed; i < n; i++) {
            passing_answer(replica, passed, passed->operations[i].number, status, NULL);
        }
    }
    operations->foreign_last = NULL;
}

/* ---- answers on their way ---- */

static void outbox_clear(struct outbox *outbox)
{
    outbox->n_results = 0;
    outbox->n_lists = 0;
    outbox->bytes = 0;
    arena_clear(&outbox->arena);
}

void outbox_free(struct outbox *outbox)
{
    free(outbox->results);
    arena_close(&outbox->arena);
    *outbox = (struct outbox){0};
}

static void outbox_flush(struct replica *replica, struct member *member)
{
    struct outbox *outbox = &member->outbox;
    if (outbox->n_results == 0) {
        return;
    }
    struct frame frame = {
        .kind = FRAME_OUTCOMES,
        .outcomes =
            {
                .index = replica->raft.last_applied,
                .results = outbox->results,
                .n_results = outbox->n_results,
            },
    };
    memcpy(frame.outcomes.run_id, outbox->run_id, sizeof frame.outcomes.run_id);
    if (member->peer != NULL && !peer_send(member->peer, &frame)) {
        log_warning(replica->options.log, "answers dropped, the stream is down or full",
                    LOG_TEXT("peer", member->address.name), LOG_U64("answers", outbox->n_results));
    }
    outbox_clear(outbox);
}

/* The result in the outbox that has the same holders, counted from 1; 0: none that is still looked at. */
static uint32_t outbox_find_holders(const struct outbox *outbox, const struct outcome *outcome)
{
    size_t n = outcome->n_holders < 2 ? 0 : outbox->n_lists < OUTBOX_LISTS ? outbox->n_lists : OUTBOX_LISTS;
    for (size_t i = 1; i <= n; i++) {
        uint32_t at = outbox->lists[(outbox->n_lists - i) % OUTBOX_LISTS];
        if (outcomes_show_same_holders(outcome, &outbox->results[at - 1].outcome)) {
            return at;
        }
    }
    return 0;
}

static void outbox_add(struct replica *replica, struct member *member, const uint8_t run_id[16],
                       const struct frame_operation_result *result)
{
    struct outbox *outbox = &member->outbox;
    struct frame_operation_result item = *result;
    item.holders_of = outbox_find_holders(outbox, &result->outcome);
    size_t size = frame_operation_result_size(&item);
    if (memcmp(outbox->run_id, run_id, sizeof outbox->run_id) != 0 ||
        outbox->bytes + size > LIMIT_FRAME_OUTCOMES_BYTES - FRAME_HEAD_BYTES) {
        outbox_flush(replica, member);
        memcpy(outbox->run_id, run_id, sizeof outbox->run_id);
        item.holders_of = 0; /* nothing of another frame's */
        size = frame_operation_result_size(&item);
    }
    if (outbox->n_results == outbox->capacity) {
        outbox->capacity = outbox->capacity == 0 ? 64 : outbox->capacity * 2;
        outbox->results = realloc(outbox->results, outbox->capacity * sizeof outbox->results[0]);
        CHECK(outbox->results != NULL);
    }
    if (item.status == OPERATION_APPLIED) {
        const struct outcome *shared = item.holders_of == 0 ? NULL : &outbox->results[item.holders_of - 1].outcome;
        copy_outcome(&outbox->arena, &result->outcome, shared, &item.outcome);
    }
    outbox->results[outbox->n_results++] = item;
    if (item.holders_of == 0 && item.outcome.n_holders > 1) {
        outbox->lists[outbox->n_lists++ % OUTBOX_LISTS] = (uint32_t)outbox->n_results;
    }
    outbox->bytes += size;
}

void passing_flush(struct replica *replica)
{
    for (size_t i = 0; i < replica->members.n; i++) {
        outbox_flush(replica, replica->members.list[i]);
    }
}
