/* harness: a server and its clients on one loop and one thread. Clients are plain sockets; a test says what it sends and
 * waits for a condition, while the loop runs. */
#ifndef BATON_TESTS_HTTP_HARNESS_H
#define BATON_TESTS_HTTP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "http/http.h"

#define PARKED_MAX 1024

/* Answers "/park…" when told, "/large" with LARGE_BYTES, "/headers" with headers as large as can be, anything else at once with a description of what came. */
#define LARGE_BYTES          ((size_t)8 * 1024 * 1024)
#define LARGEST_HEADER_BYTES ((size_t)LIMIT_HTTP_ANSWER_BYTES - HTTP_OWN_HEADER_BYTES)
struct harness {
    uv_loop_t loop;
    uv_timer_t tick; /* so that waiting for a client's socket doesn't block the loop for long */
    struct log log;
    struct buffer logged;
    struct http_options options;
    struct http_server *server;
    void (*take)(struct harness *harness, struct exchange *exchange); /* instead of all that; NULL at first */
    void *take_arg;
    struct exchange *parked[PARKED_MAX];
    size_t n_parked;
    size_t requests;
    size_t too_large;
    bool closing;
    bool closed;
};

void harness_open(struct harness *harness, const struct http_options *changes);
void harness_begin_close(struct harness *harness); /* the server; at any time, also when a stream is over */
void harness_close(struct harness *harness);       /* what is left */
void harness_allow_descriptors(size_t n);          /* raises the process's limit, as far as it may */
void harness_turn(struct harness *harness);        /* one turn of the loop, which sleeps a moment at most */
void harness_settle(struct harness *harness);      /* turns until the loop would sleep, and goes on sleeping */
void harness_answer_parked(struct harness *harness, size_t i, const char *text);

/* Runs the loop until `condition` holds; fails the test after a long while. */
#define WAIT_FOR(harness_, condition_)                                                                                 \
    do {                                                                                                               \
        uint64_t until_ = uv_hrtime() + 30ull * 1000000000ull;                                                         \
        while (!(condition_)) {                                                                                        \
            if (uv_hrtime() > until_) {                                                                                \
                fail_msg("waited in vain for %s", #condition_);                                                        \
            }                                                                                                          \
            harness_turn(harness_);                                                                                    \
        }                                                                                                              \
    } while (0)

struct client {
    struct harness *harness;
    struct buffer received;
    int fd;
    bool ended; /* the server closed or reset */
};

void client_open(struct client *client, struct harness *harness);
void client_close(struct client *client);
void client_reset(struct client *client); /* closes with RST */
void client_send(struct client *client, const char *text);
bool client_try_send(struct client *client, const char *bytes, size_t len); /* false: the server has closed */
bool client_ended(struct client *client);
/* Whole answers that came so far; a HEAD's answer must be the last. */
size_t client_answers(struct client *client);
/* The status and the body of answer `i`. */
unsigned client_status(struct client *client, size_t i);
struct slice client_body(struct client *client, size_t i);
bool client_has_header(struct client *client, size_t i, const char *line);

#endif
