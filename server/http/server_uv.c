/* server: MHD on the loop.
 *
 * Everything that may need MHD (its epoll descriptor, the timer, a new connection, an answer to a parked exchange, bytes
 * for a quiet stream) only sets `wanted` and keeps the loop from sleeping; server_turn, just before the loop sleeps, is
 * the one place that runs MHD. So MHD's callbacks, and with them `request`, always come from there, and never from inside
 * one another; owners are told of everything else behind them, when MHD has run.
 *
 * Connections are accepted here and not by MHD, which spins on the listening socket when descriptors run out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "http/server.h"

/* How many times in a request timeout a waiting connection is looked at. */
#define LOOKS_PER_TIMEOUT 4u
/* Out of descriptors: how long until accepting is tried again, and until the log is told again. */
#define ACCEPT_PAUSE_MS   100u
#define ACCEPT_SAY_MS     1000u

uint64_t server_now_ms(const struct http_server *server)
{
    return uv_now(server->options.loop);
}

static void idle_nothing(uv_idle_t *idle)
{
    (void)idle;
}

void server_wake(struct http_server *server)
{
    server->wanted = true;
    CHECK(uv_idle_start(&server->idle, idle_nothing) == 0);
}

/* ---- connections and their deadlines ---- */

static void connection_leave(struct connection *connection)
{
    if (connection->place != CONNECTION_BUSY) {
        TAILQ_REMOVE(&connection->server->queues[connection->place], connection, entry);
    }
}

static void connection_enter(struct connection *connection, enum connection_place place)
{
    struct http_server *server = connection->server;
    connection->place = place;
    if (place == CONNECTION_BUSY) {
        return;
    }
    uint64_t time_ms = server->options.request_timeout_ms;
    if (place == CONNECTION_WAITING) {
        time_ms = time_ms / LOOKS_PER_TIMEOUT + 1;
    }
    connection->deadline_ms = server_now_ms(server) + time_ms;
    TAILQ_INSERT_TAIL(&server->queues[place], connection, entry);
}

void connection_move(struct connection *connection, enum connection_place place)
{
    connection_leave(connection);
    connection_enter(connection, place);
}

bool connection_has_begun(const struct connection *connection)
{
    return connection->is_uncounted || socket_received_bytes(connection->fd) > connection->taken;
}

static void connection_open(struct http_server *server, struct MHD_Connection *mhd, void **context)
{
    struct connection *connection = calloc(1, sizeof *connection);
    CHECK(connection != NULL);
    connection->server = server;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection_enter(connection, CONNECTION_READING);
    server->n_connections++;
    *context = connection;
}

static void connection_close(struct http_server *server, void **context)
{
    struct connection *connection = *context;
    *context = NULL;
    if (connection->exchange != NULL) { /* MHD gave the connection up without telling the end of its request */
        exchange_finish(connection->exchange);
    }
    connection_leave(connection);
    if (connection->drain != NULL) {
        drain_start(connection->drain);
    }
    free(connection);
    server->n_connections--;
    server_wake(server); /* there is room for one more */
}

static void server_notify_connection(void *cls, struct MHD_Connection *mhd, void **context,
                                     enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_open(cls, mhd, context);
    } else {
        connection_close(cls, context);
    }
}

/* Shuts down the sockets of those whose time to finish a request, or to take the rest of a stream, is over; MHD sees it and
 * closes them. */
static void server_expire_late(struct http_server *server, enum connection_place place, uint64_t now_ms)
{
    struct connection *connection;
    while ((connection = TAILQ_FIRST(&server->queues[place])) != NULL && connection->deadline_ms <= now_ms) {
        (void)shutdown(connection->fd, SHUT_RDWR);
        connection_move(connection, place); /* until MHD has closed it */
    }
}

static void server_look_at_waiting(struct http_server *server, uint64_t now_ms)
{
    struct connection *connection;
    while ((connection = TAILQ_FIRST(&server->queues[CONNECTION_WAITING])) != NULL &&
           connection->deadline_ms <= now_ms) {
        connection_move(connection, connection_has_begun(connection) ? CONNECTION_READING : CONNECTION_WAITING);
    }
}

static void server_expire(struct http_server *server)
{
    uint64_t now_ms = server_now_ms(server);
    server_expire_late(server, CONNECTION_READING, now_ms);
    server_expire_late(server, CONNECTION_ENDING, now_ms);
    server_look_at_waiting(server, now_ms);
    drain_expire(server, now_ms);
}

/* ---- accepting ---- */

static void listening_ready(uv_poll_t *poll, int status, int events)
{
    (void)status; /* accept says it better */
    (void)events;
    struct http_server *server = poll->data;
    server->acceptable = true;
    server_wake(server);
}

/* Watches the listening socket exactly while a connection could be taken. */
static void server_watch_listening(struct http_server *server)
{
    if (server->listen_fd < 0) {
        return;
    }
    if (server->accept_paused || server->n_connections >= server->options.connections) {
        CHECK(uv_poll_stop(&server->listening) == 0);
    } else if (!uv_is_active((uv_handle_t *)&server->listening)) {
        CHECK(uv_poll_start(&server->listening, UV_READABLE, listening_ready) == 0);
    }
}

static void server_pause_accepting(struct http_server *server, int failure)
{
    uint64_t now_ms = server_now_ms(server);
    server->accept_paused = true;
    server->accept_resume_ms = now_ms + ACCEPT_PAUSE_MS;
    if (server->accept_said_ms == 0 || now_ms - server->accept_said_ms >= ACCEPT_SAY_MS) {
        server->accept_said_ms = now_ms;
        log_warning(server->options.log, "connections are not accepted", LOG_TEXT("reason", strerror(failure)),
                    LOG_U64("connections", server->n_connections));
    }
}

/* False when accepting has to stop for now; `acceptable` says whether there may be more. */
static bool server_accept_one(struct http_server *server)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int fd = accept4(server->listen_fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        socket_send_at_once(fd);
        (void)MHD_add_connection(server->daemon, fd, (struct sockaddr *)&address, len); /* closes it when it fails */
        return true;
    }
    switch (errno) {
    case EAGAIN:
        server->acceptable = false;
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        server_pause_accepting(server, errno);
        return false;
    default:
        return true; /* what happened to one connection before it was taken; it is gone */
    }
}

static void server_accept(struct http_server *server)
{
    if (server->accept_paused && server_now_ms(server) >= server->accept_resume_ms) {
        server->accept_paused = false;
        server->acceptable = true;
    }
    for (unsigned i = 0; server->acceptable && !server->accept_paused && i < LIMIT_HTTP_ACCEPTS; i++) {
        if (server->n_connections >= server->options.connections || !server_accept_one(server)) {
            break;
        }
    }
    server_watch_listening(server);
}

/* ---- the one place ---- */

/* Milliseconds until something has to be done though nothing happens; UINT64_MAX: never. */
static uint64_t server_time_left_ms(const struct http_server *server)
{
    uint64_t earliest = drain_next_deadline(server);
    for (size_t i = 0; i < CONNECTION_QUEUES; i++) {
        const struct connection *first = TAILQ_FIRST(&server->queues[i]);
        if (first != NULL && first->deadline_ms < earliest) {
            earliest = first->deadline_ms;
        }
    }
    if (server->accept_paused && server->accept_resume_ms < earliest) {
        earliest = server->accept_resume_ms;
    }
    uint64_t now_ms = server_now_ms(server);
    uint64_t left_ms = earliest == UINT64_MAX ? UINT64_MAX : earliest <= now_ms ? 0 : earliest - now_ms;
    MHD_UNSIGNED_LONG_LONG mhd_ms;
    if (MHD_get_timeout(server->daemon, &mhd_ms) == MHD_YES && mhd_ms < left_ms) {
        left_ms = mhd_ms;
    }
    return left_ms;
}

static void timer_fired(uv_timer_t *timer)
{
    server_wake(timer->data);
}

static void server_schedule(struct http_server *server)
{
    uint64_t left_ms = server_time_left_ms(server);
    if (server->wanted || left_ms == 0) {
        server_wake(server);
        return;
    }
    CHECK(uv_idle_stop(&server->idle) == 0); /* what woke it during the run was done in the run */
    if (left_ms == UINT64_MAX) {
        CHECK(uv_timer_stop(&server->timer) == 0);
    } else {
        CHECK(uv_timer_start(&server->timer, timer_fired, left_ms, 0) == 0);
    }
}

static void server_run(struct http_server *server)
{
    CHECK(!server->running);
    server->running = true;
    MHD_UNSIGNED_LONG_LONG left_ms;
    unsigned rounds = 0;
    do {
        server->wanted = false;
        CHECK(MHD_run(server->daemon) == MHD_YES);
        rounds++;
    } while (rounds < LIMIT_HTTP_ROUNDS &&
             (server->wanted || (MHD_get_timeout(server->daemon, &left_ms) == MHD_YES && left_ms == 0)));
    server->running = false;
}

static void server_turn(uv_prepare_t *prepare)
{
    struct http_server *server = prepare->data;
    if (!server->wanted) {
        return;
    }
    server_expire(server);
    server_accept(server);
    server_run(server);
    server_watch_listening(server);
    watch_collect(server);
    server_tell(server, LIMIT_HTTP_CALLS);
    if (server->closed == NULL) { /* else one of those that were told has closed it */
        server_schedule(server);
    }
}

static void epoll_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    server_wake(poll->data);
}

/* ---- start and stop ---- */

static void server_log_mhd(void *cls, const char *format, va_list arguments)
{
    struct http_server *server = cls;
    if (log_would_write(server->options.log, LOG_LEVEL_DEBUG)) {
        char text[256];
        (void)vsnprintf(text, sizeof text, format, arguments);
        text[strcspn(text, "\n")] = 0;
        log_debug(server->options.log, "libmicrohttpd", LOG_TEXT("text", text));
    }
}

unsigned server_idle_s(const struct http_server *server)
{
    unsigned request_s = server->options.request_timeout_ms / 1000 + 1;
    return request_s > LIMIT_HTTP_IDLE_S ? request_s : LIMIT_HTTP_IDLE_S;
}

static struct MHD_Daemon *server_start_daemon(struct http_server *server)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        exchange_handle, server, MHD_OPTION_EXTERNAL_LOGGER, server_log_mhd, server, MHD_OPTION_URI_LOG_CALLBACK,
        exchange_open, server, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        server_notify_connection, server, MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->options.connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_HTTP_HEADER_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        server_idle_s(server), MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

/* All that can fail is done; nothing here can. */
static void server_open_handles(struct http_server *server, int epoll_fd)
{
    uv_loop_t *loop = server->options.loop;
    CHECK(uv_poll_init(loop, &server->epoll, epoll_fd) == 0);
    CHECK(uv_poll_init(loop, &server->listening, server->listen_fd) == 0);
    CHECK(uv_timer_init(loop, &server->timer) == 0);
    CHECK(uv_prepare_init(loop, &server->prepare) == 0);
    CHECK(uv_idle_init(loop, &server->idle) == 0);
    watch_start(server);
    server->n_handles = 6;
    server->epoll.data = server;
    server->listening.data = server;
    server->timer.data = server;
    server->prepare.data = server;
    server->idle.data = server;
    CHECK(uv_poll_start(&server->epoll, UV_READABLE, epoll_ready) == 0);
    CHECK(uv_prepare_start(&server->prepare, server_turn) == 0);
    server_wake(server);
}

enum error http_open(const struct http_options *options, struct http_server **server, struct error_text *text)
{
    CHECK(options->request_timeout_ms > 0 && options->connections > 0);
    struct http_server *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    opened->options = *options;
    for (size_t i = 0; i < CONNECTION_QUEUES; i++) {
        TAILQ_INIT(&opened->queues[i]);
    }
    TAILQ_INIT(&opened->drains);
    TAILQ_INIT(&opened->calls);
    enum error error = listen_open(options->listen_host, options->listen_port, &opened->listen_fd, &opened->port, text);
    if (error != ERROR_NONE) {
        goto free_server;
    }
    error = watch_open(opened, text);
    if (error != ERROR_NONE) {
        goto close_listening;
    }
    opened->daemon = server_start_daemon(opened);
    if (opened->daemon == NULL) {
        error = error_set(text, ERROR_NETWORK, "libmicrohttpd doesn't start: %s", strerror(errno));
        goto close_watch;
    }
    server_open_handles(opened, MHD_get_daemon_info(opened->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    *server = opened;
    return ERROR_NONE;

close_watch:
    watch_close(opened);
close_listening:
    (void)close(opened->listen_fd);
free_server:
    free(opened);
    return error;
}

uint16_t http_port(const struct http_server *server)
{
    return server->port;
}

size_t http_pending(const struct http_server *server)
{
    return server->n_pending;
}

size_t http_connections(const struct http_server *server)
{
    return server->n_connections;
}

void http_quiesce(struct http_server *server)
{
    CHECK(!server->running);
    if (server->quiesced) {
        return;
    }
    server->quiesced = true;
    CHECK(uv_poll_stop(&server->listening) == 0);
    /* Those who were connected by the kernel already are taken: closing the socket would reset them. */
    server->acceptable = true;
    while (server->acceptable && !server->accept_paused && server->n_connections < server->options.connections) {
        (void)server_accept_one(server);
    }
    (void)close(server->listen_fd);
    server->listen_fd = -1;
    server->acceptable = false;
    server->accept_paused = false;
    server_wake(server);
}

void server_release_handle(struct http_server *server)
{
    CHECK(server->n_handles > 0);
    server->n_handles--;
    if (server->n_handles == 0) {
        server_tell(server, SIZE_MAX); /* streams that ended with the server */
        CHECK(server->n_pending == 0);
        void (*closed)(void *arg) = server->closed;
        void *arg = server->closed_arg;
        free(server);
        closed(arg);
    }
}

static void handle_closed(uv_handle_t *handle)
{
    server_release_handle(handle->data);
}

void http_close(struct http_server *server, void (*closed)(void *arg), void *arg)
{
    CHECK(!server->running && server->n_unanswered == 0 && server->n_open == 0);
    server->closed = closed;
    server->closed_arg = arg;
    http_quiesce(server);
    server_run(server); /* what was answered last gets on its way */
    CHECK(uv_poll_stop(&server->epoll) == 0);
    MHD_stop_daemon(server->daemon);
    CHECK(server->n_connections == 0);
    drain_expire(server, UINT64_MAX);
    CHECK(uv_poll_stop(&server->watch) == 0);
    watch_close(server);
    uv_close((uv_handle_t *)&server->epoll, handle_closed);
    uv_close((uv_handle_t *)&server->listening, handle_closed);
    uv_close((uv_handle_t *)&server->watch, handle_closed);
    uv_close((uv_handle_t *)&server->timer, handle_closed);
    uv_close((uv_handle_t *)&server->prepare, handle_closed);
    uv_close((uv_handle_t *)&server->idle, handle_closed);
}
