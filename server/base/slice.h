/* slice, buffer, arena: bytes that somebody else owns, bytes that grow, and bytes that go together. */
#ifndef BATON_BASE_SLICE_H
#define BATON_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

/* Bytes owned elsewhere; not terminated. `base` is NULL exactly when the value is absent; a present empty value has
 * len 0 and a base. */
struct slice {
    const uint8_t *base;
    size_t len;
};

struct slice slice_of(const char *text); /* NULL gives the absent slice */
bool slice_is_present(struct slice slice);
bool slice_equal(struct slice a, struct slice b);  /* absent equals absent only */
int slice_compare(struct slice a, struct slice b); /* by unsigned bytes, then by length; absent first */

/* For printf: printf("%.*s", SLICE_PRINT(s)). */
#define SLICE_PRINT(slice) (int)(slice).len, (const char *)(slice).base

/* Bytes that grow, owned by whoever initialised it. Growth aborts when memory is out: every caller has checked its
 * bound before it appends. */
struct buffer {
    uint8_t *base;
    size_t len;
    size_t capacity;
};

void buffer_init(struct buffer *buffer);
void buffer_close(struct buffer *buffer); /* frees, and leaves it initialised */
void buffer_clear(struct buffer *buffer); /* keeps the memory */
void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_append_slice(struct buffer *buffer, struct slice slice);
/* Appends `len` bytes, their content undefined, and returns where they begin (valid until the next growth). */
uint8_t *buffer_extend(struct buffer *buffer, size_t len);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
struct slice buffer_slice(const struct buffer *buffer);

/* Memory for many small things that are freed together. `limit` bounds the sum of what was asked for: past it arena_alloc
 * returns NULL, so that a hostile input can't make its decoder grow (0: no bound, and it aborts when memory is out). */
struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;
    size_t limit;
};

void arena_init(struct arena *arena, size_t limit);
void arena_close(struct arena *arena); /* frees all, and leaves it initialised with the same limit */
void arena_clear(struct arena *arena); /* forgets all; keeps one small block, 4 KiB, for the next use */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK; /* aligned for any type, not zeroed */
/* A copy of `slice`, terminated by a zero byte that isn't counted; the absent slice stays absent. When the bound is
 * passed the result is absent though the argument was present. */
struct slice arena_copy(struct arena *arena, struct slice slice);

/* Little-endian numbers in bytes: what every file and frame of ours is made of. */
static inline void bytes_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void bytes_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}
static inline void bytes_put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}
static inline uint16_t bytes_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t bytes_get_u32(const uint8_t *p)
{
    uint32_t v = 0;
    for (int i = 3; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}
static inline uint64_t bytes_get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

#endif
