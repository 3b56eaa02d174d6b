/* render: the objects of the contract that several answers are made of. Every object has all of its members, in the order
 * of the contract; what there is not is null. */
#ifndef BATON_API_RENDER_H
#define BATON_API_RENDER_H

#include "api/json.h"

enum lock_form { LOCK_WHOLE, LOCK_WITHOUT_METADATA };

void render_lock(struct json_writer *json, const char *key, const struct grant_view *grant, enum lock_form form);
void render_locks(struct json_writer *json, const char *key, const struct grant_view *grants, size_t n,
                  enum lock_form form);
/* A NULL run is null. */
void render_run(struct json_writer *json, const char *key, const struct run_view *run);
void render_runs(struct json_writer *json, const char *key, const struct run_view *runs, size_t n);

/* The members of these objects, for an answer that is such an object. */
void render_lock_members(struct json_writer *json, const struct grant_view *grant, enum lock_form form);
void render_run_members(struct json_writer *json, const struct run_view *run);
void render_schedule_members(struct json_writer *json, const struct policy_view *view);
void render_group_members(struct json_writer *json, const struct group_view *group);
void render_freeze_members(struct json_writer *json, const struct freeze_view *freeze);

/* The problem that a refusal of core is; and its members alone, for a problem inside of an answer. */
void render_refusal(const struct api_request *request, const struct outcome *outcome, struct api_answer *answer);
void render_refusal_members(struct json_writer *json, const struct api_request *request, const struct outcome *outcome);

#endif
