/* contract_print: commands and answers for people. */
#ifndef BATON_TESTS_CONTRACT_PRINT_H
#define BATON_TESTS_CONTRACT_PRINT_H

#include "contract_trial.h"

/* Runs the list once more and prints it, with what the model answers, and after the last one both answers. */
void contract_print(const struct contract_record *records, size_t n, int last_id, enum contract_lie lie);

#endif
