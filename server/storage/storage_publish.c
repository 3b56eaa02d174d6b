/* A snapshot becomes the newest one, and what lies before it goes away.
 *
 * On the pool: the header block, which names where the log begins that goes with it; sync; rename; sync of the directory;
 * the slot `newest` is raised. Then, on the loop, segments before that beginning become spares and older snapshots are
 * swept away: a crash in between leaves files that the next start removes.
 *
 * An ordinary snapshot keeps the chain: the log then begins with the first record of the oldest segment that still holds
 * one of the entries to keep. An install begins a new chain in the segment after the current one, which is in place before
 * the rename: so after a crash there is either the old log with the old snapshot, or the new snapshot with an empty log.
 * It starts when all appends before it are acknowledged; appends after it wait. */
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

static void publish_run(struct work *work)
{
    struct storage_publish *request = work->data;
    struct storage *storage = request->impl;
    struct storage_publishing *publishing = &storage->publishing;
    struct storage_snapshot_writer *writer = publishing->writer;
    struct storage_failure *failure = &publishing->failure;
    const struct disk *disk = storage->disk;
    const uint64_t values[2] = {writer->info.index, 0};
    char path[STORAGE_PATH_BYTES];
    uint8_t block[LIMIT_BLOCK_BYTES];
    storage_path_snapshot(path, writer->info.index);
    storage_snapshot_header_encode(block, writer, &publishing->begin, &storage->owner);
    enum error error = storage_io_write(disk, writer->file, writer->path, 0, block, sizeof block, failure);
    if (error == ERROR_NONE) {
        error = storage_io_sync(disk, writer->file, writer->path, failure);
    }
    if (error == ERROR_NONE) {
        error = storage_io_rename(disk, writer->path, path, failure);
    }
    if (error == ERROR_NONE) {
        error = storage_io_sync_directory(disk, STORAGE_PATH_SNAPSHOT, failure);
    }
    if (error == ERROR_NONE) {
        error = storage_slot_write(&storage->newest, disk, &storage->owner, values, failure);
    }
    CHECK(error == failure->error); /* publish_done goes by the latter */
}

/* The file under its final name, in front of the older ones. */
static void snapshots_push(struct storage *storage, struct storage_snapshot_writer *writer)
{
    struct storage_snapshot_file *snapshot = calloc(1, sizeof *snapshot);
    CHECK(snapshot != NULL);
    snapshot->info = writer->info;
    snapshot->configuration = writer->configuration;
    buffer_init(&writer->configuration);
    snapshot->next = storage->snapshots;
    storage->snapshots = snapshot;
}

static void publish_drop(struct storage *storage, const struct storage_begin *begin)
{
    size_t n = (size_t)(begin->segment - storage->segments[0].number);
    if (n > 0) {
        storage_segment_drop(storage, n);
    }
}

/* The bookkeeping of a publish that is durable. */
static void publish_take(struct storage *storage)
{
    struct storage_publishing *publishing = &storage->publishing;
    struct storage_snapshot_writer *writer = publishing->writer;
    storage->begin = publishing->begin;
    snapshots_push(storage, writer);
    if (publishing->install) {
        storage_log_install(storage, &publishing->begin);
    } else {
        storage_spans_drop(&storage->spans, writer->info.index);
        publish_drop(storage, &publishing->begin);
    }
    storage->disk->close(writer->file);
    storage_snapshot_writer_free(writer);
}

static void publish_done(struct work *work)
{
    struct storage_publish *request = work->data;
    struct storage *storage = request->impl;
    struct storage_publishing *publishing = &storage->publishing;
    if (!storage->dead && publishing->failure.error != ERROR_NONE) {
        storage_fail(storage, &publishing->failure);
    }
    if (storage->dead) {
        storage->disk->close(publishing->writer->file);
        storage_snapshot_writer_free(publishing->writer);
        *publishing = (struct storage_publishing){0};
    } else {
        publish_take(storage);
        *publishing = (struct storage_publishing){0};
        request->done(request, storage->closing ? ERROR_CANCELED : ERROR_NONE);
        if (!storage->dead && !storage->closing) {
            storage_sweep_start(storage);
            storage_segment_prepare(storage);
            if (storage->queue.first != NULL) {
                loop_post(storage->loop, &storage->flush);
            }
        }
    }
    storage_settle(storage);
}

static void publish_start(struct storage *storage)
{
    struct storage_publishing *publishing = &storage->publishing;
    publishing->running = true;
    publishing->request->work = (struct work){.run = publish_run, .done = publish_done, .data = publishing->request};
    storage->pending++;
    loop_work(storage->loop, &publishing->request->work);
}

/* The oldest segment that may still hold an entry above `index`, or a record in flight. */
static struct storage_begin publish_begin(const struct storage *storage, uint64_t index)
{
    const struct storage_segment *segments = storage->segments;
    size_t i = 0;
    while (i < storage->current && segments[i].last_index <= index && segments[i].writes == 0 &&
           segments[i + 1].first_sequence != 0) {
        i++;
    }
    if (i == 0) {
        return storage->begin;
    }
    return (struct storage_begin){
        .segment = segments[i].number, .sequence = segments[i].first_sequence, .chain = segments[i].first_chain};
}

void storage_publish_install_try(struct storage *storage)
{
    struct storage_publishing *publishing = &storage->publishing;
    if (!publishing->install || publishing->running || storage->queue.first != NULL || storage_log_in_flight(storage)) {
        return;
    }
    if (storage->current + 1 == storage->n_segments) {
        storage->blocked = true;
        storage_segment_prepare(storage);
        return;
    }
    uint64_t segment = storage->segments[storage->current + 1].number;
    publishing->begin =
        (struct storage_begin){.segment = segment,
                               .sequence = storage->sequence,
                               .chain = storage_chain_begin(&storage->owner, segment, storage->sequence)};
    publish_start(storage);
}

void storage_snapshot_publish(struct storage *storage, struct storage_publish *publish,
                              struct storage_snapshot_writer *writer, const struct storage_snapshot_info *info,
                              unsigned trailing)
{
    struct storage_publishing *publishing = &storage->publishing;
    CHECK(publishing->request == NULL && writer->file_bytes != 0);
    CHECK(info->index == writer->info.index && info->index > 0);
    CHECK(storage->snapshots == NULL || info->index > storage->snapshots->info.index);
    if (storage->dead) {
        storage->disk->close(writer->file);
        storage_snapshot_writer_free(writer);
        return;
    }
    publish->impl = storage;
    *publishing = (struct storage_publishing){.request = publish, .writer = writer, .install = trailing == 0};
    if (publishing->install) {
        storage->next_index = info->index + 1;
        storage_log_pump(storage);
        storage_publish_install_try(storage);
        return;
    }
    publishing->begin = publish_begin(storage, info->index > trailing ? info->index - trailing : 0);
    publish_start(storage);
}

void storage_publish_cancel(struct storage *storage)
{
    struct storage_publishing *publishing = &storage->publishing;
    struct storage_publish *request = publishing->request;
    if (request == NULL || publishing->running) {
        return;
    }
    storage_snapshot_discard(publishing->writer);
    *publishing = (struct storage_publishing){0};
    if (!storage->dead) {
        request->done(request, ERROR_CANCELED);
    }
}

/* ---- sweeping ---- */

static void sweep_run(struct work *work)
{
    struct storage *storage = work->data;
    struct storage_sweep *sweep = &storage->sweep;
    for (size_t i = 0; i < sweep->paths.n_names; i++) {
        if (storage_io_unlink(storage->disk, sweep->paths.names[i], false, &sweep->failure) != ERROR_NONE) {
            return;
        }
    }
}

static void sweep_done(struct work *work)
{
    struct storage *storage = work->data;
    struct storage_sweep *sweep = &storage->sweep;
    sweep->running = false;
    storage_names_close(&sweep->paths);
    if (!storage->dead && sweep->failure.error != ERROR_NONE) {
        storage_fail(storage, &sweep->failure);
    }
    storage_sweep_start(storage);
    storage_settle(storage);
}

void storage_sweep_add(struct storage *storage, const char *path)
{
    storage_names_add(&storage->sweep.wanted, path);
}

/* Older snapshots that no reader holds. */
static void sweep_snapshots(struct storage *storage)
{
    struct storage_snapshot_file **link = storage->snapshots == NULL ? NULL : &storage->snapshots->next;
    while (link != NULL && *link != NULL) {
        struct storage_snapshot_file *snapshot = *link;
        if (snapshot->readers > 0) {
            link = &snapshot->next;
            continue;
        }
        char path[STORAGE_PATH_BYTES];
        storage_path_snapshot(path, snapshot->info.index);
        storage_sweep_add(storage, path);
        *link = snapshot->next;
        storage_snapshot_file_free(snapshot);
    }
}

void storage_sweep_start(struct storage *storage)
{
    struct storage_sweep *sweep = &storage->sweep;
    if (sweep->running || storage->dead || storage->closing) {
        return;
    }
    sweep_snapshots(storage);
    if (sweep->wanted.n_names == 0) {
        return;
    }
    sweep->paths = sweep->wanted;
    sweep->wanted = (struct storage_names){0};
    sweep->failure = (struct storage_failure){0};
    sweep->running = true;
    sweep->work = (struct work){.run = sweep_run, .done = sweep_done, .data = storage};
    storage->pending++;
    loop_work(storage->loop, &sweep->work);
}
