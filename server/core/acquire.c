/* acquire: the happy path is a new run, a new grant, and its occurrence with one attempt more. Before it, in the order
 * that API.md fixes ("Order of checks"), each function below either lets the request through or writes its refusal (or,
 * for a repeat, the first answer). The checks of freezes and groups will stand where the order says.
 *
 * A refusal changes nothing: it leaves no key, no occurrence, no schedule. */
#include "core/table.h"

#include <string.h>

#include "core/rules.h"

/* One acquire on its way through the checks. */
struct acquisition {
    struct lock_table *table;
    const struct acquire_command *command;
    const struct policy *policy; /* the schedule's own, or the one by default */
    struct table_node *node;     /* NULL: the schedule isn't remembered */
    struct schedule_draft *draft;
    struct outcome *outcome;
    struct digest128 fingerprint;
    uint64_t estimate_ms;
    uint64_t ttl_ms;
    struct occurrence_key key;
    struct occurrence_image *occurrence; /* in the draft; NULL: the request has none, or it isn't remembered */
};

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
    struct schedule_draft *draft = acquisition->draft;
    struct outcome *outcome = acquisition->outcome;
    acquisition->fingerprint = fingerprint_of(acquisition->command);
    const struct run_image *run = draft_find_run_by_key(draft, acquisition->command->idempotency_key);
    if (run == NULL) {
        return false;
    }
    if (!digest128_equal(&run->fingerprint, &acquisition->fingerprint)) {
        outcome->code = OUTCOME_IDEMPOTENCY_CONFLICT;
    } else if (run->outcome != RUN_RUNNING) {
        outcome->code = OUTCOME_GRANT_ENDED;
        outcome_set_run(outcome, draft, run);
    } else {
        outcome->repeated = true;
        outcome_set_grant(outcome, acquisition->table, draft, draft_find_grant(draft, run->token));
    }
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
    struct outcome *outcome = acquisition->outcome;
    uint64_t estimate_ms = policy->estimate_ms;
    if (command->has_estimate && command->estimate_ms > estimate_ms) {
        estimate_ms = command->estimate_ms;
    }
    uint64_t minimum_ms = add_saturated(estimate_ms, policy->margin_ms);
    if (!command->has_ttl && estimate_ms == 0) {
        outcome_refuse_field(outcome, "ttl_ms");
        return true;
    }
    acquisition->estimate_ms = estimate_ms;
    acquisition->ttl_ms = command->has_ttl ? command->ttl_ms : minimum_ms;
    if (acquisition->ttl_ms >= minimum_ms && acquisition->ttl_ms <= policy->max_ttl_ms) {
        return false;
    }
    outcome->code = acquisition->ttl_ms < minimum_ms ? OUTCOME_TTL_TOO_SHORT : OUTCOME_TTL_TOO_LONG;
    outcome->minimum_ms = minimum_ms;
    outcome->maximum_ms = policy->max_ttl_ms;
    outcome->estimate_ms = estimate_ms;
    outcome->margin_ms = policy->margin_ms;
    return true;
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
    struct outcome *outcome = acquisition->outcome;
    if (!slice_is_present(acquisition->command->occurrence)) {
        return false;
    }
    acquisition->key = occurrence_key_of(acquisition->command->occurrence);
    acquisition->occurrence = draft_find_occurrence(draft, &acquisition->key);
    const struct occurrence_image *occurrence = acquisition->occurrence;
    if (occurrence == NULL) {
        if (is_below_floor(&draft->image, &acquisition->key)) {
            outcome->code = OUTCOME_OCCURRENCE_DONE;
            outcome_set_run(outcome, draft, draft_find_run_by_occurrence(draft, &acquisition->key));
            return true;
        }
        return false;
    }
    if (occurrence->succeeded) {
        outcome->code = OUTCOME_OCCURRENCE_DONE;
        outcome_set_run(outcome, draft, draft_find_run(draft, occurrence->run_token));
    } else if (schedule_image_has_grant(&draft->image, occurrence->run_token)) {
        outcome->code = OUTCOME_LOCK_HELD;
        outcome_set_holders(outcome, acquisition->table, draft);
    } else if (occurrence->attempts >= acquisition->policy->max_attempts) {
        outcome->code = OUTCOME_ATTEMPTS_EXHAUSTED;
        outcome_set_run(outcome, draft, draft_find_run(draft, occurrence->run_token));
    } else {
        return false;
    }
    return true;
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
    acquisition->outcome->code = OUTCOME_LOCK_HELD;
    outcome_set_holders(acquisition->outcome, acquisition->table, draft);
    return true;
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
    acquisition->outcome->code = OUTCOME_COOLING_DOWN;
    acquisition->outcome->remaining_ms = over_ms - acquisition->table->numbers.now_ms;
    return true;
}

/* ---- capacity ---- */

static bool acquire_refuses_growth(struct acquisition *acquisition, bool no_growth)
{
    const struct lock_table *table = acquisition->table;
    bool is_new = acquisition->node == NULL;
    bool new_occurrence = slice_is_present(acquisition->command->occurrence) && acquisition->occurrence == NULL;
    struct table_growth growth = {.bytes = schedule_count_growth(acquisition->command, is_new, new_occurrence),
                                  .is_new = is_new,
                                  .has_policy = acquisition->draft->image.has_policy};
    if (!no_growth && table_has_room(table, growth) && table->numbers.next_token <= LIMIT_NUMBER_MAX) {
        return false;
    }
    acquisition->outcome->code = OUTCOME_CAPACITY;
    return true;
}

/* ---- the grant ---- */

static uint32_t count_attempt(struct acquisition *acquisition, uint64_t token)
{
    if (!slice_is_present(acquisition->command->occurrence)) {
        return 0;
    }
    if (acquisition->occurrence == NULL) {
        acquisition->occurrence = draft_add_occurrence(acquisition->draft, &acquisition->key);
    }
    acquisition->occurrence->run_token = token;
    return ++acquisition->occurrence->attempts;
}

static void acquire_grant(struct acquisition *acquisition)
{
    struct lock_table *table = acquisition->table;
    struct schedule_draft *draft = acquisition->draft;
    const struct acquire_command *command = acquisition->command;
    uint64_t token = table->numbers.next_token++;
    struct run_image run = {
        .token = token,
        .granted_ms = table->numbers.now_ms,
        .acquired_wall_ms = table->numbers.wall_ms,
        .holder = command->holder,
        .occurrence = command->occurrence,
        .idempotency_key = command->idempotency_key,
        .fingerprint = acquisition->fingerprint,
        .outcome = RUN_RUNNING,
        .late_outcome = RUN_OUTCOME_NONE,
        .attempt = count_attempt(acquisition, token),
    };
    struct grant_image grant = {
        .token = token,
        .granted_ms = table->numbers.now_ms,
        .deadline_ms = table->numbers.now_ms + acquisition->ttl_ms,
        .ttl_ms = acquisition->ttl_ms,
        .granted_ttl_ms = acquisition->ttl_ms,
        .estimate_ms = acquisition->estimate_ms,
        .margin_ms = acquisition->policy->margin_ms,
        .max_ttl_ms = acquisition->policy->max_ttl_ms,
        .metadata = command->metadata,
    };
    draft_add_run(draft, &run);
    draft_add_grant(draft, &grant);
    draft_set_forgetting(draft, table->numbers.now_ms);
    draft_trim(draft, token);
    table->held++;
    table_keep(table, acquisition->node, draft);
    outcome_set_grant(acquisition->outcome, table, draft, draft_find_grant(draft, token));
}

void apply_acquire(struct lock_table *table, bool no_growth, const struct acquire_command *command,
                   struct outcome *outcome)
{
    struct acquisition acquisition = {.table = table, .command = command, .draft = &table->draft, .outcome = outcome};
    const char *field = field_out_of_bounds(command);
    if (field != NULL) {
        outcome_refuse_field(outcome, field);
        return;
    }
    acquisition.node = table_open_draft(table, command->schedule_id);
    acquisition.policy = table->draft.image.has_policy ? &table->draft.image.policy.policy
                                                       : rules_default_policy(table->numbers.rules_version);
    if (acquire_is_repeat(&acquisition) || acquire_refuses_ttl(&acquisition) ||
        acquire_refuses_occurrence(&acquisition) || acquire_refuses_slot(&acquisition) ||
        acquire_refuses_hurry(&acquisition) || acquire_refuses_growth(&acquisition, no_growth)) {
        return;
    }
    acquire_grant(&acquisition);
}
