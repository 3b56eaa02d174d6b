/* The guards around the state machine and the log on the disk: 11, 13, 14 and 15, and the check that the packaged library
 * is the one that all of them are about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guards_rig.h"

/* ---- 11 ---- */

static void want_snapshot(struct rig *rig)
{
    raft_set_snapshot_threshold(&rig->raft, 1);
}

/* A restarted follower whose log holds two changes (3 and 5), and hears at once that both are committed. */
static void hear_of_two_commits(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig->trailing = 1;
    rig_found(rig, "vvv");
    rig_disk_entry(rig, (struct rig_item){.term = 2, .value = 2});
    rig_disk_entry(rig, (struct rig_item){.term = 2, .members = "vvvp"});
    rig_disk_entry(rig, (struct rig_item){.term = 2, .value = 4});
    rig_disk_entry(rig, (struct rig_item){.term = 2, .members = "vvvs"});
    rig_disk_entry(rig, (struct rig_item){.term = 2, .value = 6});
    rig_start(rig);
    want_snapshot(rig);
    rig_receive_append(rig, (struct rig_append_entries){.from = 2, .term = 2, .prev = 6, .prev_term = 2, .commit = 6});
    assert_true(rig->has_put);
    assert_int_equal(rig->put.index, 6);
}

static void guard_11_busy_while_a_change_is_uncommitted(void **state)
{
    (void)state;
    struct rig rig;
    hear_of_two_commits(&rig, 0);
    assert_int_equal(rig.put.configuration_index, 5);
    assert_string_equal(rig_snapshot_members(&rig.put), "vvvs");
    rig_close(&rig);

    /* libraft asks between the two: the snapshot is of 6 and lacks the change at 5. */
    hear_of_two_commits(&rig, RIG_OFF(11));
    assert_int_equal(rig.put.configuration_index, 3);
    assert_string_equal(rig_snapshot_members(&rig.put), "vvvp");
    rig_put_done(&rig);
    rig_crash(&rig);
    rig_start(&rig);
    assert_string_equal(rig_members(&rig.raft.configuration), "vvvp");
    rig_close(&rig);
}

static void open_follower(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    for (uint64_t i = 2; i <= 5; i++) {
        rig_disk_entry(rig, (struct rig_item){.term = 2, .value = i});
    }
    rig_start(rig);
    rig_receive_append(rig, (struct rig_append_entries){.from = 2, .term = 2, .prev = 5, .prev_term = 2, .commit = 5});
}

static void guard_11_busy_while_applied_is_not_the_commit_index(void **state)
{
    (void)state;
    struct rig rig;
    open_follower(&rig, RIG_OFF(5)); /* what would lower the commit index */
    rig_receive_append(&rig, (struct rig_append_entries){.from = 2, .term = 2, .prev = 3, .prev_term = 2, .commit = 6});
    assert_int_equal(rig.raft.commit_index, 3);
    want_snapshot(&rig);
    rig_tick(&rig, 10);
    assert_false(rig.has_put); /* without 11: see guard 5 */
    rig_close(&rig);
}

/* Entry 6 is applied, and not on the disk. */
static void apply_before_persisting(struct rig *rig, unsigned off)
{
    const struct rig_item item = {2, 6, NULL};
    open_follower(rig, off);
    want_snapshot(rig);
    rig_receive_append(rig, (struct rig_append_entries){2, 2, 5, 2, 6, &item, 1});
    rig_tick(rig, 10);
    assert_int_equal(rig->raft.last_applied, 6);
}

static void guard_11_busy_while_applied_entries_are_not_stored(void **state)
{
    (void)state;
    struct rig rig;
    apply_before_persisting(&rig, 0);
    assert_false(rig.has_put);
    rig_persist(&rig);
    rig_tick(&rig, 10);
    assert_true(rig.has_put);
    assert_int_equal(rig.put.index, 6);
    rig_close(&rig);

    apply_before_persisting(&rig, RIG_OFF(11));
    assert_true(rig.has_put);
    assert_int_equal(rig.put.index, 6);
    assert_int_equal(rig.disk.first + rig.disk.n - 1, 5); /* the log would end before its snapshot */
    rig_close(&rig);
}

/* After a restart libraft takes the last but one change for committed. A new leader replaces the last one, and knows of
 * commits up to 2 only. */
static void replace_the_last_change(struct rig *rig, unsigned off)
{
    const struct rig_item item = {3, 5, NULL};
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    rig_disk_entry(rig, (struct rig_item){.term = 2, .value = 2});
    rig_disk_entry(rig, (struct rig_item){.term = 2, .members = "vvvp"});
    rig_disk_entry(rig, (struct rig_item){.term = 2, .value = 4});
    rig_disk_entry(rig, (struct rig_item){.term = 2, .members = "vvvs"});
    rig_start(rig);
    rig_receive_append(rig, (struct rig_append_entries){3, 3, 4, 2, 2, &item, 1});
    rig_persist(rig);
    assert_int_equal(rig->raft.last_applied, 2);
    assert_int_equal(rig->raft.configuration_uncommitted_index, 0);
    want_snapshot(rig);
    rig_tick(rig, 10);
}

static void guard_11_busy_until_the_newest_change_is_applied(void **state)
{
    (void)state;
    struct rig rig;
    replace_the_last_change(&rig, 0);
    assert_false(rig.has_put);
    rig_receive_append(&rig, (struct rig_append_entries){.from = 3, .term = 3, .prev = 5, .prev_term = 3, .commit = 5});
    rig_tick(&rig, 10);
    assert_int_equal(rig.put.index, 5);
    assert_int_equal(rig.put.configuration_index, 3);
    rig_close(&rig);

    replace_the_last_change(&rig, RIG_OFF(11));
    assert_int_equal(rig.put.index, 2);
    assert_int_equal(rig.put.configuration_index, 3); /* of an entry behind the snapshot */
    rig_close(&rig);
}

/* ---- 13 ---- */

/* The log on the disk is one entry ahead of what libraft counts. */
static void append_with_a_skew(struct rig *rig, unsigned off)
{
    const struct rig_item item = {2, 6, NULL};
    open_follower(rig, off);
    rig->skew = 1;
    rig_receive_append(rig, (struct rig_append_entries){2, 2, 5, 2, 5, &item, 1});
    assert_int_equal(raft_last_index(&rig->raft), 6);
    assert_int_equal(rig->appends[0]->first, 7);
}

static void guard_13_append_index_of_libraft_and_disk_are_equal(void **state)
{
    (void)state;
    struct rig rig;
    append_with_a_skew(&rig, 0);
    assert_non_null(rig.fatal);
    rig_close(&rig);

    append_with_a_skew(&rig, RIG_OFF(13));
    assert_null(rig.fatal); /* entry 6 is written as 7, and nobody notices */
    rig_close(&rig);
}

/* ---- 15 ---- */

/* A crash can leave an installed snapshot beside the log that it replaces. */
static void open_with_short_log(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    for (uint64_t i = 2; i <= 8; i++) {
        rig_disk_entry(rig, (struct rig_item){.term = 1, .value = i});
    }
    rig_disk_snapshot(rig, 10, 2, "vvv");
    rig_start(rig);
}

static void receive_11(struct rig *rig)
{
    const struct rig_item item = {2, 11, NULL};
    rig_receive_append(rig, (struct rig_append_entries){2, 2, 10, 2, 11, &item, 1});
}

static void short_log_unguarded(void)
{
    struct rig rig;
    open_with_short_log(&rig, RIG_OFF(15));
    receive_11(&rig);
}

static void guard_15_log_that_ends_before_the_snapshot_is_dropped(void **state)
{
    (void)state;
    struct rig rig;
    open_with_short_log(&rig, 0);
    receive_11(&rig);
    assert_null(rig.fatal);
    assert_int_equal(raft_last_index(&rig.raft), 11);
    rig_persist(&rig);
    assert_int_equal(rig.disk.first, 11);
    assert_int_equal(rig.disk.n, 1);
    assert_int_equal(rig.values[11], 11);
    rig_close(&rig);

    open_with_short_log(&rig, RIG_OFF(15));
    assert_int_equal(rig.raft.commit_index, 10);
    assert_int_equal(raft_last_index(&rig.raft), 8); /* entry 11 would be the ninth in its eyes */
    rig_close(&rig);
    assert_int_not_equal(rig_death_of(short_log_unguarded), 0);
}

static void open_with_other_term(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    for (uint64_t i = 2; i <= 12; i++) {
        rig_disk_entry(rig, (struct rig_item){.term = 1, .value = i});
    }
    rig_disk_snapshot(rig, 10, 2, "vvv");
    rig_disk_cut(rig, 8);
    rig_start(rig);
    receive_11(rig);
}

static void guard_15_log_with_another_term_at_the_snapshot_is_dropped(void **state)
{
    (void)state;
    struct rig rig;
    open_with_other_term(&rig, 0);
    assert_null(rig.fatal);
    assert_int_equal(raft_last_index(&rig.raft), 11);
    rig_close(&rig);

    /* What the snapshot has overruled is still there, and nothing of the leader can be compared with it. */
    open_with_other_term(&rig, RIG_OFF(15));
    assert_int_equal(raft_last_index(&rig.raft), 12);
    assert_non_null(rig.fatal);
    rig_close(&rig);
}

static void guard_15_log_that_agrees_is_kept(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1, 0);
    rig_found(&rig, "vvv");
    for (uint64_t i = 2; i <= 12; i++) {
        rig_disk_entry(&rig, (struct rig_item){.term = 2, .value = i});
    }
    rig_disk_snapshot(&rig, 10, 2, "vvv");
    rig_disk_cut(&rig, 8);
    rig_start(&rig);
    assert_int_equal(raft_last_index(&rig.raft), 12);
    assert_int_equal(rig.raft.trail.offset, 7);
    rig_close(&rig);
}

/* ---- 14 ---- */

struct divergence {
    uint64_t leader, standby; /* what each applied at the same index */
    raft_term term;           /* of the restarted leader */
};

/* The only voter crashes before an entry is on its disk, which its standby has already, restarts and writes another. */
static struct divergence restart_the_only_voter(unsigned off)
{
    struct rig leader;
    struct rig standby;
    rig_open(&leader, 1, off);
    rig_found(&leader, "v");
    rig_start(&leader);
    rig_open(&standby, 2, 0);
    rig_start(&standby);
    rig_persist(&leader);
    rig_add(&leader, 2);
    rig_persist(&leader);
    rig_assign(&leader, 2, RAFT_STANDBY);
    for (unsigned i = 0; i < 4; i++) {
        rig_converse(&leader, &standby);
        rig_tick(&leader, 60);
    }
    rig_converse(&leader, &standby);
    rig_apply(&leader, 100);
    rig_tick(&leader, 60);
    rig_pass(&leader, &standby);
    rig_persist(&standby);
    assert_int_equal(raft_last_index(&standby.raft), 4);
    rig_crash(&leader);
    rig_start(&leader);
    rig_apply(&leader, 200);
    for (unsigned i = 0; i < 4; i++) {
        rig_converse(&leader, &standby);
        rig_tick(&leader, 60);
    }
    rig_converse(&leader, &standby);
    assert_int_equal(leader.raft.last_applied, 4);
    assert_int_equal(standby.raft.last_applied, 4);
    struct divergence divergence = {leader.values[4], standby.values[4], leader.raft.current_term};
    rig_close(&leader);
    rig_close(&standby);
    return divergence;
}

static void guard_14_sole_voter_restarts_in_a_new_term(void **state)
{
    (void)state;
    struct divergence with = restart_the_only_voter(0);
    assert_int_equal(with.leader, 200);
    assert_int_equal(with.standby, 200);
    assert_int_equal(with.term, 3);
    struct divergence without = restart_the_only_voter(RIG_OFF(14));
    assert_int_equal(without.leader, 200);
    assert_int_equal(without.standby, 100);
    assert_int_equal(without.term, 1);
}

static bool is_sole_voter(const char *members, const char *snapshot_members)
{
    struct rig rig;
    rig_open(&rig, 1, 0);
    rig_found(&rig, members == NULL ? "vv" : members);
    if (snapshot_members != NULL) {
        rig_disk_snapshot(&rig, 1, 1, snapshot_members);
        if (members == NULL) {
            rig_disk_cut(&rig, 2);
        }
    }
    rig_start(&rig);
    bool sole = rig.disk.term > 1;
    assert_int_equal(rig.raft.current_term, rig.disk.term);
    assert_int_equal(rig.disk.vote, 0);
    rig_close(&rig);
    return sole;
}

static void guard_14_only_the_newest_configuration_counts(void **state)
{
    (void)state;
    assert_true(is_sole_voter("v", NULL));
    assert_true(is_sole_voter("vsp", NULL));
    assert_false(is_sole_voter("vv", NULL));
    assert_false(is_sole_voter("sv", NULL));
    assert_true(is_sole_voter(NULL, "vs"));
    assert_false(is_sole_voter(NULL, "vv"));
    assert_false(is_sole_voter("vv", "v")); /* the log's is newer */
}

/* ---- the version ---- */

static void version_check_knows_the_layout(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1, 0);
    assert_int_equal(RAFT_VERSION_NUMBER, 2201);
    rig_found(&rig, "vvv");
    rig_start(&rig);
    assert_false(guards_layout_known(&rig.raft)); /* fields that are not what they must be before raft_start */
    rig_crash(&rig);
    struct raft fresh;
    assert_int_equal(raft_init(&fresh, &rig.io, &rig.fsm, 1, "n1"), 0);
    struct raft before = fresh;
    assert_true(guards_layout_known(&fresh));
    assert_memory_equal(&before, &fresh, sizeof fresh);
    fresh.trail.offset = 1; /* as if something else were there */
    assert_false(guards_layout_known(&fresh));
    fresh.trail.offset = 0;
    raft_close(&fresh, NULL);
    rig.close(&rig.io);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guard_11_busy_while_a_change_is_uncommitted),
        cmocka_unit_test(guard_11_busy_while_applied_is_not_the_commit_index),
        cmocka_unit_test(guard_11_busy_while_applied_entries_are_not_stored),
        cmocka_unit_test(guard_11_busy_until_the_newest_change_is_applied),
        cmocka_unit_test(guard_13_append_index_of_libraft_and_disk_are_equal),
        cmocka_unit_test(guard_14_sole_voter_restarts_in_a_new_term),
        cmocka_unit_test(guard_14_only_the_newest_configuration_counts),
        cmocka_unit_test(guard_15_log_that_ends_before_the_snapshot_is_dropped),
        cmocka_unit_test(guard_15_log_with_another_term_at_the_snapshot_is_dropped),
        cmocka_unit_test(guard_15_log_that_agrees_is_kept),
        cmocka_unit_test(version_check_knows_the_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
