/* contract: random commands for the lock table and for a model of the contract, whose answers must be the same.
 *
 *   contract [--seed SEED | --fresh] [--seeds N] [--steps N]
 *
 * A seed whose answers differ is printed, and after it the shortest list of commands that still shows it. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "contract_run.h"
#include "contract_shrink.h"

#define FAILURES_MAX 3u /* then the run ends early */

struct options {
    uint64_t seed;
    uint64_t seeds;
    uint64_t steps;
};

static void usage(void)
{
    (void)fprintf(stderr, "usage: contract [--seed SEED | --fresh] [--seeds N] [--steps N]\n");
    exit(64);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        usage();
    }
    return value;
}

static uint64_t fresh_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        abort();
    }
    return seed >> 16; /* easier to type */
}

static struct options read_options(int argc, char **argv)
{
    static const struct option names[] = {{"seed", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'n'},
                                          {"steps", required_argument, NULL, 't'},
                                          {"fresh", no_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {.seed = 1, .seeds = 1, .steps = 20000};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 's':
            options.seed = number(optarg);
            break;
        case 'n':
            options.seeds = number(optarg);
            break;
        case 't':
            options.steps = number(optarg);
            break;
        case 'f':
            options.seed = fresh_seed();
            break;
        default:
            usage();
        }
    }
    if (optind != argc || options.steps > 10000000) {
        usage();
    }
    return options;
}

static bool differs(void *arg, const struct contract_step *steps, size_t n_steps)
{
    (void)arg;
    bool are_equal;
    (void)contract_run_play(steps, n_steps, NULL, &are_equal);
    return !are_equal;
}

static void show_failure(uint64_t seed, const struct options *options, struct contract_steps *steps)
{
    (void)printf("seed %" PRIu64 ": the answers to step %zu differ; see it again with --seed %" PRIu64
                 " --steps %" PRIu64 "\n",
                 seed, steps->n, seed, options->steps);
    (void)fflush(stdout);
    size_t n = contract_shrink(steps->steps, steps->n, differs, NULL);
    (void)printf("the shortest list of steps that shows it has %zu:\n", n);
    bool are_equal;
    (void)contract_run_play(steps->steps, n, stdout, &are_equal);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct options options = read_options(argc, argv);
    struct contract_tally tally = {.steps = 0};
    unsigned failures = 0;
    (void)printf("seeds from %" PRIu64 ", %" PRIu64 " of %" PRIu64 " steps\n", options.seed, options.seeds,
                 options.steps);
    (void)fflush(stdout); /* whatever ends this process, its seeds are known */
    for (uint64_t i = 0; i < options.seeds && failures < FAILURES_MAX; i++) {
        struct contract_steps steps = {.steps = NULL};
        if (!contract_run_seed(options.seed + i, options.steps, &steps, &tally)) {
            failures++;
            show_failure(options.seed + i, &options, &steps);
        }
        contract_steps_close(&steps);
    }
    bool is_enough = contract_tally_is_enough(&tally);
    (void)printf("%" PRIu64 " steps, %u seeds failed%s\n", tally.steps, failures,
                 is_enough ? "" : ", and something happened too seldom");
    return failures > 0 || !is_enough;
}
