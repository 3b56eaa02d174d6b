/* sample: a lock, a run and a schedule with every member, and their golden texts. */
#ifndef BATON_TESTS_API_SAMPLE_H
#define BATON_TESTS_API_SAMPLE_H

#include "support.h"

#define WALL_MS 1767323045678 /* 2026-01-02T03:04:05.678Z */

extern const struct api_request acquire_request;

struct grant_view full_grant(void);
#define FULL_HOLDER_OPEN                                                                                               \
    "{\"schedule_id\":\"db.backup\",\"holder\":\"n1\",\"token\":9007199254740991,\"ttl_ms\":60000,"                    \
    "\"remaining_ms\":59999,\"acquired_at\":\"2026-01-02T03:04:05.678Z\",\"expires_at\":\"2026-01-02T03:05:05.677Z\"," \
    "\"occurrence\":\"2026-01-02T03:00:00Z\",\"attempt\":2"
#define FULL_HOLDER FULL_HOLDER_OPEN "}"
#define FULL_LOCK   FULL_HOLDER_OPEN ",\"metadata\":{\"pid\":4711}}"

struct run_view full_run(void);
#define FULL_RUN                                                                                                       \
    "{\"token\":7,\"holder\":\"n1\",\"occurrence\":\"o\",\"attempt\":1,\"outcome\":\"revoked\","                       \
    "\"late_outcome\":\"succeeded\",\"acquired_at\":\"2026-01-02T03:04:05.678Z\","                                     \
    "\"ended_at\":\"2026-01-02T03:04:07.178Z\",\"duration_ms\":1500,\"actor\":\"kim\",\"reason\":"                     \
    "\"gr\xc3\xbc\xc3\x9f\"}"

struct policy_view full_policy(void);
#define FULL_POLICY_OPEN                                                                                               \
    "{\"schedule_id\":\"db.backup\",\"estimated_duration_ms\":60000,\"safety_margin_ms\":5000,"                        \
    "\"max_ttl_ms\":3600000,\"min_hold_ms\":9007199254740991,\"slots\":256,\"group\":\"db\",\"max_attempts\":1000000," \
    "\"expected_every_ms\":86400000,\"description\":\"t\xc3\xa4glich\\n\\\"um drei\\\"\""
#define FULL_POLICY FULL_POLICY_OPEN "}"

struct group_view full_group(void);
#define FULL_GROUP_OPEN "{\"name\":\"db\",\"slots\":10000,\"held\":3,\"schedules\":17"
#define FULL_GROUP      FULL_GROUP_OPEN "}"

struct freeze_view full_freeze(void);
#define FULL_FREEZE_OPEN                                                                                               \
    "{\"scope\":\"db.*\",\"reason\":\"gr\xc3\xbc\xc3\x9f\",\"actor\":\"kim\",\"ttl_ms\":3600000,"                      \
    "\"remaining_ms\":1800001,\"created_at\":\"2026-01-02T03:04:05.678Z\","                                            \
    "\"expires_at\":\"2026-01-02T04:04:05.678Z\""
#define FULL_FREEZE FULL_FREEZE_OPEN "}"

/* The answer is this one, to the byte. */
void assert_answer(const struct api_answer *answer, unsigned status, const char *type, const char *body);
/* … the one that this outcome is rendered as. */
void assert_outcome(const struct api_request *request, const struct outcome *outcome, unsigned status,
                    const char *body);

#endif
