/* One life of a node, but for the way in, which is node_start.c.
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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "node/node_private.h"
#include "peer/network_uv.h"
#include "storage/disk_uv.h"

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
};

/* ---- what ends the process on the spot ---- */

static _Noreturn void node_leave(struct node *node, int exit_code)
{
    journal_close(&node->journal, JOURNAL_LEAVE_MS);
    _exit(exit_code);
}

void node_storage_failed(void *arg, const char *path, uint64_t offset, const char *what, int os_error)
{
    struct node *node = arg;
    log_error(&node->log, "the disk failed: nothing more is acknowledged, this process ends", LOG_TEXT("path", path),
              LOG_U64("offset", offset), LOG_TEXT("what", what), LOG_TEXT("error", strerror(os_error)));
    node_leave(node, EXIT_RUNTIME);
}

void node_storage_noted(void *arg, const char *sentence)
{
    const struct node *node = arg;
    log_write(&node->log, LOG_LEVEL_WARNING, slice_of(sentence), NULL, 0);
}

void node_replica_failed(void *arg, enum replica_exit code, const char *sentence)
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

static void turn_ended(void *arg, const struct loop_uv_turn *turn)
{
    struct node *node = arg;
    if (node->service != NULL) {
        service_note_turn(node->service, turn->wall_ns);
    }
    if (turn->wall_ns < SLOW_TURN_MS * UINT64_C(1000000)) {
        return;
    }
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

void node_replica_changed(void *arg)
{
    struct node *node = arg;
    loop_post(&node->loop, &node->look);
}

void node_replica_event(void *arg, const struct event *event)
{
    const struct node *node = arg;
    service_record_event(node->service, event);
}

void node_replica_skipped(void *arg)
{
    const struct node *node = arg;
    service_skip_events(node->service);
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

/* ---- one life ---- */

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
    loop_uv_watch_turns(node->uv, turn_ended, node);
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
        node->service = NULL;
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
