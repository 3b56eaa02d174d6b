/* The set of members, and when each is dialled.
 *
 * A member's outbound stream is dialled as soon as there is a reason to (after peer_set_join one whose incarnation is
 * known; before that a founding question) and again whenever it ends, for ever: after 50 ms to a bound that doubles from
 * 100 ms to 2 s, drawn evenly, so that members that lost each other don't dial in step. A connection that was up for a
 * second begins anew with 100 ms; one that comes up and falls at once doesn't. Hearing from the member itself ends the
 * wait. */
#include "peer/peer.h"

#include <stdlib.h>
#include <string.h>

#include "peer/peer_internal.h"

static char *text_copy(const char *text)
{
    char *copy = strdup(text == NULL ? "" : text);
    CHECK(copy != NULL);
    return copy;
}

/* ---- what is freed when nobody looks any more ---- */

void set_enter(struct peer_set *set)
{
    set->depth++;
}

static void set_free(struct peer_set *set)
{
    free(set->name);
    free(set->http_address);
    if (set->cluster_key.len > 0) {
        explicit_bzero(set->cluster_key.base, set->cluster_key.len);
    }
    buffer_close(&set->cluster_key);
    buffer_close(&set->scratch);
    arena_close(&set->arena);
    free(set);
}

static void peer_free(struct peer *peer)
{
    buffer_close(&peer->question);
    queue_close(&peer->queue);
    free(peer->name);
    free(peer->host);
    free(peer);
}

void set_leave(struct peer_set *set)
{
    if (--set->depth > 0) {
        return;
    }
    while (set->dead_streams != NULL) {
        struct stream *stream = set->dead_streams;
        set->dead_streams = stream->next;
        stream_free(stream);
    }
    while (set->dead_peers != NULL) {
        struct peer *peer = set->dead_peers;
        set->dead_peers = peer->next;
        peer_free(peer);
    }
    if (set->closed) {
        set_free(set);
    }
}

/* ---- the set ---- */

enum error peer_set_open(const struct peer_set_options *options, struct peer_set **set, struct error_text *text)
{
    if (slice_is_present(options->cluster_key) && options->cluster_key.len < AUTH_KEY_BYTES_MIN) {
        return error_set(text, ERROR_INVALID, "the cluster key has %zu bytes; it needs at least %u",
                         options->cluster_key.len, AUTH_KEY_BYTES_MIN);
    }
    struct peer_set *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    opened->options = *options;
    opened->name = text_copy(options->name);
    opened->http_address = text_copy(options->http_address);
    buffer_init(&opened->cluster_key);
    buffer_append_slice(&opened->cluster_key, options->cluster_key);
    buffer_init(&opened->scratch);
    arena_init(&opened->arena, LIMIT_FRAME_DECODED_BYTES);
    const struct network *network = options->network;
    enum error error = network->listen(network->impl, options->listen_host, options->listen_port, stream_accepted,
                                       opened, &opened->listener, text);
    if (error != ERROR_NONE) {
        set_free(opened);
        return error;
    }
    opened->options.name = opened->name;
    opened->options.http_address = opened->http_address;
    opened->options.cluster_key = (struct slice){0}; /* ours is in cluster_key; these two pointers aren't ours */
    opened->options.listen_host = NULL;
    *set = opened;
    return ERROR_NONE;
}

void peer_set_close(struct peer_set *set)
{
    set_enter(set);
    CHECK(!set->closed);
    set->closed = true;
    set->options.network->listener_close(set->listener);
    while (set->peers != NULL) {
        peer_remove(set->peers);
    }
    while (set->streams != NULL) {
        stream_close(set->streams);
    }
    set_leave(set);
}

uint16_t peer_set_port(const struct peer_set *set)
{
    return set->options.network->listener_port(set->listener);
}

struct peer *set_find(struct peer_set *set, struct slice name)
{
    for (struct peer *peer = set->peers; peer != NULL; peer = peer->next) {
        if (slice_equal(slice_of(peer->name), name)) {
            return peer;
        }
    }
    return NULL;
}

static void peer_forget_question(struct peer *peer)
{
    buffer_close(&peer->question);
    loop_timer_stop(peer->set->options.loop, peer->dial_timer);
    peer->backoff_ms = 2 * PEER_BACKOFF_MIN_MS;
}

void peer_set_join(struct peer_set *set, const uint8_t cluster_id[16])
{
    CHECK(!set->joined);
    set_enter(set);
    set->joined = true;
    memcpy(set->cluster_id, cluster_id, sizeof set->cluster_id);
    for (struct stream *stream = set->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->founding) {
            stream_close(stream);
        }
    }
    for (struct peer *peer = set->peers; peer != NULL; peer = peer->next) {
        peer_forget_question(peer);
        peer_dial(peer);
    }
    set_leave(set);
}

/* ---- dialling ---- */

static bool peer_has_reason_to_dial(const struct peer *peer)
{
    return peer->set->joined ? peer->has_incarnation : peer->question.len > 0;
}

void peer_dial(struct peer *peer)
{
    if (peer->outbound != NULL || !peer_has_reason_to_dial(peer)) {
        return;
    }
    loop_timer_stop(peer->set->options.loop, peer->dial_timer);
    peer->redial_wanted = false;
    peer->dialled_ms = loop_mono_ms(peer->set->options.loop);
    peer->outbound = stream_dial(peer);
}

static void peer_timer_fired(void *arg)
{
    struct peer *peer = arg;
    struct peer_set *set = peer->set;
    set_enter(set);
    if (peer->outbound == NULL) {
        peer_dial(peer);
    } else if (peer->outbound->founding && peer->outbound->state == STREAM_UP) {
        stream_ask(peer->outbound);
    }
    set_leave(set);
}

void peer_outbound_ended(struct peer *peer, bool was_up)
{
    const struct loop *loop = peer->set->options.loop;
    if (was_up && loop_mono_ms(loop) - peer->up_ms >= PEER_GOOD_MS) {
        peer->backoff_ms = 2 * PEER_BACKOFF_MIN_MS;
    }
    uint64_t delay_ms = PEER_BACKOFF_MIN_MS + loop_random_below(loop, peer->backoff_ms - PEER_BACKOFF_MIN_MS + 1);
    peer->backoff_ms = 2 * peer->backoff_ms < PEER_BACKOFF_MAX_MS ? 2 * peer->backoff_ms : PEER_BACKOFF_MAX_MS;
    loop_timer_start(loop, peer->dial_timer, peer->redial_wanted ? 0 : delay_ms);
}

void peer_outbound_answered(struct peer *peer)
{
    loop_timer_start(peer->set->options.loop, peer->dial_timer, PEER_ASK_MS);
}

static bool peer_outbound_is_stale(const struct peer *peer, const uint8_t run_id[16])
{
    const struct stream *outbound = peer->outbound;
    return outbound != NULL && outbound->state == STREAM_UP && !outbound->founding &&
           memcmp(peer->outbound_run_id, run_id, sizeof peer->outbound_run_id) != 0;
}

void peer_seen_alive(struct peer *peer, const uint8_t run_id[16])
{
    if (peer_outbound_is_stale(peer, run_id)) {
        peer->redial_wanted = true;
        stream_fail(peer->outbound, PEER_END_BROKEN); /* its handler may have removed the member: nothing more here */
        return;
    }
    if (peer->outbound != NULL && peer->outbound->state != STREAM_UP) { /* nobody knows yet which process it reaches */
        peer->redial_wanted = true;
        stream_hurry(peer->outbound);
        return;
    }
    const struct loop *loop = peer->set->options.loop;
    uint64_t since_ms = loop_mono_ms(loop) - peer->dialled_ms;
    if (since_ms >= PEER_BACKOFF_MIN_MS) {
        peer_dial(peer);
    } else if (peer->outbound == NULL) { /* refused a moment ago, when it wasn't there yet */
        loop_timer_start(loop, peer->dial_timer, PEER_BACKOFF_MIN_MS - since_ms);
    }
}

void peer_redial(struct peer *peer)
{
    if (peer->outbound == NULL) {
        peer_dial(peer);
    } else if (peer->outbound->state != STREAM_OPENING) {
        peer->redial_wanted = true; /* its end, too, is about to be seen */
    }
}

/* ---- members ---- */

struct peer *peer_add(struct peer_set *set, const char *name, const char *host, uint16_t port,
                      const uint8_t *incarnation, void *data)
{
    CHECK(set_find(set, slice_of(name)) == NULL && strcmp(name, set->name) != 0);
    struct peer *peer = calloc(1, sizeof *peer);
    CHECK(peer != NULL);
    peer->set = set;
    peer->data = data;
    peer->name = text_copy(name);
    peer->host = text_copy(host);
    peer->port = port;
    peer->backoff_ms = 2 * PEER_BACKOFF_MIN_MS;
    peer->last_dial_end = -1;
    buffer_init(&peer->question);
    peer->dial_timer = loop_timer_open(set->options.loop, peer_timer_fired, peer);
    sending_init(peer);
    peer->next = set->peers;
    if (set->peers != NULL) {
        set->peers->previous = peer;
    }
    set->peers = peer;
    if (incarnation != NULL) {
        peer_set_incarnation(peer, incarnation);
    }
    return peer;
}

static void peer_close_streams(struct peer *peer, bool founding_too)
{
    for (struct stream *stream = peer->set->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->peer == peer && (founding_too || !stream->founding)) {
            stream_close(stream);
        }
    }
}

void peer_set_incarnation(struct peer *peer, const uint8_t incarnation[16])
{
    struct peer_set *set = peer->set;
    if (peer->has_incarnation && memcmp(peer->incarnation, incarnation, sizeof peer->incarnation) == 0) {
        return;
    }
    set_enter(set);
    peer->has_incarnation = true;
    memcpy(peer->incarnation, incarnation, sizeof peer->incarnation);
    peer_close_streams(peer, false); /* those of the incarnation before */
    if (set->joined) {
        peer_dial(peer);
    }
    set_leave(set);
}

void peer_set_address(struct peer *peer, const char *host, uint16_t port)
{
    struct peer_set *set = peer->set;
    if (peer->port == port && strcmp(peer->host, host) == 0) {
        return;
    }
    set_enter(set);
    char *copy = text_copy(host);
    free(peer->host);
    peer->host = copy;
    peer->port = port;
    if (peer->outbound != NULL && peer->outbound->state == STREAM_OPENING) {
        stream_close(peer->outbound);
    }
    peer_dial(peer); /* one that is up stays: it is the right process, wherever it is */
    set_leave(set);
}

void peer_remove(struct peer *peer)
{
    struct peer_set *set = peer->set;
    set_enter(set);
    peer_close_streams(peer, true);
    sending_close(peer);
    loop_timer_close(set->options.loop, peer->dial_timer);
    *(peer->previous == NULL ? &set->peers : &peer->previous->next) = peer->next;
    if (peer->next != NULL) {
        peer->next->previous = peer->previous;
    }
    peer->next = set->dead_peers;
    set->dead_peers = peer;
    set_leave(set);
}

void peer_ask_founding(struct peer *peer, const struct frame_founding_question *question)
{
    struct peer_set *set = peer->set;
    CHECK(!set->joined);
    struct frame frame = {.kind = FRAME_FOUNDING_QUESTION, .founding_question = *question};
    set_enter(set);
    buffer_clear(&peer->question);
    frame_encode(&frame, &peer->question);
    peer_dial(peer);
    set_leave(set);
}

/* ---- looking in ---- */

const char *peer_name(const struct peer *peer)
{
    return peer->name;
}

void *peer_data(const struct peer *peer)
{
    return peer->data;
}

bool peer_is_up(const struct peer *peer)
{
    return peer->outbound != NULL && !peer->outbound->founding && peer->outbound->state == STREAM_UP;
}

bool peer_is_inbound_up(const struct peer *peer)
{
    return peer->inbound != NULL;
}
