/* network: byte streams between members. One of the seams to the world: production is libuv's TCP (network_uv.c), the
 * simulator delays, cuts and partitions. Bytes arrive complete and in order or the connection ends.
 *
 * Callbacks come from the top of the loop, never from inside a call. After `closed`, and after connection_close, a
 * connection calls nobody and may not be used. */
#ifndef BATON_PEER_NETWORK_H
#define BATON_PEER_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/error.h"

struct connection; /* owned by the implementation */
struct listener;

enum connection_end {
    CONNECTION_END_OF_FILE, /* the other side closed; every byte that it sent was delivered before */
    CONNECTION_RESET,
    CONNECTION_REFUSED,    /* a dial: the host answered that nobody listens */
    CONNECTION_TIMED_OUT,  /* a dial took over 2 s, or TCP_USER_TIMEOUT */
    CONNECTION_UNRESOLVED, /* a dial: the name has no address */
    CONNECTION_FAILED,     /* anything else */
};

struct connection_handlers {
    void (*opened)(void *arg); /* a dial succeeded */
    void (*received)(void *arg, const uint8_t *bytes, size_t len);
    void (*drained)(void *arg); /* connection_unsent came down to 0 */
    void (*closed)(void *arg, enum connection_end end);
};

struct network {
    void *impl;
    /* `host` "" means every address. Accepted connections are handed to `accepted`, which must call set_handlers before it returns, or close. */
    enum error (*listen)(void *impl, const char *host, uint16_t port,
                         void (*accepted)(void *arg, struct connection *connection, const char *remote), void *arg,
                         struct listener **listener, struct error_text *text);
    uint16_t (*listener_port)(const struct listener *listener); /* what port 0 became */
    void (*listener_close)(struct listener *listener);
    /* Resolves the name at each call, connects with a bound of 2 s, sets TCP_NODELAY and TCP_USER_TIMEOUT. Failures
     * come through `closed`. Never NULL. */
    struct connection *(*dial)(void *impl, const char *host, uint16_t port, const struct connection_handlers *handlers,
                               void *arg);
    void (*set_handlers)(struct connection *connection, const struct connection_handlers *handlers, void *arg);
    /* Copies. The caller bounds what it hands over by looking at `unsent`. */
    void (*send)(struct connection *connection, const void *bytes, size_t len);
    size_t (*unsent)(const struct connection *connection); /* bytes not yet taken by the kernel */
    void (*close)(struct connection *connection);          /* drops what is unsent; calls nobody */
};

#endif
