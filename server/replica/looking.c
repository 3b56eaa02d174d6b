/* looking: who of those that wait is proposed.
 *
 * What happens in the table only marks queues, groups and kin. In the next turn lock_table_probe tells of each that may be
 * concerned whether it would be granted now, or refused by what can't be waited out: then it is called, to be proposed, and
 * its answer comes out of the log like any other. As many are called as there is room for, the oldest first, less those
 * that are called already and not decided; when one of them is refused the next one is looked at. So of ten thousand that
 * wait for one schedule a release looks at one. What needs more looks than a turn may have goes on in the next turn.
 *
 * One thing happens without a mark: a schedule that forgets an old occurrence raises its floor. Ticks look at a few of those
 * that have an occurrence, in turn. */
#include <string.h>

#include "replica/inside.h"

#define TICK_LOOKS 16u

bool outcome_may_be_waited_out(enum outcome_code code)
{
    return code == OUTCOME_LOCK_HELD || code == OUTCOME_COOLING_DOWN || code == OUTCOME_GROUP_FULL;
}

/* ---- what happened ---- */

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

static void note_policy(struct waiters *waiters, struct slice schedule_id)
{
    struct wait_queue *queue = waiters_queue(waiters, schedule_id);
    if (queue != NULL) {
        queue->is_moved = true;
        wait_queue_sweep(waiters, queue);
    }
}

void looking_note(struct replica *replica, const struct event *event)
{
    struct waiters *waiters = &replica->waiters;
    struct wait_group *group;
    if (waiters->queues.n == 0) {
        return;
    }
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        return;
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
void looking_note_granted(struct replica *replica, const struct acquire_command *command)
{
    struct waiters *waiters = &replica->waiters;
    struct wait_queue *queue = waiters->queues.n == 0 ? NULL : waiters_queue(waiters, command->schedule_id);
    struct kin *kin = queue == NULL ? NULL : waiters_kin(waiters, queue, KIN_KEY, command->idempotency_key);
    if (kin != NULL) {
        kin_mark(waiters, kin);
    }
}

/* ---- one look ---- */

static struct probe probe(struct replica *replica, const struct waiter *waiter, unsigned *left)
{
    struct probe probe;
    CHECK(*left > 0);
    --*left;
    replica->waiters.n_looks++;
    lock_table_probe(replica->table, &waiter->command, &probe);
    return probe;
}

/* Answered at once, whatever there is room for. True: it was called. */
static bool call_if_refused(struct replica *replica, struct waiter *waiter, const struct probe *probe)
{
    if (probe->code == OUTCOME_DONE || outcome_may_be_waited_out(probe->code)) {
        return false;
    }
    waiter_call(&replica->waiters, waiter, CALL_LAST);
    return true;
}

static bool group_has_room(const struct replica *replica, const struct wait_group *group)
{
    struct group_view view;
    struct slice name = {0};
    if (group == NULL) {
        return true;
    }
    name = (struct slice){.base = (const uint8_t *)group->name, .len = group->name_len};
    return !lock_table_group(replica->table, name, &view) || view.held + group->n_hopes < view.slots;
}

enum verdict {
    CALLED,
    PASSED_OVER,   /* what is in its way is its own business */
    QUEUE_BLOCKED, /* nobody behind it would be granted either */
    GROUP_BLOCKED, /* … in the whole group */
};

static enum verdict call_if_room(struct replica *replica, struct waiter *waiter, uint64_t free_slots)
{
    const struct wait_queue *queue = waiter->queue;
    if (!group_has_room(replica, queue->group)) {
        return GROUP_BLOCKED;
    }
    if (free_slots <= queue->n_hopes) {
        return QUEUE_BLOCKED;
    }
    waiter_call(&replica->waiters, waiter, CALL_HOPEFUL);
    return CALLED;
}

/* State time stands still between entries; that of the entry which would carry it decides. */
static enum verdict wait_until_cool(struct replica *replica, struct waiter *waiter, uint64_t remaining_ms)
{
    struct lock_table_counts counts;
    lock_table_count(replica->table, &counts);
    uint64_t over_ms = counts.now_ms + remaining_ms;
    if (clock_now_ms(replica) >= over_ms) {
        return call_if_room(replica, waiter, 1);
    }
    min_heap_put(&replica->waiters.cools, &waiter->queue->cool, clock_mono_ns(replica, over_ms));
    return QUEUE_BLOCKED;
}

static enum verdict look_at(struct replica *replica, struct waiter *waiter, unsigned *left)
{
    struct probe said = probe(replica, waiter, left);
    if (call_if_refused(replica, waiter, &said)) {
        return CALLED;
    }
    switch (said.code) {
    case OUTCOME_DONE:
        return call_if_room(replica, waiter, said.free_slots);
    case OUTCOME_COOLING_DOWN:
        return wait_until_cool(replica, waiter, said.remaining_ms);
    case OUTCOME_GROUP_FULL:
        return GROUP_BLOCKED;
    default:
        return said.is_full ? QUEUE_BLOCKED : PASSED_OVER;
    }
}

/* ---- queues and groups ---- */

/* False: its group is full. */
static bool look_at_next(struct replica *replica, struct wait_queue *queue, struct waiter *next, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    enum verdict verdict = look_at(replica, next, left);
    if (verdict == PASSED_OVER) {
        struct chain_link *behind = next->place.next;
        queue->next = behind == NULL ? NULL : OWNER_OF(behind, struct waiter, place);
    } else if (verdict == QUEUE_BLOCKED || (verdict == GROUP_BLOCKED && queue->group == NULL)) {
        wait_queue_block(waiters, queue);
    }
    (void)wait_queue_next(waiters, queue);
    return verdict != GROUP_BLOCKED;
}

static void look_at_queues(struct replica *replica, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    while (*left > 0 && waiters->ready_queues.first != NULL) {
        struct wait_queue *queue = OWNER_OF(waiters->ready_queues.first, struct wait_queue, ready);
        struct waiter *next = wait_queue_next(waiters, queue);
        if (next != NULL) {
            (void)look_at_next(replica, queue, next, left);
        }
    }
}

/* The oldest of all its queues; NULL: nobody wants a look. */
static struct waiter *group_next(struct waiters *waiters, struct wait_group *group)
{
    struct min_heap_node *node;
    while ((node = min_heap_first(&group->candidates)) != NULL) {
        struct wait_queue *queue = OWNER_OF(node, struct wait_queue, candidate);
        uint64_t arrival = node->key;
        struct waiter *next = wait_queue_next(waiters, queue);
        if (next != NULL && next->arrival == arrival) {
            return next;
        }
    }
    return NULL;
}

static void look_at_groups(struct replica *replica, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    while (*left > 0 && waiters->ready_groups.first != NULL) {
        struct wait_group *group = OWNER_OF(waiters->ready_groups.first, struct wait_group, ready);
        struct waiter *next = group_next(waiters, group);
        if (next == NULL || !look_at_next(replica, next->queue, next, left)) {
            chain_remove(&group->ready);
        }
    }
}

/* ---- whom one outcome concerns ---- */

static void look_at_kin(struct replica *replica, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    while (*left > 0 && waiters->dirty.first != NULL) {
        struct kin *kin = OWNER_OF(waiters->dirty.first, struct kin, dirty);
        struct waiter *waiter = kin->next;
        if (waiter == NULL) {
            chain_remove(&kin->dirty);
            continue;
        }
        struct chain_link *behind = waiter->kins[kin->kinship].next;
        kin->next = behind == NULL ? NULL : OWNER_OF(behind, struct waiter, kins[kin->kinship]);
        if (waiter->state != WAITER_PARKED) {
            continue;
        }
        struct probe said = probe(replica, waiter, left);
        if (!call_if_refused(replica, waiter, &said) && kin->kinship == KIN_KEY && said.code == OUTCOME_DONE) {
            waiter_call(waiters, waiter, CALL_LAST); /* the repeat takes no slot */
        }
    }
}

static void end_sweep(struct replica *replica, struct wait_queue *queue)
{
    chain_remove(&queue->swept);
    wait_queue_mark(&replica->waiters, queue);
}

static void begin_sweep(struct replica *replica, struct wait_queue *queue)
{
    struct policy_view view;
    struct slice id = {.base = (const uint8_t *)queue->id, .len = queue->id_len};
    if (queue->is_moved) {
        queue->is_moved = false;
        bool has_policy = lock_table_policy(replica->table, id, &view);
        wait_queue_set_group(&replica->waiters, queue, has_policy ? view.policy.group : (struct slice){0});
    }
}

static void look_at_swept(struct replica *replica, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    while (*left > 0 && waiters->swept.first != NULL) {
        struct wait_queue *queue = OWNER_OF(waiters->swept.first, struct wait_queue, swept);
        struct waiter *waiter = queue->sweep;
        begin_sweep(replica, queue);
        if (waiter == NULL) {
            end_sweep(replica, queue);
            continue;
        }
        struct chain_link *behind = waiter->place.next;
        queue->sweep = behind == NULL ? NULL : OWNER_OF(behind, struct waiter, place);
        if (waiter->state == WAITER_PARKED) {
            struct probe said = probe(replica, waiter, left);
            (void)call_if_refused(replica, waiter, &said);
        }
    }
}

/* After a freeze was set: it concerns whoever it says it concerns. */
static void look_for_frozen(struct replica *replica, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    while (*left > 0 && waiters->scan != NULL) {
        struct wait_queue *queue = OWNER_OF(waiters->scan, struct wait_queue, all);
        struct slice id = {.base = (const uint8_t *)queue->id, .len = queue->id_len};
        waiters->scan = waiters->scan->next;
        --*left;
        if (lock_table_is_frozen(replica->table, id)) {
            wait_queue_sweep(waiters, queue);
        }
    }
}

/* ---- who has arrived ---- */

static bool others_wait(const struct wait_queue *queue)
{
    const struct wait_group *group = queue->group;
    return queue->n_parked + queue->n_hopes > 0 || (group != NULL && group->n_parked + group->n_hopes > 0);
}

/* Proposed like anything else, unless others are before it: then it waits behind them, unless its answer is no matter of
 * waiting. */
static void look_at_new(struct replica *replica, struct waiter *waiter, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    if (!raising_allows_wait(replica)) {
        waiting_answer(replica, waiter, OPERATION_NOT_READY, NULL);
    } else if (waiter->is_last) {
        waiter_call(waiters, waiter, CALL_LAST);
    } else if (!others_wait(waiter->queue)) {
        waiter_call(waiters, waiter, CALL_NEW);
    } else {
        struct probe said = probe(replica, waiter, left);
        if (!call_if_refused(replica, waiter, &said)) {
            waiter_park(waiters, waiter);
        }
    }
}

static void look_at_fresh(struct replica *replica, unsigned *left)
{
    struct waiters *waiters = &replica->waiters;
    while (*left > 0 && waiters->fresh.first != NULL) {
        look_at_new(replica, OWNER_OF(waiters->fresh.first, struct waiter, turn), left);
    }
}

/* ---- turns ---- */

static void wake_cool(struct replica *replica)
{
    struct waiters *waiters = &replica->waiters;
    uint64_t now_ns = replica_now_ns(replica);
    struct min_heap_node *node;
    while ((node = min_heap_first(&waiters->cools)) != NULL && node->key <= now_ns) {
        wait_queue_mark(waiters, OWNER_OF(node, struct wait_queue, cool));
    }
}

static void look(struct replica *replica, unsigned share, unsigned *left)
{
    void (*const kinds[])(struct replica * replica, unsigned *left) = {
        look_at_fresh, look_at_groups, look_at_queues, look_at_kin, look_for_frozen, look_at_swept,
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !replica->dead; i++) {
        unsigned may = share < *left ? share : *left;
        unsigned rest = may;
        kinds[i](replica, &rest);
        *left -= may - rest;
    }
}

/* First each kind has its share, so that none keeps the others waiting. */
void looking_turn(struct replica *replica)
{
    const struct waiters *waiters = &replica->waiters;
    unsigned left = LIMIT_WAITER_LOOKS;
    wake_cool(replica);
    look(replica, LIMIT_WAITER_LOOKS / 8, &left);
    look(replica, LIMIT_WAITER_LOOKS, &left);
    if (waiters->fresh.n + waiters->ready_groups.n + waiters->ready_queues.n + waiters->dirty.n + waiters->swept.n >
            0 ||
        waiters->scan != NULL) {
        replica_want_turn(replica);
    }
}

/* Everybody with an occurrence in turn, whatever happened. */
void looking_tick(struct replica *replica)
{
    struct waiters *waiters = &replica->waiters;
    unsigned left = TICK_LOOKS;
    for (unsigned i = 0; i < TICK_LOOKS && waiters->rotating.first != NULL; i++) {
        struct chain_link *link = waiters->rotating.first;
        struct waiter *waiter = OWNER_OF(link, struct waiter, rotation);
        chain_remove(link);
        chain_append(&waiters->rotating, link);
        if (waiter->state == WAITER_PARKED) {
            struct probe said = probe(replica, waiter, &left);
            (void)call_if_refused(replica, waiter, &said);
        }
    }
}
