// SPDX-License-Identifier: Apache-2.0

/* Where the RFCs say so; each place once. */
export function Sections({ rfc }: { rfc: [string, string][] | undefined }) {
	if (!Array.isArray(rfc) || !rfc.length)
		return null;
	const places = [...new Map(rfc.map((one) => [one.join(" "), one])).values()];
	return (
		<p class="rfc">
			{places.map(([document, section]) => (
				<a key={document + section} rel="noopener noreferrer" target="_blank"
					href={`https://www.rfc-editor.org/rfc/rfc${encodeURIComponent(document)}${/^\d/.test(section) ? `#section-${encodeURIComponent(section)}` : ""}`}>
					RFC {document}{section && ` §${section}`}
				</a>
			))}
		</p>
	);
}
