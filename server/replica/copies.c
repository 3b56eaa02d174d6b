/* copies: commands and outcomes that must outlive what they point into. */
#include <string.h>

#include "replica/inside.h"

static bool copy_slice(struct arena *arena, struct slice from, struct slice *to)
{
    *to = arena_copy(arena, from);
    return slice_is_present(from) == slice_is_present(*to);
}

/* False when the arena's bound is passed. */
bool copy_command(struct arena *arena, const struct command *from, struct command *to)
{
    *to = *from;
    switch (from->kind) {
    case COMMAND_NOOP:
    case COMMAND_LEADER:
        return true;
    case COMMAND_ACQUIRE:
        return copy_slice(arena, from->acquire.schedule_id, &to->acquire.schedule_id) &&
               copy_slice(arena, from->acquire.holder, &to->acquire.holder) &&
               copy_slice(arena, from->acquire.occurrence, &to->acquire.occurrence) &&
               copy_slice(arena, from->acquire.idempotency_key, &to->acquire.idempotency_key) &&
               copy_slice(arena, from->acquire.metadata, &to->acquire.metadata);
    case COMMAND_RENEW:
        return copy_slice(arena, from->renew.schedule_id, &to->renew.schedule_id);
    case COMMAND_RELEASE:
        return copy_slice(arena, from->release.schedule_id, &to->release.schedule_id);
    }
    return false;
}

static void copy_grant(struct arena *arena, const struct grant_view *from, struct grant_view *to)
{
    *to = *from;
    to->schedule_id = arena_copy(arena, from->schedule_id);
    to->holder = arena_copy(arena, from->holder);
    to->occurrence = arena_copy(arena, from->occurrence);
    to->metadata = arena_copy(arena, from->metadata);
}

static void copy_run(struct arena *arena, const struct run_view *from, struct run_view *to)
{
    *to = *from;
    to->schedule_id = arena_copy(arena, from->schedule_id);
    to->holder = arena_copy(arena, from->holder);
    to->occurrence = arena_copy(arena, from->occurrence);
    to->actor = arena_copy(arena, from->actor);
    to->reason = arena_copy(arena, from->reason);
}

/* `arena` has no bound. */
void copy_outcome(struct arena *arena, const struct outcome *from, struct outcome *to)
{
    *to = *from;
    if (from->has_grant) {
        copy_grant(arena, &from->grant, &to->grant);
    }
    if (from->has_run) {
        copy_run(arena, &from->run, &to->run);
    }
    to->holders = NULL;
    if (from->n_holders > 0) {
        struct grant_view *holders = arena_alloc(arena, from->n_holders * sizeof *holders);
        CHECK(holders != NULL);
        for (size_t i = 0; i < from->n_holders; i++) {
            copy_grant(arena, &from->holders[i], &holders[i]);
        }
        to->holders = holders;
    }
}
