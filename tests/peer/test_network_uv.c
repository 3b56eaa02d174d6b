/* TCP through libuv, on loopback: what each way to end is called, that nothing is lost before it, and that accept
 * doesn't spin without descriptors. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/slice.h"
#include "uv_world.h"

/* One end, and what it was told. */
struct end {
    struct uv_world *world;
    struct connection *connection;
    bool opened, closed, drained;
    bool close_on_received, close_on_opened;
    enum connection_end how;
    size_t n_received;
    uint64_t sum; /* of what was received, with its position */
};

static void end_opened(void *arg)
{
    struct end *end = arg;
    end->opened = true;
    if (end->close_on_opened) {
        end->world->network.close(end->connection);
        end->connection = NULL;
    }
}

static void end_received(void *arg, const uint8_t *bytes, size_t len)
{
    struct end *end = arg;
    assert_false(end->closed);
    for (size_t i = 0; i < len; i++) {
        end->sum += (end->n_received + i) * bytes[i];
    }
    end->n_received += len;
    if (end->close_on_received) {
        end->world->network.close(end->connection);
        end->connection = NULL;
    }
}

static void end_drained(void *arg)
{
    ((struct end *)arg)->drained = true;
}

static void end_closed(void *arg, enum connection_end how)
{
    struct end *end = arg;
    assert_false(end->closed);
    end->closed = true;
    end->how = how;
    end->connection = NULL;
}

static const struct connection_handlers end_handlers = {end_opened, end_received, end_drained, end_closed};

static void end_accepted(void *arg, struct connection *connection, const char *remote)
{
    struct end *end = arg;
    assert_null(end->connection);
    assert_true(strncmp(remote, "127.0.0.1:", 10) == 0 || strncmp(remote, "[::1]:", 6) == 0);
    end->opened = true;
    end->connection = connection;
    end->world->network.set_handlers(connection, &end_handlers, end);
}

static bool end_is_open(void *arg)
{
    return ((struct end *)arg)->opened;
}

static bool end_is_closed(void *arg)
{
    return ((struct end *)arg)->closed;
}

struct pair {
    struct uv_world world;
    struct listener *listener;
    struct end dialled, accepted;
};

static void pair_listen(struct pair *pair, const char *host)
{
    struct error_text text;
    memset(pair, 0, sizeof *pair);
    uv_world_open(&pair->world);
    pair->dialled.world = pair->accepted.world = &pair->world;
    struct network *network = &pair->world.network;
    assert_int_equal(network->listen(network->impl, host, 0, end_accepted, &pair->accepted, &pair->listener, &text),
                     ERROR_NONE);
}

static uint16_t pair_port(const struct pair *pair)
{
    return pair->world.network.listener_port(pair->listener);
}

static void pair_dial(struct pair *pair, const char *host, uint16_t port)
{
    struct network *network = &pair->world.network;
    pair->dialled.connection = network->dial(network->impl, host, port, &end_handlers, &pair->dialled);
    assert_false(pair->dialled.opened || pair->dialled.closed); /* never from inside the call */
}

static void pair_open(struct pair *pair)
{
    pair_listen(pair, "127.0.0.1");
    pair_dial(pair, "127.0.0.1", pair_port(pair));
    uv_world_wait(&pair->world, end_is_open, &pair->dialled);
    uv_world_wait(&pair->world, end_is_open, &pair->accepted);
}

static void pair_close(struct pair *pair)
{
    struct end *ends[] = {&pair->dialled, &pair->accepted};
    for (int i = 0; i < 2; i++) {
        if (ends[i]->connection != NULL) {
            pair->world.network.close(ends[i]->connection);
        }
    }
    if (pair->listener != NULL) {
        pair->world.network.listener_close(pair->listener);
    }
    uv_world_close(&pair->world);
}

/* ---- bytes ---- */

static bool dialled_is_sent(void *arg)
{
    struct pair *pair = arg;
    return pair->world.network.unsent(pair->dialled.connection) == 0;
}

static void test_every_byte_arrives_before_the_end_of_file(void **state)
{
    (void)state;
    enum { BYTES = 20000000 };
    struct pair pair;
    uint8_t *bytes = malloc(BYTES);
    uint64_t sum = 0;
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
        sum += i * bytes[i];
    }
    pair_open(&pair);
    for (size_t at = 0; at < BYTES; at += BYTES / 10) { /* behind what is unsent, too */
        pair.world.network.send(pair.dialled.connection, bytes + at, BYTES / 10);
    }
    assert_true(pair.world.network.unsent(pair.dialled.connection) > 0);
    uv_world_wait(&pair.world, dialled_is_sent, &pair);
    assert_true(pair.dialled.drained);
    pair.world.network.close(pair.dialled.connection);
    pair.dialled.connection = NULL;
    uv_world_wait(&pair.world, end_is_closed, &pair.accepted);
    assert_int_equal(pair.accepted.n_received, BYTES);
    assert_true(pair.accepted.sum == sum);
    assert_int_equal(pair.accepted.how, CONNECTION_END_OF_FILE);
    assert_false(pair.dialled.closed); /* it closed itself: nobody is called */
    pair_close(&pair);
    free(bytes);
}

static bool accepted_has_5(void *arg)
{
    return ((struct pair *)arg)->accepted.n_received == 5;
}

static bool dialled_has_3(void *arg)
{
    return ((struct pair *)arg)->dialled.n_received == 3;
}

static void test_small_writes_leave_at_once_and_both_ways(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    pair.world.network.send(pair.dialled.connection, "hello", 5);
    assert_int_equal(pair.world.network.unsent(pair.dialled.connection), 0);
    uv_world_wait(&pair.world, accepted_has_5, &pair);
    pair.world.network.send(pair.accepted.connection, "you", 3);
    uv_world_wait(&pair.world, dialled_has_3, &pair);
    assert_false(pair.dialled.drained || pair.accepted.drained); /* nothing was ever unsent */
    pair_close(&pair);
}

static void test_connections_may_be_closed_inside_their_callbacks(void **state)
{
    (void)state;
    struct pair pair;
    pair_listen(&pair, "127.0.0.1");
    pair.accepted.close_on_received = true;
    pair_dial(&pair, "127.0.0.1", pair_port(&pair));
    uv_world_wait(&pair.world, end_is_open, &pair.dialled);
    uv_world_wait(&pair.world, end_is_open, &pair.accepted);
    pair.world.network.send(pair.dialled.connection, "hello", 5);
    uv_world_wait(&pair.world, end_is_closed, &pair.dialled);
    assert_int_equal(pair.accepted.n_received, 5);
    assert_false(pair.accepted.closed);
    pair_close(&pair);

    pair_listen(&pair, "127.0.0.1");
    pair.dialled.close_on_opened = true;
    pair_dial(&pair, "127.0.0.1", pair_port(&pair));
    uv_world_wait(&pair.world, end_is_open, &pair.dialled);
    assert_false(pair.dialled.closed);
    pair_close(&pair);
}

/* ---- ends ---- */

static int plain_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void test_reset_comes_after_what_was_sent_and_is_called_so(void **state)
{
    (void)state;
    struct pair pair;
    pair_listen(&pair, "127.0.0.1");
    int fd = plain_connect(pair_port(&pair));
    uv_world_wait(&pair.world, end_is_open, &pair.accepted);
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(write(fd, "hello", 5), 5);
    uv_world_wait(&pair.world, accepted_has_5, &pair);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(close(fd), 0);
    uv_world_wait(&pair.world, end_is_closed, &pair.accepted);
    assert_int_equal(pair.accepted.how, CONNECTION_RESET);
    pair_close(&pair);
}

static void test_write_to_a_closed_end_is_reported_later(void **state)
{
    (void)state;
    struct pair pair;
    static uint8_t bytes[100000];
    pair_listen(&pair, "127.0.0.1");
    int fd = plain_connect(pair_port(&pair));
    uv_world_wait(&pair.world, end_is_open, &pair.accepted);
    assert_int_equal(write(fd, "hello", 5), 5);
    uv_world_wait(&pair.world, accepted_has_5, &pair);
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(close(fd), 0);
    for (int i = 0; i < 20; i++) { /* the first one meets the reset, the others a dead connection */
        pair.world.network.send(pair.accepted.connection, bytes, sizeof bytes);
    }
    assert_false(pair.accepted.closed);
    uv_world_wait(&pair.world, end_is_closed, &pair.accepted);
    assert_int_equal(pair.accepted.how, CONNECTION_RESET);
    pair_close(&pair);
}

static void dial_ends(const char *host, enum connection_end how)
{
    struct pair pair;
    pair_listen(&pair, "127.0.0.1");
    uint16_t port = pair_port(&pair);
    pair.world.network.listener_close(pair.listener);
    pair.listener = NULL;
    pair_dial(&pair, host, port);
    uv_world_wait(&pair.world, end_is_closed, &pair.dialled);
    assert_int_equal(pair.dialled.how, how);
    assert_false(pair.dialled.opened);
    pair_close(&pair);
}

static void test_dial_where_nobody_listens_is_refused(void **state)
{
    (void)state;
    dial_ends("127.0.0.1", CONNECTION_REFUSED);
    dial_ends("localhost", CONNECTION_REFUSED); /* at each of its addresses */
}

static void test_name_without_address_is_unresolved(void **state)
{
    (void)state;
    dial_ends("no..such..name", CONNECTION_UNRESOLVED);
    dial_ends("", CONNECTION_UNRESOLVED);
}

/* A listener whose queue is full drops what knocks: the host is silent. */
static void test_dial_without_answer_times_out_after_2_s(void **state)
{
    (void)state;
    struct pair pair;
    int knocking[8];
    pair_listen(&pair, "127.0.0.1");
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(silent, 0), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &len), 0);
    for (size_t i = 0; i < 8; i++) {
        knocking[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(knocking[i], (struct sockaddr *)&address, sizeof address);
    }
    uint64_t began_ns = uv_hrtime();
    pair_dial(&pair, "127.0.0.1", ntohs(address.sin_port));
    uv_world_wait(&pair.world, end_is_closed, &pair.dialled);
    assert_int_equal(pair.dialled.how, CONNECTION_TIMED_OUT);
    assert_true(uv_hrtime() - began_ns >= 1900000000u);
    for (size_t i = 0; i < 8; i++) {
        (void)close(knocking[i]);
    }
    (void)close(silent);
    pair_close(&pair);
}

static void test_dial_that_is_closed_calls_nobody(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "no..such..name"};
    for (size_t i = 0; i < 3; i++) {
        for (int polls = 0; polls < 3; polls++) {
            struct pair pair;
            pair_listen(&pair, "127.0.0.1");
            pair_dial(&pair, hosts[i], pair_port(&pair));
            for (int j = 0; j < polls; j++) {
                uv_world_poll(&pair.world);
            }
            bool opened = pair.dialled.opened;
            if (pair.dialled.connection != NULL) {
                pair.world.network.close(pair.dialled.connection);
                pair.dialled.connection = NULL;
            }
            bool closed = pair.dialled.closed;
            pair_close(&pair);
            assert_int_equal(pair.dialled.opened, opened);
            assert_int_equal(pair.dialled.closed, closed);
        }
    }
}

/* ---- listening ---- */

static void test_localhost_listens_on_each_of_its_addresses(void **state)
{
    (void)state;
    struct pair pair;
    pair_listen(&pair, "localhost");
    pair_dial(&pair, "127.0.0.1", pair_port(&pair));
    uv_world_wait(&pair.world, end_is_open, &pair.dialled);
    uv_world_wait(&pair.world, end_is_open, &pair.accepted);
    pair_close(&pair);
}

static void test_all_addresses_take_both_families(void **state)
{
    (void)state;
    static const char *const hosts[] = {"0.0.0.0", "::", ""}; /* "": both, and neither in the other's way */
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct pair pair;
        pair_listen(&pair, hosts[i]);
        pair_dial(&pair, "127.0.0.1", pair_port(&pair));
        uv_world_wait(&pair.world, end_is_open, &pair.dialled);
        uv_world_wait(&pair.world, end_is_open, &pair.accepted);
        pair_close(&pair);
    }
}

static void test_address_in_use_and_wrong_names_say_what_to_do(void **state)
{
    (void)state;
    struct pair pair;
    struct listener *second = NULL;
    struct error_text text;
    pair_listen(&pair, "127.0.0.1");
    struct network *network = &pair.world.network;
    assert_int_equal(
        network->listen(network->impl, "127.0.0.1", pair_port(&pair), end_accepted, &pair.accepted, &second, &text),
        ERROR_NETWORK);
    assert_non_null(strstr(text.text, "can't listen on 127.0.0.1 port "));
    assert_non_null(strstr(text.text, "another process listens there"));
    assert_int_equal(network->listen(network->impl, "no..such..name", 0, end_accepted, &pair.accepted, &second, &text),
                     ERROR_NETWORK);
    assert_non_null(strstr(text.text, "no..such..name"));
    assert_int_equal(network->listen(network->impl, "192.0.2.1", 0, end_accepted, &pair.accepted, &second, &text),
                     ERROR_NETWORK);
    assert_non_null(strstr(text.text, "this host has no such address"));
    pair_close(&pair);
}

static void test_a_port_can_be_listened_on_again_at_once(void **state)
{
    (void)state;
    struct pair pair;
    struct error_text text;
    pair_open(&pair);
    uint16_t port = pair_port(&pair);
    struct network *network = &pair.world.network;
    network->close(pair.accepted.connection); /* we close first: TIME_WAIT is on our side */
    pair.accepted.connection = NULL;
    uv_world_wait(&pair.world, end_is_closed, &pair.dialled);
    network->listener_close(pair.listener);
    assert_int_equal(
        network->listen(network->impl, "127.0.0.1", port, end_accepted, &pair.accepted, &pair.listener, &text),
        ERROR_NONE);
    pair_close(&pair);
}

static void test_accept_without_descriptors_waits_and_does_not_spin(void **state)
{
    (void)state;
    struct pair pair;
    struct rlimit before, tight;
    pair_listen(&pair, "127.0.0.1");
    int fd = plain_connect(pair_port(&pair));
    int last = dup(fd); /* all below it are taken */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)last + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    uv_world_poll(&pair.world);
    uint64_t began_ns = uv_hrtime();
    size_t turns = pair.world.n_turns;
    while (uv_hrtime() - began_ns < 250000000u) {
        (void)uv_run(&pair.world.uv, UV_RUN_ONCE);
    }
    assert_in_range(pair.world.n_turns - turns, 1, 20);
    assert_false(pair.accepted.opened);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    uv_world_wait(&pair.world, end_is_open, &pair.accepted);
    (void)close(last);
    (void)close(fd);
    pair_close(&pair);
}

static void test_connections_have_no_delay_and_a_time_out(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    int n_checked = 0;
    for (int fd = 3; fd < 64; fd++) {
        int no_delay = 0, timeout_ms = 0;
        socklen_t len = sizeof(int), peer_len = sizeof(struct sockaddr_storage);
        struct sockaddr_storage peer = {0};
        if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0 || peer.ss_family != AF_INET) {
            continue;
        }
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &len), 0);
        assert_int_equal(no_delay, 1);
        assert_int_equal(timeout_ms, 3000);
        n_checked++;
    }
    assert_int_equal(n_checked, 2);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_arrives_before_the_end_of_file),
        cmocka_unit_test(test_small_writes_leave_at_once_and_both_ways),
        cmocka_unit_test(test_connections_may_be_closed_inside_their_callbacks),
        cmocka_unit_test(test_reset_comes_after_what_was_sent_and_is_called_so),
        cmocka_unit_test(test_write_to_a_closed_end_is_reported_later),
        cmocka_unit_test(test_dial_where_nobody_listens_is_refused),
        cmocka_unit_test(test_name_without_address_is_unresolved),
        cmocka_unit_test(test_dial_without_answer_times_out_after_2_s),
        cmocka_unit_test(test_dial_that_is_closed_calls_nobody),
        cmocka_unit_test(test_localhost_listens_on_each_of_its_addresses),
        cmocka_unit_test(test_all_addresses_take_both_families),
        cmocka_unit_test(test_address_in_use_and_wrong_names_say_what_to_do),
        cmocka_unit_test(test_a_port_can_be_listened_on_again_at_once),
        cmocka_unit_test(test_accept_without_descriptors_waits_and_does_not_spin),
        cmocka_unit_test(test_connections_have_no_delay_and_a_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
