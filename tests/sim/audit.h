/* audit: an independent account of what the cluster may and may not have done.
 *
 * It hears four things: what clients ask (before they do), each command that a node applies and what came out of it
 * (tap.c), the lock table of each node after each entry, through the table's public view, and what clients are answered.
 * The first node that applies an index moves the account on: a model of the contract (audit_model.c) says what must
 * come out of each command, and what the table must show then, to reads and in lists. Every other node must then hear
 * the same commands, give the same outcomes and show the same state at the same index. Each command that is applied must
 * have been asked for, as it is and not more often; each answer must be the outcome of a command that was applied after
 * it was asked; and what a client was told stays true.
 *
 * So nothing has to be guessed about a request that nobody heard an answer of: whether and when it took effect is heard
 * where it does. What is certain in real time, whatever clocks and nodes do, is checked on top: when a lock may end, and
 * how many may believe that they hold one.
 *
 * It shares no code with core. What it doesn't know is which runs are kept beyond those that must be: that it sees. */
#ifndef BATON_SIM_AUDIT_H
#define BATON_SIM_AUDIT_H

#include "core/command.h"
#include "core/lock_table.h"
#include "counts.h"
#include "world.h"

#define AUDIT_SCHEDULES   12u
#define AUDIT_OCCURRENCES 24u /* of one schedule; below 64, so that none is forgotten */
#define AUDIT_CLIENTS     16u
#define AUDIT_TEXT        64u /* bytes of a name, the zero included */

struct audit;

struct audit *audit_open(struct sim_world *world, struct counts *counts);
void audit_close(struct audit *audit);

/* Text that both the scenario and the audit derive from numbers. `text` holds AUDIT_TEXT bytes. */
void audit_schedule_name(unsigned schedule, char *text);
void audit_client_name(unsigned client, char *text);
void audit_key_name(uint64_t key, char *text);
/* `form`: how it is written; all forms of one are the same instant. */
void audit_occurrence_name(unsigned occurrence, unsigned form, char *text);

/* ---- what clients ask: before the request leaves ---- */

/* Another request for a lock: how its key is written is audit_key_name of the number, which is 1, 2, … */
uint64_t audit_new_key(struct audit *audit);
/* One more attempt at this command is on its way; returns the number of what is asked. All that says the same is one ask,
 * whoever sends it. */
uint64_t audit_asked(struct audit *audit, const struct command *command);
/* … and it may wait: so it may be applied, and refused by what can be waited out, more often than it is asked for. */
void audit_waits(struct audit *audit, uint64_t ask);
/* … and then: it is known that the attempt that began at `asked_ns` was never proposed. */
void audit_not_proposed(struct audit *audit, uint64_t ask, uint64_t asked_ns);

/* ---- what they are answered ---- */

struct audit_times {
    uint64_t first_ns; /* real time at which the first attempt began */
    uint64_t this_ns;  /* … and this one */
    uint64_t index;    /* audit_index when this attempt began */
};
struct audit_answer {
    uint64_t ask;
    struct audit_times times;
    bool heard;                    /* the client was still waiting for it */
    const struct outcome *outcome; /* its slices and arrays aren't looked at */
    uint64_t fingerprint;          /* of the whole outcome, as it was */
};
uint64_t audit_fingerprint(const struct outcome *outcome);
void audit_answered(struct audit *audit, const struct audit_answer *answer);
/* A read began when `floor` (audit_floor) was known to be acknowledged, and sees this table. */
uint64_t audit_floor(const struct audit *audit);
void audit_read(struct audit *audit, const char *node, uint64_t floor, struct lock_table *table);

/* ---- what nodes do ---- */

/* An entry begins: the table's time has been moved. */
void audit_begins(struct audit *audit, struct lock_table *table, const struct apply_context *context);
/* A command of it is about to be applied, and was. */
void audit_applies(struct audit *audit, struct lock_table *table, const struct command *command);
void audit_came_out(struct audit *audit, const struct command *command, const struct outcome *outcome);
/* The entry is over, or a snapshot was installed. */
void audit_applied(struct audit *audit, const char *node, struct lock_table *table);
void audit_leads(struct audit *audit, const char *node, uint64_t term);
/* The highest index that any node has applied. */
uint64_t audit_index(const struct audit *audit);
/* What the state at `index` has in it. */
struct audit_content {
    unsigned policies;
    unsigned revoking; /* grants that are revoked and not free yet */
};
struct audit_content audit_content_at(const struct audit *audit, uint64_t index);
/* A disk is full somewhere, so that capacity is an honest answer for a while. */
void audit_allow_capacity(struct audit *audit);

#endif
