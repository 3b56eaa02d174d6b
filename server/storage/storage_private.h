/* storage_private: what the files of this room share. Nobody outside includes it.
 *
 *   storage.c           opening, closing, figures
 *   storage_file.c      names, the prefix of every file, calls of the disk that remember what failed
 *   storage_slot.c      two-slot files: vote, highest segment, newest snapshot
 *   storage_identity.c  who we are; bootstrap
 *   storage_record.c    one record of the log as bytes
 *   storage_segment.c   making, recycling, listing and dropping segments
 *   storage_log.c       appends: queue, merge, two writes in flight, acknowledging in order, installs
 *   storage_span.c      how much log lies behind the newest snapshot
 *   storage_replay.c    reading the log back; torn or corrupt
 *   storage_load.c      the verification of everything at start, then the repairs
 *   storage_snapshot.c  a snapshot's file: writer, reader, verification
 *   storage_publish.c   a snapshot becomes the newest one
 *
 * The bytes are described in docs/storage-format.md. */
#ifndef BATON_STORAGE_STORAGE_PRIVATE_H
#define BATON_STORAGE_STORAGE_PRIVATE_H

#include <inttypes.h>
#include <stdatomic.h>

#include "base/checksum.h"
#include "base/limits.h"
#include "storage/storage.h"

#define STORAGE_PATH_BYTES 64u
#define STORAGE_ADVICE     "nothing was changed; replace this member, or restore a backup"

/* ---- files ---- storage_file.c */

enum storage_file {
    STORAGE_FILE_IDENTITY,
    STORAGE_FILE_VOTE,
    STORAGE_FILE_HIGHEST,
    STORAGE_FILE_NEWEST,
    STORAGE_FILE_SEGMENT,
    STORAGE_FILE_SNAPSHOT,
};

#define STORAGE_PATH_LOCK         "lock"
#define STORAGE_PATH_IDENTITY     "identity"
#define STORAGE_PATH_IDENTITY_TMP "identity.tmp"
#define STORAGE_PATH_VOTE         "vote"
#define STORAGE_PATH_LOG          "log"
#define STORAGE_PATH_HIGHEST      "log/highest"
#define STORAGE_PATH_SEGMENT_TMP  "log/segment.tmp"
#define STORAGE_PATH_SNAPSHOT     "snapshot"
#define STORAGE_PATH_NEWEST       "snapshot/newest"
#define STORAGE_PATH_TAKING       "snapshot/taking.tmp"
#define STORAGE_PATH_RECEIVING    "snapshot/receiving.tmp"

/* Whose file it is, and the salt: 16 random bytes that never leave the directory. They go into every checksum of a
 * record's header, so that no payload (which clients choose) can look like a record. */
struct storage_owner {
    uint8_t cluster_id[16];
    uint8_t incarnation[16];
    uint8_t salt[16];
};

/* Magic, format, cluster id, incarnation and a checksum of these: the same in every file, and in every later format. */
#define STORAGE_PREFIX_BYTES 56u
void storage_prefix_encode(uint8_t *p, enum storage_file kind, const struct storage_owner *owner);
/* NONE, CORRUPT (bad checksum or magic), VERSION, FOREIGN; `owner` NULL: anybody's. No text. */
enum error storage_prefix_check(const uint8_t *p, enum storage_file kind, const struct storage_owner *owner) MUST_CHECK;
/* The sentence for what storage_prefix_check returned; VERSION: `p` is what it looked at. */
enum error storage_prefix_refuse(enum error error, const uint8_t *p, const char *path, struct error_text *text);

void storage_path_segment(char path[STORAGE_PATH_BYTES], uint64_t number);
void storage_path_snapshot(char path[STORAGE_PATH_BYTES], uint64_t index);
/* 20 digits and the suffix; false for anything else. */
bool storage_name_number(const char *name, const char *suffix, uint64_t *number);

/* What the disk refused, kept until it can be told: to `fatal`, or in a sentence. */
struct storage_failure {
    enum error error;
    int os_error;
    uint64_t offset;
    const char *what;
    char path[STORAGE_PATH_BYTES];
};
enum error storage_failure_set(struct storage_failure *failure, enum error error, const char *path, uint64_t offset,
                               const char *what, int os_error);
enum error storage_failure_tell(const struct storage_failure *failure, struct error_text *text);

enum error storage_io_open(const struct disk *disk, const char *path, enum disk_mode mode, struct disk_file **file,
                           struct storage_failure *failure) MUST_CHECK;
enum error storage_io_size(const struct disk *disk, struct disk_file *file, const char *path, uint64_t *bytes,
                           struct storage_failure *failure) MUST_CHECK;
enum error storage_io_read(const struct disk *disk, struct disk_file *file, const char *path, uint64_t offset,
                           void *base, size_t len, size_t *got, struct storage_failure *failure) MUST_CHECK;
enum error storage_io_write(const struct disk *disk, struct disk_file *file, const char *path, uint64_t offset,
                            const void *base, size_t len, struct storage_failure *failure) MUST_CHECK;
enum error storage_io_sync(const struct disk *disk, struct disk_file *file, const char *path,
                           struct storage_failure *failure) MUST_CHECK;
enum error storage_io_rename(const struct disk *disk, const char *from, const char *to, struct storage_failure *failure)
    MUST_CHECK;
enum error storage_io_sync_directory(const struct disk *disk, const char *path, struct storage_failure *failure)
    MUST_CHECK;
/* `missing_ok`: what isn't there is no failure. */
enum error storage_io_unlink(const struct disk *disk, const char *path, bool missing_ok,
                             struct storage_failure *failure) MUST_CHECK;
/* Opens, syncs and closes a file that exists. */
enum error storage_io_sync_path(const struct disk *disk, const char *path, struct storage_failure *failure) MUST_CHECK;

struct storage_names {
    char (*names)[STORAGE_PATH_BYTES];
    size_t n_names;
    size_t capacity;
};
/* NOT_FOUND when the directory is missing. Names too long to be ours are left out. */
enum error storage_names_read(struct storage_names *names, const struct disk *disk, const char *path,
                              struct storage_failure *failure) MUST_CHECK;
void storage_names_add(struct storage_names *names, const char *name);
bool storage_names_contain(const struct storage_names *names, const char *name);
void storage_names_close(struct storage_names *names);

/* ---- two-slot files ---- storage_slot.c */

/* Two copies of a few numbers, a block each. Both are written at each change, one after the other, so that neither a
 * torn write nor one flipped bit forgets: whichever is whole and newer counts. */
struct storage_slot {
    enum storage_file kind;
    const char *path;
    uint64_t sequence;  /* of the last change */
    uint64_t values[2]; /* vote: term, vote; highest: number; newest: index */
    struct disk_file *file;
    unsigned repair; /* bit 0, 1: that copy is bad or older; found by read */
};
/* Reads and judges; changes nothing. */
enum error storage_slot_read(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                             struct error_text *text) MUST_CHECK;
/* Writes the copies that read found wanting, and syncs. */
enum error storage_slot_repair(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                               struct storage_failure *failure) MUST_CHECK;
enum error storage_slot_create(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                               struct storage_failure *failure) MUST_CHECK;
/* Durable on return. `values` are taken over when it succeeded. */
enum error storage_slot_write(struct storage_slot *slot, const struct disk *disk, const struct storage_owner *owner,
                              const uint64_t values[2], struct storage_failure *failure) MUST_CHECK;
void storage_slot_close(struct storage_slot *slot, const struct disk *disk);

/* ---- records ---- storage_record.c */

enum storage_record_kind {
    STORAGE_RECORD_ENTRIES = 1,
    STORAGE_RECORD_MARKER = 2,  /* no entries: a witness for the record before it */
    STORAGE_RECORD_CLOSED = 3,  /* as a marker, at an orderly stop */
    STORAGE_RECORD_RESTART = 4, /* entries; what the log held before is void (a snapshot covers it) */
};

#define STORAGE_RECORD_HEADER_BYTES 80u
#define STORAGE_ENTRY_HEADER_BYTES  16u

struct storage_record {
    enum storage_record_kind kind;
    uint64_t segment;
    uint64_t sequence;
    uint64_t acked;
    uint64_t chain;
    uint64_t first_index;
    uint32_t count;
    uint32_t length;   /* of the payload */
    uint64_t run;      /* drawn at each start: a record that is written again never equals its torn first self */
    uint64_t checksum; /* of the header, which holds the payload's */
    const uint8_t *payload;
    size_t bytes; /* header, payload and padding */
};
size_t storage_record_bytes(size_t payload); /* with header and padding */
/* `base` holds the payload behind the header already; fills in header and padding, and record->checksum and bytes. */
void storage_record_seal(struct storage_record *record, uint8_t *base, const struct storage_owner *owner);
/* True when a whole record of that segment begins at `base`. */
bool storage_record_parse(struct storage_record *record, const uint8_t *base, size_t available, uint64_t segment,
                          const struct storage_owner *owner);
/* True when what stands there looks like a record of that segment, whole or not. */
bool storage_record_resembles(const uint8_t *base, size_t available, uint64_t segment);
uint8_t *storage_record_put_entry(uint8_t *p, const struct storage_entry *entry); /* returns the end */
/* The entry at *offset of the payload; moves *offset. False: malformed. */
bool storage_record_get_entry(const struct storage_record *record, size_t *offset, struct storage_entry *entry);
uint64_t storage_record_chain(const struct storage_record *record); /* what the next record carries */
/* The chain of a record that has none before it. */
uint64_t storage_chain_begin(const struct storage_owner *owner, uint64_t segment, uint64_t sequence);

/* Where the log begins. Every snapshot names it. */
struct storage_begin {
    uint64_t segment;
    uint64_t sequence;
    uint64_t chain;
};

/* ---- segments ---- storage_segment.c */

/* One file of the log. Numbers in storage.segments are contiguous. A segment takes its number, and the slot `highest` is
 * raised to it, before its first record: so a ready one is simply the one after the current. */
struct storage_segment {
    uint64_t number;
    uint64_t first_sequence; /* of its first record; 0: it has none yet */
    uint64_t first_chain;
    uint64_t last_index; /* the highest index whose living copy is in it; 0: none */
    struct disk_file *file;
    unsigned writes; /* in flight */
};

void storage_segment_header_encode(uint8_t *block, uint64_t number, uint64_t bytes, const struct storage_owner *owner);
enum error storage_segment_header_check(const uint8_t *base, size_t len, uint64_t number, uint64_t bytes,
                                        const struct storage_owner *owner, struct error_text *text) MUST_CHECK;
/* Makes segment 1, filled with zeros, durable under its name. */
enum error storage_segment_make_first(const struct disk *disk, const struct storage_owner *owner, uint64_t bytes,
                                      struct storage_failure *failure) MUST_CHECK;

struct storage_prepare {
    struct work work;
    bool running;
    bool no_space;   /* the last attempt found too little; nothing was changed */
    uint64_t number; /* being made */
    uint64_t spare;
    bool urgent;         /* the log can't wait any longer: the snapshot's reserve is taken, too */
    uint64_t keep_bytes; /* what a new file must leave free */
    struct disk_file *file;
    struct storage_failure failure;
};
void storage_segment_add(struct storage *storage, const struct storage_segment *segment);
/* Starts making the next segment unless one is ready or being made. */
void storage_segment_prepare(struct storage *storage);
/* There is a next segment, or a spare to make it from: it takes no space. */
bool storage_segment_ready(const struct storage *storage);
/* Drops the first `n` segments: they become spares, or are removed when there are enough. */
void storage_segment_drop(struct storage *storage, size_t n);

/* ---- what storage keeps ---- */

/* A record on its way. Slots are used in turn; the older one is acknowledged first. */
struct storage_log_write {
    struct disk_write write; /* first: write_done finds the rest by it */
    uint8_t *base;           /* aligned to a block */
    size_t capacity;
    bool busy; /* submitted and not acknowledged */
    bool done; /* by the disk */
    uint64_t sequence;
    uint64_t segment;
    enum storage_record_kind kind;
    uint64_t started_ns;
    struct storage_append *first, *last; /* those that end with this record, linked by next */
};

struct storage_queue {
    struct storage_append *first, *last;
};

/* A run of entries behind the newest snapshot, for the figures. */
struct storage_span {
    uint64_t first_index;
    uint64_t last_index;
    uint64_t record_bytes;
    uint64_t entry_bytes;
};

struct storage_spans {
    struct storage_span *spans;
    size_t begin, end, capacity;
    uint64_t record_bytes, entry_bytes; /* sums */
    uint64_t carried;                   /* record bytes of what was truncated; they count with the next span */
};

struct storage_snapshot_writer {
    struct storage *storage;
    const char *path;
    size_t place; /* in storage.writers */
    struct disk_file *file;
    uint64_t offset; /* of the next chunk */
    uint64_t synced;
    uint64_t size;
    struct buffer offsets;   /* of every chunk, 8 bytes each */
    struct buffer checksums; /* as the closing record's checksum wants them */
    struct buffer scratch;
    struct storage_snapshot_info info; /* filled by finish */
    struct buffer configuration;
    uint64_t file_bytes; /* 0: not finished */
};

/* A published file. It is unlinked when it is stale and no reader holds it. */
struct storage_snapshot_file {
    struct storage_snapshot_info info;
    struct buffer configuration; /* the memory of info.configuration */
    unsigned readers;
    struct storage_snapshot_file *next; /* older */
};

struct storage_snapshot_reader {
    struct storage *storage;
    struct storage_snapshot_file *snapshot;
    struct disk_file *file; /* opened by the first read, on the pool */
    struct buffer offsets;  /* of the chunks seen so far, and of the next */
    struct storage_snapshot_reader *next;
};

struct storage_publishing {
    struct storage_publish *request; /* NULL: none */
    struct storage_snapshot_writer *writer;
    bool install;
    bool running; /* on the pool */
    unsigned trailing;
    struct storage_begin begin;
    struct storage_failure failure;
};

/* Files that nobody needs any more, unlinked on the pool. */
struct storage_sweep {
    struct work work;
    bool running;
    struct storage_names paths;  /* being unlinked */
    struct storage_names wanted; /* next */
    struct storage_failure failure;
};

struct storage_look {
    struct work work;
    bool running;
    uint64_t at_ns;
    uint64_t free_bytes;
    uint64_t found;
    struct storage_failure failure;
};

struct storage {
    struct storage_options options;
    const struct disk *disk;
    const struct loop *loop;
    bool dead;        /* fatal was called: no one is called back any more */
    bool closing;     /* storage_close was called */
    unsigned pending; /* writes and work in flight */

    bool known; /* there is an identity */
    struct storage_identity identity;
    struct buffer identity_bytes; /* the memory of its slices */
    struct storage_owner owner;
    uint64_t run;

    struct storage_slot vote, highest, newest;

    /* log */
    struct storage_begin begin; /* of the newest snapshot, or of the directory */
    struct storage_segment *segments;
    size_t n_segments, segments_capacity;
    size_t current;                     /* where the next record goes, if it fits */
    uint64_t offset;                    /* in it */
    uint64_t sequence;                  /* of the next record */
    uint64_t chain;                     /* of the next record */
    uint64_t acked;                     /* all records up to it are durable */
    uint64_t written_index;             /* the next index, by what is in records */
    uint64_t next_index;                /* the next index, by what was asked for */
    bool restart;                       /* the next record with entries voids what the log holds */
    bool blocked;                       /* the next record, or an install, waits for a segment */
    uint64_t starved_ns;                /* since when it waits for one to recycle, on a full disk; 0: it doesn't */
    enum storage_record_kind last_kind; /* of the last record; CLOSED when there is none */
    struct storage_log_write writes[LIMIT_LOG_WRITES];
    size_t next_write;
    struct storage_queue queue; /* not yet in a record; the head's first `taken` entries are */
    size_t taken;
    struct storage_queue held; /* behind an install */
    struct post flush;
    struct timer *marker;
    struct timer *space; /* looks again for space for the next segment */
    uint64_t spares[LIMIT_SPARE_SEGMENTS];
    size_t n_spares;
    struct storage_prepare prepare;
    struct storage_spans spans;
    uint64_t n_writes;
    struct histogram write_durations;

    /* found at start */
    bool torn; /* the log's end was cut off, and what was is still there */
    struct arena loaded_arena;
    struct storage_entry *loaded;
    size_t n_loaded, loaded_capacity;
    uint64_t loaded_first;

    /* snapshots */
    struct storage_snapshot_file *snapshots;              /* the newest first; NULL: none */
    _Atomic(struct storage_snapshot_writer *) writers[2]; /* taking, receiving; set and cleared on the pool, too */
    struct storage_snapshot_reader *readers;
    struct storage_publishing publishing;
    struct storage_sweep sweep;

    struct storage_look look;

    struct post close_post;
    bool close_started;
    bool orderly;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- life ---- storage.c */
/* Tells `fatal` once, and is dead from then on. */
void storage_fail(struct storage *storage, const struct storage_failure *failure);
/* What a snapshot may need, besides the next segment. */
uint64_t storage_reserve_bytes(const struct storage *storage);
void storage_note(struct storage *storage, const char *format, ...) PRINTF_LIKE(2, 3);
/* Something that was in flight is over. Frees the storage when that was what a close waited for: call it last. */
void storage_settle(struct storage *storage);

/* ---- identity ---- storage_identity.c */
/* NOT_FOUND when there is none. */
enum error storage_identity_read(struct storage *storage, struct error_text *text) MUST_CHECK;

/* ---- log ---- storage_log.c */
void storage_log_init(struct storage *storage);
/* After everything was loaded: a ready segment, and a witness for the last record. */
void storage_log_start(struct storage *storage);
/* The log goes on behind `record`, which is sealed and stands at the current place. */
void storage_log_follow(struct storage *storage, const struct storage_record *record);
/* Notes which segment holds the living copy of what, and how much lies behind the snapshot, when `record` goes into the
 * current segment. */
void storage_log_account(struct storage *storage, const struct storage_record *record);
/* Submits what can be submitted. */
void storage_log_pump(struct storage *storage);
void storage_log_cancel(struct storage *storage); /* everything queued */
bool storage_log_in_flight(const struct storage *storage);
void storage_log_write_closed(struct storage *storage);
/* The log is empty and begins anew at `begin`; what was held goes on. */
void storage_log_install(struct storage *storage, const struct storage_begin *begin);
void storage_log_quiet(struct storage *storage); /* starts the marker's timer when there is something to witness */

/* ---- figures ---- storage_span.c */
void storage_spans_add(struct storage_spans *spans, const struct storage_span *span);
void storage_spans_truncate(struct storage_spans *spans, uint64_t first_index); /* from there on */
void storage_spans_drop(struct storage_spans *spans, uint64_t last_index);      /* up to there */
void storage_spans_close(struct storage_spans *spans);

/* ---- start ---- storage_replay.c, storage_load.c */
/* Reads the log from storage.begin to storage.highest; sets segments, current, offset, sequence, chain and entries, and
 * fits it to the newest snapshot. Changes nothing on the disk. */
enum error storage_replay(struct storage *storage, struct error_text *text) MUST_CHECK;
/* CORRUPT when segment `number`, which is above the highest, holds a record. */
enum error storage_replay_check_unused(struct storage *storage, uint64_t number, struct error_text *text) MUST_CHECK;
enum error storage_load(struct storage *storage, struct error_text *text) MUST_CHECK;

/* ---- snapshots ---- storage_snapshot.c, storage_publish.c */
#define STORAGE_SNAPSHOT_FIRST_CHUNK LIMIT_BLOCK_BYTES
void storage_snapshot_header_encode(uint8_t *block, const struct storage_snapshot_writer *writer,
                                    const struct storage_begin *begin, const struct storage_owner *owner);
/* Reads and verifies a published file whole. `snapshot` and `begin` are filled in. */
enum error storage_snapshot_verify(struct storage *storage, uint64_t index, struct storage_snapshot_file **snapshot,
                                   struct storage_begin *begin, struct error_text *text) MUST_CHECK;
void storage_snapshot_file_free(struct storage_snapshot_file *snapshot);
void storage_snapshot_writer_free(struct storage_snapshot_writer *writer); /* memory only */
void storage_publish_install_try(struct storage *storage);
void storage_publish_cancel(struct storage *storage);
void storage_sweep_add(struct storage *storage, const char *path);
void storage_sweep_start(struct storage *storage);

#endif
