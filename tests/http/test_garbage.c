/* Bytes that aren't HTTP, or hardly: no request is made of them, and the server goes on. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static struct harness harness;

static int setup(void **state)
{
    (void)state;
    const struct http_options options = {.request_timeout_ms = 100}; /* some of it is the start of a request line */
    harness_open(&harness, &options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    struct client client; /* it still works */
    client_open(&client, &harness);
    size_t before = harness.requests;
    client_send(&client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT_FOR(&harness, client_answers(&client) == 1);
    assert_int_equal(harness.requests, before + 1);
    client_close(&client);
    harness_close(&harness);
    return 0;
}

static void assert_refused(const char *bytes, size_t len, const char *start_of_answer)
{
    struct client client;
    client_open(&client, &harness);
    (void)client_try_send(&client, bytes, len);
    WAIT_FOR(&harness, client_ended(&client));
    size_t start_len = strlen(start_of_answer);
    assert_true(client.received.len >= start_len);
    if (start_len == 0) {
        assert_int_equal(client.received.len, 0);
    } else {
        assert_memory_equal(client.received.base, start_of_answer, start_len);
        assert_int_equal(client_answers(&client), 1);
    }
    assert_int_equal(harness.requests, 0);
    client_close(&client);
}
#define ASSERT_REFUSED(bytes, start) assert_refused(bytes, sizeof(bytes) - 1, start)

static void request_lines_that_are_wrong(void **state)
{
    (void)state;
    ASSERT_REFUSED("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"); /* no Host */
    ASSERT_REFUSED("GET /\r\nHost: h\r\n\r\n", "HTTP/1.1 400");
    ASSERT_REFUSED("GET / HTTP/3.7\r\nHost: h\r\n\r\n", "HTTP/1.1 505");
    ASSERT_REFUSED("GET / FTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400");
    ASSERT_REFUSED("GET / HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400");
    ASSERT_REFUSED("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "");
    ASSERT_REFUSED("GARBAGE\r\n\r\n", "");
}

/* libmicrohttpd ends the target at a zero byte: `/locks/a` would be locked by who asked for something else. */
static void a_zero_byte_in_the_request_line_is_refused(void **state)
{
    (void)state;
    ASSERT_REFUSED("GET /locks/a\0b HTTP/1.1\r\nHost: h\r\n\r\n", "");
    ASSERT_REFUSED("GET /locks/a\0 HTTP/1.1\r\nHost: h\r\n\r\n", "");
    ASSERT_REFUSED("GET /locks/a?x=\0y HTTP/1.1\r\nHost: h\r\n\r\n", "");
    ASSERT_REFUSED("GET \0 HTTP/1.1\r\nHost: h\r\n\r\n", "");
}

/* Sends `start` and then more 'a' than a connection has memory for. */
static void assert_too_long(const char *start, const char *start_of_answer)
{
    struct client client;
    static char bytes[LIMIT_HTTP_HEADER_BYTES + 1024];
    memset(bytes, 'a', sizeof bytes);
    client_open(&client, &harness);
    client_send(&client, start);
    (void)client_try_send(&client, bytes, sizeof bytes);
    WAIT_FOR(&harness, client_ended(&client));
    assert_true(client.received.len > strlen(start_of_answer));
    assert_memory_equal(client.received.base, start_of_answer, strlen(start_of_answer));
    client_close(&client);
    assert_int_equal(harness.requests, 0);
}

static void lines_that_are_too_long(void **state)
{
    (void)state;
    assert_too_long("GET /", "HTTP/1.1 414");
    assert_too_long("GET / HTTP/1.1\r\nHost: h\r\nX: ", "HTTP/1.1 431");
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void random_bytes_are_survived(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15u;
    struct client clients[64];
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < 64; i++) {
            client_open(&clients[i], &harness);
            char bytes[512];
            size_t len = next_random(&seed) % sizeof bytes + 1;
            for (size_t b = 0; b < len; b++) {
                bytes[b] = (char)next_random(&seed);
            }
            if (i % 2 == 0) { /* something like a request, with damage */
                static const char request[] = "POST /locks/a?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
                len = sizeof request - 1;
                memcpy(bytes, request, len);
                for (int n = 0; n < 3; n++) {
                    bytes[next_random(&seed) % len] = (char)next_random(&seed);
                }
            }
            (void)client_try_send(&clients[i], bytes, len);
        }
        for (size_t i = 0; i < 64; i++) {
            WAIT_FOR(&harness, client_ended(&clients[i]) || client_answers(&clients[i]) > 0);
            client_close(&clients[i]);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_lines_that_are_wrong),
        TEST(a_zero_byte_in_the_request_line_is_refused),
        TEST(lines_that_are_too_long),
        TEST(random_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
