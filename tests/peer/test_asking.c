/* Who founded the cluster: the question and its answer, the only frames that pass before a node knows its cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "member.h"

static const char spec[] = "n1=h1:80:81,n2=h2:80:81";

static void member_ask(struct member *member, unsigned other)
{
    struct frame_founding_question question = {.spec = slice_of(spec),
                                               .name = slice_of(member->number == 1 ? "n1" : "n2")};
    incarnation_of(member->number, question.incarnation);
    peer_ask_founding(member->peers[other], &question);
}

static void member_answer_with(struct member *member, enum founding_state founding_state)
{
    static struct frame_member founders[2];
    member->has_answer = true;
    member->answer = (struct frame_founding_answer){
        .spec = slice_of(spec), .name = slice_of(member->number == 1 ? "n1" : "n2"), .state = founding_state};
    incarnation_of(member->number, member->answer.incarnation);
    if (founding_state == FOUNDING_LIST) {
        founders[0] = (struct frame_member){.name = slice_of("n1")};
        founders[1] = (struct frame_member){.name = slice_of("n2")};
        member->answer.founders = founders;
        member->answer.n_founders = 2;
    }
}

/* n1 and n2 know each other's names only; nobody has joined. */
static void empty_open(struct world *world, struct member members[2], const char *key)
{
    world_open(world);
    for (unsigned i = 1; i <= 2; i++) {
        const struct member_options options = {.world = world, .number = i, .key = key};
        member_open(&members[i - 1], &options);
    }
    members[0].peers[2] = peer_add(members[0].set, "n2", "h2", 7002, NULL, NULL);
    members[1].peers[1] = peer_add(members[1].set, "n1", "h1", 7001, NULL, NULL);
    world_run(world);
    assert_int_equal(world->n_dials, 0); /* there is nothing to say yet */
}

static void ask_and_answer(const char *key)
{
    struct world world;
    struct member members[2];
    empty_open(&world, members, key);
    member_answer_with(&members[1], FOUNDING_EMPTY);
    member_ask(&members[0], 2);
    world_run(&world);
    expect_events(&members[1], "n1 asks\n");
    expect_events(&members[0], "n2 answers 1\n");
    assert_false(peer_is_up(members[0].peers[2]));
    assert_false(peer_is_inbound_up(members[1].peers[1]));
    assert_false(member_send_vote(&members[0], 2, 1));
    members_close(members, 2);
}

static void test_question_is_answered_on_its_own_connection(void **state)
{
    (void)state;
    ask_and_answer(NULL);
    ask_and_answer(TEST_KEY);
}

static void test_question_is_asked_again_and_the_answer_may_change(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    empty_open(&world, members, TEST_KEY);
    member_answer_with(&members[1], FOUNDING_EMPTY);
    member_ask(&members[0], 2);
    world_advance(&world, 510);
    expect_events(&members[0], "n2 answers 1\nn2 answers 1\nn2 answers 1\n");
    member_answer_with(&members[1], FOUNDING_LIST);
    world_advance(&world, 250);
    expect_events(&members[0], "n2 answers 2\n");
    assert_int_equal(world.n_dials, 1);
    members_close(members, 2);
}

static void test_without_an_answer_it_is_asked_again(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    empty_open(&world, members, NULL);
    member_ask(&members[0], 2);
    world_run(&world);
    expect_events(&members[1], "n1 asks\n");
    expect_events(&members[0], "");
    member_answer_with(&members[1], FOUNDING_NONE);
    world_advance(&world, 200);
    expect_events(&members[0], "n2 answers 3\n");
    members_close(members, 2);
}

static void test_incarnations_are_not_compared_in_a_question(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    uint8_t wrong[16];
    empty_open(&world, members, NULL);
    incarnation_of(9, wrong);
    peer_set_incarnation(members[1].peers[1], wrong); /* n1 was another before its volume was lost */
    member_join(&members[1]);
    member_answer_with(&members[1], FOUNDING_LIST);
    member_ask(&members[0], 2);
    world_run(&world);
    expect_events(&members[0], "n2 answers 2\n");
    members_close(members, 2);
}

static void test_join_ends_the_questions_and_begins_the_streams(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    uint8_t incarnation[16];
    empty_open(&world, members, TEST_KEY);
    member_answer_with(&members[0], FOUNDING_EMPTY);
    member_answer_with(&members[1], FOUNDING_EMPTY);
    member_ask(&members[0], 2);
    member_ask(&members[1], 1);
    world_run(&world);
    for (unsigned i = 1; i <= 2; i++) {
        expect_events(&members[i - 1], i == 1 ? "n2 asks\nn2 answers 1\n" : "n1 asks\nn1 answers 1\n");
        incarnation_of(3 - i, incarnation);
        peer_set_incarnation(members[i - 1].peers[3 - i], incarnation);
        member_join(&members[i - 1]);
        world_run(&world);
    }
    world_advance(&world, 300);
    assert_true(peer_is_up(members[0].peers[2]) && peer_is_inbound_up(members[0].peers[2]));
    assert_true(peer_is_up(members[1].peers[1]) && peer_is_inbound_up(members[1].peers[1]));
    buffer_clear(&members[0].events);
    world_advance(&world, 3000);
    expect_events(&members[0], ""); /* nobody asks any more */
    members_close(members, 2);
}

static void test_a_member_that_has_joined_still_answers(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    empty_open(&world, members, NULL);
    member_answer_with(&members[1], FOUNDING_LIST);
    member_ask(&members[0], 2);
    world_run(&world);
    expect_events(&members[0], "n2 answers 2\n");
    member_join(&members[1]); /* closes the connection */
    world_advance(&world, 400);
    buffer_append(&members[0].events, "", 1);
    assert_non_null(strstr((const char *)members[0].events.base, "n2 answers 2\n"));
    members_close(members, 2);
}

static void test_asking_goes_on_until_somebody_listens(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    const struct member_options first = {.world = &world, .number = 1};
    const struct member_options second = {.world = &world, .number = 2};
    world_open(&world);
    member_open(&members[0], &first);
    member_add(&members[0], 2);
    member_ask(&members[0], 2);
    world_advance(&world, 5000);
    expect_events(&members[0], "");
    expect_note(&members[0], "nobody listens there");
    member_open(&members[1], &second);
    member_add(&members[1], 1);
    member_answer_with(&members[1], FOUNDING_EMPTY);
    world_advance(&world, 2100);
    buffer_append(&members[0].events, "", 1);
    assert_non_null(strstr((const char *)members[0].events.base, "n2 answers 1\n"));
    members_close(members, 2);
}

/* ---- hostile askers and answerers ---- */

static void stranger_open(struct world *world, struct member members[2], struct raw *raw)
{
    struct frame hello = hello_frame(2, 1);
    empty_open(world, members, NULL);
    member_answer_with(&members[0], FOUNDING_EMPTY);
    hello.hello.founding = true;
    raw_dial(raw, world, 7001);
    world_run(world);
    raw_send_frame(raw, &hello);
    world_run(world);
    assert_false(raw->closed);
}

static struct frame question_frame(unsigned number)
{
    struct frame frame = {.kind = FRAME_FOUNDING_QUESTION,
                          .founding_question = {.spec = slice_of(spec), .name = slice_of("n2")}};
    incarnation_of(number, frame.founding_question.incarnation);
    return frame;
}

static void test_asking_connection_carries_nothing_but_questions(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    struct raw raw;
    struct frame frames[] = {vote_frame(1), hello_frame(2, 2), question_frame(3), question_frame(2)};
    static const char *const notes[] = {"a request_vote has no place here", "a hello has no place here",
                                        "it asks in another's name", ""};
    for (size_t i = 0; i < 4; i++) {
        stranger_open(&world, members, &raw);
        raw_send_frame(&raw, &frames[i]);
        world_run(&world);
        assert_int_equal(raw.closed, i < 3);
        expect_events(&members[0], i < 3 ? "" : "n2 asks\n");
        expect_note(&members[0], notes[i]);
        raw_close(&raw);
        members_close(members, 2);
    }
}

static void test_asker_that_reads_no_answers_is_closed(void **state)
{
    (void)state;
    struct world world;
    struct member members[2];
    struct raw raw;
    struct frame question = question_frame(2);
    stranger_open(&world, members, &raw);
    world.window_bytes = 1000000; /* of questions */
    world_pause_diallers(&world, 7001);
    for (int i = 0; i < 20000 && !raw.closed; i++) {
        raw_send_frame(&raw, &question);
        world.window_bytes = 1000;
        world_run(&world);
        world.window_bytes = 1000000;
    }
    expect_note(&members[0], "it asks on without reading the answers");
    raw_close(&raw);
    members_close(members, 2);
}

static void test_answer_that_never_comes_is_not_waited_for(void **state)
{
    (void)state;
    struct world world;
    struct member member;
    struct raw raw;
    const struct member_options options = {.world = &world, .number = 1};
    struct frame hello = hello_frame(2, 1);
    world_open(&world);
    struct listener *listener = raw_listen(&raw, &world, 7002);
    member_open(&member, &options);
    member_add(&member, 2);
    member_ask(&member, 2);
    world_run(&world);
    hello.hello.founding = true;
    raw_send_frame(&raw, &hello);
    world_advance(&world, LIMIT_PEER_HANDSHAKE_MS + 1);
    assert_true(raw.closed);
    expect_note(&member, "the answer who founded the cluster took more than 5000 ms");
    raw_close(&raw);
    world.network.listener_close(listener);
    members_close(&member, 1);
}

static void test_answer_in_anothers_name_is_refused(void **state)
{
    (void)state;
    struct world world;
    struct member member;
    struct raw raw;
    const struct member_options options = {.world = &world, .number = 1};
    struct frame hello = hello_frame(2, 1);
    struct frame answer = {
        .kind = FRAME_FOUNDING_ANSWER,
        .founding_answer = {.spec = slice_of(spec), .name = slice_of("n3"), .state = FOUNDING_EMPTY}};
    world_open(&world);
    struct listener *listener = raw_listen(&raw, &world, 7002);
    member_open(&member, &options);
    member_add(&member, 2);
    member_ask(&member, 2);
    world_run(&world);
    hello.hello.founding = true;
    raw_send_frame(&raw, &hello);
    raw_send_frame(&raw, &answer);
    world_run(&world);
    assert_true(raw.closed);
    expect_events(&member, "");
    expect_note(&member, "it answers in another's name");
    raw_close(&raw);
    world.network.listener_close(listener);
    members_close(&member, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_is_answered_on_its_own_connection),
        cmocka_unit_test(test_question_is_asked_again_and_the_answer_may_change),
        cmocka_unit_test(test_without_an_answer_it_is_asked_again),
        cmocka_unit_test(test_incarnations_are_not_compared_in_a_question),
        cmocka_unit_test(test_join_ends_the_questions_and_begins_the_streams),
        cmocka_unit_test(test_a_member_that_has_joined_still_answers),
        cmocka_unit_test(test_asking_goes_on_until_somebody_listens),
        cmocka_unit_test(test_asking_connection_carries_nothing_but_questions),
        cmocka_unit_test(test_asker_that_reads_no_answers_is_closed),
        cmocka_unit_test(test_answer_that_never_comes_is_not_waited_for),
        cmocka_unit_test(test_answer_in_anothers_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
