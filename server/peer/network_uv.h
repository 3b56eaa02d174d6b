/* network_uv: TCP through libuv. */
#ifndef BATON_PEER_NETWORK_UV_H
#define BATON_PEER_NETWORK_UV_H

#include <uv.h>

#include "peer/network.h"

void network_uv_open(struct network *network, uv_loop_t *loop);
/* Frees; every listener and connection must be closed. `closed` is called on the loop. */
void network_uv_close(struct network *network, void (*closed)(void *arg), void *arg);

#endif
