import { describe, expect, it } from "vitest";
import { bars, barSeconds, clusters } from "../src/timeline/bins";
import { eventText, worst } from "../src/timeline/events";
import { justBefore, neighbour, parseChosen, writeChosen } from "../src/timeline/instant";
import { answer, gaps, type Chain, type Range } from "../src/timeline/restorable";
import {
  asked,
  at,
  clampSpan,
  showing,
  SPAN_SECONDS_MAX,
  SPAN_SECONDS_MIN,
  ticks,
  x,
  zoom,
} from "../src/timeline/scale";

const range = (from: number, to: number): Range => ({ from: { t: from, i: 1 }, to: { t: to, i: 5 } });
const chain = (from: number, to: number, reason?: string): Chain => ({
  from: { t: from, i: 1 },
  to: { t: to, i: 5 },
  closed: reason !== undefined,
  reason,
});

describe("what can be restored", () => {
  const ranges = [range(100, 200), range(300, 400)];
  const chains = [chain(90, 200, "windowLost"), chain(250, 400)];
  it("says yes inside, and only where a later write is known", () => {
    expect(answer(100, ranges, chains).ok).toBe(true);
    expect(answer(199, ranges, chains).ok).toBe(true);
    expect(answer(200, ranges, chains).ok).toBe(false);
  });
  it("answers a gap with the nearest seconds and the reason", () => {
    expect(answer(250, ranges, chains)).toEqual({
      ok: false,
      before: 199,
      after: 300,
      ahead: false,
      reason: "the source's oplog no longer held what was needed",
    });
    expect(gaps(ranges, chains)).toEqual([
      { from: 200, to: 300, reason: "the source's oplog no longer held what was needed" },
    ]);
  });
  it("answers what is too old, and what is not here yet", () => {
    expect(answer(50, ranges, chains)).toMatchObject({ ok: false, before: null, after: 100 });
    expect(answer(900, ranges, chains)).toMatchObject({ ok: false, before: 399, after: null, ahead: true });
    expect(answer(900, [range(100, 200)], [chain(90, 200, "stopped")])).toMatchObject({
      ahead: false,
      reason: "the backup was stopped",
    });
    expect(answer(900, [], [])).toMatchObject({ before: null, after: null });
  });
});

describe("the chosen instant", () => {
  it("survives the address bar", () => {
    for (const text of ["1795388892", "1795388892,4"]) expect(writeChosen(parseChosen(text)!)).toBe(text);
    expect(parseChosen("now")).toBeNull();
    expect(parseChosen(undefined)).toBeNull();
  });
  it("goes to the entry before", () => {
    expect(justBefore({ t: 10, i: 4 })).toEqual({ second: 10, i: 3 });
    expect(justBefore({ t: 10, i: 1 })).toEqual({ second: 9 });
  });
});

describe("the view", () => {
  const view = { from: 1000, to: 2000 };
  it("maps there and back", () => {
    expect(at(view, 500, x(view, 500, 1234))).toBeCloseTo(1234);
  });
  it("zooms about an instant that stays where it is", () => {
    const next = zoom(view, 0.5, 1200);
    expect(x(next, 500, 1200)).toBeCloseTo(x(view, 500, 1200));
    expect(next.to - next.from).toBe(500);
    expect(clampSpan(1)).toBe(SPAN_SECONDS_MIN);
    expect(clampSpan(1e12)).toBe(SPAN_SECONDS_MAX);
  });
  it("follows a chosen second that leaves it", () => {
    expect(showing(view, 1500)).toBe(view);
    const moved = showing(view, 5000);
    expect(moved.to).toBeGreaterThan(5000);
    expect(moved.to - moved.from).toBe(1000);
  });
});

describe("ticks", () => {
  const start = Date.UTC(2026, 9, 24, 12) / 1000;
  it("stand at round times of the zone from seconds to a year, and are never too many", () => {
    for (const span of [20, 60, 900, 3600, 21_600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400, SPAN_SECONDS_MAX]) {
      for (const zone of ["UTC", "Europe/Paris", "Asia/Kolkata"]) {
        const found = ticks({ from: start, to: start + span }, 900, zone);
        expect(found.length, `${span} ${zone}`).toBeGreaterThan(1);
        expect(found.length, `${span} ${zone}`).toBeLessThan(16);
        for (const tick of found) {
          expect(tick.at).toBeGreaterThanOrEqual(start);
          expect(tick.at).toBeLessThanOrEqual(start + span);
        }
      }
    }
  });
  it("stay at midnight over a change of clocks", () => {
    const found = ticks({ from: start, to: start + 4 * 86_400 }, 600, "Europe/Paris").filter((t) => t.strong);
    const hours = found.map((t) => new Date(t.at * 1000).getUTCHours());
    expect(hours).toEqual(expect.arrayContaining([22, 23]));
  });
});

describe("what is asked for", () => {
  it("covers the view and changes only when it moves far", () => {
    for (const from of [0, 1000, 1234.5]) {
      const view = { from, to: from + 800 };
      const range = asked(view);
      expect(range.from).toBeLessThanOrEqual(view.from);
      expect(range.to).toBeGreaterThanOrEqual(view.to);
      expect(range.to - range.from).toBeLessThanOrEqual(800 * 1.5);
    }
    expect(asked({ from: 1010, to: 1810 })).toEqual(asked({ from: 1050, to: 1850 }));
  });
});

describe("bars and marks", () => {
  const view = { from: 0, to: 3600 };
  const counted = (from: number, inserts: number) => ({ from, inserts, updates: 0, deletes: 0, ddl: 0 });
  it("gather bins until a bar can be seen, as a mean per minute of all that has passed", () => {
    expect(barSeconds(view, 900, 60)).toBe(60);
    const bins = [0, 60, 120, 180].map((from) => counted(from, 10));
    const [wide, ...more] = bars(bins, 60, { from: 0, to: 86_400 }, 300, 1e6);
    expect(more).toEqual([]);
    expect(wide).toEqual({ from: 0, to: 900, perMinute: 40 / 15 });
    // Of the bar that is going on only what has passed counts.
    expect(bars(bins, 60, { from: 0, to: 86_400 }, 300, 240)[0]!.perMinute).toBe(10);
    expect(bars([counted(0, 5)], 60, view, 900, 5)[0]!.perMinute).toBe(5);
  });
  it("draw what matters most, and say how many", () => {
    const event = (kind: "drop" | "index" | "election", count = 1) => ({ kind, count, command: "drop", ns: "a.b" });
    expect(worst([event("index"), event("election"), event("drop")])).toBe("drop");
    expect(eventText(event("drop"))).toBe("drop a.b");
    expect(eventText(event("drop", 3))).toBe("3 drops, the first: drop a.b");
    expect(eventText(event("election", 2))).toBe("2 elections");
  });
  it("gather marks that would lie on each other", () => {
    const found = clusters([10, 11, 12, 2000], (n) => n, view, 900, 9);
    expect(found.map((c) => c.items.length)).toEqual([3, 1]);
  });
});

describe("entry by entry", () => {
  const entry = (t: number, i: number) => ({ at: { t, i } });
  const cut = { before: [entry(5, 1), entry(5, 2), entry(7, 1)], after: [entry(9, 3)] };
  it("goes to the next one, and to the one before its own", () => {
    expect(neighbour(cut, 1)).toEqual({ second: 9, i: 3 });
    expect(neighbour(cut, -1)).toEqual({ second: 5, i: 2 });
  });
  it("stays where there is none", () => {
    expect(neighbour({ before: [], after: [] }, 1)).toBeNull();
    expect(neighbour({ before: [], after: [] }, -1)).toBeNull();
    expect(neighbour({ before: [entry(5, 3)], after: [] }, -1)).toEqual({ second: 5, i: 2 });
  });
});
