// SPDX-License-Identifier: Apache-2.0
// Something from elsewhere: a saved session becomes a film, the header of a message a journey.
import { useEffect, useState } from "preact/hooks";
import { keepFile } from "../files.ts";
import { journeyOfHeader } from "../journey/model.ts";
import { HeaderView } from "../parts/header.tsx";
import { Icon } from "../parts/icons.tsx";
import { headerOf, type Header } from "../parse/received.ts";
import { go } from "../route.ts";
import { t } from "../text.ts";
import { parseTrace } from "../trace/event.ts";
import { JourneyView } from "./journey.tsx";

/* Larger ones would only make the browser slow: the header is at the front, a session has 10 MB at most. */
const FILE_MAX = 64 << 20;

type Found = { kind: "film"; events: ReturnType<typeof parseTrace>["events"] } | { kind: "header"; header: Header } | { kind: "nothing" };

export function recognise(content: string): Found {
	const trimmed = content.trimStart();
	if (trimmed.startsWith("{") || trimmed.startsWith("[")) {
		const { events } = parseTrace(trimmed);
		return events.length ? { kind: "film", events } : { kind: "nothing" };
	}
	const header = headerOf(trimmed);
	return header.fields.length ? { kind: "header", header } : { kind: "nothing" };
}

export function OpenScreen() {
	const [header, setHeader] = useState<Header | null>(null);
	const [content, setContent] = useState("");
	const [said, setSaid] = useState("");
	const [over, setOver] = useState(false);
	useEffect(() => {
		document.title = `${t("nav.open")} · Glasspost`;
	}, []);

	const take = (name: string, text: string) => {
		const found = recognise(text);
		setSaid("");
		setHeader(null);
		if (found.kind === "film") {
			keepFile(name, found.events);
			go("file", name);
		} else if (found.kind === "header") {
			setHeader(found.header);
			setSaid(found.header.hops.length ? "" : t("open.no-received"));
		} else {
			setSaid(t("open.unknown"));
		}
	};
	const takeFile = async (file: File | undefined) => {
		if (!file)
			return;
		if (file.size > FILE_MAX)
			setSaid(t("open.large"));
		else
			take(file.name, await file.text());
	};
	return (
		<div class="open">
			<h1>{t("open.title")}</h1>
			<p class="lead">{t("open.what")}</p>
			<div class={`drop ${over ? "is-over" : ""}`}
				onDragOver={(event) => {
					event.preventDefault();
					setOver(true);
				}}
				onDragLeave={() => setOver(false)}
				onDrop={(event) => {
					event.preventDefault();
					setOver(false);
					void takeFile(event.dataTransfer?.files[0]);
				}}>
				<label class="choose"><Icon name="open" /> {t("open.file")}
					<input type="file" class="unseen" accept=".json,.jsonl,.ndjson,.eml,.txt,message/rfc822" onChange={(event) => void takeFile(event.currentTarget.files?.[0])} />
				</label>
				<span class="hint">{t("open.drop")}</span>
			</div>
			<form onSubmit={(event) => {
				event.preventDefault();
				take("pasted", content);
			}}>
				<label for="pasted">{t("open.paste")}</label>
				<textarea id="pasted" rows={9} spellcheck={false} value={content} onInput={(event) => setContent(event.currentTarget.value)} placeholder={"Received: from …\nReceived: from …"} />
				<button type="submit" class="main" disabled={!content.trim()}>{t("open.show")}</button>
				{said && <p class="said" role="alert">{said}</p>}
			</form>
			{header && header.hops.length > 0 && <JourneyView journey={journeyOfHeader(header)} />}
			{header && <HeaderView header={header} />}
		</div>
	);
}
