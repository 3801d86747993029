// SPDX-License-Identifier: Apache-2.0
// Numbers for people.
import { language, t } from "./text.ts";

const formats = new Map<string, Intl.NumberFormat>();

/* A format costs more to make than a thousand numbers to write. */
function plain(value: number, digits: number): string {
	const key = `${language()}/${digits}`;
	let format = formats.get(key);
	if (!format) {
		format = new Intl.NumberFormat(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
		formats.set(key, format);
	}
	return format.format(value);
}

/* Three figures that can be read at a glance, from microseconds to days. */
export function span(us: number): string {
	const size = Math.abs(us);
	if (size < 1000)
		return `${plain(us, 0)} µs`;
	if (size < 10_000)
		return `${plain(us / 1000, 2)} ms`;
	if (size < 1_000_000)
		return `${plain(us / 1000, size < 100_000 ? 1 : 0)} ms`;
	if (size < 60_000_000)
		return `${plain(us / 1e6, size < 10_000_000 ? 2 : 1)} s`;
	if (size < 3_600_000_000)
		return `${Math.floor(size / 6e7)} min ${Math.round((size % 6e7) / 1e6)} s`;
	if (size < 86_400_000_000)
		return `${Math.floor(size / 3.6e9)} h ${Math.round((size % 3.6e9) / 6e7)} min`;
	return t("format.days", { days: plain(size / 8.64e10, 1) });
}

/* The column of the ladder: since the session's beginning. */
export function since(us: number): string {
	if (us < 10_000_000)
		return plain(us / 1000, us < 1_000_000 ? 1 : 0);
	return `${plain(us / 1e6, 1)} s`;
}

export function octets(count: number): string {
	if (count < 1024)
		return t("format.octets", { n: count, count: plain(count, 0) });
	if (count < 1 << 20)
		return `${plain(count / 1024, 1)} KiB`;
	if (count < 1 << 30)
		return `${plain(count / (1 << 20), 1)} MiB`;
	return `${plain(count / (1 << 30), 1)} GiB`;
}

export function clock(time: string | number): string {
	const date = new Date(time);
	return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString(language(), { hour12: false });
}

export function day(time: string | number): string {
	const date = new Date(time);
	if (Number.isNaN(date.getTime()))
		return "";
	if (date.toDateString() === new Date().toDateString())
		return t("format.today");
	return date.toLocaleDateString(language(), { day: "numeric", month: "short", year: "numeric" });
}

export function moment(time: string | number): string {
	return `${day(time)} ${clock(time)}`.trim();
}
