#include "replica/hashed.h"

#include <stdlib.h>

#include "base/check.h"

#define BUCKETS 65536u /* half a MiB, of which the kernel gives what is touched */

void hashed_close(struct hashed *hashed)
{
    free(hashed->buckets);
    *hashed = (struct hashed){0};
}

static struct hashed_link **bucket_of(const struct hashed *hashed, uint64_t hash)
{
    return &hashed->buckets[hash % BUCKETS];
}

void hashed_put(struct hashed *hashed, struct hashed_link *link, uint64_t hash)
{
    if (hashed->buckets == NULL) {
        hashed->buckets = calloc(BUCKETS, sizeof(struct hashed_link *));
        CHECK(hashed->buckets != NULL);
    }
    struct hashed_link **bucket = bucket_of(hashed, hash);
    link->hash = hash;
    link->next = *bucket;
    *bucket = link;
    hashed->n++;
}

void hashed_remove(struct hashed *hashed, struct hashed_link *link)
{
    CHECK(hashed->n > 0);
    struct hashed_link **at = bucket_of(hashed, link->hash);
    while (*at != link) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    *link = (struct hashed_link){0};
    hashed->n--;
}

static struct hashed_link *with_hash(struct hashed_link *link, uint64_t hash)
{
    while (link != NULL && link->hash != hash) {
        link = link->next;
    }
    return link;
}

struct hashed_link *hashed_first(const struct hashed *hashed, uint64_t hash)
{
    return hashed->n == 0 ? NULL : with_hash(*bucket_of(hashed, hash), hash);
}

struct hashed_link *hashed_next(const struct hashed_link *link)
{
    return with_hash(link->next, link->hash);
}
