/* A line that finds nothing waiting goes straight to write(2), which is nearly all of them. What write(2) doesn't take
 * waits, and each later line first tries to send off what stands in front of it. */
#include "node/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "base/check.h"
#include "base/limits.h"

enum { DROPPED_LINE_BYTES = 256 }; /* what the line about dropped ones takes at most */

static int64_t journal_wall_ms(void *data)
{
    (void)data;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t mono_ms(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- writing without waiting ---- */

/* As write(2) on a descriptor that doesn't block. */
static ssize_t journal_try(const struct journal *journal, const void *bytes, size_t len)
{
    struct pollfd writable = {.fd = journal->fd, .events = POLLOUT};
    switch (journal->way) {
    case JOURNAL_SOCKET:
        return send(journal->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case JOURNAL_POLLED:
        if (poll(&writable, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        return write(journal->fd, bytes, len < PIPE_BUF ? len : PIPE_BUF); /* a writable pipe has room for that */
    case JOURNAL_DIRECTLY:
    case JOURNAL_REOPENED:
        break;
    }
    return write(journal->fd, bytes, len);
}

/* Writes as much of `bytes` as is taken now; returns how much. `*failed`: the descriptor takes nothing of it, ever. */
static size_t journal_put(const struct journal *journal, const uint8_t *bytes, size_t len, bool *failed)
{
    size_t done = 0;
    *failed = false;
    while (done < len) {
        ssize_t n = journal_try(journal, bytes + done, len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            *failed = n == 0 || errno != EAGAIN;
            break;
        }
    }
    return done;
}

/* ---- lines that wait ---- */

static size_t count_lines(const uint8_t *bytes, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += bytes[i] == '\n';
    }
    return n;
}

/* How much of what waits goes into one write: whole lines, as many as a pipe takes in one piece, at least one. */
static size_t waiting_piece(const struct buffer *waiting)
{
    size_t most = waiting->len < PIPE_BUF ? waiting->len : PIPE_BUF;
    const uint8_t *end = memrchr(waiting->base, '\n', most);
    if (end == NULL) {
        end = memchr(waiting->base, '\n', waiting->len);
        CHECK(end != NULL);
    }
    return (size_t)(end - waiting->base) + 1;
}

static void journal_drop(struct journal *journal, size_t lines)
{
    journal->dropped += lines;
    journal->dropped_total += lines;
}

static bool waiting_flush(struct journal *journal)
{
    struct buffer *waiting = &journal->waiting;
    while (waiting->len > 0) {
        bool failed;
        size_t piece = waiting_piece(waiting);
        size_t done = journal_put(journal, waiting->base, piece, &failed);
        if (failed) {
            journal_drop(journal, count_lines(waiting->base, waiting->len));
            buffer_clear(waiting);
            return true;
        }
        waiting->len -= done;
        memmove(waiting->base, waiting->base + done, waiting->len);
        if (done < piece) {
            return false;
        }
    }
    return true;
}

static void journal_wait(struct journal *journal, const uint8_t *rest, size_t len)
{
    bool is_first = journal->waiting.len == 0;
    if (!is_first && journal->waiting.len + len > LIMIT_JOURNAL_BYTES) {
        journal_drop(journal, 1);
        return;
    }
    buffer_append(&journal->waiting, rest, len);
    if (is_first && journal->waits != NULL) {
        journal->waits(journal->waits_arg);
    }
}

/* The line about those that are missing stands where they are missing. */
static void journal_tell_dropped(struct journal *journal)
{
    uint64_t dropped = journal->dropped;
    uint64_t dropped_total = journal->dropped_total;
    journal->dropped = 0;
    log_warning(journal->log, "lines of the log were dropped", LOG_U64("lines", dropped));
    if (journal->dropped > 0) {
        journal->dropped = dropped; /* told in vain */
        journal->dropped_total = dropped_total;
    }
}

static void journal_write(void *data, const char *line, size_t len)
{
    struct journal *journal = data;
    bool is_free = waiting_flush(journal);
    if (journal->dropped > 0) {
        if (journal->waiting.len + DROPPED_LINE_BYTES + len > LIMIT_JOURNAL_BYTES) {
            journal_drop(journal, 1);
            return;
        }
        journal_tell_dropped(journal);
        is_free = journal->waiting.len == 0;
    }
    bool failed = false;
    size_t done = is_free ? journal_put(journal, (const uint8_t *)line, len, &failed) : 0;
    if (failed) {
        journal_drop(journal, 1);
    } else if (done < len) {
        journal_wait(journal, (const uint8_t *)line + done, len - done);
    }
}

bool journal_flush(struct journal *journal)
{
    if (waiting_flush(journal) && journal->dropped > 0) {
        journal_tell_dropped(journal);
    }
    return journal->waiting.len == 0;
}

/* ---- life ---- */

void journal_open(struct journal *journal, int fd, enum journal_format format, enum log_level level, struct log *log)
{
    *journal = (struct journal){.fd = fd, .way = JOURNAL_DIRECTLY, .log = log};
    buffer_init(&journal->waiting);
    struct stat about;
    bool is_open = fstat(fd, &about) == 0;
    if (is_open && S_ISSOCK(about.st_mode)) {
        journal->way = JOURNAL_SOCKET;
    } else if (is_open && (S_ISFIFO(about.st_mode) || isatty(fd))) {
        char path[32];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int reopened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        journal->way = reopened < 0 ? JOURNAL_POLLED : JOURNAL_REOPENED;
        journal->fd = reopened < 0 ? fd : reopened;
    }
    *log = (struct log){
        .level = level,
        .data = journal,
        .wall_ms = journal_wall_ms,
        .write = journal_write,
        .render = format == JOURNAL_JSON ? api_render_log_json : log_render_text,
    };
}

void journal_watch(struct journal *journal, void (*waits)(void *arg), void *arg)
{
    journal->waits = waits;
    journal->waits_arg = arg;
    if (waits != NULL && journal->waiting.len > 0) {
        waits(arg);
    }
}

void journal_close(struct journal *journal, unsigned within_ms)
{
    int64_t until_ms = mono_ms() + within_ms;
    for (;;) {
        bool is_free = journal_flush(journal);
        int64_t left_ms = until_ms - mono_ms();
        if (is_free || left_ms <= 0) {
            break;
        }
        struct pollfd writable = {.fd = journal->fd, .events = POLLOUT};
        (void)poll(&writable, 1, (int)left_ms);
    }
    buffer_close(&journal->waiting);
    if (journal->way == JOURNAL_REOPENED) {
        (void)close(journal->fd);
        journal->fd = -1;
    }
}
