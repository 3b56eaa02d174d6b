/* Pages of groups and of freezes, against all of them in order, of which is left out what the query doesn't ask for. */
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

enum { NAMES = 3 + 9 + 27 };

/* All strings of up to three of three characters, in order. Those at even places exist. */
struct scene {
    struct fixture f;
    char names[NAMES][4];
    struct group_view groups[LIMIT_LIST];
    struct freeze_view freezes[LIMIT_LIST];
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void scene_open(struct scene *scene)
{
    static const char characters[3] = {'-', 'a', 'b'};
    size_t n = 0;
    memset(scene, 0, sizeof *scene);
    fixture_open_newest(&scene->f);
    for (unsigned len = 1, n_of_len = 3; len <= 3; len++, n_of_len *= 3) {
        for (unsigned i = 0; i < n_of_len; i++, n++) {
            for (unsigned at = 0, rest = i; at < len; at++, rest /= 3) {
                scene->names[n][at] = characters[rest % 3];
            }
        }
    }
    assert_int_equal(n, NAMES);
    qsort(scene->names, NAMES, sizeof scene->names[0], compare_texts);
    for (size_t i = 0; i < NAMES; i += 2) {
        size_t at = i * 11 % NAMES; /* not in order */
        at -= at % 2;
        expect_code(fixture_put_group(&scene->f, scene->names[at], (uint32_t)at), OUTCOME_DONE);
        expect_code(fixture_put_freeze(&scene->f, scene->names[at], 1000 + at), OUTCOME_DONE);
    }
    for (size_t i = 0; i < NAMES; i += 2) { /* those that the walk above left out */
        expect_code(fixture_put_group(&scene->f, scene->names[i], (uint32_t)i), OUTCOME_DONE);
        expect_code(fixture_put_freeze(&scene->f, scene->names[i], 1000 + i), OUTCOME_DONE);
    }
    assert_int_equal(fixture_count(&scene->f).groups, (NAMES + 1) / 2);
}

static bool is_asked_for(const struct scene *scene, size_t i, const struct list_query *query)
{
    struct slice name = slice_of(scene->names[i]);
    bool has_prefix = name.len >= query->prefix.len &&
                      (query->prefix.len == 0 || memcmp(name.base, query->prefix.base, query->prefix.len) == 0);
    return i % 2 == 0 && has_prefix && slice_compare(name, query->after_id) > 0;
}

static void expect_page(struct scene *scene, const struct list_query *query)
{
    bool more_groups;
    bool more_freezes;
    size_t n_groups = lock_table_list_groups(scene->f.table, query, scene->groups, &more_groups);
    size_t n_freezes = lock_table_list_freezes(scene->f.table, query, scene->freezes, &more_freezes);
    size_t n = 0;
    bool more = false;
    for (size_t i = 0; i < NAMES && !more; i++) {
        if (!is_asked_for(scene, i, query)) {
            continue;
        }
        more = n == query->limit;
        if (!more) {
            assert_true(n < n_groups && n < n_freezes);
            expect_text(scene->groups[n].name, scene->names[i]);
            assert_int_equal(scene->groups[n].slots, i);
            expect_text(scene->freezes[n].scope, scene->names[i]);
            assert_int_equal(scene->freezes[n].remaining_ms, scene->freezes[n].ttl_ms);
            n++;
        }
    }
    assert_int_equal(n_groups, n);
    assert_int_equal(n_freezes, n);
    assert_int_equal(more_groups, more);
    assert_int_equal(more_freezes, more);
}

static void a_page_shows_what_it_is_asked_for(void **state)
{
    (void)state;
    static struct scene scene;
    scene_open(&scene);
    static const size_t limits[] = {1, 2, 7, NAMES, LIMIT_LIST};
    for (size_t prefix = 0; prefix <= NAMES; prefix++) {
        for (size_t after = 0; after <= NAMES; after++) {
            struct list_query query = {.limit = limits[(prefix + after) % 5]};
            query.prefix = slice_of(prefix < NAMES ? scene.names[prefix] : NULL);
            query.after_id = slice_of(after < NAMES ? scene.names[after] : NULL);
            expect_page(&scene, &query);
        }
    }
    fixture_close(&scene.f);
}

static void pages_follow_one_another(void **state)
{
    (void)state;
    static struct scene scene;
    scene_open(&scene);
    size_t n = 0;
    bool more = true;
    char last[8];
    struct list_query query = {.limit = 3};
    while (more) {
        size_t n_page = lock_table_list_groups(scene.f.table, &query, scene.groups, &more);
        assert_true(n_page > 0);
        for (size_t i = 0; i < n_page; i++, n++) {
            expect_text(scene.groups[i].name, scene.names[2 * n]);
        }
        const struct slice name = scene.groups[n_page - 1].name;
        (void)snprintf(last, sizeof last, "%.*s", SLICE_PRINT(name));
        query.after_id = slice_of(last);
        expect_code(fixture_delete_group(&scene.f, last), OUTCOME_DONE); /* it may be gone meanwhile */
    }
    assert_int_equal(n, (NAMES + 1) / 2);
    fixture_close(&scene.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_shows_what_it_is_asked_for),
        cmocka_unit_test(pages_follow_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
