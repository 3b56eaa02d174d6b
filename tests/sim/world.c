/* The queue of events, the generators, and the life of a machine.
 *
 * One event is one turn of one node's loop, or something that happens outside of all of them. An event whose node is
 * paused or waits for its disk is put back to when the node goes on; a kill takes the node's events out of the queue, so
 * that nothing of an old process ever reaches a new one. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"

/* ---- chance: splitmix64 seeds xoshiro256** ---- */

static uint64_t mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

void rng_seed(struct rng *rng, uint64_t seed, uint64_t stream)
{
    uint64_t state = seed;
    state = mix(&state) ^ stream * 0xd1342543de82ef95ull;
    for (int i = 0; i < 4; i++) {
        rng->s[i] = mix(&state);
    }
}

static uint64_t rotate(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    CHECK(bound > 0);
    return rng_next(rng) % bound; /* the bias is far below what a test could see */
}

uint64_t rng_between(struct rng *rng, uint64_t least, uint64_t most)
{
    return least + rng_below(rng, most - least + 1);
}

bool rng_chance(struct rng *rng, unsigned per_mille)
{
    return rng_below(rng, 1000) < per_mille;
}

/* ---- the queue: a binary heap by time, then by number ---- */

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->number < b->number);
}

static void heap_put(struct sim_world *world, size_t place, struct sim_event *event)
{
    world->heap[place] = event;
    event->place = place;
}

static void heap_up(struct sim_world *world, struct sim_event *event)
{
    size_t place = event->place;
    while (place > 0 && event_before(event, world->heap[(place - 1) / 2])) {
        heap_put(world, place, world->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(world, place, event);
}

static void heap_down(struct sim_world *world, struct sim_event *event)
{
    size_t place = event->place;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= world->n_events) {
            break;
        }
        if (child + 1 < world->n_events && event_before(world->heap[child + 1], world->heap[child])) {
            child++;
        }
        if (!event_before(world->heap[child], event)) {
            break;
        }
        heap_put(world, place, world->heap[child]);
        place = child;
    }
    heap_put(world, place, event);
}

static void heap_take(struct sim_world *world, struct sim_event *event)
{
    size_t place = event->place;
    CHECK(place < world->n_events && world->heap[place] == event);
    struct sim_event *last = world->heap[--world->n_events];
    if (last != event) {
        heap_put(world, place, last);
        heap_up(world, last);
        heap_down(world, last);
    }
}

static void heap_add(struct sim_world *world, struct sim_event *event)
{
    if (world->n_events == world->events_capacity) {
        world->events_capacity = world->events_capacity == 0 ? 256 : world->events_capacity * 2;
        world->heap = realloc(world->heap, world->events_capacity * sizeof(struct sim_event *));
        CHECK(world->heap != NULL);
    }
    event->place = world->n_events++;
    heap_up(world, event);
}

struct sim_event *sim_schedule(struct sim_world *world, struct sim_node *node, uint64_t delay_ns,
                               enum sim_event_kind kind, void (*run)(void *arg), void *arg)
{
    struct sim_event *event = malloc(sizeof *event);
    CHECK(event != NULL);
    *event = (struct sim_event){.at_ns = world->now_ns + delay_ns,
                                .number = world->next_number++,
                                .kind = kind,
                                .node = node,
                                .run = run,
                                .arg = arg};
    heap_add(world, event);
    return event;
}

void sim_cancel(struct sim_world *world, struct sim_event *event)
{
    if (event != NULL) {
        heap_take(world, event);
        free(event);
    }
}

void sim_trace(struct sim_world *world, uint64_t fact)
{
    uint64_t state = world->trace ^ fact;
    world->trace = mix(&state);
}

bool sim_step(struct sim_world *world)
{
    while (world->n_events > 0) {
        struct sim_event *event = world->heap[0];
        if (event->node != NULL && event->node->busy_until > event->at_ns) {
            event->at_ns = event->node->busy_until;
            heap_down(world, event);
            continue;
        }
        heap_take(world, event);
        CHECK(event->at_ns >= world->now_ns);
        world->now_ns = event->at_ns;
        world->steps++;
        sim_trace(world, event->at_ns * 16 + (uint64_t)event->kind);
        void (*run)(void *arg) = event->run;
        void *arg = event->arg;
        free(event);
        run(arg);
        return true;
    }
    return false;
}

void sim_fail(struct sim_world *world, const char *format, ...)
{
    if (world->failed) {
        return;
    }
    world->failed = true;
    int len = snprintf(world->failure, sizeof world->failure, "at %.6f s: ", (double)world->now_ns / 1e9);
    CHECK(len > 0);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(world->failure + len, sizeof world->failure - (size_t)len, format, arguments);
    va_end(arguments);
}

void sim_world_open(struct sim_world *world, uint64_t seed)
{
    *world = (struct sim_world){.seed = seed, .now_ns = SIM_S, .trace = seed};
    rng_seed(&world->rng, seed, 1);
    rng_seed(&world->shuffle, seed, 2);
    world->fabric = sim_fabric_open(world);
}

void sim_world_close(struct sim_world *world)
{
    sim_fabric_close(world->fabric);
    for (size_t i = 0; i < world->n_events; i++) {
        free(world->heap[i]);
    }
    free(world->heap);
    free(world->nodes);
}

/* ---- machines ---- */

struct sim_node *sim_node_open(struct sim_world *world, const char *name, bool alone)
{
    struct sim_node *node = calloc(1, sizeof *node);
    CHECK(node != NULL);
    node->world = world;
    node->powered = true;
    (void)snprintf(node->name, sizeof node->name, "%s", name);
    uint64_t stream = checksum_64(name, strlen(name));
    rng_seed(&node->rng, world->seed, stream);
    rng_seed(&node->process_rng, world->seed, stream + 1);
    node->ppm = (int32_t)rng_below(&node->rng, 1001) - 500;
    node->wall_ms = 1767225600000 + (int64_t)rng_below(&node->rng, 60000);
    node->mono_base_ns = rng_below(&node->rng, 1000 * SIM_S);
    node->mono_start_ns = world->now_ns;
    node->index = UINT32_MAX;
    sim_loop_init(node);
    if (!alone) {
        node->index = (unsigned)world->n_nodes;
        world->nodes = realloc(world->nodes, (world->n_nodes + 1) * sizeof(struct sim_node *));
        CHECK(world->nodes != NULL);
        world->nodes[world->n_nodes++] = node;
        sim_network_init(node);
    }
    return node;
}

void sim_node_close(struct sim_node *node)
{
    CHECK(!node->running);
    if (node->disk != NULL) {
        sim_disk_close(node->disk);
    }
    free(node);
}

void sim_node_start(struct sim_node *node)
{
    CHECK(!node->running && node->powered && node->disk != NULL);
    node->running = true;
    node->doomed = false;
    node->busy_until = 0;
    node->boots++;
    sim_loop_start(node);
    sim_disk_mount(node->disk, node);
}

void sim_node_doom(struct sim_node *node, enum sim_death death)
{
    if (!node->doomed) {
        node->doomed = true;
        node->doom = death;
    }
}

void sim_node_kill_begin(struct sim_node *node, enum sim_death death)
{
    CHECK(node->running);
    node->doomed = true;
    node->dying = true;
    sim_loop_forget_posts(node);
    node->powered = death != SIM_POWER_LOSS;
    if (node->index != UINT32_MAX) {
        sim_network_drop(node, death);
    }
    sim_disk_unmount(node->disk, death);
}

void sim_node_kill_end(struct sim_node *node)
{
    struct sim_world *world = node->world;
    sim_loop_drop(node);
    if (node->index != UINT32_MAX) {
        sim_network_free(node);
    }
    size_t kept = 0;
    for (size_t i = 0; i < world->n_events; i++) {
        struct sim_event *event = world->heap[i];
        if (event->node == node) {
            free(event);
        } else {
            heap_put(world, kept++, event);
        }
    }
    world->n_events = kept;
    for (size_t i = kept / 2; i > 0; i--) {
        heap_down(world, world->heap[i - 1]);
    }
    node->running = false;
    node->doomed = false;
    node->dying = false;
}

void sim_node_power_on(struct sim_node *node)
{
    if (!node->powered) {
        node->powered = true;
        node->mono_base_ns = rng_below(&node->rng, 1000 * SIM_S);
        node->mono_start_ns = node->world->now_ns;
        sim_network_retry(node->world);
    }
}

void sim_node_pause(struct sim_node *node, uint64_t ns)
{
    uint64_t until = node->world->now_ns + ns;
    if (until > node->busy_until) {
        node->busy_until = until;
    }
}

uint64_t sim_node_real_ns(const struct sim_node *node, uint64_t local_ns)
{
    return (uint64_t)((unsigned __int128)local_ns * 1000000u / (unsigned)(1000000 + node->ppm));
}
