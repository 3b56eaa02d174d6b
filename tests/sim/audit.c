/* The account: what is held, by whose request, since when; and what clients have asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_private.h"

void *audit_grow(void *base, size_t n, size_t *capacity, size_t size)
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

bool audit_slice_is(struct slice slice, const char *text)
{
    return slice_equal(slice, slice_of(text));
}

bool audit_names_occurrence(struct slice slice, int occurrence)
{
    char text[64];
    if (occurrence < 0) {
        return !slice_is_present(slice);
    }
    for (unsigned form = 0; form < 3; form++) {
        audit_occurrence_name((unsigned)occurrence, form, text);
        if (audit_slice_is(slice, text)) {
            return true;
        }
    }
    return false;
}

/* ---- finding ---- */

struct grant *audit_find_grant(struct audit *audit, uint64_t token)
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

struct ask *audit_find_ask(struct audit *audit, uint64_t token)
{
    return token < audit->n_asks && audit->asks[token].asked ? &audit->asks[token] : NULL;
}

struct ask *audit_make_ask(struct audit *audit, uint64_t token)
{
    if (token >= audit->n_asks) {
        audit->asks = audit_grow(audit->asks, token, &audit->n_asks, sizeof *audit->asks);
    }
    audit->asks[token].asked = true;
    return &audit->asks[token];
}

struct key *audit_find_key(struct audit *audit, uint64_t key)
{
    return key == AUDIT_NO_KEY || key > audit->n_keys ? NULL : &audit->keys[key - 1];
}

bool audit_release_was_asked(struct audit *audit, uint64_t token)
{
    const struct ask *ask = audit_find_ask(audit, token);
    return ask != NULL && (ask->release[RUN_SUCCEEDED] || ask->release[RUN_FAILED] || ask->release[RUN_ABANDONED]);
}

bool audit_abandon_was_asked(struct audit *audit, uint64_t token)
{
    const struct ask *ask = audit_find_ask(audit, token);
    return ask != NULL && ask->release[RUN_ABANDONED];
}

bool audit_key_forgotten(struct audit *audit, const struct key *key)
{
    unsigned newer = 0;
    for (size_t i = audit->n_grants; i > 0 && audit->grants[i - 1].token > key->token; i--) {
        const struct grant *grant = &audit->grants[i - 1];
        newer += !grant->shown || grant->schedule == key->acquire.schedule;
    }
    return newer >= LIMIT_RUNS_PER_SCHEDULE - 1;
}

/* ---- what clients ask ---- */

void audit_key_opened(struct audit *audit, const struct audit_acquire *acquire)
{
    CHECK(acquire->key == audit->n_keys + 1);
    audit->keys = audit_grow(audit->keys, audit->n_keys, &audit->keys_capacity, sizeof *audit->keys);
    audit->keys[audit->n_keys++] = (struct key){.acquire = *acquire, .first_ns = audit->world->now_ns};
}

void audit_key_attempt(struct audit *audit, uint64_t key)
{
    audit_find_key(audit, key)->possible++;
}

void audit_key_not_proposed(struct audit *audit, uint64_t key)
{
    struct key *k = audit_find_key(audit, key);
    CHECK(k->possible > 0);
    k->possible--;
}

uint64_t audit_believe_until(uint64_t since_ns, uint64_t ms)
{
    return since_ns + ms * SIM_MS / 1000000 * (1000000 - 1000) / 999500 * 1000000;
}

static void note_ttl(struct ask *ask, uint64_t ttl_ms)
{
    for (unsigned i = 0; i < ask->n_renew_ttls; i++) {
        if (ask->renew_ttl_ms[i] == ttl_ms) {
            return;
        }
    }
    CHECK(ask->n_renew_ttls < RENEWAL_TTLS);
    ask->renew_ttl_ms[ask->n_renew_ttls++] = ttl_ms;
}

void audit_renew_asked(struct audit *audit, uint64_t token, uint64_t ttl_ms)
{
    struct ask *ask = audit_make_ask(audit, token);
    if (ask->n_renewals == 0) {
        ask->first_renew_ns = audit->world->now_ns;
    }
    const struct grant *grant = audit_find_grant(audit, token);
    CHECK(grant != NULL); /* a client knows its token from an answer */
    const struct key *key = audit_find_key(audit, grant->key);
    uint64_t least_ms = ttl_ms != 0 ? ttl_ms : key == NULL ? 0 : key->acquire.ttl_ms;
    ask->unheard[ask->n_renewals++ % UNHEARD] = (struct unheard){
        .asked_ns = audit->world->now_ns, .until_ns = audit_believe_until(audit->world->now_ns, least_ms)};
    note_ttl(ask, ttl_ms);
}

void audit_renew_settled(struct audit *audit, uint64_t token, uint64_t asked_ns)
{
    struct ask *ask = audit_make_ask(audit, token);
    for (unsigned i = 0; i < UNHEARD; i++) {
        if (ask->unheard[i].asked_ns == asked_ns) {
            ask->unheard[i].asked_ns = 0;
            return;
        }
    }
}

void audit_release_asked(struct audit *audit, uint64_t token, enum run_outcome outcome)
{
    audit_make_ask(audit, token)->release[outcome] = true;
}
