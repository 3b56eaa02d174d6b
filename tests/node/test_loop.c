/* What struct loop promises (base/loop.h), on the real libuv loop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/loop_uv.h"

enum { EVENTS = 32 };

/* What happened, in order. */
struct fixture {
    struct loop loop;
    struct loop_uv *uv;
    struct timer *bound; /* a test that hangs fails instead */
    char events[EVENTS + 1];
    size_t n_events;
};

static void record(struct fixture *f, char event)
{
    assert_true(f->n_events < EVENTS);
    f->events[f->n_events++] = event;
    f->events[f->n_events] = 0;
}

static void took_too_long(void *arg)
{
    (void)arg;
    fail_msg("the loop didn't do what was waited for");
}

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->uv = loop_uv_open(&f->loop);
    f->bound = loop_timer_open(&f->loop, took_too_long, NULL);
    loop_timer_start(&f->loop, f->bound, 20000);
}

static void teardown(struct fixture *f)
{
    loop_timer_close(&f->loop, f->bound);
    loop_uv_close(f->uv);
}

struct marked_post {
    struct post post;
    struct fixture *f;
    char event;
    int again; /* how often it posts itself again */
    struct post *also;
    struct post *cancels;
};

static void marked_run(struct post *post)
{
    struct marked_post *marked = post->data;
    record(marked->f, marked->event);
    if (marked->also != NULL) {
        loop_post(&marked->f->loop, marked->also);
    }
    if (marked->cancels != NULL) {
        loop_post_cancel(&marked->f->loop, marked->cancels);
    }
    if (marked->again > 0) {
        marked->again--;
        loop_post(&marked->f->loop, post);
    }
}

static void marked_init(struct marked_post *marked, struct fixture *f, char event)
{
    *marked = (struct marked_post){.f = f, .event = event};
    marked->post.run = marked_run;
    marked->post.data = marked;
}

static void stop_run(struct post *post)
{
    struct fixture *f = post->data;
    loop_uv_stop(f->uv);
}

static void posts_run_once_in_order_and_posting_twice_is_posting_once(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct marked_post a;
    struct marked_post b;
    struct post stop = {.run = stop_run, .data = &f};
    marked_init(&a, &f, 'a');
    marked_init(&b, &f, 'b');
    loop_post(&f.loop, &a.post);
    loop_post(&f.loop, &b.post);
    loop_post(&f.loop, &a.post);
    loop_post(&f.loop, &stop);
    assert_int_equal(f.n_events, 0); /* nothing calls back before it returns */
    loop_uv_run(f.uv);
    assert_string_equal(f.events, "ab");
    teardown(&f);
}

static void a_post_that_posts_waits_for_the_next_round(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct marked_post a;
    struct marked_post b;
    struct marked_post c;
    marked_init(&a, &f, 'a');
    marked_init(&b, &f, 'b');
    marked_init(&c, &f, 'c');
    a.again = 1;
    a.also = &c.post; /* queued behind b, so c and the second a make up a round of their own, and then c alone */
    loop_post(&f.loop, &a.post);
    loop_post(&f.loop, &b.post);
    struct post stop = {.run = stop_run, .data = &f};
    while (f.n_events < 5) {
        loop_post(&f.loop, &stop);
        loop_uv_run(f.uv);
    }
    assert_string_equal(f.events, "abcac");
    teardown(&f);
}

static void a_cancelled_post_does_not_run(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct marked_post a;
    struct marked_post b;
    struct marked_post c;
    struct post stop = {.run = stop_run, .data = &f};
    marked_init(&a, &f, 'a');
    marked_init(&b, &f, 'b');
    marked_init(&c, &f, 'c');
    a.cancels = &b.post; /* in the middle of the round that b belongs to */
    loop_post(&f.loop, &a.post);
    loop_post(&f.loop, &b.post);
    loop_post(&f.loop, &c.post);
    loop_post_cancel(&f.loop, &c.post); /* the last one */
    loop_post_cancel(&f.loop, &c.post); /* what isn't posted may be cancelled */
    loop_post(&f.loop, &stop);
    loop_uv_run(f.uv);
    assert_string_equal(f.events, "a");
    loop_post(&f.loop, &b.post); /* and posted again */
    loop_post(&f.loop, &stop);
    loop_uv_run(f.uv);
    assert_string_equal(f.events, "ab");
    teardown(&f);
}

static void timer_posts(void *arg)
{
    struct marked_post *marked = arg;
    record(marked->f, 't');
    loop_post(&marked->f->loop, &marked->post);
}

static void posted_stop(struct post *post)
{
    struct marked_post *marked = post->data;
    record(marked->f, 'p');
    loop_uv_stop(marked->f->uv);
}

/* Only the timer's turn can run the post: if libuv slept with it queued, the bound (20 s) would fire. */
static void the_loop_does_not_sleep_while_something_is_posted(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct marked_post marked;
    marked_init(&marked, &f, 'p');
    marked.post.run = posted_stop;
    struct timer *timer = loop_timer_open(&f.loop, timer_posts, &marked);
    loop_timer_start(&f.loop, timer, 1);
    uint64_t before_ns = loop_mono_ns(&f.loop);
    loop_uv_run(f.uv);
    assert_string_equal(f.events, "tp");
    assert_true(loop_mono_ns(&f.loop) - before_ns < UINT64_C(15000000000));
    loop_timer_close(&f.loop, timer);
    teardown(&f);
}

struct timer_case {
    struct fixture *f;
    char event;
    struct timer *stops;
};

static void timer_records(void *arg)
{
    struct timer_case *one = arg;
    record(one->f, one->event);
    if (one->stops != NULL) {
        loop_timer_stop(&one->f->loop, one->stops);
    }
    if (one->event == 'z') {
        loop_uv_stop(one->f->uv);
    }
}

static void timers_fire_once_are_replaced_stopped_and_closed(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct timer_case cases[] = {{&f, 'a', NULL}, {&f, 'b', NULL}, {&f, 'c', NULL}, {&f, 'z', NULL}};
    struct timer *timers[4];
    for (int i = 0; i < 4; i++) {
        timers[i] = loop_timer_open(&f.loop, timer_records, &cases[i]);
    }
    cases[0].stops = timers[1];
    loop_timer_start(&f.loop, timers[0], 15000);
    loop_timer_start(&f.loop, timers[0], 1); /* replaces */
    loop_timer_start(&f.loop, timers[1], 5);
    loop_timer_start(&f.loop, timers[2], 2);
    loop_timer_start(&f.loop, timers[3], 20);
    loop_timer_close(&f.loop, timers[2]);
    loop_timer_close(&f.loop, NULL);
    loop_uv_run(f.uv);
    assert_string_equal(f.events, "az");
    loop_timer_close(&f.loop, timers[0]);
    loop_timer_close(&f.loop, timers[1]);
    loop_timer_close(&f.loop, timers[3]);
    teardown(&f);
}

struct counted_work {
    struct work work;
    struct fixture *f;
    unsigned ran;
};

static void work_counts(struct work *work)
{
    struct counted_work *counted = work->data;
    counted->ran++;
}

static void work_is_done(struct work *work)
{
    struct counted_work *counted = work->data;
    record(counted->f, 'd');
    if (counted->ran < 3) {
        loop_work(&counted->f->loop, work); /* the memory is the caller's again */
    } else {
        loop_uv_stop(counted->f->uv);
    }
}

static void work_runs_elsewhere_and_is_done_on_the_loop(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct counted_work counted = {.work = {.run = work_counts, .done = work_is_done}, .f = &f};
    counted.work.data = &counted;
    loop_work(&f.loop, &counted.work);
    assert_int_equal(f.n_events, 0);
    loop_uv_run(f.uv);
    assert_int_equal(counted.ran, 3);
    assert_string_equal(f.events, "ddd");
    teardown(&f);
}

static void random_bytes_differ_whatever_their_number(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    static const size_t lengths[] = {8, 16, 100, 200, 255, 256, 257, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t a[1000];
        uint8_t b[1000];
        loop_random(&f.loop, a, lengths[i]);
        loop_random(&f.loop, b, lengths[i]);
        assert_memory_not_equal(a, b, lengths[i]);
    }
    uint8_t zero[8] = {0};
    uint8_t drawn[8];
    for (int i = 0; i < 100; i++) { /* over several refills of the buffer: never what was wiped */
        loop_random(&f.loop, drawn, sizeof drawn);
        assert_memory_not_equal(drawn, zero, sizeof drawn);
    }
    teardown(&f);
}

static void signal_recorded(void *arg, int number)
{
    struct fixture *f = arg;
    record(f, number == SIGTERM ? 'T' : 'I');
    loop_uv_stop(f->uv);
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    loop_uv_watch_signals(f.uv, signal_recorded, &f);
    assert_int_equal(raise(SIGTERM), 0);
    loop_uv_run(f.uv);
    assert_int_equal(raise(SIGINT), 0);
    loop_uv_run(f.uv);
    assert_string_equal(f.events, "TI");
    teardown(&f);
}

struct masked_work {
    struct work work;
    struct fixture *f;
    sigset_t mask; /* of the thread that ran it */
};

static void mask_looked_at(struct work *work)
{
    struct masked_work *masked = work->data;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &masked->mask), 0);
}

static void mask_is_known(struct work *work)
{
    const struct masked_work *masked = work->data;
    loop_uv_stop(masked->f->uv);
}

static void signals_reach_no_thread_of_the_pool(void **state)
{
    (void)state;
    struct fixture f;
    sigset_t own;
    setup(&f);
    struct masked_work masked = {.work = {.run = mask_looked_at, .done = mask_is_known}, .f = &f};
    masked.work.data = &masked;
    loop_work(&f.loop, &masked.work);
    loop_uv_run(f.uv);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &own), 0);
    assert_int_equal(sigismember(&own, SIGTERM), 0); /* here they may come */
    assert_int_equal(sigismember(&own, SIGINT), 0);
    assert_int_equal(sigismember(&masked.mask, SIGTERM), 1);
    assert_int_equal(sigismember(&masked.mask, SIGINT), 1);
    teardown(&f);
}

struct turns {
    unsigned all;
    unsigned slow;
};

static void turn_counted(void *arg, const struct loop_uv_turn *turn)
{
    struct turns *turns = arg;
    assert_true(turn->cpu_ns <= turn->wall_ns + 1000000); /* two clocks */
    turns->all++;
    turns->slow += turn->wall_ns >= 20000000;
}

static void busy_run(struct post *post)
{
    struct fixture *f = post->data;
    uint64_t until_ns = loop_mono_ns(&f->loop) + 20000000;
    while (loop_mono_ns(&f->loop) < until_ns) {
        /* this is what is measured */
    }
}

static void every_turn_is_told_and_sleeping_is_not_counted(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct timer_case end = {&f, 'z', NULL};
    struct timer *timer = loop_timer_open(&f.loop, timer_records, &end);
    struct turns turns = {0};
    loop_uv_watch_turns(f.uv, turn_counted, &turns);
    loop_timer_start(&f.loop, timer, 60); /* asleep for most of it */
    loop_uv_run(f.uv);
    struct turns asleep = turns;
    assert_int_equal(f.events[f.n_events - 1], 'z');
    assert_true(asleep.all > 0);
    struct post busy = {.run = busy_run, .data = &f};
    loop_post(&f.loop, &busy);
    loop_timer_start(&f.loop, timer, 60);
    loop_uv_run(f.uv);
    assert_true(turns.all > asleep.all && turns.slow > asleep.slow);
    loop_timer_close(&f.loop, timer);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_run_once_in_order_and_posting_twice_is_posting_once),
        cmocka_unit_test(a_post_that_posts_waits_for_the_next_round),
        cmocka_unit_test(a_cancelled_post_does_not_run),
        cmocka_unit_test(the_loop_does_not_sleep_while_something_is_posted),
        cmocka_unit_test(timers_fire_once_are_replaced_stopped_and_closed),
        cmocka_unit_test(work_runs_elsewhere_and_is_done_on_the_loop),
        cmocka_unit_test(random_bytes_differ_whatever_their_number),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(signals_reach_no_thread_of_the_pool),
        cmocka_unit_test(every_turn_is_told_and_sleeping_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
