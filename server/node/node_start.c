/* The way in: disk and storage (who is this node?), then addresses, then HTTP, whose port is open before the cluster is
 * founded so that GET /health can say what is waited for, then the replica. Each step leaves what it opened to the way
 * out, also when a later one fails. */
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "node/node_private.h"
#include "peer/network_uv.h"
#include "replica/founding.h"
#include "storage/disk_uv.h"

static int exit_code_of(enum error error)
{
    switch (error) {
    case ERROR_CORRUPT:
    case ERROR_FOREIGN:
    case ERROR_VERSION:
        return EXIT_DATA;
    default:
        return EXIT_RUNTIME;
    }
}

/* The data directory counts as unusable whatever is wrong with it, but for what passes by itself. */
static int exit_code_of_data(enum error error)
{
    return error == ERROR_NO_SPACE || error == ERROR_NO_MEMORY ? EXIT_RUNTIME : EXIT_DATA;
}

static int start_fail(struct node *node, int exit_code, const struct error_text *error)
{
    log_write(&node->log, LOG_LEVEL_ERROR, slice_of(error->text), NULL, 0);
    return exit_code;
}

/* Storage knows neither its directory's name nor how it was chosen. */
static int start_fail_data(struct node *node, enum error failed, const struct error_text *error)
{
    const char *directory = node->options->data_dir;
    const struct log_field fields[] = {
        LOG_TEXT("data_dir", directory),
        LOG_TEXT("advice", "give --data-dir a directory that this user may write to, or may create"),
    };
    bool is_usable = access(directory, R_OK | W_OK | X_OK) == 0;
    log_write(&node->log, LOG_LEVEL_ERROR, slice_of(error->text), fields, is_usable ? 1 : 2);
    return exit_code_of_data(failed);
}

static int start_storage(struct node *node)
{
    struct error_text error;
    const struct options *options = node->options;
    enum error failed =
        disk_uv_open(&node->disk, loop_uv_handle(node->uv), options->data_dir, options->disk_io, &error);
    if (failed != ERROR_NONE) {
        return start_fail_data(node, failed, &error);
    }
    node->has_disk = true;
    struct storage_options storage = {
        .disk = &node->disk,
        .loop = &node->loop,
        .segment_bytes = LIMIT_SEGMENT_BYTES,
        .snapshot_reserve_bytes = LIMIT_SEGMENT_BYTES,
        .fatal = node_storage_failed,
        .note = node_storage_noted,
        .arg = node,
    };
    failed = storage_open(&storage, &node->storage, &error);
    return failed == ERROR_NONE ? EXIT_ASKED : start_fail_data(node, failed, &error);
}

/* Who this node is: the data directory's word goes before the command line's. */
static int start_identity(struct node *node)
{
    struct error_text error;
    struct options *options = node->options;
    const struct storage_identity *identity = storage_identity(node->storage);
    if (identity == NULL) {
        return EXIT_ASKED;
    }
    if (options->has_node && strcmp(options->node, identity->name) != 0) {
        (void)error_set(&error, ERROR_FOREIGN,
                        "the data directory %s belongs to node %s, not to %s: give --node %s, or another --data-dir",
                        options->data_dir, identity->name, options->node, identity->name);
        return start_fail(node, EXIT_DATA, &error);
    }
    memcpy(options->node, identity->name, sizeof options->node);
    if (!identity->initialised && options->has_cluster) {
        return EXIT_ASKED; /* nothing was founded by it: a SPEC that was wrong can still be corrected */
    }
    struct error_text why;
    if (spec_parse(identity->spec, &node->spec, &why) != ERROR_NONE) {
        (void)error_set(&error, ERROR_CORRUPT, "the SPEC in %s's identity isn't one: %s", options->data_dir, why.text);
        return start_fail(node, EXIT_DATA, &error);
    }
    node->spec_is_default = node->spec.n_members == 1 && !options->has_cluster;
    if (options->has_cluster && !spec_equal(&options->cluster, &node->spec)) {
        log_warning(&node->log, "--cluster differs from what this node first started with, which counts",
                    LOG_SLICE("counts", identity->spec));
    }
    return EXIT_ASKED;
}

/* Takes the SPEC of the command line when the data directory has none, and makes one for a single node. */
static int start_spec(struct node *node)
{
    struct error_text error;
    struct options *options = node->options;
    if (node->spec.n_members == 0 && options->has_cluster) {
        node->spec = options->cluster; /* taken over */
        options->cluster = (struct spec){0};
    }
    bool is_given = node->spec.n_members > 0 && !node->spec_is_default;
    if (options_resolve(options, is_given ? &node->spec : NULL, &node->endpoints, &error) != ERROR_NONE) {
        return start_fail(node, EXIT_USAGE, &error);
    }
    if (node->spec.n_members == 0) {
        char name[LIMIT_NAME_BYTES + 1] = "localhost";
        (void)gethostname(name, sizeof name - 1);
        const char *host = node->endpoints.raft.host;
        spec_single(options->node, host_is_any(host) ? name : host, node->endpoints.http.port,
                    node->endpoints.raft.port, &node->spec);
    }
    return EXIT_ASKED;
}

static void hosts_add(struct node *node, struct slice name)
{
    if (name.len > 0 && node->n_hosts < ALLOWED_HOSTS) {
        node->hosts[node->n_hosts++] = name;
    }
}

/* The names by which browsers may reach this node: the members', and what --allow-host lists. */
static void start_hosts(struct node *node)
{
    for (size_t i = 0; i < node->spec.n_members; i++) {
        hosts_add(node, slice_of(node->spec.members[i].name));
    }
    struct slice rest = node->options->allow_hosts;
    while (rest.len > 0) {
        const uint8_t *comma = memchr(rest.base, ',', rest.len);
        size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.base);
        hosts_add(node, (struct slice){.base = rest.base, .len = len});
        size_t skip = comma == NULL ? rest.len : len + 1;
        rest = (struct slice){.base = rest.base + skip, .len = rest.len - skip};
    }
}

static int start_http(struct node *node)
{
    struct error_text error;
    struct service_options service = {
        .loop = &node->loop,
        .log = &node->log,
        .node = node->options->node,
        .hosts = node->hosts,
        .n_hosts = node->n_hosts,
        .requests = LIMIT_REQUESTS,
        .storage = node->storage,
        .journal = &node->journal,
    };
    node->service = service_open(&service);
    struct http_options http = {
        .loop = loop_uv_handle(node->uv),
        .log = &node->log,
        .listen_host = node->endpoints.http.host,
        .listen_port = node->endpoints.http.port,
        .request_timeout_ms = node->options->request_timeout_ms,
        .connections = node->connections,
        .body_limit = service_body_limit,
        .request = service_request,
        .body_too_large = service_refuse_body,
        .arg = node->service,
    };
    if (http_open(&http, &node->http, &error) != ERROR_NONE) {
        return start_fail(node, EXIT_RUNTIME, &error);
    }
    service_attach_http(node->service, node->http);
    return EXIT_ASKED;
}

static int start_replica(struct node *node)
{
    struct error_text error;
    const struct options *options = node->options;
    network_uv_open(&node->network, loop_uv_handle(node->uv));
    node->has_network = true;
    struct replica_options replica = {
        .loop = &node->loop,
        .log = &node->log,
        .network = &node->network,
        .storage = node->storage,
        .name = options->node,
        .members = node->spec.members,
        .n_members = node->spec.n_members,
        .listen_host = node->endpoints.raft.host,
        .listen_port = node->endpoints.raft.port,
        .advertise_http = node->endpoints.advertise_http.text,
        .election_timeout_ms = options->election_timeout_ms,
        .heartbeat_ms = options->heartbeat_ms,
        .commit_timeout_ms = options->commit_timeout_ms,
        .state_hash_every = options->state_hash_every,
        .fatal = node_replica_failed,
        .changed = node_replica_changed,
        .event = node_replica_event,
        .skipped = node_replica_skipped,
        .arg = node,
    };
    if (options->cluster_key_len > 0) {
        replica.cluster_key = (struct slice){.base = options->cluster_key, .len = options->cluster_key_len};
    }
    enum error failed = replica_open(&replica, &node->replica, &error);
    explicit_bzero(node->options->cluster_key, sizeof node->options->cluster_key); /* it was copied */
    if (failed != ERROR_NONE) {
        return start_fail(node, exit_code_of(failed), &error);
    }
    node->served = true;
    service_attach(node->service, node->replica);
    loop_post(&node->loop, &node->look);
    return EXIT_ASKED;
}

static void log_start(struct node *node)
{
    struct address_text http;
    struct address_text raft;
    struct buffer spec;
    struct storage_figures figures;
    buffer_init(&spec);
    founding_render_spec(node->spec.members, node->spec.n_members, &spec);
    spec_address_print(node->endpoints.http.host, node->endpoints.http.port, &http);
    spec_address_print(node->endpoints.raft.host, node->endpoints.raft.port, &raft);
    storage_figures(node->storage, &figures);
    log_info(&node->log, "started", LOG_TEXT("version", BATON_VERSION), LOG_TEXT("node", node->options->node),
             LOG_TEXT("http", http.text), LOG_TEXT("raft", raft.text),
             LOG_TEXT("advertise_http", node->endpoints.advertise_http.text),
             LOG_TEXT("data_dir", node->options->data_dir), LOG_TEXT("disk_io", figures.log_mode),
             LOG_SLICE("cluster", buffer_slice(&spec)),
             LOG_TEXT("peers", node->options->cluster_key_len > 0 ? "keyed" : "unprotected"));
    buffer_close(&spec);
}

int node_start(struct node *node)
{
    int (*const steps[])(struct node *) = {start_storage, start_identity, start_spec};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int exit_code = steps[i](node);
        if (exit_code != EXIT_ASKED) {
            return exit_code;
        }
    }
    start_hosts(node);
    int exit_code = start_http(node);
    if (exit_code == EXIT_ASKED) {
        exit_code = start_replica(node);
    }
    if (exit_code == EXIT_ASKED) {
        log_start(node);
    }
    return exit_code;
}
