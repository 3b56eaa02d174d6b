#include "cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what a member tells ---- */

static int64_t log_wall_ms(void *data)
{
    const struct node *node = data;
    return (int64_t)(node->cluster->world.now_ns / SIM_MS);
}

static void log_print(void *data, const char *line, size_t len)
{
    struct node *node = data;
    const char *watch = node->cluster->watch;
    if (watch != NULL && memmem(line, len, watch, strlen(watch)) != NULL) {
        node->watched++;
        (void)snprintf(node->watched_line, sizeof node->watched_line, "%.*s", (int)len, line);
    }
    if (node->cluster->verbose) {
        (void)fprintf(stderr, "%12.6f %s %.*s", (double)node->cluster->world.now_ns / 1e9, node->sim->name, (int)len,
                      line);
    }
}

static void complain(struct node *node, enum replica_exit code, const char *sentence)
{
    if (!node->sim->doomed) {
        (void)snprintf(node->complaint, sizeof node->complaint, "%s", sentence);
        node->exit = code;
        sim_node_doom(node->sim, SIM_KILLED);
    }
}

static void on_storage_fatal(void *arg, const char *path, uint64_t offset, const char *what, int os_error)
{
    char sentence[500];
    (void)snprintf(sentence, sizeof sentence, "%s at %llu: %s (errno %d)", path, (unsigned long long)offset, what,
                   os_error);
    complain(arg, REPLICA_EXIT_FAILURE, sentence);
}

static void on_replica_fatal(void *arg, enum replica_exit code, const char *sentence)
{
    complain(arg, code, sentence);
}

/* Equal index, equal state. */
static void on_applied(void *arg, uint64_t index, const struct lock_table *table)
{
    struct node *node = arg;
    static const struct digest128 unseen;
    node->applied = index;
    node->applies++;
    lock_table_check(table);
    if (index >= CLUSTER_STATES) {
        return;
    }
    struct digest128 digest = lock_table_digest((struct lock_table *)table);
    struct digest128 *known = &node->cluster->states[index];
    if (digest128_equal(known, &unseen)) {
        *known = digest;
    } else if (!digest128_equal(known, &digest)) {
        sim_fail(&node->cluster->world, "%s holds another state at %llu", node->sim->name, (unsigned long long)index);
    }
}

/* ---- life ---- */

void cluster_open(struct cluster *cluster, unsigned n, uint64_t seed)
{
    *cluster = (struct cluster){.n = n, .segment_bytes = 1024u * 1024u};
    cluster->verbose = getenv("CLUSTER_VERBOSE") != NULL;
    cluster->states = calloc(CLUSTER_STATES, sizeof cluster->states[0]);
    assert_non_null(cluster->states);
    sim_world_open(&cluster->world, seed);
    for (unsigned i = 0; i < n; i++) {
        struct node *node = &cluster->nodes[i];
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", i + 1);
        node->cluster = cluster;
        node->rules_newest = RULES_VERSION_FIRST;
        node->sim = sim_node_open(&cluster->world, name, false);
        node->sim->disk = sim_disk_open(&cluster->world, 4096, 1ull << 30);
        node->log = (struct log){.level = LOG_LEVEL_DEBUG,
                                 .data = node,
                                 .wall_ms = log_wall_ms,
                                 .write = log_print,
                                 .render = log_render_text};
        cluster->spec[i] = (struct replica_member){.name = node->sim->name,
                                                   .host = node->sim->name,
                                                   .http_port = CLUSTER_RAFT_PORT - 1,
                                                   .raft_port = CLUSTER_RAFT_PORT};
    }
}

void cluster_close(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        if (cluster->nodes[i].up) {
            node_kill(&cluster->nodes[i], SIM_KILLED);
        }
    }
    for (unsigned i = 0; i < cluster->n; i++) {
        sim_node_close(cluster->nodes[i].sim);
    }
    sim_world_close(&cluster->world);
    free(cluster->states);
    if (cluster->world.failed) {
        fail_msg("%s", cluster->world.failure);
    }
}

static enum error start_replica(struct node *node, struct error_text *text)
{
    struct cluster *cluster = node->cluster;
    struct replica_options options = {
        .loop = &node->sim->loop,
        .log = &node->log,
        .network = &node->sim->network,
        .storage = node->storage,
        .name = node->sim->name,
        .members = cluster->spec,
        .n_members = cluster->n,
        .listen_host = node->sim->name,
        .listen_port = CLUSTER_RAFT_PORT,
        .advertise_http = "elsewhere:80",
        .cluster_key = {.base = cluster->cluster_key, .len = cluster->cluster_key == NULL ? 0 : 32},
        .election_timeout_ms = CLUSTER_ELECTION_MS,
        .heartbeat_ms = 50,
        .commit_timeout_ms = CLUSTER_COMMIT_MS,
        .snapshot_entry_bytes = cluster->snapshot_entry_bytes,
        .snapshot_log_bytes = 1ull << 30,
        .snapshot_trailing = cluster->snapshot_trailing,
        .test_guards_off = cluster->guards_off,
        .state_hash_every = cluster->state_hash_every,
        .fatal = on_replica_fatal,
        .applied = on_applied,
        .arg = node,
    };
    return replica_open(&options, &node->replica, text);
}

void node_enter(const struct node *node)
{
    rules_steered_newest = node->rules_newest;
}

void node_set_rules(struct node *node, uint32_t newest)
{
    node->rules_newest = newest;
}

void node_start(struct node *node)
{
    struct error_text text = {{0}};
    struct storage_options options = {
        .disk = &node->sim->disk_functions,
        .loop = &node->sim->loop,
        .segment_bytes = node->cluster->segment_bytes,
        .snapshot_reserve_bytes = 65536,
        .fatal = on_storage_fatal,
        .arg = node,
    };
    assert_false(node->up);
    node_enter(node);
    sim_node_power_on(node->sim);
    sim_node_start(node->sim);
    node->up = true;
    node->closed = false;
    node->complaint[0] = 0;
    node->applied = node->applies = 0;
    enum error error = storage_open(&options, &node->storage, &text);
    if (error == ERROR_NONE) {
        error = start_replica(node, &text);
    }
    if (error != ERROR_NONE) {
        complain(node, REPLICA_EXIT_DATA, text.text);
    }
}

void cluster_start_all(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        node_start(&cluster->nodes[i]);
    }
}

void node_kill(struct node *node, enum sim_death death)
{
    assert_true(node->up);
    sim_node_kill_begin(node->sim, death);
    if (node->replica != NULL) {
        replica_crash(node->replica);
    }
    if (node->storage != NULL) {
        storage_crash(node->storage);
    }
    sim_node_kill_end(node->sim);
    node->replica = NULL;
    node->storage = NULL;
    node->up = false;
}

static void on_storage_closed(void *arg)
{
    struct node *node = arg;
    node->storage = NULL;
    node->closed = true;
}

static void on_replica_closed(void *arg)
{
    struct node *node = arg;
    node->replica = NULL;
    storage_close(node->storage, true, on_storage_closed, node);
}

void node_stop(struct node *node)
{
    replica_close(node->replica, 1000, on_replica_closed, node);
}

/* ---- waiting ---- */

uint64_t cluster_now_ms(const struct cluster *cluster)
{
    return cluster->world.now_ns / SIM_MS;
}

/* The event that sim_step runs next: what falls into a pause waits for its end. */
static const struct sim_event *next_event(const struct sim_world *world)
{
    const struct sim_event *next = NULL;
    uint64_t next_ns = 0;
    for (size_t i = 0; i < world->n_events; i++) {
        const struct sim_event *event = world->heap[i];
        bool waits = event->node != NULL && event->node->busy_until > event->at_ns;
        uint64_t at_ns = waits ? event->node->busy_until : event->at_ns;
        if (next == NULL || at_ns < next_ns || (at_ns == next_ns && event->number < next->number)) {
            next = event;
            next_ns = at_ns;
        }
    }
    return next;
}

/* The build that the next event belongs to. */
static void enter_next(const struct cluster *cluster)
{
    bool equal = true;
    for (unsigned i = 1; i < cluster->n; i++) {
        equal = equal && cluster->nodes[i].rules_newest == cluster->nodes[0].rules_newest;
    }
    const struct sim_event *next = equal ? NULL : next_event(&cluster->world);
    for (unsigned i = 0; i < cluster->n; i++) {
        if (equal || (next != NULL && next->node == cluster->nodes[i].sim)) {
            node_enter(&cluster->nodes[i]);
        }
    }
}

static bool step(struct cluster *cluster)
{
    enter_next(cluster);
    bool more = sim_step(&cluster->world);
    for (unsigned i = 0; i < cluster->n; i++) {
        struct node *node = &cluster->nodes[i];
        if (node->up && (node->sim->doomed || node->closed)) {
            node_kill(node, node->sim->doomed ? node->sim->doom : SIM_KILLED);
        }
    }
    if (cluster->world.failed) {
        fail_msg("%s", cluster->world.failure);
    }
    return more;
}

void cluster_wait(struct cluster *cluster, uint64_t within_ms, bool (*condition)(void *arg), void *arg,
                  const char *what)
{
    uint64_t until = cluster->world.now_ns + within_ms * SIM_MS;
    while (!condition(arg)) {
        if (cluster->world.now_ns > until || !step(cluster)) {
            fail_msg("waited %llu ms for %s", (unsigned long long)within_ms, what);
        }
    }
}

void cluster_run(struct cluster *cluster, uint64_t ms)
{
    uint64_t until = cluster->world.now_ns + ms * SIM_MS;
    while (cluster->world.now_ns < until && step(cluster)) {
    }
}

struct replica_status node_status(struct node *node)
{
    struct replica_status status = {0};
    if (node->up && node->replica != NULL && !node->sim->doomed) {
        node_enter(node);
        replica_status(node->replica, &status);
    }
    return status;
}

static struct node *find_leader(struct cluster *cluster)
{
    struct node *leader = NULL;
    uint64_t term = 0;
    for (unsigned i = 0; i < cluster->n; i++) {
        struct node *node = &cluster->nodes[i];
        struct replica_status status = node_status(node);
        if (status.role == REPLICA_LEADER && status.ready && status.term > term) {
            leader = node;
            term = status.term;
        }
    }
    return leader;
}

static bool has_leader(void *arg)
{
    return find_leader(arg) != NULL;
}

struct node *cluster_wait_leader(struct cluster *cluster)
{
    cluster_wait(cluster, 20000, has_leader, cluster, "a leader");
    return find_leader(cluster);
}

struct node *cluster_other(struct cluster *cluster, const struct node *not_this)
{
    for (unsigned i = 0; i < cluster->n; i++) {
        if (cluster->nodes[i].up && &cluster->nodes[i] != not_this) {
            return &cluster->nodes[i];
        }
    }
    return NULL;
}

struct applied_wait {
    const struct node *node;
    uint64_t index;
};

static bool has_applied(void *arg)
{
    const struct applied_wait *wait = arg;
    return wait->node->applied >= wait->index;
}

void cluster_wait_applied(struct cluster *cluster, const struct node *node, uint64_t index)
{
    struct applied_wait wait = {.node = node, .index = index};
    cluster_wait(cluster, 30000, has_applied, &wait, "entries to be applied");
}

/* ---- clients ---- */

static void ask_done(struct operation *operation, enum operation_status status, const struct outcome *outcome)
{
    struct ask *ask = operation->data;
    assert_false(ask->answered);
    ask->answered = true;
    ask->status = status;
    ask->answered_ns = ask->cluster->world.now_ns;
    if (status == OPERATION_APPLIED) {
        assert_non_null(outcome);
        ask->code = outcome->code;
        ask->token = outcome->has_grant ? outcome->grant.token : 0;
        ask->remaining_ms = outcome->has_grant ? outcome->grant.remaining_ms : 0;
    }
}

void ask_begin(struct node *node, struct ask *ask)
{
    static unsigned counter;
    ask->operation.done = ask_done;
    ask->operation.data = ask;
    ask->cluster = node->cluster;
    (void)snprintf(ask->key, sizeof ask->key, "key-%u", ++counter);
}

void ask_acquire(struct node *node, struct ask *ask, const char *schedule, const char *holder, uint64_t ttl_ms)
{
    memset(ask, 0, sizeof *ask);
    ask_begin(node, ask);
    (void)snprintf(ask->schedule, sizeof ask->schedule, "%s", schedule);
    (void)snprintf(ask->holder, sizeof ask->holder, "%s", holder);
    ask->operation.command = (struct command){
        .kind = COMMAND_ACQUIRE,
        .acquire = {.schedule_id = slice_of(ask->schedule),
                    .holder = slice_of(ask->holder),
                    .idempotency_key = slice_of(ask->key),
                    .has_ttl = true,
                    .ttl_ms = ttl_ms,
                    .has_estimate = true,
                    .estimate_ms = 1},
    };
    replica_submit(node->replica, &ask->operation);
}

void ask_renew(struct node *node, struct ask *ask, const char *schedule, uint64_t token)
{
    memset(ask, 0, sizeof *ask);
    ask_begin(node, ask);
    (void)snprintf(ask->schedule, sizeof ask->schedule, "%s", schedule);
    ask->operation.command = (struct command){
        .kind = COMMAND_RENEW,
        .renew = {.schedule_id = slice_of(ask->schedule), .token = token},
    };
    replica_submit(node->replica, &ask->operation);
}

void ask_release(struct node *node, struct ask *ask, const char *schedule, uint64_t token)
{
    memset(ask, 0, sizeof *ask);
    ask_begin(node, ask);
    (void)snprintf(ask->schedule, sizeof ask->schedule, "%s", schedule);
    ask->operation.command = (struct command){
        .kind = COMMAND_RELEASE,
        .release = {.schedule_id = slice_of(ask->schedule),
                    .token = token,
                    .has_outcome = true,
                    .outcome = RUN_SUCCEEDED},
    };
    replica_submit(node->replica, &ask->operation);
}

void ask_put(struct node *node, struct ask *ask, const char *schedule, uint32_t slots)
{
    memset(ask, 0, sizeof *ask);
    ask_begin(node, ask);
    (void)snprintf(ask->schedule, sizeof ask->schedule, "%s", schedule);
    ask->operation.command = (struct command){
        .kind = COMMAND_PUT_SCHEDULE,
        .put_schedule = {.schedule_id = slice_of(ask->schedule),
                         .policy = {.max_ttl_ms = 600000, .slots = slots, .max_attempts = 1}},
    };
    replica_submit(node->replica, &ask->operation);
}

static bool ask_is_answered(void *arg)
{
    return ((struct ask *)arg)->answered;
}

void ask_wait(struct cluster *cluster, struct ask *ask)
{
    cluster_wait(cluster, 20000, ask_is_answered, ask, "an answer");
}

static void look_done(struct replica_read *read, enum operation_status status)
{
    struct look *look = read->data;
    assert_false(look->answered);
    look->answered = true;
    look->status = status;
    if (status == OPERATION_APPLIED) {
        struct schedule_view view;
        lock_table_view(replica_table(look->node->replica), slice_of(look->schedule), &view);
        look->held = view.n_holders > 0;
        look->token = view.n_holders > 0 ? view.holders[0].token : 0;
    }
}

void look_at(struct node *node, struct look *look, const char *schedule)
{
    memset(look, 0, sizeof *look);
    look->node = node;
    look->read.done = look_done;
    look->read.data = look;
    (void)snprintf(look->schedule, sizeof look->schedule, "%s", schedule);
    replica_read(node->replica, &look->read);
}

static bool look_is_answered(void *arg)
{
    return ((struct look *)arg)->answered;
}

void look_wait(struct cluster *cluster, struct look *look)
{
    cluster_wait(cluster, 20000, look_is_answered, look, "a read");
}
