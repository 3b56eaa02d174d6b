/* Snapshots, with a table of these tests in place of core's, so this is the codec alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "chunks.h"
#include "codec/snapshot.h"
#include "core/rules.h"
#include "sample.h"

static void fix_two_schedules(struct chunks *f)
{
    f->frozen.schedules = image_two_schedules(&f->arena);
    f->frozen.count = 2;
}

static void encoding_gives_the_golden_chunks_and_they_decode_to_the_same(void **state)
{
    struct chunks *f = *state;
    fix_two_schedules(f);
    assert_comes_back(f);
    assert_int_equal(f->n_chunks, 2);
    assert_golden("snapshot_table", buffer_slice(&f->chunks[0]));
    assert_golden("snapshot_schedules", buffer_slice(&f->chunks[1]));
}

static void an_empty_table_is_one_chunk(void **state)
{
    struct chunks *f = *state;
    assert_comes_back(f);
    assert_int_equal(f->n_chunks, 1);
}

static void long_schedules_fill_chunks_up_to_the_target_and_none_is_split(void **state)
{
    struct chunks *f = *state;
    const size_t count = 40;
    f->frozen.table.rules_version = RULES_VERSION_GROUPS; /* what is longest has a group */
    struct schedule_image *schedules = arena_alloc(&f->arena, count * sizeof *schedules);
    for (size_t i = 0; i < count; i++) {
        image_longest_schedule(&f->arena, 1, &schedules[i]);
    }
    f->frozen.schedules = schedules;
    f->frozen.count = 1;
    assert_comes_back(f);
    size_t one = f->chunks[1].len;
    f->frozen.count = count;
    assert_comes_back(f);
    size_t in_a_chunk = LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES / one;
    assert_true(in_a_chunk > 1);
    assert_int_equal(f->n_chunks, 1 + (count + in_a_chunk - 1) / in_a_chunk);
    for (size_t i = 1; i + 1 < f->n_chunks; i++) {
        assert_int_equal(f->chunks[i].len, in_a_chunk * one);
    }
}

/* All slots taken, and everything as long as it may be: over the target, within the bound, and in a chunk of its own. */
static void the_longest_schedule_there_can_be_fits_a_chunk(void **state)
{
    struct chunks *f = *state;
    struct schedule_image *schedules = arena_alloc(&f->arena, 4 * sizeof *schedules);
    f->frozen.table.rules_version = RULES_VERSION_GROUPS;
    schedules[0] = schedules[3] = (struct schedule_image){.id = slice_of("a")};
    image_longest_schedule(&f->arena, LIMIT_SLOTS, &schedules[1]);
    image_longest_schedule(&f->arena, LIMIT_SLOTS, &schedules[2]);
    f->frozen.schedules = schedules;
    f->frozen.count = 4;
    assert_comes_back(f);
    assert_int_equal(f->n_chunks, 5);
    assert_int_equal(f->chunks[1].len, f->chunks[4].len);
    assert_int_equal(f->chunks[2].len, f->chunks[3].len);
    assert_in_range(f->chunks[2].len, 3 * LIMIT_SNAPSHOT_CHUNK_BYTES / 4, LIMIT_SNAPSHOT_CHUNK_BYTES);
}

static void the_shortest_schedules_fit_the_memory_of_a_chunk(void **state)
{
    struct chunks *f = *state;
    const size_t count = 50000;
    struct schedule_image *schedules = arena_alloc(&f->arena, count * sizeof *schedules);
    for (size_t i = 0; i < count; i++) {
        schedules[i] = (struct schedule_image){.id = slice_of("a")};
    }
    f->frozen.schedules = schedules;
    f->frozen.count = count;
    assert_comes_back(f);
    assert_true(f->n_chunks > 2);
}

/* A cut between two schedules is seen at the end, by the number that was announced. */
static void every_truncation_is_refused(void **state)
{
    struct chunks *f = *state;
    fix_two_schedules(f);
    chunks_encode(f);
    for (size_t which = 0; which < f->n_chunks; which++) {
        for (size_t len = 0; len < f->chunks[which].len; len++) {
            uint8_t *copy = exact_copy(f->chunks[which].base, len);
            struct lock_table table = {0};
            assert_int_equal(chunks_decode_with(f, &table, which, (struct slice){.base = copy, .len = len}),
                             ERROR_CORRUPT);
            free(copy);
        }
    }
}

static void every_altered_byte_is_refused_or_loads_within_bounds(void **state)
{
    struct chunks *f = *state;
    fix_two_schedules(f);
    chunks_encode(f);
    for (size_t which = 0; which < f->n_chunks; which++) {
        size_t len = f->chunks[which].len;
        for (size_t at = 0; at < len; at++) {
            for (unsigned flip = 1; flip < 256; flip++) {
                uint8_t *copy = exact_copy(f->chunks[which].base, len);
                copy[at] ^= (uint8_t)flip;
                struct lock_table table = {0};
                enum error error = chunks_decode_with(f, &table, which, (struct slice){.base = copy, .len = len});
                assert_true(error == ERROR_NONE || error == ERROR_CORRUPT || error == ERROR_VERSION);
                assert_true(table.taken <= f->frozen.count);
                free(copy);
            }
        }
    }
}

static void chunks_out_of_order_missing_or_twice_are_refused(void **state)
{
    struct chunks *f = *state;
    fix_two_schedules(f);
    chunks_encode(f);
    struct slice first = buffer_slice(&f->chunks[0]);
    struct slice second = buffer_slice(&f->chunks[1]);
    struct lock_table table = {0};
    assert_int_equal(chunks_decode_with(f, &table, 0, second), ERROR_CORRUPT);
    assert_int_equal(chunks_decode_with(f, &table, 1, first), ERROR_CORRUPT);
    assert_int_equal(chunks_decode_with(f, &table, 0, slice_of("")), ERROR_CORRUPT);
    assert_int_equal(chunks_decode_with(f, &table, 1, slice_of("")), ERROR_CORRUPT);
    assert_int_equal(table.taken, 0);
    f->n_chunks = 1;
    assert_int_equal(chunks_decode(f, &table), ERROR_CORRUPT);
    f->n_chunks = 0;
    assert_int_equal(chunks_decode(f, &table), ERROR_CORRUPT);
    f->n_chunks = 3;
    buffer_append_slice(&f->chunks[2], second);
    assert_int_equal(chunks_decode(f, &table), ERROR_CORRUPT);
    assert_int_equal(table.taken, 2);
}

static void a_chunk_over_its_bound_is_refused_unread(void **state)
{
    struct chunks *f = *state;
    chunks_encode(f);
    struct lock_table table = {0};
    struct slice nowhere = {.base = (const uint8_t *)"", .len = LIMIT_SNAPSHOT_CHUNK_BYTES + 1};
    assert_int_equal(chunks_decode_with(f, &table, 0, nowhere), ERROR_CORRUPT);
}

/* The table of `encode` with a field appended or a number changed, as a later build might write it. */
static enum error decode_table(struct chunks *f, size_t at, uint8_t value, const char *more, size_t more_len)
{
    chunks_encode(f);
    struct buffer chunk;
    buffer_init(&chunk);
    buffer_append_slice(&chunk, buffer_slice(&f->chunks[0]));
    buffer_append(&chunk, more, more_len);
    if (at > 0) {
        chunk.base[at] = value;
    }
    struct lock_table table = {0};
    enum error error = chunks_decode_with(f, &table, 0, buffer_slice(&chunk));
    buffer_close(&chunk);
    return error;
}

/* Chunk 1 as a later build might write it, behind a table that announces two schedules. */
static enum error decode_schedules(struct chunks *f, const char *chunk, size_t len)
{
    fix_two_schedules(f);
    chunks_encode(f);
    struct lock_table table = {0};
    enum error error = chunks_decode_with(f, &table, 1, (struct slice){.base = (const uint8_t *)chunk, .len = len});
    assert_int_equal(table.taken, 0);
    return error;
}
#define DECODE_SCHEDULES(f, chunk) decode_schedules(f, chunk, sizeof(chunk) - 1)

static void what_this_build_does_not_know_is_another_version(void **state)
{
    struct chunks *f = *state;
    const size_t format = 3; /* tag and length of the table, tag of its first field */
    const size_t rules = 5;
    assert_int_equal(decode_table(f, 0, 0, "", 0), ERROR_NONE);
    assert_int_equal(decode_table(f, format, SNAPSHOT_FORMAT_NEWEST + 1, "", 0), ERROR_VERSION);
    assert_int_equal(decode_table(f, format, 0, "", 0), ERROR_CORRUPT);
    assert_int_equal(decode_table(f, rules, (uint8_t)(rules_version_newest() + 1), "", 0), ERROR_VERSION);
    assert_int_equal(decode_table(f, 0, 0, "\x2a\0", 2), ERROR_VERSION);
    /* A schedule with a list that is new; then policies and a success with fields that are. */
    assert_int_equal(DECODE_SCHEDULES(f, "\x12\x09\x0a\1a\x18\0\x20\0\x52\0"), ERROR_VERSION);
    assert_int_equal(DECODE_SCHEDULES(f, "\x12\x1b\x0a\1a\x18\0\x20\0\x42\x12"
                                         "\x0a\x0c\x08\0\x10\0\x18\1\x20\0\x28\1\x30\1\x10\5\x78\1"),
                     ERROR_VERSION);
    assert_int_equal(DECODE_SCHEDULES(f, "\x12\x1b\x0a\1a\x18\0\x20\0\x42\x12"
                                         "\x0a\x0e\x08\0\x10\0\x18\1\x20\0\x28\1\x30\1\x38\1\x10\5"),
                     ERROR_CORRUPT); /* a description that isn't bytes */
    assert_int_equal(DECODE_SCHEDULES(f, "\x12\x1b\x0a\1a\x18\0\x20\0\x42\x12"
                                         "\x0a\x0e\x08\0\x10\0\x18\1\x20\0\x28\1\x30\1\x78\1\x10\5"),
                     ERROR_VERSION);
    assert_int_equal(DECODE_SCHEDULES(f, "\x12\x0f\x0a\1a\x18\0\x20\0\x4a\6\x08\1\x10\1\x78\1"), ERROR_VERSION);
}

/* Each string in turn is one that no request could have brought. */
static void a_string_that_breaks_the_rules_of_the_contract_is_refused(void **state)
{
    struct chunks *f = *state;
    for (int which = 0; which < 10; which++) {
        fix_two_schedules(f);
        struct schedule_image *schedule = (struct schedule_image *)&f->frozen.schedules[1];
        struct run_image *run = (struct run_image *)&schedule->runs[0];
        struct slice *strings[] = {&run->holder,
                                   &run->occurrence,
                                   &run->idempotency_key,
                                   &run->actor,
                                   &run->reason,
                                   &schedule->id,
                                   &schedule->policy.policy.description,
                                   (struct slice *)&schedule->occurrences[0].name,
                                   (struct slice *)&schedule->grants[0].metadata};
        if (which < 9) {
            *strings[which] = slice_of("{\xff }");
        }
        chunks_encode(f);
        struct lock_table table = {0};
        assert_int_equal(chunks_decode(f, &table), which < 9 ? ERROR_CORRUPT : ERROR_NONE);
        assert_int_equal(table.taken, which < 9 ? 1 : 2);
    }
}

/* So that what is loaded may be shown, and a grant under it keeps to the bounds that memory is counted by. */
static void a_policy_out_of_its_ranges_is_refused(void **state)
{
    struct chunks *f = *state;
    for (int which = 0; which < 9; which++) {
        fix_two_schedules(f);
        struct policy *policy = &((struct schedule_image *)&f->frozen.schedules[1])->policy.policy;
        uint64_t *numbers[] = {&policy->estimate_ms, &policy->margin_ms, &policy->max_ttl_ms, &policy->min_hold_ms};
        uint32_t *counts[] = {&policy->slots, &policy->max_attempts};
        if (which < 4) {
            *numbers[which] = UINT64_MAX;
        } else if (which < 8) {
            *counts[which / 2 - 2] = which % 2 == 0 ? 0 : UINT32_MAX;
        }
        chunks_encode(f);
        struct lock_table table = {0};
        assert_int_equal(chunks_decode(f, &table), which < 8 ? ERROR_CORRUPT : ERROR_NONE);
        assert_int_equal(table.taken, which < 8 ? 1 : 2);
    }
}

static void a_schedule_that_the_table_refuses_ends_the_load(void **state)
{
    struct chunks *f = *state;
    fix_two_schedules(f);
    chunks_encode(f);
    struct lock_table table = {.answer = ERROR_CORRUPT};
    assert_int_equal(chunks_decode(f, &table), ERROR_CORRUPT);
    assert_int_equal(table.taken, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, chunks_setup, chunks_teardown)
        TEST(encoding_gives_the_golden_chunks_and_they_decode_to_the_same),
        TEST(an_empty_table_is_one_chunk),
        TEST(long_schedules_fill_chunks_up_to_the_target_and_none_is_split),
        TEST(the_longest_schedule_there_can_be_fits_a_chunk),
        TEST(the_shortest_schedules_fit_the_memory_of_a_chunk),
        TEST(every_truncation_is_refused),
        TEST(every_altered_byte_is_refused_or_loads_within_bounds),
        TEST(chunks_out_of_order_missing_or_twice_are_refused),
        TEST(a_chunk_over_its_bound_is_refused_unread),
        TEST(what_this_build_does_not_know_is_another_version),
        TEST(a_string_that_breaks_the_rules_of_the_contract_is_refused),
        TEST(a_policy_out_of_its_ranges_is_refused),
        TEST(a_schedule_that_the_table_refuses_ends_the_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
