/* batond: reads what it was asked, and runs one node. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "node/node.h"
#include "node/options.h"

int main(int argc, char *argv[])
{
    struct options options;
    struct error_text error = {{0}};
    struct endpoints endpoints;
    int exit_code = EXIT_ASKED;
    switch (options_parse(&options, argc, argv, getenv, &error)) {
    case OPTIONS_HELP:
        options_print_help(stdout);
        break;
    case OPTIONS_VERSION:
        (void)printf("batond %s\n", BATON_VERSION);
        break;
    case OPTIONS_WRONG:
        exit_code = EXIT_USAGE;
        break;
    case OPTIONS_RUN:
        /* Looked at once before anything is created, and again when the data directory has told its SPEC. */
        if (options_resolve(&options, options.has_cluster ? &options.cluster : NULL, &endpoints, &error) !=
            ERROR_NONE) {
            exit_code = EXIT_USAGE;
            break;
        }
        CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* a peer that is gone is an error of write(2) */
        exit_code = node_run(&options);
        break;
    }
    if (exit_code == EXIT_USAGE && error.text[0] != 0) {
        (void)fprintf(stderr, "batond: %s\n", error.text);
    }
    options_close(&options);
    return exit_code;
}
