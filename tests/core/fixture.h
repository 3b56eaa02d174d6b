/* fixture: a lock table with a clock that the test moves, and short ways to ask it.
 *
 * Each question is an entry of its own. After each, the table's invariants are checked, and a refusal (or a repeat) must
 * have left the state as it was. */
#ifndef BATON_TESTS_CORE_FIXTURE_H
#define BATON_TESTS_CORE_FIXTURE_H

#include "core/lock_table.h"
#include "core/rules.h"

#define MINUTE_MS 60000ull
#define HOUR_MS   (60 * MINUTE_MS)

struct fixture {
    struct lock_table *table;
    struct apply_context context; /* of the last entry */
    uint64_t now_ms;              /* of the next entry */
    bool no_growth;               /* of the next entry */
    unsigned keys;                /* made so far, for requests that bring none */
    struct outcome outcome;       /* of the last command */
};

void fixture_open(struct fixture *fixture);        /* under the first rules */
void fixture_open_newest(struct fixture *fixture); /* … and under the newest: with groups and freezes */
void fixture_close(struct fixture *fixture);

/* A request as a test writes it: NULL is absent; a key is made when there is none; 0 is no ttl and no estimate. */
struct ask {
    const char *id;     /* "job" when NULL */
    const char *holder; /* "h1" when NULL */
    const char *key;
    const char *occurrence;
    const char *metadata;
    uint64_t ttl_ms;
    uint64_t estimate_ms;
};

/* Each applies one command in an entry at now_ms and returns its outcome, valid until the next. */
const struct outcome *fixture_apply(struct fixture *fixture, const struct command *command);
const struct outcome *fixture_acquire(struct fixture *fixture, struct ask ask);
const struct outcome *fixture_renew(struct fixture *fixture, const char *id, uint64_t token,
                                    uint64_t ttl_ms); /* 0: none */
/* `outcome` may be RUN_OUTCOME_NONE: none is sent. */
const struct outcome *fixture_release(struct fixture *fixture, const char *id, uint64_t token, int outcome);
const struct outcome *fixture_put(struct fixture *fixture, const char *id, struct policy policy);
const struct outcome *fixture_delete(struct fixture *fixture, const char *id);
void fixture_tick(struct fixture *fixture); /* a no-op entry at now_ms */

/* A revocation as a test writes it. */
struct revoke_ask {
    const char *id;     /* "job" when NULL */
    const char *actor;  /* "ops" when NULL */
    const char *reason; /* "why" when NULL */
    uint64_t token;     /* 0: all */
    bool force;
};
const struct outcome *fixture_revoke(struct fixture *fixture, struct revoke_ask ask);

const struct outcome *fixture_put_group(struct fixture *fixture, const char *name, uint32_t slots);
const struct outcome *fixture_delete_group(struct fixture *fixture, const char *name);
/* By "ops", "why". */
const struct outcome *fixture_put_freeze(struct fixture *fixture, const char *scope, uint64_t ttl_ms);
const struct outcome *fixture_delete_freeze(struct fixture *fixture, const char *scope);
/* Gives the schedule the default policy, but with so many slots, and in the group (NULL: none). */
void fixture_join(struct fixture *fixture, const char *id, const char *group, uint32_t slots);

/* The same, and the outcome must be DONE. Gives the token. */
uint64_t fixture_grant(struct fixture *fixture, struct ask ask);

/* Those below are about "job", with a TTL of a minute. */
const struct outcome *fixture_try(struct fixture *fixture, const char *occurrence); /* by "h1"; NULL: of none */
/* Grants the occurrence and releases it. Gives the token. */
uint64_t fixture_run(struct fixture *fixture, const char *occurrence, enum run_outcome outcome);
/* The same for "string-FIRST" to "string-LAST". */
struct span {
    int first;
    int last;
};
void fixture_run_strings(struct fixture *fixture, struct span span, enum run_outcome outcome);
/* Grants the occurrence (NULL: none) and lets it run into its deadline, which is now. Gives the token. */
uint64_t fixture_expire(struct fixture *fixture, const char *occurrence);
/* Sets a policy that is the default but for the slots. */
void fixture_slots(struct fixture *fixture, uint32_t slots);
/* Grants one slot for the holder. Gives the token. */
uint64_t fixture_take(struct fixture *fixture, const char *holder);
/* As take, by "h0" and so on; for whoever needs many. The first token. */
uint64_t fixture_take_many(struct fixture *fixture, unsigned n);

/* Instants by the day: 0 is 2026-01-01; written with an offset when odd. Gives `name`. */
const char *instant_name(char name[32], int day);
struct policy policy_default(void);
struct policy policy_full(void); /* every field another than the default's */
/* The run with the token, as GET runs shows it; it must be kept. */
struct run_view fixture_kept_run(struct fixture *fixture, uint64_t token);

void expect_code(const struct outcome *outcome, enum outcome_code code);
void expect_text(struct slice slice, const char *text); /* NULL: absent */

struct lock_table_counts fixture_count(const struct fixture *fixture);
/* Everything in `table` goes through an image into a new table. */
struct lock_table *table_copy(struct lock_table *table);
/* Loads what is frozen into a new table. */
struct lock_table *table_load(struct lock_table_frozen *frozen);
void expect_equal_digests(struct lock_table *a, struct lock_table *b);

#endif
