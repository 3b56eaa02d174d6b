/* world: a loop with a clock of its own, and a network in memory, so that tests of peer repeat to the byte.
 *
 * Nothing happens by itself: world_run delivers until nothing is left to deliver, world_advance lets time pass, too. A
 * connection's kernel is a window of bytes that were sent and not yet delivered; what doesn't fit is unsent. */
#ifndef BATON_TESTS_PEER_WORLD_H
#define BATON_TESTS_PEER_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/slice.h"
#include "peer/network.h"

struct world {
    struct loop loop;
    struct network network;
    uint64_t now_ns;
    uint64_t seed;
    struct timer *timers;
    struct post *posts, **posts_end;
    struct listener *listeners;
    struct connection *connections;
    size_t window_bytes;   /* what a kernel takes; 256 KiB */
    size_t piece_bytes;    /* delivered at a time; 0: all at once */
    bool silent;           /* dials get no answer, and time out after 2 s */
    size_t n_dials;        /* so far */
    uint64_t last_dial_ms; /* since the beginning */
    size_t n_sends;
};

void world_open(struct world *world);
void world_close(struct world *world); /* checks that nothing was left open */
void world_run(struct world *world);
void world_advance(struct world *world, uint64_t ms);
uint64_t world_now_ms(const struct world *world);

/* Ends every connection that was dialled to `port`, for both sides, after what was sent on it. */
void world_cut_port(struct world *world, uint16_t port, enum connection_end end);
/* Nothing is delivered any more, either way, on connections that were dialled to `port`. */
void world_pause_port(struct world *world, uint16_t port, bool paused);
/* Those who dialled `port` read nothing any more. */
void world_pause_diallers(struct world *world, uint16_t port);

/* The dialler's end of the oldest connection that was dialled to `port`. */
struct connection *world_first_dialled(struct world *world, uint16_t port);

/* The other end of a conversation: bytes as they are. What arrives is collected. */
struct raw {
    struct world *world;
    struct connection *connection; /* NULL: ended */
    struct buffer received;
    bool opened;
    bool closed;
    enum connection_end end;
};
void raw_dial(struct raw *raw, struct world *world, uint16_t port);
/* Takes the next connection to `port`; only one waits at a time. */
struct listener *raw_listen(struct raw *raw, struct world *world, uint16_t port);
void raw_send(struct raw *raw, const void *bytes, size_t len);
void raw_close(struct raw *raw); /* frees, too */

#endif
