#include "contract_shrink.h"

#include <stdlib.h>
#include <string.h>

struct shrinking {
    struct contract_step *steps;
    size_t n_steps;
    struct contract_step *without; /* room for the list that is tried */
    bool (*fails)(void *arg, const struct contract_step *steps, size_t n_steps);
    void *arg;
};

struct chunk {
    size_t from;
    size_t len;
};

/* Does it still fail without the chunk? Then it is dropped. */
static bool drop(struct shrinking *shrinking, struct chunk chunk)
{
    size_t size = sizeof shrinking->steps[0];
    size_t behind = chunk.from + chunk.len;
    size_t left = shrinking->n_steps - chunk.len;
    memcpy(shrinking->without, shrinking->steps, chunk.from * size);
    memcpy(shrinking->without + chunk.from, shrinking->steps + behind, (shrinking->n_steps - behind) * size);
    if (!shrinking->fails(shrinking->arg, shrinking->without, left)) {
        return false;
    }
    memcpy(shrinking->steps, shrinking->without, left * size);
    shrinking->n_steps = left;
    return true;
}

/* From the end, since what is late depends on what is early. */
static bool drop_chunks(struct shrinking *shrinking, size_t len)
{
    bool has_dropped = false;
    size_t until = shrinking->n_steps;
    while (until > 0) {
        size_t from = until > len ? until - len : 0;
        has_dropped |= drop(shrinking, (struct chunk){from, until - from});
        until = from;
    }
    return has_dropped;
}

size_t contract_shrink(struct contract_step *steps, size_t n_steps,
                       bool (*fails)(void *arg, const struct contract_step *steps, size_t n_steps), void *arg)
{
    struct shrinking shrinking = {.steps = steps,
                                  .n_steps = n_steps,
                                  .without = calloc(n_steps + 1, sizeof steps[0]),
                                  .fails = fails,
                                  .arg = arg};
    for (size_t len = n_steps / 2; len > 1; len /= 2) {
        (void)drop_chunks(&shrinking, len);
    }
    while (drop_chunks(&shrinking, 1)) {
    }
    free(shrinking.without);
    return shrinking.n_steps;
}
