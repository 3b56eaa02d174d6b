/* What is looked up in the table: behind a barrier, or at once when a stale answer is asked for. Views point into the
 * table, so they are filled and rendered before anything else can change it. */
#include "base/check.h"
#include "node/request.h"

static void show_schedule(struct request *request, struct lock_table *table, struct api_answer *answer)
{
    struct policy_view policy;
    struct schedule_view view;
    struct schedule_statistics statistics;
    struct lock_table_counts counts;
    struct slice id = request->parsed.schedule_id;
    if (!lock_table_policy(table, id, &policy)) {
        api_render_missing(&request->parsed, answer);
        return;
    }
    lock_table_view(table, id, &view);
    lock_table_statistics(table, id, &statistics);
    lock_table_count(table, &counts);
    api_render_schedule(&policy, view.has_last_run ? &view.last_run : NULL, &statistics, counts.now_ms, answer);
}

static void show_group(struct request *request, struct lock_table *table, struct api_answer *answer)
{
    struct group_view group;
    if (lock_table_group(table, request->parsed.name, &group)) {
        api_render_group(&group, answer);
    } else {
        api_render_missing(&request->parsed, answer);
    }
}

static void show_freeze(struct request *request, struct lock_table *table, struct api_answer *answer)
{
    struct freeze_view freeze;
    if (lock_table_freeze_of(table, request->parsed.name, &freeze)) {
        api_render_freeze(&freeze, answer);
    } else {
        api_render_missing(&request->parsed, answer);
    }
}

static void show_status(struct request *request, struct lock_table *table, struct api_answer *answer)
{
    struct schedule_view view;
    const struct api_request *parsed = &request->parsed;
    uint64_t waiting =
        parsed->stale ? replica_waiting(request->service->replica, parsed->schedule_id) : request->read.waiting;
    lock_table_view(table, parsed->schedule_id, &view);
    api_render_status(parsed->schedule_id, &view, waiting, answer);
}

static void render_read(struct request *request, struct lock_table *table, struct api_answer *answer)
{
    const struct api_request *parsed = &request->parsed;
    union page *page = &request->service->page;
    bool more = false;
    enum list_rest rest = LIST_REST_NONE;
    size_t n;
    switch (parsed->route) {
    case API_LOCK_STATUS:
        show_status(request, table, answer);
        return;
    case API_LOCK_LIST:
        n = lock_table_list_locks(table, &parsed->list, page->locks, &rest);
        api_render_locks(page->locks, n, rest, answer);
        return;
    case API_SCHEDULE_GET:
        show_schedule(request, table, answer);
        return;
    case API_SCHEDULE_LIST:
        n = lock_table_list_policies(table, &parsed->list, page->policies, &more);
        api_render_schedules(page->policies, n, more, answer);
        return;
    case API_SCHEDULE_RUNS:
        n = lock_table_runs(table, parsed->schedule_id, parsed->list.limit, page->runs);
        api_render_runs(page->runs, n, answer);
        return;
    case API_GROUP_GET:
        show_group(request, table, answer);
        return;
    case API_GROUP_LIST:
        n = lock_table_list_groups(table, &parsed->list, page->groups, &more);
        api_render_groups(page->groups, n, more, answer);
        return;
    case API_FREEZE_GET:
        show_freeze(request, table, answer);
        return;
    case API_FREEZE_LIST:
        n = lock_table_list_freezes(table, &parsed->list, page->freezes, &more);
        api_render_freezes(page->freezes, n, more, answer);
        return;
    default:
        CHECK(false); /* no other route is a read */
    }
}

static void request_show(struct request *request)
{
    struct lock_table *table = replica_table(request->service->replica);
    if (table == NULL) {
        request_refuse_status(request, OPERATION_NOT_READY);
        return;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    render_read(request, table, &answer);
    request_answer(request, &answer);
}

static void read_done(struct replica_read *read, enum operation_status status)
{
    struct request *request = read->data;
    if (status == OPERATION_APPLIED) {
        request_show(request);
    } else if (status == OPERATION_UNKNOWN) {
        request_refuse_status(request, OPERATION_NO_LEADER); /* a read has no outcome that could be unknown */
    } else {
        request_refuse_status(request, status);
    }
}

void request_read(struct request *request)
{
    if (request->parsed.stale) {
        request_show(request);
        return;
    }
    request->read = (struct replica_read){.done = read_done, .data = request};
    if (request->parsed.route == API_LOCK_STATUS) {
        request->read.waiting_of = request->parsed.schedule_id;
    }
    replica_read(request->service->replica, &request->read);
}
