// SPDX-License-Identifier: Apache-2.0
// What a first look costs over the wire, and what the player adds: 60 kB and 40 kB, gzipped.
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const dist = path.resolve(path.dirname(path.dirname(fileURLToPath(import.meta.url))), process.env.PAGE_OUT ?? "dist");
const FIRST_MAX = 60_000;
const PLAYER_MAX = 40_000;

const sizes = JSON.parse(readFileSync(`${dist}-sizes.json`, "utf8"));
const byFile = new Map(sizes.map((one) => [one.file, one]));
const weigh = (file) => gzipSync(readFileSync(path.join(dist, file)), { level: 9 }).length;

function withImports(file, seen = new Set()) {
	if (seen.has(file))
		return seen;
	seen.add(file);
	for (const one of byFile.get(file).imports)
		if (one.kind === "import-statement")
			withImports(one.file, seen);
	return seen;
}

const entryOf = (source) => sizes.find((one) => one.entry === source).file;
const first = withImports(entryOf("src/main.tsx"));
const firstFiles = ["index.html", "icon.svg", "texts/en.json", entryOf("style/app.css"), ...first];
const player = [...withImports(entryOf("src/screens/session.tsx"))].filter((file) => !first.has(file));
const sum = (files) => files.reduce((total, file) => total + weigh(file), 0);

let failed = false;
for (const [name, files, max] of [["first load", firstFiles, FIRST_MAX], ["player", player, PLAYER_MAX]]) {
	const size = sum(files);
	console.log(`${name}: ${size} octets gzipped in ${files.length} files, at most ${max}`);
	failed ||= size > max;
}
/* Nothing may be asked of another host, and nothing may run that is not a file of ours. */
for (const { file } of sizes.filter((one) => one.file.endsWith(".js"))) {
	const code = readFileSync(path.join(dist, file), "utf8");
	for (const banned of ["dangerouslySetInnerHTML:", ".innerHTML=`", "document.write", "new Function", "eval("])
		if (code.includes(banned)) {
			console.log(`${file} has ${banned}`);
			failed = true;
		}
}
const html = readFileSync(path.join(dist, "index.html"), "utf8");
if (/<script(?![^>]*\bsrc=)|<style|\son\w+=|https?:/.test(html)) {
	console.log("index.html has something inline, or of another host");
	failed = true;
}
process.exitCode = failed ? 1 : 0;
