/* browser: which requests a web page may send. A page of another site must not reach a lock service through the browser
 * of somebody who can (API.md, "Who may what"). Pure: headers in, a reason to refuse out. */
#ifndef BATON_NODE_BROWSER_H
#define BATON_NODE_BROWSER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* The headers of one request; absent when it had none. */
struct browser_headers {
    struct slice host;
    struct slice origin;
    struct slice sec_fetch_site;
    struct slice user_agent;
    bool has_sec_fetch; /* any Sec-Fetch-* */
    bool ambiguous;     /* Host, Origin or Sec-Fetch-Site stood there more than once */
};

/* NULL when the request may pass, else a sentence that says what to do. `hosts` are the names, besides IP addresses and
 * localhost, by which browsers may reach this node. Its port doesn't count. */
const char *browser_refuse(const struct browser_headers *headers, const struct slice *hosts, size_t n_hosts);

#endif
