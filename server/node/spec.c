#include "node/spec.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- names and addresses ---- */

static bool is_alphanumeric(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

bool node_name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > LIMIT_NAME_BYTES || !is_alphanumeric(name.base[0])) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_alphanumeric(name.base[i]) && (name.base[i] == 0 || strchr("._:@~-", name.base[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

bool host_is_ip(const char *host)
{
    uint8_t address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool host_is_loopback(const char *host)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const char suffix[] = ".localhost";
    uint8_t address[16];
    if (inet_pton(AF_INET, host, address) == 1) {
        return address[0] == 127;
    }
    if (inet_pton(AF_INET6, host, address) == 1) {
        struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
        return memcmp(address, &loopback, sizeof address) == 0 ||
               (memcmp(address, mapped, sizeof mapped) == 0 && address[12] == 127);
    }
    size_t len = strlen(host);
    return strcasecmp(host, "localhost") == 0 ||
           (len > sizeof suffix - 1 && strcasecmp(host + len - (sizeof suffix - 1), suffix) == 0);
}

bool host_is_any(const char *host)
{
    static const uint8_t zero[16];
    uint8_t address[16] = {0};
    bool is_ip = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    return host[0] == 0 || (is_ip && memcmp(address, zero, sizeof zero) == 0);
}

static bool host_name_is_valid(struct slice host)
{
    if (host.len == 0 || host.len > 253 || !is_alphanumeric(host.base[0])) {
        return false;
    }
    for (size_t i = 0; i < host.len; i++) {
        if (!is_alphanumeric(host.base[i]) && (host.base[i] == 0 || strchr(".-_", host.base[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool port_parse(struct slice text, uint16_t *port)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text.base[i] - '0');
    }
    *port = (uint16_t)value;
    return value >= 1 && value <= 65535;
}

/* Cuts the part up to the next `separator` off `rest`; false when there is nothing left. After the last part `rest` is
 * absent, so that "a," has two parts. */
static bool slice_cut(struct slice *rest, char separator, struct slice *part)
{
    if (!slice_is_present(*rest)) {
        return false;
    }
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->base, separator, rest->len);
    if (end == NULL) {
        *part = *rest;
        *rest = (struct slice){0};
        return true;
    }
    *part = (struct slice){.base = rest->base, .len = (size_t)(end - rest->base)};
    *rest = (struct slice){.base = end + 1, .len = rest->len - part->len - 1};
    return true;
}

/* Splits HOST, [IPV6] or nothing from `:…`; `ports` is what follows the colon, absent when there is none. */
static bool host_cut(struct slice text, char host[LIMIT_NAME_BYTES + 1], struct slice *ports)
{
    struct slice name = {0};
    struct slice rest = text;
    bool bracketed = text.len > 0 && text.base[0] == '[';
    if (bracketed) {
        rest = (struct slice){.base = text.base + 1, .len = text.len - 1};
        struct slice behind;
        if (!slice_cut(&rest, ']', &name) || !slice_is_present(rest)) {
            return false; /* no closing bracket */
        }
        behind = rest;
        if (behind.len == 0) {
            *ports = (struct slice){0};
        } else if (behind.base[0] == ':') {
            *ports = (struct slice){.base = behind.base + 1, .len = behind.len - 1};
        } else {
            return false;
        }
    } else {
        (void)slice_cut(&rest, ':', &name);
        *ports = rest;
    }
    if (name.len > LIMIT_NAME_BYTES || (name.len > 0 && memchr(name.base, 0, name.len) != NULL)) {
        return false;
    }
    if (name.len > 0) {
        memcpy(host, name.base, name.len);
    }
    host[name.len] = 0;
    struct in6_addr address;
    return bracketed ? inet_pton(AF_INET6, host, &address) == 1 : name.len == 0 || host_name_is_valid(name);
}

enum error spec_address_parse(const char *text, struct address *address, struct error_text *error)
{
    struct slice port;
    if (strlen(text) > 2 * LIMIT_NAME_BYTES || !host_cut(slice_of(text), address->host, &port)) {
        return error_set(error, ERROR_INVALID, "\"%.300s\" is not HOST:PORT (an IPv6 address stands in brackets)",
                         text);
    }
    if (!slice_is_present(port) || !port_parse(port, &address->port)) {
        return error_set(error, ERROR_INVALID, "\"%.300s\" needs a port from 1 to 65535 after its last colon", text);
    }
    return ERROR_NONE;
}

void spec_address_print(const char *host, uint16_t port, struct address_text *text)
{
    bool brackets = strchr(host, ':') != NULL;
    (void)snprintf(text->text, sizeof text->text, "%s%s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "", port);
}

/* ---- SPEC ---- */

static enum error member_parse(struct slice text, struct spec *spec, struct replica_member *member,
                               struct error_text *error)
{
    struct slice rest = text;
    struct slice name = {0};
    struct slice ports = {0};
    char host[LIMIT_NAME_BYTES + 1] = "";
    (void)slice_cut(&rest, '=', &name);
    int shown = (int)(text.len < 200 ? text.len : 200);
    if (!slice_is_present(rest)) {
        return error_set(error, ERROR_INVALID, "\"%.*s\" is not NAME=HOST[:HTTP_PORT[:RAFT_PORT]]", shown, text.base);
    }
    if (!node_name_is_valid(name)) {
        return error_set(error, ERROR_INVALID,
                         "the name in \"%.*s\" must be 1 to 256 of A-Z a-z 0-9 . _ : @ ~ - and begin with a letter or "
                         "digit",
                         shown, text.base);
    }
    if (!host_cut(rest, host, &ports) || host[0] == 0) {
        return error_set(error, ERROR_INVALID,
                         "the host in \"%.*s\" must be a name or an address (an IPv6 address stands in brackets)",
                         shown, text.base);
    }
    struct slice port = {0};
    member->http_port = SPEC_HTTP_PORT;
    if (slice_cut(&ports, ':', &port) && !port_parse(port, &member->http_port)) {
        return error_set(error, ERROR_INVALID, "the HTTP port in \"%.*s\" must be 1 to 65535", shown, text.base);
    }
    member->raft_port = (uint16_t)(member->http_port + 1);
    if (slice_is_present(ports) ? !port_parse(ports, &member->raft_port) : member->raft_port == 0) {
        return error_set(error, ERROR_INVALID, "the Raft port in \"%.*s\" must be 1 to 65535", shown, text.base);
    }
    if (member->raft_port == member->http_port) {
        return error_set(error, ERROR_INVALID, "the two ports in \"%.*s\" must differ", shown, text.base);
    }
    member->name = (const char *)arena_copy(&spec->arena, name).base;
    member->host = (const char *)arena_copy(&spec->arena, slice_of(host)).base;
    return ERROR_NONE;
}

static int member_compare(const void *a, const void *b)
{
    return strcmp(((const struct replica_member *)a)->name, ((const struct replica_member *)b)->name);
}

static enum error spec_check_pairs(const struct spec *spec, struct error_text *error)
{
    for (size_t i = 1; i < spec->n_members; i++) {
        const struct replica_member *a = &spec->members[i];
        if (strcmp(spec->members[i - 1].name, a->name) == 0) {
            return error_set(error, ERROR_INVALID, "the name %s stands there twice", a->name);
        }
        for (size_t j = 0; j < i; j++) {
            const struct replica_member *b = &spec->members[j];
            bool clash = a->http_port == b->http_port || a->http_port == b->raft_port || a->raft_port == b->http_port ||
                         a->raft_port == b->raft_port;
            if (clash && strcasecmp(a->host, b->host) == 0) {
                return error_set(error, ERROR_INVALID, "%s and %s have a port in common on host %s", b->name, a->name,
                                 a->host);
            }
        }
    }
    return ERROR_NONE;
}

enum error spec_parse(struct slice text, struct spec *spec, struct error_text *error)
{
    *spec = (struct spec){0};
    arena_init(&spec->arena, 0);
    spec->members = arena_alloc(&spec->arena, LIMIT_MEMBERS * sizeof *spec->members);
    struct slice rest = text;
    struct slice part = {0};
    while (slice_cut(&rest, ',', &part)) {
        if (spec->n_members == LIMIT_MEMBERS) {
            return error_set(error, ERROR_INVALID, "it names more than %u nodes", LIMIT_MEMBERS);
        }
        enum error failed = member_parse(part, spec, &spec->members[spec->n_members], error);
        if (failed != ERROR_NONE) {
            return failed;
        }
        spec->n_members++;
    }
    if (spec->n_members == 0) {
        return error_set(error, ERROR_INVALID, "it is empty");
    }
    qsort(spec->members, spec->n_members, sizeof *spec->members, member_compare);
    return spec_check_pairs(spec, error);
}

void spec_single(const char *name, const char *host, uint16_t http_port, uint16_t raft_port, struct spec *spec)
{
    *spec = (struct spec){0};
    arena_init(&spec->arena, 0);
    spec->members = arena_alloc(&spec->arena, sizeof *spec->members);
    spec->n_members = 1;
    spec->members[0] = (struct replica_member){
        .name = (const char *)arena_copy(&spec->arena, slice_of(name)).base,
        .host = (const char *)arena_copy(&spec->arena, slice_of(host)).base,
        .http_port = http_port,
        .raft_port = raft_port,
    };
}

void spec_close(struct spec *spec)
{
    arena_close(&spec->arena);
    *spec = (struct spec){0};
}

const struct replica_member *spec_find(const struct spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_members; i++) {
        if (strcmp(spec->members[i].name, name) == 0) {
            return &spec->members[i];
        }
    }
    return NULL;
}

bool spec_equal(const struct spec *a, const struct spec *b)
{
    if (a->n_members != b->n_members) {
        return false;
    }
    for (size_t i = 0; i < a->n_members; i++) {
        const struct replica_member *x = &a->members[i];
        const struct replica_member *y = &b->members[i];
        if (strcmp(x->name, y->name) != 0 || strcmp(x->host, y->host) != 0 || x->http_port != y->http_port ||
            x->raft_port != y->raft_port) {
            return false;
        }
    }
    return true;
}
