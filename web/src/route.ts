// SPDX-License-Identifier: Apache-2.0
// The part of the address after "#": any server of plain files can serve the page.
import { Watched } from "./store.ts";

export interface Route {
	screen: string;
	id: string;
	/* A place within it, as the row of a film. */
	at: string;
}

export function routeOf(hash: string): Route {
	const [screen = "", id = "", at = ""] = hash.replace(/^#\/?/, "").split("/").map((part) => {
		try {
			return decodeURIComponent(part);
		} catch {
			return "";
		}
	});
	return { screen: screen || "sessions", id, at };
}

export const route = new Watched<Route>(routeOf(""));

export function startRouting(): void {
	const read = () => route.set(routeOf(location.hash));
	addEventListener("hashchange", read);
	read();
}

export function go(...parts: string[]): void {
	location.hash = `/${parts.map(encodeURIComponent).join("/")}`;
}

export function linkTo(...parts: string[]): string {
	return `#/${parts.map(encodeURIComponent).join("/")}`;
}
