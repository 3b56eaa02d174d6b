/* Groups, freezes and batches of renewals: what is proposed, what is read, and what the log keeps of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "service_rig.h"

static void put_group(struct rig *rig, const char *name, uint32_t slots)
{
    struct command command = {.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of(name), .slots = slots}};
    rig_apply(rig, 1000, &command);
}

static void put_freeze(struct rig *rig, const char *scope)
{
    struct command command = {
        .kind = COMMAND_PUT_FREEZE,
        .put_freeze = {.scope = slice_of(scope), .actor = slice_of("ops@x"), .reason = slice_of("r"), .ttl_ms = 60000},
    };
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

static void groups_are_read_and_listed(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    rig_use_newest_rules(&rig);
    assert_read(&rig, "/groups/db", 404, "\"code\":\"not_found\"");
    put_group(&rig, "db", 3);
    put_group(&rig, "dc", 4);
    assert_read(&rig, "/groups/db", 200, "\"slots\":3");
    assert_read(&rig, "/groups?limit=1", 200, "\"next\":\"db\"");
    assert_read(&rig, "/groups?limit=1&after=db", 200, "\"next\":null");
    assert_read(&rig, "/groups?prefix=x", 200, "\"groups\":[]");
    rig_ask(&rig, &exchange, "GET", "/groups/dc?consistency=stale", "");
    assert_true(exchange_body_has(&exchange, "\"slots\":4"));
    exchange_close(&exchange);
    rig_close(&rig);
}

static void freezes_are_read_and_listed(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    rig_use_newest_rules(&rig);
    assert_read(&rig, "/freezes/*", 404, "\"code\":\"not_found\"");
    put_freeze(&rig, "*");
    put_freeze(&rig, "db-*");
    assert_read(&rig, "/freezes/*", 200, "\"scope\":\"*\"");
    assert_read(&rig, "/freezes?prefix=db", 200, "\"scope\":\"db-*\"");
    assert_read(&rig, "/locks/anything", 200, "\"frozen\":true");
    rig_close(&rig);
}

static void a_group_is_proposed_answered_and_logged(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    struct outcome outcome = {.code = OUTCOME_DONE, .has_group = true, .group = {.name = slice_of("db"), .slots = 3}};
    rig_ask(&rig, &exchange, "PUT", "/groups/db", "{\"slots\": 3}");
    const struct command *command = &rig.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_PUT_GROUP);
    assert_int_equal(command->put_group.slots, 3);
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 200);
    assert_true(exchange_body_has(&exchange, "\"name\":\"db\""));
    exchange_close(&exchange);
    assert_true(fake_loop_logged(&rig.world, "level=info msg=\"group set\" group=db slots=3\n"));
    struct outcome refused = {.code = OUTCOME_GROUP_IN_USE, .has_group = true, .group = outcome.group};
    const char *const delete[] = {"DELETE", "/groups/db", ""};
    rig_ask_applied(&rig, &exchange, delete, &refused);
    assert_int_equal(exchange.status, 409);
    exchange_close(&exchange);
    assert_false(fake_loop_logged(&rig.world, "group deleted"));
    rig_ask_applied(&rig, &exchange, delete, &outcome);
    assert_int_equal(exchange.status, 200);
    exchange_close(&exchange);
    assert_true(fake_loop_logged(&rig.world, "level=info msg=\"group deleted\" group=db slots=3\n"));
    rig_close(&rig);
}

static void a_freeze_is_proposed_answered_and_logged(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    struct outcome outcome = {
        .code = OUTCOME_DONE,
        .has_freeze = true,
        .freeze = {.scope = slice_of("db-*"), .actor = slice_of("ops@x"), .reason = slice_of("a b"), .ttl_ms = 60000},
    };
    rig_ask(&rig, &exchange, "PUT", "/freezes/db-*", "{\"actor\": \"ops@x\", \"reason\": \"a b\", \"ttl_ms\": 60000}");
    const struct command *command = &rig.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_PUT_FREEZE);
    assert_true(slice_equal(command->put_freeze.scope, slice_of("db-*")));
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 200);
    exchange_close(&exchange);
    assert_true(fake_loop_logged(&rig.world, "level=info msg=\"freeze set\" scope=db-* actor=ops@x reason=\"a b\" "
                                             "ttl_ms=60000\n"));
    const char *const delete[] = {"DELETE", "/freezes/db-*", ""};
    struct outcome missing = {.code = OUTCOME_NOT_FOUND};
    rig_ask_applied(&rig, &exchange, delete, &missing);
    assert_int_equal(exchange.status, 404);
    exchange_close(&exchange);
    assert_false(fake_loop_logged(&rig.world, "freeze lifted"));
    rig_ask_applied(&rig, &exchange, delete, &outcome);
    assert_int_equal(exchange.status, 200);
    exchange_close(&exchange);
    assert_true(
        fake_loop_logged(&rig.world, "level=info msg=\"freeze lifted\" scope=db-* actor=ops@x reason=\"a b\" "));
    rig_close(&rig);
}

static void renewals_of_a_batch_are_answered_each(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct outcome results[2] = {outcome_granted(), {.code = OUTCOME_LOCK_LOST}};
    struct outcome outcome = {.code = OUTCOME_DONE, .results = results, .n_results = 2};
    rig_open(&rig, LIMIT_REQUESTS);
    rig_ask(&rig, &exchange, "POST", "/renew",
            "{\"locks\": [{\"schedule_id\": \"a\", \"token\": 77}, {\"schedule_id\": \"b\", \"token\": 78}]}");
    const struct command *command = &rig.replica.operations[0]->command;
    assert_int_equal(command->kind, COMMAND_RENEW_BATCH);
    assert_int_equal(command->renew_batch.n_renewals, 2);
    assert_int_equal(command->renew_batch.renewals[1].token, 78);
    fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
    assert_int_equal(exchange.status, 200);
    assert_true(exchange_body_has(&exchange, "{\"results\":[{"));
    assert_true(exchange_body_has(&exchange, "\"lock_lost\""));
    exchange_close(&exchange);
    rig_close(&rig);
}

/* The largest batch of the longest ids is parsed within a request's bound of memory, again and again. */
static void the_largest_batch_fits(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct buffer body;
    char id[LIMIT_NAME_BYTES + 1];
    struct outcome lost[LIMIT_RENEWALS];
    struct outcome outcome = {.code = OUTCOME_DONE, .results = lost, .n_results = LIMIT_RENEWALS};
    memset(lost, 0, sizeof lost);
    memset(id, 'x', sizeof id - 1);
    id[LIMIT_NAME_BYTES] = 0;
    buffer_init(&body);
    buffer_printf(&body, "{\"locks\": [");
    for (unsigned i = 0; i < LIMIT_RENEWALS; i++) {
        lost[i].code = OUTCOME_LOCK_LOST;
        buffer_printf(&body, "%s{\"schedule_id\": \"%s\", \"token\": %u, \"ttl_ms\": 60000}", i == 0 ? "" : ",", id,
                      i + 1);
    }
    buffer_append(&body, "]}", 3);
    rig_open(&rig, LIMIT_REQUESTS);
    for (int i = 0; i < 3; i++) {
        rig_ask(&rig, &exchange, "POST", "/renew", (const char *)body.base);
        assert_int_equal(rig.replica.n_operations, 1);
        assert_int_equal(rig.replica.operations[0]->command.renew_batch.n_renewals, LIMIT_RENEWALS);
        fake_replica_decide(&rig.replica, OPERATION_APPLIED, &outcome);
        assert_int_equal(exchange.status, 200);
        exchange_close(&exchange);
    }
    buffer_close(&body);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_read_and_listed),
        cmocka_unit_test(freezes_are_read_and_listed),
        cmocka_unit_test(a_group_is_proposed_answered_and_logged),
        cmocka_unit_test(a_freeze_is_proposed_answered_and_logged),
        cmocka_unit_test(renewals_of_a_batch_are_answered_each),
        cmocka_unit_test(the_largest_batch_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
