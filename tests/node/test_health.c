/* What GET /health says of each thing that can be wrong, and that it stays a 200 as long as this node can serve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/health.h"
#include "service_rig.h"

struct wanted {
    unsigned status;
    const char *word;
    const char *reasons; /* of the body */
};

static void assert_health(struct rig *rig, struct wanted wanted)
{
    struct exchange exchange;
    char quoted[64];
    rig_ask(rig, &exchange, "GET", "/health", "");
    (void)snprintf(quoted, sizeof quoted, "\"status\":\"%s\"", wanted.word);
    if (exchange.status != wanted.status || !exchange_body_has(&exchange, quoted) ||
        !exchange_body_has(&exchange, wanted.reasons)) {
        fail_msg("%u %s", exchange.status, (const char *)exchange.answer_body.base);
    }
    exchange_close(&exchange);
}

static void without_a_reason_it_is_ok(void **state)
{
    (void)state;
    struct rig rig;
    struct replica_member_status members[] = {{.name = "n1", .reachable = true}, {.name = "n2", .reachable = true}};
    rig_open(&rig, LIMIT_REQUESTS);
    rig.replica.status.members = members;
    rig.replica.status.n_members = 2;
    assert_health(&rig, (struct wanted){200, "ok", "\"reasons\":[]"});
    rig_close(&rig);
}

static void what_keeps_it_from_serving_is_a_503(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    struct replica_status *status = &rig.replica.status;
    status->ready = false;
    status->applied_index = 7;
    status->commit_index = 9;
    assert_health(&rig, (struct wanted){503, "unavailable", "[\"catching_up: This node has applied 7 of at least 9 "});
    status->leader = NULL;
    assert_health(&rig, (struct wanted){503, "unavailable", "[\"no_leader: "});
    status->waiting = "for a leader"; /* says no more than that */
    assert_health(&rig, (struct wanted){503, "unavailable", "[\"no_leader: "});
    status->role = REPLICA_FOUNDING;
    status->waiting = "for n2 to answer who founded the cluster";
    assert_health(&rig, (struct wanted){503, "unavailable",
                                        "[\"waiting: This node waits for n2 to answer who founded the "
                                        "cluster.\"]"});
    rig_close(&rig);
}

static void starting_and_stopping_are_said(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    service_detach(rig.service);
    assert_health(&rig, (struct wanted){503, "unavailable", "[\"starting: "});
    service_attach(rig.service, &rig.replica);
    service_stop(rig.service);
    assert_health(&rig, (struct wanted){503, "unavailable", "[\"stopping: "});
    service_detach(rig.service);
    assert_health(&rig, (struct wanted){503, "unavailable", "[\"stopping: "});
    rig_close(&rig);
}

static void what_should_be_looked_at_is_degraded(void **state)
{
    (void)state;
    struct rig rig;
    struct replica_member_status members[] = {{.name = "n1", .reachable = true}, {.name = "n2", .reachable = true}};
    rig_open(&rig, LIMIT_REQUESTS);
    struct replica_status *status = &rig.replica.status;
    status->members = members;
    status->n_members = 2;
    status->reserve_ok = false;
    assert_health(&rig, (struct wanted){200, "degraded", "[\"disk_reserve: "});
    status->reserve_ok = true;
    status->snapshot_busy = true;
    status->snapshot_busy_ms = 75000;
    assert_health(&rig, (struct wanted){200, "degraded", "[\"snapshot_busy: A snapshot has been due for 75 s "});
    status->snapshot_busy = false;
    members[1].reachable = false;
    assert_health(&rig, (struct wanted){200, "degraded", "[\"member_unreachable: n2 can't be reached from here"});
    status->reserve_ok = false; /* all are named, */
    assert_health(&rig, (struct wanted){200, "degraded", "\"member_unreachable: "});
    assert_health(&rig, (struct wanted){200, "degraded", "\"disk_reserve: "});
    status->ready = false; /* also those that are not why it can't serve */
    assert_health(&rig, (struct wanted){503, "unavailable", "\"disk_reserve: "});
    rig_close(&rig);
}

static void a_stalled_loop_is_told_of_for_a_minute(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, LIMIT_REQUESTS);
    service_note_turn(rig.service, HEALTH_STALL_MS * UINT64_C(1000000));
    assert_health(&rig, (struct wanted){200, "ok", "\"reasons\":[]"});
    service_note_turn(rig.service, UINT64_C(1200000000));
    assert_health(&rig,
                  (struct wanted){200, "degraded", "[\"stalled_loop: This node stood still for 1200 ms, 0 s ago"});
    fake_loop_pass(&rig.world, 30000);
    service_note_turn(rig.service, UINT64_C(5000000)); /* a short one changes nothing */
    assert_health(&rig, (struct wanted){200, "degraded", "1200 ms, 30 s ago"});
    service_note_turn(rig.service, UINT64_C(1100000000));
    fake_loop_pass(&rig.world, 60000);
    assert_health(&rig, (struct wanted){200, "degraded", "1100 ms, 60 s ago"});
    fake_loop_pass(&rig.world, 1);
    assert_health(&rig, (struct wanted){200, "ok", "\"reasons\":[]"});
    rig_close(&rig);
}

static void every_member_can_be_unreachable_at_once(void **state)
{
    (void)state;
    struct rig rig;
    struct replica_member_status members[LIMIT_MEMBERS];
    char names[LIMIT_MEMBERS][LIMIT_NAME_BYTES + 1];
    rig_open(&rig, LIMIT_REQUESTS);
    for (size_t i = 0; i < LIMIT_MEMBERS; i++) {
        memset(names[i], 'a' + (int)(i % 26), LIMIT_NAME_BYTES);
        names[i][LIMIT_NAME_BYTES] = 0;
        members[i] = (struct replica_member_status){.name = names[i]};
    }
    struct replica_status *status = &rig.replica.status;
    status->members = members;
    status->n_members = LIMIT_MEMBERS;
    status->reserve_ok = false;
    status->snapshot_busy = true;
    status->ready = false;
    service_note_turn(rig.service, UINT64_C(2000000000));
    service_stop(rig.service);
    assert_health(&rig, (struct wanted){503, "unavailable", names[LIMIT_MEMBERS - 1]});
    assert_health(&rig, (struct wanted){503, "unavailable", "can't be reached from here: look whether it runs.\"]"});
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_reason_it_is_ok),
        cmocka_unit_test(what_keeps_it_from_serving_is_a_503),
        cmocka_unit_test(starting_and_stopping_are_said),
        cmocka_unit_test(what_should_be_looked_at_is_degraded),
        cmocka_unit_test(a_stalled_loop_is_told_of_for_a_minute),
        cmocka_unit_test(every_member_can_be_unreachable_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
