#include "member.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "peer/peer_framing.h"

static void member_obey(struct member *member, struct peer *peer, int what)
{
    if (what == DO_REMOVE_PEER) {
        for (unsigned i = 0; i <= MEMBERS_MAX; i++) {
            if (member->peers[i] == peer) {
                member->peers[i] = NULL;
            }
        }
        peer_remove(peer);
    } else if (what == DO_CLOSE_SET) {
        peer_set_close(member->set);
        member->set = NULL;
    }
}

static void on_frame(void *arg, struct peer *peer, const struct frame *frame)
{
    struct member *member = arg;
    uint64_t number = frame->kind == FRAME_REQUEST_VOTE     ? frame->request_vote.term
                      : frame->kind == FRAME_APPEND_ENTRIES ? frame->append_entries.term
                      : frame->kind == FRAME_READ_INDEX     ? frame->read_index.number
                      : frame->kind == FRAME_SNAPSHOT_CHUNK ? frame->snapshot_chunk.number
                                                            : 0;
    buffer_printf(&member->events, "%s %s %" PRIu64 "\n", peer_name(peer), frame_kind_name(frame->kind), number);
    member->terms_seen++;
    member_obey(member, peer, member->on_frame);
}

static void on_inbound_up(void *arg, struct peer *peer, const struct frame_hello *hello)
{
    struct member *member = arg;
    buffer_printf(&member->events, "%s inbound up, http %.*s\n", peer_name(peer), SLICE_PRINT(hello->http_address));
    member_obey(member, peer, member->on_up);
}

static void on_inbound_down(void *arg, struct peer *peer, enum peer_end end)
{
    static const char *const ends[] = {"end of file", "broken", "replaced"};
    struct member *member = arg;
    buffer_printf(&member->events, "%s inbound down: %s\n", peer_name(peer), ends[end]);
    member_obey(member, peer, member->on_down);
}

static void on_outbound_up(void *arg, struct peer *peer, const struct frame_hello *hello)
{
    struct member *member = arg;
    buffer_printf(&member->events, "%s outbound up, http %.*s\n", peer_name(peer), SLICE_PRINT(hello->http_address));
    member_obey(member, peer, member->on_up);
}

static void on_outbound_down(void *arg, struct peer *peer, bool refused)
{
    struct member *member = arg;
    buffer_printf(&member->events, "%s outbound down%s\n", peer_name(peer), refused ? ": refused" : "");
    member_obey(member, peer, member->on_down);
}

static bool on_founding_question(void *arg, const struct frame_founding_question *question,
                                 struct frame_founding_answer *answer)
{
    struct member *member = arg;
    buffer_printf(&member->events, "%.*s asks\n", SLICE_PRINT(question->name));
    *answer = member->answer;
    return member->has_answer;
}

static void on_founding_answer(void *arg, struct peer *peer, const struct frame_founding_answer *answer)
{
    struct member *member = arg;
    buffer_printf(&member->events, "%s answers %d\n", peer_name(peer), (int)answer->state);
}

static void on_note(void *arg, struct slice about, const char *sentence)
{
    struct member *member = arg;
    buffer_printf(&member->notes, "[%.*s] %s\n", SLICE_PRINT(about), sentence);
    member->n_notes++;
    member_obey(member, NULL, member->on_note);
}

static const struct peer_handlers handlers = {
    .frame = on_frame,
    .inbound_up = on_inbound_up,
    .inbound_down = on_inbound_down,
    .outbound_up = on_outbound_up,
    .outbound_down = on_outbound_down,
    .founding_question = on_founding_question,
    .founding_answer = on_founding_answer,
    .note = on_note,
};

void incarnation_of(unsigned number, uint8_t incarnation[16])
{
    memset(incarnation, (int)number, 16);
}

void cluster_id_of_test(uint8_t cluster_id[16])
{
    memset(cluster_id, 0xcc, 16);
}

void member_open(struct member *member, const struct member_options *options)
{
    char name[8], http_address[24];
    struct error_text text;
    *member = (struct member){.world = options->world, .number = options->number, .run = options->run};
    (void)snprintf(name, sizeof name, "n%u", options->number);
    (void)snprintf(http_address, sizeof http_address, "h%u:80", options->number);
    struct peer_set_options peer_options = {
        .loop = &options->world->loop,
        .network = &options->world->network,
        .name = options->name != NULL ? options->name : name,
        .listen_host = "localhost",
        .listen_port = (uint16_t)(7000 + options->number),
        .http_address = http_address,
        .cluster_key = slice_of(options->key),
        .stall_ms = 600,
        .handlers = &handlers,
        .arg = member,
    };
    incarnation_of(options->number, peer_options.incarnation);
    if (options->incarnation != NULL) {
        memcpy(peer_options.incarnation, options->incarnation, 16);
    }
    memset(peer_options.run_id, 0x10 * (int)options->number + options->run, 16);
    assert_int_equal(peer_set_open(&peer_options, &member->set, &text), ERROR_NONE);
}

void member_add(struct member *member, unsigned other)
{
    char name[8];
    uint8_t incarnation[16];
    (void)snprintf(name, sizeof name, "n%u", other);
    incarnation_of(other, incarnation);
    member->peers[other] = peer_add(member->set, name, "localhost", (uint16_t)(7000 + other), incarnation, member);
}

void member_join(struct member *member)
{
    uint8_t cluster_id[16];
    cluster_id_of_test(cluster_id);
    peer_set_join(member->set, cluster_id);
}

void member_open_half(struct member *member, const struct member_options *options)
{
    member_open(member, options);
    member_join(member);
    member_add(member, 3 - options->number);
}

void member_close(struct member *member)
{
    if (member->set != NULL) {
        peer_set_close(member->set);
        member->set = NULL;
    }
    buffer_close(&member->events);
    buffer_close(&member->notes);
}

void members_open(struct member *members, unsigned n, struct world *world, const char *key)
{
    for (unsigned i = 1; i <= n; i++) {
        const struct member_options options = {.world = world, .number = i, .key = key};
        member_open(&members[i - 1], &options);
        member_join(&members[i - 1]);
    }
    for (unsigned i = 1; i <= n; i++) {
        for (unsigned other = 1; other <= n; other++) {
            if (other != i) {
                member_add(&members[i - 1], other);
            }
        }
    }
    world_run(world);
    for (unsigned i = 0; i < n; i++) {
        buffer_clear(&members[i].events);
        assert_int_equal(members[i].n_notes, 0);
    }
}

void members_close(struct member *members, unsigned n)
{
    struct world *world = members[0].world;
    for (unsigned i = 0; i < n; i++) {
        member_close(&members[i]);
    }
    world_close(world);
}

struct frame vote_frame(uint64_t term)
{
    return (struct frame){.kind = FRAME_REQUEST_VOTE, .request_vote = {.term = term, .candidate_id = 1}};
}

struct frame hello_frame(unsigned from, uint64_t connection_number)
{
    static const char *const names[] = {"n0", "n1", "n2", "n3"};
    struct frame frame = {
        .kind = FRAME_HELLO,
        .hello = {.connection_number = connection_number, .name = slice_of(names[from]), .to = slice_of("n1")}};
    frame_hello_set_versions(&frame.hello);
    cluster_id_of_test(frame.hello.cluster_id);
    incarnation_of(from, frame.hello.incarnation);
    memset(frame.hello.run_id, 0x10 * (int)from, 16);
    return frame;
}

void raw_send_frame(struct raw *raw, const struct frame *frame)
{
    struct framing_seal seal = {0};
    struct buffer bytes;
    buffer_init(&bytes);
    framing_append(frame, false, &bytes);
    framing_seal_next(bytes.base, &seal);
    raw_send(raw, bytes.base, bytes.len);
    buffer_close(&bytes);
}

bool member_send_vote(struct member *member, unsigned to, uint64_t term)
{
    struct frame frame = vote_frame(term);
    return peer_send(member->peers[to], &frame);
}

void expect_events(struct member *member, const char *events)
{
    buffer_append(&member->events, "", 1);
    assert_string_equal((const char *)member->events.base, events);
    buffer_clear(&member->events);
}

void expect_note(struct member *member, const char *part)
{
    buffer_append(&member->notes, "", 1);
    if (part[0] == 0 ? member->notes.len > 1 : strstr((const char *)member->notes.base, part) == NULL) {
        fail_msg("notes: \"%s\", expected: \"%s\"", (const char *)member->notes.base, part);
    }
    buffer_clear(&member->notes);
    member->n_notes = 0;
}
