// SPDX-License-Identifier: Apache-2.0
// The guide: what is often said of mail, what is so, and a film that shows it.
import { useEffect, useMemo, useState } from "preact/hooks";
import { wording } from "../explain.ts";
import { film, myths, stopsOf, type FilmFile, type Myth } from "../guide/guide.ts";
import { modelOf, type Row } from "../ladder/model.ts";
import { waysOf } from "../journey/ways.ts";
import { Icon } from "../parts/icons.tsx";
import { Sections } from "../parts/sections.tsx";
import { Trouble } from "../parts/trouble.tsx";
import { Ways } from "../parts/ways.tsx";
import { linkTo } from "../route.ts";
import { t } from "../text.ts";
import { text } from "../trace/event.ts";
import { CodesScreen, DepthChoice, useDepth } from "./codes.tsx";

export function GuideScreen({ id, at }: { id: string; at: string; info: unknown }) {
	if (id === "codes")
		return <CodesScreen chosen={at} />;
	return <Pages id={id} />;
}

function Pages({ id }: { id: string }) {
	const [all, setAll] = useState<Myth[] | null>(null);
	const [problem, setProblem] = useState<Error | null>(null);
	useEffect(() => void myths().then(setAll, setProblem), []);
	if (problem)
		return <Trouble problem={problem} onRetry={() => location.reload()} />;
	if (!all)
		return <p class="loading" role="status">{t("loading")}</p>;
	const place = all.findIndex((one) => one.id === id);
	return place < 0 ? <Index all={all} /> : <Page all={all} place={place} />;
}

function Index({ all }: { all: Myth[] }) {
	useEffect(() => {
		document.title = `${t("guide")} · Glasspost`;
	}, []);
	return (
		<div class="guide">
			<header class="guide-head">
				<h1>{t("guide.title")}</h1>
				<p class="lead">{t("guide.what")}</p>
			</header>
			<ol class="myths">
				{all.map((myth) => (
					<li key={myth.id}>
						<a class="myth" href={linkTo("guide", myth.id)}>
							<span class="myth-claim"><q>{myth.claim}</q></span>
							<span class="myth-title">{myth.title}<Icon name="arrow" size={16} /></span>
						</a>
					</li>
				))}
			</ol>
			<section class="reference" aria-labelledby="guide-reference">
				<h2 id="guide-reference">{t("guide.reference")}</h2>
				<a class="card" href={linkTo("guide", "codes", "250")}>
					<span class="card-figures" aria-hidden="true"><b class="tone-good">250</b><b class="tone-wait">451</b><b class="tone-bad">550</b></span>
					<span><b>{t("codes.title")}</b><span class="card-says">{t("guide.codes")}</span></span>
				</a>
			</section>
		</div>
	);
}

function Page({ all, place }: { all: Myth[]; place: number }) {
	const myth = all[place]!;
	const [depth, setDepth] = useDepth();
	const [file, setFile] = useState<FilmFile | null>(null);
	const [problem, setProblem] = useState<Error | null>(null);
	useEffect(() => {
		document.title = `${myth.title} · Glasspost`;
		let isGone = false;
		film(myth.film).then((found) => isGone || setFile(found), setProblem);
		return () => {
			isGone = true;
		};
	}, [myth]);
	const before = all[place - 1];
	const after = all[place + 1];
	return (
		<article class="guide guide-page">
			<nav class="crumbs" aria-label={t("guide")}><a href={linkTo("guide")}><Icon name="back" size={14} />{t("guide")}</a></nav>
			<div class="page-both">
				<div class="page-words">
					<p class="said-label">{t("guide.said")}</p>
					<blockquote class="said-claim">{myth.claim}</blockquote>
					<p class="said-label is-so">{t("guide.so")}</p>
					<h1>{myth.title}</h1>
					<DepthChoice depth={depth} onDepth={setDepth} />
					<p class="prose">{wording(myth, depth)}</p>
					<Sections rfc={myth.rfc} />
				</div>
				<section class="page-film" aria-labelledby="page-film">
					<h2 id="page-film" class="unseen">{t("guide.film")}</h2>
					{problem ? <p class="said">{problem.message}</p> : !file ? <p class="loading" role="status">{t("loading")}</p>
						: file.sessions.map((one, index) => <Preview key={one.id} myth={myth} file={file} number={index + 1} />)}
				</section>
			</div>
			{myth.ways && file && <Ways ways={file.events.filter((event) => event.kind === "accept").flatMap((event) => waysOf(file.events, text(event, "message")))}
				filmOf={(session) => linkTo("film", myth.id, String(file.sessions.findIndex((one) => one.id === session) + 1))} />}
			<nav class="neighbours" aria-label={t("guide.neighbours")}>
				{before ? <a href={linkTo("guide", before.id)}><Icon name="back" size={16} /><span>{before.title}</span></a> : <span />}
				{after && <a href={linkTo("guide", after.id)}><span>{after.title}</span><Icon name="forward" size={16} /></a>}
			</nav>
		</article>
	);
}

/* A session in small, what to look at in it, and the way into the player. */
function Preview({ myth, file, number }: { myth: Myth; file: FilmFile; number: number }) {
	const model = useMemo(() => modelOf(file.sessions[number - 1]!.events), [file, number]);
	const name = file.sessions.length > 1 ? `${number}. ${myth.sessions?.[number - 1] ?? ""}` : "";
	return (
		<div class="preview">
			<a class="preview-play" href={linkTo("film", myth.id, String(number))}>
				<Small rows={model.rows} />
				<span class="preview-button"><Icon name="play" size={20} />{t("guide.play")}{name && <span class="unseen"> {name}</span>}</span>
			</a>
			{name && <h3>{name}</h3>}
			<ol class="stops">
				{stopsOf(myth, number).map((stop, index) => (
					<li key={index}><a href={linkTo("film", myth.id, `${number}-${index + 1}`)}><span class="stop-number">{index + 1}</span><span>{stop.says}</span></a></li>
				))}
			</ol>
		</div>
	);
}

const SMALL_ROWS = 20;

/* The ladder as one sees it from afar. */
function Small({ rows }: { rows: readonly Row[] }) {
	const shown = rows.filter((row) => ["arrow", "bar", "handshake"].includes(row.shape) && !row.continues).slice(0, SMALL_ROWS);
	const height = 16 + shown.length * 11;
	return (
		<svg class="small-ladder" viewBox={`0 0 240 ${height}`} aria-hidden="true">
			<path class="life from-client" d={`M20 4V${height - 4}`} /><path class="life from-server" d={`M220 4V${height - 4}`} />
			{shown.map((row, index) => {
				const y = 12 + index * 11;
				const isToRight = row.from === "client";
				if (row.shape === "handshake")
					return <rect key={row.index} class="small-tls" x="20" y={y - 4} width="200" height="8" />;
				return (
					<g key={row.index} class={`from-${row.from} tone-${row.tone}`}>
						{row.shape === "bar" && <rect class="small-bar" x={isToRight ? 40 : 130} y={y - 3.5} width="70" height="5" rx="2" />}
						<path class="small-line" d={isToRight ? `M20 ${y}L218 ${y + 3}` : `M220 ${y}L22 ${y + 3}`} />
						<path class="small-line" d={isToRight ? `M213 ${y - 0.4}l5 3.4-5.4 2.6` : `M27 ${y - 0.4}l-5 3.4 5.4 2.6`} />
						{row.tone === "bad" && <path class="small-bad" d={`M116 ${y - 2}l7 7M123 ${y - 2}l-7 7`} />}
					</g>
				);
			})}
		</svg>
	);
}
