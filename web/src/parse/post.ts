// SPDX-License-Identifier: Apache-2.0
// The envelope (what SMTP was told) apart from the letter (what the message says), and where they differ. Pure.
import type { Model, Row } from "../ladder/model.ts";
import { commandParts } from "./parts.ts";
import type { Field } from "./received.ts";
import { number, text } from "../trace/event.ts";

export interface Envelope {
	sender: string;
	/* Words behind MAIL FROM and RCPT TO: what the post is asked to do. */
	wishes: string[];
	recipients: { address: string; tone: "good" | "wait" | "bad" | "plain"; words: string }[];
	/* Who signed in, or empty. */
	account: string;
	/* Who brought it. */
	peer: string;
	time_us: number;
}

/* One transaction of a session: from MAIL to the next one, or to what ends it. */
export interface Transaction {
	envelope: Envelope;
	/* Of what was accepted, or handed on; empty before that. */
	message: string;
	subject: string;
	octets: number;
}

const ENDS = new Set(["MAIL", "RSET", "EHLO", "HELO", "LHLO", "QUIT", "STARTTLS"]);

function addressOf(row: Row): string {
	const parts = commandParts(text(row.event, "line"), text(row.event, "verb"));
	const part = (name: string) => parts.find((one) => one.name === name)?.value ?? "";
	const local = part("local-part");
	return local ? part("domain") ? `${local}@${part("domain")}` : local : part("address") || part("path");
}

function wishesOf(row: Row): string[] {
	return commandParts(text(row.event, "line"), text(row.event, "verb")).flatMap((part, index, all) =>
		part.name === "parameter" ? [all[index + 1]?.name === "value" ? `${part.value}=${all[index + 1]!.value}` : part.value] : []);
}

/* The transaction that a row belongs to, or null: outside of one nothing is on its way. */
export function transactionAt(model: Model, at: Row): Transaction | null {
	if (model.family !== "smtp" || at.shape === "end")
		return null;
	const commands = model.rows.filter((row) => row.event.kind === "command");
	const mail = commands.findLast((row) => row.exchange <= at.exchange && ENDS.has(text(row.event, "verb")));
	if (!mail || text(mail.event, "verb") !== "MAIL")
		return null;
	const end = commands.find((row) => row.exchange > mail.exchange && ENDS.has(text(row.event, "verb")))?.exchange ?? Infinity;
	const own = model.rows.filter((row) => row.exchange >= mail.exchange && row.exchange < end);
	const replyTo = (row: Row) => own.find((one) => one.event.kind === "reply" && one.exchange === row.exchange && !one.more);
	const rcpts = own.filter((row) => row.event.kind === "command" && text(row.event, "verb") === "RCPT");
	const accept = own.find((row) => row.event.kind === "accept");
	const attempt = own.find((row) => row.event.kind === "attempt");
	const sent = own.findLast((row) => row.event.kind === "data");
	const signed = model.rows.findLast((row) => row.event.kind === "auth" && row.exchange < mail.exchange && text(row.event, "outcome") === "ok");
	return {
		envelope: {
			sender: addressOf(mail), wishes: [...new Set([mail, ...rcpts].flatMap(wishesOf))],
			recipients: rcpts.map((row) => ({ address: addressOf(row), tone: replyTo(row)?.tone ?? "plain", words: replyTo(row) ? text(replyTo(row)!.event, "line") : "" })),
			account: signed ? text(signed.event, "account") : "", peer: model.peer, time_us: mail.event.wall_us,
		},
		message: text((accept ?? attempt ?? mail).event, "message"), subject: accept ? text(accept.event, "subject") : "",
		octets: accept ? number(accept.event, "octets") : sent ? number(sent.event, "total") : 0,
	};
}

/* Addresses of a field as From or To: in angle brackets, or bare; names, comments and groups left out (rfc5322 3.4). */
export function addressesOf(value: string): string[] {
	let plain = "";
	let depth = 0;
	let isQuoted = false;
	for (let i = 0; i < value.length; i++) {
		const c = value[i]!;
		if (c === "\\" && (isQuoted || depth)) {
			i++;
			continue;
		}
		if (c === '"' && !depth)
			isQuoted = !isQuoted;
		else if (c === "(" && !isQuoted)
			depth++;
		else if (c === ")" && !isQuoted && depth)
			depth--;
		else if (!depth && !isQuoted)
			plain += c;
	}
	return plain.split(/[,;]/).flatMap((one) => {
		const found = /<([^<>]*)>/.exec(one)?.[1] ?? one.slice(one.lastIndexOf(":") + 1);
		const address = found.trim();
		return /^[^\s@]+@[^\s@]+$/.test(address) ? [address] : [];
	});
}

export interface Difference {
	kind: "blind" | "elsewhere" | "sender" | "null" | "signed";
	who: string;
	other: string;
}

/* Domains never tell letters apart; local parts might, but hardly any server lets them. */
function same(a: string, b: string): boolean {
	return a.toLowerCase() === b.toLowerCase();
}

function named(fields: readonly Field[], ...names: string[]): string[] {
	return fields.filter((field) => names.includes(field.name.toLowerCase())).flatMap((field) => addressesOf(field.value));
}

/* `fields` is empty where the letter is not known: then only the envelope itself can be odd. */
export function differencesOf(envelope: Pick<Envelope, "sender" | "account"> & { recipients: readonly { address: string }[] }, fields: readonly Field[]): Difference[] {
	const found: Difference[] = [];
	const from = named(fields, "from");
	const to = named(fields, "to", "cc", "bcc");
	if (!envelope.sender)
		found.push({ kind: "null", who: "", other: from[0] ?? "" });
	else if (from.length && !from.some((one) => same(one, envelope.sender)))
		found.push({ kind: "sender", who: envelope.sender, other: from[0]! });
	if (envelope.account && envelope.sender && !same(envelope.account, envelope.sender))
		found.push({ kind: "signed", who: envelope.account, other: envelope.sender });
	if (fields.length) {
		for (const { address } of envelope.recipients)
			if (!to.some((one) => same(one, address)))
				found.push({ kind: "blind", who: address, other: "" });
		for (const address of to)
			if (!envelope.recipients.some((one) => same(one.address, address)))
				found.push({ kind: "elsewhere", who: address, other: "" });
	}
	return found;
}

/* The text of a message, without its header; of one that has no empty line, what is no field any more. */
export function bodyOf(raw: string): string[] {
	const lines = raw.replace(/\r?\n$/, "").split(/\r?\n/);
	const end = lines.findIndex((line, index) => !/^[!-9;-~]+[ \t]*:/.test(line) && !(index > 0 && /^[ \t]+\S/.test(line)));
	return end < 0 ? [] : lines.slice(lines[end] === "" ? end + 1 : end);
}
