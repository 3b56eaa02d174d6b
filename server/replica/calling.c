/* calling: which queues want a look, and the moves of those that wait. A mark costs O(log n) and looks at nothing, for it is
 * made inside apply. */
#include "base/check.h"
#include "replica/waiters.h"

/* ---- marks ---- */

static struct waiter *after(const struct waiter *waiter)
{
    struct chain_link *next = waiter->place.next;
    return next == NULL ? NULL : OWNER_OF(next, struct waiter, place);
}

static struct waiter *first_of(const struct wait_queue *queue)
{
    struct chain_link *first = queue->waiters.first;
    return first == NULL ? NULL : OWNER_OF(first, struct waiter, place);
}

static void want_no_look(struct wait_queue *queue)
{
    chain_remove(&queue->ready);
    if (queue->group != NULL) {
        min_heap_remove(&queue->group->candidates, &queue->candidate);
    }
}

struct waiter *wait_queue_next(struct waiters *waiters, struct wait_queue *queue)
{
    while (queue->next != NULL && queue->next->state != WAITER_PARKED) {
        queue->next = after(queue->next);
    }
    if (queue->next == NULL || queue->is_blocked) {
        want_no_look(queue);
        return NULL;
    }
    if (queue->group != NULL) {
        min_heap_put(&queue->group->candidates, &queue->candidate, queue->next->arrival);
    } else if (queue->ready.chain == NULL) {
        chain_append(&waiters->ready_queues, &queue->ready);
    }
    return queue->next;
}

void wait_group_mark(struct waiters *waiters, struct wait_group *group)
{
    if (group->n_parked > 0 && group->ready.chain == NULL) {
        chain_append(&waiters->ready_groups, &group->ready);
    }
}

/* Whoever in it may be looked at from queue->next on. */
static void wait_queue_want(struct waiters *waiters, struct wait_queue *queue)
{
    if (wait_queue_next(waiters, queue) != NULL && queue->group != NULL) {
        wait_group_mark(waiters, queue->group);
    }
}

void wait_queue_mark(struct waiters *waiters, struct wait_queue *queue)
{
    queue->is_blocked = false;
    queue->next = first_of(queue);
    min_heap_remove(&waiters->cools, &queue->cool);
    wait_queue_want(waiters, queue);
}

void wait_queue_block(struct waiters *waiters, struct wait_queue *queue)
{
    queue->is_blocked = true;
    (void)wait_queue_next(waiters, queue);
}

void wait_queue_sweep(struct waiters *waiters, struct wait_queue *queue)
{
    queue->sweep = first_of(queue);
    if (queue->swept.chain == NULL) {
        chain_append(&waiters->swept, &queue->swept);
    }
}

void kin_mark(struct waiters *waiters, struct kin *kin)
{
    kin->next = OWNER_OF(kin->waiters.first, struct waiter, kins[kin->kinship]);
    if (kin->dirty.chain == NULL) {
        chain_append(&waiters->dirty, &kin->dirty);
    }
}

/* ---- moves ---- */

void waiter_settle(struct waiters *waiters, struct waiter *waiter, bool took_slot)
{
    struct wait_queue *queue = waiter->queue;
    struct wait_group *group = waiter->hope_of;
    if (!waiter->is_hope) {
        return;
    }
    waiter->is_hope = false;
    waiter->hope_of = NULL;
    queue->n_hopes--;
    if (!took_slot) {
        wait_queue_mark(waiters, queue);
    }
    if (group == NULL) {
        return;
    }
    group->n_hopes--;
    if (!took_slot) {
        wait_group_mark(waiters, group);
    }
    wait_group_drop(waiters, group);
}

/* Whoever is refused is looked at again: what was in its way may be over. */
void waiter_park(struct waiters *waiters, struct waiter *waiter)
{
    struct wait_queue *queue = waiter->queue;
    bool was_proposed = waiter->state == WAITER_PROPOSED;
    if (!waiter->has_waited) {
        waiter->has_waited = true;
        queue->n_waiting++;
        waiters->n_waiting++;
    }
    waiter_move(waiters, waiter, WAITER_PARKED);
    if (was_proposed) {
        wait_queue_mark(waiters, queue);
    } else if (!queue->is_blocked && queue->next == NULL) {
        queue->next = waiter;
        wait_queue_want(waiters, queue);
    }
}

void waiter_call(struct waiters *waiters, struct waiter *waiter, enum call call)
{
    struct wait_queue *queue = waiter->queue;
    CHECK(waiter->state == WAITER_NEW || waiter->state == WAITER_PARKED);
    waiter_move(waiters, waiter, WAITER_CALLED);
    chain_append(call == CALL_HOPEFUL ? &waiters->called_first : &waiters->called, &waiter->turn);
    if (call == CALL_LAST) {
        return;
    }
    waiter->is_hope = true;
    waiter->hope_of = queue->group;
    queue->n_hopes++;
    if (queue->group != NULL) {
        queue->group->n_hopes++;
    }
}
