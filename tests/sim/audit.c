/* The account: what is held, by whose request, since when; and every cause that could change it. */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define NO_TOKEN   0u
#define MARGIN_MS  30000u /* without a policy */
#define RENEWALS   8u     /* asked ones that are remembered of a token */
#define TERMS_STEP 64u

struct grant { /* one token that was given out; grants[] is in order of tokens */
    uint64_t token;
    uint64_t issued_index;
    bool shown;        /* an index ended with it held; else it came and went within one entry */
    unsigned schedule; /* from here on: known when shown */
    uint64_t key;
    uint64_t ended_index; /* 0: lives */
    uint64_t deadline_ms; /* state time */
    uint64_t set_ttl_ms;  /* how far ahead the deadline was set */
    uint64_t set_ns;      /* real time before which it can't have been set */
};

/* A renewal whose answer its holder hasn't heard. It may take effect at any time from when it was asked for, and it may
 * set an earlier deadline than the one that the holder knows. */
struct unheard {
    uint64_t asked_ns; /* 0: unused */
    uint64_t until_ns;
};

struct ask { /* what clients asked about a token, which they may know before the account shows it */
    bool asked;
    bool release[RUN_REVOKED + 1];
    uint64_t renew_ttl_ms[RENEWALS];
    unsigned n_renewals;
    uint64_t first_renew_ns;
    uint64_t belief_ns; /* its holder may believe until then, in real time, that nobody else has the lock */
    struct unheard unheard[RENEWALS];
};

struct key {
    struct audit_acquire acquire;
    uint64_t first_ns;
    uint64_t possible; /* attempts that may take effect */
    uint64_t token;    /* NO_TOKEN: not granted as far as we know */
};

struct point { /* the state after one index */
    bool known;
    struct digest128 digest;
    uint64_t now_ms;
};

struct audit {
    struct sim_world *world;
    struct counts *counts;
    struct point *points; /* by index */
    size_t points_capacity;
    uint64_t index;
    uint64_t next_token;
    uint64_t floor;
    uint64_t held[AUDIT_SCHEDULES]; /* tokens after `index` */
    struct grant *grants;
    size_t n_grants;
    size_t grants_capacity;
    struct ask *asks; /* by token: they are dense, as nothing is restored here */
    size_t n_asks;
    struct key *keys; /* keys[key − 1] */
    size_t n_keys;
    size_t keys_capacity;
    uint64_t *leaders; /* by term: 1 + what identifies the node */
    size_t n_terms;
    bool capacity_allowed;
};

static void *grow(void *base, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity) {
        return base;
    }
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    while (wanted <= n) {
        wanted *= 2;
    }
    base = realloc(base, wanted * size);
    CHECK(base != NULL);
    memset((char *)base + *capacity * size, 0, (wanted - *capacity) * size);
    *capacity = wanted;
    return base;
}

struct audit *audit_open(struct sim_world *world, struct counts *counts)
{
    struct audit *audit = calloc(1, sizeof *audit);
    CHECK(audit != NULL);
    audit->world = world;
    audit->counts = counts;
    audit->next_token = 1;
    struct lock_table *empty = lock_table_open();
    audit->points = grow(NULL, 0, &audit->points_capacity, sizeof *audit->points);
    audit->points[0] = (struct point){.known = true, .digest = lock_table_digest(empty)};
    lock_table_close(empty);
    return audit;
}

void audit_close(struct audit *audit)
{
    free(audit->points);
    free(audit->grants);
    free(audit->asks);
    free(audit->keys);
    free(audit->leaders);
    free(audit);
}

/* ---- names ---- */

void audit_schedule_name(unsigned schedule, char *text)
{
    (void)snprintf(text, 64, "schedule-%u", schedule);
}

void audit_client_name(unsigned client, char *text)
{
    (void)snprintf(text, 64, "agent-%u", client);
}

void audit_key_name(uint64_t key, char *text)
{
    (void)snprintf(text, 64, "key-%" PRIu64, key);
}

void audit_metadata(uint64_t key, char *text)
{
    (void)snprintf(text, 64, "{\"key\":%" PRIu64 "}", key);
}

void audit_occurrence_name(unsigned occurrence, unsigned form, char *text)
{
    static const char *const forms[] = {"2026-03-01T00:%02u:00Z", "2026-03-01T02:%02u:00+02:00",
                                        "2026-03-01t00:%02u:00.000z"};
    if (occurrence % 2 == 0) {
        (void)snprintf(text, 64, "batch-%02u", occurrence);
        return;
    }
    (void)snprintf(text, 64, forms[form % 3] /* NOLINT */, occurrence);
}

static bool slice_is(struct slice slice, const char *text)
{
    return slice_equal(slice, slice_of(text));
}

static bool names_occurrence(struct slice slice, int occurrence)
{
    char text[64];
    if (occurrence < 0) {
        return !slice_is_present(slice);
    }
    for (unsigned form = 0; form < 3; form++) {
        audit_occurrence_name((unsigned)occurrence, form, text);
        if (slice_is(slice, text)) {
            return true;
        }
    }
    return false;
}

static uint64_t key_in_metadata(struct slice metadata)
{
    char text[64];
    if (!slice_is_present(metadata) || metadata.len >= sizeof text) {
        return AUDIT_NO_KEY;
    }
    memcpy(text, metadata.base, metadata.len);
    text[metadata.len] = '\0';
    return strncmp(text, "{\"key\":", 7) == 0 ? strtoull(text + 7, NULL, 10) : AUDIT_NO_KEY;
}

/* ---- finding ---- */

static struct grant *find_grant(struct audit *audit, uint64_t token)
{
    size_t low = 0;
    size_t high = audit->n_grants;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (audit->grants[middle].token < token) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < audit->n_grants && audit->grants[low].token == token ? &audit->grants[low] : NULL;
}

static struct ask *find_ask(struct audit *audit, uint64_t token)
{
    return token < audit->n_asks && audit->asks[token].asked ? &audit->asks[token] : NULL;
}

static struct ask *make_ask(struct audit *audit, uint64_t token)
{
    if (token >= audit->n_asks) {
        audit->asks = grow(audit->asks, token, &audit->n_asks, sizeof *audit->asks);
    }
    audit->asks[token].asked = true;
    return &audit->asks[token];
}

static struct key *find_key(struct audit *audit, uint64_t key)
{
    return key == AUDIT_NO_KEY || key > audit->n_keys ? NULL : &audit->keys[key - 1];
}

static bool release_asked(struct audit *audit, uint64_t token)
{
    const struct ask *ask = find_ask(audit, token);
    return ask != NULL && (ask->release[RUN_SUCCEEDED] || ask->release[RUN_FAILED] || ask->release[RUN_ABANDONED]);
}

static bool abandon_asked(struct audit *audit, uint64_t token)
{
    const struct ask *ask = find_ask(audit, token);
    return ask != NULL && ask->release[RUN_ABANDONED];
}

/* ---- what clients ask ---- */

void audit_key_opened(struct audit *audit, const struct audit_acquire *acquire)
{
    CHECK(acquire->key == audit->n_keys + 1);
    audit->keys = grow(audit->keys, audit->n_keys, &audit->keys_capacity, sizeof *audit->keys);
    audit->keys[audit->n_keys++] = (struct key){.acquire = *acquire, .first_ns = audit->world->now_ns};
}

void audit_key_attempt(struct audit *audit, uint64_t key)
{
    find_key(audit, key)->possible++;
}

void audit_key_not_proposed(struct audit *audit, uint64_t key)
{
    struct key *k = find_key(audit, key);
    CHECK(k->possible > 0);
    k->possible--;
}

/* The client's half of the promise, with a client's clock that is 500 ppm slow. */
static uint64_t believe_until(uint64_t since_ns, uint64_t ms)
{
    return since_ns + ms * SIM_MS / 1000000 * (1000000 - 1000) / 999500 * 1000000;
}

void audit_renew_asked(struct audit *audit, uint64_t token, uint64_t ttl_ms)
{
    struct ask *ask = make_ask(audit, token);
    if (ask->n_renewals == 0) {
        ask->first_renew_ns = audit->world->now_ns;
    }
    const struct grant *grant = find_grant(audit, token);
    CHECK(grant != NULL); /* a client knows its token from an answer */
    const struct key *key = find_key(audit, grant->key);
    uint64_t least_ms = ttl_ms != 0 ? ttl_ms : key == NULL ? 0 : key->acquire.ttl_ms;
    ask->unheard[ask->n_renewals % RENEWALS] =
        (struct unheard){.asked_ns = audit->world->now_ns, .until_ns = believe_until(audit->world->now_ns, least_ms)};
    ask->renew_ttl_ms[ask->n_renewals++ % RENEWALS] = ttl_ms;
}

void audit_renew_settled(struct audit *audit, uint64_t token, uint64_t asked_ns)
{
    struct ask *ask = make_ask(audit, token);
    for (unsigned i = 0; i < RENEWALS; i++) {
        if (ask->unheard[i].asked_ns == asked_ns) {
            ask->unheard[i].asked_ns = 0;
            return;
        }
    }
}

void audit_release_asked(struct audit *audit, uint64_t token, enum run_outcome outcome)
{
    make_ask(audit, token)->release[outcome] = true;
}

/* ---- what nodes do ---- */

/* A deadline in state time must lie at least that far, in real time, from whatever set it: 500 ppm, and a millisecond
 * for each of two roundings. */
static bool too_early(const struct audit *audit, uint64_t since_ns, uint64_t ttl_ms)
{
    uint64_t least_ns = ttl_ms * SIM_MS / 1000000 * (1000000 - 500);
    return audit->world->now_ns + 2 * SIM_MS < since_ns + least_ns;
}

static void check_ended(struct audit *audit, struct grant *grant, uint64_t index, uint64_t now_ms)
{
    if (now_ms >= grant->deadline_ms) {
        if (too_early(audit, grant->set_ns, grant->set_ttl_ms)) {
            sim_fail(audit->world, "token %" PRIu64 " expired early in real time", grant->token);
        }
        audit->counts->expiries += !release_asked(audit, grant->token);
    } else if (!release_asked(audit, grant->token)) {
        sim_fail(audit->world,
                 "token %" PRIu64 " vanished at index %" PRIu64 ": deadline %" PRIu64 ", state time %" PRIu64
                 ", and nobody released it",
                 grant->token, index, grant->deadline_ms, now_ms);
    }
    grant->ended_index = index;
}

static bool renewal_fits(struct audit *audit, const struct grant *grant, uint64_t remaining_ms)
{
    const struct ask *ask = find_ask(audit, grant->token);
    for (unsigned i = 0; ask != NULL && i < ask->n_renewals && i < RENEWALS; i++) {
        uint64_t ttl_ms = ask->renew_ttl_ms[i];
        if (remaining_ms == (ttl_ms == 0 ? find_key(audit, grant->key)->acquire.ttl_ms : ttl_ms)) {
            return true;
        }
    }
    return false;
}

static void check_kept(struct audit *audit, struct grant *grant, const struct grant_view *view, uint64_t now_ms)
{
    uint64_t deadline_ms = now_ms + view->remaining_ms;
    if (now_ms >= grant->deadline_ms && deadline_ms == grant->deadline_ms) {
        sim_fail(audit->world, "token %" PRIu64 " outlived its deadline", grant->token);
    }
    if (deadline_ms == grant->deadline_ms) {
        return;
    }
    if (!renewal_fits(audit, grant, view->remaining_ms)) {
        sim_fail(audit->world, "token %" PRIu64 " got another deadline, and nobody asked for it", grant->token);
    } else if (now_ms >= grant->deadline_ms) {
        sim_fail(audit->world, "token %" PRIu64 " was renewed after its deadline", grant->token);
    }
    grant->deadline_ms = deadline_ms;
    grant->set_ttl_ms = view->remaining_ms;
    grant->set_ns = find_ask(audit, grant->token)->first_renew_ns;
}

static uint64_t believed_until(const struct ask *ask)
{
    uint64_t until_ns = ask->belief_ns;
    for (unsigned i = 0; i < RENEWALS; i++) {
        if (ask->unheard[i].asked_ns != 0 && ask->unheard[i].until_ns < until_ns) {
            until_ns = ask->unheard[i].until_ns;
        }
    }
    return until_ns;
}

/* Everybody who was told that they hold the schedule, and hasn't given it back, must have stopped believing it. */
static void check_exclusive(struct audit *audit, const struct grant *granted)
{
    for (size_t i = 0; i < audit->n_grants; i++) {
        const struct grant *other = &audit->grants[i];
        if (other->token == granted->token || !other->shown || other->schedule != granted->schedule) {
            continue;
        }
        const struct ask *ask = find_ask(audit, other->token);
        if (ask != NULL && believed_until(ask) > audit->world->now_ns && !release_asked(audit, other->token)) {
            sim_fail(audit->world,
                     "token %" PRIu64 " was granted while the holder of %" PRIu64 " may believe that it holds %s-%u",
                     granted->token, other->token, "schedule", granted->schedule);
        }
    }
}

static void check_occurrence(struct audit *audit, const struct grant *granted, int occurrence)
{
    for (size_t i = 0; occurrence >= 0 && i < audit->n_grants; i++) {
        const struct grant *other = &audit->grants[i];
        if (other->token == granted->token || !other->shown || other->schedule != granted->schedule) {
            continue;
        }
        if (find_key(audit, other->key)->acquire.occurrence == occurrence && !abandon_asked(audit, other->token)) {
            sim_fail(audit->world, "tokens %" PRIu64 " and %" PRIu64 " were both granted for one occurrence",
                     other->token, granted->token);
        }
    }
}

/* A key is known as long as its run is kept; after that it is new again. */
static bool key_forgotten(struct audit *audit, const struct key *key)
{
    unsigned newer = 0;
    for (size_t i = audit->n_grants; i > 0 && audit->grants[i - 1].token > key->token; i--) {
        const struct grant *grant = &audit->grants[i - 1];
        newer += !grant->shown || grant->schedule == key->acquire.schedule;
    }
    return newer >= LIMIT_RUNS_PER_SCHEDULE - 1;
}

static void check_granted(struct audit *audit, const struct grant_view *view, unsigned schedule, uint64_t now_ms)
{
    struct grant *grant = find_grant(audit, view->token);
    struct key *key = find_key(audit, key_in_metadata(view->metadata));
    char holder[64];
    if (grant == NULL || grant->shown || key == NULL) {
        sim_fail(audit->world, "token %" PRIu64 " isn't new, or was never asked for", view->token);
        return;
    }
    audit_client_name(key->acquire.client, holder);
    if (key->possible == 0 || key->acquire.schedule != schedule || !slice_is(view->holder, holder) ||
        !names_occurrence(view->occurrence, key->acquire.occurrence)) {
        sim_fail(audit->world, "token %" PRIu64 " isn't what key %" PRIu64 " asked for", view->token, key->acquire.key);
    }
    if (key->token != NO_TOKEN && key->token != view->token && !key_forgotten(audit, key)) {
        sim_fail(audit->world, "key %" PRIu64 " was granted twice: %" PRIu64 " and %" PRIu64, key->acquire.key,
                 key->token, view->token);
    }
    key->token = view->token;
    grant->shown = true;
    grant->schedule = schedule;
    grant->key = key->acquire.key;
    grant->deadline_ms = now_ms + view->remaining_ms;
    grant->set_ttl_ms = view->remaining_ms;
    grant->set_ns = key->first_ns;
    bool asked_for = view->remaining_ms == key->acquire.ttl_ms ||
                     (key_forgotten(audit, key) && view->remaining_ms == key->acquire.ttl_ms + 1);
    if (!asked_for && !renewal_fits(audit, grant, view->remaining_ms)) {
        sim_fail(audit->world, "token %" PRIu64 " has %" PRIu64 " ms instead of %" PRIu64, view->token,
                 view->remaining_ms, key->acquire.ttl_ms);
    }
    audit->counts->grants++;
    check_exclusive(audit, grant);
    check_occurrence(audit, grant, key->acquire.occurrence);
}

static void move_schedule(struct audit *audit, unsigned schedule, uint64_t index, uint64_t now_ms,
                          struct lock_table *table)
{
    char name[64];
    audit_schedule_name(schedule, name);
    struct schedule_view view;
    lock_table_view(table, slice_of(name), &view);
    if (view.n_holders > 1) {
        sim_fail(audit->world, "%s has %zu holders", name, view.n_holders);
        return;
    }
    uint64_t before = audit->held[schedule];
    uint64_t after = view.n_holders == 0 ? NO_TOKEN : view.holders[0].token;
    if (before != NO_TOKEN && before == after) {
        check_kept(audit, find_grant(audit, before), &view.holders[0], now_ms);
        return;
    }
    if (before != NO_TOKEN) {
        check_ended(audit, find_grant(audit, before), index, now_ms);
    }
    if (after != NO_TOKEN) {
        check_granted(audit, &view.holders[0], schedule, now_ms);
    }
    audit->held[schedule] = after;
}

/* Tokens given out by this entry: those that are still held get their details from the view. */
static void note_tokens(struct audit *audit, uint64_t index, uint64_t next_token)
{
    if (next_token < audit->next_token || next_token > LIMIT_NUMBER_MAX) {
        sim_fail(audit->world, "the next token went from %" PRIu64 " to %" PRIu64, audit->next_token, next_token);
        return;
    }
    for (; audit->next_token < next_token; audit->next_token++) {
        audit->grants = grow(audit->grants, audit->n_grants, &audit->grants_capacity, sizeof *audit->grants);
        audit->grants[audit->n_grants++] =
            (struct grant){.token = audit->next_token, .issued_index = index, .schedule = AUDIT_SCHEDULES};
    }
}

static void move_on(struct audit *audit, uint64_t index, struct lock_table *table)
{
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    if (audit->index > 0 && counts.now_ms < audit->points[audit->index].now_ms) {
        sim_fail(audit->world, "state time went back at index %" PRIu64, index);
    }
    note_tokens(audit, index, counts.next_token);
    for (unsigned schedule = 0; schedule < AUDIT_SCHEDULES; schedule++) {
        move_schedule(audit, schedule, index, counts.now_ms, table);
    }
    /* What was given out and isn't held now came and went within the entry. */
    for (size_t i = audit->n_grants; i > 0 && audit->grants[i - 1].issued_index == index; i--) {
        struct grant *grant = &audit->grants[i - 1];
        grant->ended_index = grant->shown ? grant->ended_index : index;
    }
    audit->points = grow(audit->points, index, &audit->points_capacity, sizeof *audit->points);
    audit->points[index] = (struct point){.known = true, .digest = lock_table_digest(table), .now_ms = counts.now_ms};
    audit->index = index;
    audit->counts->entries++;
}

void audit_applied(struct audit *audit, const char *node, uint64_t index, struct lock_table *table)
{
    uint64_t expected = index;
    if (index > audit->index) {
        move_on(audit, index, table);
        return;
    }
    while (!audit->points[expected].known) {
        expected--; /* an entry of libraft's own changes no state */
    }
    struct digest128 digest = lock_table_digest(table);
    audit->counts->comparisons++;
    if (!digest128_equal(&audit->points[expected].digest, &digest)) {
        sim_fail(audit->world, "%s has another state than the first at index %" PRIu64, node, index);
    }
}

void audit_leads(struct audit *audit, const char *node, uint64_t term)
{
    if (term >= audit->n_terms) {
        audit->leaders = realloc(audit->leaders, (term + TERMS_STEP) * sizeof *audit->leaders);
        CHECK(audit->leaders != NULL);
        memset(audit->leaders + audit->n_terms, 0, (term + TERMS_STEP - audit->n_terms) * sizeof *audit->leaders);
        audit->n_terms = term + TERMS_STEP;
    }
    uint64_t who = 1 + (uint64_t)(unsigned char)node[1];
    if (audit->leaders[term] == 0) {
        audit->leaders[term] = who;
        audit->counts->leader_changes++;
    } else if (audit->leaders[term] != who) {
        sim_fail(audit->world, "%s is the second leader of term %" PRIu64, node, term);
    }
}

uint64_t audit_index(const struct audit *audit)
{
    return audit->index;
}

uint64_t audit_floor(const struct audit *audit)
{
    return audit->floor;
}

void audit_allow_capacity(struct audit *audit)
{
    audit->capacity_allowed = true;
}

/* ---- what clients are answered ---- */

static void raise_floor(struct audit *audit, uint64_t index)
{
    audit->floor = index > audit->floor ? index : audit->floor;
}

static void acquired_grant(struct audit *audit, struct key *key, const struct audit_times *times, bool heard,
                           const struct outcome *outcome)
{
    uint64_t token = outcome->grant.token;
    struct grant *grant = find_grant(audit, token);
    char name[64];
    if (grant == NULL) {
        sim_fail(audit->world, "token %" PRIu64 " was acknowledged and never applied", token);
        return;
    }
    if (key->token != NO_TOKEN && key->token != token && !key_forgotten(audit, key)) {
        sim_fail(audit->world, "key %" PRIu64 " got token %" PRIu64 " after %" PRIu64, key->acquire.key, token,
                 key->token);
    }
    if (grant->shown && grant->key != key->acquire.key) {
        sim_fail(audit->world, "token %" PRIu64 " was given for two keys", token);
    }
    audit_schedule_name(key->acquire.schedule, name);
    if (!outcome->has_grant || !slice_is(outcome->grant.schedule_id, name) ||
        !names_occurrence(outcome->grant.occurrence, key->acquire.occurrence) ||
        outcome->grant.remaining_ms > outcome->grant.ttl_ms || outcome->grant.remaining_ms == 0) {
        sim_fail(audit->world, "the answer with token %" PRIu64 " doesn't fit its request", token);
    }
    if (grant->ended_index != 0 && grant->ended_index <= times->index) {
        sim_fail(audit->world, "token %" PRIu64 " was answered as held after it had ended", token);
    }
    key->token = token;
    raise_floor(audit, grant->issued_index);
    uint64_t first = believe_until(times->first_ns, outcome->grant.ttl_ms);
    uint64_t this = believe_until(times->this_ns, outcome->grant.remaining_ms);
    if (heard) {
        make_ask(audit, token)->belief_ns = first < this ? first : this;
    }
}

static bool ttl_is_short(const struct key *key)
{
    return key->acquire.ttl_ms < key->acquire.estimate_ms + MARGIN_MS;
}

/* Was the schedule held at some point after this attempt began? */
static bool was_held(struct audit *audit, const struct key *key, const struct audit_times *times,
                     const struct outcome *outcome)
{
    if (outcome->n_holders == 0) {
        return false;
    }
    const struct grant *grant = find_grant(audit, outcome->holders[0].token);
    return grant != NULL && (!grant->shown || grant->schedule == key->acquire.schedule) &&
           (grant->ended_index == 0 || grant->ended_index > times->index);
}

static bool was_attempted(struct audit *audit, const struct key *key)
{
    for (size_t i = 0; i < audit->n_grants; i++) {
        const struct grant *grant = &audit->grants[i];
        bool same = grant->shown && grant->schedule == key->acquire.schedule &&
                    find_key(audit, grant->key)->acquire.occurrence == key->acquire.occurrence;
        if (same || (!grant->shown && grant->ended_index != 0)) {
            return true;
        }
    }
    return false;
}

static void acquire_refused(struct audit *audit, struct key *key, const struct audit_times *times, bool altered,
                            const struct outcome *outcome)
{
    struct counts *counts = audit->counts;
    bool honest = false;
    switch (outcome->code) {
    case OUTCOME_LOCK_HELD:
        counts->refused_lock_held++;
        honest = was_held(audit, key, times, outcome);
        break;
    case OUTCOME_GRANT_ENDED:
        counts->refused_grant_ended++;
        honest = key->token != NO_TOKEN ? find_grant(audit, key->token)->ended_index != 0 : key->possible > 1;
        break;
    case OUTCOME_OCCURRENCE_DONE:
        counts->refused_occurrence_done++;
        honest = key->acquire.occurrence >= 0 && was_attempted(audit, key);
        break;
    case OUTCOME_ATTEMPTS_EXHAUSTED:
        counts->refused_attempts_exhausted++;
        honest = key->acquire.occurrence >= 0 && was_attempted(audit, key);
        break;
    case OUTCOME_TTL_TOO_SHORT:
        counts->refused_ttl_too_short++;
        honest = ttl_is_short(key) && outcome->minimum_ms == key->acquire.estimate_ms + MARGIN_MS;
        break;
    case OUTCOME_TTL_TOO_LONG:
        counts->refused_ttl_too_long++;
        honest = key->acquire.ttl_ms > LIMIT_TTL_MS && outcome->maximum_ms == LIMIT_TTL_MS;
        break;
    case OUTCOME_IDEMPOTENCY_CONFLICT:
        counts->refused_idempotency_conflict++;
        honest = altered;
        break;
    case OUTCOME_CAPACITY:
        counts->refused_capacity++;
        honest = audit->capacity_allowed;
        break;
    default:
        break;
    }
    if (!honest) {
        sim_fail(audit->world, "key %" PRIu64 " was refused with %s, which isn't true", key->acquire.key,
                 outcome_code_name(outcome->code));
    }
}

void audit_acquired(struct audit *audit, uint64_t key_number, const struct audit_times *times, bool altered, bool heard,
                    const struct outcome *outcome)
{
    struct key *key = find_key(audit, key_number);
    if (outcome->code != OUTCOME_DONE) {
        acquire_refused(audit, key, times, altered, outcome);
        key->possible--;
        return;
    }
    audit->counts->repeats += outcome->repeated;
    if ((altered && !key_forgotten(audit, key)) || ttl_is_short(key) || key->acquire.ttl_ms > LIMIT_TTL_MS) {
        sim_fail(audit->world, "key %" PRIu64 " was granted against the rules", key_number);
    }
    acquired_grant(audit, key, times, heard, outcome);
}

static bool has_ended(struct audit *audit, uint64_t token)
{
    const struct grant *grant = find_grant(audit, token);
    return grant != NULL && grant->ended_index != 0;
}

void audit_renewed(struct audit *audit, uint64_t token, const struct audit_times *times, bool heard,
                   const struct outcome *outcome)
{
    if (heard) {
        audit_renew_settled(audit, token, times->this_ns);
    }
    const struct grant *grant = find_grant(audit, token);
    switch (outcome->code) {
    case OUTCOME_DONE:
        if (outcome->grant.token != token || (grant->ended_index != 0 && grant->ended_index <= times->index)) {
            sim_fail(audit->world, "token %" PRIu64 " was renewed after it had ended", token);
        }
        audit->counts->renewals++;
        if (heard) {
            make_ask(audit, token)->belief_ns = believe_until(times->this_ns, outcome->grant.remaining_ms);
        }
        break;
    case OUTCOME_LOCK_LOST:
        audit->counts->refused_lock_lost++;
        if (!has_ended(audit, token)) {
            sim_fail(audit->world, "token %" PRIu64 " is called lost and is held", token);
        }
        break;
    case OUTCOME_TTL_TOO_SHORT:
        audit->counts->refused_ttl_too_short++;
        break;
    default:
        sim_fail(audit->world, "a renewal was refused with %s", outcome_code_name(outcome->code));
    }
}

void audit_released(struct audit *audit, uint64_t token, enum run_outcome asked, const struct outcome *outcome)
{
    const struct grant *grant = find_grant(audit, token);
    if (!has_ended(audit, token)) {
        sim_fail(audit->world, "a release of token %" PRIu64 " was answered and it is still held", token);
        return;
    }
    const struct ask *ask = find_ask(audit, token);
    if (outcome->code == OUTCOME_DONE) {
        audit->counts->releases++;
        raise_floor(audit, grant->ended_index);
        if (!outcome->has_run || outcome->run.token != token || !ask->release[outcome->run.outcome] ||
            (!outcome->repeated && outcome->run.outcome != asked)) {
            sim_fail(audit->world, "the release of token %" PRIu64 " as %s was answered with %s", token,
                     run_outcome_name(asked), run_outcome_name(outcome->run.outcome));
        }
    } else if (outcome->code == OUTCOME_LOCK_LOST) {
        audit->counts->refused_lock_lost++;
    } else {
        sim_fail(audit->world, "a release was refused with %s", outcome_code_name(outcome->code));
    }
}

void audit_read(struct audit *audit, const char *node, uint64_t floor, struct lock_table *table)
{
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    audit->counts->reads++;
    if (counts.index < floor) {
        sim_fail(audit->world, "a read on %s shows index %" PRIu64 ", and %" PRIu64 " had been acknowledged before",
                 node, counts.index, floor);
    }
    raise_floor(audit, counts.index);
}
