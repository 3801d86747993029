// SPDX-License-Identifier: Apache-2.0
// docs/api.md from the page's side.
import { Watched } from "./store.ts";
import { inOrder, parseLine, parseTrace, type TraceEvent } from "./trace/event.ts";

export interface Info {
	name: string;
	version: string;
	hostname: string;
	mode: string;
	account: string | null;
	sign_in: boolean;
	bodies: boolean;
	listeners: { name: string; protocol: string; address: string }[];
}

export interface SessionRow {
	session: string;
	start: string;
	protocol: string;
	peer: string;
	account: string;
	open: boolean;
	reason: string;
	commands: number;
	errors: number;
	messages: number;
	octets_in: number;
	octets_out: number;
	ms: number;
}

export interface MessageRow {
	message: string;
	time: string;
	session: string;
	peer: string;
	sender: string;
	/* Some of them; `more` counts the others. */
	recipients: string[];
	more: number;
	subject: string;
	octets: number;
	state: string;
}

export interface RecipientRow {
	recipient: string;
	state: string;
	outcome: string;
	next: string | null;
	forwarded_for: string;
}

export interface MessageDetail extends Omit<MessageRow, "recipients" | "more"> {
	recipients: RecipientRow[];
}

export type QueueRow = Record<string, unknown>;

export class ApiError extends Error {
	constructor(readonly status: number, message: string, readonly hint: string) {
		super(message);
	}
}

async function failure(response: Response): Promise<ApiError> {
	let error = response.statusText || String(response.status);
	let hint = "";
	try {
		const body = (await response.json()) as { error?: unknown; hint?: unknown };
		if (typeof body.error === "string")
			error = body.error;
		if (typeof body.hint === "string")
			hint = body.hint;
	} catch {
		/* It was no JSON: the status says enough. */
	}
	return new ApiError(response.status, error, hint);
}

/* Counts the answers after which whoever looks may not be signed in any more: somebody should ask who it is. */
export const doubts = new Watched(0);

function doubt(): void {
	doubts.set(doubts.value + 1);
}

async function refused(response: Response, path: string): Promise<ApiError> {
	/* Of a sign-in, 401 is about the password. */
	if (response.status === 401 && path !== "sign-in")
		doubt();
	return failure(response);
}

async function get(path: string): Promise<Response> {
	const response = await fetch(`api/v1/${path}`, { credentials: "same-origin" });
	if (!response.ok)
		throw await refused(response, path);
	return response;
}

async function post(path: string, body: unknown): Promise<void> {
	const response = await fetch(`api/v1/${path}`, {
		method: "POST",
		credentials: "same-origin",
		headers: { "Content-Type": "application/json" },
		body: JSON.stringify(body),
	});
	if (!response.ok)
		throw await refused(response, path);
}

/* Nobody reads more of a letter on a screen; the whole is there as a file. */
const START_OCTETS = 65_536;

async function startOf(path: string): Promise<string> {
	const reader = (await get(path)).body!.getReader();
	const decoder = new TextDecoder();
	let found = "";
	for (let size = 0; size < START_OCTETS;) {
		const { done, value } = await reader.read();
		if (done)
			return found + decoder.decode();
		size += value.length;
		found += decoder.decode(value, { stream: true });
	}
	await reader.cancel();
	return `${found}…`;
}

export const api = {
	json: async <T>(path: string): Promise<T> => (await (await get(path)).json()) as T,
	text: async (path: string): Promise<string> => (await get(path)).text(),
	info: () => api.json<Info>("info"),
	sessions: async () => (await api.json<{ sessions: SessionRow[] }>("sessions?limit=500")).sessions,
	session: (id: string) => api.json<SessionRow>(`sessions/${encodeURIComponent(id)}`),
	messages: async () => (await api.json<{ messages: MessageRow[] }>("messages?limit=500")).messages,
	message: (id: string) => api.json<MessageDetail>(`messages/${encodeURIComponent(id)}`),
	messageEvents: async (id: string) => inOrder(parseTrace(await api.text(`messages/${encodeURIComponent(id)}/events`)).events),
	messageHeader: (id: string) => api.text(`messages/${encodeURIComponent(id)}/header`),
	messageStart: (id: string) => startOf(`messages/${encodeURIComponent(id)}/raw`),
	queue: async () => (await api.json<{ recipients: QueueRow[] }>("queue")).recipients,
	changeQueue: (id: string, action: string, recipient: string) => post(`queue/${encodeURIComponent(id)}/${action}`, { recipient }),
	signIn: (address: string, password: string) => post("sign-in", { address, password }),
	signOut: () => post("sign-out", {}),
};

const AGAIN_MS = 3000;

/*
 * Events as they happen: of one session, or of all. Where a connection broke the browser goes on by itself, from the
 * newest event that it knows; where it was refused it gives up, and we do not: a server may be starting, or have too
 * many who look on. `onLost(0)`: it goes on, and nobody knows what was missed.
 */
export function follow(
	session: string | null,
	on: (event: TraceEvent) => void,
	onLost: (events: number) => void = () => {},
	onState: (isConnected: boolean) => void = () => {},
): () => void {
	let stream: EventSource;
	let again: ReturnType<typeof setTimeout> | undefined;
	let wasBroken = false;
	const open = () => {
		let isResumable = false;
		stream = new EventSource(`api/v1/events${session ? `?session=${encodeURIComponent(session)}` : ""}`);
		stream.addEventListener("trace", (message: MessageEvent<string>) => {
			isResumable = true;
			const event = parseLine(message.data);
			if (event)
				on(event);
		});
		stream.addEventListener("lost", (message: MessageEvent<string>) => {
			try {
				onLost(Number((JSON.parse(message.data) as { events?: unknown }).events) || 0);
			} catch {
				onLost(0);
			}
		});
		stream.onopen = () => {
			onState(true);
			if (wasBroken && !isResumable)
				onLost(0);
			wasBroken = false;
		};
		stream.onerror = () => {
			onState(false);
			wasBroken = true;
			if (stream.readyState !== EventSource.CLOSED)
				return;
			doubt();
			again = setTimeout(open, AGAIN_MS);
		};
	};
	open();
	return () => {
		clearTimeout(again);
		stream.close();
	};
}
