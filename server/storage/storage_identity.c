/* Who this node is, and the first files of its directory.
 *
 * The identity is one small file, replaced whole: temporary file, sync, rename, sync of the directory. It is written
 * twice: with name, SPEC and incarnation before anybody is asked, and, marked *initialised*, as the last step of
 * bootstrap. Until that mark is there, nothing else in the directory counts, and bootstrap begins anew; once it is there,
 * nothing may be missing. */
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

#define IDENTITY_NODE_ID  STORAGE_PREFIX_BYTES
#define IDENTITY_SALT     (STORAGE_PREFIX_BYTES + 8u)
#define IDENTITY_FLAGS    (STORAGE_PREFIX_BYTES + 24u)
#define IDENTITY_NAME     (STORAGE_PREFIX_BYTES + 28u)
#define IDENTITY_SPEC     (STORAGE_PREFIX_BYTES + 32u)
#define IDENTITY_FOUNDERS (STORAGE_PREFIX_BYTES + 36u)
#define IDENTITY_CHECKSUM (STORAGE_PREFIX_BYTES + 40u)
#define IDENTITY_BODY     (STORAGE_PREFIX_BYTES + 48u)

#define FLAG_INITIALISED 1u
#define FLAG_SPEC        2u /* the slice is present */
#define FLAG_FOUNDERS    4u

static uint64_t identity_checksum(const uint8_t *base, size_t len)
{
    return checksum_64_joined(base, IDENTITY_CHECKSUM, base + IDENTITY_BODY, len - IDENTITY_BODY);
}

static void identity_encode(struct buffer *bytes, const struct storage_identity *identity,
                            const struct storage_owner *owner)
{
    size_t name_len = strlen(identity->name);
    uint8_t *p = buffer_extend(bytes, IDENTITY_BODY);
    memset(p, 0, IDENTITY_BODY);
    storage_prefix_encode(p, STORAGE_FILE_IDENTITY, owner);
    bytes_put_u64(p + IDENTITY_NODE_ID, identity->node_id);
    memcpy(p + IDENTITY_SALT, owner->salt, sizeof owner->salt);
    bytes_put_u32(p + IDENTITY_FLAGS, (identity->initialised ? FLAG_INITIALISED : 0) |
                                          (slice_is_present(identity->spec) ? FLAG_SPEC : 0) |
                                          (slice_is_present(identity->founders) ? FLAG_FOUNDERS : 0));
    bytes_put_u32(p + IDENTITY_NAME, (uint32_t)name_len);
    bytes_put_u32(p + IDENTITY_SPEC, (uint32_t)identity->spec.len);
    bytes_put_u32(p + IDENTITY_FOUNDERS, (uint32_t)identity->founders.len);
    buffer_append(bytes, identity->name, name_len);
    buffer_append_slice(bytes, identity->spec);
    buffer_append_slice(bytes, identity->founders);
    bytes_put_u64(bytes->base + IDENTITY_CHECKSUM, identity_checksum(bytes->base, bytes->len));
}

/* Takes over `bytes`, whose memory the slices point into. */
static enum error identity_decode(struct storage *storage, struct buffer *bytes, struct error_text *text)
{
    const char *path = STORAGE_PATH_IDENTITY;
    const uint8_t *p = bytes->base;
    if (bytes->len < IDENTITY_BODY) {
        return error_set(text, ERROR_CORRUPT, "%s: offset %zu: the file ends there; " STORAGE_ADVICE, path, bytes->len);
    }
    enum error error = storage_prefix_check(p, STORAGE_FILE_IDENTITY, NULL);
    if (error != ERROR_NONE) {
        return storage_prefix_refuse(error, p, path, text);
    }
    uint64_t name_len = bytes_get_u32(p + IDENTITY_NAME);
    uint64_t spec_len = bytes_get_u32(p + IDENTITY_SPEC);
    uint64_t founders_len = bytes_get_u32(p + IDENTITY_FOUNDERS);
    struct storage_identity *identity = &storage->identity;
    if (bytes_get_u64(p + IDENTITY_CHECKSUM) != identity_checksum(p, bytes->len) || name_len >= sizeof identity->name ||
        bytes->len - IDENTITY_BODY != name_len + spec_len + founders_len) {
        return error_set(text, ERROR_CORRUPT, "%s: offset %u: damaged; " STORAGE_ADVICE, path, IDENTITY_NODE_ID);
    }
    const uint8_t *body = p + IDENTITY_BODY;
    uint32_t flags = bytes_get_u32(p + IDENTITY_FLAGS);
    *identity = (struct storage_identity){.node_id = bytes_get_u64(p + IDENTITY_NODE_ID),
                                          .initialised = (flags & FLAG_INITIALISED) != 0};
    memcpy(identity->name, body, name_len);
    memcpy(identity->cluster_id, p + 16, sizeof identity->cluster_id);
    memcpy(identity->incarnation, p + 32, sizeof identity->incarnation);
    if ((flags & FLAG_SPEC) != 0) {
        identity->spec = (struct slice){.base = body + name_len, .len = spec_len};
    }
    if ((flags & FLAG_FOUNDERS) != 0) {
        identity->founders = (struct slice){.base = body + name_len + spec_len, .len = founders_len};
    }
    memcpy(storage->owner.cluster_id, identity->cluster_id, sizeof identity->cluster_id);
    memcpy(storage->owner.incarnation, identity->incarnation, sizeof identity->incarnation);
    memcpy(storage->owner.salt, p + IDENTITY_SALT, sizeof storage->owner.salt);
    buffer_close(&storage->identity_bytes);
    storage->identity_bytes = *bytes;
    buffer_init(bytes);
    storage->known = true;
    return ERROR_NONE;
}

enum error storage_identity_read(struct storage *storage, struct error_text *text)
{
    const struct disk *disk = storage->disk;
    const char *path = STORAGE_PATH_IDENTITY;
    struct storage_failure failure;
    struct disk_file *file = NULL;
    uint64_t size = 0;
    size_t got = 0;
    enum error error = storage_io_open(disk, path, DISK_READ, &file, &failure);
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    struct buffer bytes;
    buffer_init(&bytes);
    error = storage_io_size(disk, file, path, &size, &failure);
    if (error == ERROR_NONE && size > LIMIT_IDENTITY_BYTES) {
        error = error_set(text, ERROR_CORRUPT, "%s: offset %u: the file is too large; " STORAGE_ADVICE, path,
                          LIMIT_IDENTITY_BYTES);
    } else if (error == ERROR_NONE) {
        error = storage_io_read(disk, file, path, 0, buffer_extend(&bytes, size), size, &got, &failure);
        bytes.len = got;
        error = error == ERROR_NONE ? identity_decode(storage, &bytes, text) : storage_failure_tell(&failure, text);
    } else {
        error = storage_failure_tell(&failure, text);
    }
    buffer_close(&bytes);
    disk->close(file);
    return error;
}

static enum error identity_put(const struct disk *disk, const struct buffer *bytes, struct storage_failure *failure)
{
    const char *tmp = STORAGE_PATH_IDENTITY_TMP;
    struct disk_file *file = NULL;
    enum error error = storage_io_unlink(disk, tmp, true, failure);
    if (error == ERROR_NONE) {
        error = storage_io_open(disk, tmp, DISK_CREATE, &file, failure);
    }
    if (error != ERROR_NONE) {
        return error;
    }
    error = storage_io_write(disk, file, tmp, 0, bytes->base, bytes->len, failure);
    if (error == ERROR_NONE) {
        error = storage_io_sync(disk, file, tmp, failure);
    }
    disk->close(file);
    if (error == ERROR_NONE) {
        error = storage_io_rename(disk, tmp, STORAGE_PATH_IDENTITY, failure);
    }
    return error == ERROR_NONE ? storage_io_sync_directory(disk, ".", failure) : error;
}

/* Durable, then taken over. The argument's slices may point into what storage holds. */
static enum error identity_store(struct storage *storage, const struct storage_identity *identity,
                                 struct error_text *text)
{
    struct storage_failure failure;
    struct buffer bytes;
    CHECK(identity->spec.len + identity->founders.len + sizeof identity->name + IDENTITY_BODY <= LIMIT_IDENTITY_BYTES);
    buffer_init(&bytes);
    identity_encode(&bytes, identity, &storage->owner);
    enum error error = identity_put(storage->disk, &bytes, &failure);
    error = error == ERROR_NONE ? identity_decode(storage, &bytes, text) : storage_failure_tell(&failure, text);
    buffer_close(&bytes);
    return error;
}

const struct storage_identity *storage_identity(const struct storage *storage)
{
    return storage->known ? &storage->identity : NULL;
}

enum error storage_identity_begin(struct storage *storage, const struct storage_identity *identity,
                                  struct error_text *text)
{
    CHECK(!storage->identity.initialised && !storage->dead);
    struct storage_identity begun = *identity;
    begun.initialised = false;
    begun.node_id = 0;
    memset(begun.cluster_id, 0, sizeof begun.cluster_id);
    if (!storage->known) {
        loop_random(storage->loop, storage->owner.salt, sizeof storage->owner.salt);
    }
    memset(storage->owner.cluster_id, 0, sizeof storage->owner.cluster_id);
    memcpy(storage->owner.incarnation, identity->incarnation, sizeof storage->owner.incarnation);
    return identity_store(storage, &begun, text);
}

/* ---- bootstrap ---- */

static enum error directory_empty(const struct disk *disk, const char *path, struct storage_failure *failure)
{
    int os_error = 0;
    struct storage_names names;
    enum error error = disk->make_directory(disk->impl, path, &os_error);
    if (error != ERROR_NONE && error != ERROR_EXISTS) {
        return storage_failure_set(failure, error, path, 0, "mkdir", os_error);
    }
    error = storage_names_read(&names, disk, path, failure);
    for (size_t i = 0; error == ERROR_NONE && i < names.n_names; i++) {
        struct buffer name;
        buffer_init(&name);
        buffer_printf(&name, "%s/%s", path, names.names[i]);
        buffer_append(&name, "", 1);
        error = storage_io_unlink(disk, (const char *)name.base, false, failure);
        buffer_close(&name);
    }
    storage_names_close(&names);
    return error;
}

/* Segment 1 with the record that holds the first entry. */
static enum error bootstrap_log(struct storage *storage, const struct storage_entry *first,
                                struct storage_failure *failure)
{
    const struct disk *disk = storage->disk;
    char path[STORAGE_PATH_BYTES];
    struct disk_file *file = NULL;
    size_t payload = STORAGE_ENTRY_HEADER_BYTES + first->data.len;
    CHECK(storage_record_bytes(payload) <= storage->options.segment_bytes - LIMIT_BLOCK_BYTES);
    enum error error = storage_segment_make_first(disk, &storage->owner, storage->options.segment_bytes, failure);
    storage_path_segment(path, 1);
    if (error == ERROR_NONE) {
        error = storage_io_open(disk, path, DISK_WRITE, &file, failure);
    }
    if (error != ERROR_NONE) {
        return error;
    }
    uint8_t *base = calloc(1, storage_record_bytes(payload));
    CHECK(base != NULL);
    struct storage_record record = {.kind = STORAGE_RECORD_ENTRIES,
                                    .segment = 1,
                                    .sequence = 1,
                                    .chain = storage_chain_begin(&storage->owner, 1, 1),
                                    .first_index = 1,
                                    .count = 1,
                                    .length = (uint32_t)payload,
                                    .run = storage->run};
    (void)storage_record_put_entry(base + STORAGE_RECORD_HEADER_BYTES, first);
    storage_record_seal(&record, base, &storage->owner);
    error = storage_io_write(disk, file, path, LIMIT_BLOCK_BYTES, base, record.bytes, failure);
    if (error == ERROR_NONE) {
        error = storage_io_sync(disk, file, path, failure);
    }
    disk->close(file);
    free(base);
    return error;
}

static enum error bootstrap_files(struct storage *storage, const struct storage_entry *first,
                                  struct storage_failure *failure)
{
    const struct disk *disk = storage->disk;
    storage->vote.values[0] = 1;
    storage->vote.values[1] = 0;
    storage->highest.values[0] = 1;
    storage->newest.values[0] = 0;
    enum error error = storage_io_unlink(disk, STORAGE_PATH_VOTE, true, failure);
    struct storage_slot *slots[] = {&storage->highest, &storage->newest, &storage->vote};
    const char *directories[] = {STORAGE_PATH_LOG, STORAGE_PATH_SNAPSHOT, "."};
    for (size_t i = 0; i < 2 && error == ERROR_NONE; i++) {
        error = directory_empty(disk, directories[i], failure);
    }
    if (error == ERROR_NONE) {
        error = bootstrap_log(storage, first, failure);
    }
    for (size_t i = 0; i < 3 && error == ERROR_NONE; i++) {
        error = storage_slot_create(slots[i], disk, &storage->owner, failure);
    }
    for (size_t i = 0; i < 3 && error == ERROR_NONE; i++) {
        error = storage_io_sync_directory(disk, directories[i], failure);
    }
    return error;
}

enum error storage_bootstrap(struct storage *storage, const struct storage_identity *identity,
                             const struct storage_entry *first, struct error_text *text)
{
    CHECK(!storage->identity.initialised && !storage->dead);
    struct storage_failure failure;
    enum error error = ERROR_NONE;
    if (!storage->known) {
        error = storage_identity_begin(storage, identity, text);
    }
    if (error != ERROR_NONE) {
        return error;
    }
    CHECK(memcmp(identity->incarnation, storage->identity.incarnation, sizeof identity->incarnation) == 0);
    memcpy(storage->owner.cluster_id, identity->cluster_id, sizeof identity->cluster_id);
    error = bootstrap_files(storage, first, &failure);
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    struct storage_identity initialised = *identity;
    initialised.initialised = true;
    error = identity_store(storage, &initialised, text);
    if (error == ERROR_NONE) {
        error = storage_load(storage, text);
    }
    if (error == ERROR_NONE) {
        storage_log_start(storage);
    }
    return error;
}
