// SPDX-License-Identifier: Apache-2.0
// Traces of real sessions, and events made by hand.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { inOrder, parseTrace, type TraceEvent, type Value } from "../src/trace/event.ts";

declare const WEB_FOLDER: string;
export const web = WEB_FOLDER;

export function recorded(start: string): TraceEvent[][] {
	const folder = path.join(web, "dev/recorded");
	return readdirSync(folder).filter((name) => name.endsWith(".jsonl") && name.startsWith(start)).sort()
		.map((name) => inOrder(parseTrace(readFileSync(path.join(folder, name), "utf8")).events));
}

let sequence = 0;

export function made(kind: string, at_us: number, fields: Record<string, Value> = {}, more: Partial<TraceEvent> = {}): TraceEvent {
	return {
		kind, session: "S", wall_us: 1_700_000_000_000_000 + at_us, at_us, sequence: ++sequence, role: "gate-mx", role_index: 0,
		cut: false, masked: false, encrypted: false, fields, ...more,
	};
}

export function command(at_us: number, line: string, more: Partial<TraceEvent> = {}): TraceEvent {
	return made("command", at_us, { verb: line.split(" ")[0]!.toUpperCase(), line }, more);
}

export function reply(at_us: number, line: string, verb: string, more = 0): TraceEvent {
	return made("reply", at_us, { code: Number(line.slice(0, 3)) || 0, line, verb, more, us: 10 });
}

/* A session with `count` events or a few more: one message after the other. */
export function longSession(count: number): TraceEvent[] {
	const events = [made("connect", 0, { protocol: "smtp", peer: "192.0.2.1:1", local: "192.0.2.2:25", listener: "mx", via: "", outgoing: 0 }), reply(50, "220 mail.example.org", "greeting")];
	let at_us = 1000;
	while (events.length < count) {
		events.push(command(at_us += 300, `MAIL FROM:<a${events.length}@example.org>`), reply(at_us += 90, "250 2.1.0 Sender OK", "MAIL"));
		events.push(command(at_us += 300, "RCPT TO:<b@example.org>"), reply(at_us += 90, events.length % 7 ? "250 2.1.5 Recipient OK" : "450 4.2.1 Later", "RCPT"));
		events.push(command(at_us += 300, "DATA"), reply(at_us += 40, "354 Go on", "DATA"));
		events.push(made("data", at_us += 900, { how: "DATA", octets: 1000 + events.length, total: 1000, last: 1, unstuffed: 0, us: 800 }));
		events.push(made("inspect", at_us += 90, { message: "M", verdict: "accept", parts: 1, depth: 0, detail: "", us: 30 }, { role: "filter" }));
		events.push(reply(at_us += 2000, "250 2.0.0 Accepted", "DATA"));
	}
	events.push(made("close", at_us += 100, { reason: "quit", account: "", commands: 3, errors: 0, messages: 1, octets_in: 1, octets_out: 1, us: at_us, peer: "192.0.2.1:1", protocol: "smtp" }));
	return events;
}
