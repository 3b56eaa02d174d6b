/* Where a node listens and what it tells others, and whether that is protected well enough. */
#include "node/options.h"

#include <string.h>
#include <unistd.h>

static enum error check_protection(const struct options *options, const struct spec *spec,
                                   const struct endpoints *endpoints, struct error_text *error)
{
    if (options->insecure) {
        return ERROR_NONE;
    }
    struct address_text shown;
    for (size_t i = 0; spec != NULL && i < spec->n_members && options->cluster_key_len == 0; i++) {
        const struct replica_member *member = &spec->members[i];
        if (strcmp(member->name, options->node) != 0 && !host_is_loopback(member->host)) {
            return error_set(error, ERROR_INVALID,
                             "the way to %s (%s) leaves this host, and whoever answers there would be believed: give "
                             "--cluster-key-file FILE, or --insecure if the network is trusted",
                             member->name, member->host);
        }
    }
    if (!host_is_loopback(endpoints->raft.host) && options->cluster_key_len == 0) {
        spec_address_print(endpoints->raft.host, endpoints->raft.port, &shown);
        return error_set(error, ERROR_INVALID,
                         "other hosts could reach the Raft port (%s): give --cluster-key-file FILE, or --insecure if "
                         "the network is trusted",
                         shown.text);
    }
    if (!host_is_loopback(endpoints->http.host)) {
        spec_address_print(endpoints->http.host, endpoints->http.port, &shown);
        return error_set(error, ERROR_INVALID,
                         "other hosts could reach the HTTP port (%s), and this version has no tokens yet: give "
                         "--insecure if the network is trusted, or --http 127.0.0.1:%u",
                         shown.text, endpoints->http.port);
    }
    return ERROR_NONE;
}

enum error options_resolve(const struct options *options, const struct spec *spec, struct endpoints *endpoints,
                           struct error_text *error)
{
    const struct replica_member *own = spec == NULL ? NULL : spec_find(spec, options->node);
    if (spec != NULL && own == NULL) {
        return error_set(error, ERROR_INVALID, "the cluster's SPEC has no node named %s: give --node one of its names",
                         options->node);
    }
    const char *host = own == NULL ? "127.0.0.1" : host_is_loopback(own->host) ? own->host : "";
    *endpoints = (struct endpoints){0};
    (void)snprintf(endpoints->http.host, sizeof endpoints->http.host, "%s", host);
    (void)snprintf(endpoints->raft.host, sizeof endpoints->raft.host, "%s", host);
    endpoints->http.port = own == NULL ? SPEC_HTTP_PORT : own->http_port;
    endpoints->raft.port = own == NULL ? SPEC_RAFT_PORT : own->raft_port;
    if (options->has_http) {
        endpoints->http = options->http;
    }
    if (options->has_raft) {
        endpoints->raft = options->raft;
    }
    if (options->has_advertise_http) {
        spec_address_print(options->advertise_http.host, options->advertise_http.port, &endpoints->advertise_http);
    } else if (own != NULL) {
        spec_address_print(own->host, own->http_port, &endpoints->advertise_http);
    } else {
        char name[LIMIT_NAME_BYTES + 1] = "localhost";
        (void)gethostname(name, sizeof name - 1);
        spec_address_print(host_is_any(endpoints->http.host) ? name : endpoints->http.host, endpoints->http.port,
                           &endpoints->advertise_http);
    }
    if (endpoints->http.port == endpoints->raft.port) {
        return error_set(error, ERROR_INVALID, "HTTP and Raft can't both listen on port %u: change --http or --raft",
                         endpoints->http.port);
    }
    return check_protection(options, spec, endpoints, error);
}
