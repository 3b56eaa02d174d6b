/* Two attacks are meant. A foreign page posts across sites: its Origin isn't where the request went, or Sec-Fetch-Site
 * says so. Or the page's own name is made to resolve to this node (DNS rebinding): then Origin and Host agree, and only
 * the name itself tells; while there are no tokens, a browser may use no name that isn't ours. */
#include "node/browser.h"

#include <string.h>
#include <strings.h>

#include "node/spec.h"

static bool slice_equal_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp((const char *)a.base, (const char *)b.base, a.len) == 0);
}

static bool slice_begins_nocase(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && strncasecmp((const char *)text.base, prefix, len) == 0;
}

static struct slice slice_skip(struct slice text, size_t len)
{
    return (struct slice){.base = text.base + len, .len = text.len - len};
}

/* HOST of HOST[:PORT], without brackets; the port, if any, with its colon in `port`. */
static struct slice authority_cut(struct slice authority, struct slice *port)
{
    struct slice host = authority;
    *port = (struct slice){.base = authority.base + authority.len, .len = 0};
    if (authority.len > 0 && authority.base[0] == '[') {
        const uint8_t *end = memchr(authority.base, ']', authority.len);
        if (end == NULL) {
            return host;
        }
        host = (struct slice){.base = authority.base + 1, .len = (size_t)(end - authority.base - 1)};
        *port = slice_skip(authority, host.len + 2);
        return host;
    }
    const uint8_t *colon = authority.len == 0 ? NULL : memchr(authority.base, ':', authority.len);
    if (colon != NULL) {
        host.len = (size_t)(colon - authority.base);
        *port = slice_skip(authority, host.len);
    }
    return host;
}

static bool is_default_port(struct slice port, bool https)
{
    return port.len == 0 || slice_equal(port, slice_of(https ? ":443" : ":80"));
}

static bool origin_is_own(struct slice origin, struct slice host)
{
    bool https = slice_begins_nocase(origin, "https://");
    if (!https && !slice_begins_nocase(origin, "http://")) {
        return false; /* "null", an extension, a file */
    }
    struct slice origin_port;
    struct slice host_port;
    struct slice origin_name = authority_cut(slice_skip(origin, https ? 8 : 7), &origin_port);
    struct slice host_name = authority_cut(host, &host_port);
    bool same_port = slice_equal(origin_port, host_port) ||
                     (is_default_port(origin_port, https) && is_default_port(host_port, https));
    return slice_equal_nocase(origin_name, host_name) && same_port;
}

static bool host_is_known(struct slice host, const struct slice *hosts, size_t n_hosts)
{
    struct slice port;
    struct slice name = authority_cut(host, &port);
    char text[LIMIT_NAME_BYTES + 1];
    if (name.len == 0 || name.len > LIMIT_NAME_BYTES || memchr(name.base, 0, name.len) != NULL) {
        return false;
    }
    memcpy(text, name.base, name.len);
    text[name.len] = 0;
    if (host_is_ip(text) || strcasecmp(text, "localhost") == 0) {
        return true;
    }
    for (size_t i = 0; i < n_hosts; i++) {
        if (slice_equal_nocase(name, hosts[i])) {
            return true;
        }
    }
    return false;
}

const char *browser_refuse(const struct browser_headers *headers, const struct slice *hosts, size_t n_hosts)
{
    bool has_origin = slice_is_present(headers->origin);
    struct slice host = slice_is_present(headers->host) ? headers->host : slice_of("");
    bool from_browser = has_origin || headers->has_sec_fetch || slice_begins_nocase(headers->user_agent, "Mozilla/");
    if (!from_browser) {
        return NULL;
    }
    if (headers->ambiguous) {
        return "A web browser sends Host, Origin and Sec-Fetch-Site once each. Send the request from a program "
               "instead.";
    }
    if (slice_equal(headers->sec_fetch_site, slice_of("cross-site")) ||
        (has_origin && !origin_is_own(headers->origin, host))) {
        return "The request comes from a web page of another site, which may not use this lock service. Send it from a "
               "program, or from a page of this node.";
    }
    if (!host_is_known(host, hosts, n_hosts)) {
        return "A web browser may reach this node only by an IP address, as localhost, or by a node's name. Start "
               "batond with --allow-host NAME to add this name.";
    }
    return NULL;
}
