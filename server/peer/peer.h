/* peer: authenticated streams of frames between the members of a cluster.
 *
 * For each ordered pair of members one connection, dialled by the sender; what A has for B goes over A's connection to B
 * only. A stream begins with a hello of each side and, with a cluster key, with a proof of each side; then every frame
 * carries a checksum or, with a key, a tag over its number, so that nothing reflected, replayed, reordered or altered is
 * delivered. The newest connection of a peer wins: once it is accepted, nothing from an older one is delivered.
 *
 * Knows names, incarnations and frames; nothing of terms, logs or locks. Everything that a stranger can send costs a
 * bounded amount and ends in a closed connection and a note. */
#ifndef BATON_PEER_PEER_H
#define BATON_PEER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/slice.h"
#include "codec/frame.h"
#include "peer/network.h"

struct peer_set;
struct peer; /* one other member; owned by its set */

enum peer_end {
    PEER_END_OF_FILE,  /* the other process closed, reset or died; every whole frame that arrived was delivered */
    PEER_END_BROKEN,   /* time-out, bad frame */
    PEER_END_REPLACED, /* a newer connection of the same peer was accepted */
};

struct peer_handlers {
    /* One frame, after the handshake, in order. What it points to is valid until the function returns. Kinds below
     * FRAME_REQUEST_VOTE never arrive here. `peer` may be sent to and removed inside. */
    void (*frame)(void *arg, struct peer *peer, const struct frame *frame);
    /* The peer's stream to us. */
    void (*inbound_up)(void *arg, struct peer *peer, const struct frame_hello *hello);
    void (*inbound_down)(void *arg, struct peer *peer, enum peer_end end);
    /* Ours to the peer. `refused`: its host says that nobody listens there. Also called for a failed dial. Connections
     * that only ask who founded the cluster call neither of these four. */
    void (*outbound_up)(void *arg, struct peer *peer, const struct frame_hello *hello);
    void (*outbound_down)(void *arg, struct peer *peer, bool refused);
    /* Somebody of our SPEC asks who founded the cluster: fill in the answer (its slices stay valid until the next call).
     * False: no answer yet, the connection is closed. */
    bool (*founding_question)(void *arg, const struct frame_founding_question *question,
                              struct frame_founding_answer *answer);
    void (*founding_answer)(void *arg, struct peer *peer, const struct frame_founding_answer *answer);
    /* A fact worth a log line, at most a few a second for each cause: "refused a connection from 127.0.0.1:999: …". */
    void (*note)(void *arg, struct slice about, const char *sentence);
};

struct peer_set_options {
    const struct loop *loop;
    const struct network *network;
    const char *name;
    const char *listen_host;
    uint16_t listen_port;
    const char *http_address; /* advertised, in the hello */
    uint8_t incarnation[16];
    uint8_t run_id[16];
    struct slice cluster_key; /* absent: frames carry checksums; else at least 32 bytes; copied */
    uint64_t stall_ms; /* a link with bytes queued and no progress for this long is closed: 2 election time-outs */
    const struct peer_handlers *handlers;
    void *arg;
};

/* Listens at once. ERROR_NETWORK with the address and what to do. */
enum error peer_set_open(const struct peer_set_options *options, struct peer_set **set, struct error_text *text)
    MUST_CHECK;
/* Closes all connections and frees; calls nobody. */
void peer_set_close(struct peer_set *set);
uint16_t peer_set_port(const struct peer_set *set);

/* Until this is called only founding questions and answers pass. From then on connections need this cluster id, and, of
 * each peer, the incarnation given to peer_add. Existing founding connections are closed. */
void peer_set_join(struct peer_set *set, const uint8_t cluster_id[16]);

/* Begins to dial, with jittered back-off from 50 ms to 2 s, for ever. Before peer_set_join `incarnation` may be NULL
 * (founding: any). `data` is the caller's. */
struct peer *peer_add(struct peer_set *set, const char *name, const char *host, uint16_t port,
                      const uint8_t *incarnation, void *data);
/* Another one than before: streams of the old one are closed, and nobody is called. A member without one is neither
 * dialled nor let in after peer_set_join. */
void peer_set_incarnation(struct peer *peer, const uint8_t incarnation[16]);
/* A stream that is up stays up: its process has proved who it is. */
void peer_set_address(struct peer *peer, const char *host, uint16_t port);
void peer_remove(struct peer *peer);
const char *peer_name(const struct peer *peer);
void *peer_data(const struct peer *peer);

/* Asks this peer, over and over until peer_set_join, who founded the cluster; answers come through founding_answer. */
void peer_ask_founding(struct peer *peer, const struct frame_founding_question *question);

/* Queues a frame (copied). False: the stream isn't up, or its queue is full, and nothing was sent. Raft messages keep
 * their order and go ahead of operations, which go ahead of snapshot chunks. */
bool peer_send(struct peer *peer, const struct frame *frame) MUST_CHECK;
/* When a frame leaves: AppendEntries with entries are handed to the network inside peer_send, so that they go before the
 * local disk write of the same entries; all else leaves at the end of this loop turn (by loop_post, in the order in which
 * posts were made), in one write for each class. This hands over what waits now. Calls nobody. */
void peer_set_flush(struct peer_set *set);
bool peer_is_up(const struct peer *peer); /* outbound: handshake done */
bool peer_is_inbound_up(const struct peer *peer);
size_t peer_queued(const struct peer *peer); /* bytes not yet taken by the kernel */
/* Dials at once instead of waiting out the back-off (used to see whether a leader is really gone). While a connection
 * still seems to be there it is left alone, and the dial follows at once when it ends. */
void peer_redial(struct peer *peer);

#endif
