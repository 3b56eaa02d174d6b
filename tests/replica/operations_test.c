/* Operations: packed by turns, passed on once, answered with the truth, or with "unknown" when nobody can know it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"

struct crowd {
    struct cluster *cluster;
    struct ask *asks;
    size_t n;
    unsigned most_in_flight;
};

static bool crowd_is_answered(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < crowd->cluster->n; i++) {
        const struct node *node = &crowd->cluster->nodes[i];
        if (node->up && node->replica->operations.in_flight > crowd->most_in_flight) {
            crowd->most_in_flight = node->replica->operations.in_flight;
        }
    }
    for (size_t i = 0; i < crowd->n; i++) {
        if (!crowd->asks[i].answered) {
            return false;
        }
    }
    return true;
}

/* `n` operations in one turn of `node`. */
static void crowd_ask(struct crowd *crowd, struct cluster *cluster, struct node *node, size_t n)
{
    *crowd = (struct crowd){.cluster = cluster, .asks = calloc(n, sizeof(struct ask)), .n = n};
    assert_non_null(crowd->asks);
    for (size_t i = 0; i < n; i++) {
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "crowd-%zu", i);
        ask_acquire(node, &crowd->asks[i], schedule, "an-agent-with-a-name-that-takes-its-place-in-an-entry", 600000);
    }
}

static void crowd_check(struct crowd *crowd, size_t granted)
{
    size_t done = 0;
    cluster_wait(crowd->cluster, 30000, crowd_is_answered, crowd, "all answers");
    for (size_t i = 0; i < crowd->n; i++) {
        done += crowd->asks[i].status == OPERATION_APPLIED && crowd->asks[i].code == OUTCOME_DONE;
    }
    assert_int_equal(done, granted);
    free(crowd->asks);
}

static struct node *begin(struct cluster *cluster, unsigned n, uint64_t seed)
{
    cluster_open(cluster, n, seed);
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000); /* all streams are up */
    return cluster_wait_leader(cluster);
}

static void turn_becomes_one_entry(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 100);
    struct crowd crowd;
    uint64_t applied = leader->applied;
    crowd_ask(&crowd, &cluster, leader, 100);
    crowd_check(&crowd, 100);
    assert_int_equal(leader->applied, applied + 1);
    cluster_close(&cluster);
}

static void large_turn_is_split_and_two_entries_are_in_flight(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 101);
    struct crowd crowd;
    uint64_t applied = leader->applied;
    crowd_ask(&crowd, &cluster, leader, 16000);
    cluster_wait(&cluster, 30000, crowd_is_answered, &crowd, "all answers");
    assert_true(leader->applied >= applied + 3);
    assert_int_equal(crowd.most_in_flight, LIMIT_ENTRIES_IN_FLIGHT);
    crowd_check(&crowd, 16000);
    cluster_close(&cluster);
}

static void more_than_the_queue_holds_is_overloaded(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 1, 102);
    struct crowd crowd;
    crowd_ask(&crowd, &cluster, leader, LIMIT_OPERATIONS_QUEUED + 10);
    cluster_wait(&cluster, 30000, crowd_is_answered, &crowd, "all answers");
    for (size_t i = LIMIT_OPERATIONS_QUEUED; i < crowd.n; i++) {
        assert_int_equal(crowd.asks[i].status, OPERATION_OVERLOADED);
    }
    crowd_check(&crowd, LIMIT_OPERATIONS_QUEUED);
    cluster_close(&cluster);
}

static void follower_passes_a_turn_on_in_one_frame(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 103);
    struct node *follower = cluster_other(&cluster, leader);
    uint64_t frames = follower->replica->operations.next_sequence;
    uint64_t applied = leader->applied;
    struct crowd crowd;
    crowd_ask(&crowd, &cluster, follower, 100);
    crowd_check(&crowd, 100);
    assert_int_equal(follower->replica->operations.next_sequence, frames + 1);
    assert_int_equal(leader->applied, applied + 1);
    assert_int_equal(leader->replica->operations.undecided, 0);
    cluster_close(&cluster);
}

static struct member *member_named(struct node *of, const struct node *other)
{
    for (size_t i = 0; i < of->replica->members.n; i++) {
        if (strcmp(of->replica->members.list[i]->address.name, other->sim->name) == 0) {
            return of->replica->members.list[i];
        }
    }
    return NULL;
}

static struct frame_operations frame_from(struct node *node, uint64_t sequence, const struct frame_operation *operation)
{
    struct frame_operations frame = {.sequence = sequence, .operations = operation, .n_operations = 1};
    memcpy(frame.run_id, node->replica->run_id, sizeof frame.run_id);
    return frame;
}

static struct frame_operation one_operation(const char *schedule)
{
    return (struct frame_operation){
        .number = 1ull << 40,
        .command = {.kind = COMMAND_ACQUIRE,
                    .acquire = {.schedule_id = slice_of(schedule),
                                .holder = slice_of("agent"),
                                .idempotency_key = slice_of("a-key"),
                                .has_ttl = true,
                                .ttl_ms = 60000}},
    };
}

static void frame_is_taken_once(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 104);
    struct node *follower = cluster_other(&cluster, leader);
    struct operations *operations = &leader->replica->operations;
    struct frame_operation operation = one_operation("once");
    uint64_t sequence = follower->replica->operations.next_sequence + 1;
    struct frame_operations frame = frame_from(follower, sequence, &operation);
    passing_take_operations(leader->replica, member_named(leader, follower), &frame);
    assert_int_equal(operations->undecided, 1);
    passing_take_operations(leader->replica, member_named(leader, follower), &frame);
    assert_int_equal(operations->undecided, 1); /* the same frame again */
    frame.sequence--;
    passing_take_operations(leader->replica, member_named(leader, follower), &frame);
    assert_int_equal(operations->undecided, 1); /* an older one */
    frame.sequence += 5;
    frame.run_id[0] ^= 1;
    passing_take_operations(leader->replica, member_named(leader, follower), &frame);
    assert_int_equal(operations->undecided, 1); /* of another process than the one at the other end */
    cluster_run(&cluster, 200);
    assert_int_equal(operations->undecided, 0);
    cluster_close(&cluster);
}

static void passed_operation_is_not_passed_on_again(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 105);
    struct node *follower = cluster_other(&cluster, leader);
    struct node *third = NULL;
    for (unsigned i = 0; i < 3; i++) {
        third = &cluster.nodes[i] != leader && &cluster.nodes[i] != follower ? &cluster.nodes[i] : third;
    }
    struct frame_operation operation = one_operation("twice");
    struct frame_operations frame = frame_from(third, third->replica->operations.next_sequence + 1, &operation);
    struct member *member = member_named(follower, third);
    passing_take_operations(follower->replica, member, &frame);
    assert_int_equal(follower->replica->operations.undecided, 0);
    assert_int_equal(member->outbox.n_results, 1);
    assert_int_equal(member->outbox.results[0].status, OPERATION_NO_LEADER);
    cluster_close(&cluster);
}

static void leaders_own_command_is_taken_from_nobody(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 106);
    struct node *follower = cluster_other(&cluster, leader);
    struct frame_operation operation = {.number = 7, .command = {.kind = COMMAND_LEADER}};
    struct frame_operations frame = frame_from(follower, 1000, &operation);
    struct member *member = member_named(leader, follower);
    passing_take_operations(leader->replica, member, &frame);
    assert_int_equal(leader->replica->operations.undecided, 0);
    assert_int_equal(member->outbox.results[0].status, OPERATION_NOT_READY);
    cluster_close(&cluster);
}

static void without_a_leader_nothing_is_proposed_and_nothing_changed(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 107);
    struct node *left = cluster_other(&cluster, leader);
    for (unsigned i = 0; i < 3; i++) {
        if (&cluster.nodes[i] != left) {
            node_kill(&cluster.nodes[i], SIM_KILLED);
        }
    }
    cluster_run(&cluster, 3000);
    struct ask ask;
    uint64_t begin_ms = cluster_now_ms(&cluster);
    ask_acquire(left, &ask, "job", "agent", 60000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.status, OPERATION_NO_LEADER);
    assert_in_range(cluster_now_ms(&cluster) - begin_ms, 2 * CLUSTER_ELECTION_MS - 5, 2 * CLUSTER_ELECTION_MS + 100);
    cluster_close(&cluster);
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

/* The members got the entry and the leader never heard of it: the next leader commits it. */
static void entry_that_a_later_leader_commits_gets_its_true_answer(void **state)
{
    (void)state;
    unsigned truths = 0;
    for (uint64_t seed = 200; seed < 210; seed++) {
        struct cluster cluster;
        struct node *leader = begin(&cluster, 3, seed);
        struct ask ask;
        ask_acquire(leader, &ask, "job", "agent", 600000);
        block(&cluster, leader, false, true);
        cluster_wait(&cluster, 20000, another_leads, leader, "another leader");
        assert_false(ask.answered);
        sim_network_heal(&cluster.world);
        ask_wait(&cluster, &ask);
        struct look look;
        look_at(leader, &look, "job");
        look_wait(&cluster, &look);
        if (ask.status == OPERATION_APPLIED) {
            truths++;
            assert_true(look.held);
            assert_int_equal(look.token, ask.token);
        } else {
            assert_int_equal(ask.status, OPERATION_UNKNOWN);
        }
        cluster_close(&cluster);
    }
    assert_true(truths > 5);
}

/* Nobody got the entry: its place is taken by another one. */
static void entry_that_was_replaced_is_unknown_at_once(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 220);
    block(&cluster, leader, true, true);
    struct ask ask;
    ask_acquire(leader, &ask, "job", "agent", 600000);
    uint64_t begin_ms = cluster_now_ms(&cluster);
    cluster_wait(&cluster, 20000, another_leads, leader, "another leader");
    sim_network_heal(&cluster.world);
    struct ask other;
    ask_acquire(cluster_wait_leader(&cluster), &other, "job", "agent-2", 600000);
    ask_wait(&cluster, &other);
    assert_int_equal(other.code, OUTCOME_DONE);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.status, OPERATION_UNKNOWN);
    assert_true(cluster_now_ms(&cluster) - begin_ms < CLUSTER_COMMIT_MS);
    cluster_close(&cluster);
}

static void undecided_entry_is_unknown_when_its_time_is_over(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 230);
    struct ask ask;
    ask_acquire(leader, &ask, "job", "agent", 600000);
    cluster_run(&cluster, 0);
    block(&cluster, leader, true, true);
    uint64_t begin_ms = cluster_now_ms(&cluster);
    ask_wait(&cluster, &ask);
    if (ask.status != OPERATION_APPLIED) { /* it was on its way already */
        assert_int_equal(ask.status, OPERATION_UNKNOWN);
        assert_in_range(cluster_now_ms(&cluster) - begin_ms, CLUSTER_COMMIT_MS - 5, CLUSTER_COMMIT_MS + 100);
    }
    cluster_close(&cluster);
}

static bool is_passed(void *arg)
{
    const struct node *node = arg;
    return node->replica->operations.passed.first != NULL;
}

static void passed_operation_is_unknown_when_the_leader_dies(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 240);
    struct node *follower = cluster_other(&cluster, leader);
    struct ask ask;
    ask_acquire(follower, &ask, "job", "agent", 600000);
    cluster_wait(&cluster, 1000, is_passed, follower, "the operation to be passed on");
    node_kill(leader, SIM_KILLED);
    uint64_t begin_ms = cluster_now_ms(&cluster);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.status, OPERATION_UNKNOWN);
    assert_true(cluster_now_ms(&cluster) - begin_ms < CLUSTER_ELECTION_MS);
    cluster_close(&cluster);
}

/* The leader is gone, and the stream to it with it: what waits was surely not sent. */
static void waiting_operation_goes_to_the_next_leader(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 3, 250);
    struct node *follower = cluster_other(&cluster, leader);
    node_kill(leader, SIM_KILLED);
    cluster_run(&cluster, 2);
    struct ask ask;
    ask_acquire(follower, &ask, "job", "agent", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.status, OPERATION_APPLIED);
    assert_int_equal(ask.code, OUTCOME_DONE);
    cluster_close(&cluster);
}

static bool is_copy(struct slice copy, struct slice of)
{
    return slice_equal(copy, of) && copy.base != of.base;
}

/* What is passed on, and what is answered to a member, outlives the frame and the table that it came from. */
static void copies_point_into_nothing_of_the_original(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    const struct command revoke = {.kind = COMMAND_REVOKE,
                                   .revoke = {.schedule_id = slice_of("job"),
                                              .actor = slice_of("operator"),
                                              .reason = slice_of("it hangs"),
                                              .token = 7,
                                              .force = true}};
    struct command command;
    assert_true(copy_command(&arena, &revoke, &command));
    assert_true(is_copy(command.revoke.schedule_id, revoke.revoke.schedule_id));
    assert_true(is_copy(command.revoke.actor, revoke.revoke.actor));
    assert_true(is_copy(command.revoke.reason, revoke.revoke.reason));
    assert_int_equal(command.revoke.token, 7);
    assert_true(command.revoke.force);
    const struct command put = {
        .kind = COMMAND_PUT_SCHEDULE,
        .put_schedule = {.schedule_id = slice_of("job"), .policy = {.slots = 3, .description = slice_of("nightly")}}};
    assert_true(copy_command(&arena, &put, &command));
    assert_true(is_copy(command.put_schedule.schedule_id, put.put_schedule.schedule_id));
    assert_true(is_copy(command.put_schedule.policy.description, put.put_schedule.policy.description));
    const struct command drop = {.kind = COMMAND_DELETE_SCHEDULE, .delete_schedule = {.schedule_id = slice_of("job")}};
    assert_true(copy_command(&arena, &drop, &command));
    assert_true(is_copy(command.delete_schedule.schedule_id, drop.delete_schedule.schedule_id));

    const struct run_view runs[2] = {{.schedule_id = slice_of("job"), .token = 1, .reason = slice_of("it hangs")},
                                     {.schedule_id = slice_of("job"), .token = 2, .actor = slice_of("operator")}};
    const struct outcome outcome = {
        .has_policy = true,
        .policy = {.schedule_id = slice_of("job"), .policy = {.slots = 3, .description = slice_of("nightly")}},
        .runs = runs,
        .n_runs = 2};
    struct outcome copy;
    copy_outcome(&arena, &outcome, NULL, &copy);
    assert_true(is_copy(copy.policy.schedule_id, outcome.policy.schedule_id));
    assert_true(is_copy(copy.policy.policy.description, outcome.policy.policy.description));
    assert_int_equal(copy.policy.policy.slots, 3);
    assert_ptr_not_equal(copy.runs, runs);
    assert_true(is_copy(copy.runs[0].reason, runs[0].reason));
    assert_true(is_copy(copy.runs[1].actor, runs[1].actor));
    assert_int_equal(copy.runs[1].token, 2);
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turn_becomes_one_entry),
        cmocka_unit_test(large_turn_is_split_and_two_entries_are_in_flight),
        cmocka_unit_test(more_than_the_queue_holds_is_overloaded),
        cmocka_unit_test(follower_passes_a_turn_on_in_one_frame),
        cmocka_unit_test(frame_is_taken_once),
        cmocka_unit_test(passed_operation_is_not_passed_on_again),
        cmocka_unit_test(leaders_own_command_is_taken_from_nobody),
        cmocka_unit_test(without_a_leader_nothing_is_proposed_and_nothing_changed),
        cmocka_unit_test(entry_that_a_later_leader_commits_gets_its_true_answer),
        cmocka_unit_test(entry_that_was_replaced_is_unknown_at_once),
        cmocka_unit_test(undecided_entry_is_unknown_when_its_time_is_over),
        cmocka_unit_test(passed_operation_is_unknown_when_the_leader_dies),
        cmocka_unit_test(copies_point_into_nothing_of_the_original),
        cmocka_unit_test(waiting_operation_goes_to_the_next_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
