/* Who is too slow. The server has a short request timeout here; how long is never asserted, only what happens. "A while"
 * is the life of a connection that says nothing: one whole timeout. */
#include <string.h>

#include "harness.h"

#define GET           "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(n, body) "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " n "\r\n\r\n" body

static struct harness harness;

static int setup(void **state)
{
    (void)state;
    const struct http_options options = {.request_timeout_ms = 100};
    harness_open(&harness, &options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&harness);
    return 0;
}

static void wait_a_while(void)
{
    struct client silent;
    client_open(&silent, &harness);
    WAIT_FOR(&harness, client_ended(&silent));
    assert_int_equal(silent.received.len, 0);
    client_close(&silent);
}

/* Sends `start`, then silence. */
static void assert_closed_without_an_answer(const char *start)
{
    struct client client;
    client_open(&client, &harness);
    client_send(&client, start);
    WAIT_FOR(&harness, client_ended(&client));
    assert_int_equal(client.received.len, 0);
    assert_int_equal(harness.requests, 0);
    client_close(&client);
}

static void half_a_request_and_silence_is_closed(void **state)
{
    (void)state;
    assert_closed_without_an_answer("G");
    assert_closed_without_an_answer("GET /locks/a HTTP/1.1");
    assert_closed_without_an_answer("GET /locks/a HTTP/1.1\r\n");
    assert_closed_without_an_answer("GET /locks/a HTTP/1.1\r\nHost: h\r\n");
    assert_closed_without_an_answer("POST /locks/a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
    assert_closed_without_an_answer("POST /locks/a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    assert_closed_without_an_answer(
        "POST /locks/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    assert_closed_without_an_answer("\r\n\r\n");
}

/* Sends `start`, then one byte a turn, which keeps any clock of inactivity from running out. */
static void assert_drip_is_closed(struct client *client, const char *start)
{
    size_t before = client->received.len;
    client_send(client, start);
    for (size_t i = 0; i < 20000 && client_try_send(client, "a", 1) && !client_ended(client); i++) {
        harness_turn(&harness);
    }
    assert_true(client_ended(client));
    assert_int_equal(client->received.len, before);
}

static void drip_feeding_is_closed(void **state)
{
    (void)state;
    static const char *const starts[] = {"GET /", "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ",
                                         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct client client;
        client_open(&client, &harness);
        assert_drip_is_closed(&client, starts[i]);
        client_close(&client);
    }
    assert_int_equal(harness.requests, 0);
}

static void an_idle_connection_stays(void **state)
{
    (void)state;
    struct client client;
    client_open(&client, &harness);
    for (size_t i = 1; i <= 3; i++) {
        client_send(&client, GET);
        WAIT_FOR(&harness, client_answers(&client) == i);
        wait_a_while();
        wait_a_while();
        assert_false(client_ended(&client));
    }
    client_close(&client);
}

static void a_parked_request_stays(void **state)
{
    (void)state;
    struct client client;
    client_open(&client, &harness);
    client_send(&client, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(&harness, harness.n_parked == 1);
    wait_a_while();
    wait_a_while();
    assert_false(client_ended(&client));
    harness_answer_parked(&harness, 0, "patience");
    WAIT_FOR(&harness, client_answers(&client) == 1);
    client_close(&client);
}

static void half_a_request_on_a_kept_connection_is_closed(void **state)
{
    (void)state;
    static const char *const starts[] = {"G", "GET / HTTP/1.1\r\n",
                                         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct client client;
        client_open(&client, &harness);
        client_send(&client, GET);
        WAIT_FOR(&harness, client_answers(&client) == 1);
        client_send(&client, starts[i]);
        WAIT_FOR(&harness, client_ended(&client));
        assert_int_equal(client_answers(&client), 1);
        client_close(&client);
    }
}

/* Half a request that came in one piece with a whole one. */
static void half_a_request_behind_a_whole_one_is_closed(void **state)
{
    (void)state;
    static const char *const starts[] = {
        (GET "G"),
        (GET "GET / HTTP/1.1\r\nHo"),
        POST("2", "abGET"),
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET",
    };
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct client client;
        client_open(&client, &harness);
        client_send(&client, starts[i]);
        WAIT_FOR(&harness, client_ended(&client));
        assert_int_equal(client_answers(&client), 1);
        client_close(&client);
    }
}

/* What is counted must be exact: one byte too few, and the connection would pass for one with half a request. */
static void an_idle_connection_stays_after_requests_of_every_shape(void **state)
{
    (void)state;
    static const char *const requests[] = {
        GET,
        (GET GET),
        "GET /?a=b&c HTTP/1.1\r\nHost:   h  \r\nX-Folded: a\r\n  b\r\nX-Empty:\r\n\r\n",
        (POST("0", "")),
        (POST("5", "abcde") GET),
        "GET http://h/%20%41 HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct client client;
        client_open(&client, &harness);
        size_t before = harness.requests;
        client_send(&client, requests[i]);
        WAIT_FOR(&harness, client_answers(&client) > 0 && client_answers(&client) == harness.requests - before);
        wait_a_while();
        wait_a_while();
        assert_false(client_ended(&client));
        client_close(&client);
    }
}

static void drip_feeding_a_kept_connection_is_closed(void **state)
{
    (void)state;
    struct client client;
    client_open(&client, &harness);
    client_send(&client, GET);
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_drip_is_closed(&client, "GET /");
    client_close(&client);
}

/* A client that was refused and neither reads nor closes keeps nothing. */
static void a_refused_upload_that_stalls_is_let_go(void **state)
{
    (void)state;
    struct client client;
    client_open(&client, &harness);
    client_send(&client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    WAIT_FOR(&harness, client_answers(&client) == 1);
    while (client_try_send(&client, "b", 1)) { /* until the socket that read it out is gone */
        harness_turn(&harness);
    }
    client_close(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(half_a_request_and_silence_is_closed),
        TEST(drip_feeding_is_closed),
        TEST(an_idle_connection_stays),
        TEST(a_parked_request_stays),
        TEST(half_a_request_on_a_kept_connection_is_closed),
        TEST(half_a_request_behind_a_whole_one_is_closed),
        TEST(an_idle_connection_stays_after_requests_of_every_shape),
        TEST(drip_feeding_a_kept_connection_is_closed),
        TEST(a_refused_upload_that_stalls_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
