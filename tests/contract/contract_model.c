#include "contract_model_private.h"

#include <string.h>

#define FORGET_MS (40 * CONTRACT_DAY_MS)

struct contract_model *contract_model_open(void)
{
    struct contract_model *model = calloc(1, sizeof *model);
    MODEL_CHECK(model != NULL);
    model->next_token = 1;
    return model;
}

void contract_model_close(struct contract_model *model)
{
    free(model);
}

/* ---- finding ---- */

void model_text(char to[CONTRACT_TEXT], const char *from)
{
    MODEL_CHECK(strlen(from) < CONTRACT_TEXT);
    memset(to, 0, CONTRACT_TEXT);
    memcpy(to, from, strlen(from));
}

bool model_text_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

struct contract_schedule *model_schedule(struct contract_model *model, const char *id)
{
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        if (model_text_equal(model->schedules[i].id, id)) {
            return &model->schedules[i];
        }
    }
    return NULL;
}

struct contract_schedule *model_schedule_make(struct contract_model *model, const char *id)
{
    struct contract_schedule *schedule = model_schedule(model, id);
    if (schedule == NULL) {
        schedule = model_schedule(model, "");
        MODEL_CHECK(schedule != NULL);
        memset(schedule, 0, sizeof *schedule);
        model_text(schedule->id, id);
    }
    return schedule;
}

struct contract_run *model_run(struct contract_schedule *schedule, uint64_t token)
{
    for (size_t i = 0; schedule != NULL && i < schedule->n_runs; i++) {
        if (schedule->runs[i].token == token) {
            return &schedule->runs[i];
        }
    }
    return NULL;
}

bool model_is_occurrence(const struct contract_occurrence *occurrence, const char *text)
{
    struct contract_instant instant = contract_instant_read(text);
    if (instant.is_valid && occurrence->instant.is_valid) {
        return contract_instant_compare(instant, occurrence->instant) == 0;
    }
    return model_text_equal(occurrence->text, text);
}

struct contract_occurrence *model_occurrence(struct contract_schedule *schedule, const char *text)
{
    for (size_t i = 0; schedule != NULL && i < schedule->n_occurrences; i++) {
        if (model_is_occurrence(&schedule->occurrences[i], text)) {
            return &schedule->occurrences[i];
        }
    }
    return NULL;
}

struct contract_group *model_group(struct contract_model *model, const char *name)
{
    for (int i = 0; i < CONTRACT_GROUPS; i++) {
        if (model_text_equal(model->groups[i].name, name)) {
            return &model->groups[i];
        }
    }
    return NULL;
}

size_t model_live(const struct contract_schedule *schedule)
{
    size_t live = 0;
    for (size_t i = 0; i < schedule->n_runs; i++) {
        live += schedule->runs[i].has_slot;
    }
    return live;
}

size_t model_group_grants(const struct contract_model *model, const char *name,
                          const struct contract_run *grants[CONTRACT_GRANTS])
{
    size_t n = 0;
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        const struct contract_schedule *schedule = &model->schedules[i];
        for (size_t j = 0; j < schedule->n_runs; j++) {
            const struct contract_run *run = &schedule->runs[j];
            if (!run->has_slot || !model_text_equal(run->group, name)) {
                continue;
            }
            size_t at = n++;
            for (; at > 0 && grants[at - 1]->token > run->token; at--) {
                grants[at] = grants[at - 1];
            }
            grants[at] = run;
        }
    }
    return n;
}

bool contract_model_is_in_scope(const char *scope, const char *schedule)
{
    size_t len = strlen(scope);
    if (scope[len - 1] == '*') {
        return strncmp(scope, schedule, len - 1) == 0;
    }
    return model_text_equal(scope, schedule);
}

const struct contract_freeze *model_freeze_of(const struct contract_model *model, const char *schedule)
{
    const struct contract_freeze *last = NULL;
    for (int i = 0; i < CONTRACT_FREEZES; i++) {
        const struct contract_freeze *freeze = &model->freezes[i];
        if (freeze->scope[0] != '\0' && contract_model_is_in_scope(freeze->scope, schedule) &&
            (last == NULL || freeze->deadline_ms > last->deadline_ms)) {
            last = freeze;
        }
    }
    return last;
}

/* ---- what happens ---- */

struct contract_event *model_tell(struct contract_model *model, enum contract_event_kind kind, const char *name)
{
    MODEL_CHECK(model->n_events < CONTRACT_EVENTS);
    struct contract_event *event = &model->events[model->n_events++];
    memset(event, 0, sizeof *event);
    event->kind = kind;
    model_text(event->name, name);
    return event;
}

struct contract_event *model_tell_run(struct contract_model *model, enum contract_event_kind kind,
                                      const struct contract_run *run)
{
    struct contract_event *event = model_tell(model, kind, run->schedule);
    event->token = run->token;
    model_text(event->group, run->group);
    if (kind != CONTRACT_EVENT_GRANTED && kind != CONTRACT_EVENT_RENEWED) {
        event->outcome = run->outcome;
        event->late_outcome = run->late_outcome;
    }
    return event;
}

size_t contract_model_events(const struct contract_model *model, const struct contract_event **events)
{
    *events = model->events;
    return model->n_events;
}

/* ---- ends and memory ---- */

void model_end(struct contract_model *model, struct contract_run *run, enum contract_result outcome)
{
    run->outcome = outcome;
    run->ended_ms = model->now_ms;
    run->ended_wall_ms = model->wall_ms;
}

void model_succeed(struct contract_model *model, struct contract_schedule *schedule, const struct contract_run *run)
{
    schedule->has_success = true;
    schedule->last_success_ms = model->now_ms;
    schedule->last_success_wall_ms = model->wall_ms;
    struct contract_occurrence *occurrence = model_occurrence(schedule, run->body.occurrence);
    if (run->body.occurrence[0] != '\0' && occurrence != NULL && occurrence->run_token == run->token) {
        occurrence->has_succeeded = true;
    }
}

static void forget_run(struct contract_schedule *schedule)
{
    size_t first = schedule->n_runs;
    for (size_t i = 0; i < schedule->n_runs; i++) {
        const struct contract_run *run = &schedule->runs[i];
        if (!run->has_slot && (first == schedule->n_runs || run->ended_ms < schedule->runs[first].ended_ms)) {
            first = i;
        }
    }
    MODEL_CHECK(first < schedule->n_runs);
    memmove(&schedule->runs[first], &schedule->runs[first + 1],
            (schedule->n_runs - first - 1) * sizeof schedule->runs[0]);
    schedule->n_runs--;
}

static bool runs_now(struct contract_schedule *schedule, const struct contract_occurrence *occurrence)
{
    const struct contract_run *run = model_run(schedule, occurrence->run_token);
    return run != NULL && run->has_slot;
}

static void forget_occurrence(struct contract_model *model, struct contract_schedule *schedule)
{
    size_t none = schedule->n_occurrences;
    size_t instant = none;
    size_t string = none;
    for (size_t i = 0; i < none; i++) {
        const struct contract_occurrence *occurrence = &schedule->occurrences[i];
        if (runs_now(schedule, occurrence)) {
            continue;
        }
        if (!occurrence->instant.is_valid) {
            string = string == none ? i : string;
        } else if (instant == none ||
                   contract_instant_compare(occurrence->instant, schedule->occurrences[instant].instant) < 0) {
            instant = i;
        }
    }
    size_t gone = instant != none ? instant : string;
    MODEL_CHECK(gone != none);
    if (instant != none) {
        struct contract_instant forgotten = schedule->occurrences[gone].instant;
        if (!schedule->floor.is_valid || contract_instant_compare(forgotten, schedule->floor) > 0) {
            schedule->floor = forgotten;
        }
    }
    *(instant != none ? &model->counts.floors_raised : &model->counts.strings_forgotten) += 1;
    memmove(&schedule->occurrences[gone], &schedule->occurrences[gone + 1],
            (schedule->n_occurrences - gone - 1) * sizeof schedule->occurrences[0]);
    schedule->n_occurrences--;
}

/* So many are remembered; or one fewer, and all that run now. */
static size_t allowed(size_t usual, size_t running)
{
    return running > 1 ? usual - 1 + running : usual;
}

void model_trim(struct contract_model *model, struct contract_schedule *schedule)
{
    while (schedule->n_runs > allowed(CONTRACT_KEPT_RUNS, model_live(schedule))) {
        forget_run(schedule);
    }
    size_t running = 0;
    for (size_t i = 0; i < schedule->n_occurrences; i++) {
        running += runs_now(schedule, &schedule->occurrences[i]);
    }
    while (schedule->n_occurrences > allowed(CONTRACT_OCCURRENCES, running)) {
        forget_occurrence(model, schedule);
    }
}

/* The grant that ends next: by its deadline, then its token. */
static struct contract_run *next_to_end(struct contract_model *model, struct contract_schedule **schedule)
{
    struct contract_run *next = NULL;
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        for (size_t j = 0; j < model->schedules[i].n_runs; j++) {
            struct contract_run *run = &model->schedules[i].runs[j];
            bool is_next = next == NULL || run->deadline_ms < next->deadline_ms ||
                           (run->deadline_ms == next->deadline_ms && run->token < next->token);
            if (run->has_slot && is_next) {
                next = run;
                *schedule = &model->schedules[i];
            }
        }
    }
    return next;
}

static void expire(struct contract_model *model)
{
    struct contract_schedule *schedule = NULL;
    struct contract_run *run;
    while ((run = next_to_end(model, &schedule)) != NULL && run->deadline_ms <= model->now_ms) {
        run->has_slot = false;
        if (run->outcome == CONTRACT_RUNNING) {
            model_end(model, run, CONTRACT_EXPIRED);
        }
        (void)model_tell_run(model, CONTRACT_EVENT_EXPIRED, run);
        model->counts.expired++;
        model_trim(model, schedule);
    }
}

static struct contract_freeze *next_to_thaw(struct contract_model *model)
{
    struct contract_freeze *next = NULL;
    for (int i = 0; i < CONTRACT_FREEZES; i++) {
        struct contract_freeze *freeze = &model->freezes[i];
        bool is_next = next == NULL || freeze->deadline_ms < next->deadline_ms ||
                       (freeze->deadline_ms == next->deadline_ms && strcmp(freeze->scope, next->scope) < 0);
        if (freeze->scope[0] != '\0' && is_next) {
            next = freeze;
        }
    }
    return next;
}

static void thaw(struct contract_model *model)
{
    struct contract_freeze *freeze;
    while ((freeze = next_to_thaw(model)) != NULL && freeze->deadline_ms <= model->now_ms) {
        model_tell(model, CONTRACT_EVENT_FREEZE, freeze->scope)->is_gone = true;
        memset(freeze, 0, sizeof *freeze);
        model->counts.thawed++;
    }
}

void model_mark_used(struct contract_model *model)
{
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        struct contract_schedule *schedule = &model->schedules[i];
        if (schedule->has_policy || model_live(schedule) > 0) {
            schedule->last_used_ms = model->now_ms;
        }
    }
}

void model_forget_schedules(struct contract_model *model)
{
    for (int i = 0; i < CONTRACT_SCHEDULES; i++) {
        struct contract_schedule *schedule = &model->schedules[i];
        if (schedule->id[0] != '\0' && !schedule->has_policy && model_live(schedule) == 0 &&
            (!schedule->was_granted || model->now_ms >= schedule->last_used_ms + FORGET_MS)) {
            model->counts.forgotten += schedule->was_granted;
            memset(schedule, 0, sizeof *schedule);
        }
    }
}

void contract_model_advance(struct contract_model *model, const struct contract_entry *entry)
{
    model->n_events = 0;
    model->now_ms = entry->now_ms > model->now_ms ? entry->now_ms : model->now_ms;
    model->wall_ms = entry->wall_ms;
    model->no_growth = entry->no_growth;
    model_mark_used(model);
    expire(model);
    thaw(model);
    model_forget_schedules(model);
}
