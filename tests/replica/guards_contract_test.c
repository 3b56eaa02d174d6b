/* LIBRAFT.md, the contract of raft_io: each row of the table. What holds at every call is judged by the watch; what needs
 * a special moment is brought about here, often by calling the function as libraft would. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guards_watch.h"

static struct node *wait_leader(struct cluster *cluster)
{
    (void)cluster_wait_leader(cluster);
    cluster_run(cluster, 1000);
    return cluster_wait_leader(cluster);
}

static struct node *open_members(struct cluster *cluster, unsigned n, uint64_t seed, bool snapshots)
{
    cluster_open(cluster, n, seed);
    if (snapshots) {
        cluster->snapshot_entry_bytes = 4096;
        cluster->snapshot_trailing = 8;
    }
    watch_begin(cluster);
    cluster_start_all(cluster);
    return wait_leader(cluster);
}

static void close_members(struct cluster *cluster)
{
    cluster_close(cluster);
    watch_end();
}

static bool is_down(void *arg)
{
    return !((struct node *)arg)->up;
}

static bool is_running(void *arg)
{
    struct node *node = arg;
    return node->replica != NULL && replica_running(node->replica);
}

static bool has_taken(void *arg)
{
    return watch_of(arg)->taken > 0 && !watch_of(arg)->putting;
}

static void propose_until_snapshot(struct cluster *cluster, struct node *leader)
{
    for (unsigned i = 0; i < 300 && watch_of(leader)->taken == 0; i++) {
        watch_propose(cluster, leader, 1);
    }
    cluster_wait(cluster, 5000, has_taken, leader, "a snapshot");
}

/* ---- set_term, set_vote ---- */

/* What a lone survivor finds after the power was lost in the moment that `change` returned. */
static void survive(uint64_t seed, void (*change)(struct watch *watch), raft_term *term, raft_id *vote)
{
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, seed, false);
    struct node *node = cluster_other(&cluster, leader);
    *term = node->replica->raft.current_term;
    change(watch_of(node));
    for (unsigned i = 0; i < 3; i++) {
        node_kill(&cluster.nodes[i], SIM_POWER_LOSS);
    }
    node_start(node);
    cluster_wait(&cluster, 1000, is_running, node, "the restart");
    *term = node->replica->raft.current_term - *term;
    *vote = node->replica->raft.voted_for;
    close_members(&cluster);
}

static void set_term_and_vote(struct watch *watch)
{
    (void)watch->io.set_term(watch->raft->io, watch->raft->current_term + 7);
    (void)watch->io.set_vote(watch->raft->io, 3);
}

static void set_stored_term(struct watch *watch)
{
    set_term_and_vote(watch);
    (void)watch->io.set_term(watch->raft->io, watch->raft->current_term + 7);
}

static void set_next_term(struct watch *watch)
{
    set_term_and_vote(watch);
    (void)watch->io.set_term(watch->raft->io, watch->raft->current_term + 8);
}

static void contract_set_term_and_set_vote_are_durable_on_return(void **state)
{
    (void)state;
    for (uint64_t seed = 400; seed < 405; seed++) {
        raft_term term;
        raft_id vote;
        survive(seed, set_term_and_vote, &term, &vote);
        assert_int_equal(term, 7);
        assert_int_equal(vote, 3);
    }
}

static void contract_set_term_with_the_stored_term_keeps_the_vote(void **state)
{
    (void)state;
    raft_term term;
    raft_id vote;
    survive(405, set_stored_term, &term, &vote);
    assert_int_equal(term, 7);
    assert_int_equal(vote, 3);
}

static void contract_set_term_with_a_new_term_clears_the_vote(void **state)
{
    (void)state;
    raft_term term;
    raft_id vote;
    survive(406, set_next_term, &term, &vote);
    assert_int_equal(term, 8);
    assert_int_equal(vote, 0);
}

/* ---- load ---- */

static void contract_load_gives_each_entry_its_own_memory(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 410, true);
    watch_propose(&cluster, leader, 5);
    cluster_run(&cluster, 500); /* on its own disk, too */
    node_kill(leader, SIM_POWER_LOSS);
    node_start(leader);
    cluster_wait(&cluster, 1000, is_running, leader, "the restart");
    assert_int_equal(watch_of(leader)->loaded_snapshots, 0);
    assert_true(watch_of(leader)->loaded_entries > 5);
    leader = wait_leader(&cluster);
    propose_until_snapshot(&cluster, leader);
    node_kill(leader, SIM_POWER_LOSS);
    node_start(leader);
    cluster_wait(&cluster, 1000, is_running, leader, "the restart");
    assert_int_equal(watch_of(leader)->loaded_snapshots, 1);
    assert_int_equal(watch_of(leader)->restored, 1);
    assert_true(watch_of(leader)->loaded_entries > 0);
    close_members(&cluster);
}

/* ---- start ---- */

static void contract_start_ticks_every_10_ms(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 411, false);
    unsigned before = watch_of(leader)->ticks;
    cluster_run(&cluster, 2000);
    assert_in_range(watch_of(leader)->ticks - before, 150,
                    205); /* the simulator's timers are late, never early twice */
    close_members(&cluster);
}

/* ---- append, truncate ---- */

static bool is_appending(void *arg)
{
    const struct node *node = arg;
    return node->replica->side.appends != NULL;
}

static void contract_append_is_canceled_while_closing_only(void **state)
{
    (void)state;
    unsigned canceled = 0;
    for (uint64_t seed = 420; seed < 430; seed++) {
        struct cluster cluster;
        struct node *leader = open_members(&cluster, 3, seed, false);
        struct node *node = cluster_other(&cluster, leader);
        struct watch *watch = watch_of(node);
        struct ask ask;
        ask_acquire(leader, &ask, "job", "agent", 60000);
        cluster_wait(&cluster, 1000, is_appending, node, "an append");
        node_stop(node);
        cluster_wait(&cluster, 3000, is_down, node, "the end of the process");
        assert_string_equal(node->complaint, "");
        assert_int_equal(watch_pending(watch), 0);
        canceled += watch->canceled;
        close_members(&cluster);
    }
    assert_true(canceled > 0);
}

static void contract_truncate_at_the_next_index_changes_nothing(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 430, false);
    watch_propose(&cluster, leader, 3);
    raft_index next = leader->replica->side.next_index;
    assert_int_equal(watch_of(leader)->io.truncate(leader->replica->raft.io, next), 0);
    assert_int_equal(leader->replica->side.next_index, next);
    assert_int_equal(storage_next_index(leader->storage), next);
    watch_propose(&cluster, leader, 3);
    assert_string_equal(leader->complaint, "");
    close_members(&cluster);
}

static void contract_truncate_beyond_the_next_index_ends_the_process(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 431, false);
    (void)watch_of(leader)->io.truncate(leader->replica->raft.io, leader->replica->side.next_index + 1);
    assert_true(leader->replica->dead);
    assert_string_not_equal(leader->complaint, "");
    close_members(&cluster);
}

static bool has_another_leader(void *arg)
{
    struct node *deposed = arg;
    for (unsigned i = 0; i < deposed->cluster->n; i++) {
        struct node *node = &deposed->cluster->nodes[i];
        struct replica_status status = node_status(node);
        if (node != deposed && status.role == REPLICA_LEADER && status.ready) {
            return true;
        }
    }
    return false;
}

/* A deposed leader's own entries are overwritten, in memory, on the disk, and after a restart. */
static void contract_truncate_in_order_with_appends(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *deposed = open_members(&cluster, 3, 432, false);
    watch_isolate(&cluster, deposed, true);
    struct ask asks[2];
    ask_acquire(deposed, &asks[0], "lost-1", "agent", 60000);
    cluster_run(&cluster, 20);
    ask_acquire(deposed, &asks[1], "lost-2", "agent", 60000);
    cluster_run(&cluster, 20);
    cluster_wait(&cluster, 5000, has_another_leader, deposed, "another leader");
    struct node *leader = cluster_other(&cluster, deposed);
    leader = node_status(leader).role == REPLICA_LEADER ? leader : cluster_wait_leader(&cluster);
    watch_propose(&cluster, leader, 10);
    watch_isolate(&cluster, deposed, false);
    cluster_wait_applied(&cluster, deposed, leader->applied); /* equal index, equal state: the cluster compares */
    ask_wait(&cluster, &asks[0]);
    ask_wait(&cluster, &asks[1]);
    uint64_t applied = deposed->applied;
    node_kill(deposed, SIM_POWER_LOSS);
    node_start(deposed);
    cluster_wait_applied(&cluster, deposed, applied);
    close_members(&cluster);
}

/* ---- snapshots ---- */

static bool has_installed(void *arg)
{
    return is_running(arg) && watch_of(arg)->installed > 0 && !watch_of(arg)->putting;
}

static void contract_snapshot_put_of_an_install_empties_the_log(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 440, true);
    struct node *away = cluster_other(&cluster, leader);
    node_kill(away, SIM_KILLED);
    propose_until_snapshot(&cluster, leader);
    node_start(away);
    cluster_wait(&cluster, 10000, has_installed, away, "an install");
    assert_int_equal(watch_of(away)->restored, 1);
    cluster_wait_applied(&cluster, away, leader->applied);
    struct storage_snapshot_info info;
    storage_snapshot_newest(away->storage, &info);
    assert_int_equal(info.index, away->replica->raft.trail.snapshot.index);
    watch_propose(&cluster, cluster_wait_leader(&cluster), 3);
    uint64_t applied = away->applied;
    node_kill(away, SIM_POWER_LOSS);
    node_start(away);
    cluster_wait_applied(&cluster, away, applied);
    close_members(&cluster);
}

struct get {
    struct raft_io_snapshot_get request;
    struct watch *watch;
    struct raft_io_send send;
    int status;
    raft_index index;
    size_t n_bufs;
    int sent; /* what the send answered */
};

static void send_done(struct raft_io_send *send, int status)
{
    (void)send;
    (void)status;
}

/* As libraft does: the snapshot goes on to a send. */
static void get_done(struct raft_io_snapshot_get *request, struct raft_snapshot *snapshot, int status)
{
    struct get *get = request->data;
    const struct raft_message message = {.type = RAFT_TIMEOUT_NOW, .server_id = 99};
    get->status = status;
    get->index = snapshot->index;
    get->n_bufs = snapshot->n_bufs;
    raft_free(snapshot->bufs[0].base);
    raft_free(snapshot->bufs);
    raft_configuration_close(&snapshot->configuration);
    raft_free(snapshot);
    get->sent = get->watch->io.send(get->watch->raft->io, &get->send, &message, send_done);
}

static void get_snapshot(struct watch *watch)
{
    struct get *get = watch->data;
    *get = (struct get){.request.data = get, .watch = watch, .status = -1, .sent = -1};
    assert_int_equal(watch->io.snapshot_get(watch->raft->io, &get->request, get_done), 0);
    assert_int_equal(get->status, -1); /* not from inside */
}

static void contract_snapshot_get_gives_the_newest_snapshot(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 441, true);
    struct get get;
    propose_until_snapshot(&cluster, leader);
    watch_of(leader)->data = &get;
    get_snapshot(watch_of(leader));
    cluster_run(&cluster, 20);
    assert_int_equal(get.status, 0);
    assert_int_equal(get.n_bufs, 1);
    assert_int_equal(get.index, node_status(leader).last_snapshot_index);
    assert_int_equal(get.sent, 0);
    /* What guard 9 goes by. */
    assert_int_equal(leader->replica->guards.snapshot_index, get.index);
    assert_int_equal(leader->replica->guards.snapshot_term, leader->replica->raft.trail.snapshot.term);
    close_members(&cluster);
}

static void contract_snapshot_get_never_fails_not_even_at_close(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 442, true);
    struct get get;
    propose_until_snapshot(&cluster, leader);
    struct watch *watch = watch_of(leader);
    watch->data = &get;
    watch->at_close = get_snapshot;
    node_stop(leader);
    cluster_wait(&cluster, 3000, is_down, leader, "the end of the process");
    assert_int_equal(get.status, 0);
    assert_int_equal(get.n_bufs, 1);
    assert_int_not_equal(get.sent, 0); /* the one send that fails, so that libraft frees */
    close_members(&cluster);
}

/* ---- send, recv ---- */

static void contract_send_never_fails_synchronously(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 450, false);
    for (unsigned i = 0; i < 3; i++) {
        if (&cluster.nodes[i] != leader) {
            node_kill(&cluster.nodes[i], SIM_KILLED);
        }
    }
    size_t before = watch_frames();
    struct ask ask;
    ask_acquire(leader, &ask, "job", "agent", 60000);
    cluster_run(&cluster, 5000); /* leads on for a while, then asks for votes; nobody is there */
    size_t refused = 0;
    for (size_t i = before; i < watch_frames(); i++) {
        refused += !watch_frame(i)->queued;
    }
    assert_true(refused > 10); /* by the streams; libraft was told that all is well, says the watch */
    close_members(&cluster);
}

static void contract_recv_from_a_stranger_is_dropped(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 451, false);
    struct member stranger = {.id = 9};
    const struct frame frame = {
        .kind = FRAME_REQUEST_VOTE,
        .request_vote =
            {.term = 100, .candidate_id = 9, .last_log_index = 1000, .last_log_term = 99, .disrupt_leader = true},
    };
    unsigned received = watch_of(leader)->received;
    raft_side_receive(leader->replica, &stranger, &frame);
    assert_int_equal(watch_of(leader)->received, received);
    assert_true(leader->replica->raft.current_term < 100);
    close_members(&cluster);
}

/* A member that lagged behind gets entries in heaps: the watch looks at how they lie in memory. */
static void contract_recv_payloads_share_one_batch(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 452, false);
    struct node *away = cluster_other(&cluster, leader);
    node_kill(away, SIM_KILLED);
    watch_propose(&cluster, leader, 40);
    node_start(away);
    cluster_wait_applied(&cluster, away, leader->applied);
    assert_true(watch_of(leader)->most_entries > 1);
    close_members(&cluster);
}

/* ---- time, random, the rest ---- */

static void contract_time_and_random_come_from_the_seam(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 460, false);
    struct raft_io *io = leader->replica->raft.io;
    assert_int_equal(io->time(io), loop_mono_ms(&leader->sim->loop));
    struct rng before = leader->sim->process_rng;
    int drawn[100];
    for (unsigned i = 0; i < 100; i++) {
        drawn[i] = io->random(io, 0, INT_MAX);
        assert_true(drawn[i] >= 0);
    }
    assert_int_not_equal(drawn[0], drawn[1]);
    leader->sim->process_rng = before;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(io->random(io, 0, INT_MAX), drawn[i]);
        assert_in_range(io->random(io, 5, 7), 5, 7);
        leader->sim->process_rng = before;
        for (unsigned j = 0; j <= i; j++) {
            (void)io->random(io, 0, INT_MAX);
        }
    }
    close_members(&cluster);
}

static uint64_t trace_of(uint64_t seed)
{
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, seed, false);
    node_kill(leader, SIM_KILLED);
    (void)wait_leader(&cluster);
    uint64_t trace = cluster.world.trace;
    close_members(&cluster);
    return trace;
}

static void contract_random_equal_seeds_equal_traces(void **state)
{
    (void)state;
    assert_int_equal(trace_of(461), trace_of(461));
    assert_int_not_equal(trace_of(461), trace_of(462));
}

static void contract_recover_and_bootstrap_are_unused(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 3, 463, false);
    struct raft_io *io = leader->replica->raft.io;
    uint64_t next = storage_next_index(leader->storage);
    assert_int_not_equal(io->recover(io, &leader->replica->raft.configuration), 0);
    assert_int_not_equal(io->bootstrap(io, &leader->replica->raft.configuration), 0);
    assert_int_equal(storage_next_index(leader->storage), next);
    watch_propose(&cluster, leader, 1);
    close_members(&cluster);
}

static void contract_close_cancels_everything_and_calls_back_once(void **state)
{
    (void)state;
    struct cluster cluster;
    struct node *leader = open_members(&cluster, 1, 464, true);
    struct watch *watch = watch_of(leader);
    struct ask asks[20];
    for (unsigned i = 0; i < 20; i++) {
        char schedule[16];
        (void)snprintf(schedule, sizeof schedule, "job-%u", i);
        ask_acquire(leader, &asks[i], schedule, "agent", 60000);
    }
    node_stop(leader);
    cluster_wait(&cluster, 5000, is_down, leader, "the end of the process");
    assert_int_equal(watch->closes, 1);
    assert_int_equal(watch_pending(watch), 0);
    assert_true(watch->closed);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(asks[i].answered);
    }
    close_members(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract_set_term_and_set_vote_are_durable_on_return),
        cmocka_unit_test(contract_set_term_with_the_stored_term_keeps_the_vote),
        cmocka_unit_test(contract_set_term_with_a_new_term_clears_the_vote),
        cmocka_unit_test(contract_load_gives_each_entry_its_own_memory),
        cmocka_unit_test(contract_start_ticks_every_10_ms),
        cmocka_unit_test(contract_append_is_canceled_while_closing_only),
        cmocka_unit_test(contract_truncate_at_the_next_index_changes_nothing),
        cmocka_unit_test(contract_truncate_beyond_the_next_index_ends_the_process),
        cmocka_unit_test(contract_truncate_in_order_with_appends),
        cmocka_unit_test(contract_snapshot_put_of_an_install_empties_the_log),
        cmocka_unit_test(contract_snapshot_get_gives_the_newest_snapshot),
        cmocka_unit_test(contract_snapshot_get_never_fails_not_even_at_close),
        cmocka_unit_test(contract_send_never_fails_synchronously),
        cmocka_unit_test(contract_recv_from_a_stranger_is_dropped),
        cmocka_unit_test(contract_recv_payloads_share_one_batch),
        cmocka_unit_test(contract_time_and_random_come_from_the_seam),
        cmocka_unit_test(contract_random_equal_seeds_equal_traces),
        cmocka_unit_test(contract_recover_and_bootstrap_are_unused),
        cmocka_unit_test(contract_close_cancels_everything_and_calls_back_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
