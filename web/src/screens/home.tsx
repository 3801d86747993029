// SPDX-License-Identifier: Apache-2.0
// The three lists: sessions, messages, queue. What happens while one looks is there within a moment.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, follow, type Info, type MessageRow, type QueueRow } from "../api.ts";
import { clock, day, moment, octets, span } from "../format.ts";
import { matches, messagesAfter, messagesJoined, sessionsAfter, sessionsJoined, type LiveSession } from "../lists.ts";
import { own } from "../own.ts";
import { Icon, Mark } from "../parts/icons.tsx";
import { QueueActions } from "../parts/queue_actions.tsx";
import { Trouble } from "../parts/trouble.tsx";
import { linkTo } from "../route.ts";
import { t } from "../text.ts";
import type { TraceEvent } from "../trace/event.ts";

/* How many rows are drawn before somebody asks for more. */
const PAGE = 100;
const QUEUE_KINDS = new Set(["queued", "claimed", "attempt", "queue_change", "notice"]);
/* What several recipients of a message add up to, only the server knows. */
const MESSAGE_KINDS = new Set(["accept", "deliver", "attempt", "queue_change"]);
const MESSAGES_EVERY_MS = 2000;
const LOST_MS = 500;

interface Lists {
	sessions: LiveSession[];
	messages: MessageRow[];
	queue: QueueRow[];
}

function useLists(): { lists: Lists | null; problem: Error | null; lost: number; connected: boolean; ask: () => void } {
	const [lists, setLists] = useState<Lists | null>(null);
	const [problem, setProblem] = useState<Error | null>(null);
	const [lost, setLost] = useState(0);
	const [connected, setConnected] = useState(true);
	const now = useRef<Lists>({ sessions: [], messages: [], queue: [] });
	const asked = useRef(false);
	const draw = useRef(0);

	const show = () => {
		if (!draw.current && asked.current)
			draw.current = requestAnimationFrame(() => {
				draw.current = 0;
				setLists({ ...now.current });
			});
	};
	const askQueue = () => api.queue().then((queue) => {
		now.current.queue = queue;
		show();
	}, () => {});
	const askMessages = () => api.messages().then((messages) => {
		now.current.messages = messagesJoined(messages, now.current.messages);
		show();
	}, () => {});
	const ask = () => Promise.all([api.sessions(), api.messages(), api.queue().catch(() => [])]).then(([sessions, messages, queue]) => {
		now.current = {
			sessions: sessionsJoined(sessions, now.current.sessions),
			messages: messagesJoined(messages, now.current.messages),
			queue,
		};
		asked.current = true;
		setProblem(null);
		show();
	}, (failure: Error) => {
		/* What is shown already stays: the lists are asked for again when the live events go on. */
		if (!asked.current)
			setProblem(failure);
	});

	useEffect(() => {
		let queueTimer = 0;
		let messagesTimer = 0;
		let lostTimer = 0;
		const on = (event: TraceEvent) => {
			now.current.sessions = sessionsAfter(now.current.sessions, event);
			now.current.messages = messagesAfter(now.current.messages, event);
			if (QUEUE_KINDS.has(event.kind) && !queueTimer)
				queueTimer = window.setTimeout(() => {
					queueTimer = 0;
					void askQueue();
				}, 500);
			if (MESSAGE_KINDS.has(event.kind) && !messagesTimer)
				messagesTimer = window.setTimeout(() => {
					messagesTimer = 0;
					void askMessages();
				}, MESSAGES_EVERY_MS);
			show();
		};
		const stop = follow(null, on, (events) => {
			setLost((n) => n + events);
			lostTimer ||= window.setTimeout(() => {
				lostTimer = 0;
				void ask();
			}, LOST_MS);
		}, setConnected);
		void ask();
		return () => {
			stop();
			clearTimeout(queueTimer);
			clearTimeout(messagesTimer);
			clearTimeout(lostTimer);
			cancelAnimationFrame(draw.current);
		};
	}, []);
	return { lists, problem, lost, connected, ask: () => void ask() };
}

export function Home({ tab, info }: { tab: string; info: Info | null }) {
	const { lists, problem, lost, connected, ask } = useLists();
	const [words, setWords] = useState("");
	const search = useRef<HTMLInputElement>(null);
	const [count, setCount] = useState(PAGE);
	const known = tab === "messages" || tab === "queue" ? tab : "sessions";
	/* Before the list is seen: else the first letters of a quick search go astray. */
	useLayoutEffect(() => {
		setWords("");
		setCount(PAGE);
		document.title = `${t(`nav.${known}`)} · Glasspost`;
	}, [tab]);
	useLayoutEffect(() => {
		const key = (event: KeyboardEvent) => {
			if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
				event.preventDefault();
				search.current?.focus();
			}
		};
		addEventListener("keydown", key);
		return () => removeEventListener("keydown", key);
	}, []);
	if (problem)
		return <Trouble problem={problem} onRetry={ask} />;
	if (!lists)
		return <p class="loading" role="status">{t("loading")}</p>;
	const all: readonly unknown[] = lists[known];
	return (
		<div class="home">
			<div class="list-head">
				<h1>{t(`nav.${known}`)}</h1>
				<span class="count">{all.length}</span>
				<span class={`live ${connected ? "" : "broken"}`} role="status">
					<Icon name="dot" size={14} />{connected ? t("live") : t("live.broken")}
				</span>
				<label class="filter">
					<Icon name="search" size={16} />
					<span class="unseen">{t("filter")}</span>
					<input ref={search} type="search" placeholder={t(`filter.${known}`)} value={words}
						onInput={(event) => setWords(event.currentTarget.value)} />
				</label>
			</div>
			{lost > 0 && <p class="notice" role="status">{t("lost", { n: lost })}</p>}
			{!all.length ? <Empty tab={known} info={info} />
				: known === "sessions" ? <Sessions rows={lists.sessions} words={words} count={count} />
				: known === "messages" ? <Messages rows={lists.messages} words={words} count={count} />
				: <Queue rows={lists.queue} words={words} count={count} />}
			{all.length > count && !words && (
				<p class="more"><button type="button" onClick={() => setCount(count + PAGE)}>{t("more", { n: all.length - count })}</button></p>
			)}
		</div>
	);
}

function portOf(info: Info | null, protocol: string): string | null {
	return info?.listeners.find((one) => one.protocol === protocol)?.address ?? null;
}

function Empty({ tab, info }: { tab: string; info: Info | null }) {
	const address = portOf(info, "smtp") ?? "127.0.0.1:1025";
	/* Each service once, as one would type it; sockets of this machine are for programs. */
	const shown = info?.listeners.filter((one, index, all) => one.protocol !== "http" && !one.address.startsWith("unix:") &&
		all.findIndex((other) => other.name === one.name) === index) ?? [];
	const swaks = `swaks --server ${address} --to anna@example.org --header 'Subject: hello'`;
	return (
		<section class="empty">
			<h2>{t(`empty.${tab}`)}</h2>
			<p>{t(`empty.${tab}.what`)}</p>
			{tab !== "queue" && <Copied line={swaks} />}
			{shown.length > 0 && (
				<dl class="listeners">
					{shown.map((one) => <div key={one.name + one.address}><dt>{one.name}</dt><dd><code>{one.address}</code></dd></div>)}
				</dl>
			)}
		</section>
	);
}

function Copied({ line }: { line: string }) {
	const [done, setDone] = useState(false);
	const copy = () => navigator.clipboard?.writeText(line).then(() => setDone(true), () => {});
	return (
		<div class="copied">
			<code>{line}</code>
			<button type="button" onClick={() => void copy()}>{done ? t("copied") : t("copy")}</button>
		</div>
	);
}

function Nothing({ words }: { words: string }) {
	return <p class="nothing" role="status">{t("nothing", { words })}</p>;
}

function Day({ time, before }: { time: string; before: string | undefined }) {
	const own = day(time);
	return own === (before === undefined ? "" : day(before)) ? null : <h2 class="day">{own}</h2>;
}

function toneOfSession(row: LiveSession): string {
	if (row.open)
		return "open";
	if (["quit", "done"].includes(row.reason))
		return row.errors ? "wait" : "good";
	return row.messages ? "wait" : "bad";
}

function Sessions({ rows, words, count }: { rows: LiveSession[]; words: string; count: number }) {
	const found = words ? rows.filter((row) => matches(words, row.session, row.protocol, row.peer, row.account, row.reason,
		row.open ? t("session.open") : "")) : rows;
	if (!found.length)
		return <Nothing words={words} />;
	return (
		<div class="list sessions" role="list">
			{found.slice(0, count).map((row, index) => (
				<div role="listitem" key={row.session}>
					<Day time={row.start} before={found[index - 1]?.start} />
					<a class={`item ${row.open ? "is-open" : ""}`} href={linkTo("session", row.session)}>
						<time class="when" dateTime={row.start}>{clock(row.start)}</time>
						{row.open ? <span class="pulse" role="img" aria-label={t("session.open")} title={t("session.open")} />
							: <Mark tone={toneOfSession(row)} label={t(`session.${toneOfSession(row)}`)} />}
						<span class={`protocol ${row.protocol.split("-")[0]}`}>{row.protocol}</span>
						<span class="who">
							<span class="peer">{row.peer}</span>
							{row.account && <span class="account">{row.account}</span>}
						</span>
						{row.open && row.line ? <code class={`now ${row.isFromClient ? "client" : "server"}`}>{row.line}</code> : <Counts row={row} />}
						<span class="took">{row.open ? t("session.open") : span(row.ms * 1000)}</span>
					</a>
				</div>
			))}
		</div>
	);
}

function Counts({ row }: { row: LiveSession }) {
	const said = [
		row.messages ? t(row.protocol.startsWith("pop3") ? "count.fetched" : "count.messages", { n: row.messages }) : "",
		t("count.commands", { n: row.commands }),
		row.errors ? t("count.errors", { n: row.errors }) : "",
		row.reason && row.reason !== "quit" && row.reason !== "done" ? reasonOf(row.reason) : "",
	].filter(Boolean);
	return <span class="counts">{said.join(" · ")}</span>;
}

/* Reasons are words of the trace; what has no translation is shown as it is. */
function reasonOf(reason: string): string {
	const key = `reason.${reason}`;
	const found = t(key);
	return found === key ? reason : found;
}

const TONE_OF_STATE: Record<string, string> = { delivered: "good", relayed: "good", queued: "plain", deferred: "wait", held: "wait", failed: "bad", mixed: "wait" };

function stateWord(state: string): string {
	const key = `state.${state}`;
	const found = t(key);
	return found === key ? state : found;
}

function Messages({ rows, words, count }: { rows: MessageRow[]; words: string; count: number }) {
	const found = words ? rows.filter((row) => matches(words, row.message, row.sender, row.subject, row.peer, row.state, ...row.recipients)) : rows;
	if (!found.length)
		return <Nothing words={words} />;
	return (
		<div class="list messages" role="list">
			{found.slice(0, count).map((row, index) => (
				<div role="listitem" key={row.message}>
					<Day time={row.time} before={found[index - 1]?.time} />
					<a class="item" href={linkTo("message", row.message)}>
						<time class="when" dateTime={row.time}>{clock(row.time)}</time>
						<Mark tone={own(TONE_OF_STATE, row.state) ?? "plain"} label={stateWord(row.state)} />
						<span class="subject">{row.subject || <i>{t("no-subject")}</i>}</span>
						<span class="who">
							<span class="sender">{row.sender || t("null-sender")}</span>
							<Icon name="arrow" size={13} />
							<span class="recipients">{row.recipients.slice(0, 3).join(", ")}{row.recipients.length + row.more > 3 ? ` +${row.recipients.length + row.more - 3}` : ""}</span>
						</span>
						<Cell name="state">{stateWord(row.state)}</Cell>
						<span class="took">{row.octets ? octets(row.octets) : ""}</span>
					</a>
				</div>
			))}
		</div>
	);
}

function Cell({ name, children }: { name: string; children: ComponentChildren }) {
	return <span class={name}>{children}</span>;
}

function word(row: QueueRow, ...names: string[]): string {
	for (const name of names) {
		const value = row[name];
		if (typeof value === "string" && value)
			return value;
		if (typeof value === "number")
			return String(value);
	}
	return "";
}

function Queue({ rows, words, count }: { rows: QueueRow[]; words: string; count: number }) {
	const found = words ? rows.filter((row) => matches(words, ...Object.values(row).map(String))) : rows;
	const [said, setSaid] = useState("");
	if (!found.length)
		return <Nothing words={words} />;
	return (
		<>
		<p class="queue-said" role="status">{said}</p>
		<div class="list queue" role="list">
			{found.slice(0, count).map((row) => {
				const state = word(row, "state") || "queued";
				const next = word(row, "next");
				return (
					<div role="listitem" class="queue-row" key={word(row, "message") + word(row, "recipient", "address")}>
						<a class="item" href={linkTo("message", word(row, "message"))}>
							<Mark tone={own(TONE_OF_STATE, state) ?? (word(row, "reply") ? "wait" : "plain")} label={stateWord(state)} />
							<span class="who">
								<span class="sender">{word(row, "sender") || t("null-sender")}</span>
								<Icon name="arrow" size={13} />
								<span class="recipients">{word(row, "recipient", "address")}</span>
							</span>
							<span class="reply">{[Number(word(row, "code")) || "", word(row, "enhanced"), word(row, "reply")].filter(Boolean).join(" ") || stateWord(state)}</span>
							<span class="attempts">{t("attempts", { n: Number(word(row, "attempts")) || 0 })}</span>
							<span class="took">{state === "held" ? stateWord(state) : next ? t("next", { time: moment(next) }) : ""}</span>
						</a>
						<QueueActions message={word(row, "message")} recipient={word(row, "recipient", "address")} state={state} onSaid={setSaid} />
					</div>
				);
			})}
		</div>
		</>
	);
}
