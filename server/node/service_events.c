/* GET /events: who may listen, from where on, and what is heard of this node.
 *
 * A reader may come with the id of an event that isn't applied here yet: another node told of it. Behind a barrier
 * everything that was ever told is applied here, so that an id which is still to come then was never given. */
#include "base/check.h"
#include "node/request.h"

enum { STREAM_STATUS = 200 };

/* The same on every node; a restored cluster has another id, and so another generation. False: it isn't founded yet. */
static bool service_generation(const struct service *service, uint64_t *generation)
{
    const struct storage_identity *identity = storage_identity(service->options.storage);
    if (identity == NULL || !identity->initialised) {
        return false;
    }
    *generation = 0;
    for (size_t i = 0; i < 4; i++) {
        *generation = *generation << 8 | identity->cluster_id[i];
    }
    return true;
}

uint64_t service_applied_index(void *arg)
{
    const struct service *service = arg;
    struct lock_table *table = service->replica == NULL ? NULL : replica_table(service->replica);
    struct lock_table_counts counts = {.index = 0};
    if (table != NULL) {
        lock_table_count(table, &counts);
    }
    return counts.index;
}

static void request_begin_stream(struct request *request, uint64_t generation)
{
    struct service *service = request->service;
    struct api_answer answer;
    struct answer_headers headers;
    api_answer_init(&answer);
    answer.status = STREAM_STATUS;
    answer.content_type = "text/event-stream";
    if (slice_equal(exchange_method(request->exchange), slice_of("HEAD"))) {
        request_answer(request, &answer); /* how it would begin */
        return;
    }
    answer_headers_fill(&headers, service, &answer);
    answer_headers_add(&headers, "Cache-Control", "no-store");
    struct event_reader_begin begin = {
        .exchange = request->exchange,
        .status = answer.status,
        .headers = headers.list,
        .n_headers = headers.n,
        .wanted = &request->parsed.events,
        .generation = generation,
    };
    event_readers_add(service->readers, &begin);
    request_count_answer(request, answer.status);
    api_answer_close(&answer);
    request_release(request);
}

/* True: it is begun, or refused. False: the last id is one of this cluster's, and none that was applied here. */
static bool request_try_listen(struct request *request, bool is_behind_barrier)
{
    struct service *service = request->service;
    const struct api_events *wanted = &request->parsed.events;
    uint64_t generation;
    if (service->stopping || service->replica == NULL || replica_table(service->replica) == NULL ||
        !service_generation(service, &generation)) {
        request_refuse_status(request, OPERATION_NOT_READY);
        return true;
    }
    bool is_ours = wanted->has_last_id && wanted->last_id_is_readable && wanted->last_id.generation == generation;
    if (is_ours && !is_behind_barrier && wanted->last_id.index > service_applied_index(service)) {
        return false;
    }
    if (event_readers_count(service->readers) == LIMIT_EVENT_READERS) {
        request_refuse(request, API_OVERLOADED,
                       "Too many readers of events are connected to this node. Connect to another one.");
        return true;
    }
    request_begin_stream(request, generation);
    return true;
}

/* Whether the barrier was reached or not: an id that isn't applied now counts as gone. */
static void barrier_done(struct replica_read *read, enum operation_status status)
{
    (void)status;
    CHECK(request_try_listen(read->data, true));
}

void request_listen(struct request *request)
{
    if (!request_try_listen(request, false)) {
        request->read = (struct replica_read){.done = barrier_done, .data = request};
        replica_read(request->service->replica, &request->read);
    }
}

/* ---- what the replica tells of ---- */

void service_record_event(struct service *service, const struct event *event)
{
    event_readers_record(service->readers, event);
}

void service_skip_events(struct service *service)
{
    event_readers_skip(service->readers);
}

void service_look_who_leads(struct service *service)
{
    struct replica_status status;
    if (service->replica != NULL) {
        replica_status(service->replica, &status);
        event_readers_leader(service->readers, status.leader, status.term);
    }
}
