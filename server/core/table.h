/* table: how the lock table lies in memory. Private to core.
 *
 *   tree ──► node ──► schedule (packed, immutable)
 *            │  ▲         ▲
 *       slot │  │ nodes[] │ chunks[slot / 64]->schedules[slot % 64]
 *            ▼  │         │
 *   heap: (due, slot), the first to be due at [0]
 *
 * Every schedule has a slot, a small number. By slot one finds its node, which only the loop's thread ever sees, and its
 * packed block, which a frozen image sees as well. A red-black tree orders the nodes by schedule id, for look-up and for
 * lists. It is the only index: a hash table would stall the loop when it grows at a million schedules, would need a keyed
 * hash against names chosen to collide, and would still need the tree beside it; some twenty comparisons cost less than
 * parsing the request did.
 *
 * Freezing. `chunks` and the blocks in them are all that an image reads, so to freeze is to copy the list of chunks
 * (125 KiB for a million schedules) and to count `epoch` up. From then on a chunk or block with an older epoch may be
 * under the reader's eyes: before the first change of a slot its chunk is copied, and what is replaced goes to the
 * `doomed` lists rather than to free(). Thawing hands them to the `dead` lists, and each later entry frees a bounded
 * number of them, so that neither end of a snapshot stalls the loop. Freezing allocates nothing, and chunks are small,
 * because a large request makes glibc's allocator tidy up all the small blocks that were freed before: 80 ms were seen. */
#ifndef BATON_CORE_TABLE_H
#define BATON_CORE_TABLE_H

#include <bsd/sys/tree.h>

#include "core/schedule.h"

#define TABLE_CHUNK_SLOTS      64u
#define TABLE_NO_SLOT          UINT32_MAX
#define TABLE_SWEEP            256u /* dead blocks freed with one entry */
/* Dead blocks freed with each one that is doomed (and perhaps its chunk): so those of one freeze are gone before the next
 * has doomed as many, however few and large the entries are. */
#define TABLE_SWEEP_PER_DOOMED 4u

/* Later instants are taken for this one, so that no sum of the state's time and a duration can overflow. */
#define TABLE_TIME_MAX_MS (UINT64_MAX / 2)
#define TABLE_WALL_MAX_MS (INT64_MAX / 4)

struct table_node {
    RB_ENTRY(table_node) link;
    struct schedule *schedule; /* the same as in the chunk; NULL while the slot is free */
    uint32_t slot;
    union {
        uint32_t heap_position;
        uint32_t next_free; /* while the slot is free: the next free one or TABLE_NO_SLOT */
    };
};

RB_HEAD(table_tree, table_node);

struct table_chunk {
    union {
        uint64_t epoch;
        struct table_chunk *next_dead;
    };
    struct schedule *schedules[TABLE_CHUNK_SLOTS];
};

/* Replaced blocks and chunks, newest first; the last ones let a whole list be put before another at once. */
struct table_graveyard {
    struct schedule *schedules;
    struct schedule *last_schedule;
    struct table_chunk *chunks;
    struct table_chunk *last_chunk;
};

/* Kept in the table and used again; `chunks` has room for n_chunks at least. */
struct lock_table_frozen {
    struct table_image numbers;
    uint64_t n_schedules;
    struct table_chunk **chunks;
    size_t chunks_capacity;
    size_t n_chunks;
    uint32_t next_slot; /* where the reader is */
    struct schedule_draft draft;
};

struct heap_entry {
    struct schedule_due due;
    uint32_t slot;
};

/* `draft` holds the schedule of the command that is applied, and is valid until the next one. */
struct lock_table {
    struct table_image numbers;
    uint64_t n_schedules;
    uint64_t held;
    uint64_t state_bytes;
    uint64_t expirations;

    struct table_tree tree;
    struct table_node **nodes; /* arrays of TABLE_CHUNK_SLOTS, as many as there are chunks */
    struct table_chunk **chunks;
    size_t n_chunks;
    size_t chunks_capacity;
    uint32_t n_slots; /* used or free */
    uint32_t free_slot;

    struct heap_entry *heap; /* n_schedules of them */
    size_t heap_capacity;

    uint64_t epoch;
    bool is_frozen;
    struct lock_table_frozen frozen;
    struct table_graveyard doomed; /* replaced since the freeze that lasts */
    struct table_graveyard dead;   /* nobody reads them any more */

    struct schedule_draft draft;
    struct buffer scratch;
    struct grant_view outcome_holders[TERMS_SLOTS];
    struct grant_view view_holders[TERMS_SLOTS];
};

/* ---- slab.c ---- */

struct table_node *table_node(const struct lock_table *table, uint32_t slot);
struct table_node *table_find(const struct lock_table *table, struct slice schedule_id); /* NULL: not remembered */
struct table_node *table_first(const struct lock_table *table);                          /* by id; NULL at the end */
struct table_node *table_next(struct table_node *node);

/* Makes `draft`'s content the state of its schedule, which `node` is (NULL: a new one), and unpacks it again, so that
 * its slices point into the table. It must have changed nothing but what the caller counts itself (`held`). */
struct table_node *table_commit(struct lock_table *table, struct table_node *node, struct schedule_draft *draft);
/* A new schedule as an image describes it. */
struct table_node *table_add(struct lock_table *table, const struct schedule_image *image);
void table_remove(struct lock_table *table, struct table_node *node);
/* Makes room in the frozen struct for all chunks that there can be before the list of chunks grows again. */
void table_reserve_frozen(struct lock_table *table);
void table_sweep(struct lock_table *table, size_t budget);
void graveyard_append(struct table_graveyard *graveyard, struct table_graveyard *more); /* `more` is empty afterwards */

/* ---- deadline_heap.c ---- */

void heap_insert(struct lock_table *table, struct table_node *node, struct schedule_due due); /* counted already */
void heap_move(struct lock_table *table, struct table_node *node, struct schedule_due due);
void heap_remove(struct lock_table *table, struct table_node *node); /* counted still */
bool due_before(struct schedule_due a, struct schedule_due b);

/* ---- what commands share, in lock_table.c ---- */

struct grant_view grant_view_of(const struct lock_table *table, struct schedule_draft *draft,
                                const struct grant_image *grant);
struct run_view run_view_of(const struct schedule_draft *draft, const struct run_image *run);
/* Fills `views` with all live grants, the one that ends first at [0]. */
size_t grant_views_of(const struct lock_table *table, struct schedule_draft *draft,
                      struct grant_view views[TERMS_SLOTS]);
void outcome_set_run(struct outcome *outcome, const struct schedule_draft *draft, const struct run_image *run);
void outcome_set_grant(struct outcome *outcome, const struct lock_table *table, struct schedule_draft *draft,
                       const struct grant_image *grant);
void outcome_set_holders(struct outcome *outcome, struct lock_table *table, struct schedule_draft *draft);
void outcome_refuse_field(struct outcome *outcome, const char *field);

/* The one door through which a grant ends: its run gets `ended`, its occurrence learns of it. */
void table_end_grant(struct lock_table *table, struct schedule_draft *draft, struct grant_image *grant,
                     enum run_outcome ended);

/* ---- one for each command ---- */

void apply_acquire(struct lock_table *table, bool no_growth, const struct acquire_command *command,
                   struct outcome *outcome);
void apply_renew(struct lock_table *table, const struct renew_command *command, struct outcome *outcome);
void apply_release(struct lock_table *table, const struct release_command *command, struct outcome *outcome);

#endif
