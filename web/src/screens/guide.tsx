// SPDX-License-Identifier: Apache-2.0
// The guide.
import { CodesScreen } from "./codes.tsx";

export function GuideScreen({ at }: { id: string; at: string; info: unknown }) {
	return <CodesScreen chosen={at} />;
}
