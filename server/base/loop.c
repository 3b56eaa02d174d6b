#include "base/loop.h"

#include "base/check.h"

uint64_t loop_random_below(const struct loop *loop, uint64_t bound)
{
    CHECK(bound > 0);
    uint64_t usable = UINT64_MAX - UINT64_MAX % bound; /* what is above would favour small numbers */
    uint64_t drawn;
    do {
        loop_random(loop, &drawn, sizeof drawn);
    } while (drawn >= usable);
    return drawn % bound;
}
