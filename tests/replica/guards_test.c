/* The guards of LIBRAFT.md, each against libraft itself: what happens is looked at in libraft's state and in what it
 * sends. Each test fails when its guard is switched off (GUARDS_OFF=N in the environment switches guard N off, to see it);
 * where libraft would crash or leak without the guard, the assertion comes before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static unsigned guards_off(void)
{
    const char *number = getenv("GUARDS_OFF");
    return number == NULL ? 0 : 1u << (strtoul(number, NULL, 10) - 1);
}

static struct rig rig;

static void begin(void)
{
    rig_init(&rig, guards_off());
}

static void begin_follower(const char *roles, size_t n_entries, raft_id id, raft_term term)
{
    static const raft_term ones[64] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    begin();
    rig_load_log(&rig, roles, ones, n_entries);
    rig_start(&rig, id, term);
}

static const raft_term twos[8] = {2, 2, 2, 2, 2, 2, 2, 2};

/* ---- receiving ---- */

static void guard_01_stale_term_append_is_answered_with_the_term(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 5);
    static const raft_term ones[2] = {1, 1};
    rig_receive_append(&rig,
                       &(struct rig_append){.from = 2, .term = 4, .prev = 0, .prev_term = 0, .terms = ones, .n = 2});
    const struct raft_message *reply = rig_sent(&rig, RAFT_APPEND_ENTRIES_RESULT);
    assert_non_null(reply);
    assert_int_equal(reply->append_entries_result.term, 5);
    assert_true(reply->append_entries_result.rejected > 0); /* 0 would read as a success */
    assert_int_equal(reply->append_entries_result.last_log_index, 0);
    rig_close(&rig);
}

static void guard_01_stale_term_install_is_dropped(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 5);
    rig_receive_install(&rig, 2, 4, 100, 4, "vvv");
    assert_null(rig_sent(&rig, RAFT_APPEND_ENTRIES_RESULT)); /* it would carry an index that nobody set */
    assert_int_equal(rig.raft.trail.snapshot.index, 0);
    rig_close(&rig);
}

static void guard_02_stale_prev_below_the_snapshot_is_taken_up(void **state)
{
    (void)state;
    begin();
    rig_load_snapshot(&rig, "vvv", 10, 2);
    rig_start(&rig, 1, 2);
    rig_receive_append(&rig,
                       &(struct rig_append){.from = 2, .term = 2, .prev = 5, .prev_term = 2, .terms = twos, .n = 8});
    rig_flush(&rig);
    assert_int_equal(raft_last_index(&rig.raft), 13);
    const struct raft_message *reply = rig_sent(&rig, RAFT_APPEND_ENTRIES_RESULT);
    assert_non_null(reply);
    assert_int_equal(reply->append_entries_result.rejected, 0);
    assert_int_equal(reply->append_entries_result.last_log_index, 13);
    rig_close(&rig);
}

static void guard_02_stale_prev_with_nothing_new_is_a_success(void **state)
{
    (void)state;
    begin();
    rig_load_snapshot(&rig, "vvv", 10, 2);
    rig_start(&rig, 1, 2);
    rig_receive_append(&rig,
                       &(struct rig_append){.from = 2, .term = 2, .prev = 5, .prev_term = 2, .terms = twos, .n = 2});
    const struct raft_message *reply = rig_sent(&rig, RAFT_APPEND_ENTRIES_RESULT);
    assert_non_null(reply);
    assert_int_equal(reply->append_entries_result.rejected, 0);
    assert_int_equal(reply->append_entries_result.last_log_index, 10);
    rig_close(&rig);
}

static void guard_02_another_term_at_the_snapshot_ends_the_process(void **state)
{
    (void)state;
    begin();
    rig_load_snapshot(&rig, "vvv", 10, 2);
    rig_start(&rig, 1, 3);
    static const raft_term threes[8] = {3, 3, 3, 3, 3, 3, 3, 3};
    rig_receive_append(&rig,
                       &(struct rig_append){.from = 2, .term = 3, .prev = 5, .prev_term = 2, .terms = threes, .n = 8});
    assert_string_not_equal(rig.fatal, "");
    rig_close(&rig);
}

static void guard_03_split_files_a_change_under_its_own_index(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 2); /* last index 4 */
    static const char *const roles[4] = {NULL, NULL, "vvvs", NULL};
    rig_receive_append(&rig, &(struct rig_append){.from = 2,
                                                  .term = 2,
                                                  .prev = 4,
                                                  .prev_term = 1,
                                                  .commit = 4,
                                                  .terms = twos,
                                                  .types = "eece",
                                                  .roles = roles,
                                                  .n = 4});
    rig_flush(&rig);
    assert_int_equal(raft_last_index(&rig.raft), 8);
    assert_int_equal(rig.raft.configuration.n, 4);
    assert_int_equal(rig.raft.configuration_uncommitted_index, 7);
    rig_close(&rig);
}

static void guard_04_commit_first_remembers_the_change_before(void **state)
{
    (void)state;
    begin_follower("vvv", 1, 1, 2); /* last index 2 */
    static const char *const first[1] = {"vvvs"};
    static const char *const second[1] = {"vvvv"};
    rig_receive_append(&rig, &(struct rig_append){.from = 2,
                                                  .term = 2,
                                                  .prev = 2,
                                                  .prev_term = 1,
                                                  .commit = 2,
                                                  .terms = twos,
                                                  .types = "c",
                                                  .roles = first,
                                                  .n = 1});
    rig_flush(&rig);
    assert_int_equal(rig.raft.configuration_uncommitted_index, 3);
    rig_receive_append(&rig, &(struct rig_append){.from = 2,
                                                  .term = 2,
                                                  .prev = 3,
                                                  .prev_term = 2,
                                                  .commit = 2,
                                                  .terms = twos,
                                                  .types = "c",
                                                  .roles = second,
                                                  .n = 1});
    rig_flush(&rig);
    assert_int_equal(rig.raft.configuration_uncommitted_index, 4);
    assert_int_equal(rig.raft.configuration_committed_index, 3); /* a truncation of 4 goes back to it, not to 1 */
    assert_int_equal(rig.raft.configuration_committed.n, 4);
    rig_close(&rig);
}

static void guard_05_clamp_never_lowers_the_commit_index(void **state)
{
    (void)state;
    begin_follower("vvv", 5, 1, 1); /* last index 6 */
    rig_receive_append(&rig, &(struct rig_append){.from = 2, .term = 1, .prev = 6, .prev_term = 1, .commit = 6});
    assert_int_equal(rig.raft.commit_index, 6);
    static const raft_term ones[1] = {1};
    rig_receive_append(&rig, &(struct rig_append){
                                 .from = 2, .term = 1, .prev = 2, .prev_term = 1, .commit = 9, .terms = ones, .n = 1});
    assert_int_equal(rig.raft.commit_index, 6);
    rig_close(&rig);
}

static void guard_06_install_waits_for_the_snapshot_that_is_taken(void **state)
{
    (void)state;
    begin_follower("vvv", 5, 1, 1);
    rig.hold_puts = true;
    rig_receive_append(&rig, &(struct rig_append){.from = 2, .term = 1, .prev = 6, .prev_term = 1, .commit = 6});
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    assert_true(rig.raft.legacy.snapshot_taking);
    rig_receive_install(&rig, 2, 1, 20, 1, "vvv");
    rig_receive_install(&rig, 2, 1, 30, 1, "vvv");
    assert_null(rig.raft.legacy.snapshot_pending); /* libraft would lose it, and follow the lost pointer */
    assert_false(guards_release_held(&rig.guards));
    rig.hold_puts = false;
    rig_flush(&rig);
    assert_true(guards_release_held(&rig.guards));
    rig_flush(&rig);
    assert_int_equal(rig.raft.trail.snapshot.index, 30); /* the newest */
    assert_int_equal(rig.n_restored, 1);
    rig_close(&rig);
}

static void guard_06_install_while_installing_is_dropped(void **state)
{
    (void)state;
    begin_follower("vvv", 2, 1, 1);
    rig.hold_puts = true;
    rig_receive_install(&rig, 2, 1, 20, 1, "vvv");
    unsigned delivered = rig.n_delivered;
    rig_receive_install(&rig, 2, 1, 30, 1, "vvv");
    assert_int_equal(rig.n_delivered, delivered); /* libraft would forget to free it */
    rig.hold_puts = false;
    rig_flush(&rig);
    assert_int_equal(rig.raft.trail.snapshot.index, 20);
    rig_close(&rig);
}

static void guard_06_held_install_goes_with_its_stream(void **state)
{
    (void)state;
    begin_follower("vvv", 5, 1, 1);
    rig.hold_puts = true;
    rig_receive_append(&rig, &(struct rig_append){.from = 2, .term = 1, .prev = 6, .prev_term = 1, .commit = 6});
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    rig_receive_install(&rig, 2, 1, 20, 1, "vvv");
    assert_false(guards_stream_ended(&rig.guards, 3));
    assert_true(guards_stream_ended(&rig.guards, 2));
    rig.hold_puts = false;
    rig_flush(&rig);
    assert_false(guards_release_held(&rig.guards));
    assert_int_equal(rig.raft.trail.snapshot.index, 6);
    rig_close(&rig);
}

static void guard_07_late_votes_do_not_depose_a_leader(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 5);
    rig_elect(&rig);
    struct raft_message late = {
        .type = RAFT_REQUEST_VOTE_RESULT,
        .server_id = 3,
        .request_vote_result = {.version = 2, .term = 9, .vote_granted = false, .pre_vote = true},
    };
    rig_receive(&rig, &late);
    assert_int_equal(rig.raft.state, RAFT_LEADER);
    assert_int_equal(rig.raft.current_term, 6);
    rig_close(&rig);
}

static void send_result(raft_id from, raft_index rejected, raft_index last)
{
    struct raft_message result = {
        .type = RAFT_APPEND_ENTRIES_RESULT,
        .server_id = from,
        .append_entries_result = {.version = 2,
                                  .term = rig.raft.current_term,
                                  .rejected = rejected,
                                  .last_log_index = last},
    };
    rig_receive(&rig, &result);
    rig_flush(&rig);
}

/* A leader whose log begins behind a snapshot at 10, and a member 2 that has nothing. */
static void begin_leader_with_snapshot(void)
{
    begin();
    rig_load_snapshot(&rig, "vvv", 10, 2);
    rig_start(&rig, 1, 2);
    rig_elect(&rig);
    send_result(2, 10, 0); /* it has no entry 10 */
    rig_tick(&rig, 60);
    rig_flush(&rig);
}

static void guard_08_storm_sends_the_snapshot_once(void **state)
{
    (void)state;
    begin_leader_with_snapshot();
    assert_int_equal(rig.n_gets, 1);
    rig.transfer_recent = true;
    for (unsigned i = 0; i < 10; i++) {
        send_result(2, 10, 0); /* each heartbeat is rejected while the snapshot is on its way */
        rig_tick(&rig, 60);
        rig_flush(&rig);
    }
    assert_int_equal(rig.n_gets, 1);
    rig_close(&rig);
}

/* ---- sending ---- */

static void guard_09_snapshot_term_is_that_of_the_snapshot_given(void **state)
{
    (void)state;
    begin();
    rig_load_snapshot(&rig, "vvv", 10, 2);
    rig_start(&rig, 1, 4);
    rig_elect(&rig);
    rig.snapshot_index = 20; /* meanwhile there is a newer one, of another term */
    rig.snapshot_term = 4;
    send_result(2, 10, 0);
    rig_tick(&rig, 60);
    rig_flush(&rig);
    const struct raft_message *install = rig_sent(&rig, RAFT_INSTALL_SNAPSHOT);
    assert_non_null(install);
    assert_int_equal(install->install_snapshot.last_index, 20);
    assert_int_equal(install->install_snapshot.last_term, 4);
    rig_close(&rig);
}

static void guard_10_pre_vote_refusal_tells_our_term(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 9);
    struct raft_message request = {
        .type = RAFT_REQUEST_VOTE,
        .server_id = 3,
        .request_vote =
            {.version = 2, .term = 4, .candidate_id = 3, .last_log_index = 4, .last_log_term = 1, .pre_vote = true},
    };
    rig_receive(&rig, &request);
    const struct raft_message *result = rig_sent(&rig, RAFT_REQUEST_VOTE_RESULT);
    assert_non_null(result);
    assert_false(result->request_vote_result.vote_granted);
    assert_int_equal(result->request_vote_result.term, 9);
    rig_close(&rig);
}

/* ---- around the state machine ---- */

static void guard_11_no_snapshot_while_a_change_is_uncommitted(void **state)
{
    (void)state;
    begin_follower("vvv", 1, 1, 2);
    static const char *const roles[1] = {"vvvs"};
    rig_receive_append(&rig, &(struct rig_append){.from = 2,
                                                  .term = 2,
                                                  .prev = 2,
                                                  .prev_term = 1,
                                                  .commit = 2,
                                                  .terms = twos,
                                                  .types = "c",
                                                  .roles = roles,
                                                  .n = 1});
    rig_flush(&rig);
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    assert_false(rig.raft.legacy.snapshot_taking);
    rig_receive_append(&rig, &(struct rig_append){.from = 2, .term = 2, .prev = 3, .prev_term = 2, .commit = 3});
    rig_flush(&rig);
    rig_tick(&rig, 10);
    rig_flush(&rig);
    assert_int_equal(rig.n_puts, 1);
    assert_int_equal(rig.put_index, 3);
    rig_close(&rig);
}

static void guard_11_no_snapshot_of_what_is_not_on_the_disk(void **state)
{
    (void)state;
    begin_follower("vvv", 1, 1, 2);
    rig.hold_appends = true;
    rig_receive_append(&rig, &(struct rig_append){
                                 .from = 2, .term = 2, .prev = 2, .prev_term = 1, .commit = 4, .terms = twos, .n = 2});
    rig_flush(&rig);
    assert_int_equal(rig.raft.last_applied, 4); /* followers apply before they persist */
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    assert_int_equal(rig.n_puts, 0);
    rig.hold_appends = false;
    rig_flush(&rig);
    rig_tick(&rig, 10);
    rig_flush(&rig);
    assert_int_equal(rig.n_puts, 1);
    rig_close(&rig);
}

/* A leader of three with 30 entries; member 2 has all of them, member 3 has `match`. */
static void begin_leader_with_followers(raft_index match)
{
    begin_follower("vvv", 30, 1, 1);
    rig_elect(&rig);
    raft_index last = raft_last_index(&rig.raft);
    send_result(2, 0, last);
    if (match > 0) {
        send_result(3, 0, match);
    }
    assert_int_equal(rig.raft.last_applied, last);
    rig.reachable = true;
}

static void guard_12_followers_keep_the_entries_that_they_need(void **state)
{
    (void)state;
    begin_leader_with_followers(10);
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    rig_flush(&rig);
    assert_int_equal(rig.n_puts, 0); /* member 3 needs 11 and following */
    send_result(3, 0, raft_last_index(&rig.raft));
    rig_tick(&rig, 10);
    rig_flush(&rig);
    assert_int_equal(rig.n_puts, 1);
    rig_close(&rig);
}

static void guard_12_no_snapshot_while_one_is_sent(void **state)
{
    (void)state;
    begin_leader_with_followers(31);
    rig.transfer_recent = true;
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    rig_flush(&rig);
    assert_int_equal(rig.n_puts, 0);
    rig.log_bytes = GUARD_LOG_BYTES + 1; /* but not for ever */
    rig_tick(&rig, 10);
    rig_flush(&rig);
    assert_int_equal(rig.n_puts, 1);
    rig_close(&rig);
}

static void guard_12_member_that_is_away_keeps_nobody_waiting(void **state)
{
    (void)state;
    begin_leader_with_followers(10);
    rig.reachable = false;
    raft_set_snapshot_threshold(&rig.raft, 1);
    rig_tick(&rig, 10);
    rig_flush(&rig);
    assert_int_equal(rig.n_puts, 1);
    rig_close(&rig);
}

static void guard_13_append_at_another_index_ends_the_process(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 1);
    assert_true(guards_check_append(&rig.guards, 5));
    assert_string_equal(rig.fatal, "");
    assert_false(guards_check_append(&rig.guards, 6));
    assert_string_not_equal(rig.fatal, "");
    rig_close(&rig);
}

static void guard_14_sole_voter_of_the_newest_configuration(void **state)
{
    (void)state;
    begin();
    rig_load_log(&rig, "vss", NULL, 0);
    struct guards_log log = {.start_index = 1, .entries = rig.entries, .n_entries = 1};
    assert_true(guards_sole_voter(&rig.guards, 1, &log));
    assert_false(guards_sole_voter(&rig.guards, 2, &log));
    struct raft_configuration two;
    rig_configuration("vv", &two);
    log = (struct guards_log){.snapshot_index = 9, .snapshot_configuration = &two, .start_index = 10};
    assert_false(guards_sole_voter(&rig.guards, 1, &log));
    raft_configuration_close(&two);
    rig_start(&rig, 1, 1);
    rig_close(&rig);
}

static void guard_15_load_drops_a_log_that_contradicts_the_snapshot(void **state)
{
    (void)state;
    begin();
    struct raft_entry entries[3] = {{.term = 2}, {.term = 2}, {.term = 3}};
    struct guards_log log = {
        .snapshot_index = 6, .snapshot_term = 2, .start_index = 5, .entries = entries, .n_entries = 3};
    assert_false(guards_load(&rig.guards, &log)); /* 5 … 7, and 6 is of term 2 */
    assert_int_equal(log.n_entries, 3);
    log.snapshot_term = 4;
    assert_true(guards_load(&rig.guards, &log));
    assert_int_equal(log.n_entries, 0);
    assert_int_equal(log.start_index, 7);
    log = (struct guards_log){
        .snapshot_index = 9, .snapshot_term = 3, .start_index = 5, .entries = entries, .n_entries = 3};
    assert_true(guards_load(&rig.guards, &log)); /* it ends before the snapshot */
    assert_int_equal(log.start_index, 10);
}

static void ask_for_vote(raft_id from, bool pre_vote)
{
    struct raft_message request = {
        .type = RAFT_REQUEST_VOTE,
        .server_id = from,
        .request_vote = {.version = 2,
                         .term = 3,
                         .candidate_id = from,
                         .last_log_index = 99,
                         .last_log_term = 2,
                         .pre_vote = pre_vote},
    };
    rig_receive(&rig, &request);
}

static void guard_16_promotion_lets_a_standby_vote(void **state)
{
    (void)state;
    begin_follower("vvvs", 3, 4, 2); /* its promotion is in an entry that hasn't come */
    rig_receive_append(&rig, &(struct rig_append){.from = 1, .term = 2, .prev = 4, .prev_term = 1});
    ask_for_vote(2, true);
    assert_false(rig_sent(&rig, RAFT_REQUEST_VOTE_RESULT)->request_vote_result.vote_granted); /* the leader lives */
    rig.now_ms += 301;
    ask_for_vote(2, true);
    assert_true(rig_sent(&rig, RAFT_REQUEST_VOTE_RESULT)->request_vote_result.vote_granted);
    ask_for_vote(2, false);
    assert_true(rig_sent(&rig, RAFT_REQUEST_VOTE_RESULT)->request_vote_result.vote_granted);
    assert_int_equal(rig.raft.configuration.servers[3].role, RAFT_STANDBY); /* restored */
    rig_close(&rig);
}

/* ---- hostile input ---- */

static void malformed_messages_are_dropped(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 2);
    static const raft_term falling[2] = {2, 1};
    static const raft_term future[1] = {9};
    rig_receive_append(&rig,
                       &(struct rig_append){.from = 2, .term = 2, .prev = 4, .prev_term = 1, .terms = falling, .n = 2});
    rig_receive_append(&rig,
                       &(struct rig_append){.from = 2, .term = 2, .prev = 4, .prev_term = 1, .terms = future, .n = 1});
    rig_receive_append(&rig, &(struct rig_append){.from = 2, .term = 2, .prev = 0, .prev_term = 1});
    rig_receive_append(&rig, &(struct rig_append){.from = 2, .term = 2, .prev = 4, .prev_term = 0});
    rig_receive_install(&rig, 2, 2, 0, 1, "vvv");
    rig_receive_install(&rig, 2, 2, 9, 3, "vvv");
    assert_int_equal(rig.n_delivered, 0);
    assert_int_equal(raft_last_index(&rig.raft), 4);
    rig_close(&rig);
}

static void leader_that_contradicts_a_committed_entry_ends_the_process(void **state)
{
    (void)state;
    begin_follower("vvv", 3, 1, 2);
    rig_receive_append(&rig, &(struct rig_append){.from = 2, .term = 2, .prev = 4, .prev_term = 1, .commit = 4});
    assert_int_equal(rig.raft.commit_index, 4);
    rig_receive_append(&rig,
                       &(struct rig_append){.from = 2, .term = 2, .prev = 2, .prev_term = 1, .terms = twos, .n = 1});
    assert_string_not_equal(rig.fatal, "");
    rig_close(&rig);
}

static void encoded_configurations_are_checked_to_the_byte(void **state)
{
    (void)state;
    struct raft_configuration configuration;
    struct raft_buffer buffer;
    rig_configuration("vsp", &configuration);
    assert_int_equal(raft_configuration_encode(&configuration, &buffer), 0);
    raft_configuration_close(&configuration);
    assert_true(guards_configuration_valid(buffer.base, buffer.len));
    for (size_t len = 0; len < buffer.len - 8; len++) { /* it is padded to a multiple of 8 */
        assert_false(guards_configuration_valid(buffer.base, len));
    }
    ((uint8_t *)buffer.base)[8] = 1; /* 2^56 servers */
    assert_false(guards_configuration_valid(buffer.base, buffer.len));
    raft_free(buffer.base);
    assert_false(guards_configuration_valid(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guard_01_stale_term_append_is_answered_with_the_term),
        cmocka_unit_test(guard_01_stale_term_install_is_dropped),
        cmocka_unit_test(guard_02_stale_prev_below_the_snapshot_is_taken_up),
        cmocka_unit_test(guard_02_stale_prev_with_nothing_new_is_a_success),
        cmocka_unit_test(guard_02_another_term_at_the_snapshot_ends_the_process),
        cmocka_unit_test(guard_03_split_files_a_change_under_its_own_index),
        cmocka_unit_test(guard_04_commit_first_remembers_the_change_before),
        cmocka_unit_test(guard_05_clamp_never_lowers_the_commit_index),
        cmocka_unit_test(guard_06_install_waits_for_the_snapshot_that_is_taken),
        cmocka_unit_test(guard_06_install_while_installing_is_dropped),
        cmocka_unit_test(guard_06_held_install_goes_with_its_stream),
        cmocka_unit_test(guard_07_late_votes_do_not_depose_a_leader),
        cmocka_unit_test(guard_08_storm_sends_the_snapshot_once),
        cmocka_unit_test(guard_09_snapshot_term_is_that_of_the_snapshot_given),
        cmocka_unit_test(guard_10_pre_vote_refusal_tells_our_term),
        cmocka_unit_test(guard_11_no_snapshot_while_a_change_is_uncommitted),
        cmocka_unit_test(guard_11_no_snapshot_of_what_is_not_on_the_disk),
        cmocka_unit_test(guard_12_followers_keep_the_entries_that_they_need),
        cmocka_unit_test(guard_12_no_snapshot_while_one_is_sent),
        cmocka_unit_test(guard_12_member_that_is_away_keeps_nobody_waiting),
        cmocka_unit_test(guard_13_append_at_another_index_ends_the_process),
        cmocka_unit_test(guard_14_sole_voter_of_the_newest_configuration),
        cmocka_unit_test(guard_15_load_drops_a_log_that_contradicts_the_snapshot),
        cmocka_unit_test(guard_16_promotion_lets_a_standby_vote),
        cmocka_unit_test(malformed_messages_are_dropped),
        cmocka_unit_test(leader_that_contradicts_a_committed_entry_ends_the_process),
        cmocka_unit_test(encoded_configurations_are_checked_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
