/* health: what GET /health says, from the replica's status and the loop's pace. */
#ifndef BATON_NODE_HEALTH_H
#define BATON_NODE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/slice.h"
#include "replica/replica.h"

#define HEALTH_STALL_MS      1000u  /* a turn of the loop longer than this … */
#define HEALTH_STALL_KEEP_MS 60000u /* … is told of for so long */

struct health_facts {
    const char *node;
    uint64_t uptime_ms;
    bool stopping;
    const struct replica_status *status; /* NULL: the replica isn't open */
    uint64_t stall_ms;                   /* how long the loop stood still; 0: it didn't, or that is long ago */
    uint64_t stall_ago_ms;
};

/* 200 when this node can serve, else 503, with every reason why not, and what else isn't as it should be. */
void health_render(const struct health_facts *facts, struct arena *arena, struct api_answer *answer);

#endif
