/* contract_generate: random commands from a seed. It looks at the model to come near to what matters: live tokens, the
 * least TTL, the next deadline. */
#ifndef BATON_TESTS_CONTRACT_GENERATE_H
#define BATON_TESTS_CONTRACT_GENERATE_H

#include "contract_trial.h"
#include "contract_universe.h"

enum { GENERATE_BODIES = 6 };

struct contract_generator {
    uint64_t random;
    int next_id;
    uint64_t now_ms; /* of the last entry */
    int next_key;
    int64_t planned[UNIVERSE_SCHEDULES]; /* the instants of a schedule have come this far */
    int strings[UNIVERSE_SCHEDULES];
    struct contract_command sent[UNIVERSE_SCHEDULES][GENERATE_BODIES]; /* acquires of late */
    int n_sent[UNIVERSE_SCHEDULES];
};

void contract_generator_init(struct contract_generator *generator, uint64_t seed);
/* The next one for the trial, which has taken all before it. */
void contract_generate(struct contract_generator *generator, const struct contract_trial *trial,
                       struct contract_record *record);

#endif
