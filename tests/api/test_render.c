/* Every answer that this room can give, to the byte: the contract in golden texts. */
#include <string.h>

#include "support.h"

#define WALL_MS 1767323045678 /* 2026-01-02T03:04:05.678Z */

static const struct api_request acquire_request = {
    .route = API_ACQUIRE,
    .schedule_id = {(const uint8_t *)"db.backup", 9},
    .command = {.kind = COMMAND_ACQUIRE,
                .acquire = {.schedule_id = {(const uint8_t *)"db.backup", 9},
                            .holder = {(const uint8_t *)"n2", 2},
                            .idempotency_key = {(const uint8_t *)"key-1", 5}}},
};

static struct grant_view full_grant(void)
{
    return (struct grant_view){.schedule_id = slice_of("db.backup"),
                               .holder = slice_of("n1"),
                               .occurrence = slice_of("2026-01-02T03:00:00Z"),
                               .metadata = slice_of("{\"pid\":4711}"),
                               .token = 9007199254740991,
                               .ttl_ms = 60000,
                               .remaining_ms = 59999,
                               .acquired_wall_ms = WALL_MS,
                               .expires_wall_ms = WALL_MS + 59999,
                               .attempt = 2};
}

#define FULL_LOCK                                                                                                      \
    "{\"schedule_id\":\"db.backup\",\"holder\":\"n1\",\"token\":9007199254740991,\"ttl_ms\":60000,"                    \
    "\"remaining_ms\":59999,\"acquired_at\":\"2026-01-02T03:04:05.678Z\",\"expires_at\":\"2026-01-02T03:05:05.677Z\"," \
    "\"occurrence\":\"2026-01-02T03:00:00Z\",\"attempt\":2,\"metadata\":{\"pid\":4711}}"

static struct run_view full_run(void)
{
    return (struct run_view){.schedule_id = slice_of("db.backup"),
                             .holder = slice_of("n1"),
                             .occurrence = slice_of("o"),
                             .actor = slice_of("kim"),
                             .reason = slice_of("gr\xc3\xbc\xc3\x9f"),
                             .token = 7,
                             .duration_ms = 1500,
                             .acquired_wall_ms = WALL_MS,
                             .ended_wall_ms = WALL_MS + 1500,
                             .outcome = RUN_REVOKED,
                             .late_outcome = RUN_SUCCEEDED,
                             .attempt = 1};
}

#define FULL_RUN                                                                                                       \
    "{\"token\":7,\"holder\":\"n1\",\"occurrence\":\"o\",\"attempt\":1,\"outcome\":\"revoked\","                       \
    "\"late_outcome\":\"succeeded\",\"acquired_at\":\"2026-01-02T03:04:05.678Z\","                                     \
    "\"ended_at\":\"2026-01-02T03:04:07.178Z\",\"duration_ms\":1500,\"actor\":\"kim\",\"reason\":"                     \
    "\"gr\xc3\xbc\xc3\x9f\"}"

static void assert_answer(const struct api_answer *answer, unsigned status, const char *type, const char *body)
{
    assert_slice(buffer_slice(&answer->body), body);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->content_type, type);
    assert_null(answer->allow);
}

static void assert_outcome(const struct api_request *request, const struct outcome *outcome, unsigned status,
                           const char *body)
{
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_outcome(request, outcome, &answer);
    assert_answer(&answer, status, status < 300 ? "application/json" : "application/problem+json", body);
    if (status >= 300) {
        assert_int_equal(answer.retry_after_s > 0,
                         outcome->code == OUTCOME_COOLING_DOWN || outcome->code == OUTCOME_FROZEN);
    }
    api_answer_close(&answer);
}

static void a_grant_is_201_with_the_lock_and_its_key(void **state)
{
    (void)state;
    const struct outcome outcome = {.code = OUTCOME_DONE, .has_grant = true, .grant = full_grant()};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_outcome(&acquire_request, &outcome, &answer);
    assert_answer(&answer, 201, "application/json", FULL_LOCK);
    assert_slice(answer.idempotency_key, "key-1");
    assert_int_equal(answer.retry_after_s, 0);
    api_answer_close(&answer);
}

static void a_lock_without_extras_has_nulls(void **state)
{
    (void)state;
    struct outcome outcome = {.code = OUTCOME_DONE, .has_grant = true, .grant = full_grant()};
    outcome.grant.occurrence = (struct slice){0};
    outcome.grant.metadata = (struct slice){0};
    outcome.grant.attempt = 0;
    outcome.grant.token = 1;
    const struct api_request renew = {.route = API_RENEW, .command = {.kind = COMMAND_RENEW}};
    assert_outcome(
        &renew, &outcome, 200,
        "{\"schedule_id\":\"db.backup\",\"holder\":\"n1\",\"token\":1,\"ttl_ms\":60000,\"remaining_ms\":59999,"
        "\"acquired_at\":\"2026-01-02T03:04:05.678Z\",\"expires_at\":\"2026-01-02T03:05:05.677Z\","
        "\"occurrence\":null,\"attempt\":null,\"metadata\":null}");
}

static void a_release_is_200_with_the_run(void **state)
{
    (void)state;
    const struct outcome outcome = {.code = OUTCOME_DONE, .has_run = true, .run = full_run()};
    const struct api_request release = {.route = API_RELEASE, .command = {.kind = COMMAND_RELEASE}};
    assert_outcome(&release, &outcome, 200, FULL_RUN);
}

static void a_held_lock_names_its_holders(void **state)
{
    (void)state;
    struct grant_view holders[] = {full_grant(), full_grant()};
    holders[1].holder = slice_of("n3");
    const struct outcome outcome = {.code = OUTCOME_LOCK_HELD, .holders = holders, .n_holders = 2};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_outcome(&acquire_request, &outcome, &answer);
    const char expected[] =
        "{\"type\":\"urn:baton:problem:lock_held\",\"title\":\"The lock is "
        "held\",\"status\":409,\"code\":\"lock_held\","
        "\"detail\":\"schedule db.backup skipped \xe2\x80\x94 lock held by peer n1\",\"holder\":\"n1\","
        "\"token\":9007199254740991,\"remaining_ms\":59999,\"acquired_at\":\"2026-01-02T03:04:05.678Z\","
        "\"holders\":[" FULL_LOCK ",{\"schedule_id\":\"db.backup\",\"holder\":\"n3\"";
    assert_memory_equal(answer.body.base, expected, sizeof expected - 1);
    assert_problem(&answer, 409, "lock_held", NULL);
    api_answer_close(&answer);
}

static void refusals_with_a_run_show_it_or_null(void **state)
{
    (void)state;
    struct outcome outcome = {.code = OUTCOME_OCCURRENCE_DONE, .has_run = true, .run = full_run()};
    assert_outcome(
        &acquire_request, &outcome, 409,
        "{\"type\":\"urn:baton:problem:occurrence_done\",\"title\":\"This occurrence has run\",\"status\":409,"
        "\"code\":\"occurrence_done\",\"detail\":\"This occurrence has already run to success. There is nothing "
        "left to do for it.\",\"run\":" FULL_RUN "}");
    outcome.has_run = false;
    outcome.code = OUTCOME_GRANT_ENDED;
    assert_outcome(
        &acquire_request, &outcome, 409,
        "{\"type\":\"urn:baton:problem:grant_ended\",\"title\":\"The grant of this Idempotency-Key is over\","
        "\"status\":409,\"code\":\"grant_ended\",\"detail\":\"The grant that this Idempotency-Key belongs to is "
        "over. Use a new key to ask for another one.\",\"run\":null}");
    outcome.has_run = true;
    outcome.run.outcome = RUN_RUNNING;
    outcome.run.late_outcome = RUN_OUTCOME_NONE;
    outcome.run.attempt = 0;
    outcome.run.occurrence = outcome.run.actor = outcome.run.reason = (struct slice){0};
    outcome.code = OUTCOME_ATTEMPTS_EXHAUSTED;
    assert_outcome(
        &acquire_request, &outcome, 409,
        "{\"type\":\"urn:baton:problem:attempts_exhausted\",\"title\":\"This occurrence was tried often "
        "enough\",\"status\":409,\"code\":\"attempts_exhausted\",\"detail\":\"This occurrence was tried as often "
        "as the schedule allows. Look at the run to see why it didn't succeed.\",\"run\":{\"token\":7,"
        "\"holder\":\"n1\",\"occurrence\":null,\"attempt\":null,\"outcome\":\"running\",\"late_outcome\":null,"
        "\"acquired_at\":\"2026-01-02T03:04:05.678Z\",\"ended_at\":null,\"duration_ms\":null,\"actor\":null,"
        "\"reason\":null}}");
}

static void a_lost_lock_names_the_run_and_who_has_it(void **state)
{
    (void)state;
    const struct grant_view holder = full_grant();
    struct outcome outcome = {
        .code = OUTCOME_LOCK_LOST, .has_run = true, .run = full_run(), .holders = &holder, .n_holders = 1};
    assert_outcome(
        &acquire_request, &outcome, 409,
        "{\"type\":\"urn:baton:problem:lock_lost\",\"title\":\"The lock is no longer held with this token\","
        "\"status\":409,\"code\":\"lock_lost\",\"detail\":\"The lock is no longer held with this token. Stop the "
        "job, or acquire the lock again before it goes on.\",\"run\":" FULL_RUN ",\"holder\":\"n1\"}");
    outcome = (struct outcome){.code = OUTCOME_LOCK_LOST};
    assert_outcome(
        &acquire_request, &outcome, 409,
        "{\"type\":\"urn:baton:problem:lock_lost\",\"title\":\"The lock is no longer held with this token\","
        "\"status\":409,\"code\":\"lock_lost\",\"detail\":\"The lock is no longer held with this token. Stop the "
        "job, or acquire the lock again before it goes on.\",\"run\":null,\"holder\":null}");
}

static void ttl_refusals_say_the_bound(void **state)
{
    (void)state;
    const struct outcome too_short = {
        .code = OUTCOME_TTL_TOO_SHORT, .minimum_ms = 90000, .estimate_ms = 60000, .margin_ms = 30000};
    assert_outcome(
        &acquire_request, &too_short, 422,
        "{\"type\":\"urn:baton:problem:ttl_too_short\",\"title\":\"The TTL is too short for the job\","
        "\"status\":422,\"code\":\"ttl_too_short\",\"detail\":\"The TTL must cover the estimated duration and the "
        "safety margin. Send ttl_ms of at least minimum_ms.\",\"minimum_ms\":90000,"
        "\"estimated_duration_ms\":60000,\"safety_margin_ms\":30000}");
    const struct outcome too_long = {.code = OUTCOME_TTL_TOO_LONG, .maximum_ms = 604800000};
    assert_outcome(&acquire_request, &too_long, 422,
                   "{\"type\":\"urn:baton:problem:ttl_too_long\",\"title\":\"The TTL is too long\",\"status\":422,"
                   "\"code\":\"ttl_too_long\",\"detail\":\"The TTL is longer than allowed. Send ttl_ms of at most "
                   "maximum_ms.\",\"maximum_ms\":604800000}");
}

static void the_other_refusals(void **state)
{
    (void)state;
    const struct outcome field = {.code = OUTCOME_INVALID_FIELD, .field = "outcome"};
    assert_outcome(
        &acquire_request, &field, 400,
        "{\"type\":\"urn:baton:problem:invalid_field\",\"title\":\"A field has an invalid value\",\"status\":400,"
        "\"code\":\"invalid_field\",\"detail\":\"The field is missing, or has a value that isn't allowed here. "
        "Send it as the API's description says.\",\"field\":\"outcome\"}");
    const struct outcome conflict = {.code = OUTCOME_IDEMPOTENCY_CONFLICT};
    assert_outcome(
        &acquire_request, &conflict, 409,
        "{\"type\":\"urn:baton:problem:idempotency_conflict\",\"title\":\"The Idempotency-Key was used for "
        "something else\",\"status\":409,\"code\":\"idempotency_conflict\",\"detail\":\"The Idempotency-Key was "
        "used with another holder, TTL, estimate, occurrence or metadata. Use a new key for a new request, and "
        "send a repeat unchanged.\"}");
    const struct outcome capacity = {.code = OUTCOME_CAPACITY};
    assert_outcome(
        &acquire_request, &capacity, 507,
        "{\"type\":\"urn:baton:problem:capacity\",\"title\":\"A limit of the cluster is reached\",\"status\":507,"
        "\"code\":\"capacity\",\"detail\":\"A documented limit is reached and nothing was changed. Release or "
        "delete what isn't needed.\"}");
}

static void retry_after_is_rounded_up(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        unsigned s;
    } cases[] = {{0, 1}, {1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {59999, 60}, {UINT64_MAX, 604800}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct outcome outcome = {.code = i % 2 ? OUTCOME_COOLING_DOWN : OUTCOME_FROZEN,
                                        .remaining_ms = cases[i].ms};
        struct api_answer answer;
        api_answer_init(&answer);
        api_render_outcome(&acquire_request, &outcome, &answer);
        assert_int_equal(answer.retry_after_s, cases[i].s);
        api_answer_close(&answer);
    }
}

/* Whatever core refuses with has a row, a status and a whole problem. */
static void every_outcome_code_can_be_rendered(void **state)
{
    (void)state;
#define X(name, text) OUTCOME_##name,
    static const enum outcome_code codes[] = {OUTCOME_TABLE(X)};
#undef X
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == OUTCOME_DONE) {
            continue;
        }
        const struct outcome outcome = {.code = codes[i]};
        struct api_answer answer;
        api_answer_init(&answer);
        api_render_outcome(&acquire_request, &outcome, &answer);
        answer.retry_after_s = 0; /* assert_problem expects it of 503 only */
        assert_problem(&answer, answer.status, outcome_code_name(codes[i]), NULL);
        api_answer_close(&answer);
        struct buffer sentence;
        buffer_init(&sentence);
        api_render_skipped(slice_of("a"), &outcome, &sentence);
        assert_memory_equal(sentence.base, "schedule a skipped \xe2\x80\x94 ", 23);
        assert_true(sentence.len > 23);
        buffer_close(&sentence);
    }
}

static void every_code_of_the_table_can_be_answered(void **state)
{
    (void)state;
    for (int code = API_MALFORMED_JSON; code <= API_INTERNAL; code++) {
        size_t n;
        const struct api_code_row *row = &api_code_rows(&n)[code];
        struct api_answer answer;
        api_answer_init(&answer);
        api_render_problem((enum api_code)code, "some.field", "Do something else.", &answer);
        assert_problem(&answer, row->status, row->code, "some.field");
        api_render_problem((enum api_code)code, NULL, "100%s sure.", &answer); /* an answer can be replaced */
        assert_problem(&answer, row->status, row->code, NULL);
        api_answer_close(&answer);
    }
}

static void an_unknown_outcome_carries_the_key(void **state)
{
    (void)state;
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_unknown(slice_of("key-1"), &answer);
    assert_answer(
        &answer, 504, "application/problem+json",
        "{\"type\":\"urn:baton:problem:outcome_unknown\",\"title\":\"It is not known whether this took effect\","
        "\"status\":504,\"code\":\"outcome_unknown\",\"detail\":\"The request may or may not take effect. Send it "
        "again with the same Idempotency-Key.\",\"idempotency_key\":\"key-1\"}");
    assert_slice(answer.idempotency_key, "key-1");
    api_render_unknown((struct slice){0}, &answer);
    assert_slice(answer.idempotency_key, NULL);
    assert_problem(&answer, 504, "outcome_unknown", NULL);
    api_answer_close(&answer);
}

static void the_sentence_of_a_skipped_schedule(void **state)
{
    (void)state;
    const struct grant_view holder = full_grant();
    const struct outcome held = {.code = OUTCOME_LOCK_HELD, .holders = &holder, .n_holders = 1};
    struct buffer sentence;
    buffer_init(&sentence);
    api_render_skipped(slice_of("db.backup"), &held, &sentence);
    assert_slice(buffer_slice(&sentence), "schedule db.backup skipped \xe2\x80\x94 lock held by peer n1");
    buffer_clear(&sentence);
    const struct outcome done = {.code = OUTCOME_OCCURRENCE_DONE};
    api_render_skipped(slice_of("a"), &done, &sentence);
    assert_slice(buffer_slice(&sentence), "schedule a skipped \xe2\x80\x94 this occurrence has already run to success");
    buffer_close(&sentence);
}

static void a_status_shows_holders_and_the_last_run(void **state)
{
    (void)state;
    const struct grant_view holder = full_grant();
    struct schedule_view view = {
        .holders = &holder, .n_holders = 1, .frozen = true, .has_last_run = true, .last_run = full_run()};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_status(slice_of("db.backup"), &view, &answer);
    assert_answer(&answer, 200, "application/json",
                  "{\"schedule_id\":\"db.backup\",\"held\":true,\"holders\":[" FULL_LOCK
                  "],\"waiting\":0,\"frozen\":true,"
                  "\"last_run\":" FULL_RUN "}");
    view = (struct schedule_view){0};
    api_render_status(slice_of("new"), &view, &answer);
    assert_answer(
        &answer, 200, "application/json",
        "{\"schedule_id\":\"new\",\"held\":false,\"holders\":[],\"waiting\":0,\"frozen\":false,\"last_run\":null}");
    api_answer_close(&answer);
}

static void health_is_200_or_503(void **state)
{
    (void)state;
    static const char *const members[] = {"n1", "n2", "n3"};
    static const char *const reasons[] = {"no leader is known"};
    struct api_health health = {.serving = true,
                                .status = "ok",
                                .node = "n1",
                                .role = "leader",
                                .leader = "n1",
                                .term = 4,
                                .commit_index = 10,
                                .applied_index = 9,
                                .members = members,
                                .n_members = 3,
                                .version = "0.0.1",
                                .uptime_ms = 1234};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_health(&health, &answer);
    assert_answer(
        &answer, 200, "application/json",
        "{\"status\":\"ok\",\"node\":\"n1\",\"role\":\"leader\",\"leader\":\"n1\",\"term\":4,\"commit_index\":10,"
        "\"applied_index\":9,\"members\":[\"n1\",\"n2\",\"n3\"],\"version\":\"0.0.1\",\"uptime_ms\":1234,"
        "\"reasons\":[]}");
    assert_int_equal(answer.retry_after_s, 0);
    health.serving = false;
    health.status = "unavailable";
    health.leader = NULL;
    health.reasons = reasons;
    health.n_reasons = 1;
    health.n_members = 0;
    api_render_health(&health, &answer);
    assert_answer(&answer, 503, "application/json",
                  "{\"status\":\"unavailable\",\"node\":\"n1\",\"role\":\"leader\",\"leader\":null,\"term\":4,"
                  "\"commit_index\":10,\"applied_index\":9,\"members\":[],\"version\":\"0.0.1\",\"uptime_ms\":1234,"
                  "\"reasons\":[\"no leader is known\"]}");
    assert_int_equal(answer.retry_after_s, 1);
    api_render_live(&answer);
    assert_slice(buffer_slice(&answer.body), "{\"status\":\"ok\"}");
    api_answer_close(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_is_201_with_the_lock_and_its_key),
        cmocka_unit_test(a_lock_without_extras_has_nulls),
        cmocka_unit_test(a_release_is_200_with_the_run),
        cmocka_unit_test(a_held_lock_names_its_holders),
        cmocka_unit_test(refusals_with_a_run_show_it_or_null),
        cmocka_unit_test(a_lost_lock_names_the_run_and_who_has_it),
        cmocka_unit_test(ttl_refusals_say_the_bound),
        cmocka_unit_test(the_other_refusals),
        cmocka_unit_test(retry_after_is_rounded_up),
        cmocka_unit_test(every_outcome_code_can_be_rendered),
        cmocka_unit_test(every_code_of_the_table_can_be_answered),
        cmocka_unit_test(an_unknown_outcome_carries_the_key),
        cmocka_unit_test(the_sentence_of_a_skipped_schedule),
        cmocka_unit_test(a_status_shows_holders_and_the_last_run),
        cmocka_unit_test(health_is_200_or_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
