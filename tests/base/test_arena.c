/* Arenas: bounded by what is asked for, and small again once they are cleared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slice.h"

#define LIMIT ((size_t)1 << 20)

static void an_arena_gives_no_more_than_its_bound(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100);
    assert_non_null(arena_alloc(&arena, 60));
    assert_null(arena_alloc(&arena, 41));
    assert_non_null(arena_alloc(&arena, 40));
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_false(slice_is_present(arena_copy(&arena, slice_of("a"))));
    arena_clear(&arena);
    assert_non_null(arena_alloc(&arena, 100));
    arena_close(&arena);
}

static void what_was_given_stays_where_it_is(void **state)
{
    (void)state;
    struct arena arena;
    uint8_t *parts[100];
    arena_init(&arena, LIMIT);
    for (size_t i = 0; i < 100; i++) {
        size_t size = i % 10 == 0 ? 5000 : 100;
        parts[i] = arena_alloc(&arena, size);
        assert_non_null(parts[i]);
        memset(parts[i], (int)i, size);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(parts[i][0], i);
        assert_int_equal(parts[i][99], i);
    }
    arena_close(&arena);
}

/* A pool keeps the arenas of its requests: one that was large once must not stay so. */
static void a_cleared_arena_is_small(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LIMIT);
    for (int i = 0; i < 3; i++) {
        assert_non_null(arena_alloc(&arena, LIMIT));
        arena_clear(&arena);
        assert_null(arena.blocks); /* the only one was large */
    }
    const void *small = arena_alloc(&arena, 8);
    const void *large = arena_alloc(&arena, LIMIT / 2);
    assert_true(small != NULL && large != NULL);
    arena_clear(&arena);
    assert_non_null(arena.blocks);
    assert_ptr_equal(arena_alloc(&arena, 8), small); /* this block was kept, though it isn't the newest */
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_gives_no_more_than_its_bound),
        cmocka_unit_test(what_was_given_stays_where_it_is),
        cmocka_unit_test(a_cleared_arena_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
