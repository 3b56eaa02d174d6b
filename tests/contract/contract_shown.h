/* contract_shown: the model's answers as text; contract_core shows the lock table's. */
#ifndef BATON_TESTS_CONTRACT_SHOWN_H
#define BATON_TESTS_CONTRACT_SHOWN_H

#include "contract_show.h"
#include "contract_step.h"

void contract_shown_answer(const struct contract_model *model, const struct contract_command *command,
                           const struct contract_answer *answer, struct contract_text *text);
void contract_shown_events(const struct contract_model *model, struct contract_text *text);
void contract_shown_probe(const struct contract_model *model, const struct contract_command *command,
                          const struct contract_answer *answer, struct contract_text *text);
void contract_shown_look(const struct contract_model *model, const struct contract_command *look,
                         struct contract_text *text);

/* A step as a person would write it. */
void contract_shown_step(const struct contract_step *step, struct contract_text *text);

#endif
