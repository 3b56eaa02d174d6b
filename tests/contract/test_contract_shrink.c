/* A list that fails becomes the shortest one, and what it shows is a difference that was put there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract_generate.h"
#include "contract_shrink.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 3000 };

/* ---- lists of numbers ---- */

struct wanted {
    int ids[3];
    unsigned calls;
};

/* Fails when the three are there, in this order. */
static size_t fails_with_three(void *arg, const struct contract_record *records, size_t n)
{
    struct wanted *wanted = arg;
    size_t found = 0;
    wanted->calls++;
    for (size_t i = 0; i < n; i++) {
        found += records[i].id == wanted->ids[found];
        if (found == 3) {
            return i + 1;
        }
    }
    return 0;
}

static void only_what_is_needed_is_left(void **state)
{
    (void)state;
    static struct contract_record records[1000];
    for (int i = 0; i < 1000; i++) {
        records[i] = (struct contract_record){.id = i + 1};
    }
    struct wanted wanted = {.ids = {17, 400, 803}};
    assert_int_equal(contract_shrink(records, 1000, fails_with_three, &wanted), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(records[i].id, wanted.ids[i]);
    }
    assert_true(wanted.calls < 300);
}

/* Fails when record 30 is in an entry at time 200 or later. */
static size_t fails_late(void *arg, const struct contract_record *records, size_t n)
{
    uint64_t now_ms = 0;
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        now_ms = records[i].begins_entry ? records[i].entry.now_ms : now_ms;
        if (records[i].id == 30 && now_ms >= 200) {
            return i + 1;
        }
    }
    return 0;
}

static void the_time_of_an_entry_stays_with_what_is_in_it(void **state)
{
    (void)state;
    static struct contract_record records[100];
    for (int i = 0; i < 100; i++) {
        records[i] = (struct contract_record){.id = i + 1, .begins_entry = i % 10 == 0};
        records[i].entry.now_ms = records[i].begins_entry ? (uint64_t)i * 10 : 0;
    }
    assert_int_equal(contract_shrink(records, 100, fails_late, NULL), 1);
    assert_int_equal(records[0].id, 30);
    assert_true(records[0].begins_entry);
    assert_int_equal(records[0].entry.now_ms, 200);
}

/* ---- real commands ---- */

static size_t fails_with_lie(void *arg, const struct contract_record *records, size_t n)
{
    static struct contract_trial trial;
    bool differs;
    contract_trial_open(&trial, STEPS);
    trial.lie = *(const enum contract_lie *)arg;
    size_t taken = contract_trial_run(&trial, records, n, &differs);
    contract_trial_close(&trial);
    return differs ? taken : 0;
}

static size_t draw_until_it_differs(struct contract_record *records, enum contract_lie lie)
{
    static struct contract_trial trial;
    static struct contract_generator generator;
    contract_generator_init(&generator, 7);
    contract_trial_open(&trial, STEPS);
    trial.lie = lie;
    size_t n = 0;
    for (bool is_same = true; is_same; n++) {
        assert_true(n < STEPS);
        contract_generate(&generator, &trial, &records[n]);
        is_same = contract_trial_step(&trial, &records[n]);
    }
    contract_trial_close(&trial);
    return n;
}

static void expect_shortest(enum contract_lie lie, size_t most)
{
    struct contract_record *records = malloc(STEPS * sizeof *records);
    assert_non_null(records);
    size_t n = draw_until_it_differs(records, lie);
    size_t left = contract_shrink(records, n, fails_with_lie, &lie);
    print_message("%zu steps, %zu are enough\n", n, left);
    assert_true(left <= most);
    assert_int_equal(fails_with_lie(&lie, records, left), left); /* and all of them are needed */
    struct contract_record *fewer = malloc(STEPS * sizeof *records);
    assert_non_null(fewer);
    for (size_t i = 0; i < left; i++) {
        memcpy(fewer, records, i * sizeof *records);
        memcpy(&fewer[i], &records[i + 1], (left - i - 1) * sizeof *records);
        assert_int_equal(fails_with_lie(&lie, fewer, left - 1), 0);
    }
    free(fewer);
    free(records);
}

static void a_wrong_renewal_is_a_grant_and_a_renewal(void **state)
{
    (void)state;
    expect_shortest(CONTRACT_LIE_RENEWED, 3); /* and maybe a policy */
}

static void a_forgotten_attempt_is_two_grants(void **state)
{
    (void)state;
    expect_shortest(CONTRACT_LIE_EXHAUSTED, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_needed_is_left),
        cmocka_unit_test(the_time_of_an_entry_stays_with_what_is_in_it),
        cmocka_unit_test(a_wrong_renewal_is_a_grant_and_a_renewal),
        cmocka_unit_test(a_forgotten_attempt_is_two_grants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
