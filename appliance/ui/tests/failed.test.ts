import { describe, expect, it } from "vitest";
import { Problem } from "../src/api/client";
import { whatFailed } from "../src/app/whatFailed";

const problem = (status: number, detail: string) =>
  new Problem({ status, code: "x", title: "T", detail, requestId: "r" });

describe("a page that failed", () => {
  it("tells a refusal and a thing that is gone from a fault", () => {
    expect(whatFailed(problem(403, "this needs one of these roles: owner"))).toEqual({
      kind: "forbidden",
      title: "This page is not for your role",
      detail:
        "This needs one of these roles: owner. Ask an owner or a user admin when you need it; nothing was changed.",
    });
    expect(whatFailed(problem(404, 'there is no group "x"')).kind).toBe("gone");
    expect(whatFailed(problem(503, "a database does not answer")).kind).toBe("failed");
    expect(whatFailed(new Error("undefined is no function"))).toMatchObject({
      kind: "failed",
      detail: "Undefined is no function",
    });
  });
});
