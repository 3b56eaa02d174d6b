/* min_heap: a binary heap of things that carry their own nodes: the one with the smallest key is at hand. Zero is an empty
 * heap, and a node in none. Things with equal keys come in an order that the calls decide, never an address. */
#ifndef BATON_REPLICA_MIN_HEAP_H
#define BATON_REPLICA_MIN_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct min_heap_node {
    uint64_t key;
    size_t place; /* counted from 1; 0: in no heap */
};

struct min_heap {
    struct min_heap_node **nodes;
    size_t n, capacity;
};

void min_heap_close(struct min_heap *heap); /* what is in it isn't looked at */
/* Puts it in, or moves it to where the key belongs. */
void min_heap_put(struct min_heap *heap, struct min_heap_node *node, uint64_t key);
void min_heap_remove(struct min_heap *heap, struct min_heap_node *node); /* if it is in it */
struct min_heap_node *min_heap_first(const struct min_heap *heap);       /* NULL: empty */

#endif
