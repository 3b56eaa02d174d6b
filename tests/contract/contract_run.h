/* contract_run: plays steps to the lock table and to the model, and says where their answers part. */
#ifndef BATON_TESTS_CONTRACT_RUN_H
#define BATON_TESTS_CONTRACT_RUN_H

#include <stdio.h>

#include "contract_step.h"
#include "contract_tally.h"

struct contract_steps {
    struct contract_step *steps; /* owned */
    size_t n;
    size_t room;
};
void contract_steps_close(struct contract_steps *steps);

/* Draws steps from the seed, records each, and plays it. False when the answers to the last one of `steps` differ, or the
 * table aborted in it. What happened is added to `tally`. */
bool contract_run_seed(uint64_t seed, size_t n_steps, struct contract_steps *steps, struct contract_tally *tally);

/* Plays recorded steps from the beginning, until answers differ. `print` gets each step with its answers (NULL: nobody).
 * Gives how many were played, the one that differs included; `are_equal` is set to false by that one. */
size_t contract_run_play(const struct contract_step *steps, size_t n_steps, FILE *print, bool *are_equal);

#endif
