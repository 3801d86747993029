// SPDX-License-Identifier: Apache-2.0
// The whole film as one strip: which phase lies where, and which place of the strip is which row. Pure.
import type { Phase, View } from "./model.ts";

export interface Strip {
	/* From 0 to 1, one for each row: where it begins. */
	begin: Float64Array;
	segments: { phase: Phase; from: number; to: number; first: number }[];
	marks: number[];
}

/* A phase that lasts nothing in the chosen time can still be seen and hit. */
const SHARE_OF_ROWS = 0.25;
const SEGMENTS_MAX = 400;

export function stripOf(view: View, durations: Float64Array): Strip {
	const count = view.rows.length;
	const begin = new Float64Array(count);
	let total = 0;
	for (const one of durations)
		total += one;
	const byTime = total > 0 ? 1 - SHARE_OF_ROWS : 0;
	let sum = 0;
	for (let i = 0; i < count; i++) {
		begin[i] = (total > 0 ? sum / total : 0) * byTime + (count > 1 ? i / count : 0) * (1 - byTime);
		sum += durations[i]!;
	}
	const segments: Strip["segments"] = [];
	for (let i = 0; i < count; i++) {
		const row = view.rows[i]!;
		const last = segments.at(-1);
		const isTiny = segments.length >= SEGMENTS_MAX || (last && begin[i]! - last.from < 1 / SEGMENTS_MAX);
		if (last && (last.phase === row.phase || isTiny))
			continue;
		if (last)
			last.to = begin[i]!;
		segments.push({ phase: row.phase, from: begin[i]!, to: 1, first: i });
	}
	const marks: number[] = [];
	view.rows.forEach((row, i) => {
		if ((row.tone === "bad" || row.tone === "wait") && (!marks.length || begin[i]! - marks.at(-1)! > 1 / SEGMENTS_MAX))
			marks.push(begin[i]!);
	});
	return { begin, segments, marks };
}

export function positionInStrip(strip: Strip, head: number): number {
	const place = Math.floor(head);
	const from = strip.begin[place] ?? 0;
	const to = strip.begin[place + 1] ?? 1;
	return from + (to - from) * (head - place);
}

export function headAt(strip: Strip, position: number): number {
	let low = 0;
	let high = strip.begin.length - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (strip.begin[middle]! <= position)
			low = middle;
		else
			high = middle - 1;
	}
	return Math.max(0, low);
}
