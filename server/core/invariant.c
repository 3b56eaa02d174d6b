/* The invariants of the whole table, for tests and the simulator: every schedule is sound, and slots, heap,
 * forgetting, indexes, groups and sums agree about it; and so are groups and freezes. */
#include "core/table.h"

#include <stdlib.h>

static void check_heap(const struct lock_table *table)
{
    for (size_t i = 0; i < table->n_schedules; i++) {
        const struct table_node *node = table_node(table, table->heap[i].slot);
        CHECK(node->schedule != NULL && node->heap_position == i);
        CHECK(table->heap[i].due.at_ms > table->numbers.now_ms);
        CHECK(i == 0 || !due_before(table->heap[i].due, table->heap[(i - 1) / 2].due));
    }
}

static void check_slots(const struct lock_table *table)
{
    uint64_t used = 0;
    CHECK(table->n_slots <= table->n_chunks * TABLE_CHUNK_SLOTS);
    for (uint32_t slot = 0; slot < table->n_slots; slot++) {
        const struct table_node *node = table_node(table, slot);
        const struct table_chunk *chunk = table->chunks[slot / TABLE_CHUNK_SLOTS];
        CHECK(node->slot == slot && chunk->schedules[slot % TABLE_CHUNK_SLOTS] == node->schedule);
        used += node->schedule != NULL ? 1 : 0;
    }
    CHECK(used == table->n_schedules);
    uint64_t unused = 0;
    for (uint32_t slot = table->free_slot; slot != TABLE_NO_SLOT; slot = table_node(table, slot)->next_free) {
        CHECK(table_node(table, slot)->schedule == NULL && ++unused <= table->n_slots);
    }
    CHECK(used + unused == table->n_slots);
}

void lock_table_check(const struct lock_table *table)
{
    struct schedule_draft *draft = malloc(sizeof *draft);
    CHECK(draft != NULL);
    struct lock_table_counts sums = {0};
    uint64_t n_forgetting = 0;
    struct slice before = {0};
    struct table_cursor at;
    for (struct table_node *node = table_first(table, &at); node != NULL; node = table_next(&at)) {
        schedule_unpack(node->schedule, draft);
        CHECK(schedule_image_is_sound(&draft->image, &table->numbers) && groups_are_there(table, &draft->image));
        CHECK(slice_compare(before, draft->image.id) < 0);
        struct schedule_due due = schedule_image_due(&draft->image);
        const struct heap_entry *entry = &table->heap[node->heap_position];
        CHECK(entry->slot == node->slot && due.at_ms == entry->due.at_ms && due.token == entry->due.token);
        uint64_t forget_ms = draft->image.forget_ms;
        CHECK(forget_ms == schedule_forget_ms(node->schedule));
        CHECK(forget_ms == 0 || forgetting_has(table, node, forget_ms));
        n_forgetting += forget_ms == 0 ? 0 : 1;
        CHECK(node->schedule->counted_bytes == schedule_image_count_bytes(&draft->image));
        CHECK(node->schedule->epoch <= table->epoch);
        before = schedule_id(node->schedule);
        sums.schedules++;
        sums.held += draft->image.n_grants;
        sums.state_bytes += node->schedule->counted_bytes;
    }
    free(draft);
    CHECK(sums.schedules == table->n_schedules && sums.held == table->held);
    sums.state_bytes += groups_check(table) + freezes_check(table);
    CHECK(sums.state_bytes == table->state_bytes && sums.state_bytes <= LIMIT_STATE_BYTES);
    CHECK(table->numbers.next_token >= 1 && table->numbers.next_token <= LIMIT_NUMBER_MAX + 1);
    CHECK(n_forgetting == table->forgetting.count);
    ordered_check(&table->forgetting);
    check_heap(table);
    check_slots(table);
    index_check(table);
}
