/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * word: encoded words (rfc2047) in header fields, decoded for people.
 */

/*
 * The unfolded value with its encoded words decoded: well-formed UTF-8 without controls, at most
 * max octets. Words of one character set that stand side by side are joined before decoding, so
 * that a character split between two of them comes out whole.
 */
struct str words_decode(struct arena *arena, struct str value, size_t max);
/* The unfolded text as it is, made well-formed UTF-8 without controls, at most max octets. */
struct str text_clean(struct arena *arena, struct str text, size_t max);
