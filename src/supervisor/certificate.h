/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* certificate: the operator's, read and checked; or a self-signed one, made and kept (EC P-256). */
#include "config/config.h"

struct certificate {
	struct buf chain, key; /* PEM */
	struct buf client_ca;  /* PEM; empty: nobody vouches for clients */
};

enum { CERTIFICATE_CHAIN_MAX = 60000, CERTIFICATE_KEY_MAX = 20000, CLIENT_CA_MAX = 200000 };
#define CERTIFICATE_EMPTY                                                                          \
	((struct certificate){ BUF(CERTIFICATE_CHAIN_MAX), BUF(CERTIFICATE_KEY_MAX),               \
			       BUF(CLIENT_CA_MAX) })

/* client_ca, when there is one; and the configured certificate, or the self-signed one of folder/tls, made when missing, old or for another name. */
[[nodiscard]] enum err certificate_load(const char *folder, const struct config *config,
					struct certificate *out);
[[nodiscard]] enum err certificate_make(struct str hostname, struct certificate *out);
void certificate_drop(struct certificate *certificate);
