// Writes per minute gathered into bars that can be seen, and marks that would lie on each other gathered into one.

import type { View } from "./scale";

export interface Minute {
  minute: number;
  inserts: number;
  updates: number;
  deletes: number;
  ddl: number;
}
export interface Bin {
  from: number;
  to: number;
  /** Operations per minute, the mean over the minutes of the bin that had any data. */
  perMinute: number;
}

/** Narrowest bar, in pixels. */
const BAR_PIXELS_MIN = 3;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440, 2880, 10_080];

/** Minutes in a bar, so that one is wide enough to be seen. */
export function binMinutes(view: View, width: number): number {
  const perPixel = (view.to - view.from) / 60 / Math.max(width, 1);
  return STEPS.find((step) => step >= perPixel * BAR_PIXELS_MIN) ?? STEPS.at(-1)!;
}

export function bins(minutes: Minute[], view: View, width: number): Bin[] {
  const size = binMinutes(view, width) * 60;
  const sums = new Map<number, { ops: number; minutes: number }>();
  for (const m of minutes) {
    if (m.minute + 60 < view.from || m.minute > view.to) continue;
    const start = Math.floor(m.minute / size) * size;
    const sum = sums.get(start) ?? { ops: 0, minutes: 0 };
    sum.ops += m.inserts + m.updates + m.deletes + m.ddl;
    sum.minutes += 1;
    sums.set(start, sum);
  }
  return [...sums].map(([from, sum]) => ({ from, to: from + size, perMinute: sum.ops / sum.minutes }));
}

export interface Cluster<T> {
  at: number;
  items: T[];
}

/** Items in order of time, gathered where they lie closer than `pixels`. */
export function clusters<T>(
  items: T[],
  at: (item: T) => number,
  view: View,
  width: number,
  pixels: number,
): Cluster<T>[] {
  const gap = ((view.to - view.from) / Math.max(width, 1)) * pixels;
  const out: Cluster<T>[] = [];
  for (const item of items) {
    const when = at(item);
    if (when < view.from - gap || when > view.to + gap) continue;
    const last = out.at(-1);
    if (last && when - last.at < gap) last.items.push(item);
    else out.push({ at: when, items: [item] });
  }
  return out;
}
