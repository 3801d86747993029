/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file is the operator's own, but roles read it as text that came over a link. */
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(buf) struct buf complaints = BUF(1 << 20);
	OWNED(buf) struct buf json = BUF(16 << 20);
	const struct str base = S("port_base=20000");
	struct config *config = NULL;
	struct config *again = NULL;
	enum err err;

	if (size > 65536)
		return 0;
	err = config_parse((struct str){ (const char *)data, size }, S("fuzz.conf"), &base, 1,
			   &complaints, &config);
	must(err == OK || err == ERR_CONFIG);
	must((err == OK) == (complaints.len == 0));
	must((err == OK) == (config != NULL));
	if (err)
		return 0;
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *l = &config->listeners[i];
		struct addr addr;

		must(l->real_port >= 20000);
		must(config_listener(config, l->name) == l);
		must(config_listener_address(l, 0, S(""), &addr));
	}
	must(config_json(config, &json) == OK);
	/* The roles read the same text and must understand the same. */
	buf_reset(&complaints);
	must(config_parse(config->text, config->file, &base, 1, &complaints, &again) == OK);
	config_unref(&again);
	config_unref(&config);
	return 0;
}
