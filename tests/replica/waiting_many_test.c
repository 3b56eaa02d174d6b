/* Thousands that wait: what each of them costs, that no turn of the loop pays for all, and that there is an end to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asks.h"

#define HOUR       3600000u
#define MANY       10000u
#define TICK_LOOKS 16u

static struct ask *queue_many(struct node *const nodes[], unsigned n_nodes, const char *schedule, size_t n)
{
    struct ask *asks = calloc(n, sizeof *asks);
    assert_non_null(asks);
    for (size_t i = 0; i < n; i++) {
        char holder[32];
        (void)snprintf(holder, sizeof holder, "w%zu", i);
        ask_wanted(nodes[i % n_nodes], &asks[i],
                   &(struct wanted){.schedule = schedule, .holder = holder, .wait_ms = HOUR});
    }
    return asks;
}

/* After each event: how many looks the turns took. */
struct watch {
    struct node *leader;
    const char *schedule;
    uint64_t n;
    uint64_t seen;
    uint64_t most;
    uint64_t all;
};

static bool so_many_wait(void *arg)
{
    struct watch *watch = arg;
    uint64_t looks = watch->leader->replica->waiters.n_looks;
    uint64_t more = looks - watch->seen;
    watch->most = more > watch->most ? more : watch->most;
    watch->all += more;
    watch->seen = looks;
    return replica_waiting(watch->leader->replica, slice_of(watch->schedule)) == watch->n;
}

static struct watch watch_until(struct node *leader, const char *schedule, uint64_t n)
{
    struct watch watch = {.leader = leader, .schedule = schedule, .n = n};
    watch.seen = leader->replica->waiters.n_looks;
    cluster_wait(leader->cluster, 60000, so_many_wait, &watch, "so many that wait");
    assert_true(watch.most <= LIMIT_WAITER_LOOKS + TICK_LOOKS);
    return watch;
}

static void release_among_ten_thousand_looks_at_one(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1300);
    uint64_t token = take(leader, "job", "first");
    uint64_t applied = leader->applied;
    struct ask *asks = queue_many(&leader, 1, "job", MANY);
    struct watch watch = watch_until(leader, "job", MANY);
    assert_in_range(watch.all, MANY - 1, 2 * MANY); /* each was looked at when it came … */
    assert_true(leader->applied - applied < 4);     /* … and but one never proposed */
    for (unsigned i = 0; i < 100; i++) {
        struct ask release;
        ask_release(leader, &release, "job", token);
        watch = watch_until(leader, "job", MANY - 1 - i);
        assert_true(watch.all <= 3);
        expect_granted(&cluster, &asks[i]);
        token = asks[i].token;
    }
    node_kill(leader, SIM_KILLED);
    cluster_close(&cluster);
    free(asks);
}

/* All are to be looked at, which takes as many turns as it takes; and somebody else's request isn't kept waiting. */
static void policy_that_concerns_ten_thousand_takes_its_turns(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1301);
    (void)take(leader, "job", "first");
    struct ask *asks = queue_many(&leader, 1, "job", MANY);
    (void)watch_until(leader, "job", MANY);
    struct ask policy, quick;
    struct policy set = policy_of(3);
    ask_policy(leader, &policy, "job", &set);
    uint64_t begin_ms = cluster_now_ms(&cluster);
    ask_acquire(leader, &quick, "other", "agent", 60000);
    ask_wait(&cluster, &quick);
    assert_true(cluster_now_ms(&cluster) - begin_ms < 100);
    (void)watch_until(leader, "job", MANY - 2);
    expect_granted(&cluster, &asks[0]);
    expect_granted(&cluster, &asks[1]);
    assert_false(asks[2].answered);
    struct ask freeze;
    ask_freeze(leader, &freeze, "*");
    struct watch watch = watch_until(leader, "job", 0);
    assert_true(watch.all <= 2 * MANY);
    for (size_t i = 2; i < MANY; i++) {
        expect_refused(&cluster, &asks[i], OUTCOME_FROZEN);
    }
    cluster_close(&cluster);
    free(asks);
}

/* A thousand schedules of one group, all busy: a slot of the group is looked for by one of those that could use it only. */
static void group_of_many_schedules_looks_at_few(void **state)
{
    (void)state;
    enum { SCHEDULES = 300 };
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 1, 1302);
    struct ask group, policy;
    struct ask *asks = calloc(SCHEDULES, sizeof *asks);
    struct policy set = policy_of(1);
    assert_non_null(asks);
    set.group = slice_of("g");
    ask_group(leader, &group, "g", SCHEDULES + 1);
    for (unsigned i = 0; i < SCHEDULES; i++) {
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "busy-%u", i);
        ask_policy(leader, &policy, schedule, &set);
        (void)take(leader, schedule, "first");
        ask_queued(leader, &asks[i], &(struct wanted){.schedule = schedule, .holder = "w", .wait_ms = HOUR}, 1);
    }
    ask_policy(leader, &policy, "last", &set);
    ask_policy(leader, &policy, "next", &set);
    uint64_t token = take(leader, "last", "first");
    struct ask next;
    ask_queued(leader, &next, &(struct wanted){.schedule = "next", .holder = "w", .wait_ms = HOUR}, 1);
    uint64_t looks = leader->replica->waiters.n_looks;
    ask_released(leader, "last", token, RUN_SUCCEEDED);
    expect_granted(&cluster, &next);
    assert_true(leader->replica->waiters.n_looks - looks <= 3);
    cluster_close(&cluster);
    free(asks);
}

struct proposals {
    struct node *leader;
    struct ask *asks;
    size_t n;
    uint64_t most; /* called and proposed at once */
    uint64_t before;
    uint64_t most_more; /* … and so many more after one event */
};

static bool proposals_are_answered(void *arg)
{
    struct proposals *proposals = arg;
    const uint64_t *states = proposals->leader->replica->waiters.n_states;
    uint64_t n = states[WAITER_CALLED] + states[WAITER_PROPOSED];
    uint64_t more = n > proposals->before ? n - proposals->before : 0;
    proposals->before = n;
    proposals->most = n > proposals->most ? n : proposals->most;
    proposals->most_more = more > proposals->most_more ? more : proposals->most_more;
    for (size_t i = 0; i < proposals->n; i++) {
        if (!proposals->asks[i].answered) {
            return false;
        }
    }
    return true;
}

/* All could use it; one is called. */
static void slot_of_a_group_calls_one(void **state)
{
    (void)state;
    enum { SCHEDULES = 100 };
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1306);
    struct ask group, policy;
    struct ask *asks = calloc(SCHEDULES, sizeof *asks);
    struct policy set = policy_of(1);
    assert_non_null(asks);
    set.group = slice_of("g");
    ask_group(leader, &group, "g", 1);
    ask_policy(leader, &policy, "held", &set);
    uint64_t token = take(leader, "held", "first");
    for (unsigned i = 0; i < SCHEDULES; i++) {
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "free-%u", i);
        ask_policy(leader, &policy, schedule, &set);
        ask_queued(leader, &asks[i], &(struct wanted){.schedule = schedule, .holder = "w", .wait_ms = HOUR}, 1);
    }
    const char *held = "held";
    for (unsigned i = 0; i < 10; i++) {
        struct proposals proposals = {.leader = leader, .asks = &asks[i], .n = 1};
        uint64_t looks = leader->replica->waiters.n_looks;
        struct ask release;
        ask_release(leader, &release, held, token);
        cluster_wait(&cluster, 5000, proposals_are_answered, &proposals, "the oldest");
        assert_int_equal(asks[i].code, OUTCOME_DONE);
        cluster_run(&cluster, 100);
        assert_int_equal(proposals.most, 1);
        assert_true(leader->replica->waiters.n_looks - looks <= 3);
        token = asks[i].token;
        held = asks[i].schedule;
    }
    node_kill(leader, SIM_KILLED);
    cluster_close(&cluster);
    free(asks);
}

static void waits_that_end_at_once_take_their_turns(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1307);
    (void)take(leader, "job", "first");
    struct proposals proposals = {.leader = leader, .n = MANY};
    proposals.asks = calloc(MANY, sizeof(struct ask));
    assert_non_null(proposals.asks);
    for (size_t i = 0; i < MANY; i++) {
        ask_wanted(leader, &proposals.asks[i], &(struct wanted){.schedule = "job", .holder = "w", .wait_ms = 3000});
    }
    cluster_wait(&cluster, 20000, proposals_are_answered, &proposals, "all answers");
    assert_in_range(proposals.most_more, 1, LIMIT_WAITER_LOOKS);
    for (size_t i = 0; i < MANY; i++) {
        expect_refused(&cluster, &proposals.asks[i], OUTCOME_LOCK_HELD);
    }
    cluster_close(&cluster);
    free(proposals.asks);
}

/* Those with one occurrence are found at once, however it is written, without a look at the others. */
static void finished_occurrence_looks_at_its_own(void **state)
{
    (void)state;
    static const char *const written[] = {"2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00"};
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 1, 1303);
    struct ask first, own[10], release;
    struct ask *asks = calloc(MANY, sizeof *asks);
    assert_non_null(asks);
    ask_wanted(leader, &first, &(struct wanted){.schedule = "job", .holder = "first", .occurrence = written[0]});
    expect_granted(&cluster, &first);
    for (unsigned i = 0; i < MANY; i++) {
        char occurrence[32];
        (void)snprintf(occurrence, sizeof occurrence, "batch-%u", i);
        ask_wanted(leader, &asks[i],
                   &(struct wanted){.schedule = "job", .holder = "w", .occurrence = occurrence, .wait_ms = HOUR});
    }
    (void)watch_until(leader, "job", MANY);
    for (unsigned i = 0; i < 10; i++) {
        ask_queued(leader, &own[i],
                   &(struct wanted){.schedule = "job", .holder = "own", .occurrence = written[i % 2], .wait_ms = HOUR},
                   MANY + i + 1);
    }
    uint64_t begin_ms = cluster_now_ms(&cluster);
    ask_release(leader, &release, "job", first.token);
    struct watch watch = watch_until(leader, "job", MANY - 1);
    assert_true(watch.all <= 10 + 3 + 10 * TICK_LOOKS); /* and what ticks look at */
    for (unsigned i = 0; i < 10; i++) {
        expect_refused(&cluster, &own[i], OUTCOME_OCCURRENCE_DONE);
        assert_true(own[i].answered_ns / SIM_MS - begin_ms < 200);
    }
    expect_granted(&cluster, &asks[0]);
    cluster_close(&cluster);
    free(asks);
}

/* At the leader, its own and those of members; what doesn't wait isn't concerned. */
static void more_than_may_wait_are_overloaded(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1304);
    struct node *follower = cluster_other(&cluster, leader);
    (void)take(leader, "job", "first");
    struct ask *asks = queue_many(&leader, 1, "job", LIMIT_WAITERS);
    struct ask own, theirs, quick[2];
    const struct wanted want = {.schedule = "other", .holder = "w", .wait_ms = HOUR};
    (void)watch_until(leader, "job", LIMIT_WAITERS);
    ask_wanted(leader, &own, &want);
    expect_status(&cluster, &own, OPERATION_OVERLOADED);
    ask_wanted(follower, &theirs, &want);
    expect_status(&cluster, &theirs, OPERATION_OVERLOADED);
    for (unsigned i = 0; i < 2; i++) {
        ask_acquire(i == 0 ? leader : follower, &quick[i], i == 0 ? "a" : "b", "agent", 60000);
        ask_wait(&cluster, &quick[i]);
        assert_int_equal(quick[i].code, OUTCOME_DONE);
    }
    for (size_t i = 0; i < LIMIT_WAITERS; i++) {
        replica_cancel(leader->replica, &asks[i].operation);
    }
    expect_status(&cluster, &asks[LIMIT_WAITERS - 1], OPERATION_CANCELLED);
    ask_wanted(follower, &theirs, &want);
    expect_granted(&cluster, &theirs);
    assert_int_equal(waiters_count(&leader->replica->waiters), 0);
    assert_true(leader->replica->waiters.ends.capacity <= 16);
    cluster_close(&cluster);
    free(asks);
}

/* … and elsewhere as many. */
static void more_than_may_be_passed_on_are_overloaded(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1305);
    struct node *follower = cluster_other(&cluster, leader);
    (void)take(leader, "job", "first");
    struct ask *asks = queue_many(&follower, 1, "job", LIMIT_WAITERS);
    struct ask more;
    ask_wanted(follower, &more, &(struct wanted){.schedule = "job", .holder = "w", .wait_ms = HOUR});
    expect_status(&cluster, &more, OPERATION_OVERLOADED);
    (void)watch_until(leader, "job", LIMIT_WAITERS);
    for (size_t i = 0; i < LIMIT_WAITERS; i++) {
        assert_false(asks[i].answered);
    }
    assert_int_equal(replica_waiting(follower->replica, slice_of("job")), LIMIT_WAITERS);
    cluster_close(&cluster);
    free(asks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_among_ten_thousand_looks_at_one),
        cmocka_unit_test(policy_that_concerns_ten_thousand_takes_its_turns),
        cmocka_unit_test(group_of_many_schedules_looks_at_few),
        cmocka_unit_test(slot_of_a_group_calls_one),
        cmocka_unit_test(waits_that_end_at_once_take_their_turns),
        cmocka_unit_test(finished_occurrence_looks_at_its_own),
        cmocka_unit_test(more_than_may_wait_are_overloaded),
        cmocka_unit_test(more_than_may_be_passed_on_are_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
