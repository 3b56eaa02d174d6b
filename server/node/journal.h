/* journal: the log's lines, on a file descriptor. One write(2) a line, so that lines of several processes on one
 * descriptor stay whole. A line that can't be written is dropped: the log never stops the service. */
#ifndef BATON_NODE_JOURNAL_H
#define BATON_NODE_JOURNAL_H

#include "base/log.h"

enum journal_format { JOURNAL_TEXT, JOURNAL_JSON };

struct journal {
    int fd;
};

/* Fills in `log`, which writes to `fd` through `journal`; both must outlive it. Nothing has to be closed. */
void journal_open(struct journal *journal, int fd, enum journal_format format, enum log_level level, struct log *log);

#endif
