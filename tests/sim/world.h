/* world: several machines in one process, all of it from one 64-bit seed.
 *
 * A world is a queue of events in virtual time. A machine (struct sim_node) has a clock with a rate of its own, a disk
 * that forgets what wasn't synced, and a place in a network that delays, cuts and partitions. On it runs at most one
 * process at a time: whatever was built over the machine's `struct loop`, `struct disk` and `struct network`. The
 * scenario starts and kills processes; the world never calls back into one that was killed.
 *
 * Two rules make a seed repeat to the byte: all chance comes from the generators here, and no order comes from an
 * address. Everything that happens is mixed into `trace`; two runs of one seed must end with the same value.
 *
 * Nothing here knows what a lock, a log or a term is. */
#ifndef BATON_SIM_WORLD_H
#define BATON_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "peer/network.h"
#include "storage/disk.h"

/* ---- chance ---- */

struct rng {
    uint64_t s[4];
};

/* `stream` tells the generators of one seed apart, so that a draw in one place doesn't move all others. */
void rng_seed(struct rng *rng, uint64_t seed, uint64_t stream);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound);                  /* 0 … bound − 1; bound > 0 */
uint64_t rng_between(struct rng *rng, uint64_t least, uint64_t most); /* both included */
bool rng_chance(struct rng *rng, unsigned per_mille);

/* ---- time and events ---- */

#define SIM_US 1000ull
#define SIM_MS 1000000ull
#define SIM_S  1000000000ull

enum sim_event_kind {
    SIM_TIMER = 1,
    SIM_TURN_END,
    SIM_WORK_RUN,
    SIM_WORK_DONE,
    SIM_WRITE_MEDIA, /* the disk finishes a write, whether or not its process still lives */
    SIM_WRITE_DONE,  /* … and the process hears of it */
    SIM_NETWORK,     /* the fabric's own business */
    SIM_RECEIVED,
    SIM_CONNECTION, /* opened, accepted, drained, closed */
    SIM_SCENARIO,
};

struct sim_world;
struct sim_node;

/* Owned by the world until it has run or was cancelled. An event of a node waits while that node is paused or busy, and
 * is dropped when its process is killed; one without a node belongs to the world and always runs. */
struct sim_event {
    uint64_t at_ns;
    uint64_t number; /* of creation: breaks ties */
    size_t place;    /* in the heap */
    enum sim_event_kind kind;
    struct sim_node *node;
    void (*run)(void *arg);
    void *arg;
};

struct sim_counts {
    uint64_t torn_writes;   /* a crash left a part of a write */
    uint64_t lost_writes;   /* … or nothing of it */
    uint64_t lost_names;    /* a create, rename or unlink was undone by a crash */
    uint64_t failed_writes; /* a write, sync, rename or unlink answered with an error that was asked for */
    uint64_t full_writes;   /* … that there is no space */
    uint64_t op_crashes;    /* crashes in the middle of a callback, at a disk operation */
    uint64_t cuts;          /* connections ended by the network */
};

struct sim_world {
    uint64_t seed;
    uint64_t now_ns; /* "real" time; no machine sees it */
    uint64_t trace;
    uint64_t steps;
    struct rng rng;     /* for the network and delays */
    struct rng shuffle; /* for crashes */
    struct sim_event **heap;
    size_t n_events;
    size_t events_capacity;
    uint64_t next_number;
    struct sim_node **nodes;
    size_t n_nodes;
    struct sim_fabric *fabric;
    struct sim_counts counts;
    bool failed;
    char failure[1024]; /* the first one */
};

void sim_world_open(struct sim_world *world, uint64_t seed);
void sim_world_close(struct sim_world *world); /* every process must have been killed */

struct sim_event *sim_schedule(struct sim_world *world, struct sim_node *node, uint64_t delay_ns,
                               enum sim_event_kind kind, void (*run)(void *arg), void *arg);
void sim_cancel(struct sim_world *world, struct sim_event *event); /* NULL is allowed */
/* Runs the next event; false when there is none. */
bool sim_step(struct sim_world *world);
/* Mixes a fact into the trace. */
void sim_trace(struct sim_world *world, uint64_t fact);
/* Notes the first failure of the run; the scenario stops after the event. */
void sim_fail(struct sim_world *world, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- machines ---- */

enum sim_death {
    SIM_KILLED,     /* the process ended; the kernel keeps what it was given, and closes its connections */
    SIM_POWER_LOSS, /* the machine ended: unsynced bytes and names are kept, lost or torn, connections fall silent */
};

struct sim_disk;

struct sim_node {
    struct sim_world *world;
    unsigned index;
    char name[16];   /* also its host name */
    int32_t ppm;     /* error of its clock's rate, −500 … 500 */
    int64_t wall_ms; /* added to real time; the scenario makes it jump */
    uint64_t mono_base_ns;
    uint64_t mono_start_ns; /* real time at which the monotonic clock read mono_base_ns */
    struct rng rng;         /* of its jitter */
    struct rng process_rng; /* what the process draws through its loop */
    uint64_t boots;

    bool running;        /* a process lives */
    bool powered;        /* the host answers dials (with a refusal, unless somebody listens) */
    bool doomed;         /* the process is to be killed after this event; what it does from here on has no effect */
    enum sim_death doom; /* how */
    bool dying;          /* it is being killed */
    uint64_t busy_until; /* it is paused, or its loop waits for the disk */
    struct sim_disk *disk;

    /* private to sim_loop.c */
    struct post *posted;
    struct post *posted_running;
    struct sim_event *turn_end;
    struct timer *timers;
    struct sim_work *works;
    bool in_work;
    uint64_t work_cost_ns;

    /* What the process is given. */
    struct loop loop;
    struct disk disk_functions;
    struct network network;
};

/* A machine that is switched on, with an empty disk and no process. It isn't part of the network when `alone`: its
 * loop and disk work, and it can neither dial nor listen (to look at a copy of a disk). */
struct sim_node *sim_node_open(struct sim_world *world, const char *name, bool alone);
void sim_node_close(struct sim_node *node); /* with its disk */

void sim_node_start(struct sim_node *node);
/* Kills the process in two halves. `begin` cuts its connections and resolves its disk, so that nothing the rooms do while
 * they free their memory has any effect; `end` drops its events, timers and handles. */
void sim_node_kill_begin(struct sim_node *node, enum sim_death death);
void sim_node_kill_end(struct sim_node *node);
void sim_node_power_on(struct sim_node *node);
/* The process's mistake or misfortune: it dies after this event. The first call counts. */
void sim_node_doom(struct sim_node *node, enum sim_death death);
void sim_node_pause(struct sim_node *node, uint64_t ns);
/* A nanosecond of the node's clock in real time, and back. */
uint64_t sim_node_real_ns(const struct sim_node *node, uint64_t local_ns);

void sim_loop_init(struct sim_node *node);
void sim_loop_start(struct sim_node *node);
void sim_loop_forget_posts(struct sim_node *node); /* their memory goes with the process's */
void sim_loop_drop(struct sim_node *node);         /* and timers and works */
/* The loop's thread waits that long for the disk (or the pool does, inside a work). */
void sim_loop_spend(struct sim_node *node, uint64_t ns);

/* ---- disks ---- */

struct sim_disk *sim_disk_open(struct sim_world *world, unsigned sector_bytes, uint64_t capacity_bytes);
/* An equal one, without a process, faults or anything in flight. */
struct sim_disk *sim_disk_clone(const struct sim_disk *disk);
void sim_disk_close(struct sim_disk *disk);
void sim_disk_mount(struct sim_disk *disk, struct sim_node *node); /* fills node->disk_functions */
/* The process is gone: writes in flight are resolved, handles and the lock dropped, and after a power loss everything
 * that wasn't synced. */
void sim_disk_unmount(struct sim_disk *disk, enum sim_death death);
void sim_disk_wipe(struct sim_disk *disk);
/* Less than it was opened with: other tenants fill it. */
void sim_disk_set_capacity(struct sim_disk *disk, uint64_t bytes);
/* When its process last heard how little was left while others filled it; 0: it hasn't. Whoever acts on such an answer may
 * do so when they are gone. */
uint64_t sim_disk_filled_told_ns(const struct sim_disk *disk);
uint64_t sim_disk_used(const struct sim_disk *disk);
/* The n-th changing operation from now (1: the next) fails with EIO; 0 disarms. */
void sim_disk_fail_at(struct sim_disk *disk, uint64_t n);
/* True once after an asked-for failure was reported to the process (also for a lack of space). */
bool sim_disk_failure_told(struct sim_disk *disk);
/* The process was told that a temporary file can't be removed. It may end for that, or meet it again later. */
bool sim_disk_temporary_stuck(const struct sim_disk *disk);
/* At the n-th changing operation from now the machine loses power, in the middle of what it does; 0 disarms. */
void sim_disk_crash_at(struct sim_disk *disk, uint64_t n);
bool sim_disk_armed(const struct sim_disk *disk);

/* All files as they are on the media: for flips, and to see that nothing was changed. */
struct sim_file_view {
    const char *path;
    const uint8_t *bytes;
    uint64_t len;
    uint32_t inode;
};
void sim_disk_each(const struct sim_disk *disk, void (*each)(void *arg, const struct sim_file_view *file), void *arg);
bool sim_disk_equal(const struct sim_disk *a, const struct sim_disk *b);
void sim_disk_flip(struct sim_disk *disk, uint32_t inode, uint64_t offset, uint8_t mask);

/* What an asynchronous write left in a block. */
enum sim_block {
    SIM_BLOCK_NEVER,     /* no asynchronous write since the file got its name */
    SIM_BLOCK_UNCERTAIN, /* written, and no later record on the media can tell that it was acknowledged; or by a start */
    SIM_BLOCK_WITNESSED, /* acknowledged, and a whole write that was submitted after that is on the media */
};
enum sim_block sim_disk_block(const struct sim_disk *disk, uint32_t inode, uint64_t offset);

/* ---- network ---- */

struct sim_fabric *sim_fabric_open(struct sim_world *world);
void sim_fabric_close(struct sim_fabric *fabric);
void sim_network_init(struct sim_node *node);
void sim_network_drop(struct sim_node *node, enum sim_death death); /* its process is gone */
void sim_network_free(struct sim_node *node);                       /* what the process didn't close */

/* Nothing goes from one node to the other (one direction) until healed. */
void sim_network_block(struct sim_world *world, unsigned from, unsigned to, bool blocked);
/* From one node to the other: extra delay and nanoseconds a byte. */
void sim_network_slow(struct sim_world *world, unsigned from, unsigned to, uint64_t delay_ns, uint64_t ns_per_byte);
void sim_network_heal(struct sim_world *world);
void sim_network_retry(struct sim_world *world); /* what waited for a line or a host is sent again */
enum sim_cut { SIM_CUT_FIN, SIM_CUT_RESET, SIM_CUT_SILENT };
/* Ends a connection drawn by chance; false when there is none. */
bool sim_network_cut(struct sim_world *world, enum sim_cut how);
/* Connections that were cut silently are reset, so that nobody has to find out. */
void sim_network_end_silent(struct sim_world *world);
/* The next piece that arrives anywhere is altered by one bit. */
void sim_network_garble(struct sim_world *world);
void sim_network_print(const struct sim_world *world); /* on standard error */

#endif
