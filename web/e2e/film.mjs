// SPDX-License-Identifier: Apache-2.0
// What the checks of films share: who is asked, which session, where in it.
import { must, until } from "./browser.mjs";

/* Of `node e2e/page.mjs CHECK BASE [JSON]`. */
export const [check, base, json = "{}"] = process.argv.slice(2);
export const options = JSON.parse(json);

export async function newestSession(page, having) {
	const rows = await page.evaluate(async () => (await (await fetch("api/v1/sessions?limit=200")).json()).sessions);
	const found = rows.find((row) => Object.entries(having).every(([name, value]) => row[name] === value));
	must(found, `no session with ${JSON.stringify(having)}`);
	return found.session;
}

export async function openFilm(page, having) {
	const session = await newestSession(page, having);
	await page.goto(`${base}#/session/${session}`);
	await page.waitForSelector(`.film[data-session="${session}"] .row.is-now`);
	return session;
}

export async function signIn(page) {
	await page.fill("input[type=email]", options.account);
	await page.fill("input[type=password]", options.password);
	await page.click("button[type=submit]");
}

/* Moves the head to the first line with these words. */
export async function find(page, words) {
	await page.keyboard.press("/");
	await page.keyboard.type(words);
	await page.keyboard.press("Enter");
	await page.keyboard.press("Escape");
	await until(async () => (await page.textContent(".panel .line")).includes(words), `${words} in the panel`);
}
