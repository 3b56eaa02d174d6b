/* The guards of LIBRAFT.md, in its order and under its numbers. A message without any of the defects' conditions passes
 * through unchanged; everything below is about the others. Debian builds libraft with NDEBUG, so what it asserts is not
 * checked there: what a peer could break is checked here first. */
#include "replica/guards.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/slice.h"

/* Of a member, as a text of four words. */
#define ADDRESS_BYTES (LIMIT_NAME_BYTES + 32u + 2u * LIMIT_ADDRESS_BYTES + 8u)

static bool guard_on(const struct guards *guards, unsigned number)
{
    return (guards->off & 1u << (number - 1)) == 0;
}

static void guards_fatal(struct guards *guards, const char *sentence)
{
    guards->dead = true;
    guards->world->fatal(guards->arg, sentence);
}

void guards_init(struct guards *guards, struct raft *raft, const struct guards_world *world, void *arg)
{
    *guards = (struct guards){.raft = raft, .world = world, .arg = arg};
}

void guards_close(struct guards *guards)
{
    if (guards->has_held) {
        guards_free_message(&guards->held);
        guards->has_held = false;
    }
}

/* ---- reading libraft ---- */

#if RAFT_VERSION_NUMBER != 2201
#error "the guards are about libraft 0.22.1"
#endif

bool guards_layout_known(struct raft *raft)
{
    unsigned threshold = raft->legacy.snapshot_threshold;
    unsigned inflight = raft->max_inflight_entries;
    unsigned duration = raft->max_catch_up_round_duration;
    raft_set_snapshot_threshold(raft, 0x5a5a5a5a);
    raft_set_max_inflight_entries(raft, 0x3c3c3c3c);
    raft_set_max_catch_up_round_duration(raft, 0x69696969);
    bool known = raft->legacy.snapshot_threshold == 0x5a5a5a5a && raft->max_inflight_entries == 0x3c3c3c3c &&
                 raft->max_catch_up_round_duration == 0x69696969 && raft->trail.offset == 0 &&
                 raft->trail.snapshot.index == 0 && raft->state == RAFT_FOLLOWER && raft->legacy.change == NULL &&
                 raft_last_index(raft) == 0 && !raft->snapshot.installing;
    raft_set_snapshot_threshold(raft, threshold);
    raft_set_max_inflight_entries(raft, inflight);
    raft_set_max_catch_up_round_duration(raft, duration);
    return known;
}

raft_term guards_term_of(const struct raft *raft, raft_index index)
{
    const struct raft_trail *trail = &raft->trail;
    unsigned n = trail->front <= trail->back ? trail->back - trail->front : trail->size - trail->front + trail->back;
    raft_index last = n == 0 ? trail->offset : trail->records[(trail->front + n - 1) % trail->size].index;
    if (index <= trail->offset || index > last) {
        return index != 0 && index == trail->snapshot.index ? trail->snapshot.term : 0;
    }
    /* Each record holds the last index of its term; the newest terms are asked for most. */
    while (n > 1 && trail->records[(trail->front + n - 2) % trail->size].index >= index) {
        n--;
    }
    return trail->records[(trail->front + n - 1) % trail->size].term;
}

const struct raft_server *guards_server(const struct raft *raft, raft_id id)
{
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        if (raft->configuration.servers[i].id == id) {
            return &raft->configuration.servers[i];
        }
    }
    return NULL;
}

struct encoded_server { /* in an encoded configuration */
    raft_id id;
    const char *address;
};

static bool encoded_server_take(const uint8_t **at, const uint8_t *end, struct encoded_server *server)
{
    if (end - *at < 8) {
        return false;
    }
    server->id = bytes_get_u64(*at);
    server->address = (const char *)*at + 8;
    const uint8_t *zero = memchr(*at + 8, 0, (size_t)(end - *at - 8));
    if (server->id == 0 || zero == NULL || end - zero < 2 || zero[1] > RAFT_SPARE) {
        return false;
    }
    *at = zero + 2;
    return true;
}

/* The first word of an address names its member. */
static bool same_name(const char *one, const char *other)
{
    size_t len = strcspn(one, " ");
    return strcspn(other, " ") == len && memcmp(one, other, len) == 0;
}

/* libraft doesn't decode one that has an id or an address twice; and an entry that it can't decode it frees twice. Two
 * members of one name would have one stream between them. */
bool guards_configuration_valid(const void *bytes, size_t len)
{
    struct encoded_server servers[LIMIT_MEMBERS];
    const uint8_t *at = bytes;
    if (bytes == NULL || len < 9 || at[0] != 1) {
        return false;
    }
    const uint8_t *end = at + len;
    uint64_t n = bytes_get_u64(at + 1);
    at += 9;
    if (n == 0 || n > LIMIT_MEMBERS) {
        return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        if (!encoded_server_take(&at, end, &servers[i])) {
            return false;
        }
        for (uint64_t j = 0; j < i; j++) {
            if (servers[j].id == servers[i].id || same_name(servers[j].address, servers[i].address)) {
                return false;
            }
        }
    }
    return true;
}

void guards_free_message(struct raft_message *message)
{
    if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
        raft_free(message->append_entries.entries[0].batch);
        raft_free(message->append_entries.entries);
        message->append_entries.entries = NULL;
        message->append_entries.n_entries = 0;
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_configuration_init(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
        message->install_snapshot.data.base = NULL;
    }
}

static void deliver(struct guards *guards, struct raft_message *message)
{
    if (guards->dead) {
        guards_free_message(message);
        return;
    }
    guards->world->deliver(guards->arg, message);
}

/* ---- receiving ---- */

/* AppendEntries of a term below ours: libraft frees nothing of it and answers with prev, which must not be 0, or the
 * rejection reads as a success. Delivered empty, so that the reply carries our term. */
static bool guard_01_stale_term(struct guards *guards, struct raft_message *message)
{
    if (!guard_on(guards, 1)) {
        return false;
    }
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
        if (message->install_snapshot.term < guards->raft->current_term) {
            guards_free_message(message);
            return true;
        }
        return false;
    }
    struct raft_append_entries *append = &message->append_entries;
    if (append->term >= guards->raft->current_term) {
        return false;
    }
    guards_free_message(message);
    append->prev_log_index = append->prev_log_index == 0 ? 1 : append->prev_log_index;
    guards->stale_reply = true;
    deliver(guards, message);
    guards->stale_reply = false;
    return true;
}

/* libraft forgets the terms of entries below its snapshot, and rejects what it can't compare. */
static bool guard_02_stale_prev(struct guards *guards, struct raft_append_entries *append)
{
    const struct raft_trail *trail = &guards->raft->trail;
    raft_index snapshot = trail->snapshot.index;
    if (!guard_on(guards, 2) || append->prev_log_index >= snapshot) {
        return true;
    }
    raft_index cut = snapshot - append->prev_log_index;
    if (append->n_entries > cut) {
        raft_term term = append->entries[cut - 1].term;
        if (term != trail->snapshot.term) {
            guards_fatal(guards, "the leader's log and the own snapshot disagree about an acknowledged entry");
            return false;
        }
        append->n_entries -= (unsigned)cut;
        memmove(append->entries, append->entries + cut, append->n_entries * sizeof append->entries[0]);
    } else if (append->n_entries > 0) {
        raft_free(append->entries[0].batch);
        raft_free(append->entries);
        append->entries = NULL;
        append->n_entries = 0;
    }
    append->prev_log_index = snapshot;
    append->prev_log_term = trail->snapshot.term;
    return true;
}

/* libraft would lower its commit index to prev + n. */
static void guard_05_clamp(const struct guards *guards, struct raft_append_entries *append)
{
    raft_index commit = guards->raft->commit_index;
    if (guard_on(guards, 5) && append->leader_commit > commit && append->prev_log_index + append->n_entries < commit) {
        append->leader_commit = commit;
    }
}

/* A new RAFT_CHANGE means that the one before is committed; libraft must know before it forgets the older one's index. */
static void guard_04_commit_first(struct guards *guards, const struct raft_message *message)
{
    const struct raft *raft = guards->raft;
    const struct raft_append_entries *append = &message->append_entries;
    raft_index prev = append->prev_log_index;
    if (!guard_on(guards, 4) || prev == 0 || guards_term_of(raft, prev) != append->prev_log_term) {
        return;
    }
    raft_index commit = append->leader_commit;
    if (raft->configuration_uncommitted_index <= prev && raft->configuration_uncommitted_index > commit) {
        commit = raft->configuration_uncommitted_index;
    }
    if (commit > raft->commit_index) {
        struct raft_message empty = *message;
        empty.append_entries.entries = NULL;
        empty.append_entries.n_entries = 0;
        empty.append_entries.leader_commit = commit;
        guard_05_clamp(guards, &empty.append_entries);
        deliver(guards, &empty);
    }
}

static void deliver_part(struct guards *guards, struct raft_message *message)
{
    if (message->append_entries.n_entries > 0 && message->append_entries.entries[0].type == RAFT_CHANGE) {
        guard_04_commit_first(guards, message);
    }
    guard_05_clamp(guards, &message->append_entries);
    deliver(guards, message);
}

static void copy_part(const struct raft_append_entries *whole, unsigned from, unsigned to,
                      struct raft_append_entries *part)
{
    size_t bytes = 0;
    for (unsigned i = from; i < to; i++) {
        bytes += whole->entries[i].buf.len;
    }
    uint8_t *batch = raft_malloc(bytes == 0 ? 1 : bytes);
    struct raft_entry *entries = raft_malloc((to - from) * sizeof *entries);
    CHECK(batch != NULL && entries != NULL);
    part->entries = entries;
    part->n_entries = to - from;
    uint8_t *at = batch;
    for (unsigned i = from; i < to; i++) {
        struct raft_entry *entry = &entries[i - from];
        *entry = whole->entries[i];
        memcpy(at, entry->buf.base, entry->buf.len);
        entry->buf.base = at;
        entry->batch = batch;
        at += entry->buf.len;
    }
    if (from > 0) {
        part->prev_log_index = whole->prev_log_index + from;
        part->prev_log_term = whole->entries[from - 1].term;
    }
}

/* libraft files every RAFT_CHANGE of a message under the index of the first new entry. */
static bool guard_03_split(struct guards *guards, struct raft_message *message)
{
    struct raft_append_entries *whole = &message->append_entries;
    unsigned changes = 0;
    for (unsigned i = 1; i < whole->n_entries; i++) {
        changes += whole->entries[i].type == RAFT_CHANGE;
    }
    if (!guard_on(guards, 3) || changes == 0) {
        return false;
    }
    unsigned from = 0;
    while (from < whole->n_entries) {
        unsigned to = from + 1;
        while (to < whole->n_entries && whole->entries[to].type != RAFT_CHANGE) {
            to++;
        }
        struct raft_message part = *message;
        copy_part(whole, from, to, &part.append_entries);
        deliver_part(guards, &part);
        from = to;
    }
    guards_free_message(message);
    return true;
}

/* What libraft asserts (and in Debian's build doesn't check) about entries. */
static bool append_is_well_formed(const struct raft_append_entries *append)
{
    if ((append->prev_log_index == 0) != (append->prev_log_term == 0) || append->prev_log_term > append->term ||
        append->prev_log_index > UINT64_MAX / 2) {
        return false;
    }
    raft_term term = append->prev_log_term == 0 ? 1 : append->prev_log_term;
    for (unsigned i = 0; i < append->n_entries; i++) {
        const struct raft_entry *entry = &append->entries[i];
        if (entry->term < term || entry->term > append->term || entry->type < RAFT_COMMAND ||
            entry->type > RAFT_CHANGE || entry->buf.len == 0) {
            return false;
        }
        if (entry->type == RAFT_CHANGE && !guards_configuration_valid(entry->buf.base, entry->buf.len)) {
            return false;
        }
        term = entry->term;
    }
    return true;
}

/* A committed entry that the leader has otherwise: libraft only returns an error that nobody sees. */
static bool append_contradicts(const struct raft *raft, const struct raft_append_entries *append)
{
    raft_term own = append->prev_log_index <= raft->commit_index ? guards_term_of(raft, append->prev_log_index) : 0;
    if (own != 0 && own != append->prev_log_term) {
        return true;
    }
    for (unsigned i = 0; i < append->n_entries; i++) {
        raft_index index = append->prev_log_index + 1 + i;
        if (index > raft->commit_index) {
            break;
        }
        own = guards_term_of(raft, index);
        if (own != 0 && own != append->entries[i].term) {
            return true;
        }
    }
    return false;
}

static void receive_append_entries(struct guards *guards, struct raft_message *message)
{
    struct raft *raft = guards->raft;
    struct raft_append_entries *append = &message->append_entries;
    if (!append_is_well_formed(append) || (raft->state == RAFT_LEADER && append->term == raft->current_term)) {
        guards_free_message(message); /* a term has one leader: who claims to be another isn't believed */
        return;
    }
    if (guard_01_stale_term(guards, message)) {
        return;
    }
    guards->heard_ms = guards->world->now_ms(guards->arg);
    guards->leader_commit = append->leader_commit;
    if (append_contradicts(raft, append)) {
        guards_free_message(message);
        guards_fatal(guards, "the leader's log and the own one disagree about an acknowledged entry");
        return;
    }
    if (!guard_02_stale_prev(guards, append)) {
        guards_free_message(message);
        return;
    }
    if (!guard_03_split(guards, message)) {
        deliver_part(guards, message);
    }
}

/* libraft takes a second install for the first one, and loses one that comes while it takes a snapshot of its own. */
static bool guard_06_install(struct guards *guards, struct raft_message *message)
{
    if (!guard_on(guards, 6)) {
        return false;
    }
    if (guards->raft->snapshot.installing) {
        guards_free_message(message);
        return true;
    }
    if (!guards->raft->legacy.snapshot_taking) {
        return false;
    }
    guards_close(guards); /* the newest is the one to keep */
    guards->held = *message;
    guards->held.server_address = NULL;
    guards->has_held = true;
    return true;
}

static void receive_install_snapshot(struct guards *guards, struct raft_message *message)
{
    const struct raft *raft = guards->raft;
    const struct raft_install_snapshot *install = &message->install_snapshot;
    bool well_formed = install->last_index > 0 && install->last_term > 0 && install->last_term <= install->term &&
                       install->conf_index <= install->last_index && install->conf.n > 0;
    if (!well_formed || (raft->state == RAFT_LEADER && install->term == raft->current_term)) {
        guards_free_message(message);
        return;
    }
    if (guard_01_stale_term(guards, message)) {
        return;
    }
    guards->heard_ms = guards->world->now_ms(guards->arg);
    if (!guard_06_install(guards, message)) {
        deliver(guards, message);
    }
}

bool guards_release_held(struct guards *guards)
{
    if (!guards->has_held || guards->raft->legacy.snapshot_taking || guards->dead) {
        return false;
    }
    guards->has_held = false;
    struct raft_message message = guards->held;
    const struct raft_server *server = guards_server(guards->raft, message.server_id);
    if (server == NULL) {
        guards_free_message(&message);
        return true;
    }
    message.server_address = server->address;
    receive_install_snapshot(guards, &message); /* the term may have moved on meanwhile: guard 1 looks again */
    return true;
}

bool guards_stream_ended(struct guards *guards, raft_id id)
{
    if (!guards->has_held || guards->held.server_id != id) {
        return false;
    }
    guards_close(guards);
    return true;
}

/* Outside an election libraft reads the wrong member of a union to judge a vote. */
static bool guard_07_late_votes(const struct guards *guards)
{
    return guard_on(guards, 7) && guards->raft->state != RAFT_CANDIDATE;
}

/* While a snapshot is on its way each heartbeat is rejected, and each rejection would have the snapshot sent again. */
static void guard_08_storm(const struct guards *guards, raft_id id, struct raft_append_entries_result *result)
{
    const struct raft *raft = guards->raft;
    if (guard_on(guards, 8) && raft->state == RAFT_LEADER && result->term == raft->current_term &&
        result->rejected > 0 && guards->world->transfer_recent(guards->arg, id)) {
        result->rejected = 0;
        result->last_log_index = 0;
    }
}

/* A standby that hasn't heard of its own promotion must vote like the voter it is. */
static void guard_16_promotion(struct guards *guards, struct raft_message *message)
{
    struct raft *raft = guards->raft;
    struct raft_server *self = (struct raft_server *)guards_server(raft, raft->id);
    if (!guard_on(guards, 16) || self == NULL || self->role == RAFT_VOTER || raft->state != RAFT_FOLLOWER) {
        deliver(guards, message);
        return;
    }
    uint64_t silent_ms = guards->world->now_ms(guards->arg) - guards->heard_ms;
    if (message->request_vote.candidate_id == raft->follower_state.current_leader.id ||
        silent_ms >= guards->election_timeout_ms) {
        raft->follower_state.current_leader.id = 0;
    }
    int role = self->role;
    self->role = RAFT_VOTER;
    deliver(guards, message);
    self = (struct raft_server *)guards_server(raft, raft->id);
    if (self != NULL) {
        self->role = role;
    }
}

static void receive_by_type(struct guards *guards, struct raft_message *message)
{
    switch (message->type) {
    case RAFT_APPEND_ENTRIES:
        receive_append_entries(guards, message);
        return;
    case RAFT_INSTALL_SNAPSHOT:
        receive_install_snapshot(guards, message);
        return;
    case RAFT_REQUEST_VOTE:
        guard_16_promotion(guards, message);
        return;
    case RAFT_REQUEST_VOTE_RESULT:
        if (guard_07_late_votes(guards)) {
            return;
        }
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        guard_08_storm(guards, message->server_id, &message->append_entries_result);
        break;
    case RAFT_TIMEOUT_NOW:
        break;
    }
    deliver(guards, message);
}

/* A part may replace the configuration that the sender's address is read from, while the next one still points to it. */
void guards_receive(struct guards *guards, struct raft_message *message)
{
    char address[ADDRESS_BYTES];
    struct raft_message kept = *message;
    if (guards->dead) {
        guards_free_message(message);
        return;
    }
    (void)snprintf(address, sizeof address, "%s", message->server_address);
    kept.server_address = address;
    receive_by_type(guards, &kept);
}

/* ---- sending ---- */

/* libraft raises the index of an InstallSnapshot to that of the snapshot that it was given, and leaves the term; the
 * address it kept may be freed by now. */
static bool guard_09_snapshot_term(const struct guards *guards, struct raft_message *message)
{
    const struct raft *raft = guards->raft;
    const struct raft_server *server = guards_server(raft, message->server_id);
    if (raft->state != RAFT_LEADER || server == NULL || message->install_snapshot.term != raft->current_term) {
        return false;
    }
    message->server_address = server->address;
    if (guard_on(guards, 9) && message->install_snapshot.last_index == guards->snapshot_index) {
        message->install_snapshot.last_term = guards->snapshot_term;
    }
    return true;
}

/* A refusal repeats the candidate's term, so that a candidate that is behind never learns of ours. */
static void guard_10_pre_vote_term(const struct guards *guards, struct raft_request_vote_result *result)
{
    if (guard_on(guards, 10) && result->pre_vote && !result->vote_granted &&
        result->term < guards->raft->current_term) {
        result->term = guards->raft->current_term;
    }
}

bool guards_send(struct guards *guards, struct raft_message *message)
{
    switch (message->type) {
    case RAFT_INSTALL_SNAPSHOT:
        return guard_09_snapshot_term(guards, message);
    case RAFT_REQUEST_VOTE_RESULT:
        guard_10_pre_vote_term(guards, &message->request_vote_result);
        return true;
    case RAFT_APPEND_ENTRIES_RESULT:
        if (guards->stale_reply) {
            message->append_entries_result.last_log_index = 0;
        }
        return true;
    default:
        return true;
    }
}

/* ---- around the state machine ---- */

static const char *guard_11_snapshot_settled(const struct guards *guards)
{
    const struct raft *raft = guards->raft;
    if (!guard_on(guards, 11)) {
        return NULL;
    }
    if (raft->configuration_uncommitted_index != 0) {
        return "a change of the members is not committed";
    }
    if (raft->last_applied != raft->commit_index) {
        return "committed entries are not applied";
    }
    if (raft->last_stored < raft->last_applied) {
        return "applied entries are not on the disk";
    }
    if (raft->configuration_committed_index > raft->last_applied) {
        return "the newest change of the members is not applied";
    }
    return NULL;
}

static const char *guard_12_snapshot_followers(const struct guards *guards)
{
    const struct raft *raft = guards->raft;
    if (!guard_on(guards, 12) || raft->state != RAFT_LEADER ||
        guards->world->log_bytes(guards->arg) > GUARD_LOG_BYTES) {
        return NULL;
    }
    if (guards->world->transfer_recent(guards->arg, 0)) {
        return "a snapshot is being sent to a member";
    }
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        raft_id id = raft->configuration.servers[i].id;
        raft_index match;
        if (id == raft->id || !guards->world->reachable(guards->arg, id) || raft_match_index(raft, id, &match) != 0) {
            continue;
        }
        if (match >= raft->trail.offset && match + guards->trailing < raft->last_applied) {
            return "a member still needs entries that a snapshot would drop";
        }
    }
    return NULL;
}

const char *guards_snapshot_busy(const struct guards *guards)
{
    const char *reason = guard_11_snapshot_settled(guards);
    return reason != NULL ? reason : guard_12_snapshot_followers(guards);
}

static bool guard_13_append_index(struct guards *guards, raft_index next_index)
{
    if (guard_on(guards, 13) && raft_last_index(guards->raft) != next_index - 1) {
        guards_fatal(guards, "the consensus library and the log count their entries differently");
        return false;
    }
    return true;
}

bool guards_check_append(struct guards *guards, raft_index next_index)
{
    return guard_13_append_index(guards, next_index);
}

static bool guard_15_contradicting_log(const struct guards *guards, struct guards_log *log)
{
    if (!guard_on(guards, 15) || log->snapshot_index == 0) {
        return false;
    }
    raft_index last = log->start_index + log->n_entries - 1;
    bool before = last < log->snapshot_index;
    bool other = !before && log->start_index <= log->snapshot_index &&
                 log->entries[log->snapshot_index - log->start_index].term != log->snapshot_term;
    if (!before && !other) {
        return false;
    }
    log->n_entries = 0;
    log->start_index = log->snapshot_index + 1;
    return true;
}

bool guards_load(const struct guards *guards, struct guards_log *log)
{
    return guard_15_contradicting_log(guards, log);
}

static bool only_voter(const struct raft_configuration *configuration, raft_id id)
{
    bool self = false;
    unsigned voters = 0;
    for (unsigned i = 0; i < configuration->n; i++) {
        if (configuration->servers[i].role == RAFT_VOTER) {
            voters++;
            self = self || configuration->servers[i].id == id;
        }
    }
    return self && voters == 1;
}

static bool guard_14_sole_voter(const struct guards *guards, raft_id id, const struct guards_log *log)
{
    if (!guard_on(guards, 14)) {
        return false;
    }
    for (size_t i = log->n_entries; i > 0; i--) {
        const struct raft_entry *entry = &log->entries[i - 1];
        if (entry->type != RAFT_CHANGE) {
            continue;
        }
        struct raft_configuration configuration;
        if (raft_configuration_decode(&entry->buf, &configuration) != 0) {
            return false;
        }
        bool only = only_voter(&configuration, id);
        raft_configuration_close(&configuration);
        return only;
    }
    return log->snapshot_configuration != NULL && only_voter(log->snapshot_configuration, id);
}

bool guards_sole_voter(const struct guards *guards, raft_id id, const struct guards_log *log)
{
    return guard_14_sole_voter(guards, id, log);
}
