#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"

void sample_fill(uint8_t *bytes, size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
}

static const struct command fixed_noop = {.kind = COMMAND_NOOP};
static const struct command fixed_leader = {.kind = COMMAND_LEADER, .leader = {.member_id_floor = 4}};

static struct command fixed_acquire(void)
{
    return (struct command){
        .kind = COMMAND_ACQUIRE,
        .acquire =
            {
                .schedule_id = slice_of("backup:nightly"),
                .holder = slice_of("host-1/4711"),
                .idempotency_key = slice_of("6f1c"),
                .has_ttl = true,
                .ttl_ms = 90000,
            },
    };
}

static struct command fixed_acquire_with_all(void)
{
    return (struct command){
        .kind = COMMAND_ACQUIRE,
        .acquire =
            {
                .schedule_id = slice_of("a"),
                .holder = slice_of("!"),
                .occurrence = slice_of("2026-01-02T03:04:05Z"),
                .idempotency_key = slice_of("k"),
                .metadata = slice_of("{\"a\":1}"),
                .has_ttl = true,
                .ttl_ms = LIMIT_NUMBER_MAX,
                .has_estimate = true,
                .estimate_ms = 0,
            },
    };
}

static struct command fixed_renew(bool has_ttl)
{
    return (struct command){
        .kind = COMMAND_RENEW,
        .renew = {.schedule_id = slice_of("s"), .token = 300, .has_ttl = has_ttl, .ttl_ms = has_ttl ? 1 : 0},
    };
}

static struct command fixed_release(bool has_outcome)
{
    return (struct command){
        .kind = COMMAND_RELEASE,
        .release =
            {
                .schedule_id = slice_of("s"),
                .token = UINT64_MAX,
                .has_outcome = has_outcome,
                .outcome = has_outcome ? RUN_ABANDONED : RUN_RUNNING,
            },
    };
}

static struct policy fixed_policy(void)
{
    return (struct policy){
        .estimate_ms = 60000,
        .margin_ms = 30000,
        .max_ttl_ms = 604800000,
        .min_hold_ms = LIMIT_NUMBER_MAX,
        .slots = 256,
        .max_attempts = 1000000,
        .description = slice_of("t\xc3\xa4glich"),
    };
}

static struct command fixed_put(bool full)
{
    return (struct command){
        .kind = COMMAND_PUT_SCHEDULE,
        .put_schedule =
            {
                .schedule_id = slice_of("backup:nightly"),
                .policy = full ? fixed_policy() : (struct policy){.max_ttl_ms = 1, .slots = 1, .max_attempts = 1},
            },
    };
}

static struct command fixed_revoke(bool one)
{
    return (struct command){
        .kind = COMMAND_REVOKE,
        .revoke =
            {
                .schedule_id = slice_of("s"),
                .actor = slice_of("root@host"),
                .reason = slice_of("wrong d\xc3\xa4tabase"),
                .token = one ? 300 : 0,
                .force = one,
            },
    };
}

void sample_entry(struct arena *arena, struct entry *entry)
{
    const size_t n = 14;
    *entry = (struct entry){.batch = 7, .now_ms = 1000, .wall_ms = -1, .no_growth = true, .rules_version = 1};
    sample_fill(entry->run_id, sizeof entry->run_id, 0x10);
    struct command *commands = arena_alloc(arena, n * sizeof *commands);
    commands[0] = fixed_noop;
    commands[1] = fixed_leader;
    commands[2] = fixed_acquire();
    commands[3] = fixed_acquire_with_all();
    commands[4] = fixed_renew(false);
    commands[5] = fixed_renew(true);
    commands[6] = fixed_release(false);
    commands[7] = fixed_release(true);
    commands[8] = (struct command){.kind = COMMAND_RULES, .rules = {.version = 1}};
    commands[9] = fixed_put(false);
    commands[10] = fixed_put(true);
    commands[11] = (struct command){.kind = COMMAND_DELETE_SCHEDULE, .delete_schedule = {slice_of("s")}};
    commands[12] = fixed_revoke(false);
    commands[13] = fixed_revoke(true);
    entry->commands = commands;
    entry->n_commands = n;
}

static void fixed_hello(struct frame_hello *hello, bool full)
{
    *hello = (struct frame_hello){
        .protocol_oldest = 1,
        .protocol_newest = 2,
        .rules_oldest = 1,
        .rules_newest = 3,
        .state_oldest = 4,
        .state_newest = 5,
        .founding = !full,
        .connection_number = 9,
        .name = slice_of("n1"),
        .keyed = full,
    };
    sample_fill(hello->incarnation, 16, 0x20);
    sample_fill(hello->run_id, 16, 0x30);
    sample_fill(hello->nonce, 32, 0x40);
    if (full) {
        sample_fill(hello->cluster_id, 16, 0x10);
        hello->to = slice_of("n2");
        hello->http_address = slice_of("[::1]:7420");
    }
}

static struct grant_view fixed_grant(void)
{
    return (struct grant_view){
        .schedule_id = slice_of("backup:nightly"),
        .holder = slice_of("host-1/4711"),
        .occurrence = slice_of("2026-01-02"),
        .metadata = slice_of("{}"),
        .token = 12,
        .ttl_ms = 90000,
        .remaining_ms = 89999,
        .acquired_wall_ms = 1767323045000,
        .expires_wall_ms = 1767323135000,
        .attempt = 1,
    };
}

static struct run_view fixed_run(void)
{
    return (struct run_view){
        .schedule_id = slice_of("backup:nightly"),
        .holder = slice_of("h"),
        .occurrence = slice_of("o"),
        .actor = slice_of("root"),
        .reason = slice_of("wrong d\xc3\xa4tabase"),
        .token = 11,
        .duration_ms = 5,
        .acquired_wall_ms = -5,
        .ended_wall_ms = 0,
        .outcome = RUN_REVOKED,
        .late_outcome = RUN_SUCCEEDED,
        .attempt = 2,
    };
}

static void fixed_founding(struct arena *arena, struct frame *question, struct frame *answer, struct frame *list)
{
    question->kind = FRAME_FOUNDING_QUESTION;
    question->founding_question.spec = slice_of("n1=a:1:2,n2=b:1:2");
    question->founding_question.name = slice_of("n2");
    sample_fill(question->founding_question.incarnation, 16, 0x50);
    answer->kind = FRAME_FOUNDING_ANSWER;
    answer->founding_answer.spec = slice_of("n1=a:1:2,n2=b:1:2");
    answer->founding_answer.name = slice_of("n1");
    answer->founding_answer.state = FOUNDING_EMPTY;
    sample_fill(answer->founding_answer.incarnation, 16, 0x60);
    *list = *answer;
    struct frame_member *founders = arena_alloc(arena, 2 * sizeof *founders);
    founders[0].name = slice_of("n1");
    founders[1].name = slice_of("n2");
    sample_fill(founders[0].incarnation, 16, 0x60);
    sample_fill(founders[1].incarnation, 16, 0x50);
    list->founding_answer.state = FOUNDING_LIST;
    list->founding_answer.founders = founders;
    list->founding_answer.n_founders = 2;
}

static void fixed_append(struct arena *arena, struct frame_append_entries *append)
{
    struct frame_log_entry *entries = arena_alloc(arena, 3 * sizeof *entries);
    entries[0] = (struct frame_log_entry){.term = 2, .type = 1, .data = slice_of("eight by")};
    entries[1] = (struct frame_log_entry){.term = 2, .type = 2, .data = slice_of("bytes, or sixten")};
    entries[2] = (struct frame_log_entry){.term = 3, .type = 3, .data = slice_of("the last")};
    *append = (struct frame_append_entries){
        .term = 3,
        .prev_log_index = 10,
        .prev_log_term = 2,
        .leader_commit = 9,
        .entries = entries,
        .n_entries = 3,
    };
}

static void fixed_operations(struct arena *arena, struct frame_operations *operations)
{
    struct frame_operation *items = arena_alloc(arena, 5 * sizeof *items);
    items[0] = (struct frame_operation){.number = 1, .command = fixed_acquire_with_all()};
    items[1] = (struct frame_operation){.number = 2, .command = fixed_renew(true)};
    items[2] = (struct frame_operation){.number = UINT64_MAX, .command = fixed_noop};
    items[3] = (struct frame_operation){.number = 4, .command = fixed_put(true)};
    items[4] = (struct frame_operation){.number = 5, .command = fixed_revoke(true)};
    *operations = (struct frame_operations){.sequence = 5, .operations = items, .n_operations = 5};
    sample_fill(operations->run_id, 16, 0x30);
}

static const struct grant_view *fixed_holders(struct arena *arena)
{
    struct grant_view *holders = arena_alloc(arena, 2 * sizeof *holders);
    holders[0] = fixed_grant();
    holders[1] = fixed_grant();
    holders[0].metadata = holders[1].metadata = holders[1].occurrence = (struct slice){0};
    holders[1].token = 13;
    holders[1].is_revoking = true;
    return holders;
}

static const struct run_view *fixed_runs(struct arena *arena)
{
    struct run_view *runs = arena_alloc(arena, 2 * sizeof *runs);
    runs[0] = fixed_run();
    runs[1] = fixed_run();
    runs[1].token = 12;
    runs[1].late_outcome = RUN_OUTCOME_NONE;
    runs[1].occurrence = (struct slice){0};
    return runs;
}

/* What policies and revoking added. */
static void fixed_outcomes_of_policies(struct arena *arena, struct frame_operation_result *results)
{
    for (size_t i = 0; i < 4; i++) {
        results[i] = (struct frame_operation_result){.number = 7 + i, .status = OPERATION_APPLIED};
    }
    results[0].outcome = (struct outcome){
        .code = OUTCOME_DONE,
        .has_policy = true,
        .policy = {.schedule_id = slice_of("backup:nightly"),
                   .policy = fixed_policy(),
                   .has_success = true,
                   .last_success_wall_ms = -1},
    };
    results[1].outcome = (struct outcome){
        .code = OUTCOME_DONE,
        .has_policy = true,
        .policy = {.schedule_id = slice_of("a"), .policy = {.max_ttl_ms = 1, .slots = 1, .max_attempts = 1}},
    };
    results[2].outcome = (struct outcome){.code = OUTCOME_DONE, .runs = fixed_runs(arena), .n_runs = 2};
    results[3].outcome = (struct outcome){.code = OUTCOME_NOT_FOUND};
}

static void fixed_outcomes(struct arena *arena, struct frame_outcomes *outcomes)
{
    const size_t n = 10;
    struct frame_operation_result *results = arena_alloc(arena, n * sizeof *results);
    memset(results, 0, n * sizeof *results);
    results[0] = (struct frame_operation_result){.number = 1, .status = OPERATION_APPLIED};
    results[0].outcome = (struct outcome){.code = OUTCOME_DONE, .has_grant = true, .grant = fixed_grant()};
    results[1] = (struct frame_operation_result){.number = 2, .status = OPERATION_APPLIED};
    results[1].outcome =
        (struct outcome){.code = OUTCOME_LOCK_HELD, .repeated = true, .holders = fixed_holders(arena), .n_holders = 2};
    results[2] = (struct frame_operation_result){.number = 3, .status = OPERATION_APPLIED};
    results[2].outcome = (struct outcome){.code = OUTCOME_LOCK_LOST, .has_run = true, .run = fixed_run()};
    results[3] = (struct frame_operation_result){.number = 4, .status = OPERATION_APPLIED};
    results[3].outcome = (struct outcome){.code = OUTCOME_INVALID_FIELD, .field = "ttl_ms"};
    results[4] = (struct frame_operation_result){.number = 5, .status = OPERATION_APPLIED};
    results[4].outcome = (struct outcome){
        .code = OUTCOME_TTL_TOO_SHORT,
        .remaining_ms = 1,
        .minimum_ms = 2,
        .maximum_ms = 3,
        .estimate_ms = 4,
        .margin_ms = 5,
    };
    results[5] = (struct frame_operation_result){.number = 6, .status = OPERATION_UNKNOWN};
    fixed_outcomes_of_policies(arena, &results[6]);
    *outcomes = (struct frame_outcomes){.index = 77, .results = results, .n_results = n};
    sample_fill(outcomes->run_id, 16, 0x30);
}

/* Results that share holders with one before them, and runs with what a revocation did to them. */
static void fixed_outcomes_shared(struct arena *arena, struct frame_outcomes *outcomes)
{
    const size_t n = 5;
    struct frame_operation_result *results = arena_alloc(arena, n * sizeof *results);
    for (size_t i = 0; i < n; i++) {
        results[i] = (struct frame_operation_result){.number = 1 + i, .status = OPERATION_APPLIED};
    }
    results[0].status = OPERATION_OVERLOADED;
    results[1].outcome = (struct outcome){.code = OUTCOME_LOCK_HELD, .holders = fixed_holders(arena), .n_holders = 2};
    results[2].outcome = results[1].outcome;
    results[2].holders_of = 2;
    struct run_view *runs = arena_alloc(arena, 2 * sizeof *runs);
    runs[0] = runs[1] = fixed_run();
    runs[0].is_newly_revoked = runs[0].is_newly_freed = runs[1].is_newly_freed = true;
    runs[1].token = 12;
    results[3].outcome = (struct outcome){.code = OUTCOME_DONE, .runs = runs, .n_runs = 2};
    results[4].outcome = results[1].outcome;
    results[4].outcome.code = OUTCOME_LOCK_LOST;
    results[4].holders_of = 2;
    *outcomes = (struct frame_outcomes){.index = 78, .results = results, .n_results = n};
    sample_fill(outcomes->run_id, 16, 0x30);
}

struct frame *sample_add(struct sample_frame *samples, size_t *count, const char *name, enum frame_kind kind)
{
    CHECK(*count < SAMPLE_FRAMES);
    struct sample_frame *sample = &samples[(*count)++];
    memset(sample, 0, sizeof *sample);
    sample->name = name;
    sample->frame.kind = kind;
    return &sample->frame;
}

static void sample_raft_frames(struct arena *arena, struct sample_frame *samples, size_t *count)
{
    sample_add(samples, count, "request_vote", FRAME_REQUEST_VOTE)->request_vote = (struct frame_request_vote){
        .term = 1, .candidate_id = 2, .last_log_index = 3, .last_log_term = 4, .disrupt_leader = true};
    sample_add(samples, count, "request_vote_result", FRAME_REQUEST_VOTE_RESULT)->request_vote_result =
        (struct frame_request_vote_result){.term = 1, .pre_vote = true, .features = 2, .capacity = 65535};
    fixed_append(arena, &sample_add(samples, count, "append_entries", FRAME_APPEND_ENTRIES)->append_entries);
    sample_add(samples, count, "append_entries_empty", FRAME_APPEND_ENTRIES)->append_entries =
        (struct frame_append_entries){.term = 3, .prev_log_index = 10, .prev_log_term = 2, .leader_commit = 10};
    sample_add(samples, count, "append_entries_result", FRAME_APPEND_ENTRIES_RESULT)->append_entries_result =
        (struct frame_append_entries_result){.term = 3, .rejected = 4, .last_log_index = 5, .features = 1};
    sample_add(samples, count, "install_snapshot", FRAME_INSTALL_SNAPSHOT)->install_snapshot =
        (struct frame_install_snapshot){.term = 1,
                                        .last_index = 2,
                                        .last_term = 3,
                                        .configuration_index = 4,
                                        .configuration = slice_of("members.."),
                                        .size = 5,
                                        .chunks = 6,
                                        .checksum = UINT64_MAX};
    sample_add(samples, count, "timeout_now", FRAME_TIMEOUT_NOW)->timeout_now =
        (struct frame_timeout_now){.term = 1, .last_log_index = 2, .last_log_term = 3};
    sample_add(samples, count, "snapshot_chunk", FRAME_SNAPSHOT_CHUNK)->snapshot_chunk =
        (struct frame_snapshot_chunk){.last_index = 1, .last_term = 2, .number = 3, .bytes = slice_of("chunk")};
    sample_add(samples, count, "snapshot_ack", FRAME_SNAPSHOT_ACK)->snapshot_ack =
        (struct frame_snapshot_ack){.last_index = 1, .last_term = 2, .next = 3, .refused = true};
}

size_t sample_frames(struct arena *arena, struct sample_frame samples[SAMPLE_FRAMES])
{
    size_t count = 0;
    fixed_hello(&sample_add(samples, &count, "hello", FRAME_HELLO)->hello, true);
    fixed_hello(&sample_add(samples, &count, "hello_founding", FRAME_HELLO)->hello, false);
    sample_fill(sample_add(samples, &count, "proof", FRAME_PROOF)->proof.mac, 32, 0x70);
    struct frame *question = sample_add(samples, &count, "founding_question", FRAME_FOUNDING_QUESTION);
    struct frame *answer = sample_add(samples, &count, "founding_answer", FRAME_FOUNDING_ANSWER);
    struct frame *list = sample_add(samples, &count, "founding_answer_list", FRAME_FOUNDING_ANSWER);
    fixed_founding(arena, question, answer, list);
    sample_raft_frames(arena, samples, &count);
    fixed_operations(arena, &sample_add(samples, &count, "operations", FRAME_OPERATIONS)->operations);
    fixed_outcomes(arena, &sample_add(samples, &count, "outcomes", FRAME_OUTCOMES)->outcomes);
    fixed_outcomes_shared(arena, &sample_add(samples, &count, "outcomes_shared", FRAME_OUTCOMES)->outcomes);
    struct frame *read_index = sample_add(samples, &count, "read_index", FRAME_READ_INDEX);
    read_index->read_index.number = 3;
    sample_fill(read_index->read_index.run_id, 16, 0x30);
    struct frame *result = sample_add(samples, &count, "read_index_result", FRAME_READ_INDEX_RESULT);
    result->read_index_result.number = 3;
    result->read_index_result.status = OPERATION_APPLIED;
    result->read_index_result.index = 99;
    sample_fill(result->read_index_result.run_id, 16, 0x30);
    sample_newer_frames(arena, samples, &count);
    return count;
}
