// SPDX-License-Identifier: Apache-2.0
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, ApiError, doubts, type Info } from "./api.ts";
import { own } from "./own.ts";
import { route, linkTo } from "./route.ts";
import { Home } from "./screens/home.tsx";
import { SignIn } from "./screens/signin.tsx";
import { useWatched } from "./store.ts";
import { Icon } from "./parts/icons.tsx";
import { language, languages, loadLanguage, remember, t } from "./text.ts";
import { Trouble } from "./parts/trouble.tsx";

type Screen = ComponentType<{ id: string; at: string; info: Info | null }>;

/* Loaded when first wanted: who looks at the lists only, does not pay for the player. */
const LAZY: Record<string, () => Promise<Screen>> = {
	session: async () => (await import("./screens/session.tsx")).SessionScreen,
	file: async () => (await import("./screens/session.tsx")).FileScreen,
	message: async () => (await import("./screens/journey.tsx")).JourneyScreen,
	guide: async () => (await import("./screens/guide.tsx")).GuideScreen,
	film: async () => (await import("./screens/film.tsx")).GuideFilmScreen,
	open: async () => (await import("./screens/open.tsx")).OpenScreen,
};

const TABS = ["sessions", "messages", "queue", "guide", "open"] as const;

export function App() {
	const here = useWatched(route);
	const [info, setInfo] = useState<Info | null>(null);
	const [problem, setProblem] = useState<ApiError | Error | null>(null);
	const [, redraw] = useState(0);
	const ask = () => api.info().then((found) => {
		setInfo(found);
		setProblem(null);
	}, setProblem);
	useEffect(() => void ask(), []);
	/* Signed out in the middle: then the form is shown, and what was looked at after it. */
	useEffect(() => doubts.watch(() => void api.info().then(setInfo, () => {})), []);

	const isOwn = ["open", "file", "guide", "film"].includes(here.screen);
	const mustSignIn = !isOwn && ((info?.sign_in && !info.account) || (problem instanceof ApiError && problem.status === 401));
	const changeLanguage = async (name: string) => {
		await loadLanguage(name);
		remember("language", name);
		redraw((n) => n + 1);
	};
	return (
		<>
			<a class="skip" href="#main" onClick={(event) => {
				event.preventDefault();
				document.getElementById("main")?.focus();
			}}>{t("skip")}</a>
			<Header info={info} screen={here.screen} onLanguage={(name) => void changeLanguage(name)} onSignOut={() => void api.signOut().then(ask, ask)} />
			<main id="main" tabIndex={-1} key={language()}>
				{mustSignIn ? <SignIn onDone={() => void ask()} />
					: problem && !isOwn ? <Trouble problem={problem} onRetry={() => void ask()} />
					: <Shown screen={here.screen} id={here.id} at={here.at} info={info} />}
			</main>
		</>
	);
}

function Shown({ screen, id, at, info }: { screen: string; id: string; at: string; info: Info | null }) {
	const lazy = Object.hasOwn(LAZY, screen) ? LAZY[screen] : undefined;
	const [loaded, setLoaded] = useState<{ screen: string; Component: Screen } | null>(null);
	const [problem, setProblem] = useState<Error | null>(null);
	useEffect(() => {
		/* The one that was wanted last, whichever comes last. */
		let isGone = false;
		setProblem(null);
		lazy?.().then((Component) => isGone || setLoaded({ screen, Component }), (failure: Error) => isGone || setProblem(failure));
		return () => {
			isGone = true;
		};
	}, [screen]);
	if (!lazy)
		return <Home tab={screen} info={info} />;
	if (problem)
		return <Trouble problem={problem} onRetry={() => location.reload()} />;
	if (loaded?.screen !== screen)
		return <p class="loading" role="status">{t("loading")}</p>;
	return <loaded.Component key={`${screen}/${id}`} id={id} at={at} info={info} />;
}

const TAB_OF_SCREEN: Record<string, string> = { session: "sessions", message: "messages", file: "open", film: "guide" };

function Header({ info, screen, onLanguage, onSignOut }: {
	info: Info | null; screen: string; onLanguage: (name: string) => void; onSignOut: () => void;
}) {
	const tab = own(TAB_OF_SCREEN, screen) ?? screen;
	return (
		<header class="top">
			<a class="brand" href={linkTo("sessions")}>
				<img src="icon.svg" alt="" width="26" height="26" />
				<span class="name">Glasspost</span>
				{info && <span class="host">{info.hostname}</span>}
			</a>
			<nav aria-label={t("nav")}>
				{TABS.map((one) => (
					<a key={one} href={linkTo(one)} aria-current={one === tab ? "page" : undefined}>{t(`nav.${one}`)}</a>
				))}
			</nav>
			<div class="tools">
				{info?.account && (
					<button type="button" class="quiet" onClick={onSignOut} title={t("sign-out", { account: info.account })}>
						<Icon name="out" /><span class="wide">{info.account}</span>
					</button>
				)}
				<label class="language">
					<span class="unseen">{t("language")}</span>
					<select value={language()} onChange={(event) => onLanguage(event.currentTarget.value)}>
						{Object.entries(languages).map(([code, name]) => <option key={code} value={code}>{name}</option>)}
					</select>
				</label>
				<Theme />
			</div>
		</header>
	);
}

const THEMES = ["system", "light", "dark"] as const;

function Theme() {
	const [theme, setTheme] = useState<string>(document.documentElement.dataset["theme"] ?? "system");
	const next = THEMES[(THEMES.indexOf(theme as (typeof THEMES)[number]) + 1) % THEMES.length]!;
	const change = () => {
		if (next === "system")
			delete document.documentElement.dataset["theme"];
		else
			document.documentElement.dataset["theme"] = next;
		remember("theme", next);
		setTheme(next);
	};
	const label = t("theme", { now: t(`theme.${theme}`), next: t(`theme.${next}`) });
	return (
		<button type="button" class="quiet" onClick={change} title={label} aria-label={label}>
			<Icon name={theme === "light" ? "sun" : theme === "dark" ? "moon" : "half"} />
		</button>
	);
}
