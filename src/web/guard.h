/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * guard: what every request must pass before anything is looked up for it, and who asks. Private to web/.
 *
 * A page of somebody else may make a browser send us requests. Its name is then in Host: (a name that was pointed at
 * us) or in Origin:, and the cookie does not come with them (SameSite=Strict).
 */
#include "web/exchange.h"

/*
 * As soon as the header is there, before the body is read. False: it is refused, the answer is said, and the connection
 * ends with it: nobody knows where the next request would begin.
 */
bool guard_begin(struct exchange *exchange);
/* False: it is refused, the answer is said. Else exchange->account is known. */
bool guard_admit(struct exchange *exchange);
/* Does anybody have to sign in? Not in `glasspost dev`, where any password would do. */
bool guard_needs_sign_in(const struct web *web);
