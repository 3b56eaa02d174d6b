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
