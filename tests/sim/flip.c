/* Damaged disks. Before a restart, copies of the disk get a bit flipped, and a start is tried on each.
 *
 * What a copy answers is compared with what the sound disk answers, in full: who it is, term and vote, the snapshot with
 * all its chunks, every entry. A damaged copy may refuse to start (and must then be left as it was), or answer the same;
 * anything else is silent loss, except for the end of a log that no later record vouches for, which no reader could tell
 * from a torn write. One bad copy of a two-copy file must be repaired, and blocks that were never written must not
 * matter. */
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/limits.h"
#include "cluster.h"

#define ENTRIES_MAX 4096u

struct look { /* what a start sees */
    enum error error;
    struct error_text text;
    struct digest128 rest; /* identity, term, vote, snapshot */
    uint64_t first_index;
    size_t n_entries;
    uint64_t entries[ENTRIES_MAX]; /* a checksum each */
};

/* ---- looking ---- */

static void add(struct buffer *facts, const void *bytes, size_t len)
{
    buffer_append(facts, &len, sizeof len);
    buffer_append(facts, bytes, len);
}

static void look_at_identity(const struct storage *storage, struct buffer *facts)
{
    const struct storage_identity *identity = storage_identity(storage);
    if (identity == NULL) {
        return;
    }
    add(facts, identity->name, strlen(identity->name));
    add(facts, identity->incarnation, sizeof identity->incarnation);
    add(facts, identity->cluster_id, sizeof identity->cluster_id);
    add(facts, &identity->node_id, sizeof identity->node_id);
    add(facts, &identity->initialised, sizeof identity->initialised);
    add(facts, identity->spec.base, identity->spec.len);
    add(facts, identity->founders.base, identity->founders.len);
}

static enum error look_at_snapshot(struct storage *storage, struct buffer *facts, struct error_text *text)
{
    struct storage_snapshot_info info;
    struct storage_snapshot_reader *reader;
    struct buffer chunk;
    storage_snapshot_newest(storage, &info);
    add(facts, &info.index, sizeof info.index);
    if (info.index == 0) {
        return ERROR_NONE;
    }
    add(facts, &info.term, sizeof info.term);
    add(facts, &info.configuration_index, sizeof info.configuration_index);
    add(facts, info.configuration.base, info.configuration.len);
    enum error error = storage_snapshot_open(storage, &reader, text);
    if (error != ERROR_NONE) {
        return error;
    }
    buffer_init(&chunk);
    for (uint64_t i = 0; i < info.chunks && error == ERROR_NONE; i++) {
        error = storage_snapshot_read(reader, i, &chunk, text);
        add(facts, chunk.base, chunk.len);
    }
    buffer_close(&chunk);
    storage_snapshot_reader_close(reader);
    return error;
}

static void look_at_log(const struct storage_loaded *loaded, struct look *look)
{
    look->first_index = loaded->first_index;
    look->n_entries = loaded->n_entries < ENTRIES_MAX ? loaded->n_entries : ENTRIES_MAX;
    for (size_t i = 0; i < look->n_entries; i++) {
        const struct storage_entry *entry = &loaded->entries[i];
        uint64_t parts[3] = {entry->term, entry->type, checksum_64(entry->data.base, entry->data.len)};
        look->entries[i] = checksum_64(parts, sizeof parts);
    }
}

static void looker_fatal(void *arg, const char *path, uint64_t offset, const char *what, int os_error)
{
    (void)path;
    (void)offset;
    (void)what;
    (void)os_error;
    ((struct look *)arg)->error = ERROR_IO;
}

/* Starts on `disk`, sees, and dies. The disk keeps what the start repaired. */
static void look_take(struct member *member, struct sim_disk *disk, struct look *look)
{
    struct sim_node *looker = member->cluster->looker;
    struct storage_options options;
    struct storage *storage = NULL;
    struct storage_loaded loaded;
    struct buffer facts;
    memset(look, 0, sizeof *look);
    looker->disk = disk;
    sim_node_start(looker);
    member_storage_options(member, &options);
    options.disk = &looker->disk_functions;
    options.loop = &looker->loop;
    options.fatal = looker_fatal;
    options.note = NULL;
    options.arg = look;
    look->error = storage_open(&options, &storage, &look->text);
    if (look->error == ERROR_NONE) {
        buffer_init(&facts);
        look_at_identity(storage, &facts);
        if (storage_identity(storage) != NULL && storage_identity(storage)->initialised) {
            storage_loaded(storage, &loaded);
            add(&facts, &loaded.term, sizeof loaded.term);
            add(&facts, &loaded.vote, sizeof loaded.vote);
            look_at_log(&loaded, look);
            look->error = look_at_snapshot(storage, &facts, &look->text);
        }
        look->rest = checksum_128(facts.base, facts.len);
        buffer_close(&facts);
    }
    sim_node_kill_begin(looker, SIM_KILLED);
    if (storage != NULL) {
        storage_crash(storage);
    }
    sim_node_kill_end(looker);
    looker->disk = NULL;
}

static bool same_beginning(const struct look *sound, const struct look *damaged)
{
    return digest128_equal(&sound->rest, &damaged->rest) && damaged->n_entries <= sound->n_entries &&
           (damaged->n_entries == 0 || sound->first_index == damaged->first_index) &&
           memcmp(sound->entries, damaged->entries, damaged->n_entries * sizeof damaged->entries[0]) == 0;
}

/* ---- choosing ---- */

enum target { TARGET_SLOT, TARGET_BOTH_SLOTS, TARGET_SOLID, TARGET_LOG };

struct place {
    char path[128];
    uint32_t inode;
    uint64_t offset;
    uint8_t mask;
    enum target target;
};

struct choice {
    struct rng *rng;
    uint64_t seen;
    enum target target;
    struct place place;
};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static bool is_slot_file(const char *path)
{
    return strcmp(path, "vote") == 0 || strcmp(path, "log/highest") == 0 || strcmp(path, "snapshot/newest") == 0;
}

static bool fits(const char *path, enum target target)
{
    bool log = strncmp(path, "log/", 4) == 0 && !is_slot_file(path);
    switch (target) {
    case TARGET_SLOT:
    case TARGET_BOTH_SLOTS:
        return is_slot_file(path);
    case TARGET_LOG:
        return log;
    default:
        return !log && !is_slot_file(path) && strcmp(path, "lock") != 0;
    }
}

static void consider(void *arg, const struct sim_file_view *file)
{
    struct choice *choice = arg;
    if (file->len == 0 || ends_with(file->path, ".tmp") || !fits(file->path, choice->target)) {
        return;
    }
    if (rng_below(choice->rng, ++choice->seen) != 0) {
        return;
    }
    struct place *place = &choice->place;
    CHECK(strlen(file->path) < sizeof place->path);
    memcpy(place->path, file->path, strlen(file->path) + 1);
    place->inode = file->inode;
    place->offset = rng_below(choice->rng, file->len);
    if (choice->target == TARGET_SLOT || choice->target == TARGET_BOTH_SLOTS) { /* not the empty end of a block */
        place->offset = place->offset % LIMIT_BLOCK_BYTES % 160 + place->offset / LIMIT_BLOCK_BYTES * LIMIT_BLOCK_BYTES;
    } else if (choice->target == TARGET_LOG && rng_chance(choice->rng, 800)) {
        /* Near a block that isn't empty: the last one before the place drawn. */
        uint64_t block = place->offset / LIMIT_BLOCK_BYTES;
        while (block > 0 && file->bytes[block * LIMIT_BLOCK_BYTES] == 0) {
            block--;
        }
        place->offset = block * LIMIT_BLOCK_BYTES + rng_below(choice->rng, 400);
    }
    place->mask = (uint8_t)(1u << rng_below(choice->rng, 8));
    place->target = choice->target;
}

static bool choose(struct rng *rng, const struct sim_disk *disk, struct place *place)
{
    static const enum target targets[] = {TARGET_SLOT, TARGET_BOTH_SLOTS, TARGET_SOLID, TARGET_LOG, TARGET_LOG};
    struct choice choice = {.rng = rng, .seen = 0, .target = targets[rng_below(rng, 5)]};
    sim_disk_each(disk, consider, &choice);
    *place = choice.place;
    return choice.seen > 0;
}

static void damage(struct sim_disk *disk, const struct place *place)
{
    sim_disk_flip(disk, place->inode, place->offset, place->mask);
    if (place->target == TARGET_BOTH_SLOTS) {
        sim_disk_flip(disk, place->inode, place->offset ^ LIMIT_BLOCK_BYTES, place->mask);
    }
}

/* ---- judging ---- */

static void fail(struct member *member, const struct place *place, const char *what)
{
    sim_fail(&member->cluster->world, "%s: a flipped bit in %s at %llu (target %d) %s", member->node->name, place->path,
             (unsigned long long)place->offset, (int)place->target, what);
}

/* The first block of a segment is its header, and the second may hold the first entry, from before there was a log. */
static void judge(struct member *member, const struct place *place, enum sim_block block, const struct look *sound,
                  const struct look *damaged, bool changed)
{
    struct counts *counts = &member->cluster->counts;
    bool never = place->target == TARGET_LOG && block == SIM_BLOCK_NEVER && place->offset >= 2 * LIMIT_BLOCK_BYTES;
    if (damaged->error != ERROR_NONE) {
        counts->flips_refused++;
        if (place->target == TARGET_SLOT) {
            fail(member, place, "wasn't repaired from the other copy");
        } else if (never) {
            fail(member, place, "is refused, though nothing was ever written there");
        } else if (damaged->error != ERROR_CORRUPT && damaged->error != ERROR_FOREIGN &&
                   damaged->error != ERROR_VERSION) {
            fail(member, place, "gives the wrong error");
        } else if (changed) {
            fail(member, place, "was refused, and the disk was changed");
        } else if (strstr(damaged->text.text, place->path) == NULL) {
            fail(member, place, "was refused without naming the file");
        }
        return;
    }
    bool same = same_beginning(sound, damaged);
    if (same && damaged->n_entries == sound->n_entries) {
        *(place->target == TARGET_SLOT ? &counts->flips_repaired : &counts->flips_unused) += 1;
    } else if (place->target == TARGET_LOG && block == SIM_BLOCK_UNCERTAIN &&
               digest128_equal(&sound->rest, &damaged->rest)) {
        /* This disk would count as lost. A truncation that is cut off leaves what it was to replace. */
        counts->flips_tail++;
    } else if (!same) {
        fail(member, place, "changed what is read");
    } else {
        fail(member, place, "silently loses acknowledged entries");
    }
}

static void try_one(struct member *member, const struct sim_disk *sound_disk, const struct look *sound,
                    struct look *damaged)
{
    struct cluster *cluster = member->cluster;
    struct place place;
    if (!choose(&cluster->rng, sound_disk, &place)) {
        return;
    }
    struct sim_disk *before = sim_disk_clone(sound_disk);
    damage(before, &place);
    struct sim_disk *after = sim_disk_clone(before);
    enum sim_block block =
        place.target == TARGET_LOG ? sim_disk_block(sound_disk, place.inode, place.offset) : SIM_BLOCK_NEVER;
    look_take(member, after, damaged);
    judge(member, &place, block, sound, damaged, damaged->error != ERROR_NONE && !sim_disk_equal(before, after));
    sim_disk_close(before);
    bool harmless = damaged->error == ERROR_NONE && damaged->n_entries == sound->n_entries;
    if (block != SIM_BLOCK_NEVER) {
        harmless = false; /* a record without entries may be what is gone */
    }
    if (harmless && rng_chance(&cluster->rng, 500)) {
        sim_disk_close(member->node->disk);
        member->node->disk = after; /* the member goes on with the repaired or harmless one */
    } else {
        sim_disk_close(after);
    }
}

void flip_try(struct member *member)
{
    struct look *looks = malloc(2 * sizeof *looks);
    CHECK(looks != NULL);
    look_take(member, member->node->disk, &looks[0]);
    if (looks[0].error == ERROR_NONE && looks[0].n_entries > 0) {
        for (uint64_t n = rng_between(&member->cluster->rng, 1, 3); n > 0; n--) {
            struct sim_disk *sound = sim_disk_clone(member->node->disk);
            try_one(member, sound, &looks[0], &looks[1]);
            sim_disk_close(sound);
        }
    }
    free(looks);
}
