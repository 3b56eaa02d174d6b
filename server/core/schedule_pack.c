/* The packed form: the image field by field, numbers in base 128 (least significant first, the high bit says that more
 * follows), signed ones folded so that small magnitudes stay short, strings behind their length + 1 (0: absent).
 *
 * Most numbers of a schedule are small (durations, attempts, tokens of a young cluster) or near another one of the same
 * run, so that this takes about a third of the structs. These bytes never leave memory: what is read here was written
 * here, by this process, and a mismatch is a bug. */
#include "core/schedule.h"

#include <stdlib.h>
#include <string.h>

/* What is done with each field is inline: it runs some 200 times for each command, and calls take a sixth of the time that
 * an acquire with its release does. */

/* Where the next byte goes; schedule_pack has made room for all of them. */
struct packing {
    uint8_t *at;
};

static inline void put_number(struct packing *out, uint64_t value)
{
    while (value >= 0x80) {
        *out->at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out->at++ = (uint8_t)value;
}

/* 0, −1, 1, −2, … become 0, 1, 2, 3, … */
static inline void put_signed(struct packing *out, int64_t value)
{
    put_number(out, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

static inline void put_bytes(struct packing *out, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(out->at, bytes, len);
        out->at += len;
    }
}

/* The slice moves along. */
static inline void put_slice(struct packing *out, struct slice *slice)
{
    if (slice->base == NULL) {
        put_number(out, 0);
        return;
    }
    put_number(out, slice->len + 1);
    const uint8_t *begin = out->at;
    put_bytes(out, slice->base, slice->len);
    slice->base = begin;
}

static void pack_grant(struct packing *out, struct grant_image *grant)
{
    put_number(out, grant->granted_ms);
    put_number(out, grant->deadline_ms - grant->granted_ms);
    put_number(out, grant->ttl_ms);
    put_number(out, grant->granted_ttl_ms);
    put_number(out, grant->estimate_ms);
    put_number(out, grant->margin_ms);
    put_number(out, grant->max_ttl_ms);
    put_slice(out, &grant->metadata);
}

static void pack_run(struct packing *out, struct run_image *run)
{
    put_number(out, run->token);
    put_number(out, run->granted_ms);
    put_number(out, (uint64_t)run->outcome << 1 | (run->is_released ? 1u : 0u));
    put_signed(out, run->acquired_wall_ms);
    if (run->outcome != RUN_RUNNING) {
        put_number(out, run->ended_ms - run->granted_ms);
        put_signed(out, run->ended_wall_ms - run->acquired_wall_ms);
        put_signed(out, run->late_outcome);
    }
    put_number(out, run->attempt);
    put_bytes(out, run->fingerprint.bytes, sizeof run->fingerprint.bytes);
    put_slice(out, &run->holder);
    put_slice(out, &run->occurrence);
    put_slice(out, &run->idempotency_key);
    put_slice(out, &run->actor);
    put_slice(out, &run->reason);
}

static void pack_occurrence(struct packing *out, struct occurrence_image *occurrence)
{
    put_slice(out, &occurrence->name);
    put_number(out, (occurrence->is_instant ? 1u : 0u) | (occurrence->succeeded ? 2u : 0u));
    if (occurrence->is_instant) {
        put_signed(out, occurrence->instant_s);
        put_number(out, occurrence->instant_ns);
    }
    put_number(out, occurrence->attempts);
    put_number(out, occurrence->run_token);
    put_number(out, occurrence->order);
}

/* Goes before everything else but the id: what the indexes are made of. Most grants are of no group, which shall cost no
 * byte: a bit of the token says whether there is one. */
static void pack_head(struct packing *out, struct schedule_draft *draft)
{
    struct schedule_image *image = &draft->image;
    put_number(out, (uint64_t)image->n_grants << 1 | (image->has_policy ? 1u : 0u));
    if (image->has_policy) {
        put_slice(out, &image->policy.policy.group);
    }
    for (size_t i = 0; i < image->n_grants; i++) {
        struct grant_image *grant = &draft->grants[i];
        bool has_group = slice_is_present(grant->group);
        put_number(out, grant->token << 1 | (has_group ? 1u : 0u));
        if (has_group) {
            put_slice(out, &grant->group);
        }
    }
}

static void pack_policy(struct packing *out, struct policy_image *image)
{
    put_number(out, image->policy.estimate_ms);
    put_number(out, image->policy.margin_ms);
    put_number(out, image->policy.max_ttl_ms);
    put_number(out, image->policy.min_hold_ms);
    put_number(out, image->policy.slots);
    put_number(out, image->policy.max_attempts);
    put_slice(out, &image->policy.description);
    put_number(out, image->policy.expected_every_ms);
    put_number(out, image->created_ms);
}

static void pack_rest(struct packing *out, struct schedule_draft *draft)
{
    struct schedule_image *image = &draft->image;
    put_number(out, image->forget_ms);
    put_number(out, (image->has_floor ? 1u : 0u) | (image->has_success ? 2u : 0u));
    if (image->has_policy) {
        pack_policy(out, &image->policy);
    }
    if (image->has_success) {
        put_number(out, image->last_success_ms);
        put_signed(out, image->last_success_wall_ms);
    }
    if (image->has_floor) {
        put_signed(out, image->floor_s);
        put_number(out, image->floor_ns);
    }
    put_number(out, image->next_order);
    put_number(out, image->n_runs);
    put_number(out, image->n_occurrences);
    for (size_t i = 0; i < image->n_grants; i++) {
        pack_grant(out, &draft->grants[i]);
    }
    for (size_t i = 0; i < image->n_runs; i++) {
        pack_run(out, &draft->runs[i]);
    }
    for (size_t i = 0; i < image->n_occurrences; i++) {
        pack_occurrence(out, &draft->occurrences[i]);
    }
}

/* More than the fields of one grant, run, occurrence or policy can take, but for its strings: at most ten numbers of at
 * most ten bytes, a fingerprint, and the lengths. */
#define PACKED_ITEM_BYTES 160u

struct schedule *schedule_pack(struct schedule_draft *draft, uint64_t epoch, struct buffer *scratch)
{
    struct schedule_image *image = &draft->image;
    uint32_t counted_bytes = schedule_image_count_bytes(image); /* all strings are in there */
    size_t items = 2 + image->n_grants + image->n_runs + image->n_occurrences;
    size_t room = counted_bytes + items * PACKED_ITEM_BYTES;
    buffer_clear(scratch);
    uint8_t *begin = buffer_extend(scratch, room);
    struct packing out = {.at = begin};
    put_bytes(&out, image->id.base, image->id.len);
    image->id.base = begin;
    pack_head(&out, draft);
    pack_rest(&out, draft);
    size_t len = (size_t)(out.at - begin);
    CHECK(len <= room && len <= UINT32_MAX);
    struct schedule *schedule = malloc(offsetof(struct schedule, bytes) + len);
    CHECK(schedule != NULL);
    schedule->epoch = epoch;
    schedule->counted_bytes = counted_bytes;
    schedule->packed_len = (uint32_t)len;
    schedule->id_len = (uint16_t)image->id.len;
    memcpy(schedule->bytes, begin, len);
    return schedule;
}

struct packed {
    const uint8_t *at;
    const uint8_t *end;
};

static uint64_t take_long_number(struct packed *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        CHECK(in->at < in->end && shift < 64);
        uint8_t byte = *in->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
}

/* Most numbers are one byte. */
static inline uint64_t take_number(struct packed *in)
{
    return in->at < in->end && *in->at < 0x80 ? *in->at++ : take_long_number(in);
}

static inline int64_t take_signed(struct packed *in)
{
    uint64_t folded = take_number(in);
    return (int64_t)(folded >> 1 ^ (0 - (folded & 1)));
}

static inline struct slice take_slice(struct packed *in)
{
    struct slice slice = {0};
    uint64_t len = take_number(in);
    if (len > 0) {
        slice = (struct slice){.base = in->at, .len = (size_t)(len - 1)};
        CHECK(slice.len <= (size_t)(in->end - in->at));
        in->at += slice.len;
    }
    return slice;
}

static void unpack_grant(struct packed *in, struct grant_image *grant)
{
    grant->granted_ms = take_number(in);
    grant->deadline_ms = grant->granted_ms + take_number(in);
    grant->ttl_ms = take_number(in);
    grant->granted_ttl_ms = take_number(in);
    grant->estimate_ms = take_number(in);
    grant->margin_ms = take_number(in);
    grant->max_ttl_ms = take_number(in);
    grant->metadata = take_slice(in);
    grant->is_revoking = false; /* or see mark_revoking */
}

static void unpack_run(struct packed *in, struct run_image *run)
{
    run->token = take_number(in);
    run->granted_ms = take_number(in);
    uint64_t outcome = take_number(in);
    run->outcome = (int)(outcome >> 1);
    run->is_released = (outcome & 1) != 0;
    run->acquired_wall_ms = take_signed(in);
    run->ended_ms = 0;
    run->ended_wall_ms = 0;
    run->late_outcome = RUN_OUTCOME_NONE;
    if (run->outcome != RUN_RUNNING) {
        run->ended_ms = run->granted_ms + take_number(in);
        run->ended_wall_ms = run->acquired_wall_ms + take_signed(in);
        run->late_outcome = (int)take_signed(in);
    }
    run->attempt = (uint32_t)take_number(in);
    CHECK(sizeof run->fingerprint.bytes <= (size_t)(in->end - in->at));
    memcpy(run->fingerprint.bytes, in->at, sizeof run->fingerprint.bytes);
    in->at += sizeof run->fingerprint.bytes;
    run->holder = take_slice(in);
    run->occurrence = take_slice(in);
    run->idempotency_key = take_slice(in);
    run->actor = take_slice(in);
    run->reason = take_slice(in);
}

static void unpack_occurrence(struct packed *in, struct occurrence_image *occurrence)
{
    occurrence->name = take_slice(in);
    uint64_t flags = take_number(in);
    occurrence->is_instant = (flags & 1) != 0;
    occurrence->succeeded = (flags & 2) != 0;
    occurrence->instant_s = occurrence->is_instant ? take_signed(in) : 0;
    occurrence->instant_ns = occurrence->is_instant ? (uint32_t)take_number(in) : 0;
    occurrence->attempts = (uint32_t)take_number(in);
    occurrence->run_token = take_number(in);
    occurrence->order = take_number(in);
}

static struct packed packed_of(const struct schedule *schedule)
{
    struct packed in = {.at = schedule->bytes + schedule->id_len, .end = schedule->bytes + schedule->packed_len};
    return in;
}

/* Gives the number of grants, with which unpack_token goes on. */
static size_t unpack_head(struct packed *in, bool *has_policy, struct slice *policy_group)
{
    uint64_t head = take_number(in);
    *has_policy = (head & 1) != 0;
    *policy_group = *has_policy ? take_slice(in) : (struct slice){0};
    CHECK(head >> 1 <= DRAFT_GRANTS);
    return (size_t)(head >> 1);
}

static inline uint64_t unpack_token(struct packed *in, struct slice *group)
{
    uint64_t token = take_number(in);
    *group = (token & 1) != 0 ? take_slice(in) : (struct slice){0};
    return token >> 1;
}

void schedule_glance(const struct schedule *schedule, struct schedule_glance *glance)
{
    struct packed in = packed_of(schedule);
    glance->n_grants = unpack_head(&in, &glance->has_policy, &glance->policy_group);
    for (size_t i = 0; i < glance->n_grants; i++) {
        glance->tokens[i] = unpack_token(&in, &glance->groups[i]);
    }
}

uint64_t schedule_forget_ms(const struct schedule *schedule)
{
    struct packed in = packed_of(schedule);
    bool has_policy;
    struct slice policy_group;
    size_t n_grants = unpack_head(&in, &has_policy, &policy_group);
    return n_grants > 0 || has_policy ? 0 : take_number(&in);
}

static void unpack_policy(struct packed *in, struct policy_image *image)
{
    image->policy.estimate_ms = take_number(in);
    image->policy.margin_ms = take_number(in);
    image->policy.max_ttl_ms = take_number(in);
    image->policy.min_hold_ms = take_number(in);
    image->policy.slots = (uint32_t)take_number(in);
    image->policy.max_attempts = (uint32_t)take_number(in);
    image->policy.description = take_slice(in);
    image->policy.expected_every_ms = take_number(in);
    image->created_ms = take_number(in);
}

/* All but the arrays. */
static void unpack_image(struct packed *in, struct schedule_image *image)
{
    image->forget_ms = take_number(in);
    uint64_t flags = take_number(in);
    image->has_floor = (flags & 1) != 0;
    image->has_success = (flags & 2) != 0;
    if (image->has_policy) {
        unpack_policy(in, &image->policy);
    }
    if (image->has_success) {
        image->last_success_ms = take_number(in);
        image->last_success_wall_ms = take_signed(in);
    }
    if (image->has_floor) {
        image->floor_s = take_signed(in);
        image->floor_ns = (uint32_t)take_number(in);
    }
    image->next_order = take_number(in);
    image->n_runs = (size_t)take_number(in);
    image->n_occurrences = (size_t)take_number(in);
}

/* A grant is being revoked when its run is revoked: that needs no bytes of its own. */
static void mark_revoking(struct schedule_draft *draft, const struct run_image *run)
{
    struct grant_image *grant = run->outcome == RUN_REVOKED ? draft_find_grant(draft, run->token) : NULL;
    if (grant != NULL) {
        grant->is_revoking = true;
    }
}

void schedule_unpack(const struct schedule *schedule, struct schedule_draft *draft)
{
    struct packed in = packed_of(schedule);
    schedule_draft_init(draft, schedule_id(schedule));
    struct schedule_image *image = &draft->image;
    image->n_grants = unpack_head(&in, &image->has_policy, &image->policy.policy.group);
    for (size_t i = 0; i < image->n_grants; i++) {
        draft->grants[i].token = unpack_token(&in, &draft->grants[i].group);
    }
    unpack_image(&in, image);
    CHECK(image->n_runs <= DRAFT_RUNS && image->n_occurrences <= DRAFT_OCCURRENCES);
    for (size_t i = 0; i < image->n_grants; i++) {
        unpack_grant(&in, &draft->grants[i]);
    }
    for (size_t i = 0; i < image->n_runs; i++) {
        unpack_run(&in, &draft->runs[i]);
        mark_revoking(draft, &draft->runs[i]);
    }
    for (size_t i = 0; i < image->n_occurrences; i++) {
        unpack_occurrence(&in, &draft->occurrences[i]);
    }
    CHECK(in.at == in.end);
}
