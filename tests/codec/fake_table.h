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
    const struct group_image *groups;
    uint64_t n_groups;
    uint64_t groups_given;
    const struct freeze_image *freezes;
    uint64_t n_freezes;
    uint64_t freezes_given;
};

struct lock_table {
    const struct lock_table_frozen *expected; /* NULL: anything is taken */
    uint64_t tables;
    uint64_t groups;
    uint64_t freezes;
    uint64_t taken;    /* schedules */
    enum error answer; /* to the next group, freeze or schedule */
    size_t touched;    /* so that every byte is read */
};

/* ---- images, in `arena` ---- */

/* Two schedules for the golden file: one with nothing optional in it, one with everything. */
const struct schedule_image *image_two_schedules(struct arena *arena);
/* … and two groups, two freezes, and a schedule with all that rules 2 added. */
const struct group_image *image_two_groups(struct arena *arena);
const struct freeze_image *image_two_freezes(struct arena *arena);
const struct schedule_image *image_schedule_in_group(struct arena *arena);
/* Everything that a schedule of so many slots may have, as long as it may be. */
void image_longest_schedule(struct arena *arena, uint32_t slots, struct schedule_image *schedule);

#endif
