/* One setter a flag, and the table of them. */
#include "node/flags.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLUSTER_KEY_MINIMUM_BYTES = 32 };

/* ---- setters ---- */

static enum error set_node(struct options *options, const char *value, const char *from, struct error_text *error)
{
    if (!node_name_is_valid(slice_of(value))) {
        return error_set(error, ERROR_INVALID,
                         "%s: a node's name is 1 to 256 of A-Z a-z 0-9 . _ : @ ~ - and begins with a letter or digit",
                         from);
    }
    memcpy(options->node, value, strlen(value) + 1);
    options->has_node = true;
    return ERROR_NONE;
}

static enum error set_data_dir(struct options *options, const char *value, const char *from, struct error_text *error)
{
    if (value[0] == 0) {
        return error_set(error, ERROR_INVALID, "%s: give the path of a directory", from);
    }
    options->data_dir = value;
    return ERROR_NONE;
}

static enum error set_address(const char *value, const char *from, struct address *address, struct error_text *error)
{
    struct error_text why;
    enum error failed = spec_address_parse(value, address, &why);
    return failed == ERROR_NONE ? failed : error_set(error, failed, "%s: %s", from, why.text);
}

static enum error set_http(struct options *options, const char *value, const char *from, struct error_text *error)
{
    options->has_http = true;
    return set_address(value, from, &options->http, error);
}

static enum error set_raft(struct options *options, const char *value, const char *from, struct error_text *error)
{
    options->has_raft = true;
    return set_address(value, from, &options->raft, error);
}

static enum error set_cluster(struct options *options, const char *value, const char *from, struct error_text *error)
{
    struct error_text why;
    spec_close(&options->cluster); /* given again: the last one counts, as with every flag */
    enum error failed = spec_parse(slice_of(value), &options->cluster, &why);
    options->has_cluster = true;
    return failed == ERROR_NONE ? failed : error_set(error, failed, "%s: %s", from, why.text);
}

static enum error set_advertise_http(struct options *options, const char *value, const char *from,
                                     struct error_text *error)
{
    options->has_advertise_http = true;
    enum error failed = set_address(value, from, &options->advertise_http, error);
    if (failed == ERROR_NONE && options->advertise_http.host[0] == 0) {
        return error_set(error, ERROR_INVALID, "%s: others need a host in front of the port", from);
    }
    return failed;
}

static enum error key_read(struct options *options, int file, const char *value, const char *from,
                           struct error_text *error)
{
    struct stat about;
    if (fstat(file, &about) != 0) {
        return error_set(error, ERROR_INVALID, "%s: can't look at %s: %s", from, value, strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        return error_set(error, ERROR_INVALID, "%s: %s is not a file", from, value);
    }
    if ((about.st_mode & S_IRWXO) != 0) {
        return error_set(error, ERROR_INVALID, "%s: %s is open to everybody: chmod o= it first", from, value);
    }
    if (about.st_size < CLUSTER_KEY_MINIMUM_BYTES || about.st_size > (off_t)sizeof options->cluster_key) {
        return error_set(
            error, ERROR_INVALID,
            "%s: %s must hold %d to %zu random bytes: head -c 32 /dev/urandom >%s on one node, then copy it", from,
            value, CLUSTER_KEY_MINIMUM_BYTES, sizeof options->cluster_key, value);
    }
    ssize_t got = read(file, options->cluster_key, (size_t)about.st_size);
    if (got != about.st_size) {
        return error_set(error, ERROR_INVALID, "%s: can't read %s: %s", from, value,
                         got < 0 ? strerror(errno) : "it is shorter than it says");
    }
    options->cluster_key_len = (size_t)got;
    return ERROR_NONE;
}

static enum error set_cluster_key_file(struct options *options, const char *value, const char *from,
                                       struct error_text *error)
{
    int file = open(value, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return error_set(error, ERROR_INVALID, "%s: can't open %s: %s", from, value, strerror(errno));
    }
    enum error failed = key_read(options, file, value, from, error);
    (void)close(file);
    return failed;
}

static enum error set_insecure(struct options *options, const char *value, const char *from, struct error_text *error)
{
    if (strcmp(value, "1") == 0 || strcmp(value, "true") == 0) {
        options->insecure = true;
    } else if (strcmp(value, "0") == 0 || strcmp(value, "false") == 0) {
        options->insecure = false;
    } else {
        return error_set(error, ERROR_INVALID, "%s: \"%.100s\" is neither 1 nor 0", from, value);
    }
    return ERROR_NONE;
}

static enum error set_allow_host(struct options *options, const char *value, const char *from, struct error_text *error)
{
    (void)from;
    (void)error;
    options->allow_hosts = slice_of(value);
    return ERROR_NONE;
}

struct milliseconds_range {
    unsigned least;
    unsigned most;
};

static enum error set_milliseconds(const char *value, const char *from, struct milliseconds_range range,
                                   unsigned *number, struct error_text *error)
{
    char *end = NULL;
    errno = 0;
    unsigned long parsed = isdigit((unsigned char)value[0]) ? strtoul(value, &end, 10) : 0;
    if (end == NULL || *end != 0 || errno != 0 || parsed < range.least || parsed > range.most) {
        return error_set(error, ERROR_INVALID, "%s: \"%.100s\" is not a number of milliseconds from %u to %u", from,
                         value, range.least, range.most);
    }
    *number = (unsigned)parsed;
    return ERROR_NONE;
}

static enum error set_election_timeout(struct options *options, const char *value, const char *from,
                                       struct error_text *error)
{
    return set_milliseconds(value, from, (struct milliseconds_range){50, 60000}, &options->election_timeout_ms, error);
}

static enum error set_heartbeat(struct options *options, const char *value, const char *from, struct error_text *error)
{
    return set_milliseconds(value, from, (struct milliseconds_range){10, 10000}, &options->heartbeat_ms, error);
}

static enum error set_commit_timeout(struct options *options, const char *value, const char *from,
                                     struct error_text *error)
{
    return set_milliseconds(value, from, (struct milliseconds_range){100, 600000}, &options->commit_timeout_ms, error);
}

static enum error set_request_timeout(struct options *options, const char *value, const char *from,
                                      struct error_text *error)
{
    return set_milliseconds(value, from, (struct milliseconds_range){100, 600000}, &options->request_timeout_ms, error);
}

static enum error set_disk_io(struct options *options, const char *value, const char *from, struct error_text *error)
{
    if (strcmp(value, "auto") == 0) {
        options->disk_io = DISK_UV_AUTO;
    } else if (strcmp(value, "aio") == 0) {
        options->disk_io = DISK_UV_AIO;
    } else if (strcmp(value, "pool") == 0) {
        options->disk_io = DISK_UV_POOL;
    } else {
        return error_set(error, ERROR_INVALID, "%s: \"%.100s\" is none of auto, aio, pool", from, value);
    }
    return ERROR_NONE;
}

static enum error set_log_level(struct options *options, const char *value, const char *from, struct error_text *error)
{
    if (!log_level_parse(value, &options->log_level)) {
        return error_set(error, ERROR_INVALID, "%s: \"%.100s\" is none of error, warning, info, debug", from, value);
    }
    return ERROR_NONE;
}

static enum error set_log_format(struct options *options, const char *value, const char *from, struct error_text *error)
{
    if (strcmp(value, "text") == 0) {
        options->log_format = JOURNAL_TEXT;
    } else if (strcmp(value, "json") == 0) {
        options->log_format = JOURNAL_JSON;
    } else {
        return error_set(error, ERROR_INVALID, "%s: \"%.100s\" is neither text nor json", from, value);
    }
    return ERROR_NONE;
}

static enum error set_state_hash_every(struct options *options, const char *value, const char *from,
                                       struct error_text *error)
{
    char *end = NULL;
    errno = 0;
    unsigned long long parsed = isdigit((unsigned char)value[0]) ? strtoull(value, &end, 10) : 0;
    if (end == NULL || *end != 0 || errno != 0 || parsed > LIMIT_NUMBER_MAX) {
        return error_set(error, ERROR_INVALID, "%s: \"%.100s\" is not a number of log entries (0: never)", from, value);
    }
    options->state_hash_every = parsed;
    return ERROR_NONE;
}

/* ---- the table ---- */

const struct flag flag_table[] = {
    {"node", "NAME", "the host's name", "name of this node", set_node},
    {"data-dir", "DIR", "./baton-data", "where everything is kept; one process at a time", set_data_dir},
    {"cluster", "SPEC", "this node alone",
     "all nodes, the same text on each: NAME=HOST[:HTTP_PORT[:RAFT_PORT]],…\n"
     "(IPv6 in brackets; HTTP_PORT is 7420, RAFT_PORT is HTTP_PORT + 1)",
     set_cluster},
    {"http", "HOST:PORT", "as SPEC says, else 127.0.0.1:7420", "where to listen for clients (:PORT is everywhere)",
     set_http},
    {"raft", "HOST:PORT", "as SPEC says, else 127.0.0.1:7421", "where to listen for the other nodes", set_raft},
    {"advertise-http", "HOST:PORT", "as SPEC says, else as --http",
     "what others are told to reach the clients' port at", set_advertise_http},
    {"cluster-key-file", "FILE", "none",
     "at least 32 random bytes, the same on all nodes, by which they know each other", set_cluster_key_file},
    {"insecure", NULL, "off", "allow addresses beyond loopback without protection", set_insecure},
    {"allow-host", "NAME,NAME", "none",
     "names by which browsers may reach this node, besides addresses and nodes' names", set_allow_host},
    {"election-timeout", "MS", "300", "without a leader's word for this long, elect another", set_election_timeout},
    {"heartbeat", "MS", "50", "how often a leader gives word", set_heartbeat},
    {"commit-timeout", "MS", "5000", "undecided after this long, a request is answered 504", set_commit_timeout},
    {"request-timeout", "MS", "10000", "a request that isn't complete after this long is dropped", set_request_timeout},
    {"disk-io", "auto|aio|pool", "auto", "how the log is written: kernel AIO or threads", set_disk_io},
    {"state-hash-every", "N", "0, never",
     "log a checksum of the state at each log index that N divides, to compare\n"
     "nodes; the loop waits for it, about a second at a million schedules",
     set_state_hash_every},
    {"log-level", "LEVEL", "info", "error, warning, info or debug; lines go to standard error", set_log_level},
    {"log-format", "text|json", "text", "what a line of the log looks like", set_log_format},
};
const int flag_count = sizeof flag_table / sizeof flag_table[0];

/* ---- names ---- */

void flag_variable(const char *flag, char name[FLAG_NAME_BYTES])
{
    (void)snprintf(name, FLAG_NAME_BYTES, "BATON_%s", flag);
    for (char *at = name; *at != 0; at++) {
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    }
}

/* What it costs to make `name` of `text`: 1 for each byte that is put in, 2 for one that is left out or exchanged, since
 * people shorten names more often than they make longer ones. */
static size_t edit_cost(struct slice text, const char *name)
{
    size_t row[FLAG_NAME_BYTES]; /* of the table of Levenshtein's algorithm */
    size_t columns = strlen(name);
    CHECK(columns < FLAG_NAME_BYTES);
    for (size_t j = 0; j <= columns; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < text.len; i++) {
        size_t diagonal = row[0];
        row[0] = 2 * (i + 1);
        for (size_t j = 0; j < columns; j++) {
            size_t least = diagonal + (text.base[i] == (uint8_t)name[j] ? 0 : 2);
            least = row[j] + 1 < least ? row[j] + 1 : least;
            diagonal = row[j + 1];
            row[j + 1] = row[j + 1] + 2 < least ? row[j + 1] + 2 : least;
        }
    }
    return row[columns];
}

const char *flag_nearest(struct slice text)
{
    const char *nearest = "help";
    text.len = text.len < FLAG_NAME_BYTES ? text.len : FLAG_NAME_BYTES;
    size_t least = edit_cost(text, nearest);
    for (int i = -1; i < flag_count; i++) {
        const char *name = i < 0 ? "version" : flag_table[i].name;
        size_t cost = edit_cost(text, name);
        if (cost < least) {
            least = cost;
            nearest = name;
        }
    }
    return nearest;
}
