// SPDX-License-Identifier: Apache-2.0
// The ladder: a list of rows, of which only those in sight exist, over the life lines.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { layoutOf, rowsWithin, STEP_HEIGHT, type Layout } from "../ladder/layout.ts";
import type { Lane, Model, Row } from "../ladder/model.ts";
import { handshakeSteps, laneName, say, sentence } from "../ladder/say.ts";
import { octets, since, span } from "../format.ts";
import { codesIn } from "../parse/code.ts";
import { Icon } from "../parts/icons.tsx";
import { t } from "../text.ts";
import { number, text } from "../trace/event.ts";
import type { Player } from "./player.ts";
import { showSectionOf } from "./show.ts";

interface Props {
	player: Player;
	/* Counts what was drawn: the player is one object that changes. */
	version: number;
	expanded: ReadonlyMap<number, number>;
	onExpand: (row: Row) => void;
}

function xOf(layout: Layout, lane: Lane): number {
	return layout.columns.find((column) => column.lane === lane)?.x ?? layout.columns[0]!.x;
}

export function Ladder({ player, version, expanded, onExpand }: Props) {
	const box = useRef<HTMLDivElement>(null);
	const [size, setSize] = useState({ width: 0, height: 0 });
	const scrolled = useRef(0);
	/* The version whose head was brought into sight: after that somebody may look around. */
	const seen = useRef(-1);
	const [, redraw] = useState(0);
	const { model, view, mode, open } = player;
	const layout = useMemo(() => layoutOf(model, view, { open, mode, width: size.width || 720, expanded }),
		[model, view, open, mode, size.width, expanded]);

	useLayoutEffect(() => {
		const element = box.current!;
		const measure = () => setSize({ width: element.clientWidth, height: element.clientHeight });
		measure();
		const observer = new ResizeObserver(measure);
		observer.observe(element);
		return () => observer.disconnect();
	}, []);

	/* Decided before drawing, so that a jump is drawn once and not twice. */
	const wanted = seen.current === version ? null : placeInSight(layout, player, scrolled.current, size.height);
	if (wanted !== null)
		scrolled.current = wanted;
	if (size.height)
		seen.current = version;
	/* Not asked for first: the question alone would lay out the page once more. */
	useLayoutEffect(() => {
		if (!box.current || wanted === null)
			return;
		box.current.scrollTop = wanted;
		const timer = setTimeout(() => redraw((n) => n + 1), SETTLED_MS);
		return () => clearTimeout(timer);
	});
	useGlide(box, layout, player);

	if (!view.rows.length)
		return <div class="ladder" ref={box}><p class="nothing">{t("player.empty")}</p></div>;
	/* Somebody who jumps sees another place in the next frame; somebody who scrolls wants to see what comes. */
	const [first, last] = rowsWithin(layout, scrolled.current, size.height || 600, wanted === null ? 8 : 2);
	const place = player.place;
	const shown = slotted(first, last - first + 1, wanted !== null);
	return (
		<div class={`ladder-frame ${layout.isNarrow ? "is-narrow" : ""}`}>
			<Lanes model={model} layout={layout} />
			<div class="ladder" ref={box} onScroll={(event) => {
				const top = event.currentTarget.scrollTop;
				if (Math.abs(top - scrolled.current) >= 1) {
					scrolled.current = top;
					redraw((n) => n + 1);
				}
			}}>
				<div class="wire" style={{ height: `${layout.total}px` }}>
					<LifeLines layout={layout} />
					<Glass layout={layout} rows={view.rows} first={first} last={last} />
					<div role="listbox" class="rows" tabIndex={0} aria-label={t("player.ladder")} aria-activedescendant={`row-${place}`}>
						{shown.map(({ offset, slot }) => {
							const own = first + offset;
							const row = view.rows[own]!;
							return (
								<LadderRow key={slot} row={row} place={own} head={place} model={model} layout={layout}
									folded={view.folded[own]!} count={view.rows.length} expanded={expanded.has(row.index)}
									onPick={(isCode) => {
										if (row.shape === "handshake" && place === own)
											onExpand(row);
										player.pause();
										player.seek(own);
										if (isCode)
											showSectionOf(row.index, "code");
									}} />
							);
						})}
					</div>
				</div>
			</div>
		</div>
	);
}

const SETTLED_MS = 300;

/* Elements are used again for other rows: making or moving them costs most of a frame. In a step or while scrolling, a
   row keeps its element; in a jump, each element keeps its place in the document, until the ladder rests. */
function slotted(first: number, count: number, isJump: boolean): { offset: number; slot: number }[] {
	const slots = isJump ? count + count % 2 : 2 ** Math.ceil(Math.log2(Math.max(32, count)));
	const order = Array.from({ length: count }, (_, offset) => ({ offset, slot: (first + offset) % slots }));
	return isJump ? order.sort((a, b) => a.slot - b.slot) : order;
}

/* Where to scroll to so that the head is in sight; null where it is, or while somebody looks around. */
function placeInSight(layout: Layout, player: Player, scrolled: number, height: number): number | null {
	const top = layout.top[player.place];
	if (top === undefined || !height || player.isPlaying)
		return null;
	const margin = Math.min(90, height / 5);
	const isInSight = top >= scrolled + margin / 2 && top + layout.height[player.place]! <= scrolled + height - margin;
	return isInSight ? null : Math.max(0, Math.min(layout.total - height, top - height * 0.45));
}

/* While it plays, the ladder glides after its head; for who wants less motion, it turns pages. */
function useGlide(box: { current: HTMLDivElement | null }, layout: Layout, player: Player): void {
	useEffect(() => {
		if (!player.isPlaying)
			return;
		let frame = 0;
		const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
		const glide = () => {
			const element = box.current;
			const top = layout.top[player.place];
			if (element && top !== undefined) {
				const way = Math.max(0, top - element.clientHeight * 0.55) - element.scrollTop;
				if (isStill && Math.abs(way) > element.clientHeight * 0.4)
					element.scrollTop += way + element.clientHeight * 0.3;
				else if (!isStill && Math.abs(way) > 1)
					element.scrollTop += way > 0 && way < 8 ? 1 : way * 0.14;
			}
			frame = requestAnimationFrame(glide);
		};
		frame = requestAnimationFrame(glide);
		return () => cancelAnimationFrame(frame);
	}, [layout, player.isPlaying]);
}

function Lanes({ model, layout }: { model: Model; layout: Layout }) {
	return (
		<div class="lanes" aria-hidden="true">
			<span class="unit">ms</span>
			{layout.columns.map((column) => (
				<span key={column.lane} class={`lane lane-${column.lane}`} style={{ left: `${column.x}px` }}>{laneName(model, column.lane)}</span>
			))}
		</div>
	);
}

function LifeLines({ layout }: { layout: Layout }) {
	return (
		<div aria-hidden="true">
			{layout.columns.map((column) => (
				<i key={column.lane} class={`life life-${column.lane}`} style={{ left: `${column.x}px`, height: `${layout.total - 24}px` }} />
			))}
		</div>
	);
}

/* A pane of glass over all that went encrypted. */
function Glass({ layout, rows, first, last }: { layout: Layout; rows: readonly Row[]; first: number; last: number }) {
	const panes: { from: number; to: number }[] = [];
	for (let i = first; i <= last; i++) {
		if (!rows[i]!.sealed)
			continue;
		if (panes.at(-1)?.to === i - 1)
			panes.at(-1)!.to = i;
		else
			panes.push({ from: i, to: i });
	}
	const left = xOf(layout, "client");
	const width = xOf(layout, "server") - left;
	return (
		<div aria-hidden="true">
			{panes.map(({ from, to }) => (
				<i key={from} class="glass" style={{
					left: `${left}px`, width: `${width}px`, top: `${layout.top[from]!}px`,
					height: `${layout.top[to]! + layout.height[to]! - layout.top[from]!}px`,
				}} />
			))}
		</div>
	);
}

interface RowProps {
	row: Row;
	place: number;
	head: number;
	model: Model;
	layout: Layout;
	folded: readonly Row[];
	count: number;
	expanded: boolean;
	/* By its reply code, or anywhere else. */
	onPick: (isCode: boolean) => void;
}

function LadderRow({ row, place, head, model, layout, folded, count, expanded, onPick }: RowProps) {
	const skipped = layout.skipped_us[place]!;
	const classes = [
		"row", `is-${row.shape}`, row.shape === "arrow" || row.shape === "bar" ? `from-${row.from}` : "", `tone-${row.tone}`,
		place === head ? "is-now" : place > head ? "is-future" : "", row.continues ? "continues" : "", row.more ? "more" : "", row.group ? "grouped" : "",
	].filter(Boolean).join(" ");
	return (
		<div id={`row-${place}`} class={classes} role="option" aria-selected={place === head} aria-setsize={count} aria-posinset={place + 1}
			aria-label={sentence(model, row) + (folded.length ? `. ${folded.map((one) => say(one.event)).join(". ")}` : "")}
			style={{ transform: `translateY(${layout.top[place]!}px)`, height: `${layout.height[place]!}px` }} onClick={(event) => onPick((event.target as Element).closest(".reply-code") !== null)}>
			{skipped > 0 && <span class="skipped">⋯ {span(skipped)} ⋯</span>}
			{!row.continues && <span class="time" style={{ width: `${layout.gutter - 22}px` }}>{since(row.at_us)}</span>}
			{row.group > 0 && row.from === "client" && <i class="together" style={{ left: `${layout.gutter - 8}px` }} />}
			{place === head && <span class="now-mark" style={{ left: `${Math.max(2, layout.gutter - 20)}px` }}>▸</span>}
			{folded.length > 0 && <Folded rows={folded} x={xOf(layout, "server")} left={xOf(layout, "client")} />}
			<Body row={row} layout={layout} place={place} isNow={place === head} hasFolded={folded.length > 0} expanded={expanded} isPop3={model.family === "pop3"} />
		</div>
	);
}

function Body({ row, layout, place, isNow, hasFolded, expanded, isPop3 }: { row: Row; layout: Layout; place: number; isNow: boolean; hasFolded: boolean; expanded: boolean; isPop3: boolean }) {
	const left = xOf(layout, "client");
	const right = xOf(layout, "server");
	const shift = hasFolded ? 25 : 0;
	switch (row.shape) {
	case "arrow":
	case "bar":
		return <Wire row={row} left={left} right={right} fall={layout.fall[place]!} shift={shift} isNow={isNow} isPop3={isPop3} />;
	case "handshake":
		return <Handshake row={row} left={left} right={right} shift={shift} expanded={expanded} />;
	case "side":
		return <Aside row={row} layout={layout} shift={shift} />;
	case "end":
		return <span class="end-words" style={{ left: `${left}px`, width: `${right - left}px`, top: `${shift + 8}px` }}><span>{say(row.event)}</span></span>;
	default:
		return (
			<span class={`note-words tone-${row.tone}`} style={{ left: `${left + 14}px`, width: `${right - left - 28}px`, top: `${shift + 3}px` }}>
				<span>{say(row.event)}{text(row.event, "detail") && <em> {text(row.event, "detail")}</em>}</span>
			</span>
		);
	}
}

function head(x: number, y: number, direction: 1 | -1): string {
	return `M${x - 7 * direction} ${y - 4}L${x} ${y}L${x - 7 * direction} ${y + 4}`;
}

function Wire({ row, left, right, fall, shift, isNow, isPop3 }: { row: Row; left: number; right: number; fall: number; shift: number; isNow: boolean; isPop3: boolean }) {
	const width = right - left;
	const isToRight = row.from === "client";
	const isWide = width > 420;
	const indent = isToRight ? 14 : isWide ? Math.round(width * 0.3) : 26;
	const y = row.shape === "bar" ? 35 : row.continues ? 24 : 30;
	const begin = isToRight ? 0 : width;
	const end = isToRight ? width - 1 : 1;
	const size = row.shape === "bar" ? number(row.event, "octets") : 0;
	const words = row.shape === "bar" ? "" : say(row.event);
	return (
		<>
			<span class="words" style={{ left: `${left + indent}px`, width: `${width - indent - 12}px`, top: `${shift + (row.continues ? 1 : 7)}px` }}>
				{row.encrypted && !row.continues && <span class="lock"><Icon name="lock" size={12} /></span>}
				{row.shape === "bar" ? <DataBar row={row} size={size} isNow={isNow} /> : <code>{row.event.kind === "reply" ? <ReplyWords line={words} isPop3={isPop3} /> : words}</code>}
			</span>
			{!row.more && (
				<svg class="shaft" aria-hidden="true" width={width} height={y + 18} style={{ left: `${left}px`, top: `${shift}px` }}>
					<path class="line" d={`M${begin} ${y}L${end} ${y + fall}`} pathLength={1} />
					<path class="head" d={head(end, y + fall, isToRight ? 1 : -1)} />
				</svg>
			)}
			{row.took_us > 0 && row.event.kind === "reply" && !row.continues && row.to === "client" && (
				<span class="took" style={{ left: `${right - 8}px`, top: `${shift + 9}px` }} title={t("player.took", { span: span(row.took_us) })}>{span(row.took_us)}</span>
			)}
		</>
	);
}

/* Its code can be chosen by itself. A key does the same (c), so that the row stays one thing for who hears it. */
function ReplyWords({ line, isPop3 }: { line: string; isPop3: boolean }) {
	const { code } = codesIn(line, isPop3);
	return code ? <><span class="reply-code" title={t("panel.code", { code })}>{code}</span>{line.slice(code.length)}</> : <>{line}</>;
}

/* A cell more for each doubling: a note and a film look different. */
export function barShare(size: number): number {
	return Math.min(1, Math.max(0.06, Math.log2(Math.max(64, size) / 32) / 20));
}

function DataBar({ row, size, isNow }: { row: Row; size: number; isNow: boolean }) {
	const us = number(row.event, "us");
	const rate = us > 0 && size > 0 ? `${octets(Math.round(size / (us / 1e6)))}/s` : "";
	return (
		<>
			<span class={`data-bar ${isNow ? "grows" : ""}`} style={{ width: `${barShare(size) * 100}%` }} />
			<span class="bar-words">{say(row.event)}{rate && <em> {rate}</em>}</span>
		</>
	);
}

function Handshake({ row, left, right, shift, expanded }: { row: Row; left: number; right: number; shift: number; expanded: boolean }) {
	const width = right - left;
	return (
		<>
			<span class="tls-band" style={{ left: `${left}px`, width: `${width}px`, top: `${shift + 8}px` }}>
				<Icon name="lock" size={14} /><b>{t("player.tls")}</b><span class="tls-words">{say(row.event)}</span>
				<span class="tls-took">{span(row.took_us)}</span>
				<span class={`fold ${expanded ? "is-open" : ""}`}><Icon name="chevron" size={14} /></span>
			</span>
			{expanded && handshakeSteps(row.event).map((step, index) => {
				const isToRight = step.from === "client";
				return (
					<span key={index} class={`tls-step from-${step.from}`} style={{ left: `${left}px`, width: `${width}px`, top: `${shift + 50 + index * STEP_HEIGHT - 6}px` }}>
						<span class="tls-step-words">{step.sealed && <Icon name="lock" size={11} />} {step.name}{step.detail && <em> {step.detail}</em>}</span>
						<svg class="shaft" aria-hidden="true" width={width} height="24">
							<path class="line" d={isToRight ? `M0 19L${width - 1} 19` : `M${width} 19L1 19`} pathLength={1} />
							<path class="head" d={head(isToRight ? width - 1 : 1, 19, isToRight ? 1 : -1)} />
						</svg>
					</span>
				);
			})}
		</>
	);
}

function Aside({ row, layout, shift }: { row: Row; layout: Layout; shift: number }) {
	const from = xOf(layout, row.from);
	const to = xOf(layout, row.to);
	const left = Math.min(from, to);
	const width = Math.abs(to - from);
	const isToRight = to > from;
	const wordsLeft = xOf(layout, "client") + 26;
	const wordsRight = xOf(layout, "server") - 14;
	return (
		<>
			<span class="aside-words" style={{ left: `${wordsLeft}px`, width: `${wordsRight - wordsLeft}px`, top: `${shift + 5}px` }}>
				<span class={`chip tone-${row.tone}`}>{t(`lane.${row.to}`)}</span> {say(row.event)}
				{row.took_us > 0 && <em> {span(row.took_us)}</em>}
			</span>
			<svg class="shaft" aria-hidden="true" width={width} height="30" style={{ left: `${left}px`, top: `${shift}px` }}>
				<path class="line" d={isToRight ? `M0 16L${width - 1} 16` : `M${width} 16L1 16`} pathLength={1} />
				<path class="head" d={head(isToRight ? width - 1 : 1, 16, isToRight ? 1 : -1)} />
			</svg>
		</>
	);
}

/* What the folded lanes did before this row, in a line. */
function Folded({ rows, x, left }: { rows: readonly Row[]; x: number; left: number }) {
	const lanes = new Map<string, { count: number; us: number; tone: string }>();
	for (const row of rows) {
		const lane = row.shape === "side" ? row.to : "server";
		const seen = lanes.get(lane) ?? { count: 0, us: 0, tone: "plain" };
		seen.count++;
		seen.us += row.event.kind === "accept" ? 0 : row.took_us;
		if (row.tone === "bad" || (row.tone === "wait" && seen.tone !== "bad"))
			seen.tone = row.tone;
		lanes.set(lane, seen);
	}
	return (
		<span class="folded" style={{ left: `${left + 12}px`, width: `${x - left - 20}px` }}>
			{[...lanes].map(([lane, { count, us, tone }]) => (
				<span key={lane} class={`chip tone-${tone}`}>{t(`lane.${lane}`)}{count > 1 ? ` ×${count}` : ""}{us > 0 ? ` ${span(us)}` : ""}</span>
			))}
		</span>
	);
}
