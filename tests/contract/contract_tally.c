#include "contract_tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNTED_STEPS 100000u /* fewer don't say whether something happens often enough */

static void add(struct contract_tally *tally, enum contract_tally_name name, uint64_t n)
{
    tally->counts[name] += n;
}

static void count_refusal(struct contract_tally *tally, const char *code)
{
    static const char *const names[] = {
#define X(name, text, least) text,
        CONTRACT_TALLY_TABLE(X)
#undef X
    };
    for (int i = CONTRACT_TALLY_TTL_TOO_SHORT; i < CONTRACT_TALLY_NAMES; i++) {
        if (strcmp(code, names[i]) == 0) {
            tally->counts[i]++;
        }
    }
}

static void count_release(struct contract_tally *tally, const struct contract_answer *answer)
{
    add(tally, CONTRACT_TALLY_RELEASED, !answer->repeated);
    add(tally, CONTRACT_TALLY_REPEATED_RELEASE, answer->repeated);
    add(tally, CONTRACT_TALLY_REVOKED_RELEASED, !answer->repeated && answer->run.outcome == CONTRACT_REVOKED);
}

static void count_revocation(struct contract_tally *tally, const struct contract_command *command,
                             const struct contract_answer *answer)
{
    bool is_new = answer->n_revoked > 0 && !answer->repeated;
    add(tally, CONTRACT_TALLY_REVOKED_SOFTLY, is_new && !command->force);
    add(tally, CONTRACT_TALLY_REVOKED_BY_FORCE, is_new && command->force);
    add(tally, CONTRACT_TALLY_REVOKED_SEVERAL, answer->n_revoked > 1);
}

void contract_tally_answer(struct contract_tally *tally, const struct contract_command *command,
                           const struct contract_answer *answer)
{
    bool is_done = strcmp(answer->code, "done") == 0;
    if (!is_done) {
        count_refusal(tally, answer->code);
        add(tally, CONTRACT_TALLY_BELOW_FLOOR, answer->is_below_floor);
        return;
    }
    switch (command->kind) {
    case CONTRACT_ACQUIRE:
        add(tally, answer->repeated ? CONTRACT_TALLY_REPEATED_KEY : CONTRACT_TALLY_GRANTED, 1);
        break;
    case CONTRACT_RENEW:
    case CONTRACT_RENEW_BATCH:
        add(tally, CONTRACT_TALLY_RENEWED, answer->has_grant);
        add(tally, CONTRACT_TALLY_BATCHES, !answer->has_grant);
        break;
    case CONTRACT_RELEASE:
        count_release(tally, answer);
        break;
    case CONTRACT_REVOKE:
        count_revocation(tally, command, answer);
        break;
    case CONTRACT_PUT_SCHEDULE:
        add(tally, CONTRACT_TALLY_POLICY_SET, 1);
        break;
    case CONTRACT_PUT_GROUP:
        add(tally, CONTRACT_TALLY_GROUP_SET, 1);
        break;
    case CONTRACT_PUT_FREEZE:
        add(tally, CONTRACT_TALLY_FREEZE_SET, 1);
        break;
    default:
        break;
    }
}

void contract_tally_run(struct contract_tally *tally, const struct contract_model *model)
{
    struct contract_counts counts;
    contract_model_count(model, &counts);
    add(tally, CONTRACT_TALLY_EXPIRED, counts.expired);
    add(tally, CONTRACT_TALLY_THAWED, counts.thawed);
    add(tally, CONTRACT_TALLY_SCHEDULE_FORGOTTEN, counts.forgotten);
    add(tally, CONTRACT_TALLY_FLOOR_RAISED, counts.floors_raised);
    add(tally, CONTRACT_TALLY_STRING_FORGOTTEN, counts.strings_forgotten);
    add(tally, CONTRACT_TALLY_GIVEN_BACK, counts.given_back);
    add(tally, CONTRACT_TALLY_LATE_OUTCOME, counts.late_outcomes);
    add(tally, CONTRACT_TALLY_LATE_SUCCESS, counts.late_successes);
}

bool contract_tally_is_enough(const struct contract_tally *tally)
{
    static const struct expected {
        const char *text;
        uint64_t least;
    } expected[] = {
#define X(name, text, least) {text, least},
        CONTRACT_TALLY_TABLE(X)
#undef X
    };
    bool is_enough = true;
    for (int i = 0; i < CONTRACT_TALLY_NAMES; i++) {
        uint64_t least = tally->steps < COUNTED_STEPS ? 0 : expected[i].least * (tally->steps / COUNTED_STEPS);
        bool is_too_few = tally->counts[i] < least;
        (void)printf("%10" PRIu64 " %s", tally->counts[i], expected[i].text);
        (void)printf(is_too_few ? ", and at least %" PRIu64 " are expected\n" : "\n", least);
        is_enough &= !is_too_few;
    }
    return is_enough;
}
