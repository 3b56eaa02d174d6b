/* histogram: how long things took, in fixed classes, for a monitoring system. Plain numbers: no lock, no allocation. */
#ifndef BATON_BASE_HISTOGRAM_H
#define BATON_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_CLASSES 18u

/* counts[i]: values in the class i alone (not cumulative); counts[HISTOGRAM_CLASSES]: those above the last bound. */
struct histogram {
    uint64_t counts[HISTOGRAM_CLASSES + 1];
    uint64_t sum_ns;
};

/* The upper bounds (inclusive) of the classes in ns, ascending, 50 µs to 10 s, and the same as text in seconds. */
extern const uint64_t histogram_bounds_ns[HISTOGRAM_CLASSES];
extern const char *const histogram_bounds_s[HISTOGRAM_CLASSES];

void histogram_add(struct histogram *histogram, uint64_t value_ns);
uint64_t histogram_count(const struct histogram *histogram);

#endif
