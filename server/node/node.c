/* The way in: disk and storage (who is this node?), then addresses, then HTTP, whose port is open before the cluster is
 * founded so that GET /health can say what is waited for, then the replica.
 *
 * The way out, asked by a signal or after a failed start: HTTP takes no more connections, the replica hands leadership
 * over and answers what is in flight, the answers leave, and then each room closes and calls node_close_next, which
 * closes the one below. A timer ends the process when that takes longer than the contract's five seconds.
 *
 * A signal that comes during the way in, where the log is read without turning the loop, ends the process at once (see
 * main.c): nothing was answered yet, and what is on the disk survives that.
 *
 * What can't be survived (a failed write, an entry that isn't understood) ends the process on the spot: nothing may be
 * answered after it. */
#include "node/node.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/loop.h"
#include "http/http.h"
#include "node/loop_uv.h"
#include "node/service.h"
#include "peer/network_uv.h"
#include "replica/founding.h"
#include "replica/replica.h"
#include "storage/disk_uv.h"
#include "storage/storage.h"

enum {
    STOP_MS = 4500,         /* from the signal to the end, at most; the contract says 5 s */
    STOP_REPLICA_MS = 2500, /* what of it operations in flight may take */
    STOP_ANSWERS_MS = 1000, /* and then their answers, on their way to slow clients */
    STOP_POLL_MS = 5,
    JOURNAL_PAUSE_MS = 100, /* until lines that wait are tried again */
    JOURNAL_LEAVE_MS = 250, /* what they get at the end */
    SLOW_TURN_MS = 10,      /* a turn of the loop that took as long is worth a line at debug, … */
    STALL_MS = 250,         /* … and this long a warning: elections are near */
    STALL_PAUSE_MS = 1000,  /* at most one in this time */
    OTHER_FILES = 256,      /* what the log, snapshots and the streams of the members may need at once */
    OPEN_FILES = LIMIT_CONNECTIONS + OTHER_FILES,
    ALLOWED_HOSTS = LIMIT_MEMBERS + 64,
};

struct node {
    struct options *options;
    struct spec spec; /* the one that counts */
    bool spec_is_default;
    struct endpoints endpoints;
    struct slice hosts[ALLOWED_HOSTS];
    size_t n_hosts;
    struct journal journal;
    struct log log;
    struct loop loop;
    struct loop_uv *uv;
    struct disk disk;
    bool has_disk;
    struct storage *storage;
    struct network network;
    bool has_network;
    struct service *service;
    struct http_server *http;
    struct replica *replica;
    struct post look;         /* something about the replica may have changed */
    struct timer *stop_timer; /* the bound on stopping */
    struct timer *poll_timer; /* looks whether all answers have left */
    struct timer *journal_timer;
    uint64_t answers_until_ms;
    uint64_t stall_said_ms;
    size_t connections; /* of clients, at once */
    bool was_ready;
    bool served; /* the replica was open */
    bool stopping;
    bool closing;
    int exit_code;
};

/* ---- what ends the process on the spot ---- */

static _Noreturn void node_leave(struct node *node, int exit_code)
{
    journal_close(&node->journal, JOURNAL_LEAVE_MS);
    _exit(exit_code);
}

static void storage_failed(void *arg, const char *path, uint64_t offset, const char *what, int os_error)
{
    struct node *node = arg;
    log_error(&node->log, "the disk failed: nothing more is acknowledged, this process ends", LOG_TEXT("path", path),
              LOG_U64("offset", offset), LOG_TEXT("what", what), LOG_TEXT("error", strerror(os_error)));
    node_leave(node, EXIT_RUNTIME);
}

static void storage_noted(void *arg, const char *sentence)
{
    const struct node *node = arg;
    log_write(&node->log, LOG_LEVEL_WARNING, slice_of(sentence), NULL, 0);
}

static void replica_failed(void *arg, enum replica_exit code, const char *sentence)
{
    struct node *node = arg;
    log_write(&node->log, LOG_LEVEL_ERROR, slice_of(sentence), NULL, 0);
    node_leave(node, code == REPLICA_EXIT_DATA ? EXIT_DATA : EXIT_RUNTIME);
}

/* ---- the log, when who reads it is slow ---- */

static void journal_waits(void *arg)
{
    const struct node *node = arg;
    loop_timer_start(&node->loop, node->journal_timer, JOURNAL_PAUSE_MS);
}

static void journal_timer_fired(void *arg)
{
    struct node *node = arg;
    if (!journal_flush(&node->journal)) {
        journal_waits(node);
    }
}

/* ---- the loop's own pace ---- */

static void turn_was_slow(void *arg, const struct loop_uv_turn *turn)
{
    struct node *node = arg;
    uint64_t now_ms = loop_mono_ms(&node->loop);
    bool is_stall = turn->wall_ns / 1000000u >= STALL_MS && now_ms - node->stall_said_ms >= STALL_PAUSE_MS;
    if (is_stall) {
        node->stall_said_ms = now_ms;
    }
    LOG_AT(&node->log, is_stall ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "the loop stood still",
           LOG_U64("wall_us", turn->wall_ns / 1000u), LOG_U64("cpu_us", turn->cpu_ns / 1000u));
}

/* ---- readiness ---- */

static void node_look(struct post *post)
{
    struct node *node = post->data;
    if (node->replica == NULL) {
        return;
    }
    service_look_again(node->service);
    struct replica_status status;
    replica_status(node->replica, &status);
    if (status.ready == node->was_ready) {
        return;
    }
    node->was_ready = status.ready;
    struct storage_figures figures;
    storage_figures(node->storage, &figures);
    if (status.ready) {
        log_info(&node->log, "ready", LOG_TEXT("node", node->options->node),
                 LOG_TEXT("role", replica_role_name(status.role)),
                 LOG_TEXT("leader", status.leader == NULL ? "" : status.leader), LOG_U64("term", status.term),
                 LOG_U64("applied_index", status.applied_index), LOG_TEXT("disk_io", figures.log_mode));
    } else if (!node->stopping) {
        log_warning(&node->log, "not ready", LOG_TEXT("node", node->options->node), LOG_U64("term", status.term),
                    LOG_TEXT("reason", status.waiting != NULL ? status.waiting : "no leader is known"));
    }
}

static void replica_changed(void *arg)
{
    struct node *node = arg;
    loop_post(&node->loop, &node->look);
}

/* ---- the way out ---- */

static void node_close_next(void *arg);

static void replica_closed(void *arg)
{
    struct node *node = arg;
    node->replica = NULL;
    service_detach(node->service);
    node->answers_until_ms = loop_mono_ms(&node->loop) + STOP_ANSWERS_MS;
    node_close_next(node);
}

static void http_closed(void *arg)
{
    struct node *node = arg;
    node->http = NULL;
    node_close_next(node);
}

static void storage_closed(void *arg)
{
    struct node *node = arg;
    node->storage = NULL;
    node_close_next(node);
}

static void disk_closed(void *arg)
{
    struct node *node = arg;
    node->has_disk = false;
    node_close_next(node);
}

static void network_closed(void *arg)
{
    struct node *node = arg;
    node->has_network = false;
    node_close_next(node);
}

/* Closes what is open, one room at a time, those first that need the others. */
static void node_close_next(void *arg)
{
    struct node *node = arg;
    if (node->replica != NULL) {
        replica_close(node->replica, STOP_REPLICA_MS, replica_closed, node);
    } else if (node->http != NULL && http_pending(node->http) > 0 &&
               loop_mono_ms(&node->loop) < node->answers_until_ms) {
        loop_timer_start(&node->loop, node->poll_timer, STOP_POLL_MS);
    } else if (node->http != NULL) {
        http_close(node->http, http_closed, node);
    } else if (node->storage != NULL) {
        storage_close(node->storage, node->served, storage_closed, node);
    } else if (node->has_disk) {
        disk_uv_close(&node->disk, disk_closed, node);
    } else if (node->has_network) {
        network_uv_close(&node->network, network_closed, node);
    } else {
        loop_uv_stop(node->uv);
    }
}

static void node_begin_close(struct node *node)
{
    if (node->closing) {
        return;
    }
    node->closing = true;
    loop_timer_start(&node->loop, node->stop_timer, STOP_MS);
    if (node->service != NULL) {
        service_stop(node->service);
    }
    if (node->http != NULL) {
        http_quiesce(node->http);
    }
    node_close_next(node);
}

static void stop_took_too_long(void *arg)
{
    struct node *node = arg;
    log_warning(&node->log, "left before everything was answered", LOG_TEXT("node", node->options->node));
    node_leave(node, node->exit_code);
}

static void signal_received(void *arg, int number)
{
    struct node *node = arg;
    if (!node->stopping) {
        node->stopping = true;
        log_info(&node->log, "stopping", LOG_TEXT("node", node->options->node),
                 LOG_TEXT("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
        node_begin_close(node);
    }
}

/* ---- the way in ---- */

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

static int start_storage(struct node *node)
{
    struct error_text error;
    const struct options *options = node->options;
    enum error failed =
        disk_uv_open(&node->disk, loop_uv_handle(node->uv), options->data_dir, options->disk_io, &error);
    if (failed != ERROR_NONE) {
        return start_fail(node, exit_code_of_data(failed), &error);
    }
    node->has_disk = true;
    struct storage_options storage = {
        .disk = &node->disk,
        .loop = &node->loop,
        .segment_bytes = LIMIT_SEGMENT_BYTES,
        .snapshot_reserve_bytes = LIMIT_SEGMENT_BYTES,
        .fatal = storage_failed,
        .note = storage_noted,
        .arg = node,
    };
    failed = storage_open(&storage, &node->storage, &error);
    return failed == ERROR_NONE ? EXIT_ASKED : start_fail(node, exit_code_of_data(failed), &error);
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
    enum error failed = http_open(&http, &node->http, &error);
    return failed == ERROR_NONE ? EXIT_ASKED : start_fail(node, EXIT_RUNTIME, &error);
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
        .fatal = replica_failed,
        .changed = replica_changed,
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

static int node_start(struct node *node)
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

/* Each connection is a file. A low soft limit would close the port to clients long before our own bound; under a low hard
 * one they get what is left when the disk and the other nodes have theirs, so that a crowd of clients can take neither a
 * segment from the log nor this node from its cluster. Returns how many may be connected at once. */
static size_t raise_open_files(const struct log *log)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= OPEN_FILES) {
        return LIMIT_CONNECTIONS;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES ? limit.rlim_max : OPEN_FILES;
    rlim_t now = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
    if (now >= OPEN_FILES) {
        return LIMIT_CONNECTIONS;
    }
    size_t connections = now > 2 * OTHER_FILES ? now - OTHER_FILES : now / 2 + 1;
    log_warning(log, "few files may be open, so few clients can connect at once: raise the limit (ulimit -n)",
                LOG_U64("limit", now), LOG_U64("wanted", OPEN_FILES), LOG_U64("connections", connections));
    return connections;
}

static void signals_block(void)
{
    sigset_t both;
    CHECK(sigemptyset(&both) == 0 && sigaddset(&both, SIGTERM) == 0 && sigaddset(&both, SIGINT) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &both, NULL) == 0);
}

int node_run(struct options *options)
{
    struct node *node = calloc(1, sizeof *node);
    CHECK(node != NULL);
    node->options = options;
    journal_open(&node->journal, STDERR_FILENO, options->log_format, options->log_level, &node->log);
    node->connections = raise_open_files(&node->log);
    node->uv = loop_uv_open(&node->loop);
    node->look = (struct post){.run = node_look, .data = node};
    node->stop_timer = loop_timer_open(&node->loop, stop_took_too_long, node);
    node->poll_timer = loop_timer_open(&node->loop, node_close_next, node);
    node->journal_timer = loop_timer_open(&node->loop, journal_timer_fired, node);
    journal_watch(&node->journal, journal_waits, node);
    loop_uv_watch_turns(node->uv, SLOW_TURN_MS * UINT64_C(1000000), turn_was_slow, node);
    node->exit_code = node_start(node);
    if (node->exit_code != EXIT_ASKED) {
        node_begin_close(node);
    }
    loop_uv_watch_signals(node->uv, signal_received, node);
    loop_uv_run(node->uv);
    signals_block(); /* closing the loop gives them back their way of ending a process */
    journal_watch(&node->journal, NULL, NULL);
    if (node->exit_code == EXIT_ASKED) {
        log_info(&node->log, "stopped", LOG_TEXT("node", options->node));
    }
    loop_post_cancel(&node->loop, &node->look);
    if (node->service != NULL) {
        service_close(node->service);
    }
    loop_timer_close(&node->loop, node->stop_timer);
    loop_timer_close(&node->loop, node->poll_timer);
    loop_timer_close(&node->loop, node->journal_timer);
    loop_uv_close(node->uv);
    journal_close(&node->journal, JOURNAL_LEAVE_MS);
    int exit_code = node->exit_code;
    spec_close(&node->spec);
    free(node);
    return exit_code;
}
