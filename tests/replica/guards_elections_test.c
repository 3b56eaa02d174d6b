/* LIBRAFT.md, Elections: silent candidates and ranks after the leader's end, living leaders left alone, and leaving. */
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

/* The survivors of `dead`, the one with the smaller id first. */
struct survivors {
    struct node *first, *second;
};

static struct survivors survivors_of(struct cluster *cluster, const struct node *dead)
{
    struct survivors survivors = {0};
    for (uint64_t id = 1; id <= 3; id++) {
        struct node *node = watch_node(cluster, id);
        if (node != dead) {
            *(survivors.first == NULL ? &survivors.first : &survivors.second) = node;
        }
    }
    CHECK(survivors.first != NULL && survivors.second != NULL);
    return survivors;
}

static bool is_silent(void *arg)
{
    return ((struct node *)arg)->replica->elections.stage == ELECTION_SILENT;
}

static bool leads(void *arg)
{
    return node_status(arg).role == REPLICA_LEADER;
}

static bool is_down(void *arg)
{
    return !((struct node *)arg)->up;
}

/* Timers of the simulator are late by up to a millisecond usually, and by up to 30 seldom; early by one at most. */
static unsigned is_soon(uint64_t took_ns, uint64_t ms)
{
    assert_true(took_ns >= (ms - 1) * SIM_MS);
    return took_ns <= (ms + 2) * SIM_MS;
}

static void election_silent_candidate_waits_4_ms_and_the_first_one_wins(void **state)
{
    (void)state;
    unsigned soon = 0;
    unsigned unrivalled = 0;
    for (uint64_t seed = 300; seed < 320; seed++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, seed);
        struct survivors alive = survivors_of(&cluster, leader);
        uint64_t first = watch_id(alive.first);
        uint64_t second = watch_id(alive.second);
        uint64_t begin = cluster.world.now_ns;
        uint64_t term = node_status(leader).term;
        node_kill(leader, SIM_KILLED);
        cluster_wait(&cluster, 100, is_silent, alive.first, "a silent candidate");
        uint64_t silent_ns = cluster.world.now_ns;
        assert_int_equal(node_status(alive.first).role, REPLICA_CANDIDATE);
        assert_int_equal(node_status(alive.first).term, term);
        assert_null(watch_find(FRAME_REQUEST_VOTE, first, begin));
        cluster_run(&cluster, 200);
        const struct watch_frame *asked = watch_find(FRAME_REQUEST_VOTE, first, begin);
        if (asked != NULL) {
            assert_true(asked->pre_vote);
            soon += is_soon(asked->at_ns - silent_ns, 4);
        }
        unrivalled += asked != NULL && watch_find(FRAME_REQUEST_VOTE, second, begin) == NULL;
        assert_true(leads(alive.first) || leads(alive.second));
        close_three(&cluster);
    }
    assert_true(soon >= 15);
    assert_true(unrivalled >= 15);
}

static void election_second_rank_asks_20_ms_later(void **state)
{
    (void)state;
    unsigned soon = 0;
    for (uint64_t seed = 320; seed < 330; seed++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, seed);
        struct survivors alive = survivors_of(&cluster, leader);
        node_kill(leader, SIM_KILLED);
        cluster_wait(&cluster, 100, is_silent, alive.second, "a silent candidate");
        uint64_t silent_ns = cluster.world.now_ns;
        watch_isolate(&cluster, alive.first, true);
        cluster_run(&cluster, 80);
        const struct watch_frame *asked = watch_find(FRAME_REQUEST_VOTE, watch_id(alive.second), silent_ns);
        assert_non_null(asked);
        soon += is_soon(asked->at_ns - silent_ns, 24);
        close_three(&cluster);
    }
    assert_true(soon >= 7);
}

static void election_silent_candidate_grants_pre_votes(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 330);
    struct survivors alive = survivors_of(&cluster, leader);
    struct replica *replica = alive.second->replica;
    struct frame ask = {.kind = FRAME_REQUEST_VOTE,
                        .request_vote = {.term = replica->raft.current_term + 1,
                                         .candidate_id = watch_id(alive.first),
                                         .last_log_index = 1000,
                                         .last_log_term = replica->raft.current_term,
                                         .pre_vote = true}};
    uint64_t begin = cluster.world.now_ns;
    raft_side_receive(replica, watch_member(alive.second, alive.first), &ask);
    assert_false(watch_find(FRAME_REQUEST_VOTE_RESULT, watch_id(alive.second), begin)->vote_result.vote_granted);
    node_kill(leader, SIM_KILLED);
    cluster_wait(&cluster, 100, is_silent, alive.second, "a silent candidate");
    begin = cluster.world.now_ns + 1;
    cluster_run(&cluster, 1);
    raft_side_receive(replica, watch_member(alive.second, alive.first), &ask);
    assert_true(watch_find(FRAME_REQUEST_VOTE_RESULT, watch_id(alive.second), begin)->vote_result.vote_granted);
    close_three(&cluster);
}

static void election_blink_of_the_leaders_stream_deposes_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 331; seed < 341; seed++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, seed);
        uint64_t begin = cluster.world.now_ns;
        uint64_t term = node_status(leader).term;
        for (unsigned i = 0; i < 10; i++) {
            for (uint64_t cuts = 0; cuts < seed % 5 * 3 + 1; cuts++) { /* one stream, or many in the same moment */
                (void)sim_network_cut(&cluster.world, i % 2 == 0 ? SIM_CUT_RESET : SIM_CUT_FIN);
            }
            cluster_run(&cluster, 1500); /* links that break again and again are dialled less often */
        }
        assert_null(watch_find(FRAME_REQUEST_VOTE, 0, begin));
        assert_int_equal(node_status(leader).term, term);
        assert_int_equal(node_status(leader).role, REPLICA_LEADER);
        close_three(&cluster);
    }
}

struct redial {
    struct node *node;
    uint64_t until_ns;
};

static bool redials(const struct node *node)
{
    return node->replica->elections.stage == ELECTION_REDIALLING;
}

static bool redials_or_late(void *arg)
{
    const struct redial *redial = arg;
    return redials(redial->node) || redial->node->cluster->world.now_ns >= redial->until_ns;
}

static bool is_quiet(void *arg)
{
    return ((struct node *)arg)->replica->elections.stage == ELECTION_QUIET;
}

/* All streams break, and the line to the leader as well: nobody is there to refuse. */
static void election_only_a_refused_redial_is_proof(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (uint64_t seed = 341; seed < 351; seed++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, seed);
        struct node *node = survivors_of(&cluster, leader).first;
        for (unsigned i = 0; i < 12; i++) {
            (void)sim_network_cut(&cluster.world, SIM_CUT_RESET);
        }
        uint64_t begin = cluster.world.now_ns;
        struct redial redial = {.node = node, .until_ns = begin + 20 * SIM_MS};
        cluster_wait(&cluster, 30, redials_or_late, &redial, "the end of the leader's stream to be seen");
        seen += redials(node);
        watch_isolate(&cluster, leader, true);
        cluster_wait(&cluster, 150, is_quiet, node, "the patience to end");
        assert_int_equal(node_status(node).role, REPLICA_FOLLOWER);
        assert_null(watch_find(FRAME_REQUEST_VOTE, 0, begin));
        watch_isolate(&cluster, leader, false);
        close_three(&cluster);
    }
    assert_true(seen >= 5);
}

static void election_force_gives_up_after_20_attempts_while_unpersisted(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 342);
    struct survivors alive = survivors_of(&cluster, leader);
    struct elections *elections = &alive.first->replica->elections;
    struct raft *raft = &alive.first->replica->raft;
    raft->last_stored--; /* as if the newest entry were on its way to the disk */
    node_kill(leader, SIM_KILLED);
    node_kill(alive.second, SIM_KILLED);
    unsigned most = 0;
    uint64_t first_ns = 0;
    uint64_t last_ns = 0;
    for (unsigned i = 0; i < 1000; i++) {
        unsigned before = elections->attempts;
        cluster_run(&cluster, 1);
        if (elections->stage == ELECTION_FORCING && elections->attempts > before) {
            first_ns = first_ns == 0 ? cluster.world.now_ns : first_ns;
            last_ns = cluster.world.now_ns;
        }
        most = elections->attempts > most ? elections->attempts : most;
    }
    assert_int_equal(most, 20);
    assert_in_range(last_ns - first_ns, 19 * SIM_MS, 80 * SIM_MS);
    assert_int_equal(elections->stage, ELECTION_QUIET);
    assert_int_equal(raft->state, RAFT_FOLLOWER);
    assert_int_equal(raft->election_timeout, CLUSTER_ELECTION_MS);
    raft->last_stored++;
    close_three(&cluster);
}

static void leaving_transfers_to_a_caught_up_voter_only(void **state)
{
    (void)state;
    for (uint64_t seed = 350; seed < 360; seed++) {
        struct cluster cluster;
        struct node *leader = open_three(&cluster, seed);
        struct watch *watch = watch_of(leader);
        struct survivors others = survivors_of(&cluster, leader);
        struct node *slow = seed % 2 == 0 ? others.first : others.second;
        struct node *quick = seed % 2 == 0 ? others.second : others.first;
        sim_network_slow(&cluster.world, leader->sim->index, slow->sim->index, 100 * SIM_MS, 0);
        watch_propose(&cluster, leader, 3);
        struct ask ask;
        ask_acquire(leader, &ask, "last", "agent", 60000); /* nobody has it yet */
        cluster_run(&cluster, 1);
        node_stop(leader);
        cluster_wait(&cluster, 3000, is_down, leader, "the end of the leader");
        assert_int_equal(watch->transfers, 1);
        assert_int_equal(watch->transfer_to, watch_id(quick)); /* and the watch saw that it had everything */
        assert_true(ask.answered);
        (void)cluster_wait_leader(&cluster);
        close_three(&cluster);
    }
}

static void leaving_submits_nothing_more(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_three(&cluster, 360);
    struct watch *watch = watch_of(leader);
    unsigned proposals = watch->proposals;
    struct look look;
    node_stop(leader);
    struct ask ask;
    ask_acquire(leader, &ask, "late", "agent", 60000);
    look_at(leader, &look, "late");
    uint64_t begin = cluster.world.now_ns;
    cluster_wait(&cluster, 3000, is_down, leader, "the end of the leader");
    assert_int_equal(watch->proposals, proposals);
    assert_int_equal(ask.status, OPERATION_NO_LEADER);
    assert_true(look.answered);
    const struct node *next = cluster_wait_leader(&cluster);
    assert_ptr_not_equal(next, leader);
    assert_in_range(cluster.world.now_ns - begin, 0, CLUSTER_ELECTION_MS * SIM_MS); /* nobody waited for a time-out */
    close_three(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(election_silent_candidate_waits_4_ms_and_the_first_one_wins),
        cmocka_unit_test(election_second_rank_asks_20_ms_later),
        cmocka_unit_test(election_silent_candidate_grants_pre_votes),
        cmocka_unit_test(election_blink_of_the_leaders_stream_deposes_nobody),
        cmocka_unit_test(election_only_a_refused_redial_is_proof),
        cmocka_unit_test(election_force_gives_up_after_20_attempts_while_unpersisted),
        cmocka_unit_test(leaving_transfers_to_a_caught_up_voter_only),
        cmocka_unit_test(leaving_submits_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
