/* Reads: one barrier for all that wait, on any member, and never an answer from the past. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"

static struct node *begin(struct cluster *cluster, uint64_t seed)
{
    cluster_open(cluster, 3, seed);
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000);
    return cluster_wait_leader(cluster);
}

struct looks {
    struct look *list;
    size_t n;
};

static bool all_answered(void *arg)
{
    const struct looks *looks = arg;
    for (size_t i = 0; i < looks->n; i++) {
        if (!looks->list[i].answered) {
            return false;
        }
    }
    return true;
}

static void one_barrier_serves_all_that_wait(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 300);
    for (unsigned i = 0; i < 2; i++) {
        struct node *node = i == 0 ? leader : cluster_other(&cluster, leader);
        struct looks looks = {.list = calloc(100, sizeof(struct look)), .n = 100};
        assert_non_null(looks.list);
        uint64_t applied = leader->applied;
        for (size_t j = 0; j < looks.n; j++) {
            look_at(node, &looks.list[j], "job");
        }
        cluster_wait(&cluster, 5000, all_answered, &looks, "all reads");
        for (size_t j = 0; j < looks.n; j++) {
            assert_int_equal(looks.list[j].status, OPERATION_APPLIED);
        }
        assert_int_equal(leader->applied, applied + 1);
        free(looks.list);
    }
    cluster_close(&cluster);
}

static void barrier_shares_an_entry_with_operations(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 301);
    uint64_t applied = leader->applied;
    struct ask ask;
    struct look look;
    look_at(leader, &look, "job");
    ask_acquire(leader, &ask, "job", "agent", 60000);
    ask_wait(&cluster, &ask);
    look_wait(&cluster, &look);
    assert_int_equal(ask.code, OUTCOME_DONE);
    assert_int_equal(look.status, OPERATION_APPLIED);
    assert_int_equal(leader->applied, applied + 1);
    cluster_close(&cluster);
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

/* The others have moved on, and the old leader doesn't know it yet. */
static void cut_off_leader_answers_no_read(void **state)
{
    (void)state;
    for (uint64_t seed = 310; seed < 320; seed++) {
        struct cluster cluster;
        struct node *old = begin(&cluster, seed);
        struct ask ask;
        ask_acquire(old, &ask, "job", "agent-1", 600000);
        ask_wait(&cluster, &ask);
        for (unsigned i = 0; i < 3; i++) {
            sim_network_block(&cluster.world, old->sim->index, i, true);
            sim_network_block(&cluster.world, i, old->sim->index, true);
        }
        struct look early;
        look_at(old, &early, "job");
        cluster_wait(&cluster, 20000, another_leads, old, "another leader");
        struct look late;
        look_at(old, &late, "job");
        cluster_run(&cluster, 2000);
        assert_true(early.answered && late.answered);
        assert_int_equal(early.status, OPERATION_NO_LEADER);
        assert_int_equal(late.status, OPERATION_NO_LEADER);
        cluster_close(&cluster);
    }
}

/* Every read on every member shows what was acknowledged before it began, through a change of leaders. */
static void read_shows_what_was_acknowledged_before_it(void **state)
{
    (void)state;
    for (uint64_t seed = 330; seed < 335; seed++) {
        struct cluster cluster;
        struct node *leader = begin(&cluster, seed);
        for (unsigned round = 0; round < 12; round++) {
            struct ask ask;
            do {
                ask_acquire(leader, &ask, "job", "agent", 600000);
                ask_wait(&cluster, &ask);
                leader = ask.status == OPERATION_APPLIED ? leader : cluster_wait_leader(&cluster);
            } while (ask.status != OPERATION_APPLIED);
            if (round == 6) {
                node_kill(leader, SIM_KILLED);
                leader = cluster_wait_leader(&cluster);
            }
            for (unsigned i = 0; i < 3; i++) {
                struct look look;
                if (cluster.nodes[i].up) {
                    look_at(&cluster.nodes[i], &look, "job");
                    look_wait(&cluster, &look);
                    assert_true(look.status != OPERATION_APPLIED || look.held);
                    assert_true(look.status != OPERATION_APPLIED || ask.token == 0 || look.token == ask.token);
                }
            }
        }
        cluster_close(&cluster);
    }
}

struct stubborn {
    struct replica_read read;
    struct node *node;
    unsigned refusals;
    uint64_t step; /* of the newest */
};

static void ask_at_once_again(struct replica_read *read, enum operation_status status)
{
    struct stubborn *stubborn = read->data;
    uint64_t step = stubborn->node->cluster->world.steps;
    assert_int_equal(status, OPERATION_NO_LEADER);
    assert_true(step > stubborn->step);
    stubborn->step = step;
    if (++stubborn->refusals < 5) {
        replica_read(stubborn->node->replica, read);
    }
}

static bool has_no_requests(void *arg)
{
    return ((const struct node *)arg)->replica->reads.n_requests == 0;
}

/* A member that asks without end. */
static void more_questions_than_the_bound_are_refused(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 350);
    struct node *asking = cluster_other(&cluster, leader);
    const struct reads *reads = &leader->replica->reads;
    const struct members *members = &leader->replica->members;
    struct member *member = NULL;
    for (size_t i = 0; i < members->n; i++) {
        member = strcmp(members->list[i]->address.name, asking->sim->name) == 0 ? members->list[i] : member;
    }
    struct frame_read_index frame = {0};
    memcpy(frame.run_id, asking->replica->run_id, sizeof frame.run_id);
    node_enter(leader);
    for (size_t i = 1; i <= LIMIT_READ_REQUESTS + 10; i++) {
        frame.number = i;
        reads_take_request(leader->replica, member, &frame);
        assert_int_equal(reads->n_requests, i < LIMIT_READ_REQUESTS ? i : LIMIT_READ_REQUESTS);
    }
    cluster_wait(&cluster, 5000, has_no_requests, leader, "answers");
    cluster_run(&cluster, 100); /* they arrive at who hasn't asked */
    struct look look;
    look_at(asking, &look, "job");
    cluster_run(&cluster, 1000);
    assert_true(look.answered);
    assert_int_equal(look.status, OPERATION_APPLIED);
    cluster_close(&cluster);
}

static bool is_down(void *arg)
{
    return !((const struct node *)arg)->up;
}

/* Who asks again inside `done` is answered in the next turn, not in an endless loop. */
static void refused_read_may_be_asked_for_again_at_once(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = begin(&cluster, 340);
    struct node *node = cluster_other(&cluster, leader);
    struct stubborn stubborn = {.read.done = ask_at_once_again, .node = node};
    stubborn.read.data = &stubborn;
    node_stop(node);
    replica_read(node->replica, &stubborn.read);
    cluster_wait(&cluster, 5000, is_down, node, "the end");
    assert_int_equal(stubborn.refusals, 5);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_barrier_serves_all_that_wait),
        cmocka_unit_test(barrier_shares_an_entry_with_operations),
        cmocka_unit_test(cut_off_leader_answers_no_read),
        cmocka_unit_test(read_shows_what_was_acknowledged_before_it),
        cmocka_unit_test(refused_read_may_be_asked_for_again_at_once),
        cmocka_unit_test(more_questions_than_the_bound_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
