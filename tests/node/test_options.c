/* Flags and environment: what wins, what is refused and how, and what may listen beyond loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/options.h"

enum { ARGUMENTS = 16 };

static const char *const *environment_rows; /* name, value, …, NULL */

static char *environment(const char *name)
{
    for (size_t i = 0; environment_rows != NULL && environment_rows[i] != NULL; i += 2) {
        if (strcmp(environment_rows[i], name) == 0) {
            return (char *)environment_rows[i + 1];
        }
    }
    return NULL;
}

/* Parses the words of `line`, which has no quotes. */
static enum options_verdict parse(struct options *options, const char *line, struct error_text *error)
{
    static char words[4096]; /* options keep pointers into it */
    static char program[] = "batond";
    char *argv[ARGUMENTS + 1] = {program};
    int argc = 1;
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < ARGUMENTS);
        argv[argc++] = word;
    }
    error->text[0] = 0;
    return options_parse(options, argc, argv, environment, error);
}

static void without_a_flag_it_is_a_single_node_on_loopback(void **state)
{
    (void)state;
    struct options options;
    struct error_text error;
    struct endpoints endpoints;
    char host[LIMIT_NAME_BYTES + 1] = {0};
    assert_int_equal(parse(&options, "", &error), OPTIONS_RUN);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    assert_string_equal(options.node, host);
    assert_string_equal(options.data_dir, "./baton-data");
    assert_int_equal(options.election_timeout_ms, 300);
    assert_int_equal(options.heartbeat_ms, 50);
    assert_int_equal(options.commit_timeout_ms, 5000);
    assert_int_equal(options.request_timeout_ms, 10000);
    assert_int_equal(options_resolve(&options, NULL, &endpoints, &error), ERROR_NONE);
    assert_string_equal(endpoints.http.host, "127.0.0.1");
    assert_int_equal(endpoints.http.port, 7420);
    assert_string_equal(endpoints.raft.host, "127.0.0.1");
    assert_int_equal(endpoints.raft.port, 7421);
    assert_string_equal(endpoints.advertise_http.text, "127.0.0.1:7420");
    options_close(&options);
}

static void every_flag_is_understood_in_both_forms(void **state)
{
    (void)state;
    struct options options;
    struct error_text error;
    assert_int_equal(parse(&options,
                           "--node n1 --data-dir=/d --http 127.0.0.1:1 --raft=[::1]:2 --cluster n1=h,n2=i "
                           "--advertise-http=x:3 --insecure --allow-host=a,b --election-timeout 1000",
                           &error),
                     OPTIONS_RUN);
    assert_string_equal(options.node, "n1");
    assert_string_equal(options.data_dir, "/d");
    assert_int_equal(options.http.port, 1);
    assert_string_equal(options.raft.host, "::1");
    assert_int_equal(options.cluster.n_members, 2);
    assert_string_equal(options.advertise_http.host, "x");
    assert_true(options.insecure);
    assert_true(slice_equal(options.allow_hosts, slice_of("a,b")));
    assert_int_equal(options.election_timeout_ms, 1000);
    options_close(&options);
    assert_int_equal(parse(&options,
                           "--heartbeat=10 --commit-timeout=100 --request-timeout=600000 --disk-io=pool "
                           "--log-level=debug --log-format=json --state-hash-every=1000",
                           &error),
                     OPTIONS_RUN);
    assert_int_equal(options.heartbeat_ms, 10);
    assert_int_equal(options.commit_timeout_ms, 100);
    assert_int_equal(options.request_timeout_ms, 600000);
    assert_int_equal(options.disk_io, DISK_UV_POOL);
    assert_int_equal(options.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(options.log_format, JOURNAL_JSON);
    assert_int_equal(options.state_hash_every, 1000);
    options_close(&options);
}

static void the_environment_counts_where_no_flag_stands(void **state)
{
    (void)state;
    static const char *const rows[] = {"BATON_NODE",
                                       "from-env",
                                       "BATON_DATA_DIR",
                                       "/env",
                                       "BATON_INSECURE",
                                       "1",
                                       "BATON_LOG_LEVEL",
                                       "",
                                       "BATON_COMMIT_TIMEOUT",
                                       "777",
                                       NULL};
    struct options options;
    struct error_text error;
    environment_rows = rows;
    assert_int_equal(parse(&options, "--node from-flag", &error), OPTIONS_RUN);
    assert_string_equal(options.node, "from-flag");
    assert_string_equal(options.data_dir, "/env");
    assert_true(options.insecure);
    assert_int_equal(options.log_level, LOG_LEVEL_INFO); /* empty counts as unset */
    assert_int_equal(options.commit_timeout_ms, 777);
    options_close(&options);
    static const char *const bad[] = {"BATON_HEARTBEAT", "soon", NULL};
    environment_rows = bad;
    assert_int_equal(parse(&options, "", &error), OPTIONS_WRONG);
    assert_non_null(strstr(error.text, "BATON_HEARTBEAT"));
    options_close(&options);
    assert_int_equal(parse(&options, "--heartbeat 20", &error), OPTIONS_RUN); /* the flag wins, unread */
    options_close(&options);
    environment_rows = NULL;
}

static void what_is_not_understood_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"--nodes n1", "--nodes: did you mean --node?"},
        {"--nod n1", "--nod: did you mean --node?"}, /* no abbreviations */
        {"--nod=n1", "--nod: did you mean --node?"},
        {"--dir d", "did you mean --data-dir?"},
        {"--datadir d", "did you mean --data-dir?"},
        {"--loglevel=debug", "did you mean --log-level?"},
        {"--election-time-out 9", "did you mean --election-timeout?"},
        {"--cluster-key f", "did you mean --cluster-key-file?"},
        {"--advertise=x:1", "did you mean --advertise-http?"},
        {"-node n1", "did you mean --node?"},
        {"-h", "no flag -h: did you mean --help?"},
        {"--versoin", "did you mean --version?"},
        {"--", "--help"},
        {"n1", "n1"},
        {"--node n1 extra", "extra"},
        {"--node", "--node"},
        {"--insecure=1", "--insecure takes no value"},
        {"--state-hash-every -1", "--state-hash-every"},
        {"--state-hash-every 9007199254740992", "--state-hash-every"},
        {"--node -x", "--node"},
        {"--node a=b", "--node"},
        {"--http 7420", "--http"},
        {"--http :0", "--http"},
        {"--raft h", "--raft"},
        {"--cluster n1", "--cluster"},
        {"--cluster n1=h,n1=i", "--cluster"},
        {"--advertise-http :1", "--advertise-http"},
        {"--election-timeout 49", "--election-timeout"},
        {"--election-timeout 60001", "--election-timeout"},
        {"--election-timeout 300ms", "--election-timeout"},
        {"--election-timeout -300", "--election-timeout"},
        {"--election-timeout 99999999999999999999", "--election-timeout"},
        {"--heartbeat 9", "--heartbeat"},
        {"--heartbeat 151", "--heartbeat"}, /* over half the election time-out */
        {"--heartbeat 0x20", "--heartbeat"},
        {"--commit-timeout 99", "--commit-timeout"},
        {"--request-timeout 600001", "--request-timeout"},
        {"--disk-io fast", "--disk-io"},
        {"--log-level loud", "--log-level"},
        {"--log-format xml", "--log-format"},
        {"--cluster-key-file /nonexistent/key", "--cluster-key-file"},
        {"--cluster-key-file /", "--cluster-key-file"},
        {"--data-dir=", "--data-dir"},
        {"--join http://h", "--join"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct options options;
        struct error_text error;
        if (parse(&options, rows[i][0], &error) != OPTIONS_WRONG) {
            fail_msg("taken: %s", rows[i][0]);
        }
        if (strstr(error.text, rows[i][1]) == NULL || strchr(error.text, '\n') != NULL) {
            fail_msg("%s: %s", rows[i][0], error.text);
        }
        options_close(&options);
    }
}

static void help_and_version_go_before_the_rest(void **state)
{
    (void)state;
    struct options options;
    struct error_text error;
    assert_int_equal(parse(&options, "--help", &error), OPTIONS_HELP);
    options_close(&options);
    assert_int_equal(parse(&options, "--node n1 --version", &error), OPTIONS_VERSION);
    options_close(&options);
    char text[8192] = {0};
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(out);
    options_print_help(out);
    assert_int_equal(fclose(out), 0);
    static const char *const named[] = {"--node NAME",
                                        "--cluster SPEC",
                                        "--insecure\n",
                                        "--disk-io",
                                        "default: 300; environment: BATON_ELECTION_TIMEOUT",
                                        "BATON_DATA_DIR",
                                        "--version",
                                        "exit codes:\n  0 ",
                                        "  65  "};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        assert_non_null(strstr(text, named[i]));
    }
}

/* ---- addresses ---- */

static void resolve(const char *line, const char *expected)
{
    struct options options;
    struct error_text error;
    struct endpoints endpoints;
    struct address_text http;
    struct address_text raft;
    char text[1024];
    if (parse(&options, line, &error) != OPTIONS_RUN) {
        fail_msg("%s: %s", line, error.text);
    }
    if (options_resolve(&options, options.has_cluster ? &options.cluster : NULL, &endpoints, &error) != ERROR_NONE) {
        if (expected != NULL || strchr(error.text, '\n') != NULL) {
            fail_msg("%s: %s", line, error.text);
        }
    } else {
        spec_address_print(endpoints.http.host, endpoints.http.port, &http);
        spec_address_print(endpoints.raft.host, endpoints.raft.port, &raft);
        (void)snprintf(text, sizeof text, "%s %s %s", http.text, raft.text, endpoints.advertise_http.text);
        if (expected == NULL) {
            fail_msg("%s: %s", line, text);
        }
        assert_string_equal(text, expected);
    }
    options_close(&options);
}

static void addresses_come_from_spec_unless_a_flag_says_otherwise(void **state)
{
    (void)state;
    resolve("--node n2 --cluster n1=127.0.0.1:7420,n2=127.0.0.1:7422", "127.0.0.1:7422 127.0.0.1:7423 127.0.0.1:7422");
    resolve("--node n1 --cluster n1=[::1]:1:2", "[::1]:1 [::1]:2 [::1]:1");
    resolve("--node n1 --cluster n1=localhost", "localhost:7420 localhost:7421 localhost:7420");
    resolve("--node n1 --cluster n1=10.0.0.1:80 --insecure", ":80 :81 10.0.0.1:80");
    resolve("--node n1 --cluster n1=h --insecure --http 10.0.0.1:1 --raft [fd00::1]:2 --advertise-http [fd00::2]:3",
            "10.0.0.1:1 [fd00::1]:2 [fd00::2]:3");
    resolve("--http 127.0.0.1:8000 --raft 127.0.0.1:8001", "127.0.0.1:8000 127.0.0.1:8001 127.0.0.1:8000");
    resolve("--http 127.0.0.1:7421", NULL); /* both on one port */
    resolve("--node n3 --cluster n1=h,n2=i --insecure", NULL);
}

static void key_file_make(char path[64], size_t bytes, mode_t mode)
{
    (void)snprintf(path, 64, "/tmp/baton-key-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(write(file, "k", 1), 1);
    }
    assert_int_equal(fchmod(file, mode), 0);
    assert_int_equal(close(file), 0);
}

static void beyond_loopback_protection_is_demanded(void **state)
{
    (void)state;
    char path[64];
    char line[256];
    key_file_make(path, 32, 0600);
    static const char *const open_rows[] = {
        "--node n1 --cluster n1=10.0.0.1",
        "--node n1 --cluster n1=host.example",
        "--http 0.0.0.0:7420",
        "--http :7420",
        "--raft 0.0.0.0:7421",
        "--node n1 --cluster n1=127.0.0.1 --raft :7421",
        "--node n1 --cluster n1=127.0.0.1,n2=10.0.0.2", /* dials beyond loopback */
        "--node n1 --cluster n1=10.0.0.1,n2=10.0.0.2 --http 127.0.0.1:1 --raft 127.0.0.1:2",
    };
    for (size_t i = 0; i < sizeof open_rows / sizeof open_rows[0]; i++) {
        resolve(open_rows[i], NULL);
    }
    resolve("--raft :7421 --insecure", "127.0.0.1:7420 :7421 127.0.0.1:7420");
    (void)snprintf(line, sizeof line, "--raft :7421 --cluster-key-file %s", path);
    resolve(line, "127.0.0.1:7420 :7421 127.0.0.1:7420");
    (void)snprintf(line, sizeof line, "--node n1 --cluster n1=10.0.0.1 --cluster-key-file %s", path);
    resolve(line, NULL); /* HTTP is open, and there are no tokens yet */
    (void)snprintf(line, sizeof line, "--node n1 --cluster n1=10.0.0.1 --http 127.0.0.1:1 --cluster-key-file %s", path);
    resolve(line, "127.0.0.1:1 :7421 10.0.0.1:7420");
    assert_int_equal(unlink(path), 0);
}

static void a_key_file_must_be_long_enough_and_private(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        mode_t mode;
        enum options_verdict verdict;
    } rows[] = {
        {31, 0600, OPTIONS_WRONG},   {32, 0600, OPTIONS_RUN}, {4096, 0400, OPTIONS_RUN},
        {4097, 0600, OPTIONS_WRONG}, {32, 0640, OPTIONS_RUN}, {32, 0604, OPTIONS_WRONG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct options options;
        struct error_text error;
        char path[64];
        char line[128];
        key_file_make(path, rows[i].bytes, rows[i].mode);
        (void)snprintf(line, sizeof line, "--cluster-key-file %s", path);
        assert_int_equal(parse(&options, line, &error), rows[i].verdict);
        assert_int_equal(options.cluster_key_len, rows[i].verdict == OPTIONS_RUN ? rows[i].bytes : 0);
        options_close(&options);
        for (size_t at = 0; at < sizeof options.cluster_key; at++) {
            assert_int_equal(options.cluster_key[at], 0); /* nothing of it stays in memory */
        }
        assert_int_equal(unlink(path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_flag_it_is_a_single_node_on_loopback),
        cmocka_unit_test(every_flag_is_understood_in_both_forms),
        cmocka_unit_test(the_environment_counts_where_no_flag_stands),
        cmocka_unit_test(what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(help_and_version_go_before_the_rest),
        cmocka_unit_test(addresses_come_from_spec_unless_a_flag_says_otherwise),
        cmocka_unit_test(beyond_loopback_protection_is_demanded),
        cmocka_unit_test(a_key_file_must_be_long_enough_and_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
