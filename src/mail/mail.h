/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * mail: the language of messages. Addresses, header fields, dates, encoded words, MIME structure
 * and trace fields; bytes in, values out. No input or output, no clock, no fibers.
 *
 * Invariants
 *  (1) Every function takes time linear in its input, whatever the octets are; nothing recurses.
 *  (2) What a function gives is a view into its input or lies in the arena it was handed.
 *  (3) Printed text holds no CR, LF or NUL but those of its own folding: it cannot start a new
 *      header field or a new line of a dialogue.
 */
#include "base/base.h"

#include "mail/address.h"
#include "mail/charset.h"
#include "mail/date.h"
#include "mail/dot.h"
#include "mail/field.h"
#include "mail/mailbox_list.h"
#include "mail/parameter.h"
#include "mail/srs.h"
#include "mail/transfer.h"
#include "mail/word.h"

#include "mail/mime.h"
#include "mail/structure.h"
#include "mail/summary.h"
#include "mail/dsn.h"
#include "mail/trace_field.h"
