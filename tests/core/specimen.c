#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specimen.h"

#include <string.h>

void specimen_take(struct specimen *specimen)
{
    struct schedule_image *image = &specimen->image;
    specimen->frozen = lock_table_freeze(specimen->f.table);
    lock_table_frozen_table(specimen->frozen, &specimen->numbers);
    assert_true(lock_table_frozen_next(specimen->frozen, image));
    memcpy(specimen->grants, image->grants, image->n_grants * sizeof specimen->grants[0]);
    memcpy(specimen->runs, image->runs, image->n_runs * sizeof specimen->runs[0]);
    memcpy(specimen->occurrences, image->occurrences, image->n_occurrences * sizeof specimen->occurrences[0]);
    image->grants = specimen->grants;
    image->runs = specimen->runs;
    image->occurrences = specimen->occurrences;
}

void specimen_close(struct specimen *specimen)
{
    lock_table_thaw(specimen->f.table, specimen->frozen);
    fixture_close(&specimen->f);
}

enum error specimen_load(const struct specimen *specimen, struct digest128 *digest)
{
    struct lock_table *table = lock_table_open();
    enum error error = lock_table_load_table(table, &specimen->numbers);
    if (error == ERROR_NONE) {
        error = lock_table_load_schedule(table, &specimen->image);
    }
    if (error == ERROR_NONE) {
        lock_table_check(table);
        *digest = lock_table_digest(table);
        struct lock_table *copy = table_copy(table);
        expect_equal_digests(table, copy);
        lock_table_close(copy);
    }
    lock_table_close(table);
    return error;
}

struct slice long_slice(size_t len)
{
    static uint8_t bytes[2048];
    assert_true(len <= sizeof bytes);
    memset(bytes, 'x', sizeof bytes);
    return (struct slice){.base = bytes, .len = len};
}

void expect_hostile(void (*open)(struct specimen *specimen), const struct change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static struct specimen specimen;
        open(&specimen);
        struct digest128 digest;
        assert_int_equal(specimen_load(&specimen, &digest), ERROR_NONE);
        changes[i].make(&specimen);
        if (specimen_load(&specimen, &digest) != ERROR_CORRUPT) {
            fail_msg("%s was taken", changes[i].name);
        }
        specimen_close(&specimen);
    }
}

void expect_sound(void (*open)(struct specimen *specimen), const struct change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static struct specimen specimen;
        open(&specimen);
        struct digest128 before;
        struct digest128 after;
        struct digest128 original = lock_table_digest(specimen.f.table);
        assert_int_equal(specimen_load(&specimen, &before), ERROR_NONE);
        assert_true(digest128_equal(&before, &original));
        changes[i].make(&specimen);
        if (specimen_load(&specimen, &after) != ERROR_NONE) {
            fail_msg("%s was refused", changes[i].name);
        }
        if (digest128_equal(&before, &after)) {
            fail_msg("%s doesn't show in the digest", changes[i].name);
        }
        specimen_close(&specimen);
    }
}
