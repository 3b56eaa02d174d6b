/* The unpacked form: finding, adding, forgetting, counting. */
#include "core/schedule.h"

#include <string.h>

const struct terms terms_default = {
    .estimate_ms = 0,
    .margin_ms = LIMIT_DEFAULT_MARGIN_MS,
    .max_ttl_ms = LIMIT_TTL_MS,
    .slots = TERMS_SLOTS,
    .max_attempts = 1,
};

void schedule_draft_init(struct schedule_draft *draft, struct slice id)
{
    draft->image = (struct schedule_image){
        .id = id, .grants = draft->grants, .runs = draft->runs, .occurrences = draft->occurrences, .next_order = 1};
}

struct occurrence_key occurrence_key_of(struct slice name)
{
    struct occurrence_key key = {.name = name};
    key.is_instant = instant_parse(name, &key.instant);
    return key;
}

bool occurrence_key_equal(const struct occurrence_key *a, const struct occurrence_key *b)
{
    if (a->is_instant != b->is_instant) {
        return false;
    }
    return a->is_instant ? instant_compare(a->instant, b->instant) == 0 : slice_equal(a->name, b->name);
}

static struct occurrence_key key_of_image(const struct occurrence_image *occurrence)
{
    struct occurrence_key key = {.name = occurrence->name,
                                 .is_instant = occurrence->is_instant,
                                 .instant = {occurrence->instant_s, occurrence->instant_ns}};
    return key;
}

struct grant_image *draft_find_grant(struct schedule_draft *draft, uint64_t token)
{
    for (size_t i = 0; i < draft->image.n_grants; i++) {
        if (draft->grants[i].token == token) {
            return &draft->grants[i];
        }
    }
    return NULL;
}

struct run_image *draft_find_run(struct schedule_draft *draft, uint64_t token)
{
    for (size_t i = draft->image.n_runs; i-- > 0;) {
        if (draft->runs[i].token == token) {
            return &draft->runs[i];
        }
    }
    return NULL;
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
        struct occurrence_key remembered = key_of_image(&draft->occurrences[i]);
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

bool schedule_image_has_grant(const struct schedule_image *image, uint64_t token)
{
    for (size_t i = 0; i < image->n_grants; i++) {
        if (image->grants[i].token == token) {
            return true;
        }
    }
    return false;
}

static void draft_trim_runs(struct schedule_draft *draft)
{
    for (size_t i = 0; draft->image.n_runs > LIMIT_RUNS_PER_SCHEDULE && i < draft->image.n_runs;) {
        if (schedule_image_has_grant(&draft->image, draft->runs[i].token)) {
            i++;
            continue;
        }
        draft->image.n_runs--;
        memmove(&draft->runs[i], &draft->runs[i + 1], (draft->image.n_runs - i) * sizeof draft->runs[0]);
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
    struct occurrence_key key_a = key_of_image(a);
    struct occurrence_key key_b = key_of_image(b);
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

static void draft_trim_occurrences(struct schedule_draft *draft)
{
    while (draft->image.n_occurrences > LIMIT_OCCURRENCES_PER_SCHEDULE) {
        struct occurrence_image *first = NULL;
        for (size_t i = 0; i < draft->image.n_occurrences; i++) {
            struct occurrence_image *candidate = &draft->occurrences[i];
            if (!schedule_image_has_grant(&draft->image, candidate->run_token) &&
                (first == NULL || forgotten_before(candidate, first))) {
                first = candidate;
            }
        }
        if (first == NULL) {
            return;
        }
        if (first->is_instant) {
            raise_floor(&draft->image, first);
        }
        size_t after = draft->image.n_occurrences - (size_t)(first - draft->occurrences) - 1;
        memmove(first, first + 1, after * sizeof *first);
        draft->image.n_occurrences--;
    }
}

void draft_trim(struct schedule_draft *draft)
{
    draft_trim_runs(draft);
    draft_trim_occurrences(draft);
}

struct schedule_due schedule_image_due(const struct schedule_image *image)
{
    struct schedule_due due = {.at_ms = image->forget_ms, .token = image->runs[image->n_runs - 1].token};
    for (size_t i = 0; i < image->n_grants; i++) {
        const struct grant_image *grant = &image->grants[i];
        bool earlier = grant->deadline_ms < due.at_ms || (grant->deadline_ms == due.at_ms && grant->token < due.token);
        if (i == 0 || earlier) {
            due = (struct schedule_due){.at_ms = grant->deadline_ms, .token = grant->token};
        }
    }
    return due;
}

uint32_t schedule_image_count_bytes(const struct schedule_image *image)
{
    size_t bytes = COUNTED_SCHEDULE_BYTES + image->id.len;
    for (size_t i = 0; i < image->n_grants; i++) {
        bytes += COUNTED_GRANT_BYTES + image->grants[i].metadata.len;
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

uint64_t schedule_count_growth(const struct acquire_command *command, bool new_schedule, bool new_occurrence)
{
    uint64_t bytes = COUNTED_GRANT_BYTES + command->metadata.len;
    bytes += COUNTED_RUN_BYTES + command->holder.len + command->occurrence.len + command->idempotency_key.len;
    if (new_schedule) {
        bytes += COUNTED_SCHEDULE_BYTES + command->schedule_id.len;
    }
    if (new_occurrence) {
        bytes += COUNTED_OCCURRENCE_BYTES + command->occurrence.len;
    }
    return bytes;
}
