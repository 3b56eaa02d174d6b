/* The ground the other files stand on: names, the prefix that every file begins with, and calls of the disk that keep
 * what failed. A failure carries path, offset and errno from where it happened to whoever tells it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

#define PREFIX_FORMAT      8u
#define PREFIX_RESERVED    12u
#define PREFIX_CLUSTER     16u
#define PREFIX_INCARNATION 32u
#define PREFIX_CHECKSUM    48u

static const char *magic_of(enum storage_file kind)
{
    switch (kind) {
    case STORAGE_FILE_IDENTITY:
        return "BATONIDN";
    case STORAGE_FILE_VOTE:
        return "BATONVOT";
    case STORAGE_FILE_HIGHEST:
        return "BATONHIG";
    case STORAGE_FILE_NEWEST:
        return "BATONNEW";
    case STORAGE_FILE_SEGMENT:
        return "BATONSEG";
    case STORAGE_FILE_SNAPSHOT:
        return "BATONSNP";
    }
    check_failed("a known kind of file", __FILE__, __LINE__);
}

void storage_prefix_encode(uint8_t *p, enum storage_file kind, const struct storage_owner *owner)
{
    memcpy(p, magic_of(kind), 8);
    bytes_put_u32(p + PREFIX_FORMAT, STORAGE_FORMAT);
    bytes_put_u32(p + PREFIX_RESERVED, 0);
    memcpy(p + PREFIX_CLUSTER, owner->cluster_id, 16);
    memcpy(p + PREFIX_INCARNATION, owner->incarnation, 16);
    bytes_put_u64(p + PREFIX_CHECKSUM, checksum_64(p, PREFIX_CHECKSUM));
}

enum error storage_prefix_check(const uint8_t *p, enum storage_file kind, const struct storage_owner *owner)
{
    if (memcmp(p, magic_of(kind), 8) != 0 || bytes_get_u64(p + PREFIX_CHECKSUM) != checksum_64(p, PREFIX_CHECKSUM)) {
        return ERROR_CORRUPT;
    }
    if (bytes_get_u32(p + PREFIX_FORMAT) != STORAGE_FORMAT) {
        return ERROR_VERSION;
    }
    if (owner != NULL && (memcmp(p + PREFIX_CLUSTER, owner->cluster_id, 16) != 0 ||
                          memcmp(p + PREFIX_INCARNATION, owner->incarnation, 16) != 0)) {
        return ERROR_FOREIGN;
    }
    return ERROR_NONE;
}

enum error storage_prefix_refuse(enum error error, const uint8_t *p, const char *path, struct error_text *text)
{
    switch (error) {
    case ERROR_VERSION:
        return error_set(text, error,
                         "%s: was written in format %u, and this build reads format %u: install the newer batond; "
                         "nothing was changed",
                         path, (unsigned)bytes_get_u32(p + PREFIX_FORMAT), STORAGE_FORMAT);
    case ERROR_FOREIGN:
        return error_set(text, error,
                         "%s: belongs to another node or cluster than the file identity says; nothing was changed; put "
                         "the right file back",
                         path);
    default:
        return error_set(text, error, "%s: offset 0: damaged file header; " STORAGE_ADVICE, path);
    }
}

void storage_path_segment(char path[STORAGE_PATH_BYTES], uint64_t number)
{
    (void)snprintf(path, STORAGE_PATH_BYTES, "log/%020" PRIu64 ".segment", number);
}

void storage_path_snapshot(char path[STORAGE_PATH_BYTES], uint64_t index)
{
    (void)snprintf(path, STORAGE_PATH_BYTES, "snapshot/%020" PRIu64 ".snapshot", index);
}

bool storage_name_number(const char *name, const char *suffix, uint64_t *number)
{
    uint64_t value = 0;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9' || value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(name[i] - '0');
    }
    if (strcmp(name + 20, suffix) != 0 || value == 0) {
        return false;
    }
    *number = value;
    return true;
}

enum error storage_failure_set(struct storage_failure *failure, enum error error, const char *path, uint64_t offset,
                               const char *what, int os_error)
{
    *failure = (struct storage_failure){.error = error, .os_error = os_error, .offset = offset, .what = what};
    (void)snprintf(failure->path, sizeof failure->path, "%s", path);
    return error;
}

enum error storage_failure_tell(const struct storage_failure *failure, struct error_text *text)
{
    return error_set(text, failure->error, "%s: offset %" PRIu64 ": %s failed: %s", failure->path, failure->offset,
                     failure->what,
                     failure->os_error != 0 ? strerror(failure->os_error) : error_describe(failure->error));
}

enum error storage_io_open(const struct disk *disk, const char *path, enum disk_mode mode, struct disk_file **file,
                           struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->open(disk->impl, path, mode, file, &os_error);
    return error == ERROR_NONE ? error : storage_failure_set(failure, error, path, 0, "open", os_error);
}

enum error storage_io_size(const struct disk *disk, struct disk_file *file, const char *path, uint64_t *bytes,
                           struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->size(file, bytes, &os_error);
    return error == ERROR_NONE ? error : storage_failure_set(failure, error, path, 0, "stat", os_error);
}

enum error storage_io_read(const struct disk *disk, struct disk_file *file, const char *path, uint64_t offset,
                           void *base, size_t len, size_t *got, struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->read(file, offset, base, len, got, &os_error);
    return error == ERROR_NONE ? error : storage_failure_set(failure, error, path, offset, "read", os_error);
}

enum error storage_io_write(const struct disk *disk, struct disk_file *file, const char *path, uint64_t offset,
                            const void *base, size_t len, struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->write(file, offset, base, len, &os_error);
    return error == ERROR_NONE ? error : storage_failure_set(failure, error, path, offset, "write", os_error);
}

enum error storage_io_sync(const struct disk *disk, struct disk_file *file, const char *path,
                           struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->sync(file, &os_error);
    return error == ERROR_NONE ? error : storage_failure_set(failure, error, path, 0, "sync", os_error);
}

enum error storage_io_rename(const struct disk *disk, const char *from, const char *to, struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->rename(disk->impl, from, to, &os_error);
    return error == ERROR_NONE ? error : storage_failure_set(failure, error, to, 0, "rename", os_error);
}

enum error storage_io_sync_directory(const struct disk *disk, const char *path, struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->sync_directory(disk->impl, path, &os_error);
    return error == ERROR_NONE ? error
                               : storage_failure_set(failure, error, path, 0, "sync of the directory", os_error);
}

enum error storage_io_unlink(const struct disk *disk, const char *path, bool missing_ok,
                             struct storage_failure *failure)
{
    int os_error = 0;
    enum error error = disk->unlink(disk->impl, path, &os_error);
    if (error == ERROR_NONE || (missing_ok && error == ERROR_NOT_FOUND)) {
        return ERROR_NONE;
    }
    return storage_failure_set(failure, error, path, 0, "unlink", os_error);
}

enum error storage_io_sync_path(const struct disk *disk, const char *path, struct storage_failure *failure)
{
    struct disk_file *file = NULL;
    enum error error = storage_io_open(disk, path, DISK_WRITE, &file, failure);
    if (error == ERROR_NONE) {
        error = storage_io_sync(disk, file, path, failure);
        disk->close(file);
    }
    return error;
}

void storage_names_add(struct storage_names *names, const char *name)
{
    if (names->n_names == names->capacity) {
        names->capacity = names->capacity == 0 ? 16 : names->capacity * 2;
        names->names = realloc(names->names, names->capacity * sizeof *names->names);
        CHECK(names->names != NULL);
    }
    (void)snprintf(names->names[names->n_names++], STORAGE_PATH_BYTES, "%s", name);
}

static void names_each(void *arg, const char *name)
{
    if (strlen(name) < STORAGE_PATH_BYTES / 2) { /* a directory's name goes before it */
        storage_names_add(arg, name);
    }
}

enum error storage_names_read(struct storage_names *names, const struct disk *disk, const char *path,
                              struct storage_failure *failure)
{
    *names = (struct storage_names){0};
    int os_error = 0;
    enum error error = disk->list(disk->impl, path, names_each, names, &os_error);
    if (error != ERROR_NONE) {
        storage_names_close(names);
        return storage_failure_set(failure, error, path, 0, "list", os_error);
    }
    return ERROR_NONE;
}

bool storage_names_contain(const struct storage_names *names, const char *name)
{
    for (size_t i = 0; i < names->n_names; i++) {
        if (strcmp(names->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void storage_names_close(struct storage_names *names)
{
    free(names->names);
    *names = (struct storage_names){0};
}
