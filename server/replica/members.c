/* members: the other nodes, their streams, and where their frames go.
 *
 * Before the founders are known the members are those of SPEC, with id 0; from then on they are libraft's configuration,
 * whose addresses are texts of four words, NAME INCARNATION RAFT_HOST:PORT HTTP_HOST:PORT (libraft refuses equal ones,
 * never dials them, and hands them to everyone). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/inside.h"

/* ---- addresses ---- */

static bool take_word(const char **text, char *word, size_t size)
{
    size_t len = strcspn(*text, " ");
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(word, *text, len);
    word[len] = 0;
    *text += len;
    if (**text == ' ') {
        (*text)++;
    }
    return true;
}

static bool parse_incarnation(const char *digits, uint8_t incarnation[16])
{
    if (strspn(digits, "0123456789abcdef") != 32 || digits[32] != 0) {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        char pair[3] = {digits[2 * i], digits[2 * i + 1], 0};
        incarnation[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

static bool split_port(const char *address, char *host, size_t size, uint16_t *port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address) {
        return false;
    }
    const char *begin = address;
    size_t len = (size_t)(colon - address);
    if (begin[0] == '[') {
        if (len < 3 || begin[len - 1] != ']') {
            return false;
        }
        begin++;
        len -= 2;
    }
    char *end;
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (len >= size || colon[1] < '0' || colon[1] > '9' || *end != 0 || number == 0 || number > 65535) {
        return false;
    }
    memcpy(host, begin, len);
    host[len] = 0;
    *port = (uint16_t)number;
    return true;
}

bool address_parse(const char *text, struct address *address)
{
    char digits[40];
    *address = (struct address){0};
    return take_word(&text, address->name, sizeof address->name) && take_word(&text, digits, sizeof digits) &&
           take_word(&text, address->raft, sizeof address->raft) &&
           take_word(&text, address->http, sizeof address->http) && *text == 0 &&
           parse_incarnation(digits, address->incarnation) &&
           split_port(address->raft, address->raft_host, sizeof address->raft_host, &address->raft_port);
}

static void render_host_port(const char *host, uint16_t port, struct buffer *text)
{
    bool brackets = strchr(host, ':') != NULL;
    buffer_printf(text, brackets ? "[%s]:%u" : "%s:%u", host, port);
}

void address_render(const char *name, const uint8_t incarnation[16], const struct replica_member *spec,
                    struct buffer *text)
{
    buffer_printf(text, "%s ", name);
    for (size_t i = 0; i < 16; i++) {
        buffer_printf(text, "%02x", incarnation[i]);
    }
    buffer_append(text, " ", 1);
    render_host_port(spec->host, spec->raft_port, text);
    buffer_append(text, " ", 1);
    render_host_port(spec->host, spec->http_port, text);
    buffer_append(text, "", 1);
}

/* ---- the list ---- */

struct member *member_by_id(struct replica *replica, uint64_t id)
{
    for (size_t i = 0; i < replica->members.n; i++) {
        if (replica->members.list[i]->id == id && id != 0) {
            return replica->members.list[i];
        }
    }
    return NULL;
}

static struct member *member_by_name(struct replica *replica, const char *name)
{
    for (size_t i = 0; i < replica->members.n; i++) {
        if (strcmp(replica->members.list[i]->address.name, name) == 0) {
            return replica->members.list[i];
        }
    }
    return NULL;
}

bool member_reachable(const struct member *member)
{
    return member->peer == NULL || (peer_is_up(member->peer) && peer_is_inbound_up(member->peer));
}

const char *member_http(struct replica *replica, const struct member *member)
{
    if (member->peer == NULL && replica->options.advertise_http != NULL) {
        return replica->options.advertise_http;
    }
    return member->advertised[0] != 0 ? member->advertised : member->address.http;
}

static struct member *member_add(struct replica *replica, uint64_t id, const struct address *address,
                                 const uint8_t *incarnation)
{
    CHECK(replica->members.n < LIMIT_MEMBERS);
    struct member *member = calloc(1, sizeof *member);
    CHECK(member != NULL);
    member->id = id;
    member->address = *address;
    arena_init(&member->outbox.arena, 0);
    if (strcmp(address->name, replica->options.name) != 0) {
        member->peer =
            peer_add(replica->peers, address->name, address->raft_host, address->raft_port, incarnation, member);
    }
    replica->members.list[replica->members.n++] = member;
    return member;
}

static void member_free(struct replica *replica, struct member *member, bool crash)
{
    if (!crash) {
        passing_stream_lost(replica, member);
        transfer_member_removed(replica, member);
        if (member->peer != NULL) {
            peer_remove(member->peer);
        }
    }
    outbox_free(&member->outbox);
    free(member);
}

void members_add_founding(struct replica *replica)
{
    for (size_t i = 0; i < replica->options.n_members; i++) {
        const struct replica_member *spec = &replica->options.members[i];
        static const uint8_t unknown[16];
        struct buffer text;
        buffer_init(&text);
        address_render(spec->name, unknown, spec, &text);
        struct address address;
        CHECK(address_parse((const char *)text.base, &address)); /* replica_open has checked SPEC */
        buffer_close(&text);
        (void)member_add(replica, 0, &address, NULL);
    }
}

/* Whom the configuration means; NULL: somebody new. */
static struct member *member_meant(struct replica *replica, uint64_t id, const char *name)
{
    struct member *member = member_by_id(replica, id);
    if (member == NULL) {
        member = member_by_name(replica, name);
    }
    bool is_other = member != NULL && member->id != id && member->id != 0;
    return is_other ? NULL : member; /* it has this node's name, and isn't this node */
}

static void member_update(struct member *member, uint64_t id, const struct address *address)
{
    member->id = id;
    member->address = *address;
    if (member->peer != NULL) {
        peer_set_incarnation(member->peer, address->incarnation);
        peer_set_address(member->peer, address->raft_host, address->raft_port);
    }
}

/* Under the same name: an id that got another one is another member. */
static bool configuration_has(const struct raft_configuration *configuration, const struct member *member)
{
    size_t len = strlen(member->address.name);
    for (unsigned i = 0; i < configuration->n; i++) {
        const struct raft_server *server = &configuration->servers[i];
        if (server->id == member->id && strncmp(server->address, member->address.name, len) == 0 &&
            server->address[len] == ' ') {
            return true;
        }
    }
    return false;
}

/* Those of SPEC alone, whose ids are not known, are kept at first: the configuration gives them their ids. */
static void drop_others(struct replica *replica, const struct raft_configuration *configuration, bool founding_too)
{
    uint64_t own_id = storage_identity(replica->options.storage)->node_id;
    size_t kept = 0;
    for (size_t i = 0; i < replica->members.n; i++) {
        struct member *member = replica->members.list[i];
        bool own = member->peer == NULL && (member->id == 0 || member->id == own_id);
        if (own || (member->id == 0 && !founding_too) || configuration_has(configuration, member)) {
            replica->members.list[kept++] = member;
        } else {
            member_free(replica, member, false);
        }
    }
    replica->members.n = kept;
}

/* Makes the list of members that of libraft's configuration. Who is gone goes first: another incarnation may have come in
 * its place, and there is one stream to a name. */
void members_sync(struct replica *replica, const struct raft_configuration *configuration)
{
    drop_others(replica, configuration, false);
    for (unsigned i = 0; i < configuration->n && i < LIMIT_MEMBERS; i++) {
        const struct raft_server *server = &configuration->servers[i];
        struct address address;
        if (!address_parse(server->address, &address)) {
            replica_fatal(replica, REPLICA_EXIT_FAILURE, "the address of member %llu can't be understood: %s",
                          server->id, server->address);
            return;
        }
        struct member *member = member_meant(replica, server->id, address.name);
        if (member != NULL) {
            member_update(member, server->id, &address);
        } else if (replica->members.n < LIMIT_MEMBERS) {
            (void)member_add(replica, server->id, &address, address.incarnation);
        }
    }
    drop_others(replica, configuration, true);
}

void members_close(struct replica *replica)
{
    for (size_t i = 0; i < replica->members.n; i++) {
        member_free(replica, replica->members.list[i], true); /* the set frees the peers */
    }
    replica->members.n = 0;
    if (replica->peers != NULL) {
        peer_set_close(replica->peers);
        replica->peers = NULL;
    }
}

/* ---- frames ---- */

static void note_contact(const struct replica *replica, struct member *member)
{
    member->heard = true;
    member->heard_ns = replica_now_ns(replica);
}

static void on_frame(void *arg, struct peer *peer, const struct frame *frame)
{
    struct replica *replica = arg;
    struct member *member = peer_data(peer);
    note_contact(replica, member);
    if (replica->dead || member->id == 0 || replica->stage != STAGE_RUNNING) {
        return;
    }
    switch (frame->kind) {
    case FRAME_INSTALL_SNAPSHOT:
        transfer_take_descriptor(replica, member, &frame->install_snapshot);
        return;
    case FRAME_SNAPSHOT_CHUNK:
        transfer_take_chunk(replica, member, &frame->snapshot_chunk);
        return;
    case FRAME_SNAPSHOT_ACK:
        transfer_take_ack(replica, member, &frame->snapshot_ack);
        return;
    case FRAME_OPERATIONS:
        passing_take_operations(replica, member, &frame->operations);
        return;
    case FRAME_OUTCOMES:
        passing_take_outcomes(replica, member, &frame->outcomes);
        return;
    case FRAME_CANCEL:
        waiting_take_cancels(replica, member, &frame->cancel);
        return;
    case FRAME_READ_INDEX:
        reads_take_request(replica, member, &frame->read_index);
        return;
    case FRAME_READ_INDEX_RESULT:
        reads_take_result(replica, member, &frame->read_index_result);
        return;
    default:
        raft_side_receive(replica, member, frame);
        return;
    }
}

static void take_hello(const struct replica *replica, struct member *member, const struct frame_hello *hello)
{
    note_contact(replica, member);
    member->rules_newest = hello->rules_newest;
    if (hello->http_address.len > 0 && hello->http_address.len < sizeof member->advertised) {
        memcpy(member->advertised, hello->http_address.base, hello->http_address.len);
        member->advertised[hello->http_address.len] = 0;
    }
}

static void log_stream(const struct replica *replica, const struct member *member, const char *message)
{
    log_info(replica->options.log, message, LOG_TEXT("peer", member->address.name),
             LOG_TEXT("address", member->address.raft));
}

static void on_inbound_up(void *arg, struct peer *peer, const struct frame_hello *hello)
{
    struct replica *replica = arg;
    struct member *member = peer_data(peer);
    if (replica->dead) {
        return;
    }
    take_hello(replica, member, hello);
    memcpy(member->run_id, hello->run_id, sizeof member->run_id);
    waiting_member_begins(replica, member);
    log_stream(replica, member, "peer stream accepted");
    elections_stream_up(replica, member);
    replica_want_turn(replica);
}

static void stream_lost(struct replica *replica, struct member *member)
{
    if (replica->stage != STAGE_RUNNING) {
        return;
    }
    passing_stream_lost(replica, member);
    reads_stream_lost(replica, member);
    replica_want_turn(replica);
}

static void on_inbound_down(void *arg, struct peer *peer, enum peer_end end)
{
    struct replica *replica = arg;
    struct member *member = peer_data(peer);
    if (replica->dead) {
        return;
    }
    if (end != PEER_END_REPLACED) {
        log_stream(replica, member, "peer stream ended");
    }
    stream_lost(replica, member);
    transfer_stream_lost(replica, member);
    if (replica_running(replica)) {
        (void)guards_stream_ended(&replica->guards, member->id);
        if (end != PEER_END_REPLACED) {
            elections_stream_ended(replica, member);
        }
    }
}

static void on_outbound_up(void *arg, struct peer *peer, const struct frame_hello *hello)
{
    struct replica *replica = arg;
    struct member *member = peer_data(peer);
    if (replica->dead) {
        return;
    }
    take_hello(replica, member, hello);
    log_stream(replica, member, "peer connected");
    transfer_stream_up(replica, member);
    replica_want_turn(replica);
}

static void on_outbound_down(void *arg, struct peer *peer, bool refused)
{
    struct replica *replica = arg;
    struct member *member = peer_data(peer);
    if (replica->dead) {
        return;
    }
    stream_lost(replica, member);
    if (replica_running(replica)) {
        elections_dial_failed(replica, member, refused);
    }
}

/* ---- who founded the cluster ---- */

static bool on_founding_question(void *arg, const struct frame_founding_question *question,
                                 struct frame_founding_answer *answer)
{
    struct replica *replica = arg;
    const struct storage_identity *identity = replica->dead ? NULL : storage_identity(replica->options.storage);
    (void)question;
    if (identity == NULL) {
        return false;
    }
    const struct frame_member *founders = NULL;
    size_t n_founders = 0;
    arena_clear(&replica->answer_arena);
    if (identity->initialised && identity->founders.len > 0 &&
        founding_decode_founders(identity->founders, &replica->answer_arena, &founders, &n_founders) != ERROR_NONE) {
        replica_fatal(replica, REPLICA_EXIT_DATA, "the founders in the identity file can't be read");
        return false;
    }
    founding_reply(identity->spec, replica->options.name, identity->incarnation, founders, n_founders,
                   !identity->initialised, answer);
    return true;
}

static void on_founding_answer(void *arg, struct peer *peer, const struct frame_founding_answer *answer)
{
    struct replica *replica = arg;
    if (replica->dead || replica->stage != STAGE_FOUNDING || replica->founding == NULL) {
        return;
    }
    note_contact(replica, peer_data(peer));
    replica_founding_changed(replica, founding_take(replica->founding, peer_name(peer), answer));
}

static void on_note(void *arg, struct slice about, const char *sentence)
{
    struct replica *replica = arg;
    if (!replica->dead) {
        log_warning(replica->options.log, "peer", LOG_SLICE("about", about), LOG_TEXT("note", sentence));
    }
}

enum error members_open_peers(struct replica *replica, struct error_text *text)
{
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
    const struct replica_options *options = &replica->options;
    struct peer_set_options peer_options = {
        .loop = options->loop,
        .network = options->network,
        .name = options->name,
        .listen_host = options->listen_host,
        .listen_port = options->listen_port,
        .http_address = options->advertise_http,
        .cluster_key = options->cluster_key,
        .stall_ms = 2ull * options->election_timeout_ms,
        .handlers = &handlers,
        .arg = replica,
    };
    memcpy(peer_options.run_id, replica->run_id, sizeof peer_options.run_id);
    memcpy(peer_options.incarnation, storage_identity(options->storage)->incarnation, sizeof peer_options.incarnation);
    return peer_set_open(&peer_options, &replica->peers, text);
}
