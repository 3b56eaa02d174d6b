/* founding: who founded this cluster? The decision of a first start, as a pure function of what peers answered; no I/O.
 *
 * An empty node asks every member of its SPEC. With equal SPECs, one founders' list that holds its own incarnation is
 * enough; without any list it needs "empty" from all and takes the answers. A list with another incarnation for it, or a
 * "no founder", means that its data was lost. ARCHITECTURE.md, "Identity and first start", has the reasons. */
#ifndef BATON_REPLICA_FOUNDING_H
#define BATON_REPLICA_FOUNDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "codec/frame.h"
#include "replica/replica.h"

struct founding;

/* The members as one text, sorted by name, complete (NAME=HOST:HTTP_PORT:RAFT_PORT,…): equal exactly when two SPECs are
 * equal as sets. Appended to `spec`. */
void founding_render_spec(const struct replica_member *members, size_t n_members, struct buffer *spec);

/* XXH3-128 of SPEC and founders (sorted by name): all members compute the same. */
void founding_compute_cluster_id(struct slice spec, const struct frame_member *founders, size_t n_founders,
                                 uint8_t cluster_id[16]);

/* Founders as bytes for storage's identity, and back (pointing into `bytes` and `arena`). Decoding checks everything. */
void founding_encode_founders(const struct frame_member *founders, size_t n_founders, struct buffer *bytes);
enum error founding_decode_founders(struct slice bytes, struct arena *arena, const struct frame_member **founders,
                                    size_t *n_founders) MUST_CHECK;

enum founding_verdict {
    FOUNDING_WAIT,    /* ask on; founding_waiting says for whom */
    FOUNDING_DECIDED, /* bootstrap with founding_result */
    FOUNDING_LOST,    /* exit 65 with founding_waiting's sentence: start it with --join URL … */
};

/* For an empty node. A single member decides at once. Copies what it is given. */
struct founding *founding_open(const struct replica_member *members, size_t n_members, const char *name,
                               const uint8_t incarnation[16]);
void founding_close(struct founding *founding);
enum founding_verdict founding_verdict(const struct founding *founding);
/* Takes one answer (its name, SPEC, incarnation and state) from the member called `from`; the newest of a member counts. */
enum founding_verdict founding_take(struct founding *founding, const char *from,
                                    const struct frame_founding_answer *answer);
/* A sentence for people; valid until the next call. */
const char *founding_waiting(struct founding *founding);
/* The founders in order of name; ids are 1 … n in that order. Valid until founding_close. */
void founding_result(const struct founding *founding, const struct frame_member **founders, size_t *n_founders);

/* What this node answers to a question: by its own state. `founders` NULL: it is empty; n 0: "no founder". */
void founding_reply(struct slice own_spec, const char *own_name, const uint8_t own_incarnation[16],
                    const struct frame_member *founders, size_t n_founders, bool empty,
                    struct frame_founding_answer *answer);

#endif
