// Four fixed lanes over one axis: what can be restored, snapshots, writes per minute, events. One cursor through all of them.
//
// Drag on the lanes chooses a second, drag on the axis moves in time, Ctrl and the wheel zoom about the pointer. By keyboard: arrows go a
// second, with Shift a minute, with Alt an oplog entry; Page Up and Page Down go to the mark before and after; + and - zoom; Home and End go to
// the first and last second that can be restored.
import { Button, Group, Text } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import type { Snapshot, Timeline as TimelineData } from "../api/queries";
import { useZone } from "../app/zone";
import { bytes, counted, rateOf } from "../lib/format";
import { duration, secondsOf, shown, wallClock, zoneName } from "../lib/time";
import { bars as gather, barSeconds, clusters } from "./bins";
import { eventText, worst, type Event } from "./events";
import { gaps, lastSecond, type Range } from "./restorable";
import { at as instantAt, pan, PRESETS, showing, ticks, x as pixel, zoom, type View } from "./scale";

interface Props {
  view: View;
  onView: (view: View, follow: boolean) => void;
  follow: boolean;
  now: number;
  ranges: Range[];
  data: TimelineData | undefined;
  snapshots: Snapshot[];
  chosen: number | null;
  onChoose: (second: number) => void;
  /** Goes to the oplog entry before (-1) or after (1) what is chosen. */
  onEntry: (direction: 1 | -1) => void;
  /** From here on every second is kept; what lies before fades. */
  windowFrom: number;
}

const AXIS = 24;
const BAND = { y: AXIS + 6, h: 30 };
const SNAPS = { y: BAND.y + BAND.h + 8, h: 24 };
const WRITES = { y: SNAPS.y + SNAPS.h + 8, h: 66 };
const EVENTS = { y: WRITES.y + WRITES.h + 8, h: 24 };
const HEIGHT = EVENTS.y + EVENTS.h + 8;
/** Width from which lanes have their names beside them. */
const WIDE = 640;

export function Timeline(props: Props) {
  const { view, onView, follow, now, ranges, data, snapshots, chosen, onChoose, onEntry, windowFrom } = props;
  const { zone } = useZone();
  const { ref, width: measured } = useElementSize<HTMLDivElement>();
  const [hover, setHover] = useState<number | null>(null);
  const drag = useRef<{ kind: "choose" | "pan"; x: number; view: View } | null>(null);
  const svg = useRef<SVGSVGElement>(null);
  const full = Math.max(measured, 300);
  const gutter = full >= WIDE ? 92 : 0;
  const width = full - gutter;
  const x = (at: number) => gutter + pixel(view, width, at);
  const clip = (at: number) => Math.min(full, Math.max(gutter, x(at)));

  const chains = useMemo(() => data?.chains ?? [], [data]);
  const holes = useMemo(() => gaps(ranges, chains), [ranges, chains]);
  // The minute that is going on: rounded, so that the bars are not gathered anew every second.
  const minute = Math.ceil(now / 60) * 60;
  const bars = useMemo(
    () => gather(data?.bins ?? [], data?.binSeconds ?? 60, view, width, minute),
    [data, view, width, minute],
  );
  const top = Math.max(1, ...bars.map((b) => b.perMinute));
  const snaps = useMemo(
    () =>
      clusters(
        snapshots.filter((s) => s.state === "complete"),
        (s) => s.optime.t,
        view,
        width,
        9,
      ),
    [snapshots, view, width],
  );
  const events = useMemo(() => clusters<Event>(data?.events ?? [], (e) => e.at.t, view, width, 9), [data, view, width]);

  const first = ranges[0]?.from.t;
  const last = ranges.length ? lastSecond(ranges.at(-1)!) : undefined;

  // React listens to the wheel passively; zooming must keep the page where it is.
  const wheel = useRef<(event: WheelEvent) => void>(() => undefined);
  useEffect(() => {
    wheel.current = (event) => {
      const box = svg.current?.getBoundingClientRect();
      if (!box) return;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        const anchor = instantAt(view, width, event.clientX - box.left - gutter);
        onView(zoom(view, Math.exp(Math.max(-1, Math.min(1, event.deltaY / 150))), anchor), false);
      } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        onView(pan(view, (event.deltaX / width) * (view.to - view.from)), false);
      }
    };
  });
  useEffect(() => {
    const element = svg.current;
    const listen = (event: WheelEvent) => wheel.current(event);
    element?.addEventListener("wheel", listen, { passive: false });
    return () => element?.removeEventListener("wheel", listen);
  }, []);

  const secondOf = (event: PointerEvent) => {
    const box = svg.current!.getBoundingClientRect();
    const inside = Math.min(width, Math.max(0, event.clientX - box.left - gutter));
    return Math.round(instantAt(view, width, inside));
  };
  const onDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    const box = svg.current!.getBoundingClientRect();
    if (event.clientX - box.left < gutter) return;
    const kind = event.clientY - box.top < AXIS ? "pan" : "choose";
    drag.current = { kind, x: event.clientX, view };
    svg.current!.setPointerCapture(event.pointerId);
    if (kind === "choose") onChoose(secondOf(event));
  };
  const onMove = (event: PointerEvent) => {
    setHover(event.pointerType === "mouse" ? secondOf(event) : null);
    const held = drag.current;
    if (!held) return;
    if (held.kind === "choose") onChoose(secondOf(event));
    else onView(pan(held.view, ((held.x - event.clientX) / width) * (held.view.to - held.view.from)), false);
  };
  const onUp = () => {
    drag.current = null;
  };

  const marks = useMemo(
    () => [...snapshots.map((s) => s.optime.t), ...(data?.events ?? []).map((e) => e.at.t)].sort((a, b) => a - b),
    [snapshots, data],
  );
  const go = (second: number) => {
    onChoose(second);
    const moved = showing(view, second);
    if (moved !== view) onView(moved, false);
  };
  const onKey = (event: KeyboardEvent) => {
    const from = chosen ?? last ?? Math.floor(now);
    const forth = event.key === "ArrowRight" || event.key === "ArrowUp";
    const back = event.key === "ArrowLeft" || event.key === "ArrowDown";
    if (forth || back) {
      if (event.altKey) onEntry(forth ? 1 : -1);
      else go(from + (forth ? 1 : -1) * (event.shiftKey ? 60 : 1));
    } else if (event.key === "PageDown" || event.key === "PageUp") {
      const next = event.key === "PageDown" ? marks.find((m) => m > from) : marks.findLast((m) => m < from);
      if (next !== undefined) go(next);
    } else if (event.key === "Home" && first !== undefined) go(first);
    else if (event.key === "End" && last !== undefined) go(last);
    else if (event.key === "+" || event.key === "=") onView(zoom(view, 0.5, from), false);
    else if (event.key === "-") onView(zoom(view, 2, from), false);
    else return;
    event.preventDefault();
  };

  const span = view.to - view.from;
  const lag = last === undefined ? null : Math.max(0, now - last);
  const middle = view.from + span / 2;
  const preset = PRESETS.find((p) => Math.abs(p.seconds - span) < 1);
  const lanes = [
    { ...BAND, name: "Restorable" },
    { ...SNAPS, name: "Snapshots" },
    { ...WRITES, name: "Writes/min" },
    { ...EVENTS, name: "Events" },
  ];

  return (
    <div>
      <Group justify="space-between" mb="xs" gap="xs">
        <Group gap={4} role="group" aria-label="Width of the view">
          {PRESETS.map((p) => (
            <Button
              key={p.label}
              size="compact-sm"
              variant={preset === p ? "filled" : "default"}
              aria-pressed={preset === p}
              onClick={() =>
                follow
                  ? onView({ from: now - p.seconds, to: now }, true)
                  : onView({ from: middle - p.seconds / 2, to: middle + p.seconds / 2 }, false)
              }
            >
              {p.label}
            </Button>
          ))}
        </Group>
        <Group gap={4}>
          <Button
            size="compact-sm"
            variant="default"
            aria-label="Closer"
            onClick={() => onView(zoom(view, 0.5, chosen ?? middle), false)}
          >
            +
          </Button>
          <Button
            size="compact-sm"
            variant="default"
            aria-label="Wider"
            onClick={() => onView(zoom(view, 2, chosen ?? middle), false)}
          >
            −
          </Button>
          <Button
            size="compact-sm"
            variant="default"
            aria-label="Earlier"
            onClick={() => onView(pan(view, -span / 2), false)}
          >
            ←
          </Button>
          <Button
            size="compact-sm"
            variant="default"
            aria-label="Later"
            onClick={() => onView(pan(view, span / 2), false)}
          >
            →
          </Button>
          <Button
            size="compact-sm"
            variant={follow ? "filled" : "default"}
            aria-pressed={follow}
            onClick={() => onView({ from: now - span * 0.96, to: now + span * 0.04 }, true)}
          >
            Follow now
          </Button>
        </Group>
      </Group>
      <div
        ref={ref}
        className="hf-timeline"
        role="slider"
        tabIndex={0}
        aria-label="Chosen second"
        aria-valuemin={first ?? 0}
        aria-valuemax={last ?? Math.floor(now)}
        aria-valuenow={chosen ?? last ?? Math.floor(now)}
        aria-valuetext={chosen === null ? "none chosen" : shown(chosen, zone, now)}
        onKeyDown={onKey}
        data-testid="timeline"
      >
        <svg
          ref={svg}
          height={HEIGHT}
          viewBox={`0 0 ${full} ${HEIGHT}`}
          aria-hidden="true"
          onPointerDown={onDown}
          onPointerMove={onMove}
          onPointerUp={onUp}
          onPointerCancel={onUp}
          onPointerLeave={() => setHover(null)}
        >
          <defs>
            <pattern id="hf-hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <rect width="7" height="7" fill="var(--hf-red-soft)" />
              <rect width="2" height="7" fill="var(--hf-red)" />
            </pattern>
            <linearGradient id="hf-fade" x1="0" x2="1">
              <stop offset="0" stopColor="var(--hf-band)" stopOpacity="0.25" />
              <stop offset="1" stopColor="var(--hf-band)" stopOpacity="0.55" />
            </linearGradient>
            <clipPath id="hf-clip">
              <rect x={gutter} y="0" width={width} height={HEIGHT} />
            </clipPath>
          </defs>
          <rect x="0" y="0" width={full} height={AXIS} fill="var(--hf-soft)" style={{ cursor: "grab" }} />
          {lanes.map((lane) => (
            <g key={lane.name}>
              <line x1="0" x2={full} y1={lane.y - 4} y2={lane.y - 4} stroke="var(--hf-line)" />
              {gutter ? (
                <text x="12" y={lane.y + lane.h / 2 + 4}>
                  {lane.name}
                </text>
              ) : null}
            </g>
          ))}
          {gutter ? (
            <text x="12" y="16">
              {zoneName(middle, zone)}
            </text>
          ) : null}
          <g clipPath="url(#hf-clip)">
            {ticks(view, width, zone).map((tick) => (
              <g key={tick.at}>
                <line
                  x1={x(tick.at)}
                  x2={x(tick.at)}
                  y1={AXIS - 5}
                  y2={HEIGHT}
                  stroke="var(--hf-line)"
                  strokeWidth={tick.strong ? 1.5 : 1}
                />
                <text x={x(tick.at) + 4} y="15" className={tick.strong ? "hf-strong" : undefined}>
                  {tick.label}
                </text>
              </g>
            ))}
            {ranges.map((range) => {
              const [a, b] = [clip(range.from.t), clip(range.to.t)];
              const fade = clip(Math.min(Math.max(windowFrom, range.from.t), range.to.t));
              return (
                <g key={range.from.t}>
                  {fade > a ? <rect x={a} y={BAND.y} width={fade - a} height={BAND.h} fill="url(#hf-fade)" /> : null}
                  <rect
                    x={fade}
                    y={BAND.y}
                    width={b > gutter && a < full ? Math.max(2, b - fade) : 0}
                    height={BAND.h}
                    fill="var(--hf-band)"
                    rx="2"
                  />
                </g>
              );
            })}
            {holes.map((hole) => {
              const [a, b] = [clip(hole.from), clip(hole.to)];
              return (
                <g key={hole.from}>
                  <rect x={a} y={BAND.y} width={Math.max(2, b - a)} height={BAND.h} fill="url(#hf-hatch)" />
                  {b - a > 150 ? (
                    <g>
                      <rect
                        x={a + 4}
                        y={BAND.y + 6}
                        width={Math.min(b - a - 8, hole.reason.length * 6 + 14)}
                        height={18}
                        fill="var(--hf-surface)"
                        rx="3"
                      />
                      <text x={a + 10} y={BAND.y + 19} className="hf-strong">
                        {hole.reason}
                      </text>
                    </g>
                  ) : null}
                </g>
              );
            })}
            {snaps.map(({ at, items }) => {
              const [cx, cy] = [x(at), SNAPS.y + SNAPS.h / 2];
              const proved = items.some((s) => s.proof === "good");
              const bad = items.some((s) => s.proof === "failed" || s.proof === "damaged");
              const label =
                items.length === 1 ? snapshotTitle(items[0]!, zone, now) : counted(items.length, "snapshot");
              return (
                <g key={`${at}-${items.length}`}>
                  <title>{label}</title>
                  <rect x={cx - 6} y={SNAPS.y} width="12" height={SNAPS.h} fill="transparent" />
                  {bad ? (
                    <path d={`M${cx} ${cy - 6}l6 11h-12Z`} fill="var(--hf-red)" />
                  ) : (
                    <circle
                      cx={cx}
                      cy={cy}
                      r={items.length > 1 ? 5 : 4}
                      fill={proved ? "var(--hf-green)" : "var(--hf-surface)"}
                      stroke={proved ? "var(--hf-green)" : "var(--hf-grey)"}
                      strokeWidth="1.8"
                    />
                  )}
                </g>
              );
            })}
            {bars.map((bin) => {
              const h = (bin.perMinute / top) * (WRITES.h - 14);
              const [a, b] = [x(bin.from), x(bin.to)];
              return (
                <rect
                  key={bin.from}
                  x={a + 0.5}
                  y={WRITES.y + WRITES.h - h}
                  width={Math.max(1, b - a - 1)}
                  height={h}
                  fill="var(--hf-bars)"
                  opacity="0.75"
                >
                  <title>{`${wallClock(bin.from, zone)}: ${rateOf(bin.perMinute)} writes a minute`}</title>
                </rect>
              );
            })}
            {bars.length ? (
              <text x={gutter + 6} y={WRITES.y + 9}>
                {`most: ${rateOf(top)}/min`}
              </text>
            ) : (
              <text x={gutter + 6} y={WRITES.y + WRITES.h / 2 + 4}>
                {data ? "no writes here" : "reading"}
              </text>
            )}
            {events.map(({ at, items }) => {
              const [cx, cy] = [x(at), EVENTS.y + EVENTS.h / 2];
              const label = items.slice(0, 6).map((e) => `${wallClock(e.at.t, zone)} ${eventText(e)}`);
              if (items.length > 6) label.push(`and ${items.length - 6} more`);
              return (
                <g key={`${at}-${items.length}`}>
                  <title>{label.join("\n")}</title>
                  <rect x={cx - 6} y={EVENTS.y} width="12" height={EVENTS.h} fill="transparent" />
                  <Glyph kind={worst(items)} x={cx} y={cy} />
                </g>
              );
            })}
            {now >= view.from && now <= view.to ? (
              <g>
                <line x1={x(now)} x2={x(now)} y1={AXIS - 4} y2={HEIGHT} stroke="var(--hf-dim)" strokeDasharray="3 3" />
                <rect
                  x={x(now)}
                  y={AXIS}
                  width={Math.max(0, full - x(now))}
                  height={HEIGHT}
                  fill="var(--hf-soft)"
                  opacity="0.7"
                />
              </g>
            ) : null}
            {hover !== null ? (
              <g pointerEvents="none">
                <line x1={x(hover)} x2={x(hover)} y1={AXIS} y2={HEIGHT} stroke="var(--hf-dim)" />
                <Flag x={x(hover)} text={wallClock(hover, zone)} left={gutter} right={full} y={EVENTS.y + 5} />
              </g>
            ) : null}
            {chosen !== null ? (
              <g pointerEvents="none">
                <line x1={x(chosen)} x2={x(chosen)} y1={AXIS} y2={HEIGHT} stroke="var(--hf-cursor)" strokeWidth="2" />
                <Flag x={x(chosen)} text={wallClock(chosen, zone)} left={gutter} right={full} y={3} strong />
              </g>
            ) : null}
          </g>
        </svg>
      </div>
      <Group justify="space-between" mt={6} gap="xs">
        <Text size="xs" className="hf-dim hf-num">
          {duration(span)} shown · a bar is {duration(barSeconds(view, width, data?.binSeconds ?? 60))}
          {data?.behind ? " · what was written last is still being counted" : ""}
        </Text>
        <Text size="xs" className="hf-dim hf-num">
          {lag === null
            ? "nothing can be restored yet"
            : `the last restorable second is ${duration(Math.floor(lag))} behind now`}
        </Text>
      </Group>
      <Text size="xs" className="hf-dim" mt={2} visibleFrom="sm">
        Drag to choose a second. Arrow keys: second, Shift: minute, Alt: oplog entry, Page Up and Down: mark. Ctrl and
        wheel: zoom. ○ not proved ● proved ✕ drop □ index ◇ other command △ election
      </Text>
    </div>
  );
}

function Glyph({ kind, x, y }: { kind: Event["kind"]; x: number; y: number }) {
  if (kind === "drop") return <path d={`M${x - 4} ${y - 4}l8 8m0 -8l-8 8`} stroke="var(--hf-ink)" strokeWidth="2" />;
  const shape =
    kind === "index"
      ? `M${x - 4} ${y - 4}h8v8h-8Z`
      : kind === "election"
        ? `M${x} ${y - 5}l5 9h-10Z`
        : `M${x} ${y - 5}l4.5 5 -4.5 5 -4.5 -5Z`;
  return <path d={shape} fill="var(--hf-surface)" stroke="var(--hf-dim)" strokeWidth="1.6" />;
}

function Flag({
  x,
  text,
  left,
  right,
  y,
  strong,
}: {
  x: number;
  text: string;
  left: number;
  right: number;
  y: number;
  strong?: boolean;
}) {
  const width = text.length * 6.4 + 12;
  const at = Math.min(right - width - 2, Math.max(left + 2, x - width / 2));
  return (
    <g>
      <rect
        x={at}
        y={y}
        width={width}
        height="18"
        rx="3"
        fill={strong ? "var(--hf-cursor)" : "var(--hf-surface)"}
        stroke="var(--hf-line)"
      />
      <text x={at + 6} y={y + 13} style={{ fill: strong ? "var(--hf-surface)" : "var(--hf-ink)" }}>
        {text}
      </text>
    </g>
  );
}

function snapshotTitle(s: Snapshot, zone: string, now: number): string {
  const seconds = secondsOf(s.at) ?? s.optime.t;
  const name = s.label ? ` "${s.label}"` : "";
  const proof = s.proof === "good" ? ", proved" : s.proof === "none" ? ", not proved" : `, ${s.proof}`;
  return `Snapshot${name} of ${shown(seconds, zone, now)}: ${bytes(s.logicalBytes)}${s.pinned ? ", pinned" : ""}${proof}`;
}
