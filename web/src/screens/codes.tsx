// SPDX-License-Identifier: Apache-2.0
// All reply codes on one page, the chosen one taken apart beside them.
import { useEffect, useRef, useState } from "preact/hooks";
import { catalogue, DEPTHS, wording, type Catalogue, type Depth, type Entry } from "../explain.ts";
import { codeEntry, CodeCard, enhancedEntry } from "../parts/code.tsx";
import { Icon } from "../parts/icons.tsx";
import { toneOfCode } from "../parse/code.ts";
import { linkTo } from "../route.ts";
import { remember, remembered, t } from "../text.ts";

type Group = Record<string, Entry>;

function groupOf(texts: Catalogue, protocol: string, name: string): Group {
	return (texts[protocol]?.[name] ?? {}) as Group;
}

/* Verbs that this server answers so. */
function verbsOf(texts: Catalogue, protocol: string, code: string): string[] {
	return Object.entries(groupOf(texts, protocol, "verbs")).filter(([, entry]) => entry.answers?.includes(code)).map(([verb]) => verb);
}

export function DepthChoice({ depth, onDepth }: { depth: Depth; onDepth: (depth: Depth) => void }) {
	return (
		<div class="depth" role="group" aria-label={t("depth")}>
			{DEPTHS.map((one) => (
				<button key={one} type="button" aria-pressed={one === depth} onClick={() => onDepth(one)}>{t(`depth.${one}`)}</button>
			))}
		</div>
	);
}

export function useDepth(): [Depth, (depth: Depth) => void] {
	const [depth, setDepth] = useState<Depth>(() => DEPTHS.find((one) => one === remembered("depth")) ?? "newcomer");
	return [depth, (next) => {
		remember("depth", next);
		setDepth(next);
	}];
}

export function CodesScreen({ chosen }: { chosen: string }) {
	const [texts, setTexts] = useState<Catalogue | null>(null);
	const [depth, setDepth] = useDepth();
	useEffect(() => void catalogue().then(setTexts), []);
	useEffect(() => {
		document.title = `${t("codes.title")} · Glasspost`;
	}, []);
	if (!texts)
		return <p class="loading" role="status">{t("loading")}</p>;
	const codes = Object.keys(groupOf(texts, "smtp", "codes")).filter((code) => /^\d/.test(code) && !code.endsWith("xx"));
	const enhanced = Object.keys(groupOf(texts, "smtp", "enhanced")).filter((code) => !code.endsWith("x"));
	return (
		<div class="guide codes-page">
			<nav class="crumbs" aria-label={t("guide")}><a href={linkTo("guide")}><Icon name="back" size={14} />{t("guide")}</a></nav>
			<header class="guide-head">
				<h1>{t("codes.title")}</h1>
				<p class="lead">{t("codes.what")}</p>
			</header>
			<div class="codes-both">
				<div class="codes-list">
					{["2", "3", "4", "5"].map((first) => (
						<section key={first} class={`code-group tone-${toneOfCode(first)}`} aria-labelledby={`codes-${first}`}>
							<h2 id={`codes-${first}`}>{t(`codes.first.${first}`)}</h2>
							<Tiles codes={codes.filter((code) => code.startsWith(first))} chosen={chosen} title={(code) => codeEntry(texts, "smtp", code)?.title ?? ""} />
						</section>
					))}
					<section class="code-group" aria-labelledby="codes-enhanced">
						<h2 id="codes-enhanced">{t("codes.enhanced")}</h2>
						<p class="hint">{t("codes.enhanced.what")}</p>
						{["0", "1", "2", "3", "4", "5", "6", "7"].map((subject) => (
							<div key={subject} class="code-subject">
								<h3><code>x.{subject}.x</code> {t(`code.subject.${subject}`)}</h3>
								<Tiles codes={enhanced.filter((code) => code.split(".")[1] === subject)} chosen={chosen} title={(code) => enhancedEntry(texts, "smtp", code)?.title ?? ""} />
							</div>
						))}
					</section>
					<section class="code-group" aria-labelledby="codes-pop3">
						<h2 id="codes-pop3">{t("codes.pop3")}</h2>
						<p class="hint">{t("codes.pop3.what")}</p>
						<Tiles codes={Object.keys(groupOf(texts, "pop3", "codes"))} chosen={chosen} title={(code) => codeEntry(texts, "pop3", code)?.title ?? ""} />
					</section>
				</div>
				<Chosen chosen={chosen} texts={texts} depth={depth} onDepth={setDepth} />
			</div>
		</div>
	);
}

function Tiles({ codes, chosen, title }: { codes: string[]; chosen: string; title: (code: string) => string }) {
	return (
		<ul class="tiles">
			{codes.map((code) => (
				<li key={code}>
					<a class={`tile tone-${toneOfCode(code)}`} href={linkTo("guide", "codes", code)} aria-current={code === chosen ? "true" : undefined}>
						<code>{code}</code><span>{title(code)}</span>
					</a>
				</li>
			))}
		</ul>
	);
}

function Chosen({ chosen, texts, depth, onDepth }: { chosen: string; texts: Catalogue; depth: Depth; onDepth: (depth: Depth) => void }) {
	const box = useRef<HTMLElement>(null);
	const isFirst = useRef(true);
	/* On a narrow screen it stands below: what was chosen comes into sight. */
	useEffect(() => {
		if (chosen && !(isFirst.current && window.scrollY > 0))
			box.current?.scrollIntoView({ block: "nearest" });
		isFirst.current = false;
	}, [chosen]);
	const isPop3 = /^[+[-]/.test(chosen);
	const isEnhanced = chosen.includes(".");
	const protocol = isPop3 ? "pop3" : "smtp";
	const entry = isEnhanced ? enhancedEntry(texts, protocol, chosen) : codeEntry(texts, protocol, chosen);
	const verbs = verbsOf(texts, protocol, chosen);
	return (
		<aside class="code-chosen" ref={box} aria-live="polite" aria-label={t("panel.code", { code: chosen })}>
			<DepthChoice depth={depth} onDepth={onDepth} />
			{!chosen || !entry ? <p class="prose">{t("codes.choose")}</p> : (
				<>
					<h2 class="title"><code>{chosen}</code> {entry.title}</h2>
					<p class="prose">{wording(entry, depth)}</p>
					<CodeCard code={isEnhanced ? "" : chosen} enhanced={isEnhanced ? chosen : ""} protocol={protocol} texts={texts} depth={depth} link={false} quiet />
					{verbs.length > 0 && <p class="allowed">{t("codes.after")} {verbs.map((verb) => <code key={verb}>{verb}</code>)}</p>}
				</>
			)}
		</aside>
	);
}
