/* fixture: what a test of frames needs: a body, arenas, and short ways to take a frame through its bytes. It says nothing
 * of what the frames mean; their values are sample.h's. */
#ifndef BATON_TESTS_CODEC_FIXTURE_H
#define BATON_TESTS_CODEC_FIXTURE_H

#include "sample.h"

struct fixture {
    struct arena sample_arena;                  /* of what the test makes, and of the samples' lists */
    struct arena arena;                         /* of the last decoding */
    struct buffer body;                         /* the test's own; empty at first */
    struct sample_frame samples[SAMPLE_FRAMES]; /* none but by fixture_setup_samples */
    size_t n_samples;
    struct frame frame; /* of the last decoding, valid until the next */
};

/* For cmocka: each test has a fixture of its own as its state. */
int fixture_setup(void **state);
int fixture_setup_samples(void **state); /* and the samples are in it; sample_arena mustn't be cleared */
int fixture_teardown(void **state);

/* Decodes `body` into `frame`, with memory in proportion to its length. A refusal must be ERROR_INVALID, and say why. */
bool fixture_decode(struct fixture *fixture, enum frame_kind kind, struct slice body);
/* The same without a text, as a caller that needs none. Any error may be the answer. */
enum error fixture_decode_untold(struct fixture *fixture, enum frame_kind kind, struct slice body);
/* Encodes into `body`, alone, and decodes that; true when it is taken. */
bool fixture_round_trip(struct fixture *fixture, const struct frame *frame);

/* ---- one operation, one result ---- */

/* True when it may be sent; then it is also taken as it was. */
bool fixture_command_is_taken(struct fixture *fixture, struct command command);
bool fixture_result_is_sent(struct frame_operation_result *result);
bool fixture_outcome_is_sent(const struct outcome *outcome);
/* Decodes an outcome as another sender might write it, alone in a frame; at most 100 bytes. */
bool fixture_decode_outcome(struct fixture *fixture, const char *outcome, size_t len);

#endif
