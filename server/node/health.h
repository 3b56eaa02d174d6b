/* health: what GET /health says, from the replica's status. */
#ifndef BATON_NODE_HEALTH_H
#define BATON_NODE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/slice.h"
#include "replica/replica.h"

struct health_facts {
    const char *node;
    uint64_t uptime_ms;
    bool stopping;
    const struct replica_status *status; /* NULL: the replica isn't open */
};

/* 200 when this node can serve, else 503, with every reason why not, and what else isn't as it should be. */
void health_render(const struct health_facts *facts, struct arena *arena, struct api_answer *answer);

#endif
