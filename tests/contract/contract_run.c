#include "contract_run.h"

#include "contract_core.h"
#include "contract_draw.h"
#include "contract_shown.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_EVERY 16u /* looks; a check costs as much as the state is large */

/* The two that are held against each other. */
struct pair {
    struct contract_model *model;
    struct contract_core *core;
    uint32_t entry;
    uint64_t looks;
    uint64_t *token_of_step; /* 0: it was granted none; of the model */
    uint32_t *step_of_token;
    struct contract_tally tally;
    struct contract_text expected; /* by the model; of the last step */
    struct contract_text found;
    struct contract_text events; /* that the table tells of, while it applies a command */
};

static struct pair *pair_open(size_t n_steps)
{
    struct pair *pair = calloc(1, sizeof *pair);
    pair->token_of_step = calloc(n_steps + 1, sizeof pair->token_of_step[0]);
    pair->step_of_token = calloc(n_steps + 2, sizeof pair->step_of_token[0]);
    pair->model = contract_model_open();
    pair->core = contract_core_open();
    return pair;
}

static void pair_close(struct pair *pair)
{
    if (pair->core != NULL) {
        contract_core_close(pair->core);
    }
    contract_model_close(pair->model);
    free(pair->token_of_step);
    free(pair->step_of_token);
    free(pair);
}

/* ---- one step ---- */

static bool is_equal(const struct pair *pair)
{
    return pair->expected.len == pair->found.len &&
           memcmp(pair->expected.text, pair->found.text, pair->expected.len) == 0;
}

static void advance(struct pair *pair, const struct contract_step *step)
{
    if (step->entry == pair->entry) {
        return;
    }
    pair->entry = step->entry;
    contract_model_advance(pair->model, &step->time);
    contract_shown_events(pair->model, &pair->expected);
    contract_core_advance(pair->core, &step->time, &pair->found);
}

/* The number of a token for who got it. A step that was dropped, or is refused now, got one that nobody else has. */
static uint64_t token_number(const struct pair *pair, uint32_t step, uint64_t otherwise)
{
    if (step == 0) {
        return otherwise;
    }
    return pair->token_of_step[step] != 0 ? pair->token_of_step[step] : CONTRACT_NO_TOKEN + step;
}

static struct contract_command resolve(const struct pair *pair, const struct contract_step *step)
{
    struct contract_command command = step->command;
    command.token = token_number(pair, step->granted_by[0], command.token);
    for (int i = 0; i < command.n_renewals; i++) {
        command.renewals[i].token = token_number(pair, step->granted_by[i], command.renewals[i].token);
    }
    return command;
}

static void apply_to_model(struct pair *pair, const struct contract_command *command, struct contract_answer *answer)
{
    contract_model_apply(pair->model, command, answer);
    contract_tally_answer(&pair->tally, command, answer);
    if (command->kind == CONTRACT_ACQUIRE) {
        contract_shown_probe(pair->model, command, answer, &pair->expected);
    }
    contract_shown_answer(pair->model, command, answer, &pair->expected);
    for (int i = 0; command->kind == CONTRACT_RENEW_BATCH && i < command->n_renewals; i++) {
        struct contract_answer result;
        contract_model_renew(pair->model, &command->renewals[i], &result);
        contract_tally_answer(&pair->tally, command, &result);
        contract_shown_answer(pair->model, command, &result, &pair->expected);
    }
    contract_shown_events(pair->model, &pair->expected);
}

static void play_command(struct pair *pair, const struct contract_step *step)
{
    struct contract_command command = resolve(pair, step);
    struct contract_answer answer;
    struct contract_text *events = &pair->events;
    apply_to_model(pair, &command, &answer);
    text_clear(events);
    if (command.kind == CONTRACT_ACQUIRE) {
        contract_core_probe(pair->core, &command, answer.repeated, &pair->found);
        if (answer.has_grant && !answer.repeated) {
            pair->token_of_step[step->id] = answer.grant.token;
            pair->step_of_token[answer.grant.token] = step->id;
        }
    }
    contract_core_apply(pair->core, &command, &pair->found, events);
    text_add(&pair->found, events->text);
}

/* False: their answers differ. */
static bool pair_play(struct pair *pair, const struct contract_step *step)
{
    text_clear(&pair->expected);
    text_clear(&pair->found);
    advance(pair, step);
    pair->tally.steps++;
    switch (step->kind) {
    case CONTRACT_STEP_COMMAND:
        play_command(pair, step);
        break;
    case CONTRACT_STEP_LOOK:
        pair->tally.counts[CONTRACT_TALLY_LOOKED]++;
        contract_shown_look(pair->model, &step->command, &pair->expected);
        contract_core_look(pair->core, &step->command, &pair->found);
        if (pair->looks++ % CHECK_EVERY == 0) {
            contract_core_check(pair->core);
        }
        break;
    case CONTRACT_STEP_RELOAD:
        pair->tally.counts[CONTRACT_TALLY_RELOADED]++;
        text_add(&pair->expected, "reloaded\n");
        contract_core_reload(pair->core, &pair->found);
        break;
    }
    return is_equal(pair);
}

/* ---- aborts ---- */

static sigjmp_buf abort_context;

static void on_abort(int signal_number)
{
    (void)signal_number;
    siglongjmp(abort_context, 1);
}

/* An abort inside the table is a difference as well: it is caught. The table may then be in any state, so it is left alone;
 * it is remembered, or it would be taken for a leak. */
static struct left_alone {
    struct contract_core *core;
    struct left_alone *next;
} * all_left_alone;

static void leave_alone(struct pair *pair)
{
    struct left_alone *left = calloc(1, sizeof *left);
    *left = (struct left_alone){.core = pair->core, .next = all_left_alone};
    all_left_alone = left;
    pair->core = NULL;
}

static void catch_aborts(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGABRT, &action, NULL);
}

/* ---- many ---- */

void contract_steps_close(struct contract_steps *steps)
{
    free(steps->steps);
    *steps = (struct contract_steps){.steps = NULL};
}

static struct contract_step *steps_append(struct contract_steps *steps)
{
    if (steps->n == steps->room) {
        steps->room = steps->room == 0 ? 1024 : steps->room * 2;
        steps->steps = realloc(steps->steps, steps->room * sizeof steps->steps[0]);
    }
    return &steps->steps[steps->n++];
}

static void add_tally(struct contract_tally *tally, const struct pair *pair)
{
    tally->steps += pair->tally.steps;
    for (int i = 0; i < CONTRACT_TALLY_NAMES; i++) {
        tally->counts[i] += pair->tally.counts[i];
    }
    contract_tally_run(tally, pair->model);
}

bool contract_run_seed(uint64_t seed, size_t n_steps, struct contract_steps *steps, struct contract_tally *tally)
{
    struct pair *volatile pair = pair_open(n_steps);
    struct contract_draw draw;
    volatile bool are_equal = true;
    contract_draw_init(&draw, seed);
    if (sigsetjmp(abort_context, 1) == 0) {
        catch_aborts(on_abort);
        for (size_t i = 0; i < n_steps && are_equal; i++) {
            struct contract_step *step = steps_append(steps);
            contract_draw_step(&draw, pair->model, pair->step_of_token, step);
            are_equal = pair_play(pair, step);
        }
    } else {
        leave_alone(pair);
        are_equal = false;
    }
    catch_aborts(SIG_DFL);
    add_tally(tally, pair);
    pair_close(pair);
    return are_equal;
}

static uint32_t largest_id(const struct contract_step *steps, size_t n_steps)
{
    return n_steps == 0 ? 0 : steps[n_steps - 1].id;
}

static void print_step(FILE *print, const struct contract_step *step, const struct pair *pair, bool are_equal)
{
    static struct contract_text text;
    text_clear(&text);
    contract_shown_step(step, &text);
    (void)fputs(text.text, print);
    if (are_equal) {
        (void)fprintf(print, "%s", step->kind == CONTRACT_STEP_COMMAND ? pair->expected.text : "");
        return;
    }
    (void)fprintf(print, "the model answers:\n%sthe table answers:\n%s", pair->expected.text, pair->found.text);
}

size_t contract_run_play(const struct contract_step *steps, size_t n_steps, FILE *print, bool *are_equal)
{
    struct pair *volatile pair = pair_open(largest_id(steps, n_steps));
    volatile size_t played = 0;
    *are_equal = true;
    if (sigsetjmp(abort_context, 1) == 0) {
        catch_aborts(on_abort);
        while (played < n_steps && *are_equal) {
            const struct contract_step *step = &steps[played++];
            *are_equal = pair_play(pair, step);
            if (print != NULL) {
                print_step(print, step, pair, *are_equal);
            }
        }
    } else {
        leave_alone(pair);
        *are_equal = false;
        if (print != NULL) {
            text_add(&pair->found, "nothing more, it aborted\n");
            print_step(print, &steps[played - 1], pair, false);
        }
    }
    catch_aborts(SIG_DFL);
    pair_close(pair);
    return played;
}
