/* From a listening name to accepted connections. The sockets are ours and libuv only polls them, because libuv 1.44's own
 * accept loop spins while the process is out of descriptors. Then we pause instead: the connections wait in the backlog. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "peer/network_internal_uv.h"

struct listening_socket {
    struct listener *listener;
    int fd;
    uv_poll_t poll;
};

struct listener {
    struct network_uv *network;
    void (*accepted)(void *arg, struct connection *connection, const char *remote);
    void *arg;
    uint16_t port;
    bool closing;
    unsigned held; /* handles that libuv has */
    uv_timer_t pause;
    struct listening_socket sockets[NETWORK_LISTEN_SOCKETS];
    unsigned n_sockets;
};

/* ---- accepting ---- */

static void remote_render(const struct sockaddr_storage *address, socklen_t len, char *text, size_t size)
{
    char host[NI_MAXHOST] = "?";
    char port[NI_MAXSERV] = "?";
    (void)getnameinfo((const struct sockaddr *)address, len, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    bool mapped = strncmp(host, "::ffff:", 7) == 0 && strchr(host, '.') != NULL;
    bool bracketed = !mapped && strchr(host, ':') != NULL;
    (void)snprintf(text, size, "%s%s%s:%s", bracketed ? "[" : "", mapped ? host + 7 : host, bracketed ? "]" : "", port);
}

static void listener_hand_over(struct listener *listener, int fd, const struct sockaddr_storage *address, socklen_t len)
{
    char remote[NI_MAXHOST + NI_MAXSERV + 4];
    remote_render(address, len, remote, sizeof remote);
    connection_configure(fd);
    struct connection *connection = connection_new(listener->network);
    CHECK(uv_tcp_init(listener->network->loop, &connection->tcp) == 0);
    connection_tcp_opened(connection);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        (void)close(fd);
        connection_shut(connection);
        return;
    }
    listener->accepted(listener->arg, connection, remote);
    if (!connection->done) {
        CHECK(connection->handlers != NULL);
        int error = connection_start(connection);
        if (error != 0) {
            connection_finish(connection, connection_end_of(error));
        }
    }
}

static void socket_readable(uv_poll_t *poll, int status, int events);

static void listener_watch(struct listener *listener)
{
    for (unsigned i = 0; i < listener->n_sockets; i++) {
        CHECK(uv_poll_start(&listener->sockets[i].poll, UV_READABLE, socket_readable) == 0);
    }
}

static void pause_over(uv_timer_t *timer)
{
    listener_watch(timer->data);
}

static void listener_pause(struct listener *listener)
{
    for (unsigned i = 0; i < listener->n_sockets; i++) {
        CHECK(uv_poll_stop(&listener->sockets[i].poll) == 0);
    }
    CHECK(uv_timer_start(&listener->pause, pause_over, NETWORK_ACCEPT_PAUSE_MS, 0) == 0);
}

static void socket_readable(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an error shows in accept */
    (void)events;
    struct listening_socket *socket = poll->data;
    struct listener *listener = socket->listener;
    for (unsigned i = 0; i < NETWORK_ACCEPTS && !listener->closing; i++) {
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof address;
        int fd = accept4(socket->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener_hand_over(listener, fd, &address, len);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            listener_pause(listener);
            return;
        } /* else: that one connection is gone */
    }
}

/* ---- listening ---- */

static void listener_let_go(struct listener *listener)
{
    if (--listener->held == 0) {
        struct network_uv *network = listener->network;
        free(listener);
        network_release(network);
    }
}

static void poll_closed(uv_handle_t *handle)
{
    struct listening_socket *socket = handle->data;
    listener_let_go(socket->listener);
}

static void pause_closed(uv_handle_t *handle)
{
    listener_let_go(handle->data);
}

void network_uv_listener_close(struct listener *listener)
{
    listener->closing = true;
    for (unsigned i = 0; i < listener->n_sockets; i++) {
        uv_close((uv_handle_t *)&listener->sockets[i].poll, poll_closed);
        (void)close(listener->sockets[i].fd); /* uv_close has taken it out of epoll */
    }
    uv_close((uv_handle_t *)&listener->pause, pause_closed);
}

uint16_t network_uv_listener_port(const struct listener *listener)
{
    return listener->port;
}

static void address_set_port(struct sockaddr *address, uint16_t port)
{
    if (address->sa_family == AF_INET) {
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    }
}

static uint16_t socket_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    char port[NI_MAXSERV] = "0";
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    CHECK(getnameinfo((const struct sockaddr *)&address, len, NULL, 0, port, sizeof port, NI_NUMERICSERV) == 0);
    return (uint16_t)strtoul(port, NULL, 10);
}

/* The unspecified IPv6 address takes IPv4, too, if it is alone: beside 0.0.0.0 the two would be in each other's way. Any
 * other address stands for itself. Returns the socket, or −1 with errno. */
static int socket_open(struct sockaddr *address, socklen_t len, bool is_alone)
{
    int one = 1;
    int v6_only = address->sa_family == AF_INET6 &&
                  !(is_alone && IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)address)->sin6_addr));
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    }
    if (bind(fd, address, len) != 0 || listen(fd, NETWORK_BACKLOG) != 0) {
        int os_error = errno;
        (void)close(fd);
        errno = os_error;
        return -1;
    }
    return fd;
}

static void listener_add(struct listener *listener, int fd)
{
    struct listening_socket *socket = &listener->sockets[listener->n_sockets++];
    socket->listener = listener;
    socket->fd = fd;
    CHECK(uv_poll_init(listener->network->loop, &socket->poll, fd) == 0);
    socket->poll.data = socket;
    listener->held++;
}

/* Listens on every address. An address that this host doesn't have (IPv6 switched off, say) is passed over if another
 * works; any other failure counts. Returns 0 or errno. */
static int listener_add_all(struct listener *listener, const struct addrinfo *addresses)
{
    int missing = EADDRNOTAVAIL;
    for (const struct addrinfo *at = addresses; at != NULL && listener->n_sockets < NETWORK_LISTEN_SOCKETS;
         at = at->ai_next) {
        address_set_port(at->ai_addr, listener->port);
        int fd = socket_open(at->ai_addr, at->ai_addrlen, addresses->ai_next == NULL);
        if (fd >= 0) {
            listener_add(listener, fd);
            listener->port = socket_port(fd); /* port 0: the other addresses get the same */
        } else if (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) {
            missing = errno;
        } else {
            return errno;
        }
    }
    return listener->n_sockets > 0 ? 0 : missing;
}

static const char *listen_advice(int os_error)
{
    switch (os_error) {
    case EADDRINUSE:
        return "another process listens there: stop it, or choose another port";
    case EADDRNOTAVAIL:
        return "this host has no such address: choose one of its own";
    case EACCES:
        return "ports below 1024 need a privilege: choose a higher one";
    default:
        return "choose another address";
    }
}

static struct listener *listener_new(struct network_uv *network, uint16_t port)
{
    struct listener *listener = calloc(1, sizeof *listener);
    CHECK(listener != NULL);
    listener->network = network;
    listener->port = port;
    network->open++;
    CHECK(uv_timer_init(network->loop, &listener->pause) == 0);
    listener->pause.data = listener;
    listener->held = 1;
    return listener;
}

enum error network_uv_listen(void *impl, const char *host, uint16_t port,
                             void (*accepted)(void *arg, struct connection *connection, const char *remote), void *arg,
                             struct listener **listener, struct error_text *text)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    /* Blocks, at start only. "" means every address of this host. */
    int unresolved = getaddrinfo(host[0] == 0 ? NULL : host, "0", &hints, &addresses);
    if (unresolved != 0) {
        return error_set(text, ERROR_NETWORK, "can't listen on %s port %u: %s; give an address of this host", host,
                         (unsigned)port, gai_strerror(unresolved));
    }
    struct listener *opened = listener_new(impl, port);
    opened->accepted = accepted;
    opened->arg = arg;
    int os_error = listener_add_all(opened, addresses);
    freeaddrinfo(addresses);
    if (os_error != 0) {
        network_uv_listener_close(opened);
        return error_set(text, ERROR_NETWORK, "can't listen on %s port %u: %s; %s",
                         host[0] == 0 ? "every address," : host, (unsigned)port, strerror(os_error),
                         listen_advice(os_error));
    }
    listener_watch(opened);
    *listener = opened;
    return ERROR_NONE;
}
