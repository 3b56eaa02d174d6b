/* Bodies at their bound, one byte past it, and without an end; lengths that say two things. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define BODY_BYTES    ((size_t)LIMIT_BODY_BYTES)
#define DISCARD_BYTES ((size_t)LIMIT_BODY_DISCARD_BYTES)
#define DRAINS        ((size_t)LIMIT_HTTP_DRAINS)
#define UPLOAD_BYTES  ((size_t)900 * 1024)

static struct harness harness;
static struct client client;

static int setup(void **state)
{
    (void)state;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    client_close(&client);
    harness_close(&harness);
    return 0;
}

/* Sends `len` bytes of 'b' in pieces; false when the server has closed before it took them all. */
static bool send_bytes(size_t len)
{
    static char bytes[16384];
    memset(bytes, 'b', sizeof bytes);
    while (len > 0) {
        size_t piece = len < sizeof bytes ? len : sizeof bytes;
        if (!client_try_send(&client, bytes, piece)) {
            return false;
        }
        len -= piece;
    }
    return true;
}

static void send_head(unsigned long long length)
{
    char head[128];
    (void)snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %llu\r\n\r\n", length);
    client_send(&client, head);
}

static bool send_chunk(size_t len)
{
    char size[32];
    (void)snprintf(size, sizeof size, "%zx\r\n", len);
    return client_try_send(&client, size, strlen(size)) && send_bytes(len) && client_try_send(&client, "\r\n", 2);
}

static void assert_taken(size_t len)
{
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_int_equal(client_status(&client, 0), 200);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "POST /\nbody %zu: bbbb", len);
    assert_memory_equal(client_body(&client, 0).base, expected, strlen(expected));
    assert_false(client_ended(&client));
    assert_int_equal(harness.too_large, 0);
}

static void assert_too_large(void)
{
    WAIT_FOR(&harness, client_ended(&client));
    assert_int_equal(client_answers(&client), 1);
    assert_int_equal(client_status(&client, 0), 413);
    assert_true(client_has_header(&client, 0, "Connection: close"));
    assert_true(client_has_header(&client, 0, "Content-Type: text/plain"));
    struct slice body = client_body(&client, 0);
    assert_true(slice_equal(body, slice_of("too large")));
    assert_int_equal(harness.requests, 0);
    assert_int_equal(harness.too_large, 1);
    WAIT_FOR(&harness, http_pending(harness.server) == 0);
}

static void a_body_at_its_bound_is_taken(void **state)
{
    (void)state;
    send_head(BODY_BYTES);
    assert_true(send_bytes(BODY_BYTES));
    assert_taken(BODY_BYTES);
}

static void a_chunked_body_at_its_bound_is_taken(void **state)
{
    (void)state;
    client_send(&client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(send_chunk(1) && send_chunk(BODY_BYTES - 1));
    client_send(&client, "0\r\n\r\n");
    assert_taken(BODY_BYTES);
}

static void a_length_one_past_the_bound_is_refused_at_once(void **state)
{
    (void)state;
    send_head(BODY_BYTES + 1);
    assert_too_large(); /* not a byte of the body was sent */
}

static void an_absurd_length_is_refused_at_once(void **state)
{
    (void)state;
    send_head(18446744073709551615ull);
    WAIT_FOR(&harness, client_ended(&client)); /* it is libmicrohttpd that may refuse this one */
    assert_int_equal(client_status(&client, 0), 413);
    assert_int_equal(harness.requests, 0);
}

static void who_waits_for_100_continue_is_told_413(void **state)
{
    (void)state;
    client_send(&client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n");
    assert_too_large();
}

/* The client gets its answer and no reset, though it sends all before it reads. */
static void a_client_that_sends_on_reads_its_answer(void **state)
{
    (void)state;
    send_head(UPLOAD_BYTES);
    assert_true(send_bytes(UPLOAD_BYTES));
    assert_too_large();
}

static void a_chunked_body_past_the_bound_is_refused_at_its_end(void **state)
{
    (void)state;
    client_send(&client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(send_chunk(BODY_BYTES) && send_chunk(1));
    assert_int_equal(client_answers(&client), 0);
    client_send(&client, "0\r\n\r\n");
    assert_too_large();
}

static void an_endless_body_is_cut_with_an_answer(void **state)
{
    (void)state;
    client_send(&client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    size_t sent = 0;
    while (client_answers(&client) == 0 && sent < 8 * DISCARD_BYTES) {
        assert_true(send_chunk(1024));
        sent += 1024;
    }
    assert_int_equal(client_answers(&client), 1);
    assert_too_large();
    while (send_chunk(1024)) { /* and what it sends on isn't taken for ever */
        sent += 1024;
        assert_true(sent < 16 * DISCARD_BYTES);
    }
}

static void what_cuts_an_endless_head_has_no_body(void **state)
{
    (void)state;
    client_send(&client, "HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t sent = 0; sent < 8 * DISCARD_BYTES && send_chunk(1024);) {
        sent += 1024;
    }
    WAIT_FOR(&harness, client_ended(&client));
    assert_memory_equal(client.received.base, "HTTP/1.1 413", 12);
    assert_memory_equal(client.received.base + client.received.len - 4, "\r\n\r\n", 4);
}

/* More than the places for reading out: the answers arrive all the same, or at least nothing breaks. */
static void many_refused_uploads_at_once(void **state)
{
    (void)state;
    struct client *clients = calloc(DRAINS + 8, sizeof *clients);
    for (size_t i = 0; i < DRAINS + 8; i++) {
        client_open(&clients[i], &harness);
        client_send(&clients[i], "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc");
    }
    for (size_t i = 0; i < DRAINS + 8; i++) {
        WAIT_FOR(&harness, client_answers(&clients[i]) == 1);
        assert_int_equal(client_status(&clients[i], 0), 413);
    }
    for (size_t i = 0; i < DRAINS + 8; i++) {
        client_close(&clients[i]);
    }
    free(clients);
}

/* The connection is closed; libmicrohttpd may say why, but no request is made of it. */
static void assert_refused(const char *head)
{
    struct client one;
    client_open(&one, &harness);
    client_send(&one, head);
    WAIT_FOR(&harness, client_ended(&one));
    if (one.received.len > 0) {
        assert_memory_equal(one.received.base, "HTTP/1.1 4", 10);
        assert_int_equal(client_answers(&one), 1);
    }
    client_close(&one);
    assert_int_equal(harness.requests, 0);
}

static void lengths_that_are_wrong_or_say_two_things_are_refused(void **state)
{
    (void)state;
#define HEAD "POST / HTTP/1.1\r\nHost: h\r\n"
    assert_refused(HEAD "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd");
    assert_refused(HEAD "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc");
    assert_refused(HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_refused(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_refused(HEAD "Transfer-Encoding: gzip\r\n\r\nabc");
    /* libmicrohttpd takes it for another coding, and reads to the end. */
    assert_refused(HEAD "Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n");
    assert_refused(HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    assert_refused(HEAD "Content-Length: abc\r\n\r\nabc");
    assert_refused(HEAD "Content-Length: -1\r\n\r\nabc");
    assert_refused(HEAD "Content-Length: +3\r\n\r\nabc");
    assert_refused(HEAD "Content-Length: 3,3\r\n\r\nabc");
    assert_refused(HEAD "Content-Length: 0x3\r\n\r\nabc");
    assert_refused(HEAD "Content-Length: \r\n\r\nabc");
    assert_refused(HEAD "Content-Length: 99999999999999999999999\r\n\r\nabc");
    assert_refused(HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n");
    assert_refused(HEAD "Transfer-Encoding: chunked\r\n\r\n-1\r\n");
    assert_refused(HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n");
    assert_refused(HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n");
#undef HEAD
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_at_its_bound_is_taken),
        TEST(a_chunked_body_at_its_bound_is_taken),
        TEST(a_length_one_past_the_bound_is_refused_at_once),
        TEST(an_absurd_length_is_refused_at_once),
        TEST(who_waits_for_100_continue_is_told_413),
        TEST(a_client_that_sends_on_reads_its_answer),
        TEST(a_chunked_body_past_the_bound_is_refused_at_its_end),
        TEST(an_endless_body_is_cut_with_an_answer),
        TEST(what_cuts_an_endless_head_has_no_body),
        TEST(many_refused_uploads_at_once),
        TEST(lengths_that_are_wrong_or_say_two_things_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
