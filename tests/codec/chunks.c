#include "chunks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/snapshot.h"

int chunks_setup(void **state)
{
    struct chunks *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->arena, 0);
    for (size_t i = 0; i < CHUNKS; i++) {
        buffer_init(&f->chunks[i]);
    }
    f->frozen.table = (struct table_image){
        .now_ms = 1000, .wall_ms = -2, .index = 3, .next_token = 400, .next_member_id = 5, .rules_version = 1};
    *state = f;
    return 0;
}

int chunks_teardown(void **state)
{
    struct chunks *f = *state;
    arena_close(&f->arena);
    for (size_t i = 0; i < CHUNKS; i++) {
        buffer_close(&f->chunks[i]);
    }
    free(f);
    return 0;
}

void chunks_encode(struct chunks *f)
{
    f->frozen.given = f->frozen.groups_given = f->frozen.freezes_given = 0;
    struct snapshot_encoder *encoder = snapshot_encoder_open(&f->frozen);
    f->n_chunks = 0;
    while (snapshot_encoder_next(encoder, &f->chunks[f->n_chunks])) {
        assert_true(f->chunks[f->n_chunks].len <= LIMIT_SNAPSHOT_CHUNK_BYTES);
        f->n_chunks++;
        assert_true(f->n_chunks < CHUNKS);
    }
    snapshot_encoder_close(encoder);
}

enum error chunks_decode_with(struct chunks *f, struct lock_table *table, size_t replaced, struct slice bytes)
{
    struct snapshot_decoder *decoder = snapshot_decoder_open(table);
    enum error error = ERROR_NONE;
    memset(&f->text, 0, sizeof f->text);
    for (size_t i = 0; i < f->n_chunks && error == ERROR_NONE; i++) {
        error = snapshot_decoder_chunk(decoder, i == replaced ? bytes : buffer_slice(&f->chunks[i]), &f->text);
    }
    if (error == ERROR_NONE) {
        error = snapshot_decoder_finish(decoder, &f->text);
    }
    assert_int_equal(f->text.text[0] != 0, error != ERROR_NONE);
    snapshot_decoder_close(decoder);
    return error;
}

enum error chunks_decode(struct chunks *f, struct lock_table *table)
{
    return chunks_decode_with(f, table, CHUNKS, (struct slice){0});
}

void assert_comes_back(struct chunks *f)
{
    chunks_encode(f);
    struct lock_table table = {.expected = &f->frozen};
    assert_int_equal(chunks_decode(f, &table), ERROR_NONE);
    assert_int_equal(table.tables, 1);
    assert_int_equal(table.groups, f->frozen.n_groups);
    assert_int_equal(table.freezes, f->frozen.n_freezes);
    assert_int_equal(table.taken, f->frozen.count);
}
