/* transfer: a snapshot on its way from the leader to a member that needs entries which are no longer in the log.
 *
 * The leader offers a descriptor (FRAME_INSTALL_SNAPSHOT); the receiver answers with the chunk that it wants next, which
 * is how a transfer begins, resumes after a reconnect, and is repeated when something got lost. Up to TRANSFER_WINDOW
 * chunks are on their way at once. The receiver writes them to a temporary file, and when all are there verifies and
 * decodes them on the pool; only then libraft hears of an InstallSnapshot, and takes the file (snapshot_put) and the
 * decoded table (restore) by a handle. The last acknowledgement follows that.
 *
 * One transfer to a member at a time, and one from anybody. */
#include <stdlib.h>
#include <string.h>

#include "codec/snapshot.h"
#include "replica/inside.h"

#define TRANSFER_WINDOW     4u
#define TRANSFER_REPEAT_NS  (500ull * NS_PER_MS)
#define TRANSFER_GIVE_UP_NS (REPLICA_INSTALL_TIMEOUT_MS * NS_PER_MS) /* without a sign of the member */

/* ---- the side that sends ---- */

struct sending {
    struct replica *replica;
    struct member *member; /* NULL: it was removed, free this when the pool is done */
    bool active;
    bool answered;     /* since the last offer: chunks may go out */
    uint64_t ended_ns; /* when the last transfer ended; 0: none did */
    uint64_t heard_ns, offered_ns;
    struct storage_snapshot_reader *reader;
    struct storage_snapshot_info info;
    struct buffer configuration;
    uint64_t acked, next; /* chunks the member has; chunk to read next */
    bool reading;
    uint64_t reading_number;
    struct work work;
    struct buffer chunk;
    enum error error;
    struct error_text text;
};

static void sending_read(struct work *work)
{
    struct sending *sending = work->data;
    sending->error = storage_snapshot_read(sending->reader, sending->reading_number, &sending->chunk, &sending->text);
}

static void sending_free(struct sending *sending, bool crash)
{
    if (sending->reader != NULL && !crash) {
        storage_snapshot_reader_close(sending->reader);
    }
    buffer_close(&sending->configuration);
    buffer_close(&sending->chunk);
    free(sending);
}

static void sending_end(struct sending *sending, const char *message)
{
    struct replica *replica = sending->replica;
    sending->active = false;
    sending->ended_ns = replica_now_ns(replica);
    log_info(replica->options.log, message, LOG_TEXT("peer", sending->member->address.name),
             LOG_U64("index", sending->info.index), LOG_U64("bytes", sending->info.size));
    if (!sending->reading) {
        storage_snapshot_reader_close(sending->reader);
        sending->reader = NULL;
    }
}

static void sending_offer(struct sending *sending)
{
    struct replica *replica = sending->replica;
    struct frame frame = {
        .kind = FRAME_INSTALL_SNAPSHOT,
        .install_snapshot =
            {
                .term = replica->raft.current_term,
                .last_index = sending->info.index,
                .last_term = sending->info.term,
                .configuration_index = sending->info.configuration_index,
                .configuration = buffer_slice(&sending->configuration),
                .size = sending->info.size,
                .chunks = sending->info.chunks,
                .checksum = sending->info.checksum,
            },
    };
    sending->answered = false;
    sending->offered_ns = replica_now_ns(replica);
    if (!peer_send(sending->member->peer, &frame)) {
        return; /* again when the stream is up */
    }
}

static void sending_read_done(struct work *work);

static void sending_pump(struct sending *sending)
{
    if (!sending->active || !sending->answered || sending->reading || sending->next >= sending->info.chunks ||
        sending->next >= sending->acked + TRANSFER_WINDOW) {
        return;
    }
    sending->reading = true;
    sending->reading_number = sending->next;
    sending->work = (struct work){.run = sending_read, .done = sending_read_done, .data = sending};
    replica_work(sending->replica, &sending->work);
}

static void sending_read_done(struct work *work)
{
    struct sending *sending = work->data;
    struct replica *replica = sending->replica;
    replica_work_done(replica);
    sending->reading = false;
    if (replica->dead) {
        return;
    }
    if (sending->member == NULL) {
        sending_free(sending, false);
        return;
    }
    if (!sending->active) {
        storage_snapshot_reader_close(sending->reader);
        sending->reader = NULL;
        return;
    }
    if (sending->error != ERROR_NONE) {
        replica_fatal(replica, sending->error == ERROR_CORRUPT ? REPLICA_EXIT_DATA : REPLICA_EXIT_FAILURE,
                      "the snapshot can't be read: %s", sending->text.text);
        return;
    }
    struct frame frame = {
        .kind = FRAME_SNAPSHOT_CHUNK,
        .snapshot_chunk =
            {
                .last_index = sending->info.index,
                .last_term = sending->info.term,
                .number = sending->reading_number,
                .bytes = buffer_slice(&sending->chunk),
            },
    };
    if (!sending->answered || sending->reading_number != sending->next) {
        sending_pump(sending); /* a new offer was made meanwhile */
    } else if (peer_send(sending->member->peer, &frame)) {
        sending->next++;
        sending_pump(sending);
    } else {
        sending->answered = false; /* the next offer begins where the member is */
    }
}

static bool sending_start(struct sending *sending)
{
    struct replica *replica = sending->replica;
    struct error_text text = {{0}};
    if (storage_snapshot_open(replica->options.storage, &sending->reader, &text) != ERROR_NONE) {
        replica_fatal(replica, REPLICA_EXIT_DATA, "the snapshot can't be opened: %s", text.text);
        return false;
    }
    storage_snapshot_reader_info(sending->reader, &sending->info);
    buffer_clear(&sending->configuration);
    buffer_append_slice(&sending->configuration, sending->info.configuration);
    sending->info.configuration = (struct slice){0}; /* storage's; the copy is ours */
    sending->active = true;
    sending->acked = sending->next = 0;
    sending->heard_ns = replica_now_ns(replica);
    log_info(replica->options.log, "snapshot transfer begins", LOG_TEXT("peer", sending->member->address.name),
             LOG_U64("index", sending->info.index), LOG_U64("bytes", sending->info.size));
    return true;
}

/* `install` names what libraft asked for; the newest snapshot is what goes out, and it is the same or newer. */
void transfer_send(struct replica *replica, struct member *member, const struct raft_install_snapshot *install)
{
    (void)install;
    struct sending *sending = member->sending;
    if (sending == NULL) {
        sending = calloc(1, sizeof *sending);
        CHECK(sending != NULL);
        sending->replica = replica;
        sending->member = member;
        member->sending = sending;
    }
    if (sending->active || sending->reading || !member_reachable(member) || !sending_start(sending)) {
        return; /* libraft asks again */
    }
    sending_offer(sending);
}

void transfer_take_ack(struct replica *replica, struct member *member, const struct frame_snapshot_ack *frame)
{
    struct sending *sending = member->sending;
    if (sending == NULL || !sending->active || frame->last_index != sending->info.index ||
        frame->last_term != sending->info.term || frame->next > sending->info.chunks) {
        return;
    }
    sending->heard_ns = replica_now_ns(replica);
    if (frame->refused) {
        sending_end(sending, "snapshot transfer refused");
        return;
    }
    if (frame->next == sending->info.chunks) {
        sending_end(sending, "snapshot transfer done");
        return;
    }
    if (!sending->answered) {
        sending->answered = true;
        sending->next = frame->next;
    }
    sending->acked = frame->next;
    sending->next = sending->next < sending->acked ? sending->acked : sending->next;
    sending_pump(sending);
}

void transfer_stream_up(struct replica *replica, struct member *member)
{
    /* Who leads no more mustn't make anybody believe so until the next tick ends the transfer. */
    if (replica_running(replica) && replica->raft.state == RAFT_LEADER && member->sending != NULL &&
        member->sending->active) {
        sending_offer(member->sending);
    }
}

static void sending_tick(struct sending *sending, uint64_t now_ns)
{
    const struct replica *replica = sending->replica;
    if (!sending->active) {
        return;
    }
    uint64_t patience_ns = 2ull * replica->options.election_timeout_ms * NS_PER_MS;
    bool gone = !member_reachable(sending->member) && now_ns - sending->heard_ns >= patience_ns;
    if (replica->raft.state != RAFT_LEADER || gone) {
        sending_end(sending, "snapshot transfer abandoned"); /* no longer a reason to put snapshots off */
    } else if (now_ns - sending->heard_ns >= TRANSFER_GIVE_UP_NS) {
        sending_end(sending, "snapshot transfer timed out"); /* libraft asks again, and it resumes */
    } else if (now_ns - sending->heard_ns >= TRANSFER_REPEAT_NS && now_ns - sending->offered_ns >= TRANSFER_REPEAT_NS &&
               peer_is_up(sending->member->peer)) {
        sending_offer(sending);
    } else {
        sending_pump(sending);
    }
}

bool transfer_recent(struct replica *replica, const struct member *member)
{
    const struct sending *sending = member->sending;
    if (sending == NULL) {
        return false;
    }
    uint64_t since_ns = replica_now_ns(replica) - sending->ended_ns;
    return sending->active || (sending->ended_ns != 0 && since_ns < GUARD_AFTER_TRANSFER_MS * NS_PER_MS);
}

void transfer_member_removed(struct replica *replica, struct member *member)
{
    struct sending *sending = member->sending;
    (void)replica;
    if (sending == NULL) {
        return;
    }
    member->sending = NULL;
    sending->member = NULL;
    if (!sending->reading) {
        sending_free(sending, false);
    }
}

/* ---- the side that receives ---- */

enum receiving_stage { RECEIVING_BEGIN, RECEIVING_CHUNKS, RECEIVING_VERIFY, RECEIVING_STAGED };

struct receiving {
    struct replica *replica;
    uint64_t from;
    enum receiving_stage stage;
    uint64_t term;                     /* of the newest offer */
    struct storage_snapshot_info info; /* as offered, until the file's own is known */
    struct buffer configuration;
    struct storage_snapshot_writer *writer;
    struct lock_table *table;
    uint64_t taken, written; /* chunks that arrived in order; chunks in the file */
    struct buffer queue[TRANSFER_WINDOW];
    bool working;
    bool unwanted; /* nobody's any more; freed when the pool is done with it */
    struct work work;
    enum error error;
    struct error_text text;
};

static void receiving_free(struct receiving *receiving, bool crash)
{
    if (receiving->writer != NULL && !crash) {
        storage_snapshot_discard(receiving->writer);
    }
    lock_table_close(receiving->table);
    buffer_close(&receiving->configuration);
    for (size_t i = 0; i < TRANSFER_WINDOW; i++) {
        buffer_close(&receiving->queue[i]);
    }
    free(receiving);
}

/* On the pool: a large file and a large table take long to go. */
static void receiving_discard(struct work *work)
{
    struct receiving *receiving = work->data;
    if (receiving->writer != NULL) {
        storage_snapshot_discard(receiving->writer);
        receiving->writer = NULL;
    }
    lock_table_close(receiving->table);
    receiving->table = NULL;
}

static void receiving_discarded(struct work *work)
{
    struct receiving *receiving = work->data;
    struct replica *replica = receiving->replica;
    replica->receiving = NULL;
    receiving_free(receiving, false);
    replica_work_done(replica);
}

/* It may stay for a while, unwanted; nothing else is received meanwhile. */
static void receiving_drop(struct replica *replica)
{
    struct receiving *receiving = replica->receiving;
    if (receiving == NULL) {
        return;
    }
    receiving->unwanted = true;
    guards_close(&replica->guards); /* what guard 6 holds names this file and this table */
    if (receiving->working) {
        return;
    }
    if (receiving->writer == NULL && receiving->table == NULL) {
        replica->receiving = NULL;
        receiving_free(receiving, false);
        return;
    }
    receiving->working = true;
    receiving->work = (struct work){.run = receiving_discard, .done = receiving_discarded, .data = receiving};
    replica_work(replica, &receiving->work);
}

static void send_ack(struct member *member, uint64_t index, uint64_t term, uint64_t next, bool refused)
{
    struct frame frame = {
        .kind = FRAME_SNAPSHOT_ACK,
        .snapshot_ack = {.last_index = index, .last_term = term, .next = next, .refused = refused},
    };
    if (member != NULL && member->peer != NULL && !peer_send(member->peer, &frame)) {
        return; /* the offer is repeated */
    }
}

/* While the last chunk is not yet with libraft, it is asked for again: an acknowledgement of all ends the transfer. */
static void receiving_ack(struct receiving *receiving)
{
    struct replica *replica = receiving->replica;
    uint64_t next = receiving->written < receiving->info.chunks ? receiving->written : receiving->info.chunks - 1;
    send_ack(member_by_id(replica, receiving->from), receiving->info.index, receiving->info.term, next, false);
}

static void deliver_install(struct replica *replica, struct member *member, uint64_t message_term,
                            const struct storage_snapshot_info *info, struct slice configuration)
{
    const struct raft_server *server = guards_server(&replica->raft, member->id);
    if (server == NULL) {
        return;
    }
    struct raft_buffer encoded = {.base = (void *)configuration.base, .len = configuration.len};
    struct raft_message message = {
        .type = RAFT_INSTALL_SNAPSHOT,
        .server_id = member->id,
        .server_address = server->address,
        .install_snapshot =
            {
                .term = message_term,
                .last_index = info->index,
                .last_term = info->term,
                .conf_index = info->configuration_index,
                .data = snapshot_handle_new(info->index, info->term),
            },
    };
    CHECK(raft_configuration_decode(&encoded, &message.install_snapshot.conf) == 0); /* valid since it was offered */
    guards_receive(&replica->guards, &message);
    transfer_settle(replica);
}

void transfer_settle(struct replica *replica)
{
    struct receiving *receiving = replica->receiving;
    if (receiving != NULL && !receiving->unwanted && receiving->stage == RECEIVING_STAGED &&
        !replica->raft.snapshot.installing && !replica->guards.has_held) {
        receiving_drop(replica); /* libraft has no use for it */
    }
}

static void receiving_staged(struct receiving *receiving)
{
    struct replica *replica = receiving->replica;
    struct member *member = member_by_id(replica, receiving->from);
    if (member == NULL) {
        receiving_drop(replica);
        return;
    }
    uint64_t index = receiving->info.index;
    uint64_t term = receiving->info.term;
    uint64_t chunks = receiving->info.chunks;
    struct storage_snapshot_info info = receiving->info;
    struct buffer configuration = receiving->configuration; /* `receiving` may be gone when libraft has had it */
    buffer_init(&receiving->configuration);
    deliver_install(replica, member, receiving->term, &info, buffer_slice(&configuration));
    if (replica->receiving == receiving) {
        receiving->configuration = configuration; /* held: it may be offered again */
    } else {
        buffer_close(&configuration);
    }
    send_ack(member, index, term, chunks, false);
    replica_after_step(replica);
}

static void receiving_write(struct work *work)
{
    struct receiving *receiving = work->data;
    struct buffer *chunk = &receiving->queue[receiving->written % TRANSFER_WINDOW];
    receiving->error = storage_snapshot_write(receiving->writer, buffer_slice(chunk), &receiving->text);
}

static enum error verify_file(struct receiving *receiving)
{
    struct storage_snapshot_info file = receiving->info;
    file.configuration = buffer_slice(&receiving->configuration);
    enum error error = storage_snapshot_finish(receiving->writer, &file, &receiving->text);
    if (error != ERROR_NONE) {
        return error;
    }
    const struct storage_snapshot_info *offered = &receiving->info;
    if (file.size != offered->size || file.chunks != offered->chunks || file.checksum != offered->checksum) {
        return error_set(&receiving->text, ERROR_INVALID, "the chunks are not those that were announced");
    }
    return ERROR_NONE;
}

/* On the pool: reads the file back, so that what is decoded is what is on the disk. */
static void receiving_verify(struct work *work)
{
    struct receiving *receiving = work->data;
    receiving->error = verify_file(receiving);
    if (receiving->error != ERROR_NONE) {
        return;
    }
    receiving->table = lock_table_open();
    struct snapshot_decoder *decoder = snapshot_decoder_open(receiving->table);
    struct buffer chunk;
    buffer_init(&chunk);
    for (uint64_t i = 0; receiving->error == ERROR_NONE && i < receiving->info.chunks; i++) {
        receiving->error = storage_snapshot_reread(receiving->writer, i, &chunk, &receiving->text);
        if (receiving->error == ERROR_NONE) {
            receiving->error = snapshot_decoder_chunk(decoder, buffer_slice(&chunk), &receiving->text);
        }
    }
    if (receiving->error == ERROR_NONE) {
        receiving->error = snapshot_decoder_finish(decoder, &receiving->text);
    }
    if (receiving->error == ERROR_NONE) {
        receiving->error = snapshots_check_index(receiving->table, &receiving->info, &receiving->text);
    }
    snapshot_decoder_close(decoder);
    buffer_close(&chunk);
}

static void receiving_work(struct receiving *receiving);

/* True when the receiving goes on. */
static bool receiving_check(struct receiving *receiving)
{
    struct replica *replica = receiving->replica;
    replica_work_done(replica);
    receiving->working = false;
    if (replica->dead) {
        return false;
    }
    if (receiving->unwanted || replica->stage == STAGE_ENDING) {
        receiving_drop(replica);
        return false;
    }
    if (receiving->error == ERROR_IO || receiving->error == ERROR_NO_SPACE || receiving->writer == NULL) {
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "a received snapshot can't be written: %s", receiving->text.text);
        return false;
    }
    if (receiving->error == ERROR_VERSION) {
        replica_fatal(replica, REPLICA_EXIT_DATA, "a received snapshot can't be understood: %s", receiving->text.text);
        return false;
    }
    if (receiving->error != ERROR_NONE) {
        log_warning(replica->options.log, "received snapshot dropped", LOG_U64("index", receiving->info.index),
                    LOG_TEXT("reason", receiving->text.text));
        send_ack(member_by_id(replica, receiving->from), receiving->info.index, receiving->info.term, 0, true);
        receiving_drop(replica);
        return false;
    }
    return true;
}

static void receiving_verified(struct work *work)
{
    struct receiving *receiving = work->data;
    if (receiving_check(receiving)) {
        receiving->stage = RECEIVING_STAGED;
        receiving_staged(receiving);
    }
}

static void receiving_written(struct work *work)
{
    struct receiving *receiving = work->data;
    if (receiving_check(receiving)) {
        receiving->written++;
        receiving_ack(receiving);
        receiving_work(receiving);
    }
}

static void receiving_work(struct receiving *receiving)
{
    if (receiving->working || receiving->stage != RECEIVING_CHUNKS) {
        return;
    }
    if (receiving->written < receiving->taken) {
        receiving->work = (struct work){.run = receiving_write, .done = receiving_written, .data = receiving};
    } else if (receiving->written == receiving->info.chunks) {
        receiving->stage = RECEIVING_VERIFY;
        receiving->work = (struct work){.run = receiving_verify, .done = receiving_verified, .data = receiving};
    } else {
        return;
    }
    receiving->working = true;
    replica_work(receiving->replica, &receiving->work);
}

static bool receiving_is(const struct receiving *receiving, const struct frame_install_snapshot *frame)
{
    return receiving != NULL && !receiving->unwanted && receiving->info.index == frame->last_index &&
           receiving->info.term == frame->last_term && receiving->info.checksum == frame->checksum &&
           receiving->info.chunks == frame->chunks && receiving->info.size == frame->size;
}

/* On the pool: what an earlier attempt left is unlinked. */
static void receiving_begin(struct work *work)
{
    struct receiving *receiving = work->data;
    receiving->error =
        storage_snapshot_begin(receiving->replica->options.storage, true, &receiving->writer, &receiving->text);
}

static void receiving_begun(struct work *work)
{
    struct receiving *receiving = work->data;
    if (receiving_check(receiving)) {
        receiving->stage = RECEIVING_CHUNKS;
        receiving_ack(receiving);
    }
}

static void receiving_start(struct replica *replica, struct member *member, const struct frame_install_snapshot *frame)
{
    struct receiving *receiving = calloc(1, sizeof *receiving);
    CHECK(receiving != NULL);
    receiving->replica = replica;
    receiving->from = member->id;
    receiving->term = frame->term;
    receiving->info = (struct storage_snapshot_info){
        .index = frame->last_index,
        .term = frame->last_term,
        .configuration_index = frame->configuration_index,
        .size = frame->size,
        .chunks = frame->chunks,
        .checksum = frame->checksum,
    };
    buffer_append_slice(&receiving->configuration, frame->configuration);
    replica->receiving = receiving;
    log_info(replica->options.log, "snapshot announced", LOG_TEXT("peer", member->address.name),
             LOG_U64("index", frame->last_index), LOG_U64("bytes", frame->size));
    receiving->stage = RECEIVING_BEGIN;
    receiving->working = true;
    receiving->work = (struct work){.run = receiving_begin, .done = receiving_begun, .data = receiving};
    replica_work(replica, &receiving->work);
}

/* libraft answers such an InstallSnapshot without looking at its data. */
static bool has_all(const struct raft *raft, const struct frame_install_snapshot *frame)
{
    return raft->trail.snapshot.index >= frame->last_index ||
           guards_term_of(raft, frame->last_index) == frame->last_term;
}

void transfer_take_descriptor(struct replica *replica, struct member *member,
                              const struct frame_install_snapshot *frame)
{
    const struct raft *raft = &replica->raft;
    struct receiving *receiving = replica->receiving;
    bool valid = frame->last_index > 0 && frame->last_term > 0 && frame->chunks > 0 &&
                 frame->configuration_index <= frame->last_index &&
                 guards_configuration_valid(frame->configuration.base, frame->configuration.len);
    if (!replica_running(replica) || !valid || raft->snapshot.installing || raft->state == RAFT_LEADER) {
        return;
    }
    if (frame->term < raft->current_term) {
        send_ack(member, frame->last_index, frame->last_term, 0, true);
        return;
    }
    if (has_all(raft, frame)) {
        struct storage_snapshot_info info = {
            .index = frame->last_index, .term = frame->last_term, .configuration_index = frame->configuration_index};
        deliver_install(replica, member, frame->term, &info, frame->configuration);
        send_ack(member, frame->last_index, frame->last_term, 0, true);
        replica_after_step(replica);
        return;
    }
    if (!receiving_is(receiving, frame)) {
        receiving_drop(replica);
        if (replica->receiving == NULL) { /* else the pool has it still: the offer is repeated */
            receiving_start(replica, member, frame);
        }
        return;
    }
    receiving->from = member->id;
    receiving->term = frame->term;
    if (receiving->stage == RECEIVING_CHUNKS) {
        receiving->taken = receiving->working ? receiving->written + 1 : receiving->written;
    }
    if (receiving->stage == RECEIVING_STAGED && !replica->guards.has_held) {
        receiving_staged(receiving);
    } else if (receiving->stage != RECEIVING_BEGIN) {
        receiving_ack(receiving);
    }
}

void transfer_take_chunk(struct replica *replica, struct member *member, const struct frame_snapshot_chunk *frame)
{
    struct receiving *receiving = replica->receiving;
    if (receiving == NULL || receiving->unwanted || receiving->from != member->id ||
        receiving->stage != RECEIVING_CHUNKS || frame->last_index != receiving->info.index ||
        frame->last_term != receiving->info.term || frame->number != receiving->taken ||
        receiving->taken >= receiving->info.chunks || receiving->taken - receiving->written >= TRANSFER_WINDOW) {
        return;
    }
    struct buffer *chunk = &receiving->queue[receiving->taken % TRANSFER_WINDOW];
    buffer_clear(chunk);
    buffer_append_slice(chunk, frame->bytes);
    receiving->taken++;
    receiving_work(receiving);
}

void transfer_stream_lost(struct replica *replica, struct member *member)
{
    struct receiving *receiving = replica->receiving;
    if (receiving != NULL && receiving->from == member->id && receiving->stage == RECEIVING_CHUNKS) {
        /* What was written stays; the next offer resumes behind it. */
        receiving->taken = receiving->working ? receiving->written + 1 : receiving->written;
    }
}

static bool handle_is(const struct receiving *receiving, struct snapshot_handle handle)
{
    return receiving != NULL && !receiving->unwanted && receiving->stage == RECEIVING_STAGED &&
           receiving->info.index == handle.index && receiving->info.term == handle.term;
}

struct storage_snapshot_writer *transfer_take_writer(struct replica *replica, struct snapshot_handle handle,
                                                     struct storage_snapshot_info *info)
{
    struct receiving *receiving = replica->receiving;
    if (!handle_is(receiving, handle)) {
        return NULL;
    }
    struct storage_snapshot_writer *writer = receiving->writer;
    receiving->writer = NULL;
    *info = receiving->info;
    return writer;
}

struct lock_table *transfer_take_table(struct replica *replica, struct snapshot_handle handle)
{
    struct receiving *receiving = replica->receiving;
    if (!handle_is(receiving, handle)) {
        return NULL;
    }
    struct lock_table *table = receiving->table;
    receiving->table = NULL;
    receiving_drop(replica);
    return table;
}

/* Entries came all the same, and nobody will offer it again. */
static void receiving_tick(struct replica *replica)
{
    const struct receiving *receiving = replica->receiving;
    if (receiving != NULL && !receiving->unwanted && replica->raft.last_applied >= receiving->info.index) {
        receiving_drop(replica);
    }
}

/* ---- both ---- */

void transfer_tick(struct replica *replica)
{
    uint64_t now_ns = replica_now_ns(replica);
    receiving_tick(replica);
    for (size_t i = 0; i < replica->members.n; i++) {
        if (replica->members.list[i]->sending != NULL) {
            sending_tick(replica->members.list[i]->sending, now_ns);
        }
    }
}

/* No work is on the pool any more, or (crash) nobody will hear of it. */
void transfer_close(struct replica *replica, bool crash)
{
    for (size_t i = 0; i < replica->members.n; i++) {
        struct member *member = replica->members.list[i];
        if (member->sending != NULL) {
            sending_free(member->sending, crash);
            member->sending = NULL;
        }
    }
    if (replica->receiving != NULL) {
        receiving_free(replica->receiving, crash);
        replica->receiving = NULL;
    }
}
