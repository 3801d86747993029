// SPDX-License-Identifier: Apache-2.0
// What a reply code says by its digits alone (rfc5321 4.2.1), and an enhanced one by its numbers (rfc3463 2). Pure.

/* What the sender does next. */
export type Fate = "done" | "more" | "later" | "never";

export interface Anatomy {
	code: string;
	/* First digit: did it work? Second: what about? Third: which of these? */
	digits: [string, string, string];
	fate: Fate;
}

const FATE_OF_DIGIT: Record<string, Fate> = { 2: "done", 3: "more", 4: "later", 5: "never" };

/* POP3 has no digits (rfc1939 3); its response codes in brackets tell more (rfc2449 8, rfc3206). */
const FATE_OF_WORD: Record<string, Fate> = {
	"+OK": "done", "+": "more", "-ERR": "never", "[IN-USE]": "later", "[LOGIN-DELAY]": "later", "[SYS/TEMP]": "later", "[SYS/PERM]": "never", "[AUTH]": "never",
};

export function enhancedIn(text: string): string {
	return /^[245]\.\d{1,3}\.\d{1,3}(?=\s|$)/.exec(text)?.[0] ?? "";
}

/* Null: it has no digits to read. */
export function anatomyOf(code: string): Anatomy | null {
	return /^[2345][0-5]\d$/.test(code) ? { code, digits: [code[0]!, code[1]!, code[2]!], fate: fateOf(code) } : null;
}

/* Class, subject and detail, or null where there are none. */
export function numbersOf(enhanced: string): [string, string, string] | null {
	const [first, second, third] = enhancedIn(enhanced).split(".");
	return first && second && third ? [first, second, third] : null;
}

export function fateOf(code: string): Fate {
	return FATE_OF_WORD[code] ?? FATE_OF_DIGIT[code[0] ?? ""] ?? "never";
}

/* The code at the beginning of a reply line, and the enhanced one behind it; empty where there is none. */
export function codesIn(line: string, isPop3: boolean): { code: string; enhanced: string } {
	if (isPop3)
		return { code: /^(\+OK|-ERR|\+)(?=\s|$)/.exec(line)?.[0] ?? "", enhanced: /^(?:\+OK|-ERR)\s+(\[[^\]]+\])/.exec(line)?.[1] ?? "" };
	const code = /^[2345][0-5]\d(?=[ -]|$)/.exec(line)?.[0] ?? "";
	return { code, enhanced: code ? enhancedIn(line.slice(4)) : "" };
}

export function toneOfCode(code: string): string {
	const fate = fateOf(code);
	return fate === "later" ? "wait" : fate === "never" ? "bad" : "good";
}

/* A subject that RFC 3463 does not know is told as 0, "other". */
export function subjectOf(number: string): string {
	return /^[0-7]$/.test(number) ? number : "0";
}
