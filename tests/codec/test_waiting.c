/* Waiting as frames carry it: how long an operation may wait, which ones are taken back, and how many wait for a schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "fixture.h"

static void encode_frame(void *arg)
{
    struct buffer body;
    buffer_init(&body);
    frame_encode(arg, &body);
    buffer_close(&body);
}

/* True when it may be sent; then it is also taken as it was. */
static bool frame_is_taken(struct fixture *f, struct frame *frame)
{
    if (aborts(encode_frame, frame)) {
        return false;
    }
    assert_true(fixture_round_trip(f, frame));
    assert_frame_equal(frame, &f->frame);
    return true;
}

/* ---- wait_ms ---- */

static bool wait_is_taken(struct fixture *f, const struct command *command, uint64_t wait_ms)
{
    struct frame_operation operation = {.number = 1, .command = *command, .wait_ms = wait_ms};
    struct frame frame = {.kind = FRAME_OPERATIONS, .operations = {.operations = &operation, .n_operations = 1}};
    bool taken = frame_is_taken(f, &frame);
    if (taken) {
        assert_true(f->body.len <= frame_operation_size(&operation));
    }
    return taken;
}

static void an_acquire_may_wait_so_long(void **state)
{
    struct fixture *f = *state;
    struct command longest;
    sample_longest_command(&f->sample_arena, &longest);
    assert_true(wait_is_taken(f, &longest, 0));
    assert_true(wait_is_taken(f, &longest, 1));
    assert_true(wait_is_taken(f, &longest, LIMIT_WAIT_MS));
    assert_false(wait_is_taken(f, &longest, LIMIT_WAIT_MS + 1));
    assert_false(wait_is_taken(f, &longest, UINT64_MAX));
}

static void nothing_else_waits(void **state)
{
    struct fixture *f = *state;
    struct sample_random random = {.state = 9};
    for (unsigned round = 0; round < 200; round++) {
        struct command command;
        sample_command(&random, &f->sample_arena, &command);
        assert_true(wait_is_taken(f, &command, 0));
        assert_int_equal(wait_is_taken(f, &command, 1), command.kind == COMMAND_ACQUIRE);
    }
}

/* A frame's bytes as another sender might write them, behind the run id. */
static bool decode_text(struct fixture *f, enum frame_kind kind, const char *text, size_t len)
{
    buffer_clear(&f->body);
    buffer_append(&f->body,
                  "\x0a\x10"
                  "0123456789abcdef",
                  18);
    buffer_append(&f->body, text, len);
    return fixture_decode(f, kind, buffer_slice(&f->body));
}
#define DECODE(f, kind, text) decode_text(f, kind, text, sizeof(text) - 1)

/* A sequence, then an operation with its number and an acquire (or a no-op), then how long it waits. */
#define NUMBER    "\1\0\0\0\0\0\0\0"
#define OPERATION "\x11" NUMBER "\x1a"
#define ACQUIRE   "\x09" NUMBER "\x12\x0b\x1a\x09\x0a\1s\x12\1h\x1a\1k"
#define NOOP      "\x09" NUMBER "\x12\2\x08\1"

static void hostile_waits_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, FRAME_OPERATIONS, OPERATION "\x16" ACQUIRE));
    assert_int_equal(f->frame.operations.operations[0].wait_ms, 0);
    assert_true(DECODE(f, FRAME_OPERATIONS, OPERATION "\x18" ACQUIRE "\x18\0"));
    assert_int_equal(f->frame.operations.operations[0].wait_ms, 0);
    assert_true(DECODE(f, FRAME_OPERATIONS, OPERATION "\x1b" ACQUIRE "\x18\x80\xdd\xdb\1"));
    assert_int_equal(f->frame.operations.operations[0].wait_ms, LIMIT_WAIT_MS);
    assert_false(DECODE(f, FRAME_OPERATIONS, OPERATION "\x1b" ACQUIRE "\x18\x81\xdd\xdb\1"));
    assert_false(DECODE(f, FRAME_OPERATIONS, OPERATION "\x21" ACQUIRE "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"));
    assert_true(DECODE(f, FRAME_OPERATIONS, OPERATION "\x0d" NOOP));
    assert_false(DECODE(f, FRAME_OPERATIONS, OPERATION "\x0f" NOOP "\x18\1"));
    assert_false(DECODE(f, FRAME_OPERATIONS, OPERATION "\x18" ACQUIRE "\x20\1")); /* a field that isn't known */
}

/* ---- cancelling ---- */

static void a_cancelled_operation_has_no_outcome(void **state)
{
    struct fixture *f = *state;
    struct frame_operation_result result = {.number = 7, .status = OPERATION_CANCELLED};
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = &result, .n_results = 1}};
    assert_true(frame_is_taken(f, &frame));
    result.status = (enum operation_status)(OPERATION_CANCELLED + 1);
    assert_false(frame_is_taken(f, &frame));
}

static void one_frame_takes_back_so_many(void **state)
{
    struct fixture *f = *state;
    uint64_t *numbers = arena_alloc(&f->sample_arena, (LIMIT_CANCELS + 1) * sizeof *numbers);
    for (size_t i = 0; i <= LIMIT_CANCELS; i++) {
        numbers[i] = UINT64_MAX - i;
    }
    struct frame frame = {.kind = FRAME_CANCEL, .cancel = {.numbers = numbers, .n_numbers = 1}};
    assert_true(frame_is_taken(f, &frame));
    frame.cancel.n_numbers = LIMIT_CANCELS;
    assert_true(frame_is_taken(f, &frame));
    assert_in_range(f->body.len, 8 * LIMIT_CANCELS, frame_limit(FRAME_CANCEL));
    frame.cancel.n_numbers++;
    assert_false(frame_is_taken(f, &frame));
    frame.cancel.n_numbers = 0;
    assert_false(frame_is_taken(f, &frame));
}

static void hostile_cancels_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, FRAME_CANCEL, "\x12\x08" NUMBER));
    assert_int_equal(f->frame.cancel.n_numbers, 1);
    assert_true(DECODE(f, FRAME_CANCEL, "\x11" NUMBER "\x11" NUMBER)); /* the same, each by itself */
    assert_int_equal(f->frame.cancel.n_numbers, 2);
    assert_false(DECODE(f, FRAME_CANCEL, ""));
    assert_false(DECODE(f, FRAME_CANCEL, "\x12\0"));
    assert_false(DECODE(f, FRAME_CANCEL, "\x12\x07" NUMBER));
    assert_false(DECODE(f, FRAME_CANCEL, "\x12\x09" NUMBER "\1"));
    assert_false(DECODE(f, FRAME_CANCEL, "\x12\xff\xff\xff\xff\x0f" NUMBER));
    assert_false(DECODE(f, FRAME_CANCEL, "\x12\x08" NUMBER "\x18\1")); /* a field that isn't known */
    assert_false(fixture_decode(f, FRAME_CANCEL,
                                slice_of("\x0a\x0f"
                                         "0123456789abcde"
                                         "\x11"
                                         "12345678")));
    /* One more than the bound. */
    buffer_clear(&f->body);
    buffer_append(&f->body,
                  "\x0a\x10"
                  "0123456789abcdef"
                  "\x12\x88\x80\2",
                  22);
    memset(buffer_extend(&f->body, 8 * (LIMIT_CANCELS + 1)), 1, 8 * (LIMIT_CANCELS + 1));
    assert_true(f->body.len <= frame_limit(FRAME_CANCEL));
    assert_false(fixture_decode(f, FRAME_CANCEL, buffer_slice(&f->body)));
    f->body.len -= 8;
    f->body.base[19] = 0x80;
    assert_true(fixture_decode(f, FRAME_CANCEL, buffer_slice(&f->body)));
}

/* ---- counts ---- */

static void one_question_asks_after_so_many_schedules(void **state)
{
    struct fixture *f = *state;
    struct slice *schedules = arena_alloc(&f->sample_arena, (LIMIT_READ_COUNTS + 1) * sizeof *schedules);
    for (size_t i = 0; i <= LIMIT_READ_COUNTS; i++) {
        schedules[i] = sample_long(&f->sample_arena, LIMIT_NAME_BYTES);
    }
    struct frame frame = {.kind = FRAME_READ_INDEX, .read_index = {.waiting_of = schedules}};
    assert_true(frame_is_taken(f, &frame));
    frame.read_index.n_waiting_of = LIMIT_READ_COUNTS;
    assert_true(frame_is_taken(f, &frame));
    assert_in_range(f->body.len, LIMIT_READ_COUNTS * LIMIT_NAME_BYTES, frame_limit(FRAME_READ_INDEX));
    frame.read_index.n_waiting_of++;
    assert_false(frame_is_taken(f, &frame));
    /* One more, by hand. */
    frame.read_index.n_waiting_of--;
    for (size_t i = 0; i < LIMIT_READ_COUNTS; i++) {
        schedules[i] = slice_of("s");
    }
    assert_true(frame_is_taken(f, &frame));
    buffer_append(&f->body, "\x1a\1s", 3);
    assert_false(fixture_decode(f, FRAME_READ_INDEX, buffer_slice(&f->body)));
    frame.read_index.n_waiting_of = 1;
    const struct slice bad[] = {slice_of(""), slice_of("a/b"), sample_long(&f->sample_arena, LIMIT_NAME_BYTES + 1)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        schedules[0] = bad[i];
        assert_false(frame_is_taken(f, &frame));
    }
}

static void one_answer_counts_so_many(void **state)
{
    struct fixture *f = *state;
    uint64_t *waiting = arena_alloc(&f->sample_arena, (LIMIT_READ_COUNTS + 1) * sizeof *waiting);
    for (size_t i = 0; i <= LIMIT_READ_COUNTS; i++) {
        waiting[i] = UINT64_MAX - i;
    }
    struct frame frame = {.kind = FRAME_READ_INDEX_RESULT,
                          .read_index_result = {.status = OPERATION_APPLIED, .waiting = waiting}};
    assert_true(frame_is_taken(f, &frame));
    frame.read_index_result.n_waiting = LIMIT_READ_COUNTS;
    assert_true(frame_is_taken(f, &frame));
    assert_true(f->body.len <= frame_limit(FRAME_READ_INDEX_RESULT));
    buffer_append(&f->body, "\x28\1", 2); /* one more, by itself */
    assert_false(fixture_decode(f, FRAME_READ_INDEX_RESULT, buffer_slice(&f->body)));
    frame.read_index_result.n_waiting++;
    assert_false(frame_is_taken(f, &frame));
}

static void hostile_questions_and_counts_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, FRAME_READ_INDEX, "\x11" NUMBER "\x1a\1s\x1a\1t"));
    assert_int_equal(f->frame.read_index.n_waiting_of, 2);
    assert_false(DECODE(f, FRAME_READ_INDEX, "\x11" NUMBER "\x1a\0"));
    assert_false(DECODE(f, FRAME_READ_INDEX, "\x11" NUMBER "\x1a\1/"));
    assert_false(DECODE(f, FRAME_READ_INDEX, "\x11" NUMBER "\x1a\x7fs"));
    assert_false(DECODE(f, FRAME_READ_INDEX, "\x11" NUMBER "\x20\1"));
#define RESULT "\x11" NUMBER "\x18\1\x21" NUMBER
    assert_true(DECODE(f, FRAME_READ_INDEX_RESULT, RESULT));
    assert_int_equal(f->frame.read_index_result.n_waiting, 0);
    assert_true(DECODE(f, FRAME_READ_INDEX_RESULT, RESULT "\x2a\3\0\xff\1"));
    assert_int_equal(f->frame.read_index_result.n_waiting, 2);
    assert_int_equal(f->frame.read_index_result.waiting[1], 255);
    assert_false(DECODE(f, FRAME_READ_INDEX_RESULT, RESULT "\x2a\2\0\xff")); /* ends inside a number */
    assert_false(DECODE(f, FRAME_READ_INDEX_RESULT, RESULT "\x2a\x7f\0"));
    assert_false(DECODE(f, FRAME_READ_INDEX_RESULT, RESULT "\x30\1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(an_acquire_may_wait_so_long),
        TEST(nothing_else_waits),
        TEST(hostile_waits_are_refused),
        TEST(a_cancelled_operation_has_no_outcome),
        TEST(one_frame_takes_back_so_many),
        TEST(hostile_cancels_are_refused),
        TEST(one_question_asks_after_so_many_schedules),
        TEST(one_answer_counts_so_many),
        TEST(hostile_questions_and_counts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
