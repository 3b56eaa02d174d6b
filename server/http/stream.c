/* stream: an answer without an end, from exchange_stream_begin to `closed`.
 *
 * The owner writes into a buffer; MHD comes for the bytes when it can send, and is suspended while there are none:
 *
 *      answered ──(MHD has the head)──> streaming ──(ended, or cut)──> sending ──> over ──(`closed`)──> freed
 *                                        │     ^
 *                         (nothing to send)   (written, ended, or cut)
 *                                        v     │
 *                                         quiet
 *
 * Bytes stay in the buffer until MHD comes for the next ones, which it does when the kernel has taken all of those before;
 * so the buffer's length is what is unsent. Its memory is given back as it empties. A client that doesn't read is cut at
 * LIMIT_STREAM_BYTES, one that has gone is cut when the watch sees it: the socket is shut down, MHD finds it so or is told
 * when it comes for bytes, and closes the connection. Neither the request's nor MHD's idle time limit is for streams; but
 * one that was ended has a request's time to be taken (see `ending` in server.h).
 *
 * A HEAD gets the head, and has ended when it begins. MHD would send the last chunk of an empty body behind it, but doesn't
 * when it must do without chunks, in which case the connection closes. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "http/server.h"

/* What MHD takes at a time for a client that knows no chunks, in memory that the stream has for that; for others it takes
 * what the connection's memory holds. */
#define UNCHUNKED_BYTES ((size_t)16 * 1024)
/* A buffer that was larger is freed when it is empty. */
#define KEPT_BYTES      ((size_t)1024)

enum stream_end { STREAM_OPEN, STREAM_ENDED, STREAM_CUT };

struct stream {
    struct exchange_stream owner;
    enum stream_end end;
    struct buffer bytes;
    size_t taken;  /* of `bytes`, by the kernel */
    size_t given;  /* of what follows, to MHD */
    bool is_tight; /* there was more than half of LIMIT_STREAM_BYTES, and the owner waits for room */
};

static size_t stream_unsent(const struct stream *stream)
{
    return stream->bytes.len - stream->taken;
}

static void stream_drop(struct stream *stream)
{
    buffer_close(&stream->bytes);
    stream->taken = 0;
    stream->given = 0;
}

/* ---- what MHD takes ---- */

/* The kernel has taken what MHD was given. The rest is copied away when it is the smaller part, so that a byte is copied
 * once, on average, and a buffer that was large doesn't stay so. */
static void stream_take(struct stream *stream)
{
    stream->taken += stream->given;
    stream->given = 0;
    size_t left = stream_unsent(stream);
    if (left == 0 && stream->bytes.capacity <= KEPT_BYTES) {
        buffer_clear(&stream->bytes);
        stream->taken = 0;
    } else if (left <= stream->taken) {
        struct buffer rest;
        buffer_init(&rest);
        buffer_append(&rest, stream->bytes.base + stream->taken, left);
        stream_drop(stream);
        stream->bytes = rest;
    }
}

static void stream_tell_room(struct exchange *exchange)
{
    struct stream *stream = exchange->stream;
    if (stream->is_tight && stream_unsent(stream) < LIMIT_STREAM_BYTES / 2) {
        stream->is_tight = false;
        if (stream->end == STREAM_OPEN && stream->owner.room != NULL) {
            exchange_tell_later(exchange, EXCHANGE_CALL_ROOM);
        }
    }
}

/* MHD's question for the next bytes, inside its run. */
static ssize_t stream_read(void *cls, uint64_t position, char *bytes, size_t max)
{
    (void)position;
    struct exchange *exchange = cls;
    struct stream *stream = exchange->stream;
    if (stream->end == STREAM_CUT) {
        exchange_move(exchange, EXCHANGE_SENDING);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    stream_take(stream);
    stream_tell_room(exchange);
    size_t left = stream_unsent(stream);
    if (left == 0 && stream->end == STREAM_ENDED) {
        exchange_move(exchange, EXCHANGE_SENDING);
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (left == 0) {
        exchange_move(exchange, EXCHANGE_QUIET);
        MHD_suspend_connection(exchange->mhd);
        return 0;
    }
    stream->given = left < max ? left : max;
    memcpy(bytes, stream->bytes.base + stream->taken, stream->given);
    return (ssize_t)stream->given;
}

static void stream_resume(struct exchange *exchange)
{
    if (exchange->state == EXCHANGE_QUIET) {
        exchange_move(exchange, EXCHANGE_STREAMING);
        MHD_resume_connection(exchange->mhd);
        server_wake(exchange->server);
    }
}

/* ---- begin and end ---- */

static bool exchange_is_head(const struct exchange *exchange)
{
    return slice_equal(exchange->method, slice_of(MHD_HTTP_METHOD_HEAD));
}

static void stream_leave_open(struct exchange *exchange, enum stream_end end)
{
    struct stream *stream = exchange->stream;
    if (stream->end == STREAM_OPEN) {
        exchange->server->n_open--;
    }
    stream->end = end;
}

void stream_cut(struct exchange *exchange)
{
    stream_leave_open(exchange, STREAM_CUT);
    watch_end(exchange);
    stream_drop(exchange->stream);
    exchange_tell_not(exchange); /* there may have been room */
    (void)shutdown(exchange->connection->fd, SHUT_RDWR);
    stream_resume(exchange);
}

void exchange_stream_begin(struct exchange *exchange, unsigned status, const struct http_header *headers,
                           size_t n_headers, const struct exchange_stream *owner)
{
    CHECK(exchange->state == EXCHANGE_ASKED || exchange->state == EXCHANGE_PARKED);
    struct stream *stream = calloc(1, sizeof *stream);
    CHECK(stream != NULL);
    stream->owner = *owner;
    buffer_init(&stream->bytes);
    exchange->stream = stream;
    exchange->server->n_open++;
    size_t block = exchange->knows_chunks ? 1 : UNCHUNKED_BYTES;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block, stream_read, exchange, NULL);
    CHECK(response != NULL);
    exchange_hand_over(exchange, status, response, headers, n_headers);
    if (exchange_is_head(exchange)) {
        CHECK(MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END) == MHD_YES);
        exchange_end(exchange);
    } else {
        watch_begin(exchange);
    }
}

void exchange_end(struct exchange *exchange)
{
    CHECK(exchange->stream != NULL);
    if (exchange->stream->end == STREAM_OPEN) {
        stream_leave_open(exchange, STREAM_ENDED);
        connection_move(exchange->connection, CONNECTION_ENDING);
        server_wake(exchange->server); /* it has a deadline now */
        stream_resume(exchange);
    }
}

bool exchange_write(struct exchange *exchange, struct slice bytes)
{
    struct stream *stream = exchange->stream;
    CHECK(stream != NULL);
    if (stream->end != STREAM_OPEN) {
        return false;
    }
    if (bytes.len > LIMIT_STREAM_BYTES - stream_unsent(stream)) {
        stream_cut(exchange);
        return false;
    }
    buffer_append_slice(&stream->bytes, bytes);
    stream->is_tight = stream->is_tight || stream_unsent(stream) > LIMIT_STREAM_BYTES / 2;
    if (bytes.len > 0) {
        stream_resume(exchange);
    }
    return true;
}

size_t exchange_unsent(const struct exchange *exchange)
{
    CHECK(exchange->stream != NULL);
    return stream_unsent(exchange->stream);
}

/* ---- between MHD and the owner ---- */

void stream_queued(struct exchange *exchange)
{
    if (exchange_is_head(exchange)) {
        exchange_move(exchange, EXCHANGE_SENDING);
        return;
    }
    exchange_move(exchange, EXCHANGE_STREAMING);
    CHECK(MHD_set_connection_option(exchange->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0u) == MHD_YES);
}

void stream_completed(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    CHECK(MHD_set_connection_option(exchange->mhd, MHD_CONNECTION_OPTION_TIMEOUT, server_idle_s(server)) == MHD_YES);
    if (server->quiesced) { /* the head may have left before, and said nothing of it */
        (void)shutdown(exchange->connection->fd, SHUT_RDWR);
    }
}

void stream_finish(struct exchange *exchange)
{
    stream_leave_open(exchange, STREAM_CUT); /* whatever it was, nothing is written any more */
    watch_end(exchange);
    stream_drop(exchange->stream);
    MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    exchange->connection->exchange = NULL;
    exchange->connection = NULL;
    exchange->mhd = NULL; /* and what pointed into its memory */
    exchange->method = slice_of("");
    exchange->n_query = 0;
    exchange_move(exchange, EXCHANGE_OVER);
    exchange_tell_later(exchange, EXCHANGE_CALL_CLOSED);
}

void stream_call(struct exchange *exchange, enum exchange_call call)
{
    const struct exchange_stream owner = exchange->stream->owner;
    if (call == EXCHANGE_CALL_ROOM) {
        owner.room(owner.arg);
        return;
    }
    exchange->server->n_pending--;
    owner.closed(owner.arg);
    exchange_free(exchange);
}

void exchange_stream_free(struct stream *stream)
{
    if (stream != NULL) {
        buffer_close(&stream->bytes);
        free(stream);
    }
}
