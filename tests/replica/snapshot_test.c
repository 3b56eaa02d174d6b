/* Snapshots: taken when due, loaded at start, sent to a member that was away, taken up again where it broke off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cluster.h"

static void open_with_small_snapshots(struct cluster *cluster, uint64_t seed)
{
    cluster_open(cluster, 3, seed);
    cluster->snapshot_entry_bytes = 4096;
    cluster->snapshot_trailing = 8;
    cluster_start_all(cluster);
}

/* Locks and releases, one after the other; returns the newest token. */
static uint64_t work_hard(struct cluster *cluster, struct node *node, unsigned rounds)
{
    uint64_t token = 0;
    for (unsigned i = 0; i < rounds; i++) {
        struct ask ask;
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "job-%u", i % 50);
        ask_acquire(node, &ask, schedule, "agent", 600000);
        ask_wait(cluster, &ask);
        assert_int_equal(ask.status, OPERATION_APPLIED);
        assert_int_equal(ask.code, OUTCOME_DONE);
        token = ask.token;
        ask_release(node, &ask, schedule, token);
        ask_wait(cluster, &ask);
        assert_int_equal(ask.code, OUTCOME_DONE);
    }
    return token;
}

static void due_snapshot_is_taken_and_found_again(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_small_snapshots(&cluster, 21);
    struct node *leader = cluster_wait_leader(&cluster);
    struct ask held;
    ask_acquire(leader, &held, "kept", "agent-kept", 6000000);
    ask_wait(&cluster, &held);
    (void)work_hard(&cluster, leader, 150);
    cluster_run(&cluster, 500);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(node_status(&cluster.nodes[i]).last_snapshot_index > 100);
    }
    for (unsigned i = 0; i < 3; i++) {
        node_kill(&cluster.nodes[i], SIM_POWER_LOSS);
    }
    cluster_start_all(&cluster);
    leader = cluster_wait_leader(&cluster);
    struct look look;
    look_at(leader, &look, "kept");
    look_wait(&cluster, &look);
    assert_true(look.held);
    assert_int_equal(look.token, held.token);
    (void)work_hard(&cluster, leader, 5);
    cluster_close(&cluster);
}

static bool caught_up(void *arg)
{
    struct cluster *cluster = arg;
    uint64_t applied = cluster->nodes[0].applied;
    for (unsigned i = 1; i < cluster->n; i++) {
        if (cluster->nodes[i].applied != applied || node_status(&cluster->nodes[i]).applied_index == 0) {
            return false;
        }
    }
    return true;
}

static void member_that_was_away_gets_a_snapshot(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 35; seed++) {
        struct cluster cluster;
        open_with_small_snapshots(&cluster, seed);
        struct node *leader = cluster_wait_leader(&cluster);
        (void)work_hard(&cluster, leader, 5);
        struct node *away = cluster_other(&cluster, leader);
        uint64_t last = away->applied;
        node_kill(away, SIM_KILLED);
        (void)work_hard(&cluster, leader, 200);
        cluster_run(&cluster, 500);
        leader = cluster_wait_leader(&cluster);
        assert_true(node_status(leader).last_snapshot_index > last + 8);
        node_start(away);
        cluster_wait(&cluster, 20000, caught_up, &cluster, "the member to catch up");
        assert_true(away->applies < 300); /* it didn't get all entries */
        (void)work_hard(&cluster, leader, 20);
        cluster_wait(&cluster, 5000, caught_up, &cluster, "the member to stay");
        node_kill(away, SIM_POWER_LOSS);
        node_start(away);
        cluster_wait(&cluster, 20000, caught_up, &cluster, "the member to come back by itself");
        cluster_close(&cluster);
    }
}

struct progress {
    struct node *node;
    uint64_t written;
};

static bool has_received(void *arg)
{
    const struct progress *progress = arg;
    return progress->node->replica != NULL && progress->node->replica->receiving != NULL;
}

static void transfer_survives_a_cut_and_a_crash_of_the_receiver(void **state)
{
    (void)state;
    for (uint64_t seed = 50; seed < 56; seed++) {
        struct cluster cluster;
        open_with_small_snapshots(&cluster, seed);
        struct node *leader = cluster_wait_leader(&cluster);
        struct node *away = cluster_other(&cluster, leader);
        node_kill(away, SIM_KILLED);
        (void)work_hard(&cluster, leader, 150);
        node_start(away);
        struct progress progress = {.node = away};
        cluster_wait(&cluster, 20000, has_received, &progress, "a transfer to begin");
        if (seed % 2 == 0) {
            for (unsigned i = 0; i < 6; i++) {
                (void)sim_network_cut(&cluster.world, SIM_CUT_RESET);
            }
        } else {
            node_kill(away, SIM_POWER_LOSS);
            node_start(away);
        }
        cluster_wait(&cluster, 30000, caught_up, &cluster, "the member to catch up");
        cluster_close(&cluster);
    }
}

/* As if another leader offered another snapshot, which never comes: the one on its way is dropped for it. */
static void offer_another(struct node *node, const struct node *from)
{
    struct raft_buffer configuration;
    assert_int_equal(raft_configuration_encode(&node->replica->raft.configuration, &configuration), 0);
    const struct frame_install_snapshot frame = {
        .term = node->replica->raft.current_term,
        .last_index = 1000000,
        .last_term = node->replica->raft.current_term,
        .configuration_index = 1,
        .configuration = {.base = configuration.base, .len = configuration.len},
        .size = 1,
        .chunks = 1,
    };
    transfer_take_descriptor(node->replica, member_by_id(node->replica, from->replica->raft.id), &frame);
    raft_free(configuration.base);
}

static bool is_following(void *arg)
{
    return node_status(arg).role == REPLICA_FOLLOWER;
}

/* One that was away, and then alone: what it is offered is up to the test. `from` is the id of the leader that was, whose
 * newest snapshot of two chunks is in `offer` and `bytes`. */
static struct node *open_with_one_alone(struct cluster *cluster, uint64_t seed, struct frame_install_snapshot *offer,
                                        struct buffer *configuration, struct buffer bytes[2], struct member **from)
{
    struct error_text text = {{0}};
    struct storage_snapshot_reader *reader;
    struct storage_snapshot_info info;
    open_with_small_snapshots(cluster, seed);
    struct node *leader = cluster_wait_leader(cluster);
    struct node *away = cluster_other(cluster, leader);
    raft_id id = leader->replica->raft.id;
    node_kill(away, SIM_KILLED);
    (void)work_hard(cluster, leader, 150);
    cluster_run(cluster, 1000);
    assert_int_equal(storage_snapshot_open(leader->storage, &reader, &text), ERROR_NONE);
    storage_snapshot_reader_info(reader, &info);
    assert_int_equal(info.chunks, 2);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(storage_snapshot_read(reader, i, &bytes[i], &text), ERROR_NONE);
    }
    buffer_append_slice(configuration, info.configuration);
    storage_snapshot_reader_close(reader);
    *offer = (struct frame_install_snapshot){.term = leader->replica->raft.current_term,
                                             .last_index = info.index,
                                             .last_term = info.term,
                                             .configuration_index = info.configuration_index,
                                             .configuration = buffer_slice(configuration),
                                             .size = info.size,
                                             .chunks = info.chunks,
                                             .checksum = info.checksum};
    for (unsigned i = 0; i < 3; i++) {
        if (&cluster->nodes[i] != away) {
            node_kill(&cluster->nodes[i], SIM_KILLED);
        }
    }
    node_start(away);
    cluster_wait(cluster, 5000, is_following, away, "the member to be up");
    *from = member_by_id(away->replica, id);
    return away;
}

static void take_chunk(struct cluster *cluster, struct node *node, struct member *from,
                       const struct frame_install_snapshot *offer, uint64_t number, const struct buffer *bytes)
{
    const struct frame_snapshot_chunk chunk = {
        .last_index = offer->last_index, .last_term = offer->last_term, .number = number, .bytes = buffer_slice(bytes)};
    transfer_take_chunk(node->replica, from, &chunk);
    cluster_run(cluster, 200);
}

/* The chunks are whole and can be decoded, and aren't those that were announced. */
static void received_snapshot_is_verified_before_it_is_installed(void **state)
{
    (void)state;
    struct cluster cluster;
    struct frame_install_snapshot offer;
    struct buffer configuration, bytes[2];
    struct member *from;
    buffer_init(&configuration);
    buffer_init(&bytes[0]);
    buffer_init(&bytes[1]);
    struct node *node = open_with_one_alone(&cluster, 90, &offer, &configuration, bytes, &from);
    assert_true(node_status(node).last_snapshot_index < offer.last_index);
    for (int i = 0; i < 2; i++) {
        struct frame_install_snapshot offered = offer;
        offered.checksum ^= i == 0;
        transfer_take_descriptor(node->replica, from, &offered);
        cluster_run(&cluster, 200);
        take_chunk(&cluster, node, from, &offered, 0, &bytes[0]);
        take_chunk(&cluster, node, from, &offered, 1, &bytes[1]);
        assert_null(node->replica->receiving);
        assert_int_equal(node_status(node).last_snapshot_index == offer.last_index, i == 1);
        assert_string_equal(node->complaint, "");
    }
    cluster_close(&cluster);
    buffer_close(&configuration);
    buffer_close(&bytes[0]);
    buffer_close(&bytes[1]);
}

static void transfer_goes_on_behind_the_chunks_that_arrived(void **state)
{
    (void)state;
    struct cluster cluster;
    struct frame_install_snapshot offer;
    struct buffer configuration, bytes[2];
    struct member *from;
    buffer_init(&configuration);
    buffer_init(&bytes[0]);
    buffer_init(&bytes[1]);
    struct node *node = open_with_one_alone(&cluster, 91, &offer, &configuration, bytes, &from);
    transfer_take_descriptor(node->replica, from, &offer);
    cluster_run(&cluster, 200);
    take_chunk(&cluster, node, from, &offer, 0, &bytes[0]);
    transfer_stream_lost(node->replica, from);
    transfer_take_descriptor(node->replica, from, &offer);
    cluster_run(&cluster, 200);
    take_chunk(&cluster, node, from, &offer, 1, &bytes[1]);
    assert_int_equal(node_status(node).last_snapshot_index, offer.last_index);
    assert_string_equal(node->complaint, "");
    cluster_close(&cluster);
    buffer_close(&configuration);
    buffer_close(&bytes[0]);
    buffer_close(&bytes[1]);
}

static bool has_stopped(void *arg)
{
    return !((struct node *)arg)->up;
}

static void dropped_transfer_is_cleared_away_whatever_comes_then(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 18; i++) {
        struct cluster cluster;
        open_with_small_snapshots(&cluster, 80 + i);
        struct node *leader = cluster_wait_leader(&cluster);
        struct node *away = cluster_other(&cluster, leader);
        node_kill(away, SIM_KILLED);
        (void)work_hard(&cluster, leader, 150);
        node_start(away);
        struct progress progress = {.node = away};
        cluster_wait(&cluster, 20000, has_received, &progress, "a transfer to begin");
        cluster_run(&cluster, i / 3);
        offer_another(away, leader);
        if (i % 3 == 1) {
            node_kill(away, SIM_POWER_LOSS);
            node_start(away);
        } else if (i % 3 == 2) {
            node_stop(away);
            cluster_wait(&cluster, 5000, has_stopped, away, "the member to stop");
            node_start(away);
        }
        cluster_wait(&cluster, 60000, caught_up, &cluster, "the member to catch up");
        assert_string_equal(away->complaint, "");
        cluster_close(&cluster);
    }
}

/* All members' disks are full but for what a snapshot needs: the log lives on segments that snapshots give back. Members
 * that have just begun have two segments; `before` makes the log longer than that. */
static void renew_on_full_disks(uint64_t seed, unsigned n, unsigned before)
{
    struct cluster cluster;
    cluster_open(&cluster, n, seed);
    cluster.segment_bytes = 256 * 1024;
    cluster.snapshot_trailing = 24;
    cluster_start_all(&cluster);
    struct node *leader = cluster_wait_leader(&cluster);
    (void)work_hard(&cluster, leader, before);
    struct ask held;
    ask_acquire(leader, &held, "kept", "agent-kept", 6000000);
    ask_wait(&cluster, &held);
    cluster_run(&cluster, 3000);
    for (unsigned i = 0; i < n; i++) {
        struct sim_disk *disk = cluster.nodes[i].sim->disk;
        struct storage_snapshot_info newest;
        storage_snapshot_newest(cluster.nodes[i].storage, &newest);
        sim_disk_set_capacity(disk, sim_disk_used(disk) + 65536 + newest.size - 1);
    }
    cluster_run(&cluster, 3000);
    leader = cluster_wait_leader(&cluster);
    assert_false(node_status(leader).reserve_ok);
    for (unsigned i = 0; i < 2500; i++) { /* a block each: forty segments */
        struct ask ask;
        ask_renew(leader, &ask, "kept", held.token);
        ask_wait(&cluster, &ask);
        assert_int_equal(ask.status, OPERATION_APPLIED);
        assert_int_equal(ask.code, OUTCOME_DONE);
    }
    cluster_run(&cluster, 3000);
    for (unsigned i = 0; i < n; i++) {
        assert_string_equal(cluster.nodes[i].complaint, "");
        assert_true(cluster.nodes[i].up);
        assert_true(node_status(&cluster.nodes[i]).last_snapshot_index > 2400);
    }
    cluster_close(&cluster);
}

static void renewals_go_on_for_long_on_full_disks(void **state)
{
    (void)state;
    for (uint64_t seed = 70; seed < 73; seed++) {
        renew_on_full_disks(seed, 1, 0);
        renew_on_full_disks(seed, 3, 0);
        renew_on_full_disks(seed, 3, 150);
    }
}

static bool has_held(void *arg)
{
    const struct node *node = arg;
    return node->replica != NULL && node->replica->guards.has_held;
}

/* The member's own snapshot takes so long that the leader offers a newer one than the one that guard 6 holds, whose file
 * and table make room for it. */
static void newer_snapshot_replaces_one_that_waits(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_small_snapshots(&cluster, 70);
    struct node *leader = cluster_wait_leader(&cluster);
    struct node *away = cluster_other(&cluster, leader);
    node_kill(away, SIM_KILLED);
    (void)work_hard(&cluster, leader, 150);
    node_start(away);
    struct progress progress = {.node = away};
    cluster_wait(&cluster, 20000, has_received, &progress, "a transfer to begin");
    away->replica->raft.legacy.snapshot_taking = true; /* as if */
    cluster_wait(&cluster, 20000, has_held, away, "an install that is held");
    struct storage_snapshot_info info;
    storage_snapshot_newest(leader->storage, &info);
    struct frame_install_snapshot offer = {
        .term = leader->replica->raft.current_term,
        .last_index = info.index + 1,
        .last_term = info.term,
        .configuration_index = info.configuration_index,
        .configuration = info.configuration,
        .size = info.size,
        .chunks = info.chunks,
        .checksum = info.checksum,
    };
    struct member *member = member_by_id(away->replica, leader->replica->raft.id);
    transfer_take_descriptor(away->replica, member, &offer);
    away->replica->raft.legacy.snapshot_taking = false;
    cluster_run(&cluster, 200);
    assert_string_equal(away->complaint, "");
    cluster_wait(&cluster, 20000, caught_up, &cluster, "the member to catch up");
    cluster_run(&cluster, 100);
    assert_string_equal(away->complaint, "");
    assert_null(away->replica->receiving); /* what nobody needs any more isn't kept */
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_snapshot_is_taken_and_found_again),
        cmocka_unit_test(member_that_was_away_gets_a_snapshot),
        cmocka_unit_test(dropped_transfer_is_cleared_away_whatever_comes_then),
        cmocka_unit_test(renewals_go_on_for_long_on_full_disks),
        cmocka_unit_test(transfer_survives_a_cut_and_a_crash_of_the_receiver),
        cmocka_unit_test(newer_snapshot_replaces_one_that_waits),
        cmocka_unit_test(received_snapshot_is_verified_before_it_is_installed),
        cmocka_unit_test(transfer_goes_on_behind_the_chunks_that_arrived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
