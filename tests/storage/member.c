/* The model: see member.h. */
#include "member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void told_fatal(void *arg, const char *path, uint64_t offset, const char *what, int os_error)
{
    struct member *member = arg;
    member->fatals++;
    member->fatal_os_error = os_error;
    member->fatal_offset = offset;
    (void)snprintf(member->fatal_path, sizeof member->fatal_path, "%s", path);
    (void)snprintf(member->fatal_what, sizeof member->fatal_what, "%s", what);
}

static void told_note(void *arg, const char *sentence)
{
    struct member *member = arg;
    member->notes++;
    (void)snprintf(member->note, sizeof member->note, "%s", sentence);
}

struct member *member_new(struct world *world)
{
    struct member *member = calloc(1, sizeof *member);
    CHECK(member != NULL);
    member->world = world;
    member->segment_bytes = MEMBER_SEGMENT;
    member->states = calloc(MEMBER_STATES, sizeof *member->states);
    CHECK(member->states != NULL);
    member->states[0].last = 1; /* what bootstrap leaves */
    member->n_states = 1;
    member->next_content = 1;
    member->term = member->term_asked = 1;
    return member;
}

/* ---- content ---- */

/* Term, type and payload follow from the number of the content. */
static uint8_t *content_fill(uint32_t content, size_t bytes)
{
    uint8_t *base = malloc(bytes + 4);
    CHECK(base != NULL);
    for (size_t i = 0; i < bytes; i++) {
        base[i] = (uint8_t)(content * 31u + i * 7u);
    }
    bytes_put_u32(base, content);
    return base;
}

static uint64_t content_term(uint32_t content)
{
    return 1 + content / 50;
}

uint64_t member_term(const struct member *member, uint64_t index)
{
    return content_term(member->states[member->n_states - 1].content[index]);
}

void member_configuration(uint64_t index, struct buffer *bytes)
{
    buffer_clear(bytes);
    buffer_printf(bytes, "members as of %" PRIu64, index);
}

uint64_t member_chunks(uint64_t index)
{
    return 1 + index % 3;
}

void member_chunk(uint64_t index, uint64_t number, struct buffer *bytes)
{
    buffer_clear(bytes);
    for (uint64_t i = 0; i < 300 + index % 70; i++) {
        buffer_printf(bytes, "%" PRIu64 " ", index * 1000 + number * 100 + i);
    }
}

/* ---- life ---- */

enum error member_open(struct member *member)
{
    struct storage_options options = {.disk = &member->world->disk,
                                      .loop = &member->world->loop,
                                      .segment_bytes = member->segment_bytes,
                                      .snapshot_reserve_bytes = member->reserve_bytes,
                                      .fatal = told_fatal,
                                      .note = told_note,
                                      .arg = member};
    member->fatals = 0;
    member->notes = 0;
    member->called_after_fatal = 0;
    member->closed = false;
    return storage_open(&options, &member->storage, &member->text);
}

void member_identity(struct storage_identity *identity)
{
    *identity = (struct storage_identity){
        .name = "n1", .node_id = 1, .spec = slice_of("n1=localhost,n2=localhost"), .founders = slice_of("founders")};
    memset(identity->incarnation, 0x11, sizeof identity->incarnation);
    memset(identity->cluster_id, 0x22, sizeof identity->cluster_id);
}

enum error member_bootstrap(struct member *member)
{
    struct storage_identity identity;
    uint8_t *payload = content_fill(0, 100);
    struct storage_entry first = {.term = content_term(0), .type = 3, .data = {.base = payload, .len = 100}};
    member_identity(&identity);
    enum error error = storage_bootstrap(member->storage, &identity, &first, &member->text);
    free(payload);
    return error;
}

void member_start(struct member *member)
{
    enum error error = member_open(member);
    if (error != ERROR_NONE) {
        print_error("%s\n", member->text.text);
    }
    assert_int_equal(error, ERROR_NONE);
    const struct storage_identity *identity = storage_identity(member->storage);
    if (identity == NULL || !identity->initialised) {
        assert_int_equal(member_bootstrap(member), ERROR_NONE);
    }
    world_run(member->world);
}

static void requests_free(struct member *member)
{
    for (size_t i = 0; i < member->n_requests; i++) {
        struct request *request = &member->requests[i];
        for (size_t j = 0; j < request->n_entries; j++) {
            free((void *)request->entries[j].data.base);
        }
        free(request->entries);
    }
    member->n_requests = 0;
    member->n_acked = 0;
    member->publishing = false;
}

static void told_closed(void *arg)
{
    struct member *member = arg;
    member->closed = true;
    member->storage = NULL;
}

void member_close(struct member *member, bool orderly)
{
    storage_close(member->storage, orderly, told_closed, member);
}

void member_stop(struct member *member, bool orderly)
{
    member_close(member, orderly);
    world_run(member->world);
    assert_true(member->closed);
    world_restart(member->world);
    requests_free(member);
}

void member_crash(struct member *member, enum world_crash how)
{
    world_crash(member->world, how);
    if (member->storage != NULL) {
        storage_crash(member->storage);
        member->storage = NULL;
    }
    assert_null(member->world->timers);
    requests_free(member);
}

void member_free(struct member *member)
{
    if (member->storage != NULL) {
        member_stop(member, true);
    }
    requests_free(member);
    free(member->states);
    free(member);
}

/* ---- requests ---- */

static void told_done(struct storage_append *append, enum error error)
{
    struct request *request = append->data;
    struct member *member = request->member;
    assert_false(request->done);
    assert_int_equal(request->number, member->n_acked); /* in order */
    request->done = true;
    request->error = error;
    member->n_acked++;
    member->called_after_fatal += member->fatals;
    if (error == ERROR_NONE) {
        assert_true(request->state >= member->acked);
        member->acked = request->state;
    }
}

static struct state *state_push(struct member *member)
{
    CHECK(member->n_states < MEMBER_STATES);
    struct state *state = &member->states[member->n_states];
    *state = member->states[member->n_states - 1];
    member->n_states++;
    return state;
}

uint64_t member_next(const struct member *member)
{
    return member->states[member->n_states - 1].last + 1;
}

void member_append(struct member *member, uint64_t first_index, size_t n_entries, size_t bytes)
{
    CHECK(member->n_requests < MEMBER_REQUESTS && bytes >= 4);
    struct request *request = &member->requests[member->n_requests];
    *request = (struct request){.member = member, .n_entries = n_entries, .number = (unsigned)member->n_requests};
    member->n_requests++;
    request->entries = calloc(n_entries, sizeof *request->entries);
    CHECK(request->entries != NULL);
    for (size_t i = 0; i < n_entries; i++) {
        uint32_t content = member->next_content++;
        struct state *state = state_push(member);
        CHECK(first_index + i < MEMBER_INDEXES);
        state->last = first_index + i;
        state->content[first_index + i] = content;
        request->entries[i] = (struct storage_entry){.term = content_term(content),
                                                     .type = (uint8_t)(1 + content % 3),
                                                     .data = {.base = content_fill(content, bytes), .len = bytes}};
    }
    request->state = member->n_states - 1;
    request->append = (struct storage_append){.done = told_done, .data = request};
    storage_append(member->storage, &request->append, first_index, request->entries, n_entries);
    assert_int_equal(storage_next_index(member->storage), first_index + n_entries);
}

void member_set_term(struct member *member, uint64_t term)
{
    member->term_asked = term;
    member->vote_asked = 0;
    storage_set_term(member->storage, term);
    if (member->fatals == 0) {
        member->term = term;
        member->vote = 0;
    }
}

void member_set_vote(struct member *member, uint64_t vote)
{
    member->vote_asked = vote;
    storage_set_vote(member->storage, vote);
    if (member->fatals == 0) {
        member->vote = vote;
    }
}

static void told_published(struct storage_publish *publish, enum error error)
{
    struct member *member = publish->data;
    assert_true(member->publishing);
    member->publishing = false;
    member->publish_error = error;
    member->called_after_fatal += member->fatals;
    if (error == ERROR_NONE) {
        member->snapshot_acked = member->snapshot_asked;
        if (member->publish_install && member->acked < member->publish_state) {
            member->acked = member->publish_state;
        }
    }
}

static bool snapshot_write(struct member *member, struct storage_snapshot_writer *writer,
                           struct storage_snapshot_info *info)
{
    struct buffer bytes;
    enum error error = ERROR_NONE;
    buffer_init(&bytes);
    for (uint64_t i = 0; i < member_chunks(info->index) && error == ERROR_NONE; i++) {
        member_chunk(info->index, i, &bytes);
        error = storage_snapshot_write(writer, buffer_slice(&bytes), &member->text);
    }
    if (error == ERROR_NONE) {
        member_configuration(info->index, &bytes);
        info->configuration = buffer_slice(&bytes);
        error = storage_snapshot_finish(writer, info, &member->text);
        info->configuration = (struct slice){0};
    }
    buffer_close(&bytes);
    return error == ERROR_NONE;
}

bool member_snapshot(struct member *member, uint64_t index, unsigned trailing)
{
    struct storage_snapshot_writer *writer;
    struct storage_snapshot_info info = {
        .index = index, .term = content_term(member->next_content), .configuration_index = 1};
    bool install = trailing == 0;
    if (!install) {
        info.term = member_term(member, index);
    }
    if (storage_snapshot_begin(member->storage, install, &writer, &member->text) != ERROR_NONE) {
        return false;
    }
    if (!snapshot_write(member, writer, &info)) {
        storage_snapshot_discard(writer);
        return false;
    }
    if (install) {
        struct state *state = state_push(member);
        state->base = index;
        state->last = index;
        member->publish_state = member->n_states - 1;
    }
    member->publish = (struct storage_publish){.done = told_published, .data = member};
    member->publishing = true;
    member->publish_install = install;
    member->snapshot_asked = index;
    if (!install && index > trailing && index - trailing + 1 > member->kept_from) {
        member->kept_from = index - trailing + 1;
    }
    storage_snapshot_publish(member->storage, &member->publish, writer, &info, trailing);
    return true;
}

/* ---- checking ---- */

static bool entry_equal(const struct storage_entry *entry, uint32_t content)
{
    if (entry->term != content_term(content) || entry->type != (content == 0 ? 3 : 1 + content % 3) ||
        entry->data.len < 4) {
        return false;
    }
    uint8_t *expected = content_fill(content, entry->data.len);
    bool equal = memcmp(expected, entry->data.base, entry->data.len) == 0;
    free(expected);
    return equal;
}

static bool state_matches(const struct state *state, const struct storage_loaded *loaded)
{
    uint64_t snapshot = loaded->snapshot.index;
    uint64_t next = loaded->first_index + loaded->n_entries;
    if (next != state->last + 1 || state->base > snapshot) {
        return false;
    }
    for (uint64_t index = loaded->first_index > snapshot ? loaded->first_index : snapshot + 1; index < next; index++) {
        if (!entry_equal(&loaded->entries[index - loaded->first_index], state->content[index])) {
            return false;
        }
    }
    return true;
}

static void snapshot_check(struct member *member)
{
    struct storage_snapshot_info info;
    struct storage_snapshot_reader *reader;
    struct buffer chunk, expected;
    buffer_init(&chunk);
    buffer_init(&expected);
    storage_snapshot_newest(member->storage, &info);
    assert_int_equal(storage_snapshot_open(member->storage, &reader, &member->text), ERROR_NONE);
    assert_int_equal(info.chunks, member_chunks(info.index));
    member_configuration(info.index, &expected);
    assert_true(slice_equal(info.configuration, buffer_slice(&expected)));
    for (uint64_t i = info.chunks; i-- > 0;) {
        assert_int_equal(storage_snapshot_read(reader, i, &chunk, &member->text), ERROR_NONE);
        member_chunk(info.index, i, &expected);
        assert_true(slice_equal(buffer_slice(&chunk), buffer_slice(&expected)));
    }
    storage_snapshot_reader_close(reader);
    buffer_close(&chunk);
    buffer_close(&expected);
}

void member_check(struct member *member)
{
    struct storage_loaded loaded;
    storage_loaded(member->storage, &loaded);
    uint64_t index = loaded.snapshot.index;
    assert_true(index == member->snapshot_asked || index == member->snapshot_acked);
    assert_true(index >= member->snapshot_acked);
    assert_true(loaded.first_index <= index + 1);
    size_t found = member->acked;
    while (found < member->n_states && !state_matches(&member->states[found], &loaded)) {
        found++;
    }
    if (found == member->n_states) {
        print_error("loaded %" PRIu64 " to %" PRIu64 " behind snapshot %" PRIu64
                    ": acknowledged was state %zu of %zu (to %" PRIu64 ")\n",
                    loaded.first_index, loaded.first_index + loaded.n_entries - 1, index, member->acked,
                    member->n_states, member->states[member->acked].last);
    }
    assert_true(found < member->n_states);
    assert_true((loaded.term == member->term && loaded.vote == member->vote) ||
                (loaded.term == member->term_asked && loaded.vote == member->vote_asked));
    if (index > 0) {
        snapshot_check(member);
        uint64_t base = member->states[found].base + 1;
        assert_true(loaded.first_index <= (member->kept_from > base ? member->kept_from : base));
    }
    member->states[0] = member->states[found];
    member->n_states = 1;
    member->acked = 0;
    member->term = member->term_asked = loaded.term;
    member->vote = member->vote_asked = loaded.vote;
    member->snapshot_acked = member->snapshot_asked = index;
    storage_loaded_release(member->storage);
}
