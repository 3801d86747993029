/* SPDX-License-Identifier: Apache-2.0 */
/* What browsers write: host, origin, lists, paths; one a line of the input. What is local is sound, too. */
#include "control/control.h"
#include "web/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len);

static struct str take_line(struct str *rest)
{
	size_t end = str_find(*rest, '\n');
	struct str line = str_first(*rest, end);

	*rest = end == STR_NONE ? (struct str){ 0 } : str_from(*rest, end + 1);
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct str rest = { (const char *)octets, len };
	struct str host = take_line(&rest);
	struct str origin = take_line(&rest);
	struct str list = take_line(&rest);
	struct str path = take_line(&rest);
	struct framing framing = { 0 };
	char text[ID_TEXT + 1];
	uint64_t id;

	must(!host_is_local(host) || host_is_sound(host));
	must(!origin_is_of(origin, host) || origin.len > host.len);
	if (list_has(list, S("gzip")))
		must(list.len >= 4);
	framing_note(&framing, host, origin);
	framing_note(&framing, origin, list);
	must(framing.lengths < 2 || framing_complaint(&framing));
	(void)type_is_json(list);
	if (path_fits(S("/api/v1/sessions/{id}/events"), path, &id)) {
		id_print(id, text);
		must(id && path.len == sizeof("/api/v1/sessions//events") - 1 + ID_TEXT);
	}
	json_decref(control_object(rest));
	return 0;
}
