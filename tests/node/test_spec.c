/* SPEC, HOST:PORT and names of nodes: what is understood, and that everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/spec.h"

static void assert_member(const struct spec *spec, size_t i, const char *expected)
{
    char text[600];
    const struct replica_member *member = &spec->members[i];
    assert_true(i < spec->n_members);
    (void)snprintf(text, sizeof text, "%s %s %u %u", member->name, member->host, member->http_port, member->raft_port);
    assert_string_equal(text, expected);
}

static void members_are_sorted_and_ports_have_defaults(void **state)
{
    (void)state;
    struct spec spec;
    struct error_text error;
    assert_int_equal(spec_parse(slice_of("n3=10.0.0.3:9000:9100,n1=host-1.example,n2=[fd00::2]:8000"), &spec, &error),
                     ERROR_NONE);
    assert_int_equal(spec.n_members, 3);
    assert_member(&spec, 0, "n1 host-1.example 7420 7421");
    assert_member(&spec, 1, "n2 fd00::2 8000 8001");
    assert_member(&spec, 2, "n3 10.0.0.3 9000 9100");
    assert_non_null(spec_find(&spec, "n2"));
    assert_null(spec_find(&spec, "n4"));
    spec_close(&spec);
}

static void every_form_of_a_member_is_understood(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a=h", "a h 7420 7421"},
        {"a=h:1", "a h 1 2"},
        {"a=h:1:65535", "a h 1 65535"},
        {"a=[::1]", "a ::1 7420 7421"},
        {"a=[::1]:7500:7400", "a ::1 7500 7400"},
        {"a.b_c:d@e~f-g=h:65534", "a.b_c:d@e~f-g h 65534 65535"},
        {"0=127.0.0.1:07420", "0 127.0.0.1 7420 7421"},
        {"a=my_host", "a my_host 7420 7421"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct spec spec;
        struct error_text error;
        assert_int_equal(spec_parse(slice_of(rows[i][0]), &spec, &error), ERROR_NONE);
        assert_member(&spec, 0, rows[i][1]);
        spec_close(&spec);
    }
}

static void everything_else_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",           "a",       "a=",      "=h",          "a=h,",          ",a=h",
        "a=h,,b=h:1", "a=h:",    "a=h:0",   "a=h:65536",   "a=h:x",         "a=h:-1",
        "a=h:1:",     "a=h:1:0", "a=h:1:1", "a=h:65535",   "a=h:1:2:3",     "a=h:1:x",
        "a=h:100000", "a=::1",   "a=[::1",  "a=[::1]x",    "a=[h]",         "a=[]",
        "a=h h",      "a=h/x",   "-a=h",    "a b=h",       "a=-h",          "a=.h",
        "a=h;b=i",    "a=h,a=i", "a=h,b=h", "a=h:1,b=H:1", "a=h:1,b=h:2",   "a=h:1:9,b=h:8:1",
        "a=h: 1",     "a=h:+1",  "a=h:1 ",  "a==h",        "a=[127.0.0.1]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct spec spec;
        struct error_text error = {{0}};
        if (spec_parse(slice_of(wrong[i]), &spec, &error) != ERROR_INVALID) {
            fail_msg("taken: %s", wrong[i]);
        }
        assert_true(strlen(error.text) > 10);
        spec_close(&spec);
    }
}

static void every_truncation_ends_cleanly(void **state)
{
    (void)state;
    static const char text[] = "n1=127.0.0.1:7420:7421,n2=[fd00::1]:7422:7423,n3=host.example:7424";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char copy[sizeof text];
        memcpy(copy, text, len);
        struct slice cut = {.base = (const uint8_t *)copy, .len = len};
        struct spec spec;
        struct error_text error;
        if (spec_parse(cut, &spec, &error) == ERROR_NONE) {
            assert_true(spec.n_members >= 1 && spec.n_members <= 3);
        }
        spec_close(&spec);
    }
}

static void names_and_numbers_of_members_have_bounds(void **state)
{
    (void)state;
    char text[4096] = "";
    size_t len = 0;
    for (unsigned i = 0; i <= LIMIT_MEMBERS; i++) {
        struct spec spec;
        struct error_text error;
        int more = snprintf(text + len, sizeof text - len, "%sn%u=h%u", i == 0 ? "" : ",", i, i);
        len += (size_t)more;
        enum error expected = i < LIMIT_MEMBERS ? ERROR_NONE : ERROR_INVALID;
        assert_int_equal(spec_parse(slice_of(text), &spec, &error), expected);
        spec_close(&spec);
    }
    char name[LIMIT_NAME_BYTES + 2];
    memset(name, 'x', sizeof name);
    assert_true(node_name_is_valid((struct slice){(const uint8_t *)name, LIMIT_NAME_BYTES}));
    assert_false(node_name_is_valid((struct slice){(const uint8_t *)name, LIMIT_NAME_BYTES + 1}));
    assert_false(node_name_is_valid(slice_of("")));
    assert_false(node_name_is_valid((struct slice){(const uint8_t *)"a\0b", 3}));
    assert_false(node_name_is_valid(slice_of("\xc3\xa4")));
}

static void addresses_are_read_and_printed(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"127.0.0.1:7420", "127.0.0.1", "127.0.0.1:7420"},
        {"[::1]:1", "::1", "[::1]:1"},
        {":7420", "", ":7420"},
        {"localhost:65535", "localhost", "localhost:65535"},
        {"0.0.0.0:80", "0.0.0.0", "0.0.0.0:80"},
        {"[::]:80", "::", "[::]:80"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address address;
        struct address_text text;
        assert_int_equal(spec_address_parse(rows[i][0], &address, NULL), ERROR_NONE);
        assert_string_equal(address.host, rows[i][1]);
        spec_address_print(address.host, address.port, &text);
        assert_string_equal(text.text, rows[i][2]);
    }
    static const char *const wrong[] = {"", "7420", "h", "h:", "h:0", "h:65536", "::1:7420", "[::1]", "[h]:1", "h:1:2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct address address;
        assert_int_equal(spec_address_parse(wrong[i], &address, NULL), ERROR_INVALID);
    }
}

static void loopback_is_told_from_the_rest(void **state)
{
    (void)state;
    static const char *const loopback[] = {"127.0.0.1", "127.255.0.9", "::1",          "0:0:0:0:0:0:0:1",
                                           "localhost", "LocalHost",   "n1.localhost", "::ffff:127.0.0.1"};
    static const char *const others[] = {"",     "0.0.0.0",           "::",         "128.0.0.1",       "10.0.0.1",
                                         "host", "localhost.example", "1localhost", "::ffff:10.0.0.1", "::2"};
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        assert_true(host_is_loopback(loopback[i]));
        assert_false(host_is_any(loopback[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(host_is_loopback(others[i]));
    }
    assert_true(host_is_any("") && host_is_any("0.0.0.0") && host_is_any("::") && host_is_any("0::0"));
    assert_false(host_is_any("10.0.0.1") || host_is_any("::2") || host_is_any("host"));
}

static void equality_is_that_of_sets(void **state)
{
    (void)state;
    struct spec a;
    struct spec b;
    struct spec c;
    assert_int_equal(spec_parse(slice_of("n1=h:1,n2=i:1"), &a, NULL), ERROR_NONE);
    assert_int_equal(spec_parse(slice_of("n2=i:1:2,n1=h:1:2"), &b, NULL), ERROR_NONE);
    assert_int_equal(spec_parse(slice_of("n1=h:1,n2=i:1:3"), &c, NULL), ERROR_NONE);
    assert_true(spec_equal(&a, &b));
    assert_false(spec_equal(&a, &c));
    spec_close(&a);
    spec_close(&b);
    spec_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_sorted_and_ports_have_defaults),
        cmocka_unit_test(every_form_of_a_member_is_understood),
        cmocka_unit_test(everything_else_is_refused_with_a_sentence),
        cmocka_unit_test(every_truncation_ends_cleanly),
        cmocka_unit_test(names_and_numbers_of_members_have_bounds),
        cmocka_unit_test(addresses_are_read_and_printed),
        cmocka_unit_test(loopback_is_told_from_the_rest),
        cmocka_unit_test(equality_is_that_of_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
