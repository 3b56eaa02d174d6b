#include "uv_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"

struct timer {
    uv_timer_t uv;
    void (*fired)(void *arg);
    void *arg;
};

static uint64_t uv_world_mono_ns(void *impl)
{
    (void)impl;
    return uv_hrtime();
}

static void uv_world_random(void *impl, void *bytes, size_t len)
{
    (void)impl;
    CHECK(uv_random(NULL, NULL, bytes, len, 0, NULL) == 0);
}

static struct timer *uv_world_timer_open(void *impl, void (*fired)(void *arg), void *arg)
{
    struct uv_world *world = impl;
    struct timer *timer = calloc(1, sizeof *timer);
    CHECK(timer != NULL);
    timer->fired = fired;
    timer->arg = arg;
    CHECK(uv_timer_init(&world->uv, &timer->uv) == 0);
    timer->uv.data = timer;
    return timer;
}

static void timer_fired(uv_timer_t *uv)
{
    struct timer *timer = uv->data;
    timer->fired(timer->arg);
}

static void uv_world_timer_start(struct timer *timer, uint64_t delay_ms)
{
    CHECK(uv_timer_start(&timer->uv, timer_fired, delay_ms, 0) == 0);
}

static void uv_world_timer_stop(struct timer *timer)
{
    CHECK(uv_timer_stop(&timer->uv) == 0);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void uv_world_timer_close(struct timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->uv, timer_closed);
    }
}

static void uv_world_post(void *impl, struct post *post)
{
    struct uv_world *world = impl;
    if (!post->queued) {
        post->queued = 1;
        post->next = NULL;
        *world->posts_end = post;
        world->posts_end = &post->next;
    }
}

static void uv_world_post_cancel(void *impl, struct post *post)
{
    struct uv_world *world = impl;
    for (struct post **at = &world->posts; post->queued && *at != NULL; at = &(*at)->next) {
        if (*at == post) {
            *at = post->next;
            if (world->posts_end == &post->next) {
                world->posts_end = at;
            }
            post->queued = 0;
            return;
        }
    }
}

static void run_posts(uv_check_t *check)
{
    struct uv_world *world = check->data;
    world->n_turns++;
    while (world->posts != NULL) {
        struct post *post = world->posts;
        uv_world_post_cancel(world, post);
        post->run(post);
    }
}

static void deadline_passed(uv_timer_t *timer)
{
    ((struct uv_world *)timer->data)->late = true;
}

void uv_world_open(struct uv_world *world)
{
    *world = (struct uv_world){.n_turns = 0};
    world->posts_end = &world->posts;
    CHECK(uv_loop_init(&world->uv) == 0);
    CHECK(uv_timer_init(&world->uv, &world->deadline) == 0);
    CHECK(uv_check_init(&world->uv, &world->after_io) == 0);
    world->deadline.data = world;
    world->after_io.data = world;
    CHECK(uv_check_start(&world->after_io, run_posts) == 0);
    world->loop = (struct loop){
        .impl = world,
        .mono_ns = uv_world_mono_ns,
        .random = uv_world_random,
        .timer_open = uv_world_timer_open,
        .timer_start = uv_world_timer_start,
        .timer_stop = uv_world_timer_stop,
        .timer_close = uv_world_timer_close,
        .post = uv_world_post,
        .post_cancel = uv_world_post_cancel,
    };
    network_uv_open(&world->network, &world->uv);
}

void uv_world_wait(struct uv_world *world, bool (*condition)(void *arg), void *arg)
{
    CHECK(uv_timer_start(&world->deadline, deadline_passed, 20000, 0) == 0);
    while (!condition(arg)) {
        (void)uv_run(&world->uv, UV_RUN_ONCE);
        if (world->late) {
            fail_msg("waited for 20 s");
        }
    }
    CHECK(uv_timer_stop(&world->deadline) == 0);
}

void uv_world_poll(struct uv_world *world)
{
    (void)uv_run(&world->uv, UV_RUN_NOWAIT);
}

static void network_closed(void *arg)
{
    *(bool *)arg = true;
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

void uv_world_close(struct uv_world *world)
{
    bool closed = false;
    network_uv_close(&world->network, network_closed, &closed);
    uv_world_wait(world, is_true, &closed);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    uv_close((uv_handle_t *)&world->after_io, NULL);
    (void)uv_run(&world->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->uv), 0);
}
