/* The end of the log: torn by a crash, or damaged. And nothing comes back that was cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "member.h"
#include "storage/storage_private.h"

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    world_init(world, 3);
    struct member *member = member_new(world);
    member_start(member);
    world_advance(world, 2000);
    *state = member;
    return 0;
}

static int teardown(void **state)
{
    struct member *member = *state;
    struct world *world = member->world;
    member_free(member);
    world_close(world);
    free(world);
    return 0;
}

#define SEGMENT_1 "log/00000000000000000001.segment"
#define SEGMENT_2 "log/00000000000000000002.segment"

static uint64_t end_of(const struct member *member)
{
    return member->storage->offset;
}

static void append(struct member *member, size_t bytes)
{
    member_append(member, member_next(member), 1, bytes);
    world_run(member->world);
}

static void a_last_record_without_witness_counts_as_torn(void **state)
{
    struct member *member = *state;
    append(member, 100);
    uint64_t at = end_of(member);
    append(member, 100);
    member_crash(member, WORLD_LOSE);
    world_flip(member->world, SEGMENT_1, at + 100, 1);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(storage_next_index(member->storage), 3);
    assert_int_equal(member->notes, 1);
    assert_non_null(strstr(member->note, "torn"));
}

static void a_marker_makes_the_same_flip_damage(void **state)
{
    struct member *member = *state;
    append(member, 100);
    uint64_t at = end_of(member);
    append(member, 100);
    world_advance(member->world, 1100);
    member_crash(member, WORLD_LOSE);
    world_flip(member->world, SEGMENT_1, at + 100, 1);
    uint64_t sum = world_sum(member->world);
    assert_int_equal(member_open(member), ERROR_CORRUPT);
    assert_non_null(strstr(member->text.text, SEGMENT_1));
    assert_non_null(strstr(member->text.text, "offset 16384"));
    assert_int_equal(world_sum(member->world), sum);
    world_restart(member->world);
}

static void an_orderly_stop_makes_the_same_flip_damage(void **state)
{
    struct member *member = *state;
    append(member, 100);
    uint64_t at = end_of(member);
    append(member, 100);
    member_stop(member, true);
    world_flip(member->world, SEGMENT_1, at + 7, 1);
    assert_int_equal(member_open(member), ERROR_CORRUPT);
    world_restart(member->world);
}

static void a_witness_in_a_later_segment_counts(void **state)
{
    struct member *member = *state;
    while (member->storage->current == 0) {
        append(member, 9000);
    }
    append(member, 9000);
    member_crash(member, WORLD_LOSE);
    world_flip(member->world, SEGMENT_1, LIMIT_BLOCK_BYTES + 90, 1); /* the very first record */
    assert_int_equal(member_open(member), ERROR_CORRUPT);
    assert_non_null(strstr(member->text.text, SEGMENT_1));
    world_restart(member->world);
    world_flip(member->world, SEGMENT_1, LIMIT_BLOCK_BYTES + 90, 1);
    world_flip(member->world, SEGMENT_2, LIMIT_BLOCK_BYTES + 1, 1);
    assert_int_equal(member_open(member), ERROR_CORRUPT);
    assert_non_null(strstr(member->text.text, SEGMENT_2));
    world_restart(member->world);
}

static void zeroed_records_with_a_witness_behind_them_are_damage(void **state)
{
    struct member *member = *state;
    append(member, 100);
    uint64_t at = end_of(member);
    append(member, 100);
    append(member, 100);
    append(member, 100);
    member_crash(member, WORLD_LOSE);
    struct world_file *file = world_find(member->world, SEGMENT_1);
    memset(file->now + at, 0, LIMIT_BLOCK_BYTES);
    assert_int_equal(member_open(member), ERROR_CORRUPT);
    world_restart(member->world);
}

/* Two in flight; only the second makes it. Both are cut off. */
static void second_of_two_survives(struct member *member, size_t bytes)
{
    member_append(member, member_next(member), 1, bytes);
    storage_flush(member->storage);
    member_append(member, member_next(member), 1, bytes);
    storage_flush(member->storage);
    assert_int_equal(member->world->n_writes, 2);
    world_finish_write(member->world, 1);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(member->notes, 1);
    member_check(member);
}

static void a_whole_record_behind_a_torn_one_is_cut_off_with_it(void **state)
{
    struct member *member = *state;
    append(member, 100);
    second_of_two_survives(member, 100);
    assert_int_equal(member_next(member), 3);
}

static void a_whole_old_record_behind_a_rewritten_torn_one_stays_away(void **state)
{
    struct member *member = *state;
    append(member, 100);
    uint32_t content = member->next_content;
    second_of_two_survives(member, 100);
    member->next_content = content; /* the very same entry again: the same bytes, but for the run */
    append(member, 100);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    member_check(member);
    assert_int_equal(storage_next_index(member->storage), 4);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    member_check(member);
    append(member, 200); /* another one over the old one */
    member_stop(member, true);
    member_start(member);
    member_check(member);
    assert_int_equal(storage_next_index(member->storage), 5);
}

/* A record of several blocks, of which `from` … `to` reached the disk before the power went. */
static void tear(struct member *member, const struct disk_write *write, size_t from, size_t to)
{
    uint8_t blocks[4 * LIMIT_BLOCK_BYTES];
    uint64_t at = write->offset;
    assert_in_range(write->len, to * LIMIT_BLOCK_BYTES, sizeof blocks);
    memcpy(blocks, write->base, write->len);
    member_crash(member, WORLD_LOSE);
    struct world_file *file = world_find(member->world, SEGMENT_1);
    for (size_t i = from * LIMIT_BLOCK_BYTES; i < to * LIMIT_BLOCK_BYTES; i++) {
        file->now[at + i] = blocks[i];
        file->safe[at + i] = blocks[i];
    }
}

/* The header block of a torn record stays, and the same entries, sent again and torn in turn, bring the payload that it
 * lacked. It must not take effect then, nor the truncation behind it: entries that were acknowledged since would go. */
static void a_torn_record_that_a_second_tear_completes_stays_away(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 10, 100);
    world_advance(member->world, 2000);
    uint32_t content = member->next_content;
    member_append(member, 12, 1, 9000);
    storage_flush(member->storage);
    member_append(member, 5, 1, 100);
    storage_flush(member->storage);
    assert_int_equal(member->world->n_writes, 2);
    world_finish_write(member->world, 1);
    tear(member, member->world->writes[0], 0, 1);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(storage_next_index(member->storage), 12);
    member_check(member);
    member->next_content = content;
    member_append(member, 12, 1, 9000);
    storage_flush(member->storage);
    assert_int_equal(member->world->n_writes, 1);
    tear(member, member->world->writes[0], 1, 3);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(storage_next_index(member->storage), 12);
    member_check(member);
}

static void an_old_record_in_the_next_segment_stays_away(void **state)
{
    struct member *member = *state;
    while (MEMBER_SEGMENT - end_of(member) >= 3u * LIMIT_BLOCK_BYTES) {
        append(member, 100);
    }
    /* Two blocks are left: the first fits, the second goes into segment 2 and survives alone. */
    second_of_two_survives(member, 5000);
    assert_int_equal(member->storage->current, 0);
    append(member, 100); /* smaller than the torn one: one block is left */
    append(member, 100);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    member_check(member);
    append(member, 5000);
    assert_int_equal(member->storage->current, 1);
    member_stop(member, true);
    member_start(member);
    member_check(member);
}

static void a_torn_first_record_of_a_segment_is_cut_off_there(void **state)
{
    struct member *member = *state;
    while (end_of(member) < MEMBER_SEGMENT) {
        append(member, 100);
    }
    assert_int_equal(member->storage->current, 0);
    uint64_t next = member_next(member);
    second_of_two_survives(member, 100); /* both in segment 2 */
    assert_int_equal(storage_next_index(member->storage), next);
    assert_int_equal(member->storage->current, 1);
    append(member, 5000);
    for (int i = 0; i < 2; i++) {
        member_crash(member, WORLD_LOSE);
        assert_int_equal(member_open(member), ERROR_NONE);
        member_check(member);
        assert_int_equal(storage_next_index(member->storage), next + 1);
    }
}

static void the_torn_end_of_a_segment_may_go_on_in_the_next(void **state)
{
    struct member *member = *state;
    while (MEMBER_SEGMENT - end_of(member) >= 2u * LIMIT_BLOCK_BYTES) {
        append(member, 100);
    }
    uint64_t at = end_of(member);
    append(member, 100); /* the last block */
    member_crash(member, WORLD_LOSE);
    world_flip(member->world, SEGMENT_1, at + 20, 1);
    assert_int_equal(member_open(member), ERROR_NONE);
    uint64_t next = storage_next_index(member->storage);
    storage_loaded_release(member->storage);
    member_append(member, next, 1, 6000); /* doesn't fit where the torn one stood */
    world_advance(member->world, 1100);
    assert_int_equal(member->storage->current, 1);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(storage_next_index(member->storage), next + 1);
}

static void a_payload_that_looks_like_a_record_is_none(void **state)
{
    struct member *member = *state;
    append(member, 100);
    /* An entry whose payload holds, on a block's boundary, a copy of a whole record with a high `acked`: a client that
     * could read the log, but not the identity, can make the rest fit and not the salted checksum. */
    struct storage_owner guess = member->storage->owner;
    guess.salt[3] ^= 0x40;
    size_t len = 3u * LIMIT_BLOCK_BYTES;
    uint8_t *payload = calloc(1, len);
    CHECK(payload != NULL);
    size_t header = STORAGE_RECORD_HEADER_BYTES + STORAGE_ENTRY_HEADER_BYTES;
    struct storage_record forged = {.kind = STORAGE_RECORD_MARKER, .segment = 1, .sequence = 900, .acked = 899};
    storage_record_seal(&forged, payload + LIMIT_BLOCK_BYTES - header, &guess);
    struct storage_entry entry = {.term = 1, .type = 1, .data = {.base = payload, .len = len}};
    uint64_t at = end_of(member);
    struct storage_append unanswered = {0};
    storage_append(member->storage, &unanswered, storage_next_index(member->storage), &entry, 1);
    storage_flush(member->storage);
    world_crash(member->world, WORLD_KEEP); /* whole on the disk, never answered */
    storage_crash(member->storage);
    member->storage = NULL;
    world_flip(member->world, SEGMENT_1, at + 3u * LIMIT_BLOCK_BYTES, 1); /* its end is torn */
    free(payload);
    assert_int_equal(member_open(member), ERROR_NONE);
    member_check(member);
}

static void old_bytes_of_a_recycled_segment_are_never_new(void **state)
{
    struct member *member = *state;
    uint64_t recycled = 0;
    for (int i = 0; i < 90 && recycled == 0; i++) {
        append(member, 9000);
        if (i % 20 == 19) {
            assert_true(member_snapshot(member, member_next(member) - 2, 2));
            world_run(member->world);
        }
        const struct storage_segment *ready = &member->storage->segments[member->storage->n_segments - 1];
        char path[STORAGE_PATH_BYTES];
        storage_path_segment(path, ready->number);
        const struct world_file *file = world_find(member->world, path);
        for (uint64_t old = 1; old < ready->number; old++) {
            if (storage_record_resembles(file->now + LIMIT_BLOCK_BYTES, LIMIT_BLOCK_BYTES, old)) {
                recycled = ready->number; /* it holds whole records of segment `old` */
            }
        }
    }
    assert_true(recycled > 0);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(member->notes, 0);
    member_check(member);
    while (member->storage->segments[member->storage->current].number < recycled) {
        append(member, 9000);
    }
    append(member, 100);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(member->notes, 0);
    member_check(member);
}

static void a_torn_truncation_brings_the_old_entries_back(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 10, 100);
    world_run(member->world);
    member_append(member, 5, 1, 100);
    storage_flush(member->storage);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(storage_next_index(member->storage), 12);
    member_check(member);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_last_record_without_witness_counts_as_torn),
        TEST(a_marker_makes_the_same_flip_damage),
        TEST(an_orderly_stop_makes_the_same_flip_damage),
        TEST(a_witness_in_a_later_segment_counts),
        TEST(zeroed_records_with_a_witness_behind_them_are_damage),
        TEST(a_whole_record_behind_a_torn_one_is_cut_off_with_it),
        TEST(a_whole_old_record_behind_a_rewritten_torn_one_stays_away),
        TEST(a_torn_record_that_a_second_tear_completes_stays_away),
        TEST(an_old_record_in_the_next_segment_stays_away),
        TEST(a_torn_first_record_of_a_segment_is_cut_off_there),
        TEST(the_torn_end_of_a_segment_may_go_on_in_the_next),
        TEST(a_payload_that_looks_like_a_record_is_none),
        TEST(old_bytes_of_a_recycled_segment_are_never_new),
        TEST(a_torn_truncation_brings_the_old_entries_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
