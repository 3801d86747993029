// SPDX-License-Identifier: Apache-2.0
// What stays true while a page is open for long: lists that are asked for again, streams that break, signing out.
import assert from "node:assert/strict";
import test from "node:test";
import { api, doubts, follow, type MessageRow } from "../src/api.ts";
import { messagesJoined, ROWS_MAX, sessionsAfter } from "../src/lists.ts";
import { modelOf } from "../src/ladder/model.ts";
import { allowedIn } from "../src/player/machine.ts";
import { t } from "../src/text.ts";
import { eventOf } from "../src/trace/event.ts";

/* An EventSource that does what the test says. */
class Stream {
	static CLOSED = 2;
	static made: Stream[] = [];
	readyState = 1;
	onopen = () => {};
	onerror = () => {};
	private listeners = new Map<string, (message: { data: string }) => void>();

	constructor(readonly url: string) {
		Stream.made.push(this);
	}

	addEventListener(kind: string, listener: (message: { data: string }) => void): void {
		this.listeners.set(kind, listener);
	}

	tell(kind: string, data: unknown): void {
		this.listeners.get(kind)!({ data: JSON.stringify(data) });
	}

	breaks(readyState: number): void {
		this.readyState = readyState;
		this.onerror();
	}

	close(): void {
		this.readyState = Stream.CLOSED;
	}
}

/* Timers that run when the test says. */
function withStreams(run: (later: () => void) => void): void {
	const given = { EventSource: globalThis.EventSource, setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
	let waiting: (() => void) | null = null;
	Stream.made = [];
	Object.assign(globalThis, {
		EventSource: Stream,
		setTimeout: (what: () => void) => (waiting = what, 1),
		clearTimeout: () => waiting = null,
	});
	try {
		run(() => {
			const what = waiting;
			waiting = null;
			what?.();
		});
	} finally {
		Object.assign(globalThis, given);
	}
}

const EVENT = { kind: "noop", fields: {} };

test("a stream that was refused is opened again, and what was missed is asked for", () => withStreams((later) => {
	const lost: number[] = [];
	const states: boolean[] = [];
	let events = 0;
	const before = doubts.value;
	const stop = follow(null, () => events++, (n) => lost.push(n), (is) => states.push(is));
	Stream.made[0]!.onopen();
	Stream.made[0]!.tell("trace", EVENT);
	assert.deepEqual([events, lost, states], [1, [], [true]]);
	Stream.made[0]!.breaks(Stream.CLOSED);
	assert.equal(doubts.value, before + 1, "who looks may not be signed in any more");
	later();
	assert.equal(Stream.made.length, 2);
	Stream.made[1]!.onopen();
	Stream.made[1]!.tell("trace", EVENT);
	assert.deepEqual([events, lost, states], [2, [0], [true, false, true]]);
	stop();
	assert.equal(Stream.made[1]!.readyState, Stream.CLOSED);
}));

test("a browser that goes on from an event it knows has missed nothing; one that knows none may have", () => withStreams(() => {
	const lost: number[] = [];
	follow("s", () => {}, (n) => lost.push(n));
	const [stream] = Stream.made;
	stream!.onopen();
	stream!.breaks(0);
	stream!.onopen();
	assert.deepEqual(lost, [0]);
	stream!.tell("trace", EVENT);
	stream!.breaks(0);
	stream!.onopen();
	assert.deepEqual(lost, [0]);
	assert.equal(Stream.made.length, 1);
}));

test("nobody opens a stream again that was stopped while it waited", () => withStreams((later) => {
	const stop = follow(null, () => {});
	Stream.made[0]!.breaks(Stream.CLOSED);
	stop();
	later();
	assert.equal(Stream.made.length, 1);
}));

test("an answer that asks for a sign-in is a doubt, a wrong password is none", async () => {
	const given = globalThis.fetch;
	const before = doubts.value;
	globalThis.fetch = async () => new Response('{"error": "sign in"}', { status: 401 });
	try {
		await assert.rejects(api.signIn("a@b", "c"), { status: 401 });
		assert.equal(doubts.value, before);
		await assert.rejects(api.queue(), { status: 401, message: "sign in" });
		assert.equal(doubts.value, before + 1);
	} finally {
		globalThis.fetch = given;
	}
});

function messages(from: number, count: number): MessageRow[] {
	return Array.from({ length: count }, (_, index) => ({
		message: `m${from + index}`, time: new Date(Date.UTC(2026, 0, 1, 0, 0, from + index)).toISOString(), session: "", peer: "", sender: "",
		recipients: [], more: 0, subject: "", octets: 0, state: "delivered",
	})).reverse();
}

test("messages asked for again stand above those that are older, and there is an end to them", () => {
	const joined = messagesJoined(messages(400, 500), messages(0, 700));
	assert.deepEqual(joined.map((row) => row.message), messages(0, 900).map((row) => row.message));
	assert.equal(messagesJoined(messages(700, 500), joined).length, ROWS_MAX);
});

test("a time that no calendar has ends no drawing", () => {
	const at = (wall_us: unknown) => eventOf({ kind: "connect", session: "s", wall_us, fields: {} })!;
	for (const wall_us of [1e300, -1e300, 9e18, Number.MAX_VALUE])
		assert.equal(sessionsAfter([], at(wall_us))[0]!.start, "1970-01-01T00:00:00.000Z");
	assert.equal(at(8.64e18).wall_us, 8.64e18);
});

test("words that every object of the language knows are words like others", () => {
	for (const word of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
		assert.equal(t(word), word);
		assert.deepEqual(allowedIn(word, "lmtp"), []);
		const event = eventOf(JSON.parse(`{"kind": "command", "session": "s", "fields": {"verb": "${word}", "${word}": "${word}"}}`))!;
		assert.equal(modelOf([event]).rows[0]!.phase, "other");
	}
});
