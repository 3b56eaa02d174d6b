/* LIBRAFT.md, Calls: how the replica calls libraft, and what it does when libraft says no. The watch judges each call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guards_watch.h"

static struct node *open_three(struct cluster *cluster, uint64_t seed)
{
    cluster_open(cluster, 3, seed);
    watch_begin(cluster);
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000);
    return cluster_wait_leader(cluster);
}

static void close_three(struct cluster *cluster)
{
    cluster_close(cluster);
    watch_end();
}

static void call_apply_one_buffer_of_eights_without_callback(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 200);
    char holder[40] = "";
    for (unsigned i = 0; i < 17; i++) { /* all remainders by 8 */
        struct ask ask;
        char schedule[16];
        (void)snprintf(schedule, sizeof schedule, "job-%02u", i);
        holder[i] = 'h';
        ask_acquire(leader, &ask, schedule, holder, 60000);
        ask_wait(&cluster, &ask);
        assert_int_equal(ask.status, OPERATION_APPLIED);
    }
    assert_true(watch_of(leader)->proposals >= 17);
    close_three(&cluster);
}

static void call_apply_index_is_last_applied_plus_one(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 201);
    watch_propose(&cluster, leader, 5);
    cluster_run(&cluster, 200);
    for (unsigned i = 0; i < 3; i++) {
        const struct node *node = &cluster.nodes[i];
        assert_int_equal(node->applied, watch_of(node)->next_apply); /* what the table was told */
        assert_int_equal(node->applied, node->replica->raft.last_applied);
        assert_int_equal(node->applied, raft_last_index(&cluster.nodes[i].replica->raft));
    }
    close_three(&cluster);
}

static void call_request_lives_until_the_step_has_returned(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 202);
    watch_propose(&cluster, leader, 20); /* applied: the watch looks inside each step */
    watch_isolate(&cluster, leader, true);
    struct ask ask;
    ask_acquire(leader, &ask, "lost", "agent", 60000);
    cluster_run(&cluster, 2);
    assert_int_equal(leader->replica->operations.in_flight, 1);
    cluster_run(&cluster, 2000); /* leadership is lost with the request in libraft's hands */
    assert_int_equal(node_status(leader).role, REPLICA_CANDIDATE);
    assert_int_equal(leader->replica->operations.in_flight, 0);
    watch_isolate(&cluster, leader, false);
    ask_wait(&cluster, &ask);
    cluster_run(&cluster, 5000);
    assert_null(leader->replica->operations.batches);
    close_three(&cluster);
}

static bool is_down(void *arg)
{
    return !((struct node *)arg)->up;
}

static void call_failed_apply_ends_the_process(void **state)
{
    (void)state;
    const int errors[] = {RAFT_NOMEM, RAFT_NOSPACE, RAFT_MALFORMED};
    for (size_t i = 0; i < 3; i++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, 203 + i);
        watch_of(leader)->next_proposal_fails = errors[i];
        struct ask ask;
        ask_acquire(leader, &ask, "job", "agent", 60000);
        cluster_wait(&cluster, 100, is_down, leader, "the end of the process");
        assert_string_not_equal(leader->complaint, "");
        assert_int_equal(leader->exit, REPLICA_EXIT_FAILURE);
        assert_false(ask.answered);
        close_three(&cluster);
    }
}

static void call_proposal_after_a_pause_leaves_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 210; seed < 220; seed++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, seed);
        cluster_run(&cluster, 1000 + 7 * (seed - 210)); /* any place between two heartbeats */
        uint64_t begin = cluster.world.now_ns;
        struct ask ask;
        ask_acquire(leader, &ask, "job", "agent", 60000);
        ask_wait(&cluster, &ask);
        for (unsigned i = 0; i < 3; i++) {
            uint64_t to = watch_id(&cluster.nodes[i]);
            bool left = to == watch_id(leader);
            for (size_t j = 0; j < watch_frames(); j++) {
                const struct watch_frame *frame = watch_frame(j);
                left = left || (frame->kind == FRAME_APPEND_ENTRIES && frame->to == to && frame->n_entries > 0 &&
                                frame->at_ns >= begin && frame->at_ns - begin < 1 * SIM_MS);
            }
            assert_true(left);
        }
        close_three(&cluster);
    }
}

static void call_no_barrier_but_a_command_entry(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 220);
    raft_index last = raft_last_index(&leader->replica->raft);
    unsigned proposals = watch_of(leader)->proposals;
    uint64_t applies = leader->applies;
    struct look look;
    look_at(leader, &look, "job");
    look_wait(&cluster, &look);
    assert_int_equal(look.status, OPERATION_APPLIED);
    assert_int_equal(raft_last_index(&leader->replica->raft), last + 1);
    assert_int_equal(watch_of(leader)->proposals, proposals + 1);
    assert_int_equal(leader->applies, applies + 1); /* the state machine saw it: a command, no RAFT_BARRIER */
    close_three(&cluster);
}

static void call_apply_that_fails_ends_the_process(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 221);
    struct node *node = cluster_other(&cluster, leader);
    struct raft *raft = &node->replica->raft;
    static const uint8_t nonsense[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const struct frame_log_entry entry = {
        .term = raft->current_term, .type = RAFT_COMMAND, .data = {.base = nonsense, .len = sizeof nonsense}};
    raft_index last = raft_last_index(raft);
    const struct frame frame = {
        .kind = FRAME_APPEND_ENTRIES,
        .append_entries = {.term = raft->current_term,
                           .prev_log_index = last,
                           .prev_log_term = guards_term_of(raft, last),
                           .leader_commit = last + 1,
                           .entries = &entry,
                           .n_entries = 1},
    };
    raft_side_receive(node->replica, watch_member(node, leader), &frame);
    assert_true(node->replica->dead);
    assert_string_not_equal(node->complaint, "");
    close_three(&cluster);
}

static void call_transfer_one_at_a_time_without_callback(void **state)
{
    (void)state;
    for (uint64_t seed = 230; seed < 235; seed++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, seed);
        struct watch *watch = watch_of(leader);
        struct ask asks[4];
        for (unsigned i = 0; i < 4; i++) {
            ask_acquire(leader, &asks[i], i % 2 == 0 ? "a" : "b", "agent", 60000);
            cluster_run(&cluster, i);
        }
        node_stop(leader);
        cluster_wait(&cluster, 3000, is_down, leader, "the end of the leader");
        assert_int_equal(watch->transfers, 1);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(asks[i].answered);
        }
        close_three(&cluster);
    }
}

static bool is_transferring(void *arg)
{
    const struct raft *raft = &((struct node *)arg)->replica->raft;
    return raft->state == RAFT_LEADER && raft->leader_state.transferee != 0;
}

static void call_transfer_no_proposal_until_it_ends(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 235);
    watch_propose(&cluster, leader, 1); /* a deadline is pending, so that time must be moved now and then */
    struct watch *watch = watch_of(leader);
    node_stop(leader);
    cluster_wait(&cluster, 1000, is_transferring, leader, "the transfer");
    unsigned proposals = watch->proposals;
    leader->replica->clock.proposed_mono_ns = 0; /* long ago */
    replica_want_turn(leader->replica);
    cluster_wait(&cluster, 3000, is_down, leader, "the end of the leader");
    assert_int_equal(watch->proposals, proposals);
    assert_string_equal(leader->complaint, "");
    close_three(&cluster);
}

static void call_nothing_after_close(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 240);
    watch_propose(&cluster, leader, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct node *node = &cluster.nodes[i];
        struct watch *watch = watch_of(node);
        node_stop(node);
        cluster_run(&cluster, 1);
        struct ask ask;
        if (node->replica != NULL && !node->closed) {
            ask_acquire(node, &ask, "late", "agent", 60000);
        }
        cluster_wait(&cluster, 5000, is_down, node, "the end of the process");
        assert_true(watch->closing);
        assert_int_equal(watch->closes, 1);
        assert_int_equal(watch_pending(watch), 0);
    }
    close_three(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_apply_one_buffer_of_eights_without_callback),
        cmocka_unit_test(call_apply_index_is_last_applied_plus_one),
        cmocka_unit_test(call_request_lives_until_the_step_has_returned),
        cmocka_unit_test(call_failed_apply_ends_the_process),
        cmocka_unit_test(call_proposal_after_a_pause_leaves_at_once),
        cmocka_unit_test(call_no_barrier_but_a_command_entry),
        cmocka_unit_test(call_apply_that_fails_ends_the_process),
        cmocka_unit_test(call_transfer_one_at_a_time_without_callback),
        cmocka_unit_test(call_transfer_no_proposal_until_it_ends),
        cmocka_unit_test(call_nothing_after_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
