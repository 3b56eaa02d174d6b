/* waiting: what becomes of operations that may wait for a lock.
 *
 * At the leader each has a waiter, its own ones and those of other members, and each of its answers comes out of the log: it
 * is proposed when it could be granted, when it can't be waited out, and at the end of its wait. A refusal by what can be
 * waited out parks it meanwhile. Elsewhere it is passed on like any other operation; its number is looked for in a hash, for
 * thousands may be on their way for long.
 *
 * When this node leads no more, whoever waits here is told that nothing was changed; of what is in an entry that is
 * undecided, nobody knows yet. To another member that is told as OPERATION_CANCELLED: its client goes away with a 503 and
 * isn't put at the end of the next leader's queue. A member whose stream is lost takes the operations that it passed on for
 * lost, so here they are forgotten. */
#include <string.h>

#include "replica/inside.h"

static struct waiter *waiter_of(struct chain_link *origin)
{
    return OWNER_OF(origin, struct waiter, origin);
}

static uint64_t commit_ns(const struct replica *replica)
{
    return replica->options.commit_timeout_ms * NS_PER_MS;
}

bool waiting_has_room(const struct replica *replica)
{
    return waiters_count(&replica->waiters) < LIMIT_WAITERS;
}

uint64_t waiting_left_ms(const struct replica *replica, const struct waiter *waiter)
{
    uint64_t now_ns = replica_now_ns(replica);
    return waiter->until_ns > now_ns ? (waiter->until_ns - now_ns) / NS_PER_MS : 0;
}

uint64_t waiting_count(struct replica *replica)
{
    const struct waiters *waiters = &replica->waiters;
    bool leads = replica_running(replica) && replica->raft.state == RAFT_LEADER;
    return leads ? waiters->n_waiting : waiters->n_states[WAITER_PASSED];
}

uint64_t replica_waiting(struct replica *replica, struct slice schedule_id)
{
    const struct waiters *waiters = &replica->waiters;
    if (replica_running(replica) && replica->raft.state == RAFT_LEADER) {
        const struct wait_queue *queue = waiters_queue(waiters, schedule_id);
        return queue == NULL ? 0 : queue->n_waiting;
    }
    return waiters_passed(waiters, schedule_id);
}

/* ---- answers ---- */

void waiting_answer(struct replica *replica, struct waiter *waiter, enum operation_status status,
                    const struct outcome *outcome)
{
    if (waiter->own != NULL) {
        operation_answer(replica, waiter->own, status, outcome);
        return;
    }
    struct member *member = member_by_id(replica, waiter->member_id);
    if (member != NULL && member->peer != NULL) {
        struct frame_operation_result result = {.number = waiter->number, .status = status};
        if (outcome != NULL) {
            result.outcome = *outcome;
        }
        outbox_add(replica, member, waiter->run_id, &result);
    }
    waiter_free(&replica->waiters, waiter);
    replica_want_turn(replica);
}

/* It is in no batch; of another member's an answer waits for the end of the turn anyway. */
static void answer_next_turn(struct replica *replica, struct waiter *waiter, enum operation_status status)
{
    struct operation *own = waiter->own;
    if (own == NULL) {
        waiting_answer(replica, waiter, status, NULL);
        return;
    }
    waiter_leave(&replica->waiters, waiter);
    min_heap_remove(&replica->waiters.ends, &waiter->end);
    if (own->state == OPERATION_QUEUED) {
        operation_list_remove(&replica->operations.queued, own);
    }
    operation_refuse(replica, own, status);
}

/* It waits here no longer, and nothing was changed. Who was never looked at may ask the next leader. */
static void give_up(struct replica *replica, struct waiter *waiter, bool may_ask_again)
{
    bool tell_final = waiter->own == NULL && !may_ask_again;
    waiting_answer(replica, waiter, tell_final ? OPERATION_CANCELLED : OPERATION_NO_LEADER, NULL);
}

/* ---- arrivals ---- */

static void arrive(struct replica *replica, struct waiter *waiter)
{
    struct waiters *waiters = &replica->waiters;
    waiter_arrive(waiters, waiter, replica->table);
    min_heap_put(&waiters->ends, &waiter->end, waiter->until_ns);
    if (waiter->own != NULL) {
        waiter->own->state = OPERATION_WAITING;
    }
    replica_want_turn(replica);
}

/* True: it waits at this leader. Else it is an operation like any other until there is one. */
static bool arrives(struct replica *replica, struct waiter *waiter)
{
    if (!replica_leads(replica) || !raising_allows_wait(replica)) {
        return false;
    }
    arrive(replica, waiter);
    return true;
}

static uint64_t until_ns(const struct replica *replica, uint64_t wait_ms)
{
    return replica_now_ns(replica) + (wait_ms < LIMIT_WAIT_MS ? wait_ms : LIMIT_WAIT_MS) * NS_PER_MS;
}

void waiting_submit(struct replica *replica, struct operation *operation)
{
    struct waiter *waiter = waiter_new_own(&replica->waiters, operation, &operation->command.acquire);
    waiter->until_ns = until_ns(replica, operation->wait_ms);
    operation->waiter = waiter;
    if (!arrives(replica, waiter)) {
        operation->state = OPERATION_QUEUED;
        operation_list_append(&replica->operations.queued, operation);
    }
}

/* Those that waited for a leader, which is this node. */
static void take_queued(struct replica *replica)
{
    struct operations *operations = &replica->operations;
    struct operation *next;
    if (replica->waiters.n_states[WAITER_QUEUED] == 0 || !replica_leads(replica) || !raising_allows_wait(replica)) {
        return;
    }
    for (struct operation *operation = operations->queued.first; operation != NULL; operation = next) {
        next = operation->next;
        if (operation->waiter != NULL) {
            operation_list_remove(&operations->queued, operation);
            arrive(replica, operation->waiter);
        }
    }
}

static void refuse_passed(struct replica *replica, const struct member *member, const uint8_t run_id[16],
                          uint64_t number)
{
    struct member *asker = member_by_id(replica, member->id);
    struct frame_operation_result result = {.number = number, .status = OPERATION_OVERLOADED};
    if (asker != NULL) {
        outbox_add(replica, asker, run_id, &result);
        replica_want_turn(replica);
    }
}

void waiting_take(struct replica *replica, const struct member *member, const uint8_t run_id[16],
                  const struct frame_operation *operation)
{
    struct waiters *waiters = &replica->waiters;
    bool known = waiters_find(waiters, member->id, operation->number, false) != NULL;
    if (known || operation->number == 0) {
        return; /* no sender of ours uses a number twice */
    }
    if (!waiting_has_room(replica)) {
        refuse_passed(replica, member, run_id, operation->number);
        return;
    }
    struct waiter *waiter = waiter_new_foreign(waiters, &operation->command.acquire);
    waiter->until_ns = until_ns(replica, operation->wait_ms);
    memcpy(waiter->run_id, run_id, sizeof waiter->run_id);
    waiter_number(waiters, waiter, member->id, operation->number);
    arrive(replica, waiter);
}

/* ---- on their way ---- */

void waiting_passed(struct replica *replica, struct waiter *waiter, uint64_t member_id)
{
    struct waiters *waiters = &replica->waiters;
    uint64_t now_ns = replica_now_ns(replica);
    uint64_t from_ns = waiter->until_ns > now_ns ? waiter->until_ns : now_ns;
    waiter->own->state = OPERATION_PASSED;
    waiter_move(waiters, waiter, WAITER_PASSED);
    waiter_number(waiters, waiter, member_id, waiter->own->number);
    waiter_count_passed(waiters, waiter);
    min_heap_put(&waiters->ends, &waiter->end, from_ns + commit_ns(replica));
}

bool waiting_comes_back(struct replica *replica, struct waiter *waiter)
{
    struct waiters *waiters = &replica->waiters;
    uint64_t now_ns = replica_now_ns(replica);
    if (waiter->is_cancelled || now_ns >= waiter->until_ns || replica->closing != CLOSING_NOT) {
        return false;
    }
    waiter_unpass(waiters, waiter);
    min_heap_remove(&waiters->ends, &waiter->end);
    waiter->own->deadline_ns = now_ns + commit_ns(replica);
    return true;
}

/* A leader that gives up those that wait says that they are cancelled, and so does one that was asked to. */
enum operation_status waiting_status(const struct replica *replica, const struct waiter *waiter,
                                     enum operation_status status)
{
    bool is_asked_for = waiter->is_cancelled && replica->closing == CLOSING_NOT;
    if (status == OPERATION_CANCELLED || status == OPERATION_NO_LEADER) {
        return is_asked_for ? OPERATION_CANCELLED : OPERATION_NO_LEADER;
    }
    return status;
}

void waiting_proposed(struct replica *replica, struct waiter *waiter)
{
    waiter_move(&replica->waiters, waiter, WAITER_PROPOSED);
    if (waiter->own != NULL) {
        uint64_t now_ns = replica_now_ns(replica);
        uint64_t from_ns = waiter->until_ns < now_ns ? waiter->until_ns : now_ns;
        waiter->own->state = OPERATION_PROPOSED;
        waiter->own->deadline_ns = from_ns + commit_ns(replica);
    }
}

/* Inside apply. */
void waiting_outcome(struct replica *replica, struct waiter *waiter, const struct outcome *outcome)
{
    struct waiters *waiters = &replica->waiters;
    waiter_settle(waiters, waiter, outcome->code == OUTCOME_DONE && !outcome->repeated);
    bool may_wait = outcome_may_be_waited_out(outcome->code);
    if (may_wait && waiter->is_cancelled) {
        waiting_answer(replica, waiter, OPERATION_CANCELLED, NULL);
    } else if (!may_wait || waiter->is_last || replica_now_ns(replica) >= waiter->until_ns) {
        waiting_answer(replica, waiter, OPERATION_APPLIED, outcome);
    } else if (waiter->queue == NULL || replica->raft.state != RAFT_LEADER || replica->closing != CLOSING_NOT) {
        give_up(replica, waiter, false);
    } else {
        if (waiter->own != NULL) {
            waiter->own->state = OPERATION_WAITING;
        }
        waiter_park(waiters, waiter);
        replica_want_turn(replica);
    }
}

/* ---- the end of a wait ---- */

static void end_wait(struct replica *replica, struct waiter *waiter, uint64_t now_ns)
{
    struct waiters *waiters = &replica->waiters;
    uint64_t late_ns = waiter->until_ns + commit_ns(replica);
    if (waiter->state == WAITER_PASSED) {
        waiting_answer(replica, waiter, OPERATION_UNKNOWN, NULL);
        return;
    }
    waiter->is_last = true;
    if (waiter->state == WAITER_PROPOSED) {
        min_heap_remove(&waiters->ends, &waiter->end); /* its batch has its own time-out */
    } else if (now_ns >= late_ns) {
        waiting_answer(replica, waiter, OPERATION_OVERLOADED, NULL);
    } else {
        min_heap_put(&waiters->ends, &waiter->end, late_ns);
        if (waiter->state == WAITER_PARKED) {
            waiter_call(waiters, waiter, CALL_LAST);
        }
    }
}

static void end_waits(struct replica *replica)
{
    struct waiters *waiters = &replica->waiters;
    uint64_t now_ns = replica_now_ns(replica);
    struct min_heap_node *node = min_heap_first(&waiters->ends);
    for (unsigned n = 0; node != NULL && node->key <= now_ns && !replica->dead; n++) {
        if (n == LIMIT_WAITER_LOOKS) {
            replica_want_turn(replica);
            return;
        }
        end_wait(replica, OWNER_OF(node, struct waiter, end), now_ns);
        node = min_heap_first(&waiters->ends);
    }
}

/* ---- clients that go ---- */

void replica_cancel(struct replica *replica, struct operation *operation)
{
    struct waiter *waiter = operation->waiter;
    if (replica->dead) {
        return;
    }
    if (waiter == NULL) {
        if (operation->state == OPERATION_QUEUED) {
            operation_list_remove(&replica->operations.queued, operation);
            operation_refuse(replica, operation, OPERATION_CANCELLED);
        }
        return;
    }
    if (operation->state == OPERATION_QUEUED || operation->state == OPERATION_WAITING) {
        answer_next_turn(replica, waiter, OPERATION_CANCELLED);
    } else if (operation->state == OPERATION_PASSED && !waiter->is_cancelled) {
        chain_append(&replica->waiters.cancelled, &waiter->turn);
        replica_want_turn(replica);
    }
    if (operation->state != OPERATION_REFUSED) {
        waiter->is_cancelled = true;
    }
}

/* As many as go into one frame. */
static size_t fill_cancels(const struct waiters *waiters, uint64_t member_id, uint64_t numbers[LIMIT_CANCELS])
{
    size_t n = 0;
    for (struct chain_link *link = waiters->cancelled.first; link != NULL && n < LIMIT_CANCELS; link = link->next) {
        const struct waiter *waiter = OWNER_OF(link, struct waiter, turn);
        if (waiter->member_id != member_id) {
            break;
        }
        numbers[n++] = waiter->number;
    }
    return n;
}

/* What can't be sent now is tried again; a stream that is lost ends it. */
static void send_cancels(struct replica *replica)
{
    uint64_t numbers[LIMIT_CANCELS];
    struct waiters *waiters = &replica->waiters;
    while (waiters->cancelled.first != NULL) {
        struct member *member =
            member_by_id(replica, OWNER_OF(waiters->cancelled.first, struct waiter, turn)->member_id);
        struct frame frame = {.kind = FRAME_CANCEL, .cancel = {.numbers = numbers}};
        if (member == NULL || member->peer == NULL) {
            return;
        }
        frame.cancel.n_numbers = fill_cancels(waiters, member->id, numbers);
        memcpy(frame.cancel.run_id, replica->run_id, sizeof frame.cancel.run_id);
        if (!peer_send(member->peer, &frame)) {
            return;
        }
        for (size_t i = 0; i < frame.cancel.n_numbers; i++) {
            chain_remove(waiters->cancelled.first);
        }
    }
}

void waiting_take_cancels(struct replica *replica, const struct member *member, const struct frame_cancel *frame)
{
    if (memcmp(frame->run_id, member->run_id, sizeof frame->run_id) != 0) {
        return;
    }
    for (size_t i = 0; i < frame->n_numbers; i++) {
        struct waiter *waiter = waiters_find(&replica->waiters, member->id, frame->numbers[i], false);
        if (waiter == NULL) {
            continue; /* both crossed */
        }
        if (waiter->state == WAITER_PROPOSED) {
            waiter->is_cancelled = true;
        } else {
            waiting_answer(replica, waiter, OPERATION_CANCELLED, NULL);
        }
    }
}

/* ---- leaders, streams and nodes that go ---- */

static void each_waiter(struct replica *replica, struct chain *chain, const void *argument,
                        void (*each)(struct replica *replica, struct waiter *waiter, const void *argument))
{
    struct chain_link *next;
    for (struct chain_link *link = chain->first; link != NULL; link = next) {
        next = link->next;
        each(replica, waiter_of(link), argument);
    }
}

/* An operation of this node that was never looked at waits for the next leader. */
static void lose_leadership(struct replica *replica, struct waiter *waiter, const void *unused)
{
    struct operation *own = waiter->own;
    enum waiter_state was = waiter->state;
    (void)unused;
    waiter_leave(&replica->waiters, waiter);
    if (was == WAITER_NEW && own != NULL && !waiter->is_last) {
        min_heap_remove(&replica->waiters.ends, &waiter->end);
        own->state = OPERATION_QUEUED;
        own->deadline_ns = replica_now_ns(replica) + commit_ns(replica);
        operation_list_insert(&replica->operations.queued, own);
    } else if (was == WAITER_NEW || was == WAITER_PARKED || was == WAITER_CALLED) {
        give_up(replica, waiter, was == WAITER_NEW);
    }
}

void waiting_leadership_lost(struct replica *replica)
{
    each_waiter(replica, &replica->waiters.own, NULL, lose_leadership);
    each_waiter(replica, &replica->waiters.foreign, NULL, lose_leadership);
}

static void lose_stream_own(struct replica *replica, struct waiter *waiter, const void *argument)
{
    const struct member *member = argument;
    if (waiter->state == WAITER_PASSED && waiter->member_id == member->id) {
        waiting_answer(replica, waiter, OPERATION_UNKNOWN, NULL);
    }
}

/* Nobody hears an answer any more. What is in a batch goes on until it is decided. */
static void forget(struct replica *replica, struct waiter *waiter)
{
    if (waiter->state == WAITER_PROPOSED) {
        waiter->is_last = true;
    } else {
        waiter_free(&replica->waiters, waiter);
    }
}

static void lose_stream_foreign(struct replica *replica, struct waiter *waiter, const void *argument)
{
    const struct member *member = argument;
    if (waiter->member_id == member->id) {
        forget(replica, waiter);
    }
}

void waiting_stream_lost(struct replica *replica, const struct member *member)
{
    each_waiter(replica, &replica->waiters.own, member, lose_stream_own);
    each_waiter(replica, &replica->waiters.foreign, member, lose_stream_foreign);
}

static void forget_earlier(struct replica *replica, struct waiter *waiter, const void *argument)
{
    const struct member *member = argument;
    if (waiter->member_id == member->id && memcmp(waiter->run_id, member->run_id, sizeof waiter->run_id) != 0) {
        forget(replica, waiter);
    }
}

void waiting_member_begins(struct replica *replica, const struct member *member)
{
    each_waiter(replica, &replica->waiters.foreign, member, forget_earlier);
}

/* Whoever waits elsewhere for this node's sake is taken back; that comes as an answer. */
static void close_one(struct replica *replica, struct waiter *waiter, const void *unused)
{
    (void)unused;
    if (waiter->state == WAITER_PASSED) {
        replica_cancel(replica, waiter->own);
    } else if (waiter->own == NULL) {
        if (waiter->state != WAITER_PROPOSED) {
            give_up(replica, waiter, waiter->state == WAITER_NEW);
        }
    } else if (waiter->own->state == OPERATION_QUEUED || waiter->own->state == OPERATION_WAITING) {
        answer_next_turn(replica, waiter, OPERATION_NO_LEADER);
    }
}

void waiting_close(struct replica *replica)
{
    each_waiter(replica, &replica->waiters.own, NULL, close_one);
    each_waiter(replica, &replica->waiters.foreign, NULL, close_one);
}

/* ---- turns ---- */

void waiting_turn(struct replica *replica)
{
    take_queued(replica);
    end_waits(replica);
    if (replica_leads(replica) && replica->clock.ready) {
        looking_turn(replica);
    }
    send_cancels(replica);
}

void waiting_tick(struct replica *replica)
{
    if (replica_leads(replica) && replica->clock.ready) {
        looking_tick(replica);
    }
}

/* ---- the end ---- */

static void answer_last(struct replica *replica, struct waiter *waiter, const void *unused)
{
    (void)unused;
    bool unknown = waiter->state == WAITER_PASSED || waiter->state == WAITER_PROPOSED;
    if (waiter->own == NULL) {
        forget(replica, waiter);
    } else if (waiter->own->state != OPERATION_PROPOSED) { /* its batch answers */
        waiting_answer(replica, waiter, unknown ? OPERATION_UNKNOWN : OPERATION_NO_LEADER, NULL);
    }
}

void waiting_answer_all(struct replica *replica)
{
    each_waiter(replica, &replica->waiters.own, NULL, answer_last);
    each_waiter(replica, &replica->waiters.foreign, NULL, answer_last);
}

static void free_one(struct replica *replica, struct waiter *waiter, const void *unused)
{
    (void)unused;
    waiter_free(&replica->waiters, waiter);
}

void waiting_free(struct replica *replica)
{
    each_waiter(replica, &replica->waiters.own, NULL, free_one);
    each_waiter(replica, &replica->waiters.foreign, NULL, free_one);
    waiters_close(&replica->waiters);
}
