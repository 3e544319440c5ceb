import { expect, test } from "vitest";
import { memberNote } from "../src/components/Topology";

const member = (state: string, hidden = false, delaySeconds = 0) => ({ host: "a:1", state, hidden, delaySeconds });

test("a member says what it is", () => {
  expect(memberNote(undefined)).toBe("member");
  expect(memberNote(member("PRIMARY"))).toBe("primary");
  expect(memberNote(member("ARBITER"))).toBe("arbiter");
  expect(memberNote(member("SECONDARY", true, 3600))).toBe("secondary, hidden, 1 h delayed");
});
