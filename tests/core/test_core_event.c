/* What is told, in which order, and what isn't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

/* Each event as a line: its kind, what it is about, and what else matters of it. */
struct ear {
    struct fixture f;
    char text[4096];
    uint64_t index; /* of the last event, and so below */
    uint32_t next_number;
};

static void hear_line(struct ear *ear, const char *line)
{
    size_t len = strlen(ear->text);
    (void)snprintf(ear->text + len, sizeof ear->text - len, "%s\n", line);
}

static void write_run(char line[200], const char *kind, const struct run_view *run)
{
    (void)snprintf(line, 200, "%s %.*s %llu %s%s%s%s%s", kind, SLICE_PRINT(run->schedule_id),
                   (unsigned long long)run->token, run_outcome_name(run->outcome),
                   run->late_outcome == RUN_OUTCOME_NONE ? "" : " late ",
                   run->late_outcome == RUN_OUTCOME_NONE ? "" : run_outcome_name((enum run_outcome)run->late_outcome),
                   run->is_newly_revoked ? " revoked-now" : "", run->is_newly_freed ? " freed-now" : "");
}

static void write_event(char line[200], const struct event *event)
{
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        (void)snprintf(line, 200, "%s %.*s %llu %.*s", event->kind == EVENT_GRANTED ? "granted" : "renewed",
                       SLICE_PRINT(event->grant.schedule_id), (unsigned long long)event->grant.token,
                       SLICE_PRINT(event->grant.holder));
        expect_text(event->grant.metadata, NULL);
        break;
    case EVENT_RELEASED:
        write_run(line, "released", &event->run);
        break;
    case EVENT_EXPIRED:
        write_run(line, "expired", &event->run);
        break;
    case EVENT_REVOKED:
        write_run(line, "revoked", &event->run);
        break;
    case EVENT_POLICY:
        (void)snprintf(line, 200, "policy %.*s%s", SLICE_PRINT(event->policy.schedule_id),
                       event->is_gone ? " gone" : "");
        break;
    case EVENT_GROUP:
        (void)snprintf(line, 200, "group %.*s %u%s", SLICE_PRINT(event->of_group.name), event->of_group.slots,
                       event->is_gone ? " gone" : "");
        break;
    case EVENT_FREEZE:
        (void)snprintf(line, 200, "freeze %.*s %llu%s", SLICE_PRINT(event->freeze.scope),
                       (unsigned long long)event->freeze.remaining_ms, event->is_gone ? " gone" : "");
        break;
    }
    if (slice_is_present(event->group)) {
        size_t len = strlen(line);
        (void)snprintf(line + len, 200 - len, " of %.*s", SLICE_PRINT(event->group));
    }
}

static void hear(void *arg, const struct event *event)
{
    struct ear *ear = arg;
    char line[200] = "";
    bool is_first = event->index != ear->index;
    assert_int_equal(event->number, is_first ? 0 : ear->next_number);
    ear->index = event->index;
    ear->next_number = event->number + 1;
    write_event(line, event);
    hear_line(ear, line);
}

static void ear_open(struct ear *ear)
{
    memset(ear, 0, sizeof *ear);
    fixture_open_newest(&ear->f);
    lock_table_observe(ear->f.table, hear, ear);
}

static void expect_heard(struct ear *ear, const char *text)
{
    assert_string_equal(ear->text, text);
    assert_int_equal(text[0] == 0 || ear->index == ear->f.context.index, true);
    ear->text[0] = 0;
}

static uint64_t grant(struct ear *ear, const char *id, const char *holder, uint64_t ttl_ms)
{
    return fixture_grant(&ear->f, (struct ask){.id = id, .holder = holder, .metadata = "{}", .ttl_ms = ttl_ms});
}

static void each_thing_that_happens_is_told_once(void **state)
{
    (void)state;
    static struct ear ear;
    ear_open(&ear);
    struct fixture *f = &ear.f;
    expect_code(fixture_put_group(f, "g", 5), OUTCOME_DONE);
    expect_heard(&ear, "group g 5\n");
    fixture_join(f, "a", "g", 2);
    expect_heard(&ear, "policy a\n");
    uint64_t token = grant(&ear, "a", "h", MINUTE_MS);
    assert_int_equal(token, 1);
    expect_heard(&ear, "granted a 1 h of g\n");
    expect_code(fixture_renew(f, "a", token, 0), OUTCOME_DONE);
    expect_heard(&ear, "renewed a 1 h of g\n");
    expect_code(fixture_release(f, "a", token, RUN_FAILED), OUTCOME_DONE);
    expect_heard(&ear, "released a 1 failed of g\n");
    (void)grant(&ear, "b", "h", MINUTE_MS);
    expect_heard(&ear, "granted b 2 h\n");
    expect_code(fixture_put_freeze(f, "*", 1000), OUTCOME_DONE);
    expect_heard(&ear, "freeze * 1000\n");
    f->now_ms += 300;
    expect_code(fixture_delete_freeze(f, "*"), OUTCOME_DONE);
    expect_heard(&ear, "freeze * 700 gone\n");
    expect_code(fixture_delete(f, "a"), OUTCOME_DONE);
    expect_heard(&ear, "policy a gone\n");
    expect_code(fixture_delete_group(f, "g"), OUTCOME_DONE);
    expect_heard(&ear, "group g 5 gone\n");
    f->now_ms += MINUTE_MS;
    fixture_tick(f);
    expect_heard(&ear, "expired b 2 expired\n");
    fixture_close(f);
}

static void refusals_and_repeats_tell_nothing(void **state)
{
    (void)state;
    static struct ear ear;
    ear_open(&ear);
    struct fixture *f = &ear.f;
    const struct ask asked = {.key = "k", .occurrence = "o", .ttl_ms = MINUTE_MS};
    uint64_t token = fixture_grant(f, asked);
    expect_heard(&ear, "granted job 1 h1\n");
    expect_code(fixture_acquire(f, asked), OUTCOME_DONE);
    expect_code(fixture_try(f, NULL), OUTCOME_LOCK_HELD);
    expect_code(fixture_renew(f, "job", token, 1), OUTCOME_TTL_TOO_SHORT);
    expect_code(fixture_delete(f, "job"), OUTCOME_NOT_FOUND);
    expect_code(fixture_delete_group(f, "g"), OUTCOME_NOT_FOUND);
    expect_code(fixture_delete_freeze(f, "*"), OUTCOME_NOT_FOUND);
    expect_code(fixture_put_freeze(f, "", 1), OUTCOME_INVALID_FIELD);
    expect_heard(&ear, "");
    expect_code(fixture_release(f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_heard(&ear, "released job 1 succeeded\n");
    expect_code(fixture_release(f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_renew(f, "job", token, 0), OUTCOME_LOCK_LOST);
    expect_code(fixture_acquire(f, asked), OUTCOME_GRANT_ENDED);
    f->now_ms += LIMIT_FORGET_MS;
    fixture_tick(f); /* nor does forgetting */
    assert_int_equal(fixture_count(f).schedules, 0);
    expect_heard(&ear, "");
    fixture_close(f);
}

static void a_revocation_is_told_as_what_it_does(void **state)
{
    (void)state;
    static struct ear ear;
    ear_open(&ear);
    struct fixture *f = &ear.f;
    expect_code(fixture_put_group(f, "g", 9), OUTCOME_DONE);
    fixture_join(f, "a", "g", 9);
    for (int i = 0; i < 4; i++) {
        char holder[16];
        (void)snprintf(holder, sizeof holder, "h%d", i);
        (void)grant(&ear, "a", holder, MINUTE_MS);
    }
    ear.text[0] = 0;
    expect_code(fixture_revoke(f, (struct revoke_ask){.id = "a", .token = 2}), OUTCOME_DONE);
    expect_heard(&ear, "revoked a 2 revoked revoked-now of g\n");
    expect_code(fixture_revoke(f, (struct revoke_ask){.id = "a", .token = 2}), OUTCOME_DONE);
    expect_heard(&ear, "");
    expect_code(fixture_revoke(f, (struct revoke_ask){.id = "a"}), OUTCOME_DONE);
    expect_heard(&ear, "revoked a 1 revoked revoked-now of g\nrevoked a 3 revoked revoked-now of g\n"
                       "revoked a 4 revoked revoked-now of g\n");
    expect_code(fixture_release(f, "a", 3, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_heard(&ear, "released a 3 revoked late succeeded of g\n");
    expect_code(fixture_revoke(f, (struct revoke_ask){.id = "a", .token = 4, .force = true}), OUTCOME_DONE);
    expect_heard(&ear, "revoked a 4 revoked freed-now of g\n");
    f->now_ms += MINUTE_MS;
    fixture_tick(f);
    expect_heard(&ear, "expired a 1 revoked of g\nexpired a 2 revoked of g\n");
    (void)grant(&ear, "a", "h", MINUTE_MS);
    ear.text[0] = 0;
    expect_code(fixture_revoke(f, (struct revoke_ask){.id = "a", .force = true}), OUTCOME_DONE);
    expect_heard(&ear, "revoked a 5 revoked revoked-now freed-now of g\n");
    fixture_close(f);
}

static void a_late_report_is_told_when_it_counts(void **state)
{
    (void)state;
    static struct ear ear;
    ear_open(&ear);
    struct fixture *f = &ear.f;
    uint64_t token = fixture_expire(f, "o");
    fixture_tick(f);
    ear.text[0] = 0;
    expect_code(fixture_release(f, "job", token, RUN_FAILED), OUTCOME_LOCK_LOST);
    expect_heard(&ear, "");
    expect_code(fixture_release(f, "job", token, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    expect_heard(&ear, "released job 1 expired late succeeded\n");
    expect_code(fixture_release(f, "job", token, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    expect_heard(&ear, "");
    fixture_close(f);
}

/* Ends go before commands; locks by deadline and then by token, over all schedules; then freezes, by deadline and then by
 * scope. */
static void an_entry_tells_in_one_order(void **state)
{
    (void)state;
    static struct ear ear;
    ear_open(&ear);
    struct fixture *f = &ear.f;
    expect_code(fixture_put_freeze(f, "z", 1000), OUTCOME_DONE);
    expect_code(fixture_put_freeze(f, "y*", 1000), OUTCOME_DONE);
    expect_code(fixture_put_freeze(f, "x", 500), OUTCOME_DONE);
    fixture_join(f, "a", NULL, 3);
    fixture_join(f, "b", NULL, 3);
    (void)grant(&ear, "a", "h1", 2 * MINUTE_MS);
    (void)grant(&ear, "b", "h1", MINUTE_MS);
    (void)grant(&ear, "a", "h2", MINUTE_MS);
    (void)grant(&ear, "b", "h2", MINUTE_MS);
    (void)grant(&ear, "b", "h3", 2 * MINUTE_MS + 1);
    ear.text[0] = 0;
    f->now_ms += 3 * MINUTE_MS;
    (void)grant(&ear, "a", "h1", MINUTE_MS);
    expect_heard(&ear, "expired b 2 expired\nexpired a 3 expired\nexpired b 4 expired\nexpired a 1 expired\n"
                       "expired b 5 expired\nfreeze x 0 gone\nfreeze y* 0 gone\nfreeze z 0 gone\ngranted a 6 h1\n");
    fixture_close(f);
}

static void a_batch_tells_what_it_renewed(void **state)
{
    (void)state;
    static struct ear ear;
    ear_open(&ear);
    struct fixture *f = &ear.f;
    for (int i = 0; i < 3; i++) {
        (void)grant(&ear, i == 0 ? "a" : i == 1 ? "b" : "c", "h", MINUTE_MS);
    }
    ear.text[0] = 0;
    const struct renew_command renewals[] = {{.schedule_id = slice_of("c"), .token = 3},
                                             {.schedule_id = slice_of("b"), .token = 9},
                                             {.schedule_id = slice_of("a"), .token = 1}};
    const struct command command = {.kind = COMMAND_RENEW_BATCH,
                                    .renew_batch = {.renewals = renewals, .n_renewals = 3}};
    expect_code(fixture_apply(f, &command), OUTCOME_DONE);
    expect_heard(&ear, "renewed c 3 h\nrenewed a 1 h\n");
    fixture_close(f);
}

/* Numbers are those of the entry's events, whoever listened since when. */
static void numbers_count_what_nobody_heard(void **state)
{
    (void)state;
    static struct ear ear;
    ear_open(&ear);
    struct fixture *f = &ear.f;
    lock_table_observe(f->table, NULL, NULL);
    struct command command = {.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("g"), .slots = 1}};
    f->context.index++;
    lock_table_advance(f->table, &f->context);
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
    ear.index = f->context.index;
    ear.next_number = 1;
    lock_table_observe(f->table, hear, &ear);
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
    expect_heard(&ear, "group g 1\n");
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_thing_that_happens_is_told_once), cmocka_unit_test(refusals_and_repeats_tell_nothing),
        cmocka_unit_test(a_revocation_is_told_as_what_it_does), cmocka_unit_test(a_late_report_is_told_when_it_counts),
        cmocka_unit_test(an_entry_tells_in_one_order),          cmocka_unit_test(a_batch_tells_what_it_renewed),
        cmocka_unit_test(numbers_count_what_nobody_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
