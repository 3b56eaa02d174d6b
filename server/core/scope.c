/* Freezes, by their scope: while one lasts, no lock in its scope is granted.
 *
 * A scope is a schedule id, or the beginning of one followed by '*', which may be nothing: "*" is every schedule. Which
 * freezes lie over an id is found from the id: it is looked up whole, and so is each of its beginnings that is as long as
 * some scope's; however many freezes there are, that is a few look-ups. */
#include "core/table.h"

#include <stdlib.h>
#include <string.h>

#include "core/rules.h"

/* The numbers are part of rules 2; see schedule.h. */
#define COUNTED_FREEZE_BYTES 160u

static struct table_freeze *freeze_at(uint64_t address)
{
    return (struct table_freeze *)(uintptr_t)address;
}

static struct slice scope_of(const struct table_freeze *freeze)
{
    struct slice scope = {.base = freeze->texts, .len = freeze->scope_len};
    return scope;
}

/* ---- the orders ---- */

static int compare_scopes(const void *unused, uint64_t a, uint64_t b)
{
    (void)unused;
    return slice_compare(scope_of(freeze_at(a)), scope_of(freeze_at(b)));
}

static int compare_scope_probe(const void *unused, const void *scope, uint64_t address)
{
    (void)unused;
    return slice_compare(*(const struct slice *)scope, scope_of(freeze_at(address)));
}

static const struct ordered_order order_of_scopes = {.compare = compare_scopes, .compare_probe = compare_scope_probe};

static int compare_deadlines(const void *unused, uint64_t a, uint64_t b)
{
    uint64_t a_ms = freeze_at(a)->deadline_ms;
    uint64_t b_ms = freeze_at(b)->deadline_ms;
    if (a_ms != b_ms) {
        return a_ms < b_ms ? -1 : 1;
    }
    return compare_scopes(unused, a, b);
}

static const struct ordered_order order_of_deadlines = {.compare = compare_deadlines};

void freezes_open(struct lock_table *table)
{
    ordered_init(&table->freezes.by_scope, &order_of_scopes, NULL);
    ordered_init(&table->freezes.by_deadline, &order_of_deadlines, NULL);
}

void freezes_close(struct lock_table *table)
{
    uint64_t address;
    struct ordered_cursor at = ordered_first(&table->freezes.by_scope);
    while (ordered_next(&at, &address)) {
        free(freeze_at(address));
    }
    ordered_close(&table->freezes.by_scope);
    ordered_close(&table->freezes.by_deadline);
}

/* ---- scopes ---- */

static bool is_prefix_scope(struct slice scope)
{
    return scope.base[scope.len - 1] == '*';
}

/* Ids have no '*', so one that isn't the last byte is a mistake, and would freeze nothing. */
static bool scope_is_sound(struct slice scope)
{
    return scope.len >= 1 && scope.len <= LIMIT_NAME_BYTES && memchr(scope.base, '*', scope.len - 1) == NULL;
}

struct table_freeze *freezes_find(const struct lock_table *table, struct slice scope)
{
    uint64_t address;
    return ordered_find(&table->freezes.by_scope, &scope, &address) ? freeze_at(address) : NULL;
}

static const struct table_freeze *later_of(const struct table_freeze *wider, const struct table_freeze *narrower)
{
    bool is_later = wider == NULL || (narrower != NULL && narrower->deadline_ms > wider->deadline_ms);
    return is_later ? narrower : wider;
}

const struct table_freeze *freezes_find_over(const struct lock_table *table, struct slice schedule_id)
{
    const struct table_freezes *freezes = &table->freezes;
    const struct table_freeze *last = NULL;
    uint8_t scope[LIMIT_NAME_BYTES];
    if (freezes->by_scope.count == 0 || schedule_id.len > LIMIT_NAME_BYTES) {
        return NULL;
    }
    for (size_t len = 0; len < LIMIT_NAME_BYTES && len <= schedule_id.len; len++) {
        scope[len] = '*';
        if (freezes->prefixes[len] > 0) {
            last = later_of(last, freezes_find(table, (struct slice){.base = scope, .len = len + 1}));
        }
        if (len < schedule_id.len) {
            scope[len] = schedule_id.base[len];
        }
    }
    return later_of(last, freezes_find(table, schedule_id));
}

/* ---- one freeze ---- */

struct freeze_image freeze_image_of(const struct table_freeze *freeze)
{
    const uint8_t *actor = freeze->texts + freeze->scope_len;
    struct freeze_image image = {.scope = scope_of(freeze),
                                 .actor = {.base = actor, .len = freeze->actor_len},
                                 .reason = {.base = actor + freeze->actor_len, .len = freeze->reason_len},
                                 .ttl_ms = freeze->ttl_ms,
                                 .deadline_ms = freeze->deadline_ms,
                                 .created_wall_ms = freeze->created_wall_ms};
    return image;
}

struct freeze_view freeze_view_of(const struct lock_table *table, const struct table_freeze *freeze)
{
    const struct freeze_image image = freeze_image_of(freeze);
    struct freeze_view view = {.scope = image.scope,
                               .actor = image.actor,
                               .reason = image.reason,
                               .ttl_ms = image.ttl_ms,
                               .created_wall_ms = image.created_wall_ms};
    if (image.deadline_ms > table->numbers.now_ms) { /* or it ends just now */
        view.remaining_ms = image.deadline_ms - table->numbers.now_ms;
    }
    view.expires_wall_ms = table->numbers.wall_ms + (int64_t)view.remaining_ms;
    return view;
}

static const char *texts_out_of_bounds(const struct freeze_image *image)
{
    if (!scope_is_sound(image->scope)) {
        return "scope";
    }
    if (image->actor.len < 1 || image->actor.len > LIMIT_NAME_BYTES) {
        return "actor";
    }
    if (image->reason.len < 1 || image->reason.len > LIMIT_REASON_BYTES) {
        return "reason";
    }
    return image->ttl_ms < 1 || image->ttl_ms > LIMIT_FREEZE_MS ? "ttl_ms" : NULL;
}

bool freeze_image_is_sound(const struct freeze_image *image, const struct table_image *numbers)
{
    return texts_out_of_bounds(image) == NULL && image->deadline_ms > numbers->now_ms &&
           image->deadline_ms <= numbers->now_ms + image->ttl_ms && image->deadline_ms >= image->ttl_ms &&
           table_wall_is_sound(image->created_wall_ms);
}

uint64_t freeze_image_count_bytes(const struct freeze_image *image)
{
    return COUNTED_FREEZE_BYTES + image->scope.len + image->actor.len + image->reason.len;
}

static void count_prefix(struct lock_table *table, const struct table_freeze *freeze, int change)
{
    if (is_prefix_scope(scope_of(freeze))) {
        uint16_t *count = &table->freezes.prefixes[freeze->scope_len - 1];
        *count = (uint16_t)(*count + change);
    }
}

void freezes_add(struct lock_table *table, const struct freeze_image *image)
{
    size_t len = image->scope.len + image->actor.len + image->reason.len;
    struct table_freeze *freeze = table_block_new(table, offsetof(struct table_freeze, texts) + len);
    freeze->ttl_ms = image->ttl_ms;
    freeze->deadline_ms = image->deadline_ms;
    freeze->created_wall_ms = image->created_wall_ms;
    freeze->scope_len = (uint16_t)image->scope.len;
    freeze->actor_len = (uint16_t)image->actor.len;
    freeze->reason_len = (uint16_t)image->reason.len;
    memcpy(freeze->texts, image->scope.base, image->scope.len);
    memcpy(freeze->texts + image->scope.len, image->actor.base, image->actor.len);
    memcpy(freeze->texts + image->scope.len + image->actor.len, image->reason.base, image->reason.len);
    CHECK(ordered_insert(&table->freezes.by_scope, (uintptr_t)freeze));
    CHECK(ordered_insert(&table->freezes.by_deadline, (uintptr_t)freeze));
    count_prefix(table, freeze, 1);
    table->state_bytes += freeze_image_count_bytes(image);
}

static void remove_freeze(struct lock_table *table, struct table_freeze *freeze)
{
    const struct freeze_image image = freeze_image_of(freeze);
    table->state_bytes -= freeze_image_count_bytes(&image);
    count_prefix(table, freeze, -1);
    CHECK(ordered_remove(&table->freezes.by_scope, (uintptr_t)freeze));
    CHECK(ordered_remove(&table->freezes.by_deadline, (uintptr_t)freeze));
    table_block_discard(table, &freeze->block);
}

/* ---- time ---- */

static struct table_freeze *first_to_end(const struct lock_table *table)
{
    struct ordered_cursor at = ordered_first(&table->freezes.by_deadline);
    uint64_t address;
    return ordered_next(&at, &address) ? freeze_at(address) : NULL;
}

uint64_t freezes_next_ms(const struct lock_table *table)
{
    const struct table_freeze *first = first_to_end(table);
    return first == NULL ? SCHEDULE_NEVER_MS : first->deadline_ms;
}

void freezes_end_due(struct lock_table *table)
{
    while (freezes_next_ms(table) <= table->numbers.now_ms) {
        struct table_freeze *freeze = first_to_end(table);
        const struct freeze_view view = freeze_view_of(table, freeze);
        event_tell_freeze(table, &view, true);
        remove_freeze(table, freeze);
    }
}

/* ---- commands ---- */

/* What takes no more room than before is let through whatever the table has left. */
static bool put_refuses_growth(const struct lock_table *table, bool no_growth, const struct freeze_image *image,
                               const struct table_freeze *before)
{
    uint64_t bytes = freeze_image_count_bytes(image);
    uint64_t bytes_before = 0;
    if (before != NULL) {
        const struct freeze_image image_before = freeze_image_of(before);
        bytes_before = freeze_image_count_bytes(&image_before);
    } else if (table->freezes.by_scope.count >= LIMIT_FREEZES) {
        return true;
    }
    return bytes > bytes_before && (no_growth || !table_has_room_for(table, bytes - bytes_before));
}

void apply_put_freeze(struct lock_table *table, bool no_growth, const struct put_freeze_command *command,
                      struct outcome *outcome)
{
    const struct freeze_image image = {.scope = command->scope,
                                       .actor = command->actor,
                                       .reason = command->reason,
                                       .ttl_ms = command->ttl_ms,
                                       .deadline_ms = table->numbers.now_ms + command->ttl_ms,
                                       .created_wall_ms = table->numbers.wall_ms};
    const char *field = texts_out_of_bounds(&image);
    if (field != NULL) {
        outcome_refuse_field(outcome, field);
        return;
    }
    struct table_freeze *before = freezes_find(table, command->scope);
    if (put_refuses_growth(table, no_growth, &image, before)) {
        outcome->code = OUTCOME_CAPACITY;
        return;
    }
    if (before != NULL) {
        remove_freeze(table, before);
    }
    freezes_add(table, &image);
    outcome->has_freeze = true;
    outcome->freeze = freeze_view_of(table, freezes_find(table, command->scope));
    event_tell_freeze(table, &outcome->freeze, false);
}

void apply_delete_freeze(struct lock_table *table, const struct delete_freeze_command *command, struct outcome *outcome)
{
    struct table_freeze *freeze = freezes_find(table, command->scope);
    if (freeze == NULL) {
        outcome->code = OUTCOME_NOT_FOUND;
        return;
    }
    outcome->has_freeze = true;
    outcome->freeze = freeze_view_of(table, freeze);
    outcome->freeze.scope = text_keep(table->deleted.id, outcome->freeze.scope);
    outcome->freeze.actor = text_keep(table->deleted.name, outcome->freeze.actor);
    outcome->freeze.reason = text_keep(table->deleted.text, outcome->freeze.reason);
    remove_freeze(table, freeze);
    event_tell_freeze(table, &outcome->freeze, true);
}

/* ---- asking ---- */

bool freezes_next(struct ordered_cursor *at, struct freeze_image *image)
{
    uint64_t address;
    if (!ordered_next(at, &address)) {
        return false;
    }
    *image = freeze_image_of(freeze_at(address));
    return true;
}

bool lock_table_is_frozen(struct lock_table *table, struct slice schedule_id)
{
    return freezes_find_over(table, schedule_id) != NULL;
}

bool lock_table_freeze_of(struct lock_table *table, struct slice scope, struct freeze_view *view)
{
    const struct table_freeze *freeze = freezes_find(table, scope);
    if (freeze == NULL) {
        return false;
    }
    *view = freeze_view_of(table, freeze);
    return true;
}

size_t lock_table_list_freezes(struct lock_table *table, const struct list_query *query, struct freeze_view *views,
                               bool *more)
{
    struct name_page page = {.query = query};
    const struct slice begin = name_page_begin(query);
    struct ordered_cursor at = ordered_seek(&table->freezes.by_scope, &begin);
    for (uint64_t address; ordered_next(&at, &address);) {
        enum page_step step = name_page_look(&page, scope_of(freeze_at(address)));
        if (step == PAGE_END) {
            break;
        }
        if (step == PAGE_TAKE) {
            views[page.n++] = freeze_view_of(table, freeze_at(address));
        }
    }
    *more = page.has_more;
    return page.n;
}

/* ---- freezing (the table) and checking ---- */

void freezes_freeze(const struct lock_table *table, struct lock_table_frozen *frozen)
{
    struct ordered_cursor at = ordered_first(&table->freezes.by_scope);
    frozen->n_freezes = 0;
    frozen->next_freeze = 0;
    for (uint64_t address; ordered_next(&at, &address);) {
        CHECK(frozen->n_freezes < LIMIT_FREEZES);
        frozen->freezes[frozen->n_freezes++] = freeze_at(address);
    }
}

uint64_t lock_table_frozen_freezes(const struct lock_table_frozen *frozen)
{
    return frozen->n_freezes;
}

bool lock_table_frozen_next_freeze(struct lock_table_frozen *frozen, struct freeze_image *image)
{
    if (frozen->next_freeze == frozen->n_freezes) {
        return false;
    }
    *image = freeze_image_of(frozen->freezes[frozen->next_freeze++]);
    return true;
}

uint64_t freezes_check(const struct lock_table *table)
{
    const struct table_freezes *freezes = &table->freezes;
    uint16_t prefixes[LIMIT_NAME_BYTES] = {0};
    ordered_check(&freezes->by_scope);
    ordered_check(&freezes->by_deadline);
    CHECK(freezes->by_scope.count == freezes->by_deadline.count && freezes->by_scope.count <= LIMIT_FREEZES);
    CHECK(freezes->by_scope.count == 0 || table->numbers.rules_version >= RULES_VERSION_GROUPS);
    uint64_t bytes = 0;
    uint64_t address;
    struct ordered_cursor at = ordered_first(&freezes->by_deadline);
    while (ordered_next(&at, &address)) {
        const struct table_freeze *freeze = freeze_at(address);
        const struct freeze_image image = freeze_image_of(freeze);
        CHECK(freeze_image_is_sound(&image, &table->numbers) && freeze->block.epoch <= table->epoch);
        CHECK(freezes_find(table, image.scope) == freeze);
        bytes += freeze_image_count_bytes(&image);
        prefixes[image.scope.len - 1] = (uint16_t)(prefixes[image.scope.len - 1] + is_prefix_scope(image.scope));
    }
    CHECK(memcmp(prefixes, freezes->prefixes, sizeof prefixes) == 0);
    return bytes;
}
