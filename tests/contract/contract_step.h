/* contract_step: what a run is made of. A list of steps says all there is to a run: played again it gives the same, and so
 * does what is left of it when some are dropped. */
#ifndef BATON_TESTS_CONTRACT_STEP_H
#define BATON_TESTS_CONTRACT_STEP_H

#include "contract_model.h"

enum contract_step_kind {
    CONTRACT_STEP_COMMAND,
    CONTRACT_STEP_LOOK,   /* at everything that can be read about one schedule, at groups, freezes, lists and numbers */
    CONTRACT_STEP_RELOAD, /* the table goes on from an image of itself */
};

#define CONTRACT_NO_TOKEN (1ull << 50) /* was never given */

/* Tokens are said by the acquire that got them: were they numbers, dropping one grant would change what all later steps are
 * about. Time is absolute for the same reason. */
struct contract_step {
    enum contract_step_kind kind;
    uint32_t id;    /* 1 … */
    uint32_t entry; /* steps of one entry stand together; each entry begins at its time */
    struct contract_entry time;
    struct contract_command
        command; /* of a look: the schedule, as key a prefix, as holder a filter, as slots a page's limit */
    uint32_t granted_by[CONTRACT_RENEWALS]; /* step whose grant's token is meant; 0: the command's own number */
};

#endif
