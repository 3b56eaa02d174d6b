#include "node/health.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"

enum { REASONS = LIMIT_MEMBERS + 8, REASON_BYTES = 512 };

struct reasons {
    const char *texts[REASONS];
    size_t n;
};

static void reason_add(struct reasons *reasons, const char *text)
{
    CHECK(reasons->n < REASONS);
    reasons->texts[reasons->n++] = text;
}

/* Why this node can't serve. */
static void reasons_collect_blocking(const struct health_facts *facts, struct arena *arena, struct reasons *reasons)
{
    const struct replica_status *status = facts->status;
    if (facts->stopping) {
        reason_add(reasons, "this node is stopping");
    }
    if (status == NULL) {
        if (!facts->stopping) {
            reason_add(reasons, "this node is starting");
        }
        return;
    }
    if (status->waiting != NULL) {
        char *text = arena_alloc(arena, REASON_BYTES);
        if (text != NULL) {
            (void)snprintf(text, REASON_BYTES, "waiting %s", status->waiting);
            reason_add(reasons, text);
        }
    } else if (status->leader == NULL) {
        reason_add(reasons, "no leader is known");
    } else if (!status->ready) {
        char *text = arena_alloc(arena, REASON_BYTES);
        if (text != NULL) {
            (void)snprintf(text, REASON_BYTES, "catching up: applied %" PRIu64 " of at least %" PRIu64 " entries",
                           status->applied_index, status->commit_index);
            reason_add(reasons, text);
        }
    }
}

/* What doesn't keep it from serving, but should be looked at. */
static void reasons_collect_degrading(const struct replica_status *status, struct arena *arena, struct reasons *reasons)
{
    if (!status->reserve_ok) {
        reason_add(reasons, "the disk has no reserve left: free some space, or no new lock is granted");
    }
    if (status->snapshot_busy) {
        reason_add(reasons, "a snapshot has been due for over a minute and could not be taken");
    }
    for (size_t i = 0; i < status->n_members && status->leader != NULL; i++) {
        char *text = status->members[i].reachable ? NULL : arena_alloc(arena, REASON_BYTES);
        if (text != NULL) {
            (void)snprintf(text, REASON_BYTES, "%s can't be reached from here", status->members[i].name);
            reason_add(reasons, text);
        }
    }
}

void health_render(const struct health_facts *facts, struct arena *arena, struct api_answer *answer)
{
    static const struct replica_status closed = {.role = REPLICA_STARTING};
    const struct replica_status *status = facts->status == NULL ? &closed : facts->status;
    struct reasons reasons = {.n = 0};
    reasons_collect_blocking(facts, arena, &reasons);
    bool serving = reasons.n == 0 && status->ready;
    if (facts->status != NULL) {
        reasons_collect_degrading(status, arena, &reasons);
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
        .reasons = reasons.texts,
        .n_reasons = reasons.n,
    };
    api_render_health(&health, answer);
}
