#include <ctype.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sample.h"

void assert_slice_equal(struct slice a, struct slice b)
{
    assert_true(slice_equal(a, b));
}

void assert_policy_equal(const struct policy *a, const struct policy *b)
{
    assert_int_equal(a->estimate_ms, b->estimate_ms);
    assert_int_equal(a->margin_ms, b->margin_ms);
    assert_int_equal(a->max_ttl_ms, b->max_ttl_ms);
    assert_int_equal(a->min_hold_ms, b->min_hold_ms);
    assert_int_equal(a->slots, b->slots);
    assert_int_equal(a->max_attempts, b->max_attempts);
    assert_slice_equal(a->description, b->description);
}

void assert_command_equal(const struct command *a, const struct command *b)
{
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case COMMAND_NOOP:
        break;
    case COMMAND_LEADER:
        assert_int_equal(a->leader.member_id_floor, b->leader.member_id_floor);
        break;
    case COMMAND_ACQUIRE:
        assert_slice_equal(a->acquire.schedule_id, b->acquire.schedule_id);
        assert_slice_equal(a->acquire.holder, b->acquire.holder);
        assert_slice_equal(a->acquire.occurrence, b->acquire.occurrence);
        assert_slice_equal(a->acquire.idempotency_key, b->acquire.idempotency_key);
        assert_slice_equal(a->acquire.metadata, b->acquire.metadata);
        assert_int_equal(a->acquire.has_ttl, b->acquire.has_ttl);
        assert_int_equal(a->acquire.ttl_ms, b->acquire.ttl_ms);
        assert_int_equal(a->acquire.has_estimate, b->acquire.has_estimate);
        assert_int_equal(a->acquire.estimate_ms, b->acquire.estimate_ms);
        break;
    case COMMAND_RENEW:
        assert_slice_equal(a->renew.schedule_id, b->renew.schedule_id);
        assert_int_equal(a->renew.token, b->renew.token);
        assert_int_equal(a->renew.has_ttl, b->renew.has_ttl);
        assert_int_equal(a->renew.ttl_ms, b->renew.ttl_ms);
        break;
    case COMMAND_RELEASE:
        assert_slice_equal(a->release.schedule_id, b->release.schedule_id);
        assert_int_equal(a->release.token, b->release.token);
        assert_int_equal(a->release.has_outcome, b->release.has_outcome);
        assert_int_equal(a->release.outcome, b->release.outcome);
        break;
    case COMMAND_RULES:
        assert_int_equal(a->rules.version, b->rules.version);
        break;
    case COMMAND_PUT_SCHEDULE:
        assert_slice_equal(a->put_schedule.schedule_id, b->put_schedule.schedule_id);
        assert_policy_equal(&a->put_schedule.policy, &b->put_schedule.policy);
        break;
    case COMMAND_DELETE_SCHEDULE:
        assert_slice_equal(a->delete_schedule.schedule_id, b->delete_schedule.schedule_id);
        break;
    case COMMAND_REVOKE:
        assert_slice_equal(a->revoke.schedule_id, b->revoke.schedule_id);
        assert_slice_equal(a->revoke.actor, b->revoke.actor);
        assert_slice_equal(a->revoke.reason, b->revoke.reason);
        assert_int_equal(a->revoke.token, b->revoke.token);
        assert_int_equal(a->revoke.force, b->revoke.force);
        break;
    }
}

static void assert_grant_equal(const struct grant_view *a, const struct grant_view *b)
{
    assert_slice_equal(a->schedule_id, b->schedule_id);
    assert_slice_equal(a->holder, b->holder);
    assert_slice_equal(a->occurrence, b->occurrence);
    assert_slice_equal(a->metadata, b->metadata);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_int_equal(a->remaining_ms, b->remaining_ms);
    assert_int_equal(a->acquired_wall_ms, b->acquired_wall_ms);
    assert_int_equal(a->expires_wall_ms, b->expires_wall_ms);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->is_revoking, b->is_revoking);
}

static void assert_run_equal(const struct run_view *a, const struct run_view *b)
{
    assert_slice_equal(a->schedule_id, b->schedule_id);
    assert_slice_equal(a->holder, b->holder);
    assert_slice_equal(a->occurrence, b->occurrence);
    assert_slice_equal(a->actor, b->actor);
    assert_slice_equal(a->reason, b->reason);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->duration_ms, b->duration_ms);
    assert_int_equal(a->acquired_wall_ms, b->acquired_wall_ms);
    assert_int_equal(a->ended_wall_ms, b->ended_wall_ms);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->late_outcome, b->late_outcome);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->is_newly_revoked, b->is_newly_revoked);
    assert_int_equal(a->is_newly_freed, b->is_newly_freed);
}

void assert_outcome_equal(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->code, b->code);
    assert_slice_equal(slice_of(a->field), slice_of(b->field));
    assert_int_equal(a->repeated, b->repeated);
    assert_int_equal(a->has_policy, b->has_policy);
    if (a->has_policy) {
        assert_slice_equal(a->policy.schedule_id, b->policy.schedule_id);
        assert_policy_equal(&a->policy.policy, &b->policy.policy);
        assert_int_equal(a->policy.has_success, b->policy.has_success);
        assert_int_equal(a->policy.last_success_wall_ms, b->policy.last_success_wall_ms);
    }
    assert_int_equal(a->has_grant, b->has_grant);
    if (a->has_grant) {
        assert_grant_equal(&a->grant, &b->grant);
    }
    assert_int_equal(a->has_run, b->has_run);
    if (a->has_run) {
        assert_run_equal(&a->run, &b->run);
    }
    assert_int_equal(a->n_holders, b->n_holders);
    for (size_t i = 0; i < a->n_holders; i++) {
        assert_grant_equal(&a->holders[i], &b->holders[i]);
    }
    assert_int_equal(a->n_runs, b->n_runs);
    for (size_t i = 0; i < a->n_runs; i++) {
        assert_run_equal(&a->runs[i], &b->runs[i]);
    }
    assert_int_equal(a->remaining_ms, b->remaining_ms);
    assert_int_equal(a->minimum_ms, b->minimum_ms);
    assert_int_equal(a->maximum_ms, b->maximum_ms);
    assert_int_equal(a->estimate_ms, b->estimate_ms);
    assert_int_equal(a->margin_ms, b->margin_ms);
}

void assert_entry_equal(const struct entry *a, const struct entry *b)
{
    assert_memory_equal(a->run_id, b->run_id, sizeof a->run_id);
    assert_int_equal(a->batch, b->batch);
    assert_int_equal(a->now_ms, b->now_ms);
    assert_int_equal(a->wall_ms, b->wall_ms);
    assert_int_equal(a->no_growth, b->no_growth);
    assert_int_equal(a->rules_version, b->rules_version);
    assert_int_equal(a->n_commands, b->n_commands);
    for (size_t i = 0; i < a->n_commands; i++) {
        assert_command_equal(&a->commands[i], &b->commands[i]);
    }
}

/* ---- frames ---- */

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
    case FRAME_READ_INDEX:
        assert_memory_equal(a->read_index.run_id, b->read_index.run_id, 16);
        assert_int_equal(a->read_index.number, b->read_index.number);
        break;
    case FRAME_READ_INDEX_RESULT:
        assert_memory_equal(a->read_index_result.run_id, b->read_index_result.run_id, 16);
        assert_int_equal(a->read_index_result.number, b->read_index_result.number);
        assert_int_equal(a->read_index_result.status, b->read_index_result.status);
        assert_int_equal(a->read_index_result.index, b->read_index_result.index);
        break;
    case FRAME_SNAPSHOT_CHUNK:
    case FRAME_SNAPSHOT_ACK:
        assert_snapshot_frame_equal(a, b);
        break;
    default:
        assert_raft_frame_equal(a, b);
    }
}

/* ---- golden files ---- */

static void golden_write(const char *path, struct slice bytes)
{
    FILE *file = fopen(path, "wx");
    assert_non_null(file);
    for (size_t i = 0; i < bytes.len; i++) {
        (void)fprintf(file, "%02x%s", bytes.base[i], i % 32 == 31 || i + 1 == bytes.len ? "\n" : "");
    }
    assert_int_equal(fclose(file), 0);
}

static void golden_read(FILE *file, struct buffer *bytes)
{
    char digits[3] = {0};
    for (int c = fgetc(file), n = 0; c != EOF; c = fgetc(file)) {
        if (!isxdigit(c)) {
            continue;
        }
        digits[n++] = (char)c;
        if (n == 2) {
            uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
            buffer_append(bytes, &byte, 1);
            n = 0;
        }
    }
}

void assert_golden(const char *name, struct slice bytes)
{
    struct buffer path;
    buffer_init(&path);
    buffer_printf(&path, "%s/%s.hex%c", GOLDEN_DIR, name, 0);
    FILE *file = fopen((const char *)path.base, "r");
    if (file == NULL && getenv("GOLDEN_WRITE") != NULL) {
        golden_write((const char *)path.base, bytes);
        file = fopen((const char *)path.base, "r");
    }
    if (file == NULL) {
        fail_msg("there is no golden file %s", (const char *)path.base);
    }
    struct buffer golden;
    buffer_init(&golden);
    golden_read(file, &golden);
    assert_int_equal(fclose(file), 0);
    if (golden.len != bytes.len || memcmp(golden.base, bytes.base, bytes.len) != 0) {
        fail_msg("the bytes differ from %s", (const char *)path.base);
    }
    buffer_close(&golden);
    buffer_close(&path);
}

/* ---- processes and memory ---- */

uint8_t *exact_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

bool aborts(void (*run)(void *arg), void *arg)
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(1);
        }
        run(arg);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
