/* event_readers_private: what the files of event_readers share.
 *
 *   event_readers.c  who listens; what happened
 *   event_telling.c  who is told what, and when
 *
 * What is new is told to live readers in rounds. A round has one portion of text; it goes through the list of live readers,
 * some in each turn of the loop, and what happens meanwhile is the next round's. A round that took a while is followed by a
 * pause as long: a crowd of readers costs the loop no more than half of its time, and gets more at once.
 *
 * `told` is the place behind the newest round's portion. A reader's own place may be further on: it was added, or caught up,
 * in the middle of a round, and gets nothing twice.
 *
 *     ring.first ≤ place of who catches up < told ≤ place of who is live ≤ ring.next
 *
 * but for who is live and hasn't had its part of the round yet: what it gets was at its place when the round began. */
#ifndef BATON_NODE_EVENT_READERS_PRIVATE_H
#define BATON_NODE_EVENT_READERS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/limits.h"
#include "base/slice.h"
#include "node/event_portion.h"
#include "node/event_readers.h"
#include "node/event_ring.h"

enum {
    ASIDE_BYTES = LIMIT_EVENT_PORTION_BYTES / 2, /* of what isn't in the log, in one round, … */
    ASIDE_PIECES = EVENT_PORTION_PIECES / 2,     /* … and its number, … */
    ASIDE_REFUSALS = ASIDE_PIECES - 8,           /* … of which these may be refusals */
};

struct event_reader {
    struct event_readers *readers;
    struct exchange *exchange;
    TAILQ_ENTRY(event_reader) entry; /* among those that are live, or those that catch up */
    uint64_t place;                  /* of the next event for it */
    uint64_t round;                  /* that it had its part of */
    bool is_live;
    bool is_full; /* while catching up: waits until it has room */
    bool is_over; /* cut or ended; waits for its `closed` */
    struct event_filter filter;
};
TAILQ_HEAD(event_reader_list, event_reader);

struct event_readers {
    struct event_readers_options options;
    struct event_ring *ring;
    struct event_reader_list live;
    struct event_reader_list behind;
    size_t n_behind;
    size_t n; /* both */
    uint64_t told;
    uint64_t generation;
    uint64_t round;
    uint64_t round_began_ms;
    bool is_round;   /* one is under way: those that are first in `live` haven't had their part */
    bool is_paused;  /* until pause_timer fires */
    bool is_skipped; /* every reader is to be told `reset` */
    bool is_burst;   /* this round's portion wasn't all that there was to tell … */
    bool was_burst;  /* … or the one's before */
    struct post turn;
    struct timer *pause_timer;
    struct timer *comment_timer;
    struct event_portion portion;      /* of the round */
    struct event_portion aside;        /* what isn't in the log: for the next round */
    struct buffer text;                /* for one reader; empty between uses */
    char leader[LIMIT_NAME_BYTES + 1]; /* "": nobody */
    uint64_t leader_term;
    uint64_t counts[EVENT_KINDS];
};

/* ---- event_readers.c ---- */

void readers_wake(struct event_readers *readers);
void reader_write(struct event_reader *reader, struct slice text);
void reader_end(struct event_reader *reader);
void reader_write_reset(struct event_reader *reader);
/* Into the list where it belongs; one that is live gets nothing of a round that is under way. */
void reader_insert(struct event_reader *reader, bool is_live);
void reader_remove(struct event_reader *reader);

/* ---- event_telling.c ---- */

void telling_turn(struct post *post);
void telling_pause_over(void *readers);

#endif
