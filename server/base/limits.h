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
#define LIMIT_HTTP_HEADER_BYTES  (32u * 1024u)  /* memory of one connection for line and headers; 414 or 431 */
#define LIMIT_HTTP_IDLE_S        120u           /* no byte either way for so long, but when parked: closed */
#define LIMIT_HTTP_DRAINS        64u            /* refused uploads being read out; past it they are cut off */
#define LIMIT_HTTP_ACCEPTS       64u            /* connections accepted in one loop turn; the rest in the next */
#define LIMIT_HTTP_ROUNDS        4u             /* of MHD_run in one loop turn; the rest in the next */
#define LIMIT_REQUESTS           12000u         /* under way on one node, given-back grants included; past it 503 */
#define LIMIT_GIVE_BACKS         1000u          /* grants being given back; past it they stay until their TTL */
#define LIMIT_REQUEST_BYTES      (256u * 1024u) /* what one request may take once it is parsed; past it 400 */
#define LIMIT_CLUSTER_KEY_BYTES  4096u          /* a longer key file is refused at start */

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
#define LIMIT_READ_REQUESTS        1024u /* of all members, waiting on the leader for a barrier; past it they wait there */
#define LIMIT_APPEND_ENTRIES       32u /* libraft's max_inflight_entries */
#define LIMIT_SNAPSHOT_CHUNK_BYTES (256u * 1024u)
#define LIMIT_MEMBERS              31u
#define LIMIT_ADDRESS_BYTES        272u          /* HOST:PORT, IPv6 in brackets; past it 64 at start */
#define LIMIT_SPEC_BYTES           (17u * 1024u) /* of LIMIT_MEMBERS with the longest names and hosts */
#define LIMIT_CONFIGURATION_BYTES  (64u * 1024u) /* libraft's encoding of the members */

/* Frames between members, body only; past them the connection is closed before anything is allocated. */
#define LIMIT_FRAME_SMALL_BYTES           1024u /* a few numbers */
#define LIMIT_FRAME_HANDSHAKE_BYTES       (32u * 1024u)
#define LIMIT_FRAME_RAFT_BYTES            (LIMIT_APPEND_ENTRIES * (LIMIT_ENTRY_BYTES + 1024u) + 65536u)
#define LIMIT_FRAME_OPERATIONS_BYTES      (LIMIT_ENTRY_BYTES + 65536u)
#define LIMIT_FRAME_OUTCOMES_BYTES        (4u * 1024u * 1024u)
#define LIMIT_FRAME_CHUNK_BYTES           (LIMIT_SNAPSHOT_CHUNK_BYTES + 1024u)
/* Queues to one peer, in bytes; past them Raft messages are dropped (libraft repeats them), operations are answered 503. */
#define LIMIT_PEER_RAFT_QUEUE_BYTES       (2u * LIMIT_FRAME_RAFT_BYTES)
#define LIMIT_PEER_OPERATIONS_QUEUE_BYTES (8u * 1024u * 1024u)
#define LIMIT_PEER_CHUNK_QUEUE_BYTES      (4u * 1024u * 1024u) /* past it peer_send refuses: send on later */
#define LIMIT_PEER_SEND_AHEAD_BYTES       (256u * 1024u) /* given to the network ahead of the kernel; the rest stays sorted */
/* Connections of strangers and of members that haven't proved it yet. */
#define LIMIT_PEER_HALF_OPEN              64u           /* past it the oldest is closed */
#define LIMIT_PEER_HANDSHAKE_MS           5000u         /* then it is closed */
#define LIMIT_PEER_ANSWERS_BYTES          (64u * 1024u) /* unsent founding answers; past it the asker is closed */
#define LIMIT_FRAME_DECODED_BYTES         (256u << 20) /* memory of one decoded frame; past it the connection is closed */
#define LIMIT_PEER_NOTES_PER_SECOND       3u           /* of one cause; the rest is counted */

/* The log. */
#define LIMIT_JOURNAL_BYTES (256u * 1024u) /* lines that the descriptor doesn't take yet; past it dropped and counted */

/* Disk. */
#define LIMIT_BLOCK_BYTES         4096u
#define LIMIT_SEGMENT_BYTES       (16u * 1024u * 1024u)
#define LIMIT_SNAPSHOT_TRAILING   2048u                /* entries kept behind a snapshot; never 0 */
#define LIMIT_RECORD_BYTES        (2u * 1024u * 1024u) /* of one record of the log; the rest goes into the next one */
#define LIMIT_LOG_WRITES          2u                   /* records in flight; what comes meanwhile is merged */
#define LIMIT_SPARE_SEGMENTS      8u                   /* compacted ones kept for recycling; more are removed */
#define LIMIT_MARKER_MS           1000u                /* of quiet, then the last record gets its witness */
#define LIMIT_IDENTITY_BYTES      (1024u * 1024u)      /* SPEC and founders; a larger file is refused as damaged */
#define LIMIT_CONFIGURATION_BYTES (64u * 1024u)        /* libraft's encoding of the members, in a snapshot */

#endif
