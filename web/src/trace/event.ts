// SPDX-License-Identifier: Apache-2.0
// One line of the trace format (docs/formats/trace.md). What comes in is never trusted to be whole: a
// field that is missing or of another type reads as 0 or the empty text, as the format promises.

export type Value = string | number;

export interface TraceEvent {
	kind: string;
	session: string | null;
	wall_us: number;
	at_us: number;
	sequence: number;
	role: string;
	role_index: number;
	cut: boolean;
	masked: boolean;
	encrypted: boolean;
	fields: Record<string, Value>;
}

/* The writer cuts texts at 1024 octets; a file from elsewhere may not have. */
const TEXT_MAX = 4096;

function textOf(value: unknown): string {
	return typeof value === "string" ? value.slice(0, TEXT_MAX) : "";
}

function numberOf(value: unknown): number {
	return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/* Of what is no time that a calendar has, 0: it would end the drawing of the page. */
const WALL_MAX = 8.64e18;

function timeOf(wall_us: number): number {
	return Math.abs(wall_us) <= WALL_MAX ? wall_us : 0;
}

export function eventOf(value: unknown): TraceEvent | null {
	if (typeof value !== "object" || value === null)
		return null;
	const from = value as Record<string, unknown>;
	const kind = textOf(from["kind"]);
	if (!kind || typeof from["fields"] !== "object" || from["fields"] === null)
		return null;
	const fields: Record<string, Value> = Object.create(null) as Record<string, Value>;
	for (const [name, field] of Object.entries(from["fields"]))
		if (typeof field === "string" || typeof field === "number")
			fields[name] = typeof field === "string" ? textOf(field) : numberOf(field);
	return {
		kind,
		session: textOf(from["session"]) || null,
		wall_us: timeOf(numberOf(from["wall_us"]) || Date.parse(textOf(from["time"])) * 1000 || 0),
		at_us: numberOf(from["at_us"]),
		sequence: numberOf(from["sequence"]),
		role: textOf(from["role"]),
		role_index: numberOf(from["role_index"]),
		cut: from["cut"] === true,
		masked: from["masked"] === true,
		encrypted: from["encrypted"] === true,
		fields,
	};
}

export function text(event: TraceEvent, name: string): string {
	const value = event.fields[name];
	return typeof value === "string" ? value : value === undefined ? "" : String(value);
}

export function number(event: TraceEvent, name: string): number {
	const value = event.fields[name];
	return typeof value === "number" ? value : 0;
}

/* Two readers that saw the same event, say so by this. */
export function identity(event: TraceEvent): string {
	return `${event.role}/${event.role_index}/${event.sequence}/${event.at_us}`;
}

export function parseLine(line: string): TraceEvent | null {
	try {
		return eventOf(JSON.parse(line));
	} catch {
		return null;
	}
}

/* JSON lines, or one array of the same objects. Lines that are none are counted, not shown. */
export function parseTrace(input: string): { events: TraceEvent[]; bad: number } {
	const events: TraceEvent[] = [];
	let bad = 0;
	const take = (event: TraceEvent | null) => {
		if (event)
			events.push(event);
		else
			bad++;
	};
	if (input.trimStart().startsWith("[")) {
		try {
			const list: unknown = JSON.parse(input);
			if (Array.isArray(list))
				list.forEach((one) => take(eventOf(one)));
		} catch {
			bad++;
		}
	} else {
		for (const line of input.split("\n"))
			if (line.trim())
				take(parseLine(line));
	}
	return { events, bad };
}

function before(a: TraceEvent, b: TraceEvent): number {
	return a.at_us - b.at_us || (a.role < b.role ? -1 : a.role > b.role ? 1 : 0) || a.role_index - b.role_index || a.sequence - b.sequence;
}

/* In the order of the one clock, and of each role's own count; however they came, the order is the same. */
export function inOrder(events: readonly TraceEvent[]): TraceEvent[] {
	return [...events].sort(before);
}
