// SPDX-License-Identifier: Apache-2.0
// A message's journey: which stages each recipient's copy went through, when, and which took longest.
// Pure: from events (or from the header of a message that we never saw) to spans of time.
import type { Header } from "../parse/received.ts";
import { isSkewed } from "../parse/received.ts";
import { number, text, type TraceEvent } from "../trace/event.ts";

export type Stage = "submit" | "checks" | "queue" | "attempt" | "wait" | "deliver" | "fetch" | "notice" | "hop";

export interface Span {
	stage: Stage;
	/* Microseconds since 1970. */
	from_us: number;
	to_us: number;
	tone: "plain" | "good" | "wait" | "bad";
	/* Who it was with: a server, a mailbox. */
	where: string;
	/* Why it ended so, in the other side's words. */
	why: string;
	/* Which film shows it; empty: none. */
	session: string;
	/* Another message that it led to: a report; empty: none. */
	message: string;
	/* When it will be tried again; 0: never. */
	next_us: number;
	/* Which attempt, from 1; 0: none. */
	attempt: number;
	skewed: boolean;
}

export interface Track {
	/* Recipient, or the server that wrote the hop. */
	name: string;
	/* The address that was given, where an alias leads from it to this one; or empty. */
	via: string;
	state: string;
	spans: Span[];
}

export interface Journey {
	begin_us: number;
	end_us: number;
	/* What all recipients have in common, then each apart. */
	shared: Track;
	tracks: Track[];
	slowest: { span: Span; track: Track; share: number } | null;
}

export function spanOf(stage: Stage, from_us: number, to_us: number, more: Partial<Span> = {}): Span {
	return { stage, from_us, to_us: Math.max(from_us, to_us), tone: "plain", where: "", why: "", session: "", message: "", next_us: 0, attempt: 0, skewed: false, ...more };
}

function attemptTone(outcome: string): Span["tone"] {
	if (outcome === "relayed" || outcome === "delivered")
		return "good";
	return outcome === "failed" || outcome === "expired" ? "bad" : "wait";
}

function sharedTrack(events: readonly TraceEvent[], message: string): Track {
	const accept = events.find((one) => one.kind === "accept" && text(one, "message") === message);
	const track: Track = { name: accept ? text(accept, "sender") : "", via: "", state: "", spans: [] };
	if (!accept)
		return track;
	const own = events.filter((one) => one.session === accept.session);
	const data = own.filter((one) => one.kind === "data" && one.at_us <= accept.at_us).at(-1);
	const connect = own.find((one) => one.kind === "connect");
	const inspect = own.find((one) => one.kind === "inspect" && text(one, "message") === message);
	const dataEnd_us = data ? data.wall_us : accept.wall_us - number(accept, "us");
	const begin_us = connect ? connect.wall_us : data ? data.wall_us - number(data, "us") : dataEnd_us;
	track.spans.push(spanOf("submit", begin_us, dataEnd_us, { where: text(accept, "peer"), session: accept.session ?? "" }));
	track.spans.push(spanOf("checks", dataEnd_us, accept.wall_us, {
		tone: "good", session: accept.session ?? "", why: inspect ? text(inspect, "detail") : "",
	}));
	return track;
}

interface Past {
	track: Track;
	from_us: number;
	/* When the recipient was last taken out of the queue; 0: not since the last attempt. */
	claimed_us: number;
}

/* An attempt is told at its end. It began when the queue gave the message out, or when its connection did. */
function beginOf(past: Past, event: TraceEvent, events: readonly TraceEvent[]): number {
	const connect = events.find((one) => one.kind === "connect" && one.session === event.session);
	const begin_us = past.claimed_us || (connect ? connect.wall_us : event.wall_us);
	return Math.max(past.from_us, Math.min(event.wall_us, begin_us));
}

function takeAttempt(past: Past, event: TraceEvent, begin_us: number): void {
	const session = event.session ?? "";
	const count = number(event, "attempts") || past.track.spans.filter((one) => one.stage === "attempt").length + 1;
	const isFirst = !past.track.spans.some((one) => one.stage === "attempt");
	if (begin_us > past.from_us)
		past.track.spans.push(spanOf(isFirst ? "queue" : "wait", past.from_us, begin_us));
	const outcome = text(event, "outcome");
	past.track.spans.push(spanOf("attempt", begin_us, event.wall_us, {
		tone: attemptTone(outcome), where: text(event, "peer"), session, attempt: count, next_us: number(event, "next_us"),
		why: [number(event, "code") || "", text(event, "enhanced"), text(event, "reply")].filter(Boolean).join(" "),
	}));
	past.track.state = outcome;
	past.from_us = event.wall_us;
	past.claimed_us = 0;
}

function takeDelivery(past: Past, event: TraceEvent): void {
	const outcome = text(event, "outcome");
	past.track.spans.push(spanOf("deliver", past.from_us, event.wall_us, {
		tone: attemptTone(outcome), where: [text(event, "account"), text(event, "folder"), number(event, "uid") || ""].filter(Boolean).join(" "),
		why: outcome === "delivered" ? "" : outcome,
	}));
	past.track.state = outcome;
	past.from_us = Math.max(past.from_us, event.wall_us);
}

/* Whom the track is of. */
export interface Recipient {
	recipient: string;
	forwarded_for?: string;
}

function destinationOf(events: readonly TraceEvent[], recipient: string): string {
	const queued = events.find((one) => one.kind === "queued" && text(one, "recipient") === recipient);
	return queued ? text(queued, "destination") : recipient.slice(recipient.lastIndexOf("@") + 1);
}

function trackOf(events: readonly TraceEvent[], { recipient, forwarded_for = "" }: Recipient, accepted_us: number, now_us: number): Track {
	const track: Track = { name: recipient, via: forwarded_for, state: "queued", spans: [] };
	const past: Past = { track, from_us: accepted_us, claimed_us: 0 };
	const destination = destinationOf(events, recipient);
	let delivered: TraceEvent | null = null;
	for (const event of events) {
		if (event.kind === "claimed" && text(event, "destination") === destination)
			past.claimed_us = event.wall_us;
		if (event.kind === "fetch" && delivered && text(event, "account") === text(delivered, "account") && number(event, "uid") === number(delivered, "uid"))
			track.spans.push(spanOf("fetch", event.wall_us, event.wall_us, { tone: "good", where: text(event, "what"), session: event.session ?? "" }));
		if (text(event, "recipient") !== recipient)
			continue;
		if (event.kind === "attempt")
			takeAttempt(past, event, beginOf(past, event, events));
		if (event.kind === "deliver") {
			takeDelivery(past, event);
			delivered = event;
		}
	}
	const last = track.spans.at(-1);
	const isWaiting = !last || (last.stage === "attempt" && last.tone === "wait");
	if (isWaiting && now_us > past.from_us)
		track.spans.push(spanOf(last ? "wait" : "queue", past.from_us, now_us, { next_us: last?.next_us ?? 0 }));
	return track;
}

/* Who was told what became of it. */
function noticeTracks(events: readonly TraceEvent[], message: string): Track[] {
	return events.filter((one) => one.kind === "notice" && text(one, "about") === message).map((one) => {
		const outcome = text(one, "outcome");
		return { name: text(one, "recipient"), via: "", state: outcome, spans: [spanOf("notice", one.wall_us, one.wall_us, {
			tone: outcome === "dropped" ? "bad" : "good", message: text(one, "message"),
		})] };
	});
}

/* Fetching is the reader's time, not the mail system's; the rest may be blamed. */
function slowestOf(journey: Journey): Journey["slowest"] {
	let best: Journey["slowest"] = null;
	const total = Math.max(1, journey.end_us - journey.begin_us);
	for (const track of [journey.shared, ...journey.tracks])
		for (const span of track.spans)
			if (span.stage !== "fetch" && span.to_us > span.from_us && (!best || span.to_us - span.from_us > best.span.to_us - best.span.from_us))
				best = { span, track, share: Math.min(1, (span.to_us - span.from_us) / total) };
	return best;
}

function finished(journey: Journey): Journey {
	const all = [journey.shared, ...journey.tracks].flatMap((track) => track.spans);
	if (all.length) {
		journey.begin_us = Math.min(...all.map((span) => span.from_us));
		journey.end_us = Math.max(...all.filter((span) => span.stage !== "fetch").map((span) => span.to_us), journey.begin_us);
	}
	journey.slowest = slowestOf(journey);
	return journey;
}

export function journeyOf(events: readonly TraceEvent[], message: string, recipients: readonly Recipient[], now_us: number): Journey {
	const shared = sharedTrack(events, message);
	const accepted_us = shared.spans.at(-1)?.to_us ?? events[0]?.wall_us ?? now_us;
	const tracks = [...recipients.map((one) => trackOf(events, one, accepted_us, now_us)), ...noticeTracks(events, message)];
	return finished({ begin_us: accepted_us, end_us: accepted_us, shared, tracks, slowest: null });
}

/* Received fields tell when each server had the message, so a hop lasts from the one before to its own. */
export function journeyOfHeader(header: Header): Journey {
	const tracks: Track[] = [];
	let before_us: number | null = null;
	for (const hop of header.hops) {
		const at_us: number | null = hop.time === null ? null : hop.time * 1000;
		const span = spanOf("hop", before_us ?? at_us ?? 0, at_us ?? before_us ?? 0, {
			where: hop.from, tone: isSkewed(hop) ? "wait" : "good", why: [hop.with, hop.id && `id ${hop.id}`, hop.for && `for ${hop.for}`].filter(Boolean).join(", "), skewed: isSkewed(hop),
		});
		tracks.push({ name: hop.by || "?", via: "", state: "", spans: at_us === null ? [] : [span] });
		/* A clock that is behind must not make the next hop look slow. */
		if (at_us !== null && (before_us === null || at_us > before_us))
			before_us = at_us;
	}
	return finished({ begin_us: 0, end_us: 0, shared: { name: "", via: "", state: "", spans: [] }, tracks, slowest: null });
}
