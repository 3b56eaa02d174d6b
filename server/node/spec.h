/* spec: names of nodes, addresses, and the SPEC of a cluster, read from text. Pure: no resolver, no socket.
 *
 * SPEC is `NAME=HOST[:HTTP_PORT[:RAFT_PORT]],…`, an IPv6 address in brackets; HTTP_PORT defaults to 7420, RAFT_PORT to
 * HTTP_PORT + 1. */
#ifndef BATON_NODE_SPEC_H
#define BATON_NODE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"
#include "replica/replica.h"

enum { SPEC_HTTP_PORT = 7420, SPEC_RAFT_PORT = 7421 };

struct address {
    char host[LIMIT_NAME_BYTES + 1]; /* without brackets; "" means all addresses */
    uint16_t port;
};

/* HOST:PORT in text: brackets around IPv6, and room for the longest host. */
struct address_text {
    char text[LIMIT_NAME_BYTES + 16];
};

struct spec {
    struct replica_member *members; /* sorted by name; names and addresses in `arena` */
    size_t n_members;
    struct arena arena;
};

/* 1 to 256 bytes of A-Z a-z 0-9 . _ : @ ~ -, the first a letter or digit. */
bool node_name_is_valid(struct slice name);

/* HOST:PORT, [IPV6]:PORT or :PORT (all addresses). ERROR_INVALID with a sentence that names the place. */
enum error spec_address_parse(const char *text, struct address *address, struct error_text *error) MUST_CHECK;
void spec_address_print(const char *host, uint16_t port, struct address_text *text);
/* True for localhost, names below it, 127.0.0.0/8 and ::1; false for "", which listens everywhere. */
bool host_is_loopback(const char *host);
/* True for "", 0.0.0.0 and ::, which listen on all addresses. */
bool host_is_any(const char *host);
/* True for an IPv4 or IPv6 address without brackets. */
bool host_is_ip(const char *host);

/* Initialises `spec`; to be closed in any case. ERROR_INVALID with a sentence that names the place: bad names or hosts,
 * ports out of 1 … 65535, a name or an address that stands twice, more than LIMIT_MEMBERS members. */
enum error spec_parse(struct slice text, struct spec *spec, struct error_text *error) MUST_CHECK;
/* A cluster of one. The caller has checked the name. */
void spec_single(const char *name, const char *host, uint16_t http_port, uint16_t raft_port, struct spec *spec);
void spec_close(struct spec *spec);
const struct replica_member *spec_find(const struct spec *spec, const char *name); /* NULL when it isn't there */
bool spec_equal(const struct spec *a, const struct spec *b);

#endif
