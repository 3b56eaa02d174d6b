/* The binary heap of slots: the schedule that something happens to next is at [0]. Each node knows its position, so that
 * a renewal moves it in place. */
#include "core/table.h"

bool due_before(struct schedule_due a, struct schedule_due b)
{
    return a.at_ms != b.at_ms ? a.at_ms < b.at_ms : a.token < b.token;
}

static void heap_put(struct lock_table *table, size_t position, struct table_node *node)
{
    table->heap[position] = node->slot;
    node->heap_position = (uint32_t)position;
}

static size_t heap_move_up(struct lock_table *table, size_t position, struct table_node *node)
{
    while (position > 0) {
        size_t above = (position - 1) / 2;
        struct table_node *other = table_node(table, table->heap[above]);
        if (!due_before(node->due, other->due)) {
            break;
        }
        heap_put(table, position, other);
        position = above;
    }
    return position;
}

static size_t heap_move_down(struct lock_table *table, size_t position, struct table_node *node, size_t len)
{
    for (;;) {
        size_t below = 2 * position + 1;
        if (below >= len) {
            return position;
        }
        struct table_node *other = table_node(table, table->heap[below]);
        if (below + 1 < len) {
            struct table_node *sibling = table_node(table, table->heap[below + 1]);
            if (due_before(sibling->due, other->due)) {
                below++;
                other = sibling;
            }
        }
        if (!due_before(other->due, node->due)) {
            return position;
        }
        heap_put(table, position, other);
        position = below;
    }
}

void heap_insert(struct lock_table *table, struct table_node *node)
{
    size_t last = (size_t)table->n_schedules - 1;
    heap_put(table, heap_move_up(table, last, node), node);
}

void heap_move(struct lock_table *table, struct table_node *node)
{
    size_t position = heap_move_up(table, node->heap_position, node);
    heap_put(table, heap_move_down(table, position, node, (size_t)table->n_schedules), node);
}

void heap_remove(struct lock_table *table, struct table_node *node)
{
    size_t len = (size_t)table->n_schedules - 1;
    struct table_node *last = table_node(table, table->heap[len]);
    if (last == node) {
        return;
    }
    size_t position = heap_move_up(table, node->heap_position, last);
    heap_put(table, heap_move_down(table, position, last, len), last);
}
