/* socket: sockets before and beside MHD. Opens the listening one with an error that a person can act on, and asks a
 * connected one what MHD doesn't tell: whether its client has gone, and how much it has ever received. */
#include <errno.h>
#include <linux/tcp.h> /* struct tcp_info with its newer fields, which netinet/tcp.h lacks */
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/socket.h"

/* One address. An IPv6 wildcard takes IPv4 as well. Returns the descriptor, or −1 with errno. */
static int listen_on(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    const int on = 1;
    const int off = 0;
    int rv = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (rv == 0 && address->ai_family == AF_INET6) {
        rv = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (rv == 0) {
        rv = bind(fd, address->ai_addr, address->ai_addrlen);
    }
    if (rv == 0) {
        rv = listen(fd, SOMAXCONN);
    }
    if (rv != 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static uint16_t socket_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t len = sizeof address;
    CHECK(getsockname(fd, &address.any, &len) == 0);
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* The first of `addresses` that has `family` and can be listened on; −1 and errno of the last one tried (0: none had). */
static int listen_on_family(const struct addrinfo *addresses, int family, int *failure)
{
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        if (at->ai_family == family) {
            int fd = listen_on(at);
            if (fd >= 0) {
                return fd;
            }
            *failure = errno;
        }
    }
    return -1;
}

static enum error listen_failed(const char *host, uint16_t port, int failure, struct error_text *text)
{
    const char *shown = host[0] == 0 ? "all addresses" : host;
    if (failure == EADDRINUSE) {
        return error_set(text, ERROR_LOCKED,
                         "cannot listen for HTTP on %s, port %u: the port is in use. Is another batond running here? "
                         "Choose another port with --http HOST:PORT",
                         shown, port);
    }
    const char *hint = failure == EADDRNOTAVAIL ? ". The address doesn't belong to this machine"
                       : failure == EACCES      ? ". Ports below 1024 need a privilege"
                                                : "";
    return error_set(text, ERROR_NETWORK, "cannot listen for HTTP on %s, port %u: %s%s", shown, port,
                     strerror(failure == 0 ? EAFNOSUPPORT : failure), hint);
}

enum error listen_open(const char *host, uint16_t port, int *fd, uint16_t *bound_port, struct error_text *text)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    bool everywhere = host[0] == 0;
    int rv = getaddrinfo(everywhere ? NULL : host, service, &hints, &addresses);
    if (rv != 0) {
        return error_set(text, ERROR_NETWORK, "cannot listen for HTTP on %s, port %u: %s", host, port,
                         rv == EAI_SYSTEM ? strerror(errno) : gai_strerror(rv));
    }
    /* Everywhere means both families at once, which the IPv6 wildcard does. A name such as localhost means one address:
     * the IPv4 one, because who writes 127.0.0.1 must reach it, and who writes localhost tries both. */
    int failure = 0;
    *fd = listen_on_family(addresses, everywhere ? AF_INET6 : AF_INET, &failure);
    if (*fd < 0 && failure != EADDRINUSE) {
        *fd = listen_on_family(addresses, everywhere ? AF_INET : AF_INET6, &failure);
    }
    freeaddrinfo(addresses);
    if (*fd < 0) {
        return listen_failed(host, port, failure, text);
    }
    *bound_port = socket_port(*fd);
    return ERROR_NONE;
}

bool socket_is_gone(int fd)
{
    /* POLLRDHUP sees the end of the stream behind bytes that nobody has read (a next request), where a peek doesn't. */
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

uint64_t socket_received_bytes(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_received : 0;
}

void socket_send_at_once(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* without it answers are late, not wrong */
}

void socket_write_once(int fd, struct slice bytes)
{
    (void)!send(fd, bytes.base, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}
