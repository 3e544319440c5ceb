import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { allowed, TABLE } from "../src/app/may";

/** The rows of the server's table, as they stand in its source. */
function rowsOfTheServer(): Record<string, string[]> {
  const source = readFileSync(new URL("../../domain/src/access.rs", import.meta.url), "utf8");
  const small = (word: string) => word[0]!.toLowerCase() + word.slice(1);
  const sets: Record<string, string[]> = {};
  for (const [, name, roles] of source.matchAll(/const (\w+): &\[Role\] = &\[([^\]]*)\]/g)) {
    sets[name!] = roles!.split(",").map((role) => small(role.trim()));
  }
  const rows: Record<string, string[]> = {};
  for (const [, resource, action, set] of source.matchAll(/\(Resource::(\w+), (\w+), (\w+)\),/g)) {
    rows[`${small(resource!)}:${small(action!)}`] = sets[set!]!;
  }
  return rows;
}

describe("what may be done", () => {
  it("is the server's table", () => {
    const rows = rowsOfTheServer();
    expect(Object.keys(rows).length).toBeGreaterThan(40);
    expect(TABLE).toEqual(rows);
  });

  it("adds up over roles", () => {
    expect(allowed(["backupAdmin"], "agents:create")).toBe(false);
    expect(allowed(["backupAdmin", "monitoringAdmin"], "agents:create")).toBe(true);
    expect(allowed([], "groups:read")).toBe(false);
  });
});
