/* parting: clients, leaders, streams and nodes that go, and what becomes of what waits for their sake.
 *
 * When this node leads no more, whoever waits here is told that nothing was changed; of what is in an entry that is
 * undecided, nobody knows yet. To another member that is told as OPERATION_CANCELLED: its client goes away with a 503 and
 * isn't put at the end of the next leader's queue. A member whose stream is lost takes the operations that it passed on for
 * lost, so here they are forgotten. */
#include <string.h>

#include "replica/inside.h"

/* ---- clients that go ---- */

void replica_cancel(struct replica *replica, struct operation *operation)
{
    struct waiter *waiter = operation->waiter;
    if (replica->dead) {
        return;
    }
    if (waiter == NULL) {
        if (operation->state == OPERATION_QUEUED) {
            operation_list_remove(&replica->operations.queued, operation);
            operation_refuse(replica, operation, OPERATION_CANCELLED);
        }
        return;
    }
    if (operation->state == OPERATION_QUEUED || operation->state == OPERATION_WAITING) {
        waiting_refuse(replica, waiter, OPERATION_CANCELLED);
    } else if (operation->state == OPERATION_PASSED && !waiter->is_cancelled) {
        chain_append(&replica->waiters.cancelled, &waiter->turn);
        replica_want_turn(replica);
    }
    if (operation->state != OPERATION_REFUSED) {
        waiter->is_cancelled = true;
    }
}

/* As many as go into one frame. */
static size_t fill_cancels(const struct waiters *waiters, uint64_t member_id, uint64_t numbers[LIMIT_CANCELS])
{
    size_t n = 0;
    for (struct chain_link *link = waiters->cancelled.first; link != NULL && n < LIMIT_CANCELS; link = link->next) {
        const struct waiter *waiter = OWNER_OF(link, struct waiter, turn);
        if (waiter->member_id != member_id) {
            break;
        }
        numbers[n++] = waiter->number;
    }
    return n;
}

/* What can't be sent now is tried again; a stream that is lost ends it. */
void parting_send_cancels(struct replica *replica)
{
    uint64_t numbers[LIMIT_CANCELS];
    struct waiters *waiters = &replica->waiters;
    while (waiters->cancelled.first != NULL) {
        struct member *member =
            member_by_id(replica, OWNER_OF(waiters->cancelled.first, struct waiter, turn)->member_id);
        struct frame frame = {.kind = FRAME_CANCEL, .cancel = {.numbers = numbers}};
        if (member == NULL || member->peer == NULL) {
            return;
        }
        frame.cancel.n_numbers = fill_cancels(waiters, member->id, numbers);
        memcpy(frame.cancel.run_id, replica->run_id, sizeof frame.cancel.run_id);
        if (!peer_send(member->peer, &frame)) {
            return;
        }
        for (size_t i = 0; i < frame.cancel.n_numbers; i++) {
            chain_remove(waiters->cancelled.first);
        }
    }
}

void parting_take_cancels(struct replica *replica, const struct member *member, const struct frame_cancel *frame)
{
    if (memcmp(frame->run_id, member->run_id, sizeof frame->run_id) != 0) {
        return;
    }
    for (size_t i = 0; i < frame->n_numbers; i++) {
        struct waiter *waiter = waiters_find(&replica->waiters, member->id, frame->numbers[i], false);
        if (waiter == NULL) {
            continue; /* both crossed */
        }
        if (waiter->state == WAITER_PROPOSED) {
            waiter->is_cancelled = true;
        } else {
            waiting_answer(replica, waiter, OPERATION_CANCELLED, NULL);
        }
    }
}

/* ---- leaders, streams and nodes that go ---- */

/* An operation of this node that was never looked at waits for the next leader. */
static void lose_leadership(struct replica *replica, struct waiter *waiter, const void *unused)
{
    struct operation *own = waiter->own;
    enum waiter_state was = waiter->state;
    (void)unused;
    waiter_leave(&replica->waiters, waiter);
    if (was == WAITER_NEW && own != NULL && !waiter->is_last) {
        min_heap_remove(&replica->waiters.ends, &waiter->end);
        own->state = OPERATION_QUEUED;
        own->deadline_ns = replica_now_ns(replica) + waiting_commit_ns(replica);
        operation_list_insert(&replica->operations.queued, own);
    } else if (was == WAITER_NEW || was == WAITER_PARKED || was == WAITER_CALLED) {
        waiting_give_up(replica, waiter, was == WAITER_NEW);
    }
}

void parting_leadership_lost(struct replica *replica)
{
    waiting_each(replica, &replica->waiters.own, NULL, lose_leadership);
    waiting_each(replica, &replica->waiters.foreign, NULL, lose_leadership);
}

static void lose_stream_own(struct replica *replica, struct waiter *waiter, const void *argument)
{
    const struct member *member = argument;
    if (waiter->state == WAITER_PASSED && waiter->member_id == member->id) {
        waiting_answer(replica, waiter, OPERATION_UNKNOWN, NULL);
    }
}

static void lose_stream_foreign(struct replica *replica, struct waiter *waiter, const void *argument)
{
    const struct member *member = argument;
    if (waiter->member_id == member->id) {
        waiting_forget(replica, waiter);
    }
}

void parting_stream_lost(struct replica *replica, const struct member *member)
{
    waiting_each(replica, &replica->waiters.own, member, lose_stream_own);
    waiting_each(replica, &replica->waiters.foreign, member, lose_stream_foreign);
}

static void forget_earlier(struct replica *replica, struct waiter *waiter, const void *argument)
{
    const struct member *member = argument;
    if (waiter->member_id == member->id && memcmp(waiter->run_id, member->run_id, sizeof waiter->run_id) != 0) {
        waiting_forget(replica, waiter);
    }
}

void parting_member_begins(struct replica *replica, const struct member *member)
{
    waiting_each(replica, &replica->waiters.foreign, member, forget_earlier);
}

/* Whoever waits elsewhere for this node's sake is taken back; that comes as an answer. */
static void close_one(struct replica *replica, struct waiter *waiter, const void *unused)
{
    (void)unused;
    if (waiter->state == WAITER_PASSED) {
        replica_cancel(replica, waiter->own);
    } else if (waiter->own == NULL) {
        if (waiter->state != WAITER_PROPOSED) {
            waiting_give_up(replica, waiter, waiter->state == WAITER_NEW);
        }
    } else if (waiter->own->state == OPERATION_QUEUED || waiter->own->state == OPERATION_WAITING) {
        waiting_refuse(replica, waiter, OPERATION_NO_LEADER);
    }
}

void parting_close(struct replica *replica)
{
    waiting_each(replica, &replica->waiters.own, NULL, close_one);
    waiting_each(replica, &replica->waiters.foreign, NULL, close_one);
}
