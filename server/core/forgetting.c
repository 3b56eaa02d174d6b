/* Which schedules are to be forgotten, and when: those without a lock and a policy. They stand apart from the heap, so
 * that the end of the next lock is seen at once, however many wait here.
 *
 * What the set has for each is one number: the instant above, the slot below. Of the instant that keeps 40 bits, which is
 * enough to tell which of two goes first, as on the face of a clock: all that wait lie within LIMIT_FORGET_MS of one
 * another, for whose time has come goes (advance) before any other is added. */
#include "core/table.h"

#include <assert.h>

#define SLOT_BITS 24u
static_assert(LIMIT_SCHEDULES + LIMIT_SCHEDULES_RESERVE < 1u << SLOT_BITS, "a slot fits below the instant");
static_assert(LIMIT_FORGET_MS < 1ull << (63 - SLOT_BITS), "what waits lies within half the clock's face");

static int compare_waiting(const void *argument, uint64_t a, uint64_t b)
{
    (void)argument;
    int64_t ahead = (int64_t)(a - b);
    return (ahead > 0) - (ahead < 0);
}

static int compare_probe(const void *argument, const void *probe, uint64_t value)
{
    return compare_waiting(argument, *(const uint64_t *)probe, value);
}

static const struct ordered_order order_of_waiting = {.compare = compare_waiting, .compare_probe = compare_probe};

static uint64_t waiting_of(const struct table_node *node, uint64_t forget_ms)
{
    return forget_ms << SLOT_BITS | node->slot;
}

void forgetting_open(struct lock_table *table)
{
    ordered_init(&table->forgetting, &order_of_waiting, NULL);
}

void forgetting_close(struct lock_table *table)
{
    ordered_close(&table->forgetting);
}

void forgetting_add(struct lock_table *table, const struct table_node *node)
{
    uint64_t forget_ms = schedule_forget_ms(node->schedule);
    CHECK(forget_ms == 0 || ordered_insert(&table->forgetting, waiting_of(node, forget_ms)));
}

void forgetting_remove(struct lock_table *table, const struct table_node *node)
{
    uint64_t forget_ms = schedule_forget_ms(node->schedule);
    CHECK(forget_ms == 0 || ordered_remove(&table->forgetting, waiting_of(node, forget_ms)));
}

struct table_node *forgetting_first(const struct lock_table *table)
{
    struct ordered_cursor at = ordered_first(&table->forgetting);
    uint64_t waiting;
    return ordered_next(&at, &waiting) ? table_node(table, (uint32_t)(waiting & ((1u << SLOT_BITS) - 1))) : NULL;
}

uint64_t forgetting_next_ms(const struct lock_table *table)
{
    const struct table_node *first = forgetting_first(table);
    return first == NULL ? SCHEDULE_NEVER_MS : schedule_forget_ms(first->schedule);
}

bool forgetting_has(const struct lock_table *table, const struct table_node *node, uint64_t forget_ms)
{
    uint64_t waiting = waiting_of(node, forget_ms);
    return ordered_find(&table->forgetting, &waiting, &waiting);
}

void table_keep(struct lock_table *table, struct table_node *node, struct schedule_draft *draft)
{
    if (node != NULL) {
        forgetting_remove(table, node);
    }
    forgetting_add(table, table_commit(table, node, draft));
}

void table_drop(struct lock_table *table, struct table_node *node)
{
    forgetting_remove(table, node);
    table_remove(table, node);
}
