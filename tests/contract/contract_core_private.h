/* What contract_core's files share. */
#ifndef BATON_TESTS_CONTRACT_CORE_PRIVATE_H
#define BATON_TESTS_CONTRACT_CORE_PRIVATE_H

#include "contract_core.h"

#include "core/lock_table.h"

struct contract_core {
    struct lock_table *table;
    struct apply_context context;
    struct contract_text *events; /* of whoever is asking just now */
    uint32_t n_events;            /* of the entry */
};

/* The model's command as the table takes it; `renewals` is memory for those of a batch. */
struct command core_command(const struct contract_command *from, struct renew_command *renewals);

/* Writes an event to whoever is asking just now. `arg` is the core. */
void core_hear_event(void *arg, const struct event *event);

/* The table's values in the words of contract_show. */
struct contract_piece core_piece(struct slice slice);
const char *core_late_name(int late_outcome); /* NULL: none */
void core_show_grant(const struct grant_view *view, const char *title, struct contract_text *text);
void core_show_run(const struct run_view *view, const char *title, struct contract_text *text);
void core_show_policy(const struct policy_view *view, struct contract_text *text);
void core_show_group(const struct group_view *view, struct contract_text *text);
void core_show_freeze(const struct freeze_view *view, struct contract_text *text);
void core_show_holders(const struct grant_view *holders, size_t n_holders, struct contract_text *text);

#endif
