// SPDX-License-Identifier: Apache-2.0
// One message: where it has been, how long each part took, what each hop wrote on it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, ApiError, follow, type Info, type MessageDetail } from "../api.ts";
import { clock, moment, octets, span as spanWords } from "../format.ts";
import { axisOf, ticksOf, xOf, type Axis } from "../journey/layout.ts";
import { journeyOf, type Journey, type Span, type Track } from "../journey/model.ts";
import { Ways } from "../parts/ways.tsx";
import { waysOf } from "../journey/ways.ts";
import { traceWord } from "../ladder/say.ts";
import { HeaderView } from "../parts/header.tsx";
import { Icon, Mark } from "../parts/icons.tsx";
import { Post } from "../parts/post.tsx";
import { Trouble } from "../parts/trouble.tsx";
import { codesIn } from "../parse/code.ts";
import { headerOf } from "../parse/received.ts";
import { linkTo } from "../route.ts";
import { has, t } from "../text.ts";
import { text, type TraceEvent } from "../trace/event.ts";
import { Gathering } from "../trace/source.ts";

export function JourneyScreen({ id }: { id: string; at: string; info: Info | null }) {
	const [detail, setDetail] = useState<MessageDetail | null>(null);
	const [events, setEvents] = useState<readonly TraceEvent[]>([]);
	const [header, setHeader] = useState<string | null>(null);
	const [problem, setProblem] = useState<Error | null>(null);
	const gathering = useRef(new Gathering());
	useEffect(() => {
		let isGone = false;
		let isShown = false;
		const take = (more: readonly TraceEvent[]) => {
			if (gathering.current.add(more))
				setEvents([...gathering.current.events]);
		};
		const ask = () => Promise.all([api.message(id), api.messageEvents(id)]).then(([found, told]) => {
			if (isGone)
				return;
			isShown = true;
			setDetail(found);
			take(told);
		}, (failure: Error) => isGone || isShown || setProblem(failure));
		/* An attempt under way shows when it is reported; what led to it is asked for then. */
		let timer = 0;
		const askSoon = () => {
			timer ||= window.setTimeout(() => {
				timer = 0;
				void ask();
			}, 300);
		};
		const stop = follow(null, (event) => {
			if (text(event, "message") === id || text(event, "about") === id)
				askSoon();
		}, askSoon);
		void ask();
		/* Who may not read the text has the journey all the same. */
		api.messageHeader(id).then((found) => isGone || setHeader(found), (failure: Error) => {
			if (!(failure instanceof ApiError))
				setProblem(failure);
		});
		return () => {
			isGone = true;
			clearTimeout(timer);
			stop();
		};
	}, [id]);
	useEffect(() => {
		document.title = `${detail?.subject || t("journey")} · Glasspost`;
	}, [detail]);
	const journey = useMemo(() => detail ? journeyOf(events, id, detail.recipients, Date.now() * 1000) : null, [detail, events]);
	const ways = useMemo(() => waysOf(events, id), [events, id]);
	if (problem)
		return <Trouble problem={problem} onRetry={() => location.reload()} />;
	if (!detail || !journey)
		return <p class="loading" role="status">{t("loading")}</p>;
	return (
		<div class="journey">
			<div class="headline">
				<div class="what">
					<h1 class="letter">{detail.subject || <i>{t("no-subject")}</i>}</h1>
					<p class="facts">
						<span>{moment(detail.time)}</span>
						<span>{octets(detail.octets)}</span>
						<span>{spanWords(journey.end_us - journey.begin_us)}</span>
						{header !== null && <a href={`api/v1/messages/${encodeURIComponent(id)}/raw`} download={`${id}.eml`}>{t("journey.raw")}</a>}
					</p>
				</div>
			</div>
			<EnvelopeAndLetter detail={detail} header={header} />
			<JourneyView journey={journey} />
			<Ways ways={ways} />
			{header !== null && <HeaderView header={headerOf(header)} />}
		</div>
	);
}

/* The envelope is not the letter: what SMTP was told, apart from what the message says. */
function EnvelopeAndLetter({ detail, header }: { detail: MessageDetail; header: string | null }) {
	const [whole, setWhole] = useState<string | null>(null);
	const open = async () => setWhole(await api.messageStart(detail.message));
	return (
		<section class="envelope" aria-label={t("panel.post")}>
			<Post letter={whole ?? header} whole={whole !== null} subject={detail.subject} size={detail.octets} onOpen={header === null ? undefined : open}
				envelope={{
					sender: detail.sender, wishes: [], account: "", peer: detail.peer, time_us: Date.parse(detail.time) * 1000,
					recipients: detail.recipients.map((one) => ({
						address: one.recipient, tone: toneOf(one.state), label: traceWord("state", one.state),
						words: [one.forwarded_for && t("journey.forwarded", { for: one.forwarded_for }), traceWord("state", one.outcome || one.state), one.next && t("next", { time: moment(one.next) })].filter(Boolean).join(", "),
					})),
				}} />
		</section>
	);
}

function toneOf(state: string): string {
	return state === "delivered" || state === "relayed" ? "good" : state === "failed" || state === "expired" ? "bad" : "wait";
}

export function JourneyView({ journey }: { journey: Journey }) {
	const axis = useMemo(() => axisOf(journey), [journey]);
	const tracks = journey.shared.spans.length ? [journey.shared, ...journey.tracks] : journey.tracks;
	const steps = tracks.flatMap((track, index) => track.spans.map((span, place) => ({ span, track, key: `${index}/${place}` })))
		.sort((a, b) => a.span.from_us - b.span.from_us);
	return (
		<section class="way" aria-label={t("journey")}>
			{journey.slowest && (
				<p class="slowest"><b>{t("journey.slowest")}</b> {t(`stage.${journey.slowest.span.stage}`)}{journey.slowest.span.attempt > 0 ? ` ${journey.slowest.span.attempt}` : ""}
					{" · "}{spanWords(journey.slowest.span.to_us - journey.slowest.span.from_us)}
					{" · "}{Math.round(journey.slowest.share * 100)}{"\u00a0%"}
					{journey.slowest.track.name && <span class="slowest-who"> · {journey.slowest.track.name}</span>}
				</p>
			)}
			<div class="chart">
				<Ruler axis={axis} />
				{tracks.map((track, index) => <TrackView key={index} track={track} axis={axis} slowest={journey.slowest?.span ?? null} isShared={track === journey.shared} />)}
			</div>
			<ol class="steps">
				{steps.map(({ span, track, key }) => <Step key={key} span={span} track={track} isSlowest={journey.slowest?.span === span} />)}
			</ol>
		</section>
	);
}

/* Clocks tell seconds: what is shorter than a few of them is told from its beginning. */
const SHORT_US = 60_000_000;

function Ruler({ axis }: { axis: Axis }) {
	const ticks = ticksOf(axis, matchMedia("(max-width: 760px)").matches ? 0.3 : 0.13);
	const isShort = ticks.length > 1 && ticks.at(-1)!.at_us - ticks[0]!.at_us < SHORT_US;
	return (
		<div class="ruler" aria-hidden="true">
			<div class="track-name" />
			<div class="lane-of">
				{axis.pieces.filter((piece) => piece.squeezed).map((piece) => (
					<span key={piece.x} class="squeezed" style={{ left: `${piece.x * 100}%`, width: `${piece.width * 100}%` }}><span>⋯ {spanWords(piece.to_us - piece.from_us)} ⋯</span></span>
				))}
				{ticks.map((tick, index) => <span key={tick.x} class={`tick ${tick.x > 0.9 ? "is-last" : ""}`} style={{ left: `${tick.x * 100}%` }}>{isShort && index ? `+${spanWords(tick.at_us - ticks[0]!.at_us)}` : clock(tick.at_us / 1000)}</span>)}
			</div>
		</div>
	);
}

function describe(span: Span): string {
	return [`${t(`stage.${span.stage}`)}${span.attempt > 0 ? ` ${span.attempt}` : ""}`, spanWords(span.to_us - span.from_us), span.where, span.why,
		span.next_us > 0 ? t("next", { time: moment(span.next_us / 1000) }) : ""].filter(Boolean).join(" · ");
}

/* Each attempt opens its film, a report its own journey. */
function linkOf(span: Span): { href: string; words: string } | null {
	if (span.message)
		return { href: linkTo("message", span.message), words: t("journey") };
	return span.session ? { href: linkTo("session", span.session), words: t("journey.film") } : null;
}

function TrackView({ track, axis, slowest, isShared }: { track: Track; axis: Axis; slowest: Span | null; isShared: boolean }) {
	return (
		<div class="track">
			<div class="track-name">{isShared ? t("journey.shared") : track.spans[0]?.stage === "notice" ? t("journey.report", { recipient: track.name }) : track.name}{track.via && <span class="track-state">{t("journey.forwarded", { for: track.via })}</span>}{track.state && <span class="track-state">{traceWord("state", track.state)}</span>}</div>
			<div class="lane-of">
				{track.spans.map((span, index) => {
					const left = xOf(axis, span.from_us);
					const width = xOf(axis, span.to_us) - left;
					const classes = `span stage-${span.stage} tone-${span.tone} ${span === slowest ? "is-slowest" : ""} ${span.skewed ? "is-skewed" : ""}`;
					const place = { left: `${left * 100}%`, width: `max(6px, ${width * 100}%)` };
					const words = <span class="span-words">{span.stage === "attempt" ? <>{span.attempt}<Icon name={span.tone === "good" ? "check" : span.tone === "bad" ? "cross" : "wait"} size={12} /></> : span.stage === "fetch" ? <Icon name="pull" size={12} /> : t(has(`stage.${span.stage}.short`) ? `stage.${span.stage}.short` : `stage.${span.stage}`)}</span>;
					const link = linkOf(span);
					return link
						? <a key={index} class={classes} style={place} href={link.href} title={describe(span)} aria-label={`${describe(span)}. ${link.words}`}>{words}</a>
						: <span key={index} class={classes} style={place} title={describe(span)} role="img" aria-label={describe(span)}>{words}</span>;
				})}
			</div>
		</div>
	);
}

/* What another server said: its code leads to what it means. */
function Why({ words }: { words: string }) {
	const { code } = codesIn(words, false);
	return <code>{code && <a class="reply-code" href={linkTo("guide", "codes", code)} title={t("panel.code", { code })}>{code}</a>}{words.slice(code.length)}</code>;
}

/* Pushed to the next, or pulled by its reader. */
const HANDED: Partial<Record<Span["stage"], string>> = { submit: "push", attempt: "push", fetch: "pull" };

function Step({ span, track, isSlowest }: { span: Span; track: Track; isSlowest: boolean }) {
	const link = linkOf(span);
	return (
		<li class={isSlowest ? "is-slowest" : ""}>
			<time>{clock(span.from_us / 1000)}</time>
			<Mark tone={span.tone} label={t(`tone.${span.tone}`)} />
			<div class="step-words">
				{HANDED[span.stage] && span.tone !== "bad" && <Icon name={HANDED[span.stage]!} size={14} />}
				<b>{t(`stage.${span.stage}`)}{span.attempt > 0 ? ` ${span.attempt}` : ""}</b>
				{track.name && <span class="step-who"> {track.name}</span>}
				{span.where && <span class="step-where"> · {span.where}</span>}
				{span.why && <span class="step-why"><Why words={span.why} /></span>}
				{span.skewed && <span class="step-why">{t("journey.skewed")}</span>}
				{span.next_us > 0 && span.stage === "attempt" && <span class="step-next">{t("next", { time: moment(span.next_us / 1000) })}</span>}
			</div>
			<span class="step-took">{span.to_us === span.from_us ? "" : spanWords(span.to_us - span.from_us)}</span>
			<span class="step-film">{link && <a href={link.href}>{link.words}</a>}</span>
		</li>
	);
}
