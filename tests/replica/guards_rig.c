#include "guards_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/slice.h"

/* ---- libraft's memory, counted ---- */

static long blocks;

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    blocks++;
    return malloc(size);
}

static void heap_free(void *data, void *block)
{
    (void)data;
    blocks -= block != NULL;
    free(block);
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    blocks++;
    return calloc(n, size);
}

static void *heap_realloc(void *data, void *block, size_t size)
{
    (void)data;
    blocks += block == NULL;
    return realloc(block, size);
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    blocks++;
    return aligned_alloc(alignment, size);
}

static void heap_aligned_free(void *data, size_t alignment, void *block)
{
    (void)alignment;
    heap_free(data, block);
}

static void heap_count(void)
{
    static struct raft_heap heap = {
        .malloc = heap_malloc,
        .free = heap_free,
        .calloc = heap_calloc,
        .realloc = heap_realloc,
        .aligned_alloc = heap_aligned_alloc,
        .aligned_free = heap_aligned_free,
    };
    raft_heap_set(&heap);
}

long rig_blocks(void)
{
    return blocks;
}

int rig_death_of(void (*run)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
        for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
            (void)signal(signals[i], SIG_DFL); /* the test framework's and the sanitizer's would turn it into an exit */
        }
        run();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) != 0 ? -1 : 0;
}

/* ---- members ---- */

static const char *address_of(raft_id id)
{
    static const char *addresses[] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"};
    assert_true(id < sizeof addresses / sizeof addresses[0]);
    return addresses[id];
}

static void configuration_of(const char *members, struct raft_configuration *configuration)
{
    raft_configuration_init(configuration);
    for (raft_id id = 1; members[id - 1] != 0; id++) {
        char letter = members[id - 1];
        if (letter != '.') {
            int role = letter == 'v' ? RAFT_VOTER : letter == 's' ? RAFT_STANDBY : RAFT_SPARE;
            assert_int_equal(raft_configuration_add(configuration, id, address_of(id), role), 0);
        }
    }
}

static struct rig_entry encode_members(const char *members)
{
    struct raft_configuration configuration;
    struct raft_buffer buffer;
    configuration_of(members, &configuration);
    assert_int_equal(raft_configuration_encode(&configuration, &buffer), 0);
    raft_configuration_close(&configuration);
    struct rig_entry entry = {.type = RAFT_CHANGE, .bytes = malloc(buffer.len), .len = buffer.len};
    assert_non_null(entry.bytes);
    memcpy(entry.bytes, buffer.base, buffer.len);
    raft_free(buffer.base);
    return entry;
}

const char *rig_members(const struct raft_configuration *configuration)
{
    static char text[16];
    memset(text, 0, sizeof text);
    memset(text, '.', 9);
    size_t end = 0;
    for (unsigned i = 0; i < configuration->n; i++) {
        const struct raft_server *server = &configuration->servers[i];
        text[server->id - 1] = server->role == RAFT_VOTER ? 'v' : server->role == RAFT_STANDBY ? 's' : 'p';
        end = server->id > end ? server->id : end;
    }
    text[end] = 0;
    return text;
}

const char *rig_snapshot_members(const struct rig_snapshot *snapshot)
{
    struct raft_configuration configuration;
    struct raft_buffer buffer = {.base = snapshot->configuration.bytes, .len = snapshot->configuration.len};
    assert_int_equal(raft_configuration_decode(&buffer, &configuration), 0);
    const char *members = rig_members(&configuration);
    raft_configuration_close(&configuration);
    return members;
}

/* ---- entries ---- */

static struct rig_entry entry_of(struct rig_item item)
{
    struct rig_entry entry = {.type = RAFT_COMMAND, .len = 8};
    if (item.members != NULL) {
        entry = encode_members(item.members);
    } else {
        entry.bytes = malloc(8);
        assert_non_null(entry.bytes);
        bytes_put_u64(entry.bytes, item.value);
    }
    entry.term = item.term;
    return entry;
}

static struct rig_entry entry_copy(const struct raft_entry *from)
{
    struct rig_entry entry = {.term = from->term, .type = from->type, .len = from->buf.len};
    entry.bytes = malloc(from->buf.len);
    assert_non_null(entry.bytes);
    memcpy(entry.bytes, from->buf.base, from->buf.len);
    return entry;
}

static void disk_truncate(struct rig_disk *disk, raft_index index)
{
    while (disk->n > 0 && disk->first + disk->n > index) {
        free(disk->entries[--disk->n].bytes);
    }
}

static void disk_write(struct rig_disk *disk, raft_index index, struct rig_entry entry)
{
    disk_truncate(disk, index);
    if (disk->n == 0) {
        disk->first = index;
    }
    assert_true(disk->n < RIG_ENTRIES);
    disk->entries[disk->n++] = entry;
}

void rig_disk_cut(struct rig *rig, raft_index first)
{
    struct rig_disk *disk = &rig->disk;
    while (disk->n > 0 && disk->first < first) {
        free(disk->entries[0].bytes);
        memmove(disk->entries, disk->entries + 1, --disk->n * sizeof disk->entries[0]);
        disk->first++;
    }
    disk->first = disk->first < first ? first : disk->first;
}

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

static struct raft_buffer state_buffer(struct rig_state state)
{
    struct raft_buffer buffer = {.base = raft_malloc(sizeof state), .len = sizeof state};
    assert_non_null(buffer.base);
    memcpy(buffer.base, &state, sizeof state);
    return buffer;
}

static struct raft_snapshot *snapshot_new(const struct rig_snapshot *from)
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
    snapshot->bufs[0] = state_buffer(from->state);
    snapshot->n_bufs = 1;
    return snapshot;
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *vote, struct raft_snapshot **snapshot,
                   raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
    struct rig *rig = io->impl;
    struct rig_disk *disk = &rig->disk;
    *snapshot = disk->snapshot.index == 0 ? NULL : snapshot_new(&disk->snapshot);
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
        disk_truncate(disk, 0);
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
        append->entries[i] = entry_copy(&entries[i]);
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
        .configuration = entry_copy(&configuration),
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

static void message_copy_entries(struct raft_append_entries *append)
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
    install->data = state_buffer(*(const struct rig_state *)install->data.base);
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
        message_copy_entries(&copy.append_entries);
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
    (*bufs)[0] = state_buffer(rig->state);
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

void rig_open(struct rig *rig, raft_id id, unsigned off)
{
    heap_count();
    *rig = (struct rig){.id = id, .off = off, .trailing = 64, .now_ms = 1000, .random = (unsigned)id};
    rig->disk.first = 1;
}

void rig_found(struct rig *rig, const char *members)
{
    rig->disk.term = 1;
    rig_disk_entry(rig, (struct rig_item){.term = 1, .members = members});
}

void rig_disk_entry(struct rig *rig, struct rig_item item)
{
    disk_write(&rig->disk, rig->disk.first + rig->disk.n, entry_of(item));
    rig->disk.term = item.term > rig->disk.term ? item.term : rig->disk.term;
}

void rig_disk_snapshot(struct rig *rig, raft_index index, raft_term term, const char *members)
{
    rig->disk.snapshot = (struct rig_snapshot){
        .index = index,
        .term = term,
        .configuration_index = 1,
        .configuration = encode_members(members),
        .state = {.index = index},
    };
    rig->disk.term = term > rig->disk.term ? term : rig->disk.term;
}

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
static void settle(struct rig *rig)
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
    assert_int_equal(raft_init(&rig->raft, &rig->io, &rig->fsm, rig->id, address_of(rig->id)), 0);
    rig_configure(rig);
    rig->open = true;
    assert_int_equal(raft_start(&rig->raft), 0);
    settle(rig);
}

static void append_free(struct rig_append *append)
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
        append_free(rig->appends[i]);
    }
    rig->n_appends = 0;
    if (rig->has_put) {
        rig->has_put = false;
        rig->put_done(rig->put_request, RAFT_CANCELED);
    }
    settle(rig);
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
    disk_truncate(&rig->disk, 0);
    free(rig->disk.snapshot.configuration.bytes);
    free(rig->put.configuration.bytes);
    rig->disk.snapshot.configuration.bytes = rig->put.configuration.bytes = NULL;
}

/* ---- time, disk, network ---- */

void rig_tick(struct rig *rig, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10) {
        rig->now_ms += 10;
        rig->tick(&rig->io);
        settle(rig);
    }
}

void rig_persist(struct rig *rig)
{
    while (rig->n_appends > 0) {
        struct rig_append *append = rig->appends[0];
        memmove(rig->appends, rig->appends + 1, --rig->n_appends * sizeof rig->appends[0]);
        for (unsigned i = 0; i < append->n; i++) {
            disk_write(&rig->disk, append->first + i, append->entries[i]);
            append->entries[i].bytes = NULL;
        }
        append->done(append->request, 0);
        append_free(append);
        settle(rig);
    }
}

void rig_put_done(struct rig *rig)
{
    assert_true(rig->has_put);
    free(rig->disk.snapshot.configuration.bytes);
    rig->disk.snapshot = rig->put;
    rig->put.configuration.bytes = NULL;
    rig->has_put = false;
    if (rig->put_trailing == 0) {
        disk_truncate(&rig->disk, 0);
        rig->disk.first = rig->put.index + 1;
    } else if (rig->put.index > rig->put_trailing) {
        rig_disk_cut(rig, rig->put.index - rig->put_trailing + 1);
    }
    rig->put_done(rig->put_request, 0);
    settle(rig);
}

void rig_answer_gets(struct rig *rig)
{
    while (rig->n_gets > 0) {
        struct raft_io_snapshot_get *request = rig->gets[0];
        raft_io_snapshot_get_cb done = rig->get_done[0];
        rig->n_gets--;
        memmove(rig->gets, rig->gets + 1, rig->n_gets * sizeof rig->gets[0]);
        memmove(rig->get_done, rig->get_done + 1, rig->n_gets * sizeof rig->get_done[0]);
        rig->guards.snapshot_index = rig->disk.snapshot.index;
        rig->guards.snapshot_term = rig->disk.snapshot.term;
        done(request, snapshot_new(&rig->disk.snapshot), 0);
        settle(rig);
    }
}

static void receive(struct rig *rig, raft_id from, struct raft_message *message)
{
    const struct raft_server *server = guards_server(&rig->raft, from);
    message->server_id = from;
    message->server_address = server == NULL ? address_of(from) : server->address;
    guards_receive(&rig->guards, message);
    settle(rig);
}

void rig_receive(struct rig *rig, raft_id from, struct raft_message message)
{
    receive(rig, from, &message);
}

static struct rig_letter letter_take(struct rig *rig, unsigned i)
{
    struct rig_letter letter = rig->letters[i];
    rig->n_letters--;
    memmove(rig->letters + i, rig->letters + i + 1, (rig->n_letters - i) * sizeof rig->letters[0]);
    return letter;
}

void rig_pass(struct rig *from, struct rig *to)
{
    for (unsigned i = 0; i < from->n_letters;) {
        if (from->letters[i].to != to->id) {
            i++;
            continue;
        }
        struct rig_letter letter = letter_take(from, i);
        receive(to, from->id, &letter.message);
    }
}

void rig_drop(struct rig *rig, raft_id to)
{
    for (unsigned i = 0; i < rig->n_letters;) {
        if (to != 0 && rig->letters[i].to != to) {
            i++;
            continue;
        }
        struct rig_letter letter = letter_take(rig, i);
        guards_free_message(&letter.message);
    }
}

unsigned rig_count(const struct rig *rig, enum raft_message_type type)
{
    unsigned n = 0;
    for (unsigned i = 0; i < rig->n_letters; i++) {
        n += rig->letters[i].message.type == type;
    }
    return n;
}

const struct raft_message *rig_newest(const struct rig *rig, enum raft_message_type type)
{
    for (unsigned i = rig->n_letters; i > 0; i--) {
        if (rig->letters[i - 1].message.type == type) {
            return &rig->letters[i - 1].message;
        }
    }
    fail_msg("no letter of type %d waits", type);
    return NULL;
}

/* ---- messages made by the test ---- */

void rig_receive_append(struct rig *rig, struct rig_append_entries append)
{
    struct rig_entry entries[RIG_ENTRIES];
    struct raft_entry view[RIG_ENTRIES];
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    for (unsigned i = 0; i < append.n; i++) {
        entries[i] = entry_of(append.items[i]);
        view[i] = (struct raft_entry){.term = entries[i].term, .type = entries[i].type};
        view[i].buf = (struct raft_buffer){.base = entries[i].bytes, .len = entries[i].len};
    }
    message.append_entries = (struct raft_append_entries){
        .term = append.term,
        .prev_log_index = append.prev,
        .prev_log_term = append.prev_term,
        .leader_commit = append.commit,
        .entries = view,
        .n_entries = append.n,
    };
    message_copy_entries(&message.append_entries);
    for (unsigned i = 0; i < append.n; i++) {
        free(entries[i].bytes);
    }
    receive(rig, append.from, &message);
}

void rig_receive_install(struct rig *rig, struct rig_install install)
{
    struct raft_message message = {
        .type = RAFT_INSTALL_SNAPSHOT,
        .install_snapshot =
            {
                .term = install.term,
                .last_index = install.index,
                .last_term = install.index_term,
                .conf_index = 1,
                .data = state_buffer((struct rig_state){.index = install.index}),
            },
    };
    configuration_of(install.members, &message.install_snapshot.conf);
    receive(rig, install.from, &message);
}

/* ---- what servers do ---- */

static void grant(struct rig *rig, raft_id from, bool pre_vote)
{
    struct raft_message message = {
        .type = RAFT_REQUEST_VOTE_RESULT,
        .request_vote_result =
            {
                .version = 2,
                .term = rig->raft.current_term + (pre_vote ? 1u : 0u),
                .vote_granted = true,
                .pre_vote = pre_vote,
                .features = 1,
                .capacity = 0xffff,
            },
    };
    receive(rig, from, &message);
}

void rig_elect(struct rig *rig)
{
    for (unsigned i = 0; i < 100 && rig->raft.state != RAFT_CANDIDATE; i++) {
        rig_tick(rig, 10);
    }
    for (int pre_vote = 1; pre_vote >= 0; pre_vote--) {
        for (raft_id id = 1; id <= 3; id++) {
            if (id != rig->id && guards_server(&rig->raft, id) != NULL && rig->raft.state == RAFT_CANDIDATE &&
                rig->raft.candidate_state.in_pre_vote == (pre_vote == 1)) {
                grant(rig, id, pre_vote == 1);
            }
        }
    }
    assert_int_equal(rig->raft.state, RAFT_LEADER);
    for (unsigned i = 0; i < rig->n_letters;) {
        if (rig->letters[i].message.type == RAFT_REQUEST_VOTE) {
            (void)letter_take(rig, i);
        } else {
            i++;
        }
    }
}

void rig_apply(struct rig *rig, uint64_t value)
{
    struct raft_buffer buffer = {.base = raft_malloc(8), .len = 8};
    assert_true(buffer.base != NULL && rig->n_applies < RIG_REQUESTS);
    bytes_put_u64(buffer.base, value);
    assert_int_equal(raft_apply(&rig->raft, &rig->applies[rig->n_applies++], &buffer, 1, NULL), 0);
    settle(rig);
}

void rig_add(struct rig *rig, raft_id id)
{
    assert_null(rig->raft.legacy.change);
    assert_int_equal(raft_add(&rig->raft, &rig->change, id, address_of(id), NULL), 0);
    settle(rig);
}

void rig_assign(struct rig *rig, raft_id id, int role)
{
    assert_null(rig->raft.legacy.change);
    assert_int_equal(raft_assign(&rig->raft, &rig->change, id, role, NULL), 0);
    settle(rig);
}

static void answer(struct rig *leader, raft_id from, raft_index rejected, raft_index last)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES_RESULT,
                                   .append_entries_result = {.version = 2,
                                                             .term = leader->raft.current_term,
                                                             .rejected = rejected,
                                                             .last_log_index = last,
                                                             .features = 1,
                                                             .capacity = 0xffff}};
    receive(leader, from, &message);
}

void rig_acknowledge(struct rig *leader, raft_id from, raft_index index)
{
    answer(leader, from, 0, index);
}

void rig_reject(struct rig *leader, raft_id from, raft_index rejected, raft_index last)
{
    answer(leader, from, rejected, last);
}

void rig_converse(struct rig *a, struct rig *b)
{
    for (unsigned i = 0; i < 10; i++) {
        rig_persist(a);
        rig_persist(b);
        rig_pass(a, b);
        rig_persist(b);
        rig_pass(b, a);
    }
}
