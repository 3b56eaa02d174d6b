/* The workload: what clients ask for. Every choice that changes what is sent is made here, once, so that a repeat is a
 * repeat. Most requests are such as could be granted by what clients have learnt; some are wrong on purpose. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

#define NO_POLICY_EVERY 4u /* of the schedules nearly nobody gives a policy */

void workload_open(struct cluster *cluster)
{
    for (unsigned i = 0; i < AUDIT_SCHEDULES; i++) {
        cluster->terms[i] = (struct terms){.minimum_ms = LIMIT_DEFAULT_MARGIN_MS, .maximum_ms = LIMIT_TTL_MS};
    }
}

static struct sending *sending_new(enum command_kind kind, unsigned schedule)
{
    struct sending *sending = calloc(1, sizeof *sending);
    CHECK(sending != NULL);
    sending->users = 1;
    sending->command.kind = kind;
    audit_schedule_name(schedule, sending->schedule);
    return sending;
}

struct sending *sending_use(struct sending *sending)
{
    sending->users++;
    return sending;
}

void sending_drop(struct sending *sending)
{
    if (sending != NULL && --sending->users == 0) {
        free(sending);
    }
}

static unsigned schedule_of(const struct sending *sending)
{
    return (unsigned)strtoul(strrchr(sending->schedule, '-') + 1, NULL, 10);
}

/* ---- acquire ---- */

static uint64_t draw_ttl(struct rng *rng, const struct terms *terms, uint64_t estimate_ms)
{
    uint64_t die = rng_below(rng, 100);
    uint64_t least_ms = terms->minimum_ms + estimate_ms;
    if (die < 4 && terms->minimum_ms > 1) {
        return terms->minimum_ms - 1;
    }
    if (die < 5) {
        return terms->maximum_ms + 1;
    }
    least_ms += die < 20 ? 0 : die < 70 ? rng_below(rng, 500) : rng_below(rng, 5000);
    uint64_t most_ms = die < 95 && least_ms > terms->maximum_ms ? terms->maximum_ms : least_ms;
    return most_ms == 0 ? 1 : most_ms;
}

/* Two of five have an occurrence, and many of these are another attempt at one that failed. */
static unsigned draw_firing(struct cluster *cluster, char *occurrence)
{
    struct rng *rng = &cluster->rng;
    const struct failed *failed = &cluster->failed[rng_below(rng, SEEN)];
    if (failed->occurrence[0] != '\0' && rng_chance(rng, 150)) {
        (void)snprintf(occurrence, AUDIT_TEXT, "%s", failed->occurrence);
        return failed->schedule;
    }
    if (rng_chance(rng, 300)) {
        audit_occurrence_name((unsigned)rng_below(rng, AUDIT_OCCURRENCES), (unsigned)rng_below(rng, 3), occurrence);
    }
    return (unsigned)rng_below(rng, AUDIT_SCHEDULES);
}

/* Mostly long enough for somebody to give the lock back, and sometimes for its deadline. */
static uint64_t draw_wait(struct rng *rng)
{
    uint64_t die = rng_below(rng, 100);
    return die < 10 ? rng_between(rng, 1, 50) : die < 90 ? rng_between(rng, 200, 5000) : rng_between(rng, 5000, 40000);
}

/* Everything in it that points into the sending itself. */
static void point_acquire(struct sending *sending)
{
    struct acquire_command *command = &sending->command.acquire;
    command->schedule_id = slice_of(sending->schedule);
    command->holder = slice_of(sending->name);
    command->idempotency_key = slice_of(sending->key_name);
    command->metadata = slice_of(sending->metadata);
    command->occurrence = sending->occurrence[0] == '\0' ? (struct slice){0} : slice_of(sending->occurrence);
}

struct sending *make_acquire(struct client *client)
{
    struct cluster *cluster = client->cluster;
    struct rng *rng = &cluster->rng;
    char occurrence[AUDIT_TEXT] = "";
    unsigned schedule = draw_firing(cluster, occurrence);
    struct sending *sending = sending_new(COMMAND_ACQUIRE, schedule);
    struct acquire_command *command = &sending->command.acquire;
    sending->key = audit_new_key(cluster->audit);
    memcpy(sending->occurrence, occurrence, sizeof occurrence);
    audit_client_name(client->index, sending->name);
    audit_key_name(sending->key, sending->key_name);
    (void)snprintf(sending->metadata, sizeof sending->metadata, "{\"key\":%" PRIu64 "}", sending->key);
    command->has_estimate = rng_chance(rng, 200);
    command->estimate_ms = command->has_estimate ? rng_below(rng, 3000) : 0;
    command->has_ttl = !rng_chance(rng, command->estimate_ms > 0 ? 500 : 30);
    command->ttl_ms = command->has_ttl ? draw_ttl(rng, &cluster->terms[schedule], command->estimate_ms) : 0;
    sending->wait_ms = rng_chance(rng, 350) ? draw_wait(rng) : 0;
    point_acquire(sending);
    return sending;
}

struct sending *make_altered(const struct sending *acquire)
{
    struct sending *sending = sending_new(COMMAND_ACQUIRE, 0);
    *sending = *acquire;
    sending->users = 1;
    sending->command.acquire.ttl_ms += sending->command.acquire.has_ttl ? 1 : LIMIT_DEFAULT_MARGIN_MS;
    sending->command.acquire.has_ttl = true;
    point_acquire(sending);
    return sending;
}

/* ---- renew and release ---- */

struct sending *make_renew(struct client *client)
{
    struct rng *rng = &client->cluster->rng;
    unsigned schedule = schedule_of(client->acquire);
    struct sending *sending = sending_new(COMMAND_RENEW, schedule);
    struct renew_command *command = &sending->command.renew;
    command->schedule_id = slice_of(sending->schedule);
    command->token = client->token;
    command->has_ttl = rng_chance(rng, 600);
    if (command->has_ttl) {
        command->ttl_ms = draw_ttl(rng, &client->cluster->terms[schedule], 0);
    }
    return sending;
}

struct sending *make_release(struct client *client)
{
    static const enum run_outcome outcomes[] = {RUN_SUCCEEDED, RUN_SUCCEEDED, RUN_FAILED, RUN_FAILED, RUN_ABANDONED};
    struct rng *rng = &client->cluster->rng;
    struct sending *sending = sending_new(COMMAND_RELEASE, schedule_of(client->acquire));
    struct release_command *command = &sending->command.release;
    command->schedule_id = slice_of(sending->schedule);
    command->token = client->token;
    command->outcome = outcomes[rng_below(rng, 5)];
    bool needed = slice_is_present(client->acquire->command.acquire.occurrence) && !rng_chance(rng, 20);
    command->has_outcome = needed || command->outcome != RUN_SUCCEEDED;
    if (command->outcome != RUN_SUCCEEDED) {
        workload_failed(client);
    }
    return sending;
}

/* ---- policies ---- */

static uint64_t pick(struct rng *rng, const uint64_t *values, size_t n)
{
    return values[rng_below(rng, n)];
}
#define PICK(rng, values) pick(rng, values, sizeof(values) / sizeof(values)[0])

/* Never so small that no TTL could satisfy the policy: that doesn't get past api. */
static uint64_t draw_max_ttl(struct rng *rng, const struct policy *policy)
{
    return rng_chance(rng, 400) ? LIMIT_TTL_MS : policy->estimate_ms + policy->margin_ms + 1 + rng_below(rng, 3000);
}

static void draw_policy(struct rng *rng, struct policy *policy)
{
    static const uint64_t margins_ms[] = {0, 21, 100, 103, 500, 511, 2000, 30000};
    static const uint64_t holds_ms[] = {0, 0, 0, 0, 50, 300, 1500, 10000};
    static const uint64_t slots[] = {1, 1, 1, 2, 2, 3, 4, LIMIT_SLOTS};
    static const uint64_t attempts[] = {1, 1, 2, 3, 5, LIMIT_ATTEMPTS};
    policy->margin_ms = PICK(rng, margins_ms);
    policy->estimate_ms = rng_chance(rng, 600) ? 0 : rng_below(rng, 1000);
    policy->max_ttl_ms = draw_max_ttl(rng, policy);
    policy->min_hold_ms = PICK(rng, holds_ms);
    policy->slots = (uint32_t)PICK(rng, slots);
    policy->max_attempts = (uint32_t)PICK(rng, attempts);
}

/* A policy grows with its text, or doesn't. */
static struct slice write_text(struct cluster *cluster, struct sending *sending, const char *what)
{
    static const size_t lens[] = {40, 40, 60, sizeof sending->text - 1};
    int len = snprintf(sending->text, sizeof sending->text, "%s %" PRIu64 " ", what, ++cluster->n_orders);
    size_t end = lens[rng_below(&cluster->rng, 4)];
    memset(sending->text + len, '.', end - (size_t)len);
    sending->text[end] = '\0';
    return slice_of(sending->text);
}

static unsigned draw_schedule(struct rng *rng)
{
    unsigned schedule = (unsigned)rng_below(rng, AUDIT_SCHEDULES);
    return schedule % NO_POLICY_EVERY == 0 && !rng_chance(rng, 100) ? schedule + 1 : schedule;
}

static struct sending *make_put(struct client *client)
{
    struct rng *rng = &client->cluster->rng;
    struct sending *sending = sending_new(COMMAND_PUT_SCHEDULE, draw_schedule(rng));
    struct put_schedule_command *command = &sending->command.put_schedule;
    command->schedule_id = slice_of(sending->schedule);
    draw_policy(rng, &command->policy);
    if (rng_chance(rng, 700)) {
        command->policy.description = write_text(client->cluster, sending, "policy");
    }
    return sending;
}

static struct sending *make_delete(struct client *client)
{
    struct sending *sending = sending_new(COMMAND_DELETE_SCHEDULE, draw_schedule(&client->cluster->rng));
    sending->command.delete_schedule.schedule_id = slice_of(sending->schedule);
    return sending;
}

/* ---- revoke ---- */

static struct sending *make_revoke(struct client *client)
{
    struct cluster *cluster = client->cluster;
    struct rng *rng = &cluster->rng;
    struct seen seen = cluster->seen[rng_below(rng, SEEN)]; /* or nothing: schedule 0, no token */
    bool strange = rng_chance(rng, 30);                     /* a token of another schedule */
    struct sending *sending = sending_new(COMMAND_REVOKE, (seen.schedule + strange) % AUDIT_SCHEDULES);
    struct revoke_command *command = &sending->command.revoke;
    command->schedule_id = slice_of(sending->schedule);
    (void)snprintf(sending->name, sizeof sending->name, "operator-%u", client->index);
    command->actor = slice_of(sending->name);
    command->reason = write_text(cluster, sending, "reason");
    command->token = strange || rng_chance(rng, 600) ? seen.token : 0;
    command->force = rng_chance(rng, 400);
    return sending;
}

struct sending *make_order(struct client *client)
{
    uint64_t die = rng_below(&client->cluster->rng, 100);
    return die < 45 ? make_put(client) : die < 55 ? make_delete(client) : make_revoke(client);
}

/* ---- what is learnt ---- */

void workload_failed(const struct client *client)
{
    struct cluster *cluster = client->cluster;
    if (client->acquire->occurrence[0] != '\0') {
        struct failed *failed = &cluster->failed[cluster->n_failed++ % SEEN];
        failed->schedule = schedule_of(client->acquire);
        memcpy(failed->occurrence, client->acquire->occurrence, sizeof failed->occurrence);
    }
}

void workload_learn(struct cluster *cluster, const struct sending *sending, const struct outcome *outcome)
{
    struct terms *terms = &cluster->terms[schedule_of(sending)];
    bool too_short_or_long = outcome->code == OUTCOME_TTL_TOO_SHORT || outcome->code == OUTCOME_TTL_TOO_LONG;
    if (sending->command.kind == COMMAND_ACQUIRE && outcome->code == OUTCOME_DONE && !outcome->repeated) {
        cluster->seen[cluster->n_seen++ % SEEN] = (struct seen){schedule_of(sending), outcome->grant.token};
    } else if (sending->command.kind == COMMAND_ACQUIRE && too_short_or_long) {
        *terms = (struct terms){.minimum_ms = outcome->minimum_ms, .maximum_ms = outcome->maximum_ms};
    } else if (sending->command.kind == COMMAND_PUT_SCHEDULE && outcome->code == OUTCOME_DONE) {
        const struct policy *policy = &outcome->policy.policy;
        *terms =
            (struct terms){.minimum_ms = policy->estimate_ms + policy->margin_ms, .maximum_ms = policy->max_ttl_ms};
    } else if (sending->command.kind == COMMAND_DELETE_SCHEDULE) {
        *terms = (struct terms){.minimum_ms = LIMIT_DEFAULT_MARGIN_MS, .maximum_ms = LIMIT_TTL_MS};
    }
}
