/* checksum: XXH3 from libxxhash, under one name. It notices accidents; it does not stop a forger (peers use HMAC). */
#ifndef BATON_BASE_CHECKSUM_H
#define BATON_BASE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 128 bits in their canonical byte order: equal on every machine, printable, comparable with memcmp. */
struct digest128 {
    uint8_t bytes[16];
};

uint64_t checksum_64(const void *bytes, size_t len);
/* The same over two pieces, as if the second stood right behind the first. */
uint64_t checksum_64_joined(const void *first, size_t first_len, const void *second, size_t second_len);
/* For hashes of what strangers choose: they don't know the seed. */
uint64_t checksum_64_seeded(const void *bytes, size_t len, uint64_t seed);
struct digest128 checksum_128(const void *bytes, size_t len);
bool digest128_equal(const struct digest128 *a, const struct digest128 *b);

/* 32 lower-case hexadecimal digits and a zero. */
void digest128_print(const struct digest128 *digest, char text[33]);

#endif
