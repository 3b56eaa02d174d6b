/* random_test: a table and a model that get the same random commands; what is drawn, how it is written, and how the two
 * are compared. */
#ifndef BATON_TESTS_CORE_RANDOM_TEST_H
#define BATON_TESTS_CORE_RANDOM_TEST_H

#include "fixture.h"
#include "model.h"

enum { ASKS = 5 };

/* What was told lately. */
struct told {
    struct model_event events[MODEL_EVENTS];
    int n;
    uint32_t next_number; /* of the entry's next event */
};

struct random_test {
    struct fixture f;
    struct model *model;
    uint64_t random;
    int next_key;
    struct model_ask asks[MODEL_SCHEDULES][ASKS]; /* sent lately */
    int n_asks[MODEL_SCHEDULES];
    struct model_answer answer; /* the model's last */
    struct told told;
    uint64_t free_slots_before;    /* the model's last acquire */
    int64_t hour[MODEL_SCHEDULES]; /* the schedule's planned instants have come this far */
    /* how often each thing happened */
    unsigned codes[32];
    unsigned policies_set;
    unsigned policies_deleted;
    unsigned revoked;
    unsigned revoked_again;
    unsigned revoked_released;
    unsigned late_releases_of_revoked;
    unsigned more_than_one_slot;
    unsigned more_runs_than_usual;
    unsigned granted;
    unsigned repeated_acquires;
    unsigned repeated_releases;
    unsigned renewed;
    unsigned late_successes;
    unsigned below_floor;
    unsigned copies;
    unsigned told_of[EVENT_FREEZE + 1];
    unsigned batches;
    unsigned groups_set;
    unsigned groups_deleted;
    unsigned freezes_set;
    unsigned freezes_deleted;
    unsigned grants_in_groups;
    unsigned probes;
    unsigned overdue;
};

uint64_t draw_below(struct random_test *test, uint64_t bound);
bool draw_percent(struct random_test *test, unsigned percent);

/* The bytes of an acquire command. */
struct written {
    char id[16];
    char holder[16];
    char key[16];
    char occurrence[48];
    char metadata[24];
};
struct command write_acquire(const struct model_ask *ask, struct written *written);

void write_scope(char text[24], int scope);
int read_number(struct slice text);    /* at the end of "schedule.7" and the like; 0 when there is nothing */
void listen(struct random_test *test); /* to the table */

/* What the table told since the last time is what the model did. */
void expect_events(struct random_test *test);
/* A probe said what the model then answered to the same request. */
void expect_probe(struct random_test *test, const struct probe *probe);

/* The table's last outcome is the model's last answer. */
void expect_answer(struct random_test *test);
void expect_counts(struct random_test *test);
/* What a read shows of one schedule. */
void expect_view(struct random_test *test, int schedule);

#endif
