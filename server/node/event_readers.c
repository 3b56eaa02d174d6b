/* The happy path: event_readers_record puts the event into the ring and posts; at the end of the turn tell_live renders what
 * is new, once, and every live reader gets of that what it wants.
 *
 * `told` is the place up to which live readers were told. It moves by one portion a turn, so that a crowd of readers and a
 * crowd of events don't hold the loop together. A reader's own place may be further on: it was added, or caught up, in the
 * middle of a turn, and gets nothing twice.
 *
 *     ring.first ≤ place of who catches up < told ≤ place of who is live ≤ ring.next
 *
 * When a turn brings more than one portion, whoever has half of LIMIT_STREAM_BYTES unread meanwhile falls back to catching
 * up: a burst cuts nobody who reads. */
#include "node/event_readers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/limits.h"
#include "node/event_portion.h"
#include "node/event_ring.h"

enum {
    PORTION_MIN_BYTES = 4096,    /* what a reader gets in a turn when there are very many */
    CATCH_UP_BYTES = 256 * 1024, /* rendered in one turn for all who catch up */
    TURN_LOOKS = 8192,           /* events that are looked at in one turn, for these, and for those who are live */
};
_Static_assert(LIMIT_EVENT_PORTION_BYTES >= PORTION_MIN_BYTES, "a portion is of at least this size");
_Static_assert(LIMIT_STREAM_BYTES / 2 + 2 * LIMIT_EVENT_PORTION_BYTES <= LIMIT_STREAM_BYTES,
               "one that has room for a portion isn't cut by it");

static const char comment[] = ":\n\n";

struct event_reader {
    struct event_readers *readers;
    struct exchange *exchange;
    TAILQ_ENTRY(event_reader) entry;
    uint64_t place; /* of the next event for it */
    bool is_live;
    bool is_full; /* while catching up: waits until it has room */
    bool is_over; /* cut or ended; waits for its `closed` */
    struct event_filter filter;
};
TAILQ_HEAD(event_reader_list, event_reader);

struct event_readers {
    struct event_readers_options options;
    struct event_ring *ring;
    struct event_reader_list list;
    size_t n;
    uint64_t told;
    uint64_t generation;
    bool is_skipped; /* every reader is to be told `reset` */
    bool is_burst;   /* the last portion wasn't all that there was to tell */
    struct post turn;
    struct timer *comment_timer;
    struct event_portion news;  /* of the log; empty between turns */
    struct event_portion aside; /* of this turn, without ids */
    uint8_t aside_names[PORTION_PIECES][LIMIT_NAME_BYTES];
    struct buffer text;                /* for one reader; empty between uses */
    char leader[LIMIT_NAME_BYTES + 1]; /* "": nobody */
    uint64_t leader_term;
    uint64_t counts[EVENT_KINDS];
};

static void readers_turn(struct post *post);
static void comment_timer_fired(void *arg);

struct event_readers *event_readers_open(const struct event_readers_options *options)
{
    struct event_readers *readers = calloc(1, sizeof *readers);
    CHECK(readers != NULL);
    readers->options = *options;
    readers->ring = event_ring_open();
    readers->turn = (struct post){.run = readers_turn, .data = readers};
    readers->comment_timer = loop_timer_open(options->loop, comment_timer_fired, readers);
    TAILQ_INIT(&readers->list);
    return readers;
}

void event_readers_close(struct event_readers *readers)
{
    CHECK(readers->n == 0);
    loop_post_cancel(readers->options.loop, &readers->turn);
    loop_timer_close(readers->options.loop, readers->comment_timer);
    event_ring_close(readers->ring);
    event_portion_close(&readers->news);
    event_portion_close(&readers->aside);
    buffer_close(&readers->text);
    free(readers);
}

/* ---- one reader ---- */

static struct event_reader *next_of(const struct event_reader *reader)
{
    return TAILQ_NEXT(reader, entry);
}

static void reader_write(struct event_reader *reader, struct slice text)
{
    if (!reader->is_over && text.len > 0 && !exchange_write(reader->exchange, text)) {
        reader->is_over = true;
    }
}

static void reader_end(struct event_reader *reader)
{
    if (!reader->is_over) {
        reader->is_over = true;
        exchange_end(reader->exchange);
    }
}

static bool reader_has_room(const struct event_reader *reader)
{
    return exchange_unsent(reader->exchange) <= LIMIT_STREAM_BYTES / 2;
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

static void reader_write_reset(struct event_reader *reader)
{
    struct event_readers *readers = reader->readers;
    buffer_clear(&readers->text);
    api_render_event_reset(readers->generation, reader_index(reader), &readers->text);
    reader_write(reader, buffer_slice(&readers->text));
}

/* ---- portions ---- */

static size_t portion_bytes(const struct event_readers *readers)
{
    size_t share = LIMIT_EVENT_TURN_BYTES / (readers->n + 1);
    share = share < PORTION_MIN_BYTES ? PORTION_MIN_BYTES : share;
    return share > LIMIT_EVENT_PORTION_BYTES ? LIMIT_EVENT_PORTION_BYTES : share;
}

static void reader_write_portion(struct event_reader *reader, const struct event_portion *portion)
{
    if (!event_portion_write(portion, &reader->filter, reader->place, reader->exchange)) {
        reader->is_over = true;
    }
}

/* ---- those that are live ---- */

/* Renewals are most of what happens, and few ask for them. */
static bool somebody_wants_renewals(const struct event_readers *readers)
{
    for (struct event_reader *reader = TAILQ_FIRST(&readers->list); reader != NULL; reader = next_of(reader)) {
        if (reader->is_live && reader->filter.renewals) {
            return true;
        }
    }
    return false;
}

static void render_news(struct event_readers *readers)
{
    struct event_portion *news = &readers->news;
    size_t bytes = portion_bytes(readers);
    bool renewals = somebody_wants_renewals(readers);
    uint64_t end = event_ring_next(readers->ring);
    end = end - readers->told > TURN_LOOKS ? readers->told + TURN_LOOKS : end;
    event_portion_clear(news);
    while (readers->told < end && !event_portion_is_full(news, bytes)) {
        struct event event;
        uint64_t place = readers->told++;
        event_ring_get(readers->ring, place, &event);
        struct event_topic topic = event_topic(&event);
        if (renewals || !topic.is_renewal) {
            api_render_event(readers->generation, &event, &news->text);
            event_portion_add(news, topic, place);
        }
    }
}

/* What they should get next was dropped from the ring. */
static void end_overtaken(struct event_readers *readers)
{
    uint64_t first = event_ring_first(readers->ring);
    for (struct event_reader *reader = TAILQ_FIRST(&readers->list); reader != NULL; reader = next_of(reader)) {
        if (reader->place < first) {
            reader_end(reader);
        }
    }
    if (readers->told < first) {
        readers->told = first;
    }
}

static void tell_live(struct event_readers *readers)
{
    bool was_burst = readers->is_burst;
    render_news(readers);
    readers->is_burst = readers->told < event_ring_next(readers->ring);
    for (struct event_reader *reader = TAILQ_FIRST(&readers->list); reader != NULL; reader = next_of(reader)) {
        if (!reader->is_live || reader->is_over || reader->place >= readers->told) {
            continue;
        }
        if ((was_burst || readers->is_burst) && !reader_has_room(reader)) {
            reader->is_live = false;
            reader->is_full = true;
            continue;
        }
        reader_write_portion(reader, &readers->news);
        reader->place = readers->told;
    }
    event_portion_clear(&readers->news);
}

/* ---- those that catch up ---- */

struct catch_up_budget {
    size_t bytes;
    size_t looks;
};

static void budget_take(size_t *budget, size_t n)
{
    *budget -= *budget < n ? *budget : n;
}

static void reader_catch_up(struct event_reader *reader, struct catch_up_budget *budget)
{
    struct event_readers *readers = reader->readers;
    struct buffer *text = &readers->text;
    buffer_clear(text);
    while (reader->place < event_ring_next(readers->ring) && text->len < LIMIT_EVENT_PORTION_BYTES &&
           budget->looks > 0) {
        struct event event;
        event_ring_get(readers->ring, reader->place++, &event);
        struct event_topic topic = event_topic(&event);
        if (event_filter_wants(&reader->filter, &topic)) {
            api_render_event(readers->generation, &event, text);
        }
        budget->looks--;
    }
    budget_take(&budget->bytes, text->len);
    reader_write(reader, buffer_slice(text));
    reader->is_live = reader->place >= readers->told;
    reader->is_full = !reader->is_live && !reader->is_over && !reader_has_room(reader);
}

static bool reader_can_catch_up(const struct event_reader *reader)
{
    return !reader->is_live && !reader->is_full && !reader->is_over;
}

/* Each in its turn: who was served goes to the end of the list. True: somebody has more to get, and room for it. */
static bool catch_up(struct event_readers *readers)
{
    struct catch_up_budget budget = {.bytes = CATCH_UP_BYTES, .looks = TURN_LOOKS};
    bool more = false;
    for (size_t i = 0; i < readers->n; i++) {
        struct event_reader *reader = TAILQ_FIRST(&readers->list);
        if (reader_can_catch_up(reader)) {
            if (budget.bytes == 0 || budget.looks == 0) {
                return true;
            }
            reader_catch_up(reader, &budget);
            more = more || reader_can_catch_up(reader);
        }
        TAILQ_REMOVE(&readers->list, reader, entry);
        TAILQ_INSERT_TAIL(&readers->list, reader, entry);
    }
    return more;
}

/* ---- a turn ---- */

static void tell_reset(struct event_readers *readers)
{
    readers->is_skipped = false;
    readers->told = event_ring_first(readers->ring);
    for (struct event_reader *reader = TAILQ_FIRST(&readers->list); reader != NULL; reader = next_of(reader)) {
        reader->place = readers->told;
        reader_write_reset(reader);
        reader->is_live = true;
        reader->is_full = false;
    }
}

static void tell_aside(struct event_readers *readers)
{
    for (struct event_reader *reader = TAILQ_FIRST(&readers->list); reader != NULL; reader = next_of(reader)) {
        if (reader->is_live && !reader->is_over) {
            reader_write_portion(reader, &readers->aside);
        }
    }
    event_portion_clear(&readers->aside);
}

static void readers_turn(struct post *post)
{
    struct event_readers *readers = post->data;
    if (readers->is_skipped) {
        tell_reset(readers);
    }
    end_overtaken(readers);
    tell_live(readers);
    bool more = catch_up(readers);
    tell_aside(readers);
    if (readers->n > 0 && (more || readers->told < event_ring_next(readers->ring))) {
        loop_post(readers->options.loop, &readers->turn);
    }
}

static void comment_timer_fired(void *arg)
{
    struct event_readers *readers = arg;
    for (struct event_reader *reader = TAILQ_FIRST(&readers->list); reader != NULL; reader = next_of(reader)) {
        if (reader->is_live || reader_has_room(reader)) { /* the others are behind, and know that they are */
            reader_write(reader, slice_of(comment));
        }
    }
    loop_timer_start(readers->options.loop, readers->comment_timer, EVENT_COMMENT_MS);
}

/* ---- what happened ---- */

static void readers_wake(struct event_readers *readers)
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
    struct slice id = request->schedule_id;
    if (readers->n == 0 || event_portion_is_full(aside, portion_bytes(readers))) {
        return;
    }
    CHECK(id.len <= LIMIT_NAME_BYTES);
    uint8_t *name = readers->aside_names[aside->n];
    memcpy(name, id.base, id.len);
    api_render_event_refused(request, outcome, loop_wall_ms(readers->options.loop), &aside->text);
    struct event_topic topic = {.name = {.base = name, .len = id.len}, .is_of_schedule = true};
    event_portion_add(aside, topic, EVENT_PLACE_NONE);
    readers_wake(readers);
}

void event_readers_leader(struct event_readers *readers, const char *leader, uint64_t term)
{
    const char *name = leader == NULL ? "" : leader;
    bool is_same = strcmp(name, readers->leader) == 0 && (name[0] == 0 || term == readers->leader_term);
    struct event_portion *aside = &readers->aside;
    if (is_same) {
        return;
    }
    CHECK(strlen(name) < sizeof readers->leader);
    (void)stpcpy(readers->leader, name);
    readers->leader_term = term;
    if (readers->n == 0 || aside->n == PORTION_PIECES) {
        return;
    }
    api_render_event_leader(leader, term, loop_wall_ms(readers->options.loop), &aside->text);
    event_portion_add(aside, (struct event_topic){.is_renewal = false}, EVENT_PLACE_NONE);
    readers_wake(readers);
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
    TAILQ_REMOVE(&readers->list, reader, entry);
    readers->n--;
    free(reader);
    if (readers->n == 0) {
        loop_timer_stop(readers->options.loop, readers->comment_timer);
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

static void readers_insert(struct event_readers *readers, struct event_reader *reader)
{
    if (readers->n == 0) { /* nobody was told of what came meanwhile */
        readers->told = event_ring_next(readers->ring);
        event_portion_clear(&readers->aside);
        loop_timer_start(readers->options.loop, readers->comment_timer, EVENT_COMMENT_MS);
    }
    TAILQ_INSERT_TAIL(&readers->list, reader, entry);
    readers->n++;
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
    readers_insert(readers, reader);
    reader->is_live = reader->place >= readers->told;
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
    for (struct event_reader *reader = TAILQ_FIRST(&readers->list); reader != NULL; reader = next_of(reader)) {
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
