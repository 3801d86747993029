// SPDX-License-Identifier: Apache-2.0

/* What a table says of a word that came from elsewhere: "constructor" and its kin are in no table of ours. */
export function own<T>(table: Record<string, T>, word: string): T | undefined {
	return Object.hasOwn(table, word) ? table[word] : undefined;
}
