// SPDX-License-Identifier: Apache-2.0
// A line of SMTP, LMTP or POP3 cut into the pieces that its grammar names, each with its place in the
// line. For looking at only: what the server made of the line, its own parser decided.
import { own } from "../own.ts";

export interface Part {
	/* Key of its name in the texts: "part." + name. */
	name: string;
	value: string;
	/* Characters of the line, from and up to. */
	from: number;
	to: number;
	/* Key of an explanation of its own: ["verbs", "EHLO"]. */
	about?: [string, string];
}

export type Family = "smtp" | "pop3";

class Cut {
	parts: Part[] = [];

	constructor(readonly line: string) {}

	add(name: string, from: number, to: number, about?: [string, string]): void {
		if (to <= from)
			return;
		const part: Part = { name, value: this.line.slice(from, to), from, to };
		if (about)
			part.about = about;
		this.parts.push(part);
	}
}

/* Where a path "<...>" ends; quoted strings may have ">" in them. */
function pathEnd(line: string, from: number): number {
	let isQuoted = false;
	for (let i = from; i < line.length; i++) {
		const c = line[i];
		if (c === "\\")
			i++;
		else if (c === '"')
			isQuoted = !isQuoted;
		else if (c === ">" && !isQuoted)
			return i + 1;
	}
	return line.length;
}

function cutPath(cut: Cut, from: number, isSender: boolean): number {
	const line = cut.line;
	if (line[from] !== "<") {
		const space = line.indexOf(" ", from);
		const end = space < 0 ? line.length : space;
		cut.add("address", from, end);
		return end;
	}
	const end = pathEnd(line, from);
	const close = line[end - 1] === ">" ? end - 1 : end;
	if (close === from + 1) {
		cut.add(isSender ? "null-path" : "path", from, end);
		return end;
	}
	const at = line.lastIndexOf("@", close - 1);
	if (at > from) {
		cut.add("local-part", from + 1, at);
		cut.add("domain", at + 1, close);
	} else {
		cut.add("local-part", from + 1, close);
	}
	return end;
}

function cutParameters(cut: Cut, from: number, verb: string): void {
	for (const match of cut.line.slice(from).matchAll(/[^\s]+/g)) {
		const begin = from + match.index;
		const word = match[0];
		const equals = word.indexOf("=");
		const keyword = (equals < 0 ? word : word.slice(0, equals)).toUpperCase();
		cut.add("parameter", begin, begin + (equals < 0 ? word.length : equals), ["parameters", `${verb} ${keyword}`]);
		if (equals >= 0)
			cut.add("value", begin + equals + 1, begin + word.length);
	}
}

function cutArguments(cut: Cut, from: number, names: readonly string[]): void {
	const words = [...cut.line.slice(from).matchAll(/[^\s]+/g)];
	words.forEach((match, index) => {
		const begin = from + match.index;
		cut.add(names[Math.min(index, names.length - 1)] ?? "argument", begin, begin + match[0].length);
	});
}

const ARGUMENTS: Record<string, string[]> = {
	EHLO: ["domain"], HELO: ["domain"], LHLO: ["domain"], AUTH: ["mechanism", "response"], BDAT: ["size", "last"],
	VRFY: ["address"], EXPN: ["list"], HELP: ["topic"], NOOP: ["text"], ETRN: ["domain"],
	USER: ["user"], PASS: ["password"], APOP: ["user", "digest"], RETR: ["number"], DELE: ["number"], LIST: ["number"],
	UIDL: ["number"], TOP: ["number", "lines"], LANG: ["language"],
};

export function commandParts(line: string, verb: string): Part[] {
	const cut = new Cut(line);
	const word = /^\S*/.exec(line)![0];
	if (!verb || word.toUpperCase() !== verb) {
		cut.add(verb ? "response" : "unknown", 0, line.length);
		return cut.parts;
	}
	cut.add("verb", 0, word.length, ["verbs", verb]);
	const prefix = verb === "MAIL" ? /^\s+FROM:\s*/i : verb === "RCPT" ? /^\s+TO:\s*/i : null;
	const match = prefix?.exec(line.slice(word.length));
	if (!match) {
		cutArguments(cut, word.length, own(ARGUMENTS, verb) ?? ["argument"]);
		return cut.parts;
	}
	const end = cutPath(cut, word.length + match[0].length, verb === "MAIL");
	cutParameters(cut, end, verb);
	return cut.parts;
}

function smtpReplyParts(line: string, verb: string): Part[] {
	const cut = new Cut(line);
	const code = /^\d{3}/.exec(line)?.[0];
	if (!code) {
		cut.add("text", 0, line.length);
		return cut.parts;
	}
	cut.add("code", 0, 3, ["codes", code]);
	if (line[3] === "-")
		cut.add("goes-on", 3, 4);
	const enhanced = /^([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/.exec(line.slice(4));
	let from = 4;
	if (enhanced) {
		cut.add("enhanced", 4, 4 + enhanced[0].length, ["enhanced", enhanced[0]]);
		from = 4 + enhanced[0].length + 1;
	}
	const rest = line.slice(from);
	if ((verb === "EHLO" || verb === "LHLO") && code === "250" && /^[A-Z0-9][A-Z0-9-]*([ =]|$)/.test(rest)) {
		const keyword = /^[A-Z0-9-]+/.exec(rest)![0];
		cut.add("extension", from, from + keyword.length, ["extensions", keyword]);
		cutArguments(cut, from + keyword.length, ["extension-value"]);
	} else {
		cut.add("text", from, line.length);
	}
	return cut.parts;
}

function pop3ReplyParts(line: string, verb: string): Part[] {
	const cut = new Cut(line);
	const status = /^(\+OK|-ERR|\+)/.exec(line)?.[0];
	if (!status) {
		const keyword = verb === "CAPA" ? /^[A-Z0-9-]+/.exec(line)?.[0] : undefined;
		if (keyword) {
			cut.add("extension", 0, keyword.length, ["extensions", keyword]);
			cutArguments(cut, keyword.length, ["extension-value"]);
		} else {
			cut.add(line === "." ? "end-of-list" : "text", 0, line.length);
		}
		return cut.parts;
	}
	cut.add("status", 0, status.length, ["codes", status]);
	const code = /^\s*(\[[^\]]+\])/.exec(line.slice(status.length));
	let from = status.length;
	if (code) {
		const end = from + code[0].length;
		cut.add("response-code", end - code[1]!.length, end, ["codes", code[1]!]);
		from = end;
	}
	const begin = from + (/^\s*/.exec(line.slice(from))![0].length);
	cut.add("text", begin, line.length);
	return cut.parts;
}

export function replyParts(line: string, verb: string, family: Family): Part[] {
	return family === "pop3" ? pop3ReplyParts(line, verb) : smtpReplyParts(line, verb);
}

/* Octets of the line as it went over the wire, and the character that each belongs to. */
export function octetsOf(line: string): { octets: Uint8Array; character: Int32Array } {
	const encoder = new TextEncoder();
	const octets = encoder.encode(`${line}\r\n`);
	const character = new Int32Array(octets.length);
	let place = 0;
	let index = 0;
	for (const symbol of `${line}\r\n`) {
		const size = encoder.encode(symbol).length;
		character.fill(index, place, place + size);
		place += size;
		index += symbol.length;
	}
	return { octets, character };
}
