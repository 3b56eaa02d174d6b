/* http: libmicrohttpd on the loop. Exchanges come in whole (method, path, query, headers, body) and are answered once,
 * now or later. Knows no locks and no JSON.
 *
 * MHD runs without a thread of its own, driven by its epoll descriptor and by its timeout, in one place (a uv_prepare_t).
 * An exchange that isn't answered inside `request` is parked: its connection is suspended until exchange_answer. */
#ifndef BATON_HTTP_HTTP_H
#define BATON_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"

struct http_server;
struct exchange;

struct http_pair { /* one query parameter (percent-decoded) or header, in the order of arrival */
    struct slice name;
    struct slice value; /* absent for a query parameter without '=' */
};

struct http_header {
    const char *name;
    const char *value; /* copied */
};
/* How much of LIMIT_HTTP_ANSWER_BYTES the status line and the headers take that http adds; an owner's get the rest, with
 * ": " and the end of the line for each. */
#define HTTP_OWN_HEADER_BYTES 256u

struct http_options {
    uv_loop_t *loop;
    const struct log *log;
    const char *listen_host; /* an address or a name; "" or "0.0.0.0" or "::" mean what they say */
    uint16_t listen_port;
    unsigned request_timeout_ms; /* a request unfinished after this is closed without an answer */
    size_t connections;          /* LIMIT_CONNECTIONS */
    /* How long a body may be for this method and path (LIMIT_BODY_BYTES when NULL). */
    size_t (*body_limit)(void *arg, struct slice method, struct slice path);
    /* A whole request. Everything of `exchange` is valid until it is answered. */
    void (*request)(void *arg, struct exchange *exchange);
    /* The body is over its bound: answer 413 before this returns (the connection is closed afterwards by http). */
    void (*body_too_large)(void *arg, struct exchange *exchange);
    void *arg;
};

enum error http_open(const struct http_options *options, struct http_server **server, struct error_text *text)
    MUST_CHECK;
uint16_t http_port(const struct http_server *server); /* what port 0 became */
/* Not from inside `request`. Accepts no more connections; exchanges under way go on, and their connections close after their answers. */
void http_quiesce(struct http_server *server);
size_t http_pending(const struct http_server *server); /* exchanges parked or being sent */
size_t http_connections(const struct http_server *server);
/* Not from inside `request`. Every parked exchange must have been answered before, and every stream ended. What clients
 * don't take at once is lost. Frees, then calls `closed` on the loop, the last streams' `closed` before it. */
void http_close(struct http_server *server, void (*closed)(void *arg), void *arg);

struct slice exchange_method(const struct exchange *exchange);
struct slice exchange_path(const struct exchange *exchange); /* as sent, without the query, percent-encoded */
const struct http_pair *exchange_query(const struct exchange *exchange, size_t *n);
/* The only or first header of that name (case-insensitive); absent when missing. `*count` (may be NULL) says how many. */
struct slice exchange_header(const struct exchange *exchange, const char *name, size_t *count);
/* How many headers have names that begin with `prefix` (case-insensitive). */
size_t exchange_count_headers(const struct exchange *exchange, const char *prefix);
struct slice exchange_body(const struct exchange *exchange);
/* True when the client has closed or reset its connection (asks the socket now). */
bool exchange_is_gone(const struct exchange *exchange);

/* Calls `gone` once, on the loop, when the client closes or resets its connection (the end of its sending half counts)
 * before the exchange is answered or its stream begun; not from inside this call. The exchange is still to be answered, as
 * always. Once for an exchange, while it is parked or inside `request`. */
void exchange_watch(struct exchange *exchange, void (*gone)(void *arg), void *arg);

/* An answer without an end, in place of exchange_answer (once, while the exchange is parked or inside `request`; not inside
 * `body_too_large`): status and headers leave at once, the body is what exchange_write brings (chunked). `room` (may be NULL)
 * is called on the loop when a stream that had more than half of LIMIT_STREAM_BYTES unsent has less than that again;
 * `closed`, once and last, when the connection is over: because the client went, because it was cut, or after exchange_end.
 * Neither is called from inside the functions below. Until then the exchange stays valid. A stream counts in http_pending,
 * and http_quiesce leaves it open; it is for its owner to end, and has no time limit before. A HEAD gets status and headers,
 * and has ended when it begins. */
struct exchange_stream {
    void (*room)(void *arg);
    void (*closed)(void *arg);
    void *arg;
};
void exchange_stream_begin(struct exchange *exchange, unsigned status, const struct http_header *headers,
                           size_t n_headers, const struct exchange_stream *stream);
/* Copies `bytes`. False when more than LIMIT_STREAM_BYTES would be unsent: nothing was taken, and the connection is cut. After
 * that, after exchange_end, and after the client has gone, writing does nothing and is false. */
bool exchange_write(struct exchange *exchange, struct slice bytes);
size_t exchange_unsent(const struct exchange *exchange); /* bytes written and not yet taken by the kernel */
/* What is unsent is still sent; a client that doesn't take it within the request timeout is cut. The connection goes on if
 * its client may use it again. Once more does nothing. */
void exchange_end(struct exchange *exchange);

/* Once, at any time from inside `request` on. Copies status, headers and body; sends from the server's one place. */
void exchange_answer(struct exchange *exchange, unsigned status, const struct http_header *headers, size_t n_headers,
                     struct slice body);

#endif
