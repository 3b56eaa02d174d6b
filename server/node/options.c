/* One table holds every flag; getopt_long reads the command line by it, and the environment's names are made from it. */
#include "node/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLUSTER_KEY_MINIMUM_BYTES = 32 };

/* A setter gets the value and, for its sentence, where it comes from ("--node", "BATON_NODE"). */
struct flag {
    const char *name;
    const char *argument; /* NULL: it takes none, and its variable is 1 or 0 */
    const char *help;
    enum error (*set)(struct options *options, const char *value, const char *from, struct error_text *error);
};

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

/* ---- the table ---- */

static const struct flag flags[] = {
    {"node", "NAME", "name of this node (default: the host's name)", set_node},
    {"data-dir", "DIR", "where everything is kept (default: ./baton-data)", set_data_dir},
    {"cluster", "SPEC", "all nodes: NAME=HOST[:HTTP_PORT[:RAFT_PORT]],… (default: this node alone)", set_cluster},
    {"http", "HOST:PORT", "where to listen for clients (default: 127.0.0.1:7420, or as SPEC says)", set_http},
    {"raft", "HOST:PORT", "where to listen for the other nodes (default: 127.0.0.1:7421, or as SPEC says)", set_raft},
    {"advertise-http", "HOST:PORT", "what others are told to reach this node's clients' port at", set_advertise_http},
    {"cluster-key-file", "FILE", "at least 32 random bytes, the same on all nodes, by which they know each other",
     set_cluster_key_file},
    {"insecure", NULL, "allow addresses beyond loopback without protection", set_insecure},
    {"allow-host", "NAME,NAME", "names by which browsers may reach this node, besides addresses and nodes' names",
     set_allow_host},
    {"election-timeout", "MS", "without a leader's word for this long, elect another (default: 300)",
     set_election_timeout},
    {"heartbeat", "MS", "how often a leader gives word (default: 50)", set_heartbeat},
    {"commit-timeout", "MS", "undecided after this long, a request is answered 504 (default: 5000)",
     set_commit_timeout},
    {"request-timeout", "MS", "a request that isn't complete after this long is dropped (default: 10000)",
     set_request_timeout},
    {"disk-io", "auto|aio|pool", "how the log is written: kernel AIO or threads (default: auto)", set_disk_io},
    {"log-level", "LEVEL", "error, warning, info or debug (default: info)", set_log_level},
    {"log-format", "text|json", "what a line of the log looks like (default: text)", set_log_format},
};
enum { N_FLAGS = sizeof flags / sizeof flags[0], FLAG_HELP = N_FLAGS, FLAG_VERSION };

void options_print_help(FILE *out)
{
    (void)fprintf(out, "batond %s: one node of a replicated lock service\n\nusage: batond [flags]\n\n", BATON_VERSION);
    for (int i = 0; i < N_FLAGS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "--%s %s", flags[i].name, flags[i].argument == NULL ? "" : flags[i].argument);
        (void)fprintf(out, "  %-29s %s\n", name, flags[i].help);
    }
    (void)fprintf(out,
                  "  %-29s %s\n  %-29s %s\n\n"
                  "Each flag is also an environment variable: --data-dir is BATON_DATA_DIR. The flag wins.\n"
                  "Exit codes: 0 asked to stop, 1 runtime failure, 64 usage, 65 data directory unusable.\n",
                  "--help", "show this", "--version", "show the version");
}

/* ---- reading ---- */

static void environment_name(const char *flag, char name[64])
{
    (void)snprintf(name, 64, "BATON_%s", flag);
    for (char *at = name; *at != 0; at++) {
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    }
}

/* getopt_long takes an abbreviation for the flag; a flag that a later version adds would make it mean another one. */
static bool is_abbreviated(const char *argument, const char *name)
{
    size_t len = strlen(name);
    return strncmp(argument, "--", 2) != 0 || strncmp(argument + 2, name, len) != 0 ||
           (argument[2 + len] != 0 && argument[2 + len] != '=');
}

static enum options_verdict argument_refuse(const char *argument, int found, struct error_text *error)
{
    (void)error_set(error, ERROR_INVALID, "%.200s: %s; batond --help lists the flags", argument,
                    found == ':' ? "it needs a value" : "this isn't a flag of batond, or takes no value");
    return OPTIONS_WRONG;
}

static enum options_verdict read_arguments(struct options *options, int argc, char *const argv[], bool given[N_FLAGS],
                                           struct error_text *error)
{
    struct option table[N_FLAGS + 3] = {{0}};
    for (int i = 0; i < N_FLAGS; i++) {
        int takes = flags[i].argument == NULL ? no_argument : required_argument;
        table[i] = (struct option){.name = flags[i].name, .has_arg = takes, .val = 256 + i};
    }
    table[FLAG_HELP] = (struct option){.name = "help", .has_arg = no_argument, .val = 256 + FLAG_HELP};
    table[FLAG_VERSION] = (struct option){.name = "version", .has_arg = no_argument, .val = 256 + FLAG_VERSION};
    optind = 0; /* glibc: forget an earlier scan */
    opterr = 0;
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int found = getopt_long(argc, argv, "+:", table, NULL);
        if (found == -1) {
            break;
        }
        if (found < 256 || is_abbreviated(argv[at], table[found - 256].name)) {
            return argument_refuse(argv[at], found, error);
        }
        int flag = found - 256;
        if (flag >= N_FLAGS) {
            return flag == FLAG_HELP ? OPTIONS_HELP : OPTIONS_VERSION;
        }
        char from[64];
        (void)snprintf(from, sizeof from, "--%s", flags[flag].name);
        given[flag] = true;
        if (flags[flag].set(options, flags[flag].argument == NULL ? "1" : optarg, from, error) != ERROR_NONE) {
            return OPTIONS_WRONG;
        }
    }
    return optind < argc ? argument_refuse(argv[optind], '?', error) : OPTIONS_RUN;
}

static enum options_verdict read_environment(struct options *options, char *(*environment)(const char *name),
                                             const bool given[N_FLAGS], struct error_text *error)
{
    for (int i = 0; i < N_FLAGS; i++) {
        char name[64];
        environment_name(flags[i].name, name);
        const char *value = given[i] ? NULL : environment(name);
        if (value != NULL && value[0] != 0 && flags[i].set(options, value, name, error) != ERROR_NONE) {
            return OPTIONS_WRONG;
        }
    }
    return OPTIONS_RUN;
}

static enum options_verdict check_together(struct options *options, struct error_text *error)
{
    if (!options->has_node) {
        if (gethostname(options->node, sizeof options->node - 1) != 0 || !node_name_is_valid(slice_of(options->node))) {
            (void)error_set(error, ERROR_INVALID, "the host's name can't be a node's name: give --node NAME");
            return OPTIONS_WRONG;
        }
    }
    if (options->heartbeat_ms * 2 > options->election_timeout_ms) {
        (void)error_set(error, ERROR_INVALID,
                        "--heartbeat %u is more than half of --election-timeout %u: make it smaller",
                        options->heartbeat_ms, options->election_timeout_ms);
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}

enum options_verdict options_parse(struct options *options, int argc, char *const argv[],
                                   char *(*environment)(const char *name), struct error_text *error)
{
    *options = (struct options){
        .data_dir = "./baton-data",
        .election_timeout_ms = 300,
        .heartbeat_ms = 50,
        .commit_timeout_ms = 5000,
        .request_timeout_ms = 10000,
        .disk_io = DISK_UV_AUTO,
        .log_level = LOG_LEVEL_INFO,
        .log_format = JOURNAL_TEXT,
    };
    bool given[N_FLAGS] = {false};
    enum options_verdict verdict = read_arguments(options, argc, argv, given, error);
    if (verdict == OPTIONS_RUN) {
        verdict = read_environment(options, environment, given, error);
    }
    return verdict == OPTIONS_RUN ? check_together(options, error) : verdict;
}

void options_close(struct options *options)
{
    spec_close(&options->cluster);
    explicit_bzero(options->cluster_key, sizeof options->cluster_key);
}

/* ---- addresses ---- */

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
