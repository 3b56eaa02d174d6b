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
};

enum api_route {
    API_ROUTE_NONE,
    API_ACQUIRE,
    API_RENEW,
    API_RELEASE,
    API_LOCK_STATUS,
    API_HEALTH,
    API_HEALTH_LIVE,
    API_HEALTH_READY,
};

struct api_request {
    enum api_route route;
    bool stale; /* ?consistency=stale */
    struct slice schedule_id;
    struct command command; /* acquire, renew, release; the key is absent when the client sent none */
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
struct api_answer {
    unsigned status;
    const char *content_type;
    const char *allow;            /* METHOD_NOT_ALLOWED; else NULL */
    unsigned retry_after_s;       /* 0: no header */
    struct slice idempotency_key; /* header; absent: none */
    struct buffer body;
};
void api_answer_init(struct api_answer *answer);
void api_answer_close(struct api_answer *answer);

/* True and `request` (its slices in `arena` or in `input`), or false and a problem in `answer`. */
bool api_parse(const struct api_input *input, struct arena *arena, struct api_request *request,
               struct api_answer *answer) MUST_CHECK;

size_t api_body_limit(struct slice method, struct slice path);

/* The answer to a command that was applied. `request` is what api_parse made (with its key filled in). */
void api_render_outcome(const struct api_request *request, const struct outcome *outcome, struct api_answer *answer);
void api_render_status(struct slice schedule_id, const struct schedule_view *view, struct api_answer *answer);
/* `field` (may be NULL) names the place, `detail` says what to do; both end up in the body. */
void api_render_problem(enum api_code code, const char *field, const char *detail, struct api_answer *answer);
/* 504 with the key that makes a repeat safe (absent: none). */
void api_render_unknown(struct slice idempotency_key, struct api_answer *answer);

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
    const char *const *reasons;
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
    const char *method;
    const char *path; /* with {placeholders} */
    enum api_route route;
};
const struct api_route_row *api_route_rows(size_t *n);

#endif
