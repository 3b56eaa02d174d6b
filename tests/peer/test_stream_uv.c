/* Peer streams over real sockets: what the tests in memory prove, once more with libuv's own timing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "peer/peer.h"
#include "uv_world.h"

struct side {
    struct peer_set *set;
    struct peer *peer;
    uint64_t n_frames, last_term;
    bool in_order;
    unsigned n_inbound_ends, n_refused;
    enum peer_end end;
};

static void on_frame(void *arg, struct peer *peer, const struct frame *frame)
{
    struct side *side = arg;
    (void)peer;
    uint64_t term = frame->kind == FRAME_REQUEST_VOTE ? frame->request_vote.term : frame->append_entries.term;
    side->in_order = side->in_order && term == side->last_term + 1;
    side->last_term = term;
    side->n_frames++;
}

static void on_up(void *arg, struct peer *peer, const struct frame_hello *hello)
{
    (void)arg;
    (void)peer;
    assert_true(slice_equal(hello->http_address, slice_of("somewhere:80")));
}

static void on_inbound_down(void *arg, struct peer *peer, enum peer_end end)
{
    struct side *side = arg;
    (void)peer;
    side->n_inbound_ends++;
    side->end = end;
}

static void on_outbound_down(void *arg, struct peer *peer, bool refused)
{
    struct side *side = arg;
    (void)peer;
    side->n_refused += refused;
}

static void on_note(void *arg, struct slice about, const char *sentence)
{
    (void)arg;
    (void)about;
    (void)sentence;
}

static const struct peer_handlers handlers = {
    .frame = on_frame,
    .inbound_up = on_up,
    .inbound_down = on_inbound_down,
    .outbound_up = on_up,
    .outbound_down = on_outbound_down,
    .note = on_note,
};

static const uint8_t cluster_id[16] = {1};

static void side_open(struct side *side, struct uv_world *world, unsigned number, const char *key)
{
    struct error_text text;
    *side = (struct side){.in_order = true};
    struct peer_set_options options = {
        .loop = &world->loop,
        .network = &world->network,
        .name = number == 1 ? "n1" : "n2",
        .listen_host = "127.0.0.1",
        .http_address = "somewhere:80",
        .cluster_key = slice_of(key),
        .stall_ms = 600,
        .handlers = &handlers,
        .arg = side,
    };
    memset(options.incarnation, (int)number, 16);
    memset(options.run_id, (int)number, 16);
    assert_int_equal(peer_set_open(&options, &side->set, &text), ERROR_NONE);
    peer_set_join(side->set, cluster_id);
}

static void side_add(struct side *side, unsigned number, uint16_t port)
{
    uint8_t incarnation[16];
    memset(incarnation, (int)number, 16);
    side->peer = peer_add(side->set, number == 1 ? "n1" : "n2", "127.0.0.1", port, incarnation, NULL);
}

static bool sides_are_up(void *arg)
{
    const struct side *sides = arg;
    for (int i = 0; i < 2; i++) {
        if (!peer_is_up(sides[i].peer) || !peer_is_inbound_up(sides[i].peer)) {
            return false;
        }
    }
    return true;
}

static void sides_open(struct side sides[2], struct uv_world *world, const char *key)
{
    uv_world_open(world);
    side_open(&sides[0], world, 1, key);
    side_open(&sides[1], world, 2, key);
    side_add(&sides[0], 2, peer_set_port(sides[1].set));
    side_add(&sides[1], 1, peer_set_port(sides[0].set));
    uv_world_wait(world, sides_are_up, sides);
}

static bool second_has_all(void *arg)
{
    return ((struct side *)arg)[1].n_frames >= 40;
}

static void send_all(const char *key)
{
    struct uv_world world;
    struct side sides[2];
    uint8_t *data = calloc(1, LIMIT_ENTRY_BYTES);
    struct frame_log_entry entries[LIMIT_APPEND_ENTRIES];
    for (size_t i = 0; i < LIMIT_APPEND_ENTRIES; i++) {
        entries[i] = (struct frame_log_entry){.term = 1, .type = 1, .data = {.base = data, .len = LIMIT_ENTRY_BYTES}};
    }
    sides_open(sides, &world, key);
    for (uint64_t term = 1; term <= 40; term++) { /* one of 16 MiB among small ones */
        struct frame frame = {.kind = FRAME_REQUEST_VOTE, .request_vote = {.term = term}};
        if (term == 20) {
            frame =
                (struct frame){.kind = FRAME_APPEND_ENTRIES,
                               .append_entries = {.term = term, .entries = entries, .n_entries = LIMIT_APPEND_ENTRIES}};
        }
        assert_true(peer_send(sides[0].peer, &frame));
    }
    uv_world_wait(&world, second_has_all, sides);
    assert_true(sides[1].in_order);
    peer_set_close(sides[0].set);
    peer_set_close(sides[1].set);
    uv_world_close(&world);
    free(data);
}

static void test_frames_of_every_size_arrive_in_order(void **state)
{
    (void)state;
    send_all(NULL);
    send_all("0123456789abcdef0123456789abcdef");
}

static bool second_saw_the_end(void *arg)
{
    return ((struct side *)arg)[1].n_inbound_ends == 1;
}

static bool second_was_refused(void *arg)
{
    return ((struct side *)arg)[1].n_refused >= 1;
}

static void test_closed_process_is_an_end_of_file_and_a_refused_redial(void **state)
{
    (void)state;
    struct uv_world world;
    struct side sides[2];
    sides_open(sides, &world, "0123456789abcdef0123456789abcdef");
    struct frame frame = {.kind = FRAME_REQUEST_VOTE, .request_vote = {.term = 1}};
    assert_true(peer_send(sides[0].peer, &frame));
    peer_set_flush(sides[0].set);
    peer_set_close(sides[0].set);
    uv_world_wait(&world, second_saw_the_end, sides);
    assert_int_equal(sides[1].end, PEER_END_OF_FILE);
    assert_int_equal(sides[1].n_frames, 1);
    peer_redial(sides[1].peer);
    uv_world_wait(&world, second_was_refused, sides);
    peer_set_close(sides[1].set);
    uv_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_of_every_size_arrive_in_order),
        cmocka_unit_test(test_closed_process_is_an_end_of_file_and_a_refused_redial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
