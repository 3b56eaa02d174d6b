/* What GET /metrics says of each schedule: gathered over several turns, whatever happens between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/schedule_metrics.h"
#include "service_rig.h"

static void put_policy(struct rig *rig, const char *schedule, uint64_t expected_every_ms)
{
    struct command command = {
        .kind = COMMAND_PUT_SCHEDULE,
        .put_schedule =
            {.schedule_id = slice_of(schedule),
             .policy = {.max_ttl_ms = 90000, .slots = 1, .max_attempts = 3, .expected_every_ms = expected_every_ms}},
    };
    rig_apply(rig, 1000, &command);
}

static void put_policies(struct rig *rig, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "s%05zu", i);
        put_policy(rig, name, 0);
    }
}

static void run_succeeds(struct rig *rig, const char *schedule, uint64_t took_ms)
{
    struct lock_table_counts counts;
    struct command acquire = {
        .kind = COMMAND_ACQUIRE,
        .acquire = {.schedule_id = slice_of(schedule),
                    .holder = slice_of("h"),
                    .idempotency_key = slice_of("k"),
                    .has_ttl = true,
                    .ttl_ms = 60000},
    };
    lock_table_count(rig->replica.table, &counts);
    rig_apply(rig, 2000, &acquire);
    struct command release = {
        .kind = COMMAND_RELEASE,
        .release = {.schedule_id = slice_of(schedule),
                    .token = counts.next_token,
                    .has_outcome = true,
                    .outcome = RUN_SUCCEEDED},
    };
    rig_apply(rig, 2000 + took_ms, &release);
}

static void scrape(struct rig *rig, struct exchange *exchange)
{
    rig_ask(rig, exchange, "GET", "/metrics", "");
    fake_loop_settle(&rig->world);
    assert_int_equal(exchange->status, 200);
}

static void assert_line(const struct exchange *exchange, const char *line, bool is_there)
{
    char whole[LIMIT_NAME_BYTES + 256];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (exchange_body_has(exchange, whole) != is_there) {
        fail_msg("%s%s", line, is_there ? " is missing" : " is there");
    }
}

static size_t samples(const struct exchange *exchange, const char *family)
{
    char start[128];
    size_t n = 0;
    (void)snprintf(start, sizeof start, "\n%s{", family);
    for (const char *at = strstr((const char *)exchange->answer_body.base, start); at != NULL;
         at = strstr(at + 1, start)) {
        n++;
    }
    return n;
}

static void a_schedule_with_a_policy_is_told_of(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    rig.replica.now_ms = 2000;
    rig_use_newest_rules(&rig);
    put_policy(&rig, "a:b@c~d-e.f_g", 5000);
    run_succeeds(&rig, "no.policy", 0);
    scrape(&rig, &exchange);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"a:b@c~d-e.f_g\"} 0", true);
    assert_line(&exchange, "baton_schedule_frozen{schedule=\"a:b@c~d-e.f_g\"} 0", true);
    assert_int_equal(samples(&exchange, "baton_schedule_last_success_timestamp_seconds"), 0);
    assert_int_equal(samples(&exchange, "baton_schedule_last_run_duration_seconds"), 0);
    assert_int_equal(samples(&exchange, "baton_schedule_overdue"), 1);
    assert_line(&exchange, "baton_schedules_left_out 0", true);
    exchange_close(&exchange);
    run_succeeds(&rig, "a:b@c~d-e.f_g", 1500);
    struct command freeze = {
        .kind = COMMAND_PUT_FREEZE,
        .put_freeze = {.scope = slice_of("a:*"), .actor = slice_of("x"), .reason = slice_of("y"), .ttl_ms = 60000},
    };
    rig_apply(&rig, 3500, &freeze);
    rig.replica.now_ms = 1000000; /* what the cluster's time should be, though nothing was applied for long */
    scrape(&rig, &exchange);
    assert_line(&exchange,
                "baton_schedule_last_success_timestamp_seconds{schedule=\"a:b@c~d-e.f_g\"} 1700000003.500000000", true);
    assert_line(&exchange, "baton_schedule_last_run_duration_seconds{schedule=\"a:b@c~d-e.f_g\"} 1.500000000", true);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"a:b@c~d-e.f_g\"} 1", true);
    assert_line(&exchange, "baton_schedule_frozen{schedule=\"a:b@c~d-e.f_g\"} 1", true);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void a_scrape_of_many_takes_many_turns(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    size_t turns = 0;
    rig_open(&rig, LIMIT_REQUESTS);
    put_policies(&rig, 4 * SCHEDULE_METRICS_PORTION);
    rig_ask(&rig, &exchange, "GET", "/metrics", "");
    while (exchange.answers == 0) {
        (void)fake_loop_turn(&rig.world);
        turns++;
    }
    assert_int_equal(turns, 5);
    assert_int_equal(samples(&exchange, "baton_schedule_overdue"), 4 * SCHEDULE_METRICS_PORTION);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"s00000\"} 0", true);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"s00999\"} 0", true);
    assert_int_equal(fake_loop_turn(&rig.world), false);
    exchange_close(&exchange);
    rig_close(&rig);
}

/* They share what is gathered; who comes when they are being answered gets newer figures. */
static void scrapes_at_the_same_time_are_gathered_for_once(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchanges[3];
    struct exchange late;
    rig_open(&rig, LIMIT_REQUESTS);
    put_policies(&rig, 2 * SCHEDULE_METRICS_PORTION);
    rig_ask(&rig, &exchanges[0], "GET", "/metrics", "");
    assert_true(fake_loop_turn(&rig.world));
    rig_ask(&rig, &exchanges[1], "GET", "/metrics", "");
    rig_ask(&rig, &exchanges[2], "GET", "/metrics", "");
    assert_true(fake_loop_turn(&rig.world)); /* gathered */
    rig_ask(&rig, &late, "GET", "/metrics", "");
    put_policy(&rig, "s00000.new", 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fake_loop_turn(&rig.world)); /* one answer in a turn */
        assert_int_equal(exchanges[i].answers, 1);
        assert_int_equal(i < 2 ? exchanges[i + 1].answers : late.answers, 0);
        assert_int_equal(samples(&exchanges[i], "baton_schedule_frozen"), 2 * SCHEDULE_METRICS_PORTION);
        exchange_close(&exchanges[i]);
    }
    fake_loop_settle(&rig.world);
    assert_int_equal(samples(&late, "baton_schedule_frozen"), 2 * SCHEDULE_METRICS_PORTION + 1);
    exchange_close(&late);
    rig_close(&rig);
}

static void past_the_bound_of_schedules_they_are_counted(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    put_policies(&rig, LIMIT_METRIC_SCHEDULES);
    scrape(&rig, &exchange);
    assert_line(&exchange, "baton_schedules_left_out 0", true);
    exchange_close(&exchange);
    put_policy(&rig, "z1", 0);
    put_policy(&rig, "z2", 0);
    put_policy(&rig, "a", 0); /* which counts among the first */
    scrape(&rig, &exchange);
    assert_int_equal(samples(&exchange, "baton_schedule_overdue"), LIMIT_METRIC_SCHEDULES);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"a\"} 0", true);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"s09998\"} 0", true);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"s09999\"} 0", false);
    assert_line(&exchange, "baton_schedule_overdue{schedule=\"z1\"} 0", false);
    assert_line(&exchange, "baton_schedules_left_out 3", true);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void the_table_may_be_replaced_or_gone_meanwhile(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    put_policies(&rig, 3 * SCHEDULE_METRICS_PORTION);
    rig_ask(&rig, &exchange, "GET", "/metrics", "");
    assert_true(fake_loop_turn(&rig.world));
    lock_table_close(rig.replica.table);
    rig.replica.table = lock_table_open();
    put_policy(&rig, "t", 0);
    fake_loop_settle(&rig.world);
    assert_int_equal(exchange.status, 200);
    assert_int_equal(samples(&exchange, "baton_schedule_overdue"), SCHEDULE_METRICS_PORTION + 1);
    assert_line(&exchange, "baton_schedules_left_out 0", true);
    exchange_close(&exchange);
    rig_ask(&rig, &exchange, "GET", "/metrics", "");
    struct lock_table *table = rig.replica.table;
    rig.replica.table = NULL; /* while a snapshot is being installed */
    fake_loop_settle(&rig.world);
    assert_int_equal(exchange.status, 200);
    assert_int_equal(samples(&exchange, "baton_schedule_overdue"), 0);
    exchange_close(&exchange);
    rig.replica.table = table;
    rig_close(&rig);
}

static void a_node_that_stops_answers_with_what_is_gathered(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchanges[2];
    struct exchange late;
    rig_open(&rig, LIMIT_REQUESTS);
    put_policies(&rig, 3 * SCHEDULE_METRICS_PORTION);
    rig_ask(&rig, &exchanges[0], "GET", "/metrics", "");
    rig_ask(&rig, &exchanges[1], "GET", "/metrics", "");
    assert_true(fake_loop_turn(&rig.world));
    service_stop(rig.service);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(exchanges[i].status, 200);
        assert_int_equal(samples(&exchanges[i], "baton_schedule_overdue"), SCHEDULE_METRICS_PORTION);
        assert_line(&exchanges[i], "baton_schedules_left_out 500", true);
        exchange_close(&exchanges[i]);
    }
    assert_null(rig.world.posts);
    rig_ask(&rig, &late, "GET", "/metrics", ""); /* at once, and without them */
    assert_int_equal(late.status, 200);
    assert_line(&late, "baton_schedules_left_out 750", true);
    exchange_close(&late);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_with_a_policy_is_told_of),
        cmocka_unit_test(a_scrape_of_many_takes_many_turns),
        cmocka_unit_test(scrapes_at_the_same_time_are_gathered_for_once),
        cmocka_unit_test(past_the_bound_of_schedules_they_are_counted),
        cmocka_unit_test(the_table_may_be_replaced_or_gone_meanwhile),
        cmocka_unit_test(a_node_that_stops_answers_with_what_is_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
