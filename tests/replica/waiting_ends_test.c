/* How waiting ends without a grant: its time is over, its client goes, a leader, a stream or a node goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asks.h"

#define HOUR 3600000u

static struct wanted wanted(const char *schedule, const char *holder)
{
    return (struct wanted){.schedule = schedule, .holder = holder, .wait_ms = HOUR};
}

static struct member *member_of(struct node *of, const struct node *other)
{
    for (size_t i = 0; i < of->replica->members.n; i++) {
        if (strcmp(of->replica->members.list[i]->address.name, other->sim->name) == 0) {
            return of->replica->members.list[i];
        }
    }
    return NULL;
}

static struct node *third(struct cluster *cluster, const struct node *one, const struct node *two)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        if (&cluster->nodes[i] != one && &cluster->nodes[i] != two) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

/* Nothing is left of anybody. */
static void expect_empty(const struct node *node)
{
    const struct waiters *waiters = &node->replica->waiters;
    assert_int_equal(waiters_count(waiters), 0);
    assert_int_equal(waiters->n_waiting, 0);
    assert_int_equal(waiters->queues.n + waiters->fresh.n + waiters->called.n + waiters->called_first.n +
                         waiters->cancelled.n + waiters->ready_queues.n + waiters->ready_groups.n + waiters->swept.n +
                         waiters->dirty.n + waiters->armed.n + waiters->rotating.n,
                     0);
    assert_int_equal(waiters->by_id.n + waiters->by_name.n + waiters->by_kin.n + waiters->by_number.n +
                         waiters->tallies.n + waiters->ends.n + waiters->cools.n,
                     0);
    for (size_t i = 0; i <= WAITER_PARKED; i++) {
        assert_int_equal(waiters->n_states[i], 0);
    }
    assert_true(waiters->ends.capacity <= 16);
    assert_int_equal(node->replica->operations.undecided, 0);
}

static void finish(struct cluster *cluster)
{
    cluster_run(cluster, 300);
    for (unsigned i = 0; i < cluster->n; i++) {
        if (cluster->nodes[i].up) {
            expect_empty(&cluster->nodes[i]);
        }
    }
    cluster_close(cluster);
}

/* ---- time ---- */

static void wait_ends_with_what_was_in_its_way(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1200);
    struct node *nodes[] = {leader, cluster_other(&cluster, leader)};
    struct ask policy, group;
    struct policy cool = policy_of(1), grouped = policy_of(1);
    cool.min_hold_ms = HOUR;
    grouped.group = slice_of("g");
    ask_policy(leader, &policy, "cool", &cool);
    ask_group(leader, &group, "g", 0);
    ask_policy(leader, &policy, "grouped", &grouped);
    (void)take(leader, "held", "first");
    ask_released(leader, "cool", take(leader, "cool", "first"), RUN_SUCCEEDED);
    for (unsigned i = 0; i < 2; i++) {
        static const char *const schedules[] = {"held", "cool", "grouped"};
        static const enum outcome_code codes[] = {OUTCOME_LOCK_HELD, OUTCOME_COOLING_DOWN, OUTCOME_GROUP_FULL};
        struct ask asks[3];
        uint64_t begin_ms = cluster_now_ms(&cluster);
        for (unsigned j = 0; j < 3; j++) {
            struct wanted short_wait = wanted(schedules[j], "w");
            short_wait.wait_ms = 700;
            ask_wanted(nodes[i], &asks[j], &short_wait);
        }
        for (unsigned j = 0; j < 3; j++) {
            expect_refused(&cluster, &asks[j], codes[j]);
            assert_in_range(asks[j].answered_ns / SIM_MS - begin_ms, 699, 800);
            expect_waiting(leader, schedules[j], 0);
        }
    }
    finish(&cluster);
}

static void many_waits_may_end_at_once(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1201);
    struct node *nodes[] = {leader, cluster_other(&cluster, leader)};
    enum { N = 3000 };
    struct ask *asks = calloc(N, sizeof *asks);
    assert_non_null(asks);
    (void)take(leader, "held", "first");
    uint64_t begin_ms = cluster_now_ms(&cluster);
    for (unsigned i = 0; i < N; i++) {
        struct wanted short_wait = wanted("held", "w");
        short_wait.wait_ms = 2000;
        ask_wanted(nodes[i % 2], &asks[i], &short_wait);
    }
    expect_waiting(leader, "held", N);
    for (unsigned i = 0; i < N; i++) {
        expect_refused(&cluster, &asks[i], OUTCOME_LOCK_HELD);
        assert_in_range(asks[i].answered_ns / SIM_MS - begin_ms, 1999, 2500);
    }
    free(asks);
    finish(&cluster);
}

static void waiting_needs_rules_2(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 1202);
    for (unsigned i = 0; i < 3; i++) {
        node_set_rules(&cluster.nodes[i], i == 0 ? 1 : 2);
    }
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    cluster_run(&cluster, 1000);
    struct node *leader = cluster_wait_leader(&cluster);
    struct node *nodes[] = {leader, cluster_other(&cluster, leader)};
    (void)take(leader, "held", "first");
    for (unsigned i = 0; i < 2; i++) {
        struct ask ask;
        struct wanted want = wanted("held", "w");
        uint64_t frames = nodes[i]->replica->operations.next_sequence;
        ask_wanted(nodes[i], &ask, &want);
        expect_status(&cluster, &ask, OPERATION_NOT_READY);
        assert_int_equal(nodes[i]->replica->operations.next_sequence, frames);
        want.wait_ms = 0;
        ask_wanted(nodes[i], &ask, &want);
        expect_refused(&cluster, &ask, OUTCOME_LOCK_HELD);
    }
    finish(&cluster);
}

/* ---- clients ---- */

static void who_goes_leaves_the_queue(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1210);
    struct node *nodes[] = {leader, cluster_other(&cluster, leader)};
    for (unsigned i = 0; i < 2; i++) {
        struct ask goes, stays;
        struct wanted first = wanted("job", "goes"), second = wanted("job", "stays");
        uint64_t token = take(leader, "job", "first");
        ask_queued(nodes[i], &goes, &first, 1);
        ask_queued(nodes[1 - i], &stays, &second, 2);
        replica_cancel(nodes[i]->replica, &goes.operation);
        replica_cancel(nodes[i]->replica, &goes.operation);
        assert_false(goes.answered); /* never from inside */
        expect_status(&cluster, &goes, OPERATION_CANCELLED);
        expect_waiting(leader, "job", 1);
        ask_released(leader, "job", token, RUN_SUCCEEDED);
        expect_granted(&cluster, &stays);
        ask_released(leader, "job", stays.token, RUN_SUCCEEDED);
    }
    finish(&cluster);
}

/* At once after it was submitted, before anything was done for it. */
static void who_goes_at_once_was_never_proposed(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1211);
    struct node *nodes[] = {leader, cluster_other(&cluster, leader)};
    for (unsigned i = 0; i < 2; i++) {
        struct ask goes;
        struct wanted want = wanted("job", "goes");
        ask_wanted(nodes[i], &goes, &want);
        replica_cancel(nodes[i]->replica, &goes.operation);
        expect_status(&cluster, &goes, OPERATION_CANCELLED);
        struct look look;
        look_at(leader, &look, "job");
        look_wait(&cluster, &look);
        assert_false(look.held);
    }
    finish(&cluster);
}

static bool is_proposed(void *arg)
{
    return ((const struct replica *)arg)->waiters.n_states[WAITER_PROPOSED] > 0;
}

/* In an entry already: a grant is the answer, a refusal isn't waited out. */
static void who_goes_too_late_hears_what_became_of_it(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1212);
    struct node *nodes[] = {leader, cluster_other(&cluster, leader)};
    for (unsigned i = 0; i < 2; i++) {
        struct ask goes, other;
        struct wanted want = wanted(i == 0 ? "job" : "job-2", "goes");
        ask_wanted(nodes[i], &goes, &want);
        cluster_wait(&cluster, 1000, is_proposed, leader->replica, "the operation to be proposed");
        replica_cancel(nodes[i]->replica, &goes.operation);
        expect_granted(&cluster, &goes);
        ask_wanted(nodes[i], &other, &want); /* the first that waits for it is proposed */
        cluster_wait(&cluster, 1000, is_proposed, leader->replica, "the operation to be proposed");
        replica_cancel(nodes[i]->replica, &other.operation);
        expect_status(&cluster, &other, OPERATION_CANCELLED);
    }
    finish(&cluster);
}

static void cancel_that_crosses_an_answer_does_no_harm(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1213);
    struct node *follower = cluster_other(&cluster, leader);
    uint64_t numbers[LIMIT_CANCELS];
    struct frame_cancel frame = {.numbers = numbers, .n_numbers = LIMIT_CANCELS};
    struct ask stays;
    struct wanted want = wanted("job", "stays");
    (void)take(leader, "job", "first");
    ask_queued(follower, &stays, &want, 1);
    for (size_t i = 0; i < LIMIT_CANCELS; i++) {
        numbers[i] = stays.operation.number + 1 + i; /* not yet given, or over */
    }
    memcpy(frame.run_id, follower->replica->run_id, sizeof frame.run_id);
    parting_take_cancels(leader->replica, member_of(leader, follower), &frame);
    numbers[0] = stays.operation.number;
    frame.run_id[0] ^= 1; /* of another process */
    parting_take_cancels(leader->replica, member_of(leader, follower), &frame);
    struct ask *const others[] = {&stays};
    expect_silence(&cluster, others, 1);
    frame.run_id[0] ^= 1;
    /* The leader has it for cancelled and its own client is there: to that it is as if no leader had been. */
    parting_take_cancels(leader->replica, member_of(leader, follower), &frame);
    outbox_flush_all(leader->replica);
    expect_status(&cluster, &stays, OPERATION_NO_LEADER);
    finish(&cluster);
}

/* More than go into one frame. */
static void thousands_may_go_at_once(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1214);
    struct node *follower = cluster_other(&cluster, leader);
    size_t n = LIMIT_CANCELS + 100;
    struct ask *asks = calloc(n, sizeof *asks);
    assert_non_null(asks);
    (void)take(leader, "job", "first");
    for (size_t i = 0; i < n; i++) {
        struct wanted want = wanted("job", "w");
        ask_wanted(follower, &asks[i], &want);
    }
    expect_waiting(leader, "job", n);
    assert_int_equal(replica_waiting(follower->replica, slice_of("job")), n);
    assert_int_equal(node_status(follower).waiters, n);
    assert_int_equal(node_status(leader).waiters, n);
    assert_int_equal(node_status(leader).operations_queued, 0);
    assert_int_equal(node_status(follower).operations_queued, 0);
    for (size_t i = 0; i < n; i++) {
        replica_cancel(follower->replica, &asks[i].operation);
    }
    for (size_t i = 0; i < n; i++) {
        expect_status(&cluster, &asks[i], OPERATION_CANCELLED);
    }
    free(asks);
    finish(&cluster);
}

/* ---- leaders ---- */

static bool another_leads(void *arg)
{
    struct node *old = arg;
    for (unsigned i = 0; i < old->cluster->n; i++) {
        struct replica_status status = node_status(&old->cluster->nodes[i]);
        if (&old->cluster->nodes[i] != old && status.role == REPLICA_LEADER && status.ready) {
            return true;
        }
    }
    return false;
}

static void leader_that_dies_leaves_the_wait_unknown(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1220);
    struct node *follower = cluster_other(&cluster, leader);
    struct ask ask;
    struct wanted want = wanted("job", "w");
    uint64_t token = take(leader, "job", "first");
    ask_queued(follower, &ask, &want, 1);
    node_kill(leader, SIM_KILLED);
    uint64_t begin_ms = cluster_now_ms(&cluster);
    expect_status(&cluster, &ask, OPERATION_UNKNOWN);
    assert_true(cluster_now_ms(&cluster) - begin_ms < CLUSTER_ELECTION_MS);
    struct node *next = cluster_wait_leader(&cluster);
    assert_int_equal(replica_waiting(next->replica, slice_of("job")), 0);
    ask_released(next, "job", token, RUN_SUCCEEDED);
    (void)take(next, "job", "next");
    finish(&cluster);
}

static void hand_over(struct node *leader, struct node *next)
{
    static struct raft_transfer transfer;
    memset(&transfer, 0, sizeof transfer);
    node_enter(leader);
    assert_int_equal(raft_transfer(&leader->replica->raft, &transfer, member_of(leader, next)->id, NULL), 0);
    replica_after_step(leader->replica);
}

/* All streams stay up. Whoever waits is told that nothing was changed, and not kept waiting at the end of another queue. */
static void leader_that_steps_down_tells_all(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1221);
    struct node *next = cluster_other(&cluster, leader);
    struct node *nodes[] = {leader, next, third(&cluster, leader, next)};
    struct ask asks[3];
    (void)take(leader, "job", "first");
    for (unsigned i = 0; i < 3; i++) {
        struct wanted want = wanted("job", "w");
        ask_queued(nodes[i], &asks[i], &want, i + 1);
    }
    hand_over(leader, next);
    cluster_wait(&cluster, 5000, another_leads, leader, "another leader");
    uint64_t begin_ms = cluster_now_ms(&cluster);
    for (unsigned i = 0; i < 3; i++) {
        expect_status(&cluster, &asks[i], OPERATION_NO_LEADER);
    }
    assert_true(cluster_now_ms(&cluster) - begin_ms < 200);
    assert_int_equal(replica_waiting(next->replica, slice_of("job")), 0);
    finish(&cluster);
}

/* What never was looked at may go to the next leader with what is left of its wait. */
static void wait_without_a_leader_goes_to_the_next(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1222);
    struct node *follower = cluster_other(&cluster, leader);
    struct node *last = third(&cluster, leader, follower);
    struct ask asks[2];
    struct wanted want = wanted("job", "w");
    (void)take(leader, "job", "first");
    node_kill(leader, SIM_KILLED);
    cluster_run(&cluster, 2);
    ask_wanted(follower, &asks[0], &want);
    ask_wanted(last, &asks[1], &want);
    struct node *next = cluster_wait_leader(&cluster);
    expect_waiting(next, "job", 2);
    for (unsigned i = 0; i < 2; i++) {
        struct node *of = i == 0 ? follower : last;
        assert_false(asks[i].answered);
        replica_cancel(of->replica, &asks[i].operation);
        expect_status(&cluster, &asks[i], OPERATION_CANCELLED);
    }
    finish(&cluster);
}

static void without_any_leader_the_wait_is_short(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1223);
    struct node *left = cluster_other(&cluster, leader);
    struct ask ask, gone;
    struct wanted want = wanted("job", "w");
    for (unsigned i = 0; i < 3; i++) {
        if (&cluster.nodes[i] != left) {
            node_kill(&cluster.nodes[i], SIM_KILLED);
        }
    }
    cluster_run(&cluster, 3000);
    uint64_t begin_ms = cluster_now_ms(&cluster);
    ask_wanted(left, &ask, &want);
    ask_wanted(left, &gone, &want);
    cluster_run(&cluster, 20);
    replica_cancel(left->replica, &gone.operation);
    expect_status(&cluster, &gone, OPERATION_CANCELLED);
    expect_status(&cluster, &ask, OPERATION_NO_LEADER);
    assert_in_range(cluster_now_ms(&cluster) - begin_ms, 2 * CLUSTER_ELECTION_MS - 5, 2 * CLUSTER_ELECTION_MS + 100);
    finish(&cluster);
}

static void block(struct cluster *cluster, const struct node *from, bool out, bool in)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        if (&cluster->nodes[i] != from) {
            sim_network_block(&cluster->world, from->sim->index, i, out);
            sim_network_block(&cluster->world, i, from->sim->index, in);
        }
    }
}

/* It is in an entry that the members got and the leader never heard of: the next leader commits it. What is parked isn't
 * in any. */
static void undecided_wait_gets_its_true_answer(void **state)
{
    (void)state;
    unsigned truths = 0;
    for (uint64_t seed = 1230; seed < 1240; seed++) {
        struct cluster cluster;
        struct node *leader = asks_begin(&cluster, 3, seed);
        struct ask granted, parked;
        struct wanted one = wanted("job", "w"), two = wanted("held", "w");
        (void)take(leader, "held", "first");
        ask_queued(leader, &parked, &two, 1);
        ask_wanted(leader, &granted, &one);
        block(&cluster, leader, false, true);
        cluster_wait(&cluster, 20000, another_leads, leader, "another leader");
        expect_status(&cluster, &parked, OPERATION_NO_LEADER);
        assert_false(granted.answered);
        sim_network_heal(&cluster.world);
        ask_wait(&cluster, &granted);
        struct look look;
        look_at(leader, &look, "job");
        look_wait(&cluster, &look);
        if (granted.status == OPERATION_APPLIED) {
            truths++;
            assert_true(look.held);
            assert_int_equal(look.token, granted.token);
        } else {
            assert_int_equal(granted.status, OPERATION_UNKNOWN);
        }
        finish(&cluster);
    }
    assert_true(truths > 5);
}

/* … and one of another member: whatever it comes to there, its own node has taken it for lost. */
static void undecided_wait_of_a_lost_member_is_forgotten(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1241);
    struct node *follower = cluster_other(&cluster, leader);
    struct ask ask;
    struct wanted want = wanted("job", "w");
    ask_wanted(follower, &ask, &want);
    cluster_wait(&cluster, 1000, is_proposed, leader->replica, "the operation to be proposed");
    node_kill(follower, SIM_KILLED);
    cluster_run(&cluster, 1000);
    expect_empty(leader);
    node_start(follower);
    cluster_run(&cluster, 2000);
    finish(&cluster);
}

/* ---- streams and nodes ---- */

static void member_that_dies_takes_its_waiters_along(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1250);
    struct node *gone = cluster_other(&cluster, leader);
    struct node *stays = third(&cluster, leader, gone);
    struct ask theirs[4], waiter;
    uint64_t token = take(leader, "job", "first");
    for (unsigned i = 0; i < 4; i++) {
        struct wanted want = wanted("job", "gone");
        ask_queued(gone, &theirs[i], &want, i + 1);
    }
    struct wanted want = wanted("job", "stays");
    ask_queued(stays, &waiter, &want, 5);
    node_kill(gone, SIM_POWER_LOSS); /* its streams fall silent */
    node_start(gone);                /* … and another process of it connects */
    expect_waiting(leader, "job", 1);
    ask_released(leader, "job", token, RUN_SUCCEEDED);
    expect_granted(&cluster, &waiter);
    cluster_run(&cluster, 1000);
    finish(&cluster);
}

static void stream_that_is_lost_ends_the_wait_at_both_ends(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1251);
    struct node *follower = cluster_other(&cluster, leader);
    struct ask ask;
    struct wanted want = wanted("job", "w");
    uint64_t token = take(leader, "job", "first");
    ask_queued(follower, &ask, &want, 1);
    block(&cluster, follower, true, true);
    expect_waiting(leader, "job", 0);
    expect_status(&cluster, &ask, OPERATION_UNKNOWN);
    ask_released(leader, "job", token, RUN_SUCCEEDED);
    sim_network_heal(&cluster.world);
    cluster_run(&cluster, 3000);
    (void)take(cluster_wait_leader(&cluster), "job", "next");
    finish(&cluster);
}

static bool is_down(void *arg)
{
    return !((const struct node *)arg)->up;
}

static void node_that_stops_lets_its_waiters_go(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct cluster cluster;
        struct node *leader = asks_begin(&cluster, 3, 1252 + i);
        struct node *stops = i == 0 ? leader : cluster_other(&cluster, leader);
        struct node *other = third(&cluster, leader, stops);
        struct ask own, others;
        struct wanted want = wanted("job", "w");
        (void)take(leader, "job", "first");
        ask_queued(stops, &own, &want, 1);
        ask_queued(other, &others, &want, 2);
        uint64_t begin_ms = cluster_now_ms(&cluster);
        node_stop(stops);
        expect_status(&cluster, &own, OPERATION_NO_LEADER);
        cluster_wait(&cluster, 1000, is_down, stops, "the end");
        assert_true(cluster_now_ms(&cluster) - begin_ms < 700);
        if (i == 0) { /* the leader itself */
            expect_status(&cluster, &others, OPERATION_NO_LEADER);
        } else {
            expect_waiting(leader, "job", 1);
            replica_cancel(other->replica, &others.operation);
            expect_status(&cluster, &others, OPERATION_CANCELLED);
        }
        finish(&cluster);
    }
}

static void single_node_that_stops_lets_its_waiters_go(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *node = asks_begin(&cluster, 1, 1255);
    struct ask ask;
    struct wanted want = wanted("job", "w");
    (void)take(node, "job", "first");
    ask_queued(node, &ask, &want, 1);
    node_stop(node);
    expect_status(&cluster, &ask, OPERATION_NO_LEADER);
    cluster_wait(&cluster, 1000, is_down, node, "the end");
    cluster_close(&cluster);
}

static void node_that_crashes_frees_its_waiters(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1256);
    struct node *follower = cluster_other(&cluster, leader);
    struct ask policy, asks[6];
    struct policy grouped = policy_of(1);
    struct ask group;
    ask_group(leader, &group, "g", 0);
    grouped.group = slice_of("g");
    ask_policy(leader, &policy, "job", &grouped);
    for (unsigned i = 0; i < 6; i++) {
        struct wanted want = wanted("job", "w");
        want.occurrence = i < 3 ? "o" : "p";
        ask_queued(i % 2 == 0 ? leader : follower, &asks[i], &want, i + 1);
    }
    node_kill(leader, SIM_KILLED); /* the sanitizer tells of what is left */
    node_kill(follower, SIM_KILLED);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_ends_with_what_was_in_its_way),
        cmocka_unit_test(many_waits_may_end_at_once),
        cmocka_unit_test(waiting_needs_rules_2),
        cmocka_unit_test(who_goes_leaves_the_queue),
        cmocka_unit_test(who_goes_at_once_was_never_proposed),
        cmocka_unit_test(who_goes_too_late_hears_what_became_of_it),
        cmocka_unit_test(cancel_that_crosses_an_answer_does_no_harm),
        cmocka_unit_test(thousands_may_go_at_once),
        cmocka_unit_test(leader_that_dies_leaves_the_wait_unknown),
        cmocka_unit_test(leader_that_steps_down_tells_all),
        cmocka_unit_test(wait_without_a_leader_goes_to_the_next),
        cmocka_unit_test(without_any_leader_the_wait_is_short),
        cmocka_unit_test(undecided_wait_gets_its_true_answer),
        cmocka_unit_test(undecided_wait_of_a_lost_member_is_forgotten),
        cmocka_unit_test(member_that_dies_takes_its_waiters_along),
        cmocka_unit_test(stream_that_is_lost_ends_the_wait_at_both_ends),
        cmocka_unit_test(node_that_stops_lets_its_waiters_go),
        cmocka_unit_test(single_node_that_stops_lets_its_waiters_go),
        cmocka_unit_test(node_that_crashes_frees_its_waiters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
