/* command and outcome: what can be asked of the lock table, and what it answers.
 *
 * A command is what a log entry carries; an outcome is what apply made of it. Both are plain values: every string is a
 * slice into memory that somebody else owns (the decoded entry, or the table itself), so they are never stored as they
 * are. Neither knows JSON, HTTP or Raft. */
#ifndef BATON_CORE_COMMAND_H
#define BATON_CORE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checksum.h"
#include "base/slice.h"

enum run_outcome {
    RUN_RUNNING,
    RUN_SUCCEEDED,
    RUN_FAILED,
    RUN_ABANDONED,
    RUN_EXPIRED,
    RUN_REVOKED,
};
#define RUN_OUTCOME_NONE (-1) /* in `late_outcome`: nothing was reported after the end */

/* ---- commands ---- */

enum command_kind {
    COMMAND_NOOP = 1, /* a tick, a barrier: only moves the state's clock */
    COMMAND_LEADER,   /* the first entry of a leader's term, before anything else is proposed */
    COMMAND_ACQUIRE,
    COMMAND_RENEW,
    COMMAND_RELEASE,
    COMMAND_RULES, /* raises the state's rules_version, once every member can apply it */
    COMMAND_PUT_SCHEDULE,
    COMMAND_DELETE_SCHEDULE, /* its policy only */
    COMMAND_REVOKE,
    /* Since rules 2. */
    COMMAND_RENEW_BATCH,
    COMMAND_PUT_GROUP,
    COMMAND_DELETE_GROUP,
    COMMAND_PUT_FREEZE,
    COMMAND_DELETE_FREEZE,
};

struct rules_command {
    uint32_t
        version; /* not above the newest that this build knows (codec refuses the entry); a lower one changes nothing */
};

struct leader_command {
    uint64_t member_id_floor; /* highest id of the configuration + 1; the state's counter never falls below */
};

struct acquire_command {
    struct slice schedule_id;
    struct slice holder;
    struct slice occurrence;      /* absent: none */
    struct slice idempotency_key; /* always present: the node makes one when the client sent none */
    struct slice metadata;        /* compact JSON with sorted keys, absent when the client sent none */
    bool has_ttl;
    uint64_t ttl_ms; /* 1 … LIMIT_NUMBER_MAX */
    bool has_estimate;
    uint64_t estimate_ms; /* 0 … LIMIT_NUMBER_MAX */
};

struct renew_command {
    struct slice schedule_id;
    uint64_t token;
    bool has_ttl;
    uint64_t ttl_ms;
};

struct release_command {
    struct slice schedule_id;
    uint64_t token;
    bool has_outcome;
    enum run_outcome outcome; /* succeeded, failed or abandoned */
};

/* Renewals of one entry, each decided by itself: what refuses one leaves the others alone. */
struct renew_batch_command {
    const struct renew_command *renewals;
    size_t n_renewals; /* 1 … LIMIT_RENEWALS, no schedule and token twice */
};

/* What new grants of a schedule are held to. A grant keeps the terms that it was granted under. */
struct policy {
    uint64_t estimate_ms;     /* 0 … max_ttl_ms − margin_ms */
    uint64_t margin_ms;       /* 0 … max_ttl_ms */
    uint64_t max_ttl_ms;      /* 1 … LIMIT_TTL_MS */
    uint64_t min_hold_ms;     /* 0 … LIMIT_NUMBER_MAX: least time between two grants */
    uint32_t slots;           /* 1 … LIMIT_SLOTS */
    uint32_t max_attempts;    /* 1 … LIMIT_ATTEMPTS */
    struct slice description; /* absent: none; UTF-8 */
    /* Since rules 2. */
    struct slice group;         /* whose slots its grants take as well; absent: none */
    uint64_t expected_every_ms; /* 0: never overdue; else 1 … LIMIT_NUMBER_MAX */
};

struct put_schedule_command {
    struct slice schedule_id;
    struct policy policy; /* whole: what the client left out has its default already */
};

struct delete_schedule_command {
    struct slice schedule_id;
};

struct revoke_command {
    struct slice schedule_id;
    struct slice actor;  /* who; 1 to LIMIT_NAME_BYTES */
    struct slice reason; /* why; 1 to LIMIT_REASON_BYTES of UTF-8 */
    uint64_t token;      /* 0: every live grant of the schedule */
    bool force;          /* free the slot now: the caller states that the job is dead */
};

/* At most `slots` grants at once over all schedules whose policies name the group. */
struct put_group_command {
    struct slice name;
    uint32_t slots; /* 0 … LIMIT_GROUP_SLOTS */
};

struct delete_group_command {
    struct slice name;
};

/* No lock in scope is granted until the freeze ends. A second one with the same scope replaces the first. */
struct put_freeze_command {
    struct slice scope; /* "*", a schedule id, or the beginning of one followed by '*' */
    struct slice actor;
    struct slice reason;
    uint64_t ttl_ms; /* 1 … LIMIT_FREEZE_MS */
};

struct delete_freeze_command {
    struct slice scope;
};

struct command {
    enum command_kind kind;
    union {
        struct rules_command rules;
        struct leader_command leader;
        struct acquire_command acquire;
        struct renew_command renew;
        struct release_command release;
        struct put_schedule_command put_schedule;
        struct delete_schedule_command delete_schedule;
        struct revoke_command revoke;
        struct renew_batch_command renew_batch;
        struct put_group_command put_group;
        struct delete_group_command delete_group;
        struct put_freeze_command put_freeze;
        struct delete_freeze_command delete_freeze;
    };
};

/* What is true of all commands of one entry. */
struct apply_context {
    uint64_t index;  /* of the entry */
    uint64_t now_ms; /* cluster time at the proposer; the state's time is the larger of this and its own */
    int64_t wall_ms; /* the proposer's wall clock: remembered for people, read by no decision */
    bool no_growth;  /* the leader has no disk reserve: what would grow the state is refused as capacity */
};

/* ---- outcomes ---- */

/* Names of refusals in the order in which they are checked (API.md, "Order of checks"); api gives each its status. */
#define OUTCOME_TABLE(X)                                                                                               \
    X(DONE, "done")                                                                                                    \
    X(INVALID_FIELD, "invalid_field")                                                                                  \
    X(IDEMPOTENCY_CONFLICT, "idempotency_conflict")                                                                    \
    X(GRANT_ENDED, "grant_ended")                                                                                      \
    X(TTL_TOO_SHORT, "ttl_too_short")                                                                                  \
    X(TTL_TOO_LONG, "ttl_too_long")                                                                                    \
    X(OCCURRENCE_DONE, "occurrence_done")                                                                              \
    X(ATTEMPTS_EXHAUSTED, "attempts_exhausted")                                                                        \
    X(FROZEN, "frozen")                                                                                                \
    X(LOCK_HELD, "lock_held")                                                                                          \
    X(COOLING_DOWN, "cooling_down")                                                                                    \
    X(GROUP_FULL, "group_full")                                                                                        \
    X(CAPACITY, "capacity")                                                                                            \
    X(LOCK_LOST, "lock_lost")                                                                                          \
    X(NOT_FOUND, "not_found")                                                                                          \
    X(UNKNOWN_GROUP, "unknown_group")                                                                                  \
    X(GROUP_IN_USE, "group_in_use")

enum outcome_code {
#define X(name, text) OUTCOME_##name,
    OUTCOME_TABLE(X)
#undef X
};

/* A live grant as answers show it. Instants are wall clock (Unix ms), for people. */
struct grant_view {
    struct slice schedule_id;
    struct slice holder;
    struct slice occurrence; /* absent: none */
    struct slice metadata;   /* compact JSON; absent: none */
    uint64_t token;
    uint64_t ttl_ms;       /* of the grant or of its last renewal */
    uint64_t remaining_ms; /* rounded down; > 0 while it lives */
    int64_t acquired_wall_ms;
    int64_t expires_wall_ms; /* wall clock of the entry + remaining_ms */
    uint32_t attempt;        /* 1 …; 0 when the grant has no occurrence */
    bool is_revoking;        /* revoked, but its slot stays taken until its holder releases or its deadline passes */
};

/* The policy of one schedule, and what is remembered beside it. */
struct policy_view {
    struct slice schedule_id;
    struct policy policy;
    bool has_success;             /* some run of the schedule succeeded, be it late */
    int64_t last_success_wall_ms; /* the newest one's end */
    /* State time at which it is, or will be, overdue: expected_every_ms after its newest success, or after the policy's
     * creation when that is later or nothing succeeded yet; UINT64_MAX: never. Not sent between members. */
    uint64_t overdue_ms;
};

/* One kept run. While it runs, ended_wall_ms and duration_ms are 0 and outcome is RUN_RUNNING. */
struct run_view {
    struct slice schedule_id;
    struct slice holder;
    struct slice occurrence;
    struct slice actor;  /* who revoked; absent otherwise, and when the counted state had no room left for it */
    struct slice reason; /* why; absent with the actor */
    uint64_t token;
    uint64_t duration_ms; /* cluster time from grant to end */
    int64_t acquired_wall_ms;
    int64_t ended_wall_ms;
    enum run_outcome outcome;
    int late_outcome; /* enum run_outcome or RUN_OUTCOME_NONE */
    uint32_t attempt;
    /* In the answer of a revoke, what this very command did; false everywhere else, and in the answer of a repeat. A run
     * that was revoked softly is first one, then, by force, the other. */
    bool is_newly_revoked; /* it ended the run */
    bool is_newly_freed;   /* it freed its slot */
};

struct group_view {
    struct slice name;
    uint32_t slots;
    uint64_t held;      /* live grants that take its slots; may be above `slots` after these were lowered */
    uint64_t schedules; /* whose policies name it */
};

struct freeze_view {
    struct slice scope;
    struct slice actor;
    struct slice reason;
    uint64_t ttl_ms;       /* as it was asked for */
    uint64_t remaining_ms; /* rounded down */
    int64_t created_wall_ms;
    int64_t expires_wall_ms; /* wall clock of the last entry + remaining_ms */
};

/* What apply answers. Slices and `holders` point into the table and are valid until its next change; an outcome that was
 * decoded from a frame points into its arena. */
struct outcome {
    enum outcome_code code;
    const char *field; /* INVALID_FIELD: the field's name, a literal */
    bool repeated;     /* DONE: this answers a repeat (same key, same release), nothing changed */

    bool has_policy; /* DONE of put and delete (the one that was deleted) */
    struct policy_view policy;

    bool has_grant; /* DONE of acquire and renew */
    struct grant_view grant;

    bool has_run; /* DONE of release; GRANT_ENDED, LOCK_LOST, OCCURRENCE_DONE, ATTEMPTS_EXHAUSTED when kept */
    struct run_view run;

    /* DONE of revoke: the runs of the grants that are revoked now, in the order of their tokens; maybe none. */
    const struct run_view *runs;
    size_t n_runs;

    /* LOCK_HELD: all live grants, the one that ends first at [0], without their metadata (with many slots that would be
     * most of the answer). LOCK_LOST: who has it now, if anybody: the one that ends first, alone. Outcomes may share one
     * array. */
    const struct grant_view *holders;
    size_t n_holders;

    /* GROUP_FULL: the group and, in `holders`, at most LIMIT_GROUP_HOLDERS of its grants without their metadata, the oldest
     * first. DONE of put and delete of a group; UNKNOWN_GROUP: only its name; GROUP_IN_USE. */
    bool has_group;
    struct group_view group;

    /* FROZEN: the freeze in scope that ends last. DONE of put and delete of a freeze. */
    bool has_freeze;
    struct freeze_view freeze;

    /* DONE of a batch of renewals: one for each, in order: DONE with a grant (without metadata), or a refusal. */
    const struct outcome *results;
    size_t n_results;

    uint64_t remaining_ms; /* COOLING_DOWN */

    /* TTL_TOO_SHORT, TTL_TOO_LONG */
    uint64_t minimum_ms;
    uint64_t maximum_ms;
    uint64_t estimate_ms;
    uint64_t margin_ms;
};

/* The first field, by its name in the contract, that is out of its range; NULL: none is. */
const char *policy_field_out_of_range(const struct policy *policy);
const char *outcome_code_name(enum outcome_code code);  /* as in the contract: "lock_held" */
const char *run_outcome_name(enum run_outcome outcome); /* "running", "succeeded", … */
bool run_outcome_parse(struct slice name, enum run_outcome *outcome);
/* Does this outcome hold what an answer to this command is made of? Always so for what apply made; what another node sent
 * is looked at with this before anybody relies on it. */
bool outcome_answers(const struct outcome *outcome, const struct command *command);

#endif
