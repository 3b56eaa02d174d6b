/* Answers without an end: what is written arrives at once and whole, who reads too slowly is cut, who goes is seen to go,
 * and the owner is told of the end exactly once. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "harness.h"

#define GET       "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define STREAM    "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"
#define STREAM_10 "GET /stream HTTP/1.0\r\n\r\n"

#define CROWD 300
#define HALF  ((size_t)LIMIT_STREAM_BYTES / 2)

struct source {
    struct exchange *exchange; /* NULL once it is closed */
    size_t rooms;
    size_t closed;
};

static struct harness harness;
static struct source sources[CROWD];
static size_t n_sources;
static struct client clients[CROWD];

static void on_room(void *arg)
{
    struct source *source = arg;
    assert_int_equal(source->closed, 0);
    source->rooms++;
}

static void on_closed(void *arg)
{
    struct source *source = arg;
    source->closed++;
    assert_int_equal(exchange_unsent(source->exchange), 0);
    assert_false(exchange_write(source->exchange, slice_of("too late"))); /* it is still valid */
    exchange_end(source->exchange);
    source->exchange = NULL;
}

static struct source *begin(struct exchange *exchange)
{
    assert_true(n_sources < CROWD);
    struct source *source = &sources[n_sources++];
    *source = (struct source){.exchange = exchange};
    const struct exchange_stream stream = {.room = on_room, .closed = on_closed, .arg = source};
    const struct http_header header = {"Content-Type", "text/event-stream"};
    exchange_stream_begin(exchange, 200, &header, 1, &stream);
    return source;
}

static bool is_stream(struct exchange *exchange)
{
    return slice_equal(exchange_path(exchange), slice_of("/stream"));
}

static void take(struct harness *of, struct exchange *exchange)
{
    (void)of;
    if (is_stream(exchange)) {
        (void)begin(exchange);
    } else {
        exchange_answer(exchange, 200, NULL, 0, slice_of("ok"));
    }
}

static int setup_with(unsigned request_timeout_ms)
{
    const struct http_options options = {.request_timeout_ms = request_timeout_ms};
    harness_open(&harness, &options);
    harness.take = take;
    memset(sources, 0, sizeof sources);
    n_sources = 0;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(20000);
}

static int setup_hasty(void **state)
{
    (void)state;
    return setup_with(100);
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&harness);
    return 0;
}

/* ---- the client's side ---- */

struct body {
    struct slice head;
    struct buffer bytes; /* out of their chunks */
    bool ended;          /* by the last chunk */
    size_t behind;       /* where in what was received it ended */
};

/* Takes what came of a chunked body; whole chunks only. */
static struct body body_of(struct client *client)
{
    (void)client_ended(client);
    struct body body = {.ended = false};
    buffer_init(&body.bytes);
    const char *from = (const char *)client->received.base;
    const char *to = from + client->received.len;
    const char *at = from == NULL ? NULL : memmem(from, client->received.len, "\r\n\r\n", 4);
    if (at == NULL) {
        return body;
    }
    at += 4;
    body.head = (struct slice){.base = client->received.base, .len = (size_t)(at - from)};
    while (!body.ended && memmem(at, (size_t)(to - at), "\r\n", 2) != NULL) {
        char *line_end;
        size_t len = strtoul(at, &line_end, 16);
        assert_memory_equal(line_end, "\r\n", 2);
        at = line_end + 2;
        if ((size_t)(to - at) < len + 2) {
            break;
        }
        buffer_append(&body.bytes, at, len);
        assert_memory_equal(at + len, "\r\n", 2);
        at += len + 2;
        body.ended = len == 0;
    }
    body.behind = (size_t)(at - from);
    return body;
}

static size_t body_len(struct client *client)
{
    struct body body = body_of(client);
    size_t len = body.bytes.len;
    buffer_close(&body.bytes);
    return len;
}

static bool body_is(struct client *client, struct slice text, bool ended)
{
    struct body body = body_of(client);
    bool is = slice_equal(buffer_slice(&body.bytes), text) && body.ended == ended;
    buffer_close(&body.bytes);
    return is;
}

static bool body_ended(struct client *client)
{
    struct body body = body_of(client);
    buffer_close(&body.bytes);
    return body.ended;
}

static bool head_is_here(struct client *client)
{
    struct body body = body_of(client);
    buffer_close(&body.bytes);
    return body.head.len > 0;
}

static bool head_has(struct client *client, const char *line)
{
    struct body body = body_of(client);
    buffer_close(&body.bytes);
    return memmem(body.head.base, body.head.len, line, strlen(line)) != NULL;
}

/* Forgets what was received of the answer that has ended. */
static void forget_answer(struct client *client)
{
    struct body body = body_of(client);
    buffer_close(&body.bytes);
    assert_true(body.ended);
    size_t left = client->received.len - body.behind;
    memmove(client->received.base, client->received.base + body.behind, left);
    client->received.len = left;
}

static struct source *request_stream(struct client *client, const char *request)
{
    size_t before = n_sources;
    client_send(client, request);
    WAIT_FOR(&harness, n_sources == before + 1);
    return &sources[before];
}

static struct source *open_stream(struct client *client)
{
    client_open(client, &harness);
    return request_stream(client, STREAM);
}

static void finish(struct client *client, struct source *source)
{
    exchange_end(source->exchange);
    WAIT_FOR(&harness, source->closed == 1);
    client_close(client);
    WAIT_FOR(&harness, http_connections(harness.server) == 0 && http_pending(harness.server) == 0);
}

/* Bytes that tell where they stand. */
static void fill(struct buffer *buffer, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)(buffer->len * 31 + buffer->len / 251);
        buffer_append(buffer, &byte, 1);
    }
}

/* ---- as it should be ---- */

static void head_and_bytes_leave_at_once(void **state)
{
    (void)state;
    struct source *source = open_stream(&clients[0]);
    WAIT_FOR(&harness, head_is_here(&clients[0])); /* before anything was written */
    assert_true(head_has(&clients[0], "HTTP/1.1 200 OK\r\n"));
    assert_true(head_has(&clients[0], "Content-Type: text/event-stream\r\n"));
    assert_true(head_has(&clients[0], "Transfer-Encoding: chunked\r\n"));
    assert_int_equal(http_pending(harness.server), 1);
    harness_settle(&harness);
    struct buffer written;
    buffer_init(&written);
    for (int i = 0; i < 50; i++) {
        harness_settle(&harness);
        buffer_printf(&written, "event %d\n", i);
        char event[32];
        (void)snprintf(event, sizeof event, "event %d\n", i);
        assert_true(exchange_write(source->exchange, slice_of(event)));
        assert_int_equal(exchange_unsent(source->exchange), strlen(event));
        (void)uv_run(&harness.loop, UV_RUN_NOWAIT); /* one turn, and it is with the client */
        assert_int_equal(exchange_unsent(source->exchange), 0);
        WAIT_FOR(&harness, body_is(&clients[0], buffer_slice(&written), false));
    }
    assert_true(exchange_write(source->exchange, slice_of(""))); /* nothing, which must not look like the end */
    harness_settle(&harness);
    exchange_end(source->exchange);
    exchange_end(source->exchange);
    assert_false(exchange_write(source->exchange, slice_of("late")));
    WAIT_FOR(&harness, body_is(&clients[0], buffer_slice(&written), true));
    WAIT_FOR(&harness, source->closed == 1);
    assert_int_equal(http_pending(harness.server), 0);
    assert_int_equal(source->rooms, 0);
    assert_false(client_ended(&clients[0]));
    buffer_close(&written);
    client_close(&clients[0]);
}

static void afterwards_the_connection_goes_on(void **state)
{
    (void)state;
    client_open(&clients[0], &harness);
    for (int i = 0; i < 5; i++) {
        struct source *source = request_stream(&clients[0], STREAM);
        assert_true(exchange_write(source->exchange, slice_of("one")));
        exchange_end(source->exchange);
        WAIT_FOR(&harness, source->closed == 1 && body_is(&clients[0], slice_of("one"), true));
        forget_answer(&clients[0]);
        client_send(&clients[0], GET);
        WAIT_FOR(&harness, client_answers(&clients[0]) == 1);
        buffer_clear(&clients[0].received);
    }
    client_close(&clients[0]);
}

static void take_and_say_all(struct harness *of, struct exchange *exchange)
{
    (void)of;
    struct source *source = begin(exchange);
    assert_true(exchange_write(source->exchange, slice_of("all there ")));
    assert_true(exchange_write(source->exchange, slice_of("is")));
    exchange_end(source->exchange);
    assert_int_equal(source->closed, 0); /* not from inside the call */
}

static void all_of_it_may_be_said_inside_the_request(void **state)
{
    (void)state;
    harness.take = take_and_say_all;
    client_open(&clients[0], &harness);
    client_send(&clients[0], STREAM);
    WAIT_FOR(&harness, n_sources == 1 && sources[0].closed == 1);
    WAIT_FOR(&harness, body_is(&clients[0], slice_of("all there is"), true));
    client_close(&clients[0]);
}

static void on_gone(void *arg)
{
    (void)arg;
    fail_msg("a stream's client is told of by closed");
}

static void a_parked_and_watched_exchange_may_become_a_stream(void **state)
{
    (void)state;
    harness.take = NULL;
    client_open(&clients[0], &harness);
    client_send(&clients[0], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(&harness, harness.n_parked == 1);
    exchange_watch(harness.parked[0], on_gone, NULL);
    harness_settle(&harness);
    struct source *source = begin(harness.parked[0]);
    assert_true(exchange_write(source->exchange, slice_of("at last")));
    WAIT_FOR(&harness, body_is(&clients[0], slice_of("at last"), false));
    client_close(&clients[0]);
    WAIT_FOR(&harness, source->closed == 1);
    WAIT_FOR(&harness, http_connections(harness.server) == 0);
}

static void what_fills_the_buffer_arrives_whole(void **state)
{
    (void)state;
    static const char *const requests[] = {STREAM, STREAM_10};
    struct buffer written;
    buffer_init(&written);
    fill(&written, LIMIT_STREAM_BYTES);
    for (size_t i = 0; i < 2; i++) {
        client_open(&clients[0], &harness);
        struct source *source = request_stream(&clients[0], requests[i]);
        WAIT_FOR(&harness, head_is_here(&clients[0]));
        size_t head = clients[0].received.len;
        assert_true(exchange_write(source->exchange, buffer_slice(&written))); /* to the last byte of the bound */
        exchange_end(source->exchange);
        if (i == 0) {
            WAIT_FOR(&harness, body_ended(&clients[0]));
            assert_true(body_is(&clients[0], buffer_slice(&written), true));
        } else {
            WAIT_FOR(&harness, client_ended(&clients[0]));
            assert_int_equal(clients[0].received.len, head + written.len);
            assert_memory_equal(clients[0].received.base + head, written.base, written.len);
        }
        WAIT_FOR(&harness, source->closed == 1);
        client_close(&clients[0]);
    }
    buffer_close(&written);
}

static void a_client_of_http_1_0_gets_bytes_until_the_connection_closes(void **state)
{
    (void)state;
    client_open(&clients[0], &harness);
    struct source *source = request_stream(&clients[0], "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    WAIT_FOR(&harness, head_is_here(&clients[0]));
    assert_false(head_has(&clients[0], "chunked"));
    assert_true(head_has(&clients[0], "Connection: close\r\n"));
    for (int i = 0; i < 3; i++) {
        buffer_clear(&clients[0].received);
        harness_settle(&harness);
        assert_true(exchange_write(source->exchange, slice_of("event\n")));
        WAIT_FOR(&harness, (client_ended(&clients[0]), clients[0].received.len == 6));
        assert_memory_equal(clients[0].received.base, "event\n", 6);
    }
    exchange_end(source->exchange);
    WAIT_FOR(&harness, client_ended(&clients[0]) && source->closed == 1);
    assert_int_equal(clients[0].received.len, 6);
    client_close(&clients[0]);
}

static void head_gets_the_head(void **state)
{
    (void)state;
    static const char *const requests[] = {"HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD /stream HTTP/1.0\r\n\r\n"};
    for (size_t i = 0; i < 2; i++) {
        client_open(&clients[0], &harness);
        struct source *source = request_stream(&clients[0], requests[i]);
        WAIT_FOR(&harness, client_ended(&clients[0]) && source->closed == 1);
        assert_true(head_has(&clients[0], "Content-Type: text/event-stream\r\n"));
        assert_memory_equal(clients[0].received.base + clients[0].received.len - 4, "\r\n\r\n", 4);
        assert_int_equal(body_len(&clients[0]), 0);
        assert_false(body_ended(&clients[0])); /* nor the last chunk of an empty body */
        client_close(&clients[0]);
    }
    assert_int_equal(http_pending(harness.server), 0);
}

/* ---- clients that go ---- */

static void go_by_half_close(struct client *client)
{
    size_t before = http_connections(harness.server);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    WAIT_FOR(&harness, http_connections(harness.server) < before || before == 0);
    client_close(client);
}

static void go_behind_bytes(struct client *client)
{
    client_send(client, GET);
    client_close(client);
}

static void (*const ways[])(struct client *client) = {client_close, client_reset, go_by_half_close, go_behind_bytes};
enum { N_WAYS = sizeof ways / sizeof ways[0] };

static void who_goes_is_seen_though_nothing_is_written(void **state)
{
    (void)state;
    static const char *const requests[] = {STREAM, STREAM_10};
    for (size_t i = 0; i < 2 * N_WAYS; i++) {
        client_open(&clients[0], &harness);
        struct source *source = request_stream(&clients[0], requests[i / N_WAYS]);
        WAIT_FOR(&harness, head_is_here(&clients[0]));
        harness_settle(&harness);
        ways[i % N_WAYS](&clients[0]);
        WAIT_FOR(&harness, source->closed == 1);
        WAIT_FOR(&harness, http_connections(harness.server) == 0 && http_pending(harness.server) == 0);
        harness_settle(&harness);
        assert_int_equal(source->closed, 1);
    }
}

static void who_goes_with_bytes_unread_is_seen(void **state)
{
    (void)state;
    struct buffer written;
    buffer_init(&written);
    fill(&written, HALF / 4);
    for (size_t i = 0; i < N_WAYS; i++) {
        struct source *source = open_stream(&clients[0]);
        while (exchange_unsent(source->exchange) < HALF) { /* the kernel has taken what it takes */
            assert_true(exchange_write(source->exchange, buffer_slice(&written)));
            harness_turn(&harness);
        }
        ways[i](&clients[0]);
        WAIT_FOR(&harness, source->closed == 1);
        WAIT_FOR(&harness, http_connections(harness.server) == 0 && http_pending(harness.server) == 0);
    }
    buffer_close(&written);
}

static void who_goes_at_once_is_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_WAYS; i++) {
        client_open(&clients[0], &harness);
        client_send(&clients[0], STREAM);
        ways[i](&clients[0]); /* before the server has accepted it */
        client_open(&clients[1], &harness);
        client_send(&clients[1], GET);
        WAIT_FOR(&harness, client_answers(&clients[1]) == 1);
        client_close(&clients[1]);
        WAIT_FOR(&harness, http_connections(harness.server) == 0 && http_pending(harness.server) == 0);
    }
    assert_true(n_sources > 0);
    for (size_t i = 0; i < n_sources; i++) {
        assert_int_equal(sources[i].closed, 1);
    }
}

static void who_goes_after_the_end_is_told_of_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_WAYS; i++) {
        struct source *source = open_stream(&clients[0]);
        assert_true(exchange_write(source->exchange, slice_of("bye")));
        exchange_end(source->exchange);
        ways[i](&clients[0]);
        WAIT_FOR(&harness, source->closed == 1);
        WAIT_FOR(&harness, http_pending(harness.server) == 0);
        assert_int_equal(source->closed, 1);
    }
}

static void what_a_client_sends_meanwhile_waits_for_the_end(void **state)
{
    (void)state;
    struct source *source = open_stream(&clients[0]);
    client_send(&clients[0], GET "garbage\r\n\r\n");
    harness_settle(&harness);
    assert_int_equal(harness.requests, 1);
    assert_true(exchange_write(source->exchange, slice_of("undisturbed")));
    WAIT_FOR(&harness, body_is(&clients[0], slice_of("undisturbed"), false));
    exchange_end(source->exchange);
    WAIT_FOR(&harness, source->closed == 1 && body_ended(&clients[0]));
    forget_answer(&clients[0]);
    WAIT_FOR(&harness, client_ended(&clients[0]));
    assert_int_equal(harness.requests, 2); /* what followed was closed as the garbage that it is */
    assert_int_equal(client_status(&clients[0], 0), 200);
    client_close(&clients[0]);
}

static void a_client_that_floods_the_server_meanwhile_costs_nothing(void **state)
{
    (void)state;
    struct source *source = open_stream(&clients[0]);
    char flood[4096];
    memset(flood, 'x', sizeof flood);
    while (send(clients[0].fd, flood, sizeof flood, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    harness_settle(&harness); /* nobody reads it, and nobody is woken by it */
    assert_true(exchange_write(source->exchange, slice_of("still here")));
    WAIT_FOR(&harness, body_is(&clients[0], slice_of("still here"), false));
    finish(&clients[0], source);
}

/* ---- clients that don't read ---- */

/* Writes until the stream is cut; returns how many bytes were taken. */
static size_t write_until_cut(struct source *source, struct slice bytes)
{
    size_t taken = 0;
    for (;;) {
        size_t unsent = exchange_unsent(source->exchange);
        bool fits = unsent + bytes.len <= LIMIT_STREAM_BYTES;
        assert_int_equal(exchange_write(source->exchange, bytes), fits);
        if (!fits) {
            return taken;
        }
        taken += bytes.len;
        harness_turn(&harness);
    }
}

static void a_reader_that_is_too_slow_is_cut_at_the_bound(void **state)
{
    (void)state;
    struct buffer piece;
    buffer_init(&piece);
    fill(&piece, 10007);
    size_t heap = 0;
    for (int i = 0; i < 10; i++) {
        client_open(&clients[0], &harness);
        struct source *source = request_stream(&clients[0], i % 2 == 0 ? STREAM : STREAM_10);
        size_t taken = write_until_cut(source, buffer_slice(&piece));
        assert_true(taken >= LIMIT_STREAM_BYTES - piece.len);
        assert_int_equal(exchange_unsent(source->exchange), 0); /* its memory is free at once */
        assert_int_equal(source->closed, 0);
        assert_false(exchange_write(source->exchange, slice_of("")));
        WAIT_FOR(&harness, source->closed == 1);
        WAIT_FOR(&harness, client_ended(&clients[0]));
        assert_true(clients[0].received.len < taken); /* it sees that something is missing: … */
        assert_false(i % 2 == 0 && body_ended(&clients[0]));
        client_close(&clients[0]);
        WAIT_FOR(&harness, http_connections(harness.server) == 0 && http_pending(harness.server) == 0);
        heap = i == 2 ? mallinfo2().uordblks : heap;
    }
    assert_true(mallinfo2().uordblks <= heap + LIMIT_STREAM_BYTES / 8);
    buffer_close(&piece);
}

static void more_than_the_bound_at_once_is_cut(void **state)
{
    (void)state;
    struct buffer written;
    buffer_init(&written);
    fill(&written, LIMIT_STREAM_BYTES + 1);
    struct source *source = open_stream(&clients[0]);
    assert_false(exchange_write(source->exchange, buffer_slice(&written)));
    WAIT_FOR(&harness, source->closed == 1);
    WAIT_FOR(&harness, client_ended(&clients[0]));
    assert_int_equal(body_len(&clients[0]), 0);
    client_close(&clients[0]);
    buffer_close(&written);
}

static void room_is_told_of_when_half_is_free_again(void **state)
{
    (void)state;
    struct buffer piece;
    struct buffer written;
    buffer_init(&piece);
    buffer_init(&written);
    fill(&piece, 50021);
    struct source *source = open_stream(&clients[0]);
    size_t rooms = 0;
    for (size_t round = 0; round < 3; round++) {
        while (exchange_unsent(source->exchange) <= HALF) {
            assert_true(exchange_write(source->exchange, buffer_slice(&piece)));
            buffer_append_slice(&written, buffer_slice(&piece));
            harness_turn(&harness);
        }
        rooms = source->rooms;
        WAIT_FOR(&harness, (client_ended(&clients[0]), source->rooms == rooms + 1));
        assert_true(exchange_unsent(source->exchange) < HALF);
        WAIT_FOR(&harness, (client_ended(&clients[0]), exchange_unsent(source->exchange) == 0));
        harness_settle(&harness);
        assert_int_equal(source->rooms, rooms + 1);
    }
    exchange_end(source->exchange);
    WAIT_FOR(&harness, body_ended(&clients[0]));
    assert_true(body_is(&clients[0], buffer_slice(&written), true));
    assert_int_equal(source->rooms, rooms + 1);
    client_close(&clients[0]);
    WAIT_FOR(&harness, source->closed == 1);
    buffer_close(&piece);
    buffer_close(&written);
}

/* ---- time limits ---- */

static void wait_a_while(void)
{
    struct client silent;
    client_open(&silent, &harness);
    WAIT_FOR(&harness, client_ended(&silent));
    client_close(&silent);
}

static void no_time_limit_is_on_a_stream(void **state)
{
    (void)state;
    struct buffer piece;
    buffer_init(&piece);
    fill(&piece, HALF / 4);
    struct source *quiet = open_stream(&clients[0]);
    struct source *unread = open_stream(&clients[1]);
    while (exchange_unsent(unread->exchange) < HALF) {
        assert_true(exchange_write(unread->exchange, buffer_slice(&piece)));
        harness_turn(&harness);
    }
    for (int i = 0; i < 3; i++) {
        wait_a_while();
    }
    assert_int_equal(quiet->closed + unread->closed, 0);
    assert_true(exchange_write(quiet->exchange, slice_of("still here")));
    WAIT_FOR(&harness, body_is(&clients[0], slice_of("still here"), false));
    WAIT_FOR(&harness, (client_ended(&clients[1]), exchange_unsent(unread->exchange) == 0));
    exchange_end(quiet->exchange);
    exchange_end(unread->exchange);
    WAIT_FOR(&harness, quiet->closed == 1 && body_ended(&clients[0]) && unread->closed == 1);
    /* Afterwards the connection has its time limits again: an idle one stays, half a request doesn't. */
    wait_a_while();
    wait_a_while();
    assert_false(client_ended(&clients[0]));
    client_send(&clients[0], "GET");
    WAIT_FOR(&harness, client_ended(&clients[0]));
    client_close(&clients[0]);
    client_close(&clients[1]);
    buffer_close(&piece);
}

static void the_rest_of_an_ended_stream_has_its_time(void **state)
{
    (void)state;
    struct buffer piece;
    buffer_init(&piece);
    fill(&piece, HALF / 4);
    struct source *source = open_stream(&clients[0]);
    while (exchange_unsent(source->exchange) < HALF) {
        assert_true(exchange_write(source->exchange, buffer_slice(&piece)));
        harness_turn(&harness);
    }
    exchange_end(source->exchange);
    assert_int_equal(source->closed, 0);
    WAIT_FOR(&harness, source->closed == 1); /* the client has read nothing */
    WAIT_FOR(&harness, http_connections(harness.server) == 0 && http_pending(harness.server) == 0);
    WAIT_FOR(&harness, client_ended(&clients[0]));
    assert_false(body_ended(&clients[0]));
    client_close(&clients[0]);
    buffer_close(&piece);
}

/* ---- the server's end ---- */

static void quiesce_leaves_streams_open_and_their_connections_close_behind_them(void **state)
{
    (void)state;
    struct source *source = open_stream(&clients[0]);
    WAIT_FOR(&harness, head_is_here(&clients[0]));
    http_quiesce(harness.server);
    harness_settle(&harness);
    assert_int_equal(http_pending(harness.server), 1);
    assert_true(exchange_write(source->exchange, slice_of("to the last")));
    WAIT_FOR(&harness, body_is(&clients[0], slice_of("to the last"), false));
    exchange_end(source->exchange);
    WAIT_FOR(&harness, client_ended(&clients[0]) && source->closed == 1);
    assert_true(body_is(&clients[0], slice_of("to the last"), true));
    assert_int_equal(http_pending(harness.server), 0);
    client_close(&clients[0]);
}

static void it_closes_with_streams_in_every_state(void **state)
{
    (void)state;
    enum { QUIET, UNREAD, WRITTEN, CUT, GONE, FRESH, N };
    struct buffer flood;
    buffer_init(&flood);
    fill(&flood, LIMIT_STREAM_BYTES + 1);
    const struct slice piece = {.base = flood.base, .len = HALF / 4};
    for (size_t i = 0; i < FRESH; i++) {
        (void)open_stream(&clients[i]);
    }
    while (exchange_unsent(sources[UNREAD].exchange) < HALF) {
        assert_true(exchange_write(sources[UNREAD].exchange, piece));
        harness_turn(&harness);
    }
    harness.take = NULL;
    client_open(&clients[FRESH], &harness);
    client_send(&clients[FRESH], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(&harness, harness.n_parked == 1);
    (void)begin(harness.parked[0]);
    assert_false(exchange_write(sources[CUT].exchange, buffer_slice(&flood)));
    assert_true(exchange_write(sources[WRITTEN].exchange, slice_of("at the last moment")));
    client_close(&clients[GONE]);
    for (size_t i = 0; i < N; i++) {
        exchange_end(sources[i].exchange);
    }
    harness_close(&harness);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(sources[i].closed, 1);
    }
    assert_true(body_is(&clients[WRITTEN], slice_of("at the last moment"), true));
    assert_true(body_is(&clients[QUIET], slice_of(""), true));
    for (size_t i = 0; i < N; i++) {
        if (i != GONE) {
            client_close(&clients[i]);
        }
    }
    buffer_close(&flood);
}

static void close_the_server(void *arg)
{
    on_closed(arg);
    harness_begin_close(&harness);
}

static void take_and_close_the_server(struct harness *of, struct exchange *exchange)
{
    (void)of;
    const struct exchange_stream stream = {.room = on_room, .closed = close_the_server, .arg = &sources[0]};
    sources[0].exchange = exchange;
    exchange_stream_begin(exchange, 200, NULL, 0, &stream);
    exchange_end(exchange);
}

static void the_server_may_be_closed_from_the_last_call(void **state)
{
    (void)state;
    harness.take = take_and_close_the_server;
    client_open(&clients[0], &harness);
    client_send(&clients[0], STREAM);
    WAIT_FOR(&harness, harness.closed);
    assert_int_equal(sources[0].closed, 1);
    harness_close(&harness);
    assert_true(body_is(&clients[0], slice_of(""), true));
    client_close(&clients[0]);
}

/* ---- crowds ---- */

static void many_get_everything_though_half_of_them_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < CROWD; i++) {
        (void)open_stream(&clients[i]);
    }
    harness_settle(&harness);
    struct buffer written;
    buffer_init(&written);
    for (size_t n = 0; n < 20; n++) {
        char event[32];
        (void)snprintf(event, sizeof event, "event %zu\n", n);
        buffer_append_slice(&written, slice_of(event));
        for (size_t i = 0; i < CROWD; i++) {
            if (n == 10 && i % 2 == 0) {
                client_close(&clients[i]);
            }
            if (sources[i].exchange != NULL) {
                (void)exchange_write(sources[i].exchange, slice_of(event));
            }
        }
        harness_turn(&harness);
    }
    for (size_t i = 0; i < CROWD; i++) {
        if (i % 2 == 0) {
            WAIT_FOR(&harness, sources[i].closed == 1);
        } else {
            WAIT_FOR(&harness, body_is(&clients[i], buffer_slice(&written), false));
            assert_int_equal(sources[i].closed, 0);
            exchange_end(sources[i].exchange);
        }
    }
    WAIT_FOR(&harness, http_pending(harness.server) == 0);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(sources[i].closed, 1);
        if (i % 2 == 1) {
            assert_true(body_is(&clients[i], buffer_slice(&written), true));
            client_close(&clients[i]);
        }
    }
    buffer_close(&written);
}

/* Connections come and go, so descriptors come again; each source hears of its own client only. */
static void a_later_stream_with_the_same_descriptor_is_not_confused(void **state)
{
    (void)state;
    for (size_t i = 0; i + 2 <= CROWD; i += 2) {
        struct source *leaver = open_stream(&clients[0]);
        ways[i / 2 % N_WAYS](&clients[0]);
        struct source *stayer = open_stream(&clients[1]);
        WAIT_FOR(&harness, leaver->closed == 1);
        harness_settle(&harness);
        assert_int_equal(stayer->closed, 0);
        assert_true(exchange_write(stayer->exchange, slice_of("mine")));
        WAIT_FOR(&harness, body_is(&clients[1], slice_of("mine"), false));
        finish(&clients[1], stayer);
    }
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_HASTY(name) cmocka_unit_test_setup_teardown(name, setup_hasty, teardown)
#define TEST_CLOSE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    harness_allow_descriptors(2 * CROWD + 200);
    const struct CMUnitTest tests[] = {
        TEST(head_and_bytes_leave_at_once),
        TEST(afterwards_the_connection_goes_on),
        TEST(all_of_it_may_be_said_inside_the_request),
        TEST(a_parked_and_watched_exchange_may_become_a_stream),
        TEST(what_fills_the_buffer_arrives_whole),
        TEST(a_client_of_http_1_0_gets_bytes_until_the_connection_closes),
        TEST(head_gets_the_head),
        TEST(who_goes_is_seen_though_nothing_is_written),
        TEST(who_goes_with_bytes_unread_is_seen),
        TEST(who_goes_at_once_is_seen),
        TEST(who_goes_after_the_end_is_told_of_once),
        TEST(what_a_client_sends_meanwhile_waits_for_the_end),
        TEST(a_client_that_floods_the_server_meanwhile_costs_nothing),
        TEST(a_reader_that_is_too_slow_is_cut_at_the_bound),
        TEST(more_than_the_bound_at_once_is_cut),
        TEST(room_is_told_of_when_half_is_free_again),
        TEST_HASTY(no_time_limit_is_on_a_stream),
        TEST_HASTY(the_rest_of_an_ended_stream_has_its_time),
        TEST(quiesce_leaves_streams_open_and_their_connections_close_behind_them),
        TEST_CLOSE(it_closes_with_streams_in_every_state),
        TEST_CLOSE(the_server_may_be_closed_from_the_last_call),
        TEST(many_get_everything_though_half_of_them_go),
        TEST(a_later_stream_with_the_same_descriptor_is_not_confused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
