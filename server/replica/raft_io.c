/* raft_io: libraft's disk and network, over storage and peer.
 *
 * An append becomes a storage_append at the index that libraft truncated to; a message becomes a frame on the stream to
 * its member, or is dropped, for libraft repeats what matters. libraft is never called back from inside one of these
 * functions: completed sends and loaded snapshots wait in `callbacks` for the next turn. The contract that each function
 * keeps is the table in LIBRAFT.md. */
#include <stdlib.h>
#include <string.h>

#include "replica/inside.h"

/* libraft fills in versions from the size of what came over its own wire. */
#define VERSION_REQUEST_VOTE          2
#define VERSION_REQUEST_VOTE_RESULT   2
#define VERSION_APPEND_ENTRIES        0
#define VERSION_APPEND_ENTRIES_RESULT 2
#define VERSION_TIMEOUT_NOW           0

struct io_callback {
    struct raft_io_send *send; /* NULL: a snapshot_get */
    raft_io_send_cb send_done;
    struct raft_io_snapshot_get *get;
    raft_io_snapshot_get_cb get_done;
};

struct io_append {
    struct storage_append storage;
    struct replica *replica;
    struct raft_io_append *request;
    raft_io_append_cb done;
    struct storage_entry *entries;
    struct io_append *next;
};

static void callback_add(struct replica *replica, const struct io_callback *callback)
{
    struct raft_side *side = &replica->side;
    if (side->n_callbacks == side->capacity) {
        side->capacity = side->capacity == 0 ? 64 : side->capacity * 2;
        side->callbacks = realloc(side->callbacks, side->capacity * sizeof side->callbacks[0]);
        CHECK(side->callbacks != NULL);
    }
    side->callbacks[side->n_callbacks++] = *callback;
    replica_want_turn(replica);
}

/* ---- reading the disk ---- */

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

/* A configuration in libraft's memory; empty when it isn't one. */
static bool configuration_of(struct slice bytes, struct raft_configuration *configuration)
{
    raft_configuration_init(configuration);
    if (!guards_configuration_valid(bytes.base, bytes.len)) {
        return false;
    }
    struct raft_buffer buffer = {.base = (void *)bytes.base, .len = bytes.len};
    return raft_configuration_decode(&buffer, configuration) == 0;
}

struct raft_buffer snapshot_handle_new(uint64_t index, uint64_t term)
{
    struct snapshot_handle *handle = raft_malloc(sizeof *handle);
    CHECK(handle != NULL);
    *handle = (struct snapshot_handle){.index = index, .term = term};
    return (struct raft_buffer){.base = handle, .len = sizeof *handle};
}

static struct raft_snapshot *snapshot_new(const struct storage_snapshot_info *info)
{
    struct raft_snapshot *snapshot = raft_malloc(sizeof *snapshot);
    CHECK(snapshot != NULL);
    *snapshot = (struct raft_snapshot){
        .index = info->index,
        .term = info->term,
        .configuration_index = info->configuration_index,
        .bufs = raft_malloc(sizeof *snapshot->bufs),
        .n_bufs = 1,
    };
    CHECK(snapshot->bufs != NULL);
    snapshot->bufs[0] = snapshot_handle_new(info->index, info->term);
    if (!configuration_of(info->configuration, &snapshot->configuration)) {
        raft_free(snapshot->bufs[0].base);
        raft_free(snapshot->bufs);
        raft_free(snapshot);
        return NULL;
    }
    return snapshot;
}

static struct raft_entry *entries_new(const struct storage_loaded *loaded)
{
    if (loaded->n_entries == 0) {
        return NULL;
    }
    struct raft_entry *entries = raft_calloc(loaded->n_entries, sizeof *entries);
    CHECK(entries != NULL);
    for (size_t i = 0; i < loaded->n_entries; i++) {
        const struct storage_entry *from = &loaded->entries[i];
        entries[i].term = from->term;
        entries[i].type = from->type;
        entries[i].buf.len = from->data.len;
        entries[i].buf.base = raft_malloc(from->data.len == 0 ? 1 : from->data.len);
        CHECK(entries[i].buf.base != NULL);
        if (from->data.len > 0) {
            memcpy(entries[i].buf.base, from->data.base, from->data.len);
        }
    }
    return entries;
}

static void entries_free(struct raft_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        raft_free(entries[i].buf.base);
    }
    raft_free(entries);
}

/* Storage has verified the bytes; this is about what libraft asserts of them and doesn't check. */
static const char *loaded_complaint(const struct storage_loaded *loaded)
{
    uint64_t term = 1;
    for (size_t i = 0; i < loaded->n_entries; i++) {
        const struct storage_entry *entry = &loaded->entries[i];
        if (entry->term < term || entry->term > loaded->term) {
            return "the terms of the log's entries are out of order";
        }
        term = entry->term;
        if (entry->type < RAFT_COMMAND || entry->type > RAFT_CHANGE || entry->data.len == 0) {
            return "the log holds an entry of no known type";
        }
        if (entry->type == RAFT_CHANGE && !guards_configuration_valid(entry->data.base, entry->data.len)) {
            return "the log holds a list of members that can't be read";
        }
    }
    if (loaded->snapshot.index == 0) {
        bool begins = loaded->n_entries > 0 && loaded->first_index == 1 && loaded->entries[0].type == RAFT_CHANGE;
        return begins ? NULL : "there is no snapshot, and the log doesn't begin with the list of members";
    }
    if (loaded->first_index == 0 || loaded->first_index > loaded->snapshot.index + 1) {
        return "entries between the snapshot and the log are missing";
    }
    if (loaded->snapshot.term > loaded->term) {
        return "the snapshot is of a term that the vote file doesn't know";
    }
    return NULL;
}

/* An entry of a newer build ends the process when it is applied, be it a minute later: better now, and not as a voter. */
static bool loaded_is_known(struct replica *replica, const struct storage_loaded *loaded)
{
    struct error_text text = {{0}};
    for (size_t i = 0; i < loaded->n_entries; i++) {
        const struct storage_entry *entry = &loaded->entries[i];
        if (entry->type == RAFT_COMMAND && entry_check(entry->data, &text) == ERROR_VERSION) {
            raft_index index = loaded->first_index + i;
            replica_fatal(replica, REPLICA_EXIT_DATA, "entry %llu of the log can't be understood: %s", index,
                          text.text);
            return false;
        }
    }
    return true;
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
                   raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
    struct replica *replica = io->impl;
    struct storage_loaded loaded;
    storage_loaded(replica->options.storage, &loaded);
    if (!loaded_is_known(replica, &loaded)) {
        return RAFT_INVALID;
    }
    const char *complaint = loaded_complaint(&loaded);
    *snapshot = complaint == NULL && loaded.snapshot.index > 0 ? snapshot_new(&loaded.snapshot) : NULL;
    if (complaint == NULL && loaded.snapshot.index > 0 && *snapshot == NULL) {
        complaint = "the snapshot's list of members can't be read";
    }
    if (complaint != NULL) {
        replica_fatal(replica, REPLICA_EXIT_DATA, "%s: the data directory is damaged", complaint);
        return RAFT_CORRUPT;
    }
    struct guards_log log = {
        .snapshot_index = loaded.snapshot.index,
        .snapshot_term = loaded.snapshot.term,
        .snapshot_configuration = *snapshot == NULL ? NULL : &(*snapshot)->configuration,
        .start_index = loaded.first_index,
        .entries = entries_new(&loaded),
        .n_entries = loaded.n_entries,
    };
    *entries = (struct raft_entry *)log.entries;
    if (guards_load(&replica->guards, &log)) {
        log_warning(replica->options.log, "log dropped, it contradicts the snapshot",
                    LOG_U64("snapshot_index", loaded.snapshot.index), LOG_U64("first_index", loaded.first_index),
                    LOG_U64("entries", loaded.n_entries));
        entries_free(*entries, loaded.n_entries);
        *entries = NULL;
    }
    *n_entries = log.n_entries;
    *start_index = log.start_index;
    *term = loaded.term;
    *voted_for = loaded.vote;
    replica->side.next_index = log.start_index + log.n_entries;
    if (guards_sole_voter(&replica->guards, replica->raft.id, &log)) {
        storage_set_term(replica->options.storage, loaded.term + 1);
        *term = loaded.term + 1;
        *voted_for = 0;
    }
    storage_loaded_release(replica->options.storage);
    return 0;
}

/* ---- writing the disk ---- */

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *configuration)
{
    (void)io;
    (void)configuration;
    return RAFT_INVALID; /* storage_bootstrap does it, before libraft is started */
}

static int io_recover(struct raft_io *io, const struct raft_configuration *configuration)
{
    (void)io;
    (void)configuration;
    return RAFT_INVALID;
}

static int io_set_term(struct raft_io *io, raft_term term)
{
    struct replica *replica = io->impl;
    storage_set_term(replica->options.storage, term);
    return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    struct replica *replica = io->impl;
    storage_set_vote(replica->options.storage, id);
    return 0;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    struct replica *replica = io->impl;
    if (index > replica->side.next_index) {
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "the consensus library left a gap in the log at %llu", index);
        return 0;
    }
    replica->side.next_index = index; /* the append that follows is the truncation */
    return 0;
}

static void append_unlink(struct io_append *append)
{
    struct io_append **link = &append->replica->side.appends;
    while (*link != append) {
        link = &(*link)->next;
    }
    *link = append->next;
}

static void append_done(struct storage_append *storage, enum error error)
{
    struct io_append *append = storage->data;
    struct replica *replica = append->replica;
    if (replica->dead) {
        return; /* freed by replica_crash */
    }
    append_unlink(append);
    bool canceled = error != ERROR_NONE || replica->stage == STAGE_ENDING;
    append->done(append->request, canceled ? RAFT_CANCELED : 0);
    free(append->entries);
    free(append);
    replica_after_step(replica);
}

static int io_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
                     raft_io_append_cb cb)
{
    struct replica *replica = io->impl;
    struct raft_side *side = &replica->side;
    struct io_append *append = calloc(1, sizeof *append);
    CHECK(append != NULL);
    append->replica = replica;
    append->request = req;
    append->done = cb;
    append->storage.done = append_done;
    append->storage.data = append;
    append->next = side->appends;
    side->appends = append;
    raft_index first = side->next_index;
    side->next_index += n;
    if (replica->dead || !guards_check_append(&replica->guards, side->next_index)) {
        return 0; /* the node is dead, and `entries` may be nothing */
    }
    append->entries = calloc(n, sizeof *append->entries);
    CHECK(append->entries != NULL);
    for (unsigned i = 0; i < n; i++) {
        append->entries[i] = (struct storage_entry){
            .term = entries[i].term,
            .type = (uint8_t)entries[i].type,
            .data = {.base = entries[i].buf.base, .len = entries[i].buf.len},
        };
    }
    storage_append(replica->options.storage, &append->storage, first, append->entries, n);
    return 0;
}

/* ---- sending ---- */

static void frame_of_append(const struct raft_append_entries *append, struct frame_log_entry *entries,
                            struct frame *frame)
{
    for (unsigned i = 0; i < append->n_entries; i++) {
        const struct raft_entry *entry = &append->entries[i];
        entries[i] = (struct frame_log_entry){
            .term = entry->term,
            .type = (uint32_t)entry->type,
            .data = {.base = entry->buf.base, .len = entry->buf.len},
        };
    }
    frame->kind = FRAME_APPEND_ENTRIES;
    frame->append_entries = (struct frame_append_entries){
        .term = append->term,
        .prev_log_index = append->prev_log_index,
        .prev_log_term = append->prev_log_term,
        .leader_commit = append->leader_commit,
        .entries = entries,
        .n_entries = append->n_entries,
    };
}

static void frame_of_small(const struct raft_message *message, struct frame *frame)
{
    const struct raft_request_vote *vote = &message->request_vote;
    const struct raft_request_vote_result *vote_result = &message->request_vote_result;
    const struct raft_append_entries_result *append_result = &message->append_entries_result;
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        frame->kind = FRAME_REQUEST_VOTE;
        frame->request_vote = (struct frame_request_vote){
            .term = vote->term,
            .candidate_id = vote->candidate_id,
            .last_log_index = vote->last_log_index,
            .last_log_term = vote->last_log_term,
            .disrupt_leader = vote->disrupt_leader,
            .pre_vote = vote->pre_vote,
        };
        return;
    case RAFT_REQUEST_VOTE_RESULT:
        frame->kind = FRAME_REQUEST_VOTE_RESULT;
        frame->request_vote_result = (struct frame_request_vote_result){
            .term = vote_result->term,
            .vote_granted = vote_result->vote_granted,
            .pre_vote = vote_result->pre_vote,
            .features = vote_result->features,
            .capacity = vote_result->capacity,
        };
        return;
    case RAFT_APPEND_ENTRIES_RESULT:
        frame->kind = FRAME_APPEND_ENTRIES_RESULT;
        frame->append_entries_result = (struct frame_append_entries_result){
            .term = append_result->term,
            .rejected = append_result->rejected,
            .last_log_index = append_result->last_log_index,
            .features = append_result->features,
            .capacity = append_result->capacity,
        };
        return;
    case RAFT_TIMEOUT_NOW:
        frame->kind = FRAME_TIMEOUT_NOW;
        frame->timeout_now = (struct frame_timeout_now){
            .term = message->timeout_now.term,
            .last_log_index = message->timeout_now.last_log_index,
            .last_log_term = message->timeout_now.last_log_term,
        };
        return;
    default:
        CHECK(!"a message of no known type");
    }
}

static void send_message(struct replica *replica, struct raft_message *message)
{
    struct member *member = member_by_id(replica, message->server_id);
    if (member == NULL || member->peer == NULL || !guards_send(&replica->guards, message)) {
        return;
    }
    struct frame frame = {0};
    struct frame_log_entry entries[LIMIT_APPEND_ENTRIES];
    switch (message->type) {
    case RAFT_INSTALL_SNAPSHOT:
        transfer_send(replica, member, &message->install_snapshot);
        return;
    case RAFT_APPEND_ENTRIES:
        CHECK(message->append_entries.n_entries <= LIMIT_APPEND_ENTRIES);
        frame_of_append(&message->append_entries, entries, &frame);
        break;
    case RAFT_REQUEST_VOTE:
        if (replica->side.silent) {
            return;
        }
        frame_of_small(message, &frame);
        break;
    default:
        frame_of_small(message, &frame);
        break;
    }
    if (!peer_send(member->peer, &frame)) {
        return; /* no stream, or its queue is full: libraft sends it again */
    }
}

static int io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message, raft_io_send_cb cb)
{
    struct replica *replica = io->impl;
    if (replica->side.refuse_send) {
        return RAFT_CANCELED;
    }
    callback_add(replica, &(struct io_callback){.send = req, .send_done = cb});
    if (!replica->dead) {
        struct raft_message copy = *message;
        send_message(replica, &copy);
    }
    return 0;
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
    callback_add(io->impl, &(struct io_callback){.get = req, .get_done = cb});
    return 0;
}

static void get_answer(struct replica *replica, const struct io_callback *callback)
{
    struct storage_snapshot_info info = {0};
    struct raft_snapshot *snapshot = NULL;
    if (!replica->side.refuse_send) {
        storage_snapshot_newest(replica->options.storage, &info);
        snapshot = snapshot_new(&info);
        CHECK(snapshot != NULL); /* it was valid when it was published */
        replica->guards.snapshot_index = info.index;
        replica->guards.snapshot_term = info.term;
    } else {
        /* libraft's error path frees what it hasn't set: it gets an empty snapshot, and the send that follows fails. */
        snapshot = raft_calloc(1, sizeof *snapshot);
        CHECK(snapshot != NULL);
        snapshot->bufs = raft_calloc(1, sizeof *snapshot->bufs);
        CHECK(snapshot->bufs != NULL);
        snapshot->bufs[0] = snapshot_handle_new(0, 0);
        snapshot->index = UINT64_MAX;
        snapshot->n_bufs = 1;
    }
    callback->get_done(callback->get, snapshot, 0);
}

void raft_side_run_callbacks(struct replica *replica)
{
    struct raft_side *side = &replica->side;
    size_t n = side->n_callbacks;
    struct io_callback *callbacks = side->callbacks;
    side->callbacks = NULL; /* more may be added meanwhile */
    side->n_callbacks = side->capacity = 0;
    for (size_t i = 0; i < n; i++) {
        if (callbacks[i].send != NULL) {
            callbacks[i].send_done(callbacks[i].send, side->refuse_send ? RAFT_CANCELED : 0);
        } else {
            get_answer(replica, &callbacks[i]);
        }
    }
    if (side->callbacks == NULL) {
        side->callbacks = callbacks;
        side->capacity = n;
    } else {
        free(callbacks);
    }
}

/* ---- receiving ---- */

static void receive_append_entries(const struct frame_append_entries *frame, struct raft_append_entries *append)
{
    *append = (struct raft_append_entries){
        .version = VERSION_APPEND_ENTRIES,
        .term = frame->term,
        .prev_log_index = frame->prev_log_index,
        .prev_log_term = frame->prev_log_term,
        .leader_commit = frame->leader_commit,
    };
    size_t bytes = 1;
    for (size_t i = 0; i < frame->n_entries; i++) {
        bytes += frame->entries[i].data.len;
    }
    if (frame->n_entries == 0) {
        return;
    }
    uint8_t *batch = raft_malloc(bytes);
    append->entries = raft_calloc(frame->n_entries, sizeof *append->entries);
    append->n_entries = (unsigned)frame->n_entries;
    CHECK(batch != NULL && append->entries != NULL);
    uint8_t *at = batch;
    for (size_t i = 0; i < frame->n_entries; i++) {
        const struct frame_log_entry *from = &frame->entries[i];
        append->entries[i] = (struct raft_entry){
            .term = from->term,
            .type = (enum raft_entry_type)from->type,
            .buf = {.base = at, .len = from->data.len},
            .batch = batch,
        };
        if (from->data.len > 0) {
            memcpy(at, from->data.base, from->data.len);
        }
        at += from->data.len;
    }
}

static void receive_votes(const struct member *member, const struct frame *frame, struct raft_message *message)
{
    if (frame->kind == FRAME_REQUEST_VOTE) {
        message->type = RAFT_REQUEST_VOTE;
        message->request_vote = (struct raft_request_vote){
            .version = VERSION_REQUEST_VOTE,
            .term = frame->request_vote.term,
            .candidate_id = member->id, /* nobody asks for another */
            .last_log_index = frame->request_vote.last_log_index,
            .last_log_term = frame->request_vote.last_log_term,
            .disrupt_leader = frame->request_vote.disrupt_leader,
            .pre_vote = frame->request_vote.pre_vote,
        };
        return;
    }
    message->type = RAFT_REQUEST_VOTE_RESULT;
    message->request_vote_result = (struct raft_request_vote_result){
        .version = VERSION_REQUEST_VOTE_RESULT,
        .term = frame->request_vote_result.term,
        .vote_granted = frame->request_vote_result.vote_granted,
        .pre_vote = frame->request_vote_result.pre_vote,
        .features = (unsigned short)frame->request_vote_result.features,
        .capacity = (unsigned short)frame->request_vote_result.capacity,
    };
}

void raft_side_receive(struct replica *replica, struct member *member, const struct frame *frame)
{
    const struct raft_server *server = guards_server(&replica->raft, member->id);
    if (!replica_running(replica) || server == NULL) {
        return;
    }
    struct raft_message message = {.server_id = member->id, .server_address = server->address};
    switch (frame->kind) {
    case FRAME_REQUEST_VOTE:
    case FRAME_REQUEST_VOTE_RESULT:
        receive_votes(member, frame, &message);
        break;
    case FRAME_APPEND_ENTRIES:
        message.type = RAFT_APPEND_ENTRIES;
        receive_append_entries(&frame->append_entries, &message.append_entries);
        break;
    case FRAME_APPEND_ENTRIES_RESULT:
        message.type = RAFT_APPEND_ENTRIES_RESULT;
        message.append_entries_result = (struct raft_append_entries_result){
            .version = VERSION_APPEND_ENTRIES_RESULT,
            .term = frame->append_entries_result.term,
            .rejected = frame->append_entries_result.rejected,
            .last_log_index = frame->append_entries_result.last_log_index,
            .features = (unsigned short)frame->append_entries_result.features,
            .capacity = (unsigned short)frame->append_entries_result.capacity,
        };
        break;
    case FRAME_TIMEOUT_NOW:
        message.type = RAFT_TIMEOUT_NOW;
        message.timeout_now = (struct raft_timeout_now){
            .version = VERSION_TIMEOUT_NOW,
            .term = frame->timeout_now.term,
            .last_log_index = frame->timeout_now.last_log_index,
            .last_log_term = frame->timeout_now.last_log_term,
        };
        break;
    default:
        return;
    }
    guards_receive(&replica->guards, &message);
    replica_after_step(replica);
}

/* ---- life ---- */

static int io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct replica *replica = io->impl;
    (void)msecs;
    replica->side.tick = tick;
    replica->side.recv = recv;
    return 0;
}

static void io_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct replica *replica = io->impl;
    replica->side.close = cb;
    replica->side.refuse_send = true;
    replica_want_turn(replica);
}

static raft_time io_time(struct raft_io *io)
{
    struct replica *replica = io->impl;
    return loop_mono_ms(replica->options.loop);
}

static int io_random(struct raft_io *io, int min, int max)
{
    struct replica *replica = io->impl;
    uint64_t range = (uint64_t)((int64_t)max - min) + 1;
    return (int)(min + (int64_t)loop_random_below(replica->options.loop, range));
}

void raft_side_init(struct replica *replica)
{
    replica->io = (struct raft_io){
        .version = 2,
        .capacity = 0xffff, /* its own disk-space logic stays off */
        .impl = replica,
        .init = io_init,
        .close = io_close,
        .load = io_load,
        .start = io_start,
        .bootstrap = io_bootstrap,
        .recover = io_recover,
        .set_term = io_set_term,
        .set_vote = io_set_vote,
        .send = io_send,
        .append = io_append,
        .truncate = io_truncate,
        .snapshot_put = snapshots_put,
        .snapshot_get = io_snapshot_get,
        .time = io_time,
        .random = io_random,
    };
}

bool raft_side_idle(const struct replica *replica)
{
    return replica->side.n_callbacks == 0 && replica->side.appends == NULL && replica->snapshots.put == NULL;
}

void raft_side_crash(struct replica *replica)
{
    struct raft_side *side = &replica->side;
    if (replica->raft_open) {
        if (side->close == NULL) {
            raft_close(&replica->raft, NULL);
        }
        raft_side_run_callbacks(replica);
        while (side->appends != NULL) {
            struct io_append *append = side->appends;
            side->appends = append->next;
            append->done(append->request, RAFT_CANCELED);
            free(append->entries);
            free(append);
        }
        snapshots_crash(replica);
        side->close(&replica->io);
        replica->raft_open = false;
    }
}

void raft_side_free(struct replica *replica)
{
    free(replica->side.callbacks);
    replica->side.callbacks = NULL;
    replica->side.n_callbacks = replica->side.capacity = 0;
}
