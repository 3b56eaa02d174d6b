/* From a name to an open connection. The name is resolved anew each time (an address may have moved with its container),
 * on libuv's pool; a numeric address needs no lookup. All its addresses are tried one after the other, each for its share
 * of what is left of the two seconds, so that one that swallows everything doesn't keep the next from its turn.
 *
 * What the attempts come to: REFUSED only if every address that this host can reach at all refused, since the others take
 * it as a sign that the process is gone. One that was silent makes it TIMED_OUT, anything else FAILED. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "peer/network_internal_uv.h"

static void dial_next(struct connection *connection);

/* Worst last; starts with what an empty list of addresses means. */
static int dial_end_rank(enum connection_end end)
{
    switch (end) {
    case CONNECTION_UNRESOLVED:
        return 0;
    case CONNECTION_REFUSED:
        return 1;
    case CONNECTION_FAILED:
        return 2;
    default:
        return 3;
    }
}

/* An address of a kind that this host has no route for says nothing about the other side, if there is a better one. */
static bool dial_error_is_local(int error)
{
    return error == UV_ENETUNREACH || error == UV_EADDRNOTAVAIL || error == UV_EAFNOSUPPORT;
}

static void dial_note(struct connection *connection, int error)
{
    enum connection_end end = connection_end_of(error);
    if (end == CONNECTION_RESET || end == CONNECTION_END_OF_FILE) {
        end = CONNECTION_FAILED;
    }
    if (dial_error_is_local(error) && connection->dial_end != CONNECTION_UNRESOLVED) {
        return;
    }
    bool replaces_local = connection->dial_end_is_local && !dial_error_is_local(error);
    if (replaces_local || dial_end_rank(end) > dial_end_rank(connection->dial_end)) {
        connection->dial_end = end;
        connection->dial_end_is_local = dial_error_is_local(error);
    }
}

static void attempt_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    connection->held--;
    if (connection->done) {
        connection_release(connection);
    } else {
        dial_next(connection);
    }
}

/* The next attempt begins when libuv has let go of this one's handle. */
static void attempt_fail(struct connection *connection, int error)
{
    dial_note(connection, error);
    CHECK(uv_timer_stop(&connection->timer) == 0);
    connection->tcp_is_open = false;
    uv_close((uv_handle_t *)&connection->tcp, attempt_closed);
}

static void attempt_timed_out(uv_timer_t *timer)
{
    attempt_fail(timer->data, UV_ETIMEDOUT);
}

static void attempt_connected(uv_connect_t *request, int status)
{
    struct connection *connection = request->data;
    if (connection->done || !connection->tcp_is_open) {
        return; /* closed by us */
    }
    if (status != 0) {
        attempt_fail(connection, status);
        return;
    }
    int error = connection_start(connection);
    if (error != 0) {
        attempt_fail(connection, error);
        return;
    }
    CHECK(uv_timer_stop(&connection->timer) == 0);
    connection->handlers->opened(connection->arg);
}

static uint64_t dial_now_ms(const struct connection *connection)
{
    return uv_now(connection->network->loop);
}

/* Starts an attempt; its failure, too, comes later. 0 or libuv's error. */
static int attempt_start(struct connection *connection, const struct addrinfo *address)
{
    unsigned left = 1;
    for (const struct addrinfo *other = address->ai_next; other != NULL; other = other->ai_next) {
        left++;
    }
    int error = uv_tcp_init_ex(connection->network->loop, &connection->tcp, (unsigned)address->ai_family);
    if (error != 0) {
        return error;
    }
    connection_tcp_opened(connection);
    uv_os_fd_t fd;
    CHECK(uv_fileno((uv_handle_t *)&connection->tcp, &fd) == 0);
    connection_configure(fd);
    uint64_t rest_ms = connection->deadline_ms - dial_now_ms(connection);
    CHECK(uv_timer_start(&connection->timer, attempt_timed_out, rest_ms / left, 0) == 0);
    connection->connect.data = connection;
    error = uv_tcp_connect(&connection->connect, &connection->tcp, address->ai_addr, attempt_connected);
    if (error != 0) {
        attempt_fail(connection, error);
    }
    return 0;
}

/* From the top of the loop. */
static void dial_next(struct connection *connection)
{
    while (connection->next_address != NULL) {
        const struct addrinfo *address = connection->next_address;
        connection->next_address = address->ai_next;
        if (address->ai_family != AF_INET && address->ai_family != AF_INET6) {
            continue;
        }
        if (dial_now_ms(connection) >= connection->deadline_ms) {
            dial_note(connection, UV_ETIMEDOUT);
            break;
        }
        int error = attempt_start(connection, address);
        if (error == 0) {
            return;
        }
        dial_note(connection, error);
    }
    connection_finish(connection, connection->dial_end);
}

static void dial_timer_fired(uv_timer_t *timer)
{
    struct connection *connection = timer->data;
    if (connection->looking_up) {
        connection_finish(connection, CONNECTION_TIMED_OUT); /* the resolver took it all */
    } else {
        dial_next(connection);
    }
}

static void dial_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
    struct connection *connection = lookup->data;
    connection->looking_up = false;
    connection->held--;
    connection->addresses = addresses;
    if (connection->done) {
        connection_release(connection);
        return;
    }
    CHECK(uv_timer_stop(&connection->timer) == 0);
    connection->next_address = status == 0 ? addresses : NULL;
    dial_next(connection);
}

static bool dial_take_numeric(struct connection *connection, const char *host)
{
    struct sockaddr *address = (struct sockaddr *)&connection->numeric_address;
    if (uv_ip4_addr(host, connection->port, (struct sockaddr_in *)address) != 0 &&
        uv_ip6_addr(host, connection->port, (struct sockaddr_in6 *)address) != 0) {
        return false;
    }
    connection->numeric.ai_family = address->sa_family;
    connection->numeric.ai_addr = address;
    connection->next_address = &connection->numeric;
    return true;
}

static int dial_look_up(struct connection *connection, const char *host)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", (unsigned)connection->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    connection->lookup.data = connection;
    int error = uv_getaddrinfo(connection->network->loop, &connection->lookup, dial_looked_up, host, service, &hints);
    if (error == 0) {
        connection->looking_up = true;
        connection->held++;
    }
    return error;
}

struct connection *network_uv_dial(void *impl, const char *host, uint16_t port,
                                   const struct connection_handlers *handlers, void *arg)
{
    struct connection *connection = connection_new(impl);
    connection->handlers = handlers;
    connection->arg = arg;
    connection->port = port;
    connection->dial_end = CONNECTION_UNRESOLVED;
    uv_update_time(connection->network->loop);
    connection->deadline_ms = dial_now_ms(connection) + NETWORK_DIAL_MS;
    /* A lookup calls back later by itself, with the timer as its bound. A numeric address, or a name that is none,
     * goes on in the next turn. */
    bool waits = !dial_take_numeric(connection, host) && dial_look_up(connection, host) == 0;
    CHECK(uv_timer_start(&connection->timer, dial_timer_fired, waits ? NETWORK_DIAL_MS : 0, 0) == 0);
    return connection;
}

void dial_cancel(struct connection *connection)
{
    if (connection->looking_up) {
        (void)uv_cancel((uv_req_t *)&connection->lookup); /* calls back in any case */
    }
}
