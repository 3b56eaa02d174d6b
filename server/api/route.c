/* route: the one table of routes; method, path, query and headers become a request. Paths are compared as they were sent,
 * only what stands for a name is percent-decoded. */
#include <stdio.h>
#include <string.h>

#include "api/json.h"
#include "api/request.h"
#include "base/limits.h"

#define LOCK_PATH     "/locks/{schedule_id}"
#define SCHEDULE_PATH "/schedules/{schedule_id}"
#define GROUP_PATH    "/groups/{name}"
#define FREEZE_PATH   "/freezes/{scope}"
#define BATCH_PATH    "/renew"

/* `Allow` names the methods of a path in the order of these rows. */
static const struct api_route_row rows[] = {
    {"POST", LOCK_PATH, API_ACQUIRE, API_KIND_WRITE, ""},
    {"GET", LOCK_PATH, API_LOCK_STATUS, API_KIND_READ, "consistency"},
    {"DELETE", LOCK_PATH, API_RELEASE, API_KIND_WRITE, "token outcome"},
    {"POST", LOCK_PATH "/renew", API_RENEW, API_KIND_WRITE, ""},
    {"POST", LOCK_PATH "/revoke", API_REVOKE, API_KIND_WRITE, ""},
    {"GET", "/locks", API_LOCK_LIST, API_KIND_READ, "prefix holder limit after consistency"},
    {"PUT", SCHEDULE_PATH, API_SCHEDULE_PUT, API_KIND_WRITE, ""},
    {"GET", SCHEDULE_PATH, API_SCHEDULE_GET, API_KIND_READ, "consistency"},
    {"DELETE", SCHEDULE_PATH, API_SCHEDULE_DELETE, API_KIND_WRITE, ""},
    {"GET", SCHEDULE_PATH "/runs", API_SCHEDULE_RUNS, API_KIND_READ, "limit consistency"},
    {"GET", "/schedules", API_SCHEDULE_LIST, API_KIND_READ, "prefix limit after consistency"},
    {"POST", BATCH_PATH, API_RENEW_BATCH, API_KIND_WRITE, ""},
    {"PUT", GROUP_PATH, API_GROUP_PUT, API_KIND_WRITE, ""},
    {"GET", GROUP_PATH, API_GROUP_GET, API_KIND_READ, "consistency"},
    {"DELETE", GROUP_PATH, API_GROUP_DELETE, API_KIND_WRITE, ""},
    {"GET", "/groups", API_GROUP_LIST, API_KIND_READ, "prefix limit after consistency"},
    {"PUT", FREEZE_PATH, API_FREEZE_PUT, API_KIND_WRITE, ""},
    {"GET", FREEZE_PATH, API_FREEZE_GET, API_KIND_READ, "consistency"},
    {"DELETE", FREEZE_PATH, API_FREEZE_DELETE, API_KIND_WRITE, ""},
    {"GET", "/freezes", API_FREEZE_LIST, API_KIND_READ, "prefix limit after consistency"},
    {"GET", "/events", API_EVENTS, API_KIND_STREAM, "schedule prefix renewals"},
    {"GET", "/health", API_HEALTH, API_KIND_LOCAL, ""},
    {"GET", "/health/live", API_HEALTH_LIVE, API_KIND_LOCAL, ""},
    {"GET", "/health/ready", API_HEALTH_READY, API_KIND_LOCAL, ""},
    {"GET", "/metrics", API_METRICS, API_KIND_LOCAL, ""},
    {"GET", "/openapi.yaml", API_OPENAPI, API_KIND_LOCAL, ""},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

const struct api_route_row *api_route_rows(size_t *n)
{
    *n = N_ROWS;
    return rows;
}

enum api_kind api_route_kind(enum api_route route)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].route == route) {
            return rows[i].kind;
        }
    }
    return API_KIND_LOCAL;
}

size_t api_body_limit(struct slice method, struct slice path)
{
    bool is_batch = slice_equal(method, slice_of("POST")) && slice_equal(path, slice_of(BATCH_PATH));
    return is_batch ? LIMIT_BATCH_BODY_BYTES : LIMIT_BODY_BYTES;
}

/* ---- matching ---- */

/* Takes what stands before the next '/' off `rest`, with that '/'. */
static struct slice take_segment(struct slice *rest)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->base, '/', rest->len);
    struct slice segment = {.base = rest->base, .len = end == NULL ? rest->len : (size_t)(end - rest->base)};
    size_t taken = segment.len + (end == NULL ? 0 : 1);
    rest->base += taken;
    rest->len -= taken;
    return segment;
}

/* True when `path` has the form of `pattern`. `*name` is what stands for the placeholder, still encoded. */
static bool path_matches(struct slice path, const char *pattern, struct slice *name)
{
    struct slice form = slice_of(pattern);
    bool path_ends = false;
    bool form_ends = false;
    while (!path_ends && !form_ends) {
        path_ends = path.len == 0 || memchr(path.base, '/', path.len) == NULL;
        form_ends = form.len == 0 || memchr(form.base, '/', form.len) == NULL;
        struct slice segment = take_segment(&path);
        struct slice expected = take_segment(&form);
        if (expected.len > 0 && expected.base[0] == '{') {
            if (segment.len == 0) {
                return false;
            }
            *name = segment;
        } else if (!slice_equal(segment, expected)) {
            return false;
        }
    }
    return path_ends && form_ends;
}

const char *api_route_path(struct slice path)
{
    struct slice name;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (path_matches(path, rows[i].path, &name)) {
            return rows[i].path;
        }
    }
    return NULL;
}

/* RFC 9110: HEAD is GET without the body, which http leaves out. */
static bool takes_method(const struct api_route_row *row, struct slice method)
{
    return slice_equal(method, slice_of(row->method)) ||
           (slice_equal(method, slice_of("HEAD")) && strcmp(row->method, "GET") == 0);
}

/* The row of method and path; NULL when there is none, and then the methods that the path takes are in `allow`. */
static const struct api_route_row *find_row(const struct api_input *input, struct slice *name,
                                            char allow[API_ALLOW_BYTES])
{
    size_t len = 0;
    allow[0] = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        struct slice found = {0};
        if (!path_matches(input->path, rows[i].path, &found)) {
            continue;
        }
        if (takes_method(&rows[i], input->method)) {
            *name = found;
            allow[0] = 0;
            return &rows[i];
        }
        len += (size_t)snprintf(allow + len, API_ALLOW_BYTES - len, "%s%s%s", len == 0 ? "" : ", ", rows[i].method,
                                strcmp(rows[i].method, "GET") == 0 ? ", HEAD" : "");
        CHECK(len < API_ALLOW_BYTES);
    }
    return NULL;
}

/* ---- the request ---- */

/* What a placeholder stands for, and how it must be formed. */
struct subject {
    const char *placeholder;
    const char *field;
    size_t at; /* in the request */
    bool (*is_valid)(struct slice name);
    const char *form;
};

#define NAME_FORM "1 to 256 bytes of A-Z a-z 0-9 . _ : @ ~ -, and begins with a letter or a digit."
_Static_assert(LIMIT_NAME_BYTES == 256, "as it is said there");
static const struct subject subjects[] = {
    {"{schedule_id}", "schedule_id", offsetof(struct api_request, schedule_id), schedule_id_is_valid,
     "A schedule id is " NAME_FORM},
    {"{name}", "name", offsetof(struct api_request, name), schedule_id_is_valid, "A group's name is " NAME_FORM},
    {"{scope}", "scope", offsetof(struct api_request, name), scope_is_valid,
     "The scope of a freeze is *, a schedule id, or the beginning of one with a * behind it. A schedule id "
     "is " NAME_FORM},
};

static const struct subject *find_subject(const char *path)
{
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        if (strstr(path, subjects[i].placeholder) != NULL) {
            return &subjects[i];
        }
    }
    return NULL;
}

static bool parse_subject(const struct api_route_row *row, struct slice encoded, struct arena *arena,
                          struct api_request *request, struct api_answer *answer)
{
    const struct subject *subject = find_subject(row->path);
    if (subject == NULL) {
        return true;
    }
    struct slice name = {0};
    if (!percent_decode(encoded, arena, &name) || !subject->is_valid(name)) {
        return refuse(answer, API_INVALID_NAME, slice_of(subject->field), "%s", subject->form);
    }
    memcpy((uint8_t *)request + subject->at, &name, sizeof name);
    return true;
}

static bool parse_key(const struct api_input *input, struct api_request *request, struct api_answer *answer)
{
    if (request->route != API_ACQUIRE || input->n_idempotency_keys == 0) {
        return true;
    }
    request->command.acquire.idempotency_key = input->idempotency_key;
    return (input->n_idempotency_keys == 1 && text_is_visible(input->idempotency_key, LIMIT_OCCURRENCE_BYTES)) ||
           refuse(answer, API_INVALID_FIELD, slice_of("Idempotency-Key"),
                  "Send one Idempotency-Key of 1 to %u bytes of printable ASCII without spaces.",
                  LIMIT_OCCURRENCE_BYTES);
}

bool api_parse(const struct api_input *input, struct arena *arena, struct api_request *request,
               struct api_answer *answer)
{
    *request = (struct api_request){.route = API_ROUTE_NONE};
    struct slice name = {0};
    const struct api_route_row *row = find_row(input, &name, answer->allow);
    if (row == NULL && answer->allow[0] == 0) {
        return refuse(answer, API_NOT_FOUND, (struct slice){0},
                      "There is nothing at this path. Look it up in the API's description, which is at /openapi.yaml.");
    }
    if (row == NULL) {
        return refuse(answer, API_METHOD_NOT_ALLOWED, (struct slice){0},
                      "Use one of the methods that this path takes: %s.", answer->allow);
    }
    request->route = row->route;
    if (row->route == API_EVENTS) {
        parse_last_event_id(input->last_event_id, &request->events);
    }
    return parse_subject(row, name, arena, request, answer) && query_parse(input, row, request, answer) &&
           parse_key(input, request, answer) && body_parse(input->body, arena, request, answer);
}
