/* A page costs what it shows, and a look-up, however much there is that isn't asked for; and so does the question whether a
 * schedule is frozen. That is counted, not timed: the
 * linker's --wrap (CMakeLists.txt) lets the calls that cost something pass through here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"
#include "core/ordered.h"
#include "core/schedule.h"

#include <stdio.h>
#include <string.h>

struct costs {
    size_t comparisons;
    size_t steps;
    size_t unpacked;
};
static struct costs costs;

int __wrap_slice_compare(struct slice a, struct slice b);
int __real_slice_compare(struct slice a, struct slice b);
int __wrap_slice_compare(struct slice a, struct slice b)
{
    costs.comparisons++;
    return __real_slice_compare(a, b);
}

bool __wrap_ordered_next(struct ordered_cursor *cursor, uint64_t *value);
bool __real_ordered_next(struct ordered_cursor *cursor, uint64_t *value);
bool __wrap_ordered_next(struct ordered_cursor *cursor, uint64_t *value)
{
    costs.steps++;
    return __real_ordered_next(cursor, value);
}

void __wrap_schedule_unpack(const struct schedule *schedule, struct schedule_draft *draft);
void __real_schedule_unpack(const struct schedule *schedule, struct schedule_draft *draft);
void __wrap_schedule_unpack(const struct schedule *schedule, struct schedule_draft *draft)
{
    costs.unpacked++;
    __real_schedule_unpack(schedule, draft);
}

struct scene {
    struct lock_table *table;
    struct apply_context context;
    struct grant_view views[LIMIT_LIST];
    struct policy_view policies[LIMIT_LIST];
    struct group_view groups[LIMIT_LIST];
    struct freeze_view freezes[LIMIT_LIST];
};

static uint64_t apply(struct scene *scene, const struct command *command)
{
    struct outcome outcome;
    scene->context.index++;
    lock_table_advance(scene->table, &scene->context);
    lock_table_apply(scene->table, &scene->context, command, &outcome);
    expect_code(&outcome, OUTCOME_DONE);
    return outcome.grant.token;
}

static void put(struct scene *scene, const char *id)
{
    struct command command = {.kind = COMMAND_PUT_SCHEDULE};
    command.put_schedule = (struct put_schedule_command){
        .schedule_id = slice_of(id),
        .policy = {.margin_ms = 1000, .max_ttl_ms = LIMIT_TTL_MS, .slots = 2, .max_attempts = 1},
    };
    (void)apply(scene, &command);
}

static uint64_t acquire(struct scene *scene, const char *id, const char *holder)
{
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of(id),
                                               .holder = slice_of(holder),
                                               .idempotency_key = slice_of(id),
                                               .has_ttl = true,
                                               .ttl_ms = HOUR_MS};
    return apply(scene, &command);
}

static void release(struct scene *scene, const char *id, uint64_t token)
{
    struct command command = {.kind = COMMAND_RELEASE};
    command.release = (struct release_command){
        .schedule_id = slice_of(id), .token = token, .has_outcome = true, .outcome = RUN_SUCCEEDED};
    (void)apply(scene, &command);
}

/* One in a hundred has a policy, all but the last hundred were released, and "rare" holds three of `n`. */
static void fill(struct scene *scene, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "s%06u", i);
        if (i % 100 == 7) {
            put(scene, id);
        }
        bool is_rare = i % (n / 3) == n / 3 - 1;
        uint64_t token = acquire(scene, id, is_rare ? "rare" : "common");
        if (i < n - 100 && !is_rare) {
            release(scene, id, token);
        }
    }
}

/* Some eighteen comparisons find one of 200,000. */
static void expect_costs(size_t n_shown)
{
    assert_true(costs.unpacked <= n_shown + 1);
    assert_true(costs.steps <= n_shown + 3);
    assert_true(costs.comparisons <= 30);
}

static void expect_locks(struct scene *scene, struct list_query query, size_t n_expected)
{
    enum list_rest rest;
    memset(&costs, 0, sizeof costs);
    assert_int_equal(lock_table_list_locks(scene->table, &query, scene->views, &rest), n_expected);
    expect_costs(n_expected);
}

static void expect_policies(struct scene *scene, struct list_query query, size_t n_expected)
{
    bool more;
    memset(&costs, 0, sizeof costs);
    assert_int_equal(lock_table_list_policies(scene->table, &query, scene->policies, &more), n_expected);
    expect_costs(n_expected);
}

static void expect_cheap_pages(unsigned n)
{
    static struct scene scene;
    scene = (struct scene){.table = lock_table_open(), .context = {.index = 1, .now_ms = 1000}};
    fill(&scene, n);
    struct slice rare = slice_of("rare");
    expect_locks(&scene, (struct list_query){.limit = 1}, 1);
    expect_locks(&scene, (struct list_query){.limit = 50}, 50);
    expect_locks(&scene, (struct list_query){.limit = LIMIT_LIST}, 102);
    expect_locks(&scene, (struct list_query){.limit = 50, .prefix = slice_of("s0000")}, 0);
    expect_locks(&scene, (struct list_query){.limit = 50, .after_id = slice_of("s0000!")}, 50);
    expect_locks(&scene, (struct list_query){.limit = 50, .after_id = slice_of("t")}, 0);
    expect_locks(&scene, (struct list_query){.limit = 50, .holder = rare}, 3);
    expect_locks(&scene, (struct list_query){.limit = 2, .holder = rare}, 2);
    expect_locks(&scene, (struct list_query){.limit = 50, .holder = rare, .prefix = slice_of("s0000")}, 0);
    expect_locks(&scene, (struct list_query){.limit = 50, .holder = rare, .after_id = slice_of("t")}, 0);
    expect_locks(&scene, (struct list_query){.limit = 50, .holder = slice_of("common")}, 50);
    expect_locks(&scene, (struct list_query){.limit = 50, .holder = slice_of("nobody")}, 0);
    expect_policies(&scene, (struct list_query){.limit = 7}, 7);
    expect_policies(&scene, (struct list_query){.limit = 7, .prefix = slice_of("s0003")}, 1);
    expect_policies(&scene, (struct list_query){.limit = 7, .after_id = slice_of("s000308")}, n > 1000 ? 7 : 6);
    expect_policies(&scene, (struct list_query){.limit = 7, .after_id = slice_of("t")}, 0);
    lock_table_close(scene.table);
}

static void pages_of_a_small_table(void **state)
{
    (void)state;
    expect_cheap_pages(1000);
}

static void pages_of_a_large_table_cost_the_same(void **state)
{
    (void)state;
    expect_cheap_pages(200000);
}

/* ---- groups and freezes ---- */

/* "g00000" and so on; scopes of two lengths, and one that covers "s1…". */
static void fill_names(struct scene *scene)
{
    struct command rules = {.kind = COMMAND_RULES, .rules = {.version = rules_version_newest()}};
    (void)apply(scene, &rules);
    char name[32];
    for (unsigned i = 0; i < LIMIT_GROUPS; i++) {
        (void)snprintf(name, sizeof name, "g%05u", i);
        struct command command = {.kind = COMMAND_PUT_GROUP, .put_group = {slice_of(name), 1}};
        (void)apply(scene, &command);
    }
    for (unsigned i = 0; i < LIMIT_FREEZES; i++) {
        (void)snprintf(name, sizeof name, i % 2 == 0 ? "t%04u*" : "t%04u", i);
        struct command command = {
            .kind = COMMAND_PUT_FREEZE,
            .put_freeze = {slice_of(i == 7 ? "s1*" : name), slice_of("ops"), slice_of("why"), HOUR_MS}};
        (void)apply(scene, &command);
    }
}

static void expect_groups(struct scene *scene, struct list_query query, size_t n_expected)
{
    bool more;
    memset(&costs, 0, sizeof costs);
    assert_int_equal(lock_table_list_groups(scene->table, &query, scene->groups, &more), n_expected);
    expect_costs(n_expected);
    memset(&costs, 0, sizeof costs);
    query.prefix = slice_of("t");
    assert_int_equal(lock_table_list_freezes(scene->table, &query, scene->freezes, &more), query.limit);
    expect_costs(query.limit);
}

/* A look-up for each length that scopes have, and one for the id itself; some ten comparisons each. */
static void expect_cheap_question(struct scene *scene, const char *id, bool frozen)
{
    memset(&costs, 0, sizeof costs);
    assert_int_equal(lock_table_is_frozen(scene->table, slice_of(id)), frozen);
    assert_true(costs.comparisons <= 3 * 12 && costs.steps <= 3);
}

static void pages_and_questions_of_names(void **state)
{
    (void)state;
    static struct scene scene;
    scene = (struct scene){.table = lock_table_open(), .context = {.index = 1, .now_ms = 1000}};
    expect_cheap_question(&scene, "s17", false);
    assert_int_equal(costs.comparisons, 0);
    fill_names(&scene);
    expect_groups(&scene, (struct list_query){.limit = 1}, 1);
    expect_groups(&scene, (struct list_query){.limit = 50}, 50);
    expect_groups(&scene, (struct list_query){.limit = 50, .after_id = slice_of("g09990")}, 9);
    expect_cheap_question(&scene, "s17", true);
    expect_cheap_question(&scene, "s27", false);
    expect_cheap_question(&scene, "t0004-and-a-long-name-behind-it", true);
    expect_cheap_question(&scene, "t0005-and-a-long-name-behind-it", false);
    expect_cheap_question(&scene, "t0005", true);
    lock_table_close(scene.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_a_small_table),
        cmocka_unit_test(pages_of_a_large_table_cost_the_same),
        cmocka_unit_test(pages_and_questions_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
