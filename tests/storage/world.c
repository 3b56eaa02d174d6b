/* The disk in memory and the loop by hand: see world.h. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/limits.h"

#define SECTOR 512u

struct disk_file {
    struct world *world;
    struct world_file *file;
    struct disk_file *next;
};

struct timer {
    struct world *world;
    void (*fired)(void *arg);
    void *arg;
    bool armed;
    uint64_t at_ns;
    struct timer *next;
};

uint64_t world_random(struct world *world)
{
    world->seed += 0x9e3779b97f4a7c15ull;
    uint64_t z = world->seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* ---- files ---- */

static void file_release(struct world_file *file)
{
    if (file != NULL && --file->references == 0) {
        free(file->now);
        free(file->safe);
        free(file);
    }
}

static struct world_file *file_hold(struct world_file *file)
{
    if (file != NULL) {
        file->references++;
    }
    return file;
}

static void content_resize(uint8_t **base, size_t *len, size_t wanted)
{
    *base = realloc(*base, wanted + 1);
    CHECK(*base != NULL);
    if (wanted > *len) {
        memset(*base + *len, 0, wanted - *len);
    }
    *len = wanted;
}

static void content_copy(uint8_t **to, size_t *to_len, const uint8_t *from, size_t from_len)
{
    content_resize(to, to_len, from_len);
    if (from_len > 0) {
        memcpy(*to, from, from_len);
    }
}

static void content_write(uint8_t **base, size_t *len, uint64_t offset, const void *bytes, size_t n)
{
    if (offset + n > *len) {
        content_resize(base, len, offset + n);
    }
    memcpy(*base + offset, bytes, n);
}

/* ---- names ---- */

static struct world_entry *entry_find(struct world_entry *entries, const char *path)
{
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        if (strcmp(entries[i].path, path) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

static void entry_set(struct world_entry *entries, const char *path, struct world_file *file)
{
    struct world_entry *entry = entry_find(entries, path);
    if (entry == NULL) {
        entry = entry_find(entries, "");
        CHECK(entry != NULL);
        (void)snprintf(entry->path, sizeof entry->path, "%s", path);
    }
    struct world_file *old = entry->file;
    entry->file = file_hold(file);
    file_release(old);
}

static void entry_clear(struct world_entry *entries, const char *path)
{
    struct world_entry *entry = entry_find(entries, path);
    if (entry != NULL) {
        file_release(entry->file);
        *entry = (struct world_entry){0};
    }
}

/* "" for the data directory itself. */
static void parent_of(char parent[64], const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(parent, 64, "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
}

static void operation_apply(struct world_entry *entries, const struct world_operation *operation)
{
    if (operation->from[0] != 0) {
        entry_clear(entries, operation->from);
    }
    if (operation->to[0] != 0) {
        entry_set(entries, operation->to, operation->file);
    }
}

static void operation_add(struct world *world, const char *from, const char *to, struct world_file *file)
{
    CHECK(world->n_operations < WORLD_ENTRIES);
    struct world_operation *operation = &world->operations[world->n_operations++];
    *operation = (struct world_operation){.file = file_hold(file)};
    (void)snprintf(operation->from, sizeof operation->from, "%s", from);
    (void)snprintf(operation->to, sizeof operation->to, "%s", to);
    operation_apply(world->now, operation);
}

static bool operation_within(const struct world_operation *operation, const char *directory)
{
    char parent[64];
    parent_of(parent, operation->to[0] != 0 ? operation->to : operation->from);
    return strcmp(parent, directory) == 0;
}

/* Makes the first `n` undone operations of the directory durable and forgets the rest of them (n = SIZE_MAX: all). */
static void operations_settle(struct world *world, const char *directory, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < world->n_operations; i++) {
        struct world_operation *operation = &world->operations[i];
        if (!operation_within(operation, directory)) {
            world->operations[kept++] = *operation;
            continue;
        }
        if (n > 0) {
            operation_apply(world->safe, operation);
            n--;
        }
        file_release(operation->file);
    }
    world->n_operations = kept;
}

/* ---- faults ---- */

/* What becomes of this operation: *apply says whether it takes effect. */
static enum error world_step(struct world *world, bool *apply, int *os_error)
{
    *apply = true;
    world->count++;
    if (world->stopped) {
        world->after_fault++;
        *apply = false;
        *os_error = EIO;
        return ERROR_IO;
    }
    if (world->fail_at != 0 && world->count > world->fail_at) {
        world->after_fault++;
    }
    if (world->count != world->fail_at) {
        return ERROR_NONE;
    }
    *apply = world->fault == WORLD_FAIL_APPLIED;
    *os_error = world->fault_error == ERROR_NO_SPACE ? ENOSPC : EIO;
    world->stopped = world->stop_at_fault;
    return world->fault_error;
}

static enum error world_step_read(struct world *world, int *os_error)
{
    bool apply;
    return world->count_reads ? world_step(world, &apply, os_error) : ERROR_NONE;
}

/* ---- the disk ---- */

static enum error disk_open(void *impl, const char *path, enum disk_mode mode, struct disk_file **file, int *os_error)
{
    struct world *world = impl;
    struct world_entry *entry = entry_find(world->now, path);
    bool apply = true;
    enum error error = mode == DISK_CREATE ? world_step(world, &apply, os_error) : world_step_read(world, os_error);
    if (mode == DISK_CREATE && apply) {
        if (entry != NULL) {
            *os_error = EEXIST;
            return ERROR_EXISTS;
        }
        struct world_file *created = calloc(1, sizeof *created);
        CHECK(created != NULL);
        operation_add(world, "", path, created);
        entry = entry_find(world->now, path);
    }
    if (error != ERROR_NONE) {
        return error;
    }
    if (entry == NULL || entry->file == NULL) {
        *os_error = ENOENT;
        return ERROR_NOT_FOUND;
    }
    struct disk_file *handle = calloc(1, sizeof *handle);
    CHECK(handle != NULL);
    *handle = (struct disk_file){.world = world, .file = file_hold(entry->file), .next = world->handles};
    world->handles = handle;
    *file = handle;
    return ERROR_NONE;
}

static void disk_close(struct disk_file *file)
{
    if (file == NULL) {
        return;
    }
    struct world *world = file->world;
    for (size_t i = 0; i < world->n_writes; i++) {
        CHECK(world->writes[i]->file != file);
    }
    struct disk_file **link = &world->handles;
    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    file_release(file->file);
    free(file);
}

static enum error disk_size(struct disk_file *file, uint64_t *bytes, int *os_error)
{
    *bytes = file->file->now_len;
    return world_step_read(file->world, os_error);
}

static enum error disk_read(struct disk_file *file, uint64_t offset, void *base, size_t len, size_t *got, int *os_error)
{
    size_t left = offset < file->file->now_len ? file->file->now_len - (size_t)offset : 0;
    *got = len < left ? len : left;
    if (*got > 0) {
        memcpy(base, file->file->now + offset, *got);
    }
    return world_step_read(file->world, os_error);
}

static enum error disk_write(struct disk_file *file, uint64_t offset, const void *base, size_t len, int *os_error)
{
    bool apply;
    enum error error = world_step(file->world, &apply, os_error);
    CHECK(!file->file->lying); /* nobody knows what such a file holds before it was synced */
    if (apply) {
        content_write(&file->file->now, &file->file->now_len, offset, base, len);
    }
    return error;
}

static void file_sync(struct world_file *file)
{
    if (file->lying) {
        content_resize(&file->safe, &file->safe_len, file->now_len);
        content_copy(&file->now, &file->now_len, file->safe, file->safe_len);
        file->lying = false;
    } else {
        content_copy(&file->safe, &file->safe_len, file->now, file->now_len);
    }
}

static enum error disk_sync(struct disk_file *file, int *os_error)
{
    bool apply;
    enum error error = world_step(file->world, &apply, os_error);
    if (apply) {
        file_sync(file->file);
    }
    return error;
}

static void disk_submit(void *impl, struct disk_write *write)
{
    struct world *world = impl;
    CHECK(world->n_writes < WORLD_WRITES);
    CHECK(write->offset % LIMIT_BLOCK_BYTES == 0 && write->len % LIMIT_BLOCK_BYTES == 0 && write->len > 0);
    CHECK((uintptr_t)write->base % LIMIT_BLOCK_BYTES == 0);
    CHECK(write->offset + write->len <= write->file->file->now_len && !write->file->file->lying); /* known space only */
    world->writes[world->n_writes++] = write;
    if (world->n_writes > world->max_in_flight) {
        world->max_in_flight = (unsigned)world->n_writes;
    }
}

static void write_apply(const struct disk_write *write)
{
    struct world_file *file = write->file->file;
    content_write(&file->now, &file->now_len, write->offset, write->base, write->len);
    content_write(&file->safe, &file->safe_len, write->offset, write->base, write->len);
}

void world_finish_write(struct world *world, size_t n)
{
    bool apply;
    int os_error = 0;
    CHECK(n < world->n_writes);
    struct disk_write *write = world->writes[n];
    enum error error = world_step(world, &apply, &os_error);
    if (world->stopped && !apply) {
        return; /* it stays in flight until the crash */
    }
    if (apply) {
        write_apply(write);
    }
    world->n_writes--;
    memmove(&world->writes[n], &world->writes[n + 1], (world->n_writes - n) * sizeof world->writes[0]);
    write->done(write, error, os_error);
}

static enum error disk_make_directory(void *impl, const char *path, int *os_error)
{
    struct world *world = impl;
    bool apply;
    enum error error = world_step(world, &apply, os_error);
    if (apply && error == ERROR_NONE && entry_find(world->now, path) != NULL) {
        *os_error = EEXIST;
        return ERROR_EXISTS;
    }
    if (apply) {
        operation_add(world, "", path, NULL);
    }
    return error;
}

static enum error disk_rename(void *impl, const char *from, const char *to, int *os_error)
{
    struct world *world = impl;
    bool apply;
    enum error error = world_step(world, &apply, os_error);
    struct world_entry *entry = entry_find(world->now, from);
    if (entry == NULL) {
        *os_error = ENOENT;
        return error == ERROR_NONE ? ERROR_NOT_FOUND : error;
    }
    if (apply) {
        operation_add(world, from, to, entry->file);
    }
    return error;
}

static enum error disk_unlink(void *impl, const char *path, int *os_error)
{
    struct world *world = impl;
    if (entry_find(world->now, path) == NULL && !world->stopped) {
        *os_error = ENOENT;
        return ERROR_NOT_FOUND;
    }
    bool apply;
    enum error error = world_step(world, &apply, os_error);
    if (apply) {
        operation_add(world, path, "", NULL);
    }
    return error;
}

static enum error disk_sync_directory(void *impl, const char *path, int *os_error)
{
    struct world *world = impl;
    bool apply;
    enum error error = world_step(world, &apply, os_error);
    if (apply) {
        operations_settle(world, strcmp(path, ".") == 0 ? "" : path, SIZE_MAX);
    }
    return error;
}

static enum error disk_list(void *impl, const char *path, void (*each)(void *arg, const char *name), void *arg,
                            int *os_error)
{
    struct world *world = impl;
    bool root = strcmp(path, ".") == 0;
    struct world_entry *directory = root ? NULL : entry_find(world->now, path);
    enum error error = world_step_read(world, os_error);
    if (error != ERROR_NONE) {
        return error;
    }
    if (!root && directory == NULL) {
        *os_error = ENOENT;
        return ERROR_NOT_FOUND;
    }
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        char parent[64];
        parent_of(parent, world->now[i].path);
        if (world->now[i].path[0] != 0 && strcmp(parent, root ? "" : path) == 0) {
            const char *slash = strrchr(world->now[i].path, '/');
            each(arg, slash == NULL ? world->now[i].path : slash + 1);
        }
    }
    return ERROR_NONE;
}

static enum error disk_free_bytes(void *impl, uint64_t *bytes, int *os_error)
{
    struct world *world = impl;
    *bytes = world->free_bytes;
    return world_step_read(world, os_error);
}

static enum error disk_lock(void *impl, const char *path, int *os_error)
{
    struct world *world = impl;
    *os_error = EWOULDBLOCK;
    if (world->locked) {
        return ERROR_LOCKED;
    }
    if (entry_find(world->now, path) == NULL) {
        struct world_file *file = calloc(1, sizeof *file);
        CHECK(file != NULL);
        operation_add(world, "", path, file);
        operations_settle(world, "", SIZE_MAX);
    }
    world->locked = true;
    return ERROR_NONE;
}

static const char *disk_log_mode(void *impl)
{
    (void)impl;
    return "pool";
}

/* ---- the loop ---- */

static uint64_t loop_now(void *impl)
{
    return ((struct world *)impl)->mono_ns;
}

static int64_t loop_wall(void *impl)
{
    return (int64_t)(((struct world *)impl)->mono_ns / 1000000u);
}

static void loop_bytes(void *impl, void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)bytes)[i] = (uint8_t)world_random(impl);
    }
}

static struct timer *loop_open_timer(void *impl, void (*fired)(void *arg), void *arg)
{
    struct world *world = impl;
    struct timer *timer = calloc(1, sizeof *timer);
    CHECK(timer != NULL);
    *timer = (struct timer){.world = world, .fired = fired, .arg = arg, .next = world->timers};
    world->timers = timer;
    return timer;
}

static void loop_start_timer(struct timer *timer, uint64_t delay_ms)
{
    timer->armed = true;
    timer->at_ns = timer->world->mono_ns + delay_ms * 1000000u;
}

static void loop_stop_timer(struct timer *timer)
{
    timer->armed = false;
}

static void loop_close_timer(struct timer *timer)
{
    if (timer == NULL) {
        return;
    }
    struct timer **link = &timer->world->timers;
    while (*link != timer) {
        link = &(*link)->next;
    }
    *link = timer->next;
    free(timer);
}

static void loop_add_post(void *impl, struct post *post)
{
    struct world *world = impl;
    if (post->queued == 0) {
        post->queued = 1;
        post->next = NULL;
        *world->posts_end = post;
        world->posts_end = &post->next;
    }
}

static void loop_cancel_post(void *impl, struct post *post)
{
    struct world *world = impl;
    struct post **link = &world->posts;
    while (*link != NULL && *link != post) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = post->next;
        if (world->posts_end == &post->next) {
            world->posts_end = link;
        }
    }
    post->queued = 0;
}

static void loop_add_work(void *impl, struct work *work)
{
    struct world *world = impl;
    CHECK(world->n_works < sizeof world->works / sizeof world->works[0]);
    world->works[world->n_works++] = work;
}

/* ---- running ---- */

void world_run_posts(struct world *world)
{
    while (world->posts != NULL) {
        struct post *post = world->posts;
        world->posts = post->next;
        if (world->posts == NULL) {
            world->posts_end = &world->posts;
        }
        post->queued = 0;
        post->run(post);
    }
}

bool world_run_work(struct world *world)
{
    if (world->n_works == 0) {
        return false;
    }
    struct work *work = world->works[0];
    world->n_works--;
    memmove(world->works, world->works + 1, world->n_works * sizeof world->works[0]);
    work->run(work);
    work->done(work);
    return true;
}

void world_run(struct world *world)
{
    bool more = true;
    while (more) {
        world_run_posts(world);
        more = world_run_work(world);
        if (world->n_writes > 0 && !world->stopped) {
            world_finish_write(world, world->reverse ? world->n_writes - 1 : 0);
            more = true;
        }
        more = more || world->posts != NULL;
    }
}

static struct timer *timer_due(struct world *world, uint64_t until)
{
    struct timer *due = NULL;
    for (struct timer *timer = world->timers; timer != NULL; timer = timer->next) {
        if (timer->armed && timer->at_ns <= until && (due == NULL || timer->at_ns < due->at_ns)) {
            due = timer;
        }
    }
    return due;
}

void world_advance(struct world *world, uint64_t ms)
{
    uint64_t until = world->mono_ns + ms * 1000000u;
    world_run(world);
    for (struct timer *timer; (timer = timer_due(world, until)) != NULL;) {
        world->mono_ns = timer->at_ns;
        timer->armed = false;
        timer->fired(timer->arg);
        world_run(world);
    }
    world->mono_ns = until;
}

/* ---- life ---- */

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .free_bytes = 1ull << 30, .fault_error = ERROR_IO};
    world->posts_end = &world->posts;
    world->disk = (struct disk){.impl = world,
                                .open = disk_open,
                                .close = disk_close,
                                .size = disk_size,
                                .read = disk_read,
                                .write = disk_write,
                                .sync = disk_sync,
                                .submit = disk_submit,
                                .make_directory = disk_make_directory,
                                .rename = disk_rename,
                                .unlink = disk_unlink,
                                .sync_directory = disk_sync_directory,
                                .list = disk_list,
                                .free_bytes = disk_free_bytes,
                                .lock = disk_lock,
                                .log_mode = disk_log_mode};
    world->loop = (struct loop){.impl = world,
                                .mono_ns = loop_now,
                                .wall_ms = loop_wall,
                                .random = loop_bytes,
                                .timer_open = loop_open_timer,
                                .timer_start = loop_start_timer,
                                .timer_stop = loop_stop_timer,
                                .timer_close = loop_close_timer,
                                .post = loop_add_post,
                                .post_cancel = loop_cancel_post,
                                .work = loop_add_work};
}

static void handles_close(struct world *world)
{
    while (world->handles != NULL) {
        struct disk_file *handle = world->handles;
        world->handles = handle->next;
        file_release(handle->file);
        free(handle);
    }
}

static void entries_clear(struct world_entry *entries)
{
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        file_release(entries[i].file);
        entries[i] = (struct world_entry){0};
    }
}

static void entries_copy(struct world_entry *to, const struct world_entry *from)
{
    entries_clear(to);
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        to[i] = from[i];
        (void)file_hold(to[i].file);
    }
}

/* Which of the unsynced sectors made it. */
static void file_tear(struct world *world, struct world_file *file)
{
    size_t len = world_random(world) % 2 == 0 ? file->now_len : file->safe_len;
    content_resize(&file->safe, &file->safe_len, len);
    size_t both = len < file->now_len ? len : file->now_len;
    for (size_t at = 0; at < both; at += SECTOR) {
        if (world_random(world) % 2 == 0) {
            memcpy(file->safe + at, file->now + at, both - at < SECTOR ? both - at : SECTOR);
        }
    }
}

static void write_tear(struct world *world, const struct disk_write *write)
{
    struct world_file *file = write->file->file;
    for (size_t at = 0; at < write->len; at += SECTOR) {
        if (world_random(world) % 2 == 0) {
            content_write(&file->safe, &file->safe_len, write->offset + at, (const uint8_t *)write->base + at, SECTOR);
        }
    }
}

/* Its sync failed: some of it got to the disk, all of it stays to be read. */
static void file_lie(struct world *world, struct world_file *file)
{
    bool same =
        file->now_len == file->safe_len && (file->now_len == 0 || memcmp(file->now, file->safe, file->now_len) == 0);
    if (!same) {
        file_tear(world, file);
        file->lying = true;
    }
}

static void crash_lie(struct world *world)
{
    for (size_t i = 0; i < world->n_writes; i++) {
        const struct disk_write *write = world->writes[i];
        struct world_file *file = write->file->file;
        content_write(&file->now, &file->now_len, write->offset, write->base, write->len);
    }
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        if (world->now[i].file != NULL) {
            file_lie(world, world->now[i].file);
        }
    }
    world->n_writes = 0;
}

static void crash_files(struct world *world, enum world_crash how)
{
    if (how == WORLD_LIE) {
        crash_lie(world);
        return;
    }
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        struct world_file *file = world->now[i].file;
        if (file != NULL && how == WORLD_TEAR) {
            file_tear(world, file);
        } else if (file != NULL && how == WORLD_KEEP) {
            content_copy(&file->safe, &file->safe_len, file->now, file->now_len);
        }
    }
    for (size_t i = 0; i < world->n_writes; i++) {
        const struct disk_write *write = world->writes[i];
        if (how == WORLD_KEEP) {
            write_apply(write);
        } else if (how == WORLD_DIE && world_random(world) % 4 != 0) {
            struct world_file *file = write->file->file;
            content_write(&file->now, &file->now_len, write->offset, write->base, write->len);
        } else if (how == WORLD_TEAR) {
            write_tear(world, write);
        }
    }
    world->n_writes = 0;
}

static void crash_names(struct world *world, enum world_crash how)
{
    const char *directories[] = {"", "log", "snapshot"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = how == WORLD_LOSE ? 0 : how == WORLD_KEEP ? SIZE_MAX : world_random(world) % (WORLD_ENTRIES / 16);
        operations_settle(world, directories[i], n);
    }
    entries_copy(world->now, world->safe);
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        struct world_file *file = world->now[i].file;
        if (file != NULL) {
            content_copy(&file->now, &file->now_len, file->safe, file->safe_len);
            file->lying = false;
        }
    }
}

void world_crash(struct world *world, enum world_crash how)
{
    crash_files(world, how);
    handles_close(world);
    if (how != WORLD_DIE && how != WORLD_LIE) {
        crash_names(world, how);
    }
    world->posts = NULL;
    world->posts_end = &world->posts;
    world->n_works = 0;
    world->fail_at = 0;
    world->stopped = false;
    world->after_fault = 0;
    world->count = 0;
    world->locked = false;
}

void world_restart(struct world *world)
{
    CHECK(world->handles == NULL && world->n_writes == 0 && world->posts == NULL && world->n_works == 0);
    CHECK(world->timers == NULL);
    world->locked = false;
}

void world_close(struct world *world)
{
    handles_close(world);
    for (size_t i = 0; i < world->n_operations; i++) {
        file_release(world->operations[i].file);
    }
    entries_clear(world->now);
    entries_clear(world->safe);
}

/* ---- looking and breaking ---- */

struct world_file *world_find(struct world *world, const char *path)
{
    struct world_entry *entry = entry_find(world->now, path);
    return entry == NULL ? NULL : entry->file;
}

void world_remove(struct world *world, const char *path)
{
    entry_clear(world->now, path);
    entry_clear(world->safe, path);
}

void world_resize(struct world *world, const char *path, size_t len)
{
    struct world_file *file = world_find(world, path);
    content_resize(&file->now, &file->now_len, len);
    content_copy(&file->safe, &file->safe_len, file->now, file->now_len);
}

void world_flip(struct world *world, const char *path, size_t at, uint8_t mask)
{
    struct world_file *file = world_find(world, path);
    CHECK(at < file->now_len && at < file->safe_len);
    file->now[at] ^= mask;
    file->safe[at] ^= mask;
}

void world_put(struct world *world, const char *path, const void *bytes, size_t len)
{
    struct world_file *file = calloc(1, sizeof *file);
    CHECK(file != NULL);
    content_copy(&file->now, &file->now_len, bytes, len);
    content_copy(&file->safe, &file->safe_len, bytes, len);
    entry_set(world->now, path, file);
    entry_set(world->safe, path, file);
}

uint64_t world_sum(struct world *world)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        const struct world_entry *entry = &world->now[i];
        if (entry->path[0] != 0) {
            uint64_t content = entry->file == NULL ? 0 : checksum_64(entry->file->now, entry->file->now_len);
            sum += checksum_64_joined(entry->path, strlen(entry->path), &content, sizeof content);
        }
    }
    return sum;
}

struct world_image {
    struct world_entry entries[WORLD_ENTRIES]; /* files with `safe` only */
};

struct world_image *world_save(struct world *world)
{
    struct world_image *image = calloc(1, sizeof *image);
    CHECK(image != NULL);
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        const struct world_entry *entry = &world->safe[i];
        image->entries[i] = *entry;
        if (entry->file != NULL) {
            struct world_file *file = calloc(1, sizeof *file);
            CHECK(file != NULL);
            file->references = 1;
            content_copy(&file->safe, &file->safe_len, entry->file->safe, entry->file->safe_len);
            image->entries[i].file = file;
        }
    }
    return image;
}

void world_restore(struct world *world, const struct world_image *image)
{
    world_restart(world);
    for (size_t i = 0; i < world->n_operations; i++) {
        file_release(world->operations[i].file);
    }
    world->n_operations = 0;
    entries_clear(world->now);
    entries_clear(world->safe);
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        const struct world_entry *entry = &image->entries[i];
        if (entry->file != NULL) {
            world_put(world, entry->path, entry->file->safe, entry->file->safe_len);
        } else if (entry->path[0] != 0) {
            entry_set(world->now, entry->path, NULL);
            entry_set(world->safe, entry->path, NULL);
        }
    }
}

void world_image_free(struct world_image *image)
{
    for (size_t i = 0; i < WORLD_ENTRIES; i++) {
        file_release(image->entries[i].file);
    }
    free(image);
}
