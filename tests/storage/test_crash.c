/* A crash or a failed operation at every step of a life that has everything in it; then random lives.
 *
 * Whatever the step, whether it took effect or not, and whatever became of what wasn't synced: the directory opens again,
 * all that was acknowledged is there, and nothing else than what was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "member.h"

#define STORM_SEEDS 120
#define STORM_LIVES 10

static bool over(const struct member *member)
{
    return member->fatals > 0 || member->world->stopped || member->storage == NULL;
}

static bool fill(struct member *member, int n, size_t bytes)
{
    for (int i = 0; i < n && !over(member); i++) {
        member_append(member, member_next(member), 1 + (size_t)i % 3, bytes);
        storage_flush(member->storage);
        if (i % 4 == 3) {
            world_run(member->world);
        }
    }
    return !over(member);
}

static bool settle(struct member *member)
{
    world_run(member->world);
    return !over(member);
}

static bool stop_and_start(struct member *member)
{
    member_close(member, true);
    world_run(member->world);
    if (member->fatals > 0 || member->world->stopped) {
        return false; /* the crash frees what is left */
    }
    world_restart(member->world);
    for (size_t i = 0; i < member->n_requests; i++) {
        assert_true(member->requests[i].done);
    }
    if (member_open(member) != ERROR_NONE) {
        return false;
    }
    member_check(member);
    return true;
}

/* Everything once: votes, merged and split appends, truncations, snapshots, recycling, an install, a restart. */
static void life(struct member *member)
{
    member_set_term(member, 2 + member->term);
    if (over(member)) {
        return;
    }
    member_set_vote(member, 3);
    if (over(member) || !fill(member, 12, 3000) || !settle(member)) {
        return;
    }
    member_append(member, member_next(member), 20, 4000);
    storage_flush(member->storage);
    member_append(member, member_next(member) - 5, 2, 100); /* truncates while in flight */
    if (!settle(member) || !member_snapshot(member, member_next(member) - 3, 6) || !fill(member, 5, 2000) ||
        !settle(member)) {
        return;
    }
    world_advance(member->world, 1100);
    if (over(member) || !fill(member, 8, 9000) || !member_snapshot(member, member_next(member) - 2, 4) ||
        !fill(member, 8, 9000) || !settle(member) || !stop_and_start(member)) {
        return;
    }
    if (!fill(member, 3, 700) || !member_snapshot(member, member_next(member) + 40, 0) || !fill(member, 6, 700) ||
        !settle(member)) {
        return;
    }
    member_append(member, member_next(member) - 1, 1, 100);
    if (!settle(member) || !member_snapshot(member, member_next(member) - 1, 3) || !fill(member, 3, 500) ||
        !settle(member)) {
        return;
    }
    member_close(member, true);
    world_run(member->world);
}

/* The directory is good again, and stays so. */
static void live_on(struct member *member)
{
    member_start(member);
    member_check(member);
    member_crash(member, WORLD_LOSE); /* what was read is durable */
    member_start(member);
    member_check(member);
    member_append(member, member_next(member), 2, 60);
    world_advance(member->world, 1100);
    assert_int_equal(member->fatals, 0);
    member_stop(member, true);
    member_start(member);
    member_check(member);
    member_stop(member, false);
}

static unsigned live_and_crash(const struct world_image *image, uint64_t seed, unsigned fail_at, bool stop,
                               enum world_fault fault, enum world_crash how)
{
    static struct world world; /* large */
    world_init(&world, seed);
    world_restore(&world, image);
    struct member *member = member_new(&world);
    assert_int_equal(member_open(member), ERROR_NONE);
    world_run(&world);
    member_check(member);
    world.count = 0;
    world.fail_at = fail_at;
    world.fault = fault;
    world.stop_at_fault = stop;
    life(member);
    unsigned count = world.count;
    assert_true(member->fatals <= 1);
    assert_int_equal(member->called_after_fatal, 0);
    member_crash(member, how);
    world.fault = WORLD_FAIL;
    live_on(member);
    member_free(member);
    world_close(&world);
    return count;
}

static struct world_image *bootstrapped(void)
{
    static struct world world;
    world_init(&world, 7);
    struct member *member = member_new(&world);
    member_start(member);
    member_stop(member, true);
    member_free(member);
    struct world_image *image = world_save(&world);
    world_close(&world);
    return image;
}

static void at_every_step(bool stop, enum world_fault fault, enum world_crash how)
{
    struct world_image *image = bootstrapped();
    unsigned steps = live_and_crash(image, 1, 0, stop, fault, how);
    assert_true(steps > 200);
    for (unsigned at = 1; at <= steps; at++) {
        (void)live_and_crash(image, at, at, stop, fault, how);
    }
    world_image_free(image);
}

static void a_crash_before_any_step_that_loses(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL, WORLD_LOSE);
}

static void a_crash_before_any_step_that_keeps(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL, WORLD_KEEP);
}

static void a_crash_before_any_step_that_tears(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL, WORLD_TEAR);
}

static void the_process_dies_before_any_step(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL, WORLD_DIE);
}

static void a_sync_fails_and_the_process_dies_before_any_step(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL, WORLD_LIE);
}

static void a_crash_after_any_step_that_loses(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL_APPLIED, WORLD_LOSE);
}

static void a_crash_after_any_step_that_keeps(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL_APPLIED, WORLD_KEEP);
}

static void a_crash_after_any_step_that_tears(void **state)
{
    (void)state;
    at_every_step(true, WORLD_FAIL_APPLIED, WORLD_TEAR);
}

static void a_failed_operation_at_any_step_is_fatal_and_nobody_hears_of_anything(void **state)
{
    (void)state;
    at_every_step(false, WORLD_FAIL, WORLD_TEAR);
}

static void a_failed_operation_that_took_effect_is_as_fatal(void **state)
{
    (void)state;
    at_every_step(false, WORLD_FAIL_APPLIED, WORLD_KEEP);
}

/* Nothing but a sync tells what of such a record is on the disk: a start that believed the cache would promise entries that
 * the next start, after a power cut, doesn't find. */
static void a_start_never_believes_a_lying_cache(void **state)
{
    (void)state;
    static struct world world;
    struct world_image *image = bootstrapped();
    unsigned found = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        world_init(&world, seed);
        world_restore(&world, image);
        struct member *member = member_new(&world);
        member_start(member);
        member_append(member, 2, 1, 500);
        storage_flush(member->storage);
        member_crash(member, WORLD_LIE);
        assert_true(world_find(&world, "log/00000000000000000001.segment")->lying);
        member_start(member);
        uint64_t next = storage_next_index(member->storage);
        found += next == 3;
        member_crash(member, WORLD_LOSE);
        member_start(member);
        assert_int_equal(storage_next_index(member->storage), next);
        member_check(member);
        member_free(member);
        world_close(&world);
    }
    assert_in_range(found, 1, 39);
    world_image_free(image);
}

/* ---- bootstrap ---- */

static void a_crash_in_bootstrap_begins_it_anew(void **state)
{
    (void)state;
    static struct world world;
    bool done = false;
    for (unsigned at = 1; !done; at++) {
        for (unsigned how = 0; how < 2 * WORLD_CRASHES; how++) {
            world_init(&world, at * 10 + how);
            struct member *member = member_new(&world);
            assert_int_equal(member_open(member), ERROR_NONE);
            world.fail_at = at;
            world.stop_at_fault = true;
            world.fault = how < WORLD_CRASHES ? WORLD_FAIL : WORLD_FAIL_APPLIED;
            done = member_bootstrap(member) == ERROR_NONE && world.count < at;
            member_crash(member, how % WORLD_CRASHES);
            member_start(member);
            member_check(member);
            member_append(member, 2, 1, 50);
            world_run(&world);
            assert_int_equal(member->n_acked, 1);
            member_free(member);
            world_close(&world);
        }
    }
}

/* ---- storms ---- */

static void storm_step(struct member *member, struct world *world)
{
    uint64_t next = member_next(member);
    switch (world_random(world) % 12) {
    case 0:
        world_run(world);
        break;
    case 1:
        world_advance(world, 1100);
        break;
    case 2:
        member_set_term(member, member->term_asked + 1);
        break;
    case 3:
        member_set_vote(member, 1 + world_random(world) % 3);
        break;
    case 4: { /* truncate, above what a snapshot covers */
        uint64_t floor = member->snapshot_asked + 1;
        uint64_t first = floor + world_random(world) % (next - floor + 1);
        member_append(member, first, 1 + world_random(world) % 3, 40);
        break;
    }
    case 5:
        if (!member->publishing && next > member->snapshot_asked + 6 && member->acked + 1 == member->n_states) {
            (void)member_snapshot(member, next - 2, 1 + (unsigned)(world_random(world) % 8));
        }
        break;
    case 6:
        if (!member->publishing && world_random(world) % 4 == 0 && next > member->snapshot_asked) {
            (void)member_snapshot(member, next + world_random(world) % 5, 0);
        }
        break;
    case 7:
        if (world->n_writes > 0) {
            world_finish_write(world, world_random(world) % world->n_writes);
        }
        break;
    case 8:
        world_run_posts(world);
        break;
    case 9:
        (void)world_run_work(world);
        break;
    default:
        member_append(member, next, 1 + world_random(world) % 4, 8 + world_random(world) % 9000);
        if (world_random(world) % 2 == 0) {
            storage_flush(member->storage);
        }
    }
}

static void storm_life(struct member *member, struct world *world)
{
    world->fail_at = world_random(world) % 4 == 0 ? 0 : world->count + 1 + (unsigned)(world_random(world) % 120);
    world->fault = world_random(world) % 2 == 0 ? WORLD_FAIL : WORLD_FAIL_APPLIED;
    world->stop_at_fault = world_random(world) % 3 != 0;
    if (member_open(member) != ERROR_NONE) { /* a fault while it repairs or cleans up */
        assert_true(world->fail_at != 0 && world->count >= world->fail_at);
        member_crash(member, world_random(world) % WORLD_CRASHES);
        return;
    }
    member_check(member);
    for (int i = 0; i < 30 && !over(member) && member_next(member) < MEMBER_INDEXES - 20; i++) {
        storm_step(member, world);
    }
    if (world_random(world) % 3 == 0 && !over(member)) {
        member_close(member, true);
        world_run(world);
    }
    assert_int_equal(member->called_after_fatal, 0);
    member_crash(member, world_random(world) % WORLD_CRASHES);
}

static void random_lives_lose_nothing(void **state)
{
    (void)state;
    static struct world world;
    struct world_image *image = bootstrapped();
    unsigned notes = 0;
    for (uint64_t seed = 1; seed <= STORM_SEEDS; seed++) {
        world_init(&world, seed);
        world_restore(&world, image);
        struct member *member = member_new(&world);
        for (int i = 0; i < STORM_LIVES; i++) {
            storm_life(member, &world);
            notes += member->notes;
        }
        live_on(member);
        member_free(member);
        world_close(&world);
    }
    assert_true(notes > 20); /* torn ends were met */
    world_image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_before_any_step_that_loses),
        cmocka_unit_test(a_crash_before_any_step_that_keeps),
        cmocka_unit_test(a_crash_before_any_step_that_tears),
        cmocka_unit_test(the_process_dies_before_any_step),
        cmocka_unit_test(a_sync_fails_and_the_process_dies_before_any_step),
        cmocka_unit_test(a_crash_after_any_step_that_loses),
        cmocka_unit_test(a_crash_after_any_step_that_keeps),
        cmocka_unit_test(a_crash_after_any_step_that_tears),
        cmocka_unit_test(a_failed_operation_at_any_step_is_fatal_and_nobody_hears_of_anything),
        cmocka_unit_test(a_failed_operation_that_took_effect_is_as_fatal),
        cmocka_unit_test(a_start_never_believes_a_lying_cache),
        cmocka_unit_test(a_crash_in_bootstrap_begins_it_anew),
        cmocka_unit_test(random_lives_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
