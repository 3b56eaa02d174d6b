/* contract_draw: the next step of a run, by chance, and by what the model says is there to be asked about. */
#ifndef BATON_TESTS_CONTRACT_DRAW_H
#define BATON_TESTS_CONTRACT_DRAW_H

#include "contract_step.h"

enum {
    CONTRACT_DRAW_SCHEDULES = 8,
    CONTRACT_DRAW_ASKED = 8, /* requests of a schedule that may be repeated */
};

struct contract_draw {
    uint64_t random;
    uint32_t entry;
    bool ends_entry;  /* the last step did */
    uint32_t n_steps; /* drawn so far */
    uint64_t now_ms;
    struct contract_entry time; /* of the entry */
    unsigned holders;           /* 6, in some runs 12 */
    unsigned keys;
    int busy; /* the schedule that is asked for most */
    int64_t hour[CONTRACT_DRAW_SCHEDULES];
    struct contract_command asked[CONTRACT_DRAW_SCHEDULES][CONTRACT_DRAW_ASKED];
    unsigned n_asked[CONTRACT_DRAW_SCHEDULES];
};

void contract_draw_init(struct contract_draw *draw, uint64_t seed);
/* `granted_by[t]` is the id of the step that got token t; it has room for the model's next token. */
void contract_draw_step(struct contract_draw *draw, const struct contract_model *model, const uint32_t *granted_by,
                        struct contract_step *step);

#endif
