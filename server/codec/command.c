/* Commands as messages. A command that breaks the contract's rules is never encoded: once in the log it would be refused
 * by every node, which then stops (law 9). So a broken one aborts the one process whose bug it is. */
#include "codec/wire.h"
#include "core/rules.h"

/* The numbers on the disk are those of the .proto file; for this enumeration they happen to be those of the header. */
_Static_assert(RUN_RUNNING == (int)WIRE__RUN_OUTCOME__RUN_RUNNING, "number on the wire");
_Static_assert(RUN_SUCCEEDED == (int)WIRE__RUN_OUTCOME__RUN_SUCCEEDED, "number on the wire");
_Static_assert(RUN_FAILED == (int)WIRE__RUN_OUTCOME__RUN_FAILED, "number on the wire");
_Static_assert(RUN_ABANDONED == (int)WIRE__RUN_OUTCOME__RUN_ABANDONED, "number on the wire");
_Static_assert(RUN_EXPIRED == (int)WIRE__RUN_OUTCOME__RUN_EXPIRED, "number on the wire");
_Static_assert(RUN_REVOKED == (int)WIRE__RUN_OUTCOME__RUN_REVOKED, "number on the wire");

/* ---- encoding ---- */

static void acquire_to_wire(const struct acquire_command *acquire, Wire__Acquire *wire)
{
    wire__acquire__init(wire);
    wire->schedule_id = wire_bytes(acquire->schedule_id);
    wire->holder = wire_bytes(acquire->holder);
    wire->idempotency_key = wire_bytes(acquire->idempotency_key);
    wire->has_occurrence = slice_is_present(acquire->occurrence);
    wire->occurrence = wire_bytes(acquire->occurrence);
    wire->has_metadata = slice_is_present(acquire->metadata);
    wire->metadata = wire_bytes(acquire->metadata);
    wire->has_ttl_ms = acquire->has_ttl;
    wire->ttl_ms = acquire->ttl_ms;
    wire->has_estimate_ms = acquire->has_estimate;
    wire->estimate_ms = acquire->estimate_ms;
}

static void renew_to_wire(const struct renew_command *renew, Wire__Renew *wire)
{
    wire__renew__init(wire);
    wire->schedule_id = wire_bytes(renew->schedule_id);
    wire->token = renew->token;
    wire->has_ttl_ms = renew->has_ttl;
    wire->ttl_ms = renew->ttl_ms;
}

static void release_to_wire(const struct release_command *release, Wire__Release *wire)
{
    wire__release__init(wire);
    wire->schedule_id = wire_bytes(release->schedule_id);
    wire->token = release->token;
    wire->has_outcome = release->has_outcome;
    wire->outcome = release->has_outcome ? (Wire__RunOutcome)release->outcome : WIRE__RUN_OUTCOME__RUN_RUNNING;
}

void policy_to_wire(const struct policy *policy, Wire__Policy *wire)
{
    wire__policy__init(wire);
    wire->estimate_ms = policy->estimate_ms;
    wire->margin_ms = policy->margin_ms;
    wire->max_ttl_ms = policy->max_ttl_ms;
    wire->min_hold_ms = policy->min_hold_ms;
    wire->slots = policy->slots;
    wire->max_attempts = policy->max_attempts;
    wire->has_description = slice_is_present(policy->description);
    wire->description = wire_bytes(policy->description);
    wire->has_group = slice_is_present(policy->group);
    wire->group = wire_bytes(policy->group);
    wire->has_expected_every_ms = policy->expected_every_ms != 0;
    wire->expected_every_ms = policy->expected_every_ms;
}

static void put_schedule_to_wire(const struct put_schedule_command *put, struct command_wire *wire)
{
    wire__put_schedule__init(&wire->put_schedule);
    wire->put_schedule.schedule_id = wire_bytes(put->schedule_id);
    policy_to_wire(&put->policy, &wire->policy);
    wire->put_schedule.policy = &wire->policy;
}

static void revoke_to_wire(const struct revoke_command *revoke, Wire__Revoke *wire)
{
    wire__revoke__init(wire);
    wire->schedule_id = wire_bytes(revoke->schedule_id);
    wire->actor = wire_bytes(revoke->actor);
    wire->reason = wire_bytes(revoke->reason);
    wire->token = revoke->token;
    wire->force = revoke->force;
}

static void renew_batch_to_wire(const struct renew_batch_command *batch, struct command_wire *wire)
{
    wire__renew_batch__init(&wire->renew_batch);
    for (size_t i = 0; i < batch->n_renewals; i++) {
        renew_to_wire(&batch->renewals[i], &wire->renewals[i]);
        wire->renewal_pointers[i] = &wire->renewals[i];
    }
    wire->renew_batch.n_renewals = batch->n_renewals;
    wire->renew_batch.renewals = wire->renewal_pointers;
}

static void put_freeze_to_wire(const struct put_freeze_command *put, Wire__PutFreeze *wire)
{
    wire__put_freeze__init(wire);
    wire->scope = wire_bytes(put->scope);
    wire->actor = wire_bytes(put->actor);
    wire->reason = wire_bytes(put->reason);
    wire->ttl_ms = put->ttl_ms;
}

void command_to_wire(const struct command *command, struct command_wire *wire)
{
    CHECK(command_is_valid(command));
    wire__command__init(&wire->command);
    switch (command->kind) {
    case COMMAND_NOOP:
        wire->command.kind_case = WIRE__COMMAND__KIND_NOOP;
        wire->command.noop = true;
        break;
    case COMMAND_LEADER:
        wire__leader__init(&wire->leader);
        wire->leader.member_id_floor = command->leader.member_id_floor;
        wire->command.kind_case = WIRE__COMMAND__KIND_LEADER;
        wire->command.leader = &wire->leader;
        break;
    case COMMAND_ACQUIRE:
        acquire_to_wire(&command->acquire, &wire->acquire);
        wire->command.kind_case = WIRE__COMMAND__KIND_ACQUIRE;
        wire->command.acquire = &wire->acquire;
        break;
    case COMMAND_RENEW:
        renew_to_wire(&command->renew, &wire->renew);
        wire->command.kind_case = WIRE__COMMAND__KIND_RENEW;
        wire->command.renew = &wire->renew;
        break;
    case COMMAND_RELEASE:
        release_to_wire(&command->release, &wire->release);
        wire->command.kind_case = WIRE__COMMAND__KIND_RELEASE;
        wire->command.release = &wire->release;
        break;
    case COMMAND_RULES:
        wire__rules__init(&wire->rules);
        wire->rules.version = command->rules.version;
        wire->command.kind_case = WIRE__COMMAND__KIND_RULES;
        wire->command.rules = &wire->rules;
        break;
    case COMMAND_PUT_SCHEDULE:
        put_schedule_to_wire(&command->put_schedule, wire);
        wire->command.kind_case = WIRE__COMMAND__KIND_PUT_SCHEDULE;
        wire->command.put_schedule = &wire->put_schedule;
        break;
    case COMMAND_DELETE_SCHEDULE:
        wire__delete_schedule__init(&wire->delete_schedule);
        wire->delete_schedule.schedule_id = wire_bytes(command->delete_schedule.schedule_id);
        wire->command.kind_case = WIRE__COMMAND__KIND_DELETE_SCHEDULE;
        wire->command.delete_schedule = &wire->delete_schedule;
        break;
    case COMMAND_REVOKE:
        revoke_to_wire(&command->revoke, &wire->revoke);
        wire->command.kind_case = WIRE__COMMAND__KIND_REVOKE;
        wire->command.revoke = &wire->revoke;
        break;
    case COMMAND_RENEW_BATCH:
        renew_batch_to_wire(&command->renew_batch, wire);
        wire->command.kind_case = WIRE__COMMAND__KIND_RENEW_BATCH;
        wire->command.renew_batch = &wire->renew_batch;
        break;
    case COMMAND_PUT_GROUP:
        wire__put_group__init(&wire->put_group);
        wire->put_group.name = wire_bytes(command->put_group.name);
        wire->put_group.slots = command->put_group.slots;
        wire->command.kind_case = WIRE__COMMAND__KIND_PUT_GROUP;
        wire->command.put_group = &wire->put_group;
        break;
    case COMMAND_DELETE_GROUP:
        wire__delete_group__init(&wire->delete_group);
        wire->delete_group.name = wire_bytes(command->delete_group.name);
        wire->command.kind_case = WIRE__COMMAND__KIND_DELETE_GROUP;
        wire->command.delete_group = &wire->delete_group;
        break;
    case COMMAND_PUT_FREEZE:
        put_freeze_to_wire(&command->put_freeze, &wire->put_freeze);
        wire->command.kind_case = WIRE__COMMAND__KIND_PUT_FREEZE;
        wire->command.put_freeze = &wire->put_freeze;
        break;
    case COMMAND_DELETE_FREEZE:
        wire__delete_freeze__init(&wire->delete_freeze);
        wire->delete_freeze.scope = wire_bytes(command->delete_freeze.scope);
        wire->command.kind_case = WIRE__COMMAND__KIND_DELETE_FREEZE;
        wire->command.delete_freeze = &wire->delete_freeze;
        break;
    }
}

/* ---- decoding: each returns false for what isn't known, a field or rules ---- */

static bool acquire_from_wire(const Wire__Acquire *wire, struct acquire_command *acquire)
{
    *acquire = (struct acquire_command){
        .schedule_id = wire_slice(wire->schedule_id),
        .holder = wire_slice(wire->holder),
        .idempotency_key = wire_slice(wire->idempotency_key),
        .occurrence = wire_optional(wire->has_occurrence, wire->occurrence),
        .metadata = wire_optional(wire->has_metadata, wire->metadata),
        .has_ttl = wire->has_ttl_ms != 0,
        .ttl_ms = wire->ttl_ms,
        .has_estimate = wire->has_estimate_ms != 0,
        .estimate_ms = wire->estimate_ms,
    };
    return wire_is_known(&wire->base);
}

static bool renew_from_wire(const Wire__Renew *wire, struct renew_command *renew)
{
    *renew = (struct renew_command){
        .schedule_id = wire_slice(wire->schedule_id),
        .token = wire->token,
        .has_ttl = wire->has_ttl_ms != 0,
        .ttl_ms = wire->ttl_ms,
    };
    return wire_is_known(&wire->base);
}

static bool release_from_wire(const Wire__Release *wire, struct release_command *release)
{
    *release = (struct release_command){
        .schedule_id = wire_slice(wire->schedule_id),
        .token = wire->token,
        .has_outcome = wire->has_outcome != 0,
        .outcome = (enum run_outcome)wire->outcome,
    };
    return wire_is_known(&wire->base);
}

bool policy_from_wire(const Wire__Policy *wire, struct policy *policy)
{
    *policy = (struct policy){
        .estimate_ms = wire->estimate_ms,
        .margin_ms = wire->margin_ms,
        .max_ttl_ms = wire->max_ttl_ms,
        .min_hold_ms = wire->min_hold_ms,
        .slots = wire->slots,
        .max_attempts = wire->max_attempts,
        .description = wire_optional(wire->has_description, wire->description),
        .group = wire_optional(wire->has_group, wire->group),
        .expected_every_ms = wire->expected_every_ms,
    };
    return wire_is_known(&wire->base);
}

static bool rules_from_wire(const Wire__Rules *wire, struct rules_command *rules)
{
    rules->version = wire->version;
    return wire_is_known(&wire->base) && wire->version <= rules_version_newest();
}

static bool put_schedule_from_wire(const Wire__PutSchedule *wire, struct put_schedule_command *put)
{
    put->schedule_id = wire_slice(wire->schedule_id);
    return policy_from_wire(wire->policy, &put->policy) && wire_is_known(&wire->base);
}

static bool delete_schedule_from_wire(const Wire__DeleteSchedule *wire, struct delete_schedule_command *delete)
{
    delete->schedule_id = wire_slice(wire->schedule_id);
    return wire_is_known(&wire->base);
}

static bool revoke_from_wire(const Wire__Revoke *wire, struct revoke_command *revoke)
{
    *revoke = (struct revoke_command){
        .schedule_id = wire_slice(wire->schedule_id),
        .actor = wire_slice(wire->actor),
        .reason = wire_slice(wire->reason),
        .token = wire->token,
        .force = wire->force != 0,
    };
    return wire_is_known(&wire->base);
}

/* ERROR_INVALID: there are none, or too many, or they don't fit the arena. */
static enum error renew_batch_from_wire(const Wire__RenewBatch *wire, struct arena *arena,
                                        struct renew_batch_command *batch)
{
    if (wire->n_renewals < 1 || wire->n_renewals > LIMIT_RENEWALS) {
        return ERROR_INVALID;
    }
    struct renew_command *renewals = arena_alloc(arena, wire->n_renewals * sizeof *renewals);
    if (renewals == NULL) {
        return ERROR_INVALID;
    }
    bool known = wire_is_known(&wire->base);
    for (size_t i = 0; i < wire->n_renewals; i++) {
        known = renew_from_wire(wire->renewals[i], &renewals[i]) && known;
    }
    batch->renewals = renewals;
    batch->n_renewals = wire->n_renewals;
    return known ? ERROR_NONE : ERROR_VERSION;
}

static bool put_group_from_wire(const Wire__PutGroup *wire, struct put_group_command *put)
{
    *put = (struct put_group_command){.name = wire_slice(wire->name), .slots = wire->slots};
    return wire_is_known(&wire->base);
}

static bool put_freeze_from_wire(const Wire__PutFreeze *wire, struct put_freeze_command *put)
{
    *put = (struct put_freeze_command){
        .scope = wire_slice(wire->scope),
        .actor = wire_slice(wire->actor),
        .reason = wire_slice(wire->reason),
        .ttl_ms = wire->ttl_ms,
    };
    return wire_is_known(&wire->base);
}

enum error command_from_wire(const Wire__Command *wire, struct arena *arena, struct command *command)
{
    enum error error;
    bool known = wire_is_known(&wire->base); /* a kind that isn't known is such a field, too */
    switch (wire->kind_case) {
    case WIRE__COMMAND__KIND_NOOP:
        if (!wire->noop) {
            return ERROR_INVALID;
        }
        command->kind = COMMAND_NOOP;
        break;
    case WIRE__COMMAND__KIND_LEADER:
        command->kind = COMMAND_LEADER;
        command->leader.member_id_floor = wire->leader->member_id_floor;
        known = known && wire_is_known(&wire->leader->base);
        break;
    case WIRE__COMMAND__KIND_ACQUIRE:
        command->kind = COMMAND_ACQUIRE;
        known = acquire_from_wire(wire->acquire, &command->acquire) && known;
        break;
    case WIRE__COMMAND__KIND_RENEW:
        command->kind = COMMAND_RENEW;
        known = renew_from_wire(wire->renew, &command->renew) && known;
        break;
    case WIRE__COMMAND__KIND_RELEASE:
        command->kind = COMMAND_RELEASE;
        known = release_from_wire(wire->release, &command->release) && known;
        break;
    case WIRE__COMMAND__KIND_RULES:
        command->kind = COMMAND_RULES;
        known = rules_from_wire(wire->rules, &command->rules) && known;
        break;
    case WIRE__COMMAND__KIND_PUT_SCHEDULE:
        command->kind = COMMAND_PUT_SCHEDULE;
        known = put_schedule_from_wire(wire->put_schedule, &command->put_schedule) && known;
        break;
    case WIRE__COMMAND__KIND_DELETE_SCHEDULE:
        command->kind = COMMAND_DELETE_SCHEDULE;
        known = delete_schedule_from_wire(wire->delete_schedule, &command->delete_schedule) && known;
        break;
    case WIRE__COMMAND__KIND_REVOKE:
        command->kind = COMMAND_REVOKE;
        known = revoke_from_wire(wire->revoke, &command->revoke) && known;
        break;
    case WIRE__COMMAND__KIND_RENEW_BATCH:
        command->kind = COMMAND_RENEW_BATCH;
        error = renew_batch_from_wire(wire->renew_batch, arena, &command->renew_batch);
        if (error == ERROR_INVALID) {
            return error;
        }
        known = known && error == ERROR_NONE;
        break;
    case WIRE__COMMAND__KIND_PUT_GROUP:
        command->kind = COMMAND_PUT_GROUP;
        known = put_group_from_wire(wire->put_group, &command->put_group) && known;
        break;
    case WIRE__COMMAND__KIND_DELETE_GROUP:
        command->kind = COMMAND_DELETE_GROUP;
        command->delete_group.name = wire_slice(wire->delete_group->name);
        known = known && wire_is_known(&wire->delete_group->base);
        break;
    case WIRE__COMMAND__KIND_PUT_FREEZE:
        command->kind = COMMAND_PUT_FREEZE;
        known = put_freeze_from_wire(wire->put_freeze, &command->put_freeze) && known;
        break;
    case WIRE__COMMAND__KIND_DELETE_FREEZE:
        command->kind = COMMAND_DELETE_FREEZE;
        command->delete_freeze.scope = wire_slice(wire->delete_freeze->scope);
        known = known && wire_is_known(&wire->delete_freeze->base);
        break;
    default:
        return known ? ERROR_INVALID : ERROR_VERSION;
    }
    if (!known) {
        return ERROR_VERSION;
    }
    return command_is_valid(command) ? ERROR_NONE : ERROR_INVALID;
}
