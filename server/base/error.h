/* error: codes for what the world does to us, and the sentence that goes with one.
 *
 * Functions return `enum error`; 0 is success. One table gives every code its name and its meaning; a function's header
 * comment says which it returns. The sentence in `struct error_text` is for people and is written once, where the error
 * is found, with path, offset and errno; callers propagate it and don't overwrite it. */
#ifndef BATON_BASE_ERROR_H
#define BATON_BASE_ERROR_H

#include "base/check.h"

#define ERROR_TABLE(X)                                                                                                 \
    X(NONE, "success")                                                                                                 \
    X(NO_MEMORY, "out of memory")                                                                                      \
    X(IO, "the disk failed")                                                                                           \
    X(NO_SPACE, "no space is left on the disk")                                                                        \
    X(CORRUPT, "acknowledged data is damaged or missing")                                                              \
    X(FOREIGN, "the data belongs to another node or cluster")                                                          \
    X(VERSION, "the data was written by another version")                                                              \
    X(NOT_FOUND, "it does not exist")                                                                                  \
    X(EXISTS, "it exists already")                                                                                     \
    X(LOCKED, "another process uses it")                                                                               \
    X(INVALID, "the input is not well formed")                                                                         \
    X(TOO_BIG, "the input is over its bound")                                                                          \
    X(NETWORK, "the network failed")                                                                                   \
    X(REFUSED, "the other side refused")                                                                               \
    X(BUSY, "it is under way already")                                                                                 \
    X(CANCELED, "it was cancelled because the program is stopping")

enum error {
#define X(name, text) ERROR_##name,
    ERROR_TABLE(X)
#undef X
};

/* A sentence of at most 511 bytes, always terminated. */
struct error_text {
    char text[512];
};

/* The table's sentence for `error`; never NULL. */
const char *error_describe(enum error error);

/* Writes the sentence into `text` (which may be NULL: then nothing happens) and returns `error`. */
enum error error_set(struct error_text *text, enum error error, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
