/* journal: the log's lines, on a file descriptor. The log never stops the service: where the descriptor takes nothing for
 * now (a full pipe, a stopped terminal, a slow socket), lines wait in memory up to LIMIT_JOURNAL_BYTES, and past it they
 * are dropped, counted, and the count is told in a line of its own. One write(2) a line, so that lines of several
 * processes on one descriptor stay whole. */
#ifndef BATON_NODE_JOURNAL_H
#define BATON_NODE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/slice.h"

enum journal_format { JOURNAL_TEXT, JOURNAL_JSON };

/* How a write is kept from blocking. */
enum journal_way {
    JOURNAL_DIRECTLY, /* a file: it never takes long */
    JOURNAL_SOCKET,   /* asked for with each write */
    JOURNAL_REOPENED, /* a pipe or a terminal, opened once more without blocking: the given description is others', too */
    JOURNAL_POLLED,   /* one that can't be opened again: looked at before each write */
};

struct journal {
    int fd; /* what is written to: the caller's, or ours when it was reopened */
    enum journal_way way;
    const struct log *log;
    struct buffer waiting;  /* whole lines, but for the first, of which a part may have left */
    uint64_t dropped;       /* lines, since it was told last … */
    uint64_t dropped_total; /* … and since the start */
    void (*waits)(void *arg);
    void *waits_arg;
};

/* Fills in `log`, which writes to `fd` through `journal`; both must outlive it. */
void journal_open(struct journal *journal, int fd, enum journal_format format, enum log_level level, struct log *log);
/* Calls `waits` (NULL: nobody) when lines begin to wait: journal_flush is to be called from time to time then. It must
 * not log. */
void journal_watch(struct journal *journal, void (*waits)(void *arg), void *arg);
/* Writes what waits, as far as it goes, and then tells of dropped lines. True when nothing waits any more. */
bool journal_flush(struct journal *journal);
/* Gives what waits up to `within_ms` to leave, and drops the rest. Nothing may be logged afterwards. */
void journal_close(struct journal *journal, unsigned within_ms);

#endif
