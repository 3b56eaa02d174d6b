/* fake_world: what service sees of the rest of the program, under a test's hand: exchanges that were never on a socket, a
 * replica that decides nothing by itself, and a loop whose clock stands still. The functions have the real ones' names
 * (http.h, replica.h, storage.h) and are linked in their place. */
#ifndef BATON_TESTS_NODE_FAKE_WORLD_H
#define BATON_TESTS_NODE_FAKE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "core/lock_table.h"
#include "http/http.h"
#include "replica/replica.h"
#include "storage/storage.h"

enum { FAKE_HEADERS = 8, FAKE_QUERY = 4, FAKE_TARGET_BYTES = 512, FAKE_PENDING = 4096 };

struct exchange {
    const char *method;
    const char *path;
    char target[FAKE_TARGET_BYTES]; /* what path and query point into, when they were cut out of it */
    struct http_pair query[FAKE_QUERY];
    size_t n_query;
    const char *body;
    struct http_header headers[FAKE_HEADERS];
    size_t n_headers;
    bool is_gone;
    void (*gone)(void *arg); /* set by exchange_watch */
    void *gone_arg;
    /* what was answered */
    unsigned answers;
    unsigned status;
    struct buffer answer_headers; /* "Name: value\n" each */
    struct buffer answer_body;    /* with a zero behind it */
    /* … or the stream that was begun */
    bool is_stream;
    struct exchange_stream stream;
    struct buffer streamed; /* all that was written, with a zero behind it */
    size_t writes;
    size_t unsent; /* bytes that the client hasn't taken; it takes none before the test says so */
    bool is_cut;
    bool is_ended;
};

void exchange_open(struct exchange *exchange, const char *method, const char *path, const char *body);
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);
void exchange_close(struct exchange *exchange);
bool exchange_has_header(const struct exchange *exchange, const char *line);
bool exchange_body_has(const struct exchange *exchange, const char *text);

/* The client hangs up: whoever watches hears of it. */
void fake_exchange_hang_up(struct exchange *exchange);
bool exchange_streamed(const struct exchange *exchange, const char *text);
size_t exchange_streamed_times(const struct exchange *exchange, const char *text);
void fake_exchange_take(struct exchange *exchange, size_t bytes); /* the client takes so many; tells of room */
void fake_exchange_closed(struct exchange *exchange);             /* the stream's connection is over */

/* What was submitted and isn't done yet, in order. Decided by the test. */
struct replica {
    struct operation *operations[FAKE_PENDING];
    size_t n_operations;
    struct replica_read *reads[FAKE_PENDING];
    size_t n_reads;
    struct lock_table *table;
    struct replica_status status;
    struct operation *cancelled; /* the last one */
    size_t cancels;
    uint64_t waiting;                /* what replica_waiting says */
    uint64_t now_ms;                 /* what replica_now_estimate_ms says */
    const char *rules_wait_for;      /* what keeps the rules from being raised; NULL: nothing */
    uint32_t rules_wait_for_version; /* which was asked for last */
};

struct storage {
    struct storage_figures figures;
    struct storage_identity identity;
};

struct http_server {
    size_t connections;
};

/* Takes the oldest operation from the queue and calls its done. */
void fake_replica_decide(struct replica *replica, enum operation_status status, const struct outcome *outcome);
void fake_replica_decide_read(struct replica *replica, enum operation_status status);

struct fake_loop {
    struct loop loop;
    uint64_t now_ns;
    uint8_t random; /* the next byte */
    struct timer *timers;
    struct post *posts;
    struct buffer log; /* lines, without time */
    struct log sink;
};

void fake_loop_open(struct fake_loop *fake);
void fake_loop_close(struct fake_loop *fake);             /* every timer must be closed */
void fake_loop_pass(struct fake_loop *fake, uint64_t ms); /* moves the clock, and fires what is due */
bool fake_loop_turn(struct fake_loop *fake);              /* runs what is posted; true: something is posted again */
void fake_loop_settle(struct fake_loop *fake);            /* … until nothing is */
bool fake_loop_logged(const struct fake_loop *fake, const char *text);

#endif
