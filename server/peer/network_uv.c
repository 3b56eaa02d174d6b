/* An open TCP connection. What arrives is read into one shared buffer and handed on at once. What is sent is tried at once;
 * only what the kernel doesn't take is copied and left to libuv, and counts as unsent.
 *
 * The end comes from the reading side, so that every byte that arrived is delivered before it: an end of file, or an
 * error, which is RESET for ECONNRESET, EPIPE and ECONNABORTED, TIMED_OUT for ETIMEDOUT, FAILED for the rest. When a write
 * fails first, the kernel has used up the error and reading ends with an end of file, or not at all: then the end is what
 * the write said. */
#include "peer/network_uv.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "peer/network_internal_uv.h"

enum connection_end connection_end_of(int uv_error)
{
    switch (uv_error) {
    case UV_EOF:
        return CONNECTION_END_OF_FILE;
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ECONNABORTED:
        return CONNECTION_RESET;
    case UV_ECONNREFUSED:
        return CONNECTION_REFUSED;
    case UV_ETIMEDOUT:
        return CONNECTION_TIMED_OUT;
    default:
        return CONNECTION_FAILED;
    }
}

/* ---- birth and death ---- */

void connection_release(struct connection *connection)
{
    if (connection->done && connection->held == 0) {
        struct network_uv *network = connection->network;
        if (connection->addresses != NULL) {
            uv_freeaddrinfo(connection->addresses);
        }
        free(connection);
        network_release(network);
    }
}

struct connection *connection_new(struct network_uv *network)
{
    struct connection *connection = calloc(1, sizeof *connection);
    CHECK(connection != NULL);
    connection->network = network;
    network->open++;
    CHECK(uv_timer_init(network->loop, &connection->timer) == 0);
    connection->timer.data = connection;
    connection->held = 1;
    return connection;
}

void connection_tcp_opened(struct connection *connection)
{
    connection->tcp.data = connection;
    connection->tcp_is_open = true;
    connection->held++;
}

static void handle_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    connection->held--;
    connection_release(connection);
}

void connection_shut(struct connection *connection)
{
    CHECK(!connection->done);
    connection->done = true;
    dial_cancel(connection);
    uv_close((uv_handle_t *)&connection->timer, handle_closed);
    if (connection->tcp_is_open) {
        connection->tcp_is_open = false;
        uv_close((uv_handle_t *)&connection->tcp, handle_closed);
    }
}

void connection_finish(struct connection *connection, enum connection_end end)
{
    if (!connection->done) {
        connection_shut(connection);
        connection->handlers->closed(connection->arg, end);
    }
}

/* Best effort, all of it: a kernel without one of these still carries bytes. Keep-alive finds the host that vanished from
 * a connection on which we only read. NOTSENT_LOWAT keeps the kernel from taking megabytes that it can't send yet: what
 * peer sorts by urgency must not wait behind them. */
void connection_configure(int fd)
{
    const struct {
        int level, name, value;
    } settings[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, NETWORK_USER_TIMEOUT_MS},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 5},
        {IPPROTO_TCP, TCP_KEEPINTVL, 1},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, NETWORK_NOT_SENT_BYTES},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        (void)setsockopt(fd, settings[i].level, settings[i].name, &settings[i].value, sizeof settings[i].value);
    }
}

/* ---- reading ---- */

static void read_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct connection *connection = handle->data;
    *buffer = uv_buf_init((char *)connection->network->read_buffer, NETWORK_READ_BYTES);
}

static void read_done(uv_stream_t *stream, ssize_t n_read, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    if (connection->done) {
        return;
    }
    if (n_read > 0) {
        connection->handlers->received(connection->arg, (const uint8_t *)buffer->base, (size_t)n_read);
    } else if (n_read < 0) {
        int error = n_read == UV_EOF && connection->write_error != 0 ? connection->write_error : (int)n_read;
        connection_finish(connection, connection_end_of(error));
    }
}

int connection_start(struct connection *connection)
{
    return uv_read_start((uv_stream_t *)&connection->tcp, read_allocate, read_done);
}

/* ---- writing ---- */

struct pending_write {
    uv_write_t request;
    size_t len;
    uint8_t bytes[];
};

static void write_grace_over(uv_timer_t *timer)
{
    struct connection *connection = timer->data;
    connection_finish(connection, connection_end_of(connection->write_error));
}

static void write_failed(struct connection *connection, int error)
{
    if (connection->write_error == 0) {
        connection->write_error = error;
        CHECK(uv_timer_start(&connection->timer, write_grace_over, NETWORK_WRITE_FAILED_MS, 0) == 0);
    }
}

static void write_done(uv_write_t *request, int status)
{
    struct pending_write *pending = request->data;
    struct connection *connection = request->handle->data;
    connection->unsent -= pending->len;
    free(pending);
    if (connection->done) {
        return;
    }
    if (status < 0) {
        write_failed(connection, status);
    } else if (connection->unsent == 0 && connection->write_error == 0) {
        connection->handlers->drained(connection->arg);
    }
}

static void network_uv_send(struct connection *connection, const void *bytes, size_t len)
{
    const uint8_t *rest = bytes;
    CHECK(!connection->done && connection->tcp_is_open);
    if (connection->write_error != 0) {
        return;
    }
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    if (connection->unsent == 0) {
        uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)len);
        int taken = uv_try_write(stream, &buffer, 1);
        if (taken < 0 && taken != UV_EAGAIN) {
            write_failed(connection, taken);
            return;
        }
        size_t n_taken = taken < 0 ? 0 : (size_t)taken;
        rest += n_taken;
        len -= n_taken;
    }
    if (len == 0) {
        return;
    }
    struct pending_write *pending = malloc(sizeof *pending + len);
    CHECK(pending != NULL);
    pending->request.data = pending;
    pending->len = len;
    memcpy(pending->bytes, rest, len);
    uv_buf_t buffer = uv_buf_init((char *)pending->bytes, (unsigned)len);
    int error = uv_write(&pending->request, stream, &buffer, 1, write_done);
    if (error != 0) {
        free(pending);
        write_failed(connection, error);
        return;
    }
    connection->unsent += len;
}

static size_t network_uv_unsent(const struct connection *connection)
{
    return connection->unsent;
}

static void network_uv_set_handlers(struct connection *connection, const struct connection_handlers *handlers,
                                    void *arg)
{
    connection->handlers = handlers;
    connection->arg = arg;
}

/* ---- the network ---- */

static void network_closed(uv_handle_t *handle)
{
    struct network_uv *network = handle->data;
    void (*closed)(void *arg) = network->closed;
    void *arg = network->closed_arg;
    free(network);
    closed(arg);
}

static void network_close_if_idle(struct network_uv *network)
{
    if (network->closing && network->open == 0) {
        uv_close((uv_handle_t *)&network->anchor, network_closed);
    }
}

void network_release(struct network_uv *network)
{
    network->open--;
    network_close_if_idle(network);
}

void network_uv_open(struct network *network, uv_loop_t *loop)
{
    struct network_uv *impl = calloc(1, sizeof *impl);
    CHECK(impl != NULL);
    impl->loop = loop;
    CHECK(uv_timer_init(loop, &impl->anchor) == 0);
    impl->anchor.data = impl;
    *network = (struct network){
        .impl = impl,
        .listen = network_uv_listen,
        .listener_port = network_uv_listener_port,
        .listener_close = network_uv_listener_close,
        .dial = network_uv_dial,
        .set_handlers = network_uv_set_handlers,
        .send = network_uv_send,
        .unsent = network_uv_unsent,
        .close = connection_shut,
    };
}

void network_uv_close(struct network *network, void (*closed)(void *arg), void *arg)
{
    struct network_uv *impl = network->impl;
    impl->closing = true;
    impl->closed = closed;
    impl->closed_arg = arg;
    network_close_if_idle(impl);
}
