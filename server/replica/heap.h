/* heap: a binary heap of things that carry their own nodes: the one with the smallest key is at hand. Zero is an empty
 * heap, and a node in none. Things with equal keys come in an order that the calls decide, never an address. */
#ifndef BATON_REPLICA_HEAP_H
#define BATON_REPLICA_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    size_t place; /* counted from 1; 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t n, capacity;
};

void heap_close(struct heap *heap); /* what is in it isn't looked at */
/* Puts it in, or moves it to where the key belongs. */
void heap_put(struct heap *heap, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *heap, struct heap_node *node); /* if it is in it */
struct heap_node *heap_first(const struct heap *heap);       /* NULL: empty */

#endif
