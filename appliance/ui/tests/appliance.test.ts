// How results of work on the blockstore and ratios are put into words.
import { describe, expect, test } from "vitest";
import { facts } from "../src/lib/facts";
import { percentSaved, times } from "../src/lib/ratio";

describe("what work found", () => {
  test("amounts, bytes, counts and texts keep their units", () => {
    expect(
      facts({
        unlinked: 1200,
        deleted: { blocks: 3, rawBytes: 4096, storedBytes: 2048 },
        freedOnDiskBytes: 1048576,
        at: "2026-11-22T14:03:07Z",
        sweep: { packs: 2, whole: true },
        bad: ["a", "b"],
        nothing: null,
      }),
    ).toEqual([
      ["Unlinked", "1,200"],
      ["Deleted", "2.0 KiB"],
      ["Freed on disk", "1.0 MiB"],
      ["At", "2026-11-22T14:03:07Z"],
      ["Sweep: packs", "2"],
      ["Sweep: whole", "yes"],
      ["Bad", "2"],
    ]);
    expect(facts({ bytes: 10 })).toEqual([["Bytes", "10 B"]]);
  });
});

describe("ratios", () => {
  test("say nothing where there is nothing", () => {
    expect(times(410, 100)).toBe("4.1 times");
    expect(times(10, 0)).toBe("—");
    expect(percentSaved(25, 100)).toBe("75.0 %");
    expect(percentSaved(5, 0)).toBe("—");
    // A small store holds more than its snapshots: nothing is saved, and not less than nothing.
    expect(percentSaved(120, 100)).toBe("0.0 %");
  });
});
