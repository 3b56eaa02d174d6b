/* What the kernel says of this very process. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/process.h"

enum { MAPPED_BYTES = 32 * 1024 * 1024, FILES = 20 };

static void figures_follow_the_process(void **state)
{
    (void)state;
    struct process process;
    struct process_figures before;
    struct process_figures after;
    process_init(&process);
    process_look(&process, 0, &before);
    char *memory = malloc(MAPPED_BYTES);
    assert_non_null(memory);
    memset(memory, 1, MAPPED_BYTES);
    int files[FILES];
    for (int i = 0; i < FILES; i++) {
        files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(files[i] >= 0);
    }
    process_look(&process, 0, &after);
    assert_true(after.resident_bytes >= before.resident_bytes + MAPPED_BYTES / 2);
    assert_true(after.virtual_bytes >= before.virtual_bytes + MAPPED_BYTES / 2);
    assert_int_equal(after.open_files, before.open_files + FILES);
    assert_true(after.cpu_ns > before.cpu_ns);
    for (int i = 0; i < FILES; i++) {
        (void)close(files[i]);
    }
    assert_int_equal(memory[MAPPED_BYTES - 1], 1);
    free(memory);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(after.max_files, limit.rlim_cur);
}

static void listed_files_are_as_many_as_the_kernel_says(void **state)
{
    (void)state;
    struct process process;
    struct process_figures figures;
    process_init(&process);
    process_look(&process, 0, &figures);
    assert_int_equal(process_list_files(), figures.open_files);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(process_list_files(), figures.open_files + 1);
    (void)close(file);
}

static void the_start_is_a_moment_ago(void **state)
{
    (void)state;
    struct process process;
    struct process again;
    process_init(&process);
    process_init(&again);
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    assert_true(process.started_wall_ms <= now_ms + 2000);
    assert_true(process.started_wall_ms > now_ms - 3600 * 1000);
    assert_true(llabs(process.started_wall_ms - again.started_wall_ms) < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_follow_the_process),
        cmocka_unit_test(listed_files_are_as_many_as_the_kernel_says),
        cmocka_unit_test(the_start_is_a_moment_ago),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
