import { describe, expect, it } from "vitest";
import { duration, instantsOf, parseTyped, relative, shown, utc, wallClock } from "../src/lib/time";

const at = (iso: string) => Date.parse(iso) / 1000;

describe("times as people type them", () => {
  it("reads the wall clock of a zone", () => {
    expect(parseTyped("2026-11-22 14:03:07", "Europe/Paris")).toEqual({
      kind: "second",
      seconds: at("2026-11-22T13:03:07Z"),
    });
    expect(parseTyped("2026-11-22 14:03", "Asia/Kolkata")).toEqual({
      kind: "second",
      seconds: at("2026-11-22T08:33:00Z"),
    });
  });
  it("reads RFC 3339, seconds and optimes whatever the zone", () => {
    expect(parseTyped("2026-11-22T14:03:07+01:00", "UTC")).toEqual({
      kind: "second",
      seconds: at("2026-11-22T13:03:07Z"),
    });
    expect(parseTyped("1795388892", "Asia/Tokyo")).toEqual({ kind: "second", seconds: 1_795_388_892 });
    expect(parseTyped("1795388892,4", "UTC")).toEqual({ kind: "optime", t: 1_795_388_892, i: 4 });
    expect(parseTyped("Timestamp(1795388892, 4)", "UTC")).toEqual({ kind: "optime", t: 1_795_388_892, i: 4 });
  });
  it("refuses what is no time", () => {
    for (const text of ["", "yesterday", "2026-02-30 10:00", "2026-11-22 25:00"]) {
      expect(parseTyped(text, "UTC").kind, text).toBe("error");
    }
  });
  it("says that clocks skipped a time, or showed it twice", () => {
    expect(parseTyped("2026-03-29 02:30:00", "Europe/Paris").kind).toBe("error");
    const twice = parseTyped("2026-10-25 02:30:00", "Europe/Paris");
    expect(twice).toEqual({
      kind: "second",
      seconds: at("2026-10-25T00:30:00Z"),
      other: at("2026-10-25T01:30:00Z"),
    });
    const fields = { year: 2026, month: 10, day: 25, hour: 2, minute: 30, second: 0 };
    expect(instantsOf(fields, "Europe/Paris")).toHaveLength(2);
  });
});

describe("times as they are shown", () => {
  it("prints the zone, and the day only when it is another", () => {
    const now = at("2026-11-22T23:00:00Z");
    expect(shown(at("2026-11-22T22:59:01Z"), "UTC", now)).toBe("22:59:01 UTC");
    expect(shown(at("2026-11-21T22:59:01Z"), "UTC", now)).toBe("21 Nov, 22:59:01 UTC");
    expect(wallClock(at("2026-11-22T22:59:01Z"), "Asia/Kolkata")).toBe("2026-11-23 04:29:01");
    expect(utc(at("2026-11-22T22:59:01Z") + 0.7)).toBe("2026-11-22T22:59:01Z");
  });
  it("says lengths with units", () => {
    expect(duration(0.04)).toBe("0 s");
    expect(duration(3.21)).toBe("3.2 s");
    expect(duration(250)).toBe("4 min 10 s");
    expect(duration(7500)).toBe("2 h 5 min");
    expect(duration(100_000)).toBe("1 day 3 h");
    expect(relative(90, 100)).toBe("10 s ago");
    expect(relative(3700, 100)).toBe("in 1 h");
  });
});
