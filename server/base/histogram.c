#include "base/histogram.h"

const uint64_t histogram_bounds_ns[HISTOGRAM_CLASSES] = {
    50000,    100000,   250000,    500000,    1000000,   2000000,    3500000,    5000000,    10000000,
    25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000,
};

const char *const histogram_bounds_s[HISTOGRAM_CLASSES] = {
    "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.002", "0.0035", "0.005", "0.01",
    "0.025",   "0.05",   "0.1",     "0.25",   "0.5",   "1",     "2.5",    "5",     "10",
};

void histogram_add(struct histogram *histogram, uint64_t value_ns)
{
    size_t at = 0;
    while (at < HISTOGRAM_CLASSES && value_ns > histogram_bounds_ns[at]) {
        at++;
    }
    histogram->counts[at]++;
    histogram->sum_ns += value_ns;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_CLASSES; i++) {
        count += histogram->counts[i];
    }
    return count;
}
