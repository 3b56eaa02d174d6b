/* render: outcomes, states and health out. Every object has all of its members, in the order of the contract; what there
 * is not is null. */
#include "api/json.h"

static json_t *new_object(void)
{
    json_t *object = json_object();
    CHECK(object != NULL);
    return object;
}

/* What was taken as compact JSON when the lock was granted. */
static json_t *metadata_object(struct slice metadata)
{
    if (!slice_is_present(metadata)) {
        return json_null();
    }
    json_t *object = json_loadb((const char *)metadata.base, metadata.len, 0, NULL);
    return object == NULL ? json_null() : object;
}

static json_t *lock_object(const struct grant_view *grant)
{
    json_t *lock = new_object();
    json_put(lock, "schedule_id", json_text(grant->schedule_id));
    json_put(lock, "holder", json_text(grant->holder));
    json_put(lock, "token", json_number(grant->token));
    json_put(lock, "ttl_ms", json_number(grant->ttl_ms));
    json_put(lock, "remaining_ms", json_number(grant->remaining_ms));
    json_put(lock, "acquired_at", json_instant(grant->acquired_wall_ms));
    json_put(lock, "expires_at", json_instant(grant->expires_wall_ms));
    json_put(lock, "occurrence", json_text_or_null(grant->occurrence));
    json_put(lock, "attempt", grant->attempt == 0 ? json_null() : json_number(grant->attempt));
    json_put(lock, "metadata", metadata_object(grant->metadata));
    return lock;
}

static json_t *locks_array(const struct grant_view *grants, size_t n)
{
    json_t *locks = json_array();
    CHECK(locks != NULL);
    for (size_t i = 0; i < n; i++) {
        CHECK(json_array_append_new(locks, lock_object(&grants[i])) == 0);
    }
    return locks;
}

static json_t *run_object(const struct run_view *run)
{
    bool over = run->outcome != RUN_RUNNING;
    json_t *object = new_object();
    json_put(object, "token", json_number(run->token));
    json_put(object, "holder", json_text(run->holder));
    json_put(object, "occurrence", json_text_or_null(run->occurrence));
    json_put(object, "attempt", run->attempt == 0 ? json_null() : json_number(run->attempt));
    json_put(object, "outcome", json_string(run_outcome_name(run->outcome)));
    json_put(object, "late_outcome",
             run->late_outcome == RUN_OUTCOME_NONE
                 ? json_null()
                 : json_string(run_outcome_name((enum run_outcome)run->late_outcome)));
    json_put(object, "acquired_at", json_instant(run->acquired_wall_ms));
    json_put(object, "ended_at", over ? json_instant(run->ended_wall_ms) : json_null());
    json_put(object, "duration_ms", over ? json_number(run->duration_ms) : json_null());
    json_put(object, "actor", json_text_or_null(run->actor));
    json_put(object, "reason", json_text_or_null(run->reason));
    return object;
}

/* ---- refusals of core ---- */

/* What a refusal says: to the log in a few words, to the client as a sentence with what to do. */
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
     "This occurrence was tried as often as the schedule allows. Look at the run to see why it didn't succeed."},
    {OUTCOME_FROZEN, "a freeze is in force",
     "A freeze is in force, and no lock in its scope is granted. Try again when it is over."},
    {OUTCOME_LOCK_HELD, "the lock is held by another peer", "The lock is held. Try again when it is free."},
    {OUTCOME_COOLING_DOWN, "the schedule is cooling down",
     "The least time between two grants isn't over. Try again after remaining_ms."},
    {OUTCOME_GROUP_FULL, "its group is full", "The schedule's group has no free slot. Try again when one is free."},
    {OUTCOME_CAPACITY, "a limit of the cluster is reached",
     "A documented limit is reached and nothing was changed. Release or delete what isn't needed."},
    {OUTCOME_LOCK_LOST, "the lock is no longer held with this token",
     "The lock is no longer held with this token. Stop the job, or acquire the lock again before it goes on."},
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
    } else {
        buffer_printf(sentence, "%s", refusal_row(outcome->code)->reason);
    }
}

static json_t *refusal_problem(const struct api_request *request, const struct outcome *outcome,
                               const struct api_code_row *row)
{
    if (outcome->code != OUTCOME_LOCK_HELD) {
        return problem_new(row, refusal_row(outcome->code)->detail);
    }
    struct buffer sentence; /* the contract fixes it */
    buffer_init(&sentence);
    api_render_skipped(request->schedule_id, outcome, &sentence);
    buffer_append(&sentence, "", 1);
    json_t *problem = problem_new(row, (const char *)sentence.base);
    buffer_close(&sentence);
    return problem;
}

static void put_holders(json_t *problem, const struct outcome *outcome)
{
    if (outcome->n_holders > 0) {
        const struct grant_view *first = &outcome->holders[0];
        json_put(problem, "holder", json_text(first->holder));
        json_put(problem, "token", json_number(first->token));
        json_put(problem, "remaining_ms", json_number(first->remaining_ms));
        json_put(problem, "acquired_at", json_instant(first->acquired_wall_ms));
    }
    json_put(problem, "holders", locks_array(outcome->holders, outcome->n_holders));
}

/* The members that the contract names for this code. */
static void put_refusal_members(json_t *problem, const struct outcome *outcome)
{
    switch (outcome->code) {
    case OUTCOME_INVALID_FIELD:
        json_put(problem, "field", json_text_or_null(slice_of(outcome->field)));
        break;
    case OUTCOME_GRANT_ENDED:
    case OUTCOME_OCCURRENCE_DONE:
    case OUTCOME_ATTEMPTS_EXHAUSTED:
        json_put(problem, "run", outcome->has_run ? run_object(&outcome->run) : json_null());
        break;
    case OUTCOME_LOCK_LOST:
        json_put(problem, "run", outcome->has_run ? run_object(&outcome->run) : json_null());
        json_put(problem, "holder", outcome->n_holders > 0 ? json_text(outcome->holders[0].holder) : json_null());
        break;
    case OUTCOME_TTL_TOO_SHORT:
        json_put(problem, "minimum_ms", json_number(outcome->minimum_ms));
        json_put(problem, "estimated_duration_ms", json_number(outcome->estimate_ms));
        json_put(problem, "safety_margin_ms", json_number(outcome->margin_ms));
        break;
    case OUTCOME_TTL_TOO_LONG:
        json_put(problem, "maximum_ms", json_number(outcome->maximum_ms));
        break;
    case OUTCOME_LOCK_HELD:
    case OUTCOME_GROUP_FULL:
        put_holders(problem, outcome);
        break;
    case OUTCOME_COOLING_DOWN:
    case OUTCOME_FROZEN:
        json_put(problem, "remaining_ms", json_number(outcome->remaining_ms));
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

static void render_refusal(const struct api_request *request, const struct outcome *outcome, struct api_answer *answer)
{
    const struct api_code_row *row = code_row_named(outcome_code_name(outcome->code));
    json_t *problem = refusal_problem(request, outcome, row);
    put_refusal_members(problem, outcome);
    answer_with_problem(answer, row, problem);
    if (outcome->code == OUTCOME_COOLING_DOWN || outcome->code == OUTCOME_FROZEN) {
        answer->retry_after_s = seconds_rounded_up(outcome->remaining_ms);
    }
}

void api_render_outcome(const struct api_request *request, const struct outcome *outcome, struct api_answer *answer)
{
    if (outcome->code != OUTCOME_DONE) {
        render_refusal(request, outcome, answer);
        return;
    }
    switch (request->command.kind) {
    case COMMAND_ACQUIRE:
        CHECK(outcome->has_grant);
        answer_with(answer, 201, lock_object(&outcome->grant));
        answer->idempotency_key = request->command.acquire.idempotency_key;
        return;
    case COMMAND_RENEW:
        CHECK(outcome->has_grant);
        answer_with(answer, 200, lock_object(&outcome->grant));
        return;
    case COMMAND_RELEASE:
        CHECK(outcome->has_run);
        answer_with(answer, 200, run_object(&outcome->run));
        return;
    case COMMAND_NOOP:
    case COMMAND_LEADER:
        break;
    }
    check_failed("a command that came from a request", __FILE__, __LINE__);
}

/* ---- states ---- */

void api_render_status(struct slice schedule_id, const struct schedule_view *view, struct api_answer *answer)
{
    json_t *status = new_object();
    json_put(status, "schedule_id", json_text(schedule_id));
    json_put(status, "held", json_boolean(view->n_holders > 0));
    json_put(status, "holders", locks_array(view->holders, view->n_holders));
    json_put(status, "waiting", json_number(0));
    json_put(status, "frozen", json_boolean(view->frozen));
    json_put(status, "last_run", view->has_last_run ? run_object(&view->last_run) : json_null());
    answer_with(answer, 200, status);
}

static json_t *names_array(const char *const *names, size_t n)
{
    json_t *array = json_array();
    CHECK(array != NULL);
    for (size_t i = 0; i < n; i++) {
        CHECK(json_array_append_new(array, json_text(slice_of(names[i]))) == 0);
    }
    return array;
}

void api_render_health(const struct api_health *health, struct api_answer *answer)
{
    json_t *object = new_object();
    json_put(object, "status", json_string(health->status));
    json_put(object, "node", json_text(slice_of(health->node)));
    json_put(object, "role", json_string(health->role));
    json_put(object, "leader", json_text_or_null(slice_of(health->leader)));
    json_put(object, "term", json_number(health->term));
    json_put(object, "commit_index", json_number(health->commit_index));
    json_put(object, "applied_index", json_number(health->applied_index));
    json_put(object, "members", names_array(health->members, health->n_members));
    json_put(object, "version", json_string(health->version));
    json_put(object, "uptime_ms", json_number(health->uptime_ms));
    json_put(object, "reasons", names_array(health->reasons, health->n_reasons));
    answer_with(answer, health->serving ? 200 : 503, object);
    answer->retry_after_s = health->serving ? 0 : 1;
}

void api_render_live(struct api_answer *answer)
{
    json_t *object = new_object();
    json_put(object, "status", json_string("ok"));
    answer_with(answer, 200, object);
}
