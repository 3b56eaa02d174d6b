/* Waiters of one schedule with the same occurrence, or the same key. */
#include <stdlib.h>

#include "base/check.h"
#include "base/checksum.h"
#include "core/instant.h"
#include "replica/waiters.h"

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
        parts.text = waiters_hash(waiters, text);
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

void kin_join(struct waiters *waiters, struct waiter *waiter, enum kinship kinship)
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

void kin_leave(struct waiters *waiters, struct waiter *waiter, enum kinship kinship)
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
