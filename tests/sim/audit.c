/* The account: what clients have asked, and what may be believed about it. */
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

/* Lists are in the order of bytes, where schedule-10 stands before schedule-2. */
static void order_schedules(struct audit *audit)
{
    for (unsigned n = 0; n < AUDIT_SCHEDULES; n++) {
        audit_schedule_name(n, audit->schedules[n].name);
        unsigned at = n;
        for (; at > 0 && strcmp(audit->schedules[audit->in_order[at - 1]].name, audit->schedules[n].name) > 0; at--) {
            audit->in_order[at] = audit->in_order[at - 1];
        }
        audit->in_order[at] = n;
    }
}

struct audit *audit_open(struct sim_world *world, struct counts *counts)
{
    struct audit *audit = calloc(1, sizeof *audit);
    CHECK(audit != NULL);
    audit->world = world;
    audit->counts = counts;
    audit->next_member_id = 1;
    rng_seed(&audit->rng, world->seed, 13);
    arena_init(&audit->arena, 0);
    order_schedules(audit);
    return audit;
}

void audit_close(struct audit *audit)
{
    for (size_t i = 0; i < audit->n_grants; i++) {
        free(audit->grants[i].unheard);
    }
    for (unsigned i = 0; i < AUDIT_SCHEDULES; i++) {
        free(audit->schedules[i].tokens);
    }
    arena_close(&audit->arena);
    free(audit->asks);
    free(audit->buckets);
    free(audit->applications);
    free(audit->keys);
    free(audit->points);
    free(audit->leaders);
    free(audit->grants);
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

#define SCHEDULE_NAME "schedule-"
#define KEY_NAME      "key-"

void audit_schedule_name(unsigned schedule, char *text)
{
    (void)snprintf(text, AUDIT_TEXT, SCHEDULE_NAME "%u", schedule);
}

void audit_client_name(unsigned client, char *text)
{
    (void)snprintf(text, AUDIT_TEXT, "agent-%u", client);
}

void audit_key_name(uint64_t key, char *text)
{
    (void)snprintf(text, AUDIT_TEXT, KEY_NAME "%" PRIu64, key);
}

void audit_occurrence_name(unsigned occurrence, unsigned form, char *text)
{
    static const char *const forms[] = {"2026-03-01T00:%02u:00Z", "2026-03-01T02:%02u:00+02:00",
                                        "2026-03-01t00:%02u:00.000z"};
    if (occurrence % 2 == 0) {
        (void)snprintf(text, AUDIT_TEXT, "batch-%02u", occurrence);
        return;
    }
    (void)snprintf(text, AUDIT_TEXT, forms[form % 3] /* NOLINT */, occurrence);
}

/* The two digits that all forms have in the same place. */
int audit_occurrence_in(struct slice text)
{
    if (!slice_is_present(text)) {
        return -1;
    }
    size_t at = text.base[0] == 'b' ? 6 : 14;
    CHECK(text.len >= at + 2); /* only what was asked for comes here */
    return (text.base[at] - '0') * 10 + text.base[at + 1] - '0';
}

static uint64_t number_after(struct slice text, const char *before)
{
    char copy[AUDIT_TEXT];
    size_t len = strlen(before);
    if (text.len <= len || text.len >= sizeof copy || memcmp(text.base, before, len) != 0) {
        return UINT64_MAX;
    }
    memcpy(copy, text.base, text.len);
    copy[text.len] = '\0';
    return strtoull(copy + len, NULL, 10);
}

/* ---- finding ---- */

struct grant *audit_find_grant(struct audit *audit, uint64_t token)
{
    return token == NO_TOKEN || token > audit->n_grants ? NULL : &audit->grants[token - 1];
}

struct schedule *audit_find_schedule(struct audit *audit, struct slice id)
{
    uint64_t number = number_after(id, SCHEDULE_NAME);
    CHECK(number < AUDIT_SCHEDULES); /* only what was asked for comes here */
    return &audit->schedules[number];
}

struct key *audit_find_key(struct audit *audit, uint64_t key)
{
    CHECK(key != NO_KEY && key <= audit->n_keys);
    return &audit->keys[key - 1];
}

static uint64_t *find_bucket(struct audit *audit, uint64_t fingerprint)
{
    size_t at = fingerprint % audit->n_buckets;
    while (audit->buckets[at] != 0 && audit->asks[audit->buckets[at] - 1].fingerprint != fingerprint) {
        at = (at + 1) % audit->n_buckets;
    }
    return &audit->buckets[at];
}

static void make_buckets(struct audit *audit)
{
    if (audit->n_asks * 2 < audit->n_buckets) {
        return;
    }
    audit->n_buckets = audit->n_buckets == 0 ? 1024 : audit->n_buckets * 2;
    free(audit->buckets);
    audit->buckets = calloc(audit->n_buckets, sizeof *audit->buckets);
    CHECK(audit->buckets != NULL);
    for (size_t i = 0; i < audit->n_asks; i++) {
        *find_bucket(audit, audit->asks[i].fingerprint) = i + 1;
    }
}

static uint64_t fingerprint_of(const struct command *command)
{
    struct walk walk = {0};
    walk_command(&walk, command);
    return walk.fingerprint;
}

struct ask *audit_find_ask(struct audit *audit, const struct command *command)
{
    make_buckets(audit);
    uint64_t ask = *find_bucket(audit, fingerprint_of(command));
    return ask == 0 ? NULL : &audit->asks[ask - 1];
}

/* ---- what clients ask ---- */

uint64_t audit_new_key(struct audit *audit)
{
    audit->keys = audit_grow(audit->keys, audit->n_keys, &audit->keys_capacity, sizeof *audit->keys);
    audit->keys[audit->n_keys++] = (struct key){.token = NO_TOKEN};
    return audit->n_keys;
}

static struct ask *make_ask(struct audit *audit, const struct command *command)
{
    audit->asks = audit_grow(audit->asks, audit->n_asks, &audit->asks_capacity, sizeof *audit->asks);
    struct ask *ask = &audit->asks[audit->n_asks++];
    *ask = (struct ask){.fingerprint = fingerprint_of(command), .kind = command->kind};
    ask->first_ns = audit->world->now_ns;
    if (command->kind == COMMAND_ACQUIRE) {
        ask->key = number_after(command->acquire.idempotency_key, KEY_NAME);
        (void)audit_find_key(audit, ask->key);
    } else if (command->kind == COMMAND_RENEW) {
        ask->token = command->renew.token;
    } else if (command->kind == COMMAND_RELEASE) {
        ask->token = command->release.token;
    }
    make_buckets(audit);
    *find_bucket(audit, ask->fingerprint) = audit->n_asks;
    return ask;
}

uint64_t audit_believe_until(uint64_t since_ns, uint64_t ms)
{
    return since_ns + ms * (1000000 - 1000) / 999500 * SIM_MS;
}

static void renewal_asked(struct audit *audit, const struct renew_command *command)
{
    struct grant *grant = audit_find_grant(audit, command->token);
    CHECK(grant != NULL); /* a client knows its token from an answer */
    uint64_t ttl_ms = command->has_ttl ? command->ttl_ms : grant->granted_ttl_ms;
    uint64_t now_ns = audit->world->now_ns;
    grant->unheard = audit_grow(grant->unheard, grant->n_unheard, &grant->unheard_capacity, sizeof *grant->unheard);
    grant->unheard[grant->n_unheard++] =
        (struct unheard){.asked_ns = now_ns, .until_ns = audit_believe_until(now_ns, ttl_ms)};
}

uint64_t audit_asked(struct audit *audit, const struct command *command)
{
    struct ask *ask = audit_find_ask(audit, command);
    ask = ask == NULL ? make_ask(audit, command) : ask;
    ask->attempts++;
    if (ask->kind == COMMAND_RENEW) {
        renewal_asked(audit, &command->renew);
    } else if (ask->kind == COMMAND_RELEASE) {
        audit_find_grant(audit, ask->token)->given_back = true;
    }
    return (uint64_t)(ask - audit->asks);
}

void audit_waits(struct audit *audit, uint64_t number)
{
    audit->asks[number].waits = true;
}

void audit_settle_renewal(struct audit *audit, const struct ask *ask, uint64_t asked_ns)
{
    struct grant *grant = ask->kind == COMMAND_RENEW ? audit_find_grant(audit, ask->token) : NULL;
    for (size_t i = 0; grant != NULL && i < grant->n_unheard; i++) {
        if (grant->unheard[i].asked_ns == asked_ns) {
            grant->unheard[i] = grant->unheard[--grant->n_unheard];
            return;
        }
    }
}

void audit_not_proposed(struct audit *audit, uint64_t number, uint64_t asked_ns)
{
    struct ask *ask = &audit->asks[number];
    CHECK(ask->attempts > 0);
    ask->attempts--;
    if (ask->applications > ask->attempts) {
        sim_fail(audit->world, "a command was applied, and its client was told that it wasn't proposed");
    }
    audit_settle_renewal(audit, ask, asked_ns);
}
