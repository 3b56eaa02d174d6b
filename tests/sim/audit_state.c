/* What nodes do and show: the first that applies an index is held against the model, the others against the first. */
#include <stdlib.h>
#include <string.h>

#include "audit_private.h"
#include "base/checksum.h"

#define CHECK_EVERY 32u /* applied entries between two looks at a table's inside */

/* ---- what is applied ---- */

void audit_begins(struct audit *audit, struct lock_table *table, const struct apply_context *context)
{
    audit->hearing = (struct hearing){.table = table,
                                      .index = context->index,
                                      .is_first = context->index > audit->index,
                                      .no_growth = context->no_growth};
    struct walk walk = {0};
    walk_number(&walk, "now_ms", context->now_ms);
    walk_number(&walk, "wall_ms", (uint64_t)context->wall_ms);
    walk_number(&walk, "no_growth", context->no_growth);
    audit->hearing.fingerprint = walk.fingerprint;
    if (!audit->hearing.is_first) {
        return;
    }
    if (context->no_growth && !audit->capacity_allowed) {
        sim_fail(audit->world, "index %" PRIu64 " says that there is no reserve, and no disk was ever full",
                 context->index);
    }
    model_advance(audit, context);
}

static struct slice schedule_named(const struct command *command)
{
    switch (command->kind) {
    case COMMAND_ACQUIRE:
        return command->acquire.schedule_id;
    case COMMAND_RENEW:
        return command->renew.schedule_id;
    case COMMAND_RELEASE:
        return command->release.schedule_id;
    case COMMAND_REVOKE:
        return command->revoke.schedule_id;
    default:
        return (struct slice){0};
    }
}

/* Which runs the table keeps decides what it knows of a key or a token. */
void audit_applies(struct audit *audit, struct lock_table *table, const struct command *command)
{
    struct slice id = schedule_named(command);
    audit->n_kept = 0;
    if (!audit->hearing.is_first || !slice_is_present(id)) {
        return;
    }
    audit->n_kept = lock_table_runs(table, id, KEPT, audit->kept_runs);
    for (size_t i = 0; i < audit->n_kept; i++) {
        audit->kept[i] = audit->kept_runs[i].token;
    }
}

static bool is_asked_for(const struct command *command)
{
    return command->kind != COMMAND_NOOP && command->kind != COMMAND_LEADER && command->kind != COMMAND_RULES;
}

static bool may_be_waited_out(enum outcome_code code)
{
    return code == OUTCOME_LOCK_HELD || code == OUTCOME_COOLING_DOWN || code == OUTCOME_GROUP_FULL;
}

static void note_application(struct audit *audit, struct ask *ask, enum outcome_code code, uint64_t fingerprint)
{
    audit->applications = audit_grow(audit->applications, audit->n_applications, &audit->applications_capacity,
                                     sizeof *audit->applications);
    audit->applications[audit->n_applications++] = (struct application){
        .index = audit->hearing.index, .fingerprint = fingerprint, .previous = ask->last_application};
    ask->last_application = audit->n_applications;
    ask->applications += !ask->waits || !may_be_waited_out(code);
    if (ask->applications > ask->attempts) {
        sim_fail(audit->world,
                 "a command of kind %d was applied %" PRIu64 " times, at last at index %" PRIu64
                 ", and asked for %" PRIu64 " times",
                 (int)ask->kind, ask->applications, audit->hearing.index, ask->attempts);
    }
}

static void walk_outcome_of(struct walk *walk, const void *value)
{
    walk_outcome(walk, value);
}

void audit_came_out(struct audit *audit, const struct command *command, const struct outcome *outcome)
{
    struct walk walk = {.fingerprint = audit->hearing.fingerprint};
    walk_command(&walk, command);
    uint64_t fingerprint = audit_fingerprint(outcome);
    walk_number(&walk, "outcome", fingerprint);
    audit->hearing.fingerprint = walk.fingerprint;
    if (!audit->hearing.is_first || audit->world->failed) {
        return;
    }
    struct ask *ask = audit_find_ask(audit, command);
    if (is_asked_for(command) && ask == NULL) {
        sim_fail(audit->world, "index %" PRIu64 " has a command of kind %d that nobody asked for", audit->hearing.index,
                 (int)command->kind);
        return;
    }
    struct outcome expected;
    model_apply(audit, ask, command, &expected);
    audit_compare(audit,
                  &(struct comparison){.node = "the first to apply",
                                       .what = "the outcome of a command of kind",
                                       .number = command->kind,
                                       .each = walk_outcome_of},
                  outcome, &expected);
    if (ask != NULL) {
        note_application(audit, ask, outcome->code, fingerprint);
    }
}

/* ---- what a table shows of one schedule ---- */

static void walk_view(struct walk *walk, const void *value)
{
    const struct schedule_view *view = value;
    walk_number(walk, "frozen", view->frozen);
    walk_number(walk, "holders", view->n_holders);
    for (size_t i = 0; i < view->n_holders; i++) {
        walk_grant(walk, &view->holders[i]);
    }
    if (view->has_last_run) {
        walk_run(walk, &view->last_run);
    }
}

static void walk_policy_of(struct walk *walk, const void *value)
{
    if (value != NULL) {
        walk_policy(walk, value);
    }
}

static void walk_run_of(struct walk *walk, const void *value)
{
    walk_run(walk, value);
}

static void check_view(struct audit *audit, const struct comparison *about, struct lock_table *table)
{
    const struct schedule *schedule = &audit->schedules[about->number];
    struct schedule_view view;
    struct schedule_view expected = {.holders = audit->holders};
    struct comparison comparison = *about;
    comparison.what = "what is shown of schedule";
    comparison.each = walk_view;
    lock_table_view(table, slice_of(schedule->name), &view);
    expected.n_holders = model_show_holders(audit, schedule, audit->holders);
    const struct grant *last = model_last_ended(audit, schedule);
    if (last != NULL) {
        expected.has_last_run = true;
        model_show_run(audit, last, &expected.last_run);
    }
    audit_compare(audit, &comparison, &view, &expected);
}

static void check_policy(struct audit *audit, const struct comparison *about, struct lock_table *table)
{
    const struct schedule *schedule = &audit->schedules[about->number];
    struct policy_view policy;
    struct policy_view expected;
    struct comparison comparison = *about;
    comparison.what = "the policy of schedule";
    comparison.each = walk_policy_of;
    bool has_policy = lock_table_policy(table, slice_of(schedule->name), &policy);
    model_show_policy(schedule, &expected);
    audit_compare(audit, &comparison, has_policy ? &policy : NULL, schedule->has_policy ? &expected : NULL);
}

static bool is_listed(const struct audit *audit, size_t n, uint64_t token)
{
    for (size_t i = 0; i < n; i++) {
        if (audit->kept_runs[i].token == token) {
            return true;
        }
    }
    return false;
}

/* What isn't kept any more has ended, and before the newest of those that are. Of these, two may be others though they
 * ended earlier: the newest grant's, and that of the slot that became free last, which had been revoked long before. */
#define SURELY_KEPT (LIMIT_RUNS_PER_SCHEDULE - 1)
#define EARLIER     2u

static void check_forgotten(struct audit *audit, const struct schedule *schedule, size_t n_kept)
{
    for (size_t i = 0; i < schedule->n_tokens; i++) {
        const struct grant *grant = audit_find_grant(audit, schedule->tokens[i]);
        if (is_listed(audit, n_kept, grant->token)) {
            continue;
        }
        size_t later = 0;
        size_t ended = 0;
        for (size_t j = 0; j < n_kept; j++) {
            const struct grant *kept = audit_find_grant(audit, audit->kept_runs[j].token);
            ended += !kept->live;
            later += !kept->live && kept->ended_ms >= grant->ended_ms;
        }
        if (grant->live || ended < SURELY_KEPT || later + EARLIER < SURELY_KEPT) {
            sim_fail(audit->world, "the run of token %" PRIu64 " isn't kept, and of %zu ended ones only %zu are later",
                     grant->token, ended, later);
            return;
        }
    }
}

static void check_runs(struct audit *audit, const struct comparison *about, struct lock_table *table)
{
    const struct schedule *schedule = &audit->schedules[about->number];
    struct comparison comparison = *about;
    size_t n = lock_table_runs(table, slice_of(schedule->name), KEPT, audit->kept_runs);
    comparison.what = "the run of token";
    comparison.each = walk_run_of;
    for (size_t i = 0; i < n; i++) {
        const struct grant *grant = audit_find_grant(audit, audit->kept_runs[i].token);
        struct run_view expected;
        if (grant == NULL || &audit->schedules[grant->schedule] != schedule ||
            (i > 0 && grant->token >= audit->kept_runs[i - 1].token)) {
            sim_fail(audit->world, "%s lists runs that it shouldn't", schedule->name);
            return;
        }
        comparison.number = grant->token;
        model_show_run(audit, grant, &expected);
        audit_compare(audit, &comparison, &audit->kept_runs[i], &expected);
    }
    if (n > LIMIT_RUNS_PER_SCHEDULE + LIVE) {
        sim_fail(audit->world, "%s keeps %zu runs", schedule->name, n);
    }
    check_forgotten(audit, schedule, n);
}

static void check_schedule(struct audit *audit, const char *node, unsigned number, struct lock_table *table)
{
    struct comparison about = {.node = node, .number = number};
    check_view(audit, &about, table);
    check_policy(audit, &about, table);
    check_runs(audit, &about, table);
}

static void check_counts(struct audit *audit, const char *node, struct lock_table *table)
{
    struct lock_table_counts counts;
    uint64_t schedules = 0;
    uint64_t policies = 0;
    uint64_t held = 0;
    lock_table_count(table, &counts);
    for (unsigned n = 0; n < AUDIT_SCHEDULES; n++) {
        const struct schedule *schedule = &audit->schedules[n];
        schedules += schedule->has_policy || schedule->n_tokens > 0;
        policies += schedule->has_policy;
        held += schedule->n_live;
    }
    if (counts.now_ms != audit->now_ms || counts.wall_ms != audit->wall_ms ||
        counts.next_token != audit->n_grants + 1 || counts.next_member_id != audit->next_member_id ||
        counts.schedules != schedules || counts.policies != policies || counts.held != held) {
        sim_fail(audit->world, "%s counts something wrong at index %" PRIu64, node, counts.index);
    }
}

/* ---- after each entry ---- */

static struct audit_content content_of(const struct audit *audit)
{
    struct audit_content content = {0};
    for (unsigned n = 0; n < AUDIT_SCHEDULES; n++) {
        const struct schedule *schedule = &audit->schedules[n];
        content.policies += schedule->has_policy;
        for (size_t i = 0; i < schedule->n_live; i++) {
            content.revoking += audit->grants[schedule->live[i] - 1].is_revoking;
        }
    }
    return content;
}

static void move_on(struct audit *audit, const char *node, uint64_t index, struct lock_table *table)
{
    audit->points = audit_grow(audit->points, index, &audit->points_capacity, sizeof *audit->points);
    audit->points[index] = (struct point){.known = true,
                                          .digest = lock_table_digest(table),
                                          .commands = audit->hearing.fingerprint,
                                          .lists = audit_expect_lists(audit),
                                          .content = content_of(audit)};
    audit->index = index;
    audit->counts->entries++;
    unsigned any = (unsigned)rng_below(&audit->rng, AUDIT_SCHEDULES);
    for (unsigned n = 0; n < AUDIT_SCHEDULES; n++) {
        if (audit->schedules[n].touched || n == any) {
            audit->schedules[n].touched = false;
            check_schedule(audit, node, n, table);
        }
    }
    check_counts(audit, node, table);
    audit_check_lists(audit, node, table);
}

static void follow(struct audit *audit, const char *node, uint64_t index, struct lock_table *table)
{
    if (index > audit->index || !audit->points[index].known) {
        sim_fail(audit->world, "%s is at index %" PRIu64 ", and nobody was heard applying it", node, index);
        return;
    }
    const struct point *point = &audit->points[index];
    struct digest128 digest = lock_table_digest(table);
    audit->counts->comparisons++;
    if (!digest128_equal(&point->digest, &digest)) {
        sim_fail(audit->world, "%s has another state than the first at index %" PRIu64, node, index);
    }
    bool heard = audit->hearing.table == table; /* or a snapshot was installed */
    if (heard && audit->hearing.fingerprint != point->commands) {
        sim_fail(audit->world, "%s applied something else than the first at index %" PRIu64, node, index);
    }
    if (index == audit->index) {
        audit_check_lists(audit, node, table);
        check_schedule(audit, node, (unsigned)rng_below(&audit->rng, AUDIT_SCHEDULES), table);
    } else if (!heard || rng_chance(&audit->rng, 50)) {
        audit_check_lists_again(audit, node, index, table);
    }
}

void audit_applied(struct audit *audit, const char *node, struct lock_table *table)
{
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    bool heard = audit->hearing.table == table && audit->hearing.index == counts.index;
    if (heard && audit->hearing.is_first) {
        move_on(audit, node, counts.index, table);
    } else if (counts.index > 0) { /* or it is a snapshot from before the first command */
        follow(audit, node, counts.index, table);
    }
    audit->hearing.table = NULL;
    if (rng_below(&audit->rng, CHECK_EVERY) == 0) {
        lock_table_check(table);
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
    audit->floor = counts.index > audit->floor ? counts.index : audit->floor;
    if (counts.index == audit->index && counts.index > 0) {
        audit_check_lists(audit, node, table);
    }
}

struct audit_content audit_content_at(const struct audit *audit, uint64_t index)
{
    while (index > 0 && (index > audit->index || !audit->points[index].known)) {
        index--; /* what isn't known has no commands */
    }
    return index == 0 ? (struct audit_content){0} : audit->points[index].content;
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
