/* renewals: the array that a batch of renewals is. */
#include <stdlib.h>

#include "api/field.h"
#include "base/limits.h"

static bool take_renewal(const struct given *given, size_t i, struct renew_command *renewal)
{
    struct api_request one = {.route = API_ROUTE_NONE};
    struct given item = *given;
    item.request = &one;
    item.place = (struct field_place){.array = given->row->name, .item = i};
    json_t *object = json_array_get(given->value, i);
    if (!json_is_object(object)) {
        return refuse_member(&item, API_INVALID_FIELD, NULL,
                             "Each item of %s must be an object with schedule_id, token and, if you like, ttl_ms.",
                             given->row->name);
    }
    if (!take_object_fields(renewal_fields(), object, item)) {
        return false;
    }
    *renewal = one.command.renew;
    return true;
}

/* By schedule and token, then by place. */
static int compare_renewals(const void *a, const void *b)
{
    const struct renew_command *x = *(const struct renew_command *const *)a;
    const struct renew_command *y = *(const struct renew_command *const *)b;
    int order = slice_compare(x->schedule_id, y->schedule_id);
    if (order == 0) {
        order = (x->token > y->token) - (x->token < y->token);
    }
    return order != 0 ? order : (x > y) - (x < y);
}

static bool is_same(const struct renew_command *x, const struct renew_command *y)
{
    return x->token == y->token && slice_equal(x->schedule_id, y->schedule_id);
}

/* The same grant twice would have two answers that contradict each other. Sorted, so that n of them take n log n steps. */
static bool refuse_twice(const struct given *given, const struct renew_batch_command *batch)
{
    const struct renew_command **sorted = arena_alloc(given->arena, batch->n_renewals * sizeof *sorted);
    if (sorted == NULL) {
        return refuse_member(given, API_INVALID_FIELD, given->row->name, "The body holds too much: send less.");
    }
    for (size_t i = 0; i < batch->n_renewals; i++) {
        sorted[i] = &batch->renewals[i];
    }
    qsort(sorted, batch->n_renewals, sizeof *sorted, compare_renewals);
    for (size_t i = 1; i < batch->n_renewals; i++) {
        if (is_same(sorted[i - 1], sorted[i])) {
            struct given item = *given;
            item.place = (struct field_place){given->row->name, (size_t)(sorted[i] - batch->renewals)};
            return refuse_member(&item, API_INVALID_FIELD, NULL,
                                 "This is the schedule and the token of %s[%zu] again: send each grant once.",
                                 given->row->name, (size_t)(sorted[i - 1] - batch->renewals));
        }
    }
    return true;
}

bool take_renewals(const struct given *given)
{
    size_t n = json_array_size(given->value); /* 0 for what is no array */
    if (n < given->row->min || n > given->row->max) {
        return refuse_value(given, "be an array of %llu to %llu renewals", (unsigned long long)given->row->min,
                            (unsigned long long)given->row->max);
    }
    struct renew_command *renewals = arena_alloc(given->arena, n * sizeof *renewals);
    if (renewals == NULL) {
        return refuse_member(given, API_INVALID_FIELD, given->row->name, "The body holds too much: send less.");
    }
    for (size_t i = 0; i < n; i++) {
        if (!take_renewal(given, i, &renewals[i])) {
            return false;
        }
    }
    const struct renew_batch_command batch = {.renewals = renewals, .n_renewals = n};
    request_set(given->request, given->row->at, &batch, sizeof batch);
    return refuse_twice(given, &batch);
}
