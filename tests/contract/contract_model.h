/* contract_model: the contract once more, as simply as it can be written, to hold the lock table against.
 *
 * It is made from the contract's page alone and shares nothing with the server, not even names: tests/checks/includes.py
 * sees to it that none of its files includes a header of server/. Every name is text, every search is linear, every
 * answer is worked out from the whole state. It is slow, and that doesn't matter. The counted bytes of the state aren't
 * modelled. */
#ifndef BATON_TESTS_CONTRACT_MODEL_H
#define BATON_TESTS_CONTRACT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONTRACT_TEXT = 48,      /* room for a name and its end; absent is "" */
    CONTRACT_SCHEDULES = 16, /* that a model can have at once */
    CONTRACT_SLOTS = 16,     /* grants that a schedule can have at once in a test */
    CONTRACT_KEPT_RUNS = 16,
    CONTRACT_OCCURRENCES = 64,
    CONTRACT_GROUPS = 8,
    CONTRACT_FREEZES = 16,
    CONTRACT_RENEWALS = 4,
    CONTRACT_GROUP_HOLDERS = 64,
    CONTRACT_GRANTS = CONTRACT_SCHEDULES * CONTRACT_SLOTS,
    CONTRACT_EVENTS = CONTRACT_GRANTS + CONTRACT_FREEZES,
};
#define CONTRACT_DAY_MS (24ull * 3600u * 1000u)

/* ---- what is asked ---- */

enum contract_kind {
    CONTRACT_TICK,
    CONTRACT_ACQUIRE,
    CONTRACT_RENEW,
    CONTRACT_RENEW_BATCH,
    CONTRACT_RELEASE,
    CONTRACT_REVOKE,
    CONTRACT_PUT_SCHEDULE,
    CONTRACT_DELETE_SCHEDULE,
    CONTRACT_PUT_GROUP,
    CONTRACT_DELETE_GROUP,
    CONTRACT_PUT_FREEZE,
    CONTRACT_DELETE_FREEZE,
};

/* How a run ended, and what is reported of it late. */
enum contract_result {
    CONTRACT_NOTHING, /* reported */
    CONTRACT_RUNNING,
    CONTRACT_SUCCEEDED,
    CONTRACT_FAILED,
    CONTRACT_ABANDONED,
    CONTRACT_EXPIRED,
    CONTRACT_REVOKED,
};

/* The body of an acquire, as it was sent. */
struct contract_body {
    char holder[CONTRACT_TEXT];
    char occurrence[CONTRACT_TEXT];
    char metadata[CONTRACT_TEXT];
    bool has_ttl;
    bool has_estimate;
    uint64_t ttl_ms;
    uint64_t estimate_ms;
};

struct contract_renewal {
    char schedule[CONTRACT_TEXT];
    uint64_t token;
    bool has_ttl;
    uint64_t ttl_ms;
};

struct contract_policy {
    uint64_t estimate_ms;
    uint64_t margin_ms;
    uint64_t max_ttl_ms;
    uint64_t min_hold_ms;
    uint64_t expected_every_ms; /* 0: none */
    uint32_t slots;
    uint32_t max_attempts;
    char group[CONTRACT_TEXT];
    char description[CONTRACT_TEXT];
};

struct contract_command {
    enum contract_kind kind;
    char name[CONTRACT_TEXT]; /* schedule, group or scope */
    char key[CONTRACT_TEXT];
    struct contract_body body;
    struct contract_renewal renewals[CONTRACT_RENEWALS];
    int n_renewals;               /* a single renewal is [0] */
    uint64_t token;               /* of a release; of a revoke, 0: all */
    enum contract_result outcome; /* of a release; CONTRACT_NOTHING: none was sent */
    char actor[CONTRACT_TEXT];
    char reason[CONTRACT_TEXT];
    bool force;
    struct contract_policy policy;
    uint32_t slots;  /* of a group */
    uint64_t ttl_ms; /* of a freeze */
};

/* What is true of a whole entry. */
struct contract_entry {
    uint64_t now_ms;
    int64_t wall_ms;
    bool no_growth; /* what would grow is refused as capacity */
};

/* ---- what is answered ---- */

struct contract_run {
    char schedule[CONTRACT_TEXT];
    char key[CONTRACT_TEXT];
    struct contract_body body;
    char group[CONTRACT_TEXT];
    char actor[CONTRACT_TEXT];
    char reason[CONTRACT_TEXT];
    uint64_t token;
    uint64_t granted_ms;
    uint64_t ended_ms;
    uint64_t deadline_ms;
    uint64_t ttl_ms;         /* of the grant or its last renewal */
    uint64_t granted_ttl_ms; /* of the grant */
    uint64_t estimate_ms;
    uint64_t margin_ms;
    uint64_t max_ttl_ms;
    int64_t acquired_wall_ms;
    int64_t ended_wall_ms;
    enum contract_result outcome;
    enum contract_result late_outcome;
    uint32_t attempt; /* 0: it has no occurrence */
    bool has_slot;
    bool is_released; /* by its holder while it had its slot */
};

struct contract_group {
    char name[CONTRACT_TEXT];
    uint32_t slots;
};

struct contract_freeze {
    char scope[CONTRACT_TEXT];
    char actor[CONTRACT_TEXT];
    char reason[CONTRACT_TEXT];
    uint64_t ttl_ms;
    uint64_t deadline_ms;
    int64_t created_wall_ms;
};

/* A policy and what is remembered beside it. */
struct contract_policy_answer {
    struct contract_policy policy;
    bool has_success;
    int64_t last_success_wall_ms;
    uint64_t overdue_ms; /* UINT64_MAX: never */
};

struct contract_group_answer {
    struct contract_group group;
    uint64_t held;
    uint64_t schedules;
};

/* Codes are the contract's words, and "done" for a 2xx. */
struct contract_answer {
    const char *code;
    const char *field; /* invalid_field; NULL: one of several that contradict each other */
    bool repeated;
    bool has_grant;
    bool has_run;
    bool has_group;
    bool has_freeze;
    bool has_policy;
    struct contract_run grant;
    struct contract_run run;
    struct contract_group_answer group;
    struct contract_freeze freeze;
    struct contract_policy_answer policy;
    const struct contract_run *holders[CONTRACT_GRANTS]; /* valid until the next command */
    size_t n_holders;
    const struct contract_run *revoked[CONTRACT_SLOTS]; /* the same */
    size_t n_revoked;
    uint64_t cool_ms; /* cooling_down */
    uint64_t minimum_ms;
    uint64_t maximum_ms;
    uint64_t estimate_ms;
    uint64_t margin_ms;
    bool is_below_floor; /* occurrence_done: only because it was forgotten */
};

enum contract_event_kind {
    CONTRACT_EVENT_GRANTED,
    CONTRACT_EVENT_RENEWED,
    CONTRACT_EVENT_RELEASED,
    CONTRACT_EVENT_EXPIRED,
    CONTRACT_EVENT_REVOKED,
    CONTRACT_EVENT_POLICY,
    CONTRACT_EVENT_GROUP,
    CONTRACT_EVENT_FREEZE,
};
enum { CONTRACT_EVENT_KINDS = CONTRACT_EVENT_FREEZE + 1 };

struct contract_event {
    enum contract_event_kind kind;
    char name[CONTRACT_TEXT]; /* schedule, group or scope */
    uint64_t token;
    char group[CONTRACT_TEXT]; /* that the grant takes a slot of, or took until now */
    enum contract_result outcome;
    enum contract_result late_outcome;
    bool is_gone;
    bool is_newly_revoked;
    bool is_newly_freed;
};

/* ---- the model ---- */

struct contract_model;
struct contract_model *contract_model_open(void); /* empty, time 0, next token 1 */
void contract_model_close(struct contract_model *model);

/* Both forget the events of the call before. */
void contract_model_advance(struct contract_model *model, const struct contract_entry *entry);
void contract_model_apply(struct contract_model *model, const struct contract_command *command,
                          struct contract_answer *answer);
/* One renewal, of a batch or alone. */
void contract_model_renew(struct contract_model *model, const struct contract_renewal *renewal,
                          struct contract_answer *answer);
/* What the last advance or apply made happen, in order. Gives how many. */
size_t contract_model_events(const struct contract_model *model, const struct contract_event **events);

/* ---- reading ---- */

struct contract_counts {
    uint64_t now_ms;
    int64_t wall_ms;
    uint64_t next_token;
    size_t schedules; /* remembered */
    size_t policies;
    size_t held;
    size_t groups;
    size_t freezes;
    uint64_t next_end_ms;   /* of a grant or a freeze; UINT64_MAX: none */
    uint64_t expired;       /* grants, so far, and so on below */
    uint64_t thawed;        /* freezes whose time was over */
    uint64_t forgotten;     /* schedules */
    uint64_t floors_raised; /* by a forgotten instant */
    uint64_t strings_forgotten;
    uint64_t given_back; /* abandoned grants of an occurrence */
};
void contract_model_count(const struct contract_model *model, struct contract_counts *counts);

struct contract_durations {
    size_t n_runs;
    uint64_t p50_ms;
    uint64_t p95_ms;
    uint64_t p99_ms;
    uint64_t last_ms; /* of the one that ended last */
};
void contract_model_durations(const struct contract_model *model, const char *schedule,
                              struct contract_durations *durations);
/* What there is, by name in the order of bytes. Gives how many. */
size_t contract_model_schedules(const struct contract_model *model, const char *ids[CONTRACT_SCHEDULES]);
size_t contract_model_groups(const struct contract_model *model, const char *names[CONTRACT_GROUPS]);
size_t contract_model_freezes(const struct contract_model *model, const char *scopes[CONTRACT_FREEZES]);
/* Kept runs, oldest first. Gives how many; valid until the next change. */
size_t contract_model_runs(const struct contract_model *model, const char *schedule, const struct contract_run **runs);
/* Of a schedule, who ends first at [0]. */
size_t contract_model_holders(const struct contract_model *model, const char *schedule,
                              const struct contract_run *holders[CONTRACT_SLOTS]);
bool contract_model_policy(const struct contract_model *model, const char *schedule,
                           struct contract_policy_answer *policy);
bool contract_model_group(const struct contract_model *model, const char *name, struct contract_group_answer *group);
bool contract_model_freeze(const struct contract_model *model, const char *scope, struct contract_freeze *freeze);
bool contract_model_is_in_scope(const char *scope, const char *schedule);
bool contract_model_is_frozen(const struct contract_model *model, const char *schedule);
/* So many grants could follow one another now, by the slots of schedule and group. */
uint64_t contract_model_free_slots(const struct contract_model *model, const char *schedule);

/* ---- instants ---- */

/* A valid RFC 3339 instant, in seconds since 1970 and nanoseconds. */
struct contract_instant {
    bool is_valid;
    int64_t s;
    uint32_t ns;
};
struct contract_instant contract_instant_read(const char *text);
int contract_instant_compare(struct contract_instant a, struct contract_instant b);

const char *contract_result_name(enum contract_result result);

#endif
