/* passing: operations that another member's leader decides.
 *
 * A follower sends the operations of a turn to the leader in frames, under numbers of its own, and waits for outcomes by
 * these numbers. It sends none twice: what was handed to a stream that then broke is "unknown". What surely wasn't sent,
 * or was answered with "I don't lead", waits for the next leader. The leader takes each frame of a run once, by its
 * sequence number, and passes nothing on. */
#include <stdlib.h>
#include <string.h>

#include "replica/inside.h"

/* ---- the side that asks ---- */

static size_t fill_frame(const struct replica *replica, struct frame_operation **filled)
{
    const struct operations *operations = &replica->operations;
    size_t capacity = 64;
    struct frame_operation *list = malloc(capacity * sizeof *list);
    CHECK(list != NULL);
    size_t n = 0;
    size_t bytes = REPLICA_FRAME_HEAD_BYTES;
    for (struct operation *operation = operations->queued.first; operation != NULL; operation = operation->next) {
        struct frame_operation next = {.number = operations->next_number + n + 1, .command = operation->command};
        next.wait_ms = operation->waiter == NULL ? 0 : waiting_left_ms(replica, operation->waiter);
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
    size_t n = fill_frame(replica, &list);
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
            if (operation->waiter != NULL) {
                waiting_passed(replica, operation->waiter, leader->id);
            } else {
                operation_list_insert(&operations->passed, operation);
            }
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

/* Takes it off the list; NULL: its time is over, or another member was asked. Those that wait are on none. */
static struct operation *take_passed(struct replica *replica, const struct member *member, uint64_t number)
{
    struct operations *operations = &replica->operations;
    const struct waiter *waiter = waiters_find(&replica->waiters, member->id, number, true);
    if (waiter != NULL) {
        return waiter->own;
    }
    struct operation *operation = operations->passed.first; /* answers come in order: it is near the beginning */
    while (operation != NULL && operation->number != number) {
        operation = operation->next;
    }
    if (operation == NULL || operation->to != member->id) {
        return NULL;
    }
    operation_list_remove(&operations->passed, operation);
    return operation;
}

/* The member doesn't lead and has done nothing: the next leader may be asked. */
static bool asks_again(struct replica *replica, struct operation *operation)
{
    struct operations *operations = &replica->operations;
    bool in_time = operation->waiter != NULL ? waiting_comes_back(replica, operation->waiter)
                                             : replica_now_ns(replica) < operation->deadline_ns;
    if (replica->closing != CLOSING_NOT || !in_time) {
        return false;
    }
    operation->state = OPERATION_QUEUED;
    operation_list_insert(&operations->queued, operation);
    operations->hold_ns = replica_now_ns(replica) + REPLICA_TICK_MS * NS_PER_MS;
    return true;
}

static void take_result(struct replica *replica, const struct member *member,
                        const struct frame_operation_result *result)
{
    struct operation *operation = take_passed(replica, member, result->number);
    if (operation == NULL || (result->status == OPERATION_NO_LEADER && asks_again(replica, operation))) {
        return;
    }
    bool applied = result->status == OPERATION_APPLIED;
    if (applied && !outcome_answers(&result->outcome, &operation->command)) {
        log_warning(replica->options.log, "a member sent an outcome that is none of its operation",
                    LOG_U64("operation", result->number));
        operation_answer(replica, operation, OPERATION_UNKNOWN, NULL);
    } else if (operation->waiter != NULL && !applied) {
        operation_answer(replica, operation, waiting_status(replica, operation->waiter, result->status), NULL);
    } else {
        operation_answer(replica, operation, result->status, applied ? &result->outcome : NULL);
    }
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
    waiting_stream_lost(replica, member);
}

/* ---- the side that leads ---- */

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

static bool waits(const struct frame_operation *operation)
{
    return operation->wait_ms > 0 && operation->command.kind == COMMAND_ACQUIRE;
}

/* Of those that don't wait, which are `n` and more than none. */
static struct passed *passed_new(const struct member *member, const struct frame_operations *frame, size_t n)
{
    struct passed *passed = calloc(1, sizeof *passed);
    CHECK(passed != NULL);
    passed->member_id = member->id;
    memcpy(passed->run_id, frame->run_id, sizeof passed->run_id);
    arena_init(&passed->arena, 0);
    passed->operations = arena_alloc(&passed->arena, n * sizeof passed->operations[0]);
    CHECK(passed->operations != NULL);
    for (size_t i = 0; i < frame->n_operations; i++) {
        if (waits(&frame->operations[i])) {
            continue;
        }
        struct frame_operation *operation = &passed->operations[passed->n_operations++];
        operation->number = frame->operations[i].number;
        CHECK(copy_command(&passed->arena, &frame->operations[i].command, &operation->command));
    }
    CHECK(passed->n_operations == n);
    passed->unanswered = n;
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
    size_t n = 0;
    for (size_t i = 0; i < frame->n_operations; i++) {
        n += !waits(&frame->operations[i]);
    }
    if (n > 0 && operations->undecided + n > LIMIT_OPERATIONS_QUEUED) {
        refuse_frame(replica, member, frame, OPERATION_OVERLOADED);
        return;
    }
    if (n > 0) {
        operations->undecided += n;
        struct passed *passed = passed_new(member, frame, n);
        *(operations->foreign_first == NULL ? &operations->foreign_first : &operations->foreign_last->next) = passed;
        operations->foreign_last = passed;
    }
    for (size_t i = 0; i < frame->n_operations; i++) {
        if (waits(&frame->operations[i])) {
            waiting_take(replica, member, frame->run_id, &frame->operations[i]);
        }
    }
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
