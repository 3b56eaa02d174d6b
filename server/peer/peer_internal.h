/* peer_internal: the structs of this room, and who may call what.
 *
 *   peer.c            the set and its members: adding, removing, joining, dialling and its back-off
 *   peer_stream.c     one connection from birth to death: received bytes become frames
 *   peer_handshake.c  hello and proof
 *   peer_send.c       from peer_send to the network; stalls
 *   peer_note.c       sentences for the log, at a bounded rate
 *
 * Everything that comes from the loop or the network stands between set_enter and set_leave. Inside, a stream or member
 * that is closed is only marked and unlinked; memory goes when the outermost set_leave is reached. So a handler may remove
 * its member or close the whole set, and the code that called it only has to look whether its stream is dead. */
#ifndef BATON_PEER_PEER_INTERNAL_H
#define BATON_PEER_PEER_INTERNAL_H

#include "base/limits.h"
#include "peer/peer.h"
#include "peer/peer_auth.h"
#include "peer/peer_framing.h"
#include "peer/peer_queue.h"

#define PEER_BACKOFF_MIN_MS 50u
#define PEER_BACKOFF_MAX_MS 2000u
#define PEER_GOOD_MS        1000u /* a connection that was up for this long makes the back-off start again */
#define PEER_HURRIED_MS     300u  /* what is left to our handshake once its member has reached us */
#define PEER_ASK_MS         250u  /* from a founding answer to the next question */

enum note_cause {
    NOTE_REFUSED, /* a hello or proof that we don't take */
    NOTE_FRAME,   /* bytes that are no frame, or not one for this stream */
    NOTE_SILENT,  /* a handshake that took too long */
    NOTE_STALLED,
    NOTE_DIAL,
    NOTE_CAUSES,
};

struct note_window {
    uint64_t began_ms;
    unsigned said;
    uint64_t kept; /* not said */
};

enum stream_state {
    STREAM_OPENING, /* dialled, not connected yet */
    STREAM_HELLO,   /* the other's hello comes next */
    STREAM_PROOF,   /* the other's proof comes next */
    STREAM_UP,
    STREAM_DEAD, /* closed; freed by set_leave */
};

/* One connection. It is in set->streams until it is dead. Once it has said who it belongs to (a dialled one: at once) and
 * was accepted, exactly one of its member's outbound, inbound and founding_inbound points to it. */
struct stream {
    struct stream *next, *previous;
    struct peer_set *set;
    struct peer *peer; /* accepted: NULL until its hello was taken */
    struct connection *connection;
    struct timer *timer; /* of the handshake, and of a founding answer */
    unsigned patience_ms;
    enum stream_state state;
    bool dialled;
    bool founding;
    bool half_open; /* accepted, and not up yet: counted */
    char remote[80];
    uint64_t connection_number; /* a dialled one's */

    struct framing_seal sending, receiving;
    struct buffer partial; /* the beginning of a frame; empty between frames */

    /* Of the handshake; given back when it is over. `hello` points into `their_hello` and `hello_arena`. */
    struct buffer own_hello, their_hello;
    struct arena hello_arena;
    struct frame_hello hello;
};

/* The newest connection that was accepted. */
struct peer_newest {
    bool known;
    uint8_t run_id[16];
    uint64_t connection_number;
};

struct peer {
    struct peer *next, *previous;
    struct peer_set *set;
    void *data;
    char *name;
    char *host;
    uint16_t port;
    bool has_incarnation;
    uint8_t incarnation[16];

    struct stream *outbound;         /* dialled, in any state; NULL: waits for dial_timer, or has no reason to dial */
    struct stream *inbound;          /* up */
    struct stream *founding_inbound; /* up */
    struct peer_newest newest, newest_founding;

    struct timer *dial_timer; /* outbound NULL: the next dial. Founding: the next question */
    uint64_t backoff_ms;      /* bound of the next delay */
    uint64_t dialled_ms;
    uint64_t up_ms;
    uint8_t outbound_run_id[16]; /* of the process that `outbound` reached; while that is up and not of the founding */
    bool redial_wanted;          /* dial at once when this connection ends */
    unsigned closed_handshakes;  /* by the other side, in a row; noted once */
    int last_dial_end;           /* enum connection_end of the last failed dial, −1: none; each is noted once */
    struct buffer question;      /* body; empty: none */

    /* What peer_send filled. `handed` counts the bytes given to the network on this stream: less `unsent`, it is what the
     * kernel has taken, and a stall is when that stands still. */
    struct queue queue;
    struct post flush;
    struct timer *stall_timer;
    bool stall_armed;
    uint64_t handed;
    uint64_t stall_taken;
    uint64_t stall_since_ms;
};

struct peer_set {
    struct peer_set_options options; /* its strings and key are copies, below */
    char *name;
    char *http_address;
    struct buffer cluster_key; /* empty: none */
    struct listener *listener;
    bool joined;
    uint8_t cluster_id[16];
    uint64_t connections; /* number of the last one dialled */
    struct peer *peers;
    struct stream *streams; /* oldest first */
    struct stream *last_stream;
    size_t half_open;
    struct arena arena;    /* of the frame that is being delivered */
    struct buffer scratch; /* a frame of the handshake or of the founding on its way out */
    struct note_window notes[NOTE_CAUSES];

    unsigned depth; /* of set_enter */
    bool closed;
    struct stream *dead_streams;
    struct peer *dead_peers;
};

void set_enter(struct peer_set *set);
void set_leave(struct peer_set *set);
struct peer *set_find(struct peer_set *set, struct slice name);
static inline bool set_is_keyed(const struct peer_set *set)
{
    return set->cluster_key.len > 0;
}

/* ---- peer.c ---- */

/* Dials, if there is a reason to and no connection yet. */
void peer_dial(struct peer *peer);
/* The outbound stream is gone: says when the next dial comes. */
void peer_outbound_ended(struct peer *peer, bool was_up);
/* The founding question is answered: asks again in a while. */
void peer_outbound_answered(struct peer *peer);
/* The process `run_id` of this member has reached us. If we are waiting out a back-off, that is over; and a stream to another
 * process of it is dead, as is a handshake that stands still, though nobody could say so: a machine that lost its power
 * closes no connection. */
void peer_seen_alive(struct peer *peer, const uint8_t run_id[16]);

/* ---- peer_stream.c ---- */

struct stream *stream_dial(struct peer *peer);
void stream_accepted(void *arg, struct connection *connection, const char *remote);
/* Calls nobody. */
void stream_close(struct stream *stream);
/* Closes, and tells the handlers if it had been somebody's. */
void stream_fail(struct stream *stream, enum peer_end end);
/* The same with a note. */
void stream_refuse(struct stream *stream, enum note_cause cause, const char *format, ...) PRINTF_LIKE(3, 4);
/* Sends a frame of the handshake or of the founding, before all others. */
void stream_send(struct stream *stream, enum frame_kind kind, struct slice body);
void stream_send_frame(struct stream *stream, const struct frame *frame);
/* The handshake is over: the stream becomes its member's, and the handlers hear of it. */
void stream_come_up(struct stream *stream);
/* Shortens the patience with a handshake. */
void stream_hurry(struct stream *stream);
void stream_ask(struct stream *stream);
void stream_free(struct stream *stream);

/* ---- peer_handshake.c ---- */

void handshake_begin(struct stream *stream);
void handshake_take_hello(struct stream *stream, struct slice body);
void handshake_take_proof(struct stream *stream, struct slice body);
/* Is this connection older than the newest of its member? */
bool handshake_is_outdated(const struct stream *stream);

/* ---- peer_send.c ---- */

void sending_init(struct peer *peer);
void sending_close(struct peer *peer);
void sending_reset(struct peer *peer); /* forgets what is queued */
void sending_flush(struct peer *peer);

/* ---- peer_note.c ---- */

void set_note(struct peer_set *set, enum note_cause cause, struct slice about, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
