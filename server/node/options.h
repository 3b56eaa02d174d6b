/* options: what the command line and the environment ask of `batond`. Each flag --some-name is also the variable
 * BATON_SOME_NAME; the flag wins, and an empty variable counts as unset. A text that isn't understood is refused with
 * what to do instead; nothing is guessed. */
#ifndef BATON_NODE_OPTIONS_H
#define BATON_NODE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "node/journal.h"
#include "node/spec.h"
#include "storage/disk_uv.h"

/* Exit codes of the contract. */
enum { EXIT_ASKED = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 64, EXIT_DATA = 65 };

struct options {
    char node[LIMIT_NAME_BYTES + 1];
    bool has_node; /* false: it is the host's name */
    const char *data_dir;
    struct address http; /* where to listen, when has_http */
    bool has_http;
    struct address raft;
    bool has_raft;
    struct spec cluster; /* empty unless has_cluster */
    bool has_cluster;
    struct address advertise_http;
    bool has_advertise_http;
    uint8_t cluster_key[LIMIT_CLUSTER_KEY_BYTES];
    size_t cluster_key_len; /* 0: none */
    bool insecure;
    struct slice allow_hosts; /* names with commas between; absent: none */
    unsigned election_timeout_ms;
    unsigned heartbeat_ms;
    unsigned commit_timeout_ms;
    unsigned request_timeout_ms;
    enum disk_uv_io disk_io;
    uint64_t state_hash_every; /* 0: never */
    enum log_level log_level;
    enum journal_format log_format;
};

enum options_verdict {
    OPTIONS_RUN,
    OPTIONS_HELP, /* --help: options_print_help, then leave with 0 */
    OPTIONS_VERSION,
    OPTIONS_WRONG, /* leave with EXIT_USAGE; the sentence says why */
};

/* Fills in `options`, to be closed in any case. Strings of argv and of the environment must stay. `environment` is
 * getenv, but for tests. */
enum options_verdict options_parse(struct options *options, int argc, char *const argv[],
                                   char *(*environment)(const char *name), struct error_text *error) MUST_CHECK;
void options_close(struct options *options);
void options_print_help(FILE *out);

/* Where this node listens and what it tells others, once it is certain which SPEC counts. */
struct endpoints {
    struct address http;
    struct address raft;
    struct address_text advertise_http;
};

/* `spec` is the one that counts: the data directory's, else the one given, else NULL for a single node. ERROR_INVALID,
 * with what to do, when it doesn't name this node, or when an address beyond loopback isn't protected. */
enum error options_resolve(const struct options *options, const struct spec *spec, struct endpoints *endpoints,
                           struct error_text *error) MUST_CHECK;

#endif
