/* What this node answers by itself, also while it starts or stops: how it is, and the contract. */
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

void request_answer_locally(struct request *request)
{
    struct api_answer answer;
    if (request->parsed.route == API_METRICS) {
        request_scrape(request);
        return;
    }
    api_answer_init(&answer);
    switch (request->parsed.route) {
    case API_HEALTH:
    case API_HEALTH_READY:
        show_health(request, &answer);
        break;
    case API_HEALTH_LIVE:
        api_render_live(&answer);
        break;
    case API_OPENAPI:
        api_render_openapi(&answer);
        break;
    default:
        CHECK(false); /* no other route is answered here */
    }
    request_answer(request, &answer);
}
