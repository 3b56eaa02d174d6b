/* Telling what happens. Each event goes out where the thing is done, so that they come in the order of the state's own
 * changes, which is equal on every node: those of an entry's time first, then those of its commands, one after another. */
#include "core/table.h"

void lock_table_observe(struct lock_table *table, void (*event)(void *arg, const struct event *event), void *arg)
{
    table->listener.event = event;
    table->listener.arg = arg;
}

/* Numbers run on when nobody listens: who comes later gets the same ones. */
static void tell(struct lock_table *table, struct event *event)
{
    event->index = table->numbers.index;
    event->number = table->listener.next_number++;
    event->wall_ms = table->numbers.wall_ms;
    if (table->listener.event != NULL) {
        table->listener.event(table->listener.arg, event);
    }
}

void event_tell_grant(struct lock_table *table, enum event_kind kind, const struct grant_view *grant,
                      struct slice group)
{
    struct event event = {.kind = kind, .group = group, .grant = *grant};
    event.grant.metadata = (struct slice){0};
    tell(table, &event);
}

void event_tell_run(struct lock_table *table, enum event_kind kind, const struct run_view *run, struct slice group)
{
    struct event event = {.kind = kind, .group = group, .run = *run};
    tell(table, &event);
}

void event_tell_policy(struct lock_table *table, const struct policy_view *policy, bool is_gone)
{
    struct event event = {.kind = EVENT_POLICY, .is_gone = is_gone, .policy = *policy};
    tell(table, &event);
}

void event_tell_group(struct lock_table *table, const struct group_view *group, bool is_gone)
{
    struct event event = {.kind = EVENT_GROUP, .is_gone = is_gone, .of_group = *group};
    tell(table, &event);
}

void event_tell_freeze(struct lock_table *table, const struct freeze_view *freeze, bool is_gone)
{
    struct event event = {.kind = EVENT_FREEZE, .is_gone = is_gone, .freeze = *freeze};
    tell(table, &event);
}
