/* Who founded the cluster: every case of the rule, and what each says to people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "replica/founding.h"

static const struct replica_member members[3] = {
    {.name = "n1", .host = "h1", .http_port = 7420, .raft_port = 7421},
    {.name = "n2", .host = "h2", .http_port = 7420, .raft_port = 7421},
    {.name = "n3", .host = "::1", .http_port = 7440, .raft_port = 7441},
};
static const char spec[] = "n1=h1:7420:7421,n2=h2:7420:7421,n3=[::1]:7440:7441";

static const uint8_t *incarnation_of(unsigned number)
{
    static uint8_t incarnations[256][16];
    memset(incarnations[number], (int)number, 16);
    return incarnations[number];
}

/* n2 decides in these tests. Its incarnation is 2. */
static struct founding *n2_open(void)
{
    return founding_open(members, 3, "n2", incarnation_of(2));
}

/* Incarnations of n1, n2 and n3 in a list. */
struct list {
    unsigned n1, n2, n3;
};

static enum founding_verdict take(struct founding *founding, const char *from, unsigned incarnation,
                                  const char *of_spec, enum founding_state state, struct list list)
{
    struct frame_member founders[3] = {/* in no order: the wire promises none */
                                       {.name = slice_of("n3")},
                                       {.name = slice_of("n1")},
                                       {.name = slice_of("n2")}};
    memcpy(founders[0].incarnation, incarnation_of(list.n3), 16);
    memcpy(founders[1].incarnation, incarnation_of(list.n1), 16);
    memcpy(founders[2].incarnation, incarnation_of(list.n2), 16);
    struct frame_founding_answer answer = {.spec = slice_of(of_spec), .name = slice_of(from), .state = state};
    memcpy(answer.incarnation, incarnation_of(incarnation), 16);
    if (state == FOUNDING_LIST) {
        answer.founders = founders;
        answer.n_founders = 3;
    }
    enum founding_verdict verdict = founding_take(founding, from, &answer);
    memset(founders, 0xee, sizeof founders); /* it has copied */
    assert_int_equal(founding_verdict(founding), verdict);
    return verdict;
}

static enum founding_verdict take_empty(struct founding *founding, const char *from, unsigned incarnation)
{
    return take(founding, from, incarnation, spec, FOUNDING_EMPTY, (struct list){0});
}

static enum founding_verdict take_none(struct founding *founding, const char *from, unsigned incarnation)
{
    return take(founding, from, incarnation, spec, FOUNDING_NONE, (struct list){0});
}

static enum founding_verdict take_list(struct founding *founding, const char *from, unsigned incarnation,
                                       struct list list)
{
    return take(founding, from, incarnation, spec, FOUNDING_LIST, list);
}

static void expect_result(const struct founding *founding, struct list list)
{
    const unsigned expected[3] = {list.n1, list.n2, list.n3};
    const struct frame_member *founders;
    size_t n_founders;
    founding_result(founding, &founders, &n_founders);
    assert_int_equal(n_founders, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(slice_equal(founders[i].name, slice_of(members[i].name)));
        assert_memory_equal(founders[i].incarnation, incarnation_of(expected[i]), 16);
    }
}

static void expect_sentence(struct founding *founding, const char *part)
{
    const char *sentence = founding_waiting(founding);
    if (strstr(sentence, part) == NULL) {
        fail_msg("\"%s\" doesn't say \"%s\"", sentence, part);
    }
}

/* ---- decided ---- */

static void test_single_node_founds_at_once(void **state)
{
    (void)state;
    const struct frame_member *founders;
    size_t n_founders;
    struct founding *founding = founding_open(members, 1, "n1", incarnation_of(1));
    assert_int_equal(founding_verdict(founding), FOUNDING_DECIDED);
    founding_result(founding, &founders, &n_founders);
    assert_int_equal(n_founders, 1);
    assert_true(slice_equal(founders[0].name, slice_of("n1")));
    assert_memory_equal(founders[0].incarnation, incarnation_of(1), 16);
    founding_close(founding);
}

static void test_all_empty_found_the_cluster_with_their_answers(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(founding_verdict(founding), FOUNDING_WAIT);
    assert_string_equal(founding_waiting(founding), "for n1 and n3 to answer who founded the cluster");
    assert_int_equal(take_empty(founding, "n3", 3), FOUNDING_WAIT);
    assert_string_equal(founding_waiting(founding), "for n1 to answer who founded the cluster");
    assert_int_equal(take_empty(founding, "n1", 1), FOUNDING_DECIDED);
    expect_result(founding, (struct list){1, 2, 3});
    founding_close(founding);
}

static void test_newest_answer_of_a_member_counts(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take_empty(founding, "n1", 1), FOUNDING_WAIT);
    assert_int_equal(take_empty(founding, "n1", 9), FOUNDING_WAIT); /* wiped once more before it founded */
    assert_int_equal(take_empty(founding, "n3", 3), FOUNDING_DECIDED);
    expect_result(founding, (struct list){9, 2, 3});
    founding_close(founding);
}

static void test_one_list_with_its_own_incarnation_is_enough(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_DECIDED);
    expect_result(founding, (struct list){1, 2, 3});
    founding_close(founding);
}

static void test_list_outweighs_who_is_empty(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take_empty(founding, "n1", 8), FOUNDING_WAIT); /* n1 was wiped: that is its own business */
    assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_DECIDED);
    expect_result(founding, (struct list){1, 2, 3});
    founding_close(founding);
}

static void test_equal_lists_agree(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_DECIDED);
    assert_int_equal(take_list(founding, "n1", 1, (struct list){1, 2, 3}), FOUNDING_DECIDED);
    founding_close(founding);
}

/* ---- lost ---- */

/* n1 and n2 acknowledged a lock; n2's volume is lost, n1 is stopped, n2 starts empty from SPEC with n3. */
static void test_wiped_founder_never_founds_again(void **state)
{
    (void)state;
    struct founding *founding = founding_open(members, 3, "n2", incarnation_of(22));
    assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_LOST);
    expect_sentence(founding, "data lost: n3 remembers n2 as a founder with another data directory");
    expect_sentence(founding, "start n2 with --join URL; it returns as a new member, then its old self is removed");
    founding_close(founding);

    founding = founding_open(members, 3, "n2", incarnation_of(22));
    assert_int_equal(take_empty(founding, "n3", 3), FOUNDING_WAIT); /* n3 hadn't founded yet: n1 is waited for */
    expect_sentence(founding, "for n1 to answer");
    assert_int_equal(take_list(founding, "n1", 1, (struct list){1, 2, 3}), FOUNDING_LOST);
    founding_close(founding);
}

static void test_no_founder_means_lost_whatever_the_others_say(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take_none(founding, "n1", 1), FOUNDING_LOST);
    expect_sentence(founding, "data lost: n1 belongs to a cluster that went on without its founders");
    expect_sentence(founding, "start n2 with --join URL");
    assert_int_equal(take_empty(founding, "n3", 3), FOUNDING_LOST);
    assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_LOST);
    founding_close(founding);
}

static void test_differing_lists_that_both_disown_it_do_not_found(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take_list(founding, "n1", 1, (struct list){1, 8, 3}), FOUNDING_LOST);
    assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 9, 3}), FOUNDING_WAIT);
    founding_close(founding);
}

/* ---- waiting ---- */

static void test_lists_that_differ_wait_and_say_so(void **state)
{
    (void)state;
    static const struct list others[] = {{1, 2, 7}, {1, 9, 3}};
    for (size_t i = 0; i < 2; i++) {
        struct founding *founding = n2_open();
        assert_int_equal(take_list(founding, "n1", 1, (struct list){1, 2, 3}), FOUNDING_DECIDED);
        struct list other = others[i];
        assert_int_equal(take_list(founding, "n3", other.n3, other), FOUNDING_WAIT);
        expect_sentence(founding, "for n1 and n3 to agree on who founded the cluster: they remember different data "
                                  "directories");
        assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_DECIDED);
        founding_close(founding);
    }
}

static void test_another_spec_waits_and_says_so(void **state)
{
    (void)state;
    static const char other_spec[] = "n1=h1:7420:7421,n2=h2:7420:7421";
    static const enum founding_state states[] = {FOUNDING_EMPTY, FOUNDING_LIST, FOUNDING_NONE};
    for (size_t i = 0; i < 3; i++) {
        struct founding *founding = n2_open();
        assert_int_equal(take_empty(founding, "n3", 3), FOUNDING_WAIT);
        assert_int_equal(take(founding, "n1", 1, other_spec, states[i], (struct list){1, 2, 3}), FOUNDING_WAIT);
        expect_sentence(founding, "for n1, started with another SPEC, to be given the same --cluster as this node (");
        expect_sentence(founding, spec);
        assert_int_equal(take_empty(founding, "n1", 1), FOUNDING_DECIDED); /* it was restarted with the right one */
        founding_close(founding);
    }
}

static void test_list_of_a_member_with_the_same_spec_is_enough_beside_another_spec(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take(founding, "n1", 1, "n1=h1:1:2", FOUNDING_EMPTY, (struct list){0}), FOUNDING_WAIT);
    assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_DECIDED);
    founding_close(founding);
}

static void test_list_that_does_not_fit_its_spec_waits_and_says_so(void **state)
{
    (void)state;
    struct frame_member two[2] = {{.name = slice_of("n1")}, {.name = slice_of("n2")}};
    struct frame_member wrong[3] = {{.name = slice_of("n1")}, {.name = slice_of("n2")}, {.name = slice_of("n4")}};
    struct frame_member twice[3] = {{.name = slice_of("n1")}, {.name = slice_of("n2")}, {.name = slice_of("n2")}};
    struct frame_founding_answer answer = {.spec = slice_of(spec), .name = slice_of("n1"), .state = FOUNDING_LIST};
    const struct {
        const struct frame_member *founders;
        size_t n_founders;
    } lists[] = {{two, 2}, {wrong, 3}, {twice, 3}};
    for (size_t i = 0; i < 3; i++) {
        struct founding *founding = n2_open();
        answer.founders = lists[i].founders;
        answer.n_founders = lists[i].n_founders;
        assert_int_equal(founding_take(founding, "n1", &answer), FOUNDING_WAIT);
        expect_sentence(founding, "for n1, whose list of founders doesn't fit its SPEC");
        assert_int_equal(take_list(founding, "n3", 3, (struct list){1, 2, 3}), FOUNDING_WAIT);
        founding_close(founding);
    }
    struct founding *founding = n2_open(); /* it doesn't hold its own sender */
    assert_int_equal(take_list(founding, "n1", 5, (struct list){1, 2, 3}), FOUNDING_WAIT);
    expect_sentence(founding, "doesn't fit its SPEC");
    founding_close(founding);
}

static void test_answers_of_nobody_are_not_counted(void **state)
{
    (void)state;
    struct founding *founding = n2_open();
    assert_int_equal(take_none(founding, "n7", 7), FOUNDING_WAIT);
    assert_int_equal(take_none(founding, "n2", 2), FOUNDING_WAIT); /* itself */
    struct frame_founding_answer answer = {.spec = slice_of(spec), .name = slice_of("n3"), .state = FOUNDING_NONE};
    assert_int_equal(founding_take(founding, "n1", &answer), FOUNDING_WAIT); /* in another's name */
    expect_sentence(founding, "for n1 and n3 to answer");
    founding_close(founding);
}

static void test_five_members_are_named_in_the_sentence(void **state)
{
    (void)state;
    struct replica_member five[5];
    static const char *const names[] = {"b", "a", "e", "d", "c"};
    for (size_t i = 0; i < 5; i++) {
        five[i] = (struct replica_member){.name = names[i], .host = names[i], .http_port = 1, .raft_port = 2};
    }
    struct founding *founding = founding_open(five, 5, "c", incarnation_of(1));
    assert_string_equal(founding_waiting(founding), "for a, b, d and e to answer who founded the cluster");
    founding_close(founding);
}

/* ---- SPEC, founders, cluster id ---- */

static void test_order_of_spec_does_not_matter(void **state)
{
    (void)state;
    const struct replica_member shuffled[3] = {members[2], members[0], members[1]};
    struct buffer one, other;
    buffer_init(&one);
    buffer_init(&other);
    founding_render_spec(members, 3, &one);
    founding_render_spec(shuffled, 3, &other);
    assert_true(slice_equal(buffer_slice(&one), buffer_slice(&other)));
    assert_true(slice_equal(buffer_slice(&one), slice_of(spec)));
    struct founding *founding = founding_open(shuffled, 3, "n2", incarnation_of(2));
    assert_int_equal(take_empty(founding, "n1", 1), FOUNDING_WAIT);
    assert_int_equal(take_empty(founding, "n3", 3), FOUNDING_DECIDED);
    expect_result(founding, (struct list){1, 2, 3});
    founding_close(founding);
    buffer_close(&one);
    buffer_close(&other);
}

static void test_spec_differs_by_every_part(void **state)
{
    (void)state;
    struct replica_member others[5][3];
    struct buffer other;
    for (size_t i = 0; i < 5; i++) {
        memcpy(others[i], members, sizeof members);
    }
    others[0][1].name = "n4";
    others[1][1].host = "h4";
    others[2][1].http_port++;
    others[3][1].raft_port++;
    buffer_init(&other);
    for (size_t i = 0; i < 5; i++) {
        buffer_clear(&other);
        founding_render_spec(others[i], i == 4 ? 2 : 3, &other);
        assert_false(slice_equal(buffer_slice(&other), slice_of(spec)));
    }
    buffer_close(&other);
}

static void founders_make(struct frame_member founders[3], const unsigned order[3])
{
    for (size_t i = 0; i < 3; i++) {
        founders[i].name = slice_of(members[order[i]].name);
        memcpy(founders[i].incarnation, incarnation_of(order[i] + 1), 16);
    }
}

static void test_all_members_compute_the_same_cluster_id(void **state)
{
    (void)state;
    struct frame_member founders[3], shuffled[3];
    uint8_t id[16], same[16], other[16];
    founders_make(founders, (const unsigned[]){0, 1, 2});
    founders_make(shuffled, (const unsigned[]){2, 0, 1});
    founding_compute_cluster_id(slice_of(spec), founders, 3, id);
    founding_compute_cluster_id(slice_of(spec), shuffled, 3, same);
    assert_memory_equal(id, same, 16);
    shuffled[0].incarnation[15] ^= 1;
    founding_compute_cluster_id(slice_of(spec), shuffled, 3, other);
    assert_memory_not_equal(id, other, 16);
    founding_compute_cluster_id(slice_of("n1=h1:1:2"), founders, 3, other);
    assert_memory_not_equal(id, other, 16);
    founding_compute_cluster_id(slice_of(spec), founders, 2, other);
    assert_memory_not_equal(id, other, 16);
}

static enum error decode(struct slice bytes, struct arena *arena, const struct frame_member **founders, size_t *n)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len); /* exactly as long: a read past it is seen */
    memcpy(copy, bytes.base, bytes.len);
    enum error error = founding_decode_founders((struct slice){.base = copy, .len = bytes.len}, arena, founders, n);
    free(copy);
    return error;
}

static void test_founders_come_back_from_their_bytes(void **state)
{
    (void)state;
    struct frame_member founders[3];
    const struct frame_member *decoded;
    size_t n_decoded;
    struct buffer bytes;
    struct arena arena;
    buffer_init(&bytes);
    arena_init(&arena, 0);
    founders_make(founders, (const unsigned[]){2, 0, 1});
    founding_encode_founders(founders, 3, &bytes);
    assert_int_equal(founding_decode_founders(buffer_slice(&bytes), &arena, &decoded, &n_decoded), ERROR_NONE);
    assert_int_equal(n_decoded, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(slice_equal(decoded[i].name, slice_of(members[i].name)));
        assert_memory_equal(decoded[i].incarnation, incarnation_of((unsigned)i + 1), 16);
    }
    buffer_clear(&bytes);
    founding_encode_founders(NULL, 0, &bytes); /* "no founder" */
    assert_int_equal(founding_decode_founders(buffer_slice(&bytes), &arena, &decoded, &n_decoded), ERROR_NONE);
    assert_int_equal(n_decoded, 0);
    assert_non_null(decoded); /* NULL would be "empty" */
    buffer_close(&bytes);
    arena_close(&arena);
}

static void test_bytes_that_are_no_founders_are_refused(void **state)
{
    (void)state;
    struct frame_member founders[3];
    const struct frame_member *decoded;
    size_t n_decoded;
    struct buffer bytes;
    struct arena arena;
    buffer_init(&bytes);
    arena_init(&arena, 0);
    founders_make(founders, (const unsigned[]){0, 1, 2});
    founding_encode_founders(founders, 3, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct slice cut = {.base = bytes.base, .len = len};
        assert_int_equal(decode(cut, &arena, &decoded, &n_decoded), ERROR_INVALID);
    }
    *buffer_extend(&bytes, 1) = 0;
    assert_int_equal(decode(buffer_slice(&bytes), &arena, &decoded, &n_decoded), ERROR_INVALID);
    bytes.len--;
    static const struct {
        size_t at;
        uint8_t byte;
    } changes[] = {
        {0, 2},    {0, 4},   {0, LIMIT_MEMBERS + 1},
        {3, 0xff}, /* number */
        {4, 0},    {4, 1},   {5, 0xff},
        {7, 0x80},           /* length of the first name */
        {9, '3'},  {9, '2'}, /* names out of order, or one twice */
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t before = bytes.base[changes[i].at];
        bytes.base[changes[i].at] = changes[i].byte;
        assert_int_equal(decode(buffer_slice(&bytes), &arena, &decoded, &n_decoded), ERROR_INVALID);
        bytes.base[changes[i].at] = before;
    }
    arena_close(&arena);
    arena_init(&arena, 8); /* too small */
    assert_int_equal(decode(buffer_slice(&bytes), &arena, &decoded, &n_decoded), ERROR_INVALID);
    buffer_close(&bytes);
    arena_close(&arena);
}

/* ---- what a node answers ---- */

static void test_reply_is_empty_or_the_list_or_no_founder(void **state)
{
    (void)state;
    struct frame_member founders[3];
    struct frame_founding_answer answer;
    founders_make(founders, (const unsigned[]){0, 1, 2});
    founding_reply(slice_of(spec), "n1", incarnation_of(1), NULL, 0, true, &answer);
    assert_int_equal(answer.state, FOUNDING_EMPTY);
    assert_int_equal(answer.n_founders, 0);
    assert_true(slice_equal(answer.spec, slice_of(spec)));
    assert_true(slice_equal(answer.name, slice_of("n1")));
    assert_memory_equal(answer.incarnation, incarnation_of(1), 16);
    founding_reply(slice_of(spec), "n1", incarnation_of(1), founders, 3, false, &answer);
    assert_int_equal(answer.state, FOUNDING_LIST);
    assert_int_equal(answer.n_founders, 3);
    founding_reply(slice_of(spec), "n1", incarnation_of(1), founders, 0, false, &answer);
    assert_int_equal(answer.state, FOUNDING_NONE);
    assert_int_equal(answer.n_founders, 0);
}

/* Three nodes by themselves: whoever hears of all first founds, and the others take its list, or the same answers. */
static void test_three_empty_nodes_reach_one_list(void **state)
{
    (void)state;
    struct founding *foundings[3];
    uint8_t ids[3][16];
    for (unsigned i = 0; i < 3; i++) {
        foundings[i] = founding_open(members, 3, members[i].name, incarnation_of(i + 1));
    }
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned other = 0; other < 3; other++) {
            if (other == i) {
                continue;
            }
            const struct frame_member *founders = NULL;
            size_t n_founders = 0;
            struct frame_founding_answer answer;
            bool empty = founding_verdict(foundings[other]) != FOUNDING_DECIDED;
            if (!empty) {
                founding_result(foundings[other], &founders, &n_founders);
            }
            founding_reply(slice_of(spec), members[other].name, incarnation_of(other + 1), founders, n_founders, empty,
                           &answer);
            (void)founding_take(foundings[i], members[other].name, &answer);
        }
        const struct frame_member *founders;
        size_t n_founders;
        founding_result(foundings[i], &founders, &n_founders);
        founding_compute_cluster_id(slice_of(spec), founders, n_founders, ids[i]);
        assert_memory_equal(ids[i], ids[0], 16);
    }
    for (unsigned i = 0; i < 3; i++) {
        founding_close(foundings[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_node_founds_at_once),
        cmocka_unit_test(test_all_empty_found_the_cluster_with_their_answers),
        cmocka_unit_test(test_newest_answer_of_a_member_counts),
        cmocka_unit_test(test_one_list_with_its_own_incarnation_is_enough),
        cmocka_unit_test(test_list_outweighs_who_is_empty),
        cmocka_unit_test(test_equal_lists_agree),
        cmocka_unit_test(test_wiped_founder_never_founds_again),
        cmocka_unit_test(test_no_founder_means_lost_whatever_the_others_say),
        cmocka_unit_test(test_differing_lists_that_both_disown_it_do_not_found),
        cmocka_unit_test(test_lists_that_differ_wait_and_say_so),
        cmocka_unit_test(test_another_spec_waits_and_says_so),
        cmocka_unit_test(test_list_of_a_member_with_the_same_spec_is_enough_beside_another_spec),
        cmocka_unit_test(test_list_that_does_not_fit_its_spec_waits_and_says_so),
        cmocka_unit_test(test_answers_of_nobody_are_not_counted),
        cmocka_unit_test(test_five_members_are_named_in_the_sentence),
        cmocka_unit_test(test_order_of_spec_does_not_matter),
        cmocka_unit_test(test_spec_differs_by_every_part),
        cmocka_unit_test(test_all_members_compute_the_same_cluster_id),
        cmocka_unit_test(test_founders_come_back_from_their_bytes),
        cmocka_unit_test(test_bytes_that_are_no_founders_are_refused),
        cmocka_unit_test(test_reply_is_empty_or_the_list_or_no_founder),
        cmocka_unit_test(test_three_empty_nodes_reach_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
