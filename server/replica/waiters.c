/* Objects and what they hang on; what the marks do is in calling.c. */
#include "replica/waiters.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/checksum.h"
#include "core/instant.h"

void waiters_close(struct waiters *waiters)
{
    CHECK(waiters->own.n == 0 && waiters->foreign.n == 0 && waiters->queues.n == 0);
    hashed_close(&waiters->by_id);
    hashed_close(&waiters->by_name);
    hashed_close(&waiters->by_kin);
    hashed_close(&waiters->by_number);
    hashed_close(&waiters->tallies);
    min_heap_close(&waiters->ends);
    min_heap_close(&waiters->cools);
}

uint64_t waiters_count(const struct waiters *waiters)
{
    return waiters->own.n + waiters->foreign.n;
}

static uint64_t hash_slice(const struct waiters *waiters, struct slice text)
{
    return checksum_64_seeded(text.base, text.len, waiters->seed);
}

static bool is_text(const char *text, size_t len, struct slice slice)
{
    return len == slice.len && memcmp(text, slice.base, len) == 0;
}

/* ---- groups ---- */

struct wait_group *waiters_group(const struct waiters *waiters, struct slice name)
{
    struct hashed_link *link = hashed_first(&waiters->by_name, hash_slice(waiters, name));
    for (; link != NULL; link = hashed_next(link)) {
        struct wait_group *group = OWNER_OF(link, struct wait_group, by_name);
        if (is_text(group->name, group->name_len, name)) {
            return group;
        }
    }
    return NULL;
}

static struct wait_group *wait_group_new(struct waiters *waiters, struct slice name)
{
    struct wait_group *group = calloc(1, sizeof *group + name.len);
    CHECK(group != NULL);
    memcpy(group->name, name.base, name.len);
    group->name_len = name.len;
    hashed_put(&waiters->by_name, &group->by_name, hash_slice(waiters, name));
    return group;
}

void wait_group_drop(struct waiters *waiters, struct wait_group *group)
{
    if (group->queues.n > 0 || group->n_hopes > 0) {
        return;
    }
    CHECK(group->n_parked == 0);
    chain_remove(&group->ready);
    min_heap_close(&group->candidates);
    hashed_remove(&waiters->by_name, &group->by_name);
    free(group);
}

/* ---- queues ---- */

struct wait_queue *waiters_queue(const struct waiters *waiters, struct slice schedule_id)
{
    struct hashed_link *link = hashed_first(&waiters->by_id, hash_slice(waiters, schedule_id));
    for (; link != NULL; link = hashed_next(link)) {
        struct wait_queue *queue = OWNER_OF(link, struct wait_queue, by_id);
        if (is_text(queue->id, queue->id_len, schedule_id)) {
            return queue;
        }
    }
    return NULL;
}

static void wait_queue_leave_group(struct waiters *waiters, struct wait_queue *queue)
{
    struct wait_group *group = queue->group;
    if (group == NULL) {
        return;
    }
    queue->group = NULL;
    min_heap_remove(&group->candidates, &queue->candidate);
    chain_remove(&queue->of_group);
    group->n_parked -= queue->n_parked;
    wait_group_drop(waiters, group);
}

void wait_queue_set_group(struct waiters *waiters, struct wait_queue *queue, struct slice name)
{
    if (queue->group != NULL && slice_is_present(name) && is_text(queue->group->name, queue->group->name_len, name)) {
        return;
    }
    wait_queue_leave_group(waiters, queue);
    chain_remove(&queue->ready);
    if (!slice_is_present(name)) {
        return;
    }
    struct wait_group *group = waiters_group(waiters, name);
    queue->group = group == NULL ? wait_group_new(waiters, name) : group;
    queue->group->n_parked += queue->n_parked;
    chain_append(&queue->group->queues, &queue->of_group);
}

static struct wait_queue *wait_queue_new(struct waiters *waiters, struct slice id, struct lock_table *table)
{
    struct wait_queue *queue = calloc(1, sizeof *queue + id.len);
    struct policy_view view;
    CHECK(queue != NULL);
    memcpy(queue->id, id.base, id.len);
    queue->id_len = id.len;
    hashed_put(&waiters->by_id, &queue->by_id, hash_slice(waiters, id));
    chain_append(&waiters->queues, &queue->all);
    if (lock_table_policy(table, id, &view)) {
        wait_queue_set_group(waiters, queue, view.policy.group);
    }
    return queue;
}

static void wait_queue_free(struct waiters *waiters, struct wait_queue *queue)
{
    CHECK(queue->n_parked == 0 && queue->n_hopes == 0 && queue->n_waiting == 0);
    if (waiters->scan == &queue->all) {
        waiters->scan = queue->all.next;
    }
    wait_queue_leave_group(waiters, queue);
    chain_remove(&queue->ready);
    chain_remove(&queue->swept);
    chain_remove(&queue->all);
    min_heap_remove(&waiters->cools, &queue->cool);
    hashed_remove(&waiters->by_id, &queue->by_id);
    free(queue);
}

/* ---- kin ---- */

static uint64_t kin_hash(const struct waiters *waiters, const struct wait_queue *queue, enum kinship kinship,
                         struct slice text)
{
    struct {
        uint64_t queue;
        uint64_t text;
        uint64_t kinship;
    } parts = {.queue = queue->by_id.hash, .kinship = (uint64_t)kinship};
    struct instant instant;
    if (kinship == KIN_OCCURRENCE && instant_parse(text, &instant)) { /* however it is written */
        int64_t numbers[2] = {instant.seconds, instant.nanoseconds};
        parts.text = checksum_64_seeded(numbers, sizeof numbers, waiters->seed);
    } else {
        parts.text = hash_slice(waiters, text);
    }
    return checksum_64_seeded(&parts, sizeof parts, waiters->seed);
}

static struct slice kin_text(const struct waiter *waiter, enum kinship kinship)
{
    return kinship == KIN_OCCURRENCE ? waiter->command.occurrence : waiter->command.idempotency_key;
}

static bool is_kin(const struct kin *kin, struct slice text)
{
    const struct waiter *any = OWNER_OF(kin->waiters.first, struct waiter, kins[kin->kinship]);
    struct slice own = kin_text(any, kin->kinship);
    return kin->kinship == KIN_OCCURRENCE ? occurrence_is_same(own, text) : slice_equal(own, text);
}

struct kin *waiters_kin(const struct waiters *waiters, const struct wait_queue *queue, enum kinship kinship,
                        struct slice text)
{
    struct hashed_link *link = hashed_first(&waiters->by_kin, kin_hash(waiters, queue, kinship, text));
    for (; link != NULL; link = hashed_next(link)) {
        struct kin *kin = OWNER_OF(link, struct kin, link);
        if (kin->queue == queue && kin->kinship == kinship && is_kin(kin, text)) {
            return kin;
        }
    }
    return NULL;
}

static void kin_join(struct waiters *waiters, struct waiter *waiter, enum kinship kinship)
{
    struct slice text = kin_text(waiter, kinship);
    if (!slice_is_present(text)) {
        return;
    }
    struct kin *kin = waiters_kin(waiters, waiter->queue, kinship, text);
    if (kin == NULL) {
        kin = calloc(1, sizeof *kin);
        CHECK(kin != NULL);
        kin->queue = waiter->queue;
        kin->kinship = kinship;
        hashed_put(&waiters->by_kin, &kin->link, kin_hash(waiters, waiter->queue, kinship, text));
    }
    chain_append(&kin->waiters, &waiter->kins[kinship]);
    waiter->kin[kinship] = kin;
}

/* The one behind it in a chain through `kins`. */
static struct waiter *kin_after(const struct waiter *waiter, enum kinship kinship)
{
    struct chain_link *next = waiter->kins[kinship].next;
    return next == NULL ? NULL : OWNER_OF(next, struct waiter, kins[kinship]);
}

static void kin_leave(struct waiters *waiters, struct waiter *waiter, enum kinship kinship)
{
    struct kin *kin = waiter->kin[kinship];
    if (kin == NULL) {
        return;
    }
    if (kin->next == waiter) {
        kin->next = kin_after(waiter, kinship);
    }
    waiter->kin[kinship] = NULL;
    chain_remove(&waiter->kins[kinship]);
    if (kin->waiters.n == 0) {
        chain_remove(&kin->dirty);
        hashed_remove(&waiters->by_kin, &kin->link);
        free(kin);
    }
}

/* ---- waiters ---- */

static struct waiter *waiter_new(struct waiters *waiters, const struct acquire_command *command, size_t bytes)
{
    struct waiter *waiter = calloc(1, sizeof *waiter + bytes);
    CHECK(waiter != NULL);
    waiter->command = *command;
    waiters->n_states[WAITER_QUEUED]++;
    return waiter;
}

struct waiter *waiter_new_own(struct waiters *waiters, struct operation *operation,
                              const struct acquire_command *command)
{
    struct waiter *waiter = waiter_new(waiters, command, 0);
    waiter->own = operation;
    chain_append(&waiters->own, &waiter->origin);
    return waiter;
}

struct waiter *waiter_new_foreign(struct waiters *waiters, const struct acquire_command *command)
{
    size_t bytes = command->schedule_id.len + command->holder.len + command->occurrence.len +
                   command->idempotency_key.len + command->metadata.len;
    struct waiter *waiter = waiter_new(waiters, command, bytes);
    struct acquire_command *own = &waiter->command;
    struct slice *const parts[] = {&own->schedule_id, &own->holder, &own->occurrence, &own->idempotency_key,
                                   &own->metadata};
    char *at = waiter->bytes;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (slice_is_present(*parts[i])) {
            memcpy(at, parts[i]->base, parts[i]->len);
            parts[i]->base = (const uint8_t *)at;
            at += parts[i]->len;
        }
    }
    chain_append(&waiters->foreign, &waiter->origin);
    return waiter;
}

void waiter_move(struct waiters *waiters, struct waiter *waiter, enum waiter_state state)
{
    waiters->n_states[waiter->state]--;
    waiters->n_states[state]++;
    bool parked = waiter->state == WAITER_PARKED;
    bool parks = state == WAITER_PARKED;
    if (waiter->queue != NULL && parked != parks) {
        int64_t more = parks ? 1 : -1;
        waiter->queue->n_parked += (uint64_t)more;
        if (waiter->queue->group != NULL) {
            waiter->queue->group->n_parked += (uint64_t)more;
        }
    }
    waiter->state = state;
    chain_remove(&waiter->turn);
}

void waiter_arrive(struct waiters *waiters, struct waiter *waiter, struct lock_table *table)
{
    struct slice id = waiter->command.schedule_id;
    struct wait_queue *queue = waiters_queue(waiters, id);
    waiter->queue = queue == NULL ? wait_queue_new(waiters, id, table) : queue;
    waiter->arrival = ++waiters->next_arrival;
    chain_append(&waiter->queue->waiters, &waiter->place);
    for (enum kinship kinship = 0; kinship < KINSHIPS; kinship++) {
        kin_join(waiters, waiter, kinship);
    }
    if (slice_is_present(waiter->command.occurrence)) {
        chain_append(&waiters->rotating, &waiter->rotation);
    }
    waiter_move(waiters, waiter, WAITER_NEW);
    chain_append(&waiters->fresh, &waiter->turn);
}

void waiter_leave(struct waiters *waiters, struct waiter *waiter)
{
    struct wait_queue *queue = waiter->queue;
    if (queue == NULL) {
        return;
    }
    waiter_settle(waiters, waiter, false);
    if (waiter->state == WAITER_PARKED || waiter->state == WAITER_NEW || waiter->state == WAITER_CALLED) {
        waiter_move(waiters, waiter, WAITER_QUEUED);
    }
    struct waiter *after = waiter->place.next == NULL ? NULL : OWNER_OF(waiter->place.next, struct waiter, place);
    queue->next = queue->next == waiter ? after : queue->next;
    queue->sweep = queue->sweep == waiter ? after : queue->sweep;
    queue->n_waiting -= waiter->has_waited;
    waiters->n_waiting -= waiter->has_waited;
    waiter->has_waited = false;
    waiter->queue = NULL;
    chain_remove(&waiter->place);
    chain_remove(&waiter->rotation);
    for (enum kinship kinship = 0; kinship < KINSHIPS; kinship++) {
        kin_leave(waiters, waiter, kinship);
    }
    if (queue->waiters.n == 0) {
        wait_queue_free(waiters, queue);
    }
}

static void tally_leave(struct waiters *waiters, struct waiter *waiter)
{
    struct wait_tally *tally = waiter->tally;
    waiter->tally = NULL;
    if (tally != NULL && --tally->n == 0) {
        hashed_remove(&waiters->tallies, &tally->by_id);
        free(tally);
    }
}

static void number_leave(struct waiters *waiters, struct waiter *waiter)
{
    if (waiter->number != 0) {
        hashed_remove(&waiters->by_number, &waiter->by_number);
        waiter->number = 0;
    }
}

void waiter_unpass(struct waiters *waiters, struct waiter *waiter)
{
    tally_leave(waiters, waiter);
    number_leave(waiters, waiter);
    waiter_move(waiters, waiter, WAITER_QUEUED);
}

void waiter_free(struct waiters *waiters, struct waiter *waiter)
{
    waiter_leave(waiters, waiter);
    tally_leave(waiters, waiter);
    number_leave(waiters, waiter);
    chain_remove(&waiter->turn);
    chain_remove(&waiter->origin);
    min_heap_remove(&waiters->ends, &waiter->end);
    waiters->n_states[waiter->state]--;
    free(waiter);
}

/* ---- finding ---- */

static uint64_t number_hash(const struct waiters *waiters, uint64_t member_id, uint64_t number)
{
    uint64_t parts[2] = {member_id, number};
    return checksum_64_seeded(parts, sizeof parts, waiters->seed);
}

void waiter_number(struct waiters *waiters, struct waiter *waiter, uint64_t member_id, uint64_t number)
{
    CHECK(waiter->number == 0 && number != 0);
    waiter->member_id = member_id;
    waiter->number = number;
    hashed_put(&waiters->by_number, &waiter->by_number, number_hash(waiters, member_id, number));
}

struct waiter *waiters_find(const struct waiters *waiters, uint64_t member_id, uint64_t number, bool own)
{
    struct hashed_link *link = hashed_first(&waiters->by_number, number_hash(waiters, member_id, number));
    for (; link != NULL; link = hashed_next(link)) {
        struct waiter *waiter = OWNER_OF(link, struct waiter, by_number);
        if (waiter->member_id == member_id && waiter->number == number && (waiter->own != NULL) == own) {
            return waiter;
        }
    }
    return NULL;
}

static struct wait_tally *find_tally(const struct waiters *waiters, struct slice id)
{
    struct hashed_link *link = hashed_first(&waiters->tallies, hash_slice(waiters, id));
    for (; link != NULL; link = hashed_next(link)) {
        struct wait_tally *tally = OWNER_OF(link, struct wait_tally, by_id);
        if (is_text(tally->id, tally->id_len, id)) {
            return tally;
        }
    }
    return NULL;
}

void waiter_count_passed(struct waiters *waiters, struct waiter *waiter)
{
    struct slice id = waiter->command.schedule_id;
    struct wait_tally *tally = find_tally(waiters, id);
    if (tally == NULL) {
        tally = calloc(1, sizeof *tally + id.len);
        CHECK(tally != NULL);
        memcpy(tally->id, id.base, id.len);
        tally->id_len = id.len;
        hashed_put(&waiters->tallies, &tally->by_id, hash_slice(waiters, id));
    }
    tally->n++;
    waiter->tally = tally;
}

uint64_t waiters_passed(const struct waiters *waiters, struct slice schedule_id)
{
    const struct wait_tally *tally = find_tally(waiters, schedule_id);
    return tally == NULL ? 0 : tally->n;
}
