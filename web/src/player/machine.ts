// SPDX-License-Identifier: Apache-2.0
// The state machines as they are drawn: places on a field of 380 by 152, and which words lead where.
import { own } from "../own.ts";

export interface Machine {
	states: { name: string; x: number; y: number }[];
	moves: { from: string; to: string; by: string; bend: number }[];
}

const SMTP: Machine = {
	states: [
		{ name: "fresh", x: 38, y: 30 },
		{ name: "ready", x: 178, y: 30 },
		{ name: "mailing", x: 178, y: 118 },
		{ name: "addressed", x: 318, y: 118 },
		{ name: "chunking", x: 318, y: 30 },
	],
	moves: [
		{ from: "fresh", to: "ready", by: "EHLO", bend: 0 },
		{ from: "ready", to: "fresh", by: "STARTTLS", bend: 24 },
		{ from: "ready", to: "mailing", by: "MAIL", bend: 0 },
		{ from: "mailing", to: "addressed", by: "RCPT", bend: 0 },
		{ from: "addressed", to: "ready", by: "DATA", bend: 0 },
		{ from: "addressed", to: "chunking", by: "BDAT", bend: 0 },
		{ from: "chunking", to: "ready", by: "LAST", bend: 0 },
	],
};

const POP3: Machine = {
	states: [
		{ name: "AUTHORIZATION", x: 66, y: 30 },
		{ name: "TRANSACTION", x: 300, y: 30 },
		{ name: "UPDATE", x: 300, y: 118 },
	],
	moves: [
		{ from: "AUTHORIZATION", to: "TRANSACTION", by: "PASS, AUTH", bend: 0 },
		{ from: "TRANSACTION", to: "UPDATE", by: "QUIT", bend: 0 },
	],
};

export function machineOf(family: "smtp" | "pop3"): Machine {
	return family === "pop3" ? POP3 : SMTP;
}

/* What a client may say in a state, in the order in which one usually would. */
const SMTP_ANY = ["NOOP", "RSET", "HELP", "VRFY", "QUIT"];
const ALLOWED: Record<string, string[]> = {
	fresh: ["EHLO", "HELO", "NOOP", "HELP", "QUIT"],
	ready: ["MAIL", "AUTH", "STARTTLS", "EHLO", ...SMTP_ANY],
	mailing: ["RCPT", "EHLO", ...SMTP_ANY],
	addressed: ["RCPT", "DATA", "BDAT", "EHLO", ...SMTP_ANY],
	chunking: ["BDAT", "NOOP", "RSET", "QUIT"],
	AUTHORIZATION: ["USER", "PASS", "APOP", "AUTH", "STLS", "CAPA", "UTF8", "LANG", "QUIT"],
	TRANSACTION: ["STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET", "NOOP", "CAPA", "QUIT"],
	UPDATE: [],
};

export function allowedIn(state: string, protocol: string): string[] {
	const words = own(ALLOWED, state) ?? [];
	return protocol.startsWith("lmtp") ? words.filter((word) => word !== "HELO").map((word) => word === "EHLO" ? "LHLO" : word) : words;
}
