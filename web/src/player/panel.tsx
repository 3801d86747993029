// SPDX-License-Identifier: Apache-2.0
// Beside the ladder: what the line at the head is, why the server answered so, the state machine, the octets.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { catalogue, commonEntry, DEPTHS, entryOf, wording, type Depth, type Entry } from "../explain.ts";
import { moment, since, span } from "../format.ts";
import { exchangeOf, type Model, type Row } from "../ladder/model.ts";
import { laneName, say, traceWord } from "../ladder/say.ts";
import { codesIn, toneOfCode } from "../parse/code.ts";
import { transactionAt } from "../parse/post.ts";
import { commandParts, octetsOf, replyParts, type Part } from "../parse/parts.ts";
import { CodeCard } from "../parts/code.tsx";
import { Icon, Mark } from "../parts/icons.tsx";
import { Post } from "../parts/post.tsx";
import { Sections } from "../parts/sections.tsx";
import type { Source } from "../trace/source.ts";
import { has, remember, remembered, t } from "../text.ts";
import { number, text } from "../trace/event.ts";
import { LayerView } from "./layers.tsx";
import { allowedIn, machineOf } from "./machine.ts";
import type { Player } from "./player.ts";
import { showSection } from "./show.ts";
import { unruled } from "./why.ts";

type Texts = Awaited<ReturnType<typeof catalogue>>;

export function partsOf(row: Row, model: Model): Part[] {
	const line = text(row.event, "line");
	if (row.event.kind === "command")
		return commandParts(line, text(row.event, "verb"));
	return row.event.kind === "reply" ? replyParts(line, text(row.event, "verb"), model.family) : [];
}

export function Panel({ player, version }: { player: Player; version: number }) {
	const { model } = player;
	const row = player.view.rows[player.place];
	const [texts, setTexts] = useState<Texts>({});
	const [depth, setDepth] = useState<Depth>(() => DEPTHS.find((one) => one === remembered("depth")) ?? "newcomer");
	const [hot, setHot] = useState<Part | null>(null);
	useEffect(() => void catalogue().then(setTexts), []);
	/* Before the new line is shown: whoever is quick would see his choice undone. */
	useLayoutEffect(() => setHot(null), [row?.event]);
	const parts = useMemo(() => row ? partsOf(row, model) : [], [row?.event, model.family]);
	const exchange = useMemo(() => row ? exchangeOf(model, row) : [], [row, version]);
	if (!row)
		return <aside class="panel" />;
	const choose = (next: Depth) => {
		remember("depth", next);
		setDepth(next);
	};
	return (
		<aside class="panel" aria-label={t("panel")} data-row={row.index}>
			<section class="panel-line" id="panel-explain" tabIndex={-1}>
				<p class="whence">
					<span class={`from-${row.from}`}>{laneName(model, row.from)}</span>
					{row.from !== row.to && <><Icon name="arrow" size={13} /><span class={`from-${row.to}`}>{laneName(model, row.to)}</span></>}
					<span class="at">{since(row.at_us)} ms</span>
					{row.encrypted && <span class="lock"><Icon name="lock" size={13} />{t("encrypted")}</span>}
				</p>
				<Line row={row} parts={parts} hot={hot} onHot={setHot} />
				<Explanation row={row} model={model} texts={texts} depth={depth} onDepth={choose} />
			</section>
			<Code row={row} model={model} texts={texts} depth={depth} />
			{parts.length > 1 && <Parts parts={parts} texts={texts} model={model} depth={depth} hot={hot} onHot={setHot} />}
			{parts.length <= 1 && <Fields row={row} />}
			<Answers row={row} exchange={exchange} texts={texts} model={model} depth={depth} />
			<Why row={row} exchange={exchange} model={model} />
			{model.family === "smtp" && <PostSection row={row} model={model} source={player.source} version={version} />}
			{model.protocol !== "http" && <States row={row} before={player.view.rows[player.place - 1]} model={model} texts={texts} depth={depth} />}
			<LayerView row={row} model={model} />
			<Bytes row={row} parts={parts} hot={hot} onHot={setHot} />
		</aside>
	);
}

function Section({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
	return <section id={`panel-${id}`} tabIndex={-1} class={`panel-${id}`}><h2>{title}</h2>{children}</section>;
}

function Line({ row, parts, hot, onHot }: { row: Row; parts: Part[]; hot: Part | null; onHot: (part: Part | null) => void }) {
	const line = text(row.event, "line");
	if (!parts.length)
		return <p class="line"><span>{say(row.event)}</span></p>;
	const pieces: ComponentChildren[] = [];
	let place = 0;
	parts.forEach((part, index) => {
		if (part.from > place)
			pieces.push(line.slice(place, part.from));
		pieces.push(
			<mark key={index} class={`part part-${index % 6} ${hot === part ? "is-hot" : ""}`} onPointerEnter={() => onHot(part)} onPointerLeave={() => onHot(null)}>
				{line.slice(part.from, part.to)}
			</mark>);
		place = part.to;
	});
	pieces.push(line.slice(place));
	return <p class="line"><code>{pieces}</code></p>;
}

/* The code of a reply, digit by digit. */
function Code({ row, model, texts, depth }: { row: Row; model: Model; texts: Texts; depth: Depth }) {
	const { code, enhanced } = row.event.kind === "reply" ? codesIn(text(row.event, "line"), model.family === "pop3") : { code: "", enhanced: "" };
	if (!code)
		return null;
	return (
		<Section id="code" title={t("panel.code", { code: enhanced ? `${code} ${enhanced}` : code })}>
			<CodeCard code={code} enhanced={enhanced} protocol={model.protocol} texts={texts} depth={depth} />
		</Section>
	);
}

/* The entry for a whole row: of its verb, its code, or of the kind of event. */
function entryOfRow(row: Row, model: Model, texts: Texts): Entry | null {
	const { event } = row;
	if (event.kind === "command") {
		const found = entryOf(texts, model.protocol, "verbs", text(event, "verb"));
		return event.masked && text(event, "verb") === "AUTH" ? found : found ?? commonEntry(texts, "events", "command");
	}
	if (event.kind !== "reply")
		return commonEntry(texts, "events", event.kind);
	const line = text(event, "line");
	const keyword = partsOf(row, model).find((part) => part.name === "extension");
	const code = model.family === "pop3" ? /^(\+OK|-ERR|\+)/.exec(line)?.[0] ?? "" : line.slice(0, 3);
	return (keyword && entryOf(texts, model.protocol, "extensions", keyword.value)) ??
		entryOf(texts, model.protocol, "codes", code) ?? entryOf(texts, model.protocol, "codes", `${code[0] ?? ""}xx`) ??
		commonEntry(texts, "events", "reply");
}

function Explanation({ row, model, texts, depth, onDepth }: { row: Row; model: Model; texts: Texts; depth: Depth; onDepth: (depth: Depth) => void }) {
	const entry = entryOfRow(row, model, texts);
	return (
		<div class="explanation">
			<div class="depth" role="group" aria-label={t("depth")}>
				{DEPTHS.map((one) => (
					<button key={one} type="button" aria-pressed={one === depth} onClick={() => onDepth(one)}>{t(`depth.${one}`)}</button>
				))}
			</div>
			{entry ? (
				<>
					{entry.title && <h2 class="title">{entry.title}</h2>}
					<p class="prose">{wording(entry, depth)}</p>
					{depth !== "newcomer" && entry.syntax && <p class="syntax"><code>{entry.syntax}</code></p>}
					<Sections rfc={entry.rfc} />
				</>
			) : <p class="prose">{has(`kind.${row.event.kind}`) ? t(`kind.${row.event.kind}`) : ""}</p>}
			{row.event.masked && <p class="hint">{t("panel.masked")}</p>}
			{row.event.cut && <p class="hint">{t("panel.cut")}</p>}
		</div>
	);
}

/* Parts that the section of the code takes apart. */
const CODES = new Set(["code", "enhanced", "status", "response-code"]);

function Parts({ parts, texts, model, depth, hot, onHot }: { parts: Part[]; texts: Texts; model: Model; depth: Depth; hot: Part | null; onHot: (part: Part | null) => void }) {
	return (
		<Section id="parts" title={t("panel.parts")}>
			<dl>
				{parts.map((part, index) => {
					const about = part.about ? entryOf(texts, model.protocol, part.about[0], part.about[1]) : null;
					return (
						<div key={index} class={`part-row ${hot === part ? "is-hot" : ""}`} onPointerEnter={() => onHot(part)} onPointerLeave={() => onHot(null)}>
							<dt><i class={`swatch part-${index % 6}`} />{t(`part.${part.name}`)}</dt>
							<dd>{CODES.has(part.name) ? <button type="button" class="reply-code" onClick={() => showSection("code")}>{part.value}</button> : <code>{part.value}</code>}{about && part.about![0] !== "verbs" && <span class="about">{about.title}{depth !== "newcomer" ? `. ${wording(about, "newcomer")}` : ""}</span>}</dd>
						</div>
					);
				})}
			</dl>
		</Section>
	);
}

/* Of events that are no lines: what the trace says about them. */
function Fields({ row }: { row: Row }) {
	const fields = Object.entries(row.event.fields).filter(([name, value]) => value !== "" && name !== "line" && name !== "verb" && !(value === 0 && name !== "uid"));
	if (!fields.length || row.event.kind === "command" || row.event.kind === "reply")
		return null;
	return (
		<Section id="parts" title={t("panel.fields")}>
			<dl>
				{fields.map(([name, value]) => (
					<div class="part-row" key={name}>
						<dt>{t(has(`field.${name}`) ? `field.${name}` : name)}</dt>
						<dd><code>{name === "us" ? span(Number(value)) : name.endsWith("_us") ? moment(Number(value) / 1000) : String(value)}</code></dd>
					</div>
				))}
			</dl>
		</Section>
	);
}

function Answers({ row, exchange, texts, model, depth }: { row: Row; exchange: readonly Row[]; texts: Texts; model: Model; depth: Depth }) {
	const [chosen, setChosen] = useState<string | null>(null);
	useLayoutEffect(() => setChosen(null), [row.event]);
	const command = exchange.find((one) => one.event.kind === "command");
	const verb = command ? text(command.event, "verb") : "";
	const isWire = row.event.kind === "command" || row.event.kind === "reply" || row.event.kind === "data";
	const listed = verb ? entryOf(texts, model.protocol, "verbs", verb)?.answers ?? [] : [];
	if (!isWire || !listed.length)
		return null;
	const given = new Set(exchange.filter((one) => one.event.kind === "reply").map((one) => codesIn(text(one.event, "line"), model.family === "pop3").code));
	return (
		<Section id="answers" title={t("panel.answers", { verb })}>
			<p class="codes">
				{listed.map((code) => (
					<button key={code} type="button" class={`code tone-${toneOfCode(code)} ${given.has(code) ? "is-given" : ""}`} aria-pressed={chosen === code}
						title={entryOf(texts, model.protocol, "codes", code)?.title} onClick={() => setChosen(chosen === code ? null : code)}>
						{given.has(code) && <span class="unseen">{t("panel.given")} </span>}{code}
					</button>
				))}
			</p>
			{chosen && <CodeCard whole code={chosen} enhanced="" protocol={model.protocol} texts={texts} depth={depth} />}
		</Section>
	);
}

/* What is on its way at this row: its envelope as the server took it, and the letter where it may be read. */
function PostSection({ row, model, source, version }: { row: Row; model: Model; source: Source; version: number }) {
	const transaction = useMemo(() => transactionAt(model, row), [row, version]);
	const message = transaction?.message ?? "";
	const [letter, setLetter] = useState<{ message: string; text: string } | null>(null);
	const open = async () => {
		if (source.letter)
			setLetter({ message, text: await source.letter(message) });
	};
	useEffect(() => {
		if (message && source.isPublic)
			void open().catch(() => {});
	}, [message]);
	if (!transaction)
		return null;
	const { envelope } = transaction;
	return (
		<Section id="post" title={t("panel.post")}>
			<Post envelope={{ ...envelope, recipients: envelope.recipients.map((one) => ({ ...one, words: one.tone === "good" ? "" : one.words })) }}
				letter={letter && letter.message === message ? letter.text : null} whole subject={transaction.subject} size={transaction.octets} onOpen={message && source.letter ? open : undefined} />
		</Section>
	);
}

/* What decided, from where, and how long each took. */
function Why({ row, exchange, model }: { row: Row; exchange: readonly Row[]; model: Model }) {
	const reasons = exchange.filter((one) => !["command", "reply", "data", "connect", "close"].includes(one.event.kind));
	const reply = exchange.findLast((one) => one.event.kind === "reply" && !one.continues);
	const total_us = reply?.took_us ?? 0;
	const isWire = ["command", "reply", "data"].includes(row.event.kind);
	const rest = isWire && !reasons.some((one) => one.event.kind === "policy" || one.event.kind === "auth" || one.event.kind === "trouble") ? unruled(model, exchange) : null;
	if (!reasons.length && !(isWire && (rest || total_us > 0)))
		return null;
	const longest_us = Math.max(total_us, ...reasons.map((one) => one.took_us), 1);
	return (
		<Section id="why" title={t("panel.why")}>
			{(reasons.length > 0 || total_us > 0) && <ul class="reasons">
				{reasons.map((one) => <Reason key={one.index} row={one} share={one.took_us / longest_us} />)}
				{total_us > 0 && (
					<li class="total">
						<span class="reason-words">{t("panel.total")}</span><span class="reason-took">{span(total_us)}</span>
						<i class="share" style={{ width: `${Math.max(1, total_us / longest_us * 100)}%` }} />
					</li>
				)}
			</ul>}
			{rest && <p class="hint">{t(rest, { state: t(`machine.${row.state}`), verb: text(row.event, "verb") })}</p>}
		</Section>
	);
}

function Reason({ row, share }: { row: Row; share: number }) {
	const { event } = row;
	const detail = event.kind === "policy" ? text(event, "detail") : event.kind === "dns" ? t("panel.dns", { server: text(event, "server"), ttl: number(event, "ttl") }) : "";
	const source = text(event, "source");
	return (
		<li>
			<Mark tone={row.tone} label={traceWord("verdict", text(event, "verdict") || text(event, "outcome") || row.tone)} />
			<span class="reason-words">{say(event)}{detail && <span class="detail">{detail}</span>}{source && <code class="source">{source}</code>}
				{event.kind === "dns" && number(event, "secure") === 1 && <span class="detail">{t("panel.secure")}</span>}
			</span>
			<span class="reason-took">{row.took_us > 0 ? span(row.took_us) : ""}</span>
			{row.took_us > 0 && <i class="share" style={{ width: `${Math.max(1, share * 100)}%` }} />}
		</li>
	);
}

function States({ row, before, model, texts, depth }: { row: Row; before: Row | undefined; model: Model; texts: Texts; depth: Depth }) {
	const machine = machineOf(model.family);
	const at = (name: string) => machine.states.find((one) => one.name === name)!;
	const entry = entryOf(texts, model.protocol, "states", row.state);
	const allowed = allowedIn(row.state, model.protocol);
	return (
		<Section id="states" title={t("panel.states")}>
			<svg class="machine" viewBox="0 0 380 152" role="img" aria-label={t("panel.state-now", { state: t(`machine.${row.state}`) })}>
				{machine.moves.map((move) => {
					const from = at(move.from);
					const to = at(move.to);
					const isTaken = before !== undefined && before.state === move.from && row.state === move.to;
					return <Move key={move.from + move.to} from={from} to={to} by={move.by === "EHLO" && model.protocol.startsWith("lmtp") ? "LHLO" : move.by} bend={move.bend} isTaken={isTaken} />;
				})}
				{machine.states.map((state) => {
					const label = t(`machine.${state.name}`);
					const width = Math.max(56, label.length * 7.2 + 20);
					return (
						<g key={state.name} class={`state ${state.name === row.state ? "is-lit" : ""}`}>
							<rect x={state.x - width / 2} y={state.y - 14} width={width} height="28" rx="14" />
							<text x={state.x} y={state.y + 4} text-anchor="middle">{label}</text>
						</g>
					);
				})}
			</svg>
			{entry && <p class="prose small">{wording(entry, depth)}</p>}
			{allowed.length > 0 && !model.isOver && <p class="allowed">{t("panel.allowed")} {allowed.map((word) => <code key={word}>{word}</code>)}</p>}
			{allowed.length > 0 && model.isOver && row.shape !== "end" && <p class="allowed">{t("panel.allowed")} {allowed.map((word) => <code key={word}>{word}</code>)}</p>}
		</Section>
	);
}

function Move({ from, to, by, bend, isTaken }: { from: { x: number; y: number }; to: { x: number; y: number }; by: string; bend: number; isTaken: boolean }) {
	const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + bend };
	const isUpright = from.x === to.x;
	return (
		<g class={`move ${isTaken ? "is-taken" : ""}`}>
			<path d={`M${from.x} ${from.y}Q${middle.x} ${middle.y + bend} ${to.x} ${to.y}`} />
			<text x={middle.x + (isUpright ? 5 : 0)} y={middle.y + (bend ? 10 : isUpright ? 4 : -5)} text-anchor={isUpright ? "start" : "middle"}>{by}</text>
		</g>
	);
}

const OCTETS_SHOWN = 1026;

function Bytes({ row, parts, hot, onHot }: { row: Row; parts: Part[]; hot: Part | null; onHot: (part: Part | null) => void }) {
	const line = text(row.event, "line");
	if (row.event.kind !== "command" && row.event.kind !== "reply")
		return null;
	const { octets, character } = octetsOf(line);
	const shown = Array.from(octets.subarray(0, OCTETS_SHOWN));
	const partAt = (index: number): Part | undefined => parts.find((part) => character[index]! >= part.from && character[index]! < part.to);
	const lines: number[][] = [];
	shown.forEach((_, index) => {
		if (index % 8 === 0)
			lines.push([]);
		lines.at(-1)!.push(index);
	});
	return (
		<Section id="bytes" title={t("panel.bytes", { n: octets.length })}>
			{row.event.masked && <p class="hint">{t("panel.masked-bytes")}</p>}
			<div class="hex" role="table" aria-label={t("panel.bytes", { n: octets.length })} onPointerLeave={() => onHot(null)}>
				{lines.map((indices) => (
					<div role="row" key={indices[0]} class="hex-row">
						<span role="rowheader" class="offset">{indices[0]!.toString(16).padStart(4, "0")}</span>
						<span role="cell" class="codes-of">
							{indices.map((index) => {
								const part = partAt(index);
								return (
									<span key={index} class={part ? `part-${parts.indexOf(part) % 6} ${hot === part ? "is-hot" : ""}` : ""} onPointerEnter={() => onHot(part ?? null)}>
										{shown[index]!.toString(16).padStart(2, "0")}
									</span>
								);
							})}
						</span>
						<span role="cell" class="chars">
							{indices.map((index) => {
								const part = partAt(index);
								const octet = shown[index]!;
								return (
									<span key={index} class={part && hot === part ? "is-hot" : ""} onPointerEnter={() => onHot(part ?? null)}>
										{octet > 32 && octet < 127 ? String.fromCharCode(octet) : octet === 32 ? " " : "·"}
									</span>
								);
							})}
						</span>
					</div>
				))}
			</div>
		</Section>
	);
}
