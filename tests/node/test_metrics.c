/* GET /metrics: what is there from the start, and what moves each of them. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/exposition.h"
#include "node/metrics.h"
#include "service_rig.h"

enum { SERIES_BYTES = 1024 };

static const char *const acquire[] = {"POST", "/locks/a", ACQUIRE_BODY};
static const char *const renew[] = {"POST", "/locks/a/renew", "{\"token\": 77}"};
static const char *const release[] = {"DELETE", "/locks/a?token=77", ""};

/* The value of a series as it is written, "" when there is none; static until the next call. */
static const char *scraped(struct rig *rig, const char *series)
{
    static char value[64];
    struct exchange exchange;
    char start[SERIES_BYTES];
    value[0] = 0;
    rig_ask(rig, &exchange, "GET", "/metrics", "");
    fake_loop_settle(&rig->world);
    assert_int_equal(exchange.status, 200);
    (void)snprintf(start, sizeof start, "\n%s ", series);
    const char *found = strstr((const char *)exchange.answer_body.base, start);
    if (found != NULL) {
        found += strlen(start);
        size_t len = strcspn(found, "\n");
        assert_true(len < sizeof value);
        memcpy(value, found, len);
        value[len] = 0;
    }
    exchange_close(&exchange);
    return value;
}

static void assert_series(struct rig *rig, const char *series, const char *wanted)
{
    const char *value = scraped(rig, series);
    if (strcmp(value, wanted) != 0) {
        fail_msg("%s: \"%s\" instead of \"%s\"", series, value, wanted);
    }
}

static uint64_t number_of(struct rig *rig, const char *series)
{
    const char *value = scraped(rig, series);
    assert_true(value[0] != 0);
    return strtoull(value, NULL, 10);
}

static void ask_applied(struct rig *rig, const char *const request[3], const struct outcome *outcome)
{
    struct exchange exchange;
    rig_ask_applied(rig, &exchange, request, outcome);
    exchange_close(&exchange);
}

static void ask_undecided(struct rig *rig, const char *const request[3], enum operation_status status)
{
    struct exchange exchange;
    rig_ask(rig, &exchange, request[0], request[1], request[2]);
    fake_replica_decide(&rig->replica, status, NULL);
    exchange_close(&exchange);
}

/* ---- the whole ---- */

static void every_family_is_there_from_the_start(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *type;
    } families[] = {
        {"baton_build_info", "gauge"},
        {"baton_raft_has_leader", "gauge"},
        {"baton_raft_is_leader", "gauge"},
        {"baton_raft_term", "gauge"},
        {"baton_raft_commit_index", "gauge"},
        {"baton_raft_applied_index", "gauge"},
        {"baton_raft_leader_changes_total", "counter"},
        {"baton_raft_peer_last_contact_seconds", "gauge"},
        {"baton_disk_write_duration_seconds", "histogram"},
        {"baton_disk_io_info", "gauge"},
        {"baton_disk_free_bytes", "gauge"},
        {"baton_disk_log_bytes", "gauge"},
        {"baton_lock_acquire_total", "counter"},
        {"baton_lock_renewals_total", "counter"},
        {"baton_lock_releases_total", "counter"},
        {"baton_waiting_requests", "gauge"},
        {"baton_lock_expirations_total", "counter"},
        {"baton_lock_revocations_total", "counter"},
        {"baton_locks_held", "gauge"},
        {"baton_schedules", "gauge"},
        {"baton_policies", "gauge"},
        {"baton_groups", "gauge"},
        {"baton_freezes", "gauge"},
        {"baton_state_bytes", "gauge"},
        {"baton_events_total", "counter"},
        {"baton_event_readers", "gauge"},
        {"baton_http_requests_total", "counter"},
        {"baton_http_request_duration_seconds", "histogram"},
        {"baton_http_connections", "gauge"},
        {"baton_requests_in_flight", "gauge"},
        {"baton_operations_queued", "gauge"},
        {"baton_loop_stall_seconds", "histogram"},
        {"baton_rules_version", "gauge"},
        {"baton_log_lines_dropped_total", "counter"},
        {"process_cpu_seconds_total", "counter"},
        {"process_resident_memory_bytes", "gauge"},
        {"process_virtual_memory_bytes", "gauge"},
        {"process_open_fds", "gauge"},
        {"process_max_fds", "gauge"},
        {"process_start_time_seconds", "gauge"},
        {"baton_schedule_last_success_timestamp_seconds", "gauge"},
        {"baton_schedule_last_run_duration_seconds", "gauge"},
        {"baton_schedule_overdue", "gauge"},
        {"baton_schedule_frozen", "gauge"},
        {"baton_schedules_left_out", "gauge"},
    };
    struct rig rig;
    struct exchange exchange;
    struct replica_member_status members[] = {{.name = "n1", .is_self = true}, {.name = "n2"}};
    rig_open(&rig, LIMIT_REQUESTS);
    rig.replica.status.members = members;
    rig.replica.status.n_members = 2;
    rig_ask(&rig, &exchange, "GET", "/metrics", "");
    assert_true(exchange_has_header(&exchange, "Content-Type: text/plain; version=0.0.4; charset=utf-8\n"));
    const char *body = (const char *)exchange.answer_body.base;
    size_t n = 0;
    for (const char *at = strstr(body, "# HELP "); at != NULL; at = strstr(at + 1, "# HELP ")) {
        n++;
    }
    assert_int_equal(n, sizeof families / sizeof families[0]);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "# HELP %s ", families[i].name);
        assert_non_null(strstr(body, line));
        (void)snprintf(line, sizeof line, "\n# TYPE %s %s\n", families[i].name, families[i].type);
        if (strstr(body, line) == NULL) {
            fail_msg("%s", line);
        }
    }
    assert_int_equal(body[strlen(body) - 1], '\n');
    exchange_close(&exchange);
    rig_close(&rig);
}

static void it_is_answered_while_starting_and_stopping(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    service_detach(rig.service);
    assert_series(&rig, "baton_raft_has_leader", "0");
    assert_series(&rig, "baton_lock_expirations_total", "0");
    assert_series(&rig, "baton_locks_held", ""); /* nobody knows */
    service_attach(rig.service, &rig.replica);
    service_stop(rig.service);
    assert_series(&rig, "baton_raft_has_leader", "1");
    rig_close(&rig);
}

/* ---- locks ---- */

static void acquires_are_counted_by_how_they_ended(void **state)
{
    (void)state;
    static const enum outcome_code refusals[] = {
        OUTCOME_INVALID_FIELD, OUTCOME_IDEMPOTENCY_CONFLICT,
        OUTCOME_GRANT_ENDED,   OUTCOME_TTL_TOO_SHORT,
        OUTCOME_TTL_TOO_LONG,  OUTCOME_OCCURRENCE_DONE,
        OUTCOME_LOCK_HELD,     OUTCOME_ATTEMPTS_EXHAUSTED,
        OUTCOME_COOLING_DOWN,  OUTCOME_CAPACITY,
        OUTCOME_FROZEN,        OUTCOME_GROUP_FULL,
    };
    struct rig rig;
    char series[SERIES_BYTES];
    struct outcome outcome = outcome_granted();
    struct grant_view holder = outcome.grant;
    rig_open(&rig, LIMIT_REQUESTS);
    assert_series(&rig, "baton_lock_acquire_total{result=\"granted\"}", "0");
    ask_applied(&rig, acquire, &outcome);
    outcome.repeated = true;
    ask_applied(&rig, acquire, &outcome);
    ask_applied(&rig, acquire, &outcome);
    assert_series(&rig, "baton_lock_acquire_total{result=\"granted\"}", "1");
    assert_series(&rig, "baton_lock_acquire_total{result=\"repeated\"}", "2");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        (void)snprintf(series, sizeof series, "baton_lock_acquire_total{result=\"%s\"}",
                       outcome_code_name(refusals[i]));
        assert_series(&rig, series, "0");
        struct outcome refused = {.code = refusals[i], .field = "ttl_ms", .holders = &holder, .n_holders = 1};
        ask_applied(&rig, acquire, &refused);
        assert_series(&rig, series, "1");
    }
    assert_series(&rig, "baton_lock_acquire_total{result=\"lock_lost\"}", ""); /* no answer to an acquire */
    assert_series(&rig, "baton_lock_acquire_total{result=\"not_found\"}", "");
    assert_series(&rig, "baton_lock_acquire_total{result=\"unknown_group\"}", "");
    assert_series(&rig, "baton_lock_acquire_total{result=\"group_in_use\"}", "");
    rig_close(&rig);
}

static void undecided_acquires_are_unavailable_or_unknown(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    ask_undecided(&rig, acquire, OPERATION_NO_LEADER);
    ask_undecided(&rig, acquire, OPERATION_NOT_READY);
    ask_undecided(&rig, acquire, OPERATION_OVERLOADED);
    ask_undecided(&rig, acquire, OPERATION_UNKNOWN);
    ask_undecided(&rig, renew, OPERATION_NO_LEADER);
    ask_undecided(&rig, acquire, OPERATION_CANCELLED); /* no refusal: its client had gone */
    assert_series(&rig, "baton_lock_acquire_total{result=\"cancelled\"}", "1");
    assert_series(&rig, "baton_lock_acquire_total{result=\"unavailable\"}", "3");
    assert_series(&rig, "baton_lock_acquire_total{result=\"unknown\"}", "1");
    assert_series(&rig, "baton_lock_renewals_total", "0");
    service_stop(rig.service);
    rig_ask(&rig, &exchange, acquire[0], acquire[1], acquire[2]);
    exchange_close(&exchange);
    rig_ask(&rig, &exchange, "GET", "/locks", "");
    exchange_close(&exchange);
    assert_series(&rig, "baton_lock_acquire_total{result=\"unavailable\"}", "4");
    rig_close(&rig);
}

static void renewals_and_releases_are_counted_when_they_took_effect(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    struct outcome renewed = outcome_granted();
    struct outcome lost = {.code = OUTCOME_LOCK_LOST};
    ask_applied(&rig, renew, &renewed);
    ask_applied(&rig, renew, &lost);
    assert_series(&rig, "baton_lock_renewals_total", "1");
    const struct run_view run = {
        .schedule_id = slice_of("a"), .holder = slice_of("h"), .token = 77, .late_outcome = RUN_OUTCOME_NONE};
    struct outcome released = {.code = OUTCOME_DONE, .has_run = true, .run = run};
    ask_applied(&rig, release, &released);
    released.repeated = true;
    ask_applied(&rig, release, &released);
    ask_applied(&rig, release, &lost);
    assert_series(&rig, "baton_lock_releases_total", "1");
    rig_close(&rig);
}

static void each_lock_of_a_batch_is_counted(void **state)
{
    (void)state;
    static const char *const batch[] = {"POST", "/renew",
                                        "{\"locks\": [{\"schedule_id\": \"a\", \"token\": 77}, {\"schedule_id\": "
                                        "\"b\", \"token\": 1}, {\"schedule_id\": \"c\", \"token\": 2}]}"};
    struct rig rig;
    struct outcome results[] = {outcome_granted(), {.code = OUTCOME_LOCK_LOST}, outcome_granted()};
    struct outcome outcome = {.code = OUTCOME_DONE, .results = results, .n_results = 3};
    rig_open(&rig, LIMIT_REQUESTS);
    ask_applied(&rig, batch, &outcome);
    ask_undecided(&rig, batch, OPERATION_UNKNOWN);
    assert_series(&rig, "baton_lock_renewals_total", "2");
    rig_close(&rig);
}

/* By token, then all, once more, and all by force: two runs were revoked, whoever revoked them and how often. */
static void a_revoked_run_is_counted_once(void **state)
{
    (void)state;
    static const char *const revoke[] = {"POST", "/locks/a/revoke", "{\"reason\": \"r\", \"actor\": \"a\"}"};
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    const struct run_view run = {.schedule_id = slice_of("a"),
                                 .holder = slice_of("h"),
                                 .actor = slice_of("a"),
                                 .reason = slice_of("r"),
                                 .outcome = RUN_REVOKED,
                                 .late_outcome = RUN_OUTCOME_NONE};
    struct run_view runs[] = {run, run};
    struct outcome revoked = {.code = OUTCOME_DONE, .runs = runs, .n_runs = 1};
    runs[0].is_newly_revoked = true;
    ask_applied(&rig, revoke, &revoked);
    assert_series(&rig, "baton_lock_revocations_total", "1");
    runs[0].is_newly_revoked = false;
    runs[1].is_newly_revoked = true;
    revoked.n_runs = 2;
    ask_applied(&rig, revoke, &revoked);
    assert_series(&rig, "baton_lock_revocations_total", "2");
    runs[1].is_newly_revoked = false;
    revoked.repeated = true;
    ask_applied(&rig, revoke, &revoked);
    revoked.repeated = false;
    runs[0].is_newly_freed = runs[1].is_newly_freed = true;
    ask_applied(&rig, revoke, &revoked);
    struct outcome lost = {.code = OUTCOME_LOCK_LOST};
    ask_applied(&rig, revoke, &lost);
    assert_series(&rig, "baton_lock_revocations_total", "2");
    rig_close(&rig);
}

static void a_grant_that_is_given_back_is_counted_as_both(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    struct outcome outcome = outcome_granted();
    rig_ask(&rig, &exchange, acquire[0], acquire[1], acquire[2]);
    exchange.is_gone = true;
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    exchange_close(&exchange);
    assert_series(&rig, "baton_requests_in_flight", "2"); /* the scrape, too */
    struct outcome released = {.code = OUTCOME_DONE};
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &released);
    assert_series(&rig, "baton_lock_acquire_total{result=\"granted\"}", "1");
    assert_series(&rig, "baton_lock_releases_total", "1");
    assert_series(&rig, "baton_requests_in_flight", "1");
    rig_close(&rig);
}

static void the_table_is_counted(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    assert_series(&rig, "baton_locks_held", "0");
    struct command put = {
        .kind = COMMAND_PUT_SCHEDULE,
        .put_schedule = {.schedule_id = slice_of("p"), .policy = {.max_ttl_ms = 1000, .slots = 1, .max_attempts = 1}},
    };
    struct command grant = {
        .kind = COMMAND_ACQUIRE,
        .acquire = {.schedule_id = slice_of("a"),
                    .holder = slice_of("h"),
                    .idempotency_key = slice_of("k"),
                    .has_ttl = true,
                    .ttl_ms = 60000},
    };
    uint64_t before = number_of(&rig, "baton_state_bytes");
    rig_apply(&rig, 1, &put);
    rig_apply(&rig, 2, &grant);
    assert_series(&rig, "baton_locks_held", "1");
    assert_series(&rig, "baton_schedules", "2");
    assert_series(&rig, "baton_policies", "1");
    assert_true(number_of(&rig, "baton_state_bytes") > before);
    struct command group = {.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("g"), .slots = 1}};
    struct command freeze = {
        .kind = COMMAND_PUT_FREEZE,
        .put_freeze = {.scope = slice_of("*"), .actor = slice_of("x"), .reason = slice_of("y"), .ttl_ms = 60000}};
    assert_series(&rig, "baton_groups", "0");
    assert_series(&rig, "baton_freezes", "0");
    rig_use_newest_rules(&rig);
    rig_apply(&rig, 3, &group);
    rig_apply(&rig, 4, &freeze);
    assert_series(&rig, "baton_groups", "1");
    assert_series(&rig, "baton_freezes", "1");
    rig_close(&rig);
}

static void events_and_who_listens_are_counted(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange reader;
    struct event event = {
        .kind = EVENT_EXPIRED,
        .index = 1,
        .run = {.schedule_id = slice_of("a"), .holder = slice_of("h"), .late_outcome = RUN_OUTCOME_NONE}};
    rig_open(&rig, LIMIT_REQUESTS);
    assert_series(&rig, "baton_events_total{kind=\"expired\"}", "0");
    assert_series(&rig, "baton_events_total{kind=\"freeze\"}", "0");
    service_record_event(rig.service, &event);
    rig_ask(&rig, &reader, "GET", "/events", "");
    assert_series(&rig, "baton_events_total{kind=\"expired\"}", "1");
    assert_series(&rig, "baton_events_total{kind=\"granted\"}", "0");
    assert_series(&rig, "baton_event_readers", "1");
    assert_series(&rig, "baton_requests_in_flight", "1"); /* the scrape */
    assert_series(&rig, "baton_http_requests_total{method=\"GET\",route=\"/events\",code=\"200\"}", "1");
    fake_exchange_closed(&reader);
    exchange_close(&reader);
    assert_series(&rig, "baton_event_readers", "0");
    rig_close(&rig);
}

/* ---- the replica and the disk ---- */

static void the_replica_is_shown(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    struct replica_status *status = &rig.replica.status;
    assert_series(&rig, "baton_raft_has_leader", "1");
    assert_series(&rig, "baton_raft_is_leader", "0");
    status->role = REPLICA_LEADER;
    status->commit_index = 12;
    status->applied_index = 11;
    status->leader_changes = 4;
    status->expirations = 6;
    status->rules_version = 2;
    status->operations_queued = 9;
    status->waiters = 8;
    assert_series(&rig, "baton_raft_is_leader", "1");
    assert_series(&rig, "baton_raft_term", "3");
    assert_series(&rig, "baton_raft_commit_index", "12");
    assert_series(&rig, "baton_raft_applied_index", "11");
    assert_series(&rig, "baton_raft_leader_changes_total", "4");
    assert_series(&rig, "baton_lock_expirations_total", "6");
    assert_series(&rig, "baton_rules_version", "2");
    assert_series(&rig, "baton_operations_queued", "9");
    assert_series(&rig, "baton_waiting_requests", "8");
    status->leader = NULL;
    assert_series(&rig, "baton_raft_has_leader", "0");
    rig_close(&rig);
}

static void each_other_member_has_its_last_contact(void **state)
{
    (void)state;
    struct rig rig;
    struct replica_member_status members[] = {
        {.name = "n1", .is_self = true, .has_contact = true},
        {.name = "n2", .has_contact = true, .last_contact_ms = 1234},
        {.name = "n3"}, /* since the start */
        {.name = "1\"2\\3\n4", .has_contact = true},
    };
    rig_open(&rig, LIMIT_REQUESTS);
    rig.replica.status.members = members;
    rig.replica.status.n_members = 4;
    fake_loop_pass(&rig.world, 5000);
    assert_series(&rig, "baton_raft_peer_last_contact_seconds{peer=\"n1\"}", "");
    assert_series(&rig, "baton_raft_peer_last_contact_seconds{peer=\"n2\"}", "1.234000000");
    assert_series(&rig, "baton_raft_peer_last_contact_seconds{peer=\"n3\"}", "5.000000000");
    assert_series(&rig, "baton_raft_peer_last_contact_seconds{peer=\"1\\\"2\\\\3\\n4\"}", "0.000000000");
    rig_close(&rig);
}

static void the_disk_is_shown(void **state)
{
    (void)state;
    struct rig rig;
    struct histogram writes = {{0}, 0};
    rig_open(&rig, LIMIT_REQUESTS);
    rig.storage.figures = (struct storage_figures){
        .write_durations = &writes, .log_mode = "pool", .free_bytes = 1000, .log_bytes_since_snapshot = 4096};
    histogram_add(&writes, 50000);
    histogram_add(&writes, 2000000);
    histogram_add(&writes, UINT64_C(20000000000));
    assert_series(&rig, "baton_disk_io_info{mode=\"pool\"}", "1");
    assert_series(&rig, "baton_disk_io_info{mode=\"aio\"}", "");
    assert_series(&rig, "baton_disk_free_bytes", "1000");
    assert_series(&rig, "baton_disk_log_bytes", "4096");
    assert_series(&rig, "baton_disk_write_duration_seconds_bucket{le=\"0.00005\"}", "1");
    assert_series(&rig, "baton_disk_write_duration_seconds_bucket{le=\"0.001\"}", "1");
    assert_series(&rig, "baton_disk_write_duration_seconds_bucket{le=\"0.002\"}", "2");
    assert_series(&rig, "baton_disk_write_duration_seconds_bucket{le=\"10\"}", "2");
    assert_series(&rig, "baton_disk_write_duration_seconds_bucket{le=\"+Inf\"}", "3");
    assert_series(&rig, "baton_disk_write_duration_seconds_count", "3");
    assert_series(&rig, "baton_disk_write_duration_seconds_sum", "20.002050000");
    rig_close(&rig);
}

/* ---- this node ---- */

static void requests_are_counted_by_method_route_and_code(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    static const struct {
        const char *method, *path, *body, *series;
    } rows[] = {
        {"GET", "/health", "", "{method=\"GET\",route=\"/health\",code=\"200\"}"},
        {"HEAD", "/health", "", "{method=\"HEAD\",route=\"/health\",code=\"200\"}"},
        {"HEAD", "/locks/x/renew", "", "{method=\"HEAD\",route=\"/locks/{schedule_id}/renew\",code=\"405\"}"},
        {"POST", "/locks/some.name", "{", "{method=\"POST\",route=\"/locks/{schedule_id}\",code=\"400\"}"},
        {"PUT", "/locks/x", "", "{method=\"PUT\",route=\"/locks/{schedule_id}\",code=\"405\"}"},
        {"BREW", "/health", "", "{method=\"other\",route=\"/health\",code=\"405\"}"},
        {"GET", "/some/client's/name", "", "{method=\"GET\",route=\"none\",code=\"404\"}"},
        {"BREW", "/", "", "{method=\"other\",route=\"none\",code=\"404\"}"},
    };
    rig_open(&rig, LIMIT_REQUESTS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char series[SERIES_BYTES];
        (void)snprintf(series, sizeof series, "baton_http_requests_total%s", rows[i].series);
        assert_series(&rig, series, "");
        rig_ask(&rig, &exchange, rows[i].method, rows[i].path, rows[i].body);
        exchange_close(&exchange);
        assert_series(&rig, series, "1");
    }
    rig_close(&rig);
}

static void what_never_becomes_a_request_is_counted_as_well(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct exchange parked;
    rig_open(&rig, 1);
    exchange_open(&exchange, "POST", "/locks/a", "");
    service_refuse_body(rig.service, &exchange);
    exchange_close(&exchange);
    assert_series(&rig, "baton_http_requests_total{method=\"POST\",route=\"/locks/{schedule_id}\",code=\"413\"}", "1");
    rig_ask(&rig, &parked, acquire[0], acquire[1], acquire[2]);
    rig_ask(&rig, &exchange, acquire[0], acquire[1], acquire[2]); /* one too many */
    assert_int_equal(exchange.status, 503);
    exchange_close(&exchange);
    struct outcome outcome = outcome_granted();
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    exchange_close(&parked);
    assert_series(&rig, "baton_http_requests_total{method=\"POST\",route=\"/locks/{schedule_id}\",code=\"503\"}", "1");
    assert_series(&rig, "baton_http_requests_total{method=\"POST\",route=\"/locks/{schedule_id}\",code=\"201\"}", "1");
    rig_close(&rig);
}

static void a_request_takes_until_its_answer(void **state)
{
    (void)state;
    static const char bucket[] =
        "baton_http_request_duration_seconds_bucket{method=\"POST\",route=\"/locks/{schedule_id}\",le=\"%s\"}";
    struct rig rig;
    struct exchange exchange;
    char series[SERIES_BYTES];
    rig_open(&rig, LIMIT_REQUESTS);
    rig_ask(&rig, &exchange, acquire[0], acquire[1], acquire[2]);
    fake_loop_pass(&rig.world, 40);
    struct outcome outcome = outcome_granted();
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    exchange_close(&exchange);
    (void)snprintf(series, sizeof series, bucket, "0.025");
    assert_series(&rig, series, "0");
    (void)snprintf(series, sizeof series, bucket, "0.05");
    assert_series(&rig, series, "1");
    assert_series(&rig, "baton_http_request_duration_seconds_count{method=\"POST\",route=\"/locks/{schedule_id}\"}",
                  "1");
    assert_series(&rig, "baton_http_request_duration_seconds_sum{method=\"POST\",route=\"/locks/{schedule_id}\"}",
                  "0.040000000");
    rig_close(&rig);
}

static void the_node_itself_is_shown(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    rig.http.connections = 17;
    rig.journal.dropped_total = 3;
    service_note_turn(rig.service, 60000);
    service_note_turn(rig.service, UINT64_C(1500000000));
    assert_series(&rig, "baton_build_info{version=\"" BATON_VERSION "\"}", "1");
    assert_series(&rig, "baton_http_connections", "17");
    assert_series(&rig, "baton_log_lines_dropped_total", "3");
    assert_series(&rig, "baton_requests_in_flight", "1"); /* the scrape itself */
    assert_series(&rig, "baton_loop_stall_seconds_bucket{le=\"0.0001\"}", "1");
    assert_series(&rig, "baton_loop_stall_seconds_bucket{le=\"1\"}", "1");
    assert_series(&rig, "baton_loop_stall_seconds_bucket{le=\"2.5\"}", "2");
    assert_series(&rig, "baton_loop_stall_seconds_sum", "1.500060000");
    assert_true(number_of(&rig, "process_resident_memory_bytes") > 100000);
    assert_true(number_of(&rig, "process_virtual_memory_bytes") >= number_of(&rig, "process_resident_memory_bytes"));
    assert_true(number_of(&rig, "process_open_fds") >= 3);
    assert_true(number_of(&rig, "process_max_fds") >= number_of(&rig, "process_open_fds"));
    assert_true(number_of(&rig, "process_start_time_seconds") > 1500000000);
    rig_close(&rig);
}

/* ---- bounds ---- */

static void every_answer_of_the_contract_finds_its_place_and_the_text_stays_small(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
    size_t n_rows;
    size_t n_codes;
    const struct api_route_row *rows = api_route_rows(&n_rows);
    const struct api_code_row *codes = api_code_rows(&n_codes);
    struct metrics *metrics = metrics_open();
    for (size_t i = 0; i < n_rows * 5; i++) {
        struct metrics_answer answer = {
            .method = slice_of(methods[i % 5]), .path = slice_of(rows[i / 5].path), .status = 200};
        metrics_count_answer(metrics, &answer);
        answer.status = 201;
        metrics_count_answer(metrics, &answer);
        for (size_t j = 0; j < n_codes; j++) {
            answer.status = codes[j].status;
            metrics_count_answer(metrics, &answer);
        }
    }
    struct storage_figures storage = {.write_durations = &(struct histogram){{0}, 0}, .log_mode = "aio"};
    struct process_figures process = {.cpu_ns = 0};
    struct schedule_metrics schedules = {.shown = 0};
    struct fake_loop world;
    fake_loop_open(&world);
    struct event_readers *readers = event_readers_open(&(struct event_readers_options){.loop = &world.loop});
    struct metrics_facts facts = {
        .storage = &storage, .process = &process, .readers = readers, .schedules = &schedules};
    struct api_answer answer;
    api_answer_init(&answer);
    metrics_render(metrics, &facts, &answer);
    assert_true(answer.body.len < 512u * 1024u); /* about as much as is written in a millisecond */
    api_answer_close(&answer);
    event_readers_close(readers);
    fake_loop_close(&world);
    metrics_close(metrics);
}

static void a_label_that_would_not_fit_is_left_out(void **state)
{
    (void)state;
    char value[4 * LIMIT_NAME_BYTES + 1];
    struct labels labels;
    memset(value, '"', sizeof value - 1);
    value[sizeof value - 1] = 0;
    labels_clear(&labels);
    labels_add(&labels, "a", "b");
    labels_add(&labels, "long", value);
    assert_string_equal(labels.text, "a=\"b\"");
    value[LIMIT_NAME_BYTES] = 0; /* the longest name, all of it escaped */
    labels_add(&labels, "peer", value);
    assert_int_equal(labels.len, 5 + 8 + 2 * LIMIT_NAME_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_is_there_from_the_start),
        cmocka_unit_test(it_is_answered_while_starting_and_stopping),
        cmocka_unit_test(acquires_are_counted_by_how_they_ended),
        cmocka_unit_test(undecided_acquires_are_unavailable_or_unknown),
        cmocka_unit_test(renewals_and_releases_are_counted_when_they_took_effect),
        cmocka_unit_test(each_lock_of_a_batch_is_counted),
        cmocka_unit_test(a_revoked_run_is_counted_once),
        cmocka_unit_test(a_grant_that_is_given_back_is_counted_as_both),
        cmocka_unit_test(the_table_is_counted),
        cmocka_unit_test(events_and_who_listens_are_counted),
        cmocka_unit_test(the_replica_is_shown),
        cmocka_unit_test(each_other_member_has_its_last_contact),
        cmocka_unit_test(the_disk_is_shown),
        cmocka_unit_test(requests_are_counted_by_method_route_and_code),
        cmocka_unit_test(what_never_becomes_a_request_is_counted_as_well),
        cmocka_unit_test(a_request_takes_until_its_answer),
        cmocka_unit_test(the_node_itself_is_shown),
        cmocka_unit_test(every_answer_of_the_contract_finds_its_place_and_the_text_stays_small),
        cmocka_unit_test(a_label_that_would_not_fit_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
