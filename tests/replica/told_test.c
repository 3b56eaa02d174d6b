/* What a replica tells of its table besides answers: events, equal on every node; what a snapshot skipped; how many wait.
 * And that the commands of rules 2 and their outcomes cross between members whole. */
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

/* ---- events ---- */

static bool all_have_applied(void *arg)
{
    struct cluster *cluster = arg;
    uint64_t applied = cluster_wait_leader(cluster)->applied;
    for (unsigned i = 0; i < cluster->n; i++) {
        if (cluster->nodes[i].up && cluster->nodes[i].applied < applied) {
            return false;
        }
    }
    return true;
}

static void every_node_tells_the_same_events(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1400);
    struct node *follower = cluster_other(&cluster, leader);
    struct policy one = policy_of(1);
    struct ask ask, waiter, renewal;
    ask_policy(follower, &ask, "job", &one);
    ask_group(leader, &ask, "g", 1);
    ask_freeze(follower, &ask, "other");
    uint64_t token = take(leader, "job", "first");
    ask_queued(follower, &waiter, &(struct wanted){.schedule = "job", .holder = "w", .wait_ms = HOUR}, 1);
    ask_renew(follower, &renewal, "job", token);
    expect_done(&cluster, &renewal);
    ask_released(leader, "job", token, RUN_SUCCEEDED);
    expect_granted(&cluster, &waiter);
    ask_revoke(leader, &ask, "job", true);
    ask_wanted(leader, &ask, &(struct wanted){.schedule = "short", .holder = "w", .ttl_ms = 30000});
    expect_granted(&cluster, &ask);
    cluster_run(&cluster, 31000);
    cluster_wait(&cluster, 10000, all_have_applied, &cluster, "all to have applied it");
    for (unsigned i = 0; i < 3; i++) {
        const struct told *told = &cluster.nodes[i].told;
        static const uint64_t kinds[] = {
            [EVENT_GRANTED] = 3, [EVENT_RENEWED] = 1, [EVENT_RELEASED] = 1, [EVENT_EXPIRED] = 1,
            [EVENT_REVOKED] = 1, [EVENT_POLICY] = 1,  [EVENT_GROUP] = 1,    [EVENT_FREEZE] = 1};
        for (unsigned kind = 0; kind <= EVENT_FREEZE; kind++) {
            assert_int_equal(told->kinds[kind], kinds[kind]);
        }
        assert_int_equal(told->fingerprint, cluster.nodes[0].told.fingerprint);
        assert_int_equal(told->skips, 0);
    }
    assert_int_equal(node_status(leader).expirations, 1);
    cluster_close(&cluster);
}

static void what_a_snapshot_skips_is_told(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 1401);
    cluster.snapshot_entry_bytes = 4096;
    cluster.snapshot_trailing = 8;
    for (unsigned i = 0; i < 3; i++) {
        node_set_rules(&cluster.nodes[i], 2);
    }
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    cluster_run(&cluster, 1000);
    struct node *leader = cluster_wait_leader(&cluster);
    struct node *away = cluster_other(&cluster, leader);
    struct ask ask;
    ask_group(leader, &ask, "g", 3);
    ask_freeze(leader, &ask, "cold-*");
    node_kill(away, SIM_KILLED);
    for (unsigned i = 0; i < 150; i++) {
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "job-%u", i);
        ask_released(leader, schedule, take(leader, schedule, "agent"), RUN_SUCCEEDED);
    }
    node_start(away);
    cluster_wait(&cluster, 20000, all_have_applied, &cluster, "all to have applied it");
    assert_int_equal(away->told.skips, 1);
    assert_true(away->told.events < 100);
    assert_true(lock_table_is_frozen(replica_table(away->replica), slice_of("cold-1")));
    uint64_t events = away->told.events;
    (void)take(leader, "more", "agent");
    cluster_wait(&cluster, 20000, all_have_applied, &cluster, "all to have applied it");
    assert_int_equal(away->told.events, events + 1); /* the table that came is heard, too */
    cluster_close(&cluster);
}

static void estimate_of_cluster_time_is_near(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1402);
    cluster_run(&cluster, 5000);
    uint64_t here_ms = clock_now_ms(leader->replica);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t estimate_ms = replica_now_estimate_ms(cluster.nodes[i].replica);
        assert_in_range(estimate_ms, here_ms - 200, here_ms + 200);
    }
    cluster_close(&cluster);
}

/* ---- how many wait ---- */

struct count {
    struct replica_read read;
    bool answered;
    enum operation_status status;
    char schedule[32];
};

static void count_done(struct replica_read *read, enum operation_status status)
{
    struct count *count = read->data;
    assert_false(count->answered);
    count->answered = true;
    count->status = status;
}

static bool is_counted(void *arg)
{
    return ((const struct count *)arg)->answered;
}

static void count_at(struct node *node, struct count *count, const char *schedule)
{
    memset(count, 0, sizeof *count);
    (void)snprintf(count->schedule, sizeof count->schedule, "%s", schedule);
    count->read = (struct replica_read){.done = count_done, .data = count, .waiting_of = slice_of(count->schedule)};
    replica_read(node->replica, &count->read);
}

static void every_node_counts_those_that_wait(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1410);
    struct ask asks[6];
    (void)take(leader, "job", "first");
    (void)take(leader, "job-2", "first");
    for (unsigned i = 0; i < 6; i++) {
        const char *schedule = i < 4 ? "job" : "job-2";
        ask_queued(&cluster.nodes[i % 3], &asks[i],
                   &(struct wanted){.schedule = schedule, .holder = "w", .wait_ms = HOUR}, i < 4 ? i + 1 : i - 3);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct count counts[4];
        static const char *const schedules[] = {"job", "nobody", "job-2", "job"};
        static const uint64_t n[] = {4, 0, 2, 4};
        struct look look;
        for (unsigned j = 0; j < 4; j++) {
            count_at(&cluster.nodes[i], &counts[j], schedules[j]);
        }
        look_at(&cluster.nodes[i], &look, "job"); /* which doesn't ask */
        for (unsigned j = 0; j < 4; j++) {
            cluster_wait(&cluster, 5000, is_counted, &counts[j], "a count");
            assert_int_equal(counts[j].status, OPERATION_APPLIED);
            assert_int_equal(counts[j].read.waiting, n[j]);
        }
        look_wait(&cluster, &look);
        assert_int_equal(look.read.waiting, 0);
    }
    assert_int_equal(node_status(leader).waiters, 6);
    cluster_close(&cluster);
}

static void more_counts_than_one_question_holds_take_two(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1411);
    struct node *follower = cluster_other(&cluster, leader);
    size_t n = LIMIT_READ_COUNTS + 10;
    struct count *counts = calloc(n, sizeof *counts);
    struct ask ask;
    assert_non_null(counts);
    (void)take(leader, "last", "first");
    ask_queued(follower, &ask, &(struct wanted){.schedule = "last", .holder = "w", .wait_ms = HOUR}, 1);
    uint64_t questions = follower->replica->reads.next_number;
    for (size_t i = 0; i < n; i++) {
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "job-%zu", i);
        count_at(follower, &counts[i], i + 1 == n ? "last" : schedule);
    }
    for (size_t i = 0; i < n; i++) {
        cluster_wait(&cluster, 5000, is_counted, &counts[i], "a count");
        assert_int_equal(counts[i].status, OPERATION_APPLIED);
        assert_int_equal(counts[i].read.waiting, i + 1 == n);
    }
    assert_int_equal(follower->replica->reads.next_number, questions + 2);
    cluster_close(&cluster);
    free(counts);
}

/* ---- commands and outcomes of rules 2 ---- */

struct full { /* what an answer had in it */
    struct ask ask;
    struct outcome outcome;
    struct arena arena;
};

static void full_done(struct operation *operation, enum operation_status status, const struct outcome *outcome)
{
    struct full *full = operation->data;
    full->ask.answered = true;
    full->ask.status = status;
    if (status == OPERATION_APPLIED) {
        full->ask.code = outcome->code;
        copy_outcome(&full->arena, outcome, NULL, &full->outcome);
    }
}

static void ask_full(struct node *node, struct full *full, const struct command *command)
{
    memset(full, 0, sizeof *full);
    arena_init(&full->arena, 0);
    full->ask.cluster = node->cluster;
    full->ask.operation = (struct operation){.command = *command, .done = full_done, .data = full};
    node_enter(node);
    replica_submit(node->replica, &full->ask.operation);
    expect_status(node->cluster, &full->ask, OPERATION_APPLIED);
}

static void check_batch(struct node *node)
{
    struct full full;
    uint64_t token = take(node, "b-1", "h");
    uint64_t other = take(node, "b-3", "h");
    struct renew_command renewals[] = {{.schedule_id = slice_of("b-1"), .token = token},
                                       {.schedule_id = slice_of("b-2"), .token = 7},
                                       {.schedule_id = slice_of("b-3"), .token = other, .has_ttl = true, .ttl_ms = 1}};
    ask_full(node, &full,
             &(struct command){.kind = COMMAND_RENEW_BATCH, .renew_batch = {.renewals = renewals, .n_renewals = 3}});
    assert_int_equal(full.outcome.n_results, 3);
    assert_int_equal(full.outcome.results[0].code, OUTCOME_DONE);
    assert_int_equal(full.outcome.results[0].grant.token, token);
    assert_int_equal(full.outcome.results[1].code, OUTCOME_LOCK_LOST);
    assert_int_equal(full.outcome.results[2].code, OUTCOME_TTL_TOO_SHORT);
    arena_close(&full.arena);
    ask_released(node, "b-1", token, RUN_SUCCEEDED);
    ask_released(node, "b-3", other, RUN_SUCCEEDED);
}

static void check_groups(struct node *node)
{
    struct full full;
    struct ask policy;
    struct policy grouped = policy_of(1);
    const struct command put = {.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("g"), .slots = 0}};
    ask_full(node, &full, &put);
    assert_true(full.outcome.has_group && slice_equal(full.outcome.group.name, slice_of("g")));
    arena_close(&full.arena);
    grouped.group = slice_of("g");
    ask_policy(node, &policy, "member", &grouped);
    ask_full(node, &full,
             &(struct command){.kind = COMMAND_ACQUIRE,
                               .acquire = {.schedule_id = slice_of("member"),
                                           .holder = slice_of("h"),
                                           .idempotency_key = slice_of("a-key"),
                                           .has_ttl = true,
                                           .ttl_ms = 60000}});
    assert_int_equal(full.outcome.code, OUTCOME_GROUP_FULL);
    assert_true(full.outcome.has_group && slice_equal(full.outcome.group.name, slice_of("g")));
    arena_close(&full.arena);
    const struct command drop = {.kind = COMMAND_DELETE_GROUP, .delete_group = {.name = slice_of("g")}};
    ask_full(node, &full, &drop);
    assert_int_equal(full.outcome.code, OUTCOME_GROUP_IN_USE);
    arena_close(&full.arena);
    ask_delete_policy(node, &policy, "member");
    ask_full(node, &full, &drop);
    assert_int_equal(full.outcome.code, OUTCOME_DONE);
    assert_true(full.outcome.has_group && slice_equal(full.outcome.group.name, slice_of("g")));
    arena_close(&full.arena);
}

static void check_freezes(struct node *node)
{
    struct full full;
    struct ask ask;
    ask_freeze(node, &ask, "cold-*");
    ask_full(node, &full,
             &(struct command){.kind = COMMAND_ACQUIRE,
                               .acquire = {.schedule_id = slice_of("cold-1"),
                                           .holder = slice_of("h"),
                                           .idempotency_key = slice_of("a-key"),
                                           .has_ttl = true,
                                           .ttl_ms = 60000}});
    assert_int_equal(full.outcome.code, OUTCOME_FROZEN);
    assert_true(slice_equal(full.outcome.freeze.scope, slice_of("cold-*")));
    assert_true(slice_equal(full.outcome.freeze.actor, slice_of("operator")));
    assert_true(slice_equal(full.outcome.freeze.reason, slice_of("upgrade")));
    arena_close(&full.arena);
    ask_thaw(node, &ask, "cold-*");
}

static void new_commands_and_outcomes_cross_whole(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = asks_begin(&cluster, 3, 1420);
    struct node *nodes[] = {leader, cluster_other(&cluster, leader)};
    for (unsigned i = 0; i < 2; i++) {
        check_batch(nodes[i]);
        check_groups(nodes[i]);
        check_freezes(nodes[i]);
    }
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_tells_the_same_events),
        cmocka_unit_test(what_a_snapshot_skips_is_told),
        cmocka_unit_test(estimate_of_cluster_time_is_near),
        cmocka_unit_test(every_node_counts_those_that_wait),
        cmocka_unit_test(more_counts_than_one_question_holds_take_two),
        cmocka_unit_test(new_commands_and_outcomes_cross_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
