/* network_internal_uv: what the three files of libuv's network share.
 *
 *   network_uv.c         a connection that is open: bytes in, bytes out, its end
 *   network_dial_uv.c    from a name to an open connection
 *   network_listen_uv.c  from a listening socket to accepted connections */
#ifndef BATON_PEER_NETWORK_INTERNAL_UV_H
#define BATON_PEER_NETWORK_INTERNAL_UV_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "peer/network.h"

#define NETWORK_READ_BYTES      (256u * 1024u)
#define NETWORK_DIAL_MS         2000u
#define NETWORK_USER_TIMEOUT_MS 3000u        /* unacknowledged for this long: the connection ends as TIMED_OUT */
#define NETWORK_NOT_SENT_BYTES  (128 * 1024) /* taken by the kernel, and not even sent once */
#define NETWORK_BACKLOG         256
#define NETWORK_ACCEPTS         64u  /* in one loop turn; the rest waits for the next */
#define NETWORK_ACCEPT_PAUSE_MS 100u /* after accept failed for want of descriptors or memory */
#define NETWORK_LISTEN_SOCKETS  8u   /* addresses of one listening name; more are ignored */
#define NETWORK_WRITE_FAILED_MS 100u /* for the reading side to deliver what came and report the end itself */

struct network_uv {
    uv_loop_t *loop;
    uv_timer_t anchor; /* never started: closing it calls network_uv_close's callback on the loop */
    size_t open;       /* connections and listeners that libuv or the caller still hold */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    uint8_t read_buffer[NETWORK_READ_BYTES]; /* one for all: a reader takes everything before the next one reads */
};

/* Freed when it is `done` (nobody is called any more) and libuv holds nothing of it. */
struct connection {
    struct network_uv *network;
    const struct connection_handlers *handlers;
    void *arg;
    bool done;
    unsigned held; /* tcp and timer handles not yet closed, and the lookup: by libuv */
    uv_tcp_t tcp;
    bool tcp_is_open; /* initialised, and uv_close wasn't called */
    uv_timer_t timer; /* a dial's bounds; later a failed write's grace */
    size_t unsent;
    int write_error; /* 0, or libuv's: nothing more is sent, and the end is near */

    /* Of a dial. */
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    struct addrinfo *addresses; /* of the lookup */
    const struct addrinfo *next_address;
    struct addrinfo numeric; /* instead of a lookup */
    struct sockaddr_storage numeric_address;
    uint64_t deadline_ms;
    enum connection_end dial_end; /* so far: what the attempts came to */
    bool dial_end_is_local;
    bool looking_up;
    uint16_t port;
};

struct connection *connection_new(struct network_uv *network);
void connection_tcp_opened(struct connection *connection); /* the handle was initialised: it is held */
void connection_configure(int fd);
/* Starts to read. Returns 0 or libuv's error. */
int connection_start(struct connection *connection);
/* From the top of the loop only: calls `closed`, unless it is done already. */
void connection_finish(struct connection *connection, enum connection_end end);
void connection_shut(struct connection *connection); /* nobody is called any more; closes the handles */
void connection_release(struct connection *connection);
enum connection_end connection_end_of(int uv_error);
void network_release(struct network_uv *network); /* one of `open` is gone */

struct connection *network_uv_dial(void *impl, const char *host, uint16_t port,
                                   const struct connection_handlers *handlers, void *arg);
void dial_cancel(struct connection *connection);

enum error network_uv_listen(void *impl, const char *host, uint16_t port,
                             void (*accepted)(void *arg, struct connection *connection, const char *remote), void *arg,
                             struct listener **listener, struct error_text *text);
uint16_t network_uv_listener_port(const struct listener *listener);
void network_uv_listener_close(struct listener *listener);

#endif
