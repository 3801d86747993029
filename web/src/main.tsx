// SPDX-License-Identifier: Apache-2.0
import { render } from "preact";
import { App } from "./app.tsx";
import { startRouting } from "./route.ts";
import { loadLanguage, preferredLanguage, remembered } from "./text.ts";

async function start(): Promise<void> {
	const theme = remembered("theme");
	if (theme === "light" || theme === "dark")
		document.documentElement.dataset["theme"] = theme;
	try {
		await loadLanguage(preferredLanguage());
	} catch {
		await loadLanguage("en");
	}
	startRouting();
	const page = document.getElementById("page")!;
	page.replaceChildren();
	render(<App />, page);
}

void start();
