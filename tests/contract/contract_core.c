#include "contract_core_private.h"

#include <stdlib.h>

/* ---- events ---- */

static void show_event_run(const struct event *event, struct contract_text *text)
{
    const struct run_view *run = &event->run;
    text_piece(text, "of", core_piece(run->schedule_id));
    text_number(text, "token", run->token);
    text_piece(text, "group", core_piece(event->group));
    text_piece(text, "outcome", piece_of(run_outcome_name(run->outcome)));
    const char *late = core_late_name(run->late_outcome);
    text_piece(text, "late_outcome", piece_of(late == NULL ? "none" : late));
    text_flag(text, "newly_revoked", run->is_newly_revoked);
    text_flag(text, "newly_freed", run->is_newly_freed);
}

static void show_event_grant(const struct event *event, struct contract_text *text)
{
    text_piece(text, "of", core_piece(event->grant.schedule_id));
    text_number(text, "token", event->grant.token);
    text_piece(text, "group", core_piece(event->group));
}

void core_hear_event(void *arg, const struct event *event)
{
    static const char *const names[] = {"granted", "renewed", "released", "expired",
                                        "revoked", "policy",  "group",    "freeze"};
    struct contract_core *core = arg;
    struct contract_text *text = core->events;
    text_add(text, "  event ");
    text_add(text, names[event->kind]);
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        show_event_grant(event, text);
        break;
    case EVENT_RELEASED:
    case EVENT_EXPIRED:
    case EVENT_REVOKED:
        show_event_run(event, text);
        break;
    case EVENT_POLICY:
        text_piece(text, "of", core_piece(event->policy.schedule_id));
        break;
    case EVENT_GROUP:
        text_piece(text, "of", core_piece(event->of_group.name));
        break;
    case EVENT_FREEZE:
        text_piece(text, "of", core_piece(event->freeze.scope));
        break;
    }
    text_flag(text, "gone", event->is_gone);
    if (event->index != core->context.index || event->number != core->n_events++ ||
        event->wall_ms != core->context.wall_ms) {
        text_add(text, " with a wrong index, number or time");
    }
    text_add(text, "\n");
}

/* ---- answers ---- */

static void show_outcome_objects(const struct outcome *outcome, struct contract_text *text)
{
    if (outcome->has_grant) {
        core_show_grant(&outcome->grant, "  lock", text);
    }
    if (outcome->has_run) {
        core_show_run(&outcome->run, "  run", text);
    }
    for (size_t i = 0; i < outcome->n_runs; i++) {
        core_show_run(&outcome->runs[i], "  revoked", text);
    }
    if (outcome->code == OUTCOME_GROUP_FULL) {
        for (size_t i = 0; i < outcome->n_holders; i++) {
            core_show_grant(&outcome->holders[i], "  held by", text);
        }
    } else {
        core_show_holders(outcome->holders, outcome->n_holders, text);
    }
    if (outcome->has_group && outcome->code != OUTCOME_UNKNOWN_GROUP) {
        core_show_group(&outcome->group, text);
    }
    if (outcome->has_freeze) {
        core_show_freeze(&outcome->freeze, text);
    }
    if (outcome->has_policy) {
        core_show_policy(&outcome->policy, text);
    }
}

static void show_outcome(const struct outcome *outcome, struct contract_text *text)
{
    text_add(text, outcome_code_name(outcome->code));
    text_flag(text, "(a repeat)", outcome->repeated);
    if (outcome->code == OUTCOME_INVALID_FIELD) {
        text_piece(text, "field", piece_of(outcome->field));
    } else if (outcome->code == OUTCOME_TTL_TOO_SHORT) {
        text_number(text, "minimum_ms", outcome->minimum_ms);
        text_number(text, "estimated_duration_ms", outcome->estimate_ms);
        text_number(text, "safety_margin_ms", outcome->margin_ms);
    } else if (outcome->code == OUTCOME_TTL_TOO_LONG) {
        text_number(text, "maximum_ms", outcome->maximum_ms);
    } else if (outcome->code == OUTCOME_COOLING_DOWN) {
        text_number(text, "remaining_ms", outcome->remaining_ms);
    } else if (outcome->code == OUTCOME_UNKNOWN_GROUP) {
        text_piece(text, "group", core_piece(outcome->group.name));
    }
    text_add(text, "\n");
    show_outcome_objects(outcome, text);
}

void contract_core_advance(struct contract_core *core, const struct contract_entry *entry, struct contract_text *events)
{
    core->context.index++;
    core->context.now_ms = entry->now_ms;
    core->context.wall_ms = entry->wall_ms;
    core->n_events = 0;
    core->events = events;
    lock_table_advance(core->table, &core->context);
}

struct contract_core_answer contract_core_apply(struct contract_core *core, const struct contract_command *command,
                                                struct contract_text *answer, struct contract_text *events)
{
    struct renew_command renewals[CONTRACT_RENEWALS];
    struct command made = core_command(command, renewals);
    struct outcome outcome;
    core->events = events;
    lock_table_apply(core->table, &core->context, &made, &outcome);
    show_outcome(&outcome, answer);
    for (size_t i = 0; i < outcome.n_results; i++) {
        show_outcome(&outcome.results[i], answer);
    }
    if (!outcome_answers(&outcome, &made)) {
        text_add(answer, "which is no answer to this command\n");
    }
    return (struct contract_core_answer){.has_token = command->kind == CONTRACT_ACQUIRE && outcome.has_grant,
                                         .token = outcome.has_grant ? outcome.grant.token : 0};
}

void contract_core_probe(struct contract_core *core, const struct contract_command *command, bool is_repeat,
                         struct contract_text *answer)
{
    struct command made = core_command(command, NULL);
    struct probe probe;
    lock_table_probe(core->table, &made.acquire, &probe);
    text_add(answer, "probe ");
    text_add(answer, outcome_code_name(probe.code));
    if (probe.code == OUTCOME_COOLING_DOWN) {
        text_number(answer, "remaining_ms", probe.remaining_ms);
    }
    if (probe.code == OUTCOME_DONE && !is_repeat) {
        text_number(answer, "free_slots", probe.free_slots);
    }
    text_add(answer, "\n");
}

/* ---- opening and images ---- */

struct contract_core *contract_core_open(void)
{
    struct contract_core *core = calloc(1, sizeof *core);
    struct outcome outcome;
    CHECK(core != NULL);
    core->table = lock_table_open();
    core->context.index = 1;
    lock_table_advance(core->table, &core->context);
    lock_table_apply(core->table, &core->context, &(struct command){.kind = COMMAND_RULES, .rules = {.version = 2}},
                     &outcome);
    lock_table_observe(core->table, core_hear_event, core);
    return core;
}

void contract_core_close(struct contract_core *core)
{
    lock_table_close(core->table);
    free(core);
}
