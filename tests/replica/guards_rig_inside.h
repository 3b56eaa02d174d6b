/* guards_rig_inside: what the rig's files know of each other. */
#ifndef BATON_TESTS_REPLICA_GUARDS_RIG_INSIDE_H
#define BATON_TESTS_REPLICA_GUARDS_RIG_INSIDE_H

#include "guards_rig.h"

void rig_heap_count(void); /* from now on libraft's memory is counted */
const char *rig_address(raft_id id);
void rig_configuration(const char *members, struct raft_configuration *configuration);
struct rig_entry rig_entry_of(struct rig_item item);
struct rig_entry rig_entry_copy(const struct raft_entry *from);
void rig_disk_truncate(struct rig_disk *disk, raft_index index);
void rig_disk_write(struct rig_disk *disk, raft_index index, struct rig_entry entry);
struct raft_buffer rig_state_buffer(struct rig_state state);
struct raft_snapshot *rig_snapshot_new(const struct rig_snapshot *from);
/* Gives the message entries of its own, all payloads in one batch. */
void rig_copy_entries(struct raft_append_entries *append);
void rig_append_free(struct rig_append *append);
void rig_settle(struct rig *rig); /* after every entry into libraft */

#endif
