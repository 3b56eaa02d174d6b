/* Time, letters, and what servers say and do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/slice.h"
#include "guards_rig_inside.h"

/* ---- time, disk, network ---- */

void rig_tick(struct rig *rig, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10) {
        rig->now_ms += 10;
        rig->tick(&rig->io);
        rig_settle(rig);
    }
}

void rig_persist(struct rig *rig)
{
    while (rig->n_appends > 0) {
        struct rig_append *append = rig->appends[0];
        memmove(rig->appends, rig->appends + 1, --rig->n_appends * sizeof rig->appends[0]);
        for (unsigned i = 0; i < append->n; i++) {
            rig_disk_write(&rig->disk, append->first + i, append->entries[i]);
            append->entries[i].bytes = NULL;
        }
        append->done(append->request, 0);
        rig_append_free(append);
        rig_settle(rig);
    }
}

void rig_put_done(struct rig *rig)
{
    assert_true(rig->has_put);
    free(rig->disk.snapshot.configuration.bytes);
    rig->disk.snapshot = rig->put;
    rig->put.configuration.bytes = NULL;
    rig->has_put = false;
    if (rig->put_trailing == 0) {
        rig_disk_truncate(&rig->disk, 0);
        rig->disk.first = rig->put.index + 1;
    } else if (rig->put.index > rig->put_trailing) {
        rig_disk_cut(rig, rig->put.index - rig->put_trailing + 1);
    }
    rig->put_done(rig->put_request, 0);
    rig_settle(rig);
}

void rig_answer_gets(struct rig *rig)
{
    while (rig->n_gets > 0) {
        struct raft_io_snapshot_get *request = rig->gets[0];
        raft_io_snapshot_get_cb done = rig->get_done[0];
        rig->n_gets--;
        memmove(rig->gets, rig->gets + 1, rig->n_gets * sizeof rig->gets[0]);
        memmove(rig->get_done, rig->get_done + 1, rig->n_gets * sizeof rig->get_done[0]);
        rig->guards.snapshot_index = rig->disk.snapshot.index;
        rig->guards.snapshot_term = rig->disk.snapshot.term;
        done(request, rig_snapshot_new(&rig->disk.snapshot), 0);
        rig_settle(rig);
    }
}

static void receive(struct rig *rig, raft_id from, struct raft_message *message)
{
    const struct raft_server *server = guards_server(&rig->raft, from);
    message->server_id = from;
    message->server_address = server == NULL ? rig_address(from) : server->address;
    guards_receive(&rig->guards, message);
    rig_settle(rig);
}

void rig_receive(struct rig *rig, raft_id from, struct raft_message message)
{
    receive(rig, from, &message);
}

static struct rig_letter letter_take(struct rig *rig, unsigned i)
{
    struct rig_letter letter = rig->letters[i];
    rig->n_letters--;
    memmove(rig->letters + i, rig->letters + i + 1, (rig->n_letters - i) * sizeof rig->letters[0]);
    return letter;
}

void rig_pass(struct rig *from, struct rig *to)
{
    for (unsigned i = 0; i < from->n_letters;) {
        if (from->letters[i].to != to->id) {
            i++;
            continue;
        }
        struct rig_letter letter = letter_take(from, i);
        receive(to, from->id, &letter.message);
    }
}

void rig_drop(struct rig *rig, raft_id to)
{
    for (unsigned i = 0; i < rig->n_letters;) {
        if (to != 0 && rig->letters[i].to != to) {
            i++;
            continue;
        }
        struct rig_letter letter = letter_take(rig, i);
        guards_free_message(&letter.message);
    }
}

unsigned rig_count(const struct rig *rig, enum raft_message_type type)
{
    unsigned n = 0;
    for (unsigned i = 0; i < rig->n_letters; i++) {
        n += rig->letters[i].message.type == type;
    }
    return n;
}

const struct raft_message *rig_newest(const struct rig *rig, enum raft_message_type type)
{
    for (unsigned i = rig->n_letters; i > 0; i--) {
        if (rig->letters[i - 1].message.type == type) {
            return &rig->letters[i - 1].message;
        }
    }
    fail_msg("no letter of type %d waits", type);
    return NULL;
}

/* ---- messages made by the test ---- */

void rig_receive_append(struct rig *rig, struct rig_append_entries append)
{
    struct rig_entry entries[RIG_ENTRIES];
    struct raft_entry view[RIG_ENTRIES];
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    for (unsigned i = 0; i < append.n; i++) {
        entries[i] = rig_entry_of(append.items[i]);
        view[i] = (struct raft_entry){.term = entries[i].term, .type = entries[i].type};
        view[i].buf = (struct raft_buffer){.base = entries[i].bytes, .len = entries[i].len};
    }
    message.append_entries = (struct raft_append_entries){
        .term = append.term,
        .prev_log_index = append.prev,
        .prev_log_term = append.prev_term,
        .leader_commit = append.commit,
        .entries = view,
        .n_entries = append.n,
    };
    rig_copy_entries(&message.append_entries);
    for (unsigned i = 0; i < append.n; i++) {
        free(entries[i].bytes);
    }
    receive(rig, append.from, &message);
}

void rig_receive_install(struct rig *rig, struct rig_install install)
{
    struct raft_message message = {
        .type = RAFT_INSTALL_SNAPSHOT,
        .install_snapshot =
            {
                .term = install.term,
                .last_index = install.index,
                .last_term = install.index_term,
                .conf_index = 1,
                .data = rig_state_buffer((struct rig_state){.index = install.index}),
            },
    };
    rig_configuration(install.members, &message.install_snapshot.conf);
    receive(rig, install.from, &message);
}

/* ---- what servers do ---- */

static void grant(struct rig *rig, raft_id from, bool pre_vote)
{
    struct raft_message message = {
        .type = RAFT_REQUEST_VOTE_RESULT,
        .request_vote_result =
            {
                .version = 2,
                .term = rig->raft.current_term + (pre_vote ? 1u : 0u),
                .vote_granted = true,
                .pre_vote = pre_vote,
                .features = 1,
                .capacity = 0xffff,
            },
    };
    receive(rig, from, &message);
}

void rig_elect(struct rig *rig)
{
    for (unsigned i = 0; i < 100 && rig->raft.state != RAFT_CANDIDATE; i++) {
        rig_tick(rig, 10);
    }
    for (int pre_vote = 1; pre_vote >= 0; pre_vote--) {
        for (raft_id id = 1; id <= 3; id++) {
            if (id != rig->id && guards_server(&rig->raft, id) != NULL && rig->raft.state == RAFT_CANDIDATE &&
                rig->raft.candidate_state.in_pre_vote == (pre_vote == 1)) {
                grant(rig, id, pre_vote == 1);
            }
        }
    }
    assert_int_equal(rig->raft.state, RAFT_LEADER);
    for (unsigned i = 0; i < rig->n_letters;) {
        if (rig->letters[i].message.type == RAFT_REQUEST_VOTE) {
            (void)letter_take(rig, i);
        } else {
            i++;
        }
    }
}

void rig_apply(struct rig *rig, uint64_t value)
{
    struct raft_buffer buffer = {.base = raft_malloc(8), .len = 8};
    assert_true(buffer.base != NULL && rig->n_applies < RIG_REQUESTS);
    bytes_put_u64(buffer.base, value);
    assert_int_equal(raft_apply(&rig->raft, &rig->applies[rig->n_applies++], &buffer, 1, NULL), 0);
    rig_settle(rig);
}

void rig_add(struct rig *rig, raft_id id)
{
    assert_null(rig->raft.legacy.change);
    assert_int_equal(raft_add(&rig->raft, &rig->change, id, rig_address(id), NULL), 0);
    rig_settle(rig);
}

void rig_assign(struct rig *rig, raft_id id, int role)
{
    assert_null(rig->raft.legacy.change);
    assert_int_equal(raft_assign(&rig->raft, &rig->change, id, role, NULL), 0);
    rig_settle(rig);
}

static void answer(struct rig *leader, raft_id from, raft_index rejected, raft_index last)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES_RESULT,
                                   .append_entries_result = {.version = 2,
                                                             .term = leader->raft.current_term,
                                                             .rejected = rejected,
                                                             .last_log_index = last,
                                                             .features = 1,
                                                             .capacity = 0xffff}};
    receive(leader, from, &message);
}

void rig_acknowledge(struct rig *leader, raft_id from, raft_index index)
{
    answer(leader, from, 0, index);
}

void rig_reject(struct rig *leader, raft_id from, raft_index rejected, raft_index last)
{
    answer(leader, from, rejected, last);
}

void rig_converse(struct rig *a, struct rig *b)
{
    for (unsigned i = 0; i < 10; i++) {
        rig_persist(a);
        rig_persist(b);
        rig_pass(a, b);
        rig_persist(b);
        rig_pass(b, a);
    }
}
