/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * structure: a message's parts and envelopes as text: what IMAP's BODYSTRUCTURE and ENVELOPE and
 * a part's octets are answered from later, without parsing the message again.
 * Format: docs/formats/structure.md.
 *
 * Invariant: at most LIMIT_structure_octets; where that is too little whole lines are left out at
 * the end and the last line says "cut".
 */
struct str mime_structure_print(struct arena *arena, const struct mime *mime);
