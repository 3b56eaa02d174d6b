/* table: how the lock table lies in memory. Private to core.
 *
 *   index: slots, by schedule id (all; held; with a policy) and by holder
 *                 │
 *                 │ nodes[]               chunks[slot / 64]->schedules[slot % 64]
 *                 ▼                         ▼
 *               node ──────────────────► schedule (packed, immutable)
 *                 ▲
 *                 │ nodes[]
 *   heap: (due, slot), the first to be due at [0]; forgetting: (instant, slot), in order
 *
 * Every schedule has a slot, a small number. By slot one finds its node, which only the loop's thread ever sees, and its
 * packed block, which a frozen image sees as well. Ordered sets of slots are there for look-up and for lists. There is no
 * hash table: it would stall the loop when it grows at a million schedules, would need a keyed hash against names chosen
 * to collide, and would still need the sets beside it; some twenty comparisons cost less than parsing the request did.
 *
 * Freezing. `chunks` and the blocks in them are all that an image reads, so to freeze is to copy the list of chunks
 * (125 KiB for a million schedules) and to count `epoch` up. From then on a chunk or block with an older epoch may be
 * under the reader's eyes: before the first change of a slot its chunk is copied, and what is replaced goes to the
 * `doomed` lists rather than to free(). Thawing hands them to the `dead` lists, and each later entry frees a bounded
 * number of them, so that neither end of a snapshot stalls the loop. Freezing allocates nothing, and chunks are small,
 * because a large request makes glibc's allocator tidy up all the small blocks that were freed before: 80 ms were seen. */
#ifndef BATON_CORE_TABLE_H
#define BATON_CORE_TABLE_H

#include "core/ordered.h"
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
    struct schedule *schedule; /* the same as in the chunk; NULL while the slot is free */
    uint32_t slot;
    union {
        uint32_t heap_position;
        uint32_t next_free; /* while the slot is free: the next free one or TABLE_NO_SLOT */
    };
};

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

/* What is kept in order. `by_id`, `live` and `policies` have the slots of all schedules, of those with a live grant (one
 * that is being revoked lives), and of those with a policy, by schedule id. `holders` has the addresses of those who hold
 * anything, by their names; `holdings` a holder's number and a slot for each live grant, by holder and then by schedule id. */
struct table_index {
    struct ordered by_id;
    struct ordered live;
    struct ordered policies;
    struct ordered holders;
    struct ordered holdings;
    uint64_t next_holder_number;
    struct schedule_draft before; /* what a schedule was, when that is needed whole */
};

struct table_cursor {
    const struct lock_table *table;
    struct ordered_cursor at;
    bool is_of_holder; /* it walks through the holdings, as far as they are this holder's */
    uint64_t holder_number;
};

/* `draft` holds the schedule of the command that is applied, and is valid until the next one. */
struct lock_table {
    struct table_image numbers;
    uint64_t n_schedules;
    uint64_t held;
    uint64_t state_bytes;
    uint64_t expirations;

    struct table_index index;
    struct table_node **nodes; /* arrays of TABLE_CHUNK_SLOTS, as many as there are chunks */
    struct table_chunk **chunks;
    size_t n_chunks;
    size_t chunks_capacity;
    uint32_t n_slots; /* used or free */
    uint32_t free_slot;

    struct heap_entry *heap; /* n_schedules of them */
    size_t heap_capacity;
    struct ordered forgetting;

    uint64_t epoch;
    bool is_frozen;
    struct lock_table_frozen frozen;
    struct table_graveyard doomed; /* replaced since the freeze that lasts */
    struct table_graveyard dead;   /* nobody reads them any more */

    struct schedule_draft draft;
    struct buffer scratch;
    struct grant_view outcome_holders[LIMIT_SLOTS];
    struct run_view outcome_runs[LIMIT_SLOTS];
    struct grant_view view_holders[LIMIT_SLOTS];
    uint8_t deleted_id[LIMIT_NAME_BYTES]; /* of the policy that was deleted last, for its answer */
    uint8_t deleted_description[LIMIT_REASON_BYTES];
};

/* ---- slab.c ---- */

static inline struct table_node *table_node(const struct lock_table *table, uint32_t slot)
{
    return &table->nodes[slot / TABLE_CHUNK_SLOTS][slot % TABLE_CHUNK_SLOTS];
}

/* Makes `draft`'s content the state of its schedule, which `node` is (NULL: a new one). Its slices point into the table
 * afterwards, until the next change. It must have changed nothing but what the caller counts itself (`held`). */
struct table_node *table_commit(struct lock_table *table, struct table_node *node, struct schedule_draft *draft);
struct table_node *table_add(struct lock_table *table, struct schedule_draft *draft); /* a new one */
void table_remove(struct lock_table *table, struct table_node *node);
/* Makes room in the frozen struct for all chunks that there can be before the list of chunks grows again. */
void table_reserve_frozen(struct lock_table *table);
void table_sweep(struct lock_table *table, size_t budget);
void graveyard_append(struct table_graveyard *graveyard, struct table_graveyard *more); /* `more` is empty afterwards */

/* ---- index.c ---- */

void index_open(struct lock_table *table);
void index_close(struct lock_table *table);
/* Of a schedule that was added; of one that is about to become `image`, while `node` and what `image` points to are still
 * as they were; of one that is about to be removed, which has no grant any more. */
void index_add(struct lock_table *table, const struct table_node *node, const struct schedule_image *image);
void index_change(struct lock_table *table, const struct table_node *node, const struct schedule_image *image);
void index_remove(struct lock_table *table, const struct table_node *node);
void index_check(const struct lock_table *table);

struct table_node *table_find(const struct lock_table *table, struct slice schedule_id); /* NULL: not remembered */

/* Walks are in the order of schedule ids, NULL is the end, and a change of the table ends them as well.
 *     struct table_cursor at;
 *     for (struct table_node *node = table_first(table, &at); node != NULL; node = table_next(&at)) */
struct table_node *table_first(const struct lock_table *table, struct table_cursor *cursor); /* of all schedules */
struct table_node *table_next(struct table_cursor *cursor);
/* Each lets table_next begin with the first schedule whose id isn't before `id`, of those that have … */
void table_seek_live(const struct lock_table *table, struct slice id, struct table_cursor *cursor); /* a live grant */
void table_seek_held_by(const struct lock_table *table, struct slice holder, struct slice id,
                        struct table_cursor *cursor); /* a live grant of this holder */
void table_seek_policies(const struct lock_table *table, struct slice id, struct table_cursor *cursor); /* a policy */

/* ---- deadline_heap.c ---- */

void heap_insert(struct lock_table *table, struct table_node *node, struct schedule_due due); /* counted already */
void heap_move(struct lock_table *table, struct table_node *node, struct schedule_due due);
void heap_remove(struct lock_table *table, struct table_node *node); /* counted still */
bool due_before(struct schedule_due a, struct schedule_due b);

/* ---- forgetting.c ---- */

void forgetting_open(struct lock_table *table);
void forgetting_close(struct lock_table *table);
/* Both go by the block that `node` has; one that isn't to be forgotten is no matter. */
void forgetting_add(struct lock_table *table, const struct table_node *node);
void forgetting_remove(struct lock_table *table, const struct table_node *node);
struct table_node *forgetting_first(const struct lock_table *table); /* NULL: none is to be forgotten */
uint64_t forgetting_next_ms(const struct lock_table *table);         /* SCHEDULE_NEVER_MS: the same */
bool forgetting_has(const struct lock_table *table, const struct table_node *node, uint64_t forget_ms);

/* table_commit and table_remove, for whoever isn't new to forgetting: what commands call. */
void table_keep(struct lock_table *table, struct table_node *node, struct schedule_draft *draft);
void table_drop(struct lock_table *table, struct table_node *node);

/* ---- what commands share, in view.c ---- */

struct grant_view grant_view_of(const struct lock_table *table, struct schedule_draft *draft,
                                const struct grant_image *grant);
struct run_view run_view_of(const struct schedule_draft *draft, const struct run_image *run);
struct policy_view policy_view_of(const struct schedule_draft *draft); /* it has one */
/* Fills `views` with all live grants, the one that ends first at [0]. */
size_t grant_views_of(const struct lock_table *table, struct schedule_draft *draft,
                      struct grant_view views[LIMIT_SLOTS]);
void outcome_set_run(struct outcome *outcome, const struct schedule_draft *draft, const struct run_image *run);
void outcome_set_grant(struct outcome *outcome, const struct lock_table *table, struct schedule_draft *draft,
                       const struct grant_image *grant);
void outcome_set_holders(struct outcome *outcome, struct lock_table *table, struct schedule_draft *draft);
void outcome_refuse_lost(struct outcome *outcome, struct lock_table *table, struct schedule_draft *draft,
                         const struct run_image *run); /* NULL: it isn't kept */
void outcome_refuse_field(struct outcome *outcome, const char *field);

/* ---- … and in lock_table.c ---- */

/* Fills the draft with the schedule; NULL when it isn't remembered, and then the draft is empty. */
struct table_node *table_open_draft(struct lock_table *table, struct slice schedule_id);

/* The two doors through which a grant goes: its run ends, and its slot becomes free. Mostly they are one; between a
 * revocation and the release or the deadline the first has closed and the second hasn't. */
void table_end_run(struct lock_table *table, struct schedule_draft *draft, struct run_image *run,
                   enum run_outcome ended);
void table_free_slot(struct lock_table *table, struct schedule_draft *draft, struct grant_image *grant);
/* A success, be it late: it is remembered, and closes its occurrence unless that was granted again since. */
void table_record_success(struct lock_table *table, struct schedule_draft *draft, const struct run_image *run);

/* What a command would add. Schedules with a policy may go into the reserve. */
struct table_growth {
    uint64_t bytes;
    bool is_new; /* a schedule more */
    bool has_policy;
};
bool table_has_room(const struct lock_table *table, struct table_growth growth);

/* ---- one for each command ---- */

void apply_acquire(struct lock_table *table, bool no_growth, const struct acquire_command *command,
                   struct outcome *outcome);
void apply_renew(struct lock_table *table, const struct renew_command *command, struct outcome *outcome);
void apply_release(struct lock_table *table, const struct release_command *command, struct outcome *outcome);
void apply_put_schedule(struct lock_table *table, bool no_growth, const struct put_schedule_command *command,
                        struct outcome *outcome);
void apply_delete_schedule(struct lock_table *table, const struct delete_schedule_command *command,
                           struct outcome *outcome);
void apply_revoke(struct lock_table *table, const struct revoke_command *command, struct outcome *outcome);

#endif
