/* contract_show: what was answered, as text.
 *
 * The model and the lock table are shown in the same words, so that two texts are equal exactly when they say the same, and
 * a person can read where they don't. It knows neither of them. */
#ifndef BATON_TESTS_CONTRACT_SHOW_H
#define BATON_TESTS_CONTRACT_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTRACT_SHOWN_BYTES = 128 * 1024 }; /* room for all grants, runs and lists of a test */

struct contract_text {
    size_t len;
    char text[CONTRACT_SHOWN_BYTES]; /* terminated */
};

/* Bytes that end where `len` says; `base` is NULL when there are none. */
struct contract_piece {
    const char *base;
    size_t len;
};
struct contract_piece piece_of(const char *text); /* "" is none */

void text_clear(struct contract_text *text);
void text_add(struct contract_text *text, const char *words);
void text_piece(struct contract_text *text, const char *name, struct contract_piece piece);
void text_number(struct contract_text *text, const char *name, uint64_t number);
void text_instant(struct contract_text *text, const char *name, int64_t wall_ms);
void text_flag(struct contract_text *text, const char *name, bool flag); /* shown when set */

struct contract_shown_lock {
    struct contract_piece schedule;
    struct contract_piece holder;
    struct contract_piece occurrence;
    struct contract_piece metadata;
    uint64_t token;
    uint64_t ttl_ms;
    uint64_t remaining_ms;
    int64_t acquired_wall_ms;
    int64_t expires_wall_ms;
    uint32_t attempt;
    bool is_revoking;
};
struct contract_shown_run {
    struct contract_piece schedule;
    struct contract_piece holder;
    struct contract_piece occurrence;
    struct contract_piece actor;
    struct contract_piece reason;
    uint64_t token;
    uint64_t duration_ms;
    int64_t acquired_wall_ms;
    int64_t ended_wall_ms;
    const char *outcome;
    const char *late_outcome; /* NULL: none */
    uint32_t attempt;
    bool is_newly_revoked;
    bool is_newly_freed;
};
struct contract_shown_policy {
    struct contract_piece schedule;
    struct contract_piece group;
    struct contract_piece description;
    uint64_t estimate_ms;
    uint64_t margin_ms;
    uint64_t max_ttl_ms;
    uint64_t min_hold_ms;
    uint64_t expected_every_ms;
    uint64_t slots;
    uint64_t max_attempts;
    uint64_t overdue_ms;
    bool has_success;
    int64_t last_success_wall_ms;
};
struct contract_shown_group {
    struct contract_piece name;
    uint64_t slots;
    uint64_t held;
    uint64_t schedules;
};
struct contract_shown_freeze {
    struct contract_piece scope;
    struct contract_piece actor;
    struct contract_piece reason;
    uint64_t ttl_ms;
    uint64_t remaining_ms;
    int64_t created_wall_ms;
    int64_t expires_wall_ms;
};

/* Each is a line, which begins with the title. */
void show_lock(struct contract_text *text, const char *title, const struct contract_shown_lock *lock);
void show_run(struct contract_text *text, const char *title, const struct contract_shown_run *run);
void show_policy(struct contract_text *text, const char *title, const struct contract_shown_policy *policy);
void show_group(struct contract_text *text, const char *title, const struct contract_shown_group *group);
void show_freeze(struct contract_text *text, const char *title, const struct contract_shown_freeze *freeze);

#endif
