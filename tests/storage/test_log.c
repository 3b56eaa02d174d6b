/* The log without accidents: what is acknowledged, when, in which records, and that it is there again. */
#include <errno.h>
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
    world_init(world, 1);
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

static void reopen(struct member *member, bool orderly)
{
    member_stop(member, orderly);
    member_start(member);
    member_check(member);
}

static uint64_t writes(struct member *member)
{
    struct storage_figures figures;
    storage_figures(member->storage, &figures);
    return figures.writes;
}

static void a_bootstrapped_log_holds_the_first_entry(void **state)
{
    struct member *member = *state;
    struct storage_loaded loaded;
    storage_loaded(member->storage, &loaded);
    assert_int_equal(loaded.term, 1);
    assert_int_equal(loaded.vote, 0);
    assert_int_equal(loaded.first_index, 1);
    assert_int_equal(loaded.n_entries, 1);
    assert_int_equal(loaded.snapshot.index, 0);
    assert_int_equal(storage_next_index(member->storage), 2);
    reopen(member, true);
}

static void what_is_appended_is_there_again(void **state)
{
    struct member *member = *state;
    for (int i = 0; i < 20; i++) {
        member_append(member, member_next(member), 1 + (size_t)i % 3, 50);
        if (i % 4 == 0) {
            world_run(member->world);
        }
    }
    world_run(member->world);
    assert_int_equal(member->n_acked, 20);
    reopen(member, true);
    assert_int_equal(member->notes, 0);
}

static void nothing_is_written_or_answered_before_append_returns(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 1, 50);
    assert_int_equal(member->world->n_writes, 0);
    assert_int_equal(member->n_acked, 0);
    storage_flush(member->storage);
    assert_int_equal(member->world->n_writes, 1);
    assert_int_equal(member->n_acked, 0);
    world_finish_write(member->world, 0);
    assert_int_equal(member->n_acked, 1);
}

static void the_end_of_the_turn_flushes(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 1, 50);
    world_run_posts(member->world);
    assert_int_equal(member->world->n_writes, 1);
    world_run(member->world);
}

static void what_arrives_while_two_are_in_flight_shares_a_record(void **state)
{
    struct member *member = *state;
    uint64_t before = writes(member);
    for (int i = 0; i < 10; i++) {
        member_append(member, member_next(member), 1, 50);
        storage_flush(member->storage);
    }
    assert_int_equal(member->world->n_writes, 2);
    world_run(member->world);
    assert_int_equal(member->n_acked, 10);
    assert_int_equal(writes(member) - before, 3);
    assert_int_equal(member->world->max_in_flight, 2);
    reopen(member, true);
}

static void the_time_from_submission_to_durable_is_measured(void **state)
{
    struct member *member = *state;
    struct storage_figures figures;
    storage_figures(member->storage, &figures);
    struct histogram before = *figures.write_durations;
    assert_int_equal(histogram_count(&before), figures.writes);
    member_append(member, 2, 1, 50);
    member->world->mono_ns += 70000000; /* it waits for the end of the turn: not the disk's time */
    storage_flush(member->storage);
    member->world->mono_ns += 3000000;
    world_finish_write(member->world, 0);
    const struct histogram *after = figures.write_durations; /* always current */
    assert_int_equal(histogram_count(after), histogram_count(&before) + 1);
    assert_int_equal(after->sum_ns - before.sum_ns, 3000000);
}

static void a_truncation_starts_a_record_of_its_own(void **state)
{
    struct member *member = *state;
    for (int i = 0; i < 3; i++) {
        member_append(member, member_next(member), 3, 50);
        storage_flush(member->storage);
    }
    uint64_t before = writes(member);
    member_append(member, member_next(member), 2, 50);
    member_append(member, 5, 2, 50); /* truncates what is in flight and queued */
    member_append(member, 7, 1, 50);
    assert_int_equal(storage_next_index(member->storage), 8);
    world_run(member->world);
    assert_int_equal(writes(member) - before, 2 + 2); /* the two in flight; the queued ones and the truncating ones */
    assert_int_equal(member->n_acked, 6);
    reopen(member, true);
    assert_int_equal(storage_next_index(member->storage), 8);
}

static void out_of_order_writes_are_acknowledged_in_order(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 1, 50);
    storage_flush(member->storage);
    member_append(member, 3, 1, 50);
    storage_flush(member->storage);
    member_append(member, 4, 1, 50);
    storage_flush(member->storage);
    assert_int_equal(member->world->n_writes, 2);
    world_finish_write(member->world, 1);
    assert_int_equal(member->n_acked, 0);
    world_run_posts(member->world);
    assert_int_equal(member->world->n_writes, 1); /* no third before the first is done */
    world_finish_write(member->world, 0);
    assert_int_equal(member->n_acked, 2);
    world_run(member->world);
    assert_int_equal(member->n_acked, 3);
    member->world->reverse = true;
    for (int i = 0; i < 60; i++) {
        member_append(member, member_next(member), 1, 900);
        storage_flush(member->storage);
        if (i % 3 == 0) {
            world_run(member->world);
        }
    }
    world_run(member->world);
    assert_int_equal(member->n_acked, 63);
    reopen(member, true);
}

static void records_go_on_in_the_next_segment(void **state)
{
    struct member *member = *state;
    for (int i = 0; i < 100; i++) {
        member_append(member, member_next(member), 1, 3000 + (size_t)i * 57);
        world_run(member->world);
    }
    assert_int_equal(member->n_acked, 100);
    assert_non_null(world_find(member->world, "log/00000000000000000009.segment"));
    reopen(member, true);
    member_append(member, member_next(member), 1, 50);
    world_run(member->world);
    reopen(member, false);
}

static void the_segment_after_the_current_is_always_ready(void **state)
{
    struct member *member = *state;
    for (int i = 0; i < 60; i++) {
        assert_true(member->storage->current + 1 < member->storage->n_segments);
        member_append(member, member_next(member), 1, 9000);
        world_run(member->world);
    }
}

static void an_append_waits_for_a_segment_that_is_being_made(void **state)
{
    struct member *member = *state;
    for (int i = 0; i < 18; i++) {
        member_append(member, member_next(member), 1, 8000);
        storage_flush(member->storage);
        while (member->world->n_writes > 0) {
            world_finish_write(member->world, 0);
            world_run_posts(member->world);
        }
    }
    assert_true(member->n_acked < 18); /* segments 1 and 2 are full, 3 isn't made */
    world_run(member->world);
    assert_int_equal(member->n_acked, 18);
    reopen(member, true);
}

static void a_large_append_takes_several_records(void **state)
{
    struct member *member = *state;
    uint64_t before = writes(member);
    member_append(member, 2, 40, 5000); /* 200 KB into segments of 64 KiB */
    member_append(member, 42, 1, 50);
    world_run(member->world);
    assert_int_equal(member->n_acked, 2);
    assert_true(writes(member) - before >= 4);
    reopen(member, true);
    assert_int_equal(storage_next_index(member->storage), 43);
}

/* Segments as they are outside tests: there a record ends before its segment does. */
static void a_record_has_a_bound(void **state)
{
    (void)state;
    struct world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    world_init(world, 1);
    struct member *member = member_new(world);
    member->segment_bytes = LIMIT_SEGMENT_BYTES;
    member_start(member);
    const size_t bytes = LIMIT_ENTRY_BYTES - 1024; /* four of them with their headers, and not a fifth */
    uint64_t before = writes(member);
    member_append(member, 2, 4, bytes);
    world_run(world);
    assert_int_equal(writes(member), before + 1);
    member_append(member, 6, 5, bytes);
    world_run(world);
    assert_int_equal(writes(member), before + 3);
    assert_int_equal(member->n_acked, 2);
    reopen(member, false);
    assert_int_equal(storage_next_index(member->storage), 11);
    member_free(member);
    world_close(world);
    free(world);
}

static void a_quiet_log_gets_one_marker(void **state)
{
    struct member *member = *state;
    world_advance(member->world, 5000); /* the bootstrap's record has its witness, too */
    uint64_t before = writes(member);
    member_append(member, 2, 1, 50);
    world_advance(member->world, 900);
    assert_int_equal(writes(member) - before, 1);
    world_advance(member->world, 200);
    assert_int_equal(writes(member) - before, 2);
    world_advance(member->world, 10000);
    assert_int_equal(writes(member) - before, 2);
    reopen(member, true);
    before = writes(member);
    world_advance(member->world, 10000);
    assert_int_equal(writes(member) - before, 0);
    reopen(member, true);
}

static void closing_cancels_what_is_not_done(void **state)
{
    struct member *member = *state;
    for (int i = 0; i < 4; i++) {
        member_append(member, member_next(member), 1, 50);
        storage_flush(member->storage);
    }
    member_close(member, true);
    assert_int_equal(member->n_acked, 0);
    world_run(member->world);
    assert_true(member->closed);
    assert_int_equal(member->n_acked, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(member->requests[i].error, ERROR_CANCELED);
    }
    world_restart(member->world);
    member_start(member);
    member_check(member);
}

static void figures_count_what_lies_behind_the_snapshot(void **state)
{
    struct member *member = *state;
    struct storage_figures figures;
    world_advance(member->world, 2000);
    for (int i = 0; i < 10; i++) {
        member_append(member, member_next(member), 1, 1000);
        storage_figures(member->storage, &figures);
        assert_true(figures.appending);
        world_run(member->world);
    }
    storage_figures(member->storage, &figures);
    assert_false(figures.appending);
    assert_int_equal(figures.entry_bytes_since_snapshot, 10 * 1000 + 100);
    assert_int_equal(figures.log_bytes_since_snapshot, 12 * 4096);
    assert_true(member_snapshot(member, 6, 2));
    world_run(member->world);
    storage_figures(member->storage, &figures);
    assert_int_equal(figures.entry_bytes_since_snapshot, 5 * 1000);
    assert_int_equal(figures.log_bytes_since_snapshot, 5 * 4096);
    reopen(member, false);
    storage_figures(member->storage, &figures);
    assert_int_equal(figures.entry_bytes_since_snapshot, 5 * 1000);
    assert_int_equal(figures.log_bytes_since_snapshot, 5 * 4096);
}

static void truncated_entries_stay_away(void **state)
{
    struct member *member = *state;
    member_append(member, 2, 30, 2000);
    world_run(member->world);
    member_append(member, 10, 2, 100);
    world_run(member->world);
    reopen(member, false);
    assert_int_equal(storage_next_index(member->storage), 12);
    member_append(member, 1, 1, 100); /* down to the first */
    world_run(member->world);
    reopen(member, true);
    assert_int_equal(storage_next_index(member->storage), 2);
}

/* The one accident here: all that an operator gets to know. */
static void a_failed_write_is_told_with_path_offset_and_cause(void **state)
{
    struct member *member = *state;
    world_advance(member->world, 2000);
    uint64_t offset = member->storage->offset;
    member_append(member, 2, 1, 50);
    storage_flush(member->storage);
    member->world->fail_at = member->world->count + 1;
    world_finish_write(member->world, 0);
    assert_int_equal(member->fatals, 1);
    assert_string_equal(member->fatal_path, "log/00000000000000000001.segment");
    assert_int_equal(member->fatal_offset, offset);
    assert_string_equal(member->fatal_what, "write");
    assert_int_equal(member->fatal_os_error, EIO);
    assert_int_equal(member->n_acked, 0);
    member_crash(member, WORLD_LOSE);
}

static void term_and_vote_are_kept(void **state)
{
    struct member *member = *state;
    member_set_term(member, 5);
    member_set_vote(member, 3);
    reopen(member, false);
    unsigned before = member->world->count;
    member_set_term(member, 5); /* the stored one: keeps the vote */
    member->vote = member->vote_asked = 3;
    assert_int_equal(member->world->count, before);
    reopen(member, false);
    member_set_term(member, 6);
    struct storage_loaded loaded;
    reopen(member, false);
    storage_loaded(member->storage, &loaded);
    assert_int_equal(loaded.term, 6);
    assert_int_equal(loaded.vote, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bootstrapped_log_holds_the_first_entry),
        TEST(what_is_appended_is_there_again),
        TEST(nothing_is_written_or_answered_before_append_returns),
        TEST(the_end_of_the_turn_flushes),
        TEST(what_arrives_while_two_are_in_flight_shares_a_record),
        TEST(the_time_from_submission_to_durable_is_measured),
        TEST(a_truncation_starts_a_record_of_its_own),
        TEST(out_of_order_writes_are_acknowledged_in_order),
        TEST(records_go_on_in_the_next_segment),
        TEST(the_segment_after_the_current_is_always_ready),
        TEST(an_append_waits_for_a_segment_that_is_being_made),
        TEST(a_large_append_takes_several_records),
        TEST(a_record_has_a_bound),
        TEST(a_quiet_log_gets_one_marker),
        TEST(closing_cancels_what_is_not_done),
        TEST(figures_count_what_lies_behind_the_snapshot),
        TEST(truncated_entries_stay_away),
        TEST(a_failed_write_is_told_with_path_offset_and_cause),
        TEST(term_and_vote_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
