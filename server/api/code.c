/* code: the one table of codes, statuses and titles, and the problem that is made of a row. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/json.h"

#define FIELD_SHOWN_BYTES 64u   /* of a name that the client made up */
#define DETAIL_BYTES      1024u /* room for the longest name, twice */

/* First those of enum api_code, in its order; then the refusals of core. */
static const struct api_code_row rows[] = {
    [API_MALFORMED_JSON] = {"malformed_json", 400, "The body is not valid JSON"},
    [API_INVALID_FIELD] = {"invalid_field", 400, "A field has an invalid value"},
    [API_UNKNOWN_FIELD] = {"unknown_field", 400, "A field is unknown"},
    [API_INVALID_NAME] = {"invalid_name", 400, "A name has an invalid form"},
    [API_NOT_FOUND] = {"not_found", 404, "There is nothing here"},
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
    {"unknown_group", 422, "The group doesn't exist"},
    {"group_in_use", 409, "The group is in use"},
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

void problem_put_members(struct json_writer *json, const struct api_code_row *row, const char *detail)
{
    char type[64];
    (void)snprintf(type, sizeof type, "urn:baton:problem:%s", row->code);
    json_put_word(json, "type", type);
    json_put_word(json, "title", row->title);
    json_put_number(json, "status", row->status);
    json_put_word(json, "code", row->code);
    json_put_word(json, "detail", detail);
}

struct json_writer problem_begin(struct api_answer *answer, const struct api_code_row *row, const char *detail)
{
    struct json_writer json = answer_begin(answer, row->status);
    answer->content_type = "application/problem+json";
    answer->retry_after_s = row->status == 503 ? 1 : 0;
    problem_put_members(&json, row, detail);
    return json;
}

bool refuse(struct api_answer *answer, enum api_code code, struct slice field, const char *detail, ...)
{
    char sentence[DETAIL_BYTES];
    va_list arguments;
    va_start(arguments, detail);
    (void)vsnprintf(sentence, sizeof sentence, detail, arguments);
    va_end(arguments);
    struct json_writer json = problem_begin(answer, code_row(code), sentence);
    if (slice_is_present(field)) {
        field.len = field.len < FIELD_SHOWN_BYTES ? field.len : FIELD_SHOWN_BYTES;
        json_put_text(&json, "field", field);
    }
    answer_end(&json);
    return false;
}

void api_render_problem(enum api_code code, const char *field, const char *detail, struct api_answer *answer)
{
    (void)refuse(answer, code, slice_of(field), "%s", detail);
}

static const char *unknown_detail(const struct api_request *request, bool has_key)
{
    if (has_key) {
        return "The request may or may not take effect. Send it again with the same Idempotency-Key.";
    }
    if (request->route == API_REVOKE && request->command.revoke.token == 0) {
        return "The request may or may not take effect. Look at the schedule's runs before you send it again: without "
               "a "
               "token it revokes whoever has the lock by then.";
    }
    return "The request may or may not take effect. Sending it again is safe.";
}

void api_render_unknown(const struct api_request *request, struct slice idempotency_key, struct api_answer *answer)
{
    const char *detail = unknown_detail(request, slice_is_present(idempotency_key));
    struct json_writer json = problem_begin(answer, code_row(API_OUTCOME_UNKNOWN), detail);
    if (slice_is_present(idempotency_key)) {
        json_put_text(&json, "idempotency_key", idempotency_key);
    }
    answer_end(&json);
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
