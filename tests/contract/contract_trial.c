#include "contract_trial.h"

#include "core/rules.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sigjmp_buf aborted;
static volatile sig_atomic_t is_stepping;

static void catch_abort(int signal_number)
{
    (void)signal_number;
    if (is_stepping) { /* saving the mask at each step would cost more than the step */
        sigset_t mask;
        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGABRT);
        (void)sigprocmask(SIG_UNBLOCK, &mask, NULL);
        siglongjmp(aborted, 1);
    }
}

/* ---- listening ---- */

static void copy_text(char to[CONTRACT_TEXT], struct slice from)
{
    memset(to, 0, CONTRACT_TEXT);
    if (slice_is_present(from) && from.len < CONTRACT_TEXT) {
        memcpy(to, from.base, from.len);
    }
}

static enum contract_result result_of(int outcome)
{
    static const enum contract_result results[] = {
        [RUN_RUNNING] = CONTRACT_RUNNING,     [RUN_SUCCEEDED] = CONTRACT_SUCCEEDED, [RUN_FAILED] = CONTRACT_FAILED,
        [RUN_ABANDONED] = CONTRACT_ABANDONED, [RUN_EXPIRED] = CONTRACT_EXPIRED,     [RUN_REVOKED] = CONTRACT_REVOKED};
    return outcome == RUN_OUTCOME_NONE ? CONTRACT_NOTHING : results[outcome];
}

static void hear_run(struct contract_event *told, const struct run_view *run)
{
    copy_text(told->name, run->schedule_id);
    told->token = run->token;
    told->outcome = result_of((int)run->outcome);
    told->late_outcome = result_of(run->late_outcome);
    told->is_newly_revoked = run->is_newly_revoked;
    told->is_newly_freed = run->is_newly_freed;
}

static void hear_what(struct contract_event *told, const struct event *event)
{
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        told->kind = event->kind == EVENT_GRANTED ? CONTRACT_EVENT_GRANTED : CONTRACT_EVENT_RENEWED;
        copy_text(told->name, event->grant.schedule_id);
        told->token = event->grant.token;
        break;
    case EVENT_RELEASED:
        told->kind = CONTRACT_EVENT_RELEASED;
        hear_run(told, &event->run);
        break;
    case EVENT_EXPIRED:
        told->kind = CONTRACT_EVENT_EXPIRED;
        hear_run(told, &event->run);
        break;
    case EVENT_REVOKED:
        told->kind = CONTRACT_EVENT_REVOKED;
        hear_run(told, &event->run);
        break;
    case EVENT_POLICY:
        told->kind = CONTRACT_EVENT_POLICY;
        copy_text(told->name, event->policy.schedule_id);
        break;
    case EVENT_GROUP:
        told->kind = CONTRACT_EVENT_GROUP;
        copy_text(told->name, event->of_group.name);
        break;
    case EVENT_FREEZE:
        told->kind = CONTRACT_EVENT_FREEZE;
        copy_text(told->name, event->freeze.scope);
        break;
    }
}

static void hear(void *arg, const struct event *event)
{
    struct contract_trial *trial = arg;
    if (trial->n_told == CONTRACT_EVENTS || event->index != trial->context.index ||
        event->wall_ms != trial->context.wall_ms || event->number != trial->next_number++) {
        trial->has_bad_event = true;
        return;
    }
    struct contract_event *told = &trial->told[trial->n_told++];
    memset(told, 0, sizeof *told);
    told->is_gone = event->is_gone;
    copy_text(told->group, event->group);
    hear_what(told, event);
}

/* ---- a trial ---- */

void contract_trial_open(struct contract_trial *trial, int last_id)
{
    memset(trial, 0, sizeof *trial);
    trial->table = lock_table_open();
    trial->model = contract_model_open();
    trial->n_tokens = last_id + 1;
    trial->tokens = calloc((size_t)trial->n_tokens, sizeof trial->tokens[0]);
    CHECK(trial->tokens != NULL);
    (void)signal(SIGABRT, catch_abort);
    trial->context.index = 1;
    lock_table_advance(trial->table, &trial->context);
    struct command rules = {.kind = COMMAND_RULES, .rules = {.version = RULES_VERSION_GROUPS}};
    lock_table_apply(trial->table, &trial->context, &rules, &trial->outcome);
    CHECK(trial->outcome.code == OUTCOME_DONE);
    lock_table_observe(trial->table, hear, trial);
}

void contract_trial_close(struct contract_trial *trial)
{
    lock_table_close(trial->table);
    contract_model_close(trial->model);
    free(trial->tokens);
}

static uint64_t token_of(const struct contract_trial *trial, int granted_by, uint64_t token)
{
    /* A grant that was left out has a token that nobody has. */
    return granted_by == 0 ? token : trial->tokens[granted_by] != 0 ? trial->tokens[granted_by] : UINT32_MAX;
}

/* The record with its tokens put in. */
static struct contract_record resolve(const struct contract_trial *trial, const struct contract_record *record)
{
    struct contract_record resolved = *record;
    resolved.command.token = token_of(trial, record->granted_by, record->command.token);
    for (int i = 0; i < record->command.n_renewals; i++) {
        struct contract_renewal *renewal = &resolved.command.renewals[i];
        renewal->token = token_of(trial, record->renewals_granted_by[i], renewal->token);
    }
    return resolved;
}

static bool begin_entry(struct contract_trial *trial, const struct contract_entry *entry)
{
    trial->tallies.clocks_back += entry->now_ms < trial->context.now_ms;
    trial->context = (struct apply_context){.index = trial->context.index + 1,
                                            .now_ms = entry->now_ms,
                                            .wall_ms = entry->wall_ms,
                                            .no_growth = entry->no_growth};
    trial->next_number = 0;
    trial->n_told = 0;
    lock_table_advance(trial->table, &trial->context);
    contract_model_advance(trial->model, entry);
    return contract_same_events(trial) && contract_same_counts(trial);
}

/* What a renewal in a batch got is what it would have got alone. */
static bool same_batch(struct contract_trial *trial, const struct contract_command *command)
{
    const struct outcome *outcome = &trial->outcome;
    if (!contract_same_number(trial, "results", outcome->n_results, (uint64_t)command->n_renewals)) {
        return false;
    }
    for (int i = 0; i < command->n_renewals; i++) {
        contract_model_renew(trial->model, &command->renewals[i], &trial->answer);
        if (!contract_same_renewal(trial, &outcome->results[i])) {
            return false;
        }
        trial->tallies.codes[outcome->results[i].code]++;
    }
    trial->tallies.batches++;
    return true;
}

static void lie(struct contract_trial *trial, struct contract_command *command)
{
    if (trial->lie == CONTRACT_LIE_RENEWED && command->kind == CONTRACT_RENEW && command->renewals[0].has_ttl) {
        command->renewals[0].ttl_ms++;
    } else if (trial->lie == CONTRACT_LIE_EXHAUSTED && trial->outcome.code == OUTCOME_ATTEMPTS_EXHAUSTED) {
        command->body.occurrence[0] = '\0';
    }
}

/* What apply says is known before, but for the room. */
static bool same_probe(struct contract_trial *trial, const struct probe *probe, uint64_t free_slots)
{
    const char *code = strcmp(trial->answer.code, "capacity") == 0 ? "done" : trial->answer.code;
    trial->tallies.probes++;
    return contract_same_code(trial, "probe.code", outcome_code_name(probe->code), code) &&
           contract_same_number(trial, "probe.remaining_ms", probe->remaining_ms, trial->answer.cool_ms) &&
           (strcmp(code, "done") != 0 ||
            contract_same_number(trial, "probe.free_slots", probe->free_slots, free_slots));
}

static void count_revocations(struct contract_trial *trial, const struct contract_command *command)
{
    struct contract_tallies *tallies = &trial->tallies;
    const struct contract_event *events;
    size_t n = contract_model_events(trial->model, &events);
    for (size_t i = 0; i < n; i++) {
        tallies->revoked_softly += events[i].is_newly_revoked && !events[i].is_newly_freed;
        tallies->revoked_by_force += events[i].is_newly_revoked && events[i].is_newly_freed;
        tallies->freed_after_soft += !events[i].is_newly_revoked && events[i].is_newly_freed;
    }
    tallies->revoked_all += command->token == 0 && n > 1;
}

static void count_what_happened(struct contract_trial *trial, const struct contract_command *command)
{
    struct contract_tallies *tallies = &trial->tallies;
    const struct contract_answer *answer = &trial->answer;
    const struct contract_event *events;
    size_t n = contract_model_events(trial->model, &events);
    bool is_done = trial->outcome.code == OUTCOME_DONE;
    tallies->steps++;
    tallies->codes[trial->outcome.code]++;
    tallies->several_holders += answer->n_holders > 1;
    if (command->kind == CONTRACT_ACQUIRE) {
        tallies->granted += is_done && !answer->repeated;
        tallies->repeated_keys += is_done && answer->repeated;
        tallies->below_floor += answer->is_below_floor;
        tallies->second_attempts += is_done && !answer->repeated && answer->grant.attempt > 1;
    } else if (command->kind == CONTRACT_RELEASE) {
        tallies->repeated_releases += is_done && answer->repeated;
        tallies->released_while_revoking += is_done && !answer->repeated && answer->run.outcome == CONTRACT_REVOKED;
        tallies->late_outcomes += !is_done && n > 0;
    } else if (command->kind == CONTRACT_REVOKE) {
        count_revocations(trial, command);
    }
}

static bool apply(struct contract_trial *trial, struct contract_record *record)
{
    struct contract_command *command = &record->command;
    contract_command_translate(trial, record);
    struct probe probe = {.code = OUTCOME_DONE};
    uint64_t free_slots = contract_model_free_slots(trial->model, command->name);
    if (command->kind == CONTRACT_ACQUIRE) {
        lock_table_probe(trial->table, &trial->command.acquire, &probe);
    }
    trial->n_told = 0;
    lock_table_apply(trial->table, &trial->context, &trial->command, &trial->outcome);
    lie(trial, command);
    contract_model_apply(trial->model, command, &trial->answer);
    if (!contract_same_answer(trial) || (command->kind == CONTRACT_RENEW_BATCH && !same_batch(trial, command)) ||
        !contract_same_events(trial)) {
        return false;
    }
    if (!outcome_answers(&trial->outcome, &trial->command)) {
        return contract_same_number(trial, "outcome_answers", 0, 1);
    }
    if (command->kind == CONTRACT_ACQUIRE && trial->outcome.code == OUTCOME_DONE) {
        trial->tokens[record->id] = trial->outcome.grant.token;
    }
    count_what_happened(trial, command);
    return command->kind != CONTRACT_ACQUIRE || same_probe(trial, &probe, free_slots);
}

/* ---- going on from an image ---- */

static bool load(struct lock_table *copy, struct lock_table_frozen *frozen)
{
    struct table_image numbers;
    struct group_image group;
    struct freeze_image freeze;
    struct schedule_image schedule;
    lock_table_frozen_table(frozen, &numbers);
    bool is_well = lock_table_load_table(copy, &numbers) == ERROR_NONE;
    while (is_well && lock_table_frozen_next_group(frozen, &group)) {
        is_well = lock_table_load_group(copy, &group) == ERROR_NONE;
    }
    while (is_well && lock_table_frozen_next_freeze(frozen, &freeze)) {
        is_well = lock_table_load_freeze(copy, &freeze) == ERROR_NONE;
    }
    while (is_well && lock_table_frozen_next(frozen, &schedule)) {
        is_well = lock_table_load_schedule(copy, &schedule) == ERROR_NONE;
    }
    return is_well;
}

static bool reload(struct contract_trial *trial)
{
    struct lock_table *copy = lock_table_open();
    struct lock_table_frozen *frozen = lock_table_freeze(trial->table);
    bool is_well = load(copy, frozen);
    lock_table_thaw(trial->table, frozen);
    struct digest128 before = lock_table_digest(trial->table);
    struct digest128 after = lock_table_digest(copy);
    lock_table_close(trial->table);
    trial->table = copy;
    lock_table_observe(copy, hear, trial);
    trial->tallies.reloads++;
    trial->is_reload_due = false;
    return contract_same_number(trial, "an image is loaded", is_well, true) &&
           contract_same_number(trial, "digest of the image", digest128_equal(&before, &after), true);
}

static bool step(struct contract_trial *trial, const struct contract_record *record)
{
    struct contract_record resolved = resolve(trial, record);
    if (record->begins_entry || trial->context.index == 1) {
        if ((trial->is_reload_due && !reload(trial)) || !begin_entry(trial, &record->entry)) {
            return false;
        }
    }
    if (!apply(trial, &resolved)) {
        return false;
    }
    if (record->looks) {
        lock_table_check(trial->table);
        trial->tallies.looks++;
        if (!contract_same_reads(trial, &resolved)) {
            return false;
        }
    }
    trial->is_reload_due = trial->is_reload_due || record->reloads;
    return true;
}

bool contract_trial_step(struct contract_trial *trial, const struct contract_record *record)
{
    bool is_same = false;
    if (sigsetjmp(aborted, 0) == 0) {
        is_stepping = 1;
        is_same = step(trial, record);
    } else {
        (void)snprintf(trial->difference, sizeof trial->difference, "the table aborts");
        trial->table = NULL; /* in no state to be closed in */
    }
    is_stepping = 0;
    return is_same;
}

size_t contract_trial_run(struct contract_trial *trial, const struct contract_record *records, size_t n, bool *differs)
{
    *differs = false;
    for (size_t i = 0; i < n; i++) {
        if (!contract_trial_step(trial, &records[i])) {
            *differs = true;
            return i + 1;
        }
    }
    return n;
}

void contract_tallies_add(struct contract_tallies *sum, const struct contract_trial *trial)
{
    struct contract_tallies last = trial->tallies;
    struct contract_counts counts;
    contract_model_count(trial->model, &counts);
    last.expired = counts.expired;
    last.thawed = counts.thawed;
    last.forgotten = counts.forgotten;
    last.floors_raised = counts.floors_raised;
    last.strings_forgotten = counts.strings_forgotten;
    last.given_back = counts.given_back;
    const uint64_t *from = (const uint64_t *)&last;
    uint64_t *to = (uint64_t *)sum;
    for (size_t i = 0; i < sizeof last / sizeof(uint64_t); i++) {
        to[i] += from[i];
    }
}
