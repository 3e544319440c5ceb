import { describe, expect, it } from "vitest";
import { lost } from "../src/timeline/lost";

describe("what a restore would leave out", () => {
  it("names what was done, the loss first, and nothing that was not", () => {
    expect(lost({ ns: "shop.orders", inserts: 1, updates: 0, deletes: 2, ddl: 1 })).toBe(
      "shop.orders: 2 deleted, 1 inserted, 1 command",
    );
    expect(lost({ ns: "*", inserts: 0, updates: 3, deletes: 0, ddl: 0 })).toBe("other namespaces: 3 changed");
  });
});
