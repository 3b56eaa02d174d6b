#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct timer {
    struct world *world;
    struct timer *next;
    void (*fired)(void *arg);
    void *arg;
    uint64_t due_ns; /* 0: stopped */
};

struct listener {
    struct world *world;
    struct listener *next;
    uint16_t port;
    void (*accepted)(void *arg, struct connection *connection, const char *remote);
    void *arg;
};

/* One end. `inbox` is what the other end's kernel has taken and we haven't delivered. */
struct connection {
    struct world *world;
    struct connection *next;
    struct connection *other; /* NULL: it is gone */
    const struct connection_handlers *handlers;
    void *arg;
    uint16_t port; /* dialled */
    bool dialled;
    bool connecting;
    uint64_t give_up_ns; /* 0: no */
    bool gone;           /* freed by the next run */
    bool paused;
    bool drained;
    bool ending;
    enum connection_end end;
    struct buffer inbox, outbox;
};

/* ---- loop ---- */

static uint64_t world_mono_ns(void *impl)
{
    return ((struct world *)impl)->now_ns;
}

static int64_t world_wall_ms(void *impl)
{
    (void)impl;
    return 0;
}

static void world_random(void *impl, void *bytes, size_t len)
{
    struct world *world = impl;
    uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) {
        world->seed = world->seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(world->seed >> 56);
    }
}

static struct timer *world_timer_open(void *impl, void (*fired)(void *arg), void *arg)
{
    struct world *world = impl;
    struct timer *timer = calloc(1, sizeof *timer);
    CHECK(timer != NULL);
    *timer = (struct timer){.world = world, .next = world->timers, .fired = fired, .arg = arg};
    world->timers = timer;
    return timer;
}

static void world_timer_start(struct timer *timer, uint64_t delay_ms)
{
    timer->due_ns = timer->world->now_ns + delay_ms * 1000000u + 1;
}

static void world_timer_stop(struct timer *timer)
{
    timer->due_ns = 0;
}

static void world_timer_close(struct timer *timer)
{
    if (timer == NULL) {
        return;
    }
    struct timer **at = &timer->world->timers;
    while (*at != timer) {
        at = &(*at)->next;
    }
    *at = timer->next;
    free(timer);
}

static void world_post(void *impl, struct post *post)
{
    struct world *world = impl;
    if (!post->queued) {
        post->queued = 1;
        post->next = NULL;
        *world->posts_end = post;
        world->posts_end = &post->next;
    }
}

static void world_post_cancel(void *impl, struct post *post)
{
    struct world *world = impl;
    if (!post->queued) {
        return;
    }
    struct post **at = &world->posts;
    while (*at != post) {
        at = &(*at)->next;
    }
    *at = post->next;
    if (world->posts_end == &post->next) {
        world->posts_end = at;
    }
    post->queued = 0;
}

static void world_run_posts(struct world *world)
{
    while (world->posts != NULL) {
        struct post *post = world->posts;
        world_post_cancel(world, post);
        post->run(post);
    }
}

/* ---- network ---- */

static enum error world_listen(void *impl, const char *host, uint16_t port,
                               void (*accepted)(void *arg, struct connection *connection, const char *remote),
                               void *arg, struct listener **listener, struct error_text *text)
{
    (void)host;
    struct world *world = impl;
    for (struct listener *at = world->listeners; at != NULL; at = at->next) {
        if (at->port == port) {
            return error_set(text, ERROR_NETWORK, "in use");
        }
    }
    *listener = calloc(1, sizeof **listener);
    CHECK(*listener != NULL);
    **listener =
        (struct listener){.world = world, .next = world->listeners, .port = port, .accepted = accepted, .arg = arg};
    world->listeners = *listener;
    return ERROR_NONE;
}

static uint16_t world_listener_port(const struct listener *listener)
{
    return listener->port;
}

static void world_listener_close(struct listener *listener)
{
    struct listener **at = &listener->world->listeners;
    while (*at != NULL && *at != listener) {
        at = &(*at)->next;
    }
    if (*at == listener) {
        *at = listener->next;
    }
    free(listener);
}

static struct connection *connection_new(struct world *world, uint16_t port)
{
    struct connection *connection = calloc(1, sizeof *connection);
    CHECK(connection != NULL);
    connection->world = world;
    connection->port = port;
    struct connection **at = &world->connections;
    while (*at != NULL) { /* oldest first: they are served in this order */
        at = &(*at)->next;
    }
    *at = connection;
    return connection;
}

static struct connection *world_dial(void *impl, const char *host, uint16_t port,
                                     const struct connection_handlers *handlers, void *arg)
{
    (void)host;
    struct world *world = impl;
    struct connection *connection = connection_new(world, port);
    connection->dialled = true;
    connection->connecting = true;
    connection->handlers = handlers;
    connection->arg = arg;
    world->n_dials++;
    world->last_dial_ms = world_now_ms(world);
    if (world->silent) {
        connection->give_up_ns = world->now_ns + 2000000000u;
    }
    return connection;
}

static void world_set_handlers(struct connection *connection, const struct connection_handlers *handlers, void *arg)
{
    connection->handlers = handlers;
    connection->arg = arg;
}

/* Moves unsent bytes into the other's window. */
static void connection_pump(struct connection *connection)
{
    struct connection *other = connection->other;
    struct buffer *outbox = &connection->outbox;
    if (outbox->len == 0) {
        return;
    }
    size_t room = outbox->len;
    if (other != NULL) {
        size_t window = connection->world->window_bytes;
        room = other->inbox.len < window ? window - other->inbox.len : 0;
        room = room < outbox->len ? room : outbox->len;
        buffer_append(&other->inbox, outbox->base, room);
    }
    memmove(outbox->base, outbox->base + room, outbox->len - room);
    outbox->len -= room;
}

static void world_send(struct connection *connection, const void *bytes, size_t len)
{
    CHECK(!connection->gone && !connection->connecting);
    connection->world->n_sends++;
    buffer_append(&connection->outbox, bytes, len);
    connection_pump(connection);
    connection->drained = connection->outbox.len > 0;
}

static size_t world_unsent(const struct connection *connection)
{
    return connection->outbox.len;
}

static void connection_cut(struct connection *connection, enum connection_end end)
{
    struct connection *other = connection->other;
    connection->gone = true;
    connection->other = NULL;
    if (other != NULL) {
        other->other = NULL;
        other->ending = true;
        other->end = end;
    }
}

static void world_connection_close(struct connection *connection)
{
    CHECK(!connection->gone);
    connection_cut(connection, CONNECTION_END_OF_FILE);
}

/* ---- what happens ---- */

static bool connection_connect(struct connection *connection)
{
    struct world *world = connection->world;
    if (connection->give_up_ns != 0) {
        if (world->now_ns < connection->give_up_ns) {
            return false;
        }
        connection->gone = true;
        connection->handlers->closed(connection->arg, CONNECTION_TIMED_OUT);
        return true;
    }
    for (struct listener *listener = world->listeners; listener != NULL; listener = listener->next) {
        if (listener->port == connection->port) {
            struct connection *accepted = connection_new(world, connection->port);
            accepted->other = connection;
            connection->other = accepted;
            connection->connecting = false;
            listener->accepted(listener->arg, accepted, "10.0.0.9:999");
            if (!connection->gone) {
                connection->handlers->opened(connection->arg);
            }
            return true;
        }
    }
    connection->gone = true;
    connection->handlers->closed(connection->arg, CONNECTION_REFUSED);
    return true;
}

static bool connection_deliver(struct connection *connection)
{
    struct world *world = connection->world;
    size_t len = connection->inbox.len;
    if (world->piece_bytes > 0 && len > world->piece_bytes) {
        len = world->piece_bytes;
    }
    uint8_t *bytes = malloc(len); /* exactly as long, so that a reader that goes too far is seen */
    CHECK(bytes != NULL);
    memcpy(bytes, connection->inbox.base, len);
    memmove(connection->inbox.base, connection->inbox.base + len, connection->inbox.len - len);
    connection->inbox.len -= len;
    connection->handlers->received(connection->arg, bytes, len);
    free(bytes);
    return true;
}

/* One thing for one connection; false: nothing to do. */
static bool connection_step(struct connection *connection)
{
    if (connection->gone) {
        return false;
    }
    if (connection->connecting) {
        return connection_connect(connection);
    }
    connection_pump(connection);
    if (connection->drained && connection->outbox.len == 0) {
        connection->drained = false;
        connection->handlers->drained(connection->arg);
        return true;
    }
    if (connection->paused) {
        return false;
    }
    if (connection->inbox.len > 0) {
        return connection_deliver(connection);
    }
    if (connection->ending) {
        connection->gone = true;
        connection->handlers->closed(connection->arg, connection->end);
        return true;
    }
    return false;
}

static void world_reap(struct world *world)
{
    for (struct connection **at = &world->connections; *at != NULL;) {
        struct connection *connection = *at;
        if (connection->gone) {
            *at = connection->next;
            buffer_close(&connection->inbox);
            buffer_close(&connection->outbox);
            free(connection);
        } else {
            at = &connection->next;
        }
    }
}

void world_run(struct world *world)
{
    for (bool more = true; more;) {
        more = false;
        for (struct connection *at = world->connections; at != NULL; at = at->next) {
            more = connection_step(at) || more;
        }
        more = world->posts != NULL || more;
        world_run_posts(world);
        world_reap(world);
    }
}

static struct timer *world_next_timer(struct world *world, uint64_t until_ns)
{
    struct timer *first = NULL;
    for (struct timer *timer = world->timers; timer != NULL; timer = timer->next) {
        if (timer->due_ns != 0 && timer->due_ns <= until_ns && (first == NULL || timer->due_ns < first->due_ns)) {
            first = timer;
        }
    }
    return first;
}

void world_advance(struct world *world, uint64_t ms)
{
    uint64_t until_ns = world->now_ns + ms * 1000000u + 1;
    world_run(world);
    for (;;) {
        struct timer *timer = world_next_timer(world, until_ns);
        uint64_t next_ns = timer != NULL ? timer->due_ns : until_ns;
        for (struct connection *at = world->connections; at != NULL; at = at->next) {
            if (at->give_up_ns > world->now_ns && at->give_up_ns < next_ns) {
                next_ns = at->give_up_ns;
            }
        }
        world->now_ns = next_ns;
        if (timer != NULL && timer->due_ns == next_ns) {
            timer->due_ns = 0;
            timer->fired(timer->arg);
        } else if (next_ns == until_ns) {
            world_run(world);
            return;
        }
        world_run(world);
    }
}

uint64_t world_now_ms(const struct world *world)
{
    return world->now_ns / 1000000u;
}

void world_cut_port(struct world *world, uint16_t port, enum connection_end end)
{
    for (struct connection *at = world->connections; at != NULL; at = at->next) {
        if (at->port == port && !at->gone) {
            if (at->other != NULL) {
                at->other->other = NULL;
                at->other->ending = true;
                at->other->end = end;
                at->other = NULL;
            }
            at->ending = true;
            at->end = end;
        }
    }
}

void world_pause_port(struct world *world, uint16_t port, bool paused)
{
    for (struct connection *at = world->connections; at != NULL; at = at->next) {
        if (at->port == port) {
            at->paused = paused;
        }
    }
}

void world_pause_diallers(struct world *world, uint16_t port)
{
    for (struct connection *at = world->connections; at != NULL; at = at->next) {
        if (at->port == port && at->dialled) {
            at->paused = true;
        }
    }
}

struct connection *world_first_dialled(struct world *world, uint16_t port)
{
    for (struct connection *at = world->connections; at != NULL; at = at->next) {
        if (at->dialled && at->port == port) {
            return at;
        }
    }
    check_failed("such a connection", __FILE__, __LINE__);
}

void world_open(struct world *world)
{
    *world = (struct world){.now_ns = 1000000000u, .seed = 7, .window_bytes = 256u * 1024u};
    world->posts_end = &world->posts;
    world->loop = (struct loop){
        .impl = world,
        .mono_ns = world_mono_ns,
        .wall_ms = world_wall_ms,
        .random = world_random,
        .timer_open = world_timer_open,
        .timer_start = world_timer_start,
        .timer_stop = world_timer_stop,
        .timer_close = world_timer_close,
        .post = world_post,
        .post_cancel = world_post_cancel,
    };
    world->network = (struct network){
        .impl = world,
        .listen = world_listen,
        .listener_port = world_listener_port,
        .listener_close = world_listener_close,
        .dial = world_dial,
        .set_handlers = world_set_handlers,
        .send = world_send,
        .unsent = world_unsent,
        .close = world_connection_close,
    };
}

void world_close(struct world *world)
{
    world_reap(world);
    CHECK(world->timers == NULL && world->posts == NULL && world->listeners == NULL && world->connections == NULL);
}

/* ---- raw ---- */

static void raw_opened(void *arg)
{
    ((struct raw *)arg)->opened = true;
}

static void raw_received(void *arg, const uint8_t *bytes, size_t len)
{
    struct raw *raw = arg;
    buffer_append(&raw->received, bytes, len);
}

static void raw_drained(void *arg)
{
    (void)arg;
}

static void raw_closed(void *arg, enum connection_end end)
{
    struct raw *raw = arg;
    raw->connection = NULL;
    raw->closed = true;
    raw->end = end;
}

static const struct connection_handlers raw_handlers = {
    .opened = raw_opened,
    .received = raw_received,
    .drained = raw_drained,
    .closed = raw_closed,
};

void raw_dial(struct raw *raw, struct world *world, uint16_t port)
{
    *raw = (struct raw){.world = world};
    raw->connection = world_dial(world, "raw", port, &raw_handlers, raw);
}

static void raw_accepted(void *arg, struct connection *connection, const char *remote)
{
    (void)remote;
    struct raw *raw = arg;
    if (raw->connection != NULL) {
        world_connection_close(connection);
        return;
    }
    raw->opened = true;
    raw->connection = connection;
    world_set_handlers(connection, &raw_handlers, raw);
}

struct listener *raw_listen(struct raw *raw, struct world *world, uint16_t port)
{
    struct listener *listener = NULL;
    *raw = (struct raw){.world = world};
    CHECK(world_listen(world, "raw", port, raw_accepted, raw, &listener, NULL) == ERROR_NONE);
    return listener;
}

void raw_send(struct raw *raw, const void *bytes, size_t len)
{
    if (raw->connection != NULL) {
        world_send(raw->connection, bytes, len);
    }
}

void raw_close(struct raw *raw)
{
    if (raw->connection != NULL) {
        world_connection_close(raw->connection);
        raw->connection = NULL;
    }
    buffer_close(&raw->received);
}
