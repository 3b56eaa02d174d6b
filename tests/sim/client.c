/* Clients: agents that take a lock, hold it, renew it, give it back or let it expire, and send again whatever they got
 * no answer for, through the next member, with the same key.
 *
 * Every choice that changes what is sent is made before the first attempt, so that a repeat is a repeat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cluster.h"

#define PATIENCE_NS (8 * SIM_S) /* then a client takes its request for lost */
#define ATTEMPTS    12u
#define FORGOTTEN_NS                                                                                                   \
    (20 *                                                                                                              \
     SIM_S) /* an operation is answered within two election time-outs and the commit time-out; a repeat is bounded */

static void client_answered(struct client *client, enum request_kind kind, enum operation_status status,
                            const struct outcome *outcome);
static void client_wake(void *arg);

/* ---- requests ---- */

static void request_link(struct request *request)
{
    struct member *member = request->member;
    request->next = member->requests;
    if (member->requests != NULL) {
        member->requests->previous = request;
    }
    member->requests = request;
}

static void request_free(struct request *request)
{
    if (request->previous != NULL) {
        request->previous->next = request->next;
    } else {
        request->member->requests = request->next;
    }
    if (request->next != NULL) {
        request->next->previous = request->previous;
    }
    if (request->client != NULL) {
        request->client->request = NULL;
    }
    free(request);
}

static bool not_proposed(enum operation_status status)
{
    return status == OPERATION_NO_LEADER || status == OPERATION_NOT_READY || status == OPERATION_OVERLOADED;
}

static void tell_audit(struct request *request, const struct outcome *outcome)
{
    struct audit *audit = request->member->cluster->audit;
    switch (request->kind) {
    case REQUEST_ACQUIRE:
        audit_acquired(audit, request->key, &request->times, request->altered, request->client != NULL, outcome);
        break;
    case REQUEST_RENEW:
        audit_renewed(audit, request->token, &request->times, request->client != NULL, outcome);
        break;
    case REQUEST_RELEASE:
        audit_released(audit, request->token, request->reported, outcome);
        break;
    case REQUEST_READ:
        break;
    }
}

/* The end of every request that reached a living process. */
static void request_finish(void *arg)
{
    struct request *request = arg;
    struct cluster *cluster = request->member->cluster;
    struct client *client = request->client;
    enum operation_status status = request->status;
    if (status == OPERATION_APPLIED) {
        tell_audit(request, &request->outcome);
    }
    if (not_proposed(status)) {
        cluster->counts.not_proposed++;
        if (request->kind == REQUEST_ACQUIRE) {
            audit_key_not_proposed(cluster->audit, request->key);
        } else if (request->kind == REQUEST_RENEW && client != NULL) {
            audit_renew_settled(cluster->audit, request->token, request->times.this_ns);
        }
    }
    cluster->counts.unknowns += status == OPERATION_UNKNOWN;
    request->client = NULL;
    if (client != NULL) {
        client->request = NULL;
        client_answered(client, request->kind, status, &request->outcome);
    }
    request_free(request);
}

static struct slice copy_slice(struct slice slice, char *to, size_t capacity)
{
    if (!slice_is_present(slice)) {
        return slice;
    }
    CHECK(slice.len <= capacity);
    memcpy(to, slice.base, slice.len);
    return (struct slice){.base = (uint8_t *)to, .len = slice.len};
}

static void copy_outcome(struct request *request, const struct outcome *outcome)
{
    struct outcome *copy = &request->outcome;
    *copy = *outcome;
    copy->grant.schedule_id =
        copy_slice(outcome->grant.schedule_id, request->answer_schedule, sizeof request->answer_schedule);
    copy->grant.occurrence =
        copy_slice(outcome->grant.occurrence, request->answer_occurrence, sizeof request->answer_occurrence);
    if (outcome->n_holders > 0) {
        request->first_holder = outcome->holders[0];
        copy->holders = &request->first_holder;
    }
}

static void request_answer(struct request *request, enum operation_status status, const struct outcome *outcome)
{
    struct cluster *cluster = request->member->cluster;
    if (request->member->node->doomed) {
        return; /* it died before the answer left: requests_drop goes on */
    }
    request->answered = true;
    request->status = status;
    if (outcome != NULL && status == OPERATION_APPLIED) {
        copy_outcome(request, outcome);
    }
    (void)sim_schedule(&cluster->world, NULL, rng_below(&cluster->rng, 500 * SIM_US), SIM_SCENARIO, request_finish,
                       request);
}

static void operation_done(struct operation *operation, enum operation_status status, const struct outcome *outcome)
{
    sim_trace(&((struct request *)operation->data)->member->cluster->world, 0x0d0e + (uint64_t)status);
    request_answer(operation->data, status, outcome);
}

static void read_done(struct replica_read *read, enum operation_status status)
{
    struct request *request = read->data;
    struct member *member = request->member;
    if (status == OPERATION_APPLIED && !member->node->doomed) {
        audit_read(member->cluster->audit, member->node->name, request->floor, replica_table(member->replica));
        if (request->probe != NULL) {
            *request->probe = true;
        }
    }
    request_answer(request, status, NULL);
}

static void request_arrives(void *arg)
{
    struct request *request = arg;
    struct member *member = request->member;
    request->submitted = true;
    request->submitted_ns = member->cluster->world.now_ns;
    if (member->state != MEMBER_UP || member->replica == NULL) {
        request_answer(request, OPERATION_NO_LEADER, NULL); /* it takes nothing more */
    } else if (request->kind == REQUEST_READ) {
        request->read.done = read_done;
        request->read.data = request;
        replica_read(member->replica, &request->read);
    } else {
        request->operation.done = operation_done;
        request->operation.data = request;
        replica_submit(member->replica, &request->operation);
    }
}

static struct request *request_new(struct member *member, enum request_kind kind)
{
    struct cluster *cluster = member->cluster;
    struct request *request = calloc(1, sizeof *request);
    CHECK(request != NULL);
    request->member = member;
    request->kind = kind;
    request->floor = audit_floor(cluster->audit);
    request->times.this_ns = cluster->world.now_ns;
    request->times.index = audit_index(cluster->audit);
    request_link(request);
    return request;
}

static void request_send(struct request *request)
{
    struct cluster *cluster = request->member->cluster;
    (void)sim_schedule(&cluster->world, request->member->node, rng_below(&cluster->rng, 500 * SIM_US), SIM_SCENARIO,
                       request_arrives, request);
}

void requests_drop(struct member *member)
{
    struct cluster *cluster = member->cluster;
    struct request *next;
    for (struct request *request = member->requests; request != NULL; request = next) {
        struct client *client = request->client;
        next = request->next;
        if (request->answered) {
            continue;
        }
        if (!request->submitted && request->kind == REQUEST_ACQUIRE) {
            audit_key_not_proposed(cluster->audit, request->key);
        }
        enum request_kind kind = request->kind;
        request_free(request);
        if (client != NULL) {
            client_answered(client, kind, OPERATION_UNKNOWN, NULL);
        }
    }
}

void requests_free(struct member *member)
{
    while (member->requests != NULL) {
        request_free(member->requests);
    }
}

void requests_check(struct member *member)
{
    struct sim_world *world = &member->cluster->world;
    for (struct request *request = member->requests; request != NULL; request = request->next) {
        if (request->submitted && !request->answered && world->now_ns - request->submitted_ns > FORGOTTEN_NS &&
            member->node->busy_until < world->now_ns && member->state == MEMBER_UP) {
            sim_fail(world, "%s has forgotten a request of kind %d", member->node->name, (int)request->kind);
        }
    }
}

/* ---- probes ---- */

void request_probe(struct member *member, bool *done)
{
    struct request *request = request_new(member, REQUEST_READ);
    request->probe = done;
    request_send(request);
}

void requests_forget_probes(struct cluster *cluster)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        for (struct request *request = cluster->members[i].requests; request != NULL; request = request->next) {
            request->probe = NULL;
        }
    }
}

/* ---- what a client sends ---- */

static struct member *draw_member(struct cluster *cluster)
{
    return &cluster->members[rng_below(&cluster->rng, MEMBERS)];
}

static void wake_in(struct client *client, uint64_t ns)
{
    struct sim_world *world = &client->cluster->world;
    sim_cancel(world, client->wake);
    client->wake = sim_schedule(world, NULL, ns, SIM_SCENARIO, client_wake, client);
}

static void send_acquire(struct client *client, struct request *request)
{
    const struct audit_acquire *acquire = &client->acquire;
    struct acquire_command *command = &request->operation.command.acquire;
    request->key = acquire->key;
    request->operation.command.kind = COMMAND_ACQUIRE;
    audit_schedule_name(acquire->schedule, request->schedule);
    audit_client_name(acquire->client, request->holder);
    audit_key_name(acquire->key, request->key_name);
    audit_metadata(acquire->key, request->metadata);
    command->schedule_id = slice_of(request->schedule);
    command->holder = slice_of(request->holder);
    command->idempotency_key = slice_of(request->key_name);
    command->metadata = slice_of(request->metadata);
    if (acquire->occurrence >= 0) {
        audit_occurrence_name((unsigned)acquire->occurrence, acquire->form, request->occurrence);
        command->occurrence = slice_of(request->occurrence);
    }
    command->has_ttl = !acquire->by_estimate || request->altered;
    command->ttl_ms = command->has_ttl ? acquire->ttl_ms + (request->altered ? 1 : 0) : 0;
    command->has_estimate = acquire->estimate_ms > 0;
    command->estimate_ms = acquire->estimate_ms;
    audit_key_attempt(client->cluster->audit, acquire->key);
}

static void send_renew(struct client *client, struct request *request)
{
    struct renew_command *command = &request->operation.command.renew;
    struct rng *rng = &client->cluster->rng;
    static const uint64_t ttls[] = {30000, 31000, 40000};
    request->operation.command.kind = COMMAND_RENEW;
    command->schedule_id = slice_of(request->schedule);
    command->token = request->token;
    command->has_ttl = rng_chance(rng, 500);
    command->ttl_ms = command->has_ttl ? ttls[rng_below(rng, 3)] : 0;
    audit_renew_asked(client->cluster->audit, request->token, command->ttl_ms);
}

static void send_release(struct client *client, struct request *request)
{
    struct release_command *command = &request->operation.command.release;
    request->operation.command.kind = COMMAND_RELEASE;
    command->schedule_id = slice_of(request->schedule);
    command->token = request->token;
    command->has_outcome = client->acquire.occurrence >= 0 || client->outcome != RUN_SUCCEEDED;
    command->outcome = request->reported = client->outcome;
    audit_release_asked(client->cluster->audit, request->token, client->outcome);
}

/* One more attempt at whatever the client's state says. */
static void client_send(struct client *client, bool altered)
{
    struct cluster *cluster = client->cluster;
    struct member *member = draw_member(cluster);
    if (client->attempts++ == 0) {
        client->first_ns = cluster->world.now_ns;
    }
    if (member->state != MEMBER_UP) { /* connection refused: the next member, in a moment */
        wake_in(client, rng_between(&cluster->rng, 10, 100) * SIM_MS);
        return;
    }
    struct request *request = request_new(member, REQUEST_READ);
    request->client = client;
    client->request = request;
    request->times.first_ns = client->first_ns;
    request->token = client->token;
    request->altered = altered;
    audit_schedule_name(client->acquire.schedule, request->schedule);
    if (client->state == CLIENT_ACQUIRING) {
        request->kind = REQUEST_ACQUIRE;
        send_acquire(client, request);
    } else if (client->state == CLIENT_RENEWING) {
        request->kind = REQUEST_RENEW;
        send_renew(client, request);
    } else if (client->state == CLIENT_RELEASING) {
        request->kind = REQUEST_RELEASE;
        send_release(client, request);
    }
    request_send(request);
    wake_in(client, PATIENCE_NS);
}

static uint64_t draw_ttl(struct rng *rng, uint64_t estimate_ms)
{
    uint64_t die = rng_below(rng, 100);
    if (die < 3) {
        return 29999; /* too short */
    }
    if (die < 4) {
        return LIMIT_TTL_MS + 1;
    }
    return estimate_ms + 30000 + (die < 50 ? 0 : rng_below(rng, 5000));
}

static void begin_acquire(struct client *client)
{
    struct cluster *cluster = client->cluster;
    struct rng *rng = &cluster->rng;
    struct audit_acquire *acquire = &client->acquire;
    *acquire = (struct audit_acquire){.key = ++cluster->keys,
                                      .schedule = (unsigned)rng_below(rng, AUDIT_SCHEDULES),
                                      .client = client->index,
                                      .occurrence = -1};
    if (rng_chance(rng, 400)) {
        acquire->occurrence = (int)rng_below(rng, AUDIT_OCCURRENCES);
        acquire->form = (unsigned)rng_below(rng, 3);
    }
    acquire->estimate_ms = rng_chance(rng, 200) ? rng_below(rng, 3000) : 0;
    acquire->ttl_ms = draw_ttl(rng, acquire->estimate_ms);
    acquire->by_estimate = acquire->estimate_ms > 0 && acquire->ttl_ms == acquire->estimate_ms + 30000;
    audit_key_opened(cluster->audit, acquire);
    client->state = CLIENT_ACQUIRING;
    client->attempts = 0;
    client->token = 0;
    client_send(client, false);
}

/* ---- a client's life ---- */

static void rest(struct client *client)
{
    client->state = CLIENT_IDLE;
    client->attempts = 0;
    wake_in(client, rng_below(&client->cluster->rng, 2 * client->cluster->think_ms * SIM_MS) + SIM_MS);
}

static void hold(struct client *client)
{
    client->state = CLIENT_HOLDING;
    client->attempts = 0;
    wake_in(client, rng_below(&client->cluster->rng, 3 * client->cluster->think_ms * SIM_MS) + SIM_MS);
}

static void begin_release(struct client *client)
{
    struct rng *rng = &client->cluster->rng;
    static const enum run_outcome outcomes[] = {RUN_SUCCEEDED, RUN_SUCCEEDED, RUN_FAILED, RUN_ABANDONED};
    client->outcome = outcomes[rng_below(rng, 4)];
    client->state = CLIENT_RELEASING;
    client->attempts = 0;
    client_send(client, false);
}

static void go_on_holding(struct client *client)
{
    struct rng *rng = &client->cluster->rng;
    uint64_t die = rng_below(rng, 1000);
    client->attempts = 0;
    if (client->late) {
        client->late = false;
        begin_release(client);
    } else if (die < 250) {
        client->state = CLIENT_RENEWING;
        client_send(client, false);
    } else if (die < 350) { /* the same request again: the same token */
        client->state = CLIENT_ACQUIRING;
        client_send(client, rng_chance(rng, 200));
    } else if (die < 480) { /* dies: the lock expires */
        rest(client);
    } else if (die < 510) { /* reports after its lock has expired */
        client->late = true;
        wake_in(client, 46 * SIM_S);
    } else {
        begin_release(client);
    }
}

static void retry(struct client *client, uint64_t least_ms)
{
    if (client->attempts >= ATTEMPTS) {
        rest(client);
        return;
    }
    wake_in(client, rng_between(&client->cluster->rng, least_ms, least_ms + 300) * SIM_MS);
}

static void acquire_answered(struct client *client, const struct outcome *outcome)
{
    struct rng *rng = &client->cluster->rng;
    if (outcome->code == OUTCOME_DONE) {
        client->token = outcome->grant.token;
        hold(client);
    } else if (outcome->code == OUTCOME_IDEMPOTENCY_CONFLICT && client->token != 0) {
        hold(client);
    } else if (outcome->code == OUTCOME_LOCK_HELD && rng_chance(rng, 100) && client->attempts < ATTEMPTS) {
        retry(client, 1000); /* tries again with the key that it has: a refused request leaves none */
    } else {
        rest(client);
    }
}

static void client_answered(struct client *client, enum request_kind kind, enum operation_status status,
                            const struct outcome *outcome)
{
    struct rng *rng = &client->cluster->rng;
    if (kind == REQUEST_READ) {
        rest(client);
        return;
    }
    if (status != OPERATION_APPLIED) {
        retry(client, 5);
        return;
    }
    if (client->state == CLIENT_ACQUIRING) {
        acquire_answered(client, outcome);
    } else if (client->state == CLIENT_RENEWING) {
        outcome->code == OUTCOME_LOCK_LOST ? rest(client) : hold(client);
    } else if (client->state == CLIENT_RELEASING && rng_chance(rng, 100)) { /* sends it once more, or its key */
        client->attempts = ATTEMPTS - 2;
        client->state = rng_chance(rng, 500) ? CLIENT_RELEASING : CLIENT_ACQUIRING;
        wake_in(client, SIM_MS);
    } else {
        rest(client);
    }
}

static void client_wake(void *arg)
{
    struct client *client = arg;
    struct cluster *cluster = client->cluster;
    client->wake = NULL;
    if (client->request != NULL) { /* patience is out; the request may still do its work */
        client->request->client = NULL;
        client->request = NULL;
        cluster->counts.unknowns++;
        retry(client, 1);
        return;
    }
    switch (client->state) {
    case CLIENT_IDLE:
        if (cluster->quiet) {
            wake_in(client, 100 * SIM_MS);
        } else if (rng_chance(&cluster->rng, 100)) {
            client_send(client, false); /* a read */
        } else {
            begin_acquire(client);
        }
        break;
    case CLIENT_HOLDING:
        go_on_holding(client);
        break;
    default:
        if (client->attempts >= ATTEMPTS) {
            rest(client);
        } else {
            client_send(client, false);
        }
    }
}

void client_open(struct client *client, struct cluster *cluster, unsigned index)
{
    client->cluster = cluster;
    client->index = index;
    client->state = CLIENT_IDLE;
    wake_in(client, rng_below(&cluster->rng, SIM_S));
}

void client_close(struct client *client)
{
    sim_cancel(&client->cluster->world, client->wake);
    client->wake = NULL;
    if (client->request != NULL) {
        client->request->client = NULL;
    }
}
