/* Schedules, lists, runs and revocation: what is proposed, what is read, and what the log keeps of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "service_rig.h"

static struct command acquire_command(const char *schedule, const char *holder, const char *key)
{
    return (struct command){
        .kind = COMMAND_ACQUIRE,
        .acquire =
            {
                .schedule_id = slice_of(schedule),
                .holder = slice_of(holder),
                .idempotency_key = slice_of(key),
                .has_ttl = true,
                .ttl_ms = 60000,
            },
    };
}

static struct command policy_command(const char *schedule, uint32_t slots)
{
    return (struct command){
        .kind = COMMAND_PUT_SCHEDULE,
        .put_schedule =
            {
                .schedule_id = slice_of(schedule),
                .policy = {.margin_ms = 1000, .max_ttl_ms = 90000, .slots = slots, .max_attempts = 3},
            },
    };
}

static void grant(struct rig *rig, const char *schedule, const char *holder)
{
    struct command command = acquire_command(schedule, holder, holder);
    rig_apply(rig, 1000, &command);
}

static void put_policy(struct rig *rig, const char *schedule, uint32_t slots)
{
    struct command command = policy_command(schedule, slots);
    rig_apply(rig, 1000, &command);
}

static void assert_read(struct rig *rig, const char *path, unsigned status, const char *text)
{
    struct exchange exchange;
    rig_read(rig, &exchange, path);
    if (exchange.status != status || !exchange_body_has(&exchange, text)) {
        fail_msg("%s: %u %s", path, exchange.status, (const char *)exchange.answer_body.base);
    }
    exchange_close(&exchange);
}

static void assert_read_lacks(struct rig *rig, const char *path, const char *text)
{
    struct exchange exchange;
    rig_read(rig, &exchange, path);
    assert_int_equal(exchange.status, 200);
    assert_false(exchange_body_has(&exchange, text));
    exchange_close(&exchange);
}

/* ---- reads ---- */

static void locks_are_listed_by_prefix_and_holder_a_page_at_a_time(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    grant(&rig, "a.1", "h");
    grant(&rig, "a.2", "other");
    grant(&rig, "b.1", "h");
    assert_read(&rig, "/locks", 200, "\"schedule_id\":\"b.1\"");
    assert_read(&rig, "/locks", 200, "\"next\":null");
    assert_read_lacks(&rig, "/locks?prefix=a.", "b.1");
    assert_read_lacks(&rig, "/locks?holder=h", "a.2");
    assert_read(&rig, "/locks?limit=1", 200, "\"next\":\"a.1");
    assert_read(&rig, "/locks?limit=1&after=a.1", 200, "a.2");
    assert_read(&rig, "/locks?limit=1&after=a.1!1", 200, "a.2");
    assert_read_lacks(&rig, "/locks?limit=1&after=a.1", "\"schedule_id\":\"a.1\"");
    assert_read(&rig, "/locks?prefix=zz", 200, "\"locks\":[]");
    rig_close(&rig);
}

static void a_page_can_end_among_the_slots_of_one_schedule(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    put_policy(&rig, "a", 3);
    grant(&rig, "a", "h1");
    grant(&rig, "a", "h2");
    grant(&rig, "a", "h3");
    assert_read(&rig, "/locks?limit=2", 200, "\"next\":\"a!2\"");
    assert_read(&rig, "/locks?limit=2&after=a!2", 200, "h3");
    assert_read_lacks(&rig, "/locks?limit=2&after=a!2", "h2");
    assert_read(&rig, "/locks?limit=2&after=a!2", 200, "\"next\":null");
    rig_close(&rig);
}

static void the_largest_page_fits(void **state)
{
    (void)state;
    struct rig rig;
    char name[32];
    rig_open(&rig, LIMIT_REQUESTS);
    for (unsigned i = 0; i < LIMIT_LIST + 1; i++) {
        (void)snprintf(name, sizeof name, "s%05u", i);
        put_policy(&rig, name, 1);
        grant(&rig, name, "h");
    }
    assert_read(&rig, "/locks", 200, "\"next\":\"s00999");
    assert_read(&rig, "/schedules", 200, "\"next\":\"s00999\"");
    assert_read(&rig, "/locks?after=s00999", 200, "s01000");
    assert_read(&rig, "/schedules?after=s00999", 200, "s01000");
    rig_close(&rig);
}

static void a_schedule_is_shown_with_its_last_run(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    assert_read(&rig, "/schedules/a", 404, "\"code\":\"not_found\"");
    assert_read(&rig, "/schedules/a", 404, "PUT /schedules/a.");
    put_policy(&rig, "a", 2);
    assert_read(&rig, "/schedules/a", 200, "\"slots\":2");
    assert_read(&rig, "/schedules/a", 200, "\"last_run\":null");
    grant(&rig, "a", "h");
    struct command release = {
        .kind = COMMAND_RELEASE,
        .release = {.schedule_id = slice_of("a"), .token = 1, .has_outcome = true, .outcome = RUN_SUCCEEDED},
    };
    rig_apply(&rig, 2000, &release);
    assert_read(&rig, "/schedules/a", 200, "\"outcome\":\"succeeded\"");
    assert_read(&rig, "/schedules?prefix=a", 200, "\"schedule_id\":\"a\"");
    assert_read(&rig, "/schedules?prefix=b", 200, "\"schedules\":[]");
    assert_read(&rig, "/schedules/a", 200, "\"duration_p99_ms\":1000");
    assert_read(&rig, "/schedules/a", 200, "\"overdue\":false");
    rig_close(&rig);
}

static void runs_are_listed_newest_first(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    assert_read(&rig, "/schedules/a/runs", 200, "\"runs\":[]");
    put_policy(&rig, "a", 2);
    grant(&rig, "a", "first");
    grant(&rig, "a", "second");
    struct exchange exchange;
    rig_read(&rig, &exchange, "/schedules/a/runs");
    const char *body = (const char *)exchange.answer_body.base;
    assert_non_null(strstr(body, "first"));
    assert_true(strstr(body, "second") < strstr(body, "first"));
    exchange_close(&exchange);
    assert_read_lacks(&rig, "/schedules/a/runs?limit=1", "first");
    rig_close(&rig);
}

static void every_read_waits_for_a_barrier_unless_stale_is_asked_for(void **state)
{
    (void)state;
    static const char *const paths[] = {"/locks/a", "/locks", "/schedules/a", "/schedules", "/schedules/a/runs"};
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    put_policy(&rig, "a", 1);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct exchange exchange;
        char stale[64];
        rig_ask(&rig, &exchange, "GET", paths[i], "");
        assert_int_equal(exchange.answers, 0);
        fake_replica_decide_read(&rig.replica, OPERATION_APPLIED);
        assert_int_equal(exchange.status, 200);
        exchange_close(&exchange);
        (void)snprintf(stale, sizeof stale, "%s?consistency=stale", paths[i]);
        rig_ask(&rig, &exchange, "GET", stale, "");
        assert_int_equal(exchange.status, 200);
        exchange_close(&exchange);
        rig_ask(&rig, &exchange, "GET", paths[i], "");
        fake_replica_decide_read(&rig.replica, OPERATION_NO_LEADER);
        assert_int_equal(exchange.status, 503);
        exchange_close(&exchange);
    }
    rig_close(&rig);
}

/* ---- policies ---- */

static void a_policy_is_proposed_answered_and_logged(void **state)
{
    (void)state;
    static const char *const put[] = {"PUT", "/schedules/a", "{\"estimated_duration_ms\": 5000, \"slots\": 2}"};
    static const char *const delete[] = {"DELETE", "/schedules/a", ""};
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    struct outcome outcome = {
        .code = OUTCOME_DONE,
        .has_policy = true,
        .policy =
            {.schedule_id = slice_of("a"),
             .policy = {.estimate_ms = 5000, .margin_ms = 30000, .max_ttl_ms = 90000, .slots = 2, .max_attempts = 1}},
    };
    rig_ask(&rig, &exchange, put[0], put[1], put[2]);
    const struct command *command = &rig.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_PUT_SCHEDULE);
    assert_int_equal(command->put_schedule.policy.estimate_ms, 5000);
    assert_int_equal(command->put_schedule.policy.margin_ms, LIMIT_DEFAULT_MARGIN_MS);
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 200);
    assert_true(exchange_body_has(&exchange, "\"estimated_duration_ms\":5000"));
    exchange_close(&exchange);
    assert_true(fake_loop_logged(&rig.world, "level=info msg=\"policy set\" schedule=a estimated_duration_ms=5000 "
                                             "safety_margin_ms=30000 max_ttl_ms=90000 min_hold_ms=0 slots=2 "
                                             "max_attempts=1 group=\"\" expected_every_ms=0\n"));
    rig_ask_applied(&rig, &exchange, delete, &outcome);
    assert_int_equal(exchange.status, 200);
    exchange_close(&exchange);
    assert_true(fake_loop_logged(&rig.world, "level=info msg=\"policy deleted\" schedule=a "));
    rig_close(&rig);
}

static void what_changed_no_policy_is_not_logged(void **state)
{
    (void)state;
    static const char *const put[] = {"PUT", "/schedules/a", "{}"};
    static const char *const delete[] = {"DELETE", "/schedules/a", ""};
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    struct outcome refused = {.code = OUTCOME_CAPACITY};
    rig_ask_applied(&rig, &exchange, put, &refused);
    assert_int_equal(exchange.status, 507);
    exchange_close(&exchange);
    refused.code = OUTCOME_NOT_FOUND;
    rig_ask_applied(&rig, &exchange, delete, &refused);
    assert_int_equal(exchange.status, 404);
    exchange_close(&exchange);
    assert_false(fake_loop_logged(&rig.world, "policy"));
    rig_close(&rig);
}

/* ---- revocation ---- */

static const char *const revoke_request[] = {"POST", "/locks/a/revoke",
                                             "{\"reason\": \"host died\", \"actor\": \"ops@x\", \"force\": true}"};

/* Revoked now, and freed by force. */
static struct run_view revoked_run(uint64_t token, const char *actor)
{
    return (struct run_view){
        .schedule_id = slice_of("a"),
        .holder = slice_of(token == 5 ? "five" : "six"),
        .actor = slice_of(actor),
        .reason = slice_of("host died"),
        .token = token,
        .outcome = RUN_REVOKED,
        .late_outcome = RUN_OUTCOME_NONE,
        .is_newly_revoked = true,
        .is_newly_freed = true,
    };
}

static void each_revoked_run_is_logged_with_who_and_why(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    struct run_view runs[] = {revoked_run(5, "ops@x"), revoked_run(6, "ops@x")};
    struct outcome outcome = {.code = OUTCOME_DONE, .runs = runs, .n_runs = 2};
    rig_ask(&rig, &exchange, revoke_request[0], revoke_request[1], revoke_request[2]);
    const struct command *command = &rig.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_REVOKE);
    assert_true(command->revoke.force && command->revoke.token == 0);
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 200);
    assert_true(exchange_body_has(&exchange, "\"token\":6"));
    exchange_close(&exchange);
    assert_true(fake_loop_logged(&rig.world, "level=warning msg=\"lock revoked\" schedule=a token=5 holder=five "
                                             "actor=ops@x reason=\"host died\" force=true\n"));
    assert_true(fake_loop_logged(&rig.world, "level=warning msg=\"lock revoked\" schedule=a token=6 holder=six "
                                             "actor=ops@x reason=\"host died\" force=true\n"));
    rig_close(&rig);
}

static void what_was_revoked_before_is_not_logged_again(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    struct run_view runs[] = {revoked_run(5, "ops@x"), revoked_run(6, "ops@x")};
    runs[0].is_newly_revoked = runs[0].is_newly_freed = false;
    runs[1].is_newly_revoked = false; /* it was revoked before, and is freed now */
    struct outcome outcome = {.code = OUTCOME_DONE, .runs = runs, .n_runs = 2};
    rig_ask_applied(&rig, &exchange, revoke_request, &outcome);
    exchange_close(&exchange);
    assert_false(fake_loop_logged(&rig.world, "token=5"));
    assert_true(fake_loop_logged(&rig.world, "token=6 holder=six actor=ops@x reason=\"host died\" force=true\n"));
    runs[0] = revoked_run(7, NULL); /* the state has no room for who and why */
    outcome = (struct outcome){.code = OUTCOME_DONE, .runs = runs, .n_runs = 1};
    rig_ask_applied(&rig, &exchange, revoke_request, &outcome);
    exchange_close(&exchange);
    assert_true(fake_loop_logged(&rig.world, "token=7 holder=six actor=ops@x reason=\"host died\" force=true\n"));
    runs[0] = revoked_run(5, "ops@x");
    runs[0].is_newly_revoked = runs[0].is_newly_freed = false;
    outcome = (struct outcome){.code = OUTCOME_DONE, .repeated = true, .runs = runs, .n_runs = 1};
    rig_ask_applied(&rig, &exchange, revoke_request, &outcome);
    assert_int_equal(exchange.status, 200);
    exchange_close(&exchange);
    outcome = (struct outcome){.code = OUTCOME_DONE};
    rig_ask_applied(&rig, &exchange, revoke_request, &outcome); /* nothing was held */
    assert_int_equal(exchange.status, 200);
    exchange_close(&exchange);
    outcome = (struct outcome){.code = OUTCOME_LOCK_LOST};
    rig_ask_applied(&rig, &exchange, revoke_request, &outcome);
    assert_int_equal(exchange.status, 409);
    exchange_close(&exchange);
    assert_false(fake_loop_logged(&rig.world, "token=5"));
    rig_close(&rig);
}

/* ---- the rest ---- */

static void who_keeps_the_rules_back_is_named(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    rig.replica.rules_wait_for = "Member n3 runs a version that doesn't know this yet: upgrade it first.";
    rig_ask(&rig, &exchange, revoke_request[0], revoke_request[1], revoke_request[2]);
    fake_replica_decide(&rig.replica, OPERATION_NOT_READY, NULL);
    assert_int_equal(exchange.status, 503);
    assert_true(exchange_body_has(&exchange, rig.replica.rules_wait_for));
    assert_true(rig.replica.rules_wait_for_version >= 1);
    exchange_close(&exchange);
    rig_ask(&rig, &exchange, "GET", "/locks", ""); /* a read needs no rules */
    fake_replica_decide_read(&rig.replica, OPERATION_NOT_READY);
    assert_int_equal(exchange.status, 503);
    assert_false(exchange_body_has(&exchange, "n3"));
    exchange_close(&exchange);
    rig_close(&rig);
}

static void the_contract_is_served_at_any_time(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    service_stop(rig.service);
    service_detach(rig.service);
    rig_ask(&rig, &exchange, "GET", "/openapi.yaml", "");
    assert_int_equal(exchange.status, 200);
    assert_true(exchange_body_has(&exchange, "openapi: 3.1"));
    exchange_close(&exchange);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_are_listed_by_prefix_and_holder_a_page_at_a_time),
        cmocka_unit_test(a_page_can_end_among_the_slots_of_one_schedule),
        cmocka_unit_test(the_largest_page_fits),
        cmocka_unit_test(a_schedule_is_shown_with_its_last_run),
        cmocka_unit_test(runs_are_listed_newest_first),
        cmocka_unit_test(every_read_waits_for_a_barrier_unless_stale_is_asked_for),
        cmocka_unit_test(a_policy_is_proposed_answered_and_logged),
        cmocka_unit_test(what_changed_no_policy_is_not_logged),
        cmocka_unit_test(each_revoked_run_is_logged_with_who_and_why),
        cmocka_unit_test(what_was_revoked_before_is_not_logged_again),
        cmocka_unit_test(who_keeps_the_rules_back_is_named),
        cmocka_unit_test(the_contract_is_served_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
