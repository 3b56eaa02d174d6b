/* outbox: answers to members, on their way. Those of a turn go in one frame. */
#include <stdlib.h>
#include <string.h>

#include "replica/inside.h"

static void outbox_clear(struct outbox *outbox)
{
    outbox->n_results = 0;
    outbox->n_lists = 0;
    outbox->bytes = 0;
    arena_clear(&outbox->arena);
}

void outbox_free(struct outbox *outbox)
{
    free(outbox->results);
    arena_close(&outbox->arena);
    *outbox = (struct outbox){0};
}

static void outbox_flush(struct replica *replica, struct member *member)
{
    struct outbox *outbox = &member->outbox;
    if (outbox->n_results == 0) {
        return;
    }
    struct frame frame = {
        .kind = FRAME_OUTCOMES,
        .outcomes =
            {
                .index = replica->raft.last_applied,
                .results = outbox->results,
                .n_results = outbox->n_results,
            },
    };
    memcpy(frame.outcomes.run_id, outbox->run_id, sizeof frame.outcomes.run_id);
    if (member->peer != NULL && !peer_send(member->peer, &frame)) {
        log_warning(replica->options.log, "answers dropped, the stream is down or full",
                    LOG_TEXT("peer", member->address.name), LOG_U64("answers", outbox->n_results));
    }
    outbox_clear(outbox);
}

/* The result in the outbox that has the same holders, counted from 1; 0: none that is still looked at. */
static uint32_t outbox_find_holders(const struct outbox *outbox, const struct outcome *outcome)
{
    size_t n = outcome->n_holders < 2 ? 0 : outbox->n_lists < OUTBOX_LISTS ? outbox->n_lists : OUTBOX_LISTS;
    for (size_t i = 1; i <= n; i++) {
        uint32_t at = outbox->lists[(outbox->n_lists - i) % OUTBOX_LISTS];
        if (outcomes_show_same_holders(outcome, &outbox->results[at - 1].outcome)) {
            return at;
        }
    }
    return 0;
}

void outbox_add(struct replica *replica, struct member *member, const uint8_t run_id[16],
                const struct frame_operation_result *result)
{
    struct outbox *outbox = &member->outbox;
    struct frame_operation_result item = *result;
    item.holders_of = outbox_find_holders(outbox, &result->outcome);
    size_t size = frame_operation_result_size(&item);
    if (memcmp(outbox->run_id, run_id, sizeof outbox->run_id) != 0 ||
        outbox->bytes + size > LIMIT_FRAME_OUTCOMES_BYTES - REPLICA_FRAME_HEAD_BYTES) {
        outbox_flush(replica, member);
        memcpy(outbox->run_id, run_id, sizeof outbox->run_id);
        item.holders_of = 0; /* nothing of another frame's */
        size = frame_operation_result_size(&item);
    }
    if (outbox->n_results == outbox->capacity) {
        outbox->capacity = outbox->capacity == 0 ? 64 : outbox->capacity * 2;
        outbox->results = realloc(outbox->results, outbox->capacity * sizeof outbox->results[0]);
        CHECK(outbox->results != NULL);
    }
    if (item.status == OPERATION_APPLIED) {
        const struct outcome *shared = item.holders_of == 0 ? NULL : &outbox->results[item.holders_of - 1].outcome;
        copy_outcome(&outbox->arena, &result->outcome, shared, &item.outcome);
    }
    outbox->results[outbox->n_results++] = item;
    if (item.holders_of == 0 && item.outcome.n_holders > 1) {
        outbox->lists[outbox->n_lists++ % OUTBOX_LISTS] = (uint32_t)outbox->n_results;
    }
    outbox->bytes += size;
}

void outbox_flush_all(struct replica *replica)
{
    for (size_t i = 0; i < replica->members.n; i++) {
        outbox_flush(replica, replica->members.list[i]);
    }
}
