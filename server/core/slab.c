/* Slots, and copy-on-write. See the picture in table.h. */
#include "core/table.h"

#include <stdlib.h>
#include <string.h>

/* ---- what was replaced ---- */

static void bury_schedule(struct table_graveyard *graveyard, struct schedule *schedule)
{
    schedule->next_dead = graveyard->schedules;
    if (graveyard->schedules == NULL) {
        graveyard->last_schedule = schedule;
    }
    graveyard->schedules = schedule;
}

static void bury_chunk(struct table_graveyard *graveyard, struct table_chunk *chunk)
{
    chunk->next_dead = graveyard->chunks;
    if (graveyard->chunks == NULL) {
        graveyard->last_chunk = chunk;
    }
    graveyard->chunks = chunk;
}

static void bury_block(struct table_graveyard *graveyard, struct table_block *block)
{
    block->next_dead = graveyard->blocks;
    if (graveyard->blocks == NULL) {
        graveyard->last_block = block;
    }
    graveyard->blocks = block;
}

void graveyard_append(struct table_graveyard *graveyard, struct table_graveyard *more)
{
    if (more->schedules != NULL) {
        more->last_schedule->next_dead = graveyard->schedules;
        graveyard->last_schedule = graveyard->schedules == NULL ? more->last_schedule : graveyard->last_schedule;
        graveyard->schedules = more->schedules;
    }
    if (more->chunks != NULL) {
        more->last_chunk->next_dead = graveyard->chunks;
        graveyard->last_chunk = graveyard->chunks == NULL ? more->last_chunk : graveyard->last_chunk;
        graveyard->chunks = more->chunks;
    }
    if (more->blocks != NULL) {
        more->last_block->next_dead = graveyard->blocks;
        graveyard->last_block = graveyard->blocks == NULL ? more->last_block : graveyard->last_block;
        graveyard->blocks = more->blocks;
    }
    *more = (struct table_graveyard){0};
}

void table_sweep(struct lock_table *table, size_t budget)
{
    struct table_graveyard *dead = &table->dead;
    for (; budget > 0 && dead->schedules != NULL; budget--) {
        struct schedule *next = dead->schedules->next_dead;
        free(dead->schedules);
        dead->schedules = next;
    }
    for (; budget > 0 && dead->chunks != NULL; budget--) {
        struct table_chunk *next = dead->chunks->next_dead;
        free(dead->chunks);
        dead->chunks = next;
    }
    for (; budget > 0 && dead->blocks != NULL; budget--) {
        struct table_block *next = dead->blocks->next_dead;
        free(dead->blocks);
        dead->blocks = next;
    }
}

static void discard_schedule(struct lock_table *table, struct schedule *schedule)
{
    if (table->is_frozen && schedule->epoch < table->epoch) {
        bury_schedule(&table->doomed, schedule);
        table_sweep(table, TABLE_SWEEP_PER_DOOMED);
    } else {
        free(schedule);
    }
}

/* ---- blocks of groups and freezes ---- */

void *table_block_new(const struct lock_table *table, size_t size)
{
    struct table_block *block = malloc(size);
    CHECK(block != NULL);
    block->epoch = table->epoch;
    return block;
}

void table_block_discard(struct lock_table *table, struct table_block *block)
{
    if (table->is_frozen && block->epoch < table->epoch) {
        bury_block(&table->doomed, block);
        table_sweep(table, TABLE_SWEEP_PER_DOOMED);
    } else {
        free(block);
    }
}

/* ---- slots ---- */

/* Puts `schedule` (NULL: nothing) where images made from now on find it. */
static void set_slot(struct lock_table *table, uint32_t slot, struct schedule *schedule)
{
    struct table_chunk **at = &table->chunks[slot / TABLE_CHUNK_SLOTS];
    if (table->is_frozen && (*at)->epoch < table->epoch) {
        struct table_chunk *copy = malloc(sizeof *copy);
        CHECK(copy != NULL);
        memcpy(copy->schedules, (*at)->schedules, sizeof copy->schedules);
        copy->epoch = table->epoch;
        bury_chunk(&table->doomed, *at);
        *at = copy;
    }
    (*at)->schedules[slot % TABLE_CHUNK_SLOTS] = schedule;
}

static void *grown(void *memory, size_t count, size_t size)
{
    CHECK(count <= SIZE_MAX / size);
    void *more = realloc(memory, count * size);
    CHECK(more != NULL);
    return more;
}

void table_reserve_frozen(struct lock_table *table)
{
    struct lock_table_frozen *frozen = &table->frozen;
    if (frozen->chunks_capacity < table->chunks_capacity) {
        frozen->chunks_capacity = table->chunks_capacity;
        frozen->chunks = grown(frozen->chunks, frozen->chunks_capacity, sizeof(struct table_chunk *));
    }
}

static void add_chunk(struct lock_table *table)
{
    if (table->n_chunks == table->chunks_capacity) {
        table->chunks_capacity = table->chunks_capacity == 0 ? 16 : 2 * table->chunks_capacity;
        table->chunks = grown(table->chunks, table->chunks_capacity, sizeof(struct table_chunk *));
        table->nodes = grown(table->nodes, table->chunks_capacity, sizeof(struct table_node *));
        if (!table->is_frozen) {
            table_reserve_frozen(table);
        }
    }
    struct table_chunk *chunk = calloc(1, sizeof *chunk);
    struct table_node *nodes = calloc(TABLE_CHUNK_SLOTS, sizeof *nodes);
    CHECK(chunk != NULL && nodes != NULL);
    chunk->epoch = table->epoch;
    table->chunks[table->n_chunks] = chunk;
    table->nodes[table->n_chunks++] = nodes;
}

static struct table_node *take_slot(struct lock_table *table)
{
    if (table->free_slot != TABLE_NO_SLOT) {
        struct table_node *node = table_node(table, table->free_slot);
        table->free_slot = node->next_free;
        return node;
    }
    uint32_t slot = table->n_slots++;
    CHECK(slot < TABLE_NO_SLOT);
    if (slot / TABLE_CHUNK_SLOTS == table->n_chunks) {
        add_chunk(table);
    }
    struct table_node *node = table_node(table, slot);
    node->slot = slot;
    return node;
}

struct table_node *table_add(struct lock_table *table, struct schedule_draft *draft)
{
    struct table_node *node = take_slot(table);
    node->schedule = schedule_pack(draft, table->epoch, &table->scratch);
    set_slot(table, node->slot, node->schedule);
    table->state_bytes += node->schedule->counted_bytes;
    table->n_schedules++;
    if (table->n_schedules > table->heap_capacity) {
        table->heap_capacity = table->heap_capacity == 0 ? 64 : 2 * table->heap_capacity;
        table->heap = grown(table->heap, table->heap_capacity, sizeof *table->heap);
    }
    heap_insert(table, node, schedule_image_due(&draft->image));
    index_add(table, node, &draft->image);
    return node;
}

static void table_replace(struct lock_table *table, struct table_node *node, struct schedule_draft *draft)
{
    struct schedule *before = node->schedule;
    index_change(table, node, &draft->image);
    node->schedule = schedule_pack(draft, table->epoch, &table->scratch);
    set_slot(table, node->slot, node->schedule);
    table->state_bytes += node->schedule->counted_bytes;
    table->state_bytes -= before->counted_bytes;
    discard_schedule(table, before);
    heap_move(table, node, schedule_image_due(&draft->image));
}

struct table_node *table_commit(struct lock_table *table, struct table_node *node, struct schedule_draft *draft)
{
    if (node == NULL) {
        return table_add(table, draft);
    }
    table_replace(table, node, draft);
    return node;
}

void table_remove(struct lock_table *table, struct table_node *node)
{
    index_remove(table, node);
    heap_remove(table, node);
    set_slot(table, node->slot, NULL);
    table->state_bytes -= node->schedule->counted_bytes;
    table->n_schedules--;
    discard_schedule(table, node->schedule);
    node->schedule = NULL;
    node->next_free = table->free_slot;
    table->free_slot = node->slot;
}
