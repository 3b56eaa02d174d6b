/* A piece arrives at its due time, if the line lets it pass and the reader has room; the reader gets what has arrived at
 * an event of its own, whole or split anywhere. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"

struct connection *sim_stream_other_end(struct connection *connection)
{
    return &connection->stream->ends[1 - connection->side];
}

struct line *sim_stream_line(struct connection *from)
{
    return &from->stream->fabric->lines[from->node->index][sim_stream_other_end(from)->node->index];
}

uint64_t sim_stream_latency_ns(struct sim_fabric *fabric, const struct line *line)
{
    struct rng *rng = &fabric->world->rng;
    uint64_t latency = fabric->latency_ns / 2 + rng_below(rng, fabric->latency_ns + 1) + line->delay_ns;
    return rng_chance(rng, 2) ? latency + rng_below(rng, 200 * SIM_MS) : latency;
}

/* ---- memory ---- */

void sim_stream_drop_pieces(struct connection *connection)
{
    while (connection->first != NULL) {
        struct piece *piece = connection->first;
        connection->first = piece->next;
        free(piece->bytes);
        free(piece);
    }
    connection->last = NULL;
    connection->on_wire = 0;
}

static void cancel(struct connection *connection, struct sim_event **event)
{
    sim_cancel(connection->stream->fabric->world, *event);
    *event = NULL;
}

void sim_stream_cancel_process_events(struct connection *connection)
{
    cancel(connection, &connection->received);
    cancel(connection, &connection->opened);
    cancel(connection, &connection->drained);
    cancel(connection, &connection->closed);
}

static void end_free(struct connection *connection)
{
    sim_stream_cancel_process_events(connection);
    cancel(connection, &connection->arrival);
    cancel(connection, &connection->timeout);
    sim_stream_drop_pieces(connection);
    buffer_close(&connection->in);
}

void sim_stream_release(struct stream *stream)
{
    const struct connection *a = &stream->ends[0];
    const struct connection *b = &stream->ends[1];
    if (!a->gone || a->held || !b->gone || b->held) {
        return;
    }
    struct sim_fabric *fabric = stream->fabric;
    sim_cancel(fabric->world, stream->dial);
    end_free(&stream->ends[0]);
    end_free(&stream->ends[1]);
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        fabric->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->previous = stream->previous;
    }
    fabric->n_streams--;
    free(stream);
}

struct stream *sim_stream_new(struct sim_fabric *fabric, struct sim_node *from, struct sim_node *to)
{
    struct stream *stream = calloc(1, sizeof *stream);
    CHECK(stream != NULL);
    stream->fabric = fabric;
    stream->number = fabric->next_number++;
    for (unsigned side = 0; side < 2; side++) {
        stream->ends[side].stream = stream;
        stream->ends[side].side = side;
        stream->ends[side].node = side == 0 ? from : to;
        buffer_init(&stream->ends[side].in);
    }
    stream->ends[1].gone = true; /* until somebody listens there */
    stream->next = fabric->streams;
    if (fabric->streams != NULL) {
        fabric->streams->previous = stream;
    }
    fabric->streams = stream;
    fabric->n_streams++;
    return stream;
}

/* ---- ends ---- */

static void tell_closed(void *arg)
{
    struct connection *connection = arg;
    connection->closed = NULL;
    connection->gone = true;
    connection->held = false;
    sim_stream_cancel_process_events(connection);
    const struct connection_handlers *handlers = connection->handlers;
    void *handlers_arg = connection->arg;
    enum connection_end how = connection->closed_how;
    struct stream *stream = connection->stream;
    if (sim_stream_other_end(connection)->stalled) {
        sim_stream_kick(sim_stream_other_end(connection)); /* to learn that nobody is here */
    }
    if (handlers != NULL) {
        handlers->closed(handlers_arg, how);
    }
    sim_stream_release(stream);
}

void sim_stream_end_with(struct connection *connection, enum connection_end how, uint64_t delay_ns)
{
    if (connection->gone || connection->closed != NULL) {
        return;
    }
    connection->closed_how = how;
    connection->closed = sim_schedule(connection->stream->fabric->world, connection->node, delay_ns, SIM_CONNECTION,
                                      tell_closed, connection);
}

/* A reset overtakes everything that is still under way to that end. */
static void reset_end(struct connection *connection)
{
    struct connection *from = sim_stream_other_end(connection);
    struct sim_fabric *fabric = connection->stream->fabric;
    if (connection->stream->silent || sim_stream_line(from)->blocked) {
        return;
    }
    sim_stream_drop_pieces(from);
    sim_stream_end_with(connection, CONNECTION_RESET, sim_stream_latency_ns(fabric, sim_stream_line(from)));
}

/* ---- bytes ---- */

static void hand_over(void *arg)
{
    struct connection *to = arg;
    struct sim_world *world = to->stream->fabric->world;
    to->received = NULL;
    if (to->in.len == 0) {
        if (to->in_end) {
            sim_stream_end_with(to, CONNECTION_END_OF_FILE, 0);
        }
        return;
    }
    size_t len = rng_chance(&world->rng, 900) ? to->in.len : 1 + (size_t)rng_below(&world->rng, to->in.len);
    uint8_t *bytes = malloc(len);
    CHECK(bytes != NULL);
    memcpy(bytes, to->in.base, len);
    memmove(to->in.base, to->in.base + len, to->in.len - len);
    to->in.len -= len;
    if (to->in.len > 0 || to->in_end) {
        to->received = sim_schedule(world, to->node, rng_below(&world->rng, 20 * SIM_US), SIM_RECEIVED, hand_over, to);
    }
    sim_trace(world, checksum_64(bytes, len));
    sim_stream_kick(sim_stream_other_end(to));
    to->handlers->received(to->arg, bytes, len);
    free(bytes);
}

static void want_hand_over(struct connection *to)
{
    if (to->received == NULL && to->handlers != NULL && !to->gone) {
        to->received = sim_schedule(to->stream->fabric->world, to->node, 0, SIM_RECEIVED, hand_over, to);
    }
}

static size_t unsent_bytes(struct connection *from)
{
    size_t outstanding = from->on_wire + sim_stream_other_end(from)->in.len;
    size_t window = from->stream->fabric->window;
    return outstanding > window ? outstanding - window : 0;
}

static void tell_drained(void *arg)
{
    struct connection *connection = arg;
    connection->drained = NULL;
    if (!connection->gone && unsent_bytes(connection) == 0 && connection->handlers->drained != NULL) {
        connection->handlers->drained(connection->arg);
    }
}

static void piece_arrives(struct connection *from, struct piece *piece)
{
    struct connection *to = sim_stream_other_end(from);
    struct sim_fabric *fabric = from->stream->fabric;
    if (fabric->garble) {
        fabric->garble = false;
        piece->bytes[rng_below(&fabric->world->rng, piece->len)] ^= (uint8_t)(1u << rng_below(&fabric->world->rng, 8));
    }
    from->first = piece->next;
    from->last = from->first == NULL ? NULL : from->last;
    from->on_wire -= piece->len;
    from->progress_ns = fabric->world->now_ns;
    if (!to->gone) {
        buffer_append(&to->in, piece->bytes, piece->len);
        want_hand_over(to);
    } else if (to->node->powered) {
        reset_end(from);
    }
    free(piece->bytes);
    free(piece);
}

/* Can the first piece, or the end, go over now? */
static bool passes(struct connection *from)
{
    struct connection *to = sim_stream_other_end(from);
    if (from->stream->silent || sim_stream_line(from)->blocked || !to->node->powered) {
        return false;
    }
    return to->gone || to->in.len <= from->stream->fabric->window;
}

static void arrive(void *arg)
{
    struct connection *from = arg;
    struct connection *to = sim_stream_other_end(from);
    uint64_t now = from->stream->fabric->world->now_ns;
    from->arrival = NULL;
    if (!passes(from)) {
        from->stalled = true;
        return;
    }
    while (from->first != NULL && from->first->due_ns <= now) {
        piece_arrives(from, from->first);
    }
    if (from->first == NULL && from->ending == ENDING_FIN) {
        from->ending = ENDING_DONE;
        to->in_end = true;
        want_hand_over(to);
    }
    sim_stream_kick(from);
}

static void check_timeout(void *arg)
{
    struct connection *from = arg;
    struct sim_fabric *fabric = from->stream->fabric;
    struct sim_world *world = fabric->world;
    from->timeout = NULL;
    bool unacknowledged = from->on_wire > 0 || sim_stream_line(sim_stream_other_end(from))->blocked;
    if (from->gone || !unacknowledged) {
        return;
    }
    if (world->now_ns - from->progress_ns >= fabric->user_timeout_ns) {
        sim_stream_end_with(from, CONNECTION_TIMED_OUT, 0);
        return;
    }
    from->timeout = sim_schedule(world, NULL, from->progress_ns + fabric->user_timeout_ns - world->now_ns, SIM_NETWORK,
                                 check_timeout, from);
}

void sim_stream_kick(struct connection *from)
{
    struct sim_world *world = from->stream->fabric->world;
    from->stalled = false;
    if (from->arrival == NULL && (from->first != NULL || from->ending == ENDING_FIN)) {
        uint64_t due = from->first != NULL ? from->first->due_ns : from->last_due;
        from->arrival =
            sim_schedule(world, NULL, due > world->now_ns ? due - world->now_ns : 0, SIM_NETWORK, arrive, from);
    }
    if (from->drained != NULL || from->gone || from->handlers == NULL || unsent_bytes(from) > 0) {
        return;
    }
    if (from->waited) {
        from->waited = false;
        from->drained = sim_schedule(world, from->node, 0, SIM_CONNECTION, tell_drained, from);
    }
}

void sim_stream_send(struct connection *from, const void *bytes, size_t len)
{
    CHECK(!from->gone && from->open);
    struct sim_fabric *fabric = from->stream->fabric;
    uint64_t now = fabric->world->now_ns;
    if (len == 0 || from->node->doomed || from->ending != ENDING_NOT) {
        return; /* a process that is about to be killed sends nothing any more */
    }
    struct line *line = sim_stream_line(from);
    struct piece *piece = calloc(1, sizeof *piece);
    CHECK(piece != NULL);
    piece->bytes = malloc(len);
    CHECK(piece->bytes != NULL);
    memcpy(piece->bytes, bytes, len);
    piece->len = len;
    uint64_t sent = (from->last_due > now ? from->last_due : now) + len * line->ns_per_byte;
    uint64_t due = now + sim_stream_latency_ns(fabric, line) + len * line->ns_per_byte;
    piece->due_ns = from->last_due = due > sent ? due : sent;
    if (from->first == NULL) {
        from->first = piece;
        from->progress_ns = now;
    } else {
        from->last->next = piece;
    }
    from->last = piece;
    from->on_wire += len;
    if (from->timeout == NULL) {
        from->timeout = sim_schedule(fabric->world, NULL, fabric->user_timeout_ns, SIM_NETWORK, check_timeout, from);
    }
    if (unsent_bytes(from) > 0) {
        from->waited = true;
    }
    if (!from->stalled) {
        sim_stream_kick(from);
    }
}

size_t sim_stream_unsent(const struct connection *connection)
{
    return unsent_bytes((struct connection *)connection);
}

void sim_stream_set_handlers(struct connection *connection, const struct connection_handlers *handlers, void *arg)
{
    CHECK(!connection->gone);
    connection->handlers = handlers;
    connection->arg = arg;
    if (connection->in.len > 0 || connection->in_end) {
        want_hand_over(connection);
    }
}

void sim_stream_leave(struct connection *connection, bool reset)
{
    sim_stream_cancel_process_events(connection);
    connection->gone = true;
    buffer_clear(&connection->in);
    if (sim_stream_other_end(connection)->stalled) {
        sim_stream_kick(sim_stream_other_end(connection));
    }
    if (reset) {
        sim_stream_drop_pieces(connection);
        reset_end(sim_stream_other_end(connection));
        return;
    }
    size_t kept = 0;
    for (struct piece *piece = connection->first; piece != NULL; piece = piece->next) {
        kept += piece->len;
        if (kept > connection->stream->fabric->window && piece->next != NULL) {
            struct connection rest = {.first = piece->next};
            sim_stream_drop_pieces(&rest);
            piece->next = NULL;
            connection->last = piece;
            connection->on_wire = kept;
            break;
        }
    }
    connection->ending = ENDING_FIN;
    if (!connection->stalled) {
        sim_stream_kick(connection);
    }
}

void sim_stream_close(struct connection *connection)
{
    CHECK(connection->held);
    connection->held = false;
    struct stream *stream = connection->stream;
    if (!connection->gone) {
        struct rng *rng = &stream->fabric->world->rng;
        bool unread = connection->in.len > 0;
        sim_stream_leave(connection, !connection->open || unread || rng_chance(rng, 200));
    }
    sim_stream_release(stream);
}
