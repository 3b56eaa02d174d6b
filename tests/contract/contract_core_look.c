#include "contract_core_private.h"

#include "base/limits.h"

#include <stdlib.h>

static void look_at_counts(struct contract_core *core, struct contract_text *text)
{
    struct lock_table_counts counts;
    lock_table_count(core->table, &counts);
    text_add(text, "counts");
    text_number(text, "now_ms", counts.now_ms);
    text_instant(text, "wall_ms", counts.wall_ms);
    text_number(text, "next_token", counts.next_token);
    text_number(text, "schedules", counts.schedules);
    text_number(text, "policies", counts.policies);
    text_number(text, "held", counts.held);
    text_number(text, "groups", counts.groups);
    text_number(text, "freezes", counts.freezes);
    text_number(text, "next_end_ms", lock_table_next_lock_deadline(core->table));
    text_add(text, "\n");
}

static void look_at_runs(struct contract_core *core, struct slice id, struct contract_text *text)
{
    static struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
    size_t n_runs = lock_table_runs(core->table, id, LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS, runs);
    for (size_t i = 0; i < n_runs; i++) {
        core_show_run(&runs[i], "  run", text);
    }
}

static void look_at_schedule(struct contract_core *core, struct slice id, struct contract_text *text)
{
    struct schedule_view view;
    lock_table_view(core->table, id, &view);
    text_add(text, "view");
    text_flag(text, "frozen", view.frozen);
    text_flag(text, "but not by itself", view.frozen != lock_table_is_frozen(core->table, id));
    text_add(text, "\n");
    core_show_holders(view.holders, view.n_holders, text);
    struct policy_view policy;
    if (lock_table_policy(core->table, id, &policy)) {
        core_show_policy(&policy, text);
    }
    look_at_runs(core, id, text);
    lock_table_view(core->table, id, &view);
    if (view.has_last_run) {
        core_show_run(&view.last_run, "  last_run", text);
    }
    struct schedule_statistics statistics;
    lock_table_statistics(core->table, id, &statistics);
    text_add(text, "  durations");
    text_number(text, "n", statistics.n_runs);
    if (statistics.n_runs > 0) {
        text_number(text, "p50_ms", statistics.p50_ms);
        text_number(text, "p95_ms", statistics.p95_ms);
        text_number(text, "p99_ms", statistics.p99_ms);
        text_number(text, "last_ms", statistics.last_ms);
    }
    text_add(text, "\n");
}

/* ---- lists, page by page ---- */

enum { PAGE = 8 };

static void list_locks(struct contract_core *core, struct list_query query, struct contract_text *text)
{
    struct grant_view views[PAGE];
    enum list_rest rest = LIST_REST_OTHERS;
    while (rest != LIST_REST_NONE) {
        size_t n = lock_table_list_locks(core->table, &query, views, &rest);
        for (size_t i = 0; i < n; i++) {
            core_show_grant(&views[i], "  listed", text);
        }
        if (n < query.limit && rest != LIST_REST_NONE) {
            text_add(text, "  a page of locks isn't full, and not the last\n");
            return;
        }
        query.after_id = n == 0 ? query.after_id : views[n - 1].schedule_id;
        query.after_token = rest == LIST_REST_SAME ? views[n - 1].token : 0;
    }
}

static void list_policies(struct contract_core *core, struct list_query query, struct contract_text *text)
{
    struct policy_view views[PAGE];
    bool more = true;
    query.holder = slice_of(NULL);
    while (more) {
        size_t n = lock_table_list_policies(core->table, &query, views, &more);
        for (size_t i = 0; i < n; i++) {
            core_show_policy(&views[i], text);
        }
        if (n < query.limit && more) {
            text_add(text, "  a page of policies isn't full, and not the last\n");
            return;
        }
        query.after_id = n == 0 ? query.after_id : views[n - 1].schedule_id;
    }
}

static void list_groups(struct contract_core *core, size_t limit, struct contract_text *text)
{
    struct list_query query = {.limit = limit};
    struct group_view views[PAGE];
    bool more = true;
    while (more) {
        size_t n = lock_table_list_groups(core->table, &query, views, &more);
        for (size_t i = 0; i < n; i++) {
            struct group_view alone;
            text_add(text, lock_table_group(core->table, views[i].name, &alone) ? "" : "  which isn't there alone\n");
            core_show_group(&views[i], text);
        }
        if (n < limit && more) {
            text_add(text, "  a page of groups isn't full, and not the last\n");
            return;
        }
        query.after_id = n == 0 ? query.after_id : views[n - 1].name;
    }
}

static void list_freezes(struct contract_core *core, size_t limit, struct contract_text *text)
{
    struct list_query query = {.limit = limit};
    struct freeze_view views[PAGE];
    bool more = true;
    while (more) {
        size_t n = lock_table_list_freezes(core->table, &query, views, &more);
        for (size_t i = 0; i < n; i++) {
            struct freeze_view alone;
            bool is_there = lock_table_freeze_of(core->table, views[i].scope, &alone);
            text_add(text, is_there ? "" : "  which isn't there alone\n");
            core_show_freeze(&views[i], text);
        }
        if (n < limit && more) {
            text_add(text, "  a page of freezes isn't full, and not the last\n");
            return;
        }
        query.after_id = n == 0 ? query.after_id : views[n - 1].scope;
    }
}

void contract_core_look(struct contract_core *core, const struct contract_command *look, struct contract_text *text)
{
    CHECK(look->slots >= 1 && look->slots <= PAGE);
    look_at_counts(core, text);
    look_at_schedule(core, slice_of(look->name), text);
    struct list_query query = {.prefix = slice_of(look->key[0] == '\0' ? NULL : look->key),
                               .holder = slice_of(look->body.holder[0] == '\0' ? NULL : look->body.holder),
                               .limit = look->slots};
    list_locks(core, query, text);
    list_policies(core, query, text);
    list_groups(core, look->slots, text);
    list_freezes(core, look->slots, text);
}

/* ---- images ---- */

static struct lock_table *load(struct lock_table_frozen *frozen)
{
    struct lock_table *table = lock_table_open();
    struct table_image numbers;
    struct group_image group;
    struct freeze_image freeze;
    struct schedule_image schedule;
    lock_table_frozen_table(frozen, &numbers);
    CHECK(lock_table_load_table(table, &numbers) == ERROR_NONE);
    while (lock_table_frozen_next_group(frozen, &group)) {
        CHECK(lock_table_load_group(table, &group) == ERROR_NONE);
    }
    while (lock_table_frozen_next_freeze(frozen, &freeze)) {
        CHECK(lock_table_load_freeze(table, &freeze) == ERROR_NONE);
    }
    while (lock_table_frozen_next(frozen, &schedule)) {
        CHECK(lock_table_load_schedule(table, &schedule) == ERROR_NONE);
    }
    return table;
}

void contract_core_reload(struct contract_core *core, struct contract_text *text)
{
    struct lock_table_frozen *frozen = lock_table_freeze(core->table);
    struct lock_table *loaded = load(frozen);
    lock_table_thaw(core->table, frozen);
    struct digest128 before = lock_table_digest(core->table);
    struct digest128 after = lock_table_digest(loaded);
    text_add(text, digest128_equal(&before, &after) ? "reloaded\n" : "reloaded to another digest\n");
    lock_table_check(loaded);
    lock_table_close(core->table);
    core->table = loaded;
    lock_table_observe(core->table, core_hear_event, core);
}

void contract_core_check(const struct contract_core *core)
{
    lock_table_check(core->table);
}
