/* Strangers on the port. Whatever they send, the connection is closed with a note, no handler hears of it, and the members'
 * own streams go on. "n1" is attacked; n2 and n3 are its members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "member.h"
#include "peer/peer_framing.h"

struct attack {
    struct world world;
    struct member member;
    struct raw raw;
};

static void attack_open_with(struct attack *attack, const char *key, bool joined)
{
    const struct member_options options = {.world = &attack->world, .number = 1, .key = key};
    world_open(&attack->world);
    member_open(&attack->member, &options);
    if (joined) {
        member_join(&attack->member);
    }
    member_add(&attack->member, 2);
    member_add(&attack->member, 3);
    world_run(&attack->world);
    buffer_clear(&attack->member.events);
    buffer_clear(&attack->member.notes);
    attack->member.n_notes = 0;
    raw_dial(&attack->raw, &attack->world, 7001);
    world_run(&attack->world);
}

static void attack_open(struct attack *attack)
{
    attack_open_with(attack, NULL, true);
}

static void attack_close(struct attack *attack)
{
    raw_close(&attack->raw);
    members_close(&attack->member, 1);
}

static void attack_send(struct attack *attack, const void *bytes, size_t len)
{
    raw_send(&attack->raw, bytes, len);
    world_run(&attack->world);
}

static void attack_send_frame(struct attack *attack, const struct frame *frame)
{
    raw_send_frame(&attack->raw, frame);
    world_run(&attack->world);
}

static void expect_refused(struct attack *attack, const char *note)
{
    assert_true(attack->raw.closed);
    expect_events(&attack->member, "");
    expect_note(&attack->member, note);
}

/* ---- before a hello ---- */

static void test_garbage_is_refused_by_its_first_bytes(void **state)
{
    (void)state;
    static const char garbage[][9] = {"GET / HT", "SSH-2.0-", "\x16\x03\x01\x02\x00\x01\x00\x01",
                                      "\xff\xff\xff\xff\xff\xff\xff\xff", "\x00\x00\x00\x00\x00\x00\x00\x00"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        struct attack attack;
        attack_open(&attack);
        attack_send(&attack, garbage[i], 8);
        expect_refused(&attack,
                       "[10.0.0.9:999] refused a connection from 10.0.0.9:999: these bytes are no frame of ours");
        attack_close(&attack);
    }
}

static void send_header(struct attack *attack, uint32_t body_bytes, uint32_t kind)
{
    uint8_t header[FRAMING_HEADER_BYTES];
    framing_put_header(header, body_bytes, (uint8_t)kind);
    attack_send(attack, header, sizeof header);
}

static void test_length_over_its_kinds_limit_is_refused_from_the_header_alone(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= FRAME_KINDS + 1; kind++) {
        struct attack attack;
        attack_open(&attack);
        send_header(&attack, (uint32_t)frame_limit(kind) + 1, kind);
        expect_refused(&attack, "these bytes are no frame of ours");
        attack_close(&attack);
    }
}

static void test_only_a_hello_may_come_first(void **state)
{
    (void)state;
    for (unsigned kind = FRAME_HELLO + 1; kind < FRAME_KINDS; kind++) {
        struct attack attack;
        attack_open(&attack);
        send_header(&attack, (uint32_t)frame_limit(kind), kind); /* before any byte of the body is kept */
        expect_refused(&attack, "has no place here");
        attack_close(&attack);
    }
}

static void test_header_with_any_bit_altered_is_refused_at_once(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 8 * FRAMING_HEADER_BYTES; bit++) {
        struct attack attack;
        uint8_t header[FRAMING_HEADER_BYTES];
        attack_open(&attack);
        framing_put_header(header, 100, FRAME_HELLO);
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        attack_send(&attack, header, sizeof header);
        expect_refused(&attack, "these bytes are no frame of ours");
        attack_close(&attack);
    }
}

static void hello_bytes(struct buffer *bytes)
{
    struct framing_seal seal = {0};
    struct frame hello = hello_frame(2, 1);
    buffer_init(bytes);
    framing_append(&hello, false, bytes);
    framing_seal_next(bytes->base, &seal);
}

static void test_every_flipped_bit_of_a_hello_is_noticed(void **state)
{
    (void)state;
    struct buffer bytes;
    hello_bytes(&bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        struct attack attack;
        attack_open(&attack);
        bytes.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
        attack_send(&attack, bytes.base, bytes.len);
        bytes.base[bit / 8] ^= (uint8_t)(1u << bit % 8);
        world_advance(&attack.world, LIMIT_PEER_HANDSHAKE_MS + 1); /* a longer length: it waits for the rest */
        assert_true(attack.raw.closed);
        assert_false(peer_is_inbound_up(attack.member.peers[2]));
        attack_close(&attack);
    }
    buffer_close(&bytes);
}

static void test_hello_that_breaks_off_anywhere_leaves_nothing(void **state)
{
    (void)state;
    struct buffer bytes;
    hello_bytes(&bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct attack attack;
        attack_open(&attack);
        attack_send(&attack, bytes.base, len);
        raw_close(&attack.raw);
        world_run(&attack.world);
        expect_events(&attack.member, "");
        attack_close(&attack);
    }
    buffer_close(&bytes);
}

static void test_checksummed_body_that_is_no_hello_is_refused(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 300; i++) {
        struct attack attack;
        struct buffer bytes;
        struct framing_seal seal = {0};
        uint8_t body[200];
        attack_open(&attack);
        for (size_t j = 0; j < sizeof body; j++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            body[j] = (uint8_t)(seed >> 56);
        }
        buffer_init(&bytes);
        framing_append_body(FRAME_HELLO, (struct slice){.base = body, .len = (size_t)i % sizeof body}, false, &bytes);
        framing_seal_next(bytes.base, &seal);
        attack_send(&attack, bytes.base, bytes.len);
        expect_refused(&attack, "a hello that isn't well formed");
        buffer_close(&bytes);
        attack_close(&attack);
    }
}

/* ---- hellos that don't fit ---- */

struct hello_case {
    const char *note;
    void (*spoil)(struct frame_hello *hello);
};

static void spoil_cluster_id(struct frame_hello *hello)
{
    hello->cluster_id[3] ^= 1;
}
static void spoil_incarnation(struct frame_hello *hello)
{
    hello->incarnation[15] ^= 0x80;
}
static void spoil_name(struct frame_hello *hello)
{
    hello->name = slice_of("n7");
}
static void spoil_name_to_another_member(struct frame_hello *hello)
{
    hello->name = slice_of("n3"); /* whose incarnation is another */
}
static void spoil_name_to_ours(struct frame_hello *hello)
{
    hello->name = slice_of("n1");
}
static void spoil_to(struct frame_hello *hello)
{
    hello->to = slice_of("n3");
}
static void spoil_to_by_leaving_it_out(struct frame_hello *hello)
{
    hello->to = (struct slice){0};
}
static void spoil_protocol(struct frame_hello *hello)
{
    hello->protocol_oldest = PROTOCOL_VERSION_NEWEST + 1;
    hello->protocol_newest = PROTOCOL_VERSION_NEWEST + 5;
}
static void spoil_state(struct frame_hello *hello)
{
    hello->state_oldest = hello->state_newest + 1;
    hello->state_newest += 5;
}
static void spoil_key(struct frame_hello *hello)
{
    hello->keyed = true;
}
static void spoil_run_id(struct frame_hello *hello)
{
    memset(hello->run_id, 0x10, sizeof hello->run_id); /* n1's */
}

static void test_hello_that_does_not_fit_is_refused_and_the_note_says_why(void **state)
{
    (void)state;
    static const struct hello_case cases[] = {
        {"it belongs to another cluster", spoil_cluster_id},
        {"another incarnation", spoil_incarnation},
        {"n7 is no member of this cluster", spoil_name},
        {"another incarnation", spoil_name_to_another_member},
        {"it calls itself n1, as this node does", spoil_name_to_ours},
        {"n2 looks for n3 here, but this is n1", spoil_to},
        {"n2 looks for", spoil_to_by_leaving_it_out},
        {"it speaks protocol 3 to 7, and this node speaks protocol 1 to 2: install the newer batond on this node",
         spoil_protocol},
        {"it reads state format 3 to 7, and this node reads state format 1 to 2: install the newer batond on this node",
         spoil_state},
        {"it has a cluster key and this node has none", spoil_key},
        {"as this node does", spoil_run_id},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct attack attack;
        struct frame hello = hello_frame(2, 1);
        attack_open(&attack);
        cases[i].spoil(&hello.hello);
        attack_send_frame(&attack, &hello);
        expect_refused(&attack, cases[i].note);
        attack_close(&attack);
    }
}

static void test_nobody_is_let_in_before_the_cluster_is_known(void **state)
{
    (void)state;
    struct attack attack;
    struct frame hello = hello_frame(2, 1);
    attack_open_with(&attack, NULL, false);
    attack_send_frame(&attack, &hello);
    expect_refused(&attack, ""); /* at a first start that is no news */
    attack_close(&attack);
}

static void test_newer_versions_of_an_honest_member_are_let_in(void **state)
{
    (void)state;
    struct attack attack;
    struct frame hello = hello_frame(2, 1);
    attack_open(&attack);
    hello.hello.protocol_newest = 99;
    hello.hello.rules_newest = 99;
    hello.hello.state_newest = 99;
    attack_send_frame(&attack, &hello);
    expect_events(&attack.member, "n2 inbound up, http \n");
    attack_close(&attack);
}

/* ---- after a hello that fits ---- */

static void attack_say_hello(struct attack *attack, uint64_t connection_number)
{
    struct frame hello = hello_frame(2, connection_number);
    attack_send_frame(attack, &hello);
    assert_false(attack->raw.closed);
    buffer_clear(&attack->member.events);
}

static void test_only_frames_of_the_stream_may_come_after_the_hello(void **state)
{
    (void)state;
    for (unsigned kind = FRAME_HELLO; kind < FRAME_REQUEST_VOTE; kind++) {
        struct attack attack;
        attack_open(&attack);
        attack_say_hello(&attack, 1);
        send_header(&attack, 1, kind);
        assert_true(attack.raw.closed);
        expect_events(&attack.member, "n2 inbound down: broken\n");
        expect_note(&attack.member, "closed the connection of n2 from 10.0.0.9:999: a ");
        attack_close(&attack);
    }
}

static void test_frames_before_a_bad_one_count_and_nothing_after_it(void **state)
{
    (void)state;
    struct attack attack;
    struct frame vote = vote_frame(1);
    attack_open(&attack);
    attack_say_hello(&attack, 1);
    raw_send_frame(&attack.raw, &vote);
    uint8_t header[FRAMING_HEADER_BYTES];
    framing_put_header(header, 1, FRAME_REQUEST_VOTE);
    raw_send(&attack.raw, header, sizeof header);
    raw_send(&attack.raw, "garbageGARBAGE", 14);
    raw_send_frame(&attack.raw, &vote);
    world_run(&attack.world);
    assert_true(attack.raw.closed);
    expect_events(&attack.member, "n2 request_vote 1\nn2 inbound down: broken\n");
    expect_note(&attack.member, "a frame with a wrong checksum");
    attack_close(&attack);
}

static void test_checksummed_garbage_of_every_kind_is_refused(void **state)
{
    (void)state;
    uint8_t body[300];
    memset(body, 0xff, sizeof body);
    for (unsigned kind = FRAME_REQUEST_VOTE; kind < FRAME_KINDS; kind++) {
        struct attack attack;
        struct buffer bytes;
        struct framing_seal seal = {0};
        attack_open(&attack);
        attack_say_hello(&attack, 1);
        buffer_init(&bytes);
        framing_append_body((enum frame_kind)kind, (struct slice){.base = body, .len = sizeof body}, false, &bytes);
        framing_seal_next(bytes.base, &seal);
        attack_send(&attack, bytes.base, bytes.len);
        assert_true(attack.raw.closed);
        expect_events(&attack.member, "n2 inbound down: broken\n");
        expect_note(&attack.member, "isn't well formed");
        buffer_close(&bytes);
        attack_close(&attack);
    }
}

static void test_announced_length_costs_no_memory_until_it_comes(void **state)
{
    (void)state;
    struct attack attack;
    attack_open(&attack);
    attack_say_hello(&attack, 1);
    send_header(&attack, LIMIT_FRAME_RAFT_BYTES, FRAME_APPEND_ENTRIES);
    assert_false(attack.raw.closed); /* it may come */
    raw_close(&attack.raw);
    world_run(&attack.world);
    expect_events(&attack.member, "n2 inbound down: end of file\n");
    attack_close(&attack);
}

/* ---- older connections ---- */

static void test_nothing_of_an_older_connection_is_delivered_after_a_newer(void **state)
{
    (void)state;
    struct attack attack;
    struct raw newer;
    struct frame hello = hello_frame(2, 6);
    struct frame vote = vote_frame(1);
    attack_open(&attack);
    attack_say_hello(&attack, 5);
    raw_dial(&newer, &attack.world, 7001);
    world_run(&attack.world);
    raw_send_frame(&newer, &hello);
    world_run(&attack.world);
    expect_events(&attack.member, "n2 inbound down: replaced\nn2 inbound up, http \n");
    attack_send_frame(&attack, &vote);
    assert_true(attack.raw.closed);
    expect_events(&attack.member, "");
    vote.request_vote.term = 2;
    raw_send_frame(&newer, &vote);
    world_run(&attack.world);
    expect_events(&attack.member, "n2 request_vote 2\n");
    raw_close(&newer);
    attack_close(&attack);
}

static void older_is_refused(uint64_t number)
{
    struct attack attack;
    struct raw older;
    struct frame hello = hello_frame(2, number);
    attack_open(&attack);
    attack_say_hello(&attack, 5);
    raw_dial(&older, &attack.world, 7001);
    world_run(&attack.world);
    raw_send_frame(&older, &hello);
    world_run(&attack.world);
    assert_true(older.closed);
    assert_false(attack.raw.closed);
    expect_events(&attack.member, "");
    expect_note(&attack.member, "a newer connection of it was accepted before");
    raw_close(&older);
    raw_close(&attack.raw); /* also when the newer one is gone */
    world_run(&attack.world);
    buffer_clear(&attack.member.events);
    raw_dial(&older, &attack.world, 7001);
    world_run(&attack.world);
    raw_send_frame(&older, &hello);
    world_run(&attack.world);
    assert_true(older.closed);
    expect_events(&attack.member, "");
    raw_close(&older);
    attack_close(&attack);
}

static void test_an_older_or_equal_connection_number_of_one_run_is_refused(void **state)
{
    (void)state;
    older_is_refused(4);
    older_is_refused(5);
    older_is_refused(0);
}

static void test_a_new_run_is_newer_whatever_its_number(void **state)
{
    (void)state;
    struct attack attack;
    struct raw reborn;
    struct frame hello = hello_frame(2, 1);
    attack_open(&attack);
    attack_say_hello(&attack, 5);
    hello.hello.run_id[0] ^= 1;
    raw_dial(&reborn, &attack.world, 7001);
    world_run(&attack.world);
    raw_send_frame(&reborn, &hello);
    world_run(&attack.world);
    assert_true(attack.raw.closed);
    assert_false(reborn.closed);
    expect_events(&attack.member, "n2 inbound down: replaced\nn2 inbound up, http \n");
    raw_close(&reborn);
    attack_close(&attack);
}

/* ---- silence and crowds ---- */

static void test_silent_connection_is_closed_after_the_handshakes_time(void **state)
{
    (void)state;
    struct attack attack;
    attack_open(&attack);
    world_advance(&attack.world, LIMIT_PEER_HANDSHAKE_MS - 1);
    assert_false(attack.raw.closed);
    buffer_clear(&attack.member.events); /* dials that were refused meanwhile */
    world_advance(&attack.world, 2);
    assert_true(attack.raw.closed);
    expect_note(&attack.member, "the handshake took more than 5000 ms");
    attack_close(&attack);
}

static void test_stream_that_is_up_may_be_silent(void **state)
{
    (void)state;
    struct attack attack;
    attack_open(&attack);
    attack_say_hello(&attack, 1);
    world_advance(&attack.world, 10 * LIMIT_PEER_HANDSHAKE_MS);
    assert_false(attack.raw.closed);
    attack_close(&attack);
}

static void test_half_open_connections_are_bounded_and_members_still_get_in(void **state)
{
    (void)state;
    enum { CROWD = 3 * LIMIT_PEER_HALF_OPEN };
    static struct raw crowd[CROWD];
    struct attack attack;
    attack_open(&attack);
    for (size_t i = 0; i < CROWD; i++) {
        raw_dial(&crowd[i], &attack.world, 7001);
        world_run(&attack.world);
    }
    size_t n_open = 0;
    for (size_t i = 0; i < CROWD; i++) {
        n_open += !crowd[i].closed;
    }
    assert_int_equal(n_open, LIMIT_PEER_HALF_OPEN);
    assert_true(attack.raw.closed); /* the oldest */
    struct frame hello = hello_frame(2, 1);
    struct raw member;
    raw_dial(&member, &attack.world, 7001);
    world_run(&attack.world);
    raw_send_frame(&member, &hello);
    world_run(&attack.world);
    expect_events(&attack.member, "n2 inbound up, http \n");
    for (size_t i = 0; i < CROWD; i++) { /* one that is up is no more half open */
        raw_close(&crowd[i]);
        raw_dial(&crowd[i], &attack.world, 7001);
        world_run(&attack.world);
    }
    assert_false(member.closed);
    for (size_t i = 0; i < CROWD; i++) {
        raw_close(&crowd[i]);
    }
    raw_close(&member);
    attack_close(&attack);
}

static void test_notes_of_one_cause_are_few_and_the_rest_is_counted(void **state)
{
    (void)state;
    struct attack attack;
    attack_open(&attack);
    for (int i = 0; i < 50; i++) {
        raw_close(&attack.raw);
        raw_dial(&attack.raw, &attack.world, 7001);
        world_run(&attack.world);
        attack_send(&attack, "GARBAGE!", 8);
        assert_true(attack.raw.closed);
    }
    assert_int_equal(attack.member.n_notes, LIMIT_PEER_NOTES_PER_SECOND);
    world_advance(&attack.world, 1000);
    buffer_clear(&attack.member.notes);
    raw_close(&attack.raw);
    raw_dial(&attack.raw, &attack.world, 7001);
    world_run(&attack.world);
    attack_send(&attack, "GARBAGE!", 8);
    expect_note(&attack.member, "(47 more of this kind were not shown)");
    attack_close(&attack);
}

/* ---- who answers where we dial ---- */

struct trap {
    struct world world;
    struct member member;
    struct listener *listener;
    struct raw raw;
};

static void trap_open(struct trap *trap, const char *key)
{
    const struct member_options options = {.world = &trap->world, .number = 1, .key = key};
    world_open(&trap->world);
    trap->listener = raw_listen(&trap->raw, &trap->world, 7002);
    member_open_half(&trap->member, &options);
    world_run(&trap->world);
}

static void trap_close(struct trap *trap)
{
    raw_close(&trap->raw);
    trap->world.network.listener_close(trap->listener);
    members_close(&trap->member, 1);
}

static void spoil_nothing(struct frame_hello *hello)
{
    (void)hello;
}
static void spoil_number(struct frame_hello *hello)
{
    hello->connection_number++;
}
static void spoil_founding(struct frame_hello *hello)
{
    hello->founding = true;
}

static void test_who_answers_a_dial_must_be_the_member(void **state)
{
    (void)state;
    static const struct hello_case cases[] = {
        {"it belongs to another cluster", spoil_cluster_id},
        {"another incarnation", spoil_incarnation},
        {"n7 answers there", spoil_name},
        {"n3 answers there", spoil_name_to_another_member},
        {"it calls itself n1, as this node does", spoil_name_to_ours},
        {"n2 looks for n3 here, but this is n1", spoil_to},
        {"it speaks protocol 3 to 7, and this node speaks protocol 1 to 2: install the newer batond on this node",
         spoil_protocol},
        {"it reads state format 3 to 7, and this node reads state format 1 to 2: install the newer batond on this node",
         spoil_state},
        {"it has a cluster key and this node has none", spoil_key},
        {"as this node does", spoil_run_id},
        {"it answers another connection", spoil_number},
        {"it answers another question", spoil_founding},
        {"", spoil_nothing},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trap trap;
        struct frame hello = hello_frame(2, 1);
        trap_open(&trap, NULL);
        assert_true(trap.raw.received.len > 0); /* n1's hello */
        cases[i].spoil(&hello.hello);
        raw_send_frame(&trap.raw, &hello);
        world_run(&trap.world);
        bool fits = cases[i].spoil == spoil_nothing;
        assert_int_equal(trap.raw.closed, !fits);
        expect_events(&trap.member, fits ? "n2 outbound up, http \n" : "n2 outbound down\n");
        expect_note(&trap.member, cases[i].note);
        trap_close(&trap);
    }
}

static void test_nothing_may_come_back_on_a_dialled_stream(void **state)
{
    (void)state;
    struct trap trap;
    struct frame hello = hello_frame(2, 1);
    struct frame vote = vote_frame(1);
    trap_open(&trap, NULL);
    raw_send_frame(&trap.raw, &hello);
    raw_send_frame(&trap.raw, &vote);
    world_run(&trap.world);
    assert_true(trap.raw.closed);
    expect_events(&trap.member, "n2 outbound up, http \nn2 outbound down\n");
    expect_note(&trap.member, "closed the connection to n2 at localhost port 7002: a request_vote has no place here");
    trap_close(&trap);
}

static void test_silence_where_we_dial_is_closed_and_dialled_again(void **state)
{
    (void)state;
    struct trap trap;
    trap_open(&trap, NULL);
    world_advance(&trap.world, LIMIT_PEER_HANDSHAKE_MS + 1);
    assert_true(trap.raw.closed);
    expect_events(&trap.member, "n2 outbound down\n");
    expect_note(&trap.member, "the handshake took more than 5000 ms");
    size_t dials = trap.world.n_dials;
    world_advance(&trap.world, 200);
    assert_int_equal(trap.world.n_dials, dials + 1);
    trap_close(&trap);
}

static void test_our_own_hello_is_no_answer(void **state)
{
    (void)state;
    for (int keyed = 0; keyed < 2; keyed++) {
        struct trap trap;
        trap_open(&trap, keyed ? TEST_KEY : NULL);
        raw_send(&trap.raw, trap.raw.received.base, trap.raw.received.len);
        world_run(&trap.world);
        assert_true(trap.raw.closed);
        expect_note(&trap.member, "it calls itself n1, as this node does");
        expect_events(&trap.member, "n2 outbound down\n");
        trap_close(&trap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_garbage_is_refused_by_its_first_bytes),
        cmocka_unit_test(test_length_over_its_kinds_limit_is_refused_from_the_header_alone),
        cmocka_unit_test(test_only_a_hello_may_come_first),
        cmocka_unit_test(test_header_with_any_bit_altered_is_refused_at_once),
        cmocka_unit_test(test_every_flipped_bit_of_a_hello_is_noticed),
        cmocka_unit_test(test_hello_that_breaks_off_anywhere_leaves_nothing),
        cmocka_unit_test(test_checksummed_body_that_is_no_hello_is_refused),
        cmocka_unit_test(test_hello_that_does_not_fit_is_refused_and_the_note_says_why),
        cmocka_unit_test(test_nobody_is_let_in_before_the_cluster_is_known),
        cmocka_unit_test(test_newer_versions_of_an_honest_member_are_let_in),
        cmocka_unit_test(test_only_frames_of_the_stream_may_come_after_the_hello),
        cmocka_unit_test(test_frames_before_a_bad_one_count_and_nothing_after_it),
        cmocka_unit_test(test_checksummed_garbage_of_every_kind_is_refused),
        cmocka_unit_test(test_announced_length_costs_no_memory_until_it_comes),
        cmocka_unit_test(test_nothing_of_an_older_connection_is_delivered_after_a_newer),
        cmocka_unit_test(test_an_older_or_equal_connection_number_of_one_run_is_refused),
        cmocka_unit_test(test_a_new_run_is_newer_whatever_its_number),
        cmocka_unit_test(test_silent_connection_is_closed_after_the_handshakes_time),
        cmocka_unit_test(test_stream_that_is_up_may_be_silent),
        cmocka_unit_test(test_half_open_connections_are_bounded_and_members_still_get_in),
        cmocka_unit_test(test_notes_of_one_cause_are_few_and_the_rest_is_counted),
        cmocka_unit_test(test_who_answers_a_dial_must_be_the_member),
        cmocka_unit_test(test_nothing_may_come_back_on_a_dialled_stream),
        cmocka_unit_test(test_silence_where_we_dial_is_closed_and_dialled_again),
        cmocka_unit_test(test_our_own_hello_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
