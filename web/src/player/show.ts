// SPDX-License-Identifier: Apache-2.0
// Brings a section of the panel into sight and under the keys.

export function showSection(name: string): void {
	const section = document.getElementById(`panel-${name}`);
	section?.scrollIntoView({ block: "nearest" });
	section?.focus({ preventScroll: true });
}

/* The panel follows the head a moment later: once it shows the row whose id this is. */
export function showSectionOf(row: number, name: string, tries = 40): void {
	if (document.querySelector(`.panel[data-row="${row}"]`))
		showSection(name);
	else if (tries > 0)
		setTimeout(() => showSectionOf(row, name, tries - 1), 20);
}
