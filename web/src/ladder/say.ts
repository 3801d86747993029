// SPDX-License-Identifier: Apache-2.0
// Each row in words: what stands on the ladder, and the sentence for those who hear it.
import { octets, since, span } from "../format.ts";
import { has, t } from "../text.ts";
import { number, text, type TraceEvent } from "../trace/event.ts";
import type { Lane, Model, Row } from "./model.ts";

function join(...parts: (string | false | 0)[]): string {
	return parts.filter(Boolean).join(", ");
}

/* A word of the trace in the reader's language, or as it is. */
export function traceWord(kind: string, word: string): string {
	const key = `${kind}.${word}`;
	return has(key) ? t(key) : word;
}

export function laneName(model: Model, lane: Lane): string {
	if (lane === "client" && model.outgoing || lane === "server" && !model.outgoing)
		return t(`lane.${lane}.ours`);
	return t(`lane.${lane}`);
}

function sayTls(event: TraceEvent): string {
	const failure = text(event, "failure");
	if (failure)
		return t("say.tls-failed", { failure });
	return [text(event, "version"), text(event, "cipher"), text(event, "group")].filter(Boolean).join(" · ");
}

function sayClose(event: TraceEvent): string {
	const closed = t("say.close", { reason: traceWord("reason", text(event, "reason")), span: span(number(event, "us")) });
	return join(closed, number(event, "unsent") > 0 && t("say.unsent", { octets: octets(number(event, "unsent")) }));
}

function sayAttempt(event: TraceEvent): string {
	const said = [number(event, "code") || "", text(event, "enhanced"), text(event, "reply")].filter(Boolean).join(" ");
	return join(`${text(event, "recipient")}: ${traceWord("state", text(event, "outcome"))}`, said);
}

const SAY: Record<string, (event: TraceEvent) => string> = {
	connect: (e) => t(number(e, "outgoing") ? "say.connect-out" : "say.connect", { peer: text(e, "peer") }),
	command: (e) => text(e, "line"),
	reply: (e) => text(e, "line"),
	tls: sayTls,
	auth: (e) => t("say.auth", { mechanism: text(e, "mechanism"), outcome: traceWord("outcome", text(e, "outcome")), account: text(e, "account") }).trim(),
	policy: (e) => t("say.policy", { rule: text(e, "rule"), verdict: traceWord("verdict", text(e, "verdict")) }),
	close: sayClose,
	data: (e) => join(t("say.data", { how: text(e, "how"), octets: octets(number(e, "octets")) }), number(e, "unstuffed") > 0 && t("say.dots", { n: number(e, "unstuffed") })),
	inspect: (e) => join(t("say.inspect", { verdict: traceWord("verdict", text(e, "verdict")) }), text(e, "detail")),
	accept: (e) => t("say.accept", { message: text(e, "message") }),
	commit: (e) => text(e, "failure") ? t("say.commit-failed", { failure: text(e, "failure") }) : t("say.commit", { n: number(e, "messages"), octets: octets(number(e, "octets")) }),
	deliver: (e) => t("say.deliver", { recipient: text(e, "recipient"), outcome: traceWord("state", text(e, "outcome")), folder: text(e, "folder"), uid: number(e, "uid") }),
	fetch: (e) => t("say.fetch", { what: text(e, "what"), uid: number(e, "uid"), octets: octets(number(e, "octets")) }),
	expunge: (e) => t("say.expunge", { n: number(e, "messages"), folder: text(e, "folder") }),
	queued: (e) => t("say.queued", { recipient: text(e, "recipient"), destination: text(e, "destination") }),
	claimed: (e) => t("say.claimed", { n: number(e, "recipients"), destination: text(e, "destination") }),
	attempt: sayAttempt,
	notice: (e) => t("say.notice", { recipient: text(e, "recipient"), outcome: traceWord("state", text(e, "outcome")) }),
	queue_change: (e) => t("say.queue_change", { what: text(e, "what"), n: number(e, "recipients") }),
	site: (e) => join(`${text(e, "destination")}: ${text(e, "what")}`, text(e, "reply")),
	role: (e) => join(text(e, "what"), text(e, "detail")),
	trouble: (e) => join(text(e, "err"), text(e, "detail")),
	lost: (e) => t("lost", { n: number(e, "events") }),
	dns: (e) => join(`${text(e, "question")} ${text(e, "type")}: ${traceWord("outcome", text(e, "outcome"))}`, text(e, "answer")),
};

export function say(event: TraceEvent): string {
	const words = Object.hasOwn(SAY, event.kind) ? SAY[event.kind]! : null;
	return words ? words(event) : event.kind;
}

/* "Client to server, 158 ms, encrypted: RCPT TO:<ann@example.org>" */
export function sentence(model: Model, row: Row): string {
	const way = row.from === row.to ? laneName(model, row.from)
		: t("say.way", { from: laneName(model, row.from), to: laneName(model, row.to) });
	return `${join(way, t("say.at", { time: `${since(row.at_us)} ms` }), row.encrypted && t("encrypted"), row.group > 0 && t("pipelined"), row.event.masked && t("masked"))}: ${say(row.event)}`;
}

/* The messages of a handshake in their order; the trace tells the result, the RFCs the steps to it. */
export interface HandshakeStep {
	from: "client" | "server";
	name: string;
	detail: string;
	sealed: boolean;
}

export function handshakeSteps(event: TraceEvent): HandshakeStep[] {
	const name = text(event, "server_name");
	const sni = name ? `SNI ${name}` : t("tls.no-sni");
	const resumed = number(event, "resumed") === 1;
	const step = (from: "client" | "server", title: string, detail = "", sealed = false): HandshakeStep => ({ from, name: title, detail, sealed });
	if (text(event, "failure"))
		return [step("client", "ClientHello", sni), step("server", t("tls.failed"), text(event, "failure"))];
	if (text(event, "version") === "TLSv1.3")
		return [
			step("client", "ClientHello", sni),
			step("server", "ServerHello", [text(event, "group"), text(event, "cipher")].filter(Boolean).join(" · ")),
			step("server", "EncryptedExtensions", "", true),
			...(resumed ? [] : [step("server", "Certificate, CertificateVerify", "", true)]),
			step("server", "Finished", "", true),
			step("client", "Finished", span(number(event, "us")), true),
		];
	return [
		step("client", "ClientHello", sni),
		step("server", resumed ? "ServerHello" : "ServerHello, Certificate, ServerKeyExchange, ServerHelloDone", text(event, "cipher")),
		...(resumed ? [] : [step("client", "ClientKeyExchange", text(event, "group"))]),
		step(resumed ? "server" : "client", "ChangeCipherSpec, Finished", "", true),
		step(resumed ? "client" : "server", "ChangeCipherSpec, Finished", span(number(event, "us")), true),
	];
}
