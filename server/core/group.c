/* Groups: slots that several schedules share. What a group has is its name and its slots; who takes them, and which
 * policies name it, follows from the schedules and is kept up with the other indexes (index.c), so that every way on
 * which a grant or a policy comes or goes is counted.
 *
 * A grant keeps the group that it was granted under. So a group can be deleted only when neither a policy names it nor a
 * grant takes its slots: what a policy or a grant names is always there. */
#include "core/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/rules.h"

/* The numbers are part of rules 2; see schedule.h. */
#define COUNTED_GROUP_BYTES 160u

static_assert(LIMIT_GROUP_HOLDERS <= LIMIT_SLOTS, "they fit where the holders of a schedule do");

/* ---- the orders ---- */

static struct table_group *group_at(uint64_t address)
{
    return (struct table_group *)(uintptr_t)address;
}

static int compare_names(const void *unused, uint64_t a, uint64_t b)
{
    (void)unused;
    return slice_compare(group_name(group_at(a)), group_name(group_at(b)));
}

static int compare_name_probe(const void *unused, const void *name, uint64_t address)
{
    (void)unused;
    return slice_compare(*(const struct slice *)name, group_name(group_at(address)));
}

static const struct ordered_order order_of_names = {.compare = compare_names, .compare_probe = compare_name_probe};

/* A live grant that takes a slot of a group. */
struct group_grant {
    const struct group_use *use;
    uint64_t token;
    uint32_t slot; /* of its schedule */
};

static struct group_grant *grant_at(uint64_t address)
{
    return (struct group_grant *)(uintptr_t)address;
}

static int compare_grant_probe(const void *unused, const void *probe, uint64_t address)
{
    (void)unused;
    const struct group_grant *a = probe;
    const struct group_grant *b = grant_at(address);
    if (a->use != b->use) {
        return (uintptr_t)a->use < (uintptr_t)b->use ? -1 : 1;
    }
    return (a->token > b->token) - (a->token < b->token);
}

static int compare_grants(const void *unused, uint64_t a, uint64_t b)
{
    return compare_grant_probe(unused, grant_at(a), b);
}

static const struct ordered_order order_of_grants = {.compare = compare_grants, .compare_probe = compare_grant_probe};

void groups_open(struct lock_table *table)
{
    ordered_init(&table->groups.by_name, &order_of_names, NULL);
    ordered_init(&table->groups.grants, &order_of_grants, NULL);
}

void groups_close(struct lock_table *table)
{
    uint64_t address;
    struct ordered_cursor at = ordered_first(&table->groups.by_name);
    while (ordered_next(&at, &address)) {
        free(group_at(address)->use);
        free(group_at(address));
    }
    at = ordered_first(&table->groups.grants);
    while (ordered_next(&at, &address)) {
        free(grant_at(address));
    }
    ordered_close(&table->groups.by_name);
    ordered_close(&table->groups.grants);
}

/* ---- one group ---- */

struct table_group *groups_find(const struct lock_table *table, struct slice name)
{
    uint64_t address;
    return ordered_find(&table->groups.by_name, &name, &address) ? group_at(address) : NULL;
}

struct group_image group_image_of(const struct table_group *group)
{
    struct group_image image = {.name = group_name(group), .slots = group->slots};
    return image;
}

struct group_view group_view_of(const struct table_group *group)
{
    struct group_view view = {
        .name = group_name(group), .slots = group->slots, .held = group->use->held, .schedules = group->use->schedules};
    return view;
}

bool group_image_is_sound(const struct group_image *image)
{
    return image->name.len >= 1 && image->name.len <= LIMIT_NAME_BYTES && image->slots <= LIMIT_GROUP_SLOTS;
}

uint64_t group_image_count_bytes(const struct group_image *image)
{
    return COUNTED_GROUP_BYTES + image->name.len;
}

/* `use` is NULL for a new group. */
static void insert_group(struct lock_table *table, const struct group_image *image, struct group_use *use)
{
    struct table_group *group = table_block_new(table, offsetof(struct table_group, name) + image->name.len);
    group->use = use != NULL ? use : calloc(1, sizeof *use);
    CHECK(group->use != NULL);
    group->slots = image->slots;
    group->name_len = (uint16_t)image->name.len;
    memcpy(group->name, image->name.base, image->name.len);
    CHECK(ordered_insert(&table->groups.by_name, (uintptr_t)group));
    table->state_bytes += group_image_count_bytes(image);
}

/* The block only: the use is left to the caller. */
static void remove_group(struct lock_table *table, struct table_group *group)
{
    const struct group_image image = group_image_of(group);
    table->state_bytes -= group_image_count_bytes(&image);
    CHECK(ordered_remove(&table->groups.by_name, (uintptr_t)group));
    table_block_discard(table, &group->block);
}

void groups_add(struct lock_table *table, const struct group_image *image)
{
    insert_group(table, image, NULL);
}

/* ---- what schedules do ---- */

static struct group_use *use_of(const struct lock_table *table, struct slice name)
{
    const struct table_group *group = groups_find(table, name);
    CHECK(group != NULL);
    return group->use;
}

void groups_add_grant(struct lock_table *table, const struct group_share *share)
{
    if (!slice_is_present(share->group)) {
        return;
    }
    struct group_use *use = use_of(table, share->group);
    struct group_grant *grant = malloc(sizeof *grant);
    CHECK(grant != NULL);
    *grant = (struct group_grant){.use = use, .token = share->token, .slot = share->slot};
    CHECK(ordered_insert(&table->groups.grants, (uintptr_t)grant));
    use->held++;
}

void groups_remove_grant(struct lock_table *table, const struct group_share *share)
{
    if (!slice_is_present(share->group)) {
        return;
    }
    struct group_use *use = use_of(table, share->group);
    const struct group_grant probe = {.use = use, .token = share->token};
    uint64_t address;
    CHECK(ordered_find(&table->groups.grants, &probe, &address));
    CHECK(grant_at(address)->slot == share->slot && ordered_remove(&table->groups.grants, address));
    free(grant_at(address));
    use->held--;
}

void groups_change_policy(struct lock_table *table, struct slice before, struct slice after)
{
    if (slice_equal(before, after)) {
        return;
    }
    if (slice_is_present(before)) {
        use_of(table, before)->schedules--;
    }
    if (slice_is_present(after)) {
        use_of(table, after)->schedules++;
    }
}

bool groups_are_there(const struct lock_table *table, const struct schedule_image *image)
{
    const struct slice of_policy = image->has_policy ? image->policy.policy.group : (struct slice){0};
    if (slice_is_present(of_policy) && groups_find(table, of_policy) == NULL) {
        return false;
    }
    for (size_t i = 0; i < image->n_grants; i++) {
        const struct slice name = image->grants[i].group;
        if (slice_is_present(name) && groups_find(table, name) == NULL) {
            return false;
        }
    }
    return true;
}

bool groups_are_within_limits(const struct lock_table *table, const struct schedule_image *image)
{
    for (size_t i = 0; i < image->n_grants; i++) {
        const struct slice name = image->grants[i].group;
        if (slice_is_present(name) && use_of(table, name)->held > LIMIT_GROUP_SLOTS) {
            return false;
        }
    }
    return true;
}

/* ---- commands ---- */

static void answer_group(struct outcome *outcome, const struct table_group *group)
{
    outcome->has_group = true;
    outcome->group = group_view_of(group);
}

static bool put_refuses_growth(const struct lock_table *table, bool no_growth, const struct group_image *image)
{
    return no_growth || table->groups.by_name.count >= LIMIT_GROUPS ||
           !table_has_room_for(table, group_image_count_bytes(image));
}

void apply_put_group(struct lock_table *table, bool no_growth, const struct put_group_command *command,
                     struct outcome *outcome)
{
    const struct group_image image = {.name = command->name, .slots = command->slots};
    if (!group_image_is_sound(&image)) {
        bool has_name = image.name.len >= 1 && image.name.len <= LIMIT_NAME_BYTES;
        outcome_refuse_field(outcome, has_name ? "slots" : "name");
        return;
    }
    struct table_group *group = groups_find(table, command->name);
    struct group_use *use = group != NULL ? group->use : NULL;
    if (group == NULL && put_refuses_growth(table, no_growth, &image)) {
        outcome->code = OUTCOME_CAPACITY;
        return;
    }
    if (group != NULL) {
        remove_group(table, group);
    }
    insert_group(table, &image, use);
    answer_group(outcome, groups_find(table, command->name));
    event_tell_group(table, &outcome->group, false);
}

void apply_delete_group(struct lock_table *table, const struct delete_group_command *command, struct outcome *outcome)
{
    struct table_group *group = groups_find(table, command->name);
    if (group == NULL) {
        outcome->code = OUTCOME_NOT_FOUND;
        return;
    }
    answer_group(outcome, group);
    if (group->use->held > 0 || group->use->schedules > 0) {
        outcome->code = OUTCOME_GROUP_IN_USE;
        return;
    }
    outcome->group.name = text_keep(table->deleted.id, outcome->group.name);
    free(group->use);
    remove_group(table, group);
    event_tell_group(table, &outcome->group, true);
}

/* ---- asking ---- */

void outcome_set_group_holders(struct outcome *outcome, struct lock_table *table, const struct table_group *group)
{
    const struct group_grant probe = {.use = group->use};
    const struct table_node *unpacked = NULL; /* into `other`: the next grant is often of the same schedule */
    struct ordered_cursor at = ordered_seek(&table->groups.grants, &probe);
    uint64_t address;
    answer_group(outcome, group);
    outcome->holders = table->outcome_holders;
    while (outcome->n_holders < LIMIT_GROUP_HOLDERS && ordered_next(&at, &address) &&
           grant_at(address)->use == group->use) {
        const struct table_node *node = table_node(table, grant_at(address)->slot);
        if (node != unpacked) {
            schedule_unpack(node->schedule, &table->other);
            unpacked = node;
        }
        const struct grant_image *grant = draft_find_grant(&table->other, grant_at(address)->token);
        CHECK(grant != NULL);
        struct grant_view *view = &table->outcome_holders[outcome->n_holders++];
        *view = grant_view_of(table, &table->other, grant);
        view->metadata = (struct slice){0};
    }
}

bool groups_next(struct ordered_cursor *at, struct group_image *image)
{
    uint64_t address;
    if (!ordered_next(at, &address)) {
        return false;
    }
    *image = group_image_of(group_at(address));
    return true;
}

bool lock_table_group(struct lock_table *table, struct slice name, struct group_view *view)
{
    const struct table_group *group = groups_find(table, name);
    if (group == NULL) {
        return false;
    }
    *view = group_view_of(group);
    return true;
}

size_t lock_table_list_groups(struct lock_table *table, const struct list_query *query, struct group_view *views,
                              bool *more)
{
    struct name_page page = {.query = query};
    const struct slice begin = name_page_begin(query);
    struct ordered_cursor at = ordered_seek(&table->groups.by_name, &begin);
    for (uint64_t address; ordered_next(&at, &address);) {
        enum page_step step = name_page_look(&page, group_name(group_at(address)));
        if (step == PAGE_END) {
            break;
        }
        if (step == PAGE_TAKE) {
            views[page.n++] = group_view_of(group_at(address));
        }
    }
    *more = page.has_more;
    return page.n;
}

/* ---- freezing ---- */

void groups_freeze(const struct lock_table *table, struct lock_table_frozen *frozen)
{
    struct ordered_cursor at = ordered_first(&table->groups.by_name);
    frozen->n_groups = 0;
    frozen->next_group = 0;
    for (uint64_t address; ordered_next(&at, &address);) { /* no block is looked at: that would miss the cache */
        CHECK(frozen->n_groups < LIMIT_GROUPS);
        frozen->groups[frozen->n_groups++] = group_at(address);
    }
}

uint64_t lock_table_frozen_groups(const struct lock_table_frozen *frozen)
{
    return frozen->n_groups;
}

bool lock_table_frozen_next_group(struct lock_table_frozen *frozen, struct group_image *image)
{
    if (frozen->next_group == frozen->n_groups) {
        return false;
    }
    *image = group_image_of(frozen->groups[frozen->next_group++]);
    return true;
}

/* ---- checking ---- */

static int compare_uses(const void *left, const void *right)
{
    const struct group_use *const *a = left;
    const struct group_use *const *b = right;
    return ((uintptr_t)*a > (uintptr_t)*b) - ((uintptr_t)*a < (uintptr_t)*b);
}

/* The groups that policies name, one entry for each policy, so that those of one group stand together. */
static size_t collect_policies(const struct lock_table *table, const struct group_use **uses)
{
    static_assert(sizeof(struct schedule_glance) < 16u * 1024u, "it is small enough for the stack");
    size_t n = 0;
    struct table_cursor at;
    for (const struct table_node *node = table_first(table, &at); node != NULL; node = table_next(&at)) {
        struct schedule_glance glance;
        schedule_glance(node->schedule, &glance);
        if (slice_is_present(glance.policy_group)) {
            uses[n++] = use_of(table, glance.policy_group);
        }
    }
    qsort(uses, n, sizeof uses[0], compare_uses);
    return n;
}

static uint64_t count_policies(const struct group_use *const *uses, size_t n, const struct group_use *use)
{
    uint64_t count = 0;
    size_t first = 0;
    for (size_t len = n; len > 0;) {
        size_t half = len / 2;
        bool is_before = compare_uses(&uses[first + half], &use) < 0;
        first += is_before ? half + 1 : 0;
        len = is_before ? len - half - 1 : half;
    }
    while (first + count < n && uses[first + count] == use) {
        count++;
    }
    return count;
}

static uint64_t check_grants(const struct lock_table *table, const struct table_group *group,
                             struct schedule_draft *draft)
{
    const struct group_grant probe = {.use = group->use};
    struct ordered_cursor at = ordered_seek(&table->groups.grants, &probe);
    uint64_t address;
    uint64_t held = 0;
    while (ordered_next(&at, &address) && grant_at(address)->use == group->use) {
        const struct table_node *node = table_node(table, grant_at(address)->slot);
        CHECK(node->schedule != NULL);
        schedule_unpack(node->schedule, draft);
        const struct grant_image *grant = draft_find_grant(draft, grant_at(address)->token);
        CHECK(grant != NULL && slice_equal(grant->group, group_name(group)));
        held++;
    }
    return held;
}

uint64_t groups_check(const struct lock_table *table)
{
    const struct table_groups *groups = &table->groups;
    struct schedule_draft *draft = malloc(sizeof *draft);
    const struct group_use **uses = malloc((table->n_schedules + 1) * sizeof(const struct group_use *));
    CHECK(draft != NULL && uses != NULL);
    ordered_check(&groups->by_name);
    ordered_check(&groups->grants);
    CHECK(groups->by_name.count <= LIMIT_GROUPS);
    CHECK(groups->by_name.count == 0 || table->numbers.rules_version >= RULES_VERSION_GROUPS);
    size_t n_uses = collect_policies(table, uses);
    uint64_t held = 0;
    uint64_t bytes = 0;
    uint64_t address;
    struct ordered_cursor at = ordered_first(&groups->by_name);
    while (ordered_next(&at, &address)) {
        const struct table_group *group = group_at(address);
        const struct group_image image = group_image_of(group);
        CHECK(group_image_is_sound(&image) && group->block.epoch <= table->epoch);
        CHECK(group->use->held <= LIMIT_GROUP_SLOTS && group->use->held == check_grants(table, group, draft));
        CHECK(group->use->schedules == count_policies(uses, n_uses, group->use));
        held += group->use->held;
        bytes += group_image_count_bytes(&image);
    }
    CHECK(held == groups->grants.count);
    free(uses);
    free(draft);
    return bytes;
}
