/* The one way out: headers that every answer carries, refusals that several files need, and counting. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "core/rules.h"
#include "node/request.h"

enum {
    LEADER_KEEP_MS = 1000,    /* how long the cached address of the leader counts, at most */
    ANSWER_HEADER_BYTES = 64, /* of the name of each, and of a short value */
};
_Static_assert(LIMIT_NAME_BYTES + LEADER_TEXT_BYTES + LIMIT_OCCURRENCE_BYTES + ANSWER_HEADERS * ANSWER_HEADER_BYTES <=
                   LIMIT_HTTP_ANSWER_BYTES - HTTP_OWN_HEADER_BYTES,
               "http keeps room for the longest headers");

static const char *service_leader(struct service *service)
{
    uint64_t now_ms = loop_mono_ms(service->options.loop);
    if (service->leader_is_stale || now_ms - service->leader_seen_ms >= LEADER_KEEP_MS) {
        service->leader_is_stale = false;
        service->leader_seen_ms = now_ms;
        service->leader_http[0] = 0;
        if (service->replica != NULL) {
            struct replica_status status;
            replica_status(service->replica, &status);
            (void)snprintf(service->leader_http, sizeof service->leader_http, "%s",
                           status.leader_http == NULL ? "" : status.leader_http);
        }
    }
    return service->leader_http[0] == 0 ? NULL : service->leader_http;
}

void answer_headers_add(struct answer_headers *headers, const char *name, const char *value)
{
    CHECK(headers->n < ANSWER_HEADERS);
    headers->list[headers->n++] = (struct http_header){name, value};
}

void answer_headers_fill(struct answer_headers *headers, struct service *service, const struct api_answer *answer)
{
    const char *leader = service_leader(service);
    headers->n = 0;
    answer_headers_add(headers, "Baton-Node", service->options.node);
    if (leader != NULL) {
        answer_headers_add(headers, "Baton-Leader", leader);
    }
    if (answer->content_type != NULL) {
        answer_headers_add(headers, "Content-Type", answer->content_type);
    }
    if (answer->allow[0] != 0) {
        answer_headers_add(headers, "Allow", answer->allow);
    }
    if (answer->retry_after_s > 0) {
        (void)snprintf(headers->retry_after, sizeof headers->retry_after, "%u", answer->retry_after_s);
        answer_headers_add(headers, "Retry-After", headers->retry_after);
    }
    if (slice_is_present(answer->idempotency_key)) {
        CHECK(answer->idempotency_key.len < sizeof headers->key);
        memcpy(headers->key, answer->idempotency_key.base, answer->idempotency_key.len);
        headers->key[answer->idempotency_key.len] = 0;
        answer_headers_add(headers, "Idempotency-Key", headers->key);
    }
}

static void exchange_send(struct service *service, struct exchange *exchange, const struct api_answer *answer)
{
    struct answer_headers headers;
    answer_headers_fill(&headers, service, answer);
    exchange_answer(exchange, answer->status, headers.list, headers.n, buffer_slice(&answer->body));
}

void request_count_answer(const struct request *request, unsigned status)
{
    struct service *service = request->service;
    struct metrics_answer counted = {
        .route = request->parsed.route,
        .method = exchange_method(request->exchange),
        .path = exchange_path(request->exchange),
        .status = status,
        .took_ns = loop_mono_ns(service->options.loop) - request->began_ns,
    };
    metrics_count_answer(service->metrics, &counted);
}

static void request_send(struct request *request, const struct api_answer *answer)
{
    request_count_answer(request, answer->status);
    exchange_send(request->service, request->exchange, answer);
}

void service_refuse(struct service *service, struct exchange *exchange, enum api_code code, const char *detail)
{
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_problem(code, NULL, detail, &answer);
    struct metrics_answer counted = {
        .route = API_ROUTE_NONE,
        .method = exchange_method(exchange),
        .path = exchange_path(exchange),
        .status = answer.status,
    };
    metrics_count_answer(service->metrics, &counted);
    exchange_send(service, exchange, &answer);
    api_answer_close(&answer);
}

void request_answer(struct request *request, struct api_answer *answer)
{
    request_send(request, answer);
    api_answer_close(answer);
    request_release(request);
}

void request_refuse(struct request *request, enum api_code code, const char *detail)
{
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_problem(code, NULL, detail, &answer);
    request_answer(request, &answer);
}

void request_send_unknown(struct request *request, struct slice idempotency_key)
{
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_unknown(&request->parsed, idempotency_key, &answer);
    request_send(request, &answer);
    api_answer_close(&answer);
}

/* What keeps the command from being proposed when it needs newer rules; else what is true of any node that can't serve. */
static const char *not_ready_detail(const struct request *request)
{
    struct service *service = request->service;
    const char *rules = NULL;
    if (api_route_kind(request->parsed.route) == API_KIND_WRITE && !service->stopping) {
        uint32_t needed = rules_version_needed(&request->parsed.command);
        if (request->parsed.wait_ms > 0 && needed < RULES_VERSION_GROUPS) { /* waiting came with them */
            needed = RULES_VERSION_GROUPS;
        }
        rules = replica_rules_wait_for(service->replica, needed);
    }
    return rules != NULL
               ? rules
               : "This node can't serve yet, so nothing was changed. Send the request to another node, or ask "
                 "GET /health what is waited for.";
}

void request_refuse_status(struct request *request, enum operation_status status)
{
    switch (status) {
    case OPERATION_NO_LEADER:
        request_refuse(request, API_NO_LEADER,
                       "No leader is known, so nothing was changed. Send the request again, here or to another node.");
        return;
    case OPERATION_NOT_READY:
        request_refuse(request, API_NOT_READY, not_ready_detail(request));
        return;
    case OPERATION_OVERLOADED:
        request_refuse(request, API_OVERLOADED,
                       "Too many requests wait on this node, so nothing was changed. Send the request again later.");
        return;
    case OPERATION_CANCELLED: /* read only by who closed no more than its sending half */
        request_refuse(
            request, API_NOT_READY,
            "The connection was closed while the request waited, so it waits no longer, and nothing was changed. "
            "Send the request again, and keep the connection open.");
        return;
    case OPERATION_UNKNOWN:
    case OPERATION_APPLIED:
        break;
    }
    CHECK(status == OPERATION_UNKNOWN);
    bool is_acquire = request->parsed.route == API_ACQUIRE;
    struct slice none = {0};
    request_send_unknown(request, is_acquire ? request->parsed.command.acquire.idempotency_key : none);
    request_release(request);
}
