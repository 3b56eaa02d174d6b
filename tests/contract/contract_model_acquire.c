#include "contract_model_private.h"

#include <string.h>

#define DEFAULT_MARGIN_MS 30000u
#define LONGEST_TTL_MS    (7 * CONTRACT_DAY_MS)

/* What a grant would be made of. */
struct terms {
    struct contract_policy policy;
    uint64_t estimate_ms;
    uint64_t ttl_ms;
};

static struct contract_policy policy_in_force(const struct contract_schedule *schedule)
{
    if (schedule != NULL && schedule->has_policy) {
        return schedule->policy;
    }
    return (struct contract_policy){
        .margin_ms = DEFAULT_MARGIN_MS, .max_ttl_ms = LONGEST_TTL_MS, .slots = 1, .max_attempts = 1};
}

static bool is_same_body(const struct contract_body *a, const struct contract_body *b)
{
    return model_text_equal(a->holder, b->holder) && model_text_equal(a->occurrence, b->occurrence) &&
           model_text_equal(a->metadata, b->metadata) && a->has_ttl == b->has_ttl &&
           a->has_estimate == b->has_estimate && (!a->has_ttl || a->ttl_ms == b->ttl_ms) &&
           (!a->has_estimate || a->estimate_ms == b->estimate_ms);
}

/* Is the key known? Then this is the answer. */
static bool answer_repeat(struct contract_schedule *schedule, const struct contract_command *command,
                          struct contract_answer *answer)
{
    for (size_t i = 0; schedule != NULL && i < schedule->n_runs; i++) {
        const struct contract_run *run = &schedule->runs[i];
        if (!model_text_equal(run->key, command->key)) {
            continue;
        }
        if (!is_same_body(&run->body, &command->body)) {
            answer->code = "idempotency_conflict";
        } else if (run->outcome == CONTRACT_RUNNING) {
            answer->repeated = true;
            answer->has_grant = true;
            answer->grant = *run;
        } else {
            answer->code = "grant_ended";
            answer->has_run = true;
            answer->run = *run;
        }
        return true;
    }
    return false;
}

/* NULL: the TTL is right. */
static const char *refuse_ttl(const struct contract_body *body, struct terms *terms, struct contract_answer *answer)
{
    terms->estimate_ms = terms->policy.estimate_ms;
    if (body->has_estimate && body->estimate_ms > terms->estimate_ms) {
        terms->estimate_ms = body->estimate_ms;
    }
    uint64_t minimum_ms = terms->estimate_ms + terms->policy.margin_ms;
    if (!body->has_ttl && terms->estimate_ms == 0) {
        answer->field = "ttl_ms";
        return "invalid_field";
    }
    terms->ttl_ms = body->has_ttl ? body->ttl_ms : minimum_ms;
    if (terms->ttl_ms < minimum_ms) {
        answer->minimum_ms = minimum_ms;
        answer->estimate_ms = terms->estimate_ms;
        answer->margin_ms = terms->policy.margin_ms;
        return "ttl_too_short";
    }
    if (terms->ttl_ms > terms->policy.max_ttl_ms) {
        answer->maximum_ms = terms->policy.max_ttl_ms;
        return "ttl_too_long";
    }
    return NULL;
}

static const char *refuse_held(struct contract_model *model, const char *schedule, struct contract_answer *answer)
{
    answer->n_holders = contract_model_holders(model, schedule, answer->holders);
    return "lock_held";
}

/* The last kept run of the occurrence, were it forgotten otherwise. */
static void show_run(struct contract_schedule *schedule, const char *text, struct contract_answer *answer)
{
    struct contract_occurrence wanted = {.instant = contract_instant_read(text)};
    model_text(wanted.text, text);
    const struct contract_run *run = NULL;
    for (size_t i = 0; i < schedule->n_runs; i++) {
        const char *of_run = schedule->runs[i].body.occurrence;
        run = of_run[0] != '\0' && model_is_occurrence(&wanted, of_run) ? &schedule->runs[i] : run;
    }
    answer->has_run = run != NULL;
    if (run != NULL) {
        answer->run = *run;
    }
}

/* NULL: the occurrence may be tried. */
static const char *refuse_occurrence(struct contract_model *model, struct contract_schedule *schedule,
                                     const struct contract_command *command, const struct terms *terms,
                                     struct contract_answer *answer)
{
    if (schedule == NULL || command->body.occurrence[0] == '\0') {
        return NULL;
    }
    struct contract_occurrence *occurrence = model_occurrence(schedule, command->body.occurrence);
    if (occurrence == NULL) {
        struct contract_instant instant = contract_instant_read(command->body.occurrence);
        answer->is_below_floor =
            instant.is_valid && schedule->floor.is_valid && contract_instant_compare(instant, schedule->floor) <= 0;
        if (answer->is_below_floor) {
            show_run(schedule, command->body.occurrence, answer);
        }
        return answer->is_below_floor ? "occurrence_done" : NULL;
    }
    if (occurrence->has_succeeded) {
        show_run(schedule, command->body.occurrence, answer);
        return "occurrence_done";
    }
    const struct contract_run *run = model_run(schedule, occurrence->run_token);
    if (run != NULL && run->has_slot) {
        return refuse_held(model, schedule->id, answer);
    }
    if (occurrence->attempts >= terms->policy.max_attempts) {
        show_run(schedule, command->body.occurrence, answer);
        return "attempts_exhausted";
    }
    return NULL;
}

static bool holds_a_slot(const struct contract_schedule *schedule, const char *holder)
{
    for (size_t i = 0; i < schedule->n_runs; i++) {
        if (schedule->runs[i].has_slot && model_text_equal(schedule->runs[i].body.holder, holder)) {
            return true;
        }
    }
    return false;
}

/* NULL: there is a slot, and it may be taken now. */
static const char *refuse_slot(struct contract_model *model, struct contract_schedule *schedule,
                               const struct contract_command *command, const struct terms *terms,
                               struct contract_answer *answer)
{
    const struct contract_freeze *freeze = model_freeze_of(model, command->name);
    if (freeze != NULL) {
        answer->has_freeze = true;
        answer->freeze = *freeze;
        return "frozen";
    }
    if (schedule != NULL &&
        (holds_a_slot(schedule, command->body.holder) || model_live(schedule) >= terms->policy.slots)) {
        return refuse_held(model, schedule->id, answer);
    }
    if (schedule != NULL && schedule->was_granted &&
        model->now_ms - schedule->last_granted_ms < terms->policy.min_hold_ms) {
        answer->cool_ms = schedule->last_granted_ms + terms->policy.min_hold_ms - model->now_ms;
        return "cooling_down";
    }
    if (terms->policy.group[0] != '\0') {
        size_t n = model_group_grants(model, terms->policy.group, answer->holders);
        answer->has_group = contract_model_group(model, terms->policy.group, &answer->group);
        MODEL_CHECK(answer->has_group);
        if (n >= answer->group.group.slots) {
            answer->n_holders = n < CONTRACT_GROUP_HOLDERS ? n : CONTRACT_GROUP_HOLDERS;
            return "group_full";
        }
        answer->has_group = false;
    }
    return model->no_growth ? "capacity" : NULL;
}

static uint32_t begin_attempt(struct contract_schedule *schedule, const char *text, uint64_t token)
{
    struct contract_occurrence *occurrence = model_occurrence(schedule, text);
    if (occurrence == NULL) {
        occurrence = &schedule->occurrences[schedule->n_occurrences++];
        *occurrence = (struct contract_occurrence){.instant = contract_instant_read(text)};
        model_text(occurrence->text, text);
    }
    occurrence->run_token = token;
    return ++occurrence->attempts;
}

static void grant(struct contract_model *model, const struct contract_command *command, const struct terms *terms,
                  struct contract_answer *answer)
{
    struct contract_schedule *schedule = model_schedule_make(model, command->name);
    struct contract_run *run = &schedule->runs[schedule->n_runs++];
    *run = (struct contract_run){.body = command->body,
                                 .token = model->next_token++,
                                 .granted_ms = model->now_ms,
                                 .deadline_ms = model->now_ms + terms->ttl_ms,
                                 .ttl_ms = terms->ttl_ms,
                                 .granted_ttl_ms = terms->ttl_ms,
                                 .estimate_ms = terms->estimate_ms,
                                 .margin_ms = terms->policy.margin_ms,
                                 .max_ttl_ms = terms->policy.max_ttl_ms,
                                 .acquired_wall_ms = model->wall_ms,
                                 .outcome = CONTRACT_RUNNING,
                                 .has_slot = true};
    model_text(run->schedule, command->name);
    model_text(run->key, command->key);
    model_text(run->group, terms->policy.group);
    if (command->body.occurrence[0] != '\0') {
        run->attempt = begin_attempt(schedule, command->body.occurrence, run->token);
    }
    schedule->was_granted = true;
    schedule->last_granted_ms = model->now_ms;
    answer->has_grant = true;
    answer->grant = *run;
    (void)model_tell_run(model, CONTRACT_EVENT_GRANTED, run);
    model_trim(model, schedule);
}

void model_acquire(struct contract_model *model, const struct contract_command *command, struct contract_answer *answer)
{
    struct contract_schedule *schedule = model_schedule(model, command->name);
    struct terms terms = {.policy = policy_in_force(schedule)};
    if (answer_repeat(schedule, command, answer)) {
        return;
    }
    const char *refusal = refuse_ttl(&command->body, &terms, answer);
    if (refusal == NULL) {
        refusal = refuse_occurrence(model, schedule, command, &terms, answer);
    }
    if (refusal == NULL) {
        refusal = refuse_slot(model, schedule, command, &terms, answer);
    }
    if (refusal != NULL) {
        answer->code = refusal;
        return;
    }
    grant(model, command, &terms, answer);
}
