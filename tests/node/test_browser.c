/* Which requests of web pages pass, and that programs aren't bothered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/browser.h"

struct row {
    const char *host;
    const char *origin;
    const char *site; /* Sec-Fetch-Site */
    const char *agent;
};

static const char *refuse(const struct row *row)
{
    const struct slice names[] = {slice_of("n1"), slice_of("baton.example")};
    struct browser_headers headers = {
        .host = slice_of(row->host),
        .origin = slice_of(row->origin),
        .sec_fetch_site = slice_of(row->site),
        .user_agent = slice_of(row->agent),
        .has_sec_fetch = row->site != NULL,
    };
    return browser_refuse(&headers, names, 2);
}

static void programs_pass_whatever_host_they_name(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"evil.example", NULL, NULL, NULL},    {"evil.example", NULL, NULL, "curl/7.88.1"}, {NULL, NULL, NULL, NULL},
        {"", NULL, NULL, "python-requests/2"}, {"h", NULL, NULL, "like Mozilla/5.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_null(refuse(&rows[i]));
    }
}

static void pages_of_this_node_pass(void **state)
{
    (void)state;
    static const char browser[] = "Mozilla/5.0 (X11)";
    static const struct row rows[] = {
        {"localhost:7420", NULL, NULL, browser},
        {"LOCALHOST", NULL, "none", browser},
        {"127.0.0.1:7420", "http://127.0.0.1:7420", "same-origin", browser},
        {"[::1]:7420", "http://[::1]:7420", "same-origin", browser},
        {"10.1.2.3:7420", "http://10.1.2.3:7420", NULL, browser},
        {"n1:7420", "http://N1:7420", "same-origin", browser},
        {"baton.example", "https://baton.example", "same-origin", browser},
        {"baton.example:443", "https://baton.example", "same-origin", browser},
        {"baton.example", "http://baton.example:80", "same-origin", browser},
        {"localhost:7420", NULL, "same-site", browser},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (refuse(&rows[i]) != NULL) {
            fail_msg("row %zu: %s", i, refuse(&rows[i]));
        }
    }
}

static void foreign_pages_are_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"127.0.0.1:7420", "http://evil.example", NULL, NULL},
        {"127.0.0.1:7420", "http://127.0.0.1:8080", NULL, NULL}, /* another port is another origin */
        {"127.0.0.1:7420", "http://127.0.0.1", NULL, NULL},
        {"127.0.0.1:7420", "null", NULL, NULL},
        {"127.0.0.1:7420", "", NULL, NULL},
        {"127.0.0.1:7420", "file://", NULL, NULL},
        {"127.0.0.1:7420", "chrome-extension://127.0.0.1:7420", NULL, NULL},
        {"127.0.0.1:7420", "http://127.0.0.1:7420.evil.example", NULL, NULL},
        {"127.0.0.1:7420", NULL, "cross-site", NULL},
        {"127.0.0.1:7420", "http://127.0.0.1:7420", "cross-site", NULL},
        {"baton.example:80", "https://baton.example:443", NULL, NULL},
        {NULL, "http://localhost", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (refuse(&rows[i]) == NULL) {
            fail_msg("row %zu passed", i);
        }
    }
}

/* DNS rebinding: page and request agree, on a name that isn't ours. */
static void browsers_may_use_no_name_that_is_not_ours(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"evil.example:7420", "http://evil.example:7420", "same-origin", "Mozilla/5.0"},
        {"evil.example:7420", NULL, NULL, "Mozilla/5.0"},
        {"evil.example:7420", NULL, "same-origin", NULL},
        {"n1.evil.example", NULL, NULL, "mozilla/5.0"},
        {"n11", NULL, NULL, "Mozilla/5.0"},
        {"", NULL, NULL, "Mozilla/5.0"},
        {NULL, NULL, NULL, "Mozilla/5.0"},
        {"[::1", NULL, NULL, "Mozilla/5.0"},
        {"[n1]:7420", "http://[evil]", NULL, "Mozilla/5.0"},
        {":7420", NULL, NULL, "Mozilla/5.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (refuse(&rows[i]) == NULL) {
            fail_msg("row %zu passed", i);
        }
    }
}

static void headers_that_stand_twice_are_refused_for_browsers_only(void **state)
{
    (void)state;
    struct browser_headers headers = {.host = slice_of("localhost"), .ambiguous = true};
    assert_null(browser_refuse(&headers, NULL, 0));
    headers.has_sec_fetch = true;
    assert_non_null(browser_refuse(&headers, NULL, 0));
}

static void a_host_of_any_length_and_bytes_is_looked_at_safely(void **state)
{
    (void)state;
    char host[600];
    memset(host, 'x', sizeof host);
    struct browser_headers headers = {
        .host = {(const uint8_t *)host, sizeof host},
        .user_agent = slice_of("Mozilla/"),
    };
    assert_non_null(browser_refuse(&headers, NULL, 0));
    headers.host = (struct slice){(const uint8_t *)"n1\0", 3};
    const struct slice names[] = {slice_of("n1")};
    assert_non_null(browser_refuse(&headers, names, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_pass_whatever_host_they_name),
        cmocka_unit_test(pages_of_this_node_pass),
        cmocka_unit_test(foreign_pages_are_refused),
        cmocka_unit_test(browsers_may_use_no_name_that_is_not_ours),
        cmocka_unit_test(headers_that_stand_twice_are_refused_for_browsers_only),
        cmocka_unit_test(a_host_of_any_length_and_bytes_is_looked_at_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
