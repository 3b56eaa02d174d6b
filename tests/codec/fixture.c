#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    arena_init(&fixture->sample_arena, 0);
    arena_init(&fixture->arena, 1);
    buffer_init(&fixture->body);
    *state = fixture;
    return 0;
}

int fixture_setup_samples(void **state)
{
    (void)fixture_setup(state);
    struct fixture *fixture = *state;
    fixture->n_samples = sample_frames(&fixture->sample_arena, fixture->samples);
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_close(&fixture->sample_arena);
    arena_close(&fixture->arena);
    buffer_close(&fixture->body);
    free(fixture);
    return 0;
}

static enum error decode(struct fixture *fixture, enum frame_kind kind, struct slice body, struct error_text *text)
{
    size_t limit = frame_memory_factor(kind) * body.len;
    arena_close(&fixture->arena);
    arena_init(&fixture->arena, limit == 0 ? 1 : limit); /* 0 would be no limit */
    return frame_decode(kind, body, &fixture->arena, &fixture->frame, text);
}

bool fixture_decode(struct fixture *fixture, enum frame_kind kind, struct slice body)
{
    struct error_text text;
    memset(&text, 0, sizeof text);
    enum error error = decode(fixture, kind, body, &text);
    assert_true(error == ERROR_NONE || error == ERROR_INVALID);
    assert_int_equal(text.text[0] != 0, error != ERROR_NONE);
    return error == ERROR_NONE;
}

enum error fixture_decode_untold(struct fixture *fixture, enum frame_kind kind, struct slice body)
{
    return decode(fixture, kind, body, NULL);
}

bool fixture_round_trip(struct fixture *fixture, const struct frame *frame)
{
    buffer_clear(&fixture->body);
    frame_encode(frame, &fixture->body);
    return fixture_decode_untold(fixture, frame->kind, buffer_slice(&fixture->body)) == ERROR_NONE;
}

static void encode_command(void *arg)
{
    struct frame_operation operation = {.command = *(const struct command *)arg};
    struct frame frame = {.kind = FRAME_OPERATIONS, .operations = {.operations = &operation, .n_operations = 1}};
    struct buffer body;
    buffer_init(&body);
    frame_encode(&frame, &body);
    buffer_close(&body);
}

bool fixture_command_is_taken(struct fixture *fixture, struct command command)
{
    if (aborts(encode_command, &command)) {
        return false;
    }
    struct frame_operation operation = {.command = command};
    struct frame frame = {.kind = FRAME_OPERATIONS, .operations = {.operations = &operation, .n_operations = 1}};
    assert_true(fixture_round_trip(fixture, &frame));
    assert_frame_equal(&frame, &fixture->frame);
    return true;
}

static void encode_result(void *arg)
{
    struct frame frame = {.kind = FRAME_OUTCOMES, .outcomes = {.results = arg, .n_results = 1}};
    struct buffer body;
    buffer_init(&body);
    frame_encode(&frame, &body);
    buffer_close(&body);
}

bool fixture_result_is_sent(struct frame_operation_result *result)
{
    return !aborts(encode_result, result);
}

bool fixture_outcome_is_sent(const struct outcome *outcome)
{
    struct frame_operation_result result = {.status = OPERATION_APPLIED, .outcome = *outcome};
    return fixture_result_is_sent(&result);
}

bool fixture_decode_outcome(struct fixture *fixture, const char *outcome, size_t len)
{
    struct frame frame = {.kind = FRAME_OUTCOMES};
    buffer_clear(&fixture->body);
    frame_encode(&frame, &fixture->body);
    const uint8_t head[] = {0x1a, (uint8_t)(13 + len), 0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0x1a, (uint8_t)len};
    buffer_append(&fixture->body, head, sizeof head);
    buffer_append(&fixture->body, outcome, len);
    return fixture_decode_untold(fixture, FRAME_OUTCOMES, buffer_slice(&fixture->body)) == ERROR_NONE;
}
