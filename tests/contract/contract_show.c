#include "contract_show.h"

#include <stdlib.h>
#include <string.h>

struct contract_piece piece_of(const char *text)
{
    if (text[0] == '\0') {
        return (struct contract_piece){NULL, 0};
    }
    return (struct contract_piece){text, strlen(text)};
}

void text_clear(struct contract_text *text)
{
    text->len = 0;
    text->text[0] = '\0';
}

static void add_bytes(struct contract_text *text, struct contract_piece piece)
{
    if (piece.len >= sizeof text->text - text->len) {
        abort(); /* the universe outgrew its paper */
    }
    memcpy(text->text + text->len, piece.base, piece.len);
    text->len += piece.len;
    text->text[text->len] = '\0';
}

void text_add(struct contract_text *text, const char *words)
{
    add_bytes(text, (struct contract_piece){words, strlen(words)});
}

static void add_name(struct contract_text *text, const char *name)
{
    text_add(text, " ");
    text_add(text, name);
    text_add(text, "=");
}

void text_piece(struct contract_text *text, const char *name, struct contract_piece piece)
{
    add_name(text, name);
    add_bytes(text, piece.base == NULL ? (struct contract_piece){"null", 4} : piece);
}

static void add_digits(struct contract_text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_bytes(text, (struct contract_piece){digits + at, sizeof digits - at});
}

void text_number(struct contract_text *text, const char *name, uint64_t number)
{
    add_name(text, name);
    add_digits(text, number);
}

void text_instant(struct contract_text *text, const char *name, int64_t wall_ms)
{
    add_name(text, name);
    text_add(text, wall_ms < 0 ? "-" : "");
    add_digits(text, wall_ms < 0 ? 0 - (uint64_t)wall_ms : (uint64_t)wall_ms);
}

void text_flag(struct contract_text *text, const char *name, bool flag)
{
    if (flag) {
        text_add(text, " ");
        text_add(text, name);
    }
}

void show_lock(struct contract_text *text, const char *title, const struct contract_shown_lock *lock)
{
    text_add(text, title);
    text_piece(text, "schedule_id", lock->schedule);
    text_piece(text, "holder", lock->holder);
    text_number(text, "token", lock->token);
    text_number(text, "ttl_ms", lock->ttl_ms);
    text_number(text, "remaining_ms", lock->remaining_ms);
    text_instant(text, "acquired_at", lock->acquired_wall_ms);
    text_instant(text, "expires_at", lock->expires_wall_ms);
    text_piece(text, "occurrence", lock->occurrence);
    text_number(text, "attempt", lock->attempt);
    text_piece(text, "metadata", lock->metadata);
    text_flag(text, "revoking", lock->is_revoking);
    text_add(text, "\n");
}

void show_run(struct contract_text *text, const char *title, const struct contract_shown_run *run)
{
    text_add(text, title);
    text_piece(text, "schedule_id", run->schedule);
    text_number(text, "token", run->token);
    text_piece(text, "holder", run->holder);
    text_piece(text, "occurrence", run->occurrence);
    text_number(text, "attempt", run->attempt);
    text_piece(text, "outcome", piece_of(run->outcome));
    text_piece(text, "late_outcome", piece_of(run->late_outcome == NULL ? "" : run->late_outcome));
    text_instant(text, "acquired_at", run->acquired_wall_ms);
    text_instant(text, "ended_at", run->ended_wall_ms);
    text_number(text, "duration_ms", run->duration_ms);
    text_piece(text, "actor", run->actor);
    text_piece(text, "reason", run->reason);
    text_flag(text, "newly_revoked", run->is_newly_revoked);
    text_flag(text, "newly_freed", run->is_newly_freed);
    text_add(text, "\n");
}

void show_policy(struct contract_text *text, const char *title, const struct contract_shown_policy *policy)
{
    text_add(text, title);
    text_piece(text, "schedule_id", policy->schedule);
    text_number(text, "estimated_duration_ms", policy->estimate_ms);
    text_number(text, "safety_margin_ms", policy->margin_ms);
    text_number(text, "max_ttl_ms", policy->max_ttl_ms);
    text_number(text, "min_hold_ms", policy->min_hold_ms);
    text_number(text, "slots", policy->slots);
    text_piece(text, "group", policy->group);
    text_number(text, "max_attempts", policy->max_attempts);
    text_number(text, "expected_every_ms", policy->expected_every_ms);
    text_piece(text, "description", policy->description);
    text_number(text, "overdue_ms", policy->overdue_ms);
    if (policy->has_success) {
        text_instant(text, "last_success_at", policy->last_success_wall_ms);
    }
    text_add(text, "\n");
}

void show_group(struct contract_text *text, const char *title, const struct contract_shown_group *group)
{
    text_add(text, title);
    text_piece(text, "name", group->name);
    text_number(text, "slots", group->slots);
    text_number(text, "held", group->held);
    text_number(text, "schedules", group->schedules);
    text_add(text, "\n");
}

void show_freeze(struct contract_text *text, const char *title, const struct contract_shown_freeze *freeze)
{
    text_add(text, title);
    text_piece(text, "scope", freeze->scope);
    text_piece(text, "reason", freeze->reason);
    text_piece(text, "actor", freeze->actor);
    text_number(text, "ttl_ms", freeze->ttl_ms);
    text_number(text, "remaining_ms", freeze->remaining_ms);
    text_instant(text, "created_at", freeze->created_wall_ms);
    text_instant(text, "expires_at", freeze->expires_wall_ms);
    text_add(text, "\n");
}
