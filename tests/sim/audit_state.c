/* What nodes show: every change from one index to the next has a cause, and all nodes show the same. */
#include <stdlib.h>
#include <string.h>

#include "audit_private.h"

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
        audit->counts->expiries += !audit_release_was_asked(audit, grant->token);
    } else if (!audit_release_was_asked(audit, grant->token)) {
        sim_fail(audit->world,
                 "token %" PRIu64 " vanished at index %" PRIu64 ": deadline %" PRIu64 ", state time %" PRIu64
                 ", and nobody released it",
                 grant->token, index, grant->deadline_ms, now_ms);
    }
    grant->ended_index = index;
}

static bool renewal_fits(struct audit *audit, const struct grant *grant, uint64_t remaining_ms)
{
    const struct ask *ask = audit_find_ask(audit, grant->token);
    for (unsigned i = 0; ask != NULL && i < ask->n_renew_ttls; i++) {
        uint64_t ttl_ms = ask->renew_ttl_ms[i];
        if (remaining_ms == (ttl_ms == 0 ? audit_find_key(audit, grant->key)->acquire.ttl_ms : ttl_ms)) {
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
        sim_fail(audit->world, "token %" PRIu64 " got %" PRIu64 " ms after %" PRIu64 ", and nobody asked for it",
                 grant->token, view->remaining_ms, grant->set_ttl_ms);
    } else if (now_ms >= grant->deadline_ms) {
        sim_fail(audit->world, "token %" PRIu64 " was renewed after its deadline", grant->token);
    }
    grant->deadline_ms = deadline_ms;
    grant->set_ttl_ms = view->remaining_ms;
    grant->set_ns = audit_find_ask(audit, grant->token)->first_renew_ns;
}

static uint64_t believed_until(const struct ask *ask)
{
    uint64_t until_ns = ask->belief_ns;
    for (unsigned i = 0; i < UNHEARD; i++) {
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
        const struct ask *ask = audit_find_ask(audit, other->token);
        if (ask != NULL && believed_until(ask) > audit->world->now_ns &&
            !audit_release_was_asked(audit, other->token)) {
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
        if (audit_find_key(audit, other->key)->acquire.occurrence == occurrence &&
            !audit_abandon_was_asked(audit, other->token)) {
            sim_fail(audit->world, "tokens %" PRIu64 " and %" PRIu64 " were both granted for one occurrence",
                     other->token, granted->token);
        }
    }
}

static void check_granted(struct audit *audit, const struct grant_view *view, unsigned schedule, uint64_t now_ms)
{
    struct grant *grant = audit_find_grant(audit, view->token);
    struct key *key = audit_find_key(audit, key_in_metadata(view->metadata));
    char holder[64];
    if (grant == NULL || grant->shown || key == NULL) {
        sim_fail(audit->world, "token %" PRIu64 " isn't new, or was never asked for", view->token);
        return;
    }
    audit_client_name(key->acquire.client, holder);
    if (key->possible == 0 || key->acquire.schedule != schedule || !audit_slice_is(view->holder, holder) ||
        !audit_names_occurrence(view->occurrence, key->acquire.occurrence)) {
        sim_fail(audit->world, "token %" PRIu64 " isn't what key %" PRIu64 " asked for", view->token, key->acquire.key);
    }
    if (key->token != NO_TOKEN && key->token != view->token && !audit_key_forgotten(audit, key)) {
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
                     (audit_key_forgotten(audit, key) && view->remaining_ms == key->acquire.ttl_ms + 1);
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
        check_kept(audit, audit_find_grant(audit, before), &view.holders[0], now_ms);
        return;
    }
    if (before != NO_TOKEN) {
        check_ended(audit, audit_find_grant(audit, before), index, now_ms);
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
        audit->grants = audit_grow(audit->grants, audit->n_grants, &audit->grants_capacity, sizeof *audit->grants);
        audit->grants[audit->n_grants++] =
            (struct grant){.token = audit->next_token, .issued_index = index, .schedule = AUDIT_SCHEDULES};
    }
}

static void move_on(struct audit *audit, uint64_t index, struct lock_table *table)
{
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    if (counts.now_ms < audit->now_ms) {
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
    audit->points = audit_grow(audit->points, index, &audit->points_capacity, sizeof *audit->points);
    audit->now_ms = counts.now_ms;
    audit->points[index] = (struct point){.known = true, .digest = lock_table_digest(table)};
    audit->index = index;
    audit->counts->entries++;
}

void audit_applied(struct audit *audit, const char *node, uint64_t index, struct lock_table *table)
{
    if (index > audit->index) {
        move_on(audit, index, table);
        return;
    }
    if (!audit->points[index].known) {
        return;
    }
    struct digest128 digest = lock_table_digest(table);
    audit->counts->comparisons++;
    if (!digest128_equal(&audit->points[index].digest, &digest)) {
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
