/* SPDX-License-Identifier: Apache-2.0 */
#include "store/srs.h"
#include "store/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { DIGEST = 20 };

/* As libsrs2 and Mail::SRS: HMAC-SHA-1 in base64, the beginning of it. */
static struct str hash_of(struct arena *arena, const struct srs_rule *rule, const struct srs *srs)
{
	struct str hashed = srs_hashed(arena, srs);
	struct buf text = BUF(64);
	unsigned char digest[DIGEST];
	unsigned char key[SRS_KEY];
	unsigned len = DIGEST;
	struct str out;

	keyed_hash(rule->key, S("sender rewriting"), S(""), key);
	must(HMAC(EVP_sha1(), key, SRS_KEY, (const unsigned char *)hashed.at, hashed.len, digest,
		  &len));
	(void)base64_add(&text, (struct str){ (const char *)digest, DIGEST });
	out = str_dup(arena, str_first(buf_str(&text), SRS_HASH));
	buf_drop(&text);
	OPENSSL_cleanse(key, sizeof(key));
	return out;
}

/* rfc5321 4.5.3.1.3: a path has 256 octets, its brackets among them. */
static bool print_checked(struct arena *arena, const struct address *address, struct str *out)
{
	struct address again;
	struct str text = address_print(arena, address);

	if (text.len > LIMIT_path - 2 || !address_parse(arena, text, true, &again))
		return false;
	*out = text;
	return true;
}

bool srs_forward(struct arena *arena, const struct srs_rule *rule, struct str sender,
		 struct str domain, struct str *out)
{
	char stamp[SRS_STAMP + 1];
	struct address address;
	struct srs srs;

	if (!rule->key || !address_parse(arena, sender, true, &address))
		return false;
	srs_of(&address, &srs);
	srs_stamp_print(rule->now_us, stamp);
	if (srs.kind == SRS_0)
		srs.stamp = str_of(stamp);
	srs.hash = hash_of(arena, rule, &srs);
	address = (struct address){ .local = srs_print(arena, &srs), .domain = domain };
	return print_checked(arena, &address, out);
}

static bool is_ours(struct arena *arena, const struct srs_rule *rule, const struct srs *srs)
{
	struct str hash = str_lower(arena, hash_of(arena, rule, srs));
	struct str said = str_lower(arena, srs->hash);

	return said.len == hash.len && CRYPTO_memcmp(said.at, hash.at, hash.len) == 0;
}

/* What quotes kept whole, if it was in quotes. */
static struct str unquoted(struct arena *arena, struct str local)
{
	struct address address;
	struct str whole = str_print(arena, "%.*s@localhost", STR_ARGS(local));

	return address_parse(arena, whole, true, &address) ? address.local : S("");
}

bool srs_reverse(struct arena *arena, const struct srs_rule *rule, struct str local,
		 struct str *out)
{
	struct address address;
	struct srs srs;

	if (!rule->key || !srs_parse(unquoted(arena, local), &srs) || !is_ours(arena, rule, &srs))
		return false;
	if (srs.kind == SRS_0 && srs_stamp_age(srs.stamp, rule->now_us) > SRS_AGE_DAYS)
		return false;
	address = srs_sender(arena, &srs);
	return print_checked(arena, &address, out);
}
