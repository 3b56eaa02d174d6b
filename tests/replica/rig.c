#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig_callback {
    struct rig_callback *next;
    enum { CALLBACK_SEND, CALLBACK_APPEND, CALLBACK_PUT, CALLBACK_GET } kind;
    struct raft_io_send *send;
    raft_io_send_cb send_cb;
    struct raft_io_append *append;
    raft_io_append_cb append_cb;
    struct raft_io_snapshot_put *put;
    raft_io_snapshot_put_cb put_cb;
    struct raft_io_snapshot_get *get;
    raft_io_snapshot_get_cb get_cb;
};

/* ---- raft_io ---- */

static struct rig_callback *callback_add(struct rig *rig)
{
    struct rig_callback **end = &rig->callbacks;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = calloc(1, sizeof **end);
    assert_non_null(*end);
    return *end;
}

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

static void *copy(const void *base, size_t len)
{
    void *bytes = raft_malloc(len == 0 ? 1 : len);
    assert_non_null(bytes);
    memcpy(bytes, base, len);
    return bytes;
}

static void configuration_copy(const struct raft_configuration *from, struct raft_configuration *to)
{
    raft_configuration_init(to);
    for (unsigned i = 0; i < from->n; i++) {
        assert_int_equal(
            raft_configuration_add(to, from->servers[i].id, from->servers[i].address, from->servers[i].role), 0);
    }
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
                   raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
    struct rig *rig = io->impl;
    *term = rig->term;
    *vote = rig->vote;
    *snapshot = NULL;
    *start_index = rig->start_index;
    *entries = rig->entries; /* libraft's from here on */
    *n_entries = rig->n_entries;
    rig->entries = NULL;
    if (rig->snapshot_index > 0) {
        *snapshot = raft_calloc(1, sizeof **snapshot);
        (*snapshot)->index = rig->snapshot_index;
        (*snapshot)->term = rig->snapshot_term;
        (*snapshot)->configuration_index = 1;
        configuration_copy(&rig->snapshot_configuration, &(*snapshot)->configuration);
        (*snapshot)->bufs = raft_calloc(1, sizeof(struct raft_buffer));
        (*snapshot)->n_bufs = 1;
        (*snapshot)->bufs[0] = (struct raft_buffer){.base = copy("snapshot", 8), .len = 8};
    }
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

static int io_set_term(struct raft_io *io, raft_term term)
{
    (void)io;
    (void)term;
    return 0;
}

static int io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message, raft_io_send_cb cb)
{
    struct rig *rig = io->impl;
    struct raft_message kept = *message;
    if (guards_send(&rig->guards, &kept)) {
        assert_true(rig->n_sent < RIG_SENT_MAX);
        rig->sent[rig->n_sent++] = kept;
    }
    struct rig_callback *callback = callback_add(rig);
    callback->kind = CALLBACK_SEND;
    callback->send = req;
    callback->send_cb = cb;
    return 0;
}

static int io_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned n,
                     raft_io_append_cb cb)
{
    (void)entries;
    (void)n;
    struct rig_callback *callback = callback_add(io->impl);
    callback->kind = CALLBACK_APPEND;
    callback->append = req;
    callback->append_cb = cb;
    return 0;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    (void)io;
    (void)index;
    return 0;
}

static int io_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                  const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct rig *rig = io->impl;
    (void)trailing;
    rig->n_puts++;
    rig->put_index = snapshot->index;
    struct rig_callback *callback = callback_add(rig);
    callback->kind = CALLBACK_PUT;
    callback->put = req;
    callback->put_cb = cb;
    return 0;
}

static int io_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
    struct rig *rig = io->impl;
    rig->n_gets++;
    struct rig_callback *callback = callback_add(rig);
    callback->kind = CALLBACK_GET;
    callback->get = req;
    callback->get_cb = cb;
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
    (void)io;
    (void)max;
    return min + 4711;
}

/* ---- fsm ---- */

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct rig *rig = fsm->data;
    (void)buf;
    rig->n_applied++;
    *result = NULL;
    return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct rig *rig = fsm->data;
    if (guards_snapshot_busy(&rig->guards) != NULL) {
        return RAFT_BUSY;
    }
    raft_set_snapshot_threshold(&rig->raft, 1u << 30);
    *bufs = raft_calloc(1, sizeof **bufs);
    (*bufs)[0] = (struct raft_buffer){.base = copy("snapshot", 8), .len = 8};
    *n_bufs = 1;
    return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct rig *rig = fsm->data;
    raft_free(buf->base);
    rig->n_restored++;
    return 0;
}

/* ---- what the guards are told ---- */

static void world_deliver(void *arg, struct raft_message *message)
{
    struct rig *rig = arg;
    rig->n_delivered++;
    rig->recv(&rig->io, message);
}

static bool world_transfer_recent(void *arg, raft_id id)
{
    const struct rig *rig = arg;
    (void)id;
    return rig->transfer_recent;
}

static bool world_reachable(void *arg, raft_id id)
{
    const struct rig *rig = arg;
    (void)id;
    return rig->reachable;
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
    (void)snprintf(rig->fatal, sizeof rig->fatal, "%s", sentence);
}

static const struct guards_world world = {
    .deliver = world_deliver,
    .transfer_recent = world_transfer_recent,
    .reachable = world_reachable,
    .log_bytes = world_log_bytes,
    .now_ms = world_now_ms,
    .fatal = world_fatal,
};

/* ---- life ---- */

void rig_init(struct rig *rig, unsigned guards_off)
{
    memset(rig, 0, sizeof *rig);
    rig->now_ms = 1000;
    rig->start_index = 1;
    rig->io = (struct raft_io){
        .version = 2,
        .capacity = 0xffff,
        .impl = rig,
        .init = io_init,
        .close = io_close,
        .load = io_load,
        .start = io_start,
        .set_term = io_set_term,
        .set_vote = io_set_term,
        .send = io_send,
        .append = io_append,
        .truncate = io_truncate,
        .snapshot_put = io_put,
        .snapshot_get = io_get,
        .time = io_time,
        .random = io_random,
    };
    rig->fsm = (struct raft_fsm){
        .version = 1, .data = rig, .apply = fsm_apply, .snapshot = fsm_snapshot, .restore = fsm_restore};
    guards_init(&rig->guards, &rig->raft, &world, rig);
    rig->guards.off = guards_off;
    rig->guards.election_timeout_ms = 300;
    rig->guards.trailing = 8;
}

void rig_configuration(const char *roles, struct raft_configuration *configuration)
{
    raft_configuration_init(configuration);
    for (unsigned i = 0; roles[i] != 0; i++) {
        char address[32];
        int role = roles[i] == 'v' ? RAFT_VOTER : roles[i] == 's' ? RAFT_STANDBY : RAFT_SPARE;
        (void)snprintf(address, sizeof address, "member-%u", i + 1);
        assert_int_equal(raft_configuration_add(configuration, i + 1, address, role), 0);
    }
}

static struct raft_buffer encode_roles(const char *roles)
{
    struct raft_configuration configuration;
    struct raft_buffer buffer;
    rig_configuration(roles, &configuration);
    assert_int_equal(raft_configuration_encode(&configuration, &buffer), 0);
    raft_configuration_close(&configuration);
    return buffer;
}

void rig_load_log(struct rig *rig, const char *roles, const raft_term *terms, size_t n)
{
    rig->entries = raft_calloc(n + 1, sizeof *rig->entries);
    rig->n_entries = n + 1;
    rig->entries[0] = (struct raft_entry){.term = 1, .type = RAFT_CHANGE, .buf = encode_roles(roles)};
    for (size_t i = 0; i < n; i++) {
        rig->entries[i + 1] =
            (struct raft_entry){.term = terms[i], .type = RAFT_COMMAND, .buf = {.base = copy("command!", 8), .len = 8}};
    }
}

void rig_load_snapshot(struct rig *rig, const char *roles, raft_index index, raft_term term)
{
    rig->snapshot_index = index;
    rig->snapshot_term = term;
    rig->start_index = index + 1;
    rig_configuration(roles, &rig->snapshot_configuration);
}

void rig_start(struct rig *rig, raft_id id, raft_term term)
{
    rig->term = term;
    assert_int_equal(raft_init(&rig->raft, &rig->io, &rig->fsm, id, "self"), 0);
    assert_true(guards_layout_known(&rig->raft));
    raft_set_pre_vote(&rig->raft, true);
    raft_set_election_timeout(&rig->raft, 300);
    raft_set_heartbeat_timeout(&rig->raft, 50);
    raft_set_install_snapshot_timeout(&rig->raft, 5000);
    raft_set_snapshot_threshold(&rig->raft, 1u << 30);
    raft_set_snapshot_trailing(&rig->raft, 8);
    raft_set_capacity_threshold(&rig->raft, 0);
    assert_int_equal(raft_start(&rig->raft), 0);
}

static void run_get(struct rig *rig, const struct rig_callback *callback)
{
    struct raft_snapshot *snapshot = raft_calloc(1, sizeof *snapshot);
    snapshot->index = rig->snapshot_index;
    snapshot->term = rig->snapshot_term;
    snapshot->configuration_index = 1;
    configuration_copy(&rig->raft.configuration, &snapshot->configuration);
    snapshot->bufs = raft_calloc(1, sizeof(struct raft_buffer));
    snapshot->n_bufs = 1;
    snapshot->bufs[0] = (struct raft_buffer){.base = copy("snapshot", 8), .len = 8};
    rig->guards.snapshot_index = snapshot->index;
    rig->guards.snapshot_term = snapshot->term;
    callback->get_cb(callback->get, snapshot, 0);
}

static bool run_one(struct rig *rig, int status)
{
    for (struct rig_callback **link = &rig->callbacks; *link != NULL; link = &(*link)->next) {
        struct rig_callback callback = **link;
        bool held = (rig->hold_appends && callback.kind == CALLBACK_APPEND) ||
                    (rig->hold_puts && callback.kind == CALLBACK_PUT);
        if (held && status == 0) {
            continue;
        }
        free(*link);
        *link = callback.next;
        switch (callback.kind) {
        case CALLBACK_SEND:
            callback.send_cb(callback.send, status);
            break;
        case CALLBACK_APPEND:
            callback.append_cb(callback.append, status);
            break;
        case CALLBACK_PUT:
            callback.put_cb(callback.put, status);
            break;
        case CALLBACK_GET:
            run_get(rig, &callback);
            break;
        }
        return true;
    }
    return false;
}

void rig_flush(struct rig *rig)
{
    while (run_one(rig, 0)) {
    }
}

void rig_close(struct rig *rig)
{
    raft_close(&rig->raft, NULL);
    while (run_one(rig, RAFT_CANCELED)) {
    }
    guards_close(&rig->guards);
    rig->close(&rig->io);
    raft_configuration_close(&rig->snapshot_configuration);
}

void rig_tick(struct rig *rig, uint64_t ms)
{
    rig->now_ms += ms;
    rig->tick(&rig->io);
}

void rig_elect(struct rig *rig)
{
    rig_flush(rig);
    rig_tick(rig, 1000);
    for (unsigned round = 0; round < 2; round++) {
        rig_flush(rig);
        bool pre_vote = round == 0;
        for (unsigned i = 0; i < rig->raft.configuration.n; i++) {
            struct raft_message message = {
                .type = RAFT_REQUEST_VOTE_RESULT,
                .server_id = rig->raft.configuration.servers[i].id,
                .request_vote_result = {.version = 2,
                                        .term = rig->raft.current_term + (pre_vote ? 1 : 0),
                                        .vote_granted = true,
                                        .pre_vote = pre_vote},
            };
            bool wanted = rig->raft.state == RAFT_CANDIDATE && rig->raft.candidate_state.in_pre_vote == pre_vote;
            if (message.server_id != rig->raft.id && wanted) {
                rig_receive(rig, &message);
            }
        }
    }
    assert_int_equal(rig->raft.state, RAFT_LEADER);
    rig_flush(rig);
}

/* ---- messages ---- */

void rig_receive(struct rig *rig, struct raft_message *message)
{
    const struct raft_server *server = guards_server(&rig->raft, message->server_id);
    message->server_address = server == NULL ? "nobody" : server->address;
    guards_receive(&rig->guards, message);
}

void rig_receive_append(struct rig *rig, const struct rig_append *append)
{
    struct raft_message message = {
        .type = RAFT_APPEND_ENTRIES,
        .server_id = append->from,
        .append_entries = {.term = append->term,
                           .prev_log_index = append->prev,
                           .prev_log_term = append->prev_term,
                           .leader_commit = append->commit,
                           .n_entries = (unsigned)append->n},
    };
    if (append->n > 0) {
        struct raft_buffer payloads[64];
        size_t bytes = 0;
        assert_true(append->n <= 64);
        for (size_t i = 0; i < append->n; i++) {
            bool change = append->types != NULL && append->types[i] == 'c';
            payloads[i] =
                change ? encode_roles(append->roles[i]) : (struct raft_buffer){.base = copy("command!", 8), .len = 8};
            bytes += payloads[i].len;
        }
        uint8_t *batch = raft_malloc(bytes);
        struct raft_entry *entries = raft_calloc(append->n, sizeof *entries);
        uint8_t *at = batch;
        for (size_t i = 0; i < append->n; i++) {
            bool change = append->types != NULL && append->types[i] == 'c';
            memcpy(at, payloads[i].base, payloads[i].len);
            entries[i] = (struct raft_entry){.term = append->terms[i],
                                             .type = change ? RAFT_CHANGE : RAFT_COMMAND,
                                             .buf = {.base = at, .len = payloads[i].len},
                                             .batch = batch};
            at += payloads[i].len;
            raft_free(payloads[i].base);
        }
        message.append_entries.entries = entries;
    }
    rig_receive(rig, &message);
}

void rig_receive_install(struct rig *rig, raft_id from, raft_term term, raft_index index, raft_term index_term,
                         const char *roles)
{
    struct raft_message message = {
        .type = RAFT_INSTALL_SNAPSHOT,
        .server_id = from,
        .install_snapshot = {.term = term,
                             .last_index = index,
                             .last_term = index_term,
                             .conf_index = 1,
                             .data = {.base = copy("snapshot", 8), .len = 8}},
    };
    rig_configuration(roles, &message.install_snapshot.conf);
    rig_receive(rig, &message);
}

const struct raft_message *rig_sent(const struct rig *rig, enum raft_message_type type)
{
    for (size_t i = rig->n_sent; i > 0; i--) {
        if (rig->sent[i - 1].type == type) {
            return &rig->sent[i - 1];
        }
    }
    return NULL;
}

void rig_forget_sent(struct rig *rig)
{
    rig->n_sent = 0;
}
