#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"

static void assert_hello_equal(const struct frame_hello *a, const struct frame_hello *b)
{
    assert_int_equal(a->protocol_oldest, b->protocol_oldest);
    assert_int_equal(a->protocol_newest, b->protocol_newest);
    assert_int_equal(a->rules_oldest, b->rules_oldest);
    assert_int_equal(a->rules_newest, b->rules_newest);
    assert_int_equal(a->state_oldest, b->state_oldest);
    assert_int_equal(a->state_newest, b->state_newest);
    assert_int_equal(a->founding, b->founding);
    assert_int_equal(a->keyed, b->keyed);
    assert_memory_equal(a->cluster_id, b->cluster_id, sizeof a->cluster_id);
    assert_memory_equal(a->incarnation, b->incarnation, sizeof a->incarnation);
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_memory_equal(a->nonce, b->nonce, sizeof a->nonce);
    assert_int_equal(a->connection_number, b->connection_number);
    assert_slice_equal(a->name, b->name);
    assert_slice_equal(a->to, b->to);
    assert_slice_equal(a->http_address, b->http_address);
}

static void assert_founding_answer_equal(const struct frame_founding_answer *a, const struct frame_founding_answer *b)
{
    assert_slice_equal(a->spec, b->spec);
    assert_slice_equal(a->name, b->name);
    assert_memory_equal(a->incarnation, b->incarnation, sizeof a->incarnation);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->n_founders, b->n_founders);
    for (size_t i = 0; i < a->n_founders; i++) {
        assert_slice_equal(a->founders[i].name, b->founders[i].name);
        assert_memory_equal(a->founders[i].incarnation, b->founders[i].incarnation, 16);
    }
}

static void assert_append_entries_equal(const struct frame_append_entries *a, const struct frame_append_entries *b)
{
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->prev_log_index, b->prev_log_index);
    assert_int_equal(a->prev_log_term, b->prev_log_term);
    assert_int_equal(a->leader_commit, b->leader_commit);
    assert_int_equal(a->n_entries, b->n_entries);
    for (size_t i = 0; i < a->n_entries; i++) {
        assert_int_equal(a->entries[i].term, b->entries[i].term);
        assert_int_equal(a->entries[i].type, b->entries[i].type);
        assert_slice_equal(a->entries[i].data, b->entries[i].data);
    }
}

static void assert_install_snapshot_equal(const struct frame_install_snapshot *a,
                                          const struct frame_install_snapshot *b)
{
    assert_int_equal(a->term, b->term);
    assert_int_equal(a->last_index, b->last_index);
    assert_int_equal(a->last_term, b->last_term);
    assert_int_equal(a->configuration_index, b->configuration_index);
    assert_slice_equal(a->configuration, b->configuration);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->chunks, b->chunks);
    assert_int_equal(a->checksum, b->checksum);
}

static void assert_operations_equal(const struct frame_operations *a, const struct frame_operations *b)
{
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->n_operations, b->n_operations);
    for (size_t i = 0; i < a->n_operations; i++) {
        assert_int_equal(a->operations[i].number, b->operations[i].number);
        assert_command_equal(&a->operations[i].command, &b->operations[i].command);
        assert_int_equal(a->operations[i].wait_ms, b->operations[i].wait_ms);
    }
}

static void assert_outcomes_equal(const struct frame_outcomes *a, const struct frame_outcomes *b)
{
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->n_results, b->n_results);
    for (size_t i = 0; i < a->n_results; i++) {
        assert_int_equal(a->results[i].number, b->results[i].number);
        assert_int_equal(a->results[i].status, b->results[i].status);
        assert_int_equal(a->results[i].holders_of, b->results[i].holders_of);
        if (a->results[i].status == OPERATION_APPLIED) {
            assert_outcome_equal(&a->results[i].outcome, &b->results[i].outcome);
        }
    }
}

static void assert_cancel_equal(const struct frame_cancel *a, const struct frame_cancel *b)
{
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_int_equal(a->n_numbers, b->n_numbers);
    for (size_t i = 0; i < a->n_numbers; i++) {
        assert_int_equal(a->numbers[i], b->numbers[i]);
    }
}

static void assert_read_index_equal(const struct frame_read_index *a, const struct frame_read_index *b)
{
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->n_waiting_of, b->n_waiting_of);
    for (size_t i = 0; i < a->n_waiting_of; i++) {
        assert_slice_equal(a->waiting_of[i], b->waiting_of[i]);
    }
}

static void assert_read_index_result_equal(const struct frame_read_index_result *a,
                                           const struct frame_read_index_result *b)
{
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->n_waiting, b->n_waiting);
    for (size_t i = 0; i < a->n_waiting; i++) {
        assert_int_equal(a->waiting[i], b->waiting[i]);
    }
}

static void assert_raft_frame_equal(const struct frame *a, const struct frame *b)
{
    switch (a->kind) {
    case FRAME_REQUEST_VOTE:
        assert_int_equal(a->request_vote.term, b->request_vote.term);
        assert_int_equal(a->request_vote.candidate_id, b->request_vote.candidate_id);
        assert_int_equal(a->request_vote.last_log_index, b->request_vote.last_log_index);
        assert_int_equal(a->request_vote.last_log_term, b->request_vote.last_log_term);
        assert_int_equal(a->request_vote.disrupt_leader, b->request_vote.disrupt_leader);
        assert_int_equal(a->request_vote.pre_vote, b->request_vote.pre_vote);
        break;
    case FRAME_REQUEST_VOTE_RESULT:
        assert_int_equal(a->request_vote_result.term, b->request_vote_result.term);
        assert_int_equal(a->request_vote_result.vote_granted, b->request_vote_result.vote_granted);
        assert_int_equal(a->request_vote_result.pre_vote, b->request_vote_result.pre_vote);
        assert_int_equal(a->request_vote_result.features, b->request_vote_result.features);
        assert_int_equal(a->request_vote_result.capacity, b->request_vote_result.capacity);
        break;
    case FRAME_APPEND_ENTRIES:
        assert_append_entries_equal(&a->append_entries, &b->append_entries);
        break;
    case FRAME_APPEND_ENTRIES_RESULT:
        assert_int_equal(a->append_entries_result.term, b->append_entries_result.term);
        assert_int_equal(a->append_entries_result.rejected, b->append_entries_result.rejected);
        assert_int_equal(a->append_entries_result.last_log_index, b->append_entries_result.last_log_index);
        assert_int_equal(a->append_entries_result.features, b->append_entries_result.features);
        assert_int_equal(a->append_entries_result.capacity, b->append_entries_result.capacity);
        break;
    case FRAME_INSTALL_SNAPSHOT:
        assert_install_snapshot_equal(&a->install_snapshot, &b->install_snapshot);
        break;
    case FRAME_TIMEOUT_NOW:
        assert_int_equal(a->timeout_now.term, b->timeout_now.term);
        assert_int_equal(a->timeout_now.last_log_index, b->timeout_now.last_log_index);
        assert_int_equal(a->timeout_now.last_log_term, b->timeout_now.last_log_term);
        break;
    default:
        fail();
    }
}

static void assert_snapshot_frame_equal(const struct frame *a, const struct frame *b)
{
    if (a->kind == FRAME_SNAPSHOT_CHUNK) {
        assert_int_equal(a->snapshot_chunk.last_index, b->snapshot_chunk.last_index);
        assert_int_equal(a->snapshot_chunk.last_term, b->snapshot_chunk.last_term);
        assert_int_equal(a->snapshot_chunk.number, b->snapshot_chunk.number);
        assert_slice_equal(a->snapshot_chunk.bytes, b->snapshot_chunk.bytes);
    } else {
        assert_int_equal(a->snapshot_ack.last_index, b->snapshot_ack.last_index);
        assert_int_equal(a->snapshot_ack.last_term, b->snapshot_ack.last_term);
        assert_int_equal(a->snapshot_ack.next, b->snapshot_ack.next);
        assert_int_equal(a->snapshot_ack.refused, b->snapshot_ack.refused);
    }
}

void assert_frame_equal(const struct frame *a, const struct frame *b)
{
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case FRAME_HELLO:
        assert_hello_equal(&a->hello, &b->hello);
        break;
    case FRAME_PROOF:
        assert_memory_equal(a->proof.mac, b->proof.mac, sizeof a->proof.mac);
        break;
    case FRAME_FOUNDING_QUESTION:
        assert_slice_equal(a->founding_question.spec, b->founding_question.spec);
        assert_slice_equal(a->founding_question.name, b->founding_question.name);
        assert_memory_equal(a->founding_question.incarnation, b->founding_question.incarnation, 16);
        break;
    case FRAME_FOUNDING_ANSWER:
        assert_founding_answer_equal(&a->founding_answer, &b->founding_answer);
        break;
    case FRAME_OPERATIONS:
        assert_operations_equal(&a->operations, &b->operations);
        break;
    case FRAME_OUTCOMES:
        assert_outcomes_equal(&a->outcomes, &b->outcomes);
        break;
    case FRAME_CANCEL:
        assert_cancel_equal(&a->cancel, &b->cancel);
        break;
    case FRAME_READ_INDEX:
        assert_read_index_equal(&a->read_index, &b->read_index);
        break;
    case FRAME_READ_INDEX_RESULT:
        assert_read_index_result_equal(&a->read_index_result, &b->read_index_result);
        break;
    case FRAME_SNAPSHOT_CHUNK:
    case FRAME_SNAPSHOT_ACK:
        assert_snapshot_frame_equal(a, b);
        break;
    default:
        assert_raft_frame_equal(a, b);
    }
}
