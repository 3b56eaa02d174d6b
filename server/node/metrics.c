/* Counting is at the top, one family of series after the other below. */
#include "node/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "node/exposition.h"

/* Methods by name; every other is "other". */
#define METHODS 6u
static const char *const method_names[METHODS] = {"GET", "HEAD", "POST", "PUT", "DELETE", "other"};

/* How an acquire ended. The refusals of core are at the places of their codes. */
#define OUTCOME_ONE(name, text) +1
enum acquire_result {
    ACQUIRE_GRANTED = OUTCOME_DONE,
    ACQUIRE_REPEATED = 0 OUTCOME_TABLE(OUTCOME_ONE), /* behind the last code */
    ACQUIRE_UNAVAILABLE,
    ACQUIRE_UNKNOWN,
    ACQUIRE_CANCELLED,
    ACQUIRE_RESULTS,
};

enum {
    PATHS = API_ROUTES + 1, /* at most; the one at 0 is "none" */
    STATUSES = 24,          /* at most */
    STATUS_MAX = 599,
};

struct http_series {
    uint64_t answers[STATUSES];
    struct histogram durations;
};

struct http_place {
    uint8_t method;
    uint8_t path;
};

struct metrics {
    uint64_t acquires[ACQUIRE_RESULTS];
    uint64_t renewals;
    uint64_t releases;
    uint64_t revocations;
    struct histogram turns;
    const char *paths[PATHS];
    size_t n_paths;
    unsigned statuses[STATUSES];
    size_t n_statuses;
    uint8_t status_places[STATUS_MAX + 1]; /* in `statuses`, plus one */
    uint8_t route_paths[API_ROUTES];       /* in `paths` */
    struct http_series http[METHODS][PATHS];
};

/* ---- what can be asked and answered, from the tables of the contract ---- */

static uint8_t method_place(struct slice method)
{
    uint8_t at = 0;
    while (at < METHODS - 1 && !slice_equal(method, slice_of(method_names[at]))) {
        at++;
    }
    return at;
}

static uint8_t path_place(const struct metrics *metrics, const char *path)
{
    size_t at = 0;
    while (at < metrics->n_paths && strcmp(metrics->paths[at], path) != 0) {
        at++;
    }
    return (uint8_t)at;
}

static void metrics_add_routes(struct metrics *metrics)
{
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    metrics->paths[metrics->n_paths++] = "none";
    for (size_t i = 0; i < n; i++) {
        uint8_t path = path_place(metrics, rows[i].path);
        if (path == metrics->n_paths) {
            CHECK(metrics->n_paths < PATHS);
            metrics->paths[metrics->n_paths++] = rows[i].path;
        }
        metrics->route_paths[rows[i].route] = path;
    }
}

static void metrics_add_status(struct metrics *metrics, unsigned status)
{
    CHECK(status <= STATUS_MAX);
    if (metrics->status_places[status] == 0) {
        CHECK(metrics->n_statuses < STATUSES);
        metrics->statuses[metrics->n_statuses++] = status;
        metrics->status_places[status] = (uint8_t)metrics->n_statuses;
    }
}

struct metrics *metrics_open(void)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    CHECK(metrics != NULL);
    metrics_add_routes(metrics);
    metrics_add_status(metrics, 200);
    metrics_add_status(metrics, 201);
    size_t n;
    const struct api_code_row *rows = api_code_rows(&n);
    for (size_t i = 0; i < n; i++) {
        metrics_add_status(metrics, rows[i].status);
    }
    return metrics;
}

void metrics_close(struct metrics *metrics)
{
    free(metrics);
}

/* ---- counting ---- */

void metrics_count_answer(struct metrics *metrics, const struct metrics_answer *answer)
{
    struct http_place place = {.method = method_place(answer->method), .path = metrics->route_paths[answer->route]};
    if (answer->route == API_ROUTE_NONE) {
        const char *path = api_route_path(answer->path);
        place.path = path == NULL ? 0 : path_place(metrics, path);
    }
    CHECK(answer->status <= STATUS_MAX && metrics->status_places[answer->status] > 0);
    struct http_series *series = &metrics->http[place.method][place.path];
    series->answers[metrics->status_places[answer->status] - 1]++;
    histogram_add(&series->durations, answer->took_ns);
}

static enum acquire_result acquire_result(enum operation_status status, const struct outcome *outcome)
{
    switch (status) {
    case OPERATION_APPLIED:
        break;
    case OPERATION_UNKNOWN:
        return ACQUIRE_UNKNOWN;
    case OPERATION_CANCELLED:
        return ACQUIRE_CANCELLED;
    default:
        return ACQUIRE_UNAVAILABLE;
    }
    return outcome->code == OUTCOME_DONE && outcome->repeated ? ACQUIRE_REPEATED : (enum acquire_result)outcome->code;
}

static uint64_t count_renewed(const struct outcome *batch)
{
    uint64_t n = 0;
    for (size_t i = 0; i < batch->n_results; i++) {
        n += batch->results[i].code == OUTCOME_DONE;
    }
    return n;
}

void metrics_count_operation(struct metrics *metrics, const struct command *command, enum operation_status status,
                             const struct outcome *outcome)
{
    bool took_effect = status == OPERATION_APPLIED && outcome->code == OUTCOME_DONE && !outcome->repeated;
    switch (command->kind) {
    case COMMAND_ACQUIRE:
        metrics->acquires[acquire_result(status, outcome)]++;
        break;
    case COMMAND_RENEW:
        metrics->renewals += took_effect;
        break;
    case COMMAND_RENEW_BATCH:
        metrics->renewals += took_effect ? count_renewed(outcome) : 0;
        break;
    case COMMAND_RELEASE:
        metrics->releases += took_effect;
        break;
    default:
        break;
    }
}

void metrics_count_revoked(struct metrics *metrics)
{
    metrics->revocations++;
}

void metrics_count_turn(struct metrics *metrics, uint64_t wall_ns)
{
    histogram_add(&metrics->turns, wall_ns);
}

/* ---- rendering ---- */

/* A family of one series without labels. */
static void put_counter(struct buffer *text, const char *name, uint64_t value, const char *help)
{
    exposition_family(text, name, "counter", help);
    exposition_number(text, name, NULL, value);
}

static void put_gauge(struct buffer *text, const char *name, uint64_t value, const char *help)
{
    exposition_family(text, name, "gauge", help);
    exposition_number(text, name, NULL, value);
}

/* A gauge that is always 1: what it says stands in its label. */
static void put_info(struct buffer *text, const char *name, const char *label, const char *value, const char *help)
{
    struct labels labels;
    labels_clear(&labels);
    labels_add(&labels, label, value);
    exposition_family(text, name, "gauge", help);
    exposition_number(text, name, &labels, 1);
}

static void put_peers(struct buffer *text, const struct metrics_facts *facts)
{
    static const char name[] = "baton_raft_peer_last_contact_seconds";
    exposition_family(text, name, "gauge",
                      "Time since anything arrived from this member, or since the start while nothing has arrived.");
    for (size_t i = 0; i < facts->status->n_members; i++) {
        const struct replica_member_status *member = &facts->status->members[i];
        if (!member->is_self) {
            struct labels labels;
            labels_clear(&labels);
            labels_add(&labels, "peer", member->name);
            uint64_t ms = member->has_contact ? member->last_contact_ms : facts->uptime_ms;
            exposition_seconds(text, name, &labels, ms * 1000000u);
        }
    }
}

static void put_raft(struct buffer *text, const struct metrics_facts *facts)
{
    const struct replica_status *status = facts->status;
    put_gauge(text, "baton_raft_has_leader", status->leader != NULL, "Whether this node knows a leader.");
    put_gauge(text, "baton_raft_is_leader", status->role == REPLICA_LEADER, "Whether this node is the leader.");
    put_gauge(text, "baton_raft_term", status->term, "The current term.");
    put_gauge(text, "baton_raft_commit_index", status->commit_index,
              "Index of the last entry that this node knows to be committed.");
    put_gauge(text, "baton_raft_applied_index", status->applied_index, "Index of the last entry that was applied.");
    put_counter(text, "baton_raft_leader_changes_total", status->leader_changes,
                "How often this node saw the leader change.");
    put_gauge(text, "baton_rules_version", status->rules_version, "Version of the rules that are in force.");
    put_gauge(text, "baton_operations_queued", status->operations_queued,
              "Operations of this node that are not decided yet.");
    put_gauge(text, "baton_waiting_requests", status->waiters,
              "Requests that wait for a lock: on the leader all, elsewhere those of this node.");
    put_counter(text, "baton_lock_expirations_total", status->expirations,
                "Locks that ended by their deadline, counted on the node that led.");
    if (status->n_members > 0) {
        put_peers(text, facts);
    }
}

static void put_disk(struct buffer *text, const struct storage_figures *storage)
{
    static const char durations[] = "baton_disk_write_duration_seconds";
    put_info(text, "baton_disk_io_info", "mode", storage->log_mode, "How the log is written: aio or pool.");
    put_gauge(text, "baton_disk_free_bytes", storage->free_bytes,
              "Space left for this process on the file system of the data directory.");
    put_gauge(text, "baton_disk_log_bytes", storage->log_bytes_since_snapshot,
              "Bytes of the log written since the newest snapshot.");
    exposition_family(text, durations, "histogram", "Time of a write to the log, from submission to durable.");
    exposition_histogram(text, durations, NULL, storage->write_durations);
}

/* Some codes of core are no answers to an acquire. */
static bool acquire_can_end_so(unsigned result)
{
    switch (result) {
    case OUTCOME_LOCK_LOST:
    case OUTCOME_NOT_FOUND:
    case OUTCOME_UNKNOWN_GROUP:
    case OUTCOME_GROUP_IN_USE:
        return false;
    default:
        return true;
    }
}

static const char *acquire_result_name(unsigned result)
{
    switch (result) {
    case ACQUIRE_GRANTED:
        return "granted";
    case ACQUIRE_REPEATED:
        return "repeated";
    case ACQUIRE_UNAVAILABLE:
        return "unavailable";
    case ACQUIRE_UNKNOWN:
        return "unknown";
    case ACQUIRE_CANCELLED:
        return "cancelled";
    default:
        return outcome_code_name((enum outcome_code)result);
    }
}

static void put_locks(struct buffer *text, const struct metrics *metrics)
{
    static const char acquires[] = "baton_lock_acquire_total";
    exposition_family(text, acquires, "counter", "Acquires that this node answered, by how they ended.");
    for (unsigned result = 0; result < ACQUIRE_RESULTS; result++) {
        if (acquire_can_end_so(result)) {
            struct labels labels;
            labels_clear(&labels);
            labels_add(&labels, "result", acquire_result_name(result));
            exposition_number(text, acquires, &labels, metrics->acquires[result]);
        }
    }
    put_counter(text, "baton_lock_renewals_total", metrics->renewals, "Locks renewed through this node.");
    put_counter(text, "baton_lock_releases_total", metrics->releases, "Locks released through this node.");
    put_counter(text, "baton_lock_revocations_total", metrics->revocations, "Locks revoked through this node.");
}

static void put_table(struct buffer *text, const struct lock_table_counts *counts)
{
    put_gauge(text, "baton_locks_held", counts->held, "Locks that are held, those being revoked included.");
    put_gauge(text, "baton_schedules", counts->schedules, "Schedules that are remembered.");
    put_gauge(text, "baton_policies", counts->policies, "Schedules that have a policy.");
    put_gauge(text, "baton_groups", counts->groups, "Groups that there are.");
    put_gauge(text, "baton_freezes", counts->freezes, "Freezes that are in force.");
    put_gauge(text, "baton_state_bytes", counts->state_bytes,
              "Size of the replicated state, as it is counted for its limit.");
}

static void put_events(struct buffer *text, const struct event_readers *readers)
{
    static const char name[] = "baton_events_total";
    static const char *const kinds[EVENT_KINDS] = {
        [EVENT_GRANTED] = "granted", [EVENT_RENEWED] = "renewed", [EVENT_RELEASED] = "released",
        [EVENT_EXPIRED] = "expired", [EVENT_REVOKED] = "revoked", [EVENT_POLICY] = "policy",
        [EVENT_GROUP] = "group",     [EVENT_FREEZE] = "freeze",
    };
    exposition_family(text, name, "counter",
                      "What happened to locks and policies, as every node learns it from the log.");
    for (unsigned kind = 0; kind < EVENT_KINDS; kind++) {
        struct labels labels;
        labels_clear(&labels);
        labels_add(&labels, "kind", kinds[kind]);
        exposition_number(text, name, &labels, event_readers_events(readers, (enum event_kind)kind));
    }
    put_gauge(text, "baton_event_readers", event_readers_count(readers), "Clients that listen to events on this node.");
}

static void labels_set_http(struct labels *labels, const struct metrics *metrics, struct http_place place)
{
    labels_clear(labels);
    labels_add(labels, "method", method_names[place.method]);
    labels_add(labels, "route", metrics->paths[place.path]);
}

static void put_http_answers(struct buffer *text, const struct metrics *metrics, struct http_place place)
{
    const struct http_series *series = &metrics->http[place.method][place.path];
    for (size_t i = 0; i < metrics->n_statuses; i++) {
        if (series->answers[i] > 0) {
            struct labels labels;
            char code[8];
            labels_set_http(&labels, metrics, place);
            (void)snprintf(code, sizeof code, "%u", metrics->statuses[i]);
            labels_add(&labels, "code", code);
            exposition_number(text, "baton_http_requests_total", &labels, series->answers[i]);
        }
    }
}

static void put_http_durations(struct buffer *text, const struct metrics *metrics, struct http_place place)
{
    const struct histogram *durations = &metrics->http[place.method][place.path].durations;
    if (histogram_count(durations) > 0) {
        struct labels labels;
        labels_set_http(&labels, metrics, place);
        exposition_histogram(text, "baton_http_request_duration_seconds", &labels, durations);
    }
}

static void put_http_each(struct buffer *text, const struct metrics *metrics,
                          void (*put)(struct buffer *, const struct metrics *, struct http_place))
{
    for (uint8_t path = 0; path < metrics->n_paths; path++) {
        for (uint8_t method = 0; method < METHODS; method++) {
            put(text, metrics, (struct http_place){.method = method, .path = path});
        }
    }
}

static void put_http(struct buffer *text, const struct metrics *metrics, const struct metrics_facts *facts)
{
    exposition_family(text, "baton_http_requests_total", "counter", "Requests that were answered.");
    put_http_each(text, metrics, put_http_answers);
    exposition_family(text, "baton_http_request_duration_seconds", "histogram",
                      "Time from the whole request to its answer.");
    put_http_each(text, metrics, put_http_durations);
    put_gauge(text, "baton_http_connections", facts->connections, "Connections of clients that are open.");
    put_gauge(text, "baton_requests_in_flight", facts->requests_in_flight,
              "Requests that are not answered yet, and grants that are being given back.");
}

static void put_process(struct buffer *text, const struct process_figures *process)
{
    static const char cpu[] = "process_cpu_seconds_total";
    static const char start[] = "process_start_time_seconds";
    exposition_family(text, cpu, "counter", "CPU time of this process, in user and kernel mode.");
    exposition_seconds(text, cpu, NULL, process->cpu_ns);
    put_gauge(text, "process_resident_memory_bytes", process->resident_bytes, "Memory that is resident.");
    put_gauge(text, "process_virtual_memory_bytes", process->virtual_bytes, "Address space that is in use.");
    put_gauge(text, "process_open_fds", process->open_files, "Files that are open.");
    put_gauge(text, "process_max_fds", process->max_files, "How many files may be open.");
    exposition_family(text, start, "gauge", "When this process began, since 1970-01-01T00:00:00Z.");
    exposition_seconds(text, start, NULL, (uint64_t)process->started_wall_ms * 1000000u);
}

void metrics_render(const struct metrics *metrics, const struct metrics_facts *facts, struct api_answer *answer)
{
    static const struct replica_status closed = {.role = REPLICA_STARTING};
    struct metrics_facts known = *facts;
    known.status = facts->status == NULL ? &closed : facts->status;
    struct buffer *text = &answer->body;
    answer->status = 200;
    answer->content_type = EXPOSITION_CONTENT_TYPE;
    put_info(text, "baton_build_info", "version", BATON_VERSION, "The version of this program.");
    put_raft(text, &known);
    put_disk(text, facts->storage);
    put_locks(text, metrics);
    if (facts->counts != NULL) {
        put_table(text, facts->counts);
    }
    put_events(text, facts->readers);
    put_http(text, metrics, facts);
    exposition_family(text, "baton_loop_stall_seconds", "histogram",
                      "Time of a turn of the loop: nothing else happens on this node meanwhile.");
    exposition_histogram(text, "baton_loop_stall_seconds", NULL, &metrics->turns);
    put_counter(text, "baton_log_lines_dropped_total", facts->log_lines_dropped,
                "Lines of the log that were dropped because nobody took them.");
    put_process(text, facts->process);
    schedule_metrics_render(facts->schedules, facts->counts == NULL ? 0 : facts->counts->policies, text);
}
