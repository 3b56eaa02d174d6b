/* limits: every bound of the server under one name (law 10). What happens past a bound stands beside it. A room includes
 * this file instead of writing a number of its own. */
#ifndef BATON_BASE_LIMITS_H
#define BATON_BASE_LIMITS_H

/* Names and values from outside; past them: 400. */
#define LIMIT_NAME_BYTES       256u                /* schedule id, group, node, holder, actor */
#define LIMIT_OCCURRENCE_BYTES 128u                /* also an Idempotency-Key */
#define LIMIT_REASON_BYTES     1024u               /* also a description */
#define LIMIT_METADATA_BYTES   1024u               /* as compact JSON */
#define LIMIT_NUMBER_MAX       9007199254740991ull /* 2^53 − 1: what every JSON parser keeps exactly; past it 400 */

/* HTTP; past them: 413, 503, or a closed connection. */
#define LIMIT_BODY_BYTES         (64u * 1024u)
#define LIMIT_BODY_DISCARD_BYTES (1024u * 1024u)
#define LIMIT_JSON_DEPTH         32u
#define LIMIT_CONNECTIONS        11000u
#define LIMIT_HTTP_HEADER_BYTES  (32u * 1024u) /* memory of one connection for line and headers; 414 or 431 */

/* Domain; past them: 422 or 507. */
#define LIMIT_TTL_MS                   (7ull * 24u * 3600u * 1000u)
#define LIMIT_DEFAULT_MARGIN_MS        30000u
#define LIMIT_SLOTS                    256u
#define LIMIT_SCHEDULES                1000000u
#define LIMIT_STATE_BYTES              (1024ull * 1024u * 1024u)
#define LIMIT_RUNS_PER_SCHEDULE        16u
#define LIMIT_OCCURRENCES_PER_SCHEDULE 64u
#define LIMIT_FORGET_MS                (40ull * 24u * 3600u * 1000u)

/* Replication. */
#define LIMIT_ENTRY_BYTES          (512u * 1024u) /* one log entry; the rest of a turn's operations waits for the next */
#define LIMIT_ENTRIES_IN_FLIGHT    2u             /* proposed and not applied */
#define LIMIT_OPERATIONS_QUEUED    16384u         /* on one node, not yet decided; past it 503 overloaded */
#define LIMIT_APPEND_ENTRIES       32u            /* libraft's max_inflight_entries */
#define LIMIT_SNAPSHOT_CHUNK_BYTES (256u * 1024u)
#define LIMIT_MEMBERS              31u

/* Frames between members, body only; past them the connection is closed before anything is allocated. */
#define LIMIT_FRAME_HANDSHAKE_BYTES       (16u * 1024u)
#define LIMIT_FRAME_RAFT_BYTES            (LIMIT_APPEND_ENTRIES * (LIMIT_ENTRY_BYTES + 1024u) + 65536u)
#define LIMIT_FRAME_OPERATIONS_BYTES      (LIMIT_ENTRY_BYTES + 65536u)
#define LIMIT_FRAME_OUTCOMES_BYTES        (4u * 1024u * 1024u)
#define LIMIT_FRAME_CHUNK_BYTES           (LIMIT_SNAPSHOT_CHUNK_BYTES + 1024u)
/* Queues to one peer, in bytes; past them Raft messages are dropped (libraft repeats them), operations are answered 503. */
#define LIMIT_PEER_RAFT_QUEUE_BYTES       (2u * LIMIT_FRAME_RAFT_BYTES)
#define LIMIT_PEER_OPERATIONS_QUEUE_BYTES (8u * 1024u * 1024u)

/* Disk. */
#define LIMIT_BLOCK_BYTES       4096u
#define LIMIT_SEGMENT_BYTES     (16u * 1024u * 1024u)
#define LIMIT_SNAPSHOT_TRAILING 2048u /* entries kept behind a snapshot; never 0 */

#endif
