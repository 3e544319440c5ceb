import { describe, expect, it } from "vitest";
import { amount, bytes, counted, sentence, shellWord, words } from "../src/lib/format";
import { addSample, estimate, type Sample } from "../src/lib/rate";
import { startPhases, stepOf } from "../src/pages/phases";
import { tokenOf } from "../src/pages/token";

describe("numbers with units", () => {
  it("says bytes", () => {
    expect(bytes(0)).toBe("0 B");
    expect(bytes(1536)).toBe("1.5 KiB");
    expect(bytes(412 * 2 ** 30)).toBe("412 GiB");
    expect(bytes(undefined)).toBe("unknown");
  });
  it("says counts and words", () => {
    expect(counted(1, "snapshot")).toBe("1 snapshot");
    expect(counted(1200, "snapshot")).toBe("1,200 snapshots");
    expect(amount(5, "documents")).toBe("5 documents");
    expect(words("initialSync")).toBe("initial sync");
    expect(sentence("ready")).toBe("Ready");
  });
  it("quotes for a shell", () => {
    expect(shellWord("prod/rs0")).toBe("prod/rs0");
    expect(shellWord("it's")).toBe("'it'\\''s'");
  });
});

describe("rates", () => {
  const samples = (points: [number, number][]) =>
    points.reduce<Sample[]>((all, [at, done]) => addSample(all, { at, done }), []);
  it("gives a range from what was seen", () => {
    const guess = estimate(
      samples([
        [0, 0],
        [2, 100],
        [4, 400],
      ]),
      1000,
    )!;
    expect(guess.perSecond).toBe(100);
    expect(guess.left![0]).toBeCloseTo(4);
    expect(guess.left![1]).toBeCloseTo(12);
  });
  it("says nothing too early, nothing while nothing moves, and starts anew with new work", () => {
    expect(
      estimate(
        samples([
          [0, 0],
          [1, 10],
        ]),
        100,
      ),
    ).toBeNull();
    expect(
      estimate(
        samples([
          [0, 10],
          [2, 10],
          [4, 10],
        ]),
        100,
      ),
    ).toBeNull();
    expect(
      samples([
        [0, 0],
        [2, 100],
        [4, 5],
      ]),
    ).toHaveLength(1);
    expect(
      estimate(
        samples([
          [0, 0],
          [2, 100],
          [4, 400],
        ]),
        0,
      )?.left,
    ).toBeNull();
  });
});

describe("phases of a first copy", () => {
  it("knows the programs' words", () => {
    expect(stepOf({ state: "initialSync", phase: "wait for the agent's initial sync" })).toBe("sync");
    expect(stepOf({ state: "initialSync", phase: "load documents" })).toBe("load");
    expect(stepOf({ state: "initialSync", phase: "build indexes" })).toBe("indexes");
    expect(stepOf({ state: "initialSync", phase: "apply the oplog of the initial sync" })).toBe("catchUp");
    expect(stepOf({ state: "active", phase: "follow the source" })).toBe("follow");
  });
  it("has one running phase, and all done at the end", () => {
    const backup = { state: "initialSync", phase: "load documents", progress: null, agentReport: null };
    const phases = startPhases(backup as never);
    expect(phases.map((p) => p.state)).toEqual(["done", "running", "waiting", "waiting", "waiting"]);
    expect(startPhases({ ...backup, state: "active" } as never).every((p) => p.state === "done")).toBe(true);
    expect(startPhases({ ...backup, state: "failed" } as never)[1]!.state).toBe("failed");
  });
});

describe("mailed links", () => {
  it("hold their secret behind the #", () => {
    expect(tokenOf("#token=abc-1")).toBe("abc-1");
    expect(tokenOf("")).toBe("");
  });
});
