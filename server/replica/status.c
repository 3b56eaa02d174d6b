/* status: looking in. Nothing here changes anything. */
#include <stdio.h>

#include "core/rules.h"
#include "replica/inside.h"

const char *replica_role_name(enum replica_role role)
{
    switch (role) {
    case REPLICA_STARTING:
        return "starting";
    case REPLICA_FOUNDING:
        return "founding";
    case REPLICA_FOLLOWER:
        return "follower";
    case REPLICA_CANDIDATE:
        return "candidate";
    case REPLICA_LEADER:
        return "leader";
    }
    return "unknown";
}

static enum replica_role role_of(const struct replica *replica)
{
    switch (replica->stage) {
    case STAGE_FOUNDING:
        return REPLICA_FOUNDING;
    case STAGE_LOADING:
    case STAGE_ENDING:
        return REPLICA_STARTING;
    case STAGE_RUNNING:
        break;
    }
    switch (replica->raft.state) {
    case RAFT_LEADER:
        return REPLICA_LEADER;
    case RAFT_CANDIDATE:
        return REPLICA_CANDIDATE;
    default:
        return REPLICA_FOLLOWER;
    }
}

static const char *member_role(const struct replica *replica, const struct member *member)
{
    const struct raft_server *server =
        replica->stage == STAGE_RUNNING ? guards_server(&replica->raft, member->id) : NULL;
    if (server == NULL) {
        return "voter"; /* of SPEC: libraft isn't there to ask */
    }
    return server->role == RAFT_VOTER ? "voter" : server->role == RAFT_STANDBY ? "standby" : "spare";
}

static void fill_contact(const struct replica *replica, const struct member *member,
                         struct replica_member_status *status)
{
    status->is_self = member->peer == NULL;
    status->has_contact = status->is_self || member->heard;
    status->last_contact_ms =
        !status->is_self && member->heard ? (replica_now_ns(replica) - member->heard_ns) / NS_PER_MS : 0;
    status->rules_newest = status->is_self ? rules_version_newest() : member->rules_newest;
}

static void fill_members(struct replica *replica, struct replica_status *status)
{
    for (size_t i = 0; i < replica->members.n; i++) {
        struct member *member = replica->members.list[i];
        raft_index match = 0;
        if (replica->stage == STAGE_RUNNING && raft_match_index(&replica->raft, member->id, &match) != 0) {
            match = 0;
        }
        replica->statuses[i] = (struct replica_member_status){
            .name = member->address.name,
            .http_address = member_http(replica, member),
            .raft_address = member->address.raft,
            .role = member_role(replica, member),
            .reachable = member_reachable(member),
            .match_index = match,
        };
        fill_contact(replica, member, &replica->statuses[i]);
    }
    status->members = replica->statuses;
    status->n_members = replica->members.n;
}

static uint32_t snapshot_busy_ms(const struct replica *replica)
{
    uint64_t since_ns = replica->snapshots.busy_since_ns;
    if (since_ns == 0) {
        return 0;
    }
    uint64_t ms = (replica_now_ns(replica) - since_ns) / NS_PER_MS;
    return ms == 0 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static const char *waiting(struct replica *replica)
{
    if (replica->stage == STAGE_FOUNDING && replica->founding != NULL) {
        (void)snprintf(replica->waiting, sizeof replica->waiting, "%s", founding_waiting(replica->founding));
        return replica->waiting;
    }
    if (replica->stage == STAGE_LOADING) {
        return "for the snapshot to be loaded";
    }
    return replica->stage == STAGE_RUNNING && replica->seen_leader == 0 ? "for a leader" : NULL;
}

static uint64_t operations_queued(const struct replica *replica)
{
    const uint64_t *waiting = replica->waiters.n_states;
    return replica->operations.undecided + waiting[WAITER_QUEUED] + waiting[WAITER_NEW] + waiting[WAITER_CALLED] +
           waiting[WAITER_PROPOSED];
}

void replica_status(struct replica *replica, struct replica_status *status)
{
    struct storage_figures figures;
    struct storage_snapshot_info newest;
    *status = (struct replica_status){.role = role_of(replica), .reserve_ok = true};
    if (replica->dead) {
        return; /* the storage may be gone */
    }
    storage_figures(replica->options.storage, &figures);
    storage_snapshot_newest(replica->options.storage, &newest);
    struct member *leader = member_by_id(replica, replica->seen_leader);
    status->leader = leader == NULL ? NULL : leader->address.name;
    status->leader_http = leader == NULL ? NULL : member_http(replica, leader);
    status->term = replica->raft.current_term;
    status->commit_index = replica->raft.commit_index;
    status->applied_index = replica->raft.last_applied;
    status->ready = replica->stage == STAGE_RUNNING && replica->seen_ready;
    status->waiting = waiting(replica);
    status->snapshot_busy = replica->snapshots.busy_reported;
    status->reserve_ok = figures.reserve_ok;
    status->leader_changes = replica->leader_changes;
    status->last_snapshot_index = newest.index;
    status->operations_queued = operations_queued(replica);
    status->waiters = waiting_count(replica);
    status->expirations = replica->expirations;
    status->rules_version = replica->table == NULL ? 0 : raising_in_force(replica);
    status->snapshot_busy_ms = snapshot_busy_ms(replica);
    fill_members(replica, status);
}
