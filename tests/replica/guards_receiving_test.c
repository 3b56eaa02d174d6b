/* The guards on receiving that are about the log and the members: 1 to 5. Each test runs one schedule twice: with all
 * guards the right thing happens; with the guard off libraft shows the defect that it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "guards_rig.h"

/* A follower 1 of three voters in term 3 that holds entries 1 to 5, all known to be committed. */
static void open_follower(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    for (uint64_t i = 2; i <= 5; i++) {
        rig_disk_entry(rig, (struct rig_item){.term = 2, .value = i});
    }
    rig->disk.term = 3;
    rig_start(rig);
    rig_receive_append(rig, (struct rig_append_entries){.from = 2, .term = 3, .prev = 5, .prev_term = 2, .commit = 5});
    assert_int_equal(rig->raft.commit_index, 5);
    rig_drop(rig, 0);
}

/* The same with a snapshot at 5 in place of the entries. */
static void open_behind_snapshot(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    rig_disk_snapshot(rig, 5, 2, "vvv");
    rig_disk_cut(rig, 6);
    rig->disk.term = 3;
    rig_start(rig);
}

/* ---- 1 ---- */

static void guard_01_stale_install_snapshot_gets_no_reply(void **state)
{
    (void)state;
    struct rig rig;
    const struct rig_install stale = {.from = 2, .term = 2, .index = 50, .index_term = 2, .members = "vvv"};
    open_follower(&rig, 0);
    long before = rig_blocks();
    rig_receive_install(&rig, stale);
    assert_int_equal(rig.n_letters, 0);
    assert_int_equal(rig_blocks(), before);
    rig_close(&rig);

    open_follower(&rig, RIG_OFF(1));
    rig_receive_install(&rig, stale);
    /* A success, with an index that nobody has set. */
    assert_int_equal(rig_newest(&rig, RAFT_APPEND_ENTRIES_RESULT)->append_entries_result.rejected, 0);
    assert_int_equal(rig.raft.trail.snapshot.index, 0);
    rig_close(&rig);
}

static struct raft_append_entries_result reply_to_stale_append(unsigned off)
{
    struct rig rig;
    const struct rig_item items[] = {{.term = 1, .members = "vvv"}, {.term = 2, .value = 2}};
    open_follower(&rig, off);
    rig_receive_append(&rig, (struct rig_append_entries){.from = 2, .term = 2, .commit = 1, .items = items, .n = 2});
    struct raft_append_entries_result result = rig_newest(&rig, RAFT_APPEND_ENTRIES_RESULT)->append_entries_result;
    assert_int_equal(raft_last_index(&rig.raft), 5);
    rig_close(&rig);
    return result;
}

static void guard_01_stale_append_entries_is_refused_with_our_term(void **state)
{
    (void)state;
    struct raft_append_entries_result with = reply_to_stale_append(0);
    assert_int_equal(with.term, 3);
    assert_int_equal(with.rejected, 1);
    assert_int_equal(with.last_log_index, 0); /* libraft leaves it unset */
    struct raft_append_entries_result without = reply_to_stale_append(RIG_OFF(1));
    assert_int_equal(without.rejected, 0); /* reads as a success */
}

static void guard_01_looks_again_when_a_held_install_is_delivered(void **state)
{
    (void)state;
    struct rig rig;
    open_follower(&rig, 0);
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    assert_true(rig.has_put);
    rig_receive_install(&rig, (struct rig_install){2, 3, 50, 3, "vvv"});
    assert_true(rig.guards.has_held);
    struct raft_message vote = {.type = RAFT_REQUEST_VOTE,
                                .request_vote = {.version = 2,
                                                 .term = 4,
                                                 .candidate_id = 3,
                                                 .last_log_index = 50,
                                                 .last_log_term = 3,
                                                 .disrupt_leader = true}};
    rig_receive(&rig, 3, vote);
    assert_int_equal(rig.raft.current_term, 4);
    rig_drop(&rig, 0);
    rig_put_done(&rig);
    assert_false(rig.guards.has_held);
    assert_false(rig.raft.snapshot.installing);
    assert_int_equal(rig.n_letters, 0);
    rig_close(&rig);
}

/* ---- 2 ---- */

static void receive_from_the_beginning(struct rig *rig, unsigned off)
{
    const struct rig_item items[] = {{1, 0, "vvv"}, {2, 2, NULL}, {2, 3, NULL}, {2, 4, NULL},
                                     {2, 5, NULL},  {3, 6, NULL}, {3, 7, NULL}};
    open_behind_snapshot(rig, off);
    rig_receive_append(rig, (struct rig_append_entries){.from = 2, .term = 3, .commit = 5, .items = items, .n = 7});
}

static void receive_from_the_beginning_unguarded(void)
{
    struct rig rig;
    receive_from_the_beginning(&rig, RIG_OFF(2));
}

static void guard_02_entries_below_the_snapshot_are_cut(void **state)
{
    (void)state;
    struct rig rig;
    receive_from_the_beginning(&rig, 0);
    assert_null(rig.fatal);
    assert_int_equal(raft_last_index(&rig.raft), 7);
    assert_int_equal(rig.next_index, 8);
    rig_persist(&rig);
    assert_int_equal(rig.disk.first, 6);
    assert_int_equal(rig.disk.n, 2);
    assert_int_equal(rig_newest(&rig, RAFT_APPEND_ENTRIES_RESULT)->append_entries_result.last_log_index, 7);
    rig_close(&rig);

    /* libraft takes what it can't compare for new, and truncates an empty log at entry 1. */
    assert_int_not_equal(rig_death_of(receive_from_the_beginning_unguarded), 0);
}

static struct raft_append_entries_result reply_to_old_probe(unsigned off)
{
    struct rig rig;
    const struct rig_item item = {2, 4, NULL};
    open_behind_snapshot(&rig, off);
    rig_receive_append(&rig, (struct rig_append_entries){2, 3, 3, 2, 3, &item, 1});
    struct raft_append_entries_result result = rig_newest(&rig, RAFT_APPEND_ENTRIES_RESULT)->append_entries_result;
    rig_close(&rig);
    return result;
}

static void guard_02_probe_below_the_snapshot_is_answered_with_it(void **state)
{
    (void)state;
    struct raft_append_entries_result with = reply_to_old_probe(0);
    assert_int_equal(with.rejected, 0);
    assert_int_equal(with.last_log_index, 5);
    /* The leader has all that we need, and is led away from it. */
    struct raft_append_entries_result without = reply_to_old_probe(RIG_OFF(2));
    assert_int_equal(without.rejected, 3);
    assert_int_equal(without.last_log_index, 2);
}

static void guard_02_another_term_at_the_snapshot_ends_the_process(void **state)
{
    (void)state;
    struct rig rig;
    const struct rig_item items[] = {{3, 5, NULL}, {3, 6, NULL}};
    open_behind_snapshot(&rig, 0);
    rig_receive_append(&rig, (struct rig_append_entries){2, 3, 4, 2, 5, items, 2});
    assert_non_null(rig.fatal);
    assert_int_equal(raft_last_index(&rig.raft), 5);
    rig_close(&rig);
}

/* ---- 3 and 4: changes of the members, made by a leader with raft_add and raft_assign ---- */

/* Leader 1 and follower 2, which together are a quorum; voter 3 hears nothing. */
static void open_pair(struct rig *leader, struct rig *follower, unsigned off)
{
    rig_open(leader, 1, 0);
    rig_found(leader, "vvv");
    rig_start(leader);
    rig_open(follower, 2, off);
    rig_found(follower, "vvv");
    follower->trailing = 1;
    rig_start(follower);
    rig_elect(leader);
}

/* The follower hears of a command and of the change behind it in one message. */
static void hear_of_late_change(struct rig *leader, struct rig *follower, unsigned off)
{
    open_pair(leader, follower, off);
    rig_apply(leader, 2);
    rig_add(leader, 4);
    rig_persist(leader);
    rig_drop(leader, 0); /* lost: the next heartbeat carries both */
    rig_tick(leader, 100);
    assert_int_equal(rig_newest(leader, RAFT_APPEND_ENTRIES)->append_entries.n_entries, 2);
    rig_converse(leader, follower);
    assert_int_equal(leader->raft.commit_index, 3);
    rig_tick(leader, 60);
    rig_converse(leader, follower);
    assert_int_equal(follower->raft.last_applied, 3);
    rig_apply(leader, 4);
    for (unsigned i = 0; i < 3; i++) {
        rig_tick(leader, 60);
        rig_converse(leader, follower);
    }
    assert_int_equal(follower->raft.last_applied, 4);
}

static void guard_03_split_change_behind_a_command(void **state)
{
    (void)state;
    struct rig leader;
    struct rig follower;
    hear_of_late_change(&leader, &follower, 0);
    assert_int_equal(follower.raft.configuration_uncommitted_index, 0);
    assert_int_equal(follower.raft.configuration_committed_index, 3);
    raft_set_snapshot_threshold(&follower.raft, 1);
    rig_tick(&follower, 10);
    rig_put_done(&follower);
    rig_crash(&follower);
    rig_start(&follower);
    assert_string_equal(rig_members(&follower.raft.configuration), "vvvp");
    rig_close(&follower);
    rig_close(&leader);
}

static void guard_03_without_it_the_change_is_forgotten_at_the_next_restart(void **state)
{
    (void)state;
    struct rig leader;
    struct rig follower;
    hear_of_late_change(&leader, &follower, RIG_OFF(3) | RIG_OFF(11));  /* 11 would never take a snapshot again */
    assert_int_equal(follower.raft.configuration_uncommitted_index, 2); /* a command's */
    assert_int_equal(follower.raft.configuration_committed_index, 1);
    raft_set_snapshot_threshold(&follower.raft, 1);
    rig_tick(&follower, 10);
    rig_put_done(&follower);
    rig_crash(&follower);
    rig_start(&follower);
    assert_string_equal(rig_members(&follower.raft.configuration), "vvv");
    rig_close(&follower);
    rig_close(&leader);
}

/* The follower has the first change, and hears in one message that it is committed and of a second one. Then 3 leads,
 * which never had the second one. */
static void hear_of_two_changes(struct rig *follower, unsigned off)
{
    struct rig leader;
    open_pair(&leader, follower, off);
    rig_converse(&leader, follower);
    rig_add(&leader, 4);
    rig_converse(&leader, follower);
    rig_drop(&leader, 0);
    assert_int_equal(leader.raft.commit_index, 2);
    assert_int_equal(follower->raft.commit_index, 1);
    rig_assign(&leader, 4, RAFT_STANDBY);
    rig_persist(&leader);
    assert_int_equal(rig_newest(&leader, RAFT_APPEND_ENTRIES)->append_entries.leader_commit, 2);
    rig_pass(&leader, follower);
    rig_persist(follower);
    assert_int_equal(follower->raft.last_applied, 2);
    const struct rig_item item = {.term = 3, .value = 3};
    rig_receive_append(follower, (struct rig_append_entries){3, 3, 2, 2, 2, &item, 1});
    rig_persist(follower);
    rig_close(&leader);
}

static void guard_04_commit_first_keeps_the_change_before(void **state)
{
    (void)state;
    struct rig follower;
    hear_of_two_changes(&follower, 0);
    assert_int_equal(follower.raft.configuration_committed_index, 2);
    assert_string_equal(rig_members(&follower.raft.configuration), "vvvp");
    rig_close(&follower);

    hear_of_two_changes(&follower, RIG_OFF(4));
    assert_int_equal(follower.raft.last_applied, 2); /* it is applied, … */
    assert_int_equal(follower.raft.configuration_committed_index, 1);
    assert_string_equal(rig_members(&follower.raft.configuration), "vvv"); /* … and forgotten */
    rig_close(&follower);
}

/* The message that brings the second change may have been sent before the leader knew the first one's commit. */
static void guard_04_commits_the_uncommitted_change_itself(void **state)
{
    (void)state;
    struct rig rig;
    const struct rig_item first = {3, 0, "vvvp"};
    const struct rig_item second = {3, 0, "vvvs"};
    open_follower(&rig, 0);
    rig_receive_append(&rig, (struct rig_append_entries){2, 3, 5, 2, 5, &first, 1});
    rig_receive_append(&rig, (struct rig_append_entries){2, 3, 6, 3, 5, &second, 1});
    assert_int_equal(rig.raft.commit_index, 6);
    assert_int_equal(rig.raft.configuration_committed_index, 6);
    assert_int_equal(rig.raft.configuration_uncommitted_index, 7);
    rig_close(&rig);
}

/* ---- 5 ---- */

static raft_index commit_after_an_old_probe(struct rig *rig, unsigned off)
{
    open_follower(rig, off);
    rig_receive_append(rig, (struct rig_append_entries){.from = 2, .term = 3, .prev = 3, .prev_term = 2, .commit = 6});
    return rig->raft.commit_index;
}

static void guard_05_clamp_commit_index_never_falls(void **state)
{
    (void)state;
    struct rig rig;
    assert_int_equal(commit_after_an_old_probe(&rig, 0), 5);
    rig_close(&rig);
    assert_int_equal(commit_after_an_old_probe(&rig, RIG_OFF(5)), 3);
    rig_close(&rig);

    /* What it leads to: a snapshot that says 3 and holds what was applied up to 5. */
    (void)commit_after_an_old_probe(&rig, RIG_OFF(5) | RIG_OFF(11));
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    assert_int_equal(rig.put.index, 3);
    assert_int_equal(rig.put.state.index, 5);
    rig_close(&rig);
}

/* ---- what libraft asserts, and Debian's build doesn't check ---- */

static void asserted_only_malformed_append_entries_is_dropped(void **state)
{
    (void)state;
    const struct rig_item item = {3, 6, NULL};
    const struct rig_item no_term = {0, 6, NULL};
    const struct rig_item later_term = {4, 6, NULL};
    const struct rig_item falling[] = {{3, 6, NULL}, {2, 7, NULL}};
    const struct rig_append_entries malformed[] = {
        {2, 3, 5, 0, 5, &item, 1},       /* an index without a term */
        {2, 3, 0, 2, 5, &item, 1},       /* a term without an index */
        {2, 3, 5, 4, 5, &item, 1},       /* prev of a later term than the message's */
        {2, 3, 5, 2, 5, &no_term, 1},    /* an entry without a term */
        {2, 3, 5, 2, 5, &later_term, 1}, /* … of a later one than the message's */
        {2, 3, 5, 2, 5, falling, 2},     /* terms that fall */
        {2, 3, UINT64_MAX, 2, 5, &item, 1},
    };
    struct rig rig;
    open_follower(&rig, 0);
    long before = rig_blocks();
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        rig_receive_append(&rig, malformed[i]);
        assert_null(rig.fatal);
        assert_int_equal(rig.n_letters, 0);
        assert_int_equal(raft_last_index(&rig.raft), 5);
        assert_int_equal(rig_blocks(), before);
    }
    rig_close(&rig);
}

static void receive_one(struct rig *rig, int type, const void *payload, size_t len)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES,
                                   .append_entries = {.term = 3, .prev_log_index = 5, .prev_log_term = 2}};
    struct raft_entry *entry = raft_calloc(1, sizeof *entry);
    uint8_t *batch = raft_malloc(len + 1);
    CHECK(entry != NULL && batch != NULL);
    memcpy(batch, payload, len);
    *entry = (struct raft_entry){.term = 3, .type = (enum raft_entry_type)type, .batch = batch};
    entry->buf = (struct raft_buffer){.base = batch, .len = len};
    message.append_entries.entries = entry;
    message.append_entries.n_entries = 1;
    rig_receive(rig, 2, message);
}

static void asserted_only_malformed_entries_are_dropped(void **state)
{
    (void)state;
    static const uint8_t zeros[16];
    static const uint8_t cut_off[] = {1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'n', '1', 0, 1, 2, 0};
    static const uint8_t no_end[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'n', '1'};
    static const uint8_t no_role[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'n', '1', 0, 7};
    static const uint8_t one_name[] = {1,   2,   0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,   0,   0,   0,   0, 'n', '1',
                                       ' ', 'x', 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 'n', '1', ' ', 'y', 0, 1};
    struct rig rig;
    open_follower(&rig, 0);
    long before = rig_blocks();
    receive_one(&rig, RAFT_COMMAND, zeros, 0);
    receive_one(&rig, 0, zeros, 8);
    receive_one(&rig, RAFT_CHANGE + 1, zeros, 8);
    receive_one(&rig, RAFT_CHANGE, zeros, 16);
    receive_one(&rig, RAFT_CHANGE, cut_off, sizeof cut_off);
    receive_one(&rig, RAFT_CHANGE, no_end, sizeof no_end);
    receive_one(&rig, RAFT_CHANGE, no_role, sizeof no_role);
    receive_one(&rig, RAFT_CHANGE, one_name, sizeof one_name);
    assert_int_equal(rig.n_letters, 0);
    assert_int_equal(raft_last_index(&rig.raft), 5);
    assert_int_equal(rig_blocks(), before);
    receive_one(&rig, RAFT_COMMAND, zeros, 8);
    assert_int_equal(raft_last_index(&rig.raft), 6);
    rig_close(&rig);
}

static void asserted_only_second_leader_of_a_term_is_not_believed(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 1, 0);
    rig_found(&rig, "vvv");
    rig_start(&rig);
    rig_elect(&rig);
    rig_drop(&rig, 0);
    rig_receive_append(&rig, (struct rig_append_entries){.from = 2, .term = 2, .prev = 1, .prev_term = 1});
    rig_receive_install(&rig, (struct rig_install){2, 2, 50, 2, "vvv"});
    assert_int_equal(rig.raft.state, RAFT_LEADER);
    assert_int_equal(rig.n_letters, 0);
    rig_close(&rig);
}

static void asserted_only_contradiction_of_a_committed_entry_ends_the_process(void **state)
{
    (void)state;
    const struct rig_item item = {3, 5, NULL};
    struct rig rig;
    open_follower(&rig, 0);
    rig_receive_append(&rig, (struct rig_append_entries){2, 3, 4, 2, 5, &item, 1});
    assert_non_null(rig.fatal);
    rig_close(&rig);
    open_follower(&rig, 0);
    rig_receive_append(&rig, (struct rig_append_entries){.from = 2, .term = 3, .prev = 5, .prev_term = 3});
    assert_non_null(rig.fatal);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guard_01_stale_install_snapshot_gets_no_reply),
        cmocka_unit_test(guard_01_stale_append_entries_is_refused_with_our_term),
        cmocka_unit_test(guard_01_looks_again_when_a_held_install_is_delivered),
        cmocka_unit_test(guard_02_entries_below_the_snapshot_are_cut),
        cmocka_unit_test(guard_02_probe_below_the_snapshot_is_answered_with_it),
        cmocka_unit_test(guard_02_another_term_at_the_snapshot_ends_the_process),
        cmocka_unit_test(guard_03_split_change_behind_a_command),
        cmocka_unit_test(guard_03_without_it_the_change_is_forgotten_at_the_next_restart),
        cmocka_unit_test(guard_04_commit_first_keeps_the_change_before),
        cmocka_unit_test(guard_04_commits_the_uncommitted_change_itself),
        cmocka_unit_test(guard_05_clamp_commit_index_never_falls),
        cmocka_unit_test(asserted_only_malformed_append_entries_is_dropped),
        cmocka_unit_test(asserted_only_malformed_entries_are_dropped),
        cmocka_unit_test(asserted_only_second_leader_of_a_term_is_not_believed),
        cmocka_unit_test(asserted_only_contradiction_of_a_committed_entry_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
