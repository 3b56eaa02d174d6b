/* Every refusal that this room can give, to the byte: the contract in golden texts. */
#include <stdio.h>
#include <string.h>

#include "sample.h"

static void a_held_lock_names_its_holders_without_metadata(void **state)
{
    (void)state;
    struct grant_view holders[] = {full_grant(), full_grant()};
    holders[1].is_revoking = true;
    const struct outcome outcome = {.code = OUTCOME_LOCK_HELD, .holders = holders, .n_holders = 2};
    assert_outcome(&acquire_request, &outcome, 409,
                   "{\"type\":\"urn:baton:problem:lock_held\",\"title\":\"The lock is "
                   "held\",\"status\":409,\"code\":\"lock_held\","
                   "\"detail\":\"schedule db.backup skipped \xe2\x80\x94 lock held by peer n1\",\"holder\":\"n1\","
                   "\"token\":9007199254740991,\"remaining_ms\":59999,\"acquired_at\":\"2026-01-02T03:04:05.678Z\","
                   "\"holders\":[" FULL_HOLDER "," FULL_HOLDER_OPEN ",\"revoking\":true}]}");
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
        "as the schedule allows. Look at the run to see why it didn't succeed; to have it tried again, raise "
        "max_attempts of "
        "the schedule.\",\"run\":{\"token\":7,"
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

/* Who revokes has no job to stop. */
static void a_revocation_of_nothing_says_what_to_look_at(void **state)
{
    (void)state;
    const struct api_request request = {.route = API_REVOKE, .command = {.kind = COMMAND_REVOKE}};
    const struct outcome outcome = {.code = OUTCOME_LOCK_LOST};
    assert_outcome(&request, &outcome, 409,
                   "{\"type\":\"urn:baton:problem:lock_lost\",\"title\":\"The lock is no longer held with this token\","
                   "\"status\":409,\"code\":\"lock_lost\",\"detail\":\"No live grant has this token, so there is "
                   "nothing to revoke. "
                   "Look at the lock to see who has it now.\",\"run\":null,\"holder\":null}");
}

static void ttl_refusals_say_the_bound(void **state)
{
    (void)state;
    const struct outcome too_short = {.code = OUTCOME_TTL_TOO_SHORT,
                                      .minimum_ms = 90000,
                                      .maximum_ms = 604800000,
                                      .estimate_ms = 60000,
                                      .margin_ms = 30000};
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

/* A body's estimate that the policy has no room for: no ttl_ms can be right, so the detail asks for something else. */
static void a_ttl_that_cannot_be_met_says_what_to_change(void **state)
{
    (void)state;
    struct outcome outcome = {.code = OUTCOME_TTL_TOO_LONG,
                              .minimum_ms = 90000,
                              .maximum_ms = 60000,
                              .estimate_ms = 60000,
                              .margin_ms = 30000};
#define NO_TTL                                                                                                         \
    "\"detail\":\"No TTL will do: the estimated duration and the safety margin take 90000 ms, and the schedule "       \
    "allows "                                                                                                          \
    "60000 ms. Send a smaller estimated_duration_ms, or raise max_ttl_ms of the schedule (to 604800000 at most).\","
    assert_outcome(&acquire_request, &outcome, 422,
                   "{\"type\":\"urn:baton:problem:ttl_too_long\",\"title\":\"The TTL is too long\",\"status\":422,"
                   "\"code\":\"ttl_too_long\"," NO_TTL "\"maximum_ms\":60000}");
    outcome.code = OUTCOME_TTL_TOO_SHORT;
    assert_outcome(&acquire_request, &outcome, 422,
                   "{\"type\":\"urn:baton:problem:ttl_too_short\",\"title\":\"The TTL is too short for the "
                   "job\",\"status\":422,\"code\":\"ttl_too_short\"," NO_TTL
                   "\"minimum_ms\":90000,\"estimated_duration_ms\":60000,\"safety_margin_ms\":30000}");
}

static void cooling_down_says_how_long(void **state)
{
    (void)state;
    const struct outcome outcome = {.code = OUTCOME_COOLING_DOWN, .remaining_ms = 1500};
    assert_outcome(&acquire_request, &outcome, 409,
                   "{\"type\":\"urn:baton:problem:cooling_down\",\"title\":\"The schedule is cooling "
                   "down\",\"status\":409,\"code\":\"cooling_down\",\"detail\":\"The least time between two grants "
                   "isn't over. Try again after remaining_ms.\",\"remaining_ms\":1500}");
}

static void a_field_that_only_the_state_can_miss_says_what_to_send(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"ttl_ms", "Send ttl_ms, or an estimated_duration_ms above 0: the schedule has no estimate to make a TTL of."},
        {"outcome",
         "Say how the job ended, for its occurrence: send outcome=succeeded, outcome=failed or outcome=abandoned."},
        {"holder",
         "The field is missing, or has a value that isn't allowed here. Send it as the API's description says."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct outcome outcome = {.code = OUTCOME_INVALID_FIELD, .field = cases[i][0]};
        char body[512];
        (void)snprintf(
            body, sizeof body,
            "{\"type\":\"urn:baton:problem:invalid_field\",\"title\":\"A field has an invalid value\",\"status\":400,"
            "\"code\":\"invalid_field\",\"detail\":\"%s\",\"field\":\"%s\"}",
            cases[i][1], cases[i][0]);
        assert_outcome(&acquire_request, &outcome, 400, body);
    }
}

static void the_other_refusals(void **state)
{
    (void)state;
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
        "\"code\":\"capacity\",\"detail\":\"A documented limit is reached, or the leader's disk has no reserve left: "
        "nothing was changed. Release or delete what isn't needed, or free space on the disk.\"}");
}

static void retry_after_is_rounded_up(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        unsigned s;
    } cases[] = {{0, 1}, {1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {59999, 60}, {UINT64_MAX, 604800}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct outcome cooling = {.code = OUTCOME_COOLING_DOWN, .remaining_ms = cases[i].ms};
        const struct outcome frozen = {
            .code = OUTCOME_FROZEN, .has_freeze = true, .freeze = {.remaining_ms = cases[i].ms}};
        struct api_answer answer;
        api_answer_init(&answer);
        api_render_outcome(&acquire_request, &cooling, &answer);
        assert_int_equal(answer.retry_after_s, cases[i].s);
        api_render_outcome(&acquire_request, &frozen, &answer);
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
    }
}

/* A row and a reason for each code: what is logged for an acquire that was refused. */
static void every_refusal_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        enum outcome_code code;
        const char *reason;
    } cases[] = {
        {OUTCOME_INVALID_FIELD, "a field is missing or has an invalid value"},
        {OUTCOME_IDEMPOTENCY_CONFLICT, "its Idempotency-Key was used for something else"},
        {OUTCOME_GRANT_ENDED, "the grant of its Idempotency-Key is over"},
        {OUTCOME_TTL_TOO_SHORT, "the TTL is shorter than the estimated duration and its safety margin"},
        {OUTCOME_TTL_TOO_LONG, "the TTL is longer than allowed"},
        {OUTCOME_OCCURRENCE_DONE, "this occurrence has already run to success"},
        {OUTCOME_ATTEMPTS_EXHAUSTED, "this occurrence was tried as often as allowed"},
        {OUTCOME_FROZEN, "a freeze is in force"},
        {OUTCOME_LOCK_HELD, "the lock is held by another peer"},
        {OUTCOME_COOLING_DOWN, "the schedule is cooling down"},
        {OUTCOME_GROUP_FULL, "its group is full"},
        {OUTCOME_CAPACITY, "a limit of the cluster is reached"},
        {OUTCOME_LOCK_LOST, "the lock is no longer held with this token"},
        {OUTCOME_NOT_FOUND, "there is nothing of this name"},
        {OUTCOME_UNKNOWN_GROUP, "there is no such group"},
        {OUTCOME_GROUP_IN_USE, "the group is in use"},
    };
#define X(name, text) +1
    assert_int_equal(sizeof cases / sizeof cases[0], 0 OUTCOME_TABLE(X) - 1); /* all but done */
#undef X
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct outcome outcome = {.code = cases[i].code};
        struct buffer sentence;
        buffer_init(&sentence);
        api_render_skipped(slice_of("a"), &outcome, &sentence);
        assert_memory_equal(sentence.base, "schedule a skipped \xe2\x80\x94 ", 23);
        struct slice reason = {.base = sentence.base + 23, .len = sentence.len - 23};
        assert_slice(reason, cases[i].reason);
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
    api_render_unknown(&acquire_request, slice_of("key-1"), &answer);
    assert_answer(
        &answer, 504, "application/problem+json",
        "{\"type\":\"urn:baton:problem:outcome_unknown\",\"title\":\"It is not known whether this took effect\","
        "\"status\":504,\"code\":\"outcome_unknown\",\"detail\":\"The request may or may not take effect. Send it "
        "again with the same Idempotency-Key.\",\"idempotency_key\":\"key-1\"}");
    assert_slice(answer.idempotency_key, "key-1");
    api_answer_close(&answer);
}

/* Without a token it would be aimed at whoever has the lock when it arrives again. */
static void an_unknown_outcome_says_whether_a_repeat_is_safe(void **state)
{
    (void)state;
    static const char safe[] = "The request may or may not take effect. Sending it again is safe.";
    static const char unsafe[] =
        "The request may or may not take effect. Look at the schedule's runs before you send it again: without a token "
        "it revokes whoever has the lock by then.";
    const struct {
        struct api_request request;
        const char *detail;
    } cases[] = {
        {{.route = API_RENEW, .command = {.kind = COMMAND_RENEW}}, safe},
        {{.route = API_SCHEDULE_PUT, .command = {.kind = COMMAND_PUT_SCHEDULE}}, safe},
        {{.route = API_REVOKE, .command = {.kind = COMMAND_REVOKE, .revoke = {.token = 7}}}, safe},
        {{.route = API_RENEW_BATCH, .command = {.kind = COMMAND_RENEW_BATCH}}, safe},
        {{.route = API_FREEZE_PUT, .command = {.kind = COMMAND_PUT_FREEZE}}, safe},
        {{.route = API_REVOKE, .command = {.kind = COMMAND_REVOKE}}, unsafe},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        (void)snprintf(body, sizeof body,
                       "{\"type\":\"urn:baton:problem:outcome_unknown\",\"title\":\"It is not known whether this took "
                       "effect\",\"status\":504,\"code\":\"outcome_unknown\",\"detail\":\"%s\"}",
                       cases[i].detail);
        struct api_answer answer;
        api_answer_init(&answer);
        api_render_unknown(&cases[i].request, (struct slice){0}, &answer);
        assert_answer(&answer, 504, "application/problem+json", body);
        assert_slice(answer.idempotency_key, NULL);
        api_answer_close(&answer);
    }
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
    buffer_clear(&sentence);
    const struct outcome full = {.code = OUTCOME_GROUP_FULL, .has_group = true, .group = full_group()};
    api_render_skipped(slice_of("a"), &full, &sentence);
    assert_slice(buffer_slice(&sentence), "schedule a skipped \xe2\x80\x94 its group db is full");
    buffer_clear(&sentence);
    const struct outcome frozen = {.code = OUTCOME_FROZEN, .has_freeze = true, .freeze = full_freeze()};
    api_render_skipped(slice_of("a"), &frozen, &sentence);
    assert_slice(buffer_slice(&sentence), "schedule a skipped \xe2\x80\x94 frozen by kim (scope db.*)");
    buffer_close(&sentence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_held_lock_names_its_holders_without_metadata),
        cmocka_unit_test(refusals_with_a_run_show_it_or_null),
        cmocka_unit_test(a_lost_lock_names_the_run_and_who_has_it),
        cmocka_unit_test(a_revocation_of_nothing_says_what_to_look_at),
        cmocka_unit_test(ttl_refusals_say_the_bound),
        cmocka_unit_test(a_ttl_that_cannot_be_met_says_what_to_change),
        cmocka_unit_test(cooling_down_says_how_long),
        cmocka_unit_test(a_field_that_only_the_state_can_miss_says_what_to_send),
        cmocka_unit_test(the_other_refusals),
        cmocka_unit_test(retry_after_is_rounded_up),
        cmocka_unit_test(every_outcome_code_can_be_rendered),
        cmocka_unit_test(every_refusal_has_its_reason),
        cmocka_unit_test(every_code_of_the_table_can_be_answered),
        cmocka_unit_test(an_unknown_outcome_carries_the_key),
        cmocka_unit_test(an_unknown_outcome_says_whether_a_repeat_is_safe),
        cmocka_unit_test(the_sentence_of_a_skipped_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
