/* Hears each entry and command that a node applies, and what came out of it: the linker's --wrap (CMakeLists.txt) lets
 * replica's calls of core pass through here. */
#include "cluster.h"

static struct cluster *tapped; /* the one that runs: functions of the linker's making have no argument of ours */

void tap_open(struct cluster *cluster)
{
    CHECK(tapped == NULL);
    tapped = cluster;
}

void tap_close(void)
{
    tapped = NULL;
}

/* Is this the table of a process that lives? What a doomed one does has no effect. */
static bool is_heard(const struct lock_table *table)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct member *member = &tapped->members[i];
        if (member->replica != NULL && replica_table(member->replica) == table) {
            return !member->node->doomed;
        }
    }
    CHECK(!"the table of a member");
    return false;
}

void __wrap_lock_table_advance(struct lock_table *table, const struct apply_context *context);
void __real_lock_table_advance(struct lock_table *table, const struct apply_context *context);
void __wrap_lock_table_advance(struct lock_table *table, const struct apply_context *context)
{
    __real_lock_table_advance(table, context);
    if (is_heard(table)) {
        audit_begins(tapped->audit, table, context);
    }
}

void __wrap_lock_table_apply(struct lock_table *table, const struct apply_context *context,
                             const struct command *command, struct outcome *outcome);
void __real_lock_table_apply(struct lock_table *table, const struct apply_context *context,
                             const struct command *command, struct outcome *outcome);
void __wrap_lock_table_apply(struct lock_table *table, const struct apply_context *context,
                             const struct command *command, struct outcome *outcome)
{
    bool heard = is_heard(table);
    if (heard) {
        audit_applies(tapped->audit, table, command);
    }
    __real_lock_table_apply(table, context, command, outcome);
    if (heard) {
        audit_came_out(tapped->audit, command, outcome);
    }
}
