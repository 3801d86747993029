/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Self-signed certificates, made anew: good from yesterday to tomorrow. */
#include "net/net.h"

/* As PEM text: the certificate and its key. Both buffers are the caller's. */
void certificate_print(const char *host, struct buf *chain, struct buf *key);
/* A server's context with one. `alpn` as in tls_context_new. */
struct tls_context *certificate_context(const char *host, enum tls_age age, const char *alpn);
