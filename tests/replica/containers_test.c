/* The containers of those that wait, against plain arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../sim/world.h"
#include "replica/chain.h"
#include "replica/hashed.h"
#include "replica/min_heap.h"

#define THINGS 200u
#define STEPS  20000u

struct thing {
    struct chain_link link;
    struct min_heap_node node;
    struct hashed_link hashed;
    bool is_in;
};

static void chain_keeps_its_order(void **state)
{
    (void)state;
    struct thing things[4] = {0};
    struct chain chain = {0};
    for (unsigned i = 0; i < 4; i++) {
        chain_append(&chain, &things[i].link);
    }
    chain_remove(&things[1].link);
    chain_remove(&things[1].link); /* is in none */
    chain_append(&chain, &things[1].link);
    chain_remove(&things[0].link);
    const unsigned order[] = {2, 3, 1};
    struct chain_link *link = chain.first;
    assert_int_equal(chain.n, 3);
    for (unsigned i = 0; i < 3; i++, link = link->next) {
        assert_ptr_equal(OWNER_OF(link, struct thing, link), &things[order[i]]);
        assert_ptr_equal(link->chain, &chain);
    }
    assert_null(link);
    for (unsigned i = 1; i < 4; i++) {
        chain_remove(&things[i].link);
    }
    assert_null(chain.first);
    assert_null(chain.last);
    assert_int_equal(chain.n, 0);
}

static void heap_gives_the_smallest(void **state)
{
    (void)state;
    struct rng rng;
    struct thing *things = calloc(THINGS, sizeof *things);
    struct min_heap heap = {0};
    assert_non_null(things);
    rng_seed(&rng, 1, 1);
    for (unsigned step = 0; step < STEPS; step++) {
        struct thing *thing = &things[rng_below(&rng, THINGS)];
        bool grows = step % (STEPS / 4) < STEPS / 8;
        if (rng_chance(&rng, grows ? 800 : 300)) {
            min_heap_put(&heap, &thing->node, rng_below(&rng, 50)); /* in it or not */
            thing->is_in = true;
        } else {
            min_heap_remove(&heap, &thing->node);
            thing->is_in = false;
        }
        const struct thing *least = NULL;
        size_t n = 0;
        for (unsigned i = 0; i < THINGS; i++) {
            n += things[i].is_in;
            least = things[i].is_in && (least == NULL || things[i].node.key < least->node.key) ? &things[i] : least;
        }
        assert_int_equal(heap.n, n);
        assert_true((min_heap_first(&heap) == NULL) == (least == NULL));
        assert_true(least == NULL || min_heap_first(&heap)->key == least->node.key);
        assert_true(heap.n < 16 || heap.capacity <= 4 * heap.n);
    }
    min_heap_close(&heap);
    free(things);
}

static void hash_finds_all_with_one_hash(void **state)
{
    (void)state;
    struct rng rng;
    struct thing *things = calloc(THINGS, sizeof *things);
    struct hashed hashed = {0};
    assert_non_null(things);
    assert_null(hashed_first(&hashed, 3));
    rng_seed(&rng, 2, 1);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned which = (unsigned)rng_below(&rng, THINGS);
        struct thing *thing = &things[which];
        uint64_t hash = which % 7 * 65536u; /* one bucket, seven hashes */
        if (thing->is_in) {
            hashed_remove(&hashed, &thing->hashed);
        } else {
            hashed_put(&hashed, &thing->hashed, hash);
        }
        thing->is_in = !thing->is_in;
        size_t found = 0;
        size_t n = 0;
        for (struct hashed_link *link = hashed_first(&hashed, hash); link != NULL; link = hashed_next(link)) {
            const struct thing *each = OWNER_OF(link, struct thing, hashed);
            assert_true(each->is_in && (size_t)(each - things) % 7 == which % 7);
            found++;
        }
        for (unsigned i = which % 7; i < THINGS; i += 7) {
            n += things[i].is_in;
        }
        assert_int_equal(found, n);
    }
    hashed_close(&hashed);
    free(things);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_keeps_its_order),
        cmocka_unit_test(heap_gives_the_smallest),
        cmocka_unit_test(hash_finds_all_with_one_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
