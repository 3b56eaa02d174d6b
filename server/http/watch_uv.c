/* watch: who hangs up while MHD doesn't look at its socket, because the exchange is parked or its stream is quiet.
 *
 * The sockets stand in an epoll set of our own, beside MHD's, and its descriptor is one more handle of the loop: ten
 * thousand of them cost nothing until one hangs up. Asked for is the end of what the client sends (EPOLLRDHUP, which is
 * seen behind bytes that nobody has read) and what epoll reports always, resets and errors; not readability, so a client
 * that sends its next request early wakes nobody. Events are level-triggered: a hang-up before the watch began shows up
 * in it at once, and what one turn doesn't collect the next one does.
 *
 * A set knows a socket by its open file, not by its number, and a drain may keep that open after MHD closed its number: so
 * each socket is taken out before its exchange ends, always. An event carries its exchange, which is alive as long as its
 * socket is in the set, and nobody's code runs while a batch of events is looked at. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/limits.h"
#include "http/server.h"

enum error watch_open(struct http_server *server, struct error_text *text)
{
    server->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->watch_fd < 0) {
        return error_set(text, ERROR_NETWORK, "cannot watch connections: %s", strerror(errno));
    }
    return ERROR_NONE;
}

static void watch_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct http_server *server = poll->data;
    server->hung_up = true;
    server_wake(server);
}

void watch_start(struct http_server *server)
{
    CHECK(uv_poll_init(server->options.loop, &server->watch, server->watch_fd) == 0);
    server->watch.data = server;
    CHECK(uv_poll_start(&server->watch, UV_READABLE, watch_ready) == 0);
}

void watch_close(struct http_server *server)
{
    (void)close(server->watch_fd);
}

void watch_begin(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    CHECK(!exchange->is_watched);
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = exchange};
    if (epoll_ctl(server->watch_fd, EPOLL_CTL_ADD, exchange->connection->fd, &event) == 0) {
        exchange->is_watched = true;
    } else { /* the kernel's memory or its bound: the answer goes to nobody then, as it does when nobody watches */
        CHECK(errno == ENOMEM || errno == ENOSPC);
        log_warning(server->options.log, "a connection is not watched", LOG_TEXT("reason", strerror(errno)));
    }
}

void watch_end(struct exchange *exchange)
{
    if (exchange->is_watched) {
        exchange->is_watched = false;
        CHECK(epoll_ctl(exchange->server->watch_fd, EPOLL_CTL_DEL, exchange->connection->fd, NULL) == 0);
    }
}

void watch_collect(struct http_server *server)
{
    if (!server->hung_up) {
        return;
    }
    server->hung_up = false; /* the loop says it again while there are more */
    struct epoll_event events[LIMIT_HTTP_CALLS];
    int n = epoll_wait(server->watch_fd, events, LIMIT_HTTP_CALLS, 0);
    for (int i = 0; i < n; i++) {
        struct exchange *exchange = events[i].data.ptr;
        watch_end(exchange);
        if (exchange->stream != NULL) {
            stream_cut(exchange);
        } else {
            exchange_tell_later(exchange, EXCHANGE_CALL_GONE);
        }
    }
}

void exchange_watch(struct exchange *exchange, void (*gone)(void *arg), void *arg)
{
    CHECK(exchange->state == EXCHANGE_ASKED || exchange->state == EXCHANGE_PARKED);
    CHECK(exchange->gone == NULL);
    exchange->gone = gone;
    exchange->gone_arg = arg;
    watch_begin(exchange);
}
