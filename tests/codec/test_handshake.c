/* What two members say to each other before anything else: a hello states ranges of versions and proper names, a founding
 * answer names founders exactly when there are any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "codec/snapshot.h"
#include "core/rules.h"
#include "fixture.h"

static const struct frame *sample_of(const struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->n_samples; i++) {
        if (strcmp(f->samples[i].name, name) == 0) {
            return &f->samples[i].frame;
        }
    }
    fail();
    return NULL;
}

static void encode_frame(void *arg)
{
    struct buffer body;
    buffer_init(&body);
    frame_encode(arg, &body);
    buffer_close(&body);
}

static void founders_come_with_a_list_and_with_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct frame frame = *sample_of(f, "founding_answer_list");
    frame.founding_answer.state = FOUNDING_NONE;
    assert_true(aborts(encode_frame, &frame));
    frame.founding_answer.state = FOUNDING_LIST;
    frame.founding_answer.n_founders = 0;
    assert_true(aborts(encode_frame, &frame));
    frame_encode(sample_of(f, "founding_answer"), &f->body);
    uint8_t *state_byte = &f->body.base[f->body.len - 1];
    assert_int_equal(*state_byte, FOUNDING_EMPTY);
    *state_byte = FOUNDING_LIST;
    assert_false(fixture_decode(f, FRAME_FOUNDING_ANSWER, buffer_slice(&f->body)));
    *state_byte = FOUNDING_NONE;
    assert_true(fixture_decode(f, FRAME_FOUNDING_ANSWER, buffer_slice(&f->body)));
    *state_byte = 0;
    assert_false(fixture_decode(f, FRAME_FOUNDING_ANSWER, buffer_slice(&f->body)));
    *state_byte = 4;
    assert_false(fixture_decode(f, FRAME_FOUNDING_ANSWER, buffer_slice(&f->body)));
}

static void a_hello_needs_versions_in_order_and_proper_names(void **state)
{
    struct fixture *f = *state;
    struct frame good = *sample_of(f, "hello");
    struct frame bad = good;
    bad.hello.protocol_oldest = 3;
    assert_true(aborts(encode_frame, &bad));
    bad = good;
    bad.hello.rules_oldest = 0;
    assert_true(aborts(encode_frame, &bad));
    bad = good;
    bad.hello.state_oldest = 0;
    assert_true(aborts(encode_frame, &bad));
    bad = good;
    bad.hello.state_oldest = bad.hello.state_newest + 1;
    assert_true(aborts(encode_frame, &bad));
    bad = good;
    bad.hello.name = slice_of("");
    assert_true(aborts(encode_frame, &bad));
    bad = good;
    bad.hello.to = slice_of("-n2");
    assert_true(aborts(encode_frame, &bad));
    bad = good;
    bad.hello.http_address = sample_long(&f->sample_arena, LIMIT_ADDRESS_BYTES + 1);
    assert_true(aborts(encode_frame, &bad));
    assert_false(aborts(encode_frame, &good));
}

/* The last bytes of a hello are the state's formats. */
static void a_hello_whose_state_formats_make_no_range_is_refused(void **state)
{
    struct fixture *f = *state;
    frame_encode(sample_of(f, "hello"), &f->body);
    uint8_t *oldest = &f->body.base[f->body.len - 4];
    assert_int_equal(*oldest, 4);
    assert_true(fixture_decode(f, FRAME_HELLO, buffer_slice(&f->body)));
    assert_int_equal(f->frame.hello.state_newest, 5);
    *oldest = 6;
    assert_false(fixture_decode(f, FRAME_HELLO, buffer_slice(&f->body)));
    *oldest = 0;
    assert_false(fixture_decode(f, FRAME_HELLO, buffer_slice(&f->body)));
}

static void the_versions_of_this_build_are_ranges_that_a_hello_may_state(void **state)
{
    struct fixture *f = *state;
    struct frame frame = *sample_of(f, "hello");
    frame_hello_set_versions(&frame.hello);
    frame_encode(&frame, &f->body);
    assert_true(fixture_decode(f, FRAME_HELLO, buffer_slice(&f->body)));
    assert_frame_equal(&frame, &f->frame);
    assert_int_equal(frame.hello.protocol_newest, PROTOCOL_VERSION_NEWEST);
    assert_int_equal(frame.hello.rules_newest, rules_version_newest());
    assert_int_equal(frame.hello.state_newest, SNAPSHOT_FORMAT_NEWEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup_samples, fixture_teardown)
        TEST(founders_come_with_a_list_and_with_nothing_else),
        TEST(a_hello_needs_versions_in_order_and_proper_names),
        TEST(a_hello_whose_state_formats_make_no_range_is_refused),
        TEST(the_versions_of_this_build_are_ranges_that_a_hello_may_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
