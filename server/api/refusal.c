/* refusal: what core refuses, as a problem for the client and as a few words for the log. */
#include <string.h>

#include "api/render.h"
#include "base/limits.h"

/* The reason is for the log, the detail for the client: a sentence with what to do. */
struct refusal_row {
    enum outcome_code code;
    const char *reason;
    const char *detail;
};

static const struct refusal_row refusals[] = {
    {OUTCOME_INVALID_FIELD, "a field is missing or has an invalid value",
     "The field is missing, or has a value that isn't allowed here. Send it as the API's description says."},
    {OUTCOME_IDEMPOTENCY_CONFLICT, "its Idempotency-Key was used for something else",
     "The Idempotency-Key was used with another holder, TTL, estimate, occurrence or metadata. Use a new key for a new "
     "request, and send a repeat unchanged."},
    {OUTCOME_GRANT_ENDED, "the grant of its Idempotency-Key is over",
     "The grant that this Idempotency-Key belongs to is over. Use a new key to ask for another one."},
    {OUTCOME_TTL_TOO_SHORT, "the TTL is shorter than the estimated duration and its safety margin",
     "The TTL must cover the estimated duration and the safety margin. Send ttl_ms of at least minimum_ms."},
    {OUTCOME_TTL_TOO_LONG, "the TTL is longer than allowed",
     "The TTL is longer than allowed. Send ttl_ms of at most maximum_ms."},
    {OUTCOME_OCCURRENCE_DONE, "this occurrence has already run to success",
     "This occurrence has already run to success. There is nothing left to do for it."},
    {OUTCOME_ATTEMPTS_EXHAUSTED, "this occurrence was tried as often as allowed",
     "This occurrence was tried as often as the schedule allows. Look at the run to see why it didn't succeed; to have "
     "it tried again, raise max_attempts of the schedule."},
    {OUTCOME_FROZEN, "a freeze is in force",
     "A freeze is in force, and no lock in its scope is granted. Try again when it is over."},
    {OUTCOME_LOCK_HELD, "the lock is held by another peer", "The lock is held. Try again when it is free."},
    {OUTCOME_COOLING_DOWN, "the schedule is cooling down",
     "The least time between two grants isn't over. Try again after remaining_ms."},
    {OUTCOME_GROUP_FULL, "its group is full",
     "The group of this schedule has no free slot. Try again when a lock of holders is released, or send wait_ms."},
    {OUTCOME_CAPACITY, "a limit of the cluster is reached",
     "A documented limit is reached, or the leader's disk has no reserve left: nothing was changed. Release or delete "
     "what isn't needed, or free space on the disk."},
    {OUTCOME_LOCK_LOST, "the lock is no longer held with this token",
     "The lock is no longer held with this token. Stop the job, or acquire the lock again before it goes on."},
    {OUTCOME_NOT_FOUND, "there is nothing of this name", "There is nothing of this name."},
    {OUTCOME_UNKNOWN_GROUP, "there is no such group",
     "The policy names a group that doesn't exist. Make it first with PUT /groups/NAME, or leave group out."},
    {OUTCOME_GROUP_IN_USE, "the group is in use",
     "The group is in use: take it out of the policies that name it, and wait until the locks that take its slots have "
     "ended."},
};

static const struct refusal_row *refusal_row(enum outcome_code code)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (refusals[i].code == code) {
            return &refusals[i];
        }
    }
    check_failed("a refusal of the table", __FILE__, __LINE__);
}

void api_render_skipped(struct slice schedule_id, const struct outcome *outcome, struct buffer *sentence)
{
    buffer_printf(sentence, "schedule %.*s skipped — ", SLICE_PRINT(schedule_id));
    if (outcome->code == OUTCOME_LOCK_HELD && outcome->n_holders > 0) {
        buffer_printf(sentence, "lock held by peer %.*s", SLICE_PRINT(outcome->holders[0].holder));
    } else if (outcome->code == OUTCOME_GROUP_FULL && outcome->has_group) {
        buffer_printf(sentence, "its group %.*s is full", SLICE_PRINT(outcome->group.name));
    } else if (outcome->code == OUTCOME_FROZEN && outcome->has_freeze) {
        buffer_printf(sentence, "frozen by %.*s (scope %.*s)", SLICE_PRINT(outcome->freeze.actor),
                      SLICE_PRINT(outcome->freeze.scope));
    } else {
        buffer_printf(sentence, "%s", refusal_row(outcome->code)->reason);
    }
}

/* The longest TTL that is allowed is shorter than the shortest one: another ttl_ms doesn't help. */
static bool no_ttl_will_do(const struct outcome *outcome)
{
    return (outcome->code == OUTCOME_TTL_TOO_SHORT || outcome->code == OUTCOME_TTL_TOO_LONG) &&
           outcome->minimum_ms > outcome->maximum_ms;
}

/* What can be wrong with a field is told when it is parsed, but for these, which may be left out as long as the schedule
 * or the grant doesn't need them. */
static const char *field_detail(const char *field)
{
    if (field != NULL && strcmp(field, "ttl_ms") == 0) {
        return "Send ttl_ms, or an estimated_duration_ms above 0: the schedule has no estimate to make a TTL of.";
    }
    if (field != NULL && strcmp(field, "outcome") == 0) {
        return "Say how the job ended, for its occurrence: send outcome=succeeded, outcome=failed or "
               "outcome=abandoned.";
    }
    return refusal_row(OUTCOME_INVALID_FIELD)->detail;
}

static void write_no_ttl_will_do(const struct outcome *outcome, struct buffer *detail)
{
    buffer_printf(detail,
                  "No TTL will do: the estimated duration and the safety margin take %llu ms, and the schedule allows "
                  "%llu ms. Send a smaller estimated_duration_ms, or raise max_ttl_ms of the schedule (to %llu at "
                  "most).",
                  (unsigned long long)outcome->minimum_ms, (unsigned long long)outcome->maximum_ms, LIMIT_TTL_MS);
}

/* Names the group, and what keeps it. */
static void write_group_in_use(const struct group_view *group, struct buffer *detail)
{
    buffer_printf(detail, "Group %.*s is in use: ", SLICE_PRINT(group->name));
    if (group->schedules > 0) {
        buffer_printf(detail, "take it out of the policies that name it (%llu)%s", (unsigned long long)group->schedules,
                      group->held > 0 ? ", and " : ", then delete it.");
    }
    if (group->held > 0) {
        buffer_printf(detail, "wait until the locks that take its slots (%llu) have ended, then delete it.",
                      (unsigned long long)group->held);
    }
}

/* Appends the detail, terminated. */
static void write_detail(const struct api_request *request, const struct outcome *outcome, struct buffer *detail)
{
    if (outcome->code == OUTCOME_LOCK_HELD) { /* the contract fixes it */
        api_render_skipped(request->schedule_id, outcome, detail);
    } else if (no_ttl_will_do(outcome)) {
        write_no_ttl_will_do(outcome, detail);
    } else if (outcome->code == OUTCOME_INVALID_FIELD) {
        buffer_printf(detail, "%s", field_detail(outcome->field));
    } else if (outcome->code == OUTCOME_LOCK_LOST && request->route == API_REVOKE) {
        buffer_printf(detail,
                      "No live grant has this token, so there is nothing to revoke. Look at the lock to see who "
                      "has it now.");
    } else if (outcome->code == OUTCOME_UNKNOWN_GROUP && outcome->has_group) {
        struct slice name = outcome->group.name;
        buffer_printf(detail, "There is no group %.*s. Make it first with PUT /groups/%.*s, or leave group out.",
                      SLICE_PRINT(name), SLICE_PRINT(name));
    } else if (outcome->code == OUTCOME_FROZEN && outcome->has_freeze) {
        buffer_printf(
            detail,
            "A freeze is in force, and no lock in its scope is granted. Try again after remaining_ms, or lift "
            "it: DELETE /freezes/%.*s.",
            SLICE_PRINT(outcome->freeze.scope));
    } else if (outcome->code == OUTCOME_GROUP_IN_USE && outcome->has_group) {
        write_group_in_use(&outcome->group, detail);
    } else {
        buffer_printf(detail, "%s", refusal_row(outcome->code)->detail);
    }
    buffer_append(detail, "", 1);
}

static void put_holders(struct json_writer *json, const struct outcome *outcome)
{
    if (outcome->n_holders > 0) {
        const struct grant_view *first = &outcome->holders[0];
        json_put_text(json, "holder", first->holder);
        json_put_number(json, "token", first->token);
        json_put_number(json, "remaining_ms", first->remaining_ms);
        json_put_instant(json, "acquired_at", first->acquired_wall_ms);
    }
    render_locks(json, "holders", outcome->holders, outcome->n_holders, LOCK_WITHOUT_METADATA);
}

static void put_group(struct json_writer *json, const struct outcome *outcome)
{
    json_put_text_or_null(json, "group", outcome->has_group ? outcome->group.name : (struct slice){0});
    if (outcome->code == OUTCOME_UNKNOWN_GROUP) {
        return;
    }
    json_put_number(json, "held", outcome->has_group ? outcome->group.held : 0);
    if (outcome->code == OUTCOME_GROUP_IN_USE) {
        json_put_number(json, "schedules", outcome->has_group ? outcome->group.schedules : 0);
    } else {
        render_locks(json, "holders", outcome->holders, outcome->n_holders, LOCK_WITHOUT_METADATA);
    }
}

static void put_freeze(struct json_writer *json, const struct outcome *outcome)
{
    static const struct freeze_view none;
    const struct freeze_view *freeze = outcome->has_freeze ? &outcome->freeze : &none;
    json_put_text_or_null(json, "scope", freeze->scope);
    json_put_text_or_null(json, "reason", freeze->reason);
    json_put_text_or_null(json, "actor", freeze->actor);
    json_put_number(json, "remaining_ms", freeze->remaining_ms);
}

/* The members that the contract names for this code. */
static void put_members(struct json_writer *json, const struct outcome *outcome)
{
    const struct run_view *run = outcome->has_run ? &outcome->run : NULL;
    switch (outcome->code) {
    case OUTCOME_INVALID_FIELD:
        json_put_text_or_null(json, "field", slice_of(outcome->field));
        break;
    case OUTCOME_GRANT_ENDED:
    case OUTCOME_OCCURRENCE_DONE:
    case OUTCOME_ATTEMPTS_EXHAUSTED:
        render_run(json, "run", run);
        break;
    case OUTCOME_LOCK_LOST:
        render_run(json, "run", run);
        json_put_text_or_null(json, "holder", outcome->n_holders > 0 ? outcome->holders[0].holder : (struct slice){0});
        break;
    case OUTCOME_TTL_TOO_SHORT:
        json_put_number(json, "minimum_ms", outcome->minimum_ms);
        json_put_number(json, "estimated_duration_ms", outcome->estimate_ms);
        json_put_number(json, "safety_margin_ms", outcome->margin_ms);
        break;
    case OUTCOME_TTL_TOO_LONG:
        json_put_number(json, "maximum_ms", outcome->maximum_ms);
        break;
    case OUTCOME_LOCK_HELD:
        put_holders(json, outcome);
        break;
    case OUTCOME_GROUP_FULL:
    case OUTCOME_UNKNOWN_GROUP:
    case OUTCOME_GROUP_IN_USE:
        put_group(json, outcome);
        break;
    case OUTCOME_FROZEN:
        put_freeze(json, outcome);
        break;
    case OUTCOME_COOLING_DOWN:
        json_put_number(json, "remaining_ms", outcome->remaining_ms);
        break;
    default:
        break;
    }
}

static unsigned seconds_rounded_up(uint64_t ms)
{
    const uint64_t most_s = 604800; /* seven days */
    uint64_t seconds = ms / 1000 + (ms % 1000 != 0);
    return (unsigned)(seconds == 0 ? 1 : seconds < most_s ? seconds : most_s);
}

void render_refusal_members(struct json_writer *json, const struct api_request *request, const struct outcome *outcome)
{
    struct buffer detail;
    buffer_init(&detail);
    write_detail(request, outcome, &detail);
    problem_put_members(json, code_row_named(outcome_code_name(outcome->code)), (const char *)detail.base);
    buffer_close(&detail);
    put_members(json, outcome);
}

void render_refusal(const struct api_request *request, const struct outcome *outcome, struct api_answer *answer)
{
    if (outcome->code == OUTCOME_NOT_FOUND) {
        api_render_missing(request, answer);
        return;
    }
    struct json_writer json = answer_begin(answer, code_row_named(outcome_code_name(outcome->code))->status);
    answer->content_type = "application/problem+json";
    answer->retry_after_s = 0;
    render_refusal_members(&json, request, outcome);
    answer_end(&json);
    if (outcome->code == OUTCOME_COOLING_DOWN) {
        answer->retry_after_s = seconds_rounded_up(outcome->remaining_ms);
    } else if (outcome->code == OUTCOME_FROZEN) {
        answer->retry_after_s = seconds_rounded_up(outcome->has_freeze ? outcome->freeze.remaining_ms : 0);
    }
}

/* ---- what isn't there ---- */

void api_render_missing(const struct api_request *request, struct api_answer *answer)
{
    struct slice id = slice_is_present(request->schedule_id) ? request->schedule_id : slice_of("");
    struct slice name = slice_is_present(request->name) ? request->name : slice_of("");
    switch (request->route) {
    case API_SCHEDULE_GET:
    case API_SCHEDULE_DELETE:
        (void)refuse(answer, API_NOT_FOUND, (struct slice){0},
                     "Schedule %.*s has no policy, so the defaults count for it. Set one with PUT /schedules/%.*s.",
                     SLICE_PRINT(id), SLICE_PRINT(id));
        return;
    case API_GROUP_GET:
    case API_GROUP_DELETE:
        (void)refuse(
            answer, API_NOT_FOUND, (struct slice){0},
            "There is no group %.*s. Make it with PUT /groups/%.*s, or look in GET /groups for those there are.",
            SLICE_PRINT(name), SLICE_PRINT(name));
        return;
    case API_FREEZE_GET:
    case API_FREEZE_DELETE:
        (void)refuse(answer, API_NOT_FOUND, (struct slice){0},
                     "There is no freeze with exactly the scope %.*s, or it is over. Look in GET /freezes for those in "
                     "force.",
                     SLICE_PRINT(name));
        return;
    default:
        (void)refuse(answer, API_NOT_FOUND, (struct slice){0}, "%s", refusal_row(OUTCOME_NOT_FOUND)->detail);
    }
}
