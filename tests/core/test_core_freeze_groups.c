/* A frozen image of groups and freezes stays what it was while they change, also when another thread reads it. (To freeze
 * a table and to freeze a schedule are two things: the image, and what keeps locks from being granted.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"
#include "core/table.h"

#include <pthread.h>
#include <stdio.h>

enum { GROUPS = 400, FREEZES = 200 };

static void apply(struct fixture *f, const struct command *command)
{
    lock_table_apply(f->table, &f->context, command, &f->outcome);
}

static void begin(struct fixture *f)
{
    f->context = (struct apply_context){.index = f->context.index + 1, .now_ms = f->now_ms, .wall_ms = 5};
    lock_table_advance(f->table, &f->context);
}

static void change_group(struct fixture *f, int number, int round)
{
    char name[24];
    (void)snprintf(name, sizeof name, "g%d", number);
    struct command command = {.kind = (number + round) % 3 == 0 ? COMMAND_DELETE_GROUP : COMMAND_PUT_GROUP};
    if (command.kind == COMMAND_PUT_GROUP) {
        command.put_group = (struct put_group_command){slice_of(name), (uint32_t)(number + round)};
    } else {
        command.delete_group.name = slice_of(name);
    }
    apply(f, &command);
}

static void change_freeze(struct fixture *f, int number, int round)
{
    char scope[24];
    (void)snprintf(scope, sizeof scope, number % 2 == 0 ? "s%d*" : "s%d", number);
    struct command command = {.kind = (number + round) % 3 == 0 ? COMMAND_DELETE_FREEZE : COMMAND_PUT_FREEZE};
    if (command.kind == COMMAND_PUT_FREEZE) {
        command.put_freeze = (struct put_freeze_command){slice_of(scope), slice_of("ops"), slice_of("why"),
                                                         1000 * (uint64_t)(1 + (number + round) % 5)};
    } else {
        command.delete_freeze.scope = slice_of(scope);
    }
    apply(f, &command);
}

/* Policies that name some of them, and grants that take their slots. */
static void change_schedules(struct fixture *f, int round)
{
    for (int i = 0; i < GROUPS; i += 5) {
        char id[24];
        char group[24];
        (void)snprintf(id, sizeof id, "job%d", i % 100);
        (void)snprintf(group, sizeof group, "g%d", i + round % 5);
        struct command put = {.kind = COMMAND_PUT_SCHEDULE};
        put.put_schedule = (struct put_schedule_command){slice_of(id), policy_default()};
        put.put_schedule.policy.group = slice_of(group);
        apply(f, &put);
        struct command acquire = {.kind = COMMAND_ACQUIRE};
        acquire.acquire = (struct acquire_command){.schedule_id = slice_of(id),
                                                   .holder = slice_of("h"),
                                                   .idempotency_key = slice_of(group),
                                                   .has_ttl = true,
                                                   .ttl_ms = 30000};
        apply(f, &acquire);
    }
}

static void change_all(struct fixture *f, int round)
{
    begin(f);
    for (int i = 0; i < GROUPS; i++) {
        change_group(f, i, round);
        if (i < FREEZES) {
            change_freeze(f, i, round);
        }
    }
    change_schedules(f, round);
    f->now_ms += 700;
}

static void an_image_does_not_see_what_comes_after(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    for (int round = 0; round < 40; round++) {
        struct digest128 before = lock_table_digest(f.table);
        struct lock_table_frozen *frozen = lock_table_freeze(f.table);
        change_all(&f, round);
        change_all(&f, round + 1); /* also what was made since the freeze */
        lock_table_check(f.table);
        struct lock_table *copy = table_load(frozen);
        struct digest128 loaded = lock_table_digest(copy);
        assert_memory_equal(before.bytes, loaded.bytes, sizeof before.bytes);
        lock_table_close(copy);
        lock_table_thaw(f.table, frozen);
    }
    assert_true(fixture_count(&f).groups > 100 && fixture_count(&f).freezes > 50 && fixture_count(&f).held > 0);
    fixture_close(&f);
}

static void groups_and_freezes_come_in_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    static const char *const names[] = {"b", "ab", "a", "B", "a-"};
    static const char *const sorted[] = {"B", "a", "a-", "ab", "b"};
    for (size_t i = 0; i < 5; i++) {
        expect_code(fixture_put_group(&f, names[i], (uint32_t)i), OUTCOME_DONE);
        expect_code(fixture_put_freeze(&f, names[i], 1000 + i), OUTCOME_DONE);
    }
    struct lock_table_frozen *frozen = lock_table_freeze(f.table);
    assert_int_equal(lock_table_frozen_groups(frozen), 5);
    assert_int_equal(lock_table_frozen_freezes(frozen), 5);
    struct group_image group;
    struct freeze_image freeze;
    for (size_t i = 0; i < 5; i++) {
        assert_true(lock_table_frozen_next_group(frozen, &group));
        expect_text(group.name, sorted[i]);
        assert_true(lock_table_frozen_next_freeze(frozen, &freeze));
        expect_text(freeze.scope, sorted[i]);
    }
    assert_false(lock_table_frozen_next_group(frozen, &group));
    assert_false(lock_table_frozen_next_freeze(frozen, &freeze));
    lock_table_thaw(f.table, frozen);
    fixture_close(&f);
}

static size_t graves(const struct table_graveyard *graveyard)
{
    size_t n = 0;
    for (const struct table_block *block = graveyard->blocks; block != NULL; block = block->next_dead) {
        n++;
    }
    return n;
}

/* What one freeze dooms is no more than there was, however often it changes; and it goes with the entries that follow. */
static void what_was_replaced_does_not_pile_up(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    change_all(&f, 0);
    for (int round = 0; round < 6; round++) {
        size_t n = (size_t)(fixture_count(&f).groups + fixture_count(&f).freezes);
        struct lock_table_frozen *frozen = lock_table_freeze(f.table);
        for (int again = 0; again < 5; again++) {
            change_all(&f, round + again);
        }
        assert_true(graves(&f.table->doomed) <= n);
        lock_table_thaw(f.table, frozen);
        assert_int_equal(graves(&f.table->doomed), 0);
    }
    for (int i = 0; i < 20 && graves(&f.table->dead) > 0; i++) {
        begin(&f);
    }
    assert_int_equal(graves(&f.table->dead), 0);
    fixture_close(&f);
}

struct reader {
    struct lock_table_frozen *frozen;
    struct lock_table *copy;
};

static void *read_image(void *arg)
{
    struct reader *reader = arg;
    reader->copy = table_load(reader->frozen);
    return NULL;
}

static void another_thread_reads_while_the_table_changes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    change_all(&f, 0);
    for (int round = 1; round < 30; round++) {
        struct digest128 before = lock_table_digest(f.table);
        struct reader reader = {.frozen = lock_table_freeze(f.table)};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, read_image, &reader), 0);
        change_all(&f, round);
        assert_int_equal(pthread_join(thread, NULL), 0);
        struct digest128 loaded = lock_table_digest(reader.copy);
        assert_memory_equal(before.bytes, loaded.bytes, sizeof before.bytes);
        lock_table_close(reader.copy);
        lock_table_thaw(f.table, reader.frozen);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_does_not_see_what_comes_after),
        cmocka_unit_test(groups_and_freezes_come_in_order),
        cmocka_unit_test(what_was_replaced_does_not_pile_up),
        cmocka_unit_test(another_thread_reads_while_the_table_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
