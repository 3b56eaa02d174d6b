/* elections: a new leader soon after the old one is gone, and a leader that leaves in order.
 *
 * The end of the leader's stream is a hint only; that its host refuses a new connection is the proof. Each voter then
 * forces a time-out, but sends nothing: as a silent candidate it grants pre-votes at once, where a follower that knows a
 * leader would refuse. After 4 ms and 20 ms for each voter with a smaller id, whoever is still a candidate asks for votes.
 * So usually the first one wins before the second begins. Living leaders are safe, for a pre-vote deposes nobody. */
#include "replica/inside.h"

#define FORCE_ATTEMPTS     20u /* while entries are on their way to the disk, one each ms */
#define REDIAL_ATTEMPTS    3u
#define REDIAL_PATIENCE_MS 100u
#define SILENT_MS          4u
#define RANK_MS            20u

/* libraft triples a time-out of 150 ms with heartbeats of 15: a leftover of somebody's tests. */
void elections_set_timeout(struct raft *raft, unsigned timeout_ms)
{
    unsigned heartbeat_ms = raft->heartbeat_timeout;
    raft_set_heartbeat_timeout(raft, 0);
    raft_set_election_timeout(raft, timeout_ms);
    raft_set_heartbeat_timeout(raft, heartbeat_ms);
}

static bool is_voter(const struct raft *raft)
{
    const struct raft_server *self = guards_server(raft, raft->id);
    return self != NULL && self->role == RAFT_VOTER;
}

static void quiet(struct replica *replica)
{
    replica->elections.stage = ELECTION_QUIET;
    loop_timer_stop(replica->options.loop, replica->elections.timer);
}

static bool still_follows(const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    return raft->state == RAFT_FOLLOWER && raft->follower_state.current_leader.id == replica->elections.leader_id &&
           is_voter(raft);
}

void elections_stream_ended(struct replica *replica, struct member *member)
{
    struct elections *elections = &replica->elections;
    const struct raft *raft = &replica->raft;
    if (elections->stage != ELECTION_QUIET || raft->state != RAFT_FOLLOWER || member->id == 0 ||
        raft->follower_state.current_leader.id != member->id || !is_voter(raft)) {
        return;
    }
    elections->stage = ELECTION_REDIALLING;
    elections->leader_id = member->id;
    elections->attempts = 0;
    loop_timer_start(replica->options.loop, elections->timer, REDIAL_PATIENCE_MS);
    peer_redial(member->peer);
}

void elections_stream_up(struct replica *replica, struct member *member)
{
    struct elections *elections = &replica->elections;
    if (elections->stage != ELECTION_QUIET && elections->leader_id == member->id) {
        quiet(replica); /* it lives */
    }
}

static unsigned rank(const struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    unsigned smaller = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        smaller += server->role == RAFT_VOTER && server->id < raft->id && server->id != replica->elections.leader_id;
    }
    return smaller;
}

/* One tick with a time-out that is over. */
static void force(struct replica *replica, bool silent)
{
    elections_set_timeout(&replica->raft, 1);
    replica->side.silent = silent;
    replica->side.tick(&replica->io);
    replica->side.silent = false;
    elections_set_timeout(&replica->raft, replica->options.election_timeout_ms);
}

static void force_silently(struct replica *replica)
{
    struct elections *elections = &replica->elections;
    struct raft *raft = &replica->raft;
    if (!still_follows(replica) || elections->attempts >= FORCE_ATTEMPTS) {
        quiet(replica);
        return;
    }
    if (loop_mono_ms(replica->options.loop) < raft->election_timer_start + 2) {
        loop_timer_start(replica->options.loop, elections->timer, 1);
        return;
    }
    elections->attempts++;
    force(replica, true);
    if (raft->state == RAFT_CANDIDATE && raft->candidate_state.in_pre_vote) {
        elections->stage = ELECTION_SILENT;
        loop_timer_start(replica->options.loop, elections->timer, SILENT_MS + rank(replica) * RANK_MS);
    } else if (raft->state == RAFT_FOLLOWER) {
        loop_timer_start(replica->options.loop, elections->timer, 1); /* entries are not on the disk yet */
    } else {
        quiet(replica);
    }
}

void elections_dial_failed(struct replica *replica, struct member *member, bool refused)
{
    struct elections *elections = &replica->elections;
    if (elections->stage != ELECTION_REDIALLING || elections->leader_id != member->id) {
        return;
    }
    if (!refused) {
        /* The stream to it ended after the one from it did, or the dial failed otherwise. */
        if (elections->attempts++ < REDIAL_ATTEMPTS) {
            peer_redial(member->peer);
        }
        return;
    }
    elections->stage = ELECTION_FORCING;
    elections->attempts = 0;
    force_silently(replica);
    replica_after_step(replica);
}

void elections_timer(void *arg)
{
    struct replica *replica = arg;
    const struct raft *raft = &replica->raft;
    if (!replica_running(replica)) {
        return;
    }
    switch (replica->elections.stage) {
    case ELECTION_QUIET:
        return;
    case ELECTION_REDIALLING:
        quiet(replica); /* neither refused nor accepted: libraft's own time-out decides */
        return;
    case ELECTION_FORCING:
        force_silently(replica);
        break;
    case ELECTION_SILENT:
        quiet(replica);
        if (raft->state == RAFT_CANDIDATE && raft->candidate_state.in_pre_vote) {
            force(replica, false);
        }
        break;
    }
    replica_after_step(replica);
}

/* ---- leaving ---- */

bool elections_can_leave(struct replica *replica)
{
    const struct raft *raft = &replica->raft;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        struct member *member = member_by_id(replica, server->id);
        if (server->role == RAFT_VOTER && server->id != raft->id && member != NULL && member_reachable(member)) {
            return raft->state == RAFT_LEADER;
        }
    }
    return false;
}

/* Never to a member that lags: it ignores the call, and proposals are refused for an election time-out. */
static struct member *up_to_date_voter(struct replica *replica)
{
    struct raft *raft = &replica->raft;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        struct member *member = member_by_id(replica, server->id);
        raft_index match;
        if (server->role == RAFT_VOTER && server->id != raft->id && member != NULL && member_reachable(member) &&
            raft_match_index(raft, server->id, &match) == 0 && match == raft_last_index(raft)) {
            return member;
        }
    }
    return NULL;
}

bool elections_leave(struct replica *replica)
{
    struct raft *raft = &replica->raft;
    if (raft->state != RAFT_LEADER) {
        return raft->state == RAFT_FOLLOWER && raft->follower_state.current_leader.id != 0;
    }
    struct member *member = replica->elections.transferring ? NULL : up_to_date_voter(replica);
    if (member != NULL && raft->transfer == NULL) {
        replica->elections.transferring = true;
        log_info(replica->options.log, "handing leadership over", LOG_TEXT("peer", member->address.name));
        int rv = raft_transfer(raft, &replica->elections.transfer, member->id, NULL);
        if (rv != 0) {
            log_warning(replica->options.log, "leadership not handed over", LOG_TEXT("reason", raft_strerror(rv)));
        }
    }
    return false;
}
