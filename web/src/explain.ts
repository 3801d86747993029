// SPDX-License-Identifier: Apache-2.0
// The explanations: texts/explain.LANGUAGE.json, asked for when the first line is looked at.
import { language } from "./text.ts";

export type Depth = "newcomer" | "student" | "rfc_says";
export const DEPTHS: readonly Depth[] = ["newcomer", "student", "rfc_says"];

export interface Entry {
	title?: string;
	rfc?: [string, string][];
	syntax?: string;
	newcomer?: string;
	student?: string;
	rfc_says?: string;
	answers?: string[];
}

type Group = Record<string, Entry>;
export type Catalogue = Record<string, Record<string, Group | Entry>>;

const loading = new Map<string, Promise<Catalogue>>();

async function fetchCatalogue(name: string): Promise<Catalogue> {
	const response = await fetch(`texts/explain.${name}.json`);
	return response.ok ? (await response.json()) as Catalogue : {};
}

/* A language without explanations of its own gets the English ones. */
export function catalogue(): Promise<Catalogue> {
	const name = language();
	let found = loading.get(name);
	if (!found) {
		found = fetchCatalogue(name).catch(() => ({})).then(async (own) =>
			Object.keys(own).length || name === "en" ? own : fetchCatalogue("en").catch(() => ({})));
		loading.set(name, found);
	}
	return found;
}

function member(value: unknown, name: string): unknown {
	return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

/* `protocol` as in the connect event. LMTP has only what differs from SMTP. */
export function entryOf(texts: Catalogue, protocol: string, group: string, name: string): Entry | null {
	const word = protocol.replace(/-out$/, "");
	const homes = word.startsWith("pop3") ? ["pop3"] : word.startsWith("lmtp") ? ["lmtp", "smtp"] : ["smtp"];
	for (const home of homes) {
		const found = member(member(member(texts, home), group), name);
		if (typeof found === "object" && found !== null)
			return found as Entry;
	}
	return null;
}

/* Groups that belong to no protocol: "events", "sasl". */
export function commonEntry(texts: Catalogue, group: string, name: string): Entry | null {
	const found = member(member(texts, group), name);
	return typeof found === "object" && found !== null ? found as Entry : null;
}

/* The wording of one depth; where it is missing, the nearest that there is. */
export function wording(entry: Entry, depth: Depth): string {
	return entry[depth] ?? entry.student ?? entry.newcomer ?? entry.rfc_says ?? "";
}
