/* A directory that was damaged while nobody used it: every file missing, truncated, extended, flipped everywhere, foreign,
 * of another version, under another name. Used bytes are refused and nothing is changed; one bad copy of a two-slot file
 * is repaired; unused bytes change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "member.h"
#include "storage/storage_private.h"

struct damage {
    struct world world;
    struct member *member;
    struct world_image *image;
    struct state state; /* that must be there */
    uint64_t term, vote, snapshot;
    struct storage_owner owner;
    uint64_t first_segment, last_segment, highest;
    uint64_t end_segment, closed_offset; /* where the closed record stands: the only one without a witness */
};

static void whole_life(struct member *member)
{
    for (int i = 0; i < 30; i++) {
        member_append(member, member_next(member), 1 + (size_t)i % 3, 9000);
        world_run(member->world);
    }
    assert_true(member_snapshot(member, member_next(member) - 4, 12));
    world_run(member->world);
    for (int i = 0; i < 20; i++) {
        member_append(member, member_next(member), 1 + (size_t)i % 2, 5000);
        world_run(member->world);
    }
    assert_true(member_snapshot(member, member_next(member) - 20, 3));
    world_run(member->world);
    member_append(member, member_next(member) - 2, 3, 700);
    member_set_term(member, 9);
    member_set_vote(member, 2);
    world_run(member->world);
}

static int setup(void **state)
{
    struct damage *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    world_init(&d->world, 5);
    d->member = member_new(&d->world);
    member_start(d->member);
    whole_life(d->member);
    const struct storage *storage = d->member->storage;
    d->owner = storage->owner;
    d->first_segment = storage->begin.segment;
    d->end_segment = storage->segments[storage->current].number;
    d->closed_offset = storage->offset;
    d->highest = storage->segments[storage->n_segments - 1].number;
    assert_true(d->end_segment > d->first_segment + 1);
    assert_true(d->first_segment > 3);
    assert_true(storage->n_spares > 0);
    member_stop(d->member, true);
    d->state = d->member->states[d->member->acked];
    d->term = d->member->term;
    d->vote = d->member->vote;
    d->snapshot = d->member->snapshot_acked;
    world_crash(&d->world, WORLD_KEEP); /* what was unlinked is gone for good */
    d->image = world_save(&d->world);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct damage *d = *state;
    member_free(d->member);
    world_image_free(d->image);
    world_close(&d->world);
    free(d);
    return 0;
}

/* Opens; when that succeeds, everything must be there. When not, nothing may have changed. */
static enum error try_open(struct damage *d)
{
    struct member *member = d->member;
    uint64_t sum = world_sum(&d->world);
    member->states[0] = d->state;
    member->n_states = 1;
    member->acked = 0;
    member->term = member->term_asked = d->term;
    member->vote = member->vote_asked = d->vote;
    member->snapshot_acked = member->snapshot_asked = d->snapshot;
    enum error error = member_open(member);
    if (error == ERROR_NONE) {
        member_check(member);
        member_stop(member, false);
    } else {
        assert_int_equal(world_sum(&d->world), sum);
        assert_true(strlen(member->text.text) > 0);
        world_restart(&d->world);
    }
    return error;
}

static void segment_path(char path[STORAGE_PATH_BYTES], uint64_t number)
{
    storage_path_segment(path, number);
}

static void an_undamaged_directory_opens(void **state)
{
    struct damage *d = *state;
    assert_int_equal(try_open(d), ERROR_NONE);
    assert_int_equal(d->member->notes, 0);
}

/* ---- missing ---- */

static void missing(struct damage *d, const char *path)
{
    world_restore(&d->world, d->image);
    world_remove(&d->world, path);
    assert_int_equal(try_open(d), ERROR_CORRUPT);
    if (strstr(d->member->text.text, path) == NULL) {
        print_error("%s isn't named: %s\n", path, d->member->text.text);
    }
    assert_non_null(strstr(d->member->text.text, path));
}

static void each_file_that_is_missing_is_named(void **state)
{
    struct damage *d = *state;
    char path[STORAGE_PATH_BYTES];
    missing(d, "identity");
    missing(d, "vote");
    missing(d, "log/highest");
    missing(d, "snapshot/newest");
    storage_path_snapshot(path, d->snapshot);
    missing(d, path);
    for (uint64_t number = d->first_segment; number <= d->highest; number++) {
        segment_path(path, number);
        missing(d, path);
    }
}

static void missing_directories_are_noticed(void **state)
{
    struct damage *d = *state;
    const char *directories[] = {"log", "snapshot"};
    for (int i = 0; i < 2; i++) {
        world_restore(&d->world, d->image);
        for (int j = 0; j < WORLD_ENTRIES; j++) {
            char path[64];
            (void)snprintf(path, sizeof path, "%s", d->world.now[j].path);
            if (strncmp(path, directories[i], strlen(directories[i])) == 0) {
                world_remove(&d->world, path);
            }
        }
        assert_int_equal(try_open(d), ERROR_CORRUPT);
    }
}

static void a_missing_spare_or_lock_is_no_loss(void **state)
{
    struct damage *d = *state;
    char path[STORAGE_PATH_BYTES];
    segment_path(path, d->first_segment - 1);
    assert_non_null(world_find(&d->world, path));
    world_remove(&d->world, path);
    assert_int_equal(try_open(d), ERROR_NONE);
    world_restore(&d->world, d->image);
    world_remove(&d->world, "lock");
    assert_int_equal(try_open(d), ERROR_NONE);
}

/* ---- truncated ---- */

static bool is_slot(const char *path)
{
    return strcmp(path, "vote") == 0 || strcmp(path, "log/highest") == 0 || strcmp(path, "snapshot/newest") == 0;
}

static bool is_unused(const struct damage *d, const char *path)
{
    uint64_t number;
    return strcmp(path, "lock") == 0 ||
           (strncmp(path, "log/", 4) == 0 && storage_name_number(path + 4, ".segment", &number) &&
            number < d->first_segment);
}

static void truncate_at(struct damage *d, const char *path, size_t len)
{
    world_restore(&d->world, d->image);
    world_resize(&d->world, path, len);
    enum error error = try_open(d);
    bool accepted = is_unused(d, path) || (is_slot(path) && len >= 88);
    if ((error == ERROR_NONE) != accepted) {
        print_error("%s cut to %zu: %s\n", path, len, error == ERROR_NONE ? "accepted" : d->member->text.text);
    }
    assert_int_equal(error == ERROR_NONE, accepted);
    assert_true(accepted || error == ERROR_CORRUPT);
}

static void each_file_truncated_anywhere_is_refused(void **state)
{
    struct damage *d = *state;
    for (int i = 0; i < WORLD_ENTRIES; i++) {
        world_restore(&d->world, d->image);
        char path[64];
        (void)snprintf(path, sizeof path, "%s", d->world.now[i].path);
        const struct world_file *file = d->world.now[i].file;
        if (file == NULL || path[0] == 0) {
            continue;
        }
        size_t len = file->now_len;
        const size_t cuts[] = {0, 1, 55, 56, 79, 80, 100, 512, 4095, 4096, 4097, 4180, 8191, len / 2, len - 1};
        for (size_t j = 0; j < sizeof cuts / sizeof cuts[0]; j++) {
            if (cuts[j] < len) {
                truncate_at(d, path, cuts[j]);
            }
        }
        if (!is_slot(path)) {
            truncate_at(d, path, len + 1);
            truncate_at(d, path, len + 4096);
        }
    }
}

/* ---- flipped ---- */

/* True when a flip there must be refused. */
static bool segment_uses(struct damage *d, uint64_t number, const struct world_file *file, size_t at)
{
    struct storage_record record;
    if (at < LIMIT_BLOCK_BYTES) {
        return at < STORAGE_PREFIX_BYTES + 24;
    }
    for (size_t offset = LIMIT_BLOCK_BYTES;
         number <= d->end_segment && offset < file->now_len &&
         storage_record_parse(&record, file->now + offset, file->now_len - offset, number, &d->owner);
         offset += record.bytes) {
        if (at >= offset && at < offset + record.bytes) {
            return at < offset + STORAGE_RECORD_HEADER_BYTES + record.length && record.kind != STORAGE_RECORD_CLOSED;
        }
    }
    return false;
}

static bool is_used(struct damage *d, const char *path, const struct world_file *file, size_t at)
{
    uint64_t number;
    if (strcmp(path, "identity") == 0) {
        return true;
    }
    if (is_unused(d, path) || is_slot(path)) {
        return false;
    }
    if (strncmp(path, "snapshot/", 9) == 0) {
        return at < STORAGE_PREFIX_BYTES + 88 || at >= LIMIT_BLOCK_BYTES;
    }
    assert_true(storage_name_number(path + 4, ".segment", &number));
    return segment_uses(d, number, file, at);
}

static void flips(struct damage *d, const char *path, unsigned counts[2])
{
    world_restore(&d->world, d->image);
    size_t len = world_find(&d->world, path)->now_len;
    for (size_t at = 0; at < len; at += at % LIMIT_BLOCK_BYTES < 120 ? 1 + at / LIMIT_BLOCK_BYTES % 8 * 7 : 397) {
        bool used = is_used(d, path, world_find(&d->world, path), at);
        uint8_t mask = (uint8_t)(1u << at % 8);
        world_flip(&d->world, path, at, mask);
        enum error error = try_open(d);
        if ((error != ERROR_NONE) != used) {
            print_error("%s flipped at %zu: %s\n", path, at, error == ERROR_NONE ? "accepted" : d->member->text.text);
        }
        assert_int_equal(error != ERROR_NONE, used);
        counts[used]++;
        if (error == ERROR_NONE) {
            world_restore(&d->world, d->image);
        } else {
            assert_int_equal(error, ERROR_CORRUPT);
            if (strstr(d->member->text.text, path) == NULL || strstr(d->member->text.text, "offset") == NULL) {
                print_error("%s flipped at %zu isn't named: %s\n", path, at, d->member->text.text);
            }
            assert_non_null(strstr(d->member->text.text, path));
            assert_non_null(strstr(d->member->text.text, "offset"));
            world_flip(&d->world, path, at, mask);
        }
    }
}

static void each_file_flipped_anywhere_is_refused_or_unharmed(void **state)
{
    struct damage *d = *state;
    unsigned counts[2] = {0};
    for (int i = 0; i < WORLD_ENTRIES; i++) {
        world_restore(&d->world, d->image);
        char path[64];
        (void)snprintf(path, sizeof path, "%s", d->world.now[i].path);
        if (d->world.now[i].file != NULL && path[0] != 0) {
            flips(d, path, counts);
        }
    }
    assert_true(counts[0] > 500);
    assert_true(counts[1] > 500);
}

static void both_bad_copies_are_refused(void **state)
{
    struct damage *d = *state;
    const char *slots[] = {"vote", "log/highest", "snapshot/newest"};
    for (int i = 0; i < 3; i++) {
        for (size_t at = 0; at < 88; at++) {
            world_restore(&d->world, d->image);
            world_flip(&d->world, slots[i], at, 0x10);
            world_flip(&d->world, slots[i], LIMIT_BLOCK_BYTES + (at * 5) % 88, 1);
            assert_int_equal(try_open(d), ERROR_CORRUPT);
            assert_non_null(strstr(d->member->text.text, slots[i]));
        }
    }
}

static void one_bad_copy_is_repaired_at_once(void **state)
{
    struct damage *d = *state;
    const char *slots[] = {"vote", "log/highest", "snapshot/newest"};
    for (int i = 0; i < 3; i++) {
        for (size_t copy = 0; copy < 2; copy++) {
            world_restore(&d->world, d->image);
            uint64_t sum = world_sum(&d->world);
            world_flip(&d->world, slots[i], copy * LIMIT_BLOCK_BYTES + 60, 4);
            assert_int_equal(try_open(d), ERROR_NONE);
            assert_int_equal(d->member->notes, 1);
            assert_non_null(strstr(d->member->note, slots[i]));
            assert_int_equal(world_sum(&d->world), sum);
            world_flip(&d->world, slots[i], (1 - copy) * LIMIT_BLOCK_BYTES + 60, 4);
            assert_int_equal(try_open(d), ERROR_NONE);
        }
    }
}

/* ---- foreign, other versions, other names ---- */

static void put_of_another(struct damage *d, const char *path, bool other_cluster)
{
    struct storage_owner owner = d->owner;
    struct world_file *file = world_find(&d->world, path);
    uint64_t number;
    *(other_cluster ? owner.cluster_id : owner.incarnation) ^= 1;
    const uint8_t *old = file->now;
    enum storage_file kind = strcmp(path, "vote") == 0              ? STORAGE_FILE_VOTE
                             : strcmp(path, "log/highest") == 0     ? STORAGE_FILE_HIGHEST
                             : strcmp(path, "snapshot/newest") == 0 ? STORAGE_FILE_NEWEST
                             : strncmp(path, "log/", 4) == 0        ? STORAGE_FILE_SEGMENT
                                                                    : STORAGE_FILE_SNAPSHOT;
    size_t checksum_at = is_slot(path) ? 80 : storage_name_number(path + 4, ".segment", &number) ? 72 : 136;
    uint8_t *copy = malloc(file->now_len);
    size_t len = file->now_len;
    CHECK(copy != NULL);
    memcpy(copy, old, len);
    storage_prefix_encode(copy, kind, &owner);
    bytes_put_u64(copy + checksum_at, checksum_64(copy, checksum_at));
    if (is_slot(path)) {
        memcpy(copy + LIMIT_BLOCK_BYTES, copy, LIMIT_BLOCK_BYTES);
    }
    world_put(&d->world, path, copy, len);
    free(copy);
}

static void a_foreign_file_is_refused(void **state)
{
    struct damage *d = *state;
    char segment[STORAGE_PATH_BYTES], snapshot[STORAGE_PATH_BYTES];
    segment_path(segment, d->first_segment + 1);
    storage_path_snapshot(snapshot, d->snapshot);
    const char *paths[] = {"vote", "log/highest", "snapshot/newest", segment, snapshot};
    for (int i = 0; i < 10; i++) {
        world_restore(&d->world, d->image);
        put_of_another(d, paths[i / 2], i % 2 != 0);
        assert_int_equal(try_open(d), ERROR_FOREIGN);
        assert_non_null(strstr(d->member->text.text, paths[i / 2]));
    }
}

static void a_foreign_spare_is_refused_and_a_torn_one_used(void **state)
{
    struct damage *d = *state;
    char path[STORAGE_PATH_BYTES];
    segment_path(path, d->first_segment - 1);
    for (int i = 0; i < 2; i++) {
        world_restore(&d->world, d->image);
        put_of_another(d, path, i % 2 != 0);
        assert_int_equal(try_open(d), ERROR_FOREIGN);
        assert_non_null(strstr(d->member->text.text, path));
    }
    world_restore(&d->world, d->image);
    for (size_t at = 0; at < STORAGE_PREFIX_BYTES; at += 8) { /* as a crash in the middle of its recycling leaves it */
        world_flip(&d->world, path, at, 0xff);
    }
    assert_int_equal(try_open(d), ERROR_NONE);
}

static void a_foreign_segment_above_the_highest_is_refused_and_left_there(void **state)
{
    struct damage *d = *state;
    struct storage_owner owner = d->owner;
    char path[STORAGE_PATH_BYTES];
    uint8_t *segment = calloc(1, MEMBER_SEGMENT);
    CHECK(segment != NULL);
    owner.cluster_id[3] ^= 1;
    segment_path(path, d->highest + 1);
    storage_segment_header_encode(segment, d->highest + 1, MEMBER_SEGMENT, &owner);
    world_put(&d->world, path, segment, MEMBER_SEGMENT);
    free(segment);
    assert_int_equal(try_open(d), ERROR_FOREIGN);
    assert_non_null(strstr(d->member->text.text, path));
}

static void another_format_is_refused_as_that(void **state)
{
    struct damage *d = *state;
    char segment[STORAGE_PATH_BYTES], snapshot[STORAGE_PATH_BYTES];
    segment_path(segment, d->first_segment);
    storage_path_snapshot(snapshot, d->snapshot);
    const char *paths[] = {"vote", "log/highest", "snapshot/newest", segment, snapshot, "identity"};
    for (int i = 0; i < 6; i++) {
        world_restore(&d->world, d->image);
        struct world_file *file = world_find(&d->world, paths[i]);
        uint8_t *p = file->now;
        bytes_put_u32(p + 8, STORAGE_FORMAT + 1);
        bytes_put_u64(p + 48, checksum_64(p, 48));
        if (is_slot(paths[i])) {
            bytes_put_u64(p + 80, checksum_64(p, 80));
        }
        assert_int_equal(try_open(d), ERROR_VERSION);
        assert_non_null(strstr(d->member->text.text, paths[i]));
        assert_non_null(
            strstr(d->member->text.text, "format 2, and this build reads format 1: install the newer batond"));
    }
}

static void a_segment_under_another_name_is_refused(void **state)
{
    struct damage *d = *state;
    char from[STORAGE_PATH_BYTES], to[STORAGE_PATH_BYTES];
    segment_path(from, d->first_segment);
    segment_path(to, d->first_segment + 1);
    const struct world_file *file = world_find(&d->world, from);
    world_put(&d->world, to, file->now, file->now_len);
    assert_int_equal(try_open(d), ERROR_CORRUPT);
    assert_non_null(strstr(d->member->text.text, to));
}

static void records_above_the_highest_segment_are_refused(void **state)
{
    struct damage *d = *state;
    uint8_t block[LIMIT_BLOCK_BYTES];
    char path[STORAGE_PATH_BYTES];
    struct world_file *file = world_find(&d->world, "log/highest");
    memcpy(block, file->now, sizeof block);
    bytes_put_u64(block + STORAGE_PREFIX_BYTES + 8, d->end_segment - 1); /* an older copy was put back */
    bytes_put_u64(block + STORAGE_PREFIX_BYTES + 24, checksum_64(block, STORAGE_PREFIX_BYTES + 24));
    memcpy(file->now, block, sizeof block);
    memcpy(file->now + sizeof block, block, sizeof block);
    assert_int_equal(try_open(d), ERROR_CORRUPT);
    segment_path(path, d->end_segment);
    assert_non_null(strstr(d->member->text.text, path));
}

static void an_older_snapshot_does_not_stand_in_for_the_newest(void **state)
{
    struct damage *d = *state;
    char older[STORAGE_PATH_BYTES], newest[STORAGE_PATH_BYTES];
    storage_path_snapshot(newest, d->snapshot);
    storage_path_snapshot(older, d->snapshot - 1);
    const struct world_file *file = world_find(&d->world, newest);
    world_put(&d->world, older, file->now, file->now_len);
    world_remove(&d->world, newest);
    assert_int_equal(try_open(d), ERROR_CORRUPT);
    assert_non_null(strstr(d->member->text.text, newest));
    world_restore(&d->world, d->image);
    world_remove(&d->world, newest);
    storage_path_snapshot(older, d->snapshot + 1); /* the right one under another name */
    world_put(&d->world, older, world_find(&d->world, "identity")->now, 100);
    assert_int_equal(try_open(d), ERROR_CORRUPT);
}

/* ---- leftovers ---- */

static void leftovers_are_removed_and_strangers_left_alone(void **state)
{
    struct damage *d = *state;
    char above[STORAGE_PATH_BYTES];
    const char *leftovers[] = {"identity.tmp",
                               "log/segment.tmp",
                               "snapshot/taking.tmp",
                               "snapshot/receiving.tmp",
                               "snapshot/00000000000000000003.snapshot",
                               above};
    const char *strangers[] = {"README", "log/notes.txt", "snapshot/0003.snapshot", "log/0000000000000000000x.segment"};
    uint8_t *empty = calloc(1, MEMBER_SEGMENT);
    CHECK(empty != NULL);
    segment_path(above, d->highest + 1);
    for (int i = 0; i < 6; i++) {
        world_put(&d->world, leftovers[i], empty, i == 5 ? MEMBER_SEGMENT : 10);
    }
    for (int i = 0; i < 4; i++) {
        world_put(&d->world, strangers[i], "x", 1);
    }
    assert_int_equal(try_open(d), ERROR_NONE);
    for (int i = 0; i < 6; i++) {
        assert_null(world_find(&d->world, leftovers[i]));
    }
    for (int i = 0; i < 4; i++) {
        assert_non_null(world_find(&d->world, strangers[i]));
    }
    free(empty);
}

static void a_failed_read_at_start_is_told_and_changes_nothing(void **state)
{
    struct damage *d = *state;
    bool done = false;
    unsigned told = 0;
    for (unsigned at = 1; !done; at++) {
        world_restore(&d->world, d->image);
        uint64_t sum = world_sum(&d->world);
        d->world.count = 0;
        d->world.count_reads = true;
        d->world.fail_at = at;
        enum error error = member_open(d->member);
        done = d->world.count < at;
        d->world.count_reads = false;
        d->world.fail_at = 0;
        assert_true(done ? error == ERROR_NONE : error == ERROR_IO || error == ERROR_NONE);
        if (error == ERROR_NONE) {
            storage_loaded_release(d->member->storage);
            member_stop(d->member, false);
        } else {
            assert_int_equal(world_sum(&d->world), sum); /* nothing needed a change here */
            world_restart(&d->world);
            told++;
        }
    }
    assert_true(told > 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_undamaged_directory_opens),
        TEST(each_file_that_is_missing_is_named),
        TEST(missing_directories_are_noticed),
        TEST(a_missing_spare_or_lock_is_no_loss),
        TEST(each_file_truncated_anywhere_is_refused),
        TEST(each_file_flipped_anywhere_is_refused_or_unharmed),
        TEST(both_bad_copies_are_refused),
        TEST(one_bad_copy_is_repaired_at_once),
        TEST(a_foreign_file_is_refused),
        TEST(a_foreign_spare_is_refused_and_a_torn_one_used),
        TEST(a_foreign_segment_above_the_highest_is_refused_and_left_there),
        TEST(another_format_is_refused_as_that),
        TEST(a_segment_under_another_name_is_refused),
        TEST(records_above_the_highest_segment_are_refused),
        TEST(an_older_snapshot_does_not_stand_in_for_the_newest),
        TEST(leftovers_are_removed_and_strangers_left_alone),
        TEST(a_failed_read_at_start_is_told_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
