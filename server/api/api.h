/* api: the HTTP contract as code. Turns method, path, query, headers and JSON into a `struct api_request`, and outcomes
 * into JSON. JSON begins and ends in this room; Raft, sockets and disks are unknown here. The one table of routes and the
 * one table of codes and statuses live here, and a test holds them against openapi/baton.yaml. */
#ifndef BATON_API_API_H
#define BATON_API_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "core/command.h"
#include "core/lock_table.h"

struct api_pair {
    struct slice name;
    struct slice value;
};

/* What http collected. Slices are the caller's. */
struct api_input {
    struct slice method;
    struct slice path;            /* percent-encoded */
    const struct api_pair *query; /* decoded */
    size_t n_query;
    struct slice body;
    struct slice idempotency_key; /* header; absent: none */
    size_t n_idempotency_keys;    /* how many such headers */
    struct slice last_event_id;   /* header; absent: none */
};

enum api_route {
    API_ROUTE_NONE,
    API_ACQUIRE,
    API_RENEW,
    API_RELEASE,
    API_LOCK_STATUS,
    API_LOCK_LIST,
    API_REVOKE,
    API_SCHEDULE_PUT,
    API_SCHEDULE_GET,
    API_SCHEDULE_DELETE,
    API_SCHEDULE_LIST,
    API_SCHEDULE_RUNS,
    API_RENEW_BATCH,
    API_GROUP_PUT,
    API_GROUP_GET,
    API_GROUP_DELETE,
    API_GROUP_LIST,
    API_FREEZE_PUT,
    API_FREEZE_GET,
    API_FREEZE_DELETE,
    API_FREEZE_LIST,
    API_EVENTS,
    API_HEALTH,
    API_HEALTH_LIVE,
    API_HEALTH_READY,
    API_METRICS,
    API_OPENAPI,
    API_ROUTES, /* one past the last */
};

/* What a route does, for whoever dispatches it. */
enum api_kind {
    API_KIND_LOCAL,  /* this node answers from what it knows of itself */
    API_KIND_READ,   /* a linearizable read of the table, or a stale one */
    API_KIND_WRITE,  /* `command` is to be proposed */
    API_KIND_STREAM, /* an answer without an end */
};
enum api_kind api_route_kind(enum api_route route); /* API_ROUTE_NONE: local */

/* Which events a reader wants. */
struct api_event_id {
    uint64_t generation;
    uint64_t index;
    uint32_t number;
};
struct api_events {
    struct slice schedule; /* this one's only; absent: any */
    struct slice prefix;   /* those of schedules (and groups, and scopes) that begin so; absent: any */
    bool renewals;
    bool has_last_id;         /* the header Last-Event-ID was sent … */
    bool last_id_is_readable; /* … and is GENERATION-INDEX-N; else, too, the reader gets `reset` */
    struct api_event_id last_id;
};

struct api_request {
    enum api_route route;
    bool stale;               /* ?consistency=stale */
    struct slice schedule_id; /* absent on routes without one */
    struct slice name;        /* of a group, or the scope of a freeze; absent on the other routes */
    struct command command;   /* API_KIND_WRITE; an acquire's key is absent when the client sent none */
    uint64_t wait_ms;         /* of an acquire */
    struct list_query list;   /* the lists; `limit` alone counts for the runs */
    struct api_events events; /* API_EVENTS */
};

/* Codes that aren't outcomes of core. */
enum api_code {
    API_MALFORMED_JSON,
    API_INVALID_FIELD,
    API_UNKNOWN_FIELD,
    API_INVALID_NAME,
    API_NOT_FOUND,
    API_METHOD_NOT_ALLOWED,
    API_BODY_TOO_LARGE,
    API_FORBIDDEN,
    API_NO_LEADER,
    API_NOT_READY,
    API_OVERLOADED,
    API_OUTCOME_UNKNOWN,
    API_INTERNAL, /* never wanted: a bug shows as 500 */
};

/* An answer, ready to be sent. */
#define API_ALLOW_BYTES 32u
struct api_answer {
    unsigned status;
    const char *content_type;
    char allow[API_ALLOW_BYTES];  /* METHOD_NOT_ALLOWED: the header, terminated; else empty */
    unsigned retry_after_s;       /* 0: no header */
    struct slice idempotency_key; /* header; absent: none */
    struct buffer body;
};
void api_answer_init(struct api_answer *answer);
void api_answer_close(struct api_answer *answer);

/* True and `request` (its slices in `arena` or in `input`), or false and a problem in `answer`; then of `request` only the
 * route counts (API_ROUTE_NONE when there is none). */
bool api_parse(const struct api_input *input, struct arena *arena, struct api_request *request,
               struct api_answer *answer) MUST_CHECK;

size_t api_body_limit(struct slice method, struct slice path);

/* The answer to a command that was applied. `request` is what api_parse made (with its key filled in). */
void api_render_outcome(const struct api_request *request, const struct outcome *outcome, struct api_answer *answer);
void api_render_status(struct slice schedule_id, const struct schedule_view *view, uint64_t waiting,
                       struct api_answer *answer);
/* GET /locks. `rest` says what follows the last of them, and so whether `next` is null, ID or ID!TOKEN. */
void api_render_locks(const struct grant_view *locks, size_t n, enum list_rest rest, struct api_answer *answer);
/* GET /schedules/{id} of a schedule that has a policy; `last_run` may be NULL. `now_ms` is state time. */
void api_render_schedule(const struct policy_view *policy, const struct run_view *last_run,
                         const struct schedule_statistics *statistics, uint64_t now_ms, struct api_answer *answer);
void api_render_group(const struct group_view *group, struct api_answer *answer);
void api_render_groups(const struct group_view *groups, size_t n, bool more, struct api_answer *answer);
void api_render_freeze(const struct freeze_view *freeze, struct api_answer *answer);
void api_render_freezes(const struct freeze_view *freezes, size_t n, bool more, struct api_answer *answer);
/* GET or DELETE of a policy, a group or a freeze that isn't there. */
void api_render_missing(const struct api_request *request, struct api_answer *answer);

/* One event as text/event-stream has it, appended to `text`. The id is GENERATION-INDEX-N in decimal. */
void api_render_event(uint64_t generation, const struct event *event, struct buffer *text);
/* Events that aren't in the log, and have no id: a refused acquire, another leader (NULL: none is known), and what a reader
 * gets whose last id is gone: events of the log up to `index` won't be told. */
void api_render_event_refused(const struct api_request *request, const struct outcome *outcome, int64_t wall_ms,
                              struct buffer *text);
void api_render_event_leader(const char *leader, uint64_t term, int64_t wall_ms, struct buffer *text);
void api_render_event_reset(uint64_t generation, uint64_t index, struct buffer *text);
void api_render_schedules(const struct policy_view *policies, size_t n, bool more, struct api_answer *answer);
void api_render_runs(const struct run_view *runs, size_t n, struct api_answer *answer);
/* openapi/baton.yaml, as it was when this was built. */
void api_render_openapi(struct api_answer *answer);

/* `field` (may be NULL) names the place, `detail` says what to do; both end up in the body. */
void api_render_problem(enum api_code code, const char *field, const char *detail, struct api_answer *answer);
/* 504, with the key that makes a repeat safe (absent: none), or with what to do without one. */
void api_render_unknown(const struct api_request *request, struct slice idempotency_key, struct api_answer *answer);

/* Why a node can't serve, or isn't as it should be. */
struct api_reason {
    const char *code; /* "no_leader", "catching_up", … */
    const char *text; /* a sentence for people, with what to do where there is something to do */
};                    /* rendered as one string, "CODE: TEXT" */

struct api_health {
    bool serving;       /* 200, else 503 */
    const char *status; /* "ok", "degraded", "unavailable" */
    const char *node;
    const char *role;
    const char *leader; /* NULL: null */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    const char *const *members; /* names */
    size_t n_members;
    const char *version;
    uint64_t uptime_ms;
    const struct api_reason *reasons;
    size_t n_reasons;
};
void api_render_health(const struct api_health *health, struct api_answer *answer);
void api_render_live(struct api_answer *answer);

/* The DEBUG sentence for a refused acquire: "schedule ID skipped — lock held by peer HOLDER", or its reason. */
void api_render_skipped(struct slice schedule_id, const struct outcome *outcome, struct buffer *sentence);

/* `render` for struct log: one JSON object a line. */
void api_render_log_json(const struct log_record *record, struct buffer *line);

/* The tables, for tests that hold the contract against the code. */
struct api_code_row {
    const char *code;
    unsigned status;
    const char *title;
};
const struct api_code_row *api_code_rows(size_t *n);
struct api_route_row {
    const char *method; /* "GET" takes HEAD as well */
    const char *path;   /* with {placeholders} */
    enum api_route route;
    enum api_kind kind;
    const char *parameters; /* of the query, by name, with spaces between */
};
const struct api_route_row *api_route_rows(size_t *n);
/* A field of a route's body. */
struct api_field {
    const char *name;
    const char *type; /* of JSON: "string", "integer", "boolean", "object" or "array" */
    bool required;
    bool nullable;
    uint64_t min; /* bytes of a string, value of an integer, items of an array */
    uint64_t max;
    uint64_t otherwise; /* value of an integer that isn't given */
};
bool api_field(enum api_route route, size_t i, struct api_field *field); /* the i-th; false past the last */
/* … and of the items of its array, where it has one. */
bool api_item_field(enum api_route route, size_t i, struct api_field *field);
/* The row's path that `path` (as sent) has the form of, whatever the method; NULL when there is none. */
const char *api_route_path(struct slice path);

#endif
