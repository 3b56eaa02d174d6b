#include "node/journal.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "base/check.h"

static int64_t journal_wall_ms(void *data)
{
    (void)data;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void journal_write(void *data, const char *line, size_t len)
{
    const struct journal *journal = data;
    while (len > 0) {
        ssize_t written = write(journal->fd, line, len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;
        }
        line += written;
        len -= (size_t)written;
    }
}

void journal_open(struct journal *journal, int fd, enum journal_format format, enum log_level level, struct log *log)
{
    journal->fd = fd;
    *log = (struct log){
        .level = level,
        .data = journal,
        .wall_ms = journal_wall_ms,
        .write = journal_write,
        .render = format == JOURNAL_JSON ? api_render_log_json : log_render_text,
    };
}
