// SPDX-License-Identifier: Apache-2.0
// One time axis for a whole journey. Hours of waiting between milliseconds of talking would hide the
// talking, so what lasts long is squeezed, and says so. Pure.
import type { Journey } from "./model.ts";

export interface Piece {
	from_us: number;
	to_us: number;
	/* From 0 to 1. */
	x: number;
	width: number;
	squeezed: boolean;
}

export interface Axis {
	pieces: Piece[];
}

/* However long it lasts, a piece grows only with the logarithm; however short, it can be seen. */
function weightOf(us: number): number {
	return 1 + Math.log10(1 + us / 1000) * 1.6;
}

export function axisOf(journey: Journey): Axis {
	const times = new Set<number>([journey.begin_us, journey.end_us]);
	for (const track of [journey.shared, ...journey.tracks])
		for (const span of track.spans) {
			times.add(span.from_us);
			times.add(span.to_us);
		}
	const sorted = [...times].sort((a, b) => a - b);
	const weights: number[] = [];
	for (let i = 1; i < sorted.length; i++)
		weights.push(weightOf(sorted[i]! - sorted[i - 1]!));
	const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
	const usPerWeight = (sorted.at(-1)! - sorted[0]!) / total;
	const pieces: Piece[] = [];
	let x = 0;
	weights.forEach((weight, i) => {
		const width = weight / total;
		const us = sorted[i + 1]! - sorted[i]!;
		pieces.push({ from_us: sorted[i]!, to_us: sorted[i + 1]!, x, width, squeezed: us > 1_000_000 && us / weight > 1.05 * usPerWeight });
		x += width;
	});
	return { pieces };
}

export function xOf(axis: Axis, at_us: number): number {
	const last = axis.pieces.at(-1);
	for (const piece of axis.pieces)
		if (at_us <= piece.to_us)
			return at_us <= piece.from_us ? piece.x : piece.x + piece.width * (at_us - piece.from_us) / (piece.to_us - piece.from_us);
	return last ? 1 : 0;
}

/* Times that are worth a word under the axis, no two nearer than `apart`. */
export function ticksOf(axis: Axis, apart: number): { at_us: number; x: number }[] {
	const ticks: { at_us: number; x: number }[] = [];
	for (const piece of axis.pieces)
		if (!ticks.length || piece.x - ticks.at(-1)!.x >= apart)
			ticks.push({ at_us: piece.from_us, x: piece.x });
	const last = axis.pieces.at(-1);
	if (last && 1 - (ticks.at(-1)?.x ?? 0) >= apart)
		ticks.push({ at_us: last.to_us, x: 1 });
	return ticks;
}
