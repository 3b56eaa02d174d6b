#include "guards_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WATCHES 32u

/* libraft's callbacks get nothing but their request: whose it is stands beside it. */
struct request {
    const void *key;
    struct watch *watch;
    raft_io_append_cb append;
    raft_io_send_cb send;
    raft_io_snapshot_put_cb put;
    raft_io_snapshot_get_cb get;
    struct request *next;
};

static struct cluster *watched;
static struct watch *watches[WATCHES];
static struct request *requests;
static struct watch_frame *frames;
static size_t n_frames;
static char breach[512];
static bool shorten_log;

static void PRINTF_LIKE(1, 2) broken(const char *format, ...)
{
    if (breach[0] == 0) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(breach, sizeof breach, format, arguments);
        va_end(arguments);
    }
}

static struct watch *find(const struct raft *raft)
{
    for (size_t i = 0; i < WATCHES; i++) {
        if (watches[i] != NULL && watches[i]->raft == raft && !watches[i]->closed) {
            return watches[i];
        }
    }
    return NULL;
}

static struct watch *of_io(const struct raft_io *io)
{
    struct watch *watch = find(io->data);
    assert_non_null(watch);
    return watch;
}

static void request_add(struct request one)
{
    struct request *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    *copy = one;
    copy->next = requests;
    requests = copy;
}

static struct request request_take(const void *key)
{
    struct request **link = &requests;
    while (*link != NULL && (*link)->key != key) {
        link = &(*link)->next;
    }
    CHECK(*link != NULL);
    struct request *taken = *link;
    struct request one = *taken;
    *link = taken->next;
    free(taken);
    return one;
}

/* ---- into libraft ---- */

static void enter(struct watch *watch, const char *what)
{
    if (watch->depth > 0) {
        broken("%s: libraft is entered from inside libraft", what);
    }
    if (watch->closed) {
        broken("%s: after the end of raft_close", what);
    }
    watch->depth++;
}

static void enter_open(struct watch *watch, const char *what)
{
    if (watch->closing) {
        broken("%s: after raft_close", what);
    }
    enter(watch, what);
}

static void leave(struct watch *watch)
{
    watch->depth--;
}

static void on_tick(struct raft_io *io)
{
    struct watch *watch = of_io(io);
    if (watch->raft->heartbeat_timeout != watch->replica->options.heartbeat_ms) {
        broken("the heartbeat time-out wasn't put back");
    }
    enter_open(watch, "tick");
    watch->ticks++;
    watch->tick(io);
    leave(watch);
}

static void check_entries(const struct raft_append_entries *append)
{
    const uint8_t *batch = append->n_entries == 0 ? NULL : append->entries[0].batch;
    const uint8_t *at = append->n_entries == 0 ? NULL : append->entries[0].buf.base; /* guard 2 may have cut some off */
    if (at < batch) {
        broken("recv: the first payload isn't in the batch");
    }
    for (unsigned i = 0; i < append->n_entries; i++) {
        if (batch == NULL || append->entries[i].batch != batch || append->entries[i].buf.base != at) {
            broken("recv: the payloads are not in one shared batch");
        }
        at += append->entries[i].buf.len;
    }
}

static void on_recv(struct raft_io *io, struct raft_message *message)
{
    struct watch *watch = of_io(io);
    const struct raft_server *server = guards_server(watch->raft, message->server_id);
    if (server == NULL || message->server_address == NULL || strcmp(server->address, message->server_address) != 0) {
        broken("recv: id and address are not those of the configuration");
    }
    if (message->type == RAFT_APPEND_ENTRIES) {
        check_entries(&message->append_entries);
    }
    enter_open(watch, "recv");
    watch->received++;
    watch->installs_heard += message->type == RAFT_INSTALL_SNAPSHOT;
    watch->recv(io, message);
    leave(watch);
}

static void check_status(struct watch *watch, const char *what, int status)
{
    if (status != 0 && !(status == RAFT_CANCELED && watch->closing)) {
        broken("%s: called back with %d", what, status);
    }
    watch->canceled += status == RAFT_CANCELED;
}

static void on_append_done(struct raft_io_append *append, int status)
{
    struct request one = request_take(append);
    check_status(one.watch, "append", status);
    enter(one.watch, "the callback of append");
    one.append(append, status);
    leave(one.watch);
}

static void on_send_done(struct raft_io_send *send, int status)
{
    struct request one = request_take(send);
    check_status(one.watch, "send", status);
    enter(one.watch, "the callback of send");
    one.send(send, status);
    leave(one.watch);
}

static void on_put_done(struct raft_io_snapshot_put *put, int status)
{
    struct request one = request_take(put);
    check_status(one.watch, "snapshot_put", status);
    one.watch->putting = false;
    enter(one.watch, "the callback of snapshot_put");
    one.put(put, status);
    leave(one.watch);
}

static void on_get_done(struct raft_io_snapshot_get *get, struct raft_snapshot *snapshot, int status)
{
    struct request one = request_take(get);
    if (status != 0 || snapshot == NULL || snapshot->n_bufs != 1) {
        broken("snapshot_get: failed with %d, or not one buffer", status);
    }
    one.watch->gets_closing += one.watch->closing;
    enter(one.watch, "the callback of snapshot_get");
    one.get(get, snapshot, status);
    leave(one.watch);
}

static void on_closed(struct raft_io *io)
{
    struct watch *watch = of_io(io);
    watch->closes++;
    enter(watch, "the callback of close");
    watch->close(io);
    leave(watch);
    watch->closed = true;
}

/* ---- out of libraft ---- */

static void answered(const struct watch *watch, const char *what, int rv)
{
    if (rv != 0 && !watch->replica->dead) {
        broken("%s: answered %d", what, rv);
    }
    if (watch->depth == 0) {
        broken("%s: not called by libraft", what);
    }
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
                   raft_index *start_index, struct raft_entry *entries[], size_t *n)
{
    struct watch *watch = of_io(io);
    int rv = watch->io.load(io, term, vote, snapshot, start_index, entries, n);
    answered(watch, "load", rv);
    if (rv != 0) {
        return rv;
    }
    watch->loaded_entries = *n;
    watch->loaded_snapshots = *snapshot != NULL;
    for (size_t i = 0; i < *n; i++) {
        const struct raft_entry *entry = &(*entries)[i];
        bool shared = i > 0 && entry->buf.base == (*entries)[i - 1].buf.base;
        if (entry->batch != NULL || entry->buf.base == NULL || shared) {
            broken("load: entry %zu has a batch, or no memory of its own", i);
        }
    }
    if (*snapshot == NULL && (*start_index != 1 || *n == 0 || (*entries)[0].type != RAFT_CHANGE)) {
        broken("load: no snapshot, and the log doesn't begin with a RAFT_CHANGE at 1");
    }
    if (*snapshot != NULL && (*snapshot)->n_bufs != 1) {
        broken("load: a snapshot of %u buffers", (*snapshot)->n_bufs);
    }
    return rv;
}

static int io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct watch *watch = of_io(io);
    watch->tick = tick;
    watch->recv = recv;
    int rv = watch->io.start(io, msecs, on_tick, on_recv);
    answered(watch, "start", rv);
    return rv;
}

static int io_set_term(struct raft_io *io, raft_term term)
{
    struct watch *watch = of_io(io);
    int rv = watch->io.set_term(io, term);
    answered(watch, "set_term", rv);
    return rv;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    struct watch *watch = of_io(io);
    int rv = watch->io.set_vote(io, id);
    answered(watch, "set_vote", rv);
    return rv;
}

static int io_send(struct raft_io *io, struct raft_io_send *send, const struct raft_message *message,
                   raft_io_send_cb cb)
{
    struct watch *watch = of_io(io);
    request_add((struct request){.key = send, .watch = watch, .send = cb});
    unsigned n = message->type == RAFT_APPEND_ENTRIES ? message->append_entries.n_entries : 0;
    watch->most_entries = n > watch->most_entries ? n : watch->most_entries;
    int rv = watch->io.send(io, send, message, on_send_done);
    if (rv != 0) {
        (void)request_take(send);
        watch->sends_refused += watch->closing;
        if (!watch->closing) {
            broken("send: failed with %d", rv);
        }
    }
    return rv;
}

static int io_append(struct raft_io *io, struct raft_io_append *append, const struct raft_entry entries[], unsigned n,
                     raft_io_append_cb cb)
{
    struct watch *watch = of_io(io);
    request_add((struct request){.key = append, .watch = watch, .append = cb});
    int rv = watch->io.append(io, append, entries, n, on_append_done);
    answered(watch, "append", rv);
    if (raft_last_index(watch->raft) + 1 != watch->replica->side.next_index && !watch->replica->dead) {
        broken("append: libraft and the log count differently");
    }
    return rv;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    struct watch *watch = of_io(io);
    int rv = watch->io.truncate(io, index);
    answered(watch, "truncate", rv);
    return rv;
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *put,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct watch *watch = of_io(io);
    if (watch->putting) {
        broken("snapshot_put: two at a time");
    }
    if (trailing != 0 && trailing != watch->replica->guards.trailing) {
        broken("snapshot_put: %u entries are to stay, not %u", trailing, watch->replica->guards.trailing);
    }
    watch->putting = true;
    *(trailing == 0 ? &watch->installed : &watch->taken) += 1;
    request_add((struct request){.key = put, .watch = watch, .put = cb});
    int rv = watch->io.snapshot_put(io, trailing, put, snapshot, on_put_done);
    answered(watch, "snapshot_put", rv);
    if (trailing == 0 && watch->replica->side.next_index != snapshot->index + 1 && !watch->replica->dead) {
        broken("snapshot_put: the log isn't empty after an install");
    }
    return rv;
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *get, raft_io_snapshot_get_cb cb)
{
    struct watch *watch = of_io(io);
    request_add((struct request){.key = get, .watch = watch, .get = cb});
    int rv = watch->io.snapshot_get(io, get, on_get_done);
    answered(watch, "snapshot_get", rv);
    return rv;
}

static void io_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct watch *watch = of_io(io);
    watch->close = cb;
    watch->io.close(io, on_closed);
}

static size_t count_batches(const struct batch *batch)
{
    size_t n = 0;
    for (; batch != NULL; batch = batch->next) {
        n++;
    }
    return n;
}

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct replica *replica = fsm->data;
    struct watch *watch = find(&replica->raft);
    size_t before = count_batches(replica->operations.batches) + count_batches(replica->operations.retired);
    watch->next_apply = raft_last_applied(&replica->raft) + 1;
    int rv = watch->fsm.apply(fsm, buf, result);
    answered(watch, "apply", rv);
    if (count_batches(replica->operations.batches) + count_batches(replica->operations.retired) < before) {
        broken("apply: a request's memory is freed inside the step");
    }
    return rv;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct replica *replica = fsm->data;
    struct watch *watch = find(&replica->raft);
    watch->snapshots_asked++;
    int rv = watch->fsm.snapshot(fsm, bufs, n_bufs);
    answered(watch, "snapshot", rv == RAFT_BUSY ? 0 : rv);
    if (rv == 0 && (*n_bufs != 1 || replica->raft.legacy.snapshot_threshold != 1u << 30)) {
        broken("snapshot: %u buffers, threshold %u", *n_bufs, replica->raft.legacy.snapshot_threshold);
    }
    return rv;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct replica *replica = fsm->data;
    struct watch *watch = find(&replica->raft);
    int rv = watch->fsm.restore(fsm, buf);
    answered(watch, "restore", rv);
    watch->restored++;
    return rv;
}

/* ---- calls ---- */

int __real_raft_start(struct raft *r);
int __wrap_raft_start(struct raft *r);
int __real_raft_apply(struct raft *r, struct raft_apply *req, const struct raft_buffer bufs[], unsigned n,
                      raft_apply_cb cb);
int __wrap_raft_apply(struct raft *r, struct raft_apply *req, const struct raft_buffer bufs[], unsigned n,
                      raft_apply_cb cb);
int __wrap_raft_barrier(struct raft *r, struct raft_barrier *req, raft_barrier_cb cb);
int __real_raft_transfer(struct raft *r, struct raft_transfer *req, raft_id id, raft_transfer_cb cb);
int __wrap_raft_transfer(struct raft *r, struct raft_transfer *req, raft_id id, raft_transfer_cb cb);
void __real_raft_close(struct raft *r, void (*cb)(struct raft *r));
void __wrap_raft_close(struct raft *r, void (*cb)(struct raft *r));
bool __real_peer_send(struct peer *peer, const struct frame *frame);
bool __wrap_peer_send(struct peer *peer, const struct frame *frame);

void __real_storage_loaded(const struct storage *storage, struct storage_loaded *loaded);
void __wrap_storage_loaded(const struct storage *storage, struct storage_loaded *loaded);

static struct watch *watch_add(struct raft *raft)
{
    struct watch *watch = calloc(1, sizeof *watch);
    assert_non_null(watch);
    *watch = (struct watch){.raft = raft, .replica = raft->io->impl, .io = *raft->io, .fsm = *raft->fsm};
    for (size_t i = 0; i < WATCHES; i++) {
        if (watches[i] == NULL || watches[i]->closed) {
            free(watches[i]);
            watches[i] = watch;
            return watch;
        }
    }
    fail_msg("too many processes");
    return NULL;
}

int __wrap_raft_start(struct raft *r)
{
    struct watch *watch = watch_add(r);
    r->io->load = io_load;
    r->io->start = io_start;
    r->io->set_term = io_set_term;
    r->io->set_vote = io_set_vote;
    r->io->send = io_send;
    r->io->append = io_append;
    r->io->truncate = io_truncate;
    r->io->snapshot_put = io_snapshot_put;
    r->io->snapshot_get = io_snapshot_get;
    r->io->close = io_close;
    r->fsm->apply = fsm_apply;
    r->fsm->snapshot = fsm_snapshot;
    r->fsm->restore = fsm_restore;
    watch->pre_vote_at_start = r->pre_vote;
    watch->election_ms_at_start = r->election_timeout;
    watch->heartbeat_ms_at_start = r->heartbeat_timeout;
    enter(watch, "raft_start");
    int rv = __real_raft_start(r);
    leave(watch);
    return rv;
}

int __wrap_raft_apply(struct raft *r, struct raft_apply *req, const struct raft_buffer bufs[], unsigned n,
                      raft_apply_cb cb)
{
    struct watch *watch = find(r);
    assert_non_null(watch);
    if (n != 1 || bufs[0].len == 0 || bufs[0].len % 8 != 0 || cb != NULL) {
        broken("raft_apply: %u buffers, %zu bytes, callback %s", n, bufs[0].len, cb == NULL ? "none" : "set");
    }
    if (r->heartbeat_timeout != 0) {
        broken("raft_apply: with heartbeats each %u ms", r->heartbeat_timeout);
    }
    if (r->leader_state.transferee != 0) {
        broken("raft_apply: while leadership is handed over");
    }
    if (watch->next_proposal_fails != 0) {
        int rv = watch->next_proposal_fails;
        watch->next_proposal_fails = 0;
        return rv;
    }
    enter_open(watch, "raft_apply");
    int rv = __real_raft_apply(r, req, bufs, n, cb);
    leave(watch);
    watch->proposals++;
    return rv;
}

int __wrap_raft_barrier(struct raft *r, struct raft_barrier *req, raft_barrier_cb cb)
{
    (void)r;
    (void)req;
    (void)cb;
    broken("raft_barrier is called");
    return RAFT_NOTLEADER;
}

int __wrap_raft_transfer(struct raft *r, struct raft_transfer *req, raft_id id, raft_transfer_cb cb)
{
    struct watch *watch = find(r);
    assert_non_null(watch);
    if (cb != NULL || r->transfer != NULL) {
        broken("raft_transfer: with a callback, or a second one at a time");
    }
    raft_index match = 0;
    const struct raft_server *server = guards_server(r, id);
    if (server == NULL || server->role != RAFT_VOTER || raft_match_index(r, id, &match) != 0 ||
        match != raft_last_index(r)) {
        broken("raft_transfer: to %llu, which is no voter or has %llu of %llu", id, match, raft_last_index(r));
    }
    enter_open(watch, "raft_transfer");
    int rv = __real_raft_transfer(r, req, id, cb);
    leave(watch);
    watch->transfers++;
    watch->transfer_to = id;
    return rv;
}

void __wrap_raft_close(struct raft *r, void (*cb)(struct raft *r))
{
    struct watch *watch = find(r);
    if (watch == NULL) { /* never started */
        __real_raft_close(r, cb);
        return;
    }
    if (watch->at_close != NULL) {
        watch->at_close(watch);
    }
    enter_open(watch, "raft_close");
    watch->closing = true;
    __real_raft_close(r, cb);
    leave(watch);
}

static uint64_t sender_of(const struct member *member)
{
    for (size_t i = 0; i < WATCHES; i++) {
        for (size_t j = 0; watches[i] != NULL && !watches[i]->closed && j < watches[i]->replica->members.n; j++) {
            if (watches[i]->replica->members.list[j] == member) {
                return watches[i]->raft->id;
            }
        }
    }
    return 0;
}

bool __wrap_peer_send(struct peer *peer, const struct frame *frame)
{
    bool queued = __real_peer_send(peer, frame);
    const struct member *member = peer_data(peer);
    if (watched != NULL && n_frames < WATCH_FRAMES) {
        bool append = frame->kind == FRAME_APPEND_ENTRIES;
        frames[n_frames] = (struct watch_frame){
            .at_ns = watched->world.now_ns,
            .from = sender_of(member),
            .to = member->id,
            .kind = frame->kind,
            .n_entries = append ? frame->append_entries.n_entries : 0,
            .queued = queued,
        };
        if (frame->kind == FRAME_REQUEST_VOTE) {
            frames[n_frames].pre_vote = frame->request_vote.pre_vote;
        } else if (frame->kind == FRAME_APPEND_ENTRIES_RESULT) {
            frames[n_frames].result = frame->append_entries_result;
        } else if (frame->kind == FRAME_REQUEST_VOTE_RESULT) {
            frames[n_frames].vote_result = frame->request_vote_result;
        }
        n_frames++;
    }
    return queued;
}

void __wrap_storage_loaded(const struct storage *storage, struct storage_loaded *loaded)
{
    __real_storage_loaded(storage, loaded);
    if (shorten_log && loaded->snapshot.index > loaded->first_index) {
        loaded->n_entries = (size_t)(loaded->snapshot.index - loaded->first_index);
    }
}

/* ---- the test's side ---- */

void watch_shorten_log(bool on)
{
    shorten_log = on;
}

void watch_begin(struct cluster *cluster)
{
    watched = cluster;
    breach[0] = 0;
    n_frames = 0;
    frames = calloc(WATCH_FRAMES, sizeof *frames);
    assert_non_null(frames);
}

void watch_end(void)
{
    for (size_t i = 0; i < WATCHES; i++) {
        free(watches[i]);
        watches[i] = NULL;
    }
    while (requests != NULL) {
        (void)request_take(requests->key);
    }
    free(frames);
    frames = NULL;
    watched = NULL;
    if (breach[0] != 0) {
        fail_msg("%s", breach);
    }
}

struct watch *watch_of(const struct node *node)
{
    struct watch *watch = node->replica == NULL ? NULL : find(&node->replica->raft);
    assert_non_null(watch);
    return watch;
}

size_t watch_pending(const struct watch *watch)
{
    size_t n = 0;
    for (const struct request *request = requests; request != NULL; request = request->next) {
        n += request->watch == watch;
    }
    return n;
}

size_t watch_frames(void)
{
    return n_frames;
}

const struct watch_frame *watch_frame(size_t i)
{
    return &frames[i];
}

const struct watch_frame *watch_find(enum frame_kind kind, uint64_t from, uint64_t at_ns)
{
    for (size_t i = 0; i < n_frames; i++) {
        if (frames[i].kind == kind && frames[i].at_ns >= at_ns && (from == 0 || frames[i].from == from)) {
            return &frames[i];
        }
    }
    return NULL;
}

void watch_propose(struct cluster *cluster, struct node *node, unsigned n)
{
    static unsigned counter;
    for (unsigned i = 0; i < n; i++) {
        struct ask ask;
        char schedule[32];
        (void)snprintf(schedule, sizeof schedule, "watched-%u", ++counter);
        ask_acquire(node, &ask, schedule, "agent", 600000);
        ask_wait(cluster, &ask);
        assert_int_equal(ask.status, OPERATION_APPLIED);
        assert_int_equal(ask.code, OUTCOME_DONE);
    }
}

struct node *watch_node(struct cluster *cluster, uint64_t id)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        if (cluster->nodes[i].replica != NULL && cluster->nodes[i].replica->raft.id == id) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

uint64_t watch_id(const struct node *node)
{
    return node->replica->raft.id;
}

struct member *watch_member(struct node *node, const struct node *other)
{
    struct member *member = member_by_id(node->replica, watch_id(other));
    assert_non_null(member);
    return member;
}

void watch_isolate(struct cluster *cluster, const struct node *node, bool isolated)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        if (&cluster->nodes[i] != node) {
            sim_network_block(&cluster->world, node->sim->index, cluster->nodes[i].sim->index, isolated);
            sim_network_block(&cluster->world, cluster->nodes[i].sim->index, node->sim->index, isolated);
        }
    }
    sim_network_retry(&cluster->world);
}
