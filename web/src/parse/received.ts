// SPDX-License-Identifier: Apache-2.0
// A message's way, read from the header it carries. Every hop writes a Received field on top, so the
// lowest is the oldest. The clauses are those of RFC 5321 section 4.4; what real servers write is looser.

export interface Field {
	name: string;
	/* Unfolded. */
	value: string;
	/* As it stands in the message. */
	raw: string;
}

export interface Hop {
	from: string;
	by: string;
	with: string;
	id: string;
	for: string;
	/* Milliseconds since 1970, or null when the date cannot be read. */
	time: number | null;
	tls: boolean;
	/* Milliseconds since the hop before; below 0: one of the two clocks is wrong. */
	delay: number | null;
	/* Fields that this hop wrote, by their place in Header.fields. */
	fields: number[];
}

export interface Header {
	fields: Field[];
	/* Oldest first. */
	hops: Hop[];
	/* Fields that were there before the first hop. */
	own: number[];
}

const FIELDS_MAX = 2000;
/* Clocks that differ by less are clocks as they are. */
export const SKEW_MS = 1000;

export function fieldsOf(text: string): Field[] {
	const fields: Field[] = [];
	for (const line of text.replace(/^From .*\r?\n/, "").split(/\r?\n/)) {
		const last = fields.at(-1);
		if (!line.trim()) {
			if (last)
				break;
			continue;
		}
		if (/^[ \t]/.test(line)) {
			if (last) {
				last.value += ` ${line.trim()}`;
				last.raw += `\n${line}`;
			}
			continue;
		}
		const colon = /^([!-9;-~]+)[ \t]*:/.exec(line);
		if (!colon || fields.length >= FIELDS_MAX)
			break;
		fields.push({ name: colon[1]!, value: line.slice(colon[0].length).trim(), raw: line });
	}
	return fields;
}

/* Comments in parentheses nest and may hide ";" and keywords; quoted strings may hide parentheses. */
function withoutComments(value: string): { plain: string; comments: string } {
	let plain = "";
	let comments = "";
	let depth = 0;
	let isQuoted = false;
	for (let i = 0; i < value.length; i++) {
		const c = value[i]!;
		if (c === "\\" && (depth || isQuoted)) {
			const escaped = c + (value[++i] ?? "");
			if (depth)
				comments += escaped;
			else
				plain += escaped;
			continue;
		}
		if (c === '"' && !depth)
			isQuoted = !isQuoted;
		if (c === "(" && !isQuoted)
			depth++;
		if (depth)
			comments += c;
		else
			plain += c;
		if (c === ")" && !isQuoted && depth) {
			depth--;
			comments += " ";
		}
	}
	return { plain, comments };
}

const CLAUSES = ["from", "by", "via", "with", "id", "for"] as const;

function clauseOf(plain: string, name: string): string {
	const others = CLAUSES.filter((one) => one !== name).join("|");
	const match = new RegExp(`(?:^|\\s)${name}\\s+(.*?)(?=\\s+(?:${others})\\s|;|$)`, "i").exec(plain);
	return match ? match[1]!.trim().replace(/^<|>$/g, "") : "";
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const ZONES: Record<string, number> = { ut: 0, utc: 0, gmt: 0, z: 0, est: -300, edt: -240, cst: -360, cdt: -300, mst: -420, mdt: -360, pst: -480, pdt: -420 };

/* The date of RFC 5322 section 3.3, its obsolete forms too. Date.parse differs between browsers. */
export function dateOf(value: string): number | null {
	const match = /(\d{1,2})\s+([a-z]{3})[a-z]*\s+(\d{2,4})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?\s*([+-]\d{4}|[a-z]{1,4})?/i.exec(value);
	if (!match)
		return null;
	const month = MONTHS.indexOf(match[2]!.toLowerCase());
	let year = Number(match[3]);
	if (month < 0)
		return null;
	if (year < 100)
		year += year < 50 ? 2000 : 1900;
	const zone = match[7] ?? "+0000";
	const minutes = /^[+-]/.test(zone)
		? (zone.startsWith("-") ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3, 5)))
		: ZONES[zone.toLowerCase()] ?? 0;
	return Date.UTC(year, month, Number(match[1]), Number(match[4]), Number(match[5]), Number(match[6] ?? 0)) - minutes * 60_000;
}

export function hopOf(value: string): Hop {
	const { plain, comments } = withoutComments(value);
	const semicolon = plain.lastIndexOf(";");
	const clauses = semicolon < 0 ? plain : plain.slice(0, semicolon);
	const protocol = clauseOf(clauses, "with").split(/\s/)[0] ?? "";
	return {
		from: clauseOf(clauses, "from").split(/\s/)[0] ?? "",
		by: clauseOf(clauses, "by").split(/\s/)[0] ?? "",
		with: protocol,
		id: clauseOf(clauses, "id").split(/\s/)[0] ?? "",
		for: clauseOf(clauses, "for").split(/\s/)[0] ?? "",
		time: dateOf(semicolon < 0 ? plain : plain.slice(semicolon + 1)),
		tls: /^(e?smtps|esmtpsa|lmtps|lmtpsa|utf8smtps|utf8smtpsa|https)$/i.test(protocol) || /\bTLS\s*v?1/i.test(comments),
		delay: null,
		fields: [],
	};
}

/*
 * A hop wrote its Received and what stands between that and the Received above it and belongs to
 * trace: results, signatures, Return-Path. Above the topmost everything is the last hop's.
 */
const ADDED = /^(received|return-path|delivered-to|x-original-to|authentication-results|received-spf|arc-[a-z-]+|dkim-signature|domainkey-signature|x-[a-z0-9-]*(spam|virus|scanned)[a-z0-9-]*)$/i;

export function headerOf(text: string): Header {
	const fields = fieldsOf(text);
	const hops: Hop[] = [];
	const own: number[] = [];
	const places = fields.flatMap((field, index) => field.name.toLowerCase() === "received" ? [index] : []);
	places.forEach((place, order) => {
		const hop = hopOf(fields[place]!.value);
		const above = order ? places[order - 1]! : -1;
		for (let i = above + 1; i <= place; i++)
			hop.fields.push(i);
		hops.push(hop);
	});
	const last = places.at(-1) ?? -1;
	fields.forEach((field, index) => {
		if (index <= last)
			return;
		if (ADDED.test(field.name) && hops.length && own.length === 0)
			hops.at(-1)!.fields.push(index);
		else
			own.push(index);
	});
	hops.reverse();
	hops.forEach((hop, index) => {
		const before = hops[index - 1]?.time;
		hop.delay = index && hop.time !== null && before !== null && before !== undefined ? hop.time - before : null;
	});
	return { fields, hops, own };
}

export function isSkewed(hop: Hop): boolean {
	return hop.delay !== null && hop.delay < -SKEW_MS;
}
