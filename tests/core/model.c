#include "model.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_RUNS = 16, REMEMBERED_OCCURRENCES = 64 };

static const uint64_t margin_ms = 30ull * 1000;
static const uint64_t longest_ttl_ms = 7ull * 24 * 3600 * 1000;
static const uint64_t forget_after_ms = 40ull * 24 * 3600 * 1000;

struct model_run {
    struct model_ask ask;
    uint64_t token;
    uint64_t granted_ms;
    uint64_t ended_ms;
    uint64_t deadline_ms;
    uint64_t ttl_ms;
    uint64_t granted_ttl_ms;
    uint64_t estimate_ms;
    enum run_outcome outcome;
    bool late_success;
    uint32_t attempt;
};

struct model_memory {
    struct model_occurrence occurrence;
    uint32_t attempts;
    bool succeeded;
    uint64_t last_token;
};

/* Only the last run can be live, for there is one slot. */
struct model_schedule {
    struct model_run *runs;
    int n_runs;
    int capacity;
    struct model_memory memories[REMEMBERED_OCCURRENCES + 1]; /* oldest first */
    int n_memories;
    bool has_floor;
    int64_t floor;
};

struct model {
    struct model_schedule schedules[MODEL_SCHEDULES];
    uint64_t now_ms;
    uint64_t next_token;
    uint64_t forgotten;
    uint64_t expired;
};

struct model *model_open(void)
{
    struct model *model = calloc(1, sizeof *model);
    CHECK(model != NULL);
    model->next_token = 1;
    return model;
}

void model_close(struct model *model)
{
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        free(model->schedules[i].runs);
    }
    free(model);
}

static struct model_run *live_run(const struct model_schedule *schedule)
{
    if (schedule->n_runs == 0 || schedule->runs[schedule->n_runs - 1].outcome != RUN_RUNNING) {
        return NULL;
    }
    return &schedule->runs[schedule->n_runs - 1];
}

static struct model_run *kept_run(const struct model_schedule *schedule, uint64_t token)
{
    for (int i = schedule->n_runs - 1; i >= 0 && i >= schedule->n_runs - KEPT_RUNS; i--) {
        if (schedule->runs[i].token == token) {
            return &schedule->runs[i];
        }
    }
    return NULL;
}

static bool same_occurrence(const struct model_occurrence *a, const struct model_occurrence *b)
{
    return a->kind == b->kind && (a->kind == MODEL_NO_OCCURRENCE || a->number == b->number);
}

static struct model_memory *find_memory(struct model_schedule *schedule, const struct model_occurrence *occurrence)
{
    for (int i = 0; i < schedule->n_memories; i++) {
        if (same_occurrence(&schedule->memories[i].occurrence, occurrence)) {
            return &schedule->memories[i];
        }
    }
    return NULL;
}

static void end_run(struct model *model, struct model_schedule *schedule, struct model_run *run,
                    enum run_outcome outcome)
{
    run->outcome = outcome;
    run->ended_ms = model->now_ms;
    struct model_memory *memory = find_memory(schedule, &run->ask.occurrence);
    if (memory != NULL && outcome == RUN_SUCCEEDED) {
        memory->succeeded = true;
    }
    if (memory != NULL && outcome == RUN_ABANDONED) {
        memory->attempts--;
    }
}

static uint64_t forget_at_ms(const struct model_schedule *schedule)
{
    return schedule->runs[schedule->n_runs - 1].ended_ms + forget_after_ms;
}

void model_advance(struct model *model, uint64_t now_ms)
{
    model->now_ms = now_ms > model->now_ms ? now_ms : model->now_ms;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        struct model_schedule *schedule = &model->schedules[i];
        struct model_run *run = live_run(schedule);
        if (run != NULL && model->now_ms >= run->deadline_ms) {
            end_run(model, schedule, run, RUN_EXPIRED);
            model->expired++;
        } else if (run == NULL && schedule->n_runs > 0 && model->now_ms >= forget_at_ms(schedule)) {
            free(schedule->runs);
            *schedule = (struct model_schedule){0};
            model->forgotten++;
        }
    }
}

static void answer_run(struct model_answer *answer, const struct model_run *run)
{
    if (run != NULL) {
        answer->run_token = run->token;
        answer->run_outcome = run->outcome;
        answer->run_has_late_success = run->late_success;
        answer->run_duration_ms = run->outcome == RUN_RUNNING ? 0 : run->ended_ms - run->granted_ms;
    }
}

static void answer_grant(const struct model *model, struct model_answer *answer, const struct model_run *run)
{
    answer->grant_token = run->token;
    answer->ttl_ms = run->ttl_ms;
    answer->remaining_ms = run->deadline_ms - model->now_ms;
    answer->attempt = run->attempt;
}

static void answer_holder(const struct model *model, struct model_answer *answer, const struct model_schedule *schedule)
{
    const struct model_run *run = live_run(schedule);
    if (run != NULL) {
        answer->holder_token = run->token;
        answer->holder_remaining_ms = run->deadline_ms - model->now_ms;
    }
}

/* As it was sent: another spelling of the same instant is another body. */
static bool same_body(const struct model_ask *a, const struct model_ask *b)
{
    return a->holder == b->holder && a->metadata == b->metadata && a->has_ttl == b->has_ttl &&
           (!a->has_ttl || a->ttl_ms == b->ttl_ms) && a->has_estimate == b->has_estimate &&
           (!a->has_estimate || a->estimate_ms == b->estimate_ms) && same_occurrence(&a->occurrence, &b->occurrence) &&
           (a->occurrence.kind != MODEL_INSTANT || a->spelling == b->spelling);
}

static bool answer_repeat(struct model *model, struct model_schedule *schedule, const struct model_ask *ask,
                          struct model_answer *answer)
{
    for (int i = schedule->n_runs - 1; i >= 0 && i >= schedule->n_runs - KEPT_RUNS; i--) {
        const struct model_run *run = &schedule->runs[i];
        if (run->ask.key != ask->key) {
            continue;
        }
        if (!same_body(&run->ask, ask)) {
            answer->code = OUTCOME_IDEMPOTENCY_CONFLICT;
        } else if (run->outcome != RUN_RUNNING) {
            answer->code = OUTCOME_GRANT_ENDED;
            answer_run(answer, run);
        } else {
            answer->repeated = true;
            answer_grant(model, answer, run);
        }
        return true;
    }
    return false;
}

static bool refuse_ttl(const struct model_ask *ask, struct model_answer *answer)
{
    uint64_t estimate_ms = ask->has_estimate ? ask->estimate_ms : 0;
    if (!ask->has_ttl && estimate_ms == 0) {
        answer->code = OUTCOME_INVALID_FIELD;
        return true;
    }
    uint64_t ttl_ms = ask->has_ttl ? ask->ttl_ms : estimate_ms + margin_ms;
    if (ttl_ms < estimate_ms + margin_ms) {
        answer->code = OUTCOME_TTL_TOO_SHORT;
    } else if (ttl_ms > longest_ttl_ms) {
        answer->code = OUTCOME_TTL_TOO_LONG;
    } else {
        return false;
    }
    answer->minimum_ms = estimate_ms + margin_ms;
    return true;
}

static bool refuse_occurrence(struct model *model, struct model_schedule *schedule, const struct model_ask *ask,
                              struct model_answer *answer)
{
    if (ask->occurrence.kind == MODEL_NO_OCCURRENCE) {
        return false;
    }
    const struct model_memory *memory = find_memory(schedule, &ask->occurrence);
    if (memory == NULL) {
        if (ask->occurrence.kind == MODEL_STRING || !schedule->has_floor || ask->occurrence.number > schedule->floor) {
            return false;
        }
        answer->code = OUTCOME_OCCURRENCE_DONE;
        answer->below_floor = true;
        for (int i = schedule->n_runs - 1; i >= 0 && i >= schedule->n_runs - KEPT_RUNS; i--) {
            if (same_occurrence(&schedule->runs[i].ask.occurrence, &ask->occurrence)) {
                answer_run(answer, &schedule->runs[i]);
                break;
            }
        }
        return true;
    }
    const struct model_run *live = live_run(schedule);
    if (memory->succeeded) {
        answer->code = OUTCOME_OCCURRENCE_DONE;
        answer_run(answer, kept_run(schedule, memory->last_token));
    } else if (live != NULL && same_occurrence(&live->ask.occurrence, &ask->occurrence)) {
        answer->code = OUTCOME_LOCK_HELD;
        answer_holder(model, answer, schedule);
    } else if (memory->attempts >= 1) {
        answer->code = OUTCOME_ATTEMPTS_EXHAUSTED;
        answer_run(answer, kept_run(schedule, memory->last_token));
    } else {
        return false;
    }
    return true;
}

/* The earliest instant but `live`; without one, the oldest string. */
static void forget_one(struct model_schedule *schedule, const struct model_occurrence *live)
{
    int first = -1;
    for (int i = 0; i < schedule->n_memories; i++) {
        const struct model_occurrence *candidate = &schedule->memories[i].occurrence;
        if (candidate->kind == MODEL_INSTANT && !same_occurrence(candidate, live) &&
            (first < 0 || candidate->number < schedule->memories[first].occurrence.number)) {
            first = i;
        }
    }
    for (int i = 0; i < schedule->n_memories && first < 0; i++) {
        const struct model_occurrence *candidate = &schedule->memories[i].occurrence;
        first = candidate->kind == MODEL_STRING && !same_occurrence(candidate, live) ? i : -1;
    }
    const struct model_occurrence *gone = &schedule->memories[first].occurrence;
    if (gone->kind == MODEL_INSTANT && (!schedule->has_floor || gone->number > schedule->floor)) {
        schedule->has_floor = true;
        schedule->floor = gone->number;
    }
    schedule->n_memories--;
    memmove(&schedule->memories[first], &schedule->memories[first + 1],
            (size_t)(schedule->n_memories - first) * sizeof schedule->memories[0]);
}

static uint32_t remember_attempt(struct model_schedule *schedule, const struct model_occurrence *occurrence,
                                 uint64_t token)
{
    if (occurrence->kind == MODEL_NO_OCCURRENCE) {
        return 0;
    }
    struct model_memory *memory = find_memory(schedule, occurrence);
    if (memory == NULL) {
        schedule->memories[schedule->n_memories++] = (struct model_memory){.occurrence = *occurrence};
        if (schedule->n_memories > REMEMBERED_OCCURRENCES) {
            forget_one(schedule, occurrence);
        }
        memory = find_memory(schedule, occurrence);
    }
    memory->last_token = token;
    return ++memory->attempts;
}

struct model_answer model_acquire(struct model *model, const struct model_ask *ask, bool no_growth)
{
    struct model_answer answer = {.code = OUTCOME_DONE};
    struct model_schedule *schedule = &model->schedules[ask->schedule];
    if (answer_repeat(model, schedule, ask, &answer) || refuse_ttl(ask, &answer) ||
        refuse_occurrence(model, schedule, ask, &answer)) {
        return answer;
    }
    if (live_run(schedule) != NULL) {
        answer.code = OUTCOME_LOCK_HELD;
        answer_holder(model, &answer, schedule);
        return answer;
    }
    if (no_growth) {
        answer.code = OUTCOME_CAPACITY;
        return answer;
    }
    uint64_t estimate_ms = ask->has_estimate ? ask->estimate_ms : 0;
    uint64_t ttl_ms = ask->has_ttl ? ask->ttl_ms : estimate_ms + margin_ms;
    if (schedule->n_runs == schedule->capacity) {
        schedule->capacity = 2 * schedule->capacity + 16;
        schedule->runs = realloc(schedule->runs, (size_t)schedule->capacity * sizeof schedule->runs[0]);
        CHECK(schedule->runs != NULL);
    }
    struct model_run *run = &schedule->runs[schedule->n_runs++];
    *run = (struct model_run){.ask = *ask,
                              .token = model->next_token++,
                              .granted_ms = model->now_ms,
                              .deadline_ms = model->now_ms + ttl_ms,
                              .ttl_ms = ttl_ms,
                              .granted_ttl_ms = ttl_ms,
                              .estimate_ms = estimate_ms,
                              .outcome = RUN_RUNNING};
    run->attempt = remember_attempt(schedule, &ask->occurrence, run->token);
    answer_grant(model, &answer, run);
    return answer;
}

static struct model_answer lost(const struct model *model, const struct model_schedule *schedule, uint64_t token)
{
    struct model_answer answer = {.code = OUTCOME_LOCK_LOST};
    answer_run(&answer, kept_run(schedule, token));
    answer_holder(model, &answer, schedule);
    return answer;
}

struct model_answer model_renew(struct model *model, int number, uint64_t token, bool has_ttl, uint64_t ttl_ms)
{
    struct model_answer answer = {.code = OUTCOME_DONE};
    struct model_schedule *schedule = &model->schedules[number];
    struct model_run *run = live_run(schedule);
    if (run == NULL || run->token != token) {
        return lost(model, schedule, token);
    }
    uint64_t elapsed_ms = model->now_ms - run->granted_ms;
    uint64_t minimum_ms = margin_ms + (run->estimate_ms > elapsed_ms ? run->estimate_ms - elapsed_ms : 0);
    uint64_t wanted_ms = has_ttl ? ttl_ms : run->granted_ttl_ms;
    if (wanted_ms < minimum_ms || wanted_ms > longest_ttl_ms) {
        answer.code = wanted_ms < minimum_ms ? OUTCOME_TTL_TOO_SHORT : OUTCOME_TTL_TOO_LONG;
        answer.minimum_ms = minimum_ms;
        return answer;
    }
    run->ttl_ms = wanted_ms;
    run->deadline_ms = model->now_ms + wanted_ms;
    answer_grant(model, &answer, run);
    return answer;
}

struct model_answer model_release(struct model *model, int number, uint64_t token, bool has_outcome,
                                  enum run_outcome outcome)
{
    struct model_answer answer = {.code = OUTCOME_DONE};
    struct model_schedule *schedule = &model->schedules[number];
    struct model_run *run = kept_run(schedule, token);
    if (run != NULL && run->ask.occurrence.kind != MODEL_NO_OCCURRENCE && !has_outcome) {
        answer.code = OUTCOME_INVALID_FIELD;
        return answer;
    }
    enum run_outcome reported = has_outcome ? outcome : RUN_SUCCEEDED;
    if (run == NULL) {
        return lost(model, schedule, token);
    }
    if (run->outcome == RUN_RUNNING) {
        end_run(model, schedule, run, reported);
    } else if (run->outcome == RUN_EXPIRED) {
        struct model_memory *memory = find_memory(schedule, &run->ask.occurrence);
        if (reported == RUN_SUCCEEDED) {
            run->late_success = true;
            if (memory != NULL && memory->last_token == token) {
                memory->succeeded = true;
            }
        }
        return lost(model, schedule, token);
    } else {
        answer.repeated = true;
    }
    answer_run(&answer, run);
    return answer;
}

uint64_t model_held(const struct model *model)
{
    uint64_t held = 0;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        held += live_run(&model->schedules[i]) != NULL ? 1 : 0;
    }
    return held;
}

uint64_t model_remembered(const struct model *model)
{
    uint64_t remembered = 0;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        remembered += model->schedules[i].n_runs > 0 ? 1 : 0;
    }
    return remembered;
}

uint64_t model_forgotten(const struct model *model)
{
    return model->forgotten;
}

uint64_t model_expired(const struct model *model)
{
    return model->expired;
}

uint64_t model_next_end_ms(const struct model *model)
{
    uint64_t next_ms = UINT64_MAX;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        const struct model_schedule *schedule = &model->schedules[i];
        const struct model_run *run = live_run(schedule);
        uint64_t end_ms = run != NULL ? run->deadline_ms : schedule->n_runs > 0 ? forget_at_ms(schedule) : UINT64_MAX;
        next_ms = end_ms < next_ms ? end_ms : next_ms;
    }
    return next_ms;
}

uint64_t model_live_token(const struct model *model, int schedule)
{
    const struct model_run *run = live_run(&model->schedules[schedule]);
    return run != NULL ? run->token : 0;
}
