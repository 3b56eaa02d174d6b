/* chunks: what a test of snapshots needs: a table that is to be written (fake_table.h), its chunks, and short ways there and
 * back. */
#ifndef BATON_TESTS_CODEC_CHUNKS_H
#define BATON_TESTS_CODEC_CHUNKS_H

#include "base/error.h"
#include "base/slice.h"
#include "fake_table.h"

#define CHUNKS 64

struct chunks {
    struct arena arena;              /* of the images */
    struct lock_table_frozen frozen; /* empty, of rules 1, until the test says otherwise */
    struct buffer chunks[CHUNKS];
    size_t n_chunks;
    struct error_text text; /* of the last refusal */
};

/* For cmocka: each test has one of its own as its state. */
int chunks_setup(void **state);
int chunks_teardown(void **state);

void chunks_encode(struct chunks *f);
/* The chunks in order, with the one numbered `replaced` taken from `bytes` (CHUNKS: none); stops at the first error. */
enum error chunks_decode_with(struct chunks *f, struct lock_table *table, size_t replaced, struct slice bytes);
enum error chunks_decode(struct chunks *f, struct lock_table *table);
/* Encodes, and what is decoded from that is what was encoded. */
void assert_comes_back(struct chunks *f);

#endif
