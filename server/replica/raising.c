/* raising: which rules are in force, and when they are raised (law 1).
 *
 * The state's rules_version is what every build of the cluster applies. The leader raises it as soon as all members of the
 * newest configuration, spares included, have said in a hello that their builds know a newer one: what one of them could
 * not apply would end its process. A member that is away keeps what its last hello to this process said; one that has
 * said nothing yet is waited for. */
#include <stdio.h>

#include "core/rules.h"
#include "replica/inside.h"

uint32_t raising_in_force(const struct replica *replica)
{
    struct lock_table_counts counts;
    lock_table_count(replica->table, &counts);
    return counts.rules_version;
}

bool raising_allows(const struct replica *replica, const struct command *command)
{
    return rules_version_needed(command) <= raising_in_force(replica);
}

bool raising_allows_wait(const struct replica *replica)
{
    return raising_in_force(replica) >= RULES_VERSION_GROUPS;
}

uint32_t raising_needed(const struct command *commands, size_t n)
{
    uint32_t needed = RULES_VERSION_FIRST;
    for (size_t i = 0; i < n; i++) {
        uint32_t own = rules_version_needed(&commands[i]);
        own = commands[i].kind == COMMAND_RULES ? commands[i].rules.version : own;
        needed = own > needed ? own : needed;
    }
    return needed;
}

/* 0: it hasn't said. */
static uint32_t newest_of(const struct member *member)
{
    if (member == NULL) {
        return 0;
    }
    return member->peer == NULL ? rules_version_newest() : member->rules_newest;
}

uint32_t raising_due(struct replica *replica)
{
    uint32_t in_force = raising_in_force(replica);
    uint32_t all = rules_version_newest();
    if (in_force >= all) {
        return 0;
    }
    const struct raft_configuration *configuration = &replica->raft.configuration;
    for (unsigned i = 0; i < configuration->n; i++) {
        uint32_t newest = newest_of(member_by_id(replica, configuration->servers[i].id));
        all = newest < all ? newest : all;
    }
    return all > in_force && all > replica->operations.rules_proposed ? all : 0;
}

const char *replica_rules_wait_for(struct replica *replica, uint32_t version)
{
    if (!replica_running(replica) || raising_in_force(replica) >= version) {
        return NULL;
    }
    const char *silent = NULL;
    for (size_t i = 0; i < replica->members.n; i++) {
        const struct member *member = replica->members.list[i];
        uint32_t newest = newest_of(member);
        if (newest != 0 && newest < version) {
            (void)snprintf(replica->rules_wait, sizeof replica->rules_wait,
                           "%s only knows rules %u; upgrade its batond to one that knows rules %u",
                           member->address.name, (unsigned)newest, (unsigned)version);
            return replica->rules_wait;
        }
        silent = newest == 0 ? member->address.name : silent;
    }
    if (silent == NULL) {
        return NULL;
    }
    (void)snprintf(replica->rules_wait, sizeof replica->rules_wait,
                   "%s hasn't been heard of since this node started; start it with a batond that knows rules %u",
                   silent, (unsigned)version);
    return replica->rules_wait;
}
