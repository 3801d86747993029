// SPDX-License-Identifier: Apache-2.0
// Bundles each *.test.ts for node and runs them with node's own runner; then builds the page, elsewhere
// than where the server's build does, and weighs it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = path.dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(path.join(tmpdir(), "glasspost-page-"));
try {
	const tests = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
	await build({
		entryPoints: tests.map((name) => path.join(folder, name)), outdir: out, outExtension: { ".js": ".mjs" }, bundle: true,
		format: "esm", platform: "node", target: "node18", jsx: "automatic", jsxImportSource: "preact", logLevel: "warning",
		define: { WEB_FOLDER: JSON.stringify(path.dirname(folder)) },
	});
	const run = spawnSync(process.execPath, ["--test", ...tests.map((name) => path.join(out, name.replace(/ts$/, "mjs")))], { stdio: "inherit" });
	const env = { ...process.env, PAGE_OUT: path.join(out, "dist") };
	const scripts = [path.join(folder, "../build.mjs"), path.join(folder, "sizes.mjs")];
	process.exitCode = [run, ...scripts.map((script) => spawnSync(process.execPath, [script], { stdio: "inherit", env }))].some((one) => one.status !== 0) ? 1 : 0;
} finally {
	rmSync(out, { recursive: true, force: true });
}
