/* Freezing, thawing, and reading what is frozen. How it works is told in table.h; the reader's functions touch nothing
 * but the frozen struct, the chunks it lists, and the blocks in them. (Freezes, which keep locks from being granted, are
 * something else: see scope.c.) */
#include "core/table.h"

#include <string.h>

struct lock_table_frozen *lock_table_freeze(struct lock_table *table)
{
    struct lock_table_frozen *frozen = &table->frozen;
    CHECK(!table->is_frozen);
    table_reserve_frozen(table);
    frozen->numbers = table->numbers;
    frozen->n_schedules = table->n_schedules;
    frozen->n_chunks = table->n_chunks;
    if (table->n_chunks > 0) {
        memcpy(frozen->chunks, table->chunks, table->n_chunks * sizeof(struct table_chunk *));
    }
    frozen->next_slot = 0;
    groups_freeze(table, frozen);
    freezes_freeze(table, frozen);
    table->epoch++;
    table->is_frozen = true;
    return frozen;
}

void lock_table_thaw(struct lock_table *table, struct lock_table_frozen *frozen)
{
    CHECK(table->is_frozen && frozen == &table->frozen);
    table->is_frozen = false;
    graveyard_append(&table->dead, &table->doomed);
}

void lock_table_frozen_table(const struct lock_table_frozen *frozen, struct table_image *image)
{
    *image = frozen->numbers;
}

uint64_t lock_table_frozen_schedules(const struct lock_table_frozen *frozen)
{
    return frozen->n_schedules;
}

bool lock_table_frozen_next(struct lock_table_frozen *frozen, struct schedule_image *image)
{
    while (frozen->next_slot < frozen->n_chunks * TABLE_CHUNK_SLOTS) {
        uint32_t slot = frozen->next_slot++;
        const struct schedule *schedule = frozen->chunks[slot / TABLE_CHUNK_SLOTS]->schedules[slot % TABLE_CHUNK_SLOTS];
        if (schedule != NULL) {
            schedule_unpack(schedule, &frozen->draft);
            *image = frozen->draft.image;
            return true;
        }
    }
    return false;
}
