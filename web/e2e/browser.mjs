// SPDX-License-Identifier: Apache-2.0
// What every test in a browser needs: Debian's Chromium, a page that reports its errors, small waits.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

export const CHROMIUM = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((one) => existsSync(one));

export function must(truth, what) {
	if (!truth)
		throw new Error(what);
}

export async function open(base, { path = "", scheme = "light", width = 1280, height = 800, bypassCSP = false, still = false } = {}) {
	const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
	const context = await browser.newContext({
		viewport: { width, height }, colorScheme: scheme, bypassCSP, locale: "en-US", reducedMotion: still ? "reduce" : "no-preference", ignoreHTTPSErrors: true,
	});
	const page = await context.newPage();
	const faults = [];
	page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
	page.on("dialog", (dialog) => {
		faults.push(`dialog: ${dialog.message()}`);
		void dialog.dismiss();
	});
	page.on("console", (message) => {
		if (message.type() === "error" && !/status of (401|404)/.test(message.text()))
			faults.push(`console: ${message.text()}`);
	});
	page.on("request", (request) => {
		if (!request.url().startsWith(base) && !request.url().startsWith("blob:") && !request.url().startsWith("data:"))
			faults.push(`request to another host: ${request.url()}`);
	});
	page.setDefaultTimeout(15_000);
	await page.goto(base + path);
	return { browser, context, page, faults };
}

/* Where the head is: the place of the row that is marked. */
export async function place(page) {
	return page.evaluate(() => Number(document.querySelector(".overview")?.getAttribute("aria-valuenow") ?? -1));
}

export async function until(condition, what, ms = 5000) {
	const end = Date.now() + ms;
	for (;;) {
		if (await condition())
			return;
		if (Date.now() > end)
			throw new Error(`${what} did not come true within ${ms} ms`);
		await new Promise((done) => setTimeout(done, 20));
	}
}

/* A function that tells the milliseconds of processor time that pages have taken so far, all their threads together. */
export async function workOf(browser) {
	const session = await browser.newBrowserCDPSession();
	return async () => {
		const { processInfo } = await session.send("SystemInfo.getProcessInfo");
		return processInfo.filter((one) => one.type === "renderer").reduce((sum, one) => sum + one.cpuTime * 1000, 0);
	};
}
