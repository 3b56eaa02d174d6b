/* entry: the bytes of one log entry (all operations of one loop turn), through protobuf-c.
 *
 * The bytes are kept for ever and read by later versions: tests/golden holds them, and changing a field's meaning is not
 * done. An entry that can't be understood is a reason to stop (law 9), so decoding tells why. */
#ifndef BATON_CODEC_ENTRY_H
#define BATON_CODEC_ENTRY_H

#include "base/error.h"
#include "base/slice.h"
#include "core/command.h"

struct entry {
    uint8_t run_id[16]; /* the proposing process */
    uint64_t batch;     /* counts that process's entries; with run_id it finds the requests again */
    uint64_t now_ms;    /* proposer's cluster time */
    int64_t wall_ms;
    bool no_growth;
    uint32_t rules_version; /* the newest rules that any of its commands needs, or later ones */
    const struct command *commands;
    size_t n_commands;
};

/* What `command` adds to an entry, in bytes, at most. For filling an entry up to LIMIT_ENTRY_BYTES. */
size_t entry_command_size(const struct command *command);
/* What an entry without commands takes, at most. */
size_t entry_overhead(void);

/* Appends the entry to `bytes`. The length is a multiple of 8, as libraft demands of a log entry. CHECKs that every command
 * keeps to the contract's rules (names, lengths, ranges) and needs no newer rules than the entry says: one that doesn't would
 * stop every node that reads it. */
void entry_encode(const struct entry *entry, struct buffer *bytes);

/* Commands and strings live in `arena` and in `bytes`; a well-formed entry takes at most 64 times its length of the arena.
 * ERROR_INVALID: not an entry. ERROR_VERSION: it has a format, rules (needed, or raised to), a kind of command or a field
 * newer than this build. `text` says which. */
enum error entry_decode(struct slice bytes, struct arena *arena, struct entry *entry, struct error_text *text)
    MUST_CHECK;
/* The same from the first bytes alone: whether this build knows the format and the rules. Cheap, also for a long log. */
enum error entry_check(struct slice bytes, struct error_text *text) MUST_CHECK;

#endif
