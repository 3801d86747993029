/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/cache.h"

#include <stdlib.h>

enum { BUCKETS = 4096, SECOND_US = 1'000'000 };

void cache_init(struct cache *cache)
{
	*cache = (struct cache){ .buckets = calloc(BUCKETS, sizeof(*cache->buckets)) };
	must(cache->buckets);
	list_init(&cache->kept);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&cache->buckets[i]);
}

void cache_done(struct cache *cache)
{
	cache_flush(cache);
	for (size_t i = 0; i < BUCKETS; i++)
		must(list_is_empty(&cache->buckets[i]));
	free(cache->buckets);
	cache->buckets = NULL;
}

static struct list *bucket_of(struct cache *cache, const struct dns_question *question)
{
	char key[DNS_NAME_MAX];
	uint64_t hash;

	for (size_t i = 0; i < question->name.len; i++)
		key[i] = (char)ascii_lower(question->name.at[i]);
	hash = str_hash((struct str){ key, question->name.len }) + question->type;
	return &cache->buckets[hash % BUCKETS];
}

static size_t size_of(const struct entry *entry)
{
	return sizeof(*entry) + entry->octets.room;
}

struct entry *entry_ref(struct entry *entry)
{
	entry->references++;
	return entry;
}

void entry_drop(struct entry **entry)
{
	struct entry *left = *entry;

	*entry = NULL;
	if (!left || --left->references > 0)
		return;
	must(list_is_empty(&left->bucket) && list_is_empty(&left->age));
	buf_drop(&left->octets);
	free(left);
}

/* Out of the table, after it was taken out of what is kept. Who still reads it holds a reference. */
static void forget(struct entry *entry)
{
	list_remove(&entry->bucket);
	entry_drop(&entry);
}

static void keep(struct cache *cache, struct entry *entry)
{
	list_add_last(&cache->kept, &entry->age);
	cache->entries++;
	cache->octets += size_of(entry);
}

static void keep_no_more(struct cache *cache, struct entry *entry)
{
	list_remove(&entry->age);
	cache->entries--;
	cache->octets -= size_of(entry);
	forget(entry);
}

static void forget_oldest(struct cache *cache)
{
	struct entry *entry = CONTAINER_OF(list_take_first(&cache->kept), struct entry, age);

	keep_no_more(cache, entry);
}

struct entry *cache_find(struct cache *cache, const struct dns_question *question)
{
	LIST_EACH (link, bucket_of(cache, question)) {
		struct entry *entry = CONTAINER_OF(link, struct entry, bucket);

		if (entry->question.type != question->type ||
		    !dns_name_equal(&entry->question.name, &question->name))
			continue;
		if (!entry->under_way && entry->expires <= now()) {
			keep_no_more(cache, entry);
			return NULL;
		}
		if (!entry->under_way) {
			list_remove(&entry->age);
			list_add_last(&cache->kept, &entry->age);
		}
		return entry;
	}
	return NULL;
}

struct entry *cache_add(struct cache *cache, const struct dns_question *question)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	must(entry);
	entry->question = *question;
	entry->under_way = true;
	entry->references = 2; /* the table's and the caller's */
	entry->octets = BUF(DNS_MESSAGE_MAX);
	waitq_init(&entry->waiters);
	list_init(&entry->age);
	list_init(&entry->bucket);
	list_add_first(bucket_of(cache, question), &entry->bucket);
	return entry;
}

void cache_settle(struct cache *cache, struct entry *entry, uint32_t ttl_s)
{
	must(entry->under_way);
	entry->under_way = false;
	entry->expires = now() + (moment)ttl_s * SECOND_US;
	if (ttl_s == 0)
		forget(entry);
	else
		keep(cache, entry);
	while (cache->entries > LIMIT_dns_cache_entries || cache->octets > LIMIT_dns_cache_octets)
		forget_oldest(cache);
	waitq_wake_all(&entry->waiters);
}

void cache_flush(struct cache *cache)
{
	while (!list_is_empty(&cache->kept))
		forget_oldest(cache);
}
