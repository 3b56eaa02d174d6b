/* The binary heap of what is due: the schedule that something happens to next is at [0]. The dues stand in the heap itself,
 * since at a million schedules each look at a node would miss the cache. Each node knows its position, so that a renewal
 * moves it in place. */
#include "core/table.h"

bool due_before(struct schedule_due a, struct schedule_due b)
{
    return a.at_ms != b.at_ms ? a.at_ms < b.at_ms : a.token < b.token;
}

static void heap_put(struct lock_table *table, size_t position, struct heap_entry entry)
{
    table->heap[position] = entry;
    table_node(table, entry.slot)->heap_position = (uint32_t)position;
}

/* Both give the position where an entry with `due` belongs when it starts from `position`, which they leave free. */
static size_t heap_free_above(struct lock_table *table, size_t position, struct schedule_due due)
{
    while (position > 0) {
        size_t above = (position - 1) / 2;
        if (!due_before(due, table->heap[above].due)) {
            break;
        }
        heap_put(table, position, table->heap[above]);
        position = above;
    }
    return position;
}

static size_t heap_free_below(struct lock_table *table, size_t position, struct schedule_due due, size_t len)
{
    for (;;) {
        size_t below = 2 * position + 1;
        if (below + 1 < len && due_before(table->heap[below + 1].due, table->heap[below].due)) {
            below++;
        }
        if (below >= len || !due_before(table->heap[below].due, due)) {
            return position;
        }
        heap_put(table, position, table->heap[below]);
        position = below;
    }
}

static void heap_place(struct lock_table *table, size_t position, struct heap_entry entry, size_t len)
{
    position = heap_free_above(table, position, entry.due);
    position = heap_free_below(table, position, entry.due, len);
    heap_put(table, position, entry);
}

void heap_insert(struct lock_table *table, struct table_node *node, struct schedule_due due)
{
    size_t len = (size_t)table->n_schedules;
    heap_place(table, len - 1, (struct heap_entry){.due = due, .slot = node->slot}, len);
}

void heap_move(struct lock_table *table, struct table_node *node, struct schedule_due due)
{
    struct heap_entry entry = {.due = due, .slot = node->slot};
    heap_place(table, node->heap_position, entry, (size_t)table->n_schedules);
}

void heap_remove(struct lock_table *table, struct table_node *node)
{
    size_t len = (size_t)table->n_schedules - 1;
    struct heap_entry last = table->heap[len];
    if (last.slot != node->slot) {
        heap_place(table, node->heap_position, last, len);
    }
}
