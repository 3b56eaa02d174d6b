/* Requests and answers as they should be: what the owner sees of a request, and in which order answers come. */
#include <string.h>

#include "harness.h"

static void assert_body(struct client *client, size_t i, const char *text)
{
    struct slice body = client_body(client, i);
    if (!slice_equal(body, slice_of(text))) {
        fail_msg("expected %s, got %.*s", text, SLICE_PRINT(body));
    }
}

/* One request, one answer whose body is `text`. */
static void assert_exchange(const char *request, const char *text)
{
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    client_send(&client, request);
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_int_equal(client_status(&client, 0), 200);
    assert_body(&client, 0, text);
    client_close(&client);
    harness_close(&harness);
}

static void the_path_stays_as_it_was_sent(void **state)
{
    (void)state;
    assert_exchange("GET /locks/a%2Fb%00%zz?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /locks/a%2Fb%00%zz\n[1:x]=[1:1]");
}

static void an_absolute_target_is_its_path(void **state)
{
    (void)state;
    assert_exchange("GET http://h:1/health HTTP/1.1\r\nHost: h\r\n\r\n", "GET /health");
    assert_exchange("GET HTTP://h?a HTTP/1.1\r\nHost: h\r\n\r\n", "GET /\n[1:a]");
}

static void query_parameters_are_decoded_and_keep_order_and_duplicates(void **state)
{
    (void)state;
    assert_exchange("GET /q?token=5&token=6&b&=&a+b=%41%2b HTTP/1.1\r\nHost: h\r\n\r\n",
                    "GET /q\n[5:token]=[1:5]\n[5:token]=[1:6]\n[1:b]\n[0:]=[0:]\n[3:a b]=[2:A+]");
}

static void a_zero_byte_in_a_query_value_is_part_of_it(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    client_send(&client, "GET /q?token=5%006 HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(&harness, client_answers(&client) == 1);
    struct slice body = client_body(&client, 0);
    const char expected[] = "GET /q\n[5:token]=[3:5\0006]";
    assert_int_equal(body.len, sizeof expected - 1);
    assert_memory_equal(body.base, expected, body.len);
    client_close(&client);
    harness_close(&harness);
}

static void a_header_is_found_in_any_case_and_counted(void **state)
{
    (void)state;
    assert_exchange("GET / HTTP/1.1\r\nHost: h\r\nX-TEST: one\r\nx-test: two\r\n\r\n", "GET /\nX-Test*2: one");
}

static void blanks_around_a_headers_value_are_no_part_of_it(void **state)
{
    (void)state;
    assert_exchange("GET / HTTP/1.1\r\nHost: h\r\nX-Test: \t a b \t \r\n\r\n", "GET /\nX-Test*1: a b");
    assert_exchange("GET / HTTP/1.1\r\nHost: h\r\nX-Test:a\r\n\r\n", "GET /\nX-Test*1: a");
    assert_exchange("GET / HTTP/1.1\r\nHost: h\r\nX-Test: \t \r\n\r\n", "GET /\nX-Test*1: ");
    assert_exchange("GET / HTTP/1.1\r\nHost: h\r\nX-Test:\r\n\r\n", "GET /\nX-Test*1: ");
}

static void headers_are_counted_by_what_they_begin_with(void **state)
{
    (void)state;
    assert_exchange("GET / HTTP/1.1\r\nHost: h\r\nX-ANY-: \r\nX-An: y\r\nx-any-thing: 1\r\nA-x-any-: 2\r\n\r\n",
                    "GET /\nX-Any-*2");
}

static void bodies_come_whole_with_a_length_or_in_chunks(void **state)
{
    (void)state;
    assert_exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "POST /\nbody 5: hello");
    assert_exchange("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
                    "POST /\nbody 5: hello");
}

static void a_request_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    const char *request = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for (const char *at = request; *at != 0; at++) {
        assert_true(client_try_send(&client, at, 1));
        harness_turn(&harness);
    }
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_body(&client, 0, "POST /x\nbody 3: abc");
    client_close(&client);
    harness_close(&harness);
}

static void who_expects_100_continue_gets_it(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    client_send(&client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    WAIT_FOR(&harness, (client_ended(&client), client.received.len == sizeof go_on - 1));
    assert_memory_equal(client.received.base, go_on, sizeof go_on - 1);
    buffer_clear(&client.received);
    client_send(&client, "ok");
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_body(&client, 0, "POST /\nbody 2: ok");
    client_close(&client);
    harness_close(&harness);
}

static void a_connection_carries_one_request_after_another(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    for (size_t i = 1; i <= 20; i++) {
        client_send(&client, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
        WAIT_FOR(&harness, client_answers(&client) == i);
    }
    assert_int_equal(http_pending(harness.server), 0);
    assert_false(client_ended(&client));
    client_close(&client);
    harness_close(&harness);
}

static void pipelined_requests_are_answered_in_order_though_some_are_parked(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    client_send(&client, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /park HTTP/1.1\r\nHost: h\r\n\r\n"
                         "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nxGET /4 HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(&harness, harness.n_parked == 1);
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_int_equal(harness.requests, 2);
    harness_answer_parked(&harness, 0, "later");
    WAIT_FOR(&harness, client_answers(&client) == 4);
    assert_body(&client, 0, "GET /1");
    assert_body(&client, 1, "later");
    assert_body(&client, 2, "POST /3\nbody 1: x");
    assert_body(&client, 3, "GET /4");
    client_close(&client);
    harness_close(&harness);
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    client_send(&client, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    WAIT_FOR(&harness, client_ended(&client));
    assert_memory_equal(client.received.base + client.received.len - 4, "\r\n\r\n", 4);
    assert_non_null(memmem(client.received.base, client.received.len, "Content-Length: 6\r\n", 19));
    client_close(&client);
    harness_close(&harness);
}

static void a_large_answer_arrives_whole_though_its_reader_is_slow(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    client_send(&client, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(&harness, harness.requests == 1);
    for (int i = 0; i < 20; i++) { /* the socket fills up */
        harness_turn(&harness);
    }
    assert_int_equal(http_pending(harness.server), 1);
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_int_equal(client_body(&client, 0).len, LARGE_BYTES);
    WAIT_FOR(&harness, http_pending(harness.server) == 0);
    client_close(&client);
    harness_close(&harness);
}

/* libmicrohttpd's own epoll thread hangs when exactly 128·k connections are ready at once. */
static void many_parked_at_once_are_all_answered(void **state)
{
    (void)state;
    static const size_t counts[] = {127, 128, 129, 256, 300};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        size_t n = counts[c];
        struct harness harness;
        static struct client clients[300];
        harness_open(&harness, NULL);
        for (size_t i = 0; i < n; i++) {
            client_open(&clients[i], &harness);
            client_send(&clients[i], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        WAIT_FOR(&harness, harness.n_parked == n);
        assert_int_equal(http_pending(harness.server), n);
        for (size_t i = 0; i < n; i++) {
            harness_answer_parked(&harness, i, "ok");
        }
        for (size_t i = 0; i < n; i++) {
            WAIT_FOR(&harness, client_answers(&clients[i]) == 1);
        }
        for (size_t i = 0; i < n; i++) { /* and their connections go on */
            client_send(&clients[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        for (size_t i = 0; i < n; i++) {
            WAIT_FOR(&harness, client_answers(&clients[i]) == 2);
            client_close(&clients[i]);
        }
        harness_close(&harness);
    }
}

static void who_hangs_up_while_parked_is_seen_to_be_gone(void **state)
{
    (void)state;
    struct harness harness;
    struct client clients[4];
    harness_open(&harness, NULL);
    for (size_t i = 0; i < 4; i++) {
        client_open(&clients[i], &harness);
        client_send(&clients[i], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
        WAIT_FOR(&harness, harness.n_parked == i + 1);
        assert_false(exchange_is_gone(harness.parked[i]));
    }
    client_close(&clients[0]);
    WAIT_FOR(&harness, exchange_is_gone(harness.parked[0]));
    client_reset(&clients[1]);
    WAIT_FOR(&harness, exchange_is_gone(harness.parked[1]));
    client_send(&clients[2], "GET / HTTP/1.1\r\n"); /* bytes that nobody has read stand before the end */
    client_close(&clients[2]);
    WAIT_FOR(&harness, exchange_is_gone(harness.parked[2]));
    assert_false(exchange_is_gone(harness.parked[3]));
    for (size_t i = 0; i < 4; i++) {
        harness_answer_parked(&harness, i, "ok");
    }
    WAIT_FOR(&harness, client_answers(&clients[3]) == 1);
    WAIT_FOR(&harness, http_pending(harness.server) == 0);
    client_close(&clients[3]);
    harness_close(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_stays_as_it_was_sent),
        cmocka_unit_test(an_absolute_target_is_its_path),
        cmocka_unit_test(query_parameters_are_decoded_and_keep_order_and_duplicates),
        cmocka_unit_test(a_zero_byte_in_a_query_value_is_part_of_it),
        cmocka_unit_test(a_header_is_found_in_any_case_and_counted),
        cmocka_unit_test(blanks_around_a_headers_value_are_no_part_of_it),
        cmocka_unit_test(headers_are_counted_by_what_they_begin_with),
        cmocka_unit_test(bodies_come_whole_with_a_length_or_in_chunks),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(who_expects_100_continue_gets_it),
        cmocka_unit_test(a_connection_carries_one_request_after_another),
        cmocka_unit_test(pipelined_requests_are_answered_in_order_though_some_are_parked),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(a_large_answer_arrives_whole_though_its_reader_is_slow),
        cmocka_unit_test(many_parked_at_once_are_all_answered),
        cmocka_unit_test(who_hangs_up_while_parked_is_seen_to_be_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
