/* A cluster founds itself, grants, reads, fails over, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"

static void single_member_founds_itself_and_grants(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 1, 1);
    cluster_start_all(&cluster);
    struct node *leader = cluster_wait_leader(&cluster);
    struct ask ask;
    ask_acquire(leader, &ask, "backup", "agent-1", 60000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.status, OPERATION_APPLIED);
    assert_int_equal(ask.code, OUTCOME_DONE);
    struct look look;
    look_at(leader, &look, "backup");
    look_wait(&cluster, &look);
    assert_true(look.held);
    assert_int_equal(look.token, ask.token);
    cluster_close(&cluster);
}

static void three_members_found_a_cluster_and_all_answer(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 2);
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    cluster_run(&cluster, 500);
    uint64_t tokens[3];
    for (unsigned i = 0; i < 3; i++) {
        struct ask ask;
        char schedule[16];
        (void)snprintf(schedule, sizeof schedule, "job-%u", i);
        ask_acquire(&cluster.nodes[i], &ask, schedule, "agent", 60000);
        ask_wait(&cluster, &ask);
        assert_int_equal(ask.status, OPERATION_APPLIED);
        assert_int_equal(ask.code, OUTCOME_DONE);
        tokens[i] = ask.token;
        assert_true(i == 0 || tokens[i] > tokens[i - 1]);
        for (unsigned j = 0; j < 3; j++) {
            struct look look;
            look_at(&cluster.nodes[j], &look, schedule);
            look_wait(&cluster, &look);
            assert_int_equal(look.status, OPERATION_APPLIED);
            assert_true(look.held);
            assert_int_equal(look.token, tokens[i]);
        }
    }
    cluster_close(&cluster);
}

static void killed_leader_is_followed_by_another_and_nothing_is_lost(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 3);
    cluster_start_all(&cluster);
    struct node *leader = cluster_wait_leader(&cluster);
    struct ask ask;
    ask_acquire(leader, &ask, "backup", "agent-1", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_DONE);
    uint64_t token = ask.token;
    node_kill(leader, SIM_KILLED);
    struct node *next = cluster_wait_leader(&cluster);
    assert_ptr_not_equal(next, leader);
    ask_acquire(next, &ask, "backup", "agent-2", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_LOCK_HELD);
    ask_release(next, &ask, "backup", token);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_DONE);
    node_start(leader);
    cluster_run(&cluster, 3000);
    cluster_wait_applied(&cluster, leader, next->applied);
    cluster_close(&cluster);
}

static void all_members_killed_come_back_with_every_lock(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 4);
    cluster_start_all(&cluster);
    struct node *leader = cluster_wait_leader(&cluster);
    struct ask ask;
    ask_acquire(leader, &ask, "backup", "agent-1", 600000);
    ask_wait(&cluster, &ask);
    uint64_t token = ask.token;
    for (unsigned i = 0; i < 3; i++) {
        node_kill(&cluster.nodes[i], SIM_POWER_LOSS);
    }
    cluster_start_all(&cluster);
    leader = cluster_wait_leader(&cluster);
    struct look look;
    look_at(leader, &look, "backup");
    look_wait(&cluster, &look);
    assert_true(look.held);
    assert_int_equal(look.token, token);
    cluster_close(&cluster);
}

static bool has_ended(void *arg)
{
    return !((struct node *)arg)->up;
}

/* n1 and n2 acknowledge a lock, n2 loses its data, n1 stops: n2 and n3 must not found a second history. */
static void wiped_member_does_not_vote_and_no_lock_is_granted_again(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 5);
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    cluster_run(&cluster, 1000);
    node_kill(&cluster.nodes[2], SIM_KILLED);
    struct node *leader = cluster_wait_leader(&cluster);
    struct ask ask;
    ask_acquire(leader, &ask, "job", "agent-1", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_DONE);
    node_kill(&cluster.nodes[0], SIM_KILLED);
    node_kill(&cluster.nodes[1], SIM_KILLED);
    sim_disk_wipe(cluster.nodes[1].sim->disk);
    node_start(&cluster.nodes[2]);
    node_start(&cluster.nodes[1]);
    cluster_wait(&cluster, 20000, has_ended, &cluster.nodes[1], "the wiped member to end");
    assert_int_equal(cluster.nodes[1].exit, REPLICA_EXIT_DATA);
    assert_non_null(strstr(cluster.nodes[1].complaint, "--join"));
    ask_acquire(&cluster.nodes[2], &ask, "job", "agent-2", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.status, OPERATION_NO_LEADER);
    node_start(&cluster.nodes[0]); /* the majority that knows */
    leader = cluster_wait_leader(&cluster);
    ask_acquire(leader, &ask, "job", "agent-2", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_LOCK_HELD);
    cluster_close(&cluster);
}

static void data_directory_of_another_node_is_refused(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 1, 6);
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    node_kill(&cluster.nodes[0], SIM_KILLED);
    (void)snprintf(cluster.nodes[0].sim->name, sizeof cluster.nodes[0].sim->name, "m1");
    node_start(&cluster.nodes[0]);
    cluster_wait(&cluster, 1000, has_ended, &cluster.nodes[0], "the node to end");
    assert_non_null(strstr(cluster.nodes[0].complaint, "n1"));
    cluster_close(&cluster);
}

/* The reserve is gone: what grows the state is refused, what shrinks it goes on. */
static void leader_without_its_reserve_refuses_what_grows(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 1, 7);
    cluster_start_all(&cluster);
    struct node *leader = cluster_wait_leader(&cluster);
    struct ask held;
    ask_acquire(leader, &held, "job", "agent", 600000);
    ask_wait(&cluster, &held);
    sim_disk_set_capacity(leader->sim->disk, sim_disk_used(leader->sim->disk) + 4096);
    cluster_run(&cluster, 3000); /* it looks each second */
    assert_false(node_status(leader).reserve_ok);
    struct ask ask;
    ask_acquire(leader, &ask, "job-2", "agent", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.status, OPERATION_APPLIED);
    assert_int_equal(ask.code, OUTCOME_CAPACITY);
    ask_release(leader, &ask, "job", held.token);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_DONE);
    cluster_close(&cluster);
}

static void keyed_members_form_a_cluster(void **state)
{
    (void)state;
    static const uint8_t key[32] = {1, 2, 3};
    struct cluster cluster;
    cluster_open(&cluster, 3, 8);
    cluster.cluster_key = key;
    cluster_start_all(&cluster);
    struct node *leader = cluster_wait_leader(&cluster);
    struct ask ask;
    ask_acquire(cluster_other(&cluster, leader), &ask, "job", "agent", 600000);
    ask_wait(&cluster, &ask);
    assert_int_equal(ask.code, OUTCOME_DONE);
    cluster_close(&cluster);
}

/* Advertised addresses travel in the hello and go before those of the configuration. */
static void advertised_addresses_are_told(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 9);
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    cluster_run(&cluster, 1000);
    struct replica_status status = node_status(&cluster.nodes[0]);
    assert_string_equal(status.leader_http, "elsewhere:80");
    assert_int_equal(status.n_members, 3);
    for (size_t i = 0; i < status.n_members; i++) {
        assert_string_equal(status.members[i].http_address, "elsewhere:80");
        assert_string_equal(status.members[i].role, "voter");
        assert_true(status.members[i].reachable);
    }
    assert_true(status.ready);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_member_founds_itself_and_grants),
        cmocka_unit_test(three_members_found_a_cluster_and_all_answer),
        cmocka_unit_test(killed_leader_is_followed_by_another_and_nothing_is_lost),
        cmocka_unit_test(all_members_killed_come_back_with_every_lock),
        cmocka_unit_test(wiped_member_does_not_vote_and_no_lock_is_granted_again),
        cmocka_unit_test(data_directory_of_another_node_is_refused),
        cmocka_unit_test(leader_without_its_reserve_refuses_what_grows),
        cmocka_unit_test(keyed_members_form_a_cluster),
        cmocka_unit_test(advertised_addresses_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
