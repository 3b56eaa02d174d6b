/* code: the one table of codes, statuses and titles, and the problem that is made of a row. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/json.h"

#define FIELD_SHOWN_BYTES 64u /* of a name that the client made up */
#define DETAIL_BYTES      512u

/* First those of enum api_code, in its order; then the refusals of core. */
static const struct api_code_row rows[] = {
    [API_MALFORMED_JSON] = {"malformed_json", 400, "The body is not valid JSON"},
    [API_INVALID_FIELD] = {"invalid_field", 400, "A field has an invalid value"},
    [API_UNKNOWN_FIELD] = {"unknown_field", 400, "A field is unknown"},
    [API_INVALID_NAME] = {"invalid_name", 400, "A name has an invalid form"},
    [API_NOT_FOUND] = {"not_found", 404, "There is nothing at this path"},
    [API_METHOD_NOT_ALLOWED] = {"method_not_allowed", 405, "This path doesn't take this method"},
    [API_BODY_TOO_LARGE] = {"body_too_large", 413, "The body is too large"},
    [API_FORBIDDEN] = {"forbidden", 403, "This is not allowed"},
    [API_NO_LEADER] = {"no_leader", 503, "The cluster has no leader"},
    [API_NOT_READY] = {"not_ready", 503, "This node is not ready"},
    [API_OVERLOADED] = {"overloaded", 503, "This node has too much to do"},
    [API_OUTCOME_UNKNOWN] = {"outcome_unknown", 504, "It is not known whether this took effect"},
    [API_INTERNAL] = {"internal", 500, "The server has a bug"},
    {"idempotency_conflict", 409, "The Idempotency-Key was used for something else"},
    {"grant_ended", 409, "The grant of this Idempotency-Key is over"},
    {"ttl_too_short", 422, "The TTL is too short for the job"},
    {"ttl_too_long", 422, "The TTL is too long"},
    {"occurrence_done", 409, "This occurrence has run"},
    {"attempts_exhausted", 409, "This occurrence was tried often enough"},
    {"frozen", 409, "A freeze is in force"},
    {"lock_held", 409, "The lock is held"},
    {"cooling_down", 409, "The schedule is cooling down"},
    {"group_full", 409, "The group is full"},
    {"capacity", 507, "A limit of the cluster is reached"},
    {"lock_lost", 409, "The lock is no longer held with this token"},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

const struct api_code_row *api_code_rows(size_t *n)
{
    *n = N_ROWS;
    return rows;
}

const struct api_code_row *code_row(enum api_code code)
{
    return &rows[code];
}

const struct api_code_row *code_row_named(const char *code)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(rows[i].code, code) == 0) {
            return &rows[i];
        }
    }
    check_failed("a code of the table", __FILE__, __LINE__);
}

json_t *problem_new(const struct api_code_row *row, const char *detail)
{
    char type[64];
    (void)snprintf(type, sizeof type, "urn:baton:problem:%s", row->code);
    json_t *problem = json_object();
    CHECK(problem != NULL);
    json_put(problem, "type", json_string(type));
    json_put(problem, "title", json_string(row->title));
    json_put(problem, "status", json_number(row->status));
    json_put(problem, "code", json_string(row->code));
    json_put(problem, "detail", json_text(slice_of(detail)));
    return problem;
}

void answer_with_problem(struct api_answer *answer, const struct api_code_row *row, json_t *problem)
{
    answer_with(answer, row->status, problem);
    answer->content_type = "application/problem+json";
    if (row->status == 503) {
        answer->retry_after_s = 1;
    }
}

bool refuse(struct api_answer *answer, enum api_code code, struct slice field, const char *detail, ...)
{
    char sentence[DETAIL_BYTES];
    va_list arguments;
    va_start(arguments, detail);
    (void)vsnprintf(sentence, sizeof sentence, detail, arguments);
    va_end(arguments);
    json_t *problem = problem_new(code_row(code), sentence);
    if (slice_is_present(field)) {
        field.len = field.len < FIELD_SHOWN_BYTES ? field.len : FIELD_SHOWN_BYTES;
        json_put(problem, "field", json_text(field));
    }
    answer_with_problem(answer, code_row(code), problem);
    return false;
}

void api_render_problem(enum api_code code, const char *field, const char *detail, struct api_answer *answer)
{
    (void)refuse(answer, code, slice_of(field), "%s", detail);
}

void api_render_unknown(struct slice idempotency_key, struct api_answer *answer)
{
    const struct api_code_row *row = code_row(API_OUTCOME_UNKNOWN);
    json_t *problem =
        problem_new(row, slice_is_present(idempotency_key)
                             ? "The request may or may not take effect. Send it again with the same Idempotency-Key."
                             : "The request may or may not take effect. Sending it again is safe.");
    if (slice_is_present(idempotency_key)) {
        json_put(problem, "idempotency_key", json_text(idempotency_key));
    }
    answer_with_problem(answer, row, problem);
    answer->idempotency_key = idempotency_key;
}

void api_answer_init(struct api_answer *answer)
{
    *answer = (struct api_answer){.content_type = "application/json"};
    buffer_init(&answer->body);
}

void api_answer_close(struct api_answer *answer)
{
    buffer_close(&answer->body);
    api_answer_init(answer);
}
