/* The digest of the logical state: a chain over the schedules in the order of their ids, each link the checksum of the link
 * before it and of the schedule's canonical bytes; before them, under rules 2, over the groups and the freezes.
 *
 * The canonical bytes are what the state's rules_version says: every field of every image in a fixed order, numbers and flags as eight bytes (least significant first), strings behind one such number that is 0 when
 * they are absent and else their length + 1. They have nothing to do with the packed form, which every build may change:
 * members of different builds compare digests. So what stands here never changes for a version that was released; a field
 * that a later version adds is added for states of that version only. */
#include "core/table.h"

#include <string.h>

#include "core/rules.h"

static void add_number(struct buffer *bytes, uint64_t value)
{
    bytes_put_u64(buffer_extend(bytes, sizeof value), value);
}

static void add_slice(struct buffer *bytes, struct slice slice)
{
    add_number(bytes, slice_is_present(slice) ? slice.len + 1 : 0);
    buffer_append_slice(bytes, slice);
}

static void add_numbers(struct buffer *bytes, const struct lock_table *table)
{
    add_number(bytes, table->numbers.rules_version);
    add_number(bytes, table->numbers.now_ms);
    add_number(bytes, (uint64_t)table->numbers.wall_ms);
    add_number(bytes, table->numbers.index);
    add_number(bytes, table->numbers.next_token);
    add_number(bytes, table->numbers.next_member_id);
    add_number(bytes, table->n_schedules);
}

static bool has_groups(const struct lock_table *table)
{
    return table->numbers.rules_version >= RULES_VERSION_GROUPS;
}

static void add_policy(struct buffer *bytes, const struct lock_table *table, const struct policy_image *image)
{
    add_number(bytes, image->policy.estimate_ms);
    add_number(bytes, image->policy.margin_ms);
    add_number(bytes, image->policy.max_ttl_ms);
    add_number(bytes, image->policy.min_hold_ms);
    add_number(bytes, image->policy.slots);
    add_number(bytes, image->policy.max_attempts);
    add_slice(bytes, image->policy.description);
    add_number(bytes, image->created_ms);
    if (has_groups(table)) {
        add_slice(bytes, image->policy.group);
        add_number(bytes, image->policy.expected_every_ms);
    }
}

static void add_grant(struct buffer *bytes, const struct lock_table *table, const struct grant_image *grant)
{
    add_number(bytes, grant->token);
    add_number(bytes, grant->granted_ms);
    add_number(bytes, grant->deadline_ms);
    add_number(bytes, grant->ttl_ms);
    add_number(bytes, grant->granted_ttl_ms);
    add_number(bytes, grant->estimate_ms);
    add_number(bytes, grant->margin_ms);
    add_number(bytes, grant->max_ttl_ms);
    add_slice(bytes, grant->metadata);
    add_number(bytes, grant->is_revoking);
    if (has_groups(table)) {
        add_slice(bytes, grant->group);
    }
}

static void add_run(struct buffer *bytes, const struct run_image *run)
{
    add_number(bytes, run->token);
    add_number(bytes, run->granted_ms);
    add_number(bytes, run->ended_ms);
    add_number(bytes, (uint64_t)run->acquired_wall_ms);
    add_number(bytes, (uint64_t)run->ended_wall_ms);
    add_slice(bytes, run->holder);
    add_slice(bytes, run->occurrence);
    add_slice(bytes, run->idempotency_key);
    add_slice(bytes, run->actor);
    add_slice(bytes, run->reason);
    buffer_append(bytes, run->fingerprint.bytes, sizeof run->fingerprint.bytes);
    add_number(bytes, (uint64_t)run->outcome);
    add_number(bytes, (uint64_t)(int64_t)run->late_outcome);
    add_number(bytes, run->attempt);
    add_number(bytes, run->is_released);
}

static void add_occurrence(struct buffer *bytes, const struct occurrence_image *occurrence)
{
    add_slice(bytes, occurrence->name);
    add_number(bytes, occurrence->is_instant);
    add_number(bytes, (uint64_t)occurrence->instant_s);
    add_number(bytes, occurrence->instant_ns);
    add_number(bytes, occurrence->attempts);
    add_number(bytes, occurrence->succeeded);
    add_number(bytes, occurrence->run_token);
    add_number(bytes, occurrence->order);
}

static void add_schedule(struct buffer *bytes, const struct lock_table *table, const struct schedule_image *image)
{
    add_slice(bytes, image->id);
    add_number(bytes, image->has_policy);
    if (image->has_policy) {
        add_policy(bytes, table, &image->policy);
    }
    add_number(bytes, image->has_success);
    add_number(bytes, image->last_success_ms);
    add_number(bytes, (uint64_t)image->last_success_wall_ms);
    add_number(bytes, image->has_floor);
    add_number(bytes, (uint64_t)image->floor_s);
    add_number(bytes, image->floor_ns);
    add_number(bytes, image->next_order);
    add_number(bytes, image->forget_ms);
    add_number(bytes, image->n_grants);
    for (size_t i = 0; i < image->n_grants; i++) {
        add_grant(bytes, table, &image->grants[i]);
    }
    add_number(bytes, image->n_runs);
    for (size_t i = 0; i < image->n_runs; i++) {
        add_run(bytes, &image->runs[i]);
    }
    add_number(bytes, image->n_occurrences);
    for (size_t i = 0; i < image->n_occurrences; i++) {
        add_occurrence(bytes, &image->occurrences[i]);
    }
}

/* ---- the chain ---- */

/* `bytes` begins with the link before; it begins with the new one afterwards. */
static void close_link(struct buffer *bytes)
{
    struct digest128 digest = checksum_128(bytes->base, bytes->len);
    buffer_clear(bytes);
    buffer_append(bytes, digest.bytes, sizeof digest.bytes);
}

static void chain_groups(struct buffer *bytes, const struct lock_table *table)
{
    struct group_image image;
    add_number(bytes, table->groups.by_name.count);
    close_link(bytes);
    struct ordered_cursor at = ordered_first(&table->groups.by_name);
    while (groups_next(&at, &image)) {
        add_slice(bytes, image.name);
        add_number(bytes, image.slots);
        close_link(bytes);
    }
}

static void chain_freezes(struct buffer *bytes, const struct lock_table *table)
{
    struct freeze_image image;
    add_number(bytes, table->freezes.by_scope.count);
    close_link(bytes);
    struct ordered_cursor at = ordered_first(&table->freezes.by_scope);
    while (freezes_next(&at, &image)) {
        add_slice(bytes, image.scope);
        add_slice(bytes, image.actor);
        add_slice(bytes, image.reason);
        add_number(bytes, image.ttl_ms);
        add_number(bytes, image.deadline_ms);
        add_number(bytes, (uint64_t)image.created_wall_ms);
        close_link(bytes);
    }
}

struct digest128 lock_table_digest(struct lock_table *table)
{
    struct buffer bytes;
    struct digest128 digest;
    buffer_init(&bytes);
    add_numbers(&bytes, table);
    close_link(&bytes);
    if (has_groups(table)) {
        chain_groups(&bytes, table);
        chain_freezes(&bytes, table);
    }
    struct table_cursor at;
    for (struct table_node *node = table_first(table, &at); node != NULL; node = table_next(&at)) {
        schedule_unpack(node->schedule, &table->draft);
        add_schedule(&bytes, table, &table->draft.image);
        close_link(&bytes);
    }
    CHECK(bytes.len == sizeof digest.bytes);
    memcpy(digest.bytes, bytes.base, sizeof digest.bytes);
    buffer_close(&bytes);
    return digest;
}
