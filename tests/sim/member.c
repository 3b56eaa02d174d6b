/* A member's process: started from what its disk holds, ended by a crash, by itself, or in good order.
 *
 * It may end itself only for a reason: its disk reported a failure, or that others filled it, or it was given an empty
 * one. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

#define NOTICE_NS     (5 * SIM_S) /* a process whose disk failed is gone within that time */
#define NO_SPACE_NS   (10 * SIM_S) /* … and one that gives up for want of space does so, with its pauses, within that */
#define RESERVE_BYTES (64u * 1024u)

/* ---- log ---- */

static int64_t log_wall_ms(void *data)
{
    const struct member *member = data;
    return (int64_t)(member->cluster->world.now_ns / SIM_MS);
}

static void log_print(void *data, const char *line, size_t len)
{
    const struct member *member = data;
    (void)fprintf(stderr, "%12.6f %s %.*s", (double)member->cluster->world.now_ns / 1e9, member->node->name, (int)len,
                  line);
}

static void log_drop(void *data, const char *line, size_t len)
{
    (void)data;
    (void)line;
    (void)len;
}

static void say(const struct member *member, const char *what, const char *detail)
{
    if (member->cluster->options->verbose) {
        (void)fprintf(stderr, "%12.6f %s ---- %s%s%s\n", (double)member->cluster->world.now_ns / 1e9,
                      member->node->name, what, detail[0] == '\0' ? "" : ": ", detail);
    }
}

/* ---- what it tells the world ---- */

static void complain(struct member *member, const char *sentence)
{
    if (!member->node->doomed) {
        (void)snprintf(member->complaint, sizeof member->complaint, "%s", sentence);
        say(member, "ends itself", member->complaint);
        sim_node_doom(member->node, SIM_KILLED);
    }
}

static void storage_fatal(void *arg, const char *path, uint64_t offset, const char *what, int os_error)
{
    char sentence[400];
    struct member *member = arg;
    (void)snprintf(sentence, sizeof sentence, "%s at %" PRIu64 ": %s (errno %d)", path, offset, what, os_error);
    member->wants_space = member->wants_space || os_error == ENOSPC;
    complain(member, sentence);
}

static void storage_note(void *arg, const char *sentence)
{
    say(arg, "storage", sentence);
}

static void replica_fatal(void *arg, enum replica_exit code, const char *sentence)
{
    struct member *member = arg;
    if (member->wiped && code == REPLICA_EXIT_DATA) {
        member->refused = true;
    }
    complain(member, sentence);
}

static void replica_changed(void *arg)
{
    struct member *member = arg;
    if (member->node->doomed || member->replica == NULL) {
        return;
    }
    struct replica_status status;
    replica_status(member->replica, &status);
    member->leads = status.role == REPLICA_LEADER;
    if (member->leads) {
        audit_leads(member->cluster->audit, member->node->name, status.term);
    }
    if (member->wiped && status.role != REPLICA_STARTING && status.role != REPLICA_FOUNDING) {
        sim_fail(&member->cluster->world, "%s takes part with an empty disk", member->node->name);
    }
}

/* After an install the first that is shown is the snapshot's own index, beyond what was applied. */
static void count_install(struct member *member, uint64_t index)
{
    struct storage_snapshot_info info;
    if (member->last_applied > 0 && index > member->last_applied + 1) {
        storage_snapshot_newest(member->storage, &info);
        if (info.index == index) {
            struct audit_content content = audit_content_at(member->cluster->audit, index);
            member->cluster->counts.installs++;
            member->cluster->counts.installs_policies += content.policies > 0;
            member->cluster->counts.installs_revoking += content.revoking > 0;
        }
    }
}

static void replica_applied(void *arg, uint64_t index, const struct lock_table *table)
{
    struct member *member = arg;
    if (!member->node->doomed) {
        audit_applied(member->cluster->audit, member->node->name, (struct lock_table *)table);
        count_install(member, index);
        member->last_applied = index;
    }
}

/* ---- life ---- */

void member_open(struct member *member, unsigned index)
{
    struct cluster *cluster = member->cluster;
    char name[16];
    (void)snprintf(name, sizeof name, "n%u", index + 1);
    member->node = sim_node_open(&cluster->world, name, false);
    member->node->disk =
        sim_disk_open(&cluster->world, rng_chance(&cluster->rng, 500) ? 512 : 4096, cluster->disk_bytes);
    member->log = (struct log){.level = cluster->options->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
                               .data = member,
                               .wall_ms = log_wall_ms,
                               .write = cluster->options->verbose ? log_print : log_drop,
                               .render = log_render_text};
    cluster->spec[index] = (struct replica_member){
        .name = member->node->name, .host = member->node->name, .http_port = RAFT_PORT - 1, .raft_port = RAFT_PORT};
}

void member_close(struct member *member)
{
    sim_cancel(&member->cluster->world, member->restart);
    requests_free(member);
    sim_node_close(member->node);
}

void member_storage_options(struct member *member, struct storage_options *options)
{
    *options = (struct storage_options){
        .disk = &member->node->disk_functions,
        .loop = &member->node->loop,
        .segment_bytes = member->cluster->segment_bytes,
        .snapshot_reserve_bytes = RESERVE_BYTES,
        .fatal = storage_fatal,
        .note = storage_note,
        .arg = member,
    };
}

static enum error start_replica(struct member *member, struct error_text *text)
{
    struct cluster *cluster = member->cluster;
    char http[32];
    (void)snprintf(http, sizeof http, "%s:%u", member->node->name, RAFT_PORT - 1);
    struct replica_options options = {
        .loop = &member->node->loop,
        .log = &member->log,
        .network = &member->node->network,
        .storage = member->storage,
        .name = member->node->name,
        .members = cluster->spec,
        .n_members = MEMBERS,
        .listen_host = member->node->name,
        .listen_port = RAFT_PORT,
        .advertise_http = http,
        .cluster_key = cluster->has_cluster_key
                           ? (struct slice){.base = cluster->cluster_key, .len = sizeof cluster->cluster_key}
                           : (struct slice){.base = NULL, .len = 0},
        .election_timeout_ms = 300,
        .heartbeat_ms = 50,
        .commit_timeout_ms = COMMIT_LIMIT_MS,
        .snapshot_entry_bytes = cluster->snapshot_entry_bytes,
        .snapshot_log_bytes = cluster->snapshot_log_bytes,
        .snapshot_trailing = cluster->snapshot_trailing,
        .test_guards_off = cluster->options->guards_off,
        .fatal = replica_fatal,
        .changed = replica_changed,
        .applied = replica_applied,
        .arg = member,
    };
    return replica_open(&options, &member->replica, text);
}

/* It ended itself, or couldn't start: was that asked for? */
static void judge_end(struct member *member)
{
    const struct sim_disk *disk = member->node->disk;
    bool told = sim_disk_failure_told(member->node->disk) || member->told_ns != 0 || sim_disk_temporary_stuck(disk);
    bool power = member->node->doomed && member->node->doom == SIM_POWER_LOSS;
    /* The nemesis may have freed the disk between the answer that there is no space and the end. */
    bool no_space = member->wants_space && sim_disk_filled_told_ns(disk) != 0 &&
                    member->cluster->world.now_ns - sim_disk_filled_told_ns(disk) <= NO_SPACE_NS;
    if (!told && !power && !no_space && !member->refused) {
        sim_fail(&member->cluster->world, "%s ended without a reason: %s", member->node->name, member->complaint);
    }
}

/* Recovery must survive what it recovers from. */
static void arm_start(struct member *member)
{
    struct rng *rng = &member->cluster->rng;
    if (member->cluster->calm || !rng_chance(rng, 150)) {
        return;
    }
    if (rng_chance(rng, 700)) {
        sim_disk_crash_at(member->node->disk, rng_between(rng, 1, 25));
    } else {
        sim_disk_fail_at(member->node->disk, rng_between(rng, 1, 25));
    }
}

void member_start(struct member *member)
{
    struct cluster *cluster = member->cluster;
    struct storage_options options;
    struct error_text text = {.text = ""};
    CHECK(member->state == MEMBER_DOWN);
    sim_cancel(&cluster->world, member->restart);
    member->restart = NULL;
    sim_node_power_on(member->node);
    sim_node_start(member->node);
    member->state = MEMBER_UP;
    member->told_ns = 0;
    member->wants_space = false;
    member->leads = false;
    member->last_snapshot = UINT64_MAX;
    member->last_applied = 0;
    member->complaint[0] = '\0';
    say(member, "starts", "");
    arm_start(member);
    member_storage_options(member, &options);
    enum error error = storage_open(&options, &member->storage, &text);
    if (error == ERROR_NONE && !member->node->doomed) {
        error = start_replica(member, &text);
    }
    if (error != ERROR_NONE) {
        complain(member, text.text[0] == '\0' ? error_describe(error) : text.text);
    }
    cluster->counts.restarts++;
}

static void restart_now(void *arg)
{
    struct member *member = arg;
    member->restart = NULL;
    if (member->state == MEMBER_DOWN) {
        if (!member->cluster->calm && member->node->boots > 0 && rng_chance(&member->cluster->rng, 250)) {
            flip_try(member);
        }
        member_start(member);
    }
}

void member_restart_in(struct member *member, uint64_t ns)
{
    if (member->restart == NULL) {
        member->restart = sim_schedule(&member->cluster->world, NULL, ns, SIM_SCENARIO, restart_now, member);
    }
}

void member_kill(struct member *member, enum sim_death death)
{
    struct cluster *cluster = member->cluster;
    say(member, death == SIM_POWER_LOSS ? "loses power" : "is killed", "");
    if (death == SIM_POWER_LOSS) {
        cluster->counts.power_losses++;
    } else {
        cluster->counts.kills++;
    }
    sim_node_kill_begin(member->node, death);
    if (member->replica != NULL) {
        replica_crash(member->replica);
    }
    if (member->storage != NULL) {
        storage_crash(member->storage);
    }
    sim_node_kill_end(member->node);
    member->replica = NULL;
    member->storage = NULL;
    member->leads = false;
    member->state = member->refused ? MEMBER_LOST : MEMBER_DOWN;
    requests_drop(member);
}

/* ---- an orderly stop ---- */

static void storage_is_closed(void *arg)
{
    struct member *member = arg;
    member->storage = NULL;
    member->storage_closed = true;
}

static void replica_is_closed(void *arg)
{
    struct member *member = arg;
    member->replica = NULL;
    member->replica_closed = true;
    storage_close(member->storage, true, storage_is_closed, member);
}

void member_stop(struct member *member)
{
    if (member->state != MEMBER_UP || member->node->doomed) {
        return;
    }
    say(member, "is asked to stop", "");
    member->state = MEMBER_CLOSING;
    member->replica_closed = false;
    member->storage_closed = false;
    member->cluster->counts.orderly_stops++;
    replica_close(member->replica, 1000, replica_is_closed, member);
}

/* ---- after each event ---- */

static void count_snapshot(struct member *member)
{
    struct storage_snapshot_info info;
    storage_snapshot_newest(member->storage, &info);
    if (member->last_snapshot == UINT64_MAX) {
        member->last_snapshot = info.index;
    } else if (info.index > member->last_snapshot) {
        struct audit_content content = audit_content_at(member->cluster->audit, info.index);
        member->last_snapshot = info.index;
        member->cluster->counts.snapshots++;
        member->cluster->counts.snapshots_policies += content.policies > 0;
        member->cluster->counts.snapshots_revoking += content.revoking > 0;
    }
}

void member_look_after(struct member *member)
{
    struct cluster *cluster = member->cluster;
    uint64_t now = cluster->world.now_ns;
    if (member->state != MEMBER_UP && member->state != MEMBER_CLOSING) {
        return;
    }
    if (member->told_ns == 0 && sim_disk_failure_told(member->node->disk)) {
        member->told_ns = now;
    }
    if (member->node->doomed) {
        judge_end(member);
        member_kill(member, member->node->doom);
        if (member->state == MEMBER_DOWN) {
            member_restart_in(member, rng_between(&cluster->rng, 20, 2000) * SIM_MS);
        }
        return;
    }
    if (member->state == MEMBER_CLOSING && member->storage_closed) {
        member_kill(member, SIM_KILLED);
        cluster->counts.kills--;
        member_restart_in(member, rng_between(&cluster->rng, 20, 2000) * SIM_MS);
        return;
    }
    if (member->storage != NULL && member->state == MEMBER_UP) {
        count_snapshot(member);
    }
    if (member->told_ns != 0 && now - member->told_ns > NOTICE_NS && member->node->busy_until < now) {
        sim_fail(&cluster->world, "%s goes on after a failed write", member->node->name);
    }
}

struct member *cluster_leader(struct cluster *cluster)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (cluster->members[i].state == MEMBER_UP && cluster->members[i].leads) {
            return &cluster->members[i];
        }
    }
    return NULL;
}
