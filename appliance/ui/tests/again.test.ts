import { describe, expect, it } from "vitest";
import { KEY, newKey, sendOnce } from "../src/api/again";

/** A server that answers so, one after the other; null: the connection breaks. */
function server(...answers: (number | null)[]) {
  const keys: (string | null)[] = [];
  const bodies: string[] = [];
  const pauses: number[] = [];
  const send = async (request: Request) => {
    keys.push(request.headers.get(KEY));
    bodies.push(await request.text());
    const status = answers.shift();
    if (status === null || status === undefined) throw new TypeError("fetch failed");
    return new Response(null, { status, headers: status === 409 ? { "Retry-After": "1" } : {} });
  };
  const wait = (ms: number) => Promise.resolve(void pauses.push(ms));
  return { send, wait, keys, bodies, pauses };
}

const post = () => new Request("http://x/api/v1/groups", { method: "POST", body: '{"name":"g"}' });

describe("what changes something", () => {
  it("is sent again by the same key, with its body, until it is answered", async () => {
    const { send, wait, keys, bodies, pauses } = server(null, 503, 502, 409, 201);
    expect((await sendOnce(post(), send, wait)).status).toBe(201);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(bodies).toEqual(Array(5).fill('{"name":"g"}'));
    expect(pauses).toEqual([300, 700, 1_500, 2_500]);
  });
  it("is not sent again when it was refused", async () => {
    for (const status of [400, 403, 404, 422, 500]) {
      const { send, wait, keys } = server(status);
      expect((await sendOnce(post(), send, wait)).status).toBe(status);
      expect(keys).toHaveLength(1);
    }
  });
  it("gives up in the end, with what went wrong", async () => {
    const { send, wait, keys } = server();
    await expect(sendOnce(post(), send, wait)).rejects.toThrow("fetch failed");
    expect(keys).toHaveLength(6);
  });
  it("has a key of its own each time, and reading has none", async () => {
    expect(newKey()).not.toBe(newKey());
    const { send, wait, keys } = server(null);
    await expect(sendOnce(new Request("http://x/api/v1/groups"), send, wait)).rejects.toThrow("fetch failed");
    expect(keys).toEqual([null]);
  });
});
