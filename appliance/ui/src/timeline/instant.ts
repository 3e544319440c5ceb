// A chosen instant, as the address bar holds it: "1795388892" is the whole second, "1795388892,4" one oplog entry.

import { utc } from "../lib/time";

export interface Chosen {
  second: number;
  /** Ordinal within the second; none: all of it. */
  i?: number;
}

export function parseChosen(text: string | undefined): Chosen | null {
  const match = /^(\d{9,10})(?:,(\d{1,10}))?$/.exec(text ?? "");
  if (!match) return null;
  return match[2] === undefined ? { second: Number(match[1]) } : { second: Number(match[1]), i: Number(match[2]) };
}

export const writeChosen = (chosen: Chosen): string =>
  chosen.i === undefined ? String(chosen.second) : `${chosen.second},${chosen.i}`;

/** As the API and the command line take it. */
export const apiAt = (chosen: Chosen): string =>
  chosen.i === undefined ? utc(chosen.second) : `${chosen.second},${chosen.i}`;

/** The entry directly before one: what "just before this" means. */
export function justBefore(at: { t: number; i: number }): Chosen {
  return at.i > 1 ? { second: at.t, i: at.i - 1 } : { second: at.t - 1 };
}

/** Of what stands around an instant the entry after it, or the one before its own. None: there is none. */
export function neighbour(
  cut: { before: { at: { t: number; i: number } }[]; after: { at: { t: number; i: number } }[] },
  direction: 1 | -1,
): Chosen | null {
  if (direction === 1) {
    const next = cut.after[0]?.at;
    return next ? { second: next.t, i: next.i } : null;
  }
  const before = cut.before.at(-2)?.at;
  if (before) return { second: before.t, i: before.i };
  const own = cut.before.at(-1)?.at;
  return own ? justBefore(own) : null;
}
