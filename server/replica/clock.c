/* clock: cluster time, as law 2 of ARCHITECTURE.md has it.
 *
 * State time is what entries carried, so it stands still between entries and while there is no leader; nothing reads a
 * wall clock. A new leader first commits an entry of its own term that repeats the state's time. In that entry's apply,
 * and only then, it samples the state's time and its own monotonic clock; from there its cluster clock runs on. Sampled
 * earlier, entries of the leader before could still be behind the sample; sampled again, time would jump. */
#include "replica/inside.h"

#define TICK_PENDING_NS (1000ull * NS_PER_MS)  /* while the deadline of a lock is pending */
#define TICK_IDLE_NS    (60000ull * NS_PER_MS) /* else */

void clock_start(struct replica *replica)
{
    replica->clock = (struct clock){.term = replica->raft.current_term};
}

void clock_stop(struct replica *replica)
{
    replica->clock = (struct clock){0};
}

static struct lock_table_counts count(const struct replica *replica)
{
    struct lock_table_counts counts;
    lock_table_count(replica->table, &counts);
    return counts;
}

static uint64_t state_time_ms(const struct replica *replica)
{
    return count(replica).now_ms;
}

uint64_t clock_now_ms(const struct replica *replica)
{
    const struct clock *clock = &replica->clock;
    if (!clock->ready) {
        return state_time_ms(replica);
    }
    return clock->base_state_ms + (replica_now_ns(replica) - clock->base_mono_ns) / NS_PER_MS;
}

uint64_t clock_mono_ns(const struct replica *replica, uint64_t cluster_ms)
{
    const struct clock *clock = &replica->clock;
    uint64_t behind_ms = cluster_ms > clock->base_state_ms ? cluster_ms - clock->base_state_ms : 0;
    return clock->base_mono_ns + behind_ms * NS_PER_MS;
}

/* For people: it runs on without a leader, too. */
uint64_t replica_now_estimate_ms(struct replica *replica)
{
    if (replica->table == NULL) {
        return 0;
    }
    return state_time_ms(replica) + (replica_now_ns(replica) - replica->applied_ns) / NS_PER_MS;
}

/* Any entry moves the state's time; a tick is proposed only when none was for long enough, or when a lock or a freeze ends.
 * Only locks make it a short while: a freeze may last for a year. And whoever forgets after 40 days may be late by a
 * minute. */
bool clock_tick_due(const struct replica *replica)
{
    const struct clock *clock = &replica->clock;
    uint64_t deadline_ms = lock_table_next_lock_deadline(replica->table);
    uint64_t quiet_ns = replica_now_ns(replica) - clock->proposed_mono_ns;
    bool passed = clock_now_ms(replica) >= deadline_ms && clock->proposed_ms < deadline_ms;
    bool locked = count(replica).held > 0;
    return passed || quiet_ns >= (locked ? TICK_PENDING_NS : TICK_IDLE_NS);
}

void clock_proposed(struct replica *replica, uint64_t now_ms)
{
    replica->clock.proposed_ms = now_ms;
    replica->clock.proposed_mono_ns = replica_now_ns(replica);
}

/* Called inside apply, after the entry moved the state's time. */
void clock_applied(struct replica *replica, uint64_t batch)
{
    struct clock *clock = &replica->clock;
    const struct raft *raft = &replica->raft;
    if (clock->ready || batch != clock->leader_batch || raft->state != RAFT_LEADER ||
        raft->current_term != clock->term) {
        return;
    }
    clock->base_state_ms = state_time_ms(replica);
    clock->base_mono_ns = replica_now_ns(replica);
    clock->ready = true;
    replica_want_turn(replica);
}
