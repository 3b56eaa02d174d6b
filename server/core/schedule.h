/* schedule: all that the table remembers of one schedule, in two forms. Private to core.
 *
 * Packed (`struct schedule`) is how it rests: one block of memory, never changed after it was made, so that a snapshot
 * can read it on another thread. Unpacked (`struct schedule_draft`) is how it is worked on: the structs of lock_table.h
 * in arrays with room for what one command adds. A change is unpack, edit, pack, and swap the pointer. With a full
 * memory (16 runs, 64 occurrences) that is a few microseconds, with all slots taken some tens; it buys that nothing in the
 * table needs a lock, a reference count or a partial copy, and that a held lock costs little memory. */
#ifndef BATON_CORE_SCHEDULE_H
#define BATON_CORE_SCHEDULE_H

#include "base/limits.h"
#include "core/instant.h"
#include "core/lock_table.h"

/* ---- packed ---- */

struct schedule {
    union {
        uint64_t epoch;             /* of the table when it was packed: older than a freeze means that it may be read */
        struct schedule *next_dead; /* once replaced; no reader looks at this word */
    };
    uint32_t counted_bytes; /* its share of the table's state_bytes */
    uint32_t packed_len;
    uint16_t id_len;
    uint8_t bytes[]; /* the id, then the rest as schedule_pack.c writes it */
};

static inline struct slice schedule_id(const struct schedule *schedule)
{
    struct slice id = {.base = schedule->bytes, .len = schedule->id_len};
    return id;
}
uint64_t schedule_forget_ms(const struct schedule *schedule); /* 0: it has a lock or a policy */

/* ---- unpacked ---- */

#define DRAFT_GRANTS      LIMIT_SLOTS
#define DRAFT_RUNS        (LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS)
#define DRAFT_OCCURRENCES (LIMIT_OCCURRENCES_PER_SCHEDULE + LIMIT_SLOTS)

/* `image` has the counts, and its arrays are the ones below it; what lies behind the counts is never read, so that a draft
 * costs what its schedule holds. Slices point into the packed block that it was unpacked from, or into the command that is
 * being applied, or, once it was packed, into the buffer that served for it. Grants and runs stand in the order of their tokens. */
struct schedule_draft {
    struct schedule_image image;
    struct grant_image grants[DRAFT_GRANTS];
    struct run_image runs[DRAFT_RUNS];
    struct occurrence_image occurrences[DRAFT_OCCURRENCES];
};

void schedule_draft_init(struct schedule_draft *draft, struct slice id);
void schedule_draft_copy(struct schedule_draft *draft, const struct schedule_image *image); /* a sound one */
void schedule_unpack(const struct schedule *schedule, struct schedule_draft *draft);

/* A new block that holds all of the draft; freed with free(). `scratch` is somebody's buffer: its content is replaced, and
 * the draft's slices point into it afterwards. */
struct schedule *schedule_pack(struct schedule_draft *draft, uint64_t epoch, struct buffer *scratch);

/* What the indexes are made of, read without unpacking the rest. */
struct schedule_glance {
    bool has_policy;
    struct slice policy_group; /* absent: none; and so below */
    size_t n_grants;
    uint64_t tokens[DRAFT_GRANTS]; /* ascending */
    struct slice groups[DRAFT_GRANTS];
};
void schedule_glance(const struct schedule *schedule, struct schedule_glance *glance);

/* An occurrence as it is compared: an instant by what it means, any other by its bytes. */
struct occurrence_key {
    struct slice name;
    bool is_instant;
    struct instant instant;
};
struct occurrence_key occurrence_key_of(struct slice name);
struct occurrence_key occurrence_key_of_image(const struct occurrence_image *occurrence); /* without parsing its name */
bool occurrence_key_equal(const struct occurrence_key *a, const struct occurrence_key *b);

/* NULL when there is none. */
struct grant_image *draft_find_grant(struct schedule_draft *draft, uint64_t token);
struct run_image *draft_find_run(struct schedule_draft *draft, uint64_t token);
struct run_image *draft_find_run_by_key(struct schedule_draft *draft, struct slice idempotency_key);
struct run_image *draft_find_run_by_occurrence(struct schedule_draft *draft,
                                               const struct occurrence_key *key); /* newest */
struct occurrence_image *draft_find_occurrence(struct schedule_draft *draft, const struct occurrence_key *key);

/* Adds at the end what a new grant brings. There must be room: grants are within the slots, and the other two are
 * brought back within their limits after each addition. */
void draft_add_grant(struct schedule_draft *draft, const struct grant_image *grant);
void draft_add_run(struct schedule_draft *draft, const struct run_image *run);
struct occurrence_image *draft_add_occurrence(struct schedule_draft *draft, const struct occurrence_key *key);

/* Forgets what is over the limits: the runs that ended first; the earliest instants, raising the floor, then the oldest
 * strings. What has a live grant stays, and one of those counts towards the limit while the others go beyond it. The
 * newest run stays too, for cool-downs are counted from it, and so does the run with `token` (0: none). */
void draft_trim(struct schedule_draft *draft, uint64_t token);

/* How a draft ends: a lock or a policy is gone, and unless the other is still there the time to forgetting begins. */
void draft_set_forgetting(struct schedule_draft *draft, uint64_t now_ms);

/* ---- of both, through the image ---- */

/* Both search by halves: in an image that isn't sorted (a hostile one) they may miss what is there. A live grant has the
 * token of the newest run of its occurrence. */
bool schedule_image_has_grant(const struct schedule_image *image, uint64_t token);
const struct run_image *schedule_image_find_run(const struct schedule_image *image, uint64_t token); /* NULL: none */

/* When its first live grant ends, and which that is; without any, never. Tokens are unique, so two schedules have equal
 * dues only when neither is ever due. */
struct schedule_due {
    uint64_t at_ms;
    uint64_t token;
};
#define SCHEDULE_NEVER_MS UINT64_MAX
struct schedule_due schedule_image_due(const struct schedule_image *image);

/* What it adds to the counted state. The numbers are part of rules 1, and those of groups of rules 2: they bound the real
 * memory on the builds that we know, but what counts is that every node counts the same, whatever its allocator does. */
#define COUNTED_SCHEDULE_BYTES    160u
#define COUNTED_POLICY_BYTES      64u
#define COUNTED_GRANT_BYTES       64u
#define COUNTED_GROUP_GRANT_BYTES 64u /* more, of a grant that takes a slot of a group */
#define COUNTED_RUN_BYTES         96u
#define COUNTED_OCCURRENCE_BYTES  48u
uint32_t schedule_image_count_bytes(const struct schedule_image *image);

/* What a grant adds to a schedule, at most. */
struct grant_growth {
    const struct acquire_command *command;
    struct slice group; /* whose slot it takes; absent: none */
    bool has_new_schedule;
    bool has_new_occurrence;
};
uint64_t grant_growth_count_bytes(const struct grant_growth *growth);

/* True when apply can have made this schedule in a table with these numbers. */
bool schedule_image_is_sound(const struct schedule_image *image, const struct table_image *numbers);

#endif
