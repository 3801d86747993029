// SPDX-License-Identifier: Apache-2.0
// The overview strip and the transport: play, steps, speed, kind of time, lanes.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { positionOf, speedOf, STEPS, type StepBy } from "../ladder/clock.ts";
import { TIME_MODES, type TimeMode } from "../ladder/layout.ts";
import type { SideLane } from "../ladder/model.ts";
import { sentence } from "../ladder/say.ts";
import { Icon } from "../parts/icons.tsx";
import { t } from "../text.ts";
import type { Player } from "./player.ts";

export function Overview({ player, version, heads }: { player: Player; version: number; heads: Set<() => void> }) {
	const bar = useRef<HTMLDivElement>(null);
	const knob = useRef<HTMLElement>(null);
	const done = useRef<HTMLElement>(null);
	const place = () => {
		const percent = player.position * 100;
		knob.current?.style.setProperty("left", `${percent}%`);
		done.current?.style.setProperty("width", `${percent}%`);
	};
	useLayoutEffect(place, [version]);
	useLayoutEffect(() => {
		heads.add(place);
		return () => void heads.delete(place);
	}, [heads]);
	const seek = (event: PointerEvent) => {
		const box = bar.current!.getBoundingClientRect();
		player.pause();
		player.seekStrip(Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width))));
	};
	const row = player.view.rows[player.place];
	const drawn = useMemo(() => (
		<div class="segments">
			{player.strip.segments.map((segment) => (
				<span key={segment.first} class={`segment phase-${segment.phase}`} style={{ left: `${segment.from * 100}%`, width: `${(segment.to - segment.from) * 100}%` }} title={t(`phase.${segment.phase}`)}>
					{segment.to - segment.from > 0.06 && <span>{t(`phase.${segment.phase}`)}</span>}
				</span>
			))}
			{player.strip.marks.map((mark) => <i key={mark} class="trouble-mark" style={{ left: `${mark * 100}%` }} />)}
		</div>
	), [player.strip]);
	return (
		<div class="overview" ref={bar} role="slider" tabIndex={0} aria-label={t("player.scrub")} aria-valuemin={0} aria-valuemax={Math.max(0, player.view.rows.length - 1)}
			aria-valuenow={player.place} aria-valuetext={row ? sentence(player.model, row) : ""}
			onPointerDown={(event) => {
				event.currentTarget.setPointerCapture(event.pointerId);
				seek(event);
			}}
			onPointerMove={(event) => {
				if (event.buttons & 1)
					seek(event);
			}}>
			{drawn}
			<i class="done" ref={done} />
			<i class="knob" ref={knob} />
		</div>
	);
}

function Button({ icon, label, onClick, main, keys }: { icon: string; label: string; onClick: () => void; main?: boolean; keys: string }) {
	return (
		<button type="button" class={main ? "round main" : "round"} onClick={onClick} aria-label={label} title={`${label} (${keys})`}>
			<Icon name={icon} size={main ? 22 : 18} />
		</button>
	);
}

export function Transport({ player }: { player: Player; version: number }) {
	const isMoving = player.isPlaying || player.isFollowing;
	/* On a narrow screen the rest waits behind a button, so that the ladder has the room. */
	const [isMore, setMore] = useState(false);
	return (
		<div class={`transport ${isMore ? "is-more" : ""}`}>
			<div class="buttons" role="group" aria-label={t("player.transport")}>
				<Button icon="begin" label={t("player.begin")} keys="Home" onClick={() => player.seek(0)} />
				<Button icon="back" label={t("player.back")} keys="←" onClick={() => player.step(-1)} />
				<Button icon={isMoving ? "pause" : "play"} label={t(isMoving ? "player.pause" : "player.play")} keys={t("key.space")} main onClick={() => player.toggle()} />
				<Button icon="forward" label={t("player.forward")} keys="→" onClick={() => player.step(1)} />
				<Button icon="end" label={t("player.end")} keys="End" onClick={() => player.seek(player.view.rows.length - 1)} />
			</div>
			<button type="button" class="round more-button" aria-expanded={isMore} aria-label={t("player.more")} title={t("player.more")} onClick={() => setMore(!isMore)}><Icon name="sliders" size={18} /></button>
			{player.isLive && (
				<button type="button" class={`live-button ${player.isFollowing ? "is-on" : ""}`} aria-pressed={player.isFollowing} onClick={() => player.follow()}>
					<Icon name="dot" size={14} />{t("player.live")}
				</button>
			)}
			<label class="speed" title={`${t("player.speed")} ([ ])`}>
				<span>{t("player.speed")}</span>
				<input type="range" min="0" max="1" step="0.01" value={positionOf(player.speed)} aria-valuetext={`${shownSpeed(player.speed)}×`}
					onInput={(event) => player.setSpeed(speedOf(Number(event.currentTarget.value)))} />
				<output>{shownSpeed(player.speed)}×</output>
			</label>
			<Choice name="time" label={t("player.time")} values={TIME_MODES} now={player.mode} onChoose={(mode) => player.setMode(mode as TimeMode)} />
			<Choice name="step" label={t("player.step")} values={STEPS} now={player.stepBy} onChoose={(by) => player.setStepBy(by as StepBy)} />
			{player.model.lanes.length > 0 && (
				<div class="choice lanes-choice" role="group" aria-label={t("player.lanes")}>
					<span class="choice-name">{t("player.lanes")}</span>
					{player.model.lanes.map((lane) => (
						<button key={lane} type="button" aria-pressed={player.open.has(lane)} onClick={() => player.setOpen(toggled(player.open, lane))}>{t(`lane.${lane}`)}</button>
					))}
				</div>
			)}
		</div>
	);
}

export function toggled(open: ReadonlySet<SideLane>, lane: SideLane): ReadonlySet<SideLane> {
	const next = new Set(open);
	if (!next.delete(lane))
		next.add(lane);
	return next;
}

function shownSpeed(speed: number): string {
	return speed < 10 ? String(Math.round(speed * 10) / 10) : String(Math.round(speed));
}

function Choice({ name, label, values, now, onChoose }: { name: string; label: string; values: readonly string[]; now: string; onChoose: (value: string) => void }) {
	return (
		<div class={`choice ${name}-choice`} role="group" aria-label={label}>
			<span class="choice-name">{label}</span>
			{values.map((value) => <button key={value} type="button" aria-pressed={value === now} onClick={() => onChoose(value)}>{t(`${name}.${value}`)}</button>)}
		</div>
	);
}
