/* contract_shrink: the shortest list of steps that still fails. */
#ifndef BATON_TESTS_CONTRACT_SHRINK_H
#define BATON_TESTS_CONTRACT_SHRINK_H

#include "contract_step.h"

/* Drops steps, chunks of them first and then single ones, as long as `fails` says that what is left still fails. The list
 * fails when it comes, and when it goes no single step can be dropped. Gives how many are left; they stand in front. */
size_t contract_shrink(struct contract_step *steps, size_t n_steps,
                       bool (*fails)(void *arg, const struct contract_step *steps, size_t n_steps), void *arg);

#endif
