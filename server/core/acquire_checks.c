/* What becomes of an acquire: in the order that API.md fixes ("Order of checks"), each function below either lets the
 * request through or gives its refusal (or, for a repeat, the first answer). Nothing is changed and nothing shown here:
 * whoever waits asks the same way (lock_table_probe). */
#include "core/acquire.h"

#include <string.h>

#include "core/rules.h"

/* For the end of a check: always true. */
static bool refuse(struct acquisition *acquisition, enum outcome_code code)
{
    acquisition->code = code;
    return true;
}

/* ---- form ---- */

static bool is_within(struct slice slice, size_t limit)
{
    return slice.len >= 1 && slice.len <= limit;
}

/* What api refuses before it gets here; but a command may come from a peer, and the table never stores more than its
 * bounds. */
static const char *field_out_of_bounds(const struct acquire_command *command)
{
    if (!is_within(command->schedule_id, LIMIT_NAME_BYTES)) {
        return "schedule_id";
    }
    if (!is_within(command->holder, LIMIT_NAME_BYTES)) {
        return "holder";
    }
    if (!is_within(command->idempotency_key, LIMIT_OCCURRENCE_BYTES)) {
        return "idempotency_key";
    }
    if (slice_is_present(command->occurrence) && !is_within(command->occurrence, LIMIT_OCCURRENCE_BYTES)) {
        return "occurrence";
    }
    return command->metadata.len > LIMIT_METADATA_BYTES ? "metadata" : NULL;
}

/* ---- the repeat of a key ---- */

struct fingerprint_bytes {
    uint8_t bytes[64 + LIMIT_NAME_BYTES + LIMIT_OCCURRENCE_BYTES + LIMIT_METADATA_BYTES];
    size_t len;
};

static void fingerprint_number(struct fingerprint_bytes *fingerprint, uint64_t value)
{
    CHECK(sizeof value <= sizeof fingerprint->bytes - fingerprint->len);
    bytes_put_u64(fingerprint->bytes + fingerprint->len, value);
    fingerprint->len += sizeof value;
}

/* Its length (with the bit above set when it is present) goes first, so that no two requests give the same bytes. */
static void fingerprint_slice(struct fingerprint_bytes *fingerprint, struct slice slice)
{
    fingerprint_number(fingerprint, slice_is_present(slice) ? 1ull << 32 | slice.len : 0);
    CHECK(slice.len <= sizeof fingerprint->bytes - fingerprint->len);
    if (slice.len > 0) {
        memcpy(fingerprint->bytes + fingerprint->len, slice.base, slice.len);
        fingerprint->len += slice.len;
    }
}

/* Of the body as it was sent, before defaults. */
static struct digest128 fingerprint_of(const struct acquire_command *command)
{
    struct fingerprint_bytes fingerprint;
    fingerprint.len = 0;
    fingerprint_number(&fingerprint, (command->has_ttl ? 1u : 0u) | (command->has_estimate ? 2u : 0u));
    fingerprint_number(&fingerprint, command->has_ttl ? command->ttl_ms : 0);
    fingerprint_number(&fingerprint, command->has_estimate ? command->estimate_ms : 0);
    fingerprint_slice(&fingerprint, command->holder);
    fingerprint_slice(&fingerprint, command->occurrence);
    fingerprint_slice(&fingerprint, command->metadata);
    return checksum_128(fingerprint.bytes, fingerprint.len);
}

/* True when a kept run has the key, and so the request is answered. */
static bool acquire_is_repeat(struct acquisition *acquisition)
{
    acquisition->fingerprint = fingerprint_of(acquisition->command);
    const struct run_image *run = draft_find_run_by_key(acquisition->draft, acquisition->command->idempotency_key);
    if (run == NULL) {
        return false;
    }
    if (!digest128_equal(&run->fingerprint, &acquisition->fingerprint)) {
        return refuse(acquisition, OUTCOME_IDEMPOTENCY_CONFLICT);
    }
    acquisition->run = run;
    if (run->outcome != RUN_RUNNING) {
        return refuse(acquisition, OUTCOME_GRANT_ENDED);
    }
    acquisition->repeated = true;
    return true;
}

/* ---- ttl_* ---- */

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static bool acquire_refuses_ttl(struct acquisition *acquisition)
{
    const struct acquire_command *command = acquisition->command;
    const struct policy *policy = acquisition->policy;
    uint64_t estimate_ms = policy->estimate_ms;
    if (command->has_estimate && command->estimate_ms > estimate_ms) {
        estimate_ms = command->estimate_ms;
    }
    uint64_t minimum_ms = add_saturated(estimate_ms, policy->margin_ms);
    if (!command->has_ttl && estimate_ms == 0) {
        acquisition->field = "ttl_ms";
        return refuse(acquisition, OUTCOME_INVALID_FIELD);
    }
    acquisition->minimum_ms = minimum_ms;
    acquisition->estimate_ms = estimate_ms;
    acquisition->ttl_ms = command->has_ttl ? command->ttl_ms : minimum_ms;
    if (acquisition->ttl_ms >= minimum_ms && acquisition->ttl_ms <= policy->max_ttl_ms) {
        return false;
    }
    return refuse(acquisition, acquisition->ttl_ms < minimum_ms ? OUTCOME_TTL_TOO_SHORT : OUTCOME_TTL_TOO_LONG);
}

/* ---- occurrence_done, running now, attempts_exhausted ---- */

/* An instant at or below the floor that isn't remembered may have run: in doubt it has. */
static bool is_below_floor(const struct schedule_image *image, const struct occurrence_key *key)
{
    struct instant floor = {image->floor_s, image->floor_ns};
    return image->has_floor && key->is_instant && instant_compare(key->instant, floor) <= 0;
}

static bool acquire_refuses_occurrence(struct acquisition *acquisition)
{
    struct schedule_draft *draft = acquisition->draft;
    if (!slice_is_present(acquisition->command->occurrence)) {
        return false;
    }
    acquisition->key = occurrence_key_of(acquisition->command->occurrence);
    acquisition->occurrence = draft_find_occurrence(draft, &acquisition->key);
    const struct occurrence_image *occurrence = acquisition->occurrence;
    if (occurrence == NULL) {
        if (!is_below_floor(&draft->image, &acquisition->key)) {
            return false;
        }
        acquisition->run = draft_find_run_by_occurrence(draft, &acquisition->key);
        return refuse(acquisition, OUTCOME_OCCURRENCE_DONE);
    }
    acquisition->run = draft_find_run(draft, occurrence->run_token);
    if (occurrence->succeeded) {
        return refuse(acquisition, OUTCOME_OCCURRENCE_DONE);
    }
    if (schedule_image_has_grant(&draft->image, occurrence->run_token)) {
        return refuse(acquisition, OUTCOME_LOCK_HELD);
    }
    return occurrence->attempts >= acquisition->policy->max_attempts && refuse(acquisition, OUTCOME_ATTEMPTS_EXHAUSTED);
}

/* ---- frozen ---- */

static bool acquire_refuses_freeze(struct acquisition *acquisition)
{
    acquisition->freeze = freezes_find_over(acquisition->table, acquisition->command->schedule_id);
    return acquisition->freeze != NULL && refuse(acquisition, OUTCOME_FROZEN);
}

/* ---- lock_held ---- */

static bool holder_has_slot(struct schedule_draft *draft, struct slice holder)
{
    for (size_t i = 0; i < draft->image.n_grants; i++) {
        if (slice_equal(draft_find_run(draft, draft->grants[i].token)->holder, holder)) {
            return true;
        }
    }
    return false;
}

static bool acquire_refuses_slot(struct acquisition *acquisition)
{
    struct schedule_draft *draft = acquisition->draft;
    if (draft->image.n_grants < acquisition->policy->slots && !holder_has_slot(draft, acquisition->command->holder)) {
        return false;
    }
    return refuse(acquisition, OUTCOME_LOCK_HELD);
}

/* ---- cooling_down ---- */

/* The newest run is always kept. */
static bool acquire_refuses_hurry(struct acquisition *acquisition)
{
    const struct schedule_image *image = &acquisition->draft->image;
    if (image->n_runs == 0) {
        return false;
    }
    uint64_t over_ms = image->runs[image->n_runs - 1].granted_ms + acquisition->policy->min_hold_ms;
    if (over_ms <= acquisition->table->numbers.now_ms) {
        return false;
    }
    acquisition->remaining_ms = over_ms - acquisition->table->numbers.now_ms;
    return refuse(acquisition, OUTCOME_COOLING_DOWN);
}

/* ---- group_full ---- */

static bool acquire_refuses_group(struct acquisition *acquisition)
{
    const struct slice name = acquisition->policy->group;
    if (!slice_is_present(name)) {
        return false;
    }
    acquisition->group = groups_find(acquisition->table, name);
    CHECK(acquisition->group != NULL);
    return acquisition->group->use->held >= acquisition->group->slots && refuse(acquisition, OUTCOME_GROUP_FULL);
}

/* ---- capacity ---- */

static bool acquire_refuses_growth(struct acquisition *acquisition, bool no_growth)
{
    const struct lock_table *table = acquisition->table;
    const struct acquire_command *command = acquisition->command;
    bool is_new = acquisition->node == NULL;
    const struct grant_growth grant = {.command = command,
                                       .group = acquisition->policy->group,
                                       .has_new_schedule = is_new,
                                       .has_new_occurrence =
                                           slice_is_present(command->occurrence) && acquisition->occurrence == NULL};
    const struct table_growth growth = {.bytes = grant_growth_count_bytes(&grant),
                                        .is_new = is_new,
                                        .has_policy = acquisition->draft->image.has_policy};
    bool has_room = !no_growth && table_has_room(table, growth) && table->numbers.next_token <= LIMIT_NUMBER_MAX;
    return !has_room && refuse(acquisition, OUTCOME_CAPACITY);
}

/* ---- all of them ---- */

static bool acquire_refuses_form(struct acquisition *acquisition)
{
    acquisition->field = field_out_of_bounds(acquisition->command);
    return acquisition->field != NULL && refuse(acquisition, OUTCOME_INVALID_FIELD);
}

void acquire_decide(struct acquisition *acquisition, bool no_growth)
{
    struct lock_table *table = acquisition->table;
    if (acquire_refuses_form(acquisition)) {
        return;
    }
    acquisition->draft = &table->draft;
    acquisition->node = table_open_draft(table, acquisition->command->schedule_id);
    acquisition->policy = table->draft.image.has_policy ? &table->draft.image.policy.policy
                                                        : rules_default_policy(table->numbers.rules_version);
    bool is_decided = acquire_is_repeat(acquisition) || acquire_refuses_ttl(acquisition) ||
                      acquire_refuses_occurrence(acquisition) || acquire_refuses_freeze(acquisition) ||
                      acquire_refuses_slot(acquisition) || acquire_refuses_hurry(acquisition) ||
                      acquire_refuses_group(acquisition) || acquire_refuses_growth(acquisition, no_growth);
    (void)is_decided; /* `code` says it: DONE as long as none has refused */
}
