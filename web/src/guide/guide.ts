// SPDX-License-Identifier: Apache-2.0
// The guide's pages and films: files beside the page, asked for when somebody looks.
import { language } from "../text.ts";
import { eventOf, inOrder, text, type TraceEvent } from "../trace/event.ts";
import type { Row } from "../ladder/model.ts";
import type { Entry } from "../explain.ts";

export interface Stop {
	/* Which session of the film, from 1. */
	session?: number;
	/* Words of a line; or "@kind words": an event of that kind with these words in a field. */
	at: string;
	says: string;
}

export interface Myth extends Entry {
	id: string;
	claim: string;
	title: string;
	film: string;
	/* Names of the film's sessions, where it has several. */
	sessions?: string[];
	/* Hand-overs are shown on the page. */
	ways?: boolean;
	watch: Stop[];
}

export interface FilmFile {
	/* In the order of their beginning. */
	sessions: { id: string; events: TraceEvent[] }[];
	events: TraceEvent[];
	letters: Record<string, string>;
}

const pages = new Map<string, Promise<Myth[]>>();
const films = new Map<string, Promise<FilmFile>>();

async function fetched(path: string): Promise<unknown> {
	const response = await fetch(path);
	if (!response.ok)
		throw new Error(`${path}: ${response.status}`);
	return response.json();
}

/* Kept once it came; asked for again where it did not. */
function once<T>(known: Map<string, Promise<T>>, name: string, ask: () => Promise<T>): Promise<T> {
	let found = known.get(name);
	if (!found) {
		found = ask();
		known.set(name, found);
		found.catch(() => known.delete(name));
	}
	return found;
}

const LANGUAGES = new Set(["en"]);

export function myths(): Promise<Myth[]> {
	const name = LANGUAGES.has(language()) ? language() : "en";
	return once(pages, name, async () => ((await fetched(`texts/guide.${name}.json`)) as { myths: Myth[] }).myths);
}

/* A session's events, and reports about what was accepted in it: those belong to no session. */
function ownOf(events: readonly TraceEvent[], session: string): TraceEvent[] {
	const messages = new Set(events.filter((event) => event.session === session && event.kind === "accept").map((event) => text(event, "message")));
	return events.filter((event) => event.session === session || event.session === null && event.kind === "notice" && messages.has(text(event, "about")));
}

export function filmOf(value: unknown): FilmFile {
	const { events: lines, letters } = value as { events: unknown[]; letters: Record<string, string> };
	const events = inOrder(lines.map(eventOf).filter((event): event is TraceEvent => event !== null));
	const ids = [...new Set(events.filter((event) => event.kind === "connect" && event.session).map((event) => event.session!))];
	return { sessions: ids.map((id) => ({ id, events: ownOf(events, id) })), events, letters };
}

export function film(name: string): Promise<FilmFile> {
	return once(films, name, async () => filmOf(await fetched(`films/${encodeURIComponent(name)}.json`)));
}

function isAt(row: Row, at: string): boolean {
	if (!at.startsWith("@"))
		return text(row.event, "line").includes(at);
	const [kind, ...words] = at.slice(1).split(" ");
	return row.event.kind === kind && words.every((word) => Object.values(row.event.fields).some((field) => String(field).includes(word)));
}

/* Where each stop is in a session's rows, each after the one before; -1: nowhere. */
export function placesOf(rows: readonly Row[], stops: readonly Stop[]): number[] {
	let from = 0;
	return stops.map((stop) => {
		const found = rows.findIndex((row) => row.index >= from && isAt(row, stop.at));
		if (found >= 0)
			from = found + 1;
		return found;
	});
}

export function stopsOf(myth: Myth, session: number): Stop[] {
	return myth.watch.filter((stop) => (stop.session ?? 1) === session);
}
