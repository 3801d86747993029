// SPDX-License-Identifier: Apache-2.0
// Pushed and pulled, told by direction and shape: one rail, or a rail that somebody asked for.
import { Icon } from "./icons.tsx";
import { linkTo } from "../route.ts";
import { t } from "../text.ts";
import type { Way } from "../journey/ways.ts";

const NAMES: Record<string, string> = { smtp: "SMTP", submission: "SMTP (submission)", submissions: "SMTP (submission)", lmtp: "LMTP", "smtp-out": "SMTP", "lmtp-out": "LMTP", pop3: "POP3", pop3s: "POP3" };

function nameOf(protocol: string): string {
	return Object.hasOwn(NAMES, protocol) ? NAMES[protocol]! : protocol;
}

/* Who stands at each end, in a word. */
function endsOf(way: Way): [string, string] {
	if (way.kind === "pull")
		return ["ways.mailbox", "ways.reader"];
	if (way.kind === "inside")
		return ["lane.server.ours", "ways.mailbox"];
	return way.protocol.endsWith("-out") ? ["lane.server.ours", "ways.next"] : ["ways.sender", "lane.server.ours"];
}

export function Ways({ ways, filmOf = (session) => linkTo("session", session) }: { ways: readonly Way[]; filmOf?: (session: string) => string }) {
	if (!ways.length)
		return null;
	return (
		<section class="ways-section" aria-label={t("ways")}>
			<h2>{t("ways")}</h2>
			<ol class="ways">
				{ways.map((way, index) => <WayStep key={index} way={way} film={way.session ? filmOf(way.session) : ""} />)}
			</ol>
		</section>
	);
}

function WayStep({ way, film }: { way: Way; film: string }) {
	const [from, to] = endsOf(way);
	return (
		<li class={`way-step is-${way.kind}`}>
			<span class="way-end">{t(from)}<small>{way.from}</small></span>
			<Picture way={way} label={t(`ways.picture.${way.kind}`, { from: t(from), to: t(to) })} />
			<span class="way-end">{t(to)}<small>{way.to}</small></span>
			<div class="way-words">
				<p class="way-kind"><Icon name={way.kind === "inside" ? "letter" : way.kind} size={16} />{t(`ways.${way.kind}`, { protocol: nameOf(way.protocol) })}</p>
				<p class="way-says">{t(`ways.${way.kind}.what`)} {film && <a href={film}>{t("journey.film")}</a>}</p>
			</div>
		</li>
	);
}

function Letter({ x, y }: { x: number; y: number }) {
	return <g class="tip-letter"><rect x={x - 11} y={y - 8} width="22" height="15" rx="1.5" fill="var(--card)" stroke="var(--hue)" stroke-width="1.6" /><path d={`M${x - 11} ${y - 8}l11 8 11-8`} fill="none" stroke="var(--hue)" stroke-width="1.6" /></g>;
}

function Picture({ way, label }: { way: Way; label: string }) {
	if (way.kind === "inside")
		return <svg viewBox="0 0 200 54" role="img" aria-label={label}><path class="rail" d="M20 27H172" /><path class="tip" d="M172 20l12 7-12 7z" /><Letter x={96} y={27} /></svg>;
	if (way.kind === "push")
		return (
			<svg viewBox="0 0 200 54" role="img" aria-label={label}>
				<text x="100" y="10" text-anchor="middle">{t("ways.connection")}</text>
				<path class="asks" d="M4 16H190" /><path class="open-tip" d="M186 12l6 4-6 4" />
				<path class="rail" d="M4 28v16M4 36H184" /><path class="tip" d="M184 28l14 8-14 8z" />
				<Letter x={92} y={36} />
			</svg>
		);
	return (
		<svg viewBox="0 0 200 54" role="img" aria-label={label}>
			<text x="106" y="10" text-anchor="middle">{t("ways.connection")}</text>
			<path class="asks" d="M196 16H22a10 10 0 0 0-10 10" /><path class="open-tip" d="M30 12l-6 4 6 4" />
			<path class="rail" d="M12 26a10 10 0 0 0 10 10H184" /><path class="tip" d="M184 28l14 8-14 8z" />
			<Letter x={106} y={36} />
		</svg>
	);
}
