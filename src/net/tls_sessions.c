/* SPDX-License-Identifier: Apache-2.0 */
/* TLS sessions that were agreed on, by whom with: the next handshake there is shorter (rfc8446 2.2, rfc5077). */
#include "net/conn.h"

#include <stdlib.h>

enum { BUCKETS = 256 };

struct kept_session {
	struct list age; /* in sessions->ages, longest unused first */
	struct list bucket;
	SSL_SESSION *session;
	struct str key; /* behind this struct */
};

struct tls_sessions {
	struct list ages;
	struct list buckets[BUCKETS];
	size_t count, most;
};

struct tls_sessions *tls_sessions_new(size_t most)
{
	struct tls_sessions *sessions = calloc(1, sizeof(*sessions));

	must(sessions && most > 0);
	sessions->most = most;
	list_init(&sessions->ages);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&sessions->buckets[i]);
	return sessions;
}

/* It is not among the ages any more. */
static void drop(struct kept_session *kept)
{
	list_remove(&kept->bucket);
	SSL_SESSION_free(kept->session);
	free(kept);
}

static void forget(struct tls_sessions *sessions, struct kept_session *kept)
{
	list_remove(&kept->age);
	drop(kept);
	sessions->count--;
}

void tls_sessions_drop(struct tls_sessions **sessions)
{
	struct tls_sessions *s = *sessions;
	struct list *link;

	*sessions = NULL;
	if (!s)
		return;
	while ((link = list_take_first(&s->ages)))
		drop(CONTAINER_OF(link, struct kept_session, age));
	free(s);
}

static struct kept_session *find(struct tls_sessions *sessions, struct str key)
{
	LIST_EACH (link, &sessions->buckets[str_hash(key) % BUCKETS]) {
		struct kept_session *kept = CONTAINER_OF(link, struct kept_session, bucket);

		if (str_is(kept->key, key))
			return kept;
	}
	return NULL;
}

void tls_sessions_forget(struct tls_sessions *sessions, struct str key)
{
	struct kept_session *kept = find(sessions, key);

	if (kept)
		forget(sessions, kept);
}

SSL_SESSION *tls_sessions_find(struct tls_sessions *sessions, struct str key)
{
	struct kept_session *kept = find(sessions, key);

	if (!kept)
		return NULL;
	list_remove(&kept->age);
	list_add_last(&sessions->ages, &kept->age);
	if (SSL_SESSION_is_resumable(kept->session))
		return kept->session;
	forget(sessions, kept);
	return NULL;
}

void tls_sessions_keep(struct tls_sessions *sessions, struct str key, SSL_SESSION *session)
{
	struct kept_session *kept = malloc(sizeof(*kept) + key.len);

	must(kept);
	tls_sessions_forget(sessions, key);
	if (sessions->count == sessions->most)
		forget(sessions, CONTAINER_OF(sessions->ages.next, struct kept_session, age));
	memcpy(kept + 1, key.at, key.len);
	kept->key = (struct str){ (char *)(kept + 1), key.len };
	kept->session = session;
	list_add_last(&sessions->ages, &kept->age);
	list_add_last(&sessions->buckets[str_hash(key) % BUCKETS], &kept->bucket);
	sessions->count++;
}
