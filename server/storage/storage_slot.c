/* Two-slot files: the vote, the highest segment's number, the newest snapshot's index.
 *
 * A change goes to copy 0, is synced, then to copy 1, is synced. So at every moment at least one copy is whole, and once
 * the change was answered both hold it: a crash in the middle leaves the older or the newer value, never none, and one
 * flipped bit afterwards is repaired from the other copy. Two bad copies are damage, as is a file that isn't there. */
#include <string.h>

#include "storage/storage_private.h"

#define SLOT_SEQUENCE STORAGE_PREFIX_BYTES
#define SLOT_VALUES   (STORAGE_PREFIX_BYTES + 8u)
#define SLOT_CHECKSUM (STORAGE_PREFIX_BYTES + 24u)
#define SLOT_BYTES    (STORAGE_PREFIX_BYTES + 32u)

struct copy {
    uint64_t sequence;
    uint64_t values[2];
    bool whole;
};

static void copy_encode(uint8_t *block, const struct storage_slot *slot, const struct storage_owner *owner)
{
    memset(block, 0, LIMIT_BLOCK_BYTES);
    storage_prefix_encode(block, slot->kind, owner);
    bytes_put_u64(block + SLOT_SEQUENCE, slot->sequence);
    bytes_put_u64(block + SLOT_VALUES, slot->values[0]);
    bytes_put_u64(block + SLOT_VALUES + 8, slot->values[1]);
    bytes_put_u64(block + SLOT_CHECKSUM, checksum_64(block, SLOT_CHECKSUM));
}

/* Only VERSION and FOREIGN are errors: whether damage is one, the other copy says. */
static enum error copy_decode(struct copy *copy, const uint8_t *base, size_t len, const struct storage_slot *slot,
                              const struct storage_owner *owner)
{
    *copy = (struct copy){0};
    if (len < SLOT_BYTES || bytes_get_u64(base + SLOT_CHECKSUM) != checksum_64(base, SLOT_CHECKSUM)) {
        return ERROR_NONE;
    }
    enum error error = storage_prefix_check(base, slot->kind, owner);
    if (error != ERROR_NONE) {
        return error == ERROR_CORRUPT ? ERROR_NONE : error;
    }
    copy->sequence = bytes_get_u64(base + SLOT_SEQUENCE);
    copy->values[0] = bytes_get_u64(base + SLOT_VALUES);
    copy->values[1] = bytes_get_u64(base + SLOT_VALUES + 8);
    copy->whole = true;
    return ERROR_NONE;
}

static enum error slot_judge(struct storage_slot *slot, const struct copy copies[2], struct error_text *text)
{
    if (!copies[0].whole && !copies[1].whole) {
        return error_set(text, ERROR_CORRUPT, "%s: offset 0 and %u: both copies are damaged; " STORAGE_ADVICE,
                         slot->path, LIMIT_BLOCK_BYTES);
    }
    unsigned best = !copies[0].whole || (copies[1].whole && copies[1].sequence > copies[0].sequence) ? 1 : 0;
    slot->sequence = copies[best].sequence;
    memcpy(slot->values, copies[best].values, sizeof slot->values);
    slot->repair = 0;
    const struct copy *other = &copies[1 - best];
    if (!other->whole || other->sequence != slot->sequence ||
        memcmp(other->values, slot->values, sizeof slot->values) != 0) {
        slot->repair = 1u << (1 - best);
    }
    return ERROR_NONE;
}

enum error storage_slot_read(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                             struct error_text *text)
{
    struct storage_failure failure;
    struct disk_file *file = NULL;
    uint8_t blocks[2 * LIMIT_BLOCK_BYTES];
    size_t got = 0;
    enum error error = storage_io_open(disk, slot->path, DISK_READ, &file, &failure);
    if (error == ERROR_NOT_FOUND) {
        return error_set(text, ERROR_CORRUPT, "%s: is missing; " STORAGE_ADVICE, slot->path);
    }
    if (error == ERROR_NONE) {
        error = storage_io_read(disk, file, slot->path, 0, blocks, sizeof blocks, &got, &failure);
        disk->close(file);
    }
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    struct copy copies[2];
    for (size_t i = 0; i < 2; i++) {
        size_t at = i * LIMIT_BLOCK_BYTES;
        error = copy_decode(&copies[i], blocks + at, got > at ? got - at : 0, slot, owner);
        if (error != ERROR_NONE) {
            return storage_prefix_refuse(error, blocks + at, slot->path, text);
        }
    }
    return slot_judge(slot, copies, text);
}

static enum error slot_open(struct storage_slot *slot, const struct disk *disk, struct storage_failure *failure)
{
    return slot->file != NULL ? ERROR_NONE : storage_io_open(disk, slot->path, DISK_WRITE, &slot->file, failure);
}

static enum error slot_put(struct storage_slot *slot, const struct disk *disk, const uint8_t *block, unsigned which,
                           struct storage_failure *failure)
{
    enum error error = ERROR_NONE;
    for (unsigned i = 0; i < 2 && error == ERROR_NONE; i++) {
        if ((which & 1u << i) != 0) {
            error = storage_io_write(disk, slot->file, slot->path, (uint64_t)i * LIMIT_BLOCK_BYTES, block,
                                     LIMIT_BLOCK_BYTES, failure);
            if (error == ERROR_NONE) {
                error = storage_io_sync(disk, slot->file, slot->path, failure);
            }
        }
    }
    return error;
}

/* Only one copy can be read and not be durable yet, because the process that wrote it died before its sync. It differs
 * from the other one then, and the sync of the repair is its sync, too. */
enum error storage_slot_repair(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                               struct storage_failure *failure)
{
    uint8_t block[LIMIT_BLOCK_BYTES];
    enum error error = slot_open(slot, disk, failure);
    if (error == ERROR_NONE) {
        copy_encode(block, slot, owner);
        error = slot_put(slot, disk, block, slot->repair, failure);
    }
    if (error == ERROR_NONE) {
        slot->repair = 0;
    }
    return error;
}

enum error storage_slot_create(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                               struct storage_failure *failure)
{
    uint8_t block[LIMIT_BLOCK_BYTES];
    enum error error = storage_io_open(disk, slot->path, DISK_CREATE, &slot->file, failure);
    if (error == ERROR_NONE) {
        slot->sequence = 1;
        copy_encode(block, slot, owner);
        error = slot_put(slot, disk, block, 3, failure);
        storage_slot_close(slot, disk);
    }
    return error;
}

enum error storage_slot_write(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                              const uint64_t values[2], struct storage_failure *failure)
{
    uint8_t block[LIMIT_BLOCK_BYTES];
    struct storage_slot changed = *slot;
    changed.sequence++;
    memcpy(changed.values, values, sizeof changed.values);
    copy_encode(block, &changed, owner);
    enum error error = slot_put(slot, disk, block, 3, failure);
    if (error == ERROR_NONE) {
        *slot = changed;
    }
    return error;
}

void storage_slot_close(struct storage_slot *slot, const struct disk *disk)
{
    disk->close(slot->file);
    slot->file = NULL;
}

/* ---- term and vote ---- */

static void vote_change(struct storage *storage, uint64_t term, uint64_t vote)
{
    struct storage_failure failure;
    const uint64_t values[2] = {term, vote};
    if (storage_slot_write(&storage->vote, storage->disk, &storage->owner, values, &failure) != ERROR_NONE) {
        storage_fail(storage, &failure);
    }
}

void storage_set_term(struct storage *storage, uint64_t term)
{
    CHECK(storage->identity.initialised);
    CHECK(term >= storage->vote.values[0]);
    if (!storage->dead && term != storage->vote.values[0]) {
        vote_change(storage, term, 0);
    }
}

void storage_set_vote(struct storage *storage, uint64_t vote)
{
    CHECK(storage->identity.initialised);
    if (!storage->dead && vote != storage->vote.values[1]) {
        vote_change(storage, storage->vote.values[0], vote);
    }
}
