/* Results of one frame that share their holders: these cross once, and are one array again at the other end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "fixture.h"

static bool decode(struct fixture *f)
{
    return fixture_decode_untold(f, FRAME_OUTCOMES, buffer_slice(&f->body)) == ERROR_NONE;
}

static const struct grant_view *every_slot(struct fixture *f)
{
    struct grant_view *holders = arena_alloc(&f->sample_arena, LIMIT_SLOTS * sizeof *holders);
    for (size_t i = 0; i < LIMIT_SLOTS; i++) {
        holders[i] = (struct grant_view){
            .schedule_id = sample_long(&f->sample_arena, LIMIT_NAME_BYTES),
            .holder = sample_long(&f->sample_arena, LIMIT_NAME_BYTES),
            .occurrence = sample_long(&f->sample_arena, LIMIT_OCCURRENCE_BYTES),
            .token = i,
        };
    }
    return holders;
}

/* Two full schedules' refusals in turn: a thousand in little more than what two take. */
static void shared_holders_cross_once(void **state)
{
    struct fixture *f = *state;
    enum { RESULTS = 1000 };
    static struct frame_operation_result results[RESULTS];
    const struct grant_view *const holders[2] = {every_slot(f), every_slot(f)};
    size_t bound = 0;
    for (size_t i = 0; i < RESULTS; i++) {
        results[i] = (struct frame_operation_result){
            .number = i,
            .status = OPERATION_APPLIED,
            .holders_of = i < 2 ? 0 : 1 + (uint32_t)i % 2,
            .outcome = {.code = OUTCOME_LOCK_HELD, .holders = holders[i % 2], .n_holders = LIMIT_SLOTS},
        };
        size_t size = frame_operation_result_size(&results[i]);
        assert_true(i < 2 || size < 128);
        bound += size;
    }
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = results, .n_results = RESULTS}};
    frame_encode(&frame, &f->body);
    assert_true(f->body.len <= bound);
    assert_true(decode(f));
    assert_frame_equal(&frame, &f->frame);
    const struct frame_operation_result *decoded = f->frame.outcomes.results;
    assert_ptr_not_equal(decoded[0].outcome.holders, decoded[1].outcome.holders);
    for (size_t i = 2; i < RESULTS; i++) {
        assert_ptr_equal(decoded[i].outcome.holders, decoded[i % 2].outcome.holders);
    }
}

/* A result may share what another one shares. */
static void what_is_shared_is_shared_on(void **state)
{
    struct fixture *f = *state;
    struct frame_operation_result results[3];
    for (uint32_t i = 0; i < 3; i++) {
        results[i] = (struct frame_operation_result){.status = OPERATION_APPLIED, .holders_of = i};
        results[i].outcome =
            i == 0 ? (struct outcome){.code = OUTCOME_LOCK_LOST, .holders = every_slot(f), .n_holders = LIMIT_SLOTS}
                   : results[0].outcome;
    }
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = results, .n_results = 3}};
    frame_encode(&frame, &f->body);
    assert_true(decode(f));
    assert_frame_equal(&frame, &f->frame);
    assert_ptr_equal(f->frame.outcomes.results[2].outcome.holders, f->frame.outcomes.results[0].outcome.holders);
}

static void encode(void *arg)
{
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = arg, .n_results = 2}};
    struct buffer body;
    buffer_init(&body);
    frame_encode(&frame, &body);
    buffer_close(&body);
}

static void a_result_that_shares_what_it_has_not_aborts_its_sender(void **state)
{
    struct fixture *f = *state;
    const struct outcome held = {.code = OUTCOME_LOCK_HELD, .holders = every_slot(f), .n_holders = 2};
    const struct frame_operation_result good[2] = {
        {.status = OPERATION_APPLIED, .outcome = held},
        {.status = OPERATION_APPLIED, .holders_of = 1, .outcome = held},
    };
    struct frame_operation_result results[2];
    memcpy(results, good, sizeof results);
    assert_false(aborts(encode, results));
    results[1].holders_of = 2; /* itself */
    assert_true(aborts(encode, results));
    results[1].holders_of = 1;
    results[1].outcome.n_holders = 1;
    assert_true(aborts(encode, results));
    memcpy(results, good, sizeof results);
    results[1].outcome.holders++;
    assert_true(aborts(encode, results));
    memcpy(results, good, sizeof results);
    results[1].status = OPERATION_UNKNOWN;
    assert_true(aborts(encode, results));
    memcpy(results, good, sizeof results);
    results[0].outcome = results[1].outcome = (struct outcome){.code = OUTCOME_LOCK_LOST};
    assert_true(aborts(encode, results));
}

/* Results as another sender might write them. */
static bool decode_results(struct fixture *f, const char *results, size_t len)
{
    struct frame frame = {.kind = FRAME_OUTCOMES};
    buffer_clear(&f->body);
    frame_encode(&frame, &f->body);
    buffer_append(&f->body, results, len);
    return decode(f);
}
#define DECODE(f, results) decode_results(f, results, sizeof(results) - 1)

/* The lengths of results are written where they stand. Outcomes: held by one, held by nobody, not found, revoked. */
#define APPLIED  "\x09\1\0\0\0\0\0\0\0\x10\1"
#define HELD     "\x1a\x16\x08\x0a\x32\x12\x0a\1s\x12\1h\x28\1\x30\1\x38\1\x40\2\x48\2\x50\1"
#define HELD_BY  "\x1a\2\x08\x0a"
#define NO_SUCH  "\x1a\2\x08\x0f"
#define REVOKED  "\x1a\x16\x08\1\x6a\x12\x0a\1s\x12\1h\x30\1\x38\1\x40\2\x48\2\x50\5\x60\1"
#define FIRST    "\x1a\x23" APPLIED HELD
#define UNKNOWN  "\x09\1\0\0\0\0\0\0\0\x10\5"
#define SHARES_1 "\x20\1"

static void hostile_sharing_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, FIRST "\x1a\x11" APPLIED HELD_BY SHARES_1));
    assert_int_equal(f->frame.outcomes.results[1].outcome.n_holders, 1);
    assert_false(DECODE(f, FIRST "\x1a\x0f" APPLIED HELD_BY));          /* without holders */
    assert_false(DECODE(f, FIRST "\x1a\x11" APPLIED HELD_BY "\x20\0")); /* the same */
    assert_false(DECODE(f, FIRST "\x1a\x11" APPLIED HELD_BY "\x20\2")); /* its own */
    assert_false(DECODE(f, "\x1a\x11" APPLIED HELD_BY SHARES_1));
    assert_false(DECODE(f, FIRST "\x1a\x11" APPLIED HELD_BY "\x20\3" FIRST)); /* a later one's */
    assert_false(DECODE(f, FIRST "\x1a\x15" APPLIED HELD_BY "\x20\xff\xff\xff\xff\x0f"));
    assert_true(DECODE(f, FIRST FIRST));
    assert_false(DECODE(f, FIRST "\x1a\x25" APPLIED HELD SHARES_1)); /* and its own as well */
    assert_true(DECODE(f, "\x1a\x0f" APPLIED NO_SUCH));
    assert_false(DECODE(f, "\x1a\x0f" APPLIED NO_SUCH "\x1a\x11" APPLIED HELD_BY SHARES_1)); /* of one without */
    assert_false(DECODE(f, "\x1a\x0b" UNKNOWN "\x1a\x11" APPLIED HELD_BY SHARES_1));
    assert_true(DECODE(f, FIRST "\x1a\x0b" UNKNOWN));
    assert_false(DECODE(f, FIRST "\x1a\x0d" UNKNOWN SHARES_1)); /* by one that has no outcome */
    assert_true(DECODE(f, FIRST "\x1a\x23" APPLIED REVOKED));
    assert_false(DECODE(f, FIRST "\x1a\x25" APPLIED REVOKED SHARES_1)); /* runs and holders */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(shared_holders_cross_once),
        TEST(what_is_shared_is_shared_on),
        TEST(a_result_that_shares_what_it_has_not_aborts_its_sender),
        TEST(hostile_sharing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
