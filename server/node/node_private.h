/* node_private: what node.c (the way out, and what may happen in between) and node_start.c (the way in) share. */
#ifndef BATON_NODE_NODE_PRIVATE_H
#define BATON_NODE_NODE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/loop.h"
#include "http/http.h"
#include "node/journal.h"
#include "node/loop_uv.h"
#include "node/node.h"
#include "node/service.h"
#include "peer/network.h"
#include "replica/replica.h"
#include "storage/storage.h"

enum { ALLOWED_HOSTS = LIMIT_MEMBERS + 64 };

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

/* EXIT_ASKED: it runs. Else the code to leave with, which the log has said why; what was opened until then stays open. */
int node_start(struct node *node) MUST_CHECK;

/* What the rooms call; `arg` is the node. */
void node_storage_failed(void *arg, const char *path, uint64_t offset, const char *what, int os_error);
void node_storage_noted(void *arg, const char *sentence);
void node_replica_failed(void *arg, enum replica_exit code, const char *sentence);
void node_replica_changed(void *arg);
void node_replica_event(void *arg, const struct event *event);
void node_replica_skipped(void *arg);

#endif
