/* replica: the life of one member, once it is open: turns, ticks, what libraft changed, and the two ends (in order, and by
 * a crash). See inside.h for who may call libraft from where. */
#include "replica/inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pool ---- */

void replica_work(struct replica *replica, struct work *work)
{
    replica->works++;
    loop_work(replica->options.loop, work);
}

void replica_work_done(struct replica *replica)
{
    CHECK(replica->works > 0);
    replica->works--;
    replica_want_turn(replica);
}

/* ---- state ---- */

void replica_fatal(struct replica *replica, enum replica_exit code, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    if (replica->dead) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    replica->dead = true;
    replica->guards.dead = true;
    log_error(replica->options.log, "replica ends", LOG_U64("exit", code), LOG_TEXT("reason", sentence));
    replica->options.fatal(replica->options.arg, code, sentence);
}

bool replica_running(const struct replica *replica)
{
    return !replica->dead && replica->stage == STAGE_RUNNING;
}

bool replica_leads(const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    return replica_running(replica) && raft->state == RAFT_LEADER && raft->leader_state.transferee == 0 &&
           !replica->leaving;
}

static uint64_t leader_id(const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    switch (raft->state) {
    case RAFT_LEADER:
        return raft->id;
    case RAFT_FOLLOWER:
        return raft->follower_state.current_leader.id;
    default:
        return 0;
    }
}

struct member *replica_leader(struct replica *replica)
{
    if (!replica_running(replica) || replica->raft.state != RAFT_FOLLOWER) {
        return NULL;
    }
    struct member *member = member_by_id(replica, leader_id(replica));
    return member == NULL || member->peer == NULL ? NULL : member;
}

struct lock_table *replica_table(struct replica *replica)
{
    return replica->table;
}

/* ---- what libraft changed ---- */

static void leadership_gained(struct replica *replica)
{
    clock_start(replica);
    log_info(replica->options.log, "leader elected", LOG_TEXT("node", replica->options.name),
             LOG_U64("term", replica->raft.current_term), LOG_U64("last", raft_last_index(&replica->raft)));
}

static void leadership_lost(struct replica *replica)
{
    log_info(replica->options.log, "leadership ended", LOG_TEXT("node", replica->options.name),
             LOG_U64("term", replica->seen_term), LOG_U64("now", replica->raft.current_term));
    clock_stop(replica);
    operations_leadership_lost(replica);
    reads_leadership_lost(replica);
}

static void note_leadership(struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    bool led = replica->seen_state == RAFT_LEADER;
    bool leads = raft->state == RAFT_LEADER;
    bool other_term = raft->current_term != replica->seen_term;
    if (led && (!leads || other_term)) {
        leadership_lost(replica);
    }
    if (leads && (!led || other_term)) {
        leadership_gained(replica);
    }
}

static bool is_ready(const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    if (raft->state == RAFT_LEADER) {
        return replica->clock.ready;
    }
    return leader_id(replica) != 0 && replica->has_ready_index && raft->last_applied >= replica->ready_index;
}

static void note_leader(struct replica *replica, uint64_t leader)
{
    const struct raft *raft = &replica->raft;
    if (leader != 0 && (leader != replica->seen_leader || raft->current_term != replica->seen_term)) {
        struct member *member = member_by_id(replica, leader);
        replica->leader_changes++;
        if (leader != raft->id) {
            log_info(replica->options.log, "leader known",
                     LOG_TEXT("leader", member == NULL ? "?" : member->address.name),
                     LOG_U64("term", raft->current_term));
        }
    }
    if (!replica->has_ready_index && leader != 0 && (leader == raft->id || replica->guards.leader_commit > 0)) {
        replica->has_ready_index = true;
        replica->ready_index = leader == raft->id ? raft->commit_index : replica->guards.leader_commit;
    }
}

static void note_members(struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    struct members *members = &replica->members;
    if (members->seen_committed == raft->configuration_committed_index &&
        members->seen_uncommitted == raft->configuration_uncommitted_index &&
        members->seen_servers == raft->configuration.n) {
        return;
    }
    members->seen_committed = raft->configuration_committed_index;
    members->seen_uncommitted = raft->configuration_uncommitted_index;
    members->seen_servers = raft->configuration.n;
    members_sync(replica, &raft->configuration);
}

/* After every entry into libraft, from the top of the loop. */
void replica_after_step(struct replica *replica)
{
    if (!replica_running(replica)) {
        return;
    }
    if (guards_release_held(&replica->guards)) {
        transfer_settle(replica);
    }
    const struct raft *raft = &replica->raft;
    note_members(replica);
    if (replica->dead) {
        return;
    }
    uint64_t leader = leader_id(replica);
    note_leadership(replica);
    note_leader(replica, leader);
    bool ready = is_ready(replica);
    bool changed = raft->state != replica->seen_state || raft->current_term != replica->seen_term ||
                   leader != replica->seen_leader || ready != replica->seen_ready;
    replica->seen_state = raft->state;
    replica->seen_term = raft->current_term;
    replica->seen_leader = leader;
    replica->seen_ready = ready;
    if (changed) {
        replica_want_turn(replica);
        if (replica->options.changed != NULL) {
            replica->options.changed(replica->options.arg);
        }
    }
}

static void note_reserve(struct replica *replica)
{
    struct storage_figures figures;
    storage_figures(replica->options.storage, &figures);
    if (figures.reserve_ok == replica->seen_reserve) {
        return;
    }
    replica->seen_reserve = figures.reserve_ok;
    if (figures.reserve_ok) {
        log_info(replica->options.log, "disk reserve is back", LOG_U64("free_bytes", figures.free_bytes));
    } else {
        log_warning(replica->options.log, "disk reserve is gone", LOG_U64("free_bytes", figures.free_bytes));
    }
    if (replica->options.changed != NULL) {
        replica->options.changed(replica->options.arg);
    }
}

/* ---- the end, in order ---- */

static void close_hand_over(struct replica *replica)
{
    bool over = !replica_running(replica) || replica_now_ns(replica) >= replica->leave_deadline_ns;
    if (over || !replica->leaving || elections_leave(replica)) {
        replica->leaving = false; /* when it failed, what is pending is decided here */
        replica->closing = CLOSING_ANSWER;
    }
}

static void close_answer(struct replica *replica)
{
    bool pending = operations_pending(replica) || reads_pending(replica);
    if (pending && replica_running(replica) && replica_now_ns(replica) < replica->close_deadline_ns) {
        return;
    }
    operations_answer_all(replica);
    reads_answer_all(replica);
    replica->closing = CLOSING_RAFT;
    if (replica->raft_open) {
        replica->stage = STAGE_ENDING;
        raft_close(&replica->raft, NULL);
    }
}

static void close_raft(struct replica *replica)
{
    if (replica->raft_open) {
        if (!raft_side_idle(replica)) {
            return;
        }
        replica->side.close(&replica->io);
        replica->raft_open = false;
    }
    replica->stage = STAGE_ENDING;
    replica->closing = CLOSING_WORKS;
}

/* True when the replica is freed. */
static bool close_step(struct replica *replica)
{
    if (replica->closing == CLOSING_HAND_OVER) {
        close_hand_over(replica);
        replica_after_step(replica);
    }
    if (replica->closing == CLOSING_ANSWER) {
        close_answer(replica);
    }
    if (replica->closing == CLOSING_RAFT) {
        close_raft(replica);
    }
    bool pending =
        operations_pending(replica) || reads_pending(replica); /* submitted since: refused in the next turn */
    if (replica->closing != CLOSING_WORKS || replica->works > 0 || pending) {
        return false;
    }
    void (*closed)(void *arg) = replica->closed;
    void *arg = replica->closed_arg;
    replica_free(replica, false);
    if (closed != NULL) {
        closed(arg);
    }
    return true;
}

void replica_close(struct replica *replica, uint64_t within_ms, void (*closed)(void *arg), void *arg)
{
    CHECK(replica->closing == CLOSING_NOT);
    uint64_t now_ns = replica_now_ns(replica);
    replica->closing = CLOSING_HAND_OVER;
    replica->closed = closed;
    replica->closed_arg = arg;
    replica->close_deadline_ns = now_ns + within_ms * NS_PER_MS;
    replica->leave_deadline_ns = now_ns + replica->options.election_timeout_ms * NS_PER_MS;
    if (replica->leave_deadline_ns > replica->close_deadline_ns) {
        replica->leave_deadline_ns = replica->close_deadline_ns;
    }
    replica->leaving = replica_running(replica) && elections_can_leave(replica);
    if (replica->leaving) {
        passing_refuse_foreign(replica, OPERATION_NO_LEADER);
    }
    waiting_close(replica);
    replica_want_turn(replica);
}

/* ---- the end, at once ---- */

void replica_free(struct replica *replica, bool crash)
{
    const struct loop *loop = replica->options.loop;
    loop_post_cancel(loop, &replica->turn);
    loop_timer_close(loop, replica->tick_timer);
    loop_timer_close(loop, replica->elections.timer);
    raft_side_free(replica);
    reads_free(replica);
    operations_free(replica);
    guards_close(&replica->guards);
    transfer_close(replica, crash);
    members_close(replica);
    snapshots_free(replica, crash);
    if (replica->founding != NULL) {
        founding_close(replica->founding);
    }
    arena_close(&replica->apply_arena);
    arena_close(&replica->answer_arena);
    buffer_close(&replica->spec);
    if (slice_is_present(replica->options.cluster_key)) { /* the copy in the arena */
        explicit_bzero((void *)replica->options.cluster_key.base, replica->options.cluster_key.len);
    }
    arena_close(&replica->arena);
    free(replica);
}

void replica_crash(struct replica *replica)
{
    replica->dead = true;
    replica->guards.dead = true;
    replica->stage = STAGE_ENDING;
    raft_side_crash(replica);
    replica_free(replica, true);
}

/* ---- turns and ticks ---- */

static void turn(struct post *post)
{
    struct replica *replica = post->data;
    if (replica->dead) {
        return;
    }
    if (replica->raft_open) {
        raft_side_run_callbacks(replica);
    }
    replica_first_turn(replica);
    if (replica->dead) {
        return;
    }
    reads_turn(replica);
    operations_turn(replica);
    if (!replica->dead && replica->closing != CLOSING_NOT && close_step(replica)) {
        return;
    }
    replica_after_step(replica);
}

void replica_want_turn(struct replica *replica)
{
    if (!replica->dead) {
        loop_post(replica->options.loop, &replica->turn);
    }
}

void replica_tick(void *arg)
{
    struct replica *replica = arg;
    if (replica->dead) {
        return;
    }
    loop_timer_start(replica->options.loop, replica->tick_timer, REPLICA_TICK_MS);
    if (replica_running(replica)) {
        snapshots_check_due(replica);
        replica->side.tick(&replica->io);
        replica_after_step(replica);
        transfer_tick(replica);
        note_reserve(replica);
    }
    if (!replica->dead) {
        operations_tick(replica);
        reads_tick(replica);
        replica_want_turn(replica);
    }
}

void replica_init_loop(struct replica *replica)
{
    replica->turn = (struct post){.run = turn, .data = replica};
    replica->tick_timer = loop_timer_open(replica->options.loop, replica_tick, replica);
    replica->elections.timer = loop_timer_open(replica->options.loop, elections_timer, replica);
}
