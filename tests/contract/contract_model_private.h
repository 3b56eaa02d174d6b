/* What the model's files share. */
#ifndef BATON_TESTS_CONTRACT_MODEL_PRIVATE_H
#define BATON_TESTS_CONTRACT_MODEL_PRIVATE_H

#include "contract_model.h"

#include <stdlib.h>

struct contract_occurrence {
    char text[CONTRACT_TEXT]; /* as first written */
    struct contract_instant instant;
    uint32_t attempts; /* that count */
    bool has_succeeded;
    uint64_t run_token; /* of the last grant for it */
};

struct contract_schedule {
    char id[CONTRACT_TEXT]; /* "": this place is free */
    bool has_policy;
    struct contract_policy policy;
    uint64_t created_ms; /* the policy */
    bool has_success;
    uint64_t last_success_ms;
    int64_t last_success_wall_ms;
    bool was_granted;
    uint64_t last_granted_ms;
    uint64_t last_used_ms;         /* when it last had a lock or a policy */
    struct contract_instant floor; /* invalid: there is none */
    struct contract_run runs[CONTRACT_KEPT_RUNS + CONTRACT_SLOTS + 1];
    size_t n_runs; /* by token */
    struct contract_occurrence occurrences[CONTRACT_OCCURRENCES + CONTRACT_SLOTS + 1];
    size_t n_occurrences; /* the oldest first */
};

struct contract_model {
    uint64_t now_ms;
    int64_t wall_ms;
    bool no_growth;
    uint64_t next_token;
    struct contract_schedule schedules[CONTRACT_SCHEDULES];
    struct contract_group groups[CONTRACT_GROUPS]; /* of a free place the name is "" */
    struct contract_freeze freezes[CONTRACT_FREEZES];
    struct contract_event events[CONTRACT_EVENTS];
    size_t n_events;
    struct contract_counts counts; /* only those of what happened so far */
};

/* A mistake of the test, not of what is tested. */
#define MODEL_CHECK(condition) ((condition) ? (void)0 : abort())

void model_text(char to[CONTRACT_TEXT], const char *from);
bool model_text_equal(const char *a, const char *b);

/* NULL: there is none. */
struct contract_schedule *model_schedule(struct contract_model *model, const char *id);
struct contract_schedule *model_schedule_make(struct contract_model *model, const char *id);
struct contract_run *model_run(struct contract_schedule *schedule, uint64_t token);
bool model_is_occurrence(const struct contract_occurrence *occurrence, const char *text);
struct contract_occurrence *model_occurrence(struct contract_schedule *schedule, const char *text);
struct contract_group *model_group(struct contract_model *model, const char *name);

size_t model_live(const struct contract_schedule *schedule);
/* Grants of a group, the oldest first; all, whatever the limit of an answer. */
size_t model_group_grants(const struct contract_model *model, const char *name,
                          const struct contract_run *grants[CONTRACT_GRANTS]);
/* The freeze in scope that ends last; NULL: none. */
const struct contract_freeze *model_freeze_of(const struct contract_model *model, const char *schedule);

/* The run stops running; its slot is another matter. */
void model_end(struct contract_model *model, struct contract_run *run, enum contract_result outcome);
/* A success of the run, in time or late: closes its occurrence unless that was granted again. */
void model_succeed(struct contract_model *model, struct contract_schedule *schedule, const struct contract_run *run);
/* Forgets runs and occurrences beyond what is remembered. */
void model_trim(struct contract_model *model, struct contract_schedule *schedule);

/* Those with a policy or a lock are remembered for 40 days from now. The page counts from the last run; what remembers
 * longer refuses more, and so keeps its promise. */
void model_mark_used(struct contract_model *model);
/* Those without policy and lock whose time is over. */
void model_forget_schedules(struct contract_model *model);

struct contract_event *model_tell(struct contract_model *model, enum contract_event_kind kind, const char *name);
struct contract_event *model_tell_run(struct contract_model *model, enum contract_event_kind kind,
                                      const struct contract_run *run);

void model_acquire(struct contract_model *model, const struct contract_command *command,
                   struct contract_answer *answer);
void model_release(struct contract_model *model, const struct contract_command *command,
                   struct contract_answer *answer);
void model_revoke(struct contract_model *model, const struct contract_command *command, struct contract_answer *answer);
void model_put_schedule(struct contract_model *model, const struct contract_command *command,
                        struct contract_answer *answer);
void model_delete_schedule(struct contract_model *model, const struct contract_command *command,
                           struct contract_answer *answer);
void model_put_group(struct contract_model *model, const struct contract_command *command,
                     struct contract_answer *answer);
void model_delete_group(struct contract_model *model, const struct contract_command *command,
                        struct contract_answer *answer);
void model_put_freeze(struct contract_model *model, const struct contract_command *command,
                      struct contract_answer *answer);
void model_delete_freeze(struct contract_model *model, const struct contract_command *command,
                         struct contract_answer *answer);

#endif
