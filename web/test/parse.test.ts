// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { axisOf, ticksOf, xOf } from "../src/journey/layout.ts";
import { journeyOf, journeyOfHeader } from "../src/journey/model.ts";
import { addressesOf, bodyOf, differencesOf, transactionAt } from "../src/parse/post.ts";
import { layersOf } from "../src/ladder/layers.ts";
import { modelOf } from "../src/ladder/model.ts";
import { waysOf } from "../src/journey/ways.ts";
import { anatomyOf, codesIn, fateOf, numbersOf, subjectOf } from "../src/parse/code.ts";
import { commandParts, octetsOf, replyParts } from "../src/parse/parts.ts";
import { dateOf, fieldsOf, headerOf, hopOf, isSkewed } from "../src/parse/received.ts";
import { eventOf, identity, inOrder, parseTrace, text } from "../src/trace/event.ts";
import { Gathering } from "../src/trace/source.ts";
import { messagesAfter, sessionsAfter, sessionsJoined } from "../src/lists.ts";
import { routeOf } from "../src/route.ts";
import { t, useTexts } from "../src/text.ts";
import { command, made, recorded, reply, web } from "./recorded.ts";

function named(parts: { name: string; value: string }[]): string[] {
	return parts.map((part) => `${part.name}=${part.value}`);
}

test("MAIL and RCPT fall into verb, address and parameters", () => {
	assert.deepEqual(named(commandParts("MAIL FROM:<ann@example.org> SIZE=14211 BODY=8BITMIME SMTPUTF8", "MAIL")),
		["verb=MAIL", "local-part=ann", "domain=example.org", "parameter=SIZE", "value=14211", "parameter=BODY", "value=8BITMIME", "parameter=SMTPUTF8"]);
	assert.deepEqual(commandParts("RCPT TO:<b@c.example> NOTIFY=FAILURE", "RCPT")[3]!.about, ["parameters", "RCPT NOTIFY"]);
	assert.deepEqual(named(commandParts("mail from: <>", "MAIL")), ["verb=mail", "null-path=<>"]);
	assert.deepEqual(named(commandParts('MAIL FROM:<"a>b@c"@d.example>', "MAIL")), ["verb=MAIL", 'local-part="a>b@c"', "domain=d.example"]);
	assert.deepEqual(named(commandParts("RCPT TO:<Postmaster>", "RCPT")), ["verb=RCPT", "local-part=Postmaster"]);
});

test("lines that are no commands are shown whole", () => {
	assert.deepEqual(named(commandParts("<script>alert(1)</script>", "")), ["unknown=<script>alert(1)</script>"]);
	assert.deepEqual(named(commandParts("****", "AUTH")), ["response=****"]);
	assert.deepEqual(commandParts("", "NOOP"), []);
});

test("replies fall into code, enhanced code and text; those to EHLO into extensions", () => {
	assert.deepEqual(named(replyParts("250 2.1.5 Recipient OK", "RCPT", "smtp")), ["code=250", "enhanced=2.1.5", "text=Recipient OK"]);
	assert.deepEqual(named(replyParts("250-SIZE 52428800", "EHLO", "smtp")), ["code=250", "goes-on=-", "extension=SIZE", "extension-value=52428800"]);
	assert.deepEqual(named(replyParts("250-mail.example.org", "EHLO", "smtp")), ["code=250", "goes-on=-", "text=mail.example.org"]);
	assert.deepEqual(named(replyParts("nonsense", "", "smtp")), ["text=nonsense"]);
	assert.deepEqual(named(replyParts("-ERR [IN-USE] locked", "PASS", "pop3")), ["status=-ERR", "response-code=[IN-USE]", "text=locked"]);
	assert.deepEqual(named(replyParts("SASL PLAIN LOGIN", "CAPA", "pop3")), ["extension=SASL", "extension-value=PLAIN", "extension-value=LOGIN"]);
});

test("parts of every recorded line lie in it, in order, without overlap", () => {
	for (const event of recorded("").flat()) {
		const line = text(event, "line");
		const parts = event.kind === "command" ? commandParts(line, text(event, "verb")) : event.kind === "reply" ? replyParts(line, text(event, "verb"), text(event, "line").startsWith("+") ? "pop3" : "smtp") : [];
		let place = 0;
		for (const part of parts) {
			assert.ok(part.from >= place && part.to <= line.length && part.to > part.from, line);
			assert.equal(part.value, line.slice(part.from, part.to));
			place = part.to;
		}
	}
});

test("octets know their character, also where one takes several", () => {
	const { octets, character } = octetsOf("é<");
	assert.deepEqual([...octets], [0xc3, 0xa9, 0x3c, 0x0d, 0x0a]);
	assert.deepEqual([...character], [0, 0, 1, 2, 3]);
	assert.deepEqual([...octetsOf("😀x").character], [0, 0, 0, 0, 2, 3, 4]);
});

test("a trace file may be lines or an array; what is no event is counted", () => {
	const line = '{"v":1,"kind":"command","session":"A","time":"2026-01-01T00:00:00Z","at_us":1,"sequence":1,"role":"gate","role_index":0,"encrypted":true,"fields":{"verb":"NOOP","line":"NOOP","new":7,"odd":{"x":1}}}';
	assert.equal(parseTrace(`${line}\nrubbish\n{"kind":1}\n`).bad, 2);
	const { events } = parseTrace(`[${line}]`);
	assert.equal(events.length, 1);
	assert.equal(events[0]!.wall_us, Date.parse("2026-01-01T00:00:00Z") * 1000);
	assert.equal(text(events[0]!, "line"), "NOOP");
	assert.equal(text(events[0]!, "odd"), "", "a field of another type reads as empty");
	assert.equal(text(events[0]!, "constructor"), "", "nothing is inherited");
	assert.equal(eventOf(null), null);
	assert.equal(parseTrace("[1, 2").bad, 1);
});

test("what is recorded and what happens now join without doubles, in order", () => {
	const events = recorded("submission")[0]!;
	const gathering = new Gathering();
	assert.equal(gathering.add(events.slice(20)), true);
	assert.equal(gathering.add(events.slice(0, 30)), true);
	assert.equal(gathering.add(events), false);
	assert.deepEqual(gathering.events.map(identity), inOrder(events).map(identity));
});

test("the lists follow the events: a session appears, moves and ends", () => {
	const events = recorded("smtp-6")[0]!;
	let rows = sessionsJoined([], []);
	rows = sessionsAfter(rows, events[0]!);
	assert.equal(rows.length, 1);
	assert.equal(rows[0]!.open, true);
	for (const event of events.slice(1))
		rows = sessionsAfter(rows, event);
	assert.equal(rows[0]!.open, false);
	assert.equal(rows[0]!.messages, 1);
	let messages = messagesAfter([], events.find((event) => event.kind === "accept")!);
	assert.equal(messages[0]!.state, "delivered");
	messages = messagesAfter(messages, made("attempt", 9, { message: messages[0]!.message, recipient: "x", outcome: "deferred" }));
	assert.equal(messages[0]!.state, "deferred");
});

test("what became of a message is what the server calls it", () => {
	const [accepted] = messagesAfter([], made("accept", 1, { message: "m", recipients: "x@y.example" }));
	const after = (kind: string, outcome: string) => messagesAfter([accepted!], made(kind, 2, { message: "m", recipient: "x@y.example", outcome }))[0]!.state;
	for (const [kind, outcome, state] of [
		["deliver", "loop", "failed"], ["deliver", "over-rate", "failed"], ["deliver", "unknown", "failed"], ["deliver", "delivered", "delivered"],
		["attempt", "unknown", "deferred"], ["attempt", "expired", "failed"], ["attempt", "late", "delivered"], ["queued", "", "queued"], ["queue_change", "failed", "delivered"],
	] as const)
		assert.equal(after(kind, outcome), state, `${kind} ${outcome}`);
});

const TWO_HOPS = [
	"Return-Path: <a@sender.example>",
	"Received: from mx.middle.example (mx.middle.example [192.0.2.7])",
	"\tby mail.example.org (Postfix) with ESMTPS id 4Zt9kQ (TLSv1.3; by nobody)",
	"\tfor <b@example.org>; Sun, 22 Nov 2026 10:00:05 +0100 (CET)",
	"Authentication-Results: mx.middle.example; spf=pass",
	"Received: from [10.0.0.1] (helo=laptop) by mx.middle.example with esmtpsa (Exim 4.96) id 1abc-2; Sun, 22 Nov 2026 09:00:02 GMT",
	"From: a@sender.example",
	"Subject: =?utf-8?q?hi?=",
	"",
	"Received: not a header any more",
].join("\r\n");

test("Received lines tell the hops, oldest first, with what each wrote", () => {
	const header = headerOf(TWO_HOPS);
	assert.equal(header.fields.length, 6);
	assert.deepEqual(header.hops.map((hop) => [hop.from, hop.by, hop.with, hop.id, hop.for, hop.tls]),
		[["[10.0.0.1]", "mx.middle.example", "esmtpsa", "1abc-2", "", true], ["mx.middle.example", "mail.example.org", "ESMTPS", "4Zt9kQ", "b@example.org", true]]);
	assert.equal(header.hops[1]!.delay, 3000, "zones are reckoned with");
	assert.deepEqual(header.hops[1]!.fields, [0, 1], "Return-Path was written by the last");
	assert.deepEqual(header.hops[0]!.fields, [2, 3]);
	assert.deepEqual(header.own, [4, 5]);
});

test("a clock that is behind is marked, and does not blame the next hop", () => {
	const received = (by: string, time: string) => `Received: from x by ${by}; Sun, 22 Nov 2026 ${time} +0000`;
	const header = headerOf([received("three", "10:00:12"), received("two", "09:55:00"), received("one", "10:00:10")].join("\n"));
	assert.deepEqual(header.hops.map(isSkewed), [false, true, false]);
	const journey = journeyOfHeader(header);
	assert.equal(journey.tracks[1]!.spans[0]!.skewed, true);
	assert.equal(journey.end_us - journey.begin_us, 2_000_000);
	assert.equal(journey.slowest!.track.name, "three");
});

test("dates in the forms that real servers write", () => {
	const noon = Date.UTC(2026, 0, 2, 12, 0, 0);
	for (const value of ["Fri, 2 Jan 2026 12:00:00 +0000", "2 Jan 26 07:00:00 EST", "Fri,  2 Jan 2026 13:00 +0100 (CET)", "Fri, 02 January 2026 12:00:00 Z"])
		assert.equal(dateOf(value), noon, value);
	assert.equal(dateOf("yesterday"), null);
	assert.equal(dateOf("2 Foo 2026 12:00:00"), null);
});

test("hostile and broken headers give what can be read and never hang", () => {
	assert.deepEqual(headerOf("").hops, []);
	assert.equal(fieldsOf("From someone Sun Nov 22\nSubject: x\n\nbody: y").length, 1, "an mbox line in front is passed over");
	assert.equal(hopOf("from <script>alert(1)</script> by \"(((\" ; (((((").from, "script>alert</script", "what stands in parentheses is a comment");
	const deep = `Received: ${"(".repeat(50_000)} by x; ${"a ".repeat(50_000)}`;
	const begin = performance.now();
	headerOf(deep);
	headerOf(`Received: from ${"by ".repeat(20_000)}`);
	headerOf(Array.from({ length: 20_000 }, (_, i) => `X-${i}: y`).join("\n"));
	assert.ok(performance.now() - begin < 1500, `${performance.now() - begin} ms`);
});

test("a greylisted message's journey: attempts, waits, the slowest, each recipient apart", () => {
	const events = inOrder(recorded("").flat());
	const accept = events.find((event) => text(event, "subject") === "Your invoice")!;
	const message = text(accept, "message");
	const own = events.filter((event) => text(event, "message") === message || (event.session === accept.session && event.kind === "data") || event.kind === "connect");
	const journey = journeyOf(own, message, [{ recipient: "dora@later.example" }, { recipient: "carol@there.example" }], 0);
	const [dora, carol] = journey.tracks;
	assert.deepEqual(carol!.spans.map((span) => span.stage), ["queue", "attempt"]);
	const attempts = dora!.spans.filter((span) => span.stage === "attempt");
	assert.ok(attempts.length >= 3);
	assert.ok(attempts.slice(0, -1).every((span) => span.tone === "wait" && span.why.startsWith("450") && span.next_us > 0));
	assert.equal(attempts.at(-1)!.tone, "good");
	assert.ok(attempts.every((span) => span.session !== "" && span.to_us > span.from_us), "each opens its film and has lasted");
	assert.equal(journey.slowest!.span.stage, "wait");
	assert.equal(journey.slowest!.track, dora);
	for (const track of journey.tracks)
		track.spans.forEach((span, i) => assert.ok(i === 0 || span.from_us >= track.spans[i - 1]!.to_us, "no two at once"));
});

test("a message that still waits goes on to now", () => {
	const accept = made("accept", 0, { message: "M", sender: "a", recipients: "b", octets: 1, us: 0, peer: "p", subject: "s" });
	const attempt = made("attempt", 1_000_000, { message: "M", recipient: "b", outcome: "deferred", code: 451, enhanced: "4.7.1", reply: "later", peer: "mx", attempts: 1, next_us: accept.wall_us + 9_000_000 });
	const journey = journeyOf([accept, attempt], "M", [{ recipient: "b" }], accept.wall_us + 5_000_000);
	assert.equal(journey.tracks[0]!.spans.at(-1)!.stage, "wait");
	assert.equal(journey.end_us, accept.wall_us + 5_000_000);
});

test("an attempt begins when the queue gave the message out, also in a connection that was there; a report has its own line", () => {
	const told = (kind: string, at_us: number, fields: Record<string, string | number>) => made(kind, at_us, { message: "M", ...fields }, { session: kind === "attempt" ? "OUT" : null });
	const journey = journeyOf([
		made("accept", 0, { message: "M", sender: "a@here", recipients: "b@there", octets: 1, us: 0, peer: "p", subject: "s" }), told("queued", 0, { recipient: "b@there", destination: "there" }),
		told("claimed", 10, { destination: "there" }), made("connect", 20, { outgoing: 1 }, { session: "OUT" }), told("attempt", 50, { recipient: "b@there", outcome: "deferred" }),
		told("claimed", 5_000_000, { destination: "elsewhere" }), told("claimed", 9_000_000, { destination: "there" }), told("attempt", 9_000_040, { recipient: "b@there", outcome: "failed", code: 550 }),
		made("notice", 9_000_100, { message: "R", about: "M", recipient: "a@here", outcome: "delivered" }), made("notice", 9_000_100, { message: "R2", about: "N", recipient: "a@here", outcome: "delivered" }),
	], "M", [{ recipient: "b@there", forwarded_for: "list@here" }], 0);
	assert.deepEqual(journey.tracks[0]!.spans.map((span) => [span.stage, span.to_us - span.from_us]), [["queue", 10], ["attempt", 40], ["wait", 8_999_950], ["attempt", 40]]);
	assert.equal(journey.tracks[0]!.via, "list@here");
	assert.deepEqual(journey.tracks.slice(1).map((track) => [track.name, track.spans[0]!.stage, track.spans[0]!.message]), [["a@here", "notice", "R"]]);
	assert.equal(journey.slowest!.span.stage, "wait");
});

test("the axis keeps order, shows what is short and squeezes what is long", () => {
	const header = headerOf(TWO_HOPS);
	const journey = journeyOfHeader(header);
	const axis = axisOf(journey);
	assert.equal(xOf(axis, journey.begin_us), 0);
	assert.equal(xOf(axis, journey.end_us), 1);
	const accept = made("accept", 0, { message: "M", sender: "a", recipients: "b", octets: 1, us: 5000, peer: "p", subject: "s" });
	const long = journeyOf([accept, made("attempt", 7_200_000_000, { message: "M", recipient: "b", outcome: "relayed", attempts: 1 })], "M", [{ recipient: "b" }], 0);
	const squeezed = axisOf(long);
	assert.ok(squeezed.pieces.some((piece) => piece.squeezed), "two hours are squeezed");
	assert.ok(squeezed.pieces.every((piece) => piece.width > 0.05), "five milliseconds are seen");
	let last = -1;
	for (let i = 0; i <= 100; i++) {
		const x = xOf(squeezed, long.begin_us + (long.end_us - long.begin_us) * i / 100);
		assert.ok(x >= last);
		last = x;
	}
	assert.ok(ticksOf(squeezed, 0.2).every((tick, i, all) => i === 0 || tick.x - all[i - 1]!.x >= 0.2));
});

test("addresses after # lead where they say, whatever they are", () => {
	assert.deepEqual(routeOf("#/session/6H%2F1/7"), { screen: "session", id: "6H/1", at: "7" });
	assert.deepEqual(routeOf(""), { screen: "sessions", id: "", at: "" });
	assert.deepEqual(routeOf("#/%E0%A4%A/x"), { screen: "sessions", id: "x", at: "" });
});

function texts(name: string): Record<string, string> {
	return JSON.parse(readFileSync(path.join(web, "texts", name), "utf8")) as Record<string, string>;
}

test("every language has every text, with the same values in it", () => {
	const english = texts("en.json");
	const german = texts("de.json");
	assert.deepEqual(Object.keys(german).filter((key) => !key.endsWith(".one")).sort(), Object.keys(english).filter((key) => !key.endsWith(".one")).sort());
	const values = (line: string) => [...line.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
	for (const [key, line] of Object.entries(english))
		if (german[key] !== undefined)
			assert.deepEqual(values(german[key]), values(line), key);
});

test("every field of the trace has a name for people", () => {
	const english = texts("en.json");
	const names = [...readFileSync(path.join(web, "../src/trace/events.def"), "utf8").matchAll(/\bF\((?:U64|STR), (\w+),/g)].map((match) => match[1]!);
	assert.ok(names.length > 60);
	assert.deepEqual(names.filter((name) => english[`field.${name}`] === undefined), []);
});

test("texts take values and know one from many; values are never read as texts", () => {
	useTexts({ a: "{n} things of {who}", "a.one": "one thing of {who}" });
	assert.equal(t("a", { n: 2, who: "{n}" }), "2 things of {n}");
	assert.equal(t("a", { n: 1, who: "x" }), "one thing of x");
	assert.equal(t("missing"), "missing");
});

test("a reply code falls into its digits, an enhanced one into its numbers, and tells whether to come back", () => {
	assert.deepEqual(codesIn("451 4.7.1 Greylisted", false), { code: "451", enhanced: "4.7.1" });
	assert.deepEqual(codesIn("250-SIZE 4.7.1", false), { code: "250", enhanced: "" });
	assert.deepEqual(codesIn("2505 x", false), { code: "", enhanced: "" });
	assert.deepEqual(codesIn("199 no", false), { code: "", enhanced: "" });
	assert.deepEqual(codesIn("-ERR [SYS/TEMP] later", true), { code: "-ERR", enhanced: "[SYS/TEMP]" });
	assert.deepEqual(codesIn("+OKAY", true), { code: "", enhanced: "" });
	assert.deepEqual(anatomyOf("551"), { code: "551", digits: ["5", "5", "1"], fate: "never" });
	assert.equal(anatomyOf("+OK"), null);
	assert.deepEqual(numbersOf("5.1.10"), ["5", "1", "10"]);
	assert.equal(numbersOf("6.1.1"), null);
	assert.deepEqual(["250", "354", "421", "550", "[IN-USE]", "[SYS/PERM]", "+OK"].map(fateOf), ["done", "more", "later", "never", "later", "never", "done"]);
});

test("every code and number of the explanations can be taken apart, in every language", () => {
	const explained = JSON.parse(readFileSync(path.join(web, "../texts/explain.en.json"), "utf8")) as Record<string, Record<string, Record<string, unknown>>>;
	for (const language of [texts("en.json"), texts("de.json")]) {
		const says = (key: string) => assert.ok(language[key], key);
		for (const code of Object.keys(explained["smtp"]!["codes"]!).filter((one) => !one.endsWith("xx"))) {
			const anatomy = anatomyOf(code);
			assert.ok(anatomy, code);
			["first", "second"].forEach((place, index) => says(`code.${place}.${anatomy.digits[index]}`));
			says(`code.fate.${anatomy.fate}.why`);
		}
		for (const code of Object.keys(explained["smtp"]!["enhanced"]!).filter((one) => !one.endsWith("x"))) {
			const numbers = numbersOf(code);
			assert.ok(numbers, code);
			says(`code.class.${numbers[0]}`);
			says(`code.subject.${subjectOf(numbers[1])}`);
		}
		for (const code of Object.keys(explained["pop3"]!["codes"]!))
			says(`code.fate.${fateOf(code)}`);
	}
});

test("where the letter names others than the envelope, it is pointed out; where both agree, nothing is", () => {
	const letter = fieldsOf("From: \"Doe, Ann\" <ann@a.example>\nTo: Friends: bob@b.example (at work), \"x@y\" <Carla@B.example>;\nSubject: x");
	const envelope = { sender: "ann@a.example", account: "", recipients: [{ address: "bob@b.example" }, { address: "carla@b.example" }] };
	assert.deepEqual(differencesOf(envelope, letter), []);
	const kinds = (change: Partial<typeof envelope>, fields = letter) => differencesOf({ ...envelope, ...change }, fields).map((one) => `${one.kind} ${one.who}`);
	assert.deepEqual(kinds({ sender: "bounces@list.example" }), ["sender bounces@list.example"]);
	assert.deepEqual(kinds({ sender: "" }), ["null "]);
	assert.deepEqual(kinds({ account: "robot@a.example" }), ["signed robot@a.example"]);
	assert.deepEqual(kinds({ recipients: [{ address: "bob@b.example" }, { address: "dora@d.example" }] }), ["blind dora@d.example", "elsewhere Carla@B.example"]);
	assert.deepEqual(kinds({ sender: "x@y.example" }, []), [], "a letter that is not known differs in nothing");
	assert.deepEqual(addressesOf("\"a@b\" <c@d.example>, undisclosed-recipients:;, (x@y.example) e@f.example"), ["c@d.example", "e@f.example"]);
	assert.deepEqual(bodyOf("A: b\r\n c\r\n\r\none\r\n\r\nd: two\r\n"), ["one", "", "d: two"]);
	assert.deepEqual(bodyOf("A: b\nno field, no empty line\n"), ["no field, no empty line"]);
	assert.deepEqual(bodyOf("A: b\n"), []);
});

test("a transaction's envelope is what the server was told and took, from MAIL to what ends it", () => {
	const events = [
		made("connect", 0, { protocol: "submission", peer: "192.0.2.1:1", local: "192.0.2.2:587", outgoing: 0 }),
		command(10, "EHLO x"), reply(100, "250 ok", "EHLO"), made("auth", 150, { mechanism: "PLAIN", step: 0, outcome: "ok", account: "ann@a.example" }),
		command(200, "MAIL FROM:<> SIZE=10"), reply(300, "250 2.1.0 ok", "MAIL"),
		command(400, "RCPT TO:<b@b.example> NOTIFY=NEVER"), reply(500, "250 2.1.5 ok", "RCPT"), command(600, "RCPT TO:<c@b.example>"), reply(700, "550 5.1.1 no", "RCPT"),
		command(800, "DATA"), reply(900, "354 go", "DATA"), made("data", 1000, { how: "DATA", octets: 100, last: 1, unstuffed: 2 }),
		made("accept", 1100, { message: "M", subject: "Hi", octets: 100, sender: "", recipients: "b@b.example" }), reply(1200, "250 2.0.0 ok", "DATA"),
		command(1300, "RSET"), reply(1400, "250 ok", "RSET"),
	];
	const model = modelOf(events);
	const at = (start: string) => transactionAt(model, model.rows.find((row) => text(row.event, "line").startsWith(start))!);
	const found = at("550")!;
	assert.equal(found.envelope.sender, "");
	assert.equal(found.envelope.account, "ann@a.example");
	assert.deepEqual(found.envelope.wishes, ["SIZE=10", "NOTIFY=NEVER"]);
	assert.deepEqual(found.envelope.recipients.map((one) => `${one.address} ${one.tone}`), ["b@b.example good", "c@b.example bad"]);
	assert.equal(found.message, "M");
	assert.equal(at("EHLO"), null);
	assert.equal(at("RSET"), null);
});

test("a line at each layer: what is measured, what the standard adds, and nothing where it is not known", () => {
	const connect = made("connect", 0, { protocol: "smtp", peer: "192.0.2.1:4000", local: "192.0.2.2:25", outgoing: 0 });
	const tls = made("tls", 60, { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", failure: "" });
	const sealed = { encrypted: true };
	const model = modelOf([connect, reply(50, "220 x", "greeting"), tls, command(1000, "NOOP", sealed), command(1000, "NOOP", sealed),
		command(2000, "****", { ...sealed, masked: true }), made("data", 3000, { how: "DATA", octets: 40_000, unstuffed: 4, last: 1 })]);
	const of = (find: (row: (typeof model.rows)[number]) => boolean, mss = 1460) => layersOf(model, model.rows.find(find)!, mss);
	const greeting = of((row) => row.event.kind === "reply")!;
	assert.deepEqual([greeting.content, greeting.tls, greeting.tcp.segments, greeting.total], [7, null, 1, 47]);
	assert.deepEqual([greeting.from, greeting.to], ["192.0.2.2:25", "192.0.2.1:4000"]);
	const group = of((row) => text(row.event, "line") === "NOOP")!;
	assert.deepEqual([group.lines, group.own, group.content, group.tls!.trailer, group.total], [2, 6, 12, 17, 12 + 22 + 40]);
	const masked = of((row) => row.event.masked)!;
	assert.deepEqual([masked.content, masked.tcp.segments, masked.total], [null, null, null]);
	const data = of((row) => row.event.kind === "data")!;
	assert.deepEqual([data.content, data.tcp.segments], [40_007, Math.ceil(40_007 / 1460)]);
	assert.equal(layersOf(model, model.rows[0]!, 1460), null);
	const local = modelOf([made("connect", 0, { protocol: "lmtp", peer: "unix", local: "/run/x", outgoing: 0 }), command(10, "LHLO x")]);
	assert.equal(layersOf(local, local.rows[1]!, 1460)!.ip, null);
});

test("a message is pushed until it lies in the mailbox, and pulled from there", () => {
	const events = [
		made("connect", 0, { protocol: "submission", peer: "192.0.2.1:9", local: "192.0.2.2:587" }, { session: "A" }),
		made("deliver", 90, { message: "M", recipient: "bob@x.example", account: "bob@x.example", folder: "INBOX", uid: 7, outcome: "delivered" }, { session: null }),
		made("accept", 100, { message: "M", peer: "192.0.2.1:9" }, { session: "A" }),
		made("connect", 200, { protocol: "smtp-out", peer: "198.51.100.1:25", local: "192.0.2.2:5", outgoing: 1 }, { session: "B" }),
		made("attempt", 300, { message: "M", recipient: "c@y.example", outcome: "relayed", peer: "198.51.100.1:25" }, { session: "B" }),
		made("attempt", 300, { message: "M", recipient: "d@y.example", outcome: "relayed", peer: "198.51.100.1:25" }, { session: "B" }),
		made("fetch", 400, { account: "bob@x.example", folder: "INBOX", uid: 7, what: "RETR" }, { session: "C" }),
		made("fetch", 500, { account: "bob@x.example", folder: "INBOX", uid: 8, what: "RETR" }, { session: "C" }),
	];
	assert.deepEqual(waysOf(events, "M").map((way) => `${way.kind} ${way.session} ${way.who}`),
		["push A ", "inside  bob@x.example", "push B c@y.example, d@y.example", "pull C bob@x.example"]);
});
