/* Every answer that this room can give but refusals, to the byte: the contract in golden texts. */
#include <string.h>

#include "sample.h"

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

static void a_status_shows_holders_and_the_last_run(void **state)
{
    (void)state;
    const struct grant_view holder = full_grant();
    struct schedule_view view = {
        .holders = &holder, .n_holders = 1, .frozen = true, .has_last_run = true, .last_run = full_run()};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_status(slice_of("db.backup"), &view, 100000, &answer);
    assert_answer(&answer, 200, "application/json",
                  "{\"schedule_id\":\"db.backup\",\"held\":true,\"holders\":[" FULL_LOCK
                  "],\"waiting\":100000,\"frozen\":true,"
                  "\"last_run\":" FULL_RUN "}");
    view = (struct schedule_view){0};
    api_render_status(slice_of("new"), &view, 0, &answer);
    assert_answer(
        &answer, 200, "application/json",
        "{\"schedule_id\":\"new\",\"held\":false,\"holders\":[],\"waiting\":0,\"frozen\":false,\"last_run\":null}");
    api_answer_close(&answer);
}

/* The member is there only while it is true. */
static void a_lock_that_is_being_revoked_says_so(void **state)
{
    (void)state;
    struct grant_view holder = full_grant();
    holder.is_revoking = true;
    const struct schedule_view view = {.holders = &holder, .n_holders = 1};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_status(slice_of("db.backup"), &view, 0, &answer);
    assert_answer(&answer, 200, "application/json",
                  "{\"schedule_id\":\"db.backup\",\"held\":true,\"holders\":[" FULL_HOLDER_OPEN
                  ",\"revoking\":true,\"metadata\":{\"pid\":4711}}],\"waiting\":0,\"frozen\":false,\"last_run\":null}");
    api_answer_close(&answer);
}

static void metadata_is_shown_as_it_is_kept(void **state)
{
    (void)state;
    struct outcome outcome = {.code = OUTCOME_DONE, .has_grant = true, .grant = full_grant()};
    outcome.grant.metadata = slice_of("{\"f\":1.1,\"g\":0.1,\"s\":\"\xc3\xa4\\n\"}");
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_outcome(&acquire_request, &outcome, &answer);
    assert_slice(buffer_slice(&answer.body),
                 FULL_HOLDER_OPEN ",\"metadata\":{\"f\":1.1,\"g\":0.1,\"s\":\"\xc3\xa4\\n\"}}");
    api_answer_close(&answer);
}

static void put_and_delete_are_200_with_the_schedule(void **state)
{
    (void)state;
    const struct outcome outcome = {.code = OUTCOME_DONE, .has_policy = true, .policy = full_policy()};
    const struct api_request put = {.route = API_SCHEDULE_PUT, .command = {.kind = COMMAND_PUT_SCHEDULE}};
    assert_outcome(&put, &outcome, 200, FULL_POLICY);
    const struct api_request delete = {.route = API_SCHEDULE_DELETE, .command = {.kind = COMMAND_DELETE_SCHEDULE}};
    assert_outcome(&delete, &outcome, 200, FULL_POLICY);
}

static void a_schedule_shows_its_last_run_and_how_it_goes(void **state)
{
    (void)state;
    struct policy_view policy = full_policy();
    const struct run_view run = full_run();
    struct schedule_statistics statistics = {.n_runs = 3, .p50_ms = 1, .p95_ms = 60000, .p99_ms = 60001};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_schedule(&policy, &run, &statistics, 5000, &answer);
    assert_answer(&answer, 200, "application/json",
                  FULL_POLICY_OPEN ",\"last_run\":" FULL_RUN
                                   ",\"last_success_at\":\"2026-01-02T03:04:05.678Z\",\"overdue\":true,"
                                   "\"duration_p50_ms\":1,\"duration_p95_ms\":60000,\"duration_p99_ms\":60001,"
                                   "\"estimate_risky\":true}");
    policy = (struct policy_view){
        .schedule_id = slice_of("a"), .policy = {.slots = 1, .max_attempts = 1}, .overdue_ms = UINT64_MAX};
    statistics.n_runs = 0;
    api_render_schedule(&policy, NULL, &statistics, UINT64_MAX, &answer);
    assert_answer(&answer, 200, "application/json",
                  "{\"schedule_id\":\"a\",\"estimated_duration_ms\":0,\"safety_margin_ms\":0,\"max_ttl_ms\":0,"
                  "\"min_hold_ms\":0,\"slots\":1,\"group\":null,\"max_attempts\":1,\"expected_every_ms\":null,"
                  "\"description\":null,\"last_run\":null,\"last_success_at\":null,\"overdue\":false,"
                  "\"duration_p50_ms\":null,\"duration_p95_ms\":null,\"duration_p99_ms\":null,"
                  "\"estimate_risky\":false}");
    api_answer_close(&answer);
}

static void assert_in_schedule(const struct policy_view *policy, const struct schedule_statistics *statistics,
                               uint64_t now_ms, const char *text)
{
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_schedule(policy, NULL, statistics, now_ms, &answer);
    assert_non_null(memmem(answer.body.base, answer.body.len, text, strlen(text)));
    api_answer_close(&answer);
}

/* Late from that instant on, risky when a run of a hundred takes longer than it should; without an estimate nothing is. */
static void overdue_and_risky_have_their_edges(void **state)
{
    (void)state;
    struct policy_view policy = full_policy();
    struct schedule_statistics statistics = {.n_runs = 1, .p99_ms = policy.policy.estimate_ms};
    assert_in_schedule(&policy, &statistics, policy.overdue_ms - 1, "\"overdue\":false");
    assert_in_schedule(&policy, &statistics, policy.overdue_ms, "\"overdue\":true");
    assert_in_schedule(&policy, &statistics, 0, "\"estimate_risky\":false");
    statistics.p99_ms++;
    assert_in_schedule(&policy, &statistics, 0, "\"estimate_risky\":true");
    statistics.n_runs = 0;
    assert_in_schedule(&policy, &statistics, 0, "\"estimate_risky\":false");
    statistics.n_runs = 1;
    policy.policy.estimate_ms = 0;
    assert_in_schedule(&policy, &statistics, 0, "\"estimate_risky\":false");
}

static void groups_and_freezes_are_shown_and_listed(void **state)
{
    (void)state;
    const struct group_view groups[] = {full_group(), full_group()};
    const struct freeze_view freezes[] = {full_freeze(), full_freeze()};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_group(groups, &answer);
    assert_answer(&answer, 200, "application/json", FULL_GROUP);
    api_render_groups(groups, 2, true, &answer);
    assert_answer(&answer, 200, "application/json", "{\"groups\":[" FULL_GROUP "," FULL_GROUP "],\"next\":\"db\"}");
    api_render_groups(NULL, 0, false, &answer);
    assert_answer(&answer, 200, "application/json", "{\"groups\":[],\"next\":null}");
    api_render_freeze(freezes, &answer);
    assert_answer(&answer, 200, "application/json", FULL_FREEZE);
    api_render_freezes(freezes, 2, true, &answer);
    assert_answer(&answer, 200, "application/json",
                  "{\"freezes\":[" FULL_FREEZE "," FULL_FREEZE "],\"next\":\"db.*\"}");
    api_render_freezes(freezes, 1, false, &answer);
    assert_answer(&answer, 200, "application/json", "{\"freezes\":[" FULL_FREEZE "],\"next\":null}");
    api_answer_close(&answer);
}

static void put_and_delete_show_the_group_or_the_freeze(void **state)
{
    (void)state;
    const struct outcome group = {.code = OUTCOME_DONE, .has_group = true, .group = full_group()};
    const struct outcome freeze = {.code = OUTCOME_DONE, .has_freeze = true, .freeze = full_freeze()};
    static const struct api_request requests[] = {
        {.route = API_GROUP_PUT, .command = {.kind = COMMAND_PUT_GROUP}},
        {.route = API_GROUP_DELETE, .command = {.kind = COMMAND_DELETE_GROUP}},
        {.route = API_FREEZE_PUT, .command = {.kind = COMMAND_PUT_FREEZE}},
        {.route = API_FREEZE_DELETE, .command = {.kind = COMMAND_DELETE_FREEZE}},
    };
    for (size_t i = 0; i < 4; i++) {
        assert_outcome(&requests[i], i < 2 ? &group : &freeze, 200, i < 2 ? FULL_GROUP : FULL_FREEZE);
    }
}

/* Each renewal has its own answer, in order, and the batch is 200 whatever these are. */
static void a_batch_is_200_with_a_result_for_each(void **state)
{
    (void)state;
    const struct grant_view holder = full_grant();
    const struct outcome results[] = {
        {.code = OUTCOME_DONE, .has_grant = true, .grant = full_grant()},
        {.code = OUTCOME_LOCK_LOST, .has_run = true, .run = full_run(), .holders = &holder, .n_holders = 1},
        {.code = OUTCOME_TTL_TOO_SHORT,
         .minimum_ms = 90000,
         .maximum_ms = 604800000,
         .estimate_ms = 60000,
         .margin_ms = 30000},
        {.code = OUTCOME_DONE, .has_grant = true, .grant = full_grant()},
    };
    const struct outcome outcome = {.code = OUTCOME_DONE, .results = results, .n_results = 4};
    const struct api_request request = {.route = API_RENEW_BATCH, .command = {.kind = COMMAND_RENEW_BATCH}};
    assert_outcome(
        &request, &outcome, 200,
        "{\"results\":[" FULL_HOLDER
        ",{\"type\":\"urn:baton:problem:lock_lost\",\"title\":\"The lock is no longer held with this token\","
        "\"status\":409,\"code\":\"lock_lost\",\"detail\":\"The lock is no longer held with this token. Stop the job, "
        "or "
        "acquire the lock again before it goes on.\",\"run\":" FULL_RUN ",\"holder\":\"n1\"},"
        "{\"type\":\"urn:baton:problem:ttl_too_short\",\"title\":\"The TTL is too short for the job\",\"status\":422,"
        "\"code\":\"ttl_too_short\",\"detail\":\"The TTL must cover the estimated duration and the safety margin. Send "
        "ttl_ms of at least minimum_ms.\",\"minimum_ms\":90000,\"estimated_duration_ms\":60000,"
        "\"safety_margin_ms\":30000}," FULL_HOLDER "]}");
    const struct outcome none = {.code = OUTCOME_DONE};
    assert_outcome(&request, &none, 200, "{\"results\":[]}");
}

static void schedules_are_listed_with_the_next_page(void **state)
{
    (void)state;
    struct policy_view policies[] = {full_policy(), full_policy()};
    policies[1].schedule_id = slice_of("z");
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_schedules(policies, 1, false, &answer);
    assert_answer(&answer, 200, "application/json", "{\"schedules\":[" FULL_POLICY "],\"next\":null}");
    api_render_schedules(policies, 2, true, &answer);
    assert_true(answer.body.len > 14);
    assert_memory_equal(answer.body.base + answer.body.len - 14, "}],\"next\":\"z\"}", 14);
    api_render_schedules(NULL, 0, false, &answer);
    assert_answer(&answer, 200, "application/json", "{\"schedules\":[],\"next\":null}");
    api_answer_close(&answer);
}

static void locks_are_listed_with_the_next_page(void **state)
{
    (void)state;
    const struct grant_view locks[] = {full_grant(), full_grant()};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_locks(locks, 2, LIST_REST_NONE, &answer);
    assert_answer(&answer, 200, "application/json", "{\"locks\":[" FULL_LOCK "," FULL_LOCK "],\"next\":null}");
    api_render_locks(locks, 1, LIST_REST_OTHERS, &answer);
    assert_answer(&answer, 200, "application/json", "{\"locks\":[" FULL_LOCK "],\"next\":\"db.backup\"}");
    api_render_locks(locks, 1, LIST_REST_SAME, &answer);
    assert_answer(&answer, 200, "application/json",
                  "{\"locks\":[" FULL_LOCK "],\"next\":\"db.backup!9007199254740991\"}");
    api_render_locks(NULL, 0, LIST_REST_NONE, &answer);
    assert_answer(&answer, 200, "application/json", "{\"locks\":[],\"next\":null}");
    api_answer_close(&answer);
}

/* What a page gives as next is what the next request may send, also for the longest id. */
static void the_next_page_can_be_asked_for(void **state)
{
    (void)state;
    char id[LIMIT_NAME_BYTES + 1];
    memset(id, 'z', sizeof id);
    id[LIMIT_NAME_BYTES] = 0;
    struct grant_view lock = full_grant();
    lock.schedule_id = slice_of(id);
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_locks(&lock, 1, LIST_REST_SAME, &answer);
    const char *next = memmem(answer.body.base, answer.body.len, "\"next\":\"", 8);
    assert_non_null(next);
    char query[512] = "after=";
    size_t len = (size_t)((const char *)answer.body.base + answer.body.len - next) - 8 - 2;
    assert_true(len + 7 < sizeof query);
    memcpy(query + 6, next + 8, len);
    query[6 + len] = 0;
    struct parsed parsed;
    parsed_request(&parsed, "GET /locks", query, NULL);
    assert_true(parsed.ok);
    assert_slice(parsed.request.list.after_id, id);
    assert_int_equal(parsed.request.list.after_token, lock.token);
    parsed_close(&parsed);
    api_answer_close(&answer);
}

static void runs_are_listed(void **state)
{
    (void)state;
    const struct run_view runs[] = {full_run(), full_run()};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_runs(runs, 2, &answer);
    assert_answer(&answer, 200, "application/json", "{\"runs\":[" FULL_RUN "," FULL_RUN "]}");
    api_render_runs(NULL, 0, &answer);
    assert_answer(&answer, 200, "application/json", "{\"runs\":[]}");
    api_answer_close(&answer);
}

static void a_revocation_is_200_with_its_runs(void **state)
{
    (void)state;
    const struct run_view runs[] = {full_run(), full_run()};
    const struct api_request revoke = {.route = API_REVOKE, .command = {.kind = COMMAND_REVOKE}};
    const struct outcome two = {.code = OUTCOME_DONE, .runs = runs, .n_runs = 2};
    assert_outcome(&revoke, &two, 200, "{\"revoked\":[" FULL_RUN "," FULL_RUN "]}");
    const struct outcome none = {.code = OUTCOME_DONE};
    assert_outcome(&revoke, &none, 200, "{\"revoked\":[]}");
}

static void health_is_200_or_503(void **state)
{
    (void)state;
    static const char *const members[] = {"n1", "n2", "n3"};
    static const struct api_reason reasons[] = {{"no_leader", "No leader is known: look at \"raft\"."},
                                                {"disk_reserve", "Free some space."}};
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
                                .version = "0.1.0",
                                .uptime_ms = 1234};
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_health(&health, &answer);
    assert_answer(
        &answer, 200, "application/json",
        "{\"status\":\"ok\",\"node\":\"n1\",\"role\":\"leader\",\"leader\":\"n1\",\"term\":4,\"commit_index\":10,"
        "\"applied_index\":9,\"members\":[\"n1\",\"n2\",\"n3\"],\"version\":\"0.1.0\",\"uptime_ms\":1234,"
        "\"reasons\":[]}");
    assert_int_equal(answer.retry_after_s, 0);
    health.serving = false;
    health.status = "unavailable";
    health.leader = NULL;
    health.reasons = reasons;
    health.n_reasons = 2;
    health.n_members = 0;
    api_render_health(&health, &answer);
    assert_answer(
        &answer, 503, "application/json",
        "{\"status\":\"unavailable\",\"node\":\"n1\",\"role\":\"leader\",\"leader\":null,\"term\":4,"
        "\"commit_index\":10,\"applied_index\":9,\"members\":[],\"version\":\"0.1.0\",\"uptime_ms\":1234,"
        "\"reasons\":[\"no_leader: No leader is known: look at \\\"raft\\\".\",\"disk_reserve: Free some space.\"]}");
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
        cmocka_unit_test(a_status_shows_holders_and_the_last_run),
        cmocka_unit_test(a_lock_that_is_being_revoked_says_so),
        cmocka_unit_test(metadata_is_shown_as_it_is_kept),
        cmocka_unit_test(put_and_delete_are_200_with_the_schedule),
        cmocka_unit_test(a_schedule_shows_its_last_run_and_how_it_goes),
        cmocka_unit_test(overdue_and_risky_have_their_edges),
        cmocka_unit_test(groups_and_freezes_are_shown_and_listed),
        cmocka_unit_test(put_and_delete_show_the_group_or_the_freeze),
        cmocka_unit_test(a_batch_is_200_with_a_result_for_each),
        cmocka_unit_test(schedules_are_listed_with_the_next_page),
        cmocka_unit_test(locks_are_listed_with_the_next_page),
        cmocka_unit_test(the_next_page_can_be_asked_for),
        cmocka_unit_test(runs_are_listed),
        cmocka_unit_test(a_revocation_is_200_with_its_runs),
        cmocka_unit_test(health_is_200_or_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
