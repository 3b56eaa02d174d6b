/* Who of those that wait is granted a lock, by what, and who is answered at once. Through the leader and through a follower
 * it is the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "asks.h"

#define HOUR 3600000u

struct ways {
    struct cluster cluster;
    struct node *leader;
    struct node *nodes[2]; /* in which order the waiting ones are asked for */
};

static void begin(struct ways *ways, uint64_t seed, bool through_follower)
{
    ways->leader = asks_begin(&ways->cluster, 3, seed);
    struct node *other = cluster_other(&ways->cluster, ways->leader);
    ways->nodes[0] = through_follower ? other : ways->leader;
    ways->nodes[1] = through_follower ? ways->leader : other;
}

/* `test` once with the first that waits at the leader, and once with it at a follower. */
static void both_ways(uint64_t seed, void (*test)(struct ways *ways))
{
    for (unsigned i = 0; i < 2; i++) {
        struct ways ways;
        begin(&ways, seed + i, i == 1);
        test(&ways);
        for (unsigned j = 0; j < 3; j++) {
            const struct replica *replica = ways.cluster.nodes[j].replica;
            assert_int_equal(replica->operations.undecided, 0);
        }
        cluster_close(&ways.cluster);
    }
}

static void queue_up(struct ways *ways, struct ask *asks, unsigned n, const char *schedule)
{
    for (unsigned i = 0; i < n; i++) {
        char holder[16];
        (void)snprintf(holder, sizeof holder, "w%u", i);
        ask_queued(ways->nodes[i % 2], &asks[i],
                   &(struct wanted){.schedule = schedule, .holder = holder, .wait_ms = HOUR}, i + 1);
    }
}

static void check_order(struct ways *ways)
{
    struct ask asks[6];
    uint64_t token = take(ways->leader, "job", "first");
    queue_up(ways, asks, 6, "job");
    for (unsigned i = 0; i < 6; i++) {
        ask_released(ways->nodes[i % 2], "job", token, RUN_SUCCEEDED);
        expect_granted(&ways->cluster, &asks[i]);
        assert_true(asks[i].token > token);
        token = asks[i].token;
        cluster_run(&ways->cluster, 300);
        for (unsigned j = i + 1; j < 6; j++) {
            assert_false(asks[j].answered);
        }
        expect_waiting(ways->leader, "job", 5 - i);
    }
}

static void release_grants_the_oldest_and_only_it(void **state)
{
    (void)state;
    both_ways(1000, check_order);
}

static void check_places(struct ways *ways)
{
    struct ask asks[4];
    struct ask policy;
    struct policy two = policy_of(2);
    take(ways->leader, "job", "first");
    queue_up(ways, asks, 2, "job");
    ask_queued(ways->nodes[0], &asks[2], &(struct wanted){.schedule = "job", .holder = "w2", .wait_ms = HOUR}, 3);
    ask_queued(ways->nodes[1], &asks[3], &(struct wanted){.schedule = "job", .holder = "w3", .wait_ms = HOUR}, 4);
    struct waiter *oldest =
        OWNER_OF(waiters_queue(&ways->leader->replica->waiters, slice_of("job"))->waiters.first, struct waiter, place);
    waiter_call(&ways->leader->replica->waiters, oldest, CALL_HOPEFUL); /* though there is no room */
    replica_want_turn(ways->leader->replica);
    cluster_run(&ways->cluster, 300);
    assert_int_equal(oldest->state, WAITER_PARKED);
    assert_ptr_equal(OWNER_OF(oldest->queue->waiters.first, struct waiter, place), oldest);
    ask_policy(ways->leader, &policy, "job", &two);
    expect_granted(&ways->cluster, &asks[0]);
    struct ask *const others[] = {&asks[1], &asks[2], &asks[3]};
    expect_silence(&ways->cluster, others, 3);
}

static void refused_one_goes_back_to_its_place(void **state)
{
    (void)state;
    both_ways(1010, check_places);
}

static void check_newcomers(struct ways *ways)
{
    uint64_t token = take(ways->leader, "job", "first");
    for (unsigned i = 0; i < 10; i++) {
        struct ask waiter;
        struct ask late[2];
        ask_queued(ways->nodes[0], &waiter, &(struct wanted){.schedule = "job", .holder = "w", .wait_ms = HOUR}, 1);
        ask_released(ways->nodes[1], "job", token, RUN_SUCCEEDED);
        ask_wanted(ways->nodes[1], &late[0], &(struct wanted){.schedule = "job", .holder = "l"});
        ask_wanted(ways->leader, &late[1], &(struct wanted){.schedule = "job", .holder = "m"});
        expect_refused(&ways->cluster, &late[0], OUTCOME_LOCK_HELD);
        expect_refused(&ways->cluster, &late[1], OUTCOME_LOCK_HELD);
        expect_granted(&ways->cluster, &waiter);
        token = waiter.token;
    }
}

static void who_comes_later_is_behind(void **state)
{
    (void)state;
    both_ways(1020, check_newcomers);
}

/* The holder of a slot waits for a second one: what comes free is the next one's. */
static void check_pass_on(struct ways *ways)
{
    struct ask policy, stuck, lucky;
    struct policy two = policy_of(2);
    ask_policy(ways->leader, &policy, "job", &two);
    uint64_t own = take(ways->leader, "job", "greedy");
    uint64_t other = take(ways->leader, "job", "other");
    ask_queued(ways->nodes[0], &stuck, &(struct wanted){.schedule = "job", .holder = "greedy", .wait_ms = HOUR}, 1);
    ask_queued(ways->nodes[1], &lucky, &(struct wanted){.schedule = "job", .holder = "lucky", .wait_ms = HOUR}, 2);
    ask_released(ways->leader, "job", other, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &lucky);
    struct ask *const others[] = {&stuck};
    expect_silence(&ways->cluster, others, 1);
    ask_released(ways->leader, "job", own, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &stuck);
}

static void who_cannot_use_a_slot_passes_it_on(void **state)
{
    (void)state;
    both_ways(1030, check_pass_on);
}

static bool one_is_in_flight(void *arg)
{
    return ((struct replica *)arg)->operations.in_flight == 1;
}

static bool two_are_in_flight(void *arg)
{
    return ((struct replica *)arg)->operations.in_flight == 2;
}

/* The slot comes free while the oldest is in an entry that is undecided, and which it can't use: so the next one isn't
 * called before, and not forgotten after. */
static void check_wake_up_goes_on(struct ways *ways)
{
    struct ask policy, stuck, lucky, release;
    struct policy two = policy_of(2);
    struct replica *replica = ways->leader->replica;
    ask_policy(ways->leader, &policy, "job", &two);
    (void)take(ways->leader, "job", "greedy");
    uint64_t other = take(ways->leader, "job", "other");
    ask_queued(ways->nodes[0], &stuck, &(struct wanted){.schedule = "job", .holder = "greedy", .wait_ms = HOUR}, 1);
    ask_queued(ways->nodes[1], &lucky, &(struct wanted){.schedule = "job", .holder = "lucky", .wait_ms = HOUR}, 2);
    struct wait_queue *queue = waiters_queue(&replica->waiters, slice_of("job"));
    ask_release(ways->leader, &release, "job", other);
    cluster_wait(&ways->cluster, 1000, one_is_in_flight, replica, "the release to be proposed");
    waiter_call(&replica->waiters, OWNER_OF(queue->waiters.first, struct waiter, place), CALL_HOPEFUL);
    replica_want_turn(replica);
    cluster_wait(&ways->cluster, 1000, two_are_in_flight, replica, "the oldest to be proposed");
    expect_granted(&ways->cluster, &lucky);
    assert_false(stuck.answered);
}

static void refused_one_passes_the_wake_up_on(void **state)
{
    (void)state;
    both_ways(1040, check_wake_up_goes_on);
}

static void check_finished(struct ways *ways)
{
    static const char *const written[] = {"2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00",
                                          "2026-03-01t12:00:00.000z"};
    struct ask first, same[3], another;
    ask_wanted(ways->leader, &first,
               &(struct wanted){.schedule = "job", .holder = "first", .occurrence = "2026-03-01T12:00:00Z"});
    expect_granted(&ways->cluster, &first);
    for (unsigned i = 0; i < 3; i++) {
        ask_queued(ways->nodes[i % 2], &same[i],
                   &(struct wanted){.schedule = "job", .holder = "same", .occurrence = written[i], .wait_ms = HOUR},
                   i + 1);
    }
    ask_queued(
        ways->nodes[1], &another,
        &(struct wanted){.schedule = "job", .holder = "w", .occurrence = "2026-03-02T12:00:00Z", .wait_ms = HOUR}, 4);
    ask_released(ways->nodes[1], "job", first.token, RUN_SUCCEEDED);
    for (unsigned i = 0; i < 3; i++) {
        expect_refused(&ways->cluster, &same[i], OUTCOME_OCCURRENCE_DONE);
    }
    expect_granted(&ways->cluster, &another);
}

static void finished_occurrence_answers_all_that_wait_for_it(void **state)
{
    (void)state;
    both_ways(1050, check_finished);
}

static void check_late_success(struct ways *ways)
{
    struct ask first, waiter, policy;
    struct policy twice = policy_of(1);
    twice.max_attempts = 3;
    ask_policy(ways->leader, &policy, "job", &twice);
    ask_wanted(ways->leader, &first,
               &(struct wanted){.schedule = "job", .holder = "first", .occurrence = "o", .ttl_ms = 1000});
    expect_granted(&ways->cluster, &first);
    cluster_run(&ways->cluster, 2000); /* its lock expires */
    (void)take(ways->leader, "job", "second");
    ask_queued(ways->nodes[0], &waiter,
               &(struct wanted){.schedule = "job", .holder = "w", .occurrence = "o", .wait_ms = HOUR}, 1);
    struct ask late;
    ask_release(ways->leader, &late, "job", first.token);
    expect_refused(&ways->cluster, &late, OUTCOME_LOCK_LOST);
    expect_refused(&ways->cluster, &waiter, OUTCOME_OCCURRENCE_DONE);
}

static void late_success_answers_who_waits_for_the_occurrence(void **state)
{
    (void)state;
    both_ways(1060, check_late_success);
}

static void check_attempts(struct ways *ways)
{
    struct ask policy, first, waiters[3];
    struct policy twice = policy_of(1);
    twice.max_attempts = 2;
    ask_policy(ways->leader, &policy, "job", &twice);
    ask_wanted(ways->leader, &first, &(struct wanted){.schedule = "job", .holder = "first", .occurrence = "o"});
    expect_granted(&ways->cluster, &first);
    for (unsigned i = 0; i < 3; i++) {
        ask_queued(ways->nodes[i % 2], &waiters[i],
                   &(struct wanted){.schedule = "job", .holder = "w", .occurrence = "o", .wait_ms = HOUR}, i + 1);
    }
    ask_released(ways->leader, "job", first.token, RUN_FAILED);
    expect_granted(&ways->cluster, &waiters[0]);
    struct ask *const others[] = {&waiters[1], &waiters[2]};
    expect_silence(&ways->cluster, others, 2);
    ask_released(ways->leader, "job", waiters[0].token, RUN_FAILED);
    expect_refused(&ways->cluster, &waiters[1], OUTCOME_ATTEMPTS_EXHAUSTED);
    expect_refused(&ways->cluster, &waiters[2], OUTCOME_ATTEMPTS_EXHAUSTED);
}

static void exhausted_occurrence_answers_all_that_wait_for_it(void **state)
{
    (void)state;
    both_ways(1070, check_attempts);
}

static void check_keys(struct ways *ways)
{
    struct ask asks[3];
    uint64_t token = take(ways->leader, "job", "first");
    const char *holders[] = {"h", "h", "else"};
    for (unsigned i = 0; i < 3; i++) {
        ask_queued(ways->nodes[i % 2], &asks[i],
                   &(struct wanted){.schedule = "job", .holder = holders[i], .key = "the-key", .wait_ms = HOUR}, i + 1);
    }
    ask_released(ways->leader, "job", token, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &asks[0]);
    expect_granted(&ways->cluster, &asks[1]);
    assert_int_equal(asks[1].token, asks[0].token);
    expect_refused(&ways->cluster, &asks[2], OUTCOME_IDEMPOTENCY_CONFLICT);
}

static void key_that_waits_twice_is_one_grant(void **state)
{
    (void)state;
    both_ways(1080, check_keys);
}

static void check_cool_down(struct ways *ways)
{
    struct ask policy, asks[2];
    struct policy cool = policy_of(1);
    cool.min_hold_ms = 3000;
    ask_policy(ways->leader, &policy, "job", &cool);
    uint64_t granted_ms = cluster_now_ms(&ways->cluster);
    ask_released(ways->leader, "job", take(ways->leader, "job", "first"), RUN_SUCCEEDED);
    queue_up(ways, asks, 2, "job");
    for (unsigned i = 0; i < 2; i++) {
        expect_granted(&ways->cluster, &asks[i]);
        uint64_t now_ms = cluster_now_ms(&ways->cluster);
        assert_in_range(now_ms - granted_ms, 2990, 3200);
        granted_ms = now_ms;
        ask_released(ways->leader, "job", asks[i].token, RUN_SUCCEEDED);
    }
}

static void end_of_a_cool_down_grants(void **state)
{
    (void)state;
    both_ways(1090, check_cool_down);
}

static void check_expiry(struct ways *ways)
{
    struct ask policy, first, asks[2];
    struct policy one = policy_of(1);
    ask_policy(ways->leader, &policy, "job", &one);
    ask_wanted(ways->leader, &first, &(struct wanted){.schedule = "job", .holder = "first", .ttl_ms = 2000});
    expect_granted(&ways->cluster, &first);
    uint64_t granted_ms = cluster_now_ms(&ways->cluster);
    queue_up(ways, asks, 2, "job");
    expect_granted(&ways->cluster, &asks[0]);
    assert_in_range(cluster_now_ms(&ways->cluster) - granted_ms, 1990, 2200);
    struct ask revoke;
    struct ask *const others[] = {&asks[1]};
    ask_revoke(ways->leader, &revoke, "job", false);
    expect_silence(&ways->cluster, others, 1); /* its slot is still taken */
    ask_revoke(ways->leader, &revoke, "job", true);
    expect_granted(&ways->cluster, &asks[1]);
}

static void expiry_and_forced_revocation_grant(void **state)
{
    (void)state;
    both_ways(1100, check_expiry);
}

/* ---- policies, groups, freezes ---- */

static void check_policies(struct ways *ways)
{
    struct ask asks[4], policy;
    struct policy set = policy_of(3);
    (void)take(ways->leader, "job", "first");
    queue_up(ways, asks, 4, "job");
    ask_policy(ways->nodes[1], &policy, "job", &set); /* as many as there is room for */
    expect_granted(&ways->cluster, &asks[0]);
    expect_granted(&ways->cluster, &asks[1]);
    struct ask *const others[] = {&asks[2], &asks[3]};
    expect_silence(&ways->cluster, others, 2);
    set.max_ttl_ms = 1000;
    ask_policy(ways->nodes[1], &policy, "job", &set);
    expect_refused(&ways->cluster, &asks[2], OUTCOME_TTL_TOO_LONG);
    expect_refused(&ways->cluster, &asks[3], OUTCOME_TTL_TOO_LONG);

    set = policy_of(1);
    set.min_hold_ms = HOUR;
    ask_policy(ways->leader, &policy, "slow", &set);
    ask_released(ways->leader, "slow", take(ways->leader, "slow", "first"), RUN_SUCCEEDED);
    queue_up(ways, asks, 1, "slow");
    ask_delete_policy(ways->nodes[1], &policy, "slow");
    expect_granted(&ways->cluster, &asks[0]);
}

static void changed_policy_is_looked_at_by_all(void **state)
{
    (void)state;
    both_ways(1110, check_policies);
}

static void set_group(struct ways *ways, const char *schedule, const char *group)
{
    struct ask policy;
    struct policy set = policy_of(1);
    set.group = slice_of(group);
    ask_policy(ways->leader, &policy, schedule, &set);
}

static void wait_for(struct ways *ways, unsigned way, struct ask *ask, const char *schedule)
{
    ask_queued(ways->nodes[way], ask, &(struct wanted){.schedule = schedule, .holder = "w", .wait_ms = HOUR}, 1);
}

static void check_group(struct ways *ways)
{
    static const char *const schedules[] = {"held", "a", "b", "c"};
    struct ask group, a, b, c;
    ask_group(ways->leader, &group, "g", 1);
    for (unsigned i = 0; i < 4; i++) {
        set_group(ways, schedules[i], "g");
    }
    uint64_t token = take(ways->leader, "held", "first");
    wait_for(ways, 0, &b, "b");
    wait_for(ways, 1, &a, "a");
    wait_for(ways, 0, &c, "c");
    ask_released(ways->leader, "held", token, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &b);
    struct ask *const others[] = {&a, &c};
    expect_silence(&ways->cluster, others, 2);
    ask_released(ways->leader, "b", b.token, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &a);
    ask_group(ways->nodes[1], &group, "g", 2);
    expect_granted(&ways->cluster, &c);
    wait_for(ways, 0, &b, "b");
    set_group(ways, "b", NULL); /* it leaves the group, which is full */
    expect_granted(&ways->cluster, &b);
}

static void group_grants_the_oldest_of_all_its_schedules(void **state)
{
    (void)state;
    both_ways(1120, check_group);
}

/* The oldest of the group waits for its own schedule: the group's slot is the next one's. */
static void check_group_pass_on(struct ways *ways)
{
    struct ask group, stuck, lucky, behind;
    ask_group(ways->leader, &group, "g", 2);
    set_group(ways, "held", "g");
    set_group(ways, "busy", "g");
    set_group(ways, "free", "g");
    uint64_t token = take(ways->leader, "held", "first");
    uint64_t busy = take(ways->leader, "busy", "first");
    wait_for(ways, 0, &stuck, "busy");
    wait_for(ways, 1, &lucky, "free");
    ask_queued(ways->nodes[0], &behind, &(struct wanted){.schedule = "busy", .holder = "w2", .wait_ms = HOUR}, 2);
    ask_released(ways->leader, "held", token, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &lucky);
    struct ask *const others[] = {&stuck, &behind};
    expect_silence(&ways->cluster, others, 2);
    ask_released(ways->leader, "busy", busy, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &stuck);
    ask_released(ways->leader, "busy", stuck.token, RUN_SUCCEEDED);
    expect_granted(&ways->cluster, &behind);
}

static void group_passes_over_who_waits_for_its_schedule(void **state)
{
    (void)state;
    both_ways(1130, check_group_pass_on);
}

/* Of two free slots of the group both go to one schedule when its waiters are the oldest. */
static void check_group_two(struct ways *ways)
{
    struct ask group, policy, asks[3], late;
    struct policy two = policy_of(2);
    ask_group(ways->leader, &group, "g", 0);
    two.group = slice_of("g");
    ask_policy(ways->leader, &policy, "wide", &two);
    set_group(ways, "late", "g");
    queue_up(ways, asks, 3, "wide");
    wait_for(ways, 1, &late, "late");
    ask_group(ways->leader, &group, "g", 2);
    expect_granted(&ways->cluster, &asks[0]);
    expect_granted(&ways->cluster, &asks[1]);
    struct ask *const others[] = {&asks[2], &late};
    expect_silence(&ways->cluster, others, 2);
    ask_group(ways->leader, &group, "g", 3);
    expect_granted(&ways->cluster, &late); /* its schedule has room */
    assert_false(asks[2].answered);
}

static void groups_order_is_that_of_arrival(void **state)
{
    (void)state;
    both_ways(1140, check_group_two);
}

static void check_freeze(struct ways *ways)
{
    struct ask freeze, asks[3], other;
    uint64_t token = take(ways->leader, "db-1", "first");
    (void)take(ways->leader, "web", "first");
    queue_up(ways, asks, 3, "db-1");
    wait_for(ways, 0, &other, "web");
    ask_freeze(ways->nodes[1], &freeze, "db-*");
    for (unsigned i = 0; i < 3; i++) {
        expect_refused(&ways->cluster, &asks[i], OUTCOME_FROZEN);
    }
    struct ask *const others[] = {&other};
    expect_silence(&ways->cluster, others, 1);
    ask_wanted(ways->nodes[0], &asks[0], &(struct wanted){.schedule = "db-1", .holder = "w", .wait_ms = HOUR});
    expect_refused(&ways->cluster, &asks[0], OUTCOME_FROZEN); /* nor is it waited out */
    ask_thaw(ways->leader, &freeze, "db-*");
    ask_released(ways->leader, "db-1", token, RUN_SUCCEEDED);
    ask_freeze(ways->nodes[1], &freeze, "*");
    expect_refused(&ways->cluster, &other, OUTCOME_FROZEN);
}

static void freeze_answers_all_in_its_scope(void **state)
{
    (void)state;
    both_ways(1150, check_freeze);
}

static void check_at_once(struct ways *ways)
{
    struct ask policy, asks[2];
    struct policy set = policy_of(1);
    set.max_ttl_ms = 700000;
    ask_policy(ways->leader, &policy, "job", &set);
    for (unsigned i = 0; i < 2; i++) { /* first with nobody there, then with somebody before it */
        ask_wanted(ways->nodes[0], &asks[0],
                   &(struct wanted){.schedule = "job", .holder = "w", .ttl_ms = 700001, .wait_ms = HOUR});
        expect_refused(&ways->cluster, &asks[0], OUTCOME_TTL_TOO_LONG);
        if (i == 0) {
            (void)take(ways->leader, "job", "first");
            ask_queued(ways->nodes[1], &asks[1], &(struct wanted){.schedule = "job", .holder = "x", .wait_ms = HOUR},
                       1);
        }
    }
    ask_wanted(ways->nodes[0], &asks[0], &(struct wanted){.schedule = "free", .holder = "w", .wait_ms = HOUR});
    expect_granted(&ways->cluster, &asks[0]);
}

static void what_is_no_matter_of_waiting_is_answered_at_once(void **state)
{
    (void)state;
    both_ways(1160, check_at_once);
}

/* Sixty-four are remembered. What is older than all that are left counts as done, also for who waits for it; the waiter has
 * a slot already, so that it isn't granted one before. */
static void check_floor(struct ways *ways)
{
    struct ask waiter, each;
    struct policy two = policy_of(2);
    ask_policy(ways->leader, &each, "job", &two);
    (void)take(ways->leader, "job", "w");
    ask_queued(
        ways->nodes[0], &waiter,
        &(struct wanted){.schedule = "job", .holder = "w", .occurrence = "2026-03-01T00:00:00Z", .wait_ms = HOUR}, 1);
    for (unsigned i = 0; i < 65; i++) {
        char occurrence[40];
        assert_false(waiter.answered);
        (void)snprintf(occurrence, sizeof occurrence, "2026-03-01T01:%02u:%02uZ", i / 60, i % 60);
        ask_wanted(ways->leader, &each,
                   &(struct wanted){.schedule = "job", .holder = "first", .occurrence = occurrence});
        expect_granted(&ways->cluster, &each);
        ask_released(ways->leader, "job", each.token, RUN_FAILED);
    }
    expect_refused(&ways->cluster, &waiter, OUTCOME_OCCURRENCE_DONE);
}

static void forgotten_occurrence_answers_who_waits_for_it(void **state)
{
    (void)state;
    both_ways(1170, check_floor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_grants_the_oldest_and_only_it),
        cmocka_unit_test(refused_one_goes_back_to_its_place),
        cmocka_unit_test(who_comes_later_is_behind),
        cmocka_unit_test(who_cannot_use_a_slot_passes_it_on),
        cmocka_unit_test(refused_one_passes_the_wake_up_on),
        cmocka_unit_test(finished_occurrence_answers_all_that_wait_for_it),
        cmocka_unit_test(late_success_answers_who_waits_for_the_occurrence),
        cmocka_unit_test(exhausted_occurrence_answers_all_that_wait_for_it),
        cmocka_unit_test(key_that_waits_twice_is_one_grant),
        cmocka_unit_test(end_of_a_cool_down_grants),
        cmocka_unit_test(expiry_and_forced_revocation_grant),
        cmocka_unit_test(changed_policy_is_looked_at_by_all),
        cmocka_unit_test(group_grants_the_oldest_of_all_its_schedules),
        cmocka_unit_test(group_passes_over_who_waits_for_its_schedule),
        cmocka_unit_test(groups_order_is_that_of_arrival),
        cmocka_unit_test(freeze_answers_all_in_its_scope),
        cmocka_unit_test(what_is_no_matter_of_waiting_is_answered_at_once),
        cmocka_unit_test(forgotten_occurrence_answers_who_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
