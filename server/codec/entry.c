/* An entry is a prefix of 16 bytes, the message `Entry` of entry.proto, and zeros up to a multiple of 8:
 *
 *   0  "BTNE"
 *   4  u16 format, 1
 *   6  u16 zero
 *   8  u32 length of the message
 *  12  u32 rules version that its commands need
 *
 * Format and rules come before everything that depends on them, so that an older build can say what it would need. What
 * is read here has passed a checksum: bytes that make no sense are a bug or a foreign file, and the caller stops. */
#include "codec/entry.h"

#include <string.h>

#include "base/limits.h"
#include "codec/entry.pb-c.h"
#include "codec/wire.h"
#include "core/rules.h"

#define ENTRY_MAGIC        "BTNE"
#define ENTRY_FORMAT       1u
#define ENTRY_PREFIX_BYTES 16u
#define ENTRY_ALIGNMENT    8u

/* ---- encoding ---- */

static void entry_append_header(const struct entry *entry, struct buffer *bytes)
{
    Wire__EntryHeader header;
    wire__entry_header__init(&header);
    header.run_id = wire_fixed(entry->run_id, sizeof entry->run_id);
    header.batch = entry->batch;
    header.now_ms = entry->now_ms;
    header.wall_ms = entry->wall_ms;
    header.has_no_growth = entry->no_growth;
    header.no_growth = entry->no_growth;
    Wire__Entry part;
    wire__entry__init(&part);
    part.header = &header;
    wire_append(&part.base, bytes);
}

/* One command as an Entry of its own, which joins those before it; `bytes` NULL: only its size. */
static size_t entry_pack_command(const struct command *command, struct buffer *bytes)
{
    struct command_wire wire;
    command_to_wire(command, &wire);
    Wire__Command *commands[] = {&wire.command};
    Wire__Entry part;
    wire__entry__init(&part);
    part.n_commands = 1;
    part.commands = commands;
    if (bytes == NULL) {
        return wire_size(&part.base);
    }
    wire_append(&part.base, bytes);
    return 0;
}

size_t entry_command_size(const struct command *command)
{
    return entry_pack_command(command, NULL);
}

size_t entry_overhead(void)
{
    const size_t header = 2 + (2 + 16) + 3 * (1 + 8) + 2; /* all but the flag have a fixed length */
    return ENTRY_PREFIX_BYTES + header + ENTRY_ALIGNMENT - 1;
}

void entry_encode(const struct entry *entry, struct buffer *bytes)
{
    size_t start = bytes->len;
    memset(buffer_extend(bytes, ENTRY_PREFIX_BYTES), 0, ENTRY_PREFIX_BYTES);
    entry_append_header(entry, bytes);
    for (size_t i = 0; i < entry->n_commands; i++) {
        CHECK(rules_version_needed(&entry->commands[i]) <= entry->rules_version);
        (void)entry_pack_command(&entry->commands[i], bytes);
    }
    size_t body = bytes->len - start - ENTRY_PREFIX_BYTES;
    CHECK(body <= LIMIT_ENTRY_BYTES - ENTRY_PREFIX_BYTES);
    size_t padding = (ENTRY_ALIGNMENT - body % ENTRY_ALIGNMENT) % ENTRY_ALIGNMENT;
    memset(buffer_extend(bytes, padding), 0, padding);

    uint8_t *prefix = bytes->base + start;
    memcpy(prefix, ENTRY_MAGIC, 4);
    bytes_put_u16(prefix + 4, ENTRY_FORMAT);
    bytes_put_u32(prefix + 8, (uint32_t)body);
    bytes_put_u32(prefix + 12, entry->rules_version);
}

/* ---- decoding ---- */

/* Checks the prefix and the padding, and gives the message between them. */
static enum error entry_open(struct slice bytes, uint32_t *rules_version, struct slice *body, struct error_text *text)
{
    if (bytes.len < ENTRY_PREFIX_BYTES || bytes.len > LIMIT_ENTRY_BYTES || bytes.len % ENTRY_ALIGNMENT != 0) {
        return error_set(text, ERROR_INVALID, "%zu bytes can't be a log entry", bytes.len);
    }
    if (memcmp(bytes.base, ENTRY_MAGIC, 4) != 0 || bytes_get_u16(bytes.base + 6) != 0) {
        return error_set(text, ERROR_INVALID, "the bytes don't begin as a log entry does");
    }
    unsigned format = bytes_get_u16(bytes.base + 4);
    if (format == 0) {
        return error_set(text, ERROR_INVALID, "a log entry has format 0");
    }
    if (format > ENTRY_FORMAT) {
        return error_set(text, ERROR_VERSION,
                         "a log entry has format %u, and this build reads up to %u: install the newer batond", format,
                         ENTRY_FORMAT);
    }
    *rules_version = bytes_get_u32(bytes.base + 12);
    if (*rules_version > rules_version_newest()) {
        return error_set(text, ERROR_VERSION,
                         "a log entry needs rules version %u, and this build knows up to %u: install the newer batond",
                         (unsigned)*rules_version, (unsigned)rules_version_newest());
    }
    size_t len = bytes_get_u32(bytes.base + 8);
    if (len > bytes.len - ENTRY_PREFIX_BYTES || bytes.len - ENTRY_PREFIX_BYTES - len >= ENTRY_ALIGNMENT) {
        return error_set(text, ERROR_INVALID, "a log entry of %zu bytes says that its body has %zu", bytes.len, len);
    }
    for (size_t i = ENTRY_PREFIX_BYTES + len; i < bytes.len; i++) {
        if (bytes.base[i] != 0) {
            return error_set(text, ERROR_INVALID, "the padding of a log entry isn't zero");
        }
    }
    *body = (struct slice){.base = bytes.base + ENTRY_PREFIX_BYTES, .len = len};
    return ERROR_NONE;
}

static enum error entry_take_command(const Wire__Command *wire, size_t number, struct arena *arena,
                                     const struct entry *entry, struct command *command, struct error_text *text)
{
    enum error error = command_from_wire(wire, arena, command);
    if (error == ERROR_VERSION) {
        return error_set(text, error,
                         "command %zu of a log entry has a kind, a field or rules that this build, whose newest rules "
                         "are %u, doesn't know: install the newer batond",
                         number, (unsigned)rules_version_newest());
    }
    if (error != ERROR_NONE) {
        return error_set(text, error, "command %zu of a log entry breaks the rules", number);
    }
    uint32_t needed = rules_version_needed(command);
    if (needed > entry->rules_version) {
        return error_set(text, ERROR_INVALID,
                         "command %zu of a log entry needs rules version %u, and the entry says that %u is enough",
                         number, (unsigned)needed, (unsigned)entry->rules_version);
    }
    return ERROR_NONE;
}

static enum error entry_take_commands(const Wire__Entry *wire, struct arena *arena, struct entry *entry,
                                      struct error_text *text)
{
    struct command *commands = arena_alloc(arena, wire->n_commands * sizeof *commands);
    if (commands == NULL) {
        return error_set(text, ERROR_INVALID, "a log entry doesn't fit the memory that one may take");
    }
    for (size_t i = 0; i < wire->n_commands; i++) {
        enum error error = entry_take_command(wire->commands[i], i, arena, entry, &commands[i], text);
        if (error != ERROR_NONE) {
            return error;
        }
    }
    entry->commands = commands;
    entry->n_commands = wire->n_commands;
    return ERROR_NONE;
}

enum error entry_check(struct slice bytes, struct error_text *text)
{
    uint32_t rules_version;
    struct slice body;
    return entry_open(bytes, &rules_version, &body, text);
}

enum error entry_decode(struct slice bytes, struct arena *arena, struct entry *entry, struct error_text *text)
{
    *entry = (struct entry){0};
    struct slice body = {0};
    enum error error = entry_open(bytes, &entry->rules_version, &body, text);
    if (error != ERROR_NONE) {
        return error;
    }
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__Entry *wire = wire__entry__unpack(&allocator, body.len, body.base);
    if (wire == NULL) {
        return error_set(text, ERROR_INVALID, "the body of a log entry isn't well formed");
    }
    if (!wire_is_known(&wire->base) || (wire->header != NULL && !wire_is_known(&wire->header->base))) {
        return error_set(text, ERROR_VERSION,
                         "a log entry has a field that this build doesn't know: install the newer batond");
    }
    if (wire->header == NULL || !wire_take_fixed(wire->header->run_id, entry->run_id, sizeof entry->run_id)) {
        return error_set(text, ERROR_INVALID, "a log entry doesn't say who proposed it");
    }
    entry->batch = wire->header->batch;
    entry->now_ms = wire->header->now_ms;
    entry->wall_ms = wire->header->wall_ms;
    entry->no_growth = wire->header->no_growth != 0;
    return entry_take_commands(wire, arena, entry, text);
}
