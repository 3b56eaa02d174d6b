/* ordered: a set of numbers, kept in an order that its owner defines. Private to core.
 *
 * The numbers stand for something else (a slot, an address), and the owner's functions compare what they stand for; so
 * what one stands for must not come to compare differently while it is in the set. It is a B+ tree: some ten bytes for
 * each value, every call costs O(log n), and no request to the allocator is larger than a node, which is below what makes
 * glibc tidy up all the small blocks that were freed before. It knows nothing of locks. */
#ifndef BATON_CORE_ORDERED_H
#define BATON_CORE_ORDERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both give < 0, 0 or > 0 as the first goes before, is, or goes behind the second. A probe is what is looked for, in
 * whatever form it is known before there is a value; it may be equal to no value at all. */
struct ordered_order {
    int (*compare)(const void *argument, uint64_t a, uint64_t b);
    int (*compare_probe)(const void *argument, const void *probe, uint64_t value);
};

struct ordered_node;

struct ordered {
    const struct ordered_order *order;
    const void *argument; /* of the functions in `order` */
    struct ordered_node *root;
    uint64_t count;
    size_t height; /* levels above the leaves */
};

void ordered_init(struct ordered *set, const struct ordered_order *order, const void *argument);
void ordered_close(struct ordered *set); /* looks at no value */

bool ordered_insert(struct ordered *set, uint64_t value); /* false: one that is equal is there already and stays */
bool ordered_remove(struct ordered *set, uint64_t value); /* false: it isn't there */
bool ordered_find(const struct ordered *set, const void *probe, uint64_t *value); /* false: none equals the probe */

/* Between two values; a change of the set ends the walk. */
struct ordered_cursor {
    const struct ordered_node *leaf;
    size_t position;
};
struct ordered_cursor ordered_first(const struct ordered *set);
struct ordered_cursor ordered_seek(const struct ordered *set, const void *probe); /* behind all that go before it */
bool ordered_next(struct ordered_cursor *cursor, uint64_t *value);                /* the value it steps over */

/* Aborts when the set isn't as it must be. O(n); for tests. */
void ordered_check(const struct ordered *set);

#endif
