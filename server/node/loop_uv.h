/* loop_uv: struct loop over libuv, and the signals that end the program. The one loop of `batond`.
 *
 * Open it before anything else uses its uv_loop_t: libuv runs prepare handles newest first, so what is posted while http
 * takes requests in its own prepare handle still runs in the same turn, before the loop goes to sleep. Timers have libuv's
 * granularity of a millisecond. */
#ifndef BATON_NODE_LOOP_UV_H
#define BATON_NODE_LOOP_UV_H

#include "base/loop.h"

struct loop_uv;
struct uv_loop_s; /* uv_loop_t */

/* Fills in `loop`. Never NULL. */
struct loop_uv *loop_uv_open(struct loop *loop);
struct uv_loop_s *loop_uv_handle(struct loop_uv *uv);

/* Calls `received` from the top of the loop each time SIGTERM or SIGINT arrives, instead of dying of it. Once. They reach
 * no other thread; loop_uv_close gives them back their default. */
void loop_uv_watch_signals(struct loop_uv *uv, void (*received)(void *arg, int signal), void *arg);

/* How long the loop was busy between two sleeps. */
struct loop_uv_turn {
    uint64_t wall_ns;
    uint64_t cpu_ns; /* of this thread: what is missing, the kernel gave to others, or it waited in a call */
};

/* Calls `ended` at the end of each turn: whoever has a timer or a client waiting waited as long as it took. Once, before
 * loop_uv_run. */
void loop_uv_watch_turns(struct loop_uv *uv, void (*ended)(void *arg, const struct loop_uv_turn *turn), void *arg);

/* Runs until loop_uv_stop is called. */
void loop_uv_run(struct loop_uv *uv);
void loop_uv_stop(struct loop_uv *uv);

/* Frees. Every timer is closed, nothing is posted, no work is under way, and nobody else's handle is open. */
void loop_uv_close(struct loop_uv *uv);

#endif
