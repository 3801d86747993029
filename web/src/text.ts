// SPDX-License-Identifier: Apache-2.0
// The interface's words: one file per language in texts/. A key that a language lacks is shown in English.
import { own as said } from "./own.ts";

type Texts = Record<string, string>;

export const languages: Record<string, string> = { en: "English", de: "Deutsch" };

let english: Texts = {};
let own: Texts = {};
let current = "en";

export function language(): string {
	return current;
}

export function remembered(name: string): string | null {
	try {
		return localStorage.getItem(`glasspost.${name}`);
	} catch {
		return null;
	}
}

export function remember(name: string, value: string): void {
	try {
		localStorage.setItem(`glasspost.${name}`, value);
	} catch {
		/* Without storage the choice holds until the page is closed. */
	}
}

export function preferredLanguage(): string {
	const wished = [remembered("language"), ...navigator.languages.map((one) => one.slice(0, 2))];
	return wished.find((one) => one !== null && Object.hasOwn(languages, one)) ?? "en";
}

async function read(name: string): Promise<Texts> {
	const response = await fetch(`texts/${name}.json`);
	if (!response.ok)
		throw new Error(`texts/${name}.json: ${response.status}`);
	return (await response.json()) as Texts;
}

export async function loadLanguage(name: string): Promise<void> {
	if (!Object.keys(english).length)
		english = await read("en");
	own = name === "en" ? english : await read(name);
	current = name;
	document.documentElement.lang = name;
}

/* For tests, which have no server to ask. */
export function useTexts(texts: Texts, name = "en"): void {
	english = texts;
	own = texts;
	current = name;
}

export function has(key: string): boolean {
	return Object.hasOwn(own, key) || Object.hasOwn(english, key);
}

/* `{name}` is replaced by values.name. With values.n a key may have a form of its own for one: "key.one". */
export function t(key: string, values: Record<string, string | number> = {}): string {
	const one = values["n"] === 1 ? `${key}.one` : key;
	const found = said(own, one) ?? said(own, key) ?? said(english, one) ?? said(english, key) ?? key;
	return found.replace(/\{(\w+)\}/g, (whole, name: string) =>
		Object.hasOwn(values, name) ? String(values[name]) : whole);
}
