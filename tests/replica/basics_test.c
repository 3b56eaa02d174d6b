/* A cluster founds itself, grants, reads, fails over, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_member_founds_itself_and_grants),
        cmocka_unit_test(three_members_found_a_cluster_and_all_answer),
        cmocka_unit_test(killed_leader_is_followed_by_another_and_nothing_is_lost),
        cmocka_unit_test(all_members_killed_come_back_with_every_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
