// SPDX-License-Identifier: Apache-2.0
// Messages out of sessions: for a server that answers for sessions only. The newest ones tell who gave
// what, and what became of it.
import { api, ApiError, type MessageDetail, type MessageRow, type RecipientRow } from "./api.ts";
import { messagesAfter } from "./lists.ts";
import { inOrder, number, parseTrace, text, type TraceEvent } from "./trace/event.ts";

const SESSIONS_MAX = 80;
const AT_ONCE = 6;

async function eventsOfSessions(): Promise<TraceEvent[]> {
	const rows = (await api.sessions()).filter((row) => row.messages > 0 || row.errors > 0 || row.open || row.protocol.endsWith("-out"));
	const left = rows.slice(0, SESSIONS_MAX).map((row) => row.session);
	const events: TraceEvent[] = [];
	const work = async () => {
		for (let session = left.pop(); session !== undefined; session = left.pop())
			events.push(...parseTrace(await api.text(`sessions/${encodeURIComponent(session)}/events`).catch(() => "")).events);
	};
	await Promise.all(Array.from({ length: AT_ONCE }, work));
	return inOrder(events);
}

function isMissing(failure: unknown): boolean {
	return failure instanceof ApiError && failure.status === 404;
}

export async function messagesOf(): Promise<MessageRow[]> {
	try {
		return await api.messages();
	} catch (failure) {
		if (!isMissing(failure))
			throw failure;
	}
	/* Deliveries of a message are told before its acceptance is. */
	const events = await eventsOfSessions();
	const accepted = events.filter((event) => event.kind === "accept").reduce(messagesAfter, [] as MessageRow[]);
	return events.filter((event) => event.kind !== "accept").reduce(messagesAfter, accepted);
}

function recipientOf(events: readonly TraceEvent[], address: string): RecipientRow {
	const own = events.filter((event) => text(event, "recipient") === address);
	const last = own.findLast((event) => event.kind === "attempt" || event.kind === "deliver");
	const outcome = last ? text(last, "outcome") : "queued";
	const next_us = last ? number(last, "next_us") : 0;
	return {
		address, state: outcome === "relayed" ? "delivered" : outcome, outcome, attempts: own.filter((event) => event.kind === "attempt").length,
		next: next_us ? new Date(next_us / 1000).toISOString() : "", session: last?.session ?? "", code: last ? number(last, "code") : 0,
		enhanced: last ? text(last, "enhanced") : "", reply: last ? text(last, "reply") : "", peer: last ? text(last, "peer") : "",
		account: last ? text(last, "account") : "", folder: last ? text(last, "folder") : "", uid: last ? number(last, "uid") : 0,
	};
}

export interface About {
	detail: MessageDetail;
	events: TraceEvent[];
}

export async function aboutMessage(id: string): Promise<About> {
	try {
		const [detail, lines] = await Promise.all([api.message(id), api.text(`messages/${encodeURIComponent(id)}/events`)]);
		return { detail, events: inOrder(parseTrace(lines).events) };
	} catch (failure) {
		if (!isMissing(failure))
			throw failure;
		const events = await eventsOfSessions();
		const accept = events.find((event) => event.kind === "accept" && text(event, "message") === id);
		if (!accept)
			throw failure;
		const own = events.filter((event) => text(event, "message") === id || event.kind === "fetch" ||
			(event.session === accept.session && ["connect", "data"].includes(event.kind)));
		return {
			detail: {
				message: id, time: new Date(accept.wall_us / 1000).toISOString(), session: accept.session ?? "", sender: text(accept, "sender"),
				subject: text(accept, "subject"), octets: number(accept, "octets"),
				recipients: text(accept, "recipients").split(",").filter(Boolean).map((address) => recipientOf(own, address)),
			},
			events: own,
		};
	}
}
