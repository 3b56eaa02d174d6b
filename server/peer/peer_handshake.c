/* Hello and proof.
 *
 *   dialler                         acceptor
 *   hello                     →     checked
 *   checked                   ←     hello, proof
 *   proof, then frames        →     checked, then the stream is up
 *
 * Without a cluster key there are no proofs. The acceptor's proof goes first, so the dialler is up only when the acceptor
 * has what it needs to accept it. Until its proof is checked a connection takes nobody's place: replaying an old hello
 * does nothing, since the acceptor's nonce is new.
 *
 * What goes wrong: a hello that doesn't fit is refused with a note that says why. Where the dialler can see the reason
 * itself in our hello (versions, key, cluster), it gets it before the connection is closed, so that both logs say it. */
#include <stdio.h>
#include <string.h>

#include "peer/peer_internal.h"

static void handshake_send_hello(struct stream *stream, struct slice to)
{
    struct peer_set *set = stream->set;
    struct frame frame = {.kind = FRAME_HELLO};
    struct frame_hello *hello = &frame.hello;
    frame_hello_set_versions(hello);
    hello->founding = stream->founding;
    memcpy(hello->cluster_id, set->cluster_id, sizeof hello->cluster_id); /* zero until peer_set_join */
    memcpy(hello->incarnation, set->options.incarnation, sizeof hello->incarnation);
    memcpy(hello->run_id, set->options.run_id, sizeof hello->run_id);
    loop_random(set->options.loop, hello->nonce, sizeof hello->nonce);
    hello->connection_number = stream->dialled ? stream->connection_number : stream->hello.connection_number;
    hello->name = slice_of(set->name);
    hello->to = to;
    if (set->http_address[0] != 0) {
        hello->http_address = slice_of(set->http_address);
    }
    hello->keyed = set_is_keyed(set);
    frame_encode(&frame, &stream->own_hello);
    stream_send(stream, FRAME_HELLO, buffer_slice(&stream->own_hello));
}

void handshake_begin(struct stream *stream)
{
    handshake_send_hello(stream, slice_of(stream->peer->name));
}

/* ---- is this hello one that we take? ---- */

static struct auth_transcript handshake_transcript(const struct stream *stream)
{
    struct slice own = buffer_slice(&stream->own_hello);
    struct slice theirs = buffer_slice(&stream->their_hello);
    return stream->dialled ? (struct auth_transcript){.dialer = own, .acceptor = theirs}
                           : (struct auth_transcript){.dialer = theirs, .acceptor = own};
}

bool handshake_is_outdated(const struct stream *stream)
{
    const struct peer *peer = stream->peer;
    const struct peer_newest *newest = stream->founding ? &peer->newest_founding : &peer->newest;
    return newest->known && memcmp(newest->run_id, stream->hello.run_id, sizeof newest->run_id) == 0 &&
           stream->hello.connection_number <= newest->connection_number;
}

/* Answers with our hello first. No proof goes with it, and what we refuse in it the other refuses in ours. */
static void hello_refuse_both(struct stream *stream, const char *why)
{
    if (!stream->dialled) {
        handshake_send_hello(stream, stream->hello.name);
    }
    stream_refuse(stream, NOTE_REFUSED, "%s", why);
}

/* Who does it say it is, and whom does it look for? Finds the member. */
static bool hello_check_names(struct stream *stream)
{
    struct peer_set *set = stream->set;
    const struct frame_hello *hello = &stream->hello;
    struct slice own = slice_of(set->name);
    if (slice_equal(hello->name, own) || memcmp(hello->run_id, set->options.run_id, sizeof hello->run_id) == 0) {
        stream_refuse(stream, NOTE_REFUSED, "it calls itself %s, as this node does", set->name);
        return false;
    }
    if (!slice_equal(hello->to, own)) {
        stream_refuse(stream, NOTE_REFUSED, "%.*s looks for %.*s here, but this is %s", SLICE_PRINT(hello->name),
                      SLICE_PRINT(hello->to), set->name);
        return false;
    }
    if (stream->dialled) {
        if (!slice_equal(hello->name, slice_of(stream->peer->name))) {
            stream_refuse(stream, NOTE_REFUSED, "%.*s answers there", SLICE_PRINT(hello->name));
            return false;
        }
        return true;
    }
    stream->peer = set_find(set, hello->name);
    if (stream->peer == NULL) {
        stream_refuse(stream, NOTE_REFUSED, "%.*s is no member of this cluster", SLICE_PRINT(hello->name));
        return false;
    }
    return true;
}

struct versions {
    uint32_t oldest;
    uint32_t newest;
};

/* `does` says what is done with the versions: "speaks protocol". True when both sides have one in common. */
static bool hello_check_range(struct stream *stream, const char *does, struct versions theirs, struct versions ours)
{
    if (theirs.oldest <= ours.newest && theirs.newest >= ours.oldest) {
        return true;
    }
    char why[200];
    (void)snprintf(why, sizeof why, "it %s %u to %u, and this node %s %u to %u: install the newer batond on %s", does,
                   (unsigned)theirs.oldest, (unsigned)theirs.newest, does, (unsigned)ours.oldest, (unsigned)ours.newest,
                   theirs.newest < ours.oldest ? "it" : "this node");
    hello_refuse_both(stream, why);
    return false;
}

/* Rules aren't compared here: what is in force is the state's, and replica raises it when every member can follow. */
static bool hello_check_versions(struct stream *stream)
{
    const struct frame_hello *hello = &stream->hello;
    struct frame_hello own = {0};
    frame_hello_set_versions(&own);
    return hello_check_range(stream, "speaks protocol",
                             (struct versions){hello->protocol_oldest, hello->protocol_newest},
                             (struct versions){own.protocol_oldest, own.protocol_newest}) &&
           hello_check_range(stream, "reads state format", (struct versions){hello->state_oldest, hello->state_newest},
                             (struct versions){own.state_oldest, own.state_newest});
}

static bool hello_check_key(struct stream *stream)
{
    const struct frame_hello *hello = &stream->hello;
    if (hello->keyed != set_is_keyed(stream->set)) {
        hello_refuse_both(stream, hello->keyed ? "it has a cluster key and this node has none: give all nodes the "
                                                 "same --cluster-key-file"
                                               : "it has no cluster key and this node has one: give all nodes the "
                                                 "same --cluster-key-file");
        return false;
    }
    return true;
}

static bool hello_check_cluster(struct stream *stream)
{
    struct peer_set *set = stream->set;
    const struct peer *peer = stream->peer;
    const struct frame_hello *hello = &stream->hello;
    if (stream->dialled && hello->founding != stream->founding) {
        stream_refuse(stream, NOTE_REFUSED, "%s", "it answers another question");
        return false;
    }
    if (stream->founding) {
        return true; /* the question and its answer are exempt from what follows */
    }
    if (!set->joined) {
        stream_fail(stream, PEER_END_BROKEN); /* who founded before us dials on: that is no news */
        return false;
    }
    if (memcmp(hello->cluster_id, set->cluster_id, sizeof hello->cluster_id) != 0) {
        hello_refuse_both(stream, "it belongs to another cluster");
        return false;
    }
    if (!peer->has_incarnation || memcmp(hello->incarnation, peer->incarnation, sizeof hello->incarnation) != 0) {
        stream_refuse(stream, NOTE_REFUSED, "%s",
                      "its data directory is not the one that is a member of this cluster (another "
                      "incarnation)");
        return false;
    }
    return true;
}

static bool hello_check(struct stream *stream)
{
    if (!hello_check_names(stream)) {
        return false;
    }
    if (!stream->dialled) {
        stream->founding = stream->hello.founding;
    }
    if (!hello_check_versions(stream) || !hello_check_key(stream) || !hello_check_cluster(stream)) {
        return false;
    }
    if (stream->dialled ? stream->hello.connection_number != stream->connection_number
                        : handshake_is_outdated(stream)) {
        stream_refuse(stream, NOTE_REFUSED, "%s",
                      stream->dialled ? "it answers another connection"
                                      : "a newer connection of it was accepted before");
        return false;
    }
    return true;
}

/* ---- proofs ---- */

static void handshake_send_proof(struct stream *stream)
{
    struct auth_transcript transcript = handshake_transcript(stream);
    struct frame frame = {.kind = FRAME_PROOF};
    auth_prove(buffer_slice(&stream->set->cluster_key), stream->dialled ? AUTH_DIALER : AUTH_ACCEPTOR, &transcript,
               frame.proof.mac);
    stream_send_frame(stream, &frame);
}

/* From the next frame on, both directions are tagged, each with its own key and its own numbers from 0. */
static void handshake_take_keys(struct stream *stream)
{
    struct slice key = buffer_slice(&stream->set->cluster_key);
    struct auth_transcript transcript = handshake_transcript(stream);
    enum auth_side own = stream->dialled ? AUTH_DIALER : AUTH_ACCEPTOR;
    enum auth_side theirs = stream->dialled ? AUTH_ACCEPTOR : AUTH_DIALER;
    stream->sending = (struct framing_seal){.tagger = auth_open(key, own, &transcript)};
    stream->receiving = (struct framing_seal){.tagger = auth_open(key, theirs, &transcript)};
}

void handshake_take_hello(struct stream *stream, struct slice body)
{
    struct frame frame;
    struct error_text text = {""};
    buffer_append_slice(&stream->their_hello, body);
    if (frame_decode(FRAME_HELLO, buffer_slice(&stream->their_hello), &stream->hello_arena, &frame, &text) !=
        ERROR_NONE) {
        stream_refuse(stream, NOTE_FRAME, "a hello that isn't well formed: %s", text.text);
        return;
    }
    stream->hello = frame.hello;
    if (!hello_check(stream)) {
        return;
    }
    if (!stream->dialled) {
        handshake_send_hello(stream, stream->hello.name);
    }
    if (!set_is_keyed(stream->set)) {
        stream_come_up(stream);
        return;
    }
    if (!stream->dialled) {
        handshake_send_proof(stream);
    }
    stream->state = STREAM_PROOF;
}

void handshake_take_proof(struct stream *stream, struct slice body)
{
    struct frame frame;
    struct arena arena;
    struct error_text text = {""};
    arena_init(&arena, LIMIT_FRAME_HANDSHAKE_BYTES);
    enum error error = frame_decode(FRAME_PROOF, body, &arena, &frame, &text);
    arena_close(&arena);
    uint8_t expected[AUTH_MAC_BYTES];
    struct auth_transcript transcript = handshake_transcript(stream);
    auth_prove(buffer_slice(&stream->set->cluster_key), stream->dialled ? AUTH_ACCEPTOR : AUTH_DIALER, &transcript,
               expected);
    if (error != ERROR_NONE || !auth_equal(frame.proof.mac, expected, sizeof expected)) {
        stream_refuse(stream, NOTE_REFUSED, "its proof is wrong: it has another cluster key, or its hello was altered");
        return;
    }
    if (!stream->dialled && handshake_is_outdated(stream)) { /* two of them were under way */
        stream_refuse(stream, NOTE_REFUSED, "%s", "a newer connection of it was accepted before");
        return;
    }
    if (stream->dialled) {
        handshake_send_proof(stream);
    }
    handshake_take_keys(stream);
    stream_come_up(stream);
}
