// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { api, ApiError } from "../api.ts";
import { t } from "../text.ts";

export function SignIn({ onDone }: { onDone: () => void }) {
	const [address, setAddress] = useState("");
	const [password, setPassword] = useState("");
	const [said, setSaid] = useState("");
	const [busy, setBusy] = useState(false);
	const submit = async (event: Event) => {
		event.preventDefault();
		setBusy(true);
		setSaid("");
		try {
			await api.signIn(address, password);
			onDone();
		} catch (problem) {
			setSaid(problem instanceof ApiError ? [problem.message, problem.hint].filter(Boolean).join(". ") : t("trouble.network"));
		}
		setPassword("");
		setBusy(false);
	};
	return (
		<form class="sign-in" onSubmit={(event) => void submit(event)}>
			<h1>{t("sign-in")}</h1>
			<p class="hint">{t("sign-in.why")}</p>
			<label>{t("sign-in.address")}
				<input type="email" autocomplete="username" required value={address} onInput={(e) => setAddress(e.currentTarget.value)} />
			</label>
			<label>{t("sign-in.password")}
				<input type="password" autocomplete="current-password" required value={password} onInput={(e) => setPassword(e.currentTarget.value)} />
			</label>
			{said && <p class="said" role="alert">{said}</p>}
			<button type="submit" class="main" disabled={busy}>{t("sign-in")}</button>
		</form>
	);
}
