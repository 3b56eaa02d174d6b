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

/* The newest rules that this build can apply. The state's own version selects what is in force (law 1). */
#define RULES_VERSION_NEWEST 1u
/* What is in force where a log begins, on every build: a log is replayed by newer ones than it was begun by. */
#define RULES_VERSION_FIRST  1u

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

struct command {
    enum command_kind kind;
    union {
        struct leader_command leader;
        struct acquire_command acquire;
        struct renew_command renew;
        struct release_command release;
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
    X(LOCK_LOST, "lock_lost")

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
};

/* One kept run. While it runs, ended_wall_ms and duration_ms are 0 and outcome is RUN_RUNNING. */
struct run_view {
    struct slice schedule_id;
    struct slice holder;
    struct slice occurrence;
    struct slice actor;  /* who revoked; absent otherwise */
    struct slice reason; /* why; absent otherwise */
    uint64_t token;
    uint64_t duration_ms; /* cluster time from grant to end */
    int64_t acquired_wall_ms;
    int64_t ended_wall_ms;
    enum run_outcome outcome;
    int late_outcome; /* enum run_outcome or RUN_OUTCOME_NONE */
    uint32_t attempt;
};

/* What apply answers. Slices and `holders` point into the table and are valid until its next change; an outcome that was
 * decoded from a frame points into its arena. */
struct outcome {
    enum outcome_code code;
    const char *field; /* INVALID_FIELD: the field's name, a literal */
    bool repeated;     /* DONE: this answers a repeat (same key, same release), nothing changed */

    bool has_grant; /* DONE of acquire and renew */
    struct grant_view grant;

    bool has_run; /* DONE of release; GRANT_ENDED, LOCK_LOST, OCCURRENCE_DONE, ATTEMPTS_EXHAUSTED when kept */
    struct run_view run;

    /* LOCK_HELD: all live grants, the one that ends first at [0]. LOCK_LOST: who has it now, if anybody. */
    const struct grant_view *holders;
    size_t n_holders;

    uint64_t remaining_ms; /* COOLING_DOWN */

    /* TTL_TOO_SHORT, TTL_TOO_LONG */
    uint64_t minimum_ms;
    uint64_t maximum_ms;
    uint64_t estimate_ms;
    uint64_t margin_ms;
};

const char *outcome_code_name(enum outcome_code code);  /* as in the contract: "lock_held" */
const char *run_outcome_name(enum run_outcome outcome); /* "running", "succeeded", … */
bool run_outcome_parse(struct slice name, enum run_outcome *outcome);
/* Does this outcome hold what an answer to this command is made of? Always so for what apply made; what another node sent
 * is looked at with this before anybody relies on it. */
bool outcome_answers(const struct outcome *outcome, const struct command *command);

#endif
