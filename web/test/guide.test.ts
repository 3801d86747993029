// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { filmOf, placesOf, stopsOf, type Myth } from "../src/guide/guide.ts";
import { modelOf } from "../src/ladder/model.ts";
import { waysOf } from "../src/journey/ways.ts";
import { bodyOf, transactionAt } from "../src/parse/post.ts";
import { text } from "../src/trace/event.ts";
import { web } from "./recorded.ts";

function json(name: string): unknown {
	return JSON.parse(readFileSync(path.join(web, name), "utf8"));
}

const { myths } = json("texts/guide.en.json") as { myths: Myth[] };

test("each page is whole: what is said, what is so in three depths, where the RFCs say it, and a film", () => {
	assert.deepEqual(myths.map((one) => one.id), Array.from({ length: 15 }, (_, index) => `m${index + 1}`));
	const seen = new Set<string>();
	for (const myth of myths) {
		for (const words of [myth.claim, myth.title, myth.newcomer!, myth.student!, myth.rfc_says!]) {
			assert.ok(words.length > 10 && !seen.has(words), words);
			seen.add(words);
		}
		assert.ok(myth.newcomer!.length <= 320 && /[.?!]$/.test(myth.student!), myth.id);
		assert.ok(myth.rfc!.length > 0);
		for (const [document, section] of myth.rfc!)
			assert.ok(/^\d{3,4}$/.test(document) && /^(|\d+(\.\d+)*)$/.test(section), `${document} ${section}`);
		assert.ok(existsSync(path.join(web, "films", `${myth.film}.json`)), myth.film);
	}
	const used = new Set(myths.map((one) => `${one.film}.json`));
	assert.deepEqual(readdirSync(path.join(web, "films")).filter((name) => !used.has(name)), [], "a film that no page shows");
});

test("what a page points at is in its film, in that order, in each session", () => {
	for (const myth of myths) {
		const film = filmOf(json(`films/${myth.film}.json`));
		assert.ok(myth.watch.every((stop) => (stop.session ?? 1) <= film.sessions.length), myth.id);
		assert.equal(myth.sessions?.length ?? 1, film.sessions.length, `${myth.id}: each session has a name`);
		film.sessions.forEach(({ events }, index) => {
			const model = modelOf(events);
			assert.ok(model.isOver && model.rows.length > 5);
			const stops = stopsOf(myth, index + 1);
			assert.ok(stops.length > 0, `${myth.id}: nothing to look at in session ${index + 1}`);
			placesOf(model.rows, stops).forEach((place, at) => assert.ok(place >= 0, `${myth.id}: ${stops[at]!.at} is nowhere after ${stops[at - 1]?.at}`));
		});
	}
});

test("a stop that is nowhere is said, and does not hide those after it", () => {
	const { rows } = modelOf(filmOf(json("films/first.json")).sessions[0]!.events);
	const places = placesOf(rows, [{ at: "EHLO", says: "" }, { at: "no such line", says: "" }, { at: "@deliver ann", says: "" }, { at: "@deliver bob", says: "" }]);
	assert.ok(places[0]! > 0 && places[2]! > places[0]!);
	assert.deepEqual([places[1], places[3]], [-1, -1]);
});

test("a film has the letters of what was accepted in it, and no secrets", () => {
	for (const name of readdirSync(path.join(web, "films"))) {
		const raw = readFileSync(path.join(web, "films", name), "utf8");
		assert.ok(raw.length < 40_000 && !/correct horse|Y29ycmVjdA/.test(raw), name);
		const film = filmOf(JSON.parse(raw));
		for (const event of film.events.filter((one) => one.kind === "accept"))
			assert.ok(bodyOf(film.letters[text(event, "message")] ?? "").length > 0, `${name} lacks the letter ${text(event, "message")}`);
	}
});

test("the film of pushed and pulled has both; that of many recipients has one envelope for all", () => {
	const film = filmOf(json("films/pushed_and_pulled.json"));
	const message = text(film.events.find((one) => one.kind === "accept")!, "message");
	assert.deepEqual(waysOf(film.events, message).map((way) => way.kind), ["push", "inside", "pull"]);
	const led = filmOf(json("films/led.json"));
	const out = modelOf(led.sessions[2]!.events);
	const handedOn = transactionAt(out, out.rows.find((row) => row.event.kind === "data")!)!;
	assert.ok(led.letters[handedOn.message]!.includes("Subject: For elsewhere"), "what we hand on ourselves has its letter too");
	assert.deepEqual([handedOn.envelope.sender, handedOn.octets > 300], ["ann@example.org", true]);
	assert.deepEqual(waysOf(led.events, handedOn.message).map((way) => `${way.kind} ${way.protocol}`), ["push submission", "push smtp-out"]);
	const { rows, ...model } = modelOf(filmOf(json("films/recipients.json")).sessions[0]!.events);
	const data = rows.find((row) => row.event.kind === "data")!;
	assert.deepEqual(transactionAt({ rows, ...model }, data)!.envelope.recipients.map((one) => one.tone), ["good", "bad", "good"]);
});
