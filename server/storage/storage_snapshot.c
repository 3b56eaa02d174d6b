/* A snapshot's file: a header block, chunks with a header each, and a closing record with the members' configuration.
 *
 * It is written under a temporary name: chunks as they come, the closing record and a sync by finish. The header block
 * comes last, when it is published (storage_publish.c), because only then is it known where the log begins that goes with
 * it. At start the newest file is read and verified whole; later reads verify each chunk again. */
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

#define CHUNK_MAGIC            0x4b4e4843u /* "CHNK" */
#define CHUNK_LENGTH           4u
#define CHUNK_NUMBER           8u
#define CHUNK_PAYLOAD_CHECKSUM 16u
#define CHUNK_CHECKSUM         24u
#define CHUNK_HEADER_BYTES     32u

#define END_MAGIC                  0x53444e45u /* "ENDS" */
#define END_CONFIGURATION          4u          /* its length */
#define END_CHUNKS                 8u
#define END_SIZE                   16u
#define END_SUM                    24u
#define END_CONFIGURATION_CHECKSUM 32u
#define END_CHECKSUM               40u
#define END_BYTES                  48u

#define HEADER_INDEX               STORAGE_PREFIX_BYTES
#define HEADER_TERM                (STORAGE_PREFIX_BYTES + 8u)
#define HEADER_CONFIGURATION_INDEX (STORAGE_PREFIX_BYTES + 16u)
#define HEADER_CHUNKS              (STORAGE_PREFIX_BYTES + 24u)
#define HEADER_SIZE                (STORAGE_PREFIX_BYTES + 32u)
#define HEADER_SUM                 (STORAGE_PREFIX_BYTES + 40u)
#define HEADER_FILE_BYTES          (STORAGE_PREFIX_BYTES + 48u)
#define HEADER_LOG_SEGMENT         (STORAGE_PREFIX_BYTES + 56u)
#define HEADER_LOG_SEQUENCE        (STORAGE_PREFIX_BYTES + 64u)
#define HEADER_LOG_CHAIN           (STORAGE_PREFIX_BYTES + 72u)
#define HEADER_CHECKSUM            (STORAGE_PREFIX_BYTES + 80u)

#define SYNC_EVERY_BYTES (4u * 1024u * 1024u) /* so that finish doesn't push out everything at once, beside the log */

struct end {
    uint64_t chunks, size, checksum;
    uint32_t configuration_len;
};

static void offsets_push(struct buffer *offsets, uint64_t offset)
{
    bytes_put_u64(buffer_extend(offsets, 8), offset);
}

static uint64_t offsets_get(const struct buffer *offsets, uint64_t number)
{
    return bytes_get_u64(offsets->base + number * 8);
}

/* ---- one chunk ---- */

static uint64_t chunk_encode(struct buffer *bytes, uint64_t number, struct slice payload)
{
    uint64_t checksum = checksum_64(payload.base, payload.len);
    buffer_clear(bytes);
    uint8_t *p = buffer_extend(bytes, CHUNK_HEADER_BYTES);
    bytes_put_u32(p, CHUNK_MAGIC);
    bytes_put_u32(p + CHUNK_LENGTH, (uint32_t)payload.len);
    bytes_put_u64(p + CHUNK_NUMBER, number);
    bytes_put_u64(p + CHUNK_PAYLOAD_CHECKSUM, checksum);
    bytes_put_u64(p + CHUNK_CHECKSUM, checksum_64(p, CHUNK_CHECKSUM));
    buffer_append_slice(bytes, payload);
    return checksum;
}

static enum error chunk_refuse(const char *path, uint64_t number, uint64_t offset, struct error_text *text)
{
    return error_set(text, ERROR_CORRUPT, "%s: offset %" PRIu64 ": chunk %" PRIu64 " is damaged; " STORAGE_ADVICE, path,
                     offset, number);
}

static enum error chunk_header(const struct disk *disk, struct disk_file *file, const char *path, uint64_t number,
                               uint64_t offset, uint8_t header[CHUNK_HEADER_BYTES], struct error_text *text)
{
    struct storage_failure failure;
    size_t got = 0;
    if (storage_io_read(disk, file, path, offset, header, CHUNK_HEADER_BYTES, &got, &failure) != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    if (got < CHUNK_HEADER_BYTES || bytes_get_u32(header) != CHUNK_MAGIC ||
        bytes_get_u64(header + CHUNK_CHECKSUM) != checksum_64(header, CHUNK_CHECKSUM) ||
        bytes_get_u64(header + CHUNK_NUMBER) != number ||
        bytes_get_u32(header + CHUNK_LENGTH) > LIMIT_SNAPSHOT_CHUNK_BYTES) {
        return chunk_refuse(path, number, offset, text);
    }
    return ERROR_NONE;
}

/* `*next` is where the chunk after it begins. */
static enum error chunk_read(const struct disk *disk, struct disk_file *file, const char *path, uint64_t number,
                             uint64_t offset, struct buffer *chunk, uint64_t *next, struct error_text *text)
{
    uint8_t header[CHUNK_HEADER_BYTES];
    struct storage_failure failure;
    size_t got = 0;
    enum error error = chunk_header(disk, file, path, number, offset, header, text);
    if (error != ERROR_NONE) {
        return error;
    }
    uint32_t len = bytes_get_u32(header + CHUNK_LENGTH);
    buffer_clear(chunk);
    uint8_t *base = buffer_extend(chunk, len);
    error = storage_io_read(disk, file, path, offset + CHUNK_HEADER_BYTES, base, len, &got, &failure);
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    if (got < len || checksum_64(base, len) != bytes_get_u64(header + CHUNK_PAYLOAD_CHECKSUM)) {
        return chunk_refuse(path, number, offset, text);
    }
    *next = offset + CHUNK_HEADER_BYTES + len;
    return ERROR_NONE;
}

/* ---- writing ---- */

enum error storage_snapshot_begin(struct storage *storage, bool received, struct storage_snapshot_writer **writer,
                                  struct error_text *text)
{
    CHECK(storage->identity.initialised);
    const char *path = received ? STORAGE_PATH_RECEIVING : STORAGE_PATH_TAKING;
    size_t place = received ? 1 : 0;
    struct storage_failure failure;
    struct disk_file *file = NULL;
    if (atomic_load(&storage->writers[place]) != NULL) {
        return error_set(text, ERROR_BUSY, "%s: is being written or published", path);
    }
    enum error error = storage_io_unlink(storage->disk, path, true, &failure);
    if (error == ERROR_NONE) {
        error = storage_io_open(storage->disk, path, DISK_CREATE, &file, &failure);
    }
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    struct storage_snapshot_writer *begun = calloc(1, sizeof *begun);
    CHECK(begun != NULL);
    begun->storage = storage;
    begun->path = path;
    begun->place = place;
    begun->file = file;
    begun->offset = STORAGE_SNAPSHOT_FIRST_CHUNK;
    begun->synced = begun->offset;
    atomic_store(&storage->writers[place], begun);
    *writer = begun;
    return ERROR_NONE;
}

enum error storage_snapshot_write(struct storage_snapshot_writer *writer, struct slice chunk, struct error_text *text)
{
    CHECK(writer->file_bytes == 0);
    const struct disk *disk = writer->storage->disk;
    struct storage_failure failure;
    if (chunk.len > LIMIT_SNAPSHOT_CHUNK_BYTES) {
        return error_set(text, ERROR_TOO_BIG, "a snapshot's chunk of %zu bytes, at most %u are allowed", chunk.len,
                         LIMIT_SNAPSHOT_CHUNK_BYTES);
    }
    uint64_t checksum = chunk_encode(&writer->scratch, storage_snapshot_written(writer), chunk);
    enum error error = storage_io_write(disk, writer->file, writer->path, writer->offset, writer->scratch.base,
                                        writer->scratch.len, &failure);
    if (error == ERROR_NONE && writer->offset - writer->synced >= SYNC_EVERY_BYTES) {
        error = storage_io_sync(disk, writer->file, writer->path, &failure);
        writer->synced = writer->offset;
    }
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    offsets_push(&writer->offsets, writer->offset);
    bytes_put_u64(buffer_extend(&writer->checksums, 8), checksum);
    writer->offset += writer->scratch.len;
    writer->size += chunk.len;
    return ERROR_NONE;
}

uint64_t storage_snapshot_written(const struct storage_snapshot_writer *writer)
{
    return writer->offsets.len / 8;
}

enum error storage_snapshot_reread(struct storage_snapshot_writer *writer, uint64_t number, struct buffer *chunk,
                                   struct error_text *text)
{
    uint64_t next;
    CHECK(number < storage_snapshot_written(writer));
    return chunk_read(writer->storage->disk, writer->file, writer->path, number, offsets_get(&writer->offsets, number),
                      chunk, &next, text);
}

enum error storage_snapshot_finish(struct storage_snapshot_writer *writer, struct storage_snapshot_info *info,
                                   struct error_text *text)
{
    CHECK(writer->file_bytes == 0 && info->configuration.len <= LIMIT_CONFIGURATION_BYTES);
    const struct disk *disk = writer->storage->disk;
    struct storage_failure failure;
    info->size = writer->size;
    info->chunks = storage_snapshot_written(writer);
    info->checksum = checksum_64(writer->checksums.base, writer->checksums.len);
    buffer_append_slice(&writer->configuration, info->configuration);
    buffer_clear(&writer->scratch);
    uint8_t *p = buffer_extend(&writer->scratch, END_BYTES);
    bytes_put_u32(p, END_MAGIC);
    bytes_put_u32(p + END_CONFIGURATION, (uint32_t)info->configuration.len);
    bytes_put_u64(p + END_CHUNKS, info->chunks);
    bytes_put_u64(p + END_SIZE, info->size);
    bytes_put_u64(p + END_SUM, info->checksum);
    bytes_put_u64(p + END_CONFIGURATION_CHECKSUM, checksum_64(info->configuration.base, info->configuration.len));
    bytes_put_u64(p + END_CHECKSUM, checksum_64(p, END_CHECKSUM));
    buffer_append_slice(&writer->scratch, info->configuration);
    enum error error = storage_io_write(disk, writer->file, writer->path, writer->offset, writer->scratch.base,
                                        writer->scratch.len, &failure);
    if (error == ERROR_NONE) {
        error = storage_io_sync(disk, writer->file, writer->path, &failure);
    }
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    writer->file_bytes = writer->offset + writer->scratch.len;
    writer->info = *info;
    writer->info.configuration = buffer_slice(&writer->configuration);
    return ERROR_NONE;
}

void storage_snapshot_writer_free(struct storage_snapshot_writer *writer)
{
    atomic_store(&writer->storage->writers[writer->place], NULL);
    buffer_close(&writer->offsets);
    buffer_close(&writer->checksums);
    buffer_close(&writer->scratch);
    buffer_close(&writer->configuration);
    free(writer);
}

void storage_snapshot_discard(struct storage_snapshot_writer *writer)
{
    struct storage *storage = writer->storage;
    struct storage_failure failure;
    storage->disk->close(writer->file);
    /* What can't be removed is met again, and its error told, by the next begin or start. */
    (void)!storage_io_unlink(storage->disk, writer->path, true, &failure);
    storage_snapshot_writer_free(writer);
}

void storage_snapshot_header_encode(uint8_t *block, const struct storage_snapshot_writer *writer,
                                    const struct storage_begin *begin, const struct storage_owner *owner)
{
    const struct storage_snapshot_info *info = &writer->info;
    memset(block, 0, LIMIT_BLOCK_BYTES);
    storage_prefix_encode(block, STORAGE_FILE_SNAPSHOT, owner);
    bytes_put_u64(block + HEADER_INDEX, info->index);
    bytes_put_u64(block + HEADER_TERM, info->term);
    bytes_put_u64(block + HEADER_CONFIGURATION_INDEX, info->configuration_index);
    bytes_put_u64(block + HEADER_CHUNKS, info->chunks);
    bytes_put_u64(block + HEADER_SIZE, info->size);
    bytes_put_u64(block + HEADER_SUM, info->checksum);
    bytes_put_u64(block + HEADER_FILE_BYTES, writer->file_bytes);
    bytes_put_u64(block + HEADER_LOG_SEGMENT, begin->segment);
    bytes_put_u64(block + HEADER_LOG_SEQUENCE, begin->sequence);
    bytes_put_u64(block + HEADER_LOG_CHAIN, begin->chain);
    bytes_put_u64(block + HEADER_CHECKSUM, checksum_64(block, HEADER_CHECKSUM));
}

/* ---- verifying ---- */

struct verify {
    const struct disk *disk;
    const char *path;
    struct disk_file *file;
    struct storage_snapshot_file *snapshot;
    uint64_t file_bytes;
    struct error_text *text;
};

static enum error verify_header(struct verify *v, uint64_t index, const struct storage_owner *owner,
                                struct storage_begin *begin)
{
    uint8_t block[LIMIT_BLOCK_BYTES];
    struct storage_failure failure;
    uint64_t size = 0;
    size_t got = 0;
    enum error error = storage_io_size(v->disk, v->file, v->path, &size, &failure);
    if (error == ERROR_NONE) {
        error = storage_io_read(v->disk, v->file, v->path, 0, block, sizeof block, &got, &failure);
    }
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, v->text);
    }
    error = got < sizeof block ? ERROR_CORRUPT : storage_prefix_check(block, STORAGE_FILE_SNAPSHOT, owner);
    if (error == ERROR_NONE && bytes_get_u64(block + HEADER_CHECKSUM) != checksum_64(block, HEADER_CHECKSUM)) {
        error = ERROR_CORRUPT;
    }
    if (error != ERROR_NONE) {
        return storage_prefix_refuse(error, block, v->path, v->text);
    }
    struct storage_snapshot_info *info = &v->snapshot->info;
    info->index = bytes_get_u64(block + HEADER_INDEX);
    info->term = bytes_get_u64(block + HEADER_TERM);
    info->configuration_index = bytes_get_u64(block + HEADER_CONFIGURATION_INDEX);
    info->chunks = bytes_get_u64(block + HEADER_CHUNKS);
    info->size = bytes_get_u64(block + HEADER_SIZE);
    info->checksum = bytes_get_u64(block + HEADER_SUM);
    v->file_bytes = bytes_get_u64(block + HEADER_FILE_BYTES);
    *begin = (struct storage_begin){.segment = bytes_get_u64(block + HEADER_LOG_SEGMENT),
                                    .sequence = bytes_get_u64(block + HEADER_LOG_SEQUENCE),
                                    .chain = bytes_get_u64(block + HEADER_LOG_CHAIN)};
    if (info->index != index) {
        return error_set(v->text, ERROR_CORRUPT, "%s: offset 0: is the snapshot of %" PRIu64 "; " STORAGE_ADVICE,
                         v->path, info->index);
    }
    if (v->file_bytes != size) {
        return error_set(v->text, ERROR_CORRUPT,
                         "%s: offset %" PRIu64 ": the file ends there instead of at %" PRIu64 "; " STORAGE_ADVICE,
                         v->path, size, v->file_bytes);
    }
    return ERROR_NONE;
}

static enum error verify_end(struct verify *v, uint64_t offset, uint64_t size, uint64_t checksum)
{
    uint8_t end[END_BYTES];
    struct storage_failure failure;
    struct storage_snapshot_info *info = &v->snapshot->info;
    size_t got = 0;
    enum error error = storage_io_read(v->disk, v->file, v->path, offset, end, sizeof end, &got, &failure);
    uint32_t len = bytes_get_u32(end + END_CONFIGURATION);
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, v->text);
    }
    bool whole = got == sizeof end && bytes_get_u32(end) == END_MAGIC &&
                 bytes_get_u64(end + END_CHECKSUM) == checksum_64(end, END_CHECKSUM) &&
                 bytes_get_u64(end + END_CHUNKS) == info->chunks && bytes_get_u64(end + END_SIZE) == size &&
                 bytes_get_u64(end + END_SUM) == checksum && info->size == size && info->checksum == checksum &&
                 len <= LIMIT_CONFIGURATION_BYTES && offset + END_BYTES + len == v->file_bytes;
    if (whole) {
        uint8_t *base = buffer_extend(&v->snapshot->configuration, len);
        error = storage_io_read(v->disk, v->file, v->path, offset + END_BYTES, base, len, &got, &failure);
        if (error != ERROR_NONE) {
            return storage_failure_tell(&failure, v->text);
        }
        whole = got == len && checksum_64(base, len) == bytes_get_u64(end + END_CONFIGURATION_CHECKSUM);
        info->configuration = buffer_slice(&v->snapshot->configuration);
    }
    return whole ? ERROR_NONE
                 : error_set(v->text, ERROR_CORRUPT,
                             "%s: offset %" PRIu64 ": the closing record is damaged; " STORAGE_ADVICE, v->path, offset);
}

static enum error verify_chunks(struct verify *v)
{
    struct buffer chunk, checksums;
    uint64_t offset = STORAGE_SNAPSHOT_FIRST_CHUNK;
    uint64_t size = 0;
    enum error error = ERROR_NONE;
    buffer_init(&chunk);
    buffer_init(&checksums);
    for (uint64_t i = 0; i < v->snapshot->info.chunks && error == ERROR_NONE; i++) {
        error = chunk_read(v->disk, v->file, v->path, i, offset, &chunk, &offset, v->text);
        size += chunk.len;
        bytes_put_u64(buffer_extend(&checksums, 8), checksum_64(chunk.base, chunk.len));
    }
    if (error == ERROR_NONE) {
        error = verify_end(v, offset, size, checksum_64(checksums.base, checksums.len));
    }
    buffer_close(&chunk);
    buffer_close(&checksums);
    return error;
}

enum error storage_snapshot_verify(struct storage *storage, uint64_t index, struct storage_snapshot_file **snapshot,
                                   struct storage_begin *begin, struct error_text *text)
{
    char path[STORAGE_PATH_BYTES];
    struct storage_failure failure;
    struct verify v = {.disk = storage->disk, .path = path, .text = text};
    storage_path_snapshot(path, index);
    if (storage_io_open(v.disk, path, DISK_READ, &v.file, &failure) != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    v.snapshot = calloc(1, sizeof *v.snapshot);
    CHECK(v.snapshot != NULL);
    enum error error = verify_header(&v, index, &storage->owner, begin);
    if (error == ERROR_NONE) {
        error = verify_chunks(&v);
    }
    v.disk->close(v.file);
    if (error != ERROR_NONE) {
        storage_snapshot_file_free(v.snapshot);
        return error;
    }
    *snapshot = v.snapshot;
    return ERROR_NONE;
}

void storage_snapshot_file_free(struct storage_snapshot_file *snapshot)
{
    buffer_close(&snapshot->configuration);
    free(snapshot);
}

/* ---- reading ---- */

void storage_snapshot_newest(const struct storage *storage, struct storage_snapshot_info *info)
{
    *info = storage->snapshots == NULL ? (struct storage_snapshot_info){0} : storage->snapshots->info;
}

enum error storage_snapshot_open(struct storage *storage, struct storage_snapshot_reader **reader,
                                 struct error_text *text)
{
    if (storage->snapshots == NULL) {
        return error_set(text, ERROR_NOT_FOUND, "there is no snapshot yet");
    }
    struct storage_snapshot_reader *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    opened->storage = storage;
    opened->snapshot = storage->snapshots;
    opened->snapshot->readers++;
    opened->next = storage->readers;
    storage->readers = opened;
    offsets_push(&opened->offsets, STORAGE_SNAPSHOT_FIRST_CHUNK);
    *reader = opened;
    return ERROR_NONE;
}

void storage_snapshot_reader_info(const struct storage_snapshot_reader *reader, struct storage_snapshot_info *info)
{
    *info = reader->snapshot->info;
}

/* Walks over the headers until the chunk's offset is known. */
static enum error reader_seek(struct storage_snapshot_reader *reader, const char *path, uint64_t number,
                              struct error_text *text)
{
    uint8_t header[CHUNK_HEADER_BYTES];
    while (reader->offsets.len / 8 <= number) {
        uint64_t known = reader->offsets.len / 8 - 1;
        uint64_t offset = offsets_get(&reader->offsets, known);
        enum error error = chunk_header(reader->storage->disk, reader->file, path, known, offset, header, text);
        if (error != ERROR_NONE) {
            return error;
        }
        offsets_push(&reader->offsets, offset + CHUNK_HEADER_BYTES + bytes_get_u32(header + CHUNK_LENGTH));
    }
    return ERROR_NONE;
}

enum error storage_snapshot_read(struct storage_snapshot_reader *reader, uint64_t number, struct buffer *chunk,
                                 struct error_text *text)
{
    const struct disk *disk = reader->storage->disk;
    char path[STORAGE_PATH_BYTES];
    struct storage_failure failure;
    uint64_t next;
    CHECK(number < reader->snapshot->info.chunks);
    storage_path_snapshot(path, reader->snapshot->info.index);
    if (reader->file == NULL && storage_io_open(disk, path, DISK_READ, &reader->file, &failure) != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    enum error error = reader_seek(reader, path, number, text);
    if (error == ERROR_NONE) {
        error = chunk_read(disk, reader->file, path, number, offsets_get(&reader->offsets, number), chunk, &next, text);
    }
    return error;
}

void storage_snapshot_reader_close(struct storage_snapshot_reader *reader)
{
    struct storage *storage = reader->storage;
    struct storage_snapshot_reader **link = &storage->readers;
    while (*link != reader) {
        link = &(*link)->next;
    }
    *link = reader->next;
    storage->disk->close(reader->file);
    reader->snapshot->readers--;
    buffer_close(&reader->offsets);
    free(reader);
    storage_sweep_start(storage);
}
