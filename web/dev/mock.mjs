// SPDX-License-Identifier: Apache-2.0
// Serves dist/ and what docs/api.md describes from recorded traces, for work on the page without a server:
// node dev/mock.mjs [PORT]. GET /dev/replay?session=ID plays a recording again as if it happened now.
import { readFileSync, readdirSync, existsSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const sessions = new Map();
const headers = new Map();
const readers = new Set();

export function take(line) {
	const event = JSON.parse(line);
	if (!event.session)
		return;
	if (!sessions.has(event.session))
		sessions.set(event.session, []);
	sessions.get(event.session).push(event);
}

export function takeFolder(folder) {
	for (const name of readdirSync(folder)) {
		if (name.endsWith(".jsonl"))
			readFileSync(path.join(folder, name), "utf8").split("\n").filter(Boolean).forEach(take);
		if (name.endsWith(".header"))
			headers.set(name.slice(0, -7), readFileSync(path.join(folder, name), "utf8"));
	}
}

function rowOf(events) {
	const connect = events.find((e) => e.kind === "connect");
	const close = events.find((e) => e.kind === "close");
	const f = close?.fields ?? {};
	return {
		session: events[0].session, start: events[0].time, protocol: connect?.fields.protocol ?? "smtp", peer: connect?.fields.peer ?? "",
		account: f.account ?? "", open: !close, reason: f.reason ?? "", commands: f.commands ?? 0, errors: f.errors ?? 0, messages: f.messages ?? 0,
		octets_in: f.octets_in ?? 0, octets_out: f.octets_out ?? 0, ms: Math.round((f.us ?? 0) / 1000),
	};
}

function all() {
	return [...sessions.values()].flat().sort((a, b) => a.at_us - b.at_us);
}

function messages() {
	const events = all();
	return events.filter((e) => e.kind === "accept").map((accept) => {
		const id = accept.fields.message;
		const recipients = accept.fields.recipients.split(",").map((address) => {
			const own = events.filter((e) => e.fields.message === id && e.fields.recipient === address);
			const last = own.findLast((e) => e.kind === "attempt" || e.kind === "deliver");
			const outcome = last?.fields.outcome ?? "queued";
			return {
				recipient: address, forwarded_for: "", state: outcome === "relayed" ? "delivered" : outcome, outcome, attempts: own.filter((e) => e.kind === "attempt").length,
				next: last?.fields.next_us ? new Date(last.fields.next_us / 1000).toISOString() : null, session: last?.session ?? "", code: last?.fields.code ?? 0,
				enhanced: last?.fields.enhanced ?? "", reply: last?.fields.reply ?? "", peer: last?.fields.peer ?? "", account: last?.fields.account ?? "",
				folder: last?.fields.folder ?? "", uid: last?.fields.uid ?? 0,
			};
		});
		const states = new Set(recipients.map((r) => r.state));
		return {
			message: id, time: accept.time, session: accept.session, peer: accept.fields.peer, sender: accept.fields.sender, recipients,
			subject: accept.fields.subject, octets: accept.fields.octets, state: states.size > 1 ? "mixed" : [...states][0],
		};
	}).reverse();
}

function answer(response, status, type, body) {
	response.writeHead(status, { "Content-Type": type, "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache" });
	response.end(body);
}

const json = (response, value) => answer(response, 200, "application/json", JSON.stringify(value));
const lines = (response, events) => answer(response, 200, "application/x-ndjson", events.map((e) => JSON.stringify(e)).join("\n") + "\n");
const missing = (response) => answer(response, 404, "application/json", JSON.stringify({ error: "there is no such thing here", hint: "See docs/api.md." }));

let now = 0;

export function publish(event) {
	take(JSON.stringify(event));
	for (const reader of readers)
		if (!reader.session || reader.session === event.session)
			reader.response.write(`event: trace\nid: ${++now}\ndata: ${JSON.stringify(event)}\n\n`);
}

function replay(id) {
	const events = sessions.get(id) ?? [];
	const session = `LIVE${Date.now().toString(36).toUpperCase()}`;
	const begin_ms = Date.now();
	const slow = 20;
	for (const event of events) {
		const wait_ms = (event.at_us - events[0].at_us) / 1000 * slow;
		setTimeout(() => publish({ ...event, session, wall_us: Date.now() * 1000, time: new Date(begin_ms + wait_ms).toISOString(), at_us: event.at_us + begin_ms }), wait_ms);
	}
	return session;
}

function stream(request, response, url) {
	response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
	response.write(": here\n\n");
	const reader = { response, session: url.searchParams.get("session") };
	readers.add(reader);
	request.on("close", () => readers.delete(reader));
}

function api(request, response, url) {
	const [what, id, part] = url.pathname.replace("/api/v1/", "").split("/");
	if (what === "info")
		return json(response, {
			name: "Glasspost", version: "0.1.0", hostname: "mail.example.org", mode: "dev", account: null, sign_in: false, bodies: true,
			listeners: [{ name: "mx", protocol: "smtp", address: "127.0.0.1:1025" }, { name: "submission", protocol: "submission", address: "127.0.0.1:1587" }, { name: "pop3", protocol: "pop3", address: "127.0.0.1:1110" }],
		});
	if (what === "events")
		return stream(request, response, url);
	if (what === "queue")
		return json(response, { recipients: messages().flatMap((m) => m.recipients.filter((r) => r.state === "deferred").map((r) => ({ message: m.message, sender: m.sender, recipient: r.recipient, state: "waiting", attempts: r.attempts, next: r.next, reply: r.reply }))) });
	if (what === "sessions" && !id)
		return json(response, { sessions: [...sessions.values()].map(rowOf).sort((a, b) => b.start.localeCompare(a.start)) });
	if (what === "sessions" && sessions.has(id))
		return part === "events" ? lines(response, sessions.get(id)) : json(response, rowOf(sessions.get(id)));
	if (what === "messages" && !id)
		return json(response, { messages: messages().map((m) => ({ ...m, recipients: m.recipients.map((r) => r.recipient), more: 0 })) });
	const message = what === "messages" ? messages().find((m) => m.message === id) : null;
	if (!message)
		return missing(response);
	if (part === "header")
		return headers.has(id) ? answer(response, 200, "text/plain; charset=utf-8", headers.get(id)) : missing(response);
	if (part === "events")
		return lines(response, all().filter((e) => e.fields.message === id || ["fetch", "connect"].includes(e.kind) || (e.session === message.session && e.kind === "data")));
	return json(response, message);
}

export function serve(port) {
	const server = createServer((request, response) => {
		const url = new URL(request.url, "http://localhost");
		if (url.pathname === "/dev/replay")
			return json(response, { session: replay(url.searchParams.get("session")) });
		if (url.pathname.startsWith("/api/v1/"))
			return api(request, response, url);
		const file = path.join(root, "dist", path.normalize(url.pathname === "/" ? "/index.html" : url.pathname));
		if (!file.startsWith(path.join(root, "dist")) || !existsSync(file))
			return missing(response);
		answer(response, 200, TYPES[path.extname(file)] ?? "application/octet-stream", readFileSync(file));
	});
	return new Promise((done) => server.listen(port, "127.0.0.1", () => done(server)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	takeFolder(path.join(root, "dev/recorded"));
	const server = await serve(Number(process.argv[2] ?? 0));
	console.log(`http://127.0.0.1:${server.address().port}/`);
}
