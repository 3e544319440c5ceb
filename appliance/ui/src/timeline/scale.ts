// The timeline's window on time: zoom, pan, ticks. Pure: seconds in, seconds and pixels out.

import { fieldsOf, instantsOf, offsetOf } from "../lib/time";

export interface View {
  /** Seconds since 1970. */
  from: number;
  to: number;
}

/** The closest look: 20 seconds on the whole width. */
export const SPAN_SECONDS_MIN = 20;
/** The widest: a year and a month. */
export const SPAN_SECONDS_MAX = 396 * 86_400;

export const PRESETS: { label: string; seconds: number }[] = [
  { label: "1 min", seconds: 60 },
  { label: "15 min", seconds: 900 },
  { label: "1 h", seconds: 3600 },
  { label: "6 h", seconds: 21_600 },
  { label: "1 d", seconds: 86_400 },
  { label: "7 d", seconds: 7 * 86_400 },
  { label: "30 d", seconds: 30 * 86_400 },
  { label: "1 y", seconds: 365 * 86_400 },
];

export function clampSpan(seconds: number): number {
  return Math.min(SPAN_SECONDS_MAX, Math.max(SPAN_SECONDS_MIN, seconds));
}

/** Zooms about an instant that stays where it is. `factor` below 1 looks closer. */
export function zoom(view: View, factor: number, anchor: number): View {
  const span = view.to - view.from;
  const next = clampSpan(span * factor);
  const share = span > 0 ? (anchor - view.from) / span : 0.5;
  const from = anchor - share * next;
  return { from, to: from + next };
}

export function pan(view: View, seconds: number): View {
  return { from: view.from + seconds, to: view.to + seconds };
}

/** Pixel of an instant. */
export function x(view: View, width: number, at: number): number {
  return ((at - view.from) / (view.to - view.from)) * width;
}

/** Instant of a pixel. */
export function at(view: View, width: number, pixel: number): number {
  return view.from + (pixel / width) * (view.to - view.from);
}

/** The view moved so that it shows an instant, with some room around it. */
export function showing(view: View, instant: number): View {
  const span = view.to - view.from;
  const room = span * 0.1;
  if (instant < view.from + room) return pan(view, instant - view.from - room);
  if (instant > view.to - room) return pan(view, instant - view.to + room);
  return view;
}

/** What is asked for to show a view: in steps of an eighth of it, one step wider on either side, so that moving within it asks nothing. */
export function asked(view: View): View {
  const step = Math.max(10, Math.ceil((view.to - view.from) / 8));
  return {
    from: Math.max(0, Math.floor(view.from / step) * step - step),
    to: Math.ceil(view.to / step) * step + step,
  };
}

const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

export interface Tick {
  at: number;
  label: string;
  /** Begins a day (or a month where days are not shown). */
  strong: boolean;
}

const two = (n: number) => String(n).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function label(seconds: number, step: number, zone: string): { label: string; strong: boolean } {
  const f = fieldsOf(seconds, zone);
  if (step > 604_800) return { label: f.month === 1 ? String(f.year) : MONTHS[f.month - 1]!, strong: f.month === 1 };
  const midnight = f.hour === 0 && f.minute === 0 && f.second === 0;
  if (step >= 86_400 || midnight) return { label: `${f.day} ${MONTHS[f.month - 1]}`, strong: true };
  const clock = `${two(f.hour)}:${two(f.minute)}`;
  return { label: step < 60 ? `${clock}:${two(f.second)}` : clock, strong: false };
}

/** Ticks at round times of the zone, about `room` pixels apart. */
export function ticks(view: View, width: number, zone: string, room = 90): Tick[] {
  const wanted = ((view.to - view.from) / Math.max(width, 1)) * room;
  const step = STEPS.find((s) => s >= wanted);
  if (step === undefined) return months(view, wanted, zone);
  const out: Tick[] = [];
  // Aligned to the zone's own midnight; the offset is taken anew at each tick, so that a change of clocks shifts what follows.
  let local = Math.ceil((view.from + offsetOf(view.from, zone)) / step) * step;
  for (let n = 0; n < 400; n += 1) {
    const guess = local - offsetOf(local - offsetOf(view.from, zone), zone);
    if (guess > view.to) break;
    if (guess >= view.from) out.push({ at: guess, ...label(guess, step, zone) });
    local += step;
  }
  return out;
}

function months(view: View, wanted: number, zone: string): Tick[] {
  const every = wanted <= 31 * 86_400 ? 1 : 3;
  const out: Tick[] = [];
  const first = fieldsOf(view.from, zone);
  let [year, month] = [first.year, Math.floor((first.month - 1) / every) * every + 1];
  for (let n = 0; n < 40; n += 1) {
    const start = instantsOf({ year, month, day: 1, hour: 0, minute: 0, second: 0 }, zone)[0];
    if (start !== undefined && start > view.to) break;
    if (start !== undefined && start >= view.from) out.push({ at: start, ...label(start, 604_801, zone) });
    month += every;
    if (month > 12) {
      month -= 12;
      year += 1;
    }
  }
  return out;
}
