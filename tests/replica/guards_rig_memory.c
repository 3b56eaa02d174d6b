/* What a rig is made of: libraft's memory (counted), configurations, entries, and the disk before the first start. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/slice.h"
#include "guards_rig_inside.h"

/* ---- libraft's memory, counted ---- */

static long blocks;

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    blocks++;
    return malloc(size);
}

static void heap_free(void *data, void *block)
{
    (void)data;
    blocks -= block != NULL;
    free(block);
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    (void)data;
    blocks++;
    return calloc(n, size);
}

static void *heap_realloc(void *data, void *block, size_t size)
{
    (void)data;
    blocks += block == NULL;
    return realloc(block, size);
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    blocks++;
    return aligned_alloc(alignment, size);
}

static void heap_aligned_free(void *data, size_t alignment, void *block)
{
    (void)alignment;
    heap_free(data, block);
}

void rig_heap_count(void)
{
    static struct raft_heap heap = {
        .malloc = heap_malloc,
        .free = heap_free,
        .calloc = heap_calloc,
        .realloc = heap_realloc,
        .aligned_alloc = heap_aligned_alloc,
        .aligned_free = heap_aligned_free,
    };
    raft_heap_set(&heap);
}

long rig_blocks(void)
{
    return blocks;
}

int rig_death_of(void (*run)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
        for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
            (void)signal(signals[i], SIG_DFL); /* the test framework's and the sanitizer's would turn it into an exit */
        }
        run();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) != 0 ? -1 : 0;
}

/* ---- members ---- */

const char *rig_address(raft_id id)
{
    static const char *addresses[] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"};
    assert_true(id < sizeof addresses / sizeof addresses[0]);
    return addresses[id];
}

void rig_configuration(const char *members, struct raft_configuration *configuration)
{
    raft_configuration_init(configuration);
    for (raft_id id = 1; members[id - 1] != 0; id++) {
        char letter = members[id - 1];
        if (letter != '.') {
            int role = letter == 'v' ? RAFT_VOTER : letter == 's' ? RAFT_STANDBY : RAFT_SPARE;
            assert_int_equal(raft_configuration_add(configuration, id, rig_address(id), role), 0);
        }
    }
}

static struct rig_entry encode_members(const char *members)
{
    struct raft_configuration configuration;
    struct raft_buffer buffer;
    rig_configuration(members, &configuration);
    assert_int_equal(raft_configuration_encode(&configuration, &buffer), 0);
    raft_configuration_close(&configuration);
    struct rig_entry entry = {.type = RAFT_CHANGE, .bytes = malloc(buffer.len), .len = buffer.len};
    assert_non_null(entry.bytes);
    memcpy(entry.bytes, buffer.base, buffer.len);
    raft_free(buffer.base);
    return entry;
}

const char *rig_members(const struct raft_configuration *configuration)
{
    static char text[16];
    memset(text, 0, sizeof text);
    memset(text, '.', 9);
    size_t end = 0;
    for (unsigned i = 0; i < configuration->n; i++) {
        const struct raft_server *server = &configuration->servers[i];
        text[server->id - 1] = server->role == RAFT_VOTER ? 'v' : server->role == RAFT_STANDBY ? 's' : 'p';
        end = server->id > end ? server->id : end;
    }
    text[end] = 0;
    return text;
}

const char *rig_snapshot_members(const struct rig_snapshot *snapshot)
{
    struct raft_configuration configuration;
    struct raft_buffer buffer = {.base = snapshot->configuration.bytes, .len = snapshot->configuration.len};
    assert_int_equal(raft_configuration_decode(&buffer, &configuration), 0);
    const char *members = rig_members(&configuration);
    raft_configuration_close(&configuration);
    return members;
}

/* ---- entries ---- */

struct rig_entry rig_entry_of(struct rig_item item)
{
    struct rig_entry entry = {.type = RAFT_COMMAND, .len = 8};
    if (item.members != NULL) {
        entry = encode_members(item.members);
    } else {
        entry.bytes = malloc(8);
        assert_non_null(entry.bytes);
        bytes_put_u64(entry.bytes, item.value);
    }
    entry.term = item.term;
    return entry;
}

struct rig_entry rig_entry_copy(const struct raft_entry *from)
{
    struct rig_entry entry = {.term = from->term, .type = from->type, .len = from->buf.len};
    entry.bytes = malloc(from->buf.len);
    assert_non_null(entry.bytes);
    memcpy(entry.bytes, from->buf.base, from->buf.len);
    return entry;
}

void rig_disk_truncate(struct rig_disk *disk, raft_index index)
{
    while (disk->n > 0 && disk->first + disk->n > index) {
        free(disk->entries[--disk->n].bytes);
    }
}

void rig_disk_write(struct rig_disk *disk, raft_index index, struct rig_entry entry)
{
    rig_disk_truncate(disk, index);
    if (disk->n == 0) {
        disk->first = index;
    }
    assert_true(disk->n < RIG_ENTRIES);
    disk->entries[disk->n++] = entry;
}

void rig_disk_cut(struct rig *rig, raft_index first)
{
    struct rig_disk *disk = &rig->disk;
    while (disk->n > 0 && disk->first < first) {
        free(disk->entries[0].bytes);
        memmove(disk->entries, disk->entries + 1, --disk->n * sizeof disk->entries[0]);
        disk->first++;
    }
    disk->first = disk->first < first ? first : disk->first;
}

/* ---- a disk to start from ---- */

void rig_open(struct rig *rig, raft_id id, unsigned off)
{
    rig_heap_count();
    *rig = (struct rig){.id = id, .off = off, .trailing = 64, .now_ms = 1000, .random = (unsigned)id};
    rig->disk.first = 1;
}

void rig_found(struct rig *rig, const char *members)
{
    rig->disk.term = 1;
    rig_disk_entry(rig, (struct rig_item){.term = 1, .members = members});
}

void rig_disk_entry(struct rig *rig, struct rig_item item)
{
    rig_disk_write(&rig->disk, rig->disk.first + rig->disk.n, rig_entry_of(item));
    rig->disk.term = item.term > rig->disk.term ? item.term : rig->disk.term;
}

void rig_disk_snapshot(struct rig *rig, raft_index index, raft_term term, const char *members)
{
    rig->disk.snapshot = (struct rig_snapshot){
        .index = index,
        .term = term,
        .configuration_index = 1,
        .configuration = encode_members(members),
        .state = {.index = index},
    };
    rig->disk.term = term > rig->disk.term ? term : rig->disk.term;
}
