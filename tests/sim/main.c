/* sim: runs seeds, and says which one failed and how to see it again.
 *
 *   sim --seeds N [--from SEED | --fresh] [--steps N] [--jobs N] [--without-guard N] [--verbose]
 *
 * Workers are processes, so that an abort inside a room costs one seed and not the run. Every eighth seed runs twice and
 * must leave the same trace. Over enough seeds, everything that is meant to happen must have happened often enough:
 * a simulator that no longer crashes anything proves nothing. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "scenario.h"

#define DEFAULT_STEPS 130000u
#define JOBS_MAX      64u
#define FAILURES_MAX  5u /* then the run ends early */
#define TWICE_EVERY   8u
#define COUNTED_SEEDS 100u /* fewer don't say whether something happens often enough */

struct options {
    uint64_t seeds;
    uint64_t from;
    uint64_t steps;
    uint64_t jobs;
    unsigned guards_off;
    bool verbose;
};

struct worker {    /* in memory that parent and worker share */
    uint64_t next; /* which of its seeds it is at */
    bool ended;    /* it has run all of them */
    uint64_t passed;
    uint64_t failed;
    uint64_t virtual_ms;
    uint64_t steps;
    uint64_t slowest_recovery_ms;
    uint64_t slowest_seed;
    uint64_t slowest_failover_ms;
    uint64_t slowest_failover_seed;
    struct counts counts;
};

static void usage(void)
{
    (void)fprintf(stderr, "usage: sim --seeds N [--from SEED | --fresh] [--steps N] [--jobs N] "
                          "[--without-guard N] [--verbose]\n");
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
    CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed);
    return seed >> 16;
}

static void parse(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {
        {"seeds", required_argument, NULL, 's'},
        {"from", required_argument, NULL, 'f'},
        {"fresh", no_argument, NULL, 'r'},
        {"steps", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},
        {"without-guard", required_argument, NULL, 'g'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){.seeds = 1, .from = 1, .steps = DEFAULT_STEPS, .jobs = 1};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 's':
            options->seeds = number(optarg);
            break;
        case 'f':
            options->from = number(optarg);
            break;
        case 'r':
            options->from = fresh_seed();
            break;
        case 'n':
            options->steps = number(optarg);
            break;
        case 'j':
            options->jobs = number(optarg);
            break;
        case 'g':
            options->guards_off |= 1u << (number(optarg) - 1) % 32;
            break;
        case 'v':
            options->verbose = true;
            break;
        default:
            usage();
        }
    }
    if (optind != argc || options->jobs == 0 || options->jobs > JOBS_MAX || options->seeds == 0) {
        usage();
    }
}

/* ---- a worker ---- */

static void tell_failure(const struct options *options, uint64_t seed, const char *what)
{
    (void)printf("FAILED seed %" PRIu64 ": %s\n  again: sim --seeds 1 --from %" PRIu64 " --steps %" PRIu64
                 " --verbose\n",
                 seed, what, seed, options->steps);
    (void)fflush(stdout);
}

static bool run_seed(const struct options *options, uint64_t seed, struct worker *worker)
{
    struct scenario_options scenario = {
        .seed = seed, .steps = options->steps, .guards_off = options->guards_off, .verbose = options->verbose};
    struct scenario_result result = {.counts = worker->counts};
    scenario_run(&scenario, &result);
    worker->counts = result.counts;
    worker->virtual_ms += result.virtual_ms;
    worker->steps += result.steps;
    if (result.slowest_recovery_ms > worker->slowest_recovery_ms) {
        worker->slowest_recovery_ms = result.slowest_recovery_ms;
        worker->slowest_seed = seed;
    }
    if (result.slowest_failover_ms > worker->slowest_failover_ms) {
        worker->slowest_failover_ms = result.slowest_failover_ms;
        worker->slowest_failover_seed = seed;
    }
    if (result.failed) {
        tell_failure(options, seed, result.failure);
        return false;
    }
    if (seed % TWICE_EVERY == 0) {
        struct scenario_result again = {.failed = false};
        scenario.verbose = false;
        scenario_run(&scenario, &again);
        if (again.trace != result.trace) {
            tell_failure(options, seed, "the same seed left another trace");
            return false;
        }
    }
    return true;
}

static void work(const struct options *options, struct worker *worker, uint64_t which)
{
    while (worker->next * options->jobs + which < options->seeds && worker->failed < FAILURES_MAX) {
        uint64_t seed = options->from + worker->next * options->jobs + which;
        if (run_seed(options, seed, worker)) {
            worker->passed++;
        } else {
            worker->failed++;
        }
        worker->next++;
    }
    worker->ended = true;
}

static pid_t start(const struct options *options, struct worker *worker, uint64_t which)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        work(options, worker, which);
        (void)fflush(stdout);
        _exit(0);
    }
    return pid;
}

/* A worker has ended: with its work, or in the middle of a seed, which then has failed; the others of its share go on. */
static pid_t bury(const struct options *options, struct worker *worker, uint64_t which, int status)
{
    if (worker->ended && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    char what[64];
    (void)snprintf(what, sizeof what, "the process died (status %d)", status);
    tell_failure(options, options->from + worker->next * options->jobs + which, what);
    worker->failed++;
    worker->next++;
    worker->ended = false;
    return worker->failed < FAILURES_MAX ? start(options, worker, which) : 0;
}

static void run_workers(const struct options *options, struct worker *workers)
{
    pid_t pids[JOBS_MAX] = {0};
    uint64_t alive = options->jobs;
    for (uint64_t i = 0; i < options->jobs; i++) {
        pids[i] = start(options, &workers[i], i);
    }
    while (alive > 0) {
        int status;
        pid_t ended = wait(&status);
        CHECK(ended > 0);
        for (uint64_t i = 0; i < options->jobs; i++) {
            if (pids[i] == ended) {
                pids[i] = bury(options, &workers[i], i, status);
                alive -= pids[i] == 0;
                break;
            }
        }
    }
}

/* ---- the verdict ---- */

static struct worker sum(const struct options *options, const struct worker *workers)
{
    struct worker all = {.next = 0};
    for (uint64_t i = 0; i < options->jobs; i++) {
        const struct worker *worker = &workers[i];
        all.passed += worker->passed;
        all.failed += worker->failed;
        all.virtual_ms += worker->virtual_ms;
        all.steps += worker->steps;
        if (worker->slowest_recovery_ms > all.slowest_recovery_ms) {
            all.slowest_recovery_ms = worker->slowest_recovery_ms;
            all.slowest_seed = worker->slowest_seed;
        }
        if (worker->slowest_failover_ms > all.slowest_failover_ms) {
            all.slowest_failover_ms = worker->slowest_failover_ms;
            all.slowest_failover_seed = worker->slowest_failover_seed;
        }
#define X(name, least) all.counts.name += worker->counts.name;
        COUNTS_TABLE(X)
#undef X
    }
    return all;
}

static bool enough(const char *name, uint64_t count, uint64_t least, uint64_t seeds)
{
    uint64_t wanted = seeds < COUNTED_SEEDS ? 0 : least * seeds / COUNTED_SEEDS;
    (void)printf("  %-30s %10" PRIu64, name, count);
    (void)printf(count < wanted ? "  TOO FEW, at least %" PRIu64 "\n" : "\n", wanted);
    return count >= wanted;
}

static int verdict(const struct options *options, const struct worker *workers)
{
    struct worker all = sum(options, workers);
    bool good = all.failed == 0;
    (void)printf(
        "seeds %" PRIu64 "…%" PRIu64 ": %" PRIu64 " passed, %" PRIu64 " failed; %" PRIu64 " steps, %" PRIu64
        " virtual seconds\n"
        "slowest recovery %" PRIu64 " ms (seed %" PRIu64 "), slowest fail-over %" PRIu64 " ms (seed %" PRIu64 ")\n",
        options->from, options->from + options->seeds - 1, all.passed, all.failed, all.steps, all.virtual_ms / 1000,
        all.slowest_recovery_ms, all.slowest_seed, all.slowest_failover_ms, all.slowest_failover_seed);
#define X(name, least) good = enough(#name, all.counts.name, least, all.passed) && good;
    COUNTS_TABLE(X)
#undef X
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options;
    parse(argc, argv, &options);
    (void)printf("sim: seeds from %" PRIu64 "\n", options.from);
    struct worker *workers =
        mmap(NULL, options.jobs * sizeof *workers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(workers != MAP_FAILED);
    run_workers(&options, workers);
    return verdict(&options, workers);
}
