// What can be restored: of an instant says yes, or the nearest seconds before and after and the reason between.

export interface Point {
  t: number;
  i: number;
}
export interface Range {
  from: Point;
  to: Point;
}
export interface Chain {
  from: Point;
  to: Point;
  closed: boolean;
  reason?: string | null;
}
export interface Gap {
  /** Last whole second before it and first one after it. */
  from: number;
  to: number;
  reason: string;
}

/** Why a chain ended, as a sentence. */
const REASONS: Record<string, string> = {
  resyncRequested: "a new initial sync was asked for",
  windowLost: "the source's oplog no longer held what was needed",
  otherHistory: "the source rolled back to another history",
  syncFailed: "the initial sync failed",
  diverged: "the head differed from the ledger",
  versionChange: "the source changed its version",
  stopped: "the backup was stopped",
};

export function reasonOf(code: string | null | undefined): string {
  return (code && REASONS[code]) || "no snapshot and no oplog cover it";
}

/** The last second of a range that can be restored as a whole: something beyond it must be known. */
export function lastSecond(range: Range): number {
  return Math.max(range.to.t - 1, range.from.t);
}

/** Stretches between the ranges, with the reason of the chain that ended there. */
export function gaps(ranges: Range[], chains: Chain[]): Gap[] {
  const out: Gap[] = [];
  for (let n = 1; n < ranges.length; n += 1) {
    const [before, after] = [ranges[n - 1]!, ranges[n]!];
    if (after.from.t <= before.to.t) continue;
    const ended = chains.find((c) => c.closed && Math.abs(c.to.t - before.to.t) <= 1);
    out.push({ from: before.to.t, to: after.from.t, reason: reasonOf(ended?.reason) });
  }
  return out;
}

export type Answer =
  { ok: true } | { ok: false; before: number | null; after: number | null; reason: string; ahead: boolean };

/** Whether the whole of a second can be restored. */
export function answer(second: number, ranges: Range[], chains: Chain[]): Answer {
  let before: number | null = null;
  let after: number | null = null;
  for (const range of ranges) {
    const last = lastSecond(range);
    if (second >= range.from.t && second <= last) return { ok: true };
    if (last < second) before = Math.max(before ?? last, last);
    if (range.from.t > second) after = Math.min(after ?? range.from.t, range.from.t);
  }
  if (ranges.length === 0) {
    return { ok: false, before, after, ahead: false, reason: "nothing can be restored yet: no snapshot is complete" };
  }
  if (before === null) {
    return { ok: false, before, after, ahead: false, reason: "it lies before the oldest second that is kept" };
  }
  if (after === null) {
    const open = chains.at(-1);
    const ahead = !open?.closed;
    const reason = ahead ? "it has not arrived yet" : reasonOf(open?.reason);
    return { ok: false, before, after, ahead, reason };
  }
  const gap = gaps(ranges, chains).find((g) => second >= g.from && second <= g.to);
  return { ok: false, before, after, ahead: false, reason: gap?.reason ?? reasonOf(null) };
}
