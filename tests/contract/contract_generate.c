#include "contract_generate.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* splitmix64 */
static uint64_t draw(struct contract_generator *generator)
{
    uint64_t z = generator->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t below(struct contract_generator *generator, uint64_t bound)
{
    return draw(generator) % bound;
}

static bool percent(struct contract_generator *generator, unsigned percent_of_all)
{
    return below(generator, 100) < percent_of_all;
}

static void put_text(char to[CONTRACT_TEXT], const char *from)
{
    (void)snprintf(to, CONTRACT_TEXT, "%s", from);
}

void contract_generator_init(struct contract_generator *generator, uint64_t seed)
{
    memset(generator, 0, sizeof *generator);
    generator->random = seed;
    generator->next_id = 1;
    generator->now_ms = 1000;
}

/* The first ones are asked for most. */
static int draw_schedule(struct contract_generator *generator)
{
    return (int)below(generator, percent(generator, 40) ? 3 : UNIVERSE_SCHEDULES);
}

/* ---- time ---- */

static uint64_t draw_step_ms(struct contract_generator *generator, const struct contract_trial *trial)
{
    uint64_t kind = below(generator, 1000);
    if (kind < 550) {
        return below(generator, 5);
    }
    if (kind < 880) {
        return below(generator, 150);
    }
    if (kind < 920) {
        return below(generator, 40000);
    }
    if (kind < 990) { /* when the next thing ends, or a little beside it */
        struct contract_counts counts;
        contract_model_count(trial->model, &counts);
        uint64_t beside_ms = counts.next_end_ms - 1 + below(generator, 3);
        bool is_near = counts.next_end_ms != UINT64_MAX && beside_ms >= generator->now_ms;
        return is_near && beside_ms - generator->now_ms < 2 * CONTRACT_DAY_MS ? beside_ms - generator->now_ms : 1;
    }
    if (kind < 998) {
        return below(generator, CONTRACT_DAY_MS);
    }
    return below(generator, 42 * CONTRACT_DAY_MS);
}

static void draw_entry(struct contract_generator *generator, const struct contract_trial *trial,
                       struct contract_record *record)
{
    record->begins_entry = percent(generator, 60);
    if (!record->begins_entry) {
        return;
    }
    generator->now_ms += draw_step_ms(generator, trial);
    uint64_t back_ms = percent(generator, 4) ? below(generator, 900) : 0; /* a proposer whose clock is behind */
    record->entry = (struct contract_entry){.now_ms = generator->now_ms - back_ms,
                                            .wall_ms = 1700000000000 + (int64_t)below(generator, 1000000000),
                                            .no_growth = percent(generator, 2)};
}

/* ---- acquire ---- */

/* Instant n is n half minutes after 2026-01-01; every spelling of it is valid. */
static void write_instant(char text[CONTRACT_TEXT], int64_t n, int spelling)
{
    static const int offsets_s[] = {0, 0, 0, 7200, -19800, 50400, 0};
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%SZ",           "%Y-%m-%dt%H:%M:%Sz",
                                          "%Y-%m-%dT%H:%M:%S.000000000Z", "%Y-%m-%dT%H:%M:%S+02:00",
                                          "%Y-%m-%dT%H:%M:%S-05:30",      "%Y-%m-%dT%H:%M:%S.0+14:00",
                                          "%Y-%m-%dT%H:%M:%S-00:00"};
    time_t local = (time_t)(1767225600 + n * 30 + offsets_s[spelling]);
    struct tm tm;
    CHECK(gmtime_r(&local, &tm) != NULL);
    CHECK(strftime(text, CONTRACT_TEXT, formats[spelling], &tm) > 0);
}

/* Those that look like instants are none. */
static void write_string(char text[CONTRACT_TEXT], int n)
{
    static const char *const formats[] = {"run-%d",
                                          "nightly-%d",
                                          "2026-02-29T00:00:00Z.%d",
                                          "2026-01-01T24:%02d:00Z",
                                          "2026-01-01T00:00:00.%dZZ",
                                          "2026-01-01 00:00:%02d"};
    (void)snprintf(text, CONTRACT_TEXT, formats[n % 6], n); // NOLINT(clang-diagnostic-format-nonliteral)
}

static void draw_occurrence(struct contract_generator *generator, int schedule, char text[CONTRACT_TEXT])
{
    if (percent(generator, 15)) {
        text[0] = '\0';
    } else if (percent(generator, schedule % 3 == 1 ? 80 : 8)) {
        generator->strings[schedule] += percent(generator, 35);
        int back = (int)below(generator, percent(generator, 12) ? 120 : 3);
        write_string(text, generator->strings[schedule] < back ? 0 : generator->strings[schedule] - back);
    } else {
        generator->planned[schedule] += percent(generator, 35);
        int64_t back = (int64_t)below(generator, percent(generator, 12) ? 120 : 3);
        write_instant(text, generator->planned[schedule] - back, (int)below(generator, 7));
        if (generator->planned[schedule] % 5 == 0 && strchr(text, '.') == NULL && text[19] == 'Z') {
            (void)snprintf(&text[19], CONTRACT_TEXT - 19, ".25Z"); /* between two others */
        }
    }
}

/* Near what the rule asks for, on both sides of it. */
static void draw_durations(struct contract_generator *generator, const struct contract_trial *trial,
                           struct contract_command *command)
{
    static const uint64_t estimates_ms[] = {0, 1, 50, 2000, 60000, 7 * CONTRACT_DAY_MS - 30000, 1ull << 50};
    static const uint64_t more_ms[] = {0, 1, 10, 100, 1000, 5000, 20000, 60000};
    struct contract_body *body = &command->body;
    struct contract_policy_answer policy = {.policy = {.margin_ms = 30000, .max_ttl_ms = 7 * CONTRACT_DAY_MS}};
    (void)contract_model_policy(trial->model, command->name, &policy);
    body->has_estimate = percent(generator, 35);
    body->estimate_ms = !body->has_estimate ? 0 : estimates_ms[below(generator, percent(generator, 92) ? 4 : 7)];
    body->has_ttl = percent(generator, 85);
    uint64_t estimate_ms =
        body->estimate_ms > policy.policy.estimate_ms ? body->estimate_ms : policy.policy.estimate_ms;
    uint64_t minimum_ms = estimate_ms + policy.policy.margin_ms;
    uint64_t kind = below(generator, 100);
    body->ttl_ms = minimum_ms + more_ms[below(generator, COUNT(more_ms))];
    if (kind < 5 && minimum_ms > 1) {
        body->ttl_ms = kind < 3 ? minimum_ms - 1 : 1;
    } else if (kind < 10) {
        body->ttl_ms = policy.policy.max_ttl_ms + kind % 2;
    }
    body->ttl_ms = !body->has_ttl ? 0 : body->ttl_ms == 0 ? 1 : body->ttl_ms;
}

/* The same key, mostly with the same body. */
static void draw_repeat(struct contract_generator *generator, const struct contract_trial *trial, int schedule,
                        struct contract_command *command)
{
    int n = generator->n_sent[schedule] < GENERATE_BODIES ? generator->n_sent[schedule] : GENERATE_BODIES;
    *command = generator->sent[schedule][below(generator, (uint64_t)n)];
    switch (below(generator, 16)) {
    case 0:
        put_text(command->body.holder, universe_holders[below(generator, UNIVERSE_HOLDERS)]);
        break;
    case 1:
        draw_occurrence(generator, schedule, command->body.occurrence);
        break;
    case 2:
        put_text(command->body.metadata, "{\"other\":true}");
        break;
    case 3:
        draw_durations(generator, trial, command);
        break;
    case 4:
        command->body.has_estimate = !command->body.has_estimate;
        command->body.estimate_ms = 0;
        break;
    case 5: /* the key of one schedule is nothing to another */
        put_text(command->name, universe_schedules[below(generator, UNIVERSE_SCHEDULES)]);
        break;
    default:
        break;
    }
}

static void draw_acquire(struct contract_generator *generator, const struct contract_trial *trial,
                         struct contract_record *record)
{
    struct contract_command *command = &record->command;
    int schedule = draw_schedule(generator);
    if (generator->n_sent[schedule] > 0 && percent(generator, 16)) {
        draw_repeat(generator, trial, schedule, command);
        return;
    }
    command->kind = CONTRACT_ACQUIRE;
    put_text(command->name, universe_schedules[schedule]);
    (void)snprintf(command->key, CONTRACT_TEXT, "key-%d", generator->next_key++);
    put_text(command->body.holder, universe_holders[below(generator, UNIVERSE_HOLDERS)]);
    put_text(command->body.metadata, percent(generator, 30) ? "{\"n\":1}" : "");
    draw_occurrence(generator, schedule, command->body.occurrence);
    draw_durations(generator, trial, command);
    generator->sent[schedule][generator->n_sent[schedule]++ % GENERATE_BODIES] = *command;
}

/* ---- tokens ---- */

static int grantor_of(const struct contract_trial *trial, const struct contract_generator *generator, uint64_t token)
{
    for (int id = generator->next_id - 1; id > 0; id--) {
        if (trial->tokens[id] != 0 && trial->tokens[id] <= token) { /* they grow */
            return trial->tokens[id] == token ? id : 0;
        }
    }
    return 0;
}

/* Mostly of a live grant, else of a kept run, else one of late, or none at all. */
static int draw_token(struct contract_generator *generator, const struct contract_trial *trial, const char *schedule,
                      uint64_t *token)
{
    const struct contract_run *runs;
    const struct contract_run *holders[CONTRACT_SLOTS];
    size_t n_holders = contract_model_holders(trial->model, schedule, holders);
    size_t n_runs = contract_model_runs(trial->model, schedule, &runs);
    struct contract_counts counts;
    contract_model_count(trial->model, &counts);
    *token = 1 + below(generator, counts.next_token + 2);
    if (n_holders > 0 && percent(generator, 78)) {
        *token = holders[below(generator, n_holders)]->token;
    } else if (n_runs > 0 && percent(generator, 85)) {
        *token = runs[n_runs - 1 - below(generator, n_runs < 5 || percent(generator, 20) ? n_runs : 5)].token;
    }
    return grantor_of(trial, generator, *token);
}

static void draw_renewal(struct contract_generator *generator, const struct contract_trial *trial,
                         struct contract_record *record, int at)
{
    static const uint64_t ttls_ms[] = {1, 50, 1000, 30000, 30001, 32000, 60000, 90000, 7 * CONTRACT_DAY_MS};
    struct contract_renewal *renewal = &record->command.renewals[at];
    put_text(renewal->schedule, universe_schedules[draw_schedule(generator)]);
    record->renewals_granted_by[at] = draw_token(generator, trial, renewal->schedule, &renewal->token);
    renewal->has_ttl = percent(generator, 65);
    renewal->ttl_ms = renewal->has_ttl ? ttls_ms[below(generator, COUNT(ttls_ms))] + below(generator, 2) : 0;
    record->command.n_renewals = at + 1;
}

static void draw_renew(struct contract_generator *generator, const struct contract_trial *trial,
                       struct contract_record *record)
{
    record->command.kind = CONTRACT_RENEW;
    draw_renewal(generator, trial, record, 0);
}

/* No pair twice. */
static void draw_batch(struct contract_generator *generator, const struct contract_trial *trial,
                       struct contract_record *record)
{
    struct contract_command *command = &record->command;
    int n = 1 + (int)below(generator, CONTRACT_RENEWALS);
    command->kind = CONTRACT_RENEW_BATCH;
    for (int i = 0; i < n; i++) {
        draw_renewal(generator, trial, record, i);
        for (int j = 0; j < i; j++) {
            if (command->renewals[j].token == command->renewals[i].token) {
                command->n_renewals = i;
                return;
            }
        }
    }
}

static void draw_release(struct contract_generator *generator, const struct contract_trial *trial,
                         struct contract_record *record)
{
    static const enum contract_result outcomes[] = {CONTRACT_SUCCEEDED, CONTRACT_SUCCEEDED, CONTRACT_SUCCEEDED,
                                                    CONTRACT_FAILED,    CONTRACT_FAILED,    CONTRACT_ABANDONED,
                                                    CONTRACT_ABANDONED, CONTRACT_NOTHING};
    struct contract_command *command = &record->command;
    command->kind = CONTRACT_RELEASE;
    put_text(command->name, universe_schedules[draw_schedule(generator)]);
    record->granted_by = draw_token(generator, trial, command->name, &command->token);
    command->outcome = outcomes[below(generator, COUNT(outcomes))];
}

static void draw_revoke(struct contract_generator *generator, const struct contract_trial *trial,
                        struct contract_record *record)
{
    struct contract_command *command = &record->command;
    command->kind = CONTRACT_REVOKE;
    put_text(command->name, universe_schedules[draw_schedule(generator)]);
    if (percent(generator, 70)) {
        record->granted_by = draw_token(generator, trial, command->name, &command->token);
    }
    command->force = percent(generator, 40);
    (void)snprintf(command->actor, CONTRACT_TEXT, "ops-%d", (int)below(generator, 5));
    (void)snprintf(command->reason, CONTRACT_TEXT, "why %d", (int)below(generator, 5));
}

/* ---- policies, groups, freezes ---- */

static void break_policy(struct contract_generator *generator, struct contract_policy *policy)
{
    switch (below(generator, 6)) {
    case 0:
        policy->slots = percent(generator, 50) ? 0 : 257;
        break;
    case 1:
        policy->max_attempts = 0;
        break;
    case 2:
        policy->max_ttl_ms = percent(generator, 50) ? 0 : 7 * CONTRACT_DAY_MS + 1;
        policy->margin_ms = policy->estimate_ms = 0;
        break;
    case 3:
        policy->margin_ms = policy->max_ttl_ms + 1;
        policy->estimate_ms = 0;
        break;
    default:
        policy->estimate_ms = policy->max_ttl_ms - policy->margin_ms + 1;
        break;
    }
}

static void draw_put_schedule(struct contract_generator *generator, struct contract_command *command)
{
    static const uint64_t estimates_ms[] = {0, 0, 0, 40, 5000};
    static const uint64_t margins_ms[] = {0, 5, 20, 500, 30000};
    static const uint64_t longest_ms[] = {30000, 60000, 7 * CONTRACT_DAY_MS, 7 * CONTRACT_DAY_MS};
    static const uint64_t holds_ms[] = {0, 0, 0, 30, 1000, 20000};
    static const uint64_t expected_ms[] = {0, 0, 1, 5000, CONTRACT_DAY_MS};
    static const uint32_t slots[] = {1, 2, 3, 4, 5, 256};
    static const uint32_t attempts[] = {1, 2, 3, 5, 1000000};
    struct contract_policy *policy = &command->policy;
    *policy = (struct contract_policy){.estimate_ms = estimates_ms[below(generator, COUNT(estimates_ms))],
                                       .margin_ms = margins_ms[below(generator, COUNT(margins_ms))],
                                       .max_ttl_ms = longest_ms[below(generator, COUNT(longest_ms))],
                                       .min_hold_ms = holds_ms[below(generator, COUNT(holds_ms))],
                                       .expected_every_ms = expected_ms[below(generator, COUNT(expected_ms))],
                                       .slots = slots[below(generator, COUNT(slots))],
                                       .max_attempts = attempts[below(generator, COUNT(attempts))]};
    policy->estimate_ms = policy->margin_ms == policy->max_ttl_ms ? 0 : policy->estimate_ms;
    if (policy->estimate_ms > policy->max_ttl_ms - policy->margin_ms) {
        policy->estimate_ms = policy->max_ttl_ms - policy->margin_ms;
    }
    put_text(policy->group, percent(generator, 55) ? universe_groups[below(generator, UNIVERSE_GROUPS)] : "");
    put_text(policy->description, percent(generator, 20) ? "made at random" : "");
    if (percent(generator, 6)) {
        break_policy(generator, policy);
    }
}

static void draw_policy(struct contract_generator *generator, struct contract_record *record)
{
    struct contract_command *command = &record->command;
    /* The last has none, so that it is forgotten now and then. */
    put_text(command->name, universe_schedules[below(generator, UNIVERSE_SCHEDULES - 1)]);
    command->kind = percent(generator, 70) ? CONTRACT_PUT_SCHEDULE : CONTRACT_DELETE_SCHEDULE;
    if (command->kind == CONTRACT_PUT_SCHEDULE) {
        draw_put_schedule(generator, command);
    }
}

static void draw_group(struct contract_generator *generator, struct contract_record *record)
{
    static const uint32_t slots[] = {0, 1, 2, 3, 4, 6, 9};
    struct contract_command *command = &record->command;
    put_text(command->name, universe_groups[below(generator, UNIVERSE_GROUPS)]);
    command->kind = percent(generator, 60) ? CONTRACT_PUT_GROUP : CONTRACT_DELETE_GROUP;
    if (command->kind == CONTRACT_PUT_GROUP) {
        command->slots = percent(generator, 3) ? 10001 : slots[below(generator, COUNT(slots))];
    }
}

static void draw_freeze(struct contract_generator *generator, struct contract_record *record)
{
    struct contract_command *command = &record->command;
    put_text(command->name, universe_scopes[percent(generator, 90) ? 1 + below(generator, UNIVERSE_SCOPES - 1) : 0]);
    command->kind = percent(generator, 70) ? CONTRACT_PUT_FREEZE : CONTRACT_DELETE_FREEZE;
    if (command->kind == CONTRACT_PUT_FREEZE) {
        static const uint64_t ttls_ms[] = {1, 20, 500, 1000, 5000, 60000, CONTRACT_DAY_MS};
        command->ttl_ms = ttls_ms[below(generator, COUNT(ttls_ms))];
        if (percent(generator, 3)) {
            command->ttl_ms = percent(generator, 50) ? 0 : 365 * CONTRACT_DAY_MS + 1;
        }
        (void)snprintf(command->actor, CONTRACT_TEXT, "ops-%d", (int)below(generator, 5));
        (void)snprintf(command->reason, CONTRACT_TEXT, "why %d", (int)below(generator, 5));
    }
}

/* ---- all of them ---- */

static void draw_command(struct contract_generator *generator, const struct contract_trial *trial,
                         struct contract_record *record)
{
    bool no_growth = record->begins_entry ? record->entry.no_growth : trial->context.no_growth;
    uint64_t kind = below(generator, 1000);
    if (kind < 470) {
        draw_acquire(generator, trial, record);
    } else if (kind < 670) {
        draw_release(generator, trial, record);
    } else if (kind < 760) {
        draw_renew(generator, trial, record);
    } else if (kind < 800) {
        draw_batch(generator, trial, record);
    } else if (kind < 860) {
        draw_revoke(generator, trial, record);
    } else if (kind < 970 && !no_growth) { /* what a PUT may still change then isn't modelled */
        if (kind < 915) {
            draw_policy(generator, record);
        } else if (kind < 940) {
            draw_group(generator, record);
        } else {
            draw_freeze(generator, record);
        }
    }
}

void contract_generate(struct contract_generator *generator, const struct contract_trial *trial,
                       struct contract_record *record)
{
    memset(record, 0, sizeof *record);
    draw_entry(generator, trial, record);
    draw_command(generator, trial, record);
    record->id = generator->next_id++;
    record->looks = percent(generator, 6);
    record->reloads = below(generator, 1000) < 5;
}
