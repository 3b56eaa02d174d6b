/* world: a disk in memory and a loop by hand, for the tests of storage.
 *
 * The disk keeps two contents of everything: what programs see, and what a power cut leaves. Writes and names move from
 * the first to the second when they are synced; log writes are durable when they are done, and are done when the test
 * says so. Every operation that could change something is counted, and one of them can be made to fail. */
#ifndef BATON_TESTS_STORAGE_WORLD_H
#define BATON_TESTS_STORAGE_WORLD_H

#include "base/loop.h"
#include "storage/disk.h"

#define WORLD_ENTRIES 256
#define WORLD_WRITES  8

struct world_file {
    uint8_t *now, *safe;
    size_t now_len, safe_len;
    bool lying;          /* `now` shows what a failed sync left in a cache that counts as clean */
    unsigned references; /* names, handles, undone operations */
};

struct world_entry { /* a name; an empty path is a free place */
    char path[64];
    struct world_file *file; /* NULL: a directory */
};

enum world_crash {
    WORLD_LOSE, /* what wasn't synced is gone */
    WORLD_KEEP, /* all of it made it */
    WORLD_TEAR, /* sectors and names made it at random */
    WORLD_DIE,  /* the process died: all of it is there to be read, and what wasn't synced can still be lost */
    WORLD_LIE,  /* … and died of a failed sync: a sync that succeeds shows that the rest never got there */
};
#define WORLD_CRASHES 5

enum world_fault {
    WORLD_FAIL,         /* the operation does nothing and fails */
    WORLD_FAIL_APPLIED, /* it takes effect, and fails */
};

struct world_operation { /* a change of names that isn't synced; `to` empty: unlink; `from` empty: create */
    char from[64];
    char to[64];
    struct world_file *file;
};

struct world {
    struct disk disk;
    struct loop loop;
    uint64_t seed;

    struct world_entry now[WORLD_ENTRIES], safe[WORLD_ENTRIES];
    struct world_operation operations[WORLD_ENTRIES];
    size_t n_operations;
    struct disk_file *handles;
    struct disk_write *writes[WORLD_WRITES]; /* in flight, in order of submission */
    size_t n_writes;
    bool locked;
    uint64_t free_bytes;

    unsigned count;   /* operations that could change something, so far */
    unsigned fail_at; /* the operation with this number fails; 0: none */
    unsigned max_in_flight;
    enum world_fault fault;
    enum error fault_error;
    bool stop_at_fault; /* after it every operation fails: the machine is gone */
    bool stopped;
    unsigned after_fault; /* operations that were tried after the fault */
    bool count_reads;     /* opens, lists, sizes and reads count, too */
    bool reverse;         /* log writes are done last first */

    uint64_t mono_ns;
    struct timer *timers;
    struct post *posts, **posts_end;
    struct work *works[64];
    size_t n_works;
};

void world_init(struct world *world, uint64_t seed);
void world_close(struct world *world);

uint64_t world_random(struct world *world);

/* Posts, then one work, then one log write: until none is left. */
void world_run(struct world *world);
void world_run_posts(struct world *world);
bool world_run_work(struct world *world);               /* false: there was none */
void world_finish_write(struct world *world, size_t n); /* the n-th in flight */
/* Time passes, timers fire, everything runs. */
void world_advance(struct world *world, uint64_t ms);

/* The power is cut: handles, writes in flight, posts and works are gone. storage_crash comes after it (the writes in
 * flight are in its memory). */
void world_crash(struct world *world, enum world_crash how);
/* The process ended in order: nothing may be open or in flight; the lock is free again. */
void world_restart(struct world *world);

struct world_file *world_find(struct world *world, const char *path); /* NULL: not there */
void world_remove(struct world *world, const char *path);             /* durable */
void world_resize(struct world *world, const char *path, size_t len); /* durable; zeros at the end */
void world_flip(struct world *world, const char *path, size_t at, uint8_t mask);
void world_put(struct world *world, const char *path, const void *bytes, size_t len); /* creates or replaces, durable */
/* All names and contents; two equal ones mean that nothing changed. */
uint64_t world_sum(struct world *world);

/* A copy of the durable content, to go back to. */
struct world_image;
struct world_image *world_save(struct world *world);
void world_restore(struct world *world, const struct world_image *image);
void world_image_free(struct world_image *image);

#endif
