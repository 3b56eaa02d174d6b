/* process: what the kernel knows of this process, for a monitoring system. */
#ifndef BATON_NODE_PROCESS_H
#define BATON_NODE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_figures {
    uint64_t cpu_ns;
    uint64_t resident_bytes; /* 0: not known, as every figure below */
    uint64_t virtual_bytes;
    uint64_t open_files;
    uint64_t max_files;
    int64_t started_wall_ms;
};

/* What is remembered between two looks. */
struct process {
    int64_t started_wall_ms;
    uint64_t files; /* when they were listed last */
    uint64_t files_seen_ms;
};

void process_init(struct process *process);
/* `now_ms` is of the loop. Some tens of microseconds; see process.c for kernels before 6.2. */
void process_look(struct process *process, uint64_t now_ms, struct process_figures *figures);

/* How many files are open, by listing them: what the kernel says at once since 6.2. 0: not known. */
uint64_t process_list_files(void);

#endif
