#include "contract_draw.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const SCHEDULES[CONTRACT_DRAW_SCHEDULES] = {"db-main", "db-sync", "db-",  "web.a",
                                                               "web.b",   "etl",     "etl2", "cron@7"};
static const char *const SCOPES[] = {"*", "db-*", "web.*", "etl*", "etl", "db-main", "db-", "d*", "nothing*"};
static const char *const GROUPS[] = {"disk", "net", "g:1"};
static const char *const PREFIXES[] = {"", "db-", "web", "e", "etl2", "zz"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- chance ---- */

static uint64_t next_random(struct contract_draw *draw) /* splitmix64 */
{
    uint64_t z = draw->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t below(struct contract_draw *draw, uint64_t bound)
{
    return next_random(draw) % bound;
}

static bool percent(struct contract_draw *draw, unsigned chance)
{
    return below(draw, 100) < chance;
}

#define PICK(draw, array) ((array)[below(draw, COUNT(array))])

static void write_text(char to[CONTRACT_TEXT], const char *prefix, uint64_t number)
{
    (void)snprintf(to, CONTRACT_TEXT, "%s%llu", prefix, (unsigned long long)number);
}

static void copy_text(char to[CONTRACT_TEXT], const char *from)
{
    (void)snprintf(to, CONTRACT_TEXT, "%s", from);
}

void contract_draw_init(struct contract_draw *draw, uint64_t seed)
{
    *draw = (struct contract_draw){.random = seed, .entry = 1, .ends_entry = true, .now_ms = 1000};
    draw->holders = percent(draw, 20) ? 12 : 6;
    draw->busy = (int)below(draw, CONTRACT_DRAW_SCHEDULES);
}

static int draw_schedule(struct contract_draw *draw)
{
    return percent(draw, 40) ? draw->busy : (int)below(draw, CONTRACT_DRAW_SCHEDULES);
}

/* ---- time ---- */

static uint64_t draw_pause_ms(struct contract_draw *draw)
{
    uint64_t dice = below(draw, 10000);
    if (dice < 3500) {
        return 0;
    }
    if (dice < 8000) {
        return 1 + below(draw, 300);
    }
    if (dice < 9800) {
        return below(draw, 8000);
    }
    if (dice < 9970) {
        return below(draw, 1800000);
    }
    if (dice < 9985) {
        return below(draw, CONTRACT_DAY_MS);
    }
    return below(draw, (dice < 9995 ? 20 : 60) * CONTRACT_DAY_MS);
}

/* Often to the very moment at which something ends, or just before it; now and then the clock of the proposer is behind. */
static struct contract_entry draw_entry(struct contract_draw *draw, const struct contract_model *model)
{
    struct contract_counts counts;
    contract_model_count(model, &counts);
    uint64_t now_ms = draw->now_ms + draw_pause_ms(draw);
    if (counts.next_end_ms != UINT64_MAX && percent(draw, 8)) {
        now_ms = counts.next_end_ms - below(draw, 2);
    }
    draw->now_ms = now_ms;
    if (percent(draw, 2)) {
        now_ms -= now_ms > 5000 ? below(draw, 5000) : 0;
    }
    return (struct contract_entry){.now_ms = now_ms,
                                   .wall_ms = 1700000000000 + (int64_t)now_ms - (int64_t)below(draw, 300)};
}

/* ---- acquire ---- */

/* An instant in one of the ways to write it, and some that look like one. `s` is of 1970. */
static void write_instant(struct contract_draw *draw, int64_t s, char text[CONTRACT_TEXT])
{
    static const struct form {
        int ahead_minutes; /* of the offset that is written */
        const char *format;
        const char *rest;
    } forms[] = {
        {0, "%Y-%m-%dT%H:%M:%S", "Z"},
        {0, "%Y-%m-%dT%H:%M:%S", "Z"},
        {0, "%Y-%m-%dt%H:%M:%S", "z"},
        {0, "%Y-%m-%dT%H:%M:%S", "+00:00"},
        {0, "%Y-%m-%dT%H:%M:%S", "-00:00"},
        {330, "%Y-%m-%dT%H:%M:%S", "+05:30"},
        {-705, "%Y-%m-%dT%H:%M:%S", "-11:45"},
        {1439, "%Y-%m-%dT%H:%M:%S", "+23:59"},
        {0, "%Y-%m-%dT%H:%M:%S", ".000Z"},
        {0, "%Y-%m-%dT%H:%M:%S", ".000000000Z"},
        {0, "%Y-%m-%dT%H:%M:%S", ".5Z"},
        {60, "%Y-%m-%dT%H:%M:%S", ".500000000+01:00"},
        {0, "%Y-%m-%dT%H:%M:%S", ".000000001Z"},
        {0, "%Y-%m-%dT%H:%M:%S", ".0000000000Z"}, /* from here on: no instants */
        {0, "%Y-%m-%dT%H:%M:%S", ""},
        {0, "%Y-%m-%dT%H:%M:%S", ".Z"},
        {0, "%Y-%m-%dT%H:%M:%S", "+24:00"},
        {0, "%Y-%m-%dT24:%M:%S", "Z"},
        {0, "%Y-%m-00T%H:%M:%S", "Z"},
        {0, "2026-02-29T%H:%M:%S", "Z"},
    };
    const struct form *form = &forms[below(draw, percent(draw, 90) ? 13 : COUNT(forms))];
    time_t seconds = (time_t)(s + form->ahead_minutes * 60);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    size_t len = strftime(text, CONTRACT_TEXT, form->format, &tm);
    (void)snprintf(text + len, CONTRACT_TEXT - len, "%s", form->rest);
}

static void draw_occurrence(struct contract_draw *draw, int schedule, char text[CONTRACT_TEXT])
{
    if (percent(draw, 12)) {
        text[0] = '\0';
        return;
    }
    if (percent(draw, schedule % 3 == 0 ? 70 : 8)) {
        write_text(text, "run-", below(draw, 150));
        return;
    }
    draw->hour[schedule] += percent(draw, 30) ? 1 : 0;
    int64_t hour = draw->hour[schedule] - (int64_t)below(draw, percent(draw, 10) ? 120 : 3);
    write_instant(draw, 1772330400 + hour * 3600, text);
}

static void draw_durations(struct contract_draw *draw, struct contract_body *body)
{
    static const uint64_t ttls[] = {30000,
                                    30000,
                                    35000,
                                    60000,
                                    120000,
                                    1000,
                                    2500,
                                    29999,
                                    1,
                                    7 * CONTRACT_DAY_MS,
                                    7 * CONTRACT_DAY_MS + 1,
                                    9007199254740991};
    static const uint64_t estimates[] = {0, 1, 500, 5000, 30000, 90000, 604770000, 604770001, 9007199254740991};
    body->has_ttl = percent(draw, 80);
    body->ttl_ms = body->has_ttl ? ttls[below(draw, percent(draw, 85) ? 5 : COUNT(ttls))] : 0;
    body->has_estimate = percent(draw, 40);
    body->estimate_ms = body->has_estimate ? estimates[below(draw, percent(draw, 90) ? 4 : COUNT(estimates))] : 0;
}

static void change_a_bit(struct contract_draw *draw, struct contract_body *body)
{
    switch (below(draw, 12)) {
    case 0:
        copy_text(body->holder, "someone-else");
        break;
    case 1:
        copy_text(body->occurrence, "2026-03-01T02:00:00Z");
        break;
    case 2:
        copy_text(body->metadata, "{\"changed\":true}");
        break;
    case 3:
    case 4:
        draw_durations(draw, body);
        break;
    default:
        break;
    }
}

static void draw_acquire(struct contract_draw *draw, struct contract_command *command)
{
    int schedule = draw_schedule(draw);
    unsigned *n_asked = &draw->n_asked[schedule];
    if (*n_asked > 0 && percent(draw, 15)) { /* once more, or the same key for something else */
        *command = draw->asked[schedule][below(draw, *n_asked < CONTRACT_DRAW_ASKED ? *n_asked : CONTRACT_DRAW_ASKED)];
        change_a_bit(draw, &command->body);
        return;
    }
    command->kind = CONTRACT_ACQUIRE;
    copy_text(command->name, SCHEDULES[schedule]);
    write_text(command->key, "key-", draw->keys++);
    write_text(command->body.holder, "host-", below(draw, draw->holders));
    draw_occurrence(draw, schedule, command->body.occurrence);
    if (percent(draw, 50)) {
        write_text(command->body.metadata, "", below(draw, 3));
    }
    draw_durations(draw, &command->body);
    draw->asked[schedule][(*n_asked)++ % CONTRACT_DRAW_ASKED] = *command;
}

/* ---- what is about a token ---- */

/* Mostly one with a lock that lives. */
static const char *draw_held(struct contract_draw *draw, const struct contract_model *model)
{
    const char *schedule = SCHEDULES[draw_schedule(draw)];
    const struct contract_run *holders[CONTRACT_SLOTS];
    for (int tries = 0; tries < 5 && contract_model_holders(model, schedule, holders) == 0; tries++) {
        schedule = SCHEDULES[draw_schedule(draw)];
    }
    return schedule;
}

/* Mostly of a grant that lives, else of one of the last; rarely another schedule's, or nobody's. */
static uint64_t draw_token(struct contract_draw *draw, const struct contract_model *model, const char *schedule)
{
    const struct contract_run *runs;
    size_t n_runs = contract_model_runs(model, schedule, &runs);
    for (int tries = 0; n_runs > 0 && tries < 8; tries++) {
        const struct contract_run *run = &runs[below(draw, n_runs)];
        if (run->has_slot || percent(draw, 8)) {
            return run->token;
        }
    }
    struct contract_counts counts;
    contract_model_count(model, &counts);
    uint64_t back = 1 + below(draw, 60);
    return back < counts.next_token && !percent(draw, 2) ? counts.next_token - back : CONTRACT_NO_TOKEN;
}

static uint32_t step_of(const struct contract_model *model, const uint32_t *granted_by, uint64_t token)
{
    struct contract_counts counts;
    contract_model_count(model, &counts);
    return token < counts.next_token ? granted_by[token] : 0;
}

static void draw_renewals(struct contract_draw *draw, const struct contract_model *model, const uint32_t *granted_by,
                          struct contract_step *step)
{
    static const uint64_t ttls[] = {30000, 60000, 90000, 1500, 29999, 1, 7 * CONTRACT_DAY_MS, 7 * CONTRACT_DAY_MS + 1};
    struct contract_command *command = &step->command;
    int wanted = command->kind == CONTRACT_RENEW ? 1 : 1 + (int)below(draw, CONTRACT_RENEWALS);
    for (int i = 0; i < wanted; i++) {
        struct contract_renewal *renewal = &command->renewals[command->n_renewals];
        copy_text(renewal->schedule, draw_held(draw, model));
        renewal->token = draw_token(draw, model, renewal->schedule);
        renewal->has_ttl = percent(draw, 60);
        renewal->ttl_ms = renewal->has_ttl ? ttls[below(draw, percent(draw, 80) ? 4 : COUNT(ttls))] : 0;
        bool is_twice = false; /* the contract has no pair twice */
        for (int j = 0; j < command->n_renewals; j++) {
            is_twice |= command->renewals[j].token == renewal->token;
        }
        step->granted_by[command->n_renewals] = step_of(model, granted_by, renewal->token);
        command->n_renewals += is_twice ? 0 : 1;
    }
}

static void draw_release(struct contract_draw *draw, const struct contract_model *model, const uint32_t *granted_by,
                         struct contract_step *step)
{
    static const enum contract_result outcomes[] = {CONTRACT_SUCCEEDED, CONTRACT_SUCCEEDED, CONTRACT_FAILED,
                                                    CONTRACT_ABANDONED};
    struct contract_command *command = &step->command;
    copy_text(command->name, draw_held(draw, model));
    command->token = draw_token(draw, model, command->name);
    step->granted_by[0] = step_of(model, granted_by, command->token);
    command->outcome = percent(draw, 92) ? PICK(draw, outcomes) : CONTRACT_NOTHING;
}

static void draw_revoke(struct contract_draw *draw, const struct contract_model *model, const uint32_t *granted_by,
                        struct contract_step *step)
{
    struct contract_command *command = &step->command;
    copy_text(command->name, draw_held(draw, model));
    if (percent(draw, 70)) {
        command->token = draw_token(draw, model, command->name);
        step->granted_by[0] = step_of(model, granted_by, command->token);
    }
    command->force = percent(draw, 40);
    write_text(command->actor, "ops-", below(draw, 4));
    write_text(command->reason, "because ", below(draw, 4));
}

/* ---- settings ---- */

static void break_a_field(struct contract_draw *draw, struct contract_policy *policy)
{
    switch (below(draw, 7)) {
    case 0:
        policy->slots = 0;
        break;
    case 1:
        policy->slots = 257;
        break;
    case 2:
        policy->max_attempts = 0;
        break;
    case 3:
        policy->max_ttl_ms = 7 * CONTRACT_DAY_MS + 1;
        break;
    case 4:
        policy->margin_ms = policy->max_ttl_ms + 1;
        break;
    case 5:
        policy->estimate_ms = policy->max_ttl_ms - policy->margin_ms + 1;
        break;
    default:
        policy->max_ttl_ms = 0;
        policy->margin_ms = 0;
        policy->estimate_ms = 0;
        break;
    }
}

static void draw_put_schedule(struct contract_draw *draw, struct contract_command *command)
{
    static const uint64_t estimates[] = {0, 0, 0, 700, 5000, 30000};
    static const uint64_t margins[] = {30000, 30000, 10000, 1000, 1000, 0, 60000};
    static const uint64_t longest[] = {7 * CONTRACT_DAY_MS, 7 * CONTRACT_DAY_MS, 7 * CONTRACT_DAY_MS, 120000, 95000};
    static const uint64_t holds[] = {0, 0, 0, 500, 30000};
    static const uint32_t slots[] = {1, 2, 3, 12, 256};
    static const uint32_t attempts[] = {1, 1, 2, 3, 1000000};
    static const uint64_t expected[] = {0, 0, 1, 60000, 9007199254740991};
    copy_text(command->name, SCHEDULES[draw_schedule(draw)]);
    command->policy = (struct contract_policy){.estimate_ms = PICK(draw, estimates),
                                               .margin_ms = PICK(draw, margins),
                                               .max_ttl_ms = PICK(draw, longest),
                                               .min_hold_ms = PICK(draw, holds),
                                               .slots = PICK(draw, slots),
                                               .max_attempts = PICK(draw, attempts),
                                               .expected_every_ms = PICK(draw, expected)};
    if (percent(draw, 50)) {
        copy_text(command->policy.group, PICK(draw, GROUPS));
    }
    if (percent(draw, 50)) {
        write_text(command->policy.description, "number ", below(draw, 9));
    }
    if (percent(draw, 8)) {
        break_a_field(draw, &command->policy);
    }
}

static void draw_group(struct contract_draw *draw, struct contract_command *command)
{
    static const uint32_t slots[] = {0, 1, 1, 2, 5, 10000, 10001};
    copy_text(command->name, PICK(draw, GROUPS));
    command->kind = percent(draw, 65) ? CONTRACT_PUT_GROUP : CONTRACT_DELETE_GROUP;
    command->slots = command->kind == CONTRACT_PUT_GROUP ? PICK(draw, slots) : 0;
}

static void draw_freeze(struct contract_draw *draw, struct contract_command *command)
{
    static const uint64_t ttls[] = {1, 100, 400, 1000, 2000, 30000, 300000, 0, 365 * CONTRACT_DAY_MS + 1};
    copy_text(command->name, percent(draw, 90) ? SCOPES[1 + below(draw, COUNT(SCOPES) - 1)] : SCOPES[0]);
    command->kind = percent(draw, 70) ? CONTRACT_PUT_FREEZE : CONTRACT_DELETE_FREEZE;
    if (command->kind == CONTRACT_PUT_FREEZE) {
        command->ttl_ms = ttls[below(draw, percent(draw, 90) ? 7 : COUNT(ttls))];
        write_text(command->actor, "ops-", below(draw, 4));
        write_text(command->reason, "because ", below(draw, 4));
    }
}

/* ---- all of them ---- */

static enum contract_kind draw_kind(struct contract_draw *draw)
{
    static const struct share {
        unsigned until;
        enum contract_kind kind;
    } shares[] = {{500, CONTRACT_ACQUIRE},         {690, CONTRACT_RELEASE},   {790, CONTRACT_RENEW},
                  {820, CONTRACT_RENEW_BATCH},     {870, CONTRACT_REVOKE},    {915, CONTRACT_PUT_SCHEDULE},
                  {940, CONTRACT_DELETE_SCHEDULE}, {965, CONTRACT_PUT_GROUP}, {995, CONTRACT_PUT_FREEZE}};
    uint64_t dice = below(draw, 1000);
    for (size_t i = 0; i < COUNT(shares); i++) {
        if (dice < shares[i].until) {
            return shares[i].kind;
        }
    }
    return CONTRACT_TICK;
}

static void draw_command(struct contract_draw *draw, const struct contract_model *model, const uint32_t *granted_by,
                         struct contract_step *step)
{
    struct contract_command *command = &step->command;
    command->kind = draw_kind(draw);
    switch (command->kind) {
    case CONTRACT_ACQUIRE:
        draw_acquire(draw, command);
        break;
    case CONTRACT_RELEASE:
        draw_release(draw, model, granted_by, step);
        break;
    case CONTRACT_RENEW:
    case CONTRACT_RENEW_BATCH:
        draw_renewals(draw, model, granted_by, step);
        break;
    case CONTRACT_REVOKE:
        draw_revoke(draw, model, granted_by, step);
        break;
    case CONTRACT_PUT_SCHEDULE:
        draw_put_schedule(draw, command);
        break;
    case CONTRACT_DELETE_SCHEDULE:
        copy_text(command->name, SCHEDULES[draw_schedule(draw)]);
        break;
    case CONTRACT_PUT_GROUP:
    case CONTRACT_DELETE_GROUP:
        draw_group(draw, command);
        break;
    case CONTRACT_PUT_FREEZE:
    case CONTRACT_DELETE_FREEZE:
        draw_freeze(draw, command);
        break;
    case CONTRACT_TICK:
        break;
    }
}

static void draw_look(struct contract_draw *draw, struct contract_command *look)
{
    copy_text(look->name, SCHEDULES[draw_schedule(draw)]);
    copy_text(look->key, PICK(draw, PREFIXES));
    if (percent(draw, 30)) {
        write_text(look->body.holder, "host-", below(draw, draw->holders));
    }
    look->slots = 1 + (uint32_t)below(draw, 8);
}

void contract_draw_step(struct contract_draw *draw, const struct contract_model *model, const uint32_t *granted_by,
                        struct contract_step *step)
{
    memset(step, 0, sizeof *step);
    if (draw->ends_entry || percent(draw, 60)) {
        draw->entry++;
        draw->time = draw_entry(draw, model);
    }
    step->id = ++draw->n_steps;
    step->entry = draw->entry;
    step->time = draw->time;
    uint64_t dice = below(draw, 2000);
    draw->ends_entry = dice == 0;
    if (dice == 0) { /* images are taken between entries */
        step->kind = CONTRACT_STEP_RELOAD;
    } else if (dice < 120) {
        step->kind = CONTRACT_STEP_LOOK;
        draw_look(draw, &step->command);
    } else {
        draw_command(draw, model, granted_by, step);
    }
}
