/* batond: reads what it was asked, and runs one node. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "codec/frame.h"
#include "core/rules.h"
#include "node/node.h"
#include "node/options.h"
#include "storage/storage.h"

/* Until node_run has its loop going, nothing has to be put in order: nobody was answered, and what is on the disk
 * survives a kill -9. So a start that takes long needs no waiting for. */
static void leave_at_once(int number)
{
    (void)number;
    _exit(EXIT_ASKED);
}

/* Before anything else: by default these end a process with another code than the one of the contract. Whoever started
 * us may have left them blocked. */
static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = leave_at_once};
    sigset_t both;
    CHECK(sigemptyset(&both) == 0 && sigaddset(&both, SIGTERM) == 0 && sigaddset(&both, SIGINT) == 0);
    action.sa_mask = both;
    CHECK(sigaction(SIGTERM, &action, NULL) == 0 && sigaction(SIGINT, &action, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &both, NULL) == 0);
}

static void print_versions(void)
{
    (void)printf("batond %s\nlibraft %s\ndata format %u, rules %u, protocol %u\n", BATON_VERSION, BATON_LIBRAFT_VERSION,
                 STORAGE_FORMAT, (unsigned)rules_version_newest(), PROTOCOL_VERSION_NEWEST);
}

int main(int argc, char *argv[])
{
    signals_catch();
    struct options options;
    struct error_text error = {{0}};
    struct endpoints endpoints;
    int exit_code = EXIT_ASKED;
    switch (options_parse(&options, argc, argv, getenv, &error)) {
    case OPTIONS_HELP:
        options_print_help(stdout);
        break;
    case OPTIONS_VERSION:
        print_versions();
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
        /* libuv has 4 threads unless it is told otherwise before its first work. Taking, receiving and dropping a snapshot
         * and preparing a segment can hold as many at once, and with --disk-io=pool the log's writes would wait for them. */
        CHECK(setenv("UV_THREADPOOL_SIZE", "8", 0) == 0);
        exit_code = node_run(&options);
        break;
    }
    if (exit_code == EXIT_USAGE && error.text[0] != 0) {
        (void)fprintf(stderr, "batond: %s\n", error.text);
    }
    options_close(&options);
    return exit_code;
}
