/* revoke: the run ends now, and nothing can be renewed any more; the slot stays taken until the holder releases or the
 * deadline passes, for the job may still run. With force the slot is free at once.
 *
 * Like release it is never refused for want of room. Who and why take some, though: when the counted state has none left,
 * the runs are revoked all the same, but that is not kept. And since its answer shows all the runs that it ended, it
 * forgets none: that is left to the next grant or end. */
#include "core/table.h"

struct revoked_grant {
    uint64_t token;
    bool is_newly_revoked; /* as in struct run_view */
    bool is_newly_freed;
};

struct revocation {
    struct lock_table *table;
    struct schedule_draft *draft;
    const struct revoke_command *command;
    struct slice actor; /* both absent when there is no room */
    struct slice reason;
    bool has_changed;
    struct revoked_grant grants[LIMIT_SLOTS];
    size_t n_grants;
};

static const char *field_out_of_bounds(const struct revoke_command *command)
{
    if (command->actor.len < 1 || command->actor.len > LIMIT_NAME_BYTES) {
        return "actor";
    }
    return command->reason.len < 1 || command->reason.len > LIMIT_REASON_BYTES ? "reason" : NULL;
}

static struct run_view view_revoked(const struct revocation *revocation, const struct run_image *run,
                                    const struct revoked_grant *revoked)
{
    struct run_view view = run_view_of(revocation->draft, run);
    view.is_newly_revoked = revoked->is_newly_revoked;
    view.is_newly_freed = revoked->is_newly_freed;
    return view;
}

static void revoke_grant(struct revocation *revocation, struct revoked_grant *revoked)
{
    struct grant_image *grant = draft_find_grant(revocation->draft, revoked->token);
    struct run_image *run = draft_find_run(revocation->draft, revoked->token);
    CHECK(grant != NULL && run != NULL);
    if (grant->is_revoking && !revocation->command->force) {
        return; /* who was first stays */
    }
    revocation->has_changed = true;
    revoked->is_newly_revoked = !grant->is_revoking;
    revoked->is_newly_freed = revocation->command->force;
    if (revoked->is_newly_revoked) {
        table_end_run(revocation->table, revocation->draft, run, RUN_REVOKED);
    }
    if (revoked->is_newly_revoked || slice_is_present(revocation->actor)) { /* without room the first ones stay */
        run->actor = revocation->actor;
        run->reason = revocation->reason;
    }
    grant->is_revoking = true;
    const struct run_view view = view_revoked(revocation, run, revoked);
    event_tell_run(revocation->table, EVENT_REVOKED, &view, grant->group);
    if (revocation->command->force) {
        table_free_slot(revocation->table, revocation->draft, grant);
    }
}

/* No live grant has the token. That it was revoked before is an answer; that it ended otherwise is not. */
static void answer_ended(struct revocation *revocation, struct outcome *outcome)
{
    struct lock_table *table = revocation->table;
    const struct run_image *run = draft_find_run(revocation->draft, revocation->command->token);
    if (run != NULL && run->outcome == RUN_REVOKED) {
        outcome->repeated = true;
        table->outcome_runs[0] = run_view_of(revocation->draft, run);
        outcome->runs = table->outcome_runs;
        outcome->n_runs = 1;
        return;
    }
    outcome_refuse_lost(outcome, table, revocation->draft, run);
}

static void choose_grants(struct revocation *revocation)
{
    const struct schedule_draft *draft = revocation->draft;
    if (revocation->command->token != 0) {
        revocation->grants[revocation->n_grants++] = (struct revoked_grant){.token = revocation->command->token};
        return;
    }
    for (size_t i = 0; i < draft->image.n_grants; i++) {
        revocation->grants[revocation->n_grants++] = (struct revoked_grant){.token = draft->grants[i].token};
    }
}

static void choose_texts(struct revocation *revocation)
{
    const struct revoke_command *command = revocation->command;
    uint64_t bytes = revocation->n_grants * (command->actor.len + command->reason.len);
    if (revocation->table->state_bytes + bytes <= LIMIT_STATE_BYTES) {
        revocation->actor = command->actor;
        revocation->reason = command->reason;
    }
}

static void answer_revoked(const struct revocation *revocation, struct outcome *outcome)
{
    struct lock_table *table = revocation->table;
    for (size_t i = 0; i < revocation->n_grants; i++) {
        const struct revoked_grant *revoked = &revocation->grants[i];
        const struct run_image *run = draft_find_run(revocation->draft, revoked->token);
        table->outcome_runs[i] = view_revoked(revocation, run, revoked);
    }
    outcome->runs = table->outcome_runs;
    outcome->n_runs = revocation->n_grants;
    outcome->repeated = revocation->n_grants > 0 && !revocation->has_changed;
}

void apply_revoke(struct lock_table *table, const struct revoke_command *command, struct outcome *outcome)
{
    struct revocation revocation = {.table = table, .draft = &table->draft, .command = command};
    const char *field = field_out_of_bounds(command);
    if (field != NULL) {
        outcome_refuse_field(outcome, field);
        return;
    }
    struct table_node *node = table_open_draft(table, command->schedule_id);
    if (command->token != 0 && draft_find_grant(&table->draft, command->token) == NULL) {
        answer_ended(&revocation, outcome);
        return;
    }
    choose_grants(&revocation);
    choose_texts(&revocation);
    for (size_t i = 0; i < revocation.n_grants; i++) {
        revoke_grant(&revocation, &revocation.grants[i]);
    }
    if (revocation.has_changed) {
        table_keep(table, node, &table->draft);
    }
    answer_revoked(&revocation, outcome);
}
