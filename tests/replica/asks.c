#include "asks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SILENCE_MS 500u

static bool all_have_rules_2(void *arg)
{
    struct cluster *cluster = arg;
    for (unsigned i = 0; i < cluster->n; i++) {
        if (node_status(&cluster->nodes[i]).rules_version != 2) {
            return false;
        }
    }
    return true;
}

struct node *asks_begin(struct cluster *cluster, unsigned n, uint64_t seed)
{
    cluster_open(cluster, n, seed);
    for (unsigned i = 0; i < n; i++) {
        node_set_rules(&cluster->nodes[i], 2);
    }
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_wait(cluster, 10000, all_have_rules_2, cluster, "rules 2");
    cluster_run(cluster, 1000); /* all streams are up */
    return cluster_wait_leader(cluster);
}

void ask_wanted(struct node *node, struct ask *ask, const struct wanted *wanted)
{
    memset(ask, 0, sizeof *ask);
    ask_begin(node, ask);
    (void)snprintf(ask->schedule, sizeof ask->schedule, "%s", wanted->schedule);
    (void)snprintf(ask->holder, sizeof ask->holder, "%s", wanted->holder);
    if (wanted->key != NULL) {
        (void)snprintf(ask->key, sizeof ask->key, "%s", wanted->key);
    }
    ask->operation.command = (struct command){
        .kind = COMMAND_ACQUIRE,
        .acquire = {.schedule_id = slice_of(ask->schedule),
                    .holder = slice_of(ask->holder),
                    .occurrence = slice_of(wanted->occurrence),
                    .idempotency_key = slice_of(ask->key),
                    .has_ttl = true,
                    .ttl_ms = wanted->ttl_ms == 0 ? 600000 : wanted->ttl_ms},
    };
    ask->operation.wait_ms = wanted->wait_ms;
    node_enter(node);
    replica_submit(node->replica, &ask->operation);
}

struct counted {
    struct node *leader;
    const char *schedule;
    uint64_t n;
};

static bool so_many_wait(void *arg)
{
    const struct counted *counted = arg;
    return replica_waiting(counted->leader->replica, slice_of(counted->schedule)) == counted->n;
}

void expect_waiting(struct node *leader, const char *schedule, uint64_t n)
{
    struct counted counted = {.leader = leader, .schedule = schedule, .n = n};
    cluster_wait(leader->cluster, 20000, so_many_wait, &counted, "so many that wait");
}

void ask_queued(struct node *node, struct ask *ask, const struct wanted *wanted, uint64_t n)
{
    ask_wanted(node, ask, wanted);
    expect_waiting(cluster_wait_leader(node->cluster), wanted->schedule, n);
    assert_false(ask->answered);
}

static void submit(struct node *node, struct ask *ask, const struct command *command)
{
    ask->operation.command = *command;
    node_enter(node);
    replica_submit(node->replica, &ask->operation);
}

static void begin(struct node *node, struct ask *ask, const char *name)
{
    memset(ask, 0, sizeof *ask);
    ask_begin(node, ask);
    (void)snprintf(ask->schedule, sizeof ask->schedule, "%s", name);
}

void ask_policy(struct node *node, struct ask *ask, const char *schedule, const struct policy *policy)
{
    begin(node, ask, schedule);
    submit(node, ask,
           &(struct command){.kind = COMMAND_PUT_SCHEDULE,
                             .put_schedule = {.schedule_id = slice_of(ask->schedule), .policy = *policy}});
    expect_done(node->cluster, ask);
}

void ask_delete_policy(struct node *node, struct ask *ask, const char *schedule)
{
    begin(node, ask, schedule);
    submit(node, ask,
           &(struct command){.kind = COMMAND_DELETE_SCHEDULE,
                             .delete_schedule = {.schedule_id = slice_of(ask->schedule)}});
    expect_done(node->cluster, ask);
}

void ask_group(struct node *node, struct ask *ask, const char *name, uint32_t slots)
{
    begin(node, ask, name);
    submit(
        node, ask,
        &(struct command){.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of(ask->schedule), .slots = slots}});
    expect_done(node->cluster, ask);
}

void ask_freeze(struct node *node, struct ask *ask, const char *scope)
{
    begin(node, ask, scope);
    submit(node, ask,
           &(struct command){.kind = COMMAND_PUT_FREEZE,
                             .put_freeze = {.scope = slice_of(ask->schedule),
                                            .actor = slice_of("operator"),
                                            .reason = slice_of("upgrade"),
                                            .ttl_ms = 3600000}});
    expect_done(node->cluster, ask);
}

void ask_thaw(struct node *node, struct ask *ask, const char *scope)
{
    begin(node, ask, scope);
    submit(node, ask,
           &(struct command){.kind = COMMAND_DELETE_FREEZE, .delete_freeze = {.scope = slice_of(ask->schedule)}});
    expect_done(node->cluster, ask);
}

void ask_revoke(struct node *node, struct ask *ask, const char *schedule, bool force)
{
    begin(node, ask, schedule);
    submit(node, ask,
           &(struct command){.kind = COMMAND_REVOKE,
                             .revoke = {.schedule_id = slice_of(ask->schedule),
                                        .actor = slice_of("operator"),
                                        .reason = slice_of("it hangs"),
                                        .force = force}});
    expect_done(node->cluster, ask);
}

void ask_released(struct node *node, const char *schedule, uint64_t token, enum run_outcome outcome)
{
    struct ask ask;
    begin(node, &ask, schedule);
    submit(node, &ask,
           &(struct command){
               .kind = COMMAND_RELEASE,
               .release = {
                   .schedule_id = slice_of(ask.schedule), .token = token, .has_outcome = true, .outcome = outcome}});
    expect_done(node->cluster, &ask);
}

uint64_t take(struct node *node, const char *schedule, const char *holder)
{
    struct ask ask;
    ask_wanted(node, &ask, &(struct wanted){.schedule = schedule, .holder = holder});
    expect_granted(node->cluster, &ask);
    return ask.token;
}

void expect_status(struct cluster *cluster, struct ask *ask, enum operation_status status)
{
    ask_wait(cluster, ask);
    assert_int_equal(ask->status, status);
}

void expect_refused(struct cluster *cluster, struct ask *ask, enum outcome_code code)
{
    expect_status(cluster, ask, OPERATION_APPLIED);
    assert_string_equal(outcome_code_name(ask->code), outcome_code_name(code));
}

void expect_done(struct cluster *cluster, struct ask *ask)
{
    expect_refused(cluster, ask, OUTCOME_DONE);
}

void expect_granted(struct cluster *cluster, struct ask *ask)
{
    expect_refused(cluster, ask, OUTCOME_DONE);
    assert_int_not_equal(ask->token, 0);
}

void expect_silence(struct cluster *cluster, struct ask *const asks[], size_t n)
{
    cluster_run(cluster, SILENCE_MS);
    for (size_t i = 0; i < n; i++) {
        assert_false(asks[i]->answered);
    }
}

struct policy policy_of(uint32_t slots)
{
    return (struct policy){.max_ttl_ms = LIMIT_TTL_MS, .slots = slots, .max_attempts = 1};
}
