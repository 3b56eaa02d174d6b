/* See sample.h. */
#include "sample.h"

const struct api_request acquire_request = {
    .route = API_ACQUIRE,
    .schedule_id = {(const uint8_t *)"db.backup", 9},
    .command = {.kind = COMMAND_ACQUIRE,
                .acquire = {.schedule_id = {(const uint8_t *)"db.backup", 9},
                            .holder = {(const uint8_t *)"n2", 2},
                            .idempotency_key = {(const uint8_t *)"key-1", 5}}},
};

struct grant_view full_grant(void)
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

struct run_view full_run(void)
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

struct policy_view full_policy(void)
{
    return (struct policy_view){.schedule_id = slice_of("db.backup"),
                                .policy = {.estimate_ms = 60000,
                                           .margin_ms = 5000,
                                           .max_ttl_ms = 3600000,
                                           .min_hold_ms = LIMIT_NUMBER_MAX,
                                           .slots = LIMIT_SLOTS,
                                           .group = slice_of("db"),
                                           .expected_every_ms = 86400000,
                                           .max_attempts = LIMIT_ATTEMPTS,
                                           .description = slice_of("t\xc3\xa4glich\n\"um drei\"")},
                                .overdue_ms = 5000,
                                .has_success = true,
                                .last_success_wall_ms = WALL_MS};
}

struct group_view full_group(void)
{
    return (struct group_view){.name = slice_of("db"), .slots = LIMIT_GROUP_SLOTS, .held = 3, .schedules = 17};
}

struct freeze_view full_freeze(void)
{
    return (struct freeze_view){.scope = slice_of("db.*"),
                                .actor = slice_of("kim"),
                                .reason = slice_of("gr\xc3\xbc\xc3\x9f"),
                                .ttl_ms = 3600000,
                                .remaining_ms = 1800001,
                                .created_wall_ms = WALL_MS,
                                .expires_wall_ms = WALL_MS + 3600000};
}

void assert_answer(const struct api_answer *answer, unsigned status, const char *type, const char *body)
{
    assert_slice(buffer_slice(&answer->body), body);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->content_type, type);
    assert_string_equal(answer->allow, "");
}

void assert_outcome(const struct api_request *request, const struct outcome *outcome, unsigned status, const char *body)
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
