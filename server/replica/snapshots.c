/* snapshots: taking one, writing it, loading it at start, and letting libraft install one that was received.
 *
 * libraft decides when a step is a good moment; that one is due it is told by a threshold of 1 instead of never. On a full
 * disk one is due as soon as it gives the log a segment back: the log lives on those. The table
 * is frozen inside fsm->snapshot, encoded and written on the pool, and thawed on the loop. In libraft's hands a snapshot
 * is a handle of 16 bytes: the bytes stay in storage, the decoded table with transfer.c until restore swaps it in. */
#include <stdlib.h>
#include <string.h>

#include "codec/snapshot.h"
#include "replica/inside.h"

#define SNAPSHOT_ENTRY_BYTES (16ull * 1024u * 1024u)
#define SNAPSHOT_LOG_BYTES   (128ull * 1024u * 1024u)
#define SNAPSHOT_BUSY_NS     (60000ull * NS_PER_MS)

struct put {
    struct replica *replica;
    struct raft_io_snapshot_put *request;
    raft_io_snapshot_put_cb done;
    bool install;
    unsigned trailing;
    uint64_t started_ns;
    struct raft_buffer configuration;
    struct storage_snapshot_info info;
    struct storage_snapshot_writer *writer;
    struct snapshot_encoder *encoder;
    struct work work;
    struct storage_publish publish;
    enum error error;
    struct error_text text;
};

/* ---- when one is due ---- */

/* Without its reserve the log gets no new segments, so that old ones have to be freed for it: one for each that it fills,
 * or when it has none to go on with. Where even a snapshot finds no room, those that there are last longer without. */
static bool is_due_to_recycle(const struct replica *replica, const struct storage_figures *figures,
                              const struct storage_snapshot_info *newest)
{
    const struct raft *raft = &replica->raft;
    uint64_t trailing = replica->guards.trailing;
    bool frees = raft->last_applied > trailing && raft->last_applied - trailing >= figures->oldest_last_index;
    return !figures->reserve_ok && frees && figures->free_bytes > newest->size &&
           (figures->log_bytes_since_snapshot >= figures->segment_bytes || !figures->segment_ready);
}

static bool is_due(const struct replica *replica)
{
    struct storage_figures figures;
    struct storage_snapshot_info newest;
    storage_figures(replica->options.storage, &figures);
    storage_snapshot_newest(replica->options.storage, &newest);
    uint64_t entries = replica->options.snapshot_entry_bytes;
    uint64_t log = replica->options.snapshot_log_bytes;
    entries = entries == 0 ? SNAPSHOT_ENTRY_BYTES : entries;
    log = log == 0 ? SNAPSHOT_LOG_BYTES : log;
    return figures.entry_bytes_since_snapshot > (entries > newest.size ? entries : newest.size) ||
           figures.log_bytes_since_snapshot > log || is_due_to_recycle(replica, &figures, &newest);
}

void snapshots_check_due(struct replica *replica)
{
    struct snapshots *snapshots = &replica->snapshots;
    if (snapshots->put != NULL || !replica->seen_ready) {
        return; /* just started: of a long log only the beginning is known to be committed */
    }
    if (is_due(replica)) {
        raft_set_snapshot_threshold(&replica->raft, 1); /* libraft asks at the end of its next step */
    } else if (snapshots->busy_since_ns == 0) {
        return;
    }
    bool minute =
        snapshots->busy_since_ns != 0 && replica_now_ns(replica) - snapshots->busy_since_ns >= SNAPSHOT_BUSY_NS;
    if (minute && !snapshots->busy_reported) {
        const char *reason = guards_snapshot_busy(&replica->guards);
        snapshots->busy_reported = true;
        log_warning(replica->options.log, "snapshot due for a minute",
                    LOG_TEXT("reason", reason == NULL ? "" : reason));
    }
}

/* ---- taking ---- */

int snapshots_fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct replica *replica = fsm->data;
    struct snapshots *snapshots = &replica->snapshots;
    if (replica->dead || snapshots->put != NULL || guards_snapshot_busy(&replica->guards) != NULL) {
        if (snapshots->busy_since_ns == 0) {
            snapshots->busy_since_ns = replica_now_ns(replica);
        }
        return RAFT_BUSY;
    }
    raft_set_snapshot_threshold(&replica->raft, REPLICA_THRESHOLD_IDLE);
    snapshots->busy_since_ns = 0;
    snapshots->busy_reported = false;
    snapshots->frozen = lock_table_freeze(replica->table);
    *bufs = raft_malloc(sizeof **bufs);
    CHECK(*bufs != NULL);
    (*bufs)[0] = snapshot_handle_new(0, 0);
    *n_bufs = 1;
    return 0;
}

static void put_free(struct put *put)
{
    put->replica->snapshots.put = NULL;
    raft_free(put->configuration.base);
    free(put);
}

/* Ends the put; libraft goes on, or is closing and cancels. */
static void put_end(struct put *put, int status)
{
    struct raft_io_snapshot_put *request = put->request;
    raft_io_snapshot_put_cb done = put->done;
    put_free(put);
    done(request, status);
}

static void put_published(struct storage_publish *publish, enum error error)
{
    struct put *put = publish->data;
    struct replica *replica = put->replica;
    if (replica->dead) {
        return;
    }
    bool canceled = error != ERROR_NONE || replica->stage == STAGE_ENDING;
    if (!canceled) {
        log_info(replica->options.log, put->install ? "snapshot installed" : "snapshot taken",
                 LOG_U64("index", put->info.index), LOG_U64("term", put->info.term), LOG_U64("bytes", put->info.size),
                 LOG_U64("took_ms", (replica_now_ns(replica) - put->started_ns) / NS_PER_MS));
    }
    put_end(put, canceled ? RAFT_CANCELED : 0);
    replica_after_step(replica);
}

static void put_publish(struct put *put)
{
    put->publish.done = put_published;
    put->publish.data = put;
    struct storage_snapshot_writer *writer = put->writer;
    put->writer = NULL;
    storage_snapshot_publish(put->replica->options.storage, &put->publish, writer, &put->info, put->trailing);
}

/* On the pool: reads the frozen table and the file only. */
static void put_write(struct work *work)
{
    struct put *put = work->data;
    put->error = storage_snapshot_begin(put->replica->options.storage, false, &put->writer, &put->text);
    if (put->error != ERROR_NONE) {
        return;
    }
    struct buffer chunk;
    buffer_init(&chunk);
    put->encoder = snapshot_encoder_open(put->replica->snapshots.frozen);
    while (put->error == ERROR_NONE && snapshot_encoder_next(put->encoder, &chunk)) {
        put->error = storage_snapshot_write(put->writer, buffer_slice(&chunk), &put->text);
    }
    snapshot_encoder_close(put->encoder);
    put->encoder = NULL;
    buffer_close(&chunk);
    if (put->error == ERROR_NONE) {
        put->error = storage_snapshot_finish(put->writer, &put->info, &put->text);
    }
}

static void put_written(struct work *work)
{
    struct put *put = work->data;
    struct replica *replica = put->replica;
    replica_work_done(replica);
    if (replica->dead) {
        return;
    }
    lock_table_thaw(replica->table, replica->snapshots.frozen);
    replica->snapshots.frozen = NULL;
    if (put->error != ERROR_NONE) {
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "a snapshot can't be written: %s", put->text.text);
        return;
    }
    if (replica->stage == STAGE_ENDING) {
        storage_snapshot_discard(put->writer);
        put_end(put, RAFT_CANCELED);
        replica_want_turn(replica);
        return;
    }
    put_publish(put);
}

int snapshots_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                  const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct replica *replica = io->impl;
    CHECK(replica->snapshots.put == NULL);
    struct put *put = calloc(1, sizeof *put);
    CHECK(put != NULL);
    replica->snapshots.put = put;
    put->replica = replica;
    put->request = req;
    put->done = cb;
    put->install = trailing == 0;
    put->trailing = trailing;
    put->started_ns = replica_now_ns(replica);
    put->work = (struct work){.run = put_write, .done = put_written, .data = put};
    if (put->install) {
        const struct snapshot_handle *handle = snapshot->bufs[0].base;
        put->writer = transfer_take_writer(replica, *handle, &put->info);
        if (put->writer == NULL || handle->index != snapshot->index || handle->term != snapshot->term) {
            replica_fatal(replica, REPLICA_EXIT_FAILURE, "snapshot %llu is to be installed and was never received",
                          snapshot->index);
            return 0;
        }
    }
    CHECK(raft_configuration_encode(&snapshot->configuration, &put->configuration) == 0);
    put->info.index = snapshot->index;
    put->info.term = snapshot->term;
    put->info.configuration_index = snapshot->configuration_index;
    put->info.configuration = (struct slice){.base = put->configuration.base, .len = put->configuration.len};
    if (put->install) {
        replica->side.next_index = snapshot->index + 1; /* the log is empty from here on */
        put_publish(put);
    } else {
        replica_work(replica, &put->work);
    }
    return 0;
}

/* ---- loading at start ---- */

enum error snapshots_check_index(const struct lock_table *table, const struct storage_snapshot_info *info,
                                 struct error_text *text)
{
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    return counts.index <= info->index
               ? ERROR_NONE
               : error_set(text, ERROR_CORRUPT, "its state is that of entry %llu, and it ends with entry %llu",
                           (unsigned long long)counts.index, (unsigned long long)info->index);
}

static void load_run(struct work *work)
{
    struct replica *replica = work->data;
    struct loading *loading = &replica->snapshots.loading;
    struct snapshot_decoder *decoder = snapshot_decoder_open(loading->table);
    struct buffer chunk;
    buffer_init(&chunk);
    for (uint64_t i = 0; loading->error == ERROR_NONE && i < loading->info.chunks; i++) {
        loading->error = storage_snapshot_read(loading->reader, i, &chunk, &loading->text);
        if (loading->error == ERROR_NONE) {
            loading->error = snapshot_decoder_chunk(decoder, buffer_slice(&chunk), &loading->text);
        }
    }
    if (loading->error == ERROR_NONE) {
        loading->error = snapshot_decoder_finish(decoder, &loading->text);
    }
    if (loading->error == ERROR_NONE) {
        loading->error = snapshots_check_index(loading->table, &loading->info, &loading->text);
    }
    snapshot_decoder_close(decoder);
    buffer_close(&chunk);
}

static void load_done(struct work *work)
{
    struct replica *replica = work->data;
    struct loading *loading = &replica->snapshots.loading;
    replica_work_done(replica);
    if (replica->dead) {
        return;
    }
    storage_snapshot_reader_close(loading->reader);
    loading->reader = NULL;
    if (loading->error != ERROR_NONE) {
        replica_fatal(replica, loading->error == ERROR_IO ? REPLICA_EXIT_FAILURE : REPLICA_EXIT_DATA,
                      "the snapshot can't be loaded: %s", loading->text.text);
        return;
    }
    replica_loaded(replica);
}

static void load_nothing(struct work *work)
{
    (void)work;
}

static void load_nothing_done(struct work *work)
{
    struct replica *replica = work->data;
    replica_work_done(replica);
    if (!replica->dead) {
        replica_loaded(replica);
    }
}

/* Ends in replica_loaded, never before this returns. */
void snapshots_load(struct replica *replica)
{
    struct loading *loading = &replica->snapshots.loading;
    struct error_text text = {{0}};
    loading->table = lock_table_open();
    loading->work = (struct work){.run = load_nothing, .done = load_nothing_done, .data = replica};
    storage_snapshot_newest(replica->options.storage, &loading->info);
    if (loading->info.index > 0) {
        if (storage_snapshot_open(replica->options.storage, &loading->reader, &text) != ERROR_NONE) {
            replica_fatal(replica, REPLICA_EXIT_DATA, "the snapshot can't be opened: %s", text.text);
            return;
        }
        loading->work.run = load_run;
        loading->work.done = load_done;
    }
    replica_work(replica, &loading->work);
}

/* ---- restoring ---- */

struct discarded {
    struct replica *replica;
    struct lock_table *table; /* NULL: freed */
    struct work work;
    struct discarded *next;
};

static void discard_run(struct work *work)
{
    struct discarded *discarded = work->data;
    lock_table_close(discarded->table);
    discarded->table = NULL;
}

static void discard_done(struct work *work)
{
    struct discarded *discarded = work->data;
    struct replica *replica = discarded->replica;
    struct discarded **link = &replica->snapshots.discarded;
    while (*link != discarded) {
        link = &(*link)->next;
    }
    *link = discarded->next;
    free(discarded);
    replica_work_done(replica);
}

/* A table of a million locks takes long to free. */
static void discard_table(struct replica *replica, struct lock_table *table)
{
    struct discarded *discarded = calloc(1, sizeof *discarded);
    CHECK(discarded != NULL);
    discarded->replica = replica;
    discarded->table = table;
    discarded->work = (struct work){.run = discard_run, .done = discard_done, .data = discarded};
    discarded->next = replica->snapshots.discarded;
    replica->snapshots.discarded = discarded;
    replica_work(replica, &discarded->work);
}

int snapshots_fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct replica *replica = fsm->data;
    struct snapshot_handle handle = *(const struct snapshot_handle *)buf->base;
    raft_free(buf->base);
    if (replica->dead) {
        return 0;
    }
    if (replica->stage != STAGE_LOADING) { /* else the table was loaded before libraft was started */
        struct lock_table *table = transfer_take_table(replica, handle);
        if (table == NULL) {
            replica_fatal(replica, REPLICA_EXIT_FAILURE, "snapshot %llu was installed and is not there",
                          (unsigned long long)handle.index);
            return 0;
        }
        discard_table(replica, replica->table);
        replica->table = table;
        machine_observe(replica);
        raft_set_snapshot_threshold(&replica->raft, REPLICA_THRESHOLD_IDLE); /* none is due any more */
        replica->snapshots.busy_since_ns = 0;
    }
    batches_applied(replica, NULL, handle.index);
    reads_applied(replica, handle.index);
    if (replica->stage != STAGE_LOADING && replica->options.skipped != NULL) {
        replica->options.skipped(replica->options.arg);
    }
    if (replica->options.applied != NULL) {
        replica->options.applied(replica->options.arg, handle.index, replica->table);
    }
    return 0;
}

/* ---- the end ---- */

/* libraft is closing: its put is cancelled, whatever the pool and the disk make of it. */
void snapshots_crash(struct replica *replica)
{
    if (replica->snapshots.put != NULL) {
        put_end(replica->snapshots.put, RAFT_CANCELED);
    }
}

void snapshots_free(struct replica *replica, bool crash)
{
    struct snapshots *snapshots = &replica->snapshots;
    if (snapshots->frozen != NULL) {
        lock_table_thaw(replica->table, snapshots->frozen);
        snapshots->frozen = NULL;
    }
    if (snapshots->loading.reader != NULL && !crash) {
        storage_snapshot_reader_close(snapshots->loading.reader);
    }
    lock_table_close(snapshots->loading.table);
    while (snapshots->discarded != NULL) { /* after a crash: the pool has forgotten them */
        struct discarded *discarded = snapshots->discarded;
        snapshots->discarded = discarded->next;
        lock_table_close(discarded->table);
        free(discarded);
    }
    lock_table_close(replica->table);
    replica->table = snapshots->loading.table = NULL;
}
