/* The guards on receiving that are about installs and votes, 6, 7 and 16, and the one on sending refused votes, 10. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "guards_rig.h"

static void open_follower(struct rig *rig, unsigned off)
{
    rig_open(rig, 1, off);
    rig_found(rig, "vvv");
    for (uint64_t i = 2; i <= 5; i++) {
        rig_disk_entry(rig, (struct rig_item){.term = 2, .value = i});
    }
    rig_start(rig);
    rig_receive_append(rig, (struct rig_append_entries){.from = 2, .term = 2, .prev = 5, .prev_term = 2, .commit = 5});
    rig_drop(rig, 0);
}

static const struct rig_install at_50 = {.from = 2, .term = 2, .index = 50, .index_term = 2, .members = "vvv"};
static const struct rig_install at_60 = {.from = 2, .term = 2, .index = 60, .index_term = 2, .members = "vvv"};

/* ---- 6 ---- */

static void guard_06_second_install_is_dropped(void **state)
{
    (void)state;
    struct rig rig;
    open_follower(&rig, 0);
    rig_receive_install(&rig, at_50);
    assert_true(rig.raft.snapshot.installing);
    long before = rig_blocks();
    rig_receive_install(&rig, at_60);
    assert_int_equal(rig_blocks(), before);
    assert_int_equal(rig.puts_total, 1);
    rig_put_done(&rig);
    assert_int_equal(rig.state.index, 50);
    rig_close(&rig);
}

static void install_twice_unguarded(void)
{
    struct rig rig;
    open_follower(&rig, RIG_OFF(6));
    rig_receive_install(&rig, at_50);
    long before = rig_blocks();
    rig_receive_install(&rig, at_60);
    if (rig_blocks() > before) {
        (void)raise(SIGUSR1); /* libraft has forgotten the second one's memory */
    }
}

static void guard_06_without_it_a_second_install_leaks(void **state)
{
    (void)state;
    assert_int_equal(rig_death_of(install_twice_unguarded), SIGUSR1);
}

static void take_snapshot(struct rig *rig)
{
    raft_set_snapshot_threshold(&rig->raft, 1);
    rig_tick(rig, 10);
    assert_true(rig->raft.legacy.snapshot_taking);
}

static void install_while_taking(struct rig *rig, unsigned off)
{
    open_follower(rig, off);
    take_snapshot(rig);
    rig_receive_install(rig, at_50);
    rig_put_done(rig);
}

static void guard_06_install_waits_for_the_own_snapshot(void **state)
{
    (void)state;
    struct rig rig;
    install_while_taking(&rig, 0);
    assert_int_equal(rig.disk.snapshot.index, 5);
    assert_int_equal(rig.put.index, 50);
    rig_put_done(&rig);
    assert_int_equal(rig.state.index, 50);
    assert_int_equal(raft_last_index(&rig.raft), 50);
    rig_close(&rig);
}

static void install_while_taking_unguarded(void)
{
    struct rig rig;
    install_while_taking(&rig, RIG_OFF(6));
}

static void guard_06_without_it_an_install_while_taking_ends_in_sigsegv(void **state)
{
    (void)state;
    assert_int_equal(rig_death_of(install_while_taking_unguarded), SIGSEGV);
}

static void guard_06_newest_of_the_held_is_delivered(void **state)
{
    (void)state;
    struct rig rig;
    open_follower(&rig, 0);
    take_snapshot(&rig);
    long before = rig_blocks();
    rig_receive_install(&rig, at_50);
    rig_receive_install(&rig, at_60);
    rig_receive_install(&rig, at_60);
    assert_true(rig_blocks() > before);
    rig_put_done(&rig);
    assert_int_equal(rig.put.index, 60);
    rig_close(&rig);
}

static void guard_06_held_install_ends_with_its_stream(void **state)
{
    (void)state;
    struct rig rig;
    open_follower(&rig, 0);
    take_snapshot(&rig);
    long before = rig_blocks();
    rig_receive_install(&rig, at_50);
    assert_false(guards_stream_ended(&rig.guards, 3));
    assert_true(guards_stream_ended(&rig.guards, 2));
    assert_int_equal(rig_blocks(), before);
    rig_put_done(&rig);
    assert_false(rig.raft.snapshot.installing);
    rig_close(&rig);
}

/* ---- 7 ---- */

/* The term of a follower in term 2 after a late answer to a pre-vote of a past candidacy. The word that libraft takes for
 * "is in a pre-vote" is then the second byte of the address of the leader's address, which `byte` chooses. */
static raft_term term_after_late_pre_vote(unsigned off, size_t byte)
{
    struct rig rig;
    open_follower(&rig, off);
    char *pages = mmap(NULL, 1u << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    char *place = (char *)((((uintptr_t)pages + 0xffff) & ~(uintptr_t)0xffff) + (byte << 8));
    char *kept = rig.raft.follower_state.current_leader.address;
    memcpy(place, kept, strlen(kept) + 1);
    rig.raft.follower_state.current_leader.address = place;
    const struct raft_message late = {
        .type = RAFT_REQUEST_VOTE_RESULT,
        .request_vote_result = {.version = 2, .term = 7, .vote_granted = true, .pre_vote = true}};
    rig_receive(&rig, 3, late);
    raft_term term = rig.raft.current_term;
    rig.raft.follower_state.current_leader.address = kept;
    rig_close(&rig);
    (void)munmap(pages, 1u << 18);
    return term;
}

static void guard_07_late_votes_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(term_after_late_pre_vote(0, 0), 2);
    assert_int_equal(term_after_late_pre_vote(0, 1), 2);
    /* Where malloc put a text decides whether a living leader is deposed. */
    assert_int_equal(term_after_late_pre_vote(RIG_OFF(7), 0), 7);
    assert_int_equal(term_after_late_pre_vote(RIG_OFF(7), 1), 2);
}

static void guard_07_votes_reach_a_candidate(void **state)
{
    (void)state;
    struct rig rig;
    open_follower(&rig, 0);
    rig_elect(&rig);
    assert_int_equal(rig.raft.state, RAFT_LEADER);
    rig_close(&rig);
}

/* ---- 10 ---- */

/* Lets two members talk for `ms`, until one of them leads. */
static struct rig *find_leader(struct rig *a, struct rig *b, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10) {
        rig_tick(a, 10);
        rig_tick(b, 10);
        rig_pass(a, b);
        rig_pass(b, a);
        rig_persist(a);
        rig_persist(b);
        for (raft_id gone = 1; gone <= 3; gone++) {
            if (gone != a->id && gone != b->id) {
                rig_drop(a, gone);
                rig_drop(b, gone);
            }
        }
        if (a->raft.state == RAFT_LEADER || b->raft.state == RAFT_LEADER) {
            return a->raft.state == RAFT_LEADER ? a : b;
        }
    }
    return NULL;
}

/* 1 has seen a later term, 2 has the longer log, 3 is gone. */
static raft_id leader_of_a_split(unsigned off)
{
    struct rig ahead;
    struct rig longer;
    rig_open(&ahead, 1, off);
    rig_found(&ahead, "vvv");
    ahead.disk.term = 5;
    rig_start(&ahead);
    rig_open(&longer, 2, off);
    rig_found(&longer, "vvv");
    rig_disk_entry(&longer, (struct rig_item){.term = 2, .value = 2});
    longer.disk.term = 3;
    rig_start(&longer);
    const struct rig *leader = find_leader(&ahead, &longer, 20000);
    raft_id id = leader == NULL ? 0 : leader->id;
    rig_close(&ahead);
    rig_close(&longer);
    return id;
}

static void guard_10_refused_pre_vote_tells_our_term(void **state)
{
    (void)state;
    assert_int_equal(leader_of_a_split(0), 2);
    assert_int_equal(leader_of_a_split(RIG_OFF(10)), 0); /* both refuse each other for ever */
}

/* ---- 16 ---- */

/* Leader 1 and voter 2 promote standby 3 with raft_assign; the entry reaches 2, and commits, but not 3. Then 1 is gone. */
static void promote_and_crash(struct rig *voter, struct rig *standby, unsigned off)
{
    struct rig leader;
    rig_open(&leader, 1, 0);
    rig_found(&leader, "vv");
    rig_open(voter, 2, 0);
    rig_found(voter, "vv");
    rig_open(standby, 3, off);
    rig_start(&leader);
    rig_start(voter);
    rig_start(standby);
    rig_elect(&leader);
    rig_converse(&leader, voter);
    rig_add(&leader, 3);
    rig_converse(&leader, voter);
    rig_assign(&leader, 3, RAFT_STANDBY);
    for (unsigned i = 0; i < 4; i++) {
        rig_converse(&leader, voter);
        rig_converse(&leader, standby);
        rig_tick(&leader, 60);
    }
    assert_int_equal(raft_last_index(&standby->raft), 3);
    rig_assign(&leader, 3, RAFT_VOTER);
    rig_drop(&leader, 3);
    rig_tick(&leader, 60); /* after a pause libraft waits for the next heartbeat */
    rig_converse(&leader, voter);
    assert_int_equal(leader.raft.commit_index, 4);
    rig_close(&leader);
}

static raft_id leader_after_promotion(unsigned off)
{
    struct rig voter;
    struct rig standby;
    promote_and_crash(&voter, &standby, off);
    const struct rig *leader = find_leader(&voter, &standby, 20000);
    raft_id id = leader == NULL ? 0 : leader->id;
    if (leader != NULL) {
        rig_converse(&voter, &standby);
        assert_string_equal(rig_members(&standby.raft.configuration), "vvv");
    } else {
        assert_string_equal(rig_members(&standby.raft.configuration), "vvs"); /* the own role is put back each time */
    }
    rig_close(&voter);
    rig_close(&standby);
    return id;
}

static void guard_16_promotion_standby_votes_like_the_voter_it_is(void **state)
{
    (void)state;
    assert_int_equal(leader_after_promotion(0), 2);
    assert_int_equal(leader_after_promotion(RIG_OFF(16)), 0);
}

static struct raft_message pre_vote_of(raft_id candidate, const struct rig *rig)
{
    return (struct raft_message){.type = RAFT_REQUEST_VOTE,
                                 .request_vote = {.version = 2,
                                                  .term = rig->raft.current_term + 1,
                                                  .candidate_id = candidate,
                                                  .last_log_index = 50,
                                                  .last_log_term = rig->raft.current_term,
                                                  .pre_vote = true}};
}

static bool is_granted(struct rig *rig, raft_id candidate)
{
    rig_drop(rig, 0);
    rig_receive(rig, candidate, pre_vote_of(candidate, rig));
    return rig_newest(rig, RAFT_REQUEST_VOTE_RESULT)->request_vote_result.vote_granted;
}

static void guard_16_standby_keeps_a_leader_that_it_hears(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, 3, 0);
    rig_found(&rig, "vvs");
    rig_start(&rig);
    const struct rig_append_entries heartbeat = {.from = 1, .term = 1, .prev = 1, .prev_term = 1, .commit = 1};
    rig_receive_append(&rig, heartbeat);
    rig_tick(&rig, RIG_ELECTION_MS - 10);
    assert_false(is_granted(&rig, 2));
    assert_int_equal(rig.raft.follower_state.current_leader.id, 1);
    assert_true(is_granted(&rig, 1)); /* who asks doesn't lead */
    rig_receive_append(&rig, heartbeat);
    rig_tick(&rig, RIG_ELECTION_MS);
    assert_true(is_granted(&rig, 2));
    assert_int_equal(guards_server(&rig.raft, 3)->role, RAFT_STANDBY);
    assert_int_equal(rig.raft.state, RAFT_FOLLOWER);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guard_06_second_install_is_dropped),
        cmocka_unit_test(guard_06_without_it_a_second_install_leaks),
        cmocka_unit_test(guard_06_install_waits_for_the_own_snapshot),
        cmocka_unit_test(guard_06_without_it_an_install_while_taking_ends_in_sigsegv),
        cmocka_unit_test(guard_06_newest_of_the_held_is_delivered),
        cmocka_unit_test(guard_06_held_install_ends_with_its_stream),
        cmocka_unit_test(guard_07_late_votes_change_nothing),
        cmocka_unit_test(guard_07_votes_reach_a_candidate),
        cmocka_unit_test(guard_10_refused_pre_vote_tells_our_term),
        cmocka_unit_test(guard_16_promotion_standby_votes_like_the_voter_it_is),
        cmocka_unit_test(guard_16_standby_keeps_a_leader_that_it_hears),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
