/* audit_private: what the files of the audit share. audit.c keeps the account and hears what is asked, audit_state.c
 * compares it with what nodes show, audit_answer.c with what clients are told. */
#ifndef BATON_SIM_AUDIT_PRIVATE_H
#define BATON_SIM_AUDIT_PRIVATE_H

#include <inttypes.h>

#include "audit.h"
#include "base/limits.h"

#define NO_TOKEN     0u
#define RENEWAL_TTLS 4u  /* different ones that clients ask for */
#define UNHEARD      64u /* renewals of one token */
#define TERMS_STEP   64u

struct grant { /* one token that was given out; grants[] is in order of tokens */
    uint64_t token;
    uint64_t issued_index;
    bool shown;        /* an index ended with it held; else it came and went within one entry */
    unsigned schedule; /* from here on: known when shown */
    uint64_t key;
    uint64_t ended_index; /* 0: lives */
    uint64_t deadline_ms; /* state time */
    uint64_t set_ttl_ms;  /* how far ahead the deadline was set */
    uint64_t set_ns;      /* real time before which it can't have been set */
};

/* A renewal whose answer its holder hasn't heard. It may take effect at any time from when it was asked for, and it may
 * set an earlier deadline than the one that the holder knows. */
struct unheard {
    uint64_t asked_ns; /* 0: unused */
    uint64_t until_ns;
};

struct ask { /* what clients asked about a token, which they may know before the account shows it */
    bool asked;
    bool release[RUN_REVOKED + 1];
    uint64_t renew_ttl_ms[RENEWAL_TTLS]; /* each that was asked for, once; 0: the grant's */
    unsigned n_renew_ttls;
    unsigned n_renewals;
    uint64_t first_renew_ns;
    uint64_t belief_ns; /* its holder may believe until then, in real time, that nobody else has the lock */
    struct unheard unheard[UNHEARD];
};

struct key {
    struct audit_acquire acquire;
    uint64_t first_ns;
    uint64_t possible; /* attempts that may take effect */
    uint64_t token;    /* NO_TOKEN: not granted as far as we know */
};

struct point { /* the state after one index */
    bool known;
    struct digest128 digest;
};

struct audit {
    struct sim_world *world;
    struct counts *counts;
    struct point *points; /* by index */
    size_t points_capacity;
    uint64_t index;
    uint64_t now_ms; /* state time after it */
    uint64_t next_token;
    uint64_t floor;
    uint64_t held[AUDIT_SCHEDULES]; /* tokens after `index` */
    struct grant *grants;
    size_t n_grants;
    size_t grants_capacity;
    struct ask *asks; /* by token: they are dense, as nothing is restored here */
    size_t n_asks;
    struct key *keys; /* keys[key − 1] */
    size_t n_keys;
    size_t keys_capacity;
    uint64_t *leaders; /* by term: 1 + what identifies the node */
    size_t n_terms;
    bool capacity_allowed;
};

/* Makes room for element `n`; what is new is zero. */
void *audit_grow(void *base, size_t n, size_t *capacity, size_t size);

bool audit_slice_is(struct slice slice, const char *text);
bool audit_names_occurrence(struct slice slice, int occurrence);

/* NULL: there is none. */
struct grant *audit_find_grant(struct audit *audit, uint64_t token);
struct ask *audit_find_ask(struct audit *audit, uint64_t token);
struct ask *audit_make_ask(struct audit *audit, uint64_t token);
struct key *audit_find_key(struct audit *audit, uint64_t key);
bool audit_release_was_asked(struct audit *audit, uint64_t token);
bool audit_abandon_was_asked(struct audit *audit, uint64_t token);

/* The client's half of the promise, with a client's clock that is 500 ppm slow. */
uint64_t audit_believe_until(uint64_t since_ns, uint64_t ms);
/* A key is known as long as its run is kept; after that it is new again. */
bool audit_key_forgotten(struct audit *audit, const struct key *key);

#endif
