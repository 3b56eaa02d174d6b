/* inside: what the files of this room know of each other. Nobody else includes it.
 *
 * libraft is entered only from the top of the loop: replica_tick, a frame's delivery, a callback of storage, and the turn
 * (the post at the end of each loop turn). Each of these ends with replica_after_step, which notices what libraft changed.
 * What libraft calls (struct raft_io, struct raft_fsm) and what operations call back only record, and ask for a turn. */
#ifndef BATON_REPLICA_INSIDE_H
#define BATON_REPLICA_INSIDE_H

#include <raft.h>

#include "base/limits.h"
#include "codec/entry.h"
#include "peer/peer.h"
#include "replica/founding.h"
#include "replica/guards.h"
#include "replica/replica.h"
#include "replica/waiters.h"

#define REPLICA_TICK_MS            10u
#define REPLICA_THRESHOLD_IDLE     (1u << 30) /* of libraft's own snapshots: never */
#define REPLICA_INSTALL_TIMEOUT_MS 5000u
#define REPLICA_CATCH_UP_ROUND_MS  5000u
#define REPLICA_FRAME_HEAD_BYTES   1024u /* what a frame takes besides its operations or results, generously */
#define NS_PER_MS                  1000000ull

/* ---- members ---- */

struct address { /* libraft's address of a server, taken apart */
    char name[LIMIT_NAME_BYTES + 1];
    uint8_t incarnation[16];
    char raft_host[LIMIT_NAME_BYTES + 1];
    uint16_t raft_port;
    char raft[LIMIT_NAME_BYTES + 16];
    char http[LIMIT_NAME_BYTES + 16];
};

/* What waits to be sent back to a member at the end of the turn: one frame of it. Results that show the same holders, as
 * all refusals of one full schedule do, share them; a single one isn't worth looking for. */
#define OUTBOX_LISTS 8u
struct outbox {
    struct arena arena; /* copies of outcomes */
    uint8_t run_id[16]; /* of the process that asked */
    struct frame_operation_result *results;
    size_t n_results, capacity;
    uint32_t lists[OUTBOX_LISTS]; /* the newest results with several holders of their own, counted from 1, in a ring */
    size_t n_lists;               /* ever, in this frame */
    size_t bytes;
};

struct sending; /* transfer.c */

struct member {
    uint64_t id; /* 0 while the founders are not known */
    struct address address;
    char advertised[LIMIT_NAME_BYTES + 16]; /* HTTP address of its newest hello; empty: none yet */
    struct peer *peer;                      /* NULL: this node */
    uint32_t rules_newest;                  /* that its build can apply, by its newest hello; 0: none yet */
    bool heard;                             /* a frame of it arrived … */
    uint64_t heard_ns;                      /* … the last one then */
    uint8_t run_id[16];                     /* of the process at the other end of the inbound stream */
    uint8_t taken_run_id[16];               /* operations: the run that taken_sequence belongs to */
    uint64_t taken_sequence;
    struct outbox outbox;
    struct sending *sending; /* NULL: no snapshot ever went there */
};

struct members {
    struct member *list[LIMIT_MEMBERS];
    size_t n;
    raft_index seen_committed, seen_uncommitted; /* of the configuration that was synchronised last */
    unsigned seen_servers;
};

bool address_parse(const char *text, struct address *address);
void address_render(const char *name, const uint8_t incarnation[16], const struct replica_member *spec,
                    struct buffer *text);
enum error members_open_peers(struct replica *replica, struct error_text *text) MUST_CHECK;
void members_close(struct replica *replica);
void members_add_founding(struct replica *replica);
void members_sync(struct replica *replica, const struct raft_configuration *configuration);
struct member *member_by_id(struct replica *replica, uint64_t id);
bool member_reachable(const struct member *member); /* both streams are up */
const char *member_http(struct replica *replica, const struct member *member);

/* ---- raft_io ---- */

struct io_append;
struct io_callback;

struct raft_side {
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    raft_io_close_cb close;
    raft_index next_index;
    struct io_callback *callbacks; /* sends and snapshot_gets that libraft must be told of, in the next turn */
    size_t n_callbacks, capacity;
    struct io_append *appends; /* on their way to the disk */
    bool refuse_send;          /* while closing: see snapshot_get */
    bool silent;               /* vote requests are not sent: elections.c */
};

void raft_side_init(struct replica *replica);
void raft_side_run_callbacks(struct replica *replica);
bool raft_side_idle(const struct replica *replica);
/* Ends libraft at once; what it waits for is cancelled. */
void raft_side_crash(struct replica *replica);
void raft_side_free(struct replica *replica);
/* A Raft message arrived; copies what libraft keeps. */
void raft_side_receive(struct replica *replica, struct member *member, const struct frame *frame);

/* ---- cluster clock ---- */

struct clock {
    bool ready;                /* the leader's entry of this term was applied: everything may be proposed */
    uint64_t term;             /* of the leadership that the rest is about */
    uint64_t leader_batch;     /* the batch that carries COMMAND_LEADER; 0: not proposed yet */
    uint64_t base_state_ms;    /* state time when the leader's entry was applied */
    uint64_t base_mono_ns;     /* … and what the monotonic clock said then */
    uint64_t proposed_ms;      /* cluster time of the newest entry that this leader proposed */
    uint64_t proposed_mono_ns; /* … and when */
};

void clock_start(struct replica *replica);
void clock_stop(struct replica *replica);
uint64_t clock_now_ms(const struct replica *replica); /* only while ready, or for the leader's entry */
uint64_t clock_mono_ns(const struct replica *replica, uint64_t cluster_ms); /* when it is that late; while ready */
bool clock_tick_due(const struct replica *replica);
void clock_proposed(struct replica *replica, uint64_t now_ms);
void clock_applied(struct replica *replica, uint64_t batch);

/* ---- operations ---- */

enum operation_state {
    OPERATION_IDLE,
    OPERATION_QUEUED,   /* not proposed and not passed on: sure to have changed nothing */
    OPERATION_WAITING,  /* at this leader, and in none of its batches: its waiter says more */
    OPERATION_PROPOSED, /* in one of our batches */
    OPERATION_PASSED,   /* sent to `to`, which hasn't answered */
    OPERATION_REFUSED,  /* `number` is the status to answer with */
};

/* A FRAME_OPERATIONS that a member passed on to this leader, without those that wait. */
struct passed {
    struct passed *next;
    uint64_t member_id;
    uint8_t run_id[16];
    struct arena arena;
    struct frame_operation *operations;
    size_t n_operations;
    size_t packed;     /* so many are in batches already */
    size_t unanswered; /* freed at 0 */
};

struct item { /* one command of a batch: whose outcome it is */
    struct operation *own;
    struct passed *from;
    uint64_t number; /* the asker's, when passed on */
    struct waiter *waiter;
};

/* One log entry that this process proposed. Known by number in its apply; lost when its index was applied with another
 * entry, or is covered by an installed snapshot. */
struct batch {
    struct batch *next;
    uint64_t number;
    raft_index index;
    uint64_t deadline_ns;
    bool in_flight; /* proposed in the present leadership and not applied: libraft holds `request` */
    struct raft_apply request;
    struct item *items;
    size_t n_items;
    struct replica_read *reads; /* this entry is their barrier */
    struct read_request *read_requests;
    raft_index read_index; /* what was committed when these came together: all that they must see */
};

struct operation_list {
    struct operation *first, *last;
};

struct operations {
    struct operation_list queued, passed, refused; /* each in order of deadline; without those passed on that wait */
    struct passed *foreign_first, *foreign_last;   /* not yet packed whole */
    struct batch *batches;                         /* oldest first */
    struct batch *retired;                         /* freed in the next turn, when libraft's step is over */
    unsigned in_flight;
    uint64_t undecided; /* own and passed on to us, without those that wait */
    uint64_t next_batch, next_number, next_sequence;
    uint32_t rules_proposed; /* what this leadership has proposed to raise the rules to; 0: nothing */
    uint64_t leaderless_ns;  /* since when there is nobody to propose to; 0: there is somebody */
    uint64_t hold_ns;        /* a member answered that it doesn't lead: don't pass on before this */
};

void operation_list_append(struct operation_list *list, struct operation *operation);
void operation_list_insert(struct operation_list *list, struct operation *operation); /* by deadline */
void operation_list_remove(struct operation_list *list, struct operation *operation);
void operation_answer(struct replica *replica, struct operation *operation, enum operation_status status,
                      const struct outcome *outcome);
/* It is on no list, and answered in the next turn. */
void operation_refuse(struct replica *replica, struct operation *operation, enum operation_status status);
void operations_turn(struct replica *replica);
void operations_tick(struct replica *replica);
void operations_leadership_lost(struct replica *replica);
void operations_answer_all(struct replica *replica); /* at the end of a close */
bool operations_pending(const struct replica *replica);
void operations_free(struct replica *replica);

/* ---- batches ---- */

void batches_turn(struct replica *replica); /* proposes what waits, if this node leads */
void batches_tick(struct replica *replica, uint64_t now_ns);
void batches_leadership_lost(struct replica *replica);
/* Inside apply: the batch that this entry is, or NULL; then each of its outcomes; then its end. */
struct batch *batches_find(struct replica *replica, const struct entry *entry);
void batches_outcome(struct replica *replica, struct batch *batch, size_t i, const struct outcome *outcome);
void batches_applied(struct replica *replica, struct batch *batch, raft_index index);
bool batches_pending(const struct replica *replica);
void batches_answer_all(struct replica *replica);
void batches_free_retired(struct replica *replica);
void batches_free(struct replica *replica);

/* ---- waiting ---- */

void waiting_submit(struct replica *replica, struct operation *operation); /* it was given a waiter */
void waiting_turn(struct replica *replica);
void waiting_tick(struct replica *replica);
void waiting_proposed(struct replica *replica, struct waiter *waiter);                   /* it is in a batch */
void waiting_passed(struct replica *replica, struct waiter *waiter, uint64_t member_id); /* it was sent there */
void waiting_outcome(struct replica *replica, struct waiter *waiter, const struct outcome *outcome);
/* Ends it, and answers whoever asked. */
void waiting_answer(struct replica *replica, struct waiter *waiter, enum operation_status status,
                    const struct outcome *outcome);
/* The member that was asked doesn't lead: true when the operation may be queued again, with what is left of its wait. */
bool waiting_comes_back(struct replica *replica, struct waiter *waiter);
/* What a leader's refusal means here. */
enum operation_status waiting_status(const struct replica *replica, const struct waiter *waiter,
                                     enum operation_status status);
uint64_t waiting_left_ms(const struct replica *replica, const struct waiter *waiter);
bool waiting_has_room(const struct replica *replica);
void waiting_take(struct replica *replica, const struct member *member, const uint8_t run_id[16],
                  const struct frame_operation *operation);
void waiting_take_cancels(struct replica *replica, const struct member *member, const struct frame_cancel *frame);
void waiting_leadership_lost(struct replica *replica);
void waiting_stream_lost(struct replica *replica, const struct member *member);
void waiting_member_begins(struct replica *replica, const struct member *member); /* maybe as another process */
void waiting_close(struct replica *replica);                                      /* the node takes nothing more */
void waiting_answer_all(struct replica *replica);
void waiting_free(struct replica *replica);
uint64_t waiting_count(struct replica *replica);

/* Inside apply. */
void looking_note(struct replica *replica, const struct event *event);
void looking_note_granted(struct replica *replica, const struct acquire_command *command);
void looking_turn(struct replica *replica); /* this node leads, and its clock is ready */
void looking_tick(struct replica *replica);
bool outcome_may_be_waited_out(enum outcome_code code);

/* ---- raising the rules ---- */

uint32_t raising_in_force(const struct replica *replica);
/* May this command be applied by the rules in force? The replica has its table. */
bool raising_allows(const struct replica *replica, const struct command *command);
bool raising_allows_wait(const struct replica *replica);
/* The version that the leader is to propose now; 0: none. */
uint32_t raising_due(struct replica *replica);
/* What an entry needs whoever applies it to know. */
uint32_t raising_needed(const struct command *commands, size_t n);

/* passing on, both sides */
void passing_send(struct replica *replica);
void passing_take_operations(struct replica *replica, struct member *member, const struct frame_operations *frame);
void passing_take_outcomes(struct replica *replica, const struct member *member, const struct frame_outcomes *frame);
void passing_stream_lost(struct replica *replica, const struct member *member);
void passing_answer(struct replica *replica, struct passed *passed, uint64_t number, enum operation_status status,
                    const struct outcome *outcome);
void passing_refuse_foreign(struct replica *replica, enum operation_status status); /* all that is not packed */
void passing_forget(struct passed *passed);

void outbox_add(struct replica *replica, struct member *member, const uint8_t run_id[16],
                const struct frame_operation_result *result);
void outbox_flush_all(struct replica *replica);
void outbox_free(struct outbox *outbox);

bool copy_command(struct arena *arena, const struct command *from, struct command *to) MUST_CHECK;
/* `arena` has no bound. `shared`: an outcome that shows the same holders and lends them to the copy; NULL: none. */
void copy_outcome(struct arena *arena, const struct outcome *from, const struct outcome *shared, struct outcome *to);
bool outcomes_show_same_holders(const struct outcome *a, const struct outcome *b);

/* ---- reads ---- */

enum read_state { READ_WAITING = 1, READ_BARRIER, READ_ASKED, READ_INDEXED };

struct read_request { /* a follower's FRAME_READ_INDEX */
    struct read_request *next;
    uint64_t member_id;
    uint8_t run_id[16];
    uint64_t number;
    struct arena arena;
    const struct slice *waiting_of;
    size_t n_waiting_of;
};

struct read_list {
    struct replica_read *first, *last;
};

struct reads {
    struct read_list waiting; /* for a barrier, or to be asked for */
    struct read_list asked;   /* FRAME_READ_INDEX was sent */
    struct read_list indexed; /* wait until `index` is applied */
    struct read_list refused; /* `number` is the status to answer with */
    struct read_request *requests;
    size_t n_requests;
    uint64_t n_pending;
    uint64_t next_number;
    unsigned asks; /* FRAME_READ_INDEX without an answer */
    uint64_t asked_id;
};

bool reads_want_barrier(const struct replica *replica);
void reads_attach(struct replica *replica, struct batch *batch);
void reads_detach(struct replica *replica, struct batch *batch); /* the batch was lost */
void reads_barrier_applied(struct replica *replica, struct batch *batch);
void reads_applied(struct replica *replica, raft_index index);
void reads_turn(struct replica *replica);
void reads_tick(struct replica *replica);
void reads_leadership_lost(struct replica *replica);
void reads_stream_lost(struct replica *replica, const struct member *member);
void reads_take_request(struct replica *replica, struct member *member, const struct frame_read_index *frame);
void reads_take_result(struct replica *replica, struct member *member, const struct frame_read_index_result *frame);
void reads_answer_all(struct replica *replica);
bool reads_pending(const struct replica *replica);
void reads_free(struct replica *replica);

/* ---- snapshots ---- */

/* libraft carries this in place of a snapshot's bytes. */
struct snapshot_handle {
    uint64_t index;
    uint64_t term;
};

struct put;
struct discarded;

struct loading {
    struct work work;
    struct storage_snapshot_reader *reader;
    struct lock_table *table;
    struct storage_snapshot_info info;
    enum error error;
    struct error_text text;
};

struct snapshots {
    struct lock_table_frozen *frozen; /* from fsm->snapshot until its bytes are written */
    struct put *put;                  /* the one that runs */
    uint64_t busy_since_ns;           /* a snapshot is due and guards say no; 0: not */
    bool busy_reported;
    struct loading loading;
    struct discarded *discarded; /* old tables, being freed on the pool */
};

void snapshots_load(struct replica *replica); /* ends in replica_loaded */
void snapshots_check_due(struct replica *replica);
/* Entries that are no commands don't reach the table: its index may be smaller than the snapshot's, never larger. */
enum error snapshots_check_index(const struct lock_table *table, const struct storage_snapshot_info *info,
                                 struct error_text *text) MUST_CHECK;
int snapshots_fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs);
int snapshots_fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf);
int snapshots_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                  const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb);
void snapshots_crash(struct replica *replica);
void snapshots_free(struct replica *replica, bool crash);
struct raft_buffer snapshot_handle_new(uint64_t index, uint64_t term);

/* ---- the state machine ---- */

void machine_init(struct replica *replica);
void machine_observe(struct replica *replica); /* the table is another one */

/* ---- transfer ---- */

struct receiving;

/* libraft wants a snapshot sent; a second wish while a transfer to that member runs does nothing. */
void transfer_send(struct replica *replica, struct member *member, const struct raft_install_snapshot *install);
void transfer_take_ack(struct replica *replica, struct member *member, const struct frame_snapshot_ack *frame);
void transfer_take_descriptor(struct replica *replica, struct member *member,
                              const struct frame_install_snapshot *frame);
void transfer_take_chunk(struct replica *replica, struct member *member, const struct frame_snapshot_chunk *frame);
void transfer_stream_up(struct replica *replica, struct member *member);
void transfer_stream_lost(struct replica *replica, struct member *member);
void transfer_tick(struct replica *replica);
bool transfer_recent(struct replica *replica, const struct member *member);
/* The snapshot that was received and verified under this handle: its table goes to the caller. NULL: there is none. */
struct lock_table *transfer_take_table(struct replica *replica, struct snapshot_handle handle);
/* … and its file. */
struct storage_snapshot_writer *transfer_take_writer(struct replica *replica, struct snapshot_handle handle,
                                                     struct storage_snapshot_info *info);
void transfer_member_removed(struct replica *replica, struct member *member);
void transfer_close(struct replica *replica, bool crash);
void transfer_settle(struct replica *replica); /* after libraft had an InstallSnapshot: drops what it did not take */

/* ---- elections ---- */

enum election_stage { ELECTION_QUIET, ELECTION_REDIALLING, ELECTION_FORCING, ELECTION_SILENT };

struct elections {
    enum election_stage stage;
    uint64_t leader_id; /* the one that is gone */
    unsigned attempts;
    struct timer *timer;
    bool transferring; /* leaving: raft_transfer was called */
    struct raft_transfer transfer;
};

void elections_stream_ended(struct replica *replica, struct member *member);
void elections_dial_failed(struct replica *replica, struct member *member, bool refused);
void elections_stream_up(struct replica *replica, struct member *member);
void elections_timer(void *arg);
void elections_set_timeout(struct raft *raft, unsigned timeout_ms);
/* One step of handing leadership over; true when there is nothing (more) to hand over. */
bool elections_leave(struct replica *replica);
bool elections_can_leave(struct replica *replica); /* another voter could take over */

/* ---- the whole ---- */

enum replica_stage {
    STAGE_FOUNDING,
    STAGE_LOADING,
    STAGE_RUNNING,
    STAGE_ENDING /* raft_close was called, or there was nothing to close */
};
enum closing_step { CLOSING_NOT, CLOSING_HAND_OVER, CLOSING_ANSWER, CLOSING_RAFT, CLOSING_WORKS };

struct replica {
    struct replica_options options; /* what it points to is in `arena` */
    struct arena arena;
    struct buffer spec;
    enum replica_stage stage;
    bool dead; /* fatal was called: every entry point does nothing */
    struct post turn;
    struct timer *tick_timer;
    uint8_t run_id[16];
    unsigned works; /* on the pool */

    struct peer_set *peers;
    struct members members;
    struct founding *founding; /* STAGE_FOUNDING */
    struct arena answer_arena; /* founders in our answers */

    struct raft raft;
    struct raft_io io;
    struct raft_fsm fsm;
    bool raft_open; /* between raft_init and the end of raft_close */
    struct guards guards;
    struct raft_side side;
    struct lock_table *table;
    struct arena apply_arena;

    struct clock clock;
    uint64_t applied_ns; /* when the newest entry was applied, by the monotonic clock */
    struct operations operations;
    struct waiters waiters;
    struct reads reads;
    struct snapshots snapshots;
    struct receiving *receiving;
    struct elections elections;

    /* what replica_after_step saw last */
    unsigned short seen_state;
    raft_term seen_term;
    uint64_t seen_leader;
    bool seen_ready;
    bool seen_reserve;
    uint64_t leader_changes;
    bool has_ready_index;
    raft_index ready_index; /* committed when this process first heard of a leader */

    enum closing_step closing;
    bool leaving; /* proposes nothing more: leadership is being handed over */
    uint64_t close_deadline_ns, leave_deadline_ns;
    void (*closed)(void *arg);
    void *closed_arg;

    uint64_t expirations; /* in entries of this process */
    char waiting[512];
    char rules_wait[LIMIT_NAME_BYTES + 256];
    struct replica_member_status statuses[LIMIT_MEMBERS];
};

static inline uint64_t replica_now_ns(const struct replica *replica)
{
    return loop_mono_ns(replica->options.loop);
}

/* Ends the process; in the simulator it returns, and the replica is inert from then on. */
void replica_fatal(struct replica *replica, enum replica_exit code, const char *format, ...) PRINTF_LIKE(3, 4);
void replica_want_turn(struct replica *replica);
void replica_after_step(struct replica *replica);
void replica_loaded(struct replica *replica);
void replica_tick(void *arg);
bool replica_running(const struct replica *replica);    /* libraft may be called */
bool replica_leads(const struct replica *replica);      /* and takes proposals */
struct member *replica_leader(struct replica *replica); /* another member that leads; NULL: none or this node */
void replica_init_loop(struct replica *replica);
void replica_first_turn(struct replica *replica);
void replica_free(struct replica *replica, bool crash); /* libraft is closed; calls nobody */
void replica_founding_changed(struct replica *replica, enum founding_verdict verdict);
/* Work on the pool, counted, so that a close waits for it; `done` begins with replica_work_done. */
void replica_work(struct replica *replica, struct work *work);
void replica_work_done(struct replica *replica);

#endif
