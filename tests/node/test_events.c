/* GET /events: what a reader gets, from where on, how fast, and when it is told that it missed something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/event_readers.h"
#include "service_rig.h"

#define GENERATION "258" /* of the rig's cluster id */

/* ---- what happens ---- */

/* The table has applied everything up to `index`. */
static void applied(struct rig *rig, uint64_t index)
{
    const struct apply_context context = {.index = index, .now_ms = index};
    lock_table_advance(rig->replica.table, &context);
}

static void happens(struct rig *rig, const struct event *event)
{
    applied(rig, event->index);
    service_record_event(rig->service, event);
}

static struct event event_of(enum event_kind kind, const char *schedule, uint64_t index, uint32_t number)
{
    struct event event = {.kind = kind, .index = index, .number = number};
    if (kind == EVENT_GRANTED || kind == EVENT_RENEWED) {
        event.grant = (struct grant_view){.schedule_id = slice_of(schedule), .holder = slice_of("h"), .token = index};
    } else {
        event.run = (struct run_view){.schedule_id = slice_of(schedule),
                                      .holder = slice_of("h"),
                                      .token = index,
                                      .late_outcome = RUN_OUTCOME_NONE};
    }
    return event;
}

static void granted(struct rig *rig, const char *schedule, uint64_t index)
{
    struct event event = event_of(EVENT_GRANTED, schedule, index, 0);
    happens(rig, &event);
}

/* ---- who listens ---- */

static void open_stream(struct rig *rig, struct exchange *exchange, const char *path, const char *last_id)
{
    exchange_open(exchange, "GET", path, "");
    if (last_id != NULL) {
        exchange_add_header(exchange, "Last-Event-ID", last_id);
    }
    rig_cut_query(exchange, path);
    service_request(rig->service, exchange);
}

static void open_stream_at_once(struct rig *rig, struct exchange *exchange, const char *path, const char *last_id)
{
    open_stream(rig, exchange, path, last_id);
    assert_true(exchange->is_stream);
    assert_int_equal(exchange->status, 200);
}

static void hang_up(struct exchange *exchange)
{
    fake_exchange_closed(exchange);
    exchange_close(exchange);
}

static void assert_times(const struct exchange *exchange, const char *text, size_t n)
{
    if (exchange_streamed_times(exchange, text) != n) {
        fail_msg("%s: %zu times instead of %zu in %s", text, exchange_streamed_times(exchange, text), n,
                 (const char *)exchange->streamed.base);
    }
}

static void assert_id(const struct exchange *exchange, const char *index_and_number, size_t n)
{
    char line[64];
    (void)snprintf(line, sizeof line, "id: %s-%s\n", GENERATION, index_and_number);
    assert_times(exchange, line, n);
}

/* ---- tests ---- */

static void a_reader_gets_a_comment_and_then_what_happens(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    granted(&rig, "early", 3);
    open_stream_at_once(&rig, &exchange, "/events", NULL);
    assert_true(exchange_has_header(&exchange, "Content-Type: text/event-stream\n"));
    assert_true(exchange_has_header(&exchange, "Cache-Control: no-store\n"));
    assert_true(exchange_has_header(&exchange, "Baton-Node: n1\n"));
    assert_true(exchange_has_header(&exchange, "Baton-Leader: 10.0.0.2:7420\n"));
    assert_string_equal((const char *)exchange.streamed.base, ":\n\n");
    assert_int_equal(service_pending(rig.service), 0); /* a reader is no request under way */
    granted(&rig, "a", 7);
    struct event released = event_of(EVENT_RELEASED, "a", 8, 2);
    happens(&rig, &released);
    fake_loop_settle(&rig.world);
    assert_id(&exchange, "3-0", 0);
    assert_id(&exchange, "7-0", 1);
    assert_id(&exchange, "8-2", 1);
    assert_true(strstr((char *)exchange.streamed.base, "event: granted") <
                strstr((char *)exchange.streamed.base, "event: released"));
    assert_int_equal(exchange.writes, 2); /* the comment, and what the turn brought */
    hang_up(&exchange);
    rig_close(&rig);
}

static void who_comes_in_the_middle_of_a_turn_gets_nothing_twice(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange first;
    struct exchange second;
    rig_open(&rig, LIMIT_REQUESTS);
    open_stream_at_once(&rig, &first, "/events", NULL);
    fake_loop_settle(&rig.world);
    granted(&rig, "a", 7);
    granted(&rig, "a", 8);
    open_stream_at_once(&rig, &second, "/events", GENERATION "-7-0");
    granted(&rig, "a", 9);
    fake_loop_settle(&rig.world);
    granted(&rig, "a", 10);
    fake_loop_settle(&rig.world);
    assert_id(&first, "7-0", 1);
    assert_id(&first, "8-0", 1);
    assert_id(&second, "7-0", 0);
    assert_id(&second, "8-0", 1);
    assert_id(&second, "9-0", 1);
    assert_id(&second, "10-0", 1);
    assert_times(&second, "event: reset\n", 0);
    hang_up(&first);
    hang_up(&second);
    rig_close(&rig);
}

static void who_comes_back_gets_what_it_missed(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    for (uint64_t index = 5; index < 10; index++) {
        granted(&rig, "a", index);
    }
    applied(&rig, 12);
    open_stream_at_once(&rig, &exchange, "/events", GENERATION "-6-0");
    fake_loop_settle(&rig.world);
    assert_id(&exchange, "6-0", 0);
    assert_id(&exchange, "7-0", 1);
    assert_id(&exchange, "9-0", 1);
    hang_up(&exchange);
    open_stream_at_once(&rig, &exchange, "/events", GENERATION "-9-0"); /* missed nothing */
    granted(&rig, "a", 13);
    fake_loop_settle(&rig.world);
    assert_times(&exchange, "id: ", 1);
    assert_id(&exchange, "13-0", 1);
    hang_up(&exchange);
    rig_close(&rig);
}

static void who_asks_for_what_is_gone_is_told_to_begin_anew(void **state)
{
    (void)state;
    static const char *const gone[] = {
        GENERATION "-4-0", /* before this process's table, for all that is known */
        "257-7-0",         /* another cluster, or the same before a restore */
        "nonsense",        GENERATION "-7", "",
    };
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    for (uint64_t index = 5; index < 10; index++) {
        granted(&rig, "a", index);
    }
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        uint64_t index = 100 + i;
        open_stream_at_once(&rig, &exchange, "/events", gone[i]);
        granted(&rig, "b", index);
        fake_loop_settle(&rig.world);
        assert_times(&exchange, ":\n\nevent: reset\ndata: {\"generation\":" GENERATION ",\"index\":", 1);
        assert_times(&exchange, "id: ", 1); /* then what comes */
        hang_up(&exchange);
    }
    rig_close(&rig);
}

/* It saw the event at a node that is ahead of this one. */
static void an_id_that_is_still_to_come_is_waited_for(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    granted(&rig, "a", 5);
    open_stream(&rig, &exchange, "/events", GENERATION "-8-0");
    assert_int_equal(exchange.answers, 0);
    for (uint64_t index = 6; index < 10; index++) {
        granted(&rig, "a", index);
    }
    fake_replica_decide_read(&rig.replica, OPERATION_APPLIED);
    fake_loop_settle(&rig.world);
    assert_times(&exchange, "event: reset\n", 0);
    assert_times(&exchange, "id: ", 1);
    assert_id(&exchange, "9-0", 1);
    hang_up(&exchange);
    /* Nobody can have told of this one. */
    open_stream(&rig, &exchange, "/events", GENERATION "-1000-0");
    fake_replica_decide_read(&rig.replica, OPERATION_APPLIED);
    assert_times(&exchange, "event: reset\n", 1);
    hang_up(&exchange);
    /* Nobody can say. */
    open_stream(&rig, &exchange, "/events", GENERATION "-1000-0");
    fake_replica_decide_read(&rig.replica, OPERATION_NO_LEADER);
    assert_times(&exchange, "event: reset\n", 1);
    hang_up(&exchange);
    open_stream(&rig, &exchange, "/events", GENERATION "-1000-0");
    service_stop(rig.service);
    fake_replica_decide_read(&rig.replica, OPERATION_NO_LEADER);
    assert_int_equal(exchange.status, 503);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void a_snapshot_that_is_installed_resets_every_reader(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange live;
    struct exchange behind;
    rig_open(&rig, LIMIT_REQUESTS);
    granted(&rig, "a", 5);
    granted(&rig, "a", 6);
    open_stream_at_once(&rig, &live, "/events", NULL);
    fake_loop_settle(&rig.world);
    granted(&rig, "a", 7);
    open_stream_at_once(&rig, &behind, "/events", GENERATION "-5-0");
    service_skip_events(rig.service);
    granted(&rig, "a", 90);
    fake_loop_settle(&rig.world);
    struct exchange *const both[] = {&live, &behind};
    for (size_t i = 0; i < 2; i++) {
        assert_times(both[i], "event: reset\ndata: {\"generation\":" GENERATION ",\"index\":89}\n", 1);
        assert_times(both[i], "id: ", 1);
        assert_id(both[i], "90-0", 1);
        assert_true(strstr((char *)both[i]->streamed.base, "reset") < strstr((char *)both[i]->streamed.base, "id: "));
        hang_up(both[i]);
    }
    open_stream_at_once(&rig, &live, "/events", GENERATION "-7-0");
    assert_times(&live, "event: reset\n", 1);
    hang_up(&live);
    rig_close(&rig);
}

/* Of a turn in which everything happens, what each reader wants. */
static void filters_are_by_schedule_prefix_and_renewals(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *ids; /* indexes, one digit each */
    } rows[] = {
        {"/events", "134567"},           {"/events?renewals=true", "1234567"},
        {"/events?schedule=db.a", "15"}, {"/events?schedule=db.a&renewals=true", "125"},
        {"/events?prefix=db.", "1345"},  {"/events?prefix=db.&renewals=true", "12345"},
        {"/events?prefix=other", "7"},
    };
    struct rig rig;
    struct exchange exchanges[7];
    struct exchange late[7];
    rig_open(&rig, LIMIT_REQUESTS);
    for (size_t i = 0; i < 7; i++) {
        open_stream_at_once(&rig, &exchanges[i], rows[i].path, NULL);
    }
    struct event events[7] = {
        event_of(EVENT_GRANTED, "db.a", 11, 0),
        event_of(EVENT_RENEWED, "db.a", 12, 0),
        event_of(EVENT_EXPIRED, "db.ab", 13, 0),
        {.kind = EVENT_GROUP, .index = 14, .of_group = {.name = slice_of("db.a")}},
        {.kind = EVENT_FREEZE, .index = 15, .freeze = {.scope = slice_of("db.a"), .actor = slice_of("x")}},
        {.kind = EVENT_FREEZE, .index = 16, .freeze = {.scope = slice_of("*"), .actor = slice_of("x")}},
        {.kind = EVENT_POLICY, .index = 17, .policy = {.schedule_id = slice_of("other")}},
    };
    struct event first = event_of(EVENT_GRANTED, "first", 9, 0);
    happens(&rig, &first);
    fake_loop_settle(&rig.world);
    for (size_t i = 0; i < 7; i++) {
        happens(&rig, &events[i]);
    }
    fake_loop_settle(&rig.world);
    for (size_t i = 0; i < 7; i++) {
        open_stream_at_once(&rig, &late[i], rows[i].path, GENERATION "-9-0");
    }
    fake_loop_settle(&rig.world);
    for (size_t i = 0; i < 7; i++) {
        for (unsigned index = 1; index <= 7; index++) {
            char id[16];
            bool is_wanted = strchr(rows[i].ids, (int)('0' + index)) != NULL;
            (void)snprintf(id, sizeof id, "%u-0", 10 + index);
            assert_id(&exchanges[i], id, is_wanted);
            assert_id(&late[i], id, is_wanted);
        }
        hang_up(&exchanges[i]);
        hang_up(&late[i]);
    }
    rig_close(&rig);
}

/* ---- what the table itself tells of ---- */

static void table_told(void *arg, const struct event *event)
{
    struct rig *rig = arg;
    service_record_event(rig->service, event);
}

static struct command acquire_command(const char *schedule, const char *key)
{
    return (struct command){
        .kind = COMMAND_ACQUIRE,
        .acquire = {.schedule_id = slice_of(schedule),
                    .holder = slice_of("h"),
                    .idempotency_key = slice_of(key),
                    .has_ttl = true,
                    .ttl_ms = 60000},
    };
}

/* Two locks end in one entry, before its command: three events of one index. */
static void what_the_table_tells_is_numbered_in_each_entry(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange live;
    struct exchange late;
    rig_open(&rig, LIMIT_REQUESTS);
    rig_use_newest_rules(&rig); /* index 1 */
    lock_table_observe(rig.replica.table, table_told, &rig);
    open_stream_at_once(&rig, &live, "/events", NULL);
    fake_loop_settle(&rig.world);
    struct command commands[] = {
        {.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("db"), .slots = 2}},
        acquire_command("a", "k1"),
        acquire_command("b", "k2"),
        {.kind = COMMAND_RENEW, .renew = {.schedule_id = slice_of("a"), .token = 1}},
        acquire_command("c", "k3"), /* index 6 */
        {.kind = COMMAND_RELEASE,
         .release = {.schedule_id = slice_of("c"), .token = 3, .has_outcome = true, .outcome = RUN_SUCCEEDED}},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        rig_apply(&rig, i == 4 ? 100000 : i == 5 ? 100001 : 1000, &commands[i]);
        fake_loop_settle(&rig.world);
    }
    open_stream_at_once(&rig, &late, "/events", GENERATION "-6-0");
    fake_loop_settle(&rig.world);
    static const char *const ids[] = {"2-0", "3-0", "4-0", "6-0", "6-1", "6-2", "7-0"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_id(&live, ids[i], 1);
        assert_id(&late, ids[i], i > 3);
    }
    assert_times(&live, "event: expired\n", 2);
    assert_times(&live, "event: renewed\n", 0);
    assert_times(&late, "event: expired\n", 1);
    assert_times(&late, "event: released\n", 1);
    hang_up(&live);
    hang_up(&late);
    lock_table_observe(rig.replica.table, NULL, NULL);
    rig_close(&rig);
}

/* ---- what isn't in the log ---- */

static void refuse(struct rig *rig, const char *path)
{
    struct exchange exchange;
    struct grant_view holder = {.schedule_id = slice_of("a"), .holder = slice_of("other"), .remaining_ms = 9};
    struct outcome outcome = {.code = OUTCOME_LOCK_HELD, .holders = &holder, .n_holders = 1};
    rig_ask(rig, &exchange, "POST", path, ACQUIRE_BODY);
    fake_replica_decide(&rig->replica, OPERATION_APPLIED, &outcome);
    exchange_close(&exchange);
}

static void a_refusal_is_told_to_who_is_live(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange all;
    struct exchange some;
    struct exchange behind;
    rig_open(&rig, LIMIT_REQUESTS);
    granted(&rig, "a", 5);
    granted(&rig, "a", 6);
    open_stream_at_once(&rig, &all, "/events", NULL);
    open_stream_at_once(&rig, &some, "/events?schedule=b", NULL);
    fake_loop_settle(&rig.world);
    granted(&rig, "b", 7);
    refuse(&rig, "/locks/a");
    refuse(&rig, "/locks/b");
    fake_loop_settle(&rig.world);
    assert_times(&all, "event: refused\ndata: {", 2);
    assert_times(&all, "id: ", 1);
    assert_true(strstr((char *)all.streamed.base, "id: ") < strstr((char *)all.streamed.base, "refused"));
    assert_times(&some, "event: refused\n", 1);
    assert_times(&some, "schedule b skipped", 1);
    open_stream_at_once(&rig, &behind, "/events", GENERATION "-5-0"); /* it is no event of the log */
    fake_loop_settle(&rig.world);
    assert_times(&behind, "refused", 0);
    struct exchange asked;
    struct outcome outcome = outcome_granted();
    rig_ask_applied(&rig, &asked, (const char *const[]){"POST", "/locks/a", ACQUIRE_BODY}, &outcome);
    exchange_close(&asked);
    fake_loop_settle(&rig.world);
    assert_times(&all, "event: refused\n", 2);
    hang_up(&all);
    hang_up(&some);
    hang_up(&behind);
    refuse(&rig, "/locks/a"); /* nobody listens */
    rig_close(&rig);
}

static void another_leader_is_told_once(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    service_look_again(rig.service);
    open_stream_at_once(&rig, &exchange, "/events?schedule=a", NULL);
    service_look_again(rig.service);
    fake_loop_settle(&rig.world);
    assert_times(&exchange, "event: leader\n", 0);
    rig.replica.status.leader = NULL;
    service_look_again(rig.service);
    rig.replica.status.term = 4;
    service_look_again(rig.service);
    fake_loop_settle(&rig.world);
    assert_times(&exchange, "event: leader\n", 1);
    assert_times(&exchange, "\"leader\":null", 1);
    rig.replica.status.leader = "n3";
    service_look_again(rig.service);
    service_look_again(rig.service);
    rig.replica.status.term = 5; /* the same one, elected again */
    service_look_again(rig.service);
    fake_loop_settle(&rig.world);
    assert_times(&exchange, "event: leader\n", 3);
    assert_times(&exchange, "\"leader\":\"n3\",\"term\":5", 1);
    assert_times(&exchange, "id: ", 0);
    hang_up(&exchange);
    rig_close(&rig);
}

static void each_stream_hears_that_it_is_alive(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    open_stream_at_once(&rig, &exchange, "/events", NULL);
    fake_loop_pass(&rig.world, EVENT_COMMENT_MS - 1);
    assert_times(&exchange, ":\n\n", 1);
    fake_loop_pass(&rig.world, 1);
    assert_times(&exchange, ":\n\n", 2);
    fake_loop_pass(&rig.world, EVENT_COMMENT_MS);
    assert_times(&exchange, ":\n\n", 3);
    fake_loop_settle(&rig.world);
    hang_up(&exchange);
    fake_loop_pass(&rig.world, EVENT_COMMENT_MS);
    rig_close(&rig);
}

/* ---- speed ---- */

static void what_was_missed_comes_in_portions_as_it_is_taken(void **state)
{
    (void)state;
    const uint64_t n = 4000; /* about 1 MiB */
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    for (uint64_t index = 1; index <= n; index++) {
        granted(&rig, "a", index);
    }
    open_stream_at_once(&rig, &exchange, "/events", GENERATION "-1-0");
    size_t turns = 0;
    while (exchange_streamed_times(&exchange, "-4000-0\n") == 0) {
        size_t before = exchange.unsent;
        fake_loop_turn(&rig.world);
        assert_true(exchange.unsent - before < LIMIT_EVENT_PORTION_BYTES + 4096);
        assert_true(exchange.unsent < LIMIT_STREAM_BYTES && !exchange.is_cut);
        if (exchange.unsent == before) { /* it has as much as it may have, and nothing is posted */
            assert_true(exchange.unsent > LIMIT_STREAM_BYTES / 2);
            assert_null(rig.world.posts);
            fake_exchange_take(&exchange, LIMIT_STREAM_BYTES / 2);
        }
        turns++;
    }
    assert_true(turns > 10);
    assert_times(&exchange, "id: ", n - 1);
    fake_loop_settle(&rig.world);
    granted(&rig, "a", n + 1);
    fake_loop_settle(&rig.world);
    assert_id(&exchange, "4001-0", 1);
    hang_up(&exchange);
    rig_close(&rig);
}

static void who_reads_nothing_is_cut(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange stalled;
    struct exchange reading;
    uint64_t index = 1;
    rig_open(&rig, LIMIT_REQUESTS);
    open_stream_at_once(&rig, &stalled, "/events", NULL);
    open_stream_at_once(&rig, &reading, "/events", NULL);
    for (; !stalled.is_cut; index++) {
        granted(&rig, "a", index);
        fake_loop_settle(&rig.world);
        fake_exchange_take(&reading, LIMIT_STREAM_BYTES);
        assert_true(index < 10000);
    }
    assert_true(stalled.unsent > LIMIT_STREAM_BYTES - 4096);
    assert_false(reading.is_cut);
    granted(&rig, "a", index); /* nothing is written to it any more */
    fake_loop_settle(&rig.world);
    assert_int_equal(exchange_streamed_times(&reading, "id: "), index);
    hang_up(&stalled);
    hang_up(&reading);
    rig_close(&rig);
}

/* Thousands of locks end in one entry: that is more than anybody could have taken in this turn. */
static void a_burst_cuts_nobody_who_reads(void **state)
{
    (void)state;
    const uint32_t n = 6000;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    open_stream_at_once(&rig, &exchange, "/events", NULL);
    fake_loop_settle(&rig.world);
    for (uint32_t number = 0; number < n; number++) {
        struct event event = event_of(EVENT_EXPIRED, "a", 9, number);
        happens(&rig, &event);
    }
    while (exchange_streamed_times(&exchange, "-9-5999\n") == 0) {
        if (!fake_loop_turn(&rig.world) && exchange.unsent > LIMIT_STREAM_BYTES / 2) {
            fake_exchange_take(&exchange, 100000);
        }
        assert_false(exchange.is_cut);
    }
    assert_times(&exchange, "id: ", n);
    fake_loop_settle(&rig.world);
    hang_up(&exchange);
    rig_close(&rig);
}

static void who_is_overtaken_while_catching_up_is_closed(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    for (uint64_t index = 1; index <= 4000; index++) {
        granted(&rig, "a", index);
    }
    open_stream_at_once(&rig, &exchange, "/events", GENERATION "-1-0");
    fake_loop_settle(&rig.world);
    assert_true(exchange.unsent > LIMIT_STREAM_BYTES / 2);
    for (uint64_t index = 4001; index <= 4000 + LIMIT_EVENTS; index++) {
        granted(&rig, "a", index);
        if (index % 1000 == 0) {
            fake_loop_settle(&rig.world);
        }
    }
    fake_loop_settle(&rig.world);
    assert_true(exchange.is_ended && !exchange.is_cut);
    exchange.unsent = 0;
    exchange.stream.room(exchange.stream.arg);
    fake_loop_settle(&rig.world); /* nothing more is written */
    hang_up(&exchange);
    rig_close(&rig);
}

/* ---- bounds and ends ---- */

static void past_the_bound_of_readers_it_is_overloaded(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange *exchanges = calloc(LIMIT_EVENT_READERS, sizeof *exchanges);
    struct exchange late;
    assert_non_null(exchanges);
    rig_open(&rig, LIMIT_REQUESTS);
    for (size_t i = 0; i < LIMIT_EVENT_READERS; i++) {
        open_stream_at_once(&rig, &exchanges[i], "/events", NULL);
    }
    open_stream(&rig, &late, "/events", NULL);
    assert_int_equal(late.status, 503);
    assert_true(exchange_body_has(&late, "\"overloaded\""));
    exchange_close(&late);
    granted(&rig, "a", 5);
    fake_loop_settle(&rig.world);
    hang_up(&exchanges[0]);
    open_stream_at_once(&rig, &exchanges[0], "/events", NULL);
    granted(&rig, "a", 6);
    fake_loop_settle(&rig.world);
    for (size_t i = 0; i < LIMIT_EVENT_READERS; i++) {
        assert_id(&exchanges[i], "6-0", 1);
        hang_up(&exchanges[i]);
    }
    free(exchanges);
    rig_close(&rig);
}

/* So many read that each gets less in a turn, and nobody loses anything by it. */
static void a_crowd_of_readers_shares_a_turn(void **state)
{
    (void)state;
    enum { READERS = 200, EVENTS = 300 };
    struct rig rig;
    struct exchange exchanges[READERS];
    rig_open(&rig, LIMIT_REQUESTS);
    for (size_t i = 0; i < READERS; i++) {
        open_stream_at_once(&rig, &exchanges[i], "/events", NULL);
    }
    fake_loop_settle(&rig.world);
    for (uint64_t index = 1; index <= EVENTS; index++) {
        granted(&rig, "a", index);
    }
    size_t turns = 0;
    bool more = true;
    while (more) {
        size_t before = 0;
        size_t after = 0;
        for (size_t i = 0; i < READERS; i++) {
            before += exchanges[i].unsent;
        }
        more = fake_loop_turn(&rig.world);
        for (size_t i = 0; i < READERS; i++) {
            after += exchanges[i].unsent;
        }
        assert_true(after - before <= LIMIT_EVENT_TURN_BYTES + READERS * 4096);
        turns++;
    }
    assert_true(turns > 3);
    for (size_t i = 0; i < READERS; i++) {
        assert_times(&exchanges[i], "id: ", EVENTS);
        hang_up(&exchanges[i]);
    }
    rig_close(&rig);
}

static void refusals_past_the_portion_of_a_turn_are_left_out(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    open_stream_at_once(&rig, &exchange, "/events", NULL);
    fake_loop_settle(&rig.world);
    size_t before = exchange.unsent;
    for (size_t i = 0; i < 2000; i++) {
        refuse(&rig, "/locks/a");
    }
    fake_loop_settle(&rig.world);
    size_t told = exchange_streamed_times(&exchange, "event: refused\n");
    assert_true(told > 100 && told < 2000);
    assert_true(exchange.unsent - before <= LIMIT_EVENT_PORTION_BYTES + 4096);
    refuse(&rig, "/locks/a");
    fake_loop_settle(&rig.world);
    assert_times(&exchange, "event: refused\n", told + 1);
    hang_up(&exchange);
    rig_close(&rig);
}

static void who_cannot_be_served_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    rig_open(&rig, LIMIT_REQUESTS);
    rig.storage.identity.initialised = false; /* the cluster isn't founded */
    open_stream(&rig, &exchange, "/events", NULL);
    assert_int_equal(exchange.status, 503);
    assert_true(exchange_body_has(&exchange, "\"not_ready\""));
    exchange_close(&exchange);
    rig.storage.identity.initialised = true;
    struct lock_table *table = rig.replica.table;
    rig.replica.table = NULL;
    open_stream(&rig, &exchange, "/events", NULL);
    assert_int_equal(exchange.status, 503);
    exchange_close(&exchange);
    rig.replica.table = table;
    exchange_open(&exchange, "HEAD", "/events", "");
    service_request(rig.service, &exchange);
    assert_int_equal(exchange.status, 200);
    assert_true(exchange_has_header(&exchange, "Content-Type: text/event-stream\n"));
    assert_false(exchange.is_stream);
    exchange_close(&exchange);
    rig_close(&rig);
}

static void a_stopping_service_ends_its_streams(void **state)
{
    (void)state;
    struct rig rig;
    struct exchange exchange;
    struct exchange late;
    rig_open(&rig, LIMIT_REQUESTS);
    open_stream_at_once(&rig, &exchange, "/events", NULL);
    granted(&rig, "a", 5);
    fake_loop_settle(&rig.world);
    service_stop(rig.service);
    assert_true(exchange.is_ended);
    granted(&rig, "a", 6); /* the log goes on while the replica closes */
    fake_loop_settle(&rig.world);
    assert_id(&exchange, "6-0", 0);
    open_stream(&rig, &late, "/events", NULL);
    assert_int_equal(late.status, 503);
    exchange_close(&late);
    fake_loop_pass(&rig.world, EVENT_COMMENT_MS);
    hang_up(&exchange);
    service_detach(rig.service);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_gets_a_comment_and_then_what_happens),
        cmocka_unit_test(who_comes_in_the_middle_of_a_turn_gets_nothing_twice),
        cmocka_unit_test(who_comes_back_gets_what_it_missed),
        cmocka_unit_test(who_asks_for_what_is_gone_is_told_to_begin_anew),
        cmocka_unit_test(an_id_that_is_still_to_come_is_waited_for),
        cmocka_unit_test(a_snapshot_that_is_installed_resets_every_reader),
        cmocka_unit_test(filters_are_by_schedule_prefix_and_renewals),
        cmocka_unit_test(what_the_table_tells_is_numbered_in_each_entry),
        cmocka_unit_test(a_refusal_is_told_to_who_is_live),
        cmocka_unit_test(another_leader_is_told_once),
        cmocka_unit_test(each_stream_hears_that_it_is_alive),
        cmocka_unit_test(what_was_missed_comes_in_portions_as_it_is_taken),
        cmocka_unit_test(who_reads_nothing_is_cut),
        cmocka_unit_test(a_burst_cuts_nobody_who_reads),
        cmocka_unit_test(who_is_overtaken_while_catching_up_is_closed),
        cmocka_unit_test(past_the_bound_of_readers_it_is_overloaded),
        cmocka_unit_test(a_crowd_of_readers_shares_a_turn),
        cmocka_unit_test(refusals_past_the_portion_of_a_turn_are_left_out),
        cmocka_unit_test(who_cannot_be_served_is_refused),
        cmocka_unit_test(a_stopping_service_ends_its_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
