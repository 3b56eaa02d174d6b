/* See harness.h. The reader of answers is as simple as it can be: every answer of the server has a Content-Length. */
#include "harness.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 2

static int64_t no_time(void *data)
{
    (void)data;
    return 0;
}

static void keep_line(void *data, const char *line, size_t len)
{
    buffer_append(data, line, len);
}

static void describe(struct exchange *exchange, struct buffer *text)
{
    buffer_append_slice(text, exchange_method(exchange));
    buffer_append(text, " ", 1);
    buffer_append_slice(text, exchange_path(exchange));
    size_t n;
    const struct http_pair *query = exchange_query(exchange, &n);
    for (size_t i = 0; i < n; i++) {
        buffer_printf(text, "\n[%zu:%.*s]", query[i].name.len, SLICE_PRINT(query[i].name));
        if (slice_is_present(query[i].value)) {
            buffer_printf(text, "=[%zu:", query[i].value.len);
            buffer_append_slice(text, query[i].value);
            buffer_append(text, "]", 1);
        }
    }
    size_t count;
    struct slice header = exchange_header(exchange, "x-test", &count);
    if (count > 0) {
        buffer_printf(text, "\nX-Test*%zu: %.*s", count, SLICE_PRINT(header));
    }
    size_t any = exchange_count_headers(exchange, "x-any-");
    if (any > 0) {
        buffer_printf(text, "\nX-Any-*%zu", any);
    }
    struct slice body = exchange_body(exchange);
    if (body.len > 0) {
        buffer_printf(text, "\nbody %zu: %.*s", body.len, (int)(body.len < 32 ? body.len : 32),
                      (const char *)body.base);
    }
}

static void on_request(void *arg, struct exchange *exchange)
{
    struct harness *harness = arg;
    harness->requests++;
    if (harness->take != NULL) {
        harness->take(harness, exchange);
        return;
    }
    struct slice path = exchange_path(exchange);
    if (path.len >= 5 && memcmp(path.base, "/park", 5) == 0) {
        assert_true(harness->n_parked < PARKED_MAX);
        harness->parked[harness->n_parked++] = exchange;
        return;
    }
    if (slice_equal(path, slice_of("/headers"))) {
        char value[LARGEST_HEADER_BYTES + 1];
        memset(value, 'v', LARGEST_HEADER_BYTES);
        value[LARGEST_HEADER_BYTES] = 0;
        const struct http_header largest = {.name = "X-Largest", .value = value};
        exchange_answer(exchange, 200, &largest, 1, slice_of("ok"));
        return;
    }
    const struct http_header header = {.name = "Content-Type", .value = "text/plain"};
    struct buffer text;
    buffer_init(&text);
    if (slice_equal(path, slice_of("/large"))) {
        memset(buffer_extend(&text, LARGE_BYTES), 'x', LARGE_BYTES);
    } else {
        describe(exchange, &text);
    }
    exchange_answer(exchange, 200, &header, 1, buffer_slice(&text));
    buffer_close(&text);
}

static void on_body_too_large(void *arg, struct exchange *exchange)
{
    struct harness *harness = arg;
    harness->too_large++;
    const struct http_header header = {.name = "Content-Type", .value = "text/plain"};
    exchange_answer(exchange, 413, &header, 1, slice_of("too large"));
}

static void tick(uv_timer_t *timer)
{
    (void)timer;
}

void harness_open(struct harness *harness, const struct http_options *changes)
{
    *harness = (struct harness){0};
    buffer_init(&harness->logged);
    harness->log = (struct log){.level = LOG_LEVEL_DEBUG,
                                .data = &harness->logged,
                                .wall_ms = no_time,
                                .write = keep_line,
                                .render = log_render_text};
    assert_int_equal(uv_loop_init(&harness->loop), 0);
    assert_int_equal(uv_timer_init(&harness->loop, &harness->tick), 0);
    assert_int_equal(uv_timer_start(&harness->tick, tick, TICK_MS, TICK_MS), 0);
    harness->options = (struct http_options){.listen_host = "127.0.0.1",
                                             .request_timeout_ms = 20000,
                                             .connections = 1000,
                                             .request = on_request,
                                             .body_too_large = on_body_too_large,
                                             .arg = harness};
    harness->options.loop = &harness->loop;
    harness->options.log = &harness->log;
    if (changes != NULL) {
        harness->options.request_timeout_ms =
            changes->request_timeout_ms ? changes->request_timeout_ms : harness->options.request_timeout_ms;
        harness->options.connections = changes->connections ? changes->connections : harness->options.connections;
        harness->options.listen_host = changes->listen_host ? changes->listen_host : harness->options.listen_host;
    }
    struct error_text text = {""};
    enum error error = http_open(&harness->options, &harness->server, &text);
    if (error != ERROR_NONE) {
        fail_msg("%s", text.text);
    }
}

static void on_closed(void *arg)
{
    ((struct harness *)arg)->closed = true;
}

void harness_begin_close(struct harness *harness)
{
    harness->closing = true;
    http_close(harness->server, on_closed, harness);
}

void harness_close(struct harness *harness)
{
    if (!harness->closing) {
        harness_begin_close(harness);
    }
    WAIT_FOR(harness, harness->closed);
    uv_close((uv_handle_t *)&harness->tick, NULL);
    assert_int_equal(uv_run(&harness->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&harness->loop), 0);
    buffer_close(&harness->logged);
}

void harness_allow_descriptors(size_t n)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < n) {
        assert_true(limit.rlim_max >= n);
        limit.rlim_cur = n;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
}

void harness_turn(struct harness *harness)
{
    (void)uv_run(&harness->loop, UV_RUN_ONCE);
}

void harness_settle(struct harness *harness)
{
    assert_int_equal(uv_timer_stop(&harness->tick), 0);
    int turns = 0;
    while (uv_backend_timeout(&harness->loop) == 0) {
        (void)uv_run(&harness->loop, UV_RUN_NOWAIT);
        assert_true(++turns < 100);
    }
    for (int i = 0; i < 10; i++) {
        (void)uv_run(&harness->loop, UV_RUN_NOWAIT);
        assert_int_not_equal(uv_backend_timeout(&harness->loop), 0);
    }
    assert_int_equal(uv_timer_start(&harness->tick, tick, TICK_MS, TICK_MS), 0);
}

void harness_answer_parked(struct harness *harness, size_t i, const char *text)
{
    struct exchange *exchange = harness->parked[i];
    assert_non_null(exchange);
    harness->parked[i] = NULL;
    exchange_answer(exchange, 200, NULL, 0, slice_of(text));
}

/* ---- clients ---- */

void client_open(struct client *client, struct harness *harness)
{
    *client = (struct client){.harness = harness};
    buffer_init(&client->received);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_port(harness->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof address), 0);
}

void client_close(struct client *client)
{
    (void)close(client->fd);
    buffer_close(&client->received);
}

void client_reset(struct client *client)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    client_close(client);
}

bool client_try_send(struct client *client, const char *bytes, size_t len)
{
    uint64_t until = uv_hrtime() + 30ull * 1000000000ull;
    while (len > 0) {
        ssize_t n = send(client->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            return false;
        }
        bytes += n < 0 ? 0 : n;
        len -= n < 0 ? 0 : (size_t)n;
        assert_true(uv_hrtime() < until);
        if (len > 0) {
            harness_turn(client->harness);
        }
    }
    return true;
}

void client_send(struct client *client, const char *text)
{
    assert_true(client_try_send(client, text, strlen(text)));
}

static void client_receive(struct client *client)
{
    char bytes[65536];
    while (!client->ended) {
        ssize_t n = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n > 0) {
            buffer_append(&client->received, bytes, (size_t)n);
        } else if (n == 0 || errno != EAGAIN) {
            client->ended = true;
        } else {
            return;
        }
    }
}

bool client_ended(struct client *client)
{
    client_receive(client);
    return client->ended;
}

struct answer {
    struct slice head;
    struct slice body;
};

/* Splits what came into whole answers; true when there is an answer `i`. `*n` counts them all. */
static bool client_find(struct client *client, size_t i, struct answer *answer, size_t *n)
{
    client_receive(client);
    bool found = false;
    const uint8_t *at = client->received.base;
    size_t left = client->received.len;
    for (*n = 0; left > 0; (*n)++) {
        const uint8_t *end = memmem(at, left, "\r\n\r\n", 4);
        if (end == NULL) {
            return found;
        }
        size_t head_len = (size_t)(end - at) + 4;
        const char *length = memmem(at, head_len, "Content-Length: ", 16);
        assert_non_null(length);
        size_t body_len = strtoul(length + 16, NULL, 10);
        if (left - head_len < body_len) {
            return found;
        }
        if (*n == i) {
            found = true;
            *answer = (struct answer){.head = {at, head_len}, .body = {at + head_len, body_len}};
        }
        at += head_len + body_len;
        left -= head_len + body_len;
    }
    return found;
}

size_t client_answers(struct client *client)
{
    struct answer answer;
    size_t n;
    (void)client_find(client, 0, &answer, &n);
    return n;
}

static struct answer client_answer(struct client *client, size_t i)
{
    struct answer answer = {0};
    size_t n;
    assert_true(client_find(client, i, &answer, &n));
    return answer;
}

unsigned client_status(struct client *client, size_t i)
{
    struct answer answer = client_answer(client, i);
    assert_memory_equal(answer.head.base, "HTTP/1.1 ", 9);
    return (unsigned)strtoul((const char *)answer.head.base + 9, NULL, 10);
}

struct slice client_body(struct client *client, size_t i)
{
    return client_answer(client, i).body;
}

bool client_has_header(struct client *client, size_t i, const char *line)
{
    struct slice head = client_answer(client, i).head;
    char whole[256];
    (void)snprintf(whole, sizeof whole, "\r\n%s\r\n", line);
    return head.len > 0 && memmem(head.base, head.len, whole, strlen(whole)) != NULL;
}
