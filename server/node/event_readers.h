/* event_readers: who listens to GET /events at this node, and what they get.
 *
 * Owns the ring of what happened. A reader has a place in it. Those that have caught up are live: what a turn of the loop
 * brings is rendered once for all of them. The others catch up, a portion at a time, as fast as they take it. A live reader
 * that leaves LIMIT_STREAM_BYTES unread is cut by http; one that is still catching up, and whose next event is dropped from the
 * ring, is closed: it comes back with its last id, and is told to begin anew.
 *
 * Every event of the log has its id, and a reader gets each at most once. A refused acquire and another leader have none,
 * and are told to live readers only. */
#ifndef BATON_NODE_EVENT_READERS_H
#define BATON_NODE_EVENT_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "base/loop.h"
#include "core/lock_table.h"
#include "http/http.h"

#define EVENT_COMMENT_MS 15000u /* how often a reader hears that the stream is alive */
#define EVENT_KINDS      (EVENT_FREEZE + 1)

struct event_readers;

struct event_readers_options {
    const struct loop *loop;
    uint64_t (*applied_index)(void *arg); /* of the table */
    void *arg;
};

struct event_readers *event_readers_open(const struct event_readers_options *options); /* never NULL */
void event_readers_close(struct event_readers *readers);                               /* all streams must be closed */

/* ---- what happened ---- */

/* Inside apply: only keeps a copy. */
void event_readers_record(struct event_readers *readers, const struct event *event);
/* The table is another one, and what lies between isn't known: every reader is told so. */
void event_readers_skip(struct event_readers *readers);
/* An acquire was refused here. Past the bound of a turn it is left out. */
void event_readers_refused(struct event_readers *readers, const struct api_request *request,
                           const struct outcome *outcome);
/* Who leads; told when it isn't who led before. `leader` NULL: nobody is known. */
void event_readers_leader(struct event_readers *readers, const char *leader, uint64_t term);

/* ---- who listens ---- */

struct event_reader_begin {
    struct exchange *exchange; /* is answered with a stream that begins so: */
    unsigned status;
    const struct http_header *headers;
    size_t n_headers;
    const struct api_events *wanted; /* copied */
    uint64_t generation;             /* of the ids; the same for all readers */
};
/* A comment at once; then what was missed since the last id (or `reset`, when that is gone), and then what comes. There
 * must be fewer than LIMIT_EVENT_READERS. */
void event_readers_add(struct event_readers *readers, const struct event_reader_begin *begin);
/* Ends every stream: what is unsent is still sent. */
void event_readers_end(struct event_readers *readers);

/* ---- figures ---- */

size_t event_readers_count(const struct event_readers *readers);
/* Of the log's events, those of this kind that happened here since the start. */
uint64_t event_readers_events(const struct event_readers *readers, enum event_kind kind);

#endif
