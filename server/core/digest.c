/* The digest of the logical state: a chain over the schedules in the order of their ids, each link the checksum of the
 * link before it and of the schedule's packed bytes (schedule_pack.c), which are a function of its content alone: equal
 * images have equal bytes, and different ones different bytes. Which slot a schedule has, and how often it was copied,
 * doesn't enter. */
#include "core/table.h"

static void add_number(struct buffer *bytes, uint64_t value)
{
    bytes_put_u64(buffer_extend(bytes, sizeof value), value);
}

static void add_numbers(struct buffer *bytes, const struct lock_table *table)
{
    add_number(bytes, table->numbers.now_ms);
    add_number(bytes, (uint64_t)table->numbers.wall_ms);
    add_number(bytes, table->numbers.index);
    add_number(bytes, table->numbers.next_token);
    add_number(bytes, table->numbers.next_member_id);
    add_number(bytes, table->numbers.rules_version);
    add_number(bytes, table->n_schedules);
}

struct digest128 lock_table_digest(struct lock_table *table)
{
    struct buffer bytes;
    buffer_init(&bytes);
    add_numbers(&bytes, table);
    struct digest128 digest = checksum_128(bytes.base, bytes.len);
    for (struct table_node *node = table_first(table); node != NULL; node = table_next(node)) {
        const struct schedule *schedule = node->schedule;
        buffer_clear(&bytes);
        buffer_append(&bytes, digest.bytes, sizeof digest.bytes);
        add_number(&bytes, schedule->id_len); /* the packed bytes begin with the id */
        buffer_append(&bytes, schedule->bytes, schedule->packed_len);
        digest = checksum_128(bytes.base, bytes.len);
    }
    buffer_close(&bytes);
    return digest;
}
