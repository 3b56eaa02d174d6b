/* libraft's disk, network and state machine, and a rig's life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/slice.h"
#include "guards_rig_inside.h"

/* ---- what the guards ask ---- */

static void world_deliver(void *arg, struct raft_message *message)
{
    struct rig *rig = arg;
    rig->recv(&rig->io, message);
}

static bool world_transfer_recent(void *arg, raft_id id)
{
    const struct rig *rig = arg;
    return rig->transfer_to != 0 && (id == 0 || id == rig->transfer_to);
}

static bool world_reachable(void *arg, raft_id id)
{
    const struct rig *rig = arg;
    return id != rig->unreachable;
}

static uint64_t world_log_bytes(void *arg)
{
    const struct rig *rig = arg;
    return rig->log_bytes;
}

static uint64_t world_now_ms(void *arg)
{
    const struct rig *rig = arg;
    return rig->now_ms;
}

static void world_fatal(void *arg, const char *sentence)
{
    struct rig *rig = arg;
    rig->fatal = sentence;
}

/* ---- raft_io: life ---- */

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

struct raft_buffer rig_state_buffer(struct rig_state state)
{
    struct raft_buffer buffer = {.base = raft_malloc(sizeof state), .len = sizeof state};
    assert_non_null(buffer.base);
    memcpy(buffer.base, &state, sizeof state);
    return buffer;
}

struct raft_snapshot *rig_snapshot_new(const struct rig_snapshot *from)
{
    struct raft_snapshot *snapshot = raft_calloc(1, sizeof *snapshot);
    assert_non_null(snapshot);
    struct raft_buffer buffer = {.base = from->configuration.bytes, .len = from->configuration.len};
    snapshot->index = from->index;
    snapshot->term = from->term;
    snapshot->configuration_index = from->configuration_index;
    assert_int_equal(raft_configuration_decode(&buffer, &snapshot->configuration), 0);
    snapshot->bufs = raft_malloc(sizeof *snapshot->bufs);
    assert_non_null(snapshot->bufs);
    snapshot->bufs[0] = rig_state_buffer(from->state);
    snapshot->n_bufs = 1;
    return snapshot;
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
                   raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
    struct rig *rig = io->impl;
    struct rig_disk *disk = &rig->disk;
    *snapshot = disk->snapshot.index == 0 ? NULL : rig_snapshot_new(&disk->snapshot);
    struct raft_entry *loaded = disk->n == 0 ? NULL : raft_calloc(disk->n, sizeof *loaded);
    for (size_t i = 0; i < disk->n; i++) {
        const struct rig_entry *entry = &disk->entries[i];
        loaded[i] = (struct raft_entry){.term = entry->term, .type = entry->type};
        loaded[i].buf = (struct raft_buffer){.base = raft_malloc(entry->len), .len = entry->len};
        memcpy(loaded[i].buf.base, entry->bytes, entry->len);
    }
    struct guards_log log = {
        .snapshot_index = disk->snapshot.index,
        .snapshot_term = disk->snapshot.term,
        .snapshot_configuration = *snapshot == NULL ? NULL : &(*snapshot)->configuration,
        .start_index = disk->first,
        .entries = loaded,
        .n_entries = disk->n,
    };
    if (guards_load(&rig->guards, &log)) {
        for (size_t i = 0; i < disk->n; i++) {
            raft_free(loaded[i].buf.base);
        }
        raft_free(loaded);
        loaded = NULL;
        rig_disk_truncate(disk, 0);
        disk->first = log.start_index;
    }
    if (guards_sole_voter(&rig->guards, rig->id, &log)) {
        disk->term++;
        disk->vote = 0;
    }
    *entries = loaded;
    *n_entries = log.n_entries;
    *start_index = log.start_index;
    *term = disk->term;
    *vote = disk->vote;
    rig->next_index = log.start_index + log.n_entries;
    return 0;
}

static int io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct rig *rig = io->impl;
    (void)msecs;
    rig->tick = tick;
    rig->recv = recv;
    return 0;
}

static void io_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct rig *rig = io->impl;
    rig->close = cb;
}

static raft_time io_time(struct raft_io *io)
{
    const struct rig *rig = io->impl;
    return rig->now_ms;
}

static int io_random(struct raft_io *io, int min, int max)
{
    struct rig *rig = io->impl;
    rig->random = rig->random * 1103515245u + 12345u;
    return min + (int)((rig->random >> 16) % ((unsigned)(max - min) / 2u + 1u));
}

/* ---- raft_io: the disk ---- */

static int io_set_term(struct raft_io *io, raft_term term)
{
    struct rig *rig = io->impl;
    rig->disk.vote = term == rig->disk.term ? rig->disk.vote : 0;
    rig->disk.term = term;
    return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    struct rig *rig = io->impl;
    rig->disk.vote = id;
    return 0;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    struct rig *rig = io->impl;
    rig->next_index = index;
    return 0;
}

static int io_append(struct raft_io *io, struct raft_io_append *request, const struct raft_entry entries[], unsigned n,
                     raft_io_append_cb cb)
{
    struct rig *rig = io->impl;
    struct rig_append *append = calloc(1, sizeof *append);
    assert_true(append != NULL && n <= RIG_ENTRIES && rig->n_appends < RIG_REQUESTS);
    append->request = request;
    append->done = cb;
    append->first = rig->next_index + rig->skew;
    append->n = n;
    for (unsigned i = 0; i < n; i++) {
        append->entries[i] = rig_entry_copy(&entries[i]);
    }
    rig->appends[rig->n_appends++] = append;
    rig->next_index += n + rig->skew;
    (void)guards_check_append(&rig->guards, rig->next_index);
    return 0;
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *request,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct rig *rig = io->impl;
    struct raft_buffer buffer;
    assert_false(rig->has_put);
    assert_int_equal(raft_configuration_encode(&snapshot->configuration, &buffer), 0);
    struct raft_entry configuration = {.type = RAFT_CHANGE, .buf = buffer};
    rig->has_put = true;
    rig->puts_total++;
    rig->put_trailing = trailing;
    rig->put_request = request;
    rig->put_done = cb;
    free(rig->put.configuration.bytes);
    rig->put = (struct rig_snapshot){
        .index = snapshot->index,
        .term = snapshot->term,
        .configuration_index = snapshot->configuration_index,
        .configuration = rig_entry_copy(&configuration),
        .state = *(const struct rig_state *)snapshot->bufs[0].base,
    };
    raft_free(buffer.base);
    if (trailing == 0) {
        rig->next_index = snapshot->index + 1;
    }
    return 0;
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *request, raft_io_snapshot_get_cb cb)
{
    struct rig *rig = io->impl;
    assert_true(rig->n_gets < RIG_REQUESTS);
    rig->gets[rig->n_gets] = request;
    rig->get_done[rig->n_gets++] = cb;
    rig->gets_total++;
    return 0;
}

/* ---- raft_io: the network ---- */

void rig_copy_entries(struct raft_append_entries *append)
{
    const struct raft_entry *from = append->entries;
    const unsigned n = append->n_entries;
    size_t bytes = 1;
    for (unsigned i = 0; i < n; i++) {
        bytes += from[i].buf.len;
    }
    append->entries = NULL;
    if (n == 0) {
        return;
    }
    uint8_t *at = raft_malloc(bytes);
    void *batch = at;
    append->entries = raft_calloc(n, sizeof *append->entries);
    CHECK(at != NULL && append->entries != NULL);
    for (unsigned i = 0; i < n; i++) {
        append->entries[i] = from[i];
        append->entries[i].buf.base = at;
        append->entries[i].batch = batch;
        memcpy(at, from[i].buf.base, from[i].buf.len);
        at += from[i].buf.len;
    }
}

static void message_copy_snapshot(struct raft_install_snapshot *install)
{
    struct raft_buffer encoded;
    assert_int_equal(raft_configuration_encode(&install->conf, &encoded), 0);
    assert_int_equal(raft_configuration_decode(&encoded, &install->conf), 0);
    raft_free(encoded.base);
    install->data = rig_state_buffer(*(const struct rig_state *)install->data.base);
}

static int io_send(struct raft_io *io, struct raft_io_send *request, const struct raft_message *message,
                   raft_io_send_cb cb)
{
    struct rig *rig = io->impl;
    if (rig->close != NULL) {
        return RAFT_CANCELED;
    }
    assert_true(rig->n_sends < RIG_LETTERS && rig->n_letters < RIG_LETTERS);
    rig->sends[rig->n_sends] = request;
    rig->send_done[rig->n_sends++] = cb;
    struct raft_message copy = *message;
    if (!guards_send(&rig->guards, &copy)) {
        return 0;
    }
    if (copy.type == RAFT_APPEND_ENTRIES) {
        rig_copy_entries(&copy.append_entries);
    } else if (copy.type == RAFT_INSTALL_SNAPSHOT) {
        message_copy_snapshot(&copy.install_snapshot);
    }
    rig->letters[rig->n_letters++] = (struct rig_letter){.to = copy.server_id, .message = copy};
    return 0;
}

/* ---- the state machine ---- */

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct rig *rig = fsm->data;
    uint64_t value = bytes_get_u64(buf->base);
    *result = NULL;
    rig->state.index = raft_last_applied(&rig->raft) + 1;
    rig->state.sum = rig->state.sum * 31 + value;
    assert_true(rig->state.index < RIG_ENTRIES);
    rig->values[rig->state.index] = value;
    return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct rig *rig = fsm->data;
    if (guards_snapshot_busy(&rig->guards) != NULL) {
        return RAFT_BUSY;
    }
    raft_set_snapshot_threshold(&rig->raft, RIG_NEVER);
    *bufs = raft_malloc(sizeof **bufs);
    assert_non_null(*bufs);
    (*bufs)[0] = rig_state_buffer(rig->state);
    *n_bufs = 1;
    return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct rig *rig = fsm->data;
    memcpy(&rig->state, buf->base, sizeof rig->state);
    raft_free(buf->base);
    return 0;
}

/* ---- life ---- */

static void rig_configure(struct rig *rig)
{
    static const struct guards_world world = {
        .deliver = world_deliver,
        .transfer_recent = world_transfer_recent,
        .reachable = world_reachable,
        .log_bytes = world_log_bytes,
        .now_ms = world_now_ms,
        .fatal = world_fatal,
    };
    guards_init(&rig->guards, &rig->raft, &world, rig);
    rig->guards.off = rig->off;
    rig->guards.election_timeout_ms = RIG_ELECTION_MS;
    rig->guards.trailing = rig->trailing;
    raft_set_pre_vote(&rig->raft, true);
    raft_set_election_timeout(&rig->raft, RIG_ELECTION_MS);
    raft_set_heartbeat_timeout(&rig->raft, 50);
    raft_set_install_snapshot_timeout(&rig->raft, 5000);
    raft_set_snapshot_trailing(&rig->raft, rig->trailing);
    raft_set_snapshot_threshold(&rig->raft, RIG_NEVER);
    raft_set_capacity_threshold(&rig->raft, 0);
}

/* After every entry into libraft. */
void rig_settle(struct rig *rig)
{
    for (unsigned i = 0; i < rig->n_sends; i++) {
        rig->send_done[i](rig->sends[i], 0);
    }
    rig->n_sends = 0;
    (void)guards_release_held(&rig->guards);
}

void rig_start(struct rig *rig)
{
    rig->io = (struct raft_io){
        .version = 2,
        .capacity = 0xffff,
        .impl = rig,
        .init = io_init,
        .close = io_close,
        .load = io_load,
        .start = io_start,
        .set_term = io_set_term,
        .set_vote = io_set_vote,
        .send = io_send,
        .append = io_append,
        .truncate = io_truncate,
        .snapshot_put = io_snapshot_put,
        .snapshot_get = io_snapshot_get,
        .time = io_time,
        .random = io_random,
    };
    rig->fsm = (struct raft_fsm){
        .version = 1, .data = rig, .apply = fsm_apply, .snapshot = fsm_snapshot, .restore = fsm_restore};
    rig->state = (struct rig_state){0};
    memset(rig->values, 0, sizeof rig->values);
    assert_int_equal(raft_init(&rig->raft, &rig->io, &rig->fsm, rig->id, rig_address(rig->id)), 0);
    rig_configure(rig);
    rig->open = true;
    assert_int_equal(raft_start(&rig->raft), 0);
    rig_settle(rig);
}

void rig_append_free(struct rig_append *append)
{
    for (unsigned i = 0; i < append->n; i++) {
        free(append->entries[i].bytes);
    }
    free(append);
}

void rig_crash(struct rig *rig)
{
    rig->close = NULL;
    raft_close(&rig->raft, NULL);
    rig_answer_gets(rig);
    for (unsigned i = 0; i < rig->n_appends; i++) {
        rig->appends[i]->done(rig->appends[i]->request, RAFT_CANCELED);
        rig_append_free(rig->appends[i]);
    }
    rig->n_appends = 0;
    if (rig->has_put) {
        rig->has_put = false;
        rig->put_done(rig->put_request, RAFT_CANCELED);
    }
    rig_settle(rig);
    guards_close(&rig->guards);
    rig->close(&rig->io);
    rig->close = NULL;
    rig_drop(rig, 0);
    rig->open = false;
}

void rig_close(struct rig *rig)
{
    if (rig->open) {
        rig_crash(rig);
    }
    rig_disk_truncate(&rig->disk, 0);
    free(rig->disk.snapshot.configuration.bytes);
    free(rig->put.configuration.bytes);
    rig->disk.snapshot.configuration.bytes = rig->put.configuration.bytes = NULL;
}
