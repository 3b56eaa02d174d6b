/* Acquires that wait: what is passed on, who hangs up meanwhile, and what becomes of a grant that comes too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "service_rig.h"

#define WAIT_BODY "{\"holder\": \"h\", \"ttl_ms\": 60000, \"wait_ms\": 90000}"

static void wait_for(struct rig *rig, struct exchange *exchange, const char *key)
{
    exchange_open(exchange, "POST", "/locks/a", WAIT_BODY);
    if (key != NULL) {
        exchange_add_header(exchange, "Idempotency-Key", key);
    }
    service_request(rig->service, exchange);
    assert_int_equal(exchange->answers, 0);
}

static size_t times_logged(const struct rig *rig, const char *text)
{
    size_t n = 0;
    const uint8_t *at = rig->world.log.base;
    const uint8_t *end = at + rig->world.log.len;
    while (at != NULL && (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        n++;
        at++;
    }
    return n;
}

static void how_long_it_waits_is_passed_on(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct outcome outcome = outcome_granted();
    rig_open(&rig, LIMIT_REQUESTS);
    wait_for(&rig, &exchange, NULL);
    assert_int_equal(rig.replica.operations[0]->wait_ms, 90000);
    assert_non_null(exchange.gone);
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 201);
    exchange_close(&exchange);
    rig_ask(&rig, &exchange, "POST", "/locks/a", ACQUIRE_BODY);
    assert_int_equal(rig.replica.operations[0]->wait_ms, 0);
    assert_null(exchange.gone); /* it is looked at when there is an outcome, which is soon */
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void a_refusal_after_the_wait_is_logged_once(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct grant_view holder = {.schedule_id = slice_of("a"), .holder = slice_of("other"), .remaining_ms = 9};
    struct outcome outcome = {.code = OUTCOME_LOCK_HELD, .holders = &holder, .n_holders = 1};
    rig_open(&rig, LIMIT_REQUESTS);
    wait_for(&rig, &exchange, NULL);
    fake_loop_pass(&rig.world, 90000);
    assert_int_equal(times_logged(&rig, "schedule a skipped"), 0);
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 409);
    assert_int_equal(times_logged(&rig, "level=debug msg=\"schedule a skipped — lock held by peer other\""), 1);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void who_hangs_up_leaves_the_queue(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    wait_for(&rig, &exchange, NULL);
    struct operation *operation = rig.replica.operations[0];
    fake_exchange_hang_up(&exchange);
    assert_int_equal(rig.replica.cancels, 1);
    assert_ptr_equal(rig.replica.cancelled, operation);
    assert_int_equal(exchange.answers, 0); /* it may be in an entry already */
    fake_replica_decide(&rig.replica, OPERATION_CANCELLED, NULL);
    assert_int_equal(exchange.status, 503);
    assert_int_equal(service_pending(rig.service), 0);
    assert_int_equal(rig.replica.n_operations, 0); /* there is nothing to give back */
    exchange_close(&exchange);
    rig_close(&rig);
}

/* It hung up when its acquire was in an entry. */
static void a_grant_that_comes_too_late_is_given_back(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct outcome outcome = outcome_granted();
    rig_open(&rig, LIMIT_REQUESTS);
    wait_for(&rig, &exchange, NULL);
    fake_exchange_hang_up(&exchange);
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 504);
    exchange_close(&exchange);
    assert_int_equal(rig.replica.n_operations, 1);
    const struct command *command = &rig.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_RELEASE);
    assert_int_equal(command->release.token, 77);
    assert_int_equal(command->release.outcome, RUN_ABANDONED);
    struct outcome released = {.code = OUTCOME_DONE};
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &released);
    rig_close(&rig);
}

static void a_grant_with_the_clients_own_key_stays(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct outcome outcome = outcome_granted();
    rig_open(&rig, LIMIT_REQUESTS);
    wait_for(&rig, &exchange, "mine");
    fake_exchange_hang_up(&exchange);
    assert_int_equal(rig.replica.cancels, 1); /* it doesn't keep its place, though */
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 201);
    assert_int_equal(rig.replica.n_operations, 0);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void an_acquire_that_may_be_granted_is_asked_for_without_waiting(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    wait_for(&rig, &exchange, NULL);
    fake_exchange_hang_up(&exchange);
    fake_replica_decide(&rig.replica, OPERATION_UNKNOWN, NULL);
    assert_int_equal(exchange.status, 504);
    exchange_close(&exchange);
    assert_int_equal(rig.replica.n_operations, 1);
    assert_int_equal(rig.replica.operations[0]->command.kind, COMMAND_ACQUIRE);
    assert_int_equal(rig.replica.operations[0]->wait_ms, 0);
    struct outcome refused = {.code = OUTCOME_LOCK_HELD};
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &refused);
    assert_int_equal(service_pending(rig.service), 0);
    rig_close(&rig);
}

static void thousands_that_wait_are_answered_when_it_stops(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange *exchanges = calloc(FAKE_PENDING, sizeof *exchanges);
    assert_non_null(exchanges);
    rig_open(&rig, LIMIT_REQUESTS);
    for (size_t i = 0; i < FAKE_PENDING; i++) {
        wait_for(&rig, &exchanges[i], NULL);
    }
    service_stop(rig.service);
    for (size_t i = 0; i < FAKE_PENDING; i += 3) {
        fake_exchange_hang_up(&exchanges[i]); /* the replica is still there to hear of it */
    }
    for (size_t i = 0; i < FAKE_PENDING; i++) {
        fake_replica_decide(&rig.replica, i % 2 == 0 ? OPERATION_NO_LEADER : OPERATION_UNKNOWN, NULL);
    }
    service_detach(rig.service);
    assert_int_equal(service_pending(rig.service), 0);
    assert_int_equal(rig.replica.n_operations, 0); /* it gives nothing back any more */
    for (size_t i = 0; i < FAKE_PENDING; i++) {
        assert_int_equal(exchanges[i].status, i % 2 == 0 ? 503 : 504);
        exchange_close(&exchanges[i]);
    }
    free(exchanges);
    rig_close(&rig);
}

static void waiting_needs_newer_rules_than_the_acquire(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    rig.replica.rules_wait_for = "Wait for n3.";
    wait_for(&rig, &exchange, NULL);
    fake_replica_decide(&rig.replica, OPERATION_NOT_READY, NULL);
    assert_int_equal(exchange.status, 503);
    assert_true(exchange_body_has(&exchange, "Wait for n3."));
    assert_int_equal(rig.replica.rules_wait_for_version, 2);
    exchange_close(&exchange);
    rig_ask(&rig, &exchange, "POST", "/locks/a", ACQUIRE_BODY);
    fake_replica_decide(&rig.replica, OPERATION_NOT_READY, NULL);
    assert_int_equal(rig.replica.rules_wait_for_version, 1);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void a_lock_shows_how_many_wait_for_it(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    rig.replica.waiting = 3; /* that this node knows of */
    rig_ask(&rig, &exchange, "GET", "/locks/a", "");
    assert_true(slice_equal(rig.replica.reads[0]->waiting_of, slice_of("a")));
    rig.replica.reads[0]->waiting = 5; /* all over the cluster */
    fake_replica_decide_read(&rig.replica, OPERATION_APPLIED);
    assert_true(exchange_body_has(&exchange, "\"waiting\":5"));
    exchange_close(&exchange);
    rig_ask(&rig, &exchange, "GET", "/locks/a?consistency=stale", "");
    assert_true(exchange_body_has(&exchange, "\"waiting\":3"));
    exchange_close(&exchange);
    rig_ask(&rig, &exchange, "GET", "/locks", "");
    assert_false(slice_is_present(rig.replica.reads[0]->waiting_of));
    fake_replica_decide_read(&rig.replica, OPERATION_APPLIED);
    exchange_close(&exchange);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_long_it_waits_is_passed_on),
        cmocka_unit_test(a_refusal_after_the_wait_is_logged_once),
        cmocka_unit_test(who_hangs_up_leaves_the_queue),
        cmocka_unit_test(a_grant_that_comes_too_late_is_given_back),
        cmocka_unit_test(a_grant_with_the_clients_own_key_stays),
        cmocka_unit_test(an_acquire_that_may_be_granted_is_asked_for_without_waiting),
        cmocka_unit_test(thousands_that_wait_are_answered_when_it_stops),
        cmocka_unit_test(waiting_needs_newer_rules_than_the_acquire),
        cmocka_unit_test(a_lock_shows_how_many_wait_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
