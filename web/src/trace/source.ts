// SPDX-License-Identifier: Apache-2.0
// Where a film comes from. The player knows nothing else: a recorded session, a running one, a file
// that was dropped on the page, and what a simulation made are all the same to it.
import { api, follow } from "../api.ts";
import { identity, inOrder, parseTrace, type TraceEvent } from "./event.ts";

export interface Source {
	/* Stays the same as long as the film does. */
	readonly id: string;
	load(): Promise<TraceEvent[]>;
	/* Tells events that `load` did not, as they happen, until the function it returns is called. */
	follow?(on: (events: TraceEvent[]) => void): () => void;
	/* The beginning of a message's text, for who may read it. */
	letter?(message: string): Promise<string>;
	/* Nothing in it is anybody's secret: letters need not be asked for. */
	isPublic?: boolean;
}

export function recordedSession(session: string): Source {
	const load = async () => inOrder(parseTrace(await api.text(`sessions/${encodeURIComponent(session)}/events`)).events);
	/* What came too fast to be told is on record a moment later. */
	const loadLost = (on: (events: TraceEvent[]) => void) => setTimeout(() => void load().then(on, () => {}), 1000);
	return { id: session, load, follow: (on) => follow(session, (event) => on([event]), () => loadLost(on)), letter: (message) => api.messageStart(message) };
}

export function fileOf(name: string, events: TraceEvent[]): Source {
	return { id: `file:${name}`, load: () => Promise.resolve(inOrder(events)) };
}

/* A list that grows from two sides (what was recorded, what happens now) and has nothing twice. */
export class Gathering {
	private known = new Set<string>();
	events: TraceEvent[] = [];

	/* True when something was new. */
	add(more: readonly TraceEvent[]): boolean {
		const before = this.events.length;
		for (const event of more) {
			const id = identity(event);
			if (this.known.has(id))
				continue;
			this.known.add(id);
			this.events.push(event);
		}
		if (this.events.length === before)
			return false;
		const last = this.events[before - 1];
		if (last && this.events.slice(before).some((event) => event.at_us <= last.at_us))
			this.events = inOrder(this.events);
		return true;
	}
}
