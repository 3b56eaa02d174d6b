/* Inodes are found by number, so that a clone is a copy of arrays, and nothing is ordered by an address. */
#include "media.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

static void *grow(void *base, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity) {
        return base;
    }
    *capacity = *capacity == 0 ? 8 : *capacity * 2;
    base = realloc(base, *capacity * size);
    CHECK(base != NULL);
    return base;
}

static void *copy_of(const void *base, size_t len)
{
    if (len == 0) {
        return NULL;
    }
    void *copy = malloc(len);
    CHECK(copy != NULL);
    memcpy(copy, base, len);
    return copy;
}

/* ---- names ---- */

static struct media_name *names_find(const struct media_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->names[i].name, name) == 0) {
            return &names->names[i];
        }
    }
    return NULL;
}

static void copy_name(char to[MEDIA_NAME_BYTES], const char *from)
{
    size_t len = strlen(from);
    CHECK(len > 0 && len < MEDIA_NAME_BYTES);
    memset(to, 0, MEDIA_NAME_BYTES);
    memcpy(to, from, len);
}

static void names_set(struct media_names *names, const char *name, uint32_t inode)
{
    struct media_name *entry = names_find(names, name);
    if (entry == NULL) {
        names->names = grow(names->names, names->n, &names->capacity, sizeof *names->names);
        entry = &names->names[names->n++];
        copy_name(entry->name, name);
    }
    entry->inode = inode;
}

static void names_remove(struct media_names *names, const char *name, uint32_t inode)
{
    struct media_name *entry = names_find(names, name);
    if (entry != NULL && entry->inode == inode) {
        *entry = names->names[--names->n];
    }
}

static void names_copy(struct media_names *to, const struct media_names *from)
{
    free(to->names);
    to->names = copy_of(from->names, from->n * sizeof *from->names);
    to->n = from->n;
    to->capacity = from->n;
}

static void names_change(struct media_names *names, const struct media_change *change)
{
    if (change->kind != MEDIA_CREATE) {
        names_remove(names, change->from, change->inode);
    }
    if (change->kind != MEDIA_UNLINK) {
        names_set(names, change->to, change->inode);
    }
}

/* ---- life ---- */

static void forget_writes(struct media_inode *inode)
{
    for (size_t i = 0; i < inode->n_writes; i++) {
        free(inode->writes[i].bytes);
    }
    inode->n_writes = 0;
}

static void inode_free(struct media_inode *inode)
{
    buffer_close(&inode->live);
    buffer_close(&inode->durable);
    forget_writes(inode);
    free(inode->writes);
    free(inode->blocks);
    free(inode->live_names.names);
    free(inode->durable_names.names);
    free(inode->changes);
    free(inode);
}

static uint32_t inode_add(struct media *media, bool directory)
{
    uint32_t number = 0;
    while (number < media->n_inodes && media->inodes[number] != NULL) {
        number++;
    }
    if (number == media->n_inodes) {
        media->inodes = realloc(media->inodes, (media->n_inodes + 1) * sizeof(struct media_inode *));
        CHECK(media->inodes != NULL);
        media->n_inodes++;
    }
    struct media_inode *inode = calloc(1, sizeof *inode);
    CHECK(inode != NULL);
    inode->directory = directory;
    buffer_init(&inode->live);
    buffer_init(&inode->durable);
    media->inodes[number] = inode;
    return number;
}

struct media *media_open(unsigned sector_bytes)
{
    struct media *media = calloc(1, sizeof *media);
    CHECK(media != NULL);
    media->sector_bytes = sector_bytes;
    CHECK(inode_add(media, true) == MEDIA_ROOT);
    return media;
}

static struct media_inode *inode_clone(const struct media_inode *from)
{
    struct media_inode *inode = calloc(1, sizeof *inode);
    CHECK(inode != NULL);
    inode->directory = from->directory;
    inode->lying = from->lying;
    buffer_append(&inode->live, from->live.base, from->live.len);
    buffer_append(&inode->durable, from->durable.base, from->durable.len);
    inode->writes = copy_of(from->writes, from->n_writes * sizeof *from->writes);
    inode->n_writes = inode->writes_capacity = from->n_writes;
    for (size_t i = 0; i < inode->n_writes; i++) {
        inode->writes[i].bytes = copy_of(from->writes[i].bytes, from->writes[i].len);
    }
    inode->blocks = copy_of(from->blocks, from->n_blocks * sizeof *from->blocks);
    inode->n_blocks = from->n_blocks;
    names_copy(&inode->live_names, &from->live_names);
    names_copy(&inode->durable_names, &from->durable_names);
    inode->changes = copy_of(from->changes, from->n_changes * sizeof *from->changes);
    inode->n_changes = inode->changes_capacity = from->n_changes;
    return inode;
}

struct media *media_clone(const struct media *from)
{
    struct media *media = calloc(1, sizeof *media);
    CHECK(media != NULL);
    *media = *from;
    media->inodes = calloc(from->n_inodes, sizeof(struct media_inode *));
    CHECK(media->inodes != NULL);
    for (size_t i = 0; i < from->n_inodes; i++) {
        media->inodes[i] = from->inodes[i] == NULL ? NULL : inode_clone(from->inodes[i]);
    }
    media->records = copy_of(from->records, from->n_records * sizeof *from->records);
    media->records_capacity = from->n_records;
    media_collect(media);
    return media;
}

void media_close(struct media *media)
{
    for (size_t i = 0; i < media->n_inodes; i++) {
        if (media->inodes[i] != NULL) {
            inode_free(media->inodes[i]);
        }
    }
    free(media->inodes);
    free(media->records);
    free(media);
}

static void mark(const struct media *media, uint32_t number);

static void mark_names(const struct media *media, const struct media_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        mark(media, names->names[i].inode);
    }
}

static void mark(const struct media *media, uint32_t number)
{
    struct media_inode *inode = media->inodes[number];
    CHECK(inode != NULL);
    if (inode->marked) {
        return;
    }
    inode->marked = true;
    mark_names(media, &inode->live_names);
    mark_names(media, &inode->durable_names);
    for (size_t i = 0; i < inode->n_changes; i++) {
        mark(media, inode->changes[i].inode);
    }
}

void media_collect(struct media *media)
{
    for (size_t i = 0; i < media->n_inodes; i++) {
        if (media->inodes[i] != NULL) {
            media->inodes[i]->marked = false;
        }
    }
    mark(media, MEDIA_ROOT);
    for (size_t i = 0; i < media->n_inodes; i++) {
        struct media_inode *inode = media->inodes[i];
        if (inode != NULL && !inode->marked && inode->opens == 0) {
            inode_free(inode);
            media->inodes[i] = NULL;
        }
    }
}

/* ---- the tree ---- */

static uint32_t step_into(const struct media *media, uint32_t directory, const char *part, size_t len)
{
    char name[MEDIA_NAME_BYTES];
    CHECK(len < sizeof name);
    memcpy(name, part, len);
    name[len] = '\0';
    const struct media_inode *inode = media->inodes[directory];
    const struct media_name *entry = inode->directory ? names_find(&inode->live_names, name) : NULL;
    return entry == NULL ? MEDIA_NONE : entry->inode;
}

static uint32_t walk(const struct media *media, const char *path, const char *end)
{
    uint32_t at = MEDIA_ROOT;
    while (path < end && at != MEDIA_NONE) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        const char *part_end = slash == NULL ? end : slash;
        bool empty = part_end == path || (part_end == path + 1 && *path == '.');
        if (!empty) {
            at = step_into(media, at, path, (size_t)(part_end - path));
        }
        path = slash == NULL ? end : slash + 1;
    }
    return at;
}

uint32_t media_find(const struct media *media, const char *path)
{
    return walk(media, path, path + strlen(path));
}

uint32_t media_parent(const struct media *media, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash == NULL ? path : slash + 1;
    uint32_t parent = slash == NULL ? MEDIA_ROOT : walk(media, path, slash);
    return parent != MEDIA_NONE && media->inodes[parent]->directory ? parent : MEDIA_NONE;
}

static struct media_change *change_add(struct media_inode *parent, enum media_change_kind kind, uint32_t inode)
{
    parent->changes = grow(parent->changes, parent->n_changes, &parent->changes_capacity, sizeof *parent->changes);
    struct media_change *change = &parent->changes[parent->n_changes++];
    memset(change, 0, sizeof *change);
    change->kind = kind;
    change->inode = inode;
    return change;
}

uint32_t media_create(struct media *media, uint32_t parent, const char *name, bool directory)
{
    uint32_t number = inode_add(media, directory);
    struct media_change *change = change_add(media->inodes[parent], MEDIA_CREATE, number);
    copy_name(change->to, name);
    names_change(&media->inodes[parent]->live_names, change);
    return number;
}

void media_unlink(struct media *media, uint32_t parent, const char *name)
{
    struct media_inode *inode = media->inodes[parent];
    const struct media_name *entry = names_find(&inode->live_names, name);
    CHECK(entry != NULL);
    struct media_change *change = change_add(inode, MEDIA_UNLINK, entry->inode);
    copy_name(change->from, name);
    names_change(&inode->live_names, change);
}

/* A file that gets a new name begins a new life: what its blocks held is nobody's record any more. */
static void forget_blocks(struct media_inode *inode)
{
    memset(inode->blocks, 0, inode->n_blocks * sizeof *inode->blocks);
}

void media_rename(struct media *media, uint32_t from_parent, const char *from, uint32_t to_parent, const char *to)
{
    const struct media_name *entry = names_find(&media->inodes[from_parent]->live_names, from);
    CHECK(entry != NULL);
    uint32_t number = entry->inode;
    if (from_parent == to_parent) {
        struct media_change *change = change_add(media->inodes[from_parent], MEDIA_RENAME, number);
        copy_name(change->from, from);
        copy_name(change->to, to);
        names_change(&media->inodes[from_parent]->live_names, change);
    } else {
        struct media_change *change = change_add(media->inodes[to_parent], MEDIA_CREATE, number);
        copy_name(change->to, to);
        names_change(&media->inodes[to_parent]->live_names, change);
        media_unlink(media, from_parent, from);
    }
    if (media->inodes[number]->blocks != NULL) {
        forget_blocks(media->inodes[number]);
    }
}

bool media_name_unsynced(const struct media *media, uint32_t inode)
{
    for (size_t i = 0; i < media->n_inodes; i++) {
        const struct media_inode *parent = media->inodes[i];
        for (size_t j = 0; parent != NULL && j < parent->n_changes; j++) {
            const struct media_inode *changed = media->inodes[parent->changes[j].inode];
            if (parent->changes[j].inode == inode || changed->directory) {
                return true;
            }
        }
    }
    return false;
}

void media_sync_directory(struct media *media, uint32_t number)
{
    struct media_inode *inode = media->inodes[number];
    for (size_t i = 0; i < inode->n_changes; i++) {
        names_change(&inode->durable_names, &inode->changes[i]);
    }
    inode->n_changes = 0;
    media_collect(media);
}

/* ---- content ---- */

static void put_bytes(struct buffer *content, uint64_t offset, const void *bytes, size_t len)
{
    if (offset + len > content->len) {
        size_t added = (size_t)(offset + len - content->len);
        memset(buffer_extend(content, added), 0, added);
    }
    memcpy(content->base + offset, bytes, len);
}

/* Owner of a whole block that was written synchronously since the file got its name: a marker that a start has put
 * behind what it cut off. */
#define BLOCK_SYNCHRONOUS UINT64_MAX

static void own_block(struct media_inode *inode, uint64_t block, uint64_t number)
{
    if (block >= inode->n_blocks) {
        size_t n = (inode->live.len + LIMIT_BLOCK_BYTES - 1) / LIMIT_BLOCK_BYTES;
        CHECK(block < n);
        inode->blocks = realloc(inode->blocks, n * sizeof *inode->blocks);
        CHECK(inode->blocks != NULL);
        memset(inode->blocks + inode->n_blocks, 0, (n - inode->n_blocks) * sizeof *inode->blocks);
        inode->n_blocks = n;
    }
    inode->blocks[block] = number;
}

void media_write(struct media *media, uint32_t number, uint64_t offset, const void *bytes, size_t len)
{
    struct media_inode *inode = media->inodes[number];
    if (len == 0) {
        return;
    }
    put_bytes(&inode->live, offset, bytes, len);
    inode->writes = grow(inode->writes, inode->n_writes, &inode->writes_capacity, sizeof *inode->writes);
    inode->writes[inode->n_writes++] = (struct media_write){.offset = offset, .len = len, .bytes = copy_of(bytes, len)};
    uint64_t last = (offset + len - 1) / LIMIT_BLOCK_BYTES;
    bool whole = offset % LIMIT_BLOCK_BYTES == 0 && len % LIMIT_BLOCK_BYTES == 0;
    for (uint64_t block = offset / LIMIT_BLOCK_BYTES; block <= last && (whole || block < inode->n_blocks); block++) {
        own_block(inode, block, whole ? BLOCK_SYNCHRONOUS : 0);
    }
}

void media_sync(struct media *media, uint32_t number)
{
    struct media_inode *inode = media->inodes[number];
    for (size_t i = 0; i < inode->n_writes; i++) {
        const struct media_write *write = &inode->writes[i];
        put_bytes(&inode->durable, write->offset, write->bytes, write->len);
    }
    forget_writes(inode);
    if (inode->lying) { /* disk.h: after a sync that succeeded what is read is what is durable */
        size_t missing = inode->live.len > inode->durable.len ? inode->live.len - inode->durable.len : 0;
        memset(buffer_extend(&inode->durable, missing), 0, missing);
        buffer_clear(&inode->live);
        buffer_append(&inode->live, inode->durable.base, inode->durable.len);
        inode->lying = false;
    }
}

void media_sync_half(struct media *media, uint32_t number, struct rng *rng)
{
    struct media_inode *inode = media->inodes[number];
    for (size_t i = 0; i < inode->n_writes; i++) {
        const struct media_write *write = &inode->writes[i];
        if (rng_chance(rng, 500)) {
            put_bytes(&inode->durable, write->offset, write->bytes, write->len);
        }
    }
    forget_writes(inode);
    inode->lying = true;
}

uint64_t media_used(const struct media *media)
{
    uint64_t used = 0;
    for (size_t i = 0; i < media->n_inodes; i++) {
        used += media->inodes[i] == NULL ? 0 : media->inodes[i]->live.len;
    }
    return used;
}

/* ---- asynchronous writes ---- */

uint64_t media_record_begin(struct media *media, size_t len)
{
    media->records = grow(media->records, media->n_records, &media->records_capacity, sizeof *media->records);
    media->records[media->n_records++] =
        (struct media_record){.floor = media->floor, .n_blocks = (uint32_t)(len / LIMIT_BLOCK_BYTES)};
    return media->n_records;
}

static void put_durable(struct media_inode *inode, uint64_t number, uint64_t offset, const void *bytes, size_t len)
{
    put_bytes(&inode->live, offset, bytes, len);
    put_bytes(&inode->durable, offset, bytes, len);
    for (uint64_t at = offset; at < offset + len; at += LIMIT_BLOCK_BYTES) {
        own_block(inode, at / LIMIT_BLOCK_BYTES, number);
    }
}

void media_put(struct media *media, uint32_t inode, uint64_t number, uint64_t offset, const void *bytes, size_t len)
{
    put_durable(media->inodes[inode], number, offset, bytes, len);
    media->records[number - 1].complete = true;
}

void media_record_done(struct media *media, uint64_t number)
{
    media->records[number - 1].done = true;
    while (media->floor < media->n_records && media->records[media->floor].done) {
        media->records[media->floor++].acknowledged = true;
    }
}

/* Sectors that a torn write leaves: none, all, a beginning, or any. */
static bool sector_kept(unsigned manner, size_t sector, size_t cut, struct rng *rng)
{
    switch (manner) {
    case 0:
        return false;
    case 1:
        return true;
    case 2:
        return sector < cut;
    default:
        return rng_chance(rng, 500);
    }
}

struct torn {
    size_t kept;
    size_t sectors;
};

/* `first` and `second` may be the same; second NULL: only one content. */
static struct torn tear(unsigned sector_bytes, struct buffer *first, struct buffer *second, uint64_t offset,
                        const uint8_t *bytes, size_t len, struct rng *rng)
{
    struct torn torn = {.kept = 0, .sectors = 0};
    uint64_t begin = offset / sector_bytes;
    uint64_t end = (offset + len + sector_bytes - 1) / sector_bytes;
    unsigned manner = (unsigned)rng_below(rng, 4);
    size_t cut = (size_t)rng_below(rng, end - begin + 1);
    for (uint64_t sector = begin; sector < end; sector++) {
        torn.sectors++;
        if (!sector_kept(manner, (size_t)(sector - begin), cut, rng)) {
            continue;
        }
        torn.kept++;
        uint64_t from = sector * sector_bytes > offset ? sector * sector_bytes : offset;
        uint64_t to = (sector + 1) * sector_bytes < offset + len ? (sector + 1) * sector_bytes : offset + len;
        put_bytes(first, from, bytes + (from - offset), (size_t)(to - from));
        if (second != NULL) {
            put_bytes(second, from, bytes + (from - offset), (size_t)(to - from));
        }
    }
    return torn;
}

static void count_torn(struct torn torn, struct media_losses *losses)
{
    losses->lost += torn.kept == 0;
    losses->torn += torn.kept > 0 && torn.kept < torn.sectors;
}

void media_put_torn(struct media *media, uint32_t inode_number, uint64_t number, uint64_t offset, const uint8_t *bytes,
                    size_t len, struct rng *rng, struct media_losses *losses)
{
    struct media_inode *inode = media->inodes[inode_number];
    struct torn torn = tear(media->sector_bytes, &inode->live, &inode->durable, offset, bytes, len, rng);
    count_torn(torn, losses);
    if (torn.kept > 0) {
        for (uint64_t at = offset; at < offset + len; at += LIMIT_BLOCK_BYTES) {
            own_block(inode, at / LIMIT_BLOCK_BYTES, number);
        }
    }
    media->records[number - 1].complete = torn.kept == torn.sectors;
}

bool media_overwrites_acknowledged(const struct media *media, uint32_t number, uint64_t offset, size_t len)
{
    const struct media_inode *inode = media->inodes[number];
    for (uint64_t block = offset / LIMIT_BLOCK_BYTES; block < (offset + len) / LIMIT_BLOCK_BYTES; block++) {
        uint64_t record = block < inode->n_blocks ? inode->blocks[block] : 0;
        if (record != 0 && record != BLOCK_SYNCHRONOUS && media->records[record - 1].acknowledged) {
            return true;
        }
    }
    return false;
}

enum sim_block media_block(const struct media *media, uint32_t number, uint64_t offset)
{
    const struct media_inode *inode = media->inodes[number];
    uint64_t block = offset / LIMIT_BLOCK_BYTES;
    uint64_t wanted = block < inode->n_blocks ? inode->blocks[block] : 0;
    if (wanted == 0) {
        return SIM_BLOCK_NEVER;
    }
    if (wanted == BLOCK_SYNCHRONOUS) {
        return SIM_BLOCK_UNCERTAIN;
    }
    uint32_t *whole = calloc(media->n_records + 1, sizeof *whole); /* blocks of each write that are still there */
    CHECK(whole != NULL);
    enum sim_block result = SIM_BLOCK_UNCERTAIN;
    for (size_t i = 0; i < media->n_inodes; i++) {
        const struct media_inode *other = media->inodes[i];
        for (size_t b = 0; other != NULL && b < other->n_blocks; b++) {
            uint64_t record = other->blocks[b];
            if (record == 0 || record == BLOCK_SYNCHRONOUS || ++whole[record] != media->records[record - 1].n_blocks) {
                continue;
            }
            if (media->records[record - 1].complete && media->records[record - 1].floor >= wanted) {
                result = SIM_BLOCK_WITNESSED;
            }
        }
    }
    free(whole);
    return result;
}

/* ---- crashes ---- */

void media_settle(struct media *media)
{
    media->floor = media->n_records;
    for (size_t i = 0; i < media->n_inodes; i++) {
        if (media->inodes[i] != NULL) {
            media->inodes[i]->opens = 0;
        }
    }
    media_collect(media);
}

static void lose_content(struct media *media, struct media_inode *inode, struct rng *rng, struct media_losses *losses)
{
    for (size_t i = 0; i < inode->n_writes; i++) {
        const struct media_write *write = &inode->writes[i];
        count_torn(tear(media->sector_bytes, &inode->durable, NULL, write->offset, write->bytes, write->len, rng),
                   losses);
        uint64_t end = write->offset + write->len;
        if (end > inode->durable.len && rng_chance(rng, 250)) { /* the size was kept, the content wasn't */
            size_t added = (size_t)(end - inode->durable.len);
            memset(buffer_extend(&inode->durable, added), 0, added);
        }
    }
    forget_writes(inode);
    buffer_clear(&inode->live);
    buffer_append(&inode->live, inode->durable.base, inode->durable.len);
    size_t blocks = inode->live.len / LIMIT_BLOCK_BYTES;
    inode->n_blocks = inode->n_blocks < blocks ? inode->n_blocks : blocks;
}

void media_power_loss(struct media *media, struct rng *rng, struct media_losses *losses)
{
    unsigned kept_per_mille = (unsigned)(rng_below(rng, 3) * 500); /* names: none, half of them, all */
    for (size_t i = 0; i < media->n_inodes; i++) {
        struct media_inode *inode = media->inodes[i];
        if (inode == NULL) {
            continue;
        }
        for (size_t j = 0; j < inode->n_changes; j++) {
            if (rng_chance(rng, kept_per_mille)) {
                names_change(&inode->durable_names, &inode->changes[j]);
            } else {
                losses->names++;
            }
        }
        inode->n_changes = 0;
        names_copy(&inode->live_names, &inode->durable_names);
        lose_content(media, inode, rng, losses);
    }
    media_settle(media);
}

/* ---- looking ---- */

static bool inode_equal(const struct media *a, uint32_t in_a, const struct media *b, uint32_t in_b)
{
    const struct media_inode *x = a->inodes[in_a];
    const struct media_inode *y = b->inodes[in_b];
    if (x->directory != y->directory || x->live_names.n != y->live_names.n || x->live.len != y->live.len) {
        return false;
    }
    if (x->live.len > 0 && memcmp(x->live.base, y->live.base, x->live.len) != 0) {
        return false;
    }
    for (size_t i = 0; i < x->live_names.n; i++) {
        const struct media_name *other = names_find(&y->live_names, x->live_names.names[i].name);
        if (other == NULL || !inode_equal(a, x->live_names.names[i].inode, b, other->inode)) {
            return false;
        }
    }
    return true;
}

bool media_equal(const struct media *a, const struct media *b)
{
    return inode_equal(a, MEDIA_ROOT, b, MEDIA_ROOT);
}

static void each_in(const struct media *media, uint32_t number, const char *prefix,
                    void (*each)(void *arg, const struct sim_file_view *file), void *arg)
{
    const struct media_inode *inode = media->inodes[number];
    for (size_t i = 0; i < inode->live_names.n; i++) {
        char path[3 * MEDIA_NAME_BYTES];
        (void)snprintf(path, sizeof path, "%s%s", prefix, inode->live_names.names[i].name);
        uint32_t child = inode->live_names.names[i].inode;
        if (media->inodes[child]->directory) {
            (void)strncat(path, "/", sizeof path - strlen(path) - 1);
            each_in(media, child, path, each, arg);
            continue;
        }
        struct sim_file_view view = {.path = path,
                                     .bytes = media->inodes[child]->live.base,
                                     .len = media->inodes[child]->live.len,
                                     .inode = child};
        each(arg, &view);
    }
}

void media_each(const struct media *media, void (*each)(void *arg, const struct sim_file_view *file), void *arg)
{
    each_in(media, MEDIA_ROOT, "", each, arg);
}
