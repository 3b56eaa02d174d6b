/* service_rig: a service in the fake world, and one exchange with it. */
#ifndef BATON_TESTS_NODE_SERVICE_RIG_H
#define BATON_TESTS_NODE_SERVICE_RIG_H

#include "fake_world.h"
#include "node/service.h"

#define ACQUIRE_BODY "{\"holder\": \"h\", \"ttl_ms\": 60000}"

struct rig {
    struct fake_loop world;
    struct replica replica;
    struct storage storage;
    struct http_server http;
    struct journal journal;
    struct service *service;
};

void rig_open(struct rig *rig, size_t requests); /* with a replica that follows n2, and an empty table */
void rig_close(struct rig *rig);                 /* nothing may be under way */

/* Opens `exchange` and hands it to the service. `path` may have a query of up to four parameters. */
void rig_ask(struct rig *rig, struct exchange *exchange, const char *method, const char *path, const char *body);
void rig_cut_query(struct exchange *exchange, const char *path); /* gives it this path and its query */
/* … and lets the replica apply it with this outcome. */
void rig_ask_applied(struct rig *rig, struct exchange *exchange, const char *const request[3],
                     const struct outcome *outcome);
/* A read that is answered at once; the exchange is to be closed. */
void rig_read(struct rig *rig, struct exchange *exchange, const char *path);
/* Puts a command into the replica's table at state time `now_ms`, and expects it to be done. */
void rig_apply(struct rig *rig, uint64_t now_ms, const struct command *command);

void rig_use_newest_rules(struct rig *rig); /* in the replica's table, which begins with the first ones */

struct outcome outcome_granted(void); /* schedule a, holder h, token 77, for a minute */

#endif
