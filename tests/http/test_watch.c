/* Watching for hang-ups: an owner whose client waits for an answer is told when the client goes, and of nothing else. */
#include <string.h>
#include <sys/socket.h>

#include "harness.h"

#define GET  "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define PARK "GET /park HTTP/1.1\r\nHost: h\r\n\r\n"

#define CROWD 1000

struct watcher {
    struct harness *harness;
    struct exchange *exchange; /* NULL once answered */
    size_t told;
};

static struct harness harness;
static struct watcher watchers[CROWD];
static size_t n_watchers;
static struct client clients[CROWD];

static int setup(void **state)
{
    (void)state;
    const struct http_options options = {.connections = 2 * CROWD};
    harness_open(&harness, &options);
    memset(watchers, 0, sizeof watchers);
    n_watchers = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&harness);
    return 0;
}

static void answer(struct watcher *watcher)
{
    exchange_answer(watcher->exchange, 200, NULL, 0, slice_of("ok"));
    watcher->exchange = NULL;
}

static void on_gone(void *arg)
{
    struct watcher *watcher = arg;
    assert_non_null(watcher->exchange);
    watcher->told++;
}

static void watch(struct exchange *exchange, void (*gone)(void *arg))
{
    assert_true(n_watchers < CROWD);
    struct watcher *watcher = &watchers[n_watchers++];
    *watcher = (struct watcher){.harness = &harness, .exchange = exchange};
    exchange_watch(exchange, gone, watcher);
    assert_int_equal(watcher->told, 0); /* not from inside the call */
}

static void take_and_watch(struct harness *of, struct exchange *exchange)
{
    (void)of;
    watch(exchange, on_gone);
}

static void open_watched(struct client *client)
{
    size_t before = n_watchers;
    harness.take = take_and_watch;
    client_open(client, &harness);
    client_send(client, PARK);
    WAIT_FOR(&harness, n_watchers == before + 1);
}

static size_t count_told(void)
{
    size_t told = 0;
    for (size_t i = 0; i < n_watchers; i++) {
        told += watchers[i].told;
    }
    return told;
}

/* ---- every way to go ---- */

static void go_by_close(struct client *client)
{
    client_close(client);
}

static void go_by_reset(struct client *client)
{
    client_reset(client);
}

static void go_by_half_close(struct client *client)
{
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
}

static void go_behind_bytes(struct client *client)
{
    client_send(client, "GET / HT");
    client_close(client);
}

static void go_by_reset_behind_bytes(struct client *client)
{
    client_send(client, "GET");
    client_reset(client);
}

static void (*const ways[])(struct client *client) = {go_by_close, go_by_reset, go_by_half_close, go_behind_bytes,
                                                      go_by_reset_behind_bytes};
enum { N_WAYS = sizeof ways / sizeof ways[0], N_SILENT_WAYS = 3 }; /* the first three leave no half of a request */

static void tidy(void (*way)(struct client *client), struct client *client)
{
    if (way == go_by_half_close) {
        client_close(client);
    }
}

static void who_hangs_up_is_told_of_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_WAYS; i++) {
        open_watched(&clients[i]);
        ways[i](&clients[i]);
        WAIT_FOR(&harness, watchers[i].told == 1);
        assert_true(exchange_is_gone(watchers[i].exchange));
        harness_settle(&harness); /* it is no event any more */
        assert_int_equal(watchers[i].told, 1);
        answer(&watchers[i]);
        WAIT_FOR(&harness, http_pending(harness.server) == 0 && http_connections(harness.server) == 0);
        tidy(ways[i], &clients[i]);
    }
    assert_int_equal(count_told(), N_WAYS);
}

static void a_hang_up_before_the_watch_is_not_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_WAYS; i++) {
        client_open(&clients[i], &harness);
        client_send(&clients[i], PARK);
        WAIT_FOR(&harness, harness.n_parked == i + 1);
        ways[i](&clients[i]);
        WAIT_FOR(&harness, exchange_is_gone(harness.parked[i]));
        watch(harness.parked[i], on_gone);
        WAIT_FOR(&harness, watchers[i].told == 1);
        answer(&watchers[i]);
        tidy(ways[i], &clients[i]);
    }
    WAIT_FOR(&harness, http_pending(harness.server) == 0);
    assert_int_equal(count_told(), N_WAYS);
}

static void a_request_whose_client_has_gone_already_is_told_of(void **state)
{
    (void)state;
    harness.take = take_and_watch;
    client_open(&clients[0], &harness);
    client_send(&clients[0], PARK);
    go_by_half_close(&clients[0]); /* before the server has run at all */
    WAIT_FOR(&harness, n_watchers == 1 && watchers[0].told == 1);
    answer(&watchers[0]);
    client_close(&clients[0]);
    WAIT_FOR(&harness, http_pending(harness.server) == 0);
}

/* ---- what is no hang-up ---- */

static void who_sends_its_next_request_early_has_not_gone(void **state)
{
    (void)state;
    open_watched(&clients[0]);
    client_send(&clients[0], GET "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    harness_settle(&harness); /* and it wakes nobody */
    assert_int_equal(count_told(), 0);
    harness.take = NULL;
    answer(&watchers[0]);
    WAIT_FOR(&harness, client_answers(&clients[0]) == 3);
    assert_int_equal(count_told(), 0);
    client_close(&clients[0]);
}

static void after_the_answer_nothing_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SILENT_WAYS; i++) {
        open_watched(&clients[i]);
        answer(&watchers[i]);
        WAIT_FOR(&harness, client_answers(&clients[i]) == 1);
        ways[i](&clients[i]);
        WAIT_FOR(&harness, http_connections(harness.server) == 0);
        tidy(ways[i], &clients[i]);
    }
    /* Gone and answered between two turns. */
    open_watched(&clients[0]);
    client_close(&clients[0]);
    answer(&watchers[N_SILENT_WAYS]);
    WAIT_FOR(&harness, http_connections(harness.server) == 0);
    assert_int_equal(count_told(), 0);
}

static void take_and_answer(struct harness *of, struct exchange *exchange)
{
    (void)of;
    watch(exchange, on_gone);
    answer(&watchers[n_watchers - 1]);
}

static void who_is_answered_inside_its_request_is_not_watched(void **state)
{
    (void)state;
    harness.take = take_and_answer;
    client_open(&clients[0], &harness);
    client_send(&clients[0], GET);
    WAIT_FOR(&harness, client_answers(&clients[0]) == 1);
    client_close(&clients[0]);
    WAIT_FOR(&harness, http_connections(harness.server) == 0);
    assert_int_equal(count_told(), 0);
}

/* ---- crowds ---- */

static void answer_all(void *arg)
{
    on_gone(arg);
    for (size_t i = 0; i < n_watchers; i++) {
        answer(&watchers[i]);
    }
}

static void take_and_answer_all(struct harness *of, struct exchange *exchange)
{
    (void)of;
    watch(exchange, answer_all);
}

static void who_is_answered_by_anothers_call_is_not_told_of(void **state)
{
    (void)state;
    harness.take = take_and_answer_all;
    for (size_t i = 0; i < 20; i++) {
        client_open(&clients[i], &harness);
        client_send(&clients[i], PARK);
    }
    WAIT_FOR(&harness, n_watchers == 20);
    for (size_t i = 0; i < 20; i++) {
        client_close(&clients[i]); /* all in one turn */
    }
    WAIT_FOR(&harness, http_connections(harness.server) == 0);
    assert_int_equal(count_told(), 1);
}

static void of_a_thousand_the_half_that_hangs_up_is_told_of_turn_by_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < CROWD; i++) {
        open_watched(&clients[i]);
    }
    harness_settle(&harness); /* a thousand cost nothing while nothing happens */
    for (size_t i = 0; i < CROWD; i += 2) {
        ways[i / 2 % N_WAYS](&clients[i]);
    }
    for (size_t before = 0; before < CROWD / 2; before = count_told()) {
        harness_turn(&harness);
        assert_in_range(count_told(), before, before + LIMIT_HTTP_CALLS);
    }
    harness_settle(&harness);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(watchers[i].told, i % 2 == 0);
        answer(&watchers[i]);
    }
    for (size_t i = 0; i < CROWD; i++) {
        if (i % 2 == 1) {
            WAIT_FOR(&harness, client_answers(&clients[i]) == 1);
            client_close(&clients[i]);
        } else {
            tidy(ways[i / 2 % N_WAYS], &clients[i]);
        }
    }
    WAIT_FOR(&harness, http_connections(harness.server) == 0);
    assert_int_equal(count_told(), CROWD / 2);
}

/* ---- descriptors that come again ---- */

static void a_later_connection_with_the_same_descriptor_is_not_confused(void **state)
{
    (void)state;
    const char *upload = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999\r\n\r\nab";
    struct client old;
    for (size_t i = 0; i < 30; i++) {
        /* Watched, answered, refused: MHD closes the descriptor, and what reads the upload out keeps the socket open. */
        open_watched(&old);
        answer(&watchers[2 * i]);
        WAIT_FOR(&harness, client_answers(&old) == 1);
        client_send(&old, upload);
        WAIT_FOR(&harness, client_answers(&old) == 2 && http_connections(harness.server) == i);
        open_watched(&clients[i]);
        client_reset(&old);
        harness_settle(&harness);
        assert_int_equal(watchers[2 * i + 1].told, 0);
    }
    for (size_t i = 0; i < 30; i++) {
        client_close(&clients[i]);
        WAIT_FOR(&harness, watchers[2 * i + 1].told == 1);
        answer(&watchers[2 * i + 1]);
    }
    assert_int_equal(count_told(), 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    harness_allow_descriptors(2 * CROWD + 200);
    const struct CMUnitTest tests[] = {
        TEST(who_hangs_up_is_told_of_once),
        TEST(a_hang_up_before_the_watch_is_not_lost),
        TEST(a_request_whose_client_has_gone_already_is_told_of),
        TEST(who_sends_its_next_request_early_has_not_gone),
        TEST(after_the_answer_nothing_is_told),
        TEST(who_is_answered_inside_its_request_is_not_watched),
        TEST(who_is_answered_by_anothers_call_is_not_told_of),
        TEST(of_a_thousand_the_half_that_hangs_up_is_told_of_turn_by_turn),
        TEST(a_later_connection_with_the_same_descriptor_is_not_confused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
