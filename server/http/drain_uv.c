/* drain: reads out what the client of a refused upload still sends, so that it sees the answer and not a reset. See
 * server.h for why. Everything here is bounded: how many, how many bytes, how long. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "http/server.h"

#define DRAIN_READ_BYTES (16u * 1024u)

struct drain {
    TAILQ_ENTRY(drain) entry;
    struct http_server *server;
    uv_poll_t poll;
    int fd;
    size_t budget;
    uint64_t deadline_ms;
};

struct drain *drain_open(struct http_server *server, int fd, size_t budget)
{
    if (server->n_drains >= LIMIT_HTTP_DRAINS) {
        return NULL;
    }
    int doubled = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (doubled < 0) {
        return NULL;
    }
    struct drain *drain = calloc(1, sizeof *drain);
    CHECK(drain != NULL);
    drain->server = server;
    drain->fd = doubled;
    drain->budget = budget;
    server->n_drains++;
    return drain;
}

static void drain_poll_closed(uv_handle_t *handle)
{
    struct drain *drain = handle->data;
    struct http_server *server = drain->server;
    free(drain);
    server_release_handle(server);
}

static void drain_stop(struct drain *drain)
{
    drain->server->n_drains--;
    TAILQ_REMOVE(&drain->server->drains, drain, entry);
    CHECK(uv_poll_stop(&drain->poll) == 0);
    (void)close(drain->fd);
    uv_close((uv_handle_t *)&drain->poll, drain_poll_closed);
}

static void drain_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct drain *drain = poll->data;
    char unwanted[DRAIN_READ_BYTES];
    if (status < 0) {
        drain_stop(drain);
        return;
    }
    size_t ask = drain->budget < sizeof unwanted ? drain->budget : sizeof unwanted;
    ssize_t n = recv(drain->fd, unwanted, ask, MSG_DONTWAIT);
    if (n > 0) {
        drain->budget -= (size_t)n; /* one read a turn: an upload must not hold the loop */
    }
    if (n == 0 || drain->budget == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        drain_stop(drain);
    }
}

void drain_start(struct drain *drain)
{
    struct http_server *server = drain->server;
    if (uv_poll_init(server->options.loop, &drain->poll, drain->fd) != 0) {
        server->n_drains--;
        (void)close(drain->fd);
        free(drain);
        return;
    }
    drain->poll.data = drain;
    drain->deadline_ms = server_now_ms(server) + server->options.request_timeout_ms;
    TAILQ_INSERT_TAIL(&server->drains, drain, entry);
    server->n_handles++;
    CHECK(uv_poll_start(&drain->poll, UV_READABLE, drain_readable) == 0);
}

void drain_expire(struct http_server *server, uint64_t now_ms)
{
    struct drain *drain;
    while ((drain = TAILQ_FIRST(&server->drains)) != NULL && drain->deadline_ms <= now_ms) {
        drain_stop(drain);
    }
}

uint64_t drain_next_deadline(const struct http_server *server)
{
    const struct drain *first = TAILQ_FIRST(&server->drains);
    return first == NULL ? UINT64_MAX : first->deadline_ms;
}
