#include "base/checksum.h"

#include <string.h>
#include <xxhash.h>

#include "base/check.h"

uint64_t checksum_64(const void *bytes, size_t len)
{
    return XXH3_64bits(bytes, len);
}

uint64_t checksum_64_joined(const void *first, size_t first_len, const void *second, size_t second_len)
{
    XXH3_state_t *state = XXH3_createState(); /* its size is the library's secret */
    CHECK(state != NULL);
    (void)XXH3_64bits_reset(state);
    (void)XXH3_64bits_update(state, first, first_len);
    (void)XXH3_64bits_update(state, second, second_len);
    uint64_t checksum = XXH3_64bits_digest(state);
    (void)XXH3_freeState(state);
    return checksum;
}

uint64_t checksum_64_seeded(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

struct digest128 checksum_128(const void *bytes, size_t len)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, len));
    struct digest128 digest;
    memcpy(digest.bytes, canonical.digest, sizeof digest.bytes);
    return digest;
}

bool digest128_equal(const struct digest128 *a, const struct digest128 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void digest128_print(const struct digest128 *digest, char text[33])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    text[32] = 0;
}
