/* Cluster time: locks end by it, late by a tick and early never; it stands still without a leader; a new leader samples it
 * once, and proposes nothing before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"

#define TTL_MS  40000u
#define RATE_MS (TTL_MS / 2000u + 1u) /* 500 ppm, and what rounding takes */
#define TICK_MS 150u                  /* a tick, its commit, and the simulator's late timers */

static struct node *begin(struct cluster *cluster, uint64_t seed)
{
    cluster_open(cluster, 3, seed);
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000);
    return cluster_wait_leader(cluster);
}

static uint64_t held(struct node *node)
{
    struct lock_table_counts counts;
    lock_table_count(replica_table(node->replica), &counts);
    return counts.held;
}

static bool nothing_is_held(void *arg)
{
    return held(arg) == 0;
}

static void lock_ends_after_its_time_without_anybody_asking(void **state)
{
    (void)state;
    for (uint64_t seed = 400; seed < 405; seed++) {
        struct cluster cluster;
        struct node *leader = begin(&cluster, seed);
        struct ask ask;
        uint64_t asked_ms = cluster_now_ms(&cluster);
        ask_acquire(leader, &ask, "job", "agent", TTL_MS);
        ask_wait(&cluster, &ask);
        assert_int_equal(ask.code, OUTCOME_DONE);
        uint64_t granted_ms = cluster_now_ms(&cluster);
        cluster_wait(&cluster, 2 * TTL_MS, nothing_is_held, leader, "the lock to end");
        assert_true(cluster_now_ms(&cluster) >= asked_ms + TTL_MS - RATE_MS);
        assert_true(cluster_now_ms(&cluster) <= granted_ms + TTL_MS + RATE_MS + TICK_MS);
        cluster_close(&cluster);
    }
}

static void time_stands_still_without_a_leader(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 410);
    struct ask ask;
    uint64_t asked_ms = cluster_now_ms(&cluster);
    ask_acquire(leader, &ask, "job", "agent", TTL_MS);
    ask_wait(&cluster, &ask);
    for (unsigned i = 0; i < 3; i++) {
        node_kill(&cluster.nodes[i], SIM_KILLED);
    }
    uint64_t away_ms = 3 * TTL_MS;
    cluster_run(&cluster, away_ms); /* nothing happens, but time passes for whoever comes back */
    cluster.world.now_ns += away_ms * SIM_MS;
    cluster_start_all(&cluster);
    leader = cluster_wait_leader(&cluster);
    assert_int_equal(held(leader), 1);
    cluster_wait(&cluster, 2 * TTL_MS, nothing_is_held, leader, "the lock to end");
    assert_true(cluster_now_ms(&cluster) >= asked_ms + away_ms + TTL_MS - RATE_MS);
    cluster_close(&cluster);
}

struct watch {
    struct cluster *cluster;
    uint64_t until_ms;
    uint64_t term, base_state_ms, base_mono_ns;
    unsigned samples;
};

/* Looked at after every event. */
static bool clock_is_right(void *arg)
{
    struct watch *watch = arg;
    for (unsigned i = 0; i < watch->cluster->n; i++) {
        const struct node *node = &watch->cluster->nodes[i];
        const struct replica *replica = node->up ? node->replica : NULL;
        if (replica == NULL || !replica_running(replica) || replica->seen_state != RAFT_LEADER) {
            continue;
        }
        const struct clock *clock = &replica->clock;
        if (!clock->ready) {
            assert_true(replica->operations.in_flight <= 1); /* its own entry */
            continue;
        }
        if (clock->term > watch->term) {
            watch->term = clock->term;
            watch->base_state_ms = clock->base_state_ms;
            watch->base_mono_ns = clock->base_mono_ns;
            watch->samples++;
        } else if (clock->term == watch->term) {
            assert_int_equal(clock->base_state_ms, watch->base_state_ms);
            assert_int_equal(clock->base_mono_ns, watch->base_mono_ns);
        }
    }
    return cluster_now_ms(watch->cluster) >= watch->until_ms;
}

static void leader_samples_once_and_proposes_nothing_before(void **state)
{
    (void)state;
    for (uint64_t seed = 420; seed < 425; seed++) {
        struct cluster cluster;
        cluster_open(&cluster, 3, seed);
        cluster_start_all(&cluster);
        struct watch watch = {.cluster = &cluster};
        for (unsigned round = 0; round < 5; round++) {
            struct node *leader = cluster_wait_leader(&cluster);
            struct ask asks[20];
            for (unsigned i = 0; i < 20; i++) {
                ask_acquire(cluster_other(&cluster, leader), &asks[i], "job", "agent", TTL_MS);
            }
            watch.until_ms = cluster_now_ms(&cluster) + 300;
            cluster_wait(&cluster, 1000, clock_is_right, &watch, "time to pass");
            node_kill(leader, SIM_KILLED);
            watch.until_ms = cluster_now_ms(&cluster) + 8000; /* all asks are answered or over */
            cluster_wait(&cluster, 9000, clock_is_right, &watch, "time to pass");
            node_start(leader);
            watch.until_ms = cluster_now_ms(&cluster) + 1000;
            cluster_wait(&cluster, 2000, clock_is_right, &watch, "time to pass");
        }
        assert_true(watch.samples >= 5);
        cluster_close(&cluster);
    }
}

/* What is remembered for 40 days of a schedule has a deadline, too: it isn't worth an entry a second. */
static void remembered_schedules_tick_each_minute(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 431);
    struct ask ask;
    ask_acquire(leader, &ask, "job", "agent", 600000);
    ask_wait(&cluster, &ask);
    ask_release(leader, &ask, "job", ask.token);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_DONE);
    assert_true(lock_table_next_deadline(replica_table(leader->replica)) != UINT64_MAX);
    uint64_t applied = leader->applied;
    cluster_run(&cluster, 600000);
    assert_in_range(leader->applied - applied, 9, 11);
    cluster_close(&cluster);
}

/* Forgetting has no ticks of its own, but it comes in its time. */
/* Forgetting can wait for the next entry, be it the tick of a minute. */
static void what_is_only_to_be_forgotten_is_no_tick(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 432);
    struct ask ask;
    ask_acquire(leader, &ask, "job", "agent", 600000);
    ask_wait(&cluster, &ask);
    ask_release(leader, &ask, "job", ask.token);
    ask_wait(&cluster, &ask);
    cluster_run(&cluster, 1000);
    struct replica *replica = leader->replica;
    assert_int_equal(lock_table_next_lock_deadline(replica_table(replica)), UINT64_MAX);
    uint64_t deadline_ms = lock_table_next_deadline(replica_table(replica));
    assert_true(deadline_ms < UINT64_MAX);
    uint64_t base_state_ms = replica->clock.base_state_ms;
    replica->clock.base_state_ms += deadline_ms - clock_now_ms(replica);
    assert_false(clock_tick_due(replica));
    replica->clock.base_state_ms = base_state_ms;
    cluster_close(&cluster);
}

/* Counted by the proposer alone, so that the sum over the members is right. */
static void expirations_are_counted_once(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 433);
    for (unsigned i = 0; i < 3; i++) {
        struct ask ask;
        ask_acquire(cluster_other(&cluster, leader), &ask, i == 0 ? "one" : i == 1 ? "two" : "three", "agent", TTL_MS);
        ask_wait(&cluster, &ask);
    }
    cluster_wait(&cluster, 2 * TTL_MS, nothing_is_held, leader, "the locks to end");
    cluster_run(&cluster, 1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(held(&cluster.nodes[i]), 0);
        assert_int_equal(node_status(&cluster.nodes[i]).expirations, &cluster.nodes[i] == leader ? 3 : 0);
    }
    cluster_close(&cluster);
}

static void quiet_cluster_ticks_each_minute_and_a_busy_one_each_second(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 430);
    uint64_t applied = leader->applied;
    cluster_run(&cluster, 600000);
    assert_in_range(leader->applied - applied, 9, 11);
    struct ask ask;
    ask_acquire(leader, &ask, "job", "agent", 600000);
    ask_wait(&cluster, &ask);
    applied = leader->applied;
    cluster_run(&cluster, 60000);
    assert_in_range(leader->applied - applied, 55, 61);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_ends_after_its_time_without_anybody_asking),
        cmocka_unit_test(time_stands_still_without_a_leader),
        cmocka_unit_test(leader_samples_once_and_proposes_nothing_before),
        cmocka_unit_test(remembered_schedules_tick_each_minute),
        cmocka_unit_test(what_is_only_to_be_forgotten_is_no_tick),
        cmocka_unit_test(expirations_are_counted_once),
        cmocka_unit_test(quiet_cluster_ticks_each_minute_and_a_busy_one_each_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
