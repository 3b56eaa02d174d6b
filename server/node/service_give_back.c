/* When the client is gone and nobody could claim its grant, the object gives it back: it becomes a release, which is
 * repeated until it was applied or the grant is over by itself. When it isn't known whether there is a grant, the object
 * first repeats the acquire with its own key, which gives the same grant or a new one. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "node/request.h"

enum {
    GIVE_BACK_PAUSE_MS = 500,
    GIVE_BACK_UNKNOWN_MS = 600000, /* how long it is asked whether there is a grant, at most, and at most its TTL */
};

static void give_back_done(struct operation *operation, enum operation_status status, const struct outcome *outcome);

void key_draw(const struct service *service, char key[MADE_KEY_TEXT_BYTES])
{
    uint8_t bytes[MADE_KEY_BYTES];
    loop_random(service->options.loop, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    }
}

static void give_back_submit(struct request *request)
{
    struct command command = request->operation.command;
    request->operation = (struct operation){.command = command, .done = give_back_done, .data = request};
    replica_submit(request->service->replica, &request->operation);
}

void give_back_timer_fired(void *arg)
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

void give_back_stop(struct service *service)
{
    loop_timer_stop(service->options.loop, service->give_back_timer);
    while (service->give_backs != NULL) {
        struct request *request = service->give_backs;
        service->give_backs = request->next;
        request_release(request);
    }
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
    bool is_acquire = operation->command.kind == COMMAND_ACQUIRE;
    if (!is_acquire) { /* how the acquire ended was counted when its client was answered */
        metrics_count_operation(service->metrics, &operation->command, status, outcome);
    }
    if (is_acquire && status == OPERATION_APPLIED && outcome->code == OUTCOME_DONE && outcome->has_grant &&
        !service->stopping) {
        give_back_release(request, outcome->grant.token, outcome->grant.remaining_ms);
        return;
    }
    bool is_over = loop_mono_ns(service->options.loop) >= request->give_back_until_ns;
    if (status == OPERATION_APPLIED || is_over || service->stopping) {
        request_release(request); /* refused means that there is no grant, or not any more */
        return;
    }
    if (service->give_backs == NULL) {
        loop_timer_start(service->options.loop, service->give_back_timer, GIVE_BACK_PAUSE_MS);
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
    char key[MADE_KEY_TEXT_BYTES];
    key_draw(service, key);
    request_send_unknown(request, slice_of(key));
    request->exchange = NULL;
}

bool give_back_granted(struct request *request, const struct outcome *outcome)
{
    /* Repeated: somebody else's grant, by an accident of keys. */
    if (outcome->code != OUTCOME_DONE || !outcome->has_grant || outcome->repeated || !request_is_forsaken(request)) {
        return false;
    }
    give_back_begin(request);
    give_back_release(request, outcome->grant.token, outcome->grant.remaining_ms);
    return true;
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

/* With its key, which its client never learns, there is at most one grant: asks for it until it is known. */
bool give_back_unknown(struct request *request)
{
    if (!request_is_forsaken(request)) {
        return false;
    }
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
