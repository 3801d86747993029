// SPDX-License-Identifier: Apache-2.0
import { ApiError } from "../api.ts";
import { t } from "../text.ts";

/* What went wrong, and what to do: the server's own words when it gave any. */
export function Trouble({ problem, onRetry }: { problem: Error; onRetry: () => void }) {
	const hint = problem instanceof ApiError ? problem.hint || t(`trouble.${problem.status}`) : t("trouble.network");
	return (
		<section class="trouble" role="alert">
			<h1>{t("trouble")}</h1>
			<p>{problem.message}</p>
			{hint && !hint.startsWith("trouble.") && <p class="hint">{hint}</p>}
			<p><button type="button" onClick={onRetry}>{t("retry")}</button></p>
		</section>
	);
}
