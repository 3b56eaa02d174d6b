#include "base/slice.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slice slice_of(const char *text)
{
    struct slice slice = {.base = (const uint8_t *)text, .len = text == NULL ? 0 : strlen(text)};
    return slice;
}

bool slice_is_present(struct slice slice)
{
    return slice.base != NULL;
}

bool slice_equal(struct slice a, struct slice b)
{
    return slice_compare(a, b) == 0;
}

int slice_compare(struct slice a, struct slice b)
{
    if (a.base == NULL || b.base == NULL) {
        return (a.base != NULL) - (b.base != NULL);
    }
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.base, b.base, shorter);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){0};
}

void buffer_close(struct buffer *buffer)
{
    free(buffer->base);
    buffer_init(buffer);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
}

static void buffer_reserve(struct buffer *buffer, size_t more)
{
    CHECK(more <= SIZE_MAX / 4 && buffer->len <= SIZE_MAX / 4);
    size_t wanted = buffer->len + more;
    if (wanted <= buffer->capacity) {
        return;
    }
    size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
    while (capacity < wanted) {
        capacity *= 2;
    }
    uint8_t *base = realloc(buffer->base, capacity);
    CHECK(base != NULL);
    buffer->base = base;
    buffer->capacity = capacity;
}

uint8_t *buffer_extend(struct buffer *buffer, size_t len)
{
    buffer_reserve(buffer, len == 0 ? 1 : len); /* base is never NULL after a growth, even an empty one */
    uint8_t *at = buffer->base + buffer->len;
    buffer->len += len;
    return at;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(buffer_extend(buffer, len), bytes, len);
    }
}

void buffer_append_slice(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.base, slice.len);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    buffer_reserve(buffer, (size_t)len + 1);
    CHECK(vsnprintf((char *)buffer->base + buffer->len, (size_t)len + 1, format, again) == len);
    va_end(again);
    buffer->len += (size_t)len;
}

struct slice buffer_slice(const struct buffer *buffer)
{
    static const uint8_t nothing[1];
    struct slice slice = {.base = buffer->base == NULL ? nothing : buffer->base, .len = buffer->len};
    return slice;
}

/* Newest first; what is larger gets a block of its own. */
#define ARENA_BLOCK_BYTES 4096u
struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t capacity;
    alignas(max_align_t) uint8_t bytes[];
};

void arena_init(struct arena *arena, size_t limit)
{
    *arena = (struct arena){.limit = limit};
}

static void arena_free_after(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_close(struct arena *arena)
{
    arena_free_after(arena->blocks);
    arena_init(arena, arena->limit);
}

void arena_clear(struct arena *arena)
{
    struct arena_block *kept = NULL;
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        if (kept == NULL && block->capacity == ARENA_BLOCK_BYTES) {
            kept = block;
        } else {
            free(block);
        }
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
    arena->blocks = kept;
    arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t alignment = alignof(max_align_t);
    if (arena->limit != 0 && (size > arena->limit || arena->used > arena->limit - size)) {
        return NULL;
    }
    CHECK(size <= SIZE_MAX / 4);
    arena->used += size;
    size_t padded = (size + alignment - 1) / alignment * alignment;
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < padded) {
        size_t capacity = padded < ARENA_BLOCK_BYTES ? ARENA_BLOCK_BYTES : padded;
        block = malloc(sizeof *block + capacity);
        CHECK(block != NULL);
        block->next = arena->blocks;
        block->used = 0;
        block->capacity = capacity;
        arena->blocks = block;
    }
    void *at = block->bytes + block->used;
    block->used += padded;
    return at;
}

struct slice arena_copy(struct arena *arena, struct slice slice)
{
    struct slice copy = {0};
    if (!slice_is_present(slice)) {
        return copy;
    }
    uint8_t *base = arena_alloc(arena, slice.len + 1);
    if (base != NULL) {
        if (slice.len > 0) {
            memcpy(base, slice.base, slice.len);
        }
        base[slice.len] = 0;
        copy.base = base;
        copy.len = slice.len;
    }
    return copy;
}
