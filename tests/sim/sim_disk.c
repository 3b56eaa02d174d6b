/* A node's disk: struct disk over media, with delays, faults, and crashes in the middle of a call.
 *
 * An asynchronous write reaches the media at one event and its process at a later one, in any order among the writes in
 * flight. A crash between takes the first without the second. "Crash at the n-th operation" takes a picture of what a
 * power loss would leave at that very point; the process runs on to the end of its turn without any effect on it, and
 * the picture is what the machine finds when it is switched on again.
 *
 * The disk also holds storage to its promises: written space only, names synced before use, no acknowledged block
 * written twice, no buffer changed while it is being written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/limits.h"
#include "media.h"
#include "world.h"

struct disk_file {
    struct sim_disk *disk;
    uint32_t inode;
    enum disk_mode mode;
    unsigned in_flight;
    struct disk_file *next, *previous;
};

struct flight { /* an asynchronous write under way */
    struct sim_disk *disk;
    struct disk_write *write;
    struct disk_file *file;
    uint32_t inode;
    uint64_t number;
    uint64_t offset;
    size_t len;
    uint8_t *bytes;
    bool fails;
    bool settled; /* it is on the media, or has failed */
    struct sim_event *event;
    struct flight *next, *previous;
};

struct sim_disk {
    struct sim_world *world;
    struct sim_node *node; /* NULL: not mounted */
    struct media *media;
    struct media *picture; /* what the crash at an operation left; NULL: none */
    struct rng rng;
    uint64_t capacity;
    uint64_t whole_capacity; /* without other tenants */
    uint64_t filled_told_ns; /* when its process last asked for free space while they were there; 0: not yet */
    unsigned slowness;       /* of its asynchronous writes */
    uint64_t fail_at;
    uint64_t crash_at;
    bool failure_told;
    bool temporary_stuck;
    bool locked;
    struct disk_file *files;
    struct flight *flights;
};

struct fate { /* of one changing operation */
    bool fails;
    bool crashes;
};

static struct fate fate_draw(struct sim_disk *disk)
{
    struct fate fate = {.fails = false, .crashes = false};
    CHECK(disk->node != NULL); /* a process that was killed touches no disk */
    sim_trace(disk->world, 0xd15c);
    if (disk->node->doomed) {
        return fate;
    }
    if (disk->fail_at > 0 && --disk->fail_at == 0) {
        fate.fails = true;
        disk->world->counts.failed_writes++;
    } else if (disk->crash_at > 0 && --disk->crash_at == 0) {
        fate.crashes = true;
    }
    return fate;
}

static void count_losses(struct sim_disk *disk, const struct media_losses *losses)
{
    disk->world->counts.torn_writes += losses->torn;
    disk->world->counts.lost_writes += losses->lost;
    disk->world->counts.lost_names += losses->names;
}

static void resolve_flights(struct sim_disk *disk, struct media *media, struct media_losses *losses)
{
    for (struct flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        if (!flight->settled) {
            media_put_torn(media, flight->inode, flight->number, flight->offset, flight->bytes, flight->len, &disk->rng,
                           losses);
        }
    }
}

static void take_picture(struct sim_disk *disk)
{
    struct media_losses losses = {0};
    disk->picture = media_clone(disk->media);
    /* A file without a name isn't in the clone, though a write to it may be in flight. */
    for (struct flight *flight = disk->flights; flight != NULL; flight = flight->next) {
        if (!flight->settled && disk->picture->inodes[flight->inode] != NULL) {
            media_put_torn(disk->picture, flight->inode, flight->number, flight->offset, flight->bytes, flight->len,
                           &disk->rng, &losses);
        }
    }
    media_power_loss(disk->picture, &disk->rng, &losses);
    count_losses(disk, &losses);
    disk->world->counts.op_crashes++;
    sim_node_doom(disk->node, SIM_POWER_LOSS);
}

static void spend(struct sim_disk *disk, uint64_t least_us, uint64_t most_us)
{
    sim_loop_spend(disk->node, rng_between(&disk->rng, least_us, most_us) * SIM_US);
}

static enum error failed(struct sim_disk *disk, int *os_error)
{
    disk->failure_told = true;
    *os_error = EIO;
    return ERROR_IO;
}

/* storage throws a temporary file away in passing, and meets what is left of it when it wants the name again. */
static enum error failed_to_unlink(struct sim_disk *disk, const char *name, int *os_error)
{
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".tmp") == 0) {
        disk->temporary_stuck = true;
        *os_error = EIO;
        return ERROR_IO;
    }
    return failed(disk, os_error);
}

static enum error not_found(int *os_error)
{
    *os_error = ENOENT;
    return ERROR_NOT_FOUND;
}

/* ---- files ---- */

static enum error disk_open(void *impl, const char *path, enum disk_mode mode, struct disk_file **file, int *os_error)
{
    struct sim_disk *disk = impl;
    CHECK(disk->node != NULL);
    uint32_t inode = media_find(disk->media, path);
    if (mode == DISK_CREATE) {
        if (inode != MEDIA_NONE) {
            *os_error = EEXIST;
            return ERROR_EXISTS;
        }
        const char *name;
        uint32_t parent = media_parent(disk->media, path, &name);
        if (parent == MEDIA_NONE) {
            return not_found(os_error);
        }
        struct fate fate = fate_draw(disk);
        if (fate.fails) {
            return failed(disk, os_error);
        }
        inode = media_create(disk->media, parent, name, false);
        if (fate.crashes) {
            take_picture(disk);
        }
    } else if (inode == MEDIA_NONE || disk->media->inodes[inode]->directory) {
        return not_found(os_error);
    }
    struct disk_file *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    *opened = (struct disk_file){.disk = disk, .inode = inode, .mode = mode, .next = disk->files};
    if (disk->files != NULL) {
        disk->files->previous = opened;
    }
    disk->files = opened;
    disk->media->inodes[inode]->opens++;
    *file = opened;
    return ERROR_NONE;
}

static void file_forget(struct disk_file *file)
{
    if (file->previous != NULL) {
        file->previous->next = file->next;
    } else {
        file->disk->files = file->next;
    }
    if (file->next != NULL) {
        file->next->previous = file->previous;
    }
    free(file);
}

static void disk_close(struct disk_file *file)
{
    if (file == NULL) {
        return;
    }
    CHECK(file->disk->node != NULL && file->in_flight == 0);
    struct media *media = file->disk->media;
    bool last = --media->inodes[file->inode]->opens == 0;
    file_forget(file);
    if (last) {
        media_collect(media);
    }
}

static enum error disk_size(struct disk_file *file, uint64_t *bytes, int *os_error)
{
    (void)os_error;
    *bytes = file->disk->media->inodes[file->inode]->live.len;
    return ERROR_NONE;
}

static enum error disk_read(struct disk_file *file, uint64_t offset, void *base, size_t len, size_t *got, int *os_error)
{
    (void)os_error;
    const struct buffer *live = &file->disk->media->inodes[file->inode]->live;
    *got = 0;
    if (offset < live->len) {
        *got = live->len - offset < len ? (size_t)(live->len - offset) : len;
        memcpy(base, live->base + offset, *got);
    }
    return ERROR_NONE;
}

static enum error disk_write(struct disk_file *file, uint64_t offset, const void *base, size_t len, int *os_error)
{
    struct sim_disk *disk = file->disk;
    CHECK(file->mode == DISK_WRITE || file->mode == DISK_CREATE);
    struct fate fate = fate_draw(disk);
    uint64_t size = disk->media->inodes[file->inode]->live.len;
    uint64_t end = offset + len;
    if (fate.fails) {
        media_write(disk->media, file->inode, offset, base, (size_t)rng_below(&disk->rng, len + 1));
        return failed(disk, os_error);
    }
    if (end > size && media_used(disk->media) + (end - size) > disk->capacity) {
        disk->world->counts.full_writes++;
        disk->failure_told = true;
        *os_error = ENOSPC;
        return ERROR_NO_SPACE;
    }
    media_write(disk->media, file->inode, offset, base, len);
    if (fate.crashes) {
        take_picture(disk);
    }
    return ERROR_NONE;
}

static enum error disk_sync(struct disk_file *file, int *os_error)
{
    struct sim_disk *disk = file->disk;
    struct fate fate = fate_draw(disk);
    spend(disk, 50, rng_chance(&disk->rng, 950) ? 1000 : 20000);
    if (fate.fails) {
        media_sync_half(disk->media, file->inode, &disk->rng);
        return failed(disk, os_error);
    }
    if (fate.crashes) {
        take_picture(disk);
    }
    media_sync(disk->media, file->inode);
    return ERROR_NONE;
}

/* ---- asynchronous writes ---- */

static void flight_forget(struct flight *flight)
{
    if (flight->previous != NULL) {
        flight->previous->next = flight->next;
    } else {
        flight->disk->flights = flight->next;
    }
    if (flight->next != NULL) {
        flight->next->previous = flight->previous;
    }
    free(flight->bytes);
    free(flight);
}

static void flight_done(void *arg)
{
    struct flight *flight = arg;
    struct sim_disk *disk = flight->disk;
    struct disk_write *write = flight->write;
    bool fails = flight->fails;
    flight->file->in_flight--;
    if (fails) {
        disk->failure_told = true;
    } else {
        media_record_done(disk->media, flight->number);
    }
    flight_forget(flight);
    write->done(write, fails ? ERROR_IO : ERROR_NONE, fails ? EIO : 0);
}

static void flight_reaches_media(void *arg)
{
    struct flight *flight = arg;
    struct sim_disk *disk = flight->disk;
    struct sim_world *world = disk->world;
    if (memcmp(flight->bytes, flight->write->base, flight->len) != 0) {
        sim_fail(world, "%s changed the memory of a write while it was in flight", disk->node->name);
    }
    if (flight->fails) {
        struct media_losses losses = {0};
        media_put_torn(disk->media, flight->inode, flight->number, flight->offset, flight->bytes, flight->len,
                       &disk->rng, &losses);
        disk->media->records[flight->number - 1].complete = false;
    } else {
        media_put(disk->media, flight->inode, flight->number, flight->offset, flight->bytes, flight->len);
    }
    flight->settled = true;
    flight->event =
        sim_schedule(world, disk->node, rng_below(&disk->rng, 50 * SIM_US), SIM_WRITE_DONE, flight_done, flight);
}

static void audit_submit(const struct sim_disk *disk, const struct disk_write *write, uint32_t number)
{
    const struct media_inode *inode = disk->media->inodes[number];
    struct sim_world *world = disk->world;
    const char *name = disk->node->name;
    unsigned long long offset = write->offset;
    CHECK(write->offset % LIMIT_BLOCK_BYTES == 0 && write->len % LIMIT_BLOCK_BYTES == 0 && write->len > 0);
    CHECK((uintptr_t)write->base % LIMIT_BLOCK_BYTES == 0);
    if (write->offset + write->len > inode->durable.len || inode->n_writes > 0) {
        sim_fail(world, "%s writes a record at %llu into space that wasn't filled and synced", name, offset);
    }
    if (media_name_unsynced(disk->media, number)) {
        sim_fail(world, "%s writes a record into a file whose name wasn't synced", name);
    }
    if (media_overwrites_acknowledged(disk->media, number, write->offset, write->len)) {
        sim_fail(world, "%s writes over an acknowledged block at %llu", name, offset);
    }
}

static uint64_t write_delay_ns(struct sim_disk *disk)
{
    uint64_t die = rng_below(&disk->rng, 1000);
    if (die < 900) {
        return rng_between(&disk->rng, 60, 600) * SIM_US * disk->slowness;
    }
    return rng_between(&disk->rng, 1, die < 995 ? 8 : 80) * SIM_MS * disk->slowness;
}

static void disk_submit(void *impl, struct disk_write *write)
{
    struct sim_disk *disk = impl;
    CHECK(write->file->mode == DISK_LOG && write->file->disk == disk);
    struct fate fate = fate_draw(disk);
    audit_submit(disk, write, write->file->inode);
    struct flight *flight = calloc(1, sizeof *flight);
    CHECK(flight != NULL);
    *flight = (struct flight){.disk = disk,
                              .write = write,
                              .file = write->file,
                              .inode = write->file->inode,
                              .number = media_record_begin(disk->media, write->len),
                              .offset = write->offset,
                              .len = write->len,
                              .bytes = malloc(write->len),
                              .fails = fate.fails,
                              .next = disk->flights};
    CHECK(flight->bytes != NULL);
    memcpy(flight->bytes, write->base, write->len);
    sim_trace(disk->world, checksum_64(write->base, write->len));
    if (disk->flights != NULL) {
        disk->flights->previous = flight;
    }
    disk->flights = flight;
    write->file->in_flight++;
    flight->event =
        sim_schedule(disk->world, NULL, write_delay_ns(disk), SIM_WRITE_MEDIA, flight_reaches_media, flight);
    if (fate.crashes) {
        take_picture(disk);
    }
}

/* ---- names ---- */

static enum error disk_make_directory(void *impl, const char *path, int *os_error)
{
    struct sim_disk *disk = impl;
    CHECK(disk->node != NULL);
    if (media_find(disk->media, path) != MEDIA_NONE) {
        *os_error = EEXIST;
        return ERROR_EXISTS;
    }
    const char *name;
    uint32_t parent = media_parent(disk->media, path, &name);
    if (parent == MEDIA_NONE) {
        return not_found(os_error);
    }
    struct fate fate = fate_draw(disk);
    if (fate.fails) {
        return failed(disk, os_error);
    }
    (void)media_create(disk->media, parent, name, true);
    if (fate.crashes) {
        take_picture(disk);
    }
    return ERROR_NONE;
}

static enum error disk_rename(void *impl, const char *from, const char *to, int *os_error)
{
    struct sim_disk *disk = impl;
    CHECK(disk->node != NULL);
    const char *from_name;
    const char *to_name;
    uint32_t from_parent = media_parent(disk->media, from, &from_name);
    uint32_t to_parent = media_parent(disk->media, to, &to_name);
    if (from_parent == MEDIA_NONE || to_parent == MEDIA_NONE || media_find(disk->media, from) == MEDIA_NONE) {
        return not_found(os_error);
    }
    struct fate fate = fate_draw(disk);
    if (fate.fails) {
        return failed(disk, os_error);
    }
    media_rename(disk->media, from_parent, from_name, to_parent, to_name);
    if (fate.crashes) {
        take_picture(disk);
    }
    return ERROR_NONE;
}

static enum error disk_unlink(void *impl, const char *path, int *os_error)
{
    struct sim_disk *disk = impl;
    CHECK(disk->node != NULL);
    const char *name;
    uint32_t parent = media_parent(disk->media, path, &name);
    if (parent == MEDIA_NONE || media_find(disk->media, path) == MEDIA_NONE) {
        return not_found(os_error);
    }
    struct fate fate = fate_draw(disk);
    if (fate.fails) {
        return failed_to_unlink(disk, name, os_error);
    }
    media_unlink(disk->media, parent, name);
    if (fate.crashes) {
        take_picture(disk);
    }
    return ERROR_NONE;
}

static enum error disk_sync_directory(void *impl, const char *path, int *os_error)
{
    struct sim_disk *disk = impl;
    CHECK(disk->node != NULL);
    uint32_t inode = media_find(disk->media, path);
    if (inode == MEDIA_NONE || !disk->media->inodes[inode]->directory) {
        return not_found(os_error);
    }
    struct fate fate = fate_draw(disk);
    spend(disk, 50, 500);
    if (fate.fails) {
        return failed(disk, os_error);
    }
    if (fate.crashes) {
        take_picture(disk);
    }
    media_sync_directory(disk->media, inode);
    return ERROR_NONE;
}

static enum error disk_list(void *impl, const char *path, void (*each)(void *arg, const char *name), void *arg,
                            int *os_error)
{
    struct sim_disk *disk = impl;
    CHECK(disk->node != NULL);
    uint32_t inode = media_find(disk->media, path);
    if (inode == MEDIA_NONE || !disk->media->inodes[inode]->directory) {
        return not_found(os_error);
    }
    const struct media_names *names = &disk->media->inodes[inode]->live_names;
    size_t first = names->n == 0 ? 0 : (size_t)rng_below(&disk->rng, names->n);
    for (size_t i = 0; i < names->n; i++) {
        char name[MEDIA_NAME_BYTES];
        memcpy(name, names->names[(first + i) % names->n].name, sizeof name);
        each(arg, name);
    }
    return ERROR_NONE;
}

static enum error disk_free_bytes(void *impl, uint64_t *bytes, int *os_error)
{
    (void)os_error;
    struct sim_disk *disk = impl;
    uint64_t used = media_used(disk->media);
    *bytes = used < disk->capacity ? disk->capacity - used : 0;
    if (disk->node != NULL && disk->capacity < disk->whole_capacity) {
        disk->filled_told_ns = disk->world->now_ns;
    }
    return ERROR_NONE;
}

static enum error disk_lock(void *impl, const char *path, int *os_error)
{
    struct sim_disk *disk = impl;
    if (disk->locked) {
        *os_error = EWOULDBLOCK;
        return ERROR_LOCKED;
    }
    if (media_find(disk->media, path) == MEDIA_NONE) {
        const char *name;
        uint32_t parent = media_parent(disk->media, path, &name);
        if (parent == MEDIA_NONE) {
            return not_found(os_error);
        }
        (void)media_create(disk->media, parent, name, false);
    }
    disk->locked = true;
    return ERROR_NONE;
}

static const char *disk_log_mode(void *impl)
{
    (void)impl;
    return "aio";
}

/* ---- life ---- */

struct sim_disk *sim_disk_open(struct sim_world *world, unsigned sector_bytes, uint64_t capacity_bytes)
{
    struct sim_disk *disk = calloc(1, sizeof *disk);
    CHECK(disk != NULL);
    disk->world = world;
    disk->media = media_open(sector_bytes);
    disk->capacity = disk->whole_capacity = capacity_bytes;
    rng_seed(&disk->rng, rng_next(&world->shuffle), 3);
    disk->slowness = rng_chance(&disk->rng, 800) ? 1 : 15;
    return disk;
}

struct sim_disk *sim_disk_clone(const struct sim_disk *from)
{
    CHECK(from->node == NULL);
    struct sim_disk *disk = calloc(1, sizeof *disk);
    CHECK(disk != NULL);
    disk->world = from->world;
    disk->media = media_clone(from->media);
    disk->capacity = from->capacity;
    disk->whole_capacity = from->whole_capacity;
    disk->rng = from->rng;
    disk->slowness = from->slowness;
    return disk;
}

void sim_disk_close(struct sim_disk *disk)
{
    CHECK(disk->node == NULL);
    media_close(disk->media);
    free(disk);
}

void sim_disk_mount(struct sim_disk *disk, struct sim_node *node)
{
    CHECK(disk->node == NULL);
    disk->node = node;
    disk->failure_told = false;
    disk->temporary_stuck = false;
    disk->filled_told_ns = 0;
    node->disk_functions = (struct disk){
        .impl = disk,
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
        .log_mode = disk_log_mode,
    };
}

static void drop_process(struct sim_disk *disk)
{
    while (disk->flights != NULL) {
        sim_cancel(disk->world, disk->flights->event);
        flight_forget(disk->flights);
    }
    while (disk->files != NULL) {
        file_forget(disk->files);
    }
    disk->locked = false;
    disk->fail_at = 0;
    disk->crash_at = 0;
    disk->node = NULL;
}

void sim_disk_unmount(struct sim_disk *disk, enum sim_death death)
{
    struct media_losses losses = {0};
    CHECK(disk->node != NULL);
    if (disk->picture != NULL) {
        media_close(disk->media);
        disk->media = disk->picture;
        disk->picture = NULL;
    } else {
        resolve_flights(disk, disk->media, &losses);
        if (death == SIM_POWER_LOSS) {
            media_power_loss(disk->media, &disk->rng, &losses);
        } else {
            media_settle(disk->media);
        }
    }
    count_losses(disk, &losses);
    drop_process(disk);
}

void sim_disk_wipe(struct sim_disk *disk)
{
    CHECK(disk->node == NULL);
    unsigned sector_bytes = disk->media->sector_bytes;
    media_close(disk->media);
    disk->media = media_open(sector_bytes);
}

void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes)
{
    disk->capacity = bytes;
}

uint64_t sim_disk_filled_told_ns(const struct sim_disk *disk)
{
    return disk->filled_told_ns;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return media_used(disk->media);
}

void sim_disk_fail_at(struct sim_disk *disk, uint64_t n)
{
    disk->fail_at = n;
}

void sim_disk_crash_at(struct sim_disk *disk, uint64_t n)
{
    disk->crash_at = n;
}

bool sim_disk_armed(const struct sim_disk *disk)
{
    return disk->fail_at > 0 || disk->crash_at > 0;
}

bool sim_disk_failure_told(struct sim_disk *disk)
{
    bool told = disk->failure_told;
    disk->failure_told = false;
    return told;
}

bool sim_disk_temporary_stuck(const struct sim_disk *disk)
{
    return disk->temporary_stuck;
}

void sim_disk_each(const struct sim_disk *disk, void (*each)(void *arg, const struct sim_file_view *file), void *arg)
{
    media_each(disk->media, each, arg);
}

bool sim_disk_equal(const struct sim_disk *a, const struct sim_disk *b)
{
    return media_equal(a->media, b->media);
}

void sim_disk_flip(struct sim_disk *disk, uint32_t number, uint64_t offset, uint8_t mask)
{
    struct media_inode *inode = disk->media->inodes[number];
    CHECK(offset < inode->live.len);
    inode->live.base[offset] ^= mask;
    if (offset < inode->durable.len) {
        inode->durable.base[offset] ^= mask;
    }
}

enum sim_block sim_disk_block(const struct sim_disk *disk, uint32_t inode, uint64_t offset)
{
    return media_block(disk->media, inode, offset);
}
