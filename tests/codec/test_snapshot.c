/* Snapshots, with a table of this file in place of core's: it gives images out, of every shape that a schedule may have,
 * and takes them back, however little sense they make. So this is the codec alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/snapshot.h"
#include "sample.h"

/* ---- the table in place of core's ---- */

struct lock_table_frozen {
    struct table_image table;
    const struct schedule_image *schedules;
    uint64_t count;
    uint64_t given;
};

struct lock_table {
    const struct lock_table_frozen *expected; /* NULL: anything is taken */
    uint64_t tables;
    uint64_t taken;
    enum error answer; /* to the next schedule */
    size_t touched;    /* so that every byte is read */
};

void lock_table_frozen_table(const struct lock_table_frozen *frozen, struct table_image *image)
{
    *image = frozen->table;
}

uint64_t lock_table_frozen_schedules(const struct lock_table_frozen *frozen)
{
    return frozen->count;
}

bool lock_table_frozen_next(struct lock_table_frozen *frozen, struct schedule_image *image)
{
    if (frozen->given == frozen->count) {
        return false;
    }
    *image = frozen->schedules[frozen->given++];
    return true;
}

static void assert_table_equal(const struct table_image *a, const struct table_image *b)
{
    assert_int_equal(a->now_ms, b->now_ms);
    assert_int_equal(a->wall_ms, b->wall_ms);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->next_token, b->next_token);
    assert_int_equal(a->next_member_id, b->next_member_id);
    assert_int_equal(a->rules_version, b->rules_version);
}

static void assert_grant_image_equal(const struct grant_image *a, const struct grant_image *b)
{
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->granted_ms, b->granted_ms);
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_int_equal(a->granted_ttl_ms, b->granted_ttl_ms);
    assert_int_equal(a->estimate_ms, b->estimate_ms);
    assert_int_equal(a->margin_ms, b->margin_ms);
    assert_int_equal(a->max_ttl_ms, b->max_ttl_ms);
    assert_slice_equal(a->metadata, b->metadata);
}

static void assert_run_image_equal(const struct run_image *a, const struct run_image *b)
{
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->granted_ms, b->granted_ms);
    assert_int_equal(a->ended_ms, b->ended_ms);
    assert_int_equal(a->acquired_wall_ms, b->acquired_wall_ms);
    assert_int_equal(a->ended_wall_ms, b->ended_wall_ms);
    assert_slice_equal(a->holder, b->holder);
    assert_slice_equal(a->occurrence, b->occurrence);
    assert_slice_equal(a->idempotency_key, b->idempotency_key);
    assert_slice_equal(a->actor, b->actor);
    assert_slice_equal(a->reason, b->reason);
    assert_memory_equal(a->fingerprint.bytes, b->fingerprint.bytes, 16);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->late_outcome, b->late_outcome);
    assert_int_equal(a->attempt, b->attempt);
}

static void assert_occurrence_image_equal(const struct occurrence_image *a, const struct occurrence_image *b)
{
    assert_slice_equal(a->name, b->name);
    assert_int_equal(a->is_instant, b->is_instant);
    assert_int_equal(a->instant_s, b->instant_s);
    assert_int_equal(a->instant_ns, b->instant_ns);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->succeeded, b->succeeded);
    assert_int_equal(a->run_token, b->run_token);
    assert_int_equal(a->order, b->order);
}

static void assert_schedule_equal(const struct schedule_image *a, const struct schedule_image *b)
{
    assert_slice_equal(a->id, b->id);
    assert_int_equal(a->has_floor, b->has_floor);
    assert_int_equal(a->floor_s, b->floor_s);
    assert_int_equal(a->floor_ns, b->floor_ns);
    assert_int_equal(a->next_order, b->next_order);
    assert_int_equal(a->forget_ms, b->forget_ms);
    assert_int_equal(a->n_grants, b->n_grants);
    for (size_t i = 0; i < a->n_grants; i++) {
        assert_grant_image_equal(&a->grants[i], &b->grants[i]);
    }
    assert_int_equal(a->n_runs, b->n_runs);
    for (size_t i = 0; i < a->n_runs; i++) {
        assert_run_image_equal(&a->runs[i], &b->runs[i]);
    }
    assert_int_equal(a->n_occurrences, b->n_occurrences);
    for (size_t i = 0; i < a->n_occurrences; i++) {
        assert_occurrence_image_equal(&a->occurrences[i], &b->occurrences[i]);
    }
}

enum error lock_table_load_table(struct lock_table *table, const struct table_image *image)
{
    table->tables++;
    if (table->expected != NULL) {
        assert_table_equal(&table->expected->table, image);
    }
    return ERROR_NONE;
}

static size_t touch(struct slice slice)
{
    size_t sum = 0;
    for (size_t i = 0; i < slice.len; i++) {
        sum += slice.base[i];
    }
    return sum;
}

enum error lock_table_load_schedule(struct lock_table *table, const struct schedule_image *image)
{
    if (table->expected != NULL) {
        assert_schedule_equal(&table->expected->schedules[table->taken], image);
    }
    table->touched += touch(image->id);
    for (size_t i = 0; i < image->n_grants; i++) {
        table->touched += touch(image->grants[i].metadata);
    }
    for (size_t i = 0; i < image->n_runs; i++) {
        const struct run_image *run = &image->runs[i];
        table->touched += touch(run->holder) + touch(run->occurrence) + touch(run->idempotency_key) +
                          touch(run->actor) + touch(run->reason);
    }
    for (size_t i = 0; i < image->n_occurrences; i++) {
        table->touched += touch(image->occurrences[i].name);
    }
    table->taken++;
    return table->answer;
}

/* ---- chunks ---- */

#define CHUNKS 64

struct fixture {
    struct arena arena; /* of the images */
    struct lock_table_frozen frozen;
    struct buffer chunks[CHUNKS];
    size_t n_chunks;
    struct error_text text;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->arena, 0);
    for (size_t i = 0; i < CHUNKS; i++) {
        buffer_init(&f->chunks[i]);
    }
    f->frozen.table = (struct table_image){
        .now_ms = 1000, .wall_ms = -2, .index = 3, .next_token = 400, .next_member_id = 5, .rules_version = 1};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_close(&f->arena);
    for (size_t i = 0; i < CHUNKS; i++) {
        buffer_close(&f->chunks[i]);
    }
    free(f);
    return 0;
}

static void encode(struct fixture *f)
{
    f->frozen.given = 0;
    struct snapshot_encoder *encoder = snapshot_encoder_open(&f->frozen);
    f->n_chunks = 0;
    while (snapshot_encoder_next(encoder, &f->chunks[f->n_chunks])) {
        assert_true(f->chunks[f->n_chunks].len <= LIMIT_SNAPSHOT_CHUNK_BYTES);
        f->n_chunks++;
        assert_true(f->n_chunks < CHUNKS);
    }
    snapshot_encoder_close(encoder);
}

/* The chunks in order, with the one numbered `replaced` taken from `bytes` (CHUNKS: none); stops at the first error. */
static enum error decode_with(struct fixture *f, struct lock_table *table, size_t replaced, struct slice bytes)
{
    struct snapshot_decoder *decoder = snapshot_decoder_open(table);
    enum error error = ERROR_NONE;
    memset(&f->text, 0, sizeof f->text);
    for (size_t i = 0; i < f->n_chunks && error == ERROR_NONE; i++) {
        error = snapshot_decoder_chunk(decoder, i == replaced ? bytes : buffer_slice(&f->chunks[i]), &f->text);
    }
    if (error == ERROR_NONE) {
        error = snapshot_decoder_finish(decoder, &f->text);
    }
    assert_int_equal(f->text.text[0] != 0, error != ERROR_NONE);
    snapshot_decoder_close(decoder);
    return error;
}

static enum error decode(struct fixture *f, struct lock_table *table)
{
    return decode_with(f, table, CHUNKS, (struct slice){0});
}

static void assert_comes_back(struct fixture *f)
{
    encode(f);
    struct lock_table table = {.expected = &f->frozen};
    assert_int_equal(decode(f, &table), ERROR_NONE);
    assert_int_equal(table.tables, 1);
    assert_int_equal(table.taken, f->frozen.count);
}

/* ---- images ---- */

static const struct grant_image fixed_grants[] = {
    {.token = 7,
     .granted_ms = 900,
     .deadline_ms = 1900,
     .ttl_ms = 1000,
     .granted_ttl_ms = 1001,
     .estimate_ms = 500,
     .margin_ms = 30000,
     .max_ttl_ms = 604800000},
};
static const struct digest128 fixed_fingerprint = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

/* Two schedules: one with nothing optional in it, one with everything. */
static void fix_two_schedules(struct fixture *f)
{
    struct run_image *runs = arena_alloc(&f->arena, 2 * sizeof *runs);
    runs[0] = (struct run_image){
        .token = 6,
        .granted_ms = 100,
        .ended_ms = 200,
        .acquired_wall_ms = -1,
        .ended_wall_ms = 1767323045000,
        .holder = slice_of("h"),
        .occurrence = slice_of("2026-01-02T03:04:05Z"),
        .idempotency_key = slice_of("k"),
        .actor = slice_of("root"),
        .reason = slice_of("because"),
        .fingerprint = fixed_fingerprint,
        .outcome = RUN_REVOKED,
        .late_outcome = RUN_SUCCEEDED,
        .attempt = 3,
    };
    runs[1] = (struct run_image){.token = 7, .holder = slice_of("i"), .late_outcome = RUN_OUTCOME_NONE};
    struct occurrence_image *occurrences = arena_alloc(&f->arena, 2 * sizeof *occurrences);
    occurrences[0] = (struct occurrence_image){.name = slice_of("monday"), .order = 1};
    occurrences[1] = (struct occurrence_image){
        .name = slice_of("2026-01-02T03:04:05Z"),
        .is_instant = true,
        .instant_s = 1767323045,
        .instant_ns = 999999999,
        .attempts = 3,
        .succeeded = true,
        .run_token = 6,
        .order = 2,
    };
    struct grant_image *grants = arena_alloc(&f->arena, sizeof *grants);
    grants[0] = fixed_grants[0];
    grants[0].metadata = slice_of("{\"a\":1}");
    struct schedule_image *schedules = arena_alloc(&f->arena, 2 * sizeof *schedules);
    schedules[0] = (struct schedule_image){.id = slice_of("a"), .forget_ms = 99};
    schedules[1] = (struct schedule_image){
        .id = slice_of("backup:nightly"),
        .has_floor = true,
        .floor_s = -5,
        .floor_ns = 1,
        .next_order = 3,
        .grants = grants,
        .n_grants = 1,
        .runs = runs,
        .n_runs = 2,
        .occurrences = occurrences,
        .n_occurrences = 2,
    };
    f->frozen.schedules = schedules;
    f->frozen.count = 2;
}

static void fill_longest_schedule(struct fixture *f, struct schedule_image *schedule)
{
    const size_t n_runs = LIMIT_RUNS_PER_SCHEDULE + 1;
    const size_t n_occurrences = LIMIT_OCCURRENCES_PER_SCHEDULE + 1;
    struct run_image *runs = arena_alloc(&f->arena, n_runs * sizeof *runs);
    for (size_t i = 0; i < n_runs; i++) {
        runs[i] = (struct run_image){
            .token = UINT64_MAX - i,
            .granted_ms = UINT64_MAX,
            .ended_ms = UINT64_MAX,
            .acquired_wall_ms = INT64_MIN,
            .ended_wall_ms = INT64_MAX,
            .holder = sample_long(&f->arena, LIMIT_NAME_BYTES),
            .occurrence = sample_long(&f->arena, LIMIT_OCCURRENCE_BYTES),
            .idempotency_key = sample_long(&f->arena, LIMIT_OCCURRENCE_BYTES),
            .actor = sample_long(&f->arena, LIMIT_NAME_BYTES),
            .reason = sample_long(&f->arena, LIMIT_REASON_BYTES),
            .outcome = RUN_REVOKED,
            .late_outcome = RUN_REVOKED,
            .attempt = UINT32_MAX,
        };
    }
    struct occurrence_image *occurrences = arena_alloc(&f->arena, n_occurrences * sizeof *occurrences);
    for (size_t i = 0; i < n_occurrences; i++) {
        occurrences[i] = (struct occurrence_image){
            .name = sample_long(&f->arena, LIMIT_OCCURRENCE_BYTES),
            .is_instant = true,
            .instant_s = INT64_MIN,
            .instant_ns = UINT32_MAX,
            .attempts = UINT32_MAX,
            .succeeded = true,
            .run_token = UINT64_MAX,
            .order = UINT64_MAX,
        };
    }
    struct grant_image *grant = arena_alloc(&f->arena, sizeof *grant);
    memset(grant, 0xff, sizeof *grant);
    uint8_t *metadata = arena_alloc(&f->arena, LIMIT_METADATA_BYTES);
    memset(metadata, 'm', LIMIT_METADATA_BYTES);
    metadata[0] = '{';
    metadata[LIMIT_METADATA_BYTES - 1] = '}';
    grant->metadata = (struct slice){.base = metadata, .len = LIMIT_METADATA_BYTES};
    *schedule = (struct schedule_image){
        .id = sample_long(&f->arena, LIMIT_NAME_BYTES),
        .has_floor = true,
        .floor_s = INT64_MAX,
        .floor_ns = UINT32_MAX,
        .next_order = UINT64_MAX,
        .forget_ms = UINT64_MAX,
        .grants = grant,
        .n_grants = 1,
        .runs = runs,
        .n_runs = n_runs,
        .occurrences = occurrences,
        .n_occurrences = n_occurrences,
    };
}

/* ---- tests ---- */

static void encoding_gives_the_golden_chunks_and_they_decode_to_the_same(void **state)
{
    struct fixture *f = *state;
    fix_two_schedules(f);
    assert_comes_back(f);
    assert_int_equal(f->n_chunks, 2);
    assert_golden("snapshot_table", buffer_slice(&f->chunks[0]));
    assert_golden("snapshot_schedules", buffer_slice(&f->chunks[1]));
}

static void an_empty_table_is_one_chunk(void **state)
{
    struct fixture *f = *state;
    assert_comes_back(f);
    assert_int_equal(f->n_chunks, 1);
}

static void the_longest_schedules_fill_chunks_and_none_is_split(void **state)
{
    struct fixture *f = *state;
    const size_t count = 40;
    struct schedule_image *schedules = arena_alloc(&f->arena, count * sizeof *schedules);
    for (size_t i = 0; i < count; i++) {
        fill_longest_schedule(f, &schedules[i]);
    }
    f->frozen.schedules = schedules;
    f->frozen.count = 1;
    assert_comes_back(f);
    size_t one = f->chunks[1].len;
    f->frozen.count = count;
    assert_comes_back(f);
    size_t in_a_chunk = LIMIT_SNAPSHOT_CHUNK_BYTES / one;
    assert_int_equal(f->n_chunks, 1 + (count + in_a_chunk - 1) / in_a_chunk);
    for (size_t i = 1; i + 1 < f->n_chunks; i++) {
        assert_int_equal(f->chunks[i].len, in_a_chunk * one);
    }
}

static void the_shortest_schedules_fit_the_memory_of_a_chunk(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    fix_two_schedules(f);
    encode(f);
    for (size_t which = 0; which < f->n_chunks; which++) {
        for (size_t len = 0; len < f->chunks[which].len; len++) {
            uint8_t *copy = exact_copy(f->chunks[which].base, len);
            struct lock_table table = {0};
            assert_int_equal(decode_with(f, &table, which, (struct slice){.base = copy, .len = len}), ERROR_CORRUPT);
            free(copy);
        }
    }
}

static void every_altered_byte_is_refused_or_loads_within_bounds(void **state)
{
    struct fixture *f = *state;
    fix_two_schedules(f);
    encode(f);
    for (size_t which = 0; which < f->n_chunks; which++) {
        size_t len = f->chunks[which].len;
        for (size_t at = 0; at < len; at++) {
            for (unsigned flip = 1; flip < 256; flip++) {
                uint8_t *copy = exact_copy(f->chunks[which].base, len);
                copy[at] ^= (uint8_t)flip;
                struct lock_table table = {0};
                enum error error = decode_with(f, &table, which, (struct slice){.base = copy, .len = len});
                assert_true(error == ERROR_NONE || error == ERROR_CORRUPT || error == ERROR_VERSION);
                assert_true(table.taken <= f->frozen.count);
                free(copy);
            }
        }
    }
}

static void chunks_out_of_order_missing_or_twice_are_refused(void **state)
{
    struct fixture *f = *state;
    fix_two_schedules(f);
    encode(f);
    struct slice first = buffer_slice(&f->chunks[0]);
    struct slice second = buffer_slice(&f->chunks[1]);
    struct lock_table table = {0};
    assert_int_equal(decode_with(f, &table, 0, second), ERROR_CORRUPT);
    assert_int_equal(decode_with(f, &table, 1, first), ERROR_CORRUPT);
    assert_int_equal(decode_with(f, &table, 0, slice_of("")), ERROR_CORRUPT);
    assert_int_equal(decode_with(f, &table, 1, slice_of("")), ERROR_CORRUPT);
    assert_int_equal(table.taken, 0);
    f->n_chunks = 1;
    assert_int_equal(decode(f, &table), ERROR_CORRUPT);
    f->n_chunks = 0;
    assert_int_equal(decode(f, &table), ERROR_CORRUPT);
    f->n_chunks = 3;
    buffer_append_slice(&f->chunks[2], second);
    assert_int_equal(decode(f, &table), ERROR_CORRUPT);
    assert_int_equal(table.taken, 2);
}

static void a_chunk_over_its_bound_is_refused_unread(void **state)
{
    struct fixture *f = *state;
    encode(f);
    struct lock_table table = {0};
    struct slice nowhere = {.base = (const uint8_t *)"", .len = LIMIT_SNAPSHOT_CHUNK_BYTES + 1};
    assert_int_equal(decode_with(f, &table, 0, nowhere), ERROR_CORRUPT);
}

/* The table of `encode` with a field appended or a number changed, as a later build might write it. */
static enum error decode_table(struct fixture *f, size_t at, uint8_t value, const char *more, size_t more_len)
{
    encode(f);
    struct buffer chunk;
    buffer_init(&chunk);
    buffer_append_slice(&chunk, buffer_slice(&f->chunks[0]));
    buffer_append(&chunk, more, more_len);
    if (at > 0) {
        chunk.base[at] = value;
    }
    struct lock_table table = {0};
    enum error error = decode_with(f, &table, 0, buffer_slice(&chunk));
    buffer_close(&chunk);
    return error;
}

static void what_this_build_does_not_know_is_another_version(void **state)
{
    struct fixture *f = *state;
    const size_t format = 3; /* tag and length of the table, tag of its first field */
    const size_t rules = 5;
    assert_int_equal(decode_table(f, 0, 0, "", 0), ERROR_NONE);
    assert_int_equal(decode_table(f, format, 2, "", 0), ERROR_VERSION);
    assert_int_equal(decode_table(f, format, 0, "", 0), ERROR_CORRUPT);
    assert_int_equal(decode_table(f, rules, RULES_VERSION_NEWEST + 1, "", 0), ERROR_VERSION);
    assert_int_equal(decode_table(f, 0, 0, "\x1a\0", 2), ERROR_VERSION);
    fix_two_schedules(f);
    encode(f);
    struct lock_table table = {0};
    /* A schedule with a list that is new. */
    assert_int_equal(
        decode_with(f, &table, 1,
                    (struct slice){.base = (const uint8_t *)"\x12\x09\x0a\1a\x18\0\x20\0\x42\0", .len = 11}),
        ERROR_VERSION);
    assert_int_equal(table.taken, 0);
}

/* Each string in turn is one that no request could have brought. */
static void a_string_that_breaks_the_rules_of_the_contract_is_refused(void **state)
{
    struct fixture *f = *state;
    for (int which = 0; which < 9; which++) {
        fix_two_schedules(f);
        struct schedule_image *schedule = (struct schedule_image *)&f->frozen.schedules[1];
        struct run_image *run = (struct run_image *)&schedule->runs[0];
        struct slice *strings[] = {&run->holder,
                                   &run->occurrence,
                                   &run->idempotency_key,
                                   &run->actor,
                                   &run->reason,
                                   &schedule->id,
                                   (struct slice *)&schedule->occurrences[0].name,
                                   (struct slice *)&schedule->grants[0].metadata};
        if (which < 8) {
            *strings[which] = slice_of("{\xff }");
        }
        encode(f);
        struct lock_table table = {0};
        assert_int_equal(decode(f, &table), which < 8 ? ERROR_CORRUPT : ERROR_NONE);
        assert_int_equal(table.taken, which < 8 ? 1 : 2);
    }
}

static void a_schedule_that_the_table_refuses_ends_the_load(void **state)
{
    struct fixture *f = *state;
    fix_two_schedules(f);
    encode(f);
    struct lock_table table = {.answer = ERROR_CORRUPT};
    assert_int_equal(decode(f, &table), ERROR_CORRUPT);
    assert_int_equal(table.taken, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(encoding_gives_the_golden_chunks_and_they_decode_to_the_same),
        TEST(an_empty_table_is_one_chunk),
        TEST(the_longest_schedules_fill_chunks_and_none_is_split),
        TEST(the_shortest_schedules_fit_the_memory_of_a_chunk),
        TEST(every_truncation_is_refused),
        TEST(every_altered_byte_is_refused_or_loads_within_bounds),
        TEST(chunks_out_of_order_missing_or_twice_are_refused),
        TEST(a_chunk_over_its_bound_is_refused_unread),
        TEST(what_this_build_does_not_know_is_another_version),
        TEST(a_string_that_breaks_the_rules_of_the_contract_is_refused),
        TEST(a_schedule_that_the_table_refuses_ends_the_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
