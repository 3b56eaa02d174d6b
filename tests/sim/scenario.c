/* The story of one seed: founding, then chaos and calm in turns until the steps are used up. */
#include "scenario.h"

#include <stdio.h>
#include <string.h>

#include "cluster.h"

#define RECOVERY_NS  (15 * SIM_S) /* a leader, and an answer from everybody, after the faults have ended */
#define FAIL_OVER_NS (3 * SIM_S)
#define QUICK_MS     150u /* without waiting for an election time-out */
#define PROBE_NS     (20 * SIM_MS)
#define CHECK_EVERY  512u /* steps between two looks at old requests */

static void step(struct cluster *cluster)
{
    if (!sim_step(&cluster->world)) {
        sim_fail(&cluster->world, "nothing happens any more");
    }
    for (unsigned i = 0; i < MEMBERS && !cluster->world.failed; i++) {
        member_look_after(&cluster->members[i]);
        if (cluster->world.steps % CHECK_EVERY == 0) {
            requests_check(&cluster->members[i]);
        }
    }
}

static void run_for(struct cluster *cluster, uint64_t ns)
{
    uint64_t until = cluster->world.now_ns + ns;
    while (!cluster->world.failed && cluster->world.now_ns < until) {
        step(cluster);
    }
}

/* ---- recovery ---- */

/* Every member that is up answers a read: there is a leader, everybody knows it, and everybody has caught up that far. */
static void wait_for_answers(struct cluster *cluster, const struct member *without, uint64_t limit_ns,
                             uint64_t *slowest_ms)
{
    uint64_t began = cluster->world.now_ns;
    bool done[MEMBERS] = {false};
    bool all = false;
    while (!all && !cluster->world.failed) {
        all = true;
        for (unsigned i = 0; i < MEMBERS; i++) {
            struct member *member = &cluster->members[i];
            done[i] = done[i] || member->wiped || member == without;
            if (!done[i] && member->state == MEMBER_UP && !member->node->doomed) {
                request_probe(member, &done[i]);
            }
            all = all && done[i];
        }
        run_for(cluster, PROBE_NS);
        if (!all && cluster->world.now_ns - began > limit_ns) {
            sim_fail(&cluster->world, "no recovery within %llu s: n1 %d, n2 %d, n3 %d have answered, the leader is %s",
                     limit_ns / SIM_S, done[0], done[1], done[2],
                     cluster_leader(cluster) == NULL ? "nobody" : cluster_leader(cluster)->node->name);
        }
    }
    uint64_t took_ms = (cluster->world.now_ns - began) / SIM_MS;
    *slowest_ms = took_ms > *slowest_ms ? took_ms : *slowest_ms;
    requests_forget_probes(cluster);
}

/* kill -9 of the leader of a healthy cluster: the others find a new one soon. */
static void fail_over(struct cluster *cluster, uint64_t *slowest_ms)
{
    struct member *leader = cluster_leader(cluster);
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (cluster->world.failed || cluster->members[i].wiped || cluster->members[i].state != MEMBER_UP) {
            return;
        }
    }
    if (leader != NULL) {
        member_kill(leader, SIM_KILLED);
        member_restart_in(leader, rng_between(&cluster->rng, 1, 5) * SIM_S);
        uint64_t took_ms = 0;
        wait_for_answers(cluster, leader, FAIL_OVER_NS, &took_ms);
        *slowest_ms = took_ms > *slowest_ms ? took_ms : *slowest_ms;
        cluster->counts.fail_overs++;
        cluster->counts.fail_overs_quick += took_ms <= QUICK_MS;
    }
}

static void check_refused(struct cluster *cluster)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct member *member = &cluster->members[i];
        if (member->wiped && !member->refused) {
            sim_fail(&cluster->world, "%s has an empty disk and hasn't refused to start", member->node->name);
        }
    }
}

/* ---- the end: nobody asks for anything, everybody has everything ---- */

static void check_converged(struct cluster *cluster)
{
    cluster->quiet = true;
    run_for(cluster, 3 * SIM_S);
    uint64_t index = audit_index(cluster->audit);
    uint64_t until = cluster->world.now_ns + 10 * SIM_S;
    bool all = false;
    while (!all && !cluster->world.failed) {
        all = true;
        for (unsigned i = 0; i < MEMBERS; i++) {
            const struct member *member = &cluster->members[i];
            all = all && (member->wiped || member->last_applied >= index);
        }
        step(cluster);
        if (!all && cluster->world.now_ns > until) {
            sim_fail(&cluster->world, "not everybody has applied index %llu: %llu, %llu, %llu",
                     (unsigned long long)index, (unsigned long long)cluster->members[0].last_applied,
                     (unsigned long long)cluster->members[1].last_applied,
                     (unsigned long long)cluster->members[2].last_applied);
        }
    }
}

/* ---- life ---- */

static void draw_shape(struct cluster *cluster)
{
    static const uint64_t segments[] = {16 * 1024, 32 * 1024, 64 * 1024, 256 * 1024};
    static const unsigned trailing[] = {1, 4, 16, 128};
    static const unsigned strikes_ms[] = {400, 1000, 2500, 8000};
    struct rng *rng = &cluster->rng;
    cluster->segment_bytes = segments[rng_below(rng, 4)];
    cluster->snapshot_trailing = trailing[rng_below(rng, 4)];
    cluster->snapshot_entry_bytes = 256u << rng_below(rng, 6);
    if (rng_chance(rng, 300)) { /* members fall behind what the others' logs still hold */
        cluster->lagging = true;
        cluster->segment_bytes = segments[0];
        cluster->snapshot_trailing = trailing[rng_below(rng, 2)];
    }
    cluster->snapshot_log_bytes = cluster->segment_bytes * (2u << rng_below(rng, 4));
    cluster->strike_ms = strikes_ms[rng_below(rng, 4)];
    cluster->disk_bytes = 64 * 1024 * 1024;
    cluster->think_ms = 4u << rng_below(rng, cluster->lagging ? 2 : 6);
    cluster->n_clients = (unsigned)rng_between(rng, 3, CLIENTS);
    cluster->has_cluster_key = rng_chance(rng, 300);
    for (size_t i = 0; i < sizeof cluster->cluster_key; i++) {
        cluster->cluster_key[i] = (uint8_t)rng_next(rng);
    }
}

static void cluster_open(struct cluster *cluster, const struct scenario_options *options)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->options = options;
    sim_world_open(&cluster->world, options->seed);
    rng_seed(&cluster->rng, options->seed, 7);
    draw_shape(cluster);
    cluster->audit = audit_open(&cluster->world, &cluster->counts);
    workload_open(cluster);
    tap_open(cluster);
    cluster->looker = sim_node_open(&cluster->world, "looker", true);
    for (unsigned i = 0; i < MEMBERS; i++) {
        cluster->members[i].cluster = cluster;
        member_open(&cluster->members[i], i);
        member_restart_in(&cluster->members[i], rng_below(&cluster->rng, 2 * SIM_S));
    }
    for (unsigned i = 0; i < cluster->n_clients; i++) {
        client_open(&cluster->clients[i], cluster, i);
    }
}

static void cluster_close(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->n_clients; i++) {
        client_close(&cluster->clients[i]);
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *member = &cluster->members[i];
        if (member->state == MEMBER_UP || member->state == MEMBER_CLOSING) {
            member_kill(member, SIM_KILLED);
        }
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        member_close(&cluster->members[i]);
    }
    tap_close();
    sim_node_close(cluster->looker);
    audit_close(cluster->audit);
    sim_world_close(&cluster->world);
}

static void collect(struct cluster *cluster, struct scenario_result *result)
{
    struct counts *counts = &cluster->counts;
    const struct sim_counts *world = &cluster->world.counts;
    counts->op_crashes = world->op_crashes;
    counts->torn_writes = world->torn_writes;
    counts->lost_writes = world->lost_writes;
    counts->lost_names = world->lost_names;
    counts->failed_writes = world->failed_writes;
    counts->full_writes = world->full_writes;
    counts->cuts = world->cuts;
#define X(name, least) result->counts.name += counts->name;
    COUNTS_TABLE(X)
#undef X
    result->failed = cluster->world.failed;
    memcpy(result->failure, cluster->world.failure, sizeof result->failure);
    result->trace = cluster->world.trace;
    result->steps = cluster->world.steps;
    result->virtual_ms = cluster->world.now_ns / SIM_MS;
}

void scenario_run(const struct scenario_options *options, struct scenario_result *result)
{
    struct cluster cluster;
    cluster_open(&cluster, options);
    result->slowest_recovery_ms = 0;
    result->slowest_failover_ms = 0;
    while (!cluster.world.failed && cluster.world.steps < options->steps) {
        nemesis_begin(&cluster);
        run_for(&cluster, rng_between(&cluster.rng, 3, 25) * SIM_S);
        nemesis_end(&cluster);
        wait_for_answers(&cluster, NULL, RECOVERY_NS, &result->slowest_recovery_ms);
        run_for(&cluster, rng_between(&cluster.rng, 1, 5) * SIM_S);
        if (rng_chance(&cluster.rng, 300)) {
            fail_over(&cluster, &result->slowest_failover_ms);
        }
        run_for(&cluster, rng_between(&cluster.rng, 1, 10) * SIM_S);
        check_refused(&cluster);
    }
    check_converged(&cluster);
    if (cluster.world.failed && options->verbose) {
        sim_network_print(&cluster.world);
    }
    collect(&cluster, result);
    cluster_close(&cluster);
}
