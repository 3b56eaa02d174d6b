/* The room core works with nothing but base beside it: this program links no other library of ours, no Raft, no JSON,
 * no loop. That it links is the proof; that it grants a lock shows that something was linked. */
#include "core/instant.h"
#include "core/lock_table.h"

int main(void)
{
    struct lock_table *table = lock_table_open();
    struct apply_context context = {.index = 1, .now_ms = 1};
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of("job"),
                                               .holder = slice_of("h"),
                                               .idempotency_key = slice_of("k"),
                                               .has_ttl = true,
                                               .ttl_ms = 60000};
    struct outcome outcome;
    lock_table_advance(table, &context);
    lock_table_apply(table, &context, &command, &outcome);
    lock_table_check(table);
    bool granted = outcome.code == OUTCOME_DONE;
    struct lock_table_frozen *frozen = lock_table_freeze(table);
    struct schedule_image image;
    granted = granted && lock_table_frozen_next(frozen, &image);
    lock_table_thaw(table, frozen);
    lock_table_close(table);
    return granted ? 0 : 1;
}
