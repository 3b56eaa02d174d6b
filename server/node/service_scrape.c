/* GET /metrics. What this node counted is rendered in one go; what is said of each schedule is gathered in portions before
 * (schedule_metrics.h), so that a scrape of thousands holds the loop no longer than another request. */
#include "base/check.h"
#include "node/request.h"

/* ---- a queue ---- */

static void queue_add(struct request_queue *queue, struct request *request)
{
    request->next = NULL;
    if (queue->last == NULL) {
        queue->first = request;
    } else {
        queue->last->next = request;
    }
    queue->last = request;
}

static struct request *queue_take(struct request_queue *queue)
{
    struct request *request = queue->first;
    queue->first = request->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    request->next = NULL;
    return request;
}

/* ---- the answer ---- */

static struct lock_table *service_table(const struct service *service)
{
    return service->replica == NULL ? NULL : replica_table(service->replica);
}

static void scrape_answer(struct request *request, const struct schedule_metrics *schedules)
{
    struct service *service = request->service;
    struct replica_status status;
    struct lock_table_counts counts;
    struct storage_figures storage;
    struct process_figures process;
    struct lock_table *table = service_table(service);
    uint64_t now_ms = loop_mono_ms(service->options.loop);
    struct metrics_facts facts = {
        .uptime_ms = now_ms - service->opened_ms,
        .storage = &storage,
        .process = &process,
        .readers = service->readers,
        .schedules = schedules,
        .connections = service->http == NULL ? 0 : http_connections(service->http),
        .requests_in_flight = service->in_use,
        .log_lines_dropped = service->options.journal == NULL ? 0 : service->options.journal->dropped_total,
    };
    storage_figures(service->options.storage, &storage);
    process_look(&service->process, now_ms, &process);
    if (service->replica != NULL) {
        replica_status(service->replica, &status);
        facts.status = &status;
    }
    if (table != NULL) {
        lock_table_count(table, &counts);
        facts.counts = &counts;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    metrics_render(service->metrics, &facts, &answer);
    request_answer(request, &answer);
}

/* ---- portions ---- */

static bool scrape_gather(struct service *service)
{
    struct lock_table *table = service_table(service);
    return table != NULL && schedule_metrics_gather(&service->scrapes.schedules, table,
                                                    replica_now_estimate_ms(service->replica), service->page.policies);
}

static void scrapes_begin_next(struct service *service)
{
    struct scrapes *scrapes = &service->scrapes;
    schedule_metrics_close(&scrapes->schedules);
    scrapes->is_gathered = false;
    scrapes->now = scrapes->next;
    scrapes->next = (struct request_queue){0};
}

static void scrapes_turn(struct post *post)
{
    struct service *service = post->data;
    struct scrapes *scrapes = &service->scrapes;
    if (!scrapes->is_gathered) {
        scrapes->is_gathered = !scrape_gather(service);
    } else {
        scrape_answer(queue_take(&scrapes->now), &scrapes->schedules);
    }
    if (scrapes->now.first == NULL) {
        scrapes_begin_next(service);
    }
    if (scrapes->now.first != NULL) {
        loop_post(service->options.loop, post);
    }
}

void request_scrape(struct request *request)
{
    struct service *service = request->service;
    struct scrapes *scrapes = &service->scrapes;
    struct lock_table *table = service_table(service);
    struct lock_table_counts counts = {.policies = 0};
    if (table != NULL) {
        lock_table_count(table, &counts);
    }
    if (counts.policies == 0 || service->stopping) {
        static const struct schedule_metrics none;
        scrape_answer(request, &none);
        return;
    }
    queue_add(scrapes->is_gathered ? &scrapes->next : &scrapes->now, request);
    loop_post(service->options.loop, &scrapes->turn);
}

/* ---- life ---- */

void scrapes_open(struct service *service)
{
    service->scrapes.turn = (struct post){.run = scrapes_turn, .data = service};
    schedule_metrics_init(&service->scrapes.schedules);
}

void scrapes_end(struct service *service)
{
    struct scrapes *scrapes = &service->scrapes;
    while (scrapes->now.first != NULL) {
        scrape_answer(queue_take(&scrapes->now), &scrapes->schedules);
        if (scrapes->now.first == NULL) {
            scrapes_begin_next(service);
        }
    }
    schedule_metrics_close(&scrapes->schedules);
    loop_post_cancel(service->options.loop, &scrapes->turn);
}

void scrapes_close(struct service *service)
{
    CHECK(service->scrapes.now.first == NULL);
    scrapes_end(service);
}
