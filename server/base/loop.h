/* loop: time, timers, chance, and "later", as every room sees them.
 *
 * This is one of the seams between the program and its world (the others are disk.h, network.h). Production has one
 * implementation over libuv (node/loop_uv.c); the simulator has another, driven by a seed. A room that takes its time
 * and its randomness from here and from nowhere else repeats to the byte.
 *
 * Everything but `struct work.run` happens on one thread. No function here calls back before it returns. */
#ifndef BATON_BASE_LOOP_H
#define BATON_BASE_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct timer; /* owned by the implementation */

/* Something to run once at the end of this loop turn, after all its I/O events were handled ("this turn's operations go
 * into one log entry"). Memory belongs to the caller and must stay until `run` was called or loop_post_cancel. Posting
 * what is posted already does nothing; `run` may post again (for the next turn). Zero-initialise, then set run and data. */
struct post {
    void (*run)(struct post *post);
    void *data;
    struct post *next; /* private */
    int queued;        /* private */
};

/* Work that would block the loop: `run` is called on a thread of the pool with everything it reads frozen before, then
 * `done` on the loop. Memory belongs to the caller until `done` was called; there is no cancelling. */
struct work {
    void (*run)(struct work *work);
    void (*done)(struct work *work);
    void *data;
    void *impl; /* private */
};

struct loop {
    void *impl;
    uint64_t (*mono_ns)(void *impl); /* monotonic nanoseconds; the origin means nothing */
    int64_t (*wall_ms)(void *impl);  /* Unix milliseconds; for people only, no decision is made from it */
    void (*random)(void *impl, void *bytes, size_t len);
    struct timer *(*timer_open)(void *impl, void (*fired)(void *arg), void *arg); /* never NULL */
    void (*timer_start)(struct timer *timer, uint64_t delay_ms);                  /* once; starting again replaces */
    void (*timer_stop)(struct timer *timer);                                      /* idle timers may be stopped */
    void (*timer_close)(struct timer *timer); /* frees; it doesn't fire any more; NULL is allowed */
    void (*post)(void *impl, struct post *post);
    void (*post_cancel)(void *impl, struct post *post);
    void (*work)(void *impl, struct work *work);
};

static inline uint64_t loop_mono_ns(const struct loop *loop)
{
    return loop->mono_ns(loop->impl);
}
static inline uint64_t loop_mono_ms(const struct loop *loop)
{
    return loop->mono_ns(loop->impl) / 1000000u;
}
static inline int64_t loop_wall_ms(const struct loop *loop)
{
    return loop->wall_ms(loop->impl);
}
static inline void loop_random(const struct loop *loop, void *bytes, size_t len)
{
    loop->random(loop->impl, bytes, len);
}
uint64_t loop_random_below(const struct loop *loop, uint64_t bound); /* 0 … bound − 1; bound > 0 */
static inline struct timer *loop_timer_open(const struct loop *loop, void (*fired)(void *arg), void *arg)
{
    return loop->timer_open(loop->impl, fired, arg);
}
static inline void loop_timer_start(const struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
    loop->timer_start(timer, delay_ms);
}
static inline void loop_timer_stop(const struct loop *loop, struct timer *timer)
{
    loop->timer_stop(timer);
}
static inline void loop_timer_close(const struct loop *loop, struct timer *timer)
{
    loop->timer_close(timer);
}
static inline void loop_post(const struct loop *loop, struct post *post)
{
    loop->post(loop->impl, post);
}
static inline void loop_post_cancel(const struct loop *loop, struct post *post)
{
    loop->post_cancel(loop->impl, post);
}
static inline void loop_work(const struct loop *loop, struct work *work)
{
    loop->work(loop->impl, work);
}

#endif
