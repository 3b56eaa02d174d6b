/* contract_core: the lock table behind the model's words. Nothing else here knows the server. */
#ifndef BATON_TESTS_CONTRACT_CORE_H
#define BATON_TESTS_CONTRACT_CORE_H

#include "contract_show.h"
#include "contract_step.h"

struct contract_core;
struct contract_core *contract_core_open(void);
void contract_core_close(struct contract_core *core);

/* Begins an entry. `events` gets what happened, a line each. */
void contract_core_advance(struct contract_core *core, const struct contract_entry *entry,
                           struct contract_text *events);

struct contract_core_answer {
    bool has_token;
    uint64_t token; /* of an acquire */
};
/* `answer` gets what was answered, `events` what happened. */
struct contract_core_answer contract_core_apply(struct contract_core *core, const struct contract_command *command,
                                                struct contract_text *answer, struct contract_text *events);
/* What a probe for this acquire says; changes nothing. How many slots are free isn't asked for a repeat, which needs none. */
void contract_core_probe(struct contract_core *core, const struct contract_command *command, bool is_repeat,
                         struct contract_text *answer);
void contract_core_look(struct contract_core *core, const struct contract_command *look, struct contract_text *text);
/* Goes on from an image of the state, and says whether the digest stayed the same. */
void contract_core_reload(struct contract_core *core, struct contract_text *text);
/* Aborts when an invariant of the table is broken. */
void contract_core_check(const struct contract_core *core);

#endif
