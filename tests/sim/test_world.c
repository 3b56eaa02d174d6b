/* The world keeps the promises that the rooms rely on, and breaks everything else often enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/slice.h"
#include "world.h"

#define SEEDS 60u

struct machine {
    struct sim_world world;
    struct sim_node *node;
};

static void machine_open(struct machine *machine, uint64_t seed)
{
    sim_world_open(&machine->world, seed);
    machine->node = sim_node_open(&machine->world, "n1", false);
    machine->node->disk = sim_disk_open(&machine->world, 512, 1024 * 1024);
    sim_node_start(machine->node);
}

static void machine_die(struct machine *machine, enum sim_death death)
{
    sim_node_kill_begin(machine->node, death);
    sim_node_kill_end(machine->node);
}

static void machine_revive(struct machine *machine)
{
    sim_node_power_on(machine->node);
    sim_node_start(machine->node);
}

static void machine_close(struct machine *machine)
{
    machine_die(machine, SIM_KILLED);
    sim_node_close(machine->node);
    sim_world_close(&machine->world);
}

static struct disk *disk_of(struct machine *machine)
{
    return &machine->node->disk_functions;
}

static struct disk_file *open_file(struct machine *machine, const char *path, enum disk_mode mode)
{
    struct disk_file *file;
    int os_error;
    assert_int_equal(disk_of(machine)->open(disk_of(machine)->impl, path, mode, &file, &os_error), ERROR_NONE);
    return file;
}

static void put_file(struct machine *machine, const char *path, size_t len, uint8_t byte, bool sync)
{
    uint8_t bytes[4 * LIMIT_BLOCK_BYTES];
    int os_error;
    struct disk *disk = disk_of(machine);
    assert_true(len <= sizeof bytes);
    memset(bytes, byte, len);
    struct disk_file *file = open_file(machine, path, DISK_CREATE);
    assert_int_equal(disk->write(file, 0, bytes, len, &os_error), ERROR_NONE);
    if (sync) {
        assert_int_equal(disk->sync(file, &os_error), ERROR_NONE);
        assert_int_equal(disk->sync_directory(disk->impl, "", &os_error), ERROR_NONE);
    }
    disk->close(file);
}

/* How many of the file's first `len` bytes are `byte`; −1: there is no such file. */
static long count_bytes(struct machine *machine, const char *path, size_t len, uint8_t byte)
{
    uint8_t bytes[4 * LIMIT_BLOCK_BYTES] = {0};
    struct disk_file *file;
    int os_error;
    size_t got;
    long count = 0;
    struct disk *disk = disk_of(machine);
    if (disk->open(disk->impl, path, DISK_READ, &file, &os_error) != ERROR_NONE) {
        return -1;
    }
    assert_int_equal(disk->read(file, 0, bytes, len, &got, &os_error), ERROR_NONE);
    for (size_t i = 0; i < got; i++) {
        count += bytes[i] == byte;
    }
    disk->close(file);
    return count;
}

/* ---- disks ---- */

static void what_was_synced_survives_a_power_loss(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine;
        machine_open(&machine, seed);
        put_file(&machine, "a", 9000, 7, true);
        machine_die(&machine, SIM_POWER_LOSS);
        machine_revive(&machine);
        assert_int_equal(count_bytes(&machine, "a", 9000, 7), 9000);
        machine_close(&machine);
    }
}

static void what_was_not_synced_is_kept_lost_or_torn_by_a_power_loss(void **state)
{
    (void)state;
    unsigned kept = 0;
    unsigned torn = 0;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine;
        machine_open(&machine, seed);
        put_file(&machine, "a", 9000, 7, false);
        machine_die(&machine, SIM_POWER_LOSS);
        machine_revive(&machine);
        long count = count_bytes(&machine, "a", 9000, 7);
        kept += count == 9000;
        torn += count > 0 && count < 9000;
        lost += count <= 0;
        machine_close(&machine);
    }
    assert_true(kept > 0 && torn > 0 && lost > 0);
}

static void a_killed_process_loses_nothing_that_it_wrote(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine;
        machine_open(&machine, seed);
        put_file(&machine, "a", 9000, 7, false);
        machine_die(&machine, SIM_KILLED);
        machine_revive(&machine);
        assert_int_equal(count_bytes(&machine, "a", 9000, 7), 9000);
        machine_close(&machine);
    }
}

static void a_rename_is_certain_only_after_the_directory_was_synced(void **state)
{
    (void)state;
    unsigned undone = 0;
    for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
        struct machine machine;
        int os_error;
        machine_open(&machine, seed);
        put_file(&machine, "a", 100, 7, true);
        struct disk *disk = disk_of(&machine);
        assert_int_equal(disk->rename(disk->impl, "a", "b", &os_error), ERROR_NONE);
        if (seed % 2 == 0) {
            assert_int_equal(disk->sync_directory(disk->impl, ".", &os_error), ERROR_NONE);
        }
        machine_die(&machine, SIM_POWER_LOSS);
        machine_revive(&machine);
        bool there = count_bytes(&machine, "b", 100, 7) == 100;
        assert_true(there != (count_bytes(&machine, "a", 100, 7) == 100));
        assert_true(there || seed % 2 != 0);
        undone += !there;
        machine_close(&machine);
    }
    assert_true(undone > 0 && undone < SEEDS);
}

struct submitted {
    struct disk_write write;
    uint8_t *base;
    bool done;
    enum error error;
};

static void write_is_done(struct disk_write *write, enum error error, int os_error)
{
    struct submitted *submitted = write->data;
    (void)os_error;
    submitted->done = true;
    submitted->error = error;
}

static _Alignas(4096) uint8_t blocks[4][LIMIT_BLOCK_BYTES];

static void submit(struct machine *machine, struct disk_file *file, unsigned block, struct submitted *submitted)
{
    memset(blocks[block], (int)block + 1, LIMIT_BLOCK_BYTES);
    *submitted = (struct submitted){.base = blocks[block]};
    submitted->write = (struct disk_write){.file = file,
                                           .offset = block * LIMIT_BLOCK_BYTES,
                                           .base = blocks[block],
                                           .len = LIMIT_BLOCK_BYTES,
                                           .done = write_is_done,
                                           .data = submitted};
    disk_of(machine)->submit(disk_of(machine)->impl, &submitted->write);
}

static void an_asynchronous_write_is_durable_once_it_is_done(void **state)
{
    (void)state;
    unsigned undone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine;
        struct submitted submitted[2];
        machine_open(&machine, seed);
        put_file(&machine, "log", sizeof blocks, 0, true);
        struct disk_file *file = open_file(&machine, "log", DISK_LOG);
        submit(&machine, file, 0, &submitted[0]);
        submit(&machine, file, 1, &submitted[1]);
        for (uint64_t steps = 0; steps < seed % 5; steps++) {
            assert_true(sim_step(&machine.world));
        }
        machine_die(&machine, SIM_POWER_LOSS);
        machine_revive(&machine);
        long first = count_bytes(&machine, "log", sizeof blocks, 1);
        long second = count_bytes(&machine, "log", sizeof blocks, 2);
        assert_true(!submitted[0].done || first == LIMIT_BLOCK_BYTES);
        assert_true(!submitted[1].done || second == LIMIT_BLOCK_BYTES);
        undone += first + second < 2 * (long)LIMIT_BLOCK_BYTES;
        assert_false(machine.world.failed);
        machine_close(&machine);
    }
    assert_true(undone > 0);
}

static uint32_t found_inode;
static void note_inode(void *arg, const struct sim_file_view *file)
{
    if (strcmp(file->path, arg) == 0) {
        found_inode = file->inode;
    }
}

static void a_later_write_vouches_for_what_was_done_when_it_was_submitted(void **state)
{
    (void)state;
    struct machine machine;
    struct submitted submitted[2];
    char path[] = "log";
    machine_open(&machine, 1);
    put_file(&machine, "tmp", sizeof blocks, 0, true);
    int os_error;
    struct disk *disk = disk_of(&machine);
    assert_int_equal(disk->rename(disk->impl, "tmp", path, &os_error),
                     ERROR_NONE); /* what was filled before is no record */
    assert_int_equal(disk->sync_directory(disk->impl, "", &os_error), ERROR_NONE);
    struct disk_file *file = open_file(&machine, path, DISK_LOG);
    sim_disk_each(machine.node->disk, note_inode, path);
    submit(&machine, file, 0, &submitted[0]);
    while (!submitted[0].done) {
        assert_true(sim_step(&machine.world));
    }
    assert_int_equal(sim_disk_block(machine.node->disk, found_inode, 10), SIM_BLOCK_UNCERTAIN);
    submit(&machine, file, 1, &submitted[1]);
    while (!submitted[1].done) {
        assert_true(sim_step(&machine.world));
    }
    assert_int_equal(sim_disk_block(machine.node->disk, found_inode, 10), SIM_BLOCK_WITNESSED);
    assert_int_equal(sim_disk_block(machine.node->disk, found_inode, LIMIT_BLOCK_BYTES), SIM_BLOCK_UNCERTAIN);
    assert_int_equal(sim_disk_block(machine.node->disk, found_inode, 2 * LIMIT_BLOCK_BYTES), SIM_BLOCK_NEVER);
    disk_of(&machine)->close(file);
    machine_close(&machine);
}

static void the_world_notices_a_write_into_unsynced_space_and_over_an_acknowledged_block(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct machine machine;
        struct submitted submitted[2];
        machine_open(&machine, 5);
        put_file(&machine, "log", sizeof blocks, 0, which == 0);
        struct disk_file *file = open_file(&machine, "log", DISK_LOG);
        submit(&machine, file, 0, &submitted[0]);
        while (!submitted[0].done) {
            assert_true(sim_step(&machine.world));
        }
        assert_true(machine.world.failed == (which == 1));
        submit(&machine, file, 0, &submitted[1]);
        assert_true(machine.world.failed);
        machine_close(&machine);
    }
}

static void a_crash_at_an_operation_leaves_what_was_there_at_that_moment(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 3);
    put_file(&machine, "a", 100, 7, true);
    sim_disk_crash_at(machine.node->disk, 1);
    put_file(&machine, "b", 100, 7, true); /* the machine dies at the create; the rest has no effect */
    assert_true(machine.node->doomed);
    machine_die(&machine, SIM_POWER_LOSS);
    machine_revive(&machine);
    assert_int_equal(count_bytes(&machine, "a", 100, 7), 100);
    assert_true(count_bytes(&machine, "b", 100, 7) <= 0);
    machine_close(&machine);
}

static void failures_and_a_full_disk_are_told(void **state)
{
    (void)state;
    struct machine machine;
    uint8_t bytes[100] = {0};
    int os_error;
    machine_open(&machine, 3);
    struct disk *disk = disk_of(&machine);
    struct disk_file *file = open_file(&machine, "a", DISK_CREATE);
    sim_disk_fail_at(machine.node->disk, 2);
    assert_int_equal(disk->write(file, 0, bytes, sizeof bytes, &os_error), ERROR_NONE);
    assert_int_equal(disk->sync(file, &os_error), ERROR_IO);
    assert_true(sim_disk_failure_told(machine.node->disk));
    assert_false(sim_disk_failure_told(machine.node->disk));
    sim_disk_set_capacity(machine.node->disk, 150);
    assert_int_equal(disk->write(file, 0, bytes, sizeof bytes, &os_error), ERROR_NONE);
    assert_int_equal(disk->write(file, 100, bytes, sizeof bytes, &os_error), ERROR_NO_SPACE);
    disk->close(file);
    machine_close(&machine);
}

static void a_temporary_file_that_cannot_be_removed_may_be_passed_over(void **state)
{
    (void)state;
    struct machine machine;
    int os_error;
    machine_open(&machine, 3);
    put_file(&machine, "a.tmp", 100, 7, true);
    put_file(&machine, "a", 100, 7, true);
    struct disk *disk = disk_of(&machine);
    sim_disk_fail_at(machine.node->disk, 1);
    assert_int_equal(disk->unlink(disk->impl, "a.tmp", &os_error), ERROR_IO);
    assert_false(sim_disk_failure_told(machine.node->disk));
    assert_true(sim_disk_temporary_stuck(machine.node->disk));
    assert_int_equal(disk->unlink(disk->impl, "a.tmp", &os_error), ERROR_NONE);
    sim_disk_fail_at(machine.node->disk, 1);
    assert_int_equal(disk->unlink(disk->impl, "a", &os_error), ERROR_IO);
    assert_true(sim_disk_failure_told(machine.node->disk));
    machine_die(&machine, SIM_KILLED);
    machine_revive(&machine);
    assert_false(sim_disk_temporary_stuck(machine.node->disk));
    machine_close(&machine);
}

static void what_a_process_heard_of_a_filled_disk_is_remembered(void **state)
{
    (void)state;
    struct machine machine;
    uint64_t bytes;
    int os_error;
    machine_open(&machine, 3);
    struct disk *disk = disk_of(&machine);
    machine.world.now_ns = 5;
    assert_int_equal(disk->free_bytes(disk->impl, &bytes, &os_error), ERROR_NONE);
    assert_int_equal(sim_disk_filled_told_ns(machine.node->disk), 0);
    sim_disk_set_capacity(machine.node->disk, 100);
    machine.world.now_ns = 6;
    assert_int_equal(disk->free_bytes(disk->impl, &bytes, &os_error), ERROR_NONE);
    assert_int_equal(sim_disk_filled_told_ns(machine.node->disk), 6);
    sim_disk_set_capacity(machine.node->disk, 1ull << 40);
    machine.world.now_ns = 7;
    assert_int_equal(disk->free_bytes(disk->impl, &bytes, &os_error), ERROR_NONE);
    assert_int_equal(sim_disk_filled_told_ns(machine.node->disk), 6);
    machine_die(&machine, SIM_KILLED);
    machine_revive(&machine);
    assert_int_equal(sim_disk_filled_told_ns(machine.node->disk), 0);
    machine_close(&machine);
}

/* ---- the network ---- */

struct link { /* two nodes, and both ends of a stream */
    struct sim_world world;
    struct sim_node *nodes[2];
    struct listener *listener;
    struct connection *ends[2];
    struct buffer got;
    bool opened;
    int closed[2]; /* enum connection_end, −1: open */
};

struct end {
    struct link *link;
    int side;
};
static struct end ends[2];

static void opened(void *arg)
{
    ((struct end *)arg)->link->opened = true;
}

static void received(void *arg, const uint8_t *bytes, size_t len)
{
    buffer_append(&((struct end *)arg)->link->got, bytes, len);
}

static void closed(void *arg, enum connection_end how)
{
    struct end *end = arg;
    end->link->closed[end->side] = (int)how;
    end->link->ends[end->side] = NULL;
}

static const struct connection_handlers handlers = {.opened = opened, .received = received, .closed = closed};

static void accepted(void *arg, struct connection *connection, const char *remote)
{
    struct link *link = arg;
    (void)remote;
    link->ends[1] = connection;
    link->nodes[1]->network.set_handlers(connection, &handlers, &ends[1]);
}

static void link_open(struct link *link, uint64_t seed, bool listening)
{
    memset(link, 0, sizeof *link);
    sim_world_open(&link->world, seed);
    for (int i = 0; i < 2; i++) {
        link->nodes[i] = sim_node_open(&link->world, i == 0 ? "n1" : "n2", false);
        link->nodes[i]->disk = sim_disk_open(&link->world, 512, 1024);
        sim_node_start(link->nodes[i]);
        ends[i] = (struct end){.link = link, .side = i};
        link->closed[i] = -1;
    }
    buffer_init(&link->got);
    if (listening) {
        struct network *network = &link->nodes[1]->network;
        assert_int_equal(network->listen(network->impl, "n2", 1, accepted, link, &link->listener, NULL), ERROR_NONE);
    }
    struct network *network = &link->nodes[0]->network;
    link->ends[0] = network->dial(network->impl, "n2", 1, &handlers, &ends[0]);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void link_run(struct link *link, uint64_t ns)
{
    uint64_t until = link->world.now_ns + ns;
    (void)sim_schedule(&link->world, NULL, ns, SIM_SCENARIO, nothing, NULL);
    while (link->world.now_ns < until && sim_step(&link->world)) {
    }
}

static void link_close(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        if (link->nodes[i]->running) {
            sim_node_kill_begin(link->nodes[i], SIM_KILLED);
            sim_node_kill_end(link->nodes[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        sim_node_close(link->nodes[i]);
    }
    buffer_close(&link->got);
    sim_world_close(&link->world);
}

static void link_send(struct link *link, int side, size_t len)
{
    uint8_t bytes[1000];
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)i;
    }
    link->nodes[side]->network.send(link->ends[side], bytes, len);
}

static void bytes_arrive_complete_and_in_order_and_before_the_end_of_file(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct link link;
        link_open(&link, seed, true);
        link_run(&link, SIM_S);
        if (!link.opened) { /* the name couldn't be resolved: that happens */
            link_close(&link);
            continue;
        }
        for (int i = 0; i < 4; i++) {
            link_send(&link, 0, 1000);
        }
        sim_node_kill_begin(link.nodes[0], SIM_KILLED);
        sim_node_kill_end(link.nodes[0]);
        link_run(&link, SIM_S);
        assert_true(link.closed[1] == CONNECTION_END_OF_FILE || link.closed[1] == CONNECTION_RESET);
        for (size_t i = 0; i < link.got.len; i++) {
            assert_int_equal(link.got.base[i], (uint8_t)(i % 1000));
        }
        assert_true(link.closed[1] == CONNECTION_RESET || link.got.len == 4000);
        link_close(&link);
    }
}

static void a_dead_process_refuses_and_a_dead_host_does_not_answer(void **state)
{
    (void)state;
    struct link link;
    link_open(&link, 11, false);
    link_run(&link, SIM_S);
    assert_int_equal(link.closed[0], CONNECTION_REFUSED);
    link_close(&link);

    link_open(&link, 11, true);
    sim_node_kill_begin(link.nodes[1], SIM_POWER_LOSS);
    sim_node_kill_end(link.nodes[1]);
    link_run(&link, 3 * SIM_S);
    assert_int_equal(link.closed[0], CONNECTION_TIMED_OUT);
    link_close(&link);
}

static void a_partition_holds_bytes_back_until_it_is_healed_or_the_sender_gives_up(void **state)
{
    (void)state;
    for (int healed = 0; healed < 2; healed++) {
        struct link link;
        link_open(&link, 11, true);
        link_run(&link, SIM_S);
        assert_true(link.opened);
        sim_network_block(&link.world, 0, 1, true);
        link_send(&link, 0, 100);
        link_run(&link, SIM_S);
        assert_int_equal(link.got.len, 0);
        if (healed) {
            sim_network_heal(&link.world);
        }
        link_run(&link, 6 * SIM_S);
        assert_int_equal(link.got.len, healed ? 100 : 0);
        assert_int_equal(link.closed[0], healed ? -1 : (int)CONNECTION_TIMED_OUT);
        assert_int_equal(link.closed[1], -1);
        link_close(&link);
    }
}

/* ---- loops ---- */

struct turns {
    struct sim_node *node;
    char order[16];
    struct post first, second;
    struct work work;
};

static void note_turn(struct turns *turns, char what)
{
    turns->order[strlen(turns->order)] = what;
}

static void first_posted(struct post *post)
{
    note_turn(post->data, '1');
}

static void second_posted(struct post *post)
{
    note_turn(post->data, '2');
}

static void timer_fired(void *arg)
{
    struct turns *turns = arg;
    loop_post(&turns->node->loop, &turns->first);
    loop_post(&turns->node->loop, &turns->second);
    loop_post(&turns->node->loop, &turns->first);
    note_turn(turns, 't');
}

static void work_ran(struct work *work)
{
    note_turn(work->data, 'w');
}

static void work_was_done(struct work *work)
{
    note_turn(work->data, 'd');
}

static void posts_run_once_after_the_turn_and_work_is_done_after_it_ran(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 2);
    struct turns turns = {.node = machine.node,
                          .first = {.run = first_posted, .data = &turns},
                          .second = {.run = second_posted, .data = &turns},
                          .work = {.run = work_ran, .done = work_was_done, .data = &turns}};
    struct timer *timer = loop_timer_open(&machine.node->loop, timer_fired, &turns);
    uint64_t before = loop_mono_ms(&machine.node->loop);
    loop_timer_start(&machine.node->loop, timer, 50);
    while (strlen(turns.order) < 3) {
        assert_true(sim_step(&machine.world));
    }
    assert_true(loop_mono_ms(&machine.node->loop) - before >= 49);
    loop_work(&machine.node->loop, &turns.work);
    while (strlen(turns.order) < 5) {
        assert_true(sim_step(&machine.world));
    }
    assert_string_equal(turns.order, "t12wd");
    loop_timer_close(&machine.node->loop, timer);
    machine_close(&machine);
}

static void a_paused_node_runs_nothing_until_it_goes_on(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 2);
    struct turns turns = {.node = machine.node,
                          .first = {.run = first_posted, .data = &turns},
                          .second = {.run = second_posted, .data = &turns}};
    struct timer *timer = loop_timer_open(&machine.node->loop, timer_fired, &turns);
    loop_timer_start(&machine.node->loop, timer, 50);
    sim_node_pause(machine.node, SIM_S);
    uint64_t paused = machine.world.now_ns;
    assert_true(sim_step(&machine.world));
    assert_true(machine.world.now_ns - paused >= SIM_S);
    assert_string_equal(turns.order, "t");
    loop_timer_close(&machine.node->loop, timer);
    machine_close(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_survives_a_power_loss),
        cmocka_unit_test(what_was_not_synced_is_kept_lost_or_torn_by_a_power_loss),
        cmocka_unit_test(a_killed_process_loses_nothing_that_it_wrote),
        cmocka_unit_test(a_rename_is_certain_only_after_the_directory_was_synced),
        cmocka_unit_test(an_asynchronous_write_is_durable_once_it_is_done),
        cmocka_unit_test(a_later_write_vouches_for_what_was_done_when_it_was_submitted),
        cmocka_unit_test(the_world_notices_a_write_into_unsynced_space_and_over_an_acknowledged_block),
        cmocka_unit_test(a_crash_at_an_operation_leaves_what_was_there_at_that_moment),
        cmocka_unit_test(failures_and_a_full_disk_are_told),
        cmocka_unit_test(a_temporary_file_that_cannot_be_removed_may_be_passed_over),
        cmocka_unit_test(what_a_process_heard_of_a_filled_disk_is_remembered),
        cmocka_unit_test(bytes_arrive_complete_and_in_order_and_before_the_end_of_file),
        cmocka_unit_test(a_dead_process_refuses_and_a_dead_host_does_not_answer),
        cmocka_unit_test(a_partition_holds_bytes_back_until_it_is_healed_or_the_sender_gives_up),
        cmocka_unit_test(posts_run_once_after_the_turn_and_work_is_done_after_it_ran),
        cmocka_unit_test(a_paused_node_runs_nothing_until_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
