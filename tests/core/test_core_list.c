/* Lists against the simplest way to make them: every schedule there may be is looked at by itself (lock_table_view,
 * lock_table_policy), in order, and what the query doesn't ask for is left out. The seed is printed; BATON_SEED sets
 * another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 3 + 9 + 27 + 81 + 3, HOLDERS = 6, LOCKS_MAX = IDS * HOLDERS };

struct scene {
    struct lock_table *table;
    struct apply_context context;
    uint64_t random;
    unsigned keys;
    char ids[IDS][8]; /* in order */
    struct grant_view views[LIMIT_LIST];
    struct policy_view policies[LIMIT_LIST];
};

static uint64_t draw_below(struct scene *scene, uint64_t bound)
{
    uint64_t z = scene->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % bound;
}

/* Holders' names begin with each other as well. */
static const char *const holders[HOLDERS] = {"h", "ha", "haz", "i", "hb", "\xff"};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* All strings of up to four of three characters, the last of them the largest byte there is, and three longer ones. */
static void make_ids(struct scene *scene)
{
    static const char characters[3] = {'a', '/', '\xff'};
    size_t n = 0;
    for (unsigned len = 1, n_of_len = 3; len <= 4; len++, n_of_len *= 3) {
        for (unsigned i = 0; i < n_of_len; i++, n++) {
            for (unsigned at = 0, rest = i; at < len; at++, rest /= 3) {
                scene->ids[n][at] = characters[rest % 3];
            }
        }
    }
    for (size_t i = 0; i < 3; i++, n++) {
        memset(scene->ids[n], 'a', 6);
        memset(scene->ids[n] + 4, characters[i], 2);
    }
    assert_int_equal(n, IDS);
    qsort(scene->ids, IDS, sizeof scene->ids[0], compare_texts);
}

static void scene_open(struct scene *scene)
{
    const char *seed = getenv("BATON_SEED");
    memset(scene, 0, sizeof *scene);
    scene->random = seed == NULL ? 20260808 : strtoull(seed, NULL, 0);
    print_message("seed %llu\n", (unsigned long long)scene->random);
    scene->context = (struct apply_context){.index = 1, .now_ms = 1000};
    scene->table = lock_table_open();
    make_ids(scene);
}

/* ---- commands ---- */

static struct outcome apply(struct scene *scene, const struct command *command)
{
    struct outcome outcome;
    scene->context.index++;
    lock_table_advance(scene->table, &scene->context);
    lock_table_apply(scene->table, &scene->context, command, &outcome);
    return outcome;
}

static struct outcome acquire(struct scene *scene, const char *id, const char *holder)
{
    char key[24];
    (void)snprintf(key, sizeof key, "k%u", ++scene->keys);
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of(id),
                                               .holder = slice_of(holder),
                                               .idempotency_key = slice_of(key),
                                               .metadata = slice_of(scene->keys % 2 == 0 ? "{\"a\":1}" : NULL),
                                               .has_ttl = true,
                                               .ttl_ms = 30000 + 1000 * draw_below(scene, 300)};
    return apply(scene, &command);
}

static void release(struct scene *scene, const char *id, uint64_t token)
{
    struct command command = {.kind = COMMAND_RELEASE};
    command.release = (struct release_command){.schedule_id = slice_of(id),
                                               .token = token,
                                               .has_outcome = true,
                                               .outcome = draw_below(scene, 2) == 0 ? RUN_SUCCEEDED : RUN_FAILED};
    (void)apply(scene, &command);
}

static void put(struct scene *scene, const char *id, uint32_t slots)
{
    struct command command = {.kind = COMMAND_PUT_SCHEDULE};
    command.put_schedule = (struct put_schedule_command){
        .schedule_id = slice_of(id),
        .policy = {.margin_ms = 1000, .max_ttl_ms = LIMIT_TTL_MS, .slots = slots, .max_attempts = 1},
    };
    struct outcome outcome = apply(scene, &command);
    expect_code(&outcome, OUTCOME_DONE);
}

static void delete (struct scene *scene, const char *id)
{
    struct command command = {.kind = COMMAND_DELETE_SCHEDULE};
    command.delete_schedule = (struct delete_schedule_command){.schedule_id = slice_of(id)};
    (void)apply(scene, &command);
}

static void revoke(struct scene *scene, const char *id, uint64_t token, bool force)
{
    struct command command = {.kind = COMMAND_REVOKE};
    command.revoke = (struct revoke_command){.schedule_id = slice_of(id),
                                             .actor = slice_of("ops"),
                                             .reason = slice_of("test"),
                                             .token = token,
                                             .force = force};
    (void)apply(scene, &command);
}

/* A token of the schedule's live grants; 0: there is none. */
static uint64_t draw_token(struct scene *scene, const char *id)
{
    struct schedule_view view;
    lock_table_view(scene->table, slice_of(id), &view);
    return view.n_holders == 0 ? 0 : view.holders[draw_below(scene, view.n_holders)].token;
}

static void change_something(struct scene *scene)
{
    const char *id = scene->ids[draw_below(scene, IDS)];
    uint64_t kind = draw_below(scene, 100);
    scene->context.now_ms += draw_below(scene, 100);
    if (kind < 60) {
        (void)acquire(scene, id, holders[draw_below(scene, HOLDERS)]);
    } else if (kind < 75) {
        release(scene, id, draw_token(scene, id));
    } else if (kind < 90) {
        put(scene, id, (uint32_t)(1 + draw_below(scene, HOLDERS)));
    } else if (kind < 94) {
        delete (scene, id);
    } else {
        revoke(scene, id, draw_below(scene, 2) == 0 ? 0 : draw_token(scene, id), draw_below(scene, 2) == 0);
    }
}

/* ---- the simplest way ---- */

struct lock {
    const char *id;
    const char *holder;
    uint64_t token;
    bool is_revoking;
};

static const char *holder_of(struct slice name)
{
    for (size_t i = 0; i < HOLDERS; i++) {
        if (slice_equal(name, slice_of(holders[i]))) {
            return holders[i];
        }
    }
    fail_msg("\"%.*s\" is no holder", SLICE_PRINT(name));
    return NULL;
}

static int compare_locks(const void *a, const void *b)
{
    const struct lock *lock_a = a;
    const struct lock *lock_b = b;
    int order = strcmp(lock_a->id, lock_b->id);
    return order != 0 ? order : (lock_a->token > lock_b->token) - (lock_a->token < lock_b->token);
}

static size_t all_locks(struct scene *scene, struct lock locks[LOCKS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < IDS; i++) {
        struct schedule_view view;
        lock_table_view(scene->table, slice_of(scene->ids[i]), &view);
        for (size_t j = 0; j < view.n_holders; j++) {
            const struct grant_view *holder = &view.holders[j];
            locks[n++] = (struct lock){scene->ids[i], holder_of(holder->holder), holder->token,
                                       .is_revoking = holder->is_revoking};
        }
    }
    qsort(locks, n, sizeof locks[0], compare_locks);
    return n;
}

static bool has_prefix(const char *id, struct slice prefix)
{
    return strlen(id) >= prefix.len && (prefix.len == 0 || memcmp(id, prefix.base, prefix.len) == 0);
}

static bool is_asked_for(const struct list_query *query, const struct lock *lock)
{
    int order = slice_compare(slice_of(lock->id), query->after_id);
    bool is_after = order > 0 || (order == 0 && query->after_token != 0 && lock->token > query->after_token);
    return is_after && has_prefix(lock->id, query->prefix) &&
           (!slice_is_present(query->holder) || slice_equal(slice_of(lock->holder), query->holder));
}

static void expect_locks(struct scene *scene, const struct lock *all, size_t n_all, const struct list_query *query)
{
    enum list_rest rest;
    enum list_rest expected = LIST_REST_NONE;
    size_t n = lock_table_list_locks(scene->table, query, scene->views, &rest);
    size_t shown = 0;
    for (size_t i = 0; i < n_all; i++) {
        if (!is_asked_for(query, &all[i])) {
            continue;
        }
        if (shown == query->limit) {
            bool is_same = slice_equal(scene->views[n - 1].schedule_id, slice_of(all[i].id));
            expected = is_same ? LIST_REST_SAME : LIST_REST_OTHERS;
            break;
        }
        assert_true(shown < n);
        const struct grant_view *view = &scene->views[shown++];
        expect_text(view->schedule_id, all[i].id);
        expect_text(view->holder, all[i].holder);
        assert_int_equal(view->token, all[i].token);
        assert_int_equal(view->is_revoking, all[i].is_revoking);
        assert_true(view->remaining_ms > 0);
    }
    assert_int_equal(n, shown);
    assert_int_equal(rest, expected);
}

static void expect_policies(struct scene *scene, const struct list_query *query)
{
    bool more;
    size_t n = lock_table_list_policies(scene->table, query, scene->policies, &more);
    size_t shown = 0;
    bool is_more = false;
    for (size_t i = 0; i < IDS; i++) {
        struct slice id = slice_of(scene->ids[i]);
        struct policy_view policy;
        if (slice_compare(id, query->after_id) <= 0 || !has_prefix(scene->ids[i], query->prefix) ||
            !lock_table_policy(scene->table, id, &policy)) {
            continue;
        }
        if (shown == query->limit) {
            is_more = true;
            break;
        }
        assert_true(shown < n);
        const struct policy_view *view = &scene->policies[shown++];
        expect_text(view->schedule_id, scene->ids[i]);
        assert_int_equal(view->policy.slots, policy.policy.slots);
        assert_int_equal(view->has_success, policy.has_success);
    }
    assert_int_equal(n, shown);
    assert_int_equal(more, is_more);
}

/* ---- tests ---- */

/* Absent, empty, one that is an id or begins one, or one that is neither. */
static struct slice draw_id(struct scene *scene)
{
    static const char *const strange[] = {"", "aaaaaaaa", "b", "\x01", "a/b", "/\xff\xff\xff\xff\xff"};
    uint64_t kind = draw_below(scene, 10);
    if (kind < 2) {
        return (struct slice){0};
    }
    return slice_of(kind < 8 ? scene->ids[draw_below(scene, IDS)] : strange[draw_below(scene, 6)]);
}

static void ask_something(struct scene *scene, const struct lock *all, size_t n_all)
{
    struct list_query query = {.prefix = draw_id(scene), .after_id = draw_id(scene)};
    if (query.prefix.len > 0) {
        query.prefix.len = 1 + draw_below(scene, query.prefix.len);
    }
    if (draw_below(scene, 2) == 0) {
        query.holder = slice_of(draw_below(scene, 10) == 0 ? "hay" : holders[draw_below(scene, HOLDERS)]);
    }
    if (n_all > 0 && slice_is_present(query.after_id) && draw_below(scene, 2) == 0) {
        const struct lock *lock = &all[draw_below(scene, n_all)];
        query.after_id = draw_below(scene, 2) == 0 ? query.after_id : slice_of(lock->id);
        query.after_token = lock->token - draw_below(scene, 2);
    }
    query.limit = 1 + draw_below(scene, draw_below(scene, 2) == 0 ? 4 : LIMIT_LIST);
    expect_locks(scene, all, n_all, &query);
    expect_policies(scene, &query);
}

static void every_question_is_answered(void **state)
{
    (void)state;
    static struct scene scene;
    static struct lock all[LOCKS_MAX];
    scene_open(&scene);
    size_t most = 0;
    for (int round = 0; round < 400; round++) {
        for (uint64_t changes = draw_below(&scene, 60); changes > 0; changes--) {
            change_something(&scene);
        }
        if (round % 100 == 99) { /* nearly everything ends */
            scene.context.now_ms += 320000;
        }
        lock_table_check(scene.table);
        size_t n_all = all_locks(&scene, all);
        most = n_all > most ? n_all : most;
        for (int questions = 0; questions < 100; questions++) {
            ask_something(&scene, all, n_all);
        }
    }
    assert_true(most > 200);
    lock_table_close(scene.table);
}

/* From the first page to the last; each goes on where the one before says, as the service does it. */
static size_t read_pages(struct scene *scene, struct list_query query, struct lock locks[LOCKS_MAX],
                         unsigned changes_between)
{
    static char after[8];
    size_t n = 0;
    for (bool more = true; more;) {
        enum list_rest rest;
        size_t n_views = lock_table_list_locks(scene->table, &query, scene->views, &rest);
        more = rest != LIST_REST_NONE;
        assert_true(n_views == query.limit || !more);
        assert_true(n_views > 0 || !more);
        for (size_t i = 0; i < n_views; i++) {
            const struct grant_view *view = &scene->views[i];
            (void)snprintf(after, sizeof after, "%.*s", SLICE_PRINT(view->schedule_id));
            const char *id = bsearch(after, scene->ids, IDS, sizeof scene->ids[0], compare_texts);
            assert_non_null(id);
            assert_true(n < LOCKS_MAX);
            locks[n++] = (struct lock){id, holder_of(view->holder), view->token, .is_revoking = view->is_revoking};
        }
        if (n_views > 0) {
            query.after_id = slice_of(after);
            query.after_token = rest == LIST_REST_SAME ? locks[n - 1].token : 0;
        }
        for (unsigned i = 0; more && i < changes_between; i++) {
            change_something(scene);
        }
    }
    return n;
}

static void every_limit_gives_the_same(void **state)
{
    (void)state;
    static struct scene scene;
    static struct lock all[LOCKS_MAX];
    static struct lock read[LOCKS_MAX];
    scene_open(&scene);
    for (int i = 0; i < 1000; i++) {
        change_something(&scene);
    }
    size_t n_all = all_locks(&scene, all);
    assert_true(n_all > 100);
    for (size_t limit = 1; limit <= n_all + 1; limit++) {
        struct list_query query = {.limit = limit};
        assert_int_equal(read_pages(&scene, query, read, 0), n_all);
        for (size_t i = 0; i < n_all; i++) {
            assert_int_equal(compare_locks(&all[i], &read[i]), 0);
        }
        for (size_t i = 0; i < HOLDERS; i++) {
            query.holder = slice_of(holders[i]);
            query.prefix = slice_of("a");
            size_t n = read_pages(&scene, query, read, 0);
            size_t wanted = 0;
            for (size_t j = 0; j < n_all; j++) {
                wanted += all[j].id[0] == 'a' && all[j].holder == holders[i] ? 1 : 0;
            }
            assert_int_equal(n, wanted);
        }
    }
    lock_table_close(scene.table);
}

/* All that lives from before the first page until after the last is there once, and nothing is there twice. */
static void what_changes_between_pages_hides_nothing(void **state)
{
    (void)state;
    static struct scene scene;
    static struct lock before[LOCKS_MAX];
    static struct lock after[LOCKS_MAX];
    static struct lock read[LOCKS_MAX];
    scene_open(&scene);
    size_t n_stayed = 0;
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 20; i++) {
            change_something(&scene);
        }
        struct list_query query = {.limit = 1 + draw_below(&scene, 12)};
        if (round % 3 == 0) {
            query.holder = slice_of(holders[draw_below(&scene, HOLDERS)]);
        }
        if (round % 2 == 0) {
            query.prefix = slice_of("a");
        }
        size_t n_before = all_locks(&scene, before);
        size_t n_read = read_pages(&scene, query, read, 5);
        size_t n_after = all_locks(&scene, after);
        for (size_t i = 1; i < n_read; i++) {
            assert_true(compare_locks(&read[i - 1], &read[i]) < 0);
        }
        for (size_t i = 0; i < n_before; i++) {
            if (is_asked_for(&query, &before[i]) &&
                bsearch(&before[i], after, n_after, sizeof after[0], compare_locks) != NULL) {
                assert_non_null(bsearch(&before[i], read, n_read, sizeof read[0], compare_locks));
                n_stayed++;
            }
        }
    }
    assert_true(n_stayed > 1000);
    lock_table_close(scene.table);
}

/* The indexes are made anew from an image. */
static void a_loaded_table_lists_the_same(void **state)
{
    (void)state;
    static struct scene scene;
    static struct lock all[LOCKS_MAX];
    scene_open(&scene);
    for (int i = 0; i < 2000; i++) {
        change_something(&scene);
    }
    struct lock_table *original = scene.table;
    size_t n_all = all_locks(&scene, all);
    scene.table = table_copy(original);
    lock_table_close(original);
    for (int questions = 0; questions < 2000; questions++) {
        ask_something(&scene, all, n_all);
    }
    lock_table_close(scene.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_question_is_answered),
        cmocka_unit_test(every_limit_gives_the_same),
        cmocka_unit_test(what_changes_between_pages_hides_nothing),
        cmocka_unit_test(a_loaded_table_lists_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
