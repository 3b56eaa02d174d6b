/* disk_uv: the real disk. O_DIRECT with kernel AIO and RWF_DSYNC where the file system takes it, else a thread of
 * libuv's pool with O_DSYNC. */
#ifndef BATON_STORAGE_DISK_UV_H
#define BATON_STORAGE_DISK_UV_H

#include <uv.h>

#include "base/error.h"
#include "storage/disk.h"

enum disk_uv_io { DISK_UV_AUTO, DISK_UV_AIO, DISK_UV_POOL };

/* Opens the data directory, creating it (mode 0700) when it is missing; its parent must exist. `disk` is filled in. */
enum error disk_uv_open(struct disk *disk, uv_loop_t *loop, const char *directory, enum disk_uv_io io,
                        struct error_text *text) MUST_CHECK;
/* Releases the lock and frees; no file may be open. `closed` is called on the loop. */
void disk_uv_close(struct disk *disk, void (*closed)(void *arg), void *arg);

#endif
