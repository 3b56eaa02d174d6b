/* uv_world: struct loop over a real libuv loop, for the tests of network_uv. Waiting is for a condition, with a deadline
 * that is never reached when things work. */
#ifndef BATON_TESTS_PEER_UV_WORLD_H
#define BATON_TESTS_PEER_UV_WORLD_H

#include <stdbool.h>
#include <uv.h>

#include "base/loop.h"
#include "peer/network_uv.h"

struct uv_world {
    uv_loop_t uv;
    struct loop loop;
    struct network network;
    struct post *posts, **posts_end;
    uv_timer_t deadline;
    uv_check_t after_io;
    size_t n_turns;
    bool late;
};

void uv_world_open(struct uv_world *world);
void uv_world_close(struct uv_world *world); /* fails if anything was left open */
/* Runs the loop until `condition` holds; fails the test after 20 s. */
void uv_world_wait(struct uv_world *world, bool (*condition)(void *arg), void *arg);
/* Handles what is there, without waiting. */
void uv_world_poll(struct uv_world *world);

#endif
