// SPDX-License-Identifier: Apache-2.0
// One hand drew them: 20 units square, lines of 1.6, round ends.

const PATHS: Record<string, string> = {
	play: "M6.5 4.2v11.6L16 10z",
	pause: "M7 4.5v11M13 4.5v11",
	back: "M12.5 5 7.5 10l5 5",
	forward: "M7.5 5l5 5-5 5",
	begin: "M14.5 5l-5 5 5 5M5.5 5v10",
	end: "M5.5 5l5 5-5 5M14.5 5v10",
	lock: "M6 9V7a4 4 0 0 1 8 0v2M4.8 9h10.4v7.2H4.8z",
	search: "M9 14.2A5.2 5.2 0 1 0 9 3.8a5.2 5.2 0 0 0 0 10.4zM13 13l3.6 3.6",
	sun: "M10 6.4a3.6 3.6 0 1 0 0 7.2 3.6 3.6 0 0 0 0-7.2zM10 1.8v1.6M10 16.6v1.6M1.8 10h1.6M16.6 10h1.6M4.2 4.2l1.1 1.1M14.7 14.7l1.1 1.1M15.8 4.2l-1.1 1.1M5.3 14.7l-1.1 1.1",
	moon: "M16.4 11.6A7 7 0 0 1 8.4 3.6a7 7 0 1 0 8 8z",
	half: "M10 2.8a7.2 7.2 0 1 0 0 14.4zM10 2.8a7.2 7.2 0 0 1 0 14.4",
	save: "M10 3.2v9.4M6.2 9 10 12.8 13.8 9M3.6 16.6h12.8",
	open: "M10 12.8V3.4M6.2 7.2 10 3.4l3.8 3.8M3.6 16.6h12.8",
	help: "M7.2 7.4a2.9 2.9 0 1 1 4.4 2.5c-1 .6-1.6 1.1-1.6 2.2M10 15.2v.2",
	close: "M5 5l10 10M15 5 5 15",
	check: "M4 10.6l4 4 8-9",
	cross: "M5 5l10 10M15 5 5 15",
	wait: "M10 3 18 16.6H2zM10 8v4M10 14.3v.2",
	dot: "M10 7.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2z",
	chevron: "M6 8l4 4 4-4",
	arrow: "M3 10h13M11.5 5.5 16 10l-4.5 4.5",
	sliders: "M3.5 6.5h6M14.5 6.5h2M12 4v5M3.5 13.5h2M10.5 13.5h6M8 11v5",
	differs: "M4 7.5h12M4 12.5h12M13.5 4l-7 12",
	again: "M15.6 7.6A6.2 6.2 0 1 0 16.2 11M15.8 3.6v4.2h-4.2",
	bin: "M4 6h12M8 6V3.8h4V6M5.5 6l.8 10.2h7.4L14.5 6M8.4 9v4.4M11.6 9v4.4",
	push: "M3 10h10M10 5.5 14.5 10 10 14.5M17 4.5v11",
	pull: "M3.5 6h8.5a4 4 0 0 1 0 8H4M8 10l-4.2 4L8 18",
	letter: "M3 5h14v10.5H3zM3 5.5l7 5.5 7-5.5",
	layers: "M10 3 17.5 7 10 11 2.5 7zM2.5 10.5l7.5 4 7.5-4M2.5 13.8l7.5 4 7.5-4",
	out: "M8 4H4v12h4M8.5 10H17M13.5 6.5 17 10l-3.5 3.5",
};

const FILLED = new Set(["play", "dot"]);

export function Icon({ name, size = 18 }: { name: keyof typeof PATHS & string; size?: number }) {
	return (
		<svg class={`icon icon-${name}`} width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
			<path d={PATHS[name] ?? ""} fill={FILLED.has(name) ? "currentColor" : "none"} stroke="currentColor"
				stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" />
		</svg>
	);
}

/* A mark that is told by its shape as well as by its colour, with a word for those who see neither. */
export function Mark({ tone, label }: { tone: string; label: string }) {
	const name = tone === "good" ? "check" : tone === "bad" ? "cross" : tone === "wait" ? "wait" : "dot";
	return <span class={`mark tone-${tone}`} title={label} role="img" aria-label={label}><Icon name={name} size={15} /></span>;
}
