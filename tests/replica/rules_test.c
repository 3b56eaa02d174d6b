/* Rules: raised once when every member can apply them, asked for by nobody before; and what a build does that meets newer
 * ones than it knows. The members of one cluster are of different builds (rules_steered.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"

static void open_with_rules(struct cluster *cluster, uint64_t seed, const uint32_t *newest, unsigned n)
{
    cluster_open(cluster, n, seed);
    cluster->watch = "rules raised";
    for (unsigned i = 0; i < n; i++) {
        node_set_rules(&cluster->nodes[i], newest[i]);
    }
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000); /* all streams are up */
}

static void restart_with_rules(struct node *node, uint32_t newest)
{
    node_kill(node, SIM_KILLED);
    node_set_rules(node, newest);
    node_start(node);
}

/* A member other than these two, which don't lead; NULL may stand for one. */
static struct node *other_than(struct cluster *cluster, const struct node *one, const struct node *two)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        struct node *node = &cluster->nodes[i];
        if (node->up && node != one && node != two) {
            return node;
        }
    }
    return NULL;
}

/* The leader, which isn't this one. */
static struct node *let_another_lead(struct cluster *cluster, struct node *not_this)
{
    struct node *leader = cluster_wait_leader(cluster);
    while (leader == not_this) {
        node_kill(leader, SIM_KILLED);
        (void)cluster_wait_leader(cluster);
        node_start(not_this);
        cluster_run(cluster, 1000);
        leader = cluster_wait_leader(cluster);
    }
    return leader;
}

static uint32_t rules_of(struct node *node)
{
    return node_status(node).rules_version;
}

static bool all_have_rules_2(void *arg)
{
    struct cluster *cluster = arg;
    for (unsigned i = 0; i < cluster->n; i++) {
        if (cluster->nodes[i].up && rules_of(&cluster->nodes[i]) != 2) {
            return false;
        }
    }
    return true;
}

static bool leader_has_rules_2(void *arg)
{
    return rules_of(cluster_wait_leader(arg)) == 2;
}

static const char *waits_for(struct node *node)
{
    node_enter(node);
    return replica_rules_wait_for(node->replica, 2);
}

static void expect_put(struct cluster *cluster, struct node *node, enum operation_status status)
{
    struct ask ask;
    ask_put(node, &ask, "policed", 2);
    ask_wait(cluster, &ask);
    assert_int_equal(ask.status, status);
    if (status == OPERATION_APPLIED) {
        assert_int_equal(ask.code, OUTCOME_DONE);
    }
}

static void rules_are_raised_when_the_last_member_knows_them(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_rules(&cluster, 900, (const uint32_t[]){1, 2, 3}, 3);
    cluster_run(&cluster, 5000);
    for (unsigned i = 0; i < 3; i++) {
        struct node *node = &cluster.nodes[i];
        assert_int_equal(rules_of(node), 1);
        assert_int_equal(node->watched, 0);
        assert_string_equal(waits_for(node), "n1 only knows rules 1; upgrade its batond to one that knows rules 2");
    }
    restart_with_rules(&cluster.nodes[0], 3);
    cluster_wait(&cluster, 10000, all_have_rules_2, &cluster, "rules 2");
    cluster_run(&cluster, 5000);
    uint64_t last = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct node *node = &cluster.nodes[i];
        assert_int_equal(rules_of(node), 2); /* n2 doesn't know 3 */
        assert_null(waits_for(node));
        assert_int_equal(node->watched, 1);
        assert_non_null(strstr(node->watched_line, "level=info"));
        assert_non_null(strstr(node->watched_line, "from=1 to=2"));
        last = node->applied > last ? node->applied : last;
        expect_put(&cluster, node, OPERATION_APPLIED);
    }
    cluster_run(&cluster, 30000);
    assert_true(cluster_wait_leader(&cluster)->applied - last < 10); /* nothing is proposed again and again */
    cluster_close(&cluster);
}

static void what_needs_newer_rules_is_refused_by_whoever_is_asked(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_rules(&cluster, 901, (const uint32_t[]){2, 2, 1}, 3);
    struct node *leader = let_another_lead(&cluster, &cluster.nodes[2]);
    for (unsigned i = 0; i < 2; i++) {
        struct node *node = &cluster.nodes[i];
        uint64_t sequence = node->replica->operations.next_sequence;
        expect_put(&cluster, node, OPERATION_NOT_READY);
        assert_int_equal(node->replica->operations.next_sequence, sequence); /* it wasn't passed on */
        struct ask ask;
        ask_acquire(node, &ask, "job", "agent", 60000);
        ask_wait(&cluster, &ask);
        assert_int_equal(ask.status, OPERATION_APPLIED);
    }
    assert_int_equal(leader->replica->operations.undecided, 0);
    restart_with_rules(&cluster.nodes[2], 2);
    cluster_wait(&cluster, 10000, all_have_rules_2, &cluster, "rules 2");
    expect_put(&cluster, leader, OPERATION_APPLIED);
    cluster_close(&cluster);
}

static struct member *member_of(struct node *of, const struct node *other)
{
    for (size_t i = 0; i < of->replica->members.n; i++) {
        if (strcmp(of->replica->members.list[i]->address.name, other->sim->name) == 0) {
            return of->replica->members.list[i];
        }
    }
    return NULL;
}

/* The member's own table may be ahead of the leader's; and nobody but the leader raises rules. */
static void leader_refuses_what_is_passed_on_too_early(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_rules(&cluster, 902, (const uint32_t[]){2, 2, 1}, 3);
    struct node *leader = let_another_lead(&cluster, &cluster.nodes[2]);
    struct node *follower = other_than(&cluster, leader, &cluster.nodes[2]);
    const struct command acquire = {.kind = COMMAND_ACQUIRE,
                                    .acquire = {.schedule_id = slice_of("job"),
                                                .holder = slice_of("agent"),
                                                .idempotency_key = slice_of("key"),
                                                .has_ttl = true,
                                                .ttl_ms = 60000}};
    const struct command put = {
        .kind = COMMAND_PUT_SCHEDULE,
        .put_schedule = {.schedule_id = slice_of("job"), .policy = {.max_ttl_ms = 1, .slots = 1, .max_attempts = 1}}};
    const struct frame_operation operations[] = {{.number = 1ull << 40, .command = put},
                                                 {.number = (1ull << 40) + 1, .command = acquire}};
    struct frame_operations frame = {.sequence = 1000, .operations = operations, .n_operations = 2};
    memcpy(frame.run_id, follower->replica->run_id, sizeof frame.run_id);
    struct member *member = member_of(leader, follower);
    node_enter(leader);
    passing_take_operations(leader->replica, member, &frame);
    assert_int_equal(leader->replica->operations.undecided, 2);
    operations_turn(leader->replica); /* up to its end, when the answers leave */
    assert_int_equal(leader->replica->operations.undecided, 1);
    assert_int_equal(leader->replica->operations.in_flight, 1);
    cluster_run(&cluster, 300);
    assert_int_equal(leader->replica->operations.undecided, 0);
    struct look look;
    look_at(leader, &look, "job");
    look_wait(&cluster, &look);
    assert_true(look.held);
    assert_int_equal(rules_of(leader), 1);

    const struct frame_operation raise = {.number = 1ull << 41,
                                          .command = {.kind = COMMAND_RULES, .rules = {.version = 2}}};
    frame.sequence++;
    frame.operations = &raise;
    frame.n_operations = 1;
    node_enter(leader);
    passing_take_operations(leader->replica, member, &frame);
    assert_int_equal(leader->replica->operations.undecided, 0);
    assert_int_equal(member->outbox.results[0].status, OPERATION_NOT_READY);
    cluster_close(&cluster);
}

static void member_that_said_nothing_yet_is_waited_for(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_rules(&cluster, 903, (const uint32_t[]){1, 1, 1}, 3);
    for (unsigned i = 0; i < 3; i++) {
        node_kill(&cluster.nodes[i], SIM_KILLED);
        node_set_rules(&cluster.nodes[i], 2);
    }
    node_start(&cluster.nodes[0]);
    node_start(&cluster.nodes[1]);
    struct node *leader = cluster_wait_leader(&cluster);
    cluster_run(&cluster, 5000);
    assert_int_equal(rules_of(leader), 1);
    assert_string_equal(waits_for(leader),
                        "n3 hasn't been heard of since this node started; start it with a batond that knows rules 2");
    struct replica_status status = node_status(leader);
    assert_int_equal(status.members[2].rules_newest, 0);
    assert_false(status.members[2].has_contact);
    uint64_t applied = leader->applied;
    node_start(&cluster.nodes[2]);
    cluster_wait(&cluster, 10000, all_have_rules_2, &cluster, "rules 2");
    cluster_run(&cluster, 1000);
    assert_ptr_equal(cluster_wait_leader(&cluster), leader);
    assert_int_equal(leader->applied, applied + 1); /* proposed once */
    status = node_status(leader);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(status.members[i].rules_newest, 2);
        assert_int_equal(status.members[i].is_self, &cluster.nodes[i] == leader);
        assert_true(status.members[i].has_contact);
        assert_in_range(status.members[i].last_contact_ms, 0, status.members[i].is_self ? 0 : 200);
    }
    cluster_close(&cluster);
}

/* A spare gets no entries, but may be given a role at any time. */
static void spare_is_waited_for(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_rules(&cluster, 904, (const uint32_t[]){1, 1, 1, 1}, 4);
    struct node *leader = let_another_lead(&cluster, &cluster.nodes[3]);
    struct raft_change change;
    node_enter(leader);
    raft_set_heartbeat_timeout(&leader->replica->raft, 0);
    assert_int_equal(raft_assign(&leader->replica->raft, &change, 4, RAFT_SPARE, NULL), 0);
    raft_set_heartbeat_timeout(&leader->replica->raft, 50);
    replica_after_step(leader->replica);
    cluster_run(&cluster, 1000);
    assert_string_equal(node_status(leader).members[3].role, "spare");
    for (unsigned i = 0; i < 3; i++) {
        restart_with_rules(&cluster.nodes[i], 2);
        cluster_run(&cluster, 2000);
    }
    cluster_run(&cluster, 3000);
    assert_int_equal(rules_of(cluster_wait_leader(&cluster)), 1);
    assert_non_null(strstr(waits_for(cluster_wait_leader(&cluster)), "n4 only knows rules 1"));
    restart_with_rules(&cluster.nodes[3], 2);
    cluster_wait(&cluster, 10000, leader_has_rules_2, &cluster, "rules 2");
    cluster_close(&cluster);
}

/* Five members: n1 holds the rules back and doesn't lead; the one that is returned is another follower. */
static struct node *open_held_back(struct cluster *cluster, uint64_t seed)
{
    open_with_rules(cluster, seed, (const uint32_t[]){1, 2, 2, 2, 2}, 5);
    struct node *leader = let_another_lead(cluster, &cluster->nodes[0]);
    return other_than(cluster, leader, &cluster->nodes[0]);
}

static void member_that_is_away_keeps_what_it_said(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *away = open_held_back(&cluster, 905);
    node_kill(away, SIM_KILLED);
    restart_with_rules(&cluster.nodes[0], 2);
    cluster_wait(&cluster, 10000, leader_has_rules_2, &cluster, "rules 2");
    node_start(away);
    cluster_wait(&cluster, 10000, all_have_rules_2, &cluster, "rules 2");
    cluster_close(&cluster);
}

static void entries_name_the_rules_that_they_need(void **state)
{
    (void)state;
    rules_steered_newest = 3;
    const struct command commands[] = {{.kind = COMMAND_NOOP},
                                       {.kind = COMMAND_ACQUIRE},
                                       {.kind = COMMAND_PUT_SCHEDULE},
                                       {.kind = COMMAND_RENEW},
                                       {.kind = COMMAND_RULES, .rules = {.version = 3}}};
    assert_int_equal(raising_needed(commands, 0), 1);
    assert_int_equal(raising_needed(commands, 2), 1);
    assert_int_equal(raising_needed(commands, 3), 2);
    assert_int_equal(raising_needed(commands, 4), 2);
    assert_int_equal(raising_needed(commands, 5), 3);
    rules_steered_newest = 1;
}

/* ---- newer rules than this build's ---- */

static bool has_ended(void *arg)
{
    return !((struct node *)arg)->up;
}

static void expect_end(struct cluster *cluster, struct node *node, const char *what)
{
    cluster_wait(cluster, 10000, has_ended, node, "the older build to end");
    assert_int_equal(node->exit, REPLICA_EXIT_DATA);
    const char *const parts[] = {what, "rules version 2", "knows up to 1", "install the newer batond"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(node->complaint, parts[i]) == NULL) {
            fail_msg("\"%s\" doesn't say \"%s\"", node->complaint, parts[i]);
        }
    }
}

static void older_build_refuses_its_own_log(void **state)
{
    (void)state;
    struct cluster cluster;
    open_with_rules(&cluster, 910, (const uint32_t[]){2, 2, 2}, 3);
    cluster_wait(&cluster, 10000, all_have_rules_2, &cluster, "rules 2");
    for (unsigned i = 0; i < 3; i++) {
        node_kill(&cluster.nodes[i], SIM_KILLED);
    }
    node_set_rules(&cluster.nodes[0], 1);
    node_start(&cluster.nodes[0]); /* alone: at start, before anybody says what is committed */
    expect_end(&cluster, &cluster.nodes[0], "of the log can't be understood");
    node_set_rules(&cluster.nodes[0], 2); /* nothing was changed */
    cluster_start_all(&cluster);
    cluster_wait(&cluster, 10000, all_have_rules_2, &cluster, "rules 2");
    cluster_close(&cluster);
}

static void fill(struct cluster *cluster, struct node *node, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        struct ask ask;
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "job-%u", i);
        ask_acquire(node, &ask, schedule, "agent", 600000);
        ask_wait(cluster, &ask);
        assert_int_equal(ask.status, OPERATION_APPLIED);
    }
}

static void older_build_refuses_its_own_snapshot(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 1, 911);
    cluster.snapshot_entry_bytes = 4096;
    cluster.snapshot_trailing = 8;
    node_set_rules(&cluster.nodes[0], 2);
    cluster_start_all(&cluster);
    cluster_wait(&cluster, 10000, leader_has_rules_2, &cluster, "rules 2");
    fill(&cluster, &cluster.nodes[0], 100);
    cluster_run(&cluster, 500);
    assert_true(node_status(&cluster.nodes[0]).last_snapshot_index > 30); /* the log has no newer entry any more */
    restart_with_rules(&cluster.nodes[0], 1);
    expect_end(&cluster, &cluster.nodes[0], "the snapshot can't be loaded");
    cluster_close(&cluster);
}

/* It said that it could, to the leader: as a build does that was taken back while the leader still counts on the newer. */
static void older_build_ends_at_an_entry_from_the_leader(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *liar = open_held_back(&cluster, 912);
    node_set_rules(liar, 1);
    node_enter(liar);
    restart_with_rules(&cluster.nodes[0], 2);
    expect_end(&cluster, liar, "can't be understood");
    assert_non_null(strstr(liar->complaint, "entry "));
    cluster_wait(&cluster, 10000, leader_has_rules_2, &cluster, "rules 2");
    cluster_close(&cluster);
}

static void older_build_ends_at_a_snapshot_from_the_leader(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 5, 913);
    cluster.snapshot_entry_bytes = 4096;
    cluster.snapshot_trailing = 8;
    for (unsigned i = 0; i < 5; i++) {
        node_set_rules(&cluster.nodes[i], i == 0 ? 1 : 2);
    }
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    cluster_run(&cluster, 1000);
    struct node *leader = let_another_lead(&cluster, &cluster.nodes[0]);
    struct node *away = other_than(&cluster, leader, &cluster.nodes[0]);
    node_kill(away, SIM_KILLED);
    restart_with_rules(&cluster.nodes[0], 2);
    cluster_wait(&cluster, 10000, leader_has_rules_2, &cluster, "rules 2");
    fill(&cluster, cluster_wait_leader(&cluster), 150);
    cluster_run(&cluster, 500);
    node_set_rules(away, 1);
    node_start(away);
    expect_end(&cluster, away, "a received snapshot can't be understood");
    cluster_close(&cluster);
}

/* ---- hashes of the state ---- */

static void state_hashes_are_logged_at_equal_indexes(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 920);
    cluster.state_hash_every = 7;
    cluster.watch = "state hash";
    cluster_start_all(&cluster);
    struct node *leader = cluster_wait_leader(&cluster);
    unsigned seen = 0;
    for (unsigned i = 0; i < 40; i++) {
        fill(&cluster, leader, 1);
        cluster_run(&cluster, 300); /* a heartbeat, so that all have applied it */
        uint64_t index = leader->applied;
        if (index % 7 != 0) {
            continue;
        }
        char line[200];
        char hash[33];
        digest128_print(&cluster.states[index], hash);
        (void)snprintf(line, sizeof line, "index=%llu rules=1 hash=%s", (unsigned long long)index, hash);
        for (unsigned j = 0; j < 3; j++) {
            assert_non_null(strstr(cluster.nodes[j].watched_line, "level=info"));
            assert_non_null(strstr(cluster.nodes[j].watched_line, line));
        }
        seen++;
    }
    assert_in_range(seen, 4, 7);
    for (unsigned j = 0; j < 3; j++) {
        assert_int_equal(cluster.nodes[j].watched, cluster.nodes[0].watched);
        assert_in_range(cluster.nodes[j].watched, seen, leader->applied / 7);
    }
    cluster_close(&cluster);
}

static void no_state_hash_is_logged_unless_asked_for(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 1, 921);
    cluster.watch = "state hash";
    cluster_start_all(&cluster);
    fill(&cluster, cluster_wait_leader(&cluster), 20);
    assert_int_equal(cluster.nodes[0].watched, 0);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_raised_when_the_last_member_knows_them),
        cmocka_unit_test(what_needs_newer_rules_is_refused_by_whoever_is_asked),
        cmocka_unit_test(leader_refuses_what_is_passed_on_too_early),
        cmocka_unit_test(member_that_said_nothing_yet_is_waited_for),
        cmocka_unit_test(spare_is_waited_for),
        cmocka_unit_test(member_that_is_away_keeps_what_it_said),
        cmocka_unit_test(entries_name_the_rules_that_they_need),
        cmocka_unit_test(older_build_refuses_its_own_log),
        cmocka_unit_test(older_build_refuses_its_own_snapshot),
        cmocka_unit_test(older_build_ends_at_an_entry_from_the_leader),
        cmocka_unit_test(older_build_ends_at_a_snapshot_from_the_leader),
        cmocka_unit_test(state_hashes_are_logged_at_equal_indexes),
        cmocka_unit_test(no_state_hash_is_logged_unless_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
