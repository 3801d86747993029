// SPDX-License-Identifier: Apache-2.0
// How a message changed hands: pushed by who had it, or pulled by who wanted it. Pure.
import { number, text, type TraceEvent } from "../trace/event.ts";

export interface Way {
	kind: "push" | "pull" | "inside";
	/* As in the connect event; empty within the server. */
	protocol: string;
	from: string;
	to: string;
	/* Whose copy; empty: all of them. */
	who: string;
	session: string;
	at_us: number;
}

function connectOf(events: readonly TraceEvent[], session: string | null): TraceEvent | undefined {
	return events.find((one) => one.kind === "connect" && one.session === session);
}

function pushedIn(events: readonly TraceEvent[], accept: TraceEvent): Way {
	const connect = connectOf(events, accept.session);
	return {
		kind: "push", protocol: connect ? text(connect, "protocol") : "smtp", from: text(accept, "peer") || (connect ? text(connect, "peer") : ""),
		to: connect ? text(connect, "local") : "", who: "", session: accept.session ?? "", at_us: accept.wall_us,
	};
}

function both(first: string, second: string): string {
	return [...new Set([...first.split(", "), second])].filter(Boolean).join(", ");
}

/* Several copies that went the same way in one session are one hand-over; so are those into mailboxes. In the order in which
   a message can change hands: it is told as accepted only when it lies in the mailboxes. */
function joined(ways: Way[]): Way[] {
	const known = new Map<string, Way>();
	for (const way of ways) {
		const key = way.kind === "inside" ? way.kind : [way.kind, way.session, way.from, way.to].join("\n");
		const before = known.get(key);
		if (before) {
			before.who = both(before.who, way.who);
			before.to = both(before.to, way.to);
		} else {
			known.set(key, { ...way });
		}
	}
	const rank = (way: Way) => way.kind === "inside" ? 1 : way.kind === "pull" ? 3 : way.who ? 2 : 0;
	return [...known.values()].sort((a, b) => rank(a) - rank(b) || a.at_us - b.at_us);
}

export function waysOf(events: readonly TraceEvent[], message: string): Way[] {
	const ways: Way[] = [];
	const boxes = new Map<string, string>();
	for (const event of events) {
		const isOurs = text(event, "message") === message;
		const box = `${text(event, "account")}/${text(event, "folder")}/${number(event, "uid")}`;
		const session = event.session ?? "";
		if (event.kind === "accept" && isOurs)
			ways.push(pushedIn(events, event));
		else if (event.kind === "deliver" && isOurs && text(event, "outcome") === "delivered") {
			boxes.set(box, text(event, "recipient"));
			ways.push({ kind: "inside", protocol: "", from: "", to: `${text(event, "account")} ${text(event, "folder")}`, who: text(event, "recipient"), session: "", at_us: event.wall_us });
		} else if (event.kind === "attempt" && isOurs && ["relayed", "delivered"].includes(text(event, "outcome"))) {
			const connect = connectOf(events, event.session);
			ways.push({ kind: "push", protocol: connect ? text(connect, "protocol") : "smtp", from: connect ? text(connect, "local") : "", to: text(event, "peer"), who: text(event, "recipient"), session, at_us: event.wall_us });
		} else if (event.kind === "fetch" && boxes.has(box)) {
			const connect = connectOf(events, event.session);
			ways.push({ kind: "pull", protocol: connect ? text(connect, "protocol") : "pop3", from: `${text(event, "account")} ${text(event, "folder")}`, to: connect ? text(connect, "peer") : text(event, "account"), who: boxes.get(box)!, session, at_us: event.wall_us });
		}
	}
	return joined(ways);
}
