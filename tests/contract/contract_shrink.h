/* contract_shrink: the shortest list of commands that still shows a difference. */
#ifndef BATON_TESTS_CONTRACT_SHRINK_H
#define BATON_TESTS_CONTRACT_SHRINK_H

#include "contract_trial.h"

/* Does the list still fail? Then how many of its first records are enough. 0: it doesn't. */
typedef size_t contract_fails(void *arg, const struct contract_record *records, size_t n);

/* Leaves out, in place, first large pieces and in the end single records, until none can be left out. The list must fail.
 * Gives how many are left. */
size_t contract_shrink(struct contract_record *records, size_t n, contract_fails *fails, void *arg);

#endif
