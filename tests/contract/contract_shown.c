#include "contract_shown.h"

#include <string.h>

static struct contract_counts counted(const struct contract_model *model)
{
    struct contract_counts counts;
    contract_model_count(model, &counts);
    return counts;
}

static void show_grant_of(const struct contract_model *model, const struct contract_run *run, const char *title,
                          bool with_metadata, struct contract_text *text)
{
    struct contract_counts now = counted(model);
    uint64_t remaining_ms = run->deadline_ms - now.now_ms;
    struct contract_shown_lock lock = {
        .schedule = piece_of(run->schedule),
        .holder = piece_of(run->body.holder),
        .occurrence = piece_of(run->body.occurrence),
        .metadata = piece_of(with_metadata ? run->body.metadata : ""),
        .token = run->token,
        .ttl_ms = run->ttl_ms,
        .remaining_ms = remaining_ms,
        .acquired_wall_ms = run->acquired_wall_ms,
        .expires_wall_ms = now.wall_ms + (int64_t)remaining_ms,
        .attempt = run->attempt,
        .is_revoking = run->outcome == CONTRACT_REVOKED,
    };
    show_lock(text, title, &lock);
}

struct newly {
    bool revoked;
    bool freed;
};

static void show_run_of(const struct contract_run *run, struct newly newly, const char *title,
                        struct contract_text *text)
{
    bool is_running = run->outcome == CONTRACT_RUNNING;
    struct contract_shown_run shown = {
        .schedule = piece_of(run->schedule),
        .holder = piece_of(run->body.holder),
        .occurrence = piece_of(run->body.occurrence),
        .actor = piece_of(run->actor),
        .reason = piece_of(run->reason),
        .token = run->token,
        .duration_ms = is_running ? 0 : run->ended_ms - run->granted_ms,
        .acquired_wall_ms = run->acquired_wall_ms,
        .ended_wall_ms = run->ended_wall_ms,
        .outcome = contract_result_name(run->outcome),
        .late_outcome = run->late_outcome == CONTRACT_NOTHING ? NULL : contract_result_name(run->late_outcome),
        .attempt = run->attempt,
        .is_newly_revoked = newly.revoked,
        .is_newly_freed = newly.freed,
    };
    show_run(text, title, &shown);
}

static void show_policy_of(const char *schedule, const struct contract_policy_answer *answer,
                           struct contract_text *text)
{
    const struct contract_policy *policy = &answer->policy;
    struct contract_shown_policy shown = {
        .schedule = piece_of(schedule),
        .group = piece_of(policy->group),
        .description = piece_of(policy->description),
        .estimate_ms = policy->estimate_ms,
        .margin_ms = policy->margin_ms,
        .max_ttl_ms = policy->max_ttl_ms,
        .min_hold_ms = policy->min_hold_ms,
        .expected_every_ms = policy->expected_every_ms,
        .slots = policy->slots,
        .max_attempts = policy->max_attempts,
        .overdue_ms = answer->overdue_ms,
        .has_success = answer->has_success,
        .last_success_wall_ms = answer->last_success_wall_ms,
    };
    show_policy(text, "  policy", &shown);
}

static void show_group_of(const struct contract_group_answer *answer, struct contract_text *text)
{
    struct contract_shown_group shown = {
        .name = piece_of(answer->group.name),
        .slots = answer->group.slots,
        .held = answer->held,
        .schedules = answer->schedules,
    };
    show_group(text, "  group", &shown);
}

static void show_freeze_of(const struct contract_model *model, const struct contract_freeze *freeze,
                           struct contract_text *text)
{
    struct contract_counts now = counted(model);
    uint64_t remaining_ms = freeze->deadline_ms - now.now_ms;
    struct contract_shown_freeze shown = {
        .scope = piece_of(freeze->scope),
        .actor = piece_of(freeze->actor),
        .reason = piece_of(freeze->reason),
        .ttl_ms = freeze->ttl_ms,
        .remaining_ms = remaining_ms,
        .created_wall_ms = freeze->created_wall_ms,
        .expires_wall_ms = now.wall_ms + (int64_t)remaining_ms,
    };
    show_freeze(text, "  freeze", &shown);
}

/* The objects that the answer holds. */
static void show_objects(const struct contract_model *model, const struct contract_command *command,
                         const struct contract_answer *answer, struct contract_text *text)
{
    if (answer->has_grant) {
        show_grant_of(model, &answer->grant, "  lock", command->kind != CONTRACT_RENEW_BATCH, text);
    }
    if (answer->has_run) {
        show_run_of(&answer->run, (struct newly){0}, "  run", text);
    }
    for (size_t i = 0; i < answer->n_revoked; i++) {
        show_run_of(answer->revoked[i], (struct newly){answer->is_newly_revoked[i], answer->is_newly_freed[i]},
                    "  revoked", text);
    }
    for (size_t i = 0; i < answer->n_holders; i++) {
        show_grant_of(model, answer->holders[i], "  held by", false, text);
    }
    if (answer->has_group) {
        show_group_of(&answer->group, text);
    }
    if (answer->has_freeze) {
        show_freeze_of(model, &answer->freeze, text);
    }
    if (answer->has_policy) {
        show_policy_of(command->name, &answer->policy, text);
    }
}

void contract_shown_answer(const struct contract_model *model, const struct contract_command *command,
                           const struct contract_answer *answer, struct contract_text *text)
{
    text_add(text, answer->code);
    text_flag(text, "(a repeat)", answer->repeated);
    if (answer->field != NULL) {
        text_piece(text, "field", piece_of(answer->field));
    }
    if (strcmp(answer->code, "ttl_too_short") == 0) {
        text_number(text, "minimum_ms", answer->minimum_ms);
        text_number(text, "estimated_duration_ms", answer->estimate_ms);
        text_number(text, "safety_margin_ms", answer->margin_ms);
    } else if (strcmp(answer->code, "ttl_too_long") == 0) {
        text_number(text, "maximum_ms", answer->maximum_ms);
    } else if (strcmp(answer->code, "cooling_down") == 0) {
        text_number(text, "remaining_ms", answer->cool_ms);
    } else if (strcmp(answer->code, "unknown_group") == 0) {
        text_piece(text, "group", piece_of(command->policy.group));
    }
    text_add(text, "\n");
    show_objects(model, command, answer, text);
}

void contract_shown_probe(const struct contract_model *model, const struct contract_command *command,
                          const struct contract_answer *answer, struct contract_text *text)
{
    bool is_done = strcmp(answer->code, "done") == 0;
    text_add(text, "probe ");
    text_add(text, answer->code);
    if (strcmp(answer->code, "cooling_down") == 0) {
        text_number(text, "remaining_ms", answer->cool_ms);
    }
    if (is_done && !answer->repeated) { /* a repeat needs no slot */
        text_number(text, "free_slots", contract_model_free_slots(model, command->name) + 1);
    }
    text_add(text, "\n");
}

static const char *event_name(enum contract_event_kind kind)
{
    static const char *const names[CONTRACT_EVENT_KINDS] = {"granted", "renewed", "released", "expired",
                                                            "revoked", "policy",  "group",    "freeze"};
    return names[kind];
}

void contract_shown_events(const struct contract_model *model, struct contract_text *text)
{
    const struct contract_event *events;
    size_t n_events = contract_model_events(model, &events);
    for (size_t i = 0; i < n_events; i++) {
        const struct contract_event *event = &events[i];
        text_add(text, "  event ");
        text_add(text, event_name(event->kind));
        text_piece(text, "of", piece_of(event->name));
        if (event->kind <= CONTRACT_EVENT_REVOKED) {
            text_number(text, "token", event->token);
            text_piece(text, "group", piece_of(event->group));
        }
        if (event->outcome != CONTRACT_NOTHING) {
            text_piece(text, "outcome", piece_of(contract_result_name(event->outcome)));
            text_piece(text, "late_outcome", piece_of(contract_result_name(event->late_outcome)));
        }
        text_flag(text, "newly_revoked", event->is_newly_revoked);
        text_flag(text, "newly_freed", event->is_newly_freed);
        text_flag(text, "gone", event->is_gone);
        text_add(text, "\n");
    }
}

/* ---- what can be read ---- */

static void show_schedule(const struct contract_model *model, const char *schedule, struct contract_text *text)
{
    const struct contract_run *holders[CONTRACT_SLOTS];
    size_t n_holders = contract_model_holders(model, schedule, holders);
    text_add(text, "view");
    text_flag(text, "frozen", contract_model_is_frozen(model, schedule));
    text_add(text, "\n");
    for (size_t i = 0; i < n_holders; i++) {
        show_grant_of(model, holders[i], "  held by", true, text);
    }
    struct contract_policy_answer policy;
    if (contract_model_policy(model, schedule, &policy)) {
        show_policy_of(schedule, &policy, text);
    }
    const struct contract_run *runs;
    size_t n_runs = contract_model_runs(model, schedule, &runs);
    const struct contract_run *last = NULL;
    for (size_t i = n_runs; i > 0; i--) {
        show_run_of(&runs[i - 1], (struct newly){0}, "  run", text);
        bool is_later = last == NULL || contract_run_ended_before(last, &runs[i - 1]);
        last = runs[i - 1].outcome != CONTRACT_RUNNING && is_later ? &runs[i - 1] : last;
    }
    if (last != NULL) {
        show_run_of(last, (struct newly){0}, "  last_run", text);
    }
    struct contract_durations durations;
    contract_model_durations(model, schedule, &durations);
    text_add(text, "  durations");
    text_number(text, "n", durations.n_runs);
    if (durations.n_runs > 0) {
        text_number(text, "p50_ms", durations.p50_ms);
        text_number(text, "p95_ms", durations.p95_ms);
        text_number(text, "p99_ms", durations.p99_ms);
        text_number(text, "last_ms", durations.last_ms);
    }
    text_add(text, "\n");
}

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static void show_lists(const struct contract_model *model, const struct contract_command *look,
                       struct contract_text *text)
{
    const char *ids[CONTRACT_SCHEDULES];
    size_t n_ids = contract_model_schedules(model, ids);
    for (size_t i = 0; i < n_ids; i++) {
        const struct contract_run *runs;
        size_t n_runs = begins_with(ids[i], look->key) ? contract_model_runs(model, ids[i], &runs) : 0;
        for (size_t j = 0; j < n_runs; j++) {
            if (runs[j].has_slot &&
                (look->body.holder[0] == '\0' || strcmp(runs[j].body.holder, look->body.holder) == 0)) {
                show_grant_of(model, &runs[j], "  listed", true, text);
            }
        }
    }
    for (size_t i = 0; i < n_ids; i++) {
        struct contract_policy_answer policy;
        if (begins_with(ids[i], look->key) && contract_model_policy(model, ids[i], &policy)) {
            show_policy_of(ids[i], &policy, text);
        }
    }
    const char *names[CONTRACT_GROUPS];
    size_t n_names = contract_model_groups(model, names);
    for (size_t i = 0; i < n_names; i++) {
        struct contract_group_answer group;
        (void)contract_model_group(model, names[i], &group);
        show_group_of(&group, text);
    }
    const char *scopes[CONTRACT_FREEZES];
    size_t n_scopes = contract_model_freezes(model, scopes);
    for (size_t i = 0; i < n_scopes; i++) {
        struct contract_freeze freeze;
        (void)contract_model_freeze(model, scopes[i], &freeze);
        show_freeze_of(model, &freeze, text);
    }
}

void contract_shown_look(const struct contract_model *model, const struct contract_command *look,
                         struct contract_text *text)
{
    struct contract_counts counts = counted(model);
    text_add(text, "counts");
    text_number(text, "now_ms", counts.now_ms);
    text_instant(text, "wall_ms", counts.wall_ms);
    text_number(text, "next_token", counts.next_token);
    text_number(text, "schedules", counts.schedules);
    text_number(text, "policies", counts.policies);
    text_number(text, "held", counts.held);
    text_number(text, "groups", counts.groups);
    text_number(text, "freezes", counts.freezes);
    text_number(text, "next_end_ms", counts.next_end_ms);
    text_add(text, "\n");
    show_schedule(model, look->name, text);
    show_lists(model, look, text);
}
