// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { isSkewed, type Header } from "../parse/received.ts";
import { span } from "../format.ts";
import { t } from "../text.ts";

/* The header as it stands, each hop's lines in that hop's colour. */
export function HeaderView({ header }: { header: Header }) {
	const [hot, setHot] = useState<number | null>(null);
	const hopOf = new Map<number, number>();
	header.hops.forEach((hop, index) => hop.fields.forEach((field) => hopOf.set(field, index)));
	if (!header.fields.length)
		return null;
	return (
		<section class="header-view" aria-label={t("header")}>
			<h2>{t("header")}</h2>
			<p class="hint">{t("header.what")}</p>
			{header.hops.length > 0 && (
				<ol class="hops">
					{header.hops.map((hop, index) => (
						<li key={index} class={`hop-${index % 6} ${hot === index ? "is-hot" : ""}`} onPointerEnter={() => setHot(index)} onPointerLeave={() => setHot(null)}>
							<i class="swatch" />{index + 1}. {hop.by || "?"}
							{hop.delay !== null && <span class={isSkewed(hop) ? "skew" : "delay"}>{isSkewed(hop) ? t("header.skew", { span: span(-hop.delay * 1000) }) : `+${span(hop.delay * 1000)}`}</span>}
						</li>
					))}
				</ol>
			)}
			<div class="fields">
				{header.fields.map((field, index) => {
					const hop = hopOf.get(index);
					return (
						<div key={index} class={`field ${hop === undefined ? "is-own" : `hop-${hop % 6}`} ${hop !== undefined && hop === hot ? "is-hot" : ""}`}
							onPointerEnter={() => setHot(hop ?? null)} onPointerLeave={() => setHot(null)}>
							{hop !== undefined && <span class="hop-number" title={t("header.by", { hop: hop + 1 })}>{hop + 1}</span>}
							<pre><b>{field.name}</b>{field.raw.slice(field.name.length)}</pre>
						</div>
					);
				})}
			</div>
		</section>
	);
}
