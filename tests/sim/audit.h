/* audit: an independent account of what the cluster may and may not have done.
 *
 * It hears three things: what clients ask (before they do), what they are answered, and the lock table of each node after
 * each entry, through the table's public view. The first node that applies an index moves the account on, and every
 * change between two indexes must have a cause: a grant somebody asked for, a renewal, a release, a deadline that was
 * reached. Every other node must then show the same state at the same index. What a client was told must be in the
 * account, and stay there.
 *
 * It shares no code with core; the rules are those of the contract, kept simple because the workload is: one slot a
 * schedule, no policies, each key used for one request. */
#ifndef BATON_SIM_AUDIT_H
#define BATON_SIM_AUDIT_H

#include "core/command.h"
#include "core/lock_table.h"
#include "counts.h"
#include "world.h"

#define AUDIT_SCHEDULES   24u
#define AUDIT_OCCURRENCES 60u /* of one schedule; below 64, so that none is forgotten */
#define AUDIT_NO_KEY      0u

struct audit;

struct audit *audit_open(struct sim_world *world, struct counts *counts);
void audit_close(struct audit *audit);

/* One acquire request: everything that is sent again when it is repeated. */
struct audit_acquire {
    uint64_t key; /* 1, 2, … */
    unsigned schedule;
    unsigned client;
    int occurrence; /* −1: none */
    unsigned form;  /* how the occurrence is written */
    uint64_t ttl_ms;
    uint64_t estimate_ms;
    bool by_estimate; /* ttl_ms isn't sent: it follows from the estimate */
};

/* Text that both the scenario and the audit derive from numbers. `text` holds at least 64 bytes. */
void audit_schedule_name(unsigned schedule, char *text);
void audit_client_name(unsigned client, char *text);
void audit_key_name(uint64_t key, char *text);
void audit_metadata(uint64_t key, char *text);
void audit_occurrence_name(unsigned occurrence, unsigned form, char *text);

/* ---- what clients ask: before the request leaves ---- */
void audit_key_opened(struct audit *audit, const struct audit_acquire *acquire);
/* One more attempt is on its way, and then: it is known that nothing was proposed. */
void audit_key_attempt(struct audit *audit, uint64_t key);
void audit_key_not_proposed(struct audit *audit, uint64_t key);
void audit_renew_asked(struct audit *audit, uint64_t token, uint64_t ttl_ms);
/* Its answer was heard, or it is known that nothing was proposed. */
void audit_renew_settled(struct audit *audit, uint64_t token, uint64_t asked_ns);
void audit_release_asked(struct audit *audit, uint64_t token, enum run_outcome outcome);

/* ---- what they are answered ---- */
struct audit_times {
    uint64_t first_ns; /* real time at which the first attempt began */
    uint64_t this_ns;  /* … and this one */
    uint64_t index;    /* audit_index when this attempt began */
};
/* `altered`: the key was sent with another ttl on purpose. `heard`: the client was still waiting for it. */
void audit_acquired(struct audit *audit, uint64_t key, const struct audit_times *times, bool altered, bool heard,
                    const struct outcome *outcome);
void audit_renewed(struct audit *audit, uint64_t token, const struct audit_times *times, bool heard,
                   const struct outcome *outcome);
void audit_released(struct audit *audit, uint64_t token, enum run_outcome asked, const struct outcome *outcome);
/* A read began when `floor` (audit_floor) was known to be acknowledged, and sees this table. */
uint64_t audit_floor(const struct audit *audit);
void audit_read(struct audit *audit, const char *node, uint64_t floor, struct lock_table *table);

/* ---- what nodes do ---- */
void audit_applied(struct audit *audit, const char *node, uint64_t index, struct lock_table *table);
void audit_leads(struct audit *audit, const char *node, uint64_t term);
/* The highest index that any node has applied. */
uint64_t audit_index(const struct audit *audit);
/* A disk is full somewhere, so that capacity is an honest answer for a while. */
void audit_allow_capacity(struct audit *audit);

#endif
