/* Reading the command line and the environment by the table of flags. */
#include "node/options.h"

#include <string.h>
#include <unistd.h>

#include "node/flags.h"

enum { FLAGS_MAX = 40 }; /* room for the table */

/* ---- help ---- */

static void print_flag(FILE *out, const struct flag *flag)
{
    char variable[FLAG_NAME_BYTES];
    flag_variable(flag->name, variable);
    (void)fprintf(out, "  --%s%s%s\n", flag->name, flag->argument == NULL ? "" : " ",
                  flag->argument == NULL ? "" : flag->argument);
    for (const char *line = flag->help; line != NULL;) {
        const char *end = strchr(line, '\n');
        (void)fprintf(out, "        %.*s\n", end == NULL ? (int)strlen(line) : (int)(end - line), line);
        line = end == NULL ? NULL : end + 1;
    }
    (void)fprintf(out, "        default: %s; environment: %s\n", flag->standard, variable);
}

void options_print_help(FILE *out)
{
    (void)fprintf(out,
                  "batond %s: one node of a replicated lock service\n\nusage: batond [flags]\n\n"
                  "Without flags it is a single durable node. A flag wins over its environment variable.\n\n",
                  BATON_VERSION);
    for (int i = 0; i < flag_count; i++) {
        print_flag(out, &flag_table[i]);
    }
    (void)fputs("  --help\n        show this\n"
                "  --version\n        show the versions of the program, of libraft and of what is kept on the disk\n\n"
                "exit codes:\n"
                "  0   it was asked to stop (SIGTERM or SIGINT)\n"
                "  1   failure while running: the disk, the network, memory\n"
                "  64  usage: a flag, its value, or an address that needs protection\n"
                "  65  the data directory can't be used: damaged, another node's, or a newer version's\n",
                out);
}

/* ---- reading ---- */

/* getopt_long isn't used: it takes abbreviations, and a flag that a later version adds would make one mean another. */

static const struct flag *flag_find(struct slice name)
{
    for (int i = 0; i < flag_count; i++) {
        if (slice_equal(name, slice_of(flag_table[i].name))) {
            return &flag_table[i];
        }
    }
    return NULL;
}

static enum options_verdict argument_refuse(const char *argument, struct slice name, struct error_text *error)
{
    if (name.len == 0) {
        (void)error_set(error, ERROR_INVALID, "\"%.100s\" is not a flag: batond takes nothing but flags, see --help",
                        argument);
    } else {
        (void)error_set(error, ERROR_INVALID, "there is no flag %.*s: did you mean --%s? See --help",
                        (int)strcspn(argument, "="), argument, flag_nearest(name));
    }
    return OPTIONS_WRONG;
}

struct argument {
    struct slice name; /* without dashes; empty when it isn't a flag */
    const char *value; /* behind '='; NULL: none */
};

static struct argument argument_split(const char *text)
{
    struct argument argument = {.name = slice_of("")};
    if (strncmp(text, "--", 2) == 0 && text[2] != 0) {
        const char *equals = strchr(text, '=');
        argument.name = slice_of(text + 2);
        argument.name.len = equals == NULL ? argument.name.len : (size_t)(equals - text - 2);
        argument.value = equals == NULL ? NULL : equals + 1;
    } else if (text[0] == '-' && text[1] != 0) {
        argument.name = slice_of(text + 1); /* a dash too few: named in the complaint, and nearest to the right one */
    }
    return argument;
}

static enum options_verdict set_flag(struct options *options, const struct flag *flag, const char *value,
                                     struct error_text *error)
{
    char from[FLAG_NAME_BYTES];
    (void)snprintf(from, sizeof from, "--%s", flag->name);
    if (value == NULL) {
        (void)error_set(error, ERROR_INVALID, "%s needs a value: %s %s", from, from, flag->argument);
        return OPTIONS_WRONG;
    }
    return flag->set(options, value, from, error) == ERROR_NONE ? OPTIONS_RUN : OPTIONS_WRONG;
}

static enum options_verdict read_arguments(struct options *options, int argc, char *const argv[], bool given[FLAGS_MAX],
                                           struct error_text *error)
{
    for (int i = 1; i < argc; i++) {
        struct argument argument = argument_split(argv[i]);
        if (strcmp(argv[i], "--help") == 0) {
            return OPTIONS_HELP;
        }
        if (strcmp(argv[i], "--version") == 0) {
            return OPTIONS_VERSION;
        }
        const struct flag *flag = strncmp(argv[i], "--", 2) == 0 ? flag_find(argument.name) : NULL;
        if (flag == NULL) {
            return argument_refuse(argv[i], argument.name, error);
        }
        const char *value = argument.value;
        if (flag->argument == NULL && value != NULL) {
            (void)error_set(error, ERROR_INVALID, "--%s takes no value", flag->name);
            return OPTIONS_WRONG;
        }
        if (flag->argument == NULL) {
            value = "1";
        } else if (value == NULL && i + 1 < argc) {
            value = argv[++i];
        }
        given[flag - flag_table] = true;
        if (set_flag(options, flag, value, error) != OPTIONS_RUN) {
            return OPTIONS_WRONG;
        }
    }
    return OPTIONS_RUN;
}

static enum options_verdict read_environment(struct options *options, char *(*environment)(const char *name),
                                             const bool given[FLAGS_MAX], struct error_text *error)
{
    for (int i = 0; i < flag_count; i++) {
        char name[FLAG_NAME_BYTES];
        flag_variable(flag_table[i].name, name);
        const char *value = given[i] ? NULL : environment(name);
        if (value != NULL && value[0] != 0 && flag_table[i].set(options, value, name, error) != ERROR_NONE) {
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
    bool given[FLAGS_MAX] = {false};
    CHECK(flag_count <= FLAGS_MAX);
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
