/* Who we are: stored before anybody is asked, complete last, never mixed up; and one process at a time. */
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
    world_init(world, 2);
    *state = member_new(world);
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

static void an_empty_directory_is_fresh_and_stays_empty(void **state)
{
    struct member *member = *state;
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_null(storage_identity(member->storage));
    member_stop(member, true);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_null(storage_identity(member->storage));
    assert_int_equal(member->world->count, 0);
}

static void name_spec_and_incarnation_come_first(void **state)
{
    struct member *member = *state;
    struct storage_identity identity;
    member_identity(&identity);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(storage_identity_begin(member->storage, &identity, &member->text), ERROR_NONE);
    member_crash(member, WORLD_LOSE); /* durable on return */
    assert_int_equal(member_open(member), ERROR_NONE);
    const struct storage_identity *found = storage_identity(member->storage);
    assert_non_null(found);
    assert_string_equal(found->name, "n1");
    assert_memory_equal(found->incarnation, identity.incarnation, 16);
    assert_true(slice_equal(found->spec, identity.spec));
    assert_false(found->initialised);
    assert_int_equal(found->node_id, 0);
    assert_memory_equal(found->cluster_id, (uint8_t[16]){0}, 16);
    struct storage_identity changed = *found; /* its slices point into what is replaced */
    changed.founders = slice_of("somebody else");
    assert_int_equal(storage_identity_begin(member->storage, &changed, &member->text), ERROR_NONE);
    assert_true(slice_equal(storage_identity(member->storage)->founders, slice_of("somebody else")));
    assert_true(slice_equal(storage_identity(member->storage)->spec, identity.spec));
}

/* The process dies between the rename and the sync of the directory; the next one shows the incarnation to others. */
static void an_identity_that_was_found_is_not_lost(void **state)
{
    struct member *member = *state;
    struct storage_identity identity;
    member_identity(&identity);
    assert_int_equal(member_open(member), ERROR_NONE);
    member->world->fail_at = member->world->count + 5; /* create, write, sync, rename, sync of the directory */
    assert_int_equal(storage_identity_begin(member->storage, &identity, &member->text), ERROR_IO);
    member->world->fail_at = 0;
    member_crash(member, WORLD_DIE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_non_null(storage_identity(member->storage));
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_non_null(storage_identity(member->storage));
    assert_memory_equal(storage_identity(member->storage)->incarnation, identity.incarnation, 16);
    member_stop(member, true);
    member->world->fail_at = member->world->count + 1;
    assert_int_equal(member_open(member), ERROR_IO);
    member->world->fail_at = 0;
    world_restart(member->world);
}

static void bootstrap_completes_it(void **state)
{
    struct member *member = *state;
    struct storage_identity identity;
    member_identity(&identity);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(member_bootstrap(member), ERROR_NONE);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    const struct storage_identity *found = storage_identity(member->storage);
    assert_true(found->initialised);
    assert_int_equal(found->node_id, 1);
    assert_memory_equal(found->cluster_id, identity.cluster_id, 16);
    assert_true(slice_equal(found->founders, identity.founders));
    member_check(member);
}

static void absent_slices_stay_absent(void **state)
{
    struct member *member = *state;
    struct storage_identity identity;
    member_identity(&identity);
    identity.founders = (struct slice){0};
    identity.spec = slice_of("");
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_int_equal(storage_identity_begin(member->storage, &identity, &member->text), ERROR_NONE);
    member_crash(member, WORLD_LOSE);
    assert_int_equal(member_open(member), ERROR_NONE);
    assert_false(slice_is_present(storage_identity(member->storage)->founders));
    assert_true(slice_is_present(storage_identity(member->storage)->spec));
}

static void a_second_process_is_refused(void **state)
{
    struct member *member = *state;
    member_start(member);
    struct member *second = member_new(member->world);
    uint64_t sum = world_sum(member->world);
    assert_int_equal(member_open(second), ERROR_LOCKED);
    assert_non_null(strstr(second->text.text, "lock"));
    assert_int_equal(world_sum(member->world), sum);
    member_free(second);
}

static void files_without_an_identity_are_refused(void **state)
{
    struct member *member = *state;
    member_start(member);
    member_stop(member, true);
    world_remove(member->world, "identity");
    assert_int_equal(member_open(member), ERROR_CORRUPT);
    assert_non_null(strstr(member->text.text, "identity"));
    world_restart(member->world);
}

static void each_failure_of_begin_is_told(void **state)
{
    struct member *member = *state;
    struct storage_identity identity;
    member_identity(&identity);
    assert_int_equal(member_open(member), ERROR_NONE);
    for (unsigned at = 1; at <= 5; at++) { /* create, write, sync, rename, sync of the directory; later also unlink */
        member->world->fail_at = member->world->count + at;
        assert_int_equal(storage_identity_begin(member->storage, &identity, &member->text), ERROR_IO);
        assert_non_null(strstr(member->text.text, "failed"));
    }
    member->world->fail_at = 0;
    assert_int_equal(storage_identity_begin(member->storage, &identity, &member->text), ERROR_NONE);
}

static void other_segment_sizes_are_refused_as_another_version(void **state)
{
    struct member *member = *state;
    member_start(member);
    member_stop(member, true);
    member->segment_bytes *= 2;
    assert_int_equal(member_open(member), ERROR_VERSION);
    world_restart(member->world);
}

static void an_identity_over_its_bound_is_refused_unread(void **state)
{
    struct member *member = *state;
    member_start(member);
    member_stop(member, true);
    world_resize(member->world, "identity", LIMIT_IDENTITY_BYTES + 1);
    assert_int_equal(member_open(member), ERROR_CORRUPT);
    assert_non_null(strstr(member->text.text, "too large"));
    world_restart(member->world);
}

/* ---- term and vote ---- */

static void a_vote_is_durable_before_the_call_returns(void **state)
{
    struct member *member = *state;
    member_start(member);
    for (uint64_t term = 2; term < 12; term++) {
        member_set_term(member, term);
        member_crash(member, WORLD_LOSE);
        member_start(member);
        member_check(member);
        member_set_vote(member, term % 3 + 1);
        member_crash(member, WORLD_LOSE);
        member_start(member);
        assert_int_equal(member->vote, term % 3 + 1);
        member_check(member);
    }
}

static void a_crash_between_the_copies_keeps_the_newer(void **state)
{
    struct member *member = *state;
    member_start(member);
    member_set_term(member, 4);
    for (unsigned at = 1; at <= 4; at++) { /* write, sync; write, sync */
        member->world->fail_at = member->world->count + at;
        member->world->stop_at_fault = true;
        member_set_vote(member, 7 + at);
        assert_int_equal(member->fatals, 1);
        assert_string_equal(member->fatal_path, "vote");
        member_crash(member, WORLD_LOSE);
        member_start(member);
        struct storage_loaded loaded;
        storage_loaded(member->storage, &loaded);
        assert_int_equal(loaded.vote, at > 2 ? 7 + at : member->vote);
        member_check(member);
        /* Both copies hold it now: either one may go bad. */
        member_stop(member, true);
        world_flip(member->world, "vote", at % 2 * LIMIT_BLOCK_BYTES + 60, 1);
        member_start(member);
        member_check(member);
    }
}

static void nothing_is_done_after_a_failed_vote(void **state)
{
    struct member *member = *state;
    member_start(member);
    member->world->fail_at = member->world->count + 2;
    member_set_vote(member, 2);
    assert_int_equal(member->fatals, 1);
    assert_string_equal(member->fatal_what, "sync");
    member_set_term(member, 9);
    member_append(member, 2, 1, 50);
    storage_flush(member->storage);
    world_advance(member->world, 5000);
    assert_int_equal(member->fatals, 1);
    assert_int_equal(member->n_acked, 0);
    assert_int_equal(member->world->after_fault, 0); /* no retry, and nothing else */
    member_crash(member, WORLD_LOSE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_directory_is_fresh_and_stays_empty),
        TEST(name_spec_and_incarnation_come_first),
        TEST(an_identity_that_was_found_is_not_lost),
        TEST(bootstrap_completes_it),
        TEST(absent_slices_stay_absent),
        TEST(a_second_process_is_refused),
        TEST(files_without_an_identity_are_refused),
        TEST(each_failure_of_begin_is_told),
        TEST(other_segment_sizes_are_refused_as_another_version),
        TEST(an_identity_over_its_bound_is_refused_unread),
        TEST(a_vote_is_durable_before_the_call_returns),
        TEST(a_crash_between_the_copies_keeps_the_newer),
        TEST(nothing_is_done_after_a_failed_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
