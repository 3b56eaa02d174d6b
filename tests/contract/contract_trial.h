/* contract_trial: the lock table beside the model, one recorded command after the other, and the first place where they
 * differ. */
#ifndef BATON_TESTS_CONTRACT_TRIAL_H
#define BATON_TESTS_CONTRACT_TRIAL_H

#include "contract_model.h"

#include "core/lock_table.h"

/* One command as it was drawn, complete: a list of these can be replayed, and some of it left out. A token is written as the
 * record whose grant it is, because it changes when records before it are left out. */
struct contract_record {
    int id; /* 1 …, the place in the list that was drawn first */
    bool begins_entry;
    struct contract_entry entry; /* in force until the next record that begins one */
    struct contract_command command;
    int granted_by; /* whose token the command's is; 0: the command has it itself */
    int renewals_granted_by[CONTRACT_RENEWALS];
    bool looks;   /* afterwards reads are compared, of the command's schedule and of all lists */
    bool reloads; /* after its entry the table goes on from an image of itself */
};

/* How often each thing happened. */
struct contract_tallies {
    uint64_t steps;
    uint64_t codes[32]; /* by enum outcome_code; of batches those of their results */
    uint64_t granted;
    uint64_t repeated_keys;
    uint64_t repeated_releases;
    uint64_t late_outcomes;
    uint64_t revoked_softly;
    uint64_t revoked_by_force;
    uint64_t freed_after_soft;
    uint64_t revoked_all;
    uint64_t released_while_revoking;
    uint64_t second_attempts;
    uint64_t below_floor;
    uint64_t given_back;
    uint64_t expired;
    uint64_t thawed;
    uint64_t forgotten;
    uint64_t floors_raised;
    uint64_t strings_forgotten;
    uint64_t several_holders;
    uint64_t clocks_back;
    uint64_t batches;
    uint64_t looks;
    uint64_t pages;
    uint64_t reloads;
    uint64_t probes;
    uint64_t events[CONTRACT_EVENT_KINDS];
};

/* A mistake that is put between the table and the model, for the tests of what finds it. */
enum contract_lie {
    CONTRACT_LIE_NONE,
    CONTRACT_LIE_RENEWED,   /* a renewal gets a millisecond too many in the model */
    CONTRACT_LIE_EXHAUSTED, /*  the model is asked without the occurrence that is exhausted */
};

enum { CONTRACT_DIFFERENCE = 1024 };

struct contract_trial {
    struct lock_table *table;     /* own */
    struct contract_model *model; /* own */
    struct apply_context context;
    uint64_t *tokens; /* own; of each record's grant, by id; 0: it got none */
    int n_tokens;
    struct command command; /* the last, for the table */
    struct renew_command renewals[CONTRACT_RENEWALS];
    struct outcome outcome;        /* the table's */
    struct contract_answer answer; /* the model's */
    struct contract_event told[CONTRACT_EVENTS];
    size_t n_told;
    uint32_t next_number; /* of the entry's next event */
    bool has_bad_event;
    bool is_reload_due; /* when this entry is over: no image is taken within one */
    enum contract_lie lie;
    struct contract_tallies tallies;
    char difference[CONTRACT_DIFFERENCE]; /* "": there is none so far */
};

/* `last_id`: no record has a larger one. */
void contract_trial_open(struct contract_trial *trial, int last_id);
void contract_trial_close(struct contract_trial *trial);

/* Asks both. False: they differ, trial->difference says where, and the trial may only be closed. A table that aborts
 * differs, too. */
bool contract_trial_step(struct contract_trial *trial, const struct contract_record *record);
/* The same for a whole list. Gives how many steps were taken, the one that differs included; `differs` says whether one
 * does. */
size_t contract_trial_run(struct contract_trial *trial, const struct contract_record *records, size_t n, bool *differs);

/* What happened at last into the tallies of many trials. */
void contract_tallies_add(struct contract_tallies *sum, const struct contract_trial *trial);

/* The command for the table; its slices are the record's. */
void contract_command_translate(struct contract_trial *trial, const struct contract_record *record);

/* ---- comparing: true when equal, else the difference is told ---- */

bool contract_same_answer(struct contract_trial *trial);
/* Of a batch: its i-th result. */
bool contract_same_renewal(struct contract_trial *trial, const struct outcome *result);
bool contract_same_events(struct contract_trial *trial);
bool contract_same_counts(struct contract_trial *trial);
bool contract_same_reads(struct contract_trial *trial, const struct contract_record *record);

bool contract_same_number(struct contract_trial *trial, const char *what, uint64_t table, uint64_t model);
bool contract_same_text(struct contract_trial *trial, const char *what, struct slice table, const char *model);
bool contract_same_code(struct contract_trial *trial, const char *what, const char *table, const char *model);
bool contract_same_grant(struct contract_trial *trial, const struct grant_view *grant, const struct contract_run *run,
                         bool has_metadata);
bool contract_same_run(struct contract_trial *trial, const struct run_view *view, const struct contract_run *run);
bool contract_same_policy(struct contract_trial *trial, const struct policy_view *view,
                          const struct contract_policy_answer *policy, const char *schedule);
bool contract_same_group(struct contract_trial *trial, const struct group_view *view,
                         const struct contract_group_answer *group);
bool contract_same_freeze(struct contract_trial *trial, const struct freeze_view *view,
                          const struct contract_freeze *freeze);

#endif
