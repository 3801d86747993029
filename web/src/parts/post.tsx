// SPDX-License-Identifier: Apache-2.0
// Envelope and letter, drawn as what they are.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { moment, octets } from "../format.ts";
import { bodyOf, differencesOf, type Envelope } from "../parse/post.ts";
import { fieldsOf, type Field } from "../parse/received.ts";
import { t } from "../text.ts";
import { Icon, Mark } from "./icons.tsx";

/* Written on the way, not by the author. */
const OF_THE_POST = /^(received|return-path|delivered-to|authentication-results|received-spf|arc-.*|dkim-signature|x-.*)$/i;
const FIRST = ["from", "to", "cc", "bcc", "reply-to", "subject", "date"];
const LINES_MAX = 200;

interface Props {
	envelope: Omit<Envelope, "recipients"> & { recipients: { address: string; tone: string; words: ComponentChildren; label?: string }[] };
	/* The message as far as it is known: its header, or all of it (`whole`); null: not known here. */
	letter: string | null;
	whole: boolean;
	subject: string;
	size: number;
	/* Asks for the letter, where somebody may. */
	onOpen?: (() => Promise<void>) | undefined;
}

export function Post({ envelope, letter, whole, subject, size, onOpen }: Props) {
	const fields = letter === null ? [] : fieldsOf(letter);
	const differences = differencesOf(envelope, fields);
	return (
		<div class="post">
			<figure class="post-envelope">
				<div class="airmail">
					<div class="paper">
						<div class="return-address"><span class="label">MAIL FROM</span><code>{envelope.sender || "<>"}</code></div>
						<Postmark time_us={envelope.time_us} />
						<ul class="address" aria-label="RCPT TO">
							<li class="label" aria-hidden="true">RCPT TO</li>
							{envelope.recipients.map((one, index) => (
								<li key={index}><Mark tone={one.tone} label={one.label ?? t(`tone.${one.tone}`)} /><code>{one.address}</code><span class="state-word">{one.words}</span></li>
							))}
							{!envelope.recipients.length && <li class="nobody">{t("post.nobody")}</li>}
						</ul>
						{envelope.wishes.length > 0 && <p class="wishes">{envelope.wishes.map((wish) => <code key={wish}>{wish}</code>)}</p>}
					</div>
				</div>
				<figcaption><b>{t("post.envelope")}</b> {t("post.envelope.what")}</figcaption>
			</figure>
			<figure class="post-letter">
				<Sheet fields={fields} letter={letter} whole={whole} subject={subject} size={size} onOpen={onOpen} />
				<figcaption><b>{t("post.letter")}</b> {t("post.letter.what")}</figcaption>
			</figure>
			<ul class="differences" aria-label={t("post.differences")}>
				{differences.map(({ kind, who, other }) => <li key={kind + who} class="differs"><Icon name="differs" size={16} /><span>{t(`post.differs.${kind}`, { who, other })}</span></li>)}
				{!differences.length && fields.length > 0 && <li><Icon name="check" size={16} /><span>{t("post.agrees")}</span></li>}
			</ul>
		</div>
	);
}

function Postmark({ time_us }: { time_us: number }) {
	return (
		<svg class="postmark" viewBox="0 0 92 46" role="img" aria-label={moment(time_us / 1000)}>
			<path d="M40 12q6-5 12 0t12 0 12 0 12 0M40 20q6-5 12 0t12 0 12 0 12 0M40 28q6-5 12 0t12 0 12 0 12 0M40 36q6-5 12 0t12 0 12 0 12 0" />
			<circle cx="24" cy="23" r="20.5" />
			<circle cx="24" cy="23" r="15.5" />
			<text x="24" y="21" text-anchor="middle">{new Date(time_us / 1000).toISOString().slice(5, 10)}</text>
			<text x="24" y="30" text-anchor="middle">{new Date(time_us / 1000).toISOString().slice(11, 16)}</text>
		</svg>
	);
}

function Sheet({ fields, letter, whole, subject, size, onOpen }: { fields: Field[]; letter: string | null; whole: boolean; subject: string; size: number; onOpen: (() => Promise<void>) | undefined }) {
	const [isShut, setShut] = useState(false);
	const body = letter !== null && whole ? bodyOf(letter) : null;
	const rank = (field: Field) => (FIRST.indexOf(field.name.toLowerCase()) + FIRST.length + 1) % (FIRST.length + 1);
	const own = fields.filter((field) => !OF_THE_POST.test(field.name)).sort((a, b) => rank(a) - rank(b));
	const posted = fields.length - own.length;
	const open = () => void onOpen?.().catch(() => setShut(true));
	return (
		<div class="sheet">
			{own.length > 0
				? <dl>{own.map((field, index) => <div key={index} class={field.name.toLowerCase() === "subject" ? "is-subject" : ""}><dt>{field.name}</dt><dd>{field.value}</dd></div>)}</dl>
				: <dl>{subject && <div class="is-subject"><dt>Subject</dt><dd>{subject}</dd></div>}</dl>}
			{posted > 0 && <p class="hint">{t("post.posted", { n: posted })}</p>}
			{body !== null
				? <pre class="text">{body.slice(0, LINES_MAX).join("\n")}{body.length > LINES_MAX ? "\n…" : ""}</pre>
				: <p class="sealed"><span class="lines" aria-hidden="true"><i /><i /><i /></span>{size > 0 && <span>{octets(size)}.</span>} <span>{t(isShut ? "post.denied" : size > 0 || letter !== null ? "post.sealed" : "post.before")}</span></p>}
			{body === null && onOpen && !isShut && <button type="button" onClick={open}>{t("post.open")}</button>}
		</div>
	);
}
