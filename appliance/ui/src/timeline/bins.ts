// The server's bins of writes gathered into bars that can be seen, and marks that would lie on each other gathered into one.

import type { View } from "./scale";

/** Operations of some minutes, as the server counted them. */
export interface Counted {
  from: number;
  inserts: number;
  updates: number;
  deletes: number;
  ddl: number;
}
export interface Bar {
  from: number;
  to: number;
  /** Operations per minute, the mean over the bar (of the one that is going on: over what of it has passed). */
  perMinute: number;
}

/** Narrowest bar, in pixels. */
const BAR_PIXELS_MIN = 3;

/** Seconds of a bar: so many of the server's bins that it is wide enough to be seen. */
export function barSeconds(view: View, width: number, binSeconds: number): number {
  const pixels = (binSeconds / (view.to - view.from)) * Math.max(width, 1);
  return binSeconds * Math.max(1, Math.ceil(BAR_PIXELS_MIN / Math.max(pixels, 0.001)));
}

export function bars(counted: Counted[], binSeconds: number, view: View, width: number, now: number): Bar[] {
  const size = barSeconds(view, width, binSeconds);
  const sums = new Map<number, number>();
  for (const c of counted) {
    if (c.from + binSeconds < view.from || c.from > view.to) continue;
    const start = Math.floor(c.from / size) * size;
    sums.set(start, (sums.get(start) ?? 0) + c.inserts + c.updates + c.deletes + c.ddl);
  }
  return [...sums].map(([from, sum]) => {
    const passed = Math.max(60, Math.min(size, now - from));
    return { from, to: from + size, perMinute: sum / (passed / 60) };
  });
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
