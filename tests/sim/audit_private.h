/* audit_private: what the files of the audit share. audit.c keeps the account of what is asked and held, audit_model.c,
 * audit_acquire.c and audit_show.c say what must come out of a command, audit_state.c and audit_lists.c compare that with
 * what nodes do and show, audit_answer.c with what clients are told; audit_walk.c turns values into fingerprints and
 * text. */
#ifndef BATON_SIM_AUDIT_PRIVATE_H
#define BATON_SIM_AUDIT_PRIVATE_H

#include <inttypes.h>

#include "audit.h"
#include "base/limits.h"

#define NO_TOKEN   0u
#define NO_KEY     0u
#define LIVE       AUDIT_CLIENTS /* of one schedule: a holder has one slot at most */
#define KEPT       (LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS)
#define TERMS_STEP 64u

/* A renewal whose answer its holder hasn't heard. It may take effect at any time from when it was asked for, and it may
 * set an earlier deadline than the one that the holder knows. */
struct unheard {
    uint64_t asked_ns;
    uint64_t until_ns;
};

/* One token that was given out, and its run: grants[token − 1], for nothing is restored here. Texts are the audit's. */
struct grant {
    uint64_t token;
    unsigned schedule;
    uint64_t ask; /* that it was granted for */
    int occurrence;
    struct slice holder, occurrence_text, metadata;
    struct slice actor, reason; /* of its revocation */
    uint64_t granted_ms;
    uint64_t granted_ttl_ms;
    uint64_t estimate_ms, margin_ms, max_ttl_ms; /* the terms that it keeps */
    int64_t granted_wall_ms;
    uint32_t attempt;

    bool live;        /* it has its slot */
    bool is_revoking; /* … though it was revoked */
    uint64_t ttl_ms;
    uint64_t deadline_ms;

    enum run_outcome outcome;
    int late_outcome;
    uint64_t ended_ms;
    int64_t ended_wall_ms;
    bool is_released; /* its holder released it while it was being revoked */

    /* Real time. */
    uint64_t set_ns;    /* before which the deadline can't have been set */
    uint64_t belief_ns; /* until then its holder may believe that it has the slot */
    bool given_back;    /* its holder has sent a release */
    bool declared_dead; /* somebody has stated that its job is dead */
    struct unheard *unheard;
    size_t n_unheard;
    size_t unheard_capacity;
};

struct occurrence {
    uint32_t attempts;
    bool succeeded;
    uint64_t token; /* the newest one */
};

struct schedule {
    char name[AUDIT_TEXT];
    bool has_policy;
    struct policy policy;
    uint64_t live[LIVE]; /* tokens, ascending */
    size_t n_live;
    uint64_t *tokens; /* all that it was ever granted under, ascending */
    size_t n_tokens;
    size_t tokens_capacity;
    struct occurrence occurrences[AUDIT_OCCURRENCES];
    bool has_success;
    int64_t last_success_wall_ms;
    bool touched; /* by the entry that is being applied */
};

struct ask {
    uint64_t fingerprint;
    enum command_kind kind;
    uint64_t token; /* renew and release */
    uint64_t key;   /* acquire */
    uint64_t attempts;
    uint64_t applications;
    uint64_t first_ns;
    bool waits;              /* refusals that can be waited out aren't counted as applications */
    size_t last_application; /* 1 + its place, 0: none */
};

struct application { /* of an ask */
    uint64_t index;
    uint64_t fingerprint; /* of its outcome */
    bool answered;
    size_t previous; /* 1 + its place, 0: none */
};

struct key {
    uint64_t token; /* granted for it last, NO_TOKEN: none */
};

struct point { /* one index */
    bool known;
    struct digest128 digest; /* of the state */
    uint64_t commands;       /* fingerprint of what was applied and what came out of it; 0: not heard */
    uint64_t lists;          /* … of all that both lists show */
    struct audit_content content;
};

struct hearing { /* the entry that some node is at */
    const struct lock_table *table;
    uint64_t index;
    uint64_t fingerprint;
    bool is_first; /* nobody has applied it before */
    bool no_growth;
};

struct audit {
    struct sim_world *world;
    struct counts *counts;
    struct rng rng; /* of what is looked at */
    struct arena arena;

    struct ask *asks;
    size_t n_asks;
    size_t asks_capacity;
    uint64_t *buckets; /* 1 + ask, by fingerprint; 0: free */
    size_t n_buckets;
    struct application *applications;
    size_t n_applications;
    size_t applications_capacity;
    struct key *keys; /* keys[key − 1] */
    size_t n_keys;
    size_t keys_capacity;

    struct hearing hearing;
    struct point *points; /* by index */
    size_t points_capacity;
    uint64_t index;
    uint64_t floor;
    uint64_t *leaders; /* by term: 1 + what identifies the node */
    size_t n_terms;
    bool capacity_allowed;

    /* The model's state. */
    uint64_t now_ms;
    int64_t wall_ms;
    uint64_t next_member_id;
    struct schedule schedules[AUDIT_SCHEDULES];
    unsigned in_order[AUDIT_SCHEDULES]; /* of their names' bytes */
    struct grant *grants;
    size_t n_grants;
    size_t grants_capacity;

    /* Of the command that is being applied. */
    uint64_t kept[KEPT]; /* tokens of the runs that its schedule's table keeps */
    size_t n_kept;
    struct grant_view holders[LIVE];
    struct run_view runs[LIVE];

    struct grant_view locks[LIMIT_LIST];
    struct policy_view policies[LIMIT_LIST];
    struct run_view kept_runs[KEPT];
};

/* ---- audit.c ---- */

/* Makes room for element `n`; what is new is zero. */
void *audit_grow(void *base, size_t n, size_t *capacity, size_t size);
/* NULL: there is none. */
struct grant *audit_find_grant(struct audit *audit, uint64_t token);
struct schedule *audit_find_schedule(struct audit *audit, struct slice id);
struct key *audit_find_key(struct audit *audit, uint64_t key);
/* Of a command that a node applies; NULL: nobody has asked for it. */
struct ask *audit_find_ask(struct audit *audit, const struct command *command);
int audit_occurrence_in(struct slice text); /* −1: none */
/* What came of the attempt that began at `asked_ns` is known to its holder, if the ask is a renewal. */
void audit_settle_renewal(struct audit *audit, const struct ask *ask, uint64_t asked_ns);
/* The client's half of the promise, with a client's clock that is 500 ppm slow. */
uint64_t audit_believe_until(uint64_t since_ns, uint64_t ms);

/* ---- audit_model.c ---- */

void model_advance(struct audit *audit, const struct apply_context *context);
/* What must come out of the command; its slices are valid until the next. */
void model_apply(struct audit *audit, const struct ask *ask, const struct command *command, struct outcome *expected);

/* ---- audit_acquire.c ---- */

void model_acquire(struct audit *audit, const struct ask *ask, const struct acquire_command *command,
                   struct outcome *expected);

/* ---- audit_show.c ---- */

/* The schedule's own, or the one by default. */
const struct policy *model_policy(const struct schedule *schedule);
/* Does the table still keep the run? That is seen; how many it must keep is checked elsewhere. NULL: no. */
bool model_is_kept(const struct audit *audit, const struct grant *grant);
void model_show_grant(const struct audit *audit, const struct grant *grant, struct grant_view *view);
void model_show_run(const struct audit *audit, const struct grant *grant, struct run_view *view);
void model_show_policy(const struct schedule *schedule, struct policy_view *view);
/* All live grants, the one that ends first at [0]. */
size_t model_show_holders(struct audit *audit, const struct schedule *schedule, struct grant_view views[LIVE]);
/* The one that ended last; NULL: none has. */
struct grant *model_last_ended(struct audit *audit, const struct schedule *schedule);
/* If it is kept. */
void model_expect_run(const struct audit *audit, const struct grant *grant, struct outcome *expected);
void model_expect_grant(const struct audit *audit, const struct grant *grant, struct outcome *expected);
/* Without their metadata. */
void model_expect_holders(struct audit *audit, const struct schedule *schedule, struct outcome *expected);
void model_expect_lost(struct audit *audit, const struct schedule *schedule, const struct grant *grant,
                       struct outcome *expected);
void model_expect_field(struct outcome *expected, const char *field);

/* ---- audit_lists.c ---- */

/* Walks through lists of the newest state, with a query that is drawn. */
void audit_check_lists(struct audit *audit, const char *node, struct lock_table *table);
/* … through the whole lists of an older one. */
void audit_check_lists_again(struct audit *audit, const char *node, uint64_t index, struct lock_table *table);
/* What both whole lists of the newest state have the fingerprint of. */
uint64_t audit_expect_lists(struct audit *audit);

/* ---- audit_walk.c: one walk through a value gives its fingerprint, or its text ---- */

struct walk {
    uint64_t fingerprint;
    struct buffer *text; /* NULL: not wanted */
};
void walk_number(struct walk *walk, const char *name, uint64_t value);
void walk_command(struct walk *walk, const struct command *command);
void walk_outcome(struct walk *walk, const struct outcome *outcome);
void walk_grant(struct walk *walk, const struct grant_view *grant);
void walk_run(struct walk *walk, const struct run_view *run);
void walk_policy(struct walk *walk, const struct policy_view *policy);

/* Fails the run when both aren't the same. `value` and `expected` are what `each` walks through. */
struct comparison {
    const char *node;
    const char *what;
    uint64_t number; /* of what it is: a token, a schedule, … */
    void (*each)(struct walk *walk, const void *value);
};
void audit_compare(struct audit *audit, const struct comparison *comparison, const void *value, const void *expected);

#endif
