/* Setting and deleting a policy. What was granted keeps the terms that it was granted under, so neither touches a grant:
 * after the number of slots was lowered, more grants than slots may live. */
#include "core/table.h"

static const char *field_out_of_bounds(const struct put_schedule_command *command)
{
    if (command->schedule_id.len < 1 || command->schedule_id.len > LIMIT_NAME_BYTES) {
        return "schedule_id";
    }
    return policy_field_out_of_range(&command->policy);
}

static bool put_names_missing_group(const struct lock_table *table, struct slice name)
{
    return slice_is_present(name) && groups_find(table, name) == NULL;
}

/* What takes no more room than before is let through whatever the table has left. */
static bool put_refuses_growth(struct lock_table *table, bool no_growth, const struct table_node *node)
{
    uint32_t bytes = schedule_image_count_bytes(&table->draft.image);
    uint32_t bytes_before = node == NULL ? 0 : node->schedule->counted_bytes;
    if (bytes <= bytes_before) {
        return false;
    }
    struct table_growth growth = {.bytes = bytes - bytes_before, .is_new = node == NULL, .has_policy = true};
    return no_growth || !table_has_room(table, growth);
}

void apply_put_schedule(struct lock_table *table, bool no_growth, const struct put_schedule_command *command,
                        struct outcome *outcome)
{
    struct schedule_draft *draft = &table->draft;
    const char *field = field_out_of_bounds(command);
    if (field != NULL) {
        outcome_refuse_field(outcome, field);
        return;
    }
    if (put_names_missing_group(table, command->policy.group)) {
        outcome->code = OUTCOME_UNKNOWN_GROUP;
        outcome->has_group = true;
        outcome->group.name = text_keep(table->deleted.name, command->policy.group);
        return;
    }
    struct table_node *node = table_open_draft(table, command->schedule_id);
    if (!draft->image.has_policy) {
        draft->image.has_policy = true;
        draft->image.policy.created_ms = table->numbers.now_ms;
    }
    draft->image.policy.policy = command->policy;
    draft_set_forgetting(draft, table->numbers.now_ms);
    if (put_refuses_growth(table, no_growth, node)) {
        outcome->code = OUTCOME_CAPACITY;
        return;
    }
    table_keep(table, node, draft);
    outcome->has_policy = true;
    outcome->policy = policy_view_of(draft);
    event_tell_policy(table, &outcome->policy, false);
}

void apply_delete_schedule(struct lock_table *table, const struct delete_schedule_command *command,
                           struct outcome *outcome)
{
    struct schedule_draft *draft = &table->draft;
    struct table_node *node = table_open_draft(table, command->schedule_id);
    if (!draft->image.has_policy) {
        outcome->code = OUTCOME_NOT_FOUND;
        return;
    }
    /* The answer shows what the table is about to free. */
    outcome->has_policy = true;
    outcome->policy = policy_view_of(draft);
    struct table_deleted *deleted = &table->deleted;
    struct policy *policy = &outcome->policy.policy;
    outcome->policy.schedule_id = text_keep(deleted->id, draft->image.id);
    policy->description = text_keep(deleted->text, policy->description);
    policy->group = text_keep(deleted->name, policy->group);
    event_tell_policy(table, &outcome->policy, true);
    if (draft->image.n_runs == 0) {
        table_drop(table, node);
        return;
    }
    draft->image.has_policy = false;
    draft->image.policy = (struct policy_image){0};
    draft_set_forgetting(draft, table->numbers.now_ms);
    table_keep(table, node, draft);
}
