#include "node/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"

enum { REASONS = LIMIT_MEMBERS + 8, REASON_BYTES = LIMIT_NAME_BYTES + 256 };

struct reasons {
    struct arena *arena;
    struct api_reason list[REASONS];
    size_t n;
};

static void reason_add(struct reasons *reasons, const char *code, const char *format, ...) PRINTF_LIKE(3, 4);

/* A reason that finds no more memory in the request keeps its code. */
static void reason_add(struct reasons *reasons, const char *code, const char *format, ...)
{
    CHECK(reasons->n < REASONS);
    char *text = arena_alloc(reasons->arena, REASON_BYTES);
    if (text != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, REASON_BYTES, format, arguments);
        va_end(arguments);
    }
    reasons->list[reasons->n++] = (struct api_reason){.code = code, .text = text == NULL ? "" : text};
}

/* Why this node can't serve. */
static void reasons_collect_blocking(const struct health_facts *facts, struct reasons *reasons)
{
    const struct replica_status *status = facts->status;
    if (facts->stopping) {
        reason_add(reasons, "stopping", "This node was asked to stop: send requests to another one.");
    }
    if (status == NULL) {
        if (!facts->stopping) {
            reason_add(reasons, "starting", "This node has just been started: ask again in a moment.");
        }
        return;
    }
    bool has_log = status->role != REPLICA_STARTING && status->role != REPLICA_FOUNDING;
    if (!has_log && status->waiting != NULL) {
        reason_add(reasons, "waiting", "This node waits %s.", status->waiting);
    } else if (status->leader == NULL) {
        reason_add(reasons, "no_leader",
                   "No leader is known: more than half of the voters must run and reach each other.");
    } else if (!status->ready) {
        reason_add(reasons, "catching_up",
                   "This node has applied %" PRIu64 " of at least %" PRIu64
                   " entries, and serves once it has them all: send requests to another one.",
                   status->applied_index, status->commit_index);
    }
}

/* What doesn't keep it from serving, but should be looked at. */
static void reasons_collect_degrading(const struct health_facts *facts, struct reasons *reasons)
{
    const struct replica_status *status = facts->status;
    if (!status->reserve_ok) {
        reason_add(reasons, "disk_reserve",
                   "The disk has no reserve left, so nothing that grows is accepted: free some space.");
    }
    if (status->snapshot_busy) {
        reason_add(reasons, "snapshot_busy",
                   "A snapshot has been due for %" PRIu32
                   " s and can't be taken while a member lags behind: look at the members' disks and network.",
                   status->snapshot_busy_ms / 1000u);
    }
    if (facts->stall_ms > 0) {
        reason_add(reasons, "stalled_loop",
                   "This node stood still for %" PRIu64 " ms, %" PRIu64
                   " s ago: look for a slow disk, swapping, or too little CPU time.",
                   facts->stall_ms, facts->stall_ago_ms / 1000u);
    }
    for (size_t i = 0; i < status->n_members && status->leader != NULL; i++) {
        if (!status->members[i].reachable) {
            reason_add(reasons, "member_unreachable", "%s can't be reached from here: look whether it runs.",
                       status->members[i].name);
        }
    }
}

void health_render(const struct health_facts *facts, struct arena *arena, struct api_answer *answer)
{
    static const struct replica_status closed = {.role = REPLICA_STARTING};
    const struct replica_status *status = facts->status == NULL ? &closed : facts->status;
    struct reasons reasons = {.arena = arena};
    reasons_collect_blocking(facts, &reasons);
    bool serving = reasons.n == 0 && status->ready;
    if (facts->status != NULL) {
        reasons_collect_degrading(facts, &reasons);
    }
    const char *members[LIMIT_MEMBERS];
    CHECK(status->n_members <= LIMIT_MEMBERS);
    for (size_t i = 0; i < status->n_members; i++) {
        members[i] = status->members[i].name;
    }
    struct api_health health = {
        .serving = serving,
        .status = !serving        ? "unavailable"
                  : reasons.n > 0 ? "degraded"
                                  : "ok",
        .node = facts->node,
        .role = replica_role_name(status->role),
        .leader = status->leader,
        .term = status->term,
        .commit_index = status->commit_index,
        .applied_index = status->applied_index,
        .members = members,
        .n_members = status->n_members,
        .version = BATON_VERSION,
        .uptime_ms = facts->uptime_ms,
        .reasons = reasons.list,
        .n_reasons = reasons.n,
    };
    api_render_health(&health, answer);
}
