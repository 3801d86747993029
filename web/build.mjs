// SPDX-License-Identifier: Apache-2.0
// Builds dist/: index.html, assets with the hash of their content in the name, texts. What it makes
// loads nothing from other hosts and has no script or style inside the HTML.
import { build } from "esbuild";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.resolve(root, process.env.PAGE_OUT ?? "dist");

await rm(dist, { recursive: true, force: true });
await mkdir(path.join(dist, "texts"), { recursive: true });

const result = await build({
	absWorkingDir: root,
	entryPoints: { app: "src/main.tsx", style: "style/app.css" },
	outdir: path.join(dist, "assets"),
	entryNames: "[name]-[hash]",
	chunkNames: "[name]-[hash]",
	bundle: true,
	splitting: true,
	format: "esm",
	target: ["es2022", "chrome123", "firefox120", "safari17.5"],
	jsx: "automatic",
	jsxImportSource: "preact",
	minify: true,
	legalComments: "none",
	metafile: true,
	logLevel: "warning",
});

const outputs = Object.entries(result.metafile.outputs);
const nameOf = (entry) => path.relative(dist, path.join(root, outputs.find(([, o]) => o.entryPoint === entry)[0]));
const html = (await readFile(path.join(root, "static/index.html"), "utf8"))
	.replace("{style}", nameOf("style/app.css"))
	.replace("{app}", nameOf("src/main.tsx"));
await writeFile(path.join(dist, "index.html"), html);
await cp(path.join(root, "static/icon.svg"), path.join(dist, "icon.svg"));
await cp(path.join(root, "texts"), path.join(dist, "texts"), { recursive: true });

await cp(path.join(root, "films"), path.join(dist, "films"), { recursive: true });

// The explanations are the program's, not the page's: the terminal shows the same ones.
const explanations = path.join(root, "../texts");
if (existsSync(explanations))
	await cp(explanations, path.join(dist, "texts"), {
		recursive: true,
		filter: (from) => !path.basename(from).includes(".") || /^explain\..*\.json$/.test(path.basename(from)),
	});

/* What imports what, for the test that weighs it. */
const inDist = (file) => path.relative(dist, path.join(root, file));
await writeFile(`${dist}-sizes.json`, JSON.stringify(outputs.map(([file, output]) => ({
	file: inDist(file), entry: output.entryPoint ?? null, imports: output.imports.map((one) => ({ file: inDist(one.path), kind: one.kind })),
}))));
