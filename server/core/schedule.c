/* The unpacked form: finding, adding, forgetting, counting. */
#include "core/schedule.h"

#include <string.h>

void schedule_draft_init(struct schedule_draft *draft, struct slice id)
{
    draft->image = (struct schedule_image){
        .id = id, .grants = draft->grants, .runs = draft->runs, .occurrences = draft->occurrences, .next_order = 1};
}

static void draft_copy_array(void *to, const void *from, size_t bytes)
{
    if (bytes > 0) { /* or there may be no array at all */
        memcpy(to, from, bytes);
    }
}

void schedule_draft_copy(struct schedule_draft *draft, const struct schedule_image *image)
{
    CHECK(image->n_grants <= DRAFT_GRANTS && image->n_runs <= DRAFT_RUNS && image->n_occurrences <= DRAFT_OCCURRENCES);
    draft_copy_array(draft->grants, image->grants, image->n_grants * sizeof draft->grants[0]);
    draft_copy_array(draft->runs, image->runs, image->n_runs * sizeof draft->runs[0]);
    draft_copy_array(draft->occurrences, image->occurrences, image->n_occurrences * sizeof draft->occurrences[0]);
    draft->image = *image;
    draft->image.grants = draft->grants;
    draft->image.runs = draft->runs;
    draft->image.occurrences = draft->occurrences;
}

struct occurrence_key occurrence_key_of(struct slice name)
{
    struct occurrence_key key = {.name = name};
    key.is_instant = instant_parse(name, &key.instant);
    return key;
}

bool occurrence_is_same(struct slice a, struct slice b)
{
    struct occurrence_key key_a = occurrence_key_of(a);
    struct occurrence_key key_b = occurrence_key_of(b);
    return occurrence_key_equal(&key_a, &key_b);
}

bool occurrence_key_equal(const struct occurrence_key *a, const struct occurrence_key *b)
{
    if (a->is_instant != b->is_instant) {
        return false;
    }
    return a->is_instant ? instant_compare(a->instant, b->instant) == 0 : slice_equal(a->name, b->name);
}

struct occurrence_key occurrence_key_of_image(const struct occurrence_image *occurrence)
{
    struct occurrence_key key = {.name = occurrence->name,
                                 .is_instant = occurrence->is_instant,
                                 .instant = {occurrence->instant_s, occurrence->instant_ns}};
    return key;
}

/* The position of the grant with `token`, or where it would stand. */
static size_t grant_position(const struct schedule_image *image, uint64_t token)
{
    size_t first = 0;
    for (size_t len = image->n_grants; len > 0;) {
        size_t half = len / 2;
        if (image->grants[first + half].token < token) {
            first += half + 1;
            len -= half + 1;
        } else {
            len = half;
        }
    }
    return first;
}

bool schedule_image_has_grant(const struct schedule_image *image, uint64_t token)
{
    size_t position = grant_position(image, token);
    return position < image->n_grants && image->grants[position].token == token;
}

struct grant_image *draft_find_grant(struct schedule_draft *draft, uint64_t token)
{
    return schedule_image_has_grant(&draft->image, token) ? &draft->grants[grant_position(&draft->image, token)] : NULL;
}

const struct run_image *schedule_image_find_run(const struct schedule_image *image, uint64_t token)
{
    size_t first = 0;
    for (size_t len = image->n_runs; len > 0;) {
        size_t half = len / 2;
        if (image->runs[first + half].token < token) {
            first += half + 1;
            len -= half + 1;
        } else {
            len = half;
        }
    }
    return first < image->n_runs && image->runs[first].token == token ? &image->runs[first] : NULL;
}

struct run_image *draft_find_run(struct schedule_draft *draft, uint64_t token)
{
    const struct run_image *run = schedule_image_find_run(&draft->image, token);
    return run == NULL ? NULL : &draft->runs[run - draft->runs];
}

struct run_image *draft_find_run_by_key(struct schedule_draft *draft, struct slice idempotency_key)
{
    for (size_t i = draft->image.n_runs; i-- > 0;) {
        if (slice_equal(draft->runs[i].idempotency_key, idempotency_key)) {
            return &draft->runs[i];
        }
    }
    return NULL;
}

struct run_image *draft_find_run_by_occurrence(struct schedule_draft *draft, const struct occurrence_key *key)
{
    for (size_t i = draft->image.n_runs; i-- > 0;) {
        struct occurrence_key of_run = occurrence_key_of(draft->runs[i].occurrence);
        if (occurrence_key_equal(&of_run, key)) {
            return &draft->runs[i];
        }
    }
    return NULL;
}

struct occurrence_image *draft_find_occurrence(struct schedule_draft *draft, const struct occurrence_key *key)
{
    for (size_t i = draft->image.n_occurrences; i-- > 0;) {
        struct occurrence_key remembered = occurrence_key_of_image(&draft->occurrences[i]);
        if (occurrence_key_equal(&remembered, key)) {
            return &draft->occurrences[i];
        }
    }
    return NULL;
}

void draft_add_grant(struct schedule_draft *draft, const struct grant_image *grant)
{
    CHECK(draft->image.n_grants < DRAFT_GRANTS);
    draft->grants[draft->image.n_grants++] = *grant;
}

void draft_add_run(struct schedule_draft *draft, const struct run_image *run)
{
    CHECK(draft->image.n_runs < DRAFT_RUNS);
    draft->runs[draft->image.n_runs++] = *run;
}

struct occurrence_image *draft_add_occurrence(struct schedule_draft *draft, const struct occurrence_key *key)
{
    CHECK(draft->image.n_occurrences < DRAFT_OCCURRENCES);
    struct occurrence_image *occurrence = &draft->occurrences[draft->image.n_occurrences++];
    *occurrence = (struct occurrence_image){.name = key->name,
                                            .is_instant = key->is_instant,
                                            .instant_s = key->instant.seconds,
                                            .instant_ns = key->instant.nanoseconds,
                                            .order = draft->image.next_order++};
    return occurrence;
}

static void draft_trim_runs(struct schedule_draft *draft, uint64_t token)
{
    struct schedule_image *image = &draft->image;
    while (image->n_runs > LIMIT_RUNS_PER_SCHEDULE && image->n_runs - image->n_grants >= LIMIT_RUNS_PER_SCHEDULE) {
        struct run_image *first = NULL;
        for (struct run_image *run = draft->runs; run < draft->runs + image->n_runs - 1; run++) {
            if ((first == NULL || run->ended_ms < first->ended_ms) && run->token != token &&
                !schedule_image_has_grant(image, run->token)) {
                first = run;
            }
        }
        CHECK(first != NULL);
        size_t after = image->n_runs - (size_t)(first - draft->runs) - 1;
        memmove(first, first + 1, after * sizeof *first);
        image->n_runs--;
    }
}

/* True when `a` is to be forgotten before `b`. */
static bool forgotten_before(const struct occurrence_image *a, const struct occurrence_image *b)
{
    if (a->is_instant != b->is_instant) {
        return a->is_instant;
    }
    if (!a->is_instant) {
        return a->order < b->order;
    }
    struct occurrence_key key_a = occurrence_key_of_image(a);
    struct occurrence_key key_b = occurrence_key_of_image(b);
    return instant_compare(key_a.instant, key_b.instant) < 0;
}

static void raise_floor(struct schedule_image *image, const struct occurrence_image *forgotten)
{
    struct instant floor = {image->floor_s, image->floor_ns};
    struct instant instant = {forgotten->instant_s, forgotten->instant_ns};
    if (!image->has_floor || instant_compare(instant, floor) > 0) {
        image->has_floor = true;
        image->floor_s = instant.seconds;
        image->floor_ns = instant.nanoseconds;
    }
}

static size_t count_live_occurrences(const struct schedule_image *image)
{
    size_t n = 0;
    for (size_t i = 0; i < image->n_occurrences; i++) {
        n += schedule_image_has_grant(image, image->occurrences[i].run_token) ? 1 : 0;
    }
    return n;
}

static void draft_trim_occurrences(struct schedule_draft *draft)
{
    struct schedule_image *image = &draft->image;
    if (image->n_occurrences <= LIMIT_OCCURRENCES_PER_SCHEDULE) {
        return;
    }
    size_t n_live = count_live_occurrences(image);
    while (image->n_occurrences > LIMIT_OCCURRENCES_PER_SCHEDULE &&
           image->n_occurrences - n_live >= LIMIT_OCCURRENCES_PER_SCHEDULE) {
        struct occurrence_image *first = NULL;
        for (size_t i = 0; i < image->n_occurrences; i++) {
            struct occurrence_image *candidate = &draft->occurrences[i];
            if ((first == NULL || forgotten_before(candidate, first)) &&
                !schedule_image_has_grant(image, candidate->run_token)) {
                first = candidate;
            }
        }
        CHECK(first != NULL);
        if (first->is_instant) {
            raise_floor(image, first);
        }
        size_t after = image->n_occurrences - (size_t)(first - draft->occurrences) - 1;
        memmove(first, first + 1, after * sizeof *first);
        image->n_occurrences--;
    }
}

void draft_trim(struct schedule_draft *draft, uint64_t token)
{
    draft_trim_runs(draft, token);
    draft_trim_occurrences(draft);
}

void draft_set_forgetting(struct schedule_draft *draft, uint64_t now_ms)
{
    bool stays = draft->image.n_grants > 0 || draft->image.has_policy;
    draft->image.forget_ms = stays ? 0 : now_ms + LIMIT_FORGET_MS;
}

struct schedule_due schedule_image_due(const struct schedule_image *image)
{
    struct schedule_due due = {.at_ms = SCHEDULE_NEVER_MS};
    for (size_t i = 0; i < image->n_grants; i++) {
        const struct grant_image *grant = &image->grants[i];
        if (grant->deadline_ms < due.at_ms) { /* of equal ones the first, which has the smallest token */
            due = (struct schedule_due){.at_ms = grant->deadline_ms, .token = grant->token};
        }
    }
    return due;
}

const char *policy_field_out_of_range(const struct policy *policy)
{
    if (policy->max_ttl_ms < 1 || policy->max_ttl_ms > LIMIT_TTL_MS || policy->margin_ms > policy->max_ttl_ms ||
        policy->estimate_ms > policy->max_ttl_ms - policy->margin_ms) {
        return "max_ttl_ms"; /* also when no TTL could ever satisfy the other two */
    }
    if (policy->min_hold_ms > LIMIT_NUMBER_MAX) {
        return "min_hold_ms";
    }
    if (policy->slots < 1 || policy->slots > LIMIT_SLOTS) {
        return "slots";
    }
    if (policy->max_attempts < 1 || policy->max_attempts > LIMIT_ATTEMPTS) {
        return "max_attempts";
    }
    if (slice_is_present(policy->group) && (policy->group.len < 1 || policy->group.len > LIMIT_NAME_BYTES)) {
        return "group";
    }
    if (policy->expected_every_ms > LIMIT_NUMBER_MAX) {
        return "expected_every_ms";
    }
    return policy->description.len > LIMIT_REASON_BYTES ? "description" : NULL;
}

static uint64_t count_group_bytes(struct slice group)
{
    return slice_is_present(group) ? COUNTED_GROUP_GRANT_BYTES + group.len : 0;
}

uint32_t schedule_image_count_bytes(const struct schedule_image *image)
{
    size_t bytes = COUNTED_SCHEDULE_BYTES + image->id.len;
    if (image->has_policy) {
        bytes += COUNTED_POLICY_BYTES + image->policy.policy.description.len + image->policy.policy.group.len;
    }
    for (size_t i = 0; i < image->n_grants; i++) {
        bytes += COUNTED_GRANT_BYTES + image->grants[i].metadata.len + count_group_bytes(image->grants[i].group);
    }
    for (size_t i = 0; i < image->n_runs; i++) {
        const struct run_image *run = &image->runs[i];
        bytes += COUNTED_RUN_BYTES + run->holder.len + run->occurrence.len + run->idempotency_key.len + run->actor.len +
                 run->reason.len;
    }
    for (size_t i = 0; i < image->n_occurrences; i++) {
        bytes += COUNTED_OCCURRENCE_BYTES + image->occurrences[i].name.len;
    }
    CHECK(bytes <= UINT32_MAX);
    return (uint32_t)bytes;
}

uint64_t grant_growth_count_bytes(const struct grant_growth *growth)
{
    const struct acquire_command *command = growth->command;
    uint64_t bytes = COUNTED_GRANT_BYTES + command->metadata.len + count_group_bytes(growth->group);
    bytes += COUNTED_RUN_BYTES + command->holder.len + command->occurrence.len + command->idempotency_key.len;
    if (growth->has_new_schedule) {
        bytes += COUNTED_SCHEDULE_BYTES + command->schedule_id.len;
    }
    if (growth->has_new_occurrence) {
        bytes += COUNTED_OCCURRENCE_BYTES + command->occurrence.len;
    }
    return bytes;
}
