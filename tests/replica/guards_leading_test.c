/* The guards of a leader that sends snapshots: 8, 9 and 12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guards_rig.h"

/* Leader 1 in term 2, whose snapshot ends at 10 and whose log begins at 9; 3 is with it, 2 knows entry 1 only. */
static void open_leader(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    for (uint64_t i = 2; i <= 10; i++) {
        rig_disk_entry(rig, (struct rig_item){.term = 1, .value = i});
    }
    rig_disk_snapshot(rig, 10, 1, "vvv");
    rig_disk_cut(rig, 9);
    rig->trailing = 2;
    rig_start(rig);
    rig_elect(rig);
    rig_acknowledge(rig, 3, 10);
    rig_drop(rig, 0);
}

/* One entry that 3 acknowledges, so that it is committed. */
static void commit_one(struct rig *leader)
{
    rig_apply(leader, raft_last_index(&leader->raft) + 1);
    rig_persist(leader);
    rig_acknowledge(leader, 3, raft_last_index(&leader->raft));
    assert_int_equal(leader->raft.last_applied, raft_last_index(&leader->raft));
}

/* Takes a snapshot when the guards let it. */
static bool snapshot_due(struct rig *leader)
{
    raft_set_snapshot_threshold(&leader->raft, 1);
    rig_tick(leader, 10);
    bool taken = leader->has_put;
    if (taken) {
        rig_put_done(leader);
    }
    raft_set_snapshot_threshold(&leader->raft, RIG_NEVER);
    return taken;
}

/* ---- 8 ---- */

/* A member that is busy with the snapshot rejects whatever else comes. Ticks apart from this make libraft ask again, too
 * (it takes a peer that was quiet for a tick for unreachable); that is what keeping the running transfer is for. */
static void reject_ten_times(struct rig *leader)
{
    for (unsigned i = 0; i < 10; i++) {
        rig_reject(leader, 2, 10, 1);
    }
}

static void guard_08_storm_one_transfer_is_enough(void **state)
{
    (void)state;
    struct rig rig;
    open_leader(&rig, 0);
    rig_reject(&rig, 2, 10, 1);
    assert_int_equal(rig.gets_total, 1);
    rig.transfer_to = 2;
    reject_ten_times(&rig);
    assert_int_equal(rig.gets_total, 1);
    rig.transfer_to = 0; /* it ended more than a second ago, and 2 still has nothing */
    rig_reject(&rig, 2, 10, 1);
    assert_int_equal(rig.gets_total, 2);
    rig_close(&rig);

    open_leader(&rig, RIG_OFF(8));
    rig_reject(&rig, 2, 10, 1);
    rig.transfer_to = 2;
    reject_ten_times(&rig);
    assert_int_equal(rig.gets_total, 11);
    rig_close(&rig);
}

static void guard_08_other_rejections_count(void **state)
{
    (void)state;
    struct rig rig;
    open_leader(&rig, 0);
    rig.transfer_to = 3;
    rig_reject(&rig, 2, 10, 1);
    assert_int_equal(rig.gets_total, 1);
    rig_close(&rig);
}

/* ---- 9 ---- */

/* While libraft's wish to send the snapshot at 10 (term 1) is answered, one at 12 (term 2) takes its place. */
static void send_a_newer_snapshot(struct rig *leader, unsigned off)
{
    open_leader(leader, off);
    rig_reject(leader, 2, 10, 1);
    assert_int_equal(leader->n_gets, 1);
    commit_one(leader);
    commit_one(leader);
    assert_true(snapshot_due(leader));
    rig_drop(leader, 0);
    rig_answer_gets(leader);
}

/* What the receiver makes of it. */
static bool install_is_usable(struct rig *leader)
{
    struct rig follower;
    rig_open(&follower, 2, 0);
    rig_found(&follower, "vvv");
    rig_start(&follower);
    rig_pass(leader, &follower);
    rig_put_done(&follower);
    rig_receive_append(&follower,
                       (struct rig_append_entries){.from = 1, .term = 2, .prev = 12, .prev_term = 2, .commit = 12});
    bool usable = follower.fatal == NULL;
    rig_close(&follower);
    return usable;
}

static void guard_09_snapshot_term_is_that_of_the_snapshot(void **state)
{
    (void)state;
    struct rig rig;
    send_a_newer_snapshot(&rig, 0);
    const struct raft_install_snapshot *install = &rig_newest(&rig, RAFT_INSTALL_SNAPSHOT)->install_snapshot;
    assert_int_equal(install->last_index, 12);
    assert_int_equal(install->last_term, 2);
    assert_true(install_is_usable(&rig));
    rig_close(&rig);

    send_a_newer_snapshot(&rig, RIG_OFF(9));
    install = &rig_newest(&rig, RAFT_INSTALL_SNAPSHOT)->install_snapshot;
    assert_int_equal(install->last_index, 12);
    assert_int_equal(install->last_term, 1); /* that of the older one */
    assert_false(install_is_usable(&rig));
    rig_close(&rig);
}

static void guard_09_stale_address_is_not_used(void **state)
{
    (void)state;
    struct rig rig;
    open_leader(&rig, 0);
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT, .server_id = 2, .server_address = "freed by now"};
    message.install_snapshot.term = rig.raft.current_term;
    assert_true(guards_send(&rig.guards, &message));
    assert_ptr_equal(message.server_address, guards_server(&rig.raft, 2)->address);
    rig_close(&rig);
}

static void guard_09_nothing_goes_to_strangers_or_from_followers(void **state)
{
    (void)state;
    struct rig rig;
    open_leader(&rig, 0);
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT, .server_id = 9};
    message.install_snapshot.term = rig.raft.current_term;
    assert_false(guards_send(&rig.guards, &message));
    message.server_id = 2;
    message.install_snapshot.term--;
    assert_false(guards_send(&rig.guards, &message));
    message.install_snapshot.term++;
    rig_receive_append(&rig, (struct rig_append_entries){.from = 3, .term = 9, .prev = 10, .prev_term = 1});
    assert_int_equal(rig.raft.state, RAFT_FOLLOWER);
    message.install_snapshot.term = rig.raft.current_term;
    assert_false(guards_send(&rig.guards, &message));
    rig_close(&rig);
}

/* ---- 12 ---- */

/* Follower 2 gets a snapshot while entries keep coming and a snapshot is due all the time. True: it has caught up within
 * five transfers. */
static bool catches_up(unsigned off, unsigned *transfers)
{
    struct rig leader;
    struct rig follower;
    open_leader(&leader, off);
    rig_open(&follower, 2, 0);
    rig_found(&follower, "vvv");
    rig_start(&follower);
    bool caught_up = false;
    for (unsigned i = 0; i < 5 && !caught_up; i++) {
        rig_tick(&leader, 60);
        rig_acknowledge(&leader, 3, raft_last_index(&leader.raft));
        rig_pass(&leader, &follower);
        rig_pass(&follower, &leader);
        leader.transfer_to = leader.n_gets > 0 ? 2 : 0;
        rig_answer_gets(&leader); /* the transfer takes as long as eight entries do */
        for (unsigned j = 0; j < 8; j++) {
            commit_one(&leader);
        }
        (void)snapshot_due(&leader);
        rig_pass(&leader, &follower);
        if (follower.has_put) {
            rig_put_done(&follower);
        }
        rig_converse(&leader, &follower);
        (void)snapshot_due(&leader); /* not a second after the end either */
        leader.transfer_to = 0;
        caught_up = raft_last_index(&follower.raft) == raft_last_index(&leader.raft);
    }
    *transfers = leader.gets_total;
    rig_close(&leader);
    rig_close(&follower);
    return caught_up;
}

static void guard_12_snapshot_waits_for_a_transfer(void **state)
{
    (void)state;
    unsigned transfers;
    assert_true(catches_up(0, &transfers));
    assert_int_equal(transfers, 1);
    assert_false(catches_up(RIG_OFF(12), &transfers));
    assert_true(transfers >= 5);
}

/* A leader whose follower 2 has everything up to 10, and lacks six entries. */
static void open_with_lagging(struct rig *leader, unsigned off)
{
    open_leader(leader, off);
    rig_acknowledge(leader, 2, 10);
    for (unsigned i = 0; i < 6; i++) {
        commit_one(leader);
    }
}

static void guard_12_snapshot_waits_for_a_member_that_needs_the_entries(void **state)
{
    (void)state;
    struct rig rig;
    open_with_lagging(&rig, 0);
    assert_false(snapshot_due(&rig));
    rig_acknowledge(&rig, 2, 14); /* the rest is within what stays behind a snapshot */
    assert_true(snapshot_due(&rig));
    rig_close(&rig);

    open_with_lagging(&rig, RIG_OFF(12));
    assert_true(snapshot_due(&rig));
    rig_reject(&rig, 2, raft_last_index(&rig.raft), 10);
    rig_tick(&rig, 60);
    assert_true(rig.gets_total > 0); /* six entries would have done */
    rig_close(&rig);
}

static void guard_12_snapshot_does_not_wait_in_vain(void **state)
{
    (void)state;
    struct rig rig;
    open_with_lagging(&rig, 0);
    rig.unreachable = 2;
    assert_true(snapshot_due(&rig));
    rig_close(&rig);

    open_with_lagging(&rig, 0);
    rig.log_bytes = GUARD_LOG_BYTES + 1;
    assert_true(snapshot_due(&rig));
    rig_close(&rig);

    open_leader(&rig, 0); /* 2 needs a snapshot already */
    for (unsigned i = 0; i < 6; i++) {
        commit_one(&rig);
    }
    assert_true(snapshot_due(&rig));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guard_08_storm_one_transfer_is_enough),
        cmocka_unit_test(guard_08_other_rejections_count),
        cmocka_unit_test(guard_09_snapshot_term_is_that_of_the_snapshot),
        cmocka_unit_test(guard_09_stale_address_is_not_used),
        cmocka_unit_test(guard_09_nothing_goes_to_strangers_or_from_followers),
        cmocka_unit_test(guard_12_snapshot_waits_for_a_transfer),
        cmocka_unit_test(guard_12_snapshot_waits_for_a_member_that_needs_the_entries),
        cmocka_unit_test(guard_12_snapshot_does_not_wait_in_vain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
