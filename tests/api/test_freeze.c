/* Groups and freezes: what their names may be, what a request for them is read as, a policy that names a group, and what is
 * refused because of them. */
#include <stdio.h>
#include <string.h>

#include "sample.h"

static void a_group_has_a_name_and_slots(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "PUT /groups/db%3a1", NULL, "{\"slots\":10000}");
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_PUT_GROUP);
    assert_slice(parsed.request.command.put_group.name, "db:1");
    assert_int_equal(parsed.request.command.put_group.slots, LIMIT_GROUP_SLOTS);
    assert_slice(parsed.request.name, "db:1");
    assert_slice(parsed.request.schedule_id, NULL);
    parsed_close(&parsed);
    parsed_request(&parsed, "DELETE /groups/db", NULL, NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_DELETE_GROUP);
    assert_slice(parsed.request.command.delete_group.name, "db");
    parsed_close(&parsed);
    assert_refused(PUT_GROUP, NULL, "{}", 400, "invalid_field", "slots");
}

static void a_freeze_says_who_why_and_how_long(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "PUT /freezes/db-%2A", NULL,
                   "{\"ttl_ms\":31536000000,\"actor\":\"kim\",\"reason\":\"gr\\u00fc\xc3\x9f\"}");
    assert_true(parsed.ok);
    const struct put_freeze_command *freeze = &parsed.request.command.put_freeze;
    assert_int_equal(parsed.request.command.kind, COMMAND_PUT_FREEZE);
    assert_slice(freeze->scope, "db-*");
    assert_slice(freeze->actor, "kim");
    assert_slice(freeze->reason, "gr\xc3\xbc\xc3\x9f");
    assert_int_equal(freeze->ttl_ms, LIMIT_FREEZE_MS);
    parsed_close(&parsed);
    parsed_request(&parsed, "DELETE /freezes/*", NULL, NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_DELETE_FREEZE);
    assert_slice(parsed.request.command.delete_freeze.scope, "*");
    parsed_close(&parsed);
    assert_refused(PUT_FREEZE, NULL, "{}", 400, "invalid_field", "reason");
    assert_refused(PUT_FREEZE, NULL, "{\"reason\":\"r\",\"ttl_ms\":1}", 400, "invalid_field", "actor");
    assert_refused(PUT_FREEZE, NULL, "{\"reason\":\"r\",\"actor\":\"a\"}", 400, "invalid_field", "ttl_ms");
}

static void assert_names(const char *path, const char *field, const char *const *right, size_t n_right,
                         const char *const *wrong, size_t n_wrong)
{
    char line[512];
    for (size_t i = 0; i < n_right; i++) {
        (void)snprintf(line, sizeof line, "GET %s%s", path, right[i]);
        assert_taken(line, NULL, NULL);
    }
    for (size_t i = 0; i < n_wrong; i++) {
        (void)snprintf(line, sizeof line, "GET %s%s", path, wrong[i]);
        assert_refused(line, NULL, NULL, 400, "invalid_name", field);
    }
    int at = snprintf(line, sizeof line, "GET %s", path);
    memset(line + at, 'a', LIMIT_NAME_BYTES + 1);
    line[at + LIMIT_NAME_BYTES] = 0;
    assert_taken(line, NULL, NULL);
    line[at + LIMIT_NAME_BYTES] = 'a';
    line[at + LIMIT_NAME_BYTES + 1] = 0;
    assert_refused(line, NULL, NULL, 400, "invalid_name", field);
}

static void a_group_is_named_like_a_schedule(void **state)
{
    (void)state;
    static const char *const right[] = {"a", "9", "A.b_c:d@e~f-0", "a%2Eb", "%61"};
    static const char *const wrong[] = {".a",   "*",  "a*",  "-a",   "a%",   "a%zz",     "a%2F",
                                        "a%20", "a+", "%00", "a%00", "a%ff", "\xc3\xa4", "~"};
    assert_names("/groups/", "name", right, sizeof right / sizeof right[0], wrong, sizeof wrong / sizeof wrong[0]);
}

static void a_scope_is_all_or_an_id_or_its_beginning(void **state)
{
    (void)state;
    static const char *const right[] = {"*", "%2A", "%2a", "a", "a*", "a%2a", "db-*", "A.b_c:d@e~f-*", "9*"};
    static const char *const wrong[] = {"**",  "a**",   "*a",      "a*b",       ".*", "-*",  ".a", "a%20*", "a%00*",
                                        "%00", "a*%00", "a%2A%2A", "\xc3\xa4*", "a%", "a*%", "?",  "a?",    "a%2F*"};
    assert_names("/freezes/", "scope", right, sizeof right / sizeof right[0], wrong, sizeof wrong / sizeof wrong[0]);
    /* the star counts */
    char line[512] = "GET /freezes/";
    size_t at = strlen(line);
    memset(line + at, 'a', LIMIT_NAME_BYTES);
    line[at + LIMIT_NAME_BYTES - 1] = '*';
    assert_taken(line, NULL, NULL);
    memcpy(line + at + LIMIT_NAME_BYTES - 1, "a*", 3);
    assert_refused(line, NULL, NULL, 400, "invalid_name", "scope");
}

static void a_policy_may_name_a_group_and_say_how_often(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, PUT, NULL, "{\"group\":\"db:1\",\"expected_every_ms\":9007199254740991}");
    assert_true(parsed.ok);
    assert_slice(parsed.request.command.put_schedule.policy.group, "db:1");
    assert_int_equal(parsed.request.command.put_schedule.policy.expected_every_ms, LIMIT_NUMBER_MAX);
    parsed_close(&parsed);
    static const char *const without[] = {"{}", "{\"group\":null,\"expected_every_ms\":null}"};
    for (size_t i = 0; i < 2; i++) {
        parsed_request(&parsed, PUT, NULL, without[i]);
        assert_true(parsed.ok);
        assert_slice(parsed.request.command.put_schedule.policy.group, NULL);
        assert_int_equal(parsed.request.command.put_schedule.policy.expected_every_ms, 0);
        parsed_close(&parsed);
    }
}

/* Null is none where something may be left out, and there only. */
static void null_is_for_what_may_be_none(void **state)
{
    (void)state;
    size_t n;
    size_t nullable = 0;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        struct api_field field;
        line_of(line, sizeof line, &rows[i]);
        for (size_t f = 0; api_field(rows[i].route, f, &field); f++) {
            if (field.nullable) {
                assert_value_taken(line, field.name, "null");
                nullable++;
            } else {
                assert_value_refused(line, field.name, "null");
            }
        }
    }
    assert_int_equal(nullable, 3);
}

/* ---- answers ---- */

/* One sentence for each kind of thing, whoever asks for it. */
static void what_is_missing_is_not_found(void **state)
{
    (void)state;
#define MISSING                                                                                                        \
    "{\"type\":\"urn:baton:problem:not_found\",\"title\":\"There is nothing here\",\"status\":404,"                    \
    "\"code\":\"not_found\",\"detail\":"
    static const struct {
        struct api_request get;
        struct api_request delete;
        const char *body;
    } cases[] = {
        {{.route = API_SCHEDULE_GET},
         {.route = API_SCHEDULE_DELETE, .command = {.kind = COMMAND_DELETE_SCHEDULE}},
         MISSING "\"Schedule db has no policy, so the defaults count for it. Set one with PUT /schedules/db.\"}"},
        {{.route = API_GROUP_GET},
         {.route = API_GROUP_DELETE, .command = {.kind = COMMAND_DELETE_GROUP}},
         MISSING "\"There is no group db. Make it with PUT /groups/db, or look in GET /groups for those there are.\"}"},
        {{.route = API_FREEZE_GET},
         {.route = API_FREEZE_DELETE, .command = {.kind = COMMAND_DELETE_FREEZE}},
         MISSING "\"There is no freeze with exactly the scope db, or it is over. Look in GET /freezes for those in "
                 "force.\"}"},
    };
    const struct outcome outcome = {.code = OUTCOME_NOT_FOUND};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_request get = cases[i].get;
        struct api_request delete = cases[i].delete;
        get.schedule_id = delete.schedule_id = i == 0 ? slice_of("db") : (struct slice){0};
        get.name = delete.name = i == 0 ? (struct slice){0} : slice_of("db");
        struct api_answer answer;
        api_answer_init(&answer);
        api_render_missing(&get, &answer);
        assert_answer(&answer, 404, "application/problem+json", cases[i].body);
        api_answer_close(&answer);
        assert_outcome(&delete, &outcome, 404, cases[i].body);
    }
}

/* The longest name is in the sentence, whole. */
static void what_is_missing_is_named_in_full(void **state)
{
    (void)state;
    char name[LIMIT_NAME_BYTES + 1];
    memset(name, 'z', sizeof name);
    name[LIMIT_NAME_BYTES] = 0;
    static const enum api_route routes[] = {API_SCHEDULE_GET, API_GROUP_GET, API_FREEZE_GET};
    static const char *const ends[] = {"z.\"}", "those there are.\"}", "in force.\"}"};
    for (size_t i = 0; i < 3; i++) {
        struct api_request request = {.route = routes[i], .name = slice_of(name), .schedule_id = slice_of(name)};
        struct api_answer answer;
        api_answer_init(&answer);
        api_render_missing(&request, &answer);
        size_t len = strlen(ends[i]);
        assert_non_null(memmem(answer.body.base, answer.body.len, name, LIMIT_NAME_BYTES));
        assert_true(answer.body.len > len);
        assert_memory_equal(answer.body.base + answer.body.len - len, ends[i], len);
        api_answer_close(&answer);
    }
}

static void a_full_group_names_itself_and_its_holders(void **state)
{
    (void)state;
    struct grant_view holders[] = {full_grant(), full_grant()};
    holders[1].is_revoking = true;
    const struct outcome outcome = {
        .code = OUTCOME_GROUP_FULL, .has_group = true, .group = full_group(), .holders = holders, .n_holders = 2};
    assert_outcome(&acquire_request, &outcome, 409,
                   "{\"type\":\"urn:baton:problem:group_full\",\"title\":\"The group is full\",\"status\":409,"
                   "\"code\":\"group_full\",\"detail\":\"The group of this schedule has no free slot. Try again when a "
                   "lock of holders is released, or send wait_ms.\",\"group\":\"db\",\"held\":3,"
                   "\"holders\":[" FULL_HOLDER "," FULL_HOLDER_OPEN ",\"revoking\":true}]}");
    const struct outcome closed = {/* a group without slots */
                                   .code = OUTCOME_GROUP_FULL,
                                   .has_group = true,
                                   .group = {.name = slice_of("db")}};
    assert_outcome(&acquire_request, &closed, 409,
                   "{\"type\":\"urn:baton:problem:group_full\",\"title\":\"The group is full\",\"status\":409,"
                   "\"code\":\"group_full\",\"detail\":\"The group of this schedule has no free slot. Try again when a "
                   "lock of holders is released, or send wait_ms.\",\"group\":\"db\",\"held\":0,\"holders\":[]}");
}

static void a_freeze_says_whose_it_is_and_how_long(void **state)
{
    (void)state;
    const struct outcome outcome = {.code = OUTCOME_FROZEN, .has_freeze = true, .freeze = full_freeze()};
    assert_outcome(
        &acquire_request, &outcome, 409,
        "{\"type\":\"urn:baton:problem:frozen\",\"title\":\"A freeze is in force\",\"status\":409,"
        "\"code\":\"frozen\",\"detail\":\"A freeze is in force, and no lock in its scope is granted. Try again "
        "after remaining_ms, or lift it: DELETE /freezes/db.*.\",\"scope\":\"db.*\",\"reason\":"
        "\"gr\xc3\xbc\xc3\x9f\",\"actor\":\"kim\",\"remaining_ms\":1800001}");
}

static void a_policy_of_an_unknown_group_says_what_to_do(void **state)
{
    (void)state;
    const struct api_request request = {.route = API_SCHEDULE_PUT, .command = {.kind = COMMAND_PUT_SCHEDULE}};
    const struct outcome outcome = {
        .code = OUTCOME_UNKNOWN_GROUP, .has_group = true, .group = {.name = slice_of("db")}};
    assert_outcome(
        &request, &outcome, 422,
        "{\"type\":\"urn:baton:problem:unknown_group\",\"title\":\"The group doesn't exist\",\"status\":422,"
        "\"code\":\"unknown_group\",\"detail\":\"There is no group db. Make it first with PUT /groups/db, or "
        "leave group out.\",\"group\":\"db\"}");
}

static void a_group_in_use_says_by_what(void **state)
{
    (void)state;
    static const struct {
        uint64_t held;
        uint64_t schedules;
        const char *detail;
    } cases[] = {
        {3, 17,
         "take it out of the policies that name it (17), and wait until the locks that take its slots (3) have ended, "
         "then delete it."},
        {0, 1, "take it out of the policies that name it (1), then delete it."},
        {1, 0, "wait until the locks that take its slots (1) have ended, then delete it."},
    };
    const struct api_request request = {.route = API_GROUP_DELETE, .command = {.kind = COMMAND_DELETE_GROUP}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outcome outcome = {.code = OUTCOME_GROUP_IN_USE, .has_group = true, .group = full_group()};
        outcome.group.held = cases[i].held;
        outcome.group.schedules = cases[i].schedules;
        char body[512];
        (void)snprintf(body, sizeof body,
                       "{\"type\":\"urn:baton:problem:group_in_use\",\"title\":\"The group is in use\",\"status\":409,"
                       "\"code\":\"group_in_use\",\"detail\":\"Group db is in use: %s\",\"group\":\"db\",\"held\":%llu,"
                       "\"schedules\":%llu}",
                       cases[i].detail, (unsigned long long)cases[i].held, (unsigned long long)cases[i].schedules);
        assert_outcome(&request, &outcome, 409, body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_a_name_and_slots),
        cmocka_unit_test(a_freeze_says_who_why_and_how_long),
        cmocka_unit_test(a_group_is_named_like_a_schedule),
        cmocka_unit_test(a_scope_is_all_or_an_id_or_its_beginning),
        cmocka_unit_test(a_policy_may_name_a_group_and_say_how_often),
        cmocka_unit_test(null_is_for_what_may_be_none),
        cmocka_unit_test(what_is_missing_is_not_found),
        cmocka_unit_test(what_is_missing_is_named_in_full),
        cmocka_unit_test(a_full_group_names_itself_and_its_holders),
        cmocka_unit_test(a_freeze_says_whose_it_is_and_how_long),
        cmocka_unit_test(a_policy_of_an_unknown_group_says_what_to_do),
        cmocka_unit_test(a_group_in_use_says_by_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
