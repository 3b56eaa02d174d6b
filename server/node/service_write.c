/* Commands that are proposed, and what became of them: counted, told to the log where people will ask later, answered. */
#include <string.h>

#include "base/check.h"
#include "node/request.h"

/* ---- the log ---- */

static void log_skipped(const struct service *service, const struct request *request, const struct outcome *outcome)
{
    if (outcome->code == OUTCOME_DONE || !log_would_write(service->options.log, LOG_LEVEL_DEBUG)) {
        return;
    }
    struct buffer sentence;
    buffer_init(&sentence);
    api_render_skipped(request->parsed.schedule_id, outcome, &sentence);
    log_write(service->options.log, LOG_LEVEL_DEBUG, buffer_slice(&sentence), NULL, 0);
    buffer_close(&sentence);
}

static void log_policy(const struct service *service, const char *message, const struct policy_view *view)
{
    const struct policy *policy = &view->policy;
    log_info(service->options.log, message, LOG_SLICE("schedule", view->schedule_id),
             LOG_U64("estimated_duration_ms", policy->estimate_ms), LOG_U64("safety_margin_ms", policy->margin_ms),
             LOG_U64("max_ttl_ms", policy->max_ttl_ms), LOG_U64("min_hold_ms", policy->min_hold_ms),
             LOG_U64("slots", policy->slots), LOG_U64("max_attempts", policy->max_attempts),
             LOG_SLICE("group", slice_is_present(policy->group) ? policy->group : slice_of("")),
             LOG_U64("expected_every_ms", policy->expected_every_ms));
}

static void log_group(const struct service *service, const char *message, const struct group_view *view)
{
    log_info(service->options.log, message, LOG_SLICE("group", view->name), LOG_U64("slots", view->slots));
}

static void log_freeze(const struct service *service, const char *message, const struct freeze_view *view)
{
    log_info(service->options.log, message, LOG_SLICE("scope", view->scope), LOG_SLICE("actor", view->actor),
             LOG_SLICE("reason", view->reason), LOG_U64("ttl_ms", view->ttl_ms));
}

/* Who took which lock from whom, and why. What was revoked before is told again when force frees its slot, but is no
 * revocation more. Actor and reason are the command's: the state may have had no room for them. */
static void count_and_log_revoked(const struct service *service, const struct revoke_command *revoke,
                                  const struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->n_runs; i++) {
        const struct run_view *run = &outcome->runs[i];
        if (run->is_newly_revoked) {
            metrics_count_revoked(service->metrics);
        }
        if (!run->is_newly_revoked && !run->is_newly_freed) {
            continue;
        }
        log_warning(service->options.log, "lock revoked", LOG_SLICE("schedule", revoke->schedule_id),
                    LOG_U64("token", run->token), LOG_SLICE("holder", run->holder), LOG_SLICE("actor", revoke->actor),
                    LOG_SLICE("reason", revoke->reason), LOG_TEXT("force", revoke->force ? "true" : "false"));
    }
}

static void log_outcome(const struct request *request, const struct outcome *outcome)
{
    const struct service *service = request->service;
    const struct command *command = &request->parsed.command;
    bool is_done = outcome->code == OUTCOME_DONE;
    switch (command->kind) {
    case COMMAND_ACQUIRE:
        log_skipped(service, request, outcome);
        break;
    case COMMAND_PUT_GROUP:
    case COMMAND_DELETE_GROUP:
        if (is_done && outcome->has_group) {
            log_group(service, command->kind == COMMAND_PUT_GROUP ? "group set" : "group deleted", &outcome->group);
        }
        break;
    case COMMAND_PUT_FREEZE:
    case COMMAND_DELETE_FREEZE:
        if (is_done && outcome->has_freeze) {
            log_freeze(service, command->kind == COMMAND_PUT_FREEZE ? "freeze set" : "freeze lifted", &outcome->freeze);
        }
        break;
    case COMMAND_PUT_SCHEDULE:
    case COMMAND_DELETE_SCHEDULE:
        if (is_done && outcome->has_policy) {
            log_policy(service, command->kind == COMMAND_PUT_SCHEDULE ? "policy set" : "policy deleted",
                       &outcome->policy);
        }
        break;
    case COMMAND_REVOKE:
        if (is_done) {
            count_and_log_revoked(service, &command->revoke, outcome);
        }
        break;
    default: /* renewals and releases would be one line each for every run of every job */
        break;
    }
}

static void tell_readers(const struct request *request, const struct outcome *outcome)
{
    if (request->parsed.route == API_ACQUIRE && outcome->code != OUTCOME_DONE) {
        event_readers_refused(request->service->readers, &request->parsed, outcome);
    }
}

/* ---- proposing ---- */

static void operation_done(struct operation *operation, enum operation_status status, const struct outcome *outcome)
{
    struct request *request = operation->data;
    metrics_count_operation(request->service->metrics, &request->parsed.command, status, outcome);
    if (status == OPERATION_UNKNOWN && give_back_unknown(request)) {
        return;
    }
    if (status != OPERATION_APPLIED) {
        request_refuse_status(request, status);
        return;
    }
    log_outcome(request, outcome);
    tell_readers(request, outcome);
    if (give_back_granted(request, outcome)) {
        return;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_outcome(&request->parsed, outcome, &answer);
    request_answer(request, &answer);
}

static void request_make_key(struct request *request)
{
    struct slice *key = &request->parsed.command.acquire.idempotency_key;
    request->key_is_made = !slice_is_present(*key);
    if (!request->key_is_made) {
        return;
    }
    key_draw(request->service, request->made_key);
    *key = slice_of(request->made_key);
}

/* Whoever hung up is not to keep others waiting. What became of the operation decides, as ever, whether there is something
 * to give back. */
static void waiting_client_gone(void *arg)
{
    struct request *request = arg;
    if (request->service->replica != NULL) {
        replica_cancel(request->service->replica, &request->operation);
    }
}

void request_propose(struct request *request)
{
    uint64_t wait_ms = request->parsed.wait_ms;
    if (request->parsed.route == API_ACQUIRE) {
        request_make_key(request);
    }
    request->operation = (struct operation){
        .command = request->parsed.command, .wait_ms = wait_ms, .done = operation_done, .data = request};
    replica_submit(request->service->replica, &request->operation);
    if (wait_ms > 0) {
        exchange_watch(request->exchange, waiting_client_gone, request);
    }
}
