import { describe, expect, it } from "vitest";
import { ifSeen, nextPage, revisionOf, tagged } from "../src/api/client";
import { renews } from "../src/app/live";
import { AFTER, BEFORE } from "../src/pages/claim/steps";

const answer = (etag?: string) => new Response("{}", etag === undefined ? {} : { headers: { ETag: etag } });

describe("what was seen", () => {
  it("is the revision of the tag, also of one that a proxy weakened", () => {
    expect(revisionOf(answer('"7"'))).toBe(7);
    expect(revisionOf(answer('W/"7"'))).toBe(7);
    expect(revisionOf(answer('"abc"'))).toBeUndefined();
    expect(revisionOf(answer())).toBeUndefined();
  });
  it("is sent with a change, and nothing is sent of nothing", () => {
    expect(ifSeen(0)).toEqual({ headers: { "If-Match": '"0"' } });
    expect(ifSeen(undefined)).toEqual({});
  });
  it("stands beside what was read", async () => {
    expect(await tagged(Promise.resolve({ data: { a: 1 }, response: answer('"3"') }))).toEqual({
      value: { a: 1 },
      revision: 3,
    });
  });
});

describe("the next page of a list", () => {
  const of = "https://h:8080/api/v1/groups?limit=2";
  it("is of the same list", () => {
    expect(nextPage(of, '<?cursor=61&limit=2>; rel="next"')).toBe("https://h:8080/api/v1/groups?cursor=61&limit=2");
  });
  it("is never another address, and none where none is named", () => {
    for (const link of [
      null,
      "",
      '<?cursor=61>; rel="prev"',
      '<https://evil/api/v1/groups?cursor=61>; rel="next"',
      '</api/v1/users>; rel="next"',
    ])
      expect(nextPage(of, link)).toBeNull();
  });
});

describe("an event of the appliance", () => {
  it("renews what it is about, and nothing else", () => {
    expect(renews("daemon", "daemons")).toBe(true);
    expect(renews("daemon", "blockstore")).toBe(false);
    expect(renews("user", "users")).toBe(true);
    expect(renews("setting", "settings")).toBe(true);
    expect(renews("audit", "audit")).toBe(true);
  });
  it("renews everything when it says reload, or what nobody knows yet, but not who is signed in", () => {
    for (const kind of ["reload", "something new"]) {
      expect(renews(kind, "jobs")).toBe(true);
      expect(renews(kind, "session")).toBe(false);
    }
  });
});

describe("the steps of the first set-up", () => {
  it("have names of their own", () => {
    const ids = [...BEFORE, ...AFTER].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
