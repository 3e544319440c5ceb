import { expect, test } from "vitest";
import { ownPath } from "../src/pages/provider";

test("after a sign-in the app goes to a page of its own and nowhere else", () => {
  expect(ownPath("/g/shop/backups/rs0?tab=settings")).toBe("/g/shop/backups/rs0?tab=settings");
  for (const bad of [
    null,
    undefined,
    "",
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "javascript:1",
  ]) {
    expect(ownPath(bad)).toBe("/");
  }
});
