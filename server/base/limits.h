/* limits: every bound of the server under one name (law 10). A room includes this file instead of writing a number of its
 * own. Above each stands what it bounds, and after "Past it:" what happens then; docs/limits.md is made from these comments
 * (tests/checks/limits.py), with the test that reaches each bound. */
#ifndef BATON_BASE_LIMITS_H
#define BATON_BASE_LIMITS_H

/* ---- What clients send ---- */

/* Bytes of a schedule id, node, holder or actor. Past it: 400 `invalid_name` or `invalid_field`; for a node exit 64. */
#define LIMIT_NAME_BYTES       256u
/* Bytes of an occurrence or an Idempotency-Key. Past it: 400 `invalid_field`. */
#define LIMIT_OCCURRENCE_BYTES 128u
/* Bytes of a reason or a description. Past it: 400 `invalid_field`. */
#define LIMIT_REASON_BYTES     1024u
/* Bytes of a lock's metadata, as compact JSON. Past it: 400 `invalid_field`. */
#define LIMIT_METADATA_BYTES   1024u
/* Numbers, 2^53 - 1: what every JSON parser keeps exactly. Past it: 400 `invalid_field`; tokens: 507 `capacity`. */
#define LIMIT_NUMBER_MAX       9007199254740991ull
/* Arrays and objects inside each other in a lock's metadata. Past it: 400 `invalid_field`. */
#define LIMIT_JSON_DEPTH       32u
/* Values in one body, those of arrays and objects included. Past it: 400 `invalid_field`. */
#define LIMIT_JSON_VALUES      8192u
/* Items on one page of a list; also the default. Past it: 400 `invalid_field` for a limit asked for, `next` for the items. */
#define LIMIT_LIST             1000u

/* ---- HTTP ---- */

/* Bytes of a body. Past it: 413 `body_too_large`, and the connection closes. */
#define LIMIT_BODY_BYTES         (64u * 1024u)
/* Bytes of the body of a batch of renewals. Past it: 413 `body_too_large`, and the connection closes. */
#define LIMIT_BATCH_BODY_BYTES   (512u * 1024u)
/* Bytes of a body over its bound that are read and thrown away so that the client sees the 413. Past it: the connection is
 * cut. */
#define LIMIT_BODY_DISCARD_BYTES (1024u * 1024u)
/* Bytes of memory for one connection's request line, headers and query parameters, each of which takes some more than its
 * text. Past it: 414 or 431, for too many query parameters no answer, and the connection closes. */
#define LIMIT_HTTP_HEADER_BYTES  (32u * 1024u)
/* Bytes of an answer's status line and headers, for which there must be room in the same memory. Past it: a request that
 * leaves less is 431 before anything is done for it, and the connection closes. */
#define LIMIT_HTTP_ANSWER_BYTES  2048u
/* Connections of clients; fewer when the process may open fewer files. Past it: they wait in the kernel's queue, and are
 * accepted when others close. */
#define LIMIT_CONNECTIONS        11000u
/* Seconds in which no byte moves on a connection that isn't waiting for its answer. Past it: the connection is closed. */
#define LIMIT_HTTP_IDLE_S        120u
/* Refused uploads that are read out at once. Past it: their connections are cut at once. */
#define LIMIT_HTTP_DRAINS        64u
/* Connections accepted in one turn of the loop. Past it: the rest is accepted in the next turn. */
#define LIMIT_HTTP_ACCEPTS       64u
/* Rounds of work that the HTTP library gets in one turn of the loop. Past it: the rest is done in the next turn. */
#define LIMIT_HTTP_ROUNDS        4u
/* Hang-ups that are looked at, and calls about them and about streams that are made, in one turn of the loop. Past it: the
 * rest comes in the next turn. */
#define LIMIT_HTTP_CALLS         256u
/* Requests under way on one node: one of each connection, and the grants that are being given back. Past it: 503
 * `overloaded`. */
#define LIMIT_REQUESTS           12000u
/* Grants that are being given back because their client hung up. Past it: they stay until their TTL. */
#define LIMIT_GIVE_BACKS         1000u
/* Bytes of memory that one request may take once it is parsed, more than the bounds above let through. Past it: 400
 * `invalid_field` or 413 `body_too_large`. */
#define LIMIT_REQUEST_BYTES      (1024u * 1024u)

/* ---- Locks ---- */

/* Milliseconds of the longest TTL that a policy may allow, and of the longest without one. Past it: 422 `ttl_too_long`; in a
 * policy 400 `invalid_field`. */
#define LIMIT_TTL_MS                   (7ull * 24u * 3600u * 1000u)
/* Milliseconds of the safety margin of a schedule without a policy. Past it: nothing, it is a default. */
#define LIMIT_DEFAULT_MARGIN_MS        30000u
/* Slots of a schedule. Past it: 400 `invalid_field` in a policy, 409 `lock_held` for a grant. */
#define LIMIT_SLOTS                    256u
/* Attempts at one occurrence that a policy may allow. Past it: 400 `invalid_field` in a policy, 409 `attempts_exhausted`. */
#define LIMIT_ATTEMPTS                 1000000u
/* Schedules that are remembered. Past it: 507 `capacity` for a new one. */
#define LIMIT_SCHEDULES                1000000u
/* Schedules beyond those, for such as have a policy. Past it: 507 `capacity` for a new one. */
#define LIMIT_SCHEDULES_RESERVE        10000u
/* Bytes of state, counted the same on every node. Past it: 507 `capacity` for what would grow; renew, release, revoke and
 * delete always work, but a revocation's actor and reason aren't kept. */
#define LIMIT_STATE_BYTES              (1024ull * 1024u * 1024u)
/* Bytes of these that only schedules with a policy may use. Past it: 507 `capacity` for the others. */
#define LIMIT_STATE_RESERVE_BYTES      (64ull * 1024u * 1024u)
/* Runs of a schedule that are kept; or one fewer, and all live ones. Past it: the one that ended first is forgotten. */
#define LIMIT_RUNS_PER_SCHEDULE        16u
/* Occurrences of a schedule that are remembered; or one fewer, and all running ones. Past it: the earliest instant is
 * forgotten and raises the floor; without an instant, the oldest other string. */
#define LIMIT_OCCURRENCES_PER_SCHEDULE 64u
/* Milliseconds for which a schedule without policy and lock is remembered, 40 days. Past it: it is forgotten. */
#define LIMIT_FORGET_MS                (40ull * 24u * 3600u * 1000u)

/* Renewals in one batch. Past it: 400 `invalid_field`. */
#define LIMIT_RENEWALS      1000u
/* Groups. Past it: 507 `capacity` for a new one. */
#define LIMIT_GROUPS        10000u
/* Slots of a group. Past it: 400 `invalid_field`. */
#define LIMIT_GROUP_SLOTS   10000u
/* Holders that a refusal by a full group shows. Past it: the oldest are shown, and `held` counts all. */
#define LIMIT_GROUP_HOLDERS 64u
/* Freezes. Past it: 507 `capacity` for a new one. */
#define LIMIT_FREEZES       1000u
/* Milliseconds of a freeze, a year. Past it: 400 `invalid_field`. */
#define LIMIT_FREEZE_MS     (365ull * 24u * 3600u * 1000u)

/* ---- Waiting ---- */

/* Milliseconds for which a request may wait for a lock. Past it: 400 `invalid_field`. */
#define LIMIT_WAIT_MS      3600000u
/* Requests that may wait for a lock at the leader, those of all nodes; and as many at any other node. Past it: 503
 * `overloaded`. */
#define LIMIT_WAITERS      100000u
/* Waiting requests that are looked at in one turn of the loop. Past it: the rest is looked at in the next turns. */
#define LIMIT_WAITER_LOOKS 512u

/* ---- Events ---- */

/* Events that a node keeps for readers who come back. Past it: the oldest is dropped, and who asks for it gets `reset`. */
#define LIMIT_EVENTS              65536u
/* Bytes of these. Past it: the oldest are dropped earlier. */
#define LIMIT_EVENT_BYTES         (64u * 1024u * 1024u)
/* Readers of events at one node. Past it: 503 `overloaded`. */
#define LIMIT_EVENT_READERS       1000u
/* Bytes of events that a reader gets in one turn of the loop, and one event more. Past it: the rest comes in the next turns,
 * but refusals, which aren't kept, are left out. */
#define LIMIT_EVENT_PORTION_BYTES (64u * 1024u)
/* Bytes of events that all readers together get in one turn, but for 4 KiB each. Past it: each gets a smaller portion. */
#define LIMIT_EVENT_TURN_BYTES    (4u * 1024u * 1024u)
/* Bytes of an answer without an end that its reader hasn't taken. Past it: the connection is closed. */
#define LIMIT_STREAM_BYTES        (256u * 1024u)
/* Schedules that are told of by name in the metrics, those with a policy. Past it: they are left out and counted. */
#define LIMIT_METRIC_SCHEDULES    10000u

/* ---- Replication ---- */

/* Bytes of one log entry. Past it: the rest of a turn's operations waits for the next entry. */
#define LIMIT_ENTRY_BYTES         (512u * 1024u)
/* Entries that are proposed and not applied. Past it: operations wait in their queue. */
#define LIMIT_ENTRIES_IN_FLIGHT   2u
/* Operations on one node that aren't decided, on the leader also those of others, but for those that may wait for a lock; and
 * as many reads. Past it: 503 `overloaded`. */
#define LIMIT_OPERATIONS_QUEUED   16384u
/* Questions about reads that the leader hasn't answered; one stands for all reads that wait at a member. Past it: they wait
 * at the members, which ask again. */
#define LIMIT_READ_REQUESTS       1024u
/* Schedules in one question about reads whose waiting requests are to be counted. Past it: the rest goes into the next one. */
#define LIMIT_READ_COUNTS         1024u
/* Waiting operations that one frame takes back. Past it: the sender begins another one. */
#define LIMIT_CANCELS             4096u
/* Entries in one message to a follower. Past it: the rest goes into the next message. */
#define LIMIT_APPEND_ENTRIES      32u
/* Members of a cluster. Past it: exit 64 at the start. */
#define LIMIT_MEMBERS             31u
/* Bytes of HOST:PORT, room for the longest host. Past it: exit 64 at the start; a member that says so isn't let in. */
#define LIMIT_ADDRESS_BYTES       272u
/* Bytes of a SPEC, room for the longest names and hosts of all members. Past it: exit 64 at the start, by what is too long
 * or too many; a member that says so isn't let in. */
#define LIMIT_SPEC_BYTES          (17u * 1024u)
/* Bytes of the members as libraft encodes them. Past it: a snapshot that has more is refused as damaged, and a message
 * closes its connection. */
#define LIMIT_CONFIGURATION_BYTES (64u * 1024u)
/* Bytes of a cluster key file. Past it: exit 64 at the start. */
#define LIMIT_CLUSTER_KEY_BYTES   4096u

/* ---- Snapshots ---- */

/* Bytes of one chunk. Past it: the next schedule begins another chunk. */
#define LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES (256u * 1024u)
/* Bytes of a chunk that a single schedule fills: with every slot taken, and the longest names and texts, 907 KiB. Past it: a
 * chunk that claims more is refused as damaged, or closes its connection. */
#define LIMIT_SNAPSHOT_CHUNK_BYTES        (1024u * 1024u)
/* Entries that the log keeps behind a snapshot for slow followers, on disk and in memory (a GiB, were all of them the
 * longest); never 0. Past it: they are dropped, and their segments recycled. */
#define LIMIT_SNAPSHOT_TRAILING           2048u

/* ---- Frames between members, their bodies ---- */

/* Bytes of a frame of a few numbers. Past it: the connection is closed before anything is allocated. */
#define LIMIT_FRAME_SMALL_BYTES           1024u
/* Bytes of a handshake's frame. Past it: the connection is closed before anything is allocated. */
#define LIMIT_FRAME_HANDSHAKE_BYTES       (32u * 1024u)
/* Bytes of a frame of log entries. Past it: the connection is closed before anything is allocated. */
#define LIMIT_FRAME_RAFT_BYTES            (LIMIT_APPEND_ENTRIES * (LIMIT_ENTRY_BYTES + 1024u) + 65536u)
/* Bytes of a frame of operations. Past it: the sender begins another one; a connection that announces more is closed. */
#define LIMIT_FRAME_OPERATIONS_BYTES      (LIMIT_ENTRY_BYTES + 65536u)
/* Bytes of a frame of outcomes. Past it: the sender begins another one; a connection that announces more is closed. */
#define LIMIT_FRAME_OUTCOMES_BYTES        (4u * 1024u * 1024u)
/* Bytes of a question about reads, or of its answer: LIMIT_READ_COUNTS of the longest ids. Past it: the connection is closed
 * before anything is allocated. */
#define LIMIT_FRAME_READ_INDEX_BYTES      (LIMIT_FRAME_SMALL_BYTES + LIMIT_READ_COUNTS * (LIMIT_NAME_BYTES + 4u))
/* Bytes of a frame that takes waiting operations back. Past it: the connection is closed before anything is allocated. */
#define LIMIT_FRAME_CANCEL_BYTES          (LIMIT_FRAME_SMALL_BYTES + LIMIT_CANCELS * 8u)
/* Bytes of a frame with a chunk of a snapshot. Past it: the connection is closed before anything is allocated. */
#define LIMIT_FRAME_CHUNK_BYTES           (LIMIT_SNAPSHOT_CHUNK_BYTES + 1024u)
/* Bytes of memory that one frame may take once it is decoded; nor more than 64 times its own, of outcomes 256 times. Past it:
 * the connection is closed. */
#define LIMIT_FRAME_DECODED_BYTES         (256u << 20)
/* Bytes of Raft's messages queued to one member. Past it: they are dropped, and libraft repeats them; after two election
 * time-outs in which no byte was taken the connection is closed, which empties all queues. */
#define LIMIT_PEER_RAFT_QUEUE_BYTES       (2u * LIMIT_FRAME_RAFT_BYTES)
/* Bytes of operations and outcomes queued to one member. Past it: operations wait where they are, in the end for a 503
 * `no_leader`; outcomes are dropped, which is a 504 `outcome_unknown`. */
#define LIMIT_PEER_OPERATIONS_QUEUE_BYTES (8u * 1024u * 1024u)
/* Bytes of chunks queued to one member, room for those of a transfer that are under way at once. Past it: the transfer is
 * offered again, and goes on where it was. */
#define LIMIT_PEER_CHUNK_QUEUE_BYTES      (5u * LIMIT_FRAME_CHUNK_BYTES)
/* Bytes given to the network ahead of the kernel. Past it: the rest stays in the queues, sorted by urgency. */
#define LIMIT_PEER_SEND_AHEAD_BYTES       (256u * 1024u)
/* Connections of strangers, and of members that haven't proved it yet. Past it: the oldest is closed. */
#define LIMIT_PEER_HALF_OPEN              64u
/* Milliseconds for a handshake. Past it: the connection is closed. */
#define LIMIT_PEER_HANDSHAKE_MS           5000u
/* Bytes of unsent answers to questions about the founders. Past it: the asker is closed. */
#define LIMIT_PEER_ANSWERS_BYTES          (64u * 1024u)
/* Lines in the log about peers, of one cause in one second. Past it: the rest is counted. */
#define LIMIT_PEER_NOTES_PER_SECOND       3u

/* ---- Disk ---- */

/* Bytes that are written at once, and their alignment. Past it: more blocks. */
#define LIMIT_BLOCK_BYTES    4096u
/* Bytes of one file of the log. Past it: the next file; a snapshot is due after 128 MiB of files, or 16 MiB of entries and
 * as many as the newest snapshot has. */
#define LIMIT_SEGMENT_BYTES  (16u * 1024u * 1024u)
/* Bytes of one record of the log. Past it: the rest goes into the next record. */
#define LIMIT_RECORD_BYTES   (2u * 1024u * 1024u)
/* Records that are being written. Past it: what comes meanwhile is merged into the next one. */
#define LIMIT_LOG_WRITES     2u
/* Files of the log that wait to be used again. Past it: they are removed. */
#define LIMIT_SPARE_SEGMENTS 8u
/* Milliseconds of quiet after which the last record gets its witness. Past it: a marker is written. */
#define LIMIT_MARKER_MS      1000u
/* Bytes of the identity file. Past it: it is refused as damaged, exit 65. */
#define LIMIT_IDENTITY_BYTES (1024u * 1024u)

/* ---- The log of events ---- */

/* Bytes of lines that their reader doesn't take yet. Past it: lines are dropped, and their number is told later. */
#define LIMIT_JOURNAL_BYTES (256u * 1024u)

#endif
