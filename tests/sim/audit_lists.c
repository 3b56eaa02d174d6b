/* Lists of locks and policies: whatever page of them is asked for, it shows what the model holds. */
#include <string.h>

#include "audit_private.h"

static bool has_prefix(struct slice id, struct slice prefix)
{
    return id.len >= prefix.len && (prefix.len == 0 || memcmp(id.base, prefix.base, prefix.len) == 0);
}

/* Of all live grants, in the order of schedule ids and tokens, those that the query asks for. */
static size_t expect_locks(const struct audit *audit, const struct list_query *query, struct grant_view *views)
{
    size_t n = 0;
    for (unsigned i = 0; i < AUDIT_SCHEDULES; i++) {
        const struct schedule *schedule = &audit->schedules[audit->in_order[i]];
        for (size_t j = 0; j < schedule->n_live && has_prefix(slice_of(schedule->name), query->prefix); j++) {
            const struct grant *grant = &audit->grants[schedule->live[j] - 1];
            if (!slice_is_present(query->holder) || slice_equal(grant->holder, query->holder)) {
                model_show_grant(audit, grant, &views[n++]);
            }
        }
    }
    return n;
}

static size_t expect_policies(const struct audit *audit, const struct list_query *query, struct policy_view *views)
{
    size_t n = 0;
    for (unsigned i = 0; i < AUDIT_SCHEDULES; i++) {
        const struct schedule *schedule = &audit->schedules[audit->in_order[i]];
        if (schedule->has_policy && has_prefix(slice_of(schedule->name), query->prefix)) {
            model_show_policy(schedule, &views[n++]);
        }
    }
    return n;
}

/* A list is walked through as a client does: the next page begins behind the last item of the one before. Ids are kept
 * apart, since looking at a page ends the validity of the one before. */
struct list {
    struct audit *audit;
    const char *node;
    struct lock_table *table;
    struct list_query query;
    char after[AUDIT_TEXT];
    struct walk walk; /* of all pages */
    size_t n;
};

/* False when the page doesn't fit the rest of the list. */
static bool turn_page(struct list *list, size_t n, bool more, struct slice last_id)
{
    if (n > list->query.limit || (more && n < list->query.limit) || (more && n == 0)) {
        sim_fail(list->audit->world, "%s lists %zu items with limit %zu, and there are %s more", list->node, n,
                 list->query.limit, more ? "some" : "no");
        return false;
    }
    list->n += n;
    if (list->n > AUDIT_SCHEDULES * LIVE) {
        sim_fail(list->audit->world, "%s lists more than there can be: its pages don't end", list->node);
        return false;
    }
    if (more) {
        CHECK(last_id.len < sizeof list->after);
        memcpy(list->after, last_id.base, last_id.len);
        list->after[last_id.len] = '\0';
        list->query.after_id = slice_of(list->after);
        list->audit->counts->pages++;
    }
    return more;
}

static void walk_locks(struct list *list)
{
    struct grant_view *views = list->audit->locks;
    enum list_rest rest;
    do {
        size_t n = lock_table_list_locks(list->table, &list->query, views, &rest);
        for (size_t i = 0; i < n; i++) {
            walk_grant(&list->walk, &views[i]);
        }
        if (!turn_page(list, n, rest != LIST_REST_NONE, n == 0 ? (struct slice){0} : views[n - 1].schedule_id)) {
            return;
        }
        list->query.after_token = rest == LIST_REST_SAME ? views[n - 1].token : 0;
    } while (true);
}

static void walk_policies(struct list *list)
{
    struct policy_view *views = list->audit->policies;
    bool more;
    do {
        size_t n = lock_table_list_policies(list->table, &list->query, views, &more);
        for (size_t i = 0; i < n; i++) {
            walk_policy(&list->walk, &views[i]);
        }
        more = turn_page(list, n, more, n == 0 ? (struct slice){0} : views[n - 1].schedule_id);
    } while (more);
}

static size_t draw_limit(struct audit *audit)
{
    static const size_t limits[] = {1, 2, 3, 7, LIMIT_LIST, LIMIT_LIST};
    return limits[rng_below(&audit->rng, 6)];
}

static void tell_list(const struct list *list, const char *what, size_t expected)
{
    sim_fail(list->audit->world,
             "%s lists %zu %s with prefix '%.*s', holder '%.*s' and limit %zu, which aren't the %zu that there are",
             list->node, list->n, what, SLICE_PRINT(list->query.prefix), SLICE_PRINT(list->query.holder),
             list->query.limit, expected);
}

/* The newest state: any part of both lists is known. */
void audit_check_lists(struct audit *audit, const char *node, struct lock_table *table)
{
    static const char *const prefixes[] = {NULL,         NULL,         NULL,         "schedule-",
                                           "schedule-1", "schedule-2", "schedule-7", "z"};
    char holder[AUDIT_TEXT];
    struct list locks = {.audit = audit, .node = node, .table = table};
    locks.query.limit = draw_limit(audit);
    locks.query.prefix = slice_of(prefixes[rng_below(&audit->rng, 8)]);
    struct list policies = locks;
    if (rng_chance(&audit->rng, 300)) {
        audit_client_name((unsigned)rng_below(&audit->rng, AUDIT_CLIENTS), holder);
        locks.query.holder = slice_of(holder);
    }
    const struct list_query locks_query = locks.query;
    walk_locks(&locks);
    walk_policies(&policies);
    audit->counts->lists += 2;

    struct walk expected_locks = {0};
    size_t n = expect_locks(audit, &locks_query, audit->locks);
    for (size_t i = 0; i < n; i++) {
        walk_grant(&expected_locks, &audit->locks[i]);
    }
    if (n != locks.n || expected_locks.fingerprint != locks.walk.fingerprint) {
        tell_list(&locks, "locks", n);
    }
    struct walk expected_policies = {0};
    n = expect_policies(audit, &locks_query, audit->policies);
    for (size_t i = 0; i < n; i++) {
        walk_policy(&expected_policies, &audit->policies[i]);
    }
    if (n != policies.n || expected_policies.fingerprint != policies.walk.fingerprint) {
        tell_list(&policies, "policies", n);
    }
}

uint64_t audit_expect_lists(struct audit *audit)
{
    struct list_query all = {.limit = LIMIT_LIST};
    struct walk walk = {0};
    size_t n = expect_locks(audit, &all, audit->locks);
    for (size_t i = 0; i < n; i++) {
        walk_grant(&walk, &audit->locks[i]);
    }
    n = expect_policies(audit, &all, audit->policies);
    for (size_t i = 0; i < n; i++) {
        walk_policy(&walk, &audit->policies[i]);
    }
    return walk.fingerprint;
}

/* An older state: of its lists the fingerprint is known. */
void audit_check_lists_again(struct audit *audit, const char *node, uint64_t index, struct lock_table *table)
{
    struct list list = {.audit = audit, .node = node, .table = table};
    list.query.limit = draw_limit(audit);
    walk_locks(&list);
    list.query = (struct list_query){.limit = list.query.limit};
    walk_policies(&list);
    audit->counts->lists += 2;
    if (list.walk.fingerprint != audit->points[index].lists) {
        sim_fail(audit->world, "%s lists something else than the first did at index %" PRIu64, node, index);
    }
}
