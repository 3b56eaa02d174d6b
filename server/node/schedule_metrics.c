#include "node/schedule_metrics.h"

#include <string.h>

#include "base/check.h"
#include "node/exposition.h"

enum family { LAST_SUCCESS, LAST_RUN_DURATION, OVERDUE, FROZEN };

static const struct {
    const char *name;
    const char *help;
} families[SCHEDULE_METRICS_FAMILIES] = {
    [LAST_SUCCESS] = {"baton_schedule_last_success_timestamp_seconds",
                      "When a run of this schedule last succeeded, since 1970-01-01T00:00:00Z."},
    [LAST_RUN_DURATION] = {"baton_schedule_last_run_duration_seconds",
                           "Time that the newest run took which succeeded, failed or expired."},
    [OVERDUE] = {"baton_schedule_overdue", "Whether nothing succeeded for longer than the policy expects."},
    [FROZEN] = {"baton_schedule_frozen", "Whether a freeze keeps this schedule from being locked."},
};

void schedule_metrics_init(struct schedule_metrics *metrics)
{
    *metrics = (struct schedule_metrics){.shown = 0};
}

void schedule_metrics_close(struct schedule_metrics *metrics)
{
    for (size_t i = 0; i < SCHEDULE_METRICS_FAMILIES; i++) {
        buffer_close(&metrics->samples[i]);
    }
    schedule_metrics_init(metrics);
}

static void put_number(struct schedule_metrics *metrics, enum family family, const struct labels *labels,
                       uint64_t value)
{
    exposition_number(&metrics->samples[family], families[family].name, labels, value);
}

static void put_ms(struct schedule_metrics *metrics, enum family family, const struct labels *labels, uint64_t ms)
{
    exposition_seconds(&metrics->samples[family], families[family].name, labels, ms * 1000000u);
}

static void put_schedule(struct schedule_metrics *metrics, struct lock_table *table, uint64_t now_ms,
                         const struct policy_view *view)
{
    struct schedule_statistics statistics;
    struct labels labels;
    labels_clear(&labels);
    labels_add_slice(&labels, "schedule", view->schedule_id);
    lock_table_statistics(table, view->schedule_id, &statistics);
    if (view->has_success && view->last_success_wall_ms >= 0) {
        put_ms(metrics, LAST_SUCCESS, &labels, (uint64_t)view->last_success_wall_ms);
    }
    if (statistics.n_runs > 0) {
        put_ms(metrics, LAST_RUN_DURATION, &labels, statistics.last_ms);
    }
    put_number(metrics, OVERDUE, &labels, now_ms >= view->overdue_ms);
    put_number(metrics, FROZEN, &labels, lock_table_is_frozen(table, view->schedule_id));
}

bool schedule_metrics_gather(struct schedule_metrics *metrics, struct lock_table *table, uint64_t now_ms,
                             struct policy_view *page)
{
    uint64_t left = LIMIT_METRIC_SCHEDULES - metrics->shown;
    struct list_query query = {.limit = left < SCHEDULE_METRICS_PORTION ? left : SCHEDULE_METRICS_PORTION};
    bool more = false;
    if (left == 0) {
        return false;
    }
    if (metrics->after_len > 0) {
        query.after_id = (struct slice){.base = metrics->after, .len = metrics->after_len};
    }
    size_t n = lock_table_list_policies(table, &query, page, &more);
    for (size_t i = 0; i < n; i++) {
        put_schedule(metrics, table, now_ms, &page[i]);
    }
    if (n > 0) {
        struct slice last = page[n - 1].schedule_id;
        CHECK(last.len <= sizeof metrics->after);
        memcpy(metrics->after, last.base, last.len);
        metrics->after_len = last.len;
    }
    metrics->shown += n;
    return more && metrics->shown < LIMIT_METRIC_SCHEDULES;
}

void schedule_metrics_render(const struct schedule_metrics *metrics, uint64_t policies, struct buffer *text)
{
    static const char left_out[] = "baton_schedules_left_out";
    for (size_t i = 0; i < SCHEDULE_METRICS_FAMILIES; i++) {
        exposition_family(text, families[i].name, "gauge", families[i].help);
        buffer_append_slice(text, buffer_slice(&metrics->samples[i]));
    }
    exposition_family(text, left_out, "gauge", "Schedules with a policy that are too many to be told of by name.");
    exposition_number(text, left_out, NULL, policies > metrics->shown ? policies - metrics->shown : 0);
}
