/* Clients: agents that take a lock, hold it, renew it, give it back or let it expire, now and then set policies and revoke
 * what others hold, and send again whatever they got no answer for, through the next member, as it was. */
#include "cluster.h"

#define PATIENCE_NS (8 * SIM_S) /* then a client takes its request for lost */
#define ATTEMPTS    12u
#define LATE_MS     40000u /* nobody waits longer for a lock to expire */

static void client_wake(void *arg);

static void wake_in(struct client *client, uint64_t ns)
{
    struct sim_world *world = &client->cluster->world;
    sim_cancel(world, client->wake);
    client->wake = sim_schedule(world, NULL, ns, SIM_SCENARIO, client_wake, client);
}

/* One more attempt at what it is about. */
static void client_send(struct client *client)
{
    struct cluster *cluster = client->cluster;
    struct member *member = &cluster->members[rng_below(&cluster->rng, MEMBERS)];
    if (client->attempts++ == 0) {
        client->first_ns = cluster->world.now_ns;
    }
    if (member->state != MEMBER_UP) { /* connection refused: the next member, in a moment */
        wake_in(client, rng_between(&cluster->rng, 10, 100) * SIM_MS);
        return;
    }
    request_send(member, client, client->current);
    uint64_t wait_ns = client->current == NULL ? 0 : client->current->wait_ms * SIM_MS;
    client->hangs_up = wait_ns > 0 && rng_chance(&cluster->rng, 250);
    wake_in(client, client->hangs_up ? rng_below(&cluster->rng, wait_ns) : wait_ns + PATIENCE_NS);
}

/* Takes `sending` over and begins with it. */
static void begin(struct client *client, enum client_state state, struct sending *sending)
{
    sending_drop(client->current);
    client->current = sending;
    client->state = state;
    client->attempts = 0;
    client_send(client);
}

/* ---- a client's life ---- */

static void rest(struct client *client)
{
    sending_drop(client->current);
    client->current = NULL;
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

static void begin_acquire(struct client *client)
{
    sending_drop(client->acquire);
    client->acquire = make_acquire(client);
    client->token = 0;
    begin(client, CLIENT_ACQUIRING, sending_use(client->acquire));
}

/* The same request again: the same token; or its key for another one, which is refused. */
static void acquire_again(struct client *client)
{
    bool altered = rng_chance(&client->cluster->rng, 200);
    begin(client, CLIENT_ACQUIRING, altered ? make_altered(client->acquire) : sending_use(client->acquire));
}

static void wait_until_expired(struct client *client)
{
    uint64_t ttl_ms = client->ttl_ms < LATE_MS ? client->ttl_ms : LATE_MS;
    client->late = true;
    workload_failed(client);
    wake_in(client, (ttl_ms + rng_below(&client->cluster->rng, 6000)) * SIM_MS);
}

static void go_on_holding(struct client *client)
{
    uint64_t die = rng_below(&client->cluster->rng, 1000);
    client->attempts = 0;
    if (client->late) {
        client->late = false;
        begin(client, CLIENT_RELEASING, make_release(client));
    } else if (die < 250) {
        begin(client, CLIENT_RENEWING, make_renew(client));
    } else if (die < 350) {
        acquire_again(client);
    } else if (die < 480) { /* dies: the lock expires */
        workload_failed(client);
        rest(client);
    } else if (die < 530) { /* reports after its lock has expired */
        wait_until_expired(client);
    } else {
        begin(client, CLIENT_RELEASING, make_release(client));
    }
}

static void begin_something(struct client *client)
{
    uint64_t die = rng_below(&client->cluster->rng, 1000);
    if (client->cluster->quiet) {
        wake_in(client, 100 * SIM_MS);
    } else if (die < 100) {
        begin(client, CLIENT_IDLE, NULL); /* a read */
    } else if (die < 180) {
        begin(client, CLIENT_OPERATING, make_order(client));
    } else {
        begin_acquire(client);
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

/* ---- answers ---- */

static void acquire_answered(struct client *client, const struct outcome *outcome)
{
    struct rng *rng = &client->cluster->rng;
    if (outcome->code == OUTCOME_DONE) {
        client->token = outcome->grant.token;
        client->ttl_ms = outcome->grant.ttl_ms;
        if (client->current->wait_ms > 0 && rng_chance(rng, 400)) {
            begin(client, CLIENT_RENEWING, make_renew(client)); /* what it believes is counted from before it waited */
        } else {
            hold(client);
        }
    } else if (outcome->code == OUTCOME_IDEMPOTENCY_CONFLICT && client->token != 0) {
        hold(client);
    } else if (outcome->code == OUTCOME_LOCK_HELD && rng_chance(rng, 100)) {
        retry(client, 1000); /* with the key that it has: a refused request leaves none */
    } else if (outcome->code == OUTCOME_COOLING_DOWN && rng_chance(rng, 500)) {
        retry(client, outcome->remaining_ms);
    } else {
        rest(client);
    }
}

static void renew_answered(struct client *client, const struct outcome *outcome)
{
    if (outcome->code != OUTCOME_LOCK_LOST) {
        client->ttl_ms = outcome->code == OUTCOME_DONE ? outcome->grant.ttl_ms : client->ttl_ms;
        hold(client);
    } else if (rng_chance(&client->cluster->rng, 700)) { /* it was revoked, or has expired: the job is stopped */
        begin(client, CLIENT_RELEASING, make_release(client));
    } else {
        rest(client);
    }
}

/* Most are content; some send it once more, or the key of the lock. */
static void done_answered(struct client *client)
{
    struct rng *rng = &client->cluster->rng;
    if (!rng_chance(rng, 100)) {
        rest(client);
        return;
    }
    if (client->state == CLIENT_RELEASING && rng_chance(rng, 500)) {
        client->state = CLIENT_ACQUIRING;
        sending_drop(client->current);
        client->current = sending_use(client->acquire);
    }
    client->attempts = ATTEMPTS - 2;
    wake_in(client, SIM_MS);
}

void client_answered(struct client *client, enum operation_status status, const struct outcome *outcome)
{
    if (client->state == CLIENT_IDLE) {
        rest(client);
    } else if (status != OPERATION_APPLIED) {
        retry(client, 5);
    } else if (client->state == CLIENT_ACQUIRING) {
        acquire_answered(client, outcome);
    } else if (client->state == CLIENT_RENEWING) {
        renew_answered(client, outcome);
    } else {
        done_answered(client);
    }
}

/* Most are content; some come again with their key. */
static void hung_up(struct client *client)
{
    if (rng_chance(&client->cluster->rng, 300)) {
        retry(client, 1);
    } else {
        rest(client);
    }
}

static void client_wake(void *arg)
{
    struct client *client = arg;
    struct cluster *cluster = client->cluster;
    client->wake = NULL;
    if (client->request != NULL && client->hangs_up) {
        request_cancel(client->request);
        hung_up(client);
    } else if (client->request != NULL) { /* patience is out; the request may still do its work */
        client->request->client = NULL;
        client->request = NULL;
        cluster->counts.unknowns++;
        retry(client, 1);
    } else if (client->state == CLIENT_IDLE) {
        begin_something(client);
    } else if (client->state == CLIENT_HOLDING) {
        go_on_holding(client);
    } else if (client->attempts >= ATTEMPTS) {
        rest(client);
    } else {
        client_send(client);
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
    sending_drop(client->current);
    sending_drop(client->acquire);
}
