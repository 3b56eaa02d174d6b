/* Pages of lists. A page begins where an index is asked for the later of the prefix and what the page before ended with,
 * goes on in the order of schedule ids, and ends with the limit or with the last id that has the prefix. So it costs what
 * it shows, and a look-up; and what changes between two pages can neither repeat nor hide what stays. */
#include "core/table.h"

#include <string.h>

static bool has_prefix(struct slice id, struct slice prefix)
{
    return id.len >= prefix.len && (prefix.len == 0 || memcmp(id.base, prefix.base, prefix.len) == 0);
}

struct slice name_page_begin(const struct list_query *query)
{
    CHECK(query->limit >= 1 && query->limit <= LIMIT_LIST);
    return slice_compare(query->after_id, query->prefix) > 0 ? query->after_id : query->prefix;
}

enum page_step name_page_look(struct name_page *page, struct slice name)
{
    if (!has_prefix(name, page->query->prefix)) {
        return PAGE_END;
    }
    if (slice_equal(name, page->query->after_id)) {
        return PAGE_SKIP;
    }
    page->has_more = page->n == page->query->limit;
    return page->has_more ? PAGE_END : PAGE_TAKE;
}

struct lock_page {
    struct lock_table *table; /* its draft has the schedule that is looked at */
    const struct list_query *query;
    struct grant_view *views;
    size_t n_views;
    enum list_rest rest;
};

/* Does it stand behind what earlier pages showed? `is_after_id`: it is one of the schedule where the last of them ended. */
static bool is_behind(const struct list_query *query, const struct grant_image *grant, bool is_after_id)
{
    return !is_after_id || (query->after_token != 0 && grant->token > query->after_token);
}

/* False when there is no room left for it. */
static bool page_add_grant(struct lock_page *page, const struct grant_image *grant, bool is_after_id)
{
    if (!is_behind(page->query, grant, is_after_id)) {
        return true;
    }
    if (page->n_views == page->query->limit) {
        bool is_same = slice_equal(page->views[page->n_views - 1].schedule_id, page->table->draft.image.id);
        page->rest = is_same ? LIST_REST_SAME : LIST_REST_OTHERS;
        return false;
    }
    page->views[page->n_views++] = grant_view_of(page->table, &page->table->draft, grant);
    return true;
}

static struct grant_image *find_grant_of(struct schedule_draft *draft, struct slice holder)
{
    for (size_t i = draft->image.n_runs; i-- > 0;) {
        const struct run_image *run = &draft->runs[i];
        struct grant_image *grant = slice_equal(run->holder, holder) ? draft_find_grant(draft, run->token) : NULL;
        if (grant != NULL) {
            return grant;
        }
    }
    CHECK(!"who is in the index has a live grant");
}

static bool page_add_schedule(struct lock_page *page, const struct schedule *schedule)
{
    struct schedule_draft *draft = &page->table->draft;
    schedule_unpack(schedule, draft);
    bool is_after_id = slice_equal(draft->image.id, page->query->after_id);
    if (slice_is_present(page->query->holder)) {
        return page_add_grant(page, find_grant_of(draft, page->query->holder), is_after_id);
    }
    for (size_t i = 0; i < draft->image.n_grants; i++) {
        if (!page_add_grant(page, &draft->grants[i], is_after_id)) {
            return false;
        }
    }
    return true;
}

size_t lock_table_list_locks(struct lock_table *table, const struct list_query *query, struct grant_view *views,
                             enum list_rest *rest)
{
    struct lock_page page = {.table = table, .query = query, .views = views};
    struct table_cursor at;
    if (slice_is_present(query->holder)) {
        table_seek_held_by(table, query->holder, name_page_begin(query), &at);
    } else {
        table_seek_live(table, name_page_begin(query), &at);
    }
    for (struct table_node *node = table_next(&at); node != NULL; node = table_next(&at)) {
        if (!has_prefix(schedule_id(node->schedule), query->prefix) || !page_add_schedule(&page, node->schedule)) {
            break;
        }
    }
    *rest = page.rest;
    return page.n_views;
}

size_t lock_table_list_policies(struct lock_table *table, const struct list_query *query, struct policy_view *views,
                                bool *more)
{
    struct name_page page = {.query = query};
    struct table_cursor at;
    table_seek_policies(table, name_page_begin(query), &at);
    for (struct table_node *node = table_next(&at); node != NULL; node = table_next(&at)) {
        enum page_step step = name_page_look(&page, schedule_id(node->schedule));
        if (step == PAGE_END) {
            break;
        }
        if (step == PAGE_TAKE) {
            schedule_unpack(node->schedule, &table->draft);
            views[page.n++] = policy_view_of(&table->draft);
        }
    }
    *more = page.has_more;
    return page.n;
}
