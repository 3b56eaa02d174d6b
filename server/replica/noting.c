/* noting: what happens in the table, for those that wait. Inside apply nothing is looked at: queues, groups and kin are
 * marked, and looked at in the next turn (looking.c). */
#include "replica/inside.h"

static void note_slot(struct waiters *waiters, const struct event *event, bool is_free)
{
    struct wait_queue *queue = waiters_queue(waiters, event->run.schedule_id);
    if (queue != NULL && is_free) {
        wait_queue_mark(waiters, queue);
    }
    if (queue != NULL && slice_is_present(event->run.occurrence)) {
        struct kin *kin = waiters_kin(waiters, queue, KIN_OCCURRENCE, event->run.occurrence);
        if (kin != NULL) {
            kin_mark(waiters, kin);
        }
    }
    struct wait_group *group = is_free && slice_is_present(event->group) ? waiters_group(waiters, event->group) : NULL;
    if (group != NULL) {
        wait_group_mark(waiters, group);
    }
}

/* There is another deadline, which may be the first. */
static void note_deadline(struct waiters *waiters, struct slice schedule_id)
{
    struct wait_queue *queue = waiters_queue(waiters, schedule_id);
    if (queue != NULL && queue->n_parked > 0 && queue->armed.chain == NULL) {
        chain_append(&waiters->armed, &queue->armed);
    }
}

static void note_policy(struct waiters *waiters, struct slice schedule_id)
{
    struct wait_queue *queue = waiters_queue(waiters, schedule_id);
    if (queue != NULL) {
        queue->is_moved = true;
        wait_queue_sweep(waiters, queue);
    }
}

void noting_event(struct replica *replica, const struct event *event)
{
    struct waiters *waiters = &replica->waiters;
    struct wait_group *group;
    if (waiters->queues.n == 0) {
        return;
    }
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        note_deadline(waiters, event->grant.schedule_id);
        break;
    case EVENT_RELEASED:
    case EVENT_EXPIRED:
        note_slot(waiters, event, true);
        break;
    case EVENT_REVOKED:
        note_slot(waiters, event, event->run.is_newly_freed);
        break;
    case EVENT_POLICY:
        note_policy(waiters, event->policy.schedule_id);
        break;
    case EVENT_GROUP:
        group = waiters_group(waiters, event->of_group.name);
        if (group != NULL) {
            wait_group_mark(waiters, group);
        }
        break;
    case EVENT_FREEZE:
        waiters->scan = event->is_gone ? waiters->scan : waiters->queues.first;
        break;
    }
    replica_want_turn(replica);
}

/* Its key has a grant now: whoever has the same key has an answer. */
void noting_granted(struct replica *replica, const struct acquire_command *command)
{
    struct waiters *waiters = &replica->waiters;
    struct wait_queue *queue = waiters->queues.n == 0 ? NULL : waiters_queue(waiters, command->schedule_id);
    struct kin *kin = queue == NULL ? NULL : waiters_kin(waiters, queue, KIN_KEY, command->idempotency_key);
    if (kin != NULL) {
        kin_mark(waiters, kin);
    }
}
