/* query: the one table of query parameters. Which of them a route takes stands in the table of routes; each means the
 * same wherever it is taken. */
#include <string.h>

#include "api/json.h"
#include "api/request.h"
#include "base/limits.h"

struct parameter {
    const char *name;
    bool required; /* by whichever route takes it */
    bool (*parse)(const struct api_pair *pair, struct api_request *request, struct api_answer *answer);
};

static bool parse_token(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    return number_parse(pair->value, LIMIT_NUMBER_MAX, &request->command.release.token) ||
           refuse(answer, API_INVALID_FIELD, pair->name, "The query parameter token must be an integer from 1 to %llu.",
                  LIMIT_NUMBER_MAX);
}

static bool parse_outcome(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    struct release_command *release = &request->command.release;
    release->has_outcome = true;
    return (run_outcome_parse(pair->value, &release->outcome) &&
            (release->outcome == RUN_SUCCEEDED || release->outcome == RUN_FAILED ||
             release->outcome == RUN_ABANDONED)) ||
           refuse(answer, API_INVALID_FIELD, pair->name,
                  "The query parameter outcome must be succeeded, failed or abandoned.");
}

static bool parse_consistency(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    request->stale = true;
    return slice_equal(pair->value, slice_of("stale")) ||
           refuse(answer, API_INVALID_FIELD, pair->name,
                  "The query parameter consistency must be stale; leave it out for a linearizable read.");
}

static bool parse_prefix(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    struct slice *prefix = request->route == API_EVENTS ? &request->events.prefix : &request->list.prefix;
    if (pair->value.len > 0) {
        *prefix = pair->value;
    }
    return prefix_is_valid(pair->value) ||
           refuse(answer, API_INVALID_FIELD, pair->name,
                  "The query parameter prefix must be the beginning of names: up to %u bytes of "
                  "A-Z a-z 0-9 . _ : @ ~ -.",
                  LIMIT_NAME_BYTES);
}

static bool parse_schedule(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    request->events.schedule = pair->value;
    return schedule_id_is_valid(pair->value) ||
           refuse(answer, API_INVALID_FIELD, pair->name,
                  "The query parameter schedule must be a schedule id; leave it out for the events of all.");
}

static bool parse_renewals(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    request->events.renewals = slice_equal(pair->value, slice_of("true"));
    return request->events.renewals || slice_equal(pair->value, slice_of("false")) ||
           refuse(answer, API_INVALID_FIELD, pair->name, "The query parameter renewals must be true or false.");
}

static bool parse_holder(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    request->list.holder = pair->value;
    return text_is_visible(pair->value, LIMIT_NAME_BYTES) ||
           refuse(answer, API_INVALID_FIELD, pair->name,
                  "The query parameter holder must be 1 to %u bytes of printable ASCII without spaces.",
                  LIMIT_NAME_BYTES);
}

static bool parse_limit(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    uint64_t limit = 0;
    if (!number_parse(pair->value, LIMIT_LIST, &limit)) {
        return refuse(answer, API_INVALID_FIELD, pair->name,
                      "The query parameter limit must be an integer from 1 to %u.", LIMIT_LIST);
    }
    request->list.limit = (size_t)limit;
    return true;
}

/* Everything is listed by its name; locks by id and token, and a page may end between two locks of one schedule. */
static bool parse_after(const struct api_pair *pair, struct api_request *request, struct api_answer *answer)
{
    struct list_query *list = &request->list;
    list->after_id = pair->value;
    const uint8_t *mark = NULL;
    if (request->route == API_LOCK_LIST && pair->value.len > 0) {
        mark = memchr(pair->value.base, '!', pair->value.len);
    }
    bool valid = true;
    if (mark != NULL) {
        list->after_id.len = (size_t)(mark - pair->value.base);
        struct slice token = {.base = mark + 1, .len = pair->value.len - list->after_id.len - 1};
        valid = number_parse(token, LIMIT_NUMBER_MAX, &list->after_token);
    }
    bool is_freeze = request->route == API_FREEZE_LIST;
    return (valid && (is_freeze ? scope_is_valid(list->after_id) : schedule_id_is_valid(list->after_id))) ||
           refuse(
               answer, API_INVALID_FIELD, pair->name,
               "The query parameter after must be what the page before had in next; leave it out for the first page.");
}

static const struct parameter parameters[] = {
    {"token", true, parse_token},    {"outcome", false, parse_outcome},   {"consistency", false, parse_consistency},
    {"prefix", false, parse_prefix}, {"holder", false, parse_holder},     {"limit", false, parse_limit},
    {"after", false, parse_after},   {"schedule", false, parse_schedule}, {"renewals", false, parse_renewals},
};
#define N_PARAMETERS (sizeof parameters / sizeof parameters[0])

/* Is `name` one of the names in `list`, which stand there with a space between two? */
static bool takes(const char *list, struct slice name)
{
    while (*list != 0) {
        size_t len = strcspn(list, " ");
        if (slice_equal(name, (struct slice){.base = (const uint8_t *)list, .len = len})) {
            return true;
        }
        list += len + (list[len] == ' ');
    }
    return false;
}

/* N_PARAMETERS when the route doesn't take it. */
static size_t find_parameter(const struct api_route_row *row, struct slice name)
{
    size_t i = takes(row->parameters, name) ? 0 : N_PARAMETERS;
    while (i < N_PARAMETERS && !slice_equal(name, slice_of(parameters[i].name))) {
        i++;
    }
    return i;
}

bool query_parse(const struct api_input *input, const struct api_route_row *row, struct api_request *request,
                 struct api_answer *answer)
{
    bool given[N_PARAMETERS] = {false};
    request->list.limit = LIMIT_LIST;
    for (size_t n = 0; n < input->n_query; n++) {
        const struct api_pair *pair = &input->query[n];
        size_t i = find_parameter(row, pair->name);
        if (i == N_PARAMETERS) {
            return refuse(answer, API_UNKNOWN_FIELD, pair->name,
                          "Remove the query parameter: this route doesn't know it.");
        }
        if (given[i]) {
            return refuse(answer, API_INVALID_FIELD, pair->name, "The query parameter is given twice: give it once.");
        }
        given[i] = true;
        if (!parameters[i].parse(pair, request, answer)) {
            return false;
        }
    }
    for (size_t i = 0; i < N_PARAMETERS; i++) {
        if (parameters[i].required && !given[i] && takes(row->parameters, slice_of(parameters[i].name))) {
            return refuse(answer, API_INVALID_FIELD, slice_of(parameters[i].name),
                          "The query parameter %s is missing: this request needs it.", parameters[i].name);
        }
    }
    return true;
}
