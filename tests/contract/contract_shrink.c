#include "contract_shrink.h"

#include <stdlib.h>
#include <string.h>

/* The records without a piece of them. */
struct attempt {
    struct contract_record *records; /* own */
    size_t n;
};

struct piece {
    size_t begin;
    size_t len;
};

/* A record that begins an entry hands its time on when it is left out: what was in its entry would else move to the one
 * before, and what it is about hangs on that time. */
static void leave_out(struct attempt *attempt, const struct contract_record *records, size_t n, struct piece piece)
{
    memcpy(attempt->records, records, piece.begin * sizeof records[0]);
    size_t end = piece.begin + piece.len < n ? piece.begin + piece.len : n;
    memcpy(&attempt->records[piece.begin], &records[end], (n - end) * sizeof records[0]);
    attempt->n = n - (end - piece.begin);
    if (attempt->n == piece.begin || attempt->records[piece.begin].begins_entry) {
        return;
    }
    for (size_t i = end; i-- > piece.begin;) {
        if (records[i].begins_entry) {
            attempt->records[piece.begin].begins_entry = true;
            attempt->records[piece.begin].entry = records[i].entry;
            return;
        }
    }
}

/* One pass over the list with pieces of one length. Gives what is left. */
static size_t pass(struct contract_record *records, size_t n, size_t len, struct attempt *attempt,
                   contract_fails *fails, void *arg)
{
    for (size_t end = n; end > 0;) {
        struct piece piece = {.begin = end > len ? end - len : 0};
        piece.len = end - piece.begin;
        leave_out(attempt, records, n, piece);
        size_t enough = attempt->n == 0 ? 0 : fails(arg, attempt->records, attempt->n);
        if (enough > 0) {
            n = enough;
            memcpy(records, attempt->records, n * sizeof records[0]);
        }
        end = piece.begin < n ? piece.begin : n;
    }
    return n;
}

size_t contract_shrink(struct contract_record *records, size_t n, contract_fails *fails, void *arg)
{
    struct attempt attempt = {.records = malloc(n * sizeof records[0])};
    CHECK(attempt.records != NULL);
    n = fails(arg, records, n);
    CHECK(n > 0);
    for (size_t len = n / 2; len > 1; len /= 2) {
        n = pass(records, n, len, &attempt, fails, arg);
    }
    for (size_t before = n + 1; n < before;) {
        before = n;
        n = pass(records, n, 1, &attempt, fails, arg);
    }
    free(attempt.records);
    return n;
}
