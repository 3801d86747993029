// SPDX-License-Identifier: Apache-2.0
// One line or body at each layer: the same octets, in more and more wrapping.
import { useState } from "preact/hooks";
import { octets } from "../format.ts";
import { layersOf, type Grounds, type Layers } from "../ladder/layers.ts";
import type { Model, Row } from "../ladder/model.ts";
import { remember, remembered, t } from "../text.ts";

/* Octets that a TCP segment carries on paths that there are; which one this was, the trace does not know. */
const PATHS: [number, string][] = [[1460, "ethernet4"], [1440, "ethernet6"], [1220, "least6"], [536, "least4"], [65483, "loopback"]];

export function LayerView({ row, model }: { row: Row; model: Model }) {
	const [mss, setMss] = useState(() => PATHS.find(([size]) => String(size) === remembered("mss"))?.[0] ?? 1460);
	const layers = layersOf(model, row, mss);
	if (!layers)
		return null;
	const choose = (value: string) => {
		remember("mss", value);
		setMss(Number(value));
	};
	return (
		<section id="panel-layers" tabIndex={-1} class="panel-layers">
			<h2>{t("panel.layers")}</h2>
			<ol class={`layers ${layers.tls ? "is-sealed" : ""}`}>
				<Application layers={layers} model={model} row={row} />
				<Tls layers={layers} />
				{layers.ip ? <Transport layers={layers} mss={mss} /> : <Layer number="–" name={t("layers.socket")} pieces={[{ kind: "own", words: sized(layers.content), grounds: "measured" }]} says={t("layers.socket.what")} />}
				{layers.ip && <Internet layers={layers} ip={layers.ip} />}
			</ol>
			{layers.ip && <label class="path">{t("layers.path")}
				<select value={String(mss)} onChange={(event) => choose(event.currentTarget.value)}>
					{PATHS.map(([size, name]) => <option key={size} value={String(size)}>{t(`layers.path.${name}`, { size })}</option>)}
				</select>
			</label>}
			<p class="hint">{layers.total === null ? t("layers.total.unknown") : t("layers.total", { content: octets(layers.content ?? 0), total: octets(layers.total) })} {t("layers.below")}</p>
		</section>
	);
}

interface Piece {
	kind: "ip" | "tcp" | "tls" | "own";
	words: string;
	grounds: Grounds;
}

function Layer({ number, name, pieces, says }: { number: string; name: string; pieces: Piece[]; says: string }) {
	return (
		<li class="layer">
			<p class="layer-name"><span class="layer-number" title={t("layers.number")}>{number}</span><b>{name}</b></p>
			<div class="wrap">
				{pieces.map((piece, index) => (
					<span key={index} class={`piece piece-${piece.kind} by-${piece.grounds}`} title={t(`layers.by.${piece.grounds}`)}>
						{piece.words}<span class="unseen"> ({t(`layers.by.${piece.grounds}`)})</span>
					</span>
				))}
			</div>
			<p class="layer-says">{says}</p>
		</li>
	);
}

function sized(size: number | null): string {
	return size === null ? "?" : octets(size);
}

function Application({ layers, model, row }: { layers: Layers; model: Model; row: Row }) {
	const what = row.event.kind === "data" ? "message" : row.event.kind;
	const protocol = model.family === "pop3" ? "POP3" : model.protocol.startsWith("lmtp") ? "LMTP" : "SMTP";
	return <Layer number="7" name={t("layers.application", { protocol })}
		pieces={[{ kind: "own", words: sized(layers.content), grounds: layers.content === null ? "unknown" : "measured" }]}
		says={`${t(`layers.application.${what}`)} ${layers.lines > 1 ? t("layers.together", { n: layers.lines, own: sized(layers.own) }) : ""} ${layers.content === null ? t("layers.masked") : ""}`} />;
}

function Tls({ layers }: { layers: Layers }) {
	const { tls } = layers;
	if (!tls)
		return <Layer number="–" name={t("layers.tls.none")} pieces={[{ kind: "own", words: t("layers.plain"), grounds: "measured" }]} says={t("layers.tls.none.what")} />;
	return <Layer number="5–6" name={t("layers.tls", { version: tls.version || "TLS" })}
		pieces={[
			{ kind: "tls", words: `${tls.records > 1 ? `${tls.records} × ` : ""}${tls.header}`, grounds: "standard" },
			{ kind: "own", words: "🔒", grounds: layers.content === null ? "unknown" : "measured" },
			{ kind: "tls", words: tls.trailer === null ? "?" : `${tls.records > 1 ? `${tls.records} × ` : ""}${tls.trailer}`, grounds: tls.trailer === null ? "unknown" : "standard" },
		]}
		says={t("layers.tls.what", { cipher: tls.cipher || "?", n: tls.records })} />;
}

function Transport({ layers, mss }: { layers: Layers; mss: number }) {
	const { segments, header } = layers.tcp;
	const times = segments !== null && segments > 1 ? `${segments} × ` : "";
	return <Layer number="4" name={t("layers.tcp")}
		pieces={[{ kind: "tcp", words: `${times}${header}`, grounds: "standard" }, { kind: "own", words: segments === null ? "?" : t("layers.segments", { n: segments }), grounds: "path" }]}
		says={t("layers.tcp.what", { from: portOf(layers.from), to: portOf(layers.to), mss })} />;
}

function Internet({ layers, ip }: { layers: Layers; ip: NonNullable<Layers["ip"]> }) {
	const { tcp } = layers;
	const times = tcp.segments !== null && tcp.segments > 1 ? `${tcp.segments} × ` : "";
	return <Layer number="3" name={t("layers.ip", { version: ip.version })}
		pieces={[{ kind: "ip", words: `${times}${ip.header}`, grounds: "standard" }, { kind: "tcp", words: `${times}${tcp.header}`, grounds: "standard" }, { kind: "own", words: tcp.segments === null ? "?" : t("layers.packets", { n: tcp.segments }), grounds: "path" }]}
		says={t("layers.ip.what", { from: hostOf(layers.from), to: hostOf(layers.to) })} />;
}

function portOf(address: string): string {
	return /:(\d+)$/.exec(address)?.[1] ?? "?";
}

function hostOf(address: string): string {
	return address.replace(/:\d+$/, "") || "?";
}
