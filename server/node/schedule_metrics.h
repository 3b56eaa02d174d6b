/* schedule_metrics: what GET /metrics says of each schedule that has a policy.
 *
 * There may be thousands, and each costs some microseconds, so they are gathered in portions over several turns of the loop,
 * by their ids: between two portions the table may change, and even be another one. Those of the first LIMIT_METRIC_SCHEDULES
 * ids are told of by name, and the rest is counted. */
#ifndef BATON_NODE_SCHEDULE_METRICS_H
#define BATON_NODE_SCHEDULE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/slice.h"
#include "core/lock_table.h"

#define SCHEDULE_METRICS_FAMILIES 4u
#define SCHEDULE_METRICS_PORTION  250u /* schedules */

struct schedule_metrics {
    struct buffer samples[SCHEDULE_METRICS_FAMILIES]; /* of each family, which stand together in the text */
    uint8_t after[LIMIT_NAME_BYTES];                  /* the last id that was gathered */
    size_t after_len;
    uint64_t shown;
};

void schedule_metrics_init(struct schedule_metrics *metrics);
void schedule_metrics_close(struct schedule_metrics *metrics); /* frees, and leaves it initialised */

/* The next portion. `now_ms` is cluster time, by which a schedule is overdue; `page` has room for a portion. True:
 * there is more. */
bool schedule_metrics_gather(struct schedule_metrics *metrics, struct lock_table *table, uint64_t now_ms,
                             struct policy_view *page) MUST_CHECK;

/* Appends what is gathered, of `policies` in all. */
void schedule_metrics_render(const struct schedule_metrics *metrics, uint64_t policies, struct buffer *text);

#endif
