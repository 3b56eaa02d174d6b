/* The ordered set against a sorted array. The seed is printed; BATON_SEED sets another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/ordered.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 8000, STEPS = 400000 };

/* Values are 0 … VALUES − 1, each stands for its key, and the keys are what is compared: odd and all different, so that
 * even probes fall between them. The array has the values that are in the set, by key. */
struct ordered_test {
    struct ordered set;
    uint64_t random;
    uint64_t keys[VALUES];
    uint64_t array[VALUES];
    size_t len;
    size_t comparisons;
};

static uint64_t draw_below(struct ordered_test *test, uint64_t bound)
{
    uint64_t z = test->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % bound;
}

static int compare_keys(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_values(const void *argument, uint64_t a, uint64_t b)
{
    struct ordered_test *test = (struct ordered_test *)argument;
    test->comparisons++;
    return compare_keys(test->keys[a], test->keys[b]);
}

static int compare_probe(const void *argument, const void *probe, uint64_t value)
{
    struct ordered_test *test = (struct ordered_test *)argument;
    test->comparisons++;
    return compare_keys(*(const uint64_t *)probe, test->keys[value]);
}

static const struct ordered_order by_key = {.compare = compare_values, .compare_probe = compare_probe};

static void open_test(struct ordered_test *test)
{
    const char *seed = getenv("BATON_SEED");
    memset(test, 0, sizeof *test);
    test->random = seed == NULL ? 20260801 : strtoull(seed, NULL, 0);
    print_message("seed %llu\n", (unsigned long long)test->random);
    for (uint64_t i = 0; i < VALUES; i++) {
        test->keys[i] = 2 * i + 1;
        uint64_t other = draw_below(test, i + 1);
        uint64_t key = test->keys[other];
        test->keys[other] = test->keys[i];
        test->keys[i] = key;
    }
    ordered_init(&test->set, &by_key, test);
}

/* ---- the array ---- */

static size_t array_position(const struct ordered_test *test, uint64_t key)
{
    size_t begin = 0;
    size_t end = test->len;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (test->keys[test->array[middle]] < key) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

static bool array_has(const struct ordered_test *test, uint64_t value)
{
    size_t position = array_position(test, test->keys[value]);
    return position < test->len && test->array[position] == value;
}

static void array_insert(struct ordered_test *test, uint64_t value)
{
    size_t position = array_position(test, test->keys[value]);
    memmove(test->array + position + 1, test->array + position, (test->len - position) * sizeof test->array[0]);
    test->array[position] = value;
    test->len++;
}

static void array_remove(struct ordered_test *test, uint64_t value)
{
    size_t position = array_position(test, test->keys[value]);
    test->len--;
    memmove(test->array + position, test->array + position + 1, (test->len - position) * sizeof test->array[0]);
}

/* ---- both ---- */

static void insert(struct ordered_test *test, uint64_t value)
{
    bool is_new = !array_has(test, value);
    assert_int_equal(ordered_insert(&test->set, value), is_new);
    if (is_new) {
        array_insert(test, value);
    }
    assert_int_equal(test->set.count, test->len);
}

static void take_out(struct ordered_test *test, uint64_t value)
{
    bool was_there = array_has(test, value);
    assert_int_equal(ordered_remove(&test->set, value), was_there);
    if (was_there) {
        array_remove(test, value);
    }
    assert_int_equal(test->set.count, test->len);
}

static void look_for(struct ordered_test *test, uint64_t probe, size_t steps)
{
    uint64_t value = VALUES;
    size_t position = array_position(test, probe);
    bool is_there = position < test->len && test->keys[test->array[position]] == probe;
    assert_int_equal(ordered_find(&test->set, &probe, &value), is_there);
    assert_int_equal(value, is_there ? test->array[position] : VALUES);
    struct ordered_cursor at = ordered_seek(&test->set, &probe);
    for (; steps > 0 && position < test->len; steps--, position++) {
        assert_true(ordered_next(&at, &value));
        assert_int_equal(value, test->array[position]);
    }
    if (position == test->len) {
        assert_false(ordered_next(&at, &value));
        assert_false(ordered_next(&at, &value));
    }
}

static void expect_the_array(struct ordered_test *test)
{
    ordered_check(&test->set);
    struct ordered_cursor at = ordered_first(&test->set);
    uint64_t value;
    for (size_t i = 0; i < test->len; i++) {
        assert_true(ordered_next(&at, &value));
        assert_int_equal(value, test->array[i]);
    }
    assert_false(ordered_next(&at, &value));
}

/* The set grows to nearly all values and shrinks to nearly none, several times. */
static void random_steps_do_what_an_array_does(void **state)
{
    (void)state;
    static struct ordered_test test;
    open_test(&test);
    unsigned percent_inserted = 50;
    for (unsigned step = 0; step < STEPS; step++) {
        if (step % 20000 == 0) {
            percent_inserted = (unsigned[]){75, 50, 25, 90, 10}[step / 20000 % 5];
            expect_the_array(&test);
        }
        uint64_t value = draw_below(&test, VALUES);
        if (draw_below(&test, 100) < percent_inserted) {
            insert(&test, value);
        } else {
            take_out(&test, value);
        }
        if (step % 8 == 0) {
            look_for(&test, draw_below(&test, 2 * VALUES + 2), draw_below(&test, 200));
        }
        if (step % 512 == 0) {
            ordered_check(&test.set);
        }
    }
    ordered_close(&test.set);
}

/* Each value has the key of its rank. */
static void sort_keys(struct ordered_test *test)
{
    for (uint64_t i = 0; i < VALUES; i++) {
        test->keys[i] = 2 * i + 1;
    }
}

static void ascending_and_descending(void **state)
{
    (void)state;
    static struct ordered_test test;
    for (int way = 0; way < 4; way++) {
        open_test(&test);
        sort_keys(&test);
        for (uint64_t i = 0; i < VALUES; i++) {
            insert(&test, way & 1 ? VALUES - 1 - i : i);
        }
        expect_the_array(&test);
        for (uint64_t i = 0; i < VALUES; i++) {
            take_out(&test, way & 2 ? VALUES - 1 - i : i);
            if (i % 97 == 0) {
                ordered_check(&test.set);
            }
        }
        assert_null(test.set.root);
        ordered_close(&test.set);
    }
}

/* What isn't there goes in again after the set was empty. */
static void an_emptied_set_is_as_new(void **state)
{
    (void)state;
    static struct ordered_test test;
    open_test(&test);
    for (size_t len = 1; len < 300; len += 13) {
        for (uint64_t value = 0; value < len; value++) {
            insert(&test, value);
            insert(&test, value);
        }
        expect_the_array(&test);
        for (uint64_t value = 0; value < len; value++) {
            take_out(&test, value);
            take_out(&test, value);
        }
        expect_the_array(&test);
        look_for(&test, 0, 1);
    }
    assert_null(test.set.root);
    ordered_close(&test.set);
}

static void every_probe_finds_its_place(void **state)
{
    (void)state;
    static struct ordered_test test;
    open_test(&test);
    for (uint64_t value = 0; value < VALUES; value += 3) {
        insert(&test, value);
    }
    for (uint64_t probe = 0; probe <= 2 * VALUES + 1; probe++) {
        look_for(&test, probe, 2);
    }
    ordered_close(&test.set);
}

/* Some twenty-six comparisons would do for what a tree of 8,000 is asked; restructuring asks again on each level. */
static void no_call_compares_often(void **state)
{
    (void)state;
    static struct ordered_test test;
    open_test(&test);
    for (uint64_t i = 0; i < VALUES; i++) {
        test.comparisons = 0;
        assert_true(ordered_insert(&test.set, i));
        assert_true(test.comparisons <= 40);
    }
    for (uint64_t probe = 0; probe <= 2 * VALUES; probe++) {
        uint64_t value;
        test.comparisons = 0;
        struct ordered_cursor at = ordered_seek(&test.set, &probe);
        assert_true(test.comparisons <= 20);
        (void)ordered_next(&at, &value);
        assert_true(test.comparisons <= 20);
    }
    for (uint64_t i = 0; i < VALUES; i++) {
        test.comparisons = 0;
        assert_true(ordered_remove(&test.set, i));
        assert_true(test.comparisons <= 40);
    }
    ordered_close(&test.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_do_what_an_array_does),
        cmocka_unit_test(ascending_and_descending),
        cmocka_unit_test(an_emptied_set_is_as_new),
        cmocka_unit_test(every_probe_finds_its_place),
        cmocka_unit_test(no_call_compares_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
