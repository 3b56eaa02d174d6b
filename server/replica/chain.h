/* chain: a doubly linked list of things that carry their own links. A link knows its chain, so that whoever has the thing
 * can take it out. Zero is an empty chain, and a link in none. */
#ifndef BATON_REPLICA_CHAIN_H
#define BATON_REPLICA_CHAIN_H

#include <stddef.h>

struct chain;

struct chain_link {
    struct chain_link *next, *previous;
    struct chain *chain; /* NULL: in none */
};

struct chain {
    struct chain_link *first, *last;
    size_t n;
};

/* The thing whose member `link` points to; `link` isn't NULL. */
#define OWNER_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

void chain_append(struct chain *chain, struct chain_link *link); /* in none before */
void chain_remove(struct chain_link *link);                      /* from the one it is in, if any */

#endif
