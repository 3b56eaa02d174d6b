/* What waits for a stream: order between classes, bounds, and a link that takes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "member.h"

static uint8_t chunk_bytes[LIMIT_SNAPSHOT_CHUNK_BYTES];

static bool send_chunk_of(struct member *member, uint64_t number, size_t len)
{
    struct frame frame = {
        .kind = FRAME_SNAPSHOT_CHUNK,
        .snapshot_chunk = {
            .last_index = 1, .last_term = 1, .number = number, .bytes = {.base = chunk_bytes, .len = len}}};
    return peer_send(member->peers[2], &frame);
}

static bool send_chunk(struct member *member, uint64_t number)
{
    return send_chunk_of(member, number, LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES);
}

static bool send_read_index(struct member *member, uint64_t number)
{
    struct frame frame = {.kind = FRAME_READ_INDEX, .read_index = {.number = number}};
    return peer_send(member->peers[2], &frame);
}

static bool send_append(struct member *member, uint64_t term)
{
    static uint8_t data[LIMIT_ENTRY_BYTES];
    struct frame_log_entry entries[LIMIT_APPEND_ENTRIES];
    for (size_t i = 0; i < LIMIT_APPEND_ENTRIES; i++) {
        entries[i] = (struct frame_log_entry){.term = 1, .type = 1, .data = {.base = data, .len = sizeof data}};
    }
    struct frame frame = {.kind = FRAME_APPEND_ENTRIES,
                          .append_entries = {.term = term, .entries = entries, .n_entries = LIMIT_APPEND_ENTRIES}};
    return peer_send(member->peers[2], &frame);
}

/* n1's stream to n2, whose kernel takes nothing. */
static void blocked_open(struct world *world, struct member members[2], const char *key)
{
    world_open(world);
    members_open(members, 2, world, key);
    world->window_bytes = 0;
    world_pause_port(world, 7002, true);
}

static void blocked_let_go(struct world *world)
{
    world->window_bytes = 100000;
    world_pause_port(world, 7002, false);
    world_run(world);
}

static void order_with(const char *key)
{
    struct world world;
    struct member members[2];
    blocked_open(&world, members, key);
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(send_chunk(&members[0], i));
    }
    world_run(&world); /* the first chunk begins to leave: it can't be overtaken any more */
    assert_true(send_read_index(&members[0], 10));
    assert_true(member_send_vote(&members[0], 2, 20));
    assert_true(send_read_index(&members[0], 11));
    assert_true(member_send_vote(&members[0], 2, 21));
    world_run(&world);
    blocked_let_go(&world);
    expect_events(&members[1], "n1 snapshot_chunk 0\n"
                               "n1 request_vote 20\n"
                               "n1 request_vote 21\n"
                               "n1 read_index 10\n"
                               "n1 read_index 11\n"
                               "n1 snapshot_chunk 1\n"
                               "n1 snapshot_chunk 2\n"
                               "n1 snapshot_chunk 3\n");
    assert_int_equal(peer_queued(members[0].peers[2]), 0);
    members_close(members, 2);
}

static void test_raft_goes_before_operations_before_chunks(void **state)
{
    (void)state;
    order_with(NULL);
    order_with(TEST_KEY);
}

static void test_network_gets_a_bounded_number_of_bytes_ahead(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    blocked_open(&world, members, NULL);
    for (uint64_t i = 0; i < 8; i++) {
        assert_true(send_chunk(&members[0], i));
    }
    world_run(&world);
    size_t queued = peer_queued(members[0].peers[2]);
    assert_in_range(queued, 8 * LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES, 8 * (LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES + 100));
    size_t handed = members[0].world->network.unsent(world_first_dialled(&world, 7002));
    assert_in_range(handed, 1, LIMIT_PEER_SEND_AHEAD_BYTES);
    blocked_let_go(&world);
    assert_int_equal(members[1].terms_seen, 8);
    members_close(members, 2);
}

static void test_a_full_class_refuses_and_leaves_the_others_alone(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    blocked_open(&world, members, NULL);
    uint64_t n_chunks = 0, n_reads = 0, n_appends = 0;
    while (send_chunk(&members[0], n_chunks)) {
        n_chunks++;
    }
    assert_in_range(n_chunks, 10, LIMIT_PEER_CHUNK_QUEUE_BYTES / LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES);
    while (send_read_index(&members[0], n_reads)) {
        n_reads++;
    }
    assert_in_range(n_reads, 10000, LIMIT_PEER_OPERATIONS_QUEUE_BYTES / 16);
    while (send_append(&members[0], n_appends)) {
        n_appends++;
    }
    assert_in_range(n_appends, 1, 2);
    assert_false(send_chunk(&members[0], 0));
    assert_in_range(peer_queued(members[0].peers[2]), 1,
                    LIMIT_PEER_RAFT_QUEUE_BYTES + LIMIT_PEER_OPERATIONS_QUEUE_BYTES + LIMIT_PEER_CHUNK_QUEUE_BYTES);
    blocked_let_go(&world); /* what was refused left no trace in between */
    assert_int_equal(members[1].terms_seen, n_chunks + n_reads + n_appends);
    assert_int_equal(peer_queued(members[0].peers[2]), 0);
    assert_true(send_chunk(&members[0], 0));
    members_close(members, 2);
}

/* A transfer has four chunks under way; the longest ones must not stop it. */
static void test_the_longest_chunks_of_a_transfer_fit_and_arrive(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    blocked_open(&world, members, TEST_KEY);
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(send_chunk_of(&members[0], i, LIMIT_SNAPSHOT_CHUNK_BYTES));
    }
    blocked_let_go(&world);
    expect_events(&members[1], "n1 snapshot_chunk 0\n"
                               "n1 snapshot_chunk 1\n"
                               "n1 snapshot_chunk 2\n"
                               "n1 snapshot_chunk 3\n");
    members_close(members, 2);
}

static void test_what_was_queued_dies_with_its_stream(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    blocked_open(&world, members, NULL);
    for (uint64_t i = 1; i < 3000; i++) {
        assert_true(member_send_vote(&members[0], 2, i));
        assert_true(send_read_index(&members[0], i));
    }
    world_run(&world);
    world_cut_port(&world, 7002, CONNECTION_RESET);
    world_pause_port(&world, 7002, false);
    world_run(&world);
    assert_int_equal(peer_queued(members[0].peers[2]), 0);
    buffer_clear(&members[1].events);
    world.window_bytes = 100000;
    world_advance(&world, 300);
    assert_true(member_send_vote(&members[0], 2, 5000));
    world_run(&world);
    expect_events(&members[1], "n1 inbound up, http h1:80\nn1 request_vote 5000\n");
    members_close(members, 2);
}

/* ---- stalls ---- */

static void test_a_link_that_takes_nothing_is_closed(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    blocked_open(&world, members, NULL);
    assert_true(member_send_vote(&members[0], 2, 1));
    world_advance(&world, 590);
    assert_true(peer_is_up(members[0].peers[2]));
    world_advance(&world, 600 / 4 + 20);
    expect_note(&members[0], "it took nothing for");
    buffer_append(&members[0].events, "", 1);
    assert_string_equal((const char *)members[0].events.base, "n2 outbound down\n");
    members_close(members, 2);
}

static void test_a_slow_link_is_not_closed(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    blocked_open(&world, members, NULL);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(member_send_vote(&members[0], 2, i));
    }
    for (int i = 0; i < 20; i++) {
        world.window_bytes += 1;
        world_advance(&world, 590);
        assert_true(peer_is_up(members[0].peers[2]));
    }
    blocked_let_go(&world);
    assert_int_equal(members[1].terms_seen, 100);
    members_close(members, 2);
}

static void test_a_link_with_nothing_to_send_is_not_closed(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    world_open(&world);
    members_open(members, 2, &world, NULL);
    assert_true(member_send_vote(&members[0], 2, 1));
    world_advance(&world, 100000);
    assert_true(peer_is_up(members[0].peers[2]));
    expect_events(&members[0], "");
    /* The time without anything to send doesn't count. */
    world.window_bytes = 0;
    assert_true(member_send_vote(&members[0], 2, 2));
    world_advance(&world, 590);
    assert_true(peer_is_up(members[0].peers[2]));
    members_close(members, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raft_goes_before_operations_before_chunks),
        cmocka_unit_test(test_network_gets_a_bounded_number_of_bytes_ahead),
        cmocka_unit_test(test_a_full_class_refuses_and_leaves_the_others_alone),
        cmocka_unit_test(test_the_longest_chunks_of_a_transfer_fit_and_arrive),
        cmocka_unit_test(test_what_was_queued_dies_with_its_stream),
        cmocka_unit_test(test_a_link_that_takes_nothing_is_closed),
        cmocka_unit_test(test_a_slow_link_is_not_closed),
        cmocka_unit_test(test_a_link_with_nothing_to_send_is_not_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
