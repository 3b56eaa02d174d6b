/* socket: the few things that this room does with sockets itself. Knows neither MHD nor the loop. */
#ifndef BATON_HTTP_SOCKET_H
#define BATON_HTTP_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/error.h"
#include "base/slice.h"

/* A listening, non-blocking socket: on one address of `host`, or on all of them when it is empty (IPv4 and IPv6 at
 * once). `*bound_port` is what port 0 became. ERROR_LOCKED: the port is in use; ERROR_NETWORK: anything else. */
enum error listen_open(const char *host, uint16_t port, int *fd, uint16_t *bound_port, struct error_text *text)
    MUST_CHECK;

/* True when the other side has closed or reset, even behind bytes that nobody has read yet. */
bool socket_is_gone(int fd);
/* All bytes that it has ever received; 0 when the kernel doesn't say. */
uint64_t socket_received_bytes(int fd);
/* Small answers aren't held back until earlier ones are acknowledged (TCP_NODELAY). */
void socket_send_at_once(int fd);
/* Sends what fits without waiting, and forgets the rest. */
void socket_write_once(int fd, struct slice bytes);

#endif
