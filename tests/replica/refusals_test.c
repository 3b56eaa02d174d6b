/* Refusals of full schedules with many slots: each shows all holders, and so they are more than the queue to a member holds
 * when each carries its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"

#define ASKS 1000u

struct crowd {
    struct ask asks[ASKS];
    size_t n;
};

static bool crowd_is_answered(void *arg)
{
    const struct crowd *crowd = arg;
    for (size_t i = 0; i < crowd->n; i++) {
        if (!crowd->asks[i].answered) {
            return false;
        }
    }
    return true;
}

/* As long as `struct ask` holds. */
static void long_name(char name[64], const char *what, size_t i)
{
    int len = snprintf(name, 64, "%s-%zu-", what, i);
    memset(name + len, 'x', 63 - (size_t)len);
    name[63] = 0;
}

static void crowd_add(struct crowd *crowd, struct node *node, const char *schedule, const char *what)
{
    char holder[64];
    long_name(holder, what, crowd->n);
    ask_acquire(node, &crowd->asks[crowd->n++], schedule, holder, 600000);
}

static void crowd_expect(struct crowd *crowd, struct cluster *cluster, enum outcome_code code)
{
    cluster_wait(cluster, 30000, crowd_is_answered, crowd, "all answers");
    for (size_t i = 0; i < crowd->n; i++) {
        assert_int_equal(crowd->asks[i].status, OPERATION_APPLIED);
        assert_int_equal(crowd->asks[i].code, code);
    }
    crowd->n = 0;
}

static void fill_slots(struct cluster *cluster, struct node *node, const char *schedule, uint32_t slots)
{
    static struct crowd crowd;
    struct ask put;
    ask_put(node, &put, schedule, slots);
    ask_wait(cluster, &put);
    for (size_t i = 0; i < slots; i++) {
        crowd_add(&crowd, node, schedule, "holder");
    }
    crowd_expect(&crowd, cluster, OUTCOME_DONE);
}

static void begin(struct cluster *cluster, uint64_t seed, struct node **leader, struct node **follower)
{
    cluster_open(cluster, 3, seed);
    cluster_start_all(cluster);
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000); /* all streams are up */
    *leader = cluster_wait_leader(cluster);
    *follower = cluster_other(cluster, *leader);
}

static void all_refusals_of_a_full_schedule_reach_the_follower_that_asked(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct cluster cluster;
    struct node *leader, *follower;
    begin(&cluster, 700, &leader, &follower);
    char schedule[64];
    long_name(schedule, "full", 0);
    fill_slots(&cluster, leader, schedule, LIMIT_SLOTS);
    for (size_t i = 0; i < ASKS; i++) {
        crowd_add(&crowd, follower, schedule, "late");
    }
    crowd_expect(&crowd, &cluster, OUTCOME_LOCK_HELD);
    cluster_close(&cluster);
}

/* As clients of many jobs come: refusals of several full schedules in turn, with others of one slot between them. */
static void refusals_of_several_schedules_share_each_its_own(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct cluster cluster;
    struct node *leader, *follower;
    begin(&cluster, 701, &leader, &follower);
    char schedules[5][64];
    for (size_t i = 0; i < 5; i++) {
        long_name(schedules[i], "full", i);
        fill_slots(&cluster, leader, schedules[i], i == 0 ? 1 : LIMIT_SLOTS);
    }
    for (size_t i = 0; i < ASKS; i++) {
        crowd_add(&crowd, follower, schedules[i % 2 == 0 ? 0 : 1 + i / 2 % 4], "late");
    }
    crowd_expect(&crowd, &cluster, OUTCOME_LOCK_HELD);
    cluster_close(&cluster);
}

/* ---- copies ---- */

static struct outcome refusal_of(const struct grant_view *holders, size_t n)
{
    return (struct outcome){.code = OUTCOME_LOCK_HELD, .holders = holders, .n_holders = n};
}

static void holders_are_the_same_when_nothing_differs(void **state)
{
    (void)state;
    const struct grant_view grant = {.schedule_id = slice_of("job"),
                                     .holder = slice_of("h"),
                                     .occurrence = slice_of("o"),
                                     .metadata = slice_of("{}"),
                                     .token = 1,
                                     .ttl_ms = 2,
                                     .remaining_ms = 3,
                                     .acquired_wall_ms = 4,
                                     .expires_wall_ms = 5,
                                     .attempt = 6};
    const struct grant_view holders[2] = {grant, grant};
    struct grant_view others[12][2];
    for (size_t i = 0; i < 12; i++) {
        others[i][0] = others[i][1] = grant;
    }
    others[1][1].schedule_id = slice_of("jot");
    others[2][1].holder = slice_of("i");
    others[3][1].occurrence = (struct slice){0};
    others[4][1].metadata = slice_of("[]");
    others[5][1].token++;
    others[6][1].ttl_ms++;
    others[7][1].remaining_ms++;
    others[8][1].acquired_wall_ms++;
    others[9][1].expires_wall_ms++;
    others[10][1].attempt++;
    others[11][1].is_revoking = true;
    const struct outcome one = refusal_of(holders, 2);
    for (size_t i = 0; i < 12; i++) {
        const struct outcome other = refusal_of(others[i], 2);
        assert_int_equal(outcomes_show_same_holders(&one, &other), i == 0);
        const struct outcome fewer = refusal_of(others[i], 1);
        assert_false(outcomes_show_same_holders(&one, &fewer));
    }
}

static void a_copy_has_holders_of_its_own_or_those_that_it_shares(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    const struct grant_view grant = {.schedule_id = slice_of("job"), .holder = slice_of("h"), .token = 1};
    const struct outcome outcome = refusal_of(&grant, 1);
    struct outcome first, second;
    copy_outcome(&arena, &outcome, NULL, &first);
    assert_ptr_not_equal(first.holders, outcome.holders);
    assert_true(outcomes_show_same_holders(&first, &outcome));
    copy_outcome(&arena, &outcome, &first, &second);
    assert_ptr_equal(second.holders, first.holders);
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_refusals_of_a_full_schedule_reach_the_follower_that_asked),
        cmocka_unit_test(refusals_of_several_schedules_share_each_its_own),
        cmocka_unit_test(holders_are_the_same_when_nothing_differs),
        cmocka_unit_test(a_copy_has_holders_of_its_own_or_those_that_it_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
