/* contract: random commands for the lock table and for the model of the contract; the first difference ends a seed, is
 * shrunk, and printed.
 *
 * contract --seed S --steps N --seeds K [--fresh] */
#include "contract_generate.h"
#include "contract_print.h"
#include "contract_shrink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* More of them tell nothing new. */
enum { MOST_FAILURES = 3 };

struct options {
    uint64_t seed;
    size_t steps;
    uint64_t seeds;
    bool is_fresh;
};

/* ---- one seed ---- */

/* What is to fail: the same place of an answer, so that no other difference is mistaken for it on the way. */
struct failure {
    int last_id;
    size_t place_len; /* of the difference, up to its colon */
    char difference[CONTRACT_DIFFERENCE];
};

static size_t fails(void *arg, const struct contract_record *records, size_t n)
{
    struct contract_trial *trial = malloc(sizeof *trial);
    CHECK(trial != NULL);
    const struct failure *failure = arg;
    contract_trial_open(trial, failure->last_id);
    bool differs;
    size_t taken = contract_trial_run(trial, records, n, &differs);
    differs = differs && strncmp(trial->difference, failure->difference, failure->place_len) == 0;
    contract_trial_close(trial);
    free(trial);
    return differs ? taken : 0;
}

/* True: no difference. */
static bool run_seed(const struct options *options, uint64_t seed, struct contract_tallies *sum)
{
    struct contract_record *records = malloc(options->steps * sizeof *records);
    struct contract_trial *trial = malloc(sizeof *trial);
    struct contract_generator *generator = malloc(sizeof *generator);
    CHECK(records != NULL && trial != NULL && generator != NULL);
    int last_id = (int)options->steps;
    contract_generator_init(generator, seed);
    contract_trial_open(trial, last_id);
    bool is_same = true;
    size_t n = 0;
    while (is_same && n < options->steps) {
        contract_generate(generator, trial, &records[n]);
        is_same = contract_trial_step(trial, &records[n]);
        n++;
    }
    contract_tallies_add(sum, trial);
    if (!is_same) {
        (void)printf("seed %" PRIu64 " fails at step %zu: %s\n", seed, n, trial->difference);
        struct failure failure = {.last_id = last_id, .place_len = strcspn(trial->difference, ":") + 1};
        memcpy(failure.difference, trial->difference, sizeof failure.difference);
        n = contract_shrink(records, n, fails, &failure);
        (void)printf("%zu commands are enough:\n", n);
        contract_print(records, n, last_id, CONTRACT_LIE_NONE);
    }
    contract_trial_close(trial);
    free(generator);
    free(trial);
    free(records);
    return is_same;
}

/* ---- was it enough? ---- */

struct tally {
    const char *what;
    uint64_t n;
    uint64_t least; /* in a million steps */
};

/* So few steps that nothing can be asked of them. */
#define FEW_STEPS 20000u

static bool is_enough(const struct tally *tallies, size_t n, uint64_t steps)
{
    bool is_well = true;
    for (size_t i = 0; i < n; i++) {
        uint64_t least = tallies[i].least * steps / 1000000;
        bool is_short = steps >= FEW_STEPS && tallies[i].n < (least > 0 ? least : 1);
        (void)printf("%10" PRIu64 " %s%s\n", tallies[i].n, tallies[i].what, is_short ? "  TOO FEW" : "");
        is_well = is_well && !is_short;
    }
    return is_well;
}

#define CODE(name, minimum)                                                                                            \
    {                                                                                                                  \
#name, sum->codes[OUTCOME_##name], (minimum)                                                                   \
    }

static bool are_codes_enough(const struct contract_tallies *sum)
{
    const struct tally tallies[] = {
        CODE(DONE, 100000),          CODE(INVALID_FIELD, 15000),      CODE(IDEMPOTENCY_CONFLICT, 1500),
        CODE(GRANT_ENDED, 3000),     CODE(TTL_TOO_SHORT, 7000),       CODE(TTL_TOO_LONG, 10000),
        CODE(OCCURRENCE_DONE, 9000), CODE(ATTEMPTS_EXHAUSTED, 10000), CODE(FROZEN, 10000),
        CODE(LOCK_HELD, 10000),      CODE(COOLING_DOWN, 4000),        CODE(GROUP_FULL, 3000),
        CODE(CAPACITY, 700),         CODE(LOCK_LOST, 65000),          CODE(NOT_FOUND, 4000),
        CODE(UNKNOWN_GROUP, 1000),   CODE(GROUP_IN_USE, 1000),
    };
    return is_enough(tallies, sizeof tallies / sizeof tallies[0], sum->steps);
}

static bool are_events_enough(const struct contract_tallies *sum)
{
    const struct tally tallies[] = {
        {"granted", sum->granted, 30000},
        {"keys repeated", sum->repeated_keys, 600},
        {"releases repeated", sum->repeated_releases, 9500},
        {"late outcomes", sum->late_outcomes, 6500},
        {"revoked softly", sum->revoked_softly, 2000},
        {"revoked by force", sum->revoked_by_force, 1500},
        {"freed by force after that", sum->freed_after_soft, 100},
        {"revoked several at once", sum->revoked_all, 100},
        {"released while being revoked", sum->released_while_revoking, 850},
        {"second attempts", sum->second_attempts, 4500},
        {"given back", sum->given_back, 2000},
        {"expired", sum->expired, 20000},
        {"freezes that ended", sum->thawed, 4500},
        {"schedules forgotten", sum->forgotten, 20},
        {"floors raised", sum->floors_raised, 6500},
        {"below a floor", sum->below_floor, 1000},
        {"strings forgotten", sum->strings_forgotten, 1000},
        {"several holders", sum->several_holders, 1000},
        {"clocks that were behind", sum->clocks_back, 5000},
        {"batches of renewals", sum->batches, 10000},
        {"probes", sum->probes, 100000},
        {"reads", sum->looks, 15000},
        {"pages", sum->pages, 15000},
        {"images", sum->reloads, 1000},
        {"events: granted", sum->events[CONTRACT_EVENT_GRANTED], 30000},
        {"events: renewed", sum->events[CONTRACT_EVENT_RENEWED], 7000},
        {"events: released", sum->events[CONTRACT_EVENT_RELEASED], 15000},
        {"events: expired", sum->events[CONTRACT_EVENT_EXPIRED], 20000},
        {"events: revoked", sum->events[CONTRACT_EVENT_REVOKED], 3500},
        {"events: policy", sum->events[CONTRACT_EVENT_POLICY], 10000},
        {"events: group", sum->events[CONTRACT_EVENT_GROUP], 4000},
        {"events: freeze", sum->events[CONTRACT_EVENT_FREEZE], 9500},
    };
    return is_enough(tallies, sizeof tallies / sizeof tallies[0], sum->steps);
}

/* ---- options ---- */

static bool read_options(struct options *options, char **arguments)
{
    for (; *arguments != NULL; arguments++) {
        uint64_t number = arguments[1] == NULL ? 0 : strtoull(arguments[1], NULL, 0);
        if (strcmp(*arguments, "--fresh") == 0) {
            options->is_fresh = true;
            continue;
        }
        if (strcmp(*arguments, "--seed") == 0) {
            options->seed = number;
        } else if (strcmp(*arguments, "--steps") == 0 && number > 0 && number < 10000000) {
            options->steps = (size_t)number;
        } else if (strcmp(*arguments, "--seeds") == 0) {
            options->seeds = number;
        } else {
            return false;
        }
        if (*++arguments == NULL) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    (void)argc;
    struct options options = {.seed = 1, .steps = 10000, .seeds = 1};
    static struct contract_tallies sum;
    if (!read_options(&options, argv + 1)) {
        (void)fprintf(stderr, "usage: contract [--seed S] [--steps N] [--seeds K] [--fresh]\n");
        return 64;
    }
    if (options.is_fresh) {
        CHECK(getrandom(&options.seed, sizeof options.seed, 0) == (ssize_t)sizeof options.seed);
        options.seed >>= 24;
    }
    (void)printf("seeds %" PRIu64 " to %" PRIu64 ", %zu steps each\n", options.seed, options.seed + options.seeds - 1,
                 options.steps);
    int n_failed = 0;
    for (uint64_t i = 0; i < options.seeds && n_failed < MOST_FAILURES; i++) {
        n_failed += !run_seed(&options, options.seed + i, &sum);
    }
    if (n_failed > 0) {
        return 1;
    }
    bool are_enough = are_codes_enough(&sum);
    are_enough = are_events_enough(&sum) && are_enough;
    return are_enough ? 0 : 1;
}
