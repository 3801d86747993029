// SPDX-License-Identifier: Apache-2.0
// A film of the guide: the same player over a kept trace, with what to look at beside it.
import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { film, myths, placesOf, stopsOf, type FilmFile, type Myth } from "../guide/guide.ts";
import { Icon } from "../parts/icons.tsx";
import { Trouble } from "../parts/trouble.tsx";
import type { Player } from "../player/player.ts";
import { linkTo } from "../route.ts";
import { t } from "../text.ts";
import type { Source } from "../trace/source.ts";
import { Film } from "./session.tsx";

/* `at`: which session, from 1, and which of its stops: "2" or "2-3". */
export function GuideFilmScreen({ id, at }: { id: string; at: string }) {
	const [found, setFound] = useState<{ myth: Myth; file: FilmFile } | null>(null);
	const [problem, setProblem] = useState<Error | null>(null);
	useEffect(() => {
		myths().then(async (all) => {
			const myth = all.find((one) => one.id === id);
			if (!myth)
				throw new Error(t("guide.unknown"));
			setFound({ myth, file: await film(myth.film) });
		}).catch(setProblem);
	}, [id]);
	if (problem)
		return <Trouble problem={problem} onRetry={() => location.reload()} />;
	if (!found)
		return <p class="loading" role="status">{t("loading")}</p>;
	const [session = 1, stop = 0] = at.split("-").map((one) => Number(one) || 1);
	const number = Math.min(found.file.sessions.length, Math.max(1, session));
	return <OneFilm key={number} myth={found.myth} file={found.file} number={number} stop={stop} />;
}

function sourceOf(name: string, file: FilmFile, number: number): Source {
	const { events } = file.sessions[number - 1]!;
	return {
		id: `film:${name}/${number}`, load: () => Promise.resolve([...events]), isPublic: true,
		letter: async (message) => {
			const letter = file.letters[message];
			if (letter === undefined)
				throw new Error(message);
			return letter;
		},
	};
}

function OneFilm({ myth, file, number, stop }: { myth: Myth; file: FilmFile; number: number; stop: number }) {
	const source = useMemo(() => sourceOf(myth.film, file, number), [myth, number]);
	return (
		<Film source={source} at="" isOpen={() => Promise.resolve(false)}
			strip={(player) => <Strip player={player} myth={myth} file={file} number={number} stop={stop} />} />
	);
}

/* What to look at, in the order of the film; the last that the head has passed is the current one. */
function Strip({ player, myth, file, number, stop }: { player: Player; myth: Myth; file: FilmFile; number: number; stop: number }) {
	const stops = stopsOf(myth, number);
	const rows = useMemo(() => placesOf(player.model.rows, stops), [player.model]);
	const place = (index: number) => player.view.placeOf[rows[index]!] ?? 0;
	const seek = (index: number) => {
		const row = player.model.rows[rows[index]!];
		if (!row)
			return;
		player.pause();
		/* What happened behind the server is folded away else. */
		if (row.shape === "side" && row.to !== "client" && row.to !== "server")
			player.setOpen(new Set([...player.open, row.to]));
		player.seek(place(index));
	};
	/* Before the film is seen: whoever steps at once would be taken back. */
	useLayoutEffect(() => {
		if (stop > 0)
			seek(stop - 1);
	}, [stop]);
	const current = stops.findLastIndex((_, index) => rows[index]! >= 0 && place(index) <= player.place);
	return (
		<section class="film-guide" aria-label={t("guide")}>
			<div class="film-guide-head">
				<a href={linkTo("guide", myth.id)}><Icon name="back" size={14} />{myth.title}</a>
				{file.sessions.length > 1 && (
					<nav class="film-sessions" aria-label={t("guide.sessions")}>
						{file.sessions.map((one, index) => (
							<a key={one.id} href={linkTo("film", myth.id, String(index + 1))} aria-current={index + 1 === number ? "true" : undefined}>{index + 1}. {myth.sessions?.[index] ?? ""}</a>
						))}
					</nav>
				)}
			</div>
			<ol class="stops">
				{stops.map((one, index) => (
					<li key={index}><button type="button" aria-pressed={index === current} onClick={() => seek(index)}><span class="stop-number">{index + 1}</span><span class="unseen">{one.says}</span></button></li>
				))}
			</ol>
			<p class="stop-now" role="status">{current >= 0 && <><span class="stop-number">{current + 1}</span>{stops[current]!.says}</>}</p>
		</section>
	);
}
