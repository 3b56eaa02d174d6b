/* Changes of the members under load: a member is demoted and promoted again and again while entries flow, snapshots are
 * taken and members die. Nobody's configuration may end up another than the others'. (The operations that change members
 * come with a later version; here libraft is called as they will.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster.h"

#define ROUNDS 60u

struct churn {
    struct cluster *cluster;
    struct raft_change change[CLUSTER_NODES_MAX];
    unsigned changes;
};

/* The other role for the last member; false when it can't be changed now. */
static bool change_role(struct churn *churn, struct node *leader)
{
    struct raft *raft = &leader->replica->raft;
    uint64_t id = churn->cluster->n;
    const struct raft_server *server = guards_server(raft, id);
    if (server == NULL || raft->id == id || raft->legacy.change != NULL || !leader->replica->clock.ready ||
        raft->configuration_uncommitted_index != 0) {
        return false;
    }
    struct raft_change *change = &churn->change[leader - churn->cluster->nodes];
    raft_set_heartbeat_timeout(raft, 0);
    int rv = raft_assign(raft, change, id, server->role == RAFT_VOTER ? RAFT_STANDBY : RAFT_VOTER, NULL);
    raft_set_heartbeat_timeout(raft, 50);
    if (rv != 0 && raft->legacy.change == change) {
        raft->legacy.change = NULL;
    }
    replica_after_step(leader->replica);
    churn->changes += rv == 0;
    return rv == 0;
}

static bool all_equal(void *arg)
{
    struct cluster *cluster = arg;
    const struct raft *first = NULL;
    for (unsigned i = 0; i < cluster->n; i++) {
        const struct replica *replica = cluster->nodes[i].up ? cluster->nodes[i].replica : NULL;
        if (replica == NULL || replica->stage != STAGE_RUNNING) {
            return false;
        }
        const struct raft *raft = &replica->raft;
        first = first == NULL ? raft : first;
        if (raft->last_applied != first->last_applied || raft->configuration_uncommitted_index != 0 ||
            raft->configuration_committed_index != first->configuration_committed_index ||
            raft->configuration.n != first->configuration.n) {
            return false;
        }
        for (unsigned j = 0; j < first->configuration.n; j++) {
            if (raft->configuration.servers[j].role != first->configuration.servers[j].role) {
                return false;
            }
        }
    }
    return true;
}

static void churned_configurations_stay_equal(void **state)
{
    (void)state;
    unsigned changes = 0;
    for (uint64_t seed = 500; seed < 512; seed++) {
        struct cluster cluster;
        cluster_open(&cluster, 4, seed);
        cluster.snapshot_entry_bytes = 4096;
        cluster.snapshot_trailing = 8;
        cluster_start_all(&cluster);
        struct churn churn = {.cluster = &cluster};
        static struct ask asks[ROUNDS * 4]; /* each used once: a killed member never answers */
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct node *leader = cluster_wait_leader(&cluster);
            for (unsigned i = 0; i < 4; i++) {
                struct ask *ask = &asks[round * 4 + i];
                char schedule[32];
                (void)snprintf(schedule, sizeof schedule, "job-%u", round * 4 + i);
                ask_acquire(leader, ask, schedule, "agent", 60000);
                if (i % 2 == 1) {
                    (void)change_role(&churn, leader);
                }
            }
            cluster_run(&cluster, 20 + seed % 7);
            if (round % 12 == 11) {
                struct node *victim = &cluster.nodes[(seed + round) % 4];
                node_kill(victim, round % 24 == 11 ? SIM_KILLED : SIM_POWER_LOSS);
                cluster_run(&cluster, 300);
                node_start(victim);
                cluster_run(&cluster, 200);
            }
        }
        cluster_run(&cluster, 6000);
        cluster_wait(&cluster, 30000, all_equal, &cluster, "equal configurations");
        changes += churn.changes;
        cluster_close(&cluster);
    }
    assert_true(changes > 100);
}

static void addresses_are_read_and_written(void **state)
{
    (void)state;
    static const uint8_t incarnation[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255};
    const struct replica_member spec = {.name = "n1", .host = "fe80::1", .http_port = 7420, .raft_port = 7421};
    struct buffer text;
    buffer_init(&text);
    address_render("n1", incarnation, &spec, &text);
    assert_string_equal((const char *)text.base, "n1 000102030405060708090a0b0c0d0eff [fe80::1]:7421 [fe80::1]:7420");
    struct address address;
    assert_true(address_parse((const char *)text.base, &address));
    buffer_close(&text);
    assert_string_equal(address.name, "n1");
    assert_memory_equal(address.incarnation, incarnation, 16);
    assert_string_equal(address.raft_host, "fe80::1");
    assert_int_equal(address.raft_port, 7421);
    assert_string_equal(address.http, "[fe80::1]:7420");
    static const char *const wrong[] = {
        "",
        "n1",
        "n1 000102030405060708090a0b0c0d0eff h:1",
        "n1 000102030405060708090a0b0c0d0eff h:1 h:2 more",
        "n1 000102030405060708090a0b0c0d0ef h:1 h:2",
        "n1 000102030405060708090A0B0C0D0EFF h:1 h:2",
        "n1 000102030405060708090a0b0c0d0eff h h:2",
        "n1 000102030405060708090a0b0c0d0eff h:0 h:2",
        "n1 000102030405060708090a0b0c0d0eff h:65536 h:2",
        "n1 000102030405060708090a0b0c0d0eff :1 h:2",
        "n1 000102030405060708090a0b0c0d0eff []:1 h:2",
        "n1 000102030405060708090a0b0c0d0eff h:1x h:2",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(address_parse(wrong[i], &address));
    }
}

static void encoded_configurations_are_checked_to_the_byte(void **state)
{
    (void)state;
    struct raft_configuration configuration;
    struct raft_buffer buffer;
    raft_configuration_init(&configuration);
    assert_int_equal(raft_configuration_add(&configuration, 1, "one", RAFT_VOTER), 0);
    assert_int_equal(raft_configuration_add(&configuration, 2, "two", RAFT_SPARE), 0);
    assert_int_equal(raft_configuration_encode(&configuration, &buffer), 0);
    raft_configuration_close(&configuration);
    size_t used = 9 + 2 * (8 + 4 + 1); /* the rest pads it to a multiple of 8 */
    assert_true(guards_configuration_valid(buffer.base, buffer.len));
    for (size_t len = 0; len < used; len++) {
        assert_false(guards_configuration_valid(buffer.base, len));
    }
    uint8_t *bytes = buffer.base;
    bytes[used - 1] = 3; /* a role that isn't one */
    assert_false(guards_configuration_valid(buffer.base, buffer.len));
    bytes[used - 1] = RAFT_SPARE;
    bytes[8] = 1; /* 2^56 servers */
    assert_false(guards_configuration_valid(buffer.base, buffer.len));
    raft_free(buffer.base);
    assert_false(guards_configuration_valid(NULL, 0));
}

/* libraft refuses to decode such a one, and frees the entry that carries it twice. */
static void encoded_configurations_name_nobody_twice(void **state)
{
    (void)state;
    static const uint8_t same_id[] = {1,   2,   0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,   0,   0, 0, 0,
                                      'n', '1', 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 'n', '2', 0, 1};
    static const uint8_t same_address[] = {1,   2,   0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,   0,   0, 0, 0,
                                           'n', '1', 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 'n', '1', 0, 1};
    uint8_t distinct[sizeof same_id];
    memcpy(distinct, same_id, sizeof distinct);
    distinct[21] = 2;
    assert_true(guards_configuration_valid(distinct, sizeof distinct));
    assert_false(guards_configuration_valid(same_id, sizeof same_id));
    assert_false(guards_configuration_valid(same_address, sizeof same_address));
}

/* A stream belongs to a name. */
static void encoded_configurations_give_no_name_twice(void **state)
{
    (void)state;
    static const uint8_t same_name[] = {1,   2,   0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,   0,   0,   0,   0, 'n', '1',
                                        ' ', 'x', 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 'n', '1', ' ', 'y', 0, 1};
    uint8_t distinct[sizeof same_name];
    assert_false(guards_configuration_valid(same_name, sizeof same_name));
    memcpy(distinct, same_name, sizeof distinct);
    distinct[32] = '2';
    assert_true(guards_configuration_valid(distinct, sizeof distinct));
    distinct[32] = '1';
    distinct[33] = 'y'; /* "n1yy": a longer name */
    assert_true(guards_configuration_valid(distinct, sizeof distinct));
}

static void add_server(struct raft_configuration *configuration, uint64_t id, const char *name, uint8_t incarnation)
{
    const struct replica_member spec = {.host = name, .http_port = 7420, .raft_port = CLUSTER_RAFT_PORT};
    uint8_t bytes[16];
    struct buffer text;
    buffer_init(&text);
    memset(bytes, incarnation, sizeof bytes);
    address_render(name, bytes, &spec, &text);
    assert_int_equal(raft_configuration_add(configuration, id, (const char *)text.base, RAFT_VOTER), 0);
    buffer_close(&text);
}

static void expect_member(struct replica *replica, uint64_t id, const char *name, uint8_t incarnation)
{
    const struct member *member = member_by_id(replica, id);
    assert_non_null(member);
    assert_string_equal(member->address.name, name);
    if (member->peer != NULL) {
        assert_string_equal(peer_name(member->peer), name);
        assert_int_equal(member->address.incarnation[0], incarnation);
    }
}

/* An install may skip the entries between, so that the new one of a name comes with the old one's going; and whoever
 * leads may be wrong about names. */
static void names_change_hands_in_one_step(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 520);
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    struct replica *replica = cluster.nodes[0].replica;
    struct raft_configuration replaced, swapped, own;
    raft_configuration_init(&replaced);
    add_server(&replaced, 1, "n1", 1);
    add_server(&replaced, 2, "n2", 2);
    add_server(&replaced, 9, "n3", 9);
    members_sync(replica, &replaced);
    assert_int_equal(replica->members.n, 3);
    expect_member(replica, 9, "n3", 9);
    assert_null(member_by_id(replica, 3));
    raft_configuration_init(&swapped);
    add_server(&swapped, 1, "n1", 1);
    add_server(&swapped, 2, "n3", 3);
    add_server(&swapped, 9, "n2", 4);
    members_sync(replica, &swapped);
    assert_int_equal(replica->members.n, 3);
    expect_member(replica, 2, "n3", 3);
    expect_member(replica, 9, "n2", 4);
    raft_configuration_init(&own); /* this node's name under another id: one more member, without a stream */
    add_server(&own, 2, "n3", 3);
    add_server(&own, 7, "n1", 7);
    members_sync(replica, &own);
    assert_int_equal(replica->members.n, 3);
    assert_null(member_by_id(replica, 7)->peer);
    assert_null(member_by_id(replica, 1)->peer); /* whoever this node is, it knows itself */
    members_sync(replica, &replica->raft.configuration);
    assert_int_equal(replica->members.n, 3);
    assert_non_null(member_by_id(replica, 3)->peer);
    raft_configuration_close(&replaced);
    raft_configuration_close(&swapped);
    raft_configuration_close(&own);
    cluster_close(&cluster);
}

/* This node is no member any more, its name is, and with the others of a full configuration they are one too many: the
 * member of its name, which has no stream anyway, goes without a place. */
static void full_configuration_with_this_name_under_another_id_fits(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_open(&cluster, 3, 521);
    cluster_start_all(&cluster);
    (void)cluster_wait_leader(&cluster);
    struct replica *replica = cluster.nodes[0].replica;
    struct raft_configuration full;
    raft_configuration_init(&full);
    for (unsigned i = 1; i < LIMIT_MEMBERS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", i + 1);
        add_server(&full, i + 1, name, (uint8_t)(i + 1));
    }
    add_server(&full, 99, "n1", 99);
    assert_int_equal(full.n, LIMIT_MEMBERS);
    members_sync(replica, &full);
    assert_int_equal(replica->members.n, LIMIT_MEMBERS);
    assert_null(member_by_id(replica, 1)->peer);
    assert_null(member_by_id(replica, 99));
    members_sync(replica, &replica->raft.configuration);
    assert_int_equal(replica->members.n, 3);
    raft_configuration_close(&full);
    cluster_close(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_configurations_are_checked_to_the_byte),
        cmocka_unit_test(encoded_configurations_name_nobody_twice),
        cmocka_unit_test(encoded_configurations_give_no_name_twice),
        cmocka_unit_test(names_change_hands_in_one_step),
        cmocka_unit_test(full_configuration_with_this_name_under_another_id_fits),
        cmocka_unit_test(churned_configurations_stay_equal),
        cmocka_unit_test(addresses_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
