#include "contract_shown.h"

static void show_token(const struct contract_step *step, size_t which, uint64_t token, struct contract_text *text)
{
    if (step->granted_by[which] != 0) {
        text_number(text, "token_of_step", step->granted_by[which]);
    } else {
        text_number(text, "token", token);
    }
}

static void show_acquire(const struct contract_command *command, struct contract_text *text)
{
    const struct contract_body *body = &command->body;
    text_piece(text, "key", piece_of(command->key));
    text_piece(text, "holder", piece_of(body->holder));
    if (body->has_ttl) {
        text_number(text, "ttl_ms", body->ttl_ms);
    }
    if (body->has_estimate) {
        text_number(text, "estimated_duration_ms", body->estimate_ms);
    }
    text_piece(text, "occurrence", piece_of(body->occurrence));
    text_piece(text, "metadata", piece_of(body->metadata));
}

static void show_renewals(const struct contract_step *step, struct contract_text *text)
{
    for (int i = 0; i < step->command.n_renewals; i++) {
        const struct contract_renewal *renewal = &step->command.renewals[i];
        text_add(text, i == 0 ? "" : ",");
        text_piece(text, "schedule_id", piece_of(renewal->schedule));
        show_token(step, (size_t)i, renewal->token, text);
        if (renewal->has_ttl) {
            text_number(text, "ttl_ms", renewal->ttl_ms);
        }
    }
}

static void show_put_schedule(const struct contract_policy *policy, struct contract_text *text)
{
    text_number(text, "estimated_duration_ms", policy->estimate_ms);
    text_number(text, "safety_margin_ms", policy->margin_ms);
    text_number(text, "max_ttl_ms", policy->max_ttl_ms);
    text_number(text, "min_hold_ms", policy->min_hold_ms);
    text_number(text, "slots", policy->slots);
    text_piece(text, "group", piece_of(policy->group));
    text_number(text, "max_attempts", policy->max_attempts);
    text_number(text, "expected_every_ms", policy->expected_every_ms);
    text_piece(text, "description", piece_of(policy->description));
}

static void show_command(const struct contract_step *step, struct contract_text *text)
{
    static const char *const names[] = {"tick",      "acquire",      "renew",        "renew together",
                                        "release",   "revoke",       "put schedule", "delete schedule",
                                        "put group", "delete group", "put freeze",   "delete freeze"};
    const struct contract_command *command = &step->command;
    text_add(text, names[command->kind]);
    if (command->name[0] != '\0') {
        text_add(text, " ");
        text_add(text, command->name);
    }
    switch (command->kind) {
    case CONTRACT_ACQUIRE:
        show_acquire(command, text);
        break;
    case CONTRACT_RENEW:
    case CONTRACT_RENEW_BATCH:
        show_renewals(step, text);
        break;
    case CONTRACT_RELEASE:
        show_token(step, 0, command->token, text);
        text_piece(text, "outcome", piece_of(contract_result_name(command->outcome)));
        break;
    case CONTRACT_REVOKE:
        show_token(step, 0, command->token, text);
        text_piece(text, "actor", piece_of(command->actor));
        text_flag(text, "by force", command->force);
        break;
    case CONTRACT_PUT_SCHEDULE:
        show_put_schedule(&command->policy, text);
        break;
    case CONTRACT_PUT_GROUP:
        text_number(text, "slots", command->slots);
        break;
    case CONTRACT_PUT_FREEZE:
        text_number(text, "ttl_ms", command->ttl_ms);
        text_piece(text, "actor", piece_of(command->actor));
        break;
    default:
        break;
    }
}

void contract_shown_step(const struct contract_step *step, struct contract_text *text)
{
    text_number(text, "step", step->id);
    text_number(text, "entry", step->entry);
    text_number(text, "now_ms", step->time.now_ms);
    text_add(text, ": ");
    switch (step->kind) {
    case CONTRACT_STEP_COMMAND:
        show_command(step, text);
        break;
    case CONTRACT_STEP_LOOK:
        text_add(text, "look at ");
        text_add(text, step->command.name);
        text_piece(text, "prefix", piece_of(step->command.key));
        text_piece(text, "holder", piece_of(step->command.body.holder));
        text_number(text, "limit", step->command.slots);
        break;
    case CONTRACT_STEP_RELOAD:
        text_add(text, "go on from an image");
        break;
    }
    text_add(text, "\n");
}
