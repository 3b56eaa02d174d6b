/* hashed: a hash of things that carry their own links, by hashes that their owner makes (of what strangers choose: seeded
 * ones). The buckets are made once and are enough for all that the owner lets in, so that nothing is ever moved and no
 * turn of the loop pays for all of them. Zero is an empty one. */
#ifndef BATON_REPLICA_HASHED_H
#define BATON_REPLICA_HASHED_H

#include <stddef.h>
#include <stdint.h>

struct hashed_link {
    struct hashed_link *next;
    uint64_t hash;
};

struct hashed {
    struct hashed_link **buckets; /* NULL: nothing was ever put in */
    size_t n;
};

void hashed_close(struct hashed *hashed); /* what is in it isn't looked at */
void hashed_put(struct hashed *hashed, struct hashed_link *link, uint64_t hash);
void hashed_remove(struct hashed *hashed, struct hashed_link *link); /* which is in it */
/* The things with this hash, one after the other, newest first: compare what they stand for. NULL: no more. */
struct hashed_link *hashed_first(const struct hashed *hashed, uint64_t hash);
struct hashed_link *hashed_next(const struct hashed_link *link);

#endif
