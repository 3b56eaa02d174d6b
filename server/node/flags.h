/* flags: the one table of what `batond` can be told. The command line is read by it, the environment's names are made from
 * it, and --help prints it. Private to options. */
#ifndef BATON_NODE_FLAGS_H
#define BATON_NODE_FLAGS_H

#include "node/options.h"

/* A setter gets the value and, for its sentence, where it comes from ("--node", "BATON_NODE"). */
struct flag {
    const char *name;
    const char *argument; /* NULL: it takes none, and its variable is 1 or 0 */
    const char *standard; /* what counts when it isn't given, for people */
    const char *help;
    enum error (*set)(struct options *options, const char *value, const char *from, struct error_text *error);
};

#define FLAG_NAME_BYTES 64 /* room for a flag's name or its variable's */

extern const struct flag flag_table[];
extern const int flag_count;

/* BATON_DATA_DIR for "data-dir". */
void flag_variable(const char *flag, char name[FLAG_NAME_BYTES]);
/* The name in the table (or "help", "version") that is most like `text`, which has no dashes in front. Never NULL. */
const char *flag_nearest(struct slice text);

#endif
