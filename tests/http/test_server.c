/* The server itself: where it listens, how it starts and stops, what it does at its limits, and that it sleeps when there
 * is nothing to do. */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define GET  "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define PARK "GET /park HTTP/1.1\r\nHost: h\r\n\r\n"

static enum error open_on(struct harness *harness, const char *host, uint16_t port, struct error_text *text)
{
    struct http_options options = harness->options;
    options.listen_host = host;
    options.listen_port = port;
    struct http_server *server = NULL;
    enum error error = http_open(&options, &server, text);
    if (error != ERROR_NONE) {
        assert_null(server);
    }
    return error;
}

static void where_it_cannot_listen_it_says_why(void **state)
{
    (void)state;
    struct harness harness;
    harness_open(&harness, NULL);
    struct error_text text;
    assert_int_equal(open_on(&harness, "127.0.0.1", http_port(harness.server), &text), ERROR_LOCKED);
    assert_non_null(strstr(text.text, "the port is in use"));
    assert_int_equal(open_on(&harness, "", http_port(harness.server), &text), ERROR_LOCKED);
    assert_int_equal(open_on(&harness, "192.0.2.1", 0, &text), ERROR_NETWORK);
    assert_non_null(strstr(text.text, "192.0.2.1"));
    harness_close(&harness);
}

static bool can_connect(int family, uint16_t port)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool connected = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4) == 0
                                       : connect(fd, (struct sockaddr *)&v6, sizeof v6) == 0;
    (void)close(fd);
    return connected;
}

/* This machine has an IPv6 loopback. */
static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&v6, sizeof v6) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return has;
}

static void it_listens_where_it_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool v4;
        bool v6;
    } cases[] = {{"", true, true},           {"::", true, true},         {"0.0.0.0", true, false},
                 {"127.0.0.1", true, false}, {"localhost", true, false}, {"::1", false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (!has_ipv6() && cases[i].host[0] == ':') {
            continue; /* cannot be had on this machine */
        }
        const struct http_options options = {.listen_host = cases[i].host};
        struct harness harness;
        harness_open(&harness, &options);
        assert_int_equal(can_connect(AF_INET, http_port(harness.server)), cases[i].v4);
        assert_int_equal(can_connect(AF_INET6, http_port(harness.server)), cases[i].v6 && has_ipv6());
        harness_close(&harness);
    }
}

static void it_sleeps_when_there_is_nothing_to_do(void **state)
{
    (void)state;
    struct harness harness;
    struct client parked;
    struct client idle;
    harness_open(&harness, NULL);
    assert_int_equal(uv_timer_stop(&harness.tick), 0);
    client_open(&parked, &harness);
    client_open(&idle, &harness);
    client_send(&parked, PARK);
    client_send(&idle, GET);
    while (harness.n_parked == 0 || client_answers(&idle) == 0) {
        (void)uv_run(&harness.loop, UV_RUN_NOWAIT);
    }
    harness_settle(&harness);
    assert_int_equal(uv_timer_stop(&harness.tick), 0);
    harness_answer_parked(&harness, 0, "ok");
    assert_int_equal(uv_backend_timeout(&harness.loop), 0); /* not a moment is slept before the answer leaves */
    (void)uv_run(&harness.loop, UV_RUN_NOWAIT);
    while (client_answers(&parked) == 0) {
        (void)uv_run(&harness.loop, UV_RUN_NOWAIT);
    }
    harness_settle(&harness);
    client_close(&parked);
    client_close(&idle);
    for (int i = 0; i < 10; i++) { /* closing is an event, too */
        (void)uv_run(&harness.loop, UV_RUN_NOWAIT);
    }
    harness_settle(&harness);
    harness_close(&harness);
}

static void after_quiesce_what_is_under_way_is_answered_and_closed(void **state)
{
    (void)state;
    struct harness harness;
    struct client parked;
    struct client idle;
    struct client queued;
    harness_open(&harness, NULL);
    client_open(&parked, &harness);
    client_open(&idle, &harness);
    client_send(&parked, PARK);
    client_send(&idle, GET);
    WAIT_FOR(&harness, harness.n_parked == 1 && client_answers(&idle) == 1);
    uint16_t port = http_port(harness.server);
    client_open(&queued, &harness); /* connected by the kernel, not accepted yet */
    client_send(&queued, GET);
    http_quiesce(harness.server);
    http_quiesce(harness.server); /* once more changes nothing */
    assert_false(can_connect(AF_INET, port));
    WAIT_FOR(&harness, client_ended(&queued));
    assert_int_equal(client_status(&queued, 0), 200);
    assert_true(client_has_header(&queued, 0, "Connection: close"));
    assert_int_equal(http_pending(harness.server), 1);
    harness_answer_parked(&harness, 0, "ok");
    WAIT_FOR(&harness, client_ended(&parked));
    assert_int_equal(client_answers(&parked), 1);
    client_send(&idle, GET);
    WAIT_FOR(&harness, client_ended(&idle));
    assert_int_equal(client_answers(&idle), 2);
    assert_int_equal(http_pending(harness.server), 0);
    client_close(&parked);
    client_close(&idle);
    client_close(&queued);
    harness_close(&harness);
}

static void it_closes_with_connections_in_every_state(void **state)
{
    (void)state;
    static const char *const starts[] = {"",
                                         "GET / HT",
                                         "GET / HTTP/1.1\r\nHo",
                                         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
                                         GET,
                                         "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /",
                                         "GET /large HTTP/1.1\r\nHost: h\r\n\r\n",
                                         PARK,
                                         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999\r\n\r\nab"};
    enum { N = sizeof starts / sizeof starts[0] };
    struct harness harness;
    struct client clients[N];
    harness_open(&harness, NULL);
    for (size_t i = 0; i < N; i++) {
        client_open(&clients[i], &harness);
        client_send(&clients[i], starts[i]);
    }
    WAIT_FOR(&harness, harness.requests == 4 && harness.too_large == 1);
    harness_answer_parked(&harness, 0, "at the last moment");
    harness_close(&harness);
    assert_int_equal(client_status(&clients[7], 0), 200); /* it was handed over before the end */
    for (size_t i = 0; i < N; i++) {
        assert_true(client_ended(&clients[i]));
        client_close(&clients[i]);
    }
}

static void it_closes_before_it_ever_ran(void **state)
{
    (void)state;
    struct harness harness;
    harness_open(&harness, NULL);
    harness_close(&harness);
}

/* Nobody would answer it any more. */
static void what_is_asked_while_it_closes_is_not_taken(void **state)
{
    (void)state;
    struct harness harness;
    struct client clients[2];
    harness_open(&harness, NULL);
    client_open(&clients[0], &harness);
    client_send(&clients[0], GET);
    WAIT_FOR(&harness, client_answers(&clients[0]) == 1);
    client_open(&clients[1], &harness);
    for (size_t i = 0; i < 2; i++) {
        client_send(&clients[i], PARK);
    }
    harness_close(&harness);
    assert_int_equal(harness.n_parked, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(client_ended(&clients[i]));
        assert_int_equal(client_answers(&clients[i]), 1 - i);
        client_close(&clients[i]);
    }
}

static void past_its_connections_others_wait_for_a_place(void **state)
{
    (void)state;
    const struct http_options options = {.connections = 3};
    struct harness harness;
    struct client clients[6];
    harness_open(&harness, &options);
    for (size_t i = 0; i < 6; i++) {
        client_open(&clients[i], &harness);
        client_send(&clients[i], PARK);
    }
    WAIT_FOR(&harness, harness.n_parked == 3);
    for (int i = 0; i < 20; i++) {
        harness_turn(&harness);
    }
    assert_int_equal(harness.n_parked, 3);
    for (size_t i = 0; i < 3; i++) {
        harness_answer_parked(&harness, i, "ok");
        WAIT_FOR(&harness, client_answers(&clients[i]) == 1);
        client_close(&clients[i]);
        WAIT_FOR(&harness, harness.n_parked == 4 + i);
    }
    for (size_t i = 3; i < 6; i++) {
        harness_answer_parked(&harness, i, "ok");
        WAIT_FOR(&harness, client_answers(&clients[i]) == 1);
        client_close(&clients[i]);
    }
    harness_close(&harness);
}

/* A crowd that comes, or sends a lot, at once leaves each turn of the loop to others, too. */
static void crowds_are_shared_out_over_turns(void **state)
{
    (void)state;
    static struct client clients[4 * LIMIT_HTTP_ACCEPTS];
    const size_t n = sizeof clients / sizeof clients[0];
    struct harness harness;
    harness_open(&harness, NULL);
    for (size_t i = 0; i < n; i++) {
        client_open(&clients[i], &harness);
        client_send(&clients[i], PARK);
    }
    for (size_t before = 0; before < n; before = http_connections(harness.server)) {
        harness_turn(&harness);
        assert_in_range(http_connections(harness.server), before, before + LIMIT_HTTP_ACCEPTS);
    }
    WAIT_FOR(&harness, harness.n_parked == n);
    for (size_t i = 0; i < n; i++) {
        harness_answer_parked(&harness, i, "ok");
        WAIT_FOR(&harness, client_answers(&clients[i]) == 1);
    }
    for (size_t i = 0; i < 10 * LIMIT_HTTP_ROUNDS; i++) {
        client_send(&clients[0], GET);
    }
    for (size_t before = harness.requests; harness.requests < n + 10 * LIMIT_HTTP_ROUNDS; before = harness.requests) {
        harness_turn(&harness);
        assert_in_range(harness.requests, before, before + LIMIT_HTTP_ROUNDS);
    }
    for (size_t i = 0; i < n; i++) {
        client_close(&clients[i]);
    }
    harness_close(&harness);
}

static size_t count_logged(const struct harness *harness, const char *text)
{
    size_t n = 0;
    const uint8_t *at = harness->logged.base;
    const uint8_t *end = at + harness->logged.len;
    while (at != NULL && (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        at++;
        n++;
    }
    return n;
}

/* The lowest limit at which no descriptor can be opened any more. */
static rlim_t highest_open_fd(void)
{
    int fd = dup(0);
    assert_true(fd >= 0);
    (void)close(fd);
    return (rlim_t)fd; /* the lowest free one: a limit of this allows none */
}

static void out_of_descriptors_it_neither_spins_nor_stops(void **state)
{
    (void)state;
    struct harness harness;
    struct client client;
    harness_open(&harness, NULL);
    client_open(&client, &harness);
    client_send(&client, GET);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = highest_open_fd(), .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    WAIT_FOR(&harness, count_logged(&harness, "connections are not accepted") > 0);
    uint64_t start = uv_hrtime();
    uint64_t turns = 0;
    for (; uv_hrtime() - start < 500000000u; turns++) { /* the connection is still there to be accepted */
        harness_turn(&harness);
    }
    assert_true(turns < 2500); /* it sleeps: there is one try each 100 ms, not one each turn … */
    uint64_t seconds = (uv_hrtime() - start) / 1000000000u;
    assert_true(count_logged(&harness, "connections are not accepted") <= 2 + seconds); /* … and one line a second */
    assert_int_equal(client_answers(&client), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    WAIT_FOR(&harness, client_answers(&client) == 1);
    client_close(&client);
    harness_close(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_it_cannot_listen_it_says_why),
        cmocka_unit_test(it_listens_where_it_is_told),
        cmocka_unit_test(it_sleeps_when_there_is_nothing_to_do),
        cmocka_unit_test(after_quiesce_what_is_under_way_is_answered_and_closed),
        cmocka_unit_test(it_closes_with_connections_in_every_state),
        cmocka_unit_test(it_closes_before_it_ever_ran),
        cmocka_unit_test(what_is_asked_while_it_closes_is_not_taken),
        cmocka_unit_test(past_its_connections_others_wait_for_a_place),
        cmocka_unit_test(crowds_are_shared_out_over_turns),
        cmocka_unit_test(out_of_descriptors_it_neither_spins_nor_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
