/* Streams between honest members: who comes up, what arrives and in which order, how it ends and begins anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "member.h"

static void test_members_connect_both_ways(void **state)
{
    (void)state;
    struct world world;
    struct member members[3];
    world_open(&world);
    members_open(members, 3, &world, NULL);
    for (unsigned i = 1; i <= 3; i++) {
        for (unsigned other = 1; other <= 3; other++) {
            if (other != i) {
                assert_true(peer_is_up(members[i - 1].peers[other]));
                assert_true(peer_is_inbound_up(members[i - 1].peers[other]));
            }
        }
    }
    assert_int_equal(world.n_dials, 6);
    members_close(members, 3);
}

static void test_hello_tells_the_http_address(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    for (unsigned i = 1; i <= 2; i++) {
        const struct member_options options = {.world = &world, .number = i};
        member_open(&members[i - 1], &options);
        member_join(&members[i - 1]);
    }
    member_add(&members[1], 1);
    world_run(&world);
    expect_events(&members[1], "n1 outbound down\n"); /* it doesn't know n2 yet */
    expect_note(&members[0], "n2 is no member of this cluster");
    member_add(&members[0], 2);
    world_advance(&world, 200);
    expect_events(&members[0], "n2 outbound up, http h2:80\nn2 inbound up, http h2:80\n");
    expect_events(&members[1], "n1 inbound up, http h1:80\nn1 outbound up, http h1:80\n");
    members_close(members, 2);
}

static void test_frames_arrive_in_order_and_once(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    assert_true(member_send_vote(&members[0], 2, 1));
    assert_true(member_send_vote(&members[0], 2, 2));
    world_run(&world);
    assert_true(member_send_vote(&members[0], 2, 3));
    assert_true(member_send_vote(&members[1], 1, 4));
    world_run(&world);
    expect_events(&members[1], "n1 request_vote 1\nn1 request_vote 2\nn1 request_vote 3\n");
    expect_events(&members[0], "n2 request_vote 4\n");
    members_close(members, 2);
}

static void test_a_turn_is_one_write(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    size_t before = world.n_sends;
    for (uint64_t i = 0; i < 50; i++) {
        assert_true(member_send_vote(&members[0], 2, i));
    }
    assert_int_equal(world.n_sends, before);
    world_run(&world);
    assert_int_equal(world.n_sends, before + 1);
    assert_int_equal(members[1].terms_seen, 50);
    members_close(members, 2);
}

static void test_flush_does_not_wait_for_the_end_of_the_turn(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    size_t before = world.n_sends;
    assert_true(member_send_vote(&members[0], 2, 1));
    peer_set_flush(members[0].set);
    assert_int_equal(world.n_sends, before + 1);
    world_run(&world);
    assert_int_equal(world.n_sends, before + 1);
    expect_events(&members[1], "n1 request_vote 1\n");
    members_close(members, 2);
}

static void test_append_entries_leave_at_once_and_in_order(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    uint8_t data[8] = {0};
    struct frame_log_entry entry = {.term = 1, .type = 1, .data = {.base = data, .len = sizeof data}};
    struct frame append = {.kind = FRAME_APPEND_ENTRIES,
                           .append_entries = {.term = 2, .entries = &entry, .n_entries = 1}};
    world_open(&world);
    members_open(members, 2, &world, TEST_KEY);
    size_t before = world.n_sends;
    assert_true(member_send_vote(&members[0], 2, 1));
    assert_true(peer_send(members[0].peers[2], &append));
    assert_int_equal(world.n_sends, before + 1);
    append.append_entries.n_entries = 0; /* a heartbeat has time */
    assert_true(peer_send(members[0].peers[2], &append));
    assert_int_equal(world.n_sends, before + 1);
    world_run(&world);
    expect_events(&members[1], "n1 request_vote 1\nn1 append_entries 2\nn1 append_entries 2\n");
    members_close(members, 2);
}

/* Every split of the whole conversation, handshake included, with a key and without. */
static void split_everywhere(const char *key, size_t piece_bytes)
{
    struct world world;
    struct member members[2];
    uint8_t data[64] = {0};
    struct frame_log_entry entry = {.term = 1, .type = 1, .data = {.base = data, .len = sizeof data}};
    struct frame append = {.kind = FRAME_APPEND_ENTRIES,
                           .append_entries = {.term = 8, .entries = &entry, .n_entries = 1}};
    world_open(&world);
    world.piece_bytes = piece_bytes;
    members_open(members, 2, &world, key);
    assert_true(member_send_vote(&members[0], 2, 7));
    assert_true(peer_send(members[0].peers[2], &append));
    assert_true(member_send_vote(&members[0], 2, 9));
    world_run(&world);
    expect_events(&members[1], "n1 request_vote 7\nn1 append_entries 8\nn1 request_vote 9\n");
    members_close(members, 2);
}

static void test_frames_are_whole_however_they_are_split(void **state)
{
    (void)state;
    for (size_t piece_bytes = 1; piece_bytes < 400; piece_bytes++) {
        split_everywhere(NULL, piece_bytes);
        split_everywhere(TEST_KEY, piece_bytes);
    }
}

static void test_largest_append_entries_arrives(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    uint8_t *data = calloc(1, LIMIT_ENTRY_BYTES);
    struct frame_log_entry entries[LIMIT_APPEND_ENTRIES];
    for (size_t i = 0; i < LIMIT_APPEND_ENTRIES; i++) {
        entries[i] = (struct frame_log_entry){.term = 1, .type = 1, .data = {.base = data, .len = LIMIT_ENTRY_BYTES}};
    }
    struct frame append = {.kind = FRAME_APPEND_ENTRIES,
                           .append_entries = {.term = 5, .entries = entries, .n_entries = LIMIT_APPEND_ENTRIES}};
    world_open(&world);
    members_open(members, 2, &world, TEST_KEY);
    world.piece_bytes = 65536;
    assert_true(peer_send(members[0].peers[2], &append));
    assert_true(member_send_vote(&members[0], 2, 6));
    world_run(&world);
    expect_events(&members[1], "n1 append_entries 5\nn1 request_vote 6\n");
    assert_int_equal(peer_queued(members[0].peers[2]), 0);
    members_close(members, 2);
    free(data);
}

static void test_sending_to_a_peer_that_is_not_up_sends_nothing(void **state)
{
    (void)state;
    struct world world;
    struct member member;
    world_open(&world);
    member_open_half(&member, &(struct member_options){.world = &world, .number = 1});
    assert_false(member_send_vote(&member, 2, 1));
    world_run(&world);
    assert_false(member_send_vote(&member, 2, 1));
    expect_events(&member, "n2 outbound down: refused\n");
    members_close(&member, 1);
}

/* ---- the end of a stream ---- */

static void test_end_of_file_comes_after_everything_that_was_sent(void **state)
{
    (void)state;
    static const enum connection_end ends[] = {CONNECTION_END_OF_FILE, CONNECTION_RESET};
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        struct member members[2];
        world_open(&world);
        members_open(members, 2, &world, NULL);
        world.piece_bytes = 3;
        assert_true(member_send_vote(&members[0], 2, 1));
        assert_true(member_send_vote(&members[0], 2, 2));
        peer_set_flush(members[0].set);
        world_cut_port(&world, 7002, ends[i]);
        world_run(&world);
        expect_events(&members[1], "n1 request_vote 1\nn1 request_vote 2\nn1 inbound down: end of file\n");
        expect_events(&members[0], "n2 outbound down\n");
        members_close(members, 2);
    }
}

static void test_a_time_out_is_broken_and_no_end_of_file(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    world_cut_port(&world, 7002, CONNECTION_TIMED_OUT);
    world_run(&world);
    expect_events(&members[1], "n1 inbound down: broken\n");
    members_close(members, 2);
}

static void test_half_a_frame_at_the_end_is_not_delivered(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    world.window_bytes = 50; /* the second frame leaves in part */
    assert_true(member_send_vote(&members[0], 2, 1));
    assert_true(member_send_vote(&members[0], 2, 2));
    assert_true(member_send_vote(&members[0], 2, 3));
    peer_set_flush(members[0].set);
    member_close(&members[0]);
    world_run(&world);
    assert_true(members[1].terms_seen < 3);
    buffer_append(&members[1].events, "", 1);
    assert_non_null(strstr((const char *)members[1].events.base, "n1 inbound down: end of file\n"));
    member_close(&members[1]);
    world_close(&world);
}

static void test_killed_process_is_seen_on_both_streams_and_refuses_the_redial(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    member_close(&members[0]);
    world_run(&world);
    buffer_append(&members[1].events, "", 1);
    assert_non_null(strstr((const char *)members[1].events.base, "n1 inbound down: end of file\n"));
    assert_non_null(strstr((const char *)members[1].events.base, "n1 outbound down\n"));
    buffer_clear(&members[1].events);
    peer_redial(members[1].peers[1]);
    world_run(&world); /* no time has passed */
    expect_events(&members[1], "n1 outbound down: refused\n");
    member_close(&members[1]);
    world_close(&world);
}

static void test_redial_while_the_stream_still_seems_up_happens_when_it_ends(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    size_t dials = world.n_dials;
    peer_redial(members[1].peers[1]);
    world_run(&world);
    assert_int_equal(world.n_dials, dials);
    member_close(&members[0]);
    world_advance(&world, 0);
    assert_int_equal(world.n_dials, dials + 1);
    buffer_append(&members[1].events, "", 1);
    assert_non_null(strstr((const char *)members[1].events.base, "n1 outbound down: refused\n"));
    member_close(&members[1]);
    world_close(&world);
}

/* ---- back-off ---- */

static void test_back_off_grows_from_50_ms_to_2_s(void **state)
{
    (void)state;
    struct world world;
    struct member member;
    world_open(&world);
    member_open_half(&member, &(struct member_options){.world = &world, .number = 1});
    world_run(&world);
    uint64_t bound_ms = 100, longest_ms = 0;
    for (int i = 0; i < 40; i++) {
        uint64_t last_ms = world.last_dial_ms;
        size_t dials = world.n_dials;
        while (world.n_dials == dials) {
            world_advance(&world, 1);
        }
        uint64_t delay_ms = world.last_dial_ms - last_ms;
        assert_in_range(delay_ms, 50, bound_ms + 1);
        longest_ms = delay_ms > longest_ms ? delay_ms : longest_ms;
        bound_ms = bound_ms * 2 < 2000 ? bound_ms * 2 : 2000;
    }
    assert_in_range(longest_ms, 1000, 2001);
    expect_note(&member, "[n2] can't connect to n2 at localhost port 7002: nobody listens there\n");
    members_close(&member, 1);
}

static void test_back_off_begins_anew_after_a_good_connection_only(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    peer_remove(members[1].peers[1]); /* n1's dials are refused from now on */
    world_advance(&world, 20000);
    member_add(&members[1], 1);
    world_advance(&world, 3000);
    assert_true(peer_is_up(members[0].peers[2]));
    world_advance(&world, 1000);
    world_cut_port(&world, 7002, CONNECTION_RESET);
    size_t dials = world.n_dials;
    world_advance(&world, 102);
    assert_true(world.n_dials > dials);
    assert_true(peer_is_up(members[0].peers[2]));
    for (int i = 0; i < 8; i++) { /* it comes up, and falls at once */
        world_cut_port(&world, 7002, CONNECTION_RESET);
        world_run(&world);
        dials = world.n_dials;
        while (world.n_dials == dials) {
            world_advance(&world, 1);
        }
    }
    world_cut_port(&world, 7002, CONNECTION_RESET);
    world_run(&world);
    uint64_t worst_ms = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t last_ms = world.last_dial_ms;
        dials = world.n_dials;
        while (world.n_dials == dials) {
            world_advance(&world, 1);
        }
        uint64_t delay_ms = world.last_dial_ms - last_ms;
        worst_ms = delay_ms > worst_ms ? delay_ms : worst_ms;
        world_cut_port(&world, 7002, CONNECTION_RESET);
        world_run(&world);
    }
    assert_true(worst_ms > 500);
    members_close(members, 2);
}

static void test_dial_without_answer_is_not_a_refusal(void **state)
{
    (void)state;
    struct world world;
    struct member member;
    world_open(&world);
    world.silent = true;
    member_open_half(&member, &(struct member_options){.world = &world, .number = 1});
    world_advance(&world, 2001);
    expect_events(&member, "n2 outbound down\n");
    expect_note(&member, "no answer");
    members_close(&member, 1);
}

static void test_hearing_from_a_member_ends_the_back_off(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    member_open_half(&members[0], &(struct member_options){.world = &world, .number = 1});
    world_advance(&world, 30000); /* it waits about a second between two dials now */
    size_t dials = world.n_dials;
    uint64_t last_ms = world.last_dial_ms;
    while (world.n_dials == dials || world_now_ms(&world) < last_ms + 60) {
        last_ms = world.last_dial_ms;
        world_advance(&world, 1);
    }
    world_advance(&world, 60);
    buffer_clear(&members[0].events);
    member_open_half(&members[1], &(struct member_options){.world = &world, .number = 2});
    world_run(&world); /* no time passes */
    assert_true(peer_is_up(members[0].peers[2]));
    members_close(members, 2);
}

/* It came just after we had been refused: dialling at once again would be too soon, but the back-off is still over. */
static void test_hearing_from_a_member_just_after_a_refusal_ends_the_back_off(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    member_open_half(&members[0], &(struct member_options){.world = &world, .number = 1});
    world_advance(&world, 30000); /* it waits about a second between two dials now */
    size_t dials = world.n_dials;
    while (world.n_dials == dials) {
        world_advance(&world, 1);
    }
    buffer_clear(&members[0].events);
    member_open_half(&members[1], &(struct member_options){.world = &world, .number = 2});
    world_advance(&world, 50);
    assert_true(peer_is_up(members[0].peers[2]));
    members_close(members, 2);
}

/* A machine that lost its power says nothing on its old connections, also when it is back. */
static void test_a_new_process_ends_our_stream_to_the_old_one(void **state)
{
    (void)state;
    struct world world;
    struct member members[2], reborn;
    world_open(&world);
    members_open(members, 2, &world, NULL);
    world_pause_port(&world, 7001, true);
    member_close(&members[0]);
    member_open_half(&reborn, &(struct member_options){.world = &world, .number = 1, .run = 1});
    world_run(&world);
    world_advance(&world, 60);
    buffer_clear(&reborn.events);
    assert_true(member_send_vote(&members[1], 1, 5));
    world_run(&world);
    expect_events(&reborn, "n2 request_vote 5\n");
    member_close(&reborn);
    member_close(&members[1]);
    world_close(&world);
}

/* The same, when the old machine took our dial and lost its power before the handshake was over. */
static void test_a_new_process_ends_our_handshake_with_the_old_one(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    const struct member_options second = {.world = &world, .number = 2};
    member_open(&members[1], &second);
    member_join(&members[1]);
    world.silent = true; /* as a machine is that has just lost its power */
    member_add(&members[1], 1);
    world_advance(&world, 1000);
    assert_false(peer_is_up(members[1].peers[1]));
    world.silent = false;
    member_open_half(&members[0], &(struct member_options){.world = &world, .number = 1});
    world_advance(&world, 500);
    assert_true(peer_is_up(members[1].peers[1]));
    members_close(members, 2);
}

/* ---- the newest connection wins ---- */

static void test_new_process_replaces_the_old_ones_stream(void **state)
{
    (void)state;
    struct world world;
    struct member members[2], reborn;
    world_open(&world);
    members_open(members, 2, &world, NULL);
    /* What the old process sent last is still on its way when the new one connects. */
    assert_true(member_send_vote(&members[0], 2, 1));
    world_pause_port(&world, 7002, true);
    peer_set_flush(members[0].set);
    member_close(&members[0]);
    member_open_half(&reborn, &(struct member_options){.world = &world, .number = 1, .run = 1});
    world_run(&world);
    world_pause_port(&world, 7002, false);
    buffer_clear(&members[1].events);
    assert_true(member_send_vote(&reborn, 2, 2));
    world_run(&world);
    expect_events(&members[1], "n1 request_vote 2\n");
    member_close(&reborn);
    member_close(&members[1]);
    world_close(&world);
}

/* ---- handlers that pull the ground from under the caller ---- */

static void with_key_and_without(void (*check)(const char *key))
{
    check(NULL);
    check(TEST_KEY);
}

static void remove_in_frame(const char *key)
{
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, key);
    members[1].on_frame = DO_REMOVE_PEER;
    for (uint64_t i = 1; i <= 3; i++) {
        assert_true(member_send_vote(&members[0], 2, i));
    }
    world_run(&world);
    expect_events(&members[1], "n1 request_vote 1\n");
    members_close(members, 2);
}

static void close_in_frame(const char *key)
{
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, key);
    members[1].on_frame = DO_CLOSE_SET;
    world.piece_bytes = 7; /* the frame is in the stream's own memory */
    for (uint64_t i = 1; i <= 3; i++) {
        assert_true(member_send_vote(&members[0], 2, i));
    }
    world_run(&world);
    expect_events(&members[1], "n1 request_vote 1\n");
    members_close(members, 2);
}

static void act_in_up_and_down(int what, bool up)
{
    for (unsigned turn = 0; turn < 2; turn++) {
        struct world world;
        struct member members[3], reborn;
        world_open(&world);
        members_open(members, 2, &world, turn == 0 ? NULL : TEST_KEY);
        *(up ? &members[1].on_up : &members[1].on_down) = what;
        world_pause_port(&world, 7002, true);
        member_close(&members[0]);
        member_open_half(&reborn, &(struct member_options){
                                      .world = &world, .number = 1, .run = 1, .key = turn == 0 ? NULL : TEST_KEY});
        world_advance(&world, 300);
        member_close(&reborn);
        world_run(&world);
        member_close(&members[1]);
        world_close(&world);
    }
}

static void test_handlers_may_remove_the_peer_or_close_the_set(void **state)
{
    (void)state;
    with_key_and_without(remove_in_frame);
    with_key_and_without(close_in_frame);
    act_in_up_and_down(DO_REMOVE_PEER, true);
    act_in_up_and_down(DO_REMOVE_PEER, false);
    act_in_up_and_down(DO_CLOSE_SET, true);
    act_in_up_and_down(DO_CLOSE_SET, false);
}

static void test_a_note_may_close_the_set(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    struct raw raw;
    world_open(&world);
    members_open(members, 2, &world, NULL);
    members[0].on_note = DO_CLOSE_SET;
    raw_dial(&raw, &world, 7001);
    world_run(&world);
    raw_send(&raw, "GET / HTTP/1.1\r\n", 16);
    world_run(&world);
    assert_null(members[0].set);
    raw_close(&raw);
    members_close(members, 2);
}

/* ---- members that change ---- */

static void test_another_incarnation_ends_the_streams(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    uint8_t incarnation[16];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    incarnation_of(9, incarnation);
    peer_set_incarnation(members[0].peers[2], incarnation);
    assert_false(peer_is_up(members[0].peers[2]));
    assert_false(peer_is_inbound_up(members[0].peers[2]));
    world_run(&world);
    expect_note(&members[0], "another incarnation");
    incarnation_of(2, incarnation);
    peer_set_incarnation(members[0].peers[2], incarnation);
    world_advance(&world, 300);
    assert_true(peer_is_up(members[0].peers[2]));
    assert_true(peer_is_inbound_up(members[0].peers[2]));
    members_close(members, 2);
}

static void test_another_address_is_dialled_at_once(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    const struct member_options first = {.world = &world, .number = 1};
    const struct member_options second = {.world = &world, .number = 2};
    uint8_t incarnation[16];
    world_open(&world);
    member_open(&members[0], &first);
    member_open(&members[1], &second);
    member_join(&members[0]);
    member_join(&members[1]);
    member_add(&members[1], 1);
    incarnation_of(2, incarnation);
    members[0].peers[2] = peer_add(members[0].set, "n2", "wrong", 1, incarnation, NULL);
    world_run(&world);
    assert_false(peer_is_up(members[0].peers[2]));
    peer_set_address(members[0].peers[2], "right", 7002);
    world_run(&world);
    assert_true(peer_is_up(members[0].peers[2]));
    peer_set_address(members[0].peers[2], "elsewhere", 1); /* a stream that is up stays */
    world_run(&world);
    assert_true(peer_is_up(members[0].peers[2]));
    members_close(members, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_connect_both_ways),
        cmocka_unit_test(test_hello_tells_the_http_address),
        cmocka_unit_test(test_frames_arrive_in_order_and_once),
        cmocka_unit_test(test_a_turn_is_one_write),
        cmocka_unit_test(test_flush_does_not_wait_for_the_end_of_the_turn),
        cmocka_unit_test(test_append_entries_leave_at_once_and_in_order),
        cmocka_unit_test(test_frames_are_whole_however_they_are_split),
        cmocka_unit_test(test_largest_append_entries_arrives),
        cmocka_unit_test(test_sending_to_a_peer_that_is_not_up_sends_nothing),
        cmocka_unit_test(test_end_of_file_comes_after_everything_that_was_sent),
        cmocka_unit_test(test_a_time_out_is_broken_and_no_end_of_file),
        cmocka_unit_test(test_half_a_frame_at_the_end_is_not_delivered),
        cmocka_unit_test(test_killed_process_is_seen_on_both_streams_and_refuses_the_redial),
        cmocka_unit_test(test_redial_while_the_stream_still_seems_up_happens_when_it_ends),
        cmocka_unit_test(test_back_off_grows_from_50_ms_to_2_s),
        cmocka_unit_test(test_back_off_begins_anew_after_a_good_connection_only),
        cmocka_unit_test(test_dial_without_answer_is_not_a_refusal),
        cmocka_unit_test(test_hearing_from_a_member_ends_the_back_off),
        cmocka_unit_test(test_hearing_from_a_member_just_after_a_refusal_ends_the_back_off),
        cmocka_unit_test(test_a_new_process_ends_our_stream_to_the_old_one),
        cmocka_unit_test(test_a_new_process_ends_our_handshake_with_the_old_one),
        cmocka_unit_test(test_new_process_replaces_the_old_ones_stream),
        cmocka_unit_test(test_handlers_may_remove_the_peer_or_close_the_set),
        cmocka_unit_test(test_a_note_may_close_the_set),
        cmocka_unit_test(test_another_incarnation_ends_the_streams),
        cmocka_unit_test(test_another_address_is_dialled_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
