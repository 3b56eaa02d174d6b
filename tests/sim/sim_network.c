/* The network: who can reach whom, dialling and listening, and what the scenario does to it.
 *
 * A dead process's host refuses dials; a dead host, or one behind a blocked line, doesn't answer at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream.h"

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
        sim_stream_leave(connection, true);
        sim_stream_release(stream);
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
    struct line *there = sim_stream_line(dialler);
    struct line *back = sim_stream_line(called);
    stream->dial = NULL;
    if (there->blocked || back->blocked || !called->node->powered) {
        if (world->now_ns >= stream->dial_until) {
            sim_stream_end_with(dialler, CONNECTION_TIMED_OUT, 0);
        } else { /* sent again after a second */
            uint64_t left = stream->dial_until - world->now_ns;
            stream->dial = sim_schedule(world, NULL, left < SIM_S ? left : SIM_S, SIM_NETWORK, dial_arrives, stream);
        }
        return;
    }
    uint64_t latency = sim_stream_latency_ns(stream->fabric, back);
    if (*find_listener(stream->fabric, called->node, stream->port) == NULL) {
        sim_stream_end_with(dialler, CONNECTION_REFUSED, latency);
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
    struct stream *stream = sim_stream_new(fabric, node, to == NULL ? node : to);
    struct connection *connection = &stream->ends[0];
    connection->handlers = handlers;
    connection->arg = arg;
    connection->held = true;
    stream->port = port;
    stream->dial_until = world->now_ns + DIAL_TIMEOUT_NS;
    if (unresolved) {
        sim_stream_end_with(connection, CONNECTION_UNRESOLVED, rng_below(&world->rng, 50 * SIM_MS));
    } else if (!node->doomed) {
        stream->dial = sim_schedule(world, NULL, sim_stream_latency_ns(fabric, sim_stream_line(connection)),
                                    SIM_NETWORK, dial_arrives, stream);
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
        .set_handlers = sim_stream_set_handlers,
        .send = sim_stream_send,
        .unsent = sim_stream_unsent,
        .close = sim_stream_close,
    };
}

static void die_silently(struct connection *connection)
{
    sim_stream_cancel_process_events(connection);
    connection->gone = true;
    buffer_clear(&connection->in);
    connection->ending = ENDING_NOT;
    if (rng_chance(&connection->stream->fabric->world->rng, 500)) {
        sim_stream_drop_pieces(connection); /* else what was on its way still arrives */
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
                sim_stream_leave(connection, connection->in.len > 0 || rng_chance(&fabric->world->rng, 100));
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
        sim_stream_release(stream);
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
                sim_stream_kick(&stream->ends[side]);
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
            sim_stream_drop_pieces(connection);
            sim_stream_end_with(connection, CONNECTION_RESET, rng_below(&world->rng, 2 * SIM_MS));
        } else {
            connection->ending = ENDING_FIN;
            sim_stream_kick(connection);
        }
    }
    return true;
}

void sim_network_end_silent(struct sim_world *world)
{
    for (struct stream *stream = world->fabric->streams; stream != NULL; stream = stream->next) {
        for (unsigned side = 0; side < 2 && stream->silent; side++) {
            sim_stream_drop_pieces(&stream->ends[side]);
            sim_stream_end_with(&stream->ends[side], CONNECTION_RESET, 0);
        }
    }
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
