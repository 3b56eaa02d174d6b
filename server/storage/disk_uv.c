/* The real disk.
 *
 * Everything is relative to one open directory, so the length of its path doesn't matter. Synchronous calls are plain
 * system calls, on whatever thread they are made. A log write goes to the kernel (io_submit on O_DIRECT, durable by
 * RWF_DSYNC) and is done when the eventfd says so; where a file system doesn't take that, which a real write at opening
 * finds out, it is an O_DSYNC write on a thread of the pool.
 *
 * Kernel AIO writes into space that was written before, so it neither allocates nor blocks. When the kernel doesn't take a
 * write (its queue is full), the pool does it instead: the answer comes the same way. */
#include "storage/disk_uv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"

#define AIO_EVENTS      8
#define PROBE_TIMEOUT_S 10

struct disk_uv {
    uv_loop_t *loop;
    int directory;
    int lock; /* -1: not taken */
    bool aio;
    io_context_t context;
    int events; /* eventfd: kernel AIO is done with something */
    uv_poll_t poll;
    unsigned in_flight;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct disk_file {
    struct disk_uv *uv;
    int fd;
};

struct submission {
    struct iocb iocb;
    uv_work_t work;
    struct disk_uv *uv;
    struct disk_write *write;
    enum error error;
    int os_error;
};

static enum error world_error(int os_error)
{
    switch (os_error) {
    case ENOENT:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERROR_NO_SPACE;
    case ENOMEM:
        return ERROR_NO_MEMORY;
    default:
        return ERROR_IO;
    }
}

static enum error failed(int *os_error)
{
    *os_error = errno;
    return world_error(errno);
}

/* ---- files ---- */

static enum error uv_disk_open(void *impl, const char *path, enum disk_mode mode, struct disk_file **file,
                               int *os_error)
{
    struct disk_uv *uv = impl;
    int flags = O_CLOEXEC | O_NOFOLLOW;
    switch (mode) {
    case DISK_READ:
        flags |= O_RDONLY;
        break;
    case DISK_WRITE:
        flags |= O_RDWR;
        break;
    case DISK_CREATE:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    case DISK_LOG:
        flags |= O_RDWR | (uv->aio ? O_DIRECT : O_DSYNC);
        break;
    }
    int fd = openat(uv->directory, path, flags, 0600);
    if (fd < 0) {
        return failed(os_error);
    }
    struct disk_file *opened = malloc(sizeof *opened);
    CHECK(opened != NULL);
    *opened = (struct disk_file){.uv = uv, .fd = fd};
    *file = opened;
    return ERROR_NONE;
}

static void uv_disk_close(struct disk_file *file)
{
    if (file != NULL) {
        (void)close(file->fd); /* whatever matters was synced before */
        free(file);
    }
}

static enum error uv_disk_size(struct disk_file *file, uint64_t *bytes, int *os_error)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0) {
        return failed(os_error);
    }
    *bytes = (uint64_t)status.st_size;
    return ERROR_NONE;
}

static enum error uv_disk_read(struct disk_file *file, uint64_t offset, void *base, size_t len, size_t *got,
                               int *os_error)
{
    uint8_t *p = base;
    *got = 0;
    while (*got < len) {
        ssize_t n = pread(file->fd, p + *got, len - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return failed(os_error);
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return ERROR_NONE;
}

static enum error uv_disk_write(struct disk_file *file, uint64_t offset, const void *base, size_t len, int *os_error)
{
    const uint8_t *p = base;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(file->fd, p + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return failed(os_error);
        }
        done += (size_t)n;
    }
    return ERROR_NONE;
}

static enum error uv_disk_sync(struct disk_file *file, int *os_error)
{
    if (fdatasync(file->fd) != 0) {
        return failed(os_error);
    }
    /* After a failed sync the kernel takes the pages for clean, and no later sync writes them: whoever reads them sees what
     * the disk doesn't have. Nothing is dirty now, so all of it can be dropped; where that fails there is no cache. */
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
    return ERROR_NONE;
}

/* ---- names ---- */

static enum error uv_disk_make_directory(void *impl, const char *path, int *os_error)
{
    const struct disk_uv *uv = impl;
    return mkdirat(uv->directory, path, 0700) == 0 ? ERROR_NONE : failed(os_error);
}

static enum error uv_disk_rename(void *impl, const char *from, const char *to, int *os_error)
{
    const struct disk_uv *uv = impl;
    return renameat(uv->directory, from, uv->directory, to) == 0 ? ERROR_NONE : failed(os_error);
}

static enum error uv_disk_unlink(void *impl, const char *path, int *os_error)
{
    const struct disk_uv *uv = impl;
    return unlinkat(uv->directory, path, 0) == 0 ? ERROR_NONE : failed(os_error);
}

static enum error uv_disk_sync_directory(void *impl, const char *path, int *os_error)
{
    const struct disk_uv *uv = impl;
    int fd = openat(uv->directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return failed(os_error);
    }
    enum error error = fsync(fd) == 0 ? ERROR_NONE : failed(os_error);
    (void)close(fd);
    return error;
}

static enum error uv_disk_list(void *impl, const char *path, void (*each)(void *arg, const char *name), void *arg,
                               int *os_error)
{
    const struct disk_uv *uv = impl;
    int fd = openat(uv->directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        enum error error = failed(os_error);
        if (fd >= 0) {
            (void)close(fd);
        }
        return error;
    }
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            each(arg, entry->d_name);
        }
        errno = 0;
    }
    enum error error = errno == 0 ? ERROR_NONE : failed(os_error);
    (void)closedir(directory);
    return error;
}

static enum error uv_disk_free_bytes(void *impl, uint64_t *bytes, int *os_error)
{
    const struct disk_uv *uv = impl;
    struct statvfs status;
    if (fstatvfs(uv->directory, &status) != 0) {
        return failed(os_error);
    }
    *bytes = (uint64_t)status.f_bavail * status.f_frsize;
    return ERROR_NONE;
}

static enum error uv_disk_lock(void *impl, const char *path, int *os_error)
{
    struct disk_uv *uv = impl;
    int fd = openat(uv->directory, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return failed(os_error);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum error error = failed(os_error);
        (void)close(fd);
        return *os_error == EWOULDBLOCK ? ERROR_LOCKED : error;
    }
    CHECK(uv->lock < 0);
    uv->lock = fd;
    return ERROR_NONE;
}

/* ---- log writes ---- */

static void submission_done(struct submission *submission, enum error error, int os_error)
{
    struct disk_uv *uv = submission->uv;
    struct disk_write *write = submission->write;
    if (--uv->in_flight == 0) {
        uv_unref((uv_handle_t *)&uv->poll);
    }
    free(submission);
    write->done(write, error, os_error);
}

static void pool_run(uv_work_t *work)
{
    struct submission *submission = work->data;
    const struct disk_write *write = submission->write;
    size_t done = 0;
    while (done < write->len) {
        struct iovec part = {.iov_base = (uint8_t *)write->base + done, .iov_len = write->len - done};
        ssize_t n = pwritev2(write->file->fd, &part, 1, (off_t)(write->offset + done),
                             submission->uv->aio ? RWF_DSYNC : 0); /* the pool's own files have O_DSYNC */
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            submission->os_error = n == 0 ? EIO : errno;
            submission->error = world_error(submission->os_error);
            return;
        }
        done += (size_t)n;
    }
}

static void pool_done(uv_work_t *work, int status)
{
    struct submission *submission = work->data;
    CHECK(status == 0); /* nothing is cancelled */
    submission_done(submission, submission->error, submission->os_error);
}

static void aio_ready(uv_poll_t *poll, int status, int events)
{
    struct disk_uv *uv = poll->data;
    struct io_event done[AIO_EVENTS];
    struct timespec at_once = {0};
    uint64_t count;
    (void)status;
    (void)events;
    (void)!read(uv->events, &count, sizeof count); /* EAGAIN: another wake-up took them */
    int n = io_getevents(uv->context, 0, AIO_EVENTS, done, &at_once);
    for (int i = 0; i < n; i++) {
        struct submission *submission = done[i].data;
        long result = (long)done[i].res;
        int os_error = result < 0 ? (int)-result : EIO;
        bool whole = result == (long)submission->write->len;
        submission_done(submission, whole ? ERROR_NONE : world_error(os_error), whole ? 0 : os_error);
    }
}

static bool aio_submit(struct submission *submission)
{
    const struct disk_write *write = submission->write;
    struct iocb *iocb = &submission->iocb;
    io_prep_pwrite(iocb, write->file->fd, (void *)write->base, write->len, (long long)write->offset);
    iocb->aio_rw_flags = RWF_DSYNC;
    iocb->data = submission;
    io_set_eventfd(iocb, submission->uv->events);
    return io_submit(submission->uv->context, 1, &iocb) == 1;
}

static void uv_disk_submit(void *impl, struct disk_write *write)
{
    struct disk_uv *uv = impl;
    struct submission *submission = calloc(1, sizeof *submission);
    CHECK(submission != NULL && uv->in_flight < AIO_EVENTS);
    submission->uv = uv;
    submission->write = write;
    submission->work.data = submission;
    if (uv->in_flight++ == 0) {
        uv_ref((uv_handle_t *)&uv->poll);
    }
    if (!uv->aio || !aio_submit(submission)) {
        int status = uv_queue_work(uv->loop, &submission->work, pool_run, pool_done);
        CHECK(status == 0);
    }
}

static const char *uv_disk_log_mode(void *impl)
{
    const struct disk_uv *uv = impl;
    return uv->aio ? "aio" : "pool";
}

/* ---- which way to write ---- */

/* A scratch file without a name where that works, else one that is unlinked at once. */
static int probe_open(int directory)
{
    int fd = openat(directory, ".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return fd;
    }
    char name[32];
    (void)snprintf(name, sizeof name, "probe-%ld.tmp", (long)getpid());
    fd = openat(directory, name, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd >= 0 || errno == EINVAL) { /* EINVAL: created, and then O_DIRECT was refused */
        (void)unlinkat(directory, name, 0);
    }
    return fd;
}

static bool probe_write(const struct disk_uv *uv, int fd, uint8_t *block)
{
    struct iocb iocb;
    struct iocb *list = &iocb;
    struct io_event event = {0};
    struct timespec patience = {.tv_sec = PROBE_TIMEOUT_S};
    if (pwrite(fd, block, LIMIT_BLOCK_BYTES, 0) != (ssize_t)LIMIT_BLOCK_BYTES || fdatasync(fd) != 0) {
        return false;
    }
    io_prep_pwrite(&iocb, fd, block, LIMIT_BLOCK_BYTES, 0);
    iocb.aio_rw_flags = RWF_DSYNC;
    return io_submit(uv->context, 1, &list) == 1 && io_getevents(uv->context, 1, 1, &event, &patience) == 1 &&
           event.res == LIMIT_BLOCK_BYTES;
}

static bool probe_aio(struct disk_uv *uv)
{
    if (io_setup(AIO_EVENTS, &uv->context) != 0) {
        return false;
    }
    uint8_t *block = aligned_alloc(LIMIT_BLOCK_BYTES, LIMIT_BLOCK_BYTES);
    CHECK(block != NULL);
    memset(block, 0, LIMIT_BLOCK_BYTES);
    int fd = probe_open(uv->directory);
    bool taken = fd >= 0 && probe_write(uv, fd, block);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!taken) {
        (void)io_destroy(uv->context);
        uv->context = NULL;
    }
    free(block);
    return taken;
}

/* ---- life ---- */

/* A directory that was just made must outlive a power cut, too. */
static int parent_sync(const char *directory)
{
    char *copy = strdup(directory);
    CHECK(copy != NULL);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) {
        (void)close(fd);
    }
    free(copy);
    return status;
}

static int directory_open(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT) {
        return fd;
    }
    if (mkdir(directory, 0700) != 0 || parent_sync(directory) != 0) {
        return -1;
    }
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void disk_uv_free(struct disk_uv *uv)
{
    if (uv->context != NULL) {
        (void)io_destroy(uv->context);
    }
    if (uv->events >= 0) {
        (void)close(uv->events);
    }
    if (uv->lock >= 0) {
        (void)close(uv->lock);
    }
    if (uv->directory >= 0) {
        (void)close(uv->directory);
    }
    free(uv);
}

static enum error disk_uv_start(struct disk_uv *uv, const char *directory, enum disk_uv_io io, struct error_text *text)
{
    uv->directory = directory_open(directory);
    if (uv->directory < 0) {
        return error_set(text, world_error(errno), "%s: can't be opened: %s", directory, strerror(errno));
    }
    uv->aio = io != DISK_UV_POOL && probe_aio(uv);
    if (io == DISK_UV_AIO && !uv->aio) {
        return error_set(text, ERROR_IO,
                         "%s: its file system doesn't take kernel AIO with O_DIRECT; use --disk-io=pool or auto",
                         directory);
    }
    uv->events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (uv->events < 0) {
        return error_set(text, ERROR_IO, "eventfd: %s", strerror(errno));
    }
    int status = uv_poll_init(uv->loop, &uv->poll, uv->events);
    if (status != 0) {
        return error_set(text, ERROR_IO, "%s: watching an eventfd failed: %s", directory, uv_strerror(status));
    }
    uv->poll.data = uv;
    status = uv_poll_start(&uv->poll, UV_READABLE, aio_ready);
    CHECK(status == 0);
    uv_unref((uv_handle_t *)&uv->poll); /* it holds the loop up only while a write is in flight */
    return ERROR_NONE;
}

enum error disk_uv_open(struct disk *disk, uv_loop_t *loop, const char *directory, enum disk_uv_io io,
                        struct error_text *text)
{
    struct disk_uv *uv = malloc(sizeof *uv);
    CHECK(uv != NULL);
    *uv = (struct disk_uv){.loop = loop, .directory = -1, .lock = -1, .events = -1};
    enum error error = disk_uv_start(uv, directory, io, text);
    if (error != ERROR_NONE) {
        disk_uv_free(uv);
        return error;
    }
    *disk = (struct disk){.impl = uv,
                          .open = uv_disk_open,
                          .close = uv_disk_close,
                          .size = uv_disk_size,
                          .read = uv_disk_read,
                          .write = uv_disk_write,
                          .sync = uv_disk_sync,
                          .submit = uv_disk_submit,
                          .make_directory = uv_disk_make_directory,
                          .rename = uv_disk_rename,
                          .unlink = uv_disk_unlink,
                          .sync_directory = uv_disk_sync_directory,
                          .list = uv_disk_list,
                          .free_bytes = uv_disk_free_bytes,
                          .lock = uv_disk_lock,
                          .log_mode = uv_disk_log_mode};
    return ERROR_NONE;
}

static void poll_closed(uv_handle_t *handle)
{
    struct disk_uv *uv = handle->data;
    void (*closed)(void *arg) = uv->closed;
    void *arg = uv->closed_arg;
    disk_uv_free(uv);
    if (closed != NULL) {
        closed(arg);
    }
}

void disk_uv_close(struct disk *disk, void (*closed)(void *arg), void *arg)
{
    struct disk_uv *uv = disk->impl;
    CHECK(uv->in_flight == 0);
    uv->closed = closed;
    uv->closed_arg = arg;
    *disk = (struct disk){0};
    uv_ref((uv_handle_t *)&uv->poll);
    uv_close((uv_handle_t *)&uv->poll, poll_closed);
}
