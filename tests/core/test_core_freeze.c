/* A frozen image stays what it was while the table goes on, also when another thread reads it. */
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

enum { SCHEDULES = 2000 };

struct ids {
    char text[SCHEDULES][16];
};

static void name_all(struct ids *ids)
{
    for (int i = 0; i < SCHEDULES; i++) {
        (void)snprintf(ids->text[i], sizeof ids->text[i], "s%d", i);
    }
}

static void begin(struct fixture *f)
{
    f->context =
        (struct apply_context){.index = f->context.index + 1, .now_ms = f->now_ms, .wall_ms = (int64_t)f->now_ms + 5};
    lock_table_advance(f->table, &f->context);
}

static uint64_t acquire(struct fixture *f, const char *id)
{
    char key[32];
    (void)snprintf(key, sizeof key, "k%u", ++f->keys);
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of(id),
                                               .holder = slice_of("h"),
                                               .idempotency_key = slice_of(key),
                                               .occurrence = slice_of(key),
                                               .metadata = slice_of("{\"a\":\"b\"}"),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
    return f->outcome.code == OUTCOME_DONE ? f->outcome.grant.token : f->outcome.holders[0].token;
}

static void renew(struct fixture *f, const char *id, uint64_t token)
{
    struct command command = {.kind = COMMAND_RENEW};
    command.renew = (struct renew_command){.schedule_id = slice_of(id), .token = token};
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
}

static void release(struct fixture *f, const char *id, uint64_t token)
{
    struct command command = {.kind = COMMAND_RELEASE};
    command.release = (struct release_command){
        .schedule_id = slice_of(id), .token = token, .has_outcome = true, .outcome = RUN_SUCCEEDED};
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
}

static void revoke(struct fixture *f, const char *id, bool force)
{
    struct command command = {.kind = COMMAND_REVOKE};
    command.revoke = (struct revoke_command){
        .schedule_id = slice_of(id), .actor = slice_of("ops"), .reason = slice_of("why"), .force = force};
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
}

static void put(struct fixture *f, const char *id, const char *description)
{
    struct command command = {.kind = COMMAND_PUT_SCHEDULE};
    command.put_schedule = (struct put_schedule_command){.schedule_id = slice_of(id), .policy = policy_default()};
    command.put_schedule.policy.description = slice_of(description);
    command.put_schedule.policy.max_attempts = 3;
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
}

static void delete_policy(struct fixture *f, const char *id)
{
    struct command command = {.kind = COMMAND_DELETE_SCHEDULE};
    command.delete_schedule.schedule_id = slice_of(id);
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
}

/* Changes every schedule in some way, adds some and forgets some. */
static void change_all(struct fixture *f, const struct ids *ids, int round)
{
    for (int i = 0; i < SCHEDULES; i++) {
        if (i % 100 == 0) {
            f->now_ms += 100;
            begin(f);
        }
        uint64_t token = acquire(f, ids->text[i]);
        if ((i + round) % 3 == 0) {
            renew(f, ids->text[i], token);
        } else if ((i + round) % 3 == 1) {
            release(f, ids->text[i], token);
        } else if ((i + round) % 5 == 0) {
            revoke(f, ids->text[i], (i + round) % 2 == 0);
        }
        if ((i + round) % 7 == 0) {
            put(f, ids->text[i], round % 2 == 0 ? "text" : NULL);
        } else if ((i + round) % 11 == 0) {
            delete_policy(f, ids->text[i]);
        }
    }
}

static void an_image_does_not_see_what_comes_after(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static struct ids ids;
    name_all(&ids);
    begin(&f);
    for (int i = 0; i < SCHEDULES / 2; i++) {
        (void)acquire(&f, ids.text[i]);
    }
    for (int round = 0; round < 12; round++) {
        struct digest128 before = lock_table_digest(f.table);
        struct lock_table_frozen *frozen = lock_table_freeze(f.table);
        change_all(&f, &ids, round);
        if (round % 4 == 3) {
            f.now_ms += LIMIT_FORGET_MS + HOUR_MS; /* the held ones end, the idle ones are forgotten */
            begin(&f);
            f.now_ms += 1;
            begin(&f);
            (void)acquire(&f, "late");
        }
        lock_table_check(f.table);
        struct lock_table *copy = table_load(frozen);
        struct digest128 loaded = lock_table_digest(copy);
        assert_memory_equal(before.bytes, loaded.bytes, sizeof before.bytes);
        lock_table_close(copy);
        lock_table_thaw(f.table, frozen);
        lock_table_check(f.table);
    }
    fixture_close(&f);
}

static void an_empty_table_freezes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct lock_table_frozen *frozen = lock_table_freeze(f.table);
    (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    struct schedule_image image;
    assert_int_equal(lock_table_frozen_schedules(frozen), 0);
    assert_false(lock_table_frozen_next(frozen, &image));
    lock_table_thaw(f.table, frozen);
    fixture_close(&f);
}

static void slots_that_were_freed_are_used_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static struct ids ids;
    name_all(&ids);
    for (int round = 0; round < 5; round++) {
        begin(&f);
        struct lock_table_frozen *frozen = round % 2 == 1 ? lock_table_freeze(f.table) : NULL;
        for (int i = 0; i < SCHEDULES; i++) {
            release(&f, ids.text[i], acquire(&f, ids.text[(i * 7 + round) % SCHEDULES]));
            release(&f, ids.text[(i * 7 + round) % SCHEDULES], f.context.index);
        }
        if (frozen != NULL) {
            lock_table_thaw(f.table, frozen);
        }
        f.now_ms += LIMIT_TTL_MS;
        begin(&f);
        f.now_ms += LIMIT_FORGET_MS;
        begin(&f);
        lock_table_check(f.table);
        assert_int_equal(fixture_count(&f).schedules, 0);
    }
    fixture_close(&f);
}

static size_t graves(const struct table_graveyard *graveyard)
{
    size_t n = 0;
    for (const struct schedule *schedule = graveyard->schedules; schedule != NULL; schedule = schedule->next_dead) {
        n++;
    }
    for (const struct table_chunk *chunk = graveyard->chunks; chunk != NULL; chunk = chunk->next_dead) {
        n++;
    }
    return n;
}

static void what_was_replaced_does_not_pile_up_over_freezes_with_few_large_entries(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static struct ids ids;
    name_all(&ids);
    begin(&f);
    for (int i = 0; i < SCHEDULES; i++) {
        (void)acquire(&f, ids.text[i]);
    }
    for (int round = 0; round < 6; round++) {
        struct lock_table_frozen *frozen = lock_table_freeze(f.table);
        begin(&f);
        for (int i = 0; i < SCHEDULES; i++) {
            renew(&f, ids.text[i], (uint64_t)i + 1);
        }
        lock_table_thaw(f.table, frozen);
        assert_true(graves(&f.table->dead) <= SCHEDULES + SCHEDULES / TABLE_CHUNK_SLOTS + 1);
    }
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
    fixture_open(&f);
    static struct ids ids;
    name_all(&ids);
    begin(&f);
    for (int i = 0; i < SCHEDULES / 2; i++) {
        (void)acquire(&f, ids.text[i]);
    }
    for (int round = 0; round < 10; round++) {
        struct digest128 before = lock_table_digest(f.table);
        struct reader reader = {.frozen = lock_table_freeze(f.table)};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, read_image, &reader), 0);
        change_all(&f, &ids, round);
        if (round % 4 == 3) {
            f.now_ms += LIMIT_FORGET_MS + HOUR_MS;
            begin(&f);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        struct digest128 loaded = lock_table_digest(reader.copy);
        assert_memory_equal(before.bytes, loaded.bytes, sizeof before.bytes);
        lock_table_close(reader.copy);
        lock_table_thaw(f.table, reader.frozen);
    }
    lock_table_check(f.table);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_does_not_see_what_comes_after),
        cmocka_unit_test(an_empty_table_freezes),
        cmocka_unit_test(slots_that_were_freed_are_used_again),
        cmocka_unit_test(what_was_replaced_does_not_pile_up_over_freezes_with_few_large_entries),
        cmocka_unit_test(another_thread_reads_while_the_table_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
