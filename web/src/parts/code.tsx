// SPDX-License-Identifier: Apache-2.0
// A reply code taken apart: each digit with what it says, and whether a sender comes back.
import type { ComponentChildren } from "preact";
import { entryOf, wording, type Catalogue, type Depth, type Entry } from "../explain.ts";
import { anatomyOf, fateOf, numbersOf, subjectOf, toneOfCode } from "../parse/code.ts";
import { linkTo } from "../route.ts";
import { has, t } from "../text.ts";
import { Icon } from "./icons.tsx";
import { Sections } from "./sections.tsx";

/* Of an enhanced code that is not in the texts, what its class says. */
export function enhancedEntry(texts: Catalogue, protocol: string, enhanced: string): Entry | null {
	return entryOf(texts, protocol, "enhanced", enhanced) ?? entryOf(texts, protocol, "enhanced", `${enhanced[0] ?? ""}.x.x`);
}

export function codeEntry(texts: Catalogue, protocol: string, code: string): Entry | null {
	return entryOf(texts, protocol, "codes", code) ?? entryOf(texts, protocol, "codes", `${code[0] ?? ""}xx`);
}

const FATE_ICONS: Record<string, string> = { done: "check", more: "arrow", later: "again", never: "cross" };

export function FateLine({ code }: { code: string }) {
	const fate = fateOf(code);
	const note = `code.note.${code}`;
	return (
		<p class={`fate tone-${toneOfCode(code)}`}>
			<span class="fate-mark"><Icon name={FATE_ICONS[fate]!} size={16} /></span>
			<span><b>{t(`code.fate.${fate}`)}</b> {t(has(note) ? note : `code.fate.${fate}.why`)}</span>
		</p>
	);
}

function Digits({ cells, label, point }: { cells: { digit: string; name: string; says: ComponentChildren }[]; label: string; point?: string }) {
	return (
		<dl class="digits" aria-label={label}>
			{cells.map(({ digit, name, says }, index) => (
				<div key={name} class="digit">
					<dt><span class="figure" aria-hidden="true">{index > 0 && point && <i>{point}</i>}{digit}</span><span class="digit-name">{name}<span class="unseen"> {digit}</span></span></dt>
					<dd>{says}</dd>
				</div>
			))}
		</dl>
	);
}

/* Where its explanation stands above already, only what the digits say; `whole`: with it; `quiet`: alone on a page. */
export function CodeCard({ code, enhanced, protocol, texts, depth, whole = false, link = true, quiet = false }: {
	code: string; enhanced: string; protocol: string; texts: Catalogue; depth: Depth; whole?: boolean; link?: boolean; quiet?: boolean;
}) {
	const anatomy = anatomyOf(code);
	const numbers = numbersOf(enhanced);
	const entry = code ? codeEntry(texts, protocol, code) : null;
	const finer = enhanced ? enhanced.startsWith("[") ? entryOf(texts, protocol, "codes", enhanced) : enhancedEntry(texts, protocol, enhanced) : null;
	return (
		<div class={`code-card tone-${toneOfCode(code || enhanced)}`}>
			{whole && entry && <p class="prose small"><b>{code} {entry.title}.</b> {wording(entry, depth)}</p>}
			{anatomy && <Digits label={t("code.digits", { code })} cells={[
				{ digit: anatomy.digits[0], name: t("code.severity"), says: t(`code.first.${anatomy.digits[0]}`) },
				{ digit: anatomy.digits[1], name: t("code.category"), says: t(`code.second.${anatomy.digits[1]}`) },
				{ digit: anatomy.digits[2], name: t("code.detail"), says: entry?.title ?? t("code.third") },
			]} />}
			{numbers && <Digits label={t("code.enhanced", { code: enhanced })} point="." cells={[
				{ digit: numbers[0], name: t("code.class"), says: t(`code.class.${numbers[0]}`) },
				{ digit: numbers[1], name: t("code.subject"), says: t(`code.subject.${subjectOf(numbers[1])}`) },
				{ digit: numbers[2], name: t("code.enhanced-detail"), says: finer?.title ?? "" },
			]} />}
			{finer && !quiet && (anatomy === null || whole || depth !== "newcomer") && <p class="prose small"><b>{enhanced}</b> {wording(finer, depth)}</p>}
			<FateLine code={code && !enhanced.startsWith("[") ? code : enhanced || code} />
			<Sections rfc={[...(whole || quiet ? entry?.rfc ?? [] : []), ...(finer?.rfc ?? []), ...(anatomy ? [["5321", "4.2.1"] as [string, string]] : [])]} />
			{link && <p class="all-codes"><a href={linkTo("guide", "codes", code || enhanced)}>{t("code.all")}</a></p>}
		</div>
	);
}
