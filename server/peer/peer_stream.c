/* One connection. Bytes come in pieces of any size: whole frames are taken where the network has them, and only what is
 * cut off is copied, each byte once. The header alone decides whether a frame may come at all (its kind in this state of
 * the stream, its length within its kind's limit), so a stranger can make us keep no more than one hello.
 *
 * What goes wrong: bytes that aren't the frame that must come next close the connection, with a note. The end of a stream
 * that was up is END_OF_FILE for the handlers when the other side closed *or reset* it: every whole frame before that was
 * delivered, since frames are taken as they arrive and the network reports the end last. A kernel answers for a killed
 * process with either, depending on what it had left unread; both mean that this process of the other side won't send on
 * this connection any more. A time-out, or bytes that we refused, is BROKEN. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/peer_internal.h"

/* Memory kept between frames; more is given back at once. */
#define STREAM_KEPT_BYTES (1024u * 1024u)

static const struct connection_handlers stream_handlers;

static struct stream *stream_new(struct peer_set *set)
{
    struct stream *stream = calloc(1, sizeof *stream);
    CHECK(stream != NULL);
    stream->set = set;
    stream->patience_ms = LIMIT_PEER_HANDSHAKE_MS;
    arena_init(&stream->hello_arena, 64 * LIMIT_FRAME_HANDSHAKE_BYTES);
    stream->previous = set->last_stream;
    *(set->last_stream == NULL ? &set->streams : &set->last_stream->next) = stream;
    set->last_stream = stream;
    return stream;
}

static void stream_unlink(struct stream *stream)
{
    struct peer_set *set = stream->set;
    *(stream->previous == NULL ? &set->streams : &stream->previous->next) = stream->next;
    *(stream->next == NULL ? &set->last_stream : &stream->next->previous) = stream->previous;
}

static void stream_forget_handshake(struct stream *stream)
{
    buffer_close(&stream->own_hello);
    buffer_close(&stream->their_hello);
    arena_close(&stream->hello_arena);
    stream->hello.name = stream->hello.to = stream->hello.http_address = (struct slice){0};
}

void stream_free(struct stream *stream)
{
    stream_forget_handshake(stream);
    buffer_close(&stream->partial);
    auth_close(stream->sending.tagger);
    auth_close(stream->receiving.tagger);
    free(stream);
}

static void stream_leave_handshake(struct stream *stream)
{
    loop_timer_stop(stream->set->options.loop, stream->timer);
    if (stream->half_open) {
        stream->half_open = false;
        stream->set->half_open--;
    }
}

/* ---- the end ---- */

/* What it was for its member. */
enum stream_part { PART_NONE, PART_OUTBOUND, PART_INBOUND, PART_FOUNDING };

static enum stream_part stream_part(const struct stream *stream)
{
    const struct peer *peer = stream->peer;
    if (peer == NULL || stream->state == STREAM_DEAD) {
        return PART_NONE;
    }
    return stream == peer->outbound           ? PART_OUTBOUND
           : stream == peer->inbound          ? PART_INBOUND
           : stream == peer->founding_inbound ? PART_FOUNDING
                                              : PART_NONE;
}

void stream_close(struct stream *stream)
{
    struct peer_set *set = stream->set;
    if (stream->state == STREAM_DEAD) {
        return;
    }
    switch (stream_part(stream)) {
    case PART_OUTBOUND:
        stream->peer->outbound = NULL;
        sending_reset(stream->peer);
        break;
    case PART_INBOUND:
        stream->peer->inbound = NULL;
        break;
    case PART_FOUNDING:
        stream->peer->founding_inbound = NULL;
        break;
    case PART_NONE:
        break;
    }
    stream_leave_handshake(stream);
    loop_timer_close(set->options.loop, stream->timer);
    if (stream->connection != NULL) {
        set->options.network->close(stream->connection);
        stream->connection = NULL;
    }
    stream->state = STREAM_DEAD;
    stream_unlink(stream);
    stream->next = set->dead_streams;
    set->dead_streams = stream;
}

static void stream_finish(struct stream *stream, enum peer_end end, bool refused)
{
    struct peer_set *set = stream->set;
    struct peer *peer = stream->peer;
    enum stream_part part = stream_part(stream);
    bool was_up = stream->state == STREAM_UP;
    stream_close(stream);
    if (part == PART_OUTBOUND) {
        peer_outbound_ended(peer, was_up);
        if (!stream->founding) {
            set->options.handlers->outbound_down(set->options.arg, peer, refused);
        }
    } else if (part == PART_INBOUND) {
        set->options.handlers->inbound_down(set->options.arg, peer, end);
    }
}

void stream_fail(struct stream *stream, enum peer_end end)
{
    stream_finish(stream, end, false);
}

void stream_refuse(struct stream *stream, enum note_cause cause, const char *format, ...)
{
    struct peer_set *set = stream->set;
    const struct peer *peer = stream->peer;
    char why[768];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    if (stream->dialled) {
        set_note(set, cause, slice_of(peer->name), "closed the connection to %s at %s port %u: %s", peer->name,
                 peer->host, (unsigned)peer->port, why);
    } else if (peer != NULL) {
        set_note(set, cause, slice_of(peer->name), "closed the connection of %s from %s: %s", peer->name,
                 stream->remote, why);
    } else {
        set_note(set, cause, slice_of(stream->remote), "refused a connection from %s: %s", stream->remote, why);
    }
    stream_fail(stream, PEER_END_BROKEN);
}

static void stream_note_dial(struct stream *stream, enum connection_end end)
{
    struct peer *peer = stream->peer;
    const char *why = end == CONNECTION_REFUSED      ? "nobody listens there"
                      : end == CONNECTION_UNRESOLVED ? "the name has no address"
                      : end == CONNECTION_TIMED_OUT  ? "no answer"
                                                     : "the network failed";
    if (peer->last_dial_end != (int)end) { /* the next dials will most likely say the same */
        peer->last_dial_end = (int)end;
        set_note(stream->set, NOTE_DIAL, slice_of(peer->name), "can't connect to %s at %s port %u: %s", peer->name,
                 peer->host, (unsigned)peer->port, why);
    }
}

static void stream_closed(void *arg, enum connection_end end)
{
    struct stream *stream = arg;
    struct peer_set *set = stream->set;
    set_enter(set);
    stream->connection = NULL;
    if (stream->state == STREAM_OPENING) {
        stream_note_dial(stream, end);
    } else if (stream->state != STREAM_UP && stream->dialled && ++stream->peer->closed_handshakes == 2) {
        /* Once is no news: it may not know its cluster yet, or have been stopped just then. */
        set_note(set, NOTE_REFUSED, slice_of(stream->peer->name),
                 "%s at %s port %u closed our connection during the handshake: its log says why", stream->peer->name,
                 stream->peer->host, (unsigned)stream->peer->port);
    }
    bool gone = end == CONNECTION_END_OF_FILE || end == CONNECTION_RESET;
    stream_finish(stream, gone ? PEER_END_OF_FILE : PEER_END_BROKEN, end == CONNECTION_REFUSED);
    set_leave(set);
}

/* ---- the beginning ---- */

static void stream_timed_out(void *arg)
{
    struct stream *stream = arg;
    struct peer_set *set = stream->set;
    set_enter(set);
    stream_refuse(stream, NOTE_SILENT, "%s took more than %u ms",
                  stream->state == STREAM_UP ? "the answer who founded the cluster" : "the handshake",
                  stream->patience_ms);
    set_leave(set);
}

static void stream_start_timer(struct stream *stream)
{
    loop_timer_start(stream->set->options.loop, stream->timer, stream->patience_ms);
}

void stream_hurry(struct stream *stream)
{
    stream->patience_ms = PEER_HURRIED_MS;
    stream_start_timer(stream);
}

struct stream *stream_dial(struct peer *peer)
{
    struct peer_set *set = peer->set;
    struct stream *stream = stream_new(set);
    stream->peer = peer;
    stream->dialled = true;
    stream->founding = !set->joined;
    stream->state = STREAM_OPENING;
    stream->connection_number = ++set->connections;
    stream->timer = loop_timer_open(set->options.loop, stream_timed_out, stream);
    const struct network *network = set->options.network;
    stream->connection = network->dial(network->impl, peer->host, peer->port, &stream_handlers, stream);
    return stream;
}

static void stream_opened(void *arg)
{
    struct stream *stream = arg;
    set_enter(stream->set);
    stream->state = STREAM_HELLO;
    stream_start_timer(stream);
    handshake_begin(stream);
    set_leave(stream->set);
}

/* A stranger who opens many connections pushes out his own: a member's handshake takes a round trip or two. */
static void set_make_room(struct peer_set *set)
{
    for (struct stream *stream = set->streams; stream != NULL && set->half_open >= LIMIT_PEER_HALF_OPEN;
         stream = stream->next) {
        if (stream->half_open) {
            stream_refuse(stream, NOTE_SILENT, "it was the oldest of %u unfinished handshakes", LIMIT_PEER_HALF_OPEN);
            return;
        }
    }
}

void stream_accepted(void *arg, struct connection *connection, const char *remote)
{
    struct peer_set *set = arg;
    set_enter(set);
    set_make_room(set);
    if (set->closed) { /* inside the note */
        set->options.network->close(connection);
    } else {
        struct stream *stream = stream_new(set);
        stream->connection = connection;
        stream->state = STREAM_HELLO;
        stream->half_open = true;
        set->half_open++;
        (void)snprintf(stream->remote, sizeof stream->remote, "%s", remote);
        stream->timer = loop_timer_open(set->options.loop, stream_timed_out, stream);
        stream_start_timer(stream);
        set->options.network->set_handlers(connection, &stream_handlers, stream);
    }
    set_leave(set);
}

void stream_come_up(struct stream *stream)
{
    struct peer_set *set = stream->set;
    struct peer *peer = stream->peer;
    const struct peer_handlers *handlers = set->options.handlers;
    stream_leave_handshake(stream);
    stream->state = STREAM_UP;
    if (stream->dialled) {
        peer->up_ms = loop_mono_ms(set->options.loop);
        peer->last_dial_end = -1;
        peer->closed_handshakes = 0;
        if (stream->founding) {
            stream_ask(stream);
        } else {
            memcpy(peer->outbound_run_id, stream->hello.run_id, sizeof peer->outbound_run_id);
            handlers->outbound_up(set->options.arg, peer, &stream->hello);
        }
    } else {
        struct peer_newest *newest = stream->founding ? &peer->newest_founding : &peer->newest;
        struct stream **part = stream->founding ? &peer->founding_inbound : &peer->inbound;
        newest->known = true;
        newest->connection_number = stream->hello.connection_number;
        memcpy(newest->run_id, stream->hello.run_id, sizeof newest->run_id);
        if (*part != NULL) {
            stream_fail(*part, PEER_END_REPLACED);
        }
        if (stream->state == STREAM_UP) { /* else the handler removed the member */
            *part = stream;
            if (!stream->founding) {
                handlers->inbound_up(set->options.arg, peer, &stream->hello);
            }
        }
        if (stream->state == STREAM_UP) {
            peer_seen_alive(peer, stream->hello.run_id);
        }
    }
    if (stream->state == STREAM_UP) {
        stream_forget_handshake(stream);
    }
}

/* ---- sending what isn't queued ---- */

static void stream_send_scratch(struct stream *stream)
{
    struct buffer *scratch = &stream->set->scratch;
    framing_seal_next(scratch->base, &stream->sending);
    stream->set->options.network->send(stream->connection, scratch->base, scratch->len);
    buffer_clear(scratch);
}

void stream_send(struct stream *stream, enum frame_kind kind, struct slice body)
{
    framing_append_body(kind, body, stream->sending.tagger != NULL, &stream->set->scratch);
    stream_send_scratch(stream);
}

void stream_send_frame(struct stream *stream, const struct frame *frame)
{
    framing_append(frame, stream->sending.tagger != NULL, &stream->set->scratch);
    stream_send_scratch(stream);
}

void stream_ask(struct stream *stream)
{
    stream_start_timer(stream);
    stream_send(stream, FRAME_FOUNDING_QUESTION, buffer_slice(&stream->peer->question));
}

/* ---- receiving ---- */

static void stream_take_question(struct stream *stream, const struct frame_founding_question *question)
{
    struct peer_set *set = stream->set;
    if (!slice_equal(question->name, slice_of(stream->peer->name)) ||
        memcmp(question->incarnation, stream->hello.incarnation, sizeof question->incarnation) != 0) {
        stream_refuse(stream, NOTE_FRAME, "it asks in another's name");
        return;
    }
    struct frame answer = {.kind = FRAME_FOUNDING_ANSWER};
    bool known = set->options.handlers->founding_question(set->options.arg, question, &answer.founding_answer);
    if (stream->state == STREAM_DEAD) {
        return;
    }
    if (!known) {
        stream_fail(stream, PEER_END_BROKEN); /* it asks again */
    } else if (set->options.network->unsent(stream->connection) > LIMIT_PEER_ANSWERS_BYTES) {
        stream_refuse(stream, NOTE_FRAME, "it asks on without reading the answers");
    } else {
        stream_send_frame(stream, &answer);
    }
}

static void stream_take_answer(struct stream *stream, const struct frame_founding_answer *answer)
{
    struct peer_set *set = stream->set;
    if (!slice_equal(answer->name, slice_of(stream->peer->name)) ||
        memcmp(answer->incarnation, stream->hello.incarnation, sizeof answer->incarnation) != 0) {
        stream_refuse(stream, NOTE_FRAME, "it answers in another's name");
        return;
    }
    loop_timer_stop(set->options.loop, stream->timer);
    peer_outbound_answered(stream->peer);
    set->options.handlers->founding_answer(set->options.arg, stream->peer, answer);
}

/* A frame of a stream that is up. */
static void stream_take_frame(struct stream *stream, enum frame_kind kind, struct slice body)
{
    struct peer_set *set = stream->set;
    struct frame frame;
    struct error_text text = {""};
    size_t decoded_bytes = frame_memory_factor(kind) * body.len + 4096;
    set->arena.limit = decoded_bytes < LIMIT_FRAME_DECODED_BYTES ? decoded_bytes : LIMIT_FRAME_DECODED_BYTES;
    if (frame_decode(kind, body, &set->arena, &frame, &text) != ERROR_NONE) {
        stream_refuse(stream, NOTE_FRAME, "a %s that isn't well formed: %s", frame_kind_name(kind), text.text);
    } else if (kind == FRAME_FOUNDING_QUESTION) {
        stream_take_question(stream, &frame.founding_question);
    } else if (kind == FRAME_FOUNDING_ANSWER) {
        stream_take_answer(stream, &frame.founding_answer);
    } else {
        set->options.handlers->frame(set->options.arg, stream->peer, &frame);
    }
    if (set->arena.used > STREAM_KEPT_BYTES) {
        arena_close(&set->arena);
    } else {
        arena_clear(&set->arena);
    }
}

/* May this kind come now? After the handshake a stream goes one way, from the dialler; only a founding question is
 * answered on its own connection. */
static bool stream_expects(const struct stream *stream, enum frame_kind kind)
{
    switch (stream->state) {
    case STREAM_HELLO:
        return kind == FRAME_HELLO;
    case STREAM_PROOF:
        return kind == FRAME_PROOF;
    case STREAM_UP:
        if (stream->founding) {
            return kind == (stream->dialled ? FRAME_FOUNDING_ANSWER : FRAME_FOUNDING_QUESTION);
        }
        return !stream->dialled && kind >= FRAME_REQUEST_VOTE;
    case STREAM_OPENING:
    case STREAM_DEAD:
        break;
    }
    return false;
}

/* The length of the frame that begins here, as far as its bytes tell: at least a header's. 0: the stream was closed. */
static size_t stream_frame_bytes(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct framing_header header;
    if (len < FRAMING_HEADER_BYTES) {
        return FRAMING_HEADER_BYTES;
    }
    if (!framing_parse_header(bytes, &header)) {
        stream_refuse(stream, NOTE_FRAME, "these bytes are no frame of ours");
        return 0;
    }
    if (!stream_expects(stream, header.kind)) {
        stream_refuse(stream, NOTE_FRAME, "a %s has no place here", frame_kind_name(header.kind));
        return 0;
    }
    return FRAMING_HEADER_BYTES + framing_seal_bytes(stream->receiving.tagger != NULL) + header.body_bytes;
}

static void stream_take_whole(struct stream *stream, const uint8_t *bytes)
{
    bool tagged = stream->receiving.tagger != NULL;
    if (!framing_check(bytes, &stream->receiving)) {
        stream_refuse(stream, NOTE_FRAME,
                      tagged ? "a frame that was altered, repeated or reordered on the way"
                             : "a frame with a wrong checksum");
        return;
    }
    struct slice body = framing_body(bytes, tagged);
    enum frame_kind kind = (enum frame_kind)bytes[4];
    if (stream->state == STREAM_HELLO) {
        handshake_take_hello(stream, body);
    } else if (stream->state == STREAM_PROOF) {
        handshake_take_proof(stream, body);
    } else {
        stream_take_frame(stream, kind, body);
    }
}

/* Adds to a frame that was cut off, and takes it when it is whole. Returns how many bytes were used. */
static size_t stream_complete(struct stream *stream, const uint8_t *bytes, size_t len)
{
    struct buffer *partial = &stream->partial;
    size_t wanted = stream_frame_bytes(stream, partial->base, partial->len);
    size_t missing = wanted - partial->len; /* > 0: its header was looked at when it came */
    size_t used = missing < len ? missing : len;
    buffer_append(partial, bytes, used);
    if (used < missing) {
        return used;
    }
    wanted = stream_frame_bytes(stream, partial->base, partial->len); /* the header may be whole only now */
    if (wanted == partial->len) {
        stream_take_whole(stream, partial->base);
        buffer_clear(partial);
        if (partial->capacity > STREAM_KEPT_BYTES) {
            buffer_close(partial);
        }
    }
    return used;
}

static void stream_received(void *arg, const uint8_t *bytes, size_t len)
{
    struct stream *stream = arg;
    struct peer_set *set = stream->set;
    set_enter(set);
    while (len > 0 && stream->state != STREAM_DEAD) {
        size_t used;
        if (stream->partial.len > 0) {
            used = stream_complete(stream, bytes, len);
        } else {
            used = stream_frame_bytes(stream, bytes, len);
            if (used > len) {
                used = len;
                buffer_append(&stream->partial, bytes, len);
            } else if (used > 0) {
                stream_take_whole(stream, bytes);
            }
        }
        bytes += used;
        len -= used;
    }
    set_leave(set);
}

static void stream_drained(void *arg)
{
    struct stream *stream = arg;
    struct peer_set *set = stream->set;
    set_enter(set);
    if (stream_part(stream) == PART_OUTBOUND) {
        sending_flush(stream->peer);
    }
    set_leave(set);
}

static const struct connection_handlers stream_handlers = {
    .opened = stream_opened,
    .received = stream_received,
    .drained = stream_drained,
    .closed = stream_closed,
};
