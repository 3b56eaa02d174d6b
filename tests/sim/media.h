/* media: files and directories with two contents each, what a process sees and what a power loss leaves.
 *
 * A write, a create, a rename and an unlink change the first and are remembered; sync and sync_directory carry what is
 * remembered over to the second. A crash keeps, loses or tears each thing that is still remembered, on its own: a
 * sector is the unit of tearing, a name that of a directory. Nothing here knows processes, time or faults. */
#ifndef BATON_SIM_MEDIA_H
#define BATON_SIM_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "world.h"

#define MEDIA_NAME_BYTES 96u
#define MEDIA_NONE       UINT32_MAX
#define MEDIA_ROOT       0u

struct media_write { /* unsynced */
    uint64_t offset;
    size_t len;
    uint8_t *bytes;
};

struct media_name {
    char name[MEDIA_NAME_BYTES];
    uint32_t inode;
};

struct media_names {
    struct media_name *names;
    size_t n;
    size_t capacity;
};

enum media_change_kind { MEDIA_CREATE, MEDIA_UNLINK, MEDIA_RENAME };

struct media_change { /* of a directory, not yet synced */
    enum media_change_kind kind;
    uint32_t inode;
    char from[MEDIA_NAME_BYTES]; /* UNLINK, RENAME */
    char to[MEDIA_NAME_BYTES];   /* CREATE, RENAME */
};

struct media_inode {
    bool directory;
    unsigned opens;
    bool marked;
    /* A file. */
    struct buffer live;
    struct buffer durable;
    struct media_write *writes;
    size_t n_writes;
    size_t writes_capacity;
    bool lying;       /* a sync failed: `live` shows pages that the kernel takes for clean and that never got there */
    uint64_t *blocks; /* number of the asynchronous write that each block holds, 0: none */
    size_t n_blocks;
    /* A directory. */
    struct media_names live_names;
    struct media_names durable_names;
    struct media_change *changes;
    size_t n_changes;
    size_t changes_capacity;
};

/* One asynchronous write, kept for ever: records[number − 1]. */
struct media_record {
    uint64_t floor;    /* all writes up to this number had been acknowledged when this one was submitted */
    uint32_t n_blocks; /* how many it wrote */
    bool complete;     /* all of it is on the media */
    bool done;         /* its process was told, or a crash has settled it */
    bool acknowledged; /* … and was told of all before it, too */
};

struct media {
    unsigned sector_bytes;
    struct media_inode **inodes; /* NULL: free */
    size_t n_inodes;
    struct media_record *records;
    size_t n_records;
    size_t records_capacity;
    uint64_t floor; /* all records up to this number are done */
};

struct media *media_open(unsigned sector_bytes);
struct media *media_clone(const struct media *media);
void media_close(struct media *media);

/* What a crash did, for the counts. */
struct media_losses {
    uint64_t torn;
    uint64_t lost;
    uint64_t names;
};

/* MEDIA_NONE when there is no such thing. Paths are relative; "", "." and "a/b" are understood. */
uint32_t media_find(const struct media *media, const char *path);
/* The directory of `path` (MEDIA_NONE: missing), and the last part of the path. */
uint32_t media_parent(const struct media *media, const char *path, const char **name);
uint32_t media_create(struct media *media, uint32_t parent, const char *name, bool directory);
void media_unlink(struct media *media, uint32_t parent, const char *name);
void media_rename(struct media *media, uint32_t from_parent, const char *from, uint32_t to_parent, const char *to);
void media_write(struct media *media, uint32_t inode, uint64_t offset, const void *bytes, size_t len);
void media_sync(struct media *media, uint32_t inode);
/* A sync that failed: some of it reached the disk, and the kernel takes the rest for clean. */
void media_sync_half(struct media *media, uint32_t inode, struct rng *rng);
void media_sync_directory(struct media *media, uint32_t inode);
uint64_t media_used(const struct media *media);
/* Frees what has no name and isn't open. */
void media_collect(struct media *media);

/* True when a name of this inode, or of a directory above it, would not survive a power loss for sure. */
bool media_name_unsynced(const struct media *media, uint32_t inode);

/* ---- asynchronous writes ---- */
uint64_t media_record_begin(struct media *media, size_t len);
/* Puts bytes of write `number` on the media at once, durable. */
void media_put(struct media *media, uint32_t inode, uint64_t number, uint64_t offset, const void *bytes, size_t len);
void media_record_done(struct media *media, uint64_t number);
/* What a crash or a failure leaves of a write that was under way. */
void media_put_torn(struct media *media, uint32_t inode, uint64_t number, uint64_t offset, const uint8_t *bytes,
                    size_t len, struct rng *rng, struct media_losses *losses);
bool media_overwrites_acknowledged(const struct media *media, uint32_t inode, uint64_t offset, size_t len);
enum sim_block media_block(const struct media *media, uint32_t inode, uint64_t offset);

/* ---- crashes ---- */
/* No process knows what was under way any more: everything written so far counts as settled. */
void media_settle(struct media *media);
void media_power_loss(struct media *media, struct rng *rng, struct media_losses *losses);
bool media_equal(const struct media *a, const struct media *b);
void media_each(const struct media *media, void (*each)(void *arg, const struct sim_file_view *file), void *arg);

#endif
