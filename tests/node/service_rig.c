#include "service_rig.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "core/rules.h"

static const struct histogram no_writes;

void rig_open(struct rig *rig, size_t requests)
{
    static const struct slice hosts[] = {{(const uint8_t *)"n1", 2}};
    memset(rig, 0, sizeof *rig);
    fake_loop_open(&rig->world);
    rig->storage.figures = (struct storage_figures){.write_durations = &no_writes, .log_mode = "aio"};
    rig->storage.identity = (struct storage_identity){.initialised = true, .cluster_id = {0, 0, 1, 2}};
    rig->replica.table = lock_table_open();
    rig->replica.status = (struct replica_status){
        .role = REPLICA_FOLLOWER,
        .leader = "n2",
        .leader_http = "10.0.0.2:7420",
        .term = 3,
        .ready = true,
        .reserve_ok = true,
        .rules_version = 1,
    };
    struct service_options options = {
        .loop = &rig->world.loop,
        .log = &rig->world.sink,
        .node = "n1",
        .hosts = hosts,
        .n_hosts = 1,
        .requests = requests,
        .storage = &rig->storage,
        .journal = &rig->journal,
    };
    rig->service = service_open(&options);
    service_attach_http(rig->service, &rig->http);
    service_attach(rig->service, &rig->replica);
}

void rig_close(struct rig *rig)
{
    CHECK(rig->replica.n_operations == 0 && rig->replica.n_reads == 0);
    CHECK(service_pending(rig->service) == 0);
    service_close(rig->service);
    lock_table_close(rig->replica.table);
    fake_loop_close(&rig->world);
}

/* Cuts NAME=VALUE&… behind '?' out of the path, which the exchange keeps a copy of. */
void rig_cut_query(struct exchange *exchange, const char *path)
{
    CHECK(strlen(path) < sizeof exchange->target);
    (void)stpcpy(exchange->target, path);
    exchange->path = exchange->target;
    char *rest = strchr(exchange->target, '?');
    while (rest != NULL) {
        *rest++ = 0;
        char *equals = strchr(rest, '=');
        char *next = strchr(rest, '&');
        CHECK(equals != NULL && exchange->n_query < FAKE_QUERY);
        *equals = 0;
        if (next != NULL) {
            *next = 0;
        }
        exchange->query[exchange->n_query++] = (struct http_pair){slice_of(rest), slice_of(equals + 1)};
        rest = next;
    }
}

void rig_ask(struct rig *rig, struct exchange *exchange, const char *method, const char *path, const char *body)
{
    exchange_open(exchange, method, path, body);
    rig_cut_query(exchange, path);
    service_request(rig->service, exchange);
}

void rig_ask_applied(struct rig *rig, struct exchange *exchange, const char *const request[3],
                     const struct outcome *outcome)
{
    rig_ask(rig, exchange, request[0], request[1], request[2]);
    fake_replica_decide(&rig->replica, OPERATION_APPLIED, outcome);
}

void rig_read(struct rig *rig, struct exchange *exchange, const char *path)
{
    rig_ask(rig, exchange, "GET", path, "");
    fake_replica_decide_read(&rig->replica, OPERATION_APPLIED);
}

void rig_apply(struct rig *rig, uint64_t now_ms, const struct command *command)
{
    struct lock_table_counts counts;
    struct outcome outcome;
    lock_table_count(rig->replica.table, &counts);
    struct apply_context context = {
        .index = counts.index + 1, .now_ms = now_ms, .wall_ms = 1700000000000 + (int64_t)now_ms};
    lock_table_advance(rig->replica.table, &context);
    lock_table_apply(rig->replica.table, &context, command, &outcome);
    CHECK(outcome.code == OUTCOME_DONE);
}

void rig_use_newest_rules(struct rig *rig)
{
    struct command rules = {.kind = COMMAND_RULES, .rules = {.version = rules_version_newest()}};
    rig_apply(rig, 1, &rules);
}

struct outcome outcome_granted(void)
{
    return (struct outcome){
        .code = OUTCOME_DONE,
        .has_grant = true,
        .grant =
            {
                .schedule_id = slice_of("a"),
                .holder = slice_of("h"),
                .token = 77,
                .ttl_ms = 60000,
                .remaining_ms = 60000,
            },
    };
}
