/* The network: streams of bytes between nodes, each direction a queue of pieces on the wire and a receive buffer.
 *
 * Within a stream bytes arrive complete and in order, or the stream ends. An end comes in the ways of TCP: end of file
 * behind everything that was sent, a reset that overtakes what is under way, or silence, which the sender notices only by
 * its own time-out and the receiver never. A dead process's host refuses dials; a dead host doesn't answer at all.
 *
 * A stream's memory lives until neither side's process holds its end. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/slice.h"

#define NODES_MAX       8u
#define DIAL_TIMEOUT_NS (2 * SIM_S)

struct piece {
    uint64_t due_ns;
    size_t len;
    uint8_t *bytes;
    struct piece *next;
};

enum ending { ENDING_NOT, ENDING_FIN, ENDING_DONE };

struct stream;

struct connection { /* one end of a stream */
    struct stream *stream;
    unsigned side;
    struct sim_node *node;
    const struct connection_handlers *handlers; /* NULL: not accepted yet */
    void *arg;
    bool open; /* the dial has succeeded, or it was accepted */
    bool held; /* the process has a pointer to it */
    bool gone; /* the process closed it, was told of its end, or died */

    /* What goes out. */
    struct piece *first, *last;
    size_t on_wire;       /* bytes in pieces */
    bool waited;          /* the kernels didn't take all: `drained` is owed */
    uint64_t last_due;    /* pieces arrive in order */
    uint64_t progress_ns; /* last arrival, or when the wire stopped being empty */
    enum ending ending;
    bool stalled; /* the first piece (or the end) waits for the line to be healed or for the reader */
    struct sim_event *arrival;
    struct sim_event *timeout;

    /* What came in and wasn't read. */
    struct buffer in;
    bool in_end; /* end of file behind it */
    struct sim_event *received;

    struct sim_event *opened; /* or accepted */
    struct sim_event *drained;
    struct sim_event *closed;
    enum connection_end closed_how;
};

struct stream {
    struct sim_fabric *fabric;
    uint64_t number;
    struct connection ends[2]; /* [0] dialled */
    uint16_t port;
    uint64_t dial_until;
    struct sim_event *dial;
    bool silent; /* nothing passes any more, and nobody says so */
    struct stream *next, *previous;
};

struct listener {
    struct sim_node *node;
    uint16_t port;
    void (*accepted)(void *arg, struct connection *connection, const char *remote);
    void *arg;
    struct listener *next;
};

struct line { /* from one node to another */
    bool blocked;
    uint64_t delay_ns;
    uint64_t ns_per_byte;
};

struct sim_fabric {
    struct sim_world *world;
    struct line lines[NODES_MAX][NODES_MAX];
    uint64_t latency_ns;
    uint64_t user_timeout_ns; /* how long a sender waits for an acknowledgement */
    size_t window;            /* bytes that the kernels take before a sender has to wait */
    struct stream *streams;
    size_t n_streams;
    uint64_t next_number;
    struct listener *listeners;
    bool garble;
};

static void stream_kick(struct connection *from);

static struct connection *other_end(struct connection *connection)
{
    return &connection->stream->ends[1 - connection->side];
}

static struct line *line_from(struct connection *from)
{
    return &from->stream->fabric->lines[from->node->index][other_end(from)->node->index];
}

static uint64_t latency_ns(struct sim_fabric *fabric, const struct line *line)
{
    struct rng *rng = &fabric->world->rng;
    uint64_t latency = fabric->latency_ns / 2 + rng_below(rng, fabric->latency_ns + 1) + line->delay_ns;
    return rng_chance(rng, 2) ? latency + rng_below(rng, 200 * SIM_MS) : latency;
}

/* ---- memory ---- */

static void drop_pieces(struct connection *connection)
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

static void cancel_process_events(struct connection *connection)
{
    cancel(connection, &connection->received);
    cancel(connection, &connection->opened);
    cancel(connection, &connection->drained);
    cancel(connection, &connection->closed);
}

static void end_free(struct connection *connection)
{
    cancel_process_events(connection);
    cancel(connection, &connection->arrival);
    cancel(connection, &connection->timeout);
    drop_pieces(connection);
    buffer_close(&connection->in);
}

/* Frees the stream once nobody can ask for it any more. */
static void stream_release(struct stream *stream)
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

static struct stream *stream_new(struct sim_fabric *fabric, struct sim_node *from, struct sim_node *to)
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
    cancel_process_events(connection);
    const struct connection_handlers *handlers = connection->handlers;
    void *handlers_arg = connection->arg;
    enum connection_end how = connection->closed_how;
    struct stream *stream = connection->stream;
    if (other_end(connection)->stalled) {
        stream_kick(other_end(connection)); /* to learn that nobody is here */
    }
    if (handlers != NULL) {
        handlers->closed(handlers_arg, how);
    }
    stream_release(stream);
}

static void end_with(struct connection *connection, enum connection_end how, uint64_t delay_ns)
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
    struct connection *from = other_end(connection);
    struct sim_fabric *fabric = connection->stream->fabric;
    if (connection->stream->silent || line_from(from)->blocked) {
        return;
    }
    drop_pieces(from);
    end_with(connection, CONNECTION_RESET, latency_ns(fabric, line_from(from)));
}

/* ---- bytes ---- */

static void hand_over(void *arg)
{
    struct connection *to = arg;
    struct sim_world *world = to->stream->fabric->world;
    to->received = NULL;
    if (to->in.len == 0) {
        if (to->in_end) {
            end_with(to, CONNECTION_END_OF_FILE, 0);
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
    stream_kick(other_end(to));
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
    size_t outstanding = from->on_wire + other_end(from)->in.len;
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
    struct connection *to = other_end(from);
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
    struct connection *to = other_end(from);
    if (from->stream->silent || line_from(from)->blocked || !to->node->powered) {
        return false;
    }
    return to->gone || to->in.len <= from->stream->fabric->window;
}

static void arrive(void *arg)
{
    struct connection *from = arg;
    struct connection *to = other_end(from);
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
    stream_kick(from);
}

static void check_timeout(void *arg)
{
    struct connection *from = arg;
    struct sim_fabric *fabric = from->stream->fabric;
    struct sim_world *world = fabric->world;
    from->timeout = NULL;
    bool unacknowledged = from->on_wire > 0 || line_from(other_end(from))->blocked;
    if (from->gone || !unacknowledged) {
        return;
    }
    if (world->now_ns - from->progress_ns >= fabric->user_timeout_ns) {
        end_with(from, CONNECTION_TIMED_OUT, 0);
        return;
    }
    from->timeout = sim_schedule(world, NULL, from->progress_ns + fabric->user_timeout_ns - world->now_ns, SIM_NETWORK,
                                 check_timeout, from);
}

/* Schedules whatever this direction has to do next. */
static void stream_kick(struct connection *from)
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

static void network_send(struct connection *from, const void *bytes, size_t len)
{
    CHECK(!from->gone && from->open);
    struct sim_fabric *fabric = from->stream->fabric;
    uint64_t now = fabric->world->now_ns;
    if (len == 0 || from->node->doomed || from->ending != ENDING_NOT) {
        return; /* a process that is about to be killed sends nothing any more */
    }
    struct line *line = line_from(from);
    struct piece *piece = calloc(1, sizeof *piece);
    CHECK(piece != NULL);
    piece->bytes = malloc(len);
    CHECK(piece->bytes != NULL);
    memcpy(piece->bytes, bytes, len);
    piece->len = len;
    uint64_t sent = (from->last_due > now ? from->last_due : now) + len * line->ns_per_byte;
    uint64_t due = now + latency_ns(fabric, line) + len * line->ns_per_byte;
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
        stream_kick(from);
    }
}

static size_t network_unsent(const struct connection *connection)
{
    return unsent_bytes((struct connection *)connection);
}

static void network_set_handlers(struct connection *connection, const struct connection_handlers *handlers, void *arg)
{
    CHECK(!connection->gone);
    connection->handlers = handlers;
    connection->arg = arg;
    if (connection->in.len > 0 || connection->in_end) {
        want_hand_over(connection);
    }
}

/* What the kernel has taken still goes out, unless the close becomes a reset. */
static void leave(struct connection *connection, bool reset)
{
    cancel_process_events(connection);
    connection->gone = true;
    buffer_clear(&connection->in);
    if (other_end(connection)->stalled) {
        stream_kick(other_end(connection));
    }
    if (reset) {
        drop_pieces(connection);
        reset_end(other_end(connection));
        return;
    }
    size_t kept = 0;
    for (struct piece *piece = connection->first; piece != NULL; piece = piece->next) {
        kept += piece->len;
        if (kept > connection->stream->fabric->window && piece->next != NULL) {
            struct connection rest = {.first = piece->next};
            drop_pieces(&rest);
            piece->next = NULL;
            connection->last = piece;
            connection->on_wire = kept;
            break;
        }
    }
    connection->ending = ENDING_FIN;
    if (!connection->stalled) {
        stream_kick(connection);
    }
}

static void network_close(struct connection *connection)
{
    CHECK(connection->held);
    connection->held = false;
    struct stream *stream = connection->stream;
    if (!connection->gone) {
        struct rng *rng = &stream->fabric->world->rng;
        bool unread = connection->in.len > 0;
        leave(connection, !connection->open || unread || rng_chance(rng, 200));
    }
    stream_release(stream);
}

/* ---- dialling and listening ---- */

static struct listener **find_listener(struct sim_fabric *fabric, const struct sim_node *node, uint16_t port)
{
    struct listener **place = &fabric->listeners;
    while (*place != NULL && ((*place)->node != node || (*place)->port != port)) {
        place = &(*place)->next;
    }
    return place;
}

static void tell_opened(void *arg)
{
    struct connection *connection = arg;
    connection->opened = NULL;
    connection->open = true;
    connection->handlers->opened(connection->arg);
}

static void tell_accepted(void *arg)
{
    struct connection *connection = arg;
    struct stream *stream = connection->stream;
    connection->opened = NULL;
    struct listener *listener = *find_listener(stream->fabric, connection->node, stream->port);
    if (listener == NULL) {
        leave(connection, true);
        stream_release(stream);
        return;
    }
    char remote[48];
    (void)snprintf(remote, sizeof remote, "%s:%u", stream->ends[0].node->name,
                   (unsigned)(30000 + stream->number % 30000));
    connection->open = true;
    connection->held = true;
    uint64_t number = stream->number;
    listener->accepted(listener->arg, connection, remote);
    for (const struct stream *s = stream->fabric->streams; s != NULL; s = s->next) {
        CHECK(s->number != number || s->ends[1].gone || s->ends[1].handlers != NULL);
    }
}

static void dial_arrives(void *arg)
{
    struct stream *stream = arg;
    struct connection *dialler = &stream->ends[0];
    struct connection *called = &stream->ends[1];
    struct sim_world *world = stream->fabric->world;
    struct line *there = line_from(dialler);
    struct line *back = line_from(called);
    stream->dial = NULL;
    if (there->blocked || back->blocked || !called->node->powered) {
        if (world->now_ns >= stream->dial_until) {
            end_with(dialler, CONNECTION_TIMED_OUT, 0);
        } else { /* sent again after a second */
            uint64_t left = stream->dial_until - world->now_ns;
            stream->dial = sim_schedule(world, NULL, left < SIM_S ? left : SIM_S, SIM_NETWORK, dial_arrives, stream);
        }
        return;
    }
    uint64_t latency = latency_ns(stream->fabric, back);
    if (*find_listener(stream->fabric, called->node, stream->port) == NULL) {
        end_with(dialler, CONNECTION_REFUSED, latency);
        return;
    }
    called->gone = false;
    called->opened = sim_schedule(world, called->node, 0, SIM_CONNECTION, tell_accepted, called);
    dialler->opened = sim_schedule(world, dialler->node, latency, SIM_CONNECTION, tell_opened, dialler);
}

static struct connection *network_dial(void *impl, const char *host, uint16_t port,
                                       const struct connection_handlers *handlers, void *arg)
{
    struct sim_node *node = impl;
    struct sim_world *world = node->world;
    struct sim_fabric *fabric = world->fabric;
    struct sim_node *to = NULL;
    for (size_t i = 0; i < world->n_nodes; i++) {
        to = strcmp(world->nodes[i]->name, host) == 0 ? world->nodes[i] : to;
    }
    bool unresolved = to == NULL || rng_chance(&world->rng, 2);
    struct stream *stream = stream_new(fabric, node, to == NULL ? node : to);
    struct connection *connection = &stream->ends[0];
    connection->handlers = handlers;
    connection->arg = arg;
    connection->held = true;
    stream->port = port;
    stream->dial_until = world->now_ns + DIAL_TIMEOUT_NS;
    if (unresolved) {
        end_with(connection, CONNECTION_UNRESOLVED, rng_below(&world->rng, 50 * SIM_MS));
    } else if (!node->doomed) {
        stream->dial =
            sim_schedule(world, NULL, latency_ns(fabric, line_from(connection)), SIM_NETWORK, dial_arrives, stream);
    }
    return connection;
}

static enum error network_listen(void *impl, const char *host, uint16_t port,
                                 void (*accepted)(void *arg, struct connection *connection, const char *remote),
                                 void *arg, struct listener **listener, struct error_text *text)
{
    struct sim_node *node = impl;
    struct sim_fabric *fabric = node->world->fabric;
    CHECK(node->running && port != 0);
    if (*find_listener(fabric, node, port) != NULL) {
        return error_set(text, ERROR_NETWORK, "cannot listen on %s:%u: it is in use", host, (unsigned)port);
    }
    struct listener *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    *made = (struct listener){.node = node, .port = port, .accepted = accepted, .arg = arg, .next = fabric->listeners};
    fabric->listeners = made;
    *listener = made;
    return ERROR_NONE;
}

static uint16_t network_listener_port(const struct listener *listener)
{
    return listener->port;
}

static void network_listener_close(struct listener *listener)
{
    struct listener **place = find_listener(listener->node->world->fabric, listener->node, listener->port);
    CHECK(*place == listener);
    *place = listener->next;
    free(listener);
}

/* ---- the scenario's side ---- */

struct sim_fabric *sim_fabric_open(struct sim_world *world)
{
    struct sim_fabric *fabric = calloc(1, sizeof *fabric);
    CHECK(fabric != NULL);
    fabric->world = world;
    static const uint64_t latencies_us[] = {30, 200, 1000, 4000};
    static const size_t windows[] = {4096, 65536, 1024 * 1024};
    fabric->latency_ns = latencies_us[rng_below(&world->rng, 4)] * SIM_US;
    static const uint64_t user_timeouts_ms[] = {600, 2000, 5000};
    fabric->user_timeout_ns = user_timeouts_ms[rng_below(&world->rng, 3)] * SIM_MS;
    fabric->window = windows[rng_below(&world->rng, 3)];
    return fabric;
}

void sim_fabric_close(struct sim_fabric *fabric)
{
    CHECK(fabric->streams == NULL && fabric->listeners == NULL);
    free(fabric);
}

void sim_network_init(struct sim_node *node)
{
    CHECK(node->index < NODES_MAX);
    node->network = (struct network){
        .impl = node,
        .listen = network_listen,
        .listener_port = network_listener_port,
        .listener_close = network_listener_close,
        .dial = network_dial,
        .set_handlers = network_set_handlers,
        .send = network_send,
        .unsent = network_unsent,
        .close = network_close,
    };
}

static void die_silently(struct connection *connection)
{
    cancel_process_events(connection);
    connection->gone = true;
    buffer_clear(&connection->in);
    connection->ending = ENDING_NOT;
    if (rng_chance(&connection->stream->fabric->world->rng, 500)) {
        drop_pieces(connection); /* else what was on its way still arrives */
    }
}

void sim_network_drop(struct sim_node *node, enum sim_death death)
{
    struct sim_fabric *fabric = node->world->fabric;
    for (struct stream *stream = fabric->streams; stream != NULL; stream = stream->next) {
        for (unsigned side = 0; side < 2; side++) {
            struct connection *connection = &stream->ends[side];
            if (connection->node != node || connection->gone) {
                continue;
            }
            if (death == SIM_POWER_LOSS) {
                die_silently(connection);
            } else {
                leave(connection, connection->in.len > 0 || rng_chance(&fabric->world->rng, 100));
            }
        }
    }
}

void sim_network_free(struct sim_node *node)
{
    struct sim_fabric *fabric = node->world->fabric;
    for (struct stream *stream = fabric->streams; stream != NULL;) {
        struct stream *next = stream->next;
        for (unsigned side = 0; side < 2; side++) {
            if (stream->ends[side].node == node && stream->ends[side].gone) {
                stream->ends[side].held = false;
            }
        }
        stream_release(stream);
        stream = next;
    }
    struct listener **place = &fabric->listeners;
    while (*place != NULL) {
        struct listener *listener = *place;
        if (listener->node == node) {
            *place = listener->next;
            free(listener);
        } else {
            place = &listener->next;
        }
    }
}

void sim_network_retry(struct sim_world *world)
{
    for (struct stream *stream = world->fabric->streams; stream != NULL; stream = stream->next) {
        for (unsigned side = 0; side < 2; side++) {
            if (stream->ends[side].stalled) {
                stream_kick(&stream->ends[side]);
            }
        }
    }
}

void sim_network_block(struct sim_world *world, unsigned from, unsigned to, bool blocked)
{
    world->fabric->lines[from][to].blocked = blocked;
    if (!blocked) {
        sim_network_retry(world);
    }
}

void sim_network_slow(struct sim_world *world, unsigned from, unsigned to, uint64_t delay_ns, uint64_t ns_per_byte)
{
    world->fabric->lines[from][to].delay_ns = delay_ns;
    world->fabric->lines[from][to].ns_per_byte = ns_per_byte;
}

void sim_network_heal(struct sim_world *world)
{
    for (unsigned from = 0; from < world->n_nodes; from++) {
        for (unsigned to = 0; to < world->n_nodes; to++) {
            sim_network_slow(world, from, to, 0, 0);
            world->fabric->lines[from][to].blocked = false;
        }
    }
    world->fabric->garble = false;
    sim_network_retry(world);
}

bool sim_network_cut(struct sim_world *world, enum sim_cut how)
{
    struct sim_fabric *fabric = world->fabric;
    if (fabric->n_streams == 0) {
        return false;
    }
    struct stream *stream = fabric->streams;
    for (uint64_t skip = rng_below(&world->rng, fabric->n_streams); skip > 0; skip--) {
        stream = stream->next;
    }
    if (!stream->ends[0].open || stream->ends[0].gone || stream->ends[1].gone || stream->silent ||
        stream->ends[0].ending != ENDING_NOT) {
        return false;
    }
    world->counts.cuts++;
    if (how == SIM_CUT_SILENT) {
        stream->silent = true;
        return true;
    }
    for (unsigned side = 0; side < 2; side++) {
        struct connection *connection = &stream->ends[side];
        if (how == SIM_CUT_RESET) {
            drop_pieces(connection);
            end_with(connection, CONNECTION_RESET, rng_below(&world->rng, 2 * SIM_MS));
        } else {
            connection->ending = ENDING_FIN;
            stream_kick(connection);
        }
    }
    return true;
}

void sim_network_garble(struct sim_world *world)
{
    world->fabric->garble = true;
}

void sim_network_print(const struct sim_world *world)
{
    for (const struct stream *stream = world->fabric->streams; stream != NULL; stream = stream->next) {
        (void)fprintf(stderr, "stream %llu%s:", (unsigned long long)stream->number, stream->silent ? " (silent)" : "");
        for (unsigned side = 0; side < 2; side++) {
            const struct connection *end = &stream->ends[side];
            (void)fprintf(
                stderr,
                " %s open %d held %d gone %d stalled %d ending %d on wire %zu unread %zu arrival %d time-out %d;",
                end->node->name, end->open, end->held, end->gone, end->stalled, (int)end->ending, end->on_wire,
                end->in.len, end->arrival != NULL, end->timeout != NULL);
        }
        (void)fprintf(stderr, "\n");
    }
}
