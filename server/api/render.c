/* render: outcomes, states, lists and health out. */
#include "api/render.h"

#include <stdio.h>

#include "base/limits.h"

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

void api_render_status(struct slice schedule_id, const struct schedule_view *view, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    json_put_text(&json, "schedule_id", schedule_id);
    json_put_flag(&json, "held", view->n_holders > 0);
    render_locks(&json, "holders", view->holders, view->n_holders, LOCK_WHOLE);
    json_put_number(&json, "waiting", 0);
    json_put_flag(&json, "frozen", view->frozen);
    render_run(&json, "last_run", view->has_last_run ? &view->last_run : NULL);
    answer_end(&json);
}

void api_render_schedule(const struct policy_view *policy, const struct run_view *last_run, struct api_answer *answer)
{
    struct json_writer json = answer_begin(answer, 200);
    render_schedule_members(&json, policy);
    render_run(&json, "last_run", last_run);
    if (policy->has_success) {
        json_put_instant(&json, "last_success_at", policy->last_success_wall_ms);
    } else {
        json_put_null(&json, "last_success_at");
    }
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
