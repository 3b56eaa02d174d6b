/* From an exchange to its answer, with a replica that does what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "service_rig.h"

static void an_acquire_is_proposed_and_its_outcome_answered(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    exchange_open(&exchange, "POST", "/locks/a", ACQUIRE_BODY);
    exchange_add_header(&exchange, "Idempotency-Key", "k1");
    service_request(f.service, &exchange);
    assert_int_equal(exchange.answers, 0);
    assert_int_equal(f.replica.n_operations, 1);
    const struct acquire_command *command = &f.replica.operations[0]->command.acquire;
    assert_true(slice_equal(command->schedule_id, slice_of("a")));
    assert_true(slice_equal(command->idempotency_key, slice_of("k1")));
    assert_int_equal(command->ttl_ms, 60000);
    struct outcome outcome = outcome_granted();
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 201);
    assert_true(exchange_has_header(&exchange, "Baton-Node: n1\n"));
    assert_true(exchange_has_header(&exchange, "Baton-Leader: 10.0.0.2:7420\n"));
    assert_true(exchange_has_header(&exchange, "Content-Type: application/json\n"));
    assert_true(exchange_has_header(&exchange, "Idempotency-Key: k1\n"));
    assert_true(exchange_body_has(&exchange, "\"token\":77"));
    exchange_close(&exchange);
    rig_close(&f);
}

static void a_key_is_made_when_the_client_sent_none(void **state)
{
    (void)state;
    struct rig f;
    struct exchange first;
    struct exchange second;
    rig_open(&f, LIMIT_REQUESTS);
    exchange_open(&first, "POST", "/locks/a", ACQUIRE_BODY);
    exchange_open(&second, "POST", "/locks/a", ACQUIRE_BODY);
    service_request(f.service, &first);
    service_request(f.service, &second);
    struct slice key = f.replica.operations[0]->command.acquire.idempotency_key;
    assert_int_equal(key.len, 32);
    assert_false(slice_equal(key, f.replica.operations[1]->command.acquire.idempotency_key));
    struct outcome outcome = outcome_granted();
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome);
    fake_replica_decide(&f.replica, OPERATION_UNKNOWN, NULL);
    assert_true(exchange_has_header(&first, "Idempotency-Key: 000102"));
    assert_int_equal(second.status, 504);
    assert_true(exchange_has_header(&second, "Idempotency-Key: 101112"));
    assert_true(exchange_body_has(&second, "\"101112"));
    exchange_close(&first);
    exchange_close(&second);
    rig_close(&f);
}

static void what_was_not_decided_is_503_or_504(void **state)
{
    (void)state;
    static const struct {
        enum operation_status status;
        unsigned http;
        const char *code;
    } rows[] = {
        {OPERATION_NO_LEADER, 503, "\"no_leader\""},
        {OPERATION_NOT_READY, 503, "\"not_ready\""},
        {OPERATION_OVERLOADED, 503, "\"overloaded\""},
        {OPERATION_UNKNOWN, 504, "\"outcome_unknown\""},
    };
    static const char *const requests[][3] = {
        {"POST", "/locks/a", ACQUIRE_BODY},
        {"POST", "/locks/a/renew", "{\"token\": 1}"},
        {"GET", "/locks/a", ""},
    };
    struct rig f;
    rig_open(&f, LIMIT_REQUESTS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t j = 0; j < 3; j++) {
            struct exchange exchange;
            exchange_open(&exchange, requests[j][0], requests[j][1], requests[j][2]);
            service_request(f.service, &exchange);
            bool is_read = j == 2;
            if (is_read) {
                fake_replica_decide_read(&f.replica, rows[i].status);
            } else {
                fake_replica_decide(&f.replica, rows[i].status, NULL);
            }
            bool unknown_read = is_read && rows[i].status == OPERATION_UNKNOWN; /* nothing could have happened */
            assert_int_equal(exchange.status, unknown_read ? 503 : rows[i].http);
            assert_true(exchange_body_has(&exchange, unknown_read ? "\"no_leader\"" : rows[i].code));
            assert_true(exchange_body_has(&exchange, ".\"")); /* the detail is a sentence */
            assert_int_equal(exchange_has_header(&exchange, "Retry-After: 1\n"), exchange.status == 503);
            exchange_close(&exchange);
        }
    }
    rig_close(&f);
}

static void a_refusal_is_answered_and_logged_in_the_words_of_the_contract(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    struct grant_view holder = {
        .schedule_id = slice_of("a"), .holder = slice_of("other"), .token = 5, .remaining_ms = 9};
    struct outcome outcome = {.code = OUTCOME_LOCK_HELD, .holders = &holder, .n_holders = 1};
    exchange_open(&exchange, "POST", "/locks/a", ACQUIRE_BODY);
    service_request(f.service, &exchange);
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 409);
    assert_true(exchange_body_has(&exchange, "schedule a skipped — lock held by peer other"));
    assert_true(fake_loop_logged(&f.world, "level=debug msg=\"schedule a skipped — lock held by peer other\"\n"));
    exchange_close(&exchange);
    rig_close(&f);
}

static void reads_wait_for_a_barrier_unless_stale_is_asked_for(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    exchange_open(&exchange, "GET", "/locks/a", "");
    service_request(f.service, &exchange);
    assert_int_equal(exchange.answers, 0);
    fake_replica_decide_read(&f.replica, OPERATION_APPLIED);
    assert_int_equal(exchange.status, 200);
    exchange_close(&exchange);
    exchange_open(&exchange, "GET", "/locks/a", "");
    exchange.query[0] = (struct http_pair){slice_of("consistency"), slice_of("stale")};
    exchange.n_query = 1;
    service_request(f.service, &exchange);
    assert_int_equal(exchange.status, 200);
    assert_int_equal(f.replica.n_reads, 0);
    exchange_close(&exchange);
    rig_close(&f);
}

static void a_copy_that_is_not_loaded_answers_nothing(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    lock_table_close(f.replica.table);
    f.replica.table = NULL;
    exchange_open(&exchange, "GET", "/locks/a", "");
    exchange.query[0] = (struct http_pair){slice_of("consistency"), slice_of("stale")};
    exchange.n_query = 1;
    service_request(f.service, &exchange);
    assert_int_equal(exchange.status, 503);
    exchange_close(&exchange);
    rig_close(&f);
}

/* ---- hanging up ---- */

static void hang_up(struct rig *f, struct exchange *exchange, const struct outcome *outcome, const char *key)
{
    exchange_open(exchange, "POST", "/locks/a", ACQUIRE_BODY);
    if (key != NULL) {
        exchange_add_header(exchange, "Idempotency-Key", key);
    }
    service_request(f->service, exchange);
    exchange->is_gone = true;
    fake_replica_decide(&f->replica, OPERATION_APPLIED, outcome);
}

static void a_grant_that_nobody_can_claim_is_released_as_abandoned(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    struct outcome outcome = outcome_granted();
    rig_open(&f, LIMIT_REQUESTS);
    hang_up(&f, &exchange, &outcome, NULL);
    assert_int_equal(exchange.status, 504); /* whoever still reads must not start the job */
    /* … nor claim the grant with the key that it was given to: the first one that was drawn */
    assert_false(exchange_has_header(&exchange, "Idempotency-Key: 000102"));
    assert_false(exchange_body_has(&exchange, "\"000102"));
    assert_true(exchange_has_header(&exchange, "Idempotency-Key: 101112"));
    assert_true(exchange_body_has(&exchange, "\"101112"));
    exchange_close(&exchange);
    assert_int_equal(f.replica.n_operations, 1);
    const struct command *command = &f.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_RELEASE);
    assert_true(slice_equal(command->release.schedule_id, slice_of("a")));
    assert_int_equal(command->release.token, 77);
    assert_true(command->release.has_outcome && command->release.outcome == RUN_ABANDONED);
    assert_int_equal(service_pending(f.service), 1);
    struct outcome released = {.code = OUTCOME_DONE};
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &released);
    rig_close(&f);
}

static void giving_back_is_repeated_until_it_is_decided_or_over(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    struct outcome outcome = outcome_granted();
    rig_open(&f, LIMIT_REQUESTS);
    hang_up(&f, &exchange, &outcome, NULL);
    exchange_close(&exchange);
    for (int i = 0; i < 3; i++) {
        fake_replica_decide(&f.replica, i == 1 ? OPERATION_UNKNOWN : OPERATION_NO_LEADER, NULL);
        assert_int_equal(f.replica.n_operations, 0);
        fake_loop_pass(&f.world, 500);
        assert_int_equal(f.replica.n_operations, 1);
    }
    fake_loop_pass(&f.world, 60000); /* the grant has ended by itself */
    fake_replica_decide(&f.replica, OPERATION_NO_LEADER, NULL);
    fake_loop_pass(&f.world, 60000);
    rig_close(&f);
}

static void a_grant_that_can_be_claimed_stays(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    struct outcome outcome = outcome_granted();
    hang_up(&f, &exchange, &outcome, "mine"); /* its owner comes back with the key */
    assert_int_equal(exchange.status, 201);
    exchange_close(&exchange);
    outcome.repeated = true; /* somebody else's grant, by an accident of keys */
    hang_up(&f, &exchange, &outcome, NULL);
    assert_int_equal(exchange.status, 201);
    exchange_close(&exchange);
    outcome = (struct outcome){.code = OUTCOME_CAPACITY};
    hang_up(&f, &exchange, &outcome, NULL);
    assert_int_equal(exchange.status, 507);
    exchange_close(&exchange);
    rig_close(&f);
}

/* ---- hanging up, and it isn't known whether there is a grant ---- */

static void hang_up_unknown(struct rig *f, struct exchange *exchange, const char *key)
{
    exchange_open(exchange, "POST", "/locks/a", "{\"holder\": \"h\", \"ttl_ms\": 60000, \"metadata\": {\"b\": 1}}");
    if (key != NULL) {
        exchange_add_header(exchange, "Idempotency-Key", key);
    }
    service_request(f->service, exchange);
    exchange->is_gone = true;
    fake_replica_decide(&f->replica, OPERATION_UNKNOWN, NULL);
    assert_int_equal(exchange->status, 504);
}

static void assert_asks_again(const struct rig *f)
{
    assert_int_equal(f->replica.n_operations, 1);
    const struct command *command = &f->replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_ACQUIRE);
    assert_true(slice_equal(command->acquire.schedule_id, slice_of("a")));
    assert_true(slice_equal(command->acquire.holder, slice_of("h")));
    assert_true(slice_equal(command->acquire.metadata, slice_of("{\"b\":1}")));
    assert_int_equal(command->acquire.ttl_ms, 60000);
    assert_true(slice_equal(command->acquire.idempotency_key, slice_of("000102030405060708090a0b0c0d0e0f")));
}

static void a_grant_that_may_be_there_is_asked_for_and_released(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    hang_up_unknown(&f, &exchange, NULL);
    assert_false(exchange_body_has(&exchange, "\"000102")); /* whoever still reads can't claim it */
    assert_true(exchange_body_has(&exchange, "\"101112"));
    exchange_close(&exchange);
    assert_asks_again(&f);
    fake_replica_decide(&f.replica, OPERATION_UNKNOWN, NULL);
    assert_int_equal(f.replica.n_operations, 0);
    fake_loop_pass(&f.world, 500);
    assert_asks_again(&f);
    fake_replica_decide(&f.replica, OPERATION_NO_LEADER, NULL);
    fake_loop_pass(&f.world, 500);
    assert_asks_again(&f);
    struct outcome outcome = outcome_granted();
    outcome.repeated = true; /* it was there */
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(f.replica.n_operations, 1);
    const struct command *command = &f.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_RELEASE);
    assert_true(slice_equal(command->release.schedule_id, slice_of("a")));
    assert_int_equal(command->release.token, 77);
    assert_true(command->release.has_outcome && command->release.outcome == RUN_ABANDONED);
    assert_true(fake_loop_logged(&f.world, "grant given back"));
    fake_replica_decide(&f.replica, OPERATION_UNKNOWN, NULL); /* a release is repeated as ever */
    fake_loop_pass(&f.world, 500);
    struct outcome released = {.code = OUTCOME_DONE};
    assert_int_equal(f.replica.operations[0]->command.kind, COMMAND_RELEASE);
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &released);
    rig_close(&f);
}

static void asking_for_a_grant_ends_when_there_is_none_or_it_would_be_over(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    hang_up_unknown(&f, &exchange, NULL);
    exchange_close(&exchange);
    struct outcome refused = {.code = OUTCOME_GRANT_ENDED};
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &refused);
    assert_int_equal(service_pending(f.service), 0);
    hang_up_unknown(&f, &exchange, NULL);
    exchange_close(&exchange);
    fake_loop_pass(&f.world, 60000);
    fake_replica_decide(&f.replica, OPERATION_UNKNOWN, NULL);
    assert_int_equal(service_pending(f.service), 0);
    hang_up_unknown(&f, &exchange, NULL);
    exchange_close(&exchange);
    service_stop(f.service);
    struct outcome outcome = outcome_granted();
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome); /* too late to release it */
    rig_close(&f);
}

static void what_somebody_can_claim_is_not_asked_for(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    hang_up_unknown(&f, &exchange, "mine");
    assert_true(exchange_has_header(&exchange, "Idempotency-Key: mine\n"));
    exchange_close(&exchange);
    exchange_open(&exchange, "POST", "/locks/a", ACQUIRE_BODY); /* still listens */
    service_request(f.service, &exchange);
    fake_replica_decide(&f.replica, OPERATION_UNKNOWN, NULL);
    assert_true(exchange_has_header(&exchange, "Idempotency-Key: 000102"));
    exchange_close(&exchange);
    exchange_open(&exchange, "POST", "/locks/a/renew", "{\"token\": 1}");
    service_request(f.service, &exchange);
    exchange.is_gone = true;
    fake_replica_decide(&f.replica, OPERATION_UNKNOWN, NULL);
    exchange_close(&exchange);
    exchange_open(&exchange, "POST", "/locks/a", ACQUIRE_BODY); /* surely nothing was changed */
    service_request(f.service, &exchange);
    exchange.is_gone = true;
    fake_replica_decide(&f.replica, OPERATION_NO_LEADER, NULL);
    assert_int_equal(exchange.status, 503);
    exchange_close(&exchange);
    rig_close(&f);
}

static void past_the_bound_of_give_backs_a_grant_stays(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    struct outcome outcome = outcome_granted();
    rig_open(&f, LIMIT_REQUESTS);
    for (size_t i = 0; i < LIMIT_GIVE_BACKS; i++) {
        hang_up(&f, &exchange, &outcome, NULL);
        assert_int_equal(exchange.status, 504);
        exchange_close(&exchange);
        fake_replica_decide(&f.replica, OPERATION_NO_LEADER, NULL); /* waits for its next attempt */
    }
    hang_up(&f, &exchange, &outcome, NULL);
    assert_int_equal(exchange.status, 201);
    exchange_close(&exchange);
    hang_up_unknown(&f, &exchange, NULL);
    exchange_close(&exchange);
    assert_int_equal(service_pending(f.service), LIMIT_GIVE_BACKS);
    service_stop(f.service);
    rig_close(&f);
}

/* ---- what doesn't reach the replica ---- */

static void wrong_and_foreign_requests_are_answered_at_once(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    exchange_open(&exchange, "POST", "/locks/a", "{");
    service_request(f.service, &exchange);
    assert_int_equal(exchange.status, 400);
    assert_true(exchange_has_header(&exchange, "Content-Type: application/problem+json\n"));
    exchange_close(&exchange);
    exchange_open(&exchange, "PUT", "/locks/a", "");
    service_request(f.service, &exchange);
    assert_int_equal(exchange.status, 405);
    assert_true(exchange_has_header(&exchange, "Allow: POST, GET, HEAD, DELETE\n"));
    exchange_close(&exchange);
    exchange_open(&exchange, "POST", "/locks/a", ACQUIRE_BODY);
    exchange_add_header(&exchange, "Origin", "http://evil.example");
    service_request(f.service, &exchange);
    assert_int_equal(exchange.status, 403);
    assert_true(exchange_body_has(&exchange, "\"forbidden\""));
    exchange_close(&exchange);
    exchange_open(&exchange, "POST", "/locks/a", "{"); /* form goes before who it is */
    exchange_add_header(&exchange, "Origin", "http://evil.example");
    service_request(f.service, &exchange);
    assert_int_equal(exchange.status, 400);
    exchange_close(&exchange);
    exchange_open(&exchange, "POST", "/locks/a", "");
    service_refuse_body(f.service, &exchange);
    assert_int_equal(exchange.status, 413);
    exchange_close(&exchange);
    rig_close(&f);
}

static void a_request_has_a_bound_of_memory(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    exchange_open(&exchange, "GET", "/locks", "");
    exchange.n_query = LIMIT_REQUEST_BYTES / sizeof(struct http_pair) + 1; /* nobody looks at them */
    service_request(f.service, &exchange);
    assert_int_equal(exchange.status, 400);
    assert_true(exchange_body_has(&exchange, "\"invalid_field\""));
    assert_true(exchange_body_has(&exchange, "\"query\""));
    exchange_close(&exchange);
    rig_close(&f);
}

static void any_header_of_fetch_metadata_tells_a_browser(void **state)
{
    (void)state;
    static const char *const names[] = {"Sec-Fetch-Site", "Sec-Fetch-Mode", "sec-fetch-dest", "Sec-Fetch-Tomorrow"};
    struct rig f;
    rig_open(&f, LIMIT_REQUESTS);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct exchange exchange;
        exchange_open(&exchange, "GET", "/health", "");
        exchange.headers[0].value = "evil.example";
        exchange_add_header(&exchange, names[i], "same-origin");
        service_request(f.service, &exchange);
        assert_int_equal(exchange.status, 403);
        exchange_close(&exchange);
    }
    rig_close(&f);
}

static void past_the_bound_of_requests_it_is_overloaded(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchanges[4];
    rig_open(&f, 3);
    for (int i = 0; i < 4; i++) {
        exchange_open(&exchanges[i], "POST", "/locks/a", ACQUIRE_BODY);
        service_request(f.service, &exchanges[i]);
    }
    assert_int_equal(f.replica.n_operations, 3);
    assert_int_equal(exchanges[3].status, 503);
    assert_true(exchange_body_has(&exchanges[3], "\"overloaded\""));
    assert_true(exchange_has_header(&exchanges[3], "Retry-After: 1\n"));
    struct outcome outcome = outcome_granted();
    for (int i = 0; i < 3; i++) {
        fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome);
    }
    exchange_close(&exchanges[3]);
    exchange_open(&exchanges[3], "POST", "/locks/a", ACQUIRE_BODY);
    service_request(f.service, &exchanges[3]); /* there is room again */
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(exchanges[i].status, 201);
        exchange_close(&exchanges[i]);
    }
    rig_close(&f);
}

static void a_stopping_service_refuses_and_gives_nothing_back(void **state)
{
    (void)state;
    struct rig f;
    struct exchange parked;
    struct exchange late;
    struct outcome outcome = outcome_granted();
    rig_open(&f, LIMIT_REQUESTS);
    exchange_open(&parked, "POST", "/locks/a", ACQUIRE_BODY);
    service_request(f.service, &parked);
    parked.is_gone = true;
    service_stop(f.service);
    exchange_open(&late, "POST", "/locks/b", ACQUIRE_BODY);
    service_request(f.service, &late);
    assert_int_equal(late.status, 503);
    assert_true(exchange_body_has(&late, "\"not_ready\""));
    fake_replica_decide(&f.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(parked.answers, 1);
    service_detach(f.service);
    exchange_close(&late);
    exchange_open(&late, "GET", "/health", "");
    service_request(f.service, &late);
    assert_int_equal(late.status, 503);
    assert_true(exchange_body_has(&late, "stopping"));
    exchange_close(&parked);
    exchange_close(&late);
    rig_close(&f);
}

static void the_leaders_address_is_looked_up_again_when_told_and_after_a_second(void **state)
{
    (void)state;
    struct rig f;
    struct exchange exchange;
    rig_open(&f, LIMIT_REQUESTS);
    exchange_open(&exchange, "GET", "/health/live", "");
    service_request(f.service, &exchange);
    assert_true(exchange_has_header(&exchange, "Baton-Leader: 10.0.0.2:7420\n"));
    exchange_close(&exchange);
    f.replica.status.leader_http = "10.0.0.3:7420";
    service_look_again(f.service);
    exchange_open(&exchange, "GET", "/health/live", "");
    service_request(f.service, &exchange);
    assert_true(exchange_has_header(&exchange, "Baton-Leader: 10.0.0.3:7420\n"));
    exchange_close(&exchange);
    f.replica.status.leader_http = NULL;
    fake_loop_pass(&f.world, 1000);
    exchange_open(&exchange, "GET", "/health/live", "");
    service_request(f.service, &exchange);
    assert_false(exchange_has_header(&exchange, "Baton-Leader"));
    exchange_close(&exchange);
    rig_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acquire_is_proposed_and_its_outcome_answered),
        cmocka_unit_test(a_key_is_made_when_the_client_sent_none),
        cmocka_unit_test(what_was_not_decided_is_503_or_504),
        cmocka_unit_test(a_refusal_is_answered_and_logged_in_the_words_of_the_contract),
        cmocka_unit_test(reads_wait_for_a_barrier_unless_stale_is_asked_for),
        cmocka_unit_test(a_copy_that_is_not_loaded_answers_nothing),
        cmocka_unit_test(a_grant_that_nobody_can_claim_is_released_as_abandoned),
        cmocka_unit_test(giving_back_is_repeated_until_it_is_decided_or_over),
        cmocka_unit_test(a_grant_that_can_be_claimed_stays),
        cmocka_unit_test(a_grant_that_may_be_there_is_asked_for_and_released),
        cmocka_unit_test(asking_for_a_grant_ends_when_there_is_none_or_it_would_be_over),
        cmocka_unit_test(what_somebody_can_claim_is_not_asked_for),
        cmocka_unit_test(past_the_bound_of_give_backs_a_grant_stays),
        cmocka_unit_test(wrong_and_foreign_requests_are_answered_at_once),
        cmocka_unit_test(a_request_has_a_bound_of_memory),
        cmocka_unit_test(any_header_of_fetch_metadata_tells_a_browser),
        cmocka_unit_test(past_the_bound_of_requests_it_is_overloaded),
        cmocka_unit_test(a_stopping_service_refuses_and_gives_nothing_back),
        cmocka_unit_test(the_leaders_address_is_looked_up_again_when_told_and_after_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
