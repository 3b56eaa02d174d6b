#include "fake_world.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/limits.h"

/* ---- exchanges ---- */

void exchange_open(struct exchange *exchange, const char *method, const char *path, const char *body)
{
    *exchange = (struct exchange){.method = method, .path = path, .body = body};
    exchange_add_header(exchange, "Host", "localhost:7420");
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    CHECK(exchange->n_headers < FAKE_HEADERS);
    exchange->headers[exchange->n_headers++] = (struct http_header){name, value};
}

void exchange_close(struct exchange *exchange)
{
    buffer_close(&exchange->answer_headers);
    buffer_close(&exchange->answer_body);
    buffer_close(&exchange->streamed);
}

bool exchange_has_header(const struct exchange *exchange, const char *line)
{
    return exchange->answers == 1 && strstr((const char *)exchange->answer_headers.base, line) != NULL;
}

bool exchange_body_has(const struct exchange *exchange, const char *text)
{
    return exchange->answers == 1 && strstr((const char *)exchange->answer_body.base, text) != NULL;
}

struct slice exchange_method(const struct exchange *exchange)
{
    return slice_of(exchange->method);
}

struct slice exchange_path(const struct exchange *exchange)
{
    return slice_of(exchange->path);
}

const struct http_pair *exchange_query(const struct exchange *exchange, size_t *n)
{
    *n = exchange->n_query;
    return exchange->query;
}

struct slice exchange_header(const struct exchange *exchange, const char *name, size_t *count)
{
    struct slice found = {0};
    size_t n = 0;
    for (size_t i = 0; i < exchange->n_headers; i++) {
        if (strcasecmp(exchange->headers[i].name, name) == 0) {
            found = n++ == 0 ? slice_of(exchange->headers[i].value) : found;
        }
    }
    if (count != NULL) {
        *count = n;
    }
    return found;
}

size_t exchange_count_headers(const struct exchange *exchange, const char *prefix)
{
    size_t n = 0;
    for (size_t i = 0; i < exchange->n_headers; i++) {
        n += strncasecmp(exchange->headers[i].name, prefix, strlen(prefix)) == 0;
    }
    return n;
}

struct slice exchange_body(const struct exchange *exchange)
{
    return slice_of(exchange->body);
}

bool exchange_is_gone(const struct exchange *exchange)
{
    return exchange->is_gone;
}

void exchange_answer(struct exchange *exchange, unsigned status, const struct http_header *headers, size_t n_headers,
                     struct slice body)
{
    exchange->answers++;
    CHECK(exchange->answers == 1);
    exchange->status = status;
    for (size_t i = 0; i < n_headers; i++) {
        buffer_printf(&exchange->answer_headers, "%s: %s\n", headers[i].name, headers[i].value);
    }
    buffer_append(&exchange->answer_headers, "", 1);
    buffer_append_slice(&exchange->answer_body, body);
    buffer_append(&exchange->answer_body, "", 1);
}

/* ---- who hangs up, and streams ---- */

void exchange_watch(struct exchange *exchange, void (*gone)(void *arg), void *arg)
{
    CHECK(exchange->gone == NULL && exchange->answers == 0);
    exchange->gone = gone;
    exchange->gone_arg = arg;
}

void fake_exchange_hang_up(struct exchange *exchange)
{
    exchange->is_gone = true;
    if (exchange->gone != NULL && exchange->answers == 0) {
        void (*gone)(void *arg) = exchange->gone;
        exchange->gone = NULL;
        gone(exchange->gone_arg);
    }
}

void exchange_stream_begin(struct exchange *exchange, unsigned status, const struct http_header *headers,
                           size_t n_headers, const struct exchange_stream *stream)
{
    struct slice empty = {(const uint8_t *)"", 0};
    exchange_answer(exchange, status, headers, n_headers, empty);
    exchange->is_stream = true;
    exchange->stream = *stream;
    buffer_append(&exchange->streamed, "", 1);
}

bool exchange_write(struct exchange *exchange, struct slice bytes)
{
    CHECK(exchange->is_stream && !exchange->is_ended);
    if (exchange->is_cut || exchange->unsent + bytes.len > LIMIT_STREAM_BYTES) {
        exchange->is_cut = true;
        return false;
    }
    exchange->streamed.len--;
    buffer_append_slice(&exchange->streamed, bytes);
    buffer_append(&exchange->streamed, "", 1);
    exchange->unsent += bytes.len;
    exchange->writes++;
    return true;
}

size_t exchange_unsent(const struct exchange *exchange)
{
    return exchange->unsent;
}

void exchange_end(struct exchange *exchange)
{
    CHECK(exchange->is_stream && !exchange->is_ended && !exchange->is_cut);
    exchange->is_ended = true;
}

bool exchange_streamed(const struct exchange *exchange, const char *text)
{
    return exchange->is_stream && strstr((const char *)exchange->streamed.base, text) != NULL;
}

size_t exchange_streamed_times(const struct exchange *exchange, const char *text)
{
    size_t n = 0;
    CHECK(exchange->is_stream);
    for (const char *at = strstr((const char *)exchange->streamed.base, text); at != NULL; at = strstr(at + 1, text)) {
        n++;
    }
    return n;
}

void fake_exchange_take(struct exchange *exchange, size_t bytes)
{
    bool was_full = exchange->unsent > LIMIT_STREAM_BYTES / 2;
    exchange->unsent -= exchange->unsent < bytes ? exchange->unsent : bytes;
    if (was_full && exchange->unsent <= LIMIT_STREAM_BYTES / 2 && !exchange->is_cut) {
        exchange->stream.room(exchange->stream.arg);
    }
}

void fake_exchange_closed(struct exchange *exchange)
{
    exchange->is_cut = true;
    exchange->stream.closed(exchange->stream.arg);
}

/* ---- the replica ---- */

void replica_submit(struct replica *replica, struct operation *operation)
{
    CHECK(replica->n_operations < FAKE_PENDING);
    replica->operations[replica->n_operations++] = operation;
}

void replica_cancel(struct replica *replica, struct operation *operation)
{
    replica->cancelled = operation;
    replica->cancels++;
}

uint64_t replica_waiting(struct replica *replica, struct slice schedule_id)
{
    CHECK(slice_is_present(schedule_id));
    return replica->waiting;
}

uint64_t replica_now_estimate_ms(struct replica *replica)
{
    return replica->now_ms;
}

void replica_read(struct replica *replica, struct replica_read *read)
{
    CHECK(replica->n_reads < FAKE_PENDING);
    replica->reads[replica->n_reads++] = read;
}

struct lock_table *replica_table(struct replica *replica)
{
    return replica->table;
}

void replica_status(struct replica *replica, struct replica_status *status)
{
    *status = replica->status;
}

const char *replica_rules_wait_for(struct replica *replica, uint32_t version)
{
    replica->rules_wait_for_version = version;
    return replica->rules_wait_for;
}

const char *replica_role_name(enum replica_role role)
{
    return role == REPLICA_LEADER ? "leader" : "follower";
}

void fake_replica_decide(struct replica *replica, enum operation_status status, const struct outcome *outcome)
{
    CHECK(replica->n_operations > 0);
    struct operation *operation = replica->operations[0];
    replica->n_operations--;
    memmove(replica->operations, replica->operations + 1, replica->n_operations * sizeof replica->operations[0]);
    operation->done(operation, status, outcome);
}

void fake_replica_decide_read(struct replica *replica, enum operation_status status)
{
    CHECK(replica->n_reads > 0);
    struct replica_read *read = replica->reads[0];
    replica->n_reads--;
    memmove(replica->reads, replica->reads + 1, replica->n_reads * sizeof replica->reads[0]);
    read->done(read, status);
}

/* ---- the rest ---- */

void storage_figures(struct storage *storage, struct storage_figures *figures)
{
    *figures = storage->figures;
}

const struct storage_identity *storage_identity(const struct storage *storage)
{
    return &storage->identity;
}

size_t http_connections(const struct http_server *server)
{
    return server->connections;
}

/* ---- the loop ---- */

struct timer {
    struct fake_loop *fake;
    struct timer *next;
    void (*fired)(void *arg);
    void *arg;
    uint64_t due_ns; /* UINT64_MAX: stopped */
};

static uint64_t fake_mono_ns(void *impl)
{
    const struct fake_loop *fake = impl;
    return fake->now_ns;
}

static void fake_random(void *impl, void *bytes, size_t len)
{
    struct fake_loop *fake = impl;
    uint8_t *out = bytes;
    for (size_t i = 0; i < len; i++) {
        out[i] = fake->random++;
    }
}

static struct timer *fake_timer_open(void *impl, void (*fired)(void *arg), void *arg)
{
    struct fake_loop *fake = impl;
    struct timer *timer = calloc(1, sizeof *timer);
    CHECK(timer != NULL);
    *timer = (struct timer){.fake = fake, .next = fake->timers, .fired = fired, .arg = arg, .due_ns = UINT64_MAX};
    fake->timers = timer;
    return timer;
}

static void fake_timer_start(struct timer *timer, uint64_t delay_ms)
{
    timer->due_ns = timer->fake->now_ns + delay_ms * 1000000u;
}

static void fake_timer_stop(struct timer *timer)
{
    timer->due_ns = UINT64_MAX;
}

static void fake_timer_close(struct timer *timer)
{
    struct timer **at = &timer->fake->timers;
    while (*at != timer) {
        at = &(*at)->next;
    }
    *at = timer->next;
    free(timer);
}

static void fake_post(void *impl, struct post *post)
{
    struct fake_loop *fake = impl;
    struct post **at = &fake->posts;
    if (post->queued != 0) {
        return;
    }
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = post;
    post->next = NULL;
    post->queued = 1;
}

static void fake_post_cancel(void *impl, struct post *post)
{
    struct fake_loop *fake = impl;
    struct post **at = &fake->posts;
    if (post->queued == 0) {
        return;
    }
    while (*at != post) {
        at = &(*at)->next;
    }
    *at = post->next;
    post->queued = 0;
}

static int64_t fake_wall_ms(void *data)
{
    (void)data;
    return 0;
}

static void fake_log_write(void *data, const char *line, size_t len)
{
    struct fake_loop *fake = data;
    buffer_append(&fake->log, line, len);
}

void fake_loop_open(struct fake_loop *fake)
{
    *fake = (struct fake_loop){.now_ns = 1000000000};
    fake->loop = (struct loop){
        .impl = fake,
        .mono_ns = fake_mono_ns,
        .wall_ms = fake_wall_ms,
        .random = fake_random,
        .timer_open = fake_timer_open,
        .timer_start = fake_timer_start,
        .timer_stop = fake_timer_stop,
        .timer_close = fake_timer_close,
        .post = fake_post,
        .post_cancel = fake_post_cancel,
    };
    fake->sink = (struct log){
        .level = LOG_LEVEL_DEBUG,
        .data = fake,
        .wall_ms = fake_wall_ms,
        .write = fake_log_write,
        .render = log_render_text,
    };
}

void fake_loop_close(struct fake_loop *fake)
{
    CHECK(fake->timers == NULL && fake->posts == NULL);
    buffer_close(&fake->log);
}

void fake_loop_pass(struct fake_loop *fake, uint64_t ms)
{
    fake->now_ns += ms * 1000000u;
    for (struct timer *timer = fake->timers; timer != NULL; timer = timer->next) {
        if (timer->due_ns <= fake->now_ns) {
            timer->due_ns = UINT64_MAX;
            timer->fired(timer->arg);
        }
    }
}

bool fake_loop_turn(struct fake_loop *fake)
{
    struct post *posts = fake->posts;
    fake->posts = NULL;
    while (posts != NULL) {
        struct post *post = posts;
        posts = post->next;
        post->queued = 0;
        post->run(post);
    }
    return fake->posts != NULL;
}

void fake_loop_settle(struct fake_loop *fake)
{
    while (fake_loop_turn(fake)) {
    }
}

bool fake_loop_logged(const struct fake_loop *fake, const char *text)
{
    return fake->log.len > 0 && memmem(fake->log.base, fake->log.len, text, strlen(text)) != NULL;
}
