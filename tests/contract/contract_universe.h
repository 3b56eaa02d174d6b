/* contract_universe: the few names that all commands are about, each list in the order of its bytes. */
#ifndef BATON_TESTS_CONTRACT_UNIVERSE_H
#define BATON_TESTS_CONTRACT_UNIVERSE_H

enum { UNIVERSE_SCHEDULES = 8, UNIVERSE_HOLDERS = 6, UNIVERSE_GROUPS = 3, UNIVERSE_SCOPES = 9 };

extern const char *const universe_schedules[UNIVERSE_SCHEDULES];
extern const char *const universe_holders[UNIVERSE_HOLDERS];
extern const char *const universe_groups[UNIVERSE_GROUPS];
extern const char *const universe_scopes[UNIVERSE_SCOPES]; /* they overlap */

#endif
