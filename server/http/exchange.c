/* exchange: one request and its answer, from MHD's first callback to its last.
 *
 * MHD calls the handler once when the headers are complete, then for each piece of the body, then once more when the
 * request is whole; after a suspended connection was resumed, it repeats the last of these calls. So the happy path is
 *
 *      head ──> body ──> asked ──(owner answers later)──> parked ──> answered ──> sending
 *                          └────────(owner answers at once)──────────────┘
 *
 * An answer without an end goes other ways behind `answered`; they are in stream.c. While an exchange is parked its owner
 * may have its client watched (watch_uv.c), which ends with the answer.
 *
 * A body over its bound is answered at the first call when Content-Length says so. Else it is thrown away until it ends,
 * and answered then; if it goes on for too long, the exchange is cut: MHD queues no answer in the middle of a body, so
 * the answer is written to the socket directly, and the connection is closed. After either the socket is read out for a
 * while (drain). A request whose length can be read in two ways is closed without an answer; one whose headers leave too
 * little memory for those of an answer is refused. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "http/server.h"

/* How much of an endless body MHD may read; the rest of LIMIT_BODY_DISCARD_BYTES is for the drain. */
#define DISCARD_BYTES ((size_t)LIMIT_BODY_DISCARD_BYTES / 2)

static bool exchange_move_is_legal(enum exchange_state from, enum exchange_state to)
{
    switch (to) {
    case EXCHANGE_HEAD:
        return false;
    case EXCHANGE_BODY:
        return from == EXCHANGE_HEAD;
    case EXCHANGE_DISCARDING:
        return from == EXCHANGE_BODY;
    case EXCHANGE_ASKED:
        return from == EXCHANGE_HEAD || from == EXCHANGE_BODY || from == EXCHANGE_DISCARDING;
    case EXCHANGE_CUT:
        return from == EXCHANGE_DISCARDING;
    case EXCHANGE_PARKED:
        return from == EXCHANGE_ASKED;
    case EXCHANGE_ANSWERED:
        return from == EXCHANGE_ASKED || from == EXCHANGE_PARKED;
    case EXCHANGE_STREAMING:
        return from == EXCHANGE_ANSWERED || from == EXCHANGE_QUIET;
    case EXCHANGE_QUIET:
        return from == EXCHANGE_STREAMING;
    case EXCHANGE_SENDING:
        return from == EXCHANGE_ANSWERED || from == EXCHANGE_CUT || from == EXCHANGE_STREAMING;
    case EXCHANGE_OVER:
        return from == EXCHANGE_ANSWERED || from == EXCHANGE_STREAMING || from == EXCHANGE_SENDING;
    }
    return false;
}

void exchange_move(struct exchange *exchange, enum exchange_state to)
{
    CHECK(exchange_move_is_legal(exchange->state, to));
    struct http_server *server = exchange->server;
    if (to == EXCHANGE_ASKED || to == EXCHANGE_CUT) {
        server->n_pending++;
        server->n_unanswered++;
    }
    if (to == EXCHANGE_ANSWERED || (to == EXCHANGE_SENDING && exchange->state == EXCHANGE_CUT)) {
        server->n_unanswered--;
    }
    exchange->state = to;
}

/* ---- the request ---- */

/* The path as sent. A target may be absolute (http://HOST/PATH), which every server has to take. */
static struct slice target_path(const char *target)
{
    const char *path = target;
    size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
    if (scheme > 0) {
        path = target + scheme + strcspn(target + scheme, "/?");
    }
    struct slice slice = {.base = (const uint8_t *)path, .len = strcspn(path, "?")};
    return slice.len == 0 ? slice_of("/") : slice;
}

void *exchange_open(void *cls, const char *target, struct MHD_Connection *mhd)
{
    (void)cls;
    struct connection *connection = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    CHECK(connection->exchange == NULL);
    struct exchange *exchange = calloc(1, sizeof *exchange);
    CHECK(exchange != NULL);
    exchange->server = connection->server;
    exchange->connection = connection;
    exchange->mhd = mhd;
    exchange->target = strdup(target == NULL ? "" : target);
    CHECK(exchange->target != NULL);
    exchange->path = target_path(exchange->target);
    buffer_init(&exchange->body);
    connection->exchange = exchange;
    if (connection->place == CONNECTION_WAITING) {
        connection_move(connection, CONNECTION_READING); /* one that reads keeps the deadline it has */
    }
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    CHECK(!exchange->is_watched && exchange->call == EXCHANGE_CALL_NONE);
    buffer_close(&exchange->body);
    exchange_stream_free(exchange->stream);
    free(exchange->query);
    free(exchange->target);
    free(exchange);
}

void exchange_finish(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    CHECK(exchange->state != EXCHANGE_ASKED && exchange->state != EXCHANGE_PARKED);
    if (exchange->stream != NULL) {
        stream_finish(exchange);
        return;
    }
    if (exchange->state == EXCHANGE_ANSWERED || exchange->state == EXCHANGE_SENDING) {
        server->n_pending--;
    }
    exchange->connection->exchange = NULL;
    if (exchange->response != NULL) {
        MHD_destroy_response(exchange->response);
    }
    exchange_free(exchange);
}

void exchange_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)mhd;
    (void)code;
    struct exchange *exchange = *context;
    *context = NULL;
    if (exchange != NULL) {
        struct connection *connection = exchange->connection;
        if (exchange->stream != NULL) {
            stream_completed(exchange);
        }
        exchange_finish(exchange);
        connection_move(connection, connection_has_begun(connection) ? CONNECTION_READING : CONNECTION_WAITING);
    }
}

/* ---- the answer ---- */

static enum MHD_Result exchange_queue(struct exchange *exchange)
{
    if (exchange->server->quiesced) {
        CHECK(MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES);
    }
    if (exchange->stream != NULL) {
        stream_queued(exchange);
    } else {
        exchange_move(exchange, EXCHANGE_SENDING);
    }
    return MHD_queue_response(exchange->mhd, exchange->status, exchange->response);
}

/* Remembers how much of what the connection received this request was. */
static void exchange_count(const struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (head == NULL || slice_is_present(exchange_raw_header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING, NULL))) {
        connection->is_uncounted = true;
        return;
    }
    connection->taken += head->header_size + exchange->body.len;
}

/* Queues an answer behind which the connection closes, though its client may still be sending. */
static enum MHD_Result exchange_queue_last(struct exchange *exchange)
{
    CHECK(MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES);
    exchange->connection->drain =
        drain_open(exchange->server, exchange->connection->fd, (size_t)LIMIT_BODY_DISCARD_BYTES - exchange->discarded);
    return exchange_queue(exchange);
}

/* The owner's answer might not fit behind these headers; this one, with hardly any of its own, does. */
static enum MHD_Result exchange_refuse_headers(struct exchange *exchange)
{
    static const struct http_header type = {MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8"};
    static const char text[] = "The request line, headers and query parameters are too long or too many: send less.\n";
    exchange_move(exchange, EXCHANGE_ASKED);
    connection_move(exchange->connection, CONNECTION_BUSY);
    exchange_answer(exchange, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, &type, 1, slice_of(text));
    return exchange_queue_last(exchange);
}

/* The whole request is here. */
static enum MHD_Result exchange_ask(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    if (!exchange_leaves_room(exchange)) { /* now that its trailers are here, too */
        return exchange_refuse_headers(exchange);
    }
    if (server->closed != NULL) {
        return MHD_NO; /* nobody would answer it any more */
    }
    exchange_count(exchange);
    exchange_move(exchange, EXCHANGE_ASKED);
    connection_move(exchange->connection, CONNECTION_BUSY);
    server->options.request(server->options.arg, exchange);
    if (exchange->state == EXCHANGE_ASKED) {
        exchange_move(exchange, EXCHANGE_PARKED);
        MHD_suspend_connection(exchange->mhd);
        return MHD_YES;
    }
    return exchange_queue(exchange);
}

/* The body is over its bound, and MHD can take an answer now. */
static enum MHD_Result exchange_refuse(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    exchange_move(exchange, EXCHANGE_ASKED);
    connection_move(exchange->connection, CONNECTION_BUSY);
    server->options.body_too_large(server->options.arg, exchange);
    CHECK(exchange->state == EXCHANGE_ANSWERED);
    return exchange_queue_last(exchange);
}

/* The body is over its bound and doesn't end. */
static enum MHD_Result exchange_cut(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    exchange_move(exchange, EXCHANGE_CUT);
    connection_move(exchange->connection, CONNECTION_BUSY);
    server->options.body_too_large(server->options.arg, exchange);
    CHECK(exchange->state == EXCHANGE_SENDING);
    exchange->connection->drain =
        drain_open(server, exchange->connection->fd, (size_t)LIMIT_BODY_DISCARD_BYTES - exchange->discarded);
    return MHD_NO; /* MHD closes the connection */
}

static void exchange_write_directly(struct exchange *exchange, unsigned status, const struct http_header *headers,
                                    size_t n_headers, struct slice body)
{
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_printf(&bytes, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n", status,
                  MHD_get_reason_phrase_for(status), body.len);
    for (size_t i = 0; i < n_headers; i++) {
        buffer_printf(&bytes, "%s: %s\r\n", headers[i].name, headers[i].value);
    }
    buffer_append(&bytes, "\r\n", 2);
    if (!slice_equal(exchange->method, slice_of(MHD_HTTP_METHOD_HEAD))) {
        buffer_append_slice(&bytes, body);
    }
    socket_write_once(exchange->connection->fd, buffer_slice(&bytes));
    buffer_close(&bytes);
    exchange_move(exchange, EXCHANGE_SENDING);
}

void exchange_hand_over(struct exchange *exchange, unsigned status, struct MHD_Response *response,
                        const struct http_header *headers, size_t n_headers)
{
    bool parked = exchange->state == EXCHANGE_PARKED;
    exchange_move(exchange, EXCHANGE_ANSWERED);
    watch_end(exchange);
    exchange_tell_not(exchange);
    exchange->gone = NULL;
    exchange->status = status;
    exchange->response = response;
    CHECK(exchange->response != NULL);
    for (size_t i = 0; i < n_headers; i++) {
        CHECK(MHD_add_response_header(exchange->response, headers[i].name, headers[i].value) == MHD_YES);
    }
    if (parked) {
        MHD_resume_connection(exchange->mhd);
        server_wake(exchange->server);
    }
}

void exchange_answer(struct exchange *exchange, unsigned status, const struct http_header *headers, size_t n_headers,
                     struct slice body)
{
    if (exchange->state == EXCHANGE_CUT) {
        exchange_write_directly(exchange, status, headers, n_headers, body);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(body.len, (void *)body.base, MHD_RESPMEM_MUST_COPY);
    exchange_hand_over(exchange, status, response, headers, n_headers);
}

/* ---- MHD's handler ---- */

static enum MHD_Result exchange_begin(struct exchange *exchange, const char *url, const char *method,
                                      const char *version)
{
    struct http_server *server = exchange->server;
    uint64_t length;
    if (!exchange_line_is_whole(exchange, url, version) || !exchange_read_length(exchange, &length)) {
        log_debug(server->options.log, "request refused", LOG_TEXT("reason", "its extent is ambiguous"));
        return MHD_NO;
    }
    exchange->method = slice_of(method);
    exchange->knows_chunks = strcmp(version, MHD_HTTP_VERSION_1_0) != 0;
    if (!exchange_leaves_room(exchange)) {
        return exchange_refuse_headers(exchange);
    }
    exchange_read_query(exchange);
    exchange->body_limit = server->options.body_limit == NULL
                               ? (size_t)LIMIT_BODY_BYTES
                               : server->options.body_limit(server->options.arg, exchange->method, exchange->path);
    if (length > exchange->body_limit) {
        return exchange_refuse(exchange);
    }
    exchange_move(exchange, EXCHANGE_BODY);
    return MHD_YES;
}

static enum MHD_Result exchange_collect(struct exchange *exchange, const char *upload, size_t *upload_len)
{
    size_t len = *upload_len;
    *upload_len = 0; /* all of it is taken, always: MHD would call again at once for what isn't */
    if (exchange->state == EXCHANGE_BODY) {
        if (len <= exchange->body_limit - exchange->body.len) {
            buffer_append(&exchange->body, upload, len);
            return MHD_YES;
        }
        exchange_move(exchange, EXCHANGE_DISCARDING);
        exchange->discarded = exchange->body.len;
        buffer_close(&exchange->body);
    }
    exchange->discarded += len;
    return exchange->discarded > DISCARD_BYTES ? exchange_cut(exchange) : MHD_YES;
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_len, void **context)
{
    (void)cls;
    (void)mhd;
    struct exchange *exchange = *context;
    switch (exchange->state) {
    case EXCHANGE_HEAD:
        return exchange_begin(exchange, url, method, version);
    case EXCHANGE_BODY:
        return *upload_len > 0 ? exchange_collect(exchange, upload, upload_len) : exchange_ask(exchange);
    case EXCHANGE_DISCARDING:
        return *upload_len > 0 ? exchange_collect(exchange, upload, upload_len) : exchange_refuse(exchange);
    case EXCHANGE_ANSWERED: /* resumed */
        return exchange_queue(exchange);
    case EXCHANGE_ASKED:
    case EXCHANGE_CUT:
    case EXCHANGE_PARKED:
    case EXCHANGE_STREAMING:
    case EXCHANGE_QUIET:
    case EXCHANGE_SENDING:
    case EXCHANGE_OVER:
        break;
    }
    check_failed("a call that MHD makes in this state", __FILE__, __LINE__);
}

/* ---- what the owner asks ---- */

struct slice exchange_method(const struct exchange *exchange)
{
    return exchange->method;
}

struct slice exchange_path(const struct exchange *exchange)
{
    return exchange->path;
}

const struct http_pair *exchange_query(const struct exchange *exchange, size_t *n)
{
    *n = exchange->n_query;
    return exchange->query;
}

struct slice exchange_body(const struct exchange *exchange)
{
    return buffer_slice(&exchange->body);
}

bool exchange_is_gone(const struct exchange *exchange)
{
    return exchange->connection == NULL || socket_is_gone(exchange->connection->fd);
}
