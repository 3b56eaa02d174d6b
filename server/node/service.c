/* The happy path: service_request parses the exchange into a request object, hands its command to the replica, and the
 * outcome is rendered when it is known (service_write.c); object and arena go back to the pool.
 *
 * Else: a request that is wrong, foreign, or one too many is answered inside service_request. What the replica couldn't
 * decide is answered 503 (nothing was changed) or 504 (unknown, with the key that makes a repeat safe). */
#include "node/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "node/browser.h"
#include "node/health.h"
#include "node/request.h"

/* ---- the pool ---- */

static struct request *request_take(struct service *service)
{
    struct request *request = service->free;
    if (service->in_use == service->options.requests) {
        return NULL;
    }
    if (request == NULL) {
        request = calloc(1, sizeof *request);
        CHECK(request != NULL);
        request->service = service;
        arena_init(&request->arena, LIMIT_REQUEST_BYTES);
    } else {
        service->free = request->next;
    }
    service->in_use++;
    request->next = NULL;
    request->key_is_made = false;
    request->gives_back = false;
    request->began_ns = loop_mono_ns(service->options.loop);
    return request;
}

void request_release(struct request *request)
{
    struct service *service = request->service;
    arena_clear(&request->arena);
    request->exchange = NULL;
    request->next = service->free;
    service->free = request;
    service->in_use--;
    service->n_give_backs -= request->gives_back;
}

/* ---- one exchange ---- */

static bool request_parse(struct request *request, struct api_answer *problem)
{
    size_t n_query;
    const struct http_pair *query = exchange_query(request->exchange, &n_query);
    struct api_pair *pairs = NULL;
    if (n_query > 0) {
        pairs = arena_alloc(&request->arena, n_query * sizeof *pairs);
        if (pairs == NULL) {
            request->parsed.route = API_ROUTE_NONE;
            api_render_problem(API_INVALID_FIELD, "query", "There are too many query parameters: send fewer.", problem);
            return false;
        }
    }
    for (size_t i = 0; i < n_query; i++) {
        pairs[i] = (struct api_pair){.name = query[i].name, .value = query[i].value};
    }
    struct api_input input = {
        .method = exchange_method(request->exchange),
        .path = exchange_path(request->exchange),
        .query = pairs,
        .n_query = n_query,
        .body = exchange_body(request->exchange),
    };
    input.last_event_id = exchange_header(request->exchange, "Last-Event-ID", NULL);
    input.idempotency_key = exchange_header(request->exchange, "Idempotency-Key", &input.n_idempotency_keys);
    return api_parse(&input, &request->arena, &request->parsed, problem);
}

static const char *request_refuse_browser(const struct request *request)
{
    const struct exchange *exchange = request->exchange;
    size_t hosts;
    size_t origins;
    size_t sites;
    struct browser_headers headers = {
        .host = exchange_header(exchange, "Host", &hosts),
        .origin = exchange_header(exchange, "Origin", &origins),
        .sec_fetch_site = exchange_header(exchange, "Sec-Fetch-Site", &sites),
        .user_agent = exchange_header(exchange, "User-Agent", NULL),
        .has_sec_fetch = exchange_count_headers(exchange, "Sec-Fetch-") > 0,
    };
    headers.ambiguous = hosts > 1 || origins > 1 || sites > 1;
    return browser_refuse(&headers, request->service->options.hosts, request->service->options.n_hosts);
}

/* Nothing can be proposed or looked up now. */
static void request_refuse_closed(struct request *request)
{
    struct service *service = request->service;
    const char *detail = service->stopping
                             ? "This node is stopping, and nothing was changed. Send the request to another one."
                             : "This node is starting, and nothing was changed. Send the request again.";
    if (api_route_kind(request->parsed.route) == API_KIND_WRITE) {
        metrics_count_operation(service->metrics, &request->parsed.command, OPERATION_NOT_READY, NULL);
    }
    request_refuse(request, API_NOT_READY, detail);
}

static void request_dispatch(struct request *request)
{
    const struct service *service = request->service;
    enum api_kind kind = api_route_kind(request->parsed.route);
    if (kind == API_KIND_LOCAL) {
        request_answer_locally(request);
    } else if (service->stopping || service->replica == NULL) {
        request_refuse_closed(request);
    } else if (kind == API_KIND_READ) {
        request_read(request);
    } else if (kind == API_KIND_STREAM) {
        request_listen(request);
    } else {
        request_propose(request);
    }
}

/* So the refusal below is for smaller pools only. It comes before anybody has looked what the request is: were it ever
 * reached, acquires would be refused that baton_lock_acquire_total doesn't count, and nobody could ask for health or
 * metrics. */
_Static_assert(LIMIT_CONNECTIONS + LIMIT_GIVE_BACKS <= LIMIT_REQUESTS,
               "each connection has at most one request under way, beside the grants that are being given back");

void service_request(void *arg, struct exchange *exchange)
{
    struct service *service = arg;
    struct request *request = request_take(service);
    if (request == NULL) {
        service_refuse(service, exchange, API_OVERLOADED,
                       "Too many requests wait on this node, so nothing was changed. Send the request again later.");
        return;
    }
    request->exchange = exchange;
    struct api_answer problem;
    api_answer_init(&problem);
    if (!request_parse(request, &problem)) {
        request_answer(request, &problem);
        return;
    }
    api_answer_close(&problem);
    const char *refused = request_refuse_browser(request);
    if (refused != NULL) {
        request_refuse(request, API_FORBIDDEN, refused);
        return;
    }
    request_dispatch(request);
}

void service_refuse_body(void *arg, struct exchange *exchange)
{
    char detail[128];
    (void)snprintf(detail, sizeof detail, "The body is over its bound of %zu bytes: send less.",
                   api_body_limit(exchange_method(exchange), exchange_path(exchange)));
    service_refuse(arg, exchange, API_BODY_TOO_LARGE, detail);
}

size_t service_body_limit(void *arg, struct slice method, struct slice path)
{
    (void)arg;
    return api_body_limit(method, path);
}

/* ---- life ---- */

struct service *service_open(const struct service_options *options)
{
    struct service *service = calloc(1, sizeof *service);
    CHECK(service != NULL);
    service->options = *options;
    service->opened_ms = loop_mono_ms(options->loop);
    service->leader_is_stale = true;
    service->give_back_timer = loop_timer_open(options->loop, give_back_timer_fired, service);
    service->metrics = metrics_open();
    struct event_readers_options readers = {
        .loop = options->loop, .applied_index = service_applied_index, .arg = service};
    service->readers = event_readers_open(&readers);
    scrapes_open(service);
    process_init(&service->process);
    return service;
}

void service_attach_http(struct service *service, struct http_server *http)
{
    service->http = http;
}

void service_attach(struct service *service, struct replica *replica)
{
    service->replica = replica;
    service->leader_is_stale = true;
}

void service_look_again(struct service *service)
{
    service->leader_is_stale = true;
    service_look_who_leads(service);
}

void service_note_turn(struct service *service, uint64_t wall_ns)
{
    metrics_count_turn(service->metrics, wall_ns);
    if (wall_ns > HEALTH_STALL_MS * UINT64_C(1000000)) {
        service->stall_ns = wall_ns;
        service->stall_seen_ms = loop_mono_ms(service->options.loop);
    }
}

void service_stop(struct service *service)
{
    service->stopping = true;
    give_back_stop(service);
    event_readers_end(service->readers);
    scrapes_end(service);
}

void service_detach(struct service *service)
{
    scrapes_end(service);
    service->replica = NULL;
    service->leader_is_stale = true;
}

size_t service_pending(const struct service *service)
{
    return service->in_use;
}

void service_close(struct service *service)
{
    CHECK(service->in_use == 0);
    loop_timer_close(service->options.loop, service->give_back_timer);
    while (service->free != NULL) {
        struct request *request = service->free;
        service->free = request->next;
        arena_close(&request->arena);
        free(request);
    }
    event_readers_close(service->readers);
    scrapes_close(service);
    metrics_close(service->metrics);
    free(service);
}
