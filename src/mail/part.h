/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to mail/: one part's own header, read for the pass in mime.c. */
#include "mail/mail.h"

/*
 * Fill in what the header at [header_at, body_at) says: type, parameters, encoding and the rest,
 * and the kind. Gives the oddities met (MIME_...).
 */
unsigned mime_part_read(struct arena *arena, const struct mime *mime, struct mime_part *part);
