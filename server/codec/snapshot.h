/* snapshot: the lock table as a stream of chunks, and back. Chunk 0 holds the table's numbers; those behind it hold whole
 * groups, then whole freezes, then whole schedules, never of two kinds: as many as stay within
 * LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES, or one schedule that is longer. No chunk is over LIMIT_SNAPSHOT_CHUNK_BYTES: what the
 * longest schedule takes (LIMIT_SLOTS grants with metadata, as many runs with reasons and LIMIT_RUNS_PER_SCHEDULE more, and
 * their occurrences) is within it. Both directions run on the pool. */
#ifndef BATON_CODEC_SNAPSHOT_H
#define BATON_CODEC_SNAPSHOT_H

#include "base/error.h"
#include "base/slice.h"
#include "core/lock_table.h"

/* What a decoder reads. Which one is written depends on the rules that are in force: under rules 1 there is nothing that
 * format 1 can't hold, and a member that can't read format 2 may have to load it. */
#define SNAPSHOT_FORMAT_OLDEST 1u
#define SNAPSHOT_FORMAT_NEWEST 2u

struct snapshot_encoder;
struct snapshot_encoder *snapshot_encoder_open(struct lock_table_frozen *frozen);
/* Replaces `chunk` with the next one; false after the last. */
bool snapshot_encoder_next(struct snapshot_encoder *encoder, struct buffer *chunk);
void snapshot_encoder_close(struct snapshot_encoder *encoder);

/* Loads one chunk into `table` (empty before chunk 0). Chunks come in order. ERROR_CORRUPT: not a chunk, not the next one,
 * or nothing that a table could hold; ERROR_VERSION: newer than this build. After an error only close may be called. */
struct snapshot_decoder;
struct snapshot_decoder *snapshot_decoder_open(struct lock_table *table);
enum error snapshot_decoder_chunk(struct snapshot_decoder *decoder, struct slice chunk, struct error_text *text)
    MUST_CHECK;
/* After the last chunk: everything that was announced is there, else ERROR_CORRUPT. */
enum error snapshot_decoder_finish(struct snapshot_decoder *decoder, struct error_text *text) MUST_CHECK;
void snapshot_decoder_close(struct snapshot_decoder *decoder);

#endif
