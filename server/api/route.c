/* route: the one table of routes; method, path, query and headers become a request. Paths are compared as they were sent,
 * only what stands for a name is percent-decoded. */
#include <stdio.h>
#include <string.h>

#include "api/json.h"
#include "api/request.h"
#include "base/limits.h"

#define LOCK_PATH     "/locks/{schedule_id}"
#define SCHEDULE_PATH "/schedules/{schedule_id}"

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
    (void)method;
    (void)path;
    return (size_t)LIMIT_BODY_BYTES;
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

static bool parse_schedule_id(struct slice encoded, struct arena *arena, struct api_request *request,
                              struct api_answer *answer)
{
    if (!slice_is_present(encoded)) {
        return true;
    }
    return (percent_decode(encoded, arena, &request->schedule_id) && schedule_id_is_valid(request->schedule_id)) ||
           refuse(answer, API_INVALID_NAME, slice_of("schedule_id"),
                  "A schedule id is 1 to %u bytes of A-Z a-z 0-9 . _ : @ ~ -, and begins with a letter or a digit.",
                  LIMIT_NAME_BYTES);
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
    return parse_schedule_id(name, arena, request, answer) && query_parse(input, row, request, answer) &&
           parse_key(input, request, answer) && body_parse(input->body, arena, request, answer);
}
