/* disk: files as storage sees them. One of the seams to the world: production goes to the kernel (disk_uv.c), the
 * simulator to memory that forgets what wasn't synced. Paths are relative to the data directory, which itself is ".".
 *
 * "Durable" means: it survives a power cut once the call returned (or `done` was called). Synchronous functions may be
 * called on a thread of the pool; two of them never touch the same file at once. Every failure returns an error and puts
 * errno into `*os_error`. */
#ifndef BATON_STORAGE_DISK_H
#define BATON_STORAGE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/error.h"

struct disk_file; /* owned by the implementation */

/* An asynchronous durable write. Caller's memory until `done`; offset, length and base are multiples of
 * LIMIT_BLOCK_BYTES. */
struct disk_write {
    struct disk_file *file;
    uint64_t offset;
    const void *base;
    size_t len;
    void (*done)(struct disk_write *write, enum error error, int os_error); /* short writes arrive as ERROR_IO */
    void *data;
    void *impl; /* private */
};

enum disk_mode {
    DISK_READ,   /* must exist */
    DISK_WRITE,  /* must exist; read and write, synchronous calls only */
    DISK_CREATE, /* must not exist; as DISK_WRITE */
    DISK_LOG,    /* must exist; for asynchronous writes of whole blocks (O_DIRECT where it works) */
};

struct disk {
    void *impl;
    enum error (*open)(void *impl, const char *path, enum disk_mode mode, struct disk_file **file, int *os_error);
    void (*close)(struct disk_file *file); /* NULL is allowed; no write may be in flight */
    enum error (*size)(struct disk_file *file, uint64_t *bytes, int *os_error);
    /* Reads up to `len` bytes; `*got` is less only at the end of the file. */
    enum error (*read)(struct disk_file *file, uint64_t offset, void *base, size_t len, size_t *got, int *os_error);
    /* Writes; durable only after sync. */
    enum error (*write)(struct disk_file *file, uint64_t offset, const void *base, size_t len, int *os_error);
    /* What was written is durable on success, and what is read from then on is what is durable: after an earlier sync that
     * failed, maybe in another process, a cache may show pages that never reached the disk and that count as clean. */
    enum error (*sync)(struct disk_file *file, int *os_error);
    /* Never calls back before it returns. Two may be in flight; they may be done in any order. */
    void (*submit)(void *impl, struct disk_write *write);

    enum error (*make_directory)(void *impl, const char *path, int *os_error); /* ERROR_EXISTS is told */
    enum error (*rename)(void *impl, const char *from, const char *to,
                         int *os_error); /* durable after sync_directory */
    enum error (*unlink)(void *impl, const char *path, int *os_error);
    enum error (*sync_directory)(void *impl, const char *path, int *os_error);
    /* Calls `each` with every name in `path` but . and .., in no particular order. */
    enum error (*list)(void *impl, const char *path, void (*each)(void *arg, const char *name), void *arg,
                       int *os_error);
    enum error (*free_bytes)(void *impl, uint64_t *bytes, int *os_error);
    /* Takes the exclusive lock on `path` (created if missing) until the process ends or the disk is closed: ERROR_LOCKED. */
    enum error (*lock)(void *impl, const char *path, int *os_error);
    const char *(*log_mode)(void *impl); /* "aio" or "pool": how submit writes, once a DISK_LOG file was opened */
};

#endif
