// SPDX-License-Identifier: Apache-2.0
// The film's clock: how long each row stays, where the head is after some time, and where a step leads.
// The head is a number: its whole part is a place in View.rows, the rest how much of its time is over.
import type { TimeMode } from "./layout.ts";
import type { Model, View } from "./model.ts";

export const SPEED_MIN = 0.1;
export const SPEED_MAX = 100;
const BEAT_MS = 800;
const CONTINUED_MS = 110;
const SQUEEZED_MIN_MS = 40;
const SQUEEZED_MAX_MS = 500;

export type StepBy = "line" | "command" | "phase";
export const STEPS: readonly StepBy[] = ["line", "command", "phase"];

/* Milliseconds from each row to the next, at speed 1. */
export function durationsOf(view: View, mode: TimeMode): Float64Array {
	const durations = new Float64Array(view.rows.length);
	for (let i = 0; i + 1 < view.rows.length; i++) {
		const row = view.rows[i]!;
		const next = view.rows[i + 1]!;
		const gap_ms = Math.max(0, next.at_us - row.at_us) / 1000;
		const isTogether = next.group > 0 && next.group === row.group && next.event.kind === "command";
		if (mode === "real")
			durations[i] = gap_ms;
		else if (isTogether)
			durations[i] = 0;
		else if (mode === "squeezed")
			durations[i] = Math.min(SQUEEZED_MAX_MS, Math.max(next.continues ? 0 : SQUEEZED_MIN_MS, gap_ms));
		else
			durations[i] = next.continues ? CONTINUED_MS : BEAT_MS;
	}
	return durations;
}

/* The head after `ms` more; it stops on the last row. */
export function advance(durations: Float64Array, head: number, ms: number): number {
	const last = durations.length - 1;
	if (last < 0)
		return 0;
	let place = Math.min(last, Math.max(0, Math.floor(head)));
	let left = ms + (head - place) * durations[place]!;
	while (place < last && left >= durations[place]!)
		left -= durations[place++]!;
	return place >= last ? last : place + (durations[place]! > 0 ? left / durations[place]! : 0);
}

/* Where each step lands: every row, the first row of each command (or of a group that left together), of each phase. */
export function isStop(view: View, place: number, by: StepBy): boolean {
	const row = view.rows[place];
	const before = view.rows[place - 1];
	if (!row || !before || by === "line")
		return true;
	if (by === "phase")
		return row.phase !== before.phase;
	if (row.group && row.group === before.group && row.event.kind === "command")
		return false;
	return row.event.kind === "command" || row.exchange !== before.exchange && row.event.kind !== "reply" || row.shape === "end";
}

export function step(view: View, head: number, by: StepBy, direction: 1 | -1): number {
	const last = view.rows.length - 1;
	if (last < 0)
		return 0;
	const place = Math.min(last, Math.max(0, Math.floor(head)));
	if (direction < 0 && head > place && isStop(view, place, by))
		return place;
	let next = place + direction;
	while (next > 0 && next < last && !isStop(view, next, by))
		next += direction;
	return Math.min(last, Math.max(0, next));
}

/* The next row from here that was refused, delayed or failed; the place itself when there is none. */
export function nextError(model: Model, view: View, head: number, direction: 1 | -1): number {
	const place = Math.floor(head);
	const places = model.errors.map((index) => view.placeOf[index]!).filter((one) => direction > 0 ? one > place : one < place);
	return (direction > 0 ? places[0] : places.at(-1)) ?? place;
}

/* A slider from 0 to 1 and speeds from 0.1 to 100: each third of the way is ten times faster. */
export function speedOf(position: number): number {
	return SPEED_MIN * 10 ** (3 * Math.min(1, Math.max(0, position)));
}

export function positionOf(speed: number): number {
	return Math.log10(Math.min(SPEED_MAX, Math.max(SPEED_MIN, speed)) / SPEED_MIN) / 3;
}

/* Two and a half steps per factor of ten, rounded to what one would say. */
const SPEEDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];

export function nextSpeed(speed: number, direction: 1 | -1): number {
	const choice = direction > 0 ? SPEEDS.find((one) => one > speed * 1.01) : SPEEDS.findLast((one) => one < speed * 0.99);
	return choice ?? (direction > 0 ? SPEED_MAX : SPEED_MIN);
}
