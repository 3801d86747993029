// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { advance, durationsOf, isStop, nextError, nextSpeed, positionOf, speedOf, step } from "../src/ladder/clock.ts";
import { columnsOf, fallOf, layoutOf, rowAt, rowsWithin, SQUEEZE_US, TIME_MODES } from "../src/ladder/layout.ts";
import { exchangeOf, modelOf, viewOf, type Model, type SideLane } from "../src/ladder/model.ts";
import { headAt, positionInStrip, stripOf } from "../src/ladder/strip.ts";
import { unruled } from "../src/player/why.ts";
import { text } from "../src/trace/event.ts";
import { command, longSession, made, recorded, reply } from "./recorded.ts";

const NONE: ReadonlySet<SideLane> = new Set();
const CONNECT = made("connect", 0, { protocol: "smtp", peer: "p", local: "l", listener: "mx", via: "", outgoing: 0 });

function lines(model: Model): string[] {
	return model.rows.filter((row) => row.event.kind === "command" || row.event.kind === "reply").map((row) => text(row.event, "line"));
}

test("commands that left together stand together, before their replies", () => {
	const model = modelOf([
		CONNECT, reply(10, "220 hello", "greeting"),
		command(500, "MAIL FROM:<a@b>"), reply(600, "250 sender", "MAIL"),
		command(601, "RCPT TO:<c@d>"), reply(700, "550 no", "RCPT"),
		command(700, "DATA"), reply(702, "503 nobody", "DATA"),
		command(5000, "QUIT"), reply(5001, "221 bye", "QUIT"),
	]);
	assert.deepEqual(lines(model), ["220 hello", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "250 sender", "550 no", "503 nobody", "QUIT", "221 bye"]);
	const group = model.rows.filter((row) => row.group > 0);
	assert.deepEqual(group.map((row) => row.at_us), [500, 500, 500], "they left when the first did");
	assert.equal(new Set(group.map((row) => row.group)).size, 1);
	assert.deepEqual(model.rows.filter((row) => row.event.kind === "reply").map((row) => row.exchange), [0, 1, 2, 3, 4], "each reply knows its command");
});

test("what answers a challenge belongs to the sign-in, and an answer without a rule says what decided", () => {
	const pop = made("connect", 0, { protocol: "pop3", peer: "p", local: "l", listener: "pop3", via: "", outgoing: 0 });
	const model = modelOf([pop, command(10, "AUTH PLAIN"), reply(20, "+ ", "AUTH"), made("command", 30, { verb: "", line: "****" }, { masked: true }), reply(40, "+OK", "AUTH"), made("command", 50, { verb: "", line: "FOO" }), reply(60, "-ERR what", "")]);
	assert.deepEqual(model.rows.map((row) => row.phase), ["connect", "auth", "auth", "auth", "auth", "other", "other"]);
	const why = (line: string, outgoing = 0) => {
		const one = modelOf([made("connect", 0, { protocol: outgoing ? "smtp-out" : "smtp", outgoing }), command(10, "RCPT TO:<a@b>"), reply(20, line, "RCPT")]);
		return unruled(one, exchangeOf(one, one.rows.at(-1)!));
	};
	assert.deepEqual(["250 ok", "500 what", "501 how", "503 when", "550 no"].map((line) => why(line)), ["panel.no-rule", "why.unknown", "why.grammar", "why.order", "why.protocol"]);
	assert.equal(why("450 later", 1), "why.theirs");
	assert.equal(why("250 ok", 1), null);
});

test("a client that waits for each reply has no groups", () => {
	const model = modelOf([CONNECT, reply(10, "220 hello", "greeting"), command(500, "EHLO x"), reply(510, "250 ok", "EHLO"), command(700, "QUIT")]);
	assert.ok(model.rows.every((row) => row.group === 0));
	assert.equal(model.round_trip_us, 190, "from the reply to the next command");
});

test("of a session in which we are the client, replies find their commands and the state is derived", () => {
	const out = made("connect", 0, { protocol: "smtp-out", peer: "p", local: "l", listener: "mx", via: "", outgoing: 1 });
	const model = modelOf([
		out, reply(10, "220 hello", "greeting"), command(11, "EHLO x"), reply(20, "250 ok", "EHLO"),
		command(30, "MAIL FROM:<a@b>"), command(31, "RCPT TO:<c@d>"), command(32, "DATA"),
		reply(50, "250 a", "MAIL"), reply(51, "250 b", "RCPT"), reply(52, "354 go", "DATA"),
		made("data", 60, { how: "DATA", octets: 9, total: 9, last: 1, unstuffed: 0, us: 1 }), reply(70, "250 kept", "DATA"), command(80, "QUIT"), reply(90, "221 bye", "QUIT"),
	]);
	assert.equal(model.outgoing, true);
	assert.deepEqual(model.rows.filter((row) => row.event.kind === "reply").map((row) => [row.exchange, row.state]),
		[[0, "fresh"], [1, "ready"], [2, "mailing"], [3, "addressed"], [4, "addressed"], [4, "ready"], [5, "ready"]]);
});

test("every recorded session becomes rows in order, with all lines and an end", () => {
	const sessions = recorded("");
	assert.ok(sessions.length >= 8);
	for (const events of sessions) {
		const model = modelOf(events);
		assert.equal(model.rows.length, events.filter((event) => event.kind !== "state").length);
		assert.equal(model.isOver, true);
		model.rows.forEach((row, index) => assert.equal(row.index, index));
		assert.equal(model.phases[0]!.phase, "connect");
		assert.equal(model.phases.at(-1)!.last, model.rows.length - 1);
	}
});

test("a POP3 session has its own states and phases", () => {
	const model = modelOf(recorded("pop3")[0]!);
	assert.equal(model.family, "pop3");
	const states = new Set(model.rows.map((row) => row.state));
	assert.ok(states.has("AUTHORIZATION") && states.has("TRANSACTION"));
	assert.ok(model.phases.some((one) => one.phase === "mailbox") && model.phases.some((one) => one.phase === "tls"));
});

test("folded lanes hang on the next row; open ones are rows; nothing is lost", () => {
	for (const events of recorded("smtp")) {
		const model = modelOf(events);
		const closed = viewOf(model, NONE);
		const open = viewOf(model, new Set(model.lanes));
		const count = (view: typeof open) => view.rows.length + view.folded.reduce((sum, rows) => sum + rows.length, 0);
		assert.equal(count(closed), model.rows.length);
		assert.equal(count(open), model.rows.length);
		assert.ok(open.rows.length > closed.rows.length || model.lanes.length === 0);
		assert.ok(closed.rows.every((row) => row.shape !== "side"));
		for (const row of model.rows)
			assert.ok(closed.placeOf[row.index]! < closed.rows.length, "each row has a place that exists");
	}
});

test("rows never overlap, in any time and at any width", () => {
	for (const events of [...recorded(""), longSession(500)])
		for (const mode of TIME_MODES)
			for (const width of [320, 720, 1400]) {
				const model = modelOf(events);
				const view = viewOf(model, NONE);
				const layout = layoutOf(model, view, { open: NONE, mode, width });
				for (let i = 1; i < view.rows.length; i++)
					assert.ok(layout.top[i]! >= layout.top[i - 1]! + layout.height[i - 1]! - 1e-6);
				assert.ok(layout.total > layout.top.at(-1)!);
				assert.ok(layout.columns.every((column) => column.x >= 0 && column.x <= width));
			}
});

test("the same session gives the same picture", () => {
	const events = recorded("submission")[0]!;
	const draw = () => {
		const model = modelOf(events);
		return layoutOf(model, viewOf(model, NONE), { open: NONE, mode: "real", width: 700 });
	};
	assert.deepEqual(draw(), draw());
});

test("real time keeps proportions, squeezed time leaves long pauses out and says so", () => {
	const model = modelOf([CONNECT, reply(1000, "220 a", "greeting"), command(2000, "NOOP"), reply(10_002_000, "250 b", "NOOP"), command(10_003_000, "QUIT")]);
	const view = viewOf(model, NONE);
	const air = (mode: "real" | "squeezed") => {
		const layout = layoutOf(model, view, { open: NONE, mode, width: 700 });
		return { layout, gap: (i: number) => layout.top[i]! - layout.top[i - 1]! - layout.height[i - 1]! };
	};
	const real = air("real");
	assert.ok(real.gap(3) > 1000 * real.gap(2), "ten seconds are ten thousand times a millisecond");
	const squeezed = air("squeezed");
	assert.equal(squeezed.layout.skipped_us[3], 10_000_000);
	assert.ok(squeezed.gap(3) < real.gap(3) * SQUEEZE_US / 1000);
});

test("our helpers stand behind us: right of a server, left of a client", () => {
	const sides: ReadonlySet<SideLane> = new Set(["filter", "store"] as const);
	const server = modelOf(recorded("smtp-6")[0]!);
	const columns = columnsOf(server, sides, 900).columns;
	assert.ok(columns.filter((one) => one.lane !== "client" && one.lane !== "server").every((one) => one.x > columns[1]!.x));
	const client = { ...server, outgoing: true };
	const others = columnsOf(client, sides, 900).columns;
	assert.ok(others.filter((one) => one.lane !== "client" && one.lane !== "server").every((one) => one.x < others[0]!.x));
});

test("an arrow falls more the longer the way is, and never across its row", () => {
	assert.equal(fallOf(0), 0);
	assert.ok(fallOf(100) < fallOf(10_000) && fallOf(10_000) < fallOf(300_000));
	assert.ok(fallOf(1e12) <= 14);
});

test("the row at a height is found as by counting", () => {
	const model = modelOf(longSession(300));
	const view = viewOf(model, NONE);
	const layout = layoutOf(model, view, { open: NONE, mode: "even", width: 700 });
	for (let y = 0; y < layout.total; y += 37) {
		let counted = 0;
		while (counted + 1 < view.rows.length && layout.top[counted + 1]! <= y)
			counted++;
		assert.equal(rowAt(layout, y), counted);
	}
	const [first, last] = rowsWithin(layout, 2000, 600, 0);
	assert.ok(last - first < 40, "only what is in sight");
});

test("the clock stays in its film, and pieces of time add up", () => {
	const model = modelOf(recorded("submission")[0]!);
	const view = viewOf(model, NONE);
	for (const mode of TIME_MODES) {
		const durations = durationsOf(view, mode);
		const total = durations.reduce((sum, one) => sum + one, 0);
		let head = 0;
		for (let i = 0; i < 1000; i++)
			head = advance(durations, head, total / 900);
		assert.equal(head, view.rows.length - 1);
		const once = advance(durations, 0, total / 2);
		const twice = advance(durations, advance(durations, 0, total / 4), total / 4);
		assert.ok(Math.abs(once - twice) < 1e-6);
	}
});

test("commands that left together are played together", () => {
	const model = modelOf([CONNECT, reply(10, "220 a", "greeting"), command(500, "MAIL FROM:<a@b>"), reply(600, "250 b", "MAIL"), command(600, "RCPT TO:<c@d>"), reply(650, "250 c", "RCPT")]);
	const durations = durationsOf(viewOf(model, NONE), "even");
	assert.equal(durations[2], 0, "no beat between the two");
	assert.ok(durations[1]! > 0 && durations[3]! > 0);
});

test("steps go by line, command and phase, forth and back to where they came from", () => {
	const model = modelOf(recorded("smtp-6")[0]!);
	const view = viewOf(model, NONE);
	for (const by of ["line", "command", "phase"] as const) {
		const stops = [0];
		while (stops.at(-1)! < view.rows.length - 1)
			stops.push(step(view, stops.at(-1)!, by, 1));
		const back = [view.rows.length - 1];
		while (back.at(-1)! > 0)
			back.push(step(view, back.at(-1)!, by, -1));
		assert.deepEqual(back.reverse(), stops);
		if (by === "command")
			assert.ok(stops.slice(1, -1).every((place) => isStop(view, place, by)));
	}
	assert.ok(step(view, 3.5, "line", -1) === 3, "within a row, back leads to its beginning");
});

test("errors are found in both directions, and where there is none the head stays", () => {
	const model = modelOf([CONNECT, reply(1, "220 a", "greeting"), command(900, "VRFY x"), reply(910, "550 no", "VRFY"), command(1900, "QUIT"), reply(1910, "221 b", "QUIT")]);
	const view = viewOf(model, NONE);
	assert.equal(nextError(model, view, 0, 1), 3);
	assert.equal(nextError(model, view, 5, -1), 3);
	assert.equal(nextError(model, view, 3, 1), 3);
});

test("speed is logarithmic from 0.1 to 100 and comes back", () => {
	assert.equal(speedOf(0), 0.1);
	assert.ok(Math.abs(speedOf(1) - 100) < 1e-9 && Math.abs(speedOf(1 / 3) - 1) < 1e-9);
	assert.ok(Math.abs(positionOf(speedOf(0.42)) - 0.42) < 1e-9);
	assert.equal(nextSpeed(1, 1), 2);
	assert.equal(nextSpeed(0.1, -1), 0.1);
	assert.equal(nextSpeed(100, 1), 100);
});

test("the strip leads to every row and back", () => {
	for (const mode of TIME_MODES) {
		const model = modelOf(longSession(2000));
		const view = viewOf(model, NONE);
		const strip = stripOf(view, durationsOf(view, mode));
		for (let place = 0; place < view.rows.length; place += 13)
			assert.equal(headAt(strip, positionInStrip(strip, place) + 1e-9), place);
		assert.ok(strip.segments.length <= 400, "however long the session, the strip is drawn quickly");
		assert.ok(strip.segments.every((segment) => segment.to >= segment.from));
	}
});

test("ten thousand events become a picture well under the 300 ms that opening may take", () => {
	const events = longSession(10_000);
	const begin = performance.now();
	const model = modelOf(events);
	const view = viewOf(model, NONE);
	stripOf(view, durationsOf(view, "even"));
	layoutOf(model, view, { open: NONE, mode: "even", width: 800 });
	assert.ok(performance.now() - begin < 150, `${performance.now() - begin} ms`);
});

test("a session followed from its middle, or an empty one, is no trouble", () => {
	assert.equal(modelOf([]).rows.length, 0);
	const model = modelOf([reply(5, "250 x", "NOOP"), command(900, "QUIT")]);
	assert.equal(model.rows.length, 2);
	const view = viewOf(model, NONE);
	assert.equal(layoutOf(model, view, { open: NONE, mode: "real", width: 300 }).top.length, 2);
	assert.equal(step(viewOf(modelOf([]), NONE), 0, "line", 1), 0);
});
