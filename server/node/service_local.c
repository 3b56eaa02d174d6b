/* What this node answers by itself, also while it starts or stops: how it is, what it counted, and the contract. */
#include "base/check.h"
#include "node/health.h"
#include "node/request.h"

static void show_health(struct request *request, struct api_answer *answer)
{
    struct service *service = request->service;
    struct replica_status status;
    uint64_t now_ms = loop_mono_ms(service->options.loop);
    if (service->replica != NULL) {
        replica_status(service->replica, &status);
    }
    struct health_facts facts = {
        .node = service->options.node,
        .uptime_ms = now_ms - service->opened_ms,
        .stopping = service->stopping,
        .status = service->replica == NULL ? NULL : &status,
    };
    if (service->stall_ns > 0 && now_ms - service->stall_seen_ms <= HEALTH_STALL_KEEP_MS) {
        facts.stall_ms = service->stall_ns / 1000000u;
        facts.stall_ago_ms = now_ms - service->stall_seen_ms;
    }
    health_render(&facts, &request->arena, answer);
}

static void show_metrics(struct request *request, struct api_answer *answer)
{
    struct service *service = request->service;
    struct replica_status status;
    struct lock_table_counts counts;
    struct storage_figures storage;
    struct process_figures process;
    struct lock_table *table = NULL;
    uint64_t now_ms = loop_mono_ms(service->options.loop);
    struct metrics_facts facts = {
        .uptime_ms = now_ms - service->opened_ms,
        .storage = &storage,
        .process = &process,
        .connections = service->http == NULL ? 0 : http_connections(service->http),
        .requests_in_flight = service->in_use,
        .log_lines_dropped = service->options.journal == NULL ? 0 : service->options.journal->dropped_total,
    };
    storage_figures(service->options.storage, &storage);
    process_look(&service->process, now_ms, &process);
    if (service->replica != NULL) {
        replica_status(service->replica, &status);
        facts.status = &status;
        table = replica_table(service->replica);
    }
    if (table != NULL) {
        lock_table_count(table, &counts);
        facts.counts = &counts;
    }
    metrics_render(service->metrics, &facts, answer);
}

void request_answer_locally(struct request *request)
{
    struct api_answer answer;
    api_answer_init(&answer);
    switch (request->parsed.route) {
    case API_HEALTH:
    case API_HEALTH_READY:
        show_health(request, &answer);
        break;
    case API_HEALTH_LIVE:
        api_render_live(&answer);
        break;
    case API_METRICS:
        show_metrics(request, &answer);
        break;
    case API_OPENAPI:
        api_render_openapi(&answer);
        break;
    default:
        CHECK(false); /* no other route is answered here */
    }
    request_answer(request, &answer);
}
