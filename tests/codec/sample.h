/* sample: values for the codec's tests. The fixed ones stand in golden files and never change (add, don't edit); the random
 * ones come from a seed and keep to every rule of the contract, up to its bounds. */
#ifndef BATON_TESTS_CODEC_SAMPLE_H
#define BATON_TESTS_CODEC_SAMPLE_H

#include "base/slice.h"
#include "codec/entry.h"
#include "codec/frame.h"
#include "core/command.h"

/* The values a good generator gives for a seed, the same on every machine. */
struct sample_random {
    uint64_t state;
};
uint64_t sample_next(struct sample_random *random);
uint64_t sample_below(struct sample_random *random, uint64_t bound);

void sample_command(struct sample_random *random, struct arena *arena, struct command *command);
void sample_outcome(struct sample_random *random, struct arena *arena, struct outcome *outcome);
/* Of `len` bytes, all the same letter; for bounds. */
struct slice sample_long(struct arena *arena, size_t len);
/* An acquire with everything in it as long as it may be; no other command but a batch is longer. */
void sample_longest_command(struct arena *arena, struct command *command);
/* `n` renewals with everything in them as long as it may be. */
void sample_longest_batch(struct arena *arena, size_t n, struct command *command);

/* ---- fixed values ---- */

#define SAMPLE_FRAMES 32
struct sample_frame {
    const char *name; /* of its golden file */
    struct frame frame;
};
/* At least one of each kind; their lists live in `arena`. */
size_t sample_frames(struct arena *arena, struct sample_frame samples[SAMPLE_FRAMES]);
/* An entry with one command of each kind that rules 1 have, absent and present optional fields. */
void sample_entry(struct arena *arena, struct entry *entry);
/* … and one with what rules 2 added. */
void sample_newer_entry(struct arena *arena, struct entry *entry);
/* What sample_frames is made of: what protocol 2 added, a new sample for a frame, and bytes that count up. */
void sample_newer_frames(struct arena *arena, struct sample_frame *samples, size_t *count);
struct frame *sample_add(struct sample_frame *samples, size_t *count, const char *name, enum frame_kind kind);
void sample_fill(uint8_t *bytes, size_t len, uint8_t first);

/* ---- assertions ---- */

void assert_slice_equal(struct slice a, struct slice b);
void assert_policy_equal(const struct policy *a, const struct policy *b);
void assert_command_equal(const struct command *a, const struct command *b);
void assert_outcome_equal(const struct outcome *a, const struct outcome *b);
void assert_entry_equal(const struct entry *a, const struct entry *b);
void assert_frame_equal(const struct frame *a, const struct frame *b);
/* `bytes` are those of tests/golden/codec/NAME.hex. With GOLDEN_WRITE in the environment a file that isn't there is
 * written; one that is there never is. */
void assert_golden(const char *name, struct slice bytes);

/* Memory of exactly `len` bytes (its own allocation, so that a sanitizer sees one byte too many), filled from `bytes`. */
uint8_t *exact_copy(const uint8_t *bytes, size_t len);
/* True when `run` ends in a failed CHECK (in a process of its own). */
bool aborts(void (*run)(void *arg), void *arg);

#endif
