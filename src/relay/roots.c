/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/roots.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOTS_OCTETS = 8 << 20 };

/* OpenSSL's own, which distributions patch, and where others put it. */
static const char *const usual[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

static struct buf roots = BUF(ROOTS_OCTETS);
static char complaint[FAULT_TEXT_MAX]; /* why there are none */

static bool read_whole(const char *path)
{
	char piece[4096];
	FILE *file = fopen(path, "re");
	bool is_whole;
	size_t got;

	if (!file)
		return false;
	while ((got = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_add(&roots, (struct str){ piece, got });
	is_whole = !ferror(file) && roots.len > 0 && !roots.failed;
	fclose(file);
	return is_whole;
}

void roots_prepare(void)
{
	const char *named = getenv(X509_get_default_cert_file_env());

	if (roots.len > 0)
		return;
	if (named) {
		if (!read_whole(named))
			snprintf(complaint, sizeof(complaint), "%s cannot be read: %s", named,
				 strerror(errno));
		return;
	}
	if (read_whole(X509_get_default_cert_file()))
		return;
	for (size_t i = 0; i < COUNT_OF(usual); i++)
		if (read_whole(usual[i]))
			return;
	snprintf(
		complaint, sizeof(complaint),
		"this machine has no list of trusted certificates: install ca-certificates, or set "
		"tls_roots");
}

enum err roots_context(struct tls_context **out)
{
	roots_prepare();
	if (!roots.len)
		return fault(ERR_TLS, "%s", complaint);
	return tls_client_context_new(buf_str(&roots), out);
}
