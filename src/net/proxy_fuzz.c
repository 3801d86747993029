/* SPDX-License-Identifier: Apache-2.0 */
/* A header is found whole or asked for again; what it says does not depend on what follows it. */
#include "net/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str octets = { (const char *)data, size };
	struct proxy_header header = { 0 };
	struct proxy_header again = { 0 };
	size_t used = 0;
	size_t used_again = 0;
	enum err err = proxy_parse(octets, &header, &used);

	must(err == OK || err == ERR_AGAIN || err == ERR_PROTOCOL);
	if (err == ERR_AGAIN)
		must(size < LIMIT_proxy_header && used > size);
	if (err)
		return 0;
	must(used > 0 && used <= size && used <= LIMIT_proxy_header);
	must(proxy_parse(str_first(octets, used), &again, &used_again) == OK);
	must(used == used_again && header.is_local == again.is_local);
	must(addr_is_same_ip(&header.from, &again.from) && header.from.port == again.from.port);
	for (size_t len = 0; len < used; len++) {
		must(proxy_parse(str_first(octets, len), &again, &used_again) == ERR_AGAIN);
		must(used_again > len && used_again <= used);
	}
	return 0;
}
