// SPDX-License-Identifier: Apache-2.0
// The same octets at each layer: what the trace measured, what the standards fix, and what the path decides. Pure.
import type { Model, Row } from "../ladder/model.ts";
import { number, text } from "../trace/event.ts";

/* Where a number comes from; "unknown": nobody here can tell it. */
export type Grounds = "measured" | "standard" | "path" | "unknown";

export interface Layers {
	/* Lines that left together, this one among them. */
	lines: number;
	/* Of this line or body, and of all that left together; null: masked or cut, so not told. */
	own: number | null;
	content: number | null;
	tls: { version: string; cipher: string; records: number; /* each */ header: number; trailer: number | null } | null;
	from: string;
	to: string;
	tcp: { segments: number | null; header: number };
	ip: { version: 4 | 6; header: number } | null;
	/* All of it, with each header at its smallest. */
	total: number | null;
}

/* Largest content of a TLS record (rfc8446 5.1, rfc5246 6.2.1). */
const RECORD_MAX = 16384;
const TCP_HEADER = 20;

const encoder = new TextEncoder();

/* `.` CRLF ends a body; the dots that were doubled went over the wire too. */
function sizeOf(row: Row): number | null {
	const { event } = row;
	if (event.kind === "data")
		return text(event, "how") === "BDAT" ? number(event, "octets") : number(event, "octets") + number(event, "unstuffed") + 3;
	return event.masked || event.cut ? null : encoder.encode(text(event, "line")).length + 2;
}

/* A pipelined group, or all lines of one reply. */
function togetherWith(model: Model, row: Row): Row[] {
	const { rows } = model;
	if (row.event.kind === "command" && row.group > 0)
		return rows.filter((one) => one.group === row.group && one.event.kind === "command");
	if (row.event.kind !== "reply")
		return [row];
	const replies = rows.filter((one) => one.event.kind === "reply" && one.exchange === row.exchange);
	let first = replies.indexOf(row);
	let last = first;
	while (first > 0 && replies[first]!.continues)
		first--;
	while (last + 1 < replies.length && replies[last]!.more)
		last++;
	return replies.slice(first, last + 1);
}

/* What a record adds behind its content; null: it is padded to blocks, by how much nobody here knows. */
function trailerOf(version: string, cipher: string): number | null {
	const tag = /CCM_?8/.test(cipher) ? 8 : /GCM|CCM|POLY1305/i.test(cipher) ? 16 : null;
	if (tag === null)
		return null;
	if (version === "TLSv1.3")
		return 1 + tag;
	return /POLY1305/i.test(cipher) ? tag : 8 + tag;
}

/* "[2001:db8::1]:25" or "192.0.2.1:25"; a UNIX socket has neither. */
function versionOf(address: string): 4 | 6 | null {
	if (/^\d+\.\d+\.\d+\.\d+(:\d+)?$/.test(address))
		return 4;
	return /^\[?[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.%a-z]*\]?(:\d+)?$/i.test(address) ? 6 : null;
}

export function layersOf(model: Model, row: Row, mss: number): Layers | null {
	if (!["command", "reply", "data"].includes(row.event.kind))
		return null;
	const group = togetherWith(model, row);
	const sizes = group.map(sizeOf);
	const content = sizes.includes(null) ? null : sizes.reduce<number>((sum, one) => sum + one!, 0);
	const handshake = model.rows.findLast((one) => one.event.kind === "tls" && one.event.at_us <= row.event.at_us && !text(one.event, "failure"));
	const version = handshake ? text(handshake.event, "version") : "";
	const cipher = handshake ? text(handshake.event, "cipher") : "";
	const records = Math.max(1, Math.ceil((content ?? 1) / RECORD_MAX));
	const tls = row.encrypted ? { version, cipher, records, header: 5, trailer: trailerOf(version, cipher) } : null;
	const stream = content === null || tls?.trailer === null ? null : content + (tls ? records * (tls.header + tls.trailer!) : 0);
	const segments = stream === null ? null : Math.max(1, Math.ceil(stream / Math.max(1, mss)));
	const ipVersion = versionOf(model.peer) ?? versionOf(model.local);
	const ip = ipVersion === null ? null : { version: ipVersion, header: ipVersion === 4 ? 20 : 40 };
	const isFromClient = row.from === "client";
	const [client, server] = model.outgoing ? [model.local, model.peer] : [model.peer, model.local];
	return {
		lines: group.length, own: sizeOf(row), content, tls, from: isFromClient ? client : server, to: isFromClient ? server : client,
		tcp: { segments, header: TCP_HEADER }, ip,
		total: stream === null || segments === null || !ip ? null : stream + segments * (TCP_HEADER + ip.header),
	};
}
