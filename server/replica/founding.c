/* The decision of a first start. The verdict is a pure function of the newest answer of each member; in order of weight:
 *
 *   1. somebody has "no founder"                      → lost: the cluster went on without its founders' list (joined,
 *                                                       restored, recovered), so an empty node has no place in it
 *   2. lists differ, or one doesn't fit its SPEC      → wait, and say so: two clusters grew out of one SPEC
 *   3. a list with another incarnation for this node  → lost: it was a founder, and its data is gone
 *   4. a list with its own incarnation                → decided, with that list: it answered "empty" to the others
 *                                                       before, or was killed between the two
 *   5. all are empty                                  → decided, with the answers
 *   6. else                                           → wait, and say for whom
 *
 * An answer with another SPEC is heard by none of 1 to 5, and said. */
#include "replica/founding.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/checksum.h"
#include "base/limits.h"

#define INCARNATION_BYTES 16u

/* One member of SPEC and its newest answer. */
struct seat {
    char *name;
    bool own;
    bool answered;
    bool same_spec;
    bool list_fits; /* a list with exactly SPEC's names, and with the answerer's own incarnation */
    enum founding_state state;
    uint8_t incarnation[INCARNATION_BYTES];
    /* FOUNDING_LIST that fits: by seat, like `seats`. */
    uint8_t list[LIMIT_MEMBERS][INCARNATION_BYTES];
};

struct founding {
    struct buffer spec;
    struct seat seats[LIMIT_MEMBERS]; /* by name */
    size_t n_seats;
    size_t own;
    enum founding_verdict verdict;
    struct frame_member result[LIMIT_MEMBERS];
    struct buffer sentence;
};

/* ---- SPEC, founders, cluster id as bytes ---- */

static int member_compare(const void *a, const void *b)
{
    const struct replica_member *left = *(const struct replica_member *const *)a;
    const struct replica_member *right = *(const struct replica_member *const *)b;
    return slice_compare(slice_of(left->name), slice_of(right->name));
}

static void members_sort(const struct replica_member *members, size_t n_members,
                         const struct replica_member *sorted[LIMIT_MEMBERS])
{
    CHECK(n_members >= 1 && n_members <= LIMIT_MEMBERS);
    for (size_t i = 0; i < n_members; i++) {
        sorted[i] = &members[i];
    }
    qsort(sorted, n_members, sizeof sorted[0], member_compare);
}

void founding_render_spec(const struct replica_member *members, size_t n_members, struct buffer *spec)
{
    const struct replica_member *sorted[LIMIT_MEMBERS];
    members_sort(members, n_members, sorted);
    for (size_t i = 0; i < n_members; i++) {
        const struct replica_member *member = sorted[i];
        bool bracketed = strchr(member->host, ':') != NULL; /* IPv6 */
        buffer_printf(spec, "%s%s=%s%s%s:%u:%u", i == 0 ? "" : ",", member->name, bracketed ? "[" : "", member->host,
                      bracketed ? "]" : "", (unsigned)member->http_port, (unsigned)member->raft_port);
    }
}

static int founder_compare(const void *a, const void *b)
{
    return slice_compare(((const struct frame_member *)a)->name, ((const struct frame_member *)b)->name);
}

/* u32 number, then for each founder, by name: u32 length, name, incarnation. */
void founding_encode_founders(const struct frame_member *founders, size_t n_founders, struct buffer *bytes)
{
    struct frame_member sorted[LIMIT_MEMBERS];
    CHECK(n_founders <= LIMIT_MEMBERS);
    if (n_founders > 0) {
        memcpy(sorted, founders, n_founders * sizeof sorted[0]);
        qsort(sorted, n_founders, sizeof sorted[0], founder_compare);
    }
    bytes_put_u32(buffer_extend(bytes, 4), (uint32_t)n_founders);
    for (size_t i = 0; i < n_founders; i++) {
        bytes_put_u32(buffer_extend(bytes, 4), (uint32_t)sorted[i].name.len);
        buffer_append_slice(bytes, sorted[i].name);
        buffer_append(bytes, sorted[i].incarnation, INCARNATION_BYTES);
    }
}

static bool slice_take(struct slice *rest, size_t len, const uint8_t **taken)
{
    if (rest->len < len) {
        return false;
    }
    *taken = rest->base;
    rest->base += len;
    rest->len -= len;
    return true;
}

static bool founder_take(struct slice *rest, struct frame_member *founder)
{
    const uint8_t *number, *name, *incarnation;
    if (!slice_take(rest, 4, &number)) {
        return false;
    }
    size_t name_len = bytes_get_u32(number);
    if (name_len == 0 || name_len > LIMIT_NAME_BYTES || !slice_take(rest, name_len, &name) ||
        !slice_take(rest, INCARNATION_BYTES, &incarnation)) {
        return false;
    }
    founder->name = (struct slice){.base = name, .len = name_len};
    memcpy(founder->incarnation, incarnation, INCARNATION_BYTES);
    return true;
}

enum error founding_decode_founders(struct slice bytes, struct arena *arena, const struct frame_member **founders,
                                    size_t *n_founders)
{
    const uint8_t *number;
    if (!slice_take(&bytes, 4, &number)) {
        return ERROR_INVALID;
    }
    size_t n_decoded = bytes_get_u32(number);
    if (n_decoded > LIMIT_MEMBERS) {
        return ERROR_INVALID;
    }
    struct frame_member *decoded = arena_alloc(arena, (n_decoded + 1) * sizeof *decoded); /* never NULL for none */
    if (decoded == NULL) {
        return ERROR_INVALID;
    }
    for (size_t i = 0; i < n_decoded; i++) {
        if (!founder_take(&bytes, &decoded[i]) || (i > 0 && slice_compare(decoded[i - 1].name, decoded[i].name) >= 0)) {
            return ERROR_INVALID;
        }
    }
    if (bytes.len > 0) {
        return ERROR_INVALID;
    }
    *founders = decoded;
    *n_founders = n_decoded;
    return ERROR_NONE;
}

void founding_compute_cluster_id(struct slice spec, const struct frame_member *founders, size_t n_founders,
                                 uint8_t cluster_id[16])
{
    struct buffer bytes;
    buffer_init(&bytes);
    bytes_put_u32(buffer_extend(&bytes, 4), (uint32_t)spec.len);
    buffer_append_slice(&bytes, spec);
    founding_encode_founders(founders, n_founders, &bytes);
    struct digest128 digest = checksum_128(bytes.base, bytes.len);
    memcpy(cluster_id, digest.bytes, sizeof digest.bytes);
    buffer_close(&bytes);
}

/* ---- the verdict ---- */

static bool incarnation_equal(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, INCARNATION_BYTES) == 0;
}

/* Is this an answer that counts, of this state? */
static bool seat_says(const struct seat *seat, enum founding_state state)
{
    return !seat->own && seat->answered && seat->same_spec && seat->state == state &&
           (state != FOUNDING_LIST || seat->list_fits);
}

static const struct seat *founding_find(const struct founding *founding, enum founding_state state)
{
    for (size_t i = 0; i < founding->n_seats; i++) {
        if (seat_says(&founding->seats[i], state)) {
            return &founding->seats[i];
        }
    }
    return NULL;
}

static bool seat_has_unfit_list(const struct seat *seat)
{
    return !seat->own && seat->answered && seat->same_spec && seat->state == FOUNDING_LIST && !seat->list_fits;
}

static bool founding_has(const struct founding *founding, bool (*chosen)(const struct seat *seat))
{
    for (size_t i = 0; i < founding->n_seats; i++) {
        if (chosen(&founding->seats[i])) {
            return true;
        }
    }
    return false;
}

static bool list_equal(const struct founding *founding, const struct seat *a, const struct seat *b)
{
    return memcmp(a->list, b->list, founding->n_seats * sizeof a->list[0]) == 0;
}

/* One whose list differs from `first`'s; NULL: none. */
static const struct seat *founding_find_other_list(const struct founding *founding, const struct seat *first)
{
    for (size_t i = 0; i < founding->n_seats; i++) {
        const struct seat *seat = &founding->seats[i];
        if (seat_says(seat, FOUNDING_LIST) && !list_equal(founding, seat, first)) {
            return seat;
        }
    }
    return NULL;
}

static bool founding_all_empty(const struct founding *founding)
{
    for (size_t i = 0; i < founding->n_seats; i++) {
        const struct seat *seat = &founding->seats[i];
        if (!seat->own && !seat_says(seat, FOUNDING_EMPTY)) {
            return false;
        }
    }
    return true;
}

static void founding_take_result(struct founding *founding, const struct seat *list)
{
    for (size_t i = 0; i < founding->n_seats; i++) {
        const struct seat *seat = &founding->seats[i];
        founding->result[i].name = slice_of(seat->name);
        memcpy(founding->result[i].incarnation, list != NULL ? list->list[i] : seat->incarnation, INCARNATION_BYTES);
    }
}

static enum founding_verdict founding_judge(struct founding *founding)
{
    if (founding_find(founding, FOUNDING_NONE) != NULL) {
        return FOUNDING_LOST;
    }
    if (founding_has(founding, seat_has_unfit_list)) {
        return FOUNDING_WAIT;
    }
    const struct seat *list = founding_find(founding, FOUNDING_LIST);
    if (list != NULL) {
        if (founding_find_other_list(founding, list) != NULL) {
            return FOUNDING_WAIT;
        }
        if (!incarnation_equal(list->list[founding->own], founding->seats[founding->own].incarnation)) {
            return FOUNDING_LOST;
        }
    } else if (!founding_all_empty(founding)) {
        return FOUNDING_WAIT;
    }
    founding_take_result(founding, list);
    return FOUNDING_DECIDED;
}

struct founding *founding_open(const struct replica_member *members, size_t n_members, const char *name,
                               const uint8_t incarnation[16])
{
    const struct replica_member *sorted[LIMIT_MEMBERS];
    struct founding *founding = calloc(1, sizeof *founding);
    CHECK(founding != NULL);
    members_sort(members, n_members, sorted);
    buffer_init(&founding->spec);
    buffer_init(&founding->sentence);
    founding_render_spec(members, n_members, &founding->spec);
    founding->n_seats = n_members;
    founding->own = n_members;
    for (size_t i = 0; i < n_members; i++) {
        struct seat *seat = &founding->seats[i];
        CHECK(i == 0 || strcmp(sorted[i - 1]->name, sorted[i]->name) != 0);
        seat->name = strdup(sorted[i]->name);
        CHECK(seat->name != NULL);
        if (strcmp(seat->name, name) == 0) {
            seat->own = true;
            memcpy(seat->incarnation, incarnation, INCARNATION_BYTES);
            founding->own = i;
        }
    }
    CHECK(founding->own < n_members);
    founding->verdict = founding_judge(founding);
    return founding;
}

void founding_close(struct founding *founding)
{
    for (size_t i = 0; i < founding->n_seats; i++) {
        free(founding->seats[i].name);
    }
    buffer_close(&founding->spec);
    buffer_close(&founding->sentence);
    free(founding);
}

enum founding_verdict founding_verdict(const struct founding *founding)
{
    return founding->verdict;
}

/* Puts a list in order of seats; false if its names aren't SPEC's, or it has another incarnation for who sent it. */
static bool seat_take_list(const struct founding *founding, struct seat *seat,
                           const struct frame_founding_answer *answer)
{
    if (answer->n_founders != founding->n_seats) {
        return false;
    }
    struct frame_member sorted[LIMIT_MEMBERS];
    memcpy(sorted, answer->founders, answer->n_founders * sizeof sorted[0]);
    qsort(sorted, answer->n_founders, sizeof sorted[0], founder_compare);
    for (size_t i = 0; i < founding->n_seats; i++) {
        if (!slice_equal(sorted[i].name, slice_of(founding->seats[i].name))) {
            return false;
        }
        memcpy(seat->list[i], sorted[i].incarnation, INCARNATION_BYTES);
    }
    return incarnation_equal(seat->list[seat - founding->seats], answer->incarnation);
}

enum founding_verdict founding_take(struct founding *founding, const char *from,
                                    const struct frame_founding_answer *answer)
{
    for (size_t i = 0; i < founding->n_seats; i++) {
        struct seat *seat = &founding->seats[i];
        if (seat->own || strcmp(seat->name, from) != 0 || !slice_equal(answer->name, slice_of(from))) {
            continue;
        }
        seat->answered = true;
        seat->same_spec = slice_equal(answer->spec, buffer_slice(&founding->spec));
        seat->state = answer->state;
        memcpy(seat->incarnation, answer->incarnation, INCARNATION_BYTES);
        seat->list_fits = answer->state == FOUNDING_LIST && seat->same_spec && seat_take_list(founding, seat, answer);
    }
    founding->verdict = founding_judge(founding);
    return founding->verdict;
}

void founding_result(const struct founding *founding, const struct frame_member **founders, size_t *n_founders)
{
    CHECK(founding->verdict == FOUNDING_DECIDED);
    *founders = founding->result;
    *n_founders = founding->n_seats;
}

/* ---- the sentence ---- */

/* "n1", "n1 and n2", "n1, n2 and n3": those that are `chosen`. */
static void sentence_names(struct founding *founding, bool (*chosen)(const struct seat *seat))
{
    size_t n_chosen = 0, n_said = 0;
    for (size_t i = 0; i < founding->n_seats; i++) {
        n_chosen += chosen(&founding->seats[i]);
    }
    for (size_t i = 0; i < founding->n_seats; i++) {
        if (chosen(&founding->seats[i])) {
            const char *before = n_said == 0 ? "" : n_said + 1 == n_chosen ? " and " : ", ";
            buffer_printf(&founding->sentence, "%s%s", before, founding->seats[i].name);
            n_said++;
        }
    }
}

static bool seat_is_silent(const struct seat *seat)
{
    return !seat->own && !seat->answered;
}

static bool seat_has_other_spec(const struct seat *seat)
{
    return !seat->own && seat->answered && !seat->same_spec;
}

static void sentence_say_lost(struct founding *founding)
{
    const char *name = founding->seats[founding->own].name;
    const struct seat *none = founding_find(founding, FOUNDING_NONE);
    const struct seat *list = founding_find(founding, FOUNDING_LIST);
    buffer_printf(&founding->sentence, "data lost: ");
    if (none != NULL) {
        buffer_printf(&founding->sentence, "%s belongs to a cluster that went on without its founders", none->name);
    } else {
        buffer_printf(&founding->sentence, "%s remembers %s as a founder with another data directory", list->name,
                      name);
    }
    buffer_printf(&founding->sentence,
                  ", and this one is empty; start %s with --join URL; it returns as a new member, "
                  "then its old self is removed",
                  name);
}

static void sentence_say_waiting(struct founding *founding)
{
    const char *between = "";
    const struct seat *list = founding_find(founding, FOUNDING_LIST);
    const struct seat *other = list == NULL ? NULL : founding_find_other_list(founding, list);
    if (other != NULL) {
        buffer_printf(&founding->sentence,
                      "for %s and %s to agree on who founded the cluster: they remember different data directories",
                      list->name, other->name);
        between = "; ";
    }
    if (founding_has(founding, seat_has_other_spec)) {
        buffer_printf(&founding->sentence, "%sfor ", between);
        sentence_names(founding, seat_has_other_spec);
        buffer_printf(&founding->sentence,
                      ", started with another SPEC, to be given the same --cluster as this node (%.*s)",
                      SLICE_PRINT(buffer_slice(&founding->spec)));
        between = "; ";
    }
    if (founding_has(founding, seat_has_unfit_list)) {
        buffer_printf(&founding->sentence, "%sfor ", between);
        sentence_names(founding, seat_has_unfit_list);
        buffer_printf(&founding->sentence, ", whose list of founders doesn't fit its SPEC");
        between = "; ";
    }
    if (founding_has(founding, seat_is_silent)) {
        buffer_printf(&founding->sentence, "%sfor ", between);
        sentence_names(founding, seat_is_silent);
        buffer_printf(&founding->sentence, " to answer who founded the cluster");
    }
}

const char *founding_waiting(struct founding *founding)
{
    buffer_clear(&founding->sentence);
    switch (founding->verdict) {
    case FOUNDING_WAIT:
        sentence_say_waiting(founding);
        break;
    case FOUNDING_LOST:
        sentence_say_lost(founding);
        break;
    case FOUNDING_DECIDED:
        buffer_printf(&founding->sentence, "for nobody: the founders are known");
        break;
    }
    buffer_append(&founding->sentence, "", 1);
    return (const char *)founding->sentence.base;
}

/* ---- the other side ---- */

void founding_reply(struct slice own_spec, const char *own_name, const uint8_t own_incarnation[16],
                    const struct frame_member *founders, size_t n_founders, bool empty,
                    struct frame_founding_answer *answer)
{
    *answer = (struct frame_founding_answer){
        .spec = own_spec,
        .name = slice_of(own_name),
        .state = empty             ? FOUNDING_EMPTY
                 : n_founders == 0 ? FOUNDING_NONE
                                   : FOUNDING_LIST,
    };
    memcpy(answer->incarnation, own_incarnation, INCARNATION_BYTES);
    if (answer->state == FOUNDING_LIST) {
        answer->founders = founders;
        answer->n_founders = n_founders;
    }
}
