/* Everything here is quick but for one thing: before Linux 6.2 the only way to learn how many files are open is to list
 * them, which costs some 0.7 µs for each. Past PROCESS_LISTED_FILES that is done once a minute. */
#include "node/process.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

enum { PROCESS_LISTED_FILES = 1000, PROCESS_LISTED_KEEP_MS = 60000 };

static const char files_path[] = "/proc/self/fd";

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The start of a file of /proc, terminated; false when it can't be read. */
static bool proc_read(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t len = fread(text, 1, size - 1, file);
    (void)fclose(file);
    text[len] = 0;
    return len > 0;
}

/* The number in the field `at` of words with one space between; 0 when there is none. */
static uint64_t field_number(const char *text, unsigned at)
{
    for (unsigned i = 0; i < at && text != NULL; i++) {
        text = strchr(text, ' ');
        text = text == NULL ? NULL : text + 1;
    }
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* Field 22 of /proc/self/stat says how long after the machine's start this process began. The second field is the name in
 * parentheses, which may hold anything. */
static int64_t started_wall_ms(void)
{
    enum { FIELD_BEHIND_NAME = 20 };
    char text[1024];
    const char *rest = proc_read("/proc/self/stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    uint64_t ticks = rest == NULL ? 0 : field_number(rest, FIELD_BEHIND_NAME);
    long per_second = sysconf(_SC_CLK_TCK);
    if (ticks == 0 || per_second <= 0) {
        return 0;
    }
    uint64_t age_ms = clock_ns(CLOCK_BOOTTIME) / 1000000u - ticks * 1000u / (uint64_t)per_second;
    return (int64_t)(clock_ns(CLOCK_REALTIME) / 1000000u - age_ms);
}

uint64_t process_list_files(void)
{
    DIR *directory = opendir(files_path);
    if (directory == NULL) {
        return 0;
    }
    uint64_t n = 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        n += entry->d_name[0] != '.';
    }
    (void)closedir(directory);
    return n - 1; /* without the one that was opened to look */
}

static uint64_t process_count_files(struct process *process, uint64_t now_ms)
{
    struct stat about;
    if (stat(files_path, &about) == 0 && about.st_size > 0) {
        return (uint64_t)about.st_size;
    }
    if (process->files < PROCESS_LISTED_FILES || now_ms - process->files_seen_ms >= PROCESS_LISTED_KEEP_MS) {
        process->files = process_list_files();
        process->files_seen_ms = now_ms;
    }
    return process->files;
}

void process_init(struct process *process)
{
    *process = (struct process){.started_wall_ms = started_wall_ms()};
}

void process_look(struct process *process, uint64_t now_ms, struct process_figures *figures)
{
    *figures = (struct process_figures){
        .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
        .open_files = process_count_files(process, now_ms),
        .started_wall_ms = process->started_wall_ms,
    };
    char text[256];
    long page_bytes = sysconf(_SC_PAGESIZE);
    if (page_bytes > 0 && proc_read("/proc/self/statm", text, sizeof text)) {
        figures->virtual_bytes = field_number(text, 0) * (uint64_t)page_bytes;
        figures->resident_bytes = field_number(text, 1) * (uint64_t)page_bytes;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        figures->max_files = limit.rlim_cur;
    }
}
