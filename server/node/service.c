/* The happy path: service_request parses the exchange into a request object, hands its command to the replica, and
 * operation_done renders the outcome; object and arena go back to the pool.
 *
 * Else: a request that is wrong, foreign, or one too many is answered inside service_request. What the replica couldn't
 * decide is answered 503 (nothing was changed) or 504 (unknown, with the key that makes a repeat safe).
 *
 * When the client is gone and nobody could claim its grant, the object gives it back: it becomes a release, which is
 * repeated until it was applied or the grant is over by itself. When it isn't known whether there is a grant, the object
 * first repeats the acquire with its own key, which gives the same grant or a new one. */
#include "node/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/check.h"
#include "base/limits.h"
#include "node/browser.h"
#include "node/health.h"

enum {
    LEADER_TEXT_BYTES = LIMIT_NAME_BYTES + 16,
    LEADER_KEEP_MS = 1000, /* how long the cached address of the leader counts, at most */
    GIVE_BACK_PAUSE_MS = 500,
    GIVE_BACK_UNKNOWN_MS = 600000, /* how long it is asked whether there is a grant, at most, and at most its TTL */
    MADE_KEY_BYTES = 16,
    ANSWER_HEADERS = 8,
};

struct request {
    struct service *service;
    struct exchange *exchange; /* NULL: it was answered, and this object gives a grant back */
    struct api_request parsed;
    struct arena arena;
    struct operation operation;
    struct replica_read read;
    bool key_is_made; /* the client sent none */
    bool gives_back;
    char made_key[2 * MADE_KEY_BYTES + 1];
    uint8_t give_back_id[LIMIT_NAME_BYTES]; /* the schedule's, which outlives the exchange */
    uint64_t give_back_until_ns;
    struct request *next; /* in `free` or in `give_backs` */
};

struct service {
    struct service_options options;
    struct replica *replica;
    bool stopping;
    uint64_t opened_ms;
    struct request *free;
    struct request *give_backs; /* waiting for their next attempt */
    struct timer *give_back_timer;
    size_t n_give_backs; /* those under way, too */
    size_t in_use;
    char leader_http[LEADER_TEXT_BYTES]; /* "" when it isn't known */
    uint64_t leader_seen_ms;
    bool leader_is_stale;
};

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
    return request;
}

static void request_release(struct request *request)
{
    struct service *service = request->service;
    arena_clear(&request->arena);
    request->exchange = NULL;
    request->next = service->free;
    service->free = request;
    service->in_use--;
    service->n_give_backs -= request->gives_back;
}

/* ---- answering ---- */

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

static void exchange_send(struct service *service, struct exchange *exchange, const struct api_answer *answer)
{
    struct http_header headers[ANSWER_HEADERS];
    size_t n = 0;
    char key[LIMIT_OCCURRENCE_BYTES + 1];
    char retry_after[16];
    const char *leader = service_leader(service);
    headers[n++] = (struct http_header){"Baton-Node", service->options.node};
    if (leader != NULL) {
        headers[n++] = (struct http_header){"Baton-Leader", leader};
    }
    if (answer->content_type != NULL) {
        headers[n++] = (struct http_header){"Content-Type", answer->content_type};
    }
    if (answer->allow != NULL) {
        headers[n++] = (struct http_header){"Allow", answer->allow};
    }
    if (answer->retry_after_s > 0) {
        (void)snprintf(retry_after, sizeof retry_after, "%u", answer->retry_after_s);
        headers[n++] = (struct http_header){"Retry-After", retry_after};
    }
    if (slice_is_present(answer->idempotency_key)) {
        CHECK(answer->idempotency_key.len < sizeof key);
        memcpy(key, answer->idempotency_key.base, answer->idempotency_key.len);
        key[answer->idempotency_key.len] = 0;
        headers[n++] = (struct http_header){"Idempotency-Key", key};
    }
    exchange_answer(exchange, answer->status, headers, n, buffer_slice(&answer->body));
}

static void exchange_refuse(struct service *service, struct exchange *exchange, enum api_code code, const char *detail)
{
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_problem(code, NULL, detail, &answer);
    exchange_send(service, exchange, &answer);
    api_answer_close(&answer);
}

/* Answers with what `answer` holds, and frees both. */
static void request_answer(struct request *request, struct api_answer *answer)
{
    exchange_send(request->service, request->exchange, answer);
    api_answer_close(answer);
    request_release(request);
}

static void request_refuse(struct request *request, enum api_code code, const char *detail)
{
    exchange_refuse(request->service, request->exchange, code, detail);
    request_release(request);
}

/* Every status but OPERATION_APPLIED, for reads and writes. */
static void request_refuse_status(struct request *request, enum operation_status status)
{
    switch (status) {
    case OPERATION_NO_LEADER:
        request_refuse(request, API_NO_LEADER,
                       "No leader is known, so nothing was changed. Send the request again, here or to another node.");
        return;
    case OPERATION_NOT_READY:
        request_refuse(request, API_NOT_READY,
                       "This node can't serve yet, so nothing was changed. Send the request to another node, or ask "
                       "GET /health what is waited for.");
        return;
    case OPERATION_OVERLOADED:
        request_refuse(request, API_OVERLOADED,
                       "Too many requests wait on this node, so nothing was changed. Send the request again later.");
        return;
    case OPERATION_UNKNOWN:
    case OPERATION_APPLIED:
        break;
    }
    CHECK(status == OPERATION_UNKNOWN);
    struct api_answer answer;
    api_answer_init(&answer);
    bool is_acquire = request->parsed.route == API_ACQUIRE;
    struct slice none = {0};
    api_render_unknown(is_acquire ? request->parsed.command.acquire.idempotency_key : none, &answer);
    request_answer(request, &answer);
}

static void key_draw(const struct service *service, char key[2 * MADE_KEY_BYTES + 1])
{
    uint8_t bytes[MADE_KEY_BYTES];
    loop_random(service->options.loop, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* ---- giving back what nobody can claim ---- */

static void give_back_submit(struct request *request);

static void give_back_timer_start(struct service *service)
{
    loop_timer_start(service->options.loop, service->give_back_timer, GIVE_BACK_PAUSE_MS);
}

static void give_back_timer_fired(void *arg)
{
    struct service *service = arg;
    struct request *request = service->give_backs;
    service->give_backs = NULL;
    while (request != NULL) {
        struct request *next = request->next;
        request->next = NULL;
        give_back_submit(request);
        request = next;
    }
}

static void give_back_done(struct operation *operation, enum operation_status status, const struct outcome *outcome);

static void give_back_submit(struct request *request)
{
    struct command command = request->operation.command;
    request->operation = (struct operation){.command = command, .done = give_back_done, .data = request};
    replica_submit(request->service->replica, &request->operation);
}

static void give_back_release(struct request *request, uint64_t token, uint64_t remaining_ms)
{
    struct service *service = request->service;
    struct slice schedule_id = {.base = request->give_back_id, .len = request->parsed.schedule_id.len};
    log_info(service->options.log, "grant given back: its client hung up", LOG_SLICE("schedule", schedule_id),
             LOG_U64("token", token));
    request->give_back_until_ns = loop_mono_ns(service->options.loop) + remaining_ms * 1000000u;
    request->operation.command = (struct command){
        .kind = COMMAND_RELEASE,
        .release = {.schedule_id = schedule_id, .token = token, .has_outcome = true, .outcome = RUN_ABANDONED},
    };
    give_back_submit(request);
}

/* Of the release, or of the acquire that was repeated to learn what there is to release. */
static void give_back_done(struct operation *operation, enum operation_status status, const struct outcome *outcome)
{
    struct request *request = operation->data;
    struct service *service = request->service;
    if (status == OPERATION_APPLIED && operation->command.kind == COMMAND_ACQUIRE && outcome->code == OUTCOME_DONE &&
        outcome->has_grant && !service->stopping) {
        give_back_release(request, outcome->grant.token, outcome->grant.remaining_ms);
        return;
    }
    bool is_over = loop_mono_ns(service->options.loop) >= request->give_back_until_ns;
    if (status == OPERATION_APPLIED || is_over || service->stopping) {
        request_release(request); /* refused means that there is no grant, or not any more */
        return;
    }
    if (service->give_backs == NULL) {
        give_back_timer_start(service);
    }
    request->next = service->give_backs;
    service->give_backs = request;
}

/* The client has closed its connection and has no key to come again with. */
static bool request_is_forsaken(const struct request *request)
{
    const struct service *service = request->service;
    return request->parsed.route == API_ACQUIRE && request->key_is_made && !service->stopping &&
           service->n_give_backs < LIMIT_GIVE_BACKS && exchange_is_gone(request->exchange);
}

/* Parts with the exchange; from here on the object gives back. */
static void give_back_begin(struct request *request)
{
    struct service *service = request->service;
    request->gives_back = true;
    service->n_give_backs++;
    CHECK(request->parsed.schedule_id.len <= sizeof request->give_back_id);
    memcpy(request->give_back_id, request->parsed.schedule_id.base, request->parsed.schedule_id.len);
    /* Who has closed only its sending half still reads this. It must not be a 201, and its key must be a new one: a repeat
     * with the old one could still get the grant that is about to be released, and run its job without a lock. */
    char key[sizeof request->made_key];
    key_draw(service, key);
    struct api_answer answer;
    api_answer_init(&answer);
    api_render_unknown(slice_of(key), &answer);
    exchange_send(service, request->exchange, &answer);
    api_answer_close(&answer);
    request->exchange = NULL;
}

/* Copies what lies in the exchange's memory. False when it doesn't fit. */
static bool acquire_keep(struct acquire_command *acquire, struct arena *arena)
{
    struct slice *const parts[] = {&acquire->schedule_id, &acquire->holder, &acquire->occurrence, &acquire->metadata};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (slice_is_present(*parts[i])) {
            *parts[i] = arena_copy(arena, *parts[i]);
            if (!slice_is_present(*parts[i])) {
                return false;
            }
        }
    }
    return true;
}

/* Nobody knows whether the acquire was granted, or will be. With its key, which its client never learns, there is at most
 * one grant: asks for it until it is known. False: it can't be done. */
static bool give_back_unknown(struct request *request)
{
    struct acquire_command acquire = request->parsed.command.acquire;
    if (!acquire_keep(&acquire, &request->arena)) {
        return false;
    }
    bool is_short = acquire.has_ttl && acquire.ttl_ms < GIVE_BACK_UNKNOWN_MS;
    uint64_t wait_ms = is_short ? acquire.ttl_ms : GIVE_BACK_UNKNOWN_MS;
    request->give_back_until_ns = loop_mono_ns(request->service->options.loop) + wait_ms * 1000000u;
    give_back_begin(request);
    request->operation.command = (struct command){.kind = COMMAND_ACQUIRE, .acquire = acquire};
    give_back_submit(request);
    return true;
}

/* ---- writes ---- */

static void log_skipped(const struct service *service, const struct request *request, const struct outcome *outcome)
{
    if (request->parsed.route != API_ACQUIRE || outcome->code == OUTCOME_DONE ||
        !log_would_write(service->options.log, LOG_LEVEL_DEBUG)) {
        return;
    }
    struct buffer sentence;
    buffer_init(&sentence);
    api_render_skipped(request->parsed.schedule_id, outcome, &sentence);
    log_write(service->options.log, LOG_LEVEL_DEBUG, buffer_slice(&sentence), NULL, 0);
    buffer_close(&sentence);
}

static void operation_done(struct operation *operation, enum operation_status status, const struct outcome *outcome)
{
    struct request *request = operation->data;
    if (status == OPERATION_UNKNOWN && request_is_forsaken(request) && give_back_unknown(request)) {
        return;
    }
    if (status != OPERATION_APPLIED) {
        request_refuse_status(request, status);
        return;
    }
    log_skipped(request->service, request, outcome);
    /* Repeated: somebody else's grant, by an accident of keys. */
    if (outcome->code == OUTCOME_DONE && outcome->has_grant && !outcome->repeated && request_is_forsaken(request)) {
        give_back_begin(request);
        give_back_release(request, outcome->grant.token, outcome->grant.remaining_ms);
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

static void request_propose(struct request *request)
{
    if (request->parsed.route == API_ACQUIRE) {
        request_make_key(request);
    }
    request->operation =
        (struct operation){.command = request->parsed.command, .done = operation_done, .data = request};
    replica_submit(request->service->replica, &request->operation);
}

/* ---- reads ---- */

static void request_show_status(struct request *request)
{
    struct lock_table *table = replica_table(request->service->replica);
    if (table == NULL) {
        request_refuse_status(request, OPERATION_NOT_READY);
        return;
    }
    struct schedule_view view;
    struct api_answer answer;
    api_answer_init(&answer);
    lock_table_view(table, request->parsed.schedule_id, &view);
    api_render_status(request->parsed.schedule_id, &view, &answer);
    request_answer(request, &answer);
}

static void read_done(struct replica_read *read, enum operation_status status)
{
    struct request *request = read->data;
    if (status == OPERATION_APPLIED) {
        request_show_status(request);
    } else if (status == OPERATION_UNKNOWN) {
        request_refuse_status(request, OPERATION_NO_LEADER); /* a read has no outcome that could be unknown */
    } else {
        request_refuse_status(request, status);
    }
}

static void request_show_health(struct request *request)
{
    struct service *service = request->service;
    struct replica_status status;
    if (service->replica != NULL) {
        replica_status(service->replica, &status);
    }
    struct health_facts facts = {
        .node = service->options.node,
        .uptime_ms = loop_mono_ms(service->options.loop) - service->opened_ms,
        .stopping = service->stopping,
        .status = service->replica == NULL ? NULL : &status,
    };
    struct api_answer answer;
    api_answer_init(&answer);
    health_render(&facts, &request->arena, &answer);
    request_answer(request, &answer);
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

static void request_dispatch(struct request *request)
{
    struct service *service = request->service;
    struct api_answer answer;
    switch (request->parsed.route) {
    case API_HEALTH:
    case API_HEALTH_READY:
        request_show_health(request);
        return;
    case API_HEALTH_LIVE:
        api_answer_init(&answer);
        api_render_live(&answer);
        request_answer(request, &answer);
        return;
    case API_ACQUIRE:
    case API_RENEW:
    case API_RELEASE:
    case API_LOCK_STATUS:
        break;
    case API_ROUTE_NONE:
        CHECK(false); /* api_parse answers it */
    }
    if (service->stopping || service->replica == NULL) {
        request_refuse(request, API_NOT_READY,
                       service->stopping
                           ? "This node is stopping, and nothing was changed. Send the request to another one."
                           : "This node is starting, and nothing was changed. Send the request again.");
    } else if (request->parsed.route != API_LOCK_STATUS) {
        request_propose(request);
    } else if (request->parsed.stale) {
        request_show_status(request);
    } else {
        request->read = (struct replica_read){.done = read_done, .data = request};
        replica_read(service->replica, &request->read);
    }
}

void service_request(void *arg, struct exchange *exchange)
{
    struct service *service = arg;
    struct request *request = request_take(service);
    if (request == NULL) {
        exchange_refuse(service, exchange, API_OVERLOADED,
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
    exchange_refuse(arg, exchange, API_BODY_TOO_LARGE, detail);
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
    return service;
}

void service_attach(struct service *service, struct replica *replica)
{
    service->replica = replica;
    service->leader_is_stale = true;
}

void service_look_again(struct service *service)
{
    service->leader_is_stale = true;
}

void service_stop(struct service *service)
{
    service->stopping = true;
    loop_timer_stop(service->options.loop, service->give_back_timer);
    while (service->give_backs != NULL) {
        struct request *request = service->give_backs;
        service->give_backs = request->next;
        request_release(request);
    }
}

void service_detach(struct service *service)
{
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
    free(service);
}
