/* render: outcomes, states, lists and health out. */
#include "api/render.h"

#include <stdio.h>

#include "base/limits.h"

/* In order: a lock, without metadata as nothing of it has changed, or a problem. */
static void render_results(const struct api_request *request, const struct outcome *outcome, struct json_writer *json)
{
    json_begin(json, "results", '[');
    for (size_t i = 0; i < outcome->n_results; i++) {
        const struct outcome *result = &outcome->results[i];
        json_begin(json, NULL, '{');
        if (result->code == OUTCOME_DONE) {
            CHECK(result->has_grant);
            render_lock_members(json, &result->grant, LOCK_WITHOUT_METADATA);
        } else {
            render_refusal_members(json, request, result);
        }
        json_end(json, '}');
    }
    json_end(json, ']');
}

static void render_done(const struct api_request *request, const struct outcome *outcome, struct json_writer *json)
{
    switch (request->command.kind) {
    case COMMAND_ACQUIRE:
    case COMMAND_RENEW:
        CHECK(outcome->has_grant);
        render_lock_members(json, &outcome->grant, LOCK_WHOLE);
        return;
    case COMMAND_RELEASE:
        CHECK(outcome->has_run);
        render_run_members(json, &outcome->run);
        return;
    case COMMAND_PUT_SCHEDULE:
    case COMMAND_DELETE_SCHEDULE:
        CHECK(outcome->has_policy);
        render_schedule_members(json, &outcome->policy);
        return;
    case COMMAND_REVOKE:
        render_runs(json, "revoked", outcome->runs, outcome->n_runs);
        return;
    case COMMAND_RENEW_BATCH:
        render_results(request, outcome, json);
        return;
    case COMMAND_PUT_GROUP:
    case COMMAND_DELETE_GROUP:
        CHECK(outcome->has_group);
        render_group_members(json, &outcome->group);
        return;
    case COMMAND_PUT_FREEZE:
    case COMMAND_DELETE_FREEZE:
        CHECK(outcome->has_freeze);
        render_freeze_members(json, &outcome->freeze);
        return;
    case COMMAND_NOOP:
    case COMMAND_LEADER:
    case COMMAND_RULES:
        break;
    }
    check_failed("a command that came from a request", __FILE__, __LINE__);
}

void api_render_outcome(const struct api_request *request, const struct outcome *outcome, struct api_answer *answer)
{
    if (outcome->code != OUTCOME_DONE) {
        render_refusal(request, outcome, answer);
        return;
    }
    bool is_acquire = request->command.kind == COMMAND_ACQUIRE;
    struct json_writer json = answer_begin(answer, is_acquire ? 201 : 200);
    render_done(request, outcome, &json);
    answer_end(&json);
    if (is_acquire) {
        answer->idempotency_key = request->command.acquire.idempotency_key;
    }
}

/* ---- states ---- */

void api_render_status(struct slice schedule_id, const struct schedule_view *view, uint64_t waiting,
                       struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    json_put_text(&json, "schedule_id", schedule_id);
    json_put_flag(&json, "held", view->n_holders > 0);
    render_locks(&json, "holders", view->holders, view->n_holders, LOCK_WHOLE);
    json_put_number(&json, "waiting", waiting);
    json_put_flag(&json, "frozen", view->frozen);
    render_run(&json, "last_run", view->has_last_run ? &view->last_run : NULL);
    answer_end(&json);
}

static void put_statistics(struct json_writer *json, const struct schedule_statistics *statistics,
                           const struct policy *policy)
{
    const struct {
        const char *key;
        uint64_t ms;
    } percentiles[] = {{"duration_p50_ms", statistics->p50_ms},
                       {"duration_p95_ms", statistics->p95_ms},
                       {"duration_p99_ms", statistics->p99_ms}};
    bool has_runs = statistics->n_runs > 0;
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
        if (has_runs) {
            json_put_number(json, percentiles[i].key, percentiles[i].ms);
        } else {
            json_put_null(json, percentiles[i].key);
        }
    }
    /* The TTL that an estimate gives is estimate + margin; p99 + margin is more than that when p99 is more than it. */
    json_put_flag(json, "estimate_risky",
                  has_runs && policy->estimate_ms > 0 && statistics->p99_ms > policy->estimate_ms);
}

void api_render_schedule(const struct policy_view *policy, const struct run_view *last_run,
                         const struct schedule_statistics *statistics, uint64_t now_ms, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    render_schedule_members(&json, policy);
    render_run(&json, "last_run", last_run);
    if (policy->has_success) {
        json_put_instant(&json, "last_success_at", policy->last_success_wall_ms);
    } else {
        json_put_null(&json, "last_success_at");
    }
    json_put_flag(&json, "overdue", policy->overdue_ms != UINT64_MAX && now_ms >= policy->overdue_ms);
    put_statistics(&json, statistics, &policy->policy);
    answer_end(&json);
}

void api_render_group(const struct group_view *group, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    render_group_members(&json, group);
    answer_end(&json);
}

void api_render_freeze(const struct freeze_view *freeze, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    render_freeze_members(&json, freeze);
    answer_end(&json);
}

/* ---- lists ---- */

void api_render_locks(const struct grant_view *locks, size_t n, enum list_rest rest, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    render_locks(&json, "locks", locks, n, LOCK_WHOLE);
    char next[LIMIT_NAME_BYTES + sizeof "!18446744073709551615"];
    const struct grant_view *last = n > 0 ? &locks[n - 1] : NULL;
    if (last == NULL || rest == LIST_REST_NONE) {
        json_put_null(&json, "next");
    } else if (rest == LIST_REST_OTHERS) {
        json_put_text_or_null(&json, "next", last->schedule_id);
    } else {
        CHECK(last->schedule_id.len <= LIMIT_NAME_BYTES);
        (void)snprintf(next, sizeof next, "%.*s!%llu", SLICE_PRINT(last->schedule_id), (unsigned long long)last->token);
        json_put_word(&json, "next", next);
    }
    answer_end(&json);
}

void api_render_schedules(const struct policy_view *policies, size_t n, bool more, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    json_begin(&json, "schedules", '[');
    for (size_t i = 0; i < n; i++) {
        json_begin(&json, NULL, '{');
        render_schedule_members(&json, &policies[i]);
        json_end(&json, '}');
    }
    json_end(&json, ']');
    json_put_text_or_null(&json, "next", more && n > 0 ? policies[n - 1].schedule_id : (struct slice){0});
    answer_end(&json);
}

void api_render_groups(const struct group_view *groups, size_t n, bool more, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    json_begin(&json, "groups", '[');
    for (size_t i = 0; i < n; i++) {
        json_begin(&json, NULL, '{');
        render_group_members(&json, &groups[i]);
        json_end(&json, '}');
    }
    json_end(&json, ']');
    json_put_text_or_null(&json, "next", more && n > 0 ? groups[n - 1].name : (struct slice){0});
    answer_end(&json);
}

void api_render_freezes(const struct freeze_view *freezes, size_t n, bool more, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    json_begin(&json, "freezes", '[');
    for (size_t i = 0; i < n; i++) {
        json_begin(&json, NULL, '{');
        render_freeze_members(&json, &freezes[i]);
        json_end(&json, '}');
    }
    json_end(&json, ']');
    json_put_text_or_null(&json, "next", more && n > 0 ? freezes[n - 1].scope : (struct slice){0});
    answer_end(&json);
}

void api_render_runs(const struct run_view *runs, size_t n, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    render_runs(&json, "runs", runs, n);
    answer_end(&json);
}

/* ---- health ---- */

static void put_reasons(struct json_writer *json, const struct api_reason *reasons, size_t n)
{
    struct buffer text;
    buffer_init(&text);
    json_begin(json, "reasons", '[');
    for (size_t i = 0; i < n; i++) {
        buffer_clear(&text);
        buffer_printf(&text, "%s: %s", reasons[i].code, reasons[i].text);
        json_put_text(json, NULL, buffer_slice(&text));
    }
    json_end(json, ']');
    buffer_close(&text);
}

void api_render_health(const struct api_health *health, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, health->serving ? 200 : 503);
    json_put_word(&json, "status", health->status);
    json_put_word(&json, "node", health->node);
    json_put_word(&json, "role", health->role);
    json_put_text_or_null(&json, "leader", slice_of(health->leader));
    json_put_number(&json, "term", health->term);
    json_put_number(&json, "commit_index", health->commit_index);
    json_put_number(&json, "applied_index", health->applied_index);
    json_begin(&json, "members", '[');
    for (size_t i = 0; i < health->n_members; i++) {
        json_put_word(&json, NULL, health->members[i]);
    }
    json_end(&json, ']');
    json_put_word(&json, "version", health->version);
    json_put_number(&json, "uptime_ms", health->uptime_ms);
    put_reasons(&json, health->reasons, health->n_reasons);
    answer_end(&json);
    answer->retry_after_s = health->serving ? 0 : 1;
}

void api_render_live(struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    json_put_word(&json, "status", "ok");
    answer_end(&json);
}
