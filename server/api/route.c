/* route: the one table of routes; method, path, query and headers become a request. Paths are compared as they were sent,
 * only what stands for a name is percent-decoded. */
#include <string.h>

#include "api/json.h"
#include "base/limits.h"

static const struct api_route_row rows[] = {
    {"POST", "/locks/{schedule_id}", API_ACQUIRE},
    {"GET", "/locks/{schedule_id}", API_LOCK_STATUS},
    {"DELETE", "/locks/{schedule_id}", API_RELEASE},
    {"POST", "/locks/{schedule_id}/renew", API_RENEW},
    {"GET", "/health", API_HEALTH},
    {"GET", "/health/live", API_HEALTH_LIVE},
    {"GET", "/health/ready", API_HEALTH_READY},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

/* What `Allow` says for each path of the table (a test holds the two against each other). */
static const struct {
    const char *path;
    const char *allow;
} allows[] = {
    {"/locks/{schedule_id}", "POST, GET, DELETE"},
    {"/locks/{schedule_id}/renew", "POST"},
    {"/health", "GET"},
    {"/health/live", "GET"},
    {"/health/ready", "GET"},
};

const struct api_route_row *api_route_rows(size_t *n)
{
    *n = N_ROWS;
    return rows;
}

size_t api_body_limit(struct slice method, struct slice path)
{
    (void)method;
    (void)path;
    return (size_t)LIMIT_BODY_BYTES;
}

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

/* ---- names ---- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False for a bad escape. The result needs not be terminated, and may hold any bytes. */
static bool percent_decode(struct slice encoded, struct arena *arena, struct slice *decoded)
{
    *decoded = encoded;
    if (memchr(encoded.base, '%', encoded.len) == NULL) {
        return true;
    }
    uint8_t *out = arena_alloc(arena, encoded.len);
    if (out == NULL) {
        return false;
    }
    size_t n = 0;
    for (size_t i = 0; i < encoded.len; i++) {
        out[n] = encoded.base[i];
        if (encoded.base[i] == '%') {
            int high = i + 2 < encoded.len ? hex_digit(encoded.base[i + 1]) : -1;
            int low = i + 2 < encoded.len ? hex_digit(encoded.base[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            out[n] = (uint8_t)(high << 4 | low);
            i += 2;
        }
        n++;
    }
    *decoded = (struct slice){.base = out, .len = n};
    return true;
}

static bool name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > LIMIT_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.base[i];
        bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alphanumeric && (i == 0 || c == 0 || strchr("._:@~-", c) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool parse_schedule_id(struct slice encoded, struct arena *arena, struct api_request *request,
                              struct api_answer *answer)
{
    if (!percent_decode(encoded, arena, &request->schedule_id) || !name_is_valid(request->schedule_id)) {
        return refuse(answer, API_INVALID_NAME, slice_of("schedule_id"),
                      "A schedule id is 1 to %u bytes of A-Z a-z 0-9 . _ : @ ~ -, and begins with a letter or a digit.",
                      LIMIT_NAME_BYTES);
    }
    return true;
}

/* ---- query ---- */

/* Decimal digits without a sign or leading zeros, 1 to LIMIT_NUMBER_MAX. */
static bool parse_token(struct slice text, uint64_t *token)
{
    if (text.len == 0 || text.len > 16 || text.base[0] == '0') {
        return false;
    }
    *token = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9') {
            return false;
        }
        *token = *token * 10 + (uint64_t)(text.base[i] - '0');
    }
    return *token <= LIMIT_NUMBER_MAX;
}

static bool parse_parameter(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    struct release_command *release = &request->command.release;
    if (request->route == API_RELEASE && slice_equal(pair->name, slice_of("token"))) {
        return parse_token(pair->value, &release->token) ||
               refuse(answer, API_INVALID_FIELD, pair->name,
                      "The query parameter token must be an integer from 1 to %llu.", LIMIT_NUMBER_MAX);
    }
    if (request->route == API_RELEASE && slice_equal(pair->name, slice_of("outcome"))) {
        release->has_outcome = true;
        return (run_outcome_parse(pair->value, &release->outcome) &&
                (release->outcome == RUN_SUCCEEDED || release->outcome == RUN_FAILED ||
                 release->outcome == RUN_ABANDONED)) ||
               refuse(answer, API_INVALID_FIELD, pair->name,
                      "The query parameter outcome must be succeeded, failed or abandoned.");
    }
    if (request->route == API_LOCK_STATUS && slice_equal(pair->name, slice_of("consistency"))) {
        request->stale = true;
        return slice_equal(pair->value, slice_of("stale")) ||
               refuse(answer, API_INVALID_FIELD, pair->name,
                      "The query parameter consistency must be stale; leave it out for a linearizable read.");
    }
    return refuse(answer, API_UNKNOWN_FIELD, pair->name, "Remove the query parameter: this route doesn't know it.");
}

static bool parse_query(const struct api_input *input, struct api_request *request, struct api_answer *answer)
{
    for (size_t i = 0; i < input->n_query; i++) {
        if (!parse_parameter(&input->query[i], request, answer)) {
            return false;
        }
        for (size_t j = 0; j < i; j++) { /* no route has more than two, so this stays short */
            if (slice_equal(input->query[i].name, input->query[j].name)) {
                return refuse(answer, API_INVALID_FIELD, input->query[i].name,
                              "The query parameter is given twice: give it once.");
            }
        }
    }
    if (request->route == API_RELEASE && request->command.release.token == 0) {
        return refuse(answer, API_INVALID_FIELD, slice_of("token"),
                      "The query parameter token is missing: give the token of the grant to release.");
    }
    return true;
}

/* ---- the rest ---- */

static bool parse_key(const struct api_input *input, struct api_request *request, struct api_answer *answer)
{
    if (input->n_idempotency_keys == 0) {
        return true;
    }
    request->command.acquire.idempotency_key = input->idempotency_key;
    return (input->n_idempotency_keys == 1 && text_is_visible(input->idempotency_key, LIMIT_OCCURRENCE_BYTES)) ||
           refuse(answer, API_INVALID_FIELD, slice_of("Idempotency-Key"),
                  "Send one Idempotency-Key of 1 to %u bytes of printable ASCII without spaces.",
                  LIMIT_OCCURRENCE_BYTES);
}

static bool parse_content(const struct api_input *input, struct arena *arena, struct api_request *request,
                          struct api_answer *answer)
{
    struct slice id = request->schedule_id;
    switch (request->route) {
    case API_ACQUIRE:
        request->command.kind = COMMAND_ACQUIRE;
        request->command.acquire.schedule_id = id;
        return parse_key(input, request, answer) && body_parse(input->body, arena, request, answer);
    case API_RENEW:
        request->command.kind = COMMAND_RENEW;
        request->command.renew.schedule_id = id;
        return body_parse(input->body, arena, request, answer);
    case API_RELEASE:
        request->command.kind = COMMAND_RELEASE;
        request->command.release.schedule_id = id;
        break;
    default:
        break;
    }
    return input->body.len == 0 || refuse(answer, API_INVALID_FIELD, slice_of("body"),
                                          "Send this request without a body: everything is in its path and query.");
}

static bool find_route(const struct api_input *input, struct api_request *request, struct slice *name,
                       struct api_answer *answer)
{
    const char *path = NULL;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (path_matches(input->path, rows[i].path, name)) {
            path = rows[i].path;
            if (slice_equal(input->method, slice_of(rows[i].method))) {
                request->route = rows[i].route;
                return true;
            }
        }
    }
    if (path == NULL) {
        return refuse(answer, API_NOT_FOUND, (struct slice){0},
                      "There is nothing at this path. Look it up in the API's description.");
    }
    for (size_t i = 0; i < sizeof allows / sizeof allows[0]; i++) {
        if (strcmp(allows[i].path, path) == 0) {
            answer->allow = allows[i].allow;
        }
    }
    return refuse(answer, API_METHOD_NOT_ALLOWED, (struct slice){0}, "Use one of the methods that this path takes: %s.",
                  answer->allow);
}

bool api_parse(const struct api_input *input, struct arena *arena, struct api_request *request,
               struct api_answer *answer)
{
    *request = (struct api_request){.route = API_ROUTE_NONE};
    struct slice name = {0};
    return find_route(input, request, &name, answer) &&
           (!slice_is_present(name) || parse_schedule_id(name, arena, request, answer)) &&
           parse_query(input, request, answer) && parse_content(input, arena, request, answer);
}
