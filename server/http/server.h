/* server: what the files of this room share.
 *
 * A connection is what MHD has accepted; it carries one exchange at a time. Time limits hang on connections, because a
 * client that is slow before its request line is complete has no exchange yet. A connection is in exactly one place:
 *
 *      accept ──> reading ──(whole request)──> busy ──(answer sent)──> waiting ──(request line or first bytes)──┐
 *                    ^                          │  └─(more bytes were here already)─┐                           │
 *                    │                          └─(stream ended)─> ending ─(sent)─> as from busy                │
 *                    └──────────────────────────────────────────────────────────────┴───────────────────────────┘
 *
 * All but `busy` are queues in the order of their deadlines, since every connection that enters one gets the same time
 * from now on. Who is late in `reading` with its request, or in `ending` with taking the rest of a stream, has its socket
 * shut down, and MHD closes it. MHD tells nobody about the first bytes of a request line, so bytes are counted: when the
 * socket has received more than the requests so far took, a next one has begun, be it with bytes that came in one piece
 * with the last one. A connection in `waiting` is looked at a few times during each request timeout. After a request whose
 * length isn't known (a chunked one), nothing can be told from bytes any more, and the connection goes from answer to
 * `reading` at once: what is idle then lives no longer than what is slow. */
#ifndef BATON_HTTP_SERVER_H
#define BATON_HTTP_SERVER_H

#include <microhttpd.h>
#include <sys/queue.h>

#include "http/http.h"
#include "http/socket.h"

struct drain;
struct stream;

enum connection_place { CONNECTION_READING, CONNECTION_ENDING, CONNECTION_WAITING, CONNECTION_BUSY };
#define CONNECTION_QUEUES 3 /* all but busy */

struct connection {
    TAILQ_ENTRY(connection) entry; /* in the queue of its place; unused when busy */
    enum connection_place place;
    uint64_t deadline_ms; /* of its place, in the loop's time */
    uint64_t taken;       /* bytes of all whole requests so far … */
    bool is_uncounted;    /* … but for one whose length isn't known */
    struct http_server *server;
    struct exchange *exchange; /* owned; NULL between requests */
    struct drain *drain;       /* takes over when MHD closes; NULL but after a refused upload */
    int fd;                    /* MHD's */
};
TAILQ_HEAD(connection_queue, connection);

/* How far an exchange is; exchange_move in exchange.c is the only door. */
enum exchange_state {
    EXCHANGE_HEAD,       /* the request line is here, headers are coming */
    EXCHANGE_BODY,       /* the body is being collected */
    EXCHANGE_DISCARDING, /* the body is over its bound, what comes is thrown away */
    EXCHANGE_ASKED,      /* the owner's callback is running, under MHD's handler */
    EXCHANGE_CUT,    /* the same, in the middle of a body that MHD lets nobody answer: the answer is written directly */
    EXCHANGE_PARKED, /* suspended until the answer comes */
    EXCHANGE_ANSWERED,  /* there is an answer, or a stream; MHD's handler is to queue it */
    EXCHANGE_STREAMING, /* MHD has a stream, and asks for its bytes */
    EXCHANGE_QUIET,     /* a stream that has nothing to send: suspended until it has */
    EXCHANGE_SENDING,   /* MHD has the answer, or all of a stream; what follows is its end */
    EXCHANGE_OVER,      /* MHD is done with a stream, and its connection isn't ours any more; its owner is to be told */
};

/* What an owner is to be told; at most one thing at a time, since a stream that is over has no room. */
enum exchange_call { EXCHANGE_CALL_NONE, EXCHANGE_CALL_GONE, EXCHANGE_CALL_ROOM, EXCHANGE_CALL_CLOSED };

struct exchange {
    struct http_server *server;
    struct connection *connection; /* NULL when over … */
    struct MHD_Connection *mhd;    /* … likewise */
    enum exchange_state state;
    char *target; /* as sent; owned */
    struct slice method;
    struct slice path; /* in target */
    struct buffer body;
    size_t body_limit;
    size_t discarded;
    struct http_pair *query; /* owned; points into MHD's memory */
    size_t n_query;
    bool knows_chunks; /* the client's HTTP is newer than 1.0 */
    unsigned status;
    struct MHD_Response *response; /* owned until the exchange ends */
    struct stream *stream;         /* owned; NULL but for a stream */
    void (*gone)(void *arg);       /* NULL: nobody asked, or the answer is there */
    void *gone_arg;
    bool is_watched; /* its socket is among those that are watched for hang-ups */
    enum exchange_call call;
    TAILQ_ENTRY(exchange) call_entry; /* in the server's `calls` while there is one */
};

struct http_server {
    struct http_options options;
    struct MHD_Daemon *daemon;
    uv_poll_t epoll; /* MHD's epoll descriptor */
    uv_poll_t listening;
    uv_poll_t watch;  /* the epoll descriptor for hang-ups */
    uv_timer_t timer; /* the earliest of MHD's timeout and our deadlines */
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while the loop must not sleep */
    int listen_fd;  /* -1 after http_quiesce */
    int watch_fd;
    uint16_t port;
    bool wanted;        /* something happened since the last run of MHD */
    bool running;       /* inside that run */
    bool hung_up;       /* the descriptor for hang-ups is readable */
    bool acceptable;    /* the listening socket is readable */
    bool accept_paused; /* out of descriptors or memory, until accept_resume_ms */
    bool quiesced;
    uint64_t accept_resume_ms;
    uint64_t accept_said_ms; /* when the log was told last; 0: never */
    size_t n_connections;
    size_t n_pending;    /* exchanges that `request` was called for and that haven't ended */
    size_t n_unanswered; /* of these, the ones without an answer */
    size_t n_open;       /* of these, streams that may be written to */
    TAILQ_HEAD(, exchange) calls;
    struct connection_queue queues[CONNECTION_QUEUES];
    TAILQ_HEAD(, drain) drains; /* that read, in the order of their deadlines */
    size_t n_drains;
    size_t n_handles; /* libuv handles that are open */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- server_uv.c ---- */

void server_wake(struct http_server *server); /* MHD runs before the loop sleeps again */
uint64_t server_now_ms(const struct http_server *server);
unsigned server_idle_s(const struct http_server *server); /* what MHD is told: a connection on which no byte moves */
void server_release_handle(
    struct http_server *server); /* one handle is closed; after the last one the server is freed */
void connection_move(struct connection *connection, enum connection_place place);
bool connection_has_begun(const struct connection *connection); /* bytes of a next request are here */

/* ---- exchange.c: what MHD calls ---- */

void *exchange_open(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_len, void **context);
void exchange_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code);
void exchange_move(struct exchange *exchange, enum exchange_state to); /* the only door */
/* Gives MHD what there is to answer with, from its handler at once or after resuming it. */
void exchange_hand_over(struct exchange *exchange, unsigned status, struct MHD_Response *response,
                        const struct http_header *headers, size_t n_headers);
/* MHD is done with it. A stream lives on until its owner has been told; anything else is freed. */
void exchange_finish(struct exchange *exchange);
void exchange_free(struct exchange *exchange);

/* ---- stream.c ---- */

void stream_queued(struct exchange *exchange);    /* MHD has it now */
void stream_cut(struct exchange *exchange);       /* its client has gone, or doesn't read: shuts the socket down */
void stream_completed(struct exchange *exchange); /* MHD is done with it, and has its connection still */
void stream_finish(struct exchange *exchange);    /* takes it off its connection; its owner is told later */
void stream_call(struct exchange *exchange, enum exchange_call call);
void exchange_stream_free(struct stream *stream); /* NULL does nothing */

/* ---- tell.c: the calls to owners ---- */

void exchange_tell_later(struct exchange *exchange, enum exchange_call call); /* in place of what it was to be told */
void exchange_tell_not(struct exchange *exchange);
void server_tell(struct http_server *server, size_t n); /* makes up to `n` calls */

/* ---- watch_uv.c: who hangs up ---- */

enum error watch_open(struct http_server *server, struct error_text *text) MUST_CHECK;
void watch_start(struct http_server *server); /* its handle, on the loop */
void watch_close(struct http_server *server); /* but for its handle */
void watch_begin(
    struct exchange *exchange);            /* until watch_end, or the hang-up, which is seen also when it was before */
void watch_end(struct exchange *exchange); /* nothing, when it isn't watched */
void watch_collect(struct http_server *server);

/* ---- head.c ---- */

/* As MHD has it, and goes by itself: blanks may be left in front of it and behind it. */
struct slice exchange_raw_header(const struct exchange *exchange, const char *name, size_t *count);
void exchange_read_query(struct exchange *exchange);
/* True when MHD saw the request line as it was sent. */
bool exchange_line_is_whole(const struct exchange *exchange, const char *url, const char *version);
/* Reads how long the body says it is; 0 for a chunked one, which says nothing. False when that can be read in two ways. */
bool exchange_read_length(const struct exchange *exchange, uint64_t *length);
/* False when the largest headers of an answer might not fit behind the request. */
bool exchange_leaves_room(const struct exchange *exchange);

/* ---- drain_uv.c: reading out what a refused upload still sends ----
 * A socket that is closed with unread bytes resets its connection, and the client may lose the answer that told it why.
 * So the descriptor is doubled before MHD closes it, and what comes is thrown away: to the end of the stream, the budget,
 * or the deadline. */

struct drain *drain_open(struct http_server *server, int fd, size_t budget); /* NULL: there are too many already */
void drain_start(struct drain *drain);                                       /* MHD has closed its own descriptor */
void drain_expire(struct http_server *server, uint64_t now_ms);
uint64_t drain_next_deadline(const struct http_server *server); /* UINT64_MAX: none */

#endif
