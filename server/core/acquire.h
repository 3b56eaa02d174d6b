/* acquire: one acquire on its way through the checks. Private to core. */
#ifndef BATON_CORE_ACQUIRE_H
#define BATON_CORE_ACQUIRE_H

#include "core/table.h"

/* The first two are given, the others found. What the checks didn't get to is 0. */
struct acquisition {
    struct lock_table *table;
    const struct acquire_command *command;

    /* What was decided: DONE means that it is granted, unless it is a repeat. */
    enum outcome_code code;
    bool repeated;
    const char *field;           /* INVALID_FIELD */
    const struct run_image *run; /* what the answer shows: the key's, the occurrence's newest; NULL: none is kept */
    const struct table_freeze *freeze; /* FROZEN */
    uint64_t minimum_ms;               /* TTL_TOO_SHORT, TTL_TOO_LONG */
    uint64_t remaining_ms;             /* COOLING_DOWN */

    const struct policy *policy;     /* the schedule's own, or the one by default */
    const struct table_group *group; /* the policy's; NULL: none */
    struct table_node *node;         /* NULL: the schedule isn't remembered */
    struct schedule_draft *draft;
    struct digest128 fingerprint;
    uint64_t estimate_ms;
    uint64_t ttl_ms;
    struct occurrence_key key;
    struct occurrence_image *occurrence; /* in the draft; NULL: the request has none, or it isn't remembered */
};

/* Unpacks the schedule into the table's draft, and changes nothing else. */
void acquire_decide(struct acquisition *acquisition, bool no_growth);

#endif
