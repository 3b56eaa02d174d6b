/* The cluster key: a stream is up only between two that have it, and nothing that a third puts on the wire between them
 * is delivered. n1 dials n2 through a relay that sees and changes everything; without a key it would get through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "member.h"
#include "peer/peer_framing.h"

#define RELAY_PORT 7102

struct relay {
    struct world world;
    struct member members[2];
    struct listener *listener;
    struct raw dialler;  /* our end towards n1, who dials */
    struct raw acceptor; /* our end towards n2 */
};

/* Both have joined; only n1 dials, and its hello is waiting in the relay. */
static void relay_open(struct relay *relay, const char *key, const char *other_key)
{
    uint8_t incarnation[16];
    const struct member_options first = {.world = &relay->world, .number = 1, .key = key};
    const struct member_options second = {.world = &relay->world, .number = 2, .key = other_key};
    world_open(&relay->world);
    relay->listener = raw_listen(&relay->dialler, &relay->world, RELAY_PORT);
    member_open(&relay->members[0], &first);
    member_open(&relay->members[1], &second);
    member_join(&relay->members[0]);
    member_join(&relay->members[1]);
    incarnation_of(1, incarnation);
    relay->members[1].peers[1] = peer_add(relay->members[1].set, "n1", "nowhere", 1, incarnation, NULL);
    incarnation_of(2, incarnation);
    relay->members[0].peers[2] = peer_add(relay->members[0].set, "n2", "relay", RELAY_PORT, incarnation, NULL);
    raw_dial(&relay->acceptor, &relay->world, 7002);
    world_run(&relay->world);
    assert_true(relay->dialler.opened && relay->acceptor.opened);
    for (int i = 0; i < 2; i++) {
        buffer_clear(&relay->members[i].events);
        buffer_clear(&relay->members[i].notes);
        relay->members[i].n_notes = 0;
    }
}

static void relay_close(struct relay *relay)
{
    raw_close(&relay->dialler);
    raw_close(&relay->acceptor);
    relay->world.network.listener_close(relay->listener);
    members_close(relay->members, 2);
}

/* Passes on what has arrived from one side. */
static void relay_pass(struct relay *relay, struct raw *from, struct raw *to)
{
    raw_send(to, from->received.base, from->received.len);
    buffer_clear(&from->received);
    world_run(&relay->world);
}

static void relay_pass_handshake(struct relay *relay)
{
    relay_pass(relay, &relay->dialler, &relay->acceptor); /* hello */
    relay_pass(relay, &relay->acceptor, &relay->dialler); /* hello, proof */
    relay_pass(relay, &relay->dialler, &relay->acceptor); /* proof */
}

static void relay_open_up(struct relay *relay)
{
    relay_open(relay, TEST_KEY, TEST_KEY);
    relay_pass_handshake(relay);
    expect_events(&relay->members[0], "n2 outbound up, http h2:80\n");
    expect_events(&relay->members[1], "n1 inbound up, http h1:80\n");
}

static void relay_send_votes(struct relay *relay, uint64_t first, uint64_t last)
{
    for (uint64_t term = first; term <= last; term++) {
        assert_true(member_send_vote(&relay->members[0], 2, term));
    }
    world_run(&relay->world);
}

static void expect_broken(struct relay *relay, const char *note)
{
    assert_true(relay->acceptor.closed);
    expect_events(&relay->members[1], "n1 inbound down: broken\n");
    expect_note(&relay->members[1], note);
}

#define ALTERED "a frame that was altered, repeated or reordered on the way"

static void test_relay_that_changes_nothing_is_not_noticed(void **state)
{
    (void)state;
    struct relay relay;
    relay_open_up(&relay);
    relay_send_votes(&relay, 1, 3);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    expect_events(&relay.members[1], "n1 request_vote 1\nn1 request_vote 2\nn1 request_vote 3\n");
    relay_close(&relay);
}

static void test_frame_with_any_bit_altered_is_not_delivered(void **state)
{
    (void)state;
    size_t n_bits = 1;
    for (size_t bit = 0; bit < n_bits; bit++) {
        struct relay relay;
        relay_open_up(&relay);
        relay_send_votes(&relay, 1, 1);
        struct buffer *bytes = &relay.dialler.received;
        n_bits = 8 * bytes->len;
        bytes->base[bit / 8] ^= (uint8_t)(1u << bit % 8);
        relay_pass(&relay, &relay.dialler, &relay.acceptor);
        relay_send_votes(&relay, 2, 40); /* a length that was altered gets its bytes */
        relay_pass(&relay, &relay.dialler, &relay.acceptor);
        assert_int_equal(relay.members[1].terms_seen, 0);
        expect_broken(&relay, "closed the connection of n1");
        relay_close(&relay);
    }
}

static void test_replayed_frame_is_not_delivered(void **state)
{
    (void)state;
    struct relay relay;
    struct buffer copy;
    relay_open_up(&relay);
    relay_send_votes(&relay, 1, 1);
    buffer_init(&copy);
    buffer_append_slice(&copy, buffer_slice(&relay.dialler.received));
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    expect_events(&relay.members[1], "n1 request_vote 1\n");
    raw_send(&relay.acceptor, copy.base, copy.len);
    world_run(&relay.world);
    expect_broken(&relay, ALTERED);
    buffer_close(&copy);
    relay_close(&relay);
}

static void test_reordered_and_missing_frames_are_noticed(void **state)
{
    (void)state;
    for (int missing = 0; missing < 2; missing++) {
        struct relay relay;
        relay_open_up(&relay);
        relay_send_votes(&relay, 1, 2);
        const struct buffer *bytes = &relay.dialler.received;
        size_t half = bytes->len / 2; /* two frames of one length */
        raw_send(&relay.acceptor, bytes->base + half, half);
        if (!missing) {
            raw_send(&relay.acceptor, bytes->base, half);
        }
        world_run(&relay.world);
        assert_int_equal(relay.members[1].terms_seen, 0);
        expect_broken(&relay, ALTERED);
        relay_close(&relay);
    }
}

static void test_frames_sent_back_to_their_sender_are_refused(void **state)
{
    (void)state;
    struct relay relay;
    relay_open_up(&relay);
    relay_send_votes(&relay, 1, 1);
    relay_pass(&relay, &relay.dialler, &relay.dialler);
    assert_true(relay.dialler.closed);
    expect_events(&relay.members[0], "n2 outbound down\n");
    relay_close(&relay);
}

static void test_checksum_is_no_tag(void **state)
{
    (void)state;
    struct relay relay;
    struct frame vote = vote_frame(1);
    relay_open_up(&relay);
    raw_send_frame(&relay.acceptor, &vote);
    raw_send_frame(&relay.acceptor, &vote);
    world_run(&relay.world);
    expect_broken(&relay, ALTERED);
    relay_close(&relay);
}

/* ---- the handshake ---- */

struct part {
    const char *name;
    void (*alter)(struct frame_hello *hello);
};

static void alter_nonce(struct frame_hello *hello)
{
    hello->nonce[31] ^= 1;
}
static void alter_http_address(struct frame_hello *hello)
{
    hello->http_address = slice_of("evil:80");
}
static void alter_run_id(struct frame_hello *hello)
{
    hello->run_id[7] ^= 1;
}
static void alter_rules(struct frame_hello *hello)
{
    hello->rules_newest++;
}
static void alter_protocol(struct frame_hello *hello)
{
    hello->protocol_newest++;
}
static void alter_state(struct frame_hello *hello)
{
    hello->state_newest++;
}
static void alter_number(struct frame_hello *hello)
{
    hello->connection_number++;
}
static void alter_founding(struct frame_hello *hello)
{
    hello->founding = !hello->founding;
}

/* Decodes the hello at the start of `bytes`, alters it, and puts it back with a good checksum. */
static void alter_hello(struct buffer *bytes, void (*alter)(struct frame_hello *hello))
{
    struct framing_seal seal = {0};
    struct arena arena;
    struct frame frame;
    struct buffer altered;
    size_t hello_bytes = framing_bytes(bytes->base, false);
    arena_init(&arena, 0);
    buffer_init(&altered);
    assert_int_equal(frame_decode(FRAME_HELLO, framing_body(bytes->base, false), &arena, &frame, NULL), ERROR_NONE);
    alter(&frame.hello);
    framing_append(&frame, false, &altered);
    framing_seal_next(altered.base, &seal);
    buffer_append(&altered, bytes->base + hello_bytes, bytes->len - hello_bytes);
    buffer_clear(bytes);
    buffer_append_slice(bytes, buffer_slice(&altered));
    buffer_close(&altered);
    arena_close(&arena);
}

static void test_hello_altered_in_any_part_lets_nobody_in(void **state)
{
    (void)state;
    static const struct part parts[] = {
        {"nonce", alter_nonce},       {"http address", alter_http_address},
        {"run id", alter_run_id},     {"rules", alter_rules},
        {"protocol", alter_protocol}, {"number", alter_number},
        {"founding", alter_founding}, {"state", alter_state},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        for (int acceptors = 0; acceptors < 2; acceptors++) {
            struct relay relay;
            relay_open(&relay, TEST_KEY, TEST_KEY);
            if (!acceptors) {
                alter_hello(&relay.dialler.received, parts[i].alter);
            }
            relay_pass(&relay, &relay.dialler, &relay.acceptor);
            if (acceptors) {
                alter_hello(&relay.acceptor.received, parts[i].alter);
            }
            relay_pass(&relay, &relay.acceptor, &relay.dialler);
            relay_pass(&relay, &relay.dialler, &relay.acceptor);
            assert_false(peer_is_up(relay.members[0].peers[2]));
            assert_false(peer_is_inbound_up(relay.members[1].peers[1]));
            assert_true(relay.dialler.closed);
            expect_events(&relay.members[0], "n2 outbound down\n");
            expect_events(&relay.members[1], "");
            relay_close(&relay);
        }
    }
}

static void alter_nothing_but_the_proof(struct buffer *bytes)
{
    struct framing_seal seal = {0};
    size_t at = bytes->len - framing_bytes(bytes->base, false) == 0 ? 0 : framing_bytes(bytes->base, false);
    bytes->base[bytes->len - 1] ^= 1;
    framing_seal_next(bytes->base + at, &seal); /* the checksum is right again */
}

static void test_altered_proofs_are_wrong(void **state)
{
    (void)state;
    struct relay relay;
    relay_open(&relay, TEST_KEY, TEST_KEY);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    alter_nothing_but_the_proof(&relay.acceptor.received);
    relay_pass(&relay, &relay.acceptor, &relay.dialler);
    expect_events(&relay.members[0], "n2 outbound down\n");
    expect_note(&relay.members[0], "its proof is wrong");
    relay_close(&relay);

    relay_open(&relay, TEST_KEY, TEST_KEY);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    relay_pass(&relay, &relay.acceptor, &relay.dialler);
    alter_nothing_but_the_proof(&relay.dialler.received);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    expect_events(&relay.members[1], "");
    expect_note(&relay.members[1], "its proof is wrong");
    relay_close(&relay);
}

static void test_nothing_but_the_proof_may_follow_the_hello(void **state)
{
    (void)state;
    struct relay relay;
    struct frame vote = vote_frame(1);
    relay_open(&relay, TEST_KEY, TEST_KEY);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    raw_send_frame(&relay.acceptor, &vote);
    world_run(&relay.world);
    assert_true(relay.acceptor.closed);
    expect_events(&relay.members[1], "");
    expect_note(&relay.members[1], "a request_vote has no place here");
    relay_close(&relay);
}

static void test_handshake_without_a_proof_ends_by_time(void **state)
{
    (void)state;
    struct relay relay;
    relay_open(&relay, TEST_KEY, TEST_KEY);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    world_advance(&relay.world, 5001);
    assert_true(relay.acceptor.closed && relay.dialler.closed);
    assert_false(peer_is_inbound_up(relay.members[1].peers[1]));
    expect_note(&relay.members[1], "the handshake took more than 5000 ms");
    relay_close(&relay);
}

/* A stranger dials n2 as n1, gets n2's proof, and has nothing but that to send. */
static void test_a_proof_sent_back_is_wrong(void **state)
{
    (void)state;
    struct relay relay;
    relay_open(&relay, TEST_KEY, TEST_KEY);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    struct buffer *received = &relay.acceptor.received;
    size_t hello_bytes = framing_bytes(received->base, false);
    assert_true(received->len > hello_bytes);
    raw_send(&relay.acceptor, received->base + hello_bytes, received->len - hello_bytes);
    world_run(&relay.world);
    assert_true(relay.acceptor.closed);
    expect_events(&relay.members[1], "");
    expect_note(&relay.members[1], "its proof is wrong");
    relay_close(&relay);
}

/* The same proof isn't good on another connection, either: two that the stranger holds open don't help each other. */
static void test_a_proof_of_another_connection_is_wrong(void **state)
{
    (void)state;
    struct relay relay;
    struct raw second;
    relay_open(&relay, TEST_KEY, TEST_KEY);
    struct buffer hello;
    buffer_init(&hello);
    buffer_append_slice(&hello, buffer_slice(&relay.dialler.received));
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    raw_dial(&second, &relay.world, 7002);
    world_run(&relay.world);
    raw_send(&second, hello.base, hello.len);
    world_run(&relay.world);
    relay_pass(&relay, &relay.acceptor, &relay.dialler); /* n1 proves itself on the first */
    relay_pass(&relay, &relay.dialler, &second);
    assert_true(second.closed);
    expect_events(&relay.members[1], "");
    expect_note(&relay.members[1], "its proof is wrong");
    buffer_close(&hello);
    raw_close(&second);
    relay_close(&relay);
}

static void test_a_whole_recorded_session_is_worth_nothing(void **state)
{
    (void)state;
    struct relay relay;
    struct raw replay;
    struct buffer session;
    relay_open(&relay, TEST_KEY, TEST_KEY);
    buffer_init(&session);
    buffer_append_slice(&session, buffer_slice(&relay.dialler.received));
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    relay_pass(&relay, &relay.acceptor, &relay.dialler);
    relay_send_votes(&relay, 1, 3);
    buffer_append_slice(&session, buffer_slice(&relay.dialler.received));
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    buffer_clear(&relay.members[1].events);
    raw_dial(&replay, &relay.world, 7002);
    world_run(&relay.world);
    raw_send(&replay, session.base, session.len);
    world_run(&relay.world);
    assert_true(replay.closed);
    expect_events(&relay.members[1], ""); /* and the living stream wasn't replaced by it */
    assert_true(peer_is_inbound_up(relay.members[1].peers[1]));
    relay_send_votes(&relay, 4, 4);
    relay_pass(&relay, &relay.dialler, &relay.acceptor);
    expect_events(&relay.members[1], "n1 request_vote 4\n");
    buffer_close(&session);
    raw_close(&replay);
    relay_close(&relay);
}

/* ---- different keys ---- */

static void different_keys(const char *first, const char *second, const char *first_note, const char *second_note)
{
    struct relay relay;
    relay_open(&relay, first, second);
    relay_pass_handshake(&relay);
    expect_events(&relay.members[0], "n2 outbound down\n");
    expect_events(&relay.members[1], "");
    expect_note(&relay.members[0], first_note);
    if (second_note != NULL) {
        expect_note(&relay.members[1], second_note);
    }
    relay_close(&relay);
}

static void test_key_against_no_key_is_refused_and_both_say_so(void **state)
{
    (void)state;
    different_keys(TEST_KEY, NULL, "it has no cluster key and this node has one",
                   "it has a cluster key and this node has none");
    different_keys(NULL, TEST_KEY, "it has a cluster key and this node has none",
                   "it has no cluster key and this node has one");
}

static void test_wrong_key_is_refused(void **state)
{
    (void)state;
    different_keys(TEST_KEY, "another key that has 32 bytes ...", "its proof is wrong: it has another cluster key",
                   NULL);
    different_keys(TEST_KEY, TEST_KEY "and more", "its proof is wrong: it has another cluster key", NULL);
}

/* A frame that comes back to its sender is refused for its kind already; were it not, the tag would be another one. */
static void test_each_direction_has_a_key_of_its_own(void **state)
{
    (void)state;
    uint8_t tags[2][AUTH_TAG_BYTES], again[AUTH_TAG_BYTES];
    const struct auth_transcript transcript = {.dialer = slice_of("one hello"), .acceptor = slice_of("another")};
    const enum auth_side sides[] = {AUTH_DIALER, AUTH_ACCEPTOR};
    for (size_t i = 0; i < 2; i++) {
        struct auth_tagger *tagger = auth_open(slice_of(TEST_KEY), sides[i], &transcript);
        struct auth_tagger *other_end = auth_open(slice_of(TEST_KEY), sides[i], &transcript);
        auth_tag(tagger, 0, slice_of("header"), slice_of("body"), tags[i]);
        auth_tag(other_end, 0, slice_of("header"), slice_of("body"), again);
        assert_memory_equal(tags[i], again, AUTH_TAG_BYTES);
        auth_close(tagger);
        auth_close(other_end);
    }
    assert_memory_not_equal(tags[0], tags[1], AUTH_TAG_BYTES);
}

static void test_key_of_less_than_32_bytes_is_no_key(void **state)
{
    (void)state;
    struct world world;
    struct error_text text;
    struct peer_set *set = NULL;
    world_open(&world);
    struct peer_set_options options = {.loop = &world.loop,
                                       .network = &world.network,
                                       .name = "n1",
                                       .listen_host = "localhost",
                                       .listen_port = 7001,
                                       .cluster_key = slice_of("0123456789abcdef0123456789abcde")};
    assert_int_equal(peer_set_open(&options, &set, &text), ERROR_INVALID);
    assert_string_equal(text.text, "the cluster key has 31 bytes; it needs at least 32");
    options.cluster_key = slice_of("");
    assert_int_equal(peer_set_open(&options, &set, &text), ERROR_INVALID); /* present, and empty */
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay_that_changes_nothing_is_not_noticed),
        cmocka_unit_test(test_frame_with_any_bit_altered_is_not_delivered),
        cmocka_unit_test(test_replayed_frame_is_not_delivered),
        cmocka_unit_test(test_reordered_and_missing_frames_are_noticed),
        cmocka_unit_test(test_frames_sent_back_to_their_sender_are_refused),
        cmocka_unit_test(test_checksum_is_no_tag),
        cmocka_unit_test(test_hello_altered_in_any_part_lets_nobody_in),
        cmocka_unit_test(test_altered_proofs_are_wrong),
        cmocka_unit_test(test_nothing_but_the_proof_may_follow_the_hello),
        cmocka_unit_test(test_handshake_without_a_proof_ends_by_time),
        cmocka_unit_test(test_a_proof_sent_back_is_wrong),
        cmocka_unit_test(test_a_proof_of_another_connection_is_wrong),
        cmocka_unit_test(test_a_whole_recorded_session_is_worth_nothing),
        cmocka_unit_test(test_key_against_no_key_is_refused_and_both_say_so),
        cmocka_unit_test(test_wrong_key_is_refused),
        cmocka_unit_test(test_each_direction_has_a_key_of_its_own),
        cmocka_unit_test(test_key_of_less_than_32_bytes_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
