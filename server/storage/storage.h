/* storage: what a member must not forget. The log, term and vote, the newest snapshot, and who it is.
 *
 * Knows bytes and indexes; no locks, no rules of Raft, no network. What it promises is STORAGE.md's list, in short: an
 * acknowledged block is never written again; a torn end is told from damage; a failed write ends the process before
 * anybody hears of it; nothing that is missing goes unnoticed.
 *
 * Two lives: storage_open reads and verifies everything and leaves it to be looked at; bootstrap or the log's functions
 * come after. All on the loop's thread unless a function says that it runs on the pool. */
#ifndef BATON_STORAGE_STORAGE_H
#define BATON_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/error.h"
#include "base/histogram.h"
#include "base/loop.h"
#include "base/slice.h"
#include "storage/disk.h"

#define STORAGE_FORMAT 1u /* of every file; written into each header */

struct storage;

struct storage_entry {
    uint64_t term;
    uint8_t type; /* enum raft_entry_type */
    struct slice data;
};

/* Who this node is. Stored as soon as it has a name and an incarnation; complete when `initialised`. */
struct storage_identity {
    char name[257];
    uint8_t incarnation[16];
    uint8_t cluster_id[16]; /* zero until initialised */
    uint64_t node_id;       /* libraft's id; 0 until initialised */
    bool initialised;
    struct slice spec;     /* canonical SPEC that it first started with */
    struct slice founders; /* opaque to storage: replica's encoding of names and incarnations; may be empty */
};

struct storage_options {
    const struct disk *disk;
    const struct loop *loop;
    uint64_t segment_bytes;          /* LIMIT_SEGMENT_BYTES; tests use less; a multiple of the block */
    uint64_t snapshot_reserve_bytes; /* kept free besides the next segment and a snapshot as large as the newest one */
    /* A write, sync, rename or unlink failed (STORAGE.md 7). Production logs and exits with 1; it doesn't return. The
     * simulator marks the node as dead and returns; storage then never calls anybody back again. */
    void (*fatal)(void *arg, const char *path, uint64_t offset, const char *what, int os_error);
    /* Facts worth a log line, found at start or later ("cut off a torn record at …"). May be NULL. */
    void (*note)(void *arg, const char *sentence);
    void *arg;
};

/* Reads and verifies the whole directory (synchronous; at start only). ERROR_LOCKED, ERROR_CORRUPT, ERROR_FOREIGN,
 * ERROR_VERSION, ERROR_IO, ERROR_NO_SPACE: `text` names file, offset and what to do, and nothing was changed. An empty or
 * missing directory is a fresh one. */
enum error storage_open(const struct storage_options *options, struct storage **storage, struct error_text *text)
    MUST_CHECK;

/* Ends the log with a closed record when `orderly`, waits for what is in flight, frees, then calls `closed`. Requests not
 * yet done get ERROR_CANCELED before. `closed` may be NULL. No snapshot writer or reader may be open. */
void storage_close(struct storage *storage, bool orderly, void (*closed)(void *arg), void *arg);
/* For the simulator: forgets everything at once, as a crash does. Frees the storage and every snapshot writer and reader
 * that is still open, calls nobody, touches no disk. Requests (appends, publishes) are not looked at: their owners may
 * have freed them before. */
void storage_crash(struct storage *storage);

/* NULL while the directory is fresh. Valid until the next change of it. */
const struct storage_identity *storage_identity(const struct storage *storage);

/* Synchronous, durable on return. Stores name, SPEC and incarnation before anybody is asked who founded the cluster. */
enum error storage_identity_begin(struct storage *storage, const struct storage_identity *identity,
                                  struct error_text *text) MUST_CHECK;

/* The first entry of everybody's log, the first vote (term 1), and last the identity with its mark *initialised*.
 * Synchronous, durable on return; done again after a crash in the middle. */
enum error storage_bootstrap(struct storage *storage, const struct storage_identity *identity,
                             const struct storage_entry *first, struct error_text *text) MUST_CHECK;

/* ---- what was found at start ---- */

struct storage_snapshot_info {
    uint64_t index; /* of the last entry that it holds; 0: there is no snapshot */
    uint64_t term;
    uint64_t configuration_index;
    struct slice configuration; /* libraft's encoding; owned by storage until the next snapshot */
    uint64_t size;              /* bytes of all chunks' payloads */
    uint64_t chunks;
    uint64_t checksum; /* XXH3-64 over the chunks' XXH3-64s (8 bytes little-endian each), in order */
};

struct storage_loaded {
    uint64_t term;
    uint64_t vote; /* node id, 0: none */
    struct storage_snapshot_info snapshot;
    uint64_t first_index;                /* of entries[0]; without entries: the next index. 1 without a snapshot */
    const struct storage_entry *entries; /* owned by storage until storage_loaded_release */
    size_t n_entries;
};
void storage_loaded(const struct storage *storage, struct storage_loaded *loaded);
/* Frees the entries that were read at start, once libraft has its copy. */
void storage_loaded_release(struct storage *storage);

/* ---- term and vote ---- both slots, one after the other, synchronous, durable on return; failures are `fatal` */
void storage_set_term(struct storage *storage, uint64_t term); /* clears the vote; the stored term changes nothing */
void storage_set_vote(struct storage *storage, uint64_t vote);

/* ---- log ---- */

/* A request to store entries. Caller's memory, like the entries' payloads and array, until `done`. */
struct storage_append {
    void (*done)(struct storage_append *append, enum error error); /* NONE or CANCELED; in order of submission */
    void *data;
    /* private */
    uint64_t first_index;
    const struct storage_entry *entries;
    size_t n_entries;
    struct storage_append *next;
};

/* Appends at `first_index`. An index that exists already truncates the log there first; one beyond the next index is a
 * bug (CHECK), as is an entry over LIMIT_ENTRY_BYTES. Never fails and never calls back before it returns. Writing starts
 * when storage_flush is called or at the end of the loop turn, so that AppendEntries reach the streams first. */
void storage_append(struct storage *storage, struct storage_append *append, uint64_t first_index,
                    const struct storage_entry *entries, size_t n_entries);
void storage_flush(struct storage *storage);
uint64_t storage_next_index(const struct storage *storage); /* of what was submitted */

/* ---- snapshots ----
 * Written in three steps: begin and chunks on the pool, publish from the loop. Read on the pool. One writer at a time
 * takes; another may receive. */

struct storage_snapshot_writer;
/* Opens a temporary file, truncating what an earlier attempt left. Pool or loop. Failures: `fatal`-like errors are
 * returned with text, and publishing is what makes them matter; the caller decides. ERROR_BUSY while a writer of the same
 * kind is open or being published. */
enum error storage_snapshot_begin(struct storage *storage, bool received, struct storage_snapshot_writer **writer,
                                  struct error_text *text) MUST_CHECK;
enum error storage_snapshot_write(struct storage_snapshot_writer *writer, struct slice chunk, struct error_text *text)
    MUST_CHECK;
uint64_t storage_snapshot_written(const struct storage_snapshot_writer *writer); /* chunks so far */
/* Reads back chunk `number` of a file that is being received (verifying it). Pool. */
enum error storage_snapshot_reread(struct storage_snapshot_writer *writer, uint64_t number, struct buffer *chunk,
                                   struct error_text *text) MUST_CHECK;
/* Closing record, sync. Fills size, chunks and checksum of `info`, whose other fields are the caller's. Pool. */
enum error storage_snapshot_finish(struct storage_snapshot_writer *writer, struct storage_snapshot_info *info,
                                   struct error_text *text) MUST_CHECK;
void storage_snapshot_discard(struct storage_snapshot_writer *writer); /* closes and unlinks the temporary file */

/* Renames, syncs the directory, raises the slot, drops segments and the older snapshot. Takes the writer (finished). With
 * `trailing` > 0 the log keeps at least that many entries behind info->index; with 0 this is an install: the log is empty
 * afterwards, and its next index is info->index + 1 at once (appends may follow before `done`). Failures are `fatal`. */
struct storage_publish {
    void (*done)(struct storage_publish *publish, enum error error); /* NONE or CANCELED */
    void *data;
    /* private */
    struct work work;
    void *impl;
};
void storage_snapshot_publish(struct storage *storage, struct storage_publish *publish,
                              struct storage_snapshot_writer *writer, const struct storage_snapshot_info *info,
                              unsigned trailing);

/* The newest published snapshot; index 0 when there is none. */
void storage_snapshot_newest(const struct storage *storage, struct storage_snapshot_info *info);

struct storage_snapshot_reader;
/* The file stays readable while a reader is open, also when a newer one is published. */
enum error storage_snapshot_open(struct storage *storage, struct storage_snapshot_reader **reader,
                                 struct error_text *text) MUST_CHECK;
void storage_snapshot_reader_info(const struct storage_snapshot_reader *reader, struct storage_snapshot_info *info);
/* Replaces `chunk` by chunk `number`'s payload, verified: ERROR_CORRUPT otherwise. Pool. Chunks may be asked for in any
 * order; next to the last one is quickest. */
enum error storage_snapshot_read(struct storage_snapshot_reader *reader, uint64_t number, struct buffer *chunk,
                                 struct error_text *text) MUST_CHECK;
void storage_snapshot_reader_close(struct storage_snapshot_reader *reader);

/* ---- figures ---- */
struct storage_figures {
    uint64_t log_bytes_since_snapshot;       /* segments' bytes written since the newest snapshot */
    uint64_t entry_bytes_since_snapshot;     /* payloads of the entries behind it */
    uint64_t free_bytes;                     /* as of the last look (each second at most) */
    bool reserve_ok;                         /* the next segment, a snapshot and snapshot_reserve_bytes fit */
    bool segment_ready;                      /* the next segment is in place, or is made from a file that is */
    uint64_t segment_bytes;                  /* of each */
    uint64_t oldest_last_index;              /* a snapshot that leaves the log nothing up to it frees a segment */
    bool appending;                          /* an append is in flight or queued */
    uint64_t writes;                         /* records written since start */
    const struct histogram *write_durations; /* of these, from submission to durable; storage's, always current */
    const char *log_mode;                    /* "aio" or "pool" */
};
void storage_figures(struct storage *storage, struct storage_figures *figures);

#endif
