/* opening: from an open storage to a running member. Who am I, who founded the cluster, what do I hold; then libraft. */
#include <stdlib.h>
#include <string.h>

#include "replica/inside.h"

/* ---- options ---- */

static bool is_word(const char *text)
{
    if (text == NULL || text[0] == 0 || strlen(text) > LIMIT_NAME_BYTES) {
        return false;
    }
    for (const char *at = text; *at != 0; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

static enum error check_options(const struct replica_options *options, struct error_text *text)
{
    bool self = false;
    if (options->n_members == 0 || options->n_members > LIMIT_MEMBERS) {
        return error_set(text, ERROR_INVALID, "a cluster has 1 to %u members", LIMIT_MEMBERS);
    }
    for (size_t i = 0; i < options->n_members; i++) {
        const struct replica_member *member = &options->members[i];
        if (!is_word(member->name) || !is_word(member->host) || member->raft_port == 0 || member->http_port == 0) {
            return error_set(text, ERROR_INVALID, "member %zu has no usable name, host or port", i + 1);
        }
        if (i > 0 && strcmp(options->members[i - 1].name, member->name) >= 0) {
            return error_set(text, ERROR_INVALID, "member %s is named twice or out of order", member->name);
        }
        self = self || strcmp(member->name, options->name) == 0;
    }
    if (!self) {
        return error_set(text, ERROR_INVALID, "this node, %s, is not one of the members", options->name);
    }
    if (options->heartbeat_ms == 0 || options->heartbeat_ms >= options->election_timeout_ms) {
        return error_set(text, ERROR_INVALID, "the heartbeat must be shorter than the election time-out");
    }
    return ERROR_NONE;
}

static const char *copy_text(struct replica *replica, const char *text)
{
    return text == NULL ? NULL : (const char *)arena_copy(&replica->arena, slice_of(text)).base;
}

static void copy_options(struct replica *replica, const struct replica_options *options)
{
    replica->options = *options;
    struct replica_member *members = arena_alloc(&replica->arena, options->n_members * sizeof *members);
    CHECK(members != NULL);
    for (size_t i = 0; i < options->n_members; i++) {
        members[i] = options->members[i];
        members[i].name = copy_text(replica, options->members[i].name);
        members[i].host = copy_text(replica, options->members[i].host);
    }
    replica->options.members = members;
    replica->options.name = copy_text(replica, options->name);
    replica->options.listen_host = copy_text(replica, options->listen_host);
    replica->options.advertise_http = copy_text(replica, options->advertise_http);
    replica->options.cluster_key = arena_copy(&replica->arena, options->cluster_key);
}

static const struct replica_member *own_spec(const struct replica *replica)
{
    for (size_t i = 0; i < replica->options.n_members; i++) {
        if (strcmp(replica->options.members[i].name, replica->options.name) == 0) {
            return &replica->options.members[i];
        }
    }
    return NULL;
}

/* ---- identity ---- */

static enum error begin_identity(struct replica *replica, const uint8_t *incarnation, struct error_text *text)
{
    struct storage_identity identity = {.spec = buffer_slice(&replica->spec)};
    size_t len = strlen(replica->options.name);
    memcpy(identity.name, replica->options.name, len + 1);
    if (incarnation == NULL) {
        loop_random(replica->options.loop, identity.incarnation, sizeof identity.incarnation);
    } else {
        memcpy(identity.incarnation, incarnation, sizeof identity.incarnation);
    }
    return storage_identity_begin(replica->options.storage, &identity, text);
}

/* Stores who this node is before anybody is asked; a SPEC that was corrected before the cluster was founded counts. */
static enum error settle_identity(struct replica *replica, struct error_text *text)
{
    const struct storage_identity *identity = storage_identity(replica->options.storage);
    if (identity == NULL) {
        return begin_identity(replica, NULL, text);
    }
    if (strcmp(identity->name, replica->options.name) != 0) {
        return error_set(text, ERROR_FOREIGN, "the data directory is of node %s, this is node %s", identity->name,
                         replica->options.name);
    }
    if (slice_equal(identity->spec, buffer_slice(&replica->spec))) {
        return ERROR_NONE;
    }
    if (!identity->initialised) {
        uint8_t incarnation[16];
        memcpy(incarnation, identity->incarnation, sizeof incarnation);
        return begin_identity(replica, incarnation, text);
    }
    log_warning(replica->options.log, "another list of members than at the first start, ignored",
                LOG_SLICE("first", identity->spec), LOG_SLICE("now", buffer_slice(&replica->spec)));
    return ERROR_NONE;
}

/* ---- founding ---- */

static const struct replica_member *spec_by_name(const struct replica *replica, struct slice name)
{
    for (size_t i = 0; i < replica->options.n_members; i++) {
        if (slice_equal(slice_of(replica->options.members[i].name), name)) {
            return &replica->options.members[i];
        }
    }
    return NULL;
}

/* Entry 1: equal on all members, for it is made of SPEC and founders alone. */
static bool first_configuration(const struct replica *replica, const struct frame_member *founders, size_t n,
                                struct raft_buffer *encoded, uint64_t *own_id)
{
    struct raft_configuration configuration;
    raft_configuration_init(&configuration);
    bool complete = true;
    *own_id = 0;
    for (size_t i = 0; i < n && complete; i++) {
        const struct replica_member *spec = spec_by_name(replica, founders[i].name);
        complete = spec != NULL;
        if (complete) {
            struct buffer address;
            buffer_init(&address);
            address_render(spec->name, founders[i].incarnation, spec, &address);
            complete = raft_configuration_add(&configuration, i + 1, (const char *)address.base, RAFT_VOTER) == 0;
            buffer_close(&address);
            *own_id = strcmp(spec->name, replica->options.name) == 0 ? i + 1 : *own_id;
        }
    }
    complete = complete && *own_id != 0 && raft_configuration_encode(&configuration, encoded) == 0;
    raft_configuration_close(&configuration);
    return complete;
}

static void join_peers(struct replica *replica, const struct frame_member *founders, size_t n,
                       const uint8_t cluster_id[16])
{
    for (size_t i = 0; i < replica->members.n; i++) {
        struct member *member = replica->members.list[i];
        for (size_t j = 0; j < n && member->peer != NULL; j++) {
            if (slice_equal(founders[j].name, slice_of(member->address.name))) {
                peer_set_incarnation(member->peer, founders[j].incarnation);
            }
        }
    }
    peer_set_join(replica->peers, cluster_id);
}

static void bootstrap(struct replica *replica)
{
    const struct frame_member *founders;
    size_t n;
    founding_result(replica->founding, &founders, &n);
    struct storage_identity identity = *storage_identity(replica->options.storage);
    struct raft_buffer configuration;
    if (!first_configuration(replica, founders, n, &configuration, &identity.node_id)) {
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "the founders are not the members of the cluster");
        return;
    }
    struct buffer encoded;
    buffer_init(&encoded);
    founding_encode_founders(founders, n, &encoded);
    identity.founders = buffer_slice(&encoded);
    identity.spec = buffer_slice(&replica->spec);
    founding_compute_cluster_id(identity.spec, founders, n, identity.cluster_id);
    struct storage_entry first = {
        .term = 1,
        .type = RAFT_CHANGE,
        .data = {.base = configuration.base, .len = configuration.len},
    };
    struct error_text text = {{0}};
    enum error error = storage_bootstrap(replica->options.storage, &identity, &first, &text);
    buffer_close(&encoded);
    raft_free(configuration.base);
    if (error != ERROR_NONE) {
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "the first start failed: %s", text.text);
        return;
    }
    log_info(replica->options.log, "cluster founded", LOG_TEXT("node", replica->options.name), LOG_U64("members", n));
    join_peers(replica, founders, n, identity.cluster_id);
    founding_close(replica->founding);
    replica->founding = NULL;
    replica->stage = STAGE_LOADING;
    snapshots_load(replica);
}

void replica_founding_changed(struct replica *replica, enum founding_verdict verdict)
{
    switch (verdict) {
    case FOUNDING_WAIT:
        return;
    case FOUNDING_DECIDED:
        bootstrap(replica);
        break;
    case FOUNDING_LOST:
        replica_fatal(replica, REPLICA_EXIT_DATA, "%s", founding_waiting(replica->founding));
        return;
    }
    if (!replica->dead && replica->options.changed != NULL) {
        replica->options.changed(replica->options.arg);
    }
}

static void begin_founding(struct replica *replica)
{
    const struct storage_identity *identity = storage_identity(replica->options.storage);
    const struct replica_options *options = &replica->options;
    replica->stage = STAGE_FOUNDING;
    replica->founding = founding_open(options->members, options->n_members, options->name, identity->incarnation);
    members_add_founding(replica);
    struct frame_founding_question question = {
        .spec = buffer_slice(&replica->spec),
        .name = slice_of(options->name),
    };
    memcpy(question.incarnation, identity->incarnation, sizeof question.incarnation);
    for (size_t i = 0; i < replica->members.n; i++) {
        if (replica->members.list[i]->peer != NULL) {
            peer_ask_founding(replica->members.list[i]->peer, &question);
        }
    }
    if (options->n_members > 1) {
        log_info(options->log, "asking who founded the cluster",
                 LOG_TEXT("waiting", founding_waiting(replica->founding)));
    }
}

/* The members as the disk has them, so that streams are accepted while a snapshot is still being loaded. */
static void meet_members(struct replica *replica)
{
    struct storage_loaded loaded;
    storage_loaded(replica->options.storage, &loaded);
    struct slice newest = loaded.snapshot.index > 0 ? loaded.snapshot.configuration : (struct slice){0};
    for (size_t i = 0; i < loaded.n_entries; i++) {
        newest = loaded.entries[i].type == RAFT_CHANGE ? loaded.entries[i].data : newest;
    }
    struct raft_buffer encoded = {.base = (void *)newest.base, .len = newest.len};
    struct raft_configuration configuration;
    if (!guards_configuration_valid(newest.base, newest.len) ||
        raft_configuration_decode(&encoded, &configuration) != 0) {
        return; /* load tells what is wrong */
    }
    members_sync(replica, &configuration);
    raft_configuration_close(&configuration);
}

/* ---- libraft ---- */

static void guards_deliver(void *arg, struct raft_message *message)
{
    struct replica *replica = arg;
    replica->side.recv(&replica->io, message);
}

static bool guards_transfer_recent(void *arg, raft_id id)
{
    struct replica *replica = arg;
    for (size_t i = 0; i < replica->members.n; i++) {
        struct member *member = replica->members.list[i];
        if ((id == 0 || member->id == id) && transfer_recent(replica, member)) {
            return true;
        }
    }
    return false;
}

static bool guards_reachable(void *arg, raft_id id)
{
    struct member *member = member_by_id(arg, id);
    return member != NULL && member_reachable(member);
}

static uint64_t guards_log_bytes(void *arg)
{
    struct replica *replica = arg;
    struct storage_figures figures;
    storage_figures(replica->options.storage, &figures);
    /* A log that has no segment to go on with, and no space for one, can't wait for followers. */
    return figures.reserve_ok || figures.segment_ready ? figures.log_bytes_since_snapshot : UINT64_MAX;
}

static uint64_t guards_now_ms(void *arg)
{
    const struct replica *replica = arg;
    return loop_mono_ms(replica->options.loop);
}

static void guards_fatal(void *arg, const char *sentence)
{
    replica_fatal(arg, REPLICA_EXIT_FAILURE, "%s", sentence);
}

static void configure(struct replica *replica)
{
    static const struct guards_world world = {
        .deliver = guards_deliver,
        .transfer_recent = guards_transfer_recent,
        .reachable = guards_reachable,
        .log_bytes = guards_log_bytes,
        .now_ms = guards_now_ms,
        .fatal = guards_fatal,
    };
    struct raft *raft = &replica->raft;
    unsigned trailing = replica->options.snapshot_trailing;
    trailing = trailing == 0 ? LIMIT_SNAPSHOT_TRAILING : trailing;
    guards_init(&replica->guards, raft, &world, replica);
    replica->guards.off = replica->options.test_guards_off;
    replica->guards.election_timeout_ms = replica->options.election_timeout_ms;
    replica->guards.trailing = trailing;
    raft_set_pre_vote(raft, true);
    elections_set_timeout(raft, replica->options.election_timeout_ms);
    raft_set_heartbeat_timeout(raft, replica->options.heartbeat_ms);
    raft_set_install_snapshot_timeout(raft, REPLICA_INSTALL_TIMEOUT_MS);
    raft_set_snapshot_trailing(raft, trailing);
    raft_set_snapshot_threshold(raft, REPLICA_THRESHOLD_IDLE);
    raft_set_capacity_threshold(raft, 0);
    raft_set_max_inflight_entries(raft, LIMIT_APPEND_ENTRIES);
    raft_set_max_catch_up_round_duration(raft, REPLICA_CATCH_UP_ROUND_MS);
}

static void start_raft(struct replica *replica)
{
    const struct storage_identity *identity = storage_identity(replica->options.storage);
    struct buffer address;
    buffer_init(&address);
    address_render(replica->options.name, identity->incarnation, own_spec(replica), &address);
    machine_init(replica);
    raft_side_init(replica);
    int rv = raft_init(&replica->raft, &replica->io, &replica->fsm, identity->node_id, (const char *)address.base);
    buffer_close(&address);
    CHECK(rv == 0);
    replica->raft_open = true;
    configure(replica);
    if (!guards_layout_known(&replica->raft)) {
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "libraft 0.22.1 is required, this is another one");
        return;
    }
    rv = raft_start(&replica->raft);
    if (rv != 0 && !replica->dead) {
        replica_fatal(replica, REPLICA_EXIT_FAILURE, "the consensus library can't start: %s", raft_strerror(rv));
    }
}

/* The table is what the newest snapshot holds; libraft applies the log behind it. */
void replica_loaded(struct replica *replica)
{
    if (replica->closing != CLOSING_NOT) {
        replica_want_turn(replica);
        return;
    }
    replica->table = replica->snapshots.loading.table;
    replica->snapshots.loading.table = NULL;
    machine_observe(replica);
    start_raft(replica);
    if (replica->dead) {
        return;
    }
    replica->stage = STAGE_RUNNING;
    log_info(replica->options.log, "replica started", LOG_TEXT("node", replica->options.name),
             LOG_U64("term", replica->raft.current_term), LOG_U64("snapshot", replica->raft.trail.snapshot.index),
             LOG_U64("last", raft_last_index(&replica->raft)));
    replica_after_step(replica);
    replica_want_turn(replica);
}

/* ---- the door ---- */

/* A single member founds its cluster alone, but not before replica_open has returned. */
void replica_first_turn(struct replica *replica)
{
    if (replica->stage == STAGE_FOUNDING && replica->founding != NULL && replica->closing == CLOSING_NOT) {
        replica_founding_changed(replica, founding_verdict(replica->founding));
    }
}

static struct replica *replica_new(const struct replica_options *options)
{
    struct replica *replica = calloc(1, sizeof *replica);
    CHECK(replica != NULL);
    arena_init(&replica->arena, 0);
    arena_init(&replica->apply_arena, 64u * LIMIT_ENTRY_BYTES);
    arena_init(&replica->answer_arena, 64u * LIMIT_FRAME_HANDSHAKE_BYTES);
    copy_options(replica, options);
    founding_render_spec(replica->options.members, replica->options.n_members, &replica->spec);
    loop_random(options->loop, replica->run_id, sizeof replica->run_id);
    memcpy(&replica->waiters.seed, replica->run_id, sizeof replica->waiters.seed);
    replica->seen_reserve = true;
    return replica;
}

enum error replica_open(const struct replica_options *options, struct replica **result, struct error_text *text)
{
    enum error error = check_options(options, text);
    if (error != ERROR_NONE) {
        return error;
    }
    struct replica *replica = replica_new(options);
    replica_init_loop(replica);
    error = settle_identity(replica, text);
    if (error == ERROR_NONE) {
        error = members_open_peers(replica, text);
    }
    if (error != ERROR_NONE) {
        replica_free(replica, true);
        return error;
    }
    const struct storage_identity *identity = storage_identity(options->storage);
    if (identity->initialised) {
        peer_set_join(replica->peers, identity->cluster_id);
        meet_members(replica);
        replica->stage = STAGE_LOADING;
        snapshots_load(replica);
    } else {
        begin_founding(replica);
    }
    loop_timer_start(options->loop, replica->tick_timer, REPLICA_TICK_MS);
    replica_want_turn(replica);
    *result = replica;
    return ERROR_NONE;
}
