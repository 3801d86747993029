/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to filter/: one message, looked at. */
#include "mail/mail.h"

struct inspection {
	struct str message; /* set by the caller; lives as long as what was found */
	struct arena arena; /* all that was found lies here; inspection_done gives it back */
	struct mime mime;
	struct summary summary;
	struct str structure;
};

/* Pure: any thread may run it. */
void inspection_run(struct inspection *inspection);
void inspection_done(struct inspection *inspection);
