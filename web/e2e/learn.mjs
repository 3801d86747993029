// SPDX-License-Identifier: Apache-2.0
// Checks of what explains: reply codes, envelope and letter, layers, the guide and its films.
import { must, open, place, until } from "./browser.mjs";
import { base, find, openFilm, options } from "./film.mjs";

/* A reply code is chosen by click and by key, on the ladder and in the panel, and told apart; the guide has them all. */
export async function codes() {
	const { browser, page, faults } = await open(base, { path: "#/sessions" });
	await openFilm(page, { protocol: "submission" });
	await page.click(".row:has-text('220 ') .reply-code");
	await until(() => page.evaluate(() => document.activeElement?.id === "panel-code"), "the code's section has the keys");
	await until(async () => (await page.textContent("#panel-code h2")) === "Reply code 220", "the code that was clicked");
	const figures = () => page.evaluate(() => [...document.querySelectorAll("#panel-code .figure")].map((one) => one.textContent).join(""));
	await until(async () => await figures() === "220", `digits ${await figures()}`);
	await page.keyboard.press("/");
	await page.keyboard.type("RCPT TO");
	await page.keyboard.press("Enter");
	await page.keyboard.press("Escape");
	await until(async () => (await page.textContent(".panel .line")).startsWith("RCPT TO"), "a command in the panel");
	await until(async () => await page.locator("#panel-code").count() === 0, "a command has no code");
	await page.keyboard.press("c");
	await until(async () => await figures() === "2502.1.5", "the key leads to the code of its reply");
	const card = await page.textContent("#panel-code");
	for (const word of ["severity", "category", "detail", "class", "subject", "addresses", "RFC 5321 §4.2.1", "Nothing to repeat"])
		must(card.includes(word), `the code's card lacks ${word}: ${card}`);
	await page.keyboard.press("e");
	await page.click(".panel-parts button.reply-code:has-text('2.1.5')");
	await until(() => page.evaluate(() => document.activeElement?.id === "panel-code"), "a code in the panel leads there too");
	await page.click(".codes .code:has-text('451')");
	await until(async () => (await page.textContent("#panel-answers .code-card")).includes("The sender tries again"), "an answer that was not given is told apart too");
	await page.click("#panel-code .all-codes a");
	await page.waitForSelector(".codes-page .tile[aria-current]");
	const listed = await page.evaluate(() => [...document.querySelectorAll(".tile code")].map((one) => one.textContent));
	const explained = await page.evaluate(async () => {
		const { smtp, pop3 } = await (await fetch("texts/explain.en.json")).json();
		return [...Object.keys(smtp.codes), ...Object.keys(smtp.enhanced), ...Object.keys(pop3.codes)].filter((one) => !one.endsWith("x"));
	});
	must(JSON.stringify([...listed].sort()) === JSON.stringify(explained.sort()), "the guide lists each code once");
	await page.focus(".tile:has-text('451')");
	await page.keyboard.press("Enter");
	await until(async () => (await page.textContent(".code-chosen h2")).startsWith("451"), "a code chosen by key");
	await until(async () => (await page.textContent(".code-chosen")).includes("The sender tries again"), "whether to come back");
	await browser.close();
	must(!faults.length, faults.join("\n"));
	return { codes: listed.length };
}

/* Envelope and letter apart, in the film and in the journey; where they differ is said; pushed and pulled. */
export async function post() {
	const { browser, page, faults } = await open(base, { path: "#/messages" });
	await page.click(`.messages .item:has-text("${options.subject}")`);
	await page.waitForSelector(".post .airmail");
	const look = async (where) => {
		const address = await page.textContent(`${where} .address`);
		const sheet = await page.textContent(`${where} .sheet`);
		const differs = await page.textContent(`${where} .differences`);
		must(options.recipients.every((one) => address.includes(one)), `on the envelope: ${address}`);
		await until(async () => (await page.textContent(`${where} .return-address`)).includes(options.sender), "the envelope's sender");
		must(sheet.includes(options.from) && sheet.includes(options.to), `in the letter: ${sheet}`);
		must(differs.includes(`Reports go to ${options.sender}, but the letter says it is from ${options.from}`), `differences: ${differs}`);
		must(differs.includes(`${options.blind} is on the envelope, but not in the letter`), `differences: ${differs}`);
		must(differs.includes(`${options.to} is in the letter, but not on this envelope`), `differences: ${differs}`);
	};
	await look(".journey");
	must(!(await page.textContent(".journey .sheet")).includes(options.words), "the text is not shown unasked");
	await page.click(".journey .sheet button");
	await until(async () => (await page.textContent(".journey .sheet")).includes(options.words), "the text when asked for");
	const ways = await page.evaluate(() => [...document.querySelectorAll(".way-step")].map((one) => [one.className.replace("way-step is-", ""), one.querySelector("svg[role]").getAttribute("aria-label"), one.querySelector("svg[role]").innerHTML.replace(/<text.*?<\/text>/g, "")]));
	must(ways.map((one) => one[0]).join() === "push,inside,pull", `hand-overs: ${ways.map((one) => one[0])}`);
	must(new Set(ways.map((one) => one[2])).size === 3, "each is drawn in a shape of its own");
	must(ways[2][1].includes("from reader to mailbox"), `direction in words: ${ways[2][1]}`);
	await page.click(".way-step.is-pull a");
	await page.waitForSelector(".film .protocol.pop3");
	await page.goBack();
	await page.click(".way-step.is-push a");
	await page.waitForSelector(".film .protocol.submission");
	await find(page, "RCPT TO");
	await page.keyboard.press("p");
	await until(() => page.evaluate(() => document.activeElement?.id === "panel-post"), "envelope and letter have the keys");
	must(!(await page.textContent(".panel .sheet")).includes(options.words), "no letter is opened unasked");
	await page.click(".panel .sheet button");
	await until(async () => (await page.textContent(".panel .sheet")).includes(options.words), "the letter when asked for");
	await look(".panel");
	await until(async () => (await page.textContent(".panel .differences")).includes(`${options.account} signed in, but the return address is ${options.sender}`), "who signed in");
	await until(async () => await page.locator(".panel .paper .wishes, .panel .paper").count() > 0, "the envelope is drawn");
	await browser.close();
	must(!faults.length, faults.join("\n"));
	return { ways: ways.length };
}

/* One line at each layer: numbers, names, octets that were measured, and what depends on the path. */
export async function layers() {
	const { browser, page, faults } = await open(base, { path: "#/sessions" });
	await openFilm(page, { protocol: "submission" });
	await find(page, "RCPT TO");
	await page.keyboard.press("y");
	await until(() => page.evaluate(() => document.activeElement?.id === "panel-layers"), "the layers have the keys");
	const numbers = await page.evaluate(() => [...document.querySelectorAll(".layer")].map((one) => `${one.querySelector(".layer-number").textContent} ${one.querySelector("b").textContent}`));
	must(numbers.join("; ") === "7 SMTP, application; 5–6 TLSv1.3 record; 4 TCP, transport; 3 IPv4, network", `layers: ${numbers.join("; ")}`);
	const own = Number((await page.textContent(".layer:first-child .piece-own")).match(/\d+/)[0]);
	const lines = await page.evaluate(() => [...document.querySelectorAll(".row.grouped code")].map((one) => one.textContent));
	must(own === lines.filter((line) => /^(MAIL|RCPT|DATA)/.test(line)).reduce((sum, line) => sum + line.length + 2, 0), `octets of what left together: ${own} of ${lines}`);
	const total = async () => Number((await page.textContent(".panel-layers > .hint")).match(/, ([\d,]+) octets or more/)[1].replace(",", ""));
	await until(async () => await total() === own + 22 + 40, `with a record, TCP and IP: ${await total()}`);
	await until(async () => await page.locator(".piece.by-path").count() === 2 && await page.locator(".piece.by-measured").count() >= 1, "what is measured and what depends on the path are told apart");
	await find(page, "220 ");
	await until(async () => (await page.textContent(".layers")).includes("Everybody on the way can read"), "a line before TLS");
	await page.selectOption(".path select", "536");
	await page.reload();
	await page.waitForSelector(".panel-layers, .film .row.is-now");
	await find(page, "220 ");
	await until(async () => await page.inputValue(".path select") === "536", "the path is remembered");
	await browser.close();
	must(!faults.length, faults.join("\n"));
	return { octets: own };
}

/* Every page of the guide, and its film in the player: what is to be looked at is found, and it plays. */
export async function guide() {
	const { browser, page, faults } = await open(base, { path: "#/guide", still: true });
	await page.waitForSelector(".myth");
	const myths = await page.evaluate(async () => (await (await fetch("texts/guide.en.json")).json()).myths);
	await until(async () => await page.locator(".myth").count() === myths.length, "a row for each page");
	let stops = 0;
	let films = 0;
	for (const myth of myths) {
		await page.goto(`${base}#/guide/${myth.id}`);
		await until(async () => (await page.textContent("h1").catch(() => "")) === myth.title, `the page ${myth.id}`);
		await until(async () => (await page.textContent(".said-claim")) === myth.claim, "what is said");
		await until(async () => await page.locator(".page-words .rfc a").count() === myth.rfc.length, `${myth.id}: where the RFCs say so`);
		const words = new Set();
		for (const depth of ["Newcomer", "Student", "RFC"]) {
			await page.click(`.depth button:has-text("${depth}")`);
			words.add(await page.textContent(".page-words .prose"));
		}
		must(words.size === 3, "three depths are three texts");
		await page.waitForSelector(".preview-play");
		const links = await page.evaluate(() => [...document.querySelectorAll(".preview-play")].map((one) => one.getAttribute("href")));
		films += links.length;
		for (const [index, link] of links.entries()) {
			await page.goto(base + link);
			await page.waitForSelector(`.film[data-session="film:${myth.film}/${index + 1}"] .stops button`);
			must(await page.evaluate(() => document.querySelector(".facts a") === null), "a kept film leads to no journey of this server");
			const places = [];
			for (const button of await page.locator(".film .stops button").all()) {
				await button.click();
				await until(async () => (await button.getAttribute("aria-pressed")) === "true", `${myth.id}: a stop is the current one`);
				places.push(await place(page));
				await until(async () => (await page.textContent(".stop-now")).includes(await button.locator(".unseen").textContent()), "its words are shown");
				stops++;
			}
			must(places.length > 0 && places.every((one, i) => i === 0 || one > places[i - 1]), `${myth.id}: stops in the order of the film: ${places}`);
		}
	}
	await page.goto(`${base}#/film/m7/1-3`);
	await until(async () => (await page.textContent(".panel .differences").catch(() => "")).includes("club@example.org"), "the letter of a film lies open, and differs");
	await page.keyboard.press("Home");
	await page.keyboard.press(" ");
	await until(async () => await place(page) > 1, "the film plays");
	await page.keyboard.press(" ");
	await page.goto(`${base}#/film/m13/2`);
	await page.waitForSelector(".film .protocol.pop3");
	await page.click(".film-sessions a:has-text('1.')");
	await page.waitForSelector(".film .protocol.smtp");
	await page.goto(`${base}#/guide/m13`);
	await page.waitForSelector(".way-step.is-pull");
	await until(async () => await page.locator(".way-step").count() === 3, "pushed, within, pulled");
	await browser.close();
	must(!faults.length, faults.join("\n"));
	return { pages: myths.length, films, stops };
}
