/* waiters: who waits for a lock, and for what. The data only: who is proposed when is for looking.c, what becomes of an
 * operation for waiting.c.
 *
 * Each operation that was submitted with a wait has a waiter until it is answered, and at the leader each one that another
 * member passed on has one, with its own copy of the command. What it is at the moment:
 *
 *                submit                          a leader was sent it
 *   (own) ──────────────────────────▶ QUEUED ───────────────────────▶ PASSED
 *     │                                  │ this node leads now
 *     │ this node leads                  ▼                 refused, and may wait
 *     └────────────────────────────▶   NEW ──▶ CALLED ──▶ PROPOSED ────────────▶ PARKED ──▶ CALLED …
 *   (passed on to this leader) ────────▶ └────────────────────────────────────────▲
 *                                          others wait, and it would be refused
 *
 * NEW, CALLED, PROPOSED and PARKED ones stand in the queue of their schedule in the order of arrival, and stay in their
 * places whatever happens to them there; when leadership ends, all leave. Queues whose policies name a group hang
 * together, and so do the waiters of a queue with the same occurrence, or the same key: kin. */
#ifndef BATON_REPLICA_WAITERS_H
#define BATON_REPLICA_WAITERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lock_table.h"
#include "replica/chain.h"
#include "replica/hashed.h"
#include "replica/min_heap.h"

struct operation;

enum waiter_state {
    WAITER_QUEUED,   /* among the operations that wait for a leader, or are refused in the next turn */
    WAITER_PASSED,   /* sent to the leader */
    WAITER_NEW,      /* at this leader, not looked at yet */
    WAITER_CALLED,   /* goes into one of the next entries */
    WAITER_PROPOSED, /* in a batch */
    WAITER_PARKED,   /* waits */
};

enum kinship { KIN_OCCURRENCE, KIN_KEY, KINSHIPS };

struct wait_group { /* queues whose schedules' policies name it; lives as long as there are any, or hopes */
    struct hashed_link by_name;
    struct chain queues;
    struct min_heap candidates; /* queues that aren't blocked, by the arrival of who is to be looked at next */
    struct chain_link ready;    /* it wants a look */
    uint64_t n_parked;
    uint64_t n_hopes; /* those that are called or proposed because there seemed to be room */
    size_t name_len;
    char name[];
};

struct wait_queue { /* of one schedule; lives as long as anybody is in it */
    struct hashed_link by_id;
    struct chain_link all;
    struct chain waiters; /* in the order of arrival */
    struct wait_group *group;
    struct chain_link of_group;
    struct chain_link ready;        /* it has no group, and wants a look */
    struct min_heap_node candidate; /* … and in its group's heap, when it has one */
    struct waiter *next;            /* whom to look at next; NULL: everybody has been since it was marked */
    bool is_blocked;                /* nobody in it could be granted now, until something happens */
    struct min_heap_node cool;      /* when to look again, by the monotonic clock */
    struct chain_link swept;        /* everybody in it is to be looked at … */
    struct waiter *sweep;           /* … from here on */
    bool is_moved;                  /* … after its group was asked for again */
    uint64_t n_parked;
    uint64_t n_waiting; /* have been parked once */
    uint64_t n_hopes;
    size_t id_len;
    char id[];
};

struct kin { /* waiters of a queue that one outcome may concern all */
    struct hashed_link link;
    const struct wait_queue *queue;
    enum kinship kinship;
    struct chain waiters;
    struct chain_link dirty; /* everybody is to be looked at … */
    struct waiter *next;     /* … from here on */
};

struct waiter {
    enum waiter_state state;
    bool is_last;             /* what comes out of it next is its answer */
    bool is_hope;             /* counted in n_hopes */
    bool has_waited;          /* was parked once */
    bool is_cancelled;        /* its client has gone, or the node stops; a grant is still an answer */
    struct operation *own;    /* NULL: another member's */
    struct chain_link origin; /* in `own` or `foreign` */
    uint64_t member_id;       /* who passed it on, or to whom it was passed on */
    uint8_t run_id[16];       /* of who passed it on */
    uint64_t number;          /* the asker's */
    struct hashed_link by_number;
    struct chain_link turn; /* in fresh, called_first, called or cancelled */
    struct chain_link rotation;
    struct min_heap_node end; /* when something becomes of it by itself, by the monotonic clock */
    uint64_t until_ns;        /* the end of its wait */
    struct wait_queue *queue; /* NULL: in none */
    struct chain_link place;  /* in it */
    uint64_t arrival;
    struct wait_group *hope_of;
    struct kin *kin[KINSHIPS];
    struct chain_link kins[KINSHIPS];
    struct wait_tally *tally; /* PASSED */
    struct acquire_command command;
    char bytes[]; /* another member's: what the command points to */
};

struct wait_tally { /* how many wait for a schedule elsewhere */
    struct hashed_link by_id;
    uint64_t n;
    size_t id_len;
    char id[];
};

struct waiters {
    uint64_t seed; /* of the hashes */
    struct chain own, foreign;
    struct chain fresh;        /* NEW */
    struct chain called_first; /* CALLED: they could be granted, and go before whatever arrived later */
    struct chain called;       /* CALLED: the others, in turn with everything else */
    struct chain cancelled;    /* PASSED, and the leader is to be told */
    struct chain rotating;     /* in a queue, and have an occurrence */
    struct chain queues;
    struct chain ready_queues, ready_groups, swept, dirty;
    struct chain_link *scan; /* the next queue to be asked whether it is frozen; NULL: none */
    struct hashed by_id, by_name, by_kin, by_number, tallies;
    struct min_heap ends, cools;
    uint64_t next_arrival;
    uint64_t n_states[WAITER_PARKED + 1];
    uint64_t n_waiting;
    uint64_t n_looks; /* ever */
};

void waiters_close(struct waiters *waiters); /* everybody has been freed */

/* One of an operation of this node, or a copy of what a member passed on. QUEUED. */
struct waiter *waiter_new_own(struct waiters *waiters, struct operation *operation,
                              const struct acquire_command *command);
struct waiter *waiter_new_foreign(struct waiters *waiters, const struct acquire_command *command);
/* Takes it out of wherever it is. */
void waiter_free(struct waiters *waiters, struct waiter *waiter);
void waiter_move(struct waiters *waiters, struct waiter *waiter, enum waiter_state state); /* to another state */
uint64_t waiters_count(const struct waiters *waiters);

/* The end of the queue of its schedule, whose group is what the table says. NEW. */
void waiter_arrive(struct waiters *waiters, struct waiter *waiter, struct lock_table *table);
void waiter_leave(struct waiters *waiters, struct waiter *waiter); /* its queue, if it is in one */

/* It can be found by its number from here on, until it is freed. */
void waiter_number(struct waiters *waiters, struct waiter *waiter, uint64_t member_id, uint64_t number);
struct waiter *waiters_find(const struct waiters *waiters, uint64_t member_id, uint64_t number, bool own);
/* A PASSED one counts for its schedule from here on, until it is freed. */
void waiter_count_passed(struct waiters *waiters, struct waiter *waiter);
void waiter_unpass(struct waiters *waiters, struct waiter *waiter); /* back to QUEUED, without number or count */
uint64_t waiters_passed(const struct waiters *waiters, struct slice schedule_id);

struct wait_queue *waiters_queue(const struct waiters *waiters, struct slice schedule_id); /* NULL: nobody is in it */
struct wait_group *waiters_group(const struct waiters *waiters, struct slice name);
struct kin *waiters_kin(const struct waiters *waiters, const struct wait_queue *queue, enum kinship kinship,
                        struct slice text);
void wait_group_drop(struct waiters *waiters, struct wait_group *group); /* if nothing keeps it */
void wait_queue_set_group(struct waiters *waiters, struct wait_queue *queue, struct slice name); /* absent: none */

/* ---- what wants a look ---- */

/* Something happened that may let somebody in it be granted; from the oldest on. */
void wait_queue_mark(struct waiters *waiters, struct wait_queue *queue);
void wait_group_mark(struct waiters *waiters, struct wait_group *group);
/* Everybody in it may have an answer now, or need it. */
void wait_queue_sweep(struct waiters *waiters, struct wait_queue *queue);
void kin_mark(struct waiters *waiters, struct kin *kin);
/* The next one that is parked, from queue->next on; then the queue stands where it belongs among those that want a look.
 * NULL: there is none, and it wants none. */
struct waiter *wait_queue_next(struct waiters *waiters, struct wait_queue *queue);
void wait_queue_block(struct waiters *waiters, struct wait_queue *queue); /* until it is marked again */

/* ---- moves at the leader ---- */

void waiter_park(struct waiters *waiters, struct waiter *waiter);
enum call { CALL_HOPEFUL, CALL_NEW, CALL_LAST };
/* HOPEFUL: goes first, and counts as one of those that there is room for; NEW: counts, and goes when it is its turn; LAST:
 * it will be refused, or is to hear what is in its way. */
void waiter_call(struct waiters *waiters, struct waiter *waiter, enum call call);
/* What it hoped for is decided, or won't be: when it took no slot, the next one may. */
void waiter_settle(struct waiters *waiters, struct waiter *waiter, bool took_slot);

#endif
