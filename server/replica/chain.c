#include "replica/chain.h"

#include "base/check.h"

void chain_append(struct chain *chain, struct chain_link *link)
{
    CHECK(link->chain == NULL);
    link->chain = chain;
    link->next = NULL;
    link->previous = chain->last;
    *(chain->last == NULL ? &chain->first : &chain->last->next) = link;
    chain->last = link;
    chain->n++;
}

void chain_remove(struct chain_link *link)
{
    struct chain *chain = link->chain;
    if (chain == NULL) {
        return;
    }
    *(link->previous == NULL ? &chain->first : &link->previous->next) = link->next;
    *(link->next == NULL ? &chain->last : &link->next->previous) = link->previous;
    chain->n--;
    *link = (struct chain_link){0};
}
