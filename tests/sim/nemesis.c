/* The nemesis: every few hundred milliseconds of a stretch of chaos it breaks one thing. What it breaks for a while it
 * mends itself, and at the end of the stretch everything. A disk is taken away for good at most once in a seed. */
#include <stdio.h>

#include "cluster.h"

static void strike(void *arg);

static void say(const struct cluster *cluster, const char *what, const struct member *member)
{
    if (cluster->options->verbose) {
        (void)fprintf(stderr, "%12.6f nemesis: %s %s\n", (double)cluster->world.now_ns / 1e9, what,
                      member == NULL ? "" : member->node->name);
    }
}

static struct member *any_member(struct cluster *cluster)
{
    struct member *leader = cluster_leader(cluster);
    if (leader != NULL && rng_chance(&cluster->rng, 300)) {
        return leader;
    }
    return &cluster->members[rng_below(&cluster->rng, MEMBERS)];
}

static bool has_process(const struct member *member)
{
    return (member->state == MEMBER_UP || member->state == MEMBER_CLOSING) && !member->node->doomed;
}

static void crash(struct cluster *cluster, struct member *member, enum sim_death death)
{
    if (has_process(member)) {
        member_kill(member, death);
        if (member->state == MEMBER_DOWN) {
            uint64_t most_ms = rng_chance(&cluster->rng, 800) ? 3000 : 15000;
            member_restart_in(member, rng_between(&cluster->rng, 5, most_ms) * SIM_MS);
        }
    }
}

static enum sim_death draw_death(struct cluster *cluster)
{
    return rng_chance(&cluster->rng, 500) ? SIM_KILLED : SIM_POWER_LOSS;
}

static void crash_all(struct cluster *cluster)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        crash(cluster, &cluster->members[i], draw_death(cluster));
    }
}

static void arm(struct cluster *cluster, struct member *member)
{
    if (!has_process(member) || sim_disk_armed(member->node->disk)) {
        return;
    }
    uint64_t n = rng_between(&cluster->rng, 1, 60);
    say(cluster, "a disk operation will fail or end", member);
    if (rng_chance(&cluster->rng, 600)) {
        sim_disk_crash_at(member->node->disk, n);
    } else {
        sim_disk_fail_at(member->node->disk, n);
    }
}

/* ---- full disks ---- */

static void disk_is_emptied(void *arg)
{
    struct member *member = arg;
    if (member->full_until_ns != 0) {
        member->full_until_ns = 0;
        sim_disk_set_capacity(member->node->disk, member->cluster->disk_bytes);
    }
}

static void fill_disk(struct cluster *cluster, struct member *member)
{
    if (member->full_until_ns != 0) {
        return;
    }
    uint64_t lasts = rng_between(&cluster->rng, 500, 6000) * SIM_MS;
    member->full_until_ns = cluster->world.now_ns + lasts;
    sim_disk_set_capacity(member->node->disk,
                          sim_disk_used(member->node->disk) + rng_below(&cluster->rng, 4 * cluster->segment_bytes));
    say(cluster, "fills the disk of", member);
    audit_allow_capacity(cluster->audit);
    cluster->counts.full_disks++;
    (void)sim_schedule(&cluster->world, NULL, lasts, SIM_SCENARIO, disk_is_emptied, member);
}

/* ---- the network ---- */

static void mend_network(void *arg)
{
    struct cluster *cluster = arg;
    cluster->mend = NULL;
    say(cluster, "mends the network", NULL);
    sim_network_heal(&cluster->world);
}

/* Everything is mended at once, when the longest fault is over. */
static void mend_in(struct cluster *cluster, uint64_t ns)
{
    if (cluster->mend != NULL && cluster->mend->at_ns >= cluster->world.now_ns + ns) {
        return;
    }
    sim_cancel(&cluster->world, cluster->mend);
    cluster->mend = sim_schedule(&cluster->world, NULL, ns, SIM_SCENARIO, mend_network, cluster);
}

static void partition(struct cluster *cluster)
{
    unsigned alone = any_member(cluster)->node->index;
    bool out = rng_chance(&cluster->rng, 700);
    bool in = !out || rng_chance(&cluster->rng, 700);
    bool one_line = rng_chance(&cluster->rng, 300);
    for (unsigned other = 0; other < MEMBERS; other++) {
        if (other == alone || (one_line && other == (alone + 1) % MEMBERS)) {
            continue;
        }
        if (out) {
            sim_network_block(&cluster->world, alone, other, true);
        }
        if (in) {
            sim_network_block(&cluster->world, other, alone, true);
        }
    }
    say(cluster, one_line ? "parts a line of" : "parts", &cluster->members[alone]);
    cluster->counts.partitions++;
    (void)sim_schedule(&cluster->world, NULL, rng_between(&cluster->rng, 50, 6000) * SIM_MS, SIM_SCENARIO, mend_network,
                       cluster);
}

/* Long enough for the others to notice, and to write over what it will lack. */
static void leave_behind(struct cluster *cluster, struct member *member)
{
    uint64_t ns = rng_between(&cluster->rng, 1000, 8000) * SIM_MS;
    say(cluster, "leaves behind", member);
    if (rng_chance(&cluster->rng, 500) && has_process(member)) {
        member_kill(member, draw_death(cluster));
        if (member->state == MEMBER_DOWN) {
            member_restart_in(member, ns);
        }
        return;
    }
    for (unsigned other = 0; other < MEMBERS; other++) {
        if (other != member->node->index) {
            sim_network_block(&cluster->world, member->node->index, other, true);
            sim_network_block(&cluster->world, other, member->node->index, true);
        }
    }
    cluster->counts.partitions++;
    mend_in(cluster, ns);
}

static void slow_line(struct cluster *cluster)
{
    unsigned from = (unsigned)rng_below(&cluster->rng, MEMBERS);
    unsigned to = (from + 1 + (unsigned)rng_below(&cluster->rng, MEMBERS - 1)) % MEMBERS;
    sim_network_slow(&cluster->world, from, to, rng_below(&cluster->rng, 300) * SIM_MS,
                     rng_below(&cluster->rng, 20 * SIM_US));
    say(cluster, "slows a line of", &cluster->members[from]);
    cluster->counts.slow_lines++;
    mend_in(cluster, rng_between(&cluster->rng, 500, 5000) * SIM_MS);
}

static void cut(struct cluster *cluster)
{
    say(cluster, "cuts connections", NULL);
    for (uint64_t n = rng_between(&cluster->rng, 1, 3); n > 0; n--) {
        (void)sim_network_cut(&cluster->world, (enum sim_cut)rng_below(&cluster->rng, 3));
    }
}

/* ---- machines ---- */

static void pause(struct cluster *cluster, struct member *member)
{
    sim_node_pause(member->node, rng_between(&cluster->rng, 20, 3000) * SIM_MS);
    say(cluster, "pauses", member);
    cluster->counts.pauses++;
}

static void move_clock(struct cluster *cluster, struct member *member)
{
    int64_t hours = (int64_t)rng_below(&cluster->rng, 200) - 100;
    member->node->wall_ms += hours * 3600000;
    cluster->counts.clock_jumps++;
}

/* Its volume is gone: an empty one is in its place. */
static void wipe(struct cluster *cluster, struct member *member)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (cluster->members[i].wiped) {
            return;
        }
    }
    if (audit_index(cluster->audit) == 0 || member->last_applied == 0 || !has_process(member)) {
        return;
    }
    member_kill(member, SIM_POWER_LOSS);
    sim_disk_wipe(member->node->disk);
    member->wiped = true;
    say(cluster, "empties the disk of", member);
    cluster->counts.wiped_disks++;
    member_restart_in(member, rng_between(&cluster->rng, 5, 4000) * SIM_MS);
}

static void strike(void *arg)
{
    struct cluster *cluster = arg;
    struct member *member = any_member(cluster);
    uint64_t die = rng_below(&cluster->rng, 1000);
    cluster->strike = NULL;
    if (cluster->lagging && rng_chance(&cluster->rng, 300)) {
        leave_behind(cluster, member);
    } else if (die < 180) {
        crash(cluster, member, draw_death(cluster));
    } else if (die < 210) {
        crash_all(cluster);
    } else if (die < 420) {
        arm(cluster, member);
    } else if (die < 460) {
        fill_disk(cluster, member);
    } else if (die < 600) {
        partition(cluster);
    } else if (die < 720) {
        cut(cluster);
    } else if (die < 770) {
        slow_line(cluster);
    } else if (die < 870) {
        pause(cluster, member);
    } else if (die < 910) {
        move_clock(cluster, member);
    } else if (die < 940) {
        say(cluster, "garbles a piece", NULL);
        sim_network_garble(&cluster->world);
        cluster->counts.garbled++;
    } else if (die < 990) {
        member_stop(member);
    } else {
        wipe(cluster, member);
    }
    cluster->strike = sim_schedule(&cluster->world, NULL, rng_between(&cluster->rng, 20, cluster->strike_ms) * SIM_MS,
                                   SIM_SCENARIO, strike, cluster);
}

void nemesis_begin(struct cluster *cluster)
{
    cluster->calm = false;
    cluster->strike = sim_schedule(&cluster->world, NULL, rng_between(&cluster->rng, 20, cluster->strike_ms) * SIM_MS,
                                   SIM_SCENARIO, strike, cluster);
}

void nemesis_end(struct cluster *cluster)
{
    cluster->calm = true;
    say(cluster, "rests", NULL);
    sim_cancel(&cluster->world, cluster->strike);
    cluster->strike = NULL;
    sim_cancel(&cluster->world, cluster->mend);
    mend_network(cluster);
    sim_network_end_silent(&cluster->world);
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *member = &cluster->members[i];
        sim_disk_fail_at(member->node->disk, 0);
        sim_disk_crash_at(member->node->disk, 0);
        disk_is_emptied(member);
        if (member->node->busy_until > cluster->world.now_ns) {
            member->node->busy_until = cluster->world.now_ns;
        }
        if (member->state == MEMBER_DOWN) {
            sim_cancel(&cluster->world, member->restart);
            member->restart = NULL;
            member_restart_in(member, 0);
        }
    }
}
