// SPDX-License-Identifier: Apache-2.0
// From the events of a session to the rows of its ladder: what is drawn between which life lines, what
// belongs together, and where the session's state machine stood. Pure; layout.ts gives it places.
import { own } from "../own.ts";
import { number, text, type TraceEvent } from "../trace/event.ts";

export const SIDE_LANES = ["filter", "store", "mailbox", "dns", "hop"] as const;
export type SideLane = (typeof SIDE_LANES)[number];
export type Lane = "client" | "server" | SideLane;

export type Phase = "connect" | "hello" | "tls" | "auth" | "envelope" | "data" | "checks" | "mailbox" | "other" | "quit";
export type Tone = "plain" | "good" | "wait" | "bad";
export type Shape = "arrow" | "bar" | "handshake" | "note" | "side" | "end";

export interface Row {
	/* In Model.rows. */
	index: number;
	event: TraceEvent;
	shape: Shape;
	from: Lane;
	to: Lane;
	/* Microseconds since the first event; pipelined commands have that of the first of them. */
	at_us: number;
	/* Which command it belongs to, counted from 1; 0 before the first. */
	exchange: number;
	/* Commands that left together share a number above 0. */
	group: number;
	phase: Phase;
	/* The state machine after it. */
	state: string;
	tone: Tone;
	encrypted: boolean;
	/* The connection was under TLS then, whoever tells the event. */
	sealed: boolean;
	/* A reply line after the first of its reply. */
	continues: boolean;
	/* A reply line before the last of its reply: the arrow is under that. */
	more: boolean;
	/* How long the server took, where the trace says so. */
	took_us: number;
}

export interface PhaseSpan {
	phase: Phase;
	first: number;
	last: number;
}

export interface Model {
	rows: Row[];
	phases: PhaseSpan[];
	/* Side lanes that have something to show. */
	lanes: SideLane[];
	protocol: string;
	family: "smtp" | "pop3";
	/* We are the client. */
	outgoing: boolean;
	peer: string;
	local: string;
	session: string;
	begin_wall_us: number;
	duration_us: number;
	/* The path cannot have taken longer than this, there and back; 0: not known. */
	round_trip_us: number;
	errors: number[];
	isOver: boolean;
}

const PHASE_OF_VERB: Record<string, Phase> = {
	greeting: "connect", EHLO: "hello", HELO: "hello", LHLO: "hello", CAPA: "hello",
	STARTTLS: "tls", STLS: "tls", AUTH: "auth", USER: "auth", PASS: "auth", APOP: "auth",
	MAIL: "envelope", RCPT: "envelope", DATA: "data", BDAT: "data",
	STAT: "mailbox", LIST: "mailbox", UIDL: "mailbox", RETR: "mailbox", TOP: "mailbox", DELE: "mailbox", QUIT: "quit",
};

const LANE_OF_KIND: Record<string, SideLane> = {
	inspect: "filter", commit: "store", accept: "store", deliver: "mailbox", expunge: "mailbox", dns: "dns",
	queued: "hop", claimed: "hop", attempt: "hop", notice: "hop", queue_change: "hop", site: "hop",
};

/* In POP3 what was fetched is drawn on the wire, from server to client. */
function laneOf(event: TraceEvent): SideLane | null {
	return own(LANE_OF_KIND, event.kind) ?? null;
}

function replyTone(line: string): Tone {
	if (/^[23]\d\d/.test(line) || line.startsWith("+"))
		return "good";
	if (/^4\d\d/.test(line))
		return "wait";
	return /^5\d\d/.test(line) || line.startsWith("-ERR") ? "bad" : "plain";
}

function verdictTone(word: string): Tone {
	if (["accept", "ok", "delivered", "relayed", "found", "queued"].includes(word))
		return "good";
	if (["defer", "deferred", "delay", "tag", "late", "unknown", "unavailable", "over-quota", "over-rate", "loop"].includes(word))
		return "wait";
	return ["refuse", "close", "failed", "expired", "cancelled", "no-name", "discard", "not-ours"].includes(word) ? "bad" : "plain";
}

function toneOf(event: TraceEvent): Tone {
	switch (event.kind) {
	case "reply":
		return replyTone(text(event, "line"));
	case "policy":
	case "inspect":
		return verdictTone(text(event, "verdict"));
	case "auth":
	case "attempt":
	case "deliver":
	case "dns":
		return verdictTone(text(event, "outcome"));
	case "tls":
	case "commit":
		return text(event, "failure") ? "bad" : "good";
	case "accept":
		return "good";
	case "trouble":
		return "bad";
	case "close":
		return ["quit", "done"].includes(text(event, "reason")) ? "plain" : "wait";
	default:
		return "plain";
	}
}

/* A server on one machine answers within microseconds; no client reads a reply and writes a command in this. */
const TOGETHER_US = 5;

/* Where the machine of RFC 5321 goes when no state event tells: in sessions in which we are the client. */
function stateAfter(state: string, verb: string, line: string): string {
	if (!/^[23]/.test(line))
		return state;
	switch (verb) {
	case "EHLO":
	case "HELO":
	case "LHLO":
	case "RSET":
		return "ready";
	case "MAIL":
		return "mailing";
	case "RCPT":
		return "addressed";
	case "STARTTLS":
		return "fresh";
	case "DATA":
	case "BDAT":
		return line.startsWith("2") ? "ready" : state;
	default:
		return state;
	}
}

interface Walk {
	model: Model;
	exchange: number;
	group: number;
	groups: number;
	phase: Phase;
	state: string;
	told: boolean;
	lastReply: TraceEvent | null;
	lastWire: TraceEvent | null;
	previousMore: boolean;
	origin_us: number;
	/* Command rows by what their group has sent, so that replies can stand after all of them. */
	groupEnd: number;
	groupAt_us: number;
	/* Outgoing: commands whose reply has not come, and the one whose reply came last. */
	unanswered: { exchange: number; verb: string }[];
	answered: number;
}

function isPipelined(walk: Walk, event: TraceEvent): boolean {
	if (!walk.lastWire || event.masked)
		return false;
	if (walk.model.outgoing || walk.lastWire.kind === "command")
		return walk.lastWire.kind === "command";
	return walk.lastReply === walk.lastWire && walk.exchange > 0 &&
		event.at_us - walk.lastWire.at_us < TOGETHER_US;
}

function measureRoundTrip(walk: Walk, event: TraceEvent): void {
	const before = walk.lastWire;
	const isTurn = walk.model.outgoing ? event.kind === "reply" && before?.kind === "command"
		: event.kind === "command" && before?.kind === "reply";
	if (!isTurn || !before)
		return;
	const gap = event.at_us - before.at_us;
	if (gap >= TOGETHER_US && (!walk.model.round_trip_us || gap < walk.model.round_trip_us))
		walk.model.round_trip_us = gap;
}

function rowOf(walk: Walk, event: TraceEvent, shape: Shape, from: Lane, to: Lane): Row {
	return {
		index: 0, event, shape, from, to,
		at_us: event.at_us - walk.origin_us,
		exchange: walk.exchange, group: event.kind === "command" ? walk.group : 0, phase: walk.phase, state: walk.state,
		tone: toneOf(event), encrypted: event.encrypted, sealed: false, continues: false, more: false,
		took_us: number(event, "us"),
	};
}

function takeConnect(walk: Walk, event: TraceEvent): void {
	const model = walk.model;
	model.protocol = text(event, "protocol") || "smtp";
	model.family = model.protocol.startsWith("pop3") ? "pop3" : "smtp";
	model.outgoing = number(event, "outgoing") === 1;
	model.peer = text(event, "peer");
	model.local = text(event, "local");
	walk.state = model.family === "pop3" ? "AUTHORIZATION" : "fresh";
	model.rows.push(rowOf(walk, event, "arrow", "client", "server"));
}

function takeCommand(walk: Walk, event: TraceEvent): void {
	const isTogether = isPipelined(walk, event);
	measureRoundTrip(walk, event);
	walk.exchange++;
	if (walk.model.outgoing)
		walk.unanswered.push({ exchange: walk.exchange, verb: text(event, "verb") });
	/* What answers a challenge has no verb. */
	if (!event.masked || text(event, "verb"))
		walk.phase = own(PHASE_OF_VERB, text(event, "verb")) ?? "other";
	const rows = walk.model.rows;
	if (isTogether) {
		const leader = rows[walk.groupEnd];
		if (!walk.group) {
			walk.group = ++walk.groups;
			if (leader)
				leader.group = walk.group;
		}
		const row = rowOf(walk, event, "arrow", "client", "server");
		row.at_us = walk.groupAt_us;
		rows.splice(++walk.groupEnd, 0, row);
	} else {
		walk.group = 0;
		walk.groupAt_us = event.at_us - walk.origin_us;
		walk.groupEnd = rows.length;
		rows.push(rowOf(walk, event, "arrow", "client", "server"));
	}
}

function takeReply(walk: Walk, event: TraceEvent): void {
	const verb = text(event, "verb");
	measureRoundTrip(walk, event);
	const newest = walk.exchange;
	if (walk.model.outgoing)
		walk.exchange = exchangeAnswered(walk, event);
	walk.phase = own(PHASE_OF_VERB, verb) ?? walk.phase;
	if (!walk.told && walk.model.family === "smtp")
		walk.state = stateAfter(walk.state, verb, text(event, "line"));
	const row = rowOf(walk, event, "arrow", "server", "client");
	row.continues = walk.previousMore;
	row.more = number(event, "more") === 1;
	walk.model.rows.push(row);
	walk.exchange = newest;
	walk.previousMore = row.more;
	walk.lastReply = event;
}

/* As a client we write a whole group first; its replies then come one after the other. DATA is answered twice. */
function exchangeAnswered(walk: Walk, event: TraceEvent): number {
	const next = walk.unanswered[0];
	if (!walk.previousMore && next && next.verb === text(event, "verb"))
		walk.answered = walk.unanswered.shift()!.exchange;
	return walk.answered;
}

function takeOther(walk: Walk, event: TraceEvent): void {
	const lane = laneOf(event);
	const ours: Lane = walk.model.outgoing ? "client" : "server";
	switch (event.kind) {
	case "tls":
		walk.phase = "tls";
		walk.model.rows.push(rowOf(walk, event, "handshake", "client", "server"));
		return;
	case "data":
		walk.phase = "data";
		walk.model.rows.push(rowOf(walk, event, "bar", "client", "server"));
		if (number(event, "last"))
			walk.phase = "checks";
		return;
	case "fetch":
		walk.model.rows.push(rowOf(walk, event, "bar", "server", "client"));
		return;
	case "close":
		walk.phase = "quit";
		walk.model.isOver = true;
		walk.model.rows.push(rowOf(walk, event, "end", "client", "server"));
		return;
	default:
		walk.model.rows.push(lane ? rowOf(walk, event, "side", ours, lane) : rowOf(walk, event, "note", ours, ours));
	}
}

function take(walk: Walk, event: TraceEvent): void {
	switch (event.kind) {
	case "state":
		takeState(walk, event);
		return;
	case "connect":
		takeConnect(walk, event);
		break;
	case "command":
		takeCommand(walk, event);
		break;
	case "reply":
		takeReply(walk, event);
		break;
	default:
		takeOther(walk, event);
	}
	const isWire = ["command", "reply", "data", "tls", "connect", "fetch"].includes(event.kind);
	if (isWire)
		walk.lastWire = event;
	/* A pipelined command is put in before others, all of one moment. */
	const row = walk.model.rows.at(-1);
	if (row)
		row.sealed = row.shape !== "end" && (walk.lastWire?.encrypted ?? false);
	if (isWire && event.kind === "command" && row !== walk.model.rows[walk.groupEnd])
		walk.model.rows[walk.groupEnd]!.sealed = event.encrypted;
}

/* The machine moves with what was said last: the rows of that instant stand in the new state already. */
function takeState(walk: Walk, event: TraceEvent): void {
	walk.told = true;
	walk.state = text(event, "to");
	const last = walk.model.rows.at(-1);
	if (last && last.event.at_us === event.at_us && last.event.kind !== "command")
		last.state = walk.state;
}

function spansOf(rows: readonly Row[]): PhaseSpan[] {
	const spans: PhaseSpan[] = [];
	for (const row of rows) {
		const last = spans.at(-1);
		if (last && last.phase === row.phase)
			last.last = row.index;
		else
			spans.push({ phase: row.phase, first: row.index, last: row.index });
	}
	return spans;
}

/* A session that is followed from its middle has no connect event; its first event is the beginning. */
export function modelOf(events: readonly TraceEvent[]): Model {
	const first = events[0];
	const model: Model = {
		rows: [], phases: [], lanes: [], protocol: "smtp", family: "smtp", outgoing: false, peer: "", local: "",
		session: first?.session ?? "", begin_wall_us: first?.wall_us ?? 0, duration_us: 0, round_trip_us: 0,
		errors: [], isOver: false,
	};
	const walk: Walk = {
		model, exchange: 0, group: 0, groups: 0, phase: "connect", state: "fresh", told: false, lastReply: null,
		lastWire: null, previousMore: false, origin_us: first?.at_us ?? 0, groupEnd: 0, groupAt_us: 0,
		unanswered: [], answered: 0,
	};
	for (const event of events)
		take(walk, event);
	const seen = new Set<SideLane>();
	model.rows.forEach((row, index) => {
		row.index = index;
		if (row.shape === "side")
			seen.add(row.to as SideLane);
		if (row.tone === "bad" || row.tone === "wait")
			model.errors.push(index);
		model.duration_us = Math.max(model.duration_us, row.event.at_us - walk.origin_us);
	});
	model.lanes = SIDE_LANES.filter((lane) => seen.has(lane));
	model.phases = spansOf(model.rows);
	return model;
}

/* What is on screen: rows of folded lanes hang on the next row that is drawn. */
export interface View {
	rows: Row[];
	folded: Row[][];
	/* From an index in Model.rows to one in rows. */
	placeOf: Int32Array;
}

export function viewOf(model: Model, open: ReadonlySet<SideLane>): View {
	const rows: Row[] = [];
	const folded: Row[][] = [];
	const placeOf = new Int32Array(model.rows.length);
	let waiting: Row[] = [];
	for (const row of model.rows) {
		placeOf[row.index] = rows.length;
		const isHidden = (row.shape === "side" && !open.has(row.to as SideLane)) || isStep(row);
		if (isHidden) {
			waiting.push(row);
			continue;
		}
		rows.push(row);
		folded.push(waiting);
		waiting = [];
	}
	if (rows.length && waiting.length) {
		const last = rows.length - 1;
		folded[last] = [...folded[last]!, ...waiting];
		waiting.forEach((row) => (placeOf[row.index] = last));
	}
	return { rows, folded, placeOf };
}

/* A step of a sign-in that just goes on: the 334 beside it says the same. */
function isStep(row: Row): boolean {
	return row.event.kind === "auth" && text(row.event, "outcome") === "continue";
}

/* Everything that happened for one command, the reply's reasons among it. */
export function exchangeOf(model: Model, row: Row): Row[] {
	return model.rows.filter((one) => one.exchange === row.exchange);
}
