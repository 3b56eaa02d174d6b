/* specimen: one schedule as an image whose every field a test can change, and what became of loading it. */
#ifndef BATON_TESTS_CORE_SPECIMEN_H
#define BATON_TESTS_CORE_SPECIMEN_H

#include "fixture.h"

#include "base/limits.h"

struct specimen {
    struct fixture f;
    struct lock_table_frozen *frozen; /* whose bytes the slices are */
    struct table_image numbers;
    struct schedule_image image; /* its arrays are those below */
    struct grant_image grants[LIMIT_SLOTS + 1];
    struct run_image runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS + 1];
    struct occurrence_image occurrences[LIMIT_OCCURRENCES_PER_SCHEDULE + LIMIT_SLOTS + 1];
};

/* Takes the only schedule of specimen->f, which its caller has filled. */
void specimen_take(struct specimen *specimen);
void specimen_close(struct specimen *specimen);
/* Loads it alone into a new table. When that takes it, gives the digest of the table. */
enum error specimen_load(const struct specimen *specimen, struct digest128 *digest);

/* `len` bytes, all 'x'; at most 2,048. */
struct slice long_slice(size_t len);

/* A change of a specimen, by its name. A table of changes is an X-macro of names and expressions. */
struct change {
    const char *name;
    void (*make)(struct specimen *specimen);
};
#define CHANGE_DEFINE(name, change)                                                                                    \
    static void name(struct specimen *specimen)                                                                        \
    {                                                                                                                  \
        struct schedule_image *image = &specimen->image;                                                               \
        struct grant_image *grants = specimen->grants;                                                                 \
        struct run_image *runs = specimen->runs;                                                                       \
        struct occurrence_image *occurrences = specimen->occurrences;                                                  \
        (void)image, (void)grants, (void)runs, (void)occurrences;                                                      \
        (void)(change);                                                                                                \
    }
#define CHANGE_ROW(name, change) {#name, name},
#define TEXT(literal)            slice_of(literal)
#define NOTHING                  ((struct slice){0})

/* Each change alone, made to a specimen that `open` opens, is refused as corrupt. */
void expect_hostile(void (*open)(struct specimen *specimen), const struct change *changes, size_t n);
/* Each change alone is taken, survives a copy, and shows in the digest. */
void expect_sound(void (*open)(struct specimen *specimen), const struct change *changes, size_t n);

#endif
