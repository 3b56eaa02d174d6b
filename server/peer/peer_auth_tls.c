/* HMAC-SHA-256 and HKDF through GnuTLS. None of these calls can fail for a reason that the world gives (the key is long
 * enough, the algorithm is always there), so a failure is a bug or a machine without memory: CHECK. */
#include "peer/peer_auth.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* The first bytes of everything that is hashed: no use of the cluster key outside this protocol can collide with it. */
static const char proof_label[] = "baton peer stream 1: proof";
static const char frames_label[] = "baton peer stream 1: frames";

struct auth_tagger {
    gnutls_hmac_hd_t hmac;
};

static void context_append_part(struct buffer *context, struct slice part)
{
    bytes_put_u32(buffer_extend(context, 4), (uint32_t)part.len);
    buffer_append_slice(context, part);
}

/* Label, side, then both hellos with their lengths: no two contexts have the same bytes. */
static void context_init(struct buffer *context, const char *label, enum auth_side side,
                         const struct auth_transcript *transcript)
{
    buffer_init(context);
    context_append_part(context, slice_of(label));
    *buffer_extend(context, 1) = side == AUTH_DIALER ? 'd' : 'a';
    context_append_part(context, transcript->dialer);
    context_append_part(context, transcript->acceptor);
}

void auth_prove(struct slice key, enum auth_side side, const struct auth_transcript *transcript,
                uint8_t mac[AUTH_MAC_BYTES])
{
    struct buffer context;
    context_init(&context, proof_label, side, transcript);
    CHECK(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.base, key.len, context.base, context.len, mac) == 0);
    buffer_close(&context);
}

bool auth_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    return gnutls_memcmp(a, b, len) == 0;
}

struct auth_tagger *auth_open(struct slice key, enum auth_side side, const struct auth_transcript *transcript)
{
    uint8_t extracted[AUTH_MAC_BYTES];
    uint8_t derived[AUTH_MAC_BYTES];
    struct buffer context;
    context_init(&context, frames_label, side, transcript);
    /* GnuTLS takes datums without const, and writes to neither. */
    gnutls_datum_t secret = {.data = (unsigned char *)key.base, .size = (unsigned)key.len};
    gnutls_datum_t salt = {.data = (unsigned char *)frames_label, .size = sizeof frames_label - 1};
    CHECK(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &secret, &salt, extracted) == 0);
    gnutls_datum_t pseudorandom = {.data = extracted, .size = sizeof extracted};
    gnutls_datum_t info = {.data = context.base, .size = (unsigned)context.len};
    CHECK(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &pseudorandom, &info, derived, sizeof derived) == 0);
    buffer_close(&context);

    struct auth_tagger *tagger = malloc(sizeof *tagger);
    CHECK(tagger != NULL);
    CHECK(gnutls_hmac_init(&tagger->hmac, GNUTLS_MAC_SHA256, derived, sizeof derived) == 0);
    gnutls_memset(extracted, 0, sizeof extracted);
    gnutls_memset(derived, 0, sizeof derived);
    return tagger;
}

void auth_close(struct auth_tagger *tagger)
{
    if (tagger != NULL) {
        gnutls_hmac_deinit(tagger->hmac, NULL);
        free(tagger);
    }
}

void auth_tag(struct auth_tagger *tagger, uint64_t number, struct slice header, struct slice body,
              uint8_t tag[AUTH_TAG_BYTES])
{
    uint8_t counted[8];
    uint8_t mac[AUTH_MAC_BYTES];
    bytes_put_u64(counted, number);
    CHECK(gnutls_hmac(tagger->hmac, counted, sizeof counted) == 0);
    CHECK(gnutls_hmac(tagger->hmac, header.base, header.len) == 0);
    CHECK(gnutls_hmac(tagger->hmac, body.base, body.len) == 0);
    gnutls_hmac_output(tagger->hmac, mac); /* and begins anew */
    memcpy(tag, mac, AUTH_TAG_BYTES);
}
