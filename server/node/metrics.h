/* metrics: what GET /metrics says, in Prometheus' text format.
 *
 * Counts what this node answered; everything else is handed in when it is asked for. Plain numbers in tables whose size
 * is fixed by the contract: labels come from fixed sets, from the members' names and from the policies, so nothing here
 * grows that a client could make grow without one. Counting costs some nanoseconds. What was answered is counted where it was answered, so that a sum over all
 * nodes is right. */
#ifndef BATON_NODE_METRICS_H
#define BATON_NODE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "codec/frame.h"
#include "core/command.h"
#include "core/lock_table.h"
#include "node/event_readers.h"
#include "node/process.h"
#include "node/schedule_metrics.h"
#include "replica/replica.h"
#include "storage/storage.h"

struct metrics;

struct metrics *metrics_open(void); /* never NULL */
void metrics_close(struct metrics *metrics);

struct metrics_answer {
    enum api_route route; /* NONE: it is looked for by its path */
    struct slice method;
    struct slice path;
    unsigned status;
    uint64_t took_ns; /* since the request was whole */
};
void metrics_count_answer(struct metrics *metrics, const struct metrics_answer *answer);

/* How a command of a client ended; `outcome` only with OPERATION_APPLIED. */
void metrics_count_operation(struct metrics *metrics, const struct command *command, enum operation_status status,
                             const struct outcome *outcome);
void metrics_count_revoked(struct metrics *metrics); /* one run */
void metrics_count_turn(struct metrics *metrics, uint64_t wall_ns);

struct metrics_facts {
    const struct replica_status *status;    /* NULL: the replica isn't open */
    const struct lock_table_counts *counts; /* NULL: the table isn't loaded */
    const struct storage_figures *storage;
    const struct process_figures *process;
    const struct event_readers *readers;
    const struct schedule_metrics *schedules;
    uint64_t uptime_ms;
    uint64_t connections;
    uint64_t requests_in_flight;
    uint64_t log_lines_dropped;
};
void metrics_render(const struct metrics *metrics, const struct metrics_facts *facts, struct api_answer *answer);

#endif
