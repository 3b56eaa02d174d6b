/* That the guards stand where they must: every message of a running member passes them in both directions, and storage,
 * snapshots and start ask them. What each guard does is tested around libraft alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guards_watch.h"

static struct node *open_members(struct cluster *cluster, unsigned n, uint64_t seed, bool snapshots)
{
    cluster_open(cluster, n, seed);
    if (snapshots) {
        cluster->snapshot_entry_bytes = 4096;
        cluster->snapshot_trailing = 8;
    }
    watch_begin(cluster);
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000);
    return cluster_wait_leader(cluster);
}

static void close_members(struct cluster *cluster)
{
    cluster_close(cluster);
    watch_end();
}

static bool is_running(void *arg)
{
    struct node *node = arg;
    return node->replica != NULL && replica_running(node->replica);
}

static bool has_taken(void *arg)
{
    return watch_of(arg)->taken > 0 && !watch_of(arg)->putting;
}

static void propose_until_snapshot(struct cluster *cluster, struct node *leader)
{
    for (unsigned i = 0; i < 300 && watch_of(leader)->taken == 0; i++) {
        watch_propose(cluster, leader, 1);
    }
    cluster_wait(cluster, 5000, has_taken, leader, "a snapshot");
}

/* Guard 1 sees what arrives; its correction of the reply sees what leaves. */
static void placed_received_and_sent_messages_pass_the_guards(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 500, false);
    struct node *node = cluster_other(&cluster, leader);
    const struct frame stale = {.kind = FRAME_APPEND_ENTRIES,
                                .append_entries = {.term = node->replica->raft.current_term - 1}};
    uint64_t begin = cluster.world.now_ns;
    raft_side_receive(node->replica, watch_member(node, leader), &stale);
    const struct watch_frame *reply = watch_find(FRAME_APPEND_ENTRIES_RESULT, watch_id(node), begin);
    assert_int_equal(reply->result.rejected, 1);
    assert_int_equal(reply->result.last_log_index, 0);
    assert_int_equal(reply->result.term, node->replica->raft.current_term);
    close_members(&cluster);
}

/* Guard 10, on the way out. */
static void placed_refused_pre_votes_carry_our_term(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 501, false);
    const struct node *node = cluster_other(&cluster, leader);
    const struct frame ask = {.kind = FRAME_REQUEST_VOTE, .request_vote = {.term = 1, .pre_vote = true}};
    uint64_t begin = cluster.world.now_ns;
    raft_side_receive(leader->replica, watch_member(leader, node), &ask);
    const struct watch_frame *reply = watch_find(FRAME_REQUEST_VOTE_RESULT, watch_id(leader), begin);
    assert_false(reply->vote_result.vote_granted);
    assert_int_equal(reply->vote_result.term, leader->replica->raft.current_term);
    close_members(&cluster);
}

/* ---- 6: an install that arrives while a snapshot is taken ---- */

static bool holds(void *arg)
{
    return is_running(arg) && ((struct node *)arg)->replica->guards.has_held;
}

/* A member that was away, in libraft's eyes busy with a snapshot of its own, has been sent one and holds it. */
static struct node *hold_an_install(struct cluster *cluster, uint64_t seed)
{
    struct node *leader = open_members(cluster, 3, seed, true);
    struct node *away = cluster_other(cluster, leader);
    node_kill(away, SIM_KILLED);
    propose_until_snapshot(cluster, leader);
    node_start(away);
    cluster_wait(cluster, 1000, is_running, away, "the restart");
    away->replica->raft.legacy.snapshot_taking = true;
    cluster_wait(cluster, 10000, holds, away, "an install to be held");
    assert_int_equal(watch_of(away)->installs_heard, 0);
    return away;
}

static bool has_installed(void *arg)
{
    return is_running(arg) && watch_of(arg)->installed > 0 && !watch_of(arg)->putting;
}

static void placed_held_install_is_delivered_after_the_put(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *away = hold_an_install(&cluster, 502);
    away->replica->raft.legacy.snapshot_taking = false;
    cluster_wait(&cluster, 200, has_installed, away, "the install");
    assert_false(away->replica->guards.has_held);
    assert_int_equal(watch_of(away)->installs_heard, 1);
    cluster_wait_applied(&cluster, away, cluster_wait_leader(&cluster)->applied);
    close_members(&cluster);
}

static bool holds_nothing(void *arg)
{
    return !holds(arg);
}

static void placed_held_install_ends_with_its_stream(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *away = hold_an_install(&cluster, 503);
    struct node *leader = watch_node(&cluster, away->replica->guards.held.server_id);
    node_kill(leader, SIM_KILLED);
    cluster_wait(&cluster, 1000, holds_nothing, away, "the held install to be dropped");
    assert_int_equal(watch_of(away)->installs_heard, 0);
    away->replica->raft.legacy.snapshot_taking = false;
    node_start(leader);
    cluster_wait_applied(&cluster, away, cluster_wait_leader(&cluster)->applied); /* from another one */
    close_members(&cluster);
}

/* ---- 9 and 12: transfers ---- */

static bool receives(void *arg)
{
    const struct node *node = arg;
    return node->replica != NULL && node->replica->receiving != NULL;
}

static unsigned transfers_begun(const struct node *leader, uint64_t to)
{
    unsigned n = 0;
    for (size_t i = 0; i < watch_frames(); i++) {
        const struct watch_frame *frame = watch_frame(i);
        n += frame->kind == FRAME_INSTALL_SNAPSHOT && frame->from == watch_id(leader) && frame->to == to;
    }
    return n;
}

/* While chunks can't pass libraft asks for the snapshot again at each heartbeat: one transfer is offered. */
static void placed_one_transfer_to_a_member_and_no_snapshot_meanwhile(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 504, true);
    struct node *away = cluster_other(&cluster, leader);
    uint64_t id = watch_id(away);
    node_kill(away, SIM_KILLED);
    propose_until_snapshot(&cluster, leader);
    node_start(away);
    cluster_wait(&cluster, 10000, receives, away, "a transfer to begin");
    assert_string_equal(guards_snapshot_busy(&leader->replica->guards), "a snapshot is being sent to a member");
    sim_network_slow(&cluster.world, leader->sim->index, away->sim->index, 0, SIM_MS / 8); /* 2 s for 16 KiB */
    cluster_run(&cluster, 600);
    assert_true(transfers_begun(leader, id) <= 2); /* the offer, and one repetition after a second of silence */
    sim_network_heal(&cluster.world);
    cluster_wait(&cluster, 10000, has_installed, away, "the install");
    cluster_run(&cluster, 100);
    assert_non_null(guards_snapshot_busy(&leader->replica->guards)); /* and a second after the end */
    cluster_run(&cluster, 1500);
    assert_null(guards_snapshot_busy(&leader->replica->guards));
    close_members(&cluster);
}

static void placed_snapshot_waits_for_a_lagging_member_that_is_reachable(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 505, false);
    struct node *slow = cluster_other(&cluster, leader);
    leader->replica->guards.trailing = 4;
    sim_network_slow(&cluster.world, slow->sim->index, leader->sim->index, 200 * SIM_MS, 0);
    watch_propose(&cluster, leader, 20);
    assert_string_equal(guards_snapshot_busy(&leader->replica->guards),
                        "a member still needs entries that a snapshot would drop");
    node_kill(slow, SIM_KILLED);
    watch_propose(&cluster, leader, 1);
    cluster_run(&cluster, 500);
    assert_null(guards_snapshot_busy(&leader->replica->guards)); /* who is away gets a snapshot */
    leader->replica->guards.trailing = leader->replica->raft.legacy.snapshot_trailing;
    close_members(&cluster);
}

/* ---- 11, 13, 14, 15 ---- */

static void placed_snapshot_asks_the_guards(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 506, false);
    struct raft *raft = &leader->replica->raft;
    struct raft_buffer *bufs;
    unsigned n;
    watch_propose(&cluster, leader, 1);
    assert_null(guards_snapshot_busy(&leader->replica->guards));
    raft->configuration_uncommitted_index = 1;
    assert_int_equal(watch_of(leader)->fsm.snapshot(raft->fsm, &bufs, &n), RAFT_BUSY);
    raft->configuration_uncommitted_index = 0;
    close_members(&cluster);
}

static void append_done(struct raft_io_append *request, int status)
{
    (void)request;
    (void)status;
}

static void placed_append_checks_the_index(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 507, false);
    struct raft *raft = &leader->replica->raft;
    uint64_t payload = 0;
    const struct raft_entry entry = {
        .term = raft->current_term, .type = RAFT_COMMAND, .buf = {.base = &payload, .len = sizeof payload}};
    struct raft_io_append request;
    /* libraft doesn't count this one. */
    assert_int_equal(watch_of(leader)->io.append(raft->io, &request, &entry, 1, append_done), 0);
    assert_true(leader->replica->dead);
    assert_string_not_equal(leader->complaint, "");
    close_members(&cluster);
}

static void placed_only_voter_starts_in_a_new_term(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *node = open_members(&cluster, 1, 508, false);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t term = node_status(node).term;
        node_kill(node, SIM_POWER_LOSS);
        node_start(node);
        cluster_wait(&cluster, 1000, is_running, node, "the restart");
        assert_int_equal(node_status(node).term, term + 1);
        assert_int_equal(node->replica->raft.voted_for, 0);
    }
    close_members(&cluster);
}

static void placed_load_drops_a_log_that_contradicts_the_snapshot(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 509, true);
    propose_until_snapshot(&cluster, leader);
    uint64_t snapshot = node_status(leader).last_snapshot_index;
    for (unsigned i = 0; i < 3; i++) {
        node_kill(&cluster.nodes[i], SIM_POWER_LOSS);
    }
    watch_shorten_log(true); /* storage finds such a log itself; here it lets one through */
    node_start(leader);
    cluster_wait(&cluster, 1000, is_running, leader, "the restart");
    watch_shorten_log(false);
    assert_int_equal(watch_of(leader)->loaded_entries, 0);
    assert_int_equal(raft_last_index(&leader->replica->raft), snapshot);
    assert_int_equal(leader->replica->side.next_index, snapshot + 1);
    close_members(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placed_received_and_sent_messages_pass_the_guards),
        cmocka_unit_test(placed_refused_pre_votes_carry_our_term),
        cmocka_unit_test(placed_held_install_is_delivered_after_the_put),
        cmocka_unit_test(placed_held_install_ends_with_its_stream),
        cmocka_unit_test(placed_one_transfer_to_a_member_and_no_snapshot_meanwhile),
        cmocka_unit_test(placed_snapshot_waits_for_a_lagging_member_that_is_reachable),
        cmocka_unit_test(placed_snapshot_asks_the_guards),
        cmocka_unit_test(placed_append_checks_the_index),
        cmocka_unit_test(placed_only_voter_starts_in_a_new_term),
        cmocka_unit_test(placed_load_drops_a_log_that_contradicts_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
