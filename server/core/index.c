/* The indexes over the schedules: which there are, which have a live grant, which have a policy, and who holds what; and
 * what groups count of them. All but the first are kept up by comparing what a schedule was with what it becomes. Mostly nothing changes but which
 * grants live, and what was is read from the head of the packed block. */
#include "core/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

/* ---- the orders ---- */

static struct slice id_of(const struct lock_table *table, uint64_t slot)
{
    return schedule_id(table_node(table, (uint32_t)slot)->schedule);
}

static int compare_ids(const void *table, uint64_t a, uint64_t b)
{
    return slice_compare(id_of(table, a), id_of(table, b));
}

static int compare_id_probe(const void *table, const void *id, uint64_t slot)
{
    return slice_compare(*(const struct slice *)id, id_of(table, slot));
}

static const struct ordered_order order_of_ids = {.compare = compare_ids, .compare_probe = compare_id_probe};

/* Who has live grants: one for each name, as long as there are any. Its address is what the set of them keeps. They stand
 * in the order of hashes, since nobody asks for them in another and that is quicker to compare; a name that was chosen to
 * have the hash of another costs no more than comparing names. Numbers are never given twice: at ten thousand a second they
 * last for decades. */
struct holder {
    uint64_t hash;
    uint64_t number;
    uint32_t n_grants;
    uint16_t name_len;
    uint8_t name[];
};

static struct holder *holder_at(uint64_t address)
{
    return (struct holder *)(uintptr_t)address;
}

static struct slice name_of(const struct holder *holder)
{
    struct slice name = {.base = holder->name, .len = holder->name_len};
    return name;
}

struct name_probe {
    uint64_t hash;
    struct slice name;
};

static struct name_probe name_probe_of(struct slice name)
{
    return (struct name_probe){.hash = checksum_64(name.base, name.len), .name = name};
}

static int compare_name_probe(const void *unused, const void *probe, uint64_t address)
{
    (void)unused;
    const struct name_probe *sought = probe;
    const struct holder *holder = holder_at(address);
    if (sought->hash != holder->hash) {
        return sought->hash < holder->hash ? -1 : 1;
    }
    return slice_compare(sought->name, name_of(holder));
}

static int compare_names(const void *unused, uint64_t a, uint64_t b)
{
    const struct name_probe probe = {.hash = holder_at(a)->hash, .name = name_of(holder_at(a))};
    return compare_name_probe(unused, &probe, b);
}

static const struct ordered_order order_of_names = {.compare = compare_names, .compare_probe = compare_name_probe};

/* A holding is the number of a holder and, in the low bits, a slot. The holder has one grant of it at most. */
#define HOLDING_SLOT_BITS 21u
#define HOLDING_SLOT_MASK ((1ull << HOLDING_SLOT_BITS) - 1)
static_assert(LIMIT_SCHEDULES + LIMIT_SCHEDULES_RESERVE <= HOLDING_SLOT_MASK, "each slot can be in a holding");

struct holding_probe {
    uint64_t holder_number;
    struct slice id;
};

static uint64_t holding_of(const struct holder *holder, uint32_t slot)
{
    CHECK(slot <= HOLDING_SLOT_MASK && holder->number <= UINT64_MAX >> HOLDING_SLOT_BITS);
    return holder->number << HOLDING_SLOT_BITS | slot;
}

static int compare_holding_probe(const void *table, const void *probe, uint64_t holding)
{
    const struct holding_probe *sought = probe;
    uint64_t number = holding >> HOLDING_SLOT_BITS;
    if (sought->holder_number != number) {
        return sought->holder_number < number ? -1 : 1;
    }
    return slice_compare(sought->id, id_of(table, holding & HOLDING_SLOT_MASK));
}

static int compare_holdings(const void *table, uint64_t a, uint64_t b)
{
    if (a == b) {
        return 0;
    }
    if (a >> HOLDING_SLOT_BITS != b >> HOLDING_SLOT_BITS) {
        return a < b ? -1 : 1;
    }
    return compare_ids(table, a & HOLDING_SLOT_MASK, b & HOLDING_SLOT_MASK);
}

static const struct ordered_order order_of_holdings = {.compare = compare_holdings,
                                                       .compare_probe = compare_holding_probe};

void index_open(struct lock_table *table)
{
    struct table_index *index = &table->index;
    ordered_init(&index->by_id, &order_of_ids, table);
    ordered_init(&index->live, &order_of_ids, table);
    ordered_init(&index->policies, &order_of_ids, table);
    ordered_init(&index->holders, &order_of_names, NULL);
    ordered_init(&index->holdings, &order_of_holdings, table);
}

void index_close(struct lock_table *table)
{
    struct table_index *index = &table->index;
    struct ordered_cursor at = ordered_first(&index->holders);
    for (uint64_t address; ordered_next(&at, &address);) {
        free(holder_at(address));
    }
    ordered_close(&index->by_id);
    ordered_close(&index->live);
    ordered_close(&index->policies);
    ordered_close(&index->holders);
    ordered_close(&index->holdings);
}

/* ---- holders ---- */

static struct holder *find_holder(const struct table_index *index, const struct name_probe *probe)
{
    uint64_t address;
    return ordered_find(&index->holders, probe, &address) ? holder_at(address) : NULL;
}

static void add_holding(struct table_index *index, struct slice name, uint32_t slot)
{
    const struct name_probe probe = name_probe_of(name);
    struct holder *holder = find_holder(index, &probe);
    if (holder == NULL) {
        holder = malloc(offsetof(struct holder, name) + name.len);
        CHECK(holder != NULL);
        holder->hash = probe.hash;
        holder->number = index->next_holder_number++;
        holder->n_grants = 0;
        holder->name_len = (uint16_t)name.len;
        memcpy(holder->name, name.base, name.len);
        CHECK(ordered_insert(&index->holders, (uintptr_t)holder));
    }
    holder->n_grants++;
    CHECK(ordered_insert(&index->holdings, holding_of(holder, slot)));
}

static void remove_holding(struct table_index *index, struct slice name, uint32_t slot)
{
    const struct name_probe probe = name_probe_of(name);
    struct holder *holder = find_holder(index, &probe);
    CHECK(holder != NULL && ordered_remove(&index->holdings, holding_of(holder, slot)));
    if (--holder->n_grants == 0) {
        CHECK(ordered_remove(&index->holders, (uintptr_t)holder));
        free(holder);
    }
}

static struct slice holder_of(const struct schedule_image *image, uint64_t token)
{
    const struct run_image *run = schedule_image_find_run(image, token);
    CHECK(run != NULL);
    return run->holder;
}

/* ---- keeping up ---- */

/* What becomes of a schedule, whose old state `node` has still. */
struct change {
    struct lock_table *table;
    const struct table_node *node;
    const struct schedule_image *image;
    bool is_unpacked; /* the old state, into the index' own draft */
};

/* Whose grant is over. Its run is hardly ever forgotten with the same command: that takes the end of many at once. */
static struct slice former_holder_of(struct change *change, uint64_t token)
{
    struct schedule_draft *before = &change->table->other;
    const struct run_image *run = schedule_image_find_run(change->image, token);
    if (run != NULL) {
        return run->holder;
    }
    if (!change->is_unpacked) {
        schedule_unpack(change->node->schedule, before);
        change->is_unpacked = true;
    }
    return holder_of(&before->image, token);
}

/* Both stand in the order of tokens, and what is new has the larger ones. */
static void update_holdings(struct change *change, const struct schedule_glance *before)
{
    struct table_index *index = &change->table->index;
    const struct schedule_image *image = change->image;
    uint32_t slot = change->node->slot;
    size_t kept = 0;
    for (size_t i = 0; i < before->n_grants; i++) {
        if (kept < image->n_grants && image->grants[kept].token == before->tokens[i]) {
            kept++;
        } else {
            const struct group_share share = {before->groups[i], before->tokens[i], slot};
            remove_holding(index, former_holder_of(change, before->tokens[i]), slot);
            groups_remove_grant(change->table, &share);
        }
    }
    for (; kept < image->n_grants; kept++) {
        const struct group_share share = {image->grants[kept].group, image->grants[kept].token, slot};
        add_holding(index, holder_of(image, share.token), slot);
        groups_add_grant(change->table, &share);
    }
}

static void update_membership(struct ordered *set, uint32_t slot, bool is_in, bool will_be_in)
{
    if (is_in != will_be_in) {
        CHECK(will_be_in ? ordered_insert(set, slot) : ordered_remove(set, slot));
    }
}

static struct slice group_of_policy(const struct schedule_image *image)
{
    return image->has_policy ? image->policy.policy.group : (struct slice){0};
}

static void update(struct change *change, const struct schedule_glance *before)
{
    struct table_index *index = &change->table->index;
    uint32_t slot = change->node->slot;
    update_membership(&index->live, slot, before->n_grants > 0, change->image->n_grants > 0);
    update_membership(&index->policies, slot, before->has_policy, change->image->has_policy);
    groups_change_policy(change->table, before->policy_group, group_of_policy(change->image));
    update_holdings(change, before);
}

void index_change(struct lock_table *table, const struct table_node *node, const struct schedule_image *image)
{
    struct change change = {.table = table, .node = node, .image = image};
    struct schedule_glance before;
    schedule_glance(node->schedule, &before);
    update(&change, &before);
}

void index_add(struct lock_table *table, const struct table_node *node, const struct schedule_image *image)
{
    struct change change = {.table = table, .node = node, .image = image};
    struct schedule_glance nothing;
    nothing.has_policy = false;
    nothing.policy_group = (struct slice){0};
    nothing.n_grants = 0;
    CHECK(ordered_insert(&table->index.by_id, node->slot));
    update(&change, &nothing);
}

void index_remove(struct lock_table *table, const struct table_node *node)
{
    struct schedule_glance before;
    schedule_glance(node->schedule, &before);
    CHECK(before.n_grants == 0);
    update_membership(&table->index.policies, node->slot, before.has_policy, false);
    groups_change_policy(table, before.policy_group, (struct slice){0});
    CHECK(ordered_remove(&table->index.by_id, node->slot));
}

/* ---- asking ---- */

struct table_node *table_find(const struct lock_table *table, struct slice id)
{
    uint64_t slot;
    return ordered_find(&table->index.by_id, &id, &slot) ? table_node(table, (uint32_t)slot) : NULL;
}

struct table_node *table_first(const struct lock_table *table, struct table_cursor *cursor)
{
    *cursor = (struct table_cursor){.table = table, .at = ordered_first(&table->index.by_id)};
    return table_next(cursor);
}

void table_seek_live(const struct lock_table *table, struct slice id, struct table_cursor *cursor)
{
    *cursor = (struct table_cursor){.table = table, .at = ordered_seek(&table->index.live, &id)};
}

void table_seek_policies(const struct lock_table *table, struct slice id, struct table_cursor *cursor)
{
    *cursor = (struct table_cursor){.table = table, .at = ordered_seek(&table->index.policies, &id)};
}

void table_seek_held_by(const struct lock_table *table, struct slice name, struct slice id, struct table_cursor *cursor)
{
    const struct name_probe name_probe = name_probe_of(name);
    const struct holder *holder = find_holder(&table->index, &name_probe);
    *cursor = (struct table_cursor){.table = table, .is_of_holder = true};
    if (holder != NULL) {
        const struct holding_probe probe = {.holder_number = holder->number, .id = id};
        cursor->holder_number = holder->number;
        cursor->at = ordered_seek(&table->index.holdings, &probe);
    }
}

struct table_node *table_next(struct table_cursor *cursor)
{
    uint64_t value;
    if (!ordered_next(&cursor->at, &value)) {
        return NULL;
    }
    if (cursor->is_of_holder) {
        if (value >> HOLDING_SLOT_BITS != cursor->holder_number) {
            return NULL;
        }
        value &= HOLDING_SLOT_MASK;
    }
    return table_node(cursor->table, (uint32_t)value);
}

/* ---- checking ---- */

/* The schedule in `slot` is the next member, or none at all. */
static void check_member(struct ordered_cursor *members, uint32_t slot, bool is_member)
{
    uint64_t member;
    CHECK(!is_member || (ordered_next(members, &member) && member == slot));
}

static void check_holdings_of(const struct lock_table *table, const struct table_node *node,
                              struct schedule_draft *draft)
{
    schedule_unpack(node->schedule, draft);
    for (size_t i = 0; i < draft->image.n_grants; i++) {
        uint64_t holding;
        const struct name_probe name_probe = name_probe_of(holder_of(&draft->image, draft->grants[i].token));
        const struct holder *holder = find_holder(&table->index, &name_probe);
        CHECK(holder != NULL);
        const struct holding_probe probe = {.holder_number = holder->number, .id = draft->image.id};
        CHECK(ordered_find(&table->index.holdings, &probe, &holding) && holding == holding_of(holder, node->slot));
    }
}

static void check_holders(const struct table_index *index)
{
    uint64_t n_grants = 0;
    uint64_t address;
    struct ordered_cursor at = ordered_first(&index->holders);
    while (ordered_next(&at, &address)) {
        const struct holder *holder = holder_at(address);
        const struct holding_probe probe = {.holder_number = holder->number};
        struct ordered_cursor holdings = ordered_seek(&index->holdings, &probe);
        uint64_t holding;
        CHECK(holder->n_grants > 0 && holder->number < index->next_holder_number);
        for (uint32_t i = 0; i < holder->n_grants; i++) {
            CHECK(ordered_next(&holdings, &holding) && holding >> HOLDING_SLOT_BITS == holder->number);
        }
        CHECK(!ordered_next(&holdings, &holding) || holding >> HOLDING_SLOT_BITS != holder->number);
        n_grants += holder->n_grants;
    }
    CHECK(n_grants == index->holdings.count);
}

void index_check(const struct lock_table *table)
{
    const struct table_index *index = &table->index;
    struct schedule_draft *draft = malloc(sizeof *draft);
    CHECK(draft != NULL);
    ordered_check(&index->by_id);
    ordered_check(&index->live);
    ordered_check(&index->policies);
    ordered_check(&index->holders);
    ordered_check(&index->holdings);
    struct ordered_cursor live = ordered_first(&index->live);
    struct ordered_cursor policies = ordered_first(&index->policies);
    struct table_cursor at;
    uint64_t left_over;
    for (const struct table_node *node = table_first(table, &at); node != NULL; node = table_next(&at)) {
        struct schedule_glance glance;
        schedule_glance(node->schedule, &glance);
        check_member(&live, node->slot, glance.n_grants > 0);
        check_member(&policies, node->slot, glance.has_policy);
        check_holdings_of(table, node, draft);
    }
    CHECK(!ordered_next(&live, &left_over) && !ordered_next(&policies, &left_over));
    CHECK(index->by_id.count == table->n_schedules && index->holdings.count == table->held);
    check_holders(index);
    free(draft);
}
