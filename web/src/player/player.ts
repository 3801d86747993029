// SPDX-License-Identifier: Apache-2.0
// The film as it is shown: events in, one head that plays, steps, scrubs or follows. No DOM but the
// frame clock; the components draw what `watch` tells them.
import { advance, durationsOf, nextError, nextSpeed, SPEED_MAX, SPEED_MIN, step, type StepBy } from "../ladder/clock.ts";
import type { TimeMode } from "../ladder/layout.ts";
import { modelOf, viewOf, type Model, type SideLane, type View } from "../ladder/model.ts";
import { headAt, positionInStrip, stripOf, type Strip } from "../ladder/strip.ts";
import { Gathering, type Source } from "../trace/source.ts";
import type { TraceEvent } from "../trace/event.ts";

export class Player {
	private readonly gathering = new Gathering();
	model: Model = modelOf([]);
	view: View = viewOf(this.model, new Set());
	durations: Float64Array = new Float64Array(0);
	strip: Strip = stripOf(this.view, this.durations);
	open: ReadonlySet<SideLane> = new Set();
	mode: TimeMode = "even";
	stepBy: StepBy = "line";
	speed = 1;
	head = 0;
	isPlaying = false;
	/* The head stays with what happens now. */
	isFollowing = false;
	isLive = false;
	private last_ms = 0;
	private frame = 0;
	private waiting: TraceEvent[] = [];
	private drawFrame = 0;
	private stopFollowing: (() => void) | null = null;

	/* `onRow` when what is drawn changes, `onHead` at every movement of the head. */
	constructor(readonly source: Source, private readonly onRow: () => void, private readonly onHead: () => void) {}

	async start(isOpen: boolean): Promise<void> {
		if (this.source.follow && isOpen) {
			this.isLive = true;
			this.isFollowing = true;
			this.stopFollowing = this.source.follow((events) => this.arrive(events));
		}
		this.gathering.add(await this.source.load());
		this.rebuild();
		if (this.isFollowing)
			this.head = Math.max(0, this.view.rows.length - 1);
		this.onRow();
	}

	end(): void {
		cancelAnimationFrame(this.frame);
		cancelAnimationFrame(this.drawFrame);
		this.stopFollowing?.();
	}

	get events(): readonly TraceEvent[] {
		return this.gathering.events;
	}

	get place(): number {
		return Math.max(0, Math.min(this.view.rows.length - 1, Math.floor(this.head)));
	}

	get position(): number {
		return positionInStrip(this.strip, this.head);
	}

	private arrive(events: TraceEvent[]): void {
		/* One by one: a long session that is told again is more than a call takes arguments. */
		for (const event of events)
			this.waiting.push(event);
		if (!this.drawFrame)
			this.drawFrame = requestAnimationFrame(() => {
				this.drawFrame = 0;
				const wereAtEnd = this.isFollowing;
				if (!this.gathering.add(this.waiting.splice(0)))
					return;
				this.rebuild();
				if (wereAtEnd)
					this.head = this.view.rows.length - 1;
				this.onRow();
			});
	}

	private rebuild(): void {
		const current = this.view.rows[this.place];
		const rest = this.head - this.place;
		const event = current?.event;
		this.model = modelOf(this.gathering.events);
		this.view = viewOf(this.model, this.open);
		this.durations = durationsOf(this.view, this.mode);
		this.strip = stripOf(this.view, this.durations);
		if (this.model.isOver && this.isLive) {
			this.isLive = false;
			this.stopFollowing?.();
			this.stopFollowing = null;
		}
		/* Rows may have come in before the head; it stays with its event. */
		if (event && this.view.rows[this.place]?.event !== event) {
			const row = this.model.rows.find((one) => one.event === event);
			this.head = (row ? this.view.placeOf[row.index]! : 0) + rest;
		}
	}

	private moved(head: number): void {
		const before = this.place;
		this.head = Math.max(0, Math.min(head, this.view.rows.length - 1));
		this.onHead();
		if (this.place !== before)
			this.onRow();
	}

	seek(head: number): void {
		this.isFollowing = false;
		this.moved(head);
	}

	seekStrip(position: number): void {
		this.seek(headAt(this.strip, position));
	}

	step(direction: 1 | -1, by: StepBy = this.stepBy): void {
		this.pause();
		this.seek(step(this.view, this.head, by, direction));
	}

	toError(direction: 1 | -1): void {
		this.pause();
		this.seek(nextError(this.model, this.view, this.head, direction));
	}

	follow(): void {
		this.pause();
		this.isFollowing = this.isLive;
		this.moved(this.view.rows.length - 1);
		this.onRow();
	}

	play(): void {
		if (this.isPlaying)
			return;
		/* A film that has ended begins again. */
		if (this.head >= this.view.rows.length - 1)
			this.head = 0;
		this.isFollowing = false;
		this.isPlaying = true;
		this.last_ms = performance.now();
		this.frame = requestAnimationFrame((now) => this.tick(now));
		this.onRow();
	}

	pause(): void {
		const wasMoving = this.isPlaying || this.isFollowing;
		this.isPlaying = false;
		this.isFollowing = false;
		cancelAnimationFrame(this.frame);
		if (wasMoving)
			this.onRow();
	}

	toggle(): void {
		if (this.isPlaying || this.isFollowing)
			this.pause();
		else
			this.play();
	}

	private tick(now: number): void {
		if (!this.isPlaying)
			return;
		const passed = Math.min(250, Math.max(0, now - this.last_ms));
		this.last_ms = now;
		this.moved(advance(this.durations, this.head, passed * this.speed));
		if (this.head < this.view.rows.length - 1) {
			this.frame = requestAnimationFrame((next) => this.tick(next));
		} else {
			this.isPlaying = false;
			/* Who has played up to now in a running session, sees it go on. */
			this.isFollowing = this.isLive;
			this.onRow();
		}
	}

	setSpeed(speed: number): void {
		this.speed = Math.min(SPEED_MAX, Math.max(SPEED_MIN, speed));
		this.onRow();
	}

	faster(direction: 1 | -1): void {
		this.setSpeed(nextSpeed(this.speed, direction));
	}

	setMode(mode: TimeMode): void {
		this.mode = mode;
		this.durations = durationsOf(this.view, mode);
		this.strip = stripOf(this.view, this.durations);
		this.onRow();
	}

	setStepBy(by: StepBy): void {
		this.stepBy = by;
		this.onRow();
	}

	setOpen(open: ReadonlySet<SideLane>): void {
		const index = this.view.rows[this.place]?.index ?? 0;
		this.open = open;
		this.view = viewOf(this.model, open);
		this.durations = durationsOf(this.view, this.mode);
		this.strip = stripOf(this.view, this.durations);
		this.head = this.view.placeOf[index] ?? 0;
		this.onRow();
	}

	/* The next row after the head, in circles, whose words have `words` in them. */
	find(words: string, say: (event: TraceEvent) => string): boolean {
		const wanted = words.toLowerCase();
		const count = this.view.rows.length;
		for (let i = 1; i <= count; i++) {
			const place = (this.place + i) % count;
			if (say(this.view.rows[place]!.event).toLowerCase().includes(wanted)) {
				this.pause();
				this.seek(place);
				return true;
			}
		}
		return false;
	}
}
