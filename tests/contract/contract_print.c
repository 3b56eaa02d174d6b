#include "contract_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_token(int granted_by, uint64_t token)
{
    if (granted_by != 0) {
        (void)printf(" token=of-#%d", granted_by);
    } else {
        (void)printf(" token=%" PRIu64, token);
    }
}

static void print_text(const char *name, const char *text)
{
    if (text[0] != '\0') {
        (void)printf(" %s=%s", name, text);
    }
}

static void print_acquire(const struct contract_command *command)
{
    const struct contract_body *body = &command->body;
    print_text("key", command->key);
    print_text("holder", body->holder);
    print_text("occurrence", body->occurrence);
    print_text("metadata", body->metadata);
    if (body->has_ttl) {
        (void)printf(" ttl_ms=%" PRIu64, body->ttl_ms);
    }
    if (body->has_estimate) {
        (void)printf(" estimated_duration_ms=%" PRIu64, body->estimate_ms);
    }
}

static void print_renewals(const struct contract_record *record)
{
    for (int i = 0; i < record->command.n_renewals; i++) {
        const struct contract_renewal *renewal = &record->command.renewals[i];
        (void)printf(" %s", renewal->schedule);
        print_token(record->renewals_granted_by[i], renewal->token);
        if (renewal->has_ttl) {
            (void)printf(" ttl_ms=%" PRIu64, renewal->ttl_ms);
        }
    }
}

static void print_policy(const struct contract_policy *policy)
{
    (void)printf(" estimated_duration_ms=%" PRIu64 " safety_margin_ms=%" PRIu64 " max_ttl_ms=%" PRIu64
                 " min_hold_ms=%" PRIu64 " expected_every_ms=%" PRIu64 " slots=%u max_attempts=%u",
                 policy->estimate_ms, policy->margin_ms, policy->max_ttl_ms, policy->min_hold_ms,
                 policy->expected_every_ms, policy->slots, policy->max_attempts);
    print_text("group", policy->group);
    print_text("description", policy->description);
}

static void print_rest(const struct contract_record *record)
{
    const struct contract_command *command = &record->command;
    switch (command->kind) {
    case CONTRACT_RENEW:
    case CONTRACT_RENEW_BATCH:
        print_renewals(record);
        break;
    case CONTRACT_RELEASE:
        print_token(record->granted_by, command->token);
        print_text("outcome", command->outcome == CONTRACT_NOTHING ? "" : contract_result_name(command->outcome));
        break;
    case CONTRACT_REVOKE:
        print_token(record->granted_by, command->token);
        (void)printf(" force=%d actor=%s reason=\"%s\"", command->force, command->actor, command->reason);
        break;
    case CONTRACT_PUT_SCHEDULE:
        print_policy(&command->policy);
        break;
    case CONTRACT_PUT_GROUP:
        (void)printf(" slots=%u", command->slots);
        break;
    case CONTRACT_PUT_FREEZE:
        (void)printf(" ttl_ms=%" PRIu64 " actor=%s reason=\"%s\"", command->ttl_ms, command->actor, command->reason);
        break;
    default:
        break;
    }
}

static void print_record(const struct contract_record *record)
{
    static const char *const kinds[] = {
        [CONTRACT_TICK] = "tick",
        [CONTRACT_ACQUIRE] = "acquire",
        [CONTRACT_RENEW] = "renew",
        [CONTRACT_RENEW_BATCH] = "renew batch",
        [CONTRACT_RELEASE] = "release",
        [CONTRACT_REVOKE] = "revoke",
        [CONTRACT_PUT_SCHEDULE] = "put schedule",
        [CONTRACT_DELETE_SCHEDULE] = "delete schedule",
        [CONTRACT_PUT_GROUP] = "put group",
        [CONTRACT_DELETE_GROUP] = "delete group",
        [CONTRACT_PUT_FREEZE] = "put freeze",
        [CONTRACT_DELETE_FREEZE] = "delete freeze",
    };
    if (record->begins_entry) {
        (void)printf("  entry now_ms=%" PRIu64 " wall_ms=%" PRId64 "%s\n", record->entry.now_ms, record->entry.wall_ms,
                     record->entry.no_growth ? " no_growth" : "");
    }
    (void)printf("  #%d %s %s", record->id, kinds[record->command.kind], record->command.name);
    if (record->command.kind == CONTRACT_ACQUIRE) {
        print_acquire(&record->command);
    } else {
        print_rest(record);
    }
    (void)printf("%s%s\n", record->looks ? " (then reads)" : "", record->reloads ? " (then from an image)" : "");
}

static void print_answers(const struct contract_trial *trial)
{
    const struct outcome *table = &trial->outcome;
    const struct contract_answer *model = &trial->answer;
    (void)printf("  table: %s field=%s repeated=%d lock=%" PRIu64 " run=%" PRIu64 " (%s) holders=%zu revoked=%zu\n",
                 outcome_code_name(table->code), table->field == NULL ? "" : table->field, table->repeated,
                 table->has_grant ? table->grant.token : 0, table->has_run ? table->run.token : 0,
                 table->has_run ? run_outcome_name(table->run.outcome) : "", table->n_holders, table->n_runs);
    (void)printf("  model: %s field=%s repeated=%d lock=%" PRIu64 " run=%" PRIu64 " (%s) holders=%zu revoked=%zu\n",
                 model->code, model->field == NULL ? "" : model->field, model->repeated,
                 model->has_grant ? model->grant.token : 0, model->has_run ? model->run.token : 0,
                 model->has_run ? contract_result_name(model->run.outcome) : "", model->n_holders, model->n_revoked);
    (void)printf("  %s\n", trial->difference);
}

void contract_print(const struct contract_record *records, size_t n, int last_id, enum contract_lie lie)
{
    struct contract_trial *trial = malloc(sizeof *trial);
    CHECK(trial != NULL);
    contract_trial_open(trial, last_id);
    trial->lie = lie;
    for (size_t i = 0; i < n; i++) {
        print_record(&records[i]);
        bool is_same = contract_trial_step(trial, &records[i]);
        if (!is_same) {
            print_answers(trial);
            break;
        }
        (void)printf("      %s token=%" PRIu64 "\n", trial->answer.code,
                     trial->answer.has_grant ? trial->answer.grant.token : 0);
    }
    contract_trial_close(trial);
    free(trial);
}
