/* Frames: every kind has its golden bytes, comes back as it was, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "fixture.h"

/* A body as another sender might write it. */
static bool decode_text(struct fixture *f, enum frame_kind kind, const char *text, size_t len)
{
    uint8_t *copy = exact_copy((const uint8_t *)text, len);
    bool taken = fixture_decode(f, kind, (struct slice){.base = copy, .len = len});
    free(copy);
    return taken;
}
#define DECODE(f, kind, text) decode_text(f, kind, text, sizeof(text) - 1)

static void every_kind_has_a_sample_a_name_and_a_bound(void **state)
{
    struct fixture *f = *state;
    bool seen[FRAME_KINDS] = {false};
    for (size_t i = 0; i < f->n_samples; i++) {
        seen[f->samples[i].frame.kind] = true;
    }
    for (unsigned kind = FRAME_HELLO; kind < FRAME_KINDS; kind++) {
        assert_true(seen[kind]);
        assert_true(frame_limit(kind) > 0);
        assert_string_not_equal(frame_kind_name((enum frame_kind)kind), "unknown");
    }
    assert_int_equal(frame_limit(0), 0);
    assert_int_equal(frame_limit(FRAME_KINDS), 0);
    assert_int_equal(frame_limit(UINT32_MAX), 0);
    assert_string_equal(frame_kind_name((enum frame_kind)FRAME_KINDS), "unknown");
    assert_false(fixture_decode(f, (enum frame_kind)0, slice_of("")));
    assert_false(fixture_decode(f, FRAME_KINDS, slice_of("")));
}

static void encoding_gives_the_golden_bytes_and_they_decode_to_the_same(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_samples; i++) {
        const struct sample_frame *sample = &f->samples[i];
        buffer_clear(&f->body);
        frame_encode(&sample->frame, &f->body);
        assert_golden(sample->name, buffer_slice(&f->body));
        assert_true(fixture_decode(f, sample->frame.kind, buffer_slice(&f->body)));
        assert_frame_equal(&sample->frame, &f->frame);
    }
}

/* Where the body may end besides its end. A list whose last items are cut off whole is still a list: that the frame ends
 * where it does is what the length and the checksum before it say. */
static size_t count_ends(const struct frame *sample)
{
    switch (sample->kind) {
    case FRAME_OPERATIONS:
        return sample->operations.n_operations;
    case FRAME_OUTCOMES:
        return sample->outcomes.n_results;
    case FRAME_FOUNDING_ANSWER:
        return sample->founding_answer.n_founders > 0 ? sample->founding_answer.n_founders - 1 : 0;
    case FRAME_READ_INDEX:
        return sample->read_index.n_waiting_of;
    case FRAME_READ_INDEX_RESULT: /* all counts in one field */
        return sample->read_index_result.n_waiting > 0;
    case FRAME_SNAPSHOT_CHUNK: /* raw bytes come last */
        return sample->snapshot_chunk.bytes.len;
    default:
        return 0;
    }
}

static void every_truncation_is_refused_or_ends_between_two_items(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_samples; i++) {
        const struct frame *sample = &f->samples[i].frame;
        buffer_clear(&f->body);
        frame_encode(sample, &f->body);
        size_t taken = 0;
        for (size_t len = 0; len < f->body.len; len++) {
            uint8_t *copy = exact_copy(f->body.base, len);
            bool decoded = fixture_decode(f, sample->kind, (struct slice){.base = copy, .len = len});
            taken += decoded;
            if (decoded && sample->kind == FRAME_OPERATIONS) {
                assert_true(f->frame.operations.n_operations < sample->operations.n_operations);
            }
            free(copy);
        }
        assert_int_equal(taken, count_ends(sample));
    }
}

/* What is taken keeps to the rules (encoding it again aborts otherwise) and comes back the same. */
static void alter_every_byte(struct fixture *f, const struct frame *sample)
{
    struct buffer again;
    buffer_init(&again);
    struct arena second_arena;
    arena_init(&second_arena, 0);
    buffer_clear(&f->body);
    frame_encode(sample, &f->body);
    for (size_t at = 0; at < f->body.len; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            uint8_t *copy = exact_copy(f->body.base, f->body.len);
            copy[at] ^= (uint8_t)flip;
            if (fixture_decode(f, sample->kind, (struct slice){.base = copy, .len = f->body.len})) {
                struct frame second;
                buffer_clear(&again);
                arena_clear(&second_arena);
                frame_encode(&f->frame, &again);
                assert_int_equal(frame_decode(sample->kind, buffer_slice(&again), &second_arena, &second, NULL),
                                 ERROR_NONE);
                assert_frame_equal(&f->frame, &second);
            }
            free(copy);
        }
    }
    arena_close(&second_arena);
    buffer_close(&again);
}

static void every_altered_byte_is_refused_or_decodes_within_bounds(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_samples; i++) {
        alter_every_byte(f, &f->samples[i].frame);
    }
}

static void random_bytes_are_refused_or_decode_within_bounds(void **state)
{
    struct fixture *f = *state;
    struct sample_random random = {.state = 4};
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t len = sample_below(&random, sizeof bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)sample_next(&random);
        }
        enum frame_kind kind = (enum frame_kind)(FRAME_HELLO + sample_below(&random, FRAME_KINDS - FRAME_HELLO));
        if (decode_text(f, kind, (const char *)bytes, len)) {
            struct buffer again;
            buffer_init(&again);
            frame_encode(&f->frame, &again);
            buffer_close(&again);
        }
    }
}

static void a_field_that_is_not_known_ends_every_frame_but_the_hello(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_samples; i++) {
        const struct frame *sample = &f->samples[i].frame;
        buffer_clear(&f->body);
        frame_encode(sample, &f->body);
        buffer_append(&f->body, "\xf8\x07\1", 3); /* field 127 = 1 */
        if (sample->kind == FRAME_SNAPSHOT_CHUNK) {
            continue; /* that is three bytes more of the chunk */
        }
        assert_int_equal(fixture_decode(f, sample->kind, buffer_slice(&f->body)), sample->kind == FRAME_HELLO);
    }
}

/* ---- hostile numbers ---- */

static void lengths_of_ids_and_counts_are_checked(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, FRAME_READ_INDEX,
                       "\x0a\x10"
                       "0123456789abcdef"
                       "\x11"
                       "\1\0\0\0\0\0\0\0"));
    assert_false(DECODE(f, FRAME_READ_INDEX,
                        "\x0a\x0f"
                        "0123456789abcde"
                        "\x11"
                        "\1\0\0\0\0\0\0\0"));
    assert_false(DECODE(f, FRAME_READ_INDEX,
                        "\x0a\x11"
                        "0123456789abcdefg"
                        "\x11"
                        "\1\0\0\0\0\0\0\0"));
    assert_false(DECODE(f, FRAME_READ_INDEX,
                        "\x0a\0"
                        "\x11"
                        "\1\0\0\0\0\0\0\0"));
    assert_false(DECODE(f, FRAME_READ_INDEX,
                        "\x0a\x10"
                        "0123456789abcdef"));
    assert_false(DECODE(f, FRAME_PROOF, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"));
    assert_false(DECODE(f, FRAME_APPEND_ENTRIES, "\xff\xff\xff\xff"));
    assert_false(DECODE(f, FRAME_APPEND_ENTRIES, "\1\0\0\0"));
    assert_false(DECODE(f, FRAME_APPEND_ENTRIES, ""));
    assert_false(DECODE(f, FRAME_SNAPSHOT_CHUNK,
                        "\xff\xff\xff\x7f"
                        "abc"));
}

/* The body of `append` with one number of its only entry changed in place. */
static bool decode_log_entry(struct fixture *f, uint32_t type, uint32_t stated, size_t present)
{
    uint8_t payload[64] = {0};
    struct frame_log_entry entry = {.term = 1, .type = 1, .data = {.base = payload, .len = 8}};
    struct frame frame = {.kind = FRAME_APPEND_ENTRIES, .append_entries = {.entries = &entry, .n_entries = 1}};
    buffer_clear(&f->body);
    frame_encode(&frame, &f->body);
    f->body.len -= 8;
    assert_int_equal(f->body.base[f->body.len - 3], 1); /* type, and after its tag the length */
    f->body.base[f->body.len - 3] = (uint8_t)type;
    f->body.base[f->body.len - 1] = (uint8_t)stated;
    buffer_append(&f->body, payload, present);
    return fixture_decode(f, FRAME_APPEND_ENTRIES, buffer_slice(&f->body));
}

static void log_entries_must_be_whole_aligned_and_of_a_known_type(void **state)
{
    struct fixture *f = *state;
    assert_true(decode_log_entry(f, 1, 8, 8));
    assert_true(decode_log_entry(f, 3, 16, 16));
    assert_false(decode_log_entry(f, 0, 8, 8));
    assert_false(decode_log_entry(f, 4, 8, 8));
    assert_false(decode_log_entry(f, 1, 0, 0));
    assert_false(decode_log_entry(f, 1, 7, 7));
    assert_false(decode_log_entry(f, 1, 16, 8));
    assert_false(decode_log_entry(f, 1, 8, 16));
}

static void encode_frame(void *arg)
{
    struct buffer body;
    buffer_init(&body);
    frame_encode(arg, &body);
    buffer_close(&body);
}

static void more_log_entries_than_the_limit_abort_the_sender_and_are_refused(void **state)
{
    struct fixture *f = *state;
    struct frame_log_entry entries[LIMIT_APPEND_ENTRIES + 1];
    for (size_t i = 0; i <= LIMIT_APPEND_ENTRIES; i++) {
        entries[i] = (struct frame_log_entry){.type = 1, .data = slice_of("12345678")};
    }
    struct frame frame = {.kind = FRAME_APPEND_ENTRIES, .append_entries = {.entries = entries}};
    frame.append_entries.n_entries = LIMIT_APPEND_ENTRIES;
    frame_encode(&frame, &f->body);
    assert_true(fixture_decode(f, FRAME_APPEND_ENTRIES, buffer_slice(&f->body)));
    /* One more, by hand: its message behind the others, its bytes at the end. */
    uint32_t len = bytes_get_u32(f->body.base);
    struct buffer more;
    buffer_init(&more);
    bytes_put_u32(buffer_extend(&more, 4), len + 15);
    buffer_append(&more, f->body.base + 4, len);
    buffer_append(&more, "\x2a\x0d\x09\0\0\0\0\0\0\0\0\x10\1\x18\x08", 15);
    buffer_append(&more, f->body.base + 4 + len, f->body.len - 4 - len);
    buffer_append(&more, "12345678", 8);
    assert_false(fixture_decode(f, FRAME_APPEND_ENTRIES, buffer_slice(&more)));
    buffer_close(&more);
    frame.append_entries.n_entries = LIMIT_APPEND_ENTRIES + 1;
    assert_true(aborts(encode_frame, &frame));
}

static void a_message_of_many_small_log_entries_is_refused_before_it_takes_memory(void **state)
{
    struct fixture *f = *state;
    const uint32_t len = 1u << 20;
    bytes_put_u32(buffer_extend(&f->body, 4), len);
    for (uint32_t i = 0; i < len; i += 2) {
        buffer_append(&f->body, "\x2a\0", 2);
    }
    assert_false(fixture_decode(f, FRAME_APPEND_ENTRIES, buffer_slice(&f->body)));
    assert_int_equal(f->arena.used, 0);
}

static void an_append_entries_full_of_the_longest_entries_fits_and_is_not_copied(void **state)
{
    struct fixture *f = *state;
    struct slice data = sample_long(&f->sample_arena, LIMIT_ENTRY_BYTES);
    struct frame_log_entry entries[LIMIT_APPEND_ENTRIES];
    for (size_t i = 0; i < LIMIT_APPEND_ENTRIES; i++) {
        entries[i] = (struct frame_log_entry){.term = UINT64_MAX, .type = 1, .data = data};
    }
    struct frame frame = {.kind = FRAME_APPEND_ENTRIES,
                          .append_entries = {.entries = entries, .n_entries = LIMIT_APPEND_ENTRIES}};
    frame_encode(&frame, &f->body);
    arena_close(&f->arena);
    arena_init(&f->arena, 16384);
    assert_int_equal(frame_decode(FRAME_APPEND_ENTRIES, buffer_slice(&f->body), &f->arena, &f->frame, NULL),
                     ERROR_NONE);
    assert_frame_equal(&frame, &f->frame);
    const uint8_t *first = f->frame.append_entries.entries[0].data.base;
    assert_true(first > f->body.base && first < f->body.base + f->body.len);
}

static void the_longest_chunk_configuration_and_founding_answer_fit(void **state)
{
    struct fixture *f = *state;
    struct frame frame = {.kind = FRAME_SNAPSHOT_CHUNK};
    frame.snapshot_chunk.bytes = sample_long(&f->sample_arena, LIMIT_SNAPSHOT_CHUNK_BYTES);
    frame_encode(&frame, &f->body);
    assert_true(fixture_decode(f, frame.kind, buffer_slice(&f->body)));
    buffer_append(&f->body, "x", 1);
    assert_false(fixture_decode(f, frame.kind, buffer_slice(&f->body)));

    frame = (struct frame){.kind = FRAME_INSTALL_SNAPSHOT};
    frame.install_snapshot.configuration = sample_long(&f->sample_arena, LIMIT_CONFIGURATION_BYTES);
    buffer_clear(&f->body);
    frame_encode(&frame, &f->body);
    assert_true(fixture_decode(f, frame.kind, buffer_slice(&f->body)));

    struct frame_member founders[LIMIT_MEMBERS] = {0};
    for (size_t i = 0; i < LIMIT_MEMBERS; i++) {
        founders[i].name = sample_long(&f->sample_arena, LIMIT_NAME_BYTES);
    }
    frame = (struct frame){.kind = FRAME_FOUNDING_ANSWER};
    frame.founding_answer.spec = sample_long(&f->sample_arena, LIMIT_SPEC_BYTES);
    frame.founding_answer.name = sample_long(&f->sample_arena, LIMIT_NAME_BYTES);
    frame.founding_answer.state = FOUNDING_LIST;
    frame.founding_answer.founders = founders;
    frame.founding_answer.n_founders = LIMIT_MEMBERS;
    buffer_clear(&f->body);
    frame_encode(&frame, &f->body);
    assert_true(fixture_decode(f, frame.kind, buffer_slice(&f->body)));
    assert_frame_equal(&frame, &f->frame);
}

/* As a sender without our bounds would write it: `text`, all of `body`'s that is as long, has one byte more. */
static void lengthen(struct buffer *body, size_t len)
{
    uint8_t length[3] = {(uint8_t)(len | 0x80), (uint8_t)(len >> 7 | 0x80), (uint8_t)(len >> 14)};
    const size_t n = len >> 14 == 0 ? 2 : 3;
    length[1] = n == 2 ? (uint8_t)(len >> 7) : length[1];
    uint8_t *at = memmem(body->base, body->len, length, n);
    assert_non_null(at);
    size_t before = (size_t)(at - body->base) + n;
    (void)buffer_extend(body, 1);
    at = body->base + before;
    memmove(at + 1, at, body->len - 1 - before);
    at[-(ptrdiff_t)n]++; /* the bounds are even */
}

static void texts_one_byte_too_long_are_refused(void **state)
{
    struct fixture *f = *state;
    struct frame frame = {.kind = FRAME_INSTALL_SNAPSHOT};
    frame.install_snapshot.configuration = sample_long(&f->sample_arena, LIMIT_CONFIGURATION_BYTES);
    frame_encode(&frame, &f->body);
    assert_true(fixture_decode(f, frame.kind, buffer_slice(&f->body)));
    lengthen(&f->body, LIMIT_CONFIGURATION_BYTES);
    assert_false(fixture_decode(f, frame.kind, buffer_slice(&f->body)));

    frame = (struct frame){.kind = FRAME_FOUNDING_QUESTION};
    frame.founding_question.spec = sample_long(&f->sample_arena, LIMIT_SPEC_BYTES);
    frame.founding_question.name = slice_of("n1");
    buffer_clear(&f->body);
    frame_encode(&frame, &f->body);
    assert_true(fixture_decode(f, frame.kind, buffer_slice(&f->body)));
    lengthen(&f->body, LIMIT_SPEC_BYTES);
    assert_false(fixture_decode(f, frame.kind, buffer_slice(&f->body)));

    for (size_t i = 0; i < f->n_samples; i++) {
        frame = f->samples[i].frame;
        if (frame.kind == FRAME_HELLO && !frame.hello.founding) {
            frame.hello.http_address = sample_long(&f->sample_arena, LIMIT_ADDRESS_BYTES);
            buffer_clear(&f->body);
            frame_encode(&frame, &f->body);
            assert_true(fixture_decode(f, frame.kind, buffer_slice(&f->body)));
            lengthen(&f->body, LIMIT_ADDRESS_BYTES);
            assert_false(fixture_decode(f, frame.kind, buffer_slice(&f->body)));
        }
    }
}

static void a_body_over_the_bound_of_its_kind_is_refused_unread(void **state)
{
    struct fixture *f = *state;
    for (unsigned kind = FRAME_HELLO; kind < FRAME_KINDS; kind++) {
        struct slice nowhere = {.base = (const uint8_t *)"", .len = frame_limit(kind) + 1};
        assert_false(fixture_decode(f, (enum frame_kind)kind, nowhere));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup_samples, fixture_teardown)
        TEST(every_kind_has_a_sample_a_name_and_a_bound),
        TEST(encoding_gives_the_golden_bytes_and_they_decode_to_the_same),
        TEST(every_truncation_is_refused_or_ends_between_two_items),
        TEST(every_altered_byte_is_refused_or_decodes_within_bounds),
        TEST(random_bytes_are_refused_or_decode_within_bounds),
        TEST(a_field_that_is_not_known_ends_every_frame_but_the_hello),
        TEST(lengths_of_ids_and_counts_are_checked),
        TEST(log_entries_must_be_whole_aligned_and_of_a_known_type),
        TEST(more_log_entries_than_the_limit_abort_the_sender_and_are_refused),
        TEST(a_message_of_many_small_log_entries_is_refused_before_it_takes_memory),
        TEST(an_append_entries_full_of_the_longest_entries_fits_and_is_not_copied),
        TEST(the_longest_chunk_configuration_and_founding_answer_fit),
        TEST(texts_one_byte_too_long_are_refused),
        TEST(a_body_over_the_bound_of_its_kind_is_refused_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
