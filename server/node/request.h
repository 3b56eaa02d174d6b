/* request: what the files of service share: one exchange under way, and the service that has it.
 *
 *   service.c            life, the pool, parsing, who goes where
 *   service_answer.c     the one way out: every answer leaves, and is counted, there
 *   service_local.c      what this node answers by itself: health and the contract
 *   service_scrape.c     metrics, which take several turns of the loop
 *   service_read.c       what is looked up in the table, behind a barrier or at once
 *   service_write.c      what is proposed, and may wait
 *   service_events.c     who listens
 *   service_give_back.c  what nobody can claim any more
 *
 * A request is taken from the pool when its exchange is whole, and goes back when it was answered; one that gives a grant
 * back parts with its exchange first, and goes back when the grant is gone. */
#ifndef BATON_NODE_REQUEST_H
#define BATON_NODE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "base/limits.h"
#include "node/event_readers.h"
#include "node/metrics.h"
#include "node/process.h"
#include "node/schedule_metrics.h"
#include "node/service.h"

enum {
    LEADER_TEXT_BYTES = LIMIT_NAME_BYTES + 16,
    MADE_KEY_BYTES = 16,
    MADE_KEY_TEXT_BYTES = 2 * MADE_KEY_BYTES + 1,
};

struct request {
    struct service *service;
    struct exchange *exchange; /* NULL: it was answered, and this object gives a grant back */
    uint64_t began_ns;         /* when the exchange was whole */
    struct api_request parsed;
    struct arena arena;
    struct operation operation;
    struct replica_read read;
    bool key_is_made; /* the client sent none */
    bool gives_back;
    char made_key[MADE_KEY_TEXT_BYTES];
    uint8_t give_back_id[LIMIT_NAME_BYTES]; /* the schedule's, which outlives the exchange */
    uint64_t give_back_until_ns;
    struct request *next; /* in `free`, in `give_backs`, or among those that scrape */
};

/* Views of one answer. It is filled and rendered in one go, so one is enough for all requests. */
union page {
    struct grant_view locks[LIMIT_LIST];
    struct policy_view policies[LIMIT_LIST];
    struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
    struct group_view groups[LIMIT_LIST];
    struct freeze_view freezes[LIMIT_LIST];
};

/* Requests in the order in which they came. */
struct request_queue {
    struct request *first;
    struct request *last;
};

/* What is said of each schedule is gathered in portions, once for all who ask meanwhile; then they are answered, one in a
 * turn. Who comes then waits for the next gathering. */
struct scrapes {
    struct schedule_metrics schedules;
    bool is_gathered;
    struct request_queue now;  /* served by what is being gathered, or was; empty: nothing is under way */
    struct request_queue next; /* by the next one */
    struct post turn;
};

struct service {
    struct service_options options;
    struct replica *replica;
    struct http_server *http;
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
    uint64_t stall_ns; /* the last turn of the loop that was long enough for health to tell of; 0: none */
    uint64_t stall_seen_ms;
    struct metrics *metrics;
    struct event_readers *readers;
    struct scrapes scrapes;
    struct process process;
    union page page;
};

void request_release(struct request *request); /* back to the pool */

/* ---- service_answer.c ---- */

#define ANSWER_HEADERS 8u
struct answer_headers {
    struct http_header list[ANSWER_HEADERS];
    size_t n;
    char key[LIMIT_OCCURRENCE_BYTES + 1];
    char retry_after[16];
};
/* What every answer carries, and what this one says; they point into `answer`, the service, and `headers` itself. */
void answer_headers_fill(struct answer_headers *headers, struct service *service, const struct api_answer *answer);
void answer_headers_add(struct answer_headers *headers, const char *name, const char *value);
void request_count_answer(const struct request *request, unsigned status);

/* Each of these answers the exchange, and frees the request. */
void request_answer(struct request *request, struct api_answer *answer); /* closes `answer` */
void request_refuse(struct request *request, enum api_code code, const char *detail);
void request_refuse_status(struct request *request, enum operation_status status); /* but for OPERATION_APPLIED */

/* These answer, and leave the request alone. */
void request_send_unknown(struct request *request, struct slice idempotency_key);
/* Answers an exchange that never got a request. */
void service_refuse(struct service *service, struct exchange *exchange, enum api_code code, const char *detail);

/* ---- where a parsed request goes ---- */

void request_answer_locally(struct request *request);
void request_scrape(struct request *request);
void request_read(struct request *request);
void request_propose(struct request *request);
void request_listen(struct request *request);

/* ---- service_scrape.c ---- */

void scrapes_open(struct service *service);
void scrapes_end(struct service *service); /* answers all that are under way, with what is gathered */
void scrapes_close(struct service *service);

/* ---- service_events.c ---- */

uint64_t service_applied_index(void *service);
void service_look_who_leads(struct service *service);

/* ---- service_give_back.c ---- */

/* An acquire was applied with `outcome`, or nobody knows whether it was (NULL). True: its client has hung up and nobody
 * can claim the grant, so that it is given back, and the request is answered. */
bool give_back_granted(struct request *request, const struct outcome *outcome) MUST_CHECK;
bool give_back_unknown(struct request *request) MUST_CHECK;
void give_back_timer_fired(void *service);
void give_back_stop(struct service *service); /* forgets those that wait for their next attempt */

void key_draw(const struct service *service, char key[MADE_KEY_TEXT_BYTES]);

#endif
