// SPDX-License-Identifier: Apache-2.0
// What was dropped on the page or pasted into it. It never leaves the browser.
import type { TraceEvent } from "./trace/event.ts";

const films = new Map<string, TraceEvent[]>();

export function keepFile(name: string, events: TraceEvent[]): void {
	films.set(name, events);
}

export function fileEvents(name: string): TraceEvent[] | null {
	return films.get(name) ?? null;
}
