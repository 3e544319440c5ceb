import { QueryClient } from "@tanstack/react-query";
import { createMemoryHistory } from "@tanstack/react-router";
import { describe, expect, it } from "vitest";
import { Failed, NoPage } from "../src/app/Failed";
import { makeRouter } from "../src/app/router";

describe("a page that fails", () => {
  const router = makeRouter(new QueryClient());
  router.update({ ...router.options, history: createMemoryHistory() });

  it("fails in its own place, below the frame", () => {
    expect(router.options.defaultErrorComponent).toBe(Failed);
    const pages = Object.values(router.routesById).filter((route) => route.id.startsWith("/app/"));
    expect(pages.length).toBeGreaterThan(20);
    // One of its own would stand in the way of the one that all pages share.
    expect(pages.filter((route) => route.options.errorComponent).map((route) => route.id)).toEqual([]);
  });

  it("an address that no page has leaves the frame where it is", () => {
    const frame = router.routesById["/app" as keyof typeof router.routesById];
    expect(frame.options.notFoundComponent).toBe(NoPage);
  });
});
