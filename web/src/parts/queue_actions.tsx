// SPDX-License-Identifier: Apache-2.0
// What an operator may do with one recipient in the queue.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, ApiError } from "../api.ts";
import { t } from "../text.ts";
import { Icon } from "./icons.tsx";

export type QueueAction = "retry" | "hold" | "release" | "delete";

/* One that is being tried at this moment is left to its relay. */
export function actionsFor(state: string): QueueAction[] {
	if (state === "leased")
		return [];
	return state === "held" ? ["release", "delete"] : ["retry", "hold", "delete"];
}

const ICONS: Record<QueueAction, string> = { retry: "again", hold: "pause", release: "play", delete: "bin" };

interface Props {
	message: string;
	recipient: string;
	state: string;
	/* Tells what came of it, in words. */
	onSaid: (words: string) => void;
}

export function QueueActions({ message, recipient, state, onSaid }: Props) {
	const [asks, setAsks] = useState(false);
	const [isBusy, setBusy] = useState(false);
	const act = async (action: QueueAction) => {
		setBusy(true);
		try {
			await api.changeQueue(message, action, recipient);
			onSaid(t(`queue.${action}.done`, { recipient }));
		} catch (failure) {
			onSaid(failure instanceof ApiError ? [failure.message, failure.hint].filter(Boolean).join(". ") : t("trouble.network"));
		}
		setBusy(false);
	};
	return (
		<span class="queue-actions" role="group" aria-label={t("queue.actions", { recipient })}>
			{actionsFor(state).map((action) => (
				<button key={action} type="button" class={`quiet do-${action}`} disabled={isBusy} title={t(`queue.${action}`)} aria-label={`${t(`queue.${action}`)}: ${recipient}`}
					onClick={() => action === "delete" ? setAsks(true) : void act(action)}><Icon name={ICONS[action]} size={16} /></button>
			))}
			{asks && <Confirm recipient={recipient} onAnswer={(yes) => {
				setAsks(false);
				if (yes)
					void act("delete");
			}} />}
		</span>
	);
}

function Confirm({ recipient, onAnswer }: { recipient: string; onAnswer: (yes: boolean) => void }) {
	const dialog = useRef<HTMLDialogElement>(null);
	/* With the drawing, not after it: a key that comes between would go to what lies behind. */
	useLayoutEffect(() => dialog.current?.showModal(), []);
	/* Closed, not only taken away: so the keys go back to the button that asked. */
	return (
		<dialog ref={dialog} class="confirm" onClose={(event) => onAnswer(event.currentTarget.returnValue === "yes")} aria-labelledby="confirm-title">
			<h2 id="confirm-title">{t("queue.delete.ask")}</h2>
			<p><code>{recipient}</code></p>
			<p class="hint">{t("queue.delete.what")}</p>
			<p class="confirm-buttons">
				<button type="button" autofocus onClick={() => dialog.current?.close()}>{t("queue.delete.no")}</button>
				<button type="button" class="danger" onClick={() => dialog.current?.close("yes")}>{t("queue.delete.yes")}</button>
			</p>
		</dialog>
	);
}
