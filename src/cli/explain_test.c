/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void explanations_are_found_by_protocol(void **state)
{
	(void)state;
	assert_string_equal(explain(S("submission"), "verbs", S("EHLO"))->way, "smtp/verbs/EHLO");
	assert_string_equal(explain(S("lmtp"), "verbs", S("DATA"))->way, "lmtp/verbs/DATA");
	assert_string_equal(explain(S("lmtp-out"), "verbs", S("RCPT"))->way, "smtp/verbs/RCPT");
	assert_string_equal(explain(S("smtp"), "verbs", S("LHLO"))->way, "lmtp/verbs/LHLO");
	assert_string_equal(explain(S("pop3"), "verbs", S("NOOP"))->way, "pop3/verbs/NOOP");
	assert_string_equal(explain(S("pop3"), "codes", S("[SYS/TEMP]"))->way,
			    "pop3/codes/[SYS/TEMP]");
	assert_string_equal(explain(S("smtp"), "codes", S("599"))->way, "smtp/codes/5xx");
	assert_string_equal(explain(S("smtp"), "enhanced", S("4.9.9"))->way, "smtp/enhanced/4.x.x");
	assert_null(explain(S("smtp"), "verbs", S("FROB")));
	assert_null(explain(S("pop3"), "verbs", S("MAIL")));
	assert_null(explain(S("smtp"), "codes", S("")));
	assert_string_equal(explain_event("commit")->way, "events/commit");
	assert_string_equal(explain_mechanism(S("PLAIN"))->rfc, "RFC 4616 section 2");
	assert_string_equal(explain_event("lost")->rfc, "");
}

static void explanations_are_sorted(void **state)
{
	(void)state;
	for (size_t i = 1; i < explanation_count; i++)
		assert_true(strcmp(explanations[i - 1].way, explanations[i].way) < 0);
	assert_true(explanation_count > 200);
}

static void depths_have_names(void **state)
{
	enum depth depth = DEPTHS;

	(void)state;
	for (unsigned i = 0; i < DEPTHS; i++) {
		assert_true(depth_parse(str_of(depth_name((enum depth)i)), &depth));
		assert_int_equal(depth, i);
	}
	assert_false(depth_parse(S("wizard"), &depth));
	assert_string_not_equal(explanation_text(explain_event("tls"), DEPTH_NEWCOMER),
				explanation_text(explain_event("tls"), DEPTH_RFC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explanations_are_found_by_protocol),
		cmocka_unit_test(explanations_are_sorted),
		cmocka_unit_test(depths_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
