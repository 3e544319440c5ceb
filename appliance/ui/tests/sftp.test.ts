import { expect, test } from "vitest";
import { serverOf, type Delivery } from "../src/api/sftp";
import { keyKind } from "../src/pages/AddSftpTarget";
import { isOpen, phasesOf } from "../src/pages/Delivery";

const delivery = (part: Partial<Delivery>): Delivery => ({
  target: "vault",
  path: "/srv/x.tar",
  state: "waiting",
  sentBytes: 0,
  totalBytes: null,
  bytesPerSecond: 0,
  attempts: 0,
  error: null,
  ...part,
});

test("the file of a host key is named by its kind", () => {
  expect(keyKind("ssh-ed25519 AAAA")).toBe("ed25519");
  expect(keyKind("ecdsa-sha2-nistp256 AAAA")).toBe("ecdsa");
  expect(serverOf({ user: "backup", host: "vault", port: 22 })).toBe("backup@vault");
  expect(serverOf({ user: "backup", host: "vault", port: 2222 })).toBe("backup@vault:2222");
});

test("a push has three steps, and shows bytes once some were sent", () => {
  const states = (part: Partial<Delivery>, made = true) => phasesOf(delivery(part), made).map((phase) => phase.state);
  expect(states({}, false)).toEqual(["running", "waiting", "waiting"]);
  expect(states({ state: "sending" })).toEqual(["done", "running", "waiting"]);
  expect(states({ state: "delivered" })).toEqual(["done", "done", "done"]);
  expect(states({ state: "failed" })).toEqual(["done", "failed", "waiting"]);
  expect(phasesOf(delivery({}), true)[1]!.progress).toBeNull();
  const sending = phasesOf(delivery({ state: "sending", sentBytes: 5, totalBytes: 10, attempts: 2 }), true)[1]!;
  expect(sending.progress).toEqual({ done: 5, total: 10, unit: "bytes" });
  expect(sending.detail).toContain("attempt 2");
  expect(isOpen(delivery({ state: "sending" })) && !isOpen(delivery({ state: "failed" })) && !isOpen(null)).toBe(true);
});
