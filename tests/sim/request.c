/* Requests under way: on their way to a member, in its replica, and back with an answer. */
#include <stdlib.h>

#include "cluster.h"

/* An operation is answered within two election time-outs and the commit time-out; a repeat is bounded. */
#define FORGOTTEN_NS (20 * SIM_S)
#define WAITED_NS    (300 * SIM_MS)

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
    sending_drop(request->sending);
    free(request);
}

/* Or refused as often as it was, and never will be again. */
static bool not_proposed(enum operation_status status)
{
    return status == OPERATION_NO_LEADER || status == OPERATION_NOT_READY || status == OPERATION_OVERLOADED ||
           status == OPERATION_CANCELLED;
}

static bool may_be_waited_out(enum outcome_code code)
{
    return code == OUTCOME_LOCK_HELD || code == OUTCOME_COOLING_DOWN || code == OUTCOME_GROUP_FULL;
}

/* What became of a wait. Whoever was granted a lock that late was waiting for it. */
static void count_wait(const struct request *request)
{
    struct cluster *cluster = request->member->cluster;
    struct counts *counts = &cluster->counts;
    bool applied = request->status == OPERATION_APPLIED;
    if (request->sending == NULL || request->sending->wait_ms == 0 || !request->submitted) {
        return;
    }
    counts->waits++;
    counts->cancels += request->cancelled_ns != 0;
    counts->cancels_taken += request->status == OPERATION_CANCELLED;
    counts->cancels_crossed += request->cancelled_ns != 0 && applied;
    counts->waits_granted += applied && request->outcome.code == OUTCOME_DONE && !request->outcome.repeated &&
                             request->answered_ns - request->submitted_ns >= WAITED_NS;
    counts->waits_ended += applied && may_be_waited_out(request->outcome.code);
    counts->waits_answered += applied && request->outcome.code != OUTCOME_DONE &&
                              !may_be_waited_out(request->outcome.code) &&
                              request->answered_ns - request->submitted_ns >= WAITED_NS;
    counts->waits_given_up += request->status == OPERATION_NO_LEADER;
    counts->waits_unknown += request->status == OPERATION_UNKNOWN;
    if (request->status == OPERATION_CANCELLED && request->cancelled_ns == 0) {
        sim_fail(&cluster->world, "%s cancelled a request that nobody took back", request->member->node->name);
    }
    uint64_t wait_ns = request->sending->wait_ms * SIM_MS;
    if (applied && may_be_waited_out(request->outcome.code) && request->cancelled_ns == 0 &&
        request->answered_ns + 2 * SIM_MS < request->submitted_ns + wait_ns - wait_ns / 1000) {
        sim_fail(&cluster->world, "%s answered %s before the wait was over", request->member->node->name,
                 outcome_code_name(request->outcome.code));
    }
}

static void tell_audit(const struct request *request)
{
    struct audit *audit = request->member->cluster->audit;
    if (request->sending == NULL) {
        return;
    }
    if (request->status == OPERATION_APPLIED) {
        const struct audit_answer answer = {.ask = request->ask,
                                            .times = request->times,
                                            .heard = request->client != NULL,
                                            .outcome = &request->outcome,
                                            .fingerprint = request->fingerprint};
        audit_answered(audit, &answer);
    } else if (not_proposed(request->status)) {
        audit_not_proposed(audit, request->ask, request->times.this_ns);
    }
}

/* The end of every request that reached a living process. */
static void request_finish(void *arg)
{
    struct request *request = arg;
    struct cluster *cluster = request->member->cluster;
    struct client *client = request->client;
    cluster->counts.not_proposed += not_proposed(request->status);
    cluster->counts.unknowns += request->status == OPERATION_UNKNOWN;
    count_wait(request);
    tell_audit(request);
    if (request->status == OPERATION_APPLIED && request->sending != NULL) {
        workload_learn(cluster, request->sending, &request->outcome);
    }
    request->client = NULL;
    if (client != NULL) {
        client->request = NULL;
        client_answered(client, request->status, &request->outcome);
    }
    request_free(request);
}

/* Numbers are enough for a client. */
static void copy_outcome(struct request *request, const struct outcome *outcome)
{
    request->outcome = *outcome;
    request->fingerprint = audit_fingerprint(outcome);
    request->outcome.holders = NULL;
    request->outcome.runs = NULL;
}

static void request_answer(struct request *request, enum operation_status status, const struct outcome *outcome)
{
    struct cluster *cluster = request->member->cluster;
    if (request->member->node->doomed) {
        return; /* it died before the answer left: requests_drop goes on */
    }
    request->answered = true;
    request->answered_ns = cluster->world.now_ns;
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
    } else if (request->sending == NULL) {
        request->read.done = read_done;
        request->read.data = request;
        replica_read(member->replica, &request->read);
    } else {
        request->operation.command = request->sending->command;
        request->operation.wait_ms = request->sending->wait_ms;
        request->operation.done = operation_done;
        request->operation.data = request;
        replica_submit(member->replica, &request->operation);
    }
}

static struct request *request_new(struct member *member)
{
    struct cluster *cluster = member->cluster;
    struct request *request = calloc(1, sizeof *request);
    CHECK(request != NULL);
    request->member = member;
    request->floor = audit_floor(cluster->audit);
    request->times.this_ns = cluster->world.now_ns;
    request->times.index = audit_index(cluster->audit);
    request_link(request);
    return request;
}

static void request_leave(struct request *request)
{
    struct cluster *cluster = request->member->cluster;
    (void)sim_schedule(&cluster->world, request->member->node, rng_below(&cluster->rng, 500 * SIM_US), SIM_SCENARIO,
                       request_arrives, request);
}

void request_send(struct member *member, struct client *client, struct sending *sending)
{
    struct request *request = request_new(member);
    request->client = client;
    request->times.first_ns = client->first_ns;
    client->request = request;
    if (sending != NULL) {
        request->sending = sending_use(sending);
        request->ask = audit_asked(member->cluster->audit, &sending->command);
        if (sending->wait_ms > 0) {
            audit_waits(member->cluster->audit, request->ask);
        }
    }
    request_leave(request);
}

/* Until it has arrived there is nothing to take back: then its client just doesn't wait for it. */
void request_cancel(struct request *request)
{
    struct member *member = request->member;
    struct client *client = request->client;
    request->client = NULL;
    client->request = NULL;
    if (request->submitted && !request->answered && member->state == MEMBER_UP && !member->node->doomed &&
        member->replica != NULL) {
        request->cancelled_ns = member->cluster->world.now_ns;
        replica_cancel(member->replica, &request->operation);
    }
}

void requests_drop(struct member *member)
{
    struct audit *audit = member->cluster->audit;
    struct request *next;
    for (struct request *request = member->requests; request != NULL; request = next) {
        struct client *client = request->client;
        next = request->next;
        if (request->answered) {
            continue;
        }
        if (!request->submitted && request->sending != NULL) {
            audit_not_proposed(audit, request->ask, request->times.this_ns);
        }
        request_free(request);
        if (client != NULL) {
            client_answered(client, OPERATION_UNKNOWN, NULL);
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
        uint64_t wait_ns = request->sending == NULL ? 0 : request->sending->wait_ms * SIM_MS;
        uint64_t until_ns = request->submitted_ns + wait_ns + wait_ns / 1000 + FORGOTTEN_NS;
        if (request->cancelled_ns != 0 && until_ns > request->cancelled_ns + FORGOTTEN_NS) {
            until_ns = request->cancelled_ns + FORGOTTEN_NS;
        }
        if (request->submitted && !request->answered && world->now_ns > until_ns &&
            member->node->busy_until < world->now_ns && member->state == MEMBER_UP) {
            sim_fail(world, "%s has forgotten a request of kind %d", member->node->name,
                     request->sending == NULL ? 0 : (int)request->sending->command.kind);
        }
    }
}

/* ---- probes ---- */

void request_probe(struct member *member, bool *done)
{
    struct request *request = request_new(member);
    request->probe = done;
    request_leave(request);
}

void requests_forget_probes(struct cluster *cluster)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        for (struct request *request = cluster->members[i].requests; request != NULL; request = request->next) {
            request->probe = NULL;
        }
    }
}
