/* One turn of libuv: timers, then prepare, then sleep in poll and handle what woke it, then check. What was posted runs
 * in check, after all I/O events of the turn, and what is posted between there and the next sleep (by timers, by other
 * prepare handles, by the posts themselves) runs in prepare. An idle handle is active exactly while something is queued:
 * libuv doesn't sleep then.
 *
 * A post that posts itself again belongs to the next round: each round takes only what carries the older mark. */
#include "node/loop_uv.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <uv.h>

#include "base/check.h"

enum { RANDOM_BUFFER_BYTES = 256, SIGNALS = 2 }; /* getrandom gives up to 256 bytes without being interrupted */

struct loop_uv {
    uv_loop_t loop;
    uv_check_t check;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_signal_t signals[SIGNALS];
    void (*signal_received)(void *arg, int signal);
    void *signal_arg;
    struct post *first; /* queued posts, oldest first */
    struct post *last;
    int mark; /* 1 or 2: what posts that are queued now carry */
    void (*turn_ended)(void *arg, const struct loop_uv_turn *turn);
    void *turn_arg;
    uint64_t turn_wall_ns; /* when the last turn ended … */
    uint64_t turn_idle_ns; /* … and how long libuv had slept by then, in all */
    uint64_t turn_cpu_ns;
    uint8_t random[RANDOM_BUFFER_BYTES];
    size_t random_left; /* unused bytes at the end of `random` */
};

struct timer {
    uv_timer_t handle;
    void (*fired)(void *arg);
    void *arg;
};

/* ---- posts ---- */

static void keep_awake(uv_idle_t *idle)
{
    (void)idle;
}

static void posts_run(struct loop_uv *uv)
{
    int round = uv->mark;
    uv->mark = round == 1 ? 2 : 1;
    while (uv->first != NULL && uv->first->queued == round) {
        struct post *post = uv->first;
        uv->first = post->next;
        if (uv->first == NULL) {
            uv->last = NULL;
        }
        post->next = NULL;
        post->queued = 0;
        post->run(post);
    }
    if (uv->first == NULL) {
        CHECK(uv_idle_stop(&uv->idle) == 0);
    }
}

static void check_ran(uv_check_t *check)
{
    posts_run(check->data);
}

static uint64_t cpu_ns(void)
{
    struct timespec used;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* The end of a turn. What it took is the time since the last one ended, less what libuv slept in between. */
static void turn_measure(struct loop_uv *uv)
{
    uint64_t wall_ns = uv_hrtime();
    uint64_t idle_ns = uv_metrics_idle_time(&uv->loop);
    uint64_t turn_cpu_ns = cpu_ns();
    struct loop_uv_turn turn = {
        .wall_ns = wall_ns - uv->turn_wall_ns - (idle_ns - uv->turn_idle_ns),
        .cpu_ns = turn_cpu_ns - uv->turn_cpu_ns,
    };
    bool is_first = uv->turn_wall_ns == 0;
    uv->turn_wall_ns = wall_ns;
    uv->turn_idle_ns = idle_ns;
    uv->turn_cpu_ns = turn_cpu_ns;
    if (!is_first) {
        uv->turn_ended(uv->turn_arg, &turn);
    }
}

static void prepare_ran(uv_prepare_t *prepare)
{
    struct loop_uv *uv = prepare->data;
    posts_run(uv);
    if (uv->turn_ended != NULL) {
        turn_measure(uv);
    }
}

static void loop_uv_post(void *impl, struct post *post)
{
    struct loop_uv *uv = impl;
    if (post->queued != 0) {
        return;
    }
    post->queued = uv->mark;
    post->next = NULL;
    if (uv->last == NULL) {
        uv->first = post;
        CHECK(uv_idle_start(&uv->idle, keep_awake) == 0);
    } else {
        uv->last->next = post;
    }
    uv->last = post;
}

static void loop_uv_post_cancel(void *impl, struct post *post)
{
    struct loop_uv *uv = impl;
    if (post->queued == 0) {
        return;
    }
    struct post *previous = NULL;
    for (struct post *at = uv->first; at != post; at = at->next) {
        CHECK(at != NULL);
        previous = at;
    }
    if (previous == NULL) {
        uv->first = post->next;
    } else {
        previous->next = post->next;
    }
    if (uv->last == post) {
        uv->last = previous;
    }
    post->next = NULL;
    post->queued = 0; /* the idle handle is stopped at the end of the next round */
}

/* ---- clocks and chance ---- */

static uint64_t loop_uv_mono_ns(void *impl)
{
    (void)impl;
    return uv_hrtime();
}

static int64_t loop_uv_wall_ms(void *impl)
{
    (void)impl;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void random_draw(void *bytes, size_t len)
{
    uint8_t *at = bytes;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0) {
            CHECK(errno == EINTR);
            continue;
        }
        at += got;
        len -= (size_t)got;
    }
}

static void loop_uv_random(void *impl, void *bytes, size_t len)
{
    struct loop_uv *uv = impl;
    if (len > RANDOM_BUFFER_BYTES) {
        random_draw(bytes, len);
        return;
    }
    if (len > uv->random_left) {
        random_draw(uv->random, sizeof uv->random);
        uv->random_left = sizeof uv->random;
    }
    uint8_t *from = uv->random + sizeof uv->random - uv->random_left;
    memcpy(bytes, from, len);
    memset(from, 0, len); /* what was given out may be a secret */
    uv->random_left -= len;
}

/* ---- timers ---- */

static struct timer *loop_uv_timer_open(void *impl, void (*fired)(void *arg), void *arg)
{
    struct loop_uv *uv = impl;
    struct timer *timer = calloc(1, sizeof *timer);
    CHECK(timer != NULL);
    timer->fired = fired;
    timer->arg = arg;
    CHECK(uv_timer_init(&uv->loop, &timer->handle) == 0);
    timer->handle.data = timer;
    return timer;
}

static void timer_fired(uv_timer_t *handle)
{
    struct timer *timer = handle->data;
    timer->fired(timer->arg);
}

static void loop_uv_timer_start(struct timer *timer, uint64_t delay_ms)
{
    /* libuv counts from the time it remembers, which is as old as this turn: a long turn would make the timer early. */
    uv_update_time(timer->handle.loop);
    CHECK(uv_timer_start(&timer->handle, timer_fired, delay_ms, 0) == 0);
}

static void loop_uv_timer_stop(struct timer *timer)
{
    CHECK(uv_timer_stop(&timer->handle) == 0);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void loop_uv_timer_close(struct timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->handle, timer_closed);
    }
}

/* ---- work ---- */

static void work_run(uv_work_t *request)
{
    struct work *work = request->data;
    work->run(work);
}

static void work_done(uv_work_t *request, int status)
{
    CHECK(status == 0); /* nobody cancels */
    struct work *work = request->data;
    free(request);
    work->impl = NULL;
    work->done(work);
}

static void loop_uv_work(void *impl, struct work *work)
{
    struct loop_uv *uv = impl;
    uv_work_t *request = calloc(1, sizeof *request);
    CHECK(request != NULL);
    request->data = work;
    work->impl = request;
    CHECK(uv_queue_work(&uv->loop, request, work_run, work_done) == 0);
}

/* ---- the loop ---- */

static void nothing_run(uv_work_t *request)
{
    (void)request;
}

/* libuv's threads begin with the first work, and keep the signal mask of that moment. With the program's signals blocked in
 * them, these reach the loop's thread only, and whoever blocks them there has blocked them. */
static void pool_start(uv_loop_t *loop)
{
    sigset_t ours;
    sigset_t before;
    uv_work_t nothing;
    CHECK(sigemptyset(&ours) == 0 && sigaddset(&ours, SIGTERM) == 0 && sigaddset(&ours, SIGINT) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &ours, &before) == 0);
    CHECK(uv_queue_work(loop, &nothing, nothing_run, NULL) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    CHECK(uv_run(loop, UV_RUN_DEFAULT) == 0); /* until it is done */
}

struct loop_uv *loop_uv_open(struct loop *loop)
{
    struct loop_uv *uv = calloc(1, sizeof *uv);
    CHECK(uv != NULL);
    uv->mark = 1;
    CHECK(uv_loop_init(&uv->loop) == 0);
    pool_start(&uv->loop);
    CHECK(uv_check_init(&uv->loop, &uv->check) == 0);
    CHECK(uv_prepare_init(&uv->loop, &uv->prepare) == 0);
    CHECK(uv_idle_init(&uv->loop, &uv->idle) == 0);
    uv->check.data = uv;
    uv->prepare.data = uv;
    CHECK(uv_check_start(&uv->check, check_ran) == 0);
    CHECK(uv_prepare_start(&uv->prepare, prepare_ran) == 0);
    for (int i = 0; i < SIGNALS; i++) {
        CHECK(uv_signal_init(&uv->loop, &uv->signals[i]) == 0);
        uv->signals[i].data = uv;
    }
    *loop = (struct loop){
        .impl = uv,
        .mono_ns = loop_uv_mono_ns,
        .wall_ms = loop_uv_wall_ms,
        .random = loop_uv_random,
        .timer_open = loop_uv_timer_open,
        .timer_start = loop_uv_timer_start,
        .timer_stop = loop_uv_timer_stop,
        .timer_close = loop_uv_timer_close,
        .post = loop_uv_post,
        .post_cancel = loop_uv_post_cancel,
        .work = loop_uv_work,
    };
    return uv;
}

struct uv_loop_s *loop_uv_handle(struct loop_uv *uv)
{
    return &uv->loop;
}

static void signal_arrived(uv_signal_t *handle, int number)
{
    struct loop_uv *uv = handle->data;
    uv->signal_received(uv->signal_arg, number);
}

void loop_uv_watch_signals(struct loop_uv *uv, void (*received)(void *arg, int signal), void *arg)
{
    CHECK(uv->signal_received == NULL);
    uv->signal_received = received;
    uv->signal_arg = arg;
    CHECK(uv_signal_start(&uv->signals[0], signal_arrived, SIGTERM) == 0);
    CHECK(uv_signal_start(&uv->signals[1], signal_arrived, SIGINT) == 0);
}

void loop_uv_watch_turns(struct loop_uv *uv, void (*ended)(void *arg, const struct loop_uv_turn *turn), void *arg)
{
    CHECK(uv_loop_configure(&uv->loop, UV_METRICS_IDLE_TIME) == 0);
    uv->turn_ended = ended;
    uv->turn_arg = arg;
}

void loop_uv_run(struct loop_uv *uv)
{
    (void)uv_run(&uv->loop, UV_RUN_DEFAULT);
}

void loop_uv_stop(struct loop_uv *uv)
{
    uv_stop(&uv->loop);
}

void loop_uv_close(struct loop_uv *uv)
{
    CHECK(uv->first == NULL);
    uv_close((uv_handle_t *)&uv->check, NULL);
    uv_close((uv_handle_t *)&uv->prepare, NULL);
    uv_close((uv_handle_t *)&uv->idle, NULL);
    for (int i = 0; i < SIGNALS; i++) {
        uv_close((uv_handle_t *)&uv->signals[i], NULL);
    }
    (void)uv_run(&uv->loop, UV_RUN_DEFAULT); /* closing takes a turn; timers closed before are freed here, too */
    CHECK(uv_loop_close(&uv->loop) == 0);
    free(uv);
}
