// SPDX-License-Identifier: Apache-2.0
// Why an answer was given when no rule of the configuration is on record for it. Pure.
import type { Model, Row } from "../ladder/model.ts";
import { text } from "../trace/event.ts";

/* Replies whose reason is the line itself: it is no command, or does not fit its grammar. */
const UNKNOWN = new Set(["500", "502"]);
const GRAMMAR = new Set(["501", "504", "555"]);

/* A key of the texts, or null where there is nothing to say: "why." + what decided. */
export function unruled(model: Model, exchange: readonly Row[]): string | null {
	const reply = exchange.findLast((row) => row.event.kind === "reply" && !row.continues);
	if (!reply)
		return null;
	const line = text(reply.event, "line");
	const isRefusal = /^[45]/.test(line) || line.startsWith("-ERR");
	if (model.outgoing)
		return isRefusal ? "why.theirs" : null;
	if (!isRefusal)
		return "panel.no-rule";
	const code = line.slice(0, 3);
	if (code === "503")
		return "why.order";
	return UNKNOWN.has(code) ? "why.unknown" : GRAMMAR.has(code) ? "why.grammar" : "why.protocol";
}
