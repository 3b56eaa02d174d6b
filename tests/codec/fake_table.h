/* fake_table: a lock table in place of core's, for tests of the snapshots' codec alone: it gives images out, of every shape
 * that a schedule may have, and takes them back, however little sense they make. */
#ifndef BATON_TESTS_CODEC_FAKE_TABLE_H
#define BATON_TESTS_CODEC_FAKE_TABLE_H

#include "base/slice.h"
#include "core/lock_table.h"

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

/* ---- images, in `arena` ---- */

/* Two schedules for the golden file: one with nothing optional in it, one with everything. */
const struct schedule_image *image_two_schedules(struct arena *arena);
/* Everything that a schedule of so many slots may have, as long as it may be. */
void image_longest_schedule(struct arena *arena, uint32_t slots, struct schedule_image *schedule);

#endif
