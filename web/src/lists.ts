// SPDX-License-Identifier: Apache-2.0
// What the lists show, kept true by the live events: a row is there before anybody asks for it again.
import type { MessageRow, SessionRow } from "./api.ts";
import { own } from "./own.ts";
import { number, text, type TraceEvent } from "./trace/event.ts";

export const ROWS_MAX = 1000;

export interface LiveSession extends SessionRow {
	/* The newest line, when we saw it happen. */
	line: string;
	isFromClient: boolean;
}

export function liveOf(row: SessionRow): LiveSession {
	return { ...row, line: "", isFromClient: false };
}

function sessionBegun(event: TraceEvent): LiveSession {
	return {
		session: event.session ?? "", start: new Date(event.wall_us / 1000).toISOString(),
		protocol: text(event, "protocol"), peer: text(event, "peer"), account: "", open: true, reason: "",
		commands: 0, errors: 0, messages: 0, octets_in: 0, octets_out: 0, ms: 0, line: "", isFromClient: false,
	};
}

function changed(row: LiveSession, event: TraceEvent): LiveSession {
	switch (event.kind) {
	case "command":
		return { ...row, commands: row.commands + 1, line: text(event, "line"), isFromClient: true };
	case "reply":
		return {
			...row, errors: row.errors + (number(event, "code") >= 400 ? 1 : 0),
			line: text(event, "line"), isFromClient: false,
		};
	case "accept":
		return { ...row, messages: row.messages + 1 };
	case "auth":
		return text(event, "outcome") === "ok" ? { ...row, account: text(event, "account") } : row;
	case "close":
		return {
			...row, open: false, reason: text(event, "reason"), account: text(event, "account") || row.account,
			commands: number(event, "commands"), errors: number(event, "errors"), messages: number(event, "messages"),
			octets_in: number(event, "octets_in"), octets_out: number(event, "octets_out"),
			ms: Math.round(number(event, "us") / 1000), line: "",
		};
	default:
		return row;
	}
}

/* The same list when the event is none of its business. */
export function sessionsAfter(rows: LiveSession[], event: TraceEvent): LiveSession[] {
	if (!event.session)
		return rows;
	const at = rows.findIndex((row) => row.session === event.session);
	if (at < 0)
		return event.kind === "connect" ? [sessionBegun(event), ...rows].slice(0, ROWS_MAX) : rows;
	const next = changed(rows[at]!, event);
	return next === rows[at] ? rows : replaced(rows, at, next);
}

/* What was asked for, and what happened while the answer was under way. */
export function sessionsJoined(asked: SessionRow[], live: LiveSession[]): LiveSession[] {
	const known = new Map(live.map((row) => [row.session, row]));
	const joined = asked.map((row) => {
		const own = known.get(row.session);
		known.delete(row.session);
		return own && row.open ? own : liveOf(row);
	});
	return [...known.values(), ...joined].sort((a, b) => b.start.localeCompare(a.start)).slice(0, ROWS_MAX);
}

/* The newest first, however many were asked for; what the answer tells of a message is newer than what is known. */
export function messagesJoined(asked: MessageRow[], live: MessageRow[]): MessageRow[] {
	const told = new Set(asked.map((row) => row.message));
	return [...live.filter((row) => !told.has(row.message)), ...asked].sort((a, b) => b.time.localeCompare(a.time)).slice(0, ROWS_MAX);
}

/* Of an attempt elsewhere; "unknown": nobody knows whether it arrived, so it is tried again. */
const STATE_OF_ATTEMPT: Record<string, string> = { delivered: "delivered", relayed: "delivered", deferred: "deferred", unknown: "deferred" };

/* What the message is to one of its recipients then, in the server's words; null: the event says nothing of it. */
function stateSaid(event: TraceEvent): string | null {
	const outcome = text(event, "outcome");
	switch (event.kind) {
	case "queued":
		return "queued";
	case "deliver":
		return outcome === "delivered" ? outcome : "failed";
	case "attempt":
		return outcome === "late" ? null : own(STATE_OF_ATTEMPT, outcome) ?? "failed";
	default:
		return null;
	}
}

export function messagesAfter(rows: MessageRow[], event: TraceEvent): MessageRow[] {
	const id = text(event, "message");
	if (!id)
		return rows;
	const at = rows.findIndex((row) => row.message === id);
	if (event.kind === "accept" && at < 0)
		return [messageAccepted(event, id), ...rows].slice(0, ROWS_MAX);
	const state = stateSaid(event);
	if (at < 0 || !state)
		return rows;
	const row = rows[at]!;
	/* One recipient's outcome is the message's when it has no other; else only the server knows. */
	const next = row.recipients.length > 1 && row.state !== state && row.state !== "queued" ? "mixed" : state;
	return next === row.state ? rows : replaced(rows, at, { ...row, state: next });
}

function messageAccepted(event: TraceEvent, id: string): MessageRow {
	return {
		message: id, time: new Date(event.wall_us / 1000).toISOString(), session: event.session ?? "",
		peer: text(event, "peer"), sender: text(event, "sender"),
		recipients: text(event, "recipients").split(",").filter(Boolean), more: 0, subject: text(event, "subject"),
		octets: number(event, "octets"), state: "delivered",
	};
}

/* Every word must be somewhere in the row. */
export function matches(words: string, ...values: readonly (string | number)[]): boolean {
	const all = values.join(" ").toLowerCase();
	return words.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

function replaced<T>(rows: T[], at: number, row: T): T[] {
	const next = rows.slice();
	next[at] = row;
	return next;
}
