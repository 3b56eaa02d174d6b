/* reads: linearizable reads through barriers.
 *
 * A read waits for an entry that was proposed after it arrived and has been applied here: the quorum that committed the
 * entry proves that nobody led in between. One entry serves all reads that wait, and carries operations as well when there
 * are any. A follower asks the leader for what was committed before such an entry, waits until it has applied that much, and
 * reads its own copy. (Not for the entry's own index: a follower hears that the entry is committed with the next heartbeat
 * only, but of what was committed before with the entry itself.) Reads change nothing: what was lost on the way is simply asked for again until the time is over. */
#include <stdlib.h>
#include <string.h>

#include "replica/inside.h"

#define READ_ASKS 2u /* FRAME_READ_INDEX in flight; the reads that arrive meanwhile wait for the next */

static void list_append(struct read_list *list, struct replica_read *read)
{
    read->next = NULL;
    read->previous = list->last;
    *(list->last == NULL ? &list->first : &list->last->next) = read;
    list->last = read;
}

static void list_insert(struct read_list *list, struct replica_read *read)
{
    struct replica_read *after = list->last;
    while (after != NULL && after->deadline_ns > read->deadline_ns) {
        after = after->previous;
    }
    read->previous = after;
    read->next = after == NULL ? list->first : after->next;
    *(read->next == NULL ? &list->last : &read->next->previous) = read;
    *(after == NULL ? &list->first : &after->next) = read;
}

static void list_remove(struct read_list *list, struct replica_read *read)
{
    *(read->previous == NULL ? &list->first : &read->previous->next) = read->next;
    *(read->next == NULL ? &list->last : &read->next->previous) = read->previous;
    read->next = read->previous = NULL;
}

static void answer(struct replica *replica, struct replica_read *read, enum operation_status status)
{
    CHECK(replica->reads.n_pending > 0);
    replica->reads.n_pending--;
    read->state = 0;
    read->done(read, status);
}

void replica_read(struct replica *replica, struct replica_read *read)
{
    if (replica->dead) {
        return;
    }
    replica->reads.n_pending++;
    read->deadline_ns = replica_now_ns(replica) + replica->options.commit_timeout_ms * NS_PER_MS;
    bool overloaded = replica->reads.n_pending > LIMIT_OPERATIONS_QUEUED;
    read->number = replica->closing != CLOSING_NOT ? OPERATION_NO_LEADER : overloaded ? OPERATION_OVERLOADED : 0;
    read->state = READ_WAITING;
    list_append(read->number == 0 ? &replica->reads.waiting : &replica->reads.refused, read);
    replica_want_turn(replica);
}

/* ---- on the leader ---- */

bool reads_want_barrier(const struct replica *replica)
{
    return replica->reads.waiting.first != NULL || replica->reads.requests != NULL;
}

void reads_attach(struct replica *replica, struct batch *batch)
{
    batch->reads = replica->reads.waiting.first;
    for (struct replica_read *read = batch->reads; read != NULL; read = read->next) {
        read->state = READ_BARRIER;
    }
    replica->reads.waiting = (struct read_list){0};
    batch->read_requests = replica->reads.requests;
    batch->read_index = replica->raft.commit_index;
    replica->reads.requests = NULL;
}

static void request_free(struct read_request *request)
{
    arena_close(&request->arena);
    free(request);
}

/* How many wait for each of the schedules that it asks about, now. */
static const uint64_t *count_waiting(struct replica *replica, struct read_request *request)
{
    if (request->n_waiting_of == 0) {
        return NULL;
    }
    uint64_t *counts = arena_alloc(&request->arena, request->n_waiting_of * sizeof *counts);
    CHECK(counts != NULL);
    for (size_t i = 0; i < request->n_waiting_of; i++) {
        counts[i] = replica_waiting(replica, request->waiting_of[i]);
    }
    return counts;
}

static void request_answer(struct replica *replica, struct read_request *request, enum operation_status status,
                           raft_index index)
{
    struct member *member = member_by_id(replica, request->member_id);
    struct frame frame = {
        .kind = FRAME_READ_INDEX_RESULT,
        .read_index_result = {.number = request->number, .status = status, .index = index},
    };
    if (status == OPERATION_APPLIED) {
        frame.read_index_result.waiting = count_waiting(replica, request);
        frame.read_index_result.n_waiting = request->n_waiting_of;
    }
    memcpy(frame.read_index_result.run_id, request->run_id, sizeof frame.read_index_result.run_id);
    if (member != NULL && member->peer != NULL && !peer_send(member->peer, &frame)) {
        log_debug(replica->options.log, "read index dropped", LOG_TEXT("peer", member->address.name));
    }
    replica->reads.n_requests--;
    request_free(request);
}

static void requests_answer(struct replica *replica, struct read_request **list, enum operation_status status,
                            raft_index index)
{
    while (*list != NULL) {
        struct read_request *request = *list;
        *list = request->next;
        request_answer(replica, request, status, index);
    }
}

void reads_detach(struct replica *replica, struct batch *batch)
{
    while (batch->reads != NULL) {
        struct replica_read *read = batch->reads;
        batch->reads = read->next;
        read->state = READ_WAITING;
        list_insert(&replica->reads.waiting, read);
    }
    requests_answer(replica, &batch->read_requests, OPERATION_NO_LEADER, 0);
}

/* Inside apply. */
void reads_barrier_applied(struct replica *replica, struct batch *batch)
{
    while (batch->reads != NULL) {
        struct replica_read *read = batch->reads;
        batch->reads = read->next;
        read->next = read->previous = NULL;
        read->waiting = slice_is_present(read->waiting_of) ? replica_waiting(replica, read->waiting_of) : 0;
        answer(replica, read, OPERATION_APPLIED);
    }
    requests_answer(replica, &batch->read_requests, OPERATION_APPLIED, batch->read_index);
}

void reads_leadership_lost(struct replica *replica)
{
    requests_answer(replica, &replica->reads.requests, OPERATION_NO_LEADER, 0);
}

static void copy_waiting_of(struct read_request *request, const struct frame_read_index *frame)
{
    arena_init(&request->arena, 0);
    if (frame->n_waiting_of == 0) {
        return;
    }
    struct slice *ids = arena_alloc(&request->arena, frame->n_waiting_of * sizeof *ids);
    CHECK(ids != NULL);
    for (size_t i = 0; i < frame->n_waiting_of; i++) {
        ids[i] = arena_copy(&request->arena, frame->waiting_of[i]);
    }
    request->waiting_of = ids;
    request->n_waiting_of = frame->n_waiting_of;
}

void reads_take_request(struct replica *replica, struct member *member, const struct frame_read_index *frame)
{
    struct reads *reads = &replica->reads;
    struct read_request *request = calloc(1, sizeof *request);
    CHECK(request != NULL);
    request->member_id = member->id;
    request->number = frame->number;
    memcpy(request->run_id, frame->run_id, sizeof request->run_id);
    copy_waiting_of(request, frame);
    reads->n_requests++;
    if (!replica_leads(replica) || replica->closing != CLOSING_NOT) {
        request_answer(replica, request, OPERATION_NO_LEADER, 0);
    } else if (reads->n_requests > LIMIT_READ_REQUESTS) {
        request_answer(replica, request, OPERATION_OVERLOADED, 0);
    } else {
        request->next = reads->requests;
        reads->requests = request;
        replica_want_turn(replica);
    }
}

/* ---- on a follower ---- */

/* As many of those that wait as go into one question, by the schedules that they ask about. `ids` has room for the most
 * that there may be. */
static size_t fill_question(const struct replica *replica, struct frame_read_index *question, struct slice *ids)
{
    bool may_ask = raising_allows_wait(replica); /* else nobody waits for anything */
    size_t n = 0;
    for (struct replica_read *read = replica->reads.waiting.first; read != NULL; read = read->next) {
        bool asks = may_ask && slice_is_present(read->waiting_of);
        if (asks && question->n_waiting_of == LIMIT_READ_COUNTS) {
            break;
        }
        read->place = asks ? question->n_waiting_of : SIZE_MAX;
        if (asks) {
            ids[question->n_waiting_of++] = read->waiting_of;
        }
        n++;
    }
    question->waiting_of = question->n_waiting_of == 0 ? NULL : ids;
    return n;
}

static void ask(struct replica *replica, struct member *leader)
{
    struct reads *reads = &replica->reads;
    struct slice ids[LIMIT_READ_COUNTS];
    struct frame frame = {.kind = FRAME_READ_INDEX, .read_index = {.number = reads->next_number + 1}};
    memcpy(frame.read_index.run_id, replica->run_id, sizeof frame.read_index.run_id);
    size_t n = fill_question(replica, &frame.read_index, ids);
    if (!peer_send(leader->peer, &frame)) {
        return;
    }
    reads->next_number++;
    reads->asks++;
    reads->asked_id = leader->id;
    for (; n > 0; n--) {
        struct replica_read *read = reads->waiting.first;
        list_remove(&reads->waiting, read);
        read->state = READ_ASKED;
        read->number = reads->next_number;
        list_insert(&reads->asked, read);
    }
}

/* Back to the beginning; `number` 0: all that was asked for. */
static void ask_again(struct reads *reads, uint64_t number)
{
    struct replica_read *read = reads->asked.first;
    while (read != NULL) {
        struct replica_read *next = read->next;
        if (number == 0 || read->number == number) {
            list_remove(&reads->asked, read);
            read->state = READ_WAITING;
            read->number = 0;
            list_insert(&reads->waiting, read);
        }
        read = next;
    }
}

static void answer_refused(struct replica *replica)
{
    struct read_list refused = replica->reads.refused;
    replica->reads.refused = (struct read_list){0}; /* `done` may ask again */
    while (refused.first != NULL) {
        struct replica_read *read = refused.first;
        list_remove(&refused, read);
        answer(replica, read, (enum operation_status)read->number);
    }
}

void reads_turn(struct replica *replica)
{
    struct reads *reads = &replica->reads;
    answer_refused(replica);
    struct member *leader = replica_leader(replica);
    if (leader != NULL && reads->asks > 0 && reads->asked_id != leader->id) {
        reads->asks = 0; /* the one that was asked leads no more */
        ask_again(reads, 0);
    }
    if (leader != NULL && member_reachable(leader) && reads->waiting.first != NULL && reads->asks < READ_ASKS &&
        replica_now_ns(replica) >= replica->operations.hold_ns) {
        ask(replica, leader);
    }
}

void reads_take_result(struct replica *replica, struct member *member, const struct frame_read_index_result *frame)
{
    struct reads *reads = &replica->reads;
    if (memcmp(frame->run_id, replica->run_id, sizeof frame->run_id) != 0 || member->id != reads->asked_id ||
        reads->asks == 0) {
        return;
    }
    reads->asks--;
    replica_want_turn(replica);
    if (frame->status != OPERATION_APPLIED) {
        replica->operations.hold_ns = replica_now_ns(replica) + REPLICA_TICK_MS * NS_PER_MS;
        ask_again(reads, frame->number);
        return;
    }
    struct replica_read *read = reads->asked.first;
    while (read != NULL) {
        struct replica_read *next = read->next;
        if (read->number == frame->number) {
            list_remove(&reads->asked, read);
            read->state = READ_INDEXED;
            read->index = frame->index;
            read->waiting = read->place < frame->n_waiting ? frame->waiting[read->place] : 0;
            list_insert(&reads->indexed, read);
        }
        read = next;
    }
    reads_applied(replica, replica->raft.last_applied);
}

/* The table shows everything up to `index`. Inside apply, or from the top of the loop. */
void reads_applied(struct replica *replica, raft_index index)
{
    struct replica_read *read = replica->reads.indexed.first;
    while (read != NULL) {
        struct replica_read *next = read->next;
        if (read->index <= index) {
            list_remove(&replica->reads.indexed, read);
            answer(replica, read, OPERATION_APPLIED);
        }
        read = next;
    }
}

void reads_stream_lost(struct replica *replica, const struct member *member)
{
    if (replica->reads.asked_id == member->id) {
        replica->reads.asks = 0;
        ask_again(&replica->reads, 0);
    }
}

/* ---- time, and the end ---- */

static void answer_until(struct replica *replica, struct read_list *list, uint64_t now_ns)
{
    while (list->first != NULL && list->first->deadline_ns <= now_ns) {
        struct replica_read *read = list->first;
        list_remove(list, read);
        bool started = replica->stage == STAGE_RUNNING;
        answer(replica, read, started ? OPERATION_NO_LEADER : OPERATION_NOT_READY);
    }
}

void reads_tick(struct replica *replica)
{
    struct reads *reads = &replica->reads;
    uint64_t now_ns = replica_now_ns(replica);
    uint64_t leaderless_ns = replica->operations.leaderless_ns;
    uint64_t patience_ns = 2ull * replica->options.election_timeout_ms * NS_PER_MS;
    if (leaderless_ns != 0 && now_ns - leaderless_ns >= patience_ns) {
        /* Reads that came later wait as long from their own beginning. */
        answer_until(replica, &reads->waiting, now_ns + replica->options.commit_timeout_ms * NS_PER_MS - patience_ns);
    }
    answer_until(replica, &reads->waiting, now_ns);
    answer_until(replica, &reads->asked, now_ns);
    answer_until(replica, &reads->indexed, now_ns);
    if (reads->asked.first == NULL) {
        reads->asks = 0; /* an answer that never came must not keep later reads waiting */
    }
    for (struct batch *batch = replica->operations.batches; batch != NULL; batch = batch->next) {
        while (batch->reads != NULL && batch->reads->deadline_ns <= now_ns) {
            struct replica_read *read = batch->reads;
            batch->reads = read->next;
            answer(replica, read, OPERATION_NO_LEADER);
        }
    }
}

void reads_answer_all(struct replica *replica)
{
    struct reads *reads = &replica->reads;
    reads_leadership_lost(replica);
    for (struct batch *batch = replica->operations.batches; batch != NULL; batch = batch->next) {
        reads_detach(replica, batch);
    }
    answer_refused(replica);
    answer_until(replica, &reads->waiting, UINT64_MAX);
    answer_until(replica, &reads->asked, UINT64_MAX);
    answer_until(replica, &reads->indexed, UINT64_MAX);
}

bool reads_pending(const struct replica *replica)
{
    return replica->reads.n_pending > 0;
}

static void requests_free(struct read_request *request)
{
    while (request != NULL) {
        struct read_request *next = request->next;
        request_free(request);
        request = next;
    }
}

void reads_free(struct replica *replica)
{
    requests_free(replica->reads.requests);
    replica->reads.requests = NULL;
    for (struct batch *batch = replica->operations.batches; batch != NULL; batch = batch->next) {
        requests_free(batch->read_requests);
        batch->read_requests = NULL;
    }
}
