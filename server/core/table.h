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
 *   groups: (name, slots) by name, their grants by token;   freezes: by scope, and by deadline
 *
 * Every schedule has a slot, a small number. By slot one finds its node, which only the loop's thread ever sees, and its
 * packed block, which a frozen image sees as well. Ordered sets of slots are there for look-up and for lists. There is no
 * hash table: it would stall the loop when it grows at a million schedules, would need a keyed hash against names chosen
 * to collide, and would still need the sets beside it; some twenty comparisons cost less than parsing the request did.
 *
 * Groups and freezes are few. Each is a block of its own that is never changed either, and what is counted of a group
 * stands elsewhere (struct group_use).
 *
 * Freezing. `chunks` and the blocks in them are all that an image reads, so to freeze is to copy the list of chunks
 * (125 KiB for a million schedules) and to count `epoch` up. From then on a chunk or block with an older epoch may be
 * under the reader's eyes: before the first change of a slot its chunk is copied, and what is replaced goes to the
 * `doomed` lists rather than to free(). Thawing hands them to the `dead` lists, and each later entry frees a bounded
 * number of them, so that neither end of a snapshot stalls the loop. Of groups and freezes the image has a list of the
 * blocks, made when it is frozen: 11,000 addresses. Freezing allocates nothing, and chunks are small,
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

static inline bool table_wall_is_sound(int64_t wall_ms)
{
    return wall_ms >= -TABLE_WALL_MAX_MS && wall_ms <= TABLE_WALL_MAX_MS;
}

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

/* How the blocks of groups and freezes begin, as those of schedules do. */
struct table_block {
    union {
        uint64_t epoch;
        struct table_block *next_dead;
    };
};

/* Replaced blocks and chunks, newest first; the last ones let a whole list be put before another at once. */
struct table_graveyard {
    struct schedule *schedules;
    struct schedule *last_schedule;
    struct table_chunk *chunks;
    struct table_chunk *last_chunk;
    struct table_block *blocks;
    struct table_block *last_block;
};

/* ---- groups ---- */

/* Of one group, as long as it exists, however often its slots are set. Its grants are those in table_groups.grants with
 * its address. */
struct group_use {
    uint64_t held;      /* grants */
    uint64_t schedules; /* whose policies name it */
};

struct table_group {
    struct table_block block;
    struct group_use *use; /* not the reader's */
    uint32_t slots;
    uint16_t name_len;
    uint8_t name[];
};

/* `by_name` has the addresses of groups; `grants` those of struct group_grant (group.c), by the use and then by token, which
 * is the order in which they were granted. */
struct table_groups {
    struct ordered by_name;
    struct ordered grants;
};

static inline struct slice group_name(const struct table_group *group)
{
    struct slice name = {.base = group->name, .len = group->name_len};
    return name;
}

/* ---- freezes ---- */

struct table_freeze {
    struct table_block block;
    uint64_t ttl_ms;
    uint64_t deadline_ms;
    int64_t created_wall_ms;
    uint16_t scope_len;
    uint16_t actor_len;
    uint16_t reason_len;
    uint8_t texts[]; /* scope, actor, reason */
};

/* Both sets have the addresses of freezes. `prefixes` says how many scopes are the beginning of ids, by its length ("*":
 * 0), so that only such as there are are looked for. */
struct table_freezes {
    struct ordered by_scope;
    struct ordered by_deadline;
    uint16_t prefixes[LIMIT_NAME_BYTES];
};

/* Kept in the table and used again; `chunks` has room for n_chunks at least. */
struct lock_table_frozen {
    struct table_image numbers;
    uint64_t n_schedules;
    struct table_chunk **chunks;
    size_t chunks_capacity;
    size_t n_chunks;
    uint32_t next_slot; /* where the reader is, and so below */
    struct schedule_draft draft;
    const struct table_group *groups[LIMIT_GROUPS];
    size_t n_groups;
    size_t next_group;
    const struct table_freeze *freezes[LIMIT_FREEZES];
    size_t n_freezes;
    size_t next_freeze;
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
};

/* Whoever listens, and the number of the entry's next event. */
struct table_listener {
    void (*event)(void *arg, const struct event *event);
    void *arg;
    uint32_t next_number;
};

/* What was deleted last, or isn't there, for the answer. */
struct table_deleted {
    uint8_t id[LIMIT_NAME_BYTES]; /* name, scope */
    uint8_t text[LIMIT_REASON_BYTES];
    uint8_t name[LIMIT_NAME_BYTES]; /* of a policy's group, of who froze */
};

/* The answers of one batch of renewals; their texts are copied, since one schedule may change several times. */
#define BATCH_GRANT_BYTES (2u * LIMIT_NAME_BYTES + LIMIT_OCCURRENCE_BYTES)
#define BATCH_RUN_BYTES   (BATCH_GRANT_BYTES + LIMIT_NAME_BYTES + LIMIT_REASON_BYTES)
struct table_batch {
    struct outcome results[LIMIT_RENEWALS];
    struct grant_view holders[LIMIT_RENEWALS]; /* one for each at most */
    uint8_t texts[LIMIT_RENEWALS * (BATCH_GRANT_BYTES + BATCH_RUN_BYTES)];
    size_t texts_len;
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
    struct table_groups groups;
    struct table_freezes freezes;
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
    struct schedule_draft other; /* what that was before, or whose grants a full group shows: when it is needed whole */
    struct buffer scratch;
    struct grant_view outcome_holders[LIMIT_SLOTS];
    struct run_view outcome_runs[LIMIT_SLOTS];
    struct grant_view view_holders[LIMIT_SLOTS];
    struct table_deleted deleted;
    struct table_batch *batch; /* its memory is touched as far as batches go */
    struct table_listener listener;
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
/* A new block of `size` bytes, and the end of one that nothing points to any more but an image. */
void *table_block_new(const struct lock_table *table, size_t size);
void table_block_discard(struct lock_table *table, struct table_block *block);
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

/* ---- group.c ---- */

void groups_open(struct lock_table *table);
void groups_close(struct lock_table *table);
struct table_group *groups_find(const struct lock_table *table, struct slice name); /* NULL: there is none */
void groups_add(struct lock_table *table, const struct group_image *image);         /* there is none of its name */
bool group_image_is_sound(const struct group_image *image);
uint64_t group_image_count_bytes(const struct group_image *image);
struct group_image group_image_of(const struct table_group *group);
bool groups_next(struct ordered_cursor *at, struct group_image *image); /* over `by_name`; false: the end */
struct group_view group_view_of(const struct table_group *group);
void groups_freeze(const struct lock_table *table, struct lock_table_frozen *frozen);
uint64_t groups_check(const struct lock_table *table); /* gives their counted bytes */
/* Of all groups that a schedule's policy and grants name: each is there; none has more grants than a group ever had. */
bool groups_are_there(const struct lock_table *table, const struct schedule_image *image);
bool groups_are_within_limits(const struct lock_table *table, const struct schedule_image *image);

/* What index.c tells. The group is there; an absent name is no matter. */
struct group_share {
    struct slice group;
    uint64_t token;
    uint32_t slot;
};
void groups_add_grant(struct lock_table *table, const struct group_share *share);
void groups_remove_grant(struct lock_table *table, const struct group_share *share);
void groups_change_policy(struct lock_table *table, struct slice before, struct slice after);

/* Fills `outcome_holders`, without metadata: the first LIMIT_GROUP_HOLDERS. */
void outcome_set_group_holders(struct outcome *outcome, struct lock_table *table, const struct table_group *group);

/* ---- scope.c ---- */

void freezes_open(struct lock_table *table);
void freezes_close(struct lock_table *table);
struct table_freeze *freezes_find(const struct lock_table *table, struct slice scope); /* NULL: there is none */
/* The freeze in whose scope the id lies; of several the one that ends last, and of these the widest. NULL: none. */
const struct table_freeze *freezes_find_over(const struct lock_table *table, struct slice schedule_id);
void freezes_add(struct lock_table *table, const struct freeze_image *image); /* there is none of its scope */
void freezes_end_due(struct lock_table *table);                               /* those whose deadline is reached */
uint64_t freezes_next_ms(const struct lock_table *table);                     /* SCHEDULE_NEVER_MS: none ends */
bool freeze_image_is_sound(const struct freeze_image *image, const struct table_image *numbers);
uint64_t freeze_image_count_bytes(const struct freeze_image *image);
struct freeze_image freeze_image_of(const struct table_freeze *freeze);
bool freezes_next(struct ordered_cursor *at, struct freeze_image *image); /* over either set; false: the end */
struct freeze_view freeze_view_of(const struct lock_table *table, const struct table_freeze *freeze);
void freezes_freeze(const struct lock_table *table, struct lock_table_frozen *frozen);
uint64_t freezes_check(const struct lock_table *table); /* gives their counted bytes */

/* ---- event.c ----
 * Each tells whoever listens. Slices are those of the view, so it is called while these are valid. */

void event_tell_grant(struct lock_table *table, enum event_kind kind, const struct grant_view *grant,
                      struct slice group); /* without its metadata */
void event_tell_run(struct lock_table *table, enum event_kind kind, const struct run_view *run, struct slice group);
/* What is there now, or (is_gone) was until now. */
void event_tell_policy(struct lock_table *table, const struct policy_view *policy, bool is_gone);
void event_tell_group(struct lock_table *table, const struct group_view *group, bool is_gone);
void event_tell_freeze(struct lock_table *table, const struct freeze_view *freeze, bool is_gone);

/* ---- list.c ---- */

/* A page of what has a name, while it is filled: schedules with a policy, groups, freezes. */
struct name_page {
    const struct list_query *query;
    size_t n; /* taken */
    bool has_more;
};
enum page_step { PAGE_TAKE, PAGE_SKIP, PAGE_END };
struct slice name_page_begin(const struct list_query *query); /* no name of the page goes before it */
enum page_step name_page_look(struct name_page *page, struct slice name);

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
/* Shows who has it now: the one that ends first, alone. */
void outcome_refuse_lost(struct outcome *outcome, struct lock_table *table, struct schedule_draft *draft,
                         const struct run_image *run); /* NULL: it isn't kept */
void outcome_refuse_field(struct outcome *outcome, const char *field);
struct slice text_keep(uint8_t *at, struct slice text); /* a copy, at `at` */

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
/* The same for a group or a freeze, which may go into the reserve as well. */
bool table_has_room_for(const struct lock_table *table, uint64_t bytes);

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
void apply_renew_batch(struct lock_table *table, const struct renew_batch_command *command, struct outcome *outcome);
void apply_put_group(struct lock_table *table, bool no_growth, const struct put_group_command *command,
                     struct outcome *outcome);
void apply_delete_group(struct lock_table *table, const struct delete_group_command *command, struct outcome *outcome);
void apply_put_freeze(struct lock_table *table, bool no_growth, const struct put_freeze_command *command,
                      struct outcome *outcome);
void apply_delete_freeze(struct lock_table *table, const struct delete_freeze_command *command,
                         struct outcome *outcome);

#endif
