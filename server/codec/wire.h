/* wire: what the files of this room share: memory for protobuf-c, slices as its byte fields, and the rules that every
 * name and value of the contract keeps to, on its way out (a CHECK, for a bug must not get into the log, where it would
 * stop every node) as on its way in (a refusal). Private to codec. */
#ifndef BATON_CODEC_WIRE_H
#define BATON_CODEC_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"
#include "codec/command.pb-c.h"
#include "core/command.h"

/* A wrong field's name is short; a bound keeps a hostile one from filling a log line. */
#define OUTCOME_FIELD_BYTES LIMIT_NAME_BYTES

/* What protobuf-c unpacks goes into `arena`, within its limit; it frees nothing, the arena does. */
ProtobufCAllocator wire_allocator(struct arena *arena);

/* Packs `message` to the end of `bytes`. By the rules of protobuf, messages packed one behind the other are one message
 * whose repeated fields are joined: that is how lists are written here, item by item, without an array of all of them. */
void wire_append(const ProtobufCMessage *message, struct buffer *bytes);
size_t wire_size(const ProtobufCMessage *message);

/* Byte fields. The pointers are shared, nothing is copied; `wire_bytes` of the absent slice is empty. */
static inline ProtobufCBinaryData wire_bytes(struct slice slice)
{
    return (ProtobufCBinaryData){.len = slice.len, .data = (uint8_t *)slice.base};
}
static inline ProtobufCBinaryData wire_fixed(const uint8_t *bytes, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)bytes};
}
/* The slice of a field that is there; never absent, even when it is empty. */
struct slice wire_slice(ProtobufCBinaryData bytes);
static inline struct slice wire_optional(protobuf_c_boolean has, ProtobufCBinaryData bytes)
{
    return has ? wire_slice(bytes) : (struct slice){0};
}
/* False when the field hasn't exactly `len` bytes. */
bool wire_take_fixed(ProtobufCBinaryData bytes, uint8_t *target, size_t len) MUST_CHECK;

/* True when the message has no field that this build doesn't know. */
static inline bool wire_is_known(const ProtobufCMessage *message)
{
    return message->n_unknown_fields == 0;
}

/* ---- rules of the contract ---- */

bool name_is_valid(struct slice name);                    /* schedule id, group, node */
bool freeze_scope_is_valid(struct slice scope);           /* of a freeze: "*", an id, or the beginning of one and '*' */
bool printable_is_valid(struct slice text, size_t limit); /* 1 … limit bytes of printable ASCII without spaces */
static inline bool optional_printable_is_valid(struct slice text, size_t limit)
{
    return !slice_is_present(text) || printable_is_valid(text, limit);
}
bool sentence_is_valid(struct slice text, size_t limit); /* at most `limit` bytes of UTF-8 */
bool metadata_is_valid(struct slice metadata);           /* by its length and its braces; api has parsed it */
bool policy_is_valid(const struct policy *policy);
bool put_freeze_is_valid(const struct put_freeze_command *put);
bool command_is_valid(const struct command *command);
/* `shared`: another outcome that its holders stand with; NULL: they are its own. */
bool outcome_is_valid(const struct outcome *outcome, const struct outcome *shared);

/* ---- commands and outcomes as messages ---- */

/* A message and all that it points to; on the stack. Initialised by command_to_wire, never copied. */
struct command_wire {
    Wire__Command command;
    union {
        Wire__Leader leader;
        Wire__Acquire acquire;
        Wire__Renew renew;
        Wire__Release release;
        Wire__Rules rules;
        struct {
            Wire__PutSchedule put_schedule;
            Wire__Policy policy;
        };
        Wire__DeleteSchedule delete_schedule;
        Wire__Revoke revoke;
        Wire__PutGroup put_group;
        Wire__DeleteGroup delete_group;
        Wire__PutFreeze put_freeze;
        Wire__DeleteFreeze delete_freeze;
        struct {
            Wire__RenewBatch renew_batch;
            Wire__Renew renewals[LIMIT_RENEWALS];
            Wire__Renew *renewal_pointers[LIMIT_RENEWALS];
        };
    };
};
/* No outcome has both holders and runs. */
struct outcome_wire {
    Wire__Outcome outcome;
    Wire__Grant grant;
    Wire__Run run;
    Wire__PolicyView policy_view;
    Wire__Policy policy;
    Wire__GroupView group;
    Wire__FreezeView freeze;
    union {
        struct {
            Wire__Grant holders[LIMIT_SLOTS];
            Wire__Grant *holder_pointers[LIMIT_SLOTS];
        };
        struct {
            Wire__Run runs[LIMIT_SLOTS];
            Wire__Run *run_pointers[LIMIT_SLOTS];
        };
    };
};

void command_to_wire(const struct command *command, struct command_wire *wire); /* CHECKs command_is_valid */
/* CHECKs that it keeps to the rules. `shared`: another outcome that its holders are written with; NULL: they are written
 * with it. The results of a batch, which are many, become messages in `arena`, which has no bound. */
void outcome_to_wire(const struct outcome *outcome, const struct outcome *shared, struct arena *arena,
                     struct outcome_wire *wire);
void policy_to_wire(const struct policy *policy, Wire__Policy *wire);

/* Slices of the result are those of the message; lists go into `arena`. ERROR_VERSION: a kind, a field or rules
 * that this build doesn't know. ERROR_INVALID: values that the contract doesn't allow, or the arena's bound was passed. */
enum error command_from_wire(const Wire__Command *wire, struct arena *arena, struct command *command) MUST_CHECK;
enum error outcome_from_wire(const Wire__Outcome *wire, const struct outcome *shared, struct arena *arena,
                             struct outcome *outcome) MUST_CHECK;
/* False when it has a field that this build doesn't know; its values are not checked. */
bool policy_from_wire(const Wire__Policy *wire, struct policy *policy) MUST_CHECK;

/* RUN_RUNNING … RUN_REVOKED. */
bool run_outcome_is_valid(int outcome);

#endif
