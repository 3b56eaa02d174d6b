/* Requests whose line and headers take much of a connection's memory: each is answered in full, with the largest headers
 * that an answer can have, or nothing is done for it. */
#include <string.h>

#include "harness.h"

static struct harness harness;

static int setup(void **state)
{
    (void)state;
    harness_open(&harness, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&harness);
    return 0;
}

/* A request with `n` times `piece` in the middle. */
struct shape {
    const char *start;
    size_t filler; /* letters behind it */
    const char *piece;
    const char *end;
    size_t most; /* pieces, more than are taken */
};

/* What a client may send without waiting for the answer. It lies in the same memory. */
static void append_next(struct buffer *bytes)
{
    static const char next[] = "GET /next HTTP/1.1\r\nHost: h\r\nX: ";
    buffer_append(bytes, next, sizeof next - 1);
    memset(buffer_extend(bytes, LIMIT_HTTP_HEADER_BYTES), 'y', LIMIT_HTTP_HEADER_BYTES);
}

/* Returns whether the owner was asked. */
static bool ask(const struct shape *shape, size_t n, bool is_followed)
{
    struct client client;
    struct buffer bytes;
    size_t before = harness.requests;
    buffer_init(&bytes);
    buffer_append(&bytes, shape->start, strlen(shape->start));
    memset(buffer_extend(&bytes, shape->filler), 'x', shape->filler);
    for (size_t i = 0; i < n; i++) {
        buffer_append(&bytes, shape->piece, strlen(shape->piece));
    }
    buffer_append(&bytes, shape->end, strlen(shape->end));
    if (is_followed) {
        append_next(&bytes);
    }
    client_open(&client, &harness);
    (void)client_try_send(&client, (const char *)bytes.base, bytes.len);
    WAIT_FOR(&harness, client_answers(&client) > 0 || client_ended(&client));
    bool is_asked = harness.requests > before;
    if (is_asked) {
        if (client_answers(&client) == 0) {
            fail_msg("no answer to %s with %zu times %s%s", shape->start, n, shape->piece,
                     is_followed ? ", and more behind it" : "");
        }
        assert_int_equal(client_status(&client, 0), 200);
        assert_int_equal(client_body(&client, 0).len, 2);
    } else if (client_answers(&client) > 0) {
        unsigned status = client_status(&client, 0);
        assert_true(status == 414 || status == 431);
        WAIT_FOR(&harness, client_ended(&client));
    }
    buffer_close(&bytes);
    client_close(&client);
    return is_asked;
}

static void what_is_begun_can_be_answered(void **state)
{
    (void)state;
#define START(method) method " /headers HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED       START("POST") "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
#define TEXT          "0123456789abcdef"
    static const struct shape shapes[] = {
        {"GET /headers?", 0, "a&", " HTTP/1.1\r\nHost: h\r\n\r\n", 256}, /* with more MHD itself gives up */
        {"GET /headers?a=", 0, TEXT, " HTTP/1.1\r\nHost: h\r\n\r\n", 2100},
        {START("POST") "Content-Length: 2\r\n", 0, "a:\r\n", "\r\nab", 520},
        {START("GET") "X: ", 0, TEXT, "\r\n\r\n", 2100},
        {START("GET") "X: ", 17000, "\r\na:", "\r\n\r\n", 400},
        {START("GET") "X: ", 20000, "\r\na:", "\r\n\r\n", 400},
        {START("GET") "X: ", 22000, "\r\na:", "\r\n\r\n", 400},
        {START("GET") "Cookie: a=1", 0, "; b=2", "\r\n\r\n", 520},
        {START("GET") "Cookie: a=", 0, TEXT, "\r\n\r\n", 2100},
        {CHUNKED, 0, "a:\r\n", "\r\n", 520},
        {CHUNKED, 0, "a:" TEXT TEXT TEXT TEXT TEXT TEXT TEXT TEXT TEXT TEXT "\r\n", "\r\n", 260},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        size_t step = shapes[i].most / 128;
        for (size_t n = 0; n <= shapes[i].most; n += step) {
            bool is_asked = ask(&shapes[i], n, false);
            bool is_asked_followed = ask(&shapes[i], n, true);
            assert_int_equal(is_asked, is_asked_followed); /* what comes behind it makes no difference */
            assert_true(n > 0 || is_asked);
            assert_true(n < shapes[i].most || !is_asked);
        }
    }
}

/* As the contract says: 100 headers and parameters with 16 KiB of text. */
static void what_is_promised_fits(void **state)
{
    (void)state;
    const struct shape headers = {"GET /headers HTTP/1.1\r\nHost: h\r\nX: ", 15900, "\r\na:", "\r\n\r\n", 0};
    const struct shape parameters = {"GET /headers?a=", 16100, "&a", " HTTP/1.1\r\nHost: h\r\n\r\n", 0};
    assert_true(ask(&headers, 98, false) && ask(&headers, 98, true));
    assert_true(ask(&parameters, 98, false) && ask(&parameters, 98, true));
}

/* The answer says what is wrong, also when a body follows that nobody has read. */
static void what_leaves_no_room_for_the_answer_is_431(void **state)
{
    (void)state;
    static const char piece[] = "a=b&";
    struct client client;
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_append(&bytes, "POST /x?", 8);
    for (size_t i = 0; i < 240; i++) {
        buffer_append(&bytes, piece, sizeof piece - 1);
    }
    buffer_printf(&bytes, " HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n");
    memset(buffer_extend(&bytes, 60000), 'b', 60000);
    client_open(&client, &harness);
    (void)client_try_send(&client, (const char *)bytes.base, bytes.len);
    WAIT_FOR(&harness, client_ended(&client));
    assert_int_equal(client_answers(&client), 1);
    assert_int_equal(client_status(&client, 0), 431);
    assert_true(client_has_header(&client, 0, "Connection: close"));
    assert_true(client_has_header(&client, 0, "Content-Type: text/plain; charset=utf-8"));
    assert_int_equal(harness.requests, 0);
    buffer_close(&bytes);
    client_close(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_begun_can_be_answered),
        TEST(what_is_promised_fits),
        TEST(what_leaves_no_room_for_the_answer_is_431),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
