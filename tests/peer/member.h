/* member: one peer set in a world, whose handlers write down what they are told, one line for each call, so that a test
 * compares text. Member i is called "n<i>", listens on port 7000 + i, and has incarnation i; "n1" knows the others. */
#ifndef BATON_TESTS_PEER_MEMBER_H
#define BATON_TESTS_PEER_MEMBER_H

#include "peer/peer.h"
#include "world.h"

#define MEMBERS_MAX 3u

struct member {
    struct world *world;
    unsigned number;
    uint8_t run;
    struct peer_set *set;                /* NULL: closed */
    struct peer *peers[MEMBERS_MAX + 1]; /* by number */
    struct buffer events;
    struct buffer notes;
    size_t n_notes;
    uint64_t terms_seen; /* how many frames came */
    /* What to do inside the next callback. */
    enum { DO_NOTHING, DO_REMOVE_PEER, DO_CLOSE_SET } on_frame, on_up, on_down, on_note;
    struct frame_founding_answer answer;
    bool has_answer;
};

struct member_options {
    struct world *world;
    unsigned number;
    uint8_t run;                /* of its process */
    const char *key;            /* NULL: none */
    const char *name;           /* NULL: n<number> */
    const uint8_t *incarnation; /* NULL: its own */
};

#define TEST_KEY "0123456789abcdef0123456789abcdef"

void member_open(struct member *member, const struct member_options *options);
/* Knows member `other` and dials it. */
void member_add(struct member *member, unsigned other);
void member_join(struct member *member);
/* All three: opens one of n1 and n2, which has joined and dials the other one. */
void member_open_half(struct member *member, const struct member_options *options);
void member_close(struct member *member);

/* Opens n1 … nN that know each other and have joined one cluster, and lets them connect. */
void members_open(struct member *members, unsigned n, struct world *world, const char *key);
void members_close(struct member *members, unsigned n);

void incarnation_of(unsigned number, uint8_t incarnation[16]);
void cluster_id_of_test(uint8_t cluster_id[16]);

/* A vote request with this term; sent as every kind that carries only a term is. */
struct frame vote_frame(uint64_t term);
bool member_send_vote(struct member *member, unsigned to, uint64_t term);
/* What an honest member `from` says first to n1, before a test spoils it. */
struct frame hello_frame(unsigned from, uint64_t connection_number);
/* A frame with its checksum, as a stranger would write it. */
void raw_send_frame(struct raw *raw, const struct frame *frame);
/* Compares and forgets. */
void expect_events(struct member *member, const char *events);
void expect_note(struct member *member, const char *part); /* "" : none */

#endif
