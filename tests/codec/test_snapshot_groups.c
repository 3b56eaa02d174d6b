/* Groups and freezes in snapshots: format 2, which a table of rules 2 is written as, in its order and within its bounds. */
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

enum { TABLE, GROUPS, FREEZES, SCHEDULES, ALL }; /* numbers of the chunks of a small table */

static void fix_one_of_each_kind(struct chunks *f)
{
    f->frozen.table.rules_version = RULES_VERSION_GROUPS;
    f->frozen.groups = image_two_groups(&f->arena);
    f->frozen.n_groups = 2;
    f->frozen.freezes = image_two_freezes(&f->arena);
    f->frozen.n_freezes = 2;
    f->frozen.schedules = image_schedule_in_group(&f->arena);
    f->frozen.count = 1;
}

static void format_2_has_its_golden_chunks_and_they_decode_to_the_same(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    assert_comes_back(f);
    assert_int_equal(f->n_chunks, ALL);
    assert_golden("snapshot_2_table", buffer_slice(&f->chunks[TABLE]));
    assert_golden("snapshot_2_groups", buffer_slice(&f->chunks[GROUPS]));
    assert_golden("snapshot_2_freezes", buffer_slice(&f->chunks[FREEZES]));
    assert_golden("snapshot_2_schedules", buffer_slice(&f->chunks[SCHEDULES]));
}

/* What an older member can't read is written only under rules that it can't apply either. */
static void the_rules_say_the_format(void **state)
{
    struct chunks *f = *state;
    const size_t format = 3; /* tag and length of the table, tag of its first field */
    for (uint32_t rules = RULES_VERSION_FIRST; rules <= rules_version_newest(); rules++) {
        f->frozen.table.rules_version = rules;
        assert_comes_back(f);
        assert_int_equal(f->n_chunks, 1);
        assert_int_equal(f->chunks[0].base[format], rules < RULES_VERSION_GROUPS ? 1 : 2);
    }
}

static void each_kind_may_be_missing(void **state)
{
    struct chunks *f = *state;
    for (unsigned missing = 0; missing < 8; missing++) {
        fix_one_of_each_kind(f);
        f->frozen.n_groups = missing & 1 ? 0 : 2;
        f->frozen.n_freezes = missing & 2 ? 0 : 2;
        f->frozen.count = missing & 4 ? 0 : 1;
        assert_comes_back(f);
        assert_int_equal(f->n_chunks, ALL - (missing & 1) - (missing >> 1 & 1) - (missing >> 2));
    }
}

/* As many as there may be, with the longest names and reasons. */
static void the_most_groups_and_freezes_fill_chunks_up_to_the_target(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    struct group_image *groups = arena_alloc(&f->arena, LIMIT_GROUPS * sizeof *groups);
    for (size_t i = 0; i < LIMIT_GROUPS; i++) {
        groups[i] = (struct group_image){.name = sample_long(&f->arena, LIMIT_NAME_BYTES), .slots = LIMIT_GROUP_SLOTS};
    }
    struct freeze_image *freezes = arena_alloc(&f->arena, LIMIT_FREEZES * sizeof *freezes);
    for (size_t i = 0; i < LIMIT_FREEZES; i++) {
        freezes[i] = (struct freeze_image){
            .scope = sample_long(&f->arena, LIMIT_NAME_BYTES),
            .actor = sample_long(&f->arena, LIMIT_NAME_BYTES),
            .reason = sample_long(&f->arena, LIMIT_REASON_BYTES),
            .ttl_ms = LIMIT_FREEZE_MS,
            .deadline_ms = UINT64_MAX,
            .created_wall_ms = INT64_MIN,
        };
    }
    f->frozen.groups = groups;
    f->frozen.n_groups = LIMIT_GROUPS;
    f->frozen.freezes = freezes;
    f->frozen.n_freezes = LIMIT_FREEZES;
    assert_comes_back(f);
    const size_t longest = 2048;
    size_t not_full = 0;
    for (size_t i = 1; i < f->n_chunks; i++) {
        assert_true(f->chunks[i].len <= LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES);
        not_full += f->chunks[i].len + longest < LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES;
    }
    assert_int_equal(not_full, 3); /* the last of each kind */
}

static void the_shortest_groups_and_freezes_fit_the_memory_of_a_chunk(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    struct group_image *groups = arena_alloc(&f->arena, LIMIT_GROUPS * sizeof *groups);
    for (size_t i = 0; i < LIMIT_GROUPS; i++) {
        groups[i] = (struct group_image){.name = slice_of("a")};
    }
    f->frozen.groups = groups;
    f->frozen.n_groups = LIMIT_GROUPS;
    assert_comes_back(f);
    assert_int_equal(f->n_chunks, ALL);
}

/* ---- hostile chunks ---- */

static void every_truncation_is_refused(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    chunks_encode(f);
    for (size_t which = 0; which < f->n_chunks; which++) {
        for (size_t len = 0; len < f->chunks[which].len; len++) {
            uint8_t *copy = exact_copy(f->chunks[which].base, len);
            struct lock_table table = {0};
            struct slice cut = {.base = copy, .len = len};
            assert_int_equal(chunks_decode_with(f, &table, which, cut), ERROR_CORRUPT);
            free(copy);
        }
    }
}

static void every_altered_byte_is_refused_or_loads_within_bounds(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    chunks_encode(f);
    for (size_t which = 0; which < f->n_chunks; which++) {
        size_t len = f->chunks[which].len;
        for (size_t at = 0; at < len; at++) {
            for (unsigned flip = 1; flip < 256; flip++) {
                uint8_t *copy = exact_copy(f->chunks[which].base, len);
                copy[at] ^= (uint8_t)flip;
                struct lock_table table = {0};
                struct slice altered = {.base = copy, .len = len};
                enum error error = chunks_decode_with(f, &table, which, altered);
                assert_true(error == ERROR_NONE || error == ERROR_CORRUPT || error == ERROR_VERSION);
                assert_true(table.groups <= 2 && table.freezes <= 2 && table.taken <= 1);
                free(copy);
            }
        }
    }
}

/* Decodes the chunks of a small table in the order of `order`, which ends with ALL. */
static enum error decode_in_order(struct chunks *f, struct lock_table *table, const int *order)
{
    struct snapshot_decoder *decoder = snapshot_decoder_open(table);
    enum error error = ERROR_NONE;
    for (; *order != ALL && error == ERROR_NONE; order++) {
        error = snapshot_decoder_chunk(decoder, buffer_slice(&f->chunks[*order]), &f->text);
    }
    if (error == ERROR_NONE) {
        error = snapshot_decoder_finish(decoder, &f->text);
    }
    snapshot_decoder_close(decoder);
    return error;
}

static void chunks_out_of_order_missing_or_twice_are_refused(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    chunks_encode(f);
    static const int orders[][6] = {
        {TABLE, GROUPS, FREEZES, SCHEDULES, ALL}, /* as it should be */
        {TABLE, FREEZES, GROUPS, SCHEDULES, ALL},
        {TABLE, GROUPS, SCHEDULES, FREEZES, ALL},
        {TABLE, SCHEDULES, GROUPS, FREEZES, ALL},
        {GROUPS, TABLE, FREEZES, SCHEDULES, ALL},
        {TABLE, FREEZES, SCHEDULES, ALL},
        {TABLE, GROUPS, SCHEDULES, ALL},
        {TABLE, GROUPS, FREEZES, ALL},
        {TABLE, ALL},
        {TABLE, GROUPS, GROUPS, FREEZES, SCHEDULES, ALL},
        {TABLE, GROUPS, FREEZES, FREEZES, SCHEDULES, ALL},
        {TABLE, GROUPS, FREEZES, GROUPS, SCHEDULES, ALL},
        {TABLE, GROUPS, FREEZES, SCHEDULES, GROUPS, ALL},
        {TABLE, GROUPS, FREEZES, SCHEDULES, FREEZES, ALL},
        {TABLE, TABLE, GROUPS, FREEZES, SCHEDULES, ALL},
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct lock_table table = {0};
        assert_int_equal(decode_in_order(f, &table, orders[i]), i == 0 ? ERROR_NONE : ERROR_CORRUPT);
        assert_true(table.groups <= 2 && table.freezes <= 2 && table.taken <= 1);
        assert_true(table.freezes == 0 || table.groups == 2); /* not loaded before */
        assert_true(table.taken == 0 || table.freezes == 2);
    }
}

static void a_chunk_of_two_kinds_is_refused(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    chunks_encode(f);
    for (int first = TABLE; first < SCHEDULES; first++) {
        struct buffer joined;
        buffer_init(&joined);
        buffer_append_slice(&joined, buffer_slice(&f->chunks[first]));
        buffer_append_slice(&joined, buffer_slice(&f->chunks[first + 1]));
        struct lock_table table = {0};
        assert_int_equal(chunks_decode_with(f, &table, (size_t)first, buffer_slice(&joined)), ERROR_CORRUPT);
        buffer_close(&joined);
    }
}

/* Fewer and more than what follows, and more than there can be. */
static void counts_that_do_not_fit_are_refused(void **state)
{
    struct chunks *f = *state;
    for (unsigned which = 0; which < 6; which++) {
        fix_one_of_each_kind(f);
        chunks_encode(f);
        struct buffer table;
        buffer_init(&table);
        buffer_append_slice(&table, buffer_slice(&f->chunks[TABLE]));
        uint8_t *counts = table.base + table.len - 4; /* tag and number of the groups, then of the freezes */
        assert_memory_equal(counts, "\x48\2\x50\2", 4);
        const uint8_t wrong[] = {1, 3, 0};
        counts[which % 2 == 0 ? 1 : 3] = wrong[which / 2];
        struct lock_table loaded = {0};
        assert_int_equal(chunks_decode_with(f, &loaded, TABLE, buffer_slice(&table)), ERROR_CORRUPT);
        buffer_close(&table);
    }
}

static void what_does_not_go_with_the_format_is_refused(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    const size_t format = 3;
    const size_t rules = 5;
    for (unsigned which = 0; which < 3; which++) {
        chunks_encode(f);
        f->chunks[TABLE].base[format] = which == 1 ? 2 : 1;
        f->chunks[TABLE].base[rules] = which == 0 ? 2 : 1;
        struct lock_table table = {0};
        assert_int_equal(chunks_decode(f, &table), ERROR_CORRUPT);
        assert_int_equal(table.tables, 0);
        buffer_clear(&f->chunks[TABLE]);
    }
}

static void what_this_build_does_not_know_is_another_version(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    chunks_encode(f);
    struct lock_table table = {0};
    static const struct {
        size_t chunk;
        const char *bytes;
        size_t len;
    } newer[] = {
#define NEWER(chunk, bytes) {chunk, bytes, sizeof(bytes) - 1}
        NEWER(GROUPS, "\x1a\x08\x0a\2db\x10\3\x78\1"),
        NEWER(FREEZES, "\x22\x11\x0a\1*\x12\1r\x1a\1w\x20\1\x28\1\x30\1\x78\1"),
        NEWER(SCHEDULES, "\x2a\0"), /* a kind of things */
#undef NEWER
    };
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++) {
        struct slice bytes = {.base = (const uint8_t *)newer[i].bytes, .len = newer[i].len};
        assert_int_equal(chunks_decode_with(f, &table, newer[i].chunk, bytes), ERROR_VERSION);
    }
}

static void a_string_that_breaks_the_rules_of_the_contract_is_refused(void **state)
{
    struct chunks *f = *state;
    for (int which = 0; which < 7; which++) {
        fix_one_of_each_kind(f);
        struct freeze_image *freeze = (struct freeze_image *)&f->frozen.freezes[1];
        struct schedule_image *schedule = (struct schedule_image *)&f->frozen.schedules[0];
        struct slice *strings[] = {(struct slice *)&f->frozen.groups[1].name, &freeze->scope, &freeze->actor,
                                   &freeze->reason, (struct slice *)&schedule->grants[0].group};
        if (which < 5) {
            *strings[which] = slice_of("{\xff }");
        } else if (which == 5) {
            freeze->ttl_ms = LIMIT_FREEZE_MS + 1;
        }
        chunks_encode(f);
        struct lock_table table = {0};
        assert_int_equal(chunks_decode(f, &table), which < 6 ? ERROR_CORRUPT : ERROR_NONE);
        assert_int_equal(table.groups, which == 0 ? 1 : 2);
        assert_int_equal(table.taken, which < 6 ? 0 : 1);
    }
}

static void a_group_or_a_freeze_that_the_table_refuses_ends_the_load(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    chunks_encode(f);
    struct lock_table table = {.answer = ERROR_CORRUPT};
    assert_int_equal(chunks_decode(f, &table), ERROR_CORRUPT);
    assert_int_equal(table.groups, 1);
    f->frozen.n_groups = 0;
    for (size_t i = 0; i < f->n_chunks; i++) {
        buffer_clear(&f->chunks[i]);
    }
    chunks_encode(f);
    assert_int_equal(chunks_decode(f, &table), ERROR_CORRUPT);
    assert_int_equal(table.freezes, 1);
    assert_int_equal(table.taken, 0);
}

static void encode(void *arg)
{
    chunks_encode(arg);
}

static void groups_under_rules_that_have_none_abort_their_writer(void **state)
{
    struct chunks *f = *state;
    fix_one_of_each_kind(f);
    assert_false(aborts(encode, f));
    f->frozen.table.rules_version = RULES_VERSION_FIRST;
    assert_true(aborts(encode, f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, chunks_setup, chunks_teardown)
        TEST(format_2_has_its_golden_chunks_and_they_decode_to_the_same),
        TEST(the_rules_say_the_format),
        TEST(each_kind_may_be_missing),
        TEST(the_most_groups_and_freezes_fill_chunks_up_to_the_target),
        TEST(the_shortest_groups_and_freezes_fit_the_memory_of_a_chunk),
        TEST(every_truncation_is_refused),
        TEST(every_altered_byte_is_refused_or_loads_within_bounds),
        TEST(chunks_out_of_order_missing_or_twice_are_refused),
        TEST(a_chunk_of_two_kinds_is_refused),
        TEST(counts_that_do_not_fit_are_refused),
        TEST(what_does_not_go_with_the_format_is_refused),
        TEST(what_this_build_does_not_know_is_another_version),
        TEST(a_string_that_breaks_the_rules_of_the_contract_is_refused),
        TEST(a_group_or_a_freeze_that_the_table_refuses_ends_the_load),
        TEST(groups_under_rules_that_have_none_abort_their_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
