/* stream: bytes between two nodes, each direction a queue of pieces on the wire and a receive buffer.
 *
 * Within a stream bytes arrive complete and in order, or the stream ends. An end comes in the ways of TCP: end of file
 * behind everything that was sent, a reset that overtakes what is under way, or silence, which the sender notices only by
 * its own time-out and the receiver never. A stream's memory lives until neither side's process holds its end.
 *
 * Shared by stream.c and sim_network.c (dialling, listening, and what the scenario does to the fabric) only. */
#ifndef BATON_SIM_STREAM_H
#define BATON_SIM_STREAM_H

#include "base/slice.h"
#include "world.h"

#define NODES_MAX       8u
#define DIAL_TIMEOUT_NS (2 * SIM_S)

struct piece {
    uint64_t due_ns;
    size_t len;
    uint8_t *bytes;
    struct piece *next;
};

enum ending { ENDING_NOT, ENDING_FIN, ENDING_DONE };

struct stream;

struct connection { /* one end of a stream */
    struct stream *stream;
    unsigned side;
    struct sim_node *node;
    const struct connection_handlers *handlers; /* NULL: not accepted yet */
    void *arg;
    bool open; /* the dial has succeeded, or it was accepted */
    bool held; /* the process has a pointer to it */
    bool gone; /* the process closed it, was told of its end, or died */

    /* What goes out. */
    struct piece *first, *last;
    size_t on_wire;       /* bytes in pieces */
    bool waited;          /* the kernels didn't take all: `drained` is owed */
    uint64_t last_due;    /* pieces arrive in order */
    uint64_t progress_ns; /* last arrival, or when the wire stopped being empty */
    enum ending ending;
    bool stalled; /* the first piece (or the end) waits for the line to be healed or for the reader */
    struct sim_event *arrival;
    struct sim_event *timeout;

    /* What came in and wasn't read. */
    struct buffer in;
    bool in_end; /* end of file behind it */
    struct sim_event *received;

    struct sim_event *opened; /* or accepted */
    struct sim_event *drained;
    struct sim_event *closed;
    enum connection_end closed_how;
};

struct stream {
    struct sim_fabric *fabric;
    uint64_t number;
    struct connection ends[2]; /* [0] dialled */
    uint16_t port;
    uint64_t dial_until;
    struct sim_event *dial;
    bool silent; /* nothing passes any more, and nobody says so */
    struct stream *next, *previous;
};

struct listener {
    struct sim_node *node;
    uint16_t port;
    void (*accepted)(void *arg, struct connection *connection, const char *remote);
    void *arg;
    struct listener *next;
};

struct line { /* from one node to another */
    bool blocked;
    uint64_t delay_ns;
    uint64_t ns_per_byte;
};

struct sim_fabric {
    struct sim_world *world;
    struct line lines[NODES_MAX][NODES_MAX];
    uint64_t latency_ns;
    uint64_t user_timeout_ns; /* how long a sender waits for an acknowledgement */
    size_t window;            /* bytes that the kernels take before a sender has to wait */
    struct stream *streams;
    size_t n_streams;
    uint64_t next_number;
    struct listener *listeners;
    bool garble;
};

struct stream *sim_stream_new(struct sim_fabric *fabric, struct sim_node *from, struct sim_node *to);
/* Frees it once nobody can ask for it any more. */
void sim_stream_release(struct stream *stream);
struct connection *sim_stream_other_end(struct connection *connection);
struct line *sim_stream_line(struct connection *from);
uint64_t sim_stream_latency_ns(struct sim_fabric *fabric, const struct line *line);
/* Schedules whatever this direction has to do next. */
void sim_stream_kick(struct connection *from);
void sim_stream_drop_pieces(struct connection *connection);
/* What the process of this end was about to hear. */
void sim_stream_cancel_process_events(struct connection *connection);
/* Tells the process of this end, after `delay_ns`, that it is over. The first call counts. */
void sim_stream_end_with(struct connection *connection, enum connection_end how, uint64_t delay_ns);
/* The process of this end is done with it. What the kernel has taken still goes out, unless it becomes a reset. */
void sim_stream_leave(struct connection *connection, bool reset);

/* struct network's. */
void sim_stream_send(struct connection *from, const void *bytes, size_t len);
size_t sim_stream_unsent(const struct connection *connection);
void sim_stream_set_handlers(struct connection *connection, const struct connection_handlers *handlers, void *arg);
void sim_stream_close(struct connection *connection);

#endif
