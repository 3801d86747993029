// SPDX-License-Identifier: Apache-2.0
// One session as a film.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, type Info } from "../api.ts";
import { fileEvents } from "../files.ts";
import { moment, octets, span } from "../format.ts";
import { TIME_MODES } from "../ladder/layout.ts";
import type { Row } from "../ladder/model.ts";
import { handshakeSteps, say, traceWord } from "../ladder/say.ts";
import { Icon } from "../parts/icons.tsx";
import { Trouble } from "../parts/trouble.tsx";
import { Overview, Transport } from "../player/controls.tsx";
import { Ladder } from "../player/ladder.tsx";
import { Panel } from "../player/panel.tsx";
import { Player } from "../player/player.ts";
import { showSection, showSectionOf } from "../player/show.ts";
import { linkTo } from "../route.ts";
import { t } from "../text.ts";
import { number, text } from "../trace/event.ts";
import { fileOf, recordedSession, type Source } from "../trace/source.ts";

export function SessionScreen({ id, at }: { id: string; at: string; info: Info | null }) {
	const source = useMemo(() => recordedSession(id), [id]);
	return <Film source={source} at={at} isOpen={async () => (await api.session(id)).open} />;
}

export function FileScreen({ id, at }: { id: string; at: string; info: Info | null }) {
	const events = fileEvents(id);
	const source = useMemo(() => fileOf(id, events ?? []), [id]);
	if (!events)
		return <section class="trouble"><h1>{t("file.gone")}</h1><p><a href={linkTo("open")}>{t("file.again")}</a></p></section>;
	return <Film source={source} at={at} isOpen={() => Promise.resolve(false)} />;
}

interface FilmProps {
	source: Source;
	at: string;
	isOpen: () => Promise<boolean>;
	/* What stands above the ladder, as the head moves. */
	strip?: (player: Player) => ComponentChildren;
}

export function Film({ source, at, isOpen, strip }: FilmProps) {
	const [version, setVersion] = useState(0);
	const [problem, setProblem] = useState<Error | null>(null);
	const [ready, setReady] = useState(false);
	const heads = useRef(new Set<() => void>()).current;
	const player = useMemo(() => new Player(source, () => setVersion((n) => n + 1), () => heads.forEach((head) => head())), [source]);
	const [expanded, setExpanded] = useState<ReadonlyMap<number, number>>(new Map());
	const [help, setHelp] = useState(false);
	const [finding, setFinding] = useState(false);

	useEffect(() => {
		let isGone = false;
		isOpen().then((open) => isGone ? undefined : player.start(open)).then(() => {
			if (isGone)
				return;
			setReady(true);
			if (at && !player.isLive)
				player.seek(Number(at) || 0);
		}, (failure: Error) => setProblem(failure));
		return () => {
			isGone = true;
			player.end();
		};
	}, [player]);
	useEffect(() => {
		document.title = `${player.model.protocol} ${player.model.outgoing ? "→" : "←"} ${player.model.peer} · Glasspost`;
	}, [ready]);

	const expand = (row: Row) => setExpanded((now) => {
		const next = new Map(now);
		if (!next.delete(row.index))
			next.set(row.index, handshakeSteps(row.event).length);
		return next;
	});
	useKeys(player, { onHelp: () => setHelp((now) => !now), onFind: () => setFinding(true), onExpand: expand, isOff: help });

	const calm = useCalm(version);
	const headline = useMemo(() => <Headline player={player} onHelp={() => setHelp(true)} onFind={() => setFinding(true)} />, [player, player.model, player.isLive]);
	const ladder = useMemo(() => <Ladder player={player} version={version} expanded={expanded} onExpand={expand} />, [player, version, expanded]);
	const panel = useMemo(() => <Panel player={player} version={calm} />, [player, calm]);

	if (problem)
		return <Trouble problem={problem} onRetry={() => location.reload()} />;
	if (!ready)
		return <p class="loading" role="status">{t("loading")}</p>;
	return (
		<div class="film" data-session={source.id} data-rows={player.view.rows.length}>
			{headline}
			<Overview player={player} version={version} heads={heads} />
			<Transport player={player} version={version} />
			{finding && <Finder player={player} onClose={() => setFinding(false)} />}
			{strip?.(player)}
			<div class="stage">
				{ladder}
				{panel}
			</div>
			<Announcer player={player} />
			{help && <Help onClose={() => setHelp(false)} />}
		</div>
	);
}

/* Follows a number at once, but not more often than the eye can read what depends on it. */
const CALM_MS = 250;

function useCalm(version: number): number {
	const [calm, setCalm] = useState(version);
	const last_ms = useRef(0);
	useLayoutEffect(() => {
		const wait_ms = last_ms.current + CALM_MS - performance.now();
		const take = () => {
			last_ms.current = performance.now();
			setCalm(version);
		};
		if (wait_ms <= 0) {
			take();
			return;
		}
		const timer = setTimeout(take, wait_ms);
		return () => clearTimeout(timer);
	}, [version]);
	return calm;
}

/* Said aloud while somebody steps; a film that plays would drown its listener. */
function Announcer({ player }: { player: Player }) {
	const row = player.view.rows[player.place];
	return <p class="unseen" role="status" aria-live="polite">{row && !player.isPlaying ? say(row.event) : ""}</p>;
}

function Headline({ player, onHelp, onFind }: { player: Player; onHelp: () => void; onFind: () => void }) {
	const { model } = player;
	const close = model.rows.findLast((row) => row.shape === "end");
	const accepted = model.rows.filter((row) => row.event.kind === "accept");
	const save = () => {
		const lines = player.events.map((event) => JSON.stringify({ v: 1, ...event })).join("\n");
		const link = document.createElement("a");
		link.href = URL.createObjectURL(new Blob([lines, "\n"], { type: "application/x-ndjson" }));
		link.download = `session-${model.session || "film"}.jsonl`;
		link.click();
		setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
	};
	return (
		<div class="headline">
			<div class="what">
				<h1>
					<span class={`protocol ${model.protocol.split("-")[0]}`}>{model.protocol}</span>
					<span class="ends">{model.outgoing ? model.local : model.peer}{model.peer && model.local && <Icon name="arrow" size={16} />}{model.outgoing ? model.peer : model.local}</span>
				</h1>
				<p class="facts">
					<span>{moment(model.begin_wall_us / 1000)}</span>
					<span>{player.isLive ? t("session.open") : span(model.duration_us)}</span>
					{close && <span>{traceWord("reason", text(close.event, "reason"))}</span>}
					{close && text(close.event, "account") && <span>{text(close.event, "account")}</span>}
					{close && <span>{t("facts.octets", { in: octets(number(close.event, "octets_in")), out: octets(number(close.event, "octets_out")) })}</span>}
					{model.round_trip_us > 0 && <span title={t("facts.round-trip.why")}>{t("facts.round-trip", { span: span(model.round_trip_us) })}</span>}
					{!player.source.isPublic && accepted.slice(0, 3).map((row) => (
						<a key={row.index} href={linkTo("message", text(row.event, "message"))}>{t("facts.journey", { subject: text(row.event, "subject") || text(row.event, "message") })}</a>
					))}
				</p>
			</div>
			<div class="headline-tools">
				<button type="button" class="quiet" onClick={onFind} title={`${t("player.find")} (/)`} aria-label={t("player.find")}><Icon name="search" /></button>
				<button type="button" class="quiet" onClick={save} title={t("player.save")} aria-label={t("player.save")}><Icon name="save" /></button>
				<button type="button" class="quiet" onClick={onHelp} title={`${t("help")} (?)`} aria-label={t("help")}><Icon name="help" /></button>
			</div>
		</div>
	);
}

function Finder({ player, onClose }: { player: Player; onClose: () => void }) {
	const [words, setWords] = useState("");
	const [missed, setMissed] = useState(false);
	const input = useRef<HTMLInputElement>(null);
	/* Before the next key comes: who types fast would otherwise press shortcuts. */
	useLayoutEffect(() => input.current?.focus(), []);
	return (
		<form class="finder" role="search" onSubmit={(event) => {
			event.preventDefault();
			setMissed(!!words && !player.find(words, say));
		}}>
			<label><span class="unseen">{t("player.find")}</span>
				<input ref={input} type="search" value={words} placeholder={t("player.find.what")} onInput={(event) => setWords(event.currentTarget.value)}
					onKeyDown={(event) => {
						if (event.key === "Escape")
							onClose();
					}} />
			</label>
			<button type="submit">{t("player.find.next")}</button>
			<button type="button" class="quiet" onClick={onClose} aria-label={t("close")}><Icon name="close" /></button>
			{missed && <span class="said" role="status">{t("nothing", { words })}</span>}
		</form>
	);
}

const KEYS: [string, string][] = [
	["key.space", "player.playpause"], ["← →", "player.steps"], ["Shift ← →", "player.phases"], ["↑ ↓", "player.commands"],
	["Home End", "player.ends"], ["[ ]", "player.speeds"], ["t", "player.times"], ["l", "player.lanes.all"], ["n N", "player.errors"],
	["f", "player.follow"], ["Enter", "player.expand"], ["/", "player.find"], ["e", "player.explain"], ["c", "player.code"], ["p", "player.post"], ["y", "player.layers"], ["s", "player.states"], ["b", "player.bytes"], ["?", "help"],
];

function Help({ onClose }: { onClose: () => void }) {
	const dialog = useRef<HTMLDialogElement>(null);
	const title = useRef<HTMLHeadingElement>(null);
	useLayoutEffect(() => {
		dialog.current?.showModal();
		/* Else the button at the end has the focus, and the list is scrolled away. */
		title.current?.focus();
	}, []);
	return (
		<dialog ref={dialog} class="help" onClose={onClose} aria-labelledby="help-title">
			<h2 id="help-title" ref={title} tabIndex={-1}>{t("help")}</h2>
			<dl>{KEYS.map(([keys, what]) => (
				<div key={keys}><dt>{(keys.startsWith("key.") ? t(keys) : keys).split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{t(what)}</dd></div>
			))}</dl>
			<p class="hint">{t("help.time")}</p>
			<button type="button" class="main" onClick={() => dialog.current?.close()}>{t("close")}</button>
		</dialog>
	);
}

interface Wishes {
	onHelp: () => void;
	onFind: () => void;
	onExpand: (row: Row) => void;
	isOff: boolean;
}

/* Of a command, the code that answered it. */
function showCode(player: Player): void {
	const row = player.view.rows[player.place];
	const reply = row?.event.kind === "reply" ? row : player.view.rows.find((one) => one.exchange === row?.exchange && one.event.kind === "reply" && !one.more);
	if (!reply)
		return;
	player.pause();
	player.seek(player.view.placeOf[reply.index]!);
	showSectionOf(reply.index, "code");
}

function act(player: Player, event: KeyboardEvent, wishes: Wishes): boolean {
	const row = player.view.rows[player.place];
	switch (event.key) {
	case " ": player.toggle(); break;
	case "ArrowRight": player.step(1, event.shiftKey ? "phase" : player.stepBy); break;
	case "ArrowLeft": player.step(-1, event.shiftKey ? "phase" : player.stepBy); break;
	case "ArrowDown": player.step(1, "command"); break;
	case "ArrowUp": player.step(-1, "command"); break;
	case "Home": player.seek(0); break;
	case "End": player.seek(player.view.rows.length - 1); break;
	case "[": player.faster(-1); break;
	case "]": player.faster(1); break;
	case "t": player.setMode(TIME_MODES[(TIME_MODES.indexOf(player.mode) + 1) % TIME_MODES.length]!); break;
	case "l": player.setOpen(player.open.size ? new Set() : new Set(player.model.lanes)); break;
	case "n": player.toError(1); break;
	case "N": player.toError(-1); break;
	case "f": player.follow(); break;
	case "/": wishes.onFind(); break;
	case "?": wishes.onHelp(); break;
	case "e": showSection("explain"); break;
	case "p": showSection("post"); break;
	case "y": showSection("layers"); break;
	case "c": showCode(player); break;
	case "s": showSection("states"); break;
	case "b": showSection("bytes"); break;
	case "Enter":
		if (row?.shape !== "handshake")
			return false;
		wishes.onExpand(row);
		break;
	default: return false;
	}
	return true;
}

function useKeys(player: Player, wishes: Wishes): void {
	const current = useRef(wishes);
	current.current = wishes;
	/* What is seen has the keys: no first one goes astray. */
	useLayoutEffect(() => {
		const key = (event: KeyboardEvent) => {
			const target = event.target instanceof HTMLElement ? event.target : null;
			const isTyping = target?.closest("input, select, textarea, dialog") !== null && target !== null;
			const isPressing = (event.key === " " || event.key === "Enter") && target?.closest("button, a") !== null && target !== null;
			if (event.ctrlKey || event.altKey || event.metaKey || isTyping || isPressing || current.current.isOff)
				return;
			if (act(player, event, current.current))
				event.preventDefault();
		};
		addEventListener("keydown", key);
		return () => removeEventListener("keydown", key);
	}, [player]);
}
