/* The write path of the log.
 *
 * An append is queued. At the next flush (or the end of the loop turn) what is queued becomes a record, as much as fits
 * and follows on index by index; the record goes to the disk at once when fewer than two are in flight. What arrives
 * meanwhile waits and shares the next record: group commit. An append that doesn't begin at the queued record's next
 * index truncates, and starts a record of its own. Records are acknowledged in order, whatever order the disk is done in,
 * and a slot is free again only when it is acknowledged: so a record two further on proves that this one was durable.
 *
 * What goes wrong: a failed write is `fatal` and nobody hears of anything any more. A segment that isn't ready yet holds
 * the queue up until it is. An install (storage_publish.c) waits until all before it is acknowledged; what comes after is
 * held until it is in place. */
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

struct plan {
    uint64_t first_index;
    size_t count;
    size_t payload;
};

static uint64_t record_limit(const struct storage *storage)
{
    uint64_t room = storage->options.segment_bytes - LIMIT_BLOCK_BYTES;
    return room < LIMIT_RECORD_BYTES ? room : LIMIT_RECORD_BYTES;
}

static bool entries_queued(const struct storage *storage)
{
    return storage->queue.first != NULL;
}

bool storage_log_in_flight(const struct storage *storage)
{
    for (size_t i = 0; i < LIMIT_LOG_WRITES; i++) {
        if (storage->writes[i].busy) {
            return true;
        }
    }
    return false;
}

/* ---- choosing a place ---- */

static void segment_rest(struct storage *storage, struct storage_segment *segment)
{
    if (segment->writes == 0) {
        storage->disk->close(segment->file);
        segment->file = NULL;
    }
}

/* False: it doesn't fit into the current segment, and the next one isn't ready. */
static bool log_place(struct storage *storage, size_t bytes)
{
    if (storage->offset + bytes <= storage->options.segment_bytes) {
        return true;
    }
    if (storage->current + 1 == storage->n_segments) {
        if (storage->starved_ns == 0) { /* else it is looked for from time to time */
            storage_segment_prepare(storage);
        }
        return false;
    }
    segment_rest(storage, &storage->segments[storage->current]);
    storage->current++;
    storage->offset = LIMIT_BLOCK_BYTES;
    storage_segment_prepare(storage);
    return true;
}

static void slot_reserve(struct storage_log_write *slot, size_t bytes)
{
    if (slot->capacity >= bytes) {
        return;
    }
    size_t capacity = slot->capacity == 0 ? 16u * LIMIT_BLOCK_BYTES : slot->capacity;
    while (capacity < bytes) {
        capacity *= 2;
    }
    free(slot->base);
    slot->base = aligned_alloc(LIMIT_BLOCK_BYTES, capacity);
    CHECK(slot->base != NULL);
    slot->capacity = capacity;
}

/* ---- sending one record ---- */

static void log_written(struct disk_write *write, enum error error, int os_error);

void storage_log_follow(struct storage *storage, const struct storage_record *record)
{
    struct storage_segment *segment = &storage->segments[storage->current];
    if (segment->first_sequence == 0) {
        segment->first_sequence = record->sequence;
        segment->first_chain = record->chain;
    }
    storage->sequence = record->sequence + 1;
    storage->chain = storage_record_chain(record);
    storage->offset += record->bytes;
    storage->last_kind = record->kind;
}

/* The payload stands in the slot's buffer, and log_place has found room. */
static void log_submit(struct storage *storage, struct storage_log_write *slot, struct storage_record *record)
{
    struct storage_segment *segment = &storage->segments[storage->current];
    record->segment = segment->number;
    record->sequence = storage->sequence;
    record->acked = storage->acked;
    record->chain = storage->chain;
    record->run = storage->run;
    storage_record_seal(record, slot->base, &storage->owner);
    slot->busy = true;
    slot->done = false;
    slot->sequence = record->sequence;
    slot->segment = segment->number;
    slot->started_ns = loop_mono_ns(storage->loop);
    slot->write = (struct disk_write){.file = segment->file,
                                      .offset = storage->offset,
                                      .base = slot->base,
                                      .len = record->bytes,
                                      .done = log_written,
                                      .data = storage};
    storage_log_follow(storage, record);
    storage->next_write = (storage->next_write + 1) % LIMIT_LOG_WRITES;
    segment->writes++;
    storage->pending++;
    storage->disk->submit(storage->disk->impl, &slot->write);
}

/* Which segment holds the living copy of what, and how much lies behind the snapshot. */
void storage_log_account(struct storage *storage, const struct storage_record *record)
{
    if (record->count == 0) {
        storage->spans.carried += record->bytes;
        return;
    }
    uint64_t keep = record->kind == STORAGE_RECORD_RESTART ? 0 : record->first_index - 1;
    for (size_t i = 0; i < storage->n_segments; i++) {
        if (storage->segments[i].last_index > keep) {
            storage->segments[i].last_index = keep;
        }
    }
    storage->written_index = record->first_index + record->count;
    storage->segments[storage->current].last_index = storage->written_index - 1;
    storage_spans_truncate(&storage->spans, record->first_index);
    storage_spans_add(&storage->spans, &(struct storage_span){
                                           .first_index = record->first_index,
                                           .last_index = storage->written_index - 1,
                                           .record_bytes = record->bytes,
                                           .entry_bytes = record->length - record->count * STORAGE_ENTRY_HEADER_BYTES});
}

/* A record without entries. False: there is no room, or no free slot. */
static bool log_witness(struct storage *storage, enum storage_record_kind kind)
{
    struct storage_log_write *slot = &storage->writes[storage->next_write];
    if (slot->busy || !log_place(storage, LIMIT_BLOCK_BYTES)) {
        return false;
    }
    struct storage_record record = {.kind = kind, .first_index = storage->written_index};
    slot_reserve(slot, LIMIT_BLOCK_BYTES);
    slot->first = NULL;
    slot->last = NULL;
    log_submit(storage, slot, &record);
    storage_log_account(storage, &record);
    return true;
}

/* ---- entries ---- */

/* As many of the queued entries as one record takes. */
static struct plan log_plan(const struct storage *storage)
{
    const struct storage_append *append = storage->queue.first;
    size_t i = storage->taken;
    struct plan plan = {.first_index = append->first_index + i};
    for (; append != NULL && append->first_index + i == plan.first_index + plan.count; append = append->next, i = 0) {
        for (; i < append->n_entries; i++) {
            size_t more = STORAGE_ENTRY_HEADER_BYTES + append->entries[i].data.len;
            if (storage_record_bytes(plan.payload + more) > record_limit(storage)) {
                CHECK(plan.count > 0); /* one entry always fits: LIMIT_ENTRY_BYTES */
                return plan;
            }
            plan.payload += more;
            plan.count++;
        }
    }
    return plan;
}

/* Moves the planned entries from the queue into the slot. Appends that end here are acknowledged with it. */
static void log_fill(struct storage *storage, struct storage_log_write *slot, const struct plan *plan)
{
    uint8_t *p = slot->base + STORAGE_RECORD_HEADER_BYTES;
    slot->first = NULL;
    slot->last = NULL;
    for (size_t n = 0; n < plan->count;) {
        struct storage_append *append = storage->queue.first;
        CHECK(append != NULL);
        while (n < plan->count && storage->taken < append->n_entries) {
            p = storage_record_put_entry(p, &append->entries[storage->taken++]);
            n++;
        }
        if (storage->taken < append->n_entries) {
            break;
        }
        storage->taken = 0;
        storage->queue.first = append->next;
        if (storage->queue.first == NULL) {
            storage->queue.last = NULL;
        }
        append->next = NULL;
        if (slot->last == NULL) {
            slot->first = append;
        } else {
            slot->last->next = append;
        }
        slot->last = append;
    }
}

/* False: no segment. */
static bool log_take(struct storage *storage)
{
    struct storage_log_write *slot = &storage->writes[storage->next_write];
    struct plan plan = log_plan(storage);
    if (!log_place(storage, storage_record_bytes(plan.payload))) {
        return false;
    }
    slot_reserve(slot, storage_record_bytes(plan.payload));
    log_fill(storage, slot, &plan);
    struct storage_record record = {.kind = storage->restart ? STORAGE_RECORD_RESTART : STORAGE_RECORD_ENTRIES,
                                    .first_index = plan.first_index,
                                    .count = (uint32_t)plan.count,
                                    .length = (uint32_t)plan.payload};
    CHECK(storage->restart || record.first_index <= storage->written_index);
    storage->restart = false;
    log_submit(storage, slot, &record);
    storage_log_account(storage, &record);
    return true;
}

void storage_log_pump(struct storage *storage)
{
    while (!storage->dead && !storage->closing && entries_queued(storage) &&
           !storage->writes[storage->next_write].busy) {
        storage->blocked = false;
        if (!log_take(storage)) {
            storage->blocked = true; /* storage_segment_prepare goes on from here */
            return;
        }
    }
}

/* ---- being done ---- */

/* Acknowledges in order what the disk has done. */
static void log_deliver(struct storage *storage)
{
    for (size_t i = 0; i < LIMIT_LOG_WRITES;) {
        struct storage_log_write *slot = &storage->writes[i];
        if (!slot->busy || !slot->done || slot->sequence != storage->acked + 1) {
            i++;
            continue;
        }
        storage->acked++;
        slot->busy = false;
        struct storage_append *append = slot->first;
        while (append != NULL && !storage->dead) {
            struct storage_append *next = append->next;
            append->done(append, storage->closing ? ERROR_CANCELED : ERROR_NONE);
            append = next;
        }
        i = 0; /* the other one may be next */
    }
}

static void log_written(struct disk_write *write, enum error error, int os_error)
{
    struct storage *storage = write->data;
    struct storage_log_write *slot = (struct storage_log_write *)write;
    struct storage_segment *segment = &storage->segments[slot->segment - storage->segments[0].number];
    slot->done = true;
    segment->writes--;
    if (segment != &storage->segments[storage->current]) {
        segment_rest(storage, segment);
    }
    if (error != ERROR_NONE && !storage->dead) {
        struct storage_failure failure;
        char path[STORAGE_PATH_BYTES];
        storage_path_segment(path, slot->segment);
        (void)storage_failure_set(&failure, error, path, write->offset, "write", os_error);
        storage_fail(storage, &failure);
    }
    if (!storage->dead) {
        storage->n_writes++;
        histogram_add(&storage->write_durations, loop_mono_ns(storage->loop) - slot->started_ns);
        log_deliver(storage);
    }
    if (!storage->dead && !storage->closing) {
        storage_publish_install_try(storage);
        storage_log_quiet(storage);
        if (entries_queued(storage)) {
            loop_post(storage->loop, &storage->flush); /* what the callbacks append goes with it */
        }
    }
    storage_settle(storage);
}

void storage_log_quiet(struct storage *storage)
{
    if (!storage_log_in_flight(storage) && !entries_queued(storage) && storage->last_kind != STORAGE_RECORD_MARKER &&
        storage->last_kind != STORAGE_RECORD_CLOSED) {
        loop_timer_start(storage->loop, storage->marker, LIMIT_MARKER_MS);
    }
}

static void marker_fired(void *arg)
{
    struct storage *storage = arg;
    if (storage->dead || storage->closing || storage->publishing.install || storage_log_in_flight(storage) ||
        entries_queued(storage)) {
        return; /* whatever is under way ends with the timer's next start */
    }
    if (storage->last_kind == STORAGE_RECORD_MARKER || storage->last_kind == STORAGE_RECORD_CLOSED) {
        return;
    }
    if (!log_witness(storage, STORAGE_RECORD_MARKER)) {
        loop_timer_start(storage->loop, storage->marker, LIMIT_MARKER_MS);
    }
}

static void space_fired(void *arg)
{
    storage_segment_prepare(arg);
}

static void flush_run(struct post *post)
{
    storage_log_pump(post->data);
}

void storage_log_init(struct storage *storage)
{
    storage->flush = (struct post){.run = flush_run, .data = storage};
    storage->marker = loop_timer_open(storage->loop, marker_fired, storage);
    storage->space = loop_timer_open(storage->loop, space_fired, storage);
    storage->last_kind = STORAGE_RECORD_CLOSED;
}

void storage_log_start(struct storage *storage)
{
    storage_segment_prepare(storage);
    storage_log_quiet(storage);
}

/* ---- what others call ---- */

void storage_append(struct storage *storage, struct storage_append *append, uint64_t first_index,
                    const struct storage_entry *entries, size_t n_entries)
{
    CHECK(storage->identity.initialised && n_entries > 0);
    CHECK(first_index > 0 && first_index <= storage->next_index);
    storage->next_index = first_index + n_entries;
    if (storage->dead) {
        return;
    }
    append->first_index = first_index;
    append->entries = entries;
    append->n_entries = n_entries;
    append->next = NULL;
    struct storage_queue *queue = storage->publishing.install ? &storage->held : &storage->queue;
    if (queue->last == NULL) {
        queue->first = append;
    } else {
        queue->last->next = append;
    }
    queue->last = append;
    loop_post(storage->loop, &storage->flush);
}

void storage_flush(struct storage *storage)
{
    storage_log_pump(storage);
}

uint64_t storage_next_index(const struct storage *storage)
{
    return storage->next_index;
}

void storage_log_cancel(struct storage *storage)
{
    struct storage_queue *queues[] = {&storage->queue, &storage->held};
    storage->taken = 0;
    for (size_t i = 0; i < 2; i++) {
        while (queues[i]->first != NULL && !storage->dead) {
            struct storage_append *append = queues[i]->first;
            queues[i]->first = append->next;
            if (append->next == NULL) {
                queues[i]->last = NULL;
            }
            append->done(append, ERROR_CANCELED);
        }
    }
}

void storage_log_write_closed(struct storage *storage)
{
    if (storage->last_kind != STORAGE_RECORD_CLOSED) {
        (void)log_witness(storage, STORAGE_RECORD_CLOSED); /* without room for it, the log ends as after a crash */
    }
}

void storage_log_install(struct storage *storage, const struct storage_begin *begin)
{
    CHECK(!storage_log_in_flight(storage) && !entries_queued(storage));
    segment_rest(storage, &storage->segments[storage->current]);
    storage->current++;
    CHECK(storage->segments[storage->current].number == begin->segment && storage->sequence == begin->sequence);
    struct storage_segment *segment = &storage->segments[storage->current];
    segment->first_sequence = begin->sequence;
    segment->first_chain = begin->chain;
    storage_segment_drop(storage, storage->current);
    storage->offset = LIMIT_BLOCK_BYTES;
    storage->chain = begin->chain;
    storage->written_index = storage->publishing.writer->info.index + 1;
    storage->last_kind = STORAGE_RECORD_CLOSED; /* nothing to witness yet */
    storage->restart = false;
    storage_spans_drop(&storage->spans, UINT64_MAX);
    storage->spans.carried = 0;
    storage->queue = storage->held;
    storage->held = (struct storage_queue){0};
}
