/* A node's loop: timers that are late (or, as with a real loop's cached clock, up to a millisecond early), what was
 * posted for the end of the turn, and work on a pool.
 *
 * A turn ends at once or up to a third of a millisecond later; what happens on the node before that belongs to the same
 * turn, as when a real loop finds several descriptors ready. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

struct timer {
    struct sim_node *node;
    void (*fired)(void *arg);
    void *arg;
    struct sim_event *event; /* NULL: idle */
    struct timer *next, *previous;
};

struct sim_work {
    struct sim_node *node;
    struct work *work;
    struct sim_work *next, *previous;
};

/* ---- clocks ---- */

static uint64_t mono_ns(void *impl)
{
    const struct sim_node *node = impl;
    uint64_t real = node->world->now_ns - node->mono_start_ns;
    return node->mono_base_ns + (uint64_t)((unsigned __int128)real * (unsigned)(1000000 + node->ppm) / 1000000u);
}

static int64_t wall_ms(void *impl)
{
    const struct sim_node *node = impl;
    return node->wall_ms + (int64_t)(node->world->now_ns / SIM_MS);
}

static void draw(void *impl, void *bytes, size_t len)
{
    struct sim_node *node = impl;
    uint8_t *p = bytes;
    while (len > 0) {
        uint64_t drawn = rng_next(&node->process_rng);
        size_t part = len < sizeof drawn ? len : sizeof drawn;
        memcpy(p, &drawn, part);
        p += part;
        len -= part;
    }
}

/* ---- timers ---- */

static struct timer *timer_open(void *impl, void (*fired)(void *arg), void *arg)
{
    struct sim_node *node = impl;
    struct timer *timer = calloc(1, sizeof *timer);
    CHECK(timer != NULL);
    timer->node = node;
    timer->fired = fired;
    timer->arg = arg;
    timer->next = node->timers;
    if (node->timers != NULL) {
        node->timers->previous = timer;
    }
    node->timers = timer;
    return timer;
}

static void timer_run(void *arg)
{
    struct timer *timer = arg;
    timer->event = NULL;
    timer->fired(timer->arg);
}

static uint64_t jitter_ns(struct sim_node *node)
{
    uint64_t die = rng_below(&node->rng, 1000);
    if (die < 800) {
        return rng_below(&node->rng, SIM_MS);
    }
    return die < 990 ? rng_below(&node->rng, 4 * SIM_MS) : rng_below(&node->rng, 30 * SIM_MS);
}

static void timer_stop(struct timer *timer)
{
    sim_cancel(timer->node->world, timer->event);
    timer->event = NULL;
}

static void timer_start(struct timer *timer, uint64_t delay_ms)
{
    struct sim_node *node = timer->node;
    timer_stop(timer);
    uint64_t most = UINT64_MAX / 4 / SIM_MS;
    uint64_t delay = sim_node_real_ns(node, (delay_ms < most ? delay_ms : most) * SIM_MS) + jitter_ns(node);
    if (delay_ms > 0 && rng_chance(&node->rng, 200)) {
        delay -= rng_below(&node->rng, SIM_MS);
    }
    timer->event = sim_schedule(node->world, node, delay + 10 * SIM_US, SIM_TIMER, timer_run, timer);
}

static void timer_close(struct timer *timer)
{
    if (timer == NULL) {
        return;
    }
    timer_stop(timer);
    if (timer->previous != NULL) {
        timer->previous->next = timer->next;
    } else {
        timer->node->timers = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->previous = timer->previous;
    }
    free(timer);
}

/* ---- the end of a turn ---- */

static void turn_end(void *arg)
{
    struct sim_node *node = arg;
    node->turn_end = NULL;
    node->posted_running = node->posted;
    node->posted = NULL;
    while (node->posted_running != NULL) {
        struct post *post = node->posted_running;
        node->posted_running = post->next;
        post->next = NULL;
        post->queued = 0;
        post->run(post);
    }
}

static void post(void *impl, struct post *what)
{
    struct sim_node *node = impl;
    if (what->queued) {
        return;
    }
    what->queued = 1;
    what->next = NULL;
    struct post **end = &node->posted;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = what;
    if (node->turn_end == NULL) {
        uint64_t delay = rng_chance(&node->rng, 700) ? 0 : rng_below(&node->rng, 300 * SIM_US);
        node->turn_end = sim_schedule(node->world, node, delay, SIM_TURN_END, turn_end, node);
    }
}

static bool unlink_post(struct post **list, struct post *what)
{
    for (struct post **p = list; *p != NULL; p = &(*p)->next) {
        if (*p == what) {
            *p = what->next;
            what->next = NULL;
            what->queued = 0;
            return true;
        }
    }
    return false;
}

static void post_cancel(void *impl, struct post *what)
{
    struct sim_node *node = impl;
    if (what->queued && !unlink_post(&node->posted, what) && !unlink_post(&node->posted_running, what)) {
        CHECK(node->dying);
        what->queued = 0;
    }
}

/* ---- the pool ---- */

static void work_forget(struct sim_work *entry)
{
    struct sim_node *node = entry->node;
    if (entry->previous != NULL) {
        entry->previous->next = entry->next;
    } else {
        node->works = entry->next;
    }
    if (entry->next != NULL) {
        entry->next->previous = entry->previous;
    }
    free(entry);
}

static void work_done(void *arg)
{
    struct sim_work *entry = arg;
    struct work *work = entry->work;
    work_forget(entry);
    work->impl = NULL;
    work->done(work);
}

static uint64_t pool_delay_ns(struct sim_node *node)
{
    uint64_t die = rng_below(&node->rng, 100);
    return die < 80 ? rng_below(&node->rng, SIM_MS) : rng_below(&node->rng, (die < 98 ? 10 : 100) * SIM_MS);
}

static void work_run(void *arg)
{
    struct sim_work *entry = arg;
    struct sim_node *node = entry->node;
    node->in_work = true;
    node->work_cost_ns = 0;
    entry->work->run(entry->work);
    node->in_work = false;
    (void)sim_schedule(node->world, node, node->work_cost_ns + pool_delay_ns(node), SIM_WORK_DONE, work_done, entry);
}

static void work(void *impl, struct work *what)
{
    struct sim_node *node = impl;
    struct sim_work *entry = calloc(1, sizeof *entry);
    CHECK(entry != NULL);
    entry->node = node;
    entry->work = what;
    entry->next = node->works;
    if (node->works != NULL) {
        node->works->previous = entry;
    }
    node->works = entry;
    what->impl = entry;
    (void)sim_schedule(node->world, node, pool_delay_ns(node), SIM_WORK_RUN, work_run, entry);
}

/* ---- life ---- */

void sim_loop_init(struct sim_node *node)
{
    node->loop = (struct loop){
        .impl = node,
        .mono_ns = mono_ns,
        .wall_ms = wall_ms,
        .random = draw,
        .timer_open = timer_open,
        .timer_start = timer_start,
        .timer_stop = timer_stop,
        .timer_close = timer_close,
        .post = post,
        .post_cancel = post_cancel,
        .work = work,
    };
}

void sim_loop_start(struct sim_node *node)
{
    CHECK(node->timers == NULL && node->works == NULL && node->posted == NULL);
    node->turn_end = NULL;
}

void sim_loop_forget_posts(struct sim_node *node)
{
    node->posted = NULL;
    node->posted_running = NULL;
}

void sim_loop_drop(struct sim_node *node)
{
    sim_loop_forget_posts(node);
    while (node->timers != NULL) {
        timer_close(node->timers);
    }
    while (node->works != NULL) {
        work_forget(node->works);
    }
    node->turn_end = NULL; /* its event goes with the node's others */
    node->in_work = false;
}

void sim_loop_spend(struct sim_node *node, uint64_t ns)
{
    if (node->in_work) {
        node->work_cost_ns += ns;
    } else {
        sim_node_pause(node, ns);
    }
}
