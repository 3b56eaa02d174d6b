/* The log entry: its bytes are those of the golden file, nothing that isn't one is taken, and an older build says that it
 * is too old rather than misread a newer one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/entry.h"
#include "core/rules.h"
#include "sample.h"

#define ARENA_FACTOR 64u

static enum error decode(struct slice bytes, struct arena *arena, struct entry *entry)
{
    struct error_text text;
    memset(&text, 0, sizeof text);
    arena_close(arena);
    arena_init(arena, ARENA_FACTOR * bytes.len);
    enum error error = entry_decode(bytes, arena, entry, &text);
    assert_true(error == ERROR_NONE || error == ERROR_INVALID || error == ERROR_VERSION);
    assert_int_equal(text.text[0] != 0, error != ERROR_NONE);
    return error;
}

struct fixture {
    struct arena sample_arena;
    struct arena arena;
    struct buffer bytes;
    const char *golden; /* the name of the sample */
    struct entry sample;
    struct entry entry;
};

static struct fixture *fixture_make(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->sample_arena, 0);
    arena_init(&f->arena, 1);
    buffer_init(&f->bytes);
    return f;
}

static int setup(void **state)
{
    struct fixture *f = fixture_make();
    f->golden = "entry";
    sample_entry(&f->sample_arena, &f->sample);
    entry_encode(&f->sample, &f->bytes);
    *state = f;
    return 0;
}

static int setup_newer(void **state)
{
    struct fixture *f = fixture_make();
    f->golden = "entry_newer";
    sample_newer_entry(&f->sample_arena, &f->sample);
    entry_encode(&f->sample, &f->bytes);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_close(&f->sample_arena);
    arena_close(&f->arena);
    buffer_close(&f->bytes);
    free(f);
    return 0;
}

static void encoding_gives_the_golden_bytes_and_they_decode_to_the_same(void **state)
{
    struct fixture *f = *state;
    assert_golden(f->golden, buffer_slice(&f->bytes));
    assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_NONE);
    assert_entry_equal(&f->sample, &f->entry);
}

static void encoding_appends_and_pads_to_eight_bytes(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_append(&bytes, "abc", 3);
    entry_encode(&f->sample, &bytes);
    assert_int_equal(bytes.len, f->bytes.len + 3);
    assert_int_equal(f->bytes.len % 8, 0);
    assert_memory_equal(bytes.base, "abc", 3);
    assert_memory_equal(bytes.base + 3, f->bytes.base, f->bytes.len);
    buffer_close(&bytes);
}

static void every_truncation_is_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t len = 0; len < f->bytes.len; len++) {
        uint8_t *copy = exact_copy(f->bytes.base, len);
        assert_int_equal(decode((struct slice){.base = copy, .len = len}, &f->arena, &f->entry), ERROR_INVALID);
        free(copy);
    }
}

/* Not even those that leave the padding whole: a body cut short whose length field was cut with it. */
static void every_truncation_of_the_body_is_refused_or_loses_whole_commands(void **state)
{
    struct fixture *f = *state;
    size_t body = bytes_get_u32(f->bytes.base + 8);
    unsigned taken = 0;
    for (size_t len = 0; len < body; len++) {
        size_t total = (16 + len + 7) / 8 * 8;
        uint8_t *copy = exact_copy(f->bytes.base, total);
        memset(copy + 16 + len, 0, total - 16 - len);
        bytes_put_u32(copy + 8, (uint32_t)len);
        if (decode((struct slice){.base = copy, .len = total}, &f->arena, &f->entry) == ERROR_NONE) {
            taken++;
            assert_true(f->entry.n_commands < f->sample.n_commands);
            for (size_t i = 0; i < f->entry.n_commands; i++) {
                assert_command_equal(&f->entry.commands[i], &f->sample.commands[i]);
            }
        }
        free(copy);
    }
    assert_int_equal(taken, f->sample.n_commands); /* after the header, and between two commands */
}

/* What is taken keeps to the rules: encoding it again aborts otherwise. */
static void every_altered_byte_is_refused_or_decodes_within_bounds(void **state)
{
    struct fixture *f = *state;
    struct buffer again;
    buffer_init(&again);
    unsigned refused = 0;
    for (size_t at = 0; at < f->bytes.len; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            uint8_t *copy = exact_copy(f->bytes.base, f->bytes.len);
            copy[at] ^= (uint8_t)flip;
            if (decode((struct slice){.base = copy, .len = f->bytes.len}, &f->arena, &f->entry) != ERROR_NONE) {
                refused++;
            } else {
                buffer_clear(&again);
                entry_encode(&f->entry, &again);
            }
            free(copy);
        }
    }
    assert_true(refused > 0);
    buffer_close(&again);
}

static uint32_t rules_needed(const struct entry *entry)
{
    uint32_t needed = RULES_VERSION_FIRST;
    for (size_t i = 0; i < entry->n_commands; i++) {
        uint32_t more = rules_version_needed(&entry->commands[i]);
        needed = more > needed ? more : needed;
    }
    return needed;
}

static void random_entries_come_back_and_are_never_longer_than_their_parts_say(void **state)
{
    struct fixture *f = *state;
    struct sample_random random = {.state = 1};
    for (unsigned round = 0; round < 300; round++) {
        arena_clear(&f->sample_arena);
        size_t n = sample_below(&random, 40);
        struct command *commands = arena_alloc(&f->sample_arena, n * sizeof *commands);
        size_t bound = entry_overhead();
        for (size_t i = 0; i < n; i++) {
            sample_command(&random, &f->sample_arena, &commands[i]);
            bound += entry_command_size(&commands[i]);
        }
        if (bound > LIMIT_ENTRY_BYTES) {
            continue;
        }
        struct entry entry = {.batch = sample_next(&random), .commands = commands, .n_commands = n};
        entry.now_ms = sample_next(&random);
        entry.wall_ms = (int64_t)sample_next(&random);
        entry.no_growth = sample_below(&random, 2) == 1;
        entry.rules_version = rules_needed(&entry);
        buffer_clear(&f->bytes);
        entry_encode(&entry, &f->bytes);
        assert_true(f->bytes.len <= bound && f->bytes.len + 12 >= bound);
        assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_NONE);
        assert_entry_equal(&entry, &f->entry);
    }
}

static void fill_to_the_limit(struct fixture *f, const struct command *command)
{
    size_t size = entry_command_size(command);
    size_t n = (LIMIT_ENTRY_BYTES - entry_overhead()) / size;
    struct command *commands = calloc(n, sizeof *commands);
    assert_non_null(commands);
    for (size_t i = 0; i < n; i++) {
        commands[i] = *command;
    }
    struct entry entry = {.no_growth = true, .commands = commands, .n_commands = n};
    entry.rules_version = rules_needed(&entry);
    buffer_clear(&f->bytes);
    entry_encode(&entry, &f->bytes);
    assert_true(f->bytes.len <= LIMIT_ENTRY_BYTES);
    assert_true(f->bytes.len + size + 8 > LIMIT_ENTRY_BYTES);
    assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_NONE);
    assert_int_equal(f->entry.n_commands, n);
    free(commands);
}

static void an_entry_filled_by_its_sizes_fits_its_bound_and_64_times_its_memory(void **state)
{
    struct fixture *f = *state;
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_NOOP});
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_RULES, .rules = {.version = 1}});
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_DELETE_SCHEDULE, .delete_schedule = {slice_of("a")}});
    struct put_schedule_command put = {.schedule_id = slice_of("a"),
                                       .policy = {.max_ttl_ms = 1, .slots = 1, .max_attempts = 1}};
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_PUT_SCHEDULE, .put_schedule = put});
    struct revoke_command revoke = {.schedule_id = slice_of("a"), .actor = slice_of("b"), .reason = slice_of("c")};
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_REVOKE, .revoke = revoke});
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_RENEW, .renew = {.schedule_id = slice_of("a")}});
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_RELEASE, .release = {.schedule_id = slice_of("a")}});
    struct acquire_command shortest = {
        .schedule_id = slice_of("a"), .holder = slice_of("b"), .idempotency_key = slice_of("c")};
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_ACQUIRE, .acquire = shortest});
    struct command longest;
    sample_longest_command(&f->sample_arena, &longest);
    fill_to_the_limit(f, &longest);
}

static void an_entry_filled_with_what_rules_2_added_fits_them_as_well(void **state)
{
    struct fixture *f = *state;
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("a")}});
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_DELETE_GROUP, .delete_group = {slice_of("a")}});
    const struct put_freeze_command put = {
        .scope = slice_of("*"), .actor = slice_of("b"), .reason = slice_of("c"), .ttl_ms = 1};
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_PUT_FREEZE, .put_freeze = put});
    fill_to_the_limit(f, &(struct command){.kind = COMMAND_DELETE_FREEZE, .delete_freeze = {slice_of("*")}});
    const struct renew_command shortest = {.schedule_id = slice_of("a")};
    struct command batch = {.kind = COMMAND_RENEW_BATCH, .renew_batch = {.renewals = &shortest, .n_renewals = 1}};
    fill_to_the_limit(f, &batch);
    struct renew_command renewals[LIMIT_RENEWALS];
    for (size_t i = 0; i < LIMIT_RENEWALS; i++) {
        renewals[i] = (struct renew_command){.schedule_id = slice_of("a"), .token = i};
    }
    batch.renew_batch = (struct renew_batch_command){.renewals = renewals, .n_renewals = LIMIT_RENEWALS};
    fill_to_the_limit(f, &batch);
}

static void the_longest_batch_of_renewals_fits_an_entry(void **state)
{
    struct fixture *f = *state;
    struct command batch;
    sample_longest_batch(&f->sample_arena, LIMIT_RENEWALS, &batch);
    assert_in_range(entry_overhead() + entry_command_size(&batch), LIMIT_ENTRY_BYTES / 2, LIMIT_ENTRY_BYTES);
    fill_to_the_limit(f, &batch);
    assert_int_equal(f->entry.n_commands, 1);
    assert_command_equal(&f->entry.commands[0], &batch);
}

static void encode_entry(void *arg)
{
    struct buffer bytes;
    buffer_init(&bytes);
    entry_encode(arg, &bytes);
    buffer_close(&bytes);
}

static void an_entry_over_its_bound_aborts_its_proposer(void **state)
{
    struct fixture *f = *state;
    struct command command;
    sample_longest_command(&f->sample_arena, &command);
    size_t n = LIMIT_ENTRY_BYTES / entry_command_size(&command) + 1;
    struct command *commands = arena_alloc(&f->sample_arena, n * sizeof *commands);
    for (size_t i = 0; i < n; i++) {
        commands[i] = command;
    }
    assert_true(aborts(encode_entry, &(struct entry){.rules_version = 1, .commands = commands, .n_commands = n}));
    assert_false(aborts(encode_entry, &(struct entry){.rules_version = 1, .commands = commands, .n_commands = n - 1}));
}

static void a_memory_bound_that_is_too_small_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error_text text;
    for (size_t limit = 1; limit < 4096; limit += 8) {
        struct arena arena;
        arena_init(&arena, limit);
        enum error error = entry_decode(buffer_slice(&f->bytes), &arena, &f->entry, &text);
        assert_true(error == ERROR_INVALID || (error == ERROR_NONE && limit > 512));
        arena_close(&arena);
    }
}

/* ---- versions ---- */

/* An entry with an empty header's place taken by `body`, as a later build might write it. */
static enum error decode_body(struct fixture *f, const char *body, size_t len)
{
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_append(&bytes, "BTNE\1\0\0\0", 8);
    bytes_put_u32(buffer_extend(&bytes, 4), (uint32_t)len);
    bytes_put_u32(buffer_extend(&bytes, 4), rules_version_newest());
    buffer_append(&bytes, body, len);
    size_t padding = (8 - len % 8) % 8;
    memset(buffer_extend(&bytes, padding), 0, padding);
    enum error error = decode(buffer_slice(&bytes), &f->arena, &f->entry);
    buffer_close(&bytes);
    return error;
}

/* run id, batch, now, wall */
#define HEADER_FIELDS                                                                                                  \
    "\x0a\x10"                                                                                                         \
    "0123456789abcdef"                                                                                                 \
    "\x11"                                                                                                             \
    "\1\0\0\0\0\0\0\0"                                                                                                 \
    "\x19"                                                                                                             \
    "\2\0\0\0\0\0\0\0"                                                                                                 \
    "\x21"                                                                                                             \
    "\3\0\0\0\0\0\0\0"
#define HEADER          "\x0a\x2d" HEADER_FIELDS
#define DECODE(f, body) decode_body(f, body, sizeof(body) - 1)

static void what_this_build_does_not_know_is_another_version(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(DECODE(f, HEADER), ERROR_NONE);
    assert_int_equal(DECODE(f, HEADER "\x12\2\x08\1"), ERROR_NONE);                /* a no-op */
    assert_int_equal(DECODE(f, HEADER "\x12\2\x7a\0"), ERROR_VERSION);             /* command kind 15 */
    assert_int_equal(DECODE(f, HEADER "\x12\4\x12\2\x08\1"), ERROR_NONE);          /* leader */
    assert_int_equal(DECODE(f, HEADER "\x12\6\x12\4\x08\1\x10\1"), ERROR_VERSION); /* with a new field */
    assert_int_equal(DECODE(f, HEADER "\x12\4\x08\1\x78\1"), ERROR_VERSION);       /* a new field beside the kind */
    assert_int_equal(DECODE(f, HEADER "\x1a\0"), ERROR_VERSION);                   /* a new list in the entry */
    assert_int_equal(DECODE(f, "\x0a\x2f" HEADER_FIELDS "\x30\1"), ERROR_VERSION); /* a new field in the header */
}

static void newer_formats_and_rules_are_another_version(void **state)
{
    struct fixture *f = *state;
    bytes_put_u16(f->bytes.base + 4, 2);
    assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_VERSION);
    bytes_put_u16(f->bytes.base + 4, 1);
    bytes_put_u32(f->bytes.base + 12, rules_version_newest() + 1);
    assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_VERSION);
}

static void a_command_that_raises_the_rules_beyond_this_build_is_another_version(void **state)
{
    struct fixture *f = *state;
    assert_true(rules_version_newest() < 0x7f);
    char body[] = HEADER "\x12\4\x32\2\x08?";
    char *version = &body[sizeof body - 2];
    *version = (char)rules_version_newest();
    assert_int_equal(DECODE(f, body), ERROR_NONE);
    assert_int_equal(f->entry.commands[0].rules.version, rules_version_newest());
    *version = (char)(rules_version_newest() + 1);
    assert_int_equal(DECODE(f, body), ERROR_VERSION);
    *version = 0;
    assert_int_equal(DECODE(f, body), ERROR_INVALID);
    struct command command = {.kind = COMMAND_RULES, .rules = {.version = rules_version_newest() + 1}};
    struct entry entry = {.rules_version = rules_version_newest(), .commands = &command, .n_commands = 1};
    assert_true(aborts(encode_entry, &entry));
    command.rules.version--;
    assert_false(aborts(encode_entry, &entry));
    command.rules.version = 0;
    assert_true(aborts(encode_entry, &entry));
}

/* So that what an entry says of itself is enough to know whether a build can apply it. */
static void an_entry_says_rules_that_are_enough_for_its_commands(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->sample.n_commands; i++) {
        uint32_t needed = rules_version_needed(&f->sample.commands[i]);
        struct entry entry = {.rules_version = needed, .commands = &f->sample.commands[i], .n_commands = 1};
        assert_in_range(needed, 1, rules_version_newest());
        buffer_clear(&f->bytes);
        entry_encode(&entry, &f->bytes);
        assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_NONE);
        bytes_put_u32(f->bytes.base + 12, needed - 1);
        assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_INVALID);
        entry.rules_version--;
        assert_true(aborts(encode_entry, &entry));
    }
}

static void garbage_is_invalid_and_not_another_version(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(DECODE(f, ""), ERROR_INVALID);                    /* no header */
    assert_int_equal(DECODE(f, "\x0a\0"), ERROR_INVALID);              /* an empty one */
    assert_int_equal(DECODE(f, HEADER "\x12\0"), ERROR_INVALID);       /* a command without a kind */
    assert_int_equal(DECODE(f, HEADER "\x12\2\x08\0"), ERROR_INVALID); /* a no-op that is none */
    assert_int_equal(DECODE(f, HEADER "\x12\x7f"), ERROR_INVALID);     /* a length beyond the end */
    assert_int_equal(DECODE(f, HEADER "\x12\xff\xff\xff\xff\x0f"), ERROR_INVALID);
    assert_int_equal(DECODE(f, "\x0a\x2e\x0a\x11"
                               "0123456789abcdefg"
                               "\x11"
                               "\1\0\0\0\0\0\0\0"
                               "\x19"
                               "\2\0\0\0\0\0\0\0"
                               "\x21"
                               "\3\0\0\0\0\0\0\0"),
                     ERROR_INVALID); /* a run id of 17 bytes */
    memset(f->bytes.base, 0, f->bytes.len);
    assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_INVALID);
    memset(f->bytes.base, 0xff, f->bytes.len);
    assert_int_equal(decode(buffer_slice(&f->bytes), &f->arena, &f->entry), ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_NEWER(name) cmocka_unit_test_setup_teardown(name, setup_newer, teardown)
        TEST(encoding_gives_the_golden_bytes_and_they_decode_to_the_same),
        TEST_NEWER(encoding_gives_the_golden_bytes_and_they_decode_to_the_same),
        TEST(encoding_appends_and_pads_to_eight_bytes),
        TEST(every_truncation_is_refused),
        TEST_NEWER(every_truncation_is_refused),
        TEST(every_truncation_of_the_body_is_refused_or_loses_whole_commands),
        TEST_NEWER(every_truncation_of_the_body_is_refused_or_loses_whole_commands),
        TEST(every_altered_byte_is_refused_or_decodes_within_bounds),
        TEST_NEWER(every_altered_byte_is_refused_or_decodes_within_bounds),
        TEST(random_entries_come_back_and_are_never_longer_than_their_parts_say),
        TEST(an_entry_filled_by_its_sizes_fits_its_bound_and_64_times_its_memory),
        TEST(an_entry_filled_with_what_rules_2_added_fits_them_as_well),
        TEST(the_longest_batch_of_renewals_fits_an_entry),
        TEST(an_entry_over_its_bound_aborts_its_proposer),
        TEST(a_memory_bound_that_is_too_small_is_refused),
        TEST_NEWER(a_memory_bound_that_is_too_small_is_refused),
        TEST(what_this_build_does_not_know_is_another_version),
        TEST(newer_formats_and_rules_are_another_version),
        TEST(a_command_that_raises_the_rules_beyond_this_build_is_another_version),
        TEST(an_entry_says_rules_that_are_enough_for_its_commands),
        TEST_NEWER(an_entry_says_rules_that_are_enough_for_its_commands),
        TEST(garbage_is_invalid_and_not_another_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
