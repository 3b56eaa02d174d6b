#include "fake_world.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"

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

/* ---- the replica ---- */

void replica_submit(struct replica *replica, struct operation *operation)
{
    CHECK(replica->n_operations < FAKE_PENDING);
    replica->operations[replica->n_operations++] = operation;
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
    CHECK(fake->timers == NULL);
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

bool fake_loop_logged(const struct fake_loop *fake, const char *text)
{
    return fake->log.len > 0 && memmem(fake->log.base, fake->log.len, text, strlen(text)) != NULL;
}
