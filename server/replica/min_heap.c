#include "replica/min_heap.h"

#include <stdlib.h>

#include "base/check.h"

#define CAPACITY_LEAST 16u

void min_heap_close(struct min_heap *heap)
{
    free(heap->nodes);
    *heap = (struct min_heap){0};
}

struct min_heap_node *min_heap_first(const struct min_heap *heap)
{
    return heap->n == 0 ? NULL : heap->nodes[0];
}

static void set(struct min_heap *heap, size_t at, struct min_heap_node *node)
{
    heap->nodes[at] = node;
    node->place = at + 1;
}

/* `node` belongs somewhere from the free place `at` up, or down. */
static void settle(struct min_heap *heap, size_t at, struct min_heap_node *node)
{
    while (at > 0 && heap->nodes[(at - 1) / 2]->key > node->key) {
        set(heap, at, heap->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (size_t below = 2 * at + 1; below < heap->n; below = 2 * at + 1) {
        if (below + 1 < heap->n && heap->nodes[below + 1]->key < heap->nodes[below]->key) {
            below++;
        }
        if (heap->nodes[below]->key >= node->key) {
            break;
        }
        set(heap, at, heap->nodes[below]);
        at = below;
    }
    set(heap, at, node);
}

static void resize(struct min_heap *heap, size_t capacity)
{
    heap->nodes = realloc(heap->nodes, capacity * sizeof(struct min_heap_node *));
    CHECK(heap->nodes != NULL);
    heap->capacity = capacity;
}

void min_heap_put(struct min_heap *heap, struct min_heap_node *node, uint64_t key)
{
    node->key = key;
    if (node->place == 0) {
        if (heap->n == heap->capacity) {
            resize(heap, heap->capacity == 0 ? CAPACITY_LEAST : 2 * heap->capacity);
        }
        set(heap, heap->n++, node);
    }
    settle(heap, node->place - 1, node);
}

void min_heap_remove(struct min_heap *heap, struct min_heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    size_t at = node->place - 1;
    CHECK(at < heap->n && heap->nodes[at] == node);
    struct min_heap_node *last = heap->nodes[--heap->n];
    node->place = 0;
    if (last != node) {
        settle(heap, at, last);
    }
    if (heap->capacity > CAPACITY_LEAST && heap->n < heap->capacity / 4) {
        resize(heap, heap->capacity / 2); /* what many that waited took isn't kept */
    }
}
