/* Commands as messages. A command that breaks the contract's rules is never encoded: once in the log it would be refused
 * by every node, which then stops (law 9). So a broken one aborts the one process whose bug it is. */
#include "codec/wire.h"

/* The numbers on the disk are those of the .proto file; for this enumeration they happen to be those of the header. */
_Static_assert(RUN_RUNNING == (int)WIRE__RUN_OUTCOME__RUN_RUNNING, "number on the wire");
_Static_assert(RUN_SUCCEEDED == (int)WIRE__RUN_OUTCOME__RUN_SUCCEEDED, "number on the wire");
_Static_assert(RUN_FAILED == (int)WIRE__RUN_OUTCOME__RUN_FAILED, "number on the wire");
_Static_assert(RUN_ABANDONED == (int)WIRE__RUN_OUTCOME__RUN_ABANDONED, "number on the wire");
_Static_assert(RUN_EXPIRED == (int)WIRE__RUN_OUTCOME__RUN_EXPIRED, "number on the wire");
_Static_assert(RUN_REVOKED == (int)WIRE__RUN_OUTCOME__RUN_REVOKED, "number on the wire");

/* ---- rules ---- */

static bool ttl_is_valid(bool has_ttl, uint64_t ttl_ms)
{
    return !has_ttl || (ttl_ms >= 1 && ttl_ms <= LIMIT_NUMBER_MAX);
}

static bool acquire_is_valid(const struct acquire_command *acquire)
{
    return name_is_valid(acquire->schedule_id) && printable_is_valid(acquire->holder, LIMIT_NAME_BYTES) &&
           printable_is_valid(acquire->idempotency_key, LIMIT_OCCURRENCE_BYTES) &&
           (!slice_is_present(acquire->occurrence) ||
            printable_is_valid(acquire->occurrence, LIMIT_OCCURRENCE_BYTES)) &&
           (!slice_is_present(acquire->metadata) || metadata_is_valid(acquire->metadata)) &&
           ttl_is_valid(acquire->has_ttl, acquire->ttl_ms) &&
           (!acquire->has_estimate || acquire->estimate_ms <= LIMIT_NUMBER_MAX);
}

static bool release_is_valid(const struct release_command *release)
{
    bool reported =
        release->outcome == RUN_SUCCEEDED || release->outcome == RUN_FAILED || release->outcome == RUN_ABANDONED;
    return name_is_valid(release->schedule_id) && (!release->has_outcome || reported);
}

bool command_is_valid(const struct command *command)
{
    switch (command->kind) {
    case COMMAND_NOOP:
    case COMMAND_LEADER:
        return true;
    case COMMAND_ACQUIRE:
        return acquire_is_valid(&command->acquire);
    case COMMAND_RENEW:
        return name_is_valid(command->renew.schedule_id) && ttl_is_valid(command->renew.has_ttl, command->renew.ttl_ms);
    case COMMAND_RELEASE:
        return release_is_valid(&command->release);
    }
    return false;
}

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
    }
}

/* ---- decoding: each returns false for a field that isn't known ---- */

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

enum error command_from_wire(const Wire__Command *wire, struct command *command)
{
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
    default:
        return known ? ERROR_INVALID : ERROR_VERSION;
    }
    if (!known) {
        return ERROR_VERSION;
    }
    return command_is_valid(command) ? ERROR_NONE : ERROR_INVALID;
}
