/* LIBRAFT.md, Settings: what libraft is told before it starts, and what that does. */
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

static void setting_pre_vote_keeps_the_term_of_a_cut_off_member(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 100);
    struct node *away = cluster_other(&cluster, leader);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(watch_of(&cluster.nodes[i])->pre_vote_at_start);
    }
    uint64_t term = node_status(leader).term;
    watch_isolate(&cluster, away, true);
    cluster_run(&cluster, 5000);
    assert_int_equal(node_status(away).role, REPLICA_CANDIDATE);
    assert_int_equal(node_status(away).term, term);
    watch_isolate(&cluster, away, false);
    cluster_run(&cluster, 3000);
    assert_int_equal(node_status(away).role, REPLICA_FOLLOWER);
    assert_int_equal(node_status(leader).term, term);
    close_three(&cluster);
}

static void setting_time_outs_are_set_before_start(void **state)
{
    (void)state;
    struct cluster cluster;
    (void)open_three(&cluster, 101);
    for (unsigned i = 0; i < 3; i++) {
        const struct watch *watch = watch_of(&cluster.nodes[i]);
        assert_int_equal(watch->election_ms_at_start, CLUSTER_ELECTION_MS);
        assert_int_equal(watch->heartbeat_ms_at_start, 50);
        assert_int_equal(watch->raft->election_timeout, CLUSTER_ELECTION_MS);
        assert_int_equal(watch->raft->heartbeat_timeout, 50);
        assert_int_equal(watch->raft->install_snapshot_timeout, 5000);
        assert_int_equal(watch->raft->max_catch_up_round_duration, 5000);
    }
    close_three(&cluster);
}

static void setting_trailing_is_2048_or_more(void **state)
{
    (void)state;
    struct cluster cluster;
    (void)open_three(&cluster, 102);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(watch_of(&cluster.nodes[i])->raft->legacy.snapshot_trailing >= 2048);
    }
    close_three(&cluster);
}

static void setting_capacity_logic_of_libraft_is_off(void **state)
{
    (void)state;
    struct cluster cluster;
    (void)open_three(&cluster, 103);
    for (unsigned i = 0; i < 3; i++) {
        const struct raft *raft = watch_of(&cluster.nodes[i])->raft;
        assert_int_equal(raft->capacity_threshold, 0);
        assert_int_equal(raft->io->capacity, 0xffff);
    }
    close_three(&cluster);
}

static void setting_all_voters_begin_with_one_configuration(void **state)
{
    (void)state;
    struct cluster cluster;
    (void)open_three(&cluster, 104);
    struct raft_buffer first;
    assert_int_equal(raft_configuration_encode(&cluster.nodes[0].replica->raft.configuration, &first), 0);
    for (unsigned i = 0; i < 3; i++) {
        const struct raft *raft = &cluster.nodes[i].replica->raft;
        struct raft_buffer other;
        assert_int_equal(raft_configuration_encode(&raft->configuration, &other), 0);
        assert_int_equal(first.len, other.len);
        assert_memory_equal(first.base, other.base, first.len);
        raft_free(other.base);
        assert_int_equal(raft->configuration_committed_index, 1);
        assert_int_equal(raft->configuration.n, 3);
        assert_int_equal(raft->configuration.servers[i].role, RAFT_VOTER);
    }
    raft_free(first.base);
    close_three(&cluster);
}

static void setting_32_entries_are_the_most_of_an_append_entries(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 105);
    struct node *away = cluster_other(&cluster, leader);
    node_kill(away, SIM_KILLED);
    watch_propose(&cluster, leader, 100);
    node_start(away);
    cluster_wait_applied(&cluster, away, leader->applied);
    leader = cluster_wait_leader(&cluster);
    assert_int_equal(watch_of(leader)->raft->max_inflight_entries, 32);
    assert_int_equal(watch_of(leader)->most_entries, 32);
    close_three(&cluster);
}

/* ---- when a snapshot is due ---- */

static struct node *open_with_small_snapshots(struct cluster *cluster, uint64_t seed)
{
    cluster_open(cluster, 3, seed);
    cluster->snapshot_entry_bytes = 8192;
    cluster->snapshot_trailing = 8;
    watch_begin(cluster);
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000);
    return cluster_wait_leader(cluster);
}

static bool is_putting(void *arg)
{
    return watch_of(arg)->putting;
}

static bool is_not_putting(void *arg)
{
    return !watch_of(arg)->putting;
}

static void propose_until_putting(struct cluster *cluster, struct node *leader)
{
    for (unsigned i = 0; i < 500 && !is_putting(leader); i++) {
        watch_propose(cluster, leader, 1);
    }
    cluster_wait(cluster, 1000, is_putting, leader, "a snapshot");
}

static void setting_threshold_one_snapshot_and_not_two(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_with_small_snapshots(&cluster, 106);
    struct watch *watch = watch_of(leader);
    assert_int_equal(watch->raft->legacy.snapshot_threshold, 1u << 30);
    for (unsigned i = 0; i < 500 && watch->taken == 0; i++) {
        struct ask asks[2]; /* the second one is proposed while the first one's step takes the snapshot */
        char schedule[2][32];
        for (unsigned j = 0; j < 2; j++) {
            (void)snprintf(schedule[j], sizeof schedule[j], "threshold-%u-%u", i, j);
            ask_acquire(leader, &asks[j], schedule[j], "agent", 600000);
            cluster_run(&cluster, 1);
        }
        ask_wait(&cluster, &asks[0]);
        ask_wait(&cluster, &asks[1]);
    }
    assert_int_equal(watch->taken, 1);
    assert_int_equal(watch->raft->legacy.snapshot_threshold, 1u << 30);
    watch_propose(&cluster, leader, 1); /* libraft asks at the end of the put, and entries have come since */
    cluster_wait(&cluster, 5000, is_not_putting, leader, "the snapshot's end");
    watch_propose(&cluster, leader, 3);
    cluster_run(&cluster, 100);
    assert_int_equal(watch->taken, 1);
    close_three(&cluster);
}

static void setting_threshold_is_asked_for_again_while_busy(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_with_small_snapshots(&cluster, 107);
    struct watch *watch = watch_of(leader);
    struct node *slow = cluster_other(&cluster, leader);
    slow->replica->raft.configuration_uncommitted_index = 1; /* guard 11 says busy */
    for (unsigned i = 0; i < 500 && watch_of(slow)->snapshots_asked == 0; i++) {
        watch_propose(&cluster, leader, 1);
        cluster_run(&cluster, 60);
    }
    unsigned asked = watch_of(slow)->snapshots_asked;
    assert_int_equal(watch_of(slow)->taken, 0);
    assert_in_range(node_status(slow).snapshot_busy_ms, 1, 120);
    cluster_run(&cluster, 100);
    assert_in_range(node_status(slow).snapshot_busy_ms, 100, 220);
    assert_int_equal(node_status(leader).snapshot_busy_ms, 0);
    assert_true(watch_of(slow)->snapshots_asked >= asked + 8);
    slow->replica->raft.configuration_uncommitted_index = 0;
    cluster_run(&cluster, 100);
    assert_int_equal(watch_of(slow)->taken, 1);
    assert_int_equal(node_status(slow).snapshot_busy_ms, 0);
    assert_true(watch->taken >= 1);
    close_three(&cluster);
}

static void setting_snapshot_is_due_by_the_bytes_of_entries(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_with_small_snapshots(&cluster, 108);
    struct storage_figures figures;
    propose_until_putting(&cluster, leader);
    storage_figures(leader->storage, &figures);
    assert_true(figures.entry_bytes_since_snapshot > 8192);
    cluster_wait(&cluster, 5000, is_not_putting, leader, "the snapshot's end");
    storage_figures(leader->storage, &figures);
    assert_true(figures.entry_bytes_since_snapshot < 4096);
    assert_int_equal(node_status(leader).last_snapshot_index, leader->replica->raft.trail.snapshot.index);
    close_three(&cluster);
}

static void setting_snapshot_is_due_by_the_bytes_of_segments(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_with_small_snapshots(&cluster, 109);
    struct storage_figures figures;
    watch_propose(&cluster, leader, 1);
    cluster_run(&cluster, 200);
    assert_int_equal(watch_of(leader)->snapshots_asked, 0);
    storage_figures(leader->storage, &figures);
    leader->replica->options.snapshot_log_bytes = figures.log_bytes_since_snapshot;
    cluster_run(&cluster, 200);
    assert_int_equal(watch_of(leader)->snapshots_asked, 0); /* not more than that */
    leader->replica->options.snapshot_log_bytes--;
    cluster_run(&cluster, 200);
    assert_int_equal(watch_of(leader)->taken, 1);
    leader->replica->options.snapshot_log_bytes = 1ull << 30;
    close_three(&cluster);
}

static void setting_snapshot_is_not_due_before_its_own_size(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_with_small_snapshots(&cluster, 110);
    struct watch *watch = watch_of(leader);
    struct storage_figures figures;
    struct storage_snapshot_info newest;
    propose_until_putting(&cluster, leader);
    cluster_wait(&cluster, 5000, is_not_putting, leader, "the snapshot's end");
    leader->replica->options.snapshot_entry_bytes = 1;
    storage_snapshot_newest(leader->storage, &newest);
    assert_true(newest.size > 1000);
    unsigned before = watch->taken;
    for (unsigned i = 0; i < 500 && watch->taken == before; i++) {
        storage_figures(leader->storage, &figures);
        watch_propose(&cluster, leader, 1);
        cluster_run(&cluster, 50);
    }
    assert_int_equal(watch->taken, before + 1);
    assert_in_range(figures.entry_bytes_since_snapshot, newest.size - 400, newest.size); /* one entry before */
    close_three(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_pre_vote_keeps_the_term_of_a_cut_off_member),
        cmocka_unit_test(setting_time_outs_are_set_before_start),
        cmocka_unit_test(setting_trailing_is_2048_or_more),
        cmocka_unit_test(setting_capacity_logic_of_libraft_is_off),
        cmocka_unit_test(setting_all_voters_begin_with_one_configuration),
        cmocka_unit_test(setting_32_entries_are_the_most_of_an_append_entries),
        cmocka_unit_test(setting_threshold_one_snapshot_and_not_two),
        cmocka_unit_test(setting_threshold_is_asked_for_again_while_busy),
        cmocka_unit_test(setting_snapshot_is_due_by_the_bytes_of_entries),
        cmocka_unit_test(setting_snapshot_is_due_by_the_bytes_of_segments),
        cmocka_unit_test(setting_snapshot_is_not_due_before_its_own_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
