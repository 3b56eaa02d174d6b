/* Snapshots: written, read back, published, installed; what they let go, and what they keep. */
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
    world_init(world, 4);
    struct member *member = member_new(world);
    member_start(member);
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

static void fill(struct member *member, int n, size_t bytes)
{
    for (int i = 0; i < n; i++) {
        member_append(member, member_next(member), 1, bytes);
        world_run(member->world);
    }
}

static void reopen(struct member *member, bool orderly)
{
    member_stop(member, orderly);
    member_start(member);
    member_check(member);
}

static unsigned files_in(struct member *member, const char *directory, const char *suffix)
{
    unsigned n = 0;
    for (int i = 0; i < WORLD_ENTRIES; i++) {
        const char *path = member->world->now[i].path;
        n += strncmp(path, directory, strlen(directory)) == 0 && strstr(path, suffix) != NULL;
    }
    return n;
}

static void there_is_none_at_first(void **state)
{
    struct member *member = *state;
    struct storage_snapshot_info info;
    struct storage_snapshot_reader *reader;
    storage_snapshot_newest(member->storage, &info);
    assert_int_equal(info.index, 0);
    assert_int_equal(storage_snapshot_open(member->storage, &reader, &member->text), ERROR_NOT_FOUND);
}

static void a_snapshot_is_newest_once_it_is_done_and_after_a_restart(void **state)
{
    struct member *member = *state;
    struct storage_snapshot_info info;
    fill(member, 10, 100);
    assert_true(member_snapshot(member, 8, 3));
    storage_snapshot_newest(member->storage, &info);
    assert_int_equal(info.index, 0);
    world_run(member->world);
    assert_false(member->publishing);
    storage_snapshot_newest(member->storage, &info);
    assert_int_equal(info.index, 8);
    assert_int_equal(info.term, member_term(member, 8));
    assert_int_equal(info.configuration_index, 1);
    member_crash(member, WORLD_LOSE);
    member_start(member);
    member_check(member);
    storage_snapshot_newest(member->storage, &info);
    assert_int_equal(info.index, 8);
    assert_int_equal(info.configuration_index, 1);
}

static void the_checksum_is_that_of_the_chunks_checksums(void **state)
{
    struct member *member = *state;
    struct storage_snapshot_info info;
    uint8_t sums[3 * 8];
    struct buffer chunk;
    buffer_init(&chunk);
    fill(member, 10, 100);
    assert_true(member_snapshot(member, 8, 3));
    world_run(member->world);
    storage_snapshot_newest(member->storage, &info);
    assert_int_equal(info.chunks, 3);
    uint64_t size = 0;
    for (uint64_t i = 0; i < 3; i++) {
        member_chunk(8, i, &chunk);
        bytes_put_u64(sums + 8 * i, checksum_64(chunk.base, chunk.len));
        size += chunk.len;
    }
    assert_int_equal(info.checksum, checksum_64(sums, sizeof sums));
    assert_int_equal(info.size, size);
    buffer_close(&chunk);
}

static void segments_below_are_dropped_and_recycled_oldest_first(void **state)
{
    struct member *member = *state;
    fill(member, 40, 9000);
    uint64_t current = member->storage->segments[member->storage->current].number;
    assert_true(current > 6);
    assert_true(member_snapshot(member, 38, 4));
    world_run(member->world);
    assert_true(member->storage->segments[0].number > 5);
    assert_true(member->storage->n_spares > 2);
    uint64_t oldest = member->storage->spares[0];
    char path[STORAGE_PATH_BYTES];
    storage_path_segment(path, oldest);
    const struct world_file *file = world_find(member->world, path);
    fill(member, 9, 9000);
    assert_null(world_find(member->world, path));
    bool found = false;
    for (size_t i = 0; i < member->storage->n_segments; i++) {
        storage_path_segment(path, member->storage->segments[i].number);
        found = found || world_find(member->world, path) == file;
    }
    assert_true(found);
    reopen(member, true);
}

static void at_least_the_trailing_entries_stay(void **state)
{
    struct member *member = *state;
    for (unsigned i = 0; i < 12; i++) {
        fill(member, 6, 5000);
        assert_true(member_snapshot(member, member_next(member) - 1, 2 + i));
        world_run(member->world);
        reopen(member, i % 2 == 0); /* member_check looks at what must be kept */
        assert_true(member->storage->n_segments < 8);
    }
}

static void spares_are_bounded(void **state)
{
    struct member *member = *state;
    fill(member, 120, 9000);
    assert_true(files_in(member, "log/", ".segment") > LIMIT_SPARE_SEGMENTS + 10);
    assert_true(member_snapshot(member, member_next(member) - 1, 1));
    world_run(member->world);
    assert_int_equal(member->storage->n_spares, LIMIT_SPARE_SEGMENTS);
    assert_int_equal(files_in(member, "log/", ".segment"), LIMIT_SPARE_SEGMENTS + member->storage->n_segments);
    reopen(member, true);
    assert_int_equal(member->storage->n_spares, LIMIT_SPARE_SEGMENTS);
}

static void a_reader_keeps_its_file_when_a_newer_one_is_published(void **state)
{
    struct member *member = *state;
    struct storage_snapshot_reader *reader;
    struct storage_snapshot_info info;
    struct buffer chunk, expected;
    buffer_init(&chunk);
    buffer_init(&expected);
    fill(member, 20, 100);
    assert_true(member_snapshot(member, 8, 3));
    world_run(member->world);
    assert_int_equal(storage_snapshot_open(member->storage, &reader, &member->text), ERROR_NONE);
    assert_true(member_snapshot(member, 14, 3));
    world_run(member->world);
    assert_int_equal(files_in(member, "snapshot/", ".snapshot"), 2);
    storage_snapshot_reader_info(reader, &info);
    assert_int_equal(info.index, 8);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(storage_snapshot_read(reader, (uint64_t)i, &chunk, &member->text), ERROR_NONE);
        member_chunk(8, (uint64_t)i, &expected);
        assert_true(slice_equal(buffer_slice(&chunk), buffer_slice(&expected)));
    }
    storage_snapshot_reader_close(reader);
    world_run(member->world);
    assert_int_equal(files_in(member, "snapshot/", ".snapshot"), 1);
    buffer_close(&chunk);
    buffer_close(&expected);
}

static void an_older_snapshot_that_cannot_be_removed_is_fatal(void **state)
{
    struct member *member = *state;
    char path[STORAGE_PATH_BYTES];
    fill(member, 20, 100);
    assert_true(member_snapshot(member, 8, 3));
    world_run(member->world);
    assert_true(member_snapshot(member, 14, 3));
    assert_true(world_run_work(member->world));
    assert_false(member->publishing);
    member->world->fail_at = member->world->count + 1;
    assert_true(world_run_work(member->world));
    assert_int_equal(member->fatals, 1);
    storage_path_snapshot(path, 8);
    assert_string_equal(member->fatal_path, path);
    assert_string_equal(member->fatal_what, "unlink");
    member_crash(member, WORLD_LOSE);
}

static void a_chunk_that_went_bad_is_refused_when_it_is_read(void **state)
{
    struct member *member = *state;
    struct storage_snapshot_reader *reader;
    struct buffer chunk;
    char path[STORAGE_PATH_BYTES];
    buffer_init(&chunk);
    fill(member, 20, 100);
    assert_true(member_snapshot(member, 8, 3));
    world_run(member->world);
    storage_path_snapshot(path, 8);
    assert_int_equal(storage_snapshot_open(member->storage, &reader, &member->text), ERROR_NONE);
    assert_int_equal(storage_snapshot_read(reader, 0, &chunk, &member->text), ERROR_NONE);
    world_find(member->world, path)->now[STORAGE_SNAPSHOT_FIRST_CHUNK + 40] ^= 1;
    assert_int_equal(storage_snapshot_read(reader, 0, &chunk, &member->text), ERROR_CORRUPT);
    assert_int_equal(storage_snapshot_read(reader, 1, &chunk, &member->text), ERROR_NONE);
    world_find(member->world, path)->now[STORAGE_SNAPSHOT_FIRST_CHUNK + 40] ^= 1;
    storage_snapshot_reader_close(reader);
    buffer_close(&chunk);
}

static void a_received_file_is_read_back_while_it_grows(void **state)
{
    struct member *member = *state;
    struct storage_snapshot_writer *taking, *receiving, *third;
    struct buffer chunk;
    buffer_init(&chunk);
    assert_int_equal(storage_snapshot_begin(member->storage, false, &taking, &member->text), ERROR_NONE);
    assert_int_equal(storage_snapshot_begin(member->storage, true, &receiving, &member->text), ERROR_NONE);
    assert_int_equal(storage_snapshot_begin(member->storage, true, &third, &member->text), ERROR_BUSY);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(storage_snapshot_write(receiving,
                                                slice_of(i == 0   ? "one"
                                                         : i == 1 ? ""
                                                                  : "three"),
                                                &member->text),
                         ERROR_NONE);
    }
    assert_int_equal(storage_snapshot_written(receiving), 3);
    assert_int_equal(storage_snapshot_reread(receiving, 2, &chunk, &member->text), ERROR_NONE);
    assert_true(slice_equal(buffer_slice(&chunk), slice_of("three")));
    assert_int_equal(storage_snapshot_reread(receiving, 1, &chunk, &member->text), ERROR_NONE);
    assert_int_equal(chunk.len, 0);
    storage_snapshot_discard(receiving);
    storage_snapshot_discard(taking);
    assert_int_equal(files_in(member, "snapshot/", ".tmp"), 0);
    assert_int_equal(storage_snapshot_begin(member->storage, true, &third, &member->text), ERROR_NONE);
    storage_snapshot_discard(third);
    buffer_close(&chunk);
}

static void a_chunk_over_its_bound_is_refused_and_one_below_comes_back(void **state)
{
    struct member *member = *state;
    struct storage_snapshot_writer *writer;
    uint8_t *large = calloc(1, LIMIT_SNAPSHOT_CHUNK_BYTES + 1);
    CHECK(large != NULL);
    assert_int_equal(storage_snapshot_begin(member->storage, false, &writer, &member->text), ERROR_NONE);
    struct slice chunk = {.base = large, .len = LIMIT_SNAPSHOT_CHUNK_BYTES + 1};
    assert_int_equal(storage_snapshot_write(writer, chunk, &member->text), ERROR_TOO_BIG);
    chunk.len--;
    large[chunk.len - 1] = 'x';
    assert_int_equal(storage_snapshot_write(writer, chunk, &member->text), ERROR_NONE);
    struct buffer again;
    buffer_init(&again);
    assert_int_equal(storage_snapshot_reread(writer, 0, &again, &member->text), ERROR_NONE);
    assert_true(slice_equal(buffer_slice(&again), chunk));
    buffer_close(&again);
    storage_snapshot_discard(writer);
    free(large);
}

/* ---- installs ---- */

static void an_install_empties_the_log(void **state)
{
    struct member *member = *state;
    fill(member, 30, 5000);
    assert_true(member_snapshot(member, 200, 0));
    assert_int_equal(storage_next_index(member->storage), 201);
    world_run(member->world);
    assert_int_equal(member->publish_error, ERROR_NONE);
    member_crash(member, WORLD_LOSE);
    member_start(member);
    struct storage_loaded loaded;
    storage_loaded(member->storage, &loaded);
    assert_int_equal(loaded.n_entries, 0);
    assert_int_equal(loaded.first_index, 201);
    assert_int_equal(loaded.snapshot.index, 200);
    member_check(member);
    fill(member, 30, 5000);
    reopen(member, true);
}

/* So that nothing that was ever written there follows on, whatever its sequence. */
static void an_install_begins_a_new_chain_that_later_snapshots_repeat(void **state)
{
    struct member *member = *state;
    fill(member, 30, 5000);
    uint64_t segment = member->storage->segments[member->storage->current].number;
    uint64_t sequence = member->storage->sequence;
    uint64_t chain = member->storage->chain;
    assert_true(member_snapshot(member, 200, 0));
    world_run(member->world);
    const struct storage_begin begin = member->storage->begin;
    assert_int_equal(begin.segment, segment + 1);
    assert_int_equal(begin.sequence, sequence);
    assert_true(begin.chain != chain);
    fill(member, 4, 100);
    assert_true(member_snapshot(member, 203, 2));
    world_run(member->world);
    reopen(member, false);
    assert_int_equal(member->storage->begin.segment, begin.segment);
    assert_int_equal(member->storage->begin.sequence, begin.sequence);
    assert_true(member->storage->begin.chain == begin.chain);
}

static void an_install_may_go_below_the_logs_end(void **state)
{
    struct member *member = *state;
    fill(member, 30, 500);
    assert_true(member_snapshot(member, 12, 0));
    member_append(member, 13, 2, 100);
    world_run(member->world);
    reopen(member, false);
    assert_int_equal(storage_next_index(member->storage), 15);
}

static void appends_before_an_install_are_answered_and_after_it_wait(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 1, 100);
    storage_flush(member->storage);
    member_append(member, 3, 1, 100);
    member_append(member, 4, 1, 100);
    assert_true(member_snapshot(member, 50, 0));
    member_append(member, 51, 1, 100);
    member_append(member, 52, 1, 100);
    storage_flush(member->storage);
    assert_int_equal(member->world->n_writes, 2);
    world_finish_write(member->world, 0);
    world_finish_write(member->world, 0);
    assert_int_equal(member->n_acked, 3);
    assert_true(member->publishing);
    world_run_posts(member->world);
    assert_int_equal(member->world->n_writes, 0); /* not before the snapshot is in place */
    world_run(member->world);
    assert_false(member->publishing);
    assert_int_equal(member->n_acked, 5);
    reopen(member, false);
    assert_int_equal(storage_next_index(member->storage), 53);
}

static void an_install_waits_for_its_segment(void **state)
{
    struct member *member = *state;
    while (member->storage->current + 1 < member->storage->n_segments) {
        member_append(member, member_next(member), 1, 9000);
        storage_flush(member->storage);
        world_finish_write(member->world, 0);
    }
    assert_true(member->storage->prepare.running);
    assert_true(member_snapshot(member, 300, 0));
    assert_false(member->storage->publishing.running);
    world_run(member->world);
    assert_false(member->publishing);
    reopen(member, true);
}

static void closing_cancels_an_install_that_waits(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 1, 100);
    storage_flush(member->storage);
    assert_true(member_snapshot(member, 300, 0));
    member_append(member, 301, 1, 100);
    member_close(member, true);
    world_run(member->world);
    assert_true(member->closed);
    assert_false(member->publishing);
    assert_int_equal(member->publish_error, ERROR_CANCELED);
    assert_int_equal(member->n_acked, 2);
    world_restart(member->world);
    member_start(member);
    member_check(member);
}

static void installs_and_snapshots_may_follow_each_other(void **state)
{
    struct member *member = *state;
    for (unsigned i = 0; i < 6; i++) {
        fill(member, 10, 3000);
        assert_true(member_snapshot(member, member_next(member) - 2, 3));
        world_run(member->world);
        reopen(member, i % 2 == 0);
        assert_true(member_snapshot(member, member_next(member) + 3, 0));
        world_run(member->world);
        reopen(member, i % 3 == 0);
    }
}

/* ---- the log and the snapshot disagree ---- */

static void a_log_that_ends_before_the_snapshot_is_dropped_for_good(void **state)
{
    struct member *member = *state;
    fill(member, 10, 100);
    /* The caller's mistake, or a torn end below a snapshot: nothing else makes one. */
    member->states[member->n_states - 1].content[20] = 0;
    assert_true(member_snapshot(member, 20, 50));
    world_run(member->world);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(member->notes, 1);
    struct storage_loaded loaded;
    storage_loaded(member->storage, &loaded);
    assert_int_equal(loaded.n_entries, 0);
    assert_int_equal(loaded.first_index, 21);
    storage_loaded_release(member->storage);
    member_append(member, 21, 2, 100);
    world_run(member->world);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(member->notes, 0);
    storage_loaded(member->storage, &loaded);
    assert_int_equal(loaded.first_index, 21);
    assert_int_equal(loaded.n_entries, 2);
}

static void a_log_with_another_term_at_the_snapshots_index_is_dropped_for_good(void **state)
{
    struct member *member = *state;
    fill(member, 10, 100);
    uint32_t content = member->states[member->n_states - 1].content[8];
    member->states[member->n_states - 1].content[8] = 5000; /* another term */
    assert_true(member_snapshot(member, 8, 50));
    member->states[member->n_states - 1].content[8] = content;
    world_run(member->world);
    for (size_t i = 0; i < 3; i++) {
        member_crash(member, WORLD_LOSE);
        assert_int_equal(member_open(member), ERROR_NONE);
        struct storage_loaded loaded;
        storage_loaded(member->storage, &loaded);
        assert_int_equal(loaded.first_index, 9);
        assert_int_equal(loaded.n_entries, i);
        storage_loaded_release(member->storage);
        member_append(member, 9 + i, 1, 100);
        world_run(member->world);
    }
}

/* ---- space ---- */

static struct storage_figures figures_of(struct member *member)
{
    struct storage_figures figures;
    world_advance(member->world, 1500);
    storage_figures(member->storage, &figures); /* looks again */
    world_run(member->world);
    storage_figures(member->storage, &figures);
    return figures;
}

static void the_reserve_is_the_next_segment_and_a_snapshot(void **state)
{
    struct member *member = *state;
    member_stop(member, true);
    member->reserve_bytes = 1000000;
    member_start(member);
    member_check(member);
    member->world->free_bytes = 1000000;
    assert_true(figures_of(member).reserve_ok); /* the next segment is in place */
    assert_int_equal(figures_of(member).free_bytes, 1000000);
    member->world->free_bytes = 999999;
    assert_false(figures_of(member).reserve_ok);
    member->world->free_bytes = MEMBER_SEGMENT - 1; /* no room for a segment once this one is used */
    while (member->storage->current + 1 < member->storage->n_segments) {
        fill(member, 1, 9000);
    }
    assert_false(figures_of(member).reserve_ok);
    member->world->free_bytes = 1000000 + MEMBER_SEGMENT - 1;
    assert_false(figures_of(member).reserve_ok); /* the next segment isn't made from what a snapshot needs */
    assert_false(storage_segment_ready(member->storage));
    member->world->free_bytes = 1000000 + MEMBER_SEGMENT;
    assert_true(figures_of(member).reserve_ok); /* it was looked for again, and made */
    assert_true(storage_segment_ready(member->storage));
    assert_int_equal(member->fatals, 0);
}

static void the_reserve_grows_with_the_snapshots(void **state)
{
    struct member *member = *state;
    fill(member, 10, 100);
    assert_true(member_snapshot(member, 8, 2));
    world_run(member->world);
    struct storage_snapshot_info newest;
    storage_snapshot_newest(member->storage, &newest);
    assert_true(newest.size > 0);
    member->world->free_bytes = member->reserve_bytes + newest.size;
    assert_true(figures_of(member).reserve_ok); /* the next segment is in place */
    member->world->free_bytes--;
    assert_false(figures_of(member).reserve_ok);
}

/* The log waits for a segment, and the last append with it. */
static void fill_until_it_stops(struct member *member)
{
    while (!member->storage->blocked) {
        fill(member, 1, 9000);
    }
    assert_int_equal(member->n_acked + 1, member->n_requests);
}

/* There is room for a segment or for a snapshot, not for both. */
static void the_log_waits_for_a_snapshot_before_it_takes_its_reserve(void **state)
{
    struct member *member = *state;
    member_stop(member, true);
    member->reserve_bytes = MEMBER_SEGMENT;
    member_start(member);
    member_check(member);
    fill(member, 20, 9000);
    member->world->free_bytes = 2 * MEMBER_SEGMENT - 1;
    fill_until_it_stops(member);
    unsigned n = files_in(member, "log/", ".segment");
    assert_true(member_snapshot(member, member_next(member) - 4, 2));
    world_run(member->world);
    assert_int_equal(member->n_acked, member->n_requests); /* into a recycled one */
    assert_true(files_in(member, "log/", ".segment") <= n);
    fill_until_it_stops(member);
    n = files_in(member, "log/", ".segment");
    struct storage_snapshot_writer *writer;
    assert_int_equal(storage_snapshot_begin(member->storage, false, &writer, &member->text), ERROR_NONE);
    for (int i = 0; i < 20; i++) { /* a long one */
        world_advance(member->world, 1000);
    }
    assert_true(member->storage->blocked);
    assert_int_equal(files_in(member, "log/", ".segment"), n);
    storage_snapshot_discard(writer);
    world_advance(member->world, 1000);
    assert_int_equal(member->n_acked, member->n_requests); /* none comes, and the log must go on */
    assert_true(files_in(member, "log/", ".segment") > n);
    assert_int_equal(member->fatals, 0);
    reopen(member, true);
}

static void the_figures_tell_what_a_snapshot_would_free(void **state)
{
    struct member *member = *state;
    assert_true(figures_of(member).oldest_last_index == UINT64_MAX);
    fill(member, 30, 9000);
    uint64_t last = figures_of(member).oldest_last_index;
    assert_true(last > 1 && last < member_next(member) - 4);
    uint64_t oldest = member->storage->segments[0].number;
    assert_true(member_snapshot(member, last + 1, 2));
    world_run(member->world);
    assert_int_equal(member->storage->segments[0].number, oldest);
    assert_true(member_snapshot(member, last + 2, 2));
    world_run(member->world);
    assert_int_equal(member->storage->segments[0].number, oldest + 1);
    assert_true(figures_of(member).oldest_last_index > last);
}

static void a_full_disk_is_fatal_only_when_the_next_segment_is_needed(void **state)
{
    struct member *member = *state;
    member->world->free_bytes = 0;
    while (member->storage->current + 1 < member->storage->n_segments) {
        fill(member, 1, 9000);
    }
    world_advance(member->world, 10000);
    assert_int_equal(member->fatals, 0);
    fill_until_it_stops(member);
    assert_int_equal(member->fatals, 0); /* a snapshot may come and free one */
    size_t acked = member->n_acked;
    world_advance(member->world, 1000);
    assert_int_equal(member->fatals, 0);
    for (int i = 0; i < 3; i++) {
        world_advance(member->world, 1000);
    }
    assert_int_equal(member->fatals, 1);
    assert_int_equal(member->n_acked, acked);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    member_check(member);
    member->world->free_bytes = 1ull << 30;
    storage_log_start(member->storage);
    world_run(member->world);
    fill(member, 5, 9000);
    reopen(member, true);
}

/* Between the look for free space and the last byte of the new file somebody else may take it. */
static void space_that_goes_while_a_segment_is_made_is_waited_for(void **state)
{
    struct member *member = *state;
    const unsigned create = 1, sync = 4, rename = 5;
    member->world->fault_error = ERROR_NO_SPACE;
    for (unsigned at = create; at <= rename; at++) {
        member->world->free_bytes = 0;
        while (member->storage->current + 1 < member->storage->n_segments) {
            fill(member, 1, 9000);
        }
        world_advance(member->world, 3000); /* the marker is written, and nothing else has to be */
        member->world->free_bytes = 1ull << 30;
        member->world->fail_at = member->world->count + at;
        while (member->world->count < member->world->fail_at) {
            world_advance(member->world, 100);
        }
        assert_int_equal(member->fatals, at <= sync ? 0 : 1);
        if (at <= sync) {
            assert_null(world_find(member->world, STORAGE_PATH_SEGMENT_TMP));
            world_advance(member->world, 1000);
            assert_true(member->storage->current + 1 < member->storage->n_segments);
        }
    }
}

static void a_snapshot_frees_a_full_disk(void **state)
{
    struct member *member = *state;
    fill(member, 20, 9000);
    member->world->free_bytes = 0;
    while (member->storage->current + 1 < member->storage->n_segments) {
        fill(member, 1, 9000);
    }
    assert_true(member_snapshot(member, member_next(member) - 1, 2));
    world_run(member->world);
    assert_true(member->storage->current + 1 < member->storage->n_segments);
    fill(member, 20, 9000); /* into recycled segments */
    assert_int_equal(member->fatals, 0);
    reopen(member, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_is_none_at_first),
        TEST(a_snapshot_is_newest_once_it_is_done_and_after_a_restart),
        TEST(the_checksum_is_that_of_the_chunks_checksums),
        TEST(segments_below_are_dropped_and_recycled_oldest_first),
        TEST(at_least_the_trailing_entries_stay),
        TEST(spares_are_bounded),
        TEST(a_reader_keeps_its_file_when_a_newer_one_is_published),
        TEST(an_older_snapshot_that_cannot_be_removed_is_fatal),
        TEST(a_chunk_that_went_bad_is_refused_when_it_is_read),
        TEST(a_received_file_is_read_back_while_it_grows),
        TEST(a_chunk_over_its_bound_is_refused_and_one_below_comes_back),
        TEST(an_install_empties_the_log),
        TEST(an_install_begins_a_new_chain_that_later_snapshots_repeat),
        TEST(an_install_may_go_below_the_logs_end),
        TEST(appends_before_an_install_are_answered_and_after_it_wait),
        TEST(an_install_waits_for_its_segment),
        TEST(closing_cancels_an_install_that_waits),
        TEST(installs_and_snapshots_may_follow_each_other),
        TEST(a_log_that_ends_before_the_snapshot_is_dropped_for_good),
        TEST(a_log_with_another_term_at_the_snapshots_index_is_dropped_for_good),
        TEST(the_reserve_is_the_next_segment_and_a_snapshot),
        TEST(the_reserve_grows_with_the_snapshots),
        TEST(the_log_waits_for_a_snapshot_before_it_takes_its_reserve),
        TEST(the_figures_tell_what_a_snapshot_would_free),
        TEST(a_full_disk_is_fatal_only_when_the_next_segment_is_needed),
        TEST(space_that_goes_while_a_segment_is_made_is_waited_for),
        TEST(a_snapshot_frees_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
