/* node: one batond, put together. Opens the rooms in the order in which they need each other, runs the loop, and closes
 * them in the reverse order when it is asked to stop. */
#ifndef BATON_NODE_NODE_H
#define BATON_NODE_NODE_H

#include "node/options.h"

/* Runs until SIGTERM or SIGINT, or until it can't go on; returns the exit code. `options->node` becomes the data
 * directory's name when none was given. Some failures end the process from inside (a failed write: storage.h). */
int node_run(struct options *options);

#endif
