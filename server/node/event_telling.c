/* Who is told what, and when: rounds for those that are live, and portions for those that catch up.
 *
 * When a round isn't all that there is to tell, whoever has half of LIMIT_STREAM_BYTES unread falls back to catching up: a
 * burst cuts nobody who reads. */
#include "base/check.h"
#include "node/event_readers_private.h"

enum {
    CATCH_UP_BYTES = 256 * 1024, /* rendered in one turn for all who catch up */
    TURN_LOOKS = 8192,           /* events that are looked at in one turn, for these, and for those who are live */
    PAUSE_MAX_MS = 100,
};
_Static_assert(LIMIT_STREAM_BYTES / 2 + 2 * LIMIT_EVENT_PORTION_BYTES <= LIMIT_STREAM_BYTES,
               "one that has room for a portion isn't cut by it");

static bool reader_has_room(const struct event_reader *reader)
{
    return exchange_unsent(reader->exchange) <= LIMIT_STREAM_BYTES / 2;
}

/* ---- a round ---- */

/* Renewals are most of what happens, and few ask for them. */
static bool somebody_wants_renewals(const struct event_readers *readers)
{
    const struct event_reader *reader = TAILQ_FIRST(&readers->live);
    while (reader != NULL && !reader->filter.renewals) {
        reader = TAILQ_NEXT(reader, entry);
    }
    return reader != NULL;
}

static void render_news(struct event_readers *readers)
{
    struct event_portion *portion = &readers->portion;
    size_t bytes = LIMIT_EVENT_PORTION_BYTES - ASIDE_BYTES;
    size_t pieces = EVENT_PORTION_PIECES - ASIDE_PIECES;
    bool renewals = somebody_wants_renewals(readers);
    uint64_t end = event_ring_next(readers->ring);
    end = end - readers->told > TURN_LOOKS ? readers->told + TURN_LOOKS : end;
    while (readers->told < end && portion->text.len < bytes && portion->n < pieces) {
        struct event event;
        uint64_t place = readers->told++;
        event_ring_get(readers->ring, place, &event);
        struct event_topic topic = event_topic(&event);
        if (renewals || !topic.is_renewal) {
            api_render_event(readers->generation, &event, &portion->text);
            event_portion_add(portion, &topic, place);
        }
    }
}

/* What they should get next was dropped from the ring. */
static void end_overtaken(struct event_readers *readers)
{
    uint64_t first = event_ring_first(readers->ring);
    if (readers->told < first) {
        readers->told = first;
    }
    for (struct event_reader *reader = TAILQ_FIRST(&readers->live); reader != NULL;
         reader = TAILQ_NEXT(reader, entry)) {
        if (reader->place < first) {
            reader_end(reader);
        }
    }
    for (struct event_reader *reader = TAILQ_FIRST(&readers->behind); reader != NULL;
         reader = TAILQ_NEXT(reader, entry)) {
        if (reader->place < first) {
            reader_end(reader);
        }
    }
}

/* Then all are live, and at the first that is known of the new table. */
static void tell_reset(struct event_readers *readers)
{
    struct event_reader *reader;
    readers->is_skipped = false;
    readers->told = event_ring_first(readers->ring);
    while ((reader = TAILQ_FIRST(&readers->behind)) != NULL) {
        reader_remove(reader);
        reader_insert(reader, true);
    }
    for (reader = TAILQ_FIRST(&readers->live); reader != NULL; reader = TAILQ_NEXT(reader, entry)) {
        reader->place = readers->told;
        reader_write_reset(reader);
    }
}

static bool round_is_due(const struct event_readers *readers)
{
    return readers->is_skipped || readers->aside.n > 0 || readers->told < event_ring_next(readers->ring);
}

static void round_begin(struct event_readers *readers)
{
    if (readers->is_skipped) {
        tell_reset(readers);
    }
    end_overtaken(readers);
    if (TAILQ_EMPTY(&readers->live)) {
        readers->told = event_ring_next(readers->ring);
        event_portion_clear(&readers->aside);
        return;
    }
    event_portion_clear(&readers->portion);
    readers->was_burst = readers->is_burst;
    render_news(readers);
    event_portion_append(&readers->portion, &readers->aside);
    event_portion_clear(&readers->aside);
    readers->is_burst = readers->told < event_ring_next(readers->ring);
    readers->round++;
    readers->round_began_ms = loop_mono_ms(readers->options.loop);
    readers->is_round = true;
}

static void round_end(struct event_readers *readers)
{
    uint64_t took_ms = loop_mono_ms(readers->options.loop) - readers->round_began_ms;
    readers->is_round = false;
    if (took_ms > 0 && readers->n > LIMIT_EVENT_TURN_READERS) {
        readers->is_paused = true;
        loop_timer_start(readers->options.loop, readers->pause_timer, took_ms < PAUSE_MAX_MS ? took_ms : PAUSE_MAX_MS);
    }
}

void telling_pause_over(void *arg)
{
    struct event_readers *readers = arg;
    readers->is_paused = false;
    readers_wake(readers);
}

/* Its part of the round; nothing, if it must catch up first. */
static void reader_tell(struct event_reader *reader)
{
    struct event_readers *readers = reader->readers;
    bool is_burst = readers->is_burst || readers->was_burst;
    bool is_new = reader->place < readers->told;
    if (is_new && is_burst && !reader_has_room(reader)) {
        reader_remove(reader);
        reader_insert(reader, false);
        reader->is_full = true;
        return;
    }
    if (!event_portion_write(&readers->portion, &reader->filter, reader->place, reader->exchange)) {
        reader->is_over = true;
    }
    reader->place = is_new ? readers->told : reader->place;
}

static void round_go_on(struct event_readers *readers)
{
    for (size_t i = 0; i < LIMIT_EVENT_TURN_READERS; i++) {
        struct event_reader *reader = TAILQ_FIRST(&readers->live);
        if (reader == NULL || reader->round == readers->round) {
            round_end(readers);
            return;
        }
        reader->round = readers->round;
        TAILQ_REMOVE(&readers->live, reader, entry);
        TAILQ_INSERT_TAIL(&readers->live, reader, entry);
        if (!reader->is_over) {
            reader_tell(reader);
        }
    }
}

/* ---- those that catch up ---- */

struct catch_up_budget {
    size_t bytes;
    size_t looks;
};

static bool reader_can_catch_up(const struct event_reader *reader)
{
    return !reader->is_live && !reader->is_full && !reader->is_over;
}

static void render_missed(struct event_reader *reader, struct catch_up_budget *budget, struct buffer *text)
{
    const struct event_readers *readers = reader->readers;
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
    budget->bytes -= budget->bytes < text->len ? budget->bytes : text->len;
}

static void reader_catch_up(struct event_reader *reader, struct catch_up_budget *budget)
{
    struct event_readers *readers = reader->readers;
    if (reader->place < event_ring_first(readers->ring)) {
        reader_end(reader);
        return;
    }
    buffer_clear(&readers->text);
    render_missed(reader, budget, &readers->text);
    reader_write(reader, buffer_slice(&readers->text));
    if (reader->place >= readers->told) {
        reader_remove(reader);
        reader_insert(reader, true);
    } else {
        reader->is_full = !reader_has_room(reader);
    }
}

/* Each in its turn: who was served goes to the end of the list. True: somebody has more to get, and room for it. */
static bool catch_up(struct event_readers *readers)
{
    struct catch_up_budget budget = {.bytes = CATCH_UP_BYTES, .looks = TURN_LOOKS};
    bool more = false;
    for (size_t left = readers->n_behind; left > 0; left--) {
        struct event_reader *reader = TAILQ_FIRST(&readers->behind);
        bool is_served = reader_can_catch_up(reader);
        if (is_served && (budget.bytes == 0 || budget.looks == 0)) {
            return true;
        }
        reader_remove(reader);
        reader_insert(reader, false);
        if (is_served) {
            reader_catch_up(reader, &budget);
            more = more || reader_can_catch_up(reader);
        }
    }
    return more;
}

/* ---- a turn ---- */

void telling_turn(struct post *post)
{
    struct event_readers *readers = post->data;
    if (readers->n == 0) {
        return;
    }
    if (!readers->is_round && !readers->is_paused && round_is_due(readers)) {
        round_begin(readers);
    }
    if (readers->is_round) {
        round_go_on(readers);
    }
    bool more = !readers->is_skipped && catch_up(readers);
    if (more || readers->is_round || (round_is_due(readers) && !readers->is_paused)) {
        loop_post(readers->options.loop, &readers->turn);
    }
}
