// SPDX-License-Identifier: Apache-2.0
// Places for the rows of a ladder. Pure: the same view, mode and width always give the same picture, on
// the screen, in a test, or drawn somewhere else.
import type { Lane, Model, Row, SideLane, View } from "./model.ts";

export type TimeMode = "even" | "real" | "squeezed";
export const TIME_MODES: readonly TimeMode[] = ["even", "real", "squeezed"];

export interface Column {
	lane: Lane;
	x: number;
}

export interface Layout {
	mode: TimeMode;
	columns: Column[];
	/* By index in View.rows: top and height of the row; pixels that its arrow falls while it crosses. */
	top: Float64Array;
	height: Float64Array;
	fall: Float64Array;
	/* Squeezed: microseconds that were left out before the row; 0: none. */
	skipped_us: Float64Array;
	total: number;
	/* Left edge of the first life line's zone, for the time column. */
	gutter: number;
	isNarrow: boolean;
}

const ARROW = 40;
const REPLY_FIRST = 28;
const REPLY_BETWEEN = 21;
const REPLY_LAST = 34;
const NOTE = 30;
const BAR = 46;
const HANDSHAKE = 50;
const END = 44;
const FOLDED = 25;
const SKIP_CHIP = 28;
const FALL_MAX = 14;
/* A pause above this is squeezed; below it the eye can wait. */
export const SQUEEZE_US = 500_000;
const SIDE_WIDTH = 92;
const SIDE_WIDTH_NARROW = 40;
const NARROW = 560;

export const STEP_HEIGHT = 24;

function heightOf(row: Row, folded: readonly Row[], steps: number): number {
	const own = row.shape === "bar" ? BAR : row.shape === "handshake" ? HANDSHAKE : row.shape === "end" ? END
		: row.shape === "note" || row.shape === "side" ? NOTE : !row.continues ? (row.more ? REPLY_FIRST : ARROW)
		: row.more ? REPLY_BETWEEN : REPLY_LAST;
	return own + (folded.length ? FOLDED : 0) + steps * STEP_HEIGHT;
}

/* Where the life lines stand. Our side's helpers stand behind us: right of a server, left of a client. */
export function columnsOf(model: Model, open: ReadonlySet<SideLane>, width: number): Pick<Layout, "columns" | "gutter" | "isNarrow"> {
	const isNarrow = width < NARROW;
	const gutter = isNarrow ? 50 : 82;
	const margin = isNarrow ? 12 : 34;
	const side = isNarrow ? SIDE_WIDTH_NARROW : SIDE_WIDTH;
	const sides = model.lanes.filter((lane) => open.has(lane));
	const aside = sides.length * side;
	const left = gutter + (model.outgoing ? aside : 0);
	const right = width - margin - (model.outgoing ? 0 : aside);
	const columns: Column[] = [{ lane: "client", x: left }, { lane: "server", x: Math.max(right, left + 120) }];
	sides.forEach((lane, index) => columns.push({
		lane, x: model.outgoing ? left - (index + 1) * side : Math.max(right, left + 120) + (index + 1) * side,
	}));
	return { columns, gutter, isNarrow };
}

/* How far an arrow falls: nothing is instant, and each tenfold of time is seen. */
export function fallOf(round_trip_us: number): number {
	if (round_trip_us <= 0)
		return 0;
	return Math.min(FALL_MAX, Math.max(1.5, 2.4 * Math.log10(round_trip_us / 20)));
}

interface Scale {
	pixelsPerUs: number;
	cap_us: number;
}

function scaleOf(view: View, mode: TimeMode): Scale {
	const cap_us = mode === "squeezed" ? SQUEEZE_US : Infinity;
	let sum = 0;
	view.rows.forEach((row, index) => {
		const before = view.rows[index - 1];
		if (before)
			sum += Math.min(cap_us, Math.max(0, row.at_us - before.at_us));
	});
	/* As much air as there are rows, so that a long session does not become a desert. */
	const air = Math.max(480, view.rows.length * 26);
	return { pixelsPerUs: sum > 0 ? air / sum : 0, cap_us };
}

export interface Wishes {
	open: ReadonlySet<SideLane>;
	mode: TimeMode;
	width: number;
	/* Rows by Row.index that are opened, and how many lines that takes. */
	expanded?: ReadonlyMap<number, number>;
}

export function layoutOf(model: Model, view: View, { open, mode, width, expanded }: Wishes): Layout {
	const count = view.rows.length;
	const layout: Layout = {
		mode, ...columnsOf(model, open, width), top: new Float64Array(count), height: new Float64Array(count),
		fall: new Float64Array(count), skipped_us: new Float64Array(count), total: 0,
	};
	const scale = mode === "even" ? { pixelsPerUs: 0, cap_us: Infinity } : scaleOf(view, mode);
	const fall = fallOf(model.round_trip_us / 2);
	let y = 12;
	let previous_us = 0;
	for (let i = 0; i < count; i++) {
		const row = view.rows[i]!;
		const gap_us = Math.max(0, row.at_us - previous_us);
		if (i && gap_us > scale.cap_us) {
			layout.skipped_us[i] = gap_us;
			y += SKIP_CHIP;
		}
		if (i)
			y += Math.min(gap_us, scale.cap_us) * scale.pixelsPerUs;
		layout.top[i] = y;
		layout.height[i] = heightOf(row, view.folded[i]!, expanded?.get(row.index) ?? 0);
		layout.fall[i] = row.shape === "arrow" && !row.more ? fall : 0;
		y += layout.height[i]!;
		previous_us = Math.max(previous_us, row.at_us);
	}
	layout.total = y + 24;
	return layout;
}

/* Index of the row at a height: the last one whose top is not below it. */
export function rowAt(layout: Layout, y: number): number {
	let low = 0;
	let high = layout.top.length - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (layout.top[middle]! <= y)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* First and last row that touch the window from y over height, some more on both sides. */
export function rowsWithin(layout: Layout, y: number, height: number, more = 8): [number, number] {
	return [Math.max(0, rowAt(layout, y) - more), Math.min(layout.top.length - 1, rowAt(layout, y + height) + more)];
}
