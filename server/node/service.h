/* service: from an exchange to its answer. Parses (api), refuses what a foreign web page sends (browser), answers here
 * what this node knows, proposes or asks the replica for the rest, and renders what comes back. It counts what it answers
 * (metrics).
 *
 * Each exchange that isn't answered at once holds one request object of a bounded pool until its operation or its read is
 * done; one that waits for a lock leaves the queue when its client hangs up. Who listens to events holds a reader instead
 * (event_readers.h). An object outlives its exchange in one case: the client has hung up before its acquire was answered and sent no
 * Idempotency-Key, so that nobody can claim the grant; then the object gives it back, be it certain or only possible. */
#ifndef BATON_NODE_SERVICE_H
#define BATON_NODE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "base/loop.h"
#include "http/http.h"
#include "node/journal.h"
#include "replica/replica.h"
#include "storage/storage.h"

struct service;

struct service_options {
    const struct loop *loop;
    const struct log *log;
    const char *node;
    const struct slice *hosts; /* names by which browsers may reach this node (browser.h); kept by the caller */
    size_t n_hosts;
    size_t requests;               /* LIMIT_REQUESTS; past it 503 overloaded */
    struct storage *storage;       /* for its figures; outlives the service */
    const struct journal *journal; /* as well; NULL: none */
};

/* Copies the options. Never NULL. Until service_attach every request but those that this node answers by itself (health,
 * metrics, the contract) is answered 503 not_ready. */
struct service *service_open(const struct service_options *options);
void service_attach_http(struct service *service, struct http_server *http); /* whose connections are counted */
void service_attach(struct service *service, struct replica *replica);
/* From now on every request but those that this node answers by itself is 503 not_ready, no grant is given back any more, and
 * who listens to events hears their end. Before replica_close. */
void service_stop(struct service *service);
/* After the replica has closed and answered everything: forgets it. */
void service_detach(struct service *service);
size_t service_pending(const struct service *service); /* request objects in use */
void service_close(struct service *service);           /* none may be in use */

/* Role, leader or readiness of the replica may have changed: look again before the next answer, and tell who listens. Not from
 * inside a call of the replica. */
void service_look_again(struct service *service);

/* What the replica tells of its table, from inside apply: something happened, or the table is another one. */
void service_record_event(struct service *service, const struct event *event);
void service_skip_events(struct service *service);

/* A turn of the loop has ended: for /metrics, and for /health when it was a long one. */
void service_note_turn(struct service *service, uint64_t wall_ns);

/* For http_options; `arg` is the service. */
void service_request(void *arg, struct exchange *exchange);
void service_refuse_body(void *arg, struct exchange *exchange);
size_t service_body_limit(void *arg, struct slice method, struct slice path);

#endif
