// SPDX-License-Identifier: Apache-2.0
// Values that several parts of the page look at.
import { useEffect, useState } from "preact/hooks";

export class Watched<T> {
	private readers = new Set<(value: T) => void>();

	constructor(public value: T) {}

	set(value: T): void {
		this.value = value;
		for (const reader of [...this.readers])
			reader(value);
	}

	watch(reader: (value: T) => void): () => void {
		this.readers.add(reader);
		return () => this.readers.delete(reader);
	}
}

export function useWatched<T>(watched: Watched<T>): T {
	const [value, setValue] = useState(watched.value);
	useEffect(() => {
		setValue(watched.value);
		return watched.watch((next) => setValue(() => next));
	}, [watched]);
	return value;
}
