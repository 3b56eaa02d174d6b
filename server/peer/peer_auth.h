/* peer_auth: what the cluster key is used for. The only part of this room that knows cryptography (GnuTLS: HMAC-SHA-256
 * and HKDF), behind functions over bytes.
 *
 * Both hellos as they crossed the wire are the transcript. They hold both names, nonces, incarnations, run ids, cluster
 * ids, versions and the connection number, so whoever alters one bit of either ends with other proofs and other keys. A
 * side puts its own part into the proof and into the key, so nothing sent one way is ever good the other way. */
#ifndef BATON_PEER_PEER_AUTH_H
#define BATON_PEER_PEER_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define AUTH_KEY_BYTES_MIN 32u
#define AUTH_MAC_BYTES     32u
#define AUTH_TAG_BYTES     16u

enum auth_side { AUTH_DIALER, AUTH_ACCEPTOR };

struct auth_transcript { /* bodies of the two hello frames */
    struct slice dialer;
    struct slice acceptor;
};

/* What `side` sends to prove that it has `key`. */
void auth_prove(struct slice key, enum auth_side side, const struct auth_transcript *transcript,
                uint8_t mac[AUTH_MAC_BYTES]);
/* In constant time. */
bool auth_equal(const uint8_t *a, const uint8_t *b, size_t len);

/* The key that tags what `side` sends; freed by auth_close (NULL is allowed). */
struct auth_tagger;
struct auth_tagger *auth_open(struct slice key, enum auth_side side, const struct auth_transcript *transcript);
void auth_close(struct auth_tagger *tagger);
/* The tag of the frame with this number. */
void auth_tag(struct auth_tagger *tagger, uint64_t number, struct slice header, struct slice body,
              uint8_t tag[AUTH_TAG_BYTES]);

#endif
