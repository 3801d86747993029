/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * roots: the certificates of authorities that this machine trusts (tls_roots, else the system's), read before
 * the sandbox closes files, understood when a route first asks for a verified server.
 */
#include "net/net.h"

/* Reads the file, once; what cannot be read is told when it is needed. */
void roots_prepare(void);
/* The shared context that judges by them; ERR_TLS with what to do. The caller's to unref. */
[[nodiscard]] enum err roots_context(struct tls_context **out);
