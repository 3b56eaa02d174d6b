/* From peer_send to the network.
 *
 * Frames collect in the member's queue and leave at the end of the loop turn, in one write for each class. AppendEntries
 * with entries, and what waits before them, leave at once: there is one of them in a turn, and the local disk write that
 * is submitted later in the same turn must not come first. The network gets at most LIMIT_PEER_SEND_AHEAD_BYTES more than the kernel has taken; the rest waits
 * here, where a vote can still overtake a snapshot. When the network has sent all it has, it says `drained`, and gets more.
 *
 * A stall: something waits, and the kernel has taken nothing for stall_ms. The kernel's own buffer comes before that; what
 * is in there and isn't acknowledged is TCP_USER_TIMEOUT's business. */
#include "peer/peer_internal.h"

static void stall_restart(struct peer *peer)
{
    uint64_t quarter_ms = peer->set->options.stall_ms / 4;
    loop_timer_start(peer->set->options.loop, peer->stall_timer, quarter_ms == 0 ? 1 : quarter_ms);
}

static uint64_t sending_taken(const struct peer *peer)
{
    const struct network *network = peer->set->options.network;
    return peer->handed - network->unsent(peer->outbound->connection);
}

static void stall_arm(struct peer *peer)
{
    if (!peer->stall_armed) {
        peer->stall_armed = true;
        peer->stall_taken = sending_taken(peer);
        peer->stall_since_ms = loop_mono_ms(peer->set->options.loop);
        stall_restart(peer);
    }
}

/* Looked at four times in stall_ms, so that a send costs no timer: a stall is noticed at most a quarter late. */
static void stall_look(void *arg)
{
    struct peer *peer = arg;
    struct peer_set *set = peer->set;
    set_enter(set);
    peer->stall_armed = false;
    if (peer_is_up(peer) && peer_queued(peer) > 0) {
        uint64_t now_ms = loop_mono_ms(set->options.loop);
        uint64_t taken = sending_taken(peer);
        if (taken != peer->stall_taken) {
            peer->stall_taken = taken;
            peer->stall_since_ms = now_ms;
        }
        if (now_ms - peer->stall_since_ms >= set->options.stall_ms) {
            stream_refuse(peer->outbound, NOTE_STALLED, "it took nothing for %llu ms while %zu bytes waited",
                          (unsigned long long)(now_ms - peer->stall_since_ms), peer_queued(peer));
        } else {
            peer->stall_armed = true;
            stall_restart(peer);
        }
    }
    set_leave(set);
}

static void flush_run(struct post *post)
{
    struct peer *peer = post->data;
    struct peer_set *set = peer->set;
    set_enter(set);
    sending_flush(peer);
    set_leave(set);
}

void sending_init(struct peer *peer)
{
    queue_init(&peer->queue, set_is_keyed(peer->set));
    peer->flush = (struct post){.run = flush_run, .data = peer};
    peer->stall_timer = loop_timer_open(peer->set->options.loop, stall_look, peer);
}

void sending_reset(struct peer *peer)
{
    const struct loop *loop = peer->set->options.loop;
    loop_post_cancel(loop, &peer->flush);
    loop_timer_stop(loop, peer->stall_timer);
    peer->stall_armed = false;
    peer->handed = 0;
    queue_close(&peer->queue);
}

void sending_close(struct peer *peer)
{
    sending_reset(peer);
    loop_timer_close(peer->set->options.loop, peer->stall_timer);
    peer->stall_timer = NULL;
}

void sending_flush(struct peer *peer)
{
    if (!peer_is_up(peer)) {
        return;
    }
    const struct network *network = peer->set->options.network;
    struct stream *stream = peer->outbound;
    size_t unsent = network->unsent(stream->connection);
    while (unsent < LIMIT_PEER_SEND_AHEAD_BYTES) { /* bounded by the queue, which only peer_send fills */
        struct slice next = queue_next(&peer->queue, LIMIT_PEER_SEND_AHEAD_BYTES - unsent, &stream->sending);
        if (next.len == 0) {
            break;
        }
        network->send(stream->connection, next.base, next.len);
        peer->handed += next.len;
        queue_left(&peer->queue, next.len);
        unsent = network->unsent(stream->connection);
    }
}

bool peer_send(struct peer *peer, const struct frame *frame)
{
    CHECK(frame->kind >= FRAME_REQUEST_VOTE && frame->kind < FRAME_KINDS);
    if (!peer_is_up(peer) || !queue_add(&peer->queue, frame)) {
        return false;
    }
    stall_arm(peer);
    if (frame->kind == FRAME_APPEND_ENTRIES && frame->append_entries.n_entries > 0) {
        sending_flush(peer); /* the follower's disk is to start before ours */
    } else {
        loop_post(peer->set->options.loop, &peer->flush);
    }
    return true;
}

size_t peer_queued(const struct peer *peer)
{
    if (!peer_is_up(peer)) {
        return 0;
    }
    return queue_bytes(&peer->queue) + peer->set->options.network->unsent(peer->outbound->connection);
}

void peer_set_flush(struct peer_set *set)
{
    for (struct peer *peer = set->peers; peer != NULL; peer = peer->next) {
        sending_flush(peer);
    }
}
