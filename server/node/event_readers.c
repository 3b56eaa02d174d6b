/* The happy path: event_readers_record puts the event into the ring and posts; at the end of the turn event_telling.c renders
 * what is new, once, and every live reader gets of that what it wants. */
#include "node/event_readers.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "node/event_readers_private.h"

static const char comment[] = ":\n\n";

static void comment_timer_fired(void *arg);

struct event_readers *event_readers_open(const struct event_readers_options *options)
{
    struct event_readers *readers = calloc(1, sizeof *readers);
    CHECK(readers != NULL);
    readers->options = *options;
    readers->ring = event_ring_open();
    readers->turn = (struct post){.run = telling_turn, .data = readers};
    readers->pause_timer = loop_timer_open(options->loop, telling_pause_over, readers);
    readers->comment_timer = loop_timer_open(options->loop, comment_timer_fired, readers);
    TAILQ_INIT(&readers->live);
    TAILQ_INIT(&readers->behind);
    return readers;
}

void event_readers_close(struct event_readers *readers)
{
    CHECK(readers->n == 0);
    loop_post_cancel(readers->options.loop, &readers->turn);
    loop_timer_close(readers->options.loop, readers->pause_timer);
    loop_timer_close(readers->options.loop, readers->comment_timer);
    event_ring_close(readers->ring);
    event_portion_close(&readers->portion);
    event_portion_close(&readers->aside);
    buffer_close(&readers->text);
    free(readers);
}

/* ---- one reader ---- */

void reader_write(struct event_reader *reader, struct slice text)
{
    if (!reader->is_over && text.len > 0 && !exchange_write(reader->exchange, text)) {
        reader->is_over = true;
    }
}

void reader_end(struct event_reader *reader)
{
    if (!reader->is_over) {
        reader->is_over = true;
        exchange_end(reader->exchange);
    }
}

/* It is told of everything that is behind this index. */
static uint64_t reader_index(const struct event_reader *reader)
{
    const struct event_readers *readers = reader->readers;
    struct event event;
    if (reader->place == event_ring_next(readers->ring)) {
        return readers->options.applied_index(readers->options.arg);
    }
    event_ring_get(readers->ring, reader->place, &event);
    return event.index - 1;
}

void reader_write_reset(struct event_reader *reader)
{
    struct event_readers *readers = reader->readers;
    buffer_clear(&readers->text);
    api_render_event_reset(readers->generation, reader_index(reader), &readers->text);
    reader_write(reader, buffer_slice(&readers->text));
}

void reader_insert(struct event_reader *reader, bool is_live)
{
    struct event_readers *readers = reader->readers;
    reader->is_live = is_live;
    reader->is_full = reader->is_full && !is_live;
    reader->round = readers->round;
    if (is_live) {
        TAILQ_INSERT_TAIL(&readers->live, reader, entry);
    } else {
        TAILQ_INSERT_TAIL(&readers->behind, reader, entry);
        readers->n_behind++;
    }
}

void reader_remove(struct event_reader *reader)
{
    struct event_readers *readers = reader->readers;
    if (reader->is_live) {
        TAILQ_REMOVE(&readers->live, reader, entry);
    } else {
        TAILQ_REMOVE(&readers->behind, reader, entry);
        readers->n_behind--;
    }
}

/* ---- what happened ---- */

void readers_wake(struct event_readers *readers)
{
    if (readers->n > 0) {
        loop_post(readers->options.loop, &readers->turn);
    }
}

void event_readers_record(struct event_readers *readers, const struct event *event)
{
    readers->counts[event->kind]++;
    event_ring_record(readers->ring, event);
    readers_wake(readers);
}

void event_readers_skip(struct event_readers *readers)
{
    event_ring_clear(readers->ring);
    readers->is_skipped = readers->n > 0;
    readers_wake(readers);
}

void event_readers_refused(struct event_readers *readers, const struct api_request *request,
                           const struct outcome *outcome)
{
    struct event_portion *aside = &readers->aside;
    struct event_topic topic = {.name = request->schedule_id, .is_of_schedule = true};
    if (readers->n == 0 || aside->text.len >= ASIDE_BYTES || aside->n >= ASIDE_REFUSALS) {
        return;
    }
    api_render_event_refused(request, outcome, loop_wall_ms(readers->options.loop), &aside->text);
    event_portion_add(aside, &topic, EVENT_PLACE_NONE);
    readers_wake(readers);
}

/* For everybody who is live: the text of `aside` that isn't a piece yet. */
static void readers_tell_all(struct event_readers *readers)
{
    struct event_topic everybody = {.is_renewal = false};
    event_portion_add(&readers->aside, &everybody, EVENT_PLACE_NONE);
    readers_wake(readers);
}

static bool readers_can_tell_all(const struct event_readers *readers)
{
    return readers->n > 0 && readers->aside.n < ASIDE_PIECES;
}

void event_readers_leader(struct event_readers *readers, const char *leader, uint64_t term)
{
    const char *name = leader == NULL ? "" : leader;
    bool is_same = strcmp(name, readers->leader) == 0 && (name[0] == 0 || term == readers->leader_term);
    if (is_same) {
        return;
    }
    CHECK(strlen(name) < sizeof readers->leader);
    (void)stpcpy(readers->leader, name);
    readers->leader_term = term;
    if (readers_can_tell_all(readers)) {
        api_render_event_leader(leader, term, loop_wall_ms(readers->options.loop), &readers->aside.text);
        readers_tell_all(readers);
    }
}

/* Who catches up needs none: it gets, or has got, more than it has taken. */
static void comment_timer_fired(void *arg)
{
    struct event_readers *readers = arg;
    if (readers_can_tell_all(readers)) {
        buffer_append_slice(&readers->aside.text, slice_of(comment));
        readers_tell_all(readers);
    }
    loop_timer_start(readers->options.loop, readers->comment_timer, EVENT_COMMENT_MS);
}

/* ---- who listens ---- */

static void reader_room(void *arg)
{
    struct event_reader *reader = arg;
    reader->is_full = false;
    readers_wake(reader->readers);
}

static void reader_closed(void *arg)
{
    struct event_reader *reader = arg;
    struct event_readers *readers = reader->readers;
    reader_remove(reader);
    readers->n--;
    free(reader);
    if (readers->n == 0) {
        loop_timer_stop(readers->options.loop, readers->comment_timer);
        loop_timer_stop(readers->options.loop, readers->pause_timer);
        readers->is_paused = false;
        readers->is_round = false;
    }
}

/* Where it goes on. False: what it asks for is gone. */
static bool reader_find_place(struct event_reader *reader, const struct api_events *wanted)
{
    const struct event_readers *readers = reader->readers;
    struct event_ring_id id = {.index = wanted->last_id.index, .number = wanted->last_id.number};
    reader->place = event_ring_next(readers->ring);
    return !wanted->has_last_id || (wanted->last_id_is_readable && wanted->last_id.generation == readers->generation &&
                                    id.index <= readers->options.applied_index(readers->options.arg) &&
                                    event_ring_find(readers->ring, id, &reader->place));
}

/* Nobody listened: of what came meanwhile nobody is to be told. */
static void readers_begin(struct event_readers *readers)
{
    readers->told = event_ring_next(readers->ring);
    readers->is_skipped = false;
    readers->is_burst = false;
    event_portion_clear(&readers->aside);
    loop_timer_start(readers->options.loop, readers->comment_timer, EVENT_COMMENT_MS);
}

void event_readers_add(struct event_readers *readers, const struct event_reader_begin *begin)
{
    CHECK(readers->n < LIMIT_EVENT_READERS);
    struct event_reader *reader = calloc(1, sizeof *reader);
    CHECK(reader != NULL);
    readers->generation = begin->generation;
    reader->readers = readers;
    reader->exchange = begin->exchange;
    event_filter_set(&reader->filter, begin->wanted);
    bool is_known = reader_find_place(reader, begin->wanted);
    if (readers->n == 0) {
        readers_begin(readers);
    }
    readers->n++;
    reader_insert(reader, reader->place >= readers->told);
    struct exchange_stream stream = {.room = reader_room, .closed = reader_closed, .arg = reader};
    exchange_stream_begin(reader->exchange, begin->status, begin->headers, begin->n_headers, &stream);
    reader_write(reader, slice_of(comment));
    if (!is_known) {
        reader_write_reset(reader);
    }
    readers_wake(readers);
}

void event_readers_end(struct event_readers *readers)
{
    struct event_reader *reader;
    for (reader = TAILQ_FIRST(&readers->live); reader != NULL; reader = TAILQ_NEXT(reader, entry)) {
        reader_end(reader);
    }
    for (reader = TAILQ_FIRST(&readers->behind); reader != NULL; reader = TAILQ_NEXT(reader, entry)) {
        reader_end(reader);
    }
}

/* ---- figures ---- */

size_t event_readers_count(const struct event_readers *readers)
{
    return readers->n;
}

uint64_t event_readers_events(const struct event_readers *readers, enum event_kind kind)
{
    return readers->counts[kind];
}
